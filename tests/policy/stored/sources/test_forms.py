"""Every form of a policy file plays as the net that was saved."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.interface import NetHeads
from metta.policy.nets.earlier import NETS, known_as
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.sources.place import SPEC
from metta.policy.stored.uri import find_bundle
from metta.rl.util.policy_loader import load_policy_from_checkpoint
from tests.nets import build_net

Plays = Callable[..., bool]
STATES = {
    "model": lambda net: {"model": net.state_dict(), "epoch": 7, "optimizer": {"lr": 0.1}},
    "policy": lambda net: {"policy": net.state_dict(), "agent_step": 100},
    "model_state_dict": lambda net: {"model_state_dict": net.state_dict(), "args": ["a", 1]},
    "bare": lambda net: net.state_dict(),
    "compiled": lambda net: {f"_orig_mod.module.{name}": tensor for name, tensor in net.state_dict().items()},
    "doubles": lambda net: {name: tensor.double() for name, tensor in net.state_dict().items()},
}


def zipped(folder: Path, path: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, inside + file.name)
    return path


@pytest.mark.parametrize("form", STATES)
def test_a_torch_file_plays_as_the_net_in_it(form: str, tmp_path: Path, net: PolicyNet, plays: Plays):
    torch.save(STATES[form](net), tmp_path / "model_0000.pt")
    assert plays(str(tmp_path / "model_0000.pt")) and plays(f"file://{tmp_path}/model_0000.pt")


def test_a_torch_file_of_the_old_format_plays(tmp_path: Path, net: PolicyNet, plays: Plays):
    torch.save({"model": net.state_dict()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert plays(str(tmp_path / "old.pt"))


def test_safetensors_alone_play(tmp_path: Path, net: PolicyNet, plays: Plays):
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    assert plays(str(tmp_path / "weights.safetensors"))


def test_a_bundle_plays_as_folder_zip_and_file(tmp_path: Path, bundle: Path, plays: Plays):
    flat, nested = zipped(bundle, tmp_path / "flat.zip"), zipped(bundle, tmp_path / "nested.zip", "demo:v5/")
    with zipfile.ZipFile(tmp_path / "stored.zip", "w") as stored:
        for file in bundle.iterdir():
            stored.write(file, file.name)
        stored.writestr("notes.bin", bytes(6 << 20))
    assert plays(str(tmp_path / "stored.zip"))
    for uri in (bundle, f"{bundle}/", bundle / SPEC, bundle / "model.safetensors", flat, nested, f"file://{flat}"):
        assert plays(str(uri)), uri


def test_the_command_line_s_class_form_plays(tmp_path: Path, net: PolicyNet, bundle: Path, plays: Plays):
    torch.save(net.state_dict(), tmp_path / "w.pt")
    for name in ("lstm", "metta.policy.nets.lstm.LstmNet"):
        assert plays(f"class={name},data={tmp_path}/w.pt") and plays(f"class={name},data={bundle},kw.hidden_size=8")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("class=tutorial,data={}", "the weights are of the net lstm"),
        ("class=lstm,data={},kw.hidden_size=9", "hidden_size=8"),
        ("class=lstm,data={},kw.hiden_size=8", "did you mean hidden_size"),
        ("class=lstm,dta={}", "'dta=.*the form is class=NAME"),
        ("class=lstm", r"data=FILE"),
        ("class=tutorial,data={}/../..", "the weights are of the net lstm"),
        ("class=lstn,data={}", "did you mean lstm"),
        ("class=os.system", "has no class system"),  # a function
        ("class=os.PathLike,dta={}", r"the form is class=module\.Class"),
        ("class=random,data={}", "has no weights"),
    ],
)
def test_a_wrong_class_form_says_what_is_wrong(words: str, problem: str, bundle: Path):
    from metta.policy.stored.uri import make_policy

    with pytest.raises(UserError, match=problem):
        make_policy(words.format(bundle), env_info(Mission()))


def test_a_module_that_was_pickled_plays_only_when_trusted(tmp_path: Path, net: PolicyNet, plays: Plays):
    torch.save(net, tmp_path / "module.pt")
    torch.save({"policy": net}, tmp_path / "dict.pt")
    for name in ("module.pt", "dict.pt"):
        with pytest.raises(UserError, match=r"metta\.policy\.nets\.\w+\.\w+.*trust_pickle=true"):
            plays(str(tmp_path / name))
        assert plays(str(tmp_path / name), trust_pickle=True)


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_every_net_is_told_from_its_shapes(name: str, auxiliary: bool, tmp_path: Path, info: EnvInfo):
    settings = {"hidden_size": 12, **({"channels": [4, 6]} if name == "tutorial" else {})}
    net = build_net(name, settings, info, NetHeads(auxiliary))
    torch.save({"model": net.state_dict()}, tmp_path / "w.pt")
    found = find_bundle(str(tmp_path / "w.pt"))
    architecture = found.architecture
    assert (architecture.name, architecture.heads, architecture.info) == (name, net.heads, info)
    assert architecture.components == net.components


def test_depth_and_memory_of_a_net_are_told_from_its_shapes(tmp_path: Path, info: EnvInfo):
    settings = {"hidden_size": 6, "layers": 3, "memory": True}
    save_file(build_net("mlp", settings, info).state_dict(), tmp_path / "w.safetensors")
    found = find_bundle(str(tmp_path / "w.safetensors"))
    assert known_as(found.architecture.components) == ("mlp", settings)


def test_the_spec_beside_a_file_tells_its_net_and_features(tmp_path: Path, bundle: Path, net: PolicyNet):
    torch.save({"model": net.state_dict()}, bundle / "model_0007.pt")
    found = find_bundle(str(bundle / "model_0007.pt"))
    assert (found.info, found.architecture.name, found.run) == (net.info, "lstm", "demo")


def test_a_bundle_of_few_words_needs_only_class_and_arguments(tmp_path: Path, net: PolicyNet, plays: Plays):
    folder = tmp_path / "submission"
    folder.mkdir()
    torch.save(net.state_dict(), folder / "weights.pt")
    spec = {
        "class_path": "metta.policy.nets.lstm.LstmNet",
        "data_path": "weights.pt",
        "init_kwargs": {"hidden_size": 8},
    }
    (folder / SPEC).write_text(json.dumps(spec))
    assert plays(str(folder))


def test_a_script_gets_a_module_ready_to_act(tmp_path: Path, bundle: Path, net: PolicyNet):
    for uri in (str(bundle), str(shutil.copytree(bundle, tmp_path / "copy"))):
        loaded = load_policy_from_checkpoint(uri, torch.device("cpu"))
        assert isinstance(loaded, torch.nn.Module) and not loaded.training
        assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in net.state_dict().items())
    with pytest.raises(UserError, match="must be a PyTorch module"):
        load_policy_from_checkpoint("metta://policy/miner", "cpu")
