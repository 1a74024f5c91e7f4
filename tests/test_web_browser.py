"""The app as people meet it, in a headless Chromium. No request may leave this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from app_server import AppServer
from chromium import BINARY, Chromium, Page, answers, wait_for
from nextframe.publish.space import write_space

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="needs Chromium"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra [web]"),
    pytest.mark.skipif(find_spec("websockets") is None, reason="needs websockets to drive the browser"),
]
READY = "document.querySelector('.nf-player')?.dataset.ready"
DONE = f"document.querySelector('#status').innerText == 'Done.' && {READY}"
LIT = """[...document.querySelectorAll('.nf-screen')].map(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return data.reduce((sum, value, place) => sum + (place % 4 < 3 ? value : 0), 0) })"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    started = AppServer(tmp_path_factory.mktemp("app"), "--set", "limits.upload_mb=2", "--set", "limits.workers=2")
    yield started
    started.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as started:
        yield started


@pytest.fixture
def open_page(server: AppServer, chromium: Chromium) -> Iterator[object]:
    pages: list[Page] = []

    def opened(width: int = 1280, height: int = 900, mobile: bool = False) -> Page:
        page = chromium.page(width, height, mobile)
        pages.append(page)
        page.open(server.address)
        page.wait("document.querySelector('#predict')")
        return page

    yield opened
    for page in pages:
        outside = [url for url in page.requests if not url.startswith((server.address, "data:", "blob:", "about:"))]
        assert not outside, outside
        assert not page.errors, page.errors
        page.close()


def keep(page: Page, name: str) -> None:
    """Take a picture where NEXTFRAME_PICTURES names a folder to look at them."""
    if folder := os.environ.get("NEXTFRAME_PICTURES"):
        page.wait("[...document.images].every(image => image.complete)")
        page.picture(Path(folder) / f"{name}.png")


def upload(page: Page, *files: Path) -> None:
    page.choose_files("#clip input[type=file]", *files)
    page.wait(f"document.querySelector('#clip').innerText.includes({files[0].stem[:6]!r})")
    page.wait("!document.querySelector('#clip').innerText.includes('Uploading')")


def bytes_of(page: Page, ending: str) -> bytes:
    """Fetch what the download button of this ending gives."""
    script = (
        f"(async () => {{ const link = document.querySelector('.nf-downloads a[download=\"prediction{ending}\"]');"
        "const body = await (await fetch(link.href)).arrayBuffer(); return [...new Uint8Array(body)] })()"
    )
    return bytes(page.eval(script))


def test_upload_an_mp4_predict_and_download(open_page, shared, tmp_path):
    page, video = open_page(), shared / "videos/Zulko__moviepy/example.mp4"
    page.wait(READY)
    keep(page, "desktop-opening")
    upload(page, video)
    page.click("#predict")
    page.wait(DONE)
    keep(page, "desktop-mp4")
    assert "Error of each step" in page.text("#results")
    assert page.eval("document.querySelectorAll('.nf-screen').length") == 4  # the clip, two models, an error
    assert bytes_of(page, ".mp4")[4:8] == b"ftyp"
    gif = bytes_of(page, ".gif")
    assert gif.startswith(b"GIF89a")
    words = shlex.split(page.text(".nf-command code").splitlines()[0])  # what the page shows writes the same file
    assert words[:3] == ["nextframe", "predict", "example.mp4"]
    command = [sys.executable, "-m", "nextframe", "predict", str(video), *words[3:-1], str(tmp_path / "prediction.gif")]
    subprocess.run(command, check=True)
    assert (tmp_path / "prediction.gif").read_bytes() == gif


def test_upload_a_gif_and_predict_one_sliding_frame_on_a_phone(open_page, shared):
    page = open_page(390, 844, mobile=True)
    page.wait(READY)
    keep(page, "phone-opening")
    upload(page, shared / "gifs_atari/Farama-Foundation__Arcade-Learning-Environment/pong.gif")
    page.click_text("button", "More")
    choice = "[...document.querySelectorAll('label')].find(e => e.innerText.includes('one sliding frame'))"
    page.wait(f"{choice}.querySelector('input').offsetParent !== null")
    page.wait(f"{choice}.querySelector('input').checked || ({choice}.click(), false)")
    page.click("#predict")
    page.wait(DONE)
    keep(page, "phone-gif")
    assert "predict.one_step=true" in page.text(".nf-command code")
    assert page.eval("document.documentElement.scrollWidth <= window.innerWidth"), "the page is wider than the phone"


def test_images_are_the_frames_of_one_clip(open_page, tmp_path):
    from PIL import Image

    page, files = open_page(), []
    for number in range(12):
        frame = np.zeros((24, 32, 3), np.uint8)
        frame[8:16, 2 * number : 2 * number + 6] = (250, 160, 40)
        files.append(tmp_path / f"frame{number}.png")
        Image.fromarray(frame).save(files[-1])
    upload(page, *files)
    page.click("#predict")
    page.wait(DONE)
    assert "12 images: 32 x 24, 12 frames" in page.text(".nf-facts")


