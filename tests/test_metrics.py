from __future__ import annotations

import importlib
import math
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nextframe.core.errors import NotSupportedError, UserError
from nextframe.metrics import METRICS, find_metric, moving
from nextframe.metrics.fvd import frechet_distance

BASE = [name for name in METRICS if name != "lpips"]  # which needs an extra
ANY_SIZE = [name for name in BASE if name != "msssim"]


def measure(name: str, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return METRICS.get(name)(prediction, target)


def noisy(shape: tuple[int, ...], amount: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (target + amount * noise).clamp(0, 1), target


def film(*pixels: float, height: int, width: int) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.float64).view(1, 1, 1, height, width)


# --- by hand


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mse", 0.3125), ("mae", 0.375), ("mse-sum", 1.25), ("mae-sum", 1.5), ("psnr", 10 * math.log10(3.2))],
)
def test_pixel_metrics_by_hand(name, expected):
    prediction, target = film(0.5, 0.5, 1, 0, height=2, width=2), film(1, 0.5, 0, 0, height=2, width=2)
    assert measure(name, prediction, target).item() == pytest.approx(expected)


def test_sharpness_by_hand():
    # Interior of 2x3: pixels (1, 1) and (1, 2). Steps from above: 1 and 0.5; from the left: 0.25 and 0.75.
    target = film(0, 0, 0.5, 0.75, 1, 0.25, height=2, width=3)
    target[..., 1, 2] = 0.25
    above, left = [1, 0.25], [0.25, 0.75]
    flat = torch.zeros_like(target)
    total = [a + b for a, b in zip(above, left, strict=True)]
    assert measure("gradient-difference", flat, target).item() == pytest.approx(sum(total) / 2)
    assert measure("sharpness-difference", flat, target).item() == pytest.approx(-10 * math.log10(sum(total) / 2))
    assert measure("sharpness-difference", 1 - target, target).item() == 100  # same edges
    # Swapping a step from above with one from the left is seen by the one, not by the other.
    down, across = film(0, 0, 0, 1, height=2, width=2), film(0, 1, 0, 1, height=2, width=2)
    assert measure("gradient-difference", down, across).item() == pytest.approx(1)


def test_perceptual_distance_by_hand():
    black, white = torch.zeros(1, 1, 3, 2, 2), torch.ones(1, 1, 3, 2, 2)
    assert measure("perceptual-distance", black, white).item() == pytest.approx(764.83, abs=0.01)
    assert measure("perceptual-distance", black[:, :, :1], white[:, :, :1]).item() == pytest.approx(764.83, abs=0.01)
    red = white * torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert measure("perceptual-distance", red, black).item() == pytest.approx(255 * math.sqrt(639.5 / 256))
    half = torch.cat([red[..., :1], black[..., :1]], dim=-1)  # one of two columns is red
    assert measure("perceptual-distance", half, black).item() == pytest.approx(127.5 * math.sqrt(639.5 / 256))
    with pytest.raises(UserError, match="not 2 channels"):
        measure("perceptual-distance", black[:, :, :2], black[:, :, :2])


def test_equal_frames_have_the_best_finite_value():
    frames = noisy((1, 2, 3, 180, 177))[1].float()
    best = {name: 0.0 for name in BASE if METRICS.get(name).better == "lower"}
    best |= {"psnr": 100.0, "sharpness-difference": 100.0, "ssim": 1.0, "ssim-openstl": 1.0, "msssim": 1.0}
    best |= {"psnr-mathieu": 88.1308, "sharpness-difference-mathieu": 88.1308, "ssim-mathieu": 1.0}
    for name in BASE:
        if name != "cross-entropy":  # of equal frames it is their entropy
            assert torch.allclose(measure(name, frames, frames), torch.tensor(best[name]), atol=1e-5), name


def test_cross_entropy_is_that_of_the_lstm_paper():
    target = torch.tensor([1.0, 0.0, 0.25]).view(1, 1, 1, 1, 3)
    prediction = torch.tensor([0.5, 0.2, 0.25]).view(1, 1, 1, 1, 3)
    worked_out = -math.log(0.5) - math.log(0.8) - 0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert measure("cross-entropy", prediction, target).item() == pytest.approx(worked_out)
    wrong = measure("cross-entropy", torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1))
    assert wrong.item() == pytest.approx(10 * math.log(10))  # surely black, and white: finite


def test_the_authors_metrics_of_the_multi_scale_predictor_by_hand():
    """Frames in [-1, 1] times 128, against a peak of 255: 0.034 dB below `psnr`; gaps of both gradients are added."""
    target = film(0, 0, 0, 0.5, height=2, width=2)
    flat = torch.zeros_like(target)
    lower = 20 * math.log10(256 / 255)
    assert measure("psnr-mathieu", flat, target).item() == pytest.approx(-10 * math.log10(0.25 / 4) - lower)
    gap = 128**2 * (1 + 1) / 4  # both steps to the one pixel with neighbours are 1 in [-1, 1], over 4 pixels
    assert measure("sharpness-difference-mathieu", flat, target).item() == pytest.approx(10 * math.log10(255**2 / gap))


