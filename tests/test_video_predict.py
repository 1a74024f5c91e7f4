"""tencia/video_predict, script by script: how its parts are trained, what they decode, and between which bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.seeds.seeding import seed_everything
from nextframe.models.bases.autoencoder import floored
from nextframe.recipes import load_recipe

SMALL: dict[str, Any] = {"frame_height": 8, "frame_width": 8, "hidden": 5, "filters": 2, "latent": 3, "frames": 4}
# train_vcae; train_cae, train_vae_on_convs and train_deconv; train_lstm: rates of Adam
RATES = {
    "mnist-latent-original": {"vcae": 3e-5, "lstm": 1e-4},
    "film-latent-original": {"cae": 1e-3, "vae-on-features": 1e-5, "deconv": 3e-3, "lstm": 1e-4},
}


@pytest.mark.parametrize("name", RATES)
def test_parts_train_in_order_by_adam_at_the_rates_of_the_scripts(name: str) -> None:
    recipe = load_recipe(name)
    with torch.device("meta"):
        model = create_model(recipe.model.name, channels=3 if name.startswith("film") else 1, **recipe.model.fields)
    rates = {}
    for stage in model.stages():
        (objective,) = stage.objectives
        assert objective.optimizer is not None
        assert objective.optimizer.name == "adam"
        rates[stage.name] = objective.optimizer.lr
    assert list(rates.items()) == list(RATES[name].items())
    assert recipe.training.schedule == "constant"
    assert sum(recipe.training.shares.values()) == recipe.training.steps


def test_recipes_have_the_batches_and_epochs_of_the_scripts() -> None:
    digits, film = (load_recipe(name) for name in RATES)
    assert (digits.training.batch, film.training.batch) == (128, 16)
    assert (digits.data.context + digits.data.horizon, film.data.context + film.data.horizon) == (31, 31)  # 30 -> 30
    assert (digits.data.stride, film.data.stride) == (1, 3)
    frames = 10_000 * 30 * 9 // 10
    assert digits.training.shares == {"vcae": 12 * (frames // 128), "lstm": frames // 3968}
    assert film.training.grad_clip == 10
    assert digits.training.in_order == film.training.in_order == ("lstm",)  # train_shuffle is off there alone
    with torch.device("meta"):
        chain = create_model("tencia-latent-lstm", channels=3, **film.model.fields).autoencoder
        single = create_model("tencia-vcae")
    assert (chain.config.cae_frames, chain.config.frames, single.config.frames) == (8, 128, 128)


def test_two_draws_are_trained_and_the_first_matrix_decodes() -> None:
    model = create_model("tencia-vcae", **SMALL).eval()
    clip, latents = Clip(torch.rand(4, 1, 1, 8, 8), torch.rand(4, 0, 1, 8, 8)), torch.randn(2, 3)
    loss = model.stages()[0].objectives[0].loss

    def values() -> tuple[Tensor, float]:
        seed_everything(0)
        return model.decode(latents), float(loss(clip)[0].detach())

    before = values()
    with torch.no_grad():
        model.decoder_outputs[1].bias += 1
    after = values()
    assert torch.equal(before[0], after[0])
    assert before[1] != after[1]
    with torch.no_grad():
        model.decoder_outputs[0].bias += 1
    assert not torch.equal(values()[0], after[0])


def test_pixels_drop_out_while_a_vcae_trains_only() -> None:
    model, frames = create_model("tencia-vcae", **SMALL), torch.rand(2, 1, 8, 8)
    assert model.config.dropout == 0.3
    assert torch.equal(model.eval().encode(frames)[0], model.encode(frames)[0])
    seed_everything(0)
    assert not torch.equal(model.train().encode(frames)[0], model.encode(frames)[0])


def test_deviations_do_not_fall_below_ten_powers_of_e() -> None:
    values = torch.tensor([-30.0, -10.0, -9.5, 0.0, 3.0])
    torch.testing.assert_close(floored(values), torch.tensor([-10.0, -10.0, -9.5, 0.0, 3.0]))
    bounded = create_model("vae-on-features", channels=3, frame_height=24, frame_width=24, latent=4, hidden=3).vae
    with torch.no_grad():
        bounded.feature_mean.bias.fill_(9.0)
        bounded.feature_log_sigma.bias.fill_(-99.0)
        mean, log_sigma = bounded.decode(torch.zeros(1, 4))
    assert float(mean.max()) <= 1
    assert torch.equal(log_sigma, torch.full_like(log_sigma, -10.0))


def test_features_grow_back_to_the_image_as_published() -> None:
    with torch.device("meta"):
        net = create_model("deconv", channels=3).net
    sizes: list[tuple[int, ...]] = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda module, given, made: sizes.append(tuple(made.shape[1:])))
    image = net(torch.empty(2, 32, 26, 26, device="meta"))
    assert sizes == [(32, 28, 28), (32, 30, 30), (16, 64, 64), (3, 64, 64)]
    assert image.shape == (2, 3, 64, 64)


def test_inside_a_cae_grey_is_zero() -> None:
    """Frames are in [-0.5, 0.5] there: without biases a frame of 0.5 has no features, and they decode to it."""
    model = create_model("cae", channels=3, frame_height=24, frame_width=24, spec="d-0.2,4-5,p-2,6").eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "bias" in name:
                value.zero_()
    grey = torch.full((1, 3, 24, 24), 0.5)
    assert float(model.encode(grey)[0].detach().abs().max()) == 0
    assert torch.equal(model.reconstruct(grey), grey)
    assert float(model.encode(grey + 0.1)[0].detach().abs().max()) > 0
