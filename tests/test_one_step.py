from __future__ import annotations

import numpy as np
import pytest
import torch

import nextframe
from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits


@pytest.fixture
def clip(tmp_path):
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).integers(0, 256, (20, 12, 14), np.uint8))
    return tmp_path / "clip.npy"


def test_each_frame_is_predicted_from_the_true_ones_before_it(clip):
    frames = nextframe.read_video(clip)[0].float() / 255
    found = nextframe.predict(clip, "copy-last", 5, at=10, one_step=True)
    assert torch.equal(found.frames, frames[9:14])
    assert torch.equal(found.truth, frames[10:15])
    assert torch.equal(found.context, frames[:10])
    whole = nextframe.predict(clip, "linear", 5, at=10, compare=True)
    sliding = nextframe.predict(clip, "linear", 5, at=10, one_step=True)
    assert torch.equal(whole.frames[0], sliding.frames[0])  # the first step knows the same
    straight = (2 * frames[10:14] - frames[9:13]).clamp(0, 1)
    assert torch.allclose(sliding.frames[1:], straight, atol=1e-6)


def test_a_prediction_decodes_within_its_limits(clip):
    with pytest.raises(BadInputError, match="larger than the limit of 100 pixels"):
        nextframe.predict(clip, "copy-last", 2, limits=Limits(pixels=100))
