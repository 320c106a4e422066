"""Variants of `cogames`: each is ours of the same name, as an object."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from metta.common.errors import suggest
from metta.compat.config import InventoryValue, MettaGridConfig
from metta.compat.errors import NotPlayableError
from metta.compat.map_config import MapGenConfig
from metta.compat.maps import HUB_EXTRACTORS, builder_of, map_settings
from metta.compat.missions import CoGameMissionVariant, CvCMission
from metta.compat.writing import diversity_of, reward_of
from metta.game import variants as ours
from metta.game.mission import Mission
from metta.game.resources import GEAR, ROLE, ROLES, VIBES
from metta.game.rewards import PRESETS, reward_entries

OBJECTIVE = "aligned_junction_held"
AVAILABLE_REWARD_VARIANTS = PRESETS


class _OnMission(CoGameMissionVariant):
    def modify_mission(self, mission: CvCMission) -> None:
        mission.take(ours.VARIANTS[self.name][1](mission.as_ours()))


class _OnMap(CoGameMissionVariant):
    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        if isinstance(env.game.map_builder, MapGenConfig) and env.game.map_builder.width is not None:
            env.game.map_builder = builder_of(ours.sites.MAP_VARIANTS[self.name][1](map_settings(env.game.map_builder)))


def _variant(base: type[CoGameMissionVariant], title: str, name: str) -> Any:
    """A class of that title for our variant of that name."""
    fields = {"name": str, "description": str}
    members = {"__annotations__": fields, "name": name, "description": ours.VARIANTS[name][0], "__module__": __name__}
    return type(title, (base,), members)


ClipsEasyVariant = _variant(_OnMission, "ClipsEasyVariant", "clips_easy")
ClipsMediumVariant = _variant(_OnMission, "ClipsMediumVariant", "clips_medium")
ClipsHardVariant = _variant(_OnMission, "ClipsHardVariant", "clips_hard")
ClipsWaveOnlyVariant = _variant(_OnMission, "ClipsWaveOnlyVariant", "clips_wave_only")
DarkSideVariant = _variant(_OnMission, "DarkSideVariant", "dark_side")
EnergizedVariant = _variant(_OnMission, "EnergizedVariant", "energized")
NoClipsVariant = _variant(_OnMission, "NoClipsVariant", "no_clips")
NoWeatherVariant = _variant(_OnMission, "NoWeatherVariant", "no_weather")
SuperChargedVariant = _variant(_OnMission, "SuperChargedVariant", "super_charged")
ThickSkinnedVariant = _variant(_OnMission, "ThickSkinnedVariant", "thick_skinned")
AllJunctionsClipsAligned = _variant(_OnMission, "AllJunctionsClipsAligned", "all_clips")
CavesVariant = _variant(_OnMap, "CavesVariant", "caves")
CityVariant = _variant(_OnMap, "CityVariant", "city")
DesertVariant = _variant(_OnMap, "DesertVariant", "desert")
ForestVariant = _variant(_OnMap, "ForestVariant", "forest")
RandomizeSpawnsVariant = _variant(_OnMap, "RandomizeSpawnsVariant", "randomize_spawns")
Small50Variant = _variant(_OnMap, "Small50Variant", "small_50")


class BraveheartVariant(CoGameMissionVariant):
    """Changes the very teams that the mission was given, as the original does."""

    name: str = "braveheart"
    description: str = "hubs start with 255 hearts"

    def modify_mission(self, mission: CvCMission) -> None:
        for team in mission.teams.values():
            team.initial_hearts = 255


class NoVibesVariant(CoGameMissionVariant):
    name: str = "no_vibes"
    description: str = "vibes cannot be changed"

    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        env.game.actions.change_vibe.enabled = False


class NumCogsVariant(CoGameMissionVariant):
    name: str = "num_cogs"
    description: str = "another number of cogs"
    num_cogs: int

    def modify_mission(self, mission: CvCMission) -> None:
        site = mission.site
        if not site.min_cogs <= self.num_cogs <= site.max_cogs:
            raise ValueError(
                f"Invalid number of cogs for {site.name}: {self.num_cogs}. "
                f"Must be between {site.min_cogs} and {site.max_cogs}"
            )
        mission.num_cogs = self.num_cogs


class MapSeedVariant(CoGameMissionVariant):
    name: str = "map_seed"
    description: str = "one map for all episodes"
    seed: int

    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        env.game.map_builder.seed = self.seed  # type: ignore[attr-defined]


class _OnMapAsItIs(_OnMap):
    """A variant of the map whose details cannot be changed here."""

    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        for name, field in type(self).model_fields.items():
            if name not in CoGameMissionVariant.model_fields and getattr(self, name) != field.default:
                raise NotPlayableError(
                    f"{self.name}.{name}={getattr(self, name)}: this engine has only {field.default}"
                )
        super().modify_env(mission, env)


class QuadrantBuildingsVariant(_OnMapAsItIs):
    name: str = "quadrant_buildings"
    description: str = ours.VARIANTS["quadrant_buildings"][0]
    building_names: list[str] = list(HUB_EXTRACTORS)


class DistantResourcesVariant(_OnMapAsItIs):
    name: str = "distant_resources"
    description: str = ours.VARIANTS["distant_resources"][0]
    building_names: list[str] = list(HUB_EXTRACTORS)


class SingleResourceUniformVariant(_OnMapAsItIs):
    name: str = "single_resource_uniform"
    description: str = ours.VARIANTS["single_resource_uniform"][0]
    building_name: str = "oxygen_extractor"


class EmptyBaseVariant(_OnMapAsItIs):
    name: str = "empty_base"
    description: str = ours.VARIANTS["empty_base"][0]
    missing: list[str] = list(HUB_EXTRACTORS)


class BalancedCornersVariant(_OnMapAsItIs):
    name: str = "balanced_corners"
    description: str = ours.VARIANTS["balanced_corners"][0]
    balance_tolerance: float = 1.5
    max_balance_shortcuts: int = 10


class MultiTeamVariant(CoGameMissionVariant):
    """Two teams, each with a map of its own beside the other's."""

    name: str = "multi_team"
    description: str = ours.VARIANTS["multi_team"][0]
    num_teams: Literal[2] = 2

    def modify_mission(self, mission: CvCMission) -> None:
        team = next(iter(mission.teams.values()))
        own = {"num_agents": mission.num_agents}
        mission.num_cogs = None
        mission.teams = {
            name: team.model_copy(update={**own, "name": name, "short_name": name})
            for name in ("cogs_green", "cogs_blue")
        }

    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        inner = env.game.map_builder
        if isinstance(inner, MapGenConfig):
            inner.border_width = 1
        shorts = [team.short_name for team in mission.teams.values()]
        env.game.map_builder = MapGenConfig(
            instance=inner,  # type: ignore[arg-type]
            instances=self.num_teams,
            set_team_by_instance=True,
            instance_names=shorts,
            instance_object_remap={f"c:{name}": f"{{instance_name}}:{name}" for name in ("hub", *GEAR)},
            border_width=0,
            instance_border_width=0,
            instance_border_clear_radius=3,
        )


