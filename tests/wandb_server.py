"""A small W&B on this machine: enough of its HTTP and GraphQL for the real client to log and list runs.

It keeps what it is sent. Its answers have the shape of those that the client reads; `mood` makes it misbehave.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlparse

Mood = Literal["well", "hangs", "resets", "fails", "forbids"]
KEY = "0" * 40


class WandbServer(ThreadingHTTPServer):
    """Runs by id, artifacts by name, the operations asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mood: Mood = "well"
        self.asked: list[str] = []
        self.variables: dict[str, list[dict[str, Any]]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.exit_codes: list[int] = []
        self.stopped = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients go when they like

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        self.asked.append(operation)
        self.variables.setdefault(operation, []).append(given)
        method = getattr(self, f"on_{operation}", None)
        return method(given) if method else {}

    def on_Viewer(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        viewer = {"id": "u", "entity": "team", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}

    on_GetDefaultEntity = on_Viewer  # noqa: N815

    def on_RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.get(given["name"])
        project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": given["entity"] or "team"}}
        return {"model": {**project, "bucket": run and self._resume(run)}}

    def _resume(self, run: dict[str, Any]) -> dict[str, Any]:
        lines = self.history.get(run["name"], [])
        return {
            "id": run["name"],
            "name": run["name"],
            "summaryMetrics": json.dumps(lines[-1] if lines else {}),
            "displayName": run["displayName"],
            "logLineCount": 0,
            "historyLineCount": len(lines),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(line) for line in lines[-1:]]),
            "eventsTail": "[]",
            "config": run["config"],
            "tags": run["tags"],
            "notes": run["notes"],
            "wandbConfig": json.dumps({"t": 1}),
        }

    def on_UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        known = self.runs.setdefault(given["name"], {"config": "{}", "tags": [], "notes": None, "displayName": None})
        known.update({key: value for key, value in given.items() if value is not None})
        entity = {"id": "e", "name": given["entity"] or "team"}
        bucket = {
            "id": given["name"],
            "name": given["name"],
            "displayName": known["displayName"],
            "description": None,
            "config": known["config"],
            "sweepName": None,
            "project": {"id": "p", "name": given["project"], "entity": entity},
            "historyLineCount": len(self.history.get(given["name"], [])),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def on_CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{given['run']}/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def add_run(self, name: str, config: dict[str, Any], history: list[dict[str, Any]], **facts: Any) -> None:
        """A run that is there already; `facts` change its state, createdAt, tags or group."""
        id = f"id{len(self.runs)}"
        wrapped = json.dumps({key: {"value": value} for key, value in config.items()})
        self.runs[id] = {"name": id, "displayName": name, "config": wrapped, "state": "finished", **facts}
        self.history[id] = [{"_step": index, **row} for index, row in enumerate(history)]

    def on_Runs(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Two runs per page, so that more than two are asked for page by page. Filters: state, tags, name, time."""
        filters = json.loads(given["filters"])
        found = [node for node in map(self._node, self.runs.values()) if _fits(node, filters)]
        found.sort(key=lambda node: node["createdAt"], reverse=given["order"] == "-created_at")
        start = int(given.get("cursor") or 0)
        page = found[start : start + 2]
        edges = [{"node": node, "cursor": str(start + index + 1)} for index, node in enumerate(page)]
        info = {"endCursor": str(start + len(page)), "hasNextPage": start + 2 < len(found)}
        runs = {"edges": edges, "pageInfo": info}
        return {"project": {"internalId": "1", "runCount": len(found), "readOnly": False, "runs": runs}}

    def _node(self, run: dict[str, Any]) -> dict[str, Any]:
        summary: dict[str, Any] = {}
        for line in self.history.get(run["name"], []):
            summary |= line
        return {
            **dict.fromkeys(("sweepName", "jobType", "commit", "description", "notes", "historyKeys")),
            **{"id": run["name"], "tags": [], "readOnly": False, "systemMetrics": "{}", "projectId": "1"},
            **{"createdAt": "2026-01-16T12:00:00Z", "heartbeatAt": "2026-01-16T13:00:00Z", "state": "running"},
            **{key: value for key, value in run.items() if value is not None},
            "group": run.get("groupName"),
            "summaryMetrics": json.dumps(summary),
            "historyLineCount": len(self.history.get(run["name"], [])),
            "user": {"name": "me", "username": "me"},
        }

    def on_RunSampledHistory(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        spec = json.loads(given["specs"][0])
        lines = [line for line in self.history[given["name"]] if all(key in line for key in spec["keys"])]
        rows = [{key: line[key] for key in spec["keys"]} for line in lines[:: 1 + len(lines) // spec["samples"]]]
        return {"project": {"run": {"sampledHistory": [rows]}}}

    def on_ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"artifact": None}}

    def on_CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        made = given["input"]
        artifact = {
            "id": f"artifact{len(self.artifacts)}",
            "name": made["artifactCollectionName"],
            "type": made["artifactTypeName"],
            "metadata": json.loads(made["metadata"]),
            "aliases": [alias["alias"] for alias in made["aliases"]],
            "committed": False,
        }
        self.artifacts.append(artifact)
        created = {"id": artifact["id"], "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": created}}

    def on_CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"createArtifactManifest": {"artifactManifest": self._manifest(given["artifactID"])}}

    def on_UpdateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"updateArtifactManifest": {"artifactManifest": self._manifest(given["artifactManifestID"])}}

    def _manifest(self, artifact: str) -> dict[str, Any]:
        file = {"id": "f", "uploadUrl": f"{self.url}/upload/{artifact}/wandb_manifest.json", "uploadHeaders": []}
        return {"id": artifact, "file": file}

    def on_CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        nodes = []
        for file in given["input"]["artifactFiles"]:
            place = f"{file['artifactID']}/{file['name']}"
            name = {
                "name": file["name"],
                "displayName": file["name"],
                "id": file["name"],
                "artifact": {"id": file["artifactID"]},
            }
            nodes.append(
                {
                    "node": {
                        **name,
                        "uploadUrl": f"{self.url}/upload/{place}",
                        "uploadHeaders": [],
                        "storagePath": place,
                        "uploadMultipartUrls": None,
                    }
                }
            )
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def on_CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.artifacts[int(given["artifactID"].removeprefix("artifact"))]["committed"] = True
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}}


def _fits(node: dict[str, Any], filters: dict[str, Any]) -> bool:
    return (
        filters.get("state", node["state"]) == node["state"]
        and (not filters.get("tags") or bool({*filters["tags"]["$in"]} & {*node["tags"]}))
        and bool(re.search(filters.get("displayName", {}).get("$regex", ""), node["displayName"]))
        and node["createdAt"] >= filters.get("createdAt", {}).get("$gte", "")
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def do_POST(self) -> None:
        data = self._read()
        if data is None:
            return
        path = urlparse(self.path).path
        if path == "/graphql":
            asked = json.loads(data)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            self._send({"data": self.server.answer(operation[1] if operation else "", asked.get("variables") or {})})
        elif path.endswith("/file_stream"):
            run = path.split("/")[-2]
            sent = json.loads(data)
            self.server.exit_codes += [sent["exitcode"]] if sent.get("complete") else []
            for name, part in sent.get("files", {}).items():
                if name == "wandb-history.jsonl":
                    lines = self.server.history.setdefault(run, [])
                    del lines[part["offset"] :]
                    lines += [json.loads(line) for line in part["content"]]
            self._send({})
        else:
            self._send({})

    def do_PUT(self) -> None:
        data = self._read()
        if data is not None:
            self.server.files[urlparse(self.path).path.removeprefix("/upload/")] = data
            self._send({})

    def do_GET(self) -> None:
        if self._read() is not None:
            self._send({})

    def _read(self) -> bytes | None:
        """The body; None where the server does not answer, or not well."""
        if self.server.mood == "hangs":
            self.server.stopped.wait(120)
        if self.server.mood == "resets":
            self.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: the close is a reset
        if self.server.mood in ("hangs", "resets"):
            self.close_connection = True
            self.connection.close()
            return None
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.mood in ("fails", "forbids"):
            self._send({"errors": [{"message": "no"}]}, 500 if self.server.mood == "fails" else 401)
            return None
        return data

    def _send(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[WandbServer]:
    """A server on a free port."""
    server = WandbServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
