"""--batch auto: what is worked out of small batches, what is tried, and that a run keeps the number."""

import pytest
from typer.testing import CliRunner

from nextframe.cli import app
from nextframe.core.errors import NextframeError, UserError
from nextframe.training import read_recipe
from nextframe.training.parallel import largest_batch
from nextframe.training.parallel.largest_batch import free_memory, power_of_two, with_largest_batch

MIB = 2**20
asked: list[int] = []


def line(base: float, each: float):
    """A step of n clips takes `base` and `each` for each of them; sizes that are asked for are noted."""
    asked.clear()

    def peak(size: int) -> float:
        asked.append(size)
        return base + each * size

    return peak


@pytest.mark.parametrize(
    ("base", "each", "limit", "most", "fits", "looks"),
    [
        (1000, 50, 3000, 1024, 32, [2]),  # (3000 - 1000) / 50 = 40
        (1000, 10, 3000, 1024, 128, [2, 4, 8]),  # 200; two batches tell only when they are 32 MiB apart
        (1000, 10, 3000, 100, 64, [2, 4, 8]),  # no more clips in the train split
        (1000, 1500, 3000, 1024, 1, [2]),
        (1000, 0.01, 3000, 1024, 1024, [2, 4, 8, 16, 32, 64]),
        (1000, 0, 3000, 1, 1, []),
    ],
)
def test_a_line_through_small_batches(base, each, limit, most, fits, looks):
    peak = line(base * MIB, each * MIB)
    assert largest_batch._worked_out(peak, (base + each) * MIB, limit * MIB, most) == fits
    assert asked == looks


@pytest.mark.parametrize(("limit", "most", "fits"), [(900, 1024, 8), (900, 6, 4), (150, 1024, 1)])
def test_a_gpu_tries_and_stops_where_it_is_full(limit, most, fits):
    peak = line(0, 100)
    full = lambda size: float("inf") if size > 8 else peak(size)  # noqa: E731
    assert largest_batch._tried(full, 100, limit, most) == fits


def test_powers_of_two():
    assert [power_of_two(n) for n in (1, 2, 3, 7, 8, 1000)] == [1, 2, 2, 4, 8, 512]


def test_free_memory_is_that_of_the_machine_or_of_the_group(tmp_path):
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:       4000 kB\nMemAvailable:   3000 kB\nBuffers: 5 kB\n")
    assert free_memory(info, tmp_path) == 3000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100000\n")
    assert free_memory(info, tmp_path) == 3000 * 1024
    (tmp_path / "memory.max").write_text("600000\n")
    assert free_memory(info, tmp_path) == 500_000
    with pytest.raises(UserError, match="give --batch a number"):
        free_memory(tmp_path / "none", tmp_path)


def test_several_devices_and_odd_numbers_are_one_line(tmp_path):
    from nextframe.recipes import load_recipe

    with pytest.raises(UserError, match="measures one device, and the run has several"):
        with_largest_batch(load_recipe("quickstart"), devices=2)
    for word in ("0", "many", "-4", "1.5"):
        done = CliRunner().invoke(app, ["train", "quickstart", f"--batch={word}", "-o", str(tmp_path / "run")])
        assert isinstance(done.exception, UserError)
        assert f"--batch {word}: give a number of clips" in str(done.exception)


TINY = [
    *("train", "compact", "--data", "moving-digits", "--device", "cpu", "--steps", "2", "-q", "--batch", "auto"),
    *("--set", "model.width=4", "--set", "model.blocks=1", "--set", "run.report=false", "--size", "64x64"),
    *("--set", "training.val_clips=2", "--set", "model.residual=false"),
]


@pytest.mark.slow
def test_a_run_keeps_the_number_that_was_found(tmp_path, monkeypatch):
    folder = str(tmp_path / "run")
    monkeypatch.setattr(largest_batch, "free_memory", lambda: 10**15)
    monkeypatch.setattr(largest_batch, "MOST", 5)
    CliRunner().invoke(app, [*TINY, "-o", folder], catch_exceptions=False)
    assert read_recipe(tmp_path / "run").training.batch == 4
    monkeypatch.setattr(largest_batch, "MOST", 1)
    CliRunner().invoke(app, [*TINY[:7], "4", *TINY[8:], "-o", folder, "--resume"], catch_exceptions=False)
    stored = read_recipe(tmp_path / "run").training
    assert (stored.batch, stored.steps) == (4, 4)


@pytest.mark.slow
def test_what_does_not_fit_is_said_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(largest_batch, "free_memory", lambda: 1000)
    with pytest.raises(NextframeError, match="not even one clip fits: a step takes"):
        CliRunner().invoke(app, [*TINY, "-o", str(tmp_path / "run")], catch_exceptions=False)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").touch()
    with pytest.raises(UserError, match="exists already"):
        CliRunner().invoke(app, [*TINY, "-o", str(tmp_path / "run")], catch_exceptions=False)
