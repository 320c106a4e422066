"""Whole runs with each optimiser: going on, changing it, and what graphs say of it."""

from collections.abc import Callable

import pytest
import torch

from metta.policy.stored.uri import find_bundle
from metta.rl.learning.graphs import obstacle
from metta.rl.run.metrics import read_metrics
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]


@pytest.mark.parametrize("kind", ["schedulefree_adamw", "muon"])
def test_a_run_that_stopped_goes_on_with_its_optimiser_bit_for_bit(config: Config, kind: str) -> None:
    trainer = {"optimizer": {"type": kind, "weight_decay": 0.01}}
    whole, halves = config(run="whole", trainer=trainer), config(run="halves", trainer=trainer)
    train(whole)
    interrupted(config(run="halves", trainer={**trainer, "total_timesteps": 1024}), whole.trainer.total_timesteps)
    assert train(halves).finished
    one, other = (read_metrics(folder(settings) / "metrics.jsonl") for settings in (whole, halves))
    assert [without_clock(line) for line in one] == [without_clock(line) for line in other]
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_another_optimiser_begins_anew_with_a_line(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(trainer={"total_timesteps": 1024}))
    assert train(config(trainer={"optimizer": {"type": "schedulefree_adamw"}})).finished
    assert capsys.readouterr().err.count("goes on with another optimiser than before") == 1


@pytest.mark.parametrize("kind", ["schedulefree_adamw", "muon"])
def test_graphs_do_without_optimisers_that_read_numbers_on_the_processor(config: Config, kind: str) -> None:
    settings = config(env={"backend": "cuda"}, trainer={"optimizer": {"type": kind}})
    assert f"trainer.optimizer.type={kind}" in str(obstacle(settings, torch.device("cuda")))