def test_cancel_stops_the_work_and_the_next_person_is_served(open_page, server, shared):
    page = open_page()
    before = set(server.worker_pids())
    upload(page, shared / "videos/Zulko__moviepy/chaplin.mp4")
    page.eval(
        "document.querySelectorAll('#frames input').forEach(e => { e.value = 30; e.dispatchEvent(new Event('input')) })"
    )
    page.click("#predict")
    page.wait("document.querySelector('.nf-progress')?.innerText.match(/Reading|Predicting/)")
    keep(page, "desktop-progress")
    page.click("#cancel")
    page.wait("document.querySelector('#status').innerText == 'Cancelled.'")
    wait_for(lambda: set(server.worker_pids()) != before, 20, lambda: "the process that worked on it goes on")
    other = open_page()
    other.click("#predict")
    other.wait(DONE)


def test_a_malformed_file_is_one_clear_line(open_page, tmp_path):
    page, file = open_page(), tmp_path / "broken.mp4"
    file.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40)
    upload(page, file)
    page.click("#predict")
    page.wait("document.querySelector('.nf-said.nf-error')")
    keep(page, "desktop-malformed")
    assert "Cannot be opened as a video" in page.text("#status")
    assert str(tmp_path) not in page.text("body")
    assert "nextframe-app-" not in page.text("body")


def test_a_file_over_the_limit_is_refused(open_page, server, tmp_path):
    page, file = open_page(), tmp_path / "enormous.gif"
    file.write_bytes(b"GIF89a" + bytes(3 << 20))
    page.choose_files("#clip input[type=file]", file)
    page.wait("document.body.innerText.match(/maximum allowed size|exceeds/i)")
    keep(page, "desktop-over-limit")
    assert not [path for path in server.left() if path.stat().st_size > 2 << 20]


def test_two_people_at_once_get_their_own_results(open_page, shared):
    first, second = open_page(), open_page()
    upload(first, shared / "videos/Zulko__moviepy/example.mp4")
    second.click_text("label", "moving digits")
    first.click("#predict")
    second.click("#predict")
    first.wait(DONE)
    second.wait(DONE)
    assert "example.mp4" in first.text(".nf-facts")
    assert "moving-digits.gif" in second.text(".nf-facts")


def test_the_page_opens_on_clips_that_play_in_step_and_mark_the_split(open_page):
    page = open_page()
    page.wait(READY)
    given, ahead = (
        int(page.eval(f"document.querySelector('.nf-player').dataset.{name}")) for name in ("given", "ahead")
    )
    assert page.eval("+document.querySelector('.nf-track input').max") == given + ahead - 1
    parts = "[...document.querySelectorAll('.nf-marks > *')].map(part => +getComputedStyle(part).flexGrow)"
    assert page.eval(parts) == [given, ahead]

    def at(time: int) -> tuple[list[str], list[int]]:
        slider = "document.querySelector('.nf-track input')"
        page.eval(f"{slider}.value = {time}; {slider}.dispatchEvent(new Event('input'))")
        labels = page.eval("[...document.querySelectorAll('.nf-when')].map(label => label.innerText)")
        return labels, page.eval(f"new Promise(done => setTimeout(() => done({LIT}), 200))")

    labels, known = at(given - 1)
    assert set(labels) == {"given, 0"}
    assert known[0] == pytest.approx(known[1], rel=1e-3), "before the split every panel shows the clip"
    assert known[0] > 0
    assert known[-1] == 0, "there is no error yet"
    assert "nf-ahead" not in page.eval("document.querySelector('.nf-player').className")
    labels, predicted = at(given)
    assert set(labels) == {"+1"}
    assert predicted[-1] > 0, "the prediction is not the truth"
    assert "nf-ahead" in page.eval("document.querySelector('.nf-player').className")
    assert page.eval("document.querySelector('.nf-screen').clientWidth") >= 400


def test_the_command_is_copied(open_page):
    page = open_page()
    page.wait(READY)
    shown = page.text(".nf-command code")
    copied = "navigator.clipboard.writeText = async (text) => { window.copied = text }"
    page.eval(copied)
    page.click(".nf-copy")
    assert page.wait("window.copied") == shown
    page.wait("document.querySelector('.nf-copy').innerText == 'Copied'")


def test_the_other_tabs_are_filled(open_page):
    page = open_page()
    page.click_text("button[role=tab]", "Leaderboard")
    page.wait("document.querySelector('.nf-table').innerText.includes('motion')")
    keep(page, "desktop-leaderboard")
    page.click(".nf-help")
    page.wait("document.querySelector('#help').innerText.includes('Documentation')")


def test_a_space_runs_the_same_app(chromium, tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PORT": str(port), "TMPDIR": str(tmp_path)}
    write_space(tmp_path / "space", ["flow"])
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "space" / "app.py")], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), 60)
        page = chromium.page()
        page.open(f"http://127.0.0.1:{port}/")
        page.wait("document.querySelector('#predict')")
        page.click("#predict")
        page.wait(DONE)
        page.close()
    finally:
        process.terminate()
        process.wait(20)
    assert not list(tmp_path.glob("nextframe-app-*")), "the temporary folder is left behind"
