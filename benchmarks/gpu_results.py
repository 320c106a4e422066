"""What benchmarks/gpu.sh left in a folder, read as if strangers had written it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from metta.common.errors import UserError, printable
from metta.common.jsonl import read_rows
from metta.common.logging import warn
from metta.common.settings import MOST, first_problem

RESULTS = "results.jsonl"
LARGEST = 64 << 20  # bytes of a file that is read
LONGEST = 300  # characters of a text that is shown
STAGES = ("facts", "tests", "traces", "env", "train", "clone")


def plain(text: str) -> str:
    """Text as it may stand in a cell of a table: one short line without marks of Markdown."""
    line = printable(text).translate(str.maketrans({"|": "/", "`": "'", "<": "‹", ">": "›"})).strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


Stage = Literal["facts", "tests", "traces", "env", "train", "clone"]
Text = Annotated[str, AfterValidator(plain)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Amount = Annotated[float, Field(ge=-1e15, le=1e15)]


class Row(BaseModel):
    """A line of the results. What it has besides is not read."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class Book(Row):
    """The run itself: seconds that it had, and whether it was a rehearsal without a device."""

    budget: Count
    rehearsal: bool


class Step(Row):
    """A command of a stage: how it ended, seconds that it took and might have taken, lines of the log at its end."""

    stage: Stage
    step: Text
    ended: Literal["done", "failed", "out of time", "not run"]
    code: Count
    seconds: Count
    limit: int
    line: Count

    @property
    def as_planned(self) -> bool:
        """Done; or the clone, which ends when its time does."""
        return self.ended == "done" or (self.step == "clone" and self.ended == "out of time")


class Facts(Row):
    gpu: Text | None
    gpu_memory_mib: Count | None
    driver: Text | None
    cuda: Text | None
    capability: Text | None
    numba_sees_it: bool = False
    cpu: Text
    cores: Count
    memory_gib: Count
    python: Text
    versions: dict[Text, Text | None]
    missing: list[Text]


class Tests(Row):
    passed: Count
    failed: Count
    skipped: Count
    failures: list[Text]


class Traces(Row):
    backend: Text
    traces: Count
    equal: Count
    steps_equal: Count


class Rate(Row):
    """Agent-steps per second: median, lowest and highest."""

    agent_steps_per_second: Count
    lowest: Count
    highest: Count
    mission: Text
    agents: Count
    envs: Count
    backend: Text


class Env(Rate):
    tokens_per_agent: Amount
    bytes_per_env: Count


class Share(Row):
    """Parts of an epoch's time."""

    env: Amount
    inference: Amount
    learning: Amount


class Train(Rate):
    policy: Text
    precision: Text
    device: Text
    batch: Count
    minibatch: Count
    epochs: Count
    parameters: Count
    trained_flops_per_agent_step: Count
    trained_flops_per_second: Count
    share: Share
    gpu_memory_gb: Amount | None = None


class Point(Row):
    """An epoch of the clone; what its metrics lacked is None."""

    agent_step: Count | None = None
    seconds: Amount | None = None
    reward: Amount | None = None
    hearts: Amount | None = None
    agreement: Amount | None = None
    agreement_teacher_led: Amount | None = None
    agreement_student_led: Amount | None = None
    agent_steps_per_second: Amount | None = None


class Clone(Row):
    words: list[Text]
    points: Annotated[list[Point], Field(min_length=1)]


class Results(BaseModel):
    """All of a folder. What was not measured, or could not be read, is None or not in its list."""

    book: Book | None = None
    facts: Facts | None = None
    tests: Tests | None = None
    traces: Traces | None = None
    env: list[Env] = []
    train: list[Train] = []
    clone: Clone | None = None
    steps: list[Step] = []
    last_lines: dict[str, str] = {}  # of the logs, by `stage/step`, of steps that did not end as planned

    @property
    def missing(self) -> list[str]:
        """Stages without any figure."""
        return [stage for stage in STAGES if not getattr(self, stage)]

    def unplanned(self, stage: str | None = None) -> Iterator[Step]:
        """Steps, of one stage or all, that did not end as planned."""
        return (step for step in self.steps if not step.as_planned and stage in (None, step.stage))


# By the key `benchmark` of a line: where its row belongs, and what it is. A line without that key is a Step.
PLACES: dict[object, tuple[str, type[Row]]] = {
    None: ("steps", Step),
    "gpu_book": ("book", Book),
    "gpu_facts": ("facts", Facts),
    "gpu_tests": ("tests", Tests),
    "check_traces": ("traces", Traces),
    "env_throughput": ("env", Env),
    "train_throughput": ("train", Train),
    "gpu_clone": ("clone", Clone),
}


def read_results(folder: Path) -> Results:
    """The results of a folder. A damaged line is left out, which a warning says. Raises UserError where there are
    none."""
    path = folder / RESULTS
    if not path.is_file():
        raise UserError(f"{folder}: no {RESULTS} of benchmarks/gpu.sh there")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path}: larger than {LARGEST >> 20} MiB, so nothing that benchmarks/gpu.sh wrote")
    results = Results()
    try:
        for data in read_rows(path):
            _add(results, data, path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    for step in results.unplanned():
        results.last_lines[f"{step.stage}/{step.step}"] = _last_line(folder / f"{step.stage}.log", step.line)
    return results


def _add(results: Results, data: dict[str, Any], path: Path) -> None:
    kind = data.get("benchmark")
    if not isinstance(kind, str | None) or kind not in PLACES:
        warn(f"{path}: a line of no known kind is left out")
        return
    place, model = PLACES[kind]
    try:
        row = model.model_validate(data)
    except ValidationError as error:
        warn(f"{path}: a line of {place} is left out: {first_problem(model, error, '')}")
        return
    rows = getattr(results, place)
    if isinstance(rows, list):
        rows.append(row)
    else:
        setattr(results, place, row)


def _last_line(log: Path, line: int) -> str:
    """The last line that says something among the first `line` of a log; '' where there is none. Headings of steps,
    `== NAME`, say nothing."""
    try:
        if not log.is_file() or log.stat().st_size > LARGEST:
            return ""
        said = log.read_bytes().decode(errors="replace").split("\n")[:line]
    except OSError:
        return ""
    return next((shown for text in reversed(said) if (shown := plain(text)) and not shown.startswith("== ")), "")
