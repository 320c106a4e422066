"""Networks: sizes, equality of the fast paths with the plain formulas, episodes that end inside a segment."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from metta.game.mission import Mission
from metta.game.observation import EnvInfo, Feature, env_info
from metta.policy.interface import NetHeads
from metta.policy.nets.interface import PolicyNet, State
from metta.policy.nets.modules.cnn import recode
from metta.policy.nets.modules.linear import Linear
from metta.policy.nets.modules.token_conv import bagged_conv, feature_scales, token_conv
from metta.policy.nets.net import ComponentNet
from metta.policy.nets.recoding import recoding
from tests.nets import build_net, tokens_to_grid


@pytest.fixture
def info() -> EnvInfo:
    full = env_info(Mission())
    return replace(full, action_names=full.action_names[:5])


def tokens(count: int, seed: int = 0, fewest: int = 0, most: int = 60) -> torch.Tensor:
    """Observations of random tokens and padding, uint8 [count, 200, 3]."""
    random = np.random.default_rng(seed)
    out = np.full((count, 200, 3), 255, np.uint8)
    for row in out:
        live = random.integers(fewest, most + 1)
        row[:live, 0] = random.integers(0, 11, live) * 16 + random.integers(0, 11, live)
        row[:live, 1] = random.integers(0, 78, live)
        row[:live, 2] = random.integers(0, 256, live)
        row[: min(live, 8), 0] = 5 * 16 + 5
    return torch.from_numpy(out)


def wider(info: EnvInfo, planes: int) -> tuple[Feature, ...]:
    """The features and as many more as make `planes`."""
    return (*info.features, *(Feature(i, f"plane {i}", 255) for i in range(len(info.features), planes)))


@pytest.mark.parametrize(("name", "parameters"), [("lstm", 226_310), ("tutorial", 2_538_566), ("fast", 2_538_566)])
def test_nets_have_the_sizes_of_the_originals(info: EnvInfo, name: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in build_net(name, {}, info).parameters()) == parameters


def test_tutorial_net_has_the_tutorials_parameter_names_and_shapes(info: EnvInfo) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in build_net("tutorial", {}, info).state_dict().items()}
    assert shapes == {
        "_feature_scale": (256,),
        "_cnn.0.weight": (64, 78, 3, 3), "_cnn.0.bias": (64,),
        "_cnn.2.weight": (128, 64, 3, 3), "_cnn.2.bias": (128,),
        "_cnn_fc.weight": (256, 1152), "_cnn_fc.bias": (256,),
        "_self_encoder.weight": (256, 78), "_self_encoder.bias": (256,),
        "_rnn.weight_ih_l0": (2048, 512), "_rnn.weight_hh_l0": (2048, 512),
        "_rnn.bias_ih_l0": (2048,), "_rnn.bias_hh_l0": (2048,),
        "_action_head.weight": (5, 512), "_action_head.bias": (5,),
        "_value_head.weight": (1, 512), "_value_head.bias": (1,),
    }  # fmt: skip


def plain_tutorial_encoding(net: PolicyNet, observations: torch.Tensor) -> torch.Tensor:
    """The tutorials' encoder word for word: dense grid, dense convolutions."""
    weights = dict(net.named_parameters())
    grid = tokens_to_grid(observations, net.get_buffer("_feature_scale"), 78, (11, 11))
    hidden = nn.functional.conv2d(grid, weights["_cnn.0.weight"], weights["_cnn.0.bias"], stride=2, padding=1).relu()
    hidden = nn.functional.conv2d(hidden, weights["_cnn.2.weight"], weights["_cnn.2.bias"], stride=2, padding=1).relu()
    around = nn.functional.linear(hidden.flatten(1), weights["_cnn_fc.weight"], weights["_cnn_fc.bias"]).relu()
    center = grid[:, :, 5, 5]
    own = nn.functional.linear(center, weights["_self_encoder.weight"], weights["_self_encoder.bias"]).relu()
    return torch.cat([around, own], dim=-1)


def recoded(info: EnvInfo) -> tuple[torch.Tensor, int]:
    table, planes = recoding(info)
    return torch.from_numpy(table), planes


