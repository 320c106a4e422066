"""Who may do what: strangers are not read, what others own is closed, sessions end, and all is written down."""

import re
import threading
import urllib.error
import urllib.request
import webbrowser
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from metta.league import accounts
from metta.league.commissioner import Commissioner
from metta.league.league import SQLITE
from metta.league.login import log_in
from metta.league.seasons import DEFAULT
from metta.league.server.html import COOKIE
from metta.league.store.schema import Upload, now
from tests.cli.conftest import Cogames, cogames
from tests.league.conftest import ADDRESS, PASSWORD, MakeLeague, Playground, bundle, serve

__all__ = ["cogames"]
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# All that whoever comes by may read; the rest asks for a token.
PUBLIC = {
    "/tournament/seasons", "/tournament/seasons/{name}", "/tournament/seasons/{name}/versions",
    "/tournament/seasons/{name}/leaderboard", "/tournament/seasons/{name}/policies",
    "/tournament/seasons/{name}/matches", "/tournament/seasons/{name}/basis", "/tournament/seasons/{name}/results",
    "/tournament/matches/{match_id}", "/tournament/configs/{config_id}",
    "/tournament/policies/{version_id}/memberships", "/stats/policy-versions/{version_id}",
}  # fmt: skip


def sign_in(playground: Playground, name: str = "anna") -> str:
    """Sign the browser in; the proof that its forms carry."""
    playground.token(name)
    playground.web.post("/sign-in", data={"name": name, "password": PASSWORD})
    found = re.search(r'name="proof" value="(\w+)"', playground.web.get("/tokens").text)
    assert found is not None
    return found[1]


def operations(playground: Playground) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of all that the interface for programs offers."""
    paths = playground.web.get("/openapi.json").json()["paths"]
    return [(method.upper(), path, told) for path, found in paths.items() for method, told in found.items()]


def test_all_but_what_is_public_asks_for_a_token(playground: Playground):
    version = playground.upload("anna", "mine", bundle())["id"]
    playground.work()
    [match, *_] = playground.get(f"/tournament/seasons/{DEFAULT}/matches")
    [pool, *_] = playground.get(f"/tournament/seasons/{DEFAULT}")["pools"]
    ids = {"name": DEFAULT, "version_id": version, "match_id": match["id"], "config_id": pool["id"], "job_id": version}
    opened = set()
    for method, path, _ in operations(playground):
        if path.startswith("/files/"):  # is opened by a signed address
            continue
        answer = playground.web.request(method, path.format(**ids))
        assert answer.status_code in (200, 401), (path, answer.text)
        opened |= {path} if answer.status_code == 200 else set()
    assert opened == PUBLIC


def test_of_what_others_own_nothing_is_told_or_done(playground: Playground):
    broken = playground.upload("anna", "broken", bundle("missing.Policy"))["id"]
    playground.work(trust_code=True)
    assert playground.get(f"/stats/policy-versions/{broken}", "anna")["reason"]
    assert "refused: " in playground.get(f"/tournament/policies/{broken}/memberships", "anna")[-1]["notes"]
    for name in ("bert", None):
        assert playground.get(f"/stats/policy-versions/{broken}", name)["reason"] is None
        told = playground.get(f"/tournament/policies/{broken}/memberships", name)
        assert [change["notes"] for change in told] == [None] * len(told)
    entries = playground.get("/stats/policy-versions", "bert", mine=False)["entries"]
    assert [entry["reason"] for entry in entries] == [None]
    proof = sign_in(playground, "bert")
    assert "missing" not in playground.web.get(f"/policies/{broken}").text
    form = {"proof": proof, "version_id": broken, "season": DEFAULT}
    assert playground.web.post("/me/submit", data=form).status_code == 403
    with playground.league.database.reading() as session:
        [token] = accounts.tokens_of(session, accounts.find_user(session, "anna"))
    assert playground.web.post(f"/tokens/{token.id}/revoke", data={"proof": proof}).status_code == 404
    assert playground.web.get("/whoami", headers=playground.headers("anna")).status_code == 200


def test_what_strangers_send_is_not_even_parsed(playground: Playground):
    """Parsing keeps the server busy, and takes memory."""
    asked = 0
    for method, path, told in operations(playground):
        if "requestBody" in told:
            for headers in ({}, {"X-Auth-Token": "cogames_made-up"}):
                place = re.sub(r"{\w+}", "1", path)
                answer = playground.web.request(method, place, content=b"[" * 1_000, headers={**JSON, **headers})
                assert answer.status_code == 401, (path, answer.text)
            asked += 1
    assert asked >= 8
    for path in ("/upload", "/me/submit"):
        assert playground.web.post(path, content=b"nonsense", headers=FORM).status_code == 401


def test_results_of_matches_are_bounded_too(playground: Playground):
    path, headers = "/work/jobs/1/played", {**JSON, **playground.headers("worker", "worker")}
    long = {"Content-Length": str((32 << 20) + 1)}
    assert playground.web.post(path, content=b"{}", headers={**headers, **long}).status_code == 413


TEXTS = ["\0", "a\0b", "\x1b[2J", "\u202e", "x" * 300, "9" * 5_000, "' OR 1=1 --", "%00", "\\", "\ufffe"]


@pytest.mark.parametrize("text", TEXTS)
def test_whatever_a_text_holds_the_database_is_not_troubled(text: str, make_league: MakeLeague, address: str):
    """PostgreSQL knows no NUL."""
    playground = make_league(**({} if address.endswith(SQLITE) else {"database": address}))
    proof, version = sign_in(playground), playground.upload("anna", "mine", bundle())["id"]
    anna, place = playground.headers("anna"), quote(text, safe="")
    answers = [
        playground.web.request(method, re.sub(r"{\w+}", place, path), headers=anna, json={})
        for method, path, _ in operations(playground)
    ]
    queries = [
        (re.sub(r"{\w+}", version, path.replace("{name}", DEFAULT)), {one["name"]: text})
        for method, path, told in operations(playground)
        for one in told.get("parameters", []) if method == "GET" and one["in"] == "query"
    ]  # fmt: skip
    answers += [playground.web.get(path, params=query, headers=anna) for path, query in queries]
    said = {"upload_id": playground.begin()["upload_id"], "name": "mine", "season": text}
    answers += [
        playground.post("/stats/policies/submit/complete", "anna", document)
        for document in (said, {**said, "season": None, "policy_secret_env": {"A": text}})
    ]
    forms: list[tuple[str, dict[str, str]]] = [
        ("/sign-in", {"name": text, "password": text}), ("/sign-in", {"name": "anna", "password": PASSWORD + text}),
        ("/sign-up", {"name": text, "password": PASSWORD}), ("/tokens", {"label": text, "proof": proof}),
        ("/tokens", {"proof": text}), ("/tokens/cli", {"callback": text, "proof": proof}),
        ("/me/submit", {"version_id": version, "season": text, "proof": proof}),
        ("/me/submit", {"version_id": text, "season": DEFAULT, "proof": proof}),
    ]  # fmt: skip
    answers += [playground.web.post(path, data=form, follow_redirects=False) for path, form in forms]
    file = {"file": ("policy.zip", bundle())}
    for form in ({"name": text}, {"name": "mine", "season": text}):
        answers.append(playground.web.post("/upload", data={**form, "proof": proof}, files=file))
    wrong = [(answer.request.url, answer.text) for answer in answers if answer.status_code >= 500]
    assert len(answers) > 40 and wrong == []


PRINTS = """
import os
os.write(1, b"a\\0b\\xff\\xed\\xa0\\x80")
class Policy:
    def __init__(self, info): pass
    def reset(self, agent, seed): pass
    def act(self, seen): return 1
