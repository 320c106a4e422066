"""The pages as the server sends them: long tables, what is offered to whom, and refusals."""

import re
from typing import Any

import pytest

from metta.league import accounts, records
from metta.league.seasons import DEFAULT
from metta.league.server.html import COOKIE
from metta.league.store import history, policies, results, seasons
from metta.league.store.schema import Entry, Standing
from tests.league.conftest import MakeLeague, Playground, bundle, short_season

PAGE = {"Accept": "text/html"}
LINES = 250


def open_page(playground: Playground, place: str, name: str | None = None) -> Any:
    """What a browser gets, signed in as somebody."""
    cookie = {COOKIE: playground.token(name, "browser")} if name else {}
    playground.web.cookies.clear()
    playground.web.cookies.update(cookie)
    return playground.web.get(place, headers=PAGE, follow_redirects=False)


def send(playground: Playground, place: str, name: str, **form: Any) -> Any:
    """What comes of a form of a page, sent by somebody."""
    page = open_page(playground, "/me", name).text
    found = re.search(r'name="proof" value="(\w+)"', page)
    assert found
    return playground.web.post(place, data={**form, "proof": found[1]}, headers=PAGE, follow_redirects=False)


def rows(page: Any) -> list[str]:
    """Names on a page's leaderboard from top to bottom."""
    return re.findall(r"<bdi>(.*?)</bdi>", page.text.partition("<tbody")[2].partition("</tbody>")[0])


@pytest.fixture
def crowd(make_league: MakeLeague, kind: str, address: str) -> Playground:
    """A season with many policies, on each database: who came later is better, with a wider interval."""
    playground = make_league(database=address)
    playground.token("anna")
    with playground.league.database.transaction() as session:
        season = seasons.find_season(session, DEFAULT)
        user = accounts.find_user(session, "anna")
        for number in range(LINES):
            version, _ = policies.add_version(session, user, f"p{number:03d}", f"{number:064x}", 1)
            line = records.Standing(
                policy=str(version.id), score=float(number), ci95=(number - 1.0 - number, 2.0 * number),
                rank=LINES - number, ranks=(1, LINES), matches=number % 7, rating=None if number % 2 else -number,
            )  # fmt: skip
            session.add(Entry(pool_id=season.pools[0].id, version_id=version.id))
            session.add(Standing(**results.as_row(line, season)))
    return playground


FIRST = {
    "rank": "p249", "-rank": "p000", "policy": "p000", "-score": "p249", "score": "p000", "-interval": "p249",
    "rating": "p248", "-rating": "p000", "-matches": "p244", "by": "p249",
}  # fmt: skip


