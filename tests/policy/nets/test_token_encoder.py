"""Shim, embedding and perceiver: equality with the plain formulas, rows that do not depend on others, shapes, FLOPs."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.interface import SpaceInfo
from metta.policy.nets.components.base import ComponentSettings
from metta.policy.nets.components.perceiver import ObsPerceiverLatentSettings
from metta.policy.nets.components.tokens import ObsAttrEmbedFourierSettings, ObsShimTokensSettings
from metta.policy.nets.modules.base import FeatureBatch, TokenBatch
from metta.policy.nets.modules.tokens import TokenEmbed, TokenShim
from metta.policy.nets.shapes import Shape, Work
from tests.policy.nets.reference_perceiver import Reference, ReferencePerceiver

INFO: EnvInfo = env_info(Mission())
SPACE = SpaceInfo((84, 84), "uint8", (4,), 1)
OBSERVED = Shape("observations", (200, 3))
PARTS = (ObsShimTokensSettings(), ObsAttrEmbedFourierSettings(), ObsPerceiverLatentSettings())


class Encoder(nn.Module):
    """The three components in their order."""

    def __init__(self, parts: tuple[ComponentSettings, ...] = PARTS) -> None:
        super().__init__()
        shapes = [OBSERVED]
        for part in parts:
            shapes.append(part.output(shapes[-1], INFO))
        built = [part.build(shape, INFO) for part, shape in zip(parts, shapes, strict=False)]
        self.shim, self.embed, self.perceiver = built

    def forward(self, observations: Tensor) -> Tensor:
        return self.perceiver(self.embed(self.shim(observations)))


def rows(lengths: list[int], seed: int = 0, packed: bool = True) -> Tensor:
    """Observations of that many random tokens each, uint8 [n, 200, 3], some of them of no place."""
    random = np.random.default_rng(seed)
    out = np.full((len(lengths), 200, 3), 255, np.uint8)
    for row, live in zip(out, lengths, strict=True):
        columns = np.arange(live) if packed else np.sort(random.permutation(200)[:live])
        places = random.integers(0, 11, live) * 16 + random.integers(0, 11, live)
        row[columns, 0] = np.where(random.random(live) < 0.2, 0xFE, places)
        row[columns, 1] = random.integers(0, 78, live)
        row[columns, 2] = random.integers(0, 256, live)
    return torch.from_numpy(out)


def pair(seed: int = 0) -> tuple[Encoder, Reference]:
    """The components and the plain network, with the same weights."""
    torch.manual_seed(seed)
    fast, plain = Encoder(), Reference(INFO)
    with torch.no_grad():
        for parameter in fast.parameters():  # norms and biases that are neither 1 nor 0
            parameter += 0.05 * torch.randn_like(parameter)
    plain.load_state_dict(fast.state_dict())
    return fast, plain


def result(net: nn.Module, observations: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and gradients of a sum that weighs all of it differently."""
    net.zero_grad()
    output = net(observations)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).mean().backward()
    return output.detach(), {
        name: value.grad.clone() for name, value in net.named_parameters() if value.grad is not None
    }


def assert_equal(fast: nn.Module, plain: nn.Module, observations: Tensor) -> None:
    (value, gradients), (plain_value, plain_gradients) = result(fast, observations), result(plain, observations)
    torch.testing.assert_close(value, plain_value, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in plain_gradients.items():
        torch.testing.assert_close(
            gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize("most", [0, 3, 60, 200])
def test_values_and_gradients_are_those_of_the_plain_formulas(most: int) -> None:
    lengths = np.random.default_rng(most).integers(0, most + 1, 150)
    assert_equal(*pair(), rows(lengths.tolist(), seed=most))


@settings(max_examples=20)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=9), st.integers(0, 2**32 - 1), st.booleans())
def test_they_are_so_for_any_rows_with_padding_anywhere(lengths: list[int], seed: int, packed: bool) -> None:
    assert_equal(*pair(seed % 7), rows(lengths, seed, packed))


def test_several_threads_do_the_same() -> None:
    before = torch.get_num_threads()
    fast, plain = pair()
    try:
        torch.set_num_threads(3)
        assert_equal(fast, plain, rows([40] * 300))
    finally:
        torch.set_num_threads(before)


