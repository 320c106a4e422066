"""The missions by name, and how settings or a file turn into a mission (rules 10.1; docs/missions.md)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from metta.common.defaults import MISSION
from metta.common.documents import read_yaml
from metta.common.errors import UserError, concerning, suggest
from metta.common.settings import below, changed, validated
from metta.game.maps.drawn import check_maps, drawn_map
from metta.game.maps.sites import site
from metta.game.mission import Mission, MissionSettings, TeamSettings
from metta.game.mission_files import find_file, is_mission_file, is_picture_file, read_picture
from metta.game.rewards import check_presets
from metta.game.variants import apply_variants, with_steps

DATA = Path(__file__).parent / "missions_data"
SETS, SITES = "sets.yaml", "sites.yaml"
SECTIONS = ("cog", "clips", "weather", "cost", "area", "extractor", "station", "map")
SINGLE = ("description", "change_vibe", "deposit_amount", "team_element_limit", "roles")
MOST_BASES = 8  # files that build on one another


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    """Settings of the missions that come with the game, by full name."""
    files = [path for path in sorted(DATA.glob("*.yaml")) if path.name not in (SETS, SITES)]
    return {name: settings for path in files for name, settings in read_yaml(path).items()}


def mission_names() -> tuple[str, ...]:
    """Full names of the missions that come with the game."""
    return tuple(_catalogue())


def missions_like(name: str) -> tuple[str, ...]:
    """Full names of the missions that a wildcard stands for; any other name as it is. Raises UserError for none."""
    if not any(character in name for character in "*?[") or is_mission_file(name):
        return (name,)
    found = tuple(full for full in mission_names() if fnmatch(full, name))
    if not found:
        raise UserError(f"no mission is named like '{name}' (cogames missions lists all)")
    return found


@cache
def mission_sites() -> dict[str, str]:
    """The sites of the missions that come with the game, and what those have in common."""
    return read_yaml(DATA / SITES)


@cache
def mission_sets() -> dict[str, tuple[str, ...]]:
    """The evaluation sets (rules 10.4): full names of their missions."""
    names = mission_names()
    return {
        label: tuple(name for pattern in patterns for name in names if fnmatch(name, pattern))
        for label, patterns in read_yaml(DATA / SETS).items()
    }


def mission_set(name: str) -> tuple[str, ...]:
    """Full names of the missions of a set. Raises UserError for a set that does not exist."""
    sets = mission_sets()
    if name not in sets:
        raise UserError(f"unknown mission set '{name}'{suggest(name, sets)}; there are: {', '.join(sets)}")
    return sets[name]


def load_mission(name: str) -> Mission:
    """A mission by `site.mission`, by a bare site (its first mission) or by a bare mission name that is unique, or that
    of the default mission.

    Raises:
        UserError: no such mission, or several.
    """
    names = mission_names()
    found = [full for full in names if name in (full, *full.split("."))]
    sites = {full.split(".")[0] for full in found}
    if not found:
        near = {part for full in names for part in (full, full.split(".")[1])}
        raise UserError(f"unknown mission '{name}'{suggest(name, near)} (cogames missions lists all)")
    if len(sites) > 1 and MISSION in found:
        found = [MISSION]
    elif len(sites) > 1:
        raise UserError(f"mission '{name}' is ambiguous: {', '.join(found)}")
    where = f"{found[0]}:"
    settings = validated(MissionSettings, {"name": found[0]} | _catalogue()[found[0]], where)
    return _defined(_with_pictures(settings, Mission(), DATA, where), where)  # those that come with the game are sound


def build_mission(settings: MissionSettings) -> Mission:
    """The mission that the `mission` branch of the tree describes.

    Order: the named mission or file, quirks, variants, difficulty, reward presets, single settings, teams, cogs and
    last the number of steps.

    Raises:
        UserError: an unknown mission, variant, preset, team or setting, a value out of range, or a wrong file.
    """
    settings = inlined(settings)
    mission = _apply(_named(settings), settings, "mission")
    if settings.max_steps is not None and settings.max_steps != mission.max_steps:
        with _about("mission.max_steps"):
            mission = changed(mission, with_steps(mission, settings.max_steps), "mission")
    return _checked(mission, "mission")


def inlined(settings: MissionSettings) -> MissionSettings:
    """The same settings without reference to a file: what mission and picture files say is put in.

    Raises:
        UserError: a file that is missing or wrong, with the file and the key.
    """
    file = settings.base or settings.name
    if isinstance(file, str) and is_mission_file(file):
        with _about("mission.base" if settings.base else "mission.name"):
            content = read_mission(find_file(file, None, "mission"))
        settings = settings.model_copy(update={"name": content["name"], "base": content})
    if is_picture_file(settings.map.get("picture")):
        base = _named(settings)
        with _about("mission.map.picture"):
            settings = _with_pictures(settings, base, None, "mission")
    return settings


def read_mission(path: Path, depth: int = 0) -> dict[str, Any]:
    """The settings in a mission file, checked; files that it names are put in. What it does not say is left out.

    Raises:
        UserError: what is wrong, as file:key.
    """
    where = f"{path}:"
    if depth > MOST_BASES:
        raise UserError(f"{where}base: more than {MOST_BASES} files build on one another")
    settings = validated(MissionSettings, {"name": re.sub(r"[^\w.-]", "_", path.stem)} | read_yaml(path), where)
    if isinstance(settings.base, str) and is_mission_file(settings.base):
        base = read_mission(find_file(settings.base, path.parent, f"{where}base"), depth + 1)
        settings = settings.model_copy(update={"base": base})
    with _located(where, "base"):
        start = _base(settings) if settings.base else Mission()
    settings = _with_pictures(settings, start, path.parent, where)
    define_mission(settings, where)
    return settings.model_dump(mode="json", exclude_unset=True)


def _with_pictures(settings: MissionSettings, base: Mission, folder: Path | None, where: str) -> MissionSettings:
    """Put in the picture that `map.picture` names."""
    picture = settings.map.get("picture")
    if not is_picture_file(picture):
        return settings
    own = settings.map.get("legend")
    legend = base.map.legend | (own if isinstance(own, dict) else {})
    path = find_file(str(picture), folder, below(where, "map.picture"))
    return settings.model_copy(update={"map": settings.map | {"picture": read_picture(path, legend)}})


def _named(settings: MissionSettings) -> Mission:
    """The mission that the `mission` branch of the tree changes."""
    with _about("mission.base" if settings.base else "mission.name"):
        return _base(settings)


def _base(settings: MissionSettings) -> Mission:
    """The mission that the settings change."""
    if isinstance(settings.base, dict):
        return define_mission(validated(MissionSettings, settings.base, "mission.base"), "mission.base")
    return load_mission(settings.base or settings.name)


def define_mission(settings: MissionSettings, where: str) -> Mission:
    """A mission of its own: settings over a base or, without one, over the whole game in the arena.

    Raises UserError for settings that make no mission which can be played.
    """
    return _checked(_defined(settings, where), where)


def _defined(settings: MissionSettings, where: str) -> Mission:
    with _located(where, "base"):
        mission = _base(settings) if settings.base else Mission()
    own: dict[str, Any] = {"name": settings.name, "variants": mission.variants}
    if settings.max_steps is not None:
        own |= {"max_steps": settings.max_steps, "built_steps": None}
    return _apply(changed(mission, own, where), settings, where)


def _apply(mission: Mission, settings: MissionSettings, where: str) -> Mission:
    """Everything that settings say but for name, base and steps."""
    if settings.quirks:  # before the variants: some of them ask
        mission = changed(mission, {"quirks": settings.quirks}, where)
    if "site" in settings.map:
        with _located(where, "map.site"):
            mission = mission.model_copy(update={"map": site(str(settings.map["site"]))})
    with _located(where, "variants"):
        mission = apply_variants(mission, settings.variants)
    if settings.difficulty:
        with concerning(below(where, "difficulty")):
            mission = apply_variants(mission, [settings.difficulty])
    with _located(where, "rewards"):
        check_presets(settings.rewards)
    changes: dict[str, Any] = {"rewards": list(dict.fromkeys([*mission.rewards, *settings.rewards]))}
    changes |= {name: value for name in SINGLE if (value := getattr(settings, name)) is not None}
    changes |= {section: branch for section in SECTIONS if (branch := getattr(settings, section))}
    entries = {key: entry.model_dump() for key, entry in settings.reward_entries.items()}
    changes["reward_entries"] = {key: entry.model_dump() for key, entry in mission.reward_entries.items()} | entries
    mission = changed(mission, changes, where)
    if settings.teams:
        mission = changed(mission, _with_teams(mission, settings.teams, below(where, "teams")), where)
    if settings.cogs is not None:
        with _about(below(where, "cogs")):
            mission = changed(mission, _with_agents(mission, settings.cogs, below(where, "cogs")), where)
    return mission


def _with_teams(mission: Mission, branch: dict[str, dict[str, Any]], where: str) -> dict[str, Any]:
    """Fields for changed teams. A new team needs `num_agents`; then all that are not named go."""
    new = [name for name in branch if name not in mission.teams]
    for name in new:
        if "num_agents" not in branch[name]:
            near = suggest(name, mission.teams)
            raise UserError(f"{where}: unknown team '{name}'{near}; a new team needs num_agents", [where])
    teams = {}
    for name in branch if new else mission.teams:
        before = mission.teams.get(name) or TeamSettings(name=name, short_name=name)
        teams[name] = changed(before, branch.get(name, {}), below(where, name)).model_dump()
    resized = any("num_agents" in changes for changes in branch.values())
    return {"teams": teams, "num_agents": None if resized else mission.num_agents}


def _with_agents(mission: Mission, cogs: int, where: str) -> dict[str, Any]:
    """Fields for another number of cogs; the teams' stock stays as the mission says (rules 1.3)."""
    if len(mission.teams) == 1:
        return {"num_agents": cogs}
    if cogs % len(mission.teams):
        names = ", ".join(f"teams.{name}.num_agents" for name in mission.teams)
        raise UserError(f"{where}={cogs} cannot be split among {len(mission.teams)} teams; set {names}", [where])
    each = cogs // len(mission.teams)
    return {"teams": {name: team.model_dump() | {"num_agents": each} for name, team in mission.teams.items()}}


def _checked(mission: Mission, where: str) -> Mission:
    """The mission, when the engine can play it and its picture has room for everybody."""
    from metta.game.engine.tables import TableBuilder  # here because lists of missions are wanted at once

    with _located(where, ""):
        TableBuilder(mission, (1, 1), 1)
        if mission.map.picture:
            check_maps(mission, drawn_map(mission)[None])
    return mission


@contextmanager
def _located(where: str, key: str) -> Iterator[None]:
    """Put the place before the message of an error that does not begin with it."""
    try:
        yield
    except UserError as error:
        text, place = str(error), below(where, key)
        about = error.about if any(name.startswith(place) for name in error.about) else (place,)
        raise UserError(text if text.startswith(place) else f"{place}: {text}", about) from None


@contextmanager
def _about(key: str) -> Iterator[None]:
    """Whatever is wrong in here, this key of the tree led to it; what a file says has no key of its own there."""
    try:
        yield
    except UserError as error:
        error.about = (key,)
        raise
