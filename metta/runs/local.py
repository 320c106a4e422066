"""The runs in a train_dir, read from their own files."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from metta.common.documents import check_yaml
from metta.common.errors import UserError, suggest
from metta.common.files import read_text
from metta.common.jsonl import last_rows, read_rows, sample_rows
from metta.common.logging import warn
from metta.eval.curves import LINES, STEP, Points, points
from metta.policy.stored.sources.runs import list_versions
from metta.rl.run.run_folder import CONFIG, MOST_CONFIG_BYTES, RunFolder
from metta.rl.run.run_lock import is_crashed, is_running
from metta.runs.run import Query, Run, at, newest_values

NEWEST = 200  # rows in which the newest value of a metric is looked for: statistics come once an episode ends


@dataclass(frozen=True)
class LocalRuns:
    """The runs of one data_dir."""

    folder: Path

    @property
    def title(self) -> str:
        return str(self.folder)

    @property
    def uris(self) -> str:
        return "Policy URI"

    def runs(self, query: Query) -> list[Run]:
        found = [run for run in map(read_run, self.folders()) if query.fits(run)]
        found.sort(key=lambda run: (run.created, run.name), reverse=True)
        return found[: query.limit]

    def history(self, run: Run, metrics: Sequence[str]) -> dict[str, Points]:
        path = RunFolder(self.folder / run.name).metrics
        rows, _ = sample_rows(path, LINES) if path.is_file() else ([], True)
        return {metric: points(rows, metric) for metric in metrics}

    def chosen(self, patterns: list[str], at_least: int = 1) -> list[Run]:
        """The runs that names or patterns mean, in that order. Raises UserError for fewer than `at_least`."""
        runs = [read_run(folder) for folder in self.named(patterns)]
        if len(runs) < at_least:
            raise UserError(f"{' '.join(patterns)}: {len(runs)} run, it takes {at_least}")
        return runs

    def folders(self) -> list[RunFolder]:
        """The folders that hold runs, by name. Raises UserError when the data_dir is not there."""
        try:
            entries = sorted(entry for entry in self.folder.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            raise UserError(f"{self.folder}: no runs can be read there ({error.strerror})") from None
        return [folder for folder in map(RunFolder, entries) if _is_run(folder)]

    def named(self, patterns: list[str]) -> list[RunFolder]:
        """The folders that names or shell patterns mean. Raises UserError for one that means none."""
        folders = {folder.name: folder for folder in self.folders()}
        chosen: dict[str, RunFolder] = {}
        for pattern in patterns:
            fits = fnmatch.filter(folders, pattern)
            if not fits:
                known = f"; there are {len(folders)} runs in {self.folder}"
                raise UserError(f"no run '{pattern}'{suggest(pattern, folders)}{known}")
            chosen |= {name: folders[name] for name in fits}
        return list(chosen.values())


def read_run(folder: RunFolder) -> Run:
    """A run from its folder; what it has not written yet is empty."""
    config, starts = _read_config(folder), _read_starts(folder)
    metrics = newest_values(last_rows(folder.metrics, NEWEST)) if folder.metrics.is_file() else {}
    versions = list_versions(folder.path)
    return Run(
        name=folder.name,
        state=_state(folder, config, metrics),
        created=_started(folder, starts),
        config=config,
        metrics=metrics,
        uri=f"{folder.path}:v{versions[-1].epoch}" if versions else None,
        place=str(folder.path),
        code={key: starts[-1].get(key) for key in ("version", "commit", "dirty")} if starts else {},
        tags=tuple(at(config, "wandb.tags") or ()),
        group=at(config, "wandb.group"),
    )


def _is_run(folder: RunFolder) -> bool:
    return folder.path.is_dir() and ((folder.path / CONFIG).is_file() or folder.metrics.is_file())


def _state(folder: RunFolder, config: dict[str, Any], metrics: dict[str, float]) -> str:
    if is_running(folder.path):
        return "running"
    total = at(config, "trainer.total_timesteps")
    if isinstance(total, int) and metrics.get(STEP, 0) >= total:
        return "finished"
    return "crashed" if is_crashed(folder.path) else "stopped"


def _read_config(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / CONFIG
    if not path.is_file():
        return {}
    try:  # libyaml, as there may be many runs
        text = read_text(path, MOST_CONFIG_BYTES)
        check_yaml(text, str(path), references=False)
        tree = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        why = "no mapping of keys to values"
    except (UserError, yaml.YAMLError, ValueError, RecursionError) as error:
        tree, why = None, str(error).splitlines()[0]
    if isinstance(tree, dict):
        return tree
    warn(f"{path}: cannot be read, the run is shown without its settings ({why})")
    return {}


def _read_starts(folder: RunFolder) -> list[dict[str, Any]]:
    return list(read_rows(folder.starts)) if folder.starts.is_file() else []


def _started(folder: RunFolder, starts: list[dict[str, Any]]) -> datetime:
    """When the run first started; of one that noted no start, when the oldest of its files was written."""
    try:
        return datetime.fromisoformat(starts[0]["time"]).astimezone(UTC)
    except (IndexError, KeyError, TypeError, ValueError):
        files = [folder.path, *folder.path.glob("*"), *folder.checkpoints.glob("*")]
        return datetime.fromtimestamp(min(path.stat().st_mtime for path in files), UTC)
