"""Plays the retired packages themselves and writes down what they show. For a Python that has them.

python recorder.py small OUT.npz: the game of `small_game`, for tests/fixtures/compat/small.npz
python recorder.py policies FOLDER: what their policies do in 150 steps, and the weights of those that have some
"""

import logging
import random
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
from cogames.cli.mission import get_mission
from mettagrid.map_builder.ascii import AsciiMapBuilder
from mettagrid.mapgen.mapgen import MapGen
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator import AgentObservation, ObservationToken, Simulator

STEPS, SEED, MAP_SEED, AGENTS = 150, 3, 1, 8
SMALL_STEPS = 120
PICTURE = """\
#######
#@.c.o#
#.&.a.#
#h...m#
#@.j..#
#######"""
LEGEND = {
    "c": "carbon_extractor", "o": "oxygen_extractor", "h": "silicon_extractor", "&": "c:hub", "a": "c:aligner",
    "j": "junction", "m": "c:miner",
}  # fmt: skip
DRIVER = "cogames.policy.starter_agent.StarterPolicy"
POLICIES = (
    DRIVER,
    "cogames.policy.role_policies.MinerRolePolicy",
    "cogames.policy.role_policies.ScoutRolePolicy",
    "cogames.policy.role_policies.AlignerRolePolicy",
    "cogames.policy.role_policies.ScramblerRolePolicy",
    "mettagrid.policy.noop.NoopPolicy",
    "mettagrid.policy.random_agent.RandomMultiAgentPolicy",
    "mettagrid.policy.lstm.LSTMPolicy",
    "mettagrid.policy.stateless.StatelessPolicy",
    "mettagrid.policy.puffer_default.PufferDefaultPolicy",
    "cogames.policy.pufferlib_policy.PufferlibCogsPolicy",
    "cogames.policy.tutorial_policy.TutorialPolicy",
    "cogames.policy.trainable_policy_template.MyTrainablePolicy",
    "cogames.policy.tutorial_overlay_policy.TutorialOverlayPolicy",
)


def small_game():
    """A drawn map within walls, a small window of few tokens, uneven stocks: edits that people make by hand."""
    env = get_mission("cogsguard_arena.basic", cogs=2, difficulty="easy")[1]
    game = env.game
    game.map_builder = MapGen.Config(
        instance=AsciiMapBuilder.Config(map_data=PICTURE, char_to_map_name=LEGEND), border_width=2, instances=1
    )
    game.max_steps = SMALL_STEPS
    game.obs.width, game.obs.height, game.obs.num_tokens = 7, 5, 24
    game.collectives["cogs"].inventory.initial = {"carbon": 5, "oxygen": 300, "germanium": 12, "silicon": 3, "heart": 7}
    game.objects["c:hub"].inventory.initial = {}
    game.actions.move.consumed_resources = {"energy": 1}
    return env


def small_moves() -> np.ndarray:
    """Moves, int32 [steps, 2]: the same wherever they are drawn."""
    return np.random.default_rng(0).integers(0, 5, (SMALL_STEPS, 2), np.int32)


def play_small() -> dict[str, np.ndarray]:
    """What the agents see, and the team owns, in every step."""
    sim = Simulator().new_simulation(small_game(), SEED)
    shown = [sim._c_sim.observations().copy()]
    owned = [_owned(sim)]
    for moves in small_moves():
        sim._c_sim.actions()[:] = moves
        sim.step()
        shown.append(sim._c_sim.observations().copy())
        owned.append(_owned(sim))
    tokens = [sim.episode_stats["game"][f"tokens_{name}"] for name in ("written", "dropped", "free_space")]
    return {"observations": np.stack(shown), "owned": np.array(owned), "tokens": np.array(tokens)}


def _owned(sim) -> list[int]:
    held = sim._c_sim.get_collective_inventories()["cogs"]
    return [held.get(name, 0) for name in sim.resource_names]


def observed(info: PolicyEnvInterface, agent: int, raw: np.ndarray) -> AgentObservation:
    """The tokens of one agent of an array, uint8 [tokens, 3], as objects."""
    count = int((raw[:, 1] != 255).sum())
    features = {spec.id: spec for spec in info.obs_features}
    return AgentObservation(
        agent_id=agent,
        tokens=[ObservationToken(features[int(t[1])], int(t[2]), t) for t in raw[:count]],
    )


def choices(policy, info: PolicyEnvInterface, seen: list[list[AgentObservation]]) -> np.ndarray:
    """Flat ids of what a policy does on observations, int [steps, agents]."""
    import torch

    random.seed(SEED)
    torch.manual_seed(SEED)
    names = [*info.action_names, *info.vibe_action_names]
    agents = [policy.agent_policy(agent) for agent in range(len(seen[0]))]
    for agent in agents:
        agent.reset()
    return np.array([[names.index(agent.step(obs).name) for agent, obs in zip(agents, row, strict=True)]
                     for row in seen])  # fmt: skip


def record_policies(folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    env = get_mission("cogsguard_arena.basic", cogs=AGENTS)[1]
    env.game.map_builder.seed = MAP_SEED
    info = PolicyEnvInterface.from_mg_cfg(env)
    sim = Simulator().new_simulation(env, SEED)
    drivers = [_class(DRIVER)(info).agent_policy(agent) for agent in range(AGENTS)]
    shown = []
    for _ in range(STEPS):
        shown.append(sim._c_sim.observations().copy())
        for agent, driver in zip(sim.agents(), drivers, strict=True):
            agent.set_action(driver.step(agent.observation))
        sim.step()
    seen = [[observed(info, agent, raw) for agent, raw in enumerate(row)] for row in shown]
    done = {}
    for path in POLICIES:
        torch.manual_seed(SEED)
        policy = _class(path)(info)
        if policy.network() is not None:
            policy.save_policy_data(str(folder / f"{path}.pt"))
        done[path] = choices(policy, info, seen)
    np.savez_compressed(folder / "policies.npz", observations=np.stack(shown), **done)


def _class(path: str):
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    what, where = sys.argv[1], Path(sys.argv[2])
    np.savez_compressed(where, **play_small()) if what == "small" else record_policies(where)
