"""The components that there are, by kind."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from metta.common.errors import suggest
from metta.common.settings import SettingError, first_problem, subjects
from metta.policy.nets.components.amounts import AmountsSettings
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.cnn import CnnSettings
from metta.policy.nets.components.cortex import CortexSettings
from metta.policy.nets.components.dense import LinearSettings, MlpSettings, TokenMlpSettings
from metta.policy.nets.components.heads import ActorHeadSettings, CriticSettings, GtdAuxSettings
from metta.policy.nets.components.map_memory import MapMemorySettings
from metta.policy.nets.components.perceiver import ObsPerceiverLatentSettings
from metta.policy.nets.components.pointer import PointerSettings
from metta.policy.nets.components.recurrent import LstmSettings, MinGruSettings
from metta.policy.nets.components.tokens import ObsAttrEmbedFourierSettings, ObsShimTokensSettings
from metta.policy.nets.components.user import UserSettings, parse_user

KINDS: dict[str, type[ComponentSettings]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        ObsShimTokensSettings,
        ObsAttrEmbedFourierSettings,
        ObsPerceiverLatentSettings,
        TokenMlpSettings,
        CnnSettings,
        LinearSettings,
        MlpSettings,
        AmountsSettings,
        MapMemorySettings,
        PointerSettings,
        CortexSettings,
        LstmSettings,
        MinGruSettings,
        ActorHeadSettings,
        CriticSettings,
        GtdAuxSettings,
        UserSettings,
    )
}


WHERE = "agent.components"  # in the tree of settings
OBSERVATIONS = "observations"


def parse_components(given: Mapping[str, Any]) -> dict[str, ComponentSettings]:
    """Settings of components by name, each with the inputs that it has by default put in: the one before it that is no
    head. Raise SettingError as `parse_component`."""
    parts = {str(name): parse_component(str(name), part) for name, part in given.items()}
    before = OBSERVATIONS
    for name, part in parts.items():
        if part.input is None:
            parts[name] = part.model_copy(update={"input": before})
        before = before if part.is_head else name
    return parts


def parse_component(name: str, given: Any) -> ComponentSettings:
    """Settings of the component of that name, whose kind is its name unless it says so.

    Raise SettingError, in one line, for an unknown kind or setting; it is about `name` or a key below it.
    """
    if isinstance(given, ComponentSettings):
        return given
    if isinstance(given, str):
        try:
            given = parse_user(given)
        except ValueError as error:
            raise SettingError(f"{WHERE}.{name}: {error}", name) from None
    if not isinstance(given, Mapping):
        raise SettingError(f"{WHERE}.{name} is no mapping of keys to values", name)
    values = {str(key): value for key, value in given.items()}
    kind = values.setdefault("kind", name)
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        known = ", ".join(KINDS)
        problem = f"no kind of component {kind!r}{suggest(str(kind), KINDS)}; known: {known}"
        raise SettingError(f"{WHERE}.{name}: {problem}", f"{name}.kind")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingError(first_problem(model, error, f"{WHERE}.{name}"), *subjects(error, name)) from None
