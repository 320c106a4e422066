"""A policy in an environment that numbers features and tags differently acts as where it was trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, Feature, env_info
from metta.policy.interface import Adviser
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.fitting import Translated
from metta.policy.stored.uri import make_policy
from tests.nets import build_net

GAME = env_info(Mission())
NETS = {"lstm": {"hidden_size": 8}, "tutorial": {"hidden_size": 12, "channels": [4, 6]}}


def shuffled(info: EnvInfo) -> EnvInfo:
    """The same features and tags under other ids."""
    generator = np.random.default_rng(5)
    ids = generator.permutation(len(info.features))
    features = tuple(replace(feature, id=int(id)) for feature, id in zip(info.features, ids, strict=True))
    return replace(info, features=features, tags=tuple(generator.permutation(np.array(info.tags)).tolist()))


def as_seen(observations: np.ndarray, by: EnvInfo, instead: EnvInfo) -> np.ndarray:
    """What an environment that `by` describes shows where one that `instead` describes shows `observations`."""
    ids = {feature.name: feature.id for feature in by.features}
    names = {feature.id: feature.name for feature in instead.features}
    out = observations.copy()
    for token in out.reshape(-1, 3):
        if token[0] == 255:
            continue
        name = names[int(token[1])]
        token[1] = ids[name]
        if name == "tag":
            token[2] = by.tags.index(instead.tags[token[2]])
    return out


def observed(info: EnvInfo, seed: int = 0) -> np.ndarray:
    """Observations [3, 2, tokens, 3] with every feature and many tags, padded at the end."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(0, 121, (3, 2, info.num_tokens, 3)).astype(np.uint8)
    ids = np.array([feature.id for feature in info.features])
    tokens[..., 1] = ids[generator.integers(0, len(ids), tokens.shape[:-1])]
    tag = next(feature.id for feature in info.features if feature.name == "tag")
    tokens[:, :, ::3, 1] = tag
    tags = generator.integers(0, len(info.tags), tokens.shape[:-1])
    tokens[..., 2] = np.where(tokens[..., 1] == tag, tags, tokens[..., 2])
    tokens[:, :, 150:] = 255
    return tokens


def saved(folder: Path, name: str, info: EnvInfo) -> str:
    torch.manual_seed(1)
    net = build_net(name, NETS[name], info)
    torch.nn.init.normal_(net.get_parameter("_action_head.weight"))  # which begins near 0
    save_bundle(folder / "net:v1", net, "net", 1, 0)
    return str(folder / "net:v1")


def acted(uri: str, info: EnvInfo, observations: np.ndarray) -> torch.Tensor:
    """Log-probabilities of the actions over four steps."""
    policy = make_policy(uri, info)
    assert isinstance(policy, Adviser)
    policy.reset(3, 2, seed=0)
    return torch.stack([policy.advise(observations).log_probs for _ in range(4)])


@pytest.mark.parametrize("name", NETS)
def test_features_and_tags_in_another_order_change_nothing(name: str, tmp_path: Path):
    here = shuffled(GAME)
    uri, seen = saved(tmp_path, name, GAME), observed(GAME)
    there = as_seen(seen, here, GAME)
    assert not np.array_equal(seen, there)
    assert torch.equal(acted(uri, GAME, seen), acted(uri, here, there))
    assert not torch.allclose(acted(uri, GAME, seen), acted(uri, GAME, there), atol=0.01)


@pytest.mark.parametrize("name", NETS)
def test_what_a_policy_never_knew_is_as_if_never_sent(name: str, tmp_path: Path):
    more = Feature(len(GAME.features), "inv:banana", 256)
    here = replace(GAME, features=(*GAME.features, more), tags=("collective:apes", *GAME.tags))
    uri, seen = saved(tmp_path, name, GAME), observed(GAME)
    there = np.full_like(seen, 255)
    there[:, :, 2:152] = as_seen(seen, here, GAME)[:, :, :150]
    there[:, :, 0] = 60, more.id, 7
    there[:, :, 1] = 60, 7, 0  # a tag of the apes
    assert torch.equal(acted(uri, GAME, seen), acted(uri, here, there))


def test_the_same_features_need_no_translation(tmp_path: Path):
    policy = make_policy(saved(tmp_path, "lstm", GAME), GAME)
    assert not isinstance(policy.net, Translated)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_translated_net_unrolls_as_it_acts(tmp_path: Path):
    policy = make_policy(saved(tmp_path, "lstm", GAME), shuffled(GAME))
    net = policy.net  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(net, Translated)
    tokens = torch.from_numpy(np.stack([observed(shuffled(GAME), seed)[:, 0] for seed in range(4)]))
    whole = net.unroll(tokens, net.initial_state(3), torch.zeros(4, 3, dtype=torch.bool))
    state = net.initial_state(3)
    for time, step in enumerate(tokens):
        output, state = net.act(step, state)
        torch.testing.assert_close(output.logits, whole.logits[time])


def test_features_that_are_not_there_cost_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    uri, here = saved(tmp_path, "lstm", GAME), replace(GAME, features=GAME.features[:-1])
    make_policy(uri, here)
    assert "net:v1: trained on features that this mission does not show: last_action_move" in capsys.readouterr().err


def test_another_world_is_refused(tmp_path: Path):
    uri = saved(tmp_path, "lstm", GAME)
    with pytest.raises(UserError, match="trained on other observation features"):
        make_policy(uri, replace(GAME, features=(Feature(0, "pixel", 255),)))
