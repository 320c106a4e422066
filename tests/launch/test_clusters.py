"""What SLURM, SkyPilot and Kubernetes are sent for one and the same run."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from metta.common.errors import UserError
from metta.launch.code import head
from metta.launch.command import launcher, main
from metta.launch.kubernetes import Kubernetes
from metta.launch.plan import Sent, plan
from metta.launch.slurm import SCRIPT
from tests.launch.conftest import ROOT

RUN = ["recipes.experiment.cogsguard.train", "run=Wide_1", "trainer.total_timesteps=1_000_000"]
SHARED = ["launch.volume=runs", "launch.bucket=null"]
STUB = """\
#!/usr/bin/env bash
# Plays a tool of a cluster: notes how it was called and what it read.
printf '%s\\n' "$*" >>{folder}/{name}.calls
cat >{folder}/{name}.read
cat {folder}/{name}.says 2>/dev/null || true
"""
shellcheck = pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")


def sent(target: str, *words: str) -> Sent:
    return plan(target, [*RUN, *words], dirty=True).sent


def document(target: str, *words: str) -> dict:
    """The YAML that a target shows."""
    return yaml.safe_load(launcher(sent(target, *words)).shown())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of stubs of the clusters' tools, which comes first on PATH."""
    for name in ("sbatch", "squeue", "scancel", "kubectl"):
        tool = tmp_path / name
        tool.write_text(STUB.format(folder=tmp_path, name=name))
        tool.chmod(0o755)
    (tmp_path / "sbatch.says").write_text("4711;cluster\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def launch_to_slurm(folder: Path, *more: str) -> int:
    records = ["--data-dir", str(folder / "records"), "--dirty"]
    return main(["slurm", *RUN, f"system.data_dir={folder}/runs", f"launch.code={folder}/code", *records, *more])


def test_slurm_gets_a_script_that_saves_and_queues_again(cluster: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert launch_to_slurm(cluster) == 0
    said = capfd.readouterr().out
    assert "run=Wide_1 launched" in said
    assert (cluster / "sbatch.calls").read_text() == "--parsable\n"
    script = (cluster / "sbatch.read").read_text()
    commit = json.loads((cluster / "records/Wide_1/launch/sent.json").read_text())["commit"][:12]
    directives = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert directives >= {
        *("job-name=Wide_1", "nodes=2", "ntasks-per-node=1", "gpus-per-node=8", "time=1440", "requeue"),
        *("signal=B:USR1@120", "open-mode=append", f"output={cluster}/runs/Wide_1/launch/slurm.log"),
    }
    assert "srun" in script and "torch.distributed.run --nnodes 2 --nproc-per-node gpu" in script
    assert '--rdzv-endpoint "$METTA_HEAD:29500"' in script and "scontrol requeue" in script
    assert f"{cluster}/code/{commit}/tools/run.py recipes.experiment.cogsguard.train" in script
    assert (cluster / "code" / commit / "tools/run.py").is_file()
    assert (cluster / "runs/Wide_1/launch").is_dir()  # or SLURM could not open the log

    (cluster / "squeue.says").write_text("4710 RUNNING, 1:00, None\n4711 PENDING, 0:00, Priority\n")
    looks = ["Wide_1", "--data-dir", str(cluster / "records")]
    assert main(["status", *looks]) == 0
    assert capfd.readouterr().out == "job 4711: PENDING, 0:00, Priority\n"
    assert launch_to_slurm(cluster) == 2
    assert "queued or goes on already as job 4711" in capfd.readouterr().err
    (cluster / "squeue.says").write_text("4711 RUNNING, 1:00, None\n")
    assert main(["stop", *looks]) == 0
    assert (cluster / "scancel.calls").read_text() == "--batch --signal=TERM 4711\n"


@pytest.mark.parametrize(("signal", "queued"), [("USR1", True), ("TERM", False)])
def test_the_script_passes_a_signal_on_and_queues_again_only_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: str, queued: bool
) -> None:
    tools = {
        "srun": f"#!/bin/bash\ntrap 'echo {signal} >>{tmp_path}/heard; exit 75' {signal}\n"
        f"touch {tmp_path}/ready\nwhile :; do sleep 0.05; done",
        "scontrol": f'#!/bin/bash\nif [ "$1" = requeue ]; then echo "$*" >>{tmp_path}/requeued; else echo node-0; fi',
    }
    for name, text in tools.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node-[0-1]"}
    process = subprocess.Popen(["bash", SCRIPT], env=environment)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
    subprocess.run(["kill", f"-{signal}", str(process.pid)], check=True)
    assert process.wait(30) == 75
    assert (tmp_path / "heard").read_text() == f"{signal}\n"
    assert (tmp_path / "requeued").exists() == queued


@shellcheck
def test_the_scripts_that_are_sent_pass_shellcheck() -> None:
    shown = launcher(sent("slurm")).shown()
    for text in (shown.split("\n", 1)[1], "#!/bin/bash\n" + document("skypilot", "launch.nodes=2", *SHARED)["run"]):
        done = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_skypilot_gets_a_task_that_recovers_on_spot_machines() -> None:
    task = document("skypilot", "launch.nodes=2", *SHARED, "launch.accelerators=H100:8")
    assert task["num_nodes"] == 2 and task["name"].startswith("r-wide-1-")
    resources = {"accelerators": "H100:8", "use_spot": True}
    recovery = {"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": 3}
    assert task["resources"] == {**resources, "job_recovery": recovery}
    assert task["volumes"] == {"/data/train_dir": "runs"}
    assert task["workdir"].endswith(sent("skypilot").commit[:12])
    for part in ("$SKYPILOT_NODE_IPS", '--node "$SKYPILOT_NODE_RANK"', "run=Wide_1", "--hours 72", "--heartbeat 1800"):
        assert part in task["run"]
    alone = document("skypilot")
    assert alone["file_mounts"] == {"/data/train_dir": {"source": "s3://metta-runs", "mode": "MOUNT_CACHED"}}
    assert "torch.distributed.run" not in alone["run"] and "system.nproc=auto" in alone["run"]


@pytest.mark.parametrize(("nodes", "words"), [(1, []), (2, SHARED)])
def test_skypilot_reads_its_task(nodes: int, words: list[str], tmp_path: Path) -> None:
    sky = pytest.importorskip("sky", reason="skypilot is not installed: pip install 'metta[sky]'")
    task = document("skypilot", f"launch.nodes={nodes}", *words) | {"workdir": str(tmp_path)}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    read = sky.Task.from_yaml(str(tmp_path / "task.yaml"))
    assert (read.num_nodes, {resources.use_spot for resources in read.resources}) == (nodes, {True})


def test_the_schema_of_kubernetes_allows_its_job() -> None:
    schema = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    stored = yaml.safe_load_all((ROOT / "devops/kubernetes/storage.yaml").read_text())
    for item in (*document("kubernetes", "launch.spot=true", "launch.secret=wandb")["items"], *stored):
        schema.validate(item, "1.31", strict=True)
    item["kind"] = "Jop"
    with pytest.raises(schema.SchemaNotFoundError):
        schema.validate(item, "1.31", strict=True)


def test_kubernetes_gets_an_indexed_job_whose_pods_find_each_other() -> None:
    service, job = document("kubernetes", "launch.spot=true", "launch.secret=wandb")["items"]
    name, spec = job["metadata"]["name"], job["spec"]
    assert job["apiVersion"] == "batch/v1" and job["metadata"]["annotations"]["metta/run-name"] == "Wide_1"
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    pod, image = spec["template"]["spec"], f"metta:{sent('kubernetes').commit[:12]}"
    (container,) = pod["containers"]
    assert pod["subdomain"] == name == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
    assert f'"{name}-0.{name}:29500"' in container["command"][2] and container["image"] == image
    assert pod["restartPolicy"] == "Never" and pod["securityContext"]["runAsNonRoot"]
    assert pod["terminationGracePeriodSeconds"] > 100 and pod["nodeSelector"] == {"metta/spot": "true"}
    taken, final = spec["podFailurePolicy"]["rules"]
    assert taken["action"] == "Ignore" and taken["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert final["action"] == "FailJob" and final["onExitCodes"]["values"] == [2, 76, 124]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert container["envFrom"] == [{"secretRef": {"name": "wandb"}}]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 8


def test_kubectl_is_given_a_commit_that_an_image_holds(cluster: Path) -> None:
    job = Kubernetes(sent("kubernetes").model_copy(update={"commit": head()}))
    assert job.start().job == job.name
    assert yaml.safe_load((cluster / "kubectl.read").read_text()) == job.manifest()
    assert (cluster / "kubectl.calls").read_text().splitlines()[-1].endswith("--namespace default apply -f -")
    with pytest.raises(UserError, match="an image holds a commit"):
        Kubernetes(job.sent.model_copy(update={"commit": "0" * 40})).start()
    (cluster / "kubectl.says").write_text(f"job.batch/{job.name}\n")
    with pytest.raises(UserError, match="stop removes it, whatever its state"):
        job.start()


@pytest.mark.parametrize("target", ["local", "mettabox", "slurm", "skypilot", "kubernetes"])
def test_every_target_names_the_run_so_that_it_can_go_on(target: str) -> None:
    assert "run=Wide_1" in launcher(sent(target)).shown()