def test_the_authors_ssim_is_of_the_luminance_and_sees_zeros_around_the_frame():
    prediction, target = noisy((1, 1, 3, 24, 30))
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(3, 1, 1)
    grey = [torch.nn.functional.pad((f * weights).sum(2)[0, 0], (10, 10, 10, 10)).numpy() for f in (prediction, target)]
    _, places = structural_similarity(
        *grey, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, full=True
    )
    expected = places[5:-5, 5:-5].mean()  # where the window lies inside the padded frame
    assert measure("ssim-mathieu", prediction, target).item() == pytest.approx(expected)


# --- against other implementations


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (17, 40)])
def test_ssim_and_psnr_agree_with_scikit_image(channels, height, width):
    prediction, target = noisy((2, 3, channels, height, width))
    found = {name: measure(name, prediction, target) for name in ("ssim", "ssim-openstl", "psnr")}
    for b, t in np.ndindex(2, 3):
        a, b_ = (frames[b, t].permute(1, 2, 0).numpy() for frames in (prediction, target))
        gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        assert found["ssim"][b, t].item() == pytest.approx(structural_similarity(a, b_, channel_axis=2, **gaussian))
        old = structural_similarity(a, b_, channel_axis=2, data_range=2.0)
        assert found["ssim-openstl"][b, t].item() == pytest.approx(old)
        assert found["psnr"][b, t].item() == pytest.approx(peak_signal_noise_ratio(b_, a, data_range=1.0))


def test_ssim_in_single_precision_agrees_with_torchmetrics():
    from torchmetrics.functional.image import structural_similarity_index_measure

    prediction, target = (frames.float() for frames in noisy((1, 4, 3, 48, 33), 0.02))
    reference = structural_similarity_index_measure(prediction[0], target[0], data_range=1.0, reduction="none")
    assert torch.allclose(measure("ssim", prediction, target)[0], reference, atol=1e-4)


def test_the_openstl_variant_scores_the_same_frames_higher():
    prediction, target = (frames * 0.2 for frames in noisy((1, 3, 1, 64, 64), 0.5))  # little contrast
    assert (measure("ssim-openstl", prediction, target) > measure("ssim", prediction, target) + 0.02).all()


def test_msssim_is_that_of_each_channel_then_their_mean():
    """As pytorch_msssim and TensorFlow have it; scipy's filter, with the weights of Wang et al. 2003."""
    from scipy.ndimage import gaussian_filter

    prediction, target = noisy((1, 1, 3, 192, 224), 0.15)
    prediction[:, :, 1] = target[:, :, 1]  # channels differ, so the order of mean and product matters

    def window(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    def one_channel(x: np.ndarray, y: np.ndarray) -> float:
        product = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            mean_x, mean_y = window(x), window(y)
            var_x, var_y = window(x * x) - mean_x**2, window(y * y) - mean_y**2
            contrast = (2 * (window(x * y) - mean_x * mean_y) + 0.03**2) / (var_x + var_y + 0.03**2)
            luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
            product *= float((contrast * luminance if scale == 4 else contrast).mean()) ** weight
            x, y = (image.reshape(len(image) // 2, 2, -1, 2).mean((1, 3)) for image in (x, y))
        return product

    pairs = zip(prediction[0, 0].numpy(), target[0, 0].numpy(), strict=True)
    values = [one_channel(x, y) for x, y in pairs]
    assert measure("msssim", prediction, target).item() == pytest.approx(np.mean(values), abs=1e-6)
    assert values[1] == 1.0 > values[0]


def test_msssim_says_which_frames_it_needs():
    with pytest.raises(UserError, match="at least 176 pixels a side, not 200x175"):
        measure("msssim", torch.zeros(1, 1, 1, 200, 175), torch.zeros(1, 1, 1, 200, 175))
    prediction, target = (frames.float() for frames in noisy((2, 1, 1, 176, 190)))
    values = measure("msssim", prediction, target)
    assert values.shape == (2, 1)
    assert (values < 1).all()


# --- what holds for every metric


@pytest.mark.parametrize("name", ANY_SIZE)
def test_frames_are_measured_one_by_one(name):
    prediction, target = noisy((3, 4, 3, 20, 15))
    values = measure(name, prediction, target)
    assert values.shape == (3, 4)
    alone = measure(name, prediction[1:2, 2:3], target[1:2, 2:3])
    assert alone.item() == pytest.approx(values[1, 2].item(), rel=1e-9)


@pytest.mark.parametrize("name", ANY_SIZE)
def test_better_means_better_and_values_stay_in_range(name):
    metric = METRICS.get(name)
    slight, target = noisy((2, 2, 3, 24, 24), 0.02)
    strong, _ = noisy((2, 2, 3, 24, 24), 0.3)
    gain = metric(slight, target) - metric(strong, target)
    assert ((gain > 0) if metric.better == "higher" else (gain < 0)).all()
    low, high = metric.range
    for pair in ((slight, target), (torch.zeros_like(target), torch.ones_like(target))):
        assert ((metric(*pair) >= low - 1e-3) & (metric(*pair) <= high + 1e-3)).all()
    assert metric.name == name
    assert metric.definition
    assert metric.unit


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 13), st.integers(2, 13), st.sampled_from([1, 3]), st.sampled_from(ANY_SIZE))
def test_small_frames_have_finite_values(height, width, channels, name):
    values = measure(name, *noisy((1, 2, channels, height, width)))
    assert values.isfinite().all()


def test_shapes_that_differ_are_refused():
    with pytest.raises(UserError, match="mse needs two"):
        measure("mse", torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 1, 1, 4, 4))


