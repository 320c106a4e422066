"""Training on environments of Gymnasium and PettingZoo."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pufferlib")

import gymnasium

from metta.common.errors import UserError
from metta.common.seeds import derive
from metta.config import runner
from metta.eval.foreign import play_foreign
from metta.game.engine.batch import Episode
from metta.policy.hosted.process import Hosting
from metta.policy.stored.uri import make_policy
from metta.rl.experience.external import SEEDS, EmulatedBatch, Foreign
from metta.rl.experience.settings import EnvSettings
from metta.rl.world import ALONE, World

TRAIN = "recipes.experiment.cogsguard.train"
CARTPOLE = EnvSettings(kind="gymnasium", name="CartPole-v1")
MIRROR = EnvSettings(kind="pettingzoo", name="tests.rl.experience.foreign_envs:Mirror")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command on one core in a folder of its own: exit code, output, errors."""

    def call(*words: str) -> tuple[int, str, str]:
        folder = [f"system.data_dir={tmp_path}", "device=cpu", "system.threads=1"]
        code = runner.run([*words, *folder])
        return code, *capsys.readouterr()

    return call


def rewards_of(folder: Path) -> list[float]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["overview/reward"] for row in rows if "overview/reward" in row]


def test_cartpole_is_learned_and_evaluated(run: Callable[..., tuple[int, str, str]]):
    code, _, errors = run(TRAIN, "env=gymnasium", "env.name=CartPole-v1", "agent=mlp", "trainer=classic", "run=pole")
    assert (code, errors) == (0, "")
    code, out, _ = run("cogsguard.evaluate", "run=pole", "episodes=30", "format=json")
    document = json.loads(out)
    assert document["environment"]["name"] == "CartPole-v1"
    assert document["metrics"]["reward"]["mean"] >= 475


@pytest.mark.parametrize("memory", ["false", "true"])
def test_agents_of_pettingzoo_learn_actions_of_several_parts(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, memory: str
):
    """Chance earns 1.1 per episode of five steps, naming both symbols 5."""
    words = ("env=pettingzoo", f"env.name={MIRROR.name}", "agent=mlp", f"agent.memory={memory}", "trainer=classic")
    quick = ("trainer.total_timesteps=40_000", "trainer.bptt_horizon=16", "trainer.losses.ppo_actor.target_kl=null")
    code, _, errors = run(TRAIN, *words, "run=mirror", *quick)
    assert (code, errors) == (0, "")
    rewards = rewards_of(tmp_path / "mirror")
    assert rewards[0] < 1.5 and rewards[-1] > 4.5


def test_a_run_is_resumed_with_new_episodes(run: Callable[..., tuple[int, str, str]], tmp_path: Path):
    words = (TRAIN, "env=gymnasium", "env.name=CartPole-v1", "agent=mlp", "trainer=classic", "run=pole")
    assert run(*words, "trainer.total_timesteps=4096")[0] == 0
    code, out, errors = run(*words, "trainer.total_timesteps=8192")
    assert (code, errors) == (0, "") and "going on from v2" in out
    lines = (tmp_path / "pole" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["metric/epoch"] for line in lines] == [1, 2, 3, 4]
    code, _, errors = run("cogsguard.play", "run=pole")
    assert code == 2 and "CartPole-v1" in errors and len(errors.splitlines()) == 1


def built(
    settings: EnvSettings, envs: int, workers: int | None = None, world: World = ALONE
) -> tuple[EmulatedBatch, list[np.ndarray]]:
    """Environments and the buffers that a caller owns: observations, rewards, terminals, truncations."""
    source = Foreign(settings, workers)
    batch, info = source.build(envs, seed=3, world=world), source.info
    shape = (batch.num_envs, info.num_agents)
    observations = np.zeros((*shape, *info.observation_shape), info.observation_dtype)
    return batch, [observations, np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)]


def describe(episode: Episode) -> tuple[int, int, list[float]]:
    return episode.env, episode.steps, episode.returns.tolist()


