"""The loss of a batch that processes share is that of one process with all of it, noise and batch norm included."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import clip_noise
from nextframe.layers.augment import augment
from nextframe.models.bases.autoencoder import sample, some_frames, some_runs

B = 4
GREY = {"channels": 1, "frame_height": 16, "frame_width": 16}
VAE = {**GREY, "widths": (8, 8), "latent": 6, "frames": 8}
INNER = {"widths": [8, 8], "latent": 8, "likelihood": "bernoulli"}
LATENT = {**GREY, "autoencoder": {"name": "vae", "fields": INNER}, "hidden": [12]}
SPEC = {**GREY, "spec": "4-5,p-2,6-3,16"}
MODELS = {  # without dropout: it is drawn by each process for itself
    "vae": ("vae", {**VAE, "likelihood": "bernoulli"}),
    "vae with content": ("vae", {**VAE, "likelihood": "bernoulli", "content": 2, "straight": 3.0}),
    "vcae": ("vcae", {**GREY, "hidden": 8, "filters": 2, "latent": 4, "dropout": 0.0, "frames": 8}),
    "cae": ("cae", SPEC),
    "deconv": ("deconv", {**SPEC, "dropout": 0.0}),
    "vae-on-features": ("vae-on-features", {**SPEC, "dropout": 0.0, "hidden": 8, "latent": 4, "frames": 8}),
    "latent-lstm by kl": ("latent-lstm", {**LATENT, "head": "kl", "temperature": 1.0}),
    "latent-lstm by kl of differences": ("latent-lstm", {**LATENT, "head": "kl-differences", "temperature": 1.0}),
    "latent-lstm by a mixture": ("latent-lstm", {**LATENT, "head": "mixture"}),
    "latent-lstm by mixtures": ("latent-lstm", {**LATENT, "head": "mixture", "per_dimension": True}),
    "conv3d": ("conv3d", {"context": 4, "channels": 1, "noise": 0.1}),
    "conv3d with dropout": ("conv3d", {"context": 4, "channels": 1, "input_dropout": 0.3}),
    "convlstm-residual": ("convlstm-residual", {"context": 4, "channels": 1, "hidden": 4}),
    "mixture": ("mixture", {"context": 4, "channels": 1}),
    "phydnet": ("phydnet", {"width": 16, "kernel": 3, "hidden": (32,), "sampling": {"fall": 0.5, "whole": True}}),
    "swinlstm": ("swinlstm", {"form": "B", "width": 4, "window": 2, "heads": (2,), "depths": (2,), "drop_path": 0.5}),
}
TOGETHER = {  # what these compute of a batch is no mean over its clips: the processes must speak
    "vae": ("vae", VAE),
    "convlstm": ("convlstm", {"channels": 1, "hidden": (4, 4), "kernels": (3, 3)}),
    "convlstm-autoencoder": ("convlstm-autoencoder", {"context": 4, "channels": 1, "dropout": 0.0}),
    "tau": ("tau", {"context": 4, "encoder_width": 4, "width": 8, "blocks": 2, "drop_path": (0.5, 0.5)}),
}


def clip_of(positions: torch.Tensor) -> Clip:
    frames = torch.rand(B, 6, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))[positions]
    return Clip(frames[:, :4], frames[:, 4:])


def losses(name: str, fields: dict, positions: torch.Tensor) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Every objective's loss of the clips at `positions`, and the gradients of the parameters."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)  # the start too: orthogonal weights are rounded otherwise by 2 threads
    try:
        model = create_model(name, **fields).train()
    finally:
        torch.set_default_dtype(torch.float32)
    found = []
    for stage in model.stages():
        for objective in stage.objectives:
            model.train()
            with clip_noise(5, objective.name, index=positions, total=B):
                loss, _ = objective.loss(clip_of(positions))
            loss.backward()
            found.append(float(loss.detach()))
    return found, {key: p.grad for key, p in model.named_parameters() if p.grad is not None}


def check_mean_of_shares(parts, whole):
    values = torch.tensor([part[0] for part in parts], dtype=torch.float64)
    assert values.mean(0).tolist() == pytest.approx(whole[0], rel=1e-9)
    for key, expected in whole[1].items():
        mean = torch.stack([part[1][key] for part in parts]).mean(0)
        torch.testing.assert_close(mean, expected, rtol=1e-9, atol=1e-12, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("case", MODELS)
def test_the_mean_over_shares_is_the_loss_of_the_batch(case):
    name, fields = MODELS[case]
    whole = losses(name, fields, torch.arange(B))
    check_mean_of_shares([losses(name, fields, torch.arange(rank, B, 2)) for rank in range(2)], whole)
    check_mean_of_shares([losses(name, fields, torch.arange(rank, B, 4)) for rank in range(4)], whole)


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = {case: losses(*TOGETHER[case], torch.arange(rank, B, 2)) for case in TOGETHER}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_that_speak_have_the_loss_of_the_batch(tmp_path):
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for case in TOGETHER:
        whole = losses(*TOGETHER[case], torch.arange(B))
        check_mean_of_shares([part[case] for part in parts], whole)
        apart = [losses(*TOGETHER[case], torch.arange(rank, B, 2)) for rank in range(2)]
        with pytest.raises(AssertionError):  # or this test would show nothing
            check_mean_of_shares(apart, whole)


def numbered(clips: torch.Tensor) -> Clip:
    """Frame t of clip b is the number 100 b + t."""
    frames = (100 * clips.view(-1, 1) + torch.arange(7)).view(-1, 7, 1, 1, 1).float()
    return Clip(frames[:, :3], frames[:, 3:])


def test_every_clip_gives_as_many_frames_whatever_share_it_is_in():
    with clip_noise(1, index=torch.arange(4)):
        whole = some_frames(numbered(torch.arange(4)), 9).flatten().view(4, 2)  # 9 of 4 clips: two each
    assert (whole // 100 == torch.arange(4.0).view(4, 1)).all()
    assert (whole[:, 0] != whole[:, 1]).all()
    with clip_noise(1, index=torch.tensor([1, 3]), total=4):
        assert torch.equal(some_frames(numbered(torch.tensor([1, 3])), 9).flatten().view(2, 2), whole[[1, 3]])
    with clip_noise(1, index=torch.arange(4), total=400):
        assert len(some_frames(numbered(torch.arange(4)), 9)) == 4  # at least one each
    assert (
        some_frames(numbered(torch.arange(4)), 100).flatten().tolist()
        == numbered(torch.arange(4)).frames.flatten().tolist()
    )


def test_frames_and_runs_are_chosen_evenly():
    clips = 3000
    with clip_noise(1, index=torch.arange(clips)):
        chosen = some_frames(numbered(torch.arange(clips)), 2 * clips).flatten() % 100
        runs, owners = some_runs(numbered(torch.arange(clips)), 3 * clips, 3)
    assert torch.equal(owners, torch.arange(clips))
    starts = runs[:, 0].flatten() % 100
    for found, kinds in ((chosen, 7), (starts, 5)):
        expected = len(found) / kinds
        counts = torch.bincount(found.long(), minlength=kinds)
        assert len(counts) == kinds
        assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_several_draws_of_a_latent_stand_draw_by_draw():
    mean, spread = torch.arange(6.0).view(3, 2), torch.full((3, 2), -30.0)
    assert torch.allclose(sample(mean, spread, 4), mean.repeat(4, 1))
    with clip_noise(1, index=torch.arange(3)):
        whole = sample(torch.zeros(3, 2), torch.zeros(3, 2), 4).view(4, 3, 2)
    with clip_noise(1, index=torch.tensor([2]), total=3):
        assert torch.equal(sample(torch.zeros(1, 2), torch.zeros(1, 2), 4), whole[:, 2])
    assert len(whole.flatten().unique()) == 24


def test_a_clip_is_mirrored_alike_in_any_share():
    clip = Clip(*torch.rand(2, 8, 1, 1, 3, 4))
    with clip_noise(1, index=torch.arange(8)):
        whole = augment(clip).frames
    with clip_noise(1, index=torch.arange(2, 8), total=8):
        assert torch.equal(augment(clip[2:]).frames, whole[2:])
