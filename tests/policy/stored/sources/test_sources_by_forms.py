"""Every form of a policy plays from every source."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from metta.common.errors import UserError
from metta.game.observation import EnvInfo
from metta.policy.hosted.submission import create_bundle
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.uri import make_policy
from tests.policy.stored.sources.servers import KEY, Site, serve, serve_s3

pytest.importorskip("boto3", reason="needs the extra s3")
pytest.importorskip("moto.server", reason="needs moto, of the extra dev")
Plays = Callable[..., bool]
STILL = """
class Still:
    def __init__(self, info): ...
    def reset(self, agent, seed): ...
    def act(self, observation): return 2
"""
FORMS = {
    "bundle": lambda net, bundle, at: shutil.copytree(bundle, at),
    "bundle.zip": lambda net, bundle, at: shutil.make_archive(str(at.with_suffix("")), "zip", bundle),
    "weights.safetensors": lambda net, bundle, at: save_file(net.state_dict(), at),
    "model.pt": lambda net, bundle, at: torch.save({"model": net.state_dict()}, at),
    "policy.pt": lambda net, bundle, at: torch.save({"policy": net.state_dict()}, at),
    "bare.pt": lambda net, bundle, at: torch.save(net.state_dict(), at),
    "module.pt": lambda net, bundle, at: torch.save(net, at),
}


def on_disk(path: Path, site: Site, bucket: Any) -> str:
    return str(path)


def as_file_uri(path: Path, site: Site, bucket: Any) -> str:
    return f"file://{path}"


def in_a_bucket(path: Path, site: Site, bucket: Any) -> str:
    for file in path.iterdir() if path.is_dir() else [path]:
        bucket.upload_file(str(file), f"teams/{path.name}/{file.name}")
    return f"s3://cogs/teams/{path.name}" + ("" if path.is_dir() else f"/{path.name}")


def at_w_b(path: Path, site: Site, bucket: Any) -> str:
    files = list(path.iterdir()) if path.is_dir() else [path]
    site.files |= {f"/{file.name}": file.read_bytes() for file in files}
    site.artifacts["team/metta/demo:v0"] = {file.name: f"/{file.name}" for file in files}
    return "wandb://team/metta/model/demo:v0"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Site, Any]]:
    site = Site()
    with serve(site) as wandb, serve_s3("cogs") as (bucket, keys), pytest.MonkeyPatch.context() as patch:
        for name, value in {**keys, "WANDB_BASE_URL": wandb, "WANDB_API_KEY": KEY}.items():
            patch.setenv(name, value)
        yield site, bucket


@pytest.mark.parametrize("source", [on_disk, as_file_uri, in_a_bucket, at_w_b])
@pytest.mark.parametrize("form", FORMS)
def test_a_form_plays_from_a_source(
    form: str,
    source: Callable[..., str],
    servers: tuple[Site, Any],
    tmp_path: Path,
    bundle: Path,
    net: PolicyNet,
    plays: Plays,
):
    FORMS[form](net, bundle, tmp_path / form)
    assert plays(source(tmp_path / form, *servers), trust_pickle=form == "module.pt")


@pytest.mark.parametrize("source", [on_disk, as_file_uri, in_a_bucket, at_w_b])
@pytest.mark.parametrize("form", ["submission", "submission.zip"])
def test_a_class_in_a_bundle_plays_from_a_source_where_it_is_trusted(
    form: str,
    source: Callable[..., str],
    servers: tuple[Site, Any],
    tmp_path: Path,
    info: EnvInfo,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "still.py").write_text(STILL)
    monkeypatch.chdir(tmp_path)
    uri = source(create_bundle("still.Still", tmp_path / form), *servers)
    with pytest.raises(UserError, match=r"unknown class 'still\.Still'.*trust_code=true"):
        make_policy(uri, info)
    policy = make_policy(uri, info, trust_code=True)
    policy.reset(1, 2, seed=0)
    assert policy.step(np.zeros((1, 2, 200, 3), np.uint8)).tolist() == [[2, 2]]
