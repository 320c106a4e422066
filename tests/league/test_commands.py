"""What the commands of a league say: to those who take part, with tokens, names and seasons that are no good any more
or never were, and to its keeper."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metta.league.accounts import find_user, revoke, tokens_of
from metta.league.league import SQLITE
from metta.league.seasons import DEFAULT
from metta.league.store.seasons import find_season
from metta.league.token_file import load_token, save_token
from tests.cli.conftest import Cogames, cogames
from tests.league.conftest import Playground, bundle, listening
from tests.league.test_guide import log_in

__all__ = ["cogames"]
OVER = "the token is unknown, over or taken back"
SEASON = """
name: autumn
missions: [{name: cogsguard_arena.basic, max_steps: 20}]
pools: [{name: qualifying, partners: self, threshold: 0}, {name: competition}]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and a working folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def server(playground: Playground, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a league, which all commands ask, as anna."""
    with listening(playground) as address:
        monkeypatch.setenv("COGAMES_SERVER", address)
        save_token(address, playground.token("anna"))
        yield address


def take_back(playground: Playground, name: str) -> None:
    """All tokens of an account."""
    with playground.league.database.transaction() as session:
        user = find_user(session, name)
        for token in tokens_of(session, user):
            revoke(session, user, token.id)


def test_a_token_that_was_taken_back_is_told_of_and_login_gets_another(
    server: str, playground: Playground, home: Path, cogames: Cogames
):
    assert cogames("login").out == f"Already authenticated with {server} as anna (--force gets a new token)\n"
    take_back(playground, "anna")
    for words in ("auth status", "submissions", "submit x", "upload -p role -n x --skip-validation"):
        done = cogames(*words.split())
        assert done.code == 1 and OVER in done.err and done.err.count("\n") == 1
    assert cogames("leaderboard").code == 0  # anybody may read it
    done = log_in(server, home, "bert")
    assert done.returncode == 0 and "Authentication successful: bert" in done.stdout, done.stderr


@pytest.mark.parametrize("token", ["", "two words", "日本", "a\nb", "x" * 1001])
def test_what_is_no_token_is_neither_kept_nor_sent(token: str, server: str, cogames: Cogames):
    kept = load_token(server)
    done = cogames("auth", "set-token", token)
    assert done.code == 2 and "the token: no token" in done.err and load_token(server) == kept
    save_token(server, token or "\t")
    done = cogames("seasons")
    assert done.code == 2 and "cogames.yaml:login_tokens.http" in done.err and done.err.count("\n") == 1


def test_the_token_of_a_worker_acts_for_nobody(server: str, playground: Playground, cogames: Cogames):
    save_token(server, playground.token("anna", "worker"))
    done = cogames("submissions")
    assert done.code == 1 and "a worker token does not act for an account" in done.err


@pytest.mark.parametrize(
    "address",
    ["", "localhost:8400", "ftp://localhost", "http://", "http://[::1", "http://a..b", "http://localhost:port",
     "http://localhost:99999", "http://anna:secret@localhost", "http://localhost?a=b", "http://localhost#a",
     "http://localhost/ä", " http://localhost", "http://local host"],
)  # fmt: skip
def test_what_is_no_address_is_one_line(address: str, home: Path, cogames: Cogames):
    done = cogames("leaderboard", "--server", address)
    assert done.code == 2 and "http://HOST:PORT" in done.err and done.err.count("\n") == 1 and "secret" not in done.err


def test_a_server_is_known_however_its_address_is_written(server: str, cogames: Cogames):
    for address in (f"{server}/", f"{server}//", server.upper()):
        assert cogames("auth", "status", "--server", address).out == "Authenticated as anna\n"
    done = cogames("seasons", "--server", f"{server}/league")
    assert (done.code, done.err) == (1, "error: there is nothing at /league/tournament/seasons\n")


@pytest.mark.parametrize("command", ["leaderboard --season", "submit mine --season", "matches --season", "seasons",
                                     "submissions --season", "league recompute --season"])  # fmt: skip
@pytest.mark.parametrize("season", ["", "/", f"{DEFAULT}/leaderboard", "../seasons", "a?b", "%2e", f"{DEFAULT}:v2"])
def test_a_season_that_is_none_is_named(
    command: str, season: str, server: str, playground: Playground, cogames: Cogames
):
    playground.upload("anna", "mine", bundle(), season=None)
    done = cogames(*command.split(), season)
    assert done.code in (1, 2) and f"error: Season '{season}' not found" in done.err and done.err.count("\n") == 1


def test_the_nearest_names_are_told(server: str, playground: Playground, cogames: Cogames):
    playground.upload("anna", "my-policy", bundle(), season=None)
    assert f"not found (there are {DEFAULT})" in cogames("leaderboard", "--season", "spring").err
    assert f"(its newest version is {DEFAULT}:v1)" in cogames("leaderboard", "--season", f"{DEFAULT}:v7").err
    assert "cogames upload (did you mean my-policy?)" in cogames("submit", "my-polcy").err
    assert cogames("seasons", f"{DEFAULT}:v1", "--versions", "--json").document[0]["version"] == 1


def test_who_was_taken_out_of_a_season_is_told_why_and_it_is_no_error_to_submit_it(
    server: str, playground: Playground, cogames: Cogames
):
    broken = bundle("my_policy.MyPolicy", my_policy="import nothing_such")
    playground.upload("anna", "mine", broken)
    playground.work(trust_code=True)
    playground.commissioner.look()
    reason = "refused: mine:v1: cannot import my_policy (ModuleNotFoundError: No module named 'nothing_such'"
    done = cogames("submit", "mine")
    assert done.code == 0 and f"already submitted to season '{DEFAULT}': mine:v1 was taken out: {reason}" in done.out
    assert playground.upload("anna", "mine", broken)["retired"].startswith(reason)
    [entry] = cogames("submissions", "--season", DEFAULT, "--json").document
    assert entry["pools"][0]["reason"].startswith(reason)
    assert "ModuleNotFoundError" in cogames("submissions", "--season", DEFAULT).out
    [entry] = playground.get(f"/tournament/seasons/{DEFAULT}/policies", "bert")
    assert [pool["reason"] for pool in entry["pools"]] == [None]


def test_all_uploads_are_listed(server: str, playground: Playground, cogames: Cogames, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metta.cli.league.PAGE", 2)
    for number in range(4):
        playground.upload("anna", f"policy {number}", bundle(), season=None)
        listed = cogames("submissions", "--json").document
        assert [one["name"] for one in listed] == [f"policy {before}" for before in range(number, -1, -1)]


@pytest.mark.parametrize(
    "name", ["a/b", "ä 漢字", "<b>", "../..", "%2e?#", "[red]x[/red]", "'; DROP TABLE users;--", "👾"]
)
def test_names_may_hold_anything_that_is_seen(name: str, server: str, playground: Playground, cogames: Cogames):
    playground.upload("anna", name, bundle(), season=None)
    assert f"Submitted {name}:v1" in cogames("submit", f"{name}:v1").out
    assert f"{name}:v1" in cogames("submissions").out
    assert cogames("submissions", "--season", DEFAULT, "-p", name, "--json").document[0]["policy"]["name"] == name


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a:b", "a\nb", "a\x1b[31m", "\u202eb", "x" * 65])
def test_other_names_are_refused_before_anything_is_packed(name: str, home: Path, cogames: Cogames):
    done = cogames("upload", "-p", "role", "-n", name)
    assert done.code == 2 and "policy name: 1 to 64 characters" in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        (["=x"], "names have at most 64 letters"),
        (["A B=x"], "names have at most 64 letters"),
        ([f"KEY={'x' * 2001}"], "KEY: at most 2,000 characters"),
        ([f"K{number}=x" for number in range(11)], "11 secret values; a version has at most 10"),
        (["NOT_SET"], "neither NAME=VALUE nor set here ($NOT_SET)"),
    ],
)
def test_secret_values_are_looked_at_before_anything_is_asked(
    secrets: list[str], expected: str, server: str, cogames: Cogames
):
    words = [word for secret in secrets for word in ("--secret-env", secret)]
    done = cogames("upload", "-p", "role", "-n", "mine", *words)
    assert done.code == 2 and expected in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", None),
        ("missions: [{name: cogsguard_arna.basic}]", "unknown mission 'cogsguard_arna.basic' (did you mean"),
        ("missions: [{name: cogsguard_arena.basic, map: {width: 5, height: 5}}]", "map.height=5"),
        ("pools: [{name: all, own_seats: [4, 9]}]", "pools.0.own_seats=9: the missions have 8 seats"),
        ("pools: [{name: all}, {name: all}]", "two pools of one name"),
        ("compat_version: newest", "compat_version='newest'"),
        ("scores: shares", "scores' (did you mean score?)"),
        ("starts_at: tomorrow", "starts_at='tomorrow'"),
    ],
)
def test_a_mistake_in_a_season_is_told_with_its_file(
    line: str, expected: str | None, playground: Playground, home: Path, cogames: Cogames
):
    key = line.partition(":")[0]
    kept = [one for one in SEASON.splitlines() if not (key and one.startswith(f"{key}:"))]
    (home / "autumn.yaml").write_text("\n".join([*kept, line]))
    done = cogames("league", "season", "add", "autumn.yaml", "--data", str(home))
    if expected is None:
        assert (done.code, done.out) == (0, "season autumn v1 has begun\n")
    else:
        assert done.code == 2 and "autumn.yaml" in done.err and expected in done.err and done.err.count("\n") == 1


def test_a_version_of_a_season_that_another_has_followed_is_over(
    server: str, playground: Playground, home: Path, cogames: Cogames
):
    playground.upload("anna", "mine", bundle(), season=None)
    (home / "next.yaml").write_text(SEASON.replace("autumn", DEFAULT))
    assert cogames("league", "season", "add", "next.yaml", "--data", str(home)).code == 0
    assert cogames("seasons", f"{DEFAULT}:v1", "--json").document["status"] == "complete"
    assert cogames("seasons", DEFAULT, "--json").document["status"] == "in_progress"
    done = cogames("submit", "mine", "--season", f"{DEFAULT}:v1")
    assert done.code == 1 and f"Season '{DEFAULT}' (v1) is over" in done.err


def test_a_season_of_another_version_of_the_code_stands_still_and_everybody_is_told(
    server: str, playground: Playground, home: Path, cogames: Cogames
):
    assert "no more are played" not in cogames("seasons", DEFAULT).out
    with playground.league.database.transaction() as session:
        find_season(session, DEFAULT).engine = "0" * 64
    assert "no more are played: the league's code has changed" in cogames("seasons", DEFAULT).out
    command = [sys.executable, "-m", "metta.cli.cogames", "league", "serve", "--data", str(home), "--port", "0"]
    process = subprocess.Popen([*command, "--workers", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr and process.stdout.readline().startswith("league: ")
    process.terminate()
    assert f"season {DEFAULT} v1 is of another version of the code: none of its matches" in process.stderr.read()
    process.wait()


def test_commands_of_the_keeper_make_no_database_by_mistake(playground: Playground, home: Path, cogames: Cogames):
    there, missing = f"sqlite:///{home / SQLITE}", home / "other.sqlite"
    assert "Account" in cogames("league", "user", "list", "--database", there).out
    done = cogames("league", "user", "list", "--database", f"sqlite:///{missing}")
    assert done.code == 2 and "there is no such file" in done.err and not missing.exists()
    playground.token("anna")
    assert "(did you mean anna?)" in cogames("league", "user", "token", "ana", "--data", str(home)).err
