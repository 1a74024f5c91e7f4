"""The running app under attack and under load. docs/app.md lists what is tried here."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app_server import AppServer
from chromium import wait_for
from nextframe.evaluation import run_facts

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra [web]")]
KEPT_SECONDS = 12.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    limits = {"upload_mb": 4, "workers": 2, "queue": 8, "clip_frames": 200, "decode_seconds": 10}
    limits["keep_minutes"] = KEPT_SECONDS / 60
    options = [word for name, value in limits.items() for word in ("--set", f"limits.{name}={value}")]
    started = AppServer(tmp_path_factory.mktemp("app"), *options)
    yield started
    started.close()


def gif(seed: int = 0, frames: int = 8, side: int = 48) -> bytes:
    """Return a small GIF that no other seed gives."""
    images = [Image.fromarray(np.roll(_noise(seed, side), 3 * t, axis=1)) for t in range(frames)]
    out = io.BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=100)
    return out.getvalue()


def _noise(seed: int, side: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


def raw(server: AppServer, request: bytes, seconds: float = 10) -> bytes:
    """Send bytes as they are, which no proper client would, and return the answer."""
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(request)
        answer = b""
        with suppress(TimeoutError, ConnectionResetError):  # what came until then is the answer
            while part := connection.recv(65536):
                answer += part
    return answer


def test_a_clip_is_served_so_refusals_mean_something(server):
    status, paths = server.upload("clip.gif", gif())
    assert status == 200
    assert "prediction.gif" in server.predict(paths[0], "ok")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../../../etc/passwd", "/gradio_api/file=/etc/passwd", "/file=/etc/passwd",
        "/gradio_api/file=../../etc/passwd", "/assets/../../../../etc/passwd", "/assets/..%2f..%2f..%2fetc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd", "/static/....//....//etc/passwd", "/results/../uploads/x",
        "/results/%2e%2e/%2e%2e/etc/passwd", "/results/" + "a" * 32 + "/..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/file=http://127.0.0.1:1/", "/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/stream/../x",
        "/gradio_api/custom_component/../../../etc/passwd", "/theme.css%00.png", "/\\\\..\\\\etc\\\\passwd",
        "//etc/passwd", "/./../etc/passwd", "http://example.org/etc/passwd",
    ],
)  # fmt: skip
def test_paths_that_lead_out_are_refused(server, path):
    answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"404", b"400"), answer[:200]
    assert b"root:" not in answer


def test_files_of_the_server_cannot_be_predicted(server, tmp_path):
    clip = tmp_path / "private.gif"
    clip.write_bytes(gif())
    _, paths = server.upload("clip.gif", gif(1))
    upload = Path(paths[0])
    link = upload.with_name("link.gif")
    link.symlink_to(clip)  # as if somebody had got a link into the folder
    root = server.root
    for path in (
        str(clip), f"{upload}/../../../../{clip}", str(upload.parent), f"{root}/results", f"file://{clip}",
        f"{root}/uploads/../uploads/{upload.parent.name}/{upload.name}", "clip.gif", "",
    ):  # fmt: skip
        assert server.predict(path, "out").startswith("400"), path
    assert server.predict(str(link), "link").startswith("400")


def test_addresses_are_not_fetched(server):
    asked: list[str] = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    trap = HTTPServer(("127.0.0.1", 0), Trap)
    threading.Thread(target=trap.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{trap.server_port}/clip.gif"
    assert server.predict(address, "fetch").startswith("400")
    body = {
        "data": [None, address, "copy-last", "none", 3, 0.5, "", 1, 64],
        "fn_index": server.event,
        "session_hash": "fetch2",
    }
    server.ask("/gradio_api/queue/join", json.dumps(body).encode())
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n".encode()
    for name in ("list.m3u8", "list.mp4"):
        _, paths = server.upload(name, playlist)
        assert "nf-said nf-error" in server.predict(paths[0], f"list-{name}")
    trap.shutdown()
    assert not asked


def test_names_of_uploads_stay_in_their_folder(server):
    for name in (
        "../../../evil.gif",
        "/etc/evil.gif",
        "..\\\\..\\\\evil.gif",
        "a/b/c.gif",
        "x" * 900 + ".gif",
        ".hidden",
    ):
        status, paths = server.upload(name, gif(2))
        if status == 200:
            path = Path(paths[0])
            assert path.resolve().parent.parent == server.root / "uploads"
            assert len(path.name) < 256
    assert not list(server.temporary.parent.rglob("evil.gif")) or all(
        path.is_relative_to(server.root) for path in server.temporary.parent.rglob("evil.gif")
    )


def test_oversized_requests_are_refused(server):
    long = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    assert raw(server, long + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n").split(b" ")[1:2] in ([b"400"], [b"431"], [])
    many = b"".join(b"X-%d: a\r\n" % n for n in range(20_000))
    assert raw(server, long + many + b"\r\n").split(b" ")[1:2] in ([b"400"], [b"431"], [])
    assert raw(server, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n").split(b" ")[1:2] in ([b"400"], [b"414"], [])
    assert server.ask("/gradio_api/queue/join", b"[" + b"1," * 100_000 + b"1]")[0] == 413
    upload = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n"
    assert raw(server, upload).split(b" ")[1] == b"413"
    chunked = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(server, chunked + b"5\r\nhello\r\n0\r\n\r\n").split(b" ")[1] == b"411"
    assert server.upload("big.gif", bytes(5 << 20))[0] in (413, 0)


def zip_bomb() -> bytes:
    """Return an .npz of 1.2 MB whose frames take 1.2 GB."""
    out = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1200, 1000, 1000)})
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("frames.npy", "w", force_zip64=True) as f,
    ):
        f.write(header.getvalue())
        for _ in range(1200):
            f.write(bytes(1_000_000))
    return out.getvalue()


def huge_png() -> bytes:
    """Return a PNG of a few bytes that says it is 60,000 x 60,000."""
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


def test_bombs_are_refused_at_little_cost(server):
    before = server.memory()
    many = gif(frames=300, side=8)
    wide = gif().replace((48).to_bytes(2, "little") * 2, (65_000).to_bytes(2, "little") * 2, 1)
    bombs = {"bomb.npz": zip_bomb(), "huge.png": huge_png(), "many.gif": many, "wide.gif": wide}
    for name, data in bombs.items():
        status, paths = server.upload(name, data)
        assert status == 200, (name, len(data))
        assert "nf-said nf-error" in server.predict(paths[0], f"bomb-{name}"), name
    assert server.memory() < before + (300 << 20)


def test_only_offered_models_and_sizes(server):
    _, paths = server.upload("clip.gif", gif(3))
    for number, model in enumerate(("/etc", "../runs/x", "user/name", "compact", "", 3, None)):
        assert "prediction.gif" not in server.predict(paths[0], f"model-{number}", model=model)
    wrong = {"frames": 10**9, "side": 10**9, "samples": 10**9, "split": -7, "how": "", "beside": "/etc"}
    for name, value in wrong.items():
        assert "prediction.gif" not in server.predict(paths[0], f"large-{name}", **{name: value}), name
    assert "prediction.gif" not in server.predict(paths[0], "word", frames="x")
    assert "prediction.gif" in server.predict(paths[0], "fine")


def test_two_hundred_uploads_leave_nothing_behind(server, shared):
    """200 uploads, 20 of them malformed, 4 at a time."""
    started = time.monotonic()
    bad = sorted(path for path in (shared / "malformed").rglob("*") if path.is_file() and path.stat().st_size < 4 << 20)
    assert len(bad) >= 20

    def one(number: int) -> str:
        broken = number % 10 == 0
        data = bad[number // 10].read_bytes() if broken else gif(100 + number)
        status, paths = server.upload(f"clip{number}.gif", data or b" ")
        if status != 200:
            return f"refused {status}"
        shown = server.predict(paths[0], f"user{number}", frames=2)
        return "error" if "nf-said nf-error" in shown else "result" if "prediction.gif" in shown else shown

    def rested() -> int:
        """Return the memory once workers are there and nothing is left of visitors."""
        wait_for(lambda: not server.left(), 3 * KEPT_SECONDS, lambda: server.left()[:5])
        return server.memory()

    with ThreadPoolExecutor(4) as people:
        list(people.map(one, range(-8, 0)))  # every part of the server has run once
        before = rested()
        answers = list(people.map(one, range(200)))
    after = rested()
    assert server.process.poll() is None
    assert all(answer == "result" for number, answer in enumerate(answers) if number % 10), answers
    assert sum(answer == "result" for answer in answers) >= 180
    assert abs(after - before) <= 0.1 * before, f"{before >> 20} MiB before, {after >> 20} MiB after"
    if report := os.environ.get("NEXTFRAME_REPORT"):
        command = "NEXTFRAME_REPORT=results/app-uploads.json pytest tests/test_web_attacks.py -k two_hundred"
        counts = {answer: answers.count(answer) for answer in sorted(set(answers))}
        facts = {"uploads": 200, "at_once": 4, "answers": counts, "before_mib": before >> 20, "after_mib": after >> 20}
        Path(report).write_text(json.dumps(facts | {"run": run_facts(command, 0, started)}, indent=1) + "\n")
