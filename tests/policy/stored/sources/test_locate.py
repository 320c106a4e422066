"""An address that leads nowhere costs one line with the nearest that does."""

import zipfile
from pathlib import Path

import pytest
import torch

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.uri import find_bundle, find_policy, run_folder


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("dem", "did you mean demo"),
        ("demo:v6", r"no checkpoint v6.*it has v2, v5"),
        ("{}/demo/checkpoints/model_0000.pt", r"did you mean model_0001\.pt"),
        ("{}/demo/checkpoints/other.pt", "checkpoints of demo: .*/demo:v2, .*/demo:v5"),
        ("{}/nobody/checkpoints/model_0000.pt", "runs in .*: demo"),
        ("randon", "did you mean random"),
        ("s4://bucket/key", r"unknown scheme s4://.*did you mean s3://"),
        ("file://file://x", r"unknown scheme file://"),
        ("x" * 5000, "name too long"),
        ("", "neither a built-in policy, a file, a bundle nor a run"),
        ("/dev/zero", "neither a built-in policy, a file"),
    ],
)
def test_what_is_not_there_names_the_nearest(uri: str, problem: str, bundle: Path, net: PolicyNet):
    train_dir = bundle.parents[2]
    torch.save(net.state_dict(), bundle.parent / "model_0001.pt")
    with pytest.raises(UserError, match=problem):
        find_bundle(uri.format(train_dir), train_dir)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("sub/p.py", "sub/p.py: code, no file of a policy; of its classes: class=sub.p.One, class=sub.p.Two"),
        ("class=sub/p.py,kw.a=b", "a file, where the form is .*; of its classes: class=sub.p.One"),
        ("broken", "policy 'broken': a folder with neither policy_spec.json nor checkpoints; there are no runs"),
        ("notes.zip", "notes.zip: a zip of no policy, with neither .* nor weights; it holds notes.txt$"),
    ],
)
def test_what_is_there_but_no_policy_is_told_apart(
    uri: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("sub", "broken"):
        Path(folder).mkdir()
    Path("sub/p.py").write_text("class One:\n    pass\n\n\nclass Two:\n    pass\n")
    with zipfile.ZipFile("notes.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing here")
    with pytest.raises(UserError, match=problem):
        find_policy(uri, env_info(Mission()))


def test_checkpoints_in_a_run_s_folder_belong_to_it(bundle: Path, net: PolicyNet, monkeypatch: pytest.MonkeyPatch):
    run = bundle.parents[1]
    torch.save(net.state_dict(), bundle.parent / "model_0001.pt")
    for uri in ("demo", "demo:v2", bundle, bundle / "model.safetensors", bundle.parent / "model_0001.pt"):
        assert run_folder(str(uri), run.parent) == run
    monkeypatch.chdir(bundle)
    assert run_folder("./model.safetensors") == run
    assert [run_folder(uri) for uri in ("random", "s3://a/b", "class=lstm,data=x")] == [None] * 3
