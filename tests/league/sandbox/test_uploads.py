"""Hostile bundles: those that are broken or reach out are refused in one line, code in the others reaches nothing."""

import io
import json
import re
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.league.bundles import check_bundle
from metta.league.play import look_at
from metta.league.sandbox.bubblewrap import Bubblewrap
from tests.league.sandbox.conftest import pack, play
from tests.league.sandbox.test_sandbox import GOOD, gone

SPEC = {"class_path": "mine.Good"}
Member = str | zipfile.ZipInfo


def packed(files: dict[str, bytes | str], spec: object = SPEC, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file with a spec; one of text is taken as it is."""
    return members(
        [("policy_spec.json", spec if isinstance(spec, str) else json.dumps(spec)), *files.items()], compression
    )


def members(files: list[tuple[Member, bytes | str]], compression: int = zipfile.ZIP_STORED) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", compression) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return into.getvalue()


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def encrypted() -> bytes:
    data = bytearray(packed({"mine.py": GOOD}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def lies_about_its_size() -> bytes:
    data = bytearray(packed({"big": bytes(1 << 16)}, compression=zipfile.ZIP_DEFLATED))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (1 << 31).to_bytes(4, "little")
    return bytes(data)


def patched(mark: bytes, offset: int, change: bytes) -> bytes:
    """A bundle whose last record of a kind is changed."""
    data = bytearray(packed({"mine.py": GOOD}))
    at = data.rindex(mark) + offset
    data[at : at + len(change)] = change
    return bytes(data)


def not_utf8() -> bytes:
    return patched(b"PK\x01\x02", 9, b"\x08").replace(b"mine.py", b"mine\xff\xfe\xfd")


def overlapping() -> bytes:
    """Two entries of the directory lead to the same content."""
    data = packed({"mine.py": GOOD, "aaaa": "A"})
    start, last, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = data[start:end] + data[last:end].replace(b"aaaa", b"bbbb")
    return data[:start] + entries + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 4, 4, len(entries), start, 0)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip file": (lambda: b"#!/bin/sh\nrm -rf /\n", "no zip file"),
    "an end without a beginning": (lambda: b"PK\x03\x04" + bytes(100), "no sound zip file"),
    "a path above": (lambda: packed({"../../owned.py": "x"}), "a path that leads out"),
    "a path above, in the other way": (lambda: packed({"..\\owned.py": "x"}), "a path that leads out"),
    "an absolute path": (lambda: packed({"/etc/cron.d/owned": "x"}), "a path that leads out"),
    "a link": (lambda: members([("policy_spec.json", "{}"), (special("x", stat.S_IFLNK), "/etc/passwd")]), "a link"),
    "a device": (lambda: members([("policy_spec.json", "{}"), (special("x", stat.S_IFCHR), "")]), "a link or device"),
    "a fifo": (lambda: members([("policy_spec.json", "{}"), (special("x", stat.S_IFIFO), "")]), "a link or device"),
    "a bomb": (lambda: packed({"zeros": bytes(1 << 24)}, compression=zipfile.ZIP_DEFLATED), "a zip bomb"),
    "a wrong size": (lies_about_its_size, "unpacks to|unpack to"),
    "files without number": (lambda: packed({f"{k}.py": "" for k in range(3_000)}), "3,001 files in the zip"),
    "a file twice": (lambda: members([("a", "1"), ("policy_spec.json", "{}"), ("a", "2")]), "two files of one name"),
    "a file by two paths": (lambda: packed({"a/b": "1", "a//b": "2"}), "two files of one name"),
    "another file by two paths": (lambda: packed({"a/b": "1", "a/./b": "2"}), "two files of one name"),
    "a file that is a folder": (lambda: packed({"a": "1", "a/b.py": "2"}), "that is a folder too in the zip: 'a'"),
    "a folder that is a file": (lambda: packed({"a/b/c": "1", "a": "2"}), "a file that is a folder too"),
    "a name that no disk takes": (lambda: packed({"x" * 256: ""}), "a path that is too long"),
    "a path that no disk takes": (lambda: packed({"/".join(["x" * 200] * 30): ""}), "a path that is too long"),
    "folders without end": (lambda: packed({"x/" * 20_000 + "x": ""}), "a path that is too long"),
    "a name that is no text": (not_utf8, "no sound zip file"),
    "two entries for one content": (overlapping, "damaged or cut short"),
    "an unknown compression": (lambda: patched(b"PK\x01\x02", 10, b"\x63\0"), "damaged or cut short"),
    "content beyond the end": (lambda: patched(b"PK\x01\x02", 42, b"\xf0\xff\xff\xff"), "damaged or cut short"),
    "an encrypted file": (encrypted, "encrypted"),
    "no spec": (lambda: members([("mine.py", GOOD)]), r"no policy_spec\.json"),
    "a spec that is no JSON": (lambda: packed({}, "{'class_path'"), "no JSON"),
    "a spec that is deep": (lambda: packed({}, "[" * 100_000), "no JSON"),
    "a spec that is huge": (lambda: packed({}, json.dumps({**SPEC, "x": "y" * (1 << 24)})), "larger than"),
    "a spec within a spec": (
        lambda: packed({}, json.dumps({**SPEC, "init_kwargs": {}})[:-2] + '"x": ' + "[" * 900 + "]" * 900 + "}}"),
        "more than 50 deep",
    ),
    "a spec of large numbers": (lambda: packed({}, f'{{"class_path": "x.Y", "epoch": {"9" * 5_000}}}'), "no JSON"),
    "a class of half a character": (lambda: packed({}, '{"class_path": "mine.\\ud800"}'), "valid string"),
    "a spec that is a list": (lambda: packed({}, [SPEC]), "class_path does not say"),
    "a spec without a class": (lambda: packed({}, {"class_path": ""}), "class_path does not say"),
    "a class that is a number": (lambda: packed({}, {"class_path": 7}), "class_path does not say"),
    "data elsewhere": (lambda: packed({"mine.py": GOOD}, {**SPEC, "data_path": "../token"}), "leaves the folder"),
    "data anywhere": (lambda: packed({"mine.py": GOOD}, {**SPEC, "data_path": "/etc/passwd"}), "leaves the folder"),
    "a file that is not there": (lambda: packed({}, {**SPEC, "sha256": {"mine.py": "0" * 64}}), "mine.py is missing"),
    "a listed path above": (lambda: packed({}, {**SPEC, "sha256": {"../x": "0" * 64}}), "leads out of the bundle"),
    "another content": (
        lambda: packed({"mine.py": GOOD}, {**SPEC, "sha256": {"mine.py": "0" * 64}}), "SHA-256 does not match"
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_or_reaching_bundle_is_refused_in_one_line_and_nothing_is_unpacked(name: str, place: Path):
    make, problem = REFUSED[name]
    data = make()
    (place / "upload.zip").write_bytes(data)
    with pytest.raises(UserError) as error:
        check_bundle(data)
        look_at(place / "upload.zip")
    assert re.search(problem, str(error.value)) and "\n" not in str(error.value)
    assert [path.name for path in place.iterdir()] == ["upload.zip"]


SAYS = "import os\nprint('OWNED' if os.path.exists('/etc/passwd') or os.getppid() > 2 else 'walled in', flush=True)\n"
# Name: its files, and what its spec says beside.
CONTAINED: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "shadows": ({"mine.py": GOOD, "metta/__init__.py": f"{SAYS}raise SystemExit", "sitecustomize.py": SAYS}, {}),
    "numpys": ({"mine.py": GOOD, "numpy.py": f"{SAYS}raise SystemExit(5)"}, {}),
    "systems": ({"mine.py": GOOD}, {"class_path": "os.system"}),
    "breaks": ({"mine.py": GOOD}, {"class_path": "mine.Good; import os"}),
    "reads": ({"mine.py": f"{GOOD}\n    def load(self, path): pass\n"}, {"data_path": "missing.bin"}),
    "writes": ({"mine.py": f"{GOOD}    name = '\\x1b[2J<script>' * 10_000\n"}, {}),
    "shouts": ({"mine.py": "raise ValueError('x\\n\\x1b[31m' * 1_000_000)"}, {}),
}


def test_code_in_a_bundle_reaches_nothing_whatever_its_spec_and_names_are(sandbox: Bubblewrap, place: Path):
    bundles = [pack(place, name, files, **{**SPEC, **spec}) for name, (files, spec) in CONTAINED.items()]
    found, reports = play(place, bundles, sandbox)
    failures = {name: report.failure for name, report in reports.items()}
    assert all(failures[name] for name in CONTAINED if name != "writes"), failures
    assert failures["writes"] == failures["role"] == "" and found.result.faults[-1] == {}
    assert "no class system" in failures["systems"] and "no class Good; import os" in failures["breaks"]
    assert "walled in" in failures["shadows"] + reports["shadows"].log
    for report in reports.values():
        assert "OWNED" not in report.log + report.failure and "\x1b" not in report.failure
        assert len(report.failure) < 1_000 and "\n" not in report.failure
    assert gone(place) and list(place.glob("metta-policy-*")) == []


CHEATS = """
import numpy as np

class Cheats:
    answers = [10**100, -1, 1.5, "1", None, True, np.int64(1), [1], float("nan")]
    def __init__(self, info): self.step = 0
    def reset(self, agent, seed): self.step = 0
    def act(self, seen):
        class Two(int):
            def __eq__(self, other): return True
            def __lt__(self, other): return True
            def __ge__(self, other): return True
            def __int__(self): return 1_000
        self.step += 1
        return Two(500) if self.step == 1 else self.answers[self.step]
"""


def test_an_answer_that_is_no_action_is_none(sandbox: Bubblewrap, place: Path):
    bundle = pack(place, "cheats", {"mine.py": CHEATS}, class_path="mine.Cheats")
    found, _ = play(place, [bundle], sandbox)
    assert found.result.faults[0].keys() == {"garbage"} and found.result.faults[1] == {}
