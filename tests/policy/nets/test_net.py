"""Policies from lists of components: memory, saving, work, components of a user's own."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import WORDS as PLAIN_WORDS
from metta.common.errors import UserError
from metta.config.runner import run as run_tool
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import NetHeads
from metta.policy.nets.agent import AgentSettings
from metta.policy.nets.components.user import allow
from metta.policy.nets.describe import describe, totals
from metta.policy.nets.net import ComponentNet
from metta.policy.nets.presets import preset_names
from metta.policy.stored.bundle import load_bundle, save_bundle
from metta.policy.stored.uri import make_policy
from tests.policy.nets.reference_core import ReferenceCore
from tests.policy.nets.reference_perceiver import Reference
from tests.policy.test_nets import tokens

INFO = env_info(Mission()).without_vibes
TIME, BATCH = 7, 5


def net_of(name: str, **changes: object) -> ComponentNet:
    torch.manual_seed(0)
    net = ComponentNet(INFO, AgentSettings.model_validate({"name": name, **changes}).components, NetHeads(True), name)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # nothing stays at 0, where it could hide a fault
    return net


@pytest.fixture(scope="module")
def nets() -> dict[str, ComponentNet]:
    return {name: net_of(name) for name in preset_names()}


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=4)
@given(seed=st.integers(0, 2**20), share=st.sampled_from([0.0, 0.1, 0.5]))
def test_a_segment_gives_what_single_steps_gave(nets: dict[str, ComponentNet], name: str, seed: int, share: float):
    net = nets[name]
    observations = tokens(TIME * BATCH, seed=seed).view(TIME, BATCH, 200, 3)
    resets = torch.rand(TIME, BATCH, generator=torch.Generator().manual_seed(seed)) < share
    with torch.no_grad():
        _, state = net.act(tokens(BATCH, seed=seed + 1), net.initial_state(BATCH))  # in the midst of an episode
        whole = net.unroll(observations, state, resets)
        for time in range(TIME):
            output, state = net.act(observations[time], net.reset(state, resets[time]))
            torch.testing.assert_close(output.logits, whole.logits[time], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(output.values, whole.values[time], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", preset_names())
def test_reset_gives_marked_rows_the_state_of_a_beginning(nets: dict[str, ComponentNet], name: str):
    net = nets[name]
    with torch.no_grad():
        _, state = net.act(tokens(BATCH, seed=3), net.initial_state(BATCH))
    ended = torch.tensor([True, False, True, False, False])
    before = [part.clone() for part in state]
    for part, was, new, fresh in zip(state, before, net.reset(state, ended), net.initial_state(BATCH), strict=True):
        assert torch.equal(part, was)  # what was given stays
        assert torch.equal(new[ended], fresh[ended]) and torch.equal(new[~ended], was[~ended])
    assert not {id(part) for part in net.state_dict().values()} & {id(part) for part in state}


@pytest.mark.parametrize("name", preset_names())
def test_a_bundle_keeps_every_setting_and_gives_back_the_same_net(
    nets: dict[str, ComponentNet], name: str, tmp_path: Path
):
    net = nets[name]
    save_bundle(tmp_path / "run:v1", net, "run", 1, 100)
    spec = json.loads((tmp_path / "run:v1" / "policy_spec.json").read_text())
    assert spec["format"] == 2 and [*spec["init_kwargs"]["components"]] == [*net.components]
    bundle = load_bundle(tmp_path / "run:v1")
    assert bundle.architecture.components == net.components
    again = bundle.build()
    observations, resets = tokens(TIME * BATCH).view(TIME, BATCH, 200, 3), torch.zeros(TIME, BATCH, dtype=torch.bool)
    with torch.no_grad():
        mine, theirs = (one.eval().unroll(observations, one.initial_state(BATCH), resets) for one in (net, again))
    assert torch.equal(mine.logits, theirs.logits) and torch.equal(mine.values, theirs.values)


def test_a_spec_of_a_newer_format_or_an_unknown_component_says_so(tmp_path: Path):
    from metta.policy.stored.spec import _hash

    folder = tmp_path / "run:v1"
    save_bundle(folder, net_of("lstm"), "run", 1, 100)
    path = folder / "policy_spec.json"
    spec = json.loads(path.read_text())

    def refused(**changes: object) -> str:
        changed = {**spec, **changes}
        path.write_text(json.dumps({**changed, "spec_sha256": _hash(changed)}))
        with pytest.raises(UserError) as caught:
            load_bundle(folder).build()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "format 3; this one reads formats up to 2" in refused(format=3)
    parts = spec["init_kwargs"]["components"]
    newer = {"components": {**parts, "net": {**parts["net"], "gate": 3}}}
    assert "agent.components.net.gate" in refused(init_kwargs=newer)
    assert "no kind of component 'warp'" in refused(init_kwargs={"components": {**parts, "net": {"kind": "warp"}}})
    assert "weights do not fit" in refused(init_kwargs={"components": {**parts, "net": {**parts["net"], "hidden": 64}}})


def test_the_work_of_vit_is_what_torch_counts_over_its_plain_formulas():
    net = net_of("vit")
    encoder = Reference(INFO)
    core = ReferenceCore(net.module("cortex"))  # pyright: ignore
    observations = tokens(BATCH).view(1, BATCH, 200, 3)
    heads = [net.module(name) for name in ("actor_mlp", "actor_head", "critic", "gtd_aux")]
    counter = FlopCounterMode(display=False)
    # On no device the layers are torch's own, which it counts; states and loops are the plain ones.
    with counter:
        hidden = core.unroll(
            encoder(observations[0]).unsqueeze(0), net.initial_state(BATCH), torch.zeros(1, BATCH, dtype=torch.bool)
        )[0]
        assert hidden.shape == (BATCH, 128)
    rows = {row.component: row.forward_flops for row in describe(net.components, INFO, NetHeads(True))}
    both = rows["obs_perceiver_latent"] + rows["cortex"]
    assert counter.get_total_flops() / BATCH == pytest.approx(both, rel=0.05)
    layers = [layer for head in heads for layer in head.modules() if isinstance(layer, torch.nn.Linear)]
    assert sum(2 * layer.weight.numel() for layer in layers) == sum(rows.values()) - both
    assert totals(describe(net.components, INFO, NetHeads(True)))["parameters"] == sum(
        parameter.numel() for parameter in net.parameters()
    )


MINE = """
import torch
from torch import nn
from metta.policy.nets.modules.base import Memory

