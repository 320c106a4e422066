"""A trained net as a policy that plays."""

from collections.abc import Sequence
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from metta.common.seeds import derive
from metta.policy.interface import Advice
from metta.policy.nets.interface import NetOutput, PolicyNet, State
from metta.policy.sampling import choose

# Products of matrices, and what is left over by vector instructions, round differently with the number of rows. So
# where each environment plays by itself, a net sees blocks of always as many rows: those of EPISODES environments,
# filled up to a multiple of ROWS (two vectors of AVX-512: nothing is left over, and no row's place matters).
EPISODES, ROWS = 8, 32
FILL = 255  # observations in rows that nobody has: tokens of the game that are not there


class NeuralPolicy:
    """Plays with a net: draws from its distribution with generators of its own, or takes the likeliest action."""

    def __init__(self, net: PolicyNet, name: str = "neural", deterministic: bool = False) -> None:
        self.net = net.eval()
        self.name = name
        self.deterministic = deterministic
        self._device = next(net.parameters()).device
        self._num_agents, self._block = 0, 0  # rows that the net acts on at once
        self._state: State = ()  # of whole blocks
        self._generators: list[torch.Generator] = []  # of as many rows each
        self._rows, self._part = 0, slice(0)  # for which they draw, and which of these are played

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.reset_part(slice(0, num_envs), num_envs, num_agents, seed)

    def reset_part(self, part: slice, num_envs: int, num_agents: int, seed: int) -> None:
        own = part.stop - part.start
        self._begin(own, num_agents, own * num_agents, [_generator(seed, self._device)])
        self._rows, self._part = num_envs * num_agents, slice(part.start * num_agents, part.stop * num_agents)

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._begin(len(seeds), num_agents, _block_of(num_agents), [_generator(seed) for seed in seeds])
        self._rows = len(seeds) * num_agents
        self._part = slice(self._rows)

    def state_bytes(self, num_envs: int, num_agents: int) -> int:
        """What the net's state takes where each environment plays by itself."""
        rows = _whole(num_envs * num_agents, _block_of(num_agents))
        return rows * sum(part.nbytes for part in self.net.initial_state(1))

    def _begin(self, num_envs: int, num_agents: int, block: int, generators: list[torch.Generator]) -> None:
        self._num_agents, self._block, self._generators = num_agents, max(1, block), generators
        self._state = self.net.initial_state(_whole(num_envs * num_agents, self._block))

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self.advise(observations).actions

    @torch.inference_mode()
    def advise(self, observations: np.ndarray) -> Advice:
        envs, agents = observations.shape[:2]
        rows = envs * agents
        tokens = torch.from_numpy(observations).to(self._device).reshape(rows, *observations.shape[2:])
        draws = None if self.deterministic else self._filled(self._draws(), 0)
        output = self._act(self._filled(tokens, FILL))
        log_probs = output.logits.log_softmax(-1)
        chosen = output.logits.argmax(-1) if draws is None else choose(log_probs, draws)
        actions = chosen[:rows].to("cpu", torch.int32).reshape(envs, agents).numpy()
        return Advice(actions, log_probs[:rows], output.values[:rows])

    def _act(self, tokens: Tensor) -> NetOutput:
        """The net's output for rows of whole blocks, [n, ...], block by block."""
        if len(tokens) <= self._block:
            output, self._state = self.net.act(tokens, self._state)
            return output
        states = zip(*(part.split(self._block) for part in self._state), strict=True) if self._state else repeat(())
        parts = [self.net.act(*block) for block in zip(tokens.split(self._block), states, strict=False)]
        self._state = tuple(torch.cat(part) for part in zip(*(state for _, state in parts), strict=True))
        return NetOutput(*(torch.cat(part) for part in zip(*(output[:2] for output, _ in parts), strict=True)))

    def _filled(self, rows: Tensor, fill: float) -> Tensor:
        """Rows [n, ...] and those that fill up the last block."""
        short = _whole(len(rows), self._block) - len(rows)
        return torch.cat([rows, rows.new_full((short, *rows.shape[1:]), fill)]) if short else rows

    def _draws(self) -> Tensor:
        """Uniform numbers for the rows that are played, [n, 1]."""
        share = self._rows // len(self._generators)
        drawn = [torch.rand(share, 1, generator=one, device=one.device) for one in self._generators]
        return torch.cat(drawn)[self._part].to(self._device)

    @torch.inference_mode()
    def end_episodes(self, ended: np.ndarray) -> None:
        rows = self._filled(torch.from_numpy(ended).to(self._device).repeat_interleave(self._num_agents), False)
        self._state = self.net.reset(self._state, rows)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Memory and generator of a batch that plays as one."""
        (generator,) = self._generators
        memory = {f"memory.{index}": part.cpu().numpy().copy() for index, part in enumerate(self._state)}
        return {**memory, "generator": generator.get_state().numpy().copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        (generator,) = self._generators
        memory = (torch.from_numpy(state[f"memory.{index}"]) for index in range(len(self._state)))
        self._state = tuple(part.to(self._device) for part in memory)
        generator.set_state(torch.from_numpy(state["generator"]))


def _block_of(num_agents: int) -> int:
    """Rows that a net acts on at once where each environment plays by itself."""
    return max(1, -(-EPISODES * num_agents // ROWS) * ROWS)


def _whole(rows: int, block: int) -> int:
    """So many rows, and those that fill up the last block."""
    return -(-rows // block) * block


def _generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(derive(seed, "actions"))
