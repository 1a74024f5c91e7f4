"""ConvLSTM against a recurrence written out step by step, the Keras example's counts, and its known leak."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nextframe.core.clip import Task
from nextframe.core.errors import UserError
from nextframe.layers.convlstm import CACHED, DIRECT, ConvLSTMLayer
from nextframe.layers.lstm import Activation, Gate
from nextframe.models.convlstm import ConvLSTM, ConvLSTMConfig
from nextframe.models.originals.keras_convlstm import KerasConvLSTM, KerasConvLSTMConfig


def plain_layer(layer: ConvLSTMLayer, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The definition, one frame and one gate at a time."""
    pad, n = layer.kernel // 2, layer.hidden
    act = {"relu": torch.relu, "tanh": torch.tanh}[layer.gates.activation]
    squash = {"sigmoid": torch.sigmoid, "hard_sigmoid": lambda v: (v / 5 + 0.5).clip(0, 1)}[layer.gates.gate]
    maps = []
    for t in range(x.shape[1]):

        def drive(k: int, frame: Tensor = x[:, t], h: Tensor = h) -> Tensor:
            rows = slice(k * n, (k + 1) * n)
            from_input = F.conv2d(frame, layer.input_weight[rows], layer.bias[rows], padding=pad)
            return from_input + F.conv2d(h, layer.recurrent_weight[rows], padding=pad)

        i, f, candidate, o = squash(drive(0)), squash(drive(1)), act(drive(2)), squash(drive(3))
        c = f * c + i * candidate
        h = o * act(c)
        maps.append(h)
    return torch.stack(maps, 1), h, c


def small(kind: type[ConvLSTM] = ConvLSTM, **settings: object) -> ConvLSTM:
    """A seeded small model in eval mode whose batch norms have seen something."""
    torch.manual_seed(0)
    model = kind(kind.Config.parse({"hidden": (6, 5, 4), "norm_momentum": 0.5} | settings))
    model.logits(torch.rand(2, 4, model.config.channels, 12, 12))
    return model.eval()


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("activation", "gate"), [("relu", "sigmoid"), ("tanh", "hard_sigmoid")])
@pytest.mark.parametrize("size", [(8, 12), (7, 5)])
@pytest.mark.parametrize("given_state", [False, True])
def test_layer_equals_the_definition(kernel, activation, gate, size, given_state):
    torch.manual_seed(1)
    layer = ConvLSTMLayer(2, 3, kernel, activation, gate).double()
    with torch.no_grad():
        layer.bias.uniform_(-1, 1)
    x = torch.randn(2, 4, 2, *size, dtype=torch.float64, requires_grad=True)
    h, c = (torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    state = (h, c) if given_state else None
    start = (h, c) if given_state else (torch.zeros_like(h), torch.zeros_like(c))
    maps, (last_h, last_c) = layer(x, state)
    want = plain_layer(layer, x, *start)
    for got, expected in zip((maps, last_h, last_c), want, strict=True):
        torch.testing.assert_close(got, expected)

    weights = [torch.randn_like(t) for t in want]
    inputs = [x, *layer.parameters(), *((h, c) if given_state else ())]
    got_grads = torch.autograd.grad(
        sum((w * t).sum() for w, t in zip(weights, (maps, last_h, last_c), strict=True)), inputs
    )
    want_grads = torch.autograd.grad(sum((w * t).sum() for w, t in zip(weights, want, strict=True)), inputs)
    for got, expected in zip(got_grads, want_grads, strict=True):
        torch.testing.assert_close(got, expected)


def drawn_layer(channels: int, hidden: int, kernel: int, activation: Activation, gate: Gate) -> ConvLSTMLayer:
    torch.manual_seed(3)
    layer = ConvLSTMLayer(channels, hidden, kernel, activation, gate)
    with torch.no_grad():
        layer.bias.uniform_(-1, 1)
    return layer


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("activation", "gate"), [("relu", "sigmoid"), ("tanh", "hard_sigmoid")])
@pytest.mark.parametrize("given_state", [False, True])
def test_cached_recurrence_equals_the_definition(monkeypatch, kernel, activation, gate, given_state):
    monkeypatch.setattr(ConvLSTMLayer, "_kernel", lambda *_: CACHED)
    test_layer_equals_the_definition(kernel, activation, gate, (8, 12), given_state)


def test_cached_recurrence_gradcheck(monkeypatch):
    monkeypatch.setattr(ConvLSTMLayer, "_kernel", lambda *_: CACHED)
    test_layer_gradcheck(3)


def test_winograd_is_used_for_large_float32_maps_and_agrees_with_the_definition():
    layer = drawn_layer(1, 32, 5, "relu", "sigmoid")
    x = torch.rand(1, 3, 1, 32, 32)
    assert layer._kernel(x.permute(1, 0, 3, 4, 2)) == CACHED
    assert layer._kernel(x.permute(1, 0, 3, 4, 2).double()) == DIRECT
    assert layer._kernel(x[..., :31].permute(1, 0, 3, 4, 2)) == DIRECT
    blank = torch.zeros(1, 32, 32, 32)
    exact = drawn_layer(1, 32, 5, "relu", "sigmoid").double()
    want, _, _ = plain_layer(exact, x.double(), blank.double(), blank.double())
    got, _ = layer(x)
    assert (got - want).norm() < 1e-5 * want.norm()
    got_grad = torch.autograd.grad((got * got).sum(), layer.recurrent_weight)[0]
    want_grad = torch.autograd.grad((want * want).sum(), exact.recurrent_weight)[0]
    assert (got_grad - want_grad).norm() < 1e-4 * want_grad.norm()
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], got)  # nothing is kept for the way back


