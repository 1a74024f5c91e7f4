"""What the predictor of real video makes of frames that are held, and of its own past predictions."""

import math

import pytest
import torch
from torch import Tensor

import nextframe
from nextframe.layers.rehearsal import (
    CREDIT,
    ENOUGH,
    FLOOR,
    RIDGE,
    UNKNOWN,
    Rehearsed,
    compared,
    second_share,
    sharpened,
    trust,
)
from nextframe.layers.rhythm import HELD, doubled, last_kept, left_out, rhythm
from nextframe.layers.window import CUT
from nextframe.models.motion import Motion
from texture import texture


@pytest.fixture(scope="module")
def shipped() -> Motion:
    return nextframe.load("motion")


def panned(count: int, step: float = 2.5) -> Tensor:
    return torch.stack([texture(64, 96, dx=-step * t, channels=3) for t in range(count)], dim=1)


def psnr(prediction: Tensor, truth: Tensor) -> float:
    inner = (..., slice(8, -8), slice(8, -24))
    return -10 * math.log10(float((prediction[inner] - truth[inner]).square().mean()) + 1e-9)


def changes(text: str) -> Tensor:
    """Return the changes of a video: M where it moves, H where a frame is held."""
    return torch.tensor([[0.02 if letter == "M" else 0.001 for letter in text]])


@pytest.mark.parametrize(
    ("text", "found", "again"),
    [
        ("HMH", True, False),  # A A B B: C is next
        ("MHM", True, True),  # A B B C: C once more
        ("HMHMH", True, False),
        ("HHMH", True, True),  # A A A B B: B once more
        ("HHMHH", True, False),  # A A A B B B: C is next
        ("MHHM", True, True),
        ("MM", False, False),
        ("HM", False, False),  # too little to tell
        ("MMM", False, False),
        ("HHM", False, False),  # what stood and now moves
        ("MHHH", False, False),  # what moved and now stands
        ("MHMM", False, False),  # no rhythm
        ("HHHHH", False, False),  # nothing moves at all
    ],
)
def test_a_rhythm_of_held_frames_is_seen_when_it_has_come_back(text, found, again):
    assert [part.tolist() for part in rhythm(changes(text), below=CUT)] == [[found], [again]]


def test_no_rhythm_in_grain_in_a_cut_or_between_large_moves():
    assert not rhythm(changes("HMH") / 100, below=CUT)[0].any()
    assert not rhythm(changes("HMH") * 10, below=CUT)[0].any()
    assert not rhythm(torch.tensor([[2 * HELD, 1, 2 * HELD]]) / 50, below=CUT)[0].any()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MMH", "001"),  # A B C C
        ("MMMMH", "00001"),
        ("MMHM", "0010"),  # A B C C D
        ("HMMHM", "10010"),  # of three each second time one more, as of 3:2 pulldown
        ("MH", "00"),  # too little to tell
        ("MHMH", "0000"),  # a rhythm
        ("MMMHH", "00000"),  # it has stopped
        ("HMMH", "0000"),  # no more moves than others
        ("MMMM", "0000"),
    ],
)
def test_one_frame_is_shown_twice_where_all_others_move(text, found):
    assert "".join(str(int(each)) for each in doubled(changes(text), below=CUT)[0]) == found
    assert not doubled(changes(text) / 100, below=CUT).any()  # grain
    assert not doubled(changes(text) * 10, below=CUT).any()  # a cut


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("HMH", [1, 1, 3]),  # A A' B B': A' stands for what is missing
        ("HMHMH", [1, 3, 5]),
        ("MHM", [0, 2, 3]),
        ("MMMMM", [3, 4, 5]),
        ("MMMMH", [2, 3, 5]),  # A B C D E E': without E
        ("MMMHM", [2, 4, 5]),
        ("MMMHH", [3, 4, 5]),  # it stands
        ("M", [0, 0, 1]),
    ],
)
def test_the_last_frames_that_differ(text, kept):
    assert last_kept(left_out(changes(text), below=CUT), 3).tolist() == [kept]


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("shown", [[0, 1, 2, 3, 3], [0, 1, 2, 3, 4, 5, 5], [0, 1, 2, 3, 3, 4]])
def test_a_frame_that_is_shown_twice_stops_nothing(shipped, shown, noise):
    video, last = panned(shown[-1] + 4), shown[-1]
    given = video[:, shown]
    given[:, -1] += noise * torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(0))
    future = shipped.predict(given, 3)
    for step in range(3):
        truth = video[:, last + 1 + step]
        assert psnr(future[:, step], truth) > psnr(video[:, last], truth) + 6
    if not noise:
        once, twice = (
            shipped.predict(video[:, each], 3, options={"rehearse": False}) for each in (sorted(set(shown)), shown)
        )
        assert torch.allclose(once, twice, atol=1e-5)


def test_what_stops_for_two_frames_stands(shipped):
    video = panned(4)[:, [0, 1, 2, 3, 3, 3]]
    assert psnr(shipped.predict(video, 3)[:, -1], video[:, -1]) > 38


@pytest.mark.parametrize("times", [2, 3])
def test_held_frames_are_held_on_and_their_motion_goes_on(shipped, times):
    video = panned(8).repeat_interleave(times, dim=1)
    for start in range(times):
        given = video[:, start : start + 4 * times - 2]  # two in twos at least, and one more
        future = shipped.predict(given, 2 * times)
        for step in range(2 * times):
            truth, last = video[:, start + given.shape[1] + step], given[:, -1]
            if torch.equal(truth, last):
                assert torch.equal(future[:, step], last), f"frame {step} is held"
            else:
                assert psnr(future[:, step], truth) > psnr(last, truth) + 6, f"frame {step} has moved"
        moved = next(step for step in range(2 * times) if not torch.equal(future[:, step], given[:, -1]))
        assert psnr(future[:, moved], video[:, start + given.shape[1] + moved]) > 40, (
            "DIS sees the pan to a part of a pixel"
        )


