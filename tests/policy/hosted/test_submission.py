"""Bundles to hand in: made of any policy, the same bytes each time, played like any other and never unasked."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metta.common.errors import UserError
from metta.config import runner
from metta.game.mission import Mission
from metta.game.missions import load_mission
from metta.game.observation import env_info
from metta.policy.hosted import submission_code
from metta.policy.hosted.submission import create_bundle, validate_bundle
from metta.policy.interface import Policy
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.sources.place import SPEC
from metta.policy.stored.uri import find_bundle, make_policy
from tests.nets import build_net

INFO = env_info(Mission())
ARENA = load_mission("cogsguard_arena.basic")
OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (2, 8, 200, 3), dtype=np.uint8)
EAST, WEST = (INFO.action_names.index(name) for name in ("move_east", "move_west"))
CLASS = """
from pathlib import Path
from {package} import helper

class Goes:
    def __init__(self, info, where="nowhere", **words):
        self.where = where
    def load(self, path):
        self.where = Path(path).read_text()
    def reset(self, agent, seed):
        if Path("where").exists():  # in the folder it works in
            self.where = Path("where").read_text()
    def act(self, observation):
        return helper.move(self.where)
"""
HELPER = "def move(where):\n    return f'move_{where}'\n"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The class of a package in the working folder; its name is new each time, as modules stay imported."""
    package = f"mine_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / "work" / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "helper.py").write_text(HELPER)
    (folder / "unused.py").write_text("")
    (folder / "policy.py").write_text(CLASS.format(package=package))
    (tmp_path / "work" / "weights").write_text("east")
    monkeypatch.chdir(tmp_path / "work")
    return f"{package}.policy.Goes"


def actions(policy: Policy) -> np.ndarray:
    policy.reset(2, 8, seed=0)
    return policy.step(OBSERVATIONS)


def same(bundle: Path, uri: str, **options: bool) -> bool:
    """Does the bundle play as what it was made of?"""
    return bool((actions(make_policy(str(bundle), INFO, **options)) == actions(make_policy(uri, INFO))).all())


@pytest.mark.parametrize("form", ["submission.zip", "submission"])
def test_a_class_is_packed_with_what_it_imports_and_plays_anywhere(mine: str, form: str, tmp_path: Path):
    out = create_bundle(f"class={mine},data=weights", Path(form))
    shutil.move(out, tmp_path / form)
    shutil.rmtree(tmp_path / "work")
    (tmp_path / "work").mkdir()
    policy = make_policy(str(tmp_path / form), INFO, trust_code=True)
    assert (actions(policy) == EAST).all()


def test_a_bundle_lists_what_it_holds(mine: str):
    create_bundle(mine, Path("s.zip"), {"where": "west"}, [Path("weights")])
    package = mine.partition(".")[0]
    files = [f"{package}/{name}.py" for name in ("__init__", "helper", "policy")]
    with zipfile.ZipFile("s.zip") as archive:
        assert archive.namelist() == sorted([*files, SPEC, "weights"])
        spec = json.loads(archive.read(SPEC))
    assert (spec["format"], spec["class_path"], spec["data_path"]) == (1, mine, None)
    assert spec["init_kwargs"] == {"where": "west"} and sorted(spec["sha256"]) == sorted([*files, "weights"])
    assert (actions(make_policy("s.zip", INFO, trust_code=True)) == WEST).all()


