"""Steps and minibatches as the same work on the same tensors: what CUDA graphs repeat, without a CUDA device."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.game.engine.batch import EnvBatch, Episode
from metta.policy.interface import SpaceInfo
from metta.rl.build import build, make_losses, plan
from metta.rl.experience.rollout import Experience, Rollout
from metta.rl.learning.backprop import Backprop
from metta.rl.learning.divergence import DivergedError
from metta.rl.learning.graphs import Captured, obstacle
from metta.rl.learning.optim import make_optimizer, set_learning_rate
from metta.rl.learning.precision import find_precision
from metta.rl.learning.sampling import make_sampler
from metta.rl.learning.settings import TrainerSettings
from metta.rl.learning.update import Updater
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from tests.rl.experience.tape import Tape, Taped
from tests.rl.learning.batches import CPU, INFO, SHAPE, settings_of, small_net, weights

Config = Callable[..., RunConfig]
EPOCHS = 4
LENGTH = 5  # steps of an episode


class Walk:
    """Agents on a circle, paid by where they are; every other environment's episodes are cut rather than ended."""

    num_envs, num_agents, device, resumes = SHAPE.envs // 2, SHAPE.agents, "cpu", True
    info: SpaceInfo = INFO

    def __init__(self) -> None:
        self._at = np.zeros((self.num_envs, self.num_agents), np.float32)
        self._steps = np.arange(self.num_envs)
        self._cut: tuple[np.ndarray, Any] | None = None
        self.prepared = 0

    def reset(self, observations: np.ndarray) -> None:
        self._show(observations)

    def _show(self, observations: np.ndarray) -> None:
        observations[:] = np.sin(self._at[..., None] * np.arange(1, 7, dtype=np.float32))

    def prepare(self) -> np.ndarray:
        self.prepared += 1
        cut = (self._steps == LENGTH - 1) & (np.arange(self.num_envs) % 2 == 1)
        return np.flatnonzero(np.repeat(cut, self.num_agents))

    def step(self, *buffers: np.ndarray) -> None:
        self.prepare()
        self.advance(*buffers)

    def advance(self, *buffers: np.ndarray, last: np.ndarray | None = None) -> None:
        """Known to a tape as one operation."""
        if Tape.recording:
            Tape.recording.also(lambda: self._go(*buffers, last))
        self._go(*buffers, last)

    def _go(
        self,
        actions: np.ndarray,
        observations: np.ndarray,
        rewards: np.ndarray,
        terminals: np.ndarray,
        truncations: np.ndarray,
        last: np.ndarray | None,
    ) -> None:
        self._at += actions - np.float32(0.7)
        self._steps += 1
        rewards[:] = np.cos(self._at)
        over = self._steps == LENGTH
        ended, cut = over.copy(), over.copy()
        ended[1::2], cut[::2] = False, False
        terminals[:], truncations[:] = ended[:, None], cut[:, None]
        self._show(observations)
        if last is not None:
            last[:] = observations
        elif cut.any():
            agents = np.flatnonzero(np.repeat(cut, self.num_agents))
            self._cut = agents, observations[cut].reshape(-1, 6).copy()
        self._steps[over], self._at[over] = 0, 0
        self._show(observations)

    def take_episodes(self) -> list[Episode]:
        return []

    def episode_numbers(self) -> np.ndarray:
        return np.zeros(self.num_envs, np.int64)

    def take_truncated(self) -> tuple[np.ndarray, Any] | None:
        taken, self._cut = self._cut, None
        return taken

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"at": self._at.copy(), "steps": self._steps.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self._at[:], self._steps[:] = state["at"], state["steps"]

    def close(self) -> None:
        return


