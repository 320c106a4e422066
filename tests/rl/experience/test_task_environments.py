"""Groups of environments that play tasks of their own: each as a batch of its mission alone, others from batch to
batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from metta.common.errors import UserError
from metta.common.seeds import derive
from metta.game.build import build_batch
from metta.game.engine.batch import Episode
from metta.rl.build import Parts, build, plan
from metta.rl.experience.curriculum import Curriculum
from metta.rl.experience.curriculum_settings import CurriculumSettings
from metta.rl.experience.environments import Environments, find_source
from metta.rl.experience.task_environments import TaskEnvironments, Tasks
from metta.rl.experience.tasks import TaskSpace
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World

Config = Callable[..., RunConfig]
MISSION = {"max_steps": {"range": [6, 12]}, "map": {"height": [40, 50]}, "cog": {"heart_limit": {"range": [1, 9]}}}
CURRICULUM = {"groups": 4, "tasks": 5, "mission": MISSION, "least_episodes": 2, "most_episodes": 6}
CHANGES = {"curriculum": CURRICULUM, "training_env": {"num_envs": 8}}


class Played:
    """Environments with the buffers of a caller, who moves at random; a batch is eight steps."""

    def __init__(self, env: Environments, first: int = 0) -> None:
        """`first` is the number of the first environment among all."""
        shape = (env.num_envs, env.num_agents)
        self.env, self._first = env, first
        self.seen = np.zeros((*shape, 200, 3), np.uint8)
        self.rewards, self.ends = np.zeros(shape, np.float32), np.zeros((2, *shape), bool)

    def act(self, actions: np.ndarray) -> None:
        own = np.ascontiguousarray(actions[self._first : self._first + self.env.num_envs])
        self.env.step(own, self.seen, self.rewards, self.ends[0], self.ends[1])

    def batch(self, number: int) -> list[Episode]:
        random = np.random.default_rng(number)
        for _ in range(8):
            self.act(random.integers(0, 5, (8, 8)).astype(np.int32))
        return self.env.take_episodes()


def built(config: RunConfig, world: World = ALONE) -> TaskEnvironments:
    source = find_source(config)
    assert isinstance(source, Tasks)
    return source.build(8, config.system.seed, world)


def test_a_group_plays_as_a_batch_of_its_mission_alone(config: Config) -> None:
    asked = config(**CHANGES)
    env = built(asked)
    together = Played(env)
    env.reset(together.seen)
    for group in range(4):
        mission = env.curriculum.mission(group)
        options: dict[str, Any] = {"seed": derive(7, "group", group, 0), "map_pool": 4, "desync": True}
        alone = Played(build_batch(mission, 2, **options, fresh_maps=True), 2 * group)
        again = Played(built(asked))
        again.env.reset(again.seen)
        alone.env.reset(alone.seen)
        part, random = slice(2 * group, 2 * group + 2), np.random.default_rng(0)
        for _ in range(30):
            actions = random.integers(0, 5, (8, 8)).astype(np.int32)
            again.act(actions)
            alone.act(actions)
            np.testing.assert_array_equal(again.seen[part], alone.seen)
            np.testing.assert_array_equal(again.rewards[part], alone.rewards)
            np.testing.assert_array_equal(again.ends[:, part], alone.ends)
            ours, theirs = again.env.take_truncated(), alone.env.take_truncated()
            if theirs:
                assert ours
                mine = (ours[0] >= 16 * group) & (ours[0] < 16 * group + 16)
                np.testing.assert_array_equal(ours[0][mine], theirs[0] + 16 * group)
                np.testing.assert_array_equal(ours[1][mine], theirs[1])
        again.env.close()
        alone.env.close()
    env.close()


@pytest.mark.parametrize("workers", [3, 16])
def test_what_happens_does_not_depend_on_threads(config: Config, workers: int) -> None:
    one, many = (
        Played(built(config(**{**CHANGES, "training_env": {"num_envs": 8, "num_workers": threads}})))
        for threads in (1, workers)
    )
    for played in (one, many):
        played.env.reset(played.seen)
    for number in range(6):
        assert told(one.batch(number)) == told(many.batch(number))
        np.testing.assert_array_equal(one.seen, many.seen)
    one.env.close()
    many.env.close()


def told(episodes: list[Episode]) -> list[tuple[Any, ...]]:
    return [(one.env, one.number, one.steps, one.returns.tolist()) for one in episodes]


def ordered(episodes: list[Episode]) -> list[Episode]:
    return sorted(episodes, key=lambda one: (one.env, one.number))


def test_processes_that_share_the_groups_play_what_one_plays_alone(config: Config) -> None:
    """Each owns half of the groups and counts the episodes of both."""
    alone = Played(built(config(**CHANGES)))
    halves = [Played(built(config(**CHANGES), World(rank, 2, rank, 2)), 4 * rank) for rank in (0, 1)]
    for played in (alone, *halves):
        played.env.reset(played.seen)
    switched = 0
    for number in range(12):
        episodes = ordered(alone.batch(number))
        assert told(episodes) == told(ordered([one for half in halves for one in half.batch(number)]))
        begun, metrics = alone.env.next_tasks(episodes, alone.seen)  # pyright: ignore
        answers = [half.env.next_tasks(episodes, half.seen) for half in halves]  # pyright: ignore
        np.testing.assert_array_equal(begun, np.concatenate([part for part, _ in answers]))
        assert all(metrics == others for _, others in answers)
        np.testing.assert_array_equal(alone.seen, np.concatenate([half.seen for half in halves]))
        switched += begun.any()
    assert switched > 3
    for played in (alone, *halves):
        played.env.close()


def test_environments_go_on_counting_their_episodes_over_their_tasks(config: Config) -> None:
    played = Played(env := built(config(**CHANGES)))
    env.reset(played.seen)
    numbers: dict[int, list[int]] = {number: [] for number in range(8)}
    for number in range(20):
        before = env.episode_numbers()
        for episode in (episodes := played.batch(number)):
            numbers[episode.env].append(episode.number)
        present = env.episode_numbers()
        assert (present >= before).all()
        begun, _ = env.next_tasks(ordered(episodes), played.seen)
        np.testing.assert_array_equal(env.episode_numbers(), present + begun)
    assert all(own == sorted(set(own)) and len(own) > 5 for own in numbers.values())
    env.close()


def test_only_whole_episodes_are_handed_out(config: Config) -> None:
    played = Played(env := built(config(**CHANGES)))
    env.reset(played.seen)
    lengths = {env.curriculum.mission(group).max_steps for group in range(4)}
    assert {episode.steps for number in range(4) for episode in played.batch(number)} <= lengths
    env.close()


def test_tasks_go_on_from_their_state_as_if_never_stopped(config: Config) -> None:
    whole, other = Played(built(config(**CHANGES))), Played(built(config(**CHANGES)))
    whole.env.reset(whole.seen)
    for number in range(7):
        whole.env.next_tasks(ordered(whole.batch(number)), whole.seen)  # pyright: ignore
    other.env.load_state_dict(whole.env.state_dict())
    other.seen[:] = whole.seen
    for number in range(7, 14):
        episodes = ordered(whole.batch(number))
        assert told(episodes) == told(ordered(other.batch(number)))
        answers = [played.env.next_tasks(episodes, played.seen) for played in (whole, other)]  # pyright: ignore
        np.testing.assert_array_equal(answers[0][0], answers[1][0])
        assert answers[0][1] == answers[1][1]
        np.testing.assert_array_equal(whole.seen, other.seen)
    whole.env.close()
    other.env.close()


def test_the_state_of_another_curriculum_is_refused(config: Config) -> None:
    played = Played(built(config(**CHANGES)))
    played.env.reset(played.seen)
    state = played.env.state_dict()
    state["group0.cells"] = state["group0.cells"][:1]
    with pytest.raises(UserError, match="environment state 'cells' has shape"):
        played.env.load_state_dict(state)
    played.env.close()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"env": {"backend": "cuda"}}, "curriculum: env.backend=cuda plays one mission"),
        ({"env": {"kind": "gymnasium", "name": "CartPole-v1"}}, "curriculum: env=gymnasium plays one mission"),
    ],
)
def test_environments_that_cannot_play_tasks_are_refused(config: Config, changes: dict, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        find_source(config(**CHANGES, **changes))


def switched(config: RunConfig) -> tuple[Parts, np.ndarray]:
    """Parts after batches until some groups, not all, have other tasks, and which environments do."""
    parts = build(plan(config))
    parts.rollout.start()
    env = parts.rollout.env
    assert isinstance(env, TaskEnvironments)
    for epoch in range(20):
        parts.rollout.begin(epoch, 0)
        assert parts.rollout.collect(Stopwatch(), lambda: False)
        before = [turn.number for turn in env.curriculum.turns]
        parts.rollout.next_tasks(parts.rollout.take_episodes(lambda episode: True)[0])
        changed = [turn.number != was for turn, was in zip(env.curriculum.turns, before, strict=True)]
        if any(changed) and not all(changed):
            return parts, np.repeat(changed, 2)
    raise AssertionError("no group ever switched")


def test_a_new_task_begins_with_new_memory_between_two_batches(config: Config) -> None:
    parts, envs = switched(config(**CHANGES))
    experience = parts.rollout.experience
    agents = torch.from_numpy(envs.repeat(8))
    dones, state = experience.dones[-1].clone(), [part.clone() for part in parts.rollout._state]
    parts.rollout.begin(20, 0)
    assert parts.rollout.collect(Stopwatch(), lambda: False)
    assert torch.equal(experience.resets[0], dones | agents)
    assert not bool(dones[agents].all()), "their last episodes did not end there"
    assert all(bool(part[agents].any()) for part in state), "and there was memory to forget"
    with torch.no_grad():
        first, _ = parts.net.act(experience.observations[0], parts.net.initial_state(len(agents)))
    torch.testing.assert_close(first.values[agents], experience.values[0][agents])
    parts.rollout.close()


def test_teacher_and_npcs_are_told_of_new_episodes(config: Config) -> None:
    dual = {"enabled": True, "npc_type": "scripted", "scripted_npc": {"policy_uri": "metta://policy/miner"}}
    teacher = {"policy_uri": "metta://policy/cogsguard", "teacher_led_proportion": 0.5, "student_led_proportion": 0.5}
    parts, envs = switched(config(**CHANGES, teacher=teacher, trainer={"batch_size": 256, "dual_policy": dual}))
    rollout = parts.rollout
    assert rollout.npcs and rollout.teacher
    np.testing.assert_array_equal(rollout.npcs._numbers.numpy(), rollout.env.episode_numbers())
    told_teacher: list[np.ndarray] = []
    rollout.teacher.policy.end_episodes = lambda over: told_teacher.append(over)  # type: ignore[method-assign]
    rollout._end_episodes(torch.from_numpy(envs))
    np.testing.assert_array_equal(told_teacher[0], envs)
    assert rollout._ended.view(8, 4)[torch.from_numpy(envs)].all()
    rollout.begin(20, 0)
    assert rollout.collect(Stopwatch(), lambda: False)
    rollout.close()


def test_a_curriculum_counts_the_returns_of_those_who_learn() -> None:
    mission = {"cog": {"heart_limit": {"range": [1, 60000]}}}
    settings = CurriculumSettings(mission=mission, groups=1, tasks=1)
    curriculum = Curriculum(settings, TaskSpace(RunConfig().mission, settings.draws, 0), 0, 4)
    curriculum.start()
    curriculum.update([Episode(0, 0, 0, 5, np.array([1.0, 2.0], np.float32), {}, {}, {})])
    assert curriculum.metrics()["curriculum/task00/score"] == 1.5
