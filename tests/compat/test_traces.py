"""Missions built in Python as for cogames and edited by hand, step for step as the original played them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.compat.traces import build_as, recorded_mission
from metta.game.traces import Replay, load_trace
from tests.compat.edited import get_config
from tests.compat.trace_recorder import record

ROOT = Path(__file__).parents[2]
TRACE = ROOT / "tests/fixtures/compat/edited.npz"
MISSION = Path(__file__).with_name("edited.py")


def check_traces(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/check_traces.py", *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )


def test_an_edited_mission_plays_step_for_step_as_the_original_did():
    """160 recorded steps: gear, hearts, mining, junctions, moves and vibes in one step, the end."""
    done = check_traces("--mission", MISSION, TRACE)
    said, summary = done.stdout.splitlines()
    assert said.startswith("ok edited: 160 steps equal") and summary == "1 of 1 traces equal"
    assert done.returncode == 0, done.stderr
    trace = load_trace(TRACE)
    both = (trace.arrays["actions"] > 0) & (trace.arrays["vibes"] > 0)
    assert both.any() and trace.arrays["terminals"][-1].all()
    assert (trace.arrays["hub_hearts"][0], trace.arrays["hub_hearts"][-1]) == (9, 1)


def test_a_trace_that_holds_its_tree_needs_no_other_mission():
    """The tree is the one that the original made of the same Python."""
    assert Replay(load_trace(TRACE), build=recorded_mission).run() is None


def test_an_edit_that_was_not_made_is_found(tmp_path: Path):
    config = get_config()
    config.game.actions.move.consumed_resources = {"energy": 3}
    (tmp_path / "dearer.json").write_text(json.dumps(config.model_dump(mode="json")))
    difference = Replay(load_trace(TRACE), build=build_as(str(tmp_path / "dearer.json"))).run()
    assert str(difference) == "step 21, agent 1, inventory of energy: expected 19, got 18"


def test_a_mission_that_there_is_not_is_one_line():
    done = check_traces("--mission", "cogsguard_arna.basic", TRACE)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and not done.stdout
    assert line.startswith("error: mission cogsguard_arna.basic: Could not find") and "cogsguard_arena" in line


Change = Callable[[dict[str, Any], dict[str, np.ndarray]], Any]
UNFIT: dict[str, tuple[Change, str]] = {
    "a tree of another kind": (lambda meta, arrays: meta.update(tree=[1]), "tree"),
    "a field that there is not": (lambda meta, arrays: meta["tree"].update(run="x"), "tree.run"),
    "code in place of a builder": (
        lambda meta, arrays: meta["tree"]["game"]["map_builder"].update(type="os.system"), "map_builder",
    ),
    "another window": (lambda meta, arrays: meta["tree"]["game"]["obs"].update(num_tokens=24), "200 tokens only"),
    "a rule that is not played": (
        lambda meta, arrays: meta["tree"]["game"]["actions"]["attack"].update(enabled=True), "attack.enabled=True",
    ),
    "fewer agents": (lambda meta, arrays: meta["tree"]["game"].update(num_agents=2), "3 agents, its mission has 2"),
    "an action that there is not": (lambda meta, arrays: meta["actions"].append("jump"), "KeyError('jump')"),
    "a step too few": (lambda meta, arrays: arrays.update(rewards=arrays["rewards"][1:]), "rewards of shape (159, 3)"),
    "an action of no number": (lambda meta, arrays: arrays.update(actions=arrays["actions"] * 0 + 99), "index 99"),
}  # fmt: skip


def test_what_does_not_fit_is_named_and_the_next_trace_is_read(tmp_path: Path):
    trace = load_trace(TRACE)
    files = []
    for name, (change, _) in UNFIT.items():
        meta, arrays = json.loads(json.dumps(trace.meta)), dict(trace.arrays)
        change(meta, arrays)
        files.append(tmp_path / f"{name}.npz")
        np.savez(files[-1], **arrays, meta=np.array(json.dumps(meta)))
    done = check_traces(*files, TRACE)
    *lines, last, summary = done.stdout.splitlines()
    for line, (name, (_, words)) in zip(lines, UNFIT.items(), strict=True):
        assert line.startswith(f"ERROR {tmp_path / name}.npz: ") and words in line, (name, line)
    assert last.startswith("ok edited") and summary == f"1 of {len(files) + 1} traces equal", done.stderr
    assert done.returncode == 1


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two traces hold the same; statistics of nothing may be left out."""
    assert set(one) == set(other)
    for name in set(one) - {"meta"}:
        np.testing.assert_array_equal(one[name], other[name], name)
    said, told = (json.loads(str(trace["meta"])) for trace in (one, other))
    (counted, counts) = (meta.pop("episode_stats") for meta in (said, told))
    assert said == told
    for agent, stats in enumerate(counted["agent"]):
        assert {name: value for name, value in counts["agent"][agent].items() if name in stats} == {
            name: value for name, value in stats.items() if value
        }


def test_what_records_the_original_records_the_same_over_our_names():
    recorded = dict(np.load(TRACE))
    same(recorded, record(get_config(), recorded))


@pytest.mark.soak
def test_the_trace_is_the_originals(original: str, tmp_path: Path):
    recorder = Path(__file__).with_name("trace_recorder.py")
    subprocess.run([original, "-I", recorder, TRACE, tmp_path / "anew.npz"], check=True, capture_output=True)
    again = dict(np.load(tmp_path / "anew.npz"))
    for name, array in np.load(TRACE).items():
        np.testing.assert_array_equal(again[name], array, name)
