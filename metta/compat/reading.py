"""The mission that a tree of `mettagrid` describes, edits of any hand included.

Values are read where `metta.compat.writing` puts them. Then the mission is written again: where the two trees differ,
the engine cannot play what somebody has edited, and the place is named.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from metta.common.errors import suggest
from metta.common.settings import short_repr, validated
from metta.compat.config import AgentConfig, EventConfig, GameConfig, MettaGridConfig, StatValue
from metta.compat.errors import NotPlayableError, UnknownResourceError, as_value_errors
from metta.compat.maps import map_settings
from metta.compat.window import Window, usual
from metta.compat.writing import OURS, tree_of
from metta.game.mission import Mission
from metta.game.resources import CLIPS, ELEMENTS, GEAR, ROLE, ROLES
from metta.game.rewards import ROLE_ENTRIES

Data = dict[str, Any]
SHOWN = ("render_name", "render_symbol", "pydantic_type", "log_sum_stats")  # what no rule reads
UNREAD = ("map_builder", "params", "agent", "agents", "reward_estimates", "tags", "num_agents", "max_steps")
WEALTHIEST = 1000


def mission_of(config: MettaGridConfig) -> Mission:
    """Raises NotPlayableError that names the first thing of the tree which this engine cannot play.

    The window is not part of it: `metta.compat.window` shows what of the engine's an agent sees.
    """
    game = config.game
    Window(game)
    if game.num_agents > len(game.agents):
        raise NotPlayableError(f"game.num_agents={game.num_agents}: game.agents has only {len(game.agents)}")
    _check_resources(game)
    if game.max_steps == 0:
        raise NotPlayableError("game.max_steps=0: this engine has no endless episodes")
    with as_value_errors(), _complete():
        mission = validated(Mission, _read(config), "game")
    played = tree_of(mission, game.map_builder)
    for path, theirs, ours in _differences(_rules(config), _rules(played), "game"):
        raise NotPlayableError(f"{path}={short_repr(theirs)}: this engine cannot play that, only {short_repr(ours)}")
    return mission


def _check_resources(game: GameConfig) -> None:
    """Raises UnknownResourceError for an amount or a limit of what is no resource of the game."""
    owners = {
        **{f"agents.{index}": agent.inventory for index, agent in enumerate(game.agents)},
        **{f"objects.{name}": one.inventory for name, one in game.objects.items()},
        **{f"collectives.{name}": one.inventory for name, one in game.collectives.items()},
    }
    named: list[tuple[str, Iterable[str]]] = [("actions.move.consumed_resources", game.actions.move.consumed_resources)]
    for owner, inventory in owners.items():
        named.append((f"{owner}.inventory.initial", inventory.initial))
        for key, limit in inventory.limits.items():
            named.append((f"{owner}.inventory.limits.{key}", [*limit.resources, *limit.modifiers]))
    for path, names in named:
        for name in names:
            if name not in game.resource_names:
                raise UnknownResourceError(f"game.{path}: no resource {name}{suggest(name, game.resource_names)}")


@contextmanager
def _complete() -> Iterator[None]:
    """What somebody has taken away is missed by name."""
    try:
        yield
    except (KeyError, IndexError, AttributeError, TypeError, StopIteration) as error:
        raise NotPlayableError(f"game: this engine cannot play a game without {error}") from None


def _read(config: MettaGridConfig) -> Data:
    game = config.game
    teams = _teams(game)
    agents = game.agents[: game.num_agents]
    hub = game.objects[f"{next(iter(teams.values()))['short_name']}:hub"]
    shorts = next(iter(teams.values()))["short_name"]
    junction = game.objects["junction"]
    friendly, enemy = (junction.aoes[side] for side in ("influence", "attack"))
    uses = junction.on_use_handlers
    built = max((step for event in game.events.values() for step in event.timesteps), default=game.max_steps)
    return {
        **((game.params or {}).get(OURS) or {}),
        "name": plain_name(config.label),
        "max_steps": game.max_steps,
        "built_steps": None if built == game.max_steps else max(1, built),
        "num_agents": game.num_agents if len(teams) == 1 else None,
        "teams": teams,
        "cog": _cog(game, agents[0]),
        "clips": _clips(game, built),
        "weather": _weather(game, built),
        "cost": {
            "heart": _price(hub.on_use_handlers["make_heart"].mutations[0]),
            **{gear: _price(_change(game, f"{shorts}:{gear}")) for gear in GEAR},
            "align": _price(uses["align"].mutations[0]),
            "scramble": _price(uses["scramble"].mutations[1]),
        },
        "area": {
            "radius": friendly.radius,
            "friendly": friendly.mutations[0]["deltas"],
            "enemy": enemy.mutations[0]["deltas"],
        },
        "extractor": {**((game.params or {}).get(OURS, {}).get("extractor", {})), **_extractor(game)},
        "map": map_settings(game.map_builder).model_dump(),
        "team_element_limit": _limit(game),
        "deposit_amount": uses["deposit"].mutations[0]["resources"][ELEMENTS[0]],
        "change_vibe": game.actions.change_vibe.enabled,
        "roles": [ROLES[agent.inventory.initial[ROLE]] for agent in agents[:16] if ROLE in agent.inventory.initial],
        **_rewards(agents),
    }


def plain_name(label: str) -> str:
    """A label as a mission's name: what no name may hold becomes an underscore."""
    kept = "".join(char if char.isalnum() or char in "_.-" else "_" for char in label)
    return kept[:100] or "game"


