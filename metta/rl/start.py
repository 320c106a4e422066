"""Starting with the weights of a checkpoint instead of random ones."""

from pathlib import Path

from metta.common.errors import UserError
from metta.game.observation import EnvInfo
from metta.policy.fitting import check_fits
from metta.policy.interface import Info, PolicyNet
from metta.policy.uri import find_bundle, is_built_in, list_versions
from metta.rl.settings import RunConfig


def starts_elsewhere(config: RunConfig) -> bool:
    """Does a run begin with the weights of another, having no checkpoint of its own yet?"""
    return bool(config.init_from) and not list_versions(Path(config.system.data_dir) / (config.run or ""))


def start_from(net: PolicyNet, config: RunConfig) -> str:
    """Give a new network the weights of init_from and return that checkpoint's name. An auxiliary head that only one
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
    return bundle.name


def _numbering(info: Info) -> object:
    """Which feature and tag has which id."""
    return (info.features, info.tags) if isinstance(info, EnvInfo) else None
