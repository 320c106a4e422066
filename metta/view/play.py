"""Watch one episode in the terminal."""

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from metta.eval.evaluate import contestants
from metta.game.engine.batch import EnvBatch, Episode
from metta.game.maps.pool import build_pool
from metta.policy.interface import Policy
from metta.rl.settings import PlayConfig
from metta.view.show import play_live
from metta.view.terminal import Viewport, frame, gear_of, status_line

FRAMES_PER_SECOND = 20
PLAIN_WIDTH = 160  # columns where standard output is no terminal
LOG_LINES = 10  # lines of render=log, and pictures where standard output is no terminal
Show = Callable[[int, np.ndarray], None]


def play_steps(batch: EnvBatch, policy: Policy, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Play environment 0 to the end of its episode; yields step and returns so far, float32 [A]."""
    shape = (1, batch.num_agents)
    observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    batch.reset(observations)
    policy.reset(1, batch.num_agents, seed)
    returns = np.zeros(batch.num_agents, np.float32)
    yield 0, returns
    for step in range(1, batch.mission.max_steps + 1):
        batch.step(policy.step(observations), observations, rewards, terminals, truncations)
        returns = returns + rewards[0]
        yield step, returns


def summary_table(episode: Episode, batch: EnvBatch) -> Table:
    """What each cog did: gear, hearts, junctions, score."""
    table = Table(title="episode")
    for name in ("cog", "gear", "hearts gained", "hearts lost", "hearts", "aligned", "scrambled", "deaths", "score"):
        table.add_column(name, justify="left" if name in ("cog", "gear") else "right")
    stats = (
        "heart.gained",
        "heart.lost",
        "heart.amount",
        "junction.aligned_by_agent",
        "junction.scrambled_by_agent",
        "death",
    )
    for agent, inventory in enumerate(batch.inventories()[0]):
        numbers = [f"{episode.agent[name][agent]:.0f}" for name in stats]
        table.add_row(str(agent), gear_of(inventory) or "–", *numbers, f"{episode.returns[agent]:.3f}")
    return table


def _show_live(batch: EnvBatch, policy: Policy, seed: int, console: Console) -> None:
    """A moving picture, fitted to the terminal."""
    height = max(5, console.size.height - batch.num_agents - 4)
    view = Viewport.around_hub(batch.map(0), height, console.size.width // 2)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for step, returns in play_steps(batch, policy, seed):
            started = time.perf_counter()
            live.update(frame(batch, 0, step, returns, view), refresh=True)
            time.sleep(max(0.0, 1 / FRAMES_PER_SECOND - (time.perf_counter() - started)))


def _show_some(batch: EnvBatch, policy: Policy, seed: int, show: Show) -> None:
    """Show the first, the last and a few steps between."""
    every = max(1, batch.mission.max_steps // LOG_LINES)
    for step, returns in play_steps(batch, policy, seed):
        if step % every == 0 or step == batch.mission.max_steps:
            show(step, returns)


def play(config: PlayConfig) -> int:
    """Run the job. Raises UserError for bad input, among it a renderer that there is not."""
    uri, policy, mission = contestants(config)
    if config.render == "gui":
        return play_live(mission, policy, config.seed, uri)
    batch = EnvBatch(mission, 1, maps=build_pool(mission, 1, config.seed), seed=config.seed, auto_reset=False)
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    print(f"{uri} plays {mission.name}, {mission.agents} agents, {mission.max_steps} steps, seed {config.seed}")
    if config.render == "log":
        _show_some(batch, policy, config.seed, lambda step, returns: print(status_line(batch, 0, step, returns)))
    elif sys.stdout.isatty():
        _show_live(batch, policy, config.seed, console)
    else:
        view = Viewport.around_hub(batch.map(0), 60, console.width // 2)

        def draw(step: int, returns: np.ndarray) -> None:
            console.print(frame(batch, 0, step, returns, view), soft_wrap=True)

        _show_some(batch, policy, config.seed, draw)
    console.print(summary_table(batch.statistics(0), batch))
    return 0
