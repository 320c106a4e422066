"""`s3://bucket/key` on any S3-compatible server: $AWS_ENDPOINT_URL names one that is not Amazon's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from metta.common.errors import MissingExtraError, UserError, suggest
from metta.policy.stored.sources.cache import LostConnectionError, Remote, fetch
from metta.policy.stored.sources.place import MOST_BYTES, SPEC, Place
from metta.policy.stored.sources.runs import (
    BEST,
    CHECKPOINTS,
    MOST_BEST_BYTES,
    no_best,
    no_version,
    parse_best,
    split_version,
    versions_among,
)

SCHEME = "s3://"
CHUNK = 1 << 20
MOST_LISTED = 10_000
MD5 = re.compile(r"[0-9a-f]{32}")


def s3_places(uri: str) -> list[Place]:
    """A file, a bundle's folder, or the checkpoints of a run in a bucket, newest first.

    Raise UserError if there is none such.
    """
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    key = key.rstrip("/")
    if not bucket or not key:
        raise UserError(f"{uri}: an address in a bucket is s3://bucket/key")
    store = _Bucket(uri, bucket, _client())
    folder, _, name = key.rpartition("/")
    if store.head(key) is not None:
        return [Place(uri, name, _Objects(store, folder), name)]
    if store.head(f"{key}/{SPEC}") is not None:
        return [Place(uri, name, _Objects(store, key))]
    path, version = split_version(key)
    run = path.rpartition("/")[2]
    versions = versions_among(run, store.list(f"{path}/{CHECKPOINTS}"))
    if not versions:
        near = suggest(name, store.list(folder))
        raise UserError(f"{uri}: neither a file, a bundle nor a run in the bucket{near}")
    if version == "best":
        version = _best(store, path, run)
    wanted = [name for epoch, name in reversed(versions) if version in ("latest", f"v{epoch}")]
    if not wanted:
        raise no_version(uri, run, version, [f"v{epoch}" for epoch, _ in versions])
    at = f"{path}/{CHECKPOINTS}"
    return [Place(f"{SCHEME}{bucket}/{at}/{name}", name, _Objects(store, f"{at}/{name}")) for name in wanted]


def _best(store: "_Bucket", path: str, run: str) -> str:
    """The version that is called a run's best."""
    files = _Objects(store, path)
    if not files.has(BEST):
        raise no_best(store.uri, run)
    return parse_best(files.read(BEST, MOST_BEST_BYTES), f"{store.uri}: {BEST}")


@dataclass(frozen=True)
class _Bucket:
    """What is asked of a server, its errors told in one line."""

    uri: str
    bucket: str
    client: Any

    def head(self, key: str) -> dict[str, Any] | None:
        """What the server knows of an object; None if there is none."""
        from botocore.exceptions import ClientError

        with self._told():
            try:
                return self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise

    def list(self, folder: str) -> list[str]:
        """Names right below a folder, of its first objects."""
        prefix = f"{folder}/" if folder else ""
        names: list[str] = []
        with self._told():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/", PaginationConfig={"MaxItems": MOST_LISTED}
            )
            for page in pages:
                names += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                names += [entry["Key"] for entry in page.get("Contents", ())]
        return [name.removeprefix(prefix).rstrip("/") for name in names]

    def remote(self, key: str) -> Remote:
        """An object as a file to download."""
        head = self.head(key)
        if head is None:
            raise FileNotFoundError(2, "No such object", f"s3://{self.bucket}/{key}")
        tag = str(head.get("ETag", "")).strip('"')
        encrypted = head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head
        return Remote(
            uri=f"s3://{self.bucket}/{key}",
            size=int(head["ContentLength"]),
            tag=tag,
            read=lambda start: (start, self._chunks(key, head["ETag"], start)),
            md5=tag if MD5.fullmatch(tag) and not encrypted else "",  # as S3 defines the tag of a plain upload
        )

    def _chunks(self, key: str, tag: str, start: int) -> Iterator[bytes]:
        from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

        try:
            body = self.client.get_object(Bucket=self.bucket, Key=key, IfMatch=tag, Range=f"bytes={start}-")["Body"]
            yield from body.iter_chunks(CHUNK)
        except (HTTPClientError, IncompleteReadError, OSError) as error:
            raise LostConnectionError(_line(error)) from None
        except ClientError as error:
            raise UserError(f"s3://{self.bucket}/{key}: {_line(error)}") from None

    @contextmanager
    def _told(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise UserError(f"{self.uri}: {_line(error)}") from None


@dataclass(frozen=True)
class _Objects:
    """The objects of one folder of a bucket."""

    bucket: _Bucket
    folder: str

    def has(self, name: str) -> bool:
        try:
            return self.bucket.head(self._key(name)) is not None
        except UserError:  # who may not list a bucket is told "forbidden" of what is not there
            return False

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        return fetch(self.bucket.remote(self._key(name)), most)

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


def _client() -> Any:
    try:
        from boto3.session import Session
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError:
        raise MissingExtraError("boto3", "s3") from None
    session = Session()
    signed = {} if session.get_credentials() else {"signature_version": UNSIGNED}  # public buckets need no key
    region = session.region_name or "us-east-1"
    retries = {"total_max_attempts": 3, "mode": "standard"}
    return session.client("s3", region_name=region, config=Config(connect_timeout=10, retries=retries, **signed))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
