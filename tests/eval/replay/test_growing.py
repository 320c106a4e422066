"""A replay file that is written while its episode is played holds every whole step at any moment."""

from pathlib import Path

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.eval.replay.file import CHUNK_STEPS, parse_replay, read_replay
from metta.eval.replay.growing import GrowingFile
from metta.eval.replay.keeping import is_left
from tests.eval.replay.conftest import STEPS, record

SHORT = 2 * CHUNK_STEPS + 1


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an episode of which SHORT of STEPS steps have been played."""
    path = tmp_path_factory.mktemp("grown") / "a.replay"
    recording = record("cogsguard?gear=10", steps=SHORT).recording
    recording.header.max_steps = STEPS
    recording.grow(path)
    recording.close()
    return path


def test_every_step_is_in_the_file_as_soon_as_it_is_played(tmp_path: Path):
    played = record("random", steps=CHUNK_STEPS + 2).recording
    states, deltas = played.states[:1], played.deltas[:1]
    file = GrowingFile(tmp_path / "a.replay", played.header, states, deltas)
    for step in range(1, CHUNK_STEPS + 3):
        if step < len(played.deltas):
            deltas.append(played.deltas[step])
        if step == CHUNK_STEPS:
            states.append(played.states[1])
        file.add()
        assert read_replay(tmp_path / "a.replay").steps == len(deltas) - 1
    file.close()


def test_it_reads_as_the_whole_file_does_but_says_that_it_is_cut(grown: Path):
    replay, whole = read_replay(grown).check(), record("cogsguard?gear=10", steps=SHORT)
    assert replay.is_cut and replay.steps == SHORT
    np.testing.assert_array_equal(replay.state(SHORT), whole.recording.state)
    packed = parse_replay(whole.recording.to_bytes(), "packed").check()
    assert not packed.is_cut
    for step in (0, 1, CHUNK_STEPS - 1, CHUNK_STEPS, SHORT - 1):
        np.testing.assert_array_equal(replay.state(step), packed.state(step))


def test_cut_at_any_byte_it_gives_the_steps_before(grown: Path):
    data, whole = grown.read_bytes(), read_replay(grown)
    first = len(data)
    while parses(data[: first - 1]):  # down to the last length at which there is a step
        first -= 1
    steps = [parse_replay(data[:length], "cut").steps for length in range(first, len(data) + 1)]
    assert steps == sorted(steps) and set(steps) == set(range(SHORT + 1))
    for length in range(first, len(data), 997):
        replay = parse_replay(data[:length], "cut").check()
        assert replay.is_cut
        np.testing.assert_array_equal(replay.state(replay.steps), whole.state(replay.steps))


def parses(data: bytes) -> bool:
    try:
        return bool(parse_replay(data, "cut"))
    except UserError:
        return False


def test_zeros_after_a_power_cut_are_no_steps(grown: Path):
    assert parse_replay(grown.read_bytes() + bytes(5000), "zeros").check().steps == SHORT


def test_damage_in_an_open_chunk_is_refused_in_one_line(grown: Path):
    data = bytearray(grown.read_bytes())
    data[-3:] = b"\xff\xff\xff"
    with pytest.raises(UserError, match=r"^x: damaged replay: [^\n]*$"):
        parse_replay(bytes(data), "x").check()


def test_a_whole_file_takes_the_place_of_the_growing_one(tmp_path: Path):
    recording = record("random", steps=5).recording
    recording.grow(tmp_path / "a.replay")
    recording.save(tmp_path / "a.replay")
    assert (tmp_path / "a.replay").read_bytes() == recording.to_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["a.replay"]


def test_an_episode_played_to_its_end_is_not_cut(tmp_path: Path):
    recording = record("random", steps=5).recording
    recording.grow(tmp_path / "a.replay")
    recording.close()
    assert not read_replay(tmp_path / "a.replay").is_cut and not is_left(tmp_path / "a.replay")


def test_only_a_replay_that_was_broken_off_may_be_replaced(grown: Path, replay_file: Path, tmp_path: Path):
    (tmp_path / "notes.replay").write_text("my notes")
    assert [is_left(path) for path in (grown, replay_file, tmp_path / "notes.replay", tmp_path)] == [True] + [False] * 3


def test_a_disk_that_takes_nothing_stops_no_game_but_is_named_at_the_end(tmp_path: Path):
    (tmp_path / "file").write_text("")
    recording = record("random", steps=3).recording
    recording.grow(tmp_path / "file" / "a.replay")
    with pytest.raises(UserError, match="cannot be written"):
        recording.save(tmp_path / "file" / "a.replay")
