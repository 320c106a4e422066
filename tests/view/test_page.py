"""The built page: one file that needs nothing else, made from the sources that lie in viewer/."""

import base64
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.view.page import content_policy, live_page, replay_page, write_replay_page
from tests.view.conftest import Played

ROOT = Path(__file__).parents[2]
BUILT = files("metta.view").joinpath("page")
BESIDE_SRC = (
    "index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts", "../metta/view/palette.json",
)  # fmt: skip


def test_it_was_built_from_the_present_sources():
    viewer, digest = ROOT / "viewer", hashlib.sha256()
    sources = [str(path.relative_to(viewer).as_posix()) for path in (viewer / "src").rglob("*") if path.is_file()]
    for name in sorted([*sources, *BESIDE_SRC]):
        digest.update(f"{name}\n".encode() + (viewer / name).read_bytes())
    assert BUILT.joinpath("sources.sha256").read_text().strip() == digest.hexdigest(), "cd viewer && npm run build"


def test_it_names_no_other_host_and_loads_no_other_file():
    page = BUILT.joinpath("index.html").read_text("utf-8")
    assert all(name.startswith("http://www.w3.org/") for name in re.findall(r"\w+://[^\"\s]*", page))  # namespaces
    assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?!data:)", page) == []
    assert "default-src 'none'" in page and "connect-src 'self'" in page


def test_it_runs_its_own_script_and_no_other():
    page = BUILT.joinpath("index.html").read_bytes()
    (script,) = re.findall(rb'<script type="module"[^>]*>(.*?)</script>', page, re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'sha256-{known}';" in content_policy()
    for shown in (replay_page(b"x"), live_page()):
        assert content_policy() in shown and script.decode() in shown


def test_the_lock_file_holds_versions_and_hashes_but_no_addresses():
    lock = (ROOT / "viewer" / "package-lock.json").read_text()
    packages = json.loads(lock)["packages"]
    assert "://" not in lock
    assert all("resolved" not in package and (not name or "integrity" in package) for name, package in packages.items())


def test_it_is_part_of_the_package():
    metadata = (ROOT / "pyproject.toml").read_text()
    assert '"view/page/*"' in metadata and '"view/palette.json"' in metadata


@pytest.mark.parametrize("page", [replay_page(b"</script><b>"), live_page()])
def test_what_is_put_into_it_cannot_end_its_script(page: str):
    source = re.search(r'<script id="source" type="application/json">(.*?)</script>', page)
    assert source and "<" not in source[1] and len(json.loads(source[1])) == 1
    assert "</script><b>" not in page


def test_a_damaged_replay_makes_no_page(played: Played, tmp_path: Path):
    (tmp_path / "cut.replay").write_bytes(played.path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"^.*cut\.replay: damaged replay"):
        write_replay_page(tmp_path / "cut.replay", tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_a_page_that_cannot_be_written_is_named_in_one_line(played: Played, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/out\.html: cannot be written \(.*\)$"):
        write_replay_page(played.path, tmp_path / "file" / "out.html")
