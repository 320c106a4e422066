"""`policy_spec.json`: what a policy's weights are for. It may come from a stranger: its classes are never imported."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from metta.common.errors import suggest
from metta.common.settings import first_problem
from metta.game.observation import EnvInfo, Feature
from metta.policy.interface import Info, NetHeads, PolicyNet, SpaceInfo
from metta.policy.nets.registry import NETS
from metta.policy.sources.place import BrokenBundleError

FORMAT = 1
MOST_NUMBER = 8_192  # of a setting: no net is wider
MOST_ACTIONS = 65_536
Small = Annotated[int, Field(ge=1, le=65_536)]
Text = Annotated[str, Field(max_length=200)]
FeatureId = Annotated[int, Field(ge=0, le=254)]
Contents = Mapping[str, bytes]  # content by path in the bundle


class PolicySpec(BaseModel):
    """A spec of our own (`format` 1, with its hashes), or one that tells only the class and its arguments.

    The class is a net of ours, whose weights are `data_path`; or a policy without weights or a user's own, of which
    `net` is "".
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
        by_class = {net.__qualname__: name for name, net in NETS.items()}
        name = self.class_path.rpartition(".")[2]
        if self.class_path and name not in (*by_class, *NETS):
            self.net = ""
            return self
        self.net = self.net or by_class.get(name, name)
        if self.net not in NETS:
            raise ValueError(f"unknown net {self.net!r}{suggest(self.net, NETS)}")
        if not self.data_path:
            raise ValueError("data_path: a net plays with weights, the spec names none")
        for key, setting in self.init_kwargs.items():
            numbers = setting if isinstance(setting, list) else [setting]
            if len(numbers) > 64 or any(not _is_setting(number) for number in numbers):
                raise ValueError(f"init_kwargs: {key} is no setting of a net")
        if math.prod(self.action_sizes) > MOST_ACTIONS:
            raise ValueError(f"more than {MOST_ACTIONS:,} actions")
        return self

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


def _is_setting(value: Any) -> bool:
    return isinstance(value, bool | str | None) or (isinstance(value, int | float) and abs(value) <= MOST_NUMBER)


def write_spec(net: PolicyNet, data_path: str, data: bytes, run: str, epoch: int, agent_steps: int) -> bytes:
    """The spec of a net whose weights are `data`."""
    spec = {
        "format": FORMAT,
        "class_path": _path(type(net)),
        "data_path": data_path,
        "net": net.name,
        "init_kwargs": net.settings,
        "auxiliary_head": net.heads.auxiliary,
        **_info_fields(net.info),
        "run": run,
        "epoch": epoch,
        "agent_steps": agent_steps,
        "sha256": {data_path: hashlib.sha256(data).hexdigest()},
    }
    return _signed(spec)


def write_plain_spec(
    class_path: str, init_kwargs: dict[str, Any], data_path: str, setup: str, files: Contents
) -> bytes:
    """The spec of a policy that is no net of ours, with the files that belong to it."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    extra = {"setup_script": setup} if setup else {}
    words = {"class_path": class_path, "data_path": data_path or None, "init_kwargs": init_kwargs}
    return _signed({"format": FORMAT, **words, **extra, "sha256": hashes})


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
    ours = "format" in spec or "spec_sha256" in spec
    if ours and spec.get("format") != FORMAT:
        raise BrokenBundleError(f"{where}: not a policy spec of format {FORMAT}")
    if ours and spec.get("spec_sha256") != _hash(spec):
        raise BrokenBundleError(f"{where}: damaged or edited (its SHA-256 does not match)")
    try:
        found = PolicySpec.model_validate(spec)
    except ValidationError as error:
        raise BrokenBundleError(f"{where}: {first_problem(PolicySpec, error, '')}") from None
    if found.setup_script and found.net:
        raise BrokenBundleError(f"{where}: wants to run a setup_script; only weights are loaded")
    return found


def _path(net: type[PolicyNet]) -> str:
    return f"{net.__module__}.{net.__qualname__}"


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
