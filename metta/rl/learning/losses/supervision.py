"""What the losses of teachers have in common: where a label is, and how they report."""

import torch
from torch import Tensor

from metta.rl.experience.labels import NO_LABEL, Labels
from metta.rl.learning.losses.base import Minibatch


def labelled(labels: Labels) -> Tensor:
    """Bool [time, segments]: the teacher's action is one of the student's."""
    return labels.actions != NO_LABEL


def masked_mean(batch: Minibatch, values: Tensor, mask: Tensor) -> Tensor:
    """The part of the mean over the whole minibatch of `values` where `mask` is set, 0 where it is nowhere."""
    return (values * mask).sum() / batch.world.sum(mask.sum()).clamp(min=1)


def slice_metrics(batch: Minibatch, losses: Tensor, agrees: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Loss per step and share of steps at which the student's likeliest action is the teacher's, [time, segments]
    each: over all of `mask`, its teacher-led and its student-led steps; what has no steps is left out."""
    assert batch.labels is not None
    led = batch.labels.teacher_led_mask
    parts = {"": mask, "_teacher_led": mask & led, "_student_led": mask & ~led}
    counts = batch.world.sum(torch.stack([part.sum() for part in parts.values()]))
    return {
        name + suffix: (values.detach() * part).sum() / count
        for (suffix, part), count in zip(parts.items(), counts, strict=True)
        if bool(count)
        for name, values in (("supervised_action_loss", losses), ("teacher_agreement", agrees.float()))
    }
