"""A trained net in an environment that numbers its features and tags differently: translation by name."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from metta.common.errors import UserError
from metta.common.logging import warn_once
from metta.game.observation import EnvInfo
from metta.policy.interface import Info
from metta.policy.nets.interface import NetOutput, PolicyNet, State
from metta.policy.stored.bundle import Bundle
from metta.policy.stored.differences import info_differences

EMPTY = 255  # of place, feature and value alike, where there is no token
TAG = "tag"


def net_for(bundle: Bundle, info: Info, device: torch.device | str = "cpu") -> PolicyNet:
    """The bundle's net, ready to act where `info` holds. Raise UserError if it cannot."""
    check_fits(bundle.origin, bundle.info, info)
    return _translated(bundle.build(device), bundle.info, info, device)


def fitted(net: PolicyNet, origin: str, info: Info, device: torch.device | str = "cpu") -> PolicyNet:
    """A net, ready to act where `info` holds. Raise UserError, which begins with `origin`, if it cannot."""
    check_fits(origin, net.info, info)
    return _translated(net, net.info, info, device)


def _translated(net: PolicyNet, trained: Info, info: Info, device: torch.device | str) -> PolicyNet:
    if not (isinstance(trained, EnvInfo) and isinstance(info, EnvInfo)):
        return net
    translated = Translated(net, trained, info).to(device)
    return translated if translated.changes else net


def check_fits(origin: str, trained: Info, info: Info) -> None:
    """Raise UserError if a policy cannot play in an environment: it must have its actions, and most of its features.

    Features and tags may have other ids. Those that the policy knows and the environment lacks cost a warning.
    """
    if not (isinstance(trained, EnvInfo) and isinstance(info, EnvInfo)):
        if differences := info_differences(trained, info):
            problem = "trained on other observations or actions than this environment has"
            raise UserError(f"{origin}: {problem}: {'; '.join(differences)}")
        return
    _check_features(origin, trained, info)
    actions = trained.action_names
    if info.action_names[: len(actions)] != actions:
        missing = ", ".join(name for name in actions if name not in info.action_names) or "in another order"
        hint = "training_env.vibe_actions=true has all"
        raise UserError(f"{origin}: trained on actions that are not there: {missing}; {hint}")
    if (trained.window, trained.num_tokens) != (info.window, info.num_tokens):
        raise UserError(f"{origin}: trained on another observation window than this mission has")


def _check_features(origin: str, trained: EnvInfo, info: EnvInfo) -> None:
    scales = {feature.name: feature.normalization for feature in info.features}
    known = [feature for feature in trained.features if feature.name in scales]
    if other := [feature.name for feature in known if scales[feature.name] != feature.normalization]:
        raise UserError(f"{origin}: trained on other normalizations than this mission has ({', '.join(other[:5])})")
    missing = [feature.name for feature in trained.features if feature.name not in scales]
    if len(missing) > len(known):
        raise UserError(f"{origin}: trained on other observation features than this mission has ({_few(missing)})")
    if missing:
        warn_once(f"{origin}: trained on features that this mission does not show: {_few(missing)}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class Translated(PolicyNet):
    """A net behind two tables: feature ids and tag values of the environment become those it was trained on.

    Tokens of features or tags that it does not know are left out, and the others move up, as if never sent.
    """

    _features: Tensor  # int64 [256]
    _tags: Tensor  # int64 [256]

    def __init__(self, net: PolicyNet, trained: EnvInfo, info: EnvInfo) -> None:
        super().__init__(replace(info, action_names=net.info.action_names), net.heads)
        self.net, self.name = net, net.name
        names = {feature.name: feature.id for feature in trained.features}
        ids = {feature.id: names.get(feature.name, EMPTY) for feature in info.features}
        tags = {name: index for index, name in enumerate(trained.tags)}
        values = {index: tags.get(name, EMPTY) for index, name in enumerate(info.tags)} if trained.tags else {}
        self._tag = next((feature.id for feature in info.features if feature.name == TAG), EMPTY)
        self._drops = EMPTY in (*ids.values(), *values.values())
        self.register_buffer("_features", _table(ids), persistent=False)
        self.register_buffer("_tags", _table(values), persistent=False)

    @property
    def changes(self) -> bool:
        """Whether anything is translated at all."""
        same = torch.arange(256, device=self._features.device)
        return not (torch.equal(self._features, same) and torch.equal(self._tags, same))

    def translate(self, tokens: Tensor) -> Tensor:
        """Tokens uint8 [..., tokens, 3] of the environment -> of the net's training."""
        place, feature, value = tokens.unbind(-1)
        feature = feature.long()
        ids = self._features[feature]
        values = torch.where(feature == self._tag, self._tags[value.long()], value)
        out = torch.stack([place.long(), ids, values], -1).to(torch.uint8)
        if not self._drops:
            return out
        unknown = (ids == EMPTY) | ((feature == self._tag) & (values == EMPTY))
        out = out.masked_fill(unknown.unsqueeze(-1), EMPTY)
        order = (out[..., 0] == EMPTY).to(torch.uint8).argsort(dim=-1, stable=True)
        return out.gather(-2, order.unsqueeze(-1).expand_as(out))

    def auxiliary_parameters(self) -> Iterable[nn.Parameter]:
        return self.net.auxiliary_parameters()

    def initial_state(self, batch: int) -> State:
        return self.net.initial_state(batch)

    def reset(self, state: State, ended: Tensor) -> State:
        return self.net.reset(state, ended)

    def act(self, observations: Tensor, state: State) -> tuple[NetOutput, State]:
        return self.net.act(self.translate(observations), state)

    def unroll(self, observations: Tensor, state: State, resets: Tensor) -> NetOutput:
        return self.net.unroll(self.translate(observations), state, resets)


def _table(changes: dict[int, int]) -> Tensor:
    """What becomes of each of 256 values."""
    table = torch.arange(256)
    for old, new in changes.items():
        table[old] = new
    return table
