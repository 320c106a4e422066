"""The best trial beside the defaults, on seeds that neither has seen."""

from dataclasses import dataclass
from typing import Any

from metta.common.documents import read_yaml
from metta.common.errors import UserError, suggest
from metta.config.run_job import episodes_of
from metta.eval.statistics import Summary, paired
from metta.rl.run.run_folder import CONFIG, MOST_CONFIG_BYTES
from metta.rl.settings import RunConfig
from metta.runs.objective import EpisodesSettings
from metta.sweep.results import Found, Results

HELD_OUT = 3_000_000  # seed of the first episode: beyond those of training, of evaluations and of objectives


@dataclass(frozen=True)
class Judged:
    """Episodes of the best trial and of the defaults on the same seeds, and their difference by pairs."""

    metric: str
    best: Summary
    baseline: Summary
    gain: Summary


def compare(results: Results, episodes: int, metric: str = "reward", seed: int = HELD_OUT) -> Judged:
    """Play both on new seeds. Raises UserError where there is no baseline, or no such metric."""
    baseline = results.baseline
    if baseline is None or baseline.state != "finished":
        raise UserError(f"sweep {results.plan.name}: its baseline has not finished, there is nothing to compare with")
    asked = EpisodesSettings(metric=metric, episodes=episodes, seed=seed)
    best, defaults = (_play(results, trial, asked) for trial in (results.best, baseline))
    numbered = (dict(enumerate(one.per_episode)) for one in (best, defaults))
    gain = paired(*numbered)
    assert gain
    return Judged(metric, best, defaults, gain)


def _play(results: Results, trial: Found, asked: EpisodesSettings) -> Summary:
    from metta.eval.evaluate import play  # here because it takes seconds to import

    config = _config(results, trial)
    run = RunConfig.model_validate(config | {"run": trial.run})
    run.system.data_dir = str(results.plan.folder)
    played = play(episodes_of(run, asked)).results
    if asked.metric not in played:
        raise UserError(f"--metric {asked.metric}: no such metric{suggest(asked.metric, played)}")
    return played[asked.metric]


def _config(results: Results, trial: Found) -> dict[str, Any]:
    return read_yaml(results.plan.folder / trial.run / CONFIG, MOST_CONFIG_BYTES)
