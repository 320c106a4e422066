"""Sweeps of a function that takes no time, on a journal and on a PostgreSQL of this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="needs the extra 'sweep'")

from metta.sweep.plan import Plan
from metta.sweep.settings import SweepSettings
from tests.executors.cluster import ray_cluster as ray_cluster
from tests.postgres import postgres as postgres

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    """A plan whose sweep has these settings, with a parameter x from 0 to 1 unless they say otherwise."""

    def make(name: str = "demo", defaults: dict[str, Any] | None = None, total: int = 900, **settings: Any) -> Plan:
        tree = {"parameters": {"x": {"uniform": [0, 1]}}, "budget": {"trials": 6}, "random_trials": 3, **settings}
        sweep = SweepSettings.model_validate(tree)
        return Plan(
            name=name, recipe=None, typed=[], file="demo.yaml", sweep=sweep, data_dir=str(tmp_path / "train_dir"),
            defaults=defaults or {}, total=total,
        )  # fmt: skip

    return make
