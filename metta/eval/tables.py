"""Results of an evaluation as tables for people."""

from collections.abc import Iterator

from rich.table import Table

from metta.eval.contest import ContestResult
from metta.eval.match import Player
from metta.eval.results import REWARD, MatchSummary
from metta.eval.statistics import as_cells, interval_head, summarize
from metta.game.resources import CLIPS

# Rows of a mission's table; the document has all statistics.
AGENT_ROWS = (
    "heart.gained", "heart.lost", "junction.aligned_by_agent", "junction.scrambled_by_agent", "death", "aligner.gained",
    "scrambler.gained", "miner.gained", "scout.gained", "cell.visited", "action.move.success", "action.failed",
)  # fmt: skip
TEAM_ROW = "aligned.junction.held"


def contest_tables(result: ContestResult) -> Iterator[Table]:
    """A table for each mission, and one over all of them where there are several."""
    for played in result.matches:
        yield mission_table(played)
    if len(result.matches) > 1:
        yield overview(result)


def mission_table(result: MatchSummary) -> Table:
    """Means and 95 % intervals of each policy's agents."""
    match, policies = result.match, range(len(result.names))
    title = f"{match.mission.name}: mean of {result.episodes} episodes, {match.max_steps} steps"
    table = Table(title=title, title_justify="left")
    table.add_column("per agent and episode")
    for name, player in zip(result.names, match.players, strict=True):
        table.add_column(f"{name}\n{seats(player)}", justify="right")
        table.add_column(interval_head(result.episodes), justify="right")
    metrics = [{REWARD: summarize(result.rewards(index))} | result.agent_metrics(index) for index in policies]
    for name in (REWARD, *AGENT_ROWS):
        if any(name in found for found in metrics):
            table.add_row(name, *(cell for found in metrics for cell in as_cells(found.get(name))))
    for index in policies:
        for kind, count in sorted(result.faults[index].items()):
            cells = [cell for other in policies for cell in (f"{count:,}" if other == index else "", "")]
            table.add_row(f"{kind} (agent-steps in all)", *cells)
    game = result.game_metrics()
    table.add_section()
    for name in (f"{team}/{TEAM_ROW}" for team in (*match.mission.teams, CLIPS)):
        if name in game:
            table.add_row(f"{name} (team)", *as_cells(game[name]), *[""] * (2 * len(result.names) - 2))
    return table


def seats(player: Player) -> str:
    """How many agents it plays, and of which team where it plays for one."""
    return f"{player.seats} agents" + (f" of {player.team}" if player.team else "")


def overview(result: ContestResult) -> Table:
    """Reward on every mission."""
    names = result.matches[0].names
    table = Table(title="reward per agent and episode", title_justify="left")
    table.add_column("mission")
    table.add_column("episodes", justify="right")
    for name in names:
        table.add_column(name, justify="right")
        table.add_column("95 % interval", justify="right")
    for played in result.matches:
        rewards = [summarize(played.rewards(index)) for index in range(len(names))]
        cells = (cell for reward in rewards for cell in as_cells(reward))
        table.add_row(played.match.mission.name, str(played.episodes), *cells)
    return table
