"""Evaluate policies on missions: one policy, or several that share the agents; the same runner for every command."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from metta.common.defaults import MISSION
from metta.common.digests import SHOWN, digest
from metta.common.errors import UserError
from metta.common.files import ensure_writable
from metta.common.ranks import available_cores
from metta.common.settings import validated
from metta.eval.entries import Entry, parse_entries
from metta.eval.out_file import CONTENT, OutFile
from metta.eval.replay.keeping import is_left
from metta.eval.results import SCHEMA_VERSION, RoundResult, round_results
from metta.eval.rounds import ChunkResult, Progress, Round, close_policies, keep_in, play_rounds, replay_files
from metta.eval.settings import ContestSettings, GamesSettings, PlayerSettings
from metta.game.build import check_room
from metta.game.compilation import compile_ahead
from metta.game.mission import Mission, MissionSettings
from metta.game.mission_files import is_mission_file
from metta.game.missions import build_mission, mission_set, missions_like
from metta.game.observation import EnvInfo, env_info
from metta.policy.hosted.client import HostedPolicy
from metta.policy.interface import Policy
from metta.policy.rehearsal import ALL
from metta.policy.stored.uri import FoundPolicy, check_policy, find_policy
from metta.policy.team import share_out


@dataclass(frozen=True)
class ContestResult:
    """What was played, as far as it went."""

    rounds: list[RoundResult]
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
            for result in self.rounds
            for policy in range(len(result.names))
            if (line := result.never_acted(policy))
        ]

    def document(self) -> dict[str, Any]:
        """The JSON document: schema_version, missions, and whether it is complete."""
        return {
            "schema_version": SCHEMA_VERSION,
            "complete": not self.interrupted,
            "missions": [result.document() for result in self.rounds],
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
    for entry in parse_entries([*settings.policies, *others]):
        check_policy(entry.uri, settings.data_dir, settings.trust_pickle, settings.trust_code)
    for mission in resolve_missions(settings):
        check_room(mission, settings.seed)


def make_round(
    mission: Mission, entries: tuple[Entry, ...], episodes: int, seed: int, map_seed: int | None = None
) -> Round:
    """A mission for policies by their proportions, and consecutive seeds. Raises UserError for too few agents."""
    first = seed if map_seed is None else map_seed
    return Round(
        mission=mission,
        entries=entries,
        counts=tuple(share_out([entry.proportion for entry in entries], mission.agents)),
        seeds=tuple(range(seed, seed + episodes)),
        map_seeds=tuple(range(first, first + episodes)),
    )


def run_contest(settings: ContestSettings) -> ContestResult:
    """Play it. Ctrl-C ends it with the episodes played so far. Raises UserError for bad input."""
    entries = parse_entries(settings.policies)
    if not entries:
        raise UserError("no policy is named: -p POLICY")
    rounds = [
        make_round(mission, entries, settings.episodes, settings.seed, settings.map_seed)
        for mission in resolve_missions(settings)
    ]
    again = settings.save_replay_dir is None  # those beside a report come anew with it
    return play_contest(rounds, settings, settings.out, settings.replays, replace_replays=again)


def play_contest(
    rounds: Sequence[Round],
    players: PlayerSettings,
    out: Path | None = None,
    replays: Path | None = None,
    replace_replays: bool = False,
) -> ContestResult:
    """Play rounds with policies named by URI, with a progress bar. Raises UserError for bad input."""
    compile_ahead(*ALL)
    from metta.rl.machine import set_up  # here because torch is slow to import

    set_up(players, 1)
    line_up, workers = LineUp(rounds, players), players.workers or available_cores()
    names = line_up.names
    record = [keep_in(replays)] if replays else []
    chunks: list[ChunkResult] = []
    start, interrupted = time.perf_counter(), False
    with OutFile(out, rounds, line_up.identities) if out else nullcontext() as file:
        if file:
            chunks += file.done
        skip = frozenset((result.round, result.chunk) for result in chunks)
        if replays:
            _check_replays(replays, rounds, names, skip, replace_replays)
        with progress_bar(rounds, skip) as progress:
            try:
                for result in play_rounds(rounds, line_up.build, workers, progress, skip, *record):
                    chunks.append(result)
                    if file:
                        file.add(result)
            except KeyboardInterrupt:
                interrupted = True
    return ContestResult(
        rounds=round_results(rounds, _labels(names), chunks),
        episodes=sum(len(played.seeds) for played in rounds),
        messages=list(dict.fromkeys(message for result in chunks for message in result.messages)),
        agent_steps=progress.done,
        seconds=time.perf_counter() - start,
        interrupted=interrupted,
    )


def _check_replays(
    folder: Path, rounds: Sequence[Round], names: dict[str, str], skip: frozenset[tuple[int, int]], replace: bool
) -> None:
    """Raise UserError if replays cannot be written, or one would take the place of another, or of a file."""
    ensure_writable(folder, "--save-replay-dir")
    files: set[str] = set()
    for number, played in enumerate(rounds):
        who = [names[entry.uri] for entry in played.entries]
        for chunk in range(played.chunks):
            for file in replay_files(played, played.of_chunk(chunk), who):
                if file in files:
                    raise UserError(f"two teams would have the replay {file}: their policies are called alike")
                files.add(file)
                kept = replace or (number, chunk) in skip or is_left(folder / file)
                if not kept and (folder / file).exists():
                    raise UserError(f"{folder / file} exists; name another folder for the replays")


@dataclass(frozen=True)
class Contestant:
    """A policy as it was when the contest began."""

    found: FoundPolicy
    name: str  # what it calls itself; of a net its version
    content: str  # digest of all that decides what it does

    @property
    def identity(self) -> dict[str, str]:
        return {"name": self.name, CONTENT: self.content}


class LineUp:
    """The policies of a contest, by URI. Each is read once: everyone plays what lay there when the contest began."""

    def __init__(self, rounds: Sequence[Round], players: PlayerSettings) -> None:
        """Raises UserError for a policy that there is not, or that cannot play a round."""
        from metta.rl.machine import choose_device  # here because torch is slow to import

        self._players, self._device = players, choose_device(players.device)
        self._known: dict[str, Contestant] = {}
        for played in rounds:
            if any(entry.uri not in self._known for entry in played.entries):
                close_policies(self.build(played))

    @property
    def names(self) -> dict[str, str]:
        return {uri: known.name for uri, known in self._known.items()}

    @property
    def identities(self) -> dict[str, dict[str, str]]:
        """What the policies turned out to be."""
        return {uri: {"uri": uri, **known.identity} for uri, known in self._known.items()}

    def build(self, played: Round) -> list[Policy]:
        """The policies of a round, one for each entry. Raises UserError for one whose code has changed meanwhile."""
        info, built = env_info(played.mission), []
        try:
            for entry, count in zip(played.entries, played.counts, strict=True):
                built.append(self._build(entry.uri, replace(info, num_agents=count)))
        except BaseException:
            close_policies(built)
            raise
        return built

    def _build(self, uri: str, info: EnvInfo) -> Policy:
        known = self._known.get(uri)
        found = known.found if known else self._find(uri, info)
        policy = found.build(info)
        content = digest(found.content, policy.content) if isinstance(policy, HostedPolicy) else found.content
        if known and known.content != content:
            close_policies([policy])
            raise UserError(f"{uri}: changed while it played: {known.content[:SHOWN]} before, {content[:SHOWN]} now")
        self._known[uri] = known or Contestant(found, policy.name, content)
        return policy

    def _find(self, uri: str, info: EnvInfo) -> FoundPolicy:
        players = self._players
        return find_policy(
            uri,
            info,
            players.data_dir,
            self._device,
            trust_pickle=players.trust_pickle,
            trust_code=players.trust_code,
            isolated=True,
            action_timeout_ms=players.action_timeout_ms,
        )


def build_policies(played: Round, players: PlayerSettings) -> list[Policy]:
    """The policies of a round alone. Raises UserError as `LineUp`."""
    return LineUp([], players).build(played)


def _labels(names: dict[str, str]) -> dict[str, str]:
    """Names for tables, by URI; policies that share one, as `role?miner=4` and `role?scout=4` do, have their URIs."""
    held = Counter(names.values())
    return {uri: uri if held[name] > 1 else name for uri, name in names.items()}


@contextmanager
def progress_bar(rounds: Sequence[Round], skip: frozenset[tuple[int, int]]) -> Iterator[Progress]:
    """Counts agent-steps, shown on standard error where that is a terminal."""
    total = sum(
        len(played.of_chunk(chunk)) * played.mission.max_steps * played.mission.agents
        for number, played in enumerate(rounds)
        for chunk in range(played.chunks)
        if (number, chunk) not in skip
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty()
    with Bar(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("playing", total=total)
        yield Progress(lambda done: bar.update(task, completed=done))
