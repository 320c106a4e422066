"""`wandb://entity/project/type/name:version` and `wandb://run/name[:version]`: artifacts at Weights & Biases."""

import base64
import os
import re
import urllib.parse
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from metta.common.errors import UserError
from metta.common.wandb_client import ARTIFACT_TYPE, PROJECT, artifact_name
from metta.policy.stored.sources.cache import Remote, fetch
from metta.policy.stored.sources.http import read_from
from metta.policy.stored.sources.place import MOST_BYTES, SPEC, Place

SCHEME = "wandb://"
FORMS = "wandb://entity/project/type/name:version or wandb://run/name"
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
        return Address(entity, project, ARTIFACT_TYPE, name, version)
    raise UserError(f"{uri}: no artifact's address; it is {FORMS}")


def artifact_place(uri: str) -> Place:
    """The bundle, or the one file of weights, that an artifact holds. Raise UserError if there is none such."""
    held = _read_artifact(uri, parse_artifact(uri))
    name = held.origin.rpartition("/")[2]
    if SPEC in held.files:
        return Place(held.origin, name, held)
    weights = [file for file in held.files if file.endswith(WEIGHTS)]
    if len(weights) != 1:
        found = ", ".join(sorted(held.files)[:8]) or "nothing"
        raise UserError(f"{uri}: the artifact holds neither {SPEC} nor one file of weights, but {found}")
    return Place(held.origin, name, held, weights[0])


@dataclass(frozen=True)
class _Artifact:
    """The files of an artifact; `origin` names its version by number."""

    origin: str
    files: dict[str, Any]
    md5: bool  # whether the hashes are of that kind
    server: str
    key: str

    def has(self, name: str) -> bool:
        return name in self.files

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        if name not in self.files:
            raise FileNotFoundError(2, "No such file in the artifact", name)
        file = self.files[name]
        tag, url = file.md5 or file.digest or "", file.direct_url or file.url
        read = partial(read_from, url, headers=self._headers(url))
        return fetch(Remote(f"{self.origin}/{name}", file.size, tag, read, _hex(tag) if self.md5 else ""), most)

    def _headers(self, url: str) -> dict[str, str]:
        """The key, for W&B itself only: other servers hold the files behind signed addresses."""
        if not self.key or urllib.parse.urlsplit(url)[:2] != urllib.parse.urlsplit(self.server)[:2]:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(f'api:{self.key}'.encode()).decode()}"}


def _hex(md5: str) -> str:
    """An MD5 in hex from hex or base64; "" for anything else."""
    if re.fullmatch(r"[0-9a-fA-F]{32}", md5):
        return md5
    return base64.b64decode(md5).hex() if re.fullmatch(r"[0-9A-Za-z+/]{22}==", md5) else ""


def _read_artifact(uri: str, address: Address) -> _Artifact:
    """What W&B says of an artifact."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb  # here because it takes a second

    try:
        api = wandb.Api(timeout=SECONDS)
        found = replace(address, entity=address.entity or api.default_entity)
        path = f"{found.entity}/{found.project}/{found.name}:{found.version}"
        artifact = api.artifact(path, type=found.type)
        files = {file.name: file for file in islice(artifact.files(), MOST_FILES)}
        origin = f"{SCHEME}{replace(found, version=artifact.version)}"
        md5 = "XXH" not in str(getattr(artifact, "digest_algorithm", ""))
        return _Artifact(origin, files, md5, api.settings["base_url"], api.api_key or "")
    except Exception as error:  # whatever a third-party service does
        line = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{uri}: no such artifact can be read ({line})") from None
