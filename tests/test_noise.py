"""Noise that belongs to a clip: the published bits, the right distributions, and no dependence on the batch."""

import math
import threading

import pytest
import torch

from nextframe.core.seeds import noise
from nextframe.core.seeds.noise import (
    categorical,
    clip_noise,
    global_batch,
    integers,
    noise_of,
    normal_like,
    splitmix,
    uniform,
)

N = 400_000


@pytest.mark.parametrize(
    ("seed", "outputs"),
    [
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]),
    ],
)
def test_the_bits_are_those_that_were_published(seed, outputs):
    """The first outputs of Vigna's splitmix64.c, as its ports test them."""
    assert [int(bits) % 2**64 for bits in splitmix(seed, torch.arange(4))] == outputs


def test_bits_are_those_of_unsigned_arithmetic():
    """Any seed and number against Python's whole numbers, which do not wrap."""
    ends = [0, 1, 2**31, 2**62, 2**63 - 1, -1, -(2**63)]
    for seed in ends:
        for number in ends[:5]:
            bits = (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
            bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
            found = splitmix(torch.tensor([seed]), torch.tensor([number]))
            assert int(found) % 2**64 == bits ^ (bits >> 31)


def draws(index, *shape, keys=(7, "step", 3), dtype=torch.float32):
    """Three draws for the clips at `index` of the global batch, each (B, *shape)."""
    with clip_noise(*keys, index=torch.tensor(index)):
        values = torch.empty(len(index), *shape, dtype=dtype)
        return normal_like(values), uniform(values.shape, "cpu"), integers(10, values.shape, "cpu")


def test_a_clip_has_the_same_noise_in_any_batch():
    for whole, some in zip(draws([0, 1, 2, 3], 5, 7), draws([1, 3], 5, 7), strict=True):
        assert torch.equal(whole[[1, 3]], some)
    for whole, turned in zip(draws([0, 1, 2, 3], 5), draws([3, 0, 2, 1], 5), strict=True):
        assert torch.equal(whole[[3, 0, 2, 1]], turned)


def test_some_clips_of_a_batch_get_their_own_noise():
    index = torch.tensor([4, 0, 7])
    with clip_noise(1, index=index):
        uniform((3, 2), "cpu")
        whole = uniform((3, 5), "cpu")
    with clip_noise(1, index=index):
        uniform((3, 2), "cpu")
        with noise_of(torch.tensor([0, 2])):
            assert torch.equal(uniform((2, 5), "cpu"), whole[[0, 2]])
        with noise_of(torch.tensor([1])):
            assert torch.equal(uniform((1, 5), "cpu"), whole[[1]])
        assert torch.equal(uniform((3, 5), "cpu"), whole)
    with noise_of(torch.tensor([1])):
        assert uniform((4, 1), "cpu").shape == (4, 1)  # outside a scope


def test_items_of_a_clip_stand_together():
    with clip_noise(1, index=torch.arange(3)):
        flat = normal_like(torch.empty(3 * 4, 2, 3))
    with clip_noise(1, index=torch.arange(3)):
        apart = normal_like(torch.empty(3, 4, 2, 3))
    assert torch.equal(flat, apart.flatten(0, 1))


def test_what_cannot_be_shared_by_the_clips_is_refused():
    with clip_noise(1, index=torch.arange(3)), pytest.raises(ValueError, match="8 items cannot be shared by 3 clips"):
        normal_like(torch.empty(8, 2))
    with pytest.raises(ValueError, match="vector of integers"), clip_noise(1, index=torch.zeros(3)):
        pass
    more = pytest.raises(ValueError, match="more than the 2 of the global batch")
    with more, clip_noise(1, index=torch.arange(3), total=2):
        pass


def test_a_process_without_clips_draws_nothing():
    with clip_noise(1, index=torch.arange(0), total=4):
        assert normal_like(torch.empty(0, 3)).shape == (0, 3)
        assert uniform((0, 2), "cpu").shape == (0, 2)


def test_each_draw_key_and_clip_has_noise_of_its_own():
    with clip_noise(7, "step", 3, index=torch.arange(2)):
        found = [normal_like(torch.empty(2, 64)) for _ in range(3)]
    for keys in ((7, "step", 4), (8, "step", 3), (7, "other", 3)):
        found.append(draws([0, 1], 64, keys=keys)[0])
    found.append(draws([2**32, 2**33], 64)[0])  # positions beyond 32 bits are not cut
    rows = torch.cat(found)
    assert len({tuple(row.tolist()) for row in rows}) == len(rows)
    assert len(rows.flatten().unique()) == rows.numel()


def test_normals_have_the_moments_of_the_normal_distribution():
    """Each mean of N independent terms is within 5 deviations of what it should be: 1 in 1.7 million is not."""
    x = draws(range(8), N // 8, dtype=torch.float64)[0].flatten()
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(x.pow(power).mean()) - mean) < 5 * math.sqrt(variance / N), power
    beyond = math.erfc(3 / math.sqrt(2))
    assert abs(float((x.abs() > 3).double().mean()) - beyond) < 5 * math.sqrt(beyond / N)


@pytest.mark.parametrize("lag", [1, 2, 3, 4])
def test_normals_that_stand_together_are_independent(lag):
    """Neighbours in a clip, the same place in two clips, and in two draws: products and products of squares."""
    with clip_noise(7, index=torch.arange(8)):
        first, second = (normal_like(torch.empty(8, N // 8, dtype=torch.float64)) for _ in range(2))
    pairs = [(first[:, lag:], first[:, :-lag]), (first, first.roll(lag, 0)), (first, second)]
    for a, b in pairs:
        bound = 5 / math.sqrt(a.numel())
        assert abs(float((a * b).mean())) < bound
        assert abs(float(((a.square() - 1) * (b.square() - 1)).mean())) < 2 * bound  # each factor has variance 2


def test_precision_only_rounds():
    wide, narrow = (draws([4, 9], 1001, dtype=dtype)[0] for dtype in (torch.float64, torch.float32))
    assert torch.equal(wide.float(), narrow)
    assert torch.equal(draws([4, 9], 1001, dtype=torch.bfloat16)[0], wide.bfloat16())


def test_uniform_numbers_and_integers_are_spread_evenly():
    _, numbers, whole = draws(range(4), N // 4)
    assert numbers.dtype == torch.float32
    assert 0 <= numbers.min() < numbers.max() < 1
    for counts in (torch.histc(numbers, 10, 0, 1), torch.bincount(whole.flatten(), minlength=10)):
        squares = float(((counts - N / 10) ** 2 / (N / 10)).sum())
        assert 0.5 < squares < 40  # chi squared with 9 degrees of freedom: outside of it in 1 of 10,000
    assert whole.max() == 9


def test_categories_come_by_their_weights_and_never_without():
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0])
    with clip_noise(7, index=torch.arange(4)):
        found = categorical(weights.expand(N, 5))
    counts = torch.bincount(found, minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert abs(int(counts[3]) - 0.75 * N) < 5 * math.sqrt(N * 0.75 * 0.25)


def test_draws_are_kept_out_of_graphs_by_one_wrapper():
    noise.keep_out_of_graphs()
    once = noise._Scope.numbers
    noise.keep_out_of_graphs()
    assert noise._Scope.numbers is once


def test_outside_a_scope_and_with_a_generator_torch_draws():
    values, weights = torch.empty(3, 5), torch.rand(3, 4)
    for scoped in (False, True):
        given = torch.Generator().manual_seed(5) if scoped else None
        torch.manual_seed(5)
        expected = (
            torch.randn(3, 5),
            torch.rand(3, 5),
            torch.randint(9, (3, 5)),
            torch.multinomial(weights, 1).squeeze(1),
        )
        torch.manual_seed(5)
        if scoped:
            with clip_noise(1, index=torch.arange(2)):
                found = all_four(values, weights, given)
        else:
            found = all_four(values, weights, given)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def all_four(values, weights, generator):
    return (
        normal_like(values, generator),
        uniform(values.shape, "cpu", generator),
        integers(9, values.shape, "cpu", generator),
        categorical(weights, generator),
    )


def test_scopes_nest_and_end_even_by_an_error():
    with clip_noise(1, index=torch.arange(2), total=6):
        before = normal_like(torch.empty(2, 3))
        with clip_noise(2, index=torch.arange(5)):
            normal_like(torch.empty(5, 3))
            assert global_batch(1) == 5
        with pytest.raises(ValueError, match="cannot be shared"), clip_noise(2, index=torch.arange(5)):
            normal_like(torch.empty(2, 3))
        assert global_batch(2) == 6
        after = normal_like(torch.empty(2, 3))
    with clip_noise(1, index=torch.arange(2)):
        assert torch.equal(normal_like(torch.empty(2, 3)), before)
        assert torch.equal(normal_like(torch.empty(2, 3)), after)
    assert global_batch(3) == 3


def test_threads_have_scopes_of_their_own():
    seen = []
    with clip_noise(1, index=torch.arange(2)):
        thread = threading.Thread(target=lambda: seen.append(normal_like(torch.empty(3, 3))))
        thread.start()
        thread.join()
        first = normal_like(torch.empty(2, 3))
    assert seen[0].shape == (3, 3)  # torch's: the scope would refuse 3 items of 2 clips
    assert torch.equal(first, draws([0, 1], 3, keys=(1,))[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same():
    shape = (4, 100_003)
    found = []
    for device in ("cpu", "cuda"):
        with clip_noise(7, index=torch.arange(4)):
            values = torch.empty(shape, device=device, dtype=torch.float64)
            found.append([normal_like(values).cpu(), uniform(shape, device).cpu(), integers(9, shape, device).cpu()])
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-13, atol=1e-13)
    assert torch.equal(found[0][1], found[1][1])
    assert torch.equal(found[0][2], found[1][2])
