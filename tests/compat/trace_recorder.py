"""Records the mission of edited.py as the retired packages play it. For a Python that has them.

python trace_recorder.py TRACE.npz OUT.npz: on the map and with the actions of a trace, which is
tests/fixtures/compat/edited.npz
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from string import ascii_letters
from typing import Any

import numpy as np
from mettagrid import MettaGridConfig
from mettagrid.map_builder.ascii import AsciiMapBuilder
from mettagrid.mapgen.mapgen import MapGen
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator import Simulation, Simulator

Arrays = dict[str, np.ndarray]
SEEDS = (3, 4, 5)
ELEMENTS = ("oxygen", "carbon", "germanium", "silicon")


def record(env: MettaGridConfig, played: Arrays) -> Arrays:
    """A trace (metta.game.traces) of that mission with the grid, actions and vibes of another.

    Raises ValueError if what happens depends on the engine's seed.
    """
    said: dict[str, Any] = {"name": env.label, "tree": env.model_dump(mode="json")}
    env.game.map_builder = MapGen.Config(instance=drawn(played["grid"]), border_width=0)
    episodes = [_episode(env, seed, played) for seed in SEEDS]
    for other in episodes[1:]:
        for name, array in episodes[0].items():
            if (array != other[name]).any():
                raise ValueError(f"{name} depends on the engine's seed")
    kept = {name: played[name] for name in ("grid", "actions", "vibes")}
    return {**kept, **episodes[0], "meta": np.array(json.dumps(said | _names(env) | _statistics(env, played)))}


def drawn(grid: np.ndarray) -> AsciiMapBuilder.Config:
    """The builder of a grid of names."""
    legend = dict(zip(ascii_letters, sorted(map(str, np.unique(grid))), strict=False))
    letters = {name: letter for letter, name in legend.items()}
    return AsciiMapBuilder.Config(map_data=[[letters[name] for name in row] for row in grid], char_to_map_name=legend)


def _played(env: MettaGridConfig, seed: int, played: Arrays):
    """The simulation at its start and after every step."""
    sim = Simulator().new_simulation(env, seed)
    yield sim
    for moves, vibes in zip(played["actions"], played["vibes"], strict=True):
        sim._c_sim.actions()[:], sim._c_sim.vibe_actions()[:] = moves, vibes
        sim.step()
        yield sim


def _episode(env: MettaGridConfig, seed: int, played: Arrays) -> Arrays:
    states, steps = [], []
    for sim in _played(env, seed, played):
        core = sim._c_sim
        states.append(_state(sim))
        ends = {"rewards": core.rewards().copy(), "terminals": core.terminals().copy()}
        steps.append({**ends, "success": np.array(sim.action_success)})
    junctions = [(one["r"], one["c"]) for one in _things(sim) if one["type_name"] == "junction"]
    rows = {name: np.stack([row[name] for row in states]) for name in states[0]}
    rows |= {name: np.stack([row[name] for row in steps[1:]]) for name in steps[0]}
    return {**rows, "junctions": np.array(junctions, np.int16)}


def _things(sim: Simulation) -> list[dict[str, Any]]:
    return sorted(sim.grid_objects().values(), key=lambda one: (one["r"], one["c"]))


def _state(sim: Simulation) -> Arrays:
    kinds: dict[str, list[dict[str, Any]]] = {"agent": [], "junction": [], "c:hub": []}
    for one in _things(sim):
        kinds.get(one["type_name"], []).append(one)
    agents = sorted(kinds["agent"], key=lambda one: one["agent_id"])
    items, owners = range(len(sim.resource_names)), list(sim.config.game.collectives)
    owned = [owners.index(one["collective_name"]) if "collective_name" in one else -1 for one in kinds["junction"]]
    team = sim._c_sim.get_collective_inventories()["cogs"]
    heart = sim.resource_names.index("heart")
    return {
        "pos": np.array([(one["r"], one["c"]) for one in agents], np.int16),
        "inv": np.array([[one["inventory"].get(item, 0) for item in items] for one in agents], np.int32),
        "vibe": np.array([one["vibe"] for one in agents], np.int16),
        "owner": np.array(owned, np.int8),
        "hub_hearts": np.array([one["inventory"].get(heart, 0) for one in kinds["c:hub"]], np.int32),
        "collective": np.array([team.get(name, 0) for name in ELEMENTS], np.int32),
        "obs": sim._c_sim.observations().copy(),
    }


def _names(env: MettaGridConfig) -> dict[str, Any]:
    info = PolicyEnvInterface.from_mg_cfg(env)
    return {
        "resources": env.game.resource_names,
        "actions": [*info.action_names, *info.vibe_action_names],
        "features": {spec.id: spec.name for spec in info.obs_features},
        "tags": info.tags,
        "owners": list(env.game.collectives),
    }


def _statistics(env: MettaGridConfig, played: Arrays) -> dict[str, Any]:
    *_, sim = _played(env, SEEDS[0], played)
    return {"episode_stats": sim.episode_stats}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).parent))
    from edited import get_config

    np.savez_compressed(sys.argv[2], **record(get_config(), dict(np.load(sys.argv[1]))))
