"""Typed settings of the trainer. Every field is a key of the composed tree under the same name."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from metta.common.defaults import EPISODES, SEED
from metta.common.settings import OnlyTyped, SettingError, Settings
from metta.game.mission import MissionSettings
from metta.policy.by_class import NAMES_CLASS
from metta.policy.nets.agent import AgentSettings
from metta.rl.dual_policy import DualPolicySettings
from metta.rl.teaching import SlicedScriptedClonerSettings, TeacherSettings, Teaching, find_teaching

MOST_THREADS = 4096  # of torch, which gives up at some number


def _is_folder_name(name: str) -> str:
    if not re.fullmatch(r"[\w+][\w.+-]{0,199}", name):
        raise ValueError("a run's name has letters, digits and . _ + - and starts with a letter or digit")
    return name


RunName = Annotated[str, AfterValidator(_is_folder_name)]
PhaseName = Annotated[str, AfterValidator(_is_folder_name)]


class OptimizerSettings(Settings):
    type: Literal["adam", "adamw"] = Field(default="adam", description="optimiser")
    learning_rate: PositiveFloat = Field(default=0.00092, description="step size at the start")
    anneal_lr: bool = Field(default=True, description="cosine decay of the learning rate over total_timesteps")
    min_lr_ratio: float = Field(default=0.0, ge=0, le=1, description="final learning rate as a share of the first")
    beta1: float = Field(default=0.95, ge=0, lt=1, description="decay of the gradient mean")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="decay of the squared-gradient mean")
    eps: PositiveFloat = Field(default=1e-8, description="added to the root of the squared-gradient mean")
    weight_decay: float = Field(default=0.0, ge=0, description="decay of the weights per step, times the learning rate")


class SamplingSettings(Settings):
    method: Literal["sequential", "prioritized"] = Field(
        default="prioritized", description="how minibatches pick segments"
    )
    prio_alpha: float = Field(default=0.8, ge=0, description="0 = uniform")
    prio_beta0: float = Field(default=0.2, ge=0, le=1, description="importance-weight exponent, annealed to 1")


class RewardCenteringSettings(Settings):
    enabled: bool = Field(
        default=False, description="subtract a moving mean of each agent's reward (needed when gamma is 1)"
    )
    beta: float = Field(default=1e-3, gt=0, le=1, description="weight of the newest reward in the mean")


class AdvantageSettings(Settings):
    gamma: float = Field(default=0.995, gt=0, le=1, description="discount per step")
    gae_lambda: float = Field(default=0.90, ge=0, le=1, description="how far advantages look ahead: 0 = one step")
    vtrace_rho_clip: PositiveFloat = Field(default=1.0, description="limit of the importance ratio of a TD error")
    vtrace_c_clip: PositiveFloat = Field(default=1.0, description="limit of the importance ratio of the trace")
    reward_centering: RewardCenteringSettings = RewardCenteringSettings()


class PpoActorSettings(Settings):
    enabled: bool = Field(default=True, description="clipped policy-gradient loss")
    clip_coef: PositiveFloat = Field(default=0.2, description="PPO ratio clip")
    ent_coef: float = Field(default=0.01, ge=0, description="entropy bonus")
    norm_adv: bool = Field(default=True, description="normalise advantages over the minibatch")
    target_kl: float | None = Field(default=None, gt=0, description="stop the epoch's updates above this KL")


class PpoCriticSettings(Settings):
    enabled: bool = Field(default=True, description="value loss")
    vf_coef: float = Field(default=2.0, ge=0, description="weight of the value loss")
    clip_vloss: bool = Field(default=True, description="keep new values within vf_clip_coef of the old")
    vf_clip_coef: PositiveFloat = Field(default=0.2, description="range of clip_vloss")
    critic_update: Literal["mse", "gtd_lambda"] = Field(
        default="mse", description="squared error, or gradient TD with a learned correction"
    )
    aux_coef: float = Field(default=1.0, ge=0, description="gtd_lambda: weight of the auxiliary head's loss")
    beta: float = Field(default=1.0, ge=0, description="gtd_lambda: weight decay of the auxiliary head")
    teacher_offpolicy_rho_clip: PositiveFloat = Field(
        default=1.0, description="gtd_lambda: limit of the importance ratio on teacher-led segments"
    )


class LossesSettings(Settings):
    ppo_actor: PpoActorSettings = PpoActorSettings()
    ppo_critic: PpoCriticSettings = PpoCriticSettings()
    sliced_scripted_cloner: SlicedScriptedClonerSettings = SlicedScriptedClonerSettings()


class TrainerSettings(Settings):
    total_timesteps: PositiveInt = Field(default=10_000_000_000, description="agent-steps to train for")
    batch_size: PositiveInt = Field(default=131_072, description="agent-steps per epoch, over all processes")
    minibatch_size: PositiveInt = Field(default=16_384, description="agent-steps per gradient step (at most the batch)")
    bptt_horizon: PositiveInt = Field(default=64, description="steps per segment")
    update_epochs: PositiveInt = Field(default=1, description="passes over each batch")
    max_grad_norm: PositiveFloat = Field(default=1.5, description="gradient norm clip")
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto", description="of the network's products; auto: bf16 on CUDA devices that have it, else float32"
    )
    accumulate: PositiveInt = Field(
        default=1, description="parts in which a minibatch goes through the network; doubled when memory runs out"
    )
    compile: bool = Field(default=False, description="torch.compile the policy")
    compile_mode: str = Field(default="default", description="mode of torch.compile")
    optimizer: OptimizerSettings = OptimizerSettings()
    sampling: SamplingSettings = SamplingSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    losses: LossesSettings = LossesSettings()
    dual_policy: DualPolicySettings = DualPolicySettings()

    @property
    def auxiliary(self) -> bool:
        """Whether a loss reads the auxiliary head."""
        critic = self.losses.ppo_critic
        return critic.enabled and critic.critic_update == "gtd_lambda"


def _imports(value: Any) -> bool:
    """Whether the name of an environment, or an argument of one, leads to code: `module:name`, as these libraries and
    environments that wrap others (`GymV26Environment-v0` with `env_id`) have it."""
    if isinstance(value, dict):
        return any(map(_imports, value.values()))
    if isinstance(value, list):
        return any(map(_imports, value))
    return isinstance(value, str) and ":" in value


IMPORTS = OnlyTyped(lambda value, tree: _imports(value))


class EnvSettings(Settings):
    """What is trained on: a mission of the game, or an environment of another library."""

    kind: Literal["metta", "gymnasium", "pettingzoo"] = Field(default="metta", description="whose environments")
    name: Annotated[str | None, IMPORTS] = Field(
        default=None,
        description="gymnasium: its id, CartPole-v1; pettingzoo: module with a parallel_env, or module:function",
    )
    kwargs: Annotated[dict[str, Any], IMPORTS] = Field(
        default={}, description="arguments of an environment of another library"
    )
    backend: Literal["cpu", "cuda"] = Field(default="cpu", description="metta: where the environments run")

    @property
    def imports(self) -> bool:
        """Whether code is imported that is not the library's own; only a person may ask for that."""
        return _imports(self.name) or _imports(self.kwargs)

    @model_validator(mode="after")
    def _name_goes_with_the_kind(self) -> "EnvSettings":
        if self.kind == "metta" and (self.name or self.kwargs):
            problem = "env.name and env.kwargs need env=gymnasium or env=pettingzoo; the game has mission=NAME"
            raise SettingError(problem, "name", "kwargs")
        if self.kind != "metta" and not self.name:
            problem = f"env={self.kind} needs env.name, such as env.name=CartPole-v1 with env=gymnasium"
            raise SettingError(problem, "kind")
        return self


