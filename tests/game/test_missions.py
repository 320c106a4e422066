"""Missions, variants and difficulties by name: what they set, and what that does in play."""

from typing import Any

import pytest

from metta.common.defaults import MISSION
from metta.common.errors import UserError
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission, load_mission, mission_names, mission_set, mission_sets
from metta.game.observation import env_info
from metta.game.rewards import reward_entries
from metta.game.variants import MISSION_VARIANTS, VARIANTS
from tests.game.play import EAST, SOUTH, Play

CORNERS = {
    "rising": [(0.08, 0.92), (0.92, 0.08)],
    "falling": [(0.08, 0.08), (0.92, 0.92)],
}
DISTANT = {
    element: {
        "kind": "bimodal",
        "places": [{"row": r, "col": c, "row_spread": 0.18, "col_spread": 0.18} for r, c in CORNERS[diagonal]],
    }
    for element, diagonal in (
        ("carbon", "rising"), ("oxygen", "falling"), ("germanium", "rising"), ("silicon", "falling"),
    )
}  # fmt: skip
EVALUATED = {name for label in mission_sets() if label != "integrated_evals" for name in mission_set(label)}
ABSOLUTE = {"weather_adds_difference": False}


def build(**settings: object) -> Mission:
    return build_mission(MissionSettings.model_validate(settings))


def changes(mission: Mission, base: Mission) -> dict[str, Any]:
    """Settings by path in which two missions differ, names of variants left out."""
    found: dict[str, Any] = {}
    for section, values in mission.model_dump(exclude={"variants"}).items():
        before = base.model_dump()[section]
        if isinstance(values, dict) and section != "teams":
            found |= {f"{section}.{key}": value for key, value in values.items() if value != before[key]}
        elif values != before:
            found[section] = values
    return found


def test_the_missions_are_those_of_the_table():
    rows = {
        name: (m.agents, m.max_steps, m.teams["cogs"].hub_hearts, m.teams["cogs"].stock_of("carbon"), m.cog.heart_limit)
        for name, m in ((name, load_mission(name)) for name in mission_names())
        if name not in EVALUATED
    }
    assert rows == {
        "cogsguard_arena.basic": (8, 1000, 5, 24, 10),
        "cogsguard_arena.aligner_tutorial": (4, 1000, 255, 36, 3),
        "cogsguard_arena.scrambler_tutorial": (4, 1000, 120, 36, 3),
        "cogsguard_arena.scout_tutorial": (4, 1000, 0, 36, 10),
        "cogsguard_machina_1.basic": (8, 10000, 5, 24, 10),
        "cogsguard_machina_1.miner_tutorial": (4, 1000, 5, 12, 10),
        "cogsguard_tutorial.tutorial": (1, 2000, 5, 3, 10),
        "hello_world.energy_starved": (8, 10000, 5, 24, 10),
    }


def test_a_mission_is_found_by_its_site_or_its_own_name():
    assert load_mission("cogsguard_machina_1").name == "cogsguard_machina_1.basic"
    assert load_mission("scout_tutorial").name == "cogsguard_arena.scout_tutorial"
    assert load_mission("basic").name == MISSION  # the default's, of the sites that have one


