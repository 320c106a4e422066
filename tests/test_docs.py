"""Commands in README and docs compose as they stand."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from metta.cli import cogames
from metta.common.settings import Settings
from metta.config import runner
from metta.config.schema import leaves
from metta.game.maps.ascii import CHARACTERS
from metta.game.mission import Mission, MissionSettings, QuirkSettings, RewardEntry, TeamSettings
from metta.game.missions import load_mission, mission_names, mission_set, mission_sets
from metta.game.rewards import PRESETS
from metta.game.variants import VARIANTS
from metta.launch import command as launching
from metta.policy.nets.components.cells import TOKENS
from metta.policy.nets.components.registry import KINDS
from metta.policy.nets.presets import preset_names
from metta.rl.experience.curriculum_settings import CurriculumSettings
from metta.rl.experience.npc_settings import DualPolicySettings
from metta.rl.experience.teacher_settings import MODES
from metta.rl.learning.settings import TrainerSettings
from metta.rl.schedule import places

ROOT = Path(__file__).parents[1]
GIT = (ROOT / ".git").exists()  # without it there is no commit to launch
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "devops/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
EVALUATED = {name for label in mission_sets() if label != "integrated_evals" for name in mission_set(label)}
GAMES = [name for name in mission_names() if name not in EVALUATED]
TOOLS = {
    "./tools/run.py": lambda words: runner.run([*words, "--cfg", "job"]),
    "python tools/train.py": lambda words: runner.train([*words, "--cfg", "job"]),
    "./tools/launch.py": lambda words: (
        0 if words[0] in launching.LOOKING or not GIT else launching.main([*words, "--dry-run", "--dirty"])
    ),
    "torchrun": lambda words: runner.run([*words[words.index("tools/run.py") + 1 :], "--cfg", "job"]),
    "cogames": lambda words: cogames.main([*["--cfg=job"][: words[0] in cogames.JOBS], *words]),
}


def commands() -> list[str]:
    """Lines of the pages' bash blocks."""
    blocks = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_docs_composes(command: str, capsys: pytest.CaptureFixture[str]):
    command = command.removeprefix("srun ")
    if command == ". .venv/bin/activate":
        return
    for tool, run in TOOLS.items():
        if command.startswith(f"{tool} "):
            assert run(shlex.split(command.removeprefix(tool))) == 0, capsys.readouterr().err
            return
    script = command.removeprefix("python ").split()[0]
    assert script == "make" or (ROOT / script).is_file(), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("names", [GAMES, VARIANTS, PRESETS, QuirkSettings.model_fields])
def test_the_page_of_the_game_names_everything_that_can_be_chosen(names: Iterable[str]):
    page = (ROOT / "docs" / "game.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []


def models(model: type[Settings]) -> set[type[Settings]]:
    """A settings model and those of its branches, lists and mappings."""
    found = {model}
    for field in model.model_fields.values():
        queue = [field.annotation]
        while queue:
            part = queue.pop()
            queue += get_args(part)
            if isinstance(part, type) and issubclass(part, Settings) and part not in found:
                found |= models(part)
    return found


@pytest.mark.parametrize(
    "model",
    [MissionSettings, TeamSettings, RewardEntry, *sorted(models(Mission) - {Mission}, key=lambda one: one.__name__)],
)
def test_the_page_of_missions_explains_every_key(model: type[Settings]):
    page = (ROOT / "docs" / "missions.md").read_text()
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        assert re.search(rf"^\| `{name}` \| .* \| {re.escape(field.description)} \|$", page, re.MULTILINE), name


def test_the_page_of_other_policies_names_every_key_and_the_metrics_of_both_sides():
    page = (ROOT / "docs" / "dual-policy.md").read_text()
    assert [key.path for key in leaves(DualPolicySettings) if f"| `{key.path}` | " not in page] == []
    sides = [f"{side}_reward{total}" for side in ("policy_a", "npc", "combined") for total in ("", "_total")]
    assert [name for name in [*sides, "policy_a_agent_count", "npc_agent_count"] if f"{name}`" not in page] == []


def test_the_page_of_training_explains_every_key_of_a_curriculum():
    page = (ROOT / "docs" / "training.md").read_text()
    for name, field in CurriculumSettings.model_fields.items():
        default = "–" if name == "mission" else f"`{field.default}`"
        assert f"| `curriculum.{name}` | {default} | {field.description} |" in page, name


def test_the_page_of_missions_lists_the_sets_and_the_legend():
    page = (ROOT / "docs" / "missions.md").read_text()
    assert [character for character in CHARACTERS if f"| `{character}` | " not in page] == []
    for name in {name for names in mission_sets().values() for name in names}:
        mission = load_mission(name)
        assert f"| `{name}` | {mission.agents} | {mission.max_steps:,} | {mission.description} |" in page


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_networks_explains_every_component(kind: str):
    page = (ROOT / "docs" / "nets.md").read_text()
    assert f"### {kind}\n" in page
    for name, field in KINDS[kind].model_fields.items():
        if name not in ("kind", "input", "enabled"):
            assert field.description, f"{kind}.{name}"
            assert re.search(rf"^\| `{name}` \| .* \| {re.escape(field.description)} \|$", page, re.MULTILINE), name


def test_the_page_of_networks_names_every_preset_and_cell():
    page = (ROOT / "docs" / "nets.md").read_text()
    assert [name for name in (*preset_names(), *TOKENS) if f"| `{name}` |" not in page] == []


def test_the_page_of_training_names_everything_that_takes_a_schedule():
    page = (ROOT / "docs" / "training.md").read_text()
    rows = "\n".join(re.findall(r"^\| (?:of a teacher|`trainer|`teacher).*$", page, re.MULTILINE))
    settings = [(TrainerSettings(), "trainer"), *((mode.settings(), "teacher") for mode in MODES.values())]
    for field in {place.key.rpartition(".")[2] for given, key in settings for place in places(given, key)}:
        assert re.search(rf"[`.{{,]{field}[`}},]", rows), field
