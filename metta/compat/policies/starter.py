"""`starter` of `cogames` and its roles: memoryless, walks straight to the nearest thing that its gear is for.

It asks for tags (`aligner_station`, `hub`, `chest`) that the game does not have, as the original does: it only ever
finds junctions and extractors (scripted_policies.md, 7.2).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from metta.compat.environment import PolicyEnvInterface
from metta.compat.observation import Action, AgentObservation
from metta.compat.policy import MultiAgentPolicy, StatefulAgentPolicy, StatefulPolicyImpl
from metta.game.resources import GEAR

ELEMENTS = ("carbon", "oxygen", "germanium", "silicon")
WANDER_DIRECTIONS = ("east", "south", "west", "north")
WANDER_STEPS = 8
Cell = tuple[int, int]
ROLE_POLICIES = "cogames.policy.role_policies"


@dataclass
class StarterCogState:
    """Where an agent without a target wanders."""

    wander_direction_index: int = 0
    wander_steps_remaining: int = WANDER_STEPS


class StarterCogPolicyImpl(StatefulPolicyImpl[StarterCogState]):
    """One agent; with `preferred_gear` it first looks for the station of that gear."""

    def __init__(self, policy_env_info: PolicyEnvInterface, agent_id: int, preferred_gear: str | None = None) -> None:
        self._policy_env_info, self._agent_id, self._preferred_gear = policy_env_info, agent_id, preferred_gear
        self._center = (policy_env_info.obs_height // 2, policy_env_info.obs_width // 2)
        self._gear_station_tags_by_gear = {gear: self._resolve_tag_ids([f"{gear}_station"]) for gear in GEAR}
        self._gear_station_tags = set[int]().union(*self._gear_station_tags_by_gear.values())
        self._extractor_tags = self._resolve_tag_ids([f"{element}_extractor" for element in ELEMENTS])
        self._junction_tags = self._resolve_tag_ids(["junction"])
        self._chest_tags = self._resolve_tag_ids(["chest"])
        self._hub_tags = self._resolve_tag_ids(["hub"])

    def initial_agent_state(self) -> StarterCogState:
        return StarterCogState()

    def step_with_state(self, obs: AgentObservation, state: StarterCogState) -> tuple[Action, StarterCogState]:
        return self._move_toward(state, self._closest_tag_location(obs, self._targets(self._inventory_items(obs))))

    def _targets(self, items: set[str]) -> set[int]:
        """Tags of what an agent with these things looks for."""
        gear = self._current_gear(items)
        if self._preferred_gear is not None and gear != self._preferred_gear:
            return self._gear_station_tags_by_gear.get(self._preferred_gear, set())
        if gear == "aligner" and "heart" in items:
            return self._junction_tags if "influence" in items else self._hub_tags
        if gear == "scrambler" and "heart" in items:
            return self._junction_tags
        if gear in ("aligner", "scrambler"):
            return self._chest_tags
        return {None: self._gear_station_tags, "miner": self._extractor_tags}.get(gear, set())

    def _resolve_tag_ids(self, names: Iterable[str]) -> set[int]:
        wanted = {prefix + name for name in names for prefix in ("", "type:")}
        return {index for index, tag in enumerate(self._policy_env_info.tags) if tag in wanted}

    def _inventory_items(self, obs: AgentObservation) -> set[str]:
        """What the agent in the centre holds."""
        held = (token.feature.name.split(":") for token in obs.tokens if token.location == self._center)
        return {parts[1] for parts in held if parts[0] == "inv" and len(parts) > 1}

    def _current_gear(self, items: set[str]) -> str | None:
        return next((gear for gear in GEAR if gear in items), None)

    def _closest_tag_location(self, obs: AgentObservation, tag_ids: set[int]) -> Cell | None:
        """The nearest cell with one of the tags, in steps; the first seen of several."""
        cells = [
            token.location
            for token in obs.tokens
            if token.value in tag_ids and token.feature.name == "tag" and token.location is not None
        ]
        return min(cells, key=lambda c: abs(c[0] - self._center[0]) + abs(c[1] - self._center[1]), default=None)

    def _move_toward(self, state: StarterCogState, target: Cell | None) -> tuple[Action, StarterCogState]:
        """A step along the longer way, rows first; without a target wander."""
        if target is None:
            return self._wander(state)
        rows, cols = target[0] - self._center[0], target[1] - self._center[1]
        if rows == cols == 0:
            return self._action("noop"), state
        if abs(rows) >= abs(cols):
            return self._action("move_south" if rows > 0 else "move_north"), state
        return self._action("move_east" if cols > 0 else "move_west"), state

    def _wander(self, state: StarterCogState) -> tuple[Action, StarterCogState]:
        if state.wander_steps_remaining <= 0:
            state.wander_direction_index = (state.wander_direction_index + 1) % len(WANDER_DIRECTIONS)
            state.wander_steps_remaining = WANDER_STEPS
        state.wander_steps_remaining -= 1
        return self._action(f"move_{WANDER_DIRECTIONS[state.wander_direction_index]}"), state

    def _action(self, name: str) -> Action:
        return Action(name=name if name in self._policy_env_info.action_names else "noop")


class StarterPolicy(MultiAgentPolicy):
    """Every agent takes what gear it finds."""

    __module__ = "cogames.policy.starter_agent"
    short_names = ["starter"]
    _preferred_gear: str | None = None

    def __init__(self, policy_env_info: PolicyEnvInterface, device: str = "cpu") -> None:
        super().__init__(policy_env_info, device=device)
        self._agent_policies: dict[int, StatefulAgentPolicy[StarterCogState]] = {}

    def agent_policy(self, agent_id: int) -> StatefulAgentPolicy[StarterCogState]:
        if agent_id not in self._agent_policies:
            info = self._policy_env_info
            core = StarterCogPolicyImpl(info, agent_id, self._preferred_gear)
            self._agent_policies[agent_id] = StatefulAgentPolicy(core, info, agent_id=agent_id)
        return self._agent_policies[agent_id]


class MinerRolePolicy(StarterPolicy):
    __module__ = ROLE_POLICIES
    short_names = ["miner"]
    _preferred_gear = "miner"


class ScoutRolePolicy(StarterPolicy):
    __module__ = ROLE_POLICIES
    short_names = ["scout"]
    _preferred_gear = "scout"


class AlignerRolePolicy(StarterPolicy):
    __module__ = ROLE_POLICIES
    short_names = ["aligner"]
    _preferred_gear = "aligner"


class ScramblerRolePolicy(StarterPolicy):
    __module__ = ROLE_POLICIES
    short_names = ["scrambler"]
    _preferred_gear = "scrambler"
