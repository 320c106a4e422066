"""How `mettagrid` names policies by URI in a script: what is named is code of the script's own, and is imported."""

import atexit
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from metta.compat.errors import NotPlayableError
from metta.compat.loading import resolve_policy_class_path
from metta.compat.policy import POLICY_SPEC_FILENAME, PolicySpec, SubmissionPolicySpec
from metta.policy.stored.sources.archive import Archive
from metta.policy.stored.sources.place import MOST_BYTES

BUILT_IN = ("metta://policy/", "mock://")


def policy_spec_from_uri(
    uri: str, *, device: str | None = "cpu", remove_downloaded_copy_on_exit: bool = False
) -> PolicySpec:
    """`metta://policy/NAME?word=value`, or the folder or zip file of a bundle.

    Raises FileNotFoundError for no bundle, NotPlayableError for one that is elsewhere.
    """
    plain, _, query = uri.partition("?")
    words = {name: _value(text) for name, text in parse_qsl(query)}
    if start := next((start for start in BUILT_IN if plain.startswith(start)), ""):
        spec = PolicySpec(class_path=resolve_policy_class_path(plain.removeprefix(start)), init_kwargs=words)
    elif urlsplit(plain).scheme in ("", "file"):
        spec = load_policy_spec_from_path(Path(unquote(plain.removeprefix("file://"))), device=device)
        spec.init_kwargs |= words
    else:
        raise NotPlayableError(f"{uri}: here this reads bundles in files; cogames -p and policy_uri= read others")
    return _on(spec, device)


def load_policy_spec_from_path(
    local_path: Path,
    *,
    device: str | None = None,
    remove_downloaded_copy_on_exit: bool = False,
    force_dest: Path | None = None,
) -> PolicySpec:
    """The policy of a bundle, whose modules can be imported from now on; a zip file is unpacked for this process.

    Raises FileNotFoundError for none, NotPlayableError for one that needs a script to be run first.
    """
    path = Path(local_path).expanduser().resolve()
    folder = path if path.is_dir() else _unpacked(path, force_dest)
    if not (folder / POLICY_SPEC_FILENAME).is_file():
        raise FileNotFoundError(f"{POLICY_SPEC_FILENAME} not found in {path}")
    found = SubmissionPolicySpec.model_validate_json((folder / POLICY_SPEC_FILENAME).read_text())
    if found.setup_script:
        raise NotPlayableError(f"{path}: run its {found.setup_script} yourself, or name the bundle to cogames -p")
    data = folder / found.data_path if found.data_path else None
    if data and not data.exists():
        raise FileNotFoundError(f"Policy data path '{found.data_path}' not found in {path}")
    package = found.class_path.partition(".")[0]
    root = next((one.parent for one in sorted(folder.rglob(package)) if one.is_dir()), folder)
    sys.path[:0] = [str(one) for one in dict.fromkeys((root, folder)) if str(one) not in sys.path]
    data_path = str(data) if data else None
    return _on(PolicySpec(class_path=found.class_path, data_path=data_path, init_kwargs=found.init_kwargs), device)


def _on(spec: PolicySpec, device: str | None) -> PolicySpec:
    if device is not None and "device" in spec.init_kwargs:
        spec.init_kwargs["device"] = device
    return spec


def _value(text: str) -> Any:
    """Whole numbers and truths as such."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.lstrip("+-").isdigit() else text


def _unpacked(path: Path, into: Path | None) -> Path:
    archive = Archive(path.read_bytes(), str(path))
    if into is None:
        into = Path(tempfile.mkdtemp(prefix="metta-policy-"))
        atexit.register(shutil.rmtree, into, ignore_errors=True)
    for name in archive.names():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(archive.read(name, MOST_BYTES))
    return into
