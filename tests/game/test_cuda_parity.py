"""The device plays as the processor does, bit by bit: every array of the state, every buffer, every statistic.

Needs a CUDA device, or numba's simulation of one (NUMBA_ENABLE_CUDASIM=1, see test_cuda.py), which is slow: it then
plays fewer and shorter episodes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.game.engine.backends import make_batch
from metta.game.engine.batch import Batch
from metta.game.maps.pool import build_pool
from metta.game.maps.renewal import MapRenewal
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.traces import Replay, load_trace
from metta.rl.experience.environments import Repeatable
from tests.game.play import Play

cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
if not cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

pytestmark = pytest.mark.gpu
SIMULATED = bool(cuda.config.ENABLE_CUDASIM)
ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "game" / "traces"
TRACES = sorted((ROOT / "tests" / "fixtures" / "traces").glob("*.npz"))
if SIMULATED:
    TRACES = TRACES[-2:]
elif SHARED.is_dir():
    TRACES = sorted(SHARED.glob("*.npz"))
GREEN = ["H@J...C", ".a.@..."]
BLUE = ["...@JH.", "...x..."]


class Pair:
    """The same environments on the processor and on the device, with buffers of their own."""

    def __init__(
        self, mission: Mission, maps: np.ndarray, envs: int, *, renewal_from: int | None = None, **options: object
    ):
        """`renewal_from` is the seed of the first of `maps` where others are to follow them."""
        shape = (envs, mission.agents)
        self.batches: list[Batch] = []
        for backend in ("cpu", "cuda"):
            own = maps.copy()
            renewal = None if renewal_from is None else MapRenewal(mission, renewal_from, own)
            self.batches.append(
                make_batch(backend, mission, envs, maps=own, renewal=renewal, **options)  # type: ignore[arg-type]
            )
        self.buffers = [
            (np.full((*shape, 200, 3), 7, np.uint8), np.zeros(shape, np.float32), *np.zeros((2, *shape), bool))
            for _ in self.batches
        ]
        self.cuts = 0  # agents whose episode was cut short
        for batch, buffers in zip(self.batches, self.buffers, strict=True):
            batch.reset(buffers[0])
        self.compare("reset")

    def step(self, actions: np.ndarray) -> None:
        for batch, buffers in zip(self.batches, self.buffers, strict=True):
            batch.step(actions, *buffers)

    def compare(self, when: object) -> None:
        for name, one, other in zip(
            ("observations", "rewards", "terminals", "truncations"), *self.buffers, strict=True
        ):
            assert one.tobytes() == other.tobytes(), f"{name} differ at {when}"
        cut, other = (batch.take_truncated() for batch in self.batches)
        assert (cut is None) == (other is None), f"cut episodes differ at {when}"
        if cut and other:
            assert cut[0].tolist() == other[0].tolist() and cut[1].tobytes() == other[1].tobytes()
            self.cuts += len(cut[0])
        states = [batch.state_dict() for batch in self.batches]
        for name, one in states[0].items():
            assert one.tobytes() == states[1][name].tobytes(), f"{name} differ at {when}"

    def compare_episodes(self) -> int:
        """Returns how many there were."""
        one, other = (batch.take_episodes() for batch in self.batches)
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert (first.env, first.number, first.map) == (second.env, second.number, second.map)
            assert first.steps == second.steps
            assert (first.collective, first.game) == (second.collective, second.game)
            assert first.returns.tobytes() == second.returns.tobytes()
            for name, values in first.agent.items():
                assert (values == second.agent[name]).all(), name
        return len(one)


MISSIONS: dict[str, dict[str, object]] = {
    "arena": {"name": "cogsguard_arena.basic", "rewards": ["credit", "milestones"]},
    "machina_1": {"name": "cogsguard_machina_1.basic", "variants": ["dark_side"]},
}


@pytest.mark.parametrize("name", MISSIONS)
def test_random_play_with_resets_is_equal(name: str) -> None:
    length, envs, steps = (11, 2, 24) if SIMULATED else (90, 300, 400)
    mission = build_mission(MissionSettings.model_validate(MISSIONS[name] | {"max_steps": length}))
    pair = Pair(mission, build_pool(mission, 3, 0), envs, seed=5, desync=True)
    random = np.random.default_rng(1)
    for step in range(steps):
        pair.step(random.integers(-1, 13, (envs, mission.agents)).astype(np.int32))
        pair.compare(f"step {step}")
    assert pair.compare_episodes() >= envs * (steps // length)
    assert 0 < pair.cuts <= envs * mission.agents  # first episodes alone


def test_episodes_that_a_limit_cuts_are_equal_also_from_a_state() -> None:
    quirks = {"time_limit_is_terminal": False}
    mission = build_mission(MissionSettings.model_validate({"max_steps": 5, "quirks": quirks}))
    pair = Pair(mission, build_pool(mission, 2, 0), 2, seed=4, desync=True)
    actions = np.ones((2, mission.agents), np.int32)
    for step in range(7):
        pair.step(actions)
        pair.compare(step)
    for batch in pair.batches:
        batch.load_state_dict(pair.batches[0].state_dict())
    cuts = pair.cuts
    for step in range(10):
        pair.step(actions)
        pair.compare(step)
    assert pair.cuts == cuts + 2 * 2 * mission.agents


@pytest.mark.skipif(not SIMULATED, reason="buffers of the processor; on a device: test_cuda_graph.py")
def test_who_is_cut_in_a_step_is_known_before_it_and_what_they_last_saw_after_it() -> None:
    quirks = {"time_limit_is_terminal": False}
    mission = build_mission(MissionSettings.model_validate({"max_steps": 5, "quirks": quirks}))
    pair = Pair(mission, build_pool(mission, 2, 0), 2, seed=4, desync=True)
    usual, batch = pair.batches
    assert isinstance(batch, Repeatable)
    actions = np.ones((2, mission.agents), np.int32)
    for step in range(7):
        usual.step(actions, *pair.buffers[0])
        cut, last = batch.prepare(), np.zeros_like(pair.buffers[1][0])
        batch.advance(actions, *pair.buffers[1], last)
        assert batch.take_truncated() is None
        expected = usual.take_truncated()
        assert cut.tolist() == ([] if expected is None else expected[0].tolist())
        if expected is not None:
            assert last.reshape(-1, 200, 3)[cut].tobytes() == expected[1].tobytes()
            pair.cuts += len(cut)
        pair.compare(step)
    assert pair.cuts > 0


def test_two_teams_with_all_that_can_be_observed_are_equal() -> None:
    """Areas of two owners overlap, agents see the same cells, an extractor empties."""
    quirks = {"territory_invisible": False, "last_reward_invisible": False}
    drawn = Play(GREEN, rival=BLUE, max_steps=60, quirks=quirks, rewards=["credit"])
    pair = Pair(drawn.mission, drawn.batch.map(0)[None], 2 if SIMULATED else 50, seed=1)
    random = np.random.default_rng(2)
    for step in range(70):
        pair.step(random.integers(0, 5, (pair.batches[0].num_envs, drawn.mission.agents)).astype(np.int32))
        pair.compare(f"step {step}")
    pair.compare_episodes()


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_recorded_actions_give_the_same_everywhere(path: Path) -> None:
    """The processor plays recordings exactly (test_traces.py), so does what equals it."""
    replay = Replay(load_trace(path))
    pair = Pair(replay.mission, replay.batch.map(0)[None], 1, auto_reset=False)
    for step, actions in enumerate(replay.flat[: 60 if SIMULATED else None]):
        pair.step(np.ascontiguousarray(actions[None]))
        pair.compare(f"step {step}")


def test_a_state_moves_from_the_processor_to_the_device() -> None:
    mission = build_mission(MissionSettings(max_steps=11))
    pair = Pair(mission, build_pool(mission, 2, 0), 2, seed=3)
    actions = np.ones((2, mission.agents), np.int32)
    pair.batches[0].step(actions, *pair.buffers[0])
    pair.batches[1].load_state_dict(pair.batches[0].state_dict())
    for _ in range(3):
        pair.step(actions)
    pair.compare("the end")


def ended(mission: Mission, envs: int, steps: int, **options: Any) -> Pair:
    pair = Pair(mission, build_pool(mission, 2, 0), envs, **options)
    for _ in range(steps):
        pair.step(np.zeros((envs, mission.agents), np.int32))
    return pair


def test_however_many_episodes_finish_before_they_are_taken_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metta.game.engine.cuda_batch.LOGGED", 3)
    for length, steps in ((1, 5), (3, 8)):
        pair = ended(build_mission(MissionSettings(max_steps=length)), 2, steps, desync=True, seed=4)
        assert pair.compare_episodes() >= 2 * (steps // length)
        assert pair.compare_episodes() == 0


def test_episodes_that_a_graph_plays_beyond_the_log_are_missed_with_a_line_and_known_by_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steps that a CUDA graph repeats pass the host by."""
    monkeypatch.setattr("metta.game.engine.cuda_batch.LOGGED", 3)
    monkeypatch.setattr("metta.game.engine.cuda_batch.CudaEnvBatch._make_room", lambda batch: None)
    one, other = (batch.take_episodes() for batch in ended(build_mission(MissionSettings(max_steps=1)), 2, 4).batches)
    assert [(episode.env, episode.number) for episode in one] == [
        (env, number) for number in range(4) for env in (0, 1)
    ]
    assert [(episode.env, episode.number) for episode in other] == [(1, 2), (0, 3), (1, 3)]
    assert "5 of 8 finished episodes are missing" in capsys.readouterr().err


