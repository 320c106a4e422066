"""`policy_spec.json`: what a policy's weights are for. It may come from a stranger: its classes are never imported."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from metta.common.errors import suggest
from metta.common.settings import first_problem
from metta.game.observation import EnvInfo, Feature
from metta.policy.interface import Info, NetHeads, SpaceInfo
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.earlier import CLASSES, NETS, components_of
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.sources.place import BrokenBundleError

FORMAT = 2  # 1: a net's name and a few settings instead of its components
CLASS_PATH = f"{ComponentNet.__module__}.{ComponentNet.__qualname__}"
MOST_NUMBER = 8_192  # of a setting: no net is wider
PLAIN_FORMAT = 1  # of a policy that is no net of ours
MOST_SETTINGS = 10_000
MOST_ACTIONS = 65_536
MOST_DEPTH = 50  # mappings and lists within each other
Small = Annotated[int, Field(ge=1, le=65_536)]
Text = Annotated[str, Field(max_length=200)]
FeatureId = Annotated[int, Field(ge=0, le=254)]
Contents = Mapping[str, bytes]  # content by path in the bundle


class PolicySpec(BaseModel):
    """A spec of our own (with its format and hashes), or one that tells only the class and its arguments.

    The class is a net of ours, whose weights are `data_path` and whose `components` follow from its arguments; or a
    policy without weights or a user's own, of which `net` is "".
    """

    model_config = ConfigDict(extra="ignore")

    format: int | None = None
    class_path: Text = ""
    data_path: Text = ""
    setup_script: Text = ""
    net: Text = ""
    init_kwargs: dict[Text, Any] = {}
    auxiliary_head: bool | None = None
    run: Text = ""
    epoch: int = Field(default=0, ge=0)
    agent_steps: int = Field(default=0, ge=0)
    sha256: dict[Text, Text] = Field(default={}, max_length=1_000)
    num_agents: Small = 1
    # of the game
    features: list[tuple[FeatureId, Text, float]] | None = Field(default=None, min_length=1, max_length=255)
    tags: list[Text] = Field(default=[], max_length=255)
    action_names: list[Text] = Field(default=[], max_length=MOST_ACTIONS)
    window: tuple[Annotated[int, Field(ge=1, le=16)], Annotated[int, Field(ge=1, le=16)]] = (11, 11)
    num_tokens: Small = 200
    # of other environments
    observation_shape: list[Small] | None = Field(default=None, max_length=8)
    observation_dtype: Text = "float32"
    action_sizes: list[Small] = Field(default=[], max_length=64)
    _components: dict[str, ComponentSettings] = PrivateAttr(default={})

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value is not None}

    @field_validator("data_path")
    @classmethod
    def _stays_in_the_folder(cls, value: str) -> str:
        if value in (".", "..") or "/" in value or "\\" in value:
            raise ValueError("leaves the folder")
        return value

    @field_validator("features")
    @classmethod
    def _are_distinct(cls, value: list[tuple[int, str, float]] | None) -> list[tuple[int, str, float]] | None:
        ids, names, scales = zip(*value or [(0, "", 1.0)], strict=True)
        if len(set(ids)) < len(ids) or len(set(names)) < len(names):
            raise ValueError("two features of one name or id")
        if not all(map(math.isfinite, scales)):
            raise ValueError("a normalization is no number")
        return value

    @model_validator(mode="after")
    def _names_a_policy(self) -> Self:
        name = self.class_path.rpartition(".")[2]
        listed = name == ComponentNet.__qualname__
        if self.class_path and not listed and name not in (*CLASSES, *NETS):
            self.net = ""
            return self
        self.net = self.net or CLASSES.get(name, name)
        if not listed and self.net not in NETS:
            raise ValueError(f"unknown net {self.net!r}{suggest(self.net, NETS)}")
        if not self.data_path:
            raise ValueError("data_path: a net plays with weights, the spec names none")
        if len(numbers := list(_leaves(self.init_kwargs, ""))) > MOST_SETTINGS:
            raise ValueError(f"init_kwargs: more than {MOST_SETTINGS:,} settings")
        for key, value in numbers:
            if not _is_setting(value):
                raise ValueError(f"init_kwargs: {key} is no setting of a net")
        self._components = self._listed() if listed else components_of(self.net, self.init_kwargs)
        if math.prod(self.action_sizes) > MOST_ACTIONS:
            raise ValueError(f"more than {MOST_ACTIONS:,} actions")
        return self

    def _listed(self) -> dict[str, ComponentSettings]:
        components = self.init_kwargs.get("components")
        if set(self.init_kwargs) != {"components"} or not isinstance(components, dict) or not components:
            raise ValueError("init_kwargs: a net is built from its components, which are a mapping")
        return AgentSettings(name=self.net, components=components).components

    @property
    def components(self) -> dict[str, ComponentSettings]:
        """Of a net of ours."""
        return self._components

    @property
    def heads(self) -> NetHeads:
        return NetHeads(auxiliary=bool(self.auxiliary_head))

    @property
    def info(self) -> Info | None:
        """What the policy was trained on; None if the spec does not tell."""
        if self.observation_shape is not None:
            shape, sizes = tuple(self.observation_shape), tuple(self.action_sizes)
            return SpaceInfo(shape, self.observation_dtype, sizes, self.num_agents)
        if self.features is None:
            return None
        features = tuple(Feature(id, name, scale) for id, name, scale in self.features)
        names = tuple(self.action_names)
        return EnvInfo(features, tuple(self.tags), names, self.num_agents, self.window, self.num_tokens)


def _is_deeper(value: Any, most: int) -> bool:
    """Do mappings and lists lie deeper than that in each other?"""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return most < 0 or any(_is_deeper(entry, most - 1) for entry in inner)


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """What is in mappings and lists, each with the last key on the way to it."""
    if isinstance(value, dict | list):
        for name, entry in value.items() if isinstance(value, dict) else ((key, entry) for entry in value):
            yield from _leaves(entry, name)
    else:
        yield key, value


def _is_setting(value: Any) -> bool:
    return isinstance(value, bool | str | None) or (isinstance(value, int | float) and abs(value) <= MOST_NUMBER)


def write_spec(net: ComponentNet, data_path: str, sha256: str, run: str, epoch: int, agent_steps: int) -> bytes:
    """The spec of a net whose weights have that SHA-256, in hex."""
    spec = {
        "format": FORMAT,
        "class_path": CLASS_PATH,
        "data_path": data_path,
        "net": net.name,
        "init_kwargs": {"components": {name: part.model_dump() for name, part in net.components.items()}},
        "auxiliary_head": net.heads.auxiliary,
        **_info_fields(net.info),
        "run": run,
        "epoch": epoch,
        "agent_steps": agent_steps,
        "sha256": {data_path: sha256},
    }
    return _signed(spec)


def write_plain_spec(
    class_path: str, init_kwargs: dict[str, Any], data_path: str, setup: str, files: Contents
) -> bytes:
    """The spec of a policy that is no net of ours, with the files that belong to it."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    extra = {"setup_script": setup} if setup else {}
    words = {"class_path": class_path, "data_path": data_path or None, "init_kwargs": init_kwargs}
    return _signed({"format": PLAIN_FORMAT, **words, **extra, "sha256": hashes})


