"""Starting with the weights of a checkpoint instead of random ones, and knowing later which they were."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from metta.common.errors import UserError
from metta.common.jsonl import read_rows
from metta.game.observation import EnvInfo
from metta.policy.bundle import Bundle
from metta.policy.fitting import check_fits
from metta.policy.interface import Info, PolicyNet
from metta.policy.uri import find_bundle, is_built_in, list_versions
from metta.rl.run_folder import RunFolder
from metta.rl.settings import RunConfig


@dataclass(frozen=True)
class Origin:
    """What a run started with, as starts.jsonl keeps it: a checkpoint by name and content, or a new network (None)."""

    init_from: str | None = None
    weights: str | None = None  # SHA-256 of names, types, shapes and numbers

    @property
    def label(self) -> str:
        return self.init_from or "a new network"

    @classmethod
    def of(cls, bundle: Bundle) -> "Origin":
        digest = hashlib.sha256()
        for name, tensor in sorted(bundle.weights.items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return cls(bundle.name, digest.hexdigest())

    @classmethod
    def kept(cls, folder: RunFolder) -> "Origin | None":
        """What the run in a folder started with; None if it has not said."""
        if not folder.starts.is_file():
            return None
        found = None
        for row in read_rows(folder.starts):
            known = [row.get(name) for name in ("init_from", "weights")]
            if "weights" in row and all(value is None or isinstance(value, str) for value in known):
                found = cls(*known)
        return found


def starts_elsewhere(config: RunConfig) -> bool:
    """Does a run begin with the weights of another, having no checkpoint of its own yet?"""
    return bool(config.init_from) and not list_versions(Path(config.system.data_dir) / (config.run or ""))


def start_from(net: PolicyNet, config: RunConfig) -> Origin:
    """Give a new network the weights of init_from and return which checkpoint that is. An auxiliary head that only one
    of them has stays out of it.

    Raise UserError if there is no such checkpoint, or it is of another network, or knows other features or actions.
    """
    uri = config.init_from or ""
    if is_built_in(uri):
        raise UserError(f"init_from={uri}: has no weights; name a run or a checkpoint")
    bundle = find_bundle(uri, config.system.data_dir, net.info, config.system.trust_pickle)
    if (net.name, net.settings) != (bundle.net, bundle.settings):
        raise UserError(
            f"init_from={uri}: holds another network ({bundle.net} {bundle.settings}) than asked for "
            f"({net.name} {net.settings})"
        )
    check_fits(bundle.origin, bundle.info, net.info)
    have, want = (len(info.action_names) for info in (bundle.info, net.info))
    if have != want:
        raise UserError(f"init_from={uri}: has {have} actions, this run {want} (training_env.vibe_actions)")
    if _numbering(bundle.info) != _numbering(net.info):
        raise UserError(f"init_from={uri}: numbers features or tags otherwise; play it, or train on its own mission")
    saved = bundle.build()
    weights = saved.state_dict()
    if saved.heads != net.heads:
        head = {id(parameter) for parameter in saved.auxiliary_parameters()}
        weights = {name: weights[name] for name, parameter in saved.named_parameters() if id(parameter) not in head}
    net.load_state_dict(net.state_dict() | weights)
    return Origin.of(bundle)


def _numbering(info: Info) -> object:
    """Which feature and tag has which id."""
    return (info.features, info.tags) if isinstance(info, EnvInfo) else None
