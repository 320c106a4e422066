"""Showing a replay or a match in the browser, from the command line."""

import os
import sys
import webbrowser
from pathlib import Path

from metta.game.mission import Mission
from metta.policy.interface import Policy
from metta.view.live import LiveMatch
from metta.view.match import Match, kept
from metta.view.page import replay_to_show
from metta.view.server import ViewerServer


def show_replay_file(path: Path, port: int = 0, open_browser: bool = True) -> int:
    """Show a replay until Ctrl-C. Raises UserError for a damaged replay and for a port that is in use."""
    serve(ViewerServer(port, replay=replay_to_show(path)), open_browser)
    return 0


def play_live(
    mission: Mission,
    policy: Policy,
    seed: int,
    port: int = 0,
    autostart: bool = True,
    save_replay: Path | None = None,
) -> int:
    """Play an episode before a browser's eyes until Ctrl-C, and write it to `save_replay` as it is played.

    Without `autostart` the match begins paused. Raises UserError for a port that is in use and a replay that cannot be
    written.
    """
    match = Match(mission, policy, seed)
    server = ViewerServer(port, match=LiveMatch(match, autostart))
    with kept(match, save_replay):
        serve(server)
    return 0


def can_open_browser() -> bool:
    """Whether this machine shows windows to the person at the keyboard."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
        return True
    except webbrowser.Error:
        return False


def serve(server: ViewerServer, open_browser: bool = True) -> None:
    """Open a browser, or print the address where there is none, and answer until Ctrl-C."""
    try:
        opened = open_browser and can_open_browser() and webbrowser.open(server.address)
        print(f"{'showing' if opened else 'open in a browser:'} {server.address}   (Ctrl-C ends)", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        if server.match:
            server.match.close()
        server.server_close()
