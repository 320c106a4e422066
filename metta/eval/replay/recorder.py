"""Recording the episodes of a batch while they are played."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metta.eval.replay.file import CHUNK_STEPS
from metta.eval.replay.header import AGENT_COLUMNS, NONE, ReplayHeader, make_header
from metta.eval.replay.recording import Recording
from metta.game.engine.batch import Batch
from metta.policy.interface import Policy, tells
from metta.policy.team import NOWHERE

COLUMN = {name: index for index, name in enumerate(AGENT_COLUMNS)}
REWARD_UNIT, VALUE_UNIT = 1e-6, 1e-3
MOST = 2**31 - 1


class Seen(NamedTuple):
    """What a step shows of E environments; of several steps, with an axis before."""

    positions: np.ndarray  # [E, A, 2]
    vibes: np.ndarray  # [E, A], as all that follow
    actions: np.ndarray
    successes: np.ndarray
    rewards: np.ndarray
    values: np.ndarray
    roles: np.ndarray
    tasks: np.ndarray
    targets: np.ndarray  # [E, A, 2], from each agent's hub
    inventories: np.ndarray  # [E, A, R]
    objects: np.ndarray  # [E, O, 2]
    teams: np.ndarray  # inventories [E, C, R]


class Recorder:
    """Keeps the episodes of a batch: `start` after its reset, `step` after each of its steps.

    A batch that resets by itself shows no state of the last step, so there a recording ends one step early.
    """

    recordings: list[Recording]  # of each environment that is recorded

    def __init__(
        self,
        batch: Batch,
        seeds: Sequence[tuple[int, int]],
        policies: list[str],
        seats: np.ndarray | None = None,
        delay: float = 0.0,
    ) -> None:
        """`seeds` are those of the episode and of its map of each environment that is recorded, the first ones of the
        batch; `policies` names who plays, `seats` which of them each agent is, int [E, A] (default: the first). What
        was played is recorded after `delay` seconds at the latest: many steps at once take a tenth of the time."""
        self._batch, self._seeds, self._policies, self._delay = batch, seeds, policies, delay
        self._seats = np.zeros((batch.num_envs, batch.num_agents), np.int64) if seats is None else seats
        self._waiting: list[Seen] = []  # of the steps that are not recorded yet

    def start(self, policy: Policy) -> None:
        """Keep the states in which the episodes begin. `policy` is asked what its agents are about, if it tells."""
        batch, envs = self._batch, range(len(self._seeds))
        self._telling = policy if tells(policy) else None
        roles, tasks = (list(policy.role_names), list(policy.task_names)) if tells(policy) else ([], [])
        headers = [
            make_header(batch, env, self._seeds[env], self._policies, self._seats[env].tolist(), roles, tasks)
            for env in envs
        ]
        hubs = [_hubs(batch, env, headers[env]) for env in envs]
        self._hubs = np.array([places or [(0, 0)] * batch.num_agents for places in hubs])
        self._origin_known = np.array([bool(places) for places in hubs])
        self._step, self._over, self._has_values = 0, np.zeros(len(envs), bool), False
        self._waiting.clear()
        shape = (batch.num_envs, batch.num_agents)
        self._untold = np.full(shape, NONE), np.full(shape, NONE), np.full((*shape, 2), NOWHERE)
        begun = self._look(np.zeros(shape, np.int32), np.zeros(shape), None)
        begun.successes[:] = False
        seen = _stacked([begun])
        agents = self._agents(seen)
        self.recordings = [
            Recording(header, _states(seen, agents, env, header)[0]) for env, header in enumerate(headers)
        ]

    def step(self, actions: np.ndarray, rewards: np.ndarray, values: np.ndarray | None = None) -> None:
        """Keep what a step did. actions int [E, A], rewards float [E, A], values: the policy's estimates [E, A]."""
        self._step += 1
        over = self._over | (self._batch.steps()[: len(self._over)] != self._step)
        tells_values = values is not None and not self._has_values
        if tells_values or (over != self._over).any():
            self.flush()
            self._over = over
        if self._over.all():
            return
        if tells_values:
            self._has_values = True
            for recording in self.recordings:
                recording.tell_values()
        if not self._waiting:
            self._due = time.monotonic() + self._delay
        self._waiting.append(self._look(actions, rewards, values))
        if time.monotonic() >= self._due or len(self._waiting) == CHUNK_STEPS:
            self.flush()

    def flush(self) -> None:
        """Record what has been played so far."""
        if not self._waiting:
            return
        seen = _stacked(self._waiting)
        agents = self._agents(seen)
        self._waiting.clear()
        for env in np.flatnonzero(~self._over).tolist():
            recording = self.recordings[env]
            recording.add(_states(seen, agents, env, recording.header))

    def is_over(self, env: int) -> bool:
        """Whether the batch has gone on to another episode there."""
        return bool(self._over[env])

    def _look(self, actions: np.ndarray, rewards: np.ndarray, values: np.ndarray | None) -> Seen:
        """What can be seen now, in arrays of its own."""
        batch, telling = self._batch, self._telling if self._step else None
        told = (telling.roles, telling.tasks, telling.targets) if telling else self._untold
        seen = (
            batch.positions(),
            batch.vibes(),
            actions,
            batch.successes(),
            rewards,
            np.zeros(rewards.shape) if values is None else values,
            *told,
            batch.inventories(),
            batch.object_states(),
            batch.team_inventory(),
        )
        return Seen(*(part[: len(self._seeds)].copy() for part in seen))

    def _agents(self, seen: Seen) -> np.ndarray:
        """The agents' part of states, int64 [steps, E, A, W]."""
        agents = np.empty((*seen.vibes.shape, len(AGENT_COLUMNS) + seen.inventories.shape[-1]), np.int64)
        agents[..., : COLUMN["col"] + 1] = seen.positions
        agents[..., COLUMN["vibe"]] = seen.vibes
        agents[..., COLUMN["action"]] = np.clip(seen.actions, -1, 255)
        agents[..., COLUMN["success"]] = seen.successes
        agents[..., COLUMN["reward"]] = _units(seen.rewards, REWARD_UNIT)
        agents[..., COLUMN["value"]] = _units(seen.values, VALUE_UNIT)
        agents[..., COLUMN["role"]] = seen.roles
        agents[..., COLUMN["task"]] = seen.tasks
        targets = seen.targets + self._hubs
        inside = (targets >= 0) & (targets < self._batch.map_shape)
        known = inside.all(-1) & self._origin_known[:, None]
        agents[..., COLUMN["target_row"] : COLUMN["target_col"] + 1] = np.where(known[..., None], targets, NONE)
        agents[..., len(AGENT_COLUMNS) :] = seen.inventories
        return agents


def _hubs(batch: Batch, env: int, header: ReplayHeader) -> list[tuple[int, int]]:
    """Row and column of the hub of each agent's team; none where no team has one."""
    hubs = {o["owner"]: (o["row"], o["col"]) for o in reversed(batch.objects(env)) if o["type"].endswith(":hub")}
    return [hubs.get(header.collectives[agent.team], (0, 0)) for agent in header.agents] if hubs else []


def _stacked(steps: Sequence[Seen]) -> Seen:
    return Seen(*(np.stack(arrays) for arrays in zip(*steps, strict=True)))


def _states(seen: Seen, agents: np.ndarray, env: int, header: ReplayHeader) -> np.ndarray:
    """The states of an environment, int64 [steps, header.size]."""
    parts = (agents[:, env], seen.objects[:, env, : len(header.objects)], seen.teams[:, env])
    return np.concatenate([part.reshape(len(agents), -1) for part in parts], 1)


def _units(amounts: np.ndarray, unit: float) -> np.ndarray:
    """Whole numbers of a unit, within 32 bits; what is no number counts as 0."""
    return np.clip(np.nan_to_num(np.round(np.asarray(amounts, np.float64) / unit)), -MOST, MOST).astype(np.int32)
