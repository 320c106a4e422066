"""What a policy is told in secret is in its own process, in the sandbox, and nowhere else."""

import sys
from pathlib import Path

import psutil

from metta.eval.match import Match, Player
from metta.league.play import Job, look_at, play_job
from metta.league.sandbox.bubblewrap import Bubblewrap, secret_file
from metta.league.seasons import DEFAULT
from metta.policy.hosted.process import Process
from tests.league.conftest import MakeLeague
from tests.league.sandbox.conftest import MISSION, pack
from tests.league.sandbox.test_sandbox import GOOD
from tests.league.sandbox.test_uploads import packed

SECRET = "s3cr3t-of-anna"
TELLS = "import os, sys\nprint(sys.argv[0] == 'prepare.py', os.environ.get('KEY'), os.environ.get('LD_PRELOAD'))\n"
NEEDS = f"import os\nassert os.environ['KEY'] == '{SECRET}'\n{GOOD}"


def test_each_policy_has_its_own_also_when_it_sets_itself_up(sandbox: Bubblewrap, place: Path):
    files = {"mine.py": f"{TELLS}{GOOD}", "prepare.py": TELLS}
    path = pack(place, "tells", files, class_path="mine.Good", setup_script="prepare.py")
    players = tuple(Player(policy=look_at(path)[1], seats=4, name=name) for name in ("anna", "bert"))
    job = Job(match=Match(mission=MISSION, players=players, seeds=(3,), map_seeds=(4,)))
    told = [{"KEY": SECRET, "LD_PRELOAD": ""}, {}]
    done = play_job(job, lambda player: path, place, sandbox, secrets=told)
    assert [report.failure for report in done.players] == ["", ""]
    assert [report.log.splitlines() for report in done.players] == [
        [f"True {SECRET} ", f"False {SECRET} "], ["True None None", "False None None"],
    ]  # fmt: skip
    assert SECRET not in done.result.model_dump_json()


def seen(secret: str) -> list[int]:
    """Processes in whose command line a word has it."""
    found = psutil.process_iter(["cmdline"])
    return [process.pid for process in found if any(secret in word for word in process.info["cmdline"] or ())]


def test_no_command_line_and_no_folder_tells_it(sandbox: Bubblewrap, place: Path):
    script = "import os, time; print(len(os.environ['KEY']), flush=True); time.sleep(100)"
    with secret_file({"KEY": SECRET}) as file:
        process = Process([*sandbox(place, secrets=file), sys.executable, "-c", script, str(place)], str(place), 100)
        assert process.output and seen(str(place))
        while not process.output.text(0.01):
            assert seen(SECRET) == []
        assert process.output.text(0) == f"{len(SECRET)}\n" and seen(SECRET) == []
        process.end()
    assert not any(SECRET.encode() in path.read_bytes() for path in place.rglob("*") if path.is_file())


def test_a_version_that_needs_its_secret_is_valid_with_it_alone(sandbox: Bubblewrap, make_league: MakeLeague):
    playground, data = make_league(), packed({"mine.py": NEEDS})
    ids = []
    for secrets in (None, {"KEY": SECRET}):
        place = playground.begin()
        playground.web.put(place["upload_url"], content=data)
        said = {"upload_id": place["upload_id"], "name": "needs", "season": DEFAULT, "policy_secret_env": secrets}
        ids.append(playground.post("/stats/policies/submit/complete", "anna", said).json()["id"])
    playground.work(sandbox=sandbox)
    told = [playground.get(f"/stats/policy-versions/{version}", "anna") for version in ids]
    assert [one["status"] for one in told] == ["refused", "valid"] and "KeyError: 'KEY'" in told[0]["reason"]
    entries = playground.get(f"/tournament/seasons/{DEFAULT}/policies")
    [played] = [entry["pools"] for entry in entries if entry["policy"]["id"] == ids[1]]
    assert played[0]["completed"] == 2 and played[0]["failed"] == 0
