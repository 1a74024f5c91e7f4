"""Composite LSTM: the cell by hand, the sizes and the training of the original, and what each decoder may read."""

import math

import pytest
import torch
from rich.console import Console

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.evaluation import evaluate, show_evaluation, write_report
from nextframe.evaluation.evaluate import clip_indices
from nextframe.evaluation.verdict import number
from nextframe.layers.lstm import Gates, LSTMStack, PeepholeLSTM, Recurrence
from nextframe.models.composite_lstm import CompositeLSTM, CompositeLSTMConfig
from nextframe.models.contract import Objective
from nextframe.models.originals.srivastava import SrivastavaComposite, SrivastavaCompositeConfig
from nextframe.recipes import RECIPES
from nextframe.training.optim.clipped_sgd import ClippedSGD
from nextframe.training.optim.optimizer import build_optimizer
from nextframe.training.recipe import TrainingConfig

SMALL = {"frame_height": 4, "frame_width": 3, "hidden": (5,), "start": 0.5}


def model(**fields) -> CompositeLSTM:
    torch.manual_seed(0)
    return CompositeLSTM(CompositeLSTMConfig(**{**SMALL, **fields}))


def frames(batch=2, steps=4, channels=1) -> torch.Tensor:
    return torch.rand(batch, steps, channels, 4, 3, generator=torch.Generator().manual_seed(1))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# --- the cell


def test_one_unit_steps_as_worked_out_by_hand():
    layer = PeepholeLSTM(1, 1)
    with torch.no_grad():
        layer.input_weight.copy_(torch.tensor([[0.1], [0.2], [0.3], [0.4]]))  # input, forget, output, candidate
        layer.recurrent_weight.copy_(torch.tensor([[0.5], [-0.5], [0.25], [1.0]]))
        layer.bias.copy_(torch.tensor([0.0, 1.0, -1.0, 0.5]))
        layer.peephole.copy_(torch.tensor([[2.0], [-1.0], [0.5]]))
    h, c, x = 0.3, -0.4, 2.0
    i = sigmoid(0.1 * x + 0.5 * h + 2.0 * c)
    f = sigmoid(0.2 * x - 0.5 * h + 1.0 - 1.0 * c)
    cell = f * c + i * math.tanh(0.4 * x + 1.0 * h + 0.5)
    o = sigmoid(0.3 * x + 0.25 * h - 1.0 + 0.5 * cell)  # the output gate sees the new cell
    outputs, (hidden, last) = layer(torch.tensor([[[x]]]), (torch.tensor([[h]]), torch.tensor([[c]])), 1)
    assert last.item() == pytest.approx(cell, rel=1e-5)
    assert outputs.item() == pytest.approx(o * math.tanh(cell), rel=1e-5)
    assert hidden.item() == outputs.item()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_gradient_is_the_right_one(activation):
    random = torch.Generator().manual_seed(0)
    shapes = [(4, 3, 20), (20, 5), (3, 5), (3, 5), (3, 5)]  # z, weight, peephole, h, c
    values = [torch.randn(s, generator=random, dtype=torch.float64).requires_grad_() for s in shapes]
    assert torch.autograd.gradcheck(lambda *v: Recurrence.apply(*v, Gates(activation, order="ifog"), None), values)


def test_without_peepholes_it_is_torchs_lstm():
    layer, peer = PeepholeLSTM(6, 5), torch.nn.LSTM(6, 5)
    with torch.no_grad():
        layer.peephole.zero_()
        order = [0, 1, 3, 2]  # torch: input, forget, candidate, output
        for name, mine in (("weight_ih_l0", layer.input_weight), ("weight_hh_l0", layer.recurrent_weight)):
            getattr(peer, name).copy_(mine.view(4, 5, -1)[order].flatten(0, 1))
        peer.bias_ih_l0.zero_()
        peer.bias_hh_l0.copy_(layer.bias.view(4, 5)[order].flatten())
    x = torch.randn(7, 3, 6)
    outputs, (h, c) = layer(x, (torch.zeros(3, 5), torch.zeros(3, 5)), 7)
    expected, (last_h, last_c) = peer(x)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(h, last_h[0])
    torch.testing.assert_close(c, last_c[0])
    (outputs.square().sum() + c.sum()).backward()
    (expected.square().sum() + last_c.sum()).backward()
    torch.testing.assert_close(layer.input_weight.grad.view(4, 5, 6)[order].flatten(0, 1), peer.weight_ih_l0.grad)
    torch.testing.assert_close(layer.recurrent_weight.grad.view(4, 5, 5)[order].flatten(0, 1), peer.weight_hh_l0.grad)


