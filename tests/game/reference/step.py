"""One step of the game, phase by phase (rules 2, 3, 5, 7.1)."""

import math

import numpy as np

from metta.game.resources import ELEMENTS
from metta.game.rewards import reward_entries
from tests.game.reference.events import Event, run_events
from tests.game.reference.objects import use
from tests.game.reference.sight import observe
from tests.game.reference.world import Cog, Thing, World

STEPS = {1: (-1, 0), 2: (1, 0), 3: (0, -1), 4: (0, 1)}
FIRST_VIBE = 5


def draw_order(world: World) -> list[Cog]:
    """Fisher-Yates from the inside out."""
    order: list[Cog] = []
    for cog in world.cogs:
        order.append(cog)
        j = world.dice.below(len(order))
        order[-1] = order[j]
        order[j] = cog
    return order


def move(world: World, cog: Cog, action: int) -> bool:
    price = world.mission.cog.action_cost
    if not cog.bag.holds(price):
        return False
    place = cog.place[0] + STEPS[action][0], cog.place[1] + STEPS[action][1]
    if not (0 <= place[0] < world.grid.shape[0] and 0 <= place[1] < world.grid.shape[1]):
        return False
    there = world.at.get(place)
    if there is None:
        del world.at[cog.place]
        world.at[place] = cog
        cog.place = place
    elif isinstance(there, Thing):
        matched, changed = use(world, cog, there)
        if not matched:
            return False
        if not changed and not world.mission.quirks.idle_use_costs_energy:
            return True
    else:
        return False
    for item, amount in price.items():
        cog.bag.update(item, -amount)
    return True


def book(cog: Cog, action: int, success: bool, name: str) -> None:
    """Statistics of an action that was handled (rules 3.4)."""
    cog.success = success
    cog.stats[f"action.{name}.{'success' if success else 'failed'}"] += 1
    if success:
        cog.last_action = action
    else:
        cog.stats["action.failed"] += 1
    cog.still = cog.still + 1 if cog.place == cog.last_place else 0
    cog.last_place = cog.place
    longest = "status.max_steps_without_motion"
    cog.stats[longest] = max(cog.stats[longest], cog.still)


def act(world: World, actions: list[int]) -> None:
    choices = FIRST_VIBE + (7 if world.mission.change_vibe else 0)
    order = draw_order(world)
    for cog in order:
        action = actions[cog.number]
        cog.last_action, cog.success, start = 0, False, cog.place
        if not 0 <= action < choices:
            cog.stats["action.invalid_index"] += 1
        elif action in STEPS:
            book(cog, action, move(world, cog, action), "move")
        else:
            book(cog, 0, True, "noop")
        cog.moved = cog.place != start
    for cog in order:
        action = actions[cog.number]
        if FIRST_VIBE <= action < choices:
            cog.vibe = action - FIRST_VIBE
            book(cog, action, True, "change_vibe")


def upkeep(world: World) -> None:
    settings = world.mission.cog
    for cog in world.cogs:
        if settings.hp_regen:
            cog.bag.update("hp", settings.hp_regen)
        if settings.influence_regen:
            cog.bag.update("influence", settings.influence_regen)
        if cog.bag["solar"]:
            cog.bag.update("energy", cog.bag["solar"])


def areas(world: World) -> None:
    """Modifiers of limits change source by source, enemies first; the rest as one sum (rules 5)."""
    friendly, enemy = world.mission.area.friendly, world.mission.area.enemy
    for cog in world.cogs:
        sources = world.covering(cog.place)
        own = sum(source.owner == cog.team for source in sources)
        other = len(sources) - own
        items = list(dict.fromkeys([*enemy, *friendly]))
        for item in [item for item in items if item in cog.bag.modifiers]:
            for delta in [enemy.get(item, 0)] * other + [friendly.get(item, 0)] * own:
                if delta:
                    cog.bag.update(item, delta)
        for item in [item for item in items if item not in cog.bag.modifiers]:
            total = enemy.get(item, 0) * other + friendly.get(item, 0) * own
            if total:
                cog.bag.update(item, total)


def hold(world: World) -> None:
    for team in world.teams.values():
        for type_, count in team.members.items():
            team.stats[f"aligned.{type_}.held"] += count


def diversity(cog: Cog, what: str) -> np.float32:
    total = np.float32(0)
    for element in ELEMENTS:
        total += np.float32(math.log(1 + cog.stats[f"{element}.{what}"]))
    return total


def statistic(world: World, cog: Cog, name: str) -> float | np.float32:
    """Value of a statistic that a reward reads; `collective.junction` is never written (rules 7.2)."""
    if name.startswith("collective."):
        return world.teams[cog.team].statistics()[name.removeprefix("collective.")]
    if name in ("gain_diversity", "deposit_diversity"):
        return diversity(cog, "gained" if name == "gain_diversity" else "deposited")
    if name.endswith(".amount"):
        return cog.bag[name.removesuffix(".amount")]
    return cog.stats[name]


def reward(world: World, cog: Cog) -> np.float32:
    """Sum of the changes of all entries, in 32 bits."""
    total = np.float32(0)
    for key, entry in reward_entries(world.mission, cog.index).items():
        value = np.float32(entry.weight) * np.float32(statistic(world, cog, entry.stat))
        if entry.max is not None:
            is_floor = entry.max < 0 and not world.mission.quirks.negative_caps_charge_at_once
            value = (max if is_floor else min)(value, np.float32(entry.max))
        total += value - cog.entries.get(key, np.float32(0))
        cog.entries[key] = value
    cog.last_reward = total
    cog.returns += total
    return total


def step(world: World, events: list[tuple[int, Event]], actions: list[int]) -> tuple[bytes, list[np.float32]]:
    """Play one step; returns all observations and the rewards."""
    world.time += 1
    run_events(world, events)
    act(world, actions)
    upkeep(world)
    areas(world)
    hold(world)
    observations = observe(world)
    return observations, [reward(world, cog) for cog in world.cogs]
