"""Policies on disk: a folder with `policy_spec.json` and safetensors weights, checked byte for byte when read."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from metta.common.digests import digest
from metta.common.files import atomic_folder
from metta.common.logging import warn_once
from metta.policy.interface import Info, NetHeads
from metta.policy.nets.earlier import known_as
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.forms.match import Architecture, known_info, load_into, match, within
from metta.policy.stored.forms.tensors import Weights, read_weights
from metta.policy.stored.forms.writing import on_host, serialized, write_tensors
from metta.policy.stored.sources.archive import MAGIC, Archive
from metta.policy.stored.sources.place import MOST_SPEC_BYTES, SPEC, BrokenBundleError, Files, Place, local_place
from metta.policy.stored.spec import CLASS_PATH, PolicySpec, read_spec, write_spec

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A policy as read, its bytes verified."""

    folder: Path | None  # where a local one lies; a file that stands alone is its own
    origin: str  # for messages
    name: str
    architecture: Architecture
    run: str
    epoch: int
    agent_steps: int
    weights: dict[str, torch.Tensor]
    assumed: bool = False  # `info` is not said with the weights, but what the asker knows

    @property
    def content(self) -> str:
        """Digest of the net, all that it is built from, and its weights: the same in whatever form they lie."""
        return net_content(self.architecture, self.weights, self.assumed)

    def known_by(self, info: Info) -> "Bundle":
        """The same for an asker who knows `info`: it matters to weights that do not say on what they were trained."""
        if not self.assumed:
            return self
        return replace(self, architecture=replace(self.architecture, info=known_info(self.weights, info)))

    @property
    def info(self) -> Info:
        return self.architecture.info

    def build(self, device: torch.device | str = "cpu") -> ComponentNet:
        """The net with its weights, on `device`. Raise BrokenBundleError if they do not fit it."""
        return load_into(self.architecture, self.weights, self.origin).to(device)


def net_content(architecture: Architecture, weights: Mapping[str, torch.Tensor], assumed: bool = False) -> str:
    """Digest of a net, all that it is built from, and its weights: the same in whatever form they lie. With `assumed`
    what it was trained on is not said with them."""
    known = None if assumed else asdict(architecture.info)
    parts = {name: [str(part.dtype), list(part.shape), _digest_tensor(part)] for name, part in weights.items()}
    return digest(*architecture.identity, asdict(architecture.heads), known, parts)


class NoNetError(BrokenBundleError):
    """The policy that lies there is no net: its spec names another class, with these files."""

    def __init__(self, origin: str, spec: PolicySpec, files: Files) -> None:
        problem = f"unknown class {spec.class_path!r}; it is not imported, known is {CLASS_PATH}"
        super().__init__(f"{origin}: {SPEC}: {problem}; trust_code=true (cogames: --trust-code) plays code of your own")
        self.origin, self.spec, self.files = origin, spec, files


def bundle_files(net: ComponentNet, run: str, epoch: int, agent_steps: int) -> dict[str, bytes]:
    """What a bundle holds: content by name."""
    data = b"".join(serialized(on_host(net.state_dict())))
    return {WEIGHTS: data, SPEC: write_spec(net, WEIGHTS, hashlib.sha256(data).hexdigest(), run, epoch, agent_steps)}


def save_bundle(folder: Path, net: ComponentNet, run: str, epoch: int, agent_steps: int) -> None:
    """Write a bundle; `folder` is there only once everything is on disk. Raise OSError when that fails."""
    with atomic_folder(folder) as partial:
        write_bundle(partial, net, on_host(net.state_dict()), run, epoch, agent_steps)


def write_bundle(
    folder: Path, net: ComponentNet, weights: dict[str, torch.Tensor], run: str, epoch: int, agent_steps: int
) -> None:
    """Write a bundle's files into a folder: the net with these weights, contiguous on the host, whatever its own are
    by now."""
    sha256 = write_tensors(folder / WEIGHTS, weights)
    (folder / SPEC).write_bytes(write_spec(net, WEIGHTS, sha256, run, epoch, agent_steps))


