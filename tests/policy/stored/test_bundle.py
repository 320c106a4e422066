"""Checkpoints on disk: what is read is what was written, or it is refused."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metta.common.errors import UserError
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.bundle import WEIGHTS, load_bundle, save_bundle
from metta.policy.stored.fitting import check_fits
from metta.policy.stored.sources.place import SPEC, BrokenBundleError
from metta.policy.stored.uri import find_bundle, list_versions, make_policy
from tests.nets import build_net


@pytest.fixture
def net(info: EnvInfo) -> PolicyNet:
    torch.manual_seed(3)
    return build_net("lstm", {"hidden_size": 8}, info)


@pytest.fixture
def run(tmp_path: Path, net: PolicyNet) -> Path:
    """A run folder with checkpoints v2 and v5."""
    for epoch in (2, 5):
        save_bundle(tmp_path / "demo" / "checkpoints" / f"demo:v{epoch}", net, "demo", epoch, epoch * 1000)
    return tmp_path / "demo"


def newest(run: Path) -> Path:
    return run / "checkpoints" / "demo:v5"


def test_a_bundle_gives_back_the_same_net(run: Path, net: PolicyNet) -> None:
    bundle = load_bundle(newest(run))
    assert (bundle.run, bundle.epoch, bundle.agent_steps, bundle.architecture.name) == ("demo", 5, 5000, "lstm")
    assert bundle.info == net.info
    again = bundle.build()
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.parametrize("file", [WEIGHTS, SPEC])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_file_cut_short_is_refused(run: Path, file: str, share: float) -> None:
    path = newest(run) / file
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BrokenBundleError, match="demo:v5"):
        load_bundle(newest(run))


@pytest.mark.parametrize("file", [WEIGHTS, SPEC])
def test_a_flipped_bit_anywhere_is_refused(run: Path, file: str) -> None:
    path = newest(run) / file
    data = path.read_bytes()
    for position in np.linspace(0, len(data) - 1, 40).astype(int):
        flipped = bytearray(data)
        flipped[position] ^= 0x04
        path.write_bytes(bytes(flipped))
        if json_equal(data, bytes(flipped)):
            continue
        with pytest.raises(BrokenBundleError):
            load_bundle(newest(run))


def json_equal(one: bytes, other: bytes) -> bool:
    """Whether both are JSON of the same content: a changed blank changes nothing."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_a_missing_file_is_refused(run: Path) -> None:
    (newest(run) / WEIGHTS).unlink()
    with pytest.raises(BrokenBundleError, match=WEIGHTS):
        load_bundle(newest(run))


def test_a_pickle_in_place_of_weights_is_not_run(run: Path, tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "owned"),))

    (newest(run) / WEIGHTS).write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(BrokenBundleError):
        load_bundle(newest(run))
    assert not (tmp_path / "owned").exists()


def test_latest_falls_back_to_the_newest_complete_checkpoint(run: Path, capsys: pytest.CaptureFixture) -> None:
    (newest(run) / WEIGHTS).write_bytes(b"")
    assert find_bundle("demo:latest", run.parent).epoch == 2
    assert "demo:v5" in capsys.readouterr().err
    with pytest.raises(BrokenBundleError):
        find_bundle("demo:v5", run.parent)


def test_every_spelling_of_a_checkpoint_is_found(run: Path) -> None:
    spellings = {
        f"{newest(run)}": 5, f"file://{newest(run)}": 5, f"{run}": 5, f"{run}:latest": 5, f"{run}:v2": 2, "demo": 5,
        "demo:latest": 5, "demo:v2": 2, f"file://{run}:v2": 2,
    }  # fmt: skip
    assert {uri: find_bundle(uri, run.parent).epoch for uri in spellings} == spellings


def test_relative_paths_are_found(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent.parent)
    for uri in (f"./{run.parent.name}/demo:v5", f"{run.parent.name}/demo"):
        assert find_bundle(uri).epoch == 5


def test_what_is_not_there_names_the_nearest(run: Path, info: EnvInfo) -> None:
    for uri, hint in (("dmo", "demo"), ("demo:v6", "v5"), ("randon", "random"), ("metta://policy/nop", "noop")):
        with pytest.raises(UserError, match=hint):
            make_policy(uri, info, run.parent)


def test_other_features_or_actions_are_refused(run: Path, info: EnvInfo) -> None:
    bundle = load_bundle(newest(run))
    check_fits(bundle.origin, bundle.info, env_info(Mission()))
    with pytest.raises(UserError, match="last_reward"):
        check_fits(bundle.origin, bundle.info, replace(info, features=info.features[:3]))
    scaled = tuple(replace(f, normalization=100) if f.name == "inv:heart" else f for f in info.features)
    with pytest.raises(UserError, match=r"normalizations.*inv:heart"):
        check_fits(bundle.origin, bundle.info, replace(info, features=scaled))
    with pytest.raises(UserError, match="actions"):
        check_fits(bundle.origin, bundle.info, replace(info, action_names=info.action_names[:3]))


def test_policies_play_a_batch_and_repeat_themselves_from_a_seed(run: Path, info: EnvInfo) -> None:
    observations = np.random.default_rng(0).integers(0, 256, (3, 2, 200, 3), dtype=np.uint8)
    for uri in ("random", "noop", "metta://policy/random", "demo:v5"):
        policy = make_policy(uri, info, run.parent)
        games = []
        for _ in range(2):
            policy.reset(3, 2, seed=4)
            games.append([policy.step(observations).copy() for _ in range(5)])
            policy.end_episodes(np.array([True, False, False]))
        assert games[0][0].shape == (3, 2) and games[0][0].dtype == np.int32
        np.testing.assert_array_equal(games[0], games[1])


def test_an_ended_episode_starts_from_an_empty_memory(run: Path, info: EnvInfo) -> None:
    policy = make_policy("demo:v5", info, run.parent, deterministic=True)
    net = policy.net  # pyright: ignore[reportAttributeAccessIssue]
    observations = np.random.default_rng(0).integers(0, 256, (2, 1, 200, 3), dtype=np.uint8)
    policy.reset(2, 1, seed=0)
    policy.step(observations)
    policy.end_episodes(np.array([True, False]))
    hidden, cell = policy._state  # pyright: ignore[reportAttributeAccessIssue]
    assert not hidden[0].any() and not cell[0].any() and hidden[1].any()
    assert net.initial_state(2)[0].shape == hidden.shape


KILLED_SAVER = """
import sys, torch
from pathlib import Path
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.stored.bundle import save_bundle
from tests.nets import build_net
net = build_net("lstm", {"hidden_size": 64}, env_info(Mission()))
print("ready", flush=True)
for epoch in range(1, 100000):
    save_bundle(Path(sys.argv[1]) / "demo" / "checkpoints" / f"demo:v{epoch}", net, "demo", epoch, epoch)
"""


def test_kill_in_the_middle_of_saving_leaves_only_complete_checkpoints(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED_SAVER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    versions = list_versions(tmp_path / "demo")
    assert versions
    for version in versions[-3:]:
        load_bundle(version.folder)
