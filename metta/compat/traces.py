"""Missions of recorded episodes (`metta.game.traces`) that were built or edited as for `cogames`."""

from typing import Any

from metta.common.errors import UserError
from metta.common.settings import validated
from metta.compat.catalogue import get_mission
from metta.compat.config import MettaGridConfig
from metta.compat.errors import NotPlayableError
from metta.compat.map_config import AsciiMapBuilderConfig
from metta.compat.reading import mission_of
from metta.compat.window import Window
from metta.game.mission import Mission
from metta.game.traces import Build, trace_mission

TREE = "tree"  # what a trace calls the configuration that it was played with


def build_as(named: str | None) -> Build:
    """What makes the mission of a trace: the one named, as `get_mission` takes it, or else what the trace says.

    Raises UserError for what there is not. A Python file is run: name only files of your own.
    """
    if named is None:
        return recorded_mission
    try:
        mission = _played(get_mission(named)[1])
    except (OSError, ValueError) as error:
        raise UserError(f"mission {named}: {error}") from None
    return lambda meta: mission


def recorded_mission(meta: dict[str, Any]) -> Mission:
    """The mission of a trace by its settings, or by its `tree`, a `MettaGridConfig` as JSON. Raises UserError."""
    if not isinstance(meta, dict) or TREE not in meta:
        return trace_mission(meta)
    return _played(validated(MettaGridConfig, meta[TREE], TREE))


def _played(tree: MettaGridConfig) -> Mission:
    """Its map is left out: a trace brings the grid."""
    if not Window(tree.game).whole:
        raise NotPlayableError("game.obs: traces are compared with windows of 11 x 11 cells and 200 tokens only")
    bare = tree.game.model_copy(update={"map_builder": AsciiMapBuilderConfig(map_data=[["."]], char_to_map_name={})})
    return mission_of(tree.model_copy(update={"game": bare}))
