"""Weights & Biases: metrics and checkpoints go there when asked, and nothing that happens there touches the run."""

import json
import os
import queue
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from metta.common.errors import UserError
from metta.common.files import read_text
from metta.common.logging import note, warn
from metta.common.plain_yaml import dump
from metta.common.wandb_client import ARTIFACT_TYPE, artifact_name, logged_in, one_line, wandb_client
from metta.policy.stored.bundle import SPEC
from metta.rl.run.metrics import EPOCH, SCORE, Metrics
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.settings import WandbSettings

ID_FILE, ID, MOST_ID_BYTES = "wandb_id", re.compile(r"[\w-]{1,128}"), 200
INIT_SECONDS = 10  # to wait for an answer when connecting
OPEN_SECONDS = 60  # for a record on this machine, which waits for nobody
RETRY_SECONDS = (2.0, 10.0)  # pauses before connecting again
FINISH_SECONDS = 10  # to wait for the last reports at the end of a run
END_SECONDS = 10  # for the client's service to end after that
QUEUE_LENGTH = 2_000
X_AXIS = "metric/agent_step"
TREE = "composed_tree.yaml"

Send = Callable[[Any], None]  # takes the client's record of the run


class WandbLogger:
    """Sends to W&B from a thread of its own. Without a connection the record is kept in the run's folder instead."""

    def __init__(self, settings: WandbSettings, folder: RunFolder, tree: dict[str, Any], code: dict[str, Any]) -> None:
        self.settings, self.folder, self.tree, self.code = settings, folder, tree, code
        self._queue: queue.Queue[Send] = queue.Queue(QUEUE_LENGTH)
        self._left_out = 0
        self._unsent: list[Path] = []  # online records of which some may be on this machine only
        self._score: float | None = None
        self._finishing, self._exit_code = threading.Event(), 0
        self._given_up = False
        self._thread: threading.Thread | None = None
        if settings.mode != "off":
            self._thread = threading.Thread(target=self._run, daemon=True, name="wandb")
            self._thread.start()

    def log(self, metrics: Metrics) -> None:
        """Hand over one report. Never waits: when W&B lags far behind, reports are left out there."""
        self._score = metrics.get(SCORE, self._score)
        # The epoch as step: a resumed run that repeats epochs repeats steps, which W&B drops.
        self._put(lambda record: record.log(metrics, step=int(metrics[EPOCH]), commit=True))

    def log_checkpoint(self, bundle: Path, epoch: int, agent_steps: int, passing: bool, best: bool = False) -> None:
        """Hand over a checkpoint, to be kept as a version of the run's artifact; `passing` ones may soon be removed.
        It is the `best` there from now on."""
        if self.settings.checkpoints:
            facts = {"run": self.folder.name, "epoch": epoch, "agent_steps": agent_steps, "score": self._score}
            aliases = ["latest", *(["best"] if best else []), f"epoch-{epoch}"]
            self._put(partial(_log_checkpoint, bundle, facts, aliases, passing))

    def finish(self) -> None:
        """Send what is waiting, for a bounded time, and say what is still to be sent."""
        if self._thread is None:
            return
        self._exit_code = int(sys.exc_info()[0] is not None)
        self._finishing.set()
        self._thread.join(2 * INIT_SECONDS + FINISH_SECONDS)
        self._given_up = self._thread.is_alive()
        self._end_client()
        if self._left_out:
            warn(f"wandb: {self._left_out} reports left out there; metrics.jsonl has them all")
        if waiting := [*self._unsent, *offline_records(self.folder.path)]:
            command = shlex.join(["wandb", "sync", "--include-online", *map(str, waiting)])
            how = "not all of it is there yet; to send the rest" if self._unsent else "kept on this machine; to send it"
            note(f"wandb: {how}: {command}")
        elif self._given_up:
            warn("wandb: no answer, given up; metrics.jsonl has everything")

    def _put(self, send: Send) -> None:
        if self._thread is not None and self._thread.is_alive():
            try:
                self._queue.put_nowait(send)
            except queue.Full:
                self._left_out += 1

    def _run(self) -> None:
        """Send until the end. An error on the way is answered by a record on this machine, one there ends it."""
        try:
            record = self._connect() if self._may_connect() else None
            online = record is not None
            record = record or self._init("offline")
            for send in self._waiting():
                try:
                    send(record)
                except Exception as error:
                    if not online:
                        raise
                    note(f"wandb: lost ({one_line(error)}); logging offline")
                    self._reset_client()
                    record, online = self._init("offline"), False
                    send(record)
            record.finish(exit_code=self._exit_code)
            if online:
                self._unsent.clear()
        except TimeoutError:  # of finish; `_unsent` names the record
            pass
        except Exception as error:  # whatever a third-party service does, training goes on
            if self._given_up:
                return
            warn(f"wandb: {one_line(error)}; going on without it, metrics.jsonl has everything")

    def _waiting(self) -> Iterator[Send]:
        """What is handed over, until the run is over and all is sent."""
        while True:
            try:
                yield self._queue.get(timeout=0.2)
            except queue.Empty:
                if self._finishing.is_set():
                    return

    def _may_connect(self) -> bool:
        if self.settings.mode == "online" and not logged_in():
            note("wandb: no login found (wandb login, or WANDB_API_KEY); logging offline")
            return False
        return self.settings.mode == "online"

    def _connect(self) -> Any | None:
        """The record at W&B; None after some vain attempts."""
        wandb = wandb_client()
        why = ""
        for pause in (0.0, *RETRY_SECONDS):
            if why and self._finishing.wait(pause):
                break
            try:
                return self._init("online")
            except Exception as error:
                why = one_line(error)
                self._reset_client()
                if isinstance(error, wandb.errors.AuthenticationError | wandb.errors.UsageError):
                    break
        note(f"wandb: no connection ({why}); logging offline")
        return None

    @staticmethod
    def _reset_client() -> None:
        """End the client's service, which may be dead already; else the id counts as in use."""
        with suppress(Exception):
            wandb_client().teardown()

    def _end_client(self) -> None:
        """End the client's service, which would keep this process until it has ended: by asking it, else by force."""
        ending = threading.Thread(target=self._reset_client, daemon=True, name="wandb-end")
        ending.start()
        ending.join(0 if self._given_up else END_SECONDS)
        if ending.is_alive():
            for process in _services():
                with suppress(psutil.Error):
                    process.kill()
            ending.join(END_SECONDS)

    def _init(self, mode: str) -> Any:
        wandb, settings = wandb_client(), self.settings
        record = wandb.init(
            project=settings.project,
            entity=settings.entity,
            group=settings.group,
            tags=settings.tags,
            notes=settings.notes,
            name=self.folder.name,
            id=_run_id(self.folder.path),
            dir=str(self.folder.path),
            config={**self.tree, "code": self.code},
            resume="allow",
            mode=mode,
            settings=wandb.Settings(
                init_timeout=INIT_SECONDS if mode == "online" else OPEN_SECONDS,
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
                silent=True,
                console="off",
            ),
        )
        if mode == "online":
            self._unsent = [Path(record.settings.sync_dir)]
            note(f"wandb: {record.url}")
        record.define_metric("*", step_metric=X_AXIS)
        tree = Path(record.dir) / TREE
        tree.write_text(dump(self.tree))
        record.save(str(tree), base_path=record.dir, policy="now")
        return record


