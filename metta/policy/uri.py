"""From what a user calls a policy to the policy: one resolver for every command.

`random`, `noop`, a scripted policy with its parameters (`cogsguard?gear=10`), all with or without
`metta://policy/`; a bundle's folder; `train_dir/run`, `train_dir/run:latest`, `train_dir/run:v5`, with or without the
leading folder; `file://` before any path; `class=module.Class` for a class of your own, `class=random` for `random`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from metta.common.errors import UserError, suggest
from metta.common.logging import warn
from metta.policy.bundle import SPEC, BrokenBundleError, Bundle, check_fits, load_bundle
from metta.policy.by_class import CLASS, is_class, make_class_policy
from metta.policy.interface import Info, Policy
from metta.policy.neural import NeuralPolicy
from metta.policy.scripted.names import SCRIPTS, make_scripted, parse_query
from metta.policy.simple import NoopPolicy, RandomPolicy

SCHEME = "metta://policy/"
CHECKPOINTS = "checkpoints"
VERSION = re.compile(r":(latest|v\d+)$")
# Policies without parameters; beside them the scripted ones.
PLAIN: dict[str, Callable[[Info], Policy]] = {
    "noop": lambda info: NoopPolicy(),
    "random": lambda info: RandomPolicy(len(info.action_names)),
}
BUILT_IN = (*PLAIN, *SCRIPTS)


@dataclass(frozen=True)
class Version:
    """One checkpoint of a run."""

    epoch: int
    folder: Path


def make_policy(
    uri: str,
    info: Info,
    data_dir: str | Path = "./train_dir",
    device: torch.device | str = "cpu",
    deterministic: bool = False,
) -> Policy:
    """The policy that `uri` names, ready to play where `info` holds. Raise UserError if there is none such."""
    if is_class(uri):
        return make_class_policy(uri, info)
    uri = uri.removeprefix(CLASS)
    if is_built_in(uri):
        return _make_built_in(uri, info)
    bundle = find_bundle(uri, data_dir)
    check_fits(bundle, info)
    return NeuralPolicy(bundle.build(device), bundle.name, deterministic)


def is_built_in(uri: str) -> bool:
    """Does `uri` name a policy that needs no checkpoint, rightly or wrongly spelt?"""
    uri = uri.removeprefix(CLASS)
    return uri.startswith(SCHEME) or VERSION.sub("", uri.partition("?")[0]) in BUILT_IN


def _make_built_in(uri: str, info: Info) -> Policy:
    """A policy by name and parameters; a version (`:v15`) is accepted, all are the same. Raise UserError."""
    given, _, query = uri.removeprefix(SCHEME).partition("?")
    name = VERSION.sub("", given)
    if name not in BUILT_IN:
        raise UserError(f"{uri}: no policy of that name{suggest(name, BUILT_IN)}; known: {', '.join(sorted(BUILT_IN))}")
    if name in SCRIPTS:
        return make_scripted(name, parse_query(name, query), info)
    if query:
        raise UserError(f"{uri}: policy {name} takes no parameters")
    return PLAIN[name](info)


def find_bundle(uri: str, data_dir: str | Path = "./train_dir") -> Bundle:
    """The checkpoint that `uri` names. `:latest` is the newest complete one; broken ones cost a warning.

    Raise UserError if there is none, BrokenBundleError if the one asked for is damaged.
    """
    text = uri.removeprefix("file://")
    folder = Path(text).expanduser()
    if (folder / SPEC).is_file():
        return load_bundle(folder)
    path, _, version = text.rpartition(":") if VERSION.search(text) else (text, "", "latest")
    run = _run_folder(uri, Path(path).expanduser(), Path(data_dir))
    if version == "latest":
        return newest_bundle(run)
    versions = {f"v{found.epoch}": found.folder for found in list_versions(run)}
    if version not in versions:
        have = ", ".join(versions) or "none yet"
        raise UserError(f"{uri}: run {run.name} has no checkpoint {version}{suggest(version, versions)}; it has {have}")
    return load_bundle(versions[version])


def list_versions(run: Path) -> list[Version]:
    """Checkpoints of a run folder, oldest first, whether sound or not."""
    pattern = re.compile(rf"{re.escape(run.name)}:v(\d+)")
    found = [
        Version(int(match[1]), entry)
        for entry in (run / CHECKPOINTS).glob("*")
        if (match := pattern.fullmatch(entry.name))
    ]
    return sorted(found, key=lambda version: version.epoch)


def newest_bundle(run: Path) -> Bundle:
    """The newest complete checkpoint of a run folder; each broken one that is newer costs a warning."""
    versions = list_versions(run)
    for version in reversed(versions):
        try:
            return load_bundle(version.folder)
        except BrokenBundleError as error:
            warn(f"{error}; taking the one before")
    raise UserError(f"{run}: {'every checkpoint is broken' if versions else 'the run has no checkpoint yet'}")


def _run_folder(uri: str, path: Path, data_dir: Path) -> Path:
    """The run that a path means: itself, or a name under the data folder."""
    for candidate in (path, data_dir / path):
        if (candidate / CHECKPOINTS).is_dir():
            return candidate.resolve()
    parent = path.parent if path.parent != Path(".") else data_dir
    runs = [entry.name for entry in parent.glob("*") if (entry / CHECKPOINTS).is_dir()] if parent.is_dir() else []
    hint = suggest(path.name, [*runs, *BUILT_IN])
    known = f"runs in {parent}: {', '.join(sorted(runs)[:8])}" if runs else f"there are no runs in {parent}"
    raise UserError(f"policy {uri!r}: neither a built-in policy, a bundle nor a run{hint}; {known}")
