"""What a run's parts hold between two epochs, taken out and put back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.common.logging import warn
from metta.common.seeds import derive
from metta.policy.stored.bundle import Bundle
from metta.policy.stored.differences import net_differences
from metta.policy.stored.forms.match import Architecture
from metta.rl.build import Parts, Plan
from metta.rl.learning.optim import STATES
from metta.rl.learning.precision import FLOAT32
from metta.rl.run.checkpoint import Progress, Snapshot, load_optimizer, optimizer_tensors

SCHEDULES = "schedules."  # begin of names in a snapshot


@dataclass(frozen=True)
class Start:
    """A run before an epoch: how far it was, and weights and state unless they can be had from the disk."""

    progress: Progress
    kept: tuple[dict[str, Tensor], Snapshot] | None = None


def take_start(plan: Plan, parts: Parts, progress: Progress) -> Start:
    """A copy of the run as it is, in memory: 30 MB for a net of 2.5 M parameters, and 51 KiB per environment."""
    weights = {name: tensor.clone() for name, tensor in parts.net.state_dict().items()}
    snapshot = take_snapshot(plan, parts, progress).copied()
    return Start(snapshot.progress, (weights, snapshot))


def take_snapshot(plan: Plan, parts: Parts, progress: Progress) -> Snapshot:
    """Optimiser, random generators, environments and recurrent state, so that nothing of them is lost."""
    tensors = {
        **optimizer_tensors(parts.optimizer),
        **{f"generator.{name}": generator.get_state() for name, generator in parts.generators.items()},
        "global.torch": torch.get_rng_state(),
        "global.numpy": _numpy_state(),
        **{f"rollout.{name}": tensor for name, tensor in parts.rollout.state_dict().items()},
        **{f"{SCHEDULES}{name}": tensor for name, tensor in plan.schedules.state_dict().items()},
    }
    return Snapshot(progress, plan.fingerprint, _machine(parts), tensors)


def restore(plan: Plan, parts: Parts, bundle: Bundle, snapshot: Snapshot) -> Progress:
    """Put a checkpoint into freshly built parts and return how far it is.

    What cannot go on begins anew, with a warning: environments under other settings, random numbers on another device.
    Raise UserError if the network differs.
    """
    net, tensors = parts.net, snapshot.tensors
    if differences := net_differences(bundle.architecture, Architecture.of(net)):
        raise UserError(
            f"run={plan.run}: its checkpoints hold another network than asked for: {'; '.join(differences)}; "
            "choose another run name"
        )
    net.load_state_dict(bundle.weights)
    if not load_optimizer(parts.optimizer, tensors, STATES[plan.config.trainer.optimizer.type]):
        warn(f"run={plan.run}: goes on with another optimiser than before, which begins anew")
    fired = {name.removeprefix(SCHEDULES): part for name, part in tensors.items() if name.startswith(SCHEDULES)}
    plan.schedules.load_state_dict(fired)
    before, here = {"precision": FLOAT32.name} | snapshot.machine, _machine(parts)
    if snapshot.machine and (differs := [name for name in here if here[name] != before.get(name)]):
        now = ", ".join(f"{name} {here[name]} (before: {before.get(name)})" for name in differs)
        warn(f"run={plan.run}: goes on with {now}; numbers will differ from an uninterrupted run's")
    _restore_generators(plan, parts, snapshot)
    torch.set_rng_state(tensors["global.torch"])
    _set_numpy_state(tensors["global.numpy"])
    if not (changed := _changed(snapshot.fingerprint, plan.fingerprint)):
        carried = {name.removeprefix("rollout."): part for name, part in tensors.items() if name.startswith("rollout.")}
        parts.rollout.load_state_dict(carried)
    else:
        what = ", ".join(changed) if snapshot.fingerprint else "it is of an older version"
        warn(f"run={plan.run}: mission or environments changed since the checkpoint ({what}); new episodes start")
        parts.rollout.start()
    return snapshot.progress


def _restore_generators(plan: Plan, parts: Parts, snapshot: Snapshot) -> None:
    """Go on with every random generator; one whose state is of another kind of device starts anew, by the epoch."""
    for name, generator in parts.generators.items():
        state = snapshot.tensors.get(f"generator.{name}")
        if state is None:  # of a part that is new to the run
            continue
        if len(state) == len(generator.get_state()):
            generator.set_state(state)
        else:
            generator.manual_seed(derive(plan.config.system.seed, name, snapshot.progress.epoch))


def _machine(parts: Parts) -> dict[str, str]:
    """What the sums of floating-point numbers depend on, beside the settings."""
    threads = {"threads": str(torch.get_num_threads())} if parts.device.type == "cpu" else {}
    return {"device": parts.device.type, "precision": parts.precision.name, **threads, "torch": torch.__version__}


def _changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names under which two descriptions differ."""
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]


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
