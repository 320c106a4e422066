"""Bash scripts on this machine, or through ssh on another one, in its container where it has one."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metta.common.errors import UserError
from metta.launch.hosts import Host

NO_SSH = 255  # exit code of ssh where it has not come to the command
SECONDS = 60.0  # that a short script may take beyond the wait for an answer


@dataclass(frozen=True)
class Machine:
    """This machine, or with `host` another one."""

    name: str = "this machine"
    host: Host | None = None

    def ssh(self, *flags: str) -> list[str]:
        """The command that leads there, without what is to run."""
        assert self.host
        options = [
            "BatchMode=yes",
            f"ConnectTimeout={round(self.host.answer_seconds)}",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            *self.host.ssh_options,
        ]
        words = ["ssh", "-p", str(self.host.port), *(part for one in options for part in ("-o", one))]
        words += ["-i", self.host.identity] if self.host.identity else []
        return [*words, *flags, f"{self.host.user}@{self.host.address}"]

    def command(self, script: str, tty: bool = False) -> list[str]:
        """The command that runs a bash script there; with `tty` as in a terminal."""
        words = ["bash", "-c", script]
        if self.host is None:
            return words
        if self.host.container:
            words = ["docker", "exec", "-it" if tty else "-i", self.host.container, *words]
        return [*self.ssh("-t" if tty else "-T"), shlex.join(words)]

    def run(self, script: str, seconds: float = SECONDS) -> str:
        """What a short script prints. Raises UserError where the machine does not answer or the script fails."""
        wait = seconds + (self.host.answer_seconds if self.host else 0)
        try:
            done = subprocess.run(
                self.command(script), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=wait
            )
        except FileNotFoundError as error:
            raise UserError(f"{error.filename} is not installed here") from None
        except subprocess.TimeoutExpired:
            raise UserError(f"{self.name}: no answer within {wait:g} s") from None
        said = done.stderr.strip().splitlines()
        if self.host and done.returncode == NO_SSH:
            at = f"{self.host.user}@{self.host.address}, port {self.host.port}"
            raise UserError(f"{self.name}: ssh to {at}: {said[-1] if said else 'no answer'}")
        if done.returncode:
            raise UserError(f"{self.name}: {said[-1] if said else f'exit code {done.returncode}'}")
        return done.stdout

    def enter(self, script: str) -> int:
        """Run a script with this terminal as its own; returns its exit code."""
        return subprocess.run(self.command(script, tty=sys.stdin.isatty()), check=False).returncode

    def need(self, *tools: str) -> None:
        """Raise UserError for a tool that is not installed there."""
        looks = f'for tool in {shlex.join(tools)}; do command -v "$tool" >/dev/null || echo "$tool"; done'
        if missing := self.run(looks).split():
            raise UserError(f"{', '.join(missing)}: not installed on {self.name}")


def local(argv: Sequence[str], given: str = "", seconds: float = SECONDS, env: Mapping[str, str] | None = None) -> str:
    """What a command of this machine prints; `env` is added to this process's environment.

    Raises UserError where it is missing, fails or takes long.
    """
    try:
        around = {**os.environ, **(env or {})}
        done = subprocess.run(argv, input=given, env=around, capture_output=True, text=True, timeout=seconds)
    except FileNotFoundError:
        raise UserError(f"{argv[0]} is not installed here, or not on PATH") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{argv[0]} gave no answer within {seconds:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{argv[0]}: {said[-1]}")
    return done.stdout
