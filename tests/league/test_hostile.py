"""Uploads and requests of somebody who means harm: each is refused, nothing is read, nothing is left."""

import io
import json
import stat
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from metta.league.seasons import DEFAULT
from metta.league.server.html import COOKIE
from tests.league.conftest import ADDRESS, PASSWORD, MakeLeague, Playground, bundle

SPEC = json.dumps({"class_path": "role"})


def packed(*members: tuple[str | zipfile.ZipInfo, bytes | str], compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return data.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, str]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


UPLOADS: dict[str, tuple[bytes, str]] = {
    "no zip file": (b"MZ" + bytes(100), "no zip file"),
    "empty": (b"", "no zip file"),
    "cut short": (bundle()[:-30], "no sound zip file"),
    "no spec": (packed(("readme.txt", "hello")), "it has no policy_spec.json"),
    "spec is no JSON": (packed(("policy_spec.json", "{")), "no JSON"),
    "spec is deep": (packed(("policy_spec.json", "[" * 100_000)), "no JSON"),
    "spec is a list": (packed(("policy_spec.json", "[]")), "class_path"),
    "spec names no class": (packed(("policy_spec.json", '{"class_path": 3}')), "class_path"),
    "spec is large": (packed(("policy_spec.json", SPEC + " " * 2_000_000)), "larger than"),
    "escape by path": (packed(("policy_spec.json", SPEC), ("../../etc/cron.d/x", "x")), "a path that leads out"),
    "absolute path": (packed(("policy_spec.json", SPEC), ("/etc/passwd", "x")), "a path that leads out"),
    "backslashes": (packed(("policy_spec.json", SPEC), ("..\\..\\x", "x")), "a path that leads out"),
    "symlink": (packed(("policy_spec.json", SPEC), link("secret", "/etc/shadow")), "a link or device"),
    "spec is a symlink": (packed(link("policy_spec.json", "/etc/shadow")), "a link or device"),
    "bomb": (
        packed(("policy_spec.json", SPEC), ("zeros", bytes(20_000_000)), compression=zipfile.ZIP_DEFLATED),
        "a zip bomb",
    ),
    "many files": (packed(("policy_spec.json", SPEC), *((f"{k}", "") for k in range(2_001))), "more than 2,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", UPLOADS)
def test_a_hostile_upload_is_refused_with_a_reason_and_nothing_is_kept(
    name: str, playground: Playground, tmp_path: Path
):
    data, reason = UPLOADS[name]
    place = playground.begin()
    assert playground.web.put(place["upload_url"], content=data).status_code == 200
    document = {"upload_id": place["upload_id"], "name": "x"}
    answer = playground.post("/stats/policies/submit/complete", "anna", document)
    assert answer.status_code == 422 and reason in answer.json()["detail"] and str(tmp_path) not in answer.text
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["two of one name", "encrypted"])
def test_a_zip_file_that_says_two_things_is_refused(name: str, playground: Playground):
    data = packed(("policy_spec.json", SPEC), ("policy_spec.jsom", SPEC))
    if name == "encrypted":
        data = bytearray(data)
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(mark) + offset] |= 1
    else:
        data = data.replace(b"policy_spec.jsom", b"policy_spec.json")
    place = playground.begin()
    playground.web.put(place["upload_url"], content=bytes(data))
    document = {"upload_id": place["upload_id"], "name": "x"}
    assert playground.post("/stats/policies/submit/complete", "anna", document).status_code == 422


def changed(address: str, **changes: Any) -> str:
    parts = urlsplit(address)
    return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **changes})).geturl()


@pytest.mark.parametrize(
    "change",
    [
        lambda address: changed(address, signature="0" * 64),
        lambda address: changed(address, signature="ü"),
        lambda address: changed(address, ends=int(time.time()) + 10**6),
        lambda address: changed(address, most=1 << 40),
        lambda address: address.replace("/files/uploads/", "/files/replays/"),
        lambda address: address.replace("/files/uploads/", "/files/bundles/"),
        lambda address: address.replace("/files/uploads/", "/files/uploads/..%2f..%2f"),
        lambda address: address.replace("/files/uploads/", "/files/uploads/%00"),
    ],
)
def test_an_address_that_was_not_given_out_takes_nothing(change: Callable[[str], str], playground: Playground):
    address = change(playground.begin()["upload_url"])
    assert playground.web.put(address, content=bundle()).status_code in (403, 404, 405, 422)
    assert playground.web.get(address).status_code in (403, 404, 405, 422)


def test_an_address_whose_time_is_over_takes_nothing(playground: Playground, monkeypatch: pytest.MonkeyPatch):
    address = playground.begin()["upload_url"]
    moment = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: moment)
    assert playground.web.put(address, content=bundle()).status_code == 403


