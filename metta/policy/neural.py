"""A trained net as a policy that plays."""

import numpy as np
import torch

from metta.common.seeds import derive
from metta.policy.interface import Advice, PolicyNet, State
from metta.policy.sampling import sample_actions


class NeuralPolicy:
    """Plays with a net: draws from its distribution with a generator of its own, or takes the likeliest action."""

    def __init__(self, net: PolicyNet, name: str = "neural", deterministic: bool = False) -> None:
        self.net = net.eval()
        self.name = name
        self.deterministic = deterministic
        self._device = next(net.parameters()).device
        self._generator = torch.Generator(self._device)
        self._state: State = ()
        self._num_agents = 0

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._num_agents = num_agents
        self._state = self.net.initial_state(num_envs * num_agents)
        self._generator.manual_seed(derive(seed, "actions"))

    def step(self, observations: np.ndarray) -> np.ndarray:
        return self.advise(observations).actions

    @torch.inference_mode()
    def advise(self, observations: np.ndarray) -> Advice:
        envs, agents = observations.shape[:2]
        tokens = torch.from_numpy(observations).to(self._device).reshape(envs * agents, *observations.shape[2:])
        output, self._state = self.net.act(tokens, self._state)
        actions = output.logits.argmax(-1) if self.deterministic else sample_actions(output.logits, self._generator)[0]
        actions = actions.to("cpu", torch.int32).reshape(envs, agents).numpy()
        return Advice(actions, output.logits.log_softmax(-1), output.values)

    @torch.inference_mode()
    def end_episodes(self, ended: np.ndarray) -> None:
        agents = torch.from_numpy(ended).to(self._device).repeat_interleave(self._num_agents)
        self._state = tuple(part.masked_fill(agents.view(-1, *[1] * (part.dim() - 1)), 0) for part in self._state)

    def state_dict(self) -> dict[str, np.ndarray]:
        memory = {f"memory.{index}": part.cpu().numpy().copy() for index, part in enumerate(self._state)}
        return {**memory, "generator": self._generator.get_state().numpy().copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        memory = (torch.from_numpy(state[f"memory.{index}"]) for index in range(len(self._state)))
        self._state = tuple(part.to(self._device) for part in memory)
        self._generator.set_state(torch.from_numpy(state["generator"]))