"""


def test_a_policy_may_print_what_no_database_holds(make_league: MakeLeague, address: str):
    playground = make_league(**({} if address.endswith(SQLITE) else {"database": address}))
    version = playground.upload("anna", "prints", bundle("mine.Policy", mine=PRINTS))["id"]
    playground.work(trust_code=True)
    matches = playground.get(f"/tournament/seasons/{DEFAULT}/matches")
    assert {match["status"] for match in matches} == {"completed"}
    sign_in(playground)
    assert "a\N{REPLACEMENT CHARACTER}b" in playground.web.get(f"/policies/{version}").text


def test_made_up_tokens_give_no_requests_anew_and_take_none_from_others(make_league: MakeLeague):
    playground = make_league(limits={"requests_per_minute": 8})
    headers = playground.headers("anna")
    assert playground.web.get("/whoami", headers=headers).status_code == 200
    made_up = [{"X-Auth-Token": f"cogames_{number}"} for number in range(9)]
    codes = [playground.web.get("/tournament/seasons", headers=one).status_code for one in made_up]
    assert codes[0] == 200 and codes[-1] == 429
    assert playground.web.get("/whoami", headers=headers).status_code == 200


def test_addresses_of_one_household_count_as_one(make_league: MakeLeague):
    from fastapi.testclient import TestClient

    playground = make_league(limits={"sign_ins_per_minute": 3})
    form = {"name": "anna", "password": "wrong horse"}
    codes = [
        TestClient(playground.web.app, ADDRESS, client=(f"2001:db8::{number}", 1)).post("/sign-in", data=form)
        for number in range(4)
    ]
    assert [answer.status_code for answer in codes] == [401, 401, 401, 429]
    other = TestClient(playground.web.app, ADDRESS, client=("2001:db9::1", 1))
    assert other.post("/sign-in", data=form).status_code == 401


def test_behind_a_proxy_cookies_are_for_https_and_forms_of_its_address_are_ours(make_league: MakeLeague):
    playground = make_league(address="https://league.example")
    playground.token("anna")
    form, headers = {"name": "anna", "password": PASSWORD}, {"Origin": "https://league.example"}
    answer = playground.web.post("/sign-in", data=form, headers=headers, follow_redirects=False)
    assert answer.status_code == 303 and "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(("words", "counted"), [(["--proxy", "127.0.0.1"], "192.0.2.7"), ([], "127.0.0.1")])
def test_a_proxy_says_who_asks_if_it_is_named(words: list[str], counted: str, tmp_path: Path, cogames: Cogames):
    """Whoever is no proxy may say so too."""
    found = serve(tmp_path, "--workers", "0", *words)
    try:
        form = urlencode({"name": "anna", "password": "guessed"}).encode()
        asked = urllib.request.Request(f"{found.address}/sign-in", form, {"X-Forwarded-For": "192.0.2.7"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(asked, timeout=30)
    finally:
        found.process.terminate()
        found.process.wait(30)
    assert counted in cogames("league", "audit", "--data", str(tmp_path)).out


@pytest.mark.parametrize("words", [["password", "anna", "--password-file", "{file}"], ["disable", "anna"]])
def test_another_password_or_a_disabled_account_ends_what_browsers_do(
    words: list[str], playground: Playground, tmp_path: Path, cogames: Cogames
):
    proof = sign_in(playground)
    (tmp_path / "password").write_text("another horse")
    given = [word.format(file=tmp_path / "password") for word in words]
    assert cogames("league", "user", *given, "--data", str(tmp_path)).code == 0
    assert playground.web.cookies[COOKIE]
    assert playground.web.get("/me").status_code == 401
    assert playground.web.post("/tokens", data={"proof": proof, "label": "x"}).status_code == 401
    assert playground.web.post("/sign-in", data={"name": "anna", "password": PASSWORD}).status_code == 401


def test_who_did_what_can_be_read(playground: Playground, tmp_path: Path, cogames: Cogames):
    sign_in(playground)
    playground.web.post("/sign-in", data={"name": "anna\n\x1b[2Jroot", "password": "guessed"})
    playground.upload("anna", "mine", bundle())
    assert cogames("league", "user", "disable", "anna", "--data", str(tmp_path)).code == 0
    told = cogames("league", "audit", "--data", str(tmp_path)).out
    lines = [" ".join(re.split(r"[│ ]+", line)).strip() for line in told.splitlines()]
    for wanted in ("anna sign-in", "– sign-in refused anna [2Jroot testclient", "anna upload mine:v1",
                   "anna disabled console"):  # fmt: skip
        assert any(wanted in line for line in lines), f"{wanted}: {told}"
    alone = cogames("league", "audit", "--user", "anna", "--limit", "1", "--data", str(tmp_path)).out
    assert "disabled" in alone and "sign-in" not in alone
    assert cogames("league", "audit", "--user", "nobody", "--data", str(tmp_path)).err == (
        "error: account nobody: there is none such\n"
    )


def test_what_was_begun_and_never_completed_counts_and_is_removed(make_league: MakeLeague, tmp_path: Path):
    playground = make_league(limits={"upload_bytes": 1_000, "bytes_per_user": 3_000})
    places = [playground.begin() for _ in range(3)]
    for place in places:
        assert playground.web.put(place["upload_url"], content=bytes(1_000)).status_code == 200
    full = playground.post("/stats/policies/submit/presigned-url", "anna")
    assert full.status_code == 429 and "not completed, take 3,000 bytes" in full.json()["detail"]
    with playground.league.database.transaction() as session:
        session.query(Upload).update({"expires_at": now() - timedelta(hours=2)})
    Commissioner(playground.league).look()
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
    assert playground.post("/stats/policies/submit/presigned-url", "anna").status_code == 200


def test_a_page_in_the_browser_brings_no_token_of_its_own_to_a_login(monkeypatch: pytest.MonkeyPatch):
    """It may know the port, but not the path."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", asked.append)
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(log_in("http://127.0.0.1:9", 30)))
    waiting.start()
    while not asked:
        waiting.join(0.01)
    callback = parse_qs(urlsplit(asked[0]).query)["callback"][0]
    origin = callback.partition("/callback")[0]
    for guessed in (f"{origin}/callback", f"{origin}/callback/", f"{callback}x", callback.swapcase()):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(f"{guessed}?token=evil", timeout=10)
    urllib.request.urlopen(f"{callback}?token=good", timeout=10).close()
    waiting.join()
    assert got == ["good"]