def encoding(net: ComponentNet, observations: torch.Tensor) -> torch.Tensor:
    """What the memory reads."""
    return net.values(observations, lambda name, core, x: x)["rnn"]


def plain_lstm_encoding(net: PolicyNet, observations: torch.Tensor) -> torch.Tensor:
    weights = dict(net.named_parameters())
    x = observations.flatten(1).float() / 255
    hidden = nn.functional.linear(x, weights["_net.0.weight"], weights["_net.0.bias"]).relu()
    return nn.functional.linear(hidden, weights["_net.2.weight"], weights["_net.2.bias"])


@pytest.mark.parametrize("name", ["lstm", "tutorial"])
@pytest.mark.parametrize("most", [0, 3, 60, 200])
def test_fast_encoders_equal_the_plain_formulas_in_value_and_gradient(info: EnvInfo, name: str, most: int) -> None:
    plain = {"lstm": plain_lstm_encoding, "tutorial": plain_tutorial_encoding}[name]
    torch.manual_seed(0)
    net = build_net(name, {}, info)
    observations = tokens(150, seed=most, most=most)
    results = []
    for encode in (lambda: plain(net, observations), lambda: encoding(net, observations)):
        encoded = encode()
        net.zero_grad()
        (encoded * torch.linspace(-1, 1, encoded.shape[1])).mean().backward()
        gradients = {key: value.grad.clone() for key, value in net.named_parameters() if value.grad is not None}
        results.append((encoded.detach(), gradients))
    (value, gradients), (fast_value, fast_gradients) = results
    torch.testing.assert_close(fast_value, value, atol=1e-5, rtol=1e-5)
    assert fast_gradients.keys() == gradients.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(fast_gradients[key], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("most", [0, 3, 60, 200])
def test_the_convolution_for_devices_equals_the_compiled_one(info: EnvInfo, most: int) -> None:
    torch.manual_seed(most)
    observations, scales = tokens(40, seed=most, most=most), feature_scales(info)
    observations[0, :3] = torch.tensor([[0x55, 20, 9], [0x55, 20, 9], [0xFE, 250, 7]])
    weight, bias = torch.randn(6, 78, 3, 3, requires_grad=True), torch.randn(6, requires_grad=True)
    results = []
    for convolve in (token_conv, bagged_conv):
        weight.grad = bias.grad = None
        output, center = convolve(observations, weight, bias, scales, info.window)
        (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
        results.append((output.detach(), center, weight.grad, bias.grad))
    for compiled, bagged in zip(*results, strict=True):
        torch.testing.assert_close(bagged, compiled, atol=1e-4, rtol=1e-4)


def test_repeated_tokens_of_one_cell_add_up_and_strange_ones_are_clamped(info: EnvInfo) -> None:
    net = build_net("tutorial", {}, info)
    observations = tokens(8, seed=1)
    observations[0, :3] = torch.tensor([[0x55, 20, 9], [0x55, 20, 9], [0xFE, 250, 7]])
    fast, plain = encoding(net, observations), plain_tutorial_encoding(net, observations)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_recoded_tokens_have_a_plane_per_kind_and_amounts_as_logarithms(info: EnvInfo) -> None:
    table, planes = recoded(info)
    ids = {feature.name: feature.id for feature in info.features}
    raw = [(0x34, "tag", 3), (0x34, "tag", 4), (0xFE, "inv:collective:carbon", 255), (0x55, "inv:heart", 0)]
    given = torch.tensor([[(place, ids[name], value) for place, name, value in raw] + [(255, 255, 255)]])
    places, kinds, amounts = recode(given.to(torch.uint8), table, info.window)[0].T.tolist()
    assert places == [0x34, 0x34, 0x55, 0x55, 255]  # what has no place is the agent's own
    assert kinds[1] == kinds[0] + 1 >= len(info.features) and planes > kinds[1]
    assert kinds[2:4] == [ids["inv:collective:carbon"], ids["inv:heart"]]
    assert amounts[:4] == [255, 255, 255, 0]


def test_every_kind_has_a_plane_and_every_amount_its_order(info: EnvInfo) -> None:
    table, planes = recoded(info)
    found = table.view(256, 256, 2).int()
    for feature in info.features:
        plane, amount = found[feature.id].unbind(-1)
        kinds = (plane != feature.id).sum()
        assert plane.max() < planes and len(plane[:kinds].unique()) == kinds
        assert (amount[kinds:].diff() >= 0).all() and amount[1:].all()
    assert (found[next(f.id for f in info.features if f.name == "tag"), : len(info.tags), 0] != 7).all()


def test_a_net_of_kinds_reads_recoded_tokens(info: EnvInfo) -> None:
    settings = {"hidden_size": 32, "channels": [4, 8]}
    net = build_net("tutorial", settings | {"inputs": "kinds"}, info)
    table, planes = recoded(info)
    plain = build_net("tutorial", settings, replace(info, features=wider(info, planes)))
    plain.load_state_dict(net.state_dict())
    seen = tokens(6)
    output, _ = net.act(seen, net.initial_state(6))
    expected, _ = plain.act(recode(seen, table, info.window), plain.initial_state(6))
    torch.testing.assert_close(output.logits, expected.logits)


def test_linear_layer_equals_torchs_in_value_and_gradient() -> None:
    torch.manual_seed(0)
    ours, theirs = Linear(37, 11), nn.Linear(37, 11)
    theirs.load_state_dict(ours.state_dict())
    x, other = torch.randn(65, 37, requires_grad=True), torch.randn(65, 37)
    other = x.detach().clone().requires_grad_()
    for layer, given in ((ours, x), (theirs, other)):
        layer(given).pow(2).mean().backward()
    assert x.grad is not None and other.grad is not None
    torch.testing.assert_close(x.grad, other.grad)
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, reference.grad)


def step_by_step(net: PolicyNet, observations: torch.Tensor, state: State, resets: torch.Tensor) -> torch.Tensor:
    outputs = []
    for now, ended in zip(observations, resets, strict=True):
        output, state = net.act(now, net.reset(state, ended))
        outputs.append(torch.cat([output.logits, output.values.unsqueeze(-1)], dim=-1))
    return torch.stack(outputs)


@pytest.mark.parametrize("name", ["lstm", "tutorial"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_a_segment_with_episode_ends_gives_what_single_steps_gave(info: EnvInfo, name: str, share: float) -> None:
    torch.manual_seed(1)
    net = build_net(name, {"hidden_size": 32}, info)
    with torch.no_grad():
        net.get_parameter("_action_head.weight").normal_()
    time, batch = 9, 6
    observations = tokens(time * batch).view(time, batch, 200, 3)
    state = tuple(torch.randn(batch, 32) for _ in net.initial_state(batch))
    resets = torch.rand(time, batch) < share
    resets[0, 0] = share > 0
    gradients = []
    for unrolled in (True, False):
        net.zero_grad()
        if unrolled:
            output = net.unroll(observations, state, resets)
            whole = torch.cat([output.logits, output.values.unsqueeze(-1)], dim=-1)
        else:
            stepped = step_by_step(net, observations, state, resets)
            torch.testing.assert_close(stepped, whole, atol=1e-5, rtol=1e-5)
            with torch.inference_mode():
                torch.testing.assert_close(step_by_step(net, observations, state, resets), whole, atol=1e-5, rtol=1e-5)
            whole = stepped
        whole.pow(2).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None])
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-3)


def test_unknown_nets_and_settings_name_the_nearest(info: EnvInfo) -> None:
    with pytest.raises(ValidationError, match="did you mean lstm"):
        build_net("lstmm", {}, info)
    with pytest.raises(ValidationError, match="lstm has no such setting; it takes hidden_size"):
        build_net("lstm", {"layers": 3}, info)


def test_the_auxiliary_head_is_there_only_when_asked_for(info: EnvInfo) -> None:
    with_head = build_net("lstm", {}, info, NetHeads(auxiliary=True))
    assert sum(parameter.numel() for parameter in with_head.parameters()) == 226_310 + 129
    output, _ = with_head.act(tokens(3), with_head.initial_state(3))
    assert output.auxiliary is not None and output.auxiliary.shape == (3,)
