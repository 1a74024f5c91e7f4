"""The compact predictor: any size, any horizon, and it learns in a few steps."""

import pytest
import torch

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.layers.dense_mix import DenseGate
from nextframe.layers.mixing import LineMixer, MixBlock, ProductStem
from nextframe.models.compact import Compact, CompactConfig, unshuffled
from nextframe.models.contract import StageLoss


def build(**fields: object) -> Compact:
    torch.manual_seed(0)
    return Compact(CompactConfig.parse({"context": 3, "horizon": 4, "width": 16, "blocks": 2, **fields})).eval()


def shake(model: Compact) -> Compact:
    """Give the model random weights, so that an output that should depend on the input does."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def moving_square(count: int, frames: int, size: int = 32) -> torch.Tensor:
    """Squares of 8x8 that move 2 px a frame to the right, each from its own row."""
    clips = torch.zeros(count, frames, 1, size, size)
    for b in range(count):
        for t in range(frames):
            clips[b, t, 0, 3 * b : 3 * b + 8, 2 * t + b : 2 * t + b + 8] = 1
    return clips


DENSE = {"dense": True, "kernel": 3, "gated": True}


@pytest.mark.parametrize("fields", [{}, DENSE])
@pytest.mark.parametrize("size", [(32, 32), (33, 30), (7, 41), (3, 3)])
def test_output_has_the_size_of_the_context(size: tuple[int, int], fields: dict[str, object]) -> None:
    context = torch.rand(2, 3, 1, *size)
    future = shake(build(**fields)).predict(context, 4)
    assert future.shape == (2, 4, 1, *size)
    assert torch.isfinite(future).all()
    assert future.min() >= 0
    assert future.max() <= 1


@pytest.mark.parametrize("horizon", [1, 3, 9])
def test_any_horizon_begins_with_the_same_frames(horizon: int) -> None:
    model, context = shake(build()), torch.rand(2, 3, 1, 16, 24)
    long, short = model.predict(context, 9), model.predict(context, horizon)
    assert short.shape[1] == horizon
    torch.testing.assert_close(short, long[:, :horizon])


def test_beyond_its_horizon_it_reads_its_own_prediction() -> None:
    model, context = shake(build()), torch.rand(1, 3, 1, 16, 16)
    long = model.predict(context, 8)
    torch.testing.assert_close(long[:, 4:], model.predict(long[:, 1:4], 4))


def test_every_context_frame_and_only_the_own_clip_matters() -> None:
    model, context = shake(build()), torch.rand(2, 3, 1, 16, 16)
    future = model.predict(context, 4)
    for t in range(3):
        changed = context.clone()
        changed[0, t] = 1 - changed[0, t]
        other = model.predict(changed, 4)
        assert not torch.allclose(other[0], future[0])
        torch.testing.assert_close(other[1], future[1])


def test_another_context_is_refused_with_the_number_it_takes() -> None:
    with pytest.raises(UserError, match="exactly 3 context frames"):
        build().predict(torch.rand(1, 4, 1, 16, 16), 4)


def test_an_even_kernel_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"'reach' of CompactConfig.*odd"):
        build(reach=4)


def test_residual_rgb_starts_near_the_last_frame() -> None:
    context = torch.rand(2, 3, 3, 20, 18)
    future = build(channels=3, residual=True).predict(context, 4)
    assert (future - context[:, -1:]).abs().mean() < 0.02


def test_a_dense_block_multiplies_two_convolutions() -> None:
    block = DenseGate(2, 3)
    values = {"norm.weight": [1, 1], "norm.bias": [0, 0], "expand.bias": [1, 2, 3, 4], "reduce.bias": [0, 0]}
    matrices = {"expand.weight": torch.zeros(4, 2, 3, 3), "reduce.weight": torch.eye(2).reshape(2, 2, 1, 1)}
    block.load_state_dict({name: torch.tensor(value).float() for name, value in values.items()} | matrices)
    added = block(torch.zeros(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(added, torch.tensor([1.0 * 3.0, 2.0 * 4.0]))


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (1, 20)])
def test_lines_mix_alike_by_kernels_and_by_products(size: tuple[int, int]) -> None:
    """On a GPU they are products of matrices; values and gradients are those of the depthwise convolutions."""
    torch.manual_seed(0)
    mixer, x = LineMixer(3, 7).double(), torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    wanted = torch.randn(2, 3, *size, dtype=torch.float64)
    inputs = [x, *mixer.parameters()]
    one, other = mixer.by_kernels(x), mixer.by_products(x)
    torch.testing.assert_close(other, one)
    for first, second in zip(*(torch.autograd.grad((y * wanted).sum(), inputs) for y in (one, other)), strict=True):
        torch.testing.assert_close(second, first)


def test_squares_are_unfolded_as_by_pixel_shuffle() -> None:
    squares = torch.rand(2, 3, 5, 32)
    assert torch.equal(unshuffled(squares, 4), torch.nn.functional.pixel_shuffle(squares.permute(0, 3, 1, 2), 4))


def test_its_loss_can_be_compiled() -> None:
    """Strides that the compiler expects and strides that there are must agree, or backwards fails."""
    model, frames = build(dense=True, kernel=3, gated=True), moving_square(2, 7)
    loss = StageLoss(model, model.stages()[0].objectives)
    compiled = torch.compile(loss, dynamic=False, backend="aot_eager", fullgraph=True)
    clip = Clip(frames[:, :3], frames[:, 3:])
    gradients = []
    for function in (loss, compiled):
        model.zero_grad()
        function(0, clip)[0].backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_dense_blocks_and_lines_alternate() -> None:
    model = build(dense=True, kernel=3, gated=True, blocks=3)
    assert [type(block).__name__ for block in model.blocks] == ["DenseGate", "MixBlock", "DenseGate"]
    assert isinstance(model.blocks[1].places, LineMixer)
    assert model.blocks[0].expand.weight.shape == (32, 16, 3, 3)
    assert {type(block).__name__ for block in build(blocks=2).blocks} == {"MixBlock"}


@pytest.mark.parametrize("fields", [{}, {"gated": True, "pairs": 5}, DENSE])
def test_every_parameter_gets_a_gradient(fields: dict[str, object]) -> None:
    model = build(**fields)
    frames = moving_square(2, 7)
    objective = model.stages()[0].objectives[0]
    loss, _ = objective.loss(Clip(frames[:, :3], frames[:, 3:]))
    loss.backward()
    assert len(objective.parameters) == len(list(model.parameters()))
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_gated_block_multiplies_two_halves() -> None:
    block = MixBlock(2, torch.nn.Identity(), gated=True)
    values = {"norm.weight": [1, 1], "norm.bias": [0, 0], "expand.bias": [1, 2, 3, 4], "reduce.bias": [0, 0]}
    matrices = {"expand.weight": torch.zeros(4, 2), "reduce.weight": torch.eye(2)}
    block.load_state_dict({name: torch.tensor(value).float() for name, value in values.items()} | matrices)
    added = block(torch.zeros(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(added, torch.tensor([1.0 * 3.0, 2.0 * 4.0]))


def test_the_stem_adds_products_of_pairs() -> None:
    stem = ProductStem(1, 1, 1)
    for weights, middle in ((stem.plain, [5.0]), (stem.pairs, [2.0, 3.0])):
        torch.nn.init.zeros_(weights.weight)
        torch.nn.init.zeros_(weights.bias)
        weights.weight.data[:, 0, 1, 1] = torch.tensor(middle)
    torch.nn.init.ones_(stem.mix.weight)
    torch.nn.init.zeros_(stem.mix.bias)
    x = torch.full((1, 1, 1, 1), 0.5)
    assert stem(x).item() == pytest.approx(5 * 0.5 + (2 * 0.5) * (3 * 0.5))


@pytest.mark.parametrize("fields", [{"width": 32}, {"width": 32, "gated": True, "pairs": 16}, {"width": 32, **DENSE}])
def test_a_few_steps_on_one_batch_beat_the_last_frame(fields: dict[str, object]) -> None:
    model, frames = build(**fields), moving_square(6, 7)
    clip = Clip(frames[:, :3], frames[:, 3:])
    objective = model.stages()[0].objectives[0]
    optimizer = torch.optim.AdamW(objective.parameters, lr=4e-3)
    for _ in range(80):
        optimizer.zero_grad()
        objective.loss(clip)[0].backward()
        optimizer.step()
    error = (model.predict(clip.context, 4) - clip.target).square().mean()
    assert error < 0.5 * (clip.context[:, -1:] - clip.target).square().mean()
