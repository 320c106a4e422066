"""A league whose files lie in a bucket, on a server of this machine that speaks S3 (moto)."""

import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from metta.common.errors import UserError
from metta.league.client import MOST_FILE, Client
from metta.league.published import play_again
from metta.league.seasons import DEFAULT
from metta.league.settings import Limits
from metta.league.worker import Worker
from tests.league.conftest import MakeLeague, Playground, bundle, listening

pytest.importorskip("moto.server", reason="needs moto, of the extra dev")

from tests.policy.stored.sources.servers import bucket

__all__ = ["bucket"]
PREFIX = "league/ours/"


@pytest.fixture
def league(bucket: Any, make_league: MakeLeague) -> Playground:
    return make_league(files="s3://cogs/league/ours", limits={"upload_bytes": 10_000})


@pytest.fixture
def address(league: Playground) -> Iterator[str]:
    with listening(league) as address:
        yield address


def upload(client: Client, data: bytes, path: Path, name: str = "role") -> dict[str, Any]:
    """As `cogames upload` does; with where it was put."""
    path.write_bytes(data)
    place = client.post("/stats/policies/submit/presigned-url")
    client.put_file(place["upload_url"], path)
    said = {"upload_id": place["upload_id"], "name": name, "season": DEFAULT}
    return {**client.post("/stats/policies/submit/complete", said), **place}


def keys(bucket: Any, kind: str = "") -> list[str]:
    return sorted(one.key.removeprefix(PREFIX) for one in bucket.objects.filter(Prefix=PREFIX + kind))


def test_a_season_is_played_from_a_bucket(bucket: Any, league: Playground, address: str, tmp_path: Path):
    client = Client(address, league.token("anna"))
    done = upload(client, bundle("role"), tmp_path / "bundle.zip")
    kept = f"bundles/{sha256(bundle('role')).hexdigest()}"
    assert not done["upload_url"].startswith(address) and keys(bucket) == [kept]

    worker = Worker(Client(address, league.token("worker", "worker")))
    for _ in range(10):
        league.commissioner.look()
        worker.run_once()
    [line] = client.get(f"/tournament/seasons/{DEFAULT}/leaderboard")
    match = client.get(f"/tournament/seasons/{DEFAULT}/matches")[0]
    assert line["matches"] == 4 and len(keys(bucket, "results/")) == len(keys(bucket, "replays/")) == 6
    assert play_again(client, match["id"], trust_code=False).same
    page = requests.get(f"{address}/matches/{match['id']}/replay/0", timeout=10)
    assert page.status_code == 200 and len(page.content) > 10_000
    file = requests.get(f"{address}/matches/{match['id']}/replay/0/file", timeout=10).content
    assert file in [bucket.Object(PREFIX + key).get()["Body"].read() for key in keys(bucket, "replays/")]

    assert requests.put(done["upload_url"], b"something else", timeout=10).ok  # S3 takes it, the league does not
    again = client.post("/stats/policies/submit/complete", {"upload_id": done["upload_id"], "name": "role"})
    assert again["id"] == done["id"] and bucket.Object(PREFIX + kept).get()["Body"].read() == bundle("role")


@pytest.mark.parametrize(
    ("data", "status", "expected"),
    [
        (b"PK\x03\x04" + bytes(10_000), 413, "10,004 bytes; 10,000 are allowed"),
        (b"no zip file", 422, "upload: no zip file"),
        (None, 400, "nothing was uploaded"),
    ],
)
def test_what_is_no_bundle_is_refused_and_removed(
    data: bytes | None, status: int, expected: str, bucket: Any, league: Playground
):
    place = league.begin()
    assert data is None or requests.put(place["upload_url"], data, timeout=10).ok
    said = {"upload_id": place["upload_id"], "name": "x"}
    answer = league.post("/stats/policies/submit/complete", "anna", said)
    assert (answer.status_code, keys(bucket)) == (status, []) and expected in answer.json()["detail"]


class Away(BaseHTTPRequestHandler):
    """A server that knows the bucket and is down for all else."""

    def do_HEAD(self) -> None:
        self.send_response(200 if urlsplit(self.path).path.strip("/") == "cogs" else 503)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


def test_a_bucket_that_does_not_answer_is_told_in_one_line(
    bucket: Any, make_league: MakeLeague, monkeypatch: pytest.MonkeyPatch
):
    with ThreadingHTTPServer(("127.0.0.1", 0), Away) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        league = make_league(files="s3://cogs")
        said = {"upload_id": league.begin()["upload_id"], "name": "x"}
        answer = league.post("/stats/policies/submit/complete", "anna", said)
        assert answer.status_code == 503 and answer.json()["detail"].startswith("the league's files cannot be reached")
        server.shutdown()
    with pytest.raises(UserError, match=r"^--files s3://cogs: Could not connect") as raised:
        make_league(files="s3://cogs")
    assert "\n" not in str(raised.value)


def test_a_bucket_that_is_not_there_is_told_when_the_league_begins(bucket: Any, make_league: MakeLeague):
    with pytest.raises(UserError, match=r"^--files s3://other: .*Not Found"):
        make_league(files="s3://other")


def test_what_a_league_takes_can_be_downloaded():
    assert Limits().upload_bytes < MOST_FILE
