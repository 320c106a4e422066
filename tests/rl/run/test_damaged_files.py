"""Files of a run that a crash or a hand damaged: one clear line, and nothing else is lost."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from metta.common.errors import UserError
from metta.config.composition import compose_saved
from metta.eval.evaluate import evaluate
from metta.eval.settings import EvaluateConfig
from metta.rl.run.metrics import read_metrics
from metta.rl.run.run_folder import MOST_CONFIG_BYTES
from metta.rl.run.run_lock import is_running
from metta.rl.run.wandb_logger import _run_id
from metta.rl.settings import RunConfig
from metta.rl.trainer import train

Config = Callable[..., RunConfig]
DAMAGES = {
    "broken": (b"mission: {name: [", r"config\.yaml:1:18: no YAML"),
    "empty": (b"", "no mapping"),
    "no UTF-8": (b"mission: \xff\xfe\n", "no UTF-8 text"),
    "plain text": (b"these are not the settings you look for\n", "no mapping"),
    "a list": (b"- mission\n- env\n", "no mapping"),
    "control characters": (b"mission: \x00\n", "no YAML"),
    "nested without end": (b"mission: " + b"[" * 2_000, "more than 50 brackets"),
    "huge": (b"mission: {}\n#" + b"." * MOST_CONFIG_BYTES, "larger than 4,000,000 bytes"),
}


@pytest.fixture
def run(config: Config) -> Path:
    """A run of one epoch."""
    settings = config(trainer={"total_timesteps": 512})
    train(settings)
    return Path(settings.system.data_dir) / "tiny"


@pytest.fixture(params=DAMAGES)
def damaged(run: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """A run with its settings damaged, and what is to be said."""
    data, words = DAMAGES[request.param]
    (run / "config.yaml").write_bytes(data)
    return run, words


def test_damaged_settings_are_one_line_wherever_they_are_read_and_resuming_keeps_them(
    damaged: tuple[Path, str], config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run, words = damaged
    before = (run / "config.yaml").read_bytes()
    job = EvaluateConfig.model_validate({"run": "tiny", "episodes": 1, "system": {"data_dir": str(run.parent)}})
    with pytest.raises(UserError, match=rf"tiny/config\.yaml.*{words.split(': ')[-1]}.*mend the file, or remove it"):
        evaluate(job)
    with pytest.raises(UserError, match=words):
        compose_saved(str(run), [])
    capsys.readouterr()
    assert train(config(trainer={"total_timesteps": 1024})).epoch == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "kept as config.v1.damaged.yaml" in line
    assert (run / "config.v1.damaged.yaml").read_bytes() == before
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["total_timesteps"] == 1024


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trainer": {"total_timesteps": 5}}, "names no mission"),
        ({"mission": {"nmae": "x"}}, r"config\.yaml:mission\.nmae.*did you mean name"),
        ({"mission": 5}, r"config\.yaml:mission=5"),
    ],
)
def test_settings_without_a_mission_are_not_taken_for_the_default(run: Path, settings: dict, words: str) -> None:
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match=words):
        evaluate(EvaluateConfig.model_validate({"run": "tiny", "system": {"data_dir": str(run.parent)}}))


def test_settings_that_differ_are_kept_as_they_are(run: Path, config: Config) -> None:
    text = "# by hand\n" + (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text)
    train(config(trainer={"total_timesteps": 1024}))
    assert (run / "config.v1.yaml").read_text() == text


def test_epochs_whose_lines_are_damaged_are_named_on_resuming(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config()
    train(settings)
    path = Path(settings.system.data_dir) / "tiny" / "metrics.jsonl"
    first, second, third, fourth = path.read_text().splitlines(keepends=True)
    path.write_text(first + second[:100] + third + fourth[:-20])
    capsys.readouterr()
    train(config(trainer={"total_timesteps": 2560}))
    err = capsys.readouterr().err
    assert "metrics.jsonl: without epochs 2, 4;" in err and err.count("\n") == 2
    assert [line["metric/epoch"] for line in read_metrics(path)] == [1, 3, 5]


def test_rows_of_another_kind_do_no_harm(run: Path, config: Config) -> None:
    rows = [
        {"metric/epoch": "one"},
        {"metric/epoch": None},
        {"metric/epoch": [1]},
        {"metric/epoch": 10**400},
        {"env_agent/x": {}},
    ]
    with open(run / "metrics.jsonl", "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    assert train(config(trainer={"total_timesteps": 1024})).epoch == 2


def test_a_start_that_was_cut_short_does_not_cost_the_next(run: Path, config: Config) -> None:
    path = run / "starts.jsonl"
    path.write_bytes(path.read_bytes() + b'{"time": "2026-')
    train(config(trainer={"total_timesteps": 1024}))
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines() if line.endswith("}")] == [0, 1]


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"check": 1, "progress": []}'])
def test_a_trainer_state_of_any_bytes_is_broken_and_the_one_before_taken(
    config: Config, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(trainer={"total_timesteps": 1024}))
    state = Path(config().system.data_dir) / "tiny" / "trainer_state" / "v2" / "state.json"
    state.write_bytes(data)
    assert train(config(trainer={"total_timesteps": 1024})).epoch == 2
    assert "v2" in (err := capsys.readouterr().err) and err.count("taking the checkpoint before") == 1


@pytest.mark.parametrize("name", ["metrics.jsonl", "starts.jsonl", ".lock", "checkpoints", "trainer_state"])
def test_a_part_of_the_folder_that_cannot_be_opened_is_named_in_one_line(run: Path, config: Config, name: str) -> None:
    part = run / name
    part.rename(run / "aside")
    part.symlink_to(name)  # a link to itself
    with pytest.raises(UserError, match=rf"run=tiny: .*tiny/{name}: cannot be used \(.*\); move it away"):
        train(config(trainer={"total_timesteps": 1024}))
    part.unlink()
    (run / "aside").rename(part)
    assert train(config(trainer={"total_timesteps": 1024})).epoch == 2


@pytest.mark.parametrize("name", ["checkpoints/tiny:v2", "checkpoints/tiny:v2/policy_spec.json", "trainer_state/v2"])
def test_a_checkpoint_that_is_a_link_to_itself_is_broken_and_the_one_before_taken(
    config: Config, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(trainer={"total_timesteps": 1024}))
    part = Path(config().system.data_dir) / "tiny" / name
    part.rename(part.with_name("aside"))
    part.symlink_to(part.name)
    assert train(config(trainer={"total_timesteps": 1536})).epoch == 3
    assert capsys.readouterr().err.count("taking the checkpoint before") == 1


def test_folders_of_other_names_among_the_trainer_states_do_no_harm(run: Path, config: Config) -> None:
    for name in ("v²", "vx", "v"):
        (run / "trainer_state" / name).mkdir()
    assert train(config(trainer={"total_timesteps": 2048})).epoch == 4


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\n", b"two words\n", b"x" * 10_000])
def test_an_id_that_is_none_is_drawn_anew(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wandb_id").write_bytes(data)
    drawn = _run_id(tmp_path)
    assert len(drawn) == 8 and _run_id(tmp_path) == drawn
    assert capsys.readouterr().out.count("holds no id") == 1


def test_a_lock_of_any_bytes_tells_whether_a_run_goes_on(run: Path, config: Config) -> None:
    (run / ".lock").write_bytes(b"\xff\xfe\x00" * 100_000)
    assert not is_running(run)
    hold = "import fcntl, sys; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(run / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(UserError, match="in use by process"):
            train(config(trainer={"total_timesteps": 1024}))
        other.communicate(b"\n")
