"""Steps that are left out because a loss or a gradient is no finite number, and runs that go back for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metta.common.commands import DIVERGED, guarded
from metta.common.jsonl import read_rows
from metta.rl.learning.divergence import DivergedError
from metta.rl.learning.losses.base import Loss
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.learning.batches import random_experience, settings_of, small_net, update, updater_of, weights
from tests.rl.learning.test_checks_later import Spoiled
from tests.rl.learning.test_divergence import poisoned

Config = Callable[..., RunConfig]


def spoiled(minibatch: int, what: str) -> Callable[[dict[str, Loss]], dict[str, Loss]]:
    return lambda losses: {**losses, "spoiled": Spoiled(minibatch, what)}


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_spoiled_step_is_left_out_and_counted_and_the_others_are_taken(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(divergence={"skips": 1})
    net = small_net(settings)
    updater = updater_of(net, settings, wrap=spoiled(2, what))
    metrics = update(updater, random_experience(net))
    assert metrics["losses/skipped_steps"] == 1 and metrics["losses/gradient_norm"] > 0
    taken = {int(state["step"]) for state in updater.optimizer.state.values()}
    assert taken == {updater.shape.minibatches - 1} and all(part.isfinite().all() for part in weights(net))
    assert capsys.readouterr().err.count("the step is left out") == 1
    assert update(updater, random_experience(net, 2))["losses/skipped_steps"] == 0


def test_too_many_in_a_row_are_a_divergence_named_by_the_first() -> None:
    settings = settings_of(divergence={"skips": 2})
    net = small_net(settings)
    experience = random_experience(net)
    experience.rewards[2, 3] = 3e38  # all advantages of its segment and so all minibatches' draws
    before = weights(net)
    with pytest.raises(DivergedError, match=r"experience/advantages is .* \(environment"):
        update(updater_of(net, settings), experience)
    assert all(torch.equal(now, then) for now, then in zip(weights(net), before, strict=True))


def test_a_run_that_diverges_goes_back_to_its_checkpoint_with_smaller_steps_and_ends_the_next_time(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    given = poisoned(config, "reward", 3e38, 2 * 32 + 6, "sequential")
    divergence = given.trainer.divergence.model_copy(update={"returns": 1, "slower": 0.25})
    trainer = given.trainer.model_copy(update={"divergence": divergence})

    def run() -> int:
        train(given.model_copy(update={"trainer": trainer}))
        return 0

    assert guarded(run) == DIVERGED
    said = capsys.readouterr().err
    assert "back to it, learning 0.25 times as fast (1 of 1 returns)" in said
    assert said.rstrip().splitlines()[-1].startswith("error: run=tiny: training diverged in epoch 5: ")
    rows = list(read_rows(Path(given.system.data_dir) / "tiny" / "metrics.jsonl"))
    assert [row["metric/epoch"] for row in rows] == [1, 2, 3, 4]
    rates = [row["hyperparameters/learning_rate"] for row in rows]
    assert rates[2] < 0.26 * rates[1] and rates[3] < 0.26 * rates[1]
