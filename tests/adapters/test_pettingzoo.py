"""The PettingZoo view passes PettingZoo's own tests."""

import warnings

import gymnasium
import numpy as np
import pytest

pytest.importorskip("pettingzoo")

from pettingzoo.test import parallel_api_test, parallel_seed_test

from metta.adapters.pettingzoo import MettaParallelEnv, make


def tiny() -> MettaParallelEnv:
    return make(map_pool=4, cogs=3, max_steps=15)


def test_it_passes_the_api_test_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(tiny(), num_cycles=40)


def test_it_passes_the_seed_test():
    parallel_seed_test(tiny, num_cycles=20)


def test_the_last_step_tells_the_statistics_and_leaves_no_agents():
    env = tiny()
    observations, _ = env.reset(seed=0)
    total = dict.fromkeys(env.agents, 0.0)
    infos, steps, draw = {}, 0, np.random.default_rng(0)
    while env.agents:
        kept = {agent: view.copy() for agent, view in observations.items()}
        previous = observations
        actions = {agent: int(draw.integers(env.action_space(agent).n)) for agent in env.agents}
        observations, rewards, terminals, truncations, infos = env.step(actions)
        total = {agent: total[agent] + rewards[agent] for agent in total}
        steps += 1
        assert all(np.array_equal(previous[agent], kept[agent]) for agent in kept)
    assert steps == 15 and all(terminals[agent] or truncations[agent] for agent in total)
    for agent, reward in total.items():
        assert infos[agent]["episode"] == {"r": pytest.approx(reward, abs=1e-4), "l": 15}
        assert infos[agent]["agent"]["energy.gained"] > 0
    assert env.step({}) == ({}, {}, {}, {}, {})


@pytest.mark.parametrize(
    ("actions", "problem"),
    [
        ({"agent_3": 0}, "no agent 'agent_3'.*did you mean agent_2"),
        ({"agent_0": 0, 1: 0}, "no agent 1"),
        ({"agent_1": 1.0}, "float64"),
        ({"agent_2": 12}, "action 12 of agent 2"),
        ({"agent_0": -1}, "action -1 of agent 0"),
        ({"agent_0": "noop"}, "whole numbers"),
        ({"agent_0": None}, "whole numbers"),
        ({"agent_0": True, "agent_1": 1}, "bool"),
        ({"agent_2": np.bool_(False)}, "bool"),
        ({"agent_0": np.array([1, 2])}, "shape|inhomogeneous"),
    ],
)
def test_unknown_agents_and_what_is_no_action_are_refused(actions: dict, problem: str):
    env = tiny()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=problem):
        env.step(actions)
    env.step({"agent_0": np.int64(3), "agent_1": np.array(2), "agent_2": 11})


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded):
        tiny().step({"agent_0": 0})
