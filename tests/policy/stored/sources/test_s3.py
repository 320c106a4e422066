"""Policies in buckets, on a server of this machine that speaks S3 (moto)."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metta.common.errors import MissingExtraError, UserError
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.sources.cache import Remote
from metta.policy.stored.sources.place import SPEC
from metta.policy.stored.uri import find_bundle
from metta.rl.util.policy_loader import load_policy_from_checkpoint
from tests.policy.stored.sources.servers import bucket

pytest.importorskip("boto3", reason="needs the extra s3")
pytest.importorskip("moto.server", reason="needs moto, of the extra dev")
__all__ = ["bucket"]
Plays = Callable[..., bool]


def upload(bucket: Any, folder: Path, prefix: str) -> None:
    for file in folder.iterdir():
        bucket.upload_file(str(file), f"{prefix}/{file.name}")


def test_files_and_bundles_in_a_bucket_play(bucket: Any, tmp_path: Path, bundle: Path, net: PolicyNet, plays: Plays):
    torch.save({"model": net.state_dict()}, tmp_path / "model_0000.pt")
    bucket.upload_file(str(tmp_path / "model_0000.pt"), "path/to/checkpoint.pt")
    bucket.upload_file(str(tmp_path / "model_0000.pt"), "top.pt")
    upload(bucket, bundle, "teams/best")
    for key in ("path/to/checkpoint.pt", "top.pt", "teams/best", "teams/best/", f"teams/best/{SPEC}"):
        assert plays(f"s3://cogs/{key}"), key
    assert load_policy_from_checkpoint("s3://cogs/teams/best/model.safetensors", "cpu").name == "lstm"


def test_versions_of_a_run_in_a_bucket_are_found(
    bucket: Any, bundle: Path, plays: Plays, capsys: pytest.CaptureFixture[str]
):
    for version in ("demo:v2", "demo:v5"):
        upload(bucket, bundle.parent / version, f"runs/demo/checkpoints/{version}")
    for uri in ("runs/demo", "runs/demo:latest", "runs/demo:v2", "runs/demo/checkpoints/demo:v5"):
        assert plays(f"s3://cogs/{uri}"), uri
    with pytest.raises(UserError, match=r"no checkpoint v6.*v5"):
        plays("s3://cogs/runs/demo:v6")
    with pytest.raises(UserError, match="demo:best: run demo has no best checkpoint"):
        plays("s3://cogs/runs/demo:best")
    bucket.put_object(Key="runs/demo/best.json", Body=b'{"epoch": 2, "metric": "eval_training/reward", "value": 1.5}')
    assert find_bundle("s3://cogs/runs/demo:best").name == "demo:v2"
    bucket.put_object(Key="runs/demo/best.json", Body=b'{"epoch": null}')
    with pytest.raises(UserError, match=r"best\.json: damaged, it names no epoch"):
        plays("s3://cogs/runs/demo:best")
    bucket.put_object(Key="runs/demo/checkpoints/demo:v5/model.safetensors", Body=b"cut")
    assert plays("s3://cogs/runs/demo:latest")
    assert "demo:v5: model.safetensors is damaged" in capsys.readouterr().err


def test_what_is_not_there_names_the_nearest(bucket: Any, bundle: Path, plays: Plays):
    upload(bucket, bundle, "teams/best")
    for uri, problem in (
        ("s3://cogs/teams/bets", "did you mean best"),
        ("s3://cog/teams/best", "bucket does not exist"),
        ("s3://cogs", "s3://bucket/key"),
    ):
        with pytest.raises(UserError, match=problem):
            plays(uri)


def test_what_is_in_the_cache_is_not_sent_again(
    bucket: Any, tmp_path: Path, cache: Path, bundle: Path, plays: Plays, monkeypatch: pytest.MonkeyPatch
):
    upload(bucket, bundle, "teams/best")
    assert plays("s3://cogs/teams/best")
    blobs = {path.name for path in (cache / "blobs").iterdir()}
    assert len(blobs) == 2 and not any(path.stat().st_size for path in (cache / "parts").iterdir())
    upload(bucket, bundle.parent / "demo:v2", "teams/best")  # same weights, another spec
    assert plays("s3://cogs/teams/best")
    assert len({path.name for path in (cache / "blobs").iterdir()} - blobs) == 1


def test_a_damaged_cache_is_filled_anew(bucket: Any, cache: Path, bundle: Path, plays: Plays):
    upload(bucket, bundle, "teams/best")
    assert plays("s3://cogs/teams/best")
    for blob in (cache / "blobs").iterdir():
        blob.write_bytes(b"damaged")
    assert plays("s3://cogs/teams/best")


def test_a_server_that_is_not_there_is_told_in_one_line(plays: Plays, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="Could not connect"):
        plays("s3://cogs/teams/best")


def test_a_missing_library_names_its_extra(plays: Plays, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(MissingExtraError, match=r"^boto3 is not installed: pip install 'metta\[s3\]'$"):
        plays("s3://cogs/teams/best")


def test_an_interrupted_download_goes_on_behind_what_is_there(
    bucket: Any, bundle: Path, net: PolicyNet, plays: Plays, cache: Path
):
    weights = "model.safetensors"
    bucket.upload_file(str(bundle / weights), weights)
    part = cache / "parts" / remote(bucket, weights).key
    part.parent.mkdir(parents=True)
    data = (bundle / weights).read_bytes()
    part.write_bytes(data[:5000])
    assert plays(f"s3://cogs/{weights}")
    shutil.rmtree(cache / "known")
    part.write_bytes(bytes(5000))  # were the start sent again, these would be overwritten
    with pytest.raises(UserError, match="refused, its hash is"):
        plays(f"s3://cogs/{weights}")
    assert not part.exists()


def remote(bucket: Any, key: str) -> Remote:
    head = bucket.Object(key)
    return Remote(f"s3://{bucket.name}/{key}", head.content_length, head.e_tag.strip('"'), lambda start: (0, iter(())))
