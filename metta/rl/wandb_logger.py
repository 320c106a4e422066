"""Weights & Biases: metrics go there when asked, and nothing that happens there touches the run."""

import logging
import netrc
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from metta.common.logging import note, warn
from metta.rl.metrics import Metrics
from metta.rl.settings import WandbSettings

ID_FILE = "wandb_id"
INIT_SECONDS = 15
FINISH_SECONDS = 20
QUEUE_LENGTH = 10_000
X_AXIS = "metric/agent_step"


class WandbLogger:
    """Sends metrics to W&B from a thread of its own; the first error ends the sending, never the run."""

    def __init__(self, settings: WandbSettings, run: str, folder: Path, config: dict[str, Any]) -> None:
        self._queue: queue.Queue[Metrics | None] = queue.Queue(QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        if settings.mode != "off":
            start = partial(_start, settings, run, folder, config)
            self._thread = threading.Thread(target=self._send_all, args=(start,), daemon=True, name="wandb")
            self._thread.start()

    def log(self, metrics: Metrics) -> None:
        """Hand over one report. Never waits: when W&B lags far behind, reports are left out there."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._queue.put_nowait(metrics)

    def finish(self) -> None:
        """Send what is waiting, for a bounded time."""
        if self._thread is None:
            return
        with suppress(queue.Full):
            self._queue.put(None, timeout=1)
        self._thread.join(FINISH_SECONDS)
        if self._thread.is_alive():
            warn("wandb: still sending; what is missing there is in metrics.jsonl")

    def _send_all(self, start: Callable[[], Any]) -> None:
        try:
            record = start()
            while (metrics := self._queue.get()) is not None:
                record.log(metrics)
            record.finish()
        except Exception as error:  # whatever a third-party service does, training goes on
            warn(f"wandb: {_line(error)}; going on without it, metrics.jsonl has everything")


def _start(settings: WandbSettings, run: str, folder: Path, config: dict[str, Any]) -> Any:
    """Open the run's record; offline when nobody is logged in."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb  # here because it takes a second that runs without it need not wait

    logging.getLogger("wandb").setLevel(logging.ERROR)
    online = settings.mode == "online" and _logged_in(wandb)
    if settings.mode == "online" and not online:
        note("wandb: no login found (wandb login, or WANDB_API_KEY); logging offline")
    init = partial(
        wandb.init,
        project=settings.project,
        entity=settings.entity,
        group=settings.group,
        tags=settings.tags,
        notes=settings.notes,
        name=run,
        id=_run_id(folder),
        dir=str(folder),
        config=config,
        resume="allow",
        settings=wandb.Settings(init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS, silent=True, console="off"),
    )
    try:
        record = init(mode="online" if online else "offline")
    except Exception as error:
        if not online:
            raise
        note(f"wandb: no connection ({_line(error)}); logging offline, `wandb sync` sends it later")
        wandb.teardown()  # else the id counts as in use
        record = init(mode="offline")
    record.define_metric("*", step_metric=X_AXIS)
    return record


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _logged_in(wandb: ModuleType) -> bool:
    """Whether a key is there, without asking for one."""
    if os.environ.get("WANDB_API_KEY") or wandb.setup().settings.api_key:
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _run_id(folder: Path) -> str:
    """The run's id at W&B, drawn once and kept, so that a resumed run goes on in the same record."""
    path = folder / ID_FILE
    if not path.exists():
        path.write_text(os.urandom(4).hex() + "\n")
    return path.read_text().strip()
