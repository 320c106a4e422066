"""The result of an episode as it is kept: everything that tables, reports and documents are made of."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt

from metta.eval.gear import GearTrack
from metta.game.engine.batch import Episode

Value = FiniteFloat
DIGITS = 9  # more than a float32 has


class EpisodeRow(BaseModel):
    """One episode. Lists over agents are in the order of their ids."""

    model_config = ConfigDict(extra="forbid")

    seed: NonNegativeInt  # of its map
    episode_seed: NonNegativeInt  # of all else: spawns, events, seats and policies
    steps: NonNegativeInt
    seats: list[NonNegativeInt]  # which policy of the line-up each agent had
    returns: list[Value]  # sum of rewards of each agent
    agent: dict[str, list[Value]]  # statistic: value of each agent
    teams: dict[str, dict[str, Value]]  # team: statistic: value
    game: dict[str, Value]
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")  # SHA-256 of all actions and rewards, step by step
    gear: list[str] = []  # what each agent wore, see metta.eval.gear
    replay: str | None = None  # file, relative to the folder of replays

    @property
    def score(self) -> float:
        """Mean return of all agents."""
        return float(np.mean(self.returns))


def make_row(
    episode: Episode,
    map_seed: int,
    seed: int,
    seats: np.ndarray,
    gear: GearTrack,
    fingerprint: str,
    replay: str | None = None,
) -> EpisodeRow:
    """What is kept of an episode."""
    return EpisodeRow(
        seed=map_seed,
        episode_seed=seed,
        steps=episode.steps,
        seats=seats.tolist(),
        returns=_short(episode.returns),
        agent={name: _short(values) for name, values in sorted(episode.agent.items())},
        teams={team: _values(stats) for team, stats in sorted(episode.collective.items())},
        game=_values(episode.game),
        fingerprint=fingerprint,
        gear=gear.lines(episode.env),
        replay=replay,
    )


def _short(values: Any) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values).tolist()]


def _values(stats: dict[str, float]) -> dict[str, float]:
    return dict(zip(sorted(stats), _short([stats[name] for name in sorted(stats)]), strict=True))
