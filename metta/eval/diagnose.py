"""Diagnose a policy: how it does on each mission of a set, beside a baseline, a strong policy, an earlier diagnosis."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from metta.common.errors import UserError, suggest
from metta.common.files import write_atomic, writing
from metta.common.settings import UserPath
from metta.eval.contest import ContestResult, make_match, play_contest, prepare, resolve_missions
from metta.eval.earlier import FILE, earlier_rewards
from metta.eval.entries import parse_entry
from metta.eval.results import MatchSummary
from metta.eval.settings import GamesSettings
from metta.eval.statistics import FEWEST, Summary, as_cells, paired, show, show_interval, summarize
from metta.game.mission import Mission

SCHEMA_VERSION = 1
PICTURE = "rewards.png"


class DiagnoseSettings(GamesSettings):
    """Games of one policy, and what it is compared with."""

    experiments: list[str] = []  # only these missions of the set
    baseline: str | None = None  # policy to be better than
    strong: str | None = None  # policy to come near to
    compare: UserPath | None = None  # folder of an earlier diagnosis
    reruns: int = 0  # more runs on other seeds, to see how stable the means are
    output_dir: UserPath | None = None


@dataclass(frozen=True)
class Finding:
    """A mission: rewards per episode and agent, of the policy and of others on the same seeds."""

    mission: Mission
    seeds: list[int]
    reward: Summary
    baseline: Summary | None
    strong: Summary | None
    gain: Summary | None  # over the baseline, by pairs of episodes
    reruns: list[float]  # means on other seeds
    before: float | None  # mean in the earlier diagnosis, of the seeds in common
    change: Summary | None  # since then, by pairs of episodes

    @property
    def spread(self) -> float | None:
        """Standard deviation of the means of all runs."""
        return float(np.std([self.reward.mean, *self.reruns], ddof=1)) if self.reruns else None

    @property
    def verdict(self) -> str:
        """The first thing that a reader should know. Of no difference each is said in at most about 5 %."""
        gain, change = (compared.sign if compared else None for compared in (self.gain, self.change))
        if self.reward.episodes < FEWEST:
            return f"too few episodes, at least {FEWEST} are needed"
        found = {
            "below the baseline": gain == -1,
            "worse than before": change == -1,
            "scores nothing": not any(self.reward.per_episode),
            "better than before": change == 1,
            "above the baseline": gain == 1,
            "no clear difference to before": change == 0,
            "no clear difference to the baseline": gain == 0,
            "too few episodes to compare": bool(self.gain or self.change),  # of those that were played by both
        }
        return next((said for said, holds in found.items() if holds), "")

    def compared(self, differences: Summary | None) -> str:
        """The interval of differences by pairs, and how many there are where that is not the number of episodes."""
        if differences is None:
            return "–"
        pairs = f", n = {differences.episodes}" if differences.episodes != self.reward.episodes else ""
        return f"{show_interval(differences)}{pairs}"

    def document(self) -> dict[str, Any]:
        """An element of `missions` in the JSON document."""
        return {
            "mission_name": self.mission.name,
            "agents": self.mission.agents,
            "max_steps": self.mission.max_steps,
            "rules": self.mission.rules,
            "episodes": self.reward.episodes,
            "seeds": self.seeds,
            "rewards": self.reward.per_episode,
            **_values("reward", self.reward),
            **_values("baseline", self.baseline),
            **_values("strong", self.strong),
            **_values("gain", self.gain),
            "gain_episodes": self.gain.episodes if self.gain else 0,
            "rerun_means": self.reruns,
            "rerun_spread": self.spread,
            "before": self.before,
            **_values("change", self.change),
            "change_episodes": self.change.episodes if self.change else 0,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Diagnosis:
    """Findings by mission."""

    policy: str
    settings: DiagnoseSettings
    findings: list[Finding]
    contest: ContestResult

    def document(self) -> dict[str, Any]:
        """The JSON document, also what `--compare-run-dir` reads."""
        return {
            "schema_version": SCHEMA_VERSION,
            "complete": not self.contest.interrupted,
            "policy_uri": self.policy,
            "baseline": self.settings.baseline,
            "strong": self.settings.strong,
            "episodes": self.settings.episodes,
            "seed": self.settings.seed,
            "missions": [finding.document() for finding in self.findings],
        }

    def table(self) -> Table:
        """A row for each mission; columns only of what was asked for."""
        settings = self.settings
        table = Table(title=f"{self.policy}: reward per agent and episode", title_justify="left")
        table.add_column("mission", no_wrap=True)
        columns = ["n", "reward", "95 % interval"]
        columns += ["baseline", "gain, 95 % interval"] if settings.baseline else []
        columns += ["strong"] if settings.strong else []
        columns += ["spread of reruns"] if settings.reruns else []
        columns += ["before", "change, 95 % interval"] if settings.compare else []
        for column in columns:
            table.add_column(column, justify="right")
        table.add_column("finding")
        for found in self.findings:
            cells = [str(found.reward.episodes), *as_cells(found.reward)]
            if settings.baseline:
                cells += [_mean(found.baseline), found.compared(found.gain)]
            cells += [_mean(found.strong)] if settings.strong else []
            cells += [show(found.spread)] if settings.reruns else []
            cells += [show(found.before), found.compared(found.change)] if settings.compare else []
            table.add_row(found.mission.name, *cells, found.verdict)
        return table

    def save(self, folder: Path) -> list[Path]:
        """Write document and picture. Raises UserError where that fails."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / FILE, json.dumps(self.document(), indent=1))
            plot_rewards(self, folder / PICTURE)
        return [folder / FILE, folder / PICTURE]


