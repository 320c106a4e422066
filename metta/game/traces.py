"""Recorded episodes of the original: replay them on this engine and compare every array at every step."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metta.common.errors import UserError
from metta.game.engine.backends import Backend, make_batch
from metta.game.maps.names import from_names
from metta.game.mission import CogSettings, Mission
from metta.game.missions import load_mission
from metta.game.observation import PLAIN_ACTIONS, EnvInfo, collectives
from metta.game.resources import CLIPS, ELEMENTS, RESOURCES, action_names, move_and_vibe
from metta.game.variants import with_environment_variants

REWARD_TOLERANCE = 1e-6
MOST_BYTES = 1 << 30  # a trace that unpacks to more is refused
# Arrays by their axes: T steps, S states (T + 1), N agents, R resources, J junctions, B hubs, K tokens; digits as such.
AXES = {
    "grid": "HW", "actions": "TN", "success": "TN", "rewards": "TN", "pos": "SN2", "inv": "SNR", "vibe": "SN",
    "junctions": "J2", "owner": "SJ", "hub_hearts": "SB", "collective": "S4", "obs": "SNK3",
}  # fmt: skip
OPTIONAL = {"vibes": "TN", "terminals": "TN"}  # vibes: of a step in which an agent moves too, 0 for none
ACTIONS = {name: index for index, name in enumerate(action_names(vibes=True))}
SPEED_RUN, SPEED_RUN_STEPS = "speed_run", 600


Build = Callable[[dict[str, Any]], Mission]  # what a trace says of itself -> the mission that is compared


@dataclass(frozen=True)
class Trace:
    name: str
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """The first place at which engine and recording disagree."""

    step: int
    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"step {self.step}, {self.what}: expected {self.expected}, got {self.got}"


def load_trace(path: Path) -> Trace:
    """Read a recorded episode. Raises UserError for a file that is missing, not a trace or too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise UserError(f"{path}: unpacks to {size} bytes, more than {MOST_BYTES}")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("meta", *AXES) if name not in file.files]
            if missing:
                raise UserError(f"{path}: not a trace, it lacks {', '.join(missing)}")
            meta = json.loads(str(file["meta"]))
            names = [*AXES, *(name for name in OPTIONAL if name in file.files)]
            trace = Trace(path.stem, meta, {name: file[name] for name in names})
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable trace ({error})") from None
    _check_shapes(trace, str(path))
    return trace


def _check_shapes(trace: Trace, where: str) -> None:
    """Raise UserError unless all arrays are of one episode."""
    sizes = {"2": 2, "3": 3, "4": len(ELEMENTS), "K": EnvInfo.num_tokens}
    for name, array in trace.arrays.items():
        axes = (AXES | OPTIONAL)[name]
        known = [
            ("S", size + 1) if axis == "T" else (axis, size) for axis, size in zip(axes, array.shape, strict=False)
        ]
        if array.ndim != len(axes) or any(sizes.setdefault(axis, size) != size for axis, size in known):
            raise UserError(f"{where}: not a trace, {name} of shape {array.shape} does not fit its other arrays")


def trace_mission(meta: dict[str, Any]) -> Mission:
    """Mission of a trace. Its settings are those after the variants acted; only their effects on the built
    environment are applied here.

    Raises:
        UserError: settings that the engine does not know.
    """
    try:
        cog = {key: value for key, value in meta["cog"].items() if value is not None}
        unknown = set(cog) - set(CogSettings.model_fields)
        if unknown:
            raise UserError(f"unknown cog settings {', '.join(sorted(unknown))}")
        mission = Mission.model_validate(
            {
                "name": f"{meta['site']}.{meta['mission']}",
                "max_steps": meta["max_steps"],
                "num_agents": meta["num_agents"],
                "teams": meta["teams"],
                "cog": cog,
                "clips": meta["clips"],
                "weather": meta["weather"],
                "rewards": meta["reward_variants"],
            }
        )
        if SPEED_RUN in meta["variants"]:  # shortens the episode alone: the objective keeps the mission's steps
            usual = load_mission(meta["site"]).max_steps
            whole = usual if meta["max_steps"] == SPEED_RUN_STEPS else meta["max_steps"]
            mission = mission.model_copy(update={"max_steps": SPEED_RUN_STEPS, "built_steps": whole})
        return with_environment_variants(mission, meta["variants"])
    except (KeyError, ValueError) as error:
        raise UserError(f"cannot build its mission: {error}") from None


