"""The parts of the app that need no Gradio: its gate, its temporary folder, its jobs, what it puts on the page."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nextframe.checkpoint import resolve_model
from nextframe.core.errors import UserError
from nextframe.media.reader import read_video
from nextframe.media.writer import write_video
from nextframe.web import page
from nextframe.web.app import Backend
from nextframe.web.examples import CLIPS, write_examples
from nextframe.web.guard.gate import ASK_BYTES, Gate
from nextframe.web.guard.paths import paths_are_uploads
from nextframe.web.guard.store import Store
from nextframe.web.limits import WebLimits
from nextframe.web.serve import beside, offer
from nextframe.web.work.job import REPEATED, run_job
from nextframe.web.work.plan import Job
from nextframe.web.work.sheets import FAINTEST, heat
from nextframe.web.work.worker import Workers


@pytest.fixture
def store() -> Any:
    made = Store(keep=60)
    yield made
    made.close()


def put(store: Store, name: str = "clip.gif", data: bytes = b"GIF89a") -> Path:
    folder = store.uploads / "0123abcd"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


# --- the temporary folder


def test_only_uploads_are_read(store, tmp_path):
    upload = put(store)
    (tmp_path / "secret").write_text("x")
    link = store.uploads / "0123abcd" / "link.gif"
    link.symlink_to(tmp_path / "secret")
    (store.uploads / "linked").symlink_to(tmp_path)
    assert store.upload(str(upload)) == upload
    for bad in (
        "/etc/passwd",
        "clip.gif",
        f"{store.uploads}/../../etc/passwd",
        f"{upload}/../clip.gif",
        f"{store.uploads}/0123abcd/../0123abcd/clip.gif",
        str(link),
        f"{store.uploads}/linked/secret",
        f"{upload}\0.gif",
        str(upload.parent),
        f"{store.uploads}/none/clip.gif",
        "",
    ):
        with pytest.raises(UserError, match="upload it again"):
            store.upload(bad)


def test_results_are_served_by_token_and_name_only(store):
    folder = store.new_result()
    (folder / "prediction.gif").write_bytes(b"GIF89a")
    (folder / "other.txt").write_text("x")
    (folder / "clip.webp").symlink_to("/etc/hostname")
    assert store.result(folder.name, "prediction.gif") == folder / "prediction.gif"
    for token, name in ((folder.name, "other.txt"), (folder.name, "clip.webp"), ("..", "prediction.gif")):
        assert store.result(token, name) is None
    assert store.result(f"../results/{folder.name}", "prediction.gif") is None


def test_what_is_old_is_deleted_and_all_at_the_end(store):
    upload, folder = put(store), store.new_result()
    (folder / "prediction.gif").write_bytes(b"GIF89a")
    assert store.used() == 12
    os.utime(upload, (0, 0))
    store.sweep(now=time.time() + 59)
    assert upload.exists(), "its folder is new"
    store.sweep(now=time.time() + 61)
    assert store.empty()
    assert store.root.stat().st_mode & 0o77 == 0, "others can look in"
    store.close()
    assert not store.root.exists()


def test_images_become_one_clip_in_natural_order(store):
    files = [put(store, f"f{n}.png", bytes([n])) for n in (1, 2, 10)]
    folder = store.new_result()
    clip, name = store.clip([str(file) for file in reversed(files)], folder)
    assert [file.read_bytes()[0] for file in sorted(clip.iterdir())] == [1, 2, 10]
    assert name == "3 images"
    with pytest.raises(UserError, match=r"'x\.mp4' is not"):
        store.clip([str(files[0]), str(put(store, "x.mp4"))], folder)


# --- the gate


async def passed(scope: Any, receive: Any, send: Any) -> None:
    """Stand for the server behind the gate: it answers with the body that it got."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"passed" + body})


def ask(gate: Gate, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, dict[bytes, bytes]]:
    chunks, sent = [body[i : i + 1000] for i in range(0, max(1, len(body)), 1000)], []

    async def receive() -> Any:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": listed}
    asyncio.run(gate(scope, receive, send))
    if not sent:
        return 0, b"", {}
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]), dict(sent[0]["headers"])


@pytest.fixture
def gate(store) -> Gate:
    return Gate(passed, store, WebLimits(upload_mb=1, temporary_mb=2))


