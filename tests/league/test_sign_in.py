"""Signing in at a provider of OpenID Connect: whoever it says signs in, and nobody else."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import func, select

from metta.common.errors import UserError
from metta.league import accounts
from metta.league.store.schema import Audit, User, now
from tests.cli.conftest import Cogames, cogames
from tests.league import provider as openid
from tests.league.conftest import ADDRESS, PASSWORD, MakeLeague, Playground
from tests.league.provider import CLIENT, SECRET, Provider

__all__ = ["cogames"]
CALLED_BACK = "/sign-in/callback"


@pytest.fixture(scope="module")
def served() -> Iterator[Provider]:
    with openid.serving() as provider:
        yield provider


@pytest.fixture
def provider(served: Provider) -> Provider:
    """A provider that does as it should."""
    fresh = Provider(issuer=served.issuer, key=served.key)
    served.__dict__.update(fresh.__dict__)
    return served


@pytest.fixture
def make(make_league: MakeLeague, provider: Provider) -> MakeLeague:
    """Opens a league whose people sign in there."""

    def made(**settings: Any) -> Playground:
        there = {"issuer": provider.issuer, "client_id": CLIENT, "secret": SECRET, "name": "the college"}
        return make_league(provider=there, **settings)

    return made


def location(address: str) -> str:
    """Where the provider leads a browser."""
    answer = requests.get(address, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def begin(league: Playground, next: str = "/me") -> str:
    """Where the league leads a browser that is to sign in."""
    answer = league.web.get(f"/sign-in/provider?next={quote(next, safe='')}", follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come_back(league: Playground, address: str) -> Any:
    """What the league answers to the browser that comes back."""
    assert address.startswith(ADDRESS + CALLED_BACK)
    return league.web.get(address, follow_redirects=False, headers={"accept": "text/html"})


def sign_in(league: Playground, next: str = "/me") -> Any:
    return come_back(league, location(begin(league, next)))


def user_names(league: Playground) -> list[str]:
    with league.league.database.reading() as session:
        return list(session.scalars(select(User.name).order_by(User.created_at)))


def is_signed_in(league: Playground) -> bool:
    return league.web.get("/tokens", follow_redirects=False).status_code == 200


def test_who_signs_in_there_has_an_account_here_without_a_password(make: MakeLeague, provider: Provider):
    league = make()
    provider.person |= {"email": "anna@college.example", "email_verified": True}
    assert "Sign in with the college" in league.web.get("/sign-in?next=/me").text
    answer = sign_in(league, "/tokens/cli?callback=http://127.0.0.1:5/callback")
    assert answer.headers["location"] == "/tokens/cli?callback=http://127.0.0.1:5/callback" and is_signed_in(league)
    with league.league.database.reading() as session:
        user = accounts.find_user(session, "anna")
        assert (user.password, user.email) == (None, "anna@college.example")
        assert accounts.sign_in(session, "anna", "") is None
        assert session.scalar(select(func.count(Audit.id)).where(Audit.action == "sign-in")) == 1
    league.web.cookies.clear()
    provider.person["preferred_username"] = "married"
    assert sign_in(league).headers["location"] == "/me" and user_names(league) == ["anna"]


NAMES = [
    ({"preferred_username": "ANNA"}, "ANNA-2"),
    ({"preferred_username": "anna"}, "anna-3"),
    ({"preferred_username": "Bärbel Müller"}, "B-rbel-M-ller"),
    ({"preferred_username": "<script>"}, "script"),
    ({"preferred_username": "../" * 100}, "player"),
    ({"preferred_username": None}, "player-2"),
    ({"preferred_username": "Workers"}, "Workers-2"),
    ({"preferred_username": 7, "email": "carl@college.example"}, "carl"),
    ({"preferred_username": "x" * 500}, "x" * 54),
]


def test_nobody_takes_the_name_of_the_workers(make: MakeLeague):
    with make().league.database.transaction() as session:
        with pytest.raises(UserError, match="account Workers: the name is taken"):
            accounts.add_user(session, "Workers", PASSWORD)
        assert accounts.machine_user(session) is accounts.machine_user(session)
        assert accounts.sign_in(session, accounts.MACHINE, PASSWORD) is None


def test_a_name_from_there_takes_no_account_that_is_here(make: MakeLeague, provider: Provider):
    league = make()
    league.token("anna")
    for number, (said, _) in enumerate(NAMES):
        provider.person = {"sub": str(number), **said}
        assert sign_in(league).status_code == 303
    assert user_names(league) == ["anna", *(given for _, given in NAMES)]
    with league.league.database.reading() as session:
        assert accounts.sign_in(session, "anna", PASSWORD) is not None


HOUR = 3600
REFUSED: dict[str, tuple[Callable[[Provider], Any], str]] = {
    "another nonce": (lambda it: it.claims.update(nonce="guessed"), "nonce"),
    "no nonce": (lambda it: it.claims.update(nonce=None), "nonce"),
    "for another client": (lambda it: it.claims.update(aud="another"), "aud"),
    "for another client that says it is us": (lambda it: it.claims.update(aud="another", azp=CLIENT), "aud"),
    "by another issuer": (lambda it: it.claims.update(iss="https://evil.example"), "iss"),
    "over": (lambda it: it.claims.update(exp=int(time.time()) - HOUR), "expired"),
    "without an end": (lambda it: it.claims.update(exp=None), "exp"),
    "made tomorrow": (lambda it: it.claims.update(iat=int(time.time()) + 24 * HOUR), "issued in the future"),
    "about nobody": (lambda it: it.claims.update(sub=None), "sub"),
    "about nobody at all": (lambda it: it.claims.update(sub=""), "who you are"),
    "about a number": (lambda it: it.claims.update(sub=7), "sub"),
    "signed by somebody else": (
        lambda it: setattr(it, "signs_with", RSAKey.generate_key(2048, {"kid": "1"})), "bad_signature",
    ),
    "signed with the secret": (lambda it: setattr(it, "signs_with", OctKey.import_key(SECRET * 2)), "HS256"),
    "not signed": (lambda it: setattr(it, "unsigned", True), "none"),
    "denied": (lambda it: setattr(it, "denies", "access_denied\nSet-Cookie: x=y"), "access_denied Set-Cookie"),
}  # fmt: skip


def test_what_the_provider_did_not_say_to_us_is_refused_in_one_line(make: MakeLeague, provider: Provider):
    league = make()
    for wrong, (breaks, expected) in REFUSED.items():
        right = dict(provider.__dict__)
        provider.claims, provider.codes = {}, {}
        breaks(provider)
        answer = sign_in(league)
        problem = answer.text.partition('role="alert">')[2].partition("</p>")[0]
        assert answer.status_code == 403 and expected in problem and "\n" not in problem, f"{wrong}: {problem}"
        provider.__dict__.update(right)
    assert user_names(league) == [] and not is_signed_in(league)


def test_who_did_not_begin_the_sign_in_does_not_end_it(make: MakeLeague, provider: Provider):
    league = make()
    begun = location(begin(league))
    cookie = league.web.cookies["cogames_asked"]
    for change in ("&state=guessed", "&state="):
        state = parse_qs(urlsplit(begun).query)["state"][0]
        assert come_back(league, begun.replace(f"&state={state}", change)).status_code == 400
    assert come_back(league, begun.replace(quote(provider.issuer, safe=""), "https%3A%2F%2Fevil")).status_code == 403
    league.web.cookies.clear()  # the browser of somebody else
    assert come_back(league, begun).status_code == 400
    league.web.cookies.set("cogames_asked", f"{cookie[:-4]}AAAA", path=CALLED_BACK)
    assert come_back(league, begun).status_code == 400
    key = OctKey.import_key(league.league.database.key("provider"))
    kept = jwt.decode(cookie, key).claims
    league.web.cookies.set("cogames_asked", jwt.encode({"alg": "HS256"}, {**kept, "exp": 1}, key), path=CALLED_BACK)
    assert "took too long" in come_back(league, begun).text
    assert user_names(league) == [] and not is_signed_in(league)


def test_a_code_is_good_once(make: MakeLeague):
    league = make()
    begun = location(begin(league))
    cookie = league.web.cookies["cogames_asked"]
    assert come_back(league, begun).status_code == 303 and "cogames_asked" not in league.web.cookies
    league.web.cookies.clear()
    league.web.cookies.set("cogames_asked", cookie, path=CALLED_BACK)
    assert come_back(league, begun).status_code == 403 and not is_signed_in(league)


def test_a_sign_in_leads_to_no_other_site(make: MakeLeague):
    league = make()
    for next in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert sign_in(league, next).headers["location"] == "/"


def test_accounts_can_be_for_people_of_the_provider_alone(make: MakeLeague, provider: Provider):
    league = make(registration="provider")
    form = {"name": "bert", "password": PASSWORD}
    assert league.web.post("/sign-up", data=form).status_code == 403
    assert sign_in(league).status_code == 303 and user_names(league) == ["anna"]
    with league.league.database.transaction() as session:
        accounts.find_user(session, "anna").disabled_at = now()
    assert sign_in(league).status_code == 403


def test_a_closed_league_makes_no_account_for_them_either(make: MakeLeague):
    league = make(registration="closed")
    assert sign_in(league).status_code == 403 and user_names(league) == []


def test_the_keeper_makes_an_admin_of_somebody_who_signs_in_there(make: MakeLeague, tmp_path: Path, cogames: Cogames):
    league = make()
    sign_in(league)
    for words, expected in ((["anna"], True), (["anna", "--undo"], False)):
        assert cogames("league", "user", "admin", *words, "--data", str(tmp_path)).code == 0
        with league.league.database.reading() as session:
            assert accounts.find_user(session, "anna").admin is expected
    assert cogames("league", "user", "admin", "nobody", "--data", str(tmp_path)).err == (
        "error: account nobody: there is none such\n"
    )


def test_without_a_provider_one_signs_in_here(playground: Playground):
    assert "Sign in with" not in playground.web.get("/sign-in").text
    assert playground.web.get("/sign-in/provider").status_code == 404
    assert playground.web.get(CALLED_BACK).status_code == 404


def test_a_provider_that_is_gone_or_another_is_told_in_one_line(make_league: MakeLeague, provider: Provider):
    gone = make_league(provider={"issuer": "http://127.0.0.1:9", "client_id": CLIENT})
    answer = gone.web.get("/sign-in/provider", follow_redirects=False)
    assert answer.status_code == 503 and answer.json()["detail"].startswith("127.0.0.1:9 does not answer")
    other = make_league(provider={"issuer": f"{provider.issuer}/", "client_id": CLIENT})
    answer = other.web.get("/sign-in/provider", follow_redirects=False)
    assert answer.status_code == 403 and "says that it is another" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--oidc-issuer", "http://college.example", "--oidc-client-id", "x"], "an issuer is https://HOST"),
        (["--oidc-issuer", "https://college.example"], "client_id"),
        (["--oidc-client-id", "x"], "issuer"),
        (["--registration", "provider"], "--oidc-issuer names it"),
        (["--oidc-issuer", "https://a.example", "--oidc-client-id", "x", "--oidc-secret-file", "none"], "no such file"),
    ],
)
def test_a_wrong_word_about_the_provider_is_one_line(
    words: list[str], expected: str, cogames: Cogames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COGAMES_OIDC_SECRET", SECRET)
    done = cogames("league", "serve", "--data", str(tmp_path), *words)
    assert done.code == 2 and expected in done.err and done.err.count("\n") == 1 and SECRET not in done.err
