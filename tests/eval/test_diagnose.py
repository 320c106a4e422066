"""Diagnosis: every mission of a set, compared by pairs with others and with an earlier one."""

import json
from pathlib import Path
from typing import Any

import pytest

from metta.common.errors import UserError
from metta.eval.diagnose import FILE, PICTURE, DiagnoseSettings, run_diagnose

SCOUT, BASIC = "cogsguard_arena.scout_tutorial", "cogsguard_arena.basic"


def settings(policy: str = "scout", **changes: Any) -> DiagnoseSettings:
    base = {"missions": [SCOUT, BASIC], "cogs": 3, "episodes": 3, "steps": 40, "workers": 1, "policies": [policy]}
    return DiagnoseSettings.model_validate(base | changes)


def test_findings_say_where_a_policy_beats_the_baseline_and_where_it_scores_nothing():
    diagnosis = run_diagnose(settings(baseline="noop", strong="scout", reruns=2))
    scouting, basic = diagnosis.findings
    assert scouting.verdict == "above the baseline" and basic.verdict == "scores nothing"
    assert scouting.gain and scouting.baseline
    assert scouting.gain.mean == pytest.approx(scouting.reward.mean - scouting.baseline.mean)
    assert scouting.strong == scouting.reward and len(scouting.reruns) == 2
    assert scouting.spread is not None and scouting.spread > 0
    assert len(diagnosis.table().rows) == 2


def test_a_worse_policy_is_told_from_an_earlier_diagnosis(tmp_path: Path):
    first = tmp_path / "first"
    files = run_diagnose(settings()).save(first)
    assert [file.name for file in files] == [FILE, PICTURE] and (first / PICTURE).stat().st_size > 5_000
    document = json.loads((first / FILE).read_text())
    assert [row["mission_name"] for row in document["missions"]] == [SCOUT, BASIC]
    later = run_diagnose(settings("noop", compare=first))
    assert later.findings[0].before == document["missions"][0]["reward"]
    assert later.findings[0].verdict == "worse than before"
    with pytest.raises(UserError, match=r"diagnosis\.json exists"):
        run_diagnose(settings(output_dir=first))


def test_experiments_choose_missions_of_the_set(tmp_path: Path):
    assert [one.mission.name for one in run_diagnose(settings(experiments=["basic"])).findings] == [BASIC]
    with pytest.raises(UserError, match=r"no experiment 'basik' in the set .*did you mean basic"):
        run_diagnose(settings(experiments=["basik"]))
    with pytest.raises(UserError, match=r"diagnosis\.json: no such file"):
        run_diagnose(settings(compare=tmp_path))
