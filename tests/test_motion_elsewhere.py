"""The predictor of real video where it runs: on a film that a phone turned, in little memory, in an ONNX file."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

import nextframe
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
