"""The missions by name, and how settings turn a name into a mission (rules 10.1)."""

from collections.abc import Callable
from typing import Any

from metta.common.errors import UserError, suggest
from metta.common.settings import validated
from metta.game.mission import CogSettings, Mission, MissionSettings, QuirkSettings, TeamSettings
from metta.game.rewards import check_presets
from metta.game.variants import apply_variants, with_steps

SECTIONS = ("cog", "clips", "weather", "cost", "area", "extractor")
SINGLE = ("change_vibe", "deposit_amount", "team_element_limit")


def _basic(site: str, max_steps: int) -> Mission:
    return Mission(
        name=f"{site}.basic",
        site=site,
        description="Mine, craft hearts, put on gear and hold junctions against the clips.",
        max_steps=max_steps,
    )


def _tutorial(role: str, description: str, team: TeamSettings, variants: list[str], cog: CogSettings) -> Mission:
    site = "cogsguard_machina_1" if role == "miner" else "cogsguard_arena"
    mission = Mission(name=f"{site}.{role}_tutorial", site=site, description=description, teams={"cogs": team}, cog=cog)
    return apply_variants(mission, variants)


def _aligner_tutorial() -> Mission:
    team = TeamSettings(num_agents=4, wealth=3, initial_hearts=120)
    variants = ["easy", "aligner_rewards", "braveheart"]
    text = "Learn the aligner: collect hearts, align neutral junctions."
    return _tutorial("aligner", text, team, variants, CogSettings(heart_limit=3))


def _scrambler_tutorial() -> Mission:
    team = TeamSettings(num_agents=4, wealth=3, initial_hearts=120)
    text = "Learn the scrambler: free the junctions that the clips hold."
    return _tutorial("scrambler", text, team, ["all_clips", "scrambler_rewards"], CogSettings(heart_limit=3))


def _scout_tutorial() -> Mission:
    team = TeamSettings(num_agents=4, wealth=3, initial_hearts=0)
    text = "Learn the scout: see as much of the map as possible."
    return _tutorial("scout", text, team, ["easy", "scout_rewards"], CogSettings())


def _miner_tutorial() -> Mission:
    team = TeamSettings(num_agents=4)
    text = "Learn the miner: gather and deposit all four elements."
    return _tutorial("miner", text, team, ["easy", "no_vibes", "miner_rewards"], CogSettings())


MISSIONS: dict[str, Callable[[], Mission]] = {
    "cogsguard_arena.basic": lambda: _basic("cogsguard_arena", 1000),
    "cogsguard_arena.aligner_tutorial": _aligner_tutorial,
    "cogsguard_arena.scrambler_tutorial": _scrambler_tutorial,
    "cogsguard_arena.scout_tutorial": _scout_tutorial,
    "cogsguard_machina_1.basic": lambda: _basic("cogsguard_machina_1", 10000),
    "cogsguard_machina_1.miner_tutorial": _miner_tutorial,
}


def mission_names() -> tuple[str, ...]:
    return tuple(MISSIONS)


def load_mission(name: str) -> Mission:
    """A mission by `site.mission`, by a bare site (its first mission) or by a bare mission name that is unique.

    Raises:
        UserError: no such mission, or several.
    """
    found = [full for full in MISSIONS if name in (full, full.split(".")[0], full.split(".")[1])]
    sites = {full.split(".")[0] for full in found}
    if not found:
        near = {part for full in MISSIONS for part in (full, full.split(".")[1])}
        raise UserError(f"unknown mission '{name}'{suggest(name, near)}; there are: {', '.join(MISSIONS)}")
    if len(sites) > 1:
        raise UserError(f"mission '{name}' is ambiguous: {', '.join(found)}")
    return MISSIONS[found[0]]()


def _with_agents(mission: Mission, cogs: int) -> dict[str, Any]:
    """Fields for another number of cogs; the teams' stock stays as the mission says (rules 1.3)."""
    if len(mission.teams) == 1:
        return {"num_agents": cogs}
    if cogs % len(mission.teams):
        raise UserError(f"mission.cogs={cogs} cannot be split among {len(mission.teams)} teams")
    each = cogs // len(mission.teams)
    return {"teams": {name: team.model_dump() | {"num_agents": each} for name, team in mission.teams.items()}}


def build_mission(settings: MissionSettings) -> Mission:
    """The mission that the `mission` branch of the tree describes.

    Order: the named mission, quirks, variants, difficulty, reward presets, cogs and steps, then single settings.

    Raises:
        UserError: an unknown mission, variant, preset, team or setting, or a value out of range.
    """
    mission = load_mission(settings.name)
    if settings.quirks:  # before the variants: some of them ask
        quirks = mission.quirks.model_dump() | settings.quirks
        mission = mission.model_copy(update={"quirks": validated(QuirkSettings, quirks, "mission.quirks")})
    mission = apply_variants(mission, settings.variants)
    if settings.difficulty:
        mission = apply_variants(mission, [settings.difficulty])
    check_presets(settings.rewards)
    changes: dict[str, Any] = {"rewards": list(dict.fromkeys([*mission.rewards, *settings.rewards]))}
    if settings.cogs is not None:
        changes |= _with_agents(mission, settings.cogs)
    changes |= {name: value for name in SINGLE if (value := getattr(settings, name)) is not None}
    for section in SECTIONS:
        branch, before = getattr(settings, section), getattr(mission, section)
        if branch:
            model = type(before)
            changes[section] = validated(model, before.model_dump() | branch, f"mission.{section}").model_dump()
    for name, branch in settings.teams.items():
        if name not in mission.teams:
            raise UserError(f"mission.teams: unknown team '{name}'{suggest(name, mission.teams)}")
        teams = changes.setdefault("teams", {key: team.model_dump() for key, team in mission.teams.items()})
        teams[name] = validated(TeamSettings, teams[name] | branch, f"mission.teams.{name}").model_dump()
    if settings.reward_entries:
        changes["reward_entries"] = {key: entry.model_dump() for key, entry in settings.reward_entries.items()}
    mission = validated(Mission, mission.model_dump() | changes, "mission")
    if settings.max_steps is not None and settings.max_steps != mission.max_steps:
        mission = Mission.model_validate(mission.model_dump() | with_steps(mission, settings.max_steps))
    return mission
