"""What a policy of `mettagrid` is told of its environment."""

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from metta.compat.observation import ObservationFeatureSpec, dtype_observations, feature_specs
from metta.game.mission import CogSettings
from metta.game.observation import PLAIN_ACTIONS, EnvInfo

if TYPE_CHECKING:
    from gymnasium.spaces import Box, Discrete

    from metta.compat.config import MettaGridConfig
    from metta.compat.window import Window


class PolicyEnvInterface(BaseModel):
    """Spaces and names; a policy's outputs are indices into `action_names`, which hold no vibes."""

    obs_features: list[ObservationFeatureSpec]
    tags: list[str]
    action_names: list[str]
    vibe_action_names: list[str] = []
    move_energy_cost: int | None = None
    num_agents: int
    observation_shape: tuple[int, ...]
    egocentric_shape: tuple[int, int]

    @classmethod
    def from_info(
        cls, info: EnvInfo, move_energy_cost: int | None = None, window: "Window | None" = None
    ) -> "PolicyEnvInterface":
        """The same of our own description, which does not say what a move costs: by default the game's price."""
        usual = CogSettings().action_cost["energy"]
        return cls(
            obs_features=feature_specs(info),
            tags=list(info.tags),
            action_names=list(info.action_names[:PLAIN_ACTIONS]),
            vibe_action_names=list(info.action_names[PLAIN_ACTIONS:]),
            move_energy_cost=usual if move_energy_cost is None else move_energy_cost,
            num_agents=info.num_agents,
            observation_shape=window.token_shape if window else info.observation_shape,
            egocentric_shape=window.shape if window else info.window,
        )

    @classmethod
    def from_mg_cfg(cls, mg_cfg: "MettaGridConfig") -> "PolicyEnvInterface":
        """Of a configured game. Raises UserError for one that this engine cannot play."""
        from metta.compat.reading import mission_of  # here because a policy alone needs no missions
        from metta.compat.window import Window
        from metta.game.observation import env_info

        mission = mission_of(mg_cfg)
        return cls.from_info(env_info(mission), mission.cog.action_cost.get("energy"), Window(mg_cfg.game))

    @property
    def obs_height(self) -> int:
        return self.egocentric_shape[0]

    @property
    def obs_width(self) -> int:
        return self.egocentric_shape[1]

    @property
    def observation_space(self) -> "Box":
        from gymnasium.spaces import Box  # here because policies play without it

        return Box(0, 255, self.observation_shape, dtype=dtype_observations.type)

    @property
    def action_space(self) -> "Discrete":
        return _discrete(len(self.action_names))

    @property
    def vibe_action_space(self) -> "Discrete":
        return _discrete(max(1, len(self.vibe_action_names)))

    @property
    def tag_id_to_name(self) -> dict[int, str]:
        return dict(enumerate(self.tags))

    @property
    def all_action_names(self) -> list[str]:
        """Moves and vibes by flat id."""
        return [*self.action_names, *self.vibe_action_names]

    def to_json(self) -> str:
        """What policies in other languages were told."""
        told: dict[str, Any] = {
            "num_agents": self.num_agents,
            "obs_width": self.obs_width,
            "obs_height": self.obs_height,
            "tags": self.tags,
            "actions": self.all_action_names,
            "vibe_action_names": self.vibe_action_names,
            "obs_features": [spec.model_dump() for spec in self.obs_features],
        }
        return json.dumps(told)


def _discrete(choices: int) -> "Discrete":
    from gymnasium.spaces import Discrete  # here as above

    return Discrete(choices)
