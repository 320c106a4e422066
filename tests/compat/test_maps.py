"""Map builders and sites of `mettagrid` and `cogames`: cell for cell theirs, or refused by name."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cogames.cli.mission import get_mission
from cogames.cogs_vs_clips.mission import CvCMission
from cogames.cogs_vs_clips.sites import COGSGUARD_ARENA, HELLO_WORLD, MACHINA_1
from cogames.core import CoGameSite
from mettagrid import MettaGridConfig
from mettagrid.map_builder import MapBuilderConfig
from mettagrid.map_builder.random_map import RandomMapBuilder
from mettagrid.mapgen.mapgen import MapGen
from mettagrid.runner.rollout import resolve_env_for_seed
from mettagrid.simulator import Simulator
from pydantic import ValidationError

from tests.compat import map_recorder

RECORDED = Path(__file__).parents[1] / "fixtures/compat/maps.json.gz"
RECORDER = Path(map_recorder.__file__)
LARGEST = 500  # rows or columns that are drawn here


def test_random_maps_are_those_of_the_original_cell_for_cell():
    """Alone, within walls, and in the simulations of a simulator, whose seeds count on; recorded from the original."""
    maps = json.loads(gzip.decompress(RECORDED.read_bytes()))["maps"]
    played = map_recorder.random_maps() | map_recorder.simulated_maps()
    assert maps == played and len({json.dumps(maps[f"simulation {number}"]) for number in range(3)}) == 3


def test_configurations_begin_as_those_of_the_original():
    assert map_recorder.defaults() == json.loads(gzip.decompress(RECORDED.read_bytes()))["defaults"]


def on_a_random_map(**words: Any) -> MettaGridConfig:
    env = get_mission("cogsguard_arena.basic", cogs=2)[1]
    env.game.map_builder = RandomMapBuilder.Config(**{"agents": 2, "objects": {"c:hub": 1}, **words})
    return env


def test_a_random_map_without_a_seed_is_another_each_time_until_an_episode_gives_it_one():
    env = on_a_random_map(width=30, height=30)
    first, second = (env.game.map_builder.create().build().grid for _ in range(2))
    assert (first != second).any() and sorted(first.ravel()) == sorted(second.ravel())
    seeded = resolve_env_for_seed(env, 7)
    assert seeded.game.map_builder.seed == 7 and env.game.map_builder.seed is None
    assert MettaGridConfig.model_validate(seeded.model_dump(mode="json")) == seeded


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"width": LARGEST + 1}, "10 x 501 cells.*at most 500 are drawn"),
        ({"width": 3, "height": 3, "agents": 9}, "1 kinds of objects and 9 agents on 9 cells"),
        ({"agents": 1}, "team 'cogs' has 2 agents"),
        ({"objects": {"castle": 1}}, "unknown map cell 'castle'"),
    ],
)
def test_a_random_map_that_cannot_be_played_is_refused_by_name(words: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Simulator().new_simulation(on_a_random_map(**words))


def test_a_map_is_built_with_all_its_pads_or_as_many_as_are_asked_for():
    builder = COGSGUARD_ARENA.map_builder.create()
    assert (builder.build().grid == "agent.agent").sum() == 20
    assert (builder.build_for_num_agents(4).grid == "agent.agent").sum() == 4
    with pytest.raises(ValueError, match="pads"):
        RandomMapBuilder.Config(agents=3).create().build_for_num_agents(4)


@pytest.mark.parametrize("site", [HELLO_WORLD, MACHINA_1], ids=lambda site: site.name)
def test_a_site_whose_hub_no_mission_has_is_played_once_it_has_the_games(site: CoGameSite):
    """In the original too: `Unknown object type: hub`, a RuntimeError."""
    env = CvCMission(name="mine", description="", site=site, num_cogs=4).make_env()
    env.game.map_builder.seed = 1
    with pytest.raises(RuntimeError, match=r"hub\.hub_object='hub': no such object, the game has c:hub"):
        Simulator().new_simulation(env)
    env.game.map_builder.instance.hub.hub_object = "c:hub"
    sim = Simulator().new_simulation(env)
    kinds = [one["type_name"] for one in sim.grid_objects().values()]
    assert kinds.count("c:hub") == 1 and kinds.count("agent") == 4 and "c:miner" not in kinds
    assert (sim.map_height, sim.map_width) == (site.map_builder.height + 10, site.map_builder.width + 10)


def test_an_arena_needs_its_pads_told():
    with pytest.raises(ValidationError, match="spawn_count"):
        type(COGSGUARD_ARENA.map_builder.instance)()


def test_a_frame_that_is_too_wide_is_refused_before_it_is_drawn():
    wide = MapGen.Config(instance=RandomMapBuilder.Config(agents=1), border_width=10**9)
    with pytest.raises(ValueError, match="border_width=1000000000: this engine draws at most 500 rows"):
        wide.create()
        wide.create().build()


def run_original(original: str, out: Path, *words: Path) -> Any:
    subprocess.run([original, "-I", RECORDER, out, *words], check=True, capture_output=True)
    return json.loads(out.read_text())


@pytest.mark.soak
def test_the_recorded_maps_are_the_originals(original: str, tmp_path: Path):
    assert run_original(original, tmp_path / "maps.json") == json.loads(gzip.decompress(RECORDED.read_bytes()))


@pytest.mark.soak
def test_map_files_of_the_original_are_read_cell_for_cell(original: str, packages: Path, tmp_path: Path):
    """All but those with too many rows, and one with objects that the game does not have."""
    theirs = run_original(original, tmp_path / "files.json", folder := packages / "cogames/maps")
    ours = map_recorder.map_files(folder)
    refused = {name: why for name, why in ours.items() if isinstance(why, str)}
    assert {name: theirs[name] for name in ours if name not in refused} == {
        name: drawn for name, drawn in ours.items() if name not in refused
    }
    assert len(ours) - len(refused) >= 70
    for name, why in refused.items():
        assert (len(theirs[name]) > LARGEST and "at most 500" in why) or "unknown map cell 'clipped" in why, (name, why)


def test_a_builder_of_a_file_is_of_a_kind_that_is_offered():
    with pytest.raises(ValidationError):
        MapBuilderConfig.from_str("type: os.system\nseed: 1\n")
