"""What a teacher says of a batch, kept beside the experience, and which segments learn from it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

PPO, STUDENT_LED, TEACHER_LED = range(3)  # slices
NO_LABEL = -1  # the teacher did what the student cannot do


@dataclass(frozen=True)
class Lessons:
    """Of one batch, [time, segments] unless said otherwise."""

    slices: Tensor  # int64 [segments]: PPO, STUDENT_LED or TEACHER_LED
    seen: Tensor  # bool [segments]: PPO learns from them
    labels: Tensor  # int64: the teacher's actions, NO_LABEL where the student has no such action
    ratios: Tensor  # the student's probability of the action taken over the stored one: 1 but where the teacher led
    log_probs: Tensor | None  # [time, segments, actions]: the teacher's, of a neural one
    values: Tensor | None  # the teacher's, of a neural one
    strength: Tensor  # []: factor of the loss
    temperature: Tensor  # []: softens the student where it is cloned

    @classmethod
    def allocate(cls, time: int, segments: int, actions: int, neural: bool, device: torch.device) -> "Lessons":
        """Buffers of zeros; ratios, strength and temperature are 1, PPO sees everything."""
        return cls(
            slices=torch.full((segments,), PPO, device=device),
            seen=torch.ones(segments, dtype=torch.bool, device=device),
            labels=torch.full((time, segments), NO_LABEL, device=device),
            ratios=torch.ones(time, segments, device=device),
            log_probs=torch.zeros(time, segments, actions, device=device) if neural else None,
            values=torch.zeros(time, segments, device=device) if neural else None,
            strength=torch.ones((), device=device),
            temperature=torch.ones((), device=device),
        )

    @property
    def taught(self) -> Tensor:
        """Bool [segments]: the teacher's loss sees them."""
        return self.slices != PPO

    @property
    def led(self) -> Tensor:
        """Bool [segments]: the teacher acted."""
        return self.slices == TEACHER_LED

    def pick(self, segments: Tensor) -> "Lessons":
        """Those of the chosen segments, int64 [n]."""
        parts = {name: part for name, part in vars(self).items() if part is not None and part.dim()}
        return replace(
            self, **{name: part.index_select(min(1, part.dim() - 1), segments) for name, part in parts.items()}
        )


def draw_slices(segments: int, teacher_led: float, student_led: float, generator: torch.Generator) -> Tensor:
    """Draw a slice for each segment, int64 [segments], independently with these probabilities; the rest is PPO's."""
    drawn = torch.rand(segments, generator=generator, device=generator.device)
    taught = torch.where(drawn < teacher_led, TEACHER_LED, STUDENT_LED)
    return torch.where(drawn < teacher_led + student_led, taught, PPO)
