"""Whether code of strangers can be run here, tried by doing."""

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from metta.common.errors import UserError, printable
from metta.common.logging import warn
from metta.league.sandbox import walls
from metta.league.sandbox.bubblewrap import ENVIRONMENT, Bubblewrap, Limits
from metta.league.sandbox.groups import find_groups
from metta.league.sandbox.system_calls import MACHINES

PROGRAM = "bwrap"
INSTALL = "install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap)"
ALLOW = (
    "it needs user namespaces, or root with CAP_SYS_ADMIN: sysctl kernel.unprivileged_userns_clone=1; on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container --cap-add SYS_ADMIN and "
    "--security-opt seccomp=unconfined"
)
SECONDS = 60.0
MOST_SAID = 300  # characters


@dataclass(frozen=True)
class Probe:
    """What the sandbox here is worth."""

    sandbox: Bubblewrap | None  # None: there is none that holds
    walls: dict[str, bool]  # by name, whether it holds
    problem: str = ""  # why there is none, and what to do

    def required(self) -> Bubblewrap:
        """The sandbox. Raises UserError where there is none."""
        if self.sandbox is None:
            raise UserError(f"no code of strangers can be run here: {self.problem}")
        return self.sandbox


def sandbox_here() -> Bubblewrap | None:
    """The sandbox of this machine; where there is none, a warning says why."""
    found = probe()
    if found.sandbox is None:
        warn(f"no code of strangers is run here: {found.problem}")
    return found.sandbox


def probe(limits: Limits | None = None) -> Probe:
    """Run a script in a sandbox that tries its walls; in control groups, where they can be made and entered."""
    if sys.platform != "linux":
        return Probe(None, {}, f"a sandbox needs Linux, this is {sys.platform}")
    if platform.machine() not in MACHINES:
        return Probe(None, {}, f"a sandbox is known for {', '.join(MACHINES)}, this is {platform.machine()}")
    program = shutil.which(PROGRAM)
    if program is None:
        return Probe(None, {}, f"there is no {PROGRAM}: {INSTALL}")
    limits, groups = limits or Limits(), find_groups()
    found = _tried(Bubblewrap(program, limits, groups))
    return found if found.sandbox or not groups else _tried(Bubblewrap(program, limits))


def _tried(sandbox: Bubblewrap) -> Probe:
    """What comes of the script in a sandbox."""
    with TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle")
        bundle.mkdir()
        command = [*sandbox(bundle), sys.executable, "-I", walls.__file__, *ENVIRONMENT]
        try:
            tried = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(None, {}, f"bubblewrap does not run: {error}")
    try:
        held: dict[str, bool] = json.loads(tried.stdout)
    except ValueError:
        said = printable(tried.stderr.strip().rpartition("\n")[2])[:MOST_SAID]
        return Probe(None, {}, f"bubblewrap does not work ({said}); {ALLOW}")
    if gaps := [name for name, holds in held.items() if not holds]:
        return Probe(None, held, f"the sandbox does not hold: {', '.join(gaps)}")
    return Probe(sandbox, held)
