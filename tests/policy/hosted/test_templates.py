"""The templates run as they are written, and are no more than a beginning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.eval.episodes import metrics_by_name, play_episodes
from metta.game.missions import load_mission
from metta.game.observation import env_info
from metta.game.resources import ELEMENTS
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.hosted.submission import create_bundle, validate_bundle
from metta.policy.hosted.templates import make_policy_template
from metta.policy.stored.uri import make_policy

ROOT = Path(__file__).parents[3]
ARENA = load_mission("cogsguard_arena.basic")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)


def played(uri: str, steps: int) -> dict[str, list[float]]:
    policy = make_policy(uri, env_info(ARENA), hosting=Hosting(5_000))
    mission = ARENA.model_copy(update={"max_steps": steps})
    results = metrics_by_name(play_episodes(mission, policy, episodes=2, seed=1))
    assert isinstance(policy, HostedPolicy) and policy.faults.lines() == []
    return results


def test_the_scripted_template_puts_on_gear_and_mines():
    make_policy_template("scripted", Path("my_policy.py"))
    results = played("class=my_policy.MyPolicy", 300)
    mined = [sum(results[f"env_agent/{element}.gained"]) for element in ELEMENTS]
    assert sum(results["env_agent/miner.gained"]) > 0 and sum(mined) > 5


def test_the_trainable_template_trains_and_plays_with_its_weights():
    make_policy_template("trainable", Path("mine.py"))
    command = [sys.executable, "mine.py", "5"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "step 0: loss" in done.stdout, done.stderr
    assert sum(played("mine.MyPolicy,data=mine.safetensors", 10)["env_agent/action.move.success"]) > 0
    bundle = create_bundle("mine.MyPolicy,data=mine.safetensors", Path("submission.zip"))
    assert validate_bundle(bundle, ARENA, action_timeout_ms=5_000).ok


@pytest.mark.parametrize(
    ("kind", "name", "problem"),
    [
        ("scripted", "there.py", "exists; it is not overwritten"),
        ("scripted", "my-policy.py", "a name that Python can import"),
        ("scripted", "my_policy.txt", "a name that Python can import"),
        ("script", "my_policy.py", "did you mean scripted"),
        ("scripted", "there.py/my_policy.py", "cannot be written|exists"),
    ],
)
def test_a_template_that_cannot_be_written_is_told_in_one_line(kind, name: str, problem: str):
    Path("there.py").write_text("mine")
    with pytest.raises(UserError, match=problem):
        make_policy_template(kind, Path(name))
    assert Path("there.py").read_text() == "mine"


def test_the_page_on_policies_of_your_own_runs_as_it_stands(capsys: pytest.CaptureFixture[str]):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "your-policy.md").read_text(), re.DOTALL)
    Path("my_policy.py").write_text(blocks[0])
    for block in blocks[1:]:
        exec(compile(block, "docs/your-policy.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "(2, 8) []" and lines[-1] == "ok"
    assert len(blocks) == 3 and "submission.zip: class my_policy.MyPolicy, 10 steps" in lines[1]
