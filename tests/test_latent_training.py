"""Training in stages: the cache of latents, parts from other runs, exact resume in every stage, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nextframe.checkpoint import create_model, load_model
from nextframe.core.clip import EncodedClip
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import torch_generator
from nextframe.data import ClipSet, DataConfig, open_data
from nextframe.models.contract import Encode
from nextframe.models.latent_lstm import LatentLSTM
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, train
from nextframe.training.encoded import encode_clips
from nextframe.training.loader import Steps
from nextframe.training.run import Run

DATA = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 8})
FIELDS: dict[str, Any] = {
    "autoencoder": {"name": "vae", "fields": {"widths": [8, 8], "latent": 4, "frames": 8}},
    "hidden": [8, 8],
}


def recipe(fields: dict[str, Any] | None = None, **training: Any) -> Recipe:
    values = {
        "precision": "32",
        "steps": 8,
        "batch": 4,
        "log_every": 1,
        "val_every": 8,
        "checkpoint_every": 1,
        "val_clips": 4,
    }
    model = ModelSection(name="latent-lstm", fields={**FIELDS, "cache_clips": 12, **(fields or {})})
    return Recipe(model=model, data=DATA, training=TrainingConfig(**{**values, **training}))


def film(folder: Path, frames: int = 60, cut: int = 33) -> ClipSet:
    """A film of grey frames, each of its own brightness, with a cut; every 3rd frame is taken."""
    numbers = (np.arange(frames) * 2).astype(np.uint8)
    shots = np.broadcast_to(numbers[:, None, None], (frames, 32, 32)).copy()
    shots[cut:, :, ::2] = 255
    np.save(folder / "film.npy", shots)
    return open_data(DataConfig(name=str(folder / "film.npy"), context=2, horizon=1, stride=3, color="grey"))


def keyed(frames: Callable[[Tensor], Tensor]) -> Encode:
    return Encode(torch.nn.Identity(), frames, 10)


def brightness(frames: Tensor) -> Tensor:
    """An encoder that keeps one number: (N, 2, 1)."""
    return frames[:, 0, 0, 1].view(-1, 1, 1).expand(-1, 2, 1)


def test_every_frame_of_a_film_is_encoded_once(tmp_path: Path) -> None:
    clips = film(tmp_path)
    seen: list[Tensor] = []

    def encode(frames: Tensor) -> Tensor:
        seen.append(frames[:, 0, 0, 1])
        return brightness(frames)

    latents = encode_clips(clips, tmp_path / "latents", keyed(encode))
    everything = torch.cat(seen)
    assert len(everything) == len(everything.unique())
    indices = np.arange(clips.count("train") or 0)
    wanted = clips.read("train", indices).to("cpu")
    got = latents.read("train", indices)
    assert isinstance(got, EncodedClip)
    assert isinstance(got.to("cpu"), EncodedClip)
    assert latents.count("train") == len(indices)
    assert [latents.source("train", i) for i in indices] == [clips.source("train", i) for i in indices]
    torch.testing.assert_close(got.frames[:, :, 0, 0, 0], wanted.frames[:, :, 0, 0, 1])
    steps = (got.frames[:, 1:] - got.frames[:, :-1])[..., 0, 0, 0] * 255
    assert steps.round().unique().tolist() == [6.0]  # three frames on, and never over the cut
    seen.clear()
    encode_clips(clips, tmp_path / "latents", keyed(encode))
    assert seen == []


def test_a_film_is_read_hardly_more_than_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips overlap, a new one at every frame: reading each that has one new frame would decode a film 3 times over."""
    np.save(tmp_path / "film.npy", np.zeros((600, 16, 16), dtype=np.uint8))
    clips = open_data(DataConfig(name=str(tmp_path / "film.npy"), context=2, horizon=1, stride=3, color="grey"))
    indices = np.arange(clips.count("train") or 0)
    frames = len(np.unique(clips.frame_ids("train", indices)))
    read, counted = clips.read, []
    monkeypatch.setattr(clips, "read", lambda split, some: counted.append(len(some) * 3) or read(split, some))
    encode_clips(clips, tmp_path / "latents", keyed(lambda frames: frames[:, 0, 0, :1].view(-1, 1, 1)))
    assert frames <= sum(counted) < 1.2 * frames


