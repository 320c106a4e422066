"""Typed settings of the trainer. Every field is a key of the composed tree under the same name."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class Settings(BaseModel):
    """Base of all settings: an unknown key is an error, never dropped."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class OptimizerSettings(Settings):
    type: Literal["adam", "adamw"] = Field("adam", description="optimiser")
    learning_rate: PositiveFloat = Field(0.00092, description="step size at the start")
    anneal_lr: bool = Field(True, description="cosine decay of the learning rate over total_timesteps")
    min_lr_ratio: float = Field(0.0, ge=0, le=1, description="final learning rate as a share of the first")
    beta1: float = Field(0.95, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: float = Field(0.0, ge=0)


class SamplingSettings(Settings):
    method: Literal["sequential", "prioritized"] = Field("prioritized", description="how minibatches pick segments")
    prio_alpha: float = Field(0.8, ge=0, description="0 = uniform")
    prio_beta0: float = Field(0.2, ge=0, le=1, description="importance-weight exponent, annealed to 1")


class RewardCenteringSettings(Settings):
    enabled: bool = Field(False, description="subtract a moving mean of each agent's reward (needed when gamma is 1)")
    beta: float = Field(1e-3, gt=0, le=1, description="weight of the newest reward in the mean")


class AdvantageSettings(Settings):
    gamma: float = Field(0.995, gt=0, le=1, description="discount per step")
    gae_lambda: float = Field(0.90, ge=0, le=1)
    vtrace_rho_clip: PositiveFloat = 1.0
    vtrace_c_clip: PositiveFloat = 1.0
    reward_centering: RewardCenteringSettings = RewardCenteringSettings()


class PpoActorSettings(Settings):
    enabled: bool = True
    clip_coef: PositiveFloat = Field(0.2, description="PPO ratio clip")
    ent_coef: float = Field(0.01, ge=0, description="entropy bonus")
    norm_adv: bool = Field(True, description="normalise advantages over the minibatch")
    target_kl: float | None = Field(None, gt=0, description="stop the epoch's updates above this KL")


class PpoCriticSettings(Settings):
    enabled: bool = True
    vf_coef: float = Field(2.0, ge=0, description="weight of the value loss")
    clip_vloss: bool = True
    vf_clip_coef: PositiveFloat = 0.2
    critic_update: Literal["mse", "gtd_lambda"] = "mse"
    aux_coef: float = Field(1.0, ge=0, description="gtd_lambda: weight of the auxiliary head's loss")
    beta: float = Field(1.0, ge=0, description="gtd_lambda: weight decay of the auxiliary head")
    teacher_offpolicy_rho_clip: PositiveFloat = 1.0


class SlicedScriptedClonerSettings(Settings):
    enabled: bool = False
    action_loss_coef: float = Field(1.0, ge=0)
    student_led_proportion: float = Field(0.0, ge=0, le=1)
    teacher_led_proportion: float = Field(0.0, ge=0, le=1)
    restrict_ppo_to_ppo_mask: bool = True


class LossesSettings(Settings):
    ppo_actor: PpoActorSettings = PpoActorSettings()
    ppo_critic: PpoCriticSettings = PpoCriticSettings()
    sliced_scripted_cloner: SlicedScriptedClonerSettings = SlicedScriptedClonerSettings()


class TrainerSettings(Settings):
    total_timesteps: PositiveInt = Field(10_000_000_000, description="agent-steps to train for")
    batch_size: PositiveInt = Field(131_072, description="agent-steps per epoch, over all processes")
    minibatch_size: PositiveInt = Field(16_384, description="agent-steps per gradient step (at most the batch)")
    bptt_horizon: PositiveInt = Field(64, description="steps per segment")
    update_epochs: PositiveInt = Field(1, description="passes over each batch")
    max_grad_norm: PositiveFloat = Field(1.5, description="gradient norm clip")
    compile: bool = Field(False, description="torch.compile the policy")
    compile_mode: str = "default"
    optimizer: OptimizerSettings = OptimizerSettings()
    sampling: SamplingSettings = SamplingSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    losses: LossesSettings = LossesSettings()


class TrainingEnvSettings(Settings):
    """How the environments are run during training."""

    num_envs: PositiveInt | None = Field(None, description="environments; default: as the batch size needs")
    num_workers: PositiveInt | None = Field(None, description="engine threads; default: all cores")
    vibe_actions: bool = Field(False, description="let the policy change vibes (12 actions instead of 5)")
    map_pool: PositiveInt = Field(512, description="maps generated before training, drawn from at every reset")
    desync_episodes: bool = Field(True, description="cut each environment's first episode at a random step")
    backend: Literal["cpu"] = "cpu"
    supervisor_policy_uri: str | None = Field(None, description="teacher policy that labels or leads rollouts")


class CheckpointerSettings(Settings):
    epoch_interval: PositiveInt = Field(50, description="epochs between checkpoints")
    keep: int = Field(0, ge=0, description="newest checkpoints to keep; 0 = all")


class EvaluatorSettings(Settings):
    epoch_interval: int = Field(0, ge=0, description="epochs between evaluations; 0 = never")
    episodes: PositiveInt = Field(16, description="episodes per evaluation")


class WandbSettings(Settings):
    mode: Literal["off", "offline", "online"] = Field("off", description="where metrics go besides metrics.jsonl")
    project: str = "metta"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = []
    notes: str | None = None


class SystemSettings(Settings):
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the policy runs")
    seed: int = Field(42, ge=0, description="seed of everything random in the run")
    data_dir: str = Field("./train_dir", description="folder that holds the runs")
    threads: PositiveInt | None = Field(None, description="torch threads; default: all cores")
