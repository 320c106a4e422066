"""A checkpoint as a module, for scripts."""

from pathlib import Path

import torch

from metta.common.errors import UserError, answer_in_a_line
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.uri import find_bundle, is_built_in

answer_in_a_line()


def load_policy_from_checkpoint(
    uri: str, device: torch.device | str, data_dir: str | Path = "./train_dir", trust_pickle: bool = False
) -> PolicyNet:
    """The net of the checkpoint that `uri` names, on `device` and ready to act. Raise UserError if there is none."""
    if is_built_in(uri):
        raise UserError(f"{uri}: Checkpoint NPC policy must be a PyTorch module, this one is a script")
    return find_bundle(uri, data_dir, trust_pickle=trust_pickle).build(device).eval()
