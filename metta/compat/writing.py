"""A mission of ours as the tree of `mettagrid`: every limit, price, handler and event where people look for it."""

from collections.abc import Iterable
from typing import Any

from metta.compat.config import (
    ActionsConfig,
    AgentConfig,
    AgentReward,
    AOEConfig,
    ChangeVibeActionConfig,
    CollectiveConfig,
    EventConfig,
    GameConfig,
    GlobalObsConfig,
    GridObjectConfig,
    HandlerConfig,
    InventoryConfig,
    InventoryValue,
    MettaGridConfig,
    MoveActionConfig,
    ObsConfig,
    Plain,
    ResourceLimitsConfig,
    StatValue,
    Vibe,
)
from metta.compat.map_config import AnyMapBuilder
from metta.game.mission import Mission, RewardEntry, TeamSettings
from metta.game.observation import SPECIAL_JUNCTION, SPECIAL_TEAM, resources
from metta.game.resources import CLIPS, ELEMENTS, GEAR, RESOURCES, ROLE, ROLES, VIBES
from metta.game.rewards import reward_entries

SYMBOLS: dict[str, str] = dict(zip(VIBES, ("😐", "❤️", "⚙️", "🌀", "🔗", "⛏️", "🔭"), strict=True))
WALL, BOX = "⬛", "📦"
OURS = "metta"  # in `params`: sections of our missions that the tree has no place for
SECTIONS = ("quirks", "extractor", "station")
SAME, OTHER = "same_collective", "different_collective"


def tree_of(mission: Mission, builder: AnyMapBuilder) -> MettaGridConfig:
    """The configuration that `metta.compat.reading.mission_of` makes this mission of."""
    game = GameConfig(
        resource_names=list(resources(mission)),
        vibe_names=list(VIBES),
        num_agents=mission.agents,
        max_steps=mission.max_steps,
        obs=_observation(mission),
        agents=[
            _agent(mission, name, k)
            for (name, team), size in zip(mission.teams.items(), mission.team_sizes, strict=True)
            for k in range(max(size, team.num_agents))
        ],
        actions=ActionsConfig(
            move=MoveActionConfig(consumed_resources=dict(mission.cog.action_cost)),
            change_vibe=ChangeVibeActionConfig(
                vibes=[Vibe(symbol=symbol, name=name) for name, symbol in SYMBOLS.items()], enabled=mission.change_vibe
            ),
        ),
        objects=_objects(mission),
        params=_rest(mission),
        collectives=_collectives(mission),
        events={**_clips(mission), **_weather(mission)},
        map_builder=builder,
    )
    return MettaGridConfig(label=mission.name, game=game)


def _rest(mission: Mission) -> Plain | None:
    usual = Mission()
    rest = {
        name: getattr(mission, name).model_dump() for name in SECTIONS if getattr(mission, name) != getattr(usual, name)
    }
    return {OURS: rest} if rest else None


def _observation(mission: Mission) -> ObsConfig:
    seen = [InventoryValue(item=element, scope="collective") for element in ELEMENTS]
    own = [InventoryValue(item=ROLE)] if mission.roles else []
    return ObsConfig(global_obs=GlobalObsConfig(obs=[*seen, *own]))


