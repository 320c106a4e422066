"""A policy as its list of components says."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from metta.common.errors import UserError
from metta.policy.interface import Info, NetHeads
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.registry import WHERE
from metta.policy.nets.interface import NetOutput, PolicyNet, State
from metta.policy.nets.modules.base import Memory
from metta.policy.nets.modules.cnn import TokenCnn
from metta.policy.nets.wiring import OBSERVATIONS, Part, wire
from metta.policy.ranges import component

# What token values are divided by: the tutorials' nets keep it at the top of their state.
SCALES = "_feature_scale"
Remember = Callable[[str, Memory, Tensor], Tensor]


class ComponentNet(PolicyNet):
    """Components one after the other; the parameters of one lie under `_<its name>`."""

    def __init__(
        self,
        info: Info,
        components: Mapping[str, ComponentSettings],
        heads: NetHeads = NetHeads(),  # noqa: B008
        name: str = "",
    ) -> None:
        """Build them with fresh weights. Raise UserError for a list that is none of a policy for `info`."""
        super().__init__(info, heads)
        self.name, self.components = name, dict(components)
        self.parts = wire(components, info, heads.auxiliary)
        by_name = {part.name: part for part in self.parts}
        self._cores: dict[str, int] = {}  # tensors of the state by component that remembers
        for given in components:  # as they are listed: in that order weights are drawn
            if part := by_name.get(given):
                self._add(part)
        self._outputs = {part.output.kind: part.name for part in self.parts if part.settings.is_head}

    def _add(self, part: Part) -> None:
        if hasattr(self, f"_{part.name}"):
            raise UserError(f"{WHERE}.{part.name}: a component cannot have this name", [f"{WHERE}.{part.name}"])
        module = part.settings.build(part.given, self.info)
        self.add_module(f"_{part.name}", module)
        if isinstance(module, Memory):
            self._cores[part.name] = len(module.initial_state(1))
        if isinstance(module, TokenCnn):
            self.register_buffer(SCALES, module.scales.clone())
            self.register_load_state_dict_post_hook(_take_scales)

    def module(self, name: str) -> nn.Module:
        """The module of the component of that name."""
        module = self._modules[f"_{name}"]
        assert module is not None
        return module

    def compile_parts(self, mode: str) -> None:
        """Compile what works forward only; cores have kernels of their own."""
        for part in self.parts:
            if part.name not in self._cores:
                self.module(part.name).compile(mode=mode)

    def _core(self, name: str) -> Memory:
        core = self.module(name)
        assert isinstance(core, Memory)
        return core

    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        name = self._outputs.get("auxiliary")
        return self.module(name).parameters() if name else ()

    def state_bytes(self, name: str) -> int:
        """Bytes that the component of that name remembers of an agent."""
        state = self._core(name).initial_state(1) if name in self._cores else ()
        return sum(part.numel() * part.element_size() for part in state)

    def initial_state(self, batch: int) -> State:
        return tuple(part for name in self._cores for part in self._core(name).initial_state(batch))

    def reset(self, state: State, ended: Tensor) -> State:
        divided = self._divided(state)
        return tuple(part for name, own in divided.items() for part in self._core(name).reset(own, ended))

    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        before, after = self._divided(state), dict[str, State]()

        def step(name: str, core: Memory, x: Tensor) -> Tensor:
            output, after[name] = core.step(x, before[name])
            return output

        output = self._output(self.values(observations, step))
        return output, tuple(part for name in self._cores for part in after[name])

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        time, batch = observations.shape[:2]
        before = self._divided(state)

        def unroll(name: str, core: Memory, x: Tensor) -> Tensor:
            return core.unroll(x.unflatten(0, (time, batch)), before[name], resets).flatten(0, 1)

        return self._output(self.values(observations.flatten(0, 1), unroll)).unflatten(time, batch)

    def values(self, observations: Tensor, remember: Remember) -> dict[str, Any]:
        """What each component gives for observations [n, ...], by name; `remember` lets one that remembers work."""
        values: dict[str, Any] = {OBSERVATIONS: observations}
        for part in self.parts:
            given = [values[source] for source in part.inputs]
            x = given[0] if len(given) == 1 else torch.cat(given, dim=-1)
            module = self.module(part.name)
            with component(part.name):
                found = remember(part.name, module, x) if isinstance(module, Memory) else module(x)
            values.update(zip(part.gives, found if len(part.gives) > 1 else (found,), strict=True))
        return values

    def _output(self, values: Mapping[str, Any]) -> NetOutput:
        given = {kind: values[name] for kind, name in self._outputs.items()}
        logits = joint_logits(given["logits"], self.info.action_sizes)
        auxiliary = given["auxiliary"].squeeze(-1) if "auxiliary" in given else None
        return NetOutput(logits, given["value"].squeeze(-1), auxiliary)

    def _divided(self, state: State) -> dict[str, State]:
        """The state of each component that remembers."""
        left = iter(state)
        return {name: tuple(islice(left, count)) for name, count in self._cores.items()}


def _take_scales(net: nn.Module, keys: Any) -> None:
    """Let the convolutions divide by what was loaded."""
    for module in net.children():
        if isinstance(module, TokenCnn):
            module.scales.copy_(net.get_buffer(SCALES))


def joint_logits(logits: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Logits of independent components [n, sum of sizes] -> of their combinations [n, product of sizes]."""
    first, *others = logits.split(sizes, dim=-1)
    for part in others:
        first = (first.unsqueeze(-1) + part.unsqueeze(-2)).flatten(-2)
    return first