def test_a_sequence_in_two_parts_is_the_sequence():
    stack, x = LSTMStack(6, (5, 4)), torch.randn(7, 3, 6)
    whole, ends = stack(x, stack.blank(3, x), 7)
    first, between = stack(x[:3], stack.blank(3, x), 3)
    second, after = stack(x[3:], between, 4)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    for (h, c), (h_, c_) in zip(ends, after, strict=True):
        torch.testing.assert_close(h, h_)
        torch.testing.assert_close(c, c_)


def test_bfloat16_products_are_near():
    layer, x = PeepholeLSTM(6, 5), torch.randn(7, 3, 6)
    state = torch.zeros(3, 5), torch.zeros(3, 5)
    exact = layer(x, state, 7)[0]
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(x, state, 7)[0]
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, exact, atol=0.02, rtol=0)
    low.sum().backward()
    assert layer.recurrent_weight.grad.isfinite().all()


# --- sizes


@pytest.mark.parametrize(
    ("recipe", "shape", "parameters"),
    [
        ("srivastava-mnist", (1, 64, 64), 167_823_360),  # the specification: 167.8 M
        ("srivastava-mnist-2layer", (1, 64, 64), 268_529_664),  # 268.5 M
        ("srivastava-patches", (3, 32, 32), 138_461_184),  # 138.5 M
        ("srivastava-flow", (2, 32, 32), 109_099_008),
    ],
)
def test_the_recipes_have_the_originals_sizes(recipe, shape, parameters):
    fields = (
        dict(zip(("channels", "frame_height", "frame_width"), shape, strict=True)) | RECIPES.get(recipe).model.fields
    )
    with torch.device("meta"):
        built = SrivastavaComposite(SrivastavaCompositeConfig(**fields))
    assert sum(p.numel() for p in built.parameters()) == parameters


@pytest.mark.parametrize(
    ("recipe", "frames", "batch", "steps"),
    [
        ("srivastava-mnist", (10, 10), 80, 10_000_000),  # the public configs
        ("srivastava-mnist-2layer", (10, 10), 80, 10_000_000),
        ("srivastava-patches", (10, 10), 100, 100_000),
        ("srivastava-percepts", (16, 13), 100, 100_000),  # the paper
        ("srivastava-flow", (16, 13), 100, 100_000),
    ],
)
def test_the_recipes_have_the_originals_clips(recipe, frames, batch, steps):
    found = RECIPES.get(recipe)
    assert (found.data.context, found.data.horizon) == frames
    assert (found.training.batch, found.training.steps) == (batch, steps)
    assert set(found.model.fields["hidden"]) == {2048}


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("srivastava")])
def test_the_recipes_train_as_the_original(name):
    recipe = RECIPES.get(name)
    assert recipe.model.name == "srivastava-composite"
    config = SrivastavaCompositeConfig(**recipe.model.fields)
    assert config.conditional
    assert (config.start, config.forget_bias) == (0.01, 0.0)
    weight, bias = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    optimizer = build_optimizer(Objective("x", [weight, bias], lambda clip: (weight.sum(), {})), recipe.training)
    assert isinstance(optimizer, ClippedSGD)
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    assert decays == [1e-4, 0.0]  # biases do not decay


# --- what is painted from what


@pytest.mark.parametrize("fields", [{}, {"conditional": False}, {"hidden": (5, 6)}, {"copy_state": True}])
def test_decoders_fed_the_truth_equal_decoders_fed_themselves_where_both_agree(fields):
    """Generated frames, given back as if they were true, give the same frames again."""
    net = model(**fields)
    states = net.encode(frames())[1]
    for decoder in (net.backward_decoder, net.future_decoder):
        own = decoder.generate(states, 6)
        torch.testing.assert_close(decoder(states, own.sigmoid()), own)


@pytest.mark.parametrize("train_on", ["truth", "own"])
def test_it_can_be_trained_on_its_own_frames(train_on):
    """Then its loss is that of what it predicts; fed the truth, it is so for the first frame alone."""
    net, clip = model(train_on=train_on, decoders="future"), Clip(frames(), frames(steps=3).flip(0))
    predicted = net.predict(clip.context, 3)
    for steps in (1, 3):
        target = clip.target[:, :steps]
        nats = torch.nn.functional.binary_cross_entropy(predicted[:, :steps], target, reduction="sum") / (2 * steps)
        loss = net.loss(Clip(clip.context, target))[0].detach()
        assert (abs(loss - nats) < 1e-5) == (train_on == "own" or steps == 1)