def test_bodies_are_bounded_with_and_without_a_length(make_league: MakeLeague, tmp_path: Path):
    playground = make_league(limits={"upload_bytes": 1000, "request_bytes": 500})
    address = playground.begin()["upload_url"]
    assert playground.web.put(address, content=bytes(1001)).status_code == 413
    assert playground.web.put(address, content=iter([bytes(600)] * 2)).status_code == 413
    assert playground.web.put(address, content=iter([bytes(600)] * 100)).status_code == 413
    assert playground.web.post("/work/leases", content=b"x" * 501).status_code == 413
    worker = playground.headers("worker", "worker")
    assert playground.web.post("/work/leases", content=iter([b"x" * 400] * 2), headers=worker).status_code == 413
    assert playground.web.put(address, content=b"x", headers={"Content-Length": "9" * 30}).status_code == 413
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []


def test_what_belongs_to_others_stays_theirs(playground: Playground):
    done = playground.upload("anna", "mine", bundle())
    place = playground.begin("anna")
    playground.web.put(place["upload_url"], content=bundle("random"))
    stolen = playground.post(
        "/stats/policies/submit/complete", "bert", {"upload_id": place["upload_id"], "name": "theirs"}
    )
    assert stolen.status_code == 404
    submitted = playground.post(f"/tournament/seasons/{DEFAULT}/submissions", "bert", {"policy_version_id": done["id"]})
    assert submitted.status_code == 403
    assert playground.get("/stats/policy-versions", "bert", mine=True)["entries"] == []
    playground.work()
    [match, *_] = playground.get(f"/tournament/seasons/{DEFAULT}/matches")
    path = f"/tournament/matches/{match['id']}/evidence"
    assert playground.web.get(path, headers=playground.headers("bert")).status_code == 403
    assert playground.web.get(path).status_code == 401
    assert playground.web.get(path, headers=playground.headers("anna")).status_code == 200
    assert playground.web.get(path, headers=playground.headers("admin", "admin")).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "cogames_" + "x" * 43, "x" * 100_000, "' OR 1=1 --", "Bearer "])
def test_a_token_that_is_none_opens_nothing(token: str, playground: Playground):
    assert playground.web.get("/whoami", headers={"X-Auth-Token": token}).status_code in (401, 413, 431)


def test_scopes_are_apart(playground: Playground):
    lease = {"worker": "w", "engine": "0" * 64}
    assert playground.post("/work/leases", "anna", lease).status_code == 403
    assert playground.post("/work/leases", "admin", lease, "admin").status_code == 403
    assert playground.post("/stats/policies/submit/presigned-url", "worker", scope="worker").status_code == 403
    assert playground.web.get("/whoami", headers=playground.headers("worker", "worker")).status_code == 403


@pytest.mark.parametrize(
    "callback",
    [
        "https://evil.example/callback", "http://evil.example:80/callback", "http://127.0.0.1/callback",
        "http://127.0.0.1:80@evil.example/callback", "http://evil.example#127.0.0.1:80/callback",
        "http://127.0.0.1.evil.example:80/callback", "http://localhost:80/callback?x=1", "//127.0.0.1:80/callback",
        "javascript:alert(1)", "http://127.0.0.1:99999/callback", "http://[::1]:80/callback",
        "http://127.0.0.1:80/\r\nX: y",
        "http://0177.0.0.1:80/", "http://user:pw@127.0.0.1:80/callback", "file:///etc/passwd", "",
    ],
)  # fmt: skip
def test_a_token_is_sent_to_a_port_of_this_machine_only(callback: str, playground: Playground):
    answer = playground.web.get("/tokens/cli", params={"callback": callback}, follow_redirects=False)
    assert answer.status_code == 400 and "127.0.0.1:PORT" in answer.json()["detail"]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil", "/a\r\nb", "//[", "http://[",
        "http:/evil.example", "http:evil.example", "///evil.example", "/\t/evil.example", "javascript:alert(1)",
        "//user@evil.example", "evil.example", "/\u2028/evil.example", "\ufeff//evil.example",
    ],
)  # fmt: skip
def test_a_sign_in_leads_to_no_other_site(address: str, playground: Playground):
    playground.token("anna")
    form = {"name": "anna", "password": PASSWORD, "next": address}
    assert playground.web.get("/sign-in", params={"next": address}).status_code == 200
    answer = playground.web.post("/sign-in", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def signed_in(playground: Playground) -> None:
    playground.token("anna")
    done = playground.web.post("/sign-in", data={"name": "anna", "password": PASSWORD}, follow_redirects=False)
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie


@pytest.mark.parametrize("path", ["/tokens", "/sign-out", "/upload", "/tokens/cli", "/me/submit"])
def test_a_form_without_proof_or_from_another_site_does_nothing(path: str, playground: Playground):
    signed_in(playground)
    forged = playground.web.post(path, data={"proof": "0" * 64, "callback": "http://127.0.0.1:1/x", "label": "x"})
    foreign = playground.web.post(path, data={"proof": "0" * 64}, headers={"Origin": "https://evil.example"})
    assert forged.status_code in (403, 422) and foreign.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://["}, {"Origin": f"{ADDRESS}@evil.example"},
        {"Origin": "http://127.0.0.1:8401"}, {"Origin": f"{ADDRESS}.evil.example"}, {"Origin": "127.0.0.1:8400"},
    ],
)  # fmt: skip
def test_nobody_is_signed_in_by_a_page_of_another_site(headers: dict[str, str], playground: Playground):
    playground.token("anna")
    answer = playground.web.post("/sign-in", data={"name": "anna", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403 and COOKIE not in answer.cookies


def test_a_cookie_is_no_token_for_programs(playground: Playground):
    signed_in(playground)
    assert playground.web.get("/whoami").status_code == 401
    cookie = playground.web.cookies[COOKIE]
    assert playground.web.get("/whoami", headers={"X-Auth-Token": cookie}).status_code == 403


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "'; DROP TABLE users; --", "\u202eevil", "a" * 64, "${7*7}{{7*7}}"]
)
def test_names_are_shown_as_they_are_and_run_nowhere(name: str, playground: Playground):
    if not name.isprintable():
        place = playground.begin()
        playground.web.put(place["upload_url"], content=bundle())
        document = {"upload_id": place["upload_id"], "name": name}
        assert playground.post("/stats/policies/submit/complete", "anna", document).status_code == 400
        return
    done = playground.upload("anna", name, bundle())
    page = playground.web.get(f"/policies/{done['id']}")
    assert (
        page.status_code == 200
        and "<script>alert" not in page.text
        and "49" not in page.text.partition("<h1>")[2][:100]
    )
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert playground.get("/stats/policy-versions", "anna", mine=True, name_exact=name)["entries"][0]["name"] == name


