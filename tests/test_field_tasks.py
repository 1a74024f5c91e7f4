"""KITTI, Cityscapes, DAVIS and Vimeo-90K as the field measures them: made folders of each layout, and every mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nextframe.benchmark import TASKS, RealConfig, VideoTask, measure_videos
from nextframe.benchmark.real.layouts import DRIVES, _in_a_row, read_frame
from nextframe.benchmark.real.task import Clips, VideoClip
from nextframe.checkpoint import create_model
from nextframe.cli import app
from nextframe.core.errors import BadInputError, UserError
from nextframe.metrics import METRICS
from texture import texture

PLAIN = RealConfig()


def draw(folder: Path, names: list[str], first: int = 0) -> None:
    """Write images of one grey level each, `first` and one more for every further one."""
    folder.mkdir(parents=True, exist_ok=True)
    for level, name in enumerate(names, first):
        cv2.imwrite(str(folder / name), np.full((5, 8, 3), level, np.uint8))


def numbered(count: int, ending: str = ".png") -> list[str]:
    return [f"{number:010d}{ending}" for number in range(count)]


def task(name: str) -> VideoTask:
    found = TASKS.get(name)
    assert isinstance(found, VideoTask)
    return found


def opened(name: str, folder: Path) -> Clips:
    return task(name).open(str(folder), task(name).task, PLAIN)


def levels(name: str, folder: Path) -> dict[str, list[list[int]]]:
    """Return the grey levels of every frame of every clip of every source, having checked their size."""
    found: dict[str, list[list[int]]] = {}
    for source, read in opened(name, folder).sources.items():
        for clip in read():
            assert clip.frames.shape[1:] == (3, *task(name).facts["size"])
            assert clip.large is None, "one pass"
            assert len(torch.unique(clip.frames)) <= len(clip.frames), "each frame is of one level"
            found.setdefault(source, []).append(clip.frames[:, 0, 0, 0].tolist())
    return found


# --- which frames


def test_kitti_is_every_nine_frames_in_a_row_of_four_drives(tmp_path):
    for drive, count in zip(DRIVES, (9, 10, 9, 11), strict=True):
        draw(tmp_path / "2011_09_26" / drive / "image_02" / "data", numbered(count), first=10)
        draw(tmp_path / "2011_09_26" / drive / "image_03" / "data", numbered(count), first=99)
    draw(tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync" / "image_02" / "data", numbered(20))
    found = levels("kitti-next", tmp_path)
    assert list(found) == list(DRIVES)
    assert [len(clips) for clips in found.values()] == [1, 2, 1, 3]
    assert found[DRIVES[1]] == [list(range(10, 19)), list(range(11, 20))]
    assert levels("kitti-next", tmp_path / "2011_09_26") == found, "the folder of the day does too"
    (tmp_path / "2011_09_26" / DRIVES[2]).rename(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match=f"lacks {DRIVES[2]}/image_02/data; wanted: KITTI's raw data with"):
        opened("kitti-next", tmp_path)


def test_kittis_four_drives_have_as_many_clips_as_are_published():
    assert sum(len(_in_a_row([Path()] * frames, 9)) for frames in (78, 383, 433, 475)) == task("kitti-next").clips


def test_cityscapes_is_the_start_of_each_thirty_frames_of_a_city(tmp_path):
    place = tmp_path / "leftImg8bit_sequence" / "val"
    for city, count in (("lindau", 65), ("frankfurt", 30)):
        names = [f"{city}_000000_{number:06d}_leftImg8bit.png" for number in range(count)]
        draw(place / city, names)
    expected = {"frankfurt": [list(range(9))], "lindau": [list(range(9)), list(range(30, 39))]}
    assert levels("cityscapes-next", tmp_path) == expected
    assert levels("cityscapes-next", place.parent) == expected


def test_davis_is_the_start_of_each_video_of_the_list(tmp_path):
    top = tmp_path / "DAVIS"
    for name in ("bear", "cows", "dogs"):
        draw(top / "JPEGImages" / "480p" / name, numbered(12))
    listed = top / "ImageSets" / "2017" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("dogs\nbear\n", encoding="utf-8")
    expected = {"dogs": [list(range(9))], "bear": [list(range(9))]}
    assert levels("davis-next", tmp_path) == levels("davis-next", top) == expected
    listed.write_text("dogs\nlost\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="lost: no such folder, but the test split needs it; complete the copy"):
        opened("davis-next", top)
    listed.unlink()
    with pytest.raises(BadInputError, match=r"val\.txt: no such file; wanted: DAVIS 2017 with JPEGImages/480p/NAME"):
        opened("davis-next", top)


def test_vimeo_is_the_third_frame_of_each_triplet_of_the_list(tmp_path):
    top = tmp_path / "vimeo_triplet"
    for number, name in enumerate(("00001/0389", "00001/0402", "00078/0001")):
        draw(top / "sequences" / name, ["im1.png", "im2.png", "im3.png"], first=10 * number)
    (top / "tri_testlist.txt").write_text("00001/0402\n00078/0001\n\n", encoding="utf-8")
    expected = {"00001/0402": [[10, 11, 12]], "00078/0001": [[20, 21, 22]]}
    assert levels("vimeo-next", tmp_path) == levels("vimeo-next", top) == expected
    assert (task("vimeo-next").task.context, task("vimeo-next").task.horizon) == (2, 1)


@pytest.mark.parametrize(("name", "frames"), [("kitti-next", 9), ("cityscapes-next", 30)])
def test_test_sets_of_numbered_folders(name, frames, tmp_path):
    for number in range(3):
        draw(tmp_path / "test" / f"{number:06d}", numbered(frames), first=40 * number)
    expected = {f"{number:06d}": [list(range(40 * number, 40 * number + 9))] for number in range(3)}
    assert levels(name, tmp_path) == levels(name, tmp_path / "test") == expected


@pytest.mark.parametrize("name", ["kitti-next", "cityscapes-next", "davis-next", "vimeo-next"])
def test_another_layout_is_one_line_that_says_what_is_wanted(name, tmp_path):
    draw(tmp_path / "some" / "images", numbered(9))
    with pytest.raises(BadInputError, match="has no frames where they are looked for; wanted: ") as raised:
        opened(name, tmp_path)
    assert task(name).wants in str(raised.value)
    with pytest.raises(BadInputError, match="no such folder; wanted: "):
        opened(name, tmp_path / "none")


def test_frames_are_stretched_by_bilinear_interpolation_without_smoothing(tmp_path):
    row = np.array([0, 100, 200, 40, 60, 80, 20, 0], np.uint8)
    image = np.zeros((2, 8, 3), np.uint8)
    image[..., 2] = row  # OpenCV's red
    cv2.imwrite(str(tmp_path / "a.png"), image)
    assert read_frame(tmp_path / "a.png", (2, 8))[0, 0].tolist() == row.tolist(), "red comes first"
    # the middle of a pixel of two is at 1.5 and 5.5 of eight: the means of (100, 200) and of (80, 20)
    assert read_frame(tmp_path / "a.png", (2, 2))[0].tolist() == [[150, 50]] * 2
    assert not read_frame(tmp_path / "a.png", (2, 2))[1:].any()


# --- what is made of them


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """KITTI's layout, a texture that moves at another speed in each drive; the second drive has two clips."""
    for speed, (drive, count) in enumerate(zip(DRIVES, (9, 10, 9, 9), strict=True), 1):
        folder = tmp_path / drive / "image_02" / "data"
        folder.mkdir(parents=True)
        for time in range(count):
            frame = texture(96, 128, dx=speed * time, channels=3)[0].permute(1, 2, 0).numpy()
            cv2.imwrite(str(folder / f"{time:010d}.png"), (frame * 255).round().astype(np.uint8))
    return tmp_path


