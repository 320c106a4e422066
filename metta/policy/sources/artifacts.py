"""`wandb://entity/project/type/name:version` and `wandb://run/name[:version]`: artifacts at Weights & Biases."""

import base64
import os
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from metta.common.errors import UserError
from metta.policy.sources.cache import Remote, fetch
from metta.policy.sources.http import read_from
from metta.policy.sources.place import MOST_BYTES, SPEC, Place

SCHEME = "wandb://"
FORMS = "wandb://entity/project/type/name:version or wandb://run/name"
TYPE = "model"  # of the artifacts that runs save
PROJECT = "metta"
SECONDS = 30
WEIGHTS = (".safetensors", ".pt", ".pth", ".zip")
MOST_FILES = 1_000


@dataclass(frozen=True)
class Address:
    """An artifact; the entity is None where the user's own is meant."""

    entity: str | None
    project: str
    type: str
    name: str
    version: str

    def __str__(self) -> str:
        return "/".join(filter(None, (self.entity, self.project, self.type, f"{self.name}:{self.version}")))


def artifact_name(run: str) -> str:
    """The name of the artifact that holds a run's checkpoints."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", run)


def parse_artifact(uri: str) -> Address:
    """Raise UserError for what has neither form."""
    parts = uri.removeprefix(SCHEME).split("/")
    name, _, version = parts[-1].partition(":")
    if not all(parts) or not name or (":" in parts[-1] and not version):
        raise UserError(f"{uri}: no artifact's address; it is {FORMS}")
    name, version = artifact_name(name), version or "latest"
    if len(parts) == 4:
        return Address(parts[0], parts[1], parts[2], name, version)
    if len(parts) == 2 and parts[0] == "run":
        entity, project = os.environ.get("WANDB_ENTITY"), os.environ.get("WANDB_PROJECT") or PROJECT
        return Address(entity, project, TYPE, name, version)
    raise UserError(f"{uri}: no artifact's address; it is {FORMS}")


def artifact_place(uri: str) -> Place:
    """The bundle, or the one file of weights, that an artifact holds. Raise UserError if there is none such."""
    address = parse_artifact(uri)
    files = {file.name: file for file in _files(uri, address)}
    place = _Attached(uri, files)
    if SPEC in files:
        return Place(uri, f"{address.name}:{address.version}", place)
    weights = [name for name in files if name.endswith(WEIGHTS)]
    if len(weights) != 1:
        held = ", ".join(sorted(files)[:8]) or "nothing"
        raise UserError(f"{uri}: the artifact holds neither {SPEC} nor one file of weights, but {held}")
    return Place(uri, f"{address.name}:{address.version}", place, weights[0])


@dataclass(frozen=True)
class _Attached:
    """The files of an artifact."""

    uri: str
    files: dict[str, Any]

    def names(self) -> Sequence[str]:
        return list(self.files)

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        if name not in self.files:
            raise FileNotFoundError(2, "No such file in the artifact", name)
        file = self.files[name]
        url, headers = _address_of(file)
        md5 = base64.b64decode(file.md5 or "").hex()
        read = partial(read_from, url, headers=headers)
        return fetch(Remote(f"{self.uri}/{name}", file.size, md5, read, md5), most)


def _address_of(file: Any) -> tuple[str, dict[str, str]]:
    """Where a file is downloaded, and what to send along: the key, to W&B itself only."""
    import wandb

    direct = getattr(file, "direct_url", None) or file._attrs.get("directUrl")
    settings = wandb.setup().settings
    url = direct or file.url
    if urllib.parse.urlsplit(url).netloc != urllib.parse.urlsplit(settings.base_url).netloc or not settings.api_key:
        return url, {}
    token = base64.b64encode(f"api:{settings.api_key}".encode()).decode()
    return url, {"Authorization": f"Basic {token}"}


def _files(uri: str, address: Address) -> list[Any]:
    """What W&B says of an artifact's files."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb  # here because it takes a second

    try:
        api = wandb.Api(timeout=SECONDS)
        entity = address.entity or api.default_entity
        artifact = api.artifact(f"{entity}/{address.project}/{address.name}:{address.version}", type=address.type)
        files = list(artifact.files())
    except Exception as error:  # whatever a third-party service does
        line = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{uri}: no such artifact can be read ({line})") from None
    if len(files) > MOST_FILES:
        raise UserError(f"{uri}: {len(files):,} files in the artifact, more than {MOST_FILES:,}")
    return files