def test_each_tutorial_rewards_its_role():
    for role in ("aligner", "scrambler", "scout", "miner"):
        mission = load_mission(f"{role}_tutorial")
        assert mission.rewards == [role]
        assert mission.clips.disabled == (role != "scrambler")
        assert mission.label == f"{mission.name}.{role}"


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("no_clips", {"clips.disabled": True}),
        ("easy", {"clips.disabled": True}),
        ("medium", {"clips.scramble_end": 300, "clips.align_end": 300, "clips.presence_end": 300}),
        ("hard", {}),
        ("clips_medium", {}),
        (
            "clips_hard",
            {
                "clips.initial_clips_start": 5, "clips.initial_clips_spots": 2, "clips.scramble_start": 25,
                "clips.scramble_interval": 50, "clips.align_start": 50, "clips.align_interval": 50,
                "clips.scramble_radius": 35, "clips.align_radius": 35,
            },
        ),
        ("thick_skinned", {"cog.hp_regen": 0}),
        ("speed_run", {"max_steps": 600, "built_steps": 1000}),
        ("no_vibes", {"change_vibe": False}),
        ("scout_rewards", {"rewards": ["scout"]}),
        ("standard", {}),
        ("single_use", {}),
        ("energy_crisis", {}),
        ("caves", {"map.base_biome": "caves", "map.biomes": {"caves": 1, "plains": 1}}),
        ("distant_resources", {"map.coverage": 0.01, "map.distributions": DISTANT}),
        ("balanced_corners", {"map.balanced_corners": True}),
        ("forced_role_vibes", {"roles": ["miner", "aligner", "scrambler", "scout"], "change_vibe": False}),
    ],
)  # fmt: skip
def test_a_variant_sets_what_it_names(variant: str, expected: dict[str, object]):
    mission = build(variants=[variant])
    assert changes(mission, Mission(description=mission.description)) == expected
    assert mission.variants == [variant]


@pytest.mark.parametrize(
    ("variant", "quirks", "solar"),
    [
        ("standard", {}, (3, 1)),
        ("dark_side", {}, (1, 1)),
        ("no_weather", {}, (1, 1)),
        ("super_charged", {}, (3, 1)),
        ("super_charged", ABSOLUTE, (5, 3)),
        ("energized", {}, (1, 1)),
        ("energized", ABSOLUTE, (255, 255)),
    ],
)
def test_solar_by_day_and_night(variant: str, quirks: dict[str, bool], solar: tuple[int, int]):
    play = Play(["@"], variants=[variant], quirks=quirks)
    play.step()
    day = play.item("solar")
    play.wait(99)
    assert (day, play.item("solar")) == solar


def test_an_energized_cog_keeps_the_energy_it_starts_with():
    for variants, energy in ((["no_weather"], 20), (["no_weather", "energized"], 101)):
        play = Play(["@"], variants=variants)
        play.step()
        assert play.item("energy") == energy


def test_a_brave_team_finds_255_hearts_in_its_hub():
    play = Play(["@H"], variants=["braveheart"])
    assert [o["stock"] for o in play.batch.objects(0)] == [255]
    play.step(EAST)
    assert play.item("heart") == 1


def test_a_wave_alone_takes_three_junctions_and_no_more():
    play = Play(["@.JJJJJ"], variants=["clips_wave_only"])
    play.wait(9)
    assert play.owners().count("clips") == 0
    play.wait(300)
    assert play.owners().count("clips") == 3


def test_all_clips_stays_at_peace_after_step_1_however_long_the_episode():
    mission = build(variants=["all_clips"], max_steps=5000, quirks={"objective_weight_frozen": False})
    assert (mission.clips.scramble_end, mission.clips.align_end) == (0, 0)
    play = Play(["@JJJJ"], variants=["all_clips"])
    play.wait(250)
    assert play.owners() == ["clips"] * 4


def test_easy_removes_the_clips_and_hard_brings_them_back():
    assert build(difficulty="easy").clips.disabled
    assert not build(variants=["no_clips"], difficulty="hard").clips.disabled


def test_without_vibes_there_are_five_actions():
    assert len(env_info(build()).action_names) == 12
    assert len(env_info(build(variants=["no_vibes"])).action_names) == 5
    assert len(env_info(build(change_vibe=False)).action_names) == 5


def test_forced_roles_show_in_vibes_and_in_a_token_of_their_own():
    play = Play(["@@@@@.H"], variants=["forced_role_vibes", "no_clips"])
    features = play.batch.info.features
    ids = {feature.name: feature.id for feature in features}
    assert [feature.id for feature in features] == list(range(84))
    assert (ids["inv:role_id"], ids["inv:own:role_id"], ids["last_action_move"]) == (42, 80, 83)
    assert play.batch.info.action_names == env_info(build(variants=["no_vibes"])).action_names
    assert play.batch.vibes()[0].tolist() == [5, 4, 3, 6, 5]  # miner, aligner, scrambler, scout, miner
    own = [
        [value for place, feature, value in agent.tolist() if (place, feature) == (0xFE, ids["inv:own:role_id"])]
        for agent in play.observations[0]
    ]
    assert own == [[0], [1], [2], [3], [0]]
    seen = [value for _, feature, value in play.observations[0, 0].tolist() if feature == ids["inv:role_id"]]
    assert seen == [1, 2, 3]  # those of the others; nobody holds a 0
    play.step(4, 4, 4, 4, 4)
    assert play.item("role_id", 3) == 3
    rewards = build(variants=["forced_role_vibes"], rewards=["role_conditional"], roles=["scout", "miner"])
    assert [("cell_visited" in reward_entries(rewards, index)) for index in range(4)] == [True, False, True, False]