def test_folders_are_included_without_what_is_hidden_or_compiled(mine: str):
    for name in ("data/a.txt", "data/deep/b.txt", "data/.git/c", "data/__pycache__/d.pyc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    shutil.copytree("data", "../elsewhere")
    create_bundle("noop", Path("s.zip"), include_files=[Path("data"), Path("../elsewhere"), Path("data/.git/c")])
    with zipfile.ZipFile("s.zip") as archive:
        data = ["data/.git/c", "data/a.txt", "data/deep/b.txt"]
        assert archive.namelist() == [*data, "elsewhere/a.txt", "elsewhere/deep/b.txt", SPEC]


@pytest.mark.parametrize("uri", ["role?miner=4", "class=role,kw.scout=2", "noop", "metta://policy/baseline"])
def test_a_policy_without_weights_is_packed_by_name_and_needs_no_trust(uri: str, tmp_path: Path):
    assert same(create_bundle(uri, tmp_path / "s.zip"), uri)
    assert validate_bundle(tmp_path / "s.zip", ARENA, trust_code=False).ok


def test_a_checkpoint_is_packed_with_its_weights(tmp_path: Path):
    torch.manual_seed(0)
    net = build_net("lstm", {"hidden_size": 8}, INFO)
    save_bundle(tmp_path / "demo" / "checkpoints" / "demo:v5", net, "demo", 5, 5_000)
    out = create_bundle("demo", tmp_path / "s.zip", data_dir=tmp_path)
    found = find_bundle(str(out))
    assert (found.architecture.name, found.epoch, found.agent_steps) == ("lstm", 5, 5_000)
    assert all(torch.equal(tensor, found.weights[name]) for name, tensor in net.state_dict().items())
    with pytest.raises(UserError, match="takes no init_kwargs"):
        create_bundle("demo", out, {"hidden_size": "9"}, data_dir=tmp_path)


def test_the_same_policy_makes_the_same_bytes(mine: str, tmp_path: Path):
    for uri in (f"{mine},data=weights", "role?miner=4"):
        first = create_bundle(uri, Path("a.zip")).read_bytes()
        assert create_bundle(uri, Path("b.zip")).read_bytes() == first


def test_a_setup_script_runs_in_the_unpacked_bundle_before_the_class(mine: str, capfd: pytest.CaptureFixture[str]):
    Path("prepare.py").write_text("print('preparing'); open('where', 'w').write('west')")
    create_bundle(mine, Path("s.zip"), setup_script=Path("prepare.py"))
    assert validate_bundle(Path("s.zip"), ARENA).ok
    assert (actions(make_policy("s.zip", INFO, trust_code=True)) == WEST).all()
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines() == ["preparing"] * 2 and not Path("where").exists()


@pytest.mark.parametrize(
    ("script", "problem"), [("raise SystemExit(4)", "failed with exit code 4"), ("while True: pass", "more than 1 s")]
)
def test_a_setup_script_that_fails_or_hangs_is_told(
    script: str, problem: str, mine: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(submission_code, "SETUP_SECONDS", 1)
    Path("prepare.py").write_text(script)
    create_bundle(mine, Path("s.zip"), setup_script=Path("prepare.py"))
    with pytest.raises(UserError, match=rf"^s\.zip: setup_script prepare\.py .*{problem}"):
        validate_bundle(Path("s.zip"), ARENA)


def test_validation_tells_what_plays_how_fast_and_what_went_wrong(mine: str):
    create_bundle(mine, Path("good.zip"), {"where": "east"})
    create_bundle(mine, Path("bad.zip"))
    good, bad = (validate_bundle(name, ARENA, steps=7) for name in ("good.zip", "bad.zip"))
    assert good.ok and (good.policy, good.agents, good.steps) == (f"class {mine}", ARENA.agents, 7)
    assert 0 < good.ms_median <= good.ms_max and good.lines()[-1] == "ok"
    assert not bad.ok and bad.faults.garbage == 7 * ARENA.agents
    assert "no action 'move_nowhere'" in bad.lines()[-2] and bad.lines()[-1] == "failed"
    assert json.loads(json.dumps(bad.document()))["faults"]["garbage"] == 7 * ARENA.agents


def test_code_is_not_even_unpacked_unless_it_is_trusted(mine: str, monkeypatch: pytest.MonkeyPatch):
    create_bundle(mine, Path("s.zip"))
    before = sorted(Path.cwd().parent.rglob("*"))
    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    for attempt in (lambda: make_policy("s.zip", INFO), lambda: validate_bundle("s.zip", ARENA, trust_code=False)):
        with pytest.raises(UserError, match=r"^s\.zip: policy_spec\.json: unknown class '.*Goes'.* trust_code=true"):
            attempt()
    with pytest.raises(UserError, match="unknown class"):
        find_bundle("s.zip")
    assert sorted(Path.cwd().parent.rglob("*")) == before


def test_nothing_stays_on_disk(mine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    create_bundle(mine, Path("s.zip"), {"where": "east"})
    assert validate_bundle("s.zip", ARENA).ok
    assert list((tmp_path / "temporary").iterdir()) == []


def rewritten(change: Callable[[dict], None], **files: str) -> Path:
    """The bundle with another spec, without its signature, and other files."""
    shutil.unpack_archive("s.zip", "changed")
    spec = json.loads(Path("changed", SPEC).read_text())
    del spec["format"], spec["spec_sha256"]
    change(spec)
    Path("changed", SPEC).write_text(json.dumps(spec))
    for name, text in files.items():
        Path("changed", name).write_text(text)
    return Path("changed")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda spec: spec.update(class_path="os.system"), "os has no class system"),
        (lambda spec: spec.update(class_path="os.PathLike"), "PathLike is no policy"),
        (lambda spec: spec.update(data_path="../weights"), "leaves the folder"),
        (lambda spec: spec["sha256"].update({"../secret": "0"}), "leads out"),
        (lambda spec: spec["sha256"].update({"/etc/passwd": "0"}), "leads out"),
        (lambda spec: spec["sha256"].update({"missing.py": "0"}), "missing.py is missing"),
        (lambda spec: spec["sha256"].update({SPEC: "0"}), r"policy_spec\.json is damaged"),
        (lambda spec: spec.update(sha256={}), "lists no files; pack it as a zip"),
        (lambda spec: spec.update(setup_script="../x.py"), r"setup_script \.\./x\.py is not in the bundle"),
        (lambda spec: spec.update(setup_script="x.py"), r"setup_script x\.py is not in the bundle"),
    ],
)
def test_a_bundle_that_is_not_what_it_says_is_refused_even_if_trusted(
    change: Callable[[dict], None], problem: str, mine: str
):
    create_bundle(mine, Path("s.zip"), include_files=[Path("weights")])
    with pytest.raises(UserError, match=rf"^changed.*{problem}") as error:
        make_policy(str(rewritten(change)), INFO, trust_code=True)
    assert "\n" not in str(error.value)