@pytest.mark.parametrize("path", ["/", "/config", "/theme.css", "/assets/index-a1.js", "/gradio_api/queue/data"])
def test_what_the_page_needs_gets_through(gate, path):
    status, body, headers = ask(gate, "GET", path)
    assert (status, body) == (200, b"passed")
    assert b"default-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd", "/file=/etc/passwd",
        "/gradio_api/proxy=http://a.b", "/assets/../../../etc/passwd", "/assets/%2e%2e/x", "/assets//etc/passwd",
        "/static/..", "/docs", "/openapi.json", "/monitoring", "/gradio_api/vibe-code", "/gradio_api/run/predict",
        "/gradio_api/stream/a/b/c/playlist.m3u8", "/gradio_api/custom_component/a/client/component/x.js",
        "/results/a/b", "/results/../uploads", "/login", "/\u0660",
    ],
)  # fmt: skip
def test_everything_else_is_refused(gate, path):
    assert ask(gate, "GET", path)[0] == 404
    assert ask(gate, "POST", path, b"{}")[0] == 404


def test_methods_are_kept_apart(gate):
    for method in ("DELETE", "PUT", "OPTIONS", "PATCH", "POST"):
        assert ask(gate, method, "/")[0] == 404
    assert ask(gate, "GET", "/gradio_api/upload")[0] == 404


