"""Sources as people really have them: what is read, what is said, and what is never lost without a word."""

import errno
import io
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import nextframe
from nextframe.cli import main
from nextframe.core.errors import BadInputError, UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.folder.listing import list_sources
from nextframe.data.inspect.report import describe
from nextframe.media.images import image_files
from nextframe.media.reader import open_source
from nextframe.media.reading import Reading
from nextframe.media.video.index import index_source
from nextframe.prediction import write_prediction
from test_sources import GOP, OPEN_GOP, assert_exact, moving, write_frames, write_gif, write_video


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.mktemp("cache")))


def shown(path, **how):
    """All frames of a source as a reader gives them, (T, H, W, C)."""
    return np.stack(list(open_source(path, **how).decode()))


def failing_once(monkeypatch, path, error):
    """Make the next opening of `path`, by whatever library, fail as a disk or a network drive does."""
    import builtins
    import io

    left = [error]

    def opening(plain):
        def opened(file, *rest, **named):
            if left and isinstance(file, str | os.PathLike) and Path(file).name == path.name:
                raise left.pop()
            return plain(file, *rest, **named)

        return opened

    monkeypatch.setattr(builtins, "open", opening(builtins.open))
    monkeypatch.setattr(io, "open", opening(io.open))


MOMENTS = [
    PermissionError(errno.EACCES, "permission denied"),
    OSError(errno.EIO, "input/output error"),
    OSError(errno.ESTALE, "stale file handle"),
    OSError(errno.EMFILE, "too many open files"),
    TimeoutError("timed out"),
    MemoryError(),
]


@pytest.mark.parametrize("error", MOMENTS, ids=lambda error: type(error).__name__ + str(getattr(error, "errno", "")))
@pytest.mark.parametrize("kind", ["video", "gif", "frames", "array"])
def test_an_error_of_the_moment_is_not_kept(tmp_path, monkeypatch, kind, error):
    frames = moving(8)
    makers = {
        "video": lambda: write_video(tmp_path / "a.mp4", frames),
        "gif": lambda: write_gif(tmp_path / "a.gif", frames),
        "frames": lambda: write_frames(tmp_path / "a", frames),
        "array": lambda: (np.save(tmp_path / "a.npy", frames), tmp_path / "a.npy")[1],
    }
    path = makers[kind]()
    failing_once(monkeypatch, path / "0.png" if kind == "frames" else path, error)
    with pytest.raises((BadInputError, MemoryError)):
        index_source(path)
    assert index_source(path).frames == 8


def test_a_folder_that_cannot_be_entered_is_said(tmp_path, monkeypatch):
    write_gif(tmp_path / "a.gif", moving(30))
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def scandir(path="."):
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    clips = open_data(DataConfig(name=str(tmp_path), context=3, horizon=2))
    assert clips.contents.skipped == [("locked", "cannot be read (Permission denied)")]


CUT_NOTE = "begins at its first key frame: what is stored before cannot be decoded"