@pytest.mark.parametrize(
    "path",
    [
        "/tournament/seasons/' OR '1'='1",
        "/tournament/seasons/%00",
        "/tournament/seasons/a%0d%0aX:%20y",
        "/static/../app.py",
        "/static/%2e%2e/base.html",
        "/matches/1",
        f"/policies/{'f' * 5000}",
        f"/tournament/seasons/{'9' * 3000}:v1",
    ],
)
def test_strange_paths_lead_nowhere(path: str, playground: Playground):
    assert playground.web.get(path).status_code in (404, 422)


def test_passwords_cannot_be_guessed_fast_nor_accounts_told_apart(make_league: MakeLeague):
    playground = make_league(limits={"sign_ins_per_minute": 5})
    playground.token("anna")
    answers = [
        playground.web.post("/sign-in", data={"name": name, "password": "wrong horse"})
        for name in ("anna", "nobody", "anna", "anna", "anna", "anna")
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] and "Retry-After" in answers[-1].headers
    assert answers[0].text.replace("anna", "nobody") == answers[1].text


def test_uploads_requests_and_entries_have_quotas(make_league: MakeLeague):
    playground = make_league(limits={"uploads_per_day": 2, "requests_per_minute": 8})
    for _ in range(2):
        playground.begin()
    assert playground.post("/stats/policies/submit/presigned-url", "anna").status_code == 429
    codes = [playground.web.get("/tournament/seasons").status_code for _ in range(10)]
    assert codes[0] == 200 and codes[-1] == 429


def test_a_token_that_is_taken_back_and_an_account_that_is_disabled_are_out(playground: Playground):
    from metta.league import accounts
    from metta.league.store.schema import now

    headers = playground.headers("anna")
    assert playground.web.get("/whoami", headers=headers).status_code == 200
    with playground.league.database.transaction() as session:
        user = accounts.find_user(session, "anna")
        user.disabled_at = now()
    assert playground.web.get("/whoami", headers=headers).status_code == 401
    with playground.league.database.transaction() as session:
        user = accounts.find_user(session, "anna")
        user.disabled_at = None
        assert accounts.revoke(session, user, accounts.tokens_of(session, user)[0].id)
    assert playground.web.get("/whoami", headers=headers).status_code == 401


def test_secrets_are_not_in_the_database(playground: Playground, tmp_path: Path):
    token = playground.token("anna")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("league.sqlite*"))
    assert token.encode() not in kept and PASSWORD.encode() not in kept and b"$argon2id$" in kept


UNHEALTHY = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def test_whatever_is_sent_the_server_makes_no_error_of_its_own(playground: Playground):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    schema = schemathesis.openapi.from_asgi("/openapi.json", playground.web.app)
    known = [playground.headers("anna"), playground.headers("worker", "worker")]
    for operation, mode in product(schema.get_all_operations(), schemathesis.GenerationMode):

        @settings(max_examples=5, suppress_health_check=UNHEALTHY, database=None)
        @given(case=operation.ok().as_strategy(generation_mode=mode), headers=st.sampled_from(known))
        def attempt(case: Any, headers: dict[str, str]) -> None:
            answer = case.call(headers=headers)
            assert answer.status_code < 500, (case.method, case.path, answer.text)

        with suppress(Unsatisfiable):  # where there is nothing that could be wrong
            attempt()
