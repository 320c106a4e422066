"""Saves go on while the run does: what is written is the run as it was, wholly or not at all, on all ranks."""

import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.nets.net import ComponentNet
from metta.policy.stored.bundle import load_bundle
from metta.policy.stored.uri import list_versions
from metta.rl.run.checkpoint import Checkpointer, Saved
from metta.rl.run.run_folder import RunFolder
from metta.rl.run.settings import CheckpointerSettings
from metta.rl.run.snapshot import Progress, Snapshot, load_snapshot
from metta.rl.world import ALONE, World
from tests.nets import build_net
from tests.rl.ranks import run_ranks


def small_net() -> ComponentNet:
    torch.manual_seed(0)
    return build_net("lstm", {"hidden_size": 8}, env_info(build_mission(MissionSettings())))


def snapshot(epoch: int, rank: int = 0) -> Snapshot:
    """A state that tells of which epoch and rank it is."""
    shared = {"optimizer.0.exp_avg": torch.full((3, 4), float(epoch)), "optimizer.0.step": torch.tensor(float(epoch))}
    own = {"rollout.ended": torch.tensor([True, False]), "rollout.memory.0": torch.full((5,), 10.0 * epoch + rank)}
    return Snapshot(Progress(epoch=epoch, agent_steps=100 * epoch), {"mission": "a"}, {}, shared, own)


def checkpointer(path: Path, world: World = ALONE, **settings: int) -> Checkpointer:
    folder = RunFolder(path / "tiny")
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    folder.states.mkdir(exist_ok=True)
    return Checkpointer(folder, CheckpointerSettings(**settings), "eval_training/reward", world)


def leftovers(path: Path) -> list[str]:
    return [entry.name for entry in path.rglob(".partial-*")]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let this process write no file of more bytes than that, as on a disk that is full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_is_saved_is_the_run_as_it_was_when_the_save_began(tmp_path: Path) -> None:
    net, state, saving = small_net(), snapshot(1), checkpointer(tmp_path)
    before = {name: part.clone() for name, part in net.state_dict().items()}
    saving.save(net, state)
    with torch.no_grad():
        for part in [*net.state_dict().values(), *state.shared.values(), *state.own.values()]:
            part.zero_()
    state.progress.epoch = 7
    assert saving.settle(wait=True) == Saved(epoch=1, agent_steps=100, best=False)
    bundle, loaded = load_bundle(saving.folder.checkpoint(1)), load_snapshot(saving.folder.state(1))
    assert all(torch.equal(bundle.weights[name], part) for name, part in before.items())
    assert loaded.progress.epoch == 1
    assert (
        torch.equal(loaded.shared["optimizer.0.exp_avg"], torch.ones(3, 4)) and loaded.shared["optimizer.0.step"] == 1
    )
    assert torch.equal(loaded.own["rollout.memory.0"], torch.full((5,), 10.0))
    assert loaded.own["rollout.ended"].tolist() == [True, False]


def test_one_save_after_another_uses_the_same_buffers_and_each_has_its_own_content(tmp_path: Path) -> None:
    net, saving = small_net(), checkpointer(tmp_path)
    for epoch in (1, 2, 3):
        with torch.no_grad():
            net.state_dict()[next(iter(net.state_dict()))].fill_(epoch)
        saving.save(net, snapshot(epoch))
        saving.settle(wait=True)
    first = next(iter(net.state_dict()))
    assert [float(load_bundle(saving.folder.checkpoint(epoch)).weights[first].mean()) for epoch in (1, 2, 3)] == [
        1,
        2,
        3,
    ]
    assert float(load_snapshot(saving.folder.state(3)).shared["optimizer.0.step"]) == 3


def test_a_failure_in_the_background_is_told_when_the_run_asks_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, saving = small_net(), checkpointer(tmp_path)
    saving.save(net, snapshot(1))
    saving.settle(wait=True)
    with no_file_beyond(200):
        saving.save(net, snapshot(2))
        assert saving.is_saving(2) and saving.settle(wait=True) is None
    assert "could not save tiny:v2: [Errno 27] File too large; the last checkpoint is v1" in capsys.readouterr().err
    assert not saving.is_saving(2) and not saving.holds(2) and saving.holds(1)
    assert leftovers(tmp_path) == []
    saving.save(net, snapshot(3))
    assert saving.settle(wait=True) == Saved(3, 300, False)