def test_steps_are_those_of_the_library_and_episodes_follow_without_a_gap():
    batch, buffers = built(CARTPOLE, 2)
    batch.reset(buffers[0])
    seeds = [derive(derive(3, "environments"), 1, number) % SEEDS for number in range(2)]
    plain = [gymnasium.make("CartPole-v1") for _ in range(2)]
    seen = [env.reset(seed=seed)[0] for env, seed in zip(plain, seeds, strict=True)]
    random, returns, finished = np.random.default_rng(0), np.zeros(2), []
    for _ in range(120):
        np.testing.assert_array_equal(buffers[0][:, 0], seen)
        actions = random.integers(0, 2, (2, 1)).astype(np.int32)
        batch.step(actions, *buffers)
        for number, env in enumerate(plain):
            seen[number], reward, terminal, truncated, _ = env.step(int(actions[number, 0]))
            returns[number] += float(reward)
            assert [part[number, 0] for part in buffers[1:]] == [reward, terminal, truncated]
            if terminal or truncated:
                finished.append((number, returns[number]))
                returns[number], (seen[number], _) = 0, env.reset()
    assert len(finished) > 4
    assert [(episode.env, episode.returns[0]) for episode in batch.take_episodes()] == finished


@pytest.mark.parametrize("settings", [CARTPOLE, MIRROR])
def test_other_processes_play_the_same(settings: EnvSettings):
    here, mine = built(settings, 4)
    there, theirs = built(settings, 4, workers=2)
    try:
        here.reset(mine[0])
        there.reset(theirs[0])
        random = np.random.default_rng(0)
        for _ in range(30):
            actions = random.integers(0, 2, mine[1].shape).astype(np.int32)
            here.step(actions, *mine)
            there.step(actions, *theirs)
            for part, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(part, other)
    finally:
        there.close()
    assert [describe(one) for one in here.take_episodes()] == [describe(one) for one in there.take_episodes()]


@pytest.mark.parametrize("settings", [CARTPOLE, MIRROR])
def test_parts_of_a_runs_environments_play_what_all_play(settings: EnvSettings):
    """Over several episodes and two starts."""
    whole, buffers = built(settings, 6)
    parts = [built(settings, 6, world=World(rank, 3)) for rank in range(3)]
    random = np.random.default_rng(0)
    for _ in range(2):
        for batch, own in [(whole, buffers), *parts]:
            batch.reset(own[0])
        for _ in range(60):
            actions = random.integers(0, 2, buffers[1].shape).astype(np.int32)
            whole.step(actions, *buffers)
            for (batch, own), chosen in zip(parts, np.split(actions, 3), strict=True):
                batch.step(chosen, *own)
            for index, every in enumerate(buffers):
                np.testing.assert_array_equal(np.concatenate([own[index] for _, own in parts]), every)
        episodes = [describe(episode) for batch, _ in parts for episode in batch.take_episodes()]
        assert sorted(episodes) == sorted(describe(episode) for episode in whole.take_episodes())
        assert len(episodes) > 6


def test_every_start_draws_other_episodes():
    batch, buffers = built(CARTPOLE, 2)
    starts = []
    for _ in range(2):
        batch.reset(buffers[0])
        starts.append(buffers[0].copy())
    again, buffers = built(CARTPOLE, 2)
    again.load_state_dict(batch.state_dict())
    again.reset(buffers[0])
    assert len({start.tobytes() for start in [*starts, buffers[0]]}) == 3


