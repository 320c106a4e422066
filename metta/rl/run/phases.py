"""Phases that have begun: whether each still starts where the one before ends."""

from itertools import pairwise
from pathlib import Path

from metta.common.errors import UserError
from metta.policy.stored.uri import list_versions
from metta.rl.build import Plan
from metta.rl.run.checkpoint import Checkpointer
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.start import Origin


def check_begun(plans: list[Plan]) -> None:
    """Raise UserError if a phase has begun that would start elsewhere now: the one before is to be trained further, or
    anew, ended with other weights than it started from, or is left out. It would go on from its own and never see the
    others."""
    for index, (before, after) in [*enumerate(pairwise(plans), 1), (0, (None, plans[0]))]:
        if not list_versions(_folder(after).path):
            continue
        began = Origin.kept(_folder(after))
        if why := _moved(before, began) if before else _left_out(after, began):
            begun = [plan.run for plan in plans[index:] if list_versions(_folder(plan).path)]
            start = f" with {began.label}" if began else ""
            raise UserError(
                f"{after.run} has begun{start}, but {why}; to go on, undo that, or remove {_listed(begun)} from "
                f"{after.config.system.data_dir} to train {'it' if len(begun) == 1 else 'them'} anew, or choose "
                "another run name"
            )


def _moved(before: Plan, began: Origin | None) -> str:
    """What has become of the start that the phase before gives; empty where it is still there, or unknown."""
    loaded = Checkpointer(_folder(before), before.config.checkpointer).load_newest()
    if loaded is None:
        return f"{before.run}, which comes before it, has no checkpoint and would be trained first"
    bundle, snapshot = loaded
    done, total = snapshot.progress.agent_steps, before.config.trainer.total_timesteps
    if done < total:
        return f"{before.run}, which comes before it, would be trained from {done:,} agent-steps to {total:,}"
    if began and began.weights != Origin.of(bundle).weights:
        return f"{before.run}, which comes before it, ends with {bundle.name}"
    return ""


def _left_out(first: Plan, began: Origin | None) -> str:
    """Whether the first phase of now has begun with weights that nothing gives any more; empty where it has not."""
    started = began is not None and began.weights is not None
    return "no phase comes before it, and init_from names no weights" if started and not first.config.init_from else ""


def _folder(plan: Plan) -> RunFolder:
    return RunFolder(Path(plan.config.system.data_dir) / plan.run)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
