"""Scripts in the style of those that people have: they collect, watch, train and evaluate with the packages' names."""

import json
from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pufferlib")

import torch
from cogames.cli.mission import get_mission
from cogames.cli.policy import parse_policy_spec
from cogames.cogs_vs_clips.reward_variants import apply_reward_variants
from cogames.device import resolve_training_device
from cogames.evaluate import evaluate
from cogames.play import play
from cogames.policy.starter_agent import StarterCogPolicyImpl
from cogames.policy.tutorial_policy import TutorialPolicyNet
from cogames.train import train
from mettagrid import MettaGridConfig
from mettagrid.config.game_value import stat
from mettagrid.config.reward_config import reward
from mettagrid.policy.loader import initialize_or_load_policy
from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy, PolicySpec, StatefulAgentPolicy
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.policy.submission import SubmissionPolicySpec
from mettagrid.renderer.miniscope.buffer import MapBuffer
from mettagrid.renderer.miniscope.symbol import DEFAULT_SYMBOL_MAP
from mettagrid.renderer.renderer import Renderer
from mettagrid.simulator import Action, Simulator
from mettagrid.simulator.rollout import Rollout
from rich.console import Console

from tests.compat.conftest import Load

STEPS = 12


def arena(steps: int = STEPS, cogs: int = 3) -> MettaGridConfig:
    _, env, _ = get_mission("cogsguard_arena.basic", cogs=cogs)
    env.game.max_steps, env.game.map_builder.seed = steps, 1
    return env


def agents_of(name: str, env: MettaGridConfig) -> list[AgentPolicy]:
    policy = initialize_or_load_policy(PolicyEnvInterface.from_mg_cfg(env), PolicySpec(class_path=name))
    return [policy.agent_policy(agent) for agent in range(env.game.num_agents)]


