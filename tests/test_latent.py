"""Prediction in a latent space: autoencoders, the LSTM over latents, its heads, its sampling and its cache."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import torch_generator
from nextframe.layers.cae_spec import parse_spec
from nextframe.layers.latent_heads import HEADS, HeadSettings
from nextframe.layers.lstm import LasagneLSTM
from nextframe.losses.latent import diagonal_mixture_nll, gaussian_nll
from nextframe.models.bases.autoencoder import Autoencoder
from nextframe.models.latent_lstm import LatentLSTM, LatentState
from nextframe.recipes import load_recipe

FILM_SPEC = "d-0.2,16-5,p-2,d-0.2,32-3,d-0.2,32-3,d-0.2,512"
SMALL_VAE: dict[str, Any] = {"name": "vae", "fields": {"widths": [8, 8], "latent": 6}}


def on_paper(name: str, **fields: Any) -> torch.nn.Module:
    """A model without numbers in it: for counting, however big it is."""
    with torch.device("meta"):
        return create_model(name, **fields)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(seed: int = 0, name: str = "latent-lstm", **fields: Any) -> LatentLSTM:
    torch.manual_seed(seed)
    given = {"frame_height": 32, "frame_width": 32, "autoencoder": SMALL_VAE, "hidden": [12, 12], "head": "mse"}
    model = create_model(name, **{**given, **fields})
    assert isinstance(model, LatentLSTM)
    return model.eval()


def apart(content: int) -> dict[str, Any]:
    """The small VAE with `content` of its latent kept apart."""
    return {"name": "vae", "fields": {**SMALL_VAE["fields"], "content": content}}


def test_the_faithful_vcae_has_403_million_parameters_and_sharing_saves_a_third() -> None:
    big, shared = on_paper("tencia-vcae"), on_paper("vcae")
    dense = 32 * 64 * 64 * 1024
    # encoder: convolution, dense, two heads; decoder: dense, an output matrix for each draw, convolution
    encoder = (9 + 1) * 32 + dense + 1024 + 2 * (1024 * 32 + 32)
    decoder = (32 * 1024 + 1024) + (dense + 32 * 64 * 64) + (32 * 9 + 1)
    assert count(shared) == encoder + decoder == 268_667_553
    assert count(big) == count(shared) + dense + 32 * 64 * 64 == 403_016_353


def test_the_film_cae_has_the_published_shapes() -> None:
    cae = on_paper("cae", channels=3, spec=FILM_SPEC)
    assert cae.feature_shape == (32, 26, 26)
    assert cae.latent == 512
    assert [layer.name for layer in cae.layers if layer.kind in ("conv", "pool")] == [
        "conv2",
        "pool3",
        "conv5",
        "conv7",
    ]
    encoder = (75 * 16 + 16) + (144 * 32 + 32) + (288 * 32 + 32) + (21_632 * 512 + 512)
    back = 3 + 16 + 32 + 32  # no weights of its own, only a bias for each channel: 32 of conv7, not 21,632
    assert count(cae) == encoder + back == 11_091_283
    assert [len(cae.back_biases[name]) for name in ("conv2", "conv5", "conv7", "dense9")] == [3, 16, 32, 32]
    assert count(on_paper("cae", channels=3, spec=FILM_SPEC, dense_biases="number")) == encoder + back - 32 + 21_632
    default = on_paper("cae", channels=3, spec="d-0.2,16-5,d-0.2,32-3,d-0.2,64-3,8-1,d-0.2,256")
    assert default.feature_shape == (8, 56, 56)
    assert len(default.back_biases["dense9"]) == 8
    chain = on_paper("vae-on-features", channels=3)
    assert chain.latent == 256
    assert count(chain.vae) == 21_632 * 1500 + 1500 + 2 * (1500 * 256 + 256) + 256 * 1500 + 1500 + 2 * (1501 * 21_632)
    image = torch.nn.Module.__call__(chain.net, torch.empty(2, 32, 26, 26, device="meta"))
    assert image.shape == (2, 3, 64, 64)


def test_the_original_lstm_has_the_published_sizes() -> None:
    recipe = load_recipe("mnist-latent-original")
    model = on_paper(recipe.model.name, **recipe.model.fields)
    weights = 4 * 1024 * (64 + 1024) + 4 * 1024 * 2048  # reads mean and log deviation
    other = 2 * (4 * 1024 + 3 * 1024 + 2 * 1024)  # biases, peepholes, the learned first state
    assert count(model.layers) == weights + other
    assert count(model.head) == 2 * (1024 * 32 + 32)


@pytest.mark.parametrize("word", ["x-3", "16-", "0-5", "p-0", "d-1", "d-2", "", "16-5-3", "999999999"])
def test_a_bad_word_of_a_spec_is_named(word: str) -> None:
    with pytest.raises(UserError, match="spec"):
        create_model("cae", spec=f"{word},512")


def test_a_spec_that_does_not_fit_says_where() -> None:
    with pytest.raises(UserError, match="conv3"):
        create_model("cae", spec="4-5,p-8,4-9,16")
    with pytest.raises(UserError, match="pool2 comes after a dense"):
        create_model("cae", spec="16,p-2")
    assert [layer.kind for layer in parse_spec("d-0.2, 8-3, p-2, 16")] == ["dropout", "conv", "pool", "dense"]


def test_an_even_kernel_of_a_vcae_is_refused() -> None:
    with pytest.raises(UserError, match="kernel must be odd, not 4"):
        create_model("vcae", kernel=4)


def test_features_need_a_convolution_whatever_paints_them() -> None:
    for image in ("deconv", "tied"):
        with pytest.raises(UserError, match="features need a convolution"):
            create_model("vae-on-features", spec="32", image=image)


def test_what_decodes_predicted_latents_is_what_was_trained() -> None:
    """Of a predicted latent no maximum's place is known: a decoder that was trained with them has not learned it."""
    fields = {"frame_height": 12, "frame_width": 12, "spec": "4-3,p-2,5"}
    inside = small(autoencoder={"name": "cae", "fields": {"spec": "4-3,p-2,5"}}).autoencoder
    tied = create_model("vae-on-features", image="tied", hidden=4, latent=2, **fields).cae
    assert (inside.config.unpool, tied.config.unpool) == ("nearest", "nearest")
    switches = create_model("vae-on-features", image="tied", hidden=4, latent=2, unpool="switches", **fields).cae
    assert switches.config.unpool == "nearest"
    frames = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(inside.reconstruct(frames), inside.decode(inside.encode(frames)[0]).clamp(0, 1))


