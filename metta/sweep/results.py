"""What a sweep has found so far: its trials, the best of them, and how they stand to the defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metta.common.errors import UserError, suggest
from metta.common.files import read_text
from metta.common.settings import validated
from metta.config.run_job import Interval
from metta.eval.statistics import show
from metta.runs.text import table
from metta.sweep.database import answering
from metta.sweep.plan import Plan, Values, run_name
from metta.sweep.settings import Scalar
from metta.sweep.storage import open_store
from metta.sweep.store import BASELINE, NOTES, PRUNED_AT, WORKER

PLAN = "sweep.json"  # in the folder of a sweep: its plan
MOST_BYTES = 1_000_000
STATES = {"COMPLETE": "finished", "PRUNED": "stopped early", "FAIL": "failed", "RUNNING": "running"}


@dataclass(frozen=True)
class Found:
    """A trial as it stands."""

    number: int
    state: str  # finished, stopped early, failed, running, cut, waiting
    baseline: bool
    values: Values
    score: float | None
    ci95: Interval
    cost: float | None  # of `pareto`, not its logarithm
    agent_steps: int
    seconds: float
    problem: str
    pruned_at: int | None

    @property
    def run(self) -> str:
        return run_name(self.number)


@dataclass(frozen=True)
class Results:
    """The trials of a sweep by number."""

    plan: Plan
    trials: list[Found]

    @property
    def finished(self) -> list[Found]:
        """Those that trained to their end, the best first; of equal ones the earlier."""
        sign = -1 if self.plan.sweep.objective.higher_is_better else 1
        done = [trial for trial in self.trials if trial.state == "finished" and trial.score is not None]
        return sorted(done, key=lambda trial: (sign * (trial.score or 0), trial.number))

    @property
    def best(self) -> Found:
        """Raises UserError where no trial has finished."""
        if not self.finished:
            raise UserError(f"sweep {self.plan.name}: no trial has finished yet")
        return self.finished[0]

    @property
    def baseline(self) -> Found | None:
        return next((trial for trial in self.trials if trial.baseline), None)

    @property
    def front(self) -> list[Found]:
        """The finished trials that no other outdoes in score and cost at once, the cheapest first."""
        front: list[Found] = []
        for trial in self.finished:
            if not front or (trial.cost or 0) < (front[-1].cost or 0):
                front.append(trial)
        return front[::-1]


def read_plan(name: str, data_dir: Path, storage: str | None = None) -> Plan:
    """The plan of a sweep of that name. Raises UserError where there is none."""
    path = data_dir / name / PLAN
    if not path.is_file():
        names = [one.parent.name for one in data_dir.glob(f"*/{PLAN}")]
        raise UserError(f"no sweep '{name}' in {data_dir}{suggest(name, names)}")
    import json

    plan = validated(Plan, json.loads(read_text(path, MOST_BYTES)), f"{path}:")
    if storage:
        plan.sweep = plan.sweep.model_copy(update={"storage": storage})
    return plan.model_copy(update={"data_dir": str(data_dir)})


def read_results(plan: Plan) -> Results:
    """The trials of a sweep, also while it goes on. Raises UserError where its storage cannot be read."""
    store = open_store(plan, works=False)
    from optuna.storages import BaseStorage

    storage: BaseStorage = store.storage
    with answering(plan.sweep.storage):
        try:
            study = storage.get_study_id_from_name(plan.name)
        except KeyError:
            raise UserError(f"sweep {plan.name}: its storage knows no trials (sweep.storage=… names another)") from None
        return Results(plan, [_found(plan, trial) for trial in storage.get_all_trials(study, deepcopy=False)])


def _found(plan: Plan, trial: Any) -> Found:
    told, notes = trial.user_attrs, trial.user_attrs.get(NOTES, {})
    state = STATES.get(trial.state.name) or ("cut" if WORKER in told else "waiting")
    values = (
        {}
        if told.get(BASELINE)
        else {path: trial.params[path] for path in plan.sweep.parameters if path in trial.params}
    )
    return Found(
        number=trial.number,
        state=state,
        baseline=told.get(BASELINE, False),
        values=values,
        score=notes.get("score"),
        ci95=tuple(notes.get("ci95", (None, None))),
        cost=10 ** trial.values[1] if trial.values and len(trial.values) > 1 else None,
        agent_steps=notes.get("agent_steps", 0),
        seconds=notes.get("seconds", 0.0),
        problem=notes.get("problem", ""),
        pruned_at=told.get(PRUNED_AT),
    )


def print_result(plan: Plan) -> None:
    """The best trials beside the defaults, and what to do next."""
    results = read_results(plan)
    print(trial_table(results, most=5))
    if results.finished:
        print(f"compare the best with the defaults on new seeds: tools/sweep.py compare {plan.name}")


def told(results: Results) -> str:
    """One line: how many trials are in which state."""
    states = [trial.state for trial in results.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"sweep {results.plan.name}: {counts or 'no trials yet'}"


def trial_table(results: Results, most: int | None = None, every: bool = False) -> str:
    """The best trials and the baseline, or every trial by number."""
    sweep = results.plan.sweep
    shown = results.trials if every else results.finished[:most]
    if not every and (baseline := results.baseline) and baseline not in shown:
        shown = [*shown, baseline]
    costs = [sweep.cost] if sweep.mode == "pareto" else []
    names = [path.rpartition(".")[2] for path in sweep.parameters]
    header = ("trial", "state", sweep.objective.metric, *costs, *names, "agent-steps", "time (s)")
    rows = [
        (
            str(trial.number),
            state_of(trial),
            show(trial.score),
            *(show(trial.cost) for _ in costs),
            *(as_cell(trial, path) for path in sweep.parameters),
            f"{trial.agent_steps:,}",
            f"{trial.seconds:,.0f}",
        )
        for trial in shown
    ]
    right = [0, *range(2, len(header))]
    return f"{told(results)}\n{table(header, rows, right)}" if rows else told(results)


def as_cell(trial: Found, path: str) -> str:
    """The value of a parameter in a trial."""
    if trial.baseline:
        return "default"
    return short(trial.values[path]) if path in trial.values else "–"


def short(value: Scalar) -> str:
    """A value of a parameter in few characters."""
    return show(value) if isinstance(value, float) else str(value)


def state_of(trial: Found) -> str:
    """Its state, and why."""
    if trial.pruned_at:
        return f"{trial.state} at {trial.pruned_at:,}"
    return f"{trial.state}: {trial.problem[:60]}" if trial.problem else trial.state
