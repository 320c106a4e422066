"""Collecting experience: the policy plays, every step lands in tensors allocated once.

Time comes first everywhere: [time, segments]. The engine then writes each step of all agents straight into one
contiguous slice, and recurrent kernels read it as it lies. A segment is `horizon` steps of one agent; an agent has
`rounds` of them in a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metta.game.engine.batch import Episode
from metta.policy.interface import Info
from metta.policy.nets.interface import NetOutput, PolicyNet, State
from metta.policy.sampling import sample_actions
from metta.rl.experience.environments import Environments, Repeatable, Tasked
from metta.rl.experience.labels import Labels
from metta.rl.experience.npcs import Npcs
from metta.rl.experience.teacher import Teacher, Turn
from metta.rl.learning.graphs import Captured
from metta.rl.learning.precision import FLOAT32, Precision
from metta.rl.learning.settings import AdvantageSettings
from metta.rl.run.metrics import Metrics
from metta.rl.run.timing import Stopwatch
from metta.rl.world import ALONE, World


class Row(NamedTuple):
    """One step of some agents, [agents, ...]; fields as of `Experience`."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    rewards: Tensor
    dones: Tensor
    resets: Tensor


@dataclass(frozen=True)
class Experience:
    """One batch, [time, segments] unless said otherwise."""

    observations: Tensor  # [time, segments, ...], of the game uint8 [time, segments, tokens, 3]
    actions: Tensor  # int64
    log_probs: Tensor
    values: Tensor
    rewards: Tensor  # what the action brought
    dones: Tensor  # bool: the action ended the episode
    resets: Tensor  # bool: an episode ended before this step
    next_values: Tensor  # [segments]: value after the last step
    state: State  # recurrent state before the first step, each [segments, ...]
    labels: Labels | None = None  # of a teacher

    def first_ratios(self) -> Tensor:
        """Probability of each action under the network that collected, over the stored one."""
        return torch.ones_like(self.log_probs) if self.labels is None else self.labels.ratios.clone()

    def for_ppo(self, part: Tensor) -> Tensor:
        """The segments of [time, segments] that PPO learns from; all of them where it learns from none."""
        if self.labels is None or not bool(self.labels.ppo_mask.any()):
            return part
        return part[:, self.labels.ppo_mask]

    def row(self, step: int, columns: slice) -> Row:
        """A step of some segments, where it lies."""
        return Row(*(part[step, columns] for part in self._by_step()))

    def rounds(self, count: int) -> Row:
        """All steps, [time * count, segments / count, ...]: those of `count` rounds take turns."""
        return Row(*(part.view(len(part) * count, -1, *part.shape[2:]) for part in self._by_step()))

    def _by_step(self) -> list[Tensor]:
        return [getattr(self, name) for name in Row._fields]

    @classmethod
    def allocate(cls, time: int, segments: int, info: Info, state: State, device: torch.device) -> "Experience":
        """Buffers of zeros; `info` tells the shape of observations, `state` [agents, ...] that of the memory."""

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        return cls(
            observations=zeros(time, segments, *info.observation_shape, dtype=getattr(torch, info.observation_dtype)),
            actions=zeros(time, segments, dtype=torch.int64),
            log_probs=zeros(time, segments),
            values=zeros(time, segments),
            rewards=zeros(time, segments),
            dones=zeros(time, segments, dtype=torch.bool),
            resets=zeros(time, segments, dtype=torch.bool),
            next_values=zeros(segments),
            state=tuple(zeros(segments, *part.shape[1:], dtype=part.dtype) for part in state),
        )