def test_the_tied_decoder_is_the_transpose_of_the_encoder() -> None:
    """Without bends, <encode(x), z> = <x, decode(z)>: tanh is the identity near 0."""
    torch.manual_seed(0)
    cae = create_model("cae", frame_height=9, frame_width=11, spec="3-3,2-2,5").eval()
    for parameter in cae.parameters():
        parameter.data.mul_(0.02 if parameter.ndim > 1 else 0.0)
    cae.double()
    x, z = torch.randn(1, 1, 9, 11).double() * 1e-2, torch.randn(1, 5).double() * 1e-2
    there = (cae.encode(x + 0.5)[0] * z).sum()
    back = (x * (cae.decode(z) - 0.5)).sum()
    torch.testing.assert_close(there, back, rtol=1e-3, atol=0)


def test_pooling_is_undone_by_repeating_as_in_the_public_training_script() -> None:
    fields = {"frame_height": 12, "frame_width": 12, "spec": "4-3,p-2,5", "hidden": 4, "latent": 2}
    own = {name: fields[name] for name in ("frame_height", "frame_width", "spec")}
    assert create_model("cae", **own).config.unpool == "nearest"
    assert create_model("deconv", **own).cae.config.unpool == "nearest"
    assert create_model("vae-on-features", **fields).cae.config.unpool == "nearest"
    cae = create_model("cae", frame_height=4, frame_width=4, spec="p-2,1-1").eval()
    frames = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(cae.reconstruct(frames), cae.decode(cae.encode(frames)[0]).clamp(0, 1))