LEVELS = {"difficulties_without_effect": False}


def test_a_world_of_single_use_has_one_use_in_everything():
    play = Play(["H@C", ".a."], variants=["single_use", "no_clips"], quirks=LEVELS, cog={"energy_limit": 100})
    play.step(EAST)
    assert play.item("carbon") == 1 and not [o for o in play.batch.objects(0) if "extractor" in o["type"]]
    play.step(SOUTH)
    assert play.item("aligner") == 1
    assert {o["stock"] for o in play.batch.objects(0) if o["type"] == "c:aligner"} == {0}
    again = Play(["@a@"], variants=["single_use", "no_clips"], quirks=LEVELS)
    again.step(EAST)
    again.step(0, 3)
    assert (again.item("aligner", 0), again.item("aligner", 1)) == (1, 0)


def test_the_one_use_of_an_extractor_is_not_wasted_on_a_full_bag():
    play = Play(["@C"], variants=["single_use"], quirks=LEVELS, cog={"cargo_limit": 0})
    play.step(EAST)
    assert not play.batch.successes()[0, 0]
    assert [o["type"] for o in play.batch.objects(0)] == ["carbon_extractor"]


@pytest.mark.parametrize(
    ("variant", "energy", "solar", "cost"),
    [("standard", 20, 3, 4), ("hard", 20, 1, 6), ("energy_crisis", 10, 1, 4), ("speed_run", 20, 2, 1)],
)
def test_difficulties_that_have_their_effect(variant: str, energy: int, solar: int, cost: int):
    play = Play(["@.........."], variants=[variant], quirks=LEVELS, max_steps=600)
    play.wait(2)
    assert (play.item("energy"), play.item("solar")) == (energy, solar)
    play.step(EAST)
    assert play.item("energy") == min(energy, energy - cost + solar)


def test_variants_apply_in_order_and_keep_to_their_fields():
    for name in MISSION_VARIANTS:
        mission = build(variants=[name, "braveheart"])
        assert mission.variants == [name, "braveheart"] and mission.teams["cogs"].initial_hearts == 255
    assert all(text for text, _ in VARIANTS.values())


def test_single_settings_beat_the_variants():
    mission = build(
        variants=["braveheart", "thick_skinned"], teams={"cogs": {"initial_hearts": 3}}, cog={"hp_regen": -2},
        deposit_amount=7, team_element_limit=50,
    )  # fmt: skip
    assert (mission.teams["cogs"].hub_hearts, mission.cog.hp_regen) == (3, -2)
    assert (mission.deposit_amount, mission.team_element_limit) == (7, 50)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"variants": ["dark_sid"]}, "unknown variant 'dark_sid' (did you mean dark_side"),
        ({"rewards": ["minr"]}, "unknown reward preset 'minr' (did you mean miner"),
        ({"teams": {"cog": {}}}, "unknown team 'cog' (did you mean cogs"),
        ({"cost": {"heart": {"hart": 1}}}, "mission.cost.heart: unknown resource 'hart' (did you mean heart"),
        ({"area": {"friendly": {"hp": 1 << 40}}}, "mission.area.friendly.hp"),
        ({"quirks": {"inert": True}}, "unknown key 'mission.quirks.inert'"),
        ({"variants": ["multi_team"], "cogs": 7}, "mission.cogs=7 cannot be split among 2 teams"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: str):
    with pytest.raises(UserError) as error:
        build(**settings)
    assert words in str(error.value)
