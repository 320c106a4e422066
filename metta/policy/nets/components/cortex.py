"""Settings of the recurrent core."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from metta.common.errors import suggest
from metta.common.settings import first_problem
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.cells import CELLS, TOKENS, AnyCell
from metta.policy.nets.shapes import Shape, Work

if TYPE_CHECKING:
    from metta.policy.interface import Info
    from metta.policy.nets.modules.cortex import Cortex

LAYERS = 2  # where nothing says how many

Activation = Literal["none", "silu", "relu", "tanh"]


class CortexSettings(ComponentSettings):
    """A stack of layers, each of which is a column: recurrent cells side by side, mixed by a learned router."""

    kind: Literal["cortex"] = "cortex"

    d_hidden: int = Field(default=128, ge=1, le=65536, description="numbers that layers hand on")
    cells: dict[str, Annotated[AnyCell, Field(discriminator="cell")]] = Field(
        default={},
        description="settings of each cell that the pattern names, by its letters; what is left out is the letters' "
        "default; new letters say which `cell` they stand for",
    )
    pattern: str | list[str | list[str]] = Field(
        default="Ag,A,S",
        description="cells of every layer, as Ag,A,S or AXMS; or a list with those of each layer: "
        + ", ".join(f"{token} {cell.title}" for token, cell in TOKENS.items()),
    )
    num_layers: int | None = Field(
        default=None, ge=1, le=256, description=f"layers; default: {LAYERS}, or as many as the pattern lists"
    )
    post_norm: bool = Field(default=False, description="normalise what the last layer gives")
    out: int | None = Field(default=None, ge=1, le=65536, description="project what it gives to so many numbers")
    activation: Activation = Field(default="silu", description="function after that projection")

    @field_validator("cells", mode="before")
    @classmethod
    def _with_defaults(cls, cells: Any) -> Any:
        if not isinstance(cells, Mapping):
            return cells
        return {token: _cell(str(token), given) for token, given in cells.items()}

    @field_validator("pattern")
    @classmethod
    def _known(cls, pattern: str | list[str | list[str]], info: Any) -> str | list[str | list[str]]:
        own = info.data.get("cells", {})
        layers = [pattern] if isinstance(pattern, str) else pattern
        if not layers:
            raise ValueError("names no layer")
        for layer in layers:
            _tokens(layer, own)
        return pattern

    @model_validator(mode="after")
    def _resolved(self) -> "CortexSettings":
        listed = None if isinstance(self.pattern, str) else len(self.pattern)
        layers = self.num_layers or listed or LAYERS
        if listed is not None and layers != listed:
            raise ValueError(
                f"num_layers={layers}, but the pattern lists {listed}: leave num_layers out, or let it agree"
            )
        named = dict.fromkeys(token for column in self._columns(layers) for token in column)
        cells = {token: self.cells.get(token) or TOKENS[token]() for token in named}
        for token, cell in cells.items():
            try:
                cell.check(self.d_hidden)
            except ValueError as error:
                raise ValueError(f"cells.{token}: {error} (d_hidden={self.d_hidden})") from None
        # Assigned past validation, which would come here again.
        for name, value in (("cells", cells), ("num_layers", layers)):
            self.__dict__[name] = value
            self.__pydantic_fields_set__.add(name)
        return self

    def _columns(self, layers: int) -> list[list[str]]:
        if isinstance(self.pattern, str):
            return [_tokens(self.pattern, self.cells)] * layers
        return [_tokens(layer, self.cells) for layer in self.pattern]

    @property
    def columns(self) -> list[list[AnyCell]]:
        """Cells of each layer."""
        return [[self.cells[token] for token in column] for column in self._columns(self.num_layers or LAYERS)]

    def output(self, given: Shape, info: "Info") -> Shape:
        return Shape("vector", (self.out or self.d_hidden,))

    def build(self, given: Shape, info: "Info") -> "Cortex":
        from metta.policy.nets.modules.cortex import Cortex

        return Cortex(given.width, self)

    def work(self, given: Shape, info: "Info") -> Work:
        width = self.d_hidden
        total = 2 * given.width * width if given.width != width else 0
        for column in self.columns:
            routed = 2 * width * len(column) if len(column) > 1 else 0
            total += routed + sum(cell.block_work(width) for cell in column)
        return Work(total + 2 * width * (self.out or 0))


def _cell(token: str, given: Any) -> Any:
    """Settings of one cell as given, over the defaults of its letters."""
    if not token.isalpha():
        raise ValueError(f"'{token}': a cell's name in a pattern consists of letters")
    if not isinstance(given, Mapping):
        return given
    default = TOKENS.get(token)
    name = given.get("cell") or (default and default.model_fields["cell"].default)
    if name is None:
        raise ValueError(f"'{token}': say which `cell` it stands for ({', '.join(CELLS)}), or take one of {_known()}")
    if name not in CELLS:
        raise ValueError(f"{token}.cell: there is no '{name}'{suggest(str(name), CELLS)}; known: {', '.join(CELLS)}")
    try:
        return CELLS[name].model_validate({**given, "cell": name})
    except ValidationError as error:
        raise ValueError(first_problem(CELLS[name], error, token)) from None


def _known(own: Mapping[str, AnyCell] = {}) -> str:
    titles = {token: cell.title for token, cell in {**TOKENS, **own}.items()}
    return ", ".join(f"{token} ({title})" for token, title in titles.items())


def _tokens(layer: str | list[str], own: Mapping[str, AnyCell]) -> list[str]:
    """Names of a layer's cells: listed, with commas between them, or as one word, the longest name first."""
    known = {**TOKENS, **own}
    listed = layer if isinstance(layer, list) else [part.strip() for part in layer.split(",")]
    if isinstance(layer, str) and len(listed) == 1:
        listed = _spelled(listed[0], known)
    unknown = next((token for token in listed if token not in known), None)
    if unknown is not None or not listed:
        raise ValueError(f"no cell '{unknown or ''}'{suggest(unknown or '', known)}; known: {_known(own)}")
    return listed


def _spelled(word: str, known: Mapping[str, Any]) -> list[str]:
    """Names that a word is made of; where none fits, the letter there."""
    found = []
    while word:
        token = max((token for token in known if word.startswith(token)), key=len, default=word[0])
        found.append(token)
        word = word[len(token) :]
    return found
