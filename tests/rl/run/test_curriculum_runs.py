"""Whole runs over tasks: through the real command, resumed, and refused where tasks are wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metta.config import runner
from metta.config.composition import compose
from metta.config.recipes import resolve
from metta.config.words import parse_word
from metta.game.missions import build_mission
from metta.policy.stored.uri import find_bundle
from metta.rl.experience.curriculum_settings import Choices
from metta.rl.run.metrics import read_metrics
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]
TASKS = {
    "groups": 2,
    "tasks": 3,
    "least_episodes": 4,
    "most_episodes": 12,
    "mission": {
        "name": ["cogsguard_arena.basic", "cogsguard_machina_1.basic"],
        "max_steps": {"range": [6, 12]},
        "map": {"height": {"range": [40, 60]}},
    },
}
TINY = [
    *("agent=lstm", "agent.hidden_size=16", "trainer.total_timesteps=2048", "trainer.batch_size=1024"),
    *("trainer.minibatch_size=512", "trainer.bptt_horizon=16", "training_env.map_pool=16", "curriculum.groups=2"),
    *("curriculum.mission.max_steps={range: [5, 9]}", "evaluator.episodes=1", "device=cpu", "system.threads=1"),
    *(f"evals.missions.{label}.max_steps=8" for label in ("seen", "larger", "poorer", "longer", "hostile")),
]


def test_the_generalist_trains_on_tasks_and_is_judged_by_others_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["recipes.experiment.cogsguard.generalist", "run=g", f"system.data_dir={tmp_path}", *TINY]
    assert runner.run(words) == 0
    said = capsys.readouterr().out
    assert "curriculum: task 0: cogsguard_" in said and "difficulty=" in said and "finished" in said
    first, last = read_metrics(tmp_path / "g" / "metrics.jsonl")
    assert "eval_holdouts/reward" not in first and "eval_holdouts/hostile/reward" in last
    assert last["curriculum/tasks_drawn"] >= 16 and last["curriculum/turns"] > 2
    kinds = ("number", "episodes", "probability", "learning_progress")
    assert all(f"curriculum/task15/{kind}" in last for kind in kinds)
    assert runner.run(["--from", str(tmp_path / "g"), "--dry-run"]) == 0


@pytest.mark.parametrize("teacher", [None, {"policy_uri": "metta://policy/miner", "mode": "supervisor"}])
def test_a_resumed_curriculum_is_bitwise_the_uninterrupted_one(config: Config, teacher: Any) -> None:
    whole, halves = (config(run=run, curriculum=TASKS, teacher=teacher) for run in ("whole", "halves"))
    train(whole)
    interrupted(config(run="halves", curriculum=TASKS, teacher=teacher, trainer={"total_timesteps": 1024}), 2048)
    assert train(halves).finished
    one, other = (read_metrics(folder(settings) / "metrics.jsonl") for settings in (whole, halves))
    assert [without_clock(line) for line in one] == [without_clock(line) for line in other]
    assert one[-1]["curriculum/turns"] > one[1]["curriculum/turns"] > 2
    assert one[-1]["curriculum/tasks_drawn"] > 3
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_another_curriculum_begins_new_episodes(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(curriculum=TASKS, trainer={"total_timesteps": 512}))
    assert train(config(curriculum={**TASKS, "tasks": 4}, trainer={"total_timesteps": 1024})).finished
    assert "changed since the checkpoint (curriculum); new episodes start" in capsys.readouterr().err


def test_phases_may_each_play_tasks(config: Config) -> None:
    phases = {"few": {"total_timesteps": 512, "mission": {"cogs": 2}}, "all": {"total_timesteps": 512}}
    train(both := config(run="both", curriculum=TASKS, phases=phases))
    assert find_bundle("both.few", both.system.data_dir).info.num_agents == 2
    assert find_bundle("both.all", both.system.data_dir).info.num_agents == 8


def test_held_out_missions_lie_outside_of_the_ranges_of_the_generalist() -> None:
    config = compose(resolve(["cogsguard.generalist"]), [parse_word("run=g")]).config
    assert isinstance(config, RunConfig) and config.curriculum
    draws = config.curriculum.draws
    for label, settings in config.evals.missions.items():
        mission, outside = build_mission(settings), [settings.variants] if settings.variants else []
        given = mission.model_dump() | {"difficulty": settings.difficulty}
        for path, one in draws.items():
            value: Any = given
            for part in path.split("."):
                value = value[part]
            ends = one.ends
            inside = value in ends if isinstance(one, Choices) else ends[0] <= value <= ends[-1]
            default = path.partition(".")[0] not in settings.model_fields_set
            outside += [] if inside or default else [path]
        assert bool(outside) == (label != "seen"), f"{label}: {outside}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["curriculum.tasks=3"], "no task is drawn from anything"),
        (["curriculum=learning"], "did you mean learning_progress"),
        (["curriculum.task=3"], "did you mean curriculum.tasks"),
        (["curriculum=generalist", "curriculum.mission.cog.hart_limit=[3]"], "did you mean heart_limit"),
        (["curriculum=generalist", "curriculum.mission.cog.heart_limit={range: [5, 1]}"], "range=[5, 1] is empty"),
        (["curriculum=generalist", "curriculum.mission.cog.heart_limit={range: [1, 5], lin: true}"], "lin"),
        (["curriculum=generalist", "curriculum.mission.hight=[3]"], "unknown key 'curriculum.mission.hight'"),
        (["curriculum=generalist", "curriculum.mission.cogs=[2,4]"], "tasks must fit one policy"),
        (["curriculum=generalist", "curriculum.groups=7"], "curriculum.groups=7 must divide the 256 environments"),
        (["curriculum=generalist", "curriculum.floor=2"], "curriculum.floor=2"),
        (["curriculum=generalist", "env.backend=cuda"], "env.backend=cuda plays one mission"),
    ],
)
def test_what_is_wrong_with_a_curriculum_is_said_in_one_line_with_where_it_came_from(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.run(["cogsguard.train", *words, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert expected in error and len(error.splitlines()) == 1
    assert f"from the word '{words[-1]}'" in error


def test_a_curriculum_describes_its_policy_and_prints_its_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.run(["cogsguard.generalist", "small=true", "run=g", "--describe", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["agent"] == "map"
    assert runner.run(["cogsguard.generalist", "small=true", "run=g", "--cfg", "job"]) == 0
    assert "kind: learning_progress" in capsys.readouterr().out
    assert runner.run(["cogsguard.generalist", "small=true", "run=g", "--dry-run"]) == 0
    assert "tasks by learning progress" in capsys.readouterr().out
