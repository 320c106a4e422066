"""Starting with the weights of a checkpoint instead of random ones, and knowing later which they were."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

from metta.common.errors import UserError
from metta.common.jsonl import read_rows
from metta.policy.interface import Info
from metta.policy.nets.components.user import allow
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.bundle import Bundle
from metta.policy.stored.differences import info_differences, net_differences
from metta.policy.stored.fitting import check_fits
from metta.policy.stored.forms.match import Architecture
from metta.policy.stored.uri import check_policy, find_bundle, is_built_in, list_versions
from metta.rl.run.run_folder import RunFolder
from metta.rl.settings import RunConfig


@dataclass(frozen=True)
class Origin:
    """What a run started with, as starts.jsonl keeps it: a checkpoint by name and content, or a new network (None)."""

    init_from: str | None = None
    weights: str | None = None  # digest of the net and its weights (`Bundle.content`)
    asked: str | None = None  # what the setting init_from said

    @property
    def label(self) -> str:
        return self.init_from or "a new network"

    @classmethod
    def of(cls, bundle: Bundle) -> "Origin":
        return cls(bundle.name, bundle.content)

    @classmethod
    def kept(cls, folder: RunFolder) -> "Origin | None":
        """What the run in a folder started with; None if it has not said."""
        if not folder.starts.is_file():
            return None
        found = None
        for row in read_rows(folder.starts):
            known = [row.get(field.name) for field in fields(cls)]
            if "weights" in row and all(value is None or isinstance(value, str) for value in known):
                found = cls(*known)
        return found

    def differs(self, asked: str | None) -> bool:
        """Whether the run would start with something else if it began now; False where what was asked is unknown."""
        known = self.asked is not None or self.weights is None
        return known and self.asked != asked


def starts_elsewhere(config: RunConfig) -> bool:
    """Does a run begin with the weights of another, having no checkpoint of its own yet?"""
    return bool(config.init_from) and not list_versions(Path(config.system.data_dir) / (config.run or ""))


def check_start(config: RunConfig) -> None:
    """Raise UserError where a run would begin with weights that are not on this machine; nothing is fetched."""
    if starts_elsewhere(config):
        _check_has_weights(config.init_from or "")
        check_policy(config.init_from or "", config.system.data_dir, config.system.trust_pickle)


def _check_has_weights(uri: str) -> None:
    if is_built_in(uri):
        raise UserError(f"init_from={uri}: has no weights; name a run or a checkpoint")


def start_from(net: ComponentNet, config: RunConfig) -> Origin:
    """Give a new network the weights of init_from and return which checkpoint that is. An auxiliary head that only one
    of them has stays out of it.

    Raise UserError if there is no such checkpoint, or it is of another network, or knows other features or actions.
    """
    uri = config.init_from or ""
    _check_has_weights(uri)
    bundle = find_bundle(uri, config.system.data_dir, net.info, config.system.trust_pickle)
    if config.system.trust_code:
        allow(bundle.architecture.components)
    wanted = replace(Architecture.of(net), heads=bundle.architecture.heads, info=bundle.info)
    if differences := net_differences(bundle.architecture, wanted):
        raise UserError(f"init_from={uri}: holds another network than asked for: {'; '.join(differences)}")
    check_same_world(f"init_from={uri}", bundle.info, net.info)
    saved = bundle.build()
    weights = saved.state_dict()
    if saved.heads != net.heads:
        head = {id(parameter) for parameter in saved.auxiliary_parameters()}
        weights = {name: weights[name] for name, parameter in saved.named_parameters() if id(parameter) not in head}
    net.load_state_dict(net.state_dict() | weights)
    return replace(Origin.of(bundle), asked=uri)


def check_same_world(origin: str, trained: Info, info: Info) -> None:
    """Raise UserError, which begins with `origin`, where a net that was trained for one environment cannot go on
    learning in another: features, tags and actions must be the same; the number of agents need not."""
    differences = info_differences(trained, info)
    if not differences:
        return
    check_fits(origin, trained, info)
    have, want = (len(known.action_names) for known in (trained, info))
    if have != want:
        raise UserError(f"{origin}: has {have} actions, this run {want} (training_env.vibe_actions)")
    problem = f"numbers features or tags otherwise: {'; '.join(differences)}"
    raise UserError(f"{origin}: {problem}; play it, or train on its own mission")
