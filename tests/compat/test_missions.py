"""Missions built in Python as for cogames: the tree is the original's, edits of it are played or refused by name."""

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cogames.cli.mission import find_mission, get_mission, load_mission_set, parse_variants
from cogames.cogs_vs_clips.clip_difficulty import EASY
from cogames.cogs_vs_clips.cog import CogConfig, CogTeam
from cogames.cogs_vs_clips.mission import CvCMission
from cogames.cogs_vs_clips.missions import MISSIONS, get_core_missions, make_game
from cogames.cogs_vs_clips.sites import COGSGUARD_ARENA, get_map, make_cogsguard_arena_site
from cogames.cogs_vs_clips.variants import VARIANTS, BraveheartVariant, DarkSideVariant
from cogames.core import CoGameMissionVariant
from cogames.game import load_mission_config, save_mission_config
from mettagrid import MettaGridConfig
from mettagrid.config.game_value import stat
from mettagrid.config.reward_config import reward
from mettagrid.map_builder.ascii import AsciiMapBuilder
from mettagrid.map_builder.map_builder import MapBuilderConfig
from mettagrid.mapgen.mapgen import MapGen
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator import Simulator
from pydantic import ValidationError

from metta.compat.reading import mission_of
from metta.game.missions import load_mission
from tests.compat import edited, recorder

FIXTURES = Path(__file__).parents[1] / "fixtures/compat"
TREES = json.loads(gzip.decompress((FIXTURES / "trees.json.gz").read_bytes()))
MAPS_DIFFER = {"quadrant_buildings", "empty_base", "desert"}  # said in other words there


def basic(**words: Any) -> MettaGridConfig:
    return get_mission("cogsguard_arena.basic", **words)[1]


@pytest.mark.parametrize("key", TREES)
def test_a_tree_is_that_of_the_original(key: str):
    """Eight trees that the original made, with variants and difficulties of all kinds."""
    name, variants, difficulty = json.loads(key)
    tree = get_mission(name, variants, None, False, difficulty)[1].model_dump(mode="json")
    expected = copy.deepcopy(TREES[key])
    if MAPS_DIFFER & set(variants) or "miner_tutorial" in name:
        for one in (tree, expected):
            del one["game"]["map_builder"]
    assert tree == expected


@pytest.mark.parametrize("key", TREES)
def test_a_tree_of_the_original_is_played(key: str):
    name, variants, difficulty = json.loads(key)
    theirs = mission_of(MettaGridConfig.model_validate(TREES[key]))
    ours = mission_of(get_mission(name, variants, None, False, difficulty)[1])
    assert theirs.model_dump(exclude={"map"}) == ours.model_dump(exclude={"map"})


def test_the_aligner_tutorial_prints_what_the_notebook_shows():
    team = CogTeam(name="cogs", num_agents=4, wealth=3, initial_hearts=120)
    mission = CvCMission(
        name="aligner_tutorial",
        description="Learn aligner role.",
        site=COGSGUARD_ARENA,
        num_cogs=4,
        max_steps=1000,
        cog=CogConfig(heart_limit=3),
        teams={"cogs": team},
        variants=[EASY, BraveheartVariant()],
    )
    game = mission.make_env().game
    assert type(game.map_builder).__name__ == "MapGenConfig" and isinstance(game.map_builder, MapGen.Config)
    assert (game.max_steps, game.num_agents) == (1000, 4)
    assert (list(game.events), list(game.collectives)) == (["weather_day", "weather_night"], ["cogs"])
    assert team.initial_hearts == 255  # the very object that was passed
    assert game.objects["c:hub"].inventory.initial == {"heart": 255}
    assert game.collectives["cogs"].inventory.initial == dict.fromkeys(edited.ELEMENTS, 36)


def test_an_info_of_a_tree_has_five_moves_and_seven_vibes():
    info = PolicyEnvInterface.from_mg_cfg(basic())
    assert info.action_names == ["noop", "move_north", "move_south", "move_west", "move_east"]
    assert [name.removeprefix("change_vibe_") for name in info.vibe_action_names][:3] == ["default", "heart", "gear"]
    assert (len(info.obs_features), len(info.tags), info.move_energy_cost) == (78, 14, 4)
    assert (info.obs_height, info.obs_width, info.observation_space.shape) == (11, 11, (200, 3))
    assert len(json.loads(info.to_json())["actions"]) == 12
    forced = PolicyEnvInterface.from_mg_cfg(basic(variants_arg=["forced_role_vibes"]))
    assert len(forced.obs_features) == 84 and forced.vibe_action_names == []


