"""Runs on Kubernetes: an indexed Job, a pod for each node, and the name under which the pods find the first one."""

import json
from dataclasses import dataclass
from typing import Any

from metta.common.commands import DIVERGED
from metta.common.documents import as_text
from metta.common.errors import UserError
from metta.launch.code import head
from metta.launch.machine import Machine, local
from metta.launch.names import dns_label
from metta.launch.plan import Sent, node_command
from metta.launch.supervisor import TIME_OVER
from metta.launch.targets import KubernetesTarget

CODE = "/workspace/metta"  # of the image
MARGIN = 60  # seconds that the cluster waits beyond the processes
SPARE = 1800  # seconds for images and starts beyond the run's hours
USER = 1000  # of the image


@dataclass(frozen=True)
class Kubernetes:
    """A launch of the kind `kubernetes`."""

    sent: Sent

    @property
    def _target(self) -> KubernetesTarget:
        assert isinstance(self.sent.target, KubernetesTarget)
        return self.sent.target

    @property
    def name(self) -> str:
        return dns_label(self.sent.run)

    def manifest(self) -> dict[str, Any]:
        """A List of the Service and the Job."""
        labels = {"app.kubernetes.io/name": "metta", "metta/run": self.name}
        about = {"name": self.name, "namespace": self._target.namespace, "labels": labels}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": about,
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {"metta/run": self.name},
                "ports": [{"name": "rendezvous", "port": self._target.port}],
            },
        }
        notes = {"metta/run-name": self.sent.run, "metta/commit": self.sent.commit}
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {**about, "annotations": notes},
            "spec": self._job({"labels": labels, "annotations": notes}),
        }
        # Through JSON, as YAML would show parts that are the same by references.
        return json.loads(json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, job]}))

    def _job(self, about: dict[str, Any]) -> dict[str, Any]:
        target = self._target
        final = {"operator": "In", "values": [2, DIVERGED, TIME_OVER]}
        return {
            "completionMode": "Indexed",
            "completions": target.nodes,
            "parallelism": target.nodes,
            "backoffLimit": target.restarts * target.nodes,
            "activeDeadlineSeconds": round(3600 * target.hours) + SPARE,
            "podFailurePolicy": {
                "rules": [  # a pod that was taken away counts as none that failed
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": final},
                ]
            },
            "template": {"metadata": about, "spec": self._pod()},
        }

    def _pod(self) -> dict[str, Any]:
        target = self._target
        endpoint = f"{self.name}-0.{self.name}:{target.port}"
        command = node_command(self.sent, CODE, "$JOB_COMPLETION_INDEX", target.nodes, endpoint)
        gpus = {"nvidia.com/gpu": target.gpus_per_node} if target.gpus_per_node else {}
        size = {"cpu": target.cpus, "memory": target.memory, **gpus}
        container = {
            "name": "train",
            "image": f"{target.image}:{self.sent.commit[:12]}",
            "command": ["bash", "-c", f"exec {command}"],
            "resources": {"requests": size, "limits": size},
            "volumeMounts": [
                {"name": "runs", "mountPath": self.sent.data_dir},
                {"name": "shm", "mountPath": "/dev/shm"},
            ],
        }
        if target.secret:
            container["envFrom"] = [{"secretRef": {"name": target.secret}}]
        pod = {
            "subdomain": self.name,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": round(target.grace_seconds) + MARGIN,
            "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
            "containers": [container],
            "volumes": [
                {"name": "runs", "persistentVolumeClaim": {"claimName": target.claim}},
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
            ],
        }
        taken_away = {"key": "metta/spot", "operator": "Exists", "effect": "NoSchedule"}
        return pod | ({"nodeSelector": {"metta/spot": "true"}, "tolerations": [taken_away]} if target.spot else {})

    def shown(self) -> str:
        return f"# to {' '.join(self._kubectl('apply', '-f', '-'))}\n{as_text('yaml', self.manifest())}"

    def start(self) -> Sent:
        if local(self._kubectl("get", "job", self.name, "--ignore-not-found", "-o", "name")).strip():
            raise UserError(f"run={self.sent.run} has the job {self.name} already; stop removes it, whatever its state")
        if self.sent.commit != head():
            raise UserError("an image holds a commit, so changes cannot be sent: commit them, build and push")
        local(self._kubectl("apply", "-f", "-"), as_text("yaml", self.manifest()))
        return self.sent.model_copy(update={"job": self.name})

    def status(self) -> str:
        kinds = self._kubectl("get", "job,pod", "-l", f"metta/run={self.name}", "--no-headers")
        return local(kinds).strip() or f"{self.name}: no such job"

    def logs(self, follow: bool) -> int:
        Machine().need("kubectl")
        words = self._kubectl("logs", "--tail=100", "-l", f"metta/run={self.name}", "--prefix", *["-f"] * follow)
        return Machine().enter(" ".join(words))

    def attach(self) -> int:
        return self.logs(follow=True)

    def stop(self) -> str:
        local(self._kubectl("delete", "job,service", "-l", f"metta/run={self.name}", "--wait=false"))
        return f"run={self.sent.run} saves and stops; its job is removed"

    def _kubectl(self, *words: str) -> list[str]:
        return ["kubectl", "--request-timeout=20s", "--namespace", self._target.namespace, *words]
