"""A match: who plays what, in which seats, on which seeds, under which limits; and what came of it.

A match says all that its result follows from: the mission with its settings, the policies by digests of their content,
the seeds, the limits and the version of the engine. Whoever has these can play it again (`metta.eval.verification`).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveInt,
    WrapValidator,
    model_validator,
)

from metta.common.defaults import ACTION_TIMEOUT_MS
from metta.common.digests import digest, digest_sources
from metta.eval.rows import EpisodeRow
from metta.game.mission import Mission

BATCH = 8  # episodes of a match that are played at once, and kept at once
PLAYING = tuple(Path(__file__).parents[1] / package for package in ("game", "policy"))  # whose code decides numbers
MOST_EPISODES = 1_000_000  # of a match
MOST_NAME = 300  # characters
ENDED = "ended"  # among the causes of faults: why a policy plays no more
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hex")]


def engine_version() -> str:
    """Digest of the code that plays: the engine's and that of the policies that come with it."""
    return digest_sources(*PLAYING)


def _spans(seeds: Sequence[int]) -> list[list[int]]:
    """Seeds as [first, how many] of consecutive ones."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == sum(spans[-1]):
            spans[-1][1] += 1
        else:
            spans.append([seed, 1])
    return spans


def _each(seeds: Any) -> Any:
    """Seeds from spans of them, or as they are."""
    if not isinstance(seeds, list) or not all(
        isinstance(span, list) and len(span) == 2 and all(type(part) is int and part >= 0 for part in span)
        for span in seeds
    ):
        return seeds
    if sum(count for _, count in seeds) > MOST_EPISODES:
        raise ValueError(f"more than {MOST_EPISODES:,} episodes")
    return [first + k for first, count in seeds for k in range(count)]


Seeds = Annotated[
    tuple[NonNegativeInt, ...], BeforeValidator(_each), PlainSerializer(_spans, when_used="json"), Field(min_length=1)
]


def _named(said: Any, validate: Callable[[Any], Mission]) -> Mission:
    """A mission whose name may say more than a mission's may: which of several of that name it is."""
    if not isinstance(said, dict) or "name" not in said:
        return validate(said)
    mission = validate({key: value for key, value in said.items() if key != "name"})
    return mission.model_copy(update={"name": str(said["name"])[:MOST_NAME]})


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Player(_Frozen):
    """A policy in a match, and the seats that it has."""

    policy: Digest = Field(description="digest of all that decides what it does")
    seats: PositiveInt = Field(description="agents that it plays")
    team: str | None = Field(default=None, description="the team in which its seats are; null: in any")
    name: str = Field(default="", max_length=200, description="what people call it")
    uri: str = Field(default="", description="where it was found")
    proportion: float = Field(default=1.0, description="part of the seats that it was to have")


