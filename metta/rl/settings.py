"""Settings of a training run. Every field is a key of the composed tree under the same name."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from metta.common.defaults import EPISODES
from metta.common.settings import SettingError, Settings
from metta.game.mission import MissionSettings
from metta.policy.hosted.naming import NAMES_CLASS
from metta.policy.nets.agent import AgentSettings
from metta.rl.experience.curriculum_settings import CurriculumSettings
from metta.rl.experience.settings import EnvSettings, TrainingEnvSettings
from metta.rl.experience.teacher_settings import TeacherSettings, Teaching, find_teaching
from metta.rl.learning.settings import TrainerSettings
from metta.rl.run.settings import CheckpointerSettings, PhaseName, RunName, SystemSettings, WandbSettings
from metta.rl.schedule import Schedule, places


class EvaluatorSettings(Settings):
    epoch_interval: int = Field(
        default=0, ge=0, description="epochs between evaluations, the last of which is after the last epoch; 0 = never"
    )
    episodes: PositiveInt = Field(default=EPISODES, description="episodes of each mission per evaluation")
    seed: int = Field(
        default=1_000_000,
        ge=0,
        description="seed of the first episode, the same at every evaluation; others than `evaluate` plays, so that a "
        "checkpoint chosen by these numbers is judged by new ones",
    )
    replay_interval: int = Field(
        default=0, ge=0, description="evaluations between those whose first episodes are kept as replays; 0 = never"
    )


TRAINING = "training"  # name of the suite that has only the mission of the run


class SuiteSettings(Settings):
    """Missions that a policy is evaluated on while it trains."""

    name: str = Field(default="", description="name under which the results are reported")
    missions: dict[str, MissionSettings] = Field(
        default={}, description="missions by label; none: the training mission"
    )

    @field_validator("missions", mode="before")
    @classmethod
    def _text_names_a_mission(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {key: {"name": mission} if isinstance(mission, str) else mission for key, mission in value.items()}

    @property
    def title(self) -> str:
        """What metrics of evaluations call the suite."""
        return self.name or TRAINING


def varied(mission: MissionSettings, changes: MissionSettings) -> MissionSettings:
    """A mission with changes; where they name another one, that one with them."""
    given = changes.model_dump(exclude_unset=True)
    return MissionSettings.model_validate(given if "name" in given else mission.model_dump() | given)


class PhaseSettings(Settings):
    """A part of a curriculum: what differs from the run's settings."""

    mission: MissionSettings | None = Field(
        default=None, description="changes to the run's mission; one with a name takes its place"
    )
    teacher: TeacherSettings | None = Field(default=None, description="a policy to learn from; null: none")
    total_timesteps: PositiveInt = Field(description="agent-steps of this phase")

    @field_validator("mission", mode="before")
    @classmethod
    def _text_names_a_mission(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


def _check_schedules(run: "RunConfig") -> None:
    """Raise SettingError for a schedule that does not go on as the run does."""
    for settings, key in ((run.trainer, "trainer"), (run.teacher, "teacher")):
        for place in places(settings, key) if settings else ():
            if isinstance(place.value, Schedule):
                try:
                    place.value.check(run.trainer.total_timesteps)
                except ValueError as error:
                    raise SettingError(f"{place.key}: {error}", place.key) from None


class RunConfig(Settings):
    """Everything that decides a training run."""

    cmd: Literal["train"] = Field(default="train", description="the job")
    run: RunName | None = Field(
        default=None, description="name of the run and its folder; default: user, recipe and time"
    )
    init_from: Annotated[str | None, NAMES_CLASS] = Field(
        default=None, description="checkpoint whose weights the network starts with"
    )
    phases: dict[PhaseName, PhaseSettings] = Field(
        default={}, description="parts by name, each a run of its own that starts from the weights of the one before"
    )
    env: EnvSettings = EnvSettings()
    mission: MissionSettings = MissionSettings()
    curriculum: CurriculumSettings | None = Field(
        default=None, description="tasks that are played in place of the one mission, which they change"
    )
    agent: AgentSettings = Field(default_factory=AgentSettings)
    trainer: TrainerSettings = TrainerSettings()
    training_env: TrainingEnvSettings = TrainingEnvSettings()
    teacher: TeacherSettings | None = Field(default=None, description="a policy to learn from")
    checkpointer: CheckpointerSettings = CheckpointerSettings()
    evaluator: EvaluatorSettings = EvaluatorSettings()
    evals: SuiteSettings = SuiteSettings()
    wandb: WandbSettings = WandbSettings()
    system: SystemSettings = SystemSettings()
    profile: bool = Field(default=False, description="record the second epoch: where time and memory go")

    @property
    def teaching(self) -> Teaching | None:
        """The teacher, whichever form names it; None for training without one."""
        cloner = self.trainer.losses.sliced_scripted_cloner
        return find_teaching(self.teacher, cloner, self.training_env.supervisor_policy_uri)

    @property
    def best_metric(self) -> str:
        """The metric by which a checkpoint is the best of the run."""
        return self.checkpointer.best_metric or f"eval_{self.evals.title}/reward"

    @property
    def phase_runs(self) -> "list[RunConfig]":
        """The runs that this one consists of, `<run>.<phase>` in turn; only itself where there are no phases."""
        runs, before = [], self.init_from
        for name, phase in self.phases.items():
            run = f"{self.run}.{name}"
            trainer = self.trainer.model_copy(update={"total_timesteps": phase.total_timesteps})
            mission = varied(self.mission, phase.mission) if phase.mission else self.mission
            parts = {"run": run, "init_from": before, "phases": {}, "trainer": trainer, "mission": mission}
            runs.append(self.model_copy(update={**parts, "teacher": phase.teacher}))
            before = run
        return runs or [self]

    @model_validator(mode="after")
    def _one_teacher(self) -> "RunConfig":
        if self.phases and self.teacher:
            raise SettingError(
                "teacher: each phase has its own, such as phases.NAME.teacher={policy_uri: …}", "teacher"
            )
        for name, run in zip(self.phases or [""], self.phase_runs, strict=True):
            try:
                _check_schedules(run)
                if teaching := run.teaching:  # raises where its forms contradict each other
                    teaching.check(run.trainer.total_timesteps)
            except SettingError as error:
                home = f"phases.{name}." if name else ""
                about = [f"{home}{key}" if key.startswith("teacher") else key for key in error.about]
                raise SettingError(str(error), *about) from None
        return self
