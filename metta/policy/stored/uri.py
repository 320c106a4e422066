"""From what a user calls a policy to the policy: one resolver for every command.

`random`, `noop`, a scripted policy with its parameters (`cogsguard?gear=10`), all with or without `metta://policy/`;
`class=NAME[,data=FILE][,kw.ARG=VALUE]` for ours, `class=module.Class[,data=FILE][,kw.ARG=VALUE]` or `module.Class` for
a class of your own; a checkpoint of a run, a bundle or a file of weights, on this machine, in a bucket or at W&B
(docs/policies-from-anywhere.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from metta.common.digests import digest
from metta.common.documents import parse_yaml
from metta.common.errors import UserError, suggest
from metta.common.logging import debug, warn
from metta.policy.hosted.by_class import CLASS, is_class, parse_class
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.hosted.submission_code import code_content, play_code
from metta.policy.interface import Info, Policy
from metta.policy.nets.earlier import ALIASES, CLASSES, known_as
from metta.policy.nets.presets import preset_names
from metta.policy.scripted.names import SCRIPTS, make_scripted, parse_query, scripted_settings
from metta.policy.simple import NoopPolicy, RandomPolicy
from metta.policy.stored.sources.locate import is_remote, locate
from metta.policy.stored.sources.place import BrokenBundleError, Place
from metta.policy.stored.sources.runs import CHECKPOINTS, VERSION, Version, list_versions

if TYPE_CHECKING:
    import torch

    from metta.policy.stored.bundle import Bundle, NoNetError

__all__ = ["BUILT_IN", "CHECKPOINTS", "SCHEME", "Version", "find_bundle", "is_built_in", "list_versions", "make_policy"]

SCHEME = "metta://policy/"
# Policies without parameters; beside them the scripted ones.
PLAIN: dict[str, Callable[[Info], Policy]] = {
    "noop": lambda info: NoopPolicy(),
    "random": lambda info: RandomPolicy(len(info.action_names)),
}
BUILT_IN = (*PLAIN, *SCRIPTS)


def make_policy(
    uri: str,
    info: Info,
    data_dir: str | Path = "./train_dir",
    device: "torch.device | str" = "cpu",
    deterministic: bool = False,
    trust_pickle: bool = False,
    trust_code: bool = False,
    hosting: Hosting | None = None,
) -> Policy:
    """The policy that `uri` names, ready to play where `info` holds. Raise UserError if there is none such.

    With `hosting`, a user's class plays in a process of its own, under a time limit (metta.policy.hosted.client); our
    own scripts and nets never do. The code in a bundle always does, and only with `trust_code`.
    """
    return find_policy(uri, info, data_dir, device, deterministic, trust_pickle, trust_code, hosting).build(info)


@dataclass(frozen=True)
class FoundPolicy:
    """What a URI led to, read once: what lies there later does not change it, but for code that is imported."""

    content: str  # digest of all that it was read from, code that is imported aside
    build: Callable[[Info], Policy]  # ready to play where an info holds; raises UserError where it cannot
    imports: bool = False  # whether code plays that `content` does not hold


def find_policy(
    uri: str,
    info: Info,
    data_dir: str | Path = "./train_dir",
    device: "torch.device | str" = "cpu",
    deterministic: bool = False,
    trust_pickle: bool = False,
    trust_code: bool = False,
    hosting: Hosting | None = None,
) -> FoundPolicy:
    """As `make_policy`, for several policies of one content."""
    if is_class(uri, data_dir):
        user = parse_class(uri)
        hosted = partial(HostedPolicy, user, hosting=hosting)
        return FoundPolicy(digest(user.path, dict(user.words)), hosted if hosting else user.build, imports=True)
    if is_built_in(uri):
        return _find_built_in(*built_in_parts(uri))
    # Here because torch is slow to import, and who only watches a script needs none of it.
    from metta.policy.nets.components.user import allow
    from metta.policy.neural import NeuralPolicy
    from metta.policy.stored.bundle import NoNetError
    from metta.policy.stored.fitting import net_for

    try:
        bundle = find_bundle(uri, data_dir, info, trust_pickle)
    except NoNetError as found:  # is kept: without the frames that led here, which hold what should end with them
        return _find_bundled(found.with_traceback(None), trust_code, hosting)
    if trust_code:
        allow(bundle.architecture.components)
    return FoundPolicy(
        bundle.content,
        lambda info: NeuralPolicy(net_for(bundle.known_by(info), info, device), bundle.name, deterministic),
    )


def check_policy(
    uri: str, data_dir: str | Path = "./train_dir", trust_pickle: bool = False, trust_code: bool = False
) -> None:
    """Raise UserError where names and files of this machine say that there is no such policy. Nothing is fetched, and
    no class is imported."""
    if is_class(uri, data_dir):
        parse_class(uri).check()
    elif is_built_in(uri):
        _find_built_in(*built_in_parts(uri))
    elif not is_remote(_parse_class(uri).data if uri.startswith(CLASS) else uri):
        from metta.policy.stored.bundle import NoNetError  # here as above

        try:
            find_bundle(uri, data_dir, trust_pickle=trust_pickle)
        except NoNetError as found:
            _find_bundled(found.with_traceback(None), trust_code)


def find_bundle(
    uri: str, data_dir: str | Path = "./train_dir", info: Info | None = None, trust_pickle: bool = False
) -> "Bundle":
    """The checkpoint that `uri` names. `:latest` is the newest complete one; broken ones cost a warning.

    Weights without a spec are taken to know the features of `info`, by default the game's. With `trust_pickle` a file
    may run code. Raise UserError if there is none, BrokenBundleError if the one asked for is damaged.
    """
    from metta.policy.stored.bundle import read_bundle

    named = _parse_class(uri) if uri.startswith(CLASS) else None
    if named and not named.data:
        raise UserError(f"{uri}: a net plays with weights; name them: class={named.name},data=FILE")
    *places, oldest = locate(named.data if named else uri, Path(data_dir), BUILT_IN)
    debug(f"policy {uri}: the first of {', '.join(place.origin for place in [*places, oldest][:3])} that is complete")
    bundle = _first_sound(places, info, trust_pickle) or read_bundle(oldest, info, trust_pickle)
    if named:
        _check_class(uri, named, bundle)
    return bundle


def _first_sound(places: list[Place], info: Info | None, trust_pickle: bool) -> "Bundle | None":
    """The policy at the first place where it is complete; each broken one costs a warning."""
    from metta.policy.stored.bundle import read_bundle

    for place in places:
        try:
            return read_bundle(place, info, trust_pickle)
        except BrokenBundleError as error:
            warn(f"{error}; taking the one before")
    return None


def run_folder(uri: str, data_dir: str | Path = "./train_dir") -> Path | None:
    """The folder of the run that a checkpoint belongs to; None for other policies. Raise UserError for none such."""
    if is_class(uri, data_dir) or is_built_in(uri) or is_remote(uri) or uri.startswith(CLASS):
        return None
    path = locate(uri, Path(data_dir), BUILT_IN)[0].path
    above = path.absolute().parents[:2] if path else ()
    return next((folder.parent for folder in above if folder.name == CHECKPOINTS), None)


def is_built_in(uri: str) -> bool:
    """Does `uri` name a policy that needs no checkpoint, rightly or wrongly spelt?"""
    if is_class(uri):
        return False
    plain = _plain(uri)
    return plain.startswith(SCHEME) or VERSION.sub("", plain.partition("?")[0]) in BUILT_IN


def _find_bundled(bundle: "NoNetError", trust_code: bool, hosting: Hosting | None = None) -> FoundPolicy:
    """The policy of a bundle that holds none of our nets. Raise UserError, the bundle itself if it is not trusted."""
    spec = bundle.spec
    if spec.class_path in BUILT_IN:
        return _find_built_in(spec.class_path, spec.init_kwargs)
    if not trust_code:
        raise bundle
    return FoundPolicy(code_content(bundle), lambda info: play_code(bundle, info, hosting or Hosting()))


def _find_built_in(name: str, words: dict[str, Any]) -> FoundPolicy:
    settings = scripted_settings(name, words) if name in SCRIPTS else words
    return FoundPolicy(digest(name, settings), lambda info: make_built_in(name, words, info))


def make_built_in(name: str, words: dict[str, Any], info: Info) -> Policy:
    """One of BUILT_IN with its parameters. Raise UserError for those that it does not take."""
    if name in SCRIPTS:
        return make_scripted(name, words, info)
    if words:
        raise UserError(f"policy {name} takes no parameters")
    return PLAIN[name](info)


def built_in_parts(uri: str) -> tuple[str, dict[str, str]]:
    """Name and parameters; a version (`:v15`) is accepted, all are the same. Raise UserError for an unknown name."""
    given, _, query = _plain(uri).removeprefix(SCHEME).partition("?")
    name = VERSION.sub("", given)
    if name not in BUILT_IN:
        raise UserError(f"{uri}: no policy of that name{suggest(name, BUILT_IN)}; known: {', '.join(sorted(BUILT_IN))}")
    return name, parse_query(name, query)


@dataclass(frozen=True)
class _Class:
    """`class=NAME[,data=FILE][,kw.ARG=VALUE]`."""

    name: str
    data: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


def _plain(uri: str) -> str:
    """`class=role,kw.miner=4` as `role?miner=4`; anything else, and the class of a net, as it is."""
    if not uri.startswith(CLASS):
        return uri
    named = _parse_class(uri)
    if named.name in preset_names():
        return uri
    if named.data:
        raise UserError(f"{uri}: policy {named.name} has no weights, data={named.data} means nothing to it")
    return named.name + (f"?{urlencode(named.settings)}" if named.settings else "")


def _parse_class(uri: str) -> _Class:
    """Raise UserError for a class that is none of ours: none is imported."""
    first, *words = uri.removeprefix(CLASS).split(",")
    nets = preset_names()
    name = CLASSES.get(first.rpartition(".")[2]) or ALIASES.get(first, first)
    if name not in (*nets, *BUILT_IN):
        known = [*BUILT_IN, *nets]
        raise UserError(f"{uri}: unknown class {first!r}{suggest(first, known)}; known: {', '.join(sorted(known))}")
    data, settings = "", {}
    for word in words:
        key, _, value = word.partition("=")
        if key == "data" and value:
            data = value
        elif key.startswith("kw.") and value:
            settings[key.removeprefix("kw.")] = parse_yaml(value, f"{uri}: {key}") if name in nets else value
        else:
            raise UserError(f"{uri}: cannot read {word!r}; the form is class=NAME[,data=FILE][,kw.ARG=VALUE]")
    return _Class(name, data, settings)


def _check_class(uri: str, named: _Class, bundle: "Bundle") -> None:
    """Raise UserError where weights are of another net than the one that is named."""
    net, settings = known_as(bundle.architecture.components) or (bundle.architecture.name, {})
    if net != named.name:
        raise UserError(f"{uri}: the weights are of the net {net}")
    for key, value in named.settings.items():
        if key not in settings:
            raise UserError(f"{uri}: {net} has no setting {key}{suggest(key, settings)}")
        if settings[key] != value:
            raise UserError(f"{uri}: the weights have {key}={settings[key]}")
