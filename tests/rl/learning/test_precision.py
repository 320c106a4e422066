"""Half as many bits in the network's products: what is rounded, what stays as it was, and what is told."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from metta.common.errors import UserError
from metta.policy.stored.uri import find_bundle
from metta.rl.build import build, plan
from metta.rl.learning.losses.base import predict
from metta.rl.learning.precision import FLOAT32, Precision, fast_precision, find_precision
from metta.rl.learning.update import gather
from metta.rl.run.snapshot import Snapshot
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.learning.batches import CPU, SmallNet, random_experience, settings_of, small_net, update, updater_of
from tests.rl.states import change_state

Config = Callable[..., RunConfig]
BF16 = Precision(torch.bfloat16, CPU)


def test_on_the_processor_products_are_exact_unless_bf16_is_asked_for_by_name() -> None:
    names = {name: find_precision(name, CPU).name for name in ("auto", "float32", "bf16")}
    assert names == {"auto": "float32", "float32": "float32", "bf16": "bf16"}
    assert fast_precision(CPU) == FLOAT32


def test_a_device_without_bf16_is_named() -> None:
    with pytest.raises(UserError, match=r"trainer.precision=bf16: this meta device has no bfloat16; it has float32"):
        find_precision("bf16", torch.device("meta"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_auto_is_bf16_and_float32_is_exact() -> None:
    device = torch.device("cuda")
    assert find_precision("auto", device).name == "bf16"
    factors = torch.randn(2, 512, 512, device=device, generator=torch.Generator(device).manual_seed(0))
    errors = {}
    for name in ("bf16", "float32"):
        find_precision(name, device).set_up()
        exact = factors[0].double() @ factors[1].double()
        errors[name] = float((factors[0] @ factors[1] - exact).abs().max())
    assert errors["float32"] < 1e-3 < errors["bf16"]


class Watched(SmallNet):
    """Keeps the types in which it encodes."""

    seen: set[torch.dtype]

    def encode(self, observations: Tensor) -> Tensor:
        encoded = super().encode(observations)
        self.seen = {*getattr(self, "seen", ()), encoded.dtype}
        return encoded


@pytest.mark.parametrize("precision", [FLOAT32, BF16])
def test_a_net_computes_in_it_and_outputs_memory_and_weights_keep_their_types(precision: Precision) -> None:
    net = small_net(settings_of(), Watched)
    observations = torch.randn(4, 6)
    output, state = precision.act(net, observations, net.initial_state(4))
    unrolled = precision.unroll(net, observations.unsqueeze(0), net.initial_state(4), torch.zeros(1, 4).bool())
    assert net.seen == {precision.dtype}
    assert {part.dtype for part in (*output[:2], *unrolled[:2], *net.parameters())} == {torch.float32}
    assert [part.dtype for part in state] == [part.dtype for part in net.initial_state(4)]
    torch.testing.assert_close(unrolled.values[0], output.values, rtol=1e-2, atol=1e-2)


def test_gradients_are_nearly_the_exact_ones_and_losses_are_taken_in_float32() -> None:
    settings, found = settings_of(), []
    for precision in (FLOAT32, BF16):
        net = small_net(settings)
        experience, segments = random_experience(net), torch.arange(10)
        batch = gather(experience, segments, experience.values, experience.rewards, torch.ones(10))
        updater = updater_of(net, settings, precision)
        prediction, metrics = updater.differentiate(experience, segments, batch, Stopwatch())
        assert {part.dtype for part in (*metrics.values(), prediction.log_ratios)} == {torch.float32}
        found.append(torch.cat([part.grad.flatten() for part in net.parameters() if part.grad is not None]))
    distance = float((found[1] - found[0]).norm() / found[0].norm())
    assert 0 < distance < 0.03


def test_weights_are_rounded_once_where_they_do_not_change() -> None:
    net, counts = small_net(settings_of()), []
    for playing in (torch.no_grad(), BF16.playing()):
        with torch.profiler.profile() as profile, playing:
            for _ in range(5):
                BF16.act(net, torch.ones(4, 6), net.initial_state(4))
        counts.append(sum(event.count for event in profile.key_averages() if event.key == "aten::_to_copy"))
    rounded = len(list(net.parameters()))
    assert counts[0] - counts[1] == 4 * rounded


def test_weights_that_have_changed_are_rounded_anew() -> None:
    net, state = small_net(settings_of()), small_net(settings_of()).initial_state(4)
    with BF16.playing():
        before, _ = BF16.act(net, torch.ones(4, 6), state)
    with torch.no_grad():
        net.critic.bias.add_(1)
    with BF16.playing():
        after, _ = BF16.act(net, torch.ones(4, 6), state)
    torch.testing.assert_close(after.values, before.values + 1, rtol=1e-2, atol=1e-2)


@pytest.fixture
def outer_region() -> Iterator[None]:
    """Rounding begun by somebody else, who (as PuffeRL does) may never leave it."""
    with torch.autocast("cpu", torch.bfloat16):
        yield


def test_weights_are_rounded_anew_in_a_region_of_somebody_else(outer_region: None) -> None:
    net = small_net(settings_of())
    state, resets = net.initial_state(4), torch.zeros(1, 4).bool()
    played, learned = [], []
    for _ in range(2):
        with BF16.playing():
            played.append(BF16.act(net, torch.ones(4, 6), state)[0].values)
        learned.append(BF16.unroll(net, torch.ones(1, 4, 6), state, resets).values[0])
        with torch.no_grad():
            net.critic.bias.add_(1)
    for values in (played, learned):
        torch.testing.assert_close(values[1], values[0] + 1, rtol=1e-2, atol=1e-2)


def test_float32_is_exact_in_a_region_of_somebody_else(outer_region: None) -> None:
    net = small_net(settings_of(), Watched)
    output, _ = FLOAT32.act(net, torch.ones(4, 6), net.initial_state(4))
    unrolled = FLOAT32.unroll(net, torch.ones(1, 4, 6), net.initial_state(4), torch.zeros(1, 4).bool())
    assert net.seen == {torch.float32}
    torch.testing.assert_close(unrolled.values[0], output.values)


def test_in_bf16_the_values_come_to_what_they_should_be() -> None:
    """Of one batch seen again and again, whose returns a net can learn by heart."""
    settings = settings_of(losses={"ppo_critic": {"clip_vloss": False}, "ppo_actor": {"enabled": False}})
    for precision in (FLOAT32, BF16):
        net = small_net(settings)
        updater, experience = updater_of(net, settings, precision), random_experience(net)
        losses = [update(updater, experience)["losses/value_loss"] for _ in range(60)]
        assert losses[-1] < losses[0] / 3


def test_a_run_says_which_it_is_keeps_it_and_learns(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact, rounded = (train(config(run=name, trainer={"precision": name})).metrics for name in ("auto", "bf16"))
    first = [line for line in capsys.readouterr().out.splitlines() if line.startswith("run ") and "parameters" in line]
    assert "on cpu, 8 environments" in first[0] and "on cpu in bf16, 8 environments" in first[1]
    kept = [yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in ("auto", "bf16")]
    assert [tree["trainer"]["precision"] for tree in kept] == ["float32", "bf16"]
    assert exact["losses/entropy"] == pytest.approx(rounded["losses/entropy"], rel=0.05)
    bundles = [find_bundle(str(tmp_path / name)).weights for name in ("auto", "bf16")]
    assert all(part.dtype is torch.float32 for part in bundles[1].values())
    assert any(not torch.equal(bundles[0][name], bundles[1][name]) for name in bundles[0])


@pytest.mark.parametrize("agent", ["lstm", "tutorial"])
def test_what_a_rollout_keeps_is_float32(config: Config, agent: str) -> None:
    parts = build(plan(config(agent={"name": agent}, trainer={"precision": "bf16"})))
    parts.rollout.start()
    assert parts.rollout.collect(Stopwatch(), lambda: False)
    experience = parts.rollout.experience
    floats = (experience.log_probs, experience.values, experience.next_values, *experience.state)
    assert {part.dtype for part in (*floats, *parts.rollout._state)} == {torch.float32}
    everything = torch.arange(experience.values.shape[1])
    batch = gather(experience, everything, experience.values, experience.values, torch.ones(len(everything)))
    ratios = predict(
        parts.rollout.precision.unroll(parts.net, experience.observations, experience.state, experience.resets), batch
    ).log_ratios
    assert float(ratios.abs().max()) < 0.05  # acted and learned from alike
    parts.rollout.close()


def test_a_bf16_run_goes_on_bit_by_bit(config: Config, tmp_path: Path) -> None:
    for run, totals in (("whole", [2048]), ("halves", [1024, 2048])):
        for total in totals:
            unscheduled = {"optimizer": {"anneal_lr": False}, "sampling": {"method": "sequential"}}
            train(config(run=run, trainer={"precision": "bf16", "total_timesteps": total, **unscheduled}))
    one, other = (find_bundle(str(tmp_path / run)).weights for run in ("whole", "halves"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_going_on_in_another_precision_is_told(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    for total, precision in ((512, "float32"), (1024, "bf16"), (1536, "auto")):
        train(config(trainer={"total_timesteps": total, "precision": precision}))
    warned = [line for line in capsys.readouterr().err.splitlines() if "goes on with" in line]
    assert "precision bf16 (before: float32);" in warned[0] and "precision float32 (before: bf16);" in warned[1]


def test_a_checkpoint_that_knew_of_no_precision_was_exact(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(trainer={"total_timesteps": 512}))
    folder = tmp_path / "tiny" / "trainer_state" / "v1"

    def older(snapshot: Snapshot) -> Snapshot:
        machine = {name: value for name, value in snapshot.machine.items() if name != "precision"}
        return replace(snapshot, machine=machine)

    change_state(folder, older)
    train(config(trainer={"total_timesteps": 1024}))
    assert "goes on with" not in capsys.readouterr().err
