"""Double-entry bookkeeping of one step: what the batch shows before and after must add up (rules 1, 3-6)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metta.game.engine.batch import EnvBatch, Episode
from metta.game.maps import cells
from metta.game.mission import Mission
from metta.game.resources import ELEMENTS, GEAR, RESOURCES
from tests.game.state import AGENT, OBJECT, WALL, occupants

ITEM = {name: index for index, name in enumerate(RESOURCES)}


@dataclass(frozen=True)
class Account:
    """What environment `e` of a batch shows between two steps. `held` is int [A, R], `team` int [R]."""

    held: np.ndarray
    team: np.ndarray  # over all teams
    stock: dict[str, int]  # of extractors and hubs
    sources: int  # owned hubs and junctions
    statistics: Episode

    @classmethod
    def of(cls, batch: EnvBatch, e: int) -> "Account":
        objects = batch.objects(e)
        stock: dict[str, int] = dict.fromkeys((*ELEMENTS, "heart"), 0)
        for thing in objects:
            item = "heart" if thing["type"].endswith(":hub") else thing["type"].removesuffix("_extractor")
            if item in stock:
                stock[item] += thing["stock"]
        team = batch.team_inventory()[e].sum(0)
        sources = sum(thing["owner"] is not None and thing["type"].endswith(("junction", ":hub")) for thing in objects)
        return cls(batch.inventories()[e], team, stock, sources, batch.statistics(e))

    def agents(self, statistic: str) -> np.ndarray:
        return self.statistics.agent[statistic]

    def teams(self, statistic: str) -> float:
        return sum(values.get(statistic, 0.0) for values in self.statistics.collective.values())


def check_elements(mission: Mission, before: Account, after: Account) -> None:
    """Elements come from extractors and go to teams; teams pay whole prices; only limits destroy any."""
    hearts = []
    for element in ELEMENTS:
        mined = before.stock[element] - after.stock[element]
        gained, lost, deposited = (
            _change(before.agents, after.agents, f"{element}.{what}") for what in ("gained", "lost", "deposited")
        )
        assert mined >= 0 and gained.sum() == mined
        assert (after.held[:, ITEM[element]] - before.held[:, ITEM[element]] == gained - lost).all()
        assert (lost >= deposited).all(), "what is lost beyond deposits is what the limits cut"
        cut = lost > deposited
        assert _undressed(before, after)[cut].all(), "limits fall only with the gear that grants them"
        stored, paid = (
            float(_change(before.teams, after.teams, f"{element}.{what}")) for what in ("deposited", "withdrawn")
        )
        assert stored == deposited.sum()
        assert after.team[ITEM[element]] - before.team[ITEM[element]] == stored - paid
        gear = sum(_bought(before, after, name) * getattr(mission.cost, name).get(element, 0) for name in GEAR)
        hearts.append((paid - gear) / mission.cost.heart[element])
    crafted = int(hearts[0])
    assert crafted >= 0 and set(hearts) == {crafted}, "teams pay for gear and hearts only"
    check_hearts(before, after, crafted)


def check_hearts(before: Account, after: Account, crafted: int) -> None:
    """Hearts come from crafting and go with deeds and deaths; a full bag burns what is crafted into it."""
    gained, lost = (_change(before.agents, after.agents, f"heart.{what}") for what in ("gained", "lost"))
    assert (after.held[:, ITEM["heart"]] - before.held[:, ITEM["heart"]] == gained - lost).all()
    made = gained.sum() + after.stock["heart"] - before.stock["heart"]
    assert 0 <= made <= crafted
    kinds = [f"{type_}.{deed}_by_agent" for type_ in ("junction", "c:junction") for deed in ("aligned", "scrambled")]
    deeds = np.sum([_change(before.agents, after.agents, kind) for kind in kinds], axis=0)
    died = _change(before.agents, after.agents, "death") > 0
    assert (lost[~died] == deeds[~died]).all(), "the living lose hearts by deeds only"


def check_bounds(mission: Mission, before: Account, after: Account) -> None:
    """Energy, hp and influence change within what upkeep, areas and actions can do in one step."""
    change = {}
    for name in ("energy", "hp", "influence"):
        gained, lost = (_change(before.agents, after.agents, f"{name}.{what}") for what in ("gained", "lost"))
        change[name] = after.held[:, ITEM[name]] - before.held[:, ITEM[name]]
        assert (change[name] == gained - lost).all()
    own, solar = mission.area.friendly, after.held[:, ITEM["solar"]]
    assert (change["energy"] <= own["energy"] * after.sources + solar).all()
    assert (change["hp"] <= own["hp"] * after.sources).all()
    assert (change["influence"] <= own["influence"] * after.sources).all()
    steady = ~_undressed(before, after) & (before.held[:, ITEM["energy"]] <= mission.cog.energy_limit)
    acted = _change(before.agents, after.agents, "action.move.success")
    spent = _change(before.agents, after.agents, "energy.lost")
    assert (spent == mission.cog.action_cost["energy"] * acted)[steady].all(), "only moves and uses cost energy"
    fed = mission.area.enemy["hp"] * after.sources + mission.cog.hp_regen
    assert (change["hp"] >= fed)[~_undressed(before, after)].all()


def check_limits(mission: Mission, held: np.ndarray) -> None:
    """No group of items exceeds its capacity (rules 1.2)."""
    cog = mission.cog
    add = np.add if not mission.quirks.bonuses_do_not_add else np.maximum
    groups = [
        (("hp",), cog.hp_limit, cog.hp_modifiers, 65535),
        (("energy",), cog.energy_limit, cog.energy_modifiers, 65535),
        (ELEMENTS, cog.cargo_limit, cog.cargo_modifiers, 65535),
        (("influence",), cog.influence_limit, cog.influence_modifiers, 65535),
        (GEAR, 0, {"hp": 100}, cog.gear_limit),
        (("heart",), 0, {"hp": 100}, cog.heart_limit),
    ]
    assert (held >= 0).all() and (held <= 65535).all()
    for items, least, modifiers, most in groups:
        bonus = sum((held[:, ITEM[name]] * amount for name, amount in modifiers.items()), np.zeros(len(held), int))
        assert (held[:, [ITEM[name] for name in items]].sum(1) <= np.minimum(most, add(least, bonus))).all(), items


def check_places(batch: EnvBatch, e: int) -> None:
    """Everybody and everything stands where the cells say, each on a cell of its own."""
    standing = occupants(batch, e)
    places = [tuple(place) for place in batch.positions()[e].tolist()]
    assert len(set(places)) == batch.num_agents
    assert [int(standing[place]) for place in places] == [AGENT + a for a in range(batch.num_agents)]
    things = [(thing["row"], thing["col"]) for thing in batch.objects(e)]
    assert sorted(things) == sorted(map(tuple, np.argwhere(standing == OBJECT).tolist()))
    walls = (batch.map(e) & cells.KIND_MASK) == cells.WALL
    assert ((standing == WALL) == walls).all() and (standing >= AGENT).sum() == batch.num_agents


def _change(before: Callable[[str], Any], after: Callable[[str], Any], statistic: str) -> Any:
    """How much a statistic of the agents (int [A]) or of all teams (a number) has grown."""
    return after(statistic) - before(statistic)


def _bought(before: Account, after: Account, gear: str) -> float:
    return float(_change(before.agents, after.agents, f"{gear}.gained").sum())


def _undressed(before: Account, after: Account) -> np.ndarray:
    """Which agents lost gear, and with it the limits that it grants, bool [A]."""
    return np.any([_change(before.agents, after.agents, f"{gear}.lost") > 0 for gear in GEAR], axis=0)