class Learner:
    """A small net that learns to walk. `repeat`: with steps and minibatches that are repeated."""

    def __init__(self, settings: TrainerSettings, repeat: bool, precision: str = "float32") -> None:
        self.net = small_net(settings)
        net, how = self.net, find_precision(precision, CPU)
        self.env, segments = Walk(), Walk.num_envs * Walk.num_agents * 2
        self.experience = Experience.allocate(SHAPE.horizon, segments, INFO, net.initial_state(1), CPU)
        self.generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        centred = settings.advantage
        self.rollout = Rollout(
            self.env, net, self.experience, self.generators[0], centred, precision=how, repeat=repeat
        )
        # As on CUDA: it is known whether an episode has ended only there, and the learning rate is a tensor.
        self.rollout._state_to_act = lambda: net.reset(self.rollout._state, self.rollout._ended)  # pyright: ignore
        self.optimizer = make_optimizer(net, settings.optimizer)
        self.optimizer.param_groups[0]["lr"] = torch.tensor(0.01)
        sampler, losses = make_sampler(settings.sampling, self.generators[1]), make_losses(settings, net)
        shape = type(SHAPE)(envs=2, agents=2, rounds=2, horizon=SHAPE.horizon, minibatch_segments=4, minibatches=3)
        self.updater = Updater(net, self.optimizer, losses, sampler, settings, shape, how, True, repeat)

    def epoch(self, number: int) -> tuple[dict[str, float], list[Tensor]]:
        """What is reported, and what was collected and learned."""
        watch = Stopwatch()
        set_learning_rate(self.optimizer, 0.01 / (1 + number))
        assert self.rollout.collect(watch, lambda: False)
        collected = [part.clone() for part in (*self.experience._by_step(), self.experience.next_values)]
        metrics = self.updater.update(self.experience, number / EPOCHS, watch, lambda: False)
        assert metrics is not None
        reported = {**metrics, "reward": self.rollout.mean_reward, "largest": self.rollout.largest_reward}
        state = [part.clone() for known in self.optimizer.state.values() for part in known.values()]
        return reported, [*collected, *self.experience.state, *weights(self.net), *state]

    def resumed(self, settings: TrainerSettings, repeat: bool, precision: str) -> "Learner":
        """Another one that goes on from here."""
        other = Learner(settings, repeat, precision)
        other.net.load_state_dict(self.net.state_dict())
        groups = other.optimizer.state_dict()["param_groups"]
        other.optimizer.load_state_dict({"state": self.optimizer.state_dict()["state"], "param_groups": groups})
        other.rollout.load_state_dict(self.rollout.state_dict())
        for generator, mine in zip(other.generators, self.generators, strict=True):
            generator.set_state(mine.get_state())
        return other


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> list[Taped]:
    """What would be captured on CUDA is recorded and repeated by tapes: these."""
    tapes: list[Taped] = []

    def captured(*given: Any) -> Taped:
        tapes.append(Taped(*given))
        return tapes[-1]

    monkeypatch.setattr("metta.rl.experience.rollout.Captured", captured)
    monkeypatch.setattr("metta.rl.learning.update.Captured", captured)
    return tapes


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}, "sampling": {"method": "sequential"}},
        {"advantage": {"reward_centering": {"enabled": True, "beta": 0.1}}, "accumulate": 2},
        {"optimizer": {"type": "adamw", "weight_decay": 0.1}, "max_grad_norm": 0.01},
    ],
)
def test_operations_repeated_on_the_same_tensors_collect_and_learn_the_same_bit_for_bit(
    changes: dict[str, Any], precision: str, taped: list[Taped]
) -> None:
    """Episodes end and are cut within segments; half way both are resumed."""
    settings = settings_of(**changes)
    plain, repeated = (Learner(settings, repeat, precision) for repeat in (False, True))
    for learner in (plain, repeated):
        learner.rollout.start()
    for number in range(2 * EPOCHS):
        if number == EPOCHS:
            plain, repeated = (
                learner.resumed(settings, repeat, precision) for learner, repeat in ((plain, False), (repeated, True))
            )
        (metrics, tensors), (others, same) = plain.epoch(number), repeated.epoch(number)
        assert metrics == others
        torch.testing.assert_close(same, tensors, rtol=0, atol=0)
    assert sum(tape.replays > 0 for tape in taped) == 2 * 3  # steps, minibatches, the optimiser, twice
    assert repeated.env.prepared == plain.env.prepared == EPOCHS * 2 * SHAPE.horizon


def test_a_number_that_is_not_finite_ends_the_update_as_without(taped: list[Taped]) -> None:
    found = []
    for repeat in (False, True):
        learner = Learner(settings_of(), repeat)
        learner.rollout.start()
        for number in range(3):
            learner.epoch(number)
        assert learner.rollout.collect(Stopwatch(), lambda: False)
        with torch.no_grad():
            learner.net.critic.bias.fill_(torch.nan)
        with pytest.raises(DivergedError) as error:
            learner.updater.update(learner.experience, 0.5, Stopwatch(), lambda: False)
        found.append((str(error.value), weights(learner.net)))
    assert found[0][0] == found[1][0] and "value_loss is nan" in found[0][0]
    torch.testing.assert_close(found[1][1], found[0][1], rtol=0, atol=0, equal_nan=True)


