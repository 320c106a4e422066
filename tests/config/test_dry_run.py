"""--dry-run refuses what would fail at once: devices, policies and files that are not there, cogs without room."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
NPC = "trainer.dual_policy.enabled=true trainer.dual_policy.npc_type="
ABSENT = "neither a built-in policy, a file, a bundle nor a run"
FAULTS = [
    ("train mission.cogs=32", "room for 1 to 20 agents", "mission.cogs=32"),
    ("train mission=cogsguard_machina_1 mission.cogs=64", "agents of a team", "mission.cogs=64"),
    ("train teacher.policy_uri=role", "both 0", "teacher.policy_uri=role"),
    ("train teacher.policy_uri=nosuch teacher.teacher_led_proportion=1", ABSENT, "teacher.policy_uri=nosuch"),
    ("train init_from=nosuch:v3", ABSENT, "init_from=nosuch:v3"),
    ("train init_from=random", "has no weights", "init_from=random"),
    (f"train {NPC}checkpoint trainer.dual_policy.checkpoint_npc.checkpoint_path=a/b.pt", ABSENT, "checkpoint_path"),
    (f"train {NPC}scripted trainer.dual_policy.scripted_npc.policy_uri=rol", "did you mean role", "policy_uri=rol"),
    ("train system.nproc=gpu device=cpu", "system.nproc=gpu: there is none", "system.nproc=gpu"),
    ("evaluate policy_uri=class=nosuch.Policy", "there is no module nosuch", "policy_uri"),
    ("evaluate policy_uri=random mission=basic mission.cogs=33", "room for 1 to 20 agents", "mission.cogs=33"),
    ("play policy_uri=role?minr=4", "did you mean miner?", "policy_uri=role?minr=4"),
    ("evaluate", "nothing to play", "the defaults"),
    ("train system.data_dir=/dev/null/runs", "/dev/null is no folder", "system.data_dir=/dev/null/runs"),
    ("play policy_uri=role save_replay_file=/dev/null/a.replay", "/dev/null is no folder", "save_replay_file="),
]


@pytest.mark.parametrize(("words", "problem", "blamed"), FAULTS)
def test_what_would_fail_at_once_is_refused(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, problem: str, blamed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe, *given = words.split()
    outcome = run(f"cogsguard.{recipe}", *given, "--dry-run")
    assert (outcome.code, outcome.out) == (2, "")
    assert problem in outcome.err and blamed in outcome.err.rpartition("from ")[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_refused(run: Runner) -> None:
    outcome = run("cogsguard.evaluate", "policy_uri=random", "device=cuda", "--dry-run")
    assert outcome.code == 2 and "it has cpu" in outcome.err and outcome.err.endswith("the word 'device=cuda'\n")


def test_nothing_is_fetched_and_no_code_runs(run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')")
    for uri in ("class=mine.Policy", "s3://127.0.0.1:1/nowhere", "wandb://nobody/nothing/none"):
        outcome = run("cogsguard.evaluate", f"policy_uri='{uri}'", "mission=cogsguard_arena.basic", "--dry-run")
        assert outcome.code == 0, outcome.err