def test_a_copied_state_is_the_first_frame_itself():
    """Without a step: the layer above the encoder's last state, whatever the decoder's own weights."""
    net = model(copy_state=True)
    states = net.encode(frames())[1]
    for decoder in (net.backward_decoder, net.future_decoder):
        assert torch.equal(decoder.generate(states, 2)[0], decoder.output(states[-1][0]))
        with torch.no_grad():
            for weight in decoder.lstm.parameters():
                weight += 1
        assert torch.equal(decoder.generate(states, 1)[0], decoder.output(states[-1][0]))
    stepped = model().future_decoder
    assert not torch.equal(stepped.generate(states, 1)[0], stepped.output(states[-1][0]))


def test_the_reconstruction_is_fed_its_own_frames_but_with_the_originals_leak():
    net = model()
    context = frames()
    changed = context.clone()
    changed[:, 2] = 1 - changed[:, 2]  # the last but one: painted second, read by the painter of the third
    states = net.encode(context)[1]
    net.encode = lambda given: (None, states)  # the same state for both: only what the painter reads may differ
    for leaks in (False, True):
        before, after = net.reconstruct(context, leak=leaks), net.reconstruct(changed, leak=leaks)
        assert torch.equal(before[:, 2:], after[:, 2:])
        assert torch.equal(before[:, :2], after[:, :2]) != leaks


def test_the_context_is_painted_backwards_and_shown_forwards():
    """Trained on one clip whose frames differ, the reconstruction has them in the clip's own order."""
    net, clip = model(hidden=(24,)), Clip(frames(1, 3).round(), frames(1, 2).round())
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        net.loss(clip)[0].backward()
        optimizer.step()
    assert torch.equal(net.reconstruct(clip.context).round(), clip.context)
    assert torch.equal(net.predict(clip.context, 2).round(), clip.target)


def test_no_decoder_reads_the_last_frame_or_its_own_target():
    net, clip = model(), Clip(frames(), frames().flip(1))
    states, target = net.encode(clip.context)[1], net.pixels.read(clip.target)
    changed = target.clone()
    changed[2] = 1 - changed[2]
    before, after = net.future_decoder(states, target), net.future_decoder(states, changed)
    assert torch.equal(before[:3], after[:3])  # frame 2 is read from step 3 on
    assert not torch.equal(before[3], after[3])


def test_unconditional_decoders_have_no_input_weights():
    names = {name for name, _ in model(conditional=False).named_parameters() if "input_weight" in name}
    assert names == {"encoder.layers.0.input_weight"}


@pytest.mark.parametrize(("decoders", "logged"), [("future", {"future"}), ("autoencoder", {"reconstruction"})])
def test_one_decoder_alone(decoders, logged):
    net, clip = model(decoders=decoders), Clip(frames(), frames())
    assert set(net.loss(clip)[1]) == logged
    assert net.predict(clip.context, 3).shape == (2, 3, 1, 4, 3)
    if decoders == "future":
        with pytest.raises(UserError, match="does not reconstruct"):
            net.reconstruct(clip.context)
    else:  # an autoencoder has no future: it shows its last frame again
        assert torch.equal(net.predict(clip.context, 2)[:, 1], net.reconstruct(clip.context)[:, -1])


def shown(evaluation) -> str:
    console = Console(record=True, width=200)
    show_evaluation(evaluation, console)
    return console.export_text()


def test_an_evaluation_as_the_originals_has_the_leaked_row_beside_the_honest_one(tmp_path):
    torch.manual_seed(0)
    net = CompositeLSTM(CompositeLSTMConfig(hidden=(5,), start=0.5))
    data = open_data(DataConfig(name="moving-digits", context=3, horizon=2))
    found = evaluate(net, data, "val", clips=2, metrics=["mse"], compat="srivastava")
    rows = {row.model: row for row in found.reconstruction if row.metric == "mse of the reconstruction"}
    assert set(rows) == {"composite-lstm", "composite-lstm (leak)", "mean frame of the context"}
    context = data.read("val", clip_indices(data, "val", 2)).to("cpu").context
    for name, leak in (("composite-lstm", False), ("composite-lstm (leak)", True)):
        by_hand = (net.reconstruct(context, leak=leak) - context).square().mean(dim=(2, 3, 4))
        assert rows[name].per_step == pytest.approx(by_hand.mean(0).tolist(), rel=1e-5)
    assert rows["composite-lstm"].mean != rows["composite-lstm (leak)"].mean
    path = write_report(found, found.examples, tmp_path / "report.html", title="leak")
    for text in (path.read_text(), shown(found)):
        for row in rows.values():
            assert f"{row.model} {number(row.mean)}" in " ".join(text.split())
    assert len([row for row in found.as_json()["rows"] if "(leak)" in row["model"]]) == 2
    with pytest.raises(UserError, match="which copy-last does not make"):
        evaluate("copy-last", data, "val", clips=2, compat="srivastava")


