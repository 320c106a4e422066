"""Collecting experience: the policy plays, every step lands in tensors allocated once.

Time comes first everywhere: [time, segments]. The engine then writes each step of all agents straight into one
contiguous slice, and recurrent kernels read it as it lies. A segment is `horizon` steps of one agent; an agent has
`rounds` of them in a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metta.policy.interface import Info, PolicyNet, State
from metta.policy.sampling import sample_actions
from metta.rl.environments import Environments
from metta.rl.settings import AdvantageSettings
from metta.rl.timing import Stopwatch


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
    """Plays all environments with the policy and keeps what it needs to go on where it stopped."""

    def __init__(
        self,
        env: Environments,
        net: PolicyNet,
        experience: Experience,
        generator: torch.Generator,
        settings: AdvantageSettings,
    ) -> None:
        self.env, self.net, self.experience = env, net, experience
        self._generator, self._centering, self._gamma = generator, settings.reward_centering, settings.gamma
        self._device = experience.actions.device
        agents = env.num_envs * env.num_agents
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
        # What carries over from one batch to the next.
        self._observations = torch.zeros(agents, *observation, dtype=kind, device=self._device)
        self._state = net.initial_state(agents)
        self._ended = torch.ones(agents, dtype=torch.bool, device=self._device)
        self._reward_mean = torch.zeros(agents, device=self._device)
        self._reward_sum = torch.zeros(agents, device=self._device)

    def start(self) -> None:
        """Begin the first episodes."""
        written = self._observations if self._shared else self._host_observations
        self.env.reset(self._engine_view(written))
        if not self._shared:
            self._observations.copy_(written)

    @torch.inference_mode()
    def collect(self, stopwatch: Stopwatch, stop: Callable[[], bool]) -> bool:
        """Fill the experience. Return False, leaving it half filled, if `stop` came true between two steps."""
        horizon, segments = self.experience.actions.shape
        agents = len(self._actions)
        self._reward_sum.zero_()
        for start in range(0, segments, agents):
            columns = slice(start, start + agents)
            for part, kept in zip(self._state, self.experience.state, strict=True):
                kept[columns] = part
            self.experience.observations[0, columns] = self._observations
            for step in range(horizon):
                if stop():
                    return False
                self._step(step, columns, stopwatch)
            with stopwatch.phase("inference"):
                output, _ = self.net.act(self._observations, self._state_to_act())
                self.experience.next_values[columns] = output.values
        return True

    @property
    def mean_reward(self) -> float:
        """Mean reward per agent-step of the last batch, before centring."""
        horizon, segments = self.experience.actions.shape
        return float(self._reward_sum.sum()) / (horizon * segments)

    def _step(self, step: int, columns: slice, stopwatch: Stopwatch) -> None:
        """Let every agent act once and store what came of it."""
        experience = self.experience
        with stopwatch.phase("inference"):
            experience.resets[step, columns] = self._ended
            output, self._state = self.net.act(experience.observations[step, columns], self._state_to_act())
            actions, log_probs = sample_actions(output.logits, self._generator)
            experience.actions[step, columns] = actions
            experience.log_probs[step, columns] = log_probs
            experience.values[step, columns] = output.values
            self._actions.copy_(actions)
        last = step == len(experience.actions) - 1
        with stopwatch.phase("env"):
            self._step_engine(self._observations if last else experience.observations[step + 1, columns])
            self._ended.copy_(self._terminals | self._truncations)
            experience.dones[step, columns] = self._ended
            rewards = self._rewards.to(self._device)
            self._reward_sum += rewards
            experience.rewards[step, columns] = self._centre(rewards) if self._centering.enabled else rewards
        if (cut := self.env.take_cut()) is not None:
            with stopwatch.phase("inference"):
                agents, beyond = self._values_beyond(*cut)
                experience.rewards[step, columns][agents] += beyond

    def _values_beyond(self, agents: np.ndarray, last: np.ndarray) -> tuple[Tensor, Tensor]:
        """What is still to come for agents for whom time ran out: the discounted value of what they last saw.

        Counted as part of their last reward (Pardo et al. 2018, partial-episode bootstrapping).
        """
        rows = torch.from_numpy(agents).to(self._device)
        observations = torch.from_numpy(last).to(self._device)
        output, _ = self.net.act(observations, tuple(part[rows] for part in self._state))
        return rows, self._gamma * output.values

    def _step_engine(self, target: Tensor) -> None:
        """Step all environments; their observations go to `target`, without a copy if the engine can reach it."""
        written = target if self._shared else self._host_observations
        flags = (self._engine_view(part) for part in (self._rewards, self._terminals, self._truncations))
        self.env.step(self._engine_view(self._actions), self._engine_view(written), *flags)
        if written is not target:
            target.copy_(written)

    def _state_to_act(self) -> State:
        """The recurrent state, zero for agents whose episode has just ended."""
        if self._device.type == "cpu" and not bool(self._ended.any()):  # to ask a GPU would be to wait for it
            return self._state
        return tuple(part.masked_fill(self._ended.view(-1, *[1] * (part.dim() - 1)), 0) for part in self._state)

    def _centre(self, rewards: Tensor) -> Tensor:
        """Rewards minus the moving mean of each agent's."""
        centred = rewards - self._reward_mean
        self._reward_mean += self._centering.beta * centred
        return centred

    def _engine_view(self, tensor: Tensor) -> np.ndarray | Tensor:
        """The tensor as the engine takes it: from the host as an array, from the device as it is."""
        view = tensor.view(self.env.num_envs, self.env.num_agents, *tensor.shape[1:])
        return view.numpy() if view.device.type == "cpu" else view

    def state_dict(self) -> dict[str, Tensor]:
        """What carries over between batches, the environments included."""
        engine = {f"env.{name}": torch.from_numpy(array) for name, array in self.env.state_dict().items()}
        memory = {f"memory.{index}": part for index, part in enumerate(self._state)}
        return {**engine, **memory, **self._own()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`, with new episodes where environments cannot go on in the midst of one.

        Raise UserError when it is of another mission or batch.
        """
        engine = {name.removeprefix("env."): part.numpy() for name, part in state.items() if name.startswith("env.")}
        self.env.load_state_dict(engine)
        if not self.env.resumes:
            self.start()
            return
        self._state = tuple(state[f"memory.{index}"].to(self._device) for index in range(len(self._state)))
        for name, part in self._own().items():
            part.copy_(state[name])

    def _own(self) -> dict[str, Tensor]:
        return {"observations": self._observations, "ended": self._ended, "reward_mean": self._reward_mean}
