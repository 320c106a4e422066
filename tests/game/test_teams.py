"""Several teams on one map: each has its own stock, hub, areas and score."""

import numpy as np

from tests.game.play import EAST, FEATURES, SOUTH, WEST, Play

# Each cog has its hub on one side, the junction between them on the other, and a station below.
GREEN = ["H@J..", ".a..."]
BLUE = ["...@H", "...x."]


def contest() -> Play:
    """Green (agent 0) has taken the junction; blue (agent 1) holds a heart and a scrambler."""
    play = Play(GREEN, rival=BLUE, area={"radius": 2})  # the rival's hub, 3 cells away, drains no influence
    play.step(WEST, EAST)
    play.step(SOUTH, SOUTH)
    play.step(EAST)
    return play


def test_a_team_pays_from_its_own_stock():
    play = Play(GREEN, rival=BLUE)
    before = play.batch.team_inventory()[0].sum(-1)
    play.step(SOUTH)
    blue, green = before - play.batch.team_inventory()[0].sum(-1)  # collectives are in alphabetical order
    assert (play.item("aligner", 0), green, blue) == (1, 6, 0)
    assert play.tokens("inv:collective:carbon", 0) == [0] and play.tokens("inv:collective:carbon", 1) == [3]


def test_what_the_other_team_owns_cannot_be_used():
    play = Play(["@...."], rival=[".a..@"])
    play.step(EAST)
    assert not play.batch.successes()[0, 0]
    assert play.tokens("agent:group", 0) == [0, 1]  # itself first, then the rival further away


def test_an_area_feeds_its_team_and_hurts_the_other():
    play = Play(["@......."], rival=["...@...H"], cog={"hp_regen": 0})
    play.step()
    assert (play.item("hp", 0), play.item("hp", 1)) == (49, 100)


def test_only_the_team_that_holds_a_junction_scores():
    play = contest()
    assert play.owners() == ["cogs_green"]
    np.testing.assert_allclose(play.rewards, [[1 / 1000, 0]], atol=1e-8)
    statistics = play.batch.statistics(0)
    assert statistics.collective["cogs_green"]["aligned.junction.held"] == 1
    assert "aligned.junction.held" not in statistics.collective["cogs_blue"]


def test_a_scrambler_frees_the_junction_of_the_other_team():
    play = contest()
    play.step(0, WEST)
    assert play.owners() == [None]
    assert (play.rewards == 0).all()
    statistics = play.batch.statistics(0)
    assert statistics.agent["junction.aligned_by_agent"].tolist() == [1, 0]
    assert statistics.agent["junction.scrambled_by_agent"].tolist() == [0, 1]


def test_territory_belongs_to_the_nearest_source_and_to_nobody_at_equal_distance():
    play = Play(["@H...."], rival=["....@H"], quirks={"territory_invisible": False})
    tokens = play.observations[0, 0].tolist()
    row = {place & 15: value for place, name, value in tokens if name == FEATURES["aoe_mask"].id and place >> 4 == 5}
    assert row == {**dict.fromkeys(range(8), 1), 9: 2, 10: 2}  # columns of the window; the agent stands on 5
