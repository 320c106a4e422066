"""Runs beside NPCs: whom they meet, what they report, resuming, and what is refused."""

import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from metta.common.errors import UserError
from metta.policy.uri import find_bundle
from metta.rl.build import plan
from metta.rl.dual_policy import DualPolicySettings
from metta.rl.metrics import read_metrics
from metta.rl.opponents import METRIC, Opponents, Record, load_npc, short_name
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.test_npcs import beside
from tests.rl.test_teacher import save_net
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]
ROOT = Path(__file__).parents[2]
REWARDS = ("policy_a_reward", "npc_reward", "combined_reward")


def lines_of(config: RunConfig) -> list[dict[str, float]]:
    return read_metrics(folder(config) / "metrics.jsonl")


@pytest.mark.parametrize(
    ("agents", "share", "learners"),
    [(8, 0.5, 4), (8, 0.01, 1), (8, 0.99, 7), (8, 0.3, 2), (8, 1.0, 8), (2, 0.9, 1), (3, 0.5, 2), (1, 1.0, 1)],
)
def test_a_share_of_the_agents_learns_and_of_either_side_there_is_one(agents: int, share: float, learners: int) -> None:
    settings = DualPolicySettings.model_validate(beside("noop", policy_a_percentage=share)["dual_policy"])
    assert settings.learners(agents) == learners


def test_both_sides_are_reported_and_only_what_is_learned_counts_as_training(config: Config) -> None:
    """The trained side of the junction game is paid what the team is, so both sides' means are equal there."""
    settings = config(trainer=beside("random", policy_a_percentage=0.25), mission={"rewards": []})
    summary = train(settings)
    assert summary.agent_steps == 2048
    for line in lines_of(settings):
        assert line["dual_policy/policy_a_agent_count"] == 32 * 2 and line["dual_policy/npc_agent_count"] == 32 * 6
        assert line["dual_policy/npc_agent_steps"] == 3 * 512
        own, npc, both = (line[f"dual_policy/{name}_total"] for name in REWARDS)
        assert own + npc == pytest.approx(both)
        means = [own / 512, npc / 1536, both / 2048]
        assert [line[f"dual_policy/{name}"] for name in REWARDS] == pytest.approx(means)
        assert line["dual_policy/policy_a_reward"] == pytest.approx(line["experience/rewards"])
        assert line[f"{METRIC}/random/probability"] == 1
        assert line["timing_per_epoch/msec/npc"] > 0
