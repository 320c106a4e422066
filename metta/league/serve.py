"""A league on this machine: the server, who conducts the seasons, and workers for the cores there are."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import uvicorn

from metta.common.digests import SHOWN
from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.ranks import available_cores, own_cores
from metta.executors.process import Task, start_process
from metta.league import accounts
from metta.league.league import League, open_league
from metta.league.server.app import make_app
from metta.league.settings import LeagueSettings
from metta.league.store.seasons import list_seasons
from metta.league.worker import Hiring

LOOK = 0.5  # seconds between looks at the workers
REST = 5.0  # seconds before a worker that has ended is started anew
GRACE = 10  # seconds for requests and matches under way
BACKLOG = 512
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def serve(settings: LeagueSettings) -> int:
    """Serve a league until Ctrl-C. Raises UserError where it cannot begin."""
    with _listening(settings) as listener:
        port = listener.getsockname()[1]
        league = open_league(settings.model_copy(update={"port": port}))
        config = uvicorn.Config(
            make_app(league), log_level="warning", access_log=False, proxy_headers=False, server_header=False,
            backlog=BACKLOG, timeout_graceful_shutdown=GRACE,
        )  # fmt: skip
        near = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
        with ExitStack() as crew, _until_told():
            crew.enter_context(_commissioner(league))
            crew.enter_context(_workers(league, f"http://{near}:{port}"))
            note(f"league: {settings.address or f'http://{near}:{port}'} ({league.database})")
            warn_of_other_code(league)
            _Server(config, crew.close).run(sockets=[listener])
    return 0


def warn_of_other_code(league: League) -> None:
    """Say which seasons are not played here, as other code began them."""
    with league.database.reading() as session:
        others = [one for one in list_seasons(session, include_hidden=True) if one.engine != league.engine]
    for season in others:
        engines = f"engine {season.engine[:SHOWN]}, here is {league.engine[:SHOWN]}"
        warn(
            f"season {season.name} v{season.version} was begun by other code ({engines}): no more of its matches are "
            "planned; cogames league season add begins a new version of it"
        )


@contextmanager
def _until_told() -> Iterator[None]:
    """Ctrl-C and SIGTERM end what is done in here, and nothing else: the server handles them, then they come again."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    """Answers until all who work for it have stopped, so that they can tell their results."""

    def __init__(self, config: uvicorn.Config, stop_crew: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop_crew = stop_crew

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._stop_crew)
        await super().shutdown(sockets)


@contextmanager
def _listening(settings: LeagueSettings) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{settings.host}:{settings.port}: cannot be listened on ({reason})") from None
    with listener:
        # Of every connection: without, the end of an answer waits 40 ms until its beginning is acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextmanager
def _commissioner(league: League) -> Iterator[None]:
    """Who conducts the seasons, in a process of its own: ranking keeps a core busy."""
    given = league.settings.model_dump_json()
    keeper = _Keeper(Task(name="the commissioner", module="metta.league.commissioner", given=given))
    try:
        yield
    finally:
        keeper.stop()


@contextmanager
def _workers(league: League, address: str) -> Iterator[None]:
    """Workers beside the server, with a token of their own that is taken back at the end."""
    wanted = league.settings.workers
    number, cores = available_cores() if wanted is None else wanted, own_cores()
    if not number:
        yield
        return
    token = _token(league)
    given = Hiring(server=address, token=token, trust_code=league.settings.trust_code).model_dump_json()
    task = Task(name="a worker", module="metta.league.worker", given=given)
    # With a core of its own no worker's policies slow down another's, and the processes of a match share its caches.
    crew = [_Keeper(task, [cores[k % len(cores)]] if number >= len(cores) > 1 else ()) for k in range(number)]
    try:
        yield
    finally:
        for keeper in crew:
            keeper.ask_to_stop()
        for keeper in crew:
            keeper.stop()
        with league.database.transaction() as session:
            if caller := accounts.who(session, token):
                accounts.revoke(session, caller.user, caller.token.id)


def _token(league: League) -> str:
    with league.database.transaction() as session:
        user = accounts.machine_user(session)
        return accounts.issue_token(session, user, "worker", f"{socket.gethostname()} {os.getpid()}")


class _Keeper:
    """Keeps a task running: a process that has ended is started anew."""

    def __init__(self, task: Task, cores: Collection[int] = ()) -> None:
        """`cores`: as of `start_process`."""
        self._task, self._over = task, threading.Event()
        self._start = partial(start_process, task, ONE_THREAD, cores)
        self._process = self._start()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._over.wait(LOOK):
            if self._process.poll() is not None:
                warn(f"{self._task.name} ended with exit code {self._process.returncode}; another one takes its place")
                if not self._over.wait(REST):
                    self._process = self._start()

    def ask_to_stop(self) -> None:
        """It has some seconds to finish, until it is stopped."""
        self._over.set()
        self._thread.join()
        self._process.terminate()

    def stop(self) -> None:
        """End it."""
        self.ask_to_stop()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
