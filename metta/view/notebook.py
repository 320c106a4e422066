"""Replays in a notebook: the same page, inline."""

import html
from dataclasses import dataclass, field
from pathlib import Path

from metta.view.page import replay_page, replay_to_show


@dataclass(frozen=True)
class InlineReplay:
    """A replay that notebooks display; everything it needs is saved with the notebook."""

    page: str = field(repr=False)
    height: int  # pixels

    def _repr_html_(self) -> str:
        """A frame of its own: the page's scripts and styles reach nothing of the notebook."""
        style = f"width:100%;height:{self.height}px;border:0;border-radius:8px"
        source = html.escape(self.page, quote=True)
        return f'<iframe sandbox="allow-scripts allow-downloads" style="{style}" srcdoc="{source}"></iframe>'


def show_replay(path: str | Path, height: int = 720) -> InlineReplay:
    """The replay file `path` as the last value of a cell. Raises UserError for one that is missing or damaged."""
    return InlineReplay(replay_page(replay_to_show(Path(path))), height)
