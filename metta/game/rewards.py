"""Reward presets: named sets of reward entries (rules 7.1, 7.2)."""

from metta.common.errors import UserError, suggest
from metta.game.mission import Mission, RewardEntry
from metta.game.resources import ELEMENTS, ROLES

Entries = dict[str, RewardEntry]

# Order in which presets apply, whatever order they are named in; a later one overwrites equal keys.
PRESETS = (
    "objective", "no_objective", "milestones", "credit", "aligner", "miner", "scrambler", "scout",
    "role_conditional", "penalize_vibe_change",
)  # fmt: skip


def _entries(*rows: tuple[str, str, float] | tuple[str, str, float, float]) -> Entries:
    return {row[0]: RewardEntry(stat=row[1], weight=row[2], max=row[3] if len(row) > 3 else None) for row in rows}


def _objective(mission: Mission) -> Entries:
    steps = mission.built_steps or mission.max_steps
    return _entries(("aligned_junction_held", "collective.aligned.junction.held", 1.0 / steps))


def _milestones(mission: Mission) -> Entries:
    held = "collective.junction" if mission.quirks.milestones_ignore_holdings else "collective.aligned.junction"
    return _entries(
        ("aligned_junctions", held, 1.0, 100),
        ("junction_scrambled_by_agent", "junction.scrambled_by_agent", 0.5, 50),
        ("junction_aligned_by_agent", "junction.aligned_by_agent", 1.0, 100),
    )


def _credit() -> Entries:
    return _entries(
        ("heart_gained", "heart.gained", 0.05, 0.5),
        *((f"{gear}_gained", f"{gear}.gained", 0.2, 0.4) for gear in ("aligner", "scrambler")),
        *((f"{gear}_lost", f"{gear}.lost", -0.2, -0.4) for gear in ("aligner", "scrambler")),
        *((f"{element}_gained", f"{element}.gained", 0.001, 0.1) for element in ELEMENTS),
        *((f"collective_{e}_deposited", f"collective.{e}.deposited", 0.002, 0.2) for e in ELEMENTS),
    )


ROLE_ENTRIES: dict[str, Entries] = {
    "aligner": _entries(
        ("aligner_gained", "aligner.gained", 2.0),
        ("aligner_lost", "aligner.lost", -2.0),
        ("heart_gained", "heart.gained", 0.5),
        ("heart_lost", "heart.lost", -0.5),
        ("junction_aligned_by_agent", "junction.aligned_by_agent", 5.0),
    ),
    "miner": _entries(
        ("miner_gained", "miner.gained", 1.0),
        ("miner_lost", "miner.lost", -1.0),
        ("heart_gained", "heart.gained", -0.1),
        *((f"{gear}_gained", f"{gear}.gained", -1.0) for gear in ("aligner", "scout", "scrambler")),
        ("gain_diversity", "gain_diversity", 0.5),
        ("deposit_diversity", "deposit_diversity", 0.5),
    ),
    "scrambler": _entries(
        ("scrambler_gained", "scrambler.gained", 2.0),
        ("scrambler_lost", "scrambler.lost", -2.0),
        ("heart_lost", "heart.lost", -0.5),
        *((f"{element}_lost", f"{element}.lost", -0.1) for element in ELEMENTS),
        ("junction_scrambled_by_agent", "junction.scrambled_by_agent", 5.0),
    ),
    "scout": _entries(
        ("scout_gained", "scout.gained", 2.0),
        ("scout_lost", "scout.lost", -2.0),
        ("cell_visited", "cell.visited", 0.0001),
    ),
}


def check_presets(names: list[str]) -> None:
    """Raise UserError for a preset that does not exist."""
    for name in names:
        if name not in PRESETS:
            raise UserError(f"unknown reward preset '{name}'{suggest(name, PRESETS)}; there are: {', '.join(PRESETS)}")


def reward_entries(mission: Mission, index_in_team: int) -> Entries:
    """Reward entries of one agent by key, in the order in which they are summed."""
    entries = _objective(mission)
    for name in sorted(mission.rewards, key=PRESETS.index):
        if name == "no_objective":
            entries.pop("aligned_junction_held", None)
        elif name == "milestones":
            entries |= _milestones(mission)
        elif name == "credit":
            entries |= _credit()
        elif name == "role_conditional":
            roles = mission.roles or ROLES
            entries |= ROLE_ENTRIES[roles[index_in_team % len(roles)]]
        elif name == "penalize_vibe_change":
            entries |= _entries(("vibe_change_penalty", "action.change_vibe.success", -0.01))
        elif name in ROLE_ENTRIES:
            entries |= ROLE_ENTRIES[name]
    return entries | mission.reward_entries
