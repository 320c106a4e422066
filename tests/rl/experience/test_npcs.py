"""NPCs while experience is collected: who is who, what is stored, and that nothing of an NPC reaches the gradients."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metta.common.seeds import derive
from metta.policy.nets.interface import State
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.uri import make_policy
from metta.rl.build import Parts, build, plan
from metta.rl.experience.labels import Labels
from metta.rl.experience.npcs import Npcs
from metta.rl.experience.rollout import Experience
from metta.rl.experience.teacher_settings import EerSettings, Teaching
from metta.rl.learning.losses.eer import teacher_rewards
from metta.rl.learning.update import gather
from metta.rl.run.timing import Stopwatch
from metta.rl.settings import RunConfig
from tests.rl.experience.test_teacher import EAST, save_net

Config = Callable[..., RunConfig]
ENVS, AGENTS, LEARNERS = 16, 8, 4
TEACHERS = ("sliced_cloner", "sliced_cloner_no_ppo", "supervisor", "kickstarter", "sliced_kickstarter",
            "eer_kickstarter", "eer_cloner")  # fmt: skip


def beside(*paths: str, **changes: Any) -> dict[str, Any]:
    return {"dual_policy": {"enabled": True, "checkpoint_npcs": [{"path": path} for path in paths], **changes}}


@dataclass
class Record:
    """All that happened to all agents, step by step, noted beside the rollout."""

    observations: list[Tensor] = field(default_factory=list)  # [agents, ...]
    actions: list[Tensor] = field(default_factory=list)
    rewards: list[Tensor] = field(default_factory=list)
    ended: list[Tensor] = field(default_factory=list)
    learners: list[Tensor] = field(default_factory=list)  # int64 [places] among all agents
    against: list[Tensor] = field(default_factory=list)  # int64 [envs]


def collected(config: RunConfig) -> tuple[Parts, Npcs, Record]:
    """Parts after one batch in which every agent got rewards of its own, and a record of it."""
    parts = build(plan(config))
    npcs = parts.rollout.npcs
    assert isinstance(npcs, Npcs)
    record, join, end_step, step = Record(), npcs.join, npcs.end_step, parts.rollout.env.step
    random = np.random.default_rng(3)

    def stepped(actions: Any, observations: Any, rewards: Any, *flags: Any) -> None:
        step(actions, observations, rewards, *flags)
        rewards[:] = random.normal(size=rewards.shape)  # the game's would nearly all be 0 in so few steps

    def joined(executed: Tensor, observations: Tensor) -> Tensor:
        record.learners.append(npcs.pick(torch.arange(len(observations))))
        record.against.append(npcs._against.clone())
        record.observations.append(observations.clone())
        record.actions.append(join(executed, observations))
        return record.actions[-1]

    def ended(rewards: Tensor, ended: Tensor) -> None:
        record.rewards.append(rewards.clone())
        record.ended.append(ended.clone())
        end_step(rewards, ended)

    npcs.join, npcs.end_step = joined, ended
    parts.rollout.env.step = stepped  # pyright: ignore[reportAttributeAccessIssue]
    parts.rollout.env.take_truncated = lambda: None  # pyright: ignore[reportAttributeAccessIssue] - see test_cut.py
    parts.rollout.start()
    parts.rollout.begin(0, 0)
    assert parts.rollout.collect(Stopwatch(), lambda: False)
    return parts, npcs, record


def test_as_many_agents_as_asked_for_learn_in_every_environment_and_each_as_often(config: Config) -> None:
    """Episodes of two steps in 16 environments: many casts."""
    _, _, record = collected(config(trainer=beside("noop"), mission={"max_steps": 2}))
    times = np.zeros((ENVS, AGENTS))
    for learners in record.learners:
        per_env = learners.view(ENVS, LEARNERS)
        assert torch.equal(per_env // AGENTS, torch.arange(ENVS).unsqueeze(1).expand(-1, LEARNERS))
        assert (per_env.diff(dim=1) > 0).all()
        np.add.at(times, (per_env // AGENTS, per_env % AGENTS), 1)
    share = times.sum(0) / times.sum()
    np.testing.assert_allclose(share, 1 / AGENTS, atol=0.04)


def test_who_learns_changes_only_where_an_episode_ends(config: Config) -> None:
    _, _, record = collected(config(trainer=beside("noop", "random"), mission={"max_steps": 5}))
    changed = 0
    for step in range(1, 8):
        over = record.ended[step - 1].view(ENVS, AGENTS)[:, 0]
        same = (record.learners[step] == record.learners[step - 1]).view(ENVS, LEARNERS).all(1)
        assert same[~over].all()
        assert (record.against[step] == record.against[step - 1])[~over].all()
        changed += int((~same).sum())
    assert changed > 5


@pytest.mark.parametrize("envs", [16, 4])
def test_what_is_stored_is_what_happened_to_those_who_learned(config: Config, envs: int) -> None:
    """In one round of eight steps, or four: each fills the columns of its own."""
    given = config(trainer=beside("noop", "random"), mission={"max_steps": 5}, training_env={"num_envs": envs})
    parts, _, record = collected(given)
    experience, places = parts.rollout.experience, envs * LEARNERS
    assert experience.actions.shape == (8, 64) and len(record.learners) == 8 * 64 // places
    before = torch.ones(envs * AGENTS, dtype=torch.bool)
    for number, learners in enumerate(record.learners):
        step, columns = number % 8, slice(number // 8 * places, (number // 8 + 1) * places)
        assert torch.equal(experience.observations[step, columns], record.observations[number][learners])
        assert torch.equal(experience.actions[step, columns], record.actions[number][learners])
        assert torch.equal(experience.rewards[step, columns], record.rewards[number][learners])
        assert torch.equal(experience.dones[step, columns], record.ended[number][learners])
        assert torch.equal(experience.resets[step, columns], before[learners])
        before = record.ended[number]
    assert experience.dones.any() and not experience.dones.all()


def test_centring_is_by_the_rewards_of_those_who_learn(config: Config) -> None:
    centring = {"advantage": {"reward_centering": {"enabled": True, "beta": 0.5}}}
    parts, _, record = collected(config(trainer={**beside("random"), **centring}))
    rewards = torch.stack([part[rows] for part, rows in zip(record.rewards, record.learners, strict=True)])
    mean = torch.zeros(ENVS * LEARNERS)
    for step, paid in enumerate(rewards):
        torch.testing.assert_close(parts.rollout.experience.rewards[step], paid - mean)
        mean += 0.5 * (paid - mean)
    assert parts.rollout.mean_reward == pytest.approx(float(rewards.mean()), rel=1e-4)


def test_each_npc_does_what_its_policy_says(config: Config, tmp_path) -> None:
    paths = ("noop", save_net(tmp_path / "east"), "random")
    _, _, record = collected(config(trainer=beside(*paths), mission={"max_steps": 5}))
    done: dict[int, Tensor] = {}
    for step, actions in enumerate(record.actions):
        is_npc = torch.ones(ENVS * AGENTS, dtype=torch.bool)
        is_npc[record.learners[step]] = False
        opponent = record.against[step].repeat_interleave(AGENTS)
        for index in range(3):
            done[index] = torch.cat([done.get(index, actions[:0]), actions[is_npc & (opponent == index)]])
    assert not done[0].any() and (done[1] == EAST).all()
    assert set(done[2].tolist()) == set(range(12)), "NPCs have all actions of the environment"
    assert min(len(part) for part in done.values()) > 50


def replayed(net, record: Record, rows: Callable[[int], Tensor], fresh: Callable[[int], Tensor]) -> list[State]:
    """The net's memory after each step, for the agents `rows(step)`; forgotten before it where `fresh(step)`."""
    state, states = net.initial_state(len(rows(0))), []
    with torch.inference_mode():
        for step, observations in enumerate(record.observations):
            state = tuple(part.masked_fill(fresh(step).unsqueeze(-1), 0) for part in state)
            _, state = net.act(observations[rows(step)], state)
            states.append(state)
    return states


