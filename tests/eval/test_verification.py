"""A kept result is played again: it is what comes of the match, bit for bit, or it is not and that is told."""

import json
import shutil
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.eval import match as match_module
from metta.eval.actions import ActionLog, play_actions, unpacked, write_replay
from metta.eval.contest import make_match
from metta.eval.entries import parse_entries
from metta.eval.line_up import LineUp
from metta.eval.playing import close_policies, keep_in, play_match
from metta.eval.replay.file import read_replay
from metta.eval.settings import PlayerSettings
from metta.eval.verification import verify, verify_actions
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.stored.bundle import save_bundle
from tests.cli.conftest import Cogames
from tests.nets import build_net

MISSION = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=10))
SMALL = ("-m", "cogsguard_arena.basic", "-e", "3", "-s", "6", "--out", "kept.jsonl")
DICE = """import os
class Dice:
    def __init__(self, info):
        pass
    def reset(self, agent, seed):
        pass
    def act(self, observation):
        return os.urandom(1)[0] % 5
"""


def net(folder: Path) -> str:
    save_bundle(folder, build_net("mlp", {}, env_info(MISSION)), "mine", 1, 1)
    return str(folder)


def test_a_match_of_scripts_and_nets_comes_to_the_same_again(tmp_path: Path):
    line_up = LineUp(PlayerSettings(device="cpu"))
    whole = make_match(line_up, MISSION, parse_entries(["role,proportion=2", net(tmp_path / "mine"), "random"]), 3, 7)
    policies = line_up.build(whole)
    result = play_match(whole, policies)
    verdict = verify(whole, result, line_up.build)
    assert verdict.same and not verdict.differences and verdict.again == result
    forged = result.model_copy(deep=True)
    forged.episodes[1].returns[0] += 1
    verdict = verify(whole, forged, line_up.build)
    assert not verdict.same and verdict.differences == ("seed 8: returns",)


def test_actions_are_evidence_where_policies_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "dice.py").write_text(DICE)
    monkeypatch.chdir(tmp_path)
    line_up, log = LineUp(PlayerSettings(device="cpu", action_timeout_ms=5_000)), ActionLog()
    whole = make_match(line_up, MISSION, parse_entries(["class=dice.Dice", "role"]), 2, 7)
    policies = line_up.build(whole)
    result = play_match(whole, policies, record=keep_in(tmp_path / "kept"), watchers=[log])
    close_policies(policies)
    assert verify(whole, result, line_up.build).differences[0].startswith("seed 7: ")
    actions = unpacked(whole, log.packed())
    assert verify_actions(whole, result, actions).same
    assert play_actions(whole, actions).digest == result.digest
    actions[3, 1, 0] = (actions[3, 1, 0] + 1) % 5
    assert verify_actions(whole, result, actions).differences[0].startswith("seed 8: ")
    write_replay(whole, 0, unpacked(whole, log.packed())[:, 0], tmp_path / "made.replay")
    made, kept = (read_replay(tmp_path / name) for name in ("made.replay", f"kept/{result.episodes[0].replay}"))
    assert made.check().header.agents == kept.header.agents and made.header.policies == ["Dice", "role"]
    with pytest.raises(UserError, match="are damaged: not 10 steps of 8 agents"):
        unpacked(whole, [b"x", b"y"])


def test_a_match_that_other_code_played_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    line_up = LineUp(PlayerSettings(device="cpu"))
    whole = make_match(line_up, MISSION, parse_entries(["noop"]), 1, 7)
    result = play_match(whole, line_up.build(whole))
    with pytest.raises(UserError, match="the result is not of the match"):
        verify(whole.model_copy(update={"seeds": (8,)}), result, line_up.build)
    monkeypatch.setattr(match_module, "PLAYING", (tmp_path,))
    with pytest.raises(UserError, match=r"played by other code of metta: [0-9a-f]{8} there, [0-9a-f]{8} here"):
        verify(whole, result, line_up.build)


def test_a_file_is_verified_with_its_policies_wherever_they_lie_now(cogames: Cogames, tmp_path: Path):
    net(tmp_path / "mine")
    assert cogames("run", "-p", "./mine", "-p", "role", *SMALL, "--save-replay-dir", "replays").code == 0
    done = cogames("verify", "kept.jsonl", "--format", "json")
    found = json.loads(done.out)
    assert done.code == 0 and found["same"] and found["matches"][0]["seeds"] == [42, 43, 44]
    shutil.move("mine", "moved")
    net(tmp_path / "mine")  # another, of fresh weights
    refused = cogames("verify", "kept.jsonl")
    assert refused.code == 2 and "policy mine (" in refused.err and "name it with -p" in refused.err
    assert "the same" in cogames("verify", "kept.jsonl", "-p", "./moved").out
    assert "the same" in cogames("verify", "kept.jsonl", "--replays", "replays").out
    lines = Path("kept.jsonl").read_text()
    Path("kept.jsonl").write_text(lines.replace('"steps":6', '"steps":5', 1))
    done = cogames("verify", "kept.jsonl", "-p", "./moved")
    assert done.code == 1 and "seed 42: steps" in done.out
    for file, problem in (
        ("none.jsonl", "No such file"),
        (".", "Is a directory"),
        ("moved/model.safetensors", "no eval"),
    ):
        refused = cogames("verify", file)
        assert refused.code == 2 and problem in refused.err, refused.err
