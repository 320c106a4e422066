"""Servers on this machine: files over HTTP that can be cut off, and what W&B's own client asks of W&B."""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Site:
    """What the server holds and how it behaves."""

    files: dict[str, bytes] = field(default_factory=dict)  # by path
    artifacts: dict[str, dict[str, str]] = field(default_factory=dict)  # team/metta/demo:v3 -> file name -> path
    aliases: dict[str, str] = field(default_factory=dict)  # team/metta/demo:latest -> v3
    kinds: dict[str, str] = field(default_factory=dict)  # type of an artifact, if not model
    md5: dict[str, str] = field(default_factory=dict)  # a lie about a file's hash, by path
    cut_after: int | None = None  # bytes of an answer before the connection is closed
    cuts: int = 0  # how many answers are cut
    ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and Range of each GET
    keys: list[str | None] = field(default_factory=list)  # Authorization of each GET
    address: str = ""


@contextmanager
def serve(site: Site) -> Iterator[str]:
    """The address of a server that shows `site`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers.get("Range", "")))
            site.keys.append(self.headers.get("Authorization"))
            data = site.files.get(self.path)
            if data is None:
                return self.send_error(404)
            start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if site.ranges else 0
            self.send_response(206 if site.ranges else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            answer = data[start:]
            if site.cut_after is not None and site.cuts > 0:
                site.cuts -= 1
                self.wfile.write(answer[: site.cut_after])
                self.connection.close()
            else:
                self.wfile.write(answer)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer = graphql(site, json.loads(body)) if self.path == "/graphql" else {}
            data = json.dumps({"data": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site.address
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_s3(name: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """An empty bucket of that name on a moto server, and the environment in which S3 tools find it."""
    import boto3
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    address, key, secret, region = f"http://{host}:{port}", "cog", "gear", "us-east-1"
    session = boto3.session.Session(key, secret, region_name=region)
    bucket = session.resource("s3", endpoint_url=address).Bucket(name)
    bucket.create()
    keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": region}
    try:
        yield bucket, {"AWS_ENDPOINT_URL": address, **keys}
    finally:
        bucket.objects.delete()
        bucket.delete()
        moto.stop()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `cogs` at the server that the environment names."""
    with serve_s3("cogs") as (bucket, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield bucket


def graphql(site: Site, request: dict[str, Any]) -> dict[str, Any]:
    """The answers that W&B's client (0.31) needs to find an artifact and its files."""
    query, given = request["query"], request.get("variables") or {}
    if "serverInfo" in query:
        return {"serverInfo": {"features": []}}
    if "viewer" in query:
        teams = {"edges": []}
        return {"viewer": {"id": "1", "entity": "team", "username": "cog", "email": "", "flags": "{}", "teams": teams}}
    if "artifactCollectionMembership(" in query:
        return {"project": {"artifactCollectionMembership": _membership(site, given)}}
    if "ArtifactMembershipFiles" in query:
        path = f"{given['entity']}/{given['project']}/{given['collection']}:{given['alias']}"
        edges = [{"node": _file(site, name, at)} for name, at in site.artifacts[path].items()]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        files = {"totalCount": len(edges), "pageInfo": page, "edges": edges}
        collection = {"__typename": "ArtifactSequence", "artifactMembership": {"files": files}}
        return {"project": {"artifactCollection": collection}}
    return {}


def _membership(site: Site, given: dict[str, Any]) -> dict[str, Any] | None:
    name, _, alias = given["name"].partition(":")
    path = f"{given['entity']}/{given['project']}/{name}"
    version = site.aliases.get(f"{path}:{alias}", alias)
    if f"{path}:{version}" not in site.artifacts:
        return None
    project = {"id": "2", "internalId": "2", "name": given["project"], "entity": {"id": "3", "name": given["entity"]}}
    collection = {"__typename": "ArtifactSequence", "id": path, "name": name, "project": project}
    number = int(version[1:])
    times = {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": None}
    artifact = {
        "__typename": "Artifact", "id": f"{path}:{version}", "artifactSequence": collection, "versionIndex": number,
        "artifactType": {"name": site.kinds.get(path, "model")}, "metadata": "{}", "ttlIsInherited": False, "tags": [],
        "state": "COMMITTED", "size": 1, "digest": "0", "digestAlgorithm": "MANIFEST_MD5", "commitHash": "0",
        "fileCount": 1, "ttlDurationSeconds": -2, "description": None, "historyStep": None, **times,
    }  # fmt: skip
    kind = {"__typename": "ArtifactCollectionMembership", "id": "4", "versionIndex": number, "aliases": []}
    return {**kind, **times, "artifactCollection": collection, "artifact": artifact}


def _file(site: Site, name: str, path: str) -> dict[str, Any]:
    data = site.files[path]
    md5 = site.md5.get(path) or base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    url = f"{site.address}{path}"
    empty = dict.fromkeys(("storagePath", "mimetype", "updatedAt"))
    known = {"__typename": "File", "id": path, "name": name, "url": url, "directUrl": url, "sizeBytes": len(data)}
    return {**known, **empty, "digest": md5, "md5": md5}
