"""The writer: what is written can be read back, whole, at its size, rate and number of frames."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.errors import UserError
from nextframe.media.reader import open_source
from nextframe.media.timing import Timing, read_timing
from nextframe.media.writer import write_video


def colours(frames: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Smooth colours that change from frame to frame, uint8 (T, C, H, W)."""
    t, c, y, x = np.ogrid[0:frames, 0:channels, 0:height, 0:width]
    wave = 127.5 + 100 * np.sin(0.4 * t + 1.5 * c + y / 9) * np.cos(x / 11)
    return torch.from_numpy(wave.astype(np.uint8))


@pytest.mark.parametrize(("height", "width", "channels"), [(32, 48, 3), (33, 47, 3), (33, 47, 1)])
def test_a_gif_keeps_size_rate_and_every_frame(tmp_path, height, width, channels):
    frames = colours(6, height, width, channels)
    frames[3] = frames[2]  # a frame equal to the one before it must not be merged away
    write_video(tmp_path / "a.gif", frames, fps=8)
    with Image.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.size) == (6, (width, height))
        assert picture.info["loop"] == 0
    source = open_source(tmp_path / "a.gif")
    assert source.fps == pytest.approx(8, rel=0.02)
    read = torch.stack(list(source.frames())).float()
    error = (read.mean(1, keepdim=True) if channels == 1 else read) - frames.float()
    assert error.abs().mean() < (1e-6 if channels == 1 else 4)


def test_a_gif_that_stands_still_has_all_its_frames(tmp_path):
    write_video(tmp_path / "still.gif", colours(1, 20, 30).repeat(5, 1, 1, 1), fps=10)
    with Image.open(tmp_path / "still.gif") as picture:
        assert picture.n_frames == 5


@pytest.mark.parametrize(("height", "width", "written"), [(48, 64, (48, 64)), (51, 65, (52, 66))])
def test_an_mp4_plays_everywhere(tmp_path, height, width, written):
    import av

    frames = colours(7, height, width)
    write_video(tmp_path / "a.mp4", frames, fps=29.97)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    source = open_source(tmp_path / "a.mp4")
    assert (source.height, source.width) == written
    assert source.fps == pytest.approx(29.97, rel=1e-3)
    read = torch.stack(list(source.frames()))
    assert len(read) == 7
    assert (read[:, :, :height, :width].float() - frames.float()).abs().mean() < 4


def test_a_png_is_the_frames_side_by_side(tmp_path):
    frames = colours(3, 10, 14)
    write_video(tmp_path / "a.png", frames)
    strip = np.asarray(Image.open(tmp_path / "a.png"))
    assert strip.shape == (10, 42, 3)
    assert np.array_equal(strip[:, 14:28], frames[1].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("channels", [1, 3])
def test_an_npy_is_exact_and_time_first(tmp_path, channels):
    frames = colours(3, 10, 14, channels)
    write_video(tmp_path / "a.npy", frames)
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.shape == ((3, 10, 14) if channels == 1 else (3, 10, 14, 3))
    assert np.array_equal(read.reshape(3, 10, 14, channels), frames.permute(0, 2, 3, 1).numpy())


def test_floats_are_rounded_to_the_nearest_level(tmp_path):
    write_video(tmp_path / "a.npy", torch.tensor([0.0, 0.4999 / 255, 0.5001 / 255, 2.0]).view(1, 1, 2, 2))
    assert np.load(tmp_path / "a.npy").flatten().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    ("name", "frames", "says"),
    [
        ("a.avi", colours(2, 8, 8), r"cannot write '\.avi' files; use one of \.gif, \.mp4, \.npy, \.png"),
        ("a.gif", colours(2, 8, 8)[:0], "must be"),
        ("a.gif", colours(2, 8, 8)[0], "must be"),
        ("a.gif", [], "there are no frames"),
        ("a.gif", np.zeros((2, 3, 8, 8), np.uint8), "must be tensors of uint8 or floats, not ndarray uint8"),
        ("a.gif", torch.full((2, 3, 8, 8), 7), r"must be tensors of uint8 or floats, not Tensor torch\.int64"),
        (
            "a.gif",
            torch.ones(2, 3, 8, 8, dtype=torch.bool),
            r"must be tensors of uint8 or floats, not Tensor torch\.bool",
        ),
        ("a.gif", [colours(1, 8, 8)[0], colours(1, 8, 6)[0]], "of one size"),
    ],
)
def test_wrong_requests_are_refused_and_nothing_is_written(tmp_path, name, frames, says):
    with pytest.raises(UserError, match=says):
        write_video(tmp_path / name, frames)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "most"), [("a.mp4", 16384), ("a.gif", 65535)])