@pytest.mark.parametrize("length", [2, 5])
def test_fresh_maps_come_as_on_the_processor_and_a_state_brings_them(length: int) -> None:
    mission = build_mission(MissionSettings(name="cogsguard_tutorial.tutorial", max_steps=length))
    first, pool, envs = 11, 5, 3
    pair = Pair(mission, build_pool(mission, pool, first), envs, seed=9, desync=True, renewal_from=first)
    random, seen = np.random.default_rng(4), set()

    def play(pair: Pair, steps: int) -> None:
        for step in range(steps):
            pair.step(random.integers(0, 5, (envs, mission.agents)).astype(np.int32))
            pair.compare(f"step {step}")
            if step % 4 == 3:
                pair.compare_episodes()
            maps = [[batch.map(e).tobytes() for e in range(envs)] for batch in pair.batches]
            assert maps[0] == maps[1]
            seen.update(maps[0])

    play(pair, 24)
    assert len(seen) > pool
    crossed = Pair(mission, build_pool(mission, pool, first), envs, seed=9, renewal_from=first)
    for batch, other in zip(crossed.batches, reversed(pair.batches), strict=True):
        batch.load_state_dict(other.state_dict())
    crossed.buffers = [tuple(part.copy() for part in buffers) for buffers in pair.buffers]  # type: ignore[misc]
    play(crossed, 12)
    for batch in (*pair.batches, *crossed.batches):
        batch.close()


