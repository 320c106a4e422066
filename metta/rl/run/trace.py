"""What the trace of an epoch shows: time by component and by operation, and when nothing worked.

Reads what torch.profiler writes (Chrome's trace format): events on threads, with start and duration in microseconds.
Work on a device has the `correlation` of the call that launched it, an operation of the backward pass the sequence
number of the forward one that it belongs to.
"""

import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metta.policy.ranges import COMPONENT, PHASE

EPOCH = "epoch"  # range of the whole
DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
LAUNCHES = ("cuda_runtime", "cuda_driver")
BACKWARD = "autograd::engine::evaluate_function: "
DIRECTIONS = ("inference", "forward", "backward")
# Phases of which torch does not see the work on the processor.
UNSEEN = tuple(PHASE + name for name in ("env", "teacher", "npc", "advantage"))

Event = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """All calls of an operation; their time without that of operations within it."""

    name: str
    calls: int
    milliseconds: float


@dataclass(frozen=True)
class TraceSummary:
    """Where the time of an epoch went, in milliseconds."""

    milliseconds: float  # of the epoch, from outside
    on_device: bool  # whose work the rest tells of: that of the device, or if nothing ran there, of the processor
    components: dict[str, dict[str, float]]  # by name and direction
    operations: list[Operation]  # the longest first
    idle: float  # in which nothing worked


def read_trace(path: Path) -> list[Event]:
    """The events of a trace that have a duration."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [event for event in json.load(file)["traceEvents"] if event.get("ph") == "X"]


def summarise(events: Iterable[Event]) -> TraceSummary:
    """Where the time went of the epoch that a trace holds."""
    kinds: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        kinds[event.get("cat", "")].append(event)
    device = [event for kind in DEVICE for event in kinds[kind]]
    ops, ranges = kinds["cpu_op"], kinds["user_annotation"]
    launches = {_argument(event, "correlation"): event for kind in LAUNCHES for event in kinds[kind]}
    epoch = next(event for event in ranges if event["name"] == EPOCH)
    spans = _component_spans(ranges, ops)
    return TraceSummary(
        milliseconds=epoch["dur"] / 1000,
        on_device=bool(device),
        components=_device_times(spans, device, launches) if device else _host_times(spans),
        operations=_operations(device, [event["dur"] for event in device]) if device else _operations(*_own_times(ops)),
        idle=_idle(device or [*ops, *(event for event in ranges if event["name"] in UNSEEN)], epoch),
    )


@dataclass(frozen=True)
class Span:
    """A time in which a thread works for a component, or launches its work."""

    event: Event
    component: str
    direction: str


class Timeline:
    """Events that do not overlap on their threads."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events: dict[Any, list[Event]] = defaultdict(list)
        for event in sorted(events, key=_start):
            self._events[event["tid"]].append(event)
        self._starts = {thread: [_start(event) for event in found] for thread, found in self._events.items()}

    def around(self, event: Event) -> Event | None:
        """The event in which another starts, if there is one."""
        at = bisect_right(self._starts.get(event["tid"], []), event["ts"]) - 1
        found = self._events[event["tid"]][at] if at >= 0 else None
        return found if found and event["ts"] < found["ts"] + found["dur"] else None


def _component_spans(ranges: list[Event], ops: list[Event]) -> list[Span]:
    """Where components work: in their own ranges, and in the backward passes of the operations within these."""
    parts = [event for event in ranges if event["name"].startswith(COMPONENT)]
    phases, components = Timeline(event for event in ranges if event["name"].startswith(PHASE)), Timeline(parts)
    spans, owners = [], {}
    for event in parts:
        phase = phases.around(event)
        inference = phase is not None and phase["name"] == f"{PHASE}inference"
        name = event["name"].removeprefix(COMPONENT)
        spans.append(Span(event, name, "inference" if inference else "forward"))
    for event in sorted(ops, key=_start):
        number = _argument(event, "Sequence number")
        if number is None:
            continue
        if not _argument(event, "Fwd thread id"):  # of those with a number the last has made the backward operation
            owner = components.around(event)
            owners[number] = owner["name"].removeprefix(COMPONENT) if owner else None
        elif event["name"].startswith(BACKWARD) and (name := owners.get(number)):
            spans.append(Span(event, name, "backward"))
    return spans


def _host_times(spans: list[Span]) -> dict[str, dict[str, float]]:
    times: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(DIRECTIONS, 0.0))
    for span in spans:
        times[span.component][span.direction] += span.event["dur"] / 1000
    return dict(times)


def _device_times(spans: list[Span], device: list[Event], launches: dict[Any, Event]) -> dict[str, dict[str, float]]:
    """What was launched from the spans."""
    times: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(DIRECTIONS, 0.0))
    timeline, by_event = Timeline(span.event for span in spans), {id(span.event): span for span in spans}
    for event in device:
        launch = launches.get(_argument(event, "correlation"))
        if launch and (around := timeline.around(launch)):
            span = by_event[id(around)]
            times[span.component][span.direction] += event["dur"] / 1000
    return dict(times)


def _own_times(ops: list[Event]) -> tuple[list[Event], list[float]]:
    """Operations and their time without that of operations within them."""
    ordered = sorted(ops, key=lambda event: (str(event["tid"]), event["ts"], -event["dur"]))
    own, open_calls = [event["dur"] for event in ordered], []
    for index, event in enumerate(ordered):
        while open_calls and not _holds(ordered[open_calls[-1]], event):
            open_calls.pop()
        if open_calls:
            own[open_calls[-1]] -= event["dur"]
        open_calls.append(index)
    return ordered, own


def _holds(outer: Event, inner: Event) -> bool:
    return outer["tid"] == inner["tid"] and inner["ts"] < outer["ts"] + outer["dur"]


def _operations(events: list[Event], times: list[float]) -> list[Operation]:
    calls: dict[str, int] = defaultdict(int)
    totals: dict[str, float] = defaultdict(float)
    for event, time in zip(events, times, strict=True):
        calls[event["name"]] += 1
        totals[event["name"]] += time / 1000
    return [Operation(name, calls[name], totals[name]) for name in sorted(totals, key=lambda name: -totals[name])]


def _idle(working: list[Event], epoch: Event) -> float:
    """Milliseconds of the epoch that none of the events covers."""
    begin, end = epoch["ts"], epoch["ts"] + epoch["dur"]
    times = np.array([(event["ts"], event["ts"] + event["dur"]) for event in working]).reshape(-1, 2)
    starts, ends = times[times[:, 0].argsort()].clip(begin, end).T
    reached = np.maximum.accumulate(np.concatenate([[begin], ends]))
    covered = np.maximum(ends - np.maximum(starts, reached[:-1]), 0).sum()
    return float(end - begin - covered) / 1000


def _start(event: Event) -> float:
    return event["ts"]


def _argument(event: Event, name: str) -> Any:
    return event.get("args", {}).get(name)