class Count(nn.Module):
    '''How many tokens there are, through a layer.'''
    def __init__(self, given, info, width=4):
        super().__init__()
        self.width, self.layer = width, nn.Linear(1, width)

    def forward(self, observations):
        return self.layer((observations[..., 0] != 255).sum(1, keepdim=True).float())

class Sum(Memory):
    '''Sums what it reads.'''
    def __init__(self, given, info):
        super().__init__()
        self.width = given.width

    def initial_state(self, batch):
        return (torch.zeros(batch, self.width),)

    def step(self, x, state):
        return state[0] + x, (state[0] + x,)

    def unroll(self, x, state, resets):
        outputs = []
        for now, ended in zip(x, resets):
            output, state = self.step(now, self.reset(state, ended))
            outputs.append(output)
        return torch.stack(outputs)

class Nameless(nn.Module):
    def __init__(self, given, info):
        super().__init__()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "mine_net.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    yield "mine_net"
    sys.modules.pop("mine_net", None)


TINY = [
    "mission.max_steps=40", "mission.cogs=2", "training_env.map_pool=2", "training_env.num_envs=2",
    "trainer.batch_size=128", "trainer.minibatch_size=64", "trainer.bptt_horizon=16", "trainer.total_timesteps=256",
    "system.data_dir=runs", "system.threads=1", "device=cpu",
]  # fmt: skip
OWN = [
    "agent=lstm",
    "agent.components.net='class=mine_net.Count,kw.width=6,input=observations'",
    "agent.components.rnn='class=mine_net.Sum,input=net'",
    "agent.hidden_size=null",
]


def test_components_of_a_users_own_train_play_and_go_on(mine: str, capsys: pytest.CaptureFixture[str]):
    train = ["cogsguard.train", "run=own", *OWN, *TINY]
    assert run_tool(train) == 0, capsys.readouterr().err
    assert run_tool([*train, "trainer.total_timesteps=512"]) == 0, capsys.readouterr().err
    evaluate = ["cogsguard.evaluate", "run=own", "episodes=1", "system.data_dir=runs", "device=cpu"]
    assert run_tool([*evaluate, "trust_code=true"]) == 0, capsys.readouterr().err


def test_no_file_names_a_component_of_its_own(mine: str, capsys: pytest.CaptureFixture[str]):
    Path("x.yaml").write_text("agent: {components: {more: 'class=mine_net.Count,input=observations'}}\n")
    assert run_tool(["cogsguard.train", "user=x.yaml", "--dry-run"]) == 2
    assert "mine_net" not in sys.modules and "put it on the command line" in capsys.readouterr().err
    assert run_tool(["cogsguard.train", "agent=lstm", "agent.components.net=class=mine_net.Nameless", "--dry-run"]) == 2
    assert "does not tell its width" in capsys.readouterr().err
    assert run_tool(["cogsguard.train", "agent=lstm", "agent.components.net=class=mine_net.Nope", "--dry-run"]) == 2
    assert "mine_net has no class Nope" in capsys.readouterr().err


def test_a_bundle_with_a_component_of_its_own_is_built_only_when_trusted(mine: str, tmp_path: Path):
    parts = {**AgentSettings(name="lstm", hidden_size=6).components}
    given = AgentSettings.model_validate(
        {
            "components": {
                **{name: part.model_dump() for name, part in parts.items()},
                "net": f"class={mine}.Count,kw.width=6",
            }
        }
    ).components
    allow(given)
    save_bundle(tmp_path / "run:v1", ComponentNet(INFO, given), "run", 1, 100)
    from metta.policy.nets.components import user

    user._allowed.clear()
    with pytest.raises(UserError, match="trust_code=true"):
        make_policy(str(tmp_path / "run:v1"), INFO)
    make_policy(str(tmp_path / "run:v1"), INFO, trust_code=True)


def test_plain_components_compose_in_the_place_of_ours(capsys: pytest.CaptureFixture[str]):
    assert run_tool(["cogsguard.train", *PLAIN_WORDS, "--describe", "json"]) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["total"]["parameters"] > 1.9e6


def test_a_net_has_no_name_that_torch_needs():
    with pytest.raises(UserError, match="cannot have this name"):
        components = AgentSettings(name="lstm").components
        ComponentNet(replace(INFO), {"parameters": components["net"], **components})
