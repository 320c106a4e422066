"""What is told of a match agrees with the engine's own counts."""

import re

import pytest

from metta.game.resources import CLIPS, GEAR
from metta.view.events import Event, Watcher
from metta.view.match import Match
from metta.view.scene import scene_of
from tests.view.conftest import Start

Told = tuple[Match, list[Event]]


@pytest.fixture(scope="module")
def told(start: Start) -> Told:
    match = start("cogsguard", steps=600)
    watcher, events = Watcher(match), []
    while not match.ended:
        match.advance()
        events += watcher.look()
    return match, events


def count(told: Told, pattern: str) -> int:
    return sum(bool(re.search(pattern, event.text)) for event in told[1])


def total(told: Told, *statistics: str) -> int:
    agents = told[0].batch.statistics(0).agent
    return int(sum(agents[name].sum() for name in statistics if name in agents))


def test_every_junction_that_cogs_align_or_scramble_is_told(told: Told):
    assert count(told, r"^cog \d aligns") == total(told, "junction.aligned_by_agent", "c:junction.aligned_by_agent") > 9
    scrambled = total(told, "junction.scrambled_by_agent", "c:junction.scrambled_by_agent")
    assert count(told, r"^cog \d scrambles .* of clips$") == scrambled > 0


def test_what_the_clips_hold_is_what_they_took_less_what_was_scrambled(told: Told):
    taken = count(told, "^clips take") - count(told, "of clips$")
    assert scene_of(told[0]).junctions[CLIPS] == taken


def test_gear_and_deaths_are_told_once_each(told: Told):
    for gear in GEAR:
        assert count(told, f"puts on {gear} gear") == total(told, f"{gear}.gained")
    assert count(told, "dies") == total(told, "death")


def hearts(events: list[Event], deed: str) -> int:
    numbers = [re.search(rf"{deed} (a|\d+) hearts?$", event.text) for event in events]
    return sum(1 if found[1] == "a" else int(found[1]) for found in numbers if found)


def test_every_heart_that_a_cog_gets_is_told(told: Told):
    match, events = told
    gained = match.batch.statistics(0).agent["heart.gained"]
    for cog in range(match.batch.num_agents):
        own = [event for event in events if event.text.startswith(f"cog {cog} ")]
        assert (hearts(own, "takes") + hearts(own, "makes") > 0) == (gained[cog] > 0)
        assert hearts(own, "takes") <= gained[cog]
    assert hearts(events, "takes") > 0


def test_hearts_made_and_those_of_the_start_are_those_taken_and_those_left(told: Told):
    match, events = told
    made = hearts(events, "makes")
    at_first, left = match.mission.teams["cogs"].hub_hearts, scene_of(match).stock["cogs"]["heart"]
    assert at_first + made == total(told, "heart.gained") + left and made > 0
