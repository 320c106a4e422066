"""Runs small enough for a test: 8 environments of 8 agents, episodes of 24 steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta.rl.settings import RunConfig


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in changes.items():
        out[key] = merge(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def tiny(data_dir: Path, **changes: Any) -> RunConfig:
    """Settings of a tiny run, changed by keyword: tiny(data_dir, run="a", trainer={"batch_size": 1024})."""
    base = {
        "run": "tiny",
        "mission": {"name": "cogsguard_arena.basic", "max_steps": 24, "rewards": ["credit"]},
        "agent": {"name": "lstm", "hidden_size": 16},
        "trainer": {
            "total_timesteps": 2048,
            "batch_size": 512,
            "minibatch_size": 128,
            "bptt_horizon": 8,
            "precision": "float32",
            "divergence": {"skips": 0, "returns": 0},
        },
        "training_env": {"map_pool": 4, "num_workers": 1},
        "checkpointer": {"epoch_interval": 1},
        "system": {"data_dir": str(data_dir), "device": "cpu", "threads": 1, "seed": 7},
    }
    return RunConfig.model_validate(merge(base, changes))


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., RunConfig]:
    """`tiny` where a test writes."""
    return lambda **changes: tiny(tmp_path, **changes)