def as_a_player_shows(path):
    """All frames that FFmpeg's decoder gives when errors do not stop it: the independent reading."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames)


def cut_ts(path, frames, codec, options, part):
    """A transport stream from which the first `part` of the packets is missing, as a recording that is joined late."""
    whole = write_video(path.with_name("whole.ts"), frames, codec, options).read_bytes()
    path.write_bytes(whole[188 * int(len(whole) // 188 * part) :])
    return path


@pytest.mark.parametrize(("name", "count"), [("begins_mid_gop.ts", 28), ("opengop_cut.mp4", 65)])
def test_a_video_that_begins_in_the_middle_of_a_group_of_pictures(bugs, name, count):
    index = assert_exact(bugs / name, reads=8)  # by number, as from the start
    frames = shown(bugs / name)
    assert index.frames == len(frames) == count
    assert index.notes[0] == CUT_NOTE
    np.testing.assert_array_equal(frames, as_a_player_shows(bugs / name))
    last = open_source(bugs / name).last(4).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(last, frames[-4:])


@pytest.mark.parametrize("part", [0.15, 0.35])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", OPEN_GOP),
        ("libx265", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
        ("mpeg2video", {"g": "12", "bf": "2"}),
    ],
    ids=["h264", "hevc", "mpeg2"],
)
def test_every_codec_begins_at_its_first_whole_frame(tmp_path, codec, options, part):
    path = cut_ts(tmp_path / "cut.ts", moving(40), codec, options, part)
    frames = as_a_player_shows(path)
    assert 12 <= len(frames) < 40
    np.testing.assert_array_equal(shown(path), frames)
    assert index_source(path).frames == len(frames)


@pytest.mark.parametrize("packet", [0, 1, 2])
def test_damage_near_the_start_is_still_damage(tmp_path, packet):
    """Only what comes before the first frame may be missing: not a key frame, nor one that is shown after it."""
    path = write_video(tmp_path / "a.mp4", moving(30), options=GOP)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    at, size = packets[packet]
    whole = bytearray(path.read_bytes())
    whole[at + 4 : at + size] = bytes(b ^ 0x5A for b in whole[at + 4 : at + size])
    path.write_bytes(whole)
    with pytest.raises(BadInputError, match=r"first frame cannot be decoded|is damaged"):
        shown(path)


def stack(frames=6, height=10, width=14, kind=np.uint8):
    """Frames (T, H, W) of values that use all of their type."""
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(kind).max, (frames, height, width), dtype=kind, endpoint=True)


def test_a_folder_of_stacks_is_a_source_each(bugs):
    clips = open_data(DataConfig(name=str(bugs / "stacks"), context=3, horizon=2))
    assert [(m.name, m.index.frames) for m in clips.contents.members] == [(f"cell_{n}.tif", 24) for n in range(4)]
    for number in range(4):
        path = bugs / "stacks" / f"cell_{number}.tif"
        np.testing.assert_array_equal(shown(path)[..., 0], tifffile.imread(path))
    said = clips.contents.members[0].index.notes
    assert "the 24 pages are read as frames, in their order in the file (other: data.options.pages=first)" in said
    first = {"pages": "first", "val_share": 0, "test_share": 0, "across_cuts": True}
    one = open_data(DataConfig(name=str(bugs / "stacks"), context=1, horizon=1, options=first))
    assert [(m.name, m.index.frames) for m in one.contents.members] == [("stacks", 4)], "one image of each file"


def test_the_one_page_of_a_large_imagej_stack_is_all_its_images(bugs):
    np.testing.assert_array_equal(shown(bugs / "one_ifd.tif")[..., 0], tifffile.imread(bugs / "one_ifd.tif"))
    assert index_source(bugs / "one_ifd.tif").frames == 24


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("how", ["pages", "imagej", "deflate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_pages_of_every_form_of_tiff(tmp_path, kind, how, order, big):
    frames, path = stack(kind=kind), tmp_path / "a.tif"
    if how == "imagej" and big:
        pytest.skip("ImageJ writes no BigTIFF")
    options = {"pages": {}, "imagej": {"imagej": True}, "deflate": {"compression": "deflate"}}[how]
    tifffile.imwrite(path, frames, byteorder=order, bigtiff=big, photometric="minisblack", **options)
    expected = frames if kind is np.uint8 else (frames >> 8).astype(np.uint8)
    np.testing.assert_array_equal(shown(path)[..., 0], expected)
    np.testing.assert_array_equal(open_source(path).last(2)[:, 0].numpy(), expected[-2:])


@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_pages_of_a_big_tiff(tmp_path, order):
    frames = moving(5, 16, 24)
    tifffile.imwrite(tmp_path / "a.tif", frames, bigtiff=True, byteorder=order, photometric="rgb")
    np.testing.assert_array_equal(shown(tmp_path / "a.tif"), frames)


def note_of(path, word, **options):
    """The one note of a source, as `nextframe data` says it, that has `word` in it."""
    notes = index_source(path, None, Reading(**options)).notes
    return next((note for note in notes if word in note), None)


def test_a_film_of_12_bits_in_16_is_dark_until_its_range_is_said(bugs):
    path, raw = bugs / "deep12.tif", tifffile.imread(bugs / "deep12.tif")
    assert "values reach only 4230 of 65535" in note_of(path, "range=")
    assert "data.options.range=[0,8191]" in note_of(path, "range=")
    frames = shown(path, reading=Reading(range=(0, 4230)))[..., 0]
    np.testing.assert_array_equal(frames, np.rint(raw / 4230 * 255).astype(np.uint8))
    assert len(np.unique(frames)) > 35
    clips = open_data(DataConfig(name=str(path), context=3, horizon=2, options={"range": [0, 4230]}))
    np.testing.assert_array_equal(clips.read("train", np.array([0])).frames[0, :, 0].numpy(), frames[:5])
    assert note_of(path, "range=", range=(0, 4230)) is None
    assert note_of(path, "are cut", range=(100, 4000)) == "values from 0 to 4230 are cut at the range [100,4000]"


@pytest.mark.parametrize("bits", [1, 4, 10, 12, 14, 15])
def test_unused_bits_of_png_folders_and_arrays(tmp_path, bits):
    top = 2**bits - 1
    frames = np.linspace(0, top, 5 * 8 * 10).astype(np.uint16).reshape(5, 8, 10)
    fitting = frames.astype(np.uint8) if bits <= 8 else frames
    (tmp_path / "png").mkdir()
    for number, frame in enumerate(fitting):
        Image.fromarray(frame).save(tmp_path / "png" / f"{number}.png")
    expected = np.rint(frames / top * 255).astype(np.uint8)
    np.save(tmp_path / "a.npy", fitting)
    for path in (tmp_path / "png", tmp_path / "a.npy"):
        np.testing.assert_array_equal(shown(path, reading=Reading(range=(0, top)))[..., 0], expected)
    assert f"values reach only {top} of" in note_of(tmp_path / "png", "range=")
    if bits <= 8:
        assert f"values reach only {top} of 255" in note_of(tmp_path / "a.npy", "range=")
    else:
        with pytest.raises(BadInputError, match=r"uint16 must be in 0..255; say .* data.options.range=\[0,"):
            shown(tmp_path / "a.npy")


DEEP = "16 bits become 8: 0 is black, 65535 white (other: data.options.range=[LOW,HIGH])"


def test_bits_that_are_dropped_are_said(tmp_path):
    grey = stack(kind=np.uint16)
    tifffile.imwrite(tmp_path / "grey.tif", grey, photometric="minisblack")
    write_png_16(tmp_path / "grey", grey)
    for name in ("grey.tif", "grey"):
        np.testing.assert_array_equal(shown(tmp_path / name)[..., 0], grey >> 8)
        assert note_of(tmp_path / name, "16 bits") == DEEP
        assert note_of(tmp_path / name, "16 bits", range=(0, 65535)) is None
    colours = np.stack([grey, grey[::-1], grey // 2], -1)
    write_png_16(tmp_path / "colours", colours)
    np.testing.assert_array_equal(shown(tmp_path / "colours"), colours >> 8)
    assert note_of(tmp_path / "colours", "16 bits") == "colours of 16 bits become 8: 0 is black, 65535 white"
    for pixels, said in (("gray16le", DEEP), ("gray10le", "its 10 bits become 8"), ("gray", None)):
        with av.open(str(tmp_path / f"{pixels}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.height, stream.width, stream.pix_fmt = 10, 14, pixels
            for frame in grey:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "gray16le").reformat(format=pixels)))
            container.mux(stream.encode())
        assert note_of(tmp_path / f"{pixels}.mkv", "become 8") == said


def test_transparency_over_black_is_said_where_there_is_some(tmp_path):
    clear = np.full((3, 8, 8, 4), 200, np.uint8)
    clear[..., 3] = 255
    np.save(tmp_path / "opaque.npy", clear)
    Image.fromarray(clear[0]).save(tmp_path / "opaque.png")
    clear[:, :4, :, 3] = 51
    np.save(tmp_path / "clear.npy", clear)
    Image.fromarray(clear[0]).save(tmp_path / "clear.png")
    with av.open(str(tmp_path / "clear.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 8, 8, "bgra"
        for frame in clear:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgba").reformat(format="bgra")))
        container.mux(stream.encode())
    for name in ("clear.npy", "clear.png", "clear.mkv"):
        assert shown(tmp_path / name)[0, 0, 0, 0] == 40  # a fifth of 200
        assert note_of(tmp_path / name, "transparent") == "transparent pixels are shown over black"
    for name in ("opaque.npy", "opaque.png"):
        assert note_of(tmp_path / name, "transparent") is None


def test_the_first_of_several_images_in_a_file_is_said(tmp_path):
    """As cameras with two lenses write them."""
    one, two = (Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (40, 200))
    one.save(tmp_path / "pair.mpo", save_all=True, append_images=[two])
    (tmp_path / "pair.mpo").rename(tmp_path / "pair.jpg")
    assert abs(int(shown(tmp_path / "pair.jpg")[0, 0, 0, 0]) - 40) <= 2
    said = note_of(tmp_path / "pair.jpg", "images in a file")
    assert said == "the first of 2 images in a file is read (save the others as files of their own)"


def write_png_16(folder, frames):
    """PNGs of 16 bits, which Pillow writes of no colours: (T, H, W) or (T, H, W, 3)."""
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1] if frame.ndim == 3 else frame)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("float32", "values of float32: 0 is black, 1 white (other: data.options.range=[LOW,HIGH])"),
        ("int64", "values of int64: 0 is black, 255 white (other: data.options.range=[LOW,HIGH])"),
        ("uint8", None),
        ("bool", None),
    ],
)
def test_what_is_white_in_an_array_is_said(tmp_path, kind, said):
    np.save(tmp_path / "a.npy", np.ones((5, 8, 8), kind))
    assert note_of(tmp_path / "a.npy", "white") == said
    if said:
        assert note_of(tmp_path / "a.npy", "white", range=(0, 1)) is None


def test_which_array_of_an_archive_is_read_is_said(tmp_path):
    frames = moving(5, 8, 8)
    np.savez(tmp_path / "a.npz", labels=np.arange(5), video=frames)
    np.testing.assert_array_equal(shown(tmp_path / "a.npz"), frames)
    said = "of its 2 arrays video is read, the one that has the shape of frames"
    assert note_of(tmp_path / "a.npz", "arrays ") == said
    np.savez(tmp_path / "b.npz", frames)
    assert note_of(tmp_path / "b.npz", "of its") is None


def test_values_without_a_range_of_their_own_are_read_with_one(tmp_path):
    frames = np.linspace(-1, 3, 5 * 8 * 10).astype(np.float32).reshape(5, 8, 10)
    np.save(tmp_path / "a.npy", frames)
    tifffile.imwrite(tmp_path / "a.tif", frames)
    for name in ("a.npy", "a.tif"):
        with pytest.raises(BadInputError, match=r"range"):
            shown(tmp_path / name)
        seen = shown(tmp_path / name, reading=Reading(range=(-1, 3)))[..., 0]
        np.testing.assert_array_equal(seen, np.rint((frames.astype(float) + 1) / 4 * 255))
    np.save(tmp_path / "bright.npy", np.full((4, 8, 8), 200, np.uint8))
    assert note_of(tmp_path / "bright.npy", "range=") is None
    with pytest.raises(UserError, match="the lower one first"):
        Reading(range=(4, 4))


def test_a_folder_of_single_images_in_big_endian_big_tiffs(tmp_path):
    frames = stack()
    for number, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / f"{number}.tif", frame, bigtiff=True, byteorder=">")
    np.testing.assert_array_equal(shown(tmp_path)[..., 0], frames)


def test_smaller_copies_of_a_page_are_not_frames(tmp_path):
    frames = stack()
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for frame in frames:
            file.write(frame, photometric="minisblack", metadata=None)
            file.write(frame[::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(shown(tmp_path / "a.tif")[..., 0], frames)
    assert "6 smaller copies or masks are not frames" in open_source(tmp_path / "a.tif").notes
    (tmp_path / "photos").mkdir()
    for number in range(4):
        with tifffile.TiffWriter(tmp_path / "photos" / f"{number}.tif") as file:
            file.write(frames[number], photometric="minisblack", metadata=None)
            file.write(frames[number, ::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
    (found,) = list_sources(tmp_path / "photos").found
    np.testing.assert_array_equal(shown(found.path)[..., 0], frames[:4])


def test_a_stack_whose_first_page_is_grey_keeps_the_colours_of_the_others(tmp_path):
    frames = moving(4, 16, 24)
    pages = [Image.fromarray(frames[0]).convert("L"), *map(Image.fromarray, frames[1:])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(shown(tmp_path / "a.tif")[1:], frames[1:])


def one_page(path, frames, order="<"):
    """A stack as ImageJ writes it above 4 GiB: one page, then the other images without pages of their own."""
    text = f"ImageJ=1.53t\nimages={len(frames)}\nframes={len(frames)}\nloop=false\n"
    tifffile.imwrite(path, frames[0], byteorder=order, photometric="minisblack", metadata=None, description=text)
    with path.open("ab") as file:
        file.write(frames[1:].astype(frames.dtype.newbyteorder(order)).tobytes())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_imagej_stack_of_one_page_or_one_that_ends_early(tmp_path, kind, order):
    frames, path = stack(kind=kind), tmp_path / "a.tif"
    one_page(path, frames, order)
    expected = frames if kind is np.uint8 else (frames >> 8).astype(np.uint8)
    np.testing.assert_array_equal(shown(path)[..., 0], expected)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 2 * frames[0].nbytes - 1])
    with pytest.raises(BadInputError, match=r"says 6 images, the file ends after 3$"):
        shown(path)


def test_a_film_that_fades_in_from_grey_keeps_its_colours(bugs):
    files = sorted((bugs / "fadein").iterdir())
    expected = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    assert (expected[..., :1] != expected).any(), "the later images have colour"
    np.testing.assert_array_equal(shown(bugs / "fadein"), expected)
    clips = open_data(DataConfig(name=str(bugs / "fadein"), context=3, horizon=2))
    assert clips.frame_shape[0] == 3
    np.testing.assert_array_equal(clips.read("train", np.array([0])).frames[0].permute(0, 2, 3, 1), expected[:5])


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("later", ["RGB", "P", "L"])
def test_one_colour_image_anywhere_decides(tmp_path, ending, later):
    if ending == "jpg" and later == "P":
        pytest.skip("a JPEG has no palette")
    for number in range(4):
        Image.new("L", (8, 6), 50 * number).save(tmp_path / f"{number}.{ending}")
    Image.new("RGB", (8, 6), (250, 10, 10)).convert(later).save(tmp_path / f"9.{ending}")
    assert open_source(tmp_path).channels == (1 if later == "L" else 3)


def test_a_batch_of_sequences_of_four_frames(bugs):
    path, raw = bugs / "batch_of_4_frames.npy", np.load(bugs / "batch_of_4_frames.npy")
    index = index_source(path)
    assert (index.sequences, index.frames, index.channels) == (12, 4, 1)
    np.testing.assert_array_equal(shown(path, sequence=5)[..., 0], raw[5])
    said = "axes (12, 4, 24, 24) are read as NTHW: 12 sequences of 4 grey frames of 24x24 (other: data.options.layout="
    assert said in index.notes[-1]
    film = DataConfig(name=str(path), context=3, horizon=2, options={"layout": "TCHW"})
    assert (open_data(film).contents.members[0].index.frames, open_data(film).frame_shape) == (12, (3, 24, 24))


def test_predrnns_files_are_sequences(bugs):
    path, stored = bugs / "predrnn.npz", np.load(bugs / "predrnn.npz")
    index = index_source(path)
    assert (index.sequences, index.frames) == (12, 20)
    raw = np.rint(stored["input_raw_data"] * 255).astype(np.uint8)
    np.testing.assert_array_equal(shown(path, sequence=7).transpose(0, 3, 1, 2), raw[140:160])
    assert "read as PredRNN's files are: 12 sequences of 20 grey frames of 32x32" in index.notes[-1]
    assert "(one video: data.options.layout=TCHW)" in index.notes[-1]
    whole = open_source(path, reading=Reading(layout="TCHW"))
    assert (whole.sequences, whole.count) == (1, 240)


def test_predrnns_clips_are_taken_as_they_say(tmp_path):
    frames = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1) * np.ones((1, 1, 4, 4), np.uint8)
    clips = np.array([[[0, 2], [5, 2]], [[3, 1], [1, 1]]])  # inputs, then outputs: (first frame, how many)
    np.savez(tmp_path / "a.npz", clips=clips, dims=[[1, 4, 4]], input_raw_data=frames)
    assert [shown(tmp_path / "a.npz", sequence=n)[:, 0, 0, 0].tolist() for n in (0, 1)] == [[0, 1, 3], [5, 6, 1]]
    for bad, why in ((np.add(clips, [8, 0]), "name frame 14 of 9"), (clips[:, :, :1], "not as PredRNN writes them")):
        np.savez(tmp_path / "b.npz", clips=bad, dims=[[1, 4, 4]], input_raw_data=frames)
        with pytest.raises(BadInputError, match=rf"{why}; to read all .*data.options.layout=TCHW"):
            open_source(tmp_path / "b.npz")


def test_any_order_of_the_axes_can_be_said(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (5, 6, 4, 7, 3), np.uint8)  # N, T, H, W, C
    for layout in ("HWTNC", "CNTWH", "TNHWC"):
        np.save(tmp_path / "a.npy", frames.transpose(["NTHWC".index(axis) for axis in layout]))
        np.testing.assert_array_equal(shown(tmp_path / "a.npy", layout=layout, sequence=2), frames[2])
    for layout in ("THWX", "THHWC", "NTHC"):
        with pytest.raises(BadInputError if len(layout) < 5 else UserError):
            open_source(tmp_path / "a.npy", layout=layout)


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_one_frame_an_hour(tmp_path, ending):
    pictures = [Image.fromarray(frame) for frame in moving(12)]
    how = {"duration": 3_600_000, "save_all": True, "append_images": pictures[1:]}
    pictures[0].save(tmp_path / f"a.{ending}", **how, **({"lossless": True} if ending == "webp" else {}))
    assert 1 / open_source(tmp_path / f"a.{ending}").fps == pytest.approx(3600)
    report = describe(DataConfig(name=str(tmp_path / f"a.{ending}"), context=2, horizon=1))
    assert report.seconds == pytest.approx(12 * 3600, rel=1e-4)
    assert report.as_json()["rows"][0]["fps"] == pytest.approx(1 / 3600, rel=1e-4)
    prediction = nextframe.predict(tmp_path / f"a.{ending}", "copy-last", 2)
    for output in ("b.mp4", "b.gif", "b.png"):
        write_prediction(prediction, tmp_path / output)
    assert 1 / open_source(tmp_path / "b.mp4").fps == pytest.approx(3600)


def two_streams(path, first, second, default):
    """A Matroska file with two video streams of which `default` is marked as such (None: neither)."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, frames in enumerate((first, second)):
            stream = container.add_stream("ffv1", rate=10)
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
            stream.disposition = av.stream.Disposition.default if number == default else 0
            streams.append(stream)
        for number in range(len(first)):
            for stream, frames in zip(streams, (first, second), strict=True):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frames[number], format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def test_the_default_stream_is_read_not_the_preview(bugs):
    path = bugs / "preview_first.mkv"
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[1])]
    np.testing.assert_array_equal(shown(path), expected)
    assert shown(path).shape[1:3] == (120, 160)
    assert assert_exact(path, reads=3).frames == len(expected)
    said = "video stream 1 is read, the default one, of 0: 24x32, 1: 120x160 (other: data.options.stream=0)"
    assert said in index_source(path).notes
    assert shown(path, reading=Reading(stream=0)).shape[1:3] == (24, 32)
    with pytest.raises(BadInputError, match="no video stream 2; choose one of 0 to 1"):
        open_source(path, reading=Reading(stream=2))