def test_a_process_that_dies_is_told():
    batch, buffers = built(
        EnvSettings(kind="gymnasium", name="tests.rl.experience.foreign_envs:Doomed-v0"), 2, workers=2
    )
    batch.reset(buffers[0])
    with pytest.raises(UserError, match="Doomed"):
        for _ in range(4):
            batch.step(np.zeros((2, 1), np.int32), *buffers)
    batch.close()


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"kind": "gymnasium", "name": "CartPol-v1"}, "Did you mean: `CartPole`"),
        ({"kind": "gymnasium", "name": "CartPole-v1", "kwargs": {"weight": 1}}, "weight"),
        ({"kind": "gymnasium", "name": "Pendulum-v1"}, "only Discrete and MultiDiscrete"),
        ({"kind": "gymnasium", "name": "tests.rl.experience.foreign_envs:Shifted-v0"}, "not counted from 0"),
        ({"kind": "gymnasium", "name": "tests.rl.experience.foreign_envs:Countless-v0"}, "387,420,489 combinations"),
        ({"kind": "pettingzoo", "name": "nowhere.at_all_v3"}, "No module named"),
        ({"kind": "pettingzoo", "name": "tests.rl.experience.foreign_envs:Unequal"}, "different spaces"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_line(env: dict[str, Any], expected: str):
    with pytest.raises(UserError, match=expected) as refused:
        Foreign(EnvSettings.model_validate(env), None)
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_alone_imports_no_code(run: Callable[..., tuple[int, str, str]], tmp_path: Path):
    """A run's folder or an experiment file may be a stranger's; what is on the command line is not."""
    words = ("env=pettingzoo", f"env.name={MIRROR.name}")
    assert run(TRAIN, *words, "agent=mlp", "trainer=classic", "run=mirror", "trainer.total_timesteps=2048")[0] == 0
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(f"env: {{kind: pettingzoo, name: '{MIRROR.name}'}}\nagent: mlp\n")
    folder = str(tmp_path / "mirror")
    for command in (["cogsguard.evaluate", "run=mirror"], ["--from", folder], [TRAIN, f"user={experiment}"]):
        code, _, errors = run(*command)
        assert code == 2 and MIRROR.name in errors and len(errors.splitlines()) == 1
    code, out, _ = run("cogsguard.evaluate", "run=mirror", *words, "episodes=3", "format=json")
    assert code == 0 and json.loads(out)["metrics"]["steps"]["mean"] == 5


def test_chance_can_be_evaluated_too(run: Callable[..., tuple[int, str, str]]):
    code, out, _ = run(
        "cogsguard.evaluate", "policy_uri=random", "env=gymnasium", "env.name=CartPole-v1", "format=json"
    )
    assert code == 0 and 10 < json.loads(out)["metrics"]["reward"]["mean"] < 40


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("env=gymnasium",), "env.name"),
        (("env.name=CartPole-v1",), "env=gymnasium"),
        (("env=gymnasium", "env.name=CartPole-v1"), "agent=mlp"),
        (("env=gymnasium", "env.name=CartPole-v1", "agent=mlp", "training_env.num_workers=3"), "num_workers=3"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], expected: str
):
    code, _, errors = run(TRAIN, *words)
    assert code == 2 and expected in errors and len(errors.splitlines()) == 1


def test_without_pufferlib_one_line_names_the_extra(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, "metta.rl.experience.external")
    monkeypatch.setitem(sys.modules, "pufferlib", None)
    code, _, errors = run(TRAIN, "env=gymnasium", "env.name=CartPole-v1", "agent=mlp")
    assert code == 2 and errors.startswith("error: pufferlib is not installed: pip install 'metta[puffer]'")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "policy"),
    [(CARTPOLE, "random"), (CARTPOLE, "class=tests.policy.hosted.user_policies.Crowd"), (MIRROR, "random")],
)
def test_an_evaluated_episode_is_the_same_whatever_is_played_beside_it(settings: EnvSettings, policy: str):
    source = Foreign(settings, None)
    player = make_policy(policy, source.info, hosting=Hosting(5_000))
    several = play_foreign(source, player, 7, 30)
    for k in (0, 3, 6):
        (alone,) = play_foreign(source, player, 1, 30 + k)
        assert describe(several[k])[1:] == describe(alone)[1:]
    assert len({tuple(describe(episode)[2]) for episode in several}) > 1
