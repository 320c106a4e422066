"""Both critics on Markov chains whose values are known in closed form."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metta.policy.interface import NetHeads, SpaceInfo
from metta.policy.nets.interface import NetOutput, PolicyNet, State
from metta.rl.learning.losses.base import Minibatch, predict
from metta.rl.learning.losses.gtd_critic import GtdCritic
from metta.rl.learning.settings import AdvantageSettings, PpoCriticSettings, TrainerSettings
from tests.rl.learning.learner import learn

GAMMA = 0.9
MOVES = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.0]])  # what is missing to 1 ends the episode
REWARDS = np.array([1.0, 0.0, 2.0])  # for leaving the state


class Chain:
    """Three states; actions mean nothing. Episodes begin in state 0."""

    device = "cpu"
    num_agents = 1

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self._random = np.random.default_rng(0)
        self._states = np.zeros(num_envs, np.int64)

    def reset(self, observations: np.ndarray) -> None:
        self._states[:] = 0
        observations[:] = 0

    def step(self, actions, observations, rewards, terminals, truncations) -> None:
        draws = self._random.random(self.num_envs)[:, None]
        rewards[:, 0] = REWARDS[self._states]
        following = (draws > MOVES[self._states].cumsum(1)).sum(1)
        terminals[:, 0] = following == 3
        truncations[:] = False
        self._states = np.where(following == 3, 0, following)
        observations[:, 0, 0] = self._states

    def take_truncated(self) -> None:
        return


class Table(PolicyNet):
    """A value for every state, and no memory."""

    name = "table"

    def __init__(self, heads: NetHeads) -> None:
        super().__init__(SpaceInfo((1,), "float32", (2,), 1), heads)
        self.values = nn.Parameter(torch.zeros(3))
        self.auxiliary = nn.Parameter(torch.zeros(3))

    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        return [self.auxiliary]

    def initial_state(self, batch: int) -> State:
        return ()

    def reset(self, state: State, ended: Tensor) -> State:
        return state

    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        states = observations[..., 0].long()
        logits = torch.zeros(*states.shape, 2)
        return NetOutput(logits, self.values[states], self.auxiliary[states] if self.heads.auxiliary else None), state

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        return self.act(observations, state)[0]


@pytest.mark.parametrize("gae_lambda", [0.0, 0.8])
@pytest.mark.parametrize("critic", ["mse", "gtd_lambda"])
def test_the_values_of_a_chain_are_learned(critic: str, gae_lambda: float) -> None:
    settings = TrainerSettings.model_validate(
        {
            "batch_size": 2048,
            "minibatch_size": 512,
            "bptt_horizon": 16,
            "max_grad_norm": 100.0,
            "losses": {
                "ppo_actor": {"enabled": False},
                "ppo_critic": {"critic_update": critic, "clip_vloss": False, "vf_coef": 1.0},
            },
            "optimizer": {"learning_rate": 0.03},
            "sampling": {"method": "sequential"},
            "advantage": {"gamma": GAMMA, "gae_lambda": gae_lambda},
        }
    )
    net = Table(NetHeads(settings.auxiliary))
    expected = np.linalg.solve(np.eye(3) - GAMMA * MOVES, REWARDS)
    late = [net.values.detach().numpy().copy() for _ in learn(Chain(64), net, settings, 120)][-30:]  # pyright: ignore
    np.testing.assert_allclose(np.mean(late, 0), expected, atol=0.1)


@pytest.mark.parametrize(("learned_correction", "converges"), [(True, True), (False, False)])
def test_gradient_td_converges_where_semi_gradient_td_diverges(learned_correction: bool, converges: bool) -> None:
    """Two states of value w and 2 w, no reward, and only the step from the first to the second is ever seen.

    With gamma above one half semi-gradient TD, which is what is left without the correction, runs away from the true
    w = 0 (Tsitsiklis and Van Roy 1997; Sutton and Barto 2018, section 11.2).
    """
    weight, correction = (nn.Parameter(torch.tensor([start])) for start in (1.0, 0.0))
    settings = PpoCriticSettings(
        critic_update="gtd_lambda", vf_coef=1.0, aux_coef=10.0 if learned_correction else 0.0, beta=0.0
    )
    critic = GtdCritic(settings, AdvantageSettings(gamma=GAMMA, gae_lambda=0.0), lambda: [correction])
    zeros = torch.zeros(2, 1)
    batch = Minibatch(zeros.long(), zeros, zeros, zeros, zeros, zeros.bool(), torch.ones(1))
    optimizer = torch.optim.SGD([weight, correction], lr=0.05)
    for _ in range(500):
        values = torch.stack([weight, 2 * weight])
        output = NetOutput(torch.zeros(2, 1, 2), values, torch.stack([correction, correction]))
        optimizer.zero_grad()
        critic(batch, predict(output, batch)).loss.backward()
        optimizer.step()
    distance = abs(float(weight.detach()))
    assert distance < 0.01 if converges else distance > 100
