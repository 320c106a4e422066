"""A file of episodes (`--out FILE`) goes on only with the policies that it began with: by content, not by name."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from metta.common.errors import UserError
from metta.eval import match
from metta.eval.contest import make_match
from metta.eval.entries import Entry
from metta.eval.evaluate import evaluate
from metta.eval.line_up import LineUp
from metta.eval.settings import ContestSettings, EvaluateConfig
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.hosted.submission import create_bundle
from metta.policy.nets.interface import PolicyNet
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.bundle import save_bundle
from tests.cli.conftest import Cogames, Done
from tests.nets import build_net

MISSION = build_mission(MissionSettings(name="cogsguard_arena.basic"))
SMALL = ("-m", "cogsguard_arena.basic", "-e", "2", "-s", "6", "--out", "kept.jsonl")
BOTH = re.compile(r"policies of [\w.]+ differs: (.+) was [0-9a-f]{8} there, is [0-9a-f]{8} here")
CLASS = """from helper import WAY

class Walker:
    def __init__(self, info, way=WAY):
        self.way = int(way)
    def reset(self, agent, seed):
        pass
    def act(self, observation):
        return self.way
    def load(self, path):
        self.way = int(open(path).read())
"""
LATE = """class Walker:
    def __init__(self, info, file=None):
        self.way = int(open(file).read()) if file else 0
    def reset(self, agent, seed):
        from parts import legs
        self.way += legs.way()
    def act(self, observation):
        return self.way
