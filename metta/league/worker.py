"""A worker: leases jobs of a league's server, plays them, and says what came of them, until it is told to stop. As a
module it is one beside a server, which gives it what `Hiring` says."""

import hashlib
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metta.common.background import in_background
from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.settings import Settings
from metta.eval.episodes import StopPlayingError
from metta.eval.match import engine_version
from metta.eval.playing import Progress
from metta.executors.process import received
from metta.league.client import Client, NoAnswerError, ServerError
from metta.league.play import Sandbox, look_at, play_job
from metta.league.sandbox.probe import sandbox_here
from metta.league.work import Bundle, Jobs, Lost, Sheet

IDLE = 1.0  # seconds between questions for work
LONGEST_WAIT = 30.0  # seconds between tries to reach a server that is gone
TRIES = 8  # to tell a result
UPLOADS = 4  # replays at a time
BEATS = 4  # in the time after which a job is lost
MOST_SHOWN = 2_000  # characters of a log or an error that are told
MEMORY_BYTES = 8 << 30  # of this process, in which nets play: one that asks for more stands still, and the worker lives
CACHE_BYTES = 4 << 30  # of bundles that are kept


class Worker:
    """One process that plays one job at a time."""

    def __init__(self, client: Client, trust_code: bool = False, sandbox: Sandbox | None = None, most: int = 4) -> None:
        """`most`: jobs that are leased at a time, so that the next begins without a question."""
        self._client, self._trust_code, self._sandbox, self._most = client, trust_code, sandbox, most
        self._name = f"{socket.gethostname()}-{os.getpid()}"[:64]
        self._engine = engine_version()
        self._held: dict[str, Sheet] = {}
        self._current: tuple[str, Progress] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a server that is gone is waited for. Raises UserError where it refuses."""
        wait, self._stop = IDLE, stop
        with TemporaryDirectory(prefix="metta-league-") as folder, in_background(self._beat, "heartbeat"):
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
                self._do_all(jobs, Path(folder))
                if not jobs:
                    stop.wait(IDLE)

    def run_once(self) -> bool:
        """Do what there is to do now, without signs of life; False where there was nothing."""
        jobs = self._lease()
        with TemporaryDirectory(prefix="metta-league-") as folder:
            self._do_all(jobs, Path(folder))
        return bool(jobs)

    def _do_all(self, jobs: list[Sheet], folder: Path) -> None:
        for sheet in jobs:
            if self._stop.is_set():
                with suppress(UserError):  # its lease runs out
                    self._tell(sheet, "returned", {})
            else:
                self._do(sheet, folder)

    def _lease(self) -> list[Sheet]:
        asked = {"worker": self._name, "engine": self._engine, "most": self._most}
        jobs = Jobs.model_validate(self._client.post("/work/leases", asked)).jobs
        with self._lock:
            self._held = {str(sheet.id): sheet for sheet in jobs}
        return jobs

    def _do(self, sheet: Sheet, folder: Path) -> None:
        """Do a job and tell of it; what goes wrong is told too, and another worker tries it."""
        with self._lock:
            if str(sheet.id) not in self._held:
                return
            progress = Progress()
            self._current = (str(sheet.id), progress)
        try:
            answer = self._validate(sheet, folder) if sheet.kind == "validate" else self._play(sheet, folder, progress)
            self._tell(sheet, *answer)
        except StopPlayingError:
            note(f"{sheet.kind} {sheet.id}: lost, another worker has it")
        except Exception as error:  # the job is tried by another worker
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._fail(sheet, said)
        finally:
            with self._lock:
                self._held.pop(str(sheet.id), None)
                self._current = None

    def _validate(self, sheet: Sheet, folder: Path) -> tuple[str, dict[str, Any]]:
        """Try a version out: what it is, and whether it acts in a few steps."""
        [bundle], [path] = sheet.bundles, self._bundles(sheet, folder)
        try:
            kind, digest = look_at(path)
        except UserError as error:
            return "validated", {"reason": _told(error, bundle, path)}
        [player] = sheet.job.match.players
        known = player.model_copy(update={"policy": digest})
        job = sheet.job.model_copy(update={"match": sheet.job.match.model_copy(update={"players": (known,)})})
        done = play_job(job, lambda player: path, folder, self._sandbox, self._trust_code, secrets=sheet.secrets)
        [report], [causes] = done.players, done.result.causes
        if problems := [report.failure] if report.failure else list(causes.values()):
            log = f"; it wrote: {report.log[-MOST_SHOWN:]}" if report.log.strip() else ""
            return "validated", {"reason": _told(UserError("; ".join(problems) + log), bundle, path)}
        return "validated", {"digest": digest, "kind": kind}

    def _play(self, sheet: Sheet, folder: Path, progress: Progress) -> tuple[str, dict[str, Any]]:
        """Play a match, and leave its replays with the server."""
        players = sheet.job.match.players
        paths = {player.policy: path for player, path in zip(players, self._bundles(sheet, folder), strict=True)}
        with TemporaryDirectory(dir=folder, prefix="replays-") as name:
            replays = Path(name)
            fetch, trust = (lambda player: paths[player.policy]), self._trust_code
            done = play_job(sheet.job, fetch, replays, self._sandbox, trust, progress, sheet.secrets)
            put = partial(self._client.put_file, kind="application/octet-stream")
            files = zip(sheet.replays, [replays / file for file in done.replays], strict=True)
            with ThreadPoolExecutor(UPLOADS) as pool:  # each waits for the server, and its disk
                list(pool.map(self._insist, [partial(put, address, file) for address, file in files]))
        reports = [report.model_dump(mode="json") for report in done.players]
        return "played", {"result": done.result.model_dump(mode="json"), "players": reports}

    def _bundles(self, sheet: Sheet, folder: Path) -> list[Path]:
        """File of each player's bundle, downloaded once."""
        found = []
        for bundle in sheet.bundles:
            path = folder / f"{bundle.sha256}.zip"
            if not path.exists():
                data = self._client.get_file(bundle.url)
                if hashlib.sha256(data).hexdigest() != bundle.sha256:
                    raise NoAnswerError(f"{bundle.name}: came damaged")
                _make_room(folder, len(data))
                path.write_bytes(data)
            path.touch()
            found.append(path)
        return found

    def _fail(self, sheet: Sheet, error: str) -> None:
        warn(f"{sheet.kind} {sheet.id}: {error}")
        with suppress(UserError):  # its lease runs out
            self._tell(sheet, "failed", {"error": error[:MOST_SHOWN]})

    def _tell(self, sheet: Sheet, what: str, document: dict[str, Any]) -> None:
        """Tell the server: what counts is counted once. Raises ServerError, NoAnswerError."""
        said = {"lease": str(sheet.lease), **document}
        try:
            self._insist(lambda: self._client.post(f"/work/jobs/{sheet.id}/{what}", said))
        except ServerError as error:
            if error.status != 409:
                raise
            note(f"{sheet.kind} {sheet.id}: lost, another worker has it")

    def _insist(self, ask: Callable[[], object]) -> None:
        """Ask the server; where it does not answer, or has no space, again until this is to stop. Raises ServerError,
        NoAnswerError."""
        for attempt in range(TRIES):
            try:
                ask()
                return
            except (NoAnswerError, ServerError) as error:
                again = isinstance(error, NoAnswerError) or error.status in (429, 503, 507)
                if not again or attempt == TRIES - 1 or self._stop.wait(min(LONGEST_WAIT, 0.5 * 2**attempt)):
                    raise

    def _beat(self, over: threading.Event) -> None:
        wait = IDLE
        while not over.wait(wait):
            with self._lock:
                held = list(self._held.values())
            if not held:
                wait = IDLE
                continue
            wait = min(sheet.seconds for sheet in held) / BEATS
            leases = {"jobs": [{"id": str(sheet.id), "lease": str(sheet.lease)} for sheet in held]}
            with suppress(UserError):  # a server that is gone may be back at the next beat
                lost = Lost.model_validate(self._client.post("/work/beats", leases)).lost
                self._drop({str(job_id) for job_id in lost})

    def _drop(self, lost: set[str]) -> None:
        with self._lock:
            self._held = {job_id: job for job_id, job in self._held.items() if job_id not in lost}
            if self._current and self._current[0] in lost:
                self._current[1].stopped.set()


