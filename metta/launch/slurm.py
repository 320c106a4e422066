"""Runs on a SLURM cluster: a batch script that is queued again whenever its time is over before the run is."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from metta.common.errors import UserError
from metta.launch.code import checkout
from metta.launch.hosts import ROOT
from metta.launch.machine import Machine, local
from metta.launch.plan import Sent, node_command
from metta.launch.sessions import log_script
from metta.launch.targets import SlurmTarget

SCRIPT = ROOT / "devops/slurm/job.sh"


@dataclass(frozen=True)
class Slurm:
    """A launch of the kind `slurm`."""

    sent: Sent

    @property
    def _target(self) -> SlurmTarget:
        assert isinstance(self.sent.target, SlurmTarget)
        return self.sent.target

    @property
    def _log(self) -> str:
        return f"{self.sent.folder}/launch/slurm.log"

    def script(self) -> str:
        """What sbatch reads."""
        target = self._target
        options = {
            "job-name": self.sent.run,
            "nodes": target.nodes,
            "ntasks-per-node": 1,
            "gpus-per-node": target.gpus_per_node or None,
            "cpus-per-task": target.cpus_per_task,
            "time": f"{max(1, round(target.hours * 60))}",
            "partition": target.partition,
            "account": target.account,
            "signal": f"B:USR1@{target.warn_seconds}",
            "open-mode": "append",
            "output": self._log,
        }
        directives = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
        code = f"{target.code}/{self.sent.commit[:12]}" if target.code else str(ROOT)
        endpoint = f"$METTA_HEAD:{target.port}"
        command = node_command(self.sent, code, "$SLURM_NODEID", target.nodes, endpoint)
        text = SCRIPT.read_text().replace("#SBATCH --requeue", "\n".join([*directives, "#SBATCH --requeue"]))
        return text.replace("'@COMMAND@'", shlex.quote(command))

    def shown(self) -> str:
        return f"# to sbatch --parsable\n{self.script()}"

    def start(self) -> Sent:
        Machine().need("sbatch")
        if self.sent.job and self._state():
            raise UserError(f"run={self.sent.run} is queued or goes on already as job {self.sent.job}; stop it first")
        if self._target.code:
            checkout(Machine(), self.sent.commit, self._target.code)
        Path(self._log).parent.mkdir(parents=True, exist_ok=True)
        said = local(["sbatch", "--parsable"], self.script()).strip()
        if not (number := re.match(r"\d+", said)):
            raise UserError(f"sbatch gave no number of a job: {said[:100]}")
        return self.sent.model_copy(update={"job": number[0]})

    def status(self) -> str:
        state = self._state()
        where = f"job {self.sent.job}"
        return f"{where}: {state}" if state else f"{where}: no longer queued; logs {self.sent.run} shows how it ended"

    def logs(self, follow: bool) -> int:
        return Machine().enter(log_script(self._log, follow))

    def attach(self) -> int:
        return self.logs(follow=True)

    def stop(self) -> str:
        # To the batch script alone, which passes it on: the run saves, and is not queued again.
        if self._state().startswith("PENDING"):
            local(["scancel", str(self.sent.job)])
        else:
            local(["scancel", "--batch", "--signal=TERM", str(self.sent.job)])
        return f"run={self.sent.run} saves and stops"

    def _state(self) -> str:
        """State and reason as squeue tells them; empty for a job that is gone."""
        listed = local(["squeue", "--me", "--noheader", "--format=%A %T, %M, %r"])
        states = dict(line.strip().split(" ", 1) for line in listed.splitlines() if " " in line.strip())
        return states.get(str(self.sent.job), "")
