"""A match is evidence: whoever plays it again, or its replays, sees whether what the league says of it is so."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

import numpy as np
import pytest
from sqlalchemy import update

from metta.common.errors import UserError
from metta.eval.match import engine_version
from metta.eval.replay.file import CHUNK_STEPS, encode_deltas, encode_file, encode_state, parse_replay
from metta.eval.replay.header import AGENT_COLUMNS
from metta.league.client import ServerError
from metta.league.published import play_again, play_replays
from metta.league.seasons import DEFAULT
from metta.league.store.schema import Job, Match, now
from metta.league.worker import Worker
from tests.league.conftest import InProcess, MakeLeague, Playground, bundle, short_season

STEPS = 120  # more than a chunk of a replay


@dataclass(frozen=True)
class Evidence:
    """A match of two policies in two episodes, and a league that can be made to lie about it."""

    league: Playground
    match: str

    def client(self, name: str) -> InProcess:
        return InProcess(self.league, self.league.token(name))

    def forge(self, change: Callable[[Match], object]) -> None:
        with self.league.league.database.transaction() as session:
            change(session.get_one(Match, uuid.UUID(self.match)))

    def forge_replay(self, change: Callable[[bytes], bytes]) -> None:
        files = self.league.league.files
        with self.league.league.database.reading() as session:
            key = session.get_one(Match, uuid.UUID(self.match)).replays["1"]
        files.write(key, change(files.read(key)))


@pytest.fixture
def evidence(make_league: MakeLeague) -> Evidence:
    mission = {"name": "cogsguard_arena.basic", "max_steps": STEPS}
    league = make_league(short_season(pools=[{"name": "pool", "matches": 1, "episodes": 2}], missions=[mission]))
    league.upload("anna", "role", bundle("role"))
    league.upload("anna", "random", bundle("random"))
    league.work()
    [match] = league.get(f"/tournament/seasons/{DEFAULT}/matches")
    assert len(match["players"]) == 2 and match["episode"]["replays"] == ["0", "1"]
    return Evidence(league, match["id"])


def set_column(column: str, step: int) -> Callable[[bytes], bytes]:
    """A change of a replay: from a step on an agent shows something else there."""

    def change(data: bytes) -> bytes:
        replay = parse_replay(data, "kept")
        states = np.array(list(chain.from_iterable(map(replay.states, range(len(replay.chunks))))))
        states[step, AGENT_COLUMNS.index(column)] += 1
        keys = [encode_state(state) for state in states[::CHUNK_STEPS]]
        return encode_file(replay.header, keys, [b"", *encode_deltas(states)])

    return change


def test_the_same_comes_of_the_policies_and_of_the_replays(evidence: Evidence):
    assert play_again(evidence.client("anna"), evidence.match, trust_code=False).same
    assert play_replays(evidence.client("anna"), evidence.match).same
    with pytest.raises(ServerError, match="belongs to another account"):
        play_again(evidence.client("bert"), evidence.match, trust_code=False)
    assert play_replays(evidence.client("bert"), evidence.match).same  # replays are for everybody


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda match: setattr(match, "result_hash", "0" * 64), "another result"),
        (lambda match: setattr(match.players[0], "scores", [9.0, 9.0]), "other scores"),
        (lambda match: setattr(match, "spec", {**match.spec, "map_seeds": [[7, 2]]}), ""),
    ],
    ids=["the hash", "the scores that count", "the maps"],
)
def test_a_result_that_was_changed_is_found_out(change: Callable[[Match], object], said: str, evidence: Evidence):
    evidence.forge(change)
    for again in (
        play_again(evidence.client("anna"), evidence.match, trust_code=False),
        play_replays(evidence.client("bert"), evidence.match),
    ):
        assert not again.same and said in again.line


@pytest.mark.parametrize(
    ("change", "by_replays"),
    [
        (set_column("action", 110), "another result"),
        (set_column("reward", 3), None),  # only a picture of what happened: the actions are the same
        (lambda data: data[:-1], "cut off"),
        (lambda data: b"", "no replay"),
    ],
    ids=["an action", "a reward", "cut off", "empty"],
)
def test_a_replay_that_was_changed_is_found_out(
    change: Callable[[bytes], bytes], by_replays: str | None, evidence: Evidence
):
    evidence.forge_replay(change)
    again = play_again(evidence.client("anna"), evidence.match, trust_code=False)
    assert not again.same and f"not what the replay shows: /matches/{evidence.match}/replay/1/file" in again.line
    found = play_replays(evidence.client("bert"), evidence.match)
    assert found.same is (by_replays is None) and (by_replays or "the same") in found.line


def test_what_other_code_has_played_is_refused(evidence: Evidence):
    evidence.forge(lambda match: setattr(match, "spec", {**match.spec, "engine": "e" * 64}))
    for act in (lambda: play_again(evidence.client("anna"), evidence.match, False),
                lambda: play_replays(evidence.client("anna"), evidence.match)):  # fmt: skip
        with pytest.raises(UserError, match="was played by engine eeeeeeee, here is "):
            act()


def test_a_worker_that_is_late_leaves_the_replays_of_another_alone(make_league: MakeLeague):
    league = make_league(short_season(pools=[{"name": "pool", "matches": 1}]))
    league.upload("anna", "role", bundle("role"))
    Worker(InProcess(league)).run_once()  # tries it out
    league.commissioner.look()
    hungry = {"worker": "late", "engine": engine_version()}
    [sheet] = league.post("/work/leases", "late", hungry, "worker").json()["jobs"]
    with league.league.database.transaction() as session:
        session.execute(update(Job).values(leased_until=now() - timedelta(seconds=1)))
    league.work()
    assert league.web.put(sheet["replays"][0], content=b"of the one who is late").status_code == 200
    [match] = league.get(f"/tournament/seasons/{DEFAULT}/matches")
    assert match["status"] == "completed"
    assert play_again(InProcess(league, league.token("anna")), match["id"], trust_code=False).same
