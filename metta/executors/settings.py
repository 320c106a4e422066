"""Settings of the executors, by the names that Hydra's launcher plugins use."""

from typing import Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator

from metta.common.settings import PathText, Settings


class BasicSettings(Settings):
    """One job after another, in this process."""


class LocalSettings(Settings):
    """Processes beside each other on this machine, which share its cores and GPUs."""

    n_jobs: int = Field(default=-1, description="how many at a time; -1: one for each core")

    @field_validator("n_jobs")
    @classmethod
    def _counts(cls, value: int) -> int:
        if value < 1 and value != -1:
            raise ValueError("should be 1 or more, or -1: one for each core")
        return value


class SubmititSettings(Settings):
    """What a job gets, here as processes that play a queue."""

    submitit_folder: PathText | None = Field(
        default=None, description="where jobs and their output are kept; default: .submitit in system.data_dir"
    )
    timeout_min: PositiveInt = Field(default=72 * 60, description="minutes after which a job saves and stops")
    cpus_per_task: PositiveInt | None = Field(default=None, description="cores")
    gpus_per_node: NonNegativeInt | None = Field(default=None, description="GPUs")
    mem_gb: PositiveInt | None = Field(default=None, description="memory in GB")
    name: str | None = Field(default=None, description="of the jobs; default: that of the run or sweep")
    array_parallelism: PositiveInt = Field(default=256, description="most jobs at a time")


class SlurmSettings(SubmititSettings):
    """Jobs in a queue of SLURM."""

    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_gpu: PositiveInt | None = None
    gpus_per_task: PositiveInt | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    signal_delay_s: PositiveInt = Field(default=120, description="seconds before its time is up when a job is told")
    max_num_timeout: NonNegativeInt = Field(default=0, description="times that a job whose time is up is queued again")
    additional_parameters: dict[str, Any] = Field(default={}, description="other options of sbatch")
    setup: list[str] = Field(default=[], description="commands of the shell before the job")


class RayInit(Settings):
    """What ray.init is given."""

    address: str | None = Field(
        default=None, description="of a cluster: HOST:PORT, ray://HOST:PORT or auto; default: $RAY_ADDRESS, or one here"
    )
    num_cpus: PositiveInt | None = Field(default=None, description="cores of a cluster that is started here")
    num_gpus: NonNegativeInt | None = Field(default=None, description="GPUs of a cluster that is started here")


class RayRemote(Settings):
    """What a job is given."""

    num_cpus: NonNegativeFloat = Field(default=1, description="cores")
    num_gpus: NonNegativeFloat = Field(default=0, description="GPUs, or the share of one")
    resources: dict[str, float] = Field(default={}, description="resources of other names")


class RayOptions(Settings):
    """The branch `ray` of Hydra's plugin."""

    init: RayInit = RayInit()
    remote: RayRemote = RayRemote()


class RaySettings(Settings):
    """Processes on the nodes of a Ray cluster."""

    ray: RayOptions = RayOptions()


# By the names of Hydra's launchers.
LAUNCHERS: dict[str, type[Settings]] = {
    "basic": BasicSettings,
    "joblib": LocalSettings,
    "submitit_local": SubmititSettings,
    "submitit_slurm": SlurmSettings,
    "ray": RaySettings,
}
