"""A season of policies of all kinds, played to its end by a server and its workers, against everything played out.

METTA_LEAGUE_STEPS says how many steps the matches have.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metta.eval.match import Match, Player
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.league import accounts
from metta.league.client import Client
from metta.league.league import SQLITE
from metta.league.play import Job, look_at, play_job
from metta.league.published import fetch
from metta.league.rating.ranking import recompute
from metta.league.records import Lineup, Result, Standing
from metta.league.sandbox.probe import probe
from metta.league.seasons import DEFAULT, SeasonSettings
from metta.league.store.database import Database
from metta.league.work import scores_of
from metta.policy.hosted import templates
from metta.policy.hosted.submission import create_bundle
from metta.policy.stored.bundle import save_bundle
from tests.cli.conftest import Cogames, cogames
from tests.league.conftest import Served, bundle, serve, short_season
from tests.nets import build_net

__all__ = ["cogames"]
STEPS = int(os.environ.get("METTA_LEAGUE_STEPS", "400"))
MATCHES = 21  # of each policy: each number of seats on three seeds
SEEDS = tuple(range(1000, 1004))  # of the tournament: others than the season's
LIMIT = 1_000  # milliseconds for a step of code: no match may turn out otherwise because the machine is busy
MINUTES = 30
OWNERS = ("anna", "bert", "carl")
SCRIPTED = ("role", "aligner", "starter", "miner", "random")
NETS = ("mlp", "lstm")
CODE = ("gatherer", "explorer")
BROKEN = {  # what the owner is told
    "missing": "No module named 'numby'",
    "hangs": "failed through its own fault",
    "crashes": "failed through its own fault",
}
TEMPLATE = Path(templates.__file__).with_name("scripted.py").read_text()
FAULTS = """
import os, time
class Policy:
    def __init__(self, info):
        self.num_agents = info.num_agents
    def reset(self, agent, seed):
        self.steps = 0
    def act(self, observation):
        self.steps += 1
        {fault}
        return 1
