"""A folder of replays is told in a line each."""

import os
from pathlib import Path

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.common.files import partial
from metta.eval.replay.file import read_replay
from metta.eval.replay.listing import list_replays, mean_score
from tests.eval.replay.conftest import STEPS, Recorded, record


def test_the_score_is_the_mean_return_of_the_agents(recorded: Recorded, replay_file: Path):
    returns = np.sum(recorded.rewards, axis=0)
    assert returns.any()
    assert mean_score(read_replay(replay_file)) == pytest.approx(returns.mean(), abs=1e-5)


def test_each_gets_a_line_and_the_newest_comes_first(recorded: Recorded, tmp_path: Path):
    for age, name in enumerate(["b.replay", "a.replay", "without_suffix"]):
        recorded.recording.save(tmp_path / name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    head, *lines = list_replays(tmp_path)
    score = f"{mean_score(read_replay(tmp_path / 'b.replay')):.3f}"
    assert head.split() == ["file", "mission", "policy", "steps", "score", "date"]
    assert [line.split()[0] for line in lines] == ["b.replay", "a.replay", "without_suffix"]
    first = lines[0].split()
    assert first[1:3] == ["cogsguard_arena.basic", "cogsguard?gear=10"]
    assert first[3:6] == [str(STEPS), "of", str(STEPS)] and first[6] == score and first[7] == "2001-09-09"


def test_a_cut_one_and_a_damaged_one_say_so_and_other_files_are_passed_over(recorded: Recorded, tmp_path: Path):
    recorded.recording.save(tmp_path / "whole.replay")
    (tmp_path / "damaged.replay").write_bytes((tmp_path / "whole.replay").read_bytes()[:-9])
    left = record("random", steps=3).recording
    left.header.max_steps = 9
    left.grow(tmp_path / "cut.replay")
    left.close()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder.replay").mkdir()
    recorded.recording.save(partial(tmp_path / "half.replay"))
    lines = {line.split()[0]: line for line in list_replays(tmp_path)[1:]}
    assert set(lines) == {"whole.replay", "damaged.replay", "cut.replay"}
    assert "3 of 9 (cut)" in lines["cut.replay"] and "(cut)" not in lines["whole.replay"]
    assert "damaged replay: a chunk is cut off" in lines["damaged.replay"]


def test_a_folder_without_any_costs_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"^.*: no replays in this folder$"):
        list_replays(tmp_path)