class FrameRecorder(Renderer):
    """Keeps a text frame of the surroundings of agent 0 for each step."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[str] = []
        self.choices: Counter[str] = Counter()

    def on_episode_start(self) -> None:
        symbols = DEFAULT_SYMBOL_MAP | {one.name: one.render_symbol for one in self._sim.config.game.objects.values()}
        self.buffer = MapBuffer(symbols, self._sim.map_height, self._sim.map_width)
        self.buffer.set_highlighted_agent(0)

    def on_step(self) -> None:
        objects = self._sim.grid_objects()
        me = next(one for one in objects.values() if one.get("agent_id") == 0)
        self.buffer.set_viewport(me["r"], me["c"], 11, 11)
        self.frames.append(self.buffer.render(objects))
        for infos in self._sim._context["policy_infos"].values():
            self.choices[infos["policy_name"]] += 1


def test_frames_are_captured_by_a_renderer_of_ones_own():
    env, recorder = arena(), FrameRecorder()
    rollout = Rollout(env, agents_of("starter", env), event_handlers=[recorder], seed=7)
    while not rollout.is_done():
        rollout.step()
    assert len(recorder.frames) == STEPS and recorder.choices == {"StatefulAgentPolicy": 3 * STEPS}
    assert all(frame.count("⭐") == 1 and len(frame.split("\n")) == 11 for frame in recorder.frames)
    assert len(set(recorder.frames)) > STEPS // 2


def test_demonstrations_of_raw_tokens_train_the_tutorials_net_alone():
    """A simulation stepped by hand; the net is called with float tokens and a pair of memories, as people do."""
    env = arena()
    info, sim = PolicyEnvInterface.from_mg_cfg(env), Simulator().new_simulation(env, seed=0)
    teachers = agents_of("miner", env)
    seen, done = [], []
    while not sim.is_done():
        for agent, teacher in zip(sim.agents(), teachers, strict=True):
            tokens = np.full(info.observation_shape, 255, np.uint8)
            for row, token in enumerate(agent.observation.tokens[: len(tokens)]):
                tokens[row] = token.raw_token
            action = teacher.step(agent.observation)
            agent.set_action(action)
            seen.append(tokens)
            done.append(info.action_names.index(action.name))
        sim.step()
    net = TutorialPolicyNet(info)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    observations, labels = torch.tensor(np.stack(seen[:STEPS])).float(), torch.tensor(done[:STEPS])
    losses = []
    for _ in range(3):
        memory = torch.zeros(len(labels), 1, net.hidden_size), torch.zeros(len(labels), 1, net.hidden_size)
        logits, values = net(observations, memory)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert (
        len(seen) == 3 * STEPS and logits.shape == (STEPS, 5) and values.shape == (STEPS, 1) and losses[-1] < losses[0]
    )


class HomesickImpl(StarterCogPolicyImpl):
    """Goes home when it is far away, by `lp:` tokens; else as the starter."""

    def step_with_state(self, obs, state):
        away = {token.feature.name: token.value for token in obs.tokens if token.feature.name.startswith("lp:")}
        back = {"lp:north": "move_south", "lp:south": "move_north", "lp:east": "move_west", "lp:west": "move_east"}
        far = max(away, key=lambda name: away[name], default=None)
        if far is not None and away[far] > 2:
            return Action(name=back[far]), state
        junction = self._closest_tag_location(obs, self._junction_tags)
        self._infos = {"junction": junction}
        return self._move_toward(state, junction)


class HomesickPolicy(MultiAgentPolicy):
    short_names = ["homesick-of-the-tests"]

    def agent_policy(self, agent_id):
        core = HomesickImpl(self._policy_env_info, agent_id, preferred_gear="scout")
        return StatefulAgentPolicy(core, self._policy_env_info, agent_id=agent_id)


def test_a_policy_composed_of_the_starter_stays_near_its_pad():
    env = arena(steps=60)
    rollout = Rollout(env, agents_of("homesick-of-the-tests", env))
    start = {one["agent_id"]: one["location"] for one in rollout._sim.grid_objects().values() if "agent_id" in one}
    rollout.run_until_done()
    end = {one["agent_id"]: one["location"] for one in rollout._sim.grid_objects().values() if "agent_id" in one}
    assert all(abs(end[k][0] - start[k][0]) <= 3 and abs(end[k][1] - start[k][1]) <= 3 for k in start)


def curriculum() -> MettaGridConfig:
    """A tree that is copied, changed and paid for."""
    base = arena(steps=8, cogs=2)
    env = base.model_copy(deep=True)
    apply_reward_variants(env, variants=["milestones", "credit"])
    for agent in env.game.agents:
        agent.rewards["explore"] = reward(stat("cell.visited"), weight=0.01)
    env.game = env.game.model_copy(update={"max_steps": 16})
    return env


def test_training_writes_what_playing_and_evaluating_take(tmp_path: Path):
    device, console = resolve_training_device(Console(), "cpu"), Console(file=StringIO())
    train(
        env_cfg=None, env_cfg_supplier=curriculum, policy_class_path="tutorial", device=device, num_steps=50,
        initial_weights_path=None, checkpoints_path=tmp_path, seed=1, minibatch_size=64, batch_size=128,
        vector_num_envs=1, vector_num_workers=1, checkpoint_interval=1, log_outputs=True,
    )  # fmt: skip
    (whole,) = tmp_path.glob("*.pt")
    run = tmp_path / whole.stem
    spec = SubmissionPolicySpec(**json.loads((run / "policy_spec.json").read_text()))
    assert spec.class_path == "cogames.policy.tutorial_policy.TutorialPolicy"
    weights = torch.load(run / str(spec.data_path), weights_only=True)
    assert weights.keys() == torch.load(whole, weights_only=True).keys() and "_rnn.weight_ih_l0" in weights
    assert torch.load(run / "trainer_state.pt", weights_only=True)["agent_step"] >= 50

    trained, other = parse_policy_spec(f"class=tutorial,data={whole}"), parse_policy_spec("starter")
    play(console, arena(cogs=2), trained, "arena", save_replay_file=tmp_path / "one.json.z")
    (summary,) = evaluate(
        console, [("arena", arena(cogs=4))], [trained, other], [1.0, 1.0], episodes=2, action_timeout_ms=10_000,
        save_replay=str(tmp_path / "replays"), output_format="json",
    )  # fmt: skip
    assert [one.agent_count for one in summary.policy_summaries] == [2, 2] and summary.episodes == 2
    assert set(summary.per_episode_per_policy_avg_rewards) == {0, 1}
    assert summary.policy_summaries[1].avg_agent_metrics["action.move.success"] > 0
    assert len(list((tmp_path / "replays").iterdir())) == 2 and (tmp_path / "one.json.z").is_file()
    told = console.file.getvalue()
    assert "Steps: 12" in told and '"mission_name": "arena"' in told and "cogames replay" in told


def test_the_originals_template_is_trained_saved_and_played(tmp_path: Path, load_original: Load):
    template = load_original("cogames.policy.trainable_policy_template")
    path = f"{template.__name__}.MyTrainablePolicy"
    env, folder = arena(cogs=2), tmp_path / "train_dir"
    train(env, path, torch.device("cpu"), None, 40, folder, 1, 32, 16, vector_num_envs=2, log_outputs=True)
    (weights,) = folder.glob("*.pt")
    first, again = (
        initialize_or_load_policy(PolicyEnvInterface.from_mg_cfg(env), PolicySpec(class_path=path, data_path=data))
        for data in (None, str(weights))
    )
    assert type(again) is template.MyTrainablePolicy
    assert any((a != b).any() for a, b in zip(first.network().parameters(), again.network().parameters(), strict=True))
    rollout = Rollout(env, [again.agent_policy(agent) for agent in range(2)])
    rollout.run_until_done()
    assert rollout.is_done() and rollout._sim.current_step == STEPS


def test_what_cannot_be_trained_or_evaluated_says_so(tmp_path: Path):
    with pytest.raises(ValueError, match="Either env_cfg or env_cfg_supplier"):
        train(None, "tutorial", torch.device("cpu"), None, 10, tmp_path, 0)
    with pytest.raises(AssertionError, match=r"must be trainable \(network\(\) returned None\)"):
        train(arena(), "starter", torch.device("cpu"), None, 10, tmp_path, 0, vector_num_envs=1)
    for missions, specs, shares in (([], ["noop"], [1]), ([("a", arena())], [], []), ([("a", arena())], ["noop"], [0])):
        with pytest.raises(ValueError):
            evaluate(Console(), missions, [PolicySpec(class_path=name) for name in specs], shares, 1, 1000)
