"""Uploads of code are tried out, by a league's worker, in the sandbox."""

import json
import uuid
from pathlib import Path

from metta.league.sandbox.bubblewrap import Bubblewrap
from metta.league.store import matches
from metta.policy.hosted.submission import validate_bundle
from tests.league.conftest import MakeLeague, short_season
from tests.league.sandbox.conftest import MISSION, pack
from tests.league.sandbox.test_sandbox import GOOD
from tests.league.sandbox.test_uploads import packed

LATE = GOOD.replace("def reset(self, agent, seed): pass", "def reset(self, agent, seed): self.left = [1] * 15").replace(
    "return 1", "return self.left.pop()"
)
FORKS = GOOD.replace("return 1", "return __import__('os').fork()")


def test_code_is_validated_in_the_sandbox_and_a_refusal_says_what_it_was_not_allowed(
    sandbox: Bubblewrap, make_league: MakeLeague
):
    playground = make_league()
    done = {
        name: playground.upload("anna", name, packed({"mine.py": code}), season=None)["id"]
        for name, code in (("good", GOOD), ("forks", FORKS))
    }
    playground.work(sandbox=sandbox)
    told = {name: playground.get(f"/stats/policy-versions/{version}", "anna") for name, version in done.items()}
    assert told["good"]["status"] == "valid", json.dumps(told["good"])
    assert told["forks"]["status"] == "refused" and "Operation not permitted" in told["forks"]["reason"]


def test_a_policy_that_goes_wrong_in_a_match_plays_on_and_its_owner_reads_why(
    sandbox: Bubblewrap, make_league: MakeLeague
):
    playground = make_league(short_season(missions=[{"name": "cogsguard_arena.basic", "max_steps": 20}]))
    version = playground.upload("anna", "late", packed({"mine.py": LATE}))["id"]
    playground.work(sandbox=sandbox)
    with playground.league.database.reading() as session:
        told = [player.log for player in matches.logs_of(session, uuid.UUID(version), 10)]
    assert told and set(told) == {"errors, first: IndexError: pop from empty list, mine.py line 5\n"}


def test_who_uploads_can_try_the_same_walls(sandbox: Bubblewrap, place: Path):
    report = validate_bundle(pack(place, "forks", {"mine.py": FORKS}, class_path="mine.Good"), MISSION, sandbox=sandbox)
    assert not report.ok and "Operation not permitted" in " ".join(report.lines())
