"""What happens in a match, told from one step to the next."""

from dataclasses import dataclass

import numpy as np

from metta.game.observation import collectives
from metta.game.resources import CLIPS, GEAR
from metta.view.match import Match
from metta.view.scene import NEUTRAL, Thing, teams_of, things_of

BY_AGENT = ("junction.aligned_by_agent", "c:junction.aligned_by_agent")
FREED_BY_AGENT = ("junction.scrambled_by_agent", "c:junction.scrambled_by_agent")

WATCHED = (*BY_AGENT, *FREED_BY_AGENT, "heart.gained", "death", *(f"{gear}.gained" for gear in GEAR))


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
        self._things = things_of(match)  # at the start, in the order of the engine's object states
        self._junctions = np.array([thing.kind == "junction" for thing in self._things])
        self._hubs = {
            team: np.array([thing.kind == "hub" and thing.owner == team for thing in self._things])
            for team in match.mission.teams
        }
        self._names = (*collectives(match.mission), NEUTRAL)  # by owner id; -1 is the last
        self._states, self._counts = self._look(), match.batch.statistics(0).agent

    def look(self) -> list[Event]:
        """Events since the last call."""
        before, self._counts = self._counts, self._match.batch.statistics(0).agent
        self._gains = {name: self._counts[name] - before[name] for name in WATCHED if name in self._counts}
        old, self._states = self._states, self._look()
        return [*self._changed_junctions(old), *self._hearts(old), *self._gear(), *self._deaths()]

    def _look(self) -> np.ndarray:
        """Owner and stock of the things, int32 [O, 2]."""
        return self._match.batch.object_states()[0, : len(self._things)]

    def _event(self, text: str, owner: str) -> Event:
        return Event(self._match.step, text, owner)

    def _who(self, *statistics: str) -> list[int]:
        """Cogs for whom one of the statistics grew in this step."""
        return [int(cog) for cog in np.flatnonzero(sum(self._gains.get(name, 0) > 0 for name in statistics))]

    def _changed_junctions(self, old: np.ndarray) -> list[Event]:
        changed = np.flatnonzero(self._junctions & (self._states[:, 0] != old[:, 0]))
        return [
            self._junction(self._things[index], self._names[old[index, 0]], self._names[self._states[index, 0]])
            for index in changed
        ]

    def _junction(self, junction: Thing, old: str, new: str) -> Event:
        where = f"junction {junction.row},{junction.col}"
        doers = self._beside(junction, self._who(*(FREED_BY_AGENT if new == NEUTRAL else BY_AGENT)))
        if doers and new == NEUTRAL:
            return self._event(f"cog {doers[0]} scrambles {where} of {old}", self._teams[doers[0]])
        if doers:
            return self._event(f"cog {doers[0]} aligns {where}", new)
        if new == NEUTRAL:
            return self._event(f"clips free {where} of {old}", CLIPS)
        return self._event(f"clips take {where}", CLIPS)

    def _beside(self, junction: Thing, cogs: list[int]) -> list[int]:
        places = self._match.batch.positions()[0]
        distance = np.abs(places - (junction.row, junction.col)).sum(1)
        return [cog for cog in cogs if distance[cog] == 1]

    def _hearts(self, old: np.ndarray) -> list[Event]:
        """Hearts come from the hub alone: what cogs got and the hub did not lose was made; the rest was taken there.

        Who makes a heart alone has it: that is one event.
        """
        events, getting = [], self._who("heart.gained")
        for team, hubs in self._hubs.items():
            stored = int((self._states - old)[hubs, 1].sum())
            got = [cog for cog in getting if self._teams[cog] == team]
            made = sum(int(self._gains["heart.gained"][cog]) for cog in got) + stored
            if made > 0:
                who = f"cog {got[0]}" if len(got) == 1 else f"team {team}"
                events.append(self._event(f"{who} makes {_amount(made)}", team))
            if made <= 0 or len(got) > 1:
                taken = ((cog, int(self._gains["heart.gained"][cog])) for cog in got)
                events += [self._event(f"cog {cog} takes {_amount(count)}", team) for cog, count in taken]
        return events

    def _gear(self) -> list[Event]:
        worn = [(cog, gear) for gear in GEAR for cog in self._who(f"{gear}.gained")]
        return [self._event(f"cog {cog} puts on {gear} gear", self._teams[cog]) for cog, gear in worn]

    def _deaths(self) -> list[Event]:
        return [self._event(f"cog {cog} dies: gear and hearts are lost", CLIPS) for cog in self._who("death")]


def _amount(count: int) -> str:
    return "a heart" if count == 1 else f"{count} hearts"
