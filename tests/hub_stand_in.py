"""A small server that speaks what huggingface_hub asks of the Hub: make a repository, commit files, fetch them.

Written from the requests that the library makes. Commits are numbered; a branch or a commit is a dictionary of files.
Large files go by the LFS protocol (HF_HUB_DISABLE_XET=1: the newer storage protocol is not spoken here).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

Files = dict[str, bytes]


class StandIn:
    """The server; `repos` holds what was pushed: {name: {"branches": {branch: commit}, "commits": {commit: files}}}."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []
        self.writers = {"Bearer hf_writer"}
        stand_in = self

        class Handler(_Handler):
            hub = stand_in

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name: str, files: Files, branch: str = "main") -> str:
        """Commit `files` over what the branch holds; return the commit."""
        repo = self.repos.setdefault(name, {"branches": {}, "commits": {}, "private": False})
        held = repo["commits"].get(repo["branches"].get(branch), {}) | files
        commit = hashlib.sha1(f"{len(repo['commits'])}{name}{branch}".encode()).hexdigest()
        repo["commits"][commit], repo["branches"][branch] = held, commit
        return commit

    def find(self, name: str, revision: str) -> tuple[str, Files] | None:
        repo = self.repos[name]
        commit = repo["branches"].get(revision, revision)
        return (commit, repo["commits"][commit]) if commit in repo["commits"] else None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def stand_in_for(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[StandIn]:
    """A started server, which this process takes for the Hub; who asks may write. What is fetched goes to `cache`."""
    started = StandIn()
    monkeypatch.setenv("HF_ENDPOINT", started.address)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    yield started
    started.close()


class _Handler(BaseHTTPRequestHandler):
    hub: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, body: Any = b"", status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if not isinstance(body, bytes):
            self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self, what: str) -> None:
        self.answer({"error": what}, 404, X_Error_Code=what, X_Error_Message=what)

    def handle_all(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append((self.command, path))
        self.hub.tokens.append(self.headers.get("Authorization"))
        for method, pattern, handler in ROUTES:
            found = re.fullmatch(pattern, path)
            if self.command in method and found:
                if "w" in method and self.headers.get("Authorization") not in self.hub.writers:
                    self.answer({"error": "Invalid username or password."}, 401)
                    return
                handler(self, body, **found.groupdict())
                return
        self.missing("EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = handle_all  # noqa: N815


def create(http: _Handler, body: bytes) -> None:
    asked = json.loads(body)
    name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else f"user/{asked['name']}"
    if name in http.hub.repos:
        http.answer({"error": "You already created this model repo", "url": f"{http.hub.address}/{name}"}, 409)
        return
    http.hub.add(name, {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
    http.hub.repos[name]["private"] = bool(asked.get("private")) or asked.get("visibility") == "private"
    http.answer({"url": f"{http.hub.address}/{name}", "name": name, "id": name})


def branch(http: _Handler, body: bytes, name: str, branch: str) -> None:
    repo = http.hub.repos[name]
    if branch in repo["branches"]:
        http.answer({"error": "Reference already exists"}, 409)
        return
    repo["branches"][branch] = repo["branches"]["main"]
    http.answer({})


def preupload(http: _Handler, body: bytes, name: str, revision: str) -> None:
    files = json.loads(body)["files"]
    big = (".safetensors", ".gif", ".onnx")
    modes = [
        {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(big) else "regular", "shouldIgnore": False}
        for f in files
    ]
    http.answer({"files": modes})


def lfs_batch(http: _Handler, body: bytes, name: str) -> None:
    objects = [
        {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{http.hub.address}/lfs/{o['oid']}"}}}
        for o in json.loads(body)["objects"]
    ]
    http.answer({"transfer": "basic", "objects": objects})


def lfs_put(http: _Handler, body: bytes, oid: str) -> None:
    assert hashlib.sha256(body).hexdigest() == oid
    http.hub.large[oid] = body
    http.answer()


def commit(http: _Handler, body: bytes, name: str, revision: str) -> None:
    lines = [json.loads(line) for line in body.splitlines()]
    files: Files = {}
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            files[value["path"]] = http.hub.large[value["oid"]]
    made = http.hub.add(name, files, revision)
    http.answer({"commitOid": made, "commitUrl": f"{http.hub.address}/{name}/commit/{made}", "success": True})


def yaml_is_valid(http: _Handler, body: bytes) -> None:
    assert json.loads(body)["content"].startswith("---\n")
    http.answer({"errors": [], "warnings": []})


def info(http: _Handler, body: bytes, name: str, revision: str = "main") -> None:
    if name not in http.hub.repos:
        http.missing("RepoNotFound")
    elif (found := http.hub.find(name, revision)) is None:
        http.missing("RevisionNotFound")
    else:
        siblings = [{"rfilename": file} for file in sorted(found[1])]
        http.answer({"id": name, "modelId": name, "sha": found[0], "private": False, "tags": [], "siblings": siblings})


def tree(http: _Handler, body: bytes, name: str, revision: str) -> None:
    found = http.hub.find(name, revision)
    if found is None:
        http.missing("RevisionNotFound")
        return
    http.answer(
        [
            {"type": "file", "path": path, "size": len(data), "oid": _etag(data)}
            for path, data in sorted(found[1].items())
        ]
    )


def resolve(http: _Handler, body: bytes, name: str, revision: str, path: str) -> None:
    found = http.hub.find(name, revision) if name in http.hub.repos else None
    if found is None or path not in found[1]:
        http.missing("EntryNotFound" if found else "RepoNotFound")
        return
    data = found[1][path]
    http.answer(data, ETag=f'"{_etag(data)}"', X_Repo_Commit=found[0], Accept_Ranges="bytes")


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
ROUTES: list[tuple[tuple[str, ...], str, Any]] = [
    (("POST", "w"), "/api/repos/create", create),
    (("POST", "w"), rf"/api/models/{NAME}/branch/(?P<branch>.+)", branch),
    (("POST", "w"), rf"/api/models/{NAME}/preupload/(?P<revision>.+)", preupload),
    (("POST", "w"), rf"/{NAME}\.git/info/lfs/objects/batch", lfs_batch),
    (("PUT",), r"/lfs/(?P<oid>\w+)", lfs_put),
    (("POST", "w"), rf"/api/models/{NAME}/commit/(?P<revision>.+)", commit),
    (("POST",), "/api/validate-yaml", yaml_is_valid),
    (("GET",), rf"/api/(?:models|datasets)/{NAME}", info),
    (("GET",), rf"/api/(?:models|datasets)/{NAME}/revision/(?P<revision>.+)", info),
    (("GET",), rf"/api/(?:models|datasets)/{NAME}/tree/(?P<revision>[^/]+)", tree),
    (("GET", "HEAD"), rf"/(?:datasets/)?{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
]
