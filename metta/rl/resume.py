"""What a run's parts hold between two epochs, taken out and put back."""

import numpy as np
import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.common.logging import warn
from metta.policy.bundle import Bundle
from metta.policy.differences import net_differences
from metta.policy.forms.match import Architecture
from metta.rl.build import Parts, Plan
from metta.rl.checkpoint import Progress, Snapshot, load_optimizer, optimizer_tensors


def take_snapshot(plan: Plan, parts: Parts, progress: Progress) -> Snapshot:
    """Optimiser, random generators, environments and recurrent state, so that nothing of them is lost."""
    tensors = {
        **optimizer_tensors(parts.optimizer),
        **{f"generator.{name}": generator.get_state() for name, generator in parts.generators.items()},
        "global.torch": torch.get_rng_state(),
        "global.numpy": _numpy_state(),
        **{f"rollout.{name}": tensor for name, tensor in parts.rollout.state_dict().items()},
    }
    return Snapshot(progress, plan.world, tensors)


def restore(plan: Plan, parts: Parts, bundle: Bundle, snapshot: Snapshot) -> Progress:
    """Put a checkpoint into freshly built parts and return how far it is.

    Environments that differ from the checkpoint's start new episodes, with a warning. Raise UserError if the network
    differs.
    """
    net, tensors = parts.net, snapshot.tensors
    if differences := net_differences(bundle.architecture, Architecture.of(net)):
        raise UserError(
            f"run={plan.run}: its checkpoints hold another network than asked for: {'; '.join(differences)}; "
            "choose another run name"
        )
    net.load_state_dict(bundle.weights)
    load_optimizer(parts.optimizer, tensors)
    for name, generator in parts.generators.items():
        if (state := tensors.get(f"generator.{name}")) is not None:  # None: of a part that is new to the run
            generator.set_state(state)
    torch.set_rng_state(tensors["global.torch"])
    _set_numpy_state(tensors["global.numpy"])
    if snapshot.world == plan.world:
        carried = {name.removeprefix("rollout."): part for name, part in tensors.items() if name.startswith("rollout.")}
        parts.rollout.load_state_dict(carried)
    else:
        warn(f"run={plan.run}: mission or environments changed since the checkpoint; new episodes start")
        parts.rollout.start()
    return snapshot.progress


def _numpy_state() -> Tensor:
    """State of numpy's global generator: 624 words, position, and the spare Gaussian draw."""
    state = np.random.get_state(legacy=True)
    assert isinstance(state, tuple)
    _, words, position, has_gauss, gauss = state
    return torch.from_numpy(np.concatenate([words.astype(np.float64), [position, has_gauss, gauss]]))


def _set_numpy_state(packed: Tensor) -> None:
    values = packed.numpy()
    words = values[:624].astype(np.uint32)
    np.random.set_state(("MT19937", words, int(values[624]), int(values[625]), float(values[626])))
