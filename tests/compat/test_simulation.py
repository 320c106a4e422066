"""Simulations, environments, handlers and replays of mettagrid over this engine."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pufferlib")

from cogames.cli.mission import get_mission
from cogames.cli.policy import parse_policy_spec
from mettagrid import MettaGridConfig
from mettagrid.envs.early_reset_handler import EarlyResetHandler
from mettagrid.envs.mettagrid_puffer_env import MettaGridPufferEnv
from mettagrid.envs.pettingzoo_env import MettaGridPettingZooEnv
from mettagrid.envs.stats_tracker import StatsTracker
from mettagrid.policy.policy import PolicySpec
from mettagrid.renderer.miniscope.buffer import MapBuffer
from mettagrid.renderer.miniscope.symbol import DEFAULT_SYMBOL_MAP
from mettagrid.runner.rollout import run_episode_local
from mettagrid.simulator import Action, Simulation, Simulator, SimulatorEventHandler
from mettagrid.simulator.replay_log_writer import InMemoryReplayWriter, ReplayLogWriter
from mettagrid.simulator.rollout import Rollout
from mettagrid.util.stats_writer import NoopStatsWriter
from pufferlib.pufferlib import set_buffers


def config(steps: int = 10, cogs: int = 3, **words: Any) -> MettaGridConfig:
    env = get_mission("cogsguard_arena.basic", cogs=cogs, **words)[1]
    env.game.max_steps, env.game.map_builder.seed = steps, 1
    return env


def simulation(*handlers: SimulatorEventHandler, **words: Any) -> Simulation:
    simulator = Simulator()
    for handler in handlers:
        simulator.add_event_handler(handler)
    return simulator.new_simulation(config(**words), seed=3)


def grid(sim: Simulation) -> list[tuple[int, int]]:
    return [(one["r"], one["c"]) for one in sim.grid_objects(ignore_types=["agent"]).values()]


class Diary(SimulatorEventHandler):
    """Writes down what it is told, and at which step."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def on_episode_start(self) -> None:
        self.lines.append(f"start {self._sim.current_step}")

    def on_step(self) -> None:
        self.lines.append(f"step {self._sim.current_step}")

    def on_episode_end(self) -> None:
        self.lines.append("end")

    def on_close(self) -> None:
        self.lines.append("close")


def test_agents_see_and_hold_what_the_original_shows_at_the_start():
    sim = simulation(cogs=8)
    agent = sim.agent(0)
    assert agent.inventory == {"energy": 100, "hp": 50, "solar": 1}
    assert agent.global_observations["inv:collective:carbon"] == 24 and agent.last_action_success is False
    own = [token.feature.name for token in agent.self_observation()]
    assert own[:3] == ["collective", "tag", "tag"] and own[-3:] == ["agent:group", "agent:frozen", "agent_id"]
    assert sim.action_names[5] == "change_vibe_default" and sim.vibe_action_ids["change_vibe_scout"] == 11
    assert sim.object_type_names[:2] == ["agent", "c:aligner"] and len(sim.object_type_names) == 25
    assert (sim.map_height, sim.map_width, sim.num_agents, sim.current_step) == (60, 60, 8, 0)
    (hub,) = [one for one in sim.grid_objects().values() if one["type_name"] == "c:hub"]
    assert (hub["location"], hub["inv:heart"], hub["collective_name"], hub["tag_ids"]) == ((29, 29), 5, "cogs", [0, 3])
    (first,) = [one for one in sim.grid_objects().values() if one.get("agent_id") == 0]
    assert first["inventory_capacities"][0] == 20 and first["inventory_capacities"][4] == 65535
    assert sim._c_sim.get_collective_inventories()["cogs"]["oxygen"] == 24
    assert sim._c_sim.get_agent_stat(0, "energy.amount") == 100 and sim._c_sim.get_agent_stat(0, "nothing") is None


