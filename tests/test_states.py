"""What a state has kept: drawn and measured, drawn from a Gaussian, judged, and one object taken out of it."""

from __future__ import annotations

import json
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from nextframe.checkpoint import load_model, save_model
from nextframe.cli import app
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import drawn_normal
from nextframe.data import DataConfig, clips, open_data
from nextframe.evaluation.states.drawings import BOTH, LESS, PLAIN, Pair, _separated, draw_both_ways, draw_separation
from nextframe.evaluation.verdict import number
from nextframe.layers.gaussian_state import joined, parted
from nextframe.models.composite_lstm import CompositeLSTM, CompositeLSTMConfig
from nextframe.models.contract import Capabilities, ModelConfig, Predictor, Request, TrainedTask
from nextframe.models.protocols import Reconstructor, StateCoder
from nextframe.training.parts import take_weights

SIZE = {"frame_height": 8, "frame_width": 8, "hidden": (6, 5), "start": 0.5}


def model(**fields) -> CompositeLSTM:
    torch.manual_seed(0)
    return CompositeLSTM(CompositeLSTMConfig(**{**SIZE, **fields}))


def frames(batch: int, steps: int, seed: int = 1) -> Tensor:
    return torch.rand(batch, steps, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


class Sum(Predictor):
    """A model whose state is the sum of what it has read: its pixels. It repeats them."""

    Config: ClassVar[type[ModelConfig]] = ModelConfig

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(trainable=False)

    def state(self, context: Tensor) -> Tensor:
        return context[:, -1].flatten(1) + 7.0  # 7: what the state of empty frames is

    def decode_state(self, state: Tensor, context: int, horizon: int) -> tuple[Tensor, Tensor]:
        shown = (state - 7.0).reshape(len(state), 1, 1, 8, 8).clamp(0, 1)
        return shown.expand(-1, context, -1, -1, -1), shown.expand(-1, horizon, -1, -1, -1)

    def forecast(self, request: Request) -> Tensor:
        return self.decode_state(self.state(request.context), 1, request.horizon)[1]


def still(rows: list[int]) -> Clip:
    """Clips that show one bright pixel each, in the given rows, and do not move."""
    shown = torch.zeros(len(rows), 5, 1, 8, 8)
    for clip, row in enumerate(rows):
        shown[clip, :, 0, row, 0] = 1
    return Clip(shown[:, :3], shown[:, 3:])


# --- reconstruction and future side by side


def test_a_state_decodes_to_the_reconstruction_and_the_prediction():
    net, context = model(), frames(2, 4)
    for kept in (net, model(latent=3)):
        assert isinstance(kept, StateCoder)
        assert not isinstance(kept, Reconstructor)  # it has latents of clips, not of frames
        past, future = kept.decode_state(kept.state(context), 4, 3)
        torch.testing.assert_close(past, kept.reconstruct(context))
        torch.testing.assert_close(future, kept.predict(context, 3))
    assert net.state(context).shape == (2, 2 * (6 + 5))
    assert torch.equal(torch.cat([joined(parted(net.state(context), (6, 5)))]), net.state(context))
    with pytest.raises(UserError, match="does not reconstruct"):
        model(decoders="future").decode_state(net.state(context), 4, 3)


def test_both_ways_are_drawn_and_measured(tmp_path):
    net = model()
    data = clips(frames(4, 7), 4, 3, val=frames(2, 7, seed=2), test=frames(2, 7, seed=3))
    drawing = draw_both_ways(net, data, "val", tmp_path)
    clip = data.read("val", np.arange(2)).to("cpu")
    past = (net.reconstruct(clip.context) - clip.context).square().mean().item()
    ahead = (net.predict(clip.context, 3) - clip.target).square().mean().item()
    copied = (clip.context[:, -1:] - clip.target).square().mean().item()
    assert f"reconstruction of 4 frames: mse {number(past)}" in drawing.lines[0]
    assert f"prediction of 3 frames: mse {number(ahead)}, last frame {number(copied)}" in drawing.lines[1]
    height, width = np.asarray(Image.open(drawing.path)).shape[:2]
    assert height > 4 * 72  # an original and a decoded row of two clips
    assert width > 7 * 72
    with pytest.raises(UserError, match="CopyLast keeps no state that can be decoded"):
        draw_both_ways(load_model_named("copy-last"), data, "val", tmp_path)


def load_model_named(name: str) -> Predictor:
    from nextframe.checkpoint import create_model

    return create_model(name)


def test_the_command_draws_a_given_model_and_clip(tmp_path):
    task = TrainedTask(context=3, horizon=2, size=(8, 8), channels=1)
    folder = save_model(model(), tmp_path / "lstm", task=task)
    video = (frames(1, 5)[0, :, 0] * 255).byte().numpy()
    wide = np.repeat(np.repeat(video, 2, axis=1), 2, axis=2)  # in colour and of twice the size: fitted to the model
    np.save(tmp_path / "clip.npy", np.repeat(wide[..., None], 3, axis=3))
    words = ["latent", str(folder), "--clip", str(tmp_path / "clip.npy"), "-o", str(tmp_path / "images"), "-q"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    truth = torch.from_numpy(video)[None, :, None].float() / 255
    error = (model().reconstruct(truth[:, :3]) - truth[:, :3]).square().mean().item()
    assert f"reconstruction of 3 frames: mse {number(error)}" in done.output
    assert (tmp_path / "images" / "both-ways.png").exists()
    for more, says in ((["--data", "x"], "give one of them"), (["--separate"], "two pairs of clips are needed")):
        refused = CliRunner().invoke(app, [*words, *more])
        assert refused.exit_code != 0
        assert says in str(refused.exception or refused.output)


# --- one object out of two


def test_where_states_are_sums_the_other_object_is_left():
    pair = Pair(still([0, 1, 2]), still([4, 5, 6]))
    found, errors = _separated(Sum(ModelConfig()), pair)
    assert torch.equal(torch.cat(found[LESS], dim=1), pair.a.frames)
    mse = errors["mse to the true A"]
    assert mse[LESS] == 0
    assert mse[BOTH] == pytest.approx(1 / 64)  # B is still there: one of 64 pixels
    assert mse[PLAIN] == pytest.approx(1 / 64)  # 7 too low everywhere: A is black
    assert mse["A and B less another B"] == pytest.approx(1 / 64)  # B stays, and another falls below black
    cosines = errors["cosine of what is left and of what is added by"]
    assert cosines["A"] == pytest.approx(1)
    assert cosines["another A"] == pytest.approx(0)


def test_an_object_is_taken_out_by_command(tmp_path):
    fields = {"frame_height": 32, "frame_width": 32}
    task = TrainedTask(context=3, horizon=2, size=(32, 32), channels=1, data="moving-digits")
    folder = save_model(model(**fields), tmp_path / "lstm", task=task)
    data = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 6})
    alone = draw_separation(model(**fields), open_data(data), "val", tmp_path / "a")
    words = ["latent", str(folder), "--separate", "--set", "data.options.val_clips=6", "-o", str(tmp_path / "b"), "-q"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert alone.lines[0] in done.output  # of clips with one digit, without being told so
    assert (tmp_path / "b" / "separated.png").read_bytes() == (tmp_path / "a" / "separated.png").read_bytes()
    told = json.loads((tmp_path / "b" / "separated.json").read_text())
    assert told["pairs"] == 3
    assert set(told["mse to the true A"]) == {"decoded from A", LESS, PLAIN, BOTH, "A and B less another B"}


# --- the variational form


def test_the_divergence_is_that_of_the_gaussian_from_a_standard_normal():
    net, clip = model(latent=2), Clip(frames(3, 4), frames(3, 2))
    with torch.no_grad():
        net.gaussian.encode.weight.zero_()
        net.gaussian.encode.bias.copy_(torch.tensor([0.5, 0.0, 0.0, math.log(2)]))  # means, then log deviations
        loss, logs = net.loss(clip)
    by_hand = 0.5**2 / 2 + (2**2 - 1) / 2 - math.log(2)
    assert logs["kl"].item() == pytest.approx(by_hand, rel=1e-5)
    parts = logs["reconstruction"] + logs["future"]
    assert loss.item() == pytest.approx(parts.item() + 0.1 * by_hand, rel=1e-6)


def test_numbers_are_drawn_around_the_mean():
    mean, log_sigma = torch.full((20_000, 1), 2.0), torch.full((20_000, 1), math.log(0.5))
    assert torch.equal(drawn_normal(mean, log_sigma, 0.0), mean)
    drawn = drawn_normal(mean, log_sigma, 3.0, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(2, abs=0.05)
    assert drawn.std().item() == pytest.approx(1.5, abs=0.03)


def test_futures_are_drawn_above_temperature_0_and_repeat_by_generator(tmp_path):
    net, context = model(latent=3).eval(), frames(2, 4)
    assert net.predict(context, 2, samples=3).std(0).max() == 0
    hot = {"temperature": 1.0}
    one, two = (
        net.predict(context, 2, samples=3, options=hot, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(one, two)
    assert one.std(0).min() > 0
    again = load_model(save_model(net, tmp_path / "kept"))
    assert torch.equal(again.predict(context, 2), net.predict(context, 2))
    with pytest.raises(UserError, match=r"temperature is for a variational model: train one with model\.latent"):
        model().predict(context, 2, options=hot)


# --- the adversarial loss


def test_each_side_is_trained_by_its_own_loss():
    net, clip = model(adversarial_weight=0.5), Clip(frames(2, 4), frames(2, 3))
    pretrain, adversarial = net.stages()
    assert (pretrain.share, adversarial.share) == (0.5, 0.5)
    generator, judge = adversarial.objectives
    plain, _ = pretrain.objectives[0].loss(clip)
    total, logs = generator.loss(clip)
    assert total.item() == pytest.approx(plain.item() + 0.5 * logs["adversarial"].item(), rel=1e-5)
    total.backward()
    assert all(p.grad is None for p in judge.parameters)
    assert all(p.grad is not None and p.grad.any() for p in generator.parameters)
    for parameter in generator.parameters:
        parameter.grad = None
    loss, told = judge.loss(clip)
    loss.backward()
    assert all(p.grad is None for p in generator.parameters)
    assert all(p.grad is not None for p in judge.parameters)
    assert 0 <= told["accuracy"] <= 1
    names = {id(p) for p in generator.parameters} | {id(p) for p in judge.parameters}
    assert names == {id(p) for p in net.parameters()}


def test_a_discriminator_learns_to_tell_a_true_clip_from_the_generated_one():
    net, clip = model(adversarial_weight=0.5), Clip(frames(2, 4), frames(2, 3).round())
    _, judge = net.stages()[-1].objectives
    optimizer = torch.optim.Adam(judge.parameters, lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        judge.loss(clip)[0].backward()
        optimizer.step()
    loss, told = judge.loss(clip)
    assert told["accuracy"] == 1
    assert loss.item() < 1  # 2 at scores of zero


@pytest.mark.parametrize("fields", [{"latent": 3}, {"adversarial_weight": 0.5}])
def test_it_trains_with_products_in_bfloat16(fields):
    net, clip = model(**fields), Clip(frames(2, 4), frames(2, 3))
    for objective in net.stages()[-1].objectives:
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = objective.loss(clip)
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters)


@pytest.mark.parametrize(("fields", "part"), [({"latent": 3}, "gaussian"), ({"adversarial_weight": 0.5}, "judge")])
def test_it_starts_from_a_model_without_the_part_and_the_other_way_round(tmp_path, fields, part):
    plain, net = model(), model(**fields, pretrain=0.25, kl_weight=0.2)
    with torch.no_grad():
        plain.encoder.layers[0].bias.fill_(0.7)
    own = {name: value.clone() for name, value in net.state_dict().items() if name.startswith(part)}
    folder = save_model(plain, tmp_path / "plain")
    take_weights(net, str(folder))
    assert own  # the Gaussian or the discriminator: as it was
    assert all(torch.equal(net.state_dict()[name], value) for name, value in own.items())
    assert all(torch.equal(net.state_dict()[name], value) for name, value in plain.state_dict().items())
    again = model()
    take_weights(again, str(save_model(net, tmp_path / "with")))
    assert all(torch.equal(again.state_dict()[name], value) for name, value in plain.state_dict().items())
    with pytest.raises(UserError, match="its 'hidden' is"):
        take_weights(model(hidden=(4,), **fields), str(folder))


def test_an_autoencoder_has_nothing_to_judge():
    with pytest.raises(UserError, match="an autoencoder predicts no frames to judge"):
        CompositeLSTMConfig(decoders="autoencoder", adversarial_weight=0.1)