def _teams(game: GameConfig) -> Data:
    """Teams in the order of their agents."""
    found: Data = {}
    for name in (name for name in game.collectives if name != CLIPS):
        short = next(key.removesuffix(":hub") for key, one in game.objects.items()
                     if key.endswith(":hub") and one.collective == name)  # fmt: skip
        size = sum(agent.collective == name for agent in game.agents)
        found[name] = {
            "name": name,
            "short_name": short,
            "num_agents": size,
            "initial_hearts": game.objects[f"{short}:hub"].inventory.initial.get("heart", 0),
            **_stock(game.collectives[name].inventory.initial, size),
        }
    return found


def _stock(held: dict[str, int], agents: int) -> Data:
    """What a team of so many agents starts with as wealth, 3 x agents x wealth of each element, or else resource by
    resource."""
    first, stocks = held.get(ELEMENTS[0], 0), dict.fromkeys(ELEMENTS, 0) | held
    wealth = first // max(1, 3 * agents)
    even = stocks == dict.fromkeys(ELEMENTS, 3 * agents * wealth) and wealth <= WEALTHIEST
    return {"wealth": wealth} if even else {"wealth": 0, "stocks": stocks}


def _cog(game: GameConfig, agent: AgentConfig) -> Data:
    limits, initial = agent.inventory.limits, dict(agent.inventory.initial)
    initial.pop(ROLE, None)
    regen = agent.on_tick["regen"].mutations[0]["deltas"]
    return {
        **{f"{name}_limit": limits[name].min for name in ("hp", "energy", "cargo", "influence")},
        **{f"{name}_limit": limits[name].max for name in ("gear", "heart")},
        **{f"{name}_modifiers": limits[name].modifiers for name in limits},
        **{f"initial_{name}": initial.pop(name, 0) for name in ("energy", "hp", "solar")},
        "initial_inventory": initial,
        "hp_regen": regen.get("hp", 0),
        "influence_regen": regen.get("influence", 0),
        "action_cost": game.actions.move.consumed_resources,
    }


def _extractor(game: GameConfig) -> Data:
    found = {element: game.objects[f"{element}_extractor"] for element in ELEMENTS}
    first = found[ELEMENTS[0]].on_use_handlers
    amount, with_gear = (first[use].mutations[0]["resources"][ELEMENTS[0]] for use in ("extract", "miner"))
    stocks = {element: one.inventory.initial.get(element, 0) for element, one in found.items()}
    return {"amount": amount, "miner_amount": with_gear, "stocks": stocks}


def _limit(game: GameConfig) -> int:
    team = next(one for name, one in game.collectives.items() if name != CLIPS)
    return team.inventory.limits["resources"].min


def _change(game: GameConfig, station: str) -> Data:
    return game.objects[station].on_use_handlers["change_gear"].mutations[1]


def _price(paid: Data) -> Data:
    return {name: -amount for name, amount in paid["deltas"].items()}


def _clips(game: GameConfig, built: int) -> Data:
    """The schedule; without its events the clips exist and do nothing."""
    if CLIPS not in game.collectives:
        return {"disabled": True}
    first, scramble, align, presence = (
        game.events.get(name) for name in ("initial_clips", "cogs_to_neutral", "neutral_to_clips", "presence_check")
    )
    never = max(built, game.max_steps) + 1
    said: Data = {
        **_times("scramble", scramble, built, never),
        **_times("align", align, built, never),
        "initial_clips_start": first.timesteps[0] if first and first.timesteps else never,
        "presence_end": None if presence and presence.timesteps else 0,
    }
    if first:
        said |= {"initial_clips_spots": first.max_targets, "initial_neutral_only": bool(first.filters)}
    if presence and len(presence.timesteps) > 1:
        said["scramble_interval"] = (presence.timesteps[1] - presence.timesteps[0]) // 2
    if presence and presence.timesteps and presence.timesteps[-1] + 2 * said["scramble_interval"] <= built:
        said["presence_end"] = presence.timesteps[-1]
    return said