def assert_same_compiled(net: nn.Module, observations: Tensor) -> None:
    (value, gradients), (other, other_gradients) = result(net, observations), result(compiled(net), observations)
    torch.testing.assert_close(other, value, atol=1e-5, rtol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(other_gradients[f"_orig_mod.{name}"], gradient, atol=1e-6, rtol=1e-4)


def compiled(net: nn.Module) -> nn.Module:
    """Traced as a whole by torch's compiler, which leaves what other devices do."""
    return torch.compile(net, backend="aot_eager", fullgraph=True)  # pyright: ignore[reportReturnType]


def test_what_runs_on_other_devices_does_the_same_and_compiles_as_a_whole() -> None:
    assert_same_compiled(pair()[0], rows([0, 1, 7, 55, 128, 129, 200] * 3, packed=False))


@pytest.mark.parametrize("count", [32, 64, 96, 160])
def test_a_row_that_plays_does_not_depend_on_the_others_nor_on_its_place(count: int) -> None:
    net = pair()[0].eval()
    lengths = np.random.default_rng(0).integers(0, 70, count)
    observations = rows(lengths.tolist())
    with torch.inference_mode():
        alone = net(observations)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        assert torch.equal(net(observations[order]), alone[order])
        crowded = rows([200] * count, seed=1)
        crowded[::2] = observations[::2]
        assert torch.equal(net(crowded)[::2], alone[::2])


def test_the_width_of_the_batch_changes_nothing() -> None:
    net = pair()[0]
    observations = rows([5, 40, 0, 61] * 8)
    with torch.inference_mode():
        assert torch.equal(net.train()(observations), net.eval()(observations))


@pytest.mark.parametrize("form", [nn.Module.eval, compiled])
def test_the_shim_keeps_the_first_tokens_that_are_there(form: Callable[[nn.Module], nn.Module]) -> None:
    observations = rows([0, 2, 30, 200], packed=False)
    tokens, padding = form(TokenShim(20))(observations)
    assert tokens.shape == (4, 20, 3) and padding.sum(1).tolist() == [20, 18, 0, 0]
    for row, kept, left in zip(observations, tokens, padding, strict=True):
        there = row[row[:, 0] != 255][:20]
        assert torch.equal(kept[: len(there)], there)
        assert (kept[len(there) :] == 255).all() and left.tolist() == [False] * len(there) + [True] * (20 - len(there))


def test_in_training_the_shim_gives_no_more_columns_than_the_longest_row_needs() -> None:
    shim = TokenShim(128)
    assert shim(rows([3, 17])).tokens.shape == (2, 17, 3)
    assert shim(rows([0, 0])).tokens.shape == (2, 1, 3)
    assert shim(rows([3, 190])).tokens.shape == (2, 128, 3)
    assert shim.eval()(rows([3, 17])).tokens.shape == (2, 128, 3)


@pytest.mark.parametrize("form", [nn.Module.eval, compiled])
def test_a_token_is_its_embedded_feature_fourier_features_of_its_place_and_its_share(
    form: Callable[[nn.Module], nn.Module],
) -> None:
    embed = TokenEmbed(INFO, 2, 3)
    heart = next(feature for feature in INFO.features if feature.name == "inv:heart")
    tokens = torch.tensor([[[0xA0, heart.id, 64], [0x55, heart.id, 0], [0xFE, heart.id, 128]]], dtype=torch.uint8)
    corner, middle, nowhere = form(embed)(TokenBatch(tokens, torch.zeros(1, 3, dtype=torch.bool))).features[0].detach()
    steps = torch.tensor([1.0, 2.0, 4.0])
    assert torch.equal(corner[:2], embed.embedding[heart.id])
    torch.testing.assert_close(corner[2:14], torch.cat([steps.cos(), (-steps).sin(), steps.cos(), steps.sin()]))
    assert middle[2:14].tolist() == [1, 1, 1, 0, 0, 0] * 2 and nowhere[2:14].tolist() == [0] * 12
    assert [float(token[14]) for token in (corner, middle, nowhere)] == [64 / 256, 0, 128 / 256]


def test_padding_may_hold_any_finite_numbers() -> None:
    perceiver = pair()[0].perceiver
    padding = torch.arange(30).expand(4, -1) >= torch.tensor([[0], [1], [10], [30]])
    features = torch.randn(4, 30, 21)
    noisy = torch.where(padding.unsqueeze(-1), 1e9, features)
    assert torch.equal(perceiver(FeatureBatch(features, padding)), perceiver(FeatureBatch(noisy, padding)))


@pytest.mark.parametrize(
    "changes", [{"pool": "first"}, {"layers": 1, "heads": 2}, {"latent_dim": 48, "num_latents": 5}]
)
def test_other_sizes_give_the_same_compiled_or_not(changes: dict[str, int | str]) -> None:
    torch.manual_seed(0)
    assert_same_compiled(Encoder((*PARTS[:2], ObsPerceiverLatentSettings.model_validate(changes))), rows([0, 5, 50, 3]))


def test_under_autocast_products_are_done_in_bfloat16_and_the_result_is_close() -> None:
    net = pair()[0]
    observations = rows([0, 5, 50, 60] * 8)
    value, gradients = result(net, observations)
    with torch.autocast("cpu", torch.bfloat16):
        low_value, low_gradients = result(net, observations)
    assert not torch.equal(low_value, value)
    torch.testing.assert_close(low_value.float(), value, atol=0.05, rtol=0.05)
    for name, gradient in gradients.items():
        assert nn.functional.cosine_similarity(low_gradients[name].flatten(), gradient.flatten(), dim=0) > 0.99, name


def test_it_has_the_size_of_the_reference() -> None:
    assert sum(parameter.numel() for parameter in Encoder().parameters()) == 339_498


@pytest.mark.parametrize(("changes", "flops"), [({}, 10_813_440), ({"num_latents": 8, "layers": 3, "heads": 8}, None)])
def test_work_is_that_of_the_plain_formulas(changes: dict[str, int], flops: int | None) -> None:
    part = ObsPerceiverLatentSettings(**changes)
    plain = ReferencePerceiver(count=part.num_latents, heads=part.heads, layers=part.layers)
    shape, rows = Shape("features", (128, 21)), 2
    with FlopCounterMode(display=False) as forward:
        output = plain(torch.randn(rows, 128, 21, requires_grad=True), torch.zeros(rows, 128, dtype=torch.bool))
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()
    work = part.work(shape, INFO)
    counted = [mode.get_total_flops() / rows for mode in (forward, backward)]
    assert counted[0] == pytest.approx(work.forward, rel=0.05)
    assert 2 * counted[0] + counted[1] == pytest.approx(work.trained, rel=0.05)
    assert flops in (None, work.forward)


def test_looking_up_is_no_work() -> None:
    assert ObsShimTokensSettings().work(OBSERVED, INFO) == Work(0)
    assert ObsAttrEmbedFourierSettings().work(Shape("tokens", (128,)), INFO) == Work(0)


def test_shapes_follow_from_settings() -> None:
    shapes = [OBSERVED]
    for part in PARTS:
        shapes.append(part.output(shapes[-1], INFO))
    assert list(map(str, shapes)) == ["observations 200x3", "tokens 128", "features 128x21", "vector 128"]
    assert ObsShimTokensSettings(max_tokens=500).output(OBSERVED, INFO) == Shape("tokens", (200,))
    assert all(later.kind != earlier.kind for earlier, later in pairwise(shapes))


def test_what_does_not_fit_is_told_with_what_was_given() -> None:
    with pytest.raises(ValueError, match="feat_dim=21, but the tokens have 25 numbers"):
        ObsPerceiverLatentSettings(feat_dim=21).output(Shape("features", (128, 25)), INFO)
    with pytest.raises(ValueError, match="reads the tokens of the game, got observations 84x84 uint8"):
        ObsShimTokensSettings().output(Shape("observations", (84, 84)), SPACE)
    with pytest.raises(ValidationError, match="heads=5 does not divide latent_dim=128"):
        ObsPerceiverLatentSettings(heads=5)


def test_places_reach_from_edge_to_edge_of_the_window_and_not_beyond() -> None:
    places = TokenEmbed(replace(INFO, window=(3, 5)), 8, 1).places
    one = torch.tensor(1.0)
    torch.testing.assert_close(places[0x24], torch.stack([one.cos(), one.sin(), one.cos(), one.sin()]))
    torch.testing.assert_close(places[0x12], torch.tensor([1.0, 0.0, 1.0, 0.0]))
    assert torch.equal(places[0x79], places[0x24])
