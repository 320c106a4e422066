"""Processes that share a run's environments play in them, together, what one process plays."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metta.game.engine.batch import Episode
from metta.rl.build import build, plan
from metta.rl.experience.npc_pool import METRIC
from metta.rl.run.metrics import Metrics
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World
from tests.rl.conftest import merge, tiny
from tests.rl.experience.test_npc_pool import saved_versions
from tests.rl.experience.test_npcs import beside
from tests.rl.experience.test_teacher import save_net, teacher
from tests.rl.ranks import run_ranks

BATCHES, ENVS, ROUNDS = 3, 6, 2
EXACT = ("observations", "actions", "dones", "resets", "labels.actions", "labels.slices", "labels.ppo_mask")
CLOSE = ("log_probs", "values", "rewards", "labels.ratios")  # a net rounds by the number of rows
FEW = {
    "trainer": {"batch_size": 768, "minibatch_size": 128},
    "training_env": {"num_envs": ENVS, "desync_episodes": True, "map_pool": 10},
    "mission": {"max_steps": 7},
}


@dataclass(frozen=True)
class Played:
    """A batch as one process has it."""

    parts: dict[str, Tensor]  # of the experience, [time, own segments, ...]
    episodes: list[Episode]
    reward: float
    largest: float
    metrics: Metrics  # of teacher and NPCs
    records: dict[str, Any]  # of NPCs met


def play(world: World, runs: dict[str, RunConfig]) -> dict[str, list[Played]]:
    """A few batches of every run, without learning."""
    return {name: _batches(world, config) for name, config in runs.items()}


def _batches(world: World, config: RunConfig) -> list[Played]:
    planned = plan(config, world)
    rollout, played = build(planned, world).rollout, []
    rollout.start()
    for epoch in range(BATCHES):
        metrics = rollout.begin(epoch, epoch * planned.shape.agent_steps)
        assert rollout.collect(Stopwatch(), lambda: False)
        told = vars(rollout.experience.labels) if rollout.experience.labels else {}
        every = vars(rollout.experience) | {f"labels.{name}": part for name, part in told.items()}
        parts = {name: every[name].clone() for name in (*EXACT, *CLOSE) if name in every}
        episodes, sides = rollout.take_episodes(planned.source.is_whole)
        rollout.publish(epoch + 1)
        records = dict(rollout.npcs.pool.state_dict()["records"]) if rollout.npcs else {}
        played.append(Played(parts, episodes, rollout.mean_reward, rollout.largest_reward, metrics | sides, records))
    rollout.close()
    return played


def runs(folder: Path) -> dict[str, RunConfig]:
    net, other = (save_net(folder / name, to_the_east=False) for name in ("net", "other"))
    saved_versions(folder / "prioritized", range(1, BATCHES + 1))
    saved_versions(folder / "uniform", range(1, BATCHES + 1))
    prioritized = beside("random", league={"mode": "prioritized"}, adaptive={"enabled": True})
    half = {"batch_size": 384}  # of the agents learn
    changes: dict[str, dict[str, Any]] = {
        "alone": {"trainer": {"advantage": {"reward_centering": {"enabled": True}}}},
        "scripted teacher": {"teacher": teacher("metta://policy/cogsguard")},
        "random teacher": {"teacher": teacher("random")},
        "neural teacher": {"teacher": teacher(net, "sliced_kickstarter")},
        "scripted NPCs": {"trainer": half | beside("metta://policy/cogsguard", "random", "noop")},
        "nets as NPCs": {"trainer": half | beside(net, other), "teacher": teacher("random")},
        "prioritized": {"trainer": half | prioritized},
        "uniform": {"trainer": half | beside(other, league={"mode": "uniform", "size": 1})},
    }
    return {name: tiny(folder, run=name.replace(" ", "_"), **merge(FEW, change)) for name, change in changes.items()}


NAMES = ("alone", "scripted teacher", "random teacher", "neural teacher", "scripted NPCs", "nets as NPCs",
         "prioritized", "uniform")  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, RunConfig], dict[str, list[Played]]]:
    made = runs(tmp_path_factory.mktemp("ranks"))
    assert tuple(made) == NAMES
    return made, play(ALONE, made)


@pytest.fixture(scope="module", params=[2, 3])
def many(request: pytest.FixtureRequest, one) -> list[dict[str, list[Played]]]:
    """Of each of several processes."""
    return run_ranks(request.param, play, one[0])


def joined(ranks: list[Played], name: str) -> Tensor:
    """A part of the experience of all processes in the order of one: in each round environment after environment."""
    parts = [played.parts[name] for played in ranks]
    if parts[0].dim() == 1:
        parts = [part.unsqueeze(0) for part in parts]
    by_round = [part.view(len(part), ROUNDS, -1, *part.shape[2:]) for part in parts]
    found = torch.cat(by_round, dim=2).flatten(1, 2)
    return found[0] if ranks[0].parts[name].dim() == 1 else found


@pytest.mark.parametrize("name", NAMES)
def test_what_processes_collect_together_is_what_one_collects(name: str, one, many) -> None:
    for batch, whole in enumerate(one[1][name]):
        ranks = [played[name][batch] for played in many]
        for part in whole.parts:
            found = joined(ranks, part)
            if part in EXACT:
                assert torch.equal(found, whole.parts[part]), f"{part} of batch {batch}"
            else:
                torch.testing.assert_close(found, whole.parts[part], atol=1e-5, rtol=1e-5)
        assert whole.parts["dones"].any()


@pytest.mark.parametrize("name", NAMES)
def test_every_process_reports_the_episodes_and_numbers_of_all(name: str, one, many) -> None:
    for batch, whole in enumerate(one[1][name]):
        assert [(episode.env, episode.number) for episode in whole.episodes] == sorted(
            (episode.env, episode.number) for episode in whole.episodes
        )
        for played in (rank[name][batch] for rank in many):
            assert list(map(told, played.episodes)) == list(map(told, whole.episodes))
            assert (played.reward, played.largest) == pytest.approx((whole.reward, whole.largest), rel=1e-12)
            assert played.metrics == pytest.approx(whole.metrics, rel=1e-12)
            assert played.records == whole.records
    assert sum(len(played.episodes) for played in one[1][name]) > ENVS
    assert any(played.reward != many[0][name][0].reward for played in one[1][name])


def told(episode: Episode) -> str:
    agent = {name: values.tolist() for name, values in episode.agent.items()}
    return str(replace(episode, returns=episode.returns.tolist(), agent=agent))  # pyright: ignore[reportArgumentType]


def test_npcs_are_weighed_by_what_all_processes_met(one) -> None:
    """Else the test above shows nothing of it."""
    last = one[1]["prioritized"][-1].metrics
    met, new = (last[f"{METRIC}/prioritized:v{epoch}/probability"] for epoch in (1, 2))
    assert met != new