def test_after_the_dense_layer_all_of_a_map_has_one_bias() -> None:
    """By hand: a latent of 0 leaves the biases alone; 2 maps of 2x2 go through 1x1 kernels of 0.5 and 0.25."""
    cae = create_model("cae", frame_height=2, frame_width=2, spec="2-1,3").eval()
    with torch.no_grad():
        cae.weights["conv1"].weight.copy_(torch.tensor([0.5, 0.25]).view(2, 1, 1, 1))
        cae.back_biases["dense2"].copy_(torch.tensor([0.1, -0.2]))
    grey = math.tanh(0.5 * math.tanh(0.1) + 0.25 * math.tanh(-0.2)) + 0.5
    torch.testing.assert_close(cae.decode(torch.zeros(1, 3)), torch.full((1, 1, 2, 2), grey))
    own = create_model("cae", frame_height=2, frame_width=2, spec="2-1,3", dense_biases="number").eval()
    assert own.back_biases["dense2"].shape == (8,)
    state = cae.state_dict()
    own.load_state_dict({**state, "back_biases.dense2": state["back_biases.dense2"].repeat_interleave(4)})
    z = torch.randn(2, 3)
    torch.testing.assert_close(own.decode(z), cae.decode(z))


def test_switches_put_maxima_back_where_they_were() -> None:
    cae = create_model("cae", frame_height=4, frame_width=4, spec="p-2,1-1", unpool="switches").eval()
    assert isinstance(cae, Autoencoder)
    for name, value in cae.named_parameters():
        value.data.fill_(1.0 if name.endswith(".weight") else 0.0)
    frame = torch.full((1, 1, 4, 4), 0.5)
    frame[0, 0, 1, 2] = 0.6
    switches = cae.reconstruct(frame)[0, 0]
    assert int((switches > 0.55).sum()) == 1
    assert switches[1, 2] > 0.55
    everywhere = create_model("cae", frame_height=4, frame_width=4, spec="p-2,1-1", unpool="nearest").eval()
    everywhere.load_state_dict(cae.state_dict())
    assert int((everywhere.reconstruct(frame)[0, 0] > 0.55).sum()) == 4


def test_the_peephole_cell_by_hand() -> None:
    layer = LasagneLSTM(1, 1, std=0.1, forget_bias=0.0)
    with torch.no_grad():
        layer.input.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
        layer.recurrent.fill_(0.5)
        layer.peepholes.copy_(torch.tensor([[0.1], [0.2], [0.3]]))
        layer.first_hidden.fill_(0.4)
        layer.first_cell.fill_(-0.6)
    (hidden, (_, cell)) = layer(torch.tensor([[[0.7]]]), None)

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    i, f = sigmoid(0.7 + 0.2 + 0.1 * -0.6), sigmoid(1.4 + 0.2 + 0.2 * -0.6)
    c = f * -0.6 + i * math.tanh(2.1 + 0.2)
    assert cell.item() == pytest.approx(c, rel=1e-5)
    assert hidden.item() == pytest.approx(sigmoid(2.8 + 0.2 + 0.3 * c) * math.tanh(c), rel=1e-5)


def test_the_gradient_at_the_gates_is_bounded() -> None:
    free, bound = LasagneLSTM(1, 2, std=0.1), LasagneLSTM(1, 2, std=0.1, clip=1e-3)
    bound.load_state_dict(free.state_dict())
    for layer in (free, bound):
        (100 * layer(torch.ones(1, 1, 1), None)[0].sum()).backward()
    assert float(free.input.bias.grad.abs().max()) > 0.1
    assert float(bound.input.bias.grad.abs().max()) == pytest.approx(1e-3)


