"""`--sweep`: read it, check it, have workers run its trials, say what they found."""

import argparse

from metta.common.commands import LOST
from metta.common.errors import UserError
from metta.common.files import write_atomic
from metta.common.logging import note, warn
from metta.common.ranks import share_of_cores
from metta.common.streams import go_on_unheard
from metta.config.files import EXPERIMENTS
from metta.config.hydra_words import HydraWords
from metta.config.recipes import resolve
from metta.config.tree import to_yaml
from metta.config.words import Word, is_word, parse_word
from metta.executors.choice import make_executor
from metta.executors.executor import run_tasks
from metta.executors.local import local_places
from metta.executors.settings import LocalSettings
from metta.sweep.database import answering
from metta.sweep.plan import Plan, composed, make_plan
from metta.sweep.results import PLAN, print_result
from metta.sweep.settings import EXECUTORS
from metta.sweep.storage import open_store
from metta.sweep.worker import STOPPED, run_here, worker_task

RESTARTS = 3  # of a worker that was killed


def sweep(flags: argparse.Namespace) -> int:
    """Run a sweep, or go on with it. `flags` are those of the runner."""
    names = [text for text in flags.words if not is_word(text)]
    words = [parse_word(text) for text in flags.words if is_word(text)] + _of_launcher(flags.hydra)
    for flag in ("describe", "saved", "info", "package"):
        if getattr(flags, flag, None):
            raise UserError(f"--sweep: goes without --{'from' if flag == 'saved' else flag}")
    recipe = resolve(names) if names else None
    if recipe is None and not any(word.key in EXPERIMENTS for word in words):
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
    here = plan.sweep.workers == 1 and plan.sweep.executor == "local"
    code = run_here(plan) if here else run_workers(plan)
    print_result(plan)
    return code


def public(plan: Plan) -> Plan:
    """The plan without the address of a storage that holds a password."""
    storage = plan.sweep.storage
    secret = storage is not None and ":" in storage.partition("://")[2].rpartition("@")[0]
    return plan.model_copy(update={"sweep": plan.sweep.model_copy(update={"storage": None})}) if secret else plan


def run_workers(plan: Plan) -> int:
    """Work in several processes on the sweep's executor; one that is killed is started again."""
    count = plan.sweep.workers
    executor, places = make_executor(plan.sweep.executor_settings, count, plan.folder / ".submitit", plan.name)
    codes, restarts = [0] * count, 0

    def ended(number: int, code: int) -> bool:
        nonlocal restarts
        codes[number] = LOST if code < 0 else code
        if codes[number] not in (LOST, STOPPED) or restarts == RESTARTS * count:
            return False
        restarts += 1
        warn(f"worker {number + 1} of {count} was lost; another takes its place")
        return True

    run_tasks(executor, [worker_task(plan, number) for number in range(count)], places, ended)
    return max(codes)


def _of_launcher(hydra: HydraWords) -> list[Word]:
    """Hydra's words on where to run as those that change a sweep file."""
    if hydra.launcher == "basic":
        return []
    if isinstance(hydra.settings, LocalSettings):
        return [parse_word("sweep.executor=local"), parse_word(f"sweep.workers={local_places(hydra.settings)}")]
    name = next(name for name, launcher in EXECUTORS.items() if launcher == hydra.launcher)
    given = hydra.settings.model_dump(exclude_unset=True)
    return [parse_word(f"sweep.executor={name}"), Word("hydra.launcher.…", "sweep.launcher", given)]


def _told(plan: Plan) -> str:
    sweep, budget = plan.sweep, plan.sweep.budget.model_dump(exclude_none=True)
    limits = ", ".join(f"{amount:,} {name.replace('_', '-')}" for name, amount in budget.items())
    rungs = f", compared at {', '.join(f'{rung:,}' for rung in plan.rungs)} agent-steps" if plan.rungs else ""
    where = "PostgreSQL" if sweep.storage else "a journal"
    room = f"with {share_of_cores(sweep.workers)} cores" if sweep.executor == "local" else f"on {sweep.executor}"
    workers = f"{sweep.workers} worker{'s' * (sweep.workers > 1)} {room}"
    return (
        f"sweep {plan.name}: {sweep.mode} over {len(sweep.parameters)} settings by {sweep.objective.metric}, "
        f"{limits or 'the whole grid'}{rungs}; {workers}, {where} in {plan.folder}"
    )
