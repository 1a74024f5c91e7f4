from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.color import redmean_squared
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import open_data
from nextframe.layers.augment import augment
from nextframe.losses.perceptual import perceptual
from nextframe.metrics import METRICS
from nextframe.models import MODELS
from nextframe.recipes import RECIPES, load_recipe

# model: trainable parameters, and all numbers with the batch norms' running statistics (as published)
SIZES = {
    "catz-conv2d": (408, 408),
    "catz-baseline-original": (14_467, 14_467),
    "catz-conv3d": (136, 136),
    "catz-convlstm": (1_968 + 165, 1_968 + 165),
    "catz-autoencoder": (45_688, 45_768),
}
ORIGINALS = [name for name in RECIPES if name.startswith("catz-") and not name.endswith("-fixed")]


def model_of(recipe: str, **fields):
    section = load_recipe(recipe).model
    seed_everything(0)
    return create_model(section.name, **section.fields | fields)


def film(size: tuple[int, int] = (12, 16), frames: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, frames, channels, *size, generator=torch.Generator().manual_seed(0))


# --- the originals, as they were


@pytest.mark.parametrize("name", SIZES)
def test_default_sizes_are_the_originals(name):
    model, fixed = create_model(name), create_model(MODELS.get(name).original_of)
    if name != "catz-conv3d":
        assert {k: v.shape for k, v in fixed.state_dict().items()} == {
            k: v.shape for k, v in model.state_dict().items()
        }
    trainable = sum(p.numel() for p in model.parameters())
    running = sum(b.numel() for key, b in model.named_buffers() if "running" in key)
    assert (trainable, trainable + running) == SIZES[name]
    assert model.config.context == 5
    assert model.config.channels == 3


@pytest.mark.parametrize("recipe", ORIGINALS)
def test_recipes_build_the_original_network_and_training(recipe):
    loaded = load_recipe(recipe)
    model = model_of(recipe)
    assert sum(p.numel() for p in model.parameters()) == SIZES[loaded.model.name][0]
    assert model.config.loss == "mse"
    training = loaded.training
    assert (training.batch, training.optimizer, training.lr, training.schedule) == (32, "adam", 1e-3, "constant")
    assert (loaded.data.context, loaded.data.horizon, loaded.data.size) == (5, 1, (96, 96))
    fixed = load_recipe(f"{recipe}-fixed")
    assert training.balance == "redrawn"
    assert fixed.training == training.model_copy(update={"balance": "clips", "precision": "auto"})
    assert fixed.model.name == model.original_of
    assert create_model(fixed.model.name, **fixed.model.fields).config.loss == "perceptual"


def test_epochs_are_steps():
    steps = {name: load_recipe(name).training.steps for name in ORIGINALS}
    notebook = {"catz-conv2d": 10, "catz-conv3d": 100, "catz-conv3d-noise": 100, "catz-convlstm": 40}
    assert steps == {name: 52 * n for name, n in (notebook | {"catz-autoencoder": 10}).items()} | {"catz-baseline": 400}


def test_conv2d_by_hand():
    model = model_of("catz-conv2d")
    with torch.no_grad():
        model.conv.weight.zero_()
        model.conv.bias.copy_(torch.tensor([0.0, 0.1, -2.0]))
        model.conv.weight[0, 4 * 3 + 2, 1, 1] = 0.5  # red from the last frame's blue, frames one after another
        model.conv.weight[1, 0 * 3 + 0, 1, 2] = 1.0  # green from the first frame's red, one to the right
    context = film()[:, :5]
    frame = model.next_frame(context)
    assert torch.allclose(frame[:, 0, 0], context[:, 4, 2] * 0.5)
    assert torch.allclose(frame[:, 0, 1, :, :-1], context[:, 0, 0, :, 1:] + 0.1)
    assert torch.allclose(frame[:, 0, 1, :, -1], torch.tensor(0.1))  # zeros beyond the border
    assert frame[:, 0, 2].max() == 0  # the ReLU's dead output


def test_conv3d_runs_over_colours_in_the_original_and_over_time_when_fixed():
    original, context = model_of("catz-conv3d"), film()[:, :5]
    changed = context.clone()
    changed[:, 4, 0] += 0.1  # red of the last frame: seen by red (through the last frame) and green, not by blue
    difference = (original(changed) - original(context)).abs().amax((0, 1, 3, 4))
    assert difference[0] > 0
    assert difference[1] > 0
    assert difference[2] == 0
    fixed = model_of("catz-conv3d-fixed")
    difference = (fixed(changed) - fixed(context)).abs().amax((0, 1, 3, 4))
    assert (difference > 0).all()
    assert sum(p.numel() for p in fixed.parameters()) == 3 * 3 * 27 + 3
    assert fixed.capabilities.reads == 3
    changed = context.clone()
    changed[:, :2] = 0
    assert torch.equal(fixed(changed), fixed(context))


