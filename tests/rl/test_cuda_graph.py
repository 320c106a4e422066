"""Environments on the device share torch's tensors, streams and graphs."""

import pytest
import torch

from metta.game.engine.backends import make_batch
from metta.game.engine.batch import Batch
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.rl.machine import torch_stream

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ENVS, STEPS = 64, 100


class Play:
    """A batch that a linear policy plays. Its weights are whole numbers, so its sums are exact in any order."""

    def __init__(self) -> None:
        mission = build_mission(MissionSettings(max_steps=40))
        self.batch: Batch = make_batch(
            "cuda", mission, ENVS, maps=build_pool(mission, 4, 0), seed=3, desync=True, stream=torch_stream
        )
        shape = (ENVS, mission.agents)
        self.actions = torch.zeros(shape, dtype=torch.int32, device="cuda")
        self.observations = torch.zeros(*shape, 200, 3, dtype=torch.uint8, device="cuda")
        self.rewards = torch.zeros(shape, device="cuda")
        self.ends = torch.zeros(2, *shape, dtype=torch.bool, device="cuda")
        self.returns = torch.zeros(shape, device="cuda")
        generator = torch.Generator("cuda").manual_seed(0)
        self.weights = torch.randint(-1, 2, (600, 5), generator=generator, device="cuda").float()
        self.batch.reset(self.observations)

    def step(self) -> None:
        self.actions.copy_((self.observations.flatten(2).float() @ self.weights).argmax(-1))
        self.batch.step(self.actions, self.observations, self.rewards, self.ends[0], self.ends[1])
        self.returns += self.rewards


def test_a_graph_of_policy_and_environments_plays_as_they_do_one_by_one() -> None:
    plain, captured = Play(), Play()
    for _ in range(STEPS):
        plain.step()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # the first step compiles
        captured.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured.step()
    for _ in range(STEPS - 1):
        graph.replay()
    torch.testing.assert_close(captured.observations, plain.observations, rtol=0, atol=0)
    torch.testing.assert_close(captured.returns, plain.returns, rtol=0, atol=0)
    one, other = plain.batch.take_episodes(), captured.batch.take_episodes()
    assert [(e.env, e.map, e.steps) for e in one] == [(e.env, e.map, e.steps) for e in other]
    assert len(one) >= ENVS


def test_a_step_neither_copies_to_the_host_nor_waits() -> None:
    play = Play()
    play.step()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        play.step()
        torch.cuda.synchronize()
    copies = [event.key for event in profile.key_averages() if "DtoH" in event.key or "HtoD" in event.key]
    assert not copies
