"""Rules that recorded episodes show little of: clips, presets, quirks and their other values."""

import numpy as np
import pytest

from metta.game.engine.schedule import event_rows
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.rewards import reward_entries
from tests.game.play import EAST, ITEM, Play

FIELD = ["@.....J....J....J", ".................", "J....J....J....J."]


def test_idle_cogs_lose_one_junction_at_step_10_and_one_more_each_100_steps():
    play = Play(FIELD, envs=4)
    for step in range(1, 351):
        play.step()
        expected = 0 if step < 10 else 1 + step // 100
        assert all(play.owners(e).count("clips") == expected for e in range(4)), step


def test_clips_choose_uniformly_among_the_junctions():
    play = Play(FIELD, envs=700, seed=3)
    play.wait(10)
    taken = np.array([[owner == "clips" for owner in play.owners(e)] for e in range(700)]).sum(0)
    assert taken.sum() == 700
    expected = 700 / len(taken)
    assert ((taken - expected) ** 2 / expected).sum() < 22.5  # chi-square, 6 degrees of freedom, p = 0.001


def test_all_clips_takes_every_neutral_junction_at_step_1():
    play = Play(FIELD, variants=["all_clips"])
    play.step()
    assert set(play.owners()) == {"clips"}


def test_clips_that_mind_distance_stay_near_their_junctions():
    rows = ["@J" + "." * 60 + "J"]
    near = {"scramble_radius": 5, "align_radius": 5, "align_start": 20, "align_interval": 20}
    everywhere = Play(rows, clips=near)
    close = Play(rows, clips=near, quirks={"clips_ignore_distance": False})
    for play in (everywhere, close):
        play.wait(100)
    assert everywhere.owners().count("clips") == 2
    assert close.owners().count("clips") == 1


def test_credit_charges_everybody_at_step_1_unless_negative_caps_are_floors():
    for quirk, expected in ((True, -0.8), (False, 0.0)):
        play = Play(["@@"], rewards=["credit"], variants=["no_clips"], quirks={"negative_caps_charge_at_once": quirk})
        play.step()
        np.testing.assert_allclose(play.rewards, expected, atol=1e-6)


def test_milestones_pay_for_holdings_when_told_to():
    for quirk, expected in ((True, 0.0), (False, 2.0)):
        play = Play(
            ["@jj"], rewards=["no_objective", "milestones"], variants=["no_clips"],
            quirks={"milestones_ignore_holdings": quirk, "hub_junction_is_special": False},
        )  # fmt: skip
        play.step()
        assert float(play.rewards[0, 0]) == expected


def test_the_hubs_own_junction_counts_only_when_it_is_not_special():
    for quirk, expected in ((True, 0.0), (False, 1 / 1000)):
        play = Play(["@j"], variants=["no_clips"], quirks={"hub_junction_is_special": quirk})
        play.step()
        np.testing.assert_allclose(play.rewards[0, 0], expected, atol=1e-7)


def test_the_objective_keeps_the_missions_steps_unless_told_to_follow():
    for quirk, steps in ((True, 1000), (False, 400)):
        entry = reward_entries(Play(["@"], quirks={"objective_weight_frozen": quirk}).mission, 0)
        assert entry["aligned_junction_held"].weight == pytest.approx(1 / steps)


def test_events_end_with_the_missions_steps_unless_told_to_follow():
    for quirk, last in ((True, 1000), (False, 1500)):
        mission = Play(["@"], max_steps=1500, quirks={"objective_weight_frozen": quirk}).mission
        assert max(step for step, _ in event_rows(mission)[1]) == last


def test_role_conditional_goes_round_the_roles():
    mission = build_mission(MissionSettings(rewards=["role_conditional"]))
    roles = ["miner", "aligner", "scrambler", "scout"]
    for index in range(8):
        assert f"{roles[index % 4]}_gained" in reward_entries(mission, index)


def test_every_change_of_vibe_is_penalised():
    play = Play(["@."], rewards=["no_objective", "penalize_vibe_change"])
    for action, expected in ((6, -0.01), (6, -0.01), (0, 0.0)):
        play.step(action)
        np.testing.assert_allclose(play.rewards[0, 0], expected, atol=1e-7)


def test_solar_follows_the_difference_or_the_days_own_value():
    weather = {"day_deltas": {"solar": 9}, "night_deltas": {"solar": 5}}
    for quirk, (day, night) in ((True, (5, 1)), (False, (9, 5))):
        play = Play(["@"], weather=weather, quirks={"weather_adds_difference": quirk})
        play.step()
        assert play.item("solar") == day
        play.wait(99)
        assert play.item("solar") == night


