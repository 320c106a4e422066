"""One environment played step by step, with all that the diagnostics look at."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metta.common.errors import UserError
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, collectives, env_info
from metta.game.resources import ELEMENTS, GEAR, RESOURCES
from metta.policy.interface import Policy, begin_episodes, tells
from metta.policy.scripted.layout import TASKS
from metta.policy.scripted.policy import ROLES

# Kinds of things on the map; gear stations have the name of their gear.
KINDS = ("nothing", "hub", "junction", "extractor", *GEAR)
NOTHING, HUB, JUNCTION, EXTRACTOR = range(4)
NEUTRAL, COGS, CLIPS = range(3)  # owners
STEPS = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])  # row and column by move action
GLOBAL = 0xFE  # location of tokens that describe no cell (rules 8)
CARGO = [RESOURCES.index(element) for element in ELEMENTS]
INTENTS = ("mine", "align", "scramble")  # tasks that have a target to check


@dataclass(frozen=True)
class World:
    """What holds before a step. A agents, H x W cells."""

    positions: np.ndarray  # int32 [A, 2]: row, column
    inventories: np.ndarray  # int32 [A, resources]
    kinds: np.ndarray  # int8 [H, W]: index into KINDS
    owners: np.ndarray  # int8 [H, W]
    stock: dict[str, int]  # the team's elements, and the hearts in its hub

    @property
    def cargo(self) -> np.ndarray:
        """Elements that each agent carries, int32 [A]."""
        return self.inventories[:, CARGO].sum(1)

    @property
    def totals(self) -> dict[str, int]:
        """The stock, all its elements together as `ore`, and the influence that all agents have."""
        influence = self.inventories[:, RESOURCES.index("influence")]
        return self.stock | {"ore": sum(self.stock[name] for name in ELEMENTS), "influence": int(influence.sum())}

    def around(self, agent: int) -> list[tuple[int, int]]:
        """The agent's cell and its four neighbours, as far as they are on the map."""
        height, width = self.kinds.shape
        cells = (self.positions[agent] + STEPS).tolist()
        return [(row, col) for row, col in cells if 0 <= row < height and 0 <= col < width]

    def worn(self, gear: str) -> np.ndarray:
        return self.inventories[:, RESOURCES.index(gear)]


@dataclass(frozen=True)
class Scene:
    """One step: the world before it, what the policy did and meant, and what came of it."""

    step: int  # from 1
    before: World
    after: World
    actions: np.ndarray  # int32 [A]: as the policy gave them
    executed: np.ndarray  # int32 [A]: the last_action that each agent observes; -1: it sees none
    succeeded: np.ndarray  # bool [A]
    roles: list[str]  # "none" without one
    intents: list[tuple[str, int, int] | None]  # one of INTENTS, row and column of its target

    def ahead(self, agent: int) -> tuple[int, int] | None:
        """The cell that an agent moves to or uses; None where it does not move or the map ends."""
        action = int(self.actions[agent])
        if not 0 < action < len(STEPS):
            return None
        row, col = (self.before.positions[agent] + STEPS[action]).tolist()
        return (row, col) if (row, col) in self.before.around(agent) else None

    def kind_ahead(self, agent: int) -> str:
        cell = self.ahead(agent)
        return KINDS[self.before.kinds[cell]] if cell else "nothing"