class TrainingEnvSettings(Settings):
    """How the environments are run during training."""

    num_envs: PositiveInt | None = Field(default=None, description="environments; default: as the batch size needs")
    num_workers: PositiveInt | None = Field(
        default=None, description="engine threads; default: all cores. Of other libraries: processes; default: 1"
    )
    vibe_actions: bool = Field(default=False, description="let the policy change vibes (12 actions instead of 5)")
    map_pool: PositiveInt = Field(default=512, description="maps to draw from when an episode starts")
    fresh_maps: bool = Field(
        default=True, description="new maps, drawn in the background, take the place of those that were played"
    )
    desync_episodes: bool = Field(default=True, description="cut each environment's first episode at a random step")
    supervisor_policy_uri: Annotated[str | None, NAMES_CLASS] = Field(
        default=None, description="teacher policy that labels or leads rollouts"
    )


class CheckpointerSettings(Settings):
    epoch_interval: PositiveInt = Field(default=50, description="epochs between checkpoints")
    keep: int = Field(default=0, ge=0, description="newest checkpoints to keep; 0 = all")


class EvaluatorSettings(Settings):
    epoch_interval: int = Field(default=0, ge=0, description="epochs between evaluations; 0 = never")
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


class WandbSettings(Settings):
    mode: Literal["off", "offline", "online"] = Field(
        default="off", description="where metrics go besides metrics.jsonl"
    )
    project: str = Field(default="metta", description="W&B project")
    entity: str | None = Field(default=None, description="W&B team or user; default: the login's")
    group: str | None = Field(default=None, description="name under which W&B groups runs")
    tags: list[str] = Field(default=[], description="labels of the run")
    notes: str | None = Field(default=None, description="free text shown with the run")
    checkpoints: bool = Field(default=True, description="keep checkpoints there too, as versions of one artifact")

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: object) -> object:
        return "off" if value is False else value


class MachineSettings(Settings):
    """What a job uses of the machine."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="where the policy runs")
    data_dir: str = Field(default="./train_dir", description="folder that holds the runs")
    threads: PositiveInt | None = Field(
        default=None, le=MOST_THREADS, description="torch threads; default: all cores; to play, one"
    )
    trust_pickle: Annotated[bool, OnlyTyped()] = Field(
        default=False, description="open policy files that run code when opened; only for files of your own"
    )
    trust_code: Annotated[bool, OnlyTyped()] = Field(
        default=False, description="play bundles that hold a class of their own; only for bundles of your own"
    )


class SystemSettings(MachineSettings):
    seed: int = Field(default=SEED, ge=0, description="seed of everything random in the run")
    log_outputs: bool = Field(default=False, description="plain lines of progress in place of a live table")


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
                _ = run.teaching  # raises where its forms contradict each other
            except SettingError as error:
                home = f"phases.{name}." if name else ""
                about = [f"{home}{key}" if key.startswith("teacher") else key for key in error.about]
                raise SettingError(str(error), *about) from None
        return self
