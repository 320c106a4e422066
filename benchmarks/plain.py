"""The components of `vit` as one would write them in plain PyTorch: the reference of the tests, as classes to train.

Dense keys and values over all 128 tokens, loops over time in Python, torch's own layers.
"""

from torch import Tensor, nn

from metta.game.observation import EnvInfo
from metta.policy.interface import Info
from metta.policy.nets.components.cortex import CortexSettings
from metta.policy.nets.interface import State
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.cortex import Cortex
from metta.policy.nets.shapes import Shape
from tests.policy.nets.reference_core import ReferenceCore
from tests.policy.nets.reference_perceiver import Reference

# What puts them in the place of ours.
WORDS = (
    "agent=vit",
    "~agent.components.obs_shim_tokens",
    "~agent.components.obs_attr_embed_fourier",
    "agent.components.obs_perceiver_latent='class=benchmarks.plain.Encoder,input=observations'",
    "agent.components.cortex='class=benchmarks.plain.Core,input=obs_perceiver_latent'",
    "agent.components.actor_mlp='class=benchmarks.plain.Actor,input=cortex'",
    "agent.components.critic.hidden=512",
)


class Encoder(Reference):
    """Observations [n, tokens, 3] -> [n, 128]."""

    width = 128

    def __init__(self, given: Shape, info: Info) -> None:
        assert isinstance(info, EnvInfo)
        super().__init__(info)


class Core(Memory):
    """[n, 128] -> [n, 128]."""

    width = 128

    def __init__(self, given: Shape, info: Info) -> None:
        super().__init__()
        self.core = Cortex(given.width, CortexSettings(pattern="Ag,A,S"))
        self.reference = ReferenceCore(self.core)

    def initial_state(self, batch: int) -> State:
        return self.core.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.core.step(x, state)

    def unroll(self, x: Tensor, state: State, resets: Tensor) -> Tensor:
        return self.reference.unroll(x, state, resets)


class Actor(nn.Sequential):
    """[n, 128] -> [n, 256]."""

    width = 256

    def __init__(self, given: Shape, info: Info) -> None:
        super().__init__(nn.Linear(given.width, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU())