def test_a_folder_that_is_deleted_while_a_save_goes_on_is_not_made_again_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saving = checkpointer(tmp_path)
    saving.save(small_net(), snapshot(1))
    shutil.rmtree(tmp_path / "tiny")
    if saving.settle(wait=True) is None:  # it had not been written before
        assert "could not save tiny:v1: " in capsys.readouterr().err
    assert not (tmp_path / "tiny").exists()


def test_a_run_that_ends_with_an_error_waits_for_the_save(tmp_path: Path) -> None:
    saving = checkpointer(tmp_path)
    saving.save(small_net(), snapshot(1))
    saving.close()
    assert [version.epoch for version in list_versions(tmp_path / "tiny")] == [1]
    assert leftovers(tmp_path) == []


def test_a_state_that_no_bundle_belongs_to_is_not_what_a_run_falls_back_on(tmp_path: Path) -> None:
    """As a kill between the two leaves it."""
    net, saving = small_net(), checkpointer(tmp_path)
    for epoch in (1, 2):
        saving.save(net, snapshot(epoch))
        saving.settle(wait=True)
    saving.folder.state(2).rename(saving.folder.state(9))
    saving.save(net, snapshot(3))
    saving.settle(wait=True)
    assert sorted(entry.name for entry in saving.folder.states.iterdir()) == ["v1", "v3"]


def save_and_load(world: World, path: Path) -> tuple[float, float, int, bool]:
    """Save two epochs on all ranks; what each finds of the last."""
    net, saving = small_net(), checkpointer(path, world)
    for epoch in (1, 2):
        saving.save(net, snapshot(epoch, world.rank))
        saving.settle(wait=True)
    loaded = checkpointer(path, world).load_newest()
    assert loaded is not None
    state = loaded[1]
    return (
        float(state.shared["optimizer.0.step"]),
        float(state.own["rollout.memory.0"][0]),
        state.ranks,
        saving.holds(2),
    )


def test_each_rank_gets_its_own_part_back_and_what_all_have_alike(tmp_path: Path) -> None:
    assert run_ranks(2, save_and_load, tmp_path) == [(2.0, 20.0, 2, True), (2.0, 21.0, 2, True)]
    files = {file.name for file in (tmp_path / "tiny" / "trainer_state" / "v2").iterdir()}
    assert files == {"shared.safetensors", "rank-0-of-2.safetensors", "rank-1-of-2.safetensors", "state.json"}
    alone = checkpointer(tmp_path).load_newest()
    assert alone and alone[1].ranks == 2 and float(alone[1].shared["optimizer.0.step"]) == 2
    assert leftovers(tmp_path) == []


def fail_on_one(world: World, path: Path) -> tuple[bool, bool, int | None]:
    """The second save fails on rank 1 alone, the third on none."""
    net, saving, ends = small_net(), checkpointer(path, world), []
    for epoch, size in ((1, 10**9), (2, 50 if world.rank else 10**9), (3, 10**9)):
        with no_file_beyond(size):
            saving.save(net, snapshot(epoch, world.rank))
            ends.append(saving.settle(wait=True) is not None)
    return ends[1], ends[2], saving.last_saved


def test_a_save_that_fails_on_one_rank_fails_on_all_with_one_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_ranks(2, fail_on_one, tmp_path) == [(False, True, 3)] * 2
    assert [version.epoch for version in list_versions(tmp_path / "tiny")] == [1, 3]
    assert capfd.readouterr().err.count("could not save tiny:v2: [Errno 27] File too large; the last checkpoint") == 1
    assert leftovers(tmp_path) == []


def load_damaged(world: World, path: Path) -> int:
    loaded = checkpointer(path, world).load_newest()
    assert loaded is not None
    return loaded[1].progress.epoch


def test_a_part_that_is_damaged_for_one_rank_lets_all_take_the_checkpoint_before(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_ranks(2, save_and_load, tmp_path)
    part = tmp_path / "tiny" / "trainer_state" / "v2" / "rank-1-of-2.safetensors"
    part.write_bytes(part.read_bytes()[:-1])
    assert run_ranks(2, load_damaged, tmp_path) == [1, 1]
    err = capfd.readouterr().err
    assert err.count("taking the checkpoint before") == 1 and "rank-1-of-2.safetensors: damaged or cut short" in err
