"""Commands to watch: an episode while it is played, and one that was saved."""

from pathlib import Path
from typing import Annotated

import typer

from metta.cli.jobs import mission_words, run_recipe
from metta.cli.options import (
    ActionTimeout,
    Cogs,
    Device,
    Difficulty,
    MapSeed,
    Mission,
    Policy,
    Seed,
    Steps,
    TrustCode,
    TrustPickle,
    Variants,
)
from metta.common.defaults import ACTION_TIMEOUT_MS, MISSION, SEED, TEAM
from metta.common.errors import UserError

Port = Annotated[int, typer.Option(help="port of the page in the browser; 0: any that is free", min=0, max=65535)]


def _renderers() -> list[str]:
    return ["gui", "unicode", "log", "none"]


def play(
    context: typer.Context,
    mission: Mission = MISSION,
    policy: Policy = TEAM,
    variant: Variants = None,
    difficulty: Difficulty = None,
    cogs: Cogs = None,
    steps: Steps = None,
    render: Annotated[
        str | None,
        typer.Option("-r", "--render", help="gui, unicode, log or none", autocompletion=_renderers),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="pace of the live view; 1 is 8 steps per second", min=0.25, max=64)
    ] = None,
    autostart: Annotated[bool, typer.Option(help="in the browser: begin to play at once")] = True,
    port: Port = 0,
    save_replay_file: Annotated[str | None, typer.Option(help="file in which the episode is kept")] = None,
    save_replay_dir: Annotated[str | None, typer.Option(help="folder for it, named by mission and seed")] = None,
    seed: Seed = SEED,
    map_seed: MapSeed = None,
    action_timeout_ms: ActionTimeout = ACTION_TIMEOUT_MS,
    device: Device = "auto",
    trust_code: TrustCode = False,
    trust_pickle: TrustPickle = False,
) -> int:
    """Watch one episode."""
    words = mission_words(mission, variant, difficulty, cogs) | {
        "policy_uri": policy, "max_steps": steps, "render": render, "speed": speed, "autostart": str(autostart).lower(),
        "port": port, "save_replay_file": save_replay_file, "save_replay_dir": save_replay_dir, "seed": seed,
        "map_seed": map_seed, "system.action_timeout_ms": action_timeout_ms,
        "device": device, "trust_code": trust_code, "trust_pickle": trust_pickle,
    }  # fmt: skip
    return run_recipe(context, "cogsguard.play", words)


def replay(
    path: Annotated[Path, typer.Argument(help="replay file, or a folder of them")],
    html: Annotated[Path | None, typer.Option(help="write the replay as one page that opens anywhere")] = None,
    video: Annotated[Path | None, typer.Option(help="write the replay as a video: .mp4 or .gif")] = None,
    speed: Annotated[
        float | None, typer.Option(help="pace of the video; 1 is 8 steps per second", min=0.25, max=1000)
    ] = None,
    port: Port = 0,
    browser: Annotated[bool, typer.Option(help="open a browser; else only print the address")] = True,
) -> int:
    """Open a saved episode in the viewer, or write it as a page (--html) or a video (--video). Of a folder, list the
    episodes in it."""
    if path.is_dir():
        from metta.eval.replay.listing import list_replays

        if html or video:
            raise UserError(f"--{'html' if html else 'video'} takes one replay; {path} is a folder")
        print("\n".join(list_replays(path)))
        return 0
    if html:
        from metta.view.page import write_replay_page

        write_replay_page(path, html)
        print(f"wrote {html}")
    if video:
        from metta.view.video.film import write_video

        print(f"wrote {video}: {write_video(path, video, speed):.0f} seconds")
    if html or video:
        return 0
    from metta.view.show import show_replay_file

    return show_replay_file(path, port=port, open_browser=browser)
