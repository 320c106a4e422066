"""What flows between the components of a policy, told without torch: settings are checked before it is imported."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["observations", "tokens", "features", "vector", "logits", "value", "auxiliary"]


class Shape(NamedTuple):
    """Kind and sizes of a value, without its leading axis of agents.

    observations: as the environment writes them; of the game uint8 [n, tokens, 3], sizes (tokens, 3).
    tokens: `TokenBatch` (metta.policy.nets.modules.base), sizes (tokens,): at most so many.
    features: `FeatureBatch`, sizes (tokens, width).
    vector: float [n, width], sizes (width,).
    logits: float [n, choices]; value, auxiliary: float [n, 1]: what heads give.
    """

    kind: Kind
    sizes: tuple[int, ...]

    @property
    def width(self) -> int:
        """Numbers in the last axis."""
        return self.sizes[-1]

    def __str__(self) -> str:
        return f"{self.kind} {'x'.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class Work:
    """Floating-point operations per agent-step of a component's matrix products, a multiply-add being two.

    They are those of the plain formulas, over as many tokens as there may be: kernels may get by with fewer.
    `first` are those among them whose input is an observation: no gradient is worked out for that.
    """

    forward: int
    first: int = 0

    @property
    def trained(self) -> int:
        """Forward in the rollout and again in training, and backward: a product for the weights, one for the input."""
        return 4 * self.forward - self.first

    def __add__(self, other: "Work") -> "Work":
        return Work(self.forward + other.forward, self.first + other.first)
