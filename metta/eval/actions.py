"""The actions of a match: a few kilobytes from which the engine makes the whole game again, whoever chose them."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metta.common.errors import UserError
from metta.eval.match import Match, MatchResult, Player
from metta.eval.playing import play_match
from metta.eval.replay.file import Replay
from metta.eval.replay.header import AGENT_COLUMNS
from metta.eval.replay.keeping import BatchRecorder
from metta.game.engine.batch import Batch
from metta.policy.interface import Policy
from metta.policy.team import draw_seats

ACTION = AGENT_COLUMNS.index("action")
STORED = np.dtype("<i2")


class ActionLog:
    """Watches a match and keeps every action."""

    def begin(self, batch: Batch, policy: Policy) -> None:
        self._steps: list[np.ndarray] = []  # int16 [envs, agents] each

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        self._steps.append(actions.astype(STORED))

    def packed(self) -> list[bytes]:
        """Of each episode: int16 [steps, agents], compressed."""
        whole = np.stack(self._steps, 1)
        return [zlib.compress(episode.tobytes()) for episode in whole]


def unpacked(match: Match, packed: Sequence[bytes]) -> np.ndarray:
    """The actions of a match, int32 [steps, episodes, agents]. Raises UserError for what is not of its size."""
    shape = (match.max_steps, match.mission.agents)
    size = STORED.itemsize * shape[0] * shape[1]
    episodes = []
    for data in packed:
        unpacker = zlib.decompressobj()
        try:
            whole = unpacker.decompress(data, size + 1)
        except zlib.error:
            whole = b""
        if len(whole) != size:
            raise UserError(f"the actions of an episode are damaged: not {shape[0]:,} steps of {shape[1]} agents")
        episodes.append(np.frombuffer(whole, STORED).reshape(shape))
    if len(episodes) != len(match.seeds):
        raise UserError(f"the match has {len(match.seeds)} episodes, {len(episodes)} have actions")
    return np.stack(episodes, 1).astype(np.int32)


def of_replays(match: Match, replays: Sequence[Replay]) -> np.ndarray:
    """The actions that the replays of a match hold, int32 [steps, episodes, agents].

    Raises UserError for a damaged replay, and one of another episode.
    """
    if len(replays) != len(match.seeds):
        raise UserError(f"the match has {len(match.seeds)} episodes, {len(replays)} have a replay")
    episodes = []
    for replay, seed, map_seed in zip(replays, match.seeds, match.map_seeds, strict=True):
        header = replay.header
        agents, width = len(header.agents), header.agent_width
        own = (header.seed, header.map_seed, header.max_steps, agents)
        if own != (seed, map_seed, match.max_steps, match.mission.agents) or replay.steps < header.max_steps:
            raise UserError(f"{replay.name}: not the whole episode of seed {seed} on the map of seed {map_seed}")
        states = (state for chunk in range(len(replay.chunks)) for state in replay.states(chunk))
        chosen = [state[: agents * width].reshape(agents, width)[:, ACTION].copy() for state in states]
        episodes.append(chosen[1:])  # the first state is before any step
    return np.swapaxes(np.array(episodes, np.int32), 0, 1)


def play_actions(match: Match, actions: np.ndarray) -> MatchResult:
    """What comes of actions, int32 [steps, episodes, agents]; faults of policies are not known."""
    again = play_match(_of_one(match), [_Recorded(actions)])
    rows = [
        row.model_copy(update={"seats": _seats(match, seed)})
        for row, seed in zip(again.episodes, match.seeds, strict=True)
    ]
    nothing = [{} for _ in match.players]
    return MatchResult(match=match.digest, episodes=rows, faults=nothing, causes=nothing)


def write_replay(match: Match, episode: int, actions: np.ndarray, path: Path) -> None:
    """The replay of an episode of a match, from its actions, int32 [steps, agents]. Raises UserError where writing
    fails. What policies tell of their agents' intents is not in it."""
    seeds = [(match.seeds[episode], match.map_seeds[episode])]
    names, seats = [player.name for player in match.players], _seats(match, match.seeds[episode])
    recorder = BatchRecorder(path.parent, [path.name], seeds, names, seats)
    alone = _of_one(match).model_copy(update={"seeds": (seeds[0][0],), "map_seeds": (seeds[0][1],)})
    play_match(alone, [_Recorded(actions[:, None])], record=lambda match, names: recorder)


def _of_one(match: Match) -> Match:
    """The match with all seats for one player."""
    everyone = Player(policy=match.players[0].policy, seats=match.mission.agents)
    return match.model_copy(update={"players": (everyone,)})


def _seats(match: Match, seed: int) -> list[int]:
    """The player of each agent in the episode of a seed."""
    return draw_seats([player.seats for player in match.players], match.blocks, seed).tolist()


class _Recorded:
    """Does what was done, int32 [steps, envs, agents]."""

    name = "recorded"

    def __init__(self, actions: np.ndarray) -> None:
        self._actions, self._step = actions, 0

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self._step = 0

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._step = 0

    def step(self, observations: np.ndarray) -> np.ndarray:
        self._step += 1
        return np.ascontiguousarray(self._actions[self._step - 1])

    def end_episodes(self, ended: np.ndarray) -> None:
        return