def test_a_killed_encoding_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    clips = film(tmp_path)

    def killed(frames: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_clips(clips, tmp_path / "latents", keyed(killed))
    whole = encode_clips(clips, tmp_path / "latents", keyed(brightness))
    assert float(whole.read("train", np.array([0])).frames.max()) > 0


def test_a_killed_encoding_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextframe.training.encoded.SAY_EVERY", 0.0)
    clips = film(tmp_path, frames=600, cut=599)
    whole = encode_clips(clips, tmp_path / "whole", keyed(brightness))
    left = 3

    def killed(frames: Tensor) -> Tensor:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return brightness(frames)

    seen: list[int] = []

    def counted(frames: Tensor) -> Tensor:
        seen.append(len(frames))
        return brightness(frames)

    with pytest.raises(KeyboardInterrupt):
        encode_clips(clips, tmp_path / "killed", keyed(killed))
    again = encode_clips(clips, tmp_path / "killed", keyed(counted))
    rest = sum(seen)
    encode_clips(clips, tmp_path / "fresh", keyed(counted))
    assert 0 < rest < sum(seen) - rest  # fewer than all: what was done stays done
    indices = np.arange(clips.count("train") or 0)
    assert torch.equal(again.read("train", indices).frames, whole.read("train", indices).frames)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [
        path.name for path in (tmp_path / "whole").iterdir()
    ]


def test_frames_of_another_size_are_refused_before_the_run_begins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model takes frames of 16x32, not 32x32"):
        train(recipe(fields={"frame_height": 16}), tmp_path / "run", show=False)
    assert not (tmp_path / "run").exists()


def test_latents_on_disk_train_as_frames_do(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("latent-lstm", frame_height=32, frame_width=32, **FIELDS)
    clips = open_data(DATA)
    stage = model.stages()[-1]
    assert stage.encode is not None
    latents = encode_clips(clips, tmp_path, stage.encode)
    indices = np.array([3, 1])
    on_disk = stage.objectives[0].loss(latents.read("train", indices))[0]
    on_the_fly = stage.objectives[0].loss(clips.read("train", indices).to("cpu"))[0]
    torch.testing.assert_close(on_disk, on_the_fly)


@pytest.mark.parametrize("killed_at", [2, 6])
def test_a_run_killed_in_either_stage_goes_on_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    train(recipe(), tmp_path / "whole", show=False)
    after = Run._after_step

    def killed(self: Run) -> bool:
        stop = after(self)
        if self.trainer.step == killed_at:
            raise RuntimeError("killed")
        return stop

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_after_step", killed)
        with pytest.raises(RuntimeError, match="killed"):
            train(recipe(), tmp_path / "cut", show=False)
    train(recipe(), tmp_path / "cut", resume=True, show=False)
    whole, cut = read_metrics(tmp_path / "whole"), read_metrics(tmp_path / "cut")
    assert [line["train/loss"] for line in cut] == [line["train/loss"] for line in whole]
    assert [line["stage"] for line in whole] == ["vae"] * 4 + ["lstm"] * 4
    one, other = load_model(tmp_path / "whole"), load_model(tmp_path / "cut")
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_part_of_another_run_is_taken_and_not_trained(tmp_path: Path) -> None:
    first = train(recipe(), tmp_path / "first", show=False)
    taken = {"autoencoder": str(tmp_path / "first")}
    second = train(recipe({"head": "kl"}, steps=3, stage_from=taken), tmp_path / "second", show=False)
    lines = read_metrics(tmp_path / "second")
    assert len(lines) == 3
    assert all("train/kl" in line for line in lines)
    assert isinstance(first.model, LatentLSTM)
    assert isinstance(second.model, LatentLSTM)
    theirs = first.model.autoencoder.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in second.model.autoencoder.state_dict().items())
    vae = Recipe(
        model=ModelSection(name="vae", fields=FIELDS["autoencoder"]["fields"]), data=DATA, training=recipe().training
    )
    train(vae, tmp_path / "vae", show=False)
    train(recipe(steps=2, stage_from={"autoencoder": str(tmp_path / "vae")}), tmp_path / "third", show=False)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    train(recipe(steps=2), tmp_path / "first", show=False)
    taken = {"autoencoder": str(tmp_path / "first")}
    with pytest.raises(UserError, match="did you mean 'autoencoder'"):
        train(recipe(stage_from={"autoencodr": str(tmp_path / "first")}), tmp_path / "x", show=False)
    other = {"autoencoder": {"name": "vae", "fields": {"widths": [8, 8], "latent": 5}}}
    with pytest.raises(UserError, match="its 'latent' is 4, this model's autoencoder has 5"):
        train(recipe(other, stage_from=taken), tmp_path / "x", show=False)
    other = {"autoencoder": {"name": "vcae", "fields": {"hidden": 4, "filters": 1}}}
    with pytest.raises(UserError, match="has no VCAE to take"):
        train(recipe(other, stage_from=taken), tmp_path / "x", show=False)
    with pytest.raises(UserError, match="unknown stage 'vea'"):
        train(recipe(shares={"vea": 1.0}), tmp_path / "x", show=False)
    assert not (tmp_path / "x").exists()


def test_shares_of_the_steps_are_the_recipes(tmp_path: Path) -> None:
    train(recipe(shares={"vae": 1.0, "lstm": 3.0}), tmp_path / "run", show=False)
    assert [line["stage"] for line in read_metrics(tmp_path / "run")] == ["vae"] * 2 + ["lstm"] * 6


def test_a_stage_with_a_share_of_zero_is_skipped(tmp_path: Path) -> None:
    run = train(recipe(shares={"vae": 0, "lstm": 1}), tmp_path / "run", show=False)
    assert [line.get("stage") for line in read_metrics(tmp_path / "run")] == [None] * 8
    assert [stage.name for stage in run.trainer.stages] == ["lstm"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": {"vae": -1.0}}, "shares.vae.*greater than or equal to 0"),
        ({"shares": {"lstm": float("inf")}}, "shares.lstm.*finite"),
        ({"shares": {"vae": 0, "lstm": 0}}, "training.shares gives every stage 0: vae, lstm"),
        ({"steps": 1}, "training.steps=1 is too few for the stages vae, lstm: .* would have none"),
        ({"shares": {"vae": 100, "lstm": 1}}, "training.steps=8 is too few .* 'lstm' would have none"),
    ],
)
def test_a_stage_without_steps_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        train(override(recipe(), {f"training.{key}": value for key, value in settings.items()}), tmp_path / "x")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_a_temperature_is_chosen_when_futures_are_drawn(tmp_path: Path) -> None:
    train(recipe(fields={"head": "kl"}), tmp_path / "run", show=False)
    model, context = load_model(tmp_path / "run"), torch.rand(1, 3, 1, 32, 32)
    hot, cold = {"temperature": 1.0}, {"temperature": 0.0}
    assert model.draws(model.read_options(hot))
    assert not model.draws(model.read_options(cold))
    first, second = model.predict(context, 2, samples=2, generator=torch_generator(0), options=hot)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(model.predict(context, 2, options=cold), model.predict(context, 2))
    with pytest.raises(UserError, match=r"field 'temperature' of LatentLSTMOptions: .*greater than or equal to 0"):
        model.predict(context, 2, options={"temperature": -1.0})
    with pytest.raises(UserError, match="has no option 'temprature'; did you mean 'temperature'"):
        model.predict(context, 2, options={"temprature": 1.0})
    with pytest.raises(UserError, match=r"CopyLast has no option 'temperature'$"):
        create_model("copy-last").predict(context, 2, options=hot)


