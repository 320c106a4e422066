"""The protocol of the original's client: paths, documents and status codes, on both databases."""

from pathlib import Path

import pytest

from metta.league.seasons import DEFAULT
from tests.league.conftest import MakeLeague, Playground, bundle

BROKEN = """
class MyPolicy:
    def __init__(self, info): 1 / 0
    def reset(self, agent, seed): pass
    def act(self, observation): return "noop"
"""


@pytest.fixture
def playground(make_league: MakeLeague, address: str) -> Playground:
    return make_league(database=address)


def test_a_policy_goes_from_upload_to_the_leaderboard(playground: Playground, tmp_path: Path):
    done = playground.upload("anna", "my-policy", bundle("role"))
    assert (done["name"], done["version"], done["pools"]) == ("my-policy", 1, ["qualifying"])
    rival = playground.upload("bert", "rival", bundle("random"))
    playground.work()
    entries = playground.get(f"/tournament/seasons/{DEFAULT}/policies", "anna", mine=True)
    assert [entry["policy"] for entry in entries] == [{"id": done["id"], "name": "my-policy", "version": 1}]
    pools = {pool["pool_name"]: (pool["completed"], pool["failed"], pool["pending"]) for pool in entries[0]["pools"]}
    assert pools["qualifying"] == (2, 0, 0) and pools["competition"][0] >= 4 and pools["competition"][1:] == (0, 0)
    lines = playground.get(f"/tournament/seasons/{DEFAULT}/leaderboard")
    assert {line["policy"]["id"] for line in lines} == {done["id"], rival["id"]}
    assert lines[0]["rank"] == 1 and lines[0]["score"] >= lines[1]["score"]
    played = playground.get(f"/tournament/seasons/{DEFAULT}/matches", policy_version_ids=[done["id"]])
    assert all(done["id"] in {player["policy"]["id"] for player in match["players"]} for match in played)
    both = next(match for match in played if len(match["players"]) == 2)
    assert both["status"] == "completed" and len(both["assignments"]) == 8 and both["episode_id"] == both["id"]
    assert [player["num_agents"] for player in both["players"]] == [both["assignments"].count(k) for k in (0, 1)]
    assert playground.get("/tournament/my-memberships", "anna") == {done["id"]: [DEFAULT]}
    history = playground.get(f"/tournament/policies/{done['id']}/memberships", "anna")
    assert [(entry["pool_name"], entry["action"]) for entry in history] == [
        ("qualifying", "entered"), ("competition", "promoted"),
    ]  # fmt: skip


def test_versions_are_numbered_by_content(playground: Playground):
    first = playground.upload("anna", "my-policy", bundle("role"))
    again = playground.upload("anna", "my-policy", bundle("role"))
    other = playground.upload("anna", "my-policy", bundle("random"))
    assert (first["version"], again["version"], other["version"]) == (1, 1, 2) and again["id"] == first["id"]
    assert playground.upload("bert", "my-policy", bundle("role"))["version"] == 1
    mine = playground.get("/stats/policy-versions", "anna", mine=True, name_exact="my-policy")["entries"]
    assert [entry["version"] for entry in mine] == [2, 1] and {entry["user_id"] for entry in mine} == {"anna"}
    assert playground.get("/stats/policy-versions", "anna", mine=True, version=1)["entries"][0]["id"] == first["id"]


def test_submitting_what_is_in_already_is_no_error(playground: Playground):
    done = playground.upload("anna", "my-policy", bundle("role"), season=None)
    assert done["pools"] is None
    path, document = f"/tournament/seasons/{DEFAULT}/submissions", {"policy_version_id": done["id"]}
    for already in (False, True):
        entered = playground.post(path, "anna", document).json()
        assert entered == {"pools": ["qualifying"], "already": already, "retired": None}
    assert playground.post("/tournament/seasons/none/submissions", "anna", document).status_code == 404
    refused = playground.post(path, "bert", document)
    assert refused.status_code == 403 and "belongs to another account" in refused.json()["detail"]
    assert playground.post(path, None, document).status_code == 401


def test_seasons_are_told_to_everybody(playground: Playground):
    [season] = playground.get("/tournament/seasons")
    assert (season["name"], season["version"], season["is_default"]) == (DEFAULT, 1, True)
    assert [pool["name"] for pool in season["pools"]] == [season["entry_pool"], season["leaderboard_pool"]]
    shown = playground.get(f"/tournament/seasons/{DEFAULT}")
    assert (shown["status"], shown["stage_count"], shown["entrant_count"]) == ("in_progress", 2, 0)
    assert [one["version"] for one in playground.get(f"/tournament/seasons/{DEFAULT}/versions")] == [1]
    config = playground.get(f"/tournament/configs/{season['pools'][0]['config_id']}")
    assert config["missions"][0]["max_steps"] == 5
    missing = playground.web.get("/tournament/seasons/beta-cogsgard")
    assert missing.status_code == 404 and missing.json()["detail"] == (
        "Season 'beta-cogsgard' not found (did you mean beta-cogsguard?)"
    )


def test_an_upload_that_never_came_is_told(playground: Playground):
    place = playground.begin()
    answer = playground.post(
        "/stats/policies/submit/complete", "anna", {"upload_id": place["upload_id"], "name": "my-policy"}
    )
    assert answer.status_code == 400 and "nothing was uploaded" in answer.json()["detail"]


def test_a_completed_upload_can_be_completed_again(playground: Playground):
    place = playground.begin()
    playground.web.put(place["upload_url"], content=bundle())
    document = {"upload_id": place["upload_id"], "name": "my-policy"}
    first, second = (playground.post("/stats/policies/submit/complete", "anna", document) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    replayed = playground.web.put(place["upload_url"], content=bundle("random"))
    assert replayed.status_code == 409


@pytest.mark.parametrize(
    ("class_path", "files", "reason"),
    [
        ("my_policy.MyPolicy", {"my_policy": "import nothing_such"}, "No module named 'nothing_such'"),
        ("my_policy.MyPolicy", {"my_policy": BROKEN}, "division by zero"),
        ("my_policy.Missing", {"my_policy": ""}, "Missing"),
    ],
)
def test_why_a_version_is_refused_is_told_to_its_owner_word_for_word(
    class_path: str, files: dict[str, str], reason: str, make_league: MakeLeague
):
    playground = make_league()
    done = playground.upload("anna", "my-policy", bundle(class_path, **files))
    playground.work(trust_code=True)
    path = f"/stats/policy-versions/{done['id']}"
    told = playground.get(path, "anna")
    assert told["status"] == "refused" and reason in told["reason"] and "/tmp" not in told["reason"]
    assert playground.get(path, "bert")["reason"] is None and playground.get(path)["reason"] is None
    playground.commissioner.look()
    [entry] = playground.get(f"/tournament/seasons/{DEFAULT}/policies", "anna", mine=True)
    assert [pool["active"] for pool in entry["pools"]] == [False]
