"""A sandbox, where there is one, and matches with bundles of hostile code."""

import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.eval.match import Match, Player
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.league.play import Job, JobResult, PlayerReport, look_at, play_job
from metta.league.sandbox.bubblewrap import Bubblewrap
from metta.league.sandbox.probe import probe
from metta.policy.hosted import client
from metta.policy.hosted.submission import create_bundle

MISSION = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=6))
HOSTILE = Path(__file__).with_name("hostile.py")
Play = Callable[..., JobResult]


@pytest.fixture(scope="session")
def sandbox() -> Bubblewrap:
    found = probe()
    if found.sandbox is None:
        pytest.skip(found.problem)
    return found.sandbox


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all that the test starts has its files, by which it is known; a silent policy is soon given up."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(client, "GRACE", 0.2)
    return tmp_path


def pack(folder: Path, name: str, files: dict[str, str], **spec: object) -> Path:
    """A bundle of code, as anybody can write one."""
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy_spec.json", json.dumps(spec))
        for file, text in files.items():
            archive.writestr(file, text)
    return path.rename(folder / name)


def hostile(folder: Path, name: str, **words: object) -> Path:
    """A bundle of a class of hostile.py."""
    words = {key: str(value) for key, value in words.items()}
    return pack(folder, name, {"mine.py": HOSTILE.read_text()}, class_path=f"mine.{name}", init_kwargs=words)


def play(
    folder: Path, bundles: list[Path], sandbox: Bubblewrap, **words: int
) -> tuple[JobResult, dict[str, PlayerReport]]:
    """A match of bundles with a scripted policy, which has the rest of the seats; reports by name of the bundle."""
    role = create_bundle("role", folder / "role.zip").rename(folder / "role")
    seats = dict.fromkeys(bundles, 1) | {role: MISSION.agents - len(bundles)}
    players = tuple(Player(policy=look_at(path)[1], seats=count, name=path.name) for path, count in seats.items())
    match = Match(mission=MISSION, players=players, seeds=(3,), map_seeds=(4,), action_timeout_ms=500)
    job = Job(match=match, replays=False, **words)
    found = play_job(job, lambda player: folder / player.name, folder, sandbox=sandbox)
    return found, {player.name: report for player, report in zip(players, found.players, strict=True)}