def test_an_edited_bundle_is_refused(mine: str):
    create_bundle(mine, Path("s"))
    package = mine.partition(".")[0]
    Path("s", package, "helper.py").write_text("def move(where):\n    return 0\n")
    with pytest.raises(UserError, match=r"helper\.py is damaged"):
        make_policy("s", INFO, trust_code=True)


def test_a_zip_of_class_and_arguments_alone_plays_too(mine: str):
    create_bundle(mine, Path("s.zip"), {"where": "east"})
    changed = rewritten(lambda spec: spec.pop("sha256"))
    packed = shutil.make_archive("plain", "zip", changed)
    assert (actions(make_policy(packed, INFO, trust_code=True)) == EAST).all()


@pytest.mark.parametrize(
    ("uri", "options", "problem"),
    [
        ("role?minr=4", {}, "did you mean miner"),
        ("role", {"init_kwargs": {"minr": "4"}}, "did you mean miner"),
        ("role", {"setup_script": Path("weights")}, "only a class of your own"),
        ("{mine}", {"include_files": [Path("nothing")]}, "nothing: no such file"),
        ("{mine}", {"include_files": [Path(SPEC)]}, "is what this writes"),
        ("{mine}", {"init_kwargs": {"self": "1"}}, "cannot be built"),
        ("{mine}x", {}, "has no class Goesx"),
        ("class=tests.policy.hosted.user_policies.Neither", {}, "Neither is no policy"),
        ("class=metta.policy.scripted.policy.ScriptedPolicy", {}, "unknown class"),
        ("nobody", {}, "neither a built-in policy"),
    ],
)
def test_what_cannot_be_packed_is_told_in_one_line(uri: str, options: dict, problem: str, mine: str):
    Path(SPEC).write_text("{}")
    with pytest.raises(UserError, match=re.escape(problem)) as error:
        create_bundle(uri.format(mine=mine), Path("s.zip"), **options)
    assert "\n" not in str(error.value) and not Path("s.zip").exists()


def test_what_is_there_and_no_bundle_is_not_replaced(mine: str):
    for out in (Path("."), Path(mine.partition(".")[0]), Path("weights")):
        with pytest.raises(UserError, match="exists and is no bundle"):
            create_bundle("role", out)
    Path("s").mkdir()
    Path("s", SPEC).write_text("{}")
    assert validate_bundle(create_bundle("role", Path("s")), ARENA).ok


@pytest.mark.parametrize(
    "words", [["policy_uri=submission.zip", "trust_code=true"], ["policy_uri={}"], ["policy_uri=class={}"]]
)
def test_a_class_and_its_bundle_are_evaluated_from_the_command_line(
    words: list[str], mine: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(Path.cwd()))
    create_bundle(mine, Path("submission.zip"), {"where": "east"})
    words = [word.format(f"{mine},kw.where=east") for word in words]
    short = ["mission=cogsguard_arena.basic", "max_steps=5", "episodes=1", "--format", "json"]
    assert runner.run(["recipes.experiment.cogsguard.evaluate", *words, *short]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    moved = [metrics[f"env_agent/action.move.{outcome}"]["mean"] for outcome in ("success", "failed")]
    assert sum(moved) == 5
