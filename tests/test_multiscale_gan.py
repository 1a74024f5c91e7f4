"""Multiscale-gan and its originals: sizes, the residual, who gets which gradient, resuming, tiles, pictures."""

import logging
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from nextframe.checkpoint import create_model, load_model
from nextframe.core.clip import Clip, Task, as_float
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import DataConfig
from nextframe.data.sets.moving_digits import MovingDigits
from nextframe.layers.scales import grow, scale_sizes, shrink
from nextframe.models import MODELS
from nextframe.models.contract import TrainedTask
from nextframe.prediction import predict
from nextframe.prediction.sizes.tiles import Tiled, stretches
from nextframe.recipes import RECIPES, load_recipe
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train
from nextframe.training.folder.checkpoints import load_state
from nextframe.training.trainer import Trainer
from tiny import Tiny, TinyConfig

MATHIEU = ["mathieu-chainer", "mathieu-tf", "mathieu-paper"]


def build(name="multiscale-gan", **fields):
    seed_everything(0, "weights")
    return create_model(name, **({"width": 4, "pretrain": 0.0} | fields))


def alone(name="multiscale-gan", **fields):
    """The generator without an adversary."""
    return build(name, adversarial_weight=0.0, **fields)


def clip_of(batch=2, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(batch, 5, 3, height, width, generator=generator)
    return Clip(frames[:, :4], frames[:, 4:])


# --- the tables


def test_the_generators_have_the_papers_sizes():
    generator = alone(width=128).generator
    counts = [sum(p.numel() for p in stack.parameters()) for stack in generator.stacks]
    assert counts == [607_619, 647_939, 3_008_003, 8_306_179]
    assert sum(counts) == 12_569_740
    kernels = [[layer.kernel_size[0] for layer in stack[::2]] for stack in generator.stacks]
    assert kernels == [[3, 3, 3, 3], [5, 3, 3, 5], [5, 3, 3, 3, 3, 5], [7, 5, 5, 5, 5, 7]]


@pytest.mark.parametrize(
    ("name", "flat", "total"),
    [
        ("mathieu-chainer", [256, 512, 4096, 18_432], 34_668_676),
        ("mathieu-tf", [64, 128, 1024, 4608], 16_875_652),
    ],
)
def test_the_discriminators_have_the_ports_sizes(name, flat, total):
    model = create_model(name)
    linear = [[m for m in d.modules() if isinstance(m, torch.nn.Linear)] for d in model.discriminators]
    assert [layers[0].in_features for layers in linear] == flat
    assert [[m.out_features for m in layers] for layers in linear] == [[512, 256, 1], *[[1024, 512, 1]] * 3]
    assert sum(p.numel() for p in model.discriminators.parameters()) == total


def test_the_authors_script_has_a_small_model():
    model = create_model("mathieu-torch")
    maps = [[layer.out_channels for layer in stack[::2]] for stack in model.generator.stacks]
    assert maps == [[16, 32, 16, 3]] * 2 + [[16, 32, 64, 32, 16, 3]] * 2
    finest = model.discriminators[3].layers
    assert [(m.in_channels, m.out_channels) for m in finest if isinstance(m, torch.nn.Conv2d)] == [
        (15, 32),
        (32, 32),
        (32, 64),
        (64, 128),
    ]


def weighted_layers(model):
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    return [layer for judge in model.discriminators for layer in judge.modules() if isinstance(layer, kinds)]


def test_the_chainer_ports_discriminators_start_with_lecuns_weights_and_no_biases():
    """Deviation 1 / sqrt(inputs of a unit): 0.082 for 3 channels and a kernel of 7, the finest scale's first."""
    seed_everything(0, "weights")
    layers = weighted_layers(create_model("mathieu-chainer", width=4))
    for layer in layers:
        expected = layer.weight[0].numel() ** -0.5
        if layer.weight.numel() > 1500:
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert layer.weight.abs().max() > 3 * expected  # normal, neither cut nor uniform
        assert layer.bias.abs().max() == 0
    finest = next(layer for layer in layers if layer.weight.shape == (128, 3, 7, 7))
    assert finest.weight.std().item() == pytest.approx(0.0825, rel=0.02)


def test_the_tensorflow_ports_discriminators_start_with_cut_normal_weights_and_biases_of_a_tenth():
    """Deviation 0.01, cut at twice that: 0.0088 is left of it, whatever the size of the layer."""
    for layer in weighted_layers(build("mathieu-tf", d_table="authors")):
        assert layer.weight.abs().max() <= 0.02
        if layer.weight.numel() > 1500:
            assert layer.weight.std().item() == pytest.approx(0.0088, rel=0.05)
        torch.testing.assert_close(layer.bias, torch.full_like(layer.bias, 0.1))


@pytest.mark.parametrize("name", ["mathieu-paper", "mathieu-torch"])
def test_discriminators_of_the_paper_start_as_torchs_layers(name):
    """Uniform within 1 / sqrt(inputs of a unit), biases too, as Torch's layers did."""
    for layer in weighted_layers(build(name, d_table="authors")):
        bound = layer.weight[0].numel() ** -0.5
        assert layer.weight.abs().max() <= bound
        if layer.weight.numel() > 1500:
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_spectral_norm_does_not_hide_a_ports_initial_weights():
    judge = build("mathieu-tf", spectral=True, d_table="authors").discriminators[3]
    raw = judge.layers[0].parametrizations.weight.original
    assert raw.std().item() == pytest.approx(0.0088, rel=0.05)


@pytest.mark.parametrize("name", MATHIEU)
def test_recipes_say_what_the_codes_say(name):
    recipe = load_recipe(name)
    model = create_model(recipe.model.name, **recipe.model.fields)
    (stage,) = model.stages()
    found = [(o.name, o.optimizer.name, o.optimizer.lr, o.own_batch) for o in stage.objectives]
    order = {
        "mathieu-chainer": [("generator", "sgd", 4e-5, False), ("discriminator", "sgd", 0.02, False)],
        "mathieu-tf": [("discriminator", "sgd", 0.02, True), ("generator", "adam", 4e-5, False)],
        "mathieu-paper": [("discriminator", "sgd", 0.02, True), ("generator", "sgd", 0.04, False)],
    }
    assert found == order[name]
    assert recipe.training.batch == {"mathieu-chainer": 1}.get(name, 8)
    assert recipe.training.steps == 500_000
    assert sum(p.numel() for p in model.generator.parameters()) == 12_569_740
    last = stage.objectives[-1].optimizer
    assert last.lr * last.final == pytest.approx({"mathieu-paper": 0.005}.get(name, last.lr))


# --- scales and the residual


def test_scales_are_halves_rounded_down():
    assert scale_sizes(210, 160, 4) == [(26, 20), (52, 40), (105, 80), (210, 160)]
    assert scale_sizes(5, 3, 4) == [(1, 1), (1, 1), (2, 1), (5, 3)]


def test_three_ways_to_halve_and_double():
    line = torch.tensor([0.0, 1.0, 2.0, 7.0]).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    half = {"average": [0.5, 4.5], "bilinear-corners": [0.0, 7.0], "bilinear-legacy": [0.0, 2.0]}
    for how, expected in half.items():
        assert shrink(line, (2, 2), how)[0, 0, 0].tolist() == expected
    pair = torch.tensor([0.0, 3.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    double = {"average": [0, 0, 3, 3], "bilinear-corners": [0, 1, 2, 3], "bilinear-legacy": [0, 1.5, 3, 3]}
    for how, expected in double.items():
        assert grow(pair, (4, 4), how)[0, 0, 0].tolist() == pytest.approx(expected)


def test_a_frame_read_at_the_centres_is_halved_to_means_of_two_and_quartered_to_means_of_the_middle_two():
    line = torch.tensor([0.0, 1, 2, 7, 4, 6, 8, 9]).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    expected = {4: [0.5, 4.5, 5.0, 8.5], 2: [1.5, 7.0], 1: [5.5]}
    for size, values in expected.items():
        assert shrink(line, (size, size), "bilinear-centres")[0, 0, 0].tolist() == values


@pytest.mark.parametrize("size", [(26, 20), (52, 40), (105, 80), (9, 7)])
def test_a_frame_read_at_the_centres_is_that_of_skimage(size):
    from skimage.transform import resize

    frame = np.random.default_rng(0).random((210, 160, 3))
    expected = torch.from_numpy(resize(frame, size, order=1, anti_aliasing=False)).permute(2, 0, 1)
    found = shrink(torch.from_numpy(frame).permute(2, 0, 1)[None], size, "bilinear-centres")[0]
    torch.testing.assert_close(found, expected)


def test_odd_sizes_are_averaged_without_a_pixel_lost():
    frames = torch.rand(1, 2, 7, 9)
    assert shrink(frames, (3, 4)).shape == (1, 2, 3, 4)
    torch.testing.assert_close(shrink(frames, (1, 1)).flatten(), frames.mean((2, 3)).flatten())


@pytest.mark.parametrize("name", [*MATHIEU, "mathieu-torch"])
def test_each_scale_of_the_paper_adds_to_the_enlarged_coarser_one_and_of_the_ports_begins_anew(name):
    """With all weights zero a generator gives its last bias: Y_k = tanh(u(Y_{k-1}) + b_k), or tanh(b_k)."""
    generator = alone(name).generator
    biases = [0.1, 0.2, 0.3, 0.4]
    for stack, value in zip(generator.stacks, biases, strict=True):
        for parameter in stack.parameters():
            torch.nn.init.zeros_(parameter)
        torch.nn.init.constant_(stack[-1].bias, value)
    expected, value = [], 0.0
    for bias in biases:
        value = math.tanh(bias + (value if name in ("mathieu-paper", "mathieu-torch") else 0))
        expected.append(value)
    pictures = generator(torch.zeros(1, 4, 3, 21, 18))
    assert [tuple(p.shape[-2:]) for p in pictures] == [(2, 2), (5, 4), (10, 9), (21, 18)]
    for found, value in zip(pictures, expected, strict=True):
        torch.testing.assert_close(found, torch.full_like(found, value))


def test_on_the_last_frame_only_changes_are_handed_to_the_finer_scale():
    """With all weights zero and biases b: the last frame, with all its edges, plus the sum of the biases."""
    generator = alone().generator
    for stack in generator.stacks:
        for parameter in stack.parameters():
            torch.nn.init.zeros_(parameter)
        torch.nn.init.constant_(stack[-1].bias, 0.1)
    context = clip_of(1, 21, 18).context * 2 - 1
    torch.testing.assert_close(generator(context)[-1], context[:, -1] + 0.4)


def test_on_the_last_frame_a_generator_reads_steps_between_frames():
    generator = alone(scales=1).generator
    context = clip_of().context * 2 - 1
    seen = torch.cat([context.diff(dim=1).flatten(1, 2), context[:, -1]], dim=1)
    torch.testing.assert_close(generator(context)[0], context[:, -1] + generator.stacks[0](seen))


def test_it_starts_near_the_last_frame():
    context = clip_of().context
    assert (build(width=16).predict(context, 1)[:, 0] - context[:, -1]).abs().max() < 0.1


def test_the_finer_generator_sees_the_frames_of_its_scale_and_the_coarser_prediction():
    generator = alone("mathieu-paper").generator
    context = clip_of().context * 2 - 1
    pictures = generator(context)
    given = F.avg_pool2d(context.flatten(1, 2), 2)
    guess = F.interpolate(pictures[1], scale_factor=2)
    expected = (guess + generator.stacks[2](torch.cat([given, guess], dim=1))).tanh()
    torch.testing.assert_close(pictures[2], expected)


@pytest.mark.parametrize(("height", "width"), [(210, 160), (37, 23), (9, 50)])
def test_any_size_can_be_predicted_even_with_discriminators_of_one_size(height, width):
    model = build("mathieu-torch")
    assert model.predict(clip_of(1, height, width).context, 2).shape == (1, 2, 3, height, width)


# --- who gets which gradient


@pytest.mark.parametrize("name", ["multiscale-gan", *MATHIEU])
def test_the_adversarial_gradient_reaches_the_generator_and_no_discriminator(name):
    fields = {} if name == "multiscale-gan" else {"d_table": "light"}
    model = build(name, pixel_weight=0.0, gradient_weight=0.0, adversarial_weight=1.0, **fields)
    loss, _ = model.generator_loss(clip_of())
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.generator.parameters())
    assert all(p.grad is None and p.requires_grad for p in model.discriminators.parameters())
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter -= 1e-3 * parameter.grad / parameter.grad.norm()
    model.eval()
    assert model.generator_loss(clip_of())[0] < loss


def test_the_discriminators_loss_gives_the_generator_no_gradient():
    model = build()
    model.discriminator_loss(clip_of())[0].backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.discriminators.parameters())


def test_weights_multiply_the_terms():
    clip, model = clip_of(), build(pixel_weight=2.0, gradient_weight=3.0, adversarial_weight=0.5).eval()
    loss, logs = model.generator_loss(clip)
    expected = 2 * logs["l1"] + 3 * logs["gdl"] + 0.5 * logs["adversarial"]
    torch.testing.assert_close(loss.detach(), expected)


def test_a_conditional_discriminator_sees_the_context_and_another_does_not():
    clip = clip_of()
    other = Clip(clip.context.flip(0), clip.target)
    for name in ("multiscale-gan", "mathieu-paper", "mathieu-chainer", "mathieu-tf"):
        model = build(name).eval()
        truths = model._truths(clip)
        scores = [model._scores(c, truths)[3] for c in (clip, other)]
        assert torch.equal(*scores) == (name in ("mathieu-chainer", "mathieu-tf"))


def test_the_discriminator_judges_the_frames_that_the_generator_made_before_its_step():
    """On a shared batch, as in the Chainer port; on another clip new frames are made."""
    model, clip = build().eval(), clip_of()
    before, _ = model.discriminator_loss(clip)
    model.generator_loss(clip)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.mul_(0.5)
    assert torch.equal(model.discriminator_loss(clip)[0], before)
    assert not torch.equal(model.discriminator_loss(clip)[0], before)  # kept for one turn only


def test_the_tensorflow_ports_discriminators_see_true_frames_by_a_filter_of_their_own():
    """Means of pixels, where its generator's truths are every second, fourth and eighth pixel."""
    model, clip, shown = build("mathieu-tf", d_table="authors").eval(), clip_of(), []
    for judge in model.discriminators:
        judge.register_forward_pre_hook(lambda judge, given: shown.append(given[0]))
    model.discriminator_loss(clip)
    truth = clip.target[:, 0] * 2 - 1
    expected = [truth[..., 3::8] + truth[..., 4::8], truth[..., 1::4] + truth[..., 2::4]]
    expected = [a[..., k::s, :] + a[..., k + 1 :: s, :] for a, k, s in zip(expected, (3, 1), (8, 4), strict=True)]
    for seen, four in zip(shown[:2], expected, strict=True):
        torch.testing.assert_close(seen, four / 4)
    torch.testing.assert_close(shown[2], F.avg_pool2d(truth, 2))
    assert torch.equal(shown[3], truth)
    assert torch.equal(model._truths(clip)[2], truth[..., ::2, ::2])  # what the generator is held to


@pytest.mark.parametrize("name", ["multiscale-gan", "mathieu-chainer", "mathieu-paper", "mathieu-torch"])
def test_other_discriminators_see_the_truths_that_the_generator_is_held_to(name):
    fields = {} if name == "multiscale-gan" else {"d_table": "authors"}
    model, clip, shown = build(name, **fields).eval(), clip_of(), []
    for judge in model.discriminators:
        judge.register_forward_pre_hook(lambda judge, given: shown.append(given[0][:, -3:]))
    model.discriminator_loss(clip)
    assert all(torch.equal(a, b) for a, b in zip(shown[:4], model._truths(clip), strict=True))


def test_the_authors_extra_pairs_call_a_true_frame_of_another_clip_false():
    """Real pairs count twice, and the context of a clip with the true frame of the one before it is judged as made."""
    model, clip = build("mathieu-torch", extra_pairs=True).eval(), clip_of(3)
    plain = build("mathieu-torch").eval()
    plain.load_state_dict(model.state_dict())
    loss, logs = model.discriminator_loss(clip)
    foreign = Clip(clip.context, clip.target[[2, 0, 1]])
    real, false = model._scores(clip, model._truths(clip)), model._scores(clip, model._truths(foreign))
    extra = sum(F.softplus(-a).mean() + F.softplus(b).mean() for a, b in zip(real, false, strict=True)) / 2
    torch.testing.assert_close(loss, plain.discriminator_loss(clip)[0] + extra)
    torch.testing.assert_close(logs["extra"], extra.detach())
    with pytest.raises(UserError, match=r"set training\.batch to 2 or more"):
        model.discriminator_loss(clip_of(1))


def test_the_authors_recipe_is_their_script():
    recipe = load_recipe("mathieu-torch")
    model = create_model("mathieu-torch", **recipe.model.fields)
    judges, generator = model.stages()[0].objectives
    assert (recipe.training.steps, recipe.training.batch, recipe.training.precision) == (1_000_000, 8, "32")
    assert (generator.optimizer.name, generator.optimizer.lr, generator.optimizer.final) == ("sgd", 0.02, 1)
    assert (judges.optimizer.name, judges.optimizer.lr, judges.own_batch) == ("sgd", 0.04, True)  # of half the loss
    assert model.config.extra_pairs
    assert (model.config.p, model.config.gradient_weight, model.config.adversarial_weight) == (2, 0, 0.01)


def test_r1_is_added_in_training_only():
    model, clip = build(r1=10.0).eval(), clip_of()
    loss, logs = model.discriminator_loss(clip)
    plain, _ = build().eval().discriminator_loss(clip)
    torch.testing.assert_close(loss, plain + 10 * logs["r1"])
    with torch.no_grad():
        assert "r1" not in model.discriminator_loss(clip)[1]


def test_a_dense_discriminator_names_the_size_it_is_made_for():
    model = build("mathieu-torch")
    with pytest.raises(UserError, match="made for 4x4, not 5x4: train on crops of that size"):
        model.discriminator_loss(clip_of(1, 40, 32))
    with pytest.raises(UserError, match="frames of 2x2 are too small"):
        build("mathieu-paper", frame_height=16, frame_width=16)


def test_stages_without_and_with_an_adversary():
    def found(**fields):
        return [(s.name, s.share, [o.name for o in s.objectives]) for s in build(**fields).stages()]

    assert found(adversarial_weight=0.0) == [("train", 1.0, ["generator"])]
    assert found(pretrain=0.25) == [
        ("pretrain", 0.25, ["generator"]),
        ("adversarial", 0.75, ["generator", "discriminator"]),
    ]


# --- training


DATA = DataConfig(context=4, horizon=1, size=(32, 32), options={"count": 1, "val_clips": 4})
SMALL = {"width": 2, "scales": 2, "pretrain": 0.5}


def recipe(fields=None, name="multiscale-gan", **training):
    values = {
        "precision": "32",
        "steps": 8,
        "batch": 2,
        "log_every": 1,
        "val_every": 100,
        "checkpoint_every": 3,
        "val_clips": 2,
    }
    values |= {"schedule": "constant", "ema": 0.9}
    model = ModelSection(name=name, fields=SMALL | (fields or {}))
    return Recipe(model=model, data=DATA, training=TrainingConfig(**(values | training)))


def trained_until(stop_at, target, folder, monkeypatch):
    original = Trainer._train_step

    def step_or_stop(self, *arguments):
        if self.step == stop_at:
            raise RuntimeError("killed")
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", step_or_stop)
        with pytest.raises(RuntimeError, match="killed"):
            train(target, folder, show=False)


@pytest.mark.parametrize("stop_at", [5, 7])  # resumed from checkpoint 3 (generator alone) and 6 (both)
def test_a_killed_run_goes_on_with_both_optimizers_and_identical_losses(stop_at, tmp_path, monkeypatch):
    whole = recipe({"d_table": "light", "channels": 1}, "mathieu-tf")  # Adam and batches of its own
    train(whole, tmp_path / "whole", show=False)
    trained_until(stop_at, whole, tmp_path / "cut", monkeypatch)
    assert len(load_state(tmp_path / "cut" / "checkpoints")["optimizers"]) == (1 if stop_at == 5 else 2)
    train(whole, tmp_path / "cut", resume=True, show=False)
    timing = ("seconds", "clips_per_s")
    lines = [
        [{k: v for k, v in line.items() if k not in timing} for line in read_metrics(tmp_path / run)]
        for run in ("whole", "cut")
    ]
    assert lines[0] == lines[1]
    states = [load_model(tmp_path / run).state_dict() for run in ("whole", "cut")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_every_term_gradient_norm_and_accuracy_is_logged(tmp_path):
    train(recipe(), tmp_path / "run", show=False)
    pretrain, *_, last = read_metrics(tmp_path / "run")
    assert {"train/l1", "train/gdl", "train/grad_norm"} <= set(pretrain)
    pair = {f"train/generator/{term}" for term in ("l1", "gdl", "adversarial", "grad_norm", "loss")}
    pair |= {f"train/discriminator/{term}" for term in ("accuracy", "grad_norm", "loss")}
    assert pair <= set(last)


def test_with_batches_of_its_own_the_discriminator_sees_other_clips(tmp_path, monkeypatch):
    seen = {}
    for loss in ("generator_loss", "discriminator_loss"):
        original = getattr(MODELS.get("multiscale-gan"), loss)  # that of its subclasses too

        def spy(self, clip, original=original, loss=loss):
            seen.setdefault(loss, []).append(clip.context.sum().item())
            return original(self, clip)

        monkeypatch.setattr(MODELS.get("multiscale-gan"), loss, spy)
    own = {"pretrain": 0.0, "d_table": "light"}
    train(recipe(own, "mathieu-tf", steps=2, val_clips=1), tmp_path / "own", show=False)
    assert seen["generator_loss"][:2] != seen["discriminator_loss"][:2]
    seen.clear()
    train(recipe({"pretrain": 0.0}, steps=2, val_clips=1), tmp_path / "shared", show=False)
    assert seen["generator_loss"][:2] == seen["discriminator_loss"][:2]


def poisoned(monkeypatch, steps):
    """Put a NaN into one pixel of the training batches `steps`, which are read in order."""
    original, reads = MovingDigits.read, iter(range(1000))

    def read(self, split, indices):
        clip = original(self, split, indices)
        if split != "train" or next(reads) not in steps:
            return clip
        context = as_float(clip.context.clone())
        context[0, 0, 0, 0, 0] = math.nan
        return Clip(context, as_float(clip.target))

    monkeypatch.setattr(MovingDigits, "read", read)


def test_a_nan_in_a_batch_leaves_that_update_out_and_the_run_goes_on(tmp_path, monkeypatch, caplog):
    poisoned(monkeypatch, {2, 5})
    with caplog.at_level(logging.WARNING):
        train(recipe(), tmp_path / "run", show=False)
    assert "step 2: the gradient of generator is not finite: this update is skipped" in caplog.text
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines if "train/left_out" in line] == [3]
    assert [line["step"] for line in lines if "train/discriminator/left_out" in line] == [6]
    assert all(math.isfinite(v) for line in lines for v in line.values() if isinstance(v, float))
    assert all(torch.isfinite(p).all() for p in load_model(tmp_path / "run").state_dict().values())


def test_a_run_that_sees_nothing_but_nan_stops_and_its_last_good_checkpoint_stays(tmp_path, monkeypatch):
    poisoned(monkeypatch, set(range(4, 1000)))
    with pytest.raises(NextframeError, match="not finite at step 13: the last good checkpoint is kept"):
        train(recipe(steps=40, checkpoint_every=4), tmp_path / "run", show=False)
    state = load_state(tmp_path / "run" / "checkpoints")
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_a_discriminator_that_wins_is_reported_once(tmp_path, caplog):
    """A rate of nothing for the generator and a high one for its adversary: it soon tells all frames apart."""
    settings = {"pretrain": 0.0, "g_lr": 1e-9, "d_lr": 0.001, "d_table": "light"}
    with caplog.at_level(logging.WARNING):
        train(
            recipe(settings, "mathieu-paper", steps=40, batch=4, log_every=10, optimizer="adam"),
            tmp_path / "run",
            show=False,
        )
    accuracies = [line["train/discriminator/accuracy"] for line in read_metrics(tmp_path / "run")]
    assert accuracies[-1] > 0.97
    assert caplog.text.count("the discriminator wins") == 1


def test_a_rate_can_fall_over_its_stage(tmp_path):
    train(recipe({"adversarial_weight": 0.0, "g_lr": 6e-4}, "mathieu-paper"), tmp_path / "run", show=False)
    rates = [line["lr"] for line in read_metrics(tmp_path / "run")]
    assert rates[0] == pytest.approx(6e-4)
    assert rates[4] == pytest.approx(6e-4 * 0.125**0.5)  # half way to an eighth


def test_the_small_recipe_is_the_model_as_it_is():
    assert RECIPES.get("multiscale-gan-small").model == ModelSection(name="multiscale-gan")


# --- tiles and pictures


def test_tiles_cover_a_frame_and_share_their_overlap():
    assert stretches(210, 96, 32) == [(0, 96), (64, 160), (128, 210)]
    assert stretches(50, 96, 32) == [(0, 50)]


@pytest.fixture
def _tiny_is_registered(monkeypatch):
    monkeypatch.setitem(MODELS._entries, "tiny", "tiny:Tiny")


@pytest.mark.parametrize(("height", "width"), [(150, 91), (64, 200)])
def test_tiles_are_not_seen_where_the_overlap_covers_what_a_model_looks_at(height, width):
    torch.manual_seed(0)
    context = torch.rand(1, 3, 1, height, width)
    whole = Tiny(TinyConfig())  # looks one pixel far
    tiled = Tiled(whole, tile=48, overlap=16)
    torch.testing.assert_close(tiled.predict(context, 3), whole.predict(context, 3))
    model = alone(scales=1, channels=1, context=3)  # looks 14 pixels far
    tiled = Tiled(model, tile=96, overlap=64)
    torch.testing.assert_close(tiled.predict(context, 1), model.predict(context, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_tiny_is_registered")
def test_tiles_that_cannot_cover_are_refused():
    for tile, overlap in [(40, 16), (32, 32), (64, 20)]:
        with pytest.raises(UserError, match="multiples of 16"):
            Tiled(Tiny(TinyConfig()), tile, overlap)
    with pytest.raises(UserError, match="cannot predict in tiles"):
        Tiled(Tiny(TinyConfig(any_size=False)), 64, 16)


def test_compare_into_a_folder_writes_the_pictures_of_the_original(tmp_path):
    from typer.testing import CliRunner

    from nextframe.cli import app

    frames = np.random.default_rng(0).integers(0, 256, (9, 40, 50, 3), dtype=np.uint8)
    np.save(tmp_path / "film.npy", frames)
    command = ["predict", str(tmp_path / "film.npy"), "-m", "copy-last", "--context", "4", "-n", "2", "--compare"]
    command += ["--set", "predict.tile=32", "--set", "predict.overlap=16"]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    inputs = [f"INPUT{i}.png" for i in range(4)]
    assert names == [*inputs, "OUTPUT0.png", "OUTPUT1.png", "comparison0.png", "comparison1.png"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "INPUT3.png")), frames[6])
    pair = np.asarray(Image.open(tmp_path / "out" / "comparison1.png"))
    assert np.array_equal(pair, np.concatenate([frames[8], frames[6]], axis=1))  # truth left, prediction right


@pytest.mark.usefixtures("_tiny_is_registered")
def test_tiles_are_asked_for_by_predict(tmp_path):
    np.save(tmp_path / "film.npy", np.random.default_rng(0).integers(0, 256, (6, 60, 50, 1), dtype=np.uint8))
    model = Tiny(TinyConfig())
    model.trained = TrainedTask(context=2, horizon=1, size=(32, 32))
    whole, tiled = (predict(tmp_path / "film.npy", model, 2, tile=tile, overlap=16).frames for tile in (None, 32))
    torch.testing.assert_close(whole, tiled)


def test_features_are_the_means_of_what_each_scales_last_layer_reads():
    net = alone(width=2)
    read = []
    for stack in net.generator.stacks:
        stack[-1].register_forward_pre_hook(lambda layer, given: read.append(given[0]))
    context = torch.rand(3, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    features = net.features(Clip(context, context[:, :1]))
    assert features.shape == (3, 4 * 2)  # the last hidden layer of each scale has as many maps as its first
    torch.testing.assert_close(features, torch.cat([maps.flatten(2).mean(2) for maps in read], dim=1))


def test_unrolled_the_loss_is_the_mean_over_frames_predicted_from_its_own():
    """Against `predict`, which feeds frames back too, and the one-step loss at each of them."""
    net, once = alone(unroll=3), alone()
    frames = torch.rand(2, 7, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    clip = Clip(frames[:, :4], frames[:, 4:])
    seen = torch.cat([clip.context, net.predict(clip.context, 3)], dim=1)
    by_hand = [once.content_loss(Clip(seen[:, t : t + 4], frames[:, t + 4 : t + 5]))[0] for t in range(3)]
    loss, logs = net.content_loss(clip)
    assert loss.item() == pytest.approx(sum(by_hand).item() / 3, rel=1e-5)
    assert loss.item() == pytest.approx(sum(logs.values()).item(), rel=1e-5)
    refused = r"model.unroll is 3, the clips have 2 frame\(s\) to predict"
    with pytest.raises(UserError, match=refused):
        net.check_data(Task.forecast(4, 2), (1, 16, 16))  # before a run begins
    with pytest.raises(UserError, match=refused):
        net.content_loss(Clip(clip.context, clip.target[:, :2]))
