"""The settings of a policy: the list of its components."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, PositiveInt, SerializeAsAny, field_validator, model_validator

from metta.common.errors import UserError
from metta.common.settings import SettingError, Settings
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.registry import parse_components
from metta.policy.nets.presets import KNOBS, expand_preset

MOST_COMPONENTS = 64


class AgentSettings(Settings):
    """A policy, as `agent=NAME` picks it from configs/agent: an ordered list of components by name.

    The other settings are knobs of a preset, to which its components refer. Once these are resolved the knobs are null:
    the list is all that counts.
    """

    name: str = Field(
        default="tutorial", max_length=200, description="what the list is called: a file of configs/agent"
    )
    hidden_size: PositiveInt | None = Field(default=None, description="recurrent units, or width of the layers")
    channels: list[PositiveInt] | None = Field(
        default=None, min_length=2, max_length=2, description="convolution channels"
    )
    inputs: str | None = Field(
        default=None,
        description="token values as fractions (scaled), a plane per kind and logarithms (kinds), or that and a plane "
        "per agent (members)",
    )
    layers: PositiveInt | None = Field(default=None, description="layers, of mlp")
    memory: bool | None = Field(default=None, description="mlp: an LSTM behind the layers")
    components: dict[str, SerializeAsAny[ComponentSettings]] = Field(
        default={}, description="components by name, each a mapping with its kind; `--describe` shows them"
    )

    @model_validator(mode="before")
    @classmethod
    def _list_comes_from_the_preset(cls, data: Any) -> Any:
        """A list that is not given is the preset's, with its knobs turned as they are given."""
        if not isinstance(data, Mapping):
            return data
        given = dict(data)
        knobs = {key: value for key in KNOBS if (value := given.pop(key, None)) is not None}
        if given.get("components"):
            for key in knobs:
                raise SettingError(f"agent.{key}: no component refers to it; change agent.components", key)
            return given
        try:
            given["components"] = expand_preset(given.setdefault("name", "tutorial"), knobs)
        except UserError as error:
            raise SettingError(str(error), *(key.removeprefix("agent.") for key in error.about)) from None
        return given

    @field_validator("components", mode="before")
    @classmethod
    def _each_by_its_kind(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("is no mapping of names to components")
        if len(value) > MOST_COMPONENTS:
            raise ValueError(f"more than {MOST_COMPONENTS} components")
        return parse_components(value)
