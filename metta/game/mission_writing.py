"""Missions as files that say the same again: the other direction of mission files (docs/missions.md)."""

import json
from pathlib import Path
from typing import Any

from metta.common.errors import UserError
from metta.common.files import ensure_new, write_atomic, writing
from metta.common.plain_yaml import Dumper, dump
from metta.common.settings import Settings
from metta.game.mission import Mission, MissionSettings
from metta.game.mission_files import SUFFIXES, is_mission_file
from metta.game.missions import define_mission

BY_VARIANTS = ("name", "max_steps", "quirks", "variants")  # with the site: what acts before the other keys


class _Readable(Dumper):
    """Drawn maps as blocks of lines; no references, which mission files may not hold."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def settings_of(mission: Mission) -> dict[str, Any]:
    """Settings that define this very mission without a base: what its variants do not say is spelled out.

    Where its length was overridden, it becomes a mission made for that length. Raises UserError where a variant decides
    the length and something else overrode it.
    """
    lengths = dict.fromkeys((mission.built_steps or mission.max_steps, mission.max_steps))
    starts = (_start(mission, length) for length in lengths)
    start = next((one for one in starts if one.max_steps == mission.max_steps), None)
    if start is None:
        raise UserError(f"{mission.name}: no file can say {mission.max_steps} steps beside {mission.variants}")
    said = {"name": mission.name, "max_steps": start.built_steps or start.max_steps, "variants": mission.variants}
    said |= {"quirks": _differences(Mission().quirks, mission.quirks)}
    said |= _differences(start, mission)
    said["map"] = {"site": mission.map.site} | said.get("map", {})
    said["teams"] = _teams(start, mission)
    said["cogs"] = mission.num_agents
    return {key: said[key] for key in MissionSettings.model_fields if said.get(key) not in (None, {}, [])}


def mission_text(mission: Mission, suffix: str = ".yaml") -> str:
    """A mission as the text of a mission file, YAML or JSON by the suffix."""
    settings = settings_of(mission)
    if suffix == ".json":
        return json.dumps(settings, indent=2) + "\n"
    return dump(settings, _Readable, width=120)


def save_mission(mission: Mission, path: Path) -> None:
    """Write a mission file. Raises UserError for a suffix that no mission file has, or where none can be written."""
    if not is_mission_file(path.name):
        raise UserError(f"{path}: a mission file ends in {', '.join(SUFFIXES)}")
    ensure_new(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, mission_text(mission, path.suffix.lower()))


def _start(mission: Mission, length: int) -> Mission:
    """What name, length, quirks, site and variants alone make of the game."""
    said = {"name": mission.name, "max_steps": length, "quirks": mission.quirks.model_dump()}
    site = {"site": mission.map.site}
    return define_mission(MissionSettings(**said, variants=mission.variants, map=site), mission.name)


def _differences(before: Settings, after: Settings) -> dict[str, Any]:
    """Fields in which two settings differ, as plain values; branches by their own differing fields."""
    values, found = after.model_dump(mode="json"), {}
    for name in type(after).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            found[name] = _differences(old, new) if isinstance(new, Settings) else values[name]
    return found


def _teams(start: Mission, mission: Mission) -> dict[str, Any]:
    """Changes to the teams, or all of them where others play."""
    if list(start.teams) != list(mission.teams):
        return {name: team.model_dump() for name, team in mission.teams.items()}
    found = {name: _differences(start.teams[name], team) for name, team in mission.teams.items()}
    return {name: changes for name, changes in found.items() if changes}