class Player:
    """Plays a policy in one environment of a mission with one team."""

    def __init__(self, mission: Mission, policy: Policy, seed: int) -> None:
        if len(mission.teams) > 1:
            raise UserError(f"{mission.name}: has several teams, the checks follow one")
        self.mission, self.policy = mission, policy
        self.info: EnvInfo = env_info(mission)
        self.batch = EnvBatch(mission, 1, maps=build_pool(mission, 1, seed), seed=seed, auto_reset=False)
        self._team = collectives(mission).index(next(iter(mission.teams)))
        self._last_action = next(feature.id for feature in self.info.features if feature.name == "last_action")
        self._seed = seed

    def scenes(self, steps: int) -> Iterator[Scene]:
        """The first steps of an episode; fewer where it ends before."""
        shape = (1, self.batch.num_agents)
        observations = np.zeros((*shape, self.info.num_tokens, 3), np.uint8)
        rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
        self.batch.reset(observations)
        begin_episodes(self.policy, self.batch.num_agents, [self._seed])
        world = self._world()
        for step in range(1, min(steps, self.mission.max_steps) + 1):
            actions = self.policy.step(observations)
            self.batch.step(actions, observations, rewards, terminals, truncations)
            before, world = world, self._world()
            yield Scene(
                step=step,
                before=before,
                after=world,
                actions=actions[0].copy(),
                executed=self._executed(observations[0]),
                succeeded=self.batch.successes()[0],
                roles=self._roles(before),
                intents=self._intents(before),
            )
        self.batch.close()

    def _world(self) -> World:
        shape = self.batch.map(0).shape
        kinds, owners = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
        hearts = 0
        for thing in self.batch.objects(0):
            kind = kind_of(thing["type"])
            cell = thing["row"], thing["col"]
            kinds[cell] = kind
            owners[cell] = NEUTRAL if thing["owner"] is None else CLIPS if thing["owner"] == "clips" else COGS
            hearts += thing["stock"] if kind == HUB else 0
        team = self.batch.team_inventory()[0, self._team]
        stock = {name: int(team[RESOURCES.index(name)]) for name in sorted(ELEMENTS)}
        return World(self.batch.positions()[0], self.batch.inventories()[0], kinds, owners, stock | {"heart": hearts})

    def _executed(self, observations: np.ndarray) -> np.ndarray:
        """Tokens uint8 [A, tokens, 3] -> the last action that each agent reads from them."""
        found = (observations[..., 0] == GLOBAL) & (observations[..., 1] == self._last_action)
        values = np.where(found, observations[..., 2], 0).sum(1)
        return np.where(found.any(1) & (values < len(self.info.action_names)), values, -1)

    def _roles(self, world: World) -> list[str]:
        """The roles that the policy tells, else the gear that the agents wear."""
        if tells(self.policy):
            return [ROLES[role] for role in self.policy.roles[0]]
        worn = np.stack([world.worn(gear) for gear in GEAR], 1)
        return [GEAR[int(row.argmax())] if row.any() else "none" for row in worn]

    def _intents(self, world: World) -> list[tuple[str, int, int] | None]:
        if not tells(self.policy):
            return [None] * self.batch.num_agents
        tasks = [TASKS[task] for task in self.policy.tasks[0]]
        targets = self.policy.targets[0] + np.argwhere(world.kinds == HUB)[0]
        return [
            (task, *target) if task in INTENTS else None for task, target in zip(tasks, targets.tolist(), strict=True)
        ]


def kind_of(name: str) -> int:
    """Kind of a thing by its type name: `c:hub`, `junction`, `carbon_extractor`, `c:miner`."""
    base = name.rpartition(":")[2]
    return EXTRACTOR if base.endswith("_extractor") else KINDS.index(base) if base in KINDS else NOTHING


class Sight:
    """What each agent, and the team together, saw last of every cell."""

    def __init__(self, world: World, window: tuple[int, int]) -> None:
        agents = len(world.positions)
        self._reach = window[0] // 2, window[1] // 2
        self._kinds = np.zeros((agents + 1, *world.kinds.shape), np.int8)  # the last row is the team's
        self._owners = np.zeros_like(self._kinds)

    def look(self, world: World) -> None:
        for agent in range(len(world.positions)):
            view = self.window(world, agent)
            for row in (agent, -1):
                self._kinds[row][view], self._owners[row][view] = world.kinds[view], world.owners[view]

    def window(self, world: World, agent: int) -> tuple[slice, slice]:
        """Rows and columns that an agent sees."""
        row, col = world.positions[agent].tolist()
        down, across = self._reach
        return slice(max(0, row - down), row + down + 1), slice(max(0, col - across), col + across + 1)

    def was(self, agent: int, row: int, col: int, kind: int) -> bool:
        """Did the agent, or its team, see a thing of that kind there last?"""
        return kind in self._at(self._kinds, agent, row, col)

    def owned(self, agent: int, row: int, col: int) -> bool:
        """Had the cogs what stands there, in the last sight of both the agent, where it saw it, and its team?"""
        kinds, owners = self._at(self._kinds, agent, row, col), self._at(self._owners, agent, row, col)
        known = [owner for kind, owner in zip(kinds, owners, strict=True) if kind != NOTHING]
        return bool(known) and all(owner == COGS for owner in known)

    def count(self, agent: int, kind: int | None = None) -> int:
        """Things of a kind, or of all, that an agent saw and that stood there in its last sight."""
        kinds = self._kinds[agent]
        return int((kinds != NOTHING).sum() if kind is None else (kinds == kind).sum())

    def _at(self, array: np.ndarray, agent: int, row: int, col: int) -> tuple[int, int]:
        inside = 0 <= row < array.shape[1] and 0 <= col < array.shape[2]
        return (int(array[agent, row, col]), int(array[-1, row, col])) if inside else (NOTHING, NOTHING)
