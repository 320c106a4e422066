"""The commands of docs/policies-from-anywhere.md run as they stand, against servers of this machine."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metta.cli import cogames
from metta.config import runner
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.sources.runs import BEST
from tests.nets import build_net
from tests.policy.stored.sources.servers import KEY, Site, serve, serve_s3

pytest.importorskip("boto3", reason="needs the extra s3")
pytest.importorskip("moto.server", reason="needs moto, of the extra dev")

PAGE = (Path(__file__).parents[1] / "docs" / "policies-from-anywhere.md").read_text()
BASH, PYTHON = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("bash", "python"))
COMMANDS = [line for block in BASH for line in block.splitlines()]
SHORT = {  # what a test adds so that a command is done in seconds
    "evaluate": ["episodes=1", "max_steps=5"],
    "play": ["max_steps=5", "render=log"],
    "train": [
        "trainer.total_timesteps=512", "trainer.batch_size=512", "trainer.minibatch_size=128", "max_steps=20",
        "trainer.bptt_horizon=8", "training_env.map_pool=2", "agent.hidden_size=8",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the page names, the bucket `bucket` and the project metta-research/metta."""
    folder = tmp_path_factory.mktemp("world")
    full = env_info(Mission())
    net = build_net("lstm", {"hidden_size": 8}, replace(full, action_names=full.action_names[:5]))
    save_bundle(folder / "train_dir/demo/checkpoints/demo:v5", net, "demo", 5, 5000)
    (folder / "train_dir/demo" / BEST).write_text('{"epoch": 5}')
    (folder / "train_dir/old_run/checkpoints").mkdir(parents=True)
    torch.save({"model": net.state_dict()}, folder / "train_dir/old_run/checkpoints/model_0000.pt")
    bundle = folder / "train_dir/demo/checkpoints/demo:v5"
    shutil.make_archive(str(folder / "my_bundle"), "zip", bundle)
    site = Site({f"/{file.name}": file.read_bytes() for file in bundle.iterdir()})
    site.artifacts["metta-research/metta/run_name:v1"] = {file.name: f"/{file.name}" for file in bundle.iterdir()}
    site.artifacts["team/metta/run_name:v1"] = site.artifacts["metta-research/metta/run_name:v1"]
    site.aliases |= {f"{entity}/metta/run_name:latest": "v1" for entity in ("metta-research", "team")}
    torch.save(net, folder / "module.pt")
    with serve(site) as wandb, serve_s3("bucket") as (bucket, keys), pytest.MonkeyPatch.context() as patch:
        settings = {"WANDB_BASE_URL": wandb, "WANDB_API_KEY": KEY, "METTA_CACHE": str(folder / "cache")}
        for name, value in {**keys, **settings}.items():
            patch.setenv(name, value)
        for name in ("WANDB_ENTITY", "WANDB_PROJECT"):
            patch.delenv(name, raising=False)
        bucket.upload_file(str(folder / "train_dir/old_run/checkpoints/model_0000.pt"), "path/to/checkpoint.pt")
        for file in bundle.iterdir():
            bucket.upload_file(str(file), f"runs/demo/checkpoints/demo:v5/{file.name}")
        yield folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(
    command: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(world)
    tool, *words = shlex.split(command)
    if tool == "cogames":
        code = run_cogames([*words, "-s", "5", *(["-e", "1"] if words[0] == "scrimmage" else [])])
    else:
        code = runner.run([*words, *SHORT[words[0].rpartition(".")[2]], "device=cpu"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    if "--format json" in command:
        assert json.loads(printed.out)["policy_uri"] == "./my_bundle.zip"


def run_cogames(words: list[str]) -> int:
    return cogames.app([*words, "--device", "cpu"], standalone_mode=False) or 0


def test_the_python_of_the_page_runs(world: Path, capsys: pytest.CaptureFixture[str]):
    exec(PYTHON[0], {})
    assert "Policy loaded: <class 'metta.policy.nets.net.ComponentNet'>" in capsys.readouterr().out


def test_a_pickled_module_plays_only_with_the_one_word_that_allows_it(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(world)
    words = ["cogsguard.evaluate", "policy_uri=module.pt", "device=cpu", *SHORT["evaluate"]]
    assert runner.run(words) == 2
    told = capsys.readouterr().err
    assert "trust_pickle=true" in told and len(told.splitlines()) == 1
    assert runner.run([*words, "trust_pickle=true"]) == 0
    assert run_cogames(["scrimmage", "-p", "module.pt", "--trust-pickle", "-s", "5", "-e", "1"]) == 0
