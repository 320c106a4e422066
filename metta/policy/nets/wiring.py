"""Which component reads which, and what shapes flow between them: checked without torch, before anything is built."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metta.common.errors import UserError, suggest
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.registry import OBSERVATIONS, WHERE
from metta.policy.nets.shapes import Shape

if TYPE_CHECKING:
    from metta.policy.interface import Info

HEADS = {
    "logits": "actor_head",
    "value": "critic",
    "auxiliary": "gtd_aux",
}  # what the trainer reads: kind that gives it
Components = Mapping[str, ComponentSettings]


@dataclass(frozen=True)
class Part:
    """One component in its place."""

    name: str
    settings: ComponentSettings
    inputs: tuple[str, ...]  # what it reads: names of components, `name.side`, or observations
    given: Shape  # of its inputs side by side
    gives: dict[str, Shape]  # by name: its output, then its sides

    @property
    def output(self) -> Shape:
        return self.gives[self.name]


def wire(components: Components, info: "Info", auxiliary: bool) -> list[Part]:
    """The enabled components in the order in which they work; a head for gradient TD only where `auxiliary` asks.

    Raise UserError, about the settings that are wrong, for a list that is none of a policy.
    """
    used = {
        name: part
        for name, part in components.items()
        if part.enabled and (auxiliary or HEADS["auxiliary"] != part.kind_name)
    }
    inputs = {name: _inputs(name, components, used) for name in used}
    shapes = {OBSERVATIONS: Shape(OBSERVATIONS, tuple(info.observation_shape))}
    parts = []
    for name in _ordered(inputs):
        given = _joined(name, used[name], inputs[name], shapes)
        try:
            gives = {name: used[name].output(given, info)}
            gives |= {f"{name}.{side}": shape for side, shape in used[name].sides(given, info).items()}
        except (ValueError, UserError) as error:
            raise _refused(name, str(error)) from None
        shapes |= gives
        parts.append(Part(name, used[name], inputs[name], given, gives))
    _check_heads(parts, auxiliary)
    return parts


def unread(parts: list[Part]) -> list[str]:
    """Names of the components that nothing reads, heads apart."""
    read = {source.partition(".")[0] for part in parts for source in part.inputs}
    return [part.name for part in parts if part.name not in read and not part.settings.is_head]


def _inputs(name: str, components: Components, used: Components, above: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What a component reads, with those that are left out (`above`: on the way here) replaced by what they read."""
    if name in above:
        raise _refused(name, "reads what follows from it", "input")
    found: list[str] = []
    for source in _asked(name, components):
        base = source.partition(".")[0]
        if source == OBSERVATIONS or base in used:
            found.append(source)
        elif base in components:
            found += _inputs(base, components, used, (*above, name))
        else:
            known = [OBSERVATIONS, *components]
            raise _refused(name, f"reads {source!r}, which there is not{suggest(source, known)}", "input")
    return tuple(dict.fromkeys(found))


def _asked(name: str, components: Components) -> list[str]:
    asked = components[name].input or OBSERVATIONS
    return [asked] if isinstance(asked, str) else asked


def _ordered(inputs: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Names such that each comes after what it reads, otherwise as they stand."""
    waiting, done = dict(inputs), {OBSERVATIONS}
    while waiting:
        ready = next((name for name, read in waiting.items() if {one.partition(".")[0] for one in read} <= done), None)
        if ready is None:
            circle = ", ".join(waiting)
            raise UserError(f"{WHERE}: {circle} wait for each other: one reads what follows from it", [WHERE])
        del waiting[ready]
        done.add(ready)
        yield ready


def _joined(name: str, settings: ComponentSettings, inputs: tuple[str, ...], shapes: Mapping[str, Shape]) -> Shape:
    """Shape of the inputs side by side. Raise UserError where the component cannot read them."""
    given = []
    for source in inputs:
        if source not in shapes:
            base = source.partition(".")[0]
            sides = ", ".join(key for key in shapes if key == base or key.startswith(f"{base}."))
            raise _refused(name, f"reads {source!r}; {base} gives {sides}", "input")
        given.append(shapes[source])
    if not given:
        raise _refused(name, "reads nothing: input is empty", "input")
    wanted = " or ".join(settings.reads)
    for source, shape in zip(inputs, given, strict=True):
        if shape.kind not in settings.reads:
            raise _refused(name, f"reads {wanted}, but {source} gives {shape}", "input")
    if len(given) == 1:
        return given[0]
    if any(shape.kind != "vector" for shape in given):
        raise _refused(name, "reads several components, which must be vectors to stand side by side", "input")
    return Shape("vector", (sum(shape.width for shape in given),))


def _check_heads(parts: list[Part], auxiliary: bool) -> None:
    given = [part.output.kind for part in parts]
    for kind, head in HEADS.items():
        if given.count(kind) > 1:
            names = " and ".join(part.name for part in parts if part.output.kind == kind)
            raise UserError(f"{WHERE}: {names} are both of kind {head}; there can be one", [WHERE])
        if kind not in given and (auxiliary or kind != "auxiliary"):
            why = ", which trainer.losses.ppo_critic.critic_update=gtd_lambda needs" if kind == "auxiliary" else ""
            raise UserError(f"{WHERE}: there is no component of kind {head}{why}", [WHERE])


def _refused(name: str, problem: str, key: str = "") -> UserError:
    path = f"{WHERE}.{name}"
    return UserError(f"{path}: {problem}", [f"{path}.{key}" if key else path])
