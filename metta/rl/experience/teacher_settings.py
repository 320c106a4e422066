"""Settings of learning from a teacher, and the one place where their two forms become the same thing.

The short form is `teacher={mode, policy_uri, …}`. The long form, of the default mode, is
`trainer.losses.sliced_scripted_cloner` with `training_env.supervisor_policy_uri`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PositiveInt, ValidationError, model_validator

from metta.common.errors import UserError
from metta.common.settings import SettingError, below, first_problem, subjects
from metta.policy.hosted.naming import NAMES_CLASS
from metta.rl.schedule import SchedulableSettings, Schedule, Scheduled, largest, steps_at

Share = Annotated[Scheduled, Field(ge=0, le=1)]
Coefficient = Annotated[Scheduled, Field(ge=0)]
LONG = "trainer.losses.sliced_scripted_cloner"
LONG_URI = "training_env.supervisor_policy_uri"
HOMES = ("teacher.kwargs", "teacher", LONG)  # branches in which settings of a loss may stand
SAMPLES = 200  # moments of a run at which proportions are added up


class SliceSettings(SchedulableSettings):
    """How a batch is divided between teacher-led, student-led and plain PPO segments."""

    teacher_led_proportion: Share = Field(
        default=0.0, description="share of segments where the teacher acts and is cloned"
    )
    student_led_proportion: Share = Field(
        default=0.0, description="share where the student acts and the teacher labels"
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> "SliceSettings":
        if not any(isinstance(share, Schedule) for share in (self.teacher_led_proportion, self.student_led_proportion)):
            _check_sum(self.teacher_led_proportion + self.student_led_proportion)
        return self


def _check_sum(shares: float, homes: Sequence[str] = ("",)) -> None:
    """Raise SettingError where both proportions, which stand in one of these branches, are too much."""
    if shares > 1 + 1e-9:
        names = ("teacher_led_proportion", "student_led_proportion")
        about = [below(home, name) for home in homes for name in names]
        raise SettingError(f"{' + '.join(names)} is {shares:g}, more than 1", *about)


class ClonerSettings(SliceSettings):
    """Cloning of the teacher's actions."""

    action_loss_coef: Coefficient = Field(default=1.0, description="weight of the cloning loss")
    temperature: Scheduled = Field(
        default=1.0,
        gt=0,
        description="softens the student where it is compared: above 1 it plays sharper than it is taught",
    )


class SlicedClonerSettings(ClonerSettings):
    restrict_ppo_to_ppo_mask: bool = Field(default=True, description="PPO learns only from the remaining share")


class SlicedScriptedClonerSettings(SlicedClonerSettings):
    enabled: bool = Field(default=False, description="clone a scripted teacher on a share of the segments")


class KickstarterSettings(SliceSettings):
    """Distillation of a neural teacher's distribution and values."""

    action_loss_coef: Coefficient = Field(default=0.6, description="weight of the divergence from the teacher")
    value_loss_coef: Coefficient = Field(default=1.0, description="weight of the squared error to its values")
    temperature: Scheduled = Field(default=2.0, gt=0, description="softens both distributions")


class SlicedKickstarterSettings(KickstarterSettings):
    restrict_ppo_to_ppo_mask: bool = Field(default=True, description="PPO learns only from the remaining share")


class EerSettings(SliceSettings):
    """Reward for what a neural teacher would do, and cross-entropy to its distribution."""

    action_loss_coef: Coefficient = Field(default=1.0, description="weight of the cross-entropy")
    r_lambda: Coefficient = Field(default=0.01, description="reward per log-probability of the action taken")


class EerClonerSettings(EerSettings):
    """The same of a teacher that only acts: its distribution is its action and a little of all others."""

    epsilon: float = Field(default=0.01, gt=0, lt=1, description="probability that the other actions share")


Loss = TypeVar("Loss", bound=SliceSettings)


