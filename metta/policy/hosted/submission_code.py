"""Bundles that hold a user's class with its files: unpacked and played in a process of its own.

Nothing of that happens before a person has said that the code is to be trusted (`trust_code=true`).
"""

import hashlib
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from metta.common.digests import digest
from metta.common.errors import UserError
from metta.policy.hosted.by_class import UserClass
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting, Process
from metta.policy.interface import Info
from metta.policy.stored.sources.archive import Archive
from metta.policy.stored.sources.place import MOST_BYTES, SPEC, BrokenBundleError, leads_out

if TYPE_CHECKING:
    from metta.policy.stored.bundle import NoNetError  # imports torch

SETUP_SECONDS = 300


def play_code(bundle: "NoNetError", info: Info, hosting: Hosting, wait: bool = True) -> HostedPolicy:
    """The policy whose code a bundle holds; `wait` as of HostedPolicy. Its files are gone with the object.

    Raise UserError if they are not what the spec says, or the class cannot be built of them.
    """
    outer = Path(tempfile.mkdtemp(prefix="metta-policy-"))  # closed to other users, though not to a sandbox's
    folder = outer / "bundle"
    try:
        folder.mkdir()
        _unpack(bundle, folder)
        spec = bundle.spec
        if spec.setup_script:
            hosting = _set_up(bundle.origin, folder, spec.setup_script, hosting)
        data = str(folder / spec.data_path) if spec.data_path else ""
        found = UserClass(bundle.origin, spec.class_path, spec.init_kwargs, data)
        policy = HostedPolicy(found, info, hosting, str(folder), wait)
    except BaseException:
        shutil.rmtree(outer, ignore_errors=True)
        raise
    weakref.finalize(policy, shutil.rmtree, outer, ignore_errors=True)
    return policy


def code_content(bundle: "NoNetError") -> str:
    """Digest of what a bundle says and holds. Raise UserError as `play_code`."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in _files(bundle)}
    spec = bundle.spec
    return digest(spec.class_path, spec.init_kwargs, spec.data_path, spec.setup_script, hashes)


def _unpack(bundle: "NoNetError", folder: Path) -> None:
    for name, data in _files(bundle):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _files(bundle: "NoNetError") -> Iterator[tuple[str, bytes]]:
    """Name and content of the files that the spec lists; all of a zip file whose spec lists none."""
    wanted = bundle.spec.sha256
    names = list(wanted) or (bundle.files.names() if isinstance(bundle.files, Archive) else [])
    if not names:
        raise UserError(f"{bundle.origin}: its {SPEC} lists no files; pack it as a zip file")
    left = MOST_BYTES
    for name in names:
        if leads_out(name):
            raise UserError(f"{bundle.origin}: {name!r} leads out of the bundle")
        try:
            data = bundle.files.read(name, left)
        except FileNotFoundError:
            raise BrokenBundleError(f"{bundle.origin}: {name} is missing") from None
        if wanted and hashlib.sha256(data).hexdigest() != wanted[name]:
            raise BrokenBundleError(f"{bundle.origin}: {name} is damaged or cut short (its SHA-256 does not match)")
        left -= len(data)
        yield name, data


def _set_up(origin: str, folder: Path, script: str, hosting: Hosting) -> Hosting:
    """Run the bundle's own script in its folder; a sandbox runs it on a copy, at each start. Raise UserError if it
    fails or takes too long."""
    if leads_out(script) or not (folder / script).is_file():
        raise BrokenBundleError(f"{origin}: setup_script {script} is not in the bundle")
    if hosting.prefix:
        return replace(hosting, prefix=partial(hosting.prefix, setup=script))
    process = Process(hosting.command(str(folder), script), str(folder), hosting.most_output)
    try:
        code = process.wait(SETUP_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"{origin}: setup_script {script} takes more than {SETUP_SECONDS} s") from None
    finally:
        process.end()
    if code:
        raise UserError(f"{origin}: setup_script {script} failed with exit code {code}{process.last_words()}")
    return hosting