class ForcedRoleVibesVariant(CoGameMissionVariant):
    """Each cog of a team has a role in turn, which its first vibe shows."""

    name: str = "forced_role_vibes"
    description: str = ours.VARIANTS["forced_role_vibes"][0]
    role_order: list[str] = list(ROLES)
    role_id_item: Literal["role_id"] = ROLE
    disable_change_vibe: bool = True
    per_collective: bool = True

    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        wrong = [role for role in self.role_order if role not in ROLES]
        if wrong or not self.role_order:
            raise ValueError(f"role_order={self.role_order}: roles are {', '.join(ROLES)}")
        game = env.game
        seen: dict[str | None, int] = {}
        for agent in game.agents:
            index = seen[agent.collective] = seen.get(agent.collective, -1) + 1
            role = self.role_order[index % len(self.role_order)]
            agent.vibe = VIBES.index(role)
            agent.inventory.initial[ROLE] = ROLES.index(role)
        game.resource_names = [*game.resource_names, ROLE]
        game.obs.global_obs.obs = [*game.obs.global_obs.obs, InventoryValue(item=ROLE)]
        if self.disable_change_vibe:
            game.actions.change_vibe.enabled = False


class DifficultyLevel(CoGameMissionVariant):
    """Of what its fields say only `max_steps_override` acts, as in the original."""

    max_steps_override: int | None = None

    def modify_mission(self, mission: CvCMission) -> None:
        if self.max_steps_override is not None:
            mission.max_steps = self.max_steps_override


class CogsGuardDifficulty(CoGameMissionVariant):
    """When the clips stop, or that they do not come."""

    disable_clips: bool = False
    scramble_end: int | None = None
    align_end: int | None = None
    presence_end: int | None = None

    def modify_mission(self, mission: CvCMission) -> None:
        clips = mission.clips
        clips.disabled = self.disable_clips
        if not self.disable_clips:
            clips.scramble_end, clips.align_end = self.scramble_end, self.align_end
            clips.presence_end = self.presence_end