@pytest.mark.parametrize(("default", "read"), [(0, 0), (1, 1), (None, 1)])
def test_of_two_streams_the_default_one_or_the_larger(tmp_path, default, read):
    streams = moving(12, 32, 48), moving(12, 64, 80, seed=1)
    path = two_streams(tmp_path / "a.mkv", *streams, default)
    np.testing.assert_array_equal(shown(path), streams[read])
    clips = open_data(DataConfig(name=str(path), context=1, horizon=1, options={"stream": 1 - read}))
    assert clips.frame_shape[1:] == streams[1 - read].shape[1:3]


def gif_beyond(path, screen, boxes):
    """A GIF whose frames are filled rectangles (left, top, width, height), each in its own colour, kept below."""
    width, height = screen
    data = b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes([0xF1, 0, 0])
    data += bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    for number, (left, top, wide, high) in enumerate(boxes):
        one = Image.new("P", (wide, high), 1 + number % 3)
        one.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        stored = io.BytesIO()
        one.save(stored, "GIF", optimize=False)
        whole = stored.getvalue()
        at = 13 + (3 << ((whole[10] & 7) + 1))
        while whole[at] == 0x21:
            at += 2
            while whole[at]:
                at += whole[at] + 1
            at += 1
        pixels_at = at + 10 + (3 << ((whole[at + 9] & 7) + 1) if whole[at + 9] & 0x80 else 0)
        place = b"".join(n.to_bytes(2, "little") for n in (left, top, wide, high))
        data += b"\x21\xf9\x04\x04\x0a\x00\x00\x00" + b"\x2c" + place + b"\x00" + whole[pixels_at:-1]
    path.write_bytes(data + b";")
    return path


