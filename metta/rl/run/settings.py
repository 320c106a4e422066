"""Settings of what a run leaves behind, and of what it uses of the machine."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator

from metta.common.defaults import SEED
from metta.common.settings import Settings
from metta.policy.machine_settings import MachineSettings

MOST_PROCESSES = 1024  # on one machine
LONGEST_NAME = 200  # characters
LONGEST_WAIT = 1e6  # seconds


def _is_folder_name(name: str) -> str:
    if not re.fullmatch(r"[\w+][\w.+-]*", name):
        raise ValueError("a run's name has letters, digits and . _ + - and starts with none of . and -")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"a run's name has at most {LONGEST_NAME} characters, this one has {len(name)}")
    return name


RunName = Annotated[str, AfterValidator(_is_folder_name)]
PhaseName = Annotated[str, AfterValidator(_is_folder_name)]


class CheckpointerSettings(Settings):
    epoch_interval: PositiveInt = Field(default=50, description="epochs between checkpoints")
    keep_last: int = Field(default=0, ge=0, description="newest checkpoints to keep; 0 = all")
    keep_every: int = Field(default=0, ge=0, description="those at multiples of so many epochs stay for ever; 0 = none")
    keep_best: int = Field(
        default=1,
        ge=0,
        description="how many stay that were the best in evaluations, each of which is saved; 0 = none is looked for",
    )
    best_metric: str | None = Field(
        default=None, description="metric of an evaluation by which they are the best; default: the suite's mean reward"
    )

    @property
    def keeps_interval(self) -> bool:
        """Whether every checkpoint at a multiple of epoch_interval stays."""
        return not self.keep_last or (self.keep_every > 0 and self.epoch_interval % self.keep_every == 0)


class WandbSettings(Settings):
    mode: Literal["off", "offline", "online"] = Field(
        default="off", description="where metrics go besides metrics.jsonl"
    )
    project: str = Field(default="metta", description="W&B project")
    entity: str | None = Field(default=None, description="W&B team or user; default: the login's")
    group: str | None = Field(default=None, description="name under which W&B groups runs")
    tags: list[str] = Field(default=[], description="labels of the run")
    notes: str | None = Field(default=None, description="free text shown with the run")
    checkpoints: bool = Field(default=True, description="keep checkpoints there too, as versions of one artifact")

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: object) -> object:
        return "off" if value is False else value


class SystemSettings(MachineSettings):
    seed: int = Field(default=SEED, ge=0, description="seed of everything random in the run")
    log_outputs: bool = Field(default=False, description="plain lines of progress in place of a live table")
    nproc: int | Literal["auto", "gpu"] | None = Field(
        default=None, description="processes of this machine that train together; gpu: one for each; auto: as gpu, or 1"
    )
    max_restarts: int = Field(default=3, ge=0, description="times that all start again when one of them is lost")
    timeout_seconds: PositiveFloat = Field(
        default=600, le=LONGEST_WAIT, description="seconds that processes wait for each other before one counts as lost"
    )
    grace_seconds: PositiveFloat = Field(
        default=30, le=LONGEST_WAIT, description="seconds to save and stop in after SIGTERM, SIGHUP or SIGUSR1"
    )

    @field_validator("nproc", mode="before")
    @classmethod
    def _counts_processes(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_PROCESSES:
            return value
        if value in (None, "auto", "gpu"):
            return value
        raise ValueError(f"should be a number of processes from 1 to {MOST_PROCESSES}, gpu or auto")
