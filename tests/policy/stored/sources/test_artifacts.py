"""Policies at W&B: its own client against a server of this machine that answers as W&B does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from metta.common.errors import UserError
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.sources.artifacts import parse_artifact
from metta.rl.util.policy_loader import load_policy_from_checkpoint
from tests.policy.stored.sources.servers import KEY, Site, serve

Plays = Callable[..., bool]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: Path, net: PolicyNet) -> Iterator[Site]:
    """The run demo with its newest checkpoint as v3, a torch file as artifact `old`, and one that holds no policy."""
    torch.save({"model": net.state_dict()}, tmp_path / "model.pt")
    site = Site({f"/demo/{file.name}": file.read_bytes() for file in bundle.iterdir()})
    site.files |= {"/old/model.pt": (tmp_path / "model.pt").read_bytes(), "/notes/a.txt": b"a"}
    site.artifacts["team/metta/demo:v3"] = {file.name: f"/demo/{file.name}" for file in bundle.iterdir()}
    site.artifacts["team/metta/my-run.07-24:v0"] = {"model.pt": "/old/model.pt"}
    site.artifacts["team/metta/notes:v0"] = {"a.txt": "/notes/a.txt"}
    site.aliases["team/metta/demo:latest"] = "v3"
    site.aliases["team/metta/my-run.07-24:latest"] = "v0"
    with serve(site) as address:
        for name in ("WANDB_ENTITY", "WANDB_PROJECT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("WANDB_BASE_URL", address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield site


def test_artifacts_play_by_version_and_by_run(site: Site, plays: Plays):
    for uri in ("team/metta/model/demo:latest", "team/metta/model/demo:v3", "run/demo", "run/demo:v3"):
        assert plays(f"wandb://{uri}"), uri
    assert plays("wandb://run/my run.07-24")  # as its artifact is named
    assert load_policy_from_checkpoint("wandb://run/demo:latest", torch.device("cpu")).name == "lstm"
    assert sum(path == "/demo/model.safetensors" for path, _ in site.asked) == 1  # then it is in the cache


def test_what_is_not_there_is_told_in_one_line(site: Site, plays: Plays):
    site.kinds["team/metta/notes"] = "dataset"
    for uri, problem in (
        ("team/metta/model/nobody:latest", "'nobody:latest' not found"),
        ("team/metta/model/notes:v0", "dataset"),
        ("team/metta/dataset/notes:v0", r"neither policy_spec\.json nor one file of weights, but a\.txt"),
    ):
        with pytest.raises(UserError, match=problem):
            plays(f"wandb://{uri}")


@pytest.mark.parametrize("uri", ["wandb://demo", "wandb://a/b/c", "wandb://a/b//c:v1", "wandb://run/x:", "wandb://"])
def test_an_address_that_is_none_shows_the_forms(uri: str):
    with pytest.raises(UserError, match=r"wandb://entity/project/type/name:version or wandb://run/name"):
        parse_artifact(uri)


def test_a_hash_other_than_w_b_tells_is_refused(site: Site, cache: Path, plays: Plays):
    site.md5["/demo/model.safetensors"] = "0" * 32
    with pytest.raises(UserError, match="refused, its hash is"):
        plays("wandb://run/demo")
    assert not any(b"safetensors" in path.read_bytes()[:200] for path in (cache / "parts").iterdir())


def test_a_download_that_breaks_off_goes_on_where_it_was(site: Site, plays: Plays):
    site.cut_after, site.cuts = 4000, 3
    assert plays("wandb://run/my-run.07-24")
    starts = [asked for path, asked in site.asked if path == "/old/model.pt"]
    assert starts == ["bytes=0-", "bytes=4000-", "bytes=8000-", "bytes=12000-"]


def test_the_key_goes_to_w_b_and_to_nobody_else(site: Site, plays: Plays):
    assert plays("wandb://run/demo")
    assert all(site.keys)
    storage = Site(site.files)
    with serve(storage) as elsewhere:
        site.address = elsewhere
        assert plays("wandb://run/my-run.07-24")
    assert storage.keys == [None]
