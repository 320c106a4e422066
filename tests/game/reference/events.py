"""What happens by itself at fixed steps: clips and weather (rules 6)."""

from collections.abc import Callable

from metta.game.mission import Mission
from metta.game.resources import CLIPS, RESOURCES
from tests.game.reference.world import Thing, World, apart

Event = Callable[[World], None]
Filter = Callable[[Thing], bool]
Effect = Callable[[Thing], None]


def near_clips(world: World, thing: Thing, radius: int | None) -> bool:
    """The filter is inert unless the mission says that clips mind distance."""
    if radius is None or world.mission.quirks.clips_ignore_distance:
        return True
    held = [other for other in world.things if other.kind == "junction" and other.owner == CLIPS]
    return any(apart(other.place, thing.place) <= radius**2 for other in held)


def strike(world: World, passes: Filter, effect: Effect, count: int, radius: int | None) -> int:
    """Act on `count` junctions drawn among those that pass; returns how many passed."""
    found = [t for t in world.things if t.kind == "junction" and passes(t) and near_clips(world, t, radius)]
    wanted = min(count, len(found))
    for left, thing in zip(range(len(found), 0, -1), found, strict=True):
        if wanted and world.dice.below(left) < wanted:
            effect(thing)
            wanted -= 1
        if not wanted:
            break
    return len(found)


def take(world: World) -> Effect:
    return lambda thing: world.set_owner(thing, CLIPS)


def scramble(world: World) -> None:
    radius = world.mission.clips.scramble_radius
    strike(world, lambda t: t.owner not in (None, CLIPS), lambda t: world.set_owner(t, None), 1, radius)


def take_first(world: World) -> None:
    clips = world.mission.clips
    strike(world, lambda t: not (clips.initial_neutral_only and t.owner), take(world), clips.initial_clips_spots, None)


def take_neutral(world: World) -> None:
    strike(world, lambda t: t.owner is None, take(world), 1, world.mission.clips.align_radius)


def check_presence(world: World) -> None:
    """Draws a junction and does nothing to it."""
    if not strike(world, lambda t: True, lambda t: None, 1, 1000):
        take_first(world)


def shine(item: str, amount: int) -> Event:
    def event(world: World) -> None:
        for cog in world.cogs:
            cog.bag.update(item, amount)

    return event


def weather(mission: Mission, last: int) -> list[tuple[range, Event]]:
    settings, events = mission.weather, []
    length = settings.day_length
    for item in sorted({*settings.day_deltas, *settings.night_deltas}, key=RESOURCES.index):
        day, night = settings.day_deltas.get(item, 0), settings.night_deltas.get(item, 0)
        first = day - night
        if not mission.quirks.weather_adds_difference:
            first = day - (mission.cog.initial_solar if item == "solar" else 0)
        events.append((range(0, 1), shine(item, first)))
        events.append((range(length, last + 1, length), shine(item, day - night)))
        events.append((range(length // 2, last + 1, length), shine(item, night - day)))
    return events


def schedule(mission: Mission) -> list[tuple[int, Event]]:
    """Events by time; at the same time the clips act before the weather, in the order of the events' names."""
    last = mission.built_steps or mission.max_steps
    clips, events = mission.clips, weather(mission, last)

    def times(start: int, period: int, end: int | None) -> range:
        return range(start, (last if end is None else min(end, last)) + 1, period)

    if not clips.disabled:
        start = clips.initial_clips_start
        events = [
            (times(clips.scramble_start, clips.scramble_interval, clips.scramble_end), scramble),
            (range(start, start + 1), take_first),
            (times(clips.align_start, clips.align_interval, clips.align_end), take_neutral),
            (times(start, 2 * clips.scramble_interval, clips.presence_end), check_presence),
            *events,
        ]
    return sorted(((time, event) for steps, event in events for time in steps), key=lambda pair: pair[0])


def run_events(world: World, events: list[tuple[int, Event]]) -> None:
    while world.fired < len(events) and events[world.fired][0] <= world.time:
        world.fired += 1
        events[world.fired - 1][1](world)
