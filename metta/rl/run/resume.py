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
from metta.rl.run.snapshot import Progress, Snapshot
from metta.rl.world import ALONE, World

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
    own = {
        **{f"generator.{name}": generator.get_state() for name, generator in parts.generators.items()},
        "global.torch": torch.get_rng_state(),
        "global.numpy": _numpy_state(),
        **{f"rollout.{name}": tensor for name, tensor in parts.rollout.state_dict().items()},
    }
    schedules = {f"{SCHEDULES}{name}": tensor for name, tensor in plan.schedules.state_dict().items()}
    shared = optimizer_tensors(parts.optimizer) | schedules
    return Snapshot(progress, plan.fingerprint, _machine(parts), shared, own)


def restore(plan: Plan, parts: Parts, bundle: Bundle, snapshot: Snapshot, world: World = ALONE) -> Progress:
    """Put a checkpoint into freshly built parts and return how far it is.

    What cannot go on begins anew, with a warning: environments under other settings or shared out among other ranks,
    random numbers on another device. Raise UserError if the network differs.
    """
    net, own = parts.net, snapshot.own
    if differences := net_differences(bundle.architecture, Architecture.of(net)):
        raise UserError(
            f"run={plan.run}: its checkpoints hold another network than asked for: {'; '.join(differences)}; "
            "choose another run name"
        )
    net.load_state_dict(bundle.weights)
    if not load_optimizer(parts.optimizer, snapshot.shared, STATES[plan.config.trainer.optimizer.type]):
        warn(f"run={plan.run}: goes on with another optimiser than before, which begins anew")
    shared = snapshot.shared
    fired = {name.removeprefix(SCHEDULES): part for name, part in shared.items() if name.startswith(SCHEDULES)}
    plan.schedules.load_state_dict(fired)
    before, here = {"precision": FLOAT32.name} | snapshot.machine, _machine(parts)
    if world.leads and snapshot.machine and (differs := [name for name in here if here[name] != before.get(name)]):
        now = ", ".join(f"{name} {here[name]} (before: {before.get(name)})" for name in differs)
        warn(f"run={plan.run}: goes on with {now}; numbers will differ from an uninterrupted run's")
    _restore_generators(plan, parts, snapshot)
    torch.set_rng_state(own["global.torch"])
    _set_numpy_state(own["global.numpy"])
    if why := _new_episodes(plan, snapshot, world):
        if world.leads:
            warn(f"run={plan.run}: {why}; new episodes start")
        parts.rollout.start()
    else:
        carried = {name.removeprefix("rollout."): part for name, part in own.items() if name.startswith("rollout.")}
        parts.rollout.load_state_dict(carried)
        parts.rollout.publish(snapshot.progress.epoch)
    return snapshot.progress


def _new_episodes(plan: Plan, snapshot: Snapshot, world: World) -> str:
    """Why episodes cannot go on; empty where they can."""
    why = []
    if changed := _changed(snapshot.fingerprint, plan.fingerprint):
        what = ", ".join(changed) if snapshot.fingerprint else "it is of an older version"
        why.append(f"mission or environments changed since the checkpoint ({what})")
    if snapshot.ranks != world.size:
        why.append(f"trained by {world.size} processes, before by {snapshot.ranks}")
    return "; ".join(why)


def _restore_generators(plan: Plan, parts: Parts, snapshot: Snapshot) -> None:
    """Go on with every random generator; one whose state is of another kind of device starts anew, by the epoch."""
    for name, generator in parts.generators.items():
        state = snapshot.own.get(f"generator.{name}")
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


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an optimiser as named tensors: `optimizer.<parameter index>.<kind>`."""
    return {
        f"optimizer.{index}.{kind}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for kind, value in state.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], kinds: set[str]) -> bool:
    """Put back what `optimizer_tensors` gave; groups and learning rate stay the present ones. Return whether it could:
    not where there is more than the `kinds` that this optimiser keeps, as another one did."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, kind = name.split(".", 2)
            state.setdefault(int(index), {})[kind] = tensor
    if any(not kept.keys() <= kinds for kept in state.values()):
        return False
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return True
