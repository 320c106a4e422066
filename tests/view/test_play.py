"""The play job where standard output is no terminal, and what its page says."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from metta.common.defaults import TEAM
from metta.common.errors import UserError
from metta.eval.evaluate import evaluate
from metta.eval.replay.file import read_replay
from metta.eval.settings import EvaluateConfig, PlayConfig
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.view.play import play, with_map_seed
from metta.view.terminal.bindings import BINDINGS
from tests.view.conftest import Start


def printed(capsys: pytest.CaptureFixture[str], **settings: object) -> str:
    mission = {"max_steps": 40}
    assert play(PlayConfig.model_validate({"policy_uri": "cogsguard", "mission": mission, **settings})) == 0
    return capsys.readouterr().out


def test_none_prints_only_the_table(capsys: pytest.CaptureFixture[str]):
    lines = printed(capsys, render="none").splitlines()
    assert "40 of 40 steps" in lines[0] and "hearts lost" in lines[2] and len(lines) == 4 + 8 + 1


def test_the_table_tells_the_score_of_each_team(capsys: pytest.CaptureFixture[str]):
    teams = {"red": {"num_agents": 3, "wealth": 300}, "blue": {"num_agents": 2}}
    lines = printed(capsys, render="none", mission={"max_steps": 300, "teams": teams}).splitlines()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    scores = {row[0]: float(row[-1]) for row in cells}
    for team, cogs in (("red", "012"), ("blue", "34")):
        assert scores[team] == pytest.approx(np.mean([scores[cog] for cog in cogs]), abs=1e-3)
    assert scores["red"] > 0


def test_log_tells_events_and_how_it_stands_in_order(capsys: pytest.CaptureFixture[str]):
    lines = printed(capsys, render="log").splitlines()
    steps = [int(line.removeprefix("step").split("/")[0].split()[0]) for line in lines[1:-13]]
    assert steps == sorted(steps) and steps[0] == 0 and steps[-1] == 40
    for deed in ("puts on", "clips take junction", "takes a heart"):
        assert any(deed in line for line in lines)


def test_a_process_that_is_killed_leaves_the_game_up_to_its_last_step(tmp_path: Path):
    words = ["play", "-p", "random", "-r", "log", "-s", "100000", "--save-replay-file", "game.replay"]
    command = [sys.executable, "-m", "metta.cli.cogames", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as game:
        assert game.stdout
        told = next(int(line.split()[0]) for line in game.stdout if line.startswith("   "))
        game.kill()
    replay = read_replay(tmp_path / "game.replay").check()
    assert replay.is_cut and replay.steps >= told > 0


def test_pictures_are_plain_lines_of_at_most_160_columns(capsys: pytest.CaptureFixture[str]):
    text = printed(capsys, render="unicode")
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 160
    assert "step 40/40" in text and "🏠" in text and "hearts gained" in text


def test_without_a_policy_and_a_run_a_scripted_team_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    nothing = {"policy_uri": None, "system": {"data_dir": str(tmp_path)}}
    text = printed(capsys, render="none", **nothing)
    assert f"{TEAM} plays cogsguard_arena.basic, 8 agents, seed 42: 40 of 40 steps" in text
    with pytest.raises(UserError, match="nothing to play: no run"):
        evaluate(EvaluateConfig.model_validate(nothing))


def test_the_map_may_come_from_a_seed_of_its_own(start: Start):
    mission: Mission = start().mission

    def map_of(seed: int, map_seed: int | None) -> np.ndarray:
        return build_pool(with_map_seed(mission, map_seed), 1, seed)

    assert (map_of(1, 7) == map_of(2, 7)).all() and (map_of(1, 7) == map_of(7, None)).all()
    assert (map_of(1, None) != map_of(2, None)).any()


def test_the_page_names_every_key_and_every_way_to_render():
    page = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()
    for binding in BINDINGS:
        assert f"| `{binding.shown}` | {binding.does} |" in page
    for render in get_args(PlayConfig.model_fields["render"].annotation):
        assert f"`render={render}`" in page


def test_watching_a_script_needs_no_torch() -> None:
    """It takes seconds to import."""
    words = ["cogsguard.play", "policy_uri=cogsguard", "render=none", "max_steps=3"]
    code = "import sys; from metta.config.runner import run; sys.exit(run(sys.argv[1:]) or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
