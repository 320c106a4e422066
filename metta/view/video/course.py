"""How a replay goes, for what is drawn under every frame: scores, junctions held, and those that change hands."""

from dataclasses import dataclass, field

import numpy as np

from metta.eval.replay.file import Replay
from metta.eval.replay.header import AGENT_COLUMNS, NONE, ReplayHeader
from metta.eval.replay.recorder import COLUMN, REWARD_UNIT


@dataclass(frozen=True)
class Change:
    """A junction has another owner, -1 nobody, since `step`."""

    step: int
    row: int
    col: int
    owner: int


@dataclass
class Course:
    """Of each step: `scores` mean return of each collective's agents so far, `held` junctions it holds, both [C]."""

    scores: list[np.ndarray] = field(default_factory=list)
    held: list[np.ndarray] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def agents_of(header: ReplayHeader, state: np.ndarray) -> np.ndarray:
    """int64 [A, columns and inventory] of a state."""
    return state[: len(header.agents) * header.agent_width].reshape(len(header.agents), -1)


def objects_of(header: ReplayHeader, state: np.ndarray) -> np.ndarray:
    """Owner and stock of each object, int64 [O, 2], of a state."""
    first = len(header.agents) * header.agent_width
    return state[first : first + 2 * len(header.objects)].reshape(-1, 2)


def held_item(header: ReplayHeader, agents: np.ndarray, item: str) -> np.ndarray:
    """How much of an item each agent holds, int64 [A]; 0 where the game has none of it."""
    if item not in header.resources:
        return np.zeros(len(agents), np.int64)
    return agents[:, len(AGENT_COLUMNS) + header.resources.index(item)]


def plain_name(header: ReplayHeader, index: int) -> str:
    """What an object is, without its team: `junction`, `hub`, `carbon_extractor`."""
    return header.types[header.objects[index].type].name.split(":")[-1]


def course_of(replay: Replay) -> Course:
    """Raises UserError for a damaged replay."""
    header, course = replay.header, Course()
    teams = np.array([agent.team for agent in header.agents])
    sizes = np.maximum(1, np.bincount(teams, minlength=len(header.collectives)))
    junctions = np.array([plain_name(header, k) == "junction" for k in range(len(header.objects))], bool)
    returns, owners = np.zeros(len(teams)), np.zeros(0, np.int64)
    for chunk in range(len(replay.chunks)):
        for state in replay.states(chunk):
            before, owners = owners, objects_of(header, state)[:, 0]
            returns = returns + agents_of(header, state)[:, COLUMN["reward"]] * REWARD_UNIT
            course.scores.append(np.bincount(teams, returns, len(header.collectives)) / sizes)
            holding = owners[junctions & (owners >= 0) & (owners < len(header.collectives))]
            course.held.append(np.bincount(holding, minlength=len(header.collectives)))
            if len(before):
                course.changes += [
                    Change(len(course.held) - 1, header.objects[k].row, header.objects[k].col, int(owners[k]))
                    for k in np.flatnonzero(junctions & (before != owners) & (owners >= NONE))
                ]
    return course
