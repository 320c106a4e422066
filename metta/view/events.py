"""What happens in a match, told from one step to the next."""

from dataclasses import dataclass

import numpy as np

from metta.game.resources import CLIPS, GEAR
from metta.view.match import Match
from metta.view.scene import NEUTRAL, Thing, stock_of, teams_of, things_of

BY_AGENT = ("junction.aligned_by_agent", "c:junction.aligned_by_agent")
FREED_BY_AGENT = ("junction.scrambled_by_agent", "c:junction.scrambled_by_agent")


@dataclass(frozen=True)
class Event:
    """Something worth telling; `owner` is the team or the clips that did it."""

    step: int
    text: str
    owner: str


class Watcher:
    """Tells what the steps of a match did: call `look` after each of them."""

    def __init__(self, match: Match) -> None:
        self._match, self._teams = match, teams_of(match)
        self._things, self._counts = things_of(match), match.batch.statistics(0).agent
        self._hearts = self._hub_hearts()

    def look(self) -> list[Event]:
        """Events since the last call."""
        before, self._counts = self._counts, self._match.batch.statistics(0).agent
        self._gains = {name: values - before.get(name, 0) for name, values in self._counts.items()}
        old, self._things = self._things, things_of(self._match)
        old_hearts, self._hearts = self._hearts, self._hub_hearts()
        return [*self._junctions(old), *self._made_hearts(old_hearts), *self._gear(), *self._deaths()]

    def _event(self, text: str, owner: str) -> Event:
        return Event(self._match.step, text, owner)

    def _hub_hearts(self) -> dict[str, int]:
        return {team: stock["heart"] for team, stock in stock_of(self._match, self._things).items()}

    def _who(self, *statistics: str) -> list[int]:
        """Cogs for whom one of the statistics grew in this step."""
        return [int(cog) for cog in np.flatnonzero(sum(self._gains.get(name, 0) > 0 for name in statistics))]

    def _junctions(self, old: list[Thing]) -> list[Event]:
        owners = {(thing.row, thing.col): thing.owner for thing in old if thing.kind == "junction"}
        changed = [t for t in self._things if t.kind == "junction" and t.owner != owners[t.row, t.col]]
        return [self._junction(thing, owners[thing.row, thing.col]) for thing in changed]

    def _junction(self, junction: Thing, old: str) -> Event:
        where = f"junction {junction.row},{junction.col}"
        doers = self._beside(junction, self._who(*(FREED_BY_AGENT if junction.owner == NEUTRAL else BY_AGENT)))
        if doers and junction.owner == NEUTRAL:
            return self._event(f"cog {doers[0]} scrambles {where} of {old}", self._teams[doers[0]])
        if doers:
            return self._event(f"cog {doers[0]} aligns {where}", junction.owner)
        if junction.owner == NEUTRAL:
            return self._event(f"clips free {where} of {old}", CLIPS)
        return self._event(f"clips take {where}", CLIPS)

    def _beside(self, junction: Thing, cogs: list[int]) -> list[int]:
        places = self._match.batch.positions()[0]
        distance = np.abs(places - (junction.row, junction.col)).sum(1)
        return [cog for cog in cogs if distance[cog] == 1]

    def _made_hearts(self, old: dict[str, int]) -> list[Event]:
        """Hearts come from the hub alone: what cogs got and the hub did not lose was made."""
        events = []
        for team, hearts in self._hearts.items():
            got = [cog for cog in self._who("heart.gained") if self._teams[cog] == team]
            made = sum(int(self._gains["heart.gained"][cog]) for cog in got) + hearts - old[team]
            if made > 0:
                who = f"cog {got[0]}" if len(got) == 1 else f"team {team}"
                events.append(self._event(f"{who} makes {'a heart' if made == 1 else f'{made} hearts'}", team))
        return events

    def _gear(self) -> list[Event]:
        worn = [(cog, gear) for gear in GEAR for cog in self._who(f"{gear}.gained")]
        return [self._event(f"cog {cog} puts on {gear} gear", self._teams[cog]) for cog, gear in worn]

    def _deaths(self) -> list[Event]:
        return [self._event(f"cog {cog} dies: gear and hearts are lost", CLIPS) for cog in self._who("death")]
