"""The engine and the reference side by side: played on, compared everywhere, and the first difference named."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from metta.game.engine.batch import EnvBatch, Episode
from metta.game.mission import Mission
from metta.game.resources import RESOURCES
from tests.game.reference.events import schedule
from tests.game.reference.sight import TOKENS, observe
from tests.game.reference.step import diversity, step
from tests.game.reference.world import Cog, Thing, World
from tests.game.state import AGENT, EMPTY, OBJECT, WALL, covers, occupants, occupied

GAINS = {"gain_diversity": "gained", "deposit_diversity": "deposited"}


class DifferenceError(AssertionError):
    """The engine and the reference disagree."""


@dataclass
class Buffers:
    """What the caller of a batch owns."""

    observations: np.ndarray
    rewards: np.ndarray
    terminals: np.ndarray
    truncations: np.ndarray

    @classmethod
    def of(cls, envs: int, agents: int) -> "Buffers":
        shape = envs, agents
        observations = np.zeros((*shape, TOKENS, 3), np.uint8)
        return cls(observations, np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool))

    def step(self, batch: EnvBatch, actions: np.ndarray) -> None:
        batch.step(actions, self.observations, self.rewards, self.terminals, self.truncations)


class Twin:
    """A batch with automatic reset and one reference world for each of its environments."""

    def __init__(self, mission: Mission, maps: np.ndarray, seed: int, envs: int, desync: bool = False):
        self.mission, self.events = mission, schedule(mission)
        self.batch = EnvBatch(mission, envs, maps=maps, seed=seed, desync=desync)
        self.buffers = Buffers.of(envs, mission.agents)
        self.worlds = [World(mission, maps, seed, e, desync) for e in range(envs)]
        self.batch.reset(self.buffers.observations)
        for world in self.worlds:
            self._check(world, observe(world))

    def step(self, actions: np.ndarray) -> None:
        """Play one step, int32 [E, A], and compare. Raises DifferenceError."""
        self.buffers.step(self.batch, actions)
        episodes = {episode.env: episode for episode in self.batch.take_episodes()}
        for e, world in enumerate(self.worlds):
            observations, rewards = step(world, self.events, actions[e].tolist())
            self._equal(world, "rewards", self.buffers.rewards[e].tolist(), [float(reward) for reward in rewards])
            finished = world.time >= self.mission.max_steps
            terminal = finished and self.mission.quirks.time_limit_is_terminal
            ended = finished or world.time >= world.limit
            flags = self.buffers.terminals[e].tolist(), self.buffers.truncations[e].tolist()
            expected = [terminal] * len(rewards), [ended and not terminal] * len(rewards)
            self._equal(world, "terminals and truncations", flags, expected)
            self._equal(world, "end of the episode", e in episodes, ended)
            if ended:
                self._check_statistics(world, episodes[e])
                world.start()
                observations = observe(world)
            self._check(world, observations)

    def _equal(self, world: World, what: str, engine: object, reference: object) -> None:
        if engine != reference:
            where = f"environment {world.number}, episode {world.episode}, step {world.time}"
            raise DifferenceError(f"{where}, {what}:\n  engine    {engine}\n  reference {reference}")

    def _check(self, world: World, observations: bytes) -> None:
        """Compare everything that the batch shows of one environment."""
        e, batch, cogs = world.number, self.batch, world.cogs
        self._equal(world, "map", int(batch.map(e).tobytes() == world.grid.tobytes()), 1)
        self._equal(world, "positions", batch.positions()[e].tolist(), [list(cog.place) for cog in cogs])
        for cog, held in zip(cogs, batch.inventories()[e].tolist(), strict=True):
            inventory = {item: amount for item, amount in zip(RESOURCES, held, strict=True) if amount}
            amounts = dict(sorted(cog.bag.amounts.items(), key=lambda pair: RESOURCES.index(pair[0])))
            self._equal(world, f"inventory of agent {cog.number}", inventory, amounts)
        self._equal(world, "vibes", batch.vibes()[e].tolist(), [cog.vibe for cog in cogs])
        self._equal(world, "successes", batch.successes()[e].tolist(), [cog.success for cog in cogs])
        stocks = [[team.amounts[item] for item in RESOURCES] for team in world.teams.values()]
        self._equal(world, "stocks of the teams", batch.team_inventory()[e].tolist(), stocks)
        things = [(t.type, *t.place, t.owner, t.stock) for t in world.things]
        self._equal(world, "objects", [tuple(o.values()) for o in batch.objects(e)], things)
        self._check_cells(world)
        self._check_observations(world, observations)
        self._check_statistics(world, batch.statistics(e))

    def _check_cells(self, world: World) -> None:
        """The cells name who stands on them; the areas counted on them are those of the owned sources, counted anew."""
        standing = np.full(world.grid.shape, EMPTY)
        for place, there in world.at.items():
            standing[place] = AGENT + there.number if isinstance(there, Cog) else WALL if is_wall(there) else OBJECT
        self._equal_cells(world, "who stands on", occupants(self.batch, world.number), standing)
        self._equal_cells(world, "mark of", occupied(self.batch, world.number), (standing != EMPTY).astype(int))
        rows, cols = np.indices(world.grid.shape)
        cover = np.zeros((*world.grid.shape, len(world.names)), int)
        for source in world.sources():
            near = (rows - source.place[0]) ** 2 + (cols - source.place[1]) ** 2 <= self.mission.area.radius**2
            cover[near, world.names.index(str(source.owner))] += 1
        self._equal_cells(world, "areas that cover", covers(self.batch, world.number), cover)

    def _equal_cells(self, world: World, what: str, engine: np.ndarray, reference: np.ndarray) -> None:
        for place in np.argwhere(engine != reference)[:1].tolist():
            self._equal(world, f"{what} cell {place}", int(engine[tuple(place)]), int(reference[tuple(place)]))

    def _check_observations(self, world: World, observations: bytes) -> None:
        ours = np.frombuffer(observations, np.uint8).reshape(len(world.cogs), TOKENS, 3)
        seen = self.buffers.observations[world.number]
        for agent, token in np.argwhere((seen != ours).any(-1))[:1].tolist():
            what = f"token {token} of agent {agent} (location, feature, value)"
            self._equal(world, what, seen[agent, token].tolist(), ours[agent, token].tolist())

    def _check_statistics(self, world: World, episode: Episode) -> None:
        about = {"map": world.map, "steps": world.time, "env": world.number}
        self._equal(world, "episode", {name: getattr(episode, name) for name in about}, about)
        self._equal(world, "returns", episode.returns.tolist(), [float(cog.returns) for cog in world.cogs])
        for cog in world.cogs:
            counted = {name: float(values[cog.number]) for name, values in episode.agent.items() if values[cog.number]}
            expected = cog.stats + Counter({f"{item}.amount": n for item, n in cog.bag.amounts.items()})
            self._equal(world, f"statistics of agent {cog.number}", without_diversity(counted), dict(expected))
            for name, what in GAINS.items():
                same = np.isclose(counted.get(name, 0), float(diversity(cog, what)))
                self._equal(world, f"{name} of agent {cog.number}", bool(same), True)
        for name, team in world.teams.items():
            self._equal(world, f"statistics of {name}", episode.collective[name], dict(team.statistics()))
        tokens = {
            "tokens_written": world.written,
            "tokens_dropped": world.dropped,
            "tokens_free_space": TOKENS * world.observations - world.written,
        }
        self._equal(world, "tokens", {name: episode.game[name] for name in tokens}, tokens)


def is_wall(thing: Thing) -> bool:
    return thing.type == "wall"


def without_diversity(statistics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in statistics.items() if name not in GAINS}