class Hiring(Settings):
    """What a worker beside a server is given."""

    server: str
    token: str
    trust_code: bool


def bound_memory(most: int) -> None:
    """Let this process, and each that it starts, have no more memory of its own than so many bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def work(client: Client, trust_code: bool) -> None:
    """Work until this process is told to stop (SIGINT, SIGTERM). Raises UserError as `Worker.run`."""
    bound_memory(MEMORY_BYTES)
    stop = threading.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stop.set())
    if sandbox := None if trust_code else sandbox_here():
        note(sandbox.bounded)
    Worker(client, trust_code, sandbox).run(stop)


def main() -> int:
    given = Hiring.model_validate_json(received())
    work(Client(given.server, given.token), given.trust_code)
    return 0


def _make_room(folder: Path, size: int) -> None:
    """Forget the bundles that were used longest ago."""
    kept = sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime)
    total = size + sum(path.stat().st_size for path in kept)
    for path in kept:
        if total <= CACHE_BYTES:
            return
        total -= path.stat().st_size
        path.unlink()


def _told(error: UserError, bundle: Bundle, path: Path) -> str:
    """What is wrong with a bundle, in words that tell nothing of where it lay."""
    return str(error).replace(str(path), bundle.name).replace(path.name, bundle.name)


if __name__ == "__main__":
    sys.exit(guarded(main))
