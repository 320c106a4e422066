"""Teachers in whole runs on the real engine: who acts, what is stored, what is learned, and resuming."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metta.common.errors import UserError
from metta.common.seeds import derive
from metta.config import runner
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import Policy
from metta.policy.simple import NoopPolicy, RandomPolicy
from metta.policy.stored import uri
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.uri import find_bundle
from metta.rl.build import Parts, build, build_environments, plan
from metta.rl.experience.labels import NO_LABEL, PPO, STUDENT_LED, TEACHER_LED, Labels
from metta.rl.run.metrics import read_metrics
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from metta.rl.trainer import train
from tests.nets import build_net
from tests.rl.test_trainer import folder, interrupted, without_clock

Config = Callable[..., RunConfig]
THIRDS = {"teacher_led_proportion": 0.3, "student_led_proportion": 0.4}
MODES = ["sliced_cloner", "sliced_cloner_no_ppo", "supervisor", "kickstarter", "logit_kickstarter",
         "sliced_kickstarter", "eer_kickstarter", "eer_cloner"]  # fmt: skip
NORTH, EAST = 1, 4


def save_net(path: Path, actions: int = 5, to_the_east: bool = True) -> str:
    """A recurrent policy on disk, by its path: it always goes east, or plays at random."""
    torch.manual_seed(1)
    info = env_info(Mission())
    assert info.action_names[EAST] == "move_east"
    net = build_net("lstm", {"hidden_size": 8}, replace(info, action_names=info.action_names[:actions]))
    if to_the_east:
        with torch.no_grad():
            net.get_parameter("_action_head.bias")[EAST] = 20.0
    save_bundle(path, net, path.name, 1, 0)
    return str(path)


def teacher(policy_uri: str, mode: str = "sliced_cloner", **changes: Any) -> dict[str, Any]:
    shares = THIRDS if mode.startswith("sliced") else {"teacher_led_proportion": 0.3}
    return {"policy_uri": policy_uri, "mode": mode, **shares, **changes}


def collected(config: RunConfig, policy: Policy | None = None, batches: int = 1) -> tuple[Parts, Labels]:
    """Parts after some batches; `policy` teaches in place of the one named."""
    planned = plan(config)
    parts = build(replace(planned, teacher=policy) if policy else planned)
    parts.rollout.start()
    for batch in range(batches):
        parts.rollout.teacher.begin(512 * batch)
        assert parts.rollout.collect(Stopwatch(), lambda: False)
    labels = parts.rollout.experience.labels
    assert labels is not None
    return parts, labels


class Witness(NoopPolicy):
    """Stands still and remembers what it was told."""

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        super().reset(num_envs, num_agents, seed)
        self.seen: list[np.ndarray] = []
        self.ended: list[tuple[int, np.ndarray]] = []

    def step(self, observations: np.ndarray) -> np.ndarray:
        self.seen.append(observations.copy())
        return super().step(observations)

    def end_episodes(self, ended: np.ndarray) -> None:
        self.ended.append((len(self.seen), ended.copy()))


def test_teacher_and_student_see_the_same_steps_and_episode_ends(config: Config) -> None:
    """Two rounds of eight steps in episodes of five."""
    witness = Witness()
    given = config(training_env={"num_envs": 4}, mission={"max_steps": 5}, teacher=teacher("noop"))
    parts, _ = collected(given, witness)
    experience = parts.rollout.experience
    assert len(witness.seen) == 16 and any(ended.any() for _, ended in witness.ended)
    ended = dict(witness.ended)
    for step, seen in enumerate(witness.seen):
        columns = slice(32 * (step // 8), 32 * (step // 8) + 32)
        np.testing.assert_array_equal(experience.observations[step % 8, columns], seen.reshape(32, 200, 3))
        told = ended.get(step + 1, np.zeros(4, bool)).repeat(8)
        np.testing.assert_array_equal(experience.dones[step % 8, columns], told)


def test_where_the_teacher_leads_its_actions_are_executed_and_stored(config: Config) -> None:
    parts, labels = collected(config(teacher=teacher("noop")))
    experience = parts.rollout.experience
    assert set(labels.slices.tolist()) == {PPO, STUDENT_LED, TEACHER_LED}
    assert (
        not experience.actions[:, labels.teacher_led_mask].any()
        and not experience.log_probs[:, labels.teacher_led_mask].any()
    )
    assert (
        experience.actions[:, ~labels.teacher_led_mask].any()
        and (experience.log_probs[:, ~labels.teacher_led_mask] < 0).all()
    )
    assert (labels.ratios[:, ~labels.teacher_led_mask] == 1).all()
    with torch.no_grad():
        output = parts.net.unroll(experience.observations, experience.state, experience.resets)
    probabilities = output.logits.softmax(-1)[..., 0]
    torch.testing.assert_close(labels.ratios[:, labels.teacher_led_mask], probabilities[:, labels.teacher_led_mask])
    env = build_environments(plan(config()))
    seen, rewards = np.zeros((8, 8, 200, 3), np.uint8), np.zeros((8, 8), np.float32)
    ends = np.zeros((2, 8, 8), bool)
    env.reset(seen)
    for step in range(8):
        np.testing.assert_array_equal(experience.observations[step].numpy(), seen.reshape(64, 200, 3))
        env.step(experience.actions[step].numpy().astype(np.int32).reshape(8, 8), seen, rewards, ends[0], ends[1])


def test_labels_are_the_teachers_actions_at_every_step(config: Config) -> None:
    _, labels = collected(config(teacher=teacher("random")))
    same = RandomPolicy(5)
    same.reset(8, 8, derive(7, "teacher"))
    expected = np.stack([same.step(np.zeros(0)).ravel() for _ in range(8)])
    np.testing.assert_array_equal(labels.actions.numpy(), expected)


def test_slices_are_drawn_anew_for_each_batch_and_ppo_sees_the_rest(config: Config) -> None:
    _, first = collected(config(teacher=teacher("noop")))
    _, second = collected(config(teacher=teacher("noop")), batches=2)
    assert not torch.equal(first.slices, second.slices)
    assert torch.equal(first.ppo_mask, first.slices == PPO)
    _, labelled = collected(config(teacher=teacher("noop", "eer_cloner")))
    assert torch.equal(labelled.ppo_mask, labelled.slices == STUDENT_LED) and labelled.distill_mask.all()
    _, free = collected(config(teacher=teacher("noop", kwargs={"restrict_ppo_to_ppo_mask": False})))
    assert free.ppo_mask.all()
    _, cloned = collected(config(teacher=teacher("noop", "supervisor")))
    assert not cloned.ppo_mask.any()


def test_a_teacher_that_has_faded_out_is_asked_no_more(config: Config) -> None:
    witness = Witness()
    parts, labels = collected(config(teacher=teacher("noop", steps=512)), witness, batches=2)
    assert len(witness.seen) == 8
    assert (labels.slices == PPO).all() and labels.ppo_mask.all()
    assert parts.rollout.experience.actions.any(0).all()


def test_actions_that_the_student_has_not_are_executed_but_no_labels(
    config: Config, capsys: pytest.CaptureFixture
) -> None:
    parts, labels = collected(config(teacher=teacher("noop")), RandomPolicy(12))
    assert "training_env.vibe_actions=true lets it" in capsys.readouterr().err
    unknown = labels.actions == NO_LABEL
    assert 0.4 < float(unknown.float().mean()) < 0.75 and int(labels.actions.max()) == 4
    experience = parts.rollout.experience
    assert not experience.actions[unknown & labels.teacher_led_mask].any() and int(experience.actions.max()) == 4
    vibe = next(feature.id for feature in env_info(Mission()).features if feature.name == "vibe")
    tokens = experience.observations[-1, labels.teacher_led_mask]
    own = tokens[..., 0] == 0x55  # tokens of the agent's own cell
    assert ((tokens[..., 1] == vibe) & own).any()


def test_actions_that_the_student_has_not_are_refused_where_ppo_would_learn_from_them(config: Config) -> None:
    given = config(teacher=teacher("noop", kwargs={"restrict_ppo_to_ppo_mask": False}))
    with pytest.raises(UserError, match=r"change_vibe.*training_env\.vibe_actions=true"):
        collected(given, RandomPolicy(12))


@pytest.mark.parametrize("mode", MODES)
def test_the_student_comes_to_act_as_its_teacher_in_every_mode(config: Config, tmp_path: Path, mode: str) -> None:
    settings = config(
        teacher=teacher(save_net(tmp_path / "east"), mode, steps=100_000),
        trainer={"total_timesteps": 5120, "optimizer": {"learning_rate": 0.01}},
        checkpointer={"epoch_interval": 100},
    )
    train(settings)
    lines = read_metrics(folder(settings) / "metrics.jsonl")
    first, last = lines[0], lines[-1]
    for suffix in ("", "_teacher_led", "_student_led"):
        name = f"losses/supervised_action_loss{suffix}"
        assert last[name] < 0.75 * first[name]
        assert last[f"losses/teacher_agreement{suffix}"] > 0.99
    assert ("losses/policy_loss" in last) == (mode not in ("supervisor", "sliced_cloner_no_ppo"))
    assert last["experience/actions/move_east"] > first["experience/actions/move_east"] + 0.1
    led = last["hyperparameters/teacher_led_proportion"]
    assert led == pytest.approx(0.3 if mode == "supervisor" else 0.3 * (1 - 4608 / 100_000))
    assert last["timing_per_epoch/msec/teacher"] > 0


class HalfTime(NoopPolicy):
    """Goes east in the first half of an episode and north in the second, as the episode's token tells."""

    def step(self, observations: np.ndarray) -> np.ndarray:
        passed = next(
            feature.id for feature in env_info(Mission()).features if feature.name == "episode_completion_pct"
        )
        late = ((observations[..., 1] == passed) & (observations[..., 2] >= 128) & (observations[..., 0] != 0xFF)).any(
            -1
        )
        return np.where(late, NORTH, EAST).astype(np.int32)


