"""One launch: the run, composed here as it will be there, and the command that each node runs."""

import inspect
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from metta.common.documents import read_yaml
from metta.common.errors import UserError, suggest
from metta.common.files import write_atomic
from metta.common.settings import Settings, validated
from metta.config.composition import compose
from metta.config.files import EXPERIMENTS
from metta.config.recipes import Recipe, resolve
from metta.config.summary import summary
from metta.config.words import Word, is_word, parse_word
from metta.launch.code import commit_of_tree, tracked
from metta.launch.targets import PREFIX, Target, load_target
from metta.rl.settings import RunConfig

RECORD = "launch/sent.json"  # in the run's folder of the machine that launched it
MOST_BYTES = 1_000_000
MARGIN = 30  # seconds that torchrun waits beyond those in which the processes end by themselves


class Sent(Settings):
    """What was sent where: enough to ask after the run, and to stop it."""

    run: str
    target_name: str
    target: Target = Field(discriminator="kind")
    recipe: str
    words: list[str]
    data_dir: str = Field(description="folder of the runs, there")
    commit: str
    time: float = Field(description="of the launch, in seconds since 1970")
    job: str | None = Field(default=None, description="number that the scheduler gave it")

    @property
    def folder(self) -> str:
        """The run's folder, there."""
        return f"{self.data_dir}/{self.run}"

    def keep(self, records: Path) -> None:
        """Note it beside the runs of this machine."""
        path = records / self.run / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, self.model_dump_json(indent=2))


@dataclass(frozen=True)
class Plan:
    """A launch that has not happened yet, and what its run is, in a line."""

    sent: Sent
    summary: str


def plan(target_name: str, texts: Sequence[str], dirty: bool) -> Plan:
    """Compose the recipe and find the commit. Raises UserError before anything is sent."""
    names = [text for text in texts if not is_word(text)]
    words = [parse_word(text) for text in texts if is_word(text)]
    target = load_target(target_name, [word for word in words if word.key.startswith(PREFIX)])
    words = [word for word in words if not word.key.startswith(PREFIX)]
    if not names:
        raise UserError(f"no recipe is named: tools/launch.py {target_name} RECIPE key=value …")
    recipe = resolve(names)
    if recipe.job([word for word in words if word.key in recipe.parameters]).cmd != "train":
        raise UserError(f"{recipe.short} is no training: only a training is launched; tools/run.py runs it here")
    _check_tracked(recipe, words)
    given = _of_target(target, {word.key for word in words})
    composed = compose(recipe, [*(parse_word(text) for text in given), *words])
    config = composed.config
    assert isinstance(config, RunConfig) and config.run
    data_dir = config.system.data_dir
    if target.kind == "local":
        data_dir = str(Path(data_dir).resolve())
    elif not Path(data_dir).is_absolute():
        raise UserError(f"system.data_dir={data_dir}: target {target_name} needs an absolute path of that machine")
    sent = Sent(
        run=config.run,
        target_name=target_name,
        target=target,
        recipe=recipe.name,
        words=[*given, *(word.text for word in words if word.key != "run"), f"run={config.run}"],
        data_dir=data_dir,
        commit=commit_of_tree(dirty),
        time=time.time(),
    )
    return Plan(sent, summary(config))


def find_sent(records: Path, run: str) -> Sent:
    """What was noted of a launch. Raises UserError with the nearest for a run that nobody launched from here."""
    path = records / run / RECORD
    if not path.is_file():
        known = [entry.parents[1].name for entry in records.glob(f"*/{RECORD}")]
        raise UserError(f"no launched run '{run}'{suggest(run, known)} in {records}")
    return validated(Sent, read_yaml(path, MOST_BYTES), f"{path}:")


def node_command(sent: Sent, code: str, node: str = "0", nodes: int = 1, endpoint: str = "") -> str:
    """The shell command that trains on one node, watched. `node` and `endpoint` may be shell variables.

    One node starts its processes by system.nproc; several meet at `endpoint` through torchrun.
    """
    target = sent.target
    script = f"{code}/tools/run.py"
    words = [script, sent.recipe, *sent.words]
    if nodes > 1:
        each = "gpu" if target.processes == "auto" else target.processes
        torchrun = ["-m", "torch.distributed.run", "--nnodes", str(nodes), "--nproc-per-node", str(each)]
        torchrun += ["--max-restarts", str(target.restarts), "--rdzv-backend", "c10d", "--rdzv-id", sent.run]
        training = f'{shlex.join([target.python, *torchrun])} --rdzv-endpoint "{endpoint}" {shlex.join(words)}'
    else:
        own = [] if any(word.startswith("system.nproc=") for word in words) else [f"system.nproc={target.processes}"]
        training = shlex.join([target.python, *words, *own])
    environment = {
        "PYTHONPATH": code,
        "PYTHONUNBUFFERED": "1",
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": f"{target.grace_seconds + MARGIN:g}",
        **target.env,
    }
    watch = [
        *("env", *(f"{name}={value}" for name, value in environment.items())),
        *(target.python, "-m", "metta.launch.supervisor", "--folder", sent.folder),
        *("--hours", f"{target.hours:g}", "--heartbeat", f"{target.heartbeat_seconds:g}"),
        *("--restarts", str(target.restarts), "--grace", f"{target.grace_seconds + MARGIN:g}"),
    ]
    return f'{shlex.join(watch)} --node "{node}" -- {training}'


def _check_tracked(recipe: Recipe, words: Sequence[Word]) -> None:
    """Raise UserError for a recipe or an experiment that no commit could bring along."""
    experiments = [Path(word.raw) for word in words if word.key in EXPERIMENTS]
    for path in (Path(inspect.getfile(recipe.function)), *(path for path in experiments if path.is_file())):
        if not tracked(path):
            raise UserError(f"{path}: in no commit, so it would be missing there; git add and commit it first")


def _of_target(target: Target, typed: set[str]) -> list[str]:
    """The words that a target adds to those that were typed."""
    given = {"system.grace_seconds": f"{target.grace_seconds:g}"}
    if target.data_dir:
        given["system.data_dir"] = target.data_dir
    return [f"{key}={value}" for key, value in given.items() if key not in typed]
