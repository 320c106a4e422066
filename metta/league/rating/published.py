"""What a league publishes of a pool, so that anyone can compute its leaderboard again."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic import ValidationError as Invalid

from metta.common.errors import UserError
from metta.league.rating.ranking import Score, recompute
from metta.league.records import Pool, Result, Standing

SCHEMA_VERSION = 1
MOST_SEATS, MOST_SCORE = 1_000_000, 4e38  # beyond what a float32 holds, and of which sums of squares are numbers still
SCORES = TypeAdapter(tuple[tuple[Annotated[float, Field(ge=-MOST_SCORE, le=MOST_SCORE)], ...], ...])


class Published(BaseModel):
    """Every result of a pool, and the leaderboard that follows from them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    season: str = Field(max_length=200)
    pool: str = Field(max_length=200)
    score: Score = "replacement"
    policies: tuple[str, ...] = Field(description="those that are ranked; others only played with them")
    names: dict[str, str] = Field(default={}, description="what people call the policies")
    results: tuple[Result, ...]
    standings: tuple[Standing, ...] = ()

    @model_validator(mode="after")
    def _scores_fit_the_lineups(self) -> Self:
        if len({result.match for result in self.results}) < len(self.results):
            raise ValueError("a match is in it twice")
        for result in self.results:
            lineup, scores = result.lineup, SCORES.validate_python(result.scores)
            players, episodes = len(lineup.policies), len(lineup.seeds)
            if not players == len(lineup.seats) == len(scores) or len(lineup.teams) not in (0, players):
                raise ValueError(f"match {result.match}: {players} policies, but {len(scores)} scores")
            seated = players > 0 and all(0 < seats <= MOST_SEATS for seats in lineup.seats)
            if not seated or not 0 < episodes == len(lineup.map_seeds):
                raise ValueError(f"match {result.match}: every policy has a seat, every episode two seeds")
            if any(len(own) != episodes for own in scores):
                raise ValueError(f"match {result.match}: {episodes} seeds, but another number of scores")
        return self

    def recomputed(self) -> tuple[Standing, ...]:
        """The leaderboard, computed anew from the results."""
        return tuple(recompute(self.results, self.policies, self.score))


def publish(season: str, pool: Pool, score: Score, names: dict[str, str]) -> Published:
    """A pool's results with its leaderboard."""
    policies = tuple(sorted(entrant.policy for entrant in pool.entrants if entrant.active))
    standings = tuple(recompute(pool.results, policies, score))
    ordered = tuple(sorted(pool.results, key=lambda result: result.match))
    return Published(
        season=season, pool=pool.name, score=score, policies=policies, names=names, results=ordered, standings=standings
    )


def read_published(text: str | bytes, origin: str) -> Published:
    """From JSON. Raises UserError, with `origin` in it, for anything else."""
    try:
        return Published.model_validate_json(text)
    except Invalid as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{origin}: no published results ({where + ': ' if where else ''}{first['msg']})") from None
