"""A match as plain lines, and the table at its end."""

from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from metta.common.errors import printable
from metta.view.events import Watcher
from metta.view.match import Match
from metta.view.scene import scene_of

STATUS_LINES = 10  # of an episode
HEARTS = {"hearts gained": "heart.gained", "hearts lost": "heart.lost", "hearts": "heart.amount"}
DEEDS = {"aligned": "junction.aligned_by_agent", "scrambled": "junction.scrambled_by_agent", "deaths": "death"}
WIDE = 80  # columns that the whole table needs


def status_line(match: Match) -> str:
    """Step, score and junctions in one plain line."""
    scene = scene_of(match)
    hearts = sum(cog.carried["heart"] for cog in scene.cogs)
    junctions = ", ".join(f"{owner} {count}" for owner, count in scene.junctions.items())
    score = f"mean score {scene.score:.3f}  hearts carried {hearts}"
    return f"step {scene.step}/{scene.max_steps}  {score}  junctions: {junctions}"


def play_with_pauses(match: Match, show: Callable[[], None], after_step: Callable[[], None] = lambda: None) -> None:
    """Play to the end; `show` is called at the start, at the end and a few times between."""
    every = max(1, match.mission.max_steps // STATUS_LINES)
    show()
    while not match.ended:
        match.advance()
        after_step()
        if match.step % every == 0 or match.ended:
            show()


def play_log(match: Match) -> None:
    """Play to the end, printing what happens and how it stands."""
    watcher = Watcher(match)

    def tell() -> None:
        for event in watcher.look():
            print(printable(f"{event.step:6}  {event.text}"), flush=True)

    play_with_pauses(match, lambda: print(printable(status_line(match)), flush=True), tell)


def summary_table(match: Match, title: str, width: int) -> Table:
    """What each cog did: gear, hearts, junctions, score; without the junctions in fewer than 80 columns. Where several
    teams play, a line for each: its hearts, its junctions, its mean score."""
    wide = width >= WIDE
    columns = HEARTS | DEEDS if wide else {name.removeprefix("hearts "): key for name, key in HEARTS.items()}
    table = Table(title=Text(title)) if wide else Table(title=Text(title), box=None, padding=(0, 1, 0, 0))
    for name in ("cog", "gear", *columns, "score"):
        table.add_column(name, justify="left" if name in ("cog", "gear") else "right")
    statistics, scene = match.batch.statistics(0).agent, scene_of(match)
    for cog in scene.cogs:
        numbers = [f"{statistics[name][cog.number]:.0f}" for name in columns.values()]
        table.add_row(str(cog.number), cog.gear or "-", *numbers, f"{cog.score:.3f}")
    if len(scene.stock) > 1:
        table.add_section()
        for team in scene.stock:
            cogs = [cog.number for cog in scene.cogs if cog.team == team]
            numbers = [f"{statistics[name][cogs].sum():.0f}" for name in columns.values()]
            table.add_row(Text(team), "", *numbers, f"{match.returns[cogs].mean():.3f}")
    return table