# --- losses


def test_losses_are_sums_over_pixels_and_means_over_frames_or_sums():
    clip = Clip(frames(), frames(steps=3))
    with torch.no_grad():
        per_frame, logs = model(start=1e-9).loss(clip)
        summed, _ = SrivastavaComposite(SrivastavaCompositeConfig(**{**SMALL, "start": 1e-9})).loss(clip)
    assert logs["future"].item() == pytest.approx(12 * math.log(2), rel=1e-5)  # logits 0: ln 2 for each of 12 pixels
    assert per_frame.item() == pytest.approx(24 * math.log(2), rel=1e-5)
    assert summed.item() == pytest.approx((2 * 4 + 2 * 3) * 12 * math.log(2), rel=1e-5)


def test_squared_loss_is_half_the_squared_distance_around_the_zero():
    clip = Clip(frames(channels=2), frames(channels=2))
    with torch.no_grad():
        _, logs = model(start=1e-9, loss="squared", zero=0.5, channels=2).loss(clip)
    by_hand = ((clip.target - 0.5) ** 2).sum() / 2 / 8
    assert logs["future"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert model(start=1e-9, loss="squared", zero=0.5, channels=2).predict(clip.context, 1).eq(0.5).all()


def test_features_after_every_frame_end_with_the_features():
    net, clip = model(hidden=(5, 6)), Clip(frames(), frames())
    steps = net.step_features(clip.context)
    assert steps.shape == (2, 4, 6)
    assert torch.equal(steps[:, -1], net.features(clip))
    changed = clip.context.clone()
    changed[:, 3] = 0
    assert torch.equal(net.step_features(changed)[:, :3], steps[:, :3])  # causal


def test_frames_of_another_size_are_one_line():
    with pytest.raises(UserError, match=r"takes frames of 1x4x3 \(channels x height x width\), not 1x5x3"):
        model().predict(torch.zeros(1, 2, 1, 5, 3), 1)


# --- the optimizer


def test_updates_are_clipped_and_not_gradients():
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    optimizer = ClippedSGD([weight], lr=0.1, momentum=0.5, weight_decay=0.2, clip=0.05)
    weight.grad = torch.tensor([0.0, 10.0, -0.3])
    optimizer.step()  # v = -0.1 (g + 0.2 w) = -0.02, -1.02, 0.01; clipped: -0.02, -0.05, 0.01
    torch.testing.assert_close(weight.detach(), torch.tensor([0.98, 0.95, 1.01]))
    weight.grad = torch.zeros(3)
    optimizer.step()  # v = 0.5 v - 0.02 w, from the clipped v
    by_hand = torch.tensor([0.98 - 0.01 - 0.0196, 0.95 - 0.025 - 0.019, 1.01 + 0.005 - 0.0202])
    torch.testing.assert_close(weight.detach(), by_hand)


def test_the_rate_falls_by_a_tenth_every_so_many_updates_and_survives_a_resume():
    def start():
        weight = torch.nn.Parameter(torch.zeros(1))
        return weight, ClippedSGD([weight], lr=0.1, momentum=0.0, weight_decay=0.0, clip=1.0, fall_every=2)

    def go(weight, optimizer, steps):
        for _ in range(steps):
            weight.grad = torch.ones(1)
            optimizer.step()

    weight, optimizer = start()
    go(weight, optimizer, 5)
    assert weight.item() == pytest.approx(-0.1 * (2 + 2 * 0.9 + 0.81))
    again, resumed = start()
    go(again, resumed, 3)
    kept, value = resumed.state_dict(), again.detach().clone()
    again, resumed = start()
    again.data.copy_(value)
    resumed.load_state_dict(kept)
    go(again, resumed, 2)
    assert again.item() == weight.item()


def test_a_recipe_can_name_it():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    objective = Objective("x", [weight], lambda clip: (weight.sum(), {}))
    optimizer = build_optimizer(objective, TrainingConfig(steps=1, optimizer="clipped-sgd", lr=1e-4))
    assert optimizer.param_groups[0]["clip"] == 1e-4
