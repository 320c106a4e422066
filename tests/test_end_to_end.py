"""The main path through the real command: train, stop, go on, evaluate, watch; and what bad input says."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TRAIN = "recipes.experiment.cogsguard.train"
SMALL = (
    "agent=lstm", "mission=aligner_tutorial", "mission.max_steps=100", "trainer.batch_size=2048",
    "trainer.minibatch_size=1024", "training_env.map_pool=8", "device=cpu",
)  # fmt: skip


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "tools/run.py", *words, f"system.data_dir={folder}"]


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, *words), cwd=ROOT, capture_output=True, text=True, timeout=300)


def epochs(folder: Path) -> list[int]:
    return [json.loads(line)["metric/epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one short finished run, `demo`."""
    folder = tmp_path_factory.mktemp("train_dir")
    done = call(folder, TRAIN, "run=demo", *SMALL, "trainer.total_timesteps=8192", "checkpointer.epoch_interval=2")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_leaves_checkpoints_state_tree_and_metrics(trained: Path):
    run = trained / "demo"
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["demo:v2", "demo:v4"]
    files = {p.name for p in (run / "checkpoints" / "demo:v4").iterdir()}
    assert {"model.safetensors", "policy_spec.json"} <= files
    assert (run / "config.yaml").is_file() and epochs(run) == [1, 2, 3, 4]
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("overview/sps", "losses/approx_kl", "env_agent/heart.gained", "overview/reward"):
        assert name in last


def test_a_longer_total_goes_on_where_the_run_stopped(trained: Path):
    done = call(trained, TRAIN, "run=demo", *SMALL, "trainer.total_timesteps=12288")
    assert done.returncode == 0 and "going on from v4" in done.stdout + done.stderr
    assert epochs(trained / "demo") == [1, 2, 3, 4, 5, 6]


def test_kill_9_loses_at_most_one_checkpoint_interval(tmp_path: Path):
    words = (TRAIN, "run=killed", *SMALL, "trainer.total_timesteps=100_000_000", "checkpointer.epoch_interval=3")
    process = subprocess.Popen(command(tmp_path, *words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    run = tmp_path / "killed"
    wait_for(lambda: (run / "metrics.jsonl").is_file() and len(epochs(run)) >= 10, process)
    process.kill()
    process.wait()
    reached = max(epochs(run))
    again = subprocess.Popen(command(tmp_path, *words), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert again.stdout is not None
    line = next(text for text in again.stdout if "going on from v" in text)
    assert reached - int(line.rsplit("v", 1)[1]) <= 3
    again.send_signal(signal.SIGTERM)
    rest = again.stdout.read()
    assert again.wait(60) == 0 and rest.endswith("; stopped\nthe same command goes on from here\n")


def test_a_run_that_nobody_named_says_the_word_that_goes_on_with_it(tmp_path: Path):
    words = (TRAIN, *SMALL, "trainer.max_minutes=1e-9")
    done = call(tmp_path, *words)
    [run] = tmp_path.iterdir()
    assert done.returncode == 0 and done.stdout.endswith(f"the same command with run={run.name} goes on from here\n")


def wait_for(condition: object, process: subprocess.Popen[bytes]) -> None:
    """Wait until the condition holds; fail when the process ends before."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        assert process.poll() is None, process.stdout and process.stdout.read()
        if callable(condition) and condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited too long")


def test_evaluate_prints_one_json_document(trained: Path):
    done = call(trained, "cogsguard.evaluate", "run=demo", "episodes=3", "--format", "json")
    document = json.loads(done.stdout)
    reward = document["metrics"]["reward"]
    assert len(reward["per_episode"]) == 3 and document["mission"] == "cogsguard_arena.aligner_tutorial"
    assert reward["ci95"][0] <= reward["mean"] <= reward["ci95"][1]
    again = json.loads(call(trained, "cogsguard.evaluate", "run=demo", "episodes=3", "format=json").stdout)
    assert again == document
    assert (
        yaml.safe_load(call(trained, "cogsguard.evaluate", "run=demo", "episodes=3", "--format", "yaml").stdout)
        == again
    )


@pytest.mark.parametrize("render", ["log", "unicode"])
def test_play_shows_the_episode_and_a_table(trained: Path, render: str):
    done = call(trained, "cogsguard.play", "policy_uri=random", f"render={render}", "max_steps=20")
    assert done.returncode == 0, done.stderr
    assert "step 20/20" in done.stdout and "hearts gained" in done.stdout


def test_play_names_the_version_that_plays(trained: Path):
    done = call(trained, "cogsguard.play", "run=demo", "render=none", "max_steps=5")
    assert re.search(r"demo:v\d+ plays cogsguard_arena\.aligner_tutorial", done.stdout), done


def test_a_second_run_of_the_same_name_is_refused(tmp_path: Path):
    words = (TRAIN, "run=twice", *SMALL, "trainer.total_timesteps=100_000_000")
    first = subprocess.Popen(command(tmp_path, *words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for((tmp_path / "twice" / "metrics.jsonl").is_file, first)
    second = call(tmp_path, *words)
    first.kill()
    first.wait()
    assert second.returncode == 2
    assert one_line(second.stderr) and "twice" in second.stderr


def one_line(text: str) -> bool:
    return "Traceback" not in text and len(text.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("recipes.experiment.cogsgard.train",), "cogsguard"),
        ((TRAIN, "trainer.total_timestep=5"), "trainer.total_timesteps"),
        ((TRAIN, "mission=cogsguard_arena.basik"), "cogsguard_arena.basic"),
        ((TRAIN, "agent=lstn"), "lstm"),
        ((TRAIN, "trainer.batch_size=10_000"), "nearest"),
        (("cogsguard.evaluate", "policy_uri=randon"), "random"),
        (("cogsguard.play", "policy_uri=random", "render=unicod"), "unicode"),
    ],
)
def test_bad_input_gets_one_line_with_the_nearest_name(tmp_path: Path, words: tuple[str, ...], expected: str):
    done = call(tmp_path, *words)
    assert done.returncode == 2 and one_line(done.stderr) and expected in done.stderr, done.stderr


def test_a_checkpoint_cut_in_half_is_refused_and_the_one_before_plays(trained: Path):
    newest = max((trained / "demo" / "checkpoints").iterdir(), key=lambda p: int(p.name.rsplit("v", 1)[1]))
    weights = newest / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    try:
        named = call(trained, "cogsguard.evaluate", f"policy_uri={newest}", "episodes=1")
        latest = call(trained, "cogsguard.evaluate", "run=demo", "episodes=1", "format=json")
    finally:
        weights.write_bytes(whole)
    assert named.returncode == 2 and one_line(named.stderr) and newest.name in named.stderr
    assert latest.returncode == 0 and "taking the one before" in latest.stderr and json.loads(latest.stdout)


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = call(tmp_path / "file", TRAIN, "run=x", *SMALL, "trainer.total_timesteps=2048")
    assert done.returncode == 2 and one_line(done.stderr) and "system.data_dir" in done.stderr


def test_the_run_can_be_repeated_from_its_folder(trained: Path):
    done = call(trained, "--from", str(trained / "demo"), "run=again", "trainer.total_timesteps=8192")
    assert done.returncode == 0, done.stderr
    first, again = (
        [json.loads(line) for line in (trained / name / "metrics.jsonl").read_text().splitlines()[:4]]
        for name in ("demo", "again")
    )
    for before, after in zip(first, again, strict=True):
        assert before["losses/policy_loss"] == after["losses/policy_loss"]
        assert before["experience/rewards"] == after["experience/rewards"]
