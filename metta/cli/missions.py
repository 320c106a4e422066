"""Commands about missions: list, describe, save and make them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metta.cli.options import (
    Cogs,
    Difficulty,
    MapSeed,
    Mission,
    Output,
    Variants,
    complete_mission,
    complete_set,
    complete_site,
)
from metta.cli.output import Format, show, table
from metta.common.defaults import MISSION
from metta.common.errors import UserError, suggest

if TYPE_CHECKING:
    from metta.game.mission import Mission as GameMission

SCHEMA_VERSION = 1
COLUMNS = ("mission", ">cogs", ">steps", ">map", "what it is")
Save = Annotated[Path | None, typer.Option("-s", "--save", help="write the mission to this file (YAML or JSON)")]


def missions(
    site: Annotated[
        str | None, typer.Argument(help="only the missions of this site or wildcard", autocompletion=complete_site)
    ] = None,
    mission: Mission = None,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    save: Save = None,
    output: Output = Format.table,
) -> None:
    """List the sites, the missions of a site, or describe one mission (-m), or save it as a file (-s)."""
    from metta.game.missions import missions_like

    name = mission if mission is not None else site
    if mission is not None and len(missions_like(mission)) == 1:
        return describe(mission, variant, difficulty, cogs, save, output)
    if variant or difficulty or cogs is not None or save:
        raise UserError("-v, --difficulty, -c and -s describe or save one mission: name it with -m")
    if name is None:
        return _show_sites(output)
    _show_missions(name, output)


def describe(
    mission: Annotated[str, typer.Argument(help="site.mission, or a file", autocompletion=complete_mission)],
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    save: Save = None,
    output: Output = Format.table,
) -> None:
    """Describe a mission with everything that decides it, or save it as a file (-s)."""
    built = built_mission(mission, variant, difficulty, cogs)
    if save:
        from metta.game.mission_writing import save_mission

        save_mission(built, save)
        print(f"wrote {save}: cogames play -m {save}")
        return
    document = description(built)
    settings = built.model_dump(mode="json")
    show(output, document | {"settings": settings}, lambda: _described(document, settings))


def make_mission(
    mission: Mission = MISSION,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    width: Annotated[int | None, typer.Option(help="columns of the map inside its border")] = None,
    height: Annotated[int | None, typer.Option(help="rows of the map inside its border")] = None,
    map_seed: MapSeed = None,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="file; default: print it")] = None,
) -> None:
    """Write a mission file: a mission with other numbers of cogs and cells. Edit it; -m takes it."""
    from metta.game.mission_writing import mission_text, save_mission

    sizes = {"width": width, "height": height, "seed": map_seed}
    changes = {key: value for key, value in sizes.items() if value is not None}
    built = built_mission(mission or MISSION, variant, difficulty, cogs, changes)
    if out is None:
        print(mission_text(built), end="")
        return
    save_mission(built, out)
    print(f"wrote {out}: cogames play -m {out}")


def variants(output: Output = Format.table) -> None:
    """List the variants of missions."""
    from metta.game.variants import VARIANTS

    rows = [{"name": name, "description": text} for name, (text, _) in sorted(VARIANTS.items())]
    document = {"schema_version": SCHEMA_VERSION, "variants": rows}
    show(output, document, lambda: table(["variant", "what it changes"], [list(row.values()) for row in rows]))


def evals(
    name: Annotated[str | None, typer.Argument(help="only this set", autocompletion=complete_set)] = None,
    output: Output = Format.table,
) -> None:
    """List the evaluation sets and their missions."""
    from metta.game.missions import load_mission, mission_set, mission_sets

    sets = {name: mission_set(name)} if name else mission_sets()
    rows = {label: [summary(load_mission(full)) for full in names] for label, names in sets.items()}
    document = {
        "schema_version": SCHEMA_VERSION,
        "sets": [{"name": label, "missions": found} for label, found in rows.items()],
    }
    shown = [(label, *_cells(row)) for label, found in rows.items() for row in found]
    show(output, document, lambda: table(["set", *COLUMNS], shown))


def built_mission(
    name: str,
    variant: Sequence[str] | None = None,
    difficulty: str | None = None,
    cogs: int | None = None,
    map_changes: dict[str, Any] | None = None,
) -> "GameMission":
    """A mission with what the options say. Raises UserError for bad input."""
    from metta.common.settings import validated
    from metta.game.mission import MissionSettings
    from metta.game.missions import build_mission

    said = {"variants": list(variant or []), "difficulty": difficulty, "cogs": cogs, "map": map_changes or {}}
    return build_mission(validated(MissionSettings, {"name": name, **said}, "mission"))


def summary(mission: "GameMission") -> dict[str, Any]:
    """What lists say of a mission."""
    height, width = _map_size(mission)
    return {
        "name": mission.name,
        "description": mission.description,
        "cogs": mission.agents,
        "max_steps": mission.max_steps,
        "map": {"height": height, "width": width},
    }


def description(mission: "GameMission") -> dict[str, Any]:
    """What `describe` says of a mission, but for its settings."""
    from metta.game.rewards import reward_entries

    clips = mission.clips
    teams = {
        name: {"cogs": size, "wealth": team.wealth, "hearts": team.hub_hearts}
        for (name, team), size in zip(mission.teams.items(), mission.team_sizes, strict=True)
    }
    return {
        "schema_version": SCHEMA_VERSION,
        **summary(mission),
        "most_cogs": _most_cogs(mission),
        "variants": mission.variants,
        "reward_presets": mission.rewards,
        "rewards": {key: entry.model_dump() for key, entry in reward_entries(mission, 0).items()},
        "teams": teams,
        "clips": not clips.disabled,
    }


def _show_sites(output: Format) -> None:
    from metta.game.missions import load_mission, mission_names, mission_sites

    by_site: dict[str, list[GameMission]] = defaultdict(list)
    for name in mission_names():
        by_site[name.partition(".")[0]].append(load_mission(name))
    rows = [_site(name, text, by_site[name]) for name, text in mission_sites().items()]
    shown = [
        (row["name"], f"1–{row['most_cogs']}", _sizes(row["maps"]), len(row["missions"]), row["description"])
        for row in rows
    ]
    columns = ["site", ">cogs", ">map", ">missions", "what it is"]
    show(output, {"schema_version": SCHEMA_VERSION, "sites": rows}, lambda: table(columns, shown))


def _site(name: str, text: str, found: "list[GameMission]") -> dict[str, Any]:
    sizes = sorted({_map_size(mission) for mission in found})
    return {
        "name": name,
        "description": text,
        "most_cogs": max(map(_most_cogs, found)),
        "maps": [{"height": height, "width": width} for height, width in sizes],
        "missions": [mission.name for mission in found],
    }


def _sizes(maps: list[dict[str, int]]) -> str:
    sizes = [f"{size['height']} x {size['width']}" for size in maps]
    return sizes[0] if len(sizes) == 1 else f"{sizes[0]} – {sizes[-1]}"


def _show_missions(name: str, output: Format) -> None:
    from metta.game.missions import load_mission, mission_names, mission_sites, missions_like

    sites = mission_sites()
    if name in sites:
        found = [full for full in mission_names() if full.startswith(f"{name}.")]
    elif len(found := missions_like(name)) == 1 and found[0] not in mission_names():
        raise UserError(f"unknown site '{name}'{suggest(name, sites)}; there are: {', '.join(sites)}")
    rows = [summary(load_mission(full)) for full in found]
    show(output, {"schema_version": SCHEMA_VERSION, "missions": rows}, lambda: table(COLUMNS, map(_cells, rows)))


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    """A row of a table of missions."""
    return row["name"], row["cogs"], f"{row['max_steps']:,}", _sizes([row["map"]]), row["description"]


def _described(document: dict[str, Any], settings: dict[str, Any]) -> Any:
    """The facts of a mission, one below the other."""
    clips, cost = settings["clips"], settings["cost"]
    facts = {
        "mission": document["name"],
        "what it is": document["description"],
        "cogs": f"{document['cogs']} (room for {document['most_cogs']})",
        "steps": f"{document['max_steps']:,}",
        "map": _sizes([document["map"]]) + (", drawn" if settings["map"]["picture"] else ""),
        "variants": ", ".join(document["variants"]) or "none",
        "clips": _clips(clips),
        **{f"team {name}": _team(team) for name, team in document["teams"].items()},
        **{f"reward {key}": _reward(entry) for key, entry in document["rewards"].items()},
        **{f"price of {name}": _amounts(price) for name, price in cost.items()},
        "day and night": f"{settings['weather']['day_length']} steps; "
        f"day {_amounts(settings['weather']['day_deltas'])}, night {_amounts(settings['weather']['night_deltas'])}",
    }
    return table(["", ""], facts.items())


def _clips(clips: dict[str, Any]) -> str:
    if clips["disabled"]:
        return "none"
    times = f"align from step {clips['align_start']} every {clips['align_interval']}"
    return (
        f"take {clips['initial_clips_spots']} at step {clips['initial_clips_start']}, scramble from step "
        f"{clips['scramble_start']} every {clips['scramble_interval']}, {times}"
    )


def _team(team: dict[str, Any]) -> str:
    return f"{team['cogs']} cogs, {team['hearts']} hearts in the hub, wealth {team['wealth']}"


def _reward(entry: dict[str, Any]) -> str:
    limit = "" if entry["max"] is None else f", up to {entry['max']:g}"
    return f"{entry['weight']:g} x {entry['stat']}{limit}"


def _amounts(amounts: dict[str, int]) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in amounts.items()) or "nothing"


def _map_size(mission: "GameMission") -> tuple[int, int]:
    """Rows and columns of the map of a team without its border, or of a drawn map as it is."""
    if not mission.map.picture:
        return mission.map.height, mission.map.width
    from metta.game.maps.drawn import drawn_map

    height, width = drawn_map(mission).shape
    return height, width


def _most_cogs(mission: "GameMission") -> int:
    """Agents that the map has room for."""
    if not mission.map.picture:
        return mission.map.hub.pads * len(mission.teams)
    from metta.game.maps.cells import AGENT, KIND_MASK
    from metta.game.maps.drawn import drawn_map

    return int((drawn_map(mission) & KIND_MASK == AGENT).sum())
