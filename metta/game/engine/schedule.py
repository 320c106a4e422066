"""Events of a mission and the steps at which they fire (rules 6)."""

from metta.game.engine import layout as L
from metta.game.mission import Mission
from metta.game.resources import RESOURCES, resource_amounts

Rows = list[list[int]]


def _periodic(start: int, period: int, end: int) -> list[int]:
    """start, start + period, … up to and including `end`."""
    return list(range(start, end + 1, period))


def _clips_events(mission: Mission) -> list[tuple[list[int], list[int]]]:
    """(event row, steps) of the clips' events in name order; presence_check falls back on initial_clips."""
    clips, everywhere = mission.clips, mission.quirks.clips_ignore_distance
    last = mission.built_steps or mission.max_steps

    def end(setting: int | None) -> int:
        return last if setting is None else min(setting, last)

    def row(who: int, radius: int | None, effect: int, count: int = 1, fallback: int = -1) -> list[int]:
        return [L.TARGET_JUNCTIONS, who, -1 if radius is None or everywhere else radius, effect, 0, count, fallback]

    first = L.WHO_NEUTRAL if clips.initial_neutral_only else L.WHO_ANY
    return [
        (
            row(L.WHO_TEAMS, clips.scramble_radius, L.EFFECT_NEUTRAL),
            _periodic(clips.scramble_start, clips.scramble_interval, end(clips.scramble_end)),
        ),
        (row(first, None, L.EFFECT_CLIPS, clips.initial_clips_spots), [clips.initial_clips_start]),
        (
            row(L.WHO_NEUTRAL, clips.align_radius, L.EFFECT_CLIPS),
            _periodic(clips.align_start, clips.align_interval, end(clips.align_end)),
        ),
        (
            row(L.WHO_ANY, 1000, L.EFFECT_NONE, fallback=1),
            _periodic(clips.initial_clips_start, 2 * clips.scramble_interval, end(clips.presence_end)),
        ),
    ]


def _weather_events(mission: Mission) -> list[tuple[list[int], list[int]]]:
    """Day and night events: only their difference reaches the cogs, unless that quirk is off."""
    weather, last = mission.weather, mission.built_steps or mission.max_steps
    half = weather.day_length // 2
    day = resource_amounts(weather.day_deltas, "mission.weather.day_deltas")
    night = resource_amounts(weather.night_deltas, "mission.weather.night_deltas")
    days, nights = _periodic(0, weather.day_length, last), _periodic(half, weather.day_length, last)
    events = []
    for item in sorted({*day, *night}):
        change = day.get(item, 0) - night.get(item, 0)
        effect = L.EFFECT_RESOURCE + item

        def row(amount: int, effect: int = effect) -> list[int]:
            return [L.TARGET_AGENTS, 0, -1, effect, amount, 0, -1]

        if mission.quirks.weather_adds_difference:
            events.append((row(change), days))
        else:
            initial = {RESOURCES.index("solar"): mission.cog.initial_solar}
            events.append((row(day.get(item, 0) - initial.get(item, 0)), days[:1]))
            events.append((row(change), days[1:]))
        events.append((row(-change), nights))
    return events


def event_rows(mission: Mission) -> tuple[Rows, Rows]:
    """Event rows (EV_ columns) and schedule rows [step, event] in firing order."""
    events = [] if mission.clips.disabled else _clips_events(mission)
    events += _weather_events(mission)
    schedule = [[step, index] for index, (_, steps) in enumerate(events) for step in steps]
    return [row for row, _ in events], sorted(schedule)
