"""Batch norm over two processes equals torch's over one that holds both shares."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from nextframe.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from nextframe.layers.processes import mean_over_processes, process_count

LAYERS = {"1d": (BatchNorm1d, nn.BatchNorm1d), "2d": (BatchNorm2d, nn.BatchNorm2d), "3d": (BatchNorm3d, nn.BatchNorm3d)}
CASES = {
    "unequal": ("2d", (8, 3, 4, 5), 5, {"eps": 1e-3, "momentum": 0.01}, torch.float64),
    "rows": ("1d", (9, 4), 4, {}, torch.float64),
    "sequences": ("1d", (6, 4, 5), 3, {}, torch.float64),
    "volumes": ("3d", (4, 2, 3, 4, 5), 1, {"momentum": None}, torch.float64),
    "plain": ("2d", (6, 3, 4, 4), 2, {"affine": False, "track_running_stats": False}, torch.float64),
    "empty share": ("2d", (4, 3, 4, 4), 4, {}, torch.float64),
    "single": ("2d", (6, 3, 8, 8), 2, {}, torch.float32),
    "half": ("2d", (6, 3, 8, 8), 2, {}, torch.bfloat16),
}


def made(case: str) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Inputs of two steps, the gradients of their outputs, and the layer's parameters, from a seed."""
    _, shape, _, _, dtype = CASES[case]
    generator = torch.Generator().manual_seed(len(case))
    values, gradients = torch.randn(2, 2, *shape, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, shape[1], generator=generator)
    return (3 * values + 7).to(dtype), gradients.to(dtype), {"weight": weights[0], "bias": weights[1]}


def trained(case: str, kind: int, share: slice) -> dict[str, torch.Tensor]:
    """Two training steps and an evaluation of our layer (kind 0) or torch's (1): everything that comes out."""
    name, shape, _, options, dtype = CASES[case]
    values, gradients, weights = made(case)
    layer = LAYERS[name][kind](shape[1], **options)
    if layer.affine:
        layer.load_state_dict(weights, strict=False)
    layer = layer.double() if dtype == torch.float64 else layer
    found = {}
    for step in range(2):
        x = values[step][share].requires_grad_()
        y = layer(x)
        y.backward(gradients[step][share])
        found |= {f"output {step}": y.detach(), f"input gradient {step}": x.grad}
    found |= {f"gradient of {key}": parameter.grad for key, parameter in layer.named_parameters()}
    found |= {f"state {key}": value.clone() for key, value in layer.state_dict().items()}
    if layer.track_running_stats:  # else an evaluation has its own share's statistics, as torch's SyncBatchNorm
        found["evaluated"] = layer.eval()(values[0][share]).detach()
    return found


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = {}
    for case, (_, shape, cut, _, _) in CASES.items():
        found[case] = trained(case, 0, slice(cut) if rank == 0 else slice(cut, shape[0]))
    found["mean"] = mean_of_share(slice(2) if rank == 0 else slice(2, 5))
    found["lost digits"] = {"variance": variance_far_from_zero(rank)}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def mean_of_share(share: slice) -> dict[str, torch.Tensor]:
    """The logarithm of a mean over five numbers, and its gradient times the processes, as DDP averages it away."""
    x = torch.arange(1.0, 6.0, dtype=torch.float64)[share].requires_grad_()
    value = mean_over_processes(x.mean(), len(x)).log()
    value.backward()
    return {"value": value.detach(), "gradient": x.grad / process_count()}


def variance_far_from_zero(rank: int) -> torch.Tensor:
    """The running variance of float32 values around 10,000, one process with four of 9,999 and one of 10,001."""
    layer = BatchNorm1d(1, momentum=1.0)
    layer(torch.full((4, 1), 9_999.0 + 2 * rank))
    return layer.running_var


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    mp.spawn(worker, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one_with_both_shares(case, shares):
    first, second = (share[case] for share in shares)
    dtype = CASES[case][-1]
    whole = trained(case, 1, slice(None))
    if dtype == torch.float32:  # torch's own rounding is as coarse: the truth is what it finds in float64
        tolerance = {"rtol": 1e-5, "atol": 1e-5}
    elif dtype == torch.bfloat16:
        tolerance = {"rtol": 2**-7, "atol": 2**-7}
    else:
        tolerance = {"rtol": 1e-12, "atol": 1e-12}
    assert set(first) == set(whole)
    for key, expected in whole.items():
        if key.startswith("state"):
            assert torch.equal(first[key], second[key]), key
            found = first[key]
        elif key.startswith("gradient"):
            found = first[key] + second[key]
        else:
            found = torch.cat([first[key], second[key]])
        torch.testing.assert_close(found, expected, **tolerance, msg=lambda text, key=key: f"{key}: {text}")


def test_a_mean_over_processes_counts_each_item_once(shares):
    x = torch.arange(1.0, 6.0, dtype=torch.float64).requires_grad_()
    x.mean().log().backward()
    for share in shares:
        torch.testing.assert_close(share["mean"]["value"], torch.tensor(3.0, dtype=torch.float64).log())
    torch.testing.assert_close(torch.cat([share["mean"]["gradient"] for share in shares]), x.grad)


def test_the_variance_keeps_its_digits_where_the_mean_is_large(shares):
    for share in shares:
        assert share["lost digits"]["variance"].item() == pytest.approx(8 / 7, rel=1e-6)  # eight deviations of 1


@pytest.mark.parametrize("case", CASES)
def test_one_process_is_torchs_layer_bit_for_bit(case):
    ours, torchs = trained(case, 0, slice(None)), trained(case, 1, slice(None))
    assert set(ours) == set(torchs)
    assert all(torch.equal(ours[key], torchs[key]) for key in torchs)


@pytest.mark.parametrize("case", ["unequal", "volumes", "plain"])
def test_state_dicts_and_settings_are_torchs(case):
    name, shape, _, options, _ = CASES[case]
    ours, torchs = (kind(shape[1], **options) for kind in LAYERS[name])
    assert list(ours.state_dict()) == list(torchs.state_dict())
    assert ours.extra_repr() == torchs.extra_repr()
    assert isinstance(ours, type(torchs))


def test_every_batch_norm_of_a_registered_model_is_synchronised():
    from nextframe.checkpoint import create_model
    from nextframe.models import MODELS

    with torch.device("meta"):  # only what they are made of counts
        models = [create_model(name) for name in MODELS.names()]
    norms = [m for model in models for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, BatchNorm1d | BatchNorm2d | BatchNorm3d) for norm in norms)
