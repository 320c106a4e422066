"""Showing a replay or a match in the browser, from the command line."""

from contextlib import nullcontext
from pathlib import Path

from metta.game.mission import Mission
from metta.policy.interface import Policy
from metta.view.browser import browsing, can_open_browser
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


def serve(server: ViewerServer, open_browser: bool = True) -> None:
    """Print the address, open a browser where there is one, and answer until Ctrl-C."""
    opens = open_browser and can_open_browser()
    try:
        print(f"{'showing' if opens else 'open in a browser:'} {server.address}   (Ctrl-C ends)", flush=True)
        with browsing(server.address, server.seen) if opens else nullcontext():
            server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        if server.match:
            server.match.close()
        server.server_close()