def test_frames_larger_than_a_format_has_are_refused_in_one_line(tmp_path, name, most):
    write_video(tmp_path / name, torch.zeros(1, 1, 2, most, dtype=torch.uint8))
    for height, width in ((2, most + 1), (most + 1, 2)):
        with pytest.raises(UserError, match=f"{width}x{height}, a side has at most {most} pixels"):
            write_video(tmp_path / "new" / name, torch.zeros(1, 1, height, width, dtype=torch.uint8))
    assert not (tmp_path / "new").exists()


def failing(error, frames=3):
    """Frames of which one cannot be had."""
    yield from colours(frames, 16, 16)
    raise error


@pytest.mark.parametrize("name", ["a.npy", "a.gif", "a.mp4", "a.png"])
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "cannot be written: the disk is full"),
        (UserError("no more"), "no more"),
    ],
)
def test_a_failed_write_leaves_the_old_file(tmp_path, name, error, says):
    write_video(tmp_path / name, colours(2, 8, 8))
    before = (tmp_path / name).read_bytes()
    with pytest.raises(UserError, match=says):
        write_video(tmp_path / name, failing(error))
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.npy", "a.gif", "a.png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_that_come_one_by_one_make_the_same_file(tmp_path, name, channels):
    frames = colours(5, 17, 22, channels)
    write_video(tmp_path / name, frames)
    write_video(tmp_path / f"b{name}", iter(frames.float() / 255))
    assert (tmp_path / name).read_bytes() == (tmp_path / f"b{name}").read_bytes()


