"""Prediction in a latent space (tencia/video_predict, 2016), and the same idea for a small computer.

`mnist-latent` and `film-latent` are ours: small enough for a CPU, one digit and not two, the digit's identity separated
from its position, the state carried through sampling, training on own predictions. The chain for videos is the
original's, image -> features -> latent -> features -> image; `film-latent-small` has one small VAE in its place. The
`-original` recipes have the public code's numbers and its faults except two: its LSTM windows cross the ends of
sequences, and its four samples of an image are equal. As there, the LSTM alone gets its clips in the order of the
file; those of a video begin 31 frames apart, each at the next of the three phases. They compute in float32, as the
public code did.

Epochs of the original are steps here: 10,000 digit sequences of 30 frames, a tenth of them for test; for a video, whose
length is not stated, 100,000 frames.
"""

from __future__ import annotations

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

ADDITIVE = {"motion": "additive"}  # the original's own digits: 2 to 6 pixels a frame, brightness added up

MNIST_LATENT = Recipe(
    model=ModelSection(
        name="latent-lstm",
        fields={
            "autoencoder": {"name": "vae", "fields": {"latent": 40, "content": 32, "straight": 10.0, "frames": 96}},
            "hidden": [256, 256],
            "head": "kl",
            "cache_clips": 8000,
        },
    ),
    data=DataConfig(name="moving-digits", context=10, horizon=30, size=(64, 64), options={**ADDITIVE, "count": 1}),
    training=TrainingConfig(
        steps=10_000,
        batch=32,
        grad_clip=1.0,
        keep="last",
        shares={"vae": 5000, "lstm": 5000},
        val_every=1000,
        checkpoint_every=500,
    ),
)

MNIST_LATENT_ORIGINAL = Recipe(
    model=ModelSection(name="tencia-latent-lstm"),
    data=DataConfig(
        name="moving-digits", context=30, horizon=1, size=(64, 64), options={**ADDITIVE, "digits": "mnist"}
    ),
    training=TrainingConfig(
        precision="32",
        steps=12 * 2109 + 68,
        batch=128,
        schedule="constant",
        keep="last",
        shares={"vcae": 12 * 2109, "lstm": 68},
        in_order=("lstm",),
        val_every=2109,
        checkpoint_every=500,
    ),
)

VIDEOS = DataConfig(name="mspacman", context=10, horizon=10, stride=3, size=(64, 64), color="rgb")

FILM_LATENT = Recipe(
    model=ModelSection(
        name="latent-lstm",
        fields={
            "autoencoder": {
                "name": "vae-on-features",
                "fields": {"latent": 128, "hidden": 256, "bounded": False, "lr": 1e-3, "frames": 32, "cae_frames": 16},
            },
            "hidden": [256, 256],
        },
    ),
    data=VIDEOS,
    training=TrainingConfig(
        steps=2800,
        batch=16,
        grad_clip=10.0,
        keep="last",
        shares={"cae": 600, "vae-on-features": 600, "deconv": 600, "lstm": 1000},
        val_every=700,
        val_clips=32,
        checkpoint_every=200,
    ),
)

FILM_LATENT_SMALL = Recipe(
    model=ModelSection(
        name="latent-lstm",
        fields={"autoencoder": {"name": "vae", "fields": {"latent": 128, "frames": 64}}, "hidden": [256, 256]},
    ),
    data=VIDEOS,
    training=TrainingConfig(
        steps=2000,
        batch=16,
        grad_clip=1.0,
        keep="last",
        shares={"vae": 1400, "lstm": 600},
        val_every=700,
        val_clips=32,
        checkpoint_every=500,
    ),
)

FILM_LATENT_ORIGINAL = Recipe(
    model=ModelSection(name="tencia-latent-lstm", fields={"autoencoder": {"name": "vae-on-features"}}),
    data=VIDEOS.model_copy(update={"context": 30, "horizon": 1, "options": {"clip_step": 31}}),
    training=TrainingConfig(
        precision="32",
        steps=125_000 + 7_812 + 7_812 + 269,
        batch=16,
        schedule="constant",
        grad_clip=10.0,
        keep="last",
        shares={"cae": 125_000, "vae-on-features": 7_812, "deconv": 7_812, "lstm": 269},
        in_order=("lstm",),
        val_every=12_500,
        checkpoint_every=500,
    ),
)