"""


def make_policies(folder: Path, info: EnvInfo) -> dict[str, bytes]:
    """Bundles by name: twelve policies, of which three are broken."""
    made = {name: bundle(name) for name in SCRIPTED}
    for seed, name in enumerate(NETS):
        torch.manual_seed(seed)
        save_bundle(folder / name, build_net(name, {}, info), name, 1, 1)
        made[name] = create_bundle(str(folder / name), folder / f"{name}.zip").read_bytes()
    for name, gear in zip(CODE, ("miner", "scout"), strict=True):
        made[name] = bundle("mine.MyPolicy", mine=TEMPLATE.replace('gear: str = "miner"', f'gear: str = "{gear}"'))
    hangs, crashes = "self.steps > 20 and time.sleep(1000)", "self.num_agents < 8 and self.steps > 20 and os._exit(7)"
    made["missing"] = bundle("mine.Policy", mine="import numby\n" + FAULTS.format(fault="pass"))
    made["hangs"] = bundle("mine.Policy", mine=FAULTS.format(fault=hangs))
    made["crashes"] = bundle("mine.Policy", mine=FAULTS.format(fault=crashes))
    return made


def settings() -> SeasonSettings:
    pools = [
        {"name": "qualifying", "partners": "self", "matches": 1, "threshold": -1.0},
        {"name": "competition", "partners": "pool", "matches": MATCHES},
    ]
    mission = {"name": "cogsguard_arena.basic", "max_steps": STEPS}
    return short_season(pools=pools, missions=[mission], replays=False, action_timeout_ms=LIMIT)


@pytest.fixture
def league(tmp_path: Path) -> Iterator[Served]:
    """A league with two workers."""
    trust = [] if probe().sandbox else ["--trust-code"]
    served = serve(tmp_path / "league", "--workers", "2", *trust, season=settings())
    yield served
    served.process.terminate()
    served.process.wait(30)


def clients(league: Served) -> dict[str, Client]:
    """Who takes part."""
    database = Database(f"sqlite:///{league.data / SQLITE}")
    with database.transaction() as session:
        tokens = {
            name: accounts.issue_token(session, accounts.add_user(session, name, None), "user") for name in OWNERS
        }
    database.engine.dispose()
    return {name: Client(league.address, token) for name, token in tokens.items()}


def upload(client: Client, name: str, data: bytes, folder: Path) -> str:
    """The id of the version that an upload becomes."""
    (folder / "sent.zip").write_bytes(data)
    place = client.post("/stats/policies/submit/presigned-url")
    client.put_file(place["upload_url"], folder / "sent.zip")
    said = {"upload_id": place["upload_id"], "name": name, "season": DEFAULT}
    return client.post("/stats/policies/submit/complete", said)["id"]


def is_over(entries: list[dict[str, Any]]) -> bool:
    """Whether everybody has played, or is out."""
    pools = [pool for entry in entries for pool in entry["pools"]]
    last = [entry["pools"][-1] for entry in entries]
    return not any(pool["pending"] for pool in pools) and all(
        not pool["active"] or (pool["pool_name"] == "competition" and pool["completed"] >= MATCHES) for pool in last
    )


def wait_for_the_end(client: Client) -> list[dict[str, Any]]:
    """The entries of the season when all is played, and counted."""
    end = time.monotonic() + 60 * MINUTES
    while True:
        entries = client.get(f"/tournament/seasons/{DEFAULT}/policies")
        board = client.get(f"/tournament/seasons/{DEFAULT}/leaderboard")
        counted = {line["policy"]["id"]: line["matches"] for line in board}
        if is_over(entries) and counted == {
            entry["policy"]["id"]: entry["pools"][-1]["completed"] for entry in entries if entry["pools"][-1]["active"]
        }:
            return entries
        assert time.monotonic() < end
        time.sleep(1)


@dataclass(frozen=True)
class Tournament:
    """Every pair of policies with every number of seats on every seed."""

    standings: dict[str, Standing]
    means: dict[str, float]  # return of the teams that a policy was in


def play_everything(paths: dict[str, Path], mission: Mission) -> Tournament:
    """Without a league: each match is played and its numbers are added up."""
    known = {name: look_at(path)[1] for name, path in paths.items()}
    files, results = {known[name]: path for name, path in paths.items()}, list[Result]()
    for pair in combinations(paths, 2):
        for own in range(1, mission.agents):
            seats = (own, mission.agents - own)
            players = tuple(Player(policy=known[name], seats=n) for name, n in zip(pair, seats, strict=True))
            match = Match(mission=mission, players=players, seeds=SEEDS, map_seeds=SEEDS, action_timeout_ms=LIMIT)
            done = play_job(Job(match=match), lambda player: files[player.policy], Path(), probe().sandbox, True)
            assert not any(player.failure for player in done.players)
            scores = tuple(map(tuple, scores_of(match, done.result)))
            results.append(Result(f"{len(results):05}", "", Lineup("arena", pair, seats, SEEDS, SEEDS), scores))
    standings = {line.policy: line for line in recompute(results, paths)}
    return Tournament(standings, {name: mean_return(results, name) for name in paths})


def mean_return(results: list[Result], policy: str) -> float:
    """Mean return of all teams with a policy in them."""
    teams = [np.average(one.scores, 0, one.lineup.seats).mean() for one in results if policy in one.lineup.policies]
    return float(np.mean(teams))


def show(board: dict[str, Standing], truth: Tournament) -> None:
    """The figures, for `pytest -s`."""
    for name, line in board.items():
        other = truth.standings[name]
        print(
            f"{name:10} season {line.rank} {line.ranks} {line.score:.2f} {line.ci95} in {line.matches} matches; "
            f"everything {other.rank} {other.ranks} {other.score:.2f} {other.ci95}, mean {truth.means[name]:.3f}"
        )


@pytest.mark.soak
def test_a_season_of_all_kinds_ranks_as_an_exhaustive_tournament(league: Served, cogames: Cogames, tmp_path: Path):
    mission = next(iter(settings().build_missions().values()))
    made, asked = make_policies(tmp_path, env_info(mission)), clients(league)
    owners = dict(zip(made, (OWNERS * 4)[: len(made)], strict=True))
    ids = {name: upload(asked[owners[name]], name, data, tmp_path) for name, data in made.items()}
    begun = time.monotonic()
    entries = wait_for_the_end(asked["anna"])
    print(f"season: {time.monotonic() - begun:.0f} s")

    sound = [name for name in made if name not in BROKEN]
    assert {entry["policy"]["name"] for entry in entries if not entry["pools"][-1]["active"]} == set(BROKEN)
    for name, reason in BROKEN.items():
        told = asked[owners[name]].get(f"/tournament/policies/{ids[name]}/memberships")
        assert told[-1]["action"] == "retired" and reason in told[-1]["notes"]

    published = fetch(asked["anna"], DEFAULT)
    assert published.recomputed() == published.standings
    (tmp_path / "results.json").write_text(published.model_dump_json())
    for origin in ("--season", DEFAULT), (str(tmp_path / "results.json"),):
        done = cogames("league", "recompute", *origin, "--server", league.address)
        assert done.code == 0 and f"{len(sound)} lines, the same as the league's" in done.out

    board = {published.names[line.policy].partition(":")[0]: line for line in published.standings}
    assert set(board) == set(sound) and all(line.matches >= MATCHES for line in board.values())
    for name in sound:
        (tmp_path / f"{name}.zip").write_bytes(made[name])
    begun = time.monotonic()
    truth = play_everything({name: tmp_path / f"{name}.zip" for name in sound}, mission)
    print(f"everything: {time.monotonic() - begun:.0f} s")
    show(board, truth)
    places = {name: line.rank for name, line in truth.standings.items()}
    outside = [name for name, line in board.items() if not line.ranks[0] <= places[name] <= line.ranks[1]]
    assert len(outside) <= 1  # of nine that hold with 95 % each
    above = [pair for pair in permutations(sound, 2) if board[pair[0]].ranks[1] < board[pair[1]].ranks[0]]
    assert len(above) >= len(sound) - 1 and all(truth.means[better] > truth.means[worse] for better, worse in above)
