"""A mission built in Python as for cogames, with seven edits by hand. Runs over the retired packages too."""

from cogames.cogs_vs_clips.clip_difficulty import MEDIUM
from cogames.cogs_vs_clips.cog import CogConfig
from cogames.cogs_vs_clips.mission import CvCMission
from cogames.cogs_vs_clips.reward_variants import apply_reward_variants
from cogames.cogs_vs_clips.sites import COGSGUARD_ARENA
from cogames.cogs_vs_clips.team import CogTeam
from cogames.cogs_vs_clips.variants import ThickSkinnedVariant
from mettagrid import MettaGridConfig
from mettagrid.config.game_value import stat
from mettagrid.config.reward_config import reward

ELEMENTS = ("oxygen", "carbon", "germanium", "silicon")


def get_config() -> MettaGridConfig:
    mission = CvCMission(
        name="edited",
        description="",
        site=COGSGUARD_ARENA,
        num_cogs=4,
        max_steps=1000,
        cog=CogConfig(heart_limit=3, cargo_limit=6),
        teams={"cogs": CogTeam(num_agents=4, wealth=3)},
        variants=[MEDIUM, ThickSkinnedVariant()],
    )
    env = mission.make_env()
    apply_reward_variants(env, variants=["milestones"])
    env.game.max_steps = 160
    env.game.actions.move.consumed_resources = {"energy": 2}
    env.game.collectives["cogs"].inventory.initial = dict.fromkeys(ELEMENTS, 60)
    env.game.objects["c:hub"].inventory.initial = {"heart": 9}
    env.game.events.clear()
    for agent in env.game.agents:
        agent.rewards["seen"] = reward(stat("cell.visited"), weight=0.001)
        agent.rewards["mined"] = reward(stat("carbon.gained"), weight=0.1, max=1.5)
    fewer = env.game.model_copy(update={"num_agents": 3, "agents": env.game.agents[:3]})
    return env.model_copy(update={"game": fewer})
