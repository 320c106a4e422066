"""A league on this machine: the server, who conducts the seasons, and workers for the cores there are."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.ranks import available_cores
from metta.executors.process import Task, start_process
from metta.league import accounts
from metta.league.league import League, open_league
from metta.league.server.app import make_app
from metta.league.settings import LeagueSettings
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
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(league), log_level="warning", access_log=False, proxy_headers=False, server_header=False,
                backlog=BACKLOG, timeout_graceful_shutdown=GRACE,
            )
        )  # fmt: skip
        near = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
        with _commissioner(league), _workers(league, f"http://{near}:{port}"), suppress(KeyboardInterrupt):
            note(f"league: {settings.address or f'http://{near}:{port}'} ({league.database})")
            server.run(sockets=[listener])
    return 0


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
    number = available_cores() if wanted is None else wanted
    if not number:
        yield
        return
    token = _token(league)
    given = Hiring(server=address, token=token, trust_code=league.settings.trust_code).model_dump_json()
    crew = [_Keeper(Task(name="a worker", module="metta.league.worker", given=given)) for _ in range(number)]
    try:
        yield
    finally:
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

    def __init__(self, task: Task) -> None:
        self._task, self._over = task, threading.Event()
        self._process = start_process(task, ONE_THREAD)
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._over.wait(LOOK):
            if self._process.poll() is not None:
                warn(f"{self._task.name} ended with exit code {self._process.returncode}; another one takes its place")
                if not self._over.wait(REST):
                    self._process = start_process(self._task, ONE_THREAD)

    def stop(self) -> None:
        """End it: it has some seconds to finish."""
        self._over.set()
        self._thread.join()
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