@dataclass(frozen=True)
class Mode:
    """What a mode does with the slices. Every mode's own loss sees the teacher-led and the student-led ones.

    `sliced`: the student-led share is drawn, the remaining one belongs to PPO alone, both fade; otherwise the teacher
    labels every segment. `fades`: the teacher fades out; otherwise it stays for the whole run.
    """

    settings: type[SliceSettings]
    sliced: bool = False
    ppo: bool = True
    neural: bool = False  # needs the teacher's distribution
    fades: bool = True


MODES: dict[str, Mode] = {
    "sliced_cloner": Mode(SlicedClonerSettings, sliced=True),
    "sliced_cloner_no_ppo": Mode(ClonerSettings, sliced=True, ppo=False),
    "supervisor": Mode(ClonerSettings, ppo=False, fades=False),
    "kickstarter": Mode(KickstarterSettings, neural=True),
    "logit_kickstarter": Mode(KickstarterSettings, neural=True),
    "sliced_kickstarter": Mode(SlicedKickstarterSettings, sliced=True, neural=True),
    "eer_kickstarter": Mode(EerSettings, neural=True),
    "eer_cloner": Mode(EerClonerSettings),
}


class TeacherSettings(SliceSettings):
    """A policy that the trained one learns from, and how."""

    mode: Literal[
        "sliced_cloner",
        "sliced_cloner_no_ppo",
        "supervisor",
        "kickstarter",
        "logit_kickstarter",
        "sliced_kickstarter",
        "eer_kickstarter",
        "eer_cloner",
    ] = Field(default="sliced_cloner", description="what the teacher's actions train")
    policy_uri: Annotated[str, NAMES_CLASS] = Field(min_length=1, description="the teacher")
    steps: PositiveInt = Field(default=1_000_000_000, description="agent-steps over which the teacher fades out")
    kwargs: dict[str, Any] = Field(default={}, description="settings of the loss that the mode chooses")


@dataclass(frozen=True)
class Teaching:
    """A teacher and how it is learned from: what both forms of the settings mean."""

    policy_uri: str
    mode_name: str
    steps: int
    loss: SliceSettings  # of the type that the mode names, with the proportions
    scheduled: frozenset[str] = frozenset()  # fields of the loss that follow schedules of their own: they do not fade

    @property
    def mode(self) -> Mode:
        return MODES[self.mode_name]

    @property
    def ppo_sees_everything(self) -> bool:
        """Whether PPO learns from all segments, those where the teacher acts included."""
        return not getattr(self.loss, "restrict_ppo_to_ppo_mask", True)

    def shares(self, agent_steps: int) -> tuple[float, float]:
        """Shares of teacher-led and student-led segments after that many agent-steps; 0 and 0 once it is over."""
        fade = max(0.0, 1 - agent_steps / self.steps) if self.mode.fades else 1.0
        led, student_led = (
            getattr(self.loss, name) * (1 if name in self.scheduled else fade) for name in SliceSettings.model_fields
        )
        if self.mode.sliced:
            return led, student_led
        return (led, 1 - led) if fade else (0.0, 0.0)

    def check(self, total: int) -> None:
        """Raise SettingError where the proportions are more than 1 together, some time in a run of `total` agent-steps.

        Where they wait for different conditions, at their largest.
        """
        shares = (self.loss.teacher_led_proportion, self.loss.student_led_proportion)
        schedules = [share for share in shares if isinstance(share, Schedule)]
        if len({schedule.when for schedule in schedules}) > 1:
            _check_sum(sum(map(largest, shares)), HOMES)
            return
        turns = {steps_at(position, total) for schedule in schedules for position, _ in schedule.points}
        for steps in sorted(turns | {total * part / SAMPLES for part in range(SAMPLES)}):
            now = [share.at(steps, total) if isinstance(share, Schedule) else share for share in shares]
            _check_sum(sum(now), HOMES)

    def check_learned_from(self) -> None:
        """Raise UserError where both proportions are 0, in a mode that learns only from the segments that they name."""
        if self.mode.sliced and not (self.loss.teacher_led_proportion or self.loss.student_led_proportion):
            raise UserError(
                f"teacher.mode={self.mode_name}: teacher.teacher_led_proportion and teacher.student_led_proportion are "
                "both 0, nothing would be learned from the teacher; 0.5 and 0.5 are a good start"
            )

    def strength(self, agent_steps: int) -> float:
        """Factor of the loss: 1, where no slices fade it goes to 0 over the second half of the teacher's steps."""
        if self.mode.sliced or not self.mode.fades:
            return 1.0
        return min(1.0, max(0.0, 2 * (1 - agent_steps / self.steps)))


