"""The names mettagrid and cogames: the offered ones are there, others are told the nearest, real ones come first."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import metta.compat  # noqa: F401 - offers the names
from metta.compat.finder import SAID
from metta.compat.names import OFFERED, REFUSED

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/coming-from-cogames.md").read_text()


def python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """A fresh process that first looks for modules in some folders."""
    before = f"import sys; sys.path[:0] = {[str(one) for one in (*path, ROOT)]}; "
    environment = {name: value for name, value in os.environ.items() if name != SAID}
    return subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, timeout=120, env=environment
    )


@pytest.mark.parametrize("module", OFFERED)
def test_every_offered_name_is_there(module: str):
    if re.search("puffer|pettingzoo", module) or module == "mettagrid":
        pytest.importorskip("pufferlib")
    found = import_module(module)
    assert all(getattr(found, name) is not None for name in OFFERED[module])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("from mettagrid.simulator import Actoin", "mettagrid.simulator.Actoin (did you mean Action?)"),
        ("import mettagrid.simulatr", "no module mettagrid.simulatr (did you mean mettagrid.simulator"),
        ("import cogames.curricula", "no module cogames.curricula"),
        ("from mettagrid.config.mettagrid_config import WallConfig", "games of other rules are not offered"),
        ("import mettagrid.policy.puffer_default", "class=lstm"),
        ("from mettagrid.map_builder.maze import MazePrimMapBuilder", "AsciiMapBuilder and RandomMapBuilder"),
        ("from cogames.cogs_vs_clips.sites import TRAINING_FACILITY", "get_mission('cogsguard_tutorial')"),
        ("from cogames.cogs_vs_clips.sites import EVALS", "get_map('FILE.map')"),
    ],
)
def test_a_name_that_is_not_offered_is_told_the_way(statement: str, message: str):
    with pytest.raises(ImportError, match=re.escape(message)):
        exec(statement, {})


def test_what_is_not_there_can_be_asked_for_without_an_error():
    module = import_module("mettagrid.simulator")
    assert not hasattr(module, "__wrapped__") and "Simulator" in module.__all__


def test_real_packages_come_first_and_are_not_mixed_with_ours(tmp_path: Path):
    (tmp_path / "mettagrid.py").write_text("real = True\n")
    done = python("import metta.compat, mettagrid; print(mettagrid.real)\nimport cogames", tmp_path)
    assert done.stdout == "True\n" and "No module named 'cogames'" in done.stderr


def test_a_tree_of_ones_own_may_replace_part_of_cogames(tmp_path: Path):
    (tmp_path / "cogames/policy").mkdir(parents=True)
    (tmp_path / "cogames/policy/mine.py").write_text("from mettagrid.policy.policy import AgentPolicy\nmine = 1\n")
    code = "import metta.compat; from cogames.policy.mine import mine; import cogames.cogs_vs_clips.team as t; "
    done = python(code + "print(mine, t.CogTeam.__name__)", tmp_path)
    assert done.stdout == "1 TeamSettings\n", done.stderr


def test_it_says_once_that_the_names_are_ours():
    code = (
        "import metta.compat, mettagrid.types, cogames.core, subprocess, os; os.environ['PYTHONPATH'] = sys.path[0]; "
    )
    done = python(code + "subprocess.run([sys.executable, '-c', 'import metta.compat, mettagrid.types'])")
    (line,) = done.stderr.strip().splitlines()
    assert line == (
        "warning: mettagrid is not installed; metta offers its names over its own engine (docs/coming-from-cogames.md)"
    )


def test_a_script_runs_unchanged(tmp_path: Path):
    (tmp_path / "beside.py").write_text("steps = 3\n")
    (tmp_path / "script.py").write_text(
        "import json, sys\nfrom beside import steps\nfrom cogames.cogs_vs_clips.missions import make_game\n"
        "from mettagrid.simulator import Simulator\nenv = make_game(2)\nenv.game.max_steps = steps\n"
        "sim = Simulator().new_simulation(env)\nwhile not sim.is_done():\n    sim.step()\n"
        "print(json.dumps([sim.current_step, sys.argv[1:]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "metta.compat", str(tmp_path / "script.py"), "--now"], cwd=ROOT, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    assert json.loads(done.stdout) == [3, ["--now"]], done.stderr


ELSEWHERE = {  # names that later releases have there, and types that 0.8.4 takes from another module
    "mettagrid": {"Action", "Config", "GameConfig", "MettaGridPufferEnv"},
    "mettagrid.simulator": {"Buffers"},
    "mettagrid.simulator.interface": {"Action"},
    "cogames.core": {"CvCMission", "NumCogsVariant"},
    "cogames.cogs_vs_clips.cog": {"CogTeam"},
    "cogames.cogs_vs_clips.team": {"CogConfig"},
}
LACKING = """
import importlib, json, sys
for module, names in json.load(sys.stdin).items():
    found = importlib.import_module(module)
    if lacking := [name for name in names if not hasattr(found, name)]:
        print(module, *lacking)
"""


@pytest.mark.soak
def test_what_is_offered_is_where_the_original_has_it(original: str):
    asked = {
        module: [name for name in names if name not in ELSEWHERE.get(module, ())]
        for module, names in OFFERED.items()
        if ".tutorials" not in module
    }
    done = subprocess.run(
        [original, "-I", "-c", LACKING], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    assert not done.stdout


def test_the_guide_names_every_module_and_refusal():
    for name in (*OFFERED, *REFUSED):
        short = name.replace("cogames.cogs_vs_clips", "…").rpartition(".")[2]
        assert name in GUIDE or f"`{short}`" in GUIDE or short in GUIDE, name
