"""Lines of styled text that are exactly as wide as they should be."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from metta.common.errors import printable

Line = list[Segment]
GAP = "  "  # between pieces of a line


def piece(text: str, style: str = "") -> Segment:
    """Text in a style. Names may come from strangers: control characters become spaces."""
    return Segment(printable(text), Style.parse(style))


def width_of(line: Iterable[Segment]) -> int:
    return sum(cell_len(segment.text) for segment in line)


def fit(line: Line, width: int) -> Line:
    """The line cut or filled up with spaces to `width` columns."""
    return Segment.adjust_line_length(line, width) if width > 0 else []


def flow(pieces: Sequence[Segment | Line], width: int) -> list[Line]:
    """Lines of whole pieces with gaps between them, as many to a line as fit."""
    lines: list[Line] = []
    room = -1
    for part in pieces:
        line = [part] if isinstance(part, Segment) else part
        needed = len(GAP) + width_of(line)
        if needed <= room:
            lines[-1] += [piece(GAP), *line]
            room -= needed
        else:
            lines.append([*line])
            room = width - width_of(line)
    return lines


def first_line(pieces: Sequence[Segment], width: int) -> Line:
    """One line with the pieces that fit, in order of importance."""
    lines = flow(pieces, width)
    return fit(lines[0] if lines else [], width)


def heading(text: str, width: int) -> Line:
    """A title on a rule."""
    return fit([piece(f"-- {text} ", "bold"), piece("-" * max(0, width), "grey35")], width)