def test_frames_of_a_gif_beyond_its_screen_are_cut(tmp_path):
    boxes = [(0, 0, 20, 10), (5, 5, 30, 30), (0, 0, 4, 4), (18, 0, 9, 3)]
    expected = np.zeros((4, 10, 20, 3), np.uint8)
    canvas = np.zeros((60, 60, 3), np.uint8)
    for number, (left, top, wide, high) in enumerate(boxes):
        canvas[top : top + high, left : left + wide] = np.eye(3)[number % 3] * 255
        expected[number] = canvas[:10, :20]
    path = gif_beyond(tmp_path / "a.gif", (20, 10), boxes)
    np.testing.assert_array_equal(shown(path), expected)
    assert "frames go beyond the screen of the GIF: they are cut there, as viewers do" in index_source(path).notes
    first = gif_beyond(tmp_path / "b.gif", (20, 10), [(0, 0, 40, 30), (0, 0, 5, 5)])
    assert shown(first).shape == (2, 10, 20, 3), "even if it is the first"
    with av.open(str(first)) as container:  # FFmpeg, an independent reader
        assert next(container.decode(video=0)).to_ndarray(format="rgb24").shape == (10, 20, 3)


def test_a_real_gif_with_a_frame_beyond_its_screen(shared):
    (path,) = (shared / "malformed").rglob("test_extents.gif")
    assert shown(path).shape[:3] == (2, 100, 100)


