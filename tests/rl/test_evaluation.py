"""Evaluation while training: what it reports, when, and that it changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.eval.evaluate import evaluate
from metta.eval.in_training import train
from metta.eval.replay.file import read_replay
from metta.eval.settings import EvaluateConfig
from metta.rl.settings import RunConfig

Config = Callable[..., RunConfig]
SUITE = {
    "name": "two",
    "missions": {
        "easy": {"name": "cogsguard_arena.basic", "max_steps": 12, "difficulty": "easy"},
        "large": {"name": "cogsguard_machina_1.basic", "max_steps": 12},
    },
}


def metrics(run: RunConfig) -> list[dict[str, float]]:
    return [json.loads(line) for line in Path(run.system.data_dir, str(run.run), "metrics.jsonl").open()]


def test_a_suite_is_evaluated_every_so_many_epochs(config: Config):
    run = config(evals=SUITE, evaluator={"epoch_interval": 2, "episodes": 3})
    assert train(run).finished
    rows = metrics(run)
    assert [row["metric/epoch"] for row in rows if "eval_two/reward" in row] == [2, 4]
    last = rows[-1]
    means = [last[f"eval_two/{label}/reward"] for label in ("easy", "large")]
    assert last["eval_two/reward"] == pytest.approx(sum(means) / 2)
    assert "eval_two/large/env_agent/heart.gained" in last
    assert last["env_attributes/max_steps"] == 24 and last["env_attributes/map_width"] == 60


def test_without_missions_that_of_the_run_is_evaluated(config: Config):
    run = config(evaluator={"epoch_interval": 4, "episodes": 1})
    train(run)
    assert "eval_training/training/reward" in metrics(run)[-1]


def test_every_nth_evaluation_keeps_the_first_episode_of_each_mission(config: Config):
    run = config(evals=SUITE, evaluator={"epoch_interval": 1, "episodes": 2, "replay_interval": 2})
    train(run)
    folder = Path(run.system.data_dir, "tiny", "replays")
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == [f"{label}.v{epoch}.replay" for label in ("easy", "large") for epoch in (2, 4)]
    header = read_replay(folder / kept[0]).check().header
    assert header.policies == ["tiny:v2"] and header.values and header.max_steps == 12


def test_training_is_the_same_bit_for_bit_with_and_without_evaluation(config: Config):
    weights = []
    for name, interval in (("with", 1), ("without", 0)):
        run = config(run=name, evals=SUITE, evaluator={"epoch_interval": interval, "episodes": 2})
        summary = train(run)
        assert summary.checkpoint
        weights.append((summary.checkpoint / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_what_cannot_be_evaluated_is_refused_before_training(config: Config):
    foreign = {"kind": "gymnasium", "name": "CartPole-v1"}
    run = config(env=foreign, agent={"name": "mlp"}, evaluator={"epoch_interval": 1})
    with pytest.raises(UserError, match=r"evaluator\.epoch_interval"):
        train(run)


def test_what_training_reports_is_what_evaluating_its_checkpoint_gives(
    config: Config, capsys: pytest.CaptureFixture[str]
):
    run = config(evaluator={"epoch_interval": 4, "episodes": 9, "seed": 812})
    train(run)
    reported = metrics(run)[-1]
    job = {"policy_uri": "tiny:v4", "episodes": 9, "seed": 812, "format": "json"}
    system = {"data_dir": run.system.data_dir, "device": "cpu", "workers": 2}
    capsys.readouterr()
    evaluate(EvaluateConfig.model_validate({**job, "system": system}))
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert {name: reported[f"eval_training/training/{name}"] for name in found} == {
        name: pytest.approx(values["mean"], rel=1e-12) for name, values in found.items()
    }
