"""Downloads: whole, checked and kept, however the connection behaves."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.policy.stored.sources import cache as downloads
from metta.policy.stored.sources.cache import Remote, fetch
from metta.policy.stored.sources.http import read_from
from tests.policy.stored.sources.servers import Site, serve

DATA = bytes(range(256)) * 400


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site({"/file": DATA})
    with serve(site):
        yield site


def remote(site: Site, size: int = len(DATA), sha256: str = "") -> Remote:
    return Remote("test://file", size, "tag", partial(read_from, f"{site.address}/file", headers={}), sha256=sha256)


def test_a_file_is_downloaded_once(site: Site, cache: Path):
    assert fetch(remote(site)) == fetch(remote(site)) == DATA
    assert len(site.asked) == 1
    assert [path.name for path in (cache / "blobs").iterdir()] == [hashlib.sha256(DATA).hexdigest()]


def test_the_next_command_goes_on_after_an_interruption(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(downloads, "TRIES", 1)
    site.cut_after, site.cuts = 50_000, 2
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fetch(interrupted(remote(site)))
    assert fetch(remote(site)) == DATA
    assert [asked for _, asked in site.asked] == ["bytes=0-", "bytes=50000-", "bytes=100000-"]


def interrupted(remote: Remote) -> Remote:
    """The same file, whose reader presses Ctrl-C when the connection is lost."""

    def read(start: int) -> tuple[int, Iterator[bytes]]:
        begin, chunks = remote.read(start)

        def until_lost() -> Iterator[bytes]:
            try:
                yield from chunks
            except downloads.LostConnectionError:
                raise KeyboardInterrupt from None
            raise KeyboardInterrupt

        return begin, until_lost()

    return Remote(remote.uri, remote.size, remote.tag, read)


def test_a_server_without_ranges_is_read_from_the_start_again(site: Site):
    site.ranges, site.cut_after, site.cuts = False, 50_000, 1
    assert fetch(remote(site)) == DATA


def test_a_server_that_never_answers_in_full_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    site.cut_after, site.cuts = 0, 99
    with pytest.raises(UserError, match=r"broke off .*0 of 102,400 bytes are kept"):
        fetch(remote(site))


def test_another_hash_or_size_than_announced_is_refused_and_not_kept(site: Site, cache: Path):
    with pytest.raises(UserError, match="refused, its hash is"):
        fetch(remote(site, sha256="0" * 64))
    with pytest.raises(UserError, match="more bytes arrive"):
        fetch(remote(site, size=1000))
    assert not list((cache / "blobs").iterdir()) and not any(
        path.stat().st_size for path in (cache / "parts").iterdir()
    )


def test_a_file_that_is_too_large_is_not_even_asked_for(site: Site):
    with pytest.raises(UserError, match="larger than"):
        fetch(remote(site), most=1000)
    assert not site.asked


def test_other_schemes_than_http_are_refused():
    with pytest.raises(UserError, match="neither http nor https"):
        read_from("file:///etc/hostname", 0, {})


def test_those_who_want_the_same_file_wait_for_one(site: Site):
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fetch, [remote(site)] * 4)) == [DATA] * 4
    assert len(site.asked) == 1