def test_initial_energy_is_cut_at_reset_or_at_the_first_write():
    for quirk, expected in ((True, 100), (False, 20)):
        assert Play(["@"], quirks={"initial_energy_above_limit": quirk}).item("energy") == expected


def test_gear_raises_a_limit_to_its_bonus_or_by_it():
    for quirk, expected in ((True, 400), (False, 500)):
        play = Play([".@s.", ".H.."], quirks={"bonuses_do_not_add": quirk}, variants=["no_clips"])
        play.step(EAST)
        play.wait(5)
        assert play.item("hp") == expected


HUB = [".@H.", "...."]


def test_a_full_bag_burns_elements_unless_told_not_to():
    for quirk, paid in ((True, 10), (False, 0)):
        play = Play(
            HUB, cog={"heart_limit": 0}, teams={"cogs": {"initial_hearts": 1, "wealth": 4}}, variants=["no_clips"],
            quirks={"full_bag_burns_elements": quirk},
        )  # fmt: skip
        before = play.batch.team_inventory()[0, 0, ITEM["carbon"]]
        play.step(EAST)
        assert before - play.batch.team_inventory()[0, 0, ITEM["carbon"]] == paid


def test_a_use_without_effect_costs_energy_unless_told_not_to():
    for quirk, energy in ((True, 19), (False, 20)):
        play = Play(["@C"], cog={"cargo_limit": 0}, quirks={"idle_use_costs_energy": quirk})
        play.step()
        play.step(EAST)
        assert bool(play.batch.successes()[0, 0]) and play.item("energy") == energy


def test_the_last_step_is_a_terminal_or_a_truncation():
    for quirk in (True, False):
        play = Play(["@"], max_steps=3, quirks={"time_limit_is_terminal": quirk})
        play.wait(3)
        assert play.terminals.all() == quirk and play.truncations.all() != quirk


def test_territory_shows_only_when_told_to():
    for quirk, shown in ((True, set()), (False, {1})):
        play = Play(["@H"], variants=["no_clips"], quirks={"territory_invisible": quirk})
        assert set(play.tokens("aoe_mask")) == shown


def test_territory_that_does_not_fit_counts_as_dropped():
    tokens = []
    for quirk in (True, False):
        rows = ["@@@@@@@@@@"] * 2 + ["H........."]
        play = Play(rows, variants=["no_clips"], area={"radius": 30}, quirks={"territory_invisible": quirk})
        game = play.batch.statistics(0).game
        tokens.append(game["tokens_written"] + game["tokens_dropped"])
    assert tokens[1] - tokens[0] == 20 * 121  # one for every cell of every window


def test_the_last_reward_shows_only_when_told_to():
    entries = {"steps": {"stat": "action.noop.success", "weight": 0.5}}
    for quirk, expected in ((True, 0), (False, 50)):
        play = Play(["@"], quirks={"last_reward_invisible": quirk}, rewards=["no_objective"], reward_entries=entries)
        play.wait(2)
        assert play.tokens("last_reward") == [expected]


def test_an_observation_ends_at_200_tokens_and_counts_what_it_drops():
    play = Play(["@@@@@@@@@@"] * 2)
    used = (play.observations[0, :, :, 0] != 0xFF).sum(-1)
    assert used.max() == 200
    game = play.batch.statistics(0).game
    assert game["tokens_dropped"] > 0
    assert game["tokens_written"] == used.sum()


def test_no_price_lifts_what_a_deed_needs():
    play = Play(["@J"], cog={"influence_limit": 5, "influence_regen": 1}, cost={"align": {"aligner": 0}})
    play.wait(2)
    play.step(EAST)
    assert play.owners() == [None] and not play.batch.successes().any()


def test_a_team_starts_with_no_more_than_16_bits_hold():
    play = Play(["@"], teams={"cogs": {"num_agents": 255, "wealth": 1000}}, cogs=1)
    assert play.batch.team_inventory().max() == 65535
    assert play.tokens("inv:collective:carbon") == [255] and play.tokens("inv:collective:carbon:p1") == [255]


def test_an_extractor_that_is_empty_leaves_the_map():
    play = Play(["@C."], extractor={"stock": 2}, cog={"energy_limit": 100})
    for _ in range(3):
        play.step(EAST)
    assert play.item("carbon") == 2
    assert play.batch.positions()[0, 0].tolist() == [5, 6]
