"""The net for plain numbers: its actions, its memory, its bundle."""

from pathlib import Path

import pytest
import torch

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.interface import SpaceInfo
from metta.policy.nets.net import ComponentNet, joint_logits
from metta.policy.stored.bundle import load_bundle, save_bundle
from metta.policy.stored.fitting import check_fits
from tests.nets import build_net

INFO = SpaceInfo((5,), "float32", (3, 2), 1)


def net_with(info: SpaceInfo = INFO, **settings: object) -> ComponentNet:
    torch.manual_seed(0)
    net = build_net("mlp", {"hidden_size": 16, **settings}, info)
    with torch.no_grad():
        net.get_parameter("_action_head.weight").normal_()
    return net


def test_a_combination_is_as_likely_as_its_parts_together():
    logits = torch.randn(4, 2 + 3 + 2)
    joint = joint_logits(logits, (2, 3, 2)).softmax(-1).view(4, 2, 3, 2)
    first, second, third = (part.softmax(-1) for part in logits.split((2, 3, 2), dim=-1))
    torch.testing.assert_close(joint, torch.einsum("ni,nj,nk->nijk", first, second, third))
    assert INFO.action_names == ("0-0", "0-1", "1-0", "1-1", "2-0", "2-1")


@pytest.mark.parametrize("memory", [False, True])
def test_a_segment_gives_what_single_steps_gave(memory: bool):
    net = net_with(memory=memory)
    observations, resets = torch.randn(7, 3, 5), torch.rand(7, 3) < 0.3
    state = net.initial_state(3)
    assert len(state) == (2 if memory else 0)
    whole = net.unroll(observations, state, resets)
    for time in range(7):
        output, state = net.act(observations[time], net.reset(state, resets[time]))
        torch.testing.assert_close(output.logits, whole.logits[time], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(output.values, whole.values[time], atol=1e-5, rtol=1e-5)


def test_it_reads_bytes_as_shares_and_the_games_tokens_too():
    pixels = net_with(SpaceInfo((4, 4, 3), "uint8", (2,), 1))
    images = torch.randint(0, 256, (6, 4, 4, 3), dtype=torch.uint8)
    hidden = images.flatten(1) / 255
    for layer in pixels.get_submodule("_layers").children():
        hidden = layer(hidden)
    torch.testing.assert_close(pixels.module("layers")(images), hidden)
    tokens = torch.full((6, 200, 3), 255, dtype=torch.uint8)
    assert build_net("mlp", {}, env_info(Mission())).act(tokens, ())[0].logits.shape == (6, 12)


def test_a_bundle_brings_it_back_for_the_same_spaces_only(tmp_path: Path):
    net = net_with()
    save_bundle(tmp_path / "run:v1", net, "run", 1, 100)
    bundle = load_bundle(tmp_path / "run:v1")
    assert bundle.info == INFO
    torch.testing.assert_close(bundle.build().state_dict(), net.state_dict())
    check_fits(bundle.origin, bundle.info, INFO)
    for other in (env_info(Mission()), SpaceInfo((6,), "float32", (3, 2), 1)):
        with pytest.raises(UserError, match="other observations or actions"):
            check_fits(bundle.origin, bundle.info, other)


@pytest.mark.parametrize("name", ["lstm", "tutorial", "fast"])
def test_nets_of_the_game_refuse_other_observations(name: str):
    with pytest.raises(UserError, match="agent=mlp"):
        build_net(name, {}, INFO)
