"""Evaluate policies on missions: one policy, or several that share the agents; the same runner for every command."""

import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from metta.common.defaults import MISSION
from metta.common.errors import UserError
from metta.common.files import ensure_writable
from metta.common.ranks import available_cores
from metta.common.settings import validated
from metta.eval.entries import Entry, parse_entries, share_seats
from metta.eval.line_up import LineUp
from metta.eval.match import ENDED, Match, MatchResult
from metta.eval.playing import Progress, keep_in, play_matches, record_nothing, replay_files
from metta.eval.replay.keeping import is_left
from metta.eval.results import SCHEMA_VERSION, MatchSummary, match_summaries
from metta.eval.settings import ContestSettings, GamesSettings, PlayerSettings
from metta.eval.store import OutFile, ResultStore
from metta.game.build import check_room
from metta.game.compilation import compile_ahead
from metta.game.mission import Mission, MissionSettings
from metta.game.mission_files import is_mission_file
from metta.game.missions import build_mission, mission_set, missions_like
from metta.policy.rehearsal import ALL
from metta.policy.stored.uri import check_policy


@dataclass(frozen=True)
class ContestResult:
    """What was played, as far as it went."""

    matches: list[MatchSummary]
    episodes: int  # that were asked for, in all
    messages: list[str]  # what went wrong with policies, in words
    agent_steps: int  # played now, not read from a file
    seconds: float
    interrupted: bool

    @property
    def never_acted(self) -> list[str]:
        """A line for each policy that did not act once on a mission; its numbers say nothing of it."""
        return [
            line
            for result in self.matches
            for policy in range(len(result.names))
            if (line := result.never_acted(policy))
        ]

    def document(self) -> dict[str, Any]:
        """The JSON document: schema_version, missions, and whether it is complete."""
        return {
            "schema_version": SCHEMA_VERSION,
            "complete": not self.interrupted,
            "missions": [result.document() for result in self.matches],
        }


def resolve_missions(settings: GamesSettings) -> list[Mission]:
    """The missions of a contest, changed as it says; files that share a name with others are told apart by their paths.

    Raises UserError for one that there is not.
    """
    if settings.mission_set and settings.missions:
        raise UserError(f"name missions or the set {settings.mission_set}, not both")
    names = mission_set(settings.mission_set) if settings.mission_set else settings.missions or [MISSION]
    changes = {"cogs": settings.cogs, "max_steps": settings.steps, "difficulty": settings.difficulty}
    given = {key: value for key, value in changes.items() if value is not None}
    full = dict.fromkeys(name for pattern in names for name in missions_like(pattern))
    wanted = [{"name": name, "variants": settings.variants, **given} for name in full]
    missions = [build_mission(validated(MissionSettings, said, "mission")) for said in wanted]
    held = Counter(mission.name for mission in missions)
    return [
        mission.model_copy(update={"name": f"{mission.name} ({name})"})
        if held[mission.name] > 1 and is_mission_file(name)
        else mission
        for name, mission in zip(full, missions, strict=True)
    ]


def check_contest(settings: GamesSettings, others: Sequence[str] = ()) -> None:
    """Raise UserError for a device, a policy or room on the maps that is not there. Nothing is fetched, no code of a
    user's runs. `others` play beside the policies that the settings name."""
    from metta.rl.machine import choose_device  # here because torch is slow to import

    choose_device(settings.device)
    entries = parse_entries(settings.policies)
    for entry in (*entries, *parse_entries(others)):
        check_policy(entry.uri, settings.data_dir, settings.trust_pickle, settings.trust_code)
    for mission in resolve_missions(settings):
        check_room(mission, settings.seed)
        share_seats(entries, mission)


def make_match(
    line_up: LineUp,
    mission: Mission,
    entries: Sequence[Entry],
    episodes: int,
    seed: int,
    map_seed: int | None = None,
) -> Match:
    """A match of policies that share the seats by their proportions, on consecutive seeds. Raises UserError as
    `LineUp.seat`."""
    first = seed if map_seed is None else map_seed
    seeds, maps = range(seed, seed + episodes), range(first, first + episodes)
    return line_up.match(mission, line_up.seat(mission, entries), seeds, maps)


