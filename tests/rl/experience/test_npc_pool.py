"""Runs beside NPCs: whom they meet, what they report, resuming, and what is refused."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.uri import find_bundle
from metta.rl.build import plan
from metta.rl.experience.npc_pool import METRIC, NpcPool, Record, load_npc, short_name
from metta.rl.experience.npc_settings import DualPolicySettings
from metta.rl.run.metrics import read_metrics
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.nets import build_net
from tests.rl.experience.test_npcs import beside
from tests.rl.experience.test_teacher import save_net
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]
ROOT = Path(__file__).parents[3]
REWARDS = ("policy_a_reward", "npc_reward", "combined_reward")


def lines_of(config: RunConfig) -> list[dict[str, float]]:
    return read_metrics(folder(config) / "metrics.jsonl")


@pytest.mark.parametrize(
    ("agents", "share", "learners"),
    [(8, 0.5, 4), (8, 0.01, 1), (8, 0.99, 7), (8, 0.3, 2), (8, 1.0, 8), (2, 0.9, 1), (3, 0.5, 2), (1, 1.0, 1)],
)
def test_a_share_of_the_agents_learns_and_of_either_side_there_is_one(agents: int, share: float, learners: int) -> None:
    settings = DualPolicySettings.model_validate(beside("noop", policy_a_percentage=share)["dual_policy"])
    assert settings.learners(agents) == learners


def test_both_sides_are_reported_and_only_what_is_learned_counts_as_training(config: Config) -> None:
    """The trained side of the junction game is paid what the team is, so both sides' means are equal there."""
    settings = config(trainer=beside("random", policy_a_percentage=0.25), mission={"rewards": []})
    summary = train(settings)
    assert summary.agent_steps == 2048
    for line in lines_of(settings):
        assert line["dual_policy/policy_a_agent_count"] == 32 * 2 and line["dual_policy/npc_agent_count"] == 32 * 6
        assert line["dual_policy/npc_agent_steps"] == 3 * 512
        own, npc, both = (line[f"dual_policy/{name}_total"] for name in REWARDS)
        assert own + npc == pytest.approx(both)
        means = [own / 512, npc / 1536, both / 2048]
        assert [line[f"dual_policy/{name}"] for name in REWARDS] == pytest.approx(means)
        assert line["dual_policy/policy_a_reward"] == pytest.approx(line["experience/rewards"])
        assert line[f"{METRIC}/random/probability"] == 1
        assert line["timing_per_epoch/msec/npc"] > 0


def mirror(config: Config, **changes: Any) -> RunConfig:
    """The game of two agents in which each is paid for its own actions: chance earns 1.1 per episode, skill 5."""
    trainer = {
        "batch_size": 512, "minibatch_size": 256, "bptt_horizon": 16, "update_epochs": 4, "total_timesteps": 2048,
        "optimizer": {"learning_rate": 0.01, "anneal_lr": False}, "sampling": {"method": "sequential"},
        "advantage": {"gamma": 0.01}, "losses": {"ppo_actor": {"ent_coef": 0.0}},
    }  # fmt: skip
    env = {"kind": "pettingzoo", "name": "tests.rl.experience.foreign_envs:Mirror"}
    base = config(checkpointer={"epoch_interval": 100}).model_dump(exclude={"mission"})
    base |= {"env": env, "agent": {"name": "mlp"}}
    base["trainer"] |= {**trainer, **changes.pop("trainer")}
    return RunConfig.model_validate({**base, **changes})


def test_the_trained_side_rises_above_random_npcs_and_equals_itself(config: Config) -> None:
    pytest.importorskip("pufferlib")
    rising = mirror(config, trainer=beside("random"))
    train(rising)
    first, last = lines_of(rising)[0], lines_of(rising)[-1]
    own, npc = f"{METRIC}/random/policy_a_reward", f"{METRIC}/random/npc_reward"
    assert first[own] < 2 and last[own] > 3.5 and last["overview/reward"] == pytest.approx(last[own])
    assert abs(last[npc] - 1.1) < 0.5 and last[f"{METRIC}/random/win_rate"] > 0.8

    still = {"optimizer": {"learning_rate": 1e-12}, "total_timesteps": 12_288}
    train(mirror(config, trainer={**still, **beside("tiny:v4")}))
    after = lines_of(rising)[4:]
    difference = [line["dual_policy/policy_a_reward"] - line["dual_policy/npc_reward"] for line in after]
    interval = 1.96 * np.std(difference, ddof=1) / len(difference) ** 0.5
    assert len(difference) == 20 and abs(np.mean(difference)) < 1.5 * interval < 0.05
    assert 0.4 < after[-1][f"{METRIC}/tiny:v4/win_rate"] < 0.6


