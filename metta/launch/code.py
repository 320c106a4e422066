"""The commit that a run is of, and how it comes to where the run goes on."""

import os
import shlex
import subprocess
from pathlib import Path

from metta.common.errors import UserError
from metta.launch.hosts import ROOT
from metta.launch.machine import Machine, local

SECONDS = 600.0  # that sending a commit may take
# What was cut short before it was done is made anew.
CHECK_OUT = """\
test -e {place}.done || {{
    rm -rf {place} && git -C {store} worktree prune &&
        git -C {store} worktree add --quiet --force --detach {place} {commit} && touch {place}.done
}}
"""


def head() -> str:
    """The commit that is checked out. Raises UserError where there is none."""
    return _git("rev-parse", "HEAD")


def commit_of_tree(dirty: bool) -> str:
    """The commit of this tree; with `dirty` one that holds its changes to tracked files too, on no branch.

    Raises:
        UserError: no git checkout, or changes that `dirty` does not allow.
    """
    last = head()
    changed = _git("status", "--porcelain", "--untracked-files=no").splitlines()
    if not changed:
        return last
    if not dirty:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0][2:].strip()}{more} changed since the last commit: commit, or --dirty sends the changes too"
        )
    # By nobody, at the time of the last commit: the same changes are the same commit, and are sent and compiled once.
    date = _git("show", "-s", "--format=%cI", last)
    who = ("-c", "user.name=launch", "-c", "user.email=launch@localhost")
    return _git(*who, "stash", "create", "launch", date=date)


def checkout(machine: Machine, commit: str, folder: str) -> str:
    """Bring a commit to a machine, where `folder` keeps them; returns the path of its checkout.

    Only what is not there yet is sent. Raises UserError.
    """
    store, place = f"{folder}/metta.git", f"{folder}/{commit[:12]}"
    begin = f"test -d {shlex.quote(store)} || git init --quiet --bare {shlex.quote(store)}"
    machine.run(f"mkdir -p {shlex.quote(folder)} && {{ {begin}; }}")
    _push(machine, commit, store)
    machine.run(CHECK_OUT.format(store=shlex.quote(store), place=shlex.quote(place), commit=commit), SECONDS)
    return place


def _push(machine: Machine, commit: str, store: str) -> None:
    words = ["git", "push", "--quiet"]
    host = machine.host
    if host and host.container:
        words += [f"--receive-pack=docker exec -i {shlex.quote(host.container)} git-receive-pack"]
    url = f"ssh://{host.user}@{host.address}:{host.port}{store}" if host else store
    environment = os.environ | ({"GIT_SSH_COMMAND": shlex.join(machine.ssh()[:-1])} if host else {})
    done = subprocess.run(
        [*words, url, f"{commit}:refs/launch/{commit}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{machine.name}: commit {commit[:12]} cannot be sent: {said[-1]}")


def _git(*words: str, date: str = "") -> str:
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else None
    try:
        return local(["git", "-C", str(ROOT), *words], env=dates).strip()
    except UserError as error:
        raise UserError(f"a launch sends a commit, and this is none: {error}") from None


def tracked(path: Path) -> bool:
    """Whether a commit of this tree would hold the file."""
    try:
        local(["git", "-C", str(ROOT), "ls-files", "--error-unmatch", str(path.resolve())])
    except UserError:
        return False
    return True