class Rollout:
    """Plays this process's environments with the policy and keeps what it needs to go on where it stopped.

    What happens in an environment follows from its number in the run, whatever processes play the others.
    """

    def __init__(
        self,
        env: Environments,
        net: PolicyNet,
        experience: Experience,
        generator: torch.Generator,
        settings: AdvantageSettings,
        teacher: Teacher | None = None,
        npcs: Npcs | None = None,
        precision: Precision = FLOAT32,
        repeat: bool = False,
        world: World = ALONE,
    ) -> None:
        """Without `npcs` all agents learn. `repeat`: steps are the same work on the same tensors, which a CUDA graph
        repeats; not with a teacher or NPCs, nor where observations need a copy (`graphs.obstacle`)."""
        self.env, self.net, self.experience = env, net, experience
        self.teacher, self.npcs = teacher, npcs
        self.precision, self.world = precision, world
        self._generator, self._advantage, self._centering = generator, settings, settings.reward_centering
        self._device = experience.actions.device
        agents, learners = env.num_envs * env.num_agents, env.num_envs * (npcs.learners if npcs else env.num_agents)
        observation, kind = experience.observations.shape[2:], experience.observations.dtype
        # What the engine reads and writes, where it runs.
        engine = torch.device(env.device)
        self._shared = engine.type == self._device.type  # observations need no copy
        self._actions = torch.zeros(agents, dtype=torch.int32, device=engine)
        self._rewards = torch.zeros(agents, device=engine)
        self._terminals = torch.zeros(agents, dtype=torch.bool, device=engine)
        self._truncations = torch.zeros(agents, dtype=torch.bool, device=engine)
        pinned = self._device.type == "cuda" and not self._shared
        size = (0 if self._shared else agents, *observation)
        self._host_observations = torch.zeros(size, dtype=kind, pin_memory=pinned)
        # What carries over from one batch to the next: of all agents, and of those who learn.
        self._observations = torch.zeros(agents, *observation, dtype=kind, device=self._device)
        self._state = net.initial_state(learners)
        self._ended = torch.ones(learners, dtype=torch.bool, device=self._device)
        self._reward_mean = torch.zeros(learners, device=self._device)
        self._reward_sum = torch.zeros(learners, device=self._device)
        self._reward_peak = torch.zeros(learners, device=self._device)
        # Of the last batch of all processes, float64 []: sum and largest size of rewards.
        self._total, self._largest = torch.zeros(2, dtype=torch.float64, device=self._device)
        # Of a step that is repeated: its tensors, all steps that it may be, and which of them it is.
        self._slots = experience.rounds(experience.actions.shape[1] // learners)
        self._now = Row(self._observations, *(torch.zeros_like(part[0]) for part in self._slots[1:]))
        self._slot = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._repeated: tuple[Repeatable, Captured[None]] | None = None
        if repeat and isinstance(env, Repeatable):
            self._last = torch.zeros_like(self._observations)  # seen before new episodes began
            self._repeated = env, Captured("playing", self._same_step, self._device, [generator])

    def start(self) -> None:
        """Begin the first episodes."""
        written = self._observations if self._shared else self._host_observations
        self.env.reset(self._engine_view(written))
        if not self._shared:
            self._observations.copy_(written)
        if self.teacher:
            self.teacher.reset()
        if self.npcs:
            self.npcs.start()

    def begin(self, epoch: int, agent_steps: int) -> Metrics:
        """Let teacher and NPCs draw who does what in the coming batch, after so much training."""
        teacher = self.teacher.begin(agent_steps) if self.teacher else {}
        return {**teacher, **(self.npcs.begin(epoch) if self.npcs else {})}

    def collect(self, stopwatch: Stopwatch, stop: Callable[[], bool]) -> bool:
        """Fill the experience. Return False, leaving it half filled, if `stop` came true between two steps."""
        segments, learners = self.experience.actions.shape[1], len(self._ended)
        with self.precision.playing(repeated=self._repeated is not None):
            self._reward_sum.zero_()
            self._reward_peak.zero_()
            for start in range(0, segments, learners):
                if not self._collect_round(slice(start, start + learners), stopwatch, stop):
                    return False
            if self.teacher:
                self.teacher.finish(self.experience.rewards, self.experience.actions)
            self._total = self.world.sum(self._reward_sum.double().sum())
            self._largest = self.world.largest(self._reward_peak.double().max())
        return True

    def _collect_round(self, columns: slice, stopwatch: Stopwatch, stop: Callable[[], bool]) -> bool:
        """Fill a segment of every agent who learns, unless `stop` came true."""
        for part, kept in zip(self._state, self.experience.state, strict=True):
            kept[columns] = part
        self.experience.observations[0, columns] = self._of_learners(self._observations)
        self._slot.fill_(columns.start // len(self._ended))
        for step in range(len(self.experience.actions)):
            if stop():
                return False
            self._step(step, columns, stopwatch)
        with stopwatch.phase("inference"):
            output, _ = self._act(self._of_learners(self._observations))
            self.experience.next_values[columns] = output.values
        return True

    def _of_learners(self, part: Tensor) -> Tensor:
        """Those who learn, [learners, ...], of all agents [agents, ...]."""
        return self.npcs.pick(part) if self.npcs else part

    @property
    def mean_reward(self) -> float:
        """Mean reward per agent-step of the last batch, before centring, on all processes."""
        return float(self._total) / self._agent_steps

    @property
    def largest_reward(self) -> float:
        """The largest reward of an agent-step in the last batch, by its size, before centring, on all processes."""
        return float(self._largest)

    @property
    def _agent_steps(self) -> int:
        """Of a batch, on all processes."""
        return self.experience.actions.numel() * self.world.size

    def _step(self, step: int, columns: slice, stopwatch: Stopwatch) -> None:
        """Let every agent act once and store what came of it for those who learn."""
        if self._repeated:
            self._repeat_step(*self._repeated, self.experience.rewards[step, columns], stopwatch)
            return
        experience, last = self.experience, step == len(self.experience.actions) - 1
        following = None if last else experience.observations[step + 1, columns]
        seen = self._observations if self.npcs or following is None else following
        lead = partial(self.teacher.lead, step, columns) if self.teacher else _own
        self._play(experience.row(step, columns), seen, stopwatch, lead)
        if self.npcs and following is not None:
            with stopwatch.phase("npc"):
                following.copy_(self.npcs.pick(self._observations))

    def _repeat_step(self, env: Repeatable, captured: Captured[None], rewards: Tensor, stopwatch: Stopwatch) -> None:
        """The same by a CUDA graph; `rewards` are the stored ones of the step. Which episodes it cuts is known before:
        what counts beyond them is another number of values each time, and no part of the graph."""
        cut = env.prepare()
        with stopwatch.phase("rollout"):
            captured()
        if cut.size:
            with stopwatch.phase("inference"):
                agents = self._moved(cut)
                rewards[agents] += self._value_of(agents, self._last[agents])

    def _same_step(self) -> None:
        """A step that has the same tensors every time and then stores them where it is told on the device."""
        state, now = self._state, self._now
        try:
            self._slots.observations.index_copy_(0, self._slot, now.observations.unsqueeze(0))
            self._play(now, self._observations, Stopwatch(), _own)
            for kept, new in zip(state, self._state, strict=True):
                kept.copy_(new)
        finally:
            self._state = state
        for kept, new in zip(self._slots[1:], now[1:], strict=True):
            kept.index_copy_(0, self._slot, new.unsqueeze(0))
        self._slot += len(self._slots.actions) // len(self.experience.actions)

    def _play(self, row: Row, seen: Tensor, stopwatch: Stopwatch, lead: Callable[[Tensor, Turn], Turn]) -> None:
        """A step from the observations in `row`, whose other fields are written; what follows goes to `seen`. `lead`
        makes of logits and the net's turn the one that is taken."""
        if self.teacher:
            on_host = self.npcs is None and not self._shared
            self.teacher.think(self._host_observations if on_host else row.observations)
        with stopwatch.phase("inference"):
            row.resets.copy_(self._ended)
            output, self._state = self._act(row.observations)
            actions, log_probs = sample_actions(output.logits, self.world.draw(len(output.logits), self._generator))
            row.values.copy_(output.values)
        with stopwatch.phase("teacher"):
            turn = lead(output.logits, Turn(actions, actions, log_probs))
        with stopwatch.phase("inference"):
            row.actions.copy_(turn.actions)
            row.log_probs.copy_(turn.log_probs)
        with stopwatch.phase("npc"):
            executed = turn.executed
            self._actions.copy_(self.npcs.join(executed, self._observations) if self.npcs else executed)
        with stopwatch.phase("env"):
            self._step_engine(seen)
            ended = self._terminals | self._truncations
            over = self._of_learners(ended)
            row.dones.copy_(over)
            all_rewards = self._rewards.to(self._device)
            rewards = self._of_learners(all_rewards)
            self._reward_sum += rewards
            torch.maximum(self._reward_peak, rewards.abs(), out=self._reward_peak)
            row.rewards.copy_(self._centre(rewards) if self._centering.enabled else rewards)
        if self.teacher:
            self.teacher.end_episodes(over)
        if (truncated := self.env.take_truncated()) is not None:
            with stopwatch.phase("inference"):
                slots, beyond = self._values_beyond(*truncated)
                row.rewards[slots] += beyond
        with stopwatch.phase("npc"):
            if self.npcs:
                self.npcs.end_step(all_rewards, ended)
            self._ended.copy_(self._of_learners(ended))

    def _values_beyond(self, agents: np.ndarray, last: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """What is still to come for agents whose episode was cut short: the discounted value of what they last saw.

        Counted as part of their last reward (Pardo et al. 2018, partial-episode bootstrapping).
        """
        slots = torch.from_numpy(agents).to(self._device)
        if self.npcs:
            slots = self.npcs.slots(slots)
        learning = slots >= 0
        slots, observations = slots[learning], torch.as_tensor(last).to(self._device)[learning]
        if not len(slots):
            return slots, self._reward_sum[:0]
        return slots, self._value_of(slots, observations)

    def _value_of(self, slots: Tensor, observations: Tensor) -> Tensor:
        """The discounted value of what agents in these slots, int64 [n], see after the step."""
        state = tuple(part[slots] for part in self._state)
        output, _ = self.precision.act(self.net, observations, state)
        return self._advantage.gamma * output.values

    def _moved(self, array: np.ndarray) -> Tensor:
        """To the device, which is not waited for."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self._device, non_blocking=True) if self._device.type == "cuda" else tensor

    def _step_engine(self, target: Tensor) -> None:
        """Step all environments; their observations go to `target`, without a copy if the engine can reach it."""
        written = target if self._shared else self._host_observations
        flags = (self._engine_view(part) for part in (self._rewards, self._terminals, self._truncations))
        buffers = (self._engine_view(self._actions), self._engine_view(written), *flags)
        if self._repeated:
            self._repeated[0].advance(*buffers, last=self._engine_view(self._last))
        else:
            self.env.step(*buffers)
        if written is not target:
            target.copy_(written)

    def _act(self, observations: Tensor) -> tuple[NetOutput, State]:
        return self.precision.act(self.net, observations, self._state_to_act())

    def _state_to_act(self) -> State:
        """The recurrent state, as at the start for agents whose episode has just ended."""
        if self._device.type == "cpu" and not bool(self._ended.any()):  # to ask a GPU would be to wait for it
            return self._state
        return self.net.reset(self._state, self._ended)

    def _centre(self, rewards: Tensor) -> Tensor:
        """Rewards minus the moving mean of each agent's."""
        centred = rewards - self._reward_mean
        self._reward_mean += self._centering.beta * centred
        return centred

    def _engine_view(self, tensor: Tensor) -> np.ndarray | Tensor:
        """The tensor as the engine takes it: from the host as an array, from the device as it is."""
        view = tensor.view(self.env.num_envs, self.env.num_agents, *tensor.shape[1:])
        return view.numpy() if view.device.type == "cpu" else view

    def take_episodes(self, is_whole: Callable[[Episode], bool]) -> tuple[list[Episode], Metrics]:
        """The whole episodes that ended in the last batch on all processes, by environment and number, as those who
        learned had them, and what NPCs report."""
        episodes = self.env.take_episodes()
        if self.npcs:
            return self.npcs.report(episodes, is_whole, self._agent_steps)
        whole = self.world.gather_objects([episode for episode in episodes if is_whole(episode)])
        return sorted(chain.from_iterable(whole), key=lambda episode: (episode.env, episode.number)), {}

    def publish(self, epoch: int) -> None:
        """Take note of a checkpoint that was saved after so many epochs: NPCs may be drawn from those."""
        if self.npcs:
            self.npcs.pool.publish(epoch)

    def next_tasks(self, episodes: Sequence[Episode]) -> Metrics:
        """Let environments of a curriculum begin other tasks after a batch in which these episodes ended.

        Nothing is to be made up for in the batch: its last values count what lies beyond.
        """
        if not isinstance(self.env, Tasked):
            return {}
        written = self._observations if self._shared else self._host_observations
        begun, metrics = self.env.next_tasks(episodes, self._engine_view(written))
        if begun.any():
            if not self._shared:
                self._observations.copy_(written)
            self._end_episodes(torch.from_numpy(begun).to(self._device))
        return metrics

    def _end_episodes(self, over: Tensor) -> None:
        """Environments marked in bool [envs] have begun new episodes between two batches."""
        ended = over.repeat_interleave(len(self._ended) // len(over))
        self._ended |= ended
        if self.teacher:
            self.teacher.end_episodes(ended)
        if self.npcs:
            self.npcs.end_episodes(over)

    def state_dict(self) -> dict[str, Tensor]:
        """What carries over between batches, the environments included."""
        engine = {f"env.{name}": torch.from_numpy(array) for name, array in self.env.state_dict().items()}
        memory = {f"memory.{index}": part for index, part in enumerate(self._state)}
        others = {"teacher": self.teacher, "npcs": self.npcs}
        told = {f"{who}.{name}": part for who, one in others.items() if one for name, part in one.state_dict().items()}
        return {**engine, **memory, **told, **self._own()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`, with new episodes where environments cannot go on in the midst of one.

        Raise UserError when it is of another mission or batch.
        """
        self.env.load_state_dict({name: part.numpy() for name, part in _below("env.", state).items()})
        if not self.env.resumes:
            self.start()
            return
        with torch.inference_mode():  # memory of an earlier step was made in it
            for index, part in enumerate(self._state):
                part.copy_(state[f"memory.{index}"])
        for name, part in self._own().items():
            part.copy_(state[name])
        if not self._shared:
            self._host_observations.copy_(self._observations)
        if self.teacher:
            self.teacher.load_state_dict(_below("teacher.", state))
        if self.npcs:
            self.npcs.load_state_dict(_below("npcs.", state))

    def close(self) -> None:
        """End teacher and environments."""
        if self.teacher:
            self.teacher.close()
        self.env.close()

    def _own(self) -> dict[str, Tensor]:
        return {"observations": self._observations, "ended": self._ended, "reward_mean": self._reward_mean}


def _own(logits: Tensor, own: Turn) -> Turn:
    """What the net does where no teacher leads."""
    return own


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries whose names begin so, without it."""
    return {name.removeprefix(prefix): part for name, part in state.items() if name.startswith(prefix)}