def test_each_repetition_draws_new_random_numbers() -> None:
    generator, drawn = torch.Generator().manual_seed(0), torch.zeros(8)
    captured = Taped("drawing", lambda: drawn.copy_(torch.rand(8, generator=generator)), CPU, [generator])
    found = []
    for _ in range(20):
        captured()
        found.append(drawn.clone())
    same = torch.Generator().manual_seed(0)
    torch.testing.assert_close(found, [torch.rand(8, generator=same) for _ in range(20)], rtol=0, atol=0)


def test_a_run_of_the_game_is_the_same_bit_for_bit(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the kernels of the processor, which no tape repeats: the functions are run each time. What is cut, the
    engine for the processor knows after a step alone."""
    found = []
    for repeat in (False, True):
        if repeat:
            monkeypatch.setattr(EnvBatch, "prepare", lambda env: np.zeros(0, np.int64), raising=False)
            monkeypatch.setattr(EnvBatch, "advance", lambda env, *buffers, last: env.step(*buffers), raising=False)
            monkeypatch.setattr("metta.rl.build.obstacle", lambda *given: None)
        parts = build(plan(config(training_env={"num_envs": 4})))
        parts.rollout.start()
        for _ in range(3):
            assert parts.rollout.collect(Stopwatch(), lambda: False)
            metrics = parts.updater.update(parts.rollout.experience, 0.5, Stopwatch(), lambda: False)
            experience = [part.clone() for part in parts.rollout.experience._by_step()]
            found.append((metrics, experience, weights(parts.net)))
        parts.rollout.close()
    for (metrics, *tensors), (others, *same) in zip(found[:3], found[3:], strict=True):
        assert metrics == others
        torch.testing.assert_close(same, tensors, rtol=0, atol=0)


def test_a_minibatch_that_runs_out_of_memory_keeps_gradients_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of()
    learner, usual = Learner(settings, True), Learner(settings, False)
    go, calls = Backprop._outputs, []

    def scarce(backprop: Backprop, *given: Any) -> Any:
        calls.append(1)
        if backprop is learner.updater._backprop and len(calls) == 3:
            raise MemoryError
        return go(backprop, *given)

    monkeypatch.setattr(Backprop, "_outputs", scarce)
    learner.rollout.start()
    learner.epoch(0)
    where = [parameter.grad.data_ptr() for parameter in learner.net.parameters() if parameter.grad is not None]
    assert learner.updater._backprop.parts == 2 and "in 2 parts" in capsys.readouterr().err
    learner.epoch(1)
    assert where == [part.grad.data_ptr() for part in learner.net.parameters() if part.grad is not None]
    usual.rollout.start()
    usual.epoch(0)
    usual.epoch(1)
    torch.testing.assert_close(weights(learner.net), weights(usual.net), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "system.device=cuda"),
        ({"device": "cuda"}, "env.backend=cuda"),
        ({"device": "cuda", "env": {"backend": "cuda"}}, None),
        ({"device": "cuda", "env": {"backend": "cuda"}, "teacher": {"policy_uri": "miner"}}, "a teacher"),
        (
            {
                "device": "cuda",
                "env": {"backend": "cuda"},
                "trainer": {"dual_policy": {"enabled": True, "checkpoint_npcs": [{"path": "noop"}]}},
            },
            "trainer.dual_policy",
        ),
        (
            {
                "device": "cuda",
                "env": {"backend": "cuda"},
                "trainer": {"compile": True, "compile_mode": "max-autotune"},
            },
            "trainer.compile_mode=max-autotune",
        ),
    ],
)
def test_what_is_in_the_way_is_named(config: Config, changes: dict[str, Any], why: str | None) -> None:
    device = torch.device(changes.pop("device", "cpu"))
    found = obstacle(config(**changes), device)
    assert found is None if why is None else why in (found or "")


@pytest.mark.parametrize(("given", "kept"), [(True, "on"), (False, "off"), ("auto", "auto"), ("on", "on")])
def test_on_and_off_may_be_what_yaml_makes_of_them(given: object, kept: str) -> None:
    assert TrainerSettings.model_validate({"cuda_graphs": given}).cuda_graphs == kept


def test_asking_for_graphs_on_a_processor_is_refused_in_one_line(config: Config) -> None:
    with pytest.raises(UserError, match=r"trainer\.cuda_graphs=on: the policy is on the device cpu"):
        plan(config(trainer={"cuda_graphs": "on"}))


def test_on_a_processor_a_function_is_run_each_time() -> None:
    calls: list[int] = []
    captured = Captured("counting", lambda: calls.append(1), CPU)
    for _ in range(6):
        captured()
    assert len(calls) == 6
