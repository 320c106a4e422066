"""A replay gives back, step by step, what happened in the environment that was recorded."""

from pathlib import Path

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.eval.replay.file import CHUNK_STEPS, parse_replay, read_replay
from metta.eval.replay.header import AGENT_COLUMNS, GONE, NONE
from metta.eval.replay.recorder import REWARD_UNIT, VALUE_UNIT, Recorder
from metta.policy.simple import NoopPolicy
from tests.eval.replay.conftest import ENV, STEPS, Recorded, record

KILOBYTE = 1000
LONG = 1e9  # seconds


def agents_at(replay_path: Path, step: int) -> dict[str, np.ndarray]:
    """The agents' part of a state by column name, each [A]; `inventory` is [A, R]."""
    replay = read_replay(replay_path)
    header = replay.header
    rows = replay.state(step)[: len(header.agents) * header.agent_width].reshape(len(header.agents), -1)
    named = {name: rows[:, index] for index, name in enumerate(AGENT_COLUMNS)}
    return named | {"inventory": rows[:, len(AGENT_COLUMNS) :]}


@pytest.mark.parametrize("step", [0, 1, CHUNK_STEPS - 1, CHUNK_STEPS, 157, STEPS])
def test_any_step_can_be_read_by_itself(step: int, recorded: Recorded, replay_file: Path):
    agents = agents_at(replay_file, step)
    np.testing.assert_array_equal(np.stack([agents["row"], agents["col"]], -1), recorded.positions[step])
    np.testing.assert_array_equal(agents["inventory"], recorded.inventories[step])
    np.testing.assert_array_equal(agents["action"], recorded.actions[step])
    np.testing.assert_allclose(agents["reward"] * REWARD_UNIT, recorded.rewards[step], atol=REWARD_UNIT)
    np.testing.assert_allclose(agents["value"] * VALUE_UNIT, step / 4)


@pytest.mark.parametrize("step", [0, 99, 100, STEPS])
def test_objects_and_stores_of_teams_are_those_of_the_game(step: int, recorded: Recorded, replay_file: Path):
    replay = read_replay(replay_file)
    header, state = replay.header, replay.state(step)
    start, count = len(header.agents) * header.agent_width, len(header.objects)
    states = state[start : start + 2 * count].reshape(-1, 2).tolist()
    read = [
        {
            "type": header.types[place.type].name,
            "row": place.row,
            "col": place.col,
            "owner": None if owner == NONE else header.collectives[owner],
            "stock": stock,
        }
        for place, (owner, stock) in zip(header.objects, states, strict=True)
        if owner != GONE
    ]
    assert read == recorded.objects[step]
    np.testing.assert_array_equal(state[start + 2 * count :].reshape(recorded.teams[step].shape), recorded.teams[step])


def test_what_the_policy_tells_is_kept_under_its_names(recorded: Recorded, replay_file: Path):
    header, agents = read_replay(replay_file).header, agents_at(replay_file, 200)
    roles, tasks, targets = recorded.intents[200]
    assert header.roles[1:] == ["aligner", "scrambler", "miner", "scout"] and "mine" in header.tasks
    np.testing.assert_array_equal(agents["role"], roles)
    np.testing.assert_array_equal(agents["task"], tasks)
    hub = next(place for place in header.objects if header.types[place.type].name.endswith(":hub"))
    known = agents["target_row"] != NONE
    assert known.any()
    np.testing.assert_array_equal(agents["target_row"][known] - hub.row, targets[known, 0])
    np.testing.assert_array_equal(agents["target_col"][known] - hub.col, targets[known, 1])


def test_a_policy_that_tells_nothing_has_no_roles_and_no_targets():
    replay = parse_replay(record("random", steps=3).recording.to_bytes(), "random")
    agents = replay.state(3)[: 8 * replay.header.agent_width].reshape(8, -1)
    assert replay.header.roles == [] and replay.header.tasks == []
    assert (agents[:, AGENT_COLUMNS.index("role") : AGENT_COLUMNS.index("target_col") + 1] == NONE).all()


def test_the_header_names_mission_players_and_map(recorded: Recorded, replay_file: Path):
    header = read_replay(replay_file).header
    walls = np.array([list(row) for row in header.map]) == "#"
    assert (header.mission, header.seed, header.max_steps) == ("cogsguard_arena.basic", 7, STEPS)
    assert header.policies == ["cogsguard?gear=10"] and [agent.policy for agent in header.agents] == [0] * 8
    assert header.values and header.collectives == ["clips", "cogs"]
    assert not walls[tuple(recorded.positions[0].T)].any() and walls[0].all()


def test_agents_of_several_policies_are_told_apart(recorded: Recorded):
    seats = np.array([[0, 1] * 4, [1, 0] * 4, [0] * 8])
    recorder = Recorder(recorded.batch, [(7, 7)] * 3, ["one", "two"], seats)
    recorder.start(NoopPolicy())
    who = [[agent.policy for agent in recording.header.agents] for recording in recorder.recordings]
    np.testing.assert_array_equal(who, seats)


def test_the_first_environments_of_a_batch_can_be_recorded_alone(recorded: Recorded):
    recorder = Recorder(recorded.batch, [(7, 7)], ["one"])
    recorder.start(NoopPolicy())
    [recording] = recorder.recordings
    np.testing.assert_array_equal(recording.state[:2], recorded.batch.positions()[0, 0])
    assert len(recording.state) == recording.header.size


def test_steps_that_are_recorded_together_are_as_if_recorded_one_by_one(recorded: Recorded):
    together = record("cogsguard?gear=10", delay=LONG).recorder
    for one, other in zip(recorded.recorder.recordings, together.recordings, strict=True):
        assert one.to_bytes() == other.to_bytes()
        np.testing.assert_array_equal(one.state, other.state)


def test_a_batch_that_resets_by_itself_ends_the_recording_a_step_early():
    seen = record("random", steps=5, auto_reset=True)
    replay = parse_replay(seen.recording.to_bytes(), "cut")
    assert seen.recorder.is_over(ENV) and replay.steps == 4


def test_an_episode_of_a_thousand_steps_is_small():
    for uri in ("cogsguard?gear=10", "random"):
        size = len(record(uri, steps=1000, envs=1, env=0).recording.to_bytes())
        assert 5 * KILOBYTE < size < 60 * KILOBYTE, f"{uri}: {size}"


def test_a_place_that_cannot_be_written_is_named_in_one_line(recorded: Recorded, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/a\.replay: cannot be written \(.*\)$"):
        recorded.recording.save(tmp_path / "file" / "a.replay")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
