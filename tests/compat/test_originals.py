"""Policies of the retired packages, from their own files, beside the packages themselves: 150 steps of eight agents in
the arena, actions alike one by one, those that are drawn too."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from cogames.cli.mission import get_mission
from mettagrid import MettaGridConfig
from mettagrid.policy.loader import initialize_or_load_policy, resolve_policy_class_path
from mettagrid.policy.policy import MultiAgentPolicy, PolicySpec
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator.rollout import Rollout

from tests.compat.conftest import Load
from tests.compat.recorder import AGENTS, MAP_SEED, POLICIES, SEED, STEPS, choices, observed

pytestmark = pytest.mark.soak


def arena() -> MettaGridConfig:
    env = get_mission("cogsguard_arena.basic", cogs=AGENTS)[1]
    env.game.map_builder.seed, env.game.max_steps = MAP_SEED, STEPS
    return env


@pytest.fixture(scope="module")
def folder(original: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the packages saw and did, and the weights of their nets."""
    folder = tmp_path_factory.mktemp("original")
    recorder = Path(__file__).parent / "recorder.py"
    subprocess.run([original, "-I", recorder, "policies", folder], cwd=folder, check=True, capture_output=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield folder
    torch.set_num_threads(threads)


def loaded(path: str, folder: Path, load_original: Load) -> MultiAgentPolicy:
    """The policy from the packages' own file, with the weights that it had there."""
    module, _, name = path.rpartition(".")
    for needed in ("cogames.policy.starter_agent", "mettagrid.policy.pufferlib"):  # before what imports them
        load_original(needed)
    found = getattr(load_original(module), name)
    assert "metta" not in found.__init__.__code__.co_filename.split("/site-packages/")[0]
    policy = found(PolicyEnvInterface.from_mg_cfg(arena()))
    if (weights := folder / f"{path}.pt").exists():
        policy.load_policy_data(str(weights))
    return policy


@pytest.mark.parametrize("path", POLICIES)
def test_a_policy_acts_on_what_the_original_saw_as_it_did(path: str, folder: Path, load_original: Load):
    recorded = np.load(folder / "policies.npz")
    policy = loaded(path, folder, load_original)
    info = policy.policy_env_info
    seen = [[observed(info, agent, raw) for agent, raw in enumerate(row)] for row in recorded["observations"]]
    np.testing.assert_array_equal(choices(policy, info, seen), recorded[path])


@pytest.mark.parametrize("name", ["lstm", "stateless", "tutorial", "noop", "random", "starter"])
def test_a_policy_of_ours_acts_on_it_so_too(name: str, folder: Path):
    """With the weights that the original saved."""
    path = resolve_policy_class_path(name)
    recorded = np.load(folder / "policies.npz")
    info = PolicyEnvInterface.from_mg_cfg(arena())
    weights = folder / f"{path}.pt"
    policy = initialize_or_load_policy(
        info, PolicySpec(class_path=path, data_path=str(weights) * weights.exists() or None)
    )
    seen = [[observed(info, agent, raw) for agent, raw in enumerate(row)] for row in recorded["observations"]]
    np.testing.assert_array_equal(choices(policy, info, seen), recorded[path])


@pytest.mark.parametrize("path", POLICIES)
def test_a_policy_plays_on_this_engine(path: str, folder: Path, load_original: Load):
    policy = loaded(path, folder, load_original)
    rollout = Rollout(arena(), [policy.agent_policy(agent) for agent in range(AGENTS)], seed=SEED)
    rollout.run_until_done()
    assert rollout._sim.current_step == STEPS and rollout.timeout_counts == [0] * AGENTS
    if path.startswith("cogames.policy.role_policies"):
        assert all(stats["action.move.success"] > 20 for stats in rollout._sim.episode_stats["agent"])
