"""What a recipe returns: the kind of job and the settings in which it differs from the defaults."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from metta.common.errors import UserError, suggest
from metta.eval.settings import EvaluateConfig, PlayConfig
from metta.rl.settings import RunConfig

Config = RunConfig | EvaluateConfig | PlayConfig


class Job:
    """The kind of job and its settings by branch; text in place of a branch picks the option of a group.

    Example: `Job("train", mission="cogsguard_arena.basic", trainer={"batch_size": 8192})`.
    """

    def __init__(self, cmd: str, **settings: Any) -> None:
        self.cmd = cmd
        self.settings = settings


@dataclass(frozen=True)
class Kind:
    """A kind of job: the model of its tree, and the function that runs it as 'module:function'."""

    model: type[Config]
    target: str

    def execute(self, config: Config) -> Any:
        """Run the job and return what its function does; what it needs is imported only now."""
        module, function = self.target.split(":")
        return getattr(import_module(module), function)(config)


KINDS = {
    "train": Kind(RunConfig, "metta.eval.in_training:train_among_ranks"),
    "evaluate": Kind(EvaluateConfig, "metta.eval.evaluate:evaluate"),
    "play": Kind(PlayConfig, "metta.view.play:play"),
}


def kind_of(cmd: object, source: object) -> Kind:
    """Look up the kind of job that `cmd` names; raises UserError with the nearest."""
    if not isinstance(cmd, str) or cmd not in KINDS:
        raise UserError(f"no job '{cmd}'{suggest(str(cmd), KINDS)}, from {source}: cmd is one of {', '.join(KINDS)}")
    return KINDS[cmd]
