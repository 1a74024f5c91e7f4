"""Flow as data: known velocities come out, rest is exact, and pictures use the colour wheel."""

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.flow import decode_flow, encode_flow, frames_for_flow
from nextframe.data.inspect.clip_sheet import painted, write_clip_sheet
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.prepare import prepare
from nextframe.prediction.shown.panels import to_rgb
from nextframe.transfer import TransferConfig, transfer
from texture import texture


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Three textures of 12 frames, each with a velocity of its own; the folder and the velocities (x, y) by name."""
    folder, speeds = tmp_path_factory.mktemp("moving"), [(3.0, 0.0), (-1.5, 2.0), (0.0, -4.0)]
    velocity = {}
    for number, (dx, dy) in enumerate(speeds):
        frames = torch.cat([texture(80, 96, dx * t, dy * t) for t in range(12)])
        np.save(folder / f"{number}.npy", (frames[:, 0] * 255).round().byte().numpy())
        velocity[f"{number}.npy"] = (dx, dy)
    return folder, velocity


def middle(frames, max_flow):
    """The median flow (x, y) of clips (B, T, 2, H, W) in pixels, away from the borders."""
    flow = decode_flow(frames, max_flow)[..., 16:-16, 16:-16]
    return flow.movedim(2, 0).flatten(1).median(1).values.tolist()


def test_rest_is_exact_and_the_scale_ends_at_max_flow():
    flow = np.array([0.0, 8.0, -8.0, 100.0, -100.0, 0.03], np.float32)
    stored = encode_flow(flow, 8.0)
    assert stored.tolist() == [128, 255, 1, 255, 1, 128]
    assert decode_flow(torch.from_numpy(stored), 8.0).tolist() == [0, 8, -8, 8, -8, 0]
    assert decode_flow(torch.from_numpy(stored).float() / 255, 8.0) == pytest.approx([0, 8, -8, 8, -8, 0], abs=1e-4)


def test_values_in_between_are_within_half_a_step():
    flow = np.linspace(-16, 16, 1001, dtype=np.float32)
    back = decode_flow(torch.from_numpy(encode_flow(flow, 16.0)), 16.0).numpy()
    assert np.abs(back - flow).max() <= 0.5 * 16 / 127 + 1e-5


def test_flow_clips_hold_the_known_velocity(moving):
    folder, velocity = moving
    clips = open_data(DataConfig(name=str(folder), context=4, horizon=2, kind="flow", max_flow=8))
    assert clips.frame_shape == (2, 80, 96)
    seen = set()
    for split in ("train", "val", "test"):
        clip = clips.read(split, np.arange(1))
        assert clip.context.shape == (1, 4, 2, 80, 96)
        assert clip.target.shape == (1, 2, 2, 80, 96)
        assert clip.context.dtype == torch.uint8
        source = clips.source(split, 0)
        assert middle(clip.frames, 8) == pytest.approx(velocity[source], abs=0.15)
        seen.add(source)
    assert len(seen) == 3


def test_the_stride_counts(moving):
    folder, velocity = moving
    clips = open_data(DataConfig(name=str(folder), context=2, horizon=1, stride=2, kind="flow", max_flow=16))
    speed = [2 * v for v in velocity[clips.source("val", 0)]]
    assert middle(clips.read("val", np.arange(1)).frames, 16) == pytest.approx(speed, abs=0.3)


@pytest.mark.parametrize("memory", [2.0, 0.0])
def test_prepared_flow_is_that_of_whole_frames(moving, tmp_path, memory):
    """Also in small crops, which by themselves would not show what comes in at their borders."""
    folder, velocity = moving
    config = PrepareConfig(size=(40, 40), clips=6, held_out=3, context=2, horizon=1, kind="flow", max_flow=8)
    prepare(folder, tmp_path / "flow", config, workers=2, memory=memory, show=False)
    clips = open_data(DataConfig(name=str(tmp_path / "flow"), context=2, horizon=1))
    assert clips.frame_shape == (2, 40, 40)
    for split in ("train", "val", "test"):
        clip = clips.read(split, np.arange(3))
        assert middle(clip.frames, 8) == pytest.approx(velocity[clips.source(split, 0)], abs=0.15)
    with pytest.raises(UserError, match=r"max_flow 8, not 16; give --set data\.max_flow=8"):
        open_data(DataConfig(name=str(tmp_path / "flow"), context=2, horizon=1, kind="flow"))


def test_prepared_frames_open_as_flow(moving, tmp_path):
    folder, velocity = moving
    config = PrepareConfig(size=(64, 64), clips=4, held_out=2, context=3, horizon=1)
    prepare(folder, tmp_path / "frames", config, show=False)
    clips = open_data(DataConfig(name=str(tmp_path / "frames"), context=2, horizon=1, kind="flow", max_flow=8))
    assert middle(clips.read("test", np.arange(2)).frames, 8) == pytest.approx(
        velocity[clips.source("test", 0)], abs=0.3
    )
    with pytest.raises(UserError, match=r"4 frames, not 4 \+ 1"):
        open_data(DataConfig(name=str(tmp_path / "frames"), context=3, horizon=1, kind="flow"))


def test_moving_digits_as_flow_are_endless_still():
    clips = open_data(DataConfig(context=3, horizon=1, kind="flow"))
    assert clips.count("train") is None
    assert clips.read("train", np.arange(2)).frames.shape == (2, 4, 2, 64, 64)


def test_flows_have_the_classes_and_labels_of_their_frames():
    config = DataConfig(name="motion-digits", context=3, horizon=1, kind="flow")
    frames, clips = open_data(frames_for_flow(config)), open_data(config)
    assert clips.classes == frames.classes
    assert len(clips.classes) == 8
    labels = [clips.label("val", index) for index in range(40)]
    assert labels == [frames.label("val", index) for index in range(40)]
    assert len(set(labels)) == 8
    assert clips.read("val", np.arange(40)).label.tolist() == labels
    assert open_data(DataConfig(context=3, horizon=1, kind="flow")).label("val", 0) is None


def test_transfer_on_labelled_data_as_flow(tmp_path):
    """Squares that move to the right in one class and up in the other: a frame of flow tells which."""
    for action, step in {"right": (0, 2), "up": (-2, 0)}.items():
        for number in range(10):
            film = np.zeros((10, 32, 32), np.uint8)
            for t, frame in enumerate(film):
                y, x = 14 + step[0] * (t - 4) + number % 3, 10 + step[1] * (t - 4) + number % 3
                frame[y : y + 8, x : x + 8] = np.arange(64).reshape(8, 8) * 3 + 60
            for split in ("train",) if number < 6 else ("val", "test"):
                (tmp_path / split / action).mkdir(parents=True, exist_ok=True)
                np.save(tmp_path / split / action / f"{number}.npy", film)
    config = TransferConfig(per_class=(None,), draws=1, methods=("single-frame",), window=4)
    data = DataConfig(name="labelled", kind="flow", options={"root": str(tmp_path), "across_cuts": True})
    found = transfer(["convlstm"], data, config, show=False)
    assert found.settings["classes"] == ["right", "up"]
    assert [row.mean for row in found.rows] == [1.0]


def test_pictures_paint_rest_white_and_right_red():
    flow = np.zeros((1, 3, 2, 20, 20), np.float32)
    flow[:, :, 0, :, 10:] = 4.0  # the right half moves to the right
    frames = torch.from_numpy(encode_flow(flow, 16.0))
    for picture in (painted(frames)[0], to_rgb(frames[0])):
        assert picture.dtype == torch.uint8
        assert picture.shape == (3, 3, 20, 20)
        assert picture[0, :, 0, 0].tolist() == [255, 255, 255]
        red, green, blue = picture[0, :, 0, 19].tolist()
        assert red > 240
        assert green < 20
        assert blue < 20


@pytest.mark.parametrize(("ending", "frames"), [("png", 1), ("gif", 4)])
def test_a_sheet_of_flow_clips(tmp_path, ending, frames):
    clips = open_data(DataConfig(context=3, horizon=1, kind="flow"))
    with Image.open(write_clip_sheet(tmp_path / f"sheet.{ending}", clips, 5)) as picture:
        assert getattr(picture, "n_frames", 1) == frames
        cell = 130  # 64 pixels twice, and a gap
        assert picture.size == ((4 * cell, 5 * cell) if ending == "png" else (4 * cell, 2 * cell))