def _agent(mission: Mission, team: str, index: int) -> AgentConfig:
    cog = mission.cog
    initial = {
        **cog.initial_inventory, "energy": cog.initial_energy, "hp": cog.initial_hp, "solar": cog.initial_solar,
    }  # fmt: skip
    role = ROLES.index(mission.roles[index % len(mission.roles)]) if mission.roles else None
    rewards = {key: reward_of(entry) for key, entry in reward_entries(mission, index).items()}
    return AgentConfig(
        tags=[f"collective:{team}"],
        collective=team,
        vibe=0 if role is None else VIBES.index(ROLES[role]),
        inventory=InventoryConfig(
            limits={
                "hp": _from(cog.hp_limit, ["hp"], cog.hp_modifiers),
                "gear": _up_to(cog.gear_limit, list(GEAR), cog.gear_modifiers),
                "heart": _up_to(cog.heart_limit, ["heart"], cog.heart_modifiers),
                "energy": _from(cog.energy_limit, ["energy"], cog.energy_modifiers),
                "cargo": _from(cog.cargo_limit, list(ELEMENTS), cog.cargo_modifiers),
                "influence": _from(cog.influence_limit, ["influence"], cog.influence_modifiers),
            },
            initial=initial if role is None else {**initial, ROLE: role},
        ),
        rewards=rewards,
        log_sum_stats=diversity_of(rewards),
        on_tick={
            "regen": HandlerConfig(mutations=[_delta("actor", {"hp": cog.hp_regen, "influence": cog.influence_regen})]),
            "solar_to_energy": HandlerConfig(
                mutations=[
                    {
                        "mutation_type": "set_game_value", "target": "actor", "delta": 0.0,
                        "value": {"item": "energy", "scope": "agent"}, "source": {"item": "solar", "scope": "agent"},
                    }
                ]
            ),
        },
    )  # fmt: skip


def _from(least: int, names: list[str], modifiers: dict[str, int]) -> ResourceLimitsConfig:
    return ResourceLimitsConfig(min=least, resources=names, modifiers=dict(modifiers))


def _up_to(most: int, names: list[str], modifiers: dict[str, int]) -> ResourceLimitsConfig:
    return ResourceLimitsConfig(max=most, resources=names, modifiers=dict(modifiers))


def reward_of(entry: RewardEntry) -> AgentReward:
    """A reward entry of ours as theirs."""
    head, _, rest = entry.stat.partition(".")
    value = StatValue(name=rest, scope="collective") if head == "collective" else StatValue(name=entry.stat)
    return AgentReward(nums=[value], weight=entry.weight, max=entry.max)


def diversity_of(rewards: dict[str, AgentReward]) -> list[Plain]:
    """The statistics that are sums of logarithms, where a reward is for one of them."""
    wanted = {value.name for one in rewards.values() for value in one.nums if isinstance(value, StatValue)}
    stats = {"gain_diversity": ".gained", "deposit_diversity": ".deposited"}
    elements = ["carbon", "oxygen", "germanium", "silicon"]
    if not wanted & set(stats):
        return []
    return [{"stat_name": name, "stat_suffix": suffix, "resources": elements} for name, suffix in stats.items()]


def _collectives(mission: Mission) -> dict[str, CollectiveConfig]:
    limit = ResourceLimitsConfig(min=mission.team_element_limit, resources=list(ELEMENTS))
    found = {
        name: CollectiveConfig(
            name=name,
            inventory=InventoryConfig(
                limits={"resources": limit.model_copy(deep=True)},
                initial={item: team.stock_of(item) for item in RESOURCES if item in ELEMENTS or team.stock_of(item)},
            ),
        )
        for name, team in mission.teams.items()
    }
    return found if mission.clips.disabled else {**found, CLIPS: CollectiveConfig(name=CLIPS)}


# Objects, with what happens when they are used.


def _objects(mission: Mission) -> dict[str, GridObjectConfig]:
    found = {
        "wall": GridObjectConfig(pydantic_type="wall", name="wall", map_name="wall", render_name="wall",
                                 render_symbol=WALL),
        "junction": _object("junction", "junction", aoes=_areas(mission), uses=_junction(mission)),
        SPECIAL_JUNCTION: _object(
            SPECIAL_JUNCTION, "junction", team=SPECIAL_TEAM, tags=["type:junction"], aoes=_areas(mission),
            uses=_junction(mission),
        ),
        **{f"{element}_extractor": _extractor(mission, element) for element in ELEMENTS},
    }  # fmt: skip
    teams = mission.teams.items()
    hubs = {f"{team.short_name}:hub": _hub(mission, name, team) for name, team in teams}
    stations = {
        f"{team.short_name}:{gear}": _station(mission, name, team, gear) for name, team in teams for gear in GEAR
    }
    return {**found, **hubs, **stations}


