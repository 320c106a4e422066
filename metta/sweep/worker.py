"""A worker: takes one trial after another until the budget is spent, and gives back what it was stopped in."""

import socket
import sys
import time
from collections.abc import Callable, Sequence

from metta.common.commands import guarded
from metta.common.errors import UserError, suggest
from metta.common.logging import note
from metta.common.settings import Settings
from metta.common.streams import go_on_unheard
from metta.config.run_job import Summary
from metta.config.words import parse_word
from metta.eval.statistics import show, summarize
from metta.executors.process import Task, received
from metta.rl.launcher import Signals
from metta.sweep.database import answering
from metta.sweep.plan import Plan, run_name
from metta.sweep.results import short
from metta.sweep.storage import open_store
from metta.sweep.study import Outcome, Spent, Sweep, Taken
from metta.sweep.trial import run_trial
from metta.sweep.watch import Watch

STORAGE = "sweep.storage=postgresql+psycopg://… serves many"
STOPPED = 130  # exit code of a worker that a signal has stopped
WAIT = 0.2  # seconds between looks whether a trial was lost
Run = Callable[[Sweep, Taken, Callable[[], bool]], Outcome]


class Share(Settings):
    """What a worker is given: the plan, and the machine on which a journal lies."""

    plan: Plan
    machine: str


def work(sweep: Sweep, stop: Callable[[], bool], run: Run) -> None:
    """Run trials until none is left: none to begin, and none that another worker may yet lose."""
    while not stop():
        taken = sweep.take()
        if taken is None:
            if not sweep.pending:
                return
            time.sleep(WAIT)
            continue
        with sweep.store.holding():
            outcome = run(sweep, taken, stop)
        sweep.tell(taken, outcome)
        _say(sweep, taken, outcome)
        if outcome.hopeless:
            raise UserError(f"{outcome.problem}; trial {taken.number} goes on once that is put right")


def run_here(plan: Plan) -> int:
    """Work in this process; returns STOPPED if a signal stopped it."""
    go_on_unheard()
    with Signals() as signals, answering(plan.sweep.storage):
        work(Sweep(plan, open_store(plan)), lambda: bool(signals.come), train)
        return STOPPED if signals.come else 0


def train(sweep: Sweep, taken: Taken, stop: Callable[[], bool]) -> Outcome:
    """Train the runs of a trial, one for each seed."""
    plan, runs, watch = sweep.plan, [], Watch(sweep, taken)
    for seed in range(plan.sweep.seeds):
        name = run_name(taken.number, seed)
        words = [*plan.words(taken.values), parse_word(f"run={name}"), parse_word(f"system.data_dir={plan.folder}")]
        if plan.sweep.seeds > 1:
            words.append(parse_word(f"system.seed={plan.sweep.seed + seed}"))
        runs.append(run_trial(plan.recipe, words, plan.sweep.objective, plan.folder / name, watch, stop))
        if runs[-1].state not in ("finished", "out of time") or runs[-1].objective is None:
            break
    spent = Spent(sum(run.agent_steps for run in runs), sum(run.seconds for run in runs))
    if watch.pruned_at is not None:
        return Outcome(score=watch.score, pruned_at=watch.pruned_at, spent=spent)
    return _outcome(plan, taken, runs, spent, stop())


def _outcome(plan: Plan, taken: Taken, runs: Sequence[Summary], spent: Spent, stopped: bool) -> Outcome:
    """What runs that were not pruned come to."""
    last = runs[-1]
    if last.state == "stopped":
        return Outcome(cut=stopped, problem="stopped by somebody else", spent=spent)
    values, problem, cost = [run.objective for run in runs if run.objective is not None], last.problem, None
    hopeless = last.unknown_metric or (taken.baseline and last.code == 2)  # no other trial will do better
    if not problem and plan.sweep.mode == "pareto":
        cost, hopeless = last.metrics.get(plan.sweep.cost, 0.0), plan.sweep.cost not in last.metrics
        problem = f"cost={plan.sweep.cost}: no metric{suggest(plan.sweep.cost, last.metrics)}" * hopeless
    if problem:
        return Outcome(problem=problem, hopeless=bool(hopeless), cut=bool(hopeless), spent=spent)
    judged = summarize(values)
    interval = last.ci95 if len(runs) == 1 else judged.ci95
    return Outcome(score=judged.mean, cost=cost, ci95=interval, spent=spent)


def _say(sweep: Sweep, taken: Taken, outcome: Outcome) -> None:
    """One line on a trial that has ended."""
    changes = " ".join(f"{path.rpartition('.')[2]}={short(value)}" for path, value in taken.values.items())
    told = f"trial {taken.number}: {changes or 'the defaults' if taken.baseline else changes}"
    if outcome.cut:
        return note(f"{told}: cut, to be taken up again")
    if outcome.pruned_at is not None:
        how = f"stopped at {outcome.pruned_at:,} agent-steps with {show(outcome.score)}"
    else:
        how = show(outcome.score) if outcome.score is not None else f"failed: {outcome.problem}"
    note(f"{told}: {how} ({outcome.spent.agent_steps:,} agent-steps, {outcome.spent.seconds:.0f} s)")


def worker_task(plan: Plan, number: int) -> Task:
    """The task of one of several workers."""
    given = Share(plan=plan, machine=socket.gethostname()).model_dump_json(by_alias=True)
    return Task(name=f"{plan.name}-{number}", module=__name__, given=given)


def main() -> int:
    """Work as one of several processes, wherever an executor has started it; returns the exit code."""
    share = Share.model_validate_json(received())
    here = socket.gethostname()
    if share.machine != here and not share.plan.sweep.storage:
        raise UserError(f"a journal is for workers of one machine, {share.machine}; this is {here}: {STORAGE}")
    return run_here(share.plan)


if __name__ == "__main__":
    sys.exit(guarded(main))
