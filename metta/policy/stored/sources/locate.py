"""From an address to the place where a policy lies: one function for all sources."""

from collections.abc import Iterable
from pathlib import Path

from metta.common.errors import UserError, suggest
from metta.policy.hosted.user_code import class_hint
from metta.policy.stored.sources import artifacts, s3
from metta.policy.stored.sources.place import SPEC, Place, local_place
from metta.policy.stored.sources.runs import best_of, find_run, list_versions, no_best, no_version, split_version

FILE = "file://"
REMOTE = {s3.SCHEME: s3.s3_places, artifacts.SCHEME: lambda uri: [artifacts.artifact_place(uri)]}


def is_remote(uri: str) -> bool:
    return uri.startswith(tuple(REMOTE))


def locate(uri: str, data_dir: Path, names: Iterable[str] = ()) -> list[Place]:
    """Where `uri` leads: the places to try, the best first; several only for the newest checkpoint of a run.

    Raise UserError with the nearest of what there is, and of `names`, if it leads nowhere.
    """
    for scheme, places in REMOTE.items():
        if uri.startswith(scheme):
            return places(uri)
    text = uri.removeprefix(FILE)
    if "://" in text:
        known = (FILE, *REMOTE, "metta://policy/")
        scheme = f"{text.partition('://')[0]}://"
        raise UserError(f"{uri}: unknown scheme {scheme}{suggest(scheme, known)}; known: {', '.join(known)}")
    path = Path(text).expanduser()
    try:
        if path.is_file() and path.suffix == ".py":
            raise UserError(f"{uri}: code, no file of a policy{class_hint(path)}")
        if path.is_file() or (path / SPEC).is_file():
            return [local_place(path)]
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UserError(f"{uri}: {error.strerror}") from None
    run, version = split_version(text)
    folder = find_run(uri, Path(run).expanduser(), data_dir, names)
    versions = list_versions(folder)
    if version == "best" and not (version := best_of(folder)):
        raise no_best(uri, folder.name)
    if version != "latest":
        versions = [found for found in versions if f"v{found.epoch}" == version]
    if not versions:
        raise no_version(uri, folder.name, version, [f"v{found.epoch}" for found in list_versions(folder)])
    return [local_place(found.folder) for found in reversed(versions)]
