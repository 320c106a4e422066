"""Uploads of code are tried out, by a league's worker, in the sandbox."""

import json
from pathlib import Path

from metta.league.sandbox.bubblewrap import Bubblewrap
from metta.policy.hosted.submission import validate_bundle
from tests.league.conftest import MakeLeague
from tests.league.sandbox.conftest import MISSION, pack
from tests.league.sandbox.test_sandbox import GOOD
from tests.league.sandbox.test_uploads import packed

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


def test_who_uploads_can_try_the_same_walls(sandbox: Bubblewrap, place: Path):
    report = validate_bundle(pack(place, "forks", {"mine.py": FORKS}, class_path="mine.Good"), MISSION, sandbox=sandbox)
    assert not report.ok and "Operation not permitted" in " ".join(report.lines())