@pytest.mark.parametrize("kernel", [1, 3])
def test_layer_gradcheck(kernel):
    torch.manual_seed(2)
    layer = ConvLSTMLayer(1, 2, kernel, "tanh", "sigmoid").double()
    names = [name for name, _ in layer.named_parameters()]

    def run(x, h, c, *values):
        maps, (last_h, last_c) = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, (h, c)))
        return maps, last_h, last_c

    x = torch.randn(1, 2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    h, c = (torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(run, (x, h, c, *values))


def test_keras_example_has_its_parameters():
    model = KerasConvLSTM(KerasConvLSTMConfig())
    trainable = sum(p.numel() for p in model.parameters())
    statistics = sum(b.numel() for name, b in model.named_buffers() if "running" in name)
    assert statistics == 256
    assert trainable + statistics == 746_689
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["layers.0.input_weight"] == (256, 1, 5, 5)
    assert shapes["layers.0.recurrent_weight"] == (256, 64, 5, 5)
    assert shapes["layers.1.recurrent_weight"] == (256, 64, 3, 3)
    assert shapes["layers.2.input_weight"] == (256, 64, 1, 1)
    assert shapes["head.weight"] == (1, 64, 3, 3, 3)


def test_initial_values_are_those_of_keras():
    layer = ConvLSTMLayer(8, 8, 3)
    limit = (6 / (9 * 8 + 9 * 32)) ** 0.5
    assert 0.95 * limit < layer.input_weight.abs().max() <= limit
    columns = layer.recurrent_weight.flatten(1)  # (32, 72): 32 orthonormal vectors
    torch.testing.assert_close(columns @ columns.T, torch.eye(32))
    assert layer.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


def test_default_is_causal_and_the_keras_head_leaks():
    frames = torch.rand(1, 6, 1, 9, 8)
    changed = frames.clone()
    changed[:, 4:] = 1 - changed[:, 4:]
    causal, leaky = small(), small(KerasConvLSTM)
    assert causal.capabilities.causal
    assert not leaky.capabilities.causal
    assert torch.equal(causal.logits(frames)[:, :4], causal.logits(changed)[:, :4])
    assert not torch.equal(causal.logits(frames)[:, 4], causal.logits(changed)[:, 4])
    assert torch.equal(leaky.logits(frames)[:, :3], leaky.logits(changed)[:, :3])
    assert not torch.allclose(leaky.logits(frames)[:, 3], leaky.logits(changed)[:, 3])


@pytest.mark.parametrize(
    "settings", [{}, {"kind": KerasConvLSTM}, {"residual": True, "norm": "none", "activation": "tanh"}]
)
@pytest.mark.parametrize("context", [1, 2, 4])
def test_streaming_equals_predicting_on_the_growing_sequence(settings, context):
    model = small(channels=2, **settings)
    frames = torch.rand(2, context, 2, 7, 10)
    grown = frames
    with torch.no_grad():
        for _ in range(3):
            grown = torch.cat([grown, model.logits(grown)[:, -1:].sigmoid()], dim=1)
    future = model.predict(frames, 3)
    torch.testing.assert_close(future, grown[:, context:], rtol=1e-4, atol=1e-5)


def test_items_of_a_batch_do_not_meet_in_eval_mode():
    model = small()
    context = torch.rand(2, 3, 1, 8, 8)
    both = model.predict(context, 4)
    alone = torch.cat([model.predict(context[:1], 4), model.predict(context[1:], 4)])
    torch.testing.assert_close(both, alone, rtol=1e-5, atol=1e-6)


def test_residual_starts_from_the_last_frame():
    model = small(residual=True)
    with torch.no_grad():
        model.head.weight.zero_()
    context = torch.rand(1, 3, 1, 8, 8) * 0.9 + 0.05
    torch.testing.assert_close(model.predict(context, 2), context[:, -1:].expand(-1, 2, -1, -1, -1))


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_loss_scores_every_next_frame(loss):
    model = small(loss=loss)
    clip = Task.forecast(3, 2).split(torch.rand(2, 5, 1, 8, 8))
    value, logs = model.loss(clip)
    guess, truth = model.logits(clip.frames[:, :4]).sigmoid().clamp(1e-7, 1 - 1e-7), clip.frames[:, 1:]
    by_hand = {
        "bce": -(truth * guess.log() + (1 - truth) * (1 - guess).log()).mean(),
        "mse": ((guess - truth) ** 2).mean(),
    }
    torch.testing.assert_close(value, by_hand[loss])
    assert not logs[loss].requires_grad


def test_features_summarise_the_context():
    model = small()
    clip = Task.forecast(3, 1).split(torch.rand(2, 4, 1, 8, 8))
    assert model.features(clip).shape == (2, 4)
    assert not torch.allclose(model.features(clip)[0], model.features(clip)[1])


def test_settings_that_do_not_fit_name_the_mistake():
    with pytest.raises(UserError, match="hidden has 3 layers and kernels 2"):
        ConvLSTMConfig.parse({"kernels": (3, 3)})
    with pytest.raises(UserError, match="kernels must be odd"):
        ConvLSTMConfig.parse({"kernels": (3, 2, 1)})
