"""Variants: named changes to a mission (rules 10.2, 10.3)."""

from collections.abc import Callable, Iterable
from typing import Any

from metta.common.errors import UserError, suggest
from metta.game.maps.sites import SITE_VARIANTS
from metta.game.mission import Mission

Change = Callable[[Mission], Mission]
NO_EFFECT = "no effect, as in the original"
ABSOLUTE = "with mission.quirks.weather_adds_difference=false"


def _same(mission: Mission) -> Mission:
    return mission


def _set(settings: Any, **changes: Any) -> Any:
    """A validated copy of settings with some fields changed."""
    return type(settings).model_validate(settings.model_dump() | changes)


def _cog(**changes: Any) -> Change:
    return lambda mission: _set(mission, cog=_set(mission.cog, **changes).model_dump())


def _clips(**changes: Any) -> Change:
    return lambda mission: _set(mission, clips=_set(mission.clips, **changes).model_dump())


def _weather(day: int | None, night: int | None) -> Change:
    deltas = {name: {} if value is None else {"solar": value} for name, value in (("day", day), ("night", night))}
    return lambda mission: _set(
        mission,
        weather=_set(mission.weather, day_deltas=deltas["day"], night_deltas=deltas["night"]).model_dump(),
    )


def _braveheart(mission: Mission) -> Mission:
    teams = {name: team.model_dump() | {"initial_hearts": 255} for name, team in mission.teams.items()}
    return _set(mission, teams=teams)


def _super_charged(mission: Mission) -> Mission:
    day, night = mission.weather.day_deltas.get("solar", 0), mission.weather.night_deltas.get("solar", 0)
    return _weather(day + 2, night + 2)(mission)


def _energized(mission: Mission) -> Mission:
    return _weather(255, 255)(_cog(energy_limit=255)(mission))


def _all_clips(mission: Mission) -> Mission:
    return _clips(
        disabled=False,
        initial_clips_start=1,
        initial_clips_spots=1000,
        initial_neutral_only=True,
        scramble_end=0,
        align_end=0,
        presence_end=1,
    )(mission)


def _rewards(preset: str) -> Change:
    return lambda mission: _set(mission, rewards=list(dict.fromkeys([*mission.rewards, preset])))


def _no_vibes(mission: Mission) -> Mission:
    return _set(mission, change_vibe=False)


def _speed_run(mission: Mission) -> Mission:
    return _set(mission, **with_steps(mission, 600))


def with_steps(mission: Mission, steps: int) -> dict[str, int | None]:
    """Fields of a mission whose episode length is overridden: the objective's weight stays (rules 7.1)."""
    kept = mission.built_steps or mission.max_steps
    return {"max_steps": steps, "built_steps": kept if mission.quirks.objective_weight_frozen else None}


# Variants whose whole effect lies in the mission's settings.
MISSION_VARIANTS: dict[str, tuple[str, Change]] = {
    "easy": ("no clips", _clips(disabled=True)),
    "medium": (
        "clips stop acting after step 300",
        _clips(disabled=False, scramble_end=300, align_end=300, presence_end=300),
    ),
    "hard": ("clips act throughout", _clips(disabled=False)),
    "no_clips": ("no clips", _clips(disabled=True)),
    "clips_easy": (
        "clips start late and act rarely",
        _clips(
            initial_clips_start=50, scramble_start=250, scramble_interval=250, align_start=300, align_interval=250,
            scramble_radius=15, align_radius=15,
        ),
    ),
    "clips_medium": ("clips as usual", _same),
    "clips_hard": (
        "clips start early, twice, and act often",
        _clips(
            initial_clips_start=5, initial_clips_spots=2, scramble_start=25, scramble_interval=50, align_start=50,
            align_interval=50, scramble_radius=35, align_radius=35,
        ),
    ),
    "clips_wave_only": (
        "three junctions fall at step 10, nothing after",
        _clips(initial_clips_spots=3, scramble_end=0, align_end=0, presence_end=0),
    ),
    "braveheart": ("the hub starts with 255 hearts", _braveheart),
    "dark_side": ("solar stays 1 day and night", _weather(0, 0)),
    "no_weather": ("solar does not change", _weather(None, None)),
    "super_charged": (f"{NO_EFFECT}; {ABSOLUTE} 2 more solar by day and night", _super_charged),
    "energized": (f"energy limit 255, solar stays 1; {ABSOLUTE} it is 255", _energized),
    "thick_skinned": ("no passive loss of hp", _cog(hp_regen=0)),
    "speed_run": ("episodes of 600 steps", _speed_run),
    **dict.fromkeys(("standard", "single_use", "energy_crisis"), (NO_EFFECT, _same)),
}  # fmt: skip

# Variants that (also) act on the built environment; a trace's settings do not show these effects.
ENVIRONMENT_VARIANTS: dict[str, tuple[str, Change]] = {
    "no_vibes": ("vibes cannot be changed", _no_vibes),
    "all_clips": ("clips take every neutral junction at step 1, nothing after", _all_clips),
    **{
        f"{role}_rewards": (f"reward preset {role}", _rewards(role))
        for role in ("aligner", "miner", "scrambler", "scout")
    },
}


def _multi_team(mission: Mission) -> Mission:
    """Two teams in place of the mission's one, each as large and as rich."""
    team = next(iter(mission.teams.values()))
    teams = {name: team.model_dump() | {"name": name, "short_name": name} for name in ("cogs_green", "cogs_blue")}
    return _set(mission, teams=teams, num_agents=None)


# Variants of the map (metta.game.maps.sites); only multi_team changes the mission as well.
MAP_VARIANTS: dict[str, tuple[str, Change]] = {
    name: (text, _multi_team if name == "multi_team" else _same) for name, (text, _) in SITE_VARIANTS.items()
}

VARIANTS = MISSION_VARIANTS | ENVIRONMENT_VARIANTS | MAP_VARIANTS


def apply_variants(mission: Mission, names: Iterable[str]) -> Mission:
    """Apply variants in order. Raises UserError for a name that does not exist."""
    for name in names:
        if name not in VARIANTS:
            raise UserError(
                f"unknown variant '{name}'{suggest(name, VARIANTS)}; there are: {', '.join(sorted(VARIANTS))}"
            )
        changed = VARIANTS[name][1](mission)
        mission = _set(changed, variants=[*mission.variants, name])
    return mission


def with_environment_variants(mission: Mission, names: Iterable[str]) -> Mission:
    """Apply only what variants do to the built environment, to a mission whose settings they have acted on already."""
    for name in names:
        if name in ENVIRONMENT_VARIANTS:
            mission = ENVIRONMENT_VARIANTS[name][1](mission)
    return mission
