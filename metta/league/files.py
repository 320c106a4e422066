"""Files of a league: uploaded bundles and replays, in a folder or an S3 bucket, behind addresses signed for a while."""

import asyncio
import hmac
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol

from metta.common.errors import MissingExtraError, UserError
from metta.common.files import disk_full, ensure_writable, fsync_path
from metta.league.problems import NoSpaceError, TooLongError, UnavailableError

LOG = logging.getLogger("uvicorn.error")
KEY = re.compile(r"(?:uploads|bundles|results|replays|secrets)/[0-9a-f-]{32,64}(?:-\d{1,20})?")
Method = Literal["GET", "PUT"]
PARTS = "parts"  # folder of files that are not whole yet
LONGEST = 86_400  # seconds that a file needs to become whole
ROOM = 64 << 20  # bytes that are to be free before anything is begun that leaves files
SECONDS = 10  # for an answer of a bucket


class Files(Protocol):
    """Files by key: uploads/ID, bundles/SHA256, results/ID, replays/LEASE-EPISODE, secrets/DIGEST. All raise
    UnavailableError where they are elsewhere and nobody answers."""

    def address(self, method: Method, key: str, seconds: timedelta, most: int = 0) -> str:
        """Where to get or put a file; good for a while. `most`: bytes of one to put. What begins with / is below the
        server's own address."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes of a file; None if there is none."""
        ...

    def read(self, key: str) -> bytes:
        """All of a file. Raises FileNotFoundError."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Keep a file. Raises NoSpaceError."""
        ...

    def check_room(self) -> None:
        """Raises NoSpaceError where little is left."""
        ...

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        ...


class Folder:
    """Files in a folder of the server, or one that several servers share. Addresses are signed with a key."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Raises UserError for a folder that cannot be written to."""
        ensure_writable(path, "--files")
        self._path, self._key = path, key
        for left in (path / PARTS).glob("*"):  # by servers that were killed
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - LONGEST:
                    left.unlink()

    def address(self, method: Method, key: str, seconds: timedelta, most: int = 0) -> str:
        ends = int(time.time() + seconds.total_seconds())
        return f"/files/{key}?ends={ends}&most={most}&signature={self._sign(method, key, ends, most)}"

    def allows(self, method: str, key: str, ends: int, most: int, signature: str) -> bool:
        """Whether an address was given out by this league and is still good."""
        wanted = self._sign(method, key, ends, most)
        return hmac.compare_digest(wanted.encode(), signature.encode()) and ends >= time.time()

    def size(self, key: str) -> int | None:
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None

    def path(self, key: str) -> Path:
        """Where a file lies. Raises FileNotFoundError for what is no key."""
        if not KEY.fullmatch(key):
            raise FileNotFoundError(2, "No such file", key)
        return self._path / key

    def read(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        with self._filling(key) as partial:
            partial.write_bytes(data)
            _put(partial, self.path(key))

    async def receive(self, key: str, chunks: AsyncIterator[bytes], most: int) -> None:
        """Keep what comes in. Raises TooLongError, NoSpaceError; nothing is left then."""
        size = 0
        with self._filling(key) as partial:
            with open(partial, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise TooLongError(f"more than {most:,} bytes")
                    file.write(chunk)
            await asyncio.to_thread(_put, partial, self.path(key))  # waits for the disk, others do not

    def check_room(self) -> None:
        free = shutil.disk_usage(self._path).free
        if free < ROOM:
            LOG.warning("%s: only %s bytes are free; no matches are played until there are %s",
                        self._path, f"{free:,}", f"{ROOM:,}")  # fmt: skip
            raise NoSpaceError

    def remove(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    @contextmanager
    def _filling(self, key: str) -> Iterator[Path]:
        """Where a file lies while it is not whole."""
        path, partial = self.path(key), self._path / PARTS / secrets.token_hex(8)
        try:
            for folder in (path.parent, partial.parent):
                folder.mkdir(parents=True, exist_ok=True)
            yield partial
        except OSError as error:
            raise NoSpaceError if disk_full(error) else error from None
        finally:
            partial.unlink(missing_ok=True)

    def _sign(self, method: str, key: str, ends: int, most: int) -> str:
        return hmac.new(self._key, f"{method}\n{key}\n{ends}\n{most}".encode(), sha256).hexdigest()


def _put(partial: Path, path: Path) -> None:
    """A file that is whole comes to its place."""
    fsync_path(partial)
    os.replace(partial, path)


class Bucket:
    """Files in a bucket of S3 or a server like it ($AWS_ENDPOINT_URL), which signs its own addresses."""

    def __init__(self, address: str) -> None:
        """`address` is s3://bucket/prefix. Raises UserError where there is no such bucket."""
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise MissingExtraError("boto3", "s3") from None
        self._bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._problems, self._refusal = (BotoCoreError, ClientError), ClientError
        words = {"connect_timeout": SECONDS, "read_timeout": 6 * SECONDS, "retries": {"max_attempts": 2}}
        self._client = boto3.client("s3", config=Config(signature_version="s3v4", **words))
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except self._problems as error:
            raise UserError(f"--files {address}: {' '.join(str(error).split())}") from None

    def address(self, method: Method, key: str, seconds: timedelta, most: int = 0) -> str:
        operation = {"GET": "get_object", "PUT": "put_object"}[method]
        return self._client.generate_presigned_url(
            operation, Params=self._at(key), ExpiresIn=int(seconds.total_seconds())
        )

    def size(self, key: str) -> int | None:
        try:
            with self._told(key):
                return int(self._client.head_object(**self._at(key))["ContentLength"])
        except FileNotFoundError:
            return None

    def read(self, key: str) -> bytes:
        with self._told(key):
            return self._client.get_object(**self._at(key))["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        with self._told(key):
            self._client.put_object(**self._at(key), Body=data)

    def check_room(self) -> None:
        return

    def remove(self, key: str) -> None:
        with self._told(key):
            self._client.delete_object(**self._at(key))

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except self._problems as error:
            if isinstance(error, self._refusal) and error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(2, "No such object", key) from None
            LOG.warning("s3://%s: %s", self._bucket, " ".join(str(error).split()))
            raise UnavailableError("the league's files cannot be reached; try again in a moment") from None

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}


def open_files(where: str | Path, key: bytes) -> Files:
    """A folder or, for s3://…, a bucket. Raises UserError for what is neither."""
    if "://" in str(where) and not str(where).startswith("s3://"):
        raise UserError(f"--files {where}: a folder or s3://bucket/prefix")
    return Bucket(str(where)) if str(where).startswith("s3://") else Folder(Path(where), key)
