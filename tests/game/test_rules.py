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


def test_the_clips_own_ends_lift_none_of_the_missions():
    ends = dict.fromkeys(("scramble_end", "align_end", "presence_end"), 1400)
    calm = {"day_deltas": {}, "night_deltas": {}}
    for quirk, last in ((True, 1000), (False, 1400)):
        settings = {"clips": ends, "weather": calm, "quirks": {"objective_weight_frozen": quirk}}
        assert max(step for step, _ in event_rows(Play(["@"], max_steps=1500, **settings).mission)[1]) == last


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


def test_an_amount_of_256_takes_a_second_token():
    play = Play(
        ["@CH"], teams={"cogs": {"num_agents": 1, "wealth": 85, "initial_hearts": 256}}, extractor={"stock": 256},
        cog={"initial_energy": 256}, deposit_amount=1,
    )  # fmt: skip
    for name in ("energy", "carbon", "heart"):
        assert (play.tokens(f"inv:{name}"), play.tokens(f"inv:{name}:p1")) == ([0], [1]), name
    assert (play.tokens("inv:collective:carbon"), play.tokens("inv:collective:carbon:p1")) == ([255], [])
    play = Play(["@j"], teams={"cogs": {"num_agents": 1, "wealth": 85}}, cog={"initial_inventory": {"carbon": 1}})
    play.step(EAST)
    assert (play.tokens("inv:collective:carbon"), play.tokens("inv:collective:carbon:p1")) == ([0], [1])


def test_an_episode_is_complete_at_its_last_step_and_not_before():
    play = Play(["@"], max_steps=3)
    shown = play.tokens("episode_completion_pct")
    for _ in range(4):
        play.step()
        shown += play.tokens("episode_completion_pct")
    assert shown == [0, 85, 170, 255, 255]


def test_clips_act_for_the_last_time_at_the_end_of_their_schedule():
    times = {"initial_clips_start": 90, "align_start": 2, "align_interval": 3}
    for end, taken in ((4, 1), (5, 2), (6, 2), (None, 4)):
        play = Play(FIELD, clips=times | {"align_end": end}, max_steps=11)
        play.wait(11)
        assert play.owners().count("clips") == taken, end
    for end, freed in ((4, 1), (5, 2)):
        times = {"initial_clips_start": 90, "scramble_start": 2, "scramble_interval": 3, "scramble_end": end}
        play = Play(["@jjjj"], clips=times)
        play.wait(50)
        assert play.owners().count(None) == freed, end


def test_weather_changes_at_the_last_step_too():
    for steps, solar in ((99, 3), (100, 1)):
        play = Play(["@"], max_steps=steps, quirks={"objective_weight_frozen": False})
        play.wait(steps)
        assert play.item("solar") == solar


def test_one_event_takes_as_many_junctions_as_it_says():
    play = Play(
        FIELD, clips={"initial_clips_start": 1, "initial_clips_spots": 3, "align_start": 2, "scramble_start": 90}
    )
    for taken in (3, 4, 4):
        play.step()
        assert play.owners().count("clips") == taken
    play = Play(["@jjjj"], clips={"initial_clips_start": 90, "scramble_start": 1})
    play.step()
    assert play.owners().count(None) == 1


def test_an_area_ends_at_its_radius():
    for rows in (["@..H"], ["@...", "...H"], ["@....H"]):
        distance = sum((end - start) ** 2 for start, end in zip(*ends(rows), strict=True)) ** 0.5
        for radius in range(1, 7):
            play = Play(rows, area={"radius": radius}, variants=["no_clips"])
            play.step()
            assert (play.item("hp") == 100) == (radius >= distance), (rows, radius)


def ends(rows: list[str]) -> list[tuple[int, int]]:
    """Row and column of the agent and of the hub."""
    places = {cell: (r, c) for r, row in enumerate(rows) for c, cell in enumerate(row)}
    return [places["@"], places["H"]]


def test_clips_that_mind_distance_reach_as_far_as_their_radius():
    for radius, taken in ((4, 1), (5, 2)):
        play = Play(
            ["J....@", "......", "......", "......", "...J.."], quirks={"clips_ignore_distance": False},
            clips={"initial_clips_start": 1, "align_start": 2, "align_radius": radius},
        )  # fmt: skip
        play.wait(2)
        assert play.owners().count("clips") == taken


def test_silicon_falls_out_of_a_bag_first_and_oxygen_last():
    bag = {"oxygen": 3, "carbon": 3, "germanium": 3, "silicon": 3}
    for room, left in ((10, (3, 3, 3, 1)), (7, (3, 3, 1, 0)), (4, (3, 1, 0, 0)), (2, (2, 0, 0, 0))):
        play = Play(["@"], variants=["no_clips"], cog={"initial_inventory": bag, "cargo_limit": room})
        play.step()  # the loss of hp enforces all limits
        assert tuple(play.item(name) for name in bag) == left


def test_elements_of_a_team_share_one_limit():
    bag = {"oxygen": 5, "carbon": 5, "heart": 3}
    for limit, stored in ((24 * 4, 0), (24 * 4 + 7, 7), (24 * 4 + 10, 10), (24 * 4 + 99, 10)):
        play = Play(
            ["@j"], team_element_limit=limit, variants=["no_clips"], teams={"cogs": {"num_agents": 8}},
            cog={"initial_inventory": bag, "cargo_limit": 10}, cogs=1,
        )  # fmt: skip
        play.step(EAST)
        assert play.batch.team_inventory()[0, 0].sum() == 24 * 4 + stored
        assert play.item("oxygen") + play.item("carbon") == 10 - stored


def test_freeing_a_junction_needs_its_price_in_hearts():
    for hearts, price, freed in ((0, 1, False), (1, 1, True), (1, 2, False), (2, 2, True)):
        play = Play(
            ["@J"], cost={"scramble": {"heart": price}}, variants=["all_clips"],
            cog={"initial_inventory": {"scrambler": 1, "heart": hearts}},
        )  # fmt: skip
        play.step(EAST)
        assert (play.owners() == [None], play.item("heart")) == (freed, hearts - freed * price)


def test_a_use_that_makes_an_extractor_vanish_is_not_free():
    for single in (False, True):
        play = Play(
            ["@C"], extractor={"stock": 0, "single_use": single}, quirks={"idle_use_costs_energy": False},
            cog={"initial_solar": 0}, weather={"day_deltas": {}, "night_deltas": {}},
        )  # fmt: skip
        play.step()
        play.step(EAST)
        assert play.item("energy") == 16 and play.batch.objects(0) == []


def test_clips_without_a_junction_come_back_where_they_mind_distance():
    for quirk, end, owner in ((False, None, "clips"), (False, 4, None), (True, None, None)):
        play = Play(
            ["@J"], quirks={"clips_ignore_distance": quirk}, cog={"initial_inventory": {"scrambler": 1, "heart": 1}},
            clips={
                "initial_clips_start": 1, "scramble_start": 90, "scramble_interval": 2, "align_start": 90,
                "presence_end": end,
            },
        )  # fmt: skip
        play.step(EAST)
        assert play.owners() == [None]  # taken and freed
        play.wait(3)
        assert play.owners() == [None]
        play.step()
        assert play.owners() == [owner], (quirk, end)
