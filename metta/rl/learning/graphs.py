"""CUDA graphs: the work of a function is recorded once, then the device repeats it in one launch.

A graph knows addresses, not tensors, and nothing of what the host decides. So it holds a function of tensors that stay
where they are, which asks the device for nothing; numbers that change are tensors too.
"""

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

from metta.common.logging import warn
from metta.rl.schedule import Schedule, places
from metta.rl.settings import RunConfig

WARM_UP = 3  # calls before a capture: they compile, allocate what stays, choose kernels
OWN_GRAPHS = ("reduce-overhead", "max-autotune")  # modes of torch.compile
WAITED = "called a synchronizing CUDA operation"  # what torch says where the host waits for the device
ADVANTAGE = "trainer.advantage"
READ_OUTSIDE = ("trainer.optimizer.learning_rate", "trainer.losses.ppo_actor.target_kl")

Result = TypeVar("Result")


class Captured(Generic[Result]):
    """A function of fixed tensors that a CUDA device repeats.

    The first calls run it, on a stream of its own. Then it is captured, which changes nothing, and repeated from there
    on: every call does the function's work once, with the same numbers. Where it waits for the device or cannot be
    captured it is run as before, which a line says. On a processor it is always run.

    What it returns lies in tensors that the next call overwrites.
    """

    def __init__(
        self,
        what: str,
        function: Callable[[], Result],
        device: torch.device,
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        """`what` it does, for the line; `generators` of the device are those it draws from, beside torch's own."""
        self._what, self._function, self._device = what, function, device
        self._generators = generators
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None  # None: never captured
        self._runs = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: list[Result] = []  # of the graph

    def __call__(self) -> Result:
        """Do the function's work once."""
        if self._graph is None and self._side is not None and self._runs >= WARM_UP:
            self._capture(self._side)
        if self._graph is not None:
            self._graph.replay()
            return self._result[0]
        return self._function() if self._side is None else self._warm_up(self._side)

    def give_up(self, why: str) -> None:
        """From now on only run the function, if it is not captured yet, and say so."""
        if self._side is not None and self._graph is None:
            self._side = None
            warn(f"trainer.cuda_graphs: {self._what} is run step by step: {why}")

    def _warm_up(self, side: torch.cuda.Stream) -> Result:
        self._runs += 1
        now = torch.cuda.current_stream(self._device)
        side.wait_stream(now)
        with torch.cuda.stream(side):
            if self._runs < WARM_UP:
                result = self._function()
            else:
                with _noted_waits() as waits:
                    result = self._function()
                if waits:
                    self.give_up("it waits for the device")
        now.wait_stream(side)
        return result

    def _capture(self, side: torch.cuda.Stream) -> None:
        """Record the function's work, in memory of its own."""
        gc.collect()  # not while recording
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        try:
            # The outer context leads back to the stream of the moment should the inner one fail to end.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self._device)),
                torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
            ):
                result = self._function()
        except Exception as error:
            first = error.__context__ or error  # a capture that failed also fails to end
            self.give_up((str(first) or type(first).__name__).splitlines()[0])
            self._free_generators()
            return
        self._graph, self._result = graph, [result]

    def _free_generators(self) -> None:
        """Take random generators out of a capture that has failed: with their numbers, but states of their own."""
        index = torch.cuda.current_device() if self._device.index is None else self._device.index
        for generator in (*self._generators, torch.cuda.default_generators[index]):
            generator.graphsafe_set_state(generator.clone_state())


@contextmanager
def _noted_waits() -> Iterator[list[str]]:
    """Times at which torch made the host wait for a device, known at the end."""
    waits: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    waits += [text for warning in caught if WAITED in (text := str(warning.message))]


def capturing(device: torch.device) -> bool:
    """Whether a graph records what is queued now."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def obstacle(config: RunConfig, device: torch.device) -> str | None:
    """What of the settings keeps training from being captured, in a few words; None: nothing."""
    if device.type != "cuda":
        return f"the policy is on the device {device.type}; it needs system.device=cuda"
    if config.env.kind != "metta" or config.env.backend != "cuda":
        return "the environments are on the processor; it needs env.backend=cuda"
    if config.teaching:
        return "a teacher thinks on the processor"
    if config.trainer.dual_policy.enabled:
        return "other policies play along (trainer.dual_policy), which the processor casts"
    if config.trainer.compile and config.trainer.compile_mode.startswith(OWN_GRAPHS):
        return f"trainer.compile_mode={config.trainer.compile_mode} captures graphs of its own"
    if config.trainer.optimizer.type in ("schedulefree_adamw", "muon"):
        return f"trainer.optimizer.type={config.trainer.optimizer.type} reads numbers on the processor"
    fixed = [place.key for place in places(config.trainer, "trainer") if isinstance(place.value, Schedule)]
    if inside := [key for key in fixed if not _read_outside(key, config.trainer.auxiliary)]:
        return f"{inside[0]} follows a schedule, and a graph keeps the number that it was captured with"
    return None


def _read_outside(key: str, gradient_td: bool) -> bool:
    """Whether a number is read before each minibatch or rollout, not in what is captured."""
    advantage = key.startswith(f"{ADVANTAGE}.") and not (gradient_td or key.startswith(f"{ADVANTAGE}.reward_centering"))
    return advantage or key.startswith("trainer.sampling.") or key in READ_OUTSIDE
