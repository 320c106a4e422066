"""A match of a league is played to its end whatever its policies do, and tells everyone's owner how it went."""

import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from metta.common.errors import UserError
from metta.common.processes import child_environment
from metta.eval.actions import unpacked
from metta.eval.match import Match, Player
from metta.eval.verification import verify_actions
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.league.play import FetchPolicy, Job, JobResult, look_at, play_job
from metta.policy.hosted import client
from metta.policy.hosted.submission import create_bundle
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.bundle import save_bundle
from tests.nets import build_net

MISSION = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=8))
CODE = """
import os, sys, time
class Good:
    def __init__(self, info, how=""):
        self.how, self.step = how, 0
        print("hello from", os.environ.get("WHERE", "anywhere"))
    def reset(self, agent, seed):
        self.step = 0
    def act(self, observation):
        self.step += 1
        if self.step > 3:
            self.fail()
        return 1
    def fail(self):
        pass
class Crashes(Good):
    def fail(self):
        os._exit(7)
class Floods(Good):
    def fail(self):
        while True:
            sys.stdout.write("spam " * 1000)
class Hangs(Good):
    def fail(self):
        time.sleep(1000)
class Slow(Good):
    def fail(self):
        time.sleep(0.05)
class Raises(Good):
    def fail(self):
        raise ValueError("no idea")
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each policy, named like its content as a league's files are."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "mine.py").write_text(CODE)
    (folder / "needs.py").write_text("class Lost:\n    reset = act = None\n")
    uris = {name: f"class=mine.{name}" for name in ("Good", "Crashes", "Floods", "Hangs", "Slow", "Raises")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        for name, uri in (uris | {"role": "role?miner=4"}).items():
            create_bundle(uri, folder / f"{name}.zip").rename(folder / name)
    save_bundle(folder / "net", build_net("mlp", {}, env_info(MISSION)), "mine", 1, 1)
    create_bundle(str(folder / "net"), folder / "mlp.zip").rename(folder / "mlp")
    broken = (folder / "Good").read_bytes().replace(b"import os, sys, time", b"import os, sys, tune")
    (folder / "Broken").write_bytes(broken)
    return {name: folder / name for name in (*uris, "role", "mlp", "Broken")}


def job(bundles: dict[str, Path], *names: str, **changes: float) -> tuple[Job, FetchPolicy]:
    """A match that they share, and the way to them."""
    known = {name: look_at(bundles[name])[1] for name in names if name != "Broken"} | {"Broken": "0" * 64}
    seats = {name: 8 // len(names) for name in names} | {names[0]: 8 - 8 // len(names) * (len(names) - 1)}
    players = tuple(Player(policy=known[name], seats=seats[name], name=name) for name in names)
    match = Match(mission=MISSION, players=players, seeds=(3, 4), map_seeds=(5, 6), action_timeout_ms=500)
    return Job.model_validate({"match": match, **changes}), lambda player: bundles[player.name]


def done(bundles: dict[str, Path], folder: Path, *names: str, **changes: float) -> JobResult:
    asked, fetch = job(bundles, *names, **changes)
    return play_job(asked, fetch, folder, trust_code=True)


def test_what_a_bundle_holds_is_known_without_running_it(bundles: dict[str, Path]):
    assert [look_at(bundles[name])[0] for name in ("role", "mlp", "Good")] == ["script", "net", "code"]
    assert look_at(bundles["Good"])[1] != look_at(bundles["Crashes"])[1]


def test_policies_that_fail_stand_still_and_the_others_play_on(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "GRACE", 0.3)
    names = ("role", "mlp", "Good", "Crashes", "Floods", "Hangs", "Raises", "Broken")
    found = done(bundles, tmp_path, *names, output_bytes=50_000, replays=True)
    by_name = dict(zip(names, found.players, strict=True))
    failures = {name: report.failure for name, report in by_name.items()}
    assert not any(failures[name] for name in ("role", "mlp", "Good", "Raises"))
    assert failures["Crashes"] == "its process ended itself with exit code 7"
    assert failures["Floods"] == "it wrote more output than it may" and len(by_name["Floods"].log) == 50_000
    assert "no answer" in failures["Hangs"]
    assert "damaged" in failures["Broken"] and by_name["Broken"].kind == "none"
    assert by_name["Good"].log == "hello from anywhere\n" * 2 and by_name["role"].log == ""
    faults = dict(zip(names, found.result.faults, strict=True))
    assert faults["Good"] == faults["role"] == faults["mlp"] == {}
    assert faults["Raises"] == {"errors": 2 * 5} and faults["Broken"] == {"errors": 2 * 8}
    assert found.result.causes[6]["errors"].startswith("ValueError: no idea, mine.py line")
    asked, _ = job(bundles, *names)
    assert found.sha256 == found.result.digest
    assert verify_actions(asked.match, found.result, unpacked(asked.match, found.actions)).same
    assert [(tmp_path / name).exists() for name in found.replays] == [True, True]
    assert JobResult.model_validate_json(found.model_dump_json()) == found


def test_a_policy_has_only_so_much_time_for_a_match(bundles: dict[str, Path], tmp_path: Path):
    found = done(bundles, tmp_path, "role", "Slow", policy_seconds=0.2)
    assert found.players[1].failure == "the 0.2 s that it has for a match are spent"
    assert found.result.faults[1]["timeouts"] > 0 and not found.replays


def test_so_do_nets_and_scripts(bundles: dict[str, Path], tmp_path: Path):
    found = done(bundles, tmp_path, "role", "mlp", policy_seconds=1e-6)
    assert [report.failure for report in found.players] == ["the 1e-06 s that it has for a match are spent"] * 2
    assert [len(row.returns) for row in found.result.episodes] == [8, 8]


def remembering(folder: Path, steps: int) -> Path:
    """A bundle, small itself, of a net that remembers so many steps of each agent."""
    info, cell = env_info(MISSION), {"cell": "attention", "heads": 1, "memory": steps}
    core = {"kind": "cortex", "d_hidden": 128, "cells": {"Z": cell}, "pattern": "Z", "num_layers": 8}
    components = {name: part.model_dump() for name, part in build_net("lstm", {}, info).components.items()}
    listed = AgentSettings.model_validate({"name": "lstm", "components": {**components, "rnn": core}}).components
    save_bundle(folder / f"net{steps}", ComponentNet(info, listed, name="lstm"), "mine", 1, 1)
    return create_bundle(str(folder / f"net{steps}"), folder / f"{steps}.zip")


def test_a_net_that_remembers_too_much_stands_still(bundles: dict[str, Path], tmp_path: Path):
    nets = {f"net{steps}": remembering(tmp_path, steps) for steps in (16, 4096)}
    found = done({**bundles, **nets}, tmp_path, "net16", "net4096", "role")
    assert [report.failure for report in found.players] == ["", ANY, ""]
    assert re.fullmatch(r"remembers [0-9,]+ MiB in a match, more than 512 MiB", found.players[1].failure)


def test_a_worker_has_only_so_much_memory():
    code = "from metta.league.worker import bound_memory; bound_memory(1 << 30); bytearray(2 << 30)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert ended.returncode == 1 and ended.stderr.splitlines()[-1] == "MemoryError"


def test_code_runs_in_the_sandbox_that_is_given_and_nowhere_without_one(bundles: dict[str, Path], tmp_path: Path):
    asked, fetch = job(bundles, "role", "Good")
    folders: list[Path] = []

    def sandbox(folder: Path) -> list[str]:
        folders.append(folder)
        return ["/usr/bin/env", "WHERE=a sandbox"]

    found = play_job(asked, fetch, tmp_path, sandbox)
    assert found.players[1].log.startswith("hello from a sandbox\n")
    assert len(folders) == 1 and not folders[0].exists()  # its files are gone
    with pytest.raises(UserError, match="has no sandbox"):
        play_job(asked, fetch, tmp_path)


def test_a_worker_plays_only_the_match_that_is_asked_for(bundles: dict[str, Path], tmp_path: Path):
    asked, fetch = job(bundles, "role", "mlp")
    with pytest.raises(UserError, match=r"is policy [0-9a-f]{8}, the match is of [0-9a-f]{8}"):
        play_job(asked, lambda player: bundles["role"], tmp_path)
    other = asked.match.model_copy(update={"engine": "0" * 64})
    with pytest.raises(UserError, match="the match is for engine 00000000, this worker has"):
        play_job(asked.model_copy(update={"match": other}), fetch, tmp_path)


def test_what_a_net_names_is_not_imported_by_a_worker(bundles: dict[str, Path], tmp_path: Path):
    spec = '{"class_path": "metta.policy.nets.net.ComponentNet", "data_path": "model.safetensors", "net": "x",'
    components = ' "init_kwargs": {"components": {"body": {"kind": "class", "path": "mine.Good"}}}}'
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "policy_spec.json").write_text(spec + components)
    (tmp_path / "evil" / "model.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")
    with pytest.raises(UserError):
        look_at(tmp_path / "evil")
    assert "mine" not in sys.modules
