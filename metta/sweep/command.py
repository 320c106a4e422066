"""`--sweep`: read it, check it, have workers run its trials, say what they found."""

import argparse
import os
import subprocess
import time

from metta.common.commands import LOST
from metta.common.errors import UserError
from metta.common.files import write_atomic
from metta.common.logging import note, warn
from metta.common.processes import child_environment
from metta.common.ranks import share_of_cores
from metta.common.streams import go_on_unheard
from metta.config.recipes import resolve
from metta.config.tree import to_yaml
from metta.config.words import is_word, parse_word
from metta.rl.launcher import Signals
from metta.sweep.plan import Plan, composed, make_plan
from metta.sweep.results import PLAN, print_result
from metta.sweep.storage import answering, open_store
from metta.sweep.worker import COMMAND, Share, run_here

POLL = 0.2  # seconds
RESTARTS = 3  # of a worker of this machine that was killed


def sweep(flags: argparse.Namespace) -> int:
    """Run a sweep, or go on with it. `flags` are those of the runner."""
    names = [text for text in flags.words if not is_word(text)]
    words = [parse_word(text) for text in flags.words if is_word(text)]
    for flag in ("multirun", "describe", "saved"):
        if getattr(flags, flag, None):
            raise UserError(f"--sweep: goes without --{'from' if flag == 'saved' else flag}")
    recipe = resolve(names) if names else None
    if recipe is None and not any(word.key == "user" for word in words):
        raise UserError("--sweep: no recipe is named: run.py RECIPE --sweep NAME key=value …")
    plan = make_plan(recipe, words, flags.sweep)
    if flags.cfg:  # what all trials share
        print(to_yaml(composed(plan, {})), end="")
        return 0
    note(_told(plan))
    if flags.dry_run:
        return 0
    plan.folder.mkdir(parents=True, exist_ok=True)
    with answering(plan.sweep.storage):
        open_store(plan, works=False)  # before anything starts
    go_on_unheard()
    write_atomic(plan.folder / PLAN, public(plan).model_dump_json(indent=2, by_alias=True))
    code = run_here(plan) if plan.sweep.workers == 1 else run_workers(plan)
    print_result(plan)
    return code


def public(plan: Plan) -> Plan:
    """The plan without the address of a storage that holds a password."""
    storage = plan.sweep.storage
    secret = storage is not None and ":" in storage.partition("://")[2].rpartition("@")[0]
    return plan.model_copy(update={"sweep": plan.sweep.model_copy(update={"storage": None})}) if secret else plan


def run_workers(plan: Plan) -> int:
    """Work in processes that share the cores and GPUs of this machine; one that is killed is started again."""
    count = plan.sweep.workers
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus, restarts = _gpus(), 0
    with Signals() as signals:
        shares = [
            Share(plan=plan, parent=os.getpid(), cores=_part(cores, k, count), gpus=_part(gpus, k, count))
            for k in range(count)
        ]
        running = {k: _start(share) for k, share in enumerate(shares)}
        codes: dict[int, int] = {}
        passed = 0
        while running:
            for number in signals.come[passed:]:
                for worker in running.values():
                    worker.send_signal(number)
            passed = len(signals.come)
            for k, worker in list(running.items()):
                if (code := worker.poll()) is None:
                    continue
                del running[k]
                if code < 0 and not signals.come and restarts < RESTARTS * count:
                    restarts += 1
                    warn(f"worker {k + 1} of {count} was killed; another takes its place")
                    running[k] = _start(shares[k])
                else:
                    codes[k] = code if code >= 0 else LOST
            time.sleep(POLL)
    return max(codes.values())


def _start(share: Share) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen(COMMAND, env=child_environment(), stdin=subprocess.PIPE, start_new_session=True)
    assert worker.stdin
    with worker.stdin as stdin:
        stdin.write(share.model_dump_json(by_alias=True).encode())
    return worker


def _part(units: list, worker: int, workers: int) -> list | None:
    """What one of several workers is given of cores or GPUs: its own, or one with others where there are fewer."""
    if not units:
        return None
    return units[worker::workers] or [units[worker % len(units)]]


def _gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def _told(plan: Plan) -> str:
    sweep, budget = plan.sweep, plan.sweep.budget.model_dump(exclude_none=True)
    limits = ", ".join(f"{amount:,} {name.replace('_', '-')}" for name, amount in budget.items())
    rungs = f", compared at {', '.join(f'{rung:,}' for rung in plan.rungs)} agent-steps" if plan.rungs else ""
    where = "PostgreSQL" if sweep.storage else "a journal"
    workers = f"{sweep.workers} worker{'s' * (sweep.workers > 1)} with {share_of_cores(sweep.workers)} cores"
    return (
        f"sweep {plan.name}: {sweep.mode} over {len(sweep.parameters)} settings by {sweep.objective.metric}, "
        f"{limits or 'the whole grid'}{rungs}; {workers}, {where} in {plan.folder}"
    )