class Match(_Frozen):
    """A mission that policies play together, one episode for each seed."""

    mission: Annotated[
        Mission,
        WrapValidator(_named),
        PlainSerializer(lambda mission: mission.model_dump(mode="json", exclude_defaults=True), when_used="json"),
    ]
    players: tuple[Player, ...] = Field(min_length=1, max_length=255)
    seeds: Seeds = Field(description="of spawns, events, seats and policies; in JSON as [first, how many] in a row")
    map_seeds: Seeds = Field(description="of the map of each episode")
    action_timeout_ms: PositiveInt = Field(
        default=ACTION_TIMEOUT_MS, description="milliseconds that a policy's own code has for a step of an environment"
    )
    engine: Digest = Field(default_factory=engine_version, description="the code that plays it")

    @model_validator(mode="after")
    def _everyone_has_a_seat(self) -> Self:
        if len(self.map_seeds) != len(self.seeds):
            raise ValueError(f"{len(self.seeds)} seeds, {len(self.map_seeds)} of maps")
        teams = dict(zip(self.mission.teams, self.mission.team_sizes, strict=True))
        for team in dict.fromkeys(player.team for player in self.players):
            if team is not None and team not in teams:
                raise ValueError(f"no team {team!r}; there are {', '.join(teams)}")
        whole = {None: self.mission.agents} if None in self._seated else teams
        if self._seated != whole:
            raise ValueError(f"the players have other seats ({self._seated}) than there are ({whole})")
        return self

    @property
    def _seated(self) -> dict[str | None, int]:
        """Seats of the players by team."""
        seated: dict[str | None, int] = {}
        for player in self.players:
            seated[player.team] = seated.get(player.team, 0) + player.seats
        return {team: seated[team] for team in (None, *self.mission.teams) if team in seated}

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the players that share each run of agents: those of a team, or all of them."""
        teams = [None] if None in self._seated else list(self.mission.teams)
        return tuple(tuple(k for k, player in enumerate(self.players) if player.team == team) for team in teams)

    @property
    def max_steps(self) -> int:
        """Steps of each episode."""
        return self.mission.max_steps

    @property
    def agent_steps(self) -> int:
        """Agent-steps of all episodes."""
        return len(self.seeds) * self.mission.max_steps * self.mission.agents

    @property
    def digest(self) -> str:
        """Of everything that decides the numbers: what people call things is left out."""
        return digest(
            self.mission.rules,
            [[player.policy, player.team, player.seats] for player in self.players],
            self.seeds,
            self.map_seeds,
            self.action_timeout_ms,
            self.engine,
        )

    def has_players_of(self, other: "Match") -> bool:
        """Whether the same policies can go on: the players, and what they are told of the game, are the same."""
        return (self.mission, self.players, self.action_timeout_ms) == (
            other.mission,
            other.players,
            other.action_timeout_ms,
        )

    def parts(self, episodes: int = BATCH) -> Iterator["Match"]:
        """The same in matches of at most so many episodes, in order."""
        for start in range(0, len(self.seeds), episodes):
            chosen = slice(start, start + episodes)
            yield self.model_copy(update={"seeds": self.seeds[chosen], "map_seeds": self.map_seeds[chosen]})


class MatchResult(BaseModel):
    """What came of a match."""

    model_config = ConfigDict(extra="forbid")

    match: Digest = Field(description="digest of the match")
    episodes: list[EpisodeRow] = Field(description="in the order of the match's seeds")
    faults: list[dict[str, NonNegativeInt]] = Field(
        description="of each player: kind of fault, agent-steps in which an agent stood still for it"
    )
    causes: list[dict[str, str]] = Field(
        description="of each player: kind of fault, the first one in words; `ended`: why it plays no more"
    )

    @property
    def digest(self) -> str:
        """Of what was played, step by step, and of the statistics: equal where the same was played."""
        return digest(self.match, [row.model_dump(exclude={"replay"}) for row in self.episodes])

    def fits(self, match: Match) -> bool:
        """Whether it can be the result of that match: of its episodes, with a value for each agent."""
        agents, players = match.mission.agents, len(match.players)
        return (
            self.match == match.digest
            and len(self.faults) == len(self.causes) == players
            and [(row.episode_seed, row.seed) for row in self.episodes]
            == list(zip(match.seeds, match.map_seeds, strict=True))
            and all(
                all(len(values) == agents for values in (row.seats, row.returns, row.gear, *row.agent.values()))
                and set(row.seats) == set(range(players))
                for row in self.episodes
            )
        )


def joined(match: Match, parts: Sequence[MatchResult]) -> MatchResult:
    """The result of a match from those of its parts, in their order; of some of them, of the episodes there are."""
    faults: list[dict[str, int]] = [{} for _ in match.players]
    causes: list[dict[str, str]] = [{} for _ in match.players]
    for part in parts:
        for own, counts in zip(faults, part.faults, strict=True):
            for kind, count in counts.items():
                own[kind] = own.get(kind, 0) + count
        causes = [found | first for found, first in zip(part.causes, causes, strict=True)]
    rows = [row for part in parts for row in part.episodes]
    return MatchResult(match=match.digest, episodes=rows, faults=faults, causes=causes)