def test_the_student_learns_what_its_teacher_sees(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(uri.PLAIN, "half_time", lambda info: HalfTime())
    monkeypatch.setattr(uri, "BUILT_IN", (*uri.BUILT_IN, "half_time"))
    settings = config(
        teacher=teacher("half_time"),
        agent={"name": "tutorial", "hidden_size": 64, "channels": [8, 16]},
        trainer={"total_timesteps": 15_360, "update_epochs": 4, "optimizer": {"learning_rate": 0.005}},
        checkpointer={"epoch_interval": 100},
    )
    train(settings)
    last = read_metrics(folder(settings) / "metrics.jsonl")[-10:]
    for suffix in ("_teacher_led", "_student_led"):
        assert np.mean([line[f"losses/teacher_agreement{suffix}"] for line in last]) > 0.7  # 0.5 for one action


@pytest.mark.parametrize("critic", ["mse", "gtd_lambda"])
def test_ppo_over_all_slices_stays_stable(config: Config, tmp_path: Path, critic: str) -> None:
    given = teacher(save_net(tmp_path / "east"), kwargs={"restrict_ppo_to_ppo_mask": False})
    losses = {"ppo_critic": {"critic_update": critic}}
    settings = config(teacher=given, trainer={"losses": losses, "update_epochs": 2})
    train(settings)
    last = read_metrics(folder(settings) / "metrics.jsonl")[-1]
    assert last["losses/approx_kl"] < 0.03 and last["losses/teacher_agreement"] > 0.99


def test_the_long_form_trains_as_the_short_one_does(config: Config) -> None:
    train(config(run="short", teacher=teacher("random")))
    section = {"sliced_scripted_cloner": {"enabled": True, **THIRDS}}
    train(config(run="long", trainer={"losses": section}, training_env={"supervisor_policy_uri": "random"}))
    short, long = (read_metrics(folder(config(run=run)) / "metrics.jsonl") for run in ("short", "long"))
    assert [without_clock(line) for line in short] == [without_clock(line) for line in long]


@pytest.mark.parametrize("kind", ["neural", "random"])
def test_a_resumed_run_with_a_teacher_is_bitwise_the_uninterrupted_one(
    config: Config, tmp_path: Path, kind: str
) -> None:
    """Slices, the teacher's memory and its random draws go on where they stopped."""
    path = save_net(tmp_path / "wanderer", to_the_east=False) if kind == "neural" else "random"
    given = teacher(path, "sliced_kickstarter" if kind == "neural" else "sliced_cloner", steps=1800)
    whole, halves = config(run="whole", teacher=given), config(run="halves", teacher=given)
    train(whole)
    interrupted(config(run="halves", teacher=given, trainer={"total_timesteps": 1024}), 2048)
    assert train(halves).finished
    one, other = (read_metrics(folder(settings) / "metrics.jsonl") for settings in (whole, halves))
    assert [without_clock(line) for line in one] == [without_clock(line) for line in other]
    left, right = (find_bundle(str(folder(settings))).weights for settings in (whole, halves))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_run_that_gets_another_teacher_goes_on_and_says_that_it_knows_nothing_yet(
    config: Config, capsys: pytest.CaptureFixture
) -> None:
    train(config(trainer={"total_timesteps": 512}))
    train(config(teacher=teacher("random"), trainer={"total_timesteps": 1024}))
    assert "teacher random: its memory was not saved and starts empty" in capsys.readouterr().out
    assert train(config(teacher=teacher("noop"))).finished
    assert "teacher noop: its memory was not saved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"policy_uri": "metta://policy/nobody", **THIRDS}, "nobody"),
        ({"policy_uri": "random"}, "both 0, nothing would be learned"),
        ({"policy_uri": "random", "mode": "kickstarter"}, "needs a trained policy"),
        ({"policy_uri": "wide", **THIRDS}, r"change_vibe.*training_env\.vibe_actions=true"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused_and_leaves_no_folder(
    config: Config, tmp_path: Path, given: dict, message: str
) -> None:
    if given["policy_uri"] == "wide":
        given = {**given, "policy_uri": save_net(tmp_path / "wide", actions=12)}
    with pytest.raises(UserError, match=message):
        train(config(teacher=given))
    assert not folder(config()).exists()


def test_a_student_with_more_actions_learns_from_a_teacher_with_fewer(config: Config, tmp_path: Path) -> None:
    settings = config(teacher=teacher(save_net(tmp_path / "east"), "kickstarter"), training_env={"vibe_actions": True})
    train(settings)
    last = read_metrics(folder(settings) / "metrics.jsonl")[-1]
    assert last["losses/teacher_agreement"] > 0.99 and last["losses/supervised_action_loss"] < 20


def test_the_command_of_the_guides_trains(tmp_path: Path) -> None:
    path = save_net(tmp_path / "east")
    given = f"{{mode: sliced_cloner, policy_uri: '{path}', teacher_led_proportion: 0.5, student_led_proportion: 0.5}}"
    words = "agent=lstm trainer.total_timesteps=2048 trainer.batch_size=512 trainer.bptt_horizon=8 device=cpu run=c "
    words += f"trainer.minibatch_size=128 training_env.map_pool=2 max_steps=24 system.data_dir={tmp_path}"
    assert runner.run(["recipes.experiment.cogsguard.train", f"teacher={given}", *words.split()]) == 0
    lines = read_metrics(tmp_path / "c" / "metrics.jsonl")
    assert lines[-1]["losses/teacher_agreement"] > 0.99
    assert lines[-1]["losses/supervised_action_loss"] < lines[0]["losses/supervised_action_loss"]