def _object(
    name: str,
    shown: str,
    *,
    team: str | None = None,
    tags: Iterable[str] = (),
    symbol: str = BOX,
    initial: dict[str, int] | None = None,
    aoes: dict[str, AOEConfig] | None = None,
    uses: dict[str, HandlerConfig] | None = None,
) -> GridObjectConfig:
    return GridObjectConfig(
        name=name,
        map_name=name,
        render_name=shown,
        render_symbol=symbol,
        tags=[f"collective:{team}", *tags] if team else list(tags),
        collective=team,
        aoes=aoes or {},
        inventory=InventoryConfig(initial=initial or {}),
        on_use_handlers=uses or {},
    )


def _areas(mission: Mission) -> dict[str, AOEConfig]:
    sides = {"influence": (SAME, mission.area.friendly), "attack": (OTHER, mission.area.enemy)}
    return {
        name: AOEConfig(filters=[_aligned(who)], mutations=[_delta("target", dict(deltas))], radius=mission.area.radius)
        for name, (who, deltas) in sides.items()
    }


def _junction(mission: Mission) -> dict[str, HandlerConfig]:
    cost = mission.cost
    return {
        "deposit": HandlerConfig(filters=[_aligned(SAME)], mutations=[_deposit(mission)]),
        "align": HandlerConfig(
            filters=[_aligned("unaligned"), _holds("actor", {"aligner": 1, "influence": 1, **cost.align})],
            mutations=[_paid(cost.align, "actor"), _align("actor_collective")],
        ),
        "scramble": HandlerConfig(
            filters=[_aligned(OTHER), _holds("actor", {"scrambler": 1, **cost.scramble})],
            mutations=[_align("none"), _paid(cost.scramble, "actor")],
        ),
    }


def _extractor(mission: Mission, element: str) -> GridObjectConfig:
    extractor, name = mission.extractor, f"{element}_extractor"
    uses = {
        "miner": HandlerConfig(
            filters=[_holds("actor", {"miner": 1})],
            mutations=[_moved("target", "actor", {element: extractor.miner_amount}, last=True)],
        ),
        "extract": HandlerConfig(mutations=[_moved("target", "actor", {element: extractor.amount}, last=True)]),
    }
    return _object(name, name, initial={element: extractor.stock_of(element)}, uses=uses)


def _hub(mission: Mission, name: str, team: TeamSettings) -> GridObjectConfig:
    price, own = mission.cost.heart, _aligned(SAME)
    any_element = {"filter_type": "or", "inner": [_holds("actor", {element: 1}) for element in ELEMENTS]}
    take = _moved("target", "actor", {"heart": 1})
    pay, rich = _paid(price, "target_collective"), _holds("target_collective", price)
    uses = {
        "deposit": HandlerConfig(filters=[own, any_element], mutations=[_deposit(mission)]),
        "get_heart": HandlerConfig(filters=[own, _holds("target", {"heart": 2})], mutations=[take]),
        "get_and_make_heart": HandlerConfig(
            filters=[own, _holds("target", {"heart": 1}), rich], mutations=[pay, _delta("actor", {"heart": 1})]
        ),
        "get_last_heart": HandlerConfig(filters=[own, _holds("target", {"heart": 1})], mutations=[take]),
        "make_heart": HandlerConfig(filters=[own, rich], mutations=[pay, _delta("target", {"heart": 1})]),
    }
    hearts = {"heart": team.hub_hearts}
    return _object(f"{team.short_name}:hub", "hub", team=name, initial=hearts, aoes=_areas(mission), uses=uses)


def _station(mission: Mission, name: str, team: TeamSettings, gear: str) -> GridObjectConfig:
    price: dict[str, int] = getattr(mission.cost, gear)
    uses = {
        "keep_gear": HandlerConfig(filters=[_aligned(SAME), _holds("actor", {gear: 1})]),
        "change_gear": HandlerConfig(
            filters=[_aligned(SAME), _holds("actor_collective", price)],
            mutations=[
                {"mutation_type": "clear_inventory", "target": "actor", "limit_name": "gear"},
                _paid(price, "target_collective"),
                _delta("actor", {gear: 1}),
            ],
        ),
    }
    return _object(f"{team.short_name}:{gear}", f"{gear}_station", team=name, symbol=SYMBOLS[gear], uses=uses)


