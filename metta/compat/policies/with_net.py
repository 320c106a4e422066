"""What the policies of `mettagrid` and `cogames` share that are a torch network."""

from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from metta.compat.environment import PolicyEnvInterface
from metta.compat.observation import Action, AgentObservation
from metta.compat.policy import MultiAgentPolicy
from metta.policy.stored.forms.torch_file import load_torch

Net = TypeVar("Net", bound=nn.Module)


class WithNet(MultiAgentPolicy, Generic[Net]):
    """One network for all agents; weights are its state dict."""

    _net: Net

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str | torch.device | None = "cpu") -> None:
        super().__init__(policy_env_info, device=str(device or "cpu"))
        self._device = torch.device(device or "cpu")

    def network(self) -> Net:
        return self._net

    def load_policy_data(self, policy_data_path: str) -> None:
        weights = load_torch(Path(policy_data_path).read_bytes(), policy_data_path, trust_pickle=False)
        self._net.load_state_dict(weights)

    def save_policy_data(self, policy_data_path: str) -> None:
        torch.save(self._net.state_dict(), policy_data_path)


def tokens_of(obs: AgentObservation, shape: tuple[int, ...], missing: Any) -> Tensor:
    """Tokens of an agent as a batch of one, uint8 [1, *shape]; those that are missing are `missing`."""
    tokens = np.full(shape, missing, np.uint8)
    for row, token in zip(tokens, obs.tokens, strict=False):
        row[:] = token.raw_token
    return torch.from_numpy(tokens)[None]


def drawn(logits: Tensor, info: PolicyEnvInterface) -> Action:
    """An action by its probability; logits float [1, moves]."""
    return Action(info.action_names[int(torch.distributions.Categorical(logits=logits).sample().item())])