def test_a_long_leaderboard_is_sorted_as_a_whole_and_shown_in_pages(crowd: Playground):
    for sort, first in FIRST.items():
        pages = [open_page(crowd, f"/seasons/{DEFAULT}?sort={sort}&page={number}") for number in (1, 2, 3)]
        names = [name for page in pages for name in rows(page)]
        assert names[0] == first and len(set(names)) == len(names) == LINES
        assert "Page 2 of 3" in pages[1].text
        assert sort == "rank" or f"sort={sort}&amp;page=3" in pages[1].text
        if sort.endswith("rating"):
            assert all(int(name[1:]) % 2 for name in names[LINES // 2 :])  # without a rating: last


def test_a_season_s_page_is_everybody_s_but_for_one_s_own_lines_and_the_server_s_name(crowd: Playground):
    place = f"/seasons/{DEFAULT}"
    for name, own in ((None, 0), ("anna", 100), ("bert", 0), ("anna", 100)):
        assert open_page(crowd, place, name).text.count('<tr class="own">') == own
    for host in ("one.example", "two.example", "one.example"):
        page = crowd.web.get(place, headers={**PAGE, "Host": host}).text
        assert set(re.findall(r"\w+\.example", page)) == {host}


def test_a_leaderboard_shows_how_ranks_went(crowd: Playground):
    with crowd.league.database.transaction() as session:
        season = seasons.find_season(session, DEFAULT)
        [best, *_] = seasons.leaderboard(session, season, limit=1)
        for results_then, rank in ((1, 4), (2, 9), (3, 1)):
            line = {"version_id": best.version_id, "rank": rank, "score": 0.0}
            history.add_points(session, season.id, results_then, [line])
    page = open_page(crowd, f"/seasons/{DEFAULT}").text
    assert page.count("from rank 4 to 1, best 1, worst 9</title>") == page.count("polyline") == 1


def test_a_page_that_is_not_there_is_told_of(crowd: Playground):
    answer = open_page(crowd, f"/seasons/{DEFAULT}?page=4")
    assert answer.status_code == 404 and "page 4: there are 3" in answer.text
    assert open_page(crowd, f"/seasons/{DEFAULT}?sort=colour").status_code == 422
    for place in (f"/seasons/{DEFAULT}/matches", "/me"):
        assert open_page(crowd, f"{place}?page=9", "anna").status_code == 404


def test_one_s_policies_are_shown_in_pages(crowd: Playground):
    pages = [open_page(crowd, f"/me?page={number}", "anna") for number in (1, 2, 3)]
    assert [len(rows(page)) for page in pages] == [100, 100, 50]
    assert "Next page" in pages[0].text and "Next page" not in pages[2].text


def test_matches_are_shown_in_pages(playground: Playground, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metta.league.server.pages.LINES", 2)
    version = playground.upload("anna", "mine", bundle("random"))
    playground.upload("bert", "other", bundle("miner"))
    playground.work()
    for place in (f"/seasons/{DEFAULT}/matches", f"/policies/{version['id']}"):
        found: list[str] = []
        number, more = 1, True
        while more:
            page = open_page(playground, f"{place}?page={number}")
            found += re.findall(r'<tr><td><a href="/matches/([0-9a-f-]+)"', page.text)
            number, more = number + 1, "Next page" in page.text
        known = playground.get(f"/tournament/seasons/{DEFAULT}/matches", policy_version_ids=[version["id"]])
        ours = {match["id"] for match in known}
        assert len(found) == len(set(found)) and ours <= set(found) and number > 3


def test_only_seasons_that_take_entries_are_offered(playground: Playground):
    with playground.league.database.transaction() as session:
        earlier = short_season(name="earlier", default=False, ends_at="2020-01-01T00:00:00Z")
        seasons.add_season(session, earlier, playground.league.engine)
        seasons.add_season(session, short_season(name="later", default=False), playground.league.engine)
    version = playground.upload("anna", "mine", bundle("random"))
    for place in ("/me", "/upload"):
        offered = re.findall(r"<option[^>]*>([^<]*)</option>", open_page(playground, place, "anna").text)
        assert "earlier" not in offered and "later" in offered
    assert re.findall(r'href="/seasons/([^"]+)"', open_page(playground, "/").text) == [DEFAULT, "later", "earlier"]
    page = open_page(playground, "/seasons/earlier").text
    assert "cogames submit" not in page and "ended <time" in page and "2020-01-01 00:00 UTC" in page
    assert send(playground, "/me/submit", "anna", version_id=version["id"], season="later").status_code == 303
    assert "<option>" not in open_page(playground, "/me", "anna").text


def test_a_new_version_of_a_season_is_entered_anew_and_the_earlier_one_is_over(playground: Playground):
    version = playground.upload("anna", "mine", bundle("random"))
    with playground.league.database.transaction() as session:
        seasons.add_season(session, short_season(), playground.league.engine)
    page = open_page(playground, "/me", "anna").text
    assert f"<option>{DEFAULT}</option>" in page and f"{DEFAULT}:v1</a>" in page
    assert playground.get(f"/tournament/seasons/{DEFAULT}:v1")["status"] == "complete"
    assert send(playground, "/me/submit", "anna", version_id=version["id"], season=DEFAULT).status_code == 303
    assert playground.get("/tournament/my-memberships", "anna") == {version["id"]: [DEFAULT]}


def test_commands_on_pages_name_the_server(make_league: MakeLeague):
    playground = make_league(address="https://league.example")
    assert f"--season {DEFAULT} --server https://league.example" in open_page(playground, f"/seasons/{DEFAULT}").text


REFUSALS = {
    "/nowhere": 404,
    "/seasons/nowhere": 404,
    "/seasons/beta-cogsguard?page=0": 422,
    "/matches/none": 422,
    "/matches/00000000-0000-0000-0000-000000000000": 404,
    "/static/../app.py": 404,
}


@pytest.mark.parametrize("place, status", REFUSALS.items())
def test_what_is_refused_is_a_page_for_browsers_which_knows_who_is_signed_in(
    playground: Playground, place: str, status: int
):
    for name, head in ((None, "Sign in</a>"), ("anna", "Sign out anna</button>")):
        answer = open_page(playground, place, name)
        assert answer.status_code == status and answer.headers["content-type"].startswith("text/html")
        assert 'role="alert"' in answer.text and head in answer.text
    assert "detail" in playground.web.get(place).json()


def test_too_much_is_a_page_for_browsers_too(make_league: MakeLeague):
    playground = make_league(limits={"requests_per_minute": 5, "request_bytes": 1000, "upload_bytes": 1000})
    for place, size in (("/sign-in", 2000), ("/upload", 20_000)):
        answer = playground.web.post(place, data={"name": "x" * size}, headers=PAGE)
        assert answer.status_code == 413 and "bytes</p>" in answer.text
        assert playground.web.post(place, data={"name": "x" * size}).json()["detail"].startswith("at most")
    answers = [playground.web.get("/", headers=PAGE) for _ in range(5)]
    assert answers[-1].status_code == 429 and "too many requests" in answers[-1].text
    assert int(answers[-1].headers["Retry-After"]) >= 1 and "too many" in playground.web.get("/").json()["detail"]


def test_a_sign_in_leads_back_to_where_one_was(playground: Playground):
    asked = open_page(playground, "/tokens?of=mine")
    assert asked.headers["location"] == "/sign-in?next=%2Ftokens%3Fof%3Dmine"
    for place in ("/sign-in", "/sign-up"):
        form = {"name": "nobody", "password": "short", "next": "/me"}
        page = playground.web.post(place, data=form, headers=PAGE).text
        assert 'href="/sign-in?next=/me"' in page


def test_a_policy_s_way_is_shown_to_all_and_the_reasons_to_its_owner(playground: Playground):
    version = playground.upload("anna", "mine", bundle("mine.Policy", mine="import numby"))
    playground.work(trust_code=True)
    place, reason = f"/policies/{version['id']}", "No module named &#39;numby&#39;"
    mine = open_page(playground, "/me", "anna").text
    assert reason in open_page(playground, place, "anna").text and reason in mine and "retired</span>" in mine
    for other in (None, "bert"):
        page = open_page(playground, place, other).text
        assert "refused</span>" in page and "retired</span>" in page and "numby" not in page