def stills(folder, names):
    """Images of the given names, each of a grey of its own; return the names in the order of their greys."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("L", (8, 6), number).save(folder / name)
    return folder


def order_of(folder, **options):
    return shown(folder, reading=Reading(**options))[:, 0, 0, 0].tolist()


def test_decimals_and_parts_of_names_are_in_their_natural_order(tmp_path):
    decimals = ["t=0.5.png", "t=1.05.png", "t=1.5.png", "t=2.png", "t=2.25.png", "t=10.5.png"]
    folder = stills(tmp_path / "decimals", decimals)
    assert order_of(folder) == list(range(6))
    assert (
        "its names have decimals and are in their order (other: data.options.order=numbers)"
        in index_source(folder).notes
    )
    assert order_of(folder, order="numbers") == [0, 1, 2, 4, 3, 5]
    parts = ["s1.9.png", "s1.10.png", "s1.11.png", "s2.1.png"]
    folder = stills(tmp_path / "parts", parts)
    assert order_of(folder) == list(range(4))
    assert note_of(folder, "order=") == (
        "its names have numbers with points and are in their order (other: data.options.order=decimals)"
    )
    assert order_of(folder, order="decimals") == [1, 2, 0, 3]
    assert note_of(folder, "order=", order="decimals") is None
    days = ["2026.01.9.png", "2026.01.10.png", "2026.02.1.png"]
    assert order_of(stills(tmp_path / "days", days)) == [0, 1, 2]
    assert note_of(tmp_path / "days", "order=") is None, "both orders agree"
    padded = [f"v1.{number:04d}.png" for number in (1, 2, 10, 100)]
    assert order_of(stills(tmp_path / "padded", padded)) == [0, 1, 2, 3]


def test_two_takes_in_one_folder_are_two_sources(bugs):
    clips = open_data(DataConfig(name=str(bugs / "takes"), context=3, horizon=2))
    members = [(member.name, member.index.frames) for member in clips.contents.members]
    assert members == [("a_*.png", 12), ("b_*.png", 12)]
    for member, take in zip(clips.contents.members, "ab", strict=True):
        files = [bugs / "takes" / f"{take}_{number}.png" for number in range(12)]
        expected = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
        seen = np.stack(list(open_source(member.path, color="rgb").decode()))
        np.testing.assert_array_equal(seen[..., :3], expected)
    with pytest.raises(
        BadInputError, match=r"holds 2 series of images \(a_\*.png, b_\*.png\); give one, as .*a_\*.png"
    ):
        open_source(bugs / "takes")
    assert nextframe.predict(bugs / "takes" / "b_*.png", "copy-last", 1).frames.shape[0] == 1
    whole = DataConfig(name=str(bugs / "takes"), context=3, horizon=2, options={"series": "together"})
    assert [member.index.frames for member in open_data(whole).contents.members] == [24]


@pytest.mark.parametrize(
    ("names", "series"),
    [
        (["0_left", "0_right", "1_left", "1_right"], {"*_left.png": 2, "*_right.png": 2}),
        (["take1_000", "take1_001", "take2_000", "take2_001"], {"take1_*.png": 2, "take2_*.png": 2}),
        (["INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1"], {"INPUT*.png": 2, "OUTPUT*.png": 2}),
        (["a_0", "a_1", "b_7", "b_8"], {}),  # it goes on counting: one film
        (["cat_0", "cat_1", "cat_result"], {}),
        (["2026-01-01", "2026-01-02", "2026-02-01", "2026-02-02"], {}),
        (["12-00-01", "12-00-02", "12-01-01", "12-01-02"], {}),
        (["t=0.1", "t=0.2", "t=1.1", "t=1.2"], {}),
        (["f0", "f1", "f2"], {}),
    ],
)
def test_what_names_are_several_films(tmp_path, names, series):
    folder = stills(tmp_path / "x", [f"{name}.png" for name in names])
    found = {f.path.name: len(image_files(f.path)) for f in list_sources(folder).found}
    assert found == (series or {"x": len(names)})


def test_missing_numbers_are_said(bugs, tmp_path):
    said = "the numbers of its images jump once from 9 to 16: they are taken as neighbours"
    assert note_of(bugs / "gap", "jump") == said
    assert note_of(stills(tmp_path / "fives", [f"{n}.png" for n in range(0, 40, 5)]), "jump") is None
    assert note_of(stills(tmp_path / "clock", [f"{n}.png" for n in (33, 67, 100, 133, 167)]), "jump") is None
    twice = stills(tmp_path / "twice", [f"{n}.png" for n in (1, 2, 3, 6, 7, 8, 12, 13)])
    assert (
        note_of(twice, "jump")
        == "the numbers of its images jump 2 times, first from 3 to 6: they are taken as neighbours"
    )


def test_an_interlaced_film_is_said(tmp_path):
    options = {"x264-params": "interlaced=1:log=-1"}
    write_video(tmp_path / "fields.mp4", moving(12, 64, 64), options=options)
    write_video(tmp_path / "whole.mp4", moving(12, 64, 64))
    said = "interlaced: the even and the odd lines of a frame are two moments; they are kept as stored"
    assert note_of(tmp_path / "fields.mp4", "interlaced") == said
    assert note_of(tmp_path / "whole.mp4", "interlaced") is None


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_variable_rate_is_said(tmp_path, ending):
    times = [0, 1, 2, 3, 9, 10, 11, 30, 31, 32, 33, 34]
    write_video(tmp_path / f"uneven.{ending}", moving(12), times=times)
    write_video(tmp_path / f"even.{ending}", moving(12), rate=30)  # in milliseconds 33, 34, 33, ...
    assert note_of(tmp_path / f"uneven.{ending}", "durations") == "frames have different durations; each counts once"
    assert note_of(tmp_path / f"even.{ending}", "durations") is None


def test_matlab_and_other_files_of_arrays_are_named_with_advice(tmp_path):
    write_gif(tmp_path / "a.gif", moving(30))
    (tmp_path / "b.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(200))
    (tmp_path / "c.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    clips = open_data(DataConfig(name=str(tmp_path), context=3, horizon=2))
    assert clips.contents.skipped == [
        ("b.mat", "a MATLAB file: save its frames as .npy"),
        ("c.h5", "an HDF5 file: save its frames as .npy"),
    ]
    with pytest.raises(BadInputError, match=r"this is a MATLAB file, not a video; save its frames with numpy.save"):
        open_source(tmp_path / "b.mat")


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN"])
def test_folders_of_the_system_are_skipped_and_said(tmp_path, name):
    write_gif(tmp_path / "a.gif", moving(30))
    write_frames(tmp_path / name / "a.gif", moving(3, 16, 16))
    clips = open_data(DataConfig(name=str(tmp_path), context=3, horizon=2))
    assert [member.name for member in clips.contents.members] == ["a.gif"]
    assert clips.contents.skipped == [(name, "a folder of the system, with thumbnails or deleted files")]


def test_every_verb_that_takes_a_path_takes_the_range(tmp_path, bugs):
    """The advice of an error must name a setting that the verb has."""
    path = tmp_path / "a.npy"
    np.save(path, np.load(bugs / "cut.npy").astype(np.uint16) * 16)
    words = ["-m", "copy-last", "-o", str(tmp_path / "a.gif")]
    verbs = {
        "data": ["data", str(path), "--context", "2", "--horizon", "1"],
        "predict": ["predict", str(path), *words],
        "interpolate": ["interpolate", str(path), "-m", "mean-neighbours", "-o", str(tmp_path / "b.gif")],
        "prepare": ["prepare", str(path), "-o", str(tmp_path / "c"), "--clips", "2", "--size", "16x16"],
    }
    for verb, line in verbs.items():
        section = "data.options" if verb == "data" else verb
        with pytest.raises(SystemExit) as failed:
            main(line)
        assert failed.value.code == 2
        with pytest.raises(SystemExit) as done:
            main([*line, "--set", f"{section}.range=[0,4080]"])
        assert done.value.code == 0, verb
