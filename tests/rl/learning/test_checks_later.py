"""Numbers that are not finite, on a device that is not waited for: found later, with the same end."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from metta.rl.experience.rollout import Experience
from metta.rl.learning.divergence import DivergedError
from metta.rl.learning.losses.base import Loss, LossResult, Minibatch, Prediction
from metta.rl.learning.precision import find_precision
from metta.rl.learning.settings import TrainerSettings
from metta.rl.run.timing import Stopwatch
from tests.rl.learning.batches import random_experience, settings_of, small_net, update, updater_of, weights

LATER = [False, True]


class Spoiled:
    """A loss that one minibatch spoils: in its value, or only in its gradient."""

    def __init__(self, minibatch: int, what: str) -> None:
        self._left, self._what = minibatch, what

    def prepare(self, batch: Minibatch, prediction: Prediction) -> Minibatch:
        return batch

    def __call__(self, batch: Minibatch, prediction: Prediction) -> LossResult:
        self._left -= 1
        zero = 0 * prediction.values.sum()
        if self._left:
            return LossResult(zero, {"spoiled": zero.detach()})
        loss = zero + torch.inf if self._what == "loss" else zero.sqrt()  # whose slope at 0 is infinite
        return LossResult(loss, {"spoiled": loss.detach(), "only_then": torch.tensor(torch.nan)})


def ended(settings: TrainerSettings, later: bool, minibatch: int, what: str) -> tuple[str, list[Tensor], list[Tensor]]:
    """The error, weights and state of the optimiser where the update of the second of two batches goes wrong."""

    def wrap(losses: dict[str, Loss]) -> dict[str, Loss]:
        return {**losses, "spoiled": Spoiled(4 + minibatch, what)} if what in ("loss", "gradient") else losses

    net = small_net(settings)
    updater = updater_of(net, settings, check_later=later, wrap=wrap)
    update(updater, random_experience(net, 1))
    experience = random_experience(net, 2)
    spoil(experience, what)
    with pytest.raises(DivergedError) as error:
        update(updater, experience)
    state = [part.clone() for known in updater.optimizer.state.values() for part in known.values()]
    return f"{error.value}; {error.value.advice}", weights(net), state


def spoil(experience: Experience, what: str) -> None:
    if what == "advantages":
        experience.rewards[2, 3:6] = 3e38
    if what == "priorities":
        experience.rewards[2, 3] = 1e13


@pytest.mark.parametrize("minibatch", [1, 2, 4])
@pytest.mark.parametrize(("what", "expected"), [("loss", "spoiled is inf"), ("gradient", "gradient_norm is nan")])
def test_a_minibatch_is_named_as_at_once_and_the_weights_are_those_before_it(
    minibatch: int, what: str, expected: str
) -> None:
    at_once, later = (ended(settings_of(), kind, minibatch, what) for kind in LATER)
    assert expected in at_once[0] and later[0] == at_once[0]
    torch.testing.assert_close(later[1:], at_once[1:], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("advantages", r"advantages is 3.0000000054977558e+38 (environment 1, agent 1, step 3 of 6"),
        ("priorities", "power of 9.0"),
    ],
)
@pytest.mark.parametrize("critic", ["mse", "gtd_lambda"])
def test_what_is_wrong_before_the_first_step_is_named_with_its_place_and_nothing_learned(
    what: str, expected: str, critic: str
) -> None:
    settings = settings_of(
        sampling={"prio_alpha": 9.0 if what == "priorities" else 0.8},
        losses={"ppo_critic": {"critic_update": critic}},
    )
    at_once, later = (ended(settings, kind, 1, what) for kind in LATER)
    assert expected in at_once[0] and later[0] == at_once[0]
    torch.testing.assert_close(later[1:], at_once[1:], rtol=0, atol=0)


@pytest.mark.parametrize("method", ["sequential", "prioritized"])
def test_where_all_is_well_both_ways_learn_the_same_bit_by_bit(method: str) -> None:
    settings, found = settings_of(sampling={"method": method}), []
    for later in LATER:
        net = small_net(settings)
        updater = updater_of(net, settings, check_later=later)
        metrics = [update(updater, random_experience(net, seed)) for seed in range(3)]
        found.append((metrics, weights(net)))
    assert found[0][0] == found[1][0]
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=0)


class Reads(TorchDispatchMode):
    """Counts operations that hand the host a number, or a shape that depends on numbers."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "multinomial", "unique2")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.__name__.split(".")[0] in self.NAMES
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("method", ["sequential", "prioritized"])
@pytest.mark.parametrize("critic", ["mse", "gtd_lambda"])
def test_the_host_reads_no_more_however_many_minibatches_there_are(method: str, critic: str) -> None:
    counts = []
    for passes in (1, 8):
        settings = settings_of(sampling={"method": method}, losses={"ppo_critic": {"critic_update": critic}})
        net = small_net(settings)
        updater = updater_of(net, settings, check_later=True)
        updater.shape = replace(updater.shape, minibatches=passes)
        update(updater, random_experience(net))  # the optimiser's first step
        with Reads() as mode:
            update(updater, random_experience(net))
        counts.append(mode.count)
    assert counts[0] == counts[1] > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_nothing_is_waited_for_between_minibatches() -> None:
    device, settings = torch.device("cuda"), settings_of()
    net = small_net(settings).to(device)
    experience = random_experience(net)
    moved = {name: part.to(device) for name, part in vars(experience).items() if isinstance(part, Tensor)}
    experience = Experience(**{**moved, "state": tuple(part.to(device) for part in experience.state)})
    updater = updater_of(net, settings, find_precision("auto", device))
    updater.sampler._generator = torch.Generator(device).manual_seed(5)  # pyright: ignore
    update(updater, experience)
    waits = []

    def stop() -> bool:
        """Asked before each minibatch."""
        torch.cuda.set_sync_debug_mode("error")
        waits.append(1)
        return len(waits) > 3

    try:
        assert updater.update(experience, 0.5, Stopwatch(device), stop) is None
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) == 4
