"""What using an object does (rules 4)."""

from metta.game.mission import Mission
from metta.game.resources import ELEMENTS, GEAR
from tests.game.reference.world import Cog, Team, Thing, World, clamp


def use(world: World, cog: Cog, thing: Thing) -> tuple[bool, bool]:
    """Run the first handler that fits; returns whether there was one and whether anything changed."""
    team = world.teams[cog.team]

    def state() -> tuple[object, ...]:
        return dict(cog.bag.amounts), dict(team.amounts), thing.stock, thing.owner

    before = state()
    aligned = thing.owner == cog.team
    if thing.kind in GEAR:
        matched = aligned and use_station(world.mission, cog, team, thing.kind)
    elif thing.kind == "hub":
        matched = aligned and use_hub(world.mission, cog, team, thing)
    elif thing.kind == "junction":
        matched = use_junction(world, cog, team, thing)
    elif thing.type == "wall":
        matched = False
    else:
        matched = use_extractor(world, cog, thing)
    return matched, state() != before


def take(cog: Cog, thing: Thing, amount: int) -> None:
    moved = min(amount, thing.stock, cog.bag.room(thing.item))
    if moved > 0:
        thing.stock -= moved
        cog.bag.update(thing.item, moved)


def pay(team: Team, price: dict[str, int]) -> None:
    for item, amount in price.items():
        team.change(item, -amount)


def deposit(mission: Mission, cog: Cog, team: Team) -> None:
    for element in ELEMENTS:
        moved = min(mission.deposit_amount, cog.bag[element], team.room(element))
        if moved > 0:
            cog.bag.update(element, -moved)
            team.change(element, moved)
            cog.stats[f"{element}.deposited"] += moved


def use_extractor(world: World, cog: Cog, thing: Thing) -> bool:
    settings = world.mission.extractor
    take(cog, thing, settings.miner_amount if cog.bag["miner"] else settings.amount)
    if not thing.stock:
        del world.at[thing.place]
        world.things.remove(thing)
    return True


def use_station(mission: Mission, cog: Cog, team: Team, gear: str) -> bool:
    price: dict[str, int] = getattr(mission.cost, gear)
    if cog.bag[gear]:
        return True
    if not team.pays(price):
        return False
    for other in GEAR:
        cog.bag.update(other, -cog.bag[other])
    pay(team, price)
    cog.bag.update(gear, 1)
    return True


def use_hub(mission: Mission, cog: Cog, team: Team, hub: Thing) -> bool:
    price = mission.cost.heart
    can_make = hub.stock >= 1 and team.pays(price)
    if not mission.quirks.full_bag_burns_elements:
        can_make = can_make and cog.bag.room("heart") >= 1
    if any(cog.bag[element] for element in ELEMENTS):
        deposit(mission, cog, team)
    elif hub.stock >= 2:
        take(cog, hub, 1)
    elif can_make:
        pay(team, price)
        cog.bag.update("heart", 1)
    elif hub.stock == 1:
        take(cog, hub, 1)
    elif team.pays(price):
        pay(team, price)
        hub.stock = clamp(hub.stock + 1)
    else:
        return False
    return True


def use_junction(world: World, cog: Cog, team: Team, junction: Thing) -> bool:
    cost, bag = world.mission.cost, cog.bag
    if junction.owner == cog.team:
        deposit(world.mission, cog, team)
        return True
    if junction.owner is None:
        owner, deed, needed, price = cog.team, "aligned", {"aligner": 1, "influence": 1}, cost.align
    else:
        owner, deed, needed, price = None, "scrambled", {"scrambler": 1}, cost.scramble
    if not bag.holds(needed) or not bag.holds(price):
        return False
    for item, amount in price.items():
        bag.update(item, -amount)
    world.set_owner(junction, owner)
    cog.stats[f"{junction.counted}.{deed}_by_agent"] += 1
    return True
