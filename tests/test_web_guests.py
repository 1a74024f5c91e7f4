"""Guests of the app that mean no good: other sites, slow uploads, silent sockets, forms that no page sends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from nextframe.web.guard.bodies import GRACE
from nextframe.web.guard.checks import Form, Names
from nextframe.web.guard.connections import CONNECTIONS, PER_ADDRESS, Waiting
from nextframe.web.guard.gate import UPLOADS_AT_ONCE, UPLOADS_OF_ONE, Gate
from nextframe.web.guard.store import Store
from nextframe.web.limits import WebLimits

FORM = Form(3, ["motion"], ["none", "flow"], ["balls.gif"], ["all", "one"], WebLimits(horizon=30, samples=4, side=256))


@pytest.fixture
def store() -> Any:
    made = Store(keep=60)
    yield made
    made.close()


async def passed(scope: Any, receive: Any, send: Any) -> None:
    """Stand for the server behind the gate: it reads the body and answers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"passed"})


async def ask(gate: Gate, method: str, path: str, pause: float = 0, client: str = "", **headers: str) -> int:
    """Return the status of a request whose one byte of body comes after `pause` seconds."""
    sent = []

    async def receive() -> Any:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": b"{", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": listed}
    await gate(scope | {"client": (client, 1)}, receive, send)
    return int(sent[0]["status"])


# --- other sites


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200), ("127.0.0.1:7860", 200), ("[::1]:7860", 200), ("192.168.1.7", 200),
        (socket.gethostname(), 200), ("films.example.org", 200), ("Films.Example.org:80", 200),
        ("evil.example.com", 421), ("localhost.evil.com:7860", 421), ("127.0.0.1.evil.com", 421), ("", 421),
        ("[::1", 421), ("evil.com@localhost", 200),
    ],
)  # fmt: skip
def test_only_the_apps_own_names_are_served(store, host, status):
    gate = Gate(passed, store, WebLimits(), Names.of("127.0.0.1", "films.example.org, other.org"))
    assert asyncio.run(ask(gate, "GET", "/", host=host)) == status


@pytest.mark.parametrize(
    ("headers", "read", "change"),
    [
        ({}, 200, 411),
        ({"origin": "http://localhost:7860"}, 200, 411),
        ({"origin": "https://films.example.org"}, 200, 411),  # a proxy in front gives the app another host
        ({"origin": "http://evil.example.com"}, 403, 403),
        ({"origin": "http://localhost:3000"}, 403, 403),  # another program of this machine
        ({"origin": "null"}, 403, 403),
        ({"origin": "http://localhost:7860.evil.com"}, 403, 403),
        ({"sec_fetch_site": "same-origin"}, 200, 411),
        ({"sec_fetch_site": "cross-site"}, 200, 403),  # a link to the page is no harm
        ({"sec_fetch_site": "same-site"}, 200, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing(store, headers, read, change):
    gate = Gate(passed, store, WebLimits(), Names.of("127.0.0.1", "films.example.org"))
    assert asyncio.run(ask(gate, "GET", "/", host="localhost:7860", **headers)) == read
    assert asyncio.run(ask(gate, "POST", "/gradio_api/upload", host="localhost:7860", **headers)) == change
    if change == 403:
        assert asyncio.run(ask(gate, "POST", "/gradio_api/cancel", host="localhost:7860", **headers)) == 403


def test_no_other_page_may_show_this_one_inside_it(store):
    sent = []

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/none", "raw_path": b"/none", "headers": []}
    asyncio.run(Gate(passed, store, WebLimits())(scope, passed, keep))
    assert b"frame-ancestors 'self'" in dict(sent[0]["headers"])[b"content-security-policy"]


# --- forms that the page does not send


def form(**changes: Any) -> dict[str, Any]:
    fields = {"files": None, "example": "balls.gif", "model": "motion", "beside": "none", "frames": 5, "split": 0.5}
    fields |= {"how": "all", "samples": 1, "side": 128}
    return {"data": list((fields | changes).values()), "fn_index": 3, "session_hash": "abc123"}


def test_what_the_page_sends_is_taken():
    assert FORM.fault(form(), joins=True) == ""
    assert FORM.fault(form(files=[{"path": "/x", "meta": {}}], example=None) | {"trigger_id": 9}, joins=True) == ""
    assert FORM.fault({"session_hash": "abc", "fn_index": 3, "event_id": "e"}, joins=False) == ""


@pytest.mark.parametrize(
    "body",
    [
        [], 3, None, "x", {}, {"session_hash": 3}, {"session_hash": "../x"}, {"session_hash": "x" * 500},
        form() | {"fn_index": 99}, form() | {"fn_index": -1}, form() | {"fn_index": "3"}, form() | {"fn_index": True},
        form() | {"data": []}, form() | {"data": [None] * 10}, form() | {"data": "x"},
        form(files="x"), form(files=[3]), form(example="other.gif"), form(model="/etc"), form(model=None),
        form(beside="/etc"), form(beside=None),
        form(frames=31), form(frames=0), form(frames="x"), form(frames=float("nan")), form(frames=True),
        form(split=-7), form(split=2), form(how=""), form(samples=10**9), form(side=10**9), form(side=None),
    ],
    ids=str,
)  # fmt: skip
def test_what_no_page_sends_is_refused(body):
    assert FORM.fault(body, joins=True)


def test_an_error_of_the_server_behind_is_no_traceback(store, caplog):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("fn_index")

    assert asyncio.run(ask(Gate(broken, store, WebLimits()), "GET", "/")) == 400
    assert [record.message for record in caplog.records] == ["a request was refused (KeyError)"]
    assert not caplog.records[0].exc_info


# --- slow uploads


def test_slow_uploads_give_way_and_no_address_has_all_places(store):
    """Eight that send nothing; a ninth visitor, of the same address or another, is served."""
    gate = Gate(passed, store, WebLimits())

    async def visit() -> tuple[list[int], dict[str, float]]:
        upload = ("POST", "/gradio_api/upload")
        slow = [asyncio.create_task(ask(gate, *upload, pause=60, client="a", content_length="1")) for _ in range(8)]
        await asyncio.sleep(0.1)
        waited = {}
        for address in ("b", "a"):
            started = time.monotonic()
            assert await ask(gate, *upload, client=address, content_length="1") == 200
            waited[address] = time.monotonic() - started
        return await asyncio.gather(*slow), waited

    statuses, waited = asyncio.run(visit())
    assert statuses == [408] * 8
    assert waited["b"] < 1
    assert waited["a"] < GRACE + 2 < 10
    assert UPLOADS_OF_ONE < UPLOADS_AT_ONCE


# --- silent sockets


class Socket:
    def __init__(self, waiting: Waiting) -> None:
        self.waiting, self.dropped = waiting, False

    def drop(self) -> None:
        self.dropped = True
        self.waiting.forget(self)


def test_a_silent_connection_gives_way_to_a_new_one():
    waiting, all_of_them = Waiting(), []
    for number in range(PER_ADDRESS + 50):
        one = Socket(waiting)
        assert waiting.admit(one, "a")
        waiting.silent[one] = None
        all_of_them.append(one)
        assert len(waiting.open) == min(number + 1, PER_ADDRESS)
    assert [one.dropped for one in all_of_them] == [True] * 50 + [False] * PER_ADDRESS
    busy = [one for one in all_of_them if not one.dropped]
    for one in busy:
        waiting.silent.pop(one)  # each is answered now
    assert not waiting.admit(Socket(waiting), "a")  # an address with so many has enough
    for number in range(CONNECTIONS):
        one = Socket(waiting)
        assert waiting.admit(one, f"b{number}")
        waiting.silent[one] = None
    assert len(waiting.open) == CONNECTIONS
    assert not any(one.dropped for one in busy)


# --- killed apps


def test_the_folder_of_a_killed_app_is_swept_at_the_next_start(tmp_path: Path):
    code = "from nextframe.web.guard.store import Store; import time; s = Store(60); print(s.root, flush=True)"
    code += "; time.sleep(99)"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    start = [sys.executable, "-c", code]
    with subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, text=True) as first:
        dead = Path(first.stdout.readline().strip())
        (dead / "uploads" / "film.mp4").write_bytes(b"x")
        with subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, text=True) as second:
            living = Path(second.stdout.readline().strip())
            assert (dead / "uploads" / "film.mp4").exists()  # its app lives
            first.send_signal(signal.SIGKILL)
            first.wait()
            with subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, text=True) as third:
                third.stdout.readline()
                assert not dead.exists()
                assert (living / "uploads").is_dir()
                third.kill()
            second.kill()


