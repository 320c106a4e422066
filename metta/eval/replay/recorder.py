"""Recording one environment of a batch while it is played."""

from pathlib import Path

import numpy as np

from metta.common.errors import UserError
from metta.common.files import write_atomic
from metta.eval.replay.file import CHUNK_STEPS, encode_delta, encode_file, encode_state
from metta.eval.replay.growing import GrowingFile
from metta.eval.replay.header import AGENT_COLUMNS, NONE, ReplayHeader, make_header
from metta.game.engine.batch import Batch
from metta.policy.interface import Policy, Telling, tells

COLUMN = {name: index for index, name in enumerate(AGENT_COLUMNS)}
REWARD_UNIT, VALUE_UNIT = 1e-6, 1e-3
MOST = 2**31 - 1


class Recorder:
    """Keeps the episode of one environment: `start` after the batch's reset, `step` after each of its steps.

    A batch that resets by itself shows no state of the last step, so there the recording ends one step early.
    """

    header: ReplayHeader

    def __init__(
        self,
        batch: Batch,
        env: int = 0,
        *,
        seed: int = 0,
        map_seed: int | None = None,
        policies: list[str],
        policy_of: list[int] | None = None,
    ) -> None:
        """`seed` is that of the episode, and of its map unless that has another; `policies` names who plays,
        `policy_of` which of them each agent is (default: the first)."""
        self._batch, self._env = batch, env
        self._seeds = seed, seed if map_seed is None else map_seed
        self._policies, self._policy_of = policies, policy_of or [0] * batch.num_agents
        self.states: list[bytes] = []  # key states, every CHUNK_STEPS steps
        self.deltas: list[bytes] = []  # from the state before; that of step 0 is empty
        self.state = np.zeros(0, np.int64)
        self.done = False
        self._file: GrowingFile | None = None

    def start(self, policy: Policy) -> None:
        """Keep the state in which the episode begins. `policy` is asked what its agents are about, if it tells."""
        self._telling = policy if tells(policy) else None
        roles, tasks = (policy.role_names, policy.task_names) if tells(policy) else ((), ())
        self.header = make_header(
            self._batch, self._env, self._seeds, self._policies, self._policy_of, list(roles), list(tasks)
        )
        hubs = [(o["row"], o["col"], o["owner"]) for o in self._batch.objects(self._env) if o["type"].endswith(":hub")]
        names = [self.header.collectives[agent.team] for agent in self.header.agents]
        self._hubs = np.array([next(((r, c) for r, c, owner in hubs if owner == name), (0, 0)) for name in names])
        self._origin_known = bool(hubs)
        self.states, self.deltas, self.done = [], [], False
        agents = self._batch.num_agents
        self.state = self._observe(np.zeros(agents, np.int32), np.zeros(agents), None, 0)
        self.states.append(encode_state(self.state))
        self.deltas.append(b"")

    def grow(self, path: Path) -> None:
        """Write the file from here on step by step, so that it outlives this process; `save` ends that."""
        self.close()
        self._file = GrowingFile(path, self.header, self.states, self.deltas)

    def step(self, actions: np.ndarray, rewards: np.ndarray, values: np.ndarray | None = None) -> None:
        """Keep what a step did. actions int [E, A], rewards float [E, A], values: the policy's estimates [E, A]."""
        self.done = self.done or int(self._batch.steps()[self._env]) != len(self.deltas)
        if self.done:
            return
        e = self._env
        if values is not None and not self.header.values:
            self.header.values = True
            if self._file:
                self.grow(self._file.path)  # the header has changed
        state = self._observe(actions[e], rewards[e], None if values is None else values[e], len(self.deltas))
        self.deltas.append(encode_delta(self.state, state))
        self.state = state
        if (len(self.deltas) - 1) % CHUNK_STEPS == 0:
            self.states.append(encode_state(state))
        if self._file:
            self._file.add()

    def to_bytes(self) -> bytes:
        """The replay file of what has been recorded so far."""
        return encode_file(self.header, self.states, self.deltas)

    def save(self, path: Path) -> None:
        """Write the whole replay file. Raises UserError where that fails."""
        self.close()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, self.to_bytes())
        except OSError as error:
            raise UserError(f"{path}: the replay cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """End a file that grows, as it is."""
        if self._file:
            self._file.close()
        self._file = None

    def _observe(self, actions: np.ndarray, rewards: np.ndarray, values: np.ndarray | None, step: int) -> np.ndarray:
        """The present state as numbers, int64 [header.size]."""
        batch, e = self._batch, self._env
        agents = np.full((batch.num_agents, self.header.agent_width), NONE, np.int64)
        agents[:, : COLUMN["col"] + 1] = batch.positions()[e]
        agents[:, COLUMN["vibe"]] = batch.vibes()[e]
        agents[:, COLUMN["action"]] = np.clip(actions, -1, 255)
        agents[:, COLUMN["success"]] = batch.successes()[e] if step else 0
        agents[:, COLUMN["reward"]] = _units(rewards, REWARD_UNIT)
        agents[:, COLUMN["value"]] = 0 if values is None else _units(values, VALUE_UNIT)
        if self._telling and step:
            self._write_intents(self._telling, agents)
        agents[:, len(AGENT_COLUMNS) :] = batch.inventories()[e]
        return np.concatenate([agents.ravel(), batch.object_states(e).ravel(), batch.team_inventory()[e].ravel()])

    def _write_intents(self, telling: Telling, agents: np.ndarray) -> None:
        """Write roles, tasks and targets."""
        agents[:, COLUMN["role"]] = telling.roles[self._env]
        agents[:, COLUMN["task"]] = telling.tasks[self._env]
        targets = telling.targets[self._env] + self._hubs
        inside = (targets >= 0) & (targets < (len(self.header.map), len(self.header.map[0])))
        known = inside.all(1) & self._origin_known
        agents[:, COLUMN["target_row"] : COLUMN["target_col"] + 1] = np.where(known[:, None], targets, NONE)


def _units(amounts: np.ndarray, unit: float) -> np.ndarray:
    """Whole numbers of a unit, within 32 bits; what is no number counts as 0."""
    return np.clip(np.nan_to_num(np.round(np.asarray(amounts, np.float64) / unit)), -MOST, MOST).astype(np.int64)
