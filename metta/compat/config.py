"""The configuration of a game as `mettagrid` has it: a tree that people edit by hand.

`metta.compat.writing` makes it of a mission, `metta.compat.reading` makes a mission of it. Filters and mutations are
plain dictionaries.
"""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from metta.common.errors import suggest
from metta.compat.map_config import AnyMapBuilder
from metta.compat.observation import Action
from metta.game.mission import MOST
from metta.game.resources import MOVES

if TYPE_CHECKING:
    from metta.compat.id_map import IdMap

Scope = Literal["agent", "collective", "game"]
Plain = dict[str, Any]


class Config(BaseModel):
    """Unknown fields are refused; what is assigned later is not checked until the game is built."""

    model_config = ConfigDict(extra="forbid")

    def override(self, key: str, value: Any) -> Self:
        """Set a field by its dotted path. Raises ValueError for one that there is not."""
        *path, last = key.split(".")
        at: Any = self
        for part in path:
            at = at.get(part) if isinstance(at, dict) else getattr(at, part, None)
            if at is None:
                raise ValueError(f"cannot set {key}: there is no {part}")
        if isinstance(at, dict):
            at[last] = value
        elif last in type(at).model_fields:
            setattr(at, last, value)
        else:
            raise ValueError(f"cannot set {key}: there is no {last}{suggest(last, type(at).model_fields)}")
        return self

    def update(self, updates: dict[str, Any]) -> Self:
        """Set several fields by their dotted paths."""
        for key, value in updates.items():
            self.override(key, value)
        return self


class StatValue(Config):
    """A statistic."""

    name: str
    scope: Scope = "agent"
    delta: bool = False


class InventoryValue(Config):
    """An amount of a resource."""

    item: str
    scope: Scope = "agent"


GameValue = StatValue | InventoryValue


def _scoped(text: str) -> tuple[str, Scope]:
    """`collective.x.y` -> x.y, collective."""
    head, _, rest = text.partition(".")
    if rest and head in ("agent", "collective", "game"):
        return rest, head  # type: ignore[return-value]
    return text, "agent"


def stat(name: str, delta: bool = False) -> StatValue:
    """A statistic by its name, of the agent unless it begins with `collective.` or `game.`."""
    plain, scope = _scoped(name)
    return StatValue(name=plain, scope=scope, delta=delta)


def inv(item: str) -> InventoryValue:
    """An amount by the name of the resource, of the agent unless it begins with `collective.`."""
    plain, scope = _scoped(item)
    return InventoryValue(item=plain, scope=scope)


class AgentReward(Config):
    """`weight` times the change of a value, at most `max` in an episode."""

    nums: list[GameValue] = []
    denoms: list[GameValue] = []
    weight: float = 1.0
    max: float | None = None
    per_tick: bool = False


def reward(
    nums: GameValue | list[GameValue],
    *,
    weight: float = 1.0,
    max: float | None = None,
    denoms: list[GameValue] | None = None,
    per_tick: bool = False,
) -> AgentReward:
    """A reward for one value or several."""
    values = nums if isinstance(nums, list) else [nums]
    return AgentReward(nums=values, denoms=denoms or [], weight=weight, max=max, per_tick=per_tick)


def statReward(name: str, *, scope: Scope = "agent", delta: bool = False, **words: Any) -> AgentReward:  # noqa: N802
    """A reward for one statistic; `words` are those of `reward`."""
    return reward(StatValue(name=name, scope=scope, delta=delta), **words)


class ResourceLimitsConfig(Config):
    """How much of some resources together is held: from `min` with nothing on to `max`, by what is held."""

    min: int = 0
    max: int = MOST
    resources: list[str] = []
    modifiers: dict[str, int] = {}


class InventoryConfig(Config):
    """What is held at the start, and how much can be."""

    default_limit: int = MOST
    limits: dict[str, ResourceLimitsConfig] = {}
    initial: dict[str, int] = {}


class HandlerConfig(Config):
    """What happens where all filters let it."""

    filters: list[Plain] = []
    mutations: list[Plain] = []


class AOEConfig(HandlerConfig):
    """What happens around an object in every step."""

    radius: int = 1
    is_static: bool = True
    effect_self: bool = False
    controls_territory: bool = False
    presence_deltas: dict[str, int] = {}


