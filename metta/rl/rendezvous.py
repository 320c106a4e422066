"""How the processes of a run find each other, and make sure before anything else that they mean the same run."""

import json
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

import metta
from metta.common.digests import digest_sources
from metta.common.errors import LostError, UserError
from metta.common.ranks import LISTENING, Place, find_place, is_launched
from metta.rl.machine import choose_device
from metta.rl.run.settings import SystemSettings
from metta.rl.run.stacks import keep_stacks
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World, shared_error

MOST_NAMED = 8  # ranks, or settings, that a message lists
MARGIN = timedelta(seconds=5)  # for what comes after the waiting
Roll = dict[str, Any]  # what a process says of itself


@contextmanager
def open_world(config: RunConfig) -> Iterator[World]:
    """The processes of a run, as torchrun's environment names them; `ALONE` without them, and then without
    torch.distributed.

    Raises:
        UserError: not all came in time, or they do not mean the same run; all processes raise it.
        LostError: another process was gone, or did not answer in time, while the world was open.
    """
    place, seconds = find_place(), config.system.timeout_seconds
    try:
        _check_number(config.system, place)
        roll = _about_me(config) if place.size > 1 else {}
    except UserError as error:
        raise refuse_all(error) from error
    if place.size == 1:
        yield ALONE
        return
    with keep_stacks() as stacks:
        store = call_roll(place, roll, seconds)
        backend = "cpu:gloo,cuda:nccl" if roll["device"] == "cuda" else "gloo"
        wait = timedelta(seconds=seconds)
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=wait)
        world = World(place.rank, place.size, place.local_rank, place.local_size)
        try:
            yield world
            world.wait()
        except RuntimeError as error:
            if not _of_distributed(error):
                raise
            traceback.print_exception(error, file=stacks)
            raise LostError(f"other processes of run={config.run} are gone, or did not answer: {error}") from error
        dist.destroy_process_group()


def refuse_all(error: UserError) -> UserError:
    """What all processes are to raise where this one was refused before there was a world, and others perhaps not."""
    place = find_place()
    if place.size > 1 and not error.shared:
        try:
            call_roll(place, {"refused": str(error)}, SystemSettings().timeout_seconds)
        except UserError as shared:
            return shared
    return error


def call_roll(place: Place, mine: Roll, seconds: float) -> Store:
    """Wait for all processes, compare what they say of themselves, and return the store through which they did.

    Raise UserError, the same in all, where one is missing after so many seconds, was refused, or differs from rank 0.
    """
    wait = timedelta(seconds=seconds)
    where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        store = _open_store(place, wait)
        store.set(f"roll/{place.rank}", json.dumps(mine))
        if place.leads:
            store.set("verdict", _verdict(store, place.size, wait))
        else:
            store.wait(["verdict"], wait + MARGIN)
        verdict = store.get("verdict").decode()
        store.set(f"heard/{place.rank}", "")
        if verdict and place.leads:  # and the store ends with this process
            with suppress(dist.DistStoreError):  # those that never came do not hear it
                store.wait([f"heard/{rank}" for rank in range(place.size)], MARGIN)
    except (dist.DistError, RuntimeError, ValueError) as error:
        problem = f"nothing came of the meeting at {where} (MASTER_ADDR, MASTER_PORT) within {seconds:g} s "
        raise UserError(f"{problem}(system.timeout_seconds): {str(error).splitlines()[0]}") from error
    if verdict:
        raise shared_error(verdict, 0)
    return store


def _open_store(place: Place, wait: timedelta) -> Store:
    """The store where the processes meet: torchrun's, where it keeps one, which outlives a restart; or rank 0's."""
    kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    host, port, socket = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), os.environ.get(LISTENING)
    listens: dict[str, Any] = {"master_listen_fd": int(socket)} if socket else {}
    hosts = place.leads and not kept
    store = TCPStore(host, port, place.size, hosts, wait, wait_for_workers=False, **listens)
    return PrefixStore(f"metta/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _verdict(store: Store, size: int, wait: timedelta) -> str:
    """What is wrong with the processes, in one line; empty where nothing is."""
    try:
        store.wait([f"roll/{rank}" for rank in range(size)], wait)
    except dist.DistStoreError:
        missing = [rank for rank in range(size) if not store.check([f"roll/{rank}"])]
        came = f"only {size - len(missing)} of {size} processes came within {wait.total_seconds():g} s"
        return f"{came} (system.timeout_seconds); missing: {_ranks(missing)}"
    rolls: list[Roll] = [json.loads(store.get(f"roll/{rank}")) for rank in range(size)]
    for rank, roll in enumerate(rolls):
        if "refused" in roll:
            return f"rank {rank}: {roll['refused']}" if rank else roll["refused"]
    for what, name in (("device", "system.device"), ("code", "the package"), ("torch", "torch")):
        others = [rank for rank, roll in enumerate(rolls) if roll[what] != rolls[0][what]]
        if others:
            at = f"{_ranks(others)} on {rolls[others[0]]['host']}"
            return f"{at}: {name} is {rolls[others[0]][what]}, at rank 0 on {rolls[0]['host']} {rolls[0][what]}"
    for rank, roll in enumerate(rolls):
        if differs := _differences(rolls[0]["settings"], roll["settings"]):
            return f"rank {rank} on {roll['host']} has other settings than rank 0: {differs}"
    return ""


def _differences(first: dict[str, Any], other: dict[str, Any]) -> str:
    keys = [key for key in [*first, *(set(other) - set(first))] if first.get(key) != other.get(key)]
    told = [f"{key}={other.get(key)} (rank 0: {first.get(key)})" for key in keys[:MOST_NAMED]]
    return ", ".join([*told, "…"] if len(keys) > len(told) else told)


def _ranks(ranks: list[int]) -> str:
    named = ", ".join(map(str, ranks[:MOST_NAMED])) + (", …" if len(ranks) > MOST_NAMED else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {named}"


def _about_me(config: RunConfig) -> Roll:
    """Machine, device, code and settings of this process. Raise UserError where it has no such device."""
    device = choose_device(config.system.device).type
    if device == "mps":
        raise UserError("system.device=mps: trains in one process; system.device=cpu in several")
    code = digest_sources(*(Path(path) for path in metta.__path__))[:12]
    settings = _flat(config.model_dump(mode="json"))
    return {
        "host": socket.gethostname(),
        "device": device,
        "code": code,
        "torch": torch.__version__,
        "settings": settings,
    }


def _check_number(system: SystemSettings, place: Place) -> None:
    """Raise UserError where the settings ask for other processes than there are."""
    asked = system.nproc
    if is_launched() and isinstance(asked, int) and asked != place.local_size:
        have = f"{place.local_size} process{'es' if place.local_size > 1 else ''}"
        raise UserError(f"system.nproc={asked}: torchrun has started {have} on this machine; leave system.nproc out")


def _flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The leaves of a tree by their paths."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _flat(value, f"{path}{key}.") if isinstance(value, dict) and value else {f"{path}{key}": value}
    return leaves


def _of_distributed(error: BaseException) -> bool:
    """Whether it was raised where processes exchange something."""
    return any(
        frame.f_globals.get("__name__", "").startswith("torch.distributed")
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