# --- only what moves


def test_still_pixels_do_not_count_in_the_moving_variant():
    context = torch.zeros(1, 2, 1, 4, 4)
    target = context[:, :1].clone()
    target[..., 0, 0] = 1.0
    prediction = torch.full_like(target, 0.5)  # wrong everywhere
    metric = moving(METRICS.get("mse-sum"), context)
    assert metric.name == "mse-sum-moving"
    assert "last context frame" in metric.definition
    assert metric(prediction, target).item() == pytest.approx(0.25)
    assert moving(METRICS.get("mse"), context)(prediction, target).item() == pytest.approx(0.25 / 16)
    assert metric(prediction, context[:, :1]).item() == 0  # nothing moved
    barely = context[:, :1] + 0.019
    assert metric(prediction, barely).item() == 0
    assert moving(METRICS.get("mse-sum"), context, threshold=0.01)(prediction, barely).item() > 0


def test_a_colour_pixel_moves_as_a_whole():
    context = torch.zeros(1, 1, 3, 1, 2)
    target = context.clone()
    target[0, 0, 2, 0, 0] = 0.5  # blue only
    prediction = torch.ones_like(target)
    assert moving(METRICS.get("mse-sum"), context)(prediction, target).item() == pytest.approx(2.25)


def test_names_can_be_listed_without_torch():
    code = "import sys, nextframe.metrics as m; m.METRICS.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_metric_over_moving_pixels_has_a_name() -> None:
    context = torch.zeros(1, 2, 1, 4, 4)
    target = context[:, :1].clone()
    target[..., 0, 0] = 1.0  # the only pixel that moves; the prediction is wrong elsewhere too
    prediction = torch.full_like(target, 0.5)
    metric = find_metric("mse-sum-moving", context)
    assert metric.name == "mse-sum-moving"
    assert metric(prediction, target).item() == pytest.approx(0.25)
    with pytest.raises(UserError, match="unknown metric 'msee'; did you mean 'mse'"):
        find_metric("msee-moving", context)


# --- extras


@pytest.mark.parametrize(
    ("function", "weights"),
    [("lpips:lpips", "alexnet-owt-7be5be79.pth"), ("fvd:video_distance", "r3d_18-b3b3357e.pth")],
)
@pytest.mark.parametrize("installed", [False, True])
def test_what_an_extra_lacks_is_one_line(function, weights, installed, monkeypatch, tmp_path):
    module, _, name = function.partition(":")
    videos = torch.zeros(2, 2, 3, 32, 32)
    monkeypatch.setitem(sys.modules, "torchvision.models", types.ModuleType("models") if installed else None)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    says = "which are not at" if installed else r"install the extra nextframe\[lpips\], and put the weights at"
    with pytest.raises(NotSupportedError, match=says) as caught:
        getattr(importlib.import_module(f"nextframe.metrics.{module}"), name)(videos, videos)
    assert str(tmp_path / "checkpoints" / weights) in str(caught.value)


def test_frechet_distance_of_gaussians_worked_out_by_hand():
    first = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, -2.0], [0.0, 2.0]])  # mean 0, variances 2/3 and 8/3
    assert frechet_distance(first, first + 3) == pytest.approx(18)
    assert frechet_distance(first, 2 * first) == pytest.approx(2 / 3 + 8 / 3)  # (s - 2s)^2 along each axis
    assert frechet_distance(first, first.flip(1)) == pytest.approx(2 * (math.sqrt(8 / 3) - math.sqrt(2 / 3)) ** 2)