def test_actions_stay_until_they_are_set_again():
    sim = simulation()
    sim.agent(0).set_action(Action(name="change_vibe_gear"))
    sim.agent(1).set_action("move_north")
    for _ in range(2):
        sim.step()
    stats = sim.episode_stats["agent"]
    assert stats[0]["action.change_vibe.success"] == 2 and stats[1]["action.move.success"] == 2
    sim._c_sim.actions()[:] = 99
    sim.step()
    assert sim.episode_stats["agent"][2]["action.invalid_index"] == 1


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({"miner": 1, "carbon": 100, "hp": 60}, {"hp": 60, "carbon": 4, "miner": 1}),  # the last comes first
        ({"hp": 500, "energy": 5, "heart": 30}, {"energy": 5, "hp": 100}),  # without hp no heart
        ({"scout": 1, "aligner": 1}, {}),
        ({}, {}),
        ({"hp": 30, "scout": 1, "aligner": 1, "solar": 9}, {"hp": 30, "solar": 9}),
    ],
)
def test_what_an_agent_holds_is_replaced_within_its_limits(given: dict[str, int], held: dict[str, int]):
    """What mettagrid 0.8.4 gives."""
    sim = simulation(cogs=2, variants_arg=["no_weather"])
    agent = sim.agent(0)
    agent.set_inventory(given)
    names = sim.resource_names
    (me,) = [one for one in sim.grid_objects().values() if one.get("agent_id") == 0]
    assert {names[item]: amount for item, amount in me["inventory"].items()} == held
    assert agent.inventory == {"energy": 100, "hp": 50, "solar": 1}  # seen after the next step
    stats = sim.episode_stats["agent"][0]
    assert (stats["energy.lost"], stats["hp.lost"], stats["death"]) == (100, 50, 1)
    assert all(stats[f"{name}.gained"] == amount for name, amount in held.items())
    sim.step()
    assert set(agent.inventory) - {"energy", "hp"} == set(held) - {"energy", "hp"}


def test_handlers_are_told_in_order_and_a_closed_simulation_stands_still():
    diary = Diary()
    sim = simulation(diary, steps=2)
    sim.step()
    sim.step()
    assert sim.is_done() and sim._c_sim.terminals().all() and not sim._c_sim.truncations().any()
    sim.close()
    sim.close()
    assert diary.lines == ["start 0", "step 1", "step 2", "end", "close"]


def test_the_next_simulation_has_the_next_map_and_the_same_number_the_same():
    simulator, again = Simulator(), Simulator()
    first, second = (simulator.new_simulation(config()) for _ in range(2))
    assert grid(first) != grid(second)
    assert grid(first) == grid(again.new_simulation(config()))


def environment(buf: Any = None, **words: Any) -> MettaGridPufferEnv:
    simulator = Simulator()
    simulator.add_event_handler(StatsTracker(NoopStatsWriter()))
    return MettaGridPufferEnv(simulator, config(**words), buf=buf, seed=5)


def test_the_puffer_environment_has_the_originals_spaces():
    env = environment()
    spaces = str(env.single_observation_space), str(env.single_action_space), str(env.single_vibe_action_space)
    assert spaces == ("Box(0, 255, (200, 3), uint8)", "Discrete(5)", "Discrete(7)")
    assert env.single_transport_action_space.n == 40 and env.action_space.nvec.tolist() == [40] * 3
    assert (env.num_agents, env.emulated, env.done, env.render_mode) == (3, False, False, "ansi")
    assert env.render().count("\n") == 59


def test_an_episode_ends_with_its_statistics_and_the_next_step_begins_another():
    env = environment(steps=4)
    first, info = env.reset()
    assert first is env.observations and info == {}
    told = [env.step(np.ones(3, np.int64))[4] for _ in range(4)]
    assert told[:3] == [{}] * 3 and env.terminals.all()
    assert set(told[3]) >= {"game", "agent", "per_agent", "collective", "attributes"}
    assert told[3]["attributes"]["steps"] == 4 and told[3]["agent"]["action.move.success"] > 0
    env.step(np.zeros(3, np.int32))
    assert env.current_simulation.current_step == 1 and not env.terminals.any()


@pytest.mark.parametrize(
    ("actions", "done"),
    [
        ([1, 1, 1], {"action.move.success"}),
        ([[0], [0], [0]], {"action.noop.success"}),
        ([5, 5, 5], {"action.noop.success", "action.change_vibe.success"}),  # noop + 5 x (vibe 0 + 1)
        ([36, 36, 36], {"action.move.success", "action.change_vibe.success"}),
        ([[1, 6], [1, 2], [1, 0]], {"action.move.success", "action.change_vibe.success"}),
        ([[1, 11], [1, 7], [1, 7]], {"action.move.success", "action.change_vibe.success"}),
    ],
)
def test_moves_and_vibes_come_in_one_number_or_two(actions: list[Any], done: set[str]):
    env = environment()
    env.reset()
    env.step(np.array(actions))
    stats = env.current_simulation.episode_stats["agent"][0]
    assert {name for name in stats if name.startswith("action") and name.endswith("success")} == done


def test_pufferlibs_buffers_are_written_after_the_reset():
    env = environment()
    set_buffers(env, None)
    mine = env.observations
    env.reset()
    assert env.observations is mine and (mine[:, 0, 0] == 0xFE).all()


