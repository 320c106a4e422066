"""What a job uses of the machine."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from metta.common.settings import OnlyTyped, PathText, Settings

MOST_THREADS = 4096  # of torch, which gives up at some number


class MachineSettings(Settings):
    """What a job uses of the machine."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="where the policy runs")
    data_dir: PathText = Field(default="./train_dir", description="folder that holds the runs")
    threads: PositiveInt | None = Field(
        default=None, le=MOST_THREADS, description="torch threads; default: all cores; to play, one"
    )
    trust_pickle: Annotated[bool, OnlyTyped()] = Field(
        default=False, description="open policy files that run code when opened; only for files of your own"
    )
    trust_code: Annotated[bool, OnlyTyped()] = Field(
        default=False, description="play bundles that hold a class of their own; only for bundles of your own"
    )