def test_a_batch_of_too_many_agents_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metta.game.engine.cuda_batch.MOST_THREADS", 4)
    mission = build_mission(MissionSettings())
    with pytest.raises(UserError, match="at most 4 agents"):
        make_batch("cuda", mission, 1, maps=build_pool(mission, 1, 0))


def test_later_ones_of_a_runs_environments_play_there_as_on_the_processor() -> None:
    """Of a pool of three maps, from the sixth environment on."""
    length, envs = (5, 2) if SIMULATED else (40, 50)
    mission = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=length))
    pair = Pair(mission, build_pool(mission, 3, 0), envs, seed=5, desync=True, first=5)
    random = np.random.default_rng(1)
    for step in range(3 * length):
        pair.step(random.integers(-1, 13, (envs, mission.agents)).astype(np.int32))
        pair.compare(step)
    assert pair.compare_episodes() > envs


def test_an_environment_of_a_seed_of_its_own_plays_there_as_alone_on_the_processor() -> None:
    """With a draw in every step: two cogs want the same cell."""
    drawn = Play(["@.@"], max_steps=40, cog={"action_cost": {}})
    seeds, actions = [77, 5, 78], np.array([4, 3], np.int32)
    together, alone = (
        make_batch(backend, drawn.mission, len(own), maps=drawn.batch.map(0)[None], seed=own, auto_reset=False)
        for backend, own in (("cuda", seeds), ("cpu", [78]))
    )
    buffers = [
        (np.zeros((envs, 2, 200, 3), np.uint8), np.zeros((envs, 2), np.float32), *np.zeros((2, envs, 2), bool))
        for envs in (3, 1)
    ]
    for batch, own in zip((together, alone), buffers, strict=True):
        batch.reset(own[0])
    for _ in range(6):
        for batch, own in zip((together, alone), buffers, strict=True):
            batch.step(np.tile(actions, (batch.num_envs, 1)), *own)
        for many, one in zip(buffers[0], buffers[1], strict=True):
            assert many[2].tobytes() == one[0].tobytes()
    together.reset(buffers[0][0], [78, 9, 9])
    alone.reset(buffers[1][0])
    assert together.state_dict()["rng"][0] == alone.state_dict()["rng"][0]