@pytest.mark.parametrize("recipe", ["catz-conv3d-noise", "catz-convlstm"])
def test_noise_is_for_training_only_and_the_original_adds_it_to_the_answer(recipe):
    context = torch.full((2, 5, 3, 32, 32), 0.5)
    spread = {}
    for name in (recipe, f"{recipe}-fixed"):
        model = model_of(name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        assert torch.equal(model.eval()(context), context[:, -1:])
        spread[name] = float(model.train()(context).detach().std())
    assert spread[recipe] == pytest.approx(0.1, rel=0.05)
    assert spread[f"{recipe}-fixed"] == 0


def test_the_original_autoencoder_drops_once_and_the_fixed_one_three_times(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda maps, p, training: calls.append((p, training)) or maps)
    for recipe, expected in (("catz-autoencoder", 1), ("catz-autoencoder-fixed", 3)):
        calls.clear()
        model_of(recipe).train()(film((8, 8))[:, :5])
        assert calls == [(0.2, True)] * expected


def test_autoencoder_layers():
    model = create_model("convlstm-autoencoder")
    layers = [(layer.input_weight.shape[1], layer.hidden) for layer in model.children() if hasattr(layer, "hidden")]
    assert layers == [(3, 4), (4, 8), (8, 16), (16, 16), (16, 8), (8, 4)]
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [4, 8, 16, 8, 4]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert {(layer.gates.activation, layer.gates.gate) for layer in (model.down1, model.up3)} == {
        ("tanh", "hard_sigmoid")
    }
    half, quarter = model._encode(film((16, 24))[:, :5])
    assert half.shape == (2, 5, 8, 8, 12)
    assert quarter.shape == (2, 5, 16, 4, 6)


def test_the_baseline_works_in_levels_where_the_original_does():
    """A network of 0-255 is that of 0-1 with its biases divided by 255."""
    original, ours = model_of("catz-baseline"), model_of("catz-baseline-fixed")
    biases = {key: value for key, value in original.named_parameters() if key.endswith("bias")}
    with torch.no_grad():
        for value in biases.values():
            value.uniform_(0, 25)
        ours.load_state_dict({k: v / 255 if k in biases else v for k, v in original.state_dict().items()})
    context = film((10, 14))[:, :5]
    painted = ours.next_frame(context) - context[:, -1:]
    torch.testing.assert_close(original.next_frame(context), painted.relu(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recipe", ["catz-baseline-fixed", "catz-conv2d-fixed"])
def test_the_corrected_networks_say_what_changes(recipe):
    context, model = film((11, 13))[:, :5], model_of(recipe)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(model.next_frame(context), context[:, -1:])


@pytest.mark.parametrize("name", [*SIZES, *(MODELS.get(name).original_of for name in SIZES)])
def test_odd_sizes_give_what_the_even_crop_gives_away_from_the_border(name):
    model = create_model(name).eval()
    even = film((32, 40))[:, :5]
    odd = model(even[..., :31, :37])
    assert odd.shape == (2, 1, 3, 31, 37)
    if "lstm" not in name and "autoencoder" not in name:  # these see further than this
        torch.testing.assert_close(odd[..., :24, :30], model(even)[..., :24, :30])


def test_a_recipe_reads_the_folder_layout_of_catz(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(3):
            folder = tmp_path / "catz" / split / str(number)
            folder.mkdir(parents=True)
            for name in (*(f"cat_{i}" for i in range(5)), "cat_result"):
                level = 200 if name == "cat_result" else 20 * int(name[-1])
                picture = np.full((96, 96, 3), level, np.uint8) + rng.integers(3, size=(96, 96, 3), dtype=np.uint8)
                Image.fromarray(picture).save(folder / f"{name}.jpg")
    data = load_recipe("catz-conv2d").data.model_copy(update={"name": str(tmp_path / "catz")})
    clips = open_data(data)
    assert [clips.count(split) for split in ("train", "val", "test")] == [2, 1, 3]
    clip = clips.read("test", np.arange(3))
    assert clip.context.shape == (3, 5, 3, 96, 96)
    assert clip.context[0].float().mean((1, 2, 3)).sub(torch.arange(5) * 20).abs().max() < 5
    assert clip.target.float().mean() == pytest.approx(201, abs=3)  # cat_result comes last


# --- the loss


def test_the_loss_is_the_metric_plus_a_smooth_bottom():
    metric = METRICS.get("perceptual-distance")
    prediction, target = film(frames=2), film(frames=2).flip(-1)
    exact = metric(prediction, target).mean()
    assert perceptual(prediction, target, epsilon=0).item() == pytest.approx(exact.item(), rel=1e-6)
    assert exact - 1 <= perceptual(prediction, target) <= exact
    grey = prediction[:, :, :1]
    assert perceptual(grey, target[:, :, :1], 0).item() == pytest.approx(
        metric(grey, target[:, :, :1]).mean().item(), rel=1e-6
    )


def test_the_loss_has_a_finite_gradient_everywhere():
    target = film(frames=1)
    prediction = target.clone().requires_grad_()
    loss = perceptual(prediction, target)
    loss.backward()
    assert loss == 0
    assert torch.equal(prediction.grad, torch.zeros_like(target))
    far = (target * 40 - 20).requires_grad_()  # an untrained network: the formula's weights turn negative
    value = perceptual(far, target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(far.grad).all()


def test_squared_distance_is_per_pixel_and_leaves_its_inputs_alone():
    prediction, target = film(frames=1), film(frames=1).flip(0)
    kept = prediction.clone()
    assert redmean_squared(prediction, target).shape == (2, 1, 12, 16)
    assert torch.equal(prediction, kept)


# --- augmentation


def test_augmenting_mirrors_context_and_target_alike_and_changes_no_colour():
    frames = film((6, 7)).repeat(8, 1, 1, 1, 1)
    seed_everything(0)
    changed = augment(Clip(frames[:, :5], frames[:, 5:])).frames
    assert not torch.equal(changed, frames)
    found = set()
    for before, after in zip(frames, changed, strict=True):
        ways = [flips for flips in ((), (-1,), (-2,), (-1, -2)) if torch.equal(before.flip(flips), after)]
        assert len(ways) == 1  # one way for all frames of the clip
        found.add(ways[0])
    assert len(found) == 4
