"""Episodes that only their time limit ends."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

pytest.importorskip("pufferlib")

from metta.rl.build import build, plan
from metta.rl.settings import RunConfig
from metta.rl.timing import Stopwatch


@pytest.mark.parametrize("memory", [False, True])
def test_the_last_reward_before_a_time_limit_counts_what_would_follow(config: Callable[..., RunConfig], memory: bool):
    """CartPole pays 1 per step; cut at step 4 it goes on in the value of the last observation, fallen it does not."""
    kwargs = {"max_episode_steps": 4}
    planned = plan(
        config(
            env={"kind": "gymnasium", "name": "CartPole-v1", "kwargs": kwargs},
            agent={"name": "mlp", "memory": memory},
            trainer={"batch_size": 64, "minibatch_size": 64, "advantage": {"gamma": 0.9}},
            training_env={"num_envs": 8},
        )
    )
    parts = build(planned)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    rollout, taken = parts.rollout, parts.rollout.env.take_cut

    def watched() -> tuple[np.ndarray, np.ndarray] | None:
        cut = taken()
        seen.extend([cut] if cut is not None else [])
        return cut

    rollout.env.take_cut = watched  # pyright: ignore[reportAttributeAccessIssue]
    rollout.start()
    assert rollout.collect(Stopwatch(), lambda: False)
    rewards, dones = rollout.experience.rewards, rollout.experience.dones
    assert dones[3].all() and dones[7].all() and dones.sum() == 16
    torch.testing.assert_close(rewards[~dones], torch.ones(48))
    assert [agents.tolist() for agents, _ in seen] == [list(range(8))] * 2
    if not memory:
        for row, (_, last) in zip((3, 7), seen, strict=True):
            values = parts.net.act(torch.from_numpy(last), ())[0].values.detach()
            torch.testing.assert_close(rewards[row], 1 + 0.9 * values)
    assert (rewards[dones] != 1).all() and rollout.mean_reward == 1
