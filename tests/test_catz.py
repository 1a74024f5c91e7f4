from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.checkpoint import create_model, load_model
from nextframe.core.clip import Clip
from nextframe.core.color import redmean_squared
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import DataConfig, open_data
from nextframe.evaluation import DEFAULT_METRICS, evaluate
from nextframe.layers.augment import augment
from nextframe.losses.perceptual import perceptual
from nextframe.metrics import METRICS
from nextframe.models import MODELS
from nextframe.models.contract import Objective, OptimizerDefaults
from nextframe.recipes import RECIPES, load_recipe
from nextframe.training import TrainingConfig, override, read_metrics, train
from nextframe.training.folder.samples import save_samples
from nextframe.training.optim.keras_adam import KerasAdam
from nextframe.training.optim.optimizer import build_optimizer

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
    assert (training.batch, training.optimizer, training.lr, training.schedule) == (32, "keras-adam", 1e-3, "constant")
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


@pytest.mark.parametrize("name", ["catz-convlstm", "convlstm-residual"])
def test_any_number_of_frames_is_read_by_the_same_weights(name):
    """The recurrence by hand: one frame after another, from a state of zeros, and the change of the last map."""
    model = create_model(name).eval()
    with torch.no_grad():
        torch.nn.init.normal_(model.out.bias, std=0.1)
    for count in (1, 2, 5, 9):
        context, state = film(frames=count), None
        for frame in context.unbind(1):
            maps, state = model.lstm(frame.unsqueeze(1), state)
        expected = (context[:, -1] + model.out(maps[:, -1])).clamp(0, 1).detach()
        torch.testing.assert_close(model.predict(context, 1)[:, 0], expected)
        three = model.predict(context, 3)
        seen = torch.cat([context, three[:, :1]], dim=1)  # it reads at least the 5 frames of training, then the last
        torch.testing.assert_close(three[:, 1:2], model.predict(seen[:, -max(count, 5) :], 1))
    with pytest.raises(UserError, match="at least 1 context frames, there are 0"):
        model.predict(film()[:, :0], 1)


def test_it_trains_on_any_number_of_frames_from_the_weights_of_another(tmp_path):
    data = DataConfig(context=5, horizon=1, size=(32, 32), color="rgb", options={"count": 1})
    recipe = load_recipe("catz-convlstm").model_copy(update={"data": data})
    settings = {"training.steps": 2, "training.batch": 2, "training.val_every": 2, "training.balance": "clips"}
    recipe = override(recipe, settings | {"training.val_clips": 2})
    started, before = "", None
    for count in (5, 1, 2, 9):
        more = {"data.context": count} | ({"training.start_from": started} if started else {})
        started = str(tmp_path / str(count))
        train(override(recipe, more), tmp_path / str(count), show=False)
        model = load_model(started)
        assert model.config.context == count
        weight = model.lstm.input_weight
        assert before is None or 0 < (weight - before).abs().max() < 0.003  # two steps of 1e-3 on from the last
        before = weight
        assert model.predict(film((32, 32), frames=4)[:, :3], 2).shape == (2, 2, 3, 32, 32)


DISTURBED = ["conv3d", "catz-conv3d", "convlstm-residual", "catz-convlstm", "convlstm-autoencoder", "catz-autoencoder"]


@pytest.mark.parametrize("name", DISTURBED)
def test_dropout_can_take_the_place_of_noise(name):
    """Without weights a hybrid repeats what it sees: the original the context with holes, ours the frame itself."""
    model = create_model(name, noise=0.0, input_dropout=0.25)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        if "autoencoder" in name:
            model.head.weight[:, :3, 0, 0] = torch.eye(3)
    context = torch.full((4, 5, 3, 32, 32), 0.6)
    assert torch.equal(model.eval().next_frame(context), context[:, -1:])
    seed_everything(0)
    frame = model.train().next_frame(context).detach()
    if not model.original_of:
        assert torch.equal(frame, context[:, -1:])
        return
    holes = frame == 0
    assert float(holes.float().mean()) == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(frame[~holes], torch.full_like(frame[~holes], 0.6 / 0.75))


def test_dropout_of_the_context_reaches_our_networks_too():
    model = create_model("conv3d", input_dropout=0.5).train()
    seed_everything(0)
    context = film()[:, :5]
    assert not torch.equal(model.next_frame(context), model.eval().next_frame(context))


# --- the log, the images and the optimiser of the notebook


