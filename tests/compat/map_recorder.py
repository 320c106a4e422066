"""Maps that builders without our generator draw, and those of simulations in a row. Runs over the retired packages too.

python map_recorder.py OUT.json: for tests/fixtures/compat/maps.json.gz, which is that file compressed
python map_recorder.py OUT.json FOLDER: the `.map` files there
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from cogames.cli.mission import get_mission
from cogames.cogs_vs_clips.sites import HELLO_WORLD, MACHINA_1
from cogames.cogs_vs_clips.terrain import MachinaArena, SequentialMachinaArena
from mettagrid.map_builder.map_builder import MapBuilderConfig
from mettagrid.map_builder.random_map import RandomMapBuilder
from mettagrid.mapgen.mapgen import MapGen
from mettagrid.mapgen.scenes.base_hub import BaseHub
from mettagrid.simulator import Simulator

Map = list[list[str]]
SEEDS = range(4)
BUILDERS: dict[str, dict[str, Any]] = {
    "usual": {"width": 12, "height": 9, "agents": 4, "objects": {"c:hub": 1, "junction": 3, "carbon_extractor": 4},
              "border_width": 1},
    "no border": {"width": 7, "height": 20, "agents": {"agent": 2}, "objects": {"wall": 30, "c:hub": 1}},
    "too many": {"width": 6, "height": 6, "agents": 3, "objects": {"wall": 50, "c:hub": 1, "junction": 7},
                 "border_width": 1, "border_object": "junction"},
    "border alone": {"width": 5, "height": 5, "border_width": 3},
}  # fmt: skip


def random_maps() -> dict[str, Map]:
    """By name and seed, alone and within walls."""
    maps: dict[str, Map] = {}
    for name, words in BUILDERS.items():
        for seed in SEEDS:
            builder = RandomMapBuilder.Config(seed=seed, **words)
            maps[f"{name} {seed}"] = builder.create().build().grid.tolist()
            framed = MapGen.Config(seed=5, border_width=2, instance=builder)
            maps[f"{name} {seed} framed"] = framed.create().build().grid.tolist()
    return maps


def simulated_maps() -> dict[str, Map]:
    """What lies where in the first simulations of a simulator: each has a map of its own."""
    env = get_mission("cogsguard_arena.basic", cogs=4)[1]
    env.game.map_builder = RandomMapBuilder.Config(seed=3, **BUILDERS["usual"])
    simulator, maps = Simulator(), {}
    for number in range(3):
        sim = simulator.new_simulation(env)
        grid = [["empty"] * sim.map_width for _ in range(sim.map_height)]
        for one in sim.grid_objects().values():
            grid[one["r"]][one["c"]] = one["type_name"]
        maps[f"simulation {number}"] = grid
    return maps


def defaults() -> dict[str, Any]:
    """What the configurations are where nothing else is said."""
    kinds = {"hub": BaseHub.Config(), "random": RandomMapBuilder.Config()}
    kinds |= {kind.__name__: kind.Config(spawn_count=20) for kind in (MachinaArena, SequentialMachinaArena)}
    kinds |= {site.name: site.map_builder for site in (HELLO_WORLD, MACHINA_1)}
    return {name: config.model_dump(mode="json") for name, config in kinds.items()}


def map_files(folder: Path) -> dict[str, Map | str]:
    """The `.map` files below a folder, within walls; of one that is refused, why."""
    maps: dict[str, Map | str] = {}
    for path in sorted(folder.rglob("*.map")):
        try:
            framed = MapGen.Config(instance=MapBuilderConfig.from_uri(path), instances=1)
            maps[str(path.relative_to(folder))] = framed.create().build().grid.tolist()
        except ValueError as error:
            maps[str(path.relative_to(folder))] = str(error)
    return maps


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    folders = [Path(word) for word in sys.argv[2:]]
    found = map_files(folders[0]) if folders else {"maps": random_maps() | simulated_maps(), "defaults": defaults()}
    Path(sys.argv[1]).write_text(json.dumps(found))
