"""What earlier versions saved loads, plays and goes on: tests/fixtures/checkpoints and runs were written by one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from metta.config.runner import run
from metta.policy.interface import NetHeads
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.earlier import NETS, components_of, known_as
from metta.policy.nets.net import ComponentNet
from metta.policy.nets.presets import preset_names
from metta.policy.stored.bundle import load_bundle
from metta.policy.stored.uri import find_bundle

FIXTURES = Path(__file__).parents[2] / "fixtures"
CHECKPOINTS = FIXTURES / "checkpoints"
SAVED = {  # name: the words that build it now, and the digest by which reports of earlier versions know it
    "tutorial": {"name": "tutorial", "hidden_size": 9, "channels": [3, 5]},
    "tutorial-kinds": {"name": "small", "hidden_size": 8, "channels": [2, 4]},
    "lstm": {"name": "lstm", "hidden_size": 8},
    "mlp": {"name": "mlp", "hidden_size": 6, "layers": 3},
    "mlp-memory": {"name": "mlp", "hidden_size": 6, "memory": True},
}
DIGESTS = {
    "tutorial-kinds": "f43a1fd016b2d1ffc277f1942db1fb89db434dc22d272159873e02ca2b1540b1",
    "lstm": "4c99d9c6a4a17aa5c7bd95794891e08f763f9b1480d9ddb69d9fa5922acd11f2",
}


def plays_as_recorded(net: ComponentNet, name: str) -> None:
    recorded = np.load(CHECKPOINTS / f"{name}.npz")
    observations, resets = torch.from_numpy(recorded["observations"]), torch.from_numpy(recorded["resets"])
    with torch.no_grad():
        output = net.eval().unroll(observations, net.initial_state(observations.shape[1]), resets)
    np.testing.assert_allclose(output.logits.numpy(), recorded["logits"], atol=1e-6)
    np.testing.assert_allclose(output.values.numpy(), recorded["values"], atol=1e-6)
    if output.auxiliary is not None:
        np.testing.assert_allclose(output.auxiliary.numpy(), recorded["auxiliary"], atol=1e-6)


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_net_plays_as_it_did(name: str):
    plays_as_recorded(load_bundle(CHECKPOINTS / name).build(), name)


@pytest.mark.parametrize("name", DIGESTS)
def test_a_saved_net_is_known_by_the_same_digest(name: str):
    assert load_bundle(CHECKPOINTS / name).content == DIGESTS[name]


@pytest.mark.parametrize("name", DIGESTS)
def test_a_module_that_was_pickled_whole_plays_as_it_did(name: str):
    plays_as_recorded(find_bundle(str(CHECKPOINTS / f"{name}.pt"), trust_pickle=True).build(), name)


@pytest.mark.parametrize("name", SAVED)
def test_the_preset_of_today_has_the_same_parameters_and_draws_the_same_first_weights(name: str):
    bundle = load_bundle(CHECKPOINTS / name)
    torch.manual_seed([*SAVED].index(name))  # as when it was saved
    net = ComponentNet(bundle.info, AgentSettings.model_validate(SAVED[name]).components, bundle.architecture.heads)
    now, saved = net.state_dict(), bundle.weights
    assert {key: part.shape for key, part in now.items()} == {key: part.shape for key, part in saved.items()}
    for key, part in net.named_parameters():  # processors round matrix products differently
        torch.testing.assert_close(part.data, saved[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_presets_say_what_a_name_meant(name: str):
    assert AgentSettings(name=name).components == components_of(name, {})
    known = known_as(AgentSettings(name=name, hidden_size=24).components)
    assert known is not None and (known[0], known[1]["hidden_size"]) == (name, 24)


def test_lists_that_no_earlier_version_had_are_not_taken_for_theirs():
    for name in set(preset_names()) - {*NETS, "fast", "small"}:
        assert known_as(AgentSettings(name=name).components) is None
    changed = AgentSettings.model_validate({"name": "lstm", "hidden_size": 8})
    changed.components["rnn"] = changed.components["rnn"].model_copy(update={"size": 9})
    assert known_as(changed.components) is None


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path: Path):
    shutil.copytree(FIXTURES / "runs" / "earlier", tmp_path / "old-lstm")
    words = {
        "run": "old-lstm", "agent": "lstm", "agent.hidden_size": 8, "mission.max_steps": 40, "mission.cogs": 2,
        "training_env.map_pool": 2, "training_env.num_envs": 2, "trainer.batch_size": 128,
        "trainer.minibatch_size": 64, "trainer.bptt_horizon": 16, "trainer.total_timesteps": 768,
        "system.data_dir": tmp_path, "system.threads": 1, "system.device": "cpu",
        "trainer.losses.ppo_critic.critic_update": "gtd_lambda",
    }  # fmt: skip
    assert run(["cogsguard.train", *(f"{key}={value}" for key, value in words.items())]) == 0
    rows = [json.loads(line) for line in (tmp_path / "old-lstm" / "metrics.jsonl").read_text().splitlines()]
    assert [row["metric/agent_step"] for row in rows] == [128, 256, 384, 512, 640, 768]
    assert load_bundle(tmp_path / "old-lstm/checkpoints/old-lstm:v6").architecture.heads == NetHeads(auxiliary=True)


def test_a_saved_tree_of_an_earlier_version_repeats_its_net(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["--from", str(FIXTURES / "runs" / "earlier"), "--describe", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [part["gives"] for part in told["components"]][:2] == ["vector 8", "vector 8"]
