"""What people's code does wrong raises here what it raises there, and says what there is instead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pufferlib")

from cogames.cli.mission import find_mission, get_mission, load_mission_set, parse_variants
from cogames.cli.policy import parse_policy_spec
from cogames.cogs_vs_clips.mission import CvCMission, NumCogsVariant
from cogames.cogs_vs_clips.reward_variants import apply_reward_variants
from cogames.cogs_vs_clips.sites import COGSGUARD_ARENA, make_cogsguard_arena_site
from cogames.cogs_vs_clips.team import CogTeam
from cogames.cogs_vs_clips.variants import ForcedRoleVibesVariant, MultiTeamVariant
from mettagrid import MettaGridConfig
from mettagrid.config.mettagrid_config import GameConfig
from mettagrid.envs.mettagrid_puffer_env import MettaGridPufferEnv
from mettagrid.envs.pettingzoo_env import MettaGridPettingZooEnv
from mettagrid.map_builder.ascii import AsciiMapBuilder
from mettagrid.mettagrid_c import PackedCoordinate
from mettagrid.policy.loader import initialize_or_load_policy
from mettagrid.policy.policy import AgentPolicy, MultiAgentPolicy, PolicySpec
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.policy.utils import LSTMState
from mettagrid.runner.rollout import run_episode_local
from mettagrid.simulator import Action, Simulation, Simulator
from mettagrid.simulator.rollout import Rollout
from pydantic import ValidationError

Call = Callable[[], Any]
Row = tuple[Call, type[Exception], str]
CLASSES = "tests.compat.user_policies"


def arena(**edits: Any) -> MettaGridConfig:
    """Three cogs, four steps, and fields of the game by dotted path, with `__` for the dots."""
    env = get_mission("cogsguard_arena.basic", cogs=3)[1]
    env.game.max_steps, env.game.map_builder.seed = 4, 1
    return env.update({f"game.{path.replace('__', '.')}": value for path, value in edits.items()})


def simulation(env: MettaGridConfig | None = None) -> Simulation:
    return Simulator().new_simulation(env or arena())


def edited(**changes: Any) -> Call:
    return lambda: simulation(arena(**changes))


def initial(**held: int) -> Call:
    env = arena()
    env.game.agents[0].inventory.initial |= held
    return lambda: simulation(env)


def mission(cogs: int, site: Any = COGSGUARD_ARENA, **fields: Any) -> CvCMission:
    team = {"cogs": CogTeam(num_agents=cogs)}
    return CvCMission(name="mine", description="", site=site, teams=team, **fields)


CONFIGURATION: dict[str, Row] = {
    "unknown field": (lambda: CogTeam(welth=3), ValidationError, "welth"),
    "unknown field of a mission": (lambda: mission(2, max_stepps=3), ValidationError, "max_stepps"),
    "missing field": (lambda: MettaGridConfig(label="x"), ValidationError, "game"),
    "bound": (lambda: GameConfig(**{**arena().game.model_dump(), "num_agents": 0}), ValidationError, "num_agents"),
    "new attribute": (lambda: setattr(arena(), "no_such_field", 1), ValueError, "no field"),
    "path": (lambda: arena().override("game.max_step", 3), ValueError, "did you mean max_steps"),
    "number of cogs": (
        lambda: find_mission("cogsguard_arena").with_variants([NumCogsVariant(num_cogs=30)]), ValueError, "1 and 20",
    ),
    "more cogs than members": (
        lambda: get_mission("cogsguard_arena.basic", cogs=9), ValueError, "num_cogs=9: the teams have 8 agents",
    ),
    "more cogs than pads": (
        lambda: simulation(mission(8, make_cogsguard_arena_site(4)).make_env()), ValueError, "room for 1 to 4 agents",
    ),
    "difficulty": (
        lambda: get_mission("basic", difficulty="eazy"), ValueError,
        "'eazy'. Available difficulties: easy, med",
    ),
    "variant": (lambda: parse_variants(["dark_sid"]), ValueError, "Unknown variant 'dark_sid'.*dark_side"),
    "number of teams": (lambda: MultiTeamVariant(num_teams=3), ValidationError, "num_teams"),
    "reward variant": (
        lambda: apply_reward_variants(arena(), variants="milestones_2"), ValueError, "'milestones_2'.*milestones",
    ),
    "role": (
        lambda: mission(2, variants=[ForcedRoleVibesVariant(role_order=["mine"])]).make_env(), ValueError,
        "roles are miner, aligner",
    ),
    "mission": (lambda: get_mission("no_such_mission"), ValueError, "Could not find mission name or site no_such"),
    "two dots": (lambda: get_mission("a.b.c"), ValueError, "at most one"),
    "set": (lambda: load_mission_set("hard"), ValueError, "unknown mission set 'hard'"),
    "file": (lambda: get_mission("missing.yaml"), ValueError, "File not found: missing.yaml"),
    "object of a map": (
        edited(map_builder=AsciiMapBuilder.Config(map_data="@@@k", char_to_map_name={"k": "castle"})), RuntimeError,
        "castle",
    ),
    "window": (edited(obs__width=17), RuntimeError, "game.obs.width=17: this engine shows odd numbers"),
    "resource": (initial(gold=3), KeyError, "^game.agents.0.inventory.initial: no resource gold"),
    "resource of a price": (edited(actions__move__consumed_resources={"enrgy": 1}), KeyError, "did you mean energy"),
    "place": (lambda: PackedCoordinate.pack(15, 0), ValueError, "row 15"),
}  # fmt: skip


def load(path: str, data: str | None = None, **words: Any) -> MultiAgentPolicy:
    info = PolicyEnvInterface.from_mg_cfg(arena())
    return initialize_or_load_policy(info, PolicySpec(class_path=path, data_path=data, init_kwargs=words))


class Answer(AgentPolicy):
    """Always gives the same answer, or raises it."""

    def __init__(self, answer: Any) -> None:
        super().__init__(PolicyEnvInterface.from_mg_cfg(arena()))
        self.answer = answer

    def step(self, obs: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answering(answer: Any, agents: int = 1) -> Call:
    return lambda: Rollout(arena(), [Answer(answer)] * agents).run_until_done()


NOOPS = [PolicySpec(class_path="noop")]
POLICIES: dict[str, Row] = {
    "path without a dot": (lambda: load("nothing"), ModuleNotFoundError, "Invalid symbol name: nothing"),
    "module": (lambda: load("no_such_module.Policy"), ModuleNotFoundError, "No module named 'no_such_module'"),
    "class": (lambda: load(f"{CLASSES}.Missing"), ModuleNotFoundError, "Could not load symbol"),
    "no policy of all": (
        lambda: load(f"{CLASSES}.Turner", agent_id=0, stride=1), TypeError, "is not a MultiAgentPolicy.*AgentPolicy",
    ),
    "arguments": (lambda: load(f"{CLASSES}.TurningPolicy", strides=3), TypeError, "strides"),
    "data": (lambda: load(f"{CLASSES}.TurningPolicy", data="none"), FileNotFoundError, "none"),
    "short name": (
        lambda: type(MultiAgentPolicy)("Mine", (MultiAgentPolicy,), {"short_names": ["starter"]}), ValueError,
        "'starter' belongs to cogames.policy.starter_agent.StarterPolicy",
    ),
    "policy that raises": (answering(ZeroDivisionError("mine")), ZeroDivisionError, "mine"),
    "unknown action": (answering(Action("move_up")), KeyError, "move_up"),
    "number": (answering(3), AttributeError, "name"),
    "nothing": (answering(None), AttributeError, "name"),
    "more policies than agents": (answering(Action("noop"), 4), IndexError, ""),
    "assignments": (
        lambda: run_episode_local(policy_specs=NOOPS, assignments=[0], env=arena()), ValueError, "3 numbers of 1 pol",
    ),
    "assignment": (
        lambda: run_episode_local(policy_specs=NOOPS, assignments=[0, 0, 1], env=arena()), ValueError, "assignments",
    ),
    "batched": (
        lambda: load(f"{CLASSES}.TurningPolicy").step_batch(np.zeros((3, 200, 3), np.uint8), np.zeros(3, np.int32)),
        NotImplementedError, "TurningPolicy does not implement step_batch",
    ),
    "agent": (lambda: load(f"{CLASSES}.FailingPolicy").agent_policy(1).step(None), NotImplementedError, "step"),
    "spec": (lambda: parse_policy_spec("class=noop,speed=3"), ValueError, "cannot read 'speed=3'"),
    "spec without a class": (lambda: parse_policy_spec("proportion=3"), ValueError, "names no class"),
    "memory": (lambda: LSTMState.from_any([1, 2], 1), TypeError, "list"),
}  # fmt: skip


def environment(**words: Any) -> MettaGridPufferEnv:
    env = MettaGridPufferEnv(Simulator(), arena(), **words)
    env.reset()
    return env


def acting(actions: Any) -> Call:
    return lambda: environment().step(np.array(actions))


def closed(of: Callable[[], Any], then: Callable[[Any], Any]) -> Call:
    def call() -> Any:
        one = of()
        one.close()
        return then(one)

    return call


def pettingzoo(actions: dict[int, int]) -> None:
    env = MettaGridPettingZooEnv(Simulator(), arena())
    env.reset()
    env.step(actions)


ENVIRONMENTS: dict[str, Row] = {
    "few actions": (acting([0, 0]), ValueError, "2 actions of 3 agents"),
    "three columns": (acting([[0] * 3] * 3), ValueError, r"shape \(3, 3\)"),
    "negative": (acting([-1, 0, 0]), ValueError, "-1 to 0"),
    "out of range": (acting([40, 40, 40]), ValueError, "vibes are 0 to 6"),
    "mixed": (acting([0, 5, 0]), ValueError, "for all agents or for none"),
    "no number": (acting([np.nan] * 3), ValueError, "no number"),
    "list": (lambda: environment().step([0, 0, 0]), AttributeError, "dtype"),
    "step after the end": (closed(environment, lambda env: env.step(np.zeros(3, np.int32))), AssertionError, ""),
    "simulation after the end": (closed(environment, lambda env: env.current_simulation), RuntimeError, "closed"),
    "simulation stepped after the end": (closed(simulation, lambda sim: sim.step()), AttributeError, "closed"),
    "agent": (lambda: simulation().agent(99), IndexError, ""),
    "feature": (lambda: simulation().get_feature(200), KeyError, "200"),
    "action by name": (lambda: simulation().agent(0).set_action("move_up"), KeyError, "move_up"),
    "inventory": (lambda: simulation().agent(0).set_inventory({"hpp": 3}), ValueError, "no resource hpp.*hp"),
    "amount": (lambda: simulation().agent(0).set_inventory({"hp": -1}), TypeError, "amounts are 0 to 65535"),
    "step infos": (lambda: environment(step_info_keys=["reward"]), ValueError, "'reward' is none of game/"),
    "another number of agents": (
        lambda: environment().set_mg_config(get_mission("cogsguard_arena.basic", cogs=2)[1]), RuntimeError, "2 agents",
    ),
    "pettingzoo": (lambda: pettingzoo({0: 5}), ValueError, "action 5 of agent 0"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [pytest.param(*row, id=name) for rows in (CONFIGURATION, POLICIES, ENVIRONMENTS) for name, row in rows.items()],
)
def test_an_error_is_of_the_kind_that_code_expects(call: Call, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message or None):
        call()


def test_what_is_no_error_there_is_none_here(tmp_path: Path):
    rollout = Rollout(arena(), [Answer("move_north")])  # a name without an Action, fewer policies than agents
    rollout.run_until_done()
    sim = rollout._sim
    assert sim.episode_stats["agent"][0]["action.move.success"] > 0 and sim.is_done()
    sim.close()
    sim.close()
    env = environment()
    env.close()
    assert env.reset()[0].shape == (3, 200, 3)