def find_teaching(
    teacher: TeacherSettings | None, cloner: SlicedScriptedClonerSettings, uri: str | None
) -> Teaching | None:
    """What `teacher`, `trainer.losses.sliced_scripted_cloner` and `training_env.supervisor_policy_uri` ask for.

    Raise SettingError where they ask for different or impossible things.
    """
    if teacher is None:
        if cloner.enabled and not uri:
            problem = f"{LONG}.enabled needs a teacher: {LONG_URI}=metta://policy/NAME"
            raise SettingError(problem, f"{LONG}.enabled", LONG_URI)
        if uri and not cloner.enabled:
            problem = f"{LONG_URI} names a teacher, but nothing learns from it: {LONG}.enabled=true, or teacher="
            raise SettingError(problem, LONG_URI, f"{LONG}.enabled")
        default = TeacherSettings.model_fields["steps"].default
        return Teaching(uri, "sliced_cloner", default, SlicedClonerSettings(**_section(cloner))) if uri else None
    mode, loss = MODES[teacher.mode], _loss_settings(teacher, cloner)
    if uri and uri != teacher.policy_uri:
        problem = f"two teachers: teacher.policy_uri={teacher.policy_uri} and {LONG_URI}={uri}; leave one out"
        raise SettingError(problem, "teacher.policy_uri", LONG_URI)
    if cloner.enabled and teacher.mode != "sliced_cloner":
        problem = f"teacher.mode={teacher.mode} and {LONG}.enabled=true ask for two losses; leave one out"
        raise SettingError(problem, "teacher.mode", f"{LONG}.enabled")
    if loss.student_led_proportion and not mode.sliced:
        raise SettingError(
            f"teacher.student_led_proportion: teacher.mode={teacher.mode} labels every segment; "
            "only teacher.teacher_led_proportion, who acts, can be chosen",
            *("teacher.student_led_proportion", "teacher.kwargs.student_led_proportion", "teacher.mode"),
        )
    return Teaching(teacher.policy_uri, teacher.mode, teacher.steps, loss)


def _loss_settings(teacher: TeacherSettings, cloner: SlicedScriptedClonerSettings) -> SliceSettings:
    """Settings of the mode's loss: the short form's proportions and kwargs above the section of the long form.

    Raise SettingError where both set a field, each to another value.
    """
    shares = {name: share for name in SliceSettings.model_fields if (share := getattr(teacher, name))}
    if teacher.mode != "sliced_cloner":
        return _checked(MODES[teacher.mode].settings, {**shares, **teacher.kwargs})
    section = _section(cloner)
    short = {**shares, **teacher.kwargs}
    loss = _checked(SlicedClonerSettings, {**section, **short})
    for name in short:
        default, got = SlicedClonerSettings.model_fields[name].default, getattr(loss, name)
        if section[name] not in (default, got):
            problem = f"{LONG}.{name}={section[name]} and teacher with {name} {got} differ; leave one out"
            raise SettingError(problem, f"{LONG}.{name}", f"teacher.{name}", f"teacher.kwargs.{name}")
    return loss


def _section(cloner: SlicedScriptedClonerSettings) -> dict[str, Any]:
    return {name: getattr(cloner, name) for name in SlicedClonerSettings.model_fields}


def _checked(model: type[Loss], given: dict[str, Any]) -> Loss:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        about = [subject for home in HOMES for subject in subjects(error, home)]
        raise SettingError(first_problem(model, error, HOMES[0]), *about) from None
