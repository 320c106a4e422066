"""A job as a function: composed from a recipe and words, run, and judged by an objective."""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from metta.common.errors import UserError
from metta.common.jsonl import read_rows
from metta.config.composition import Composed, compose
from metta.config.job import KINDS, Config
from metta.config.ranks import train_in_many
from metta.config.recipes import resolve
from metta.config.words import Word, parse_word
from metta.eval.settings import EvaluateConfig, PlayConfig, PlayerSettings
from metta.game.compilation import compile_ahead
from metta.rl.run.run_folder import RunFolder
from metta.rl.settings import RunConfig
from metta.runs.objective import EpisodesSettings, Objective, UnknownMetricError
from metta.runs.run import newest_values

STEP, SECONDS = "metric/agent_step", "metric/total_time"
Interval = tuple[float | None, float | None]
NO_INTERVAL: Interval = (None, None)


@dataclass(frozen=True)
class Summary:
    """How a job ended: the value of its objective, or why there is none."""

    name: str  # of the run; of an evaluation the policy
    state: Literal["finished", "out of time", "stopped", "failed"]
    code: int = 0  # exit code
    objective: float | None = None
    ci95: Interval = NO_INTERVAL  # of an objective that is a mean of episodes
    problem: str = ""  # why it failed, or has no objective
    unknown_metric: bool = False  # which is why
    agent_steps: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)  # the newest value of each


def run_job(recipe: str | None, overrides: Sequence[str | Word], objective: Objective | None = None) -> Summary:
    """Run the job of a recipe with words of a command line, in this process; without a recipe that of an experiment,
    `user=NAME`. Raises UserError where it cannot be composed; what goes wrong later is in the summary."""
    words = [parse_word(word) if isinstance(word, str) else word for word in overrides]
    return run_composed(compose(resolve(recipe.split()) if recipe else None, words), objective)


def run_composed(job: Composed, objective: Objective | None = None) -> Summary:
    """Run a job and judge it. One that Ctrl-C or a signal stopped has the objective of what it came to."""
    return run_config(job.config, objective)


def run_config(config: Config, objective: Objective | None = None) -> Summary:
    """Run the job that settings are of, and judge it."""
    begin, objective = time.monotonic(), objective or Objective()
    try:
        if isinstance(config, EvaluateConfig):
            name = config.policy_uri or config.run or ""
            return _evaluated(config, name, objective.evaluation or EpisodesSettings(), shown=True)
        code, stopped, finished = execute(config)
    except UserError as error:
        name, problem = getattr(config, "run", None) or "", str(error)
        return _read(config, Summary(name, "failed", error.exit_code, problem=problem), objective, begin)
    state = "failed" if code else "stopped" if stopped else "finished" if finished else "out of time"
    problem = f"ended with exit code {code}" if code else ""
    return _read(config, Summary(config.run or "", state, code, problem=problem), objective, begin)


def execute(config: Config) -> tuple[int, bool, bool]:
    """Run a job; returns its exit code, whether a signal has stopped it, so that no other job may start, and whether it
    is done."""
    _compile(config)
    if isinstance(config, RunConfig) and (ended := train_in_many(config)):
        return ended.code, not ended.finished, ended.finished
    result = KINDS[config.cmd].execute(config)
    if isinstance(result, int):
        return result, False, True
    return 0, getattr(result, "stopped", False), getattr(result, "finished", True)


def _compile(config: Config) -> None:
    """All that the game needs, before anything opens or is timed; where a terminal is to show it, `q` quits."""
    if config.env.kind != "metta" if isinstance(config, RunConfig) else not isinstance(config, PlayConfig):
        return  # another game's environments; evaluation sees to it itself
    from metta.policy.rehearsal import ALL  # here because composing needs none of it
    from metta.view.terminal.keys import Keys

    keys = Keys()
    if not isinstance(config, PlayConfig) or config.render != "unicode" or keys.absent:
        compile_ahead(*ALL)
        return
    keys.open()
    try:
        compile_ahead(*ALL, quits=lambda: "q" in keys.read(0))
    finally:
        keys.close()


def _read(config: Config, ended: Summary, objective: Objective, begin: float) -> Summary:
    """The summary of a training with what its folder tells. A run in phases is judged by the last of them."""
    if not isinstance(config, RunConfig):
        return replace(ended, problem=ended.problem or f"{config.cmd} has no score")
    run = config.phase_runs[-1]
    path = RunFolder(Path(config.system.data_dir) / (run.run or "")).metrics
    rows = list(read_rows(path)) if path.is_file() else []
    metrics = newest_values(rows)
    ended = replace(
        ended,
        agent_steps=int(metrics.get(STEP, 0)),
        seconds=metrics.get(SECONDS, time.monotonic() - begin),
        metrics=metrics,
    )
    if ended.state == "failed":
        return ended
    try:
        value = objective.of(rows)
        if not objective.evaluation or ended.state == "stopped":
            return replace(ended, objective=value)
        judged = _evaluated(episodes_of(run, objective.evaluation), ended.name, objective.evaluation)
    except UserError as error:
        return replace(ended, problem=str(error), unknown_metric=isinstance(error, UnknownMetricError))
    told = {name: getattr(judged, name) for name in ("objective", "ci95", "problem", "unknown_metric")}
    return replace(ended, **told)


def episodes_of(run: RunConfig, asked: EpisodesSettings) -> EvaluateConfig:
    """The job that plays the newest checkpoint of a run in what it was trained on."""
    return EvaluateConfig(
        run=run.run,
        env=None if run.env.kind == "metta" else run.env,
        episodes=asked.episodes,
        seed=asked.seed,
        system=PlayerSettings(data_dir=run.system.data_dir, device=run.system.device, threads=run.system.threads),
    )


def _evaluated(config: EvaluateConfig, name: str, asked: EpisodesSettings, shown: bool = False) -> Summary:
    """Play the episodes, print them if they are to be `shown`, and summarize a metric of theirs."""
    from metta.eval.evaluate import play, show  # here because it takes seconds to import

    played = play(config)
    code = show(config, played) if shown else 0
    if len(played.seeds) < config.episodes:
        state, code = "stopped", 128 + signal.SIGINT
    else:
        state = "failed" if code else "finished"
    means = {metric: result.mean for metric, result in played.results.items()}
    ended = Summary(name, state, code, agent_steps=played.agent_steps, seconds=played.seconds, metrics=means)
    if asked.metric not in means:
        problem = str(UnknownMetricError(asked.metric, means))
        return replace(ended, problem=problem, unknown_metric=True)
    result = played.results[asked.metric]
    return replace(ended, objective=result.mean, ci95=result.ci95)