def recorded(layer: LasagneLSTM, inputs: Tensor, clip: float | None) -> Tensor:
    """The definition, every step recorded by autograd; the gradient of each step's z is clamped on its way back."""
    hidden, cell = (first.expand(len(inputs), -1) for first in (layer.first_hidden, layer.first_cell))
    found = []
    for x in inputs.unbind(1):
        z = layer.input(x) + hidden @ layer.recurrent.T
        if clip is not None:
            z.register_hook(lambda grad: grad.clamp(-clip, clip))
        i, f, g, o = z.chunk(4, dim=1)
        cell = (f + layer.peepholes[1] * cell).sigmoid() * cell + (i + layer.peepholes[0] * cell).sigmoid() * g.tanh()
        hidden = (o + layer.peepholes[2] * cell).sigmoid() * cell.tanh()
        found.append(hidden)
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("clip", [None, 0.02])
def test_outputs_and_gradients_are_those_of_the_recorded_steps(clip: float | None) -> None:
    random = torch.Generator().manual_seed(0)
    layer = LasagneLSTM(3, 4, std=0.7, clip=clip).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=random)
    inputs = torch.randn(2, 5, 3, generator=random, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 5, 4, generator=random, dtype=torch.float64)
    found, expected = layer(inputs, None)[0], recorded(layer, inputs, clip)
    torch.testing.assert_close(found, expected)
    leaves = [inputs, *layer.parameters()]
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), leaves),
        torch.autograd.grad((expected * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def free_points(model: LatentLSTM, context: Tensor) -> Tensor:
    """The latents that follow, the first of them forced to be the same whatever came before."""
    state = model.prime(context)
    same = torch.zeros(1, 1, 2, model.autoencoder.latent)
    return model.imagine(state, same, 3)


def test_the_second_fed_back_frame_depends_on_the_context() -> None:
    """The public code loses its state after every frame: then only the frame that is fed in counts."""
    one, other = torch.rand(1, 4, 1, 32, 32), torch.rand(1, 4, 1, 32, 32)
    carried, restarted = small(), small(name="tencia-latent-lstm")
    assert not torch.allclose(free_points(carried, one), free_points(carried, other))
    fed = torch.randn(1, 1, 2, 6)
    # after one step the fault makes both futures those of a fresh start
    first = restarted.imagine(restarted.prime(one), fed, 2)
    fresh = restarted.imagine(LatentState(), first[:, :1], 1)
    torch.testing.assert_close(first[:, 1:], fresh)
    first = carried.imagine(carried.prime(one), fed, 2)
    fresh = carried.imagine(LatentState(), first[:, :1], 1)
    assert not torch.allclose(first[:, 1:], fresh)


def test_differences_are_added_up_from_the_last_true_latent() -> None:
    model = small(head="differences")
    torch.nn.init.normal_(model.head.out.weight, std=0.3)
    context = torch.rand(1, 3, 1, 32, 32)
    points = model.points(context)
    hidden, _ = model.advance(points, LatentState())
    step = model.head.out(hidden[:, -1:])
    following = model.imagine(model.prime(context[:, :-1]), points[:, -1:], 1)
    torch.testing.assert_close(following[:, :, 0], points[:, -1:, 0] + step)
    read = model.head.read(points, None)  # where it is, and the steps that led there; 0 for the first
    torch.testing.assert_close(read[:, 0, 6:], torch.zeros(1, 6))
    torch.testing.assert_close(read[:, 2, 6:], points[:, 2, 0] - points[:, 1, 0])


def test_the_drift_term_is_the_error_of_the_sum() -> None:
    head = HEADS["differences"](HeadSettings(latent=1, hidden=1, drift=2.0))
    torch.nn.init.constant_(head.out.bias, 0.5)
    own, truth, target = (torch.tensor(v).view(1, 1, 1, 1).expand(1, 1, 2, 1) for v in (3.0, 1.0, 2.0))
    loss = head.loss(torch.zeros(1, 1, 1), own, target, truth)
    assert loss.item() == pytest.approx((0.5 - 1.0) ** 2 + 2 * (3.5 - 2.0) ** 2)


def test_the_divergence_of_differences_by_hand() -> None:
    """Steps of 0.5 (mean) and -0.2 (log deviation) from a truth at 1 and an own point at 3; the target is N(2, 1)."""
    head = HEADS["kl-differences"](HeadSettings(latent=1, hidden=1, drift=2.0))
    with torch.no_grad():
        head.out.bias.copy_(torch.tensor([0.5, -0.2]))
    own, truth, target = (torch.tensor([[[[mean], [wide]]]]) for mean, wide in ((3.0, 0.4), (1.0, 0.1), (2.0, 0.0)))

    def divergence(mean: float, log_sigma: float) -> float:
        return 0.5 * math.exp(-2 * log_sigma) * (1 + (2.0 - mean) ** 2) - 0.5 + log_sigma

    loss = head.loss(torch.zeros(1, 1, 1), own, target, truth)
    assert loss.item() == pytest.approx(divergence(1.5, -0.1) + 2 * divergence(3.5, 0.2), rel=1e-5)
    torch.testing.assert_close(head.draw(torch.zeros(1, 1, 1), own, 0.0, None), torch.tensor([[[[3.5], [0.2]]]]))
    many = head.draw(torch.zeros(4000, 1, 1), own.expand(4000, -1, -1, -1), 1.0, torch_generator(0))[:, 0, 0].detach()
    assert float(many.mean()) == pytest.approx(3.5, abs=0.06)
    assert float(many.std()) == pytest.approx(math.exp(0.2), rel=0.04)


def test_divergence_and_differences_are_read_and_added_up_together() -> None:
    model = small(head="kl-differences")
    assert model.head.stochastic
    assert model.layers[0].input.in_features == 4 * 6  # mean and log deviation, and the steps of both
    assert small(head="kl-differences", anchored=False).layers[0].input.in_features == 2 * 6
    torch.nn.init.normal_(model.head.out.weight, std=0.3)
    context = torch.rand(1, 3, 1, 32, 32)
    points = model.points(context)
    read = model.head.read(points, None)
    torch.testing.assert_close(read[:, 0, 12:], torch.zeros(1, 12))
    torch.testing.assert_close(read[:, 2, 12:], (points[:, 2] - points[:, 1]).flatten(1))
    hidden, _ = model.advance(points, LatentState())
    step = model.head.out(hidden[:, -1:]).unflatten(-1, (2, 6))
    following = model.imagine(model.prime(context[:, :-1]), points[:, -1:], 1)
    torch.testing.assert_close(following, points[:, -1:] + step)
    again = model.predict(context, 4, samples=2, options={"temperature": 1.0}, generator=torch_generator(1))
    assert not torch.allclose(again[0], again[1])


def test_one_component_is_a_gaussian_and_two_are_their_mixture() -> None:
    mean, log_sigma, target = torch.randn(2, 1, 3), torch.randn(2, 1, 3), torch.randn(2, 3)
    torch.testing.assert_close(
        diagonal_mixture_nll(torch.zeros(2, 1), mean, log_sigma, target),
        gaussian_nll(mean[:, 0], log_sigma[:, 0], target),
    )
    logits = torch.tensor([math.log(0.25), math.log(0.75)])
    two = diagonal_mixture_nll(logits, torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1), torch.tensor([0.5]))
    density = math.exp(-0.125) / math.sqrt(2 * math.pi)  # both are as far
    assert float(two) == pytest.approx(-math.log(density), rel=1e-5)


@pytest.mark.parametrize("per_dimension", [False, True])
def test_draws_follow_the_mixture(per_dimension: bool) -> None:
    settings = HeadSettings(latent=2, hidden=1, components=2, per_dimension=per_dimension, sigma_floor=0.05)
    head = HEADS["mixture"](settings)
    with torch.no_grad():
        head.out.weight.zero_()
        weights = 4 if per_dimension else 2
        logits = torch.tensor([math.log(0.2), math.log(0.8)]).repeat(weights // 2)
        means = torch.tensor([-3.0, 3.0, -3.0, 3.0] if per_dimension else [-3.0, -3.0, 3.0, 3.0])
        head.out.bias.copy_(torch.cat([logits, means, torch.full((4,), -9.0)]))  # a deviation below the floor
    hidden, point = torch.zeros(4000, 1, 1), torch.zeros(4000, 1, 2, 2)
    drawn = head.draw(hidden, point, 1.0, torch_generator(0))[:, 0, 0]
    assert (drawn > 0).float().mean(0).tolist() == pytest.approx([0.8, 0.8], abs=0.03)
    together = float(((drawn[:, 0] > 0) == (drawn[:, 1] > 0)).float().mean())
    assert together == pytest.approx(0.68 if per_dimension else 1.0, abs=0.03)
    assert (drawn.abs() - 3).std().item() == pytest.approx(0.05, rel=0.1)
    assert head.draw(hidden, point, 0.0, None)[:, 0, 0].unique().tolist() == [3.0]


def test_futures_of_a_mixture_differ_and_repeat_with_their_seed() -> None:
    model = small(head="mixture")
    context = torch.rand(2, 3, 1, 32, 32)
    assert model.capabilities.stochastic
    assert not small(head="mixture", temperature=0).capabilities.stochastic
    three = model.predict(context, 4, samples=3, generator=torch_generator(1))
    again = model.predict(context, 4, samples=3, generator=torch_generator(1))
    assert torch.equal(three, again)
    assert not torch.allclose(three[0], three[1])


def test_a_free_step_costs_no_second_encoding() -> None:
    """Predicted latents are fed back as they are: decoding and encoding them again would move them."""
    model = small()
    context = torch.rand(1, 3, 1, 32, 32)
    calls: list[int] = []
    encode = model.autoencoder.encode

    def counted(frames: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(frames))
        return encode(frames)

    model.autoencoder.encode = counted  # type: ignore[method-assign]
    model.predict(context, 20)
    assert sum(calls) == 3


@pytest.mark.parametrize("content", [0, 2])
def test_feedback_trains_on_what_sampling_will_see(content: int) -> None:
    model = small(feedback=True, autoencoder=apart(content))
    clip = Clip(torch.rand(2, 3, 1, 32, 32), torch.rand(2, 4, 1, 32, 32))
    frames = model.points(clip.frames)
    own = model.imagine(model.prime(clip.context[:, :-1]), frames[:, 2:3], 4)
    loss, _ = model.stages()[-1].objectives[0].loss(clip)
    forced = model.head.out(model.advance(frames[:, :3], LatentState())[0]) - frames[:, 1:4, 0, content:]
    free = (own[:, 1:, 0] - frames[:, 4:, 0])[..., content:]
    expected = torch.cat([forced, free], dim=1).square().mean()
    torch.testing.assert_close(loss, expected)


def test_content_is_the_mean_of_what_was_read_and_held() -> None:
    model = small(autoencoder=apart(2))
    context = torch.rand(2, 3, 1, 32, 32)
    points = model.points(context)
    seen = points[:, :, 0, :2].mean(1)
    future = model.imagine(model.prime(context[:, :-1]), points[:, -1:], 4)[:, :, 0]
    torch.testing.assert_close(future[..., :2], seen.unsqueeze(1).expand(-1, 4, -1))
    assert (future[:, 1:, 2:] != future[:, :-1, 2:]).all()  # the rest is predicted
    whole, state = model.advance(points, LatentState())
    first, between = model.advance(points[:, :1], LatentState())
    rest, after = model.advance(points[:, 1:], between)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    torch.testing.assert_close(after.content, state.content)
    torch.testing.assert_close(state.content, seen.unsqueeze(1))


def test_content_is_learned_from_another_frame_of_the_same_clip() -> None:
    fields = {**SMALL_VAE["fields"], "content": 2, "frame_height": 16, "frame_width": 16}
    vae = create_model("vae", **fields)
    clip = Clip(torch.rand(2, 3, 1, 16, 16), torch.rand(2, 2, 1, 16, 16))
    everything = vae.encode(clip.frames.flatten(0, 1))[0].reshape(2, 5, 6)
    own = torch.randn(4, 6)
    mixed, _ = vae._with_content(clip, torch.tensor([1, 0]), own, own)  # two runs of two frames
    torch.testing.assert_close(mixed[:, 2:], own[:, 2:])
    for run, owner in ((mixed[:2], 1), (mixed[2:], 0)):
        assert torch.equal(run[0, :2], run[1, :2])
        assert (everything[owner, :, :2] - run[0, :2]).abs().sum(-1).min() < 1e-5
        assert (everything[1 - owner, :, :2] - run[0, :2]).abs().sum(-1).min() > 1e-4


def test_content_is_paid_for_once_a_clip() -> None:
    """Means of 1 and deviations of 1 cost half a nat each: four of them in every frame, two in a clip of five."""
    vae = create_model("vae", **SMALL_VAE["fields"], content=2, frame_height=16, frame_width=16)
    with torch.no_grad():
        for parameter in vae.head.parameters():
            parameter.zero_()
        vae.head[-1].bias[:6] = 1.0
    clip = Clip(torch.rand(2, 3, 1, 16, 16), torch.rand(2, 2, 1, 16, 16))
    _, logs = vae.stages()[0].objectives[0].loss(clip)
    assert float(logs["kl"]) == pytest.approx(4 * 0.5 + 2 * 0.5 / 5)


def test_content_must_leave_something_to_predict() -> None:
    with pytest.raises(UserError, match="content 6 leaves nothing of latent 6"):
        create_model("vae", latent=6, content=6)


def test_wrong_sizes_and_parts_are_refused() -> None:
    with pytest.raises(UserError, match="--size 32x32"):
        small().predict(torch.rand(1, 2, 1, 40, 32), 1)
    with pytest.raises(UserError, match="not an autoencoder"):
        small(autoencoder={"name": "compact"})


@pytest.mark.parametrize(("layout", "likelihood"), [("flat", "gaussian"), ("spatial", "bernoulli")])
def test_the_vae_learns_to_reconstruct_frames_of_any_size(layout: str, likelihood: str) -> None:
    torch.manual_seed(0)
    fields = {"layout": layout, "likelihood": likelihood, "widths": [16, 16], "latent": 8 if layout == "flat" else 3}
    vae = create_model("vae", frame_height=21, frame_width=34, frames=6, **fields)
    assert isinstance(vae, Autoencoder)
    frames = torch.zeros(6, 1, 1, 21, 34)
    for index in range(6):
        frames[index, :, :, 3 : 6 + 2 * index, 5 * index : 5 * index + 8] = 1.0
    clip = Clip(frames, frames)
    objective = vae.stages()[0].objectives[0]
    optimizer = torch.optim.Adam(objective.parameters, lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        objective.loss(clip)[0].backward()
        optimizer.step()
    vae.eval()
    error = (vae.reconstruct(frames[:, 0]) - frames[:, 0]).square().mean()
    assert error.item() < 0.25 * frames.var().item()


def test_straight_latents_are_those_of_a_steady_pace() -> None:
    from nextframe.models.bases.autoencoder import some_runs

    frames = torch.arange(7.0).view(1, 7, 1, 1, 1).expand(2, 7, 1, 2, 2)
    frames = frames + torch.tensor([0.0, 100.0]).view(2, 1, 1, 1, 1)
    runs, owners = some_runs(Clip(frames[:, :3], frames[:, 3:]), 6, 3)
    assert runs.shape == (2, 3, 1, 2, 2)  # about six frames: two runs of three
    assert (runs.diff(dim=1) == 1).all()
    assert torch.equal(owners, (runs[:, 0, 0, 0, 0] >= 100).long())
    assert some_runs(Clip(frames[:, :1], frames[:, 1:2]), 100, 3)[0].shape == (2, 2, 1, 2, 2)
    vae = create_model("vae", frame_height=8, frame_width=8, widths=(8,), latent=2, straight=5.0)
    clip = Clip(torch.rand(2, 2, 1, 8, 8), torch.rand(2, 2, 1, 8, 8))
    torch.manual_seed(0)
    loss, logs = vae.stages()[0].objectives[0].loss(clip)
    assert loss.item() == pytest.approx(float(logs["nats"] + 5 * logs["bend"]), rel=1e-5)


def test_the_vcae_bound_is_in_nats_a_frame() -> None:
    """Of half grey frames no pixel tells more than a coin: 64 x 64 log 2, and nothing for an unused latent."""
    vcae = create_model("vcae", frame_height=16, frame_width=16, hidden=8, filters=2).eval()
    for parameter in vcae.parameters():
        parameter.data.zero_()
    grey = torch.full((3, 2, 1, 16, 16), 0.5)
    _, logs = vcae.stages()[0].objectives[0].loss(Clip(grey, grey))
    assert float(logs["nats"]) == pytest.approx(256 * math.log(2), rel=1e-5)
    assert float(logs["kl"]) == 0
    torch.testing.assert_close(vcae.predict(grey, 1), grey[:, :1])
