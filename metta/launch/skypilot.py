"""Runs on clouds through SkyPilot: a managed job that goes on elsewhere when its spot machines are taken away."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metta.common.documents import as_text
from metta.common.errors import UserError
from metta.launch.code import checkout
from metta.launch.machine import Machine, local
from metta.launch.names import dns_label
from metta.launch.plan import Sent, node_command
from metta.launch.targets import SkypilotTarget

CHECKOUTS = Path("~/.cache/metta/launch").expanduser()  # what SkyPilot copies from
SECONDS = 600.0  # that a submission may take


@dataclass(frozen=True)
class Skypilot:
    """A launch of the kind `skypilot`."""

    sent: Sent

    @property
    def _target(self) -> SkypilotTarget:
        assert isinstance(self.sent.target, SkypilotTarget)
        return self.sent.target

    @property
    def name(self) -> str:
        return dns_label(self.sent.run)

    def task(self) -> dict[str, Any]:
        """The task file. Commands run in the copy of the checkout."""
        target = self._target
        resources = {
            "infra": target.infra,
            "accelerators": target.accelerators,
            "use_spot": target.use_spot,
            "image_id": target.image,
            "job_recovery": {"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": target.restarts},
        }
        command = node_command(self.sent, ".", "$SKYPILOT_NODE_RANK", target.nodes, f"$head:{target.port}")
        return {
            "name": self.name,
            "workdir": str(CHECKOUTS / self.sent.commit[:12]),
            "num_nodes": target.nodes,
            "resources": {key: value for key, value in resources.items() if value is not None},
            **self._storage(),
            "setup": target.setup,
            "run": f'head=$(echo "$SKYPILOT_NODE_IPS" | head -n 1)\n{command}\n',
        }

    def _storage(self) -> dict[str, Any]:
        """Where the runs lie. Only the cached mode of a bucket takes files that grow."""
        if self._target.volume:
            return {"volumes": {self.sent.data_dir: self._target.volume}}
        return {"file_mounts": {self.sent.data_dir: {"source": self._target.bucket, "mode": "MOUNT_CACHED"}}}

    def shown(self) -> str:
        return f"# task file of: {' '.join(self._submit('TASK.yaml'))}\n{as_text('yaml', self.task())}"

    def start(self) -> Sent:
        Machine().need("sky")
        if self._rows():
            raise UserError(f"run={self.sent.run} is among the jobs already, as {self.name}; stop it first")
        checkout(Machine(), self.sent.commit, str(CHECKOUTS))
        path = CHECKOUTS / f"{self.name}.yaml"
        path.write_text(as_text("yaml", self.task()) + "\n")
        local(self._submit(str(path)), seconds=SECONDS)
        return self.sent.model_copy(update={"job": self.name})

    def status(self) -> str:
        return "\n".join(self._rows()) or f"{self.name}: no such job goes on; logs {self.sent.run} shows how it ended"

    def logs(self, follow: bool) -> int:
        Machine().need("sky")
        return Machine().enter(f"sky jobs logs --name {self.name}{'' if follow else ' --no-follow'}")

    def attach(self) -> int:
        return self.logs(follow=True)

    def stop(self) -> str:
        local(["sky", "jobs", "cancel", "--yes", "--name", self.name])
        return f"run={self.sent.run} is cancelled; what was saved stays in {self._target.bucket or self._target.volume}"

    def _submit(self, path: str) -> list[str]:
        secrets = [part for name in self._target.secrets for part in ("--secret", name)]
        return ["sky", "jobs", "launch", "--yes", "--detach-run", *secrets, path]

    def _rows(self) -> list[str]:
        """Lines of `sky jobs queue` about jobs of that name that go on."""
        listed = local(["sky", "jobs", "queue", "--skip-finished"]).splitlines()
        return [line for line in listed if self.name in line.split()]