def run_contest(settings: ContestSettings) -> ContestResult:
    """Play it. Ctrl-C ends it with the episodes played so far. Raises UserError for bad input."""
    entries = parse_entries(settings.policies)
    if not entries:
        raise UserError("no policy is named: -p POLICY")
    missions, line_up = resolve_missions(settings), prepare(settings)
    matches = [
        make_match(line_up, mission, entries, settings.episodes, settings.seed, settings.map_seed)
        for mission in missions
    ]
    again = settings.save_replay_dir is None  # those beside a report come anew with it
    return play_contest(matches, line_up, settings, settings.out, settings.replays, replace_replays=again)


def prepare(settings: PlayerSettings) -> LineUp:
    """Compile what plays, set up the machine, and line up. Raises UserError for a device that is not there."""
    compile_ahead(*ALL)
    from metta.rl.machine import set_up  # here because torch is slow to import

    set_up(settings, 1)
    return LineUp(settings)


def play_contest(
    matches: Sequence[Match],
    line_up: LineUp,
    settings: PlayerSettings,
    out: Path | None = None,
    replays: Path | None = None,
    replace_replays: bool = False,
) -> ContestResult:
    """Play matches, with a progress bar. Raises UserError for bad input."""
    parts = {part.digest: part for match in matches for part in match.parts()}
    results: dict[str, MatchResult] = {}
    record, workers = keep_in(replays) if replays else record_nothing, settings.workers or available_cores()
    start, interrupted = time.perf_counter(), False
    kept: AbstractContextManager[ResultStore | None] = OutFile(out, matches) if out else nullcontext()
    with kept as store:
        if store:
            results |= {result.match: result for result in store.results()}
        left = [part for digest, part in parts.items() if digest not in results]
        if replays:
            _check_replays(replays, parts, results, replace_replays)
        with progress_bar(left) as progress:
            try:
                for result in play_matches(left, line_up.build, workers, progress, record):
                    results[result.match] = result
                    if store:
                        store.add(result)
            except KeyboardInterrupt:
                interrupted = True
    return ContestResult(
        matches=match_summaries(matches, _labels(matches), results),
        episodes=sum(len(match.seeds) for match in matches),
        messages=list(dict.fromkeys(_messages(parts, results.values()))),
        agent_steps=progress.done,
        seconds=time.perf_counter() - start,
        interrupted=interrupted,
    )


def _check_replays(folder: Path, parts: Mapping[str, Match], done: Collection[str], replace: bool) -> None:
    """Raise UserError if replays cannot be written, or one would take the place of another, or of a file."""
    ensure_writable(folder, "--save-replay-dir")
    files: set[str] = set()
    for digest, part in parts.items():
        for file in replay_files(part, [player.name for player in part.players]):
            if file in files:
                raise UserError(f"two teams would have the replay {file}: their policies are called alike")
            files.add(file)
            kept = replace or digest in done or is_left(folder / file)
            if not kept and (folder / file).exists():
                raise UserError(f"{folder / file} exists; name another folder for the replays")


def _labels(matches: Sequence[Match]) -> dict[str, str]:
    """Names for tables, by URI; policies that share one, as `role?miner=4` and `role?scout=4` do, have their URIs."""
    names = {player.uri: player.name for match in matches for player in match.players}
    held = Counter(names.values())
    return {uri: uri if held[name] > 1 else name for uri, name in names.items()}


def _messages(parts: Mapping[str, Match], results: Iterable[MatchResult]) -> Iterator[str]:
    """What went wrong with policies, in words."""
    for result in results:
        for player, causes in zip(parts[result.match].players, result.causes, strict=True):
            for kind, text in causes.items():
                yield f"{player.name}: {'was stopped:' if kind == ENDED else f'{kind}, first:'} {text}"


@contextmanager
def progress_bar(matches: Sequence[Match]) -> Iterator[Progress]:
    """Counts agent-steps, shown on standard error where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty()
    with Bar(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("playing", total=sum(match.agent_steps for match in matches))
        yield Progress(lambda done: bar.update(task, completed=done))
