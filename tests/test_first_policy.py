"""The walk to a policy of one's own, as its page has it: each change makes it take more junctions."""

import re
from pathlib import Path

import pytest

from metta.eval.episodes import metrics_by_name, play_episodes
from metta.game.missions import load_mission
from metta.game.observation import env_info
from metta.policy.hosted.templates import __path__ as templates
from metta.policy.stored.uri import make_policy

PAGE = (Path(__file__).parents[1] / "docs/first-policy.md").read_text()
CHANGES = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)


def changed(source: str, change: str) -> str:
    """A source with the lines of a diff in place of those that it takes out."""
    lines = change.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    assert source.count(before) == 1
    return source.replace(before, "".join(line[1:] for line in lines if line[0] != "-"))


def test_each_change_makes_it_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    mission = load_mission("aligner_tutorial")
    source, junctions = (Path(templates[0]) / "scripted.py").read_text(), []
    for number, change in enumerate(["", *CHANGES]):
        source = changed(source, change) if change else source
        (tmp_path / f"walked_{number}.py").write_text(source)
        policy = make_policy(f"class=walked_{number}.MyPolicy,kw.gear=aligner", env_info(mission))
        played = metrics_by_name(play_episodes(mission, policy, episodes=4, seed=42))
        junctions.append(sum(played.get("env_agent/junction.aligned_by_agent", [0])))
    assert junctions[0] == 0 < junctions[1] < junctions[2] / 2
