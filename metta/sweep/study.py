"""The trials of a sweep: handed out one by one, compared while they train, and told when they end."""

import itertools
import json
import math
import warnings
from dataclasses import asdict, dataclass

import optuna
from optuna.pruners import NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from metta.common.errors import UserError
from metta.config.run_job import NO_INTERVAL, Interval
from metta.sweep.plan import Plan, Values
from metta.sweep.settings import Parameter, Scalar
from metta.sweep.store import BASELINE, NOTES, PRUNED_AT, WORKER, Store

optuna.logging.set_verbosity(optuna.logging.WARNING)
GRID, BEGUN, RUNG = "grid", "begun_with", "rung "
SPENT = ("agent_steps", "seconds")
TINY = 1e-9  # cost of what costs nothing


@dataclass(frozen=True)
class Spent:
    """What a trial took."""

    agent_steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Taken:
    """A trial in the hands of this worker."""

    number: int
    values: Values
    trial: Trial
    baseline: bool = False  # it has the recipe's own values
    pruned_at: int | None = None  # rung at which it was found not to go on by a worker that was lost before it told


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    score: float | None = None
    cost: float | None = None  # of `pareto`
    ci95: Interval = NO_INTERVAL
    spent: Spent = Spent()
    problem: str = ""
    pruned_at: int | None = None  # agent-steps of the rung
    cut: bool = False  # it is to be taken up again
    hopeless: bool = False  # the problem is one of every trial