class GridObjectConfig(Config):
    """One kind of object on the map."""

    pydantic_type: str = "object"
    name: str
    map_name: str = ""
    render_name: str = ""
    render_symbol: str = "❓"
    tags: list[str] = []
    vibe: int = 0
    collective: str | None = None
    aoes: dict[str, AOEConfig] = {}
    inventory: InventoryConfig = InventoryConfig()
    handlers: dict[str, HandlerConfig] = {}
    on_use_handlers: dict[str, HandlerConfig] = {}
    on_tag_remove: dict[str, HandlerConfig] = {}


class AgentConfig(GridObjectConfig):
    """One agent."""

    name: str = "agent"
    map_name: str = "agent"
    render_name: str = "agent"
    team_id: int = 0
    rewards: dict[str, AgentReward] = {}
    freeze_duration: int = 10
    log_sum_stats: list[Plain] = []
    on_tick: dict[str, HandlerConfig] = {}


class CollectiveConfig(Config):
    """What a team owns together."""

    name: str
    inventory: InventoryConfig = InventoryConfig()


class EventConfig(HandlerConfig):
    """What happens at certain steps to some of the objects that a query finds."""

    name: str
    target_query: Plain
    timesteps: list[int] = []
    max_targets: int | None = None
    fallback: str | None = None


class ActionConfig(Config):
    action_handler: str = ""
    enabled: bool = True
    required_resources: dict[str, int] = {}
    consumed_resources: dict[str, int] = {}


class MoveActionConfig(ActionConfig):
    action_handler: str = "move"
    allowed_directions: list[str] = ["north", "south", "west", "east"]


class AttackActionConfig(ActionConfig):
    action_handler: str = "attack"
    enabled: bool = False
    defense_resources: dict[str, int] = {}
    armor_resources: dict[str, int] = {}
    weapon_resources: dict[str, int] = {}
    success: Plain = {"actor_inv_delta": {}, "target_inv_delta": {}, "loot": [], "freeze": 0}
    vibes: list[str] = []
    vibe_bonus: dict[str, int] = {}


class Vibe(Config):
    symbol: str
    name: str
    category: str = "misc"


class ChangeVibeActionConfig(ActionConfig):
    action_handler: str = "change_vibe"
    vibes: list[Vibe] = []


class ActionsConfig(Config):
    noop: ActionConfig = ActionConfig(action_handler="noop")
    move: MoveActionConfig = MoveActionConfig()
    attack: AttackActionConfig = AttackActionConfig()
    change_vibe: ChangeVibeActionConfig = ChangeVibeActionConfig()

    def actions(self) -> list[Action]:
        """All actions by flat id."""
        vibes = self.change_vibe.vibes if self.change_vibe.enabled else []
        return [Action(name) for name in (*MOVES, *(f"change_vibe_{vibe.name}" for vibe in vibes))]


class GlobalObsConfig(Config):
    episode_completion_pct: bool = True
    last_action: bool = True
    last_action_move: bool = True
    last_reward: bool = True
    goal_obs: bool = False
    local_position: bool = True
    obs: list[InventoryValue] = []


class ObsConfig(Config):
    width: int = 11
    height: int = 11
    token_dim: int = 3
    num_tokens: int = 200
    token_value_base: int = 256
    global_obs: GlobalObsConfig = GlobalObsConfig()
    aoe_mask: bool = True


class GameConfig(Config):
    """The rules, the map and the agents."""

    resource_names: list[str]
    vibe_names: list[str]
    num_agents: int = Field(ge=1, le=255)
    max_steps: int = Field(default=10000, ge=0)
    episode_truncates: bool = False
    obs: ObsConfig = ObsConfig()
    agent: AgentConfig = AgentConfig()
    agents: list[AgentConfig]
    actions: ActionsConfig = ActionsConfig()
    objects: dict[str, GridObjectConfig]
    params: Plain | None = None  # what our missions can say and this tree cannot, under "metta"
    collectives: dict[str, CollectiveConfig]
    events: dict[str, EventConfig] = {}
    map_builder: AnyMapBuilder
    tags: list[str] = []
    protocol_details_obs: bool = True
    materialize_queries: list[Plain] = []
    reward_estimates: Plain | None = None

    def id_map(self) -> "IdMap":
        """Ids of features and tags."""
        from metta.compat.id_map import IdMap  # here because that builds the game

        return IdMap(self)


class MettaGridConfig(Config):
    """A game with its label."""

    label: str = ""
    game: GameConfig
    desync_episodes: bool = True
