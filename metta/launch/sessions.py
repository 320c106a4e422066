"""Runs on this machine and on hosts that ssh reaches: each node has a session that outlives who began it."""

import shlex
from dataclasses import dataclass

from metta.common.errors import UserError
from metta.launch.code import checkout
from metta.launch.hosts import ROOT, find_host
from metta.launch.machine import Machine
from metta.launch.names import session_name
from metta.launch.plan import Sent, node_command
from metta.launch.targets import LocalTarget, SshTarget


@dataclass(frozen=True)
class Sessions:
    """A launch of the kinds `local` and `ssh`."""

    sent: Sent

    @property
    def machines(self) -> list[Machine]:
        target = self.sent.target
        if isinstance(target, LocalTarget):
            return [Machine()]
        assert isinstance(target, SshTarget)
        return [Machine(name, find_host(name, target.hosts_file)) for name in target.hosts]

    def shown(self) -> str:
        """What would be sent, for people."""
        return "\n".join(
            f"# on {machine.name}\n{self._start(node, machine)}" for node, machine in enumerate(self.machines)
        )

    def start(self) -> Sent:
        """Send the commit and start all nodes. Raises UserError before anything is started where one cannot be."""
        target = self.sent.target
        for node, machine in enumerate(self.machines):
            if isinstance(target, SshTarget):
                machine.need("git", "tmux", target.python)
                checkout(machine, self.sent.commit, target.code)
            if self._told(node, machine).startswith("running "):
                raise UserError(f"run={self.sent.run} goes on already on {machine.name}; stop it, or name another run")
        for node, machine in enumerate(self.machines):
            machine.run(self._start(node, machine))
        return self.sent

    def status(self) -> str:
        return "\n".join(f"{machine.name}: {self._told(node, machine)}" for node, machine in enumerate(self.machines))

    def logs(self, follow: bool) -> int:
        return self.machines[0].enter(log_script(f"{self.sent.folder}/launch/node0.log", follow))

    def attach(self) -> int:
        """Show the session of the first node in this terminal; Ctrl-B d leaves it."""
        if isinstance(self.sent.target, LocalTarget):
            return self.logs(follow=True)
        return self.machines[0].enter(f"tmux attach -t {shlex.quote('=' + session_name(self.sent.run))}")

    def stop(self) -> str:
        """Ask all nodes to save and stop."""
        for node, machine in enumerate(self.machines):
            machine.run(f"{self._state(node)} --stop")
        return f"run={self.sent.run} saves and stops"

    def _start(self, node: int, machine: Machine) -> str:
        target = self.sent.target
        machines = self.machines
        leader = machines[0].host
        endpoint = f"{leader.address}:{target.port}" if leader and isinstance(target, SshTarget) else ""
        command = node_command(self.sent, self._code, str(node), len(machines), endpoint)
        if isinstance(target, LocalTarget):
            return f"setsid --fork {command} </dev/null >/dev/null 2>&1"
        return f"tmux new-session -d -s {shlex.quote(session_name(self.sent.run))} {shlex.quote(command)}"

    @property
    def _code(self) -> str:
        target = self.sent.target
        return f"{target.code}/{self.sent.commit[:12]}" if isinstance(target, SshTarget) else str(ROOT)

    def _state(self, node: int) -> str:
        words = [self.sent.target.python, "-m", "metta.launch.node_state", self.sent.folder, str(node)]
        return shlex.join(["env", f"PYTHONPATH={self._code}", *words])

    def _told(self, node: int, machine: Machine) -> str:
        return machine.run(self._state(node)).strip()


def log_script(path: str, follow: bool) -> str:
    """A shell line that shows a log from its end, or goes on with it."""
    return f"tail -n 100 {'-F ' * follow}{shlex.quote(path)}"