def load_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle's folder. Raise BrokenBundleError naming what is damaged."""
    return read_bundle(local_place(folder))


def read_bundle(place: Place, info: Info | None = None, trust_pickle: bool = False) -> Bundle:
    """The policy that lies at a place, whatever its form.

    A net without a spec is told from its shapes, and taken to know the features of `info` (None: the game's). Raise
    BrokenBundleError or another UserError that says what is wrong with it.
    """
    try:
        if place.main is None:
            return _described(place, place.files, None, info, trust_pickle)
        data = place.files.read(place.main)
        if data[:4] == MAGIC and (archive := Archive(data, place.origin)).has(SPEC):
            return _described(place, archive, None, info, trust_pickle)
        if place.main == SPEC:
            return _described(place, place.files, None, info, trust_pickle)
        if place.files.has(SPEC):
            return _described(place, place.files, place.main, info, trust_pickle)
        return _alone(place, read_weights(data, place.origin, trust_pickle), info)
    except OSError as error:
        raise BrokenBundleError(f"{place.origin}: cannot read {error.filename}: {error.strerror}") from error


def _described(place: Place, files: Files, main: str | None, info: Info | None, trust_pickle: bool) -> Bundle:
    """Weights with their spec: those it names, or other ones beside it (`main`), which have no hash in it."""
    if not files.has(SPEC):
        raise BrokenBundleError(f"{place.origin}: not a policy bundle, it has no {SPEC}")
    spec = read_spec(files.read(SPEC, MOST_SPEC_BYTES), f"{place.origin}: {SPEC}")
    if not spec.net:
        raise NoNetError(place.origin, spec, files)
    name = main or spec.data_path
    data = files.read(name)
    _verify(spec, name, data, place.origin)
    weights = read_weights(data, f"{place.origin}: {name}" if main is None else place.origin, trust_pickle)
    heads = spec.heads if spec.auxiliary_head is not None else NetHeads("_aux_head.weight" in weights.tensors)
    architecture = Architecture(spec.net, spec.components, heads, spec.info or known_info(weights.tensors, info))
    return _bundle(place, architecture, weights, spec, spec.info is None)


def _verify(spec: PolicySpec, name: str, data: bytes, origin: str) -> None:
    wanted = spec.sha256.get(name)
    if wanted is None and spec.format is not None and name == spec.data_path:
        raise BrokenBundleError(f"{origin}: {SPEC} has no SHA-256 of {name}")
    if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
        raise BrokenBundleError(f"{origin}: {name} is damaged or cut short (its SHA-256 does not match)")


def _alone(place: Place, weights: Weights, info: Info | None) -> Bundle:
    """Weights without a spec."""
    architecture = within(weights.module)
    assumed = architecture is None
    if architecture is None:
        architecture = match(weights.tensors, info, place.origin)
        _, known = known_as(architecture.components) or ("", {})
        settings = ", ".join(f"{key}={value}" for key, value in known.items())
        taken = f"the net {architecture.name} ({settings}), trained on the features that are here"
        warn_once(f"{place.origin}: no {SPEC} beside it; taken for {taken}")
    return _bundle(place, architecture, weights, assumed=assumed)


def _bundle(
    place: Place, architecture: Architecture, weights: Weights, spec: PolicySpec | None = None, assumed: bool = False
) -> Bundle:
    return Bundle(
        folder=place.path,
        origin=place.origin,
        name=place.name,
        architecture=architecture,
        run=spec.run if spec else "",
        epoch=spec.epoch if spec else 0,
        agent_steps=spec.agent_steps if spec else 0,
        weights=weights.tensors,
        assumed=assumed,
    )


def _digest_tensor(tensor: torch.Tensor) -> str:
    """Digest of type, shape and numbers."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return digest(str(tensor.dtype), list(tensor.shape), hashlib.sha256(data.data).hexdigest())
