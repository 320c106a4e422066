"""Settings of training beside frozen policies: some agents learn, the others are NPCs."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from metta.common.errors import UserError
from metta.common.settings import SettingError, Settings
from metta.policy.hosted.naming import NAMES_CLASS
from metta.rl.schedule import SchedulableSettings, Scheduled

STARTER = "random"  # plays where a league has no checkpoint yet


class CheckpointNpcSettings(Settings):
    checkpoint_path: Annotated[str | None, NAMES_CLASS] = Field(
        default=None, description="checkpoint that controls the other agents"
    )


class ScriptedNpcSettings(Settings):
    policy_uri: Annotated[str | None, NAMES_CLASS] = Field(
        default=None, description="scripted policy that controls the other agents"
    )


class NpcSettings(SchedulableSettings):
    """One of several NPCs."""

    path: Annotated[str, NAMES_CLASS] = Field(min_length=1, description="any policy: a checkpoint or a scripted one")
    weight: Scheduled = Field(default=1.0, gt=0, description="how often it is drawn, relative to the others")


class LeagueSettings(SchedulableSettings):
    """The run's own past checkpoints as NPCs."""

    mode: Literal["off", "uniform", "latest", "prioritized"] = Field(
        default="off",
        description="none, all alike, the newest ones, or those more often that are beaten less often",
    )
    size: PositiveInt = Field(
        default=16, description="past checkpoints at hand; of more, latest takes the newest, others draw"
    )
    weight: Scheduled = Field(
        default=1.0, gt=0, description="how often one of them is drawn, relative to the NPCs named"
    )

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: object) -> object:
        return "off" if value is False else value


class AdaptiveSettings(SchedulableSettings):
    """NPCs against whom the reward is changing come more often than those mastered or still too strong."""

    enabled: bool = Field(default=False, description="draw NPCs by how the reward against each of them changes")
    floor: Scheduled = Field(
        default=0.1, gt=0, le=1, description="what is left of the weight of one where it stands still"
    )


class DualPolicySettings(Settings):
    """In every environment some agents follow the trained policy, the others an NPC drawn per episode."""

    enabled: bool = Field(default=False, description="let frozen policies control some of the agents")
    policy_a_percentage: float = Field(
        default=0.5, ge=0, le=1, description="share of agents that the trained policy controls"
    )
    npc_type: Literal["checkpoint", "scripted"] = Field(
        default="checkpoint", description="which of checkpoint_npc and scripted_npc plays"
    )
    checkpoint_npc: CheckpointNpcSettings = CheckpointNpcSettings()
    scripted_npc: ScriptedNpcSettings = ScriptedNpcSettings()
    checkpoint_npcs: list[NpcSettings] = Field(default=[], description="NPCs beside that one, drawn by weight")
    league: LeagueSettings = LeagueSettings()
    adaptive: AdaptiveSettings = AdaptiveSettings()

    @property
    def npcs(self) -> list[NpcSettings]:
        """All NPCs that are named."""
        one = self.checkpoint_npc.checkpoint_path if self.npc_type == "checkpoint" else self.scripted_npc.policy_uri
        return [*([NpcSettings(path=one)] if one else []), *self.checkpoint_npcs]

    @property
    def plays_checkpoints(self) -> bool:
        """Whether the run's own checkpoints play."""
        return self.enabled and self.league.mode != "off"

    @model_validator(mode="after")
    def _npc_is_named(self) -> "DualPolicySettings":
        if self.enabled and not self.npcs and self.league.mode == "off":
            key = {"checkpoint": "checkpoint_npc.checkpoint_path", "scripted": "scripted_npc.policy_uri"}
            problem = f"enabled, but {key[self.npc_type]} names no policy"
            raise SettingError(problem, "enabled", "npc_type", key[self.npc_type], "checkpoint_npcs", "league.mode")
        return self

    def learners(self, agents: int) -> int:
        """How many of an environment's agents learn: all if this is off, else their share, rounded, and unless that is
        all or nothing at least one of each side. Raise UserError where that leaves nobody to learn."""
        if not self.enabled:
            return agents
        share, key = self.policy_a_percentage, "trainer.dual_policy.policy_a_percentage"
        if share == 0:
            raise UserError(f"{key}=0: no agent would follow the trained policy; 0.5 is half of them", [key])
        if share == 1:
            return agents
        if agents < 2:
            problem = "the environment has one agent, nobody is left for the NPC"
            raise UserError(f"{key}={share:g}: {problem}", [key, "trainer.dual_policy.enabled", "mission.cogs"])
        return min(agents - 1, max(1, round(agents * share)))
