"""What every adapter is made of: the words of a caller become a batch of environments."""

from typing import Any

import numpy as np

from metta.common.errors import UserError
from metta.common.settings import validated
from metta.game.build import build_batch, episode_seed
from metta.game.engine.batch import EnvBatch
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

MAP_POOL = 64


def batch_from(
    mission: str, settings: dict[str, Any], num_envs: int, seed: int, threads: int, map_pool: int, auto_reset: bool
) -> EnvBatch:
    """Environments of a mission; `settings` are those of the `mission` branch of the trainer's tree, such as cogs=4.

    Raises:
        UserError: an unknown mission or setting, or a value out of range.
    """
    for name, value in {"num_envs": num_envs, "threads": threads, "map_pool": map_pool, "seed": seed}.items():
        if not isinstance(value, int | np.integer) or (value < 1 and name != "seed"):
            raise UserError(f"{name}={value!r}: should be a whole number{'' if name == 'seed' else ' above 0'}")
    built = build_mission(validated(MissionSettings, {**settings, "name": mission}, "mission"))
    return build_batch(
        built, int(num_envs), seed=int(seed), map_pool=int(map_pool), threads=int(threads), auto_reset=auto_reset
    )


def checked_actions(actions: Any, count: int, choices: int) -> np.ndarray:
    """Actions of `count` agents as int32 [count]. Raises ValueError for another number of them, for what is no whole
    number and for one that is not below `choices`."""
    given = np.asarray(actions)
    if not isinstance(actions, np.ndarray) and given.shape == (count,) and any(map(_is_bool, actions)):
        given = given.astype(bool)  # which a whole number beside it hides
    if given.shape != (count,):
        raise ValueError(f"actions have the shape {given.shape}, this environment needs ({count},)")
    if given.dtype.kind not in "iu":
        raise ValueError(f"actions are {given.dtype}, this environment needs whole numbers from 0 to {choices - 1}")
    if given.min() < 0 or given.max() >= choices:
        wrong = int(np.flatnonzero((given < 0) | (given >= choices))[0])
        raise ValueError(f"action {given[wrong]} of agent {wrong} is not one of 0 to {choices - 1}")
    return np.ascontiguousarray(given, np.int32)


def _is_bool(action: Any) -> bool:
    return np.asarray(action).dtype == bool


def begin(batch: EnvBatch, observations: np.ndarray, seed: int | None, again: bool) -> None:
    """Start episodes everywhere: those of a seed, or without one the first, then (`again`) the next.

    An environment's first episode is on the map of its own number whatever the seed; so with a seed it is passed over.
    """
    if seed is not None or not again:
        batch.reset(observations, None if seed is None else episode_seed(seed))
    if seed is not None or again:
        batch.start_episodes(np.arange(batch.num_envs), observations)