def saved_versions(run: Path, epochs: range) -> None:
    """Checkpoints of a run, all the same net."""
    save_net(run / "net")
    for epoch in epochs:
        copy = run / "checkpoints" / f"{run.name}:v{epoch}"
        shutil.copytree(run / "net", copy, copy_function=os.link)


def pool_of(config: Config, run: Path, named: dict[str, float] | None = None, **settings: Any) -> NpcPool:
    npcs = [{"path": path, "weight": weight} for path, weight in (named or {}).items()]
    dual = DualPolicySettings.model_validate({"enabled": True, "checkpoint_npcs": npcs, **settings})
    given = config(system={"data_dir": str(run.parent)})
    info = plan(given).source.whole_info
    return NpcPool(dual, lambda uri: load_npc(uri, info, given.system, torch.device("cpu")), run, 2, seed=5)


def drawn(found: NpcPool, episodes: int = 4000) -> dict[str, float]:
    """Share of episodes by opponent."""
    indices = found.choose(np.random.default_rng(1).random(episodes)).tolist()
    return {found[index].name: count / episodes for index, count in Counter(indices).items()}


def test_npcs_are_drawn_by_weight(config: Config, tmp_path: Path) -> None:
    found = pool_of(config, tmp_path / "run", {"noop": 1, "random": 3})
    assert found.begin(0, []) == {
        f"{METRIC}/noop/probability": 0.25,
        f"{METRIC}/random/probability": 0.75,
    }
    assert drawn(found) == pytest.approx({"noop": 0.25, "random": 0.75}, abs=0.03)


def test_a_league_starts_against_random_and_takes_in_the_runs_own_checkpoints(config: Config, tmp_path: Path) -> None:
    """Those at multiples of checkpointer.epoch_interval, here 2: where a run was stopped must make no difference."""
    run = tmp_path / "run"
    found = pool_of(config, run, league={"mode": "uniform"})
    assert found.begin(0, []) == {f"{METRIC}/random/probability": 1.0}
    saved_versions(run, range(1, 7))
    for epoch in range(1, 7):
        found.publish(epoch)
    assert found.begin(5, [0]).keys() == {f"{METRIC}/run:v2/probability", f"{METRIC}/run:v4/probability"}
    assert found[0].name == "random", "an episode with it still runs"
    found.begin(6, [])
    assert drawn(found) == pytest.approx({f"run:v{epoch}": 1 / 3 for epoch in (2, 4, 6)}, abs=0.03)
    assert [npc.name for npc in found.at_hand] == ["run:v2", "run:v4", "run:v6"]


def test_a_league_plays_what_was_published_and_not_what_lies_on_the_disk_beside(config: Config, tmp_path: Path) -> None:
    """Also after a stop; a state of an older version does not know, and takes what is on the disk up to its epoch."""
    run = tmp_path / "run"
    found = pool_of(config, run, league={"mode": "uniform"})
    found.begin(0, [])
    saved_versions(run, range(2, 9, 2))
    found.publish(4)
    found.begin(6, [])
    assert [npc.name for npc in found.at_hand] == ["run:v4"]
    state = found.state_dict()
    for saved, names in ((state, ["run:v4", "run:v6"]), (state | {"saved": None}, ["run:v2", "run:v4", "run:v6"])):
        again = pool_of(config, run, league={"mode": "uniform"})
        again.load_state_dict(saved)
        again.publish(6)
        again.begin(6, [])
        assert sorted(npc.name for npc in again.at_hand) == names


@pytest.mark.parametrize("mode", ["uniform", "latest", "prioritized"])
def test_of_more_checkpoints_than_there_is_room_for_latest_takes_the_newest(
    config: Config, tmp_path: Path, mode: str
) -> None:
    run = tmp_path / "run"
    saved_versions(run, range(2, 41, 2))
    found = pool_of(config, run, {"noop": 4.0}, league={"mode": mode, "size": 4})
    found.begin(40, [])
    names = [npc.name for npc in found.at_hand]
    assert names[0] == "noop" and len(names) == 5
    assert (names[1:] == ["run:v34", "run:v36", "run:v38", "run:v40"]) == (mode == "latest")
    if mode != "prioritized":
        assert drawn(found)["noop"] == pytest.approx(0.5, abs=0.03)