class Replay:
    """One trace on one environment, compared step by step."""

    def __init__(self, trace: Trace, backend: Backend = "cpu", build: Build = trace_mission):
        self.trace, self.meta, self.arrays = trace, trace.meta, trace.arrays
        self.mission = build(trace.meta)
        shorts = [team.short_name for team in self.mission.teams.values()]
        grid = from_names(self.arrays["grid"], shorts)
        self.batch = make_batch(backend, self.mission, 1, maps=grid[None], auto_reset=False)
        agents = self.batch.num_agents
        if agents != self.arrays["pos"].shape[1]:
            raise UserError(f"{self.arrays['pos'].shape[1]} agents, its mission has {agents}")
        self.obs = np.zeros((1, agents, *self.batch.info.observation_shape), np.uint8)
        self.rewards = np.zeros((1, agents), np.float32)
        self.terminals = np.zeros((1, agents), bool)
        self.truncations = np.zeros((1, agents), bool)
        self.owners = self.meta.get("owners") or [*self.mission.teams, CLIPS]
        try:
            self.flat = self._flat_actions()
            self.features = {int(key): name for key, name in self.meta["features"].items()}
            self.recorded = [RESOURCES.index(name) for name in self.meta["resources"]]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"what it says of its arrays does not fit them ({error!r})") from None

    def _flat_actions(self) -> np.ndarray:
        """What the agents did as this engine numbers it, int32 [T, N]."""
        ids = np.array([ACTIONS[name] for name in self.meta["actions"]], np.int32)
        acts = ids[self.arrays["actions"]]
        vibes = ids[self.arrays["vibes"]] if "vibes" in self.arrays else np.zeros_like(acts)
        return np.where(vibes >= PLAIN_ACTIONS, move_and_vibe(acts, vibes - PLAIN_ACTIONS), acts)

    def run(self) -> Difference | None:
        """Play the whole trace; the first difference, or None."""
        self.batch.reset(self.obs)
        difference = self._compare_state(0)
        for step in range(1, len(self.flat) + 1):
            if difference:
                return difference
            actions = np.ascontiguousarray(self.flat[step - 1][None])
            self.batch.step(actions, self.obs, self.rewards, self.terminals, self.truncations)
            difference = self._compare_step(step) or self._compare_state(step)
        return difference or self._compare_statistics(len(self.flat))

    def _compare_step(self, step: int) -> Difference | None:
        success = self.batch.successes()[0]
        for agent in np.flatnonzero(success != self.arrays["success"][step - 1]):
            action = self.meta["actions"][self.arrays["actions"][step - 1, agent]]
            what = f"agent {agent}, success of {action}"
            return Difference(step, what, str(self.arrays["success"][step - 1, agent]), str(success[agent]))
        expected = self.arrays["rewards"][step - 1]
        for agent in np.flatnonzero(np.abs(self.rewards[0] - expected) > REWARD_TOLERANCE):
            return Difference(step, f"agent {agent}, reward", f"{expected[agent]:.8g}", f"{self.rewards[0, agent]:.8g}")
        ends = self.arrays["terminals"][step - 1] if "terminals" in self.arrays else self.terminals[0]
        for agent in np.flatnonzero(ends != self.terminals[0]):
            return Difference(step, f"agent {agent}, end", str(ends[agent]), str(self.terminals[0, agent]))
        return None

    def _compare_state(self, step: int) -> Difference | None:
        arrays, batch = self.arrays, self.batch
        for agent, (there, here) in enumerate(zip(arrays["pos"][step], batch.positions()[0], strict=True)):
            if (there != here).any():
                return Difference(
                    step, f"agent {agent}, position", str(tuple(map(int, there))), str(tuple(map(int, here)))
                )
        inventory = batch.inventories()[0][:, self.recorded]
        for agent, item in np.argwhere(inventory != arrays["inv"][step]):
            what = f"agent {agent}, inventory of {self.meta['resources'][item]}"
            return Difference(step, what, str(arrays["inv"][step, agent, item]), str(inventory[agent, item]))
        for agent in np.flatnonzero(batch.vibes()[0] != arrays["vibe"][step]):
            return Difference(
                step, f"agent {agent}, vibe", str(arrays["vibe"][step, agent]), str(batch.vibes()[0, agent])
            )
        return self._compare_objects(step) or self._compare_team(step) or self._compare_observations(step)

    def _compare_objects(self, step: int) -> Difference | None:
        objects = self.batch.objects(0)
        owners = {(o["row"], o["col"]): o["owner"] for o in objects}
        for place, owner in zip(self.arrays["junctions"], self.arrays["owner"][step], strict=True):
            expected = None if owner < 0 else self.owners[owner]
            got = owners.get((int(place[0]), int(place[1])))
            if got != expected:
                return Difference(step, f"junction at {tuple(map(int, place))}, owner", str(expected), str(got))
        hearts = [o["stock"] for o in sorted(objects, key=lambda o: (o["row"], o["col"])) if o["type"].endswith(":hub")]
        for hub, (expected, got) in enumerate(zip(self.arrays["hub_hearts"][step], hearts, strict=True)):
            if expected != got:
                return Difference(step, f"hub {hub}, hearts", str(expected), str(got))
        return None

    def _compare_team(self, step: int) -> Difference | None:
        first = collectives(self.mission).index(next(iter(self.mission.teams)))
        inventory = self.batch.team_inventory()[0, first]
        for element, expected in zip(ELEMENTS, self.arrays["collective"][step], strict=True):
            got = inventory[RESOURCES.index(element)]
            if got != expected:
                return Difference(step, f"team inventory of {element}", str(expected), str(got))
        return None

    def _compare_observations(self, step: int) -> Difference | None:
        recorded = self.arrays["obs"][step]
        for agent in range(self.batch.num_agents):
            if (recorded[agent] == self.obs[0, agent]).all():
                continue
            difference = self._compare_tokens(step, agent, recorded[agent], self.obs[0, agent])
            if difference:
                return difference
        return None

    def _tokens(self, tokens: np.ndarray, ours: bool) -> list[tuple[int, list[tuple[str, str]]]]:
        """Cells in order, each with its tokens (feature, value) by name, in a fixed order."""
        names = {f.id: f.name for f in self.batch.info.features} if ours else self.features
        tags = self.batch.info.tags if ours else self.meta["tags"]
        teams = collectives(self.mission)  # both number them alphabetically
        cells: list[tuple[int, list[tuple[str, str]]]] = []
        for location, feature, value in tokens.tolist():
            if location == 0xFF:
                break
            name = names.get(feature, f"feature {feature}")
            text = str(value)
            if name == "tag" and value < len(tags):
                text = tags[value]
            elif name == "collective" and value < len(teams):
                text = teams[value]
            if not cells or cells[-1][0] != location:
                cells.append((location, []))
            cells[-1][1].append((name, text))
        return cells

    def _compare_tokens(self, step: int, agent: int, recorded: np.ndarray, ours: np.ndarray) -> Difference | None:
        expected, got = self._tokens(recorded, ours=False), self._tokens(ours, ours=True)
        for index in range(max(len(expected), len(got))):
            there = expected[index] if index < len(expected) else (0xFF, [])
            here = got[index] if index < len(got) else (0xFF, [])
            if there[0] != here[0]:
                return Difference(step, f"agent {agent}, {index + 1}th cell", _cell(there[0]), _cell(here[0]))
            missing = list((Counter(there[1]) - Counter(here[1])).elements())
            surplus = list((Counter(here[1]) - Counter(there[1])).elements())
            if missing or surplus:
                what = f"agent {agent}, {_cell(there[0])}"
                return Difference(step, what, _pairs(missing) or "nothing", _pairs(surplus) or "nothing")
            if there[0] == 0xFE and there[1] != here[1]:
                return Difference(step, f"agent {agent}, order of global tokens", _pairs(there[1]), _pairs(here[1]))
        return None

    def _compare_statistics(self, step: int) -> Difference | None:
        """Compare the counters at the end under the names that both keep; one that is absent is 0."""
        recorded, ours = self.meta.get("episode_stats"), self.batch.statistics(0)
        if not recorded:
            return None
        for agent, stats in enumerate(recorded["agent"]):
            for name, value in sorted(stats.items()):
                if name in ours.agent and not _close(value, ours.agent[name][agent]):
                    return Difference(
                        step, f"agent {agent}, statistic {name}", f"{value:g}", f"{ours.agent[name][agent]:g}"
                    )
        for team, stats in recorded["collective"].items():
            for name, value in sorted(stats.items()):
                got = ours.collective.get(team, {}).get(name, 0.0)
                if not _close(value, got):
                    return Difference(step, f"{team}, statistic {name}", f"{value:g}", f"{got:g}")
        for name, value in sorted(recorded["game"].items()):
            if not _close(value, ours.game.get(name, 0.0)):
                return Difference(step, f"game statistic {name}", f"{value:g}", f"{ours.game.get(name, 0.0):g}")
        return None


def _close(expected: float, got: float) -> bool:
    return abs(expected - got) <= 1e-6 * max(1.0, abs(expected))


def _cell(location: int) -> str:
    if location in (0xFE, 0xFF):
        return "global tokens" if location == 0xFE else "no further cell"
    return f"window cell ({location >> 4}, {location & 15})"


def _pairs(tokens: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in tokens)


def check_trace(path: Path, backend: Backend = "cpu", build: Build = trace_mission) -> tuple[int, Difference | None]:
    """Replay one file: number of steps, and the first difference or None. Raises UserError for a bad file."""
    trace = load_trace(path)
    try:
        replay = Replay(trace, backend, build)
    except UserError as error:
        raise UserError(f"{path}: {error}", error.about) from None
    return len(replay.flat), replay.run()