def test_means_are_over_clips_step_by_step(drives):
    """The psnr of the last frame, by hand: each of five clips counts once, whatever its drive."""
    found = measure_videos(task("kitti-next"), ["copy-last"], str(drives), show=False, device="cpu").values
    clips = [clip.frames.double() / 255 for read in opened("kitti-next", drives).sources.values() for clip in read()]
    steps = [[-10 * torch.log10((clip[4 + k] - clip[3]).square().mean()).item() for k in range(5)] for clip in clips]
    expected = np.mean(steps, 0)
    psnr = found["rows"][0]["figures"]["psnr"]
    assert psnr["per_step"] == pytest.approx(expected, abs=1e-3)
    assert psnr["cumulative_mean"] == pytest.approx([expected[: k + 1].mean() for k in range(5)], abs=1e-3)
    assert psnr["cumulative_mean"][4] != pytest.approx(psnr["per_step"][4], abs=0.1), "so the name matters"
    assert (psnr["n"], psnr["ci95"]) == (5, None), "clips of a drive share frames: no interval over them"
    assert found["rows"][0]["by_motion"] == {}
    data = found["data"]
    assert (data["clips"], data["sources"], data["published_clips"], data["measured"]) == (5, 4, 1337, [])


def test_the_verb_writes_what_was_measured_and_what_was_not(drives, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["benchmark", "kitti-next", "--data", ".", "--models", "copy-last", "-o", "kitti", "-q"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    page, found = Path("kitti.md").read_text(), json.loads(Path("kitti.json").read_text())
    assert found["not_measured"] == ["lpips"]
    assert list(found["rows"][0]["figures"]) == ["msssim", "psnr", "ssim"]
    assert "5 clips of 4 sources; means over clips" in page
    assert "The published split has 1,337 clips, so these figures do not compare with published ones." in page
    assert "| copy-last | not measured | not measured |" in page
    for metric in ("msssim", "psnr", "ssim"):
        steps = found["rows"][0]["figures"][metric]
        digits = 2 if metric == "psnr" else 4
        cells = " | ".join(f"{value:.{digits}f}" for value in steps["cumulative_mean"])
        assert f"**Cumulative mean of {metric}: at +k the mean of +1 to +k**" in page
        assert f"| copy-last | {cells} |" in page


def test_lpips_is_measured_where_it_can_be(drives, monkeypatch):
    """Its weights are not here: the metric that stands in for it shows that the name is asked for, and averaged."""
    monkeypatch.setitem(METRICS._entries, "lpips", replace(METRICS.get("mae"), name="lpips"))
    one = replace(task("kitti-next"), metrics=("lpips",))
    found = measure_videos(one, ["copy-last"], str(drives), show=False, device="cpu").values
    clips = [clip.frames.double() / 255 for read in opened("kitti-next", drives).sources.values() for clip in read()]
    expected = np.mean([(clip[4:] - clip[3]).abs().mean((1, 2, 3)).tolist() for clip in clips], 0)
    assert found["rows"][0]["figures"]["lpips"]["per_step"] == pytest.approx(expected, abs=1e-5)
    assert found["not_measured"] == []


def test_independent_clips_have_an_interval(tmp_path):
    frames = torch.zeros(3, 3, 176, 176, dtype=torch.uint8)
    clips = {
        name: lambda name=name, level=level: [
            VideoClip(name, name, 0, frames + torch.tensor([0, 0, level]).view(3, 1, 1, 1).byte())
        ]
        for name, level in (("a", 51), ("b", 102))
    }
    made = replace(task("vimeo-next"), metrics=("psnr",), open=lambda *_: Clips(clips))
    psnr = measure_videos(made, ["copy-last"], ".", show=False, device="cpu").values["rows"][0]["figures"]["psnr"]
    low, high = -20 * np.log10(0.4), -20 * np.log10(0.2)
    assert psnr["mean"] == pytest.approx((low + high) / 2, abs=1e-4)
    assert psnr["ci95"] == pytest.approx(
        [psnr["mean"] - 12.7062 * (high - low) / 2, psnr["mean"] + 12.7062 * (high - low) / 2], abs=1e-3
    )
    assert psnr["per_source"] == pytest.approx({"a/0": high, "b/0": low}, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["vimeo-next"], "task vimeo-next needs --data: vimeo_triplet with sequences/"),
        (["davis-next", "--data", ".", "--minutes", "3"], "davis-next trains nothing"),
        (["davis-next", "--data", ".", "--set", "real.exclude=[a]"], "setting 'real.exclude': davis-next is fixed"),
        (["davis-next", "--data", "."], "wanted: DAVIS 2017"),
        (["vimeo-next", "--data", ".", "--models", "flow-middle"], "cannot predict the frames that follow"),
    ],
)
def test_wrong_words_are_one_line(words, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["benchmark", *words])
    assert isinstance(done.exception, UserError)
    assert line in str(done.exception)


def test_the_tasks_are_listed_and_their_definitions_differ():
    listed = CliRunner().invoke(app, ["benchmark"]).output
    names = [name for name in TASKS if isinstance(TASKS.get(name), VideoTask)]
    assert names == ["real-next", "kitti-next", "cityscapes-next", "davis-next", "vimeo-next"]
    for name in names:
        assert f"{name}: {TASKS.get(name).about}\n    data: --data, {TASKS.get(name).wants}; training: none" in listed
    assert create_model("flow").capabilities.serves(task("vimeo-next").task), "two frames are enough for it"