def _log_checkpoint(bundle: Path, facts: dict[str, Any], aliases: list[str], passing: bool, record: Any) -> None:
    """The bundle's files at the root of a new version of the artifact. A failure costs this one, not the record."""
    try:
        _add_version(bundle, facts, aliases, passing, record)
    except Exception as error:
        warn(f"wandb: checkpoint {bundle.name} not sent ({one_line(error)})")


def _add_version(bundle: Path, facts: dict[str, Any], aliases: list[str], passing: bool, record: Any) -> None:
    spec = json.loads((bundle / SPEC).read_bytes())
    artifact = wandb_client().Artifact(artifact_name(facts["run"]), ARTIFACT_TYPE, metadata={**facts, "spec": spec})
    for file in sorted(bundle.iterdir()):
        artifact.add_file(str(file), policy="mutable" if passing else "immutable", skip_cache=True)
    record.log_artifact(artifact, aliases=aliases)


def _services() -> list[psutil.Process]:
    """The client's processes that this one has started, and theirs."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.name().startswith("wandb"):
                found += [child, *child.children(recursive=True)]
    return found


def offline_records(run: Path) -> list[Path]:
    """Records in a run's folder that W&B has not been sent."""
    folders = sorted((run / "wandb").glob("offline-run-*"))
    return [folder for folder in folders if not list(folder.glob("*.synced"))]


def _run_id(run: Path) -> str:
    """The run's id at W&B, drawn once and kept, so that a resumed run goes on in the same record."""
    path = run / ID_FILE
    if path.is_file():
        with suppress(UserError):
            if ID.fullmatch(kept := read_text(path, MOST_ID_BYTES).strip()):
                return kept
        note(f"wandb: {path} holds no id; the run goes on in a new record there")
    drawn = os.urandom(4).hex()
    path.write_text(f"{drawn}\n")
    return drawn