def _difficulty(name: str, **fields: Any) -> CogsGuardDifficulty:
    return CogsGuardDifficulty(name=name, description=ours.VARIANTS[name][0], **fields)


EASY = _difficulty("easy", disable_clips=True)
MEDIUM = _difficulty("medium", scramble_end=300, align_end=300, presence_end=300)
HARD = _difficulty("hard")
COGSGUARD_DIFFICULTIES = (EASY, MEDIUM, HARD)


def get_cogsguard_difficulty(name: str) -> CogsGuardDifficulty:
    """Raises ValueError for one that there is not."""
    for difficulty in COGSGUARD_DIFFICULTIES:
        if difficulty.name == name:
            return difficulty
    available = ", ".join(one.name for one in COGSGUARD_DIFFICULTIES)
    raise ValueError(f"Unknown difficulty '{name}'. Available difficulties: {available}")


# Rewards.


def _add_rewards(env: MettaGridConfig, presets: Sequence[str]) -> None:
    """Change the rewards of every agent as our presets do."""
    steps, seen = env.game.max_steps or 1, dict[str | None, int]()
    roles = [ROLES[agent.inventory.initial[ROLE]] for agent in env.game.agents if ROLE in agent.inventory.initial]
    mission = Mission(max_steps=steps, rewards=list(presets), roles=roles[:16])  # type: ignore[arg-type]
    for agent in env.game.agents:
        index = seen[agent.collective] = seen.get(agent.collective, -1) + 1
        added = {key: reward_of(entry) for key, entry in reward_entries(mission, index).items() if key != OBJECTIVE}
        kept = {key: one for key, one in agent.rewards.items() if key != OBJECTIVE or "no_objective" not in presets}
        agent.rewards = {**kept, **added}
        agent.log_sum_stats = diversity_of(agent.rewards)


class _Rewards(CoGameMissionVariant):
    """Adds the rewards of a role."""

    def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
        _add_rewards(env, [self.name.removesuffix("_rewards")])


AlignerRewardsVariant = _variant(_Rewards, "AlignerRewardsVariant", "aligner_rewards")
MinerRewardsVariant = _variant(_Rewards, "MinerRewardsVariant", "miner_rewards")
ScramblerRewardsVariant = _variant(_Rewards, "ScramblerRewardsVariant", "scrambler_rewards")
ScoutRewardsVariant = _variant(_Rewards, "ScoutRewardsVariant", "scout_rewards")


def apply_reward_variants(env: MettaGridConfig, *, variants: str | Sequence[str] | None = None) -> None:
    """Add presets to the rewards of a tree: a name, a JSON list of names, or names.

    Raises ValueError for one that there is not.
    """
    names = _names(variants)
    for name in names:
        if name not in PRESETS:
            raise ValueError(
                f"unknown reward variant '{name}'{suggest(name, PRESETS)}; there are: {', '.join(PRESETS)}"
            )
    chosen = [name for name in PRESETS if name in names and name != "objective"]
    if chosen:
        _add_rewards(env, chosen)
        env.label += "".join(f".{name}" for name in chosen)


def _names(variants: str | Iterable[str] | None) -> list[str]:
    if not isinstance(variants, str):
        return list(variants or [])
    try:
        return list(json.loads(variants)) if variants.startswith("[") else [variants]
    except json.JSONDecodeError:
        return [variants]


KINDS: tuple[Any, ...] = (
    BraveheartVariant, CavesVariant, CityVariant, DarkSideVariant, NoWeatherVariant, NoClipsVariant, NoVibesVariant,
    ThickSkinnedVariant, DesertVariant, EmptyBaseVariant, RandomizeSpawnsVariant, EnergizedVariant, ForestVariant,
    MultiTeamVariant, QuadrantBuildingsVariant, SingleResourceUniformVariant, Small50Variant, SuperChargedVariant,
    ForcedRoleVibesVariant,
)  # fmt: skip
LEVELS = ("standard", "hard", "single_use", "speed_run", "energy_crisis")
DIFFICULTY_VARIANTS = [
    DifficultyLevel(name=name, max_steps_override=600 if name == "speed_run" else None) for name in LEVELS
]
VARIANTS: list[CoGameMissionVariant] = [*(kind() for kind in KINDS), *DIFFICULTY_VARIANTS]
HIDDEN_VARIANTS: list[CoGameMissionVariant] = [
    kind() for kind in (ClipsEasyVariant, ClipsMediumVariant, ClipsHardVariant, ClipsWaveOnlyVariant)
]
