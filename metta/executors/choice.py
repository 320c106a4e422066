"""The executor that settings mean."""

from pathlib import Path

from metta.common.settings import Settings
from metta.executors.executor import Executor
from metta.executors.local import LocalExecutor, local_places
from metta.executors.settings import LocalSettings, RaySettings, SubmititSettings


def make_executor(settings: Settings, most: int, folder: Path, name: str) -> tuple[Executor, int]:
    """An executor for at most so many processes at a time, and how many it takes. In `folder` a queue keeps its files,
    `name` is how its jobs are called.

    Raises:
        UserError: the library is missing, or no such cluster answers.
    """
    if isinstance(settings, RaySettings):
        from metta.executors.on_ray import RayExecutor  # here because only the extra has the library

        return RayExecutor(settings.ray), most
    if isinstance(settings, SubmititSettings):
        from metta.executors.on_submitit import SubmititExecutor  # here because only the extra has the library

        return SubmititExecutor(settings, folder, name), min(most, settings.array_parallelism)
    places = min(most, local_places(settings)) if isinstance(settings, LocalSettings) else most
    return LocalExecutor(places), places
