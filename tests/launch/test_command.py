"""tools/launch.py as it is typed: what is launched here, and bad input in one line."""

import subprocess
from pathlib import Path

import pytest

from metta.launch import code
from metta.launch.command import main
from metta.launch.machine import Machine
from metta.launch.names import LONGEST, dns_label, session_name
from tests.launch.conftest import until

TRAIN = ["recipes.experiment.cogsguard.train", "run=here", "--dirty"]
REFUSED = {
    "lokal": ("no target 'lokal' (did you mean local?): configs/launch has kubernetes, local, mettabox"),
    "local launch.ours=5": "unknown key 'configs/launch/local.yaml:ours' (did you mean hours?)",
    "local launch.hours=-1": "configs/launch/local.yaml:hours=-1: should be greater than 0",
    "local launch.kind=loca": "kind='loca' is unknown (did you mean local?)",
    "slurm launch.code=here": "code='here': should be an absolute path",
    "slurm system.data_dir=here": "system.data_dir=here: target slurm needs an absolute path of that machine",
    "skypilot launch.nodes=2": "configs/launch/skypilot.yaml: nodes=2 share a volume",
    "mettabox launch.hosts=[meta0]": "no host 'meta0' (did you mean metta0",
    "local trainer.total_timestep=5": "did you mean trainer.total_timesteps?",
}


@pytest.mark.parametrize(("words", "line"), REFUSED.items())
def test_bad_input_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    target, *more = words.split()
    assert main([target, *TRAIN, *more, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and line in said


def test_only_a_training_is_launched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "recipes.experiment.cogsguard.evaluate", "--dirty"]) == 2
    assert "cogsguard.evaluate is no training" in capsys.readouterr().err
    assert main(["local", "run=x"]) == 2
    assert "no recipe is named" in capsys.readouterr().err


@pytest.mark.parametrize(("target", "tool"), [("slurm", "sbatch"), ("skypilot", "sky"), ("kubernetes", "kubectl")])
def test_a_tool_that_is_missing_is_named(
    target: str, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("git", "bash"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([target, *TRAIN, "--data-dir", str(tmp_path / "records")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and tool in said and "not installed" in said
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("verb", ["status", "logs", "attach", "stop"])
def test_a_run_that_nobody_launched_is_named_with_the_nearest(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "near" / "launch").mkdir(parents=True)
    (tmp_path / "near" / "launch" / "sent.json").write_text("{}")
    assert main([verb, "near1", "--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no launched run 'near1' (did you mean near?) in {tmp_path}\n"


def test_changes_that_no_commit_holds_are_refused_or_sent_in_a_commit_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        me = ["-c", "user.name=me", "-c", "user.email=me@here"]
        return subprocess.run(
            ["git", "-C", tmp_path, *me, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("first")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert code.commit_of_tree(dirty=False) == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("second")
    with pytest.raises(code.UserError, match="file changed since the last commit: commit, or --dirty"):
        code.commit_of_tree(dirty=False)
    commit = code.commit_of_tree(dirty=True)
    assert commit == code.commit_of_tree(dirty=True)
    assert git("show", f"{commit}:file") == "second" and git("stash", "list") == ""
    assert git("status", "--porcelain") == "M file"


def test_a_checkout_that_was_cut_short_is_made_anew_and_one_that_is_whole_stays(tmp_path: Path) -> None:
    commit = code.head()
    (tmp_path / commit[:12]).mkdir()
    place = Path(code.checkout(Machine(), commit, str(tmp_path)))
    assert (place / "tools/run.py").is_file()
    (place / "mine").touch()
    assert code.checkout(Machine(), commit, str(tmp_path)) == str(place) and (place / "mine").exists()


@pytest.mark.slow
def test_a_run_goes_on_here_without_who_launched_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One whose words are wrong only where it runs, so that it ends by itself."""
    pole = ["env=gymnasium", "env.name=CartPole-v1", "agent=mlp", "trainer=classic", "init_from=/no/such/checkpoint"]
    looks = ["here", "--data-dir", str(tmp_path)]
    assert main(["local", *TRAIN, *pole, f"system.data_dir={tmp_path}", "device=cpu", *looks[1:]]) == 0
    capfd.readouterr()

    def told() -> str:
        assert main(["status", *looks]) == 0
        return capfd.readouterr().out

    try:
        until(lambda: "failed" in told(), "the run has ended")
    finally:
        assert main(["stop", *looks]) == 0
        capfd.readouterr()
    last = told()
    assert last.startswith("this machine: failed, exit code 2, says: error: ") and "/no/such/checkpoint" in last
    assert main(["logs", *looks]) == 0
    assert "/no/such/checkpoint" in capfd.readouterr().out


@pytest.mark.parametrize("run", ["A.b", "a", "9lives", "x" * 200, "ü"])
def test_names_fit_where_they_are_used(run: str) -> None:
    label = dns_label(run)
    assert label.isascii() and len(label) <= LONGEST and label[0].isalpha() and "." not in label
    assert label == dns_label(run) and (run == label or label.startswith("r-"))
    assert not set(session_name(run)) & {".", ":"}