@pytest.mark.parametrize("count", [1, 9, 10, 123])
def test_an_npy_is_what_numpy_writes(tmp_path, count):
    frames = colours(count, 6, 5)
    write_video(tmp_path / "a.npy", iter(frames))
    np.save(tmp_path / "b.npy", frames.permute(0, 2, 3, 1).numpy())
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_gif_has_one_palette_of_all_its_frames(tmp_path, monkeypatch):
    """As FFmpeg makes it in one go, with all frames in memory; here they wait in a file."""
    import av.filter

    monkeypatch.setattr("nextframe.media.writer.SPOOL", 5000)
    frames = (torch.rand(7, 3, 30, 41, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    write_video(tmp_path / "a.gif", iter(frames))
    graph = av.filter.Graph()
    source = graph.add_buffer(width=41, height=30, format="rgb24", time_base=Fraction(1, 100))
    chain = [("split", ""), ("palettegen", "reserve_transparent=0"), ("paletteuse", "dither=bayer:bayer_scale=4")]
    split, palette, use = (graph.add(*each) for each in chain)
    sink = graph.add("buffersink")
    for one, other, *places in ((source, split), (split, use), (split, palette, 1), (palette, use, 0, 1), (use, sink)):
        one.link_to(other, *places)
    graph.configure()
    for image in frames.permute(0, 2, 3, 1).contiguous().numpy():
        graph.push(av.VideoFrame.from_ndarray(image, format="rgb24"))
    graph.push(None)
    shown = [graph.pull().to_ndarray(format="rgb24") for _ in frames]
    read = torch.stack(list(open_source(tmp_path / "a.gif").frames()))
    np.testing.assert_array_equal(read.permute(0, 2, 3, 1), np.stack(shown))
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_delays_that_differ_by_rounding_alone_are_not_different_durations(tmp_path):
    write_video(tmp_path / "a.gif", colours(6, 16, 16), fps=8)
    assert set(shown_for(tmp_path / "a.gif")) == {12, 13}
    assert not open_source(tmp_path / "a.gif").uneven
    assert Timing([0.12, 0.14, 0.12], tick=0.01).variable
    assert Timing([0.02, 0.01, 0.02], tick=0.01).variable  # a delay of 0.01 s is shown for 0.1 s


HOUR, DAY = 3600, 24 * 3600


@pytest.mark.parametrize("seconds", [0.0002, 0.02, 60, 700, 1001.5, HOUR, DAY, 5 * DAY])
def test_an_mp4_keeps_the_time_of_a_frame(tmp_path, seconds, caplog):
    write_video(tmp_path / "a.mp4", colours(4, 16, 16), fps=1 / seconds)
    source = open_source(tmp_path / "a.mp4")
    assert 1 / source.fps == pytest.approx(seconds, rel=2e-3)
    assert len(list(source.frames())) == 4
    assert not caplog.records


@pytest.mark.parametrize(("seconds", "kept"), [(0.02, 0.02), (HOUR / 10, HOUR / 10), (655.35, 655.35), (HOUR, 655.35)])
def test_a_gif_keeps_the_time_of_a_frame_or_says_what_it_is_cut_to(tmp_path, seconds, kept, caplog):
    write_video(tmp_path / "a.gif", colours(3, 16, 16), fps=1 / seconds)
    assert 1 / open_source(tmp_path / "a.gif").fps == pytest.approx(kept, rel=1e-3)
    said = [record.getMessage() for record in caplog.records]
    assert said == (
        []
        if seconds == kept
        else ["a GIF shows at least one frame in 655.35 s: 0.000277778 frames/s is written as that"]
    )


def shown_for(path) -> list[int]:
    """Return the hundredths of a second that a GIF states for each of its frames."""
    timing = read_timing(path, "gif")
    return [round(100 * delay) for delay in timing.delays]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frames", [1, 2, 3, 7, 12, 13, 19, 20, 23, 25])
def test_500_ms_of_a_gif_stay_500_ms(tmp_path, frames, channels):
    write_video(tmp_path / "a.gif", colours(frames, 16, 16, channels), fps=frames / 0.5)
    delays = shown_for(tmp_path / "a.gif")
    assert len(delays) == frames
    assert sum(delays) == 50
    assert max(delays) - min(delays) <= 1
    ends = np.cumsum(delays)
    assert np.abs(ends - np.arange(1, frames + 1) * 50 / frames).max() <= 1


@pytest.mark.parametrize("frames", [26, 50, 100])
def test_a_gif_has_no_delay_that_viewers_lengthen(tmp_path, frames, caplog):
    write_video(tmp_path / "a.gif", colours(frames, 16, 16), fps=frames / 0.5)
    assert shown_for(tmp_path / "a.gif") == [2] * frames
    assert "a GIF shows at most 50 frames/s" in caplog.text


@pytest.mark.parametrize("fps", [30, 29.97, 8, 40, 24, 7.3])
def test_the_time_of_a_gif_is_that_of_its_frames(tmp_path, fps):
    write_video(tmp_path / "a.gif", colours(60, 8, 8, 1), fps=fps)
    assert abs(sum(shown_for(tmp_path / "a.gif")) - 6000 / fps) <= 1
    write_video(tmp_path / "b.gif", colours(14, 8, 8, 1), fps=1 / 0.035)
    assert sum(shown_for(tmp_path / "b.gif")) == 49  # what is whole stays exact, halves or not


def test_an_mp4_slower_than_a_frame_a_week_is_said(tmp_path, caplog):
    write_video(tmp_path / "a.mp4", colours(2, 16, 16), fps=1 / (30 * DAY))
    assert 1 / open_source(tmp_path / "a.mp4").fps == pytest.approx(7 * DAY)
    assert "an mp4 shows at least one frame in 604800 s" in caplog.text


@pytest.mark.parametrize("height", [64, 720])
@pytest.mark.parametrize("color", [(200, 60, 40), (20, 220, 90), (255, 255, 255)])
def test_an_mp4_states_its_colours_and_stores_them_so(tmp_path, height, color):
    import av

    frames = torch.tensor(color, dtype=torch.uint8).view(1, 3, 1, 1).expand(3, 3, height, 64)
    write_video(tmp_path / "a.mp4", frames)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        stored = next(container.decode(video=0)).to_ndarray()  # planes of Y, U, V
    assert tags == (1, 1, 1, 1), "BT.709, limited range, in H.273's code points"
    assert b"colr" in (tmp_path / "a.mp4").read_bytes(), "for players that do not look into the stream"
    red, green, blue = color
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # ITU-R BT.709-6, item 3.2
    expected = (
        16 + 219 * luma / 255,
        128 + 224 / 255 * (blue - luma) / 1.8556,
        128 + 224 / 255 * (red - luma) / 1.5748,
    )
    found = (stored[height // 2, 20], stored[height + height // 8, 20], stored[height + height // 4 + height // 8, 20])
    np.testing.assert_allclose(np.array(found, float), expected, atol=1.5)
    seen = next(open_source(tmp_path / "a.mp4").frames())[:, height // 2, 20].int()
    assert (seen - torch.tensor(color)).abs().max() <= 3
