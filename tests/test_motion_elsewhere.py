"""The predictor of real video where it runs: on a film that a phone turned, in little memory, in an ONNX file."""

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nextframe
from nextframe.layers.correlation import correlation
from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.strips import halved
from texture import texture


def upright(count: int) -> Tensor:
    """Return (count, 3, 96, 64) uint8: a texture that moves down by two pixels a frame."""
    frames = torch.cat([texture(96, 64, dy=2.0 * t, channels=3) for t in range(count)])
    return (frames * 255).round().byte()


def filmed(path: Path, frames: Tensor, turn: int) -> Path:
    """Write frames (T, 3, H, W) as a camera does that is held so: turned, with `turn` degrees to show them by."""
    stored = torch.rot90(frames, -turn // 90, (2, 3)).permute(0, 2, 3, 1).contiguous().numpy()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.options = *stored.shape[1:3], "yuv444p", {"qp": "0"}
        stream.set_display_rotation(turn)
        for frame in stored:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("turn", [90, -90, 180])
def test_of_a_turned_film_the_upright_frames_go_on(tmp_path, turn):
    video = upright(8)
    film = filmed(tmp_path / "phone.mp4", video, turn)
    found = nextframe.predict(film, frames=3, compare=True)
    assert found.model == "motion"
    assert found.frames.shape == (3, 3, 96, 64)
    expected = nextframe.predict(video, frames=3, compare=True)
    assert (found.frames - expected.frames).abs().mean() < 0.01
    moved = np.abs(np.asarray(found.frames[..., 24:, :] - video[5:, :, 24:] / 255)).mean()
    assert moved < 0.25 * (video[5:, :, 24:] / 255 - video[4:5, :, 24:] / 255).abs().mean()


# --- memory

LARGE = """
import torch, nextframe
torch.set_num_threads(1)
model = nextframe.load("motion")
peak = lambda: int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) * 1024
before = peak()
model.predict(torch.rand(1, 4, 3, 1080, 1920), 1)
print(peak() - before)
"""  # not ru_maxrss, which a process has from the one that starts it


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux has it")
def test_a_frame_of_1080p_takes_less_than_a_gigabyte():
    """Of tensors. What glibc keeps of those that were freed is 0.05 to 0.25 GB more, by chance; here it keeps none."""
    own = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run([sys.executable, "-c", LARGE], env=own, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 0.9e9


@pytest.mark.parametrize(("height", "width"), [(200, 40), (131, 33), (128, 30), (66, 47), (65, 20), (64, 9)])
def test_a_convolution_in_strips_is_the_whole_one(height, width, monkeypatch):
    monkeypatch.setattr("nextframe.layers.strips.LARGE", 0)
    conv = nn.Conv2d(5, 4, 3, 2, 1)
    parts = [torch.rand(2, channels, height, width) for channels in (3, 2)]
    whole = conv(torch.cat(parts, 1)).detach()

    def halves(dtype: torch.dtype) -> Tensor:
        rows = lambda top, end: [part[:, :, top:end].to(dtype) for part in parts]  # noqa: E731
        return halved(conv.to(dtype), rows, (height, width))

    with torch.no_grad():
        assert torch.allclose(halves(torch.float32), whole, atol=1e-6)
        exact = halves(torch.float64)
    assert exact.dtype == torch.float64
    assert torch.allclose(exact, whole.double(), atol=1e-6)


def test_large_frames_in_strips_are_predicted_as_whole_ones(monkeypatch):
    model, video = (
        nextframe.load("motion"),
        torch.stack([texture(150, 130, dx=-2.5 * t, channels=3) for t in range(4)], 1),
    )
    whole = model.predict(video, 2)
    monkeypatch.setattr("nextframe.layers.strips.LARGE", 0)
    assert torch.allclose(model.predict(video, 2), whole, atol=1e-5)


# --- ONNX


class Likeness(nn.Module):
    """What the exporter would trace as hundreds of operators: a correlation and a fast convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = FastConv2d(81, 81, 3, 1, 1)

    def forward(self, maps: Tensor, others: Tensor) -> Tensor:
        return self.conv(correlation(maps, others, 4))


def test_an_export_is_a_few_operators_that_compute_the_same():
    net, maps = Likeness(), torch.rand(2, 1, 16, 36, 40)
    with torch.no_grad():
        program = torch.export.export(net, tuple(maps))
        assert sum(node.op == "call_function" for node in program.graph.nodes) < 30  # 280 as it is computed elsewhere
        assert torch.allclose(program.module()(*maps), net(*maps), atol=1e-5)


@pytest.mark.slow
def test_an_onnx_file_predicts_what_the_model_does(tmp_path):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra [export]")
    from nextframe.publish.to_onnx import export

    model = deepcopy(nextframe.load("motion"))
    assert model.trained is not None
    model.trained = model.trained.model_copy(update={"horizon": 1})  # a third of the time: each frame is traced anew
    done = export(model, tmp_path / "motion.onnx", size=(48, 64))
    assert done.inputs == {"context": ["batch", 3, 3, 48, 64]}
    assert done.difference < 1e-4
