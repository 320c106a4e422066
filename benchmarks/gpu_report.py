#!/usr/bin/env python3
"""Tables, in Markdown, of what benchmarks/gpu.sh measured. What was not measured is said to be missing."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.gpu_results import Clone, Env, Facts, Point, Rate, Results, Step, Train, read_results
from metta.common.commands import Parser, guarded

POINTS = 12  # of the curve
TITLES = {"tests": "Tests", "traces": "Recorded episodes", "env": "Environments", "train": "Training",
          "clone": "Cloning"}  # fmt: skip


def hardware(facts: Facts) -> str:
    """The line that stands above measurements."""
    if facts.gpu:
        memory = f"{facts.gpu_memory_mib:,} MiB" if facts.gpu_memory_mib else "memory unknown"
        gpu = f"{facts.gpu} ({memory}, driver {facts.driver or 'unknown'})"
        gpu += "" if facts.numba_sees_it else ", which numba does not see"
    else:
        gpu = "no CUDA device was found"
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in facts.versions.items())
    cuda = f" (torch's CUDA {facts.cuda})" if facts.cuda else " (torch without CUDA)"
    lacking = f" Packages missing: {', '.join(facts.missing)}." if facts.missing else ""
    machine = f"{facts.cores} cores of {facts.cpu}, {facts.memory_gib} GiB"
    return f"{gpu}; {machine}; Python {facts.python}, {versions}{cuda}.{lacking}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def number(value: float | None, form: str = ",") -> str:
    """A number, or a dash for one that is missing."""
    return "–" if value is None else format(value, form)


def spread(rate: Rate) -> str:
    """Median, lowest and highest agent-steps per second."""
    return f"{rate.agent_steps_per_second:,} ({rate.lowest:,}–{rate.highest:,})"


def of_env(rows: list[Env]) -> list[str]:
    head = (
        "mission",
        "agents",
        "environments",
        "engine on",
        "agent-steps/s",
        "tokens per observation",
        "KiB of state each",
    )
    return table(
        head,
        (
            (
                *(row.mission, str(row.agents), f"{row.envs:,}", row.backend, spread(row)),
                *(number(row.tokens_per_agent, ".1f"), number(row.bytes_per_env / 1024, ",.0f")),
            )
            for row in rows
        ),
    )


def of_training(rows: list[Train]) -> list[str]:
    head = (
        *("policy", "parameters", "in", "on", "batch", "minibatch", "agent-steps/s", "epochs"),
        *("environment", "inference", "learning", "trained TFLOP/s", "memory, GB"),
    )
    return table(
        head,
        (
            (
                *(row.policy, f"{row.parameters:,}", row.precision, row.device, f"{row.batch:,}", f"{row.minibatch:,}"),
                *(spread(row), str(row.epochs)),
                *(f"{100 * share:.1f} %" for share in (row.share.env, row.share.inference, row.share.learning)),
                *(number(row.trained_flops_per_second / 1e12, ".3g"), number(row.gpu_memory_gb, ".1f")),
            )
            for row in rows
        ),
    )


def of_clone(clone: Clone) -> list[str]:
    """The command, and points spread evenly over the curve."""
    most = min(POINTS, len(clone.points))
    chosen = [clone.points[round(part * (len(clone.points) - 1) / max(1, most - 1))] for part in range(most)]
    head = (
        "agent-steps",
        "training, s",
        "reward",
        "hearts gained",
        "agreement",
        "led by the teacher",
        "by itself",
        "agent-steps/s",
    )
    return [f"`{' '.join(clone.words)}`", "", *table(head, map(_cells, chosen))]


def _cells(point: Point) -> list[str]:
    shares = (point.agreement, point.agreement_teacher_led, point.agreement_student_led)
    return [
        *(number(point.agent_step), number(point.seconds, ",.1f")),
        *(number(point.reward, ".3f"), number(point.hearts, ".3f")),
        *(number(share, ".3f") for share in shares),
        number(point.agent_steps_per_second, ",.0f"),
    ]


def of_step(step: Step, results: Results) -> str:
    """What went wrong, with what its log said last."""
    said = results.last_lines.get(f"{step.stage}/{step.step}") or "its log says nothing"
    how = {
        "failed": f"failed with exit code {step.code} after {step.seconds} s",
        "out of time": f"stopped after its {step.limit} s",
    }.get(step.ended, "not run, no time was left")
    return f"{step.stage}, {step.step}: {how}" + (f": `{said}`" if step.ended != "not run" else "")


def report(results: Results) -> str:
    """The page."""
    facts, tests, traces = results.facts, results.tests, results.traces
    lines = ["## On a GPU", "", f"Machine: {hardware(facts)}" if facts else "Machine: unknown, the facts are missing."]
    if not results.book:
        lines += ["", "The first line of the results is missing: whether this was a rehearsal is not known."]
    elif results.book.rehearsal:
        lines += ["", "**A rehearsal with tiny sizes on the processor: no figure here is of a device.**"]
    bodies = {
        "tests": [f"{tests.passed} passed, {tests.failed} failed, {tests.skipped} skipped."] if tests else [],
        "traces": [f"{traces.equal} of {traces.traces} equal on {traces.backend}, {traces.steps_equal:,} steps."]
        if traces
        else [],
        "env": of_env(results.env) if results.env else [],
        "train": of_training(results.train) if results.train else [],
        "clone": of_clone(results.clone) if results.clone else [],
    }
    if tests:
        bodies["tests"] += [f"* failed: `{name}`" for name in tests.failures]
    for stage, title in TITLES.items():
        lines += ["", f"### {title}", "", *(bodies[stage] or ["Nothing was measured: no result of this stage."])]
    wrong = [of_step(step, results) for step in results.unplanned()]
    begun = {step.stage for step in results.steps}
    wrong += [f"{stage}: never ended, the run was cut off" for stage in ("facts", *TITLES) if stage not in begun]
    lines += ["", "### What did not end as planned", "", *([f"* {line}" for line in wrong] or ["Nothing."])]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what benchmarks/gpu.sh wrote: $OUT, or gpu-results")
    parser.add_argument("--json", action="store_true", help="print the same as one line of JSON")

    def run() -> int:
        args = parser.parse_args(argv)
        results = read_results(args.folder)
        if args.json:
            print(results.model_dump_json())
        else:
            print(report(results))
        return 0

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main())