def folder_of_gifs(root, count=4):
    """Folders of six frames as `catz` has them."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(count):
            folder = root / "catz" / split / str(number)
            folder.mkdir(parents=True)
            for name in (*(f"cat_{i}" for i in range(5)), "cat_result"):
                Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(folder / f"{name}.jpg")
    return root / "catz"


def test_perceptual_distance_is_logged_and_evaluated_as_in_the_notebook(tmp_path):
    recipe = load_recipe("catz-conv2d")
    settings = {"data.options.root": str(folder_of_gifs(tmp_path)), "data.size": (16, 16), "training.steps": 2}
    small = {"training.batch": 2, "training.log_every": 1, "training.val_every": 1, "training.device": "cpu"}
    train(override(recipe, settings | small), tmp_path / "run", show=False)
    lines = read_metrics(tmp_path / "run")
    assert [{"train/perceptual-distance", "val/perceptual-distance"} <= line.keys() for line in lines] == [True, True]
    rows = evaluate(tmp_path / "run", override(recipe, settings).data, "val").rows
    assert rows[0].metric == "perceptual-distance"
    assert {row.metric for row in rows} == {"perceptual-distance", *DEFAULT_METRICS}
    mine = next(row for row in rows if row.model == "catz-conv2d")
    logged = {line["step"]: line["val/perceptual-distance"] for line in lines}
    kept = json.loads((tmp_path / "run" / "model" / "config.json").read_text())["training"]["step"]
    assert mine.mean == pytest.approx(logged[kept], rel=1e-4)
    named = evaluate(tmp_path / "run", override(recipe, settings).data, "val", metrics=("mse",)).rows
    assert {row.metric for row in named} == {"mse"}


def test_the_image_of_a_validation_has_as_many_clips_as_the_notebook_logs(tmp_path):
    assert {load_recipe(name).training.samples for name in RECIPES if name.startswith("catz-")} == {15}
    clips = open_data(DataConfig(context=2, horizon=1, size=(32, 32)))
    heights = {}
    for count in (2, 15):
        (path,) = save_samples(create_model("copy-last"), clips, tmp_path, count, "cpu", count)
        with Image.open(path) as image:
            heights[count] = image.height
    assert heights[15] * 2 == heights[2] * 15


def test_an_unknown_metric_of_a_recipe_is_named():
    with pytest.raises(UserError, match="unknown metric 'perceptual'; did you mean 'perceptual-distance'"):
        TrainingConfig.parse({"steps": 1, "metrics": ["perceptual"]})
    assert TrainingConfig(steps=1, metrics=("psnr-moving",)).metrics == ("psnr-moving",)


def test_without_a_copy_one_line_says_where_the_cats_are_and_how_to_lay_them_out():
    with pytest.raises(UserError) as refused:
        open_data(load_recipe("catz-conv2d").data)
    line = str(refused.value)
    assert "\n" not in line
    for part in ("nothing is downloaded", "wandb/catz.tar.gz", "licence: none stated", "cat_result.jpg", "--root ROOT"):
        assert part in line


KERAS = [name for name in RECIPES if name.startswith("catz-") or name == "keras-convlstm"]


@pytest.mark.parametrize("name", KERAS)
def test_recipes_of_keras_take_the_steps_of_its_adam(name):
    """By its formula, lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + 1e-7); torch's step is 30 times larger here."""
    training = load_recipe(name).training
    weight = torch.nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))
    wants = OptimizerDefaults("adam", lr=1e-3)
    optimizer = build_optimizer(Objective("x", [weight], lambda clip: (torch.zeros(()), {}), wants), training)
    m = v = expected = 0.0
    for step, gradient in enumerate((1e-7, -3e-8, 2e-6), start=1):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        rate = 1e-3 * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected -= rate * m / (math.sqrt(v) + 1e-7)
        assert weight.item() == pytest.approx(expected, rel=1e-9)
        if step == 1:
            assert weight.item() == pytest.approx(-3.065e-5, rel=1e-3)  # and not -9.1e-4


def test_kerass_adam_goes_on_after_a_checkpoint_as_if_it_had_not_stopped():
    def steps(halves):
        weight = torch.nn.Parameter(torch.zeros(2, 2))
        state = None
        for half in halves:
            optimizer = KerasAdam([weight], 1e-3, (0.9, 0.999))
            if state:
                optimizer.load_state_dict(state)
            for gradient in half:
                weight.grad = torch.full_like(weight, gradient)
                optimizer.step()
            state = optimizer.state_dict()
        return weight.detach()

    assert torch.equal(steps([[1e-7, 2e-7], [3e-7]]), steps([[1e-7, 2e-7, 3e-7]]))


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
