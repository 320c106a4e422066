"""What replays lie in a folder."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from metta.common.errors import UserError, printable
from metta.common.files import PARTIAL
from metta.eval.replay.file import MAGIC, Replay, read_replay
from metta.eval.replay.header import AGENT_COLUMNS
from metta.eval.replay.keeping import SUFFIX
from metta.eval.replay.recorder import REWARD_UNIT

HEADS = ("file", "mission", "policy", "steps", "score", "date")


def mean_score(replay: Replay) -> float:
    """Mean return of the agents up to the last step. Raises UserError for a damaged replay."""
    agents, width = len(replay.header.agents), replay.header.agent_width
    rewards = AGENT_COLUMNS.index("reward")
    states = (state for chunk in range(len(replay.chunks)) for state in replay.states(chunk))
    return sum(int(state[rewards : agents * width : width].sum()) for state in states) * REWARD_UNIT / agents


def list_replays(folder: Path) -> list[str]:
    """A line for each replay in a folder, the newest first, under one that says what is what.

    Files of other kinds are passed over; of a damaged replay the line says so. Raises UserError where there is none.
    """
    try:
        files = sorted(filter(_is_replay, folder.iterdir()), key=lambda file: (-file.stat().st_mtime, file.name))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    if not files:
        raise UserError(f"{folder}: no replays in this folder")
    rows = [HEADS, *map(_row, files)]
    widths = [max(len(row[k]) for row in rows if k == 0 or len(row) > 2) for k in range(len(HEADS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
    return [printable(line).rstrip() for line in lines]


def _is_replay(file: Path) -> bool:
    if not file.is_file() or file.name.startswith(PARTIAL):
        return False
    if file.suffix == SUFFIX:
        return True
    with suppress(OSError), open(file, "rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC
    return False


def _row(file: Path) -> tuple[str, ...]:
    try:
        replay = read_replay(file)
        score = f"{mean_score(replay):.3f}"
    except UserError as error:
        return file.name, str(error).removeprefix(f"{file}: ")
    header = replay.header
    steps = f"{replay.steps} of {header.max_steps}{' (cut)' if replay.is_cut else ''}"
    date = datetime.fromtimestamp(file.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return file.name, header.mission, ", ".join(header.policies), steps, score, date