def npc_rows(record: Record, step: int) -> Tensor:
    learns = torch.zeros(ENVS * AGENTS, dtype=torch.bool)
    learns[record.learners[step]] = True
    return (~learns).nonzero().squeeze(-1)


def begins(record: Record, rows: Tensor, step: int) -> Tensor:
    return record.ended[step - 1][rows] if step else torch.ones(len(rows), dtype=torch.bool)


def test_the_memory_of_both_sides_is_their_own_and_ends_with_the_episode(config: Config, tmp_path) -> None:
    """Two NPC nets of one shape share a buffer; each agent's memory is that of the net that plays it, nobody else's."""
    paths = [save_net(tmp_path / name, to_the_east=east) for name, east in (("one", True), ("other", False))]
    parts, npcs, record = collected(config(trainer=beside(*paths), mission={"max_steps": 5}))
    own = replayed(
        parts.net, record, lambda step: record.learners[step], lambda step: begins(record, record.learners[step], step)
    )
    for mine, expected in zip(parts.rollout._state, own[-1], strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-4)
    (memory,) = npcs._memory.values()
    over = record.ended[-1].view(ENVS, AGENTS)[:, 0].repeat_interleave(AGENTS - LEARNERS)
    opponent = record.against[-1].repeat_interleave(AGENTS - LEARNERS)
    for index in range(2):
        net = npcs.pool[index].policy.net  # pyright: ignore[reportAttributeAccessIssue]
        states = replayed(
            net, record, lambda step: npc_rows(record, step), lambda step: begins(record, npc_rows(record, step), step)
        )
        for mine, expected in zip(memory, states[-1], strict=True):
            here = (opponent == index) & ~over
            assert here.any()
            torch.testing.assert_close(mine[here], expected[here], atol=1e-5, rtol=1e-4)
    assert all(not part[over].any() for part in memory)


