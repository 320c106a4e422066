"""Where a run can be sent: the files of configs/launch, each of one kind."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, TypeAdapter, ValidationError, model_validator

from metta.common.documents import read_yaml
from metta.common.errors import UserError, suggest
from metta.common.settings import Settings, first_problem
from metta.config.files import CONFIGS, options
from metta.config.words import Word

MOST_BYTES = 100_000
PREFIX = "launch."  # of words that change the target


def _absolute(path: str) -> str:
    path = str(Path(path).expanduser()) if path.startswith("~") else path
    if not path.startswith("/"):
        raise ValueError("should be an absolute path: it is a folder of the machine where the run goes on")
    return path


Absolute = Annotated[str, AfterValidator(_absolute)]


class BaseTarget(Settings):
    """What every target says of the processes that train and of who watches them."""

    python: str = Field(default=sys.executable, description="Python there, with the packages; default: this one")
    data_dir: Absolute | None = Field(default=None, description="system.data_dir there, unless a word says")
    processes: PositiveInt | Literal["auto", "gpu"] = Field(default="auto", description="processes on each node")
    hours: PositiveFloat = Field(default=72, le=8760, description="after which the run saves and stops")
    heartbeat_seconds: PositiveFloat = Field(
        default=1800, le=1e6, description="without a new epoch after which all start again"
    )
    restarts: int = Field(default=3, ge=0, le=1000, description="times in a row without an epoch between them")
    grace_seconds: PositiveFloat = Field(default=100, le=3600, description="to save and stop in when asked to")
    env: dict[str, str] = Field(default={}, description="environment variables of the run")


class LocalTarget(BaseTarget):
    kind: Literal["local"]


class SshTarget(BaseTarget):
    kind: Literal["ssh"]
    hosts: list[str] = Field(min_length=1, description="names in the file of hosts; the first one leads")
    hosts_file: str = Field(default="devops/mettabox/hosts.yaml", description="what each host is")
    code: Absolute = Field(description="folder there that keeps the commits")
    port: int = Field(default=29500, ge=1, le=65535, description="where several hosts meet, on the first one")


class SlurmTarget(BaseTarget):
    kind: Literal["slurm"]
    code: Absolute | None = Field(default=None, description="folder that keeps the commits; null: this tree as it is")
    nodes: PositiveInt = Field(default=1, le=4096)
    gpus_per_node: int = Field(default=1, ge=0, le=64)
    cpus_per_task: PositiveInt | None = Field(default=None, description="cores on each node")
    partition: str | None = None
    account: str | None = None
    warn_seconds: PositiveInt = Field(default=120, description="before the end at which SLURM sends USR1")
    port: int = Field(default=29500, ge=1, le=65535)


class SkypilotTarget(BaseTarget):
    kind: Literal["skypilot"]
    nodes: PositiveInt = Field(default=1, le=4096)
    accelerators: str | None = Field(default="L4:1", description="kind and number on each node")
    use_spot: bool = True
    infra: str | None = Field(default=None, description="cloud, region and zone, as aws/us-east-1")
    image: str | None = Field(default=None, description="image of the nodes, as docker:metta:latest")
    bucket: str | None = Field(default=None, description="storage with the runs of one node, as s3://metta-runs")
    volume: str | None = Field(default=None, description="volume of SkyPilot with the runs, which all nodes see")
    secrets: list[str] = Field(default=[], description="names of variables of this shell that the nodes get too")
    setup: str = Field(description="shell lines that install the packages, run in the checkout")
    port: int = Field(default=29500, ge=1, le=65535)

    @model_validator(mode="after")
    def _has_one_storage(self) -> "SkypilotTarget":
        if (self.bucket is None) == (self.volume is None):
            raise ValueError("the runs lie in a bucket or on a volume: one of them is to be named, the other null")
        if self.nodes > 1 and self.volume is None:
            raise ValueError(
                f"nodes={self.nodes} share a volume, as nodes do not see at once what others put in a bucket"
            )
        return self


class KubernetesTarget(BaseTarget):
    kind: Literal["kubernetes"]
    nodes: PositiveInt = Field(default=1, le=4096)
    gpus_per_node: int = Field(default=1, ge=0, le=64)
    cpus: str = "8"
    memory: str = "32Gi"
    image: str = Field(description="of the mettabox Dockerfile, without a tag: each commit is one")
    namespace: str = "default"
    claim: str = Field(description="PersistentVolumeClaim with the runs, mounted at data_dir")
    secret: str | None = Field(default=None, description="Secret whose keys become environment variables")
    spot: bool = Field(default=False, description="run on nodes that may be taken away")
    port: int = Field(default=29500, ge=1, le=65535)


Target = Annotated[
    LocalTarget | SshTarget | SlurmTarget | SkypilotTarget | KubernetesTarget, Field(discriminator="kind")
]
MODELS = {
    "local": LocalTarget,
    "ssh": SshTarget,
    "slurm": SlurmTarget,
    "skypilot": SkypilotTarget,
    "kubernetes": KubernetesTarget,
}


def target_names() -> list[str]:
    """The targets of configs/launch."""
    return options("launch")


def load_target(name: str, words: Sequence[Word] = ()) -> Target:
    """The target of configs/launch/NAME.yaml or of a YAML file, changed by words `launch.KEY=value`.

    Raises:
        UserError: no such target, an unknown key or kind, a value out of range.
    """
    path = CONFIGS / "launch" / f"{name}.yaml"
    if name not in target_names():
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            known = target_names()
            raise UserError(f"no target '{name}'{suggest(name, known)}: configs/launch has {', '.join(known)}")
    values = read_yaml(path, MOST_BYTES)
    for word in words:
        _put(values, word)
    return read_target(values, f"configs/launch/{name}.yaml" if name in target_names() else name)


def read_target(values: dict[str, Any], where: str) -> Target:
    """A target from its values. Raises UserError, which begins with `where`."""
    kind = values.get("kind")
    if kind not in MODELS:
        near = suggest(str(kind), MODELS)
        raise UserError(f"{where}: kind={kind!r} is unknown{near}; one of {', '.join(MODELS)}")
    try:
        return TypeAdapter(MODELS[kind]).validate_python(values)
    except ValidationError as error:
        raise UserError(first_problem(MODELS[kind], error, f"{where}:")) from None


def _put(values: dict[str, Any], word: Word) -> None:
    *branches, name = word.key.removeprefix(PREFIX).split(".")
    for branch in branches:
        values = values.setdefault(branch, {})
        if not isinstance(values, dict):
            raise UserError(f"{branch} has no keys of its own, from {word.source}")
    values[name] = word.value
