"""The engine plays recorded episodes of the original exactly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.game.traces import Replay, check_trace, load_trace

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "game" / "traces"
OWN = ROOT / "tests" / "fixtures" / "traces"
TRACES = sorted((SHARED if SHARED.is_dir() else OWN).glob("*.npz"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_every_array_equals_the_recording(path: Path):
    steps, difference = check_trace(path)
    assert difference is None, str(difference)
    assert steps > 0


def altered(name: str, array: str, index: tuple[int, ...], value: int) -> Replay:
    """A replay of a trace in which one number was changed."""
    trace = load_trace(OWN / f"{name}.npz")
    trace.arrays[array] = trace.arrays[array].copy()
    trace.arrays[array][index] = value
    return Replay(trace)


@pytest.mark.parametrize(
    ("array", "index", "value", "words"),
    [
        ("inv", (7, 2, 0), 77, "step 7, agent 2, inventory of energy: expected 77"),
        ("obs", (5, 1, 12, 2), 99, "step 5, agent 1, window cell (5, 5): expected"),
        ("obs", (5, 1, 0, 2), 99, "step 5, agent 1, global tokens: expected episode_completion_pct=99"),
        ("rewards", (8, 3), 2, "step 9, agent 3, reward: expected 2"),
        ("success", (3, 0), 0, "step 4, agent 0, success of"),
        ("hub_hearts", (2, 0), 200, "step 2, hub 0, hearts: expected 200"),
        ("collective", (2, 1), 9, "step 2, team inventory of carbon: expected 9"),
        ("pos", (1, 1, 0), 3, "step 1, agent 1, position: expected (3,"),
        ("vibe", (4, 0), 6, "step 4, agent 0, vibe: expected 6"),
        ("owner", (6, 0), 0, "step 6, junction at"),
    ],
)
def test_a_changed_number_is_found_and_named(array: str, index: tuple[int, ...], value: int, words: str):
    assert str(altered("arena_tiny_limits", array, index, value).run()).startswith(words)


def test_a_changed_statistic_is_found():
    trace = load_trace(OWN / "arena_no_weather.npz")
    trace.meta["episode_stats"]["agent"][1]["cell.visited"] += 1
    assert "agent 1, statistic cell.visited" in str(Replay(trace).run())


def test_the_tool_names_each_file_and_fails_when_one_differs(tmp_path: Path):
    good = OWN / "arena_no_weather.npz"
    with np.load(good, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["rewards"] = arrays["rewards"] + np.float32(0.5)
    np.savez(tmp_path / "bad.npz", **arrays)
    (tmp_path / "broken.npz").write_bytes(good.read_bytes()[:1000])
    files = [str(good), str(tmp_path / "bad.npz"), str(tmp_path / "broken.npz")]
    done = subprocess.run([sys.executable, "tools/check_traces.py", *files], cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].startswith("ok arena_no_weather")
    assert lines[1].startswith("DIFFERS bad: step 1, agent 0, reward")
    assert lines[2].startswith("ERROR") and "not a readable trace" in lines[2]
    assert lines[3] == "1 of 3 traces equal"


def test_a_pickle_in_a_trace_is_refused(tmp_path: Path):
    np.savez(tmp_path / "evil.npz", meta=np.array([object()], dtype=object))
    with pytest.raises(UserError, match=r"it lacks|not a readable trace"):
        load_trace(tmp_path / "evil.npz")
