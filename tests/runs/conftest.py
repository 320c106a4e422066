"""Runs that nobody trained, and the tools as a shell starts them, in this process."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from metta.common.wandb_client import wandb_client
from tests.wandb_server import KEY, WandbServer, serving

ROOT = Path(__file__).parents[2]


def line(epoch: int, **values: float) -> dict[str, float]:
    """A row of metrics.jsonl: 1,000 agent-steps per epoch; `__` in a name stands for a slash, `_0` for a dot."""
    named = {name.replace("__", "/").replace("_0", "."): value for name, value in values.items()}
    return {"metric/epoch": epoch, "metric/agent_step": epoch * 1000, **named}


def tree(**branches: Any) -> dict[str, Any]:
    return {"mission": {"name": "cogsguard_arena.basic"}, "trainer": {"total_timesteps": 3000}, **branches}


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A run in tmp_path/train_dir, as training leaves it."""

    def make(
        name: str,
        config: dict[str, Any] | None = None,
        rows: list[dict[str, float]] | None = None,
        checkpoints: int = 0,
        start: str = "2026-01-16T12:00:00+00:00",
    ) -> Path:
        folder = tmp_path / "train_dir" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"run": name, **(config or tree())}))
        rows = [line(epoch, overview__reward=epoch / 2) for epoch in (1, 2, 3)] if rows is None else rows
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        facts = {"time": start, "epoch": 0, "version": "0.1.0", "commit": "c0ffee", "dirty": False}
        (folder / "starts.jsonl").write_text(json.dumps(facts) + "\n")
        (folder / ".lock").touch()
        for epoch in range(1, checkpoints + 1):
            bundle = folder / "checkpoints" / f"{name}:v{epoch}"
            bundle.mkdir(parents=True)
            (bundle / "model.safetensors").write_bytes(b"w" * 100_000)
        return folder

    return make


@pytest.fixture
def tool(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Outcome]:
    """Starts tools/NAME.py with words, in tmp_path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))

    def call(name: str, *words: str) -> Outcome:
        spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        capsys.readouterr()
        code = module.main(list(words))
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is logged in at W&B."""
    for name in ("WANDB_API_KEY", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb_config"))
    _forget_login()


@pytest.fixture
def server(nobody: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbServer]:
    """W&B on this machine, with someone logged in."""
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with serving() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server
    _forget_login()


def _forget_login() -> None:
    if "wandb" in sys.modules:
        with suppress(Exception):
            wandb_client().teardown()
