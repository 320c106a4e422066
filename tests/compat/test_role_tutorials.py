"""The tutorials TRAIN_MINER and TRAIN_SCRAMBLER set up as they do on the original: imports, mission, environments."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pufferlib")

import pufferlib.vector as pvector
from cogames.cogs_vs_clips.clip_difficulty import EASY
from cogames.cogs_vs_clips.mission import CvCMission
from cogames.cogs_vs_clips.sites import make_cogsguard_machina1_site
from cogames.cogs_vs_clips.team import CogTeam
from cogames.cogs_vs_clips.variants import NoVibesVariant
from mettagrid.envs.mettagrid_puffer_env import MettaGridPufferEnv
from mettagrid.envs.stats_tracker import StatsTracker
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.simulator import Simulator
from mettagrid.util.stats_writer import NoopStatsWriter
from pufferlib.pufferlib import set_buffers

REWARDED = {
    "miner": {"miner.gained", "heart.gained", "gain_diversity"},
    "scrambler": {"scrambler.gained", "junction.scrambled_by_agent", "heart.lost"},
}


@pytest.mark.parametrize("role", REWARDED)
def test_the_tutorials_of_other_roles_set_up(role: str):
    """TRAIN_MINER and TRAIN_SCRAMBLER: their imports, mission, environments and what a dashboard is told."""
    rewards = import_module(f"cogames.cogs_vs_clips.{role}_tutorial")
    mission = CvCMission(
        name=f"{role}_tutorial",
        description="",
        site=make_cogsguard_machina1_site(4),
        num_cogs=4,
        max_steps=4,
        teams={"cogs": CogTeam(name="cogs", num_agents=4)},
        variants=[EASY, NoVibesVariant(), getattr(rewards, f"{role.capitalize()}RewardsVariant")()],
    )
    config = mission.make_env()

    def make_env(buf: Any = None, seed: int | None = None) -> MettaGridPufferEnv:
        own = config.model_copy(deep=True)
        own.game.map_builder.seed = 42 + (seed or 0)
        simulator = Simulator()
        simulator.add_event_handler(StatsTracker(NoopStatsWriter()))
        env = MettaGridPufferEnv(simulator, own, buf=buf, seed=seed or 0)
        set_buffers(env, buf)
        return env

    vecenv = pvector.make(make_env, num_envs=2, num_workers=1, batch_size=2, backend=pvector.Serial)
    info = PolicyEnvInterface.from_mg_cfg(config)
    assert (len(info.obs_features), info.vibe_action_names, vecenv.num_agents) == (78, [], 8)
    assert list(config.game.events) == ["weather_day", "weather_night"]
    vecenv.async_reset(1)
    for _ in range(4):
        vecenv.recv()
        vecenv.send(np.zeros(8, np.int64))
    told = vecenv.recv()[5]
    assert len(told) == 2 and told[0]["attributes"]["map_h"] == 98
    assert set(told[0]["agent"]) >= REWARDED[role], "what is rewarded is told though nobody did it"
    vecenv.close()
