"""A trained net as a policy that plays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metta.common.seeds import derive
from metta.policy.interface import Advice, PolicyNet, State
from metta.policy.sampling import choose

# Products of matrices, and what is left over by vector instructions, round differently with the number of rows. So
# where each environment plays by itself, a net sees blocks of always as many rows: those of EPISODES environments,
# filled up to a multiple of ROWS (two vectors of AVX-512: nothing is left over, and no row's place matters).
EPISODES, ROWS = 8, 32
FILL = 255  # observations in rows that nobody has: tokens of the game that are not there


class _Output(NamedTuple):
    """What a block of rows came to: actions [n], log-probabilities [n, actions], values [n]."""

    actions: Tensor
    log_probs: Tensor
    values: Tensor


class NeuralPolicy:
    """Plays with a net: draws from its distribution with generators of its own, or takes the likeliest action."""

    def __init__(self, net: PolicyNet, name: str = "neural", deterministic: bool = False) -> None:
        self.net = net.eval()
        self.name = name
        self.deterministic = deterministic
        self._device = next(net.parameters()).device
        self._num_agents, self._block = 0, 0
        self._states: list[State] = []  # of each block of rows
        self._generators: list[torch.Generator] = []  # of as many rows each

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        rows = num_envs * num_agents
        self._begin(num_agents, rows, rows, [_generator(seed, self._device)])

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        block = -(-EPISODES * num_agents // ROWS) * ROWS
        self._begin(num_agents, len(seeds) * num_agents, block, [_generator(seed) for seed in seeds])

    def _begin(self, num_agents: int, rows: int, block: int, generators: list[torch.Generator]) -> None:
        """Let the net act on blocks of that many rows."""
        self._num_agents, self._block, self._generators = num_agents, block, generators
        self._states = [self.net.initial_state(block) for _ in range(-(-rows // block) if rows else 0)]

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self.advise(observations).actions

    @torch.inference_mode()
    def advise(self, observations: np.ndarray) -> Advice:
        envs, agents = observations.shape[:2]
        rows = envs * agents
        tokens = torch.from_numpy(observations).to(self._device).reshape(rows, *observations.shape[2:])
        blocks = self._blocks(tokens, FILL)
        draws = [None] * len(blocks) if self.deterministic else self._blocks(self._draws(rows), 0)
        parts = [self._act(index, *block) for index, block in enumerate(zip(blocks, draws, strict=True))]
        output = parts[0] if len(parts) == 1 else _Output(*map(torch.cat, zip(*parts, strict=True)))
        actions = output.actions[:rows].to("cpu", torch.int32).reshape(envs, agents).numpy()
        return Advice(actions, output.log_probs[:rows], output.values[:rows])

    def _blocks(self, rows: Tensor, fill: float) -> tuple[Tensor, ...]:
        """Rows [n, ...] in blocks, the last one filled up."""
        short = len(self._states) * self._block - len(rows)
        whole = torch.cat([rows, rows.new_full((short, *rows.shape[1:]), fill)]) if short else rows
        return whole.split(self._block)

    def _draws(self, rows: int) -> Tensor:
        """Uniform numbers for as many rows, [n, 1]."""
        share = rows // len(self._generators)
        drawn = [torch.rand(share, 1, generator=one, device=one.device) for one in self._generators]
        return torch.cat(drawn).to(self._device)

    def _act(self, index: int, tokens: Tensor, draws: Tensor | None) -> _Output:
        output, self._states[index] = self.net.act(tokens, self._states[index])
        log_probs = output.logits.log_softmax(-1)
        actions = output.logits.argmax(-1) if draws is None else choose(log_probs, draws)
        return _Output(actions, log_probs, output.values)

    @torch.inference_mode()
    def end_episodes(self, ended: np.ndarray) -> None:
        rows = torch.from_numpy(ended).to(self._device).repeat_interleave(self._num_agents)
        for index, marked in enumerate(self._blocks(rows, False)):
            masked = (part.masked_fill(marked.view(-1, *[1] * (part.dim() - 1)), 0) for part in self._states[index])
            self._states[index] = tuple(masked)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Memory and generator of a batch that plays as one."""
        (memory,), (generator,) = self._states, self._generators
        parts = {f"memory.{index}": part.cpu().numpy().copy() for index, part in enumerate(memory)}
        return {**parts, "generator": generator.get_state().numpy().copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        (memory,), (generator,) = self._states, self._generators
        parts = (torch.from_numpy(state[f"memory.{index}"]) for index in range(len(memory)))
        self._states = [tuple(part.to(self._device) for part in parts)]
        generator.set_state(torch.from_numpy(state["generator"]))


def _generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(derive(seed, "actions"))
