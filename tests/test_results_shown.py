"""What results show by themselves in a notebook: an animation, a chart, tables; bounded, however large the video is."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import Tensor

import nextframe as nf
from nextframe.api.run import FittedRun
from nextframe.core.errors import UserError
from nextframe.media.reader import read_video
from nextframe.prediction import Prediction
from nextframe.prediction.shown.charts import Chart
from nextframe.prediction.shown.show import VideoFile, bounded

SVG = "{http://www.w3.org/2000/svg}"


def square(frames: int, size: int = 32) -> Tensor:
    """A white square of 8 pixels on black that moves right by one a frame, uint8 (T, 3, H, W)."""
    video = torch.zeros(frames, 3, size, size, dtype=torch.uint8)
    for time in range(frames):
        video[time, :, 4:12, [(time + column) % size for column in range(8)]] = 255
    return video


def gif_in(page: str) -> tuple[Tensor, list[int]]:
    """Return the frames (T, H, W, 3) of the only GIF in some HTML, and how long each is shown in milliseconds."""
    (data,) = re.findall(r'src="data:image/gif;base64,([A-Za-z0-9+/=]+)"', page)
    opened = Image.open(io.BytesIO(base64.b64decode(data)))
    frames, times = [], []
    for frame in ImageSequence.Iterator(opened):
        frames.append(torch.from_numpy(np.array(frame.convert("RGB"))))
        times.append(frame.info["duration"])
    return torch.stack(frames), times


def test_frames_play_as_they_are():
    video = square(6, 128)
    frames, times = gif_in(nf.show(video, fps=8)._repr_html_())
    assert torch.equal(frames, video.permute(0, 2, 3, 1))
    assert sum(times) == 750  # six frames of an eighth of a second


def test_a_prediction_plays_its_context_and_then_what_follows():
    found = nf.predict(square(12), "copy-last", frames=5, context=3, fps=10)
    frames, times = gif_in(found._repr_html_())
    assert len(frames) == 3 + 5
    assert sum(times) == 1600  # at half speed
    shown = found.show().frames.permute(0, 2, 3, 1)
    assert (frames.int() - shown.int()).abs().float().mean() < 2  # of 256 colours: letters and borders are rounded
    assert torch.equal(frames[3], frames[4]) or (frames[3] != frames[4]).float().mean() < 0.02  # but for "frame +2"
    inside = frames[7][4 + 20 + 2 :, 4 + 2 :][: 32 * 6, : 32 * 6]  # margin, name, border; pixels are 6 times as large
    expected = square(12)[-1].repeat_interleave(6, 1).repeat_interleave(6, 2).permute(1, 2, 0)
    assert torch.equal(inside, expected)


@pytest.mark.parametrize(
    ("count", "fps", "size", "every", "smaller"),
    [
        (120, 25, (100, 100), 1, 1.0),
        (121, 25, (100, 100), 2, 1.0),
        (500, 25, (100, 100), 5, 1.0),
        (10, 100, (100, 100), 2, 1.0),  # a GIF has 50 a second at most
        (5, 25, (2000, 2000), 1, 0.5),  # 20 million pixels are made a quarter of that
        (1, 25, (100, 100), 1, 1.0),
    ],
)
def test_a_notebook_gets_few_frames_and_pixels(count, fps, size, every, smaller):
    assert bounded(count, size, fps) == (every, pytest.approx(smaller))


def test_a_long_clip_takes_as_long_and_says_what_is_skipped():
    shown = nf.show(square(300, 128), fps=30)
    page = shown._repr_html_()
    frames, times = gif_in(page)
    assert (len(frames), sum(times)) == (100, 10_000)
    assert torch.equal(frames[1], shown.frames[3].permute(1, 2, 0))
    assert "<figcaption>one frame in 3 is shown</figcaption>" in page
    assert len(shown.frames) == 300


def test_the_page_is_bounded_by_the_pixels(monkeypatch):
    monkeypatch.setattr(sys.modules["nextframe.prediction.shown.show"], "MOST_PIXELS", 200_000)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 3, 192, 256), dtype=np.uint8))
    page = nf.show(noise)._repr_html_()
    frames, times = gif_in(page)
    assert (len(frames), sum(times)) == (20, 2000)
    assert frames[..., 0].numel() <= 201_000
    assert len(page) < 2 * 200_000 + 2000  # 1.5 bytes of a pixel, and a third more in base64
    assert "<figcaption>made smaller, 87x115</figcaption>" in page


# --- a video on disk


@pytest.fixture
def slow(tmp_path: Path) -> VideoFile:
    nf.write_video(tmp_path / "cat.gif", square(5), fps=10)
    return nf.interpolate(tmp_path / "cat.gif", tmp_path / "slow.gif", "mean-neighbours")


def test_interpolation_returns_a_file_that_plays(slow, tmp_path):
    assert os.fspath(slow) == str(slow) == str(tmp_path / "slow.gif")
    page = slow._repr_html_()
    frames, _ = gif_in(page)
    assert torch.equal(frames, read_video(slow)[0].expand(-1, 3, -1, -1).permute(0, 2, 3, 1))
    assert "<figcaption>slow.gif</figcaption>" in page


def test_a_file_is_saved_under_another_name_or_ending(slow, tmp_path):
    copied = slow.save(tmp_path / "copy.gif")
    assert copied.read_bytes() == slow.path.read_bytes()
    assert torch.equal(read_video(slow.save(tmp_path / "a.npy"))[0], read_video(slow)[0])
    with pytest.raises(UserError, match="cannot write"):
        slow.save(tmp_path / "slow.xyz")
    with pytest.raises(UserError, match=r"slow\.gif"):
        slow.save(slow.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "cat.gif", "copy.gif", "slow.gif"]


def test_of_a_long_video_few_frames_are_read(tmp_path):
    nf.write_video(tmp_path / "long.gif", square(250), fps=25)
    shown = VideoFile(tmp_path / "long.gif").show()
    assert len(shown.frames) == 84  # one in 3
    assert torch.equal(shown.frames[2], square(7)[6])
    assert shown.fps == pytest.approx(25 / 3)


# --- an evaluation


@pytest.fixture(scope="module")
def measured():
    videos = torch.stack([square(30).roll(shift, dims=3)[:, :1] for shift in range(12)])
    return nf.evaluate("linear", nf.clips(videos, context=4, horizon=3), clips=4, metrics=["mse", "psnr"])


def test_an_evaluation_plays_clips_above_its_tables(measured):
    page = measured._repr_html_()
    frames, times = gif_in(page)
    assert len(frames) == 4 + 3
    assert sum(times) == 1400  # at half of ten frames a second
    assert page.index("data:image/gif") < page.index("<pre>")
    assert measured.shown_models[0] == "linear"
    assert "zero" not in measured.shown_models
    panels = 1 + len(measured.shown_models)  # the truth is the first
    assert frames.shape[2] > panels * 192


def test_an_evaluation_without_clips_shows_tables_alone():
    videos = torch.rand(10, 6, 1, 16, 16)
    found = nf.evaluate("copy-last", nf.clips(videos, 4, 2), metrics=["mse"], examples=0)
    assert found._repr_html_().startswith("<pre>")
    with pytest.raises(UserError, match="evaluate with examples=1"):
        found.show()


def test_a_metric_is_drawn_over_the_steps(measured, tmp_path):
    chart = measured.plot("psnr")
    assert chart.lines["linear"] == list(enumerate(measured.row("linear", "psnr").per_step, start=1))
    assert list(chart.lines) == measured.models
    drawn = ElementTree.parse(chart.save(tmp_path / "psnr.svg"))
    titles = [title.text for title in drawn.iter(f"{SVG}title")]
    assert f"linear: {measured.row('linear', 'psnr').per_step[2]:.4g} at 3" in titles
    assert {text.text for text in drawn.iter(f"{SVG}text")} >= {*measured.models, "psnr", "predicted frame"}
    assert measured.plot().y_label == "mse"
    with pytest.raises(UserError, match="no row for linear and ssim"):
        measured.plot("ssim")


def test_an_evaluation_is_saved_as_a_page_or_as_rows(measured, tmp_path):
    assert "Watch it predict" in measured.save(tmp_path / "report.html").read_text(encoding="utf-8")
    rows = json.loads(measured.save(tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
    assert rows[0]["mean"] == measured.rows[0].mean
    with pytest.raises(UserError, match=r"written as \.html or \.json"):
        measured.save(tmp_path / "rows.csv")


def test_a_chart_says_what_it_is_and_escapes_names():
    chart = Chart({"<b>": [(1, 0.5), (2, float("nan")), (3, 1.5)]}, "step", "loss")
    assert "<b>" not in chart._repr_html_().replace("&lt;b&gt;", "")
    points = ElementTree.fromstring(chart._repr_svg_()).findall(f".//{SVG}circle")
    assert len(points) == 2
    assert repr(chart) == "<chart of loss over step: <b>; .save('chart.svg') writes it>"
    with pytest.raises(UserError, match=r"chart\.png: a chart is written as \.svg"):
        chart.save("chart.png")


def guessed(**known: Tensor | None) -> Prediction:
    """Two black frames, then two predicted at 0.1."""
    facts = {"truth": None, "fps": 10.0, "source": "cat.mp4", "model": "mine", **known}
    return Prediction(torch.zeros(2, 1, 8, 8), torch.full((1, 2, 1, 8, 8), 0.1), **facts)


def test_a_prediction_draws_its_psnr_beside_the_last_frames_where_the_truth_is_known():
    lines = guessed(truth=torch.tensor([0.2, 1.1]).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)).plot().lines
    assert list(lines) == ["mine", "last frame"]
    assert lines["mine"] == [(1, pytest.approx(20.0, abs=1e-4)), (2, pytest.approx(0.0, abs=1e-4))]
    assert lines["last frame"][0] == (1, pytest.approx(13.9794, abs=1e-4))  # -20 log10(0.2)


def test_a_prediction_without_truth_draws_how_sure_it_is_or_says_what_is_missing():
    chart = guessed(confidence=torch.tensor([0.75, 0.5])).plot()
    assert (chart.lines, chart.y_label) == ({"mine": [(1, 0.75), (2, 0.5)]}, "confidence")
    with pytest.raises(UserError, match="mine has no confidence to plot: predict known frames, with compare=True"):
        guessed().plot()
    with pytest.raises(UserError, match=r"2 videos: plot one, as prediction\[0\]\.plot"):
        nf.predict(torch.rand(2, 6, 1, 8, 8), "copy-last", frames=2, compare=True).plot()


# --- a run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    videos = torch.stack([square(12).roll(shift, dims=3)[:, :1] for shift in range(8)])
    small = {"model.width": 8, "model.blocks": 1, "training.batch": 2, "training.log_every": 1, "training.val_every": 2}
    folder = tmp_path_factory.mktemp("runs") / "run"
    clips = nf.clips(videos, context=4, horizon=3)
    return nf.fit("compact", clips, steps=4, settings=small, folder=folder, quiet=True)


def test_a_run_draws_its_losses(run):
    lines = run.plot().lines
    assert lines["train/loss"] == [(line["step"], line["train/loss"]) for line in run.losses if "train/loss" in line]
    assert len(lines["train/loss"]) == 4
    assert set(lines) <= {"train/loss", "val/loss"}


def test_a_run_shows_its_losses_and_its_samples(run):
    page = run._repr_html_()
    frames, times = gif_in(page)
    assert len(frames) == len(list((run.folder / "samples").iterdir()))
    assert sum(times) == 1000 * len(frames)
    assert 'class="nextframe-chart"' in page
    assert "Compact" in page


def test_a_run_saves_its_model(run, tmp_path):
    given = torch.rand(1, 4, 1, 32, 32)
    loaded = nf.load(run.save(tmp_path / "model"))
    assert torch.equal(loaded.predict(given, 3), run.model.predict(given, 3))