def test_a_prioritised_league_prefers_those_that_are_beaten_less_often(config: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    saved_versions(run, range(2, 5, 2))
    found = pool_of(config, run, league={"mode": "prioritized"})
    found.begin(4, [])
    for _ in range(200):
        found.count(0, reward=2.0, npc_reward=1.0)
        found.count(1, reward=1.0, npc_reward=2.0)
    found.begin(4, [])
    assert drawn(found) == pytest.approx({"run:v2": 0.05 / 1.1, "run:v4": 1.05 / 1.1}, abs=0.03)


def test_adaptive_difficulty_prefers_npcs_against_whom_the_reward_changes(config: Config, tmp_path: Path) -> None:
    named = {"noop": 1.0, "random": 1.0, "cogsguard?gear=10": 1.0}
    found = pool_of(config, tmp_path / "run", named, adaptive={"enabled": True, "floor": 0.2})
    for episode in range(100):
        found.count(0, reward=5.0, npc_reward=0.0)  # mastered
        found.count(1, reward=0.05 * episode, npc_reward=1.0)  # being learned
    metrics = found.begin(0, [])
    shares = [metrics[f"{METRIC}/{name}/probability"] for name in ("noop", "random", "cogsguard?gear=10")]
    assert shares == pytest.approx([0.2 / 2.2, 1 / 2.2, 1 / 2.2]), "who was hardly met yet counts in full"


def test_records_are_means_that_forget() -> None:
    record = Record()
    for _ in range(4):
        record.add(2.0, 2.0)
    assert (record.episodes, record.reward, record.win_rate, record.progress) == (4, 2.0, 0.5, 0.0)
    for _ in range(400):
        record.add(3.0, -1.0)
    assert [record.reward, record.npc_reward, record.win_rate] == pytest.approx([3, -1, 1], abs=0.01)


def test_a_damaged_checkpoint_of_the_league_costs_a_warning(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run"
    saved_versions(run, range(2, 5, 2))
    weights = run / "checkpoints" / "run:v2" / "model.safetensors"
    weights.unlink()
    weights.write_bytes(b"torn")
    found = pool_of(config, run, league={"mode": "uniform"})
    found.begin(4, [])
    assert [npc.name for npc in found.at_hand] == ["run:v4"]
    assert "run:v2" in capsys.readouterr().err


def test_memory_stays_flat_over_hundreds_of_checkpoints(config: Config, tmp_path: Path) -> None:
    run, process, sizes = tmp_path / "run", psutil.Process(), {}
    saved_versions(run, range(2, 801, 2))
    found = pool_of(config, run, league={"mode": "latest", "size": 3})
    for epoch in range(2, 801, 2):
        found.publish(epoch)
        found.begin(epoch, [])
        sizes[epoch] = process.memory_info().rss
    assert [npc.name for npc in found.at_hand] == ["run:v796", "run:v798", "run:v800"]
    assert sizes[800] - sizes[200] < 10e6, "300 nets of 100 kB would be three times that"


@pytest.mark.parametrize(
    "dual",
    [
        {"checkpoint_npcs": [{"path": "random"}, {"path": "NET"}, {"path": "noop", "weight": 0.5}]},
        {"league": {"mode": "prioritized", "size": 2}, "adaptive": {"enabled": True}},
        {"checkpoint_npcs": [{"path": "NET"}], "league": {"mode": "uniform", "size": 2}},
    ],
    ids=["list", "prioritized", "uniform"],
)
def test_a_resumed_run_with_npcs_is_bitwise_the_uninterrupted_one(config: Config, tmp_path: Path, dual: dict) -> None:
    """Stopped after the third epoch, between two checkpoints of the league; episodes go on over the stop."""
    net = save_net(tmp_path / "wanderer", to_the_east=False)
    npcs = [{**npc, "path": npc["path"].replace("NET", net)} for npc in dual.get("checkpoint_npcs", [])]
    changes = {
        "trainer": {"dual_policy": {"enabled": True, **dual, "checkpoint_npcs": npcs}, "total_timesteps": 2560},
        "checkpointer": {"epoch_interval": 2},
        "mission": {"max_steps": 11},
    }
    whole, halves = config(run="whole", **changes), config(run="halves", **changes)
    train(whole)
    stopped = config(run="halves", **changes)
    stopped.trainer.total_timesteps = 1536
    interrupted(stopped, 2560)
    assert lines_of(halves)[-1]["metric/epoch"] == 3
    assert train(halves).finished
    one, other = (lines_of(settings) for settings in (whole, halves))
    assert [comparable(line) for line in one] == [comparable(line) for line in other]
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


def comparable(line: dict[str, float]) -> dict[str, float]:
    """A metrics line without clocks, and without the run's name in those of its checkpoints."""
    return {name.replace("halves:", "whole:"): value for name, value in without_clock(line).items()}


def test_other_npcs_than_before_start_new_episodes_with_a_warning(
    config: Config, capsys: pytest.CaptureFixture
) -> None:
    train(config(trainer={**beside("noop"), "total_timesteps": 1024}))
    assert train(config(trainer=beside("random"))).finished
    assert "new episodes start" in capsys.readouterr().err


def test_a_run_may_take_npcs_in_and_have_a_teacher_beside(config: Config, tmp_path: Path) -> None:
    train(config(trainer={"total_timesteps": 512}))
    teacher = {"policy_uri": save_net(tmp_path / "east"), "teacher_led_proportion": 0.3, "student_led_proportion": 0.4}
    train(config(trainer=beside("tiny:v1", "metta://policy/cogsguard"), teacher=teacher))
    last = lines_of(config())[-1]
    assert last["losses/supervised_action_loss"] > 0 and last["dual_policy/npc_agent_count"] == 64


@pytest.mark.parametrize(
    ("dual", "message"),
    [
        ({"checkpoint_npc": {"checkpoint_path": "nowhere"}}, "Could not load NPC policy nowhere: .*nor a run"),
        (
            {"checkpoint_npc": {"checkpoint_path": "wandb://who/what/model/none:latest"}},
            "^Could not load NPC policy from WandB artifact: ",
        ),
        ({"checkpoint_npc": {"checkpoint_path": "random"}}, "^Checkpoint NPC policy must be a PyTorch module: random"),
        (
            {"checkpoint_npcs": [{"path": "metta://policy/rolle"}]},
            "NPC policy metta://policy/rolle: .*mean role",
        ),
        ({"checkpoint_npcs": [{"path": "ODD"}]}, "trained on other observation features"),
        ({"npc_type": "scripted", "scripted_npc": {"policy_uri": "noop"}, "policy_a_percentage": 0}, "no agent would"),
    ],
)
def test_npcs_that_cannot_play_are_refused_in_one_line_and_leave_no_folder(
    config: Config, tmp_path: Path, dual: dict, message: str
) -> None:
    if "ODD" in str(dual):
        dual = {"checkpoint_npcs": [{"path": save_odd(tmp_path / "odd")}]}
    with pytest.raises(UserError, match=message) as refused:
        train(config(trainer={"dual_policy": {"enabled": True, **dual}}))
    assert "\n" not in str(refused.value) and not folder(config()).exists()


def save_odd(path: Path) -> str:
    """A policy that knows other features than the game has."""
    info = env_info(Mission())
    odd = replace(info, features=tuple(replace(feature, name=f"odd {feature.id}") for feature in info.features))
    save_bundle(path, build_net("lstm", {"hidden_size": 8}, odd), "odd", 1, 0)
    return str(path)


def test_a_league_needs_all_checkpoints(config: Config) -> None:
    dual = {"enabled": True, "league": {"mode": "uniform"}}
    with pytest.raises(UserError, match=r"leave checkpointer\.keep_last out"):
        train(config(trainer={"dual_policy": dual}, checkpointer={"keep_last": 3}))
    settings = {"keep_last": 3, "keep_every": 1, "epoch_interval": 2}  # all of the interval's stay
    assert train(config(trainer={"dual_policy": dual, "total_timesteps": 512}, checkpointer=settings)).finished


def test_the_log_says_what_was_loaded_and_who_plays(config: Config, capsys: pytest.CaptureFixture) -> None:
    train(config(trainer={**beside("noop"), "total_timesteps": 512}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "INFO: Loaded NPC policy: noop"
    assert lines[1].startswith("INFO: Dual-policy system initialized: {'policy_a_percentage': 0.5, ")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("metta://policy/role?miner=4", "role?miner=4"),
        ("train_dir/good:v5", "good:v5"),
        ("./train_dir/good/checkpoints/model_0000.pt", "model_0000.pt"),
        ("wandb://who/what/model/good:latest", "good:latest"),
    ],
)
def test_reports_call_an_npc_by_the_end_of_its_path(uri: str, name: str) -> None:
    assert short_name(uri) == name


def test_the_recipe_script_starts_a_run_beside_that_policy_in_the_folder_of_its_caller(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("system: {seed: 77}\n")
    words = ["train_dir/old:v7", "5000", "3", "+user=./mine.yaml", "--cfg", "job"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = tmp_path / "link.sh"
    script.symlink_to(ROOT / "recipes" / "dual_policy_checkpoint.sh")
    done = subprocess.run(
        [script, *words], env={**os.environ, "PATH": path}, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for part in (
        "checkpoint_path: train_dir/old:v7",
        "total_timesteps: 5000",
        "num_workers: 3",
        "enabled: true",
        "seed: 77",
    ):
        assert part in done.stdout, part
