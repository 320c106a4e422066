"""Environments on the device share torch's tensors, streams and graphs; training that graphs repeat is the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from metta.game.engine.backends import make_batch
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.policy.nets.agent import AgentSettings
from metta.policy.stored.uri import find_bundle
from metta.rl.build import Parts, build, plan
from metta.rl.experience.environments import Repeatable
from metta.rl.learning.graphs import Captured
from metta.rl.machine import torch_stream
from metta.rl.run.metrics import read_metrics
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ENVS, STEPS = 64, 100
CUDA = torch.device("cuda")
# Two rounds of 8 steps; some episodes end in them, and first ones are cut within the first two epochs.
ON_DEVICE: dict[str, Any] = {
    "env": {"backend": "cuda"},
    "system": {"device": "cuda"},
    "training_env": {"num_envs": 4},
}


class Play:
    """A batch that a linear policy plays. Its weights are whole numbers, so its sums are exact in any order."""

    def __init__(self) -> None:
        mission = build_mission(MissionSettings(max_steps=40))
        batch = make_batch(
            "cuda", mission, ENVS, maps=build_pool(mission, 4, 0), seed=3, desync=True, stream=torch_stream
        )
        assert isinstance(batch, Repeatable)
        self.batch, shape = batch, (ENVS, mission.agents)
        self.actions = torch.zeros(shape, dtype=torch.int32, device="cuda")
        self.observations = torch.zeros(*shape, 200, 3, dtype=torch.uint8, device="cuda")
        self.rewards = torch.zeros(shape, device="cuda")
        self.ends = torch.zeros(2, *shape, dtype=torch.bool, device="cuda")
        self.last, self.returns = torch.zeros_like(self.observations), torch.zeros(shape, device="cuda")
        generator = torch.Generator("cuda").manual_seed(0)
        self.weights = torch.randint(-1, 2, (600, 5), generator=generator, device="cuda").float()
        self.batch.reset(self.observations)

    def advance(self) -> None:
        self.actions.copy_((self.observations.flatten(2).float() @ self.weights).argmax(-1))
        self.batch.advance(self.actions, self.observations, self.rewards, self.ends[0], self.ends[1], self.last)
        self.returns += self.rewards


def test_a_graph_of_policy_and_environments_plays_as_they_do_one_by_one() -> None:
    plain, repeated = Play(), Play()
    captured = Captured("playing", repeated.advance, CUDA)
    for _ in range(STEPS):
        cut = plain.batch.prepare()
        plain.advance()
        assert repeated.batch.prepare().tolist() == cut.tolist()
        captured()
        torch.testing.assert_close(repeated.last, plain.last, rtol=0, atol=0)
    assert captured._graph is not None
    torch.testing.assert_close(repeated.observations, plain.observations, rtol=0, atol=0)
    torch.testing.assert_close(repeated.returns, plain.returns, rtol=0, atol=0)
    one, other = plain.batch.take_episodes(), repeated.batch.take_episodes()
    assert [(e.env, e.map, e.steps) for e in one] == [(e.env, e.map, e.steps) for e in other]
    assert len(one) >= ENVS


def test_a_step_neither_copies_to_the_host_nor_waits() -> None:
    play = Play()
    play.batch.prepare()
    play.advance()
    play.batch.prepare()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        play.advance()
        torch.cuda.synchronize()
    copies = [event.key for event in profile.key_averages() if "DtoH" in event.key or "HtoD" in event.key]
    assert not copies


def drawing(generator: torch.Generator) -> tuple[Captured[Any], torch.Tensor]:
    drawn = torch.zeros(8, device="cuda")
    return Captured(
        "drawing", lambda: drawn.copy_(torch.rand(8, device="cuda", generator=generator)), CUDA, [generator]
    ), drawn


def test_each_repetition_draws_new_random_numbers_and_goes_on_from_a_saved_state() -> None:
    generator, plain = (torch.Generator("cuda").manual_seed(5) for _ in range(2))
    captured, drawn = drawing(generator)
    for step in range(20):
        if step == 10:
            other = torch.Generator("cuda")
            other.set_state(generator.get_state())
            generator = other
            captured, drawn = drawing(generator)
        captured()
        torch.testing.assert_close(drawn, torch.rand(8, device="cuda", generator=plain), rtol=0, atol=0)
    assert captured._graph is not None and torch.equal(generator.get_state(), plain.get_state())


def waits(x: torch.Tensor) -> None:
    float(x.sum())


def waits_unseen(x: torch.Tensor) -> None:
    torch.cuda.synchronize()


def raises(x: torch.Tensor) -> None:
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError("not while recording\nmore")


@pytest.mark.parametrize(
    ("hindrance", "why"),
    [(waits, "it waits for the device"), (waits_unseen, ""), (raises, "not while recording\n")],
)
def test_what_cannot_be_captured_goes_on_step_by_step_with_one_line(
    hindrance: Callable[[torch.Tensor], None], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, plain = (torch.Generator("cuda").manual_seed(5) for _ in range(2))
    total, expected = torch.zeros(8, device="cuda"), torch.zeros(8, device="cuda")

    def add() -> None:
        total.add_(torch.rand(8, device="cuda", generator=generator))
        hindrance(total)

    captured = Captured("adding", add, CUDA, [generator])
    for _ in range(10):
        captured()
        expected += torch.rand(8, device="cuda", generator=plain)
    torch.testing.assert_close(total, expected, rtol=0, atol=0)
    assert torch.rand(4, device="cuda").numel() == 4  # torch's own generator works, too
    said = capsys.readouterr().err
    assert said.count("trainer.cuda_graphs: adding is run step by step: " + why) == 1


def epochs(config: RunConfig, count: int) -> tuple[Parts, list[Any]]:
    """A run after some epochs, and what each collected, reported and learned."""
    parts, found = build(plan(config)), []
    watch = Stopwatch(CUDA)
    parts.rollout.start()
    for _ in range(count):
        assert parts.rollout.collect(watch, lambda: False)
        experience = parts.rollout.experience
        collected = [part.clone() for part in (*experience._by_step(), experience.next_values, *experience.state)]
        metrics = parts.updater.update(experience, 0.5, watch, lambda: False)
        weights = [parameter.detach().clone() for parameter in parts.net.parameters()]
        found.append((metrics, collected, weights))
    return parts, found


def all_captured(parts: Parts) -> bool:
    repeated, minibatch = parts.rollout._repeated, parts.updater._repeated
    if repeated is None or minibatch is None:
        return False
    captured = (repeated[1], minibatch._learned, minibatch._stepped)
    return all(part._graph is not None for part in captured)


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_captured_epochs_equal_others_bit_for_bit(config: Config, precision: str) -> None:
    """With a net of products alone, whose sums have one order."""
    runs = {}
    for graphs in ("off", "on"):
        parts, runs[graphs] = epochs(config(**ON_DEVICE, trainer={"cuda_graphs": graphs, "precision": precision}), 6)
        assert all_captured(parts) == (graphs == "on")
        parts.rollout.close()
    for (metrics, *tensors), (others, *same) in zip(runs["off"], runs["on"], strict=True):
        torch.testing.assert_close(same, tensors, rtol=0, atol=0)
        assert metrics == others


@pytest.mark.parametrize("agent", ["tutorial", "vit", "machina1", "mingru"])
def test_captured_epochs_of_other_nets_equal_others_up_to_rounding(config: Config, agent: str) -> None:
    """Convolutions and sums over tokens may add up in any order: the first batch is the same bit for bit, what is
    learned from it is close."""
    runs = {}
    for graphs in ("off", "on"):
        settings = config(**ON_DEVICE, trainer={"cuda_graphs": graphs})
        settings = settings.model_copy(update={"agent": AgentSettings.model_validate({"name": agent})})
        parts, runs[graphs] = epochs(settings, 2)
        assert all_captured(parts) == (graphs == "on")
        parts.rollout.close()
    (_, collected, weights), (_, others, same) = runs["off"][0], runs["on"][0]
    torch.testing.assert_close(others, collected, rtol=0, atol=0)
    torch.testing.assert_close(same, weights, rtol=1e-3, atol=1e-4)


def test_a_captured_run_that_is_resumed_equals_one_that_is_not_captured(config: Config) -> None:
    whole = config(run="whole", **ON_DEVICE, trainer={"cuda_graphs": "off"})
    halves = config(run="halves", **ON_DEVICE, trainer={"cuda_graphs": "on"})
    train(whole)
    interrupted(config(run="halves", **ON_DEVICE, trainer={"cuda_graphs": "on", "total_timesteps": 1024}), 2048)
    assert train(halves).finished
    one, other = (read_metrics(folder(settings) / "metrics.jsonl") for settings in (whole, halves))
    assert [without_clock(line) for line in one] == [without_clock(line) for line in other]
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(("graphs", "cut"), [("off", False), ("on", False), ("on", True)])
def test_nothing_is_waited_for_between_steps_and_minibatches(config: Config, graphs: str, cut: bool) -> None:
    """With graphs not even where episodes are cut."""
    mission = {"max_steps": 5, "quirks": {"time_limit_is_terminal": False}} if cut else {}
    parts, _ = epochs(config(**ON_DEVICE, mission=mission, trainer={"cuda_graphs": graphs}), 4)
    watch, minibatches = Stopwatch(CUDA), []

    def stop() -> bool:
        minibatches.append(1)
        torch.cuda.set_sync_debug_mode("error")
        return len(minibatches) == 4

    try:
        torch.cuda.set_sync_debug_mode("error")
        assert parts.rollout.collect(watch, lambda: False)
        torch.cuda.set_sync_debug_mode("default")
        assert parts.updater.update(parts.rollout.experience, 0.5, watch, stop) is None
    finally:
        torch.cuda.set_sync_debug_mode("default")
    parts.rollout.close()
