"""Variants: named changes to a mission (rules 10.2, 10.3)."""

from collections.abc import Callable, Iterable
from typing import Any

from metta.common.errors import UserError, suggest
from metta.common.settings import changed
from metta.game.maps import sites
from metta.game.mission import Mission
from metta.game.resources import ROLES

Change = Callable[[Mission], Mission]
LEVELS = "with mission.quirks.difficulties_without_effect=false"
NO_EFFECT = "no effect, as in the original"
ABSOLUTE = "with mission.quirks.weather_adds_difference=false"


def _same(mission: Mission) -> Mission:
    return mission


def _sets(**changes: Any) -> Change:
    return lambda mission: changed(mission, changes)


def _cog(**changes: Any) -> Change:
    return _sets(cog=changes)


def _clips(**changes: Any) -> Change:
    return _sets(clips=changes)


def _weather(day: int | None, night: int | None) -> Change:
    deltas = {name: {} if value is None else {"solar": value} for name, value in (("day", day), ("night", night))}
    return _sets(weather={"day_deltas": deltas["day"], "night_deltas": deltas["night"]})


def _steady_solar(solar: int) -> Change:
    return _sets(weather={"day_deltas": {}, "night_deltas": {}}, cog={"initial_solar": solar})


def _difficulty(*changes: Change) -> Change:
    """What a difficulty says it does, which the original leaves out (rules 10.2)."""

    def apply(mission: Mission) -> Mission:
        if not mission.quirks.difficulties_without_effect:
            for change in changes:
                mission = change(mission)
        return mission

    return apply


def _braveheart(mission: Mission) -> Mission:
    teams = {name: team.model_dump() | {"initial_hearts": 255} for name, team in mission.teams.items()}
    return changed(mission, {"teams": teams})


def _super_charged(mission: Mission) -> Mission:
    day, night = mission.weather.day_deltas.get("solar", 0), mission.weather.night_deltas.get("solar", 0)
    return _weather(day + 2, night + 2)(mission)


def _dear_moves(mission: Mission) -> Mission:
    return _cog(action_cost={name: amount * 3 // 2 for name, amount in mission.cog.action_cost.items()})(mission)


def _half_energy(mission: Mission) -> Mission:
    return _cog(energy_limit=mission.cog.energy_limit // 2)(mission)


def _energized(mission: Mission) -> Mission:
    return _weather(255, 255)(_cog(energy_limit=255)(mission))


def _rewards(preset: str) -> Change:
    return lambda mission: changed(mission, {"rewards": list(dict.fromkeys([*mission.rewards, preset]))})


def _speed_run(mission: Mission) -> Mission:
    mission = _difficulty(_steady_solar(2), _cog(action_cost={"energy": 1}))(mission)
    return changed(mission, with_steps(mission, 600))


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
    "hard": (
        f"clips act throughout; {LEVELS} moves cost half as much again and solar stays 1",
        lambda mission: _difficulty(_steady_solar(1), _dear_moves)(_clips(disabled=False)(mission)),
    ),
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
    "speed_run": (f"episodes of 600 steps; {LEVELS} moves cost 1 and solar stays 2", _speed_run),
    "standard": ("the mission as it is", _same),
    "single_use": (
        f"{NO_EFFECT}; {LEVELS} extractors and stations can be used once and solar stays 1",
        _difficulty(_steady_solar(1), _sets(extractor={"single_use": True}, station={"uses": 1})),
    ),
    "energy_crisis": (
        f"{NO_EFFECT}; {LEVELS} solar stays 1 and cogs hold half the energy",
        _difficulty(_steady_solar(1), _half_energy),
    ),
}  # fmt: skip

# Variants that (also) act on the built environment; a trace's settings do not show these effects.
ENVIRONMENT_VARIANTS: dict[str, tuple[str, Change]] = {
    "no_vibes": ("vibes cannot be changed", _sets(change_vibe=False)),
    "forced_role_vibes": (
        "each cog has a role, which its vibe shows and it observes; vibes cannot be changed",
        _sets(roles=list(ROLES), change_vibe=False),
    ),
    "all_clips": (
        "clips take every neutral junction at step 1, nothing after",
        _clips(
            disabled=False, initial_clips_start=1, initial_clips_spots=1000, initial_neutral_only=True,
            scramble_end=0, align_end=0, presence_end=1,
        ),
    ),
    **{
        f"{role}_rewards": (f"reward preset {role}", _rewards(role))
        for role in ("aligner", "miner", "scrambler", "scout")
    },
}  # fmt: skip


def _multi_team(mission: Mission) -> Mission:
    """Two teams in place of the mission's one, each as large and as rich."""
    team = next(iter(mission.teams.values()))
    teams = {name: team.model_dump() | {"name": name, "short_name": name} for name in ("cogs_green", "cogs_blue")}
    return changed(mission, {"teams": teams, "num_agents": None})


def _on_map(name: str) -> Change:
    """A variant of the generated map; only multi_team changes the mission as well."""

    def apply(mission: Mission) -> Mission:
        if mission.map.picture:
            raise UserError(f"variant '{name}' changes generated maps, the map of {mission.name} is drawn")
        mission = _multi_team(mission) if name == "multi_team" else mission
        return mission.model_copy(update={"map": sites.MAP_VARIANTS[name][1](mission.map)})

    return apply


MAP_VARIANTS: dict[str, tuple[str, Change]] = {
    name: (text, _on_map(name)) for name, (text, _) in sites.MAP_VARIANTS.items()
}

VARIANTS = MISSION_VARIANTS | ENVIRONMENT_VARIANTS | MAP_VARIANTS


def apply_variants(mission: Mission, names: Iterable[str]) -> Mission:
    """Apply variants in order. Raises UserError for a name that does not exist."""
    for name in names:
        if name not in VARIANTS:
            raise UserError(
                f"unknown variant '{name}'{suggest(name, VARIANTS)}; there are: {', '.join(sorted(VARIANTS))}"
            )
        mission = VARIANTS[name][1](mission)
        mission = mission.model_copy(update={"variants": [*mission.variants, name]})
    return mission


def with_environment_variants(mission: Mission, names: Iterable[str]) -> Mission:
    """Apply only what variants do to the built environment, to a mission whose settings they have acted on already."""
    for name in names:
        if name in ENVIRONMENT_VARIANTS:
            mission = ENVIRONMENT_VARIANTS[name][1](mission)
    return mission