# --- the running server


@pytest.mark.slow
def test_a_ninth_visitor_is_served_among_slow_and_silent_ones_and_no_log_holds_a_traceback(tmp_path: Path):
    pytest.importorskip("gradio", reason="needs the extra [web]")
    from app_server import AppServer
    from test_web_attacks import gif

    server = AppServer(tmp_path)
    host, port = server.address.removeprefix("http://").split(":")
    try:
        with ExitStack() as held:

            def connect() -> socket.socket:
                return held.enter_context(socket.create_connection((host, int(port)), timeout=10))

            for _ in range(200):
                connect()
            head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            for _ in range(8):
                connect().sendall(head + b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n--edge\r\n")
            started = time.monotonic()
            status, paths = server.upload("clip.gif", gif())
            assert status == 200
            assert time.monotonic() - started < 10
            assert "prediction.gif" in server.predict(paths[0], "ninth")
        for number in range(200):
            _hostile(number, host, int(port))
        log = server.log.read_text()
        assert "Traceback" not in log, log[-3000:]
        assert "prediction.gif" in server.predict(paths[0], "still")
    finally:
        server.close()


def _hostile(number: int, host: str, port: int) -> None:
    bodies = [b"", b"{}", b"[]", b"null", b'{"fn_index": 999, "session_hash": "x", "data": []}', b'{"fn_index": "x"}']
    bodies += [b'{"fn_index": 0, "session_hash": "x", "data": [1]}', b'{"session_hash": "x", "event_id": 3}', b"\xff"]
    paths = ["/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/upload", "/"]
    paths += ["/gradio_api/queue/data", "/gradio_api/upload_progress?upload_id=x", "/gradio_api/heartbeat/x"]
    paths += ["/gradio_api/queue/data?session_hash=none", "/config", "/static/x", "/assets/none.js", "/theme.css?v=%00"]
    method = ("POST", "GET", "PUT", "HEAD")[number % 4]
    body = bodies[number % len(bodies)]
    kind = ("application/json", "multipart/form-data", "multipart/form-data; boundary=x")[number % 3]
    host_name = ("localhost", "evil.example.com", f"127.0.0.1:{port}")[number % 3]
    request = f"{method} {paths[number % len(paths)]} HTTP/1.1\r\nHost: {host_name}\r\nContent-Type: {kind}\r\n"
    request += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, port), timeout=1) as connection:
        connection.sendall(request.encode() + body)
        with suppress(TimeoutError, ConnectionResetError):
            connection.recv(1000)
