"""The rollout checker: quiet on policies that play, loud on policies that do not."""

import numpy as np
import pytest

from metta.policy.scripted import layout as L
from metta.policy.scripted.policy import ScriptedPolicy
from tools.run_cogsguard_rollout import main, rollout


def test_a_sound_policy_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--steps", "200"]) == 0
    assert "junction owner mismatches: 0" in capsys.readouterr().out


def test_missing_roles_fail_unless_allowed() -> None:
    assert main(["--steps", "60", "--policy-uri", "miner"]) == 1
    assert main(["--steps", "60", "--policy-uri", "miner", "--allow-missing-roles"]) == 0


def test_a_policy_that_mistakes_owners_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(self: ScriptedPolicy, mind: int) -> np.ndarray:
        memory = self._state.things[mind, : self._state.minds[mind, L.MI_THINGS]].copy()
        memory[:, L.TH_OWNER] = L.THEIRS
        return memory

    monkeypatch.setattr(ScriptedPolicy, "things", mistaken)
    audit = rollout("role", agents=8, steps=20, max_steps=1000, seed=1)
    assert (audit.failure(allow_missing_roles=True) or "").startswith("junction owner mismatches")


@pytest.mark.parametrize("words", [["--policy-uri", "random"], ["--policy-uri", "rolle"], ["--agents", "0"]])
def test_bad_input_gives_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