def _signed(spec: dict[str, Any]) -> bytes:
    return (json.dumps({**spec, "spec_sha256": _hash(spec)}, indent=2) + "\n").encode()


def read_spec(data: bytes, where: str) -> PolicySpec:
    """Raise BrokenBundleError for what is no spec, or one of ours that is not as it was written."""
    try:
        spec = json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenBundleError(f"{where}: damaged or cut short, it is no JSON") from None
    if not isinstance(spec, dict):
        raise BrokenBundleError(f"{where}: no policy spec")
    if _is_deeper(spec, MOST_DEPTH):
        raise BrokenBundleError(f"{where}: mappings and lists lie more than {MOST_DEPTH} deep")
    ours = "format" in spec or "spec_sha256" in spec
    if ours:
        _check_format(spec.get("format"), where)
    if ours and spec.get("spec_sha256") != _hash(spec):
        raise BrokenBundleError(f"{where}: damaged or edited (its SHA-256 does not match)")
    try:
        found = PolicySpec.model_validate(spec)
    except ValidationError as error:
        raise BrokenBundleError(f"{where}: {first_problem(PolicySpec, error, '')}") from None
    if found.setup_script and found.net:
        raise BrokenBundleError(f"{where}: wants to run a setup_script; only weights are loaded")
    return found


def _check_format(given: object, where: str) -> None:
    if isinstance(given, int) and given > FORMAT:
        problem = f"written by a newer version, in format {given}; this one reads formats up to {FORMAT}"
        raise BrokenBundleError(f"{where}: {problem}: update metta")
    if given not in range(1, FORMAT + 1):
        raise BrokenBundleError(f"{where}: not a policy spec of format {FORMAT}")


def _hash(spec: dict[str, Any]) -> str:
    content = {key: value for key, value in spec.items() if key != "spec_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _info_fields(info: Info) -> dict[str, Any]:
    """What the net was built for, as it stands in the spec."""
    if isinstance(info, SpaceInfo):
        return {
            "observation_shape": list(info.observation_shape),
            "observation_dtype": info.observation_dtype,
            "action_sizes": list(info.action_sizes),
            "num_agents": info.num_agents,
        }
    return {
        "features": [[feature.id, feature.name, feature.normalization] for feature in info.features],
        "tags": list(info.tags),
        "action_names": list(info.action_names),
        "num_agents": info.num_agents,
        "window": list(info.window),
        "num_tokens": info.num_tokens,
    }
