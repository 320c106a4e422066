"""A small trained net, its bundle, and a cache of its own for every test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metta.game.observation import EnvInfo
from metta.policy.interface import Adviser
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.uri import make_policy
from tests.nets import build_net


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METTA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def net(info: EnvInfo) -> PolicyNet:
    torch.manual_seed(3)
    net = build_net("lstm", {"hidden_size": 8}, info)
    torch.nn.init.normal_(net.get_parameter("_action_head.weight"))  # which begins near 0: all nets would act alike
    return net


@pytest.fixture
def bundle(tmp_path: Path, net: PolicyNet) -> Path:
    """The newest checkpoint, v5, of the run demo."""
    folder = tmp_path / "train_dir" / "demo" / "checkpoints"
    for epoch in (2, 5):
        save_bundle(folder / f"demo:v{epoch}", net, "demo", epoch, epoch * 1000)
    return folder / "demo:v5"


@pytest.fixture
def plays(tmp_path: Path, info: EnvInfo, net: PolicyNet) -> Callable[..., bool]:
    """Whether the policy that a URI names acts as the net does."""

    def same(uri: str, trust_pickle: bool = False) -> bool:
        policy = make_policy(uri, info, tmp_path / "train_dir", trust_pickle=trust_pickle)
        assert isinstance(policy, Adviser)
        observations = np.random.default_rng(0).integers(0, 256, (4, 3, 200, 3), dtype=np.uint8)
        policy.reset(4, 3, seed=0)
        state = net.initial_state(12)
        for _ in range(3):
            advice = policy.advise(observations)
            output, state = net.act(torch.from_numpy(observations).flatten(0, 1), state)
            if not torch.allclose(advice.log_probs, output.logits.log_softmax(-1), atol=1e-5):
                return False
        return True

    return same
