"""A worker: leases jobs of a league's server, plays them, and says what came of them, until it is told to stop."""

import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.eval.episodes import StopPlayingError
from metta.eval.match import engine_version
from metta.eval.playing import Progress, close_policies
from metta.league.client import Client, NoAnswerError, ServerError
from metta.league.playing import CulpritError, play, seat, try_out
from metta.league.work import Job, Jobs, Lost

IDLE = 1.0  # seconds between questions for work
LONGEST_WAIT = 30.0  # seconds between tries to reach a server that is gone
TRIES = 8  # to tell a result
BEATS = 4  # in the time after which a job is lost
CACHE_BYTES = 4 << 30  # of bundles that are kept


class Worker:
    """One process that plays one job at a time."""

    def __init__(self, client: Client, trust_code: bool, most: int = 4) -> None:
        """`most`: jobs that are leased at a time, so that the next begins without a question."""
        self._client, self._trust_code, self._most = client, trust_code, most
        self._name = f"{socket.gethostname()}-{os.getpid()}"[:64]
        self._engine = engine_version()
        self._held: dict[str, Job] = {}
        self._current: tuple[str, Progress] | None = None
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a server that is gone is waited for. Raises UserError where it refuses."""
        wait = IDLE
        with TemporaryDirectory(prefix="metta-league-") as folder, self._beating():
            while not stop.is_set():
                try:
                    jobs, wait = self._lease(), IDLE
                except NoAnswerError as error:
                    warn(f"{error}; trying again")
                    stop.wait(wait)
                    wait = min(LONGEST_WAIT, 2 * wait)
                    continue
                except ServerError as error:
                    if error.status in (401, 403):
                        raise
                    stop.wait(max(IDLE, error.wait))
                    continue
                self._do_all(jobs, Path(folder), stop)
                if not jobs:
                    stop.wait(IDLE)

    def run_once(self) -> bool:
        """Do what there is to do now, without signs of life; False where there was nothing."""
        jobs = self._lease()
        with TemporaryDirectory(prefix="metta-league-") as folder:
            self._do_all(jobs, Path(folder), threading.Event())
        return bool(jobs)

    def _do_all(self, jobs: list[Job], folder: Path, stop: threading.Event) -> None:
        for job in jobs:
            if stop.is_set():
                self._fail(job, "the worker was stopped")
            else:
                self._do(job, folder)

    def _lease(self) -> list[Job]:
        asked = {"worker": self._name, "engine": self._engine, "most": self._most}
        jobs = Jobs.model_validate(self._client.post("/work/leases", asked)).jobs
        with self._lock:
            self._held = {str(job.id): job for job in jobs}
        return jobs

    def _do(self, job: Job, folder: Path) -> None:
        """Do a job and tell of it; what goes wrong is told too, and another worker tries it."""
        with self._lock:
            if str(job.id) not in self._held:
                return
            progress = Progress()
            self._current = (str(job.id), progress)
        try:
            answer = self._validate(job, folder) if job.kind == "validate" else self._play(job, folder, progress)
            self._tell(job, *answer)
        except StopPlayingError:
            note(f"{job.kind} {job.id}: lost, another worker has it")
        except CulpritError as error:
            self._fail(job, str(error), [error.place])
        except (ServerError, NoAnswerError) as error:
            self._fail(job, str(error))
        except Exception as error:  # whatever a stranger's policy may cause; the job is tried by another worker
            self._fail(job, f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._held.pop(str(job.id), None)
                self._current = None

    def _validate(self, job: Job, folder: Path) -> tuple[str, dict[str, Any]]:
        try:
            seated = seat(job.match, self._bundles(job, folder), self._trust_code)
        except CulpritError as error:
            return "validated", {"reason": str(error)}
        try:
            reason = try_out(job.match, seated[0])
        finally:
            close_policies([one.policy for one in seated])
        if reason:
            return "validated", {"reason": reason}
        return "validated", {"digest": seated[0].digest, "kind": seated[0].kind}

    def _play(self, job: Job, folder: Path, progress: Progress) -> tuple[str, dict[str, Any]]:
        replays = folder / "replays" if job.replays else None
        seated = seat(job.match, self._bundles(job, folder), self._trust_code)
        try:
            result = play(job.match, seated, progress, replays)
        finally:
            close_policies([one.policy for one in seated])
        if replays:
            for row, address in zip(result.episodes, job.replays, strict=True):
                if row.replay:
                    self._client.put_file(address, replays / row.replay, "application/octet-stream")
                    row.replay = None  # it is the server's now
            shutil.rmtree(replays)
        return "played", {"result": result.model_dump(mode="json")}

    def _bundles(self, job: Job, folder: Path) -> list[tuple[str, Path]]:
        """Name and file of each player's bundle, downloaded once."""
        found = []
        for bundle in job.bundles:
            path = folder / f"{bundle.sha256}.zip"
            if not path.exists():
                data = self._client.get_file(bundle.url)
                if hashlib.sha256(data).hexdigest() != bundle.sha256:
                    raise NoAnswerError(f"{bundle.name}: came damaged")
                _make_room(folder, len(data))
                path.write_bytes(data)
            path.touch()
            found.append((bundle.name, path))
        return found

    def _fail(self, job: Job, error: str, culprits: list[int] | None = None) -> None:
        warn(f"{job.kind} {job.id}: {error}")
        with suppress(UserError):  # its lease runs out
            self._tell(job, "failed", {"error": error[:2000], "culprits": culprits or []})

    def _tell(self, job: Job, what: str, document: dict[str, Any]) -> None:
        """Tell the server; where it does not answer, again: what counts is counted once. Raises ServerError,
        NoAnswerError."""
        for attempt in range(TRIES):
            try:
                self._client.post(f"/work/jobs/{job.id}/{what}", {"lease": str(job.lease), **document})
                return
            except (NoAnswerError, ServerError) as error:
                if isinstance(error, ServerError) and error.status == 409:
                    note(f"{job.kind} {job.id}: lost, another worker has it")
                    return
                again = isinstance(error, NoAnswerError) or error.status in (429, 503, 507)
                if not again or attempt == TRIES - 1:
                    raise
                time.sleep(min(LONGEST_WAIT, 0.5 * 2**attempt))

    @contextmanager
    def _beating(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over,), daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: threading.Event) -> None:
        wait = IDLE
        while not over.wait(wait):
            with self._lock:
                held = list(self._held.values())
            if not held:
                wait = IDLE
                continue
            wait = min(job.seconds for job in held) / BEATS
            sheet = {"jobs": [{"id": str(job.id), "lease": str(job.lease)} for job in held]}
            with suppress(UserError):  # a server that is gone may be back at the next beat
                lost = Lost.model_validate(self._client.post("/work/beats", sheet)).lost
                self._drop({str(job_id) for job_id in lost})

    def _drop(self, lost: set[str]) -> None:
        with self._lock:
            self._held = {job_id: job for job_id, job in self._held.items() if job_id not in lost}
            if self._current and self._current[0] in lost:
                self._current[1].stopped.set()


def _make_room(folder: Path, size: int) -> None:
    """Forget the bundles that were used longest ago."""
    kept = sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime)
    total = size + sum(path.stat().st_size for path in kept)
    for path in kept:
        if total <= CACHE_BYTES:
            return
        total -= path.stat().st_size
        path.unlink()