def without_npcs(parts: Parts, record: Record, config: RunConfig) -> Experience:
    """The batch again from the record of all agents, their NPCs' rows removed; every number is computed anew."""
    net, places = parts.net, ENVS * LEARNERS
    experience = Experience.allocate(8, places, net.info, net.initial_state(1), torch.device("cpu"))
    state, ended = net.initial_state(places), torch.ones(ENVS * AGENTS, dtype=torch.bool)
    outputs = []
    with torch.inference_mode():
        for step, rows in enumerate(record.learners):
            state = tuple(part.masked_fill(ended[rows].unsqueeze(-1), 0) for part in state)
            output, state = net.act(record.observations[step][rows], state)
            log_probs = output.logits.log_softmax(-1)
            actions = record.actions[step][rows]
            experience.observations[step] = record.observations[step][rows]
            experience.actions[step], experience.values[step] = actions, output.values
            experience.log_probs[step] = log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
            experience.rewards[step], experience.resets[step] = record.rewards[step][rows], ended[rows]
            ended = record.ended[step]
            experience.dones[step] = ended[rows]
            outputs.append(log_probs)
        rows = parts.rollout.npcs.pick(torch.arange(ENVS * AGENTS))
        state = tuple(part.masked_fill(ended[rows].unsqueeze(-1), 0) for part in state)
        experience.next_values[:] = net.act(parts.rollout._observations[rows], state)[0].values
    return experience if config.teaching is None else taught(experience, torch.stack(outputs), parts, config.teaching)


def taught(experience: Experience, log_probs: Tensor, parts: Parts, teaching: Teaching) -> Experience:
    """The batch with what a teacher says of it, asked anew; the draw of the slices is the run's."""
    labels = Labels.allocate(8, ENVS * LEARNERS, 5, teaching.mode.neural, torch.device("cpu"))
    drawn = parts.rollout.experience.labels
    assert drawn is not None
    labels = replace(labels, slices=drawn.slices, ppo_mask=drawn.ppo_mask, strength=drawn.strength)
    teacher = make_policy(teaching.policy_uri, parts.net.info)
    assert isinstance(teacher, NeuralPolicy)
    teacher.reset(ENVS, LEARNERS, derive(7, "teacher"))
    for step, seen in enumerate(experience.observations):
        advice = teacher.advise(seen.view(ENVS, LEARNERS, 200, 3).numpy())
        labels.actions[step] = torch.from_numpy(advice.actions.reshape(-1)).long()
        if labels.log_probs is not None and labels.values is not None:
            labels.log_probs[step], labels.values[step] = advice.log_probs, advice.values
        teacher.end_episodes(experience.dones[step].view(ENVS, LEARNERS)[:, 0].numpy())
    probabilities = log_probs.gather(-1, labels.actions.unsqueeze(-1)).squeeze(-1).exp()
    labels.ratios[:] = torch.where(labels.teacher_led_mask, probabilities, 1.0)
    assert (experience.actions == labels.actions)[:, labels.teacher_led_mask].all()
    experience.log_probs[:, labels.teacher_led_mask] = 0
    if isinstance(teaching.loss, EerSettings):
        experience.rewards[:] += teacher_rewards(labels, experience.actions, 5, teaching.loss)
    return replace(experience, labels=labels)


def gradients(parts: Parts, experience: Experience) -> list[Tensor]:
    """Of the run's losses over the whole batch, with advantages computed for it."""
    updater, segments = parts.updater, torch.arange(experience.actions.shape[1])
    advantages = torch.empty_like(experience.values)
    updater._advantages(experience, experience.values, experience.first_ratios(), advantages)
    batch = gather(experience, segments, experience.values, advantages, torch.ones(len(segments)))
    updater.differentiate(experience, segments, batch, Stopwatch())
    found = [torch.zeros(1) if part.grad is None else part.grad for part in parts.net.parameters()]
    updater.optimizer.zero_grad()
    return found


