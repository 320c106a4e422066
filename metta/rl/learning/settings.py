"""Settings of learning: batches, optimiser, advantages, losses."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from metta.common.settings import Settings
from metta.rl.experience.npc_settings import DualPolicySettings
from metta.rl.experience.teacher_settings import SlicedScriptedClonerSettings
from metta.rl.schedule import MAY_CHANGE, SchedulableSettings, Scheduled


class OptimizerSettings(SchedulableSettings):
    type: Literal["adam", "adamw", "schedulefree_adamw", "muon"] = Field(default="adam", description="optimiser")
    learning_rate: Scheduled = Field(default=0.00092, gt=0, description="step size at the start")
    anneal_lr: bool = Field(default=True, description="cosine decay of the learning rate over total_timesteps")
    min_lr_ratio: float = Field(default=0.0, ge=0, le=1, description="final learning rate as a share of the first")
    beta1: float = Field(default=0.95, ge=0, lt=1, description="decay of the gradient mean")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="decay of the squared-gradient mean")
    eps: PositiveFloat = Field(default=1e-8, description="added to the root of the squared-gradient mean")
    weight_decay: float = Field(default=0.0, ge=0, description="decay of the weights per step, times the learning rate")


class SamplingSettings(SchedulableSettings):
    method: Literal["sequential", "prioritized"] = Field(
        default="prioritized", description="how minibatches pick segments"
    )
    prio_alpha: Scheduled = Field(default=0.8, ge=0, description="0 = uniform")
    prio_beta0: Scheduled = Field(default=0.2, ge=0, le=1, description="importance-weight exponent, annealed to 1")


class RewardCenteringSettings(SchedulableSettings):
    enabled: bool = Field(
        default=False, description="subtract a moving mean of each agent's reward (needed when gamma is 1)"
    )
    beta: Scheduled = Field(default=1e-3, gt=0, le=1, description="weight of the newest reward in the mean")


class AdvantageSettings(SchedulableSettings):
    gamma: Scheduled = Field(default=0.995, gt=0, le=1, description="discount per step")
    gae_lambda: Scheduled = Field(default=0.90, ge=0, le=1, description="how far advantages look ahead: 0 = one step")
    vtrace_rho_clip: Scheduled = Field(default=1.0, gt=0, description="limit of the importance ratio of a TD error")
    vtrace_c_clip: Scheduled = Field(default=1.0, gt=0, description="limit of the importance ratio of the trace")
    reward_centering: RewardCenteringSettings = RewardCenteringSettings()


class PpoActorSettings(SchedulableSettings):
    enabled: bool = Field(default=True, description="clipped policy-gradient loss")
    clip_coef: Scheduled = Field(default=0.2, gt=0, description="PPO ratio clip")
    ent_coef: Scheduled = Field(default=0.01, ge=0, description="entropy bonus")
    norm_adv: bool = Field(default=True, description="normalise advantages over the minibatch")
    target_kl: Annotated[float | None, MAY_CHANGE] = Field(
        default=None, gt=0, description="stop the epoch's updates above this KL"
    )


class PpoCriticSettings(SchedulableSettings):
    enabled: bool = Field(default=True, description="value loss")
    vf_coef: Scheduled = Field(default=2.0, ge=0, description="weight of the value loss")
    clip_vloss: bool = Field(default=True, description="keep new values within vf_clip_coef of the old")
    vf_clip_coef: Scheduled = Field(default=0.2, gt=0, description="range of clip_vloss")
    critic_update: Literal["mse", "gtd_lambda"] = Field(
        default="mse", description="squared error, or gradient TD with a learned correction"
    )
    aux_coef: Scheduled = Field(default=1.0, ge=0, description="gtd_lambda: weight of the auxiliary head's loss")
    beta: Scheduled = Field(default=1.0, ge=0, description="gtd_lambda: weight decay of the auxiliary head")
    teacher_offpolicy_rho_clip: Scheduled = Field(
        default=1.0, gt=0, description="gtd_lambda: limit of the importance ratio on teacher-led segments"
    )


class DivergenceSettings(Settings):
    """What happens where a loss or a gradient is no finite number."""

    skips: int = Field(default=3, ge=0, description="steps in a row that are left out for it before it is a divergence")
    returns: int = Field(
        default=2,
        ge=0,
        description="divergences after which the run goes back to its last checkpoint; then it ends",
    )
    slower: float = Field(default=0.5, gt=0, le=1, description="factor of the learning rate after each return")


class LossesSettings(Settings):
    ppo_actor: PpoActorSettings = PpoActorSettings()
    ppo_critic: PpoCriticSettings = PpoCriticSettings()
    sliced_scripted_cloner: SlicedScriptedClonerSettings = SlicedScriptedClonerSettings()


class TrainerSettings(SchedulableSettings):
    total_timesteps: PositiveInt = Field(default=10_000_000_000, description="agent-steps to train for")
    max_minutes: PositiveFloat | None = Field(
        default=None,
        description="minutes after which a command stops training, counted from the end of its first epoch, which "
        "compiles; the same command goes on for as long again; null: no bound",
    )
    batch_size: PositiveInt = Field(default=131_072, description="agent-steps per epoch, over all processes")
    minibatch_size: PositiveInt = Field(default=16_384, description="agent-steps per gradient step (at most the batch)")
    bptt_horizon: PositiveInt = Field(default=64, description="steps per segment")
    update_epochs: PositiveInt = Field(default=1, description="passes over each batch")
    max_grad_norm: Scheduled = Field(default=1.5, gt=0, description="gradient norm clip")
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto", description="of the network's products; auto: bf16 on CUDA devices that have it, else float32"
    )
    accumulate: PositiveInt = Field(
        default=1, description="parts in which a minibatch goes through the network; doubled when memory runs out"
    )
    cuda_graphs: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="repeat steps and minibatches by CUDA graphs; auto: where policy and environments are on CUDA and "
        "nothing needs the processor",
    )
    compile: bool = Field(default=False, description="torch.compile the policy")
    compile_mode: str = Field(default="default", description="mode of torch.compile")
    optimizer: OptimizerSettings = OptimizerSettings()
    sampling: SamplingSettings = SamplingSettings()
    advantage: AdvantageSettings = AdvantageSettings()
    losses: LossesSettings = LossesSettings()
    dual_policy: DualPolicySettings = DualPolicySettings()
    divergence: DivergenceSettings = DivergenceSettings()

    @field_validator("cuda_graphs", mode="before")
    @classmethod
    def _yaml_reads_on_and_off_as_truth(cls, value: object) -> object:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @property
    def auxiliary(self) -> bool:
        """Whether a loss reads the auxiliary head."""
        critic = self.losses.ppo_critic
        return critic.enabled and critic.critic_update == "gtd_lambda"
