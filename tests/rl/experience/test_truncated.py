"""Episodes that are cut short though the task would go on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from metta.rl.build import build, plan
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig


@pytest.mark.parametrize("memory", [False, True])
def test_the_last_reward_before_a_time_limit_counts_what_would_follow(config: Callable[..., RunConfig], memory: bool):
    """CartPole pays 1 per step; cut at step 4 it goes on in the value of the last observation, fallen it does not."""
    pytest.importorskip("pufferlib")
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
    rollout, taken = parts.rollout, parts.rollout.env.take_truncated

    def watched() -> tuple[np.ndarray, np.ndarray] | None:
        cut = taken()
        seen.extend([cut] if cut is not None else [])
        return cut

    rollout.env.take_truncated = watched  # pyright: ignore[reportAttributeAccessIssue]
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


LENGTH = 10
CUT = {"mission": {"max_steps": LENGTH, "quirks": {"time_limit_is_terminal": False}}}


@pytest.mark.parametrize(
    ("changes", "desync", "cuts"),
    [(CUT, False, [LENGTH - 1]), ({"mission": {"max_steps": LENGTH}}, False, []), (CUT, True, None)],
    ids=["a limit that is none of the game's", "a limit that is the game's", "first episodes of random length"],
)
def test_a_cut_episode_of_the_game_goes_on_in_the_value_of_what_was_last_seen(
    config: Callable[..., RunConfig], changes: dict[str, Any], desync: bool, cuts: list[int] | None
) -> None:
    trainer = {"batch_size": 8 * 8 * LENGTH, "minibatch_size": 8 * LENGTH, "bptt_horizon": LENGTH}
    parts = build(plan(config(**changes, trainer=trainer, training_env={"desync_episodes": desync, "num_workers": 2})))
    rollout, step = parts.rollout, parts.rollout.env.step
    flags, paid, cut = [], [], []

    def watched(actions: Any, observations: Any, rewards: Any, terminals: Any, truncations: Any) -> None:
        step(actions, observations, rewards, terminals, truncations)
        flags.append(truncations.reshape(-1).copy())
        paid.append(torch.from_numpy(rewards.reshape(-1).copy()))
        assert not (terminals & truncations).any()

    beyond = rollout._values_beyond

    def noted(agents: np.ndarray, last: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        assert agents.tolist() == np.flatnonzero(flags[-1]).tolist() and last.any(axis=(1, 2)).all()
        expected = rollout.net.act(torch.from_numpy(last), tuple(part[agents] for part in rollout._state))[0].values
        places, values = beyond(agents, last)
        torch.testing.assert_close(values, 0.995 * expected)
        cut.append((len(flags) - 1, agents, values))
        return places, values

    rollout.env.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    rollout._values_beyond = noted  # pyright: ignore[reportAttributeAccessIssue]
    rollout.start()
    assert rollout.collect(Stopwatch(), lambda: False)
    expected = torch.stack(paid)
    for time, agents, values in cut:
        expected[time, agents] += values
    torch.testing.assert_close(rollout.experience.rewards, expected)
    times = [time for time, _, _ in cut]
    assert times == cuts if cuts is not None else times == [t for t, flag in enumerate(flags) if flag.any()]
    assert cuts is not None or len(times) > 2
    rollout.close()
