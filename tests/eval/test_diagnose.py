"""Diagnosis: every mission of a set, compared by pairs with others and with an earlier one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from metta.common.errors import UserError
from metta.eval.diagnose import FILE, PICTURE, DiagnoseSettings, Finding, plot_rewards, run_diagnose
from metta.eval.statistics import paired, summarize
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission

SCOUT, BASIC = "cogsguard_arena.scout_tutorial", "cogsguard_arena.basic"
BETTER = {"above the baseline", "better than before"}
WORSE = {"below the baseline", "worse than before"}


def settings(policy: str = "scout", **changes: Any) -> DiagnoseSettings:
    base = {"missions": [SCOUT, BASIC], "cogs": 3, "episodes": 6, "steps": 40, "workers": 1, "policies": [policy]}
    return DiagnoseSettings.model_validate(base | changes)


MISSION = build_mission(MissionSettings(name=SCOUT))


def finding(own: list[float], baseline: list[float] | None = None, before: list[float] | None = None) -> Finding:
    """What is found of these rewards, of the same seeds."""
    by_seed = [dict(enumerate(rewards)) for rewards in (own, baseline or [], before or [])]
    return Finding(
        mission=MISSION,
        seeds=list(by_seed[0]),
        reward=summarize(own),
        baseline=summarize(baseline) if baseline else None,
        strong=None,
        gain=paired(by_seed[0], by_seed[1]),
        reruns=[],
        before=float(np.mean(before)) if before else None,
        change=paired(by_seed[0], by_seed[2]),
    )


def test_findings_say_where_a_policy_beats_the_baseline_and_where_it_scores_nothing():
    diagnosis = run_diagnose(settings(baseline="noop", strong="scout", reruns=2))
    scouting, basic = diagnosis.findings
    assert scouting.verdict == "above the baseline" and basic.verdict == "scores nothing"
    assert scouting.gain and scouting.baseline
    assert scouting.gain.mean == pytest.approx(scouting.reward.mean - scouting.baseline.mean)
    assert scouting.strong == scouting.reward and len(scouting.reruns) == 2
    assert scouting.spread is not None and scouting.spread > 0
    assert len(diagnosis.table().rows) == 2


@pytest.mark.parametrize("episodes", [1, 2, 4])
def test_too_few_episodes_give_no_verdict(episodes: int):
    verdict = finding([9.0 + k for k in range(episodes)], [1.0] * episodes, [20.0] * episodes).verdict
    assert verdict == "too few episodes, at least 5 are needed"


@pytest.mark.parametrize("episodes", [5, 10, 24])
def test_without_a_difference_each_kind_of_one_is_found_in_at_most_5_percent(episodes: int):
    random = np.random.default_rng(episodes)
    verdicts = []
    for _ in range(800):
        own, baseline, before = (random.gamma(2, 3, (3, episodes)) + random.normal(0, 5, episodes)).tolist()
        verdicts += [finding(own, baseline).verdict, finding(own, before=before).verdict]
    assert np.mean([verdict in BETTER | WORSE for verdict in verdicts]) <= 0.05


def test_a_small_change_in_the_same_direction_everywhere_is_found():
    """Maps differ more than policies do: only pairs show it."""
    maps = [3.0, 90.0, 41.0, 7.0, 66.0, 20.0, 53.0, 11.0]
    lower = [value - loss for value, loss in zip(maps, [1.0, 1.4, 0.9, 1.2, 1.1, 0.8, 1.3, 1.0], strict=True)]
    assert finding(lower, before=maps).verdict == "worse than before"
    assert finding(maps, before=lower).verdict == "better than before"
    assert finding(maps, maps).verdict == "no clear difference to the baseline"


def test_a_worse_policy_is_told_from_an_earlier_diagnosis(tmp_path: Path):
    first = tmp_path / "first"
    files = run_diagnose(settings()).save(first)
    assert [file.name for file in files] == [FILE, PICTURE] and (first / PICTURE).stat().st_size > 5_000
    scouting, basic = json.loads((first / FILE).read_text())["missions"]
    assert [scouting["mission_name"], basic["mission_name"]] == [SCOUT, BASIC]
    assert scouting["seeds"] == list(range(42, 48)) and np.mean(scouting["rewards"]) == scouting["reward"]
    later = run_diagnose(settings("noop", compare=first)).findings[0]
    assert later.before == scouting["reward"] and later.verdict == "worse than before"
    document = later.document()
    assert document["change"] == pytest.approx(document["reward"] - scouting["reward"])
    with pytest.raises(UserError, match=r"diagnosis\.json exists"):
        run_diagnose(settings(output_dir=first))


def test_only_the_seeds_that_both_played_are_compared(tmp_path: Path):
    run_diagnose(settings(seed=44)).save(tmp_path)
    before = json.loads((tmp_path / FILE).read_text())["missions"][0]["rewards"][:4]  # of seeds 44 to 47
    found = run_diagnose(settings(compare=tmp_path)).findings[0]
    assert found.before == pytest.approx(np.mean(before)) and found.change
    assert found.change.per_episode == pytest.approx(np.subtract(found.reward.per_episode[2:], before))
    assert found.compared(found.change).endswith(", n = 4") and found.verdict == "too few episodes to compare"
    assert (found.document()["episodes"], found.document()["change_episodes"]) == (6, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 30}, "40 steps there, 30 here"),
        ({"cogs": 4}, "3 agents there, 4 here"),
        ({"variants": ["dark_side"]}, "other rules there than here"),
        ({"seed": 48}, "seeds 42 to 47 there, 48 to 53 here"),
        ({"missions": ["cogsguard_machina_1.basic"]}, "has none of cogsguard_machina_1.basic"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_played(
    changes: dict[str, Any], message: str, tmp_path: Path
):
    run_diagnose(settings("noop")).save(tmp_path)
    with pytest.raises(UserError, match=f"diagnosis.json: cannot be compared with: .*{message}"):
        run_diagnose(settings("noop", compare=tmp_path, out=tmp_path / "out.jsonl", **changes))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"missions": [{"mission_name": "x", "reward": 1.0}]}', '{"missions": [{"rewards": [NaN]}]}']
)
def test_a_file_that_is_no_diagnosis_is_refused(text: str, tmp_path: Path):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=r"diagnosis\.json: is no diagnosis"):
        run_diagnose(settings(compare=tmp_path))


def test_no_bar_is_drawn_for_who_has_not_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    diagnosis = run_diagnose(settings(baseline="noop", missions=[SCOUT]))
    (found,) = diagnosis.findings
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *args, **how: drawn.append(figure) or save(figure, *args, **how)
    )
    for findings in ([found], [replace(found, baseline=None, gain=None)]):
        plot_rewards(replace(diagnosis, findings=findings), tmp_path / "rewards.png")
    assert [len(figure.axes[0].patches) for figure in drawn] == [2, 1]


def test_experiments_choose_missions_of_the_set(tmp_path: Path):
    assert [one.mission.name for one in run_diagnose(settings(experiments=["basic"])).findings] == [BASIC]
    with pytest.raises(UserError, match=r"no experiment 'basik' in the set .*did you mean basic"):
        run_diagnose(settings(experiments=["basik"]))
    with pytest.raises(UserError, match=r"diagnosis\.json: no such file"):
        run_diagnose(settings(compare=tmp_path))