@pytest.mark.parametrize("content", [0, 2])
def test_pictures_of_a_latent_space(tmp_path: Path, content: int) -> None:
    from nextframe.media.reader import open_source
    from nextframe.prediction.latent_images import draw_latents

    torch.manual_seed(0)
    vae = {**FIELDS["autoencoder"]["fields"], "content": content}
    fields = {**FIELDS, "autoencoder": {"name": "vae", "fields": vae}}
    model = create_model("latent-lstm", frame_height=32, frame_width=32, **fields).eval()
    clips = open_data(DATA)
    paths = draw_latents(model, clips, "val", tmp_path)
    sheets = ["reconstructions.png", "interpolation.png", "traversal.png"]
    assert [path.name for path in paths] == [*sheets, "primed-01.gif"]
    assert len(open_source(tmp_path / "primed-01.gif").last(20)) == 5
    clip = clips.read("val", np.arange(2)).to("cpu")
    primed = model.primed(clip)
    torch.testing.assert_close(primed[:, 3:], model.predict(clip.context, 2))
    torch.testing.assert_close(primed[:, 2:3], model.predict(clip.context[:, :2], 1))
    with pytest.raises(UserError, match="no latent space"):
        draw_latents("copy-last", clips, "val", tmp_path)


def test_as_many_animations_as_asked_of_clips_that_the_seed_chooses(tmp_path: Path) -> None:
    from nextframe.prediction.latent_images import chosen_clips, draw_latents

    torch.manual_seed(0)
    model = create_model("latent-lstm", frame_height=32, frame_width=32, **FIELDS).eval()
    clips = open_data(DATA)
    made = {seed: draw_latents(model, clips, "train", tmp_path / str(seed), seed, gifs=3)[3:] for seed in (0, 1)}
    assert [path.name for path in made[0]] == ["primed-01.gif", "primed-02.gif", "primed-03.gif"]
    assert len({path.read_bytes() for paths in made.values() for path in paths}) == 6, "all of different clips"
    again = draw_latents(model, clips, "train", tmp_path / "again", 0, gifs=3)[3:]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in made[0]]
    assert sorted(chosen_clips(30, 30, 5, "")) == list(range(30)), "each clip once"
    with pytest.raises(UserError, match="the val split has 12 clips, not 30: ask for at most 12"):
        chosen_clips(12, 30, 0, "x: the val split")


def test_one_stage_gets_its_clips_in_the_order_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, list[int]]] = []
    indices = Steps._indices

    def noted(steps: Steps, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        found = indices(steps, step)
        shown.append((type(steps.clips).__name__, found.tolist()))
        return found

    monkeypatch.setattr(Steps, "_indices", noted)
    train(recipe(steps=4, batch=3, in_order=("lstm",)), tmp_path / "run", show=False)
    assert [clips for name, clips in shown if name == "EncodedClips"] == [[6, 7, 8], [9, 10, 11]]
    with pytest.raises(UserError, match="unknown stage 'lstms'"):
        train(recipe(in_order=("lstms",)), tmp_path / "other", show=False)