def _aligned(how: str, collective: str | None = None) -> Plain:
    return {"target": "target", "filter_type": "alignment", "alignment": how, "collective": collective}


def _holds(who: str, amounts: dict[str, int]) -> Plain:
    return {"target": who, "filter_type": "resource", "resources": dict(amounts)}


def _delta(who: str, deltas: dict[str, int]) -> Plain:
    return {"mutation_type": "resource_delta", "target": who, "deltas": deltas}


def _paid(price: dict[str, int], who: str) -> Plain:
    return _delta(who, {name: -amount for name, amount in price.items()})


def _align(whom: str, collective: str | None = None) -> Plain:
    return {"mutation_type": "alignment", "target": "target", "align_to": whom, "collective": collective}


def _moved(giver: str, taker: str, amounts: dict[str, int], last: bool = False) -> Plain:
    return {
        "mutation_type": "resource_transfer", "from_target": giver, "to_target": taker, "resources": amounts,
        "remove_source_when_empty": last,
    }  # fmt: skip


def _deposit(mission: Mission) -> Plain:
    return _moved("actor", "actor_collective", dict.fromkeys(ELEMENTS, mission.deposit_amount))


# Events. Times end with the steps that the mission was made for.


def _query(source: str, *filters: Plain) -> Plain:
    return {"query_type": "query", "source": source, "filters": list(filters), "max_items": None, "order_by": None}


def _clips(mission: Mission) -> dict[str, EventConfig]:
    clips, steps = mission.clips, mission.built_steps or mission.max_steps
    if clips.disabled:
        return {}
    junctions = _query("type:junction")
    near = _query("type:junction", {"target": "target", "filter_type": "tag", "tag": f"collective:{CLIPS}"})

    def within(radius: int) -> Plain:
        return {"target": "target", "filter_type": "max_distance", "query": near, "radius": radius}

    def event(name: str, times: list[int], filters: list[Plain], mutations: list[Plain], **more: Any) -> EventConfig:
        return EventConfig(
            name=name, target_query=junctions, timesteps=times, filters=filters, mutations=mutations,
            **{"max_targets": 1, **more},
        )  # fmt: skip

    def times(start: int, interval: int, end: int | None) -> list[int]:
        return list(range(start, (steps if end is None else min(end, steps)) + 1, interval))

    take, free = _align("actor_collective", CLIPS), _align("none")
    not_theirs = {"filter_type": "not", "inner": _aligned(SAME, CLIPS)}
    first = [_aligned("unaligned")] if clips.initial_neutral_only else []
    events = [
        event("initial_clips", [clips.initial_clips_start], first, [take], max_targets=clips.initial_clips_spots),
        event(
            "cogs_to_neutral",
            times(clips.scramble_start, clips.scramble_interval, clips.scramble_end),
            [within(clips.scramble_radius), not_theirs, _aligned("aligned")],
            [free],
        ),
        event(
            "neutral_to_clips",
            times(clips.align_start, clips.align_interval, clips.align_end),
            [within(clips.align_radius), _aligned("unaligned")],
            [take],
        ),
        event(
            "presence_check",
            times(clips.initial_clips_start, 2 * clips.scramble_interval, clips.presence_end),
            [within(1000)],
            [],
            fallback="initial_clips",
        ),
    ]
    return {one.name: one for one in events}


def _weather(mission: Mission) -> dict[str, EventConfig]:
    weather, steps = mission.weather, mission.built_steps or mission.max_steps
    day, night = weather.day_deltas, weather.night_deltas
    change = {name: day.get(name, 0) - night.get(name, 0) for name in {**day, **night}}
    halves = {"weather_day": (0, 1), "weather_night": (weather.day_length // 2, -1)}
    return {
        name: EventConfig(
            name=name,
            target_query=_query(f"type:{weather.target_tag}"),
            timesteps=list(range(start, steps + 1, weather.day_length)),
            mutations=[_delta("target", {resource: sign * amount for resource, amount in change.items()})],
        )
        for name, (start, sign) in halves.items()
    }