def test_a_small_window_and_uneven_stocks_play_as_the_original_did():
    """120 recorded steps on a drawn map within walls: tokens in their order, how many were dropped, what teams own."""
    recorded = np.load(FIXTURES / "small.npz")
    for name, played in recorder.play_small().items():
        np.testing.assert_array_equal(played, recorded[name], name)
    info = PolicyEnvInterface.from_mg_cfg(recorder.small_game())
    assert (info.observation_shape, info.egocentric_shape, info.obs_height, info.obs_width) == ((24, 3), (5, 7), 5, 7)


def drawn(picture: str, **legend: str) -> AsciiMapBuilder.Config:
    return AsciiMapBuilder.Config(map_data=picture, char_to_map_name=legend)


Edit = Callable[[MettaGridConfig], Any]
PLAYED: dict[str, Edit] = {
    "map seed": lambda env: setattr(env.game.map_builder, "seed", 3),
    "coverage": lambda env: setattr(env.game.map_builder.instance, "building_coverage", 0.05),
    "weights": lambda env: setattr(env.game.map_builder.instance, "building_weights", {"junction": 1.0}),
    "vibes": lambda env: setattr(env.game.actions.change_vibe, "enabled", False),
    "hp limit": lambda env: [setattr(agent.inventory.limits["hp"], "min", 70) for agent in env.game.agents],
    "one event": lambda env: env.game.events.pop("presence_check"),
    "no night comes": lambda env: setattr(env.game, "max_steps", 40),
    "override": lambda env: env.override("game.max_steps", 7),
    "price of a move": lambda env: setattr(env.game.actions.move, "consumed_resources", {"energy": 3}),
    "uneven stock": lambda env: setattr(env.game.collectives["cogs"].inventory, "initial", {"oxygen": 9}),
    "hearts": lambda env: setattr(env.game.objects["c:hub"].inventory, "initial", {"heart": 300}),
    "no hearts": lambda env: setattr(env.game.objects["c:hub"].inventory, "initial", {}),
    "no events": lambda env: env.game.events.clear(),
    "fewer agents": lambda env: setattr(env.game, "num_agents", 3),
    "agents cut": lambda env: env.game.__dict__.update(num_agents=3, agents=env.game.agents[:3]),
    "seen cells": lambda env: [
        agent.rewards.update(seen=reward(stat("cell.visited"), weight=0.01)) for agent in env.game.agents
    ],
    "a copy": lambda env: setattr(env, "game", env.game.model_copy(update={"max_steps": 9})),
}


@pytest.mark.parametrize("name", PLAYED)
def test_an_edit_that_people_make_reaches_our_mission(name: str):
    env, before = basic(), mission_of(basic())
    PLAYED[name](env)
    assert mission_of(env).rules != before.rules


