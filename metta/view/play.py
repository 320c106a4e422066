"""Watch one episode."""

import sys
from pathlib import Path

from rich.console import Console
from rich.segment import SegmentLines

from metta.common.errors import UserError, printable
from metta.common.files import ensure_new, ensure_writable
from metta.common.logging import warn
from metta.eval.evaluate import contestants
from metta.eval.replay.keeping import replay_name
from metta.eval.settings import PlayConfig
from metta.game.mission import Mission
from metta.policy.hosted.client import HostedPolicy
from metta.policy.interface import Policy
from metta.view.log import play_log, play_with_pauses, summary_table
from metta.view.match import Match, kept
from metta.view.scene import scene_of
from metta.view.show import play_live
from metta.view.terminal.live import watch
from metta.view.terminal.picture import View, draw
from metta.view.terminal.screen import shows_pictures

PLAIN_WIDTH, PLAIN_HEIGHT = 160, 60  # of pictures where standard output is no terminal


def play(config: PlayConfig) -> int:
    """Run the job. Raises UserError for bad input, among it a renderer that there is not."""
    label, policy, mission = contestants(config)
    mission = with_map_seed(mission, config.map_seed)
    try:
        _show(config, label, policy, mission)
    finally:
        if isinstance(policy, HostedPolicy):
            policy.close()
            for line in policy.faults.lines():
                warn(f"{label}: {line}")
    return 0


def _show(config: PlayConfig, label: str, policy: Policy, mission: Mission) -> None:
    file = kept_replay(config, mission, label)
    title = printable(f"{label} plays {mission.name}, {mission.agents} agents, seed {config.seed}")
    if config.render == "gui":
        print(title, flush=True)
        play_live(mission, policy, config.seed, config.port, config.autostart, file)
        return
    match = Match(mission, policy, config.seed)
    with kept(match, file):
        _play(config, match, title)


def _play(config: PlayConfig, match: Match, title: str) -> None:
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else PLAIN_WIDTH)
    if config.render == "log":
        print(title)
        play_log(match)
    elif config.render == "none":
        play_with_pauses(match, lambda: None)
    elif is_terminal and not console.is_dumb_terminal:
        watch(match, console, config.speed)
    else:
        print(title)
        _play_pictures(match, console)
    console.print(summary_table(match, f"{title}: {match.step} of {match.mission.max_steps} steps", console.width))


def kept_replay(config: PlayConfig, mission: Mission, label: str) -> Path | None:
    """The file in which the episode is kept. Raises UserError where two are named, it exists or cannot be written."""
    if config.save_replay_file and config.save_replay_dir:
        raise UserError("save_replay_file and save_replay_dir: name one of them")
    if config.save_replay_dir:
        file = Path(config.save_replay_dir) / replay_name(mission.name, config.seed, [label])
    elif config.save_replay_file:
        file = Path(config.save_replay_file)
    else:
        return None
    ensure_new(file)
    ensure_writable(file.parent, "save_replay_dir" if config.save_replay_dir else "save_replay_file")
    return file


def with_map_seed(mission: Mission, seed: int | None) -> Mission:
    """The mission on the map of that seed; as it is without one."""
    if seed is None:
        return mission
    return mission.model_copy(update={"map": mission.map.model_copy(update={"seed": seed})})


def _play_pictures(match: Match, console: Console) -> None:
    """The first, the last and a few pictures between, one under the other."""
    view = View(hints=False, pictures=shows_pictures(console))

    def show() -> None:
        picture = draw(scene_of(match), view, PLAIN_WIDTH, PLAIN_HEIGHT)
        console.print(SegmentLines(picture, new_lines=True), soft_wrap=True)

    play_with_pauses(match, show)