def test_held_frames_that_are_not_quite_equal_say_nothing_of_forecasts(shipped):
    generator = torch.Generator().manual_seed(0)
    video = panned(6).repeat_interleave(3, dim=1)
    noisy = (video + 0.004 * torch.randn(video.shape, generator=generator)).clamp(0, 1)
    for given in (7, 12):
        future = shipped.predict(noisy[:, :given], 3)
        moved = (given + 2) // 3 * 3 - given
        assert psnr(future[:, moved], video[:, given + moved]) > 39, f"{given} frames: both forecasts count"


def test_a_rhythm_is_of_each_clip_for_itself(shipped):
    held, smooth = panned(4).repeat_interleave(2, dim=1)[:, :6], panned(6)
    both = shipped.predict(torch.cat([held, smooth]), 2)
    assert torch.allclose(both, torch.cat([shipped.predict(held, 2), shipped.predict(smooth, 2)]), atol=1e-5)


def test_trust_follows_the_share_of_the_predicted_change_that_happened():
    last = torch.zeros(1, 3, 64, 64)
    predicted, truth = last + 0.2, last + 0.2
    truth[..., 32:] = 0.05  # on the right a quarter of what was predicted
    notes = [compared(torch.stack([predicted, last], 1), last, happened) for happened in (truth, last - 0.2)]
    share, away = (trust(note[:, :2].unsqueeze(1)) for note in notes)
    assert share.shape == (1, 1, 8, 8)
    assert share[..., :2] == pytest.approx(torch.ones(1, 1, 8, 2))  # windows of five cells reach two to each side
    right = (3 * 0.2 * 0.05 + CREDIT) / (3 * 0.2**2 + CREDIT) / ENOUGH
    assert share[..., -2:] == pytest.approx(torch.full((1, 1, 8, 2), right))
    assert not away.any(), "the other way: what stands still is better"


def test_as_much_of_a_second_forecast_is_taken_as_would_have_been_best_place_by_place():
    truth, first = torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.1)
    second = torch.zeros(1, 3, 64, 64)
    second[..., 32:] = -0.1  # on the right as far beyond the truth
    share = second_share(compared(torch.stack([first, second], 1), truth, truth)[:, 2:].unsqueeze(1))
    product, square, errors = 3 * 0.1 * 0.1, 3 * 0.1**2, 3 * 0.1**2
    left = product / (square + RIDGE * errors + FLOOR)
    # windows of three cells reach one to each side
    assert share[..., :3] == pytest.approx(torch.full((1, 1, 8, 3), left))
    right = 2 * product / (4 * square + RIDGE * 2 * errors + FLOOR)
    assert share[..., -3:] == pytest.approx(torch.full((1, 1, 8, 3), right))
    away = second_share(compared(torch.stack([first, 2 * first], 1), truth, truth)[:, 2:].unsqueeze(1))
    assert not away.any(), "the first was nearer"
    for notes in (torch.zeros(1, 2, 3, 8, 8), torch.zeros(1, 0, 3, 8, 8)):
        assert torch.equal(second_share(notes), torch.full((1, 1, 8, 8), UNKNOWN)), "nothing is known"


def test_further_ahead_the_mean_of_two_forecasts_becomes_a_choice():
    share = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0])
    assert torch.allclose(sharpened(share, 1), share)
    assert torch.allclose(sharpened(share, 3), torch.tensor([0, 0.04 / 0.68, 0.5, 0.64 / 0.68, 1]))
    assert sharpened(share, 10_000)[1] < 2e-6
    assert sharpened(share, 10_000)[2] == 0.5


def test_of_a_frame_that_was_not_predicted_nothing_is_known(shipped):
    video = panned(3)
    state = Rehearsed.before(shipped.look(video[:, :2])).read(shipped.look(video[:, 2:]), 6)
    frames = torch.rand(1, 2, 3, 64, 96)
    mean = (1 - UNKNOWN) * frames[:, :1] + UNKNOWN * frames[:, 1:]
    assert torch.allclose(state.trusting()(frames, 1), mean, atol=1e-6)
    assert torch.allclose(state.trusting()(frames[:, :1], 1), frames[:, :1], atol=1e-6)
    assert torch.allclose(state.trusting()(frames, 100), frames[:, 1:], atol=0.03), "further ahead one of them"


def test_noise_that_moves_nothing_is_not_followed(shipped):
    generator = torch.Generator().manual_seed(0)
    noisy = (panned(1).expand(-1, 9, -1, -1, -1) + 0.05 * torch.randn(1, 9, 3, 64, 96, generator=generator)).clamp(0, 1)
    errors = []
    for rehearse in (False, True):
        future = shipped.predict(noisy[:, :4], 5, options={"rehearse": rehearse})
        errors.append(float((future - noisy[:, 4:]).square().mean()))
    assert errors[1] <= errors[0] * 1.001


def test_what_turns_back_each_frame_is_trusted_less(shipped):
    video = panned(2)[:, [0, 1, 0, 1, 0, 1, 0]]  # flicker: the motion that was seen is never repeated
    still = (video[:, 4:5] - video[:, 5:]).square().mean()
    blind, wary = (shipped.predict(video[:, :5], 2, options={"rehearse": r}) for r in (False, True))
    assert (wary - video[:, 5:]).square().mean() < (blind - video[:, 5:]).square().mean()
    assert (wary - video[:, 5:]).square().mean() < 1.1 * still
