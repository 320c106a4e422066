"""Recording one epoch of a run, and a page that says where its time and memory went."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from metta.common.files import write_atomic
from metta.common.logging import note, warn
from metta.policy.ranges import recording
from metta.rl.run.metrics import Metrics
from metta.rl.run.timing import GRAPHS, PHASES
from metta.rl.run.trace import DIRECTIONS, EPOCH, TraceSummary, read_trace, summarise

FOLDER, TRACE, SUMMARY = "profile", "trace.json.gz", "summary.txt"
RECORDED = 2  # epoch since the run was started; the first one warms up
MOST_OPERATIONS, WIDEST_NAME = 20, 72


class EpochProfile:
    """Records the second epoch that a run trains since its start."""

    def __init__(self, run: Path, device: torch.device) -> None:
        self.folder, self._device = run / FOLDER, device
        self._begun = 0  # epochs
        self._recorded: tuple[profile, int] | None = None  # and the peak of memory, bytes

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """An epoch is trained within it."""
        self._begun += 1
        if self._begun != RECORDED:
            yield
            return
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it says on standard error that it begins and ends
        on_device = self._device.type == "cuda"
        if on_device:
            torch.cuda.reset_peak_memory_stats(self._device)
        activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_device]
        with recording(), profile(activities=activities) as recorded, record_function(EPOCH):
            yield
            if on_device:
                torch.cuda.synchronize(self._device)
        peak = torch.cuda.max_memory_allocated(self._device) if on_device else _peak_of_process()
        self._recorded = recorded, peak

    def write(self, title: str, metrics: Metrics) -> None:
        """Write what has been recorded, if anything has since the last call. `metrics` are those of the epoch."""
        if self._recorded is None:
            return
        (recorded, peak), self._recorded = self._recorded, None
        try:
            self.folder.mkdir(exist_ok=True)
            recorded.export_chrome_trace(str(self.folder / TRACE))
            summary = summarise(read_trace(self.folder / TRACE))
            write_atomic(self.folder / SUMMARY, page(title, summary, metrics, peak))
        except OSError as error:
            warn(f"could not write {self.folder}: {error.strerror}; going on")
            return
        note(f"profile: {self.folder / SUMMARY}; {TRACE} beside it opens in ui.perfetto.dev")

    def close(self) -> None:
        """Say so if the run has ended before there was anything to record."""
        if self._begun < RECORDED:
            warn(f"profile: nothing recorded, that is epoch {RECORDED} since the start and there were {self._begun}")


def page(title: str, summary: TraceSummary, metrics: Metrics, peak: int) -> str:
    """The summary as text: phases, components, operations, gaps, memory."""
    whole, where = summary.milliseconds, "device" if summary.on_device else "processor"
    phases = {name: metrics.get(f"timing_per_epoch/msec/{name}", 0.0) for name in (*PHASES, *GRAPHS, "other")}
    lines = [
        f"{title}: {whole:,.1f} ms; recording slows it down",
        "",
        *_table("phase", ["ms", "of the epoch"], {name: [part, part / whole] for name, part in phases.items() if part}),
        "",
        *_table(
            f"component: ms of the {where}",
            [*DIRECTIONS, "of the epoch"],
            {name: [*times.values(), sum(times.values()) / whole] for name, times in summary.components.items()},
        ),
        "",
        *_table(
            f"operation: ms of the {where} without what it calls, the longest {MOST_OPERATIONS}",
            ["calls", "ms", "of the epoch"],
            {
                op.name: [op.calls, op.milliseconds, op.milliseconds / whole]
                for op in summary.operations[:MOST_OPERATIONS]
            },
        ),
        "",
        f"gaps, when the {where} did nothing: {summary.idle:,.1f} ms, {summary.idle / whole:.1%} of the epoch",
        f"peak of memory of the {'device' if summary.on_device else 'process'}: {peak / 1e6:,.0f} MB",
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, columns: list[str], rows: dict[str, list[float]]) -> list[str]:
    """Rows of numbers; the last is a share, whole ones are counts, others milliseconds."""

    def line(name: str, cells: list[str]) -> str:
        return f"{name[:WIDEST_NAME]:<{WIDEST_NAME}}" + "".join(f"{cell:>13}" for cell in cells)

    def cell(number: float) -> str:
        return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"

    lines = [line(name, [*map(cell, numbers), f"{share:.1%}"]) for name, (*numbers, share) in rows.items()]
    return [line(title, columns), *(lines or ["none"])]


def _peak_of_process() -> int:
    """Bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
