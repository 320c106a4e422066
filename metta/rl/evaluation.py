"""Where evaluation meets training: the trainer calls an evaluator and does not know how it plays."""

from collections.abc import Callable
from typing import Protocol

from metta.policy.nets.net import ComponentNet
from metta.rl.build import Plan
from metta.rl.run.metrics import Metrics
from metta.rl.run.run_folder import RunFolder


class Evaluator(Protocol):
    """Plays suites of missions with the network as it is."""

    def due(self, epoch: int, last: bool) -> bool:
        """Whether there is something to play after that epoch, which may be the last."""
        ...

    def __call__(
        self, net: ComponentNet, epoch: int, last: bool, folder: RunFolder, stop: Callable[[], bool]
    ) -> Metrics:
        """`eval_<suite>/…` metrics after an epoch, the same on all processes; none where it is not due, or where
        `stop` came true on any."""
        ...


EvaluatorOf = Callable[[Plan], Evaluator]


class NoEvaluation:
    """Nothing is ever played."""

    def due(self, epoch: int, last: bool) -> bool:
        return False

    def __call__(
        self, net: ComponentNet, epoch: int, last: bool, folder: RunFolder, stop: Callable[[], bool]
    ) -> Metrics:
        return {}


def never(plan: Plan) -> Evaluator:
    """No evaluation."""
    return NoEvaluation()