def run_diagnose(settings: DiagnoseSettings) -> Diagnosis:
    """Play it all. Raises UserError for bad input."""
    if len(settings.policies) != 1:
        raise UserError(f"diagnose judges one policy, got {len(settings.policies)}")
    policy = parse_entry(settings.policies[0])
    if settings.output_dir and (settings.output_dir / FILE).exists():
        raise UserError(f"{settings.output_dir / FILE} exists; name another --output-dir")
    missions = _chosen(resolve_missions(settings), settings.experiments)
    seeds = range(settings.seed, settings.seed + settings.episodes)
    before = earlier_rewards(settings.compare, missions, seeds) if settings.compare else {}
    others = [parse_entry(uri) for uri in (settings.baseline, settings.strong) if uri]
    runs = [(entry, settings.seed) for entry in (policy, *others)]
    runs += [(policy, settings.seed + (k + 1) * settings.episodes) for k in range(settings.reruns)]
    line_up = prepare(settings)
    matches = [
        make_match(line_up, mission, [entry], settings.episodes, seed) for mission in missions for entry, seed in runs
    ]
    contest = play_contest(matches, line_up, settings, settings.out)
    played = {id(result.match): result for result in contest.matches}
    findings = []
    for index, mission in enumerate(missions):
        results = [played.get(id(one)) for one in matches[index * len(runs) : (index + 1) * len(runs)]]
        if results[0]:
            findings.append(_finding(mission, results, settings, before.get(mission.name, {})))
    return Diagnosis(policy.uri, settings, findings, contest)


def _finding(
    mission: Mission, results: Sequence[MatchSummary | None], settings: DiagnoseSettings, before: Mapping[int, float]
) -> Finding:
    rewards = [{row.seed: row.score for row in result.rows} if result else {} for result in results]
    own, *others = rewards
    baseline = others.pop(0) if settings.baseline else {}
    strong = others.pop(0) if settings.strong else {}
    again = [before[seed] for seed in own if seed in before]
    return Finding(
        mission=mission,
        seeds=list(own),
        reward=summarize(list(own.values())),
        baseline=summarize(list(baseline.values())) if baseline else None,
        strong=summarize(list(strong.values())) if strong else None,
        gain=paired(own, baseline),
        reruns=[float(np.mean(list(rerun.values()))) for rerun in others if rerun],
        before=float(np.mean(again)) if again else None,
        change=paired(own, before),
    )


def _chosen(missions: list[Mission], experiments: Sequence[str]) -> list[Mission]:
    """The missions of those names, full or without their site."""
    by_name = {mission.name: mission for mission in missions}
    short = {name.rpartition(".")[2]: mission for name, mission in by_name.items()}
    for name in experiments:
        if name not in by_name and name not in short:
            raise UserError(f"no experiment '{name}' in the set{suggest(name, [*by_name, *short])}")
    wanted = [by_name.get(name) or short[name] for name in experiments]
    return wanted or missions


def plot_rewards(diagnosis: Diagnosis, path: Path) -> None:
    """Bars of rewards by mission, with intervals, into a PNG; none where a policy has not played."""
    from matplotlib.figure import Figure

    findings, settings = diagnosis.findings, diagnosis.settings
    series: list[tuple[str, list[Summary | None]]] = [(diagnosis.policy, [found.reward for found in findings])]
    if settings.baseline:
        series.append((settings.baseline, [found.baseline for found in findings]))
    if settings.strong:
        series.append((settings.strong, [found.strong for found in findings]))
    height = 0.8 / len(series)
    figure = Figure(figsize=(9, 1.2 + 0.35 * len(series) * len(findings)), layout="constrained")
    axes = figure.subplots()
    for index, (name, summaries) in enumerate(series):
        bars = {place + index * height: summary for place, summary in enumerate(summaries) if summary}
        means = np.array([summary.mean for summary in bars.values()])
        ends = [summary.mean if end is None else end for summary in bars.values() for end in summary.ci95]
        errors = np.abs(np.array(ends).reshape(-1, 2).T - means)
        axes.barh([*bars], means, height * 0.9, xerr=errors, label=name, ecolor="0.3")
    names = [f"{found.mission.name}, n = {found.reward.episodes}" for found in findings]
    axes.set_yticks(np.arange(len(findings)) + height * (len(series) - 1) / 2, names)
    played = [value for _, summaries in series for summary in summaries if summary for value in summary.per_episode]
    low, high = min(0.0, *played), max(0.0, *played)
    axes.set_xlim(1.05 * low, 1.05 * high if high > low else 1.0)  # the interval of few episodes goes far beyond
    axes.invert_yaxis()
    axes.set_xlabel("reward per agent and episode, 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110)


def _values(name: str, summary: Summary | None) -> dict[str, Any]:
    mean, ends = (summary.mean, list(summary.ci95)) if summary else (None, None)
    return {name: mean, f"{name}_ci95": ends}


def _mean(summary: Summary | None) -> str:
    return show(summary.mean) if summary else "–"