def _times(name: str, event: EventConfig | None, built: int, never: int) -> Data:
    """Start, interval, end and radius of what the clips do again and again."""
    steps = event.timesteps if event else []
    if not event or not steps:
        return {f"{name}_start": never, f"{name}_interval": never, f"{name}_end": 0}
    interval = steps[1] - steps[0] if len(steps) > 1 else never
    end = steps[-1] if steps[-1] + interval <= built else None
    radius = event.filters[0]["radius"]
    return {f"{name}_start": steps[0], f"{name}_interval": interval, f"{name}_end": end, f"{name}_radius": radius}


def _weather(game: GameConfig, built: int) -> Data:
    """What the day adds to the night; without its events nothing."""
    day, night = (game.events.get(name) for name in ("weather_day", "weather_night"))
    if not day or not day.timesteps:
        return {"day_deltas": {}, "night_deltas": {}}
    first, *later = day.timesteps
    nights = night.timesteps if night else []
    half = nights[0] - first if nights else (later[0] - first) // 2 if later else max(built, game.max_steps) + 1
    return {"day_length": 2 * half, "day_deltas": day.mutations[0]["deltas"], "night_deltas": {}}


def _rewards(agents: list[AgentConfig]) -> Data:
    """The agents' rewards as entries of our own; what differs between them must be the preset of their roles."""
    shared = set.intersection(*(set(agent.rewards) for agent in agents))
    same = {key for key in shared if all(agent.rewards[key] == agents[0].rewards[key] for agent in agents)}
    differ = any(set(agent.rewards) != same for agent in agents)
    presets = ["no_objective", "role_conditional"] if differ else ["no_objective"]
    by_role = set().union(*ROLE_ENTRIES.values()) if differ else set()
    entries = {
        key: _entry(f"game.agents[0].rewards.{key}", value)
        for key, value in agents[0].rewards.items()
        if key in same - by_role
    }
    return {"rewards": presets, "reward_entries": entries}


def _entry(path: str, reward: Any) -> Data:
    """Raises NotPlayableError for a reward that is not one statistic times a weight."""
    (value,) = reward.nums if len(reward.nums) == 1 else (None,)
    if not isinstance(value, StatValue) or value.scope == "game" or value.delta or reward.denoms or reward.per_tick:
        raise NotPlayableError(f"{path}: this engine pays for the change of one statistic of the agent or its team")
    stat = f"collective.{value.name}" if value.scope == "collective" else value.name
    return {"stat": stat, "weight": reward.weight, "max": reward.max}


def _rules(config: MettaGridConfig) -> Data:
    """What decides how the game is played, as plain data."""
    game = config.game.model_dump(mode="json")
    agents = [_stripped(agent) for agent in game["agents"][: game["num_agents"]]]
    return {
        **{key: value for key, value in game.items() if key not in UNREAD},
        "obs": usual(config.game.obs).model_dump(mode="json"),
        "agents": dict(enumerate(agents)),
        "objects": {key: _stripped(one) for key, one in game["objects"].items()},
        "collectives": {key: _stripped(one) for key, one in game["collectives"].items()},
        "events": {key: kept for key, one in game["events"].items() if (kept := _event(one, game["max_steps"]))},
    }


def _stripped(one: Data) -> Data:
    """What of an agent, an object or a team is a rule; to start with nothing is to start without."""
    held = one["inventory"]
    initial = {item: amount for item, amount in held["initial"].items() if amount}
    return {**{key: value for key, value in one.items() if key not in SHOWN}, "inventory": {**held, "initial": initial}}


def _event(event: Data, steps: int) -> Data | None:
    """An event with the steps that come; None for one that changes nothing."""
    times = [step for step in event["timesteps"] if step <= steps]
    deltas = [mutation.get("deltas") for mutation in event["mutations"]]
    idle = bool(deltas) and all(one is not None and not any(one.values()) for one in deltas)
    return None if idle or not times else {**event, "timesteps": times}


def _differences(theirs: Any, ours: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Places at which two trees differ, with both values."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from _differences(theirs.get(key), ours.get(key), f"{path}.{key}")
    elif theirs != ours:
        yield path, theirs, ours
