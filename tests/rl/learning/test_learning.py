"""That the whole of rollout, advantages, losses and optimiser learns: a task whose solution is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import NetHeads
from metta.rl.learning.settings import TrainerSettings
from tests.nets import build_net
from tests.rl.learning.learner import learn


class CueTask:
    """Episodes of four steps; the first observation shows a number from 0 to 4, and every action that equals it pays 1.

    A policy without memory earns at most 1.6 per episode, one with memory 4.
    """

    LENGTH = 4
    device = "cpu"

    def __init__(self, num_envs: int, num_agents: int) -> None:
        self.num_envs, self.num_agents = num_envs, num_agents
        self._random = np.random.default_rng(0)
        self._cue = np.zeros((num_envs, num_agents), np.int64)
        self._step = 0

    def reset(self, observations: np.ndarray) -> None:
        self._step = 0
        self._cue = self._random.integers(0, 5, self._cue.shape)
        observations[:] = 255
        observations[:, :, 0] = [0x55, 7, 0]
        observations[:, :, 0, 2] = 60 * self._cue

    def step(self, actions, observations, rewards, terminals, truncations) -> None:
        rewards[:] = actions == self._cue
        self._step += 1
        terminals[:] = self._step == self.LENGTH
        truncations[:] = False
        if self._step == self.LENGTH:
            self.reset(observations)
        else:
            observations[:] = 255

    def take_truncated(self) -> None:
        return


@pytest.mark.parametrize(
    ("method", "critic", "optimizer"),
    [
        ("prioritized", "mse", "adam"),
        ("sequential", "mse", "adam"),
        ("prioritized", "gtd_lambda", "adam"),
        ("prioritized", "mse", "schedulefree_adamw"),
        ("prioritized", "mse", "muon"),
    ],
)
def test_a_recurrent_policy_learns_to_remember(method: str, critic: str, optimizer: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    settings = TrainerSettings.model_validate(
        {"batch_size": 2048, "minibatch_size": 512, "bptt_horizon": 8, "sampling": {"method": method},
         "losses": {"ppo_critic": {"critic_update": critic}},
         "optimizer": {"learning_rate": 0.005, "type": optimizer}, "advantage": {"gamma": 0.9}}
    )  # fmt: skip
    info = env_info(Mission())
    sizes = {"hidden_size": 64, "channels": (8, 16)}
    net = build_net("tutorial", sizes, replace(info, action_names=info.action_names[:5]), NetHeads(settings.auxiliary))
    rewards = list(learn(CueTask(32, 8), net, settings, 60))  # pyright: ignore
    assert rewards[0] < 0.3
    assert max(rewards) > 0.8