class Sweep:
    """The study behind a plan."""

    def __init__(self, plan: Plan, store: Store) -> None:
        """Open the study, or begin it. Raises UserError where it was begun with another plan."""
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.plan, self.store = plan, store
        objective = plan.sweep.objective
        with store.exclusive():
            self.study = optuna.create_study(
                storage=store.storage,
                study_name=plan.name,
                load_if_exists=True,
                directions=[objective.direction, *(["minimize"] if plan.sweep.mode == "pareto" else [])],
                pruner=self._pruner(),
            )
            self._begin()

    def take(self) -> Taken | None:
        """The next trial: one that its worker lost, or a new one as long as the budget lasts; None where there is none
        now."""
        with self.store.exclusive():
            trials = self._with_lost_given_back()
            waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
            if self._spent([trial for trial in trials if trial.state != TrialState.WAITING or _begun(trial)]):
                waiting = [trial for trial in waiting if _begun(trial)]
                if not waiting:
                    return None
            elif not waiting and self.plan.sweep.mode == "grid":
                return None
            self.study.sampler = self._sampler(waiting[0].number if waiting else len(trials))
            known = waiting[0].user_attrs if waiting else {}
            trial, baseline = self.study.ask(), known.get(BASELINE, False)
            values = self._suggest(trial, baseline)
            self.store.beat()
            trial.set_user_attr(WORKER, self.store.worker)
        return Taken(trial.number, values, trial, baseline, known.get(PRUNED_AT))

    @property
    def pending(self) -> bool:
        """Whether some trial is not at its end, which its worker may yet lose."""
        return any(trial.state == TrialState.RUNNING or _begun(trial) for trial in self.trials(unfinished=True))

    def goes_on(self, taken: Taken, rung: int, score: float, cost: float) -> bool:
        """Compare a trial at a rung with those that were there before; whether it is to train on."""
        if self.plan.sweep.mode == "asha":
            if rung in self.store.storage.get_trial(taken.trial._trial_id).intermediate_values:
                return True  # compared before it was cut
            taken.trial.report(score, rung)
            going_on = not taken.trial.should_prune()
        else:
            taken.trial.set_user_attr(f"{RUNG}{rung}", score)
            going_on = goes_on_by_cost(score, cost, self._at(rung, taken.number), self._ended(), self.plan)
        if not going_on and not taken.baseline:
            taken.trial.set_user_attr(PRUNED_AT, rung)
        return going_on or taken.baseline

    def tell(self, taken: Taken, outcome: Outcome) -> None:
        """Note how a trial ended, unless it was given to another worker meanwhile."""
        now = self.store.storage.get_trial(taken.trial._trial_id)
        if now.state != TrialState.RUNNING or now.user_attrs.get(WORKER) != self.store.worker:
            return
        if outcome.cut:
            self._give_back(now)
            return
        notes = asdict(outcome.spent) | {"score": outcome.score, "ci95": outcome.ci95, "problem": outcome.problem}
        taken.trial.set_user_attr(NOTES, notes)
        if outcome.pruned_at is not None:
            self.study.tell(taken.trial, state=TrialState.PRUNED)
        elif outcome.score is None:
            self.study.tell(taken.trial, state=TrialState.FAIL)
        elif outcome.cost is None:
            self.study.tell(taken.trial, outcome.score)
        else:
            self.study.tell(taken.trial, (outcome.score, math.log10(max(outcome.cost, TINY))))

    def trials(self, unfinished: bool = False) -> list[FrozenTrial]:
        states = (TrialState.RUNNING, TrialState.WAITING) if unfinished else None
        return self.study.get_trials(deepcopy=False, states=states)

    def _begin(self) -> None:
        """Put the baseline, and the values of a grid, in the queue of a new study."""
        plan = json.loads(json.dumps(self.plan.begun_with))
        known = self.study.user_attrs.get(BEGUN)
        if known is not None and known != plan:
            other = ", ".join(key for key in plan if plan[key] != known.get(key))
            raise UserError(f"sweep {self.plan.name}: was begun with other {other}; run=NAME begins another sweep")
        if known is not None:
            return
        if self.plan.sweep.baseline and not self.trials():
            self.study.enqueue_trial(self.plan.defaults, user_attrs={BASELINE: True})
        queued = sum(trial.user_attrs.get(GRID, False) for trial in self.trials())
        for values in grid(self.plan)[queued:] if self.plan.sweep.mode == "grid" else ():
            self.study.enqueue_trial(values, user_attrs={GRID: True})
        self.study.set_user_attr(BEGUN, plan)  # last: a kill before has it done again

    def _with_lost_given_back(self) -> list[FrozenTrial]:
        """All trials, those that somebody lost in the queue again."""
        trials = self.trials()
        lost = self.store.lost([trial for trial in trials if trial.state == TrialState.RUNNING])
        for trial in lost:
            self._give_back(trial)
        return self.trials() if lost else trials

    def _give_back(self, trial: FrozenTrial) -> None:
        self.store.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def _spent(self, begun: list[FrozenTrial]) -> bool:
        """Whether the budget allows for no further trial."""
        limits = self.plan.sweep.budget.model_dump(exclude_none=True)
        steps, seconds = (sum(trial.user_attrs.get(NOTES, {}).get(name, 0) for trial in begun) for name in SPENT)
        used = {"trials": len(begun), "agent_steps": steps, "hours": seconds / 3600}
        if "money" in limits:
            from metta.rl.run.metrics import hourly_cost  # here because it takes seconds to import

            used["money"] = (hourly_cost() or 0) * used["hours"] / self.plan.sweep.workers
        return any(used[name] >= limit for name, limit in limits.items())

    def _sampler(self, number: int) -> TPESampler:
        """Seeded anew for each trial, so that a sweep that was cut goes on with the values it would have had."""
        seed = (self.plan.sweep.seed * 1_000_003 + number) % 2**32
        startup = self.plan.sweep.random_trials
        return TPESampler(multivariate=True, group=True, constant_liar=True, n_startup_trials=startup, seed=seed)

    def _pruner(self) -> optuna.pruners.BasePruner:
        if self.plan.sweep.mode != "asha" or not self.plan.rungs:
            return NopPruner()
        return SuccessiveHalvingPruner(self.plan.rungs[0], self.plan.sweep.rungs.factor)

    def _suggest(self, trial: Trial, baseline: bool) -> Values:
        """The values of a trial; none for the baseline, which keeps the recipe's own."""
        values: Values = {}
        for path, parameter in self.plan.sweep.ordered():
            if parameter.matters(values) and (not baseline or path in self.plan.defaults):
                values[path] = _pick(trial, path, parameter)
        return {} if baseline else values

    def _at(self, rung: int, number: int) -> list[float]:
        """Scores of the other trials at a rung."""
        trials = (trial for trial in self.trials() if trial.number != number)
        return [trial.user_attrs[key] for trial in trials if (key := f"{RUNG}{rung}") in trial.user_attrs]

    def _ended(self) -> list[tuple[float, float]]:
        """Score and logarithm of the cost of the trials that trained to their end."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [(trial.values[0], trial.values[1]) for trial in done]


def goes_on_by_cost(
    score: float, cost: float, others: list[float], ended: list[tuple[float, float]], plan: Plan
) -> bool:
    """Whether a trial of `pareto` trains on: it is among the best at its rung, or none that ended has reached as much
    for what it has cost so far. `others` are scores at the rung, `ended` scores and logarithms of costs at the end."""
    sign = 1 if plan.sweep.objective.higher_is_better else -1
    ranked = sorted((sign * one for one in [*others, score]), reverse=True)
    among_best = sign * score >= ranked[max(1, len(ranked) // plan.sweep.rungs.factor) - 1]
    outdone = any(sign * one >= sign * score and math.log10(max(cost, TINY)) >= spent for one, spent in ended)
    return among_best or not outdone


def _pick(trial: Trial, path: str, parameter: Parameter) -> Scalar:
    if parameter.choice is not None:
        return trial.suggest_categorical(path, parameter.choice)
    low, high = parameter.ends
    if parameter.whole:
        return trial.suggest_int(path, low, high)
    return trial.suggest_float(path, low, high, log=parameter.log is not None)


def grid(plan: Plan) -> list[Values]:
    """Every combination of the values of a grid, each once: what does not matter is left out."""
    combinations: list[Values] = [{}]
    for path, parameter in plan.sweep.ordered():
        grown = [
            [{**one, path: value} for value in parameter.grid] if parameter.matters(one) else [one]
            for one in combinations
        ]
        combinations = list(itertools.chain.from_iterable(grown))
    return combinations


def _begun(trial: FrozenTrial) -> bool:
    """Whether some worker has had it."""
    return WORKER in trial.user_attrs
