from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.prediction.shown.panels import (
    BORDER,
    CONTEXT,
    PREDICTED,
    TRUTH,
    Rgb,
    comparison_animation,
    comparison_strip,
    enlarge,
    framed,
    panel_size,
)


def noise(frames: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 100, (frames, channels, height, width), dtype=torch.uint8, generator=generator)


def inside_borders(picture: Tensor, color: Rgb, size: tuple[int, int]) -> list[Tensor]:
    """Return what stands inside every rectangle of `color` whose inner size is `size`, left to right."""
    mask = (picture == torch.tensor(color, dtype=torch.uint8).view(3, 1, 1)).all(0)
    height, width = size[0] + 2 * BORDER, size[1] + 2 * BORDER
    found: list[tuple[int, int]] = []
    for y, x in mask.nonzero().tolist():
        box = mask[y : y + height, x : x + width]
        if box.shape != (height, width) or not (box[0].all() and box[-1].all() and box[:, 0].all()):
            continue
        if box[:, -1].all() and all(abs(y - b) >= height or abs(x - a) >= width for a, b in found):
            found.append((x, y))
    return [picture[:, y + BORDER : y + height - BORDER, x + BORDER : x + width - BORDER] for x, y in sorted(found)]


def test_panels_grow_in_whole_steps_and_shrink_to_fit() -> None:
    assert panel_size(noise(1, 1, 64, 64), low=192, high=480) == (192, 192)
    assert panel_size(noise(1, 1, 9, 7), low=72, high=192) == (72, 56)
    assert panel_size(noise(1, 3, 240, 320), low=192, high=480) == (240, 320)
    assert panel_size(noise(1, 3, 720, 1280), low=192, high=480) == (270, 480)


def test_enlarging_repeats_pixels() -> None:
    frame = noise(1, 1, 2, 3)
    expected = frame.repeat_interleave(4, 2).repeat_interleave(4, 3).expand(-1, 3, -1, -1)
    assert torch.equal(enlarge(frame, (8, 12)), expected)


def test_shrinking_averages_pixels() -> None:
    frame = torch.tensor([[0, 20], [40, 60]], dtype=torch.uint8).expand(1, 3, 2, 2)
    assert enlarge(frame, (1, 1)).flatten().tolist() == [30, 30, 30]


def test_floats_and_uint8_look_the_same() -> None:
    frames = noise(4, 1, 16, 16)
    assert torch.equal(comparison_strip(frames, frames, frames), comparison_strip(*[frames / 255] * 3))


def test_border_goes_around_the_frame() -> None:
    frame = noise(1, 3, 5, 4)
    out = framed(frame, TRUTH)
    assert out.shape == (1, 3, 5 + 2 * BORDER, 4 + 2 * BORDER)
    assert torch.equal(out[:, :, BORDER:-BORDER, BORDER:-BORDER], frame)
    assert out[0, :, 0, 0].tolist() == list(TRUTH)


def test_strip_shows_every_frame_in_its_row() -> None:
    context, truth, future = noise(3, 1, 9, 7), noise(2, 1, 9, 7, 1), noise(2, 1, 9, 7, 2)
    picture = comparison_strip(context, truth, future)
    assert picture.dtype == torch.uint8
    assert picture.shape[0] == 3
    for color, frames in ((CONTEXT, context), (TRUTH, truth), (PREDICTED, future)):
        shown = inside_borders(picture, color, (72, 56))
        assert len(shown) == len(frames)
        assert torch.equal(torch.stack(shown), enlarge(frames, (72, 56)))


def test_strip_of_many_frames_keeps_the_first_and_the_last() -> None:
    frames = noise(100, 1, 80, 80)
    shown = inside_borders(comparison_strip(None, None, frames), PREDICTED, (80, 80))
    assert len(shown) == 20
    assert torch.equal(shown[0], enlarge(frames[:1], (80, 80))[0])
    assert torch.equal(shown[-1], enlarge(frames[-1:], (80, 80))[0])


def test_animation_plays_the_context_then_the_future() -> None:
    context, truth, future = noise(2, 3, 9, 7), noise(3, 3, 9, 7, 1), noise(3, 3, 9, 7, 2)
    clip = comparison_animation(context, truth, future)
    assert clip.dtype == torch.uint8
    assert len(clip) == 5
    size = panel_size(context, 192, 480)
    for t in range(2):  # both panels show the same context
        assert torch.equal(
            torch.stack(inside_borders(clip[t], CONTEXT, size)), enlarge(context[t : t + 1], size).expand(2, -1, -1, -1)
        )
    for t in range(3):
        assert torch.equal(inside_borders(clip[2 + t], TRUTH, size)[0], enlarge(truth[t : t + 1], size)[0])
        assert torch.equal(inside_borders(clip[2 + t], PREDICTED, size)[0], enlarge(future[t : t + 1], size)[0])


def test_several_predictions_stand_side_by_side() -> None:
    one, two = noise(2, 1, 16, 16, 1), noise(2, 1, 16, 16, 2)
    clip = comparison_animation(None, None, {"one": one, "two": two})
    shown = inside_borders(clip[1], PREDICTED, (192, 192))
    assert torch.equal(torch.stack(shown), torch.cat([enlarge(f[1:], (192, 192)) for f in (one, two)]))


def test_only_grey_and_rgb_can_be_shown() -> None:
    with pytest.raises(UserError, match=r"not \(2, 4, 4, 4\)"):
        comparison_strip(None, None, noise(2, 4, 4, 4))
