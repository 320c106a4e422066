"""The viewer's page with something to show put into it. Its sources are in viewer/, built by `npm run build`."""

import base64
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from metta.common.files import ensure_new, write_atomic, writing
from metta.common.logging import warn
from metta.eval.replay.file import read_replay

SLOT = '<script id="source" type="application/json">{}</script>'


@cache
def _built() -> str:
    return files("metta.view").joinpath("page/index.html").read_text("utf-8")


@cache
def content_policy() -> str:
    """The page's content security policy: its own script, known by its hash, and no other."""
    found = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', _built())
    assert found, "the built page has no policy"
    return found[1]


def _page(source: object) -> str:
    html = _built()
    text = json.dumps(source).replace("<", "\\u003c")  # nothing in it can end the script element
    head, found, tail = html.partition(SLOT.format("null"))
    assert found, "the built page has no slot for its source"
    return head + SLOT.format(text) + tail


def replay_page(data: bytes) -> str:
    """A page that shows the replay file `data` and needs nothing else."""
    return _page({"replay": base64.b64encode(data).decode()})


def live_page() -> str:
    """A page that follows the game of the server it came from."""
    return _page({"live": True})


def replay_to_show(path: Path) -> bytes:
    """A replay file, read to its end; one that is cut is told of. Raises UserError as `read_replay`."""
    replay = read_replay(path).check()
    if replay.is_cut:
        warn(f"{path}: cut after step {replay.steps}: the program that recorded it was ended before the game was")
    return replay.data


def write_replay_page(path: Path, out: Path) -> None:
    """Write the replay file `path` as one HTML file. Raises UserError for a damaged replay and where writing fails."""
    replay = replay_to_show(path)
    ensure_new(out, ours=SLOT.partition("{}")[0].encode())
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, replay_page(replay))