LOSSES = {
    "ppo_actor": {"losses": {"ppo_critic": {"enabled": False}}},
    "ppo_critic mse": {"losses": {"ppo_actor": {"enabled": False}}},
    "ppo_critic gtd_lambda": {
        "losses": {"ppo_actor": {"enabled": False}, "ppo_critic": {"critic_update": "gtd_lambda"}}
    },
    "both with gtd_lambda": {"losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}},
}  # fmt: skip


@pytest.mark.parametrize("loss", [*LOSSES, *TEACHERS])
def test_gradients_are_bitwise_those_of_the_batch_without_the_rows_of_npcs(config: Config, tmp_path, loss: str) -> None:
    """Episodes end in the midst of segments, and with them changes who learns."""
    trainer = {**LOSSES.get(loss, {}), **beside("random", save_net(tmp_path / "npc", to_the_east=False))}
    shares = {"teacher_led_proportion": 0.3, **({"student_led_proportion": 0.4} if loss.startswith("sliced") else {})}
    teacher = {"policy_uri": save_net(tmp_path / "teacher", to_the_east=False), "mode": loss, **shares}
    given = config(trainer=trainer, mission={"max_steps": 5}, **({"teacher": teacher} if loss in TEACHERS else {}))
    parts, _, record = collected(given)
    expected = gradients(parts, without_npcs(parts, record, given))
    found = gradients(parts, parts.rollout.experience)
    assert any(part.any() for part in found)
    assert all(torch.equal(mine, other) for mine, other in zip(found, expected, strict=True))


def test_gradients_of_the_npcs_own_rows_would_be_others(config: Config) -> None:
    given = config(trainer=beside("random"), mission={"max_steps": 5})
    parts, _, record = collected(given)
    record.learners = [npc_rows(record, step) for step in range(8)]
    record.actions = [actions.clamp(max=4) for actions in record.actions]
    pairs = zip(
        gradients(parts, parts.rollout.experience), gradients(parts, without_npcs(parts, record, given)), strict=True
    )
    assert not any(torch.equal(mine, other) for mine, other in pairs)


def test_episodes_find_who_played_them_by_number_though_others_are_missing(config: Config) -> None:
    """A device's log keeps only so many: what is handed out may lack the oldest."""
    given = config(trainer=beside("random"), mission={"max_steps": 2}, training_env={"desync_episodes": True})
    reports = []
    for first in (0, 21):
        parts, npcs, _ = collected(given)
        episodes = parts.rollout.env.take_episodes()
        assert {episode.number for episode in episodes} > {0, 1, 2}
        reports.append(npcs.report(episodes[first:][::-1], lambda episode: True, 512)[0])
    every = {(episode.env, episode.number): episode.returns.tolist() for episode in reports[0]}
    some = {(episode.env, episode.number): episode.returns.tolist() for episode in reports[1]}
    assert len(every) == len(some) + 21 and some.items() <= every.items()


def test_numbers_of_episodes_go_on_in_a_resumed_run(config: Config) -> None:
    parts, npcs, _ = collected(config(trainer=beside("random"), mission={"max_steps": 5}))
    again = build(plan(config(trainer=beside("random"), mission={"max_steps": 5})))
    again.rollout.load_state_dict(parts.rollout.state_dict())
    assert isinstance(again.rollout.npcs, Npcs)
    assert again.rollout.npcs._numbers.tolist() == npcs._numbers.tolist() != [0] * ENVS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_nets_play_npcs_on_a_cuda_device(config: Config, tmp_path, backend: str) -> None:
    """In half precision: memory stays near what single precision gives."""
    trainer = beside(save_net(tmp_path / "npc", to_the_east=False))
    found = []
    for device, engine in (("cpu", "cpu"), ("cuda", backend)):
        parts = build(plan(config(trainer=trainer, system={"device": device}, env={"backend": engine})))
        parts.rollout.start()
        parts.rollout.begin(0, 0)
        assert parts.rollout.collect(Stopwatch(), lambda: False)
        (memory,) = parts.rollout.npcs._memory.values()  # pyright: ignore[reportAttributeAccessIssue]
        found.append(memory)
    for single, half in zip(*found, strict=True):
        assert half.dtype is torch.float32 and half.device.type == "cuda" and bool(half.isfinite().all())
        assert float(half.abs().mean()) == pytest.approx(float(single.abs().mean()), rel=0.1)