def test_a_supervisor_labels_every_observation():
    spec = PolicySpec(class_path="tests.compat.user_policies.BatchedPolicy")
    env = MettaGridPufferEnv(Simulator(), config(), supervisor_policy_spec=spec)
    env.reset()
    assert env.teacher_actions.tolist() == [0, 1, 2]
    env.step(np.zeros(3, np.int32))
    assert env.teacher_actions.tolist() == [1, 2, 3]


def test_chosen_statistics_come_with_every_step():
    keys = ["game/objects.wall", "collective/cogs/carbon.amount", "attributes/steps", "agent/reward_step"]
    env = MettaGridPufferEnv(Simulator(), config(), step_info_keys=keys)
    infos = env.step(np.zeros(3, np.int32))[4]
    assert infos["collective/cogs/carbon.amount"] == 24 and infos["attributes/steps"] == 1
    assert infos["_per_agent_infos"][2] == {"reward_step": 0}


def test_the_first_played_episode_is_cut_at_a_random_step():
    np.random.seed(0)
    simulator = Simulator()
    simulator.add_event_handler(EarlyResetHandler())
    env = MettaGridPufferEnv(simulator, config(steps=100))
    env.reset()
    lengths = []
    for _ in range(2):
        steps = 1
        while not (env.step(np.zeros(3, np.int32))[2] | env.truncations).all():
            steps += 1
        lengths.append(steps)
    assert lengths[0] < 100 and lengths[1] == 100


def test_the_pettingzoo_environment_passes_the_librarys_own_checks():
    from pettingzoo.test import parallel_api_test

    env = MettaGridPettingZooEnv(Simulator(), config(steps=5))
    parallel_api_test(env, num_cycles=12)
    seen, _ = env.reset(seed=1)
    assert list(seen) == [0, 1, 2] and env.action_space(0).n == 5


def test_a_replay_tells_each_thing_once_and_changes_by_step(tmp_path: Path):
    writer, files = InMemoryReplayWriter(), ReplayLogWriter(tmp_path)
    sim = simulation(writer, files, StatsTracker(NoopStatsWriter()), steps=4)
    sim.agent(0).set_action("move_north")
    for _ in range(4):
        sim.step()
    (replay,) = writer.get_completed_replays()
    data = json.loads(json.dumps(replay.get_replay_data()))
    assert (data["version"], data["max_steps"], data["map_size"]) == (4, 4, [60, 60])
    assert data["collective_names"] == ["clips", "cogs"] and data["capacity_names"][0] == "cargo"
    agent = next(one for one in data["objects"] if one.get("agent_id") == 0)
    assert [step for step, _ in agent["location"]] == [0, 1, 2, 3] and agent["action_id"] == 1
    wall = data["objects"][0]
    assert (wall["type_name"], wall["location"], wall["collective_id"]) == ("wall", [0, 0], -1)
    (path,) = files.get_written_replay_paths()
    assert json.loads(zlib.decompress(Path(path).read_bytes()))["objects"] == data["objects"]


def test_the_map_in_characters_has_arrows_where_it_goes_on():
    sim = simulation()
    symbols = DEFAULT_SYMBOL_MAP | {one.name: one.render_symbol for one in sim.config.game.objects.values()}
    buffer = MapBuffer(symbols, sim.map_height, sim.map_width)
    buffer.set_viewport(29, 29, 25, 35)
    lines = buffer.render(sim.grid_objects()).split("\n")
    assert len(lines) == 25 and lines[0] == "◤ " + "▲ " * 33 + "◥" and lines[-1][0] == "◣"
    assert all(line.startswith("◀ ") and line.endswith("▶") for line in lines[1:-1])
    assert "⛏️" in "".join(lines) and "🟦" in "".join(lines)
    whole = buffer.render_full_map(sim.grid_objects()).split("\n")
    assert len(whole) == 60 and whole[0] == "⬛" * 60


def test_an_episode_is_played_by_classes_of_policies(tmp_path: Path):
    specs = [parse_policy_spec("starter"), parse_policy_spec("class=noop,proportion=2")]
    result, replay = run_episode_local(
        policy_specs=specs, assignments=[0, 1, 0], env=config(), replay_path=tmp_path / "replay.json.z", seed=2
    )
    assert result.steps == 10 and len(result.rewards) == 3 and replay is not None
    assert result.stats["agent"][1]["action.noop.success"] == 10


def test_agents_without_a_policy_stand_still():
    class North:
        infos: dict[str, Any] = {}

        def reset(self) -> None: ...

        def step(self, obs: Any) -> Action:
            return Action(name="move_north")

    rollout = Rollout(config(), [North()])
    rollout.run_until_done()
    stats = rollout._sim.episode_stats["agent"]
    assert stats[0]["action.move.success"] > 0 and stats[2]["action.noop.success"] == 10
    assert rollout._policy_infos[0]["policy_name"] == "North" and rollout.timeout_counts == [0]
