"""What the losses of teachers have in common: where a label is, and how they report."""

from torch import Tensor

from metta.rl.experience.labels import NO_LABEL, Labels


def labelled(labels: Labels) -> Tensor:
    """Bool [time, segments]: the teacher's action is one of the student's."""
    return labels.actions != NO_LABEL


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is set, 0 where it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def slice_metrics(labels: Labels, losses: Tensor, agrees: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Loss per step and share of steps at which the student's likeliest action is the teacher's, [time, segments]
    each: over all of `mask`, its teacher-led and its student-led steps; what has no steps is left out."""
    parts = {"": mask, "_teacher_led": mask & labels.teacher_led_mask, "_student_led": mask & ~labels.teacher_led_mask}
    there = {suffix: part for suffix, part in parts.items() if bool(part.any())}
    return {
        name + suffix: masked_mean(values.detach(), part)
        for suffix, part in there.items()
        for name, values in (("supervised_action_loss", losses), ("teacher_agreement", agrees.float()))
    }
