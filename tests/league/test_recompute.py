"""Anybody computes a leaderboard again from what a league has published: a file, or an address of one."""

import functools
import json
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from metta.league.published import MOST
from metta.league.rating.published import publish
from tests.cli.conftest import Cogames, cogames
from tests.league.test_rating import season, world

__all__ = ["cogames"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Published results of a season, in the working folder."""
    monkeypatch.chdir(tmp_path)
    published = publish("autumn", season(world(7), 6), "replacement", {"p00": "role:v1"})
    (tmp_path / "results.json").write_text(published.model_dump_json())
    return tmp_path / "results.json"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the files of the working folder are served."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("place", ["results.json", "{address}/results.json"])
def test_the_same_leaderboard_comes_of_a_file_and_of_an_address(
    place: str, results: Path, address: str, cogames: Cogames
):
    done = cogames("league", "recompute", place.format(address=address))
    count = len(json.loads(results.read_text())["results"])
    assert (done.code, done.out) == (0, f"autumn: {count} results, 12 lines, the same as the league's\n"), done.err


def test_what_does_not_follow_from_the_results_is_exit_1(results: Path, cogames: Cogames):
    document = json.loads(results.read_text())
    document["standings"][3]["score"] += 1e-6
    results.write_text(json.dumps(document))
    done = cogames("league", "recompute", "results.json", "--json")
    assert done.code == 1 and "NOT the same" in done.err
    computed = [line["score"] for line in json.loads(done.out)]
    assert computed[3] != document["standings"][3]["score"] and computed == sorted(computed, reverse=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nothing.json"], "nothing.json: no such file"),
        (["huge.json"], f"larger than {MOST:,} bytes"),
        (["text.json"], "text.json: no published results (Invalid JSON"),
        (["twice.json"], "a match is in it twice"),
        (["seats.json"], "every policy has a seat"),
        (["score.json"], "should be less than or equal to 4000"),
        (["{address}/nothing.json"], "/nothing.json: the server says 404 File not found"),
        (["http://127.0.0.1:9/results.json"], "Connection refused"),
        (["ftp://127.0.0.1/results.json"], "neither http nor https"),
        (["results.json", "--season", "autumn"], "--season autumn: results.json says of which season it is"),
        (["results.json", "-o", "no/folder/kept.json"], "--output no/folder/kept.json: cannot be written"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    words: list[str], expected: str, results: Path, address: str, cogames: Cogames
):
    document = json.loads(results.read_text())
    first = document["results"][0]
    changes = {"twice": {}, "seats": {"lineup": {**first["lineup"], "seats": [10**400, 1]}},
               "score": {"scores": [[1e308], [1e308]]}}  # fmt: skip
    for name, change in changes.items():
        others = document["results"] if name == "twice" else document["results"][1:]
        Path(f"{name}.json").write_text(json.dumps({**document, "results": [{**first, **change}, *others]}))
    Path("text.json").write_text("results")
    Path("huge.json").touch()
    os.truncate("huge.json", MOST + 1)
    done = cogames("league", "recompute", *(word.format(address=address) for word in words))
    assert done.code == 2 and expected in done.err and done.err.count("\n") == 1, done.err


def test_results_can_be_kept_with_the_leaderboard_that_they_make(results: Path, cogames: Cogames):
    assert cogames("league", "recompute", "results.json", "-o", "kept.json").code == 0
    assert Path("kept.json").read_text() == results.read_text()
