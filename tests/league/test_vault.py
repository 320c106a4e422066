"""Secret values of a version: given with the upload, for workers, shown to nobody."""

import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, select

from metta.eval.match import engine_version
from metta.league.league import SQLITE
from metta.league.names import LONGEST_SECRET, MOST_SECRETS
from metta.league.seasons import DEFAULT
from metta.league.vault import Vault
from tests.cli.conftest import Cogames, cogames
from tests.league.conftest import MakeLeague, Playground, bundle, listening

__all__ = ["cogames"]
SECRET = "s3cr3t-of-anna"
HUNGRY = {"worker": "w", "engine": engine_version(), "most": 9}


@pytest.fixture
def playground(make_league: MakeLeague, address: str) -> Playground:
    """On each database."""
    return make_league(**({} if address.endswith(SQLITE) else {"database": address}))


def upload(playground: Playground, secrets: object, name: str = "anna", policy: str = "mine") -> Any:
    """What the server says to an upload with secret values."""
    place = playground.begin(name)
    playground.web.put(place["upload_url"], content=bundle("role"))
    said = {"upload_id": place["upload_id"], "name": policy, "season": DEFAULT, "policy_secret_env": secrets}
    return playground.post("/stats/policies/submit/complete", name, said)


def leased(playground: Playground) -> dict[str, list[dict[str, str]]]:
    """The secret values that come with each job, by the name of its first policy."""
    answer = playground.post("/work/leases", "worker", HUNGRY, scope="worker")
    return {job["bundles"][0]["name"]: job["secrets"] for job in answer.json()["jobs"]}


def everything(playground: Playground) -> str:
    """All that lies in the database."""
    metadata = MetaData()
    with playground.league.database.engine.connect() as connection:
        metadata.reflect(connection)
        rows = [list(map(tuple, connection.execute(select(table)))) for table in metadata.tables.values()]
    return repr(rows)


def test_a_version_is_told_its_own_secrets_and_no_other(playground: Playground):
    assert upload(playground, {"KEY": SECRET}).json()["version"] == 1
    assert upload(playground, None, "bert", "plain").json()["version"] == 1
    assert leased(playground) == {"mine:v1": [{"KEY": SECRET}], "plain:v1": [{}]}


def test_other_secrets_make_another_version_and_the_same_do_not(playground: Playground):
    given: list[object] = [None, {"A": "1", "B": "2"}, {"B": "2", "A": "1"}, {"A": "1"}, {}]
    assert [upload(playground, secrets).json()["version"] for secrets in given] == [1, 2, 2, 3, 1]


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        ({f"KEY{number}": SECRET for number in range(MOST_SECRETS + 1)}, "at most 10"),
        ({"KEY": SECRET * LONGEST_SECRET}, "secret value KEY: at most 2,000 characters"),
        ({"KEY": f"{SECRET}\0"}, "none of them NUL"),
        ({"KEY=": SECRET}, "names have at most 64 letters"),
        ({"1KEY": SECRET}, "begin with no digit"),
        ({"KEY": [SECRET]}, "valid string"),
        ([SECRET], "valid dictionary"),
    ],
)
def test_what_is_no_environment_is_refused_without_a_word_of_it(make_league: MakeLeague, secrets: object, problem: str):
    answer = upload(make_league(), secrets)
    assert answer.status_code in (400, 422) and problem in answer.text and SECRET not in answer.text


def test_secrets_lie_nowhere_in_clear_and_are_in_no_answer_and_no_log(
    playground: Playground, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    version = upload(playground, {"KEY": SECRET}).json()
    pages = [
        "/openapi.json", "/me", f"/policies/{version['id']}", f"/stats/policy-versions/{version['id']}",
        "/stats/policy-versions", f"/tournament/seasons/{DEFAULT}/policies",
    ]  # fmt: skip
    for name in ("anna", "bert", "admin"):
        for page in pages:
            answer = playground.web.get(page, headers=playground.headers(name))
            assert SECRET not in answer.text
    assert SECRET not in everything(playground) and SECRET not in caplog.text
    kept = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert any(path.parent.name == "secrets" for path in kept)
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)


NEEDS = """
import os
assert len(os.environ["KEY"]) + len(os.environ["OTHER"]) == 19
class Policy:
    def __init__(self, info): pass
    def reset(self, agent, seed): pass
    def act(self, seen): return 1
"""


def test_the_command_sends_what_is_said_and_what_is_set_and_prints_neither(
    make_league: MakeLeague, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cogames: Cogames
):
    """The policy is tried out with them first."""
    playground = make_league()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KEY", "of here")
    monkeypatch.setenv("OTHER", "known")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "needy.py").write_text(NEEDS)
    with listening(playground) as address:
        words = ["upload", "-p", "needy.Policy", "-n", "mine", "--server", address]
        assert cogames("auth", "set-token", playground.token("anna"), "--server", address).code == 0
        done = cogames(*words, "--secret-env", f"KEY={SECRET}", "--secret-env", "OTHER")
        wrong = cogames(*words, "--secret-env", "NOTHING")
    assert done.code == 0 and "Upload complete: mine:v1" in done.out, done.err
    assert SECRET not in done.out + done.err and "known" not in done.out + done.err
    assert leased(playground) == {"mine:v1": [{"KEY": SECRET, "OTHER": "known"}]}
    assert wrong.code == 2 and wrong.err == "error: --secret-env NOTHING: neither NAME=VALUE nor set here ($NOTHING)\n"


def test_only_workers_get_them(playground: Playground):
    upload(playground, {"KEY": SECRET})
    assert playground.post("/work/leases", "anna", HUNGRY).status_code == 403
    assert playground.post("/work/leases", None, HUNGRY).status_code == 401
    digest = next((Path(playground.league.settings.data) / "files" / "secrets").iterdir()).name
    answer = playground.web.get(f"/files/secrets/{digest}", params={"ends": 9**10, "most": 0, "signature": "x"})
    assert answer.status_code == 422


def test_files_without_their_key_tell_nothing_and_the_policy_plays_without(playground: Playground):
    league = playground.league
    digest = league.vault.keep({"KEY": SECRET})
    assert league.vault.values(digest) == {"KEY": SECRET}
    assert Vault(league.files, bytes(32)).values(digest) == {}
    league.files.remove(f"secrets/{digest}")
    assert league.vault.values(digest) == {}
