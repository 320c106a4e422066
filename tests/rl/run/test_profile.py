"""The profile of an epoch: what it records, what the page says, and that the run goes on as without it."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metta.policy.ranges import component, named
from metta.policy.stored.uri import find_bundle
from metta.rl.learning.precision import FLOAT32
from metta.rl.run.profile import EpochProfile, page
from metta.rl.run.timing import PHASES, Stopwatch
from metta.rl.run.trace import read_trace, summarise
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.rl.learning.batches import CPU, random_experience, settings_of, small_net, updater_of

Config = Callable[..., RunConfig]
ROOT = Path(__file__).parents[3]
METRICS = {f"timing_per_epoch/msec/{name}": 1.0 for name in (*PHASES, "other")}


def event(kind: str, name: str, start: float, length: float, thread: int = 1, **arguments: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": kind, "name": name, "ts": start, "dur": length, "tid": thread, "args": arguments}


def op(name: str, start: float, length: float, number: int | None = None, thread: int = 1, back: bool = False) -> dict:
    known = {} if number is None else {"Sequence number": number, "Fwd thread id": int(back)}
    return event("cpu_op", name, start, length, thread, **known)


BACK = "autograd::engine::evaluate_function: "
ON_HOST = [  # microseconds
    event("user_annotation", "epoch", 1000, 1000),
    event("user_annotation", "phase/env", 1000, 100),
    event("user_annotation", "phase/inference", 1100, 100),
    event("user_annotation", "component/core", 1110, 50),
    op("aten::mm", 1120, 30),
    event("user_annotation", "phase/forward", 1300, 200),
    event("user_annotation", "component/encoder", 1310, 40),
    op("aten::linear", 1320, 30, number=7),
    op("aten::addmm", 1325, 20, number=7),
    event("user_annotation", "component/core", 1360, 100),
    op("aten::detach", 1370, 10, number=8),
    op("aten::tanh", 1390, 40, number=8),
    op("aten::mul", 1470, 10, number=9),  # of a loss
    op(f"{BACK}MulBackward0", 1600, 10, number=9, thread=2, back=True),
    op(f"{BACK}TanhBackward0", 1620, 60, number=8, thread=2, back=True),
    op("TanhBackward0", 1625, 50, number=8, thread=2, back=True),
    op(f"{BACK}AddmmBackward0", 1700, 80, number=7, thread=2, back=True),
]


def test_times_of_components_are_those_of_their_ranges_and_of_their_backward_operations() -> None:
    summary = summarise(ON_HOST)
    assert (summary.milliseconds, summary.on_device) == (1.0, False)
    assert summary.components == {
        "core": {"inference": 0.05, "forward": 0.1, "backward": 0.06},
        "encoder": {"inference": 0.0, "forward": 0.04, "backward": 0.08},
    }


def test_operations_are_told_without_what_they_call_and_gaps_are_where_nothing_works() -> None:
    summary = summarise(ON_HOST)
    times = {found.name: (found.calls, round(found.milliseconds, 6)) for found in summary.operations}
    assert times["aten::linear"] == (1, 0.01) and times["aten::addmm"] == (1, 0.02)
    assert times[f"{BACK}TanhBackward0"] == (1, 0.01)
    assert summary.operations[0].name == f"{BACK}AddmmBackward0"
    worked = 100 + 30 + 30 + 10 + 40 + 10 + 10 + 60 + 80  # env, then operations that are in no other
    assert summary.idle == pytest.approx((1000 - worked) / 1000)


def test_what_a_device_did_counts_where_it_was_launched_whenever_it_came() -> None:
    launches = [(1125, 1), (1395, 1), (1630, 2), (1710, 2), (1950, 1)]
    calls = [
        event("cuda_runtime", "cudaLaunchKernel", at, 2, thread, correlation=number)
        for number, (at, thread) in enumerate(launches)
    ]
    kernels = [
        event("kernel", "gemm", 1200, 100, 99, correlation=0),
        event("kernel", "tanh", 1500, 50, 99, correlation=1),
        event("kernel", "tanh_backward", 1540, 60, 98, correlation=2),
        event("kernel", "gemm", 1700, 200, 99, correlation=3),
        event("gpu_memcpy", "Memcpy DtoH", 1990, 20, 99, correlation=4),  # ends after the epoch
    ]
    summary = summarise([*ON_HOST, *calls, *kernels])
    assert summary.on_device
    assert summary.components == {
        "core": {"inference": 0.1, "forward": 0.05, "backward": 0.06},
        "encoder": {"inference": 0.0, "forward": 0.0, "backward": 0.2},
    }
    assert [(found.name, found.calls) for found in summary.operations[:2]] == [("gemm", 2), ("tanh_backward", 1)]
    assert summary.idle == pytest.approx((1000 - 100 - 100 - 200 - 10) / 1000)


def test_without_a_profile_ranges_are_nothing() -> None:
    assert named("a") is named("b") is component("c")


def test_a_net_of_components_is_told_component_by_component(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    settings = settings_of()
    net = small_net(settings)
    updater, watch = updater_of(net, settings), Stopwatch()
    profile = EpochProfile(tmp_path, CPU)
    for epoch in range(3):
        with profile.epoch():
            with FLOAT32.playing(), watch.phase("inference"):
                net.act(torch.ones(4, 6), net.initial_state(4))
            updater.update(random_experience(net), 0.5, watch, lambda: False)
        profile.write("test", METRICS)
        assert (tmp_path / "profile").exists() == (epoch > 0)
    summary = summarise(read_trace(tmp_path / "profile" / "trace.json.gz"))
    assert set(summary.components) == {"encoder", "core"}
    assert all(part > 0 for times in summary.components.values() for part in times.values())
    assert 0 < summary.idle < summary.milliseconds
    assert sum(found.calls for found in summary.operations if found.name == "aten::_fused_adam_") == 4
    *lines, memory = (tmp_path / "profile" / "summary.txt").read_text().splitlines()
    assert lines == page("test", summary, METRICS, 0).splitlines()[:-1]
    assert re.fullmatch(r"peak of memory of the process: [1-9][\d,]* MB", memory)
    assert capsys.readouterr().out.count("summary.txt") == 1


def test_a_run_that_is_profiled_learns_bit_by_bit_what_another_does(config: Config, tmp_path: Path) -> None:
    for run in ("plain", "profiled"):
        train(config(run=run, profile=run == "profiled"))
    one, other = (find_bundle(str(tmp_path / run)).weights for run in ("plain", "profiled"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not (tmp_path / "plain" / "profile").exists()


def test_a_run_without_a_second_epoch_says_that_nothing_was_recorded(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    train(config(profile=True, trainer={"total_timesteps": 512}))
    assert "profile: nothing recorded, that is epoch 2 since the start and there were 1" in capsys.readouterr().err
    assert not (tmp_path / "tiny" / "profile").exists()


def test_a_profile_that_cannot_be_written_costs_a_line(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "profile").write_text("a file in its place")
    assert train(config(profile=True)).finished
    assert "warning: could not write" in capsys.readouterr().err


def test_the_word_profile_of_the_real_command(tmp_path: Path) -> None:
    words = (
        "recipes.experiment.cogsguard.train", "run=seen", "profile=true", "agent=lstm", "mission=aligner_tutorial",
        "mission.max_steps=50", "trainer.batch_size=1024", "trainer.minibatch_size=512", "training_env.map_pool=4",
        "device=cpu", "trainer.total_timesteps=4096", f"system.data_dir={tmp_path}",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "tools/run.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    folder = tmp_path / "seen" / "profile"
    assert f"profile: {folder / 'summary.txt'}" in done.stdout and "4,096 agent-steps" in done.stdout
    with gzip.open(folder / "trace.json.gz", "rt") as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert {"epoch", "phase/env", "phase/inference", "phase/backward", "aten::_fused_adam_"} <= names
    text = (folder / "summary.txt").read_text()
    assert text.startswith("run seen, epoch 2: ") and len(text.splitlines()) < 60
    for part in ("phase ", "component: ", "operation: ", "gaps, ", "peak of memory", "inference ", "backward "):
        assert part in text, part
