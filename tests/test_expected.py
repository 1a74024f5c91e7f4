"""What is to be expected on average: detail is kept as far as two forecasts agree, and the error gets less."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nextframe
from nextframe.layers.expected import DOUBT, FADE, agreed
from nextframe.layers.rehearsal import Rehearsed

WATER = Path(__file__).resolve().parents[1] / "docs" / "media" / "stream-of-water.mp4"


def stripes(height: float) -> torch.Tensor:
    """Columns of `height` and -`height` in turn, around grey: (1, 1, 1, 40, 40)."""
    return 0.5 + height * (1 - 2 * (torch.arange(40) % 2)).expand(1, 1, 1, 40, 40)


def test_by_hand_detail_is_kept_by_its_energy_and_what_the_forecasts_disagree_about():
    """Between columns of 0.6 and 0.4, away from the border, a window of five has 3 of one and 2 of the other."""
    first, second = stripes(0.1) + 0.05, stripes(0.1) - 0.05
    detail = 0.1 - 0.1 / 5
    kept = detail**2 / (detail**2 + DOUBT * 0.1**2 + 1e-6)
    share = torch.full((1, 1, 1, 40, 40), 0.5)
    expected = stripes(0.1 - (1 - kept) * detail)
    torch.testing.assert_close(agreed(first, second, share)[..., 12:28, 12:28], expected[..., 12:28, 12:28])


def test_where_both_agree_nothing_is_lost_and_where_one_is_noise_it_is_softened():
    frame = torch.rand(1, 1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(1, 1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    share = torch.full((1, 1, 1, 40, 40), 0.5)
    torch.testing.assert_close(agreed(frame, frame, share), frame, atol=1e-4, rtol=0)
    mean = (frame + noise) / 2
    truth = torch.full_like(mean, 0.5)  # of what nobody can know
    assert (agreed(frame, noise, share) - truth).square().mean() < 0.5 * (mean - truth).square().mean()
    flat = torch.full((1, 1, 3, 7, 5), 0.25)
    torch.testing.assert_close(agreed(flat, flat + 0.5, torch.ones(1, 1, 1, 7, 5)), flat + 0.5)


@pytest.fixture(scope="module")
def shipped():
    return nextframe.load("motion").eval()


def test_the_next_frame_is_the_same_and_those_after_it_have_less_error(shipped):
    """Of moving water: what is sharp there is mostly wrong."""
    video = nextframe.predict(WATER, shipped, 5, at=8, compare=True)
    context, truth = video.context[None], video.truth[None]
    with torch.no_grad():
        sharp, soft = (shipped.predict(context, 5, options={"expected": value}) for value in (False, True))
    assert torch.equal(sharp[:, 0], soft[:, 0])
    errors = [(frames - truth).square().mean((0, 2, 3, 4)) for frames in (sharp, soft)]
    assert bool((errors[1][1:] < errors[0][1:]).all())


def test_further_ahead_less_of_the_change_is_believed_in(shipped):
    video = torch.rand(1, 3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    state = Rehearsed.before(shipped.look(video[:, :2])).read(shipped.look(video[:, 2:]), 6)
    frames = torch.full((1, 2, 3, 64, 96), 0.75)  # both say the same, so that only belief is left
    last, found = video[:, 2:], state.trusting(expected=True)(frames, 11)
    torch.testing.assert_close(found, last + FADE**10 * (frames[:, :1] - last))
    torch.testing.assert_close(state.trusting(expected=True)(frames[:, :1], 11), found)
    torch.testing.assert_close(state.trusting()(frames, 11), frames[:, :1])