def test_a_request_may_name_uploads_only(gate, store):
    def join(path: Any) -> int:
        body = json.dumps({"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}], 1]}).encode()
        return ask(gate, "POST", "/gradio_api/queue/join", body)[0]

    assert join(str(put(store))) == 200
    for bad in ("/etc/passwd", "http://127.0.0.1:1/x", f"{store.uploads}/../results/x", f"{store.uploads}/x", 3, None):
        assert join(bad) == 400
    assert not paths_are_uploads({"a": [{"b": {"path": "https://x"}}]}, store.uploads)


def test_requests_of_a_wrong_size_or_kind_are_refused(gate):
    assert ask(gate, "POST", "/gradio_api/queue/join", b" " * (ASK_BYTES + 1))[0] == 413
    assert ask(gate, "POST", "/gradio_api/queue/join", b"\xff{")[0] == 400
    assert ask(gate, "POST", "/gradio_api/queue/join", b"[" * 50_000)[0] == 400
    assert ask(gate, "GET", "/", x="a" * 20_000)[0] == 431
    assert ask(gate, "GET", "/assets/" + "a" * 3000)[0] == 414
    assert ask(gate, "POST", "/gradio_api/upload", b"x")[0] == 411
    assert ask(gate, "POST", "/gradio_api/upload", b"x", content_length="-1")[0] == 411
    assert ask(gate, "POST", "/gradio_api/upload", b"x", content_length="9" * 30)[0] == 413
    assert ask(gate, "POST", "/gradio_api/upload", b"x", content_length=str(3 << 20))[0] == 413
    assert ask(gate, "POST", "/gradio_api/upload", b"x", content_length="1")[:2] == (200, b"passedx")


def test_an_upload_longer_than_it_says_is_cut_off(gate):
    assert ask(gate, "POST", "/gradio_api/upload", b"x" * 5000, content_length="10")[0] == 0  # no answer: closed


def test_a_full_folder_takes_no_more(gate, store):
    put(store, data=bytes(2 << 20))
    assert ask(gate, "POST", "/gradio_api/upload", b"x", content_length="1")[0] == 507


def test_results_go_out_as_what_they_are(gate, store):
    folder = store.new_result()
    (folder / "prediction.gif").write_bytes(b"GIF89a")
    status, body, headers = ask(gate, "GET", f"/results/{folder.name}/prediction.gif")
    assert (status, body, headers[b"content-type"]) == (200, b"GIF89a", b"image/gif")
    assert headers[b"x-content-type-options"] == b"nosniff"


# --- jobs


def job(clip: Path, folder: Path, **changes: Any) -> Job:
    folder.mkdir(exist_ok=True)
    settings = {
        "model": "copy-last",
        "model_name": "copy-last",
        "name": "mine.gif",
        "frames": 3,
        "split": 0.5,
        "side": 32,
    }
    return Job(**(settings | {"clip": str(clip), "folder": str(folder)} | changes))


def run(job: Job, tell: Any = lambda stage: None) -> dict[str, Any]:
    return run_job(job, {name: resolve_model(spec) for name, spec in job.models.items()}, tell)


def moving(tmp_path: Path, frames: int = 10, side: int = 16) -> Path:
    """Write a clip in which frame t is grey 12 t all over: every error is known by hand."""
    clip = 12 * torch.arange(frames).view(-1, 1, 1, 1).expand(-1, 1, side, side + 4)
    return write_video(tmp_path / "clip.npy", clip.to(torch.uint8))


def test_a_job_predicts_from_the_split_on_and_knows_the_error(tmp_path):
    stages: list[str] = []
    found = run(job(moving(tmp_path), tmp_path / "out"), stages.append)
    assert stages == ["reading", "predicting", "checking", "drawing"]
    expected = [(12 * t / 255) ** 2 for t in (1, 2, 3)]  # the last known frame is one, two, three steps behind
    assert found["errors"] == {"copy-last": pytest.approx(expected)}
    assert "--at 5" in found["command"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.webp", "error.webp", "future-1.webp", "prediction.gif", "prediction.mp4",
    ]  # fmt: skip
    sliding = run(job(moving(tmp_path), tmp_path / "one", one_step=True))
    assert sliding["errors"]["copy-last"] == pytest.approx([(12 / 255) ** 2] * 3)  # always one step behind


def test_a_job_after_the_end_has_no_truth_and_large_frames_are_made_smaller(tmp_path):
    clip = moving(tmp_path, side=60)
    found = run(job(clip, tmp_path / "out", split=1.0, frames=4, model="linear", model_name="linear"))
    assert [panel["kind"] for panel in found["player"]["panels"]] == ["predicted"]
    assert found["checked"] == "this clip's own last 4 frames"
    assert found["errors"][REPEATED] == pytest.approx([(12 * t / 255) ** 2 for t in (1, 2, 3, 4)])
    assert "--size 30x32" in found["command"]
    assert len(read_video(tmp_path / "out" / "prediction.gif")[0]) == 10 + 4
    short = run(job(clip, tmp_path / "x", frames=9))
    assert "The clip has 5 frames after the split, so 5 are predicted." in short["notes"]


def test_a_job_refuses_within_its_limits_and_tells_no_path(tmp_path):
    limits = WebLimits(clip_frames=8, pixels=200)
    for changes, line in (
        ({"limits": limits.model_copy(update={"pixels": 10_000})}, "more than 8 frames"),
        ({"limits": limits.model_copy(update={"clip_frames": 20})}, "larger than the limit of 200 pixels"),
        ({"split": 1.0, "one_step": True}, "earlier split"),
    ):
        with pytest.raises(UserError, match=line) as caught:
            run(job(moving(tmp_path), tmp_path / "out", **changes))
        assert str(tmp_path) not in str(caught.value)
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, frames=np.zeros((30, 1000, 1000), np.uint8))  # 30 MB in 30 kB
    assert bomb.stat().st_size < 1 << 16
    with pytest.raises(UserError, match="the limit is"):
        run(job(bomb, tmp_path / "out", limits=WebLimits(memory=0.02)))


def test_difference_colours_run_from_dark_to_bright():
    shades = heat(torch.linspace(0, 1, 11).view(11, 1, 1)).mean(dim=(1, 2, 3))
    assert torch.equal(shades, shades.sort().values)
    assert heat(torch.tensor([[[0.0]]])).flatten().mul(255).round().tolist() == [13, 14, 20]
    assert FAINTEST > 0


def test_examples_move(tmp_path):
    for name, path in write_examples(tmp_path).items():
        frames = read_video(path)[0].float()
        assert len(frames) == 30, name
        assert (frames[1:] - frames[:-1]).abs().amax(dim=(1, 2, 3)).min() > 20, name


# --- the page


def test_the_page_opens_on_a_real_clip_that_the_first_model_has_predicted(store, tmp_path):
    examples = write_examples(tmp_path)
    assert sum(path.stat().st_size for path in CLIPS.iterdir()) < 300_000
    models = offer(())
    assert next(iter(models)) == "motion"
    backend = Backend(models, beside(models), examples, WebLimits(side=64, horizon=3), store, Workers(0, []))
    backend.open_with_example()
    said, found = backend.opening
    assert "An example: people talking" in said
    assert "people-talking.mp4: 256 x 192, 30 frames" in found
    assert re.search(r"3 frames by motion in (under 0\.1|\d+\.\d) s, by flow in", found)
    assert "motion is" in found
    token = re.search("results/([^/]+)/prediction.mp4", found)[1]
    store.sweep(now=time.time() + 1e6)  # no visitor's: it stays
    frames = read_video(store.result(token, "prediction.mp4"))[0]
    assert len(frames) == 8 + 3  # those that motion reads, and those that it predicts, truth beside them
    assert frames.float().std() > 20, "it shows nothing"
    assert store.empty()


def test_a_model_that_cannot_predict_the_example_opens_on_nothing(store, tmp_path, caplog):
    clip = write_video(tmp_path / "one.gif", torch.zeros(1, 3, 8, 8))
    models = {"linear": "linear"}
    backend = Backend(models, beside(models), {"one": clip}, WebLimits(), store, Workers(0, []))
    with caplog.at_level("INFO", logger="nextframe"):
        backend.open_with_example()
    assert backend.opening is None
    assert "the page opens without an example" in caplog.text


def test_what_visitors_write_is_text_on_the_page(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    settings = {"name": evil, "model_name": evil, "beside": "flow", "beside_name": f"{evil}2"}
    found = run(job(moving(tmp_path), tmp_path / "out", **settings)) | {"notes": [evil]}
    for shown in (page.results("token", found), page.said(evil, "error")):
        assert "<img src=x" not in shown
        assert "&lt;img src=x" in shown