REFUSED: dict[str, tuple[Edit, str]] = {
    "even window": (lambda env: setattr(env.game.obs, "width", 8), "game.obs.width=8"),
    "wide window": (lambda env: setattr(env.game.obs, "height", 13), "game.obs.height=13"),
    "many tokens": (lambda env: setattr(env.game.obs, "num_tokens", 300), "game.obs.num_tokens=300"),
    "paid for what is seen of a small window": (
        lambda env: (PLAYED["seen cells"](env), setattr(env.game.obs, "width", 7)),
        "cell.visited, which is paid, of 11 x 11 cells only",
    ),
    "elements in the hub": (
        lambda env: env.game.objects["c:hub"].inventory.initial.update(carbon=5),
        "game.objects.c:hub.inventory.initial.carbon=5",
    ),
    "two of a drawn map": (
        lambda env: setattr(env.game, "map_builder", MapGen.Config(instance=drawn("#@#"), instances=2)),
        "game.map_builder.instances=2",
    ),
    "unknown character": (
        lambda env: setattr(env.game, "map_builder", drawn("#C#")),
        "unknown character 'C'",
    ),
    "one agent's limit": (
        lambda env: env.game.agents[1].inventory.limits["hp"].modifiers.update(miner=5),
        "game.agents.1.inventory.limits.hp.modifiers.miner=5",
    ),
    "attack": (lambda env: setattr(env.game.actions.attack, "enabled", True), "game.actions.attack.enabled=True"),
    "handler": (
        lambda env: env.game.objects["junction"].on_use_handlers.pop("deposit"),
        "game: this engine cannot play a game without 'deposit'",
    ),
    "half a day": (lambda env: env.game.events.pop("weather_day"), "game.events.weather_night"),
    "unknown statistic": (
        lambda env: [agent.rewards.update(x=reward(stat("carbon.gaind"))) for agent in env.game.agents],
        "carbon.gaind.*did you mean carbon.gained",
    ),
    "quotient": (
        lambda env: [agent.rewards.update(x=reward(stat("a"), denoms=[stat("b")])) for agent in env.game.agents],
        r"game.agents\[0\].rewards.x: this engine pays for the change of one statistic",
    ),
    "too many": (lambda env: setattr(env.game, "num_agents", 9), "game.agents has only 8"),
    "endless": (lambda env: setattr(env.game, "max_steps", 0), "game.max_steps=0"),
    "layout": (
        lambda env: setattr(env.game.map_builder.instance.hub, "layout", "tight"),
        "game.map_builder.instance.hub.layout='tight'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_edit_that_the_engine_cannot_play_is_refused_by_name(name: str):
    env = basic()
    change, message = REFUSED[name]
    change(env)
    with pytest.raises(ValueError, match=message):
        Simulator().new_simulation(env)


def test_a_map_file_of_ones_own_is_read(tmp_path: Path):
    (tmp_path / "my.map").write_text(
        "type: mettagrid.map_builder.ascii.AsciiMapBuilder.Config\nmap_data: |-\n  #####\n  #@.h#\n  #####\n"
        'char_to_map_name:\n  "#": wall\n  "h": c:hub\n'
    )
    builder = get_map(str(tmp_path / "my.map"))
    assert builder.instance == MapBuilderConfig.from_uri(tmp_path / "my.map") == drawn("#####\n#@.h#\n#####", h="c:hub")
    grid = builder.create().build_for_num_agents(1).grid
    assert grid.shape == (13, 15) and grid[6, 6:9].tolist() == ["agent.agent", "empty", "c:hub"]
    with pytest.raises(FileNotFoundError, match="no maps of cogames"):
        get_map("evals/diagnostic_radial.map")
    with pytest.raises(ValidationError, match="'#' is always wall"):
        AsciiMapBuilder.Config(map_data="##", char_to_map_name={"#": "junction"})
    with pytest.raises(ValidationError, match="rows of 1, 2 cells"):
        AsciiMapBuilder.Config(map_data="##\n#")


def test_a_tree_survives_files_and_copies(tmp_path: Path):
    env = edited.get_config()
    for name in ("env.yaml", "env.json"):
        save_mission_config(env, tmp_path / name)
        assert load_mission_config(tmp_path / name) == env
        assert get_mission(str(tmp_path / name)) == (str(tmp_path / name), env, None)
    assert env.model_copy(deep=True) == env
    (tmp_path / "env.py").write_text("from cogames.cogs_vs_clips.missions import make_game\ndef get_config():\n"
                                     "    return make_game(3)\n")  # fmt: skip
    assert get_mission(str(tmp_path / "env.py"))[1].game.num_agents == 3


def test_every_variant_makes_a_game_that_is_played():
    names = [variant.name for variant in VARIANTS]
    assert {"braveheart", "multi_team", "forced_role_vibes", "speed_run"} <= set(names)
    for variant in parse_variants(names):
        env = basic(variants_arg=[variant.name])
        assert env.label == f"cogsguard_arena.basic.{variant.name}" and mission_of(env)


def test_a_variant_of_ones_own_acts_on_mission_and_tree():
    class Rich(CoGameMissionVariant):
        name: str = "rich"

        def modify_mission(self, mission: CvCMission) -> None:
            mission.teams["cogs"].wealth = 10

        def modify_env(self, mission: CvCMission, env: MettaGridConfig) -> None:
            env.game.max_steps = 50

    mission = find_mission("cogsguard_arena", "basic").with_variants([Rich(), DarkSideVariant()])
    env = mission.make_env()
    played = mission_of(env)
    assert (played.max_steps, played.teams["cogs"].stock_of("carbon")) == (50, 240)
    assert env.label.endswith(".rich.dark_side") and [one.name for one in mission.variants] == ["rich", "dark_side"]
    later = find_mission("cogsguard_arena", "basic")
    later.variants.append(Rich())  # after construction only the tree changes
    assert mission_of(later.make_env()).teams["cogs"].stock_of("carbon") == 24


def test_missions_are_found_as_there():
    assert [mission.full_name() for mission in get_core_missions()] == [one.full_name() for one in MISSIONS[:6]]
    assert len(load_mission_set("diagnostic_evals")) == 13 and len(load_mission_set("cogsguard_evals")) == 15
    assert get_mission("evals")[2].site.max_cogs == 8
    assert make_game().game.num_agents == 2 and make_cogsguard_arena_site(4).max_cogs == 4
    name, env, mission = get_mission("cogsguard_arena.basic", ["dark_side"], 3, False, "easy")
    assert (name, env.label) == ("cogsguard_arena.basic", "cogsguard_arena.basic.easy.dark_side.num_cogs")
    assert mission.num_agents == env.game.num_agents == 3
    assert mission_of(get_mission("scout_tutorial")[1]).cog == load_mission("scout_tutorial").cog