"""


def net(seed: int, **settings: int) -> PolicyNet:
    torch.manual_seed(seed)
    return build_net("mlp", {"hidden_size": 8, "layers": 1, **settings}, env_info(MISSION))


def folder(path: Path, seed: int) -> None:
    save_bundle(path, net(seed), "mine", 1, 1)


def packed(path: Path, seed: int) -> None:
    folder(path.with_name("unpacked"), seed)
    with zipfile.ZipFile(path, "w") as archive:
        for file in path.with_name("unpacked").iterdir():
            archive.write(file, file.name)


def tensors(path: Path, seed: int) -> None:
    save_file(net(seed).state_dict(), path)


def torch_file(path: Path, seed: int) -> None:
    torch.save(net(seed).state_dict(), path)


def refused(done: Done, uri: str, kept: bytes) -> None:
    """In one line with both digests, and the file is as it was."""
    assert done.code == 2
    line = done.err.strip().splitlines()[-1]
    found = BOTH.search(line)
    assert found and found[1] == uri, line
    assert Path("kept.jsonl").read_bytes() == kept


@pytest.mark.parametrize(
    ("name", "write"), [("mine", folder), ("mine.zip", packed), ("mine.safetensors", tensors), ("mine.pt", torch_file)]
)
def test_other_weights_under_the_same_path_are_another_evaluation(
    name: str,
    write: Callable[[Path, int], None],
    cogames: Cogames,
    tmp_path: Path,
):
    write(tmp_path / name, 1)
    assert cogames("scrimmage", "-p", f"./{name}", *SMALL).code == 0
    kept = Path("kept.jsonl").read_bytes()
    write(tmp_path / name, 1)  # the same anew
    assert "0 agent-steps" in cogames("scrimmage", "-p", f"./{name}", *SMALL).out
    write(tmp_path / name, 2)
    refused(cogames("scrimmage", "-p", f"./{name}", *SMALL), f"./{name}", kept)


def test_a_net_with_other_settings_under_the_same_path_is_another(cogames: Cogames, tmp_path: Path):
    folder(tmp_path / "mine", 1)
    cogames("scrimmage", "-p", "./mine", *SMALL)
    kept = Path("kept.jsonl").read_bytes()
    save_bundle(tmp_path / "mine", net(1, hidden_size=16), "mine", 1, 1)
    refused(cogames("scrimmage", "-p", "./mine", *SMALL), "./mine", kept)


def test_the_newest_checkpoint_of_a_run_is_the_one_that_lies_there(cogames: Cogames, tmp_path: Path):
    checkpoints = tmp_path / "train_dir" / "blue" / "checkpoints"
    folder(checkpoints / "blue:v3", 3)
    cogames("scrimmage", "-p", "blue", *SMALL)
    kept = Path("kept.jsonl").read_bytes()
    assert "0 agent-steps" in cogames("scrimmage", "-p", "blue", *SMALL).out
    folder(checkpoints / "blue:v4", 4)
    refused(cogames("scrimmage", "-p", "blue", *SMALL), "blue", kept)
    assert "blue:v3" in kept.decode()


def test_the_recipe_knows_policies_by_content_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder(tmp_path / "mine", 1)
    words = {"policy_uri": str(tmp_path / "mine"), "mission": {"name": "cogsguard_arena.basic", "max_steps": 5}}
    job = EvaluateConfig.model_validate(words | {"episodes": 2, "seed": 6, "out": str(tmp_path / "kept.jsonl")})
    assert evaluate(job) == 0
    assert evaluate(job) == 0 and " 0 agent-steps" in capsys.readouterr().out
    folder(tmp_path / "mine", 2)
    with pytest.raises(UserError, match=BOTH):
        evaluate(job)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("WAY = 1\n")
    (tmp_path / "walk.py").write_text(CLASS)
    (tmp_path / "way.txt").write_text("2")
    (tmp_path / "late.py").write_text(LATE)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "legs.py").write_text("def way():\n    from .feet import WAY\n    return WAY\n")
    (tmp_path / "parts" / "feet.py").write_text("WAY = 1\n")
    installed = tmp_path / "site-packages" / "strides"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text(LATE.replace("from parts", "from strides"))
    (installed / "legs.py").write_text("def way():\n    return 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "before", "after", "uri"),
    [
        ("walk.py", "return self.way", "return 4 - self.way", "class=walk.Walker"),
        ("helper.py", "WAY = 1", "WAY = 3", "walk.Walker"),
        ("way.txt", "2", "4", "class=walk.Walker,data=way.txt"),
        ("way.txt", "2", "3", "late.Walker,kw.file=way.txt"),
        ("parts/legs.py", "return WAY", "return WAY + 1", "class=late.Walker"),  # imported when an episode begins
        ("parts/feet.py", "WAY = 1", "WAY = 2", "late.Walker"),
        ("site-packages/strides/legs.py", "return 1", "return 2", "class=strides.Walker"),
    ],
)
def test_other_code_or_data_of_a_class_is_another_evaluation(
    file: str,
    before: str,
    after: str,
    uri: str,
    cogames: Cogames,
    code: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.syspath_prepend(code / "site-packages")
    words = ("run", "-p", uri, "-p", "noop", *SMALL)
    assert cogames(*words).code == 0
    kept = Path("kept.jsonl").read_bytes()
    assert "0 agent-steps" in cogames(*words).out
    (code / file).write_text((code / file).read_text().replace(before, after))
    refused(cogames(*words), uri, kept)


@pytest.mark.parametrize("form", ["walk.zip", "walked"])
def test_other_code_in_a_bundle_is_another_evaluation(form: str, cogames: Cogames, code: Path):
    words = ("scrimmage", "-p", f"./{form}", "--trust-code", *SMALL)
    create_bundle("class=walk.Walker", code / form, include_files=[code / "way.txt"])
    assert cogames(*words).code == 0
    kept = Path("kept.jsonl").read_bytes()
    for file, text in (("walk.py", CLASS + "\n# more\n"), ("way.txt", "3")):
        (code / file).write_text(text)
        create_bundle("class=walk.Walker", code / form, include_files=[code / "way.txt"])
        refused(cogames(*words), f"./{form}", kept)


@pytest.mark.parametrize("command", ["pickup", "diagnose"])
def test_every_command_that_keeps_episodes_knows_policies_by_content(
    command: str,
    cogames: Cogames,
    tmp_path: Path,
):
    folder(tmp_path / "mine", 1)
    first, *more = {"pickup": ["-p", "./mine", "--pool", "noop", "-m", "cogsguard_arena.basic", "-c", "2"],
                    "diagnose": ["./mine", "--experiments", "eval_clip_oxygen"]}[command]  # fmt: skip
    words = (command, first, *more, "-e", "1", "-s", "5", "--out", "kept.jsonl")
    assert cogames(*words).code == 0
    kept = Path("kept.jsonl").read_bytes()
    folder(tmp_path / "mine", 5)
    refused(cogames(*words), "./mine", kept)


def test_policies_of_other_names_or_settings_are_told_with_both_digests(cogames: Cogames, tmp_path: Path):
    tensors(tmp_path / "mine.safetensors", 4)
    cogames("scrimmage", "-p", "role?miner=4&scout=1", *SMALL)
    kept = Path("kept.jsonl").read_bytes()
    for other in ("role?miner=4&scout=2", "./mine.safetensors"):
        done = cogames("scrimmage", "-p", other, *SMALL)
        assert done.code == 2
        there, here = (rf"{re.escape(uri)} \([0-9a-f]{{8}}\)" for uri in ("role?miner=4&scout=1", other))
        assert re.search(f"{there} there, {here} here", done.err), done.err
        assert Path("kept.jsonl").read_bytes() == kept


def test_episodes_that_other_code_of_the_game_or_the_policies_played_are_refused(
    cogames: Cogames,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "step.py").write_text("SPEED = 1\n")
    monkeypatch.setattr(match, "PLAYING", (tmp_path / "engine",))
    cogames("scrimmage", "-p", "noop", *SMALL)
    kept = Path("kept.jsonl").read_bytes()
    (tmp_path / "engine" / "step.py").write_text("SPEED = 2\n")
    done = cogames("scrimmage", "-p", "noop", *SMALL)
    assert done.code == 2
    assert re.search(r"other code of metta: [0-9a-f]{8} there, [0-9a-f]{8} here", done.err)
    assert Path("kept.jsonl").read_bytes() == kept


# While it is played


def line_up(uri: str, data_dir: Path) -> Callable[[], object]:
    found = LineUp(ContestSettings(policies=[uri], data_dir=str(data_dir), device="cpu"))
    played = make_match(found, MISSION, [Entry(uri)], 1, 0)
    return lambda: found.build(played)[0]


def test_a_checkpoint_that_comes_while_a_run_is_evaluated_does_not_play(tmp_path: Path):
    checkpoints = tmp_path / "red" / "checkpoints"
    folder(checkpoints / "red:v1", 1)
    build = line_up("red", tmp_path)
    folder(checkpoints / "red:v2", 2)
    policy = build()
    assert isinstance(policy, NeuralPolicy) and policy.name == "red:v1"
    weights = policy.net.state_dict()
    assert all(torch.equal(part, weights[name]) for name, part in net(1).state_dict().items())


def test_code_that_changes_while_it_is_played_ends_the_evaluation(code: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(code)
    build = line_up("class=walk.Walker", code)
    build().close()  # type: ignore[attr-defined]
    (code / "helper.py").write_text("WAY = 11\n")
    with pytest.raises(
        UserError, match=r"class=walk\.Walker: changed while it played: [0-9a-f]{8} before, [0-9a-f]{8}"
    ):
        build()
