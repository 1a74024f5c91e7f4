"""nextframe benchmark speed: what is timed, in which order, and the arithmetic of what is said."""

import itertools
import json
import time

import pytest
from typer.testing import CliRunner

from nextframe.benchmark import TASKS, SpeedConfig, measure_speed
from nextframe.benchmark.speed import machine
from nextframe.benchmark.speed.measure import job_of, training_flops
from nextframe.benchmark.speed.table import as_text
from nextframe.benchmark.speed.timing import Spread, furthest, in_turn, seconds_of, times_as_fast
from nextframe.cli import app
from nextframe.core.errors import NextframeError, UserError


class Clock:
    """A clock that says what it is told, one time after another."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)

    def __call__(self) -> float:
        return self.times.pop(0)


def test_seconds_are_those_of_one_call():
    assert seconds_of(lambda: None, Clock(10.0, 12.5)) == 2.5
    # 0.4 s after one call, 0.9 after two, 1.2 after three: the first that is over a second
    assert seconds_of(lambda: None, Clock(5.0, 5.4, 5.9, 6.2), least=1.0) == pytest.approx(0.4)


def test_sides_take_turns_and_the_first_round_is_not_kept():
    order, clock = [], Clock(*range(0, 100, 3))

    def side(name: str):
        return lambda: (order.append(name), seconds_of(lambda: None, clock))[1]

    found = in_turn({"a": side("a"), "b": side("b")}, 3)
    assert "".join(order) == "abababab"
    assert found == {"a": Spread((3, 3, 3)), "b": Spread((3, 3, 3))}


def test_the_middle_of_runs_and_how_many_times_as_fast():
    ours, other = Spread((4.0, 1.0, 2.0)), Spread((3.0, 9.0, 5.0, 4.0))
    assert ours.facts() == {"min": 1.0, "median": 2.0, "max": 4.0, "n": 3, "runs": [4.0, 1.0, 2.0]}
    assert other.median == 4.5
    assert times_as_fast(ours, other) == 2.25


def test_loss_curves_are_compared_by_the_worst_step():
    assert furthest([1.0, 2.0, 4.0], [1.0, 2.5, 4.0]) == pytest.approx(0.2)
    assert furthest([], []) == 0.0


def test_operations_of_a_step_are_those_of_direct_convolutions():
    """A 3x3 head over one hidden map and a cell of kernel 1, by hand: a product and a sum are two."""
    fields = {"hidden": [1], "kernels": [1]}
    job = job_of("convlstm", SpeedConfig(batch=2, size=(4, 6), fields=fields), "cpu")
    pixels, frames = 2 * 4 * 6, 19
    cell = 2 * pixels * frames * 4 * 2  # four gates of a frame and a hidden map
    head = 2 * pixels * frames * 3 * 9
    # backwards: the weights of both, the maps that the head and, but for the first frame's, the cells read
    assert training_flops(job) >= 3 * head + 2 * cell
    assert training_flops(job) <= 3 * head + 3 * cell


def test_the_peak_is_that_of_the_fastest_try(monkeypatch):
    """With a clock that says 4, 2, 1, 2, 4 seconds: 2 n^3 operations in one second."""
    tries = [4.0, 2.0, 1.0, 2.0, 4.0]
    times = itertools.chain.from_iterable((0.0, seconds) for seconds in tries * 2)
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    monkeypatch.setitem(machine.MATRIX, "cpu", 100)
    monkeypatch.setitem(machine.MAPS, "cpu", (2, 10, 8, 5))
    peaks = machine.measured_peaks("cpu", "32", seconds=0.0)
    assert peaks == pytest.approx({"matmul": 2 * 100**3 / 1e9, "convolution": 2 * 2 * 8 * 5 * 10 * 10 * 9 / 1e9})


@pytest.mark.slow
def test_the_command_measures_and_writes(tmp_path):
    words = ["--models", "convlstm,flow", "-o", str(tmp_path / "found"), "-q", "--device", "cpu"]
    given = ["rounds=1", "size=[16, 16]", "batch=2", "least=0", "fields.hidden=[4, 4, 2]"]
    settings = [word for one in given for word in ("--set", f"speed.{one}")]
    done = CliRunner().invoke(app, ["benchmark", "speed", *words, *settings], catch_exceptions=False)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(row["model"], row["what"]) for row in found["rows"]] == [
        ("convlstm", "training step"),
        ("convlstm", "peak memory"),
        ("convlstm", "10-frame inference"),
        ("convlstm", "streaming step"),
        ("flow", "10-frame inference"),
        ("convlstm", "start-up"),
    ]
    train, memory, predict = found["rows"][:3]
    assert [len(side["runs"]) for side in train["sides"].values()] == [1, 1]
    assert len(train["losses"]["nextframe"]) == 2
    assert train["largest_relative_difference_of_losses"] < 1e-4
    assert train["times_as_fast"] == train["sides"]["plain"]["median"] / train["sides"]["nextframe"]["median"]
    peak = max(found["peaks_gflops"].values())
    share = train["share_of_peak"]["nextframe"]
    assert share == pytest.approx(train["gflop"] / train["sides"]["nextframe"]["median"] / peak)
    assert memory["share_of_plain"] == memory["sides"]["nextframe"]["max"] / memory["sides"]["plain"]["max"]
    assert predict["batch"] == 1
    assert {"command", "commit", "date", "machine", "threads", "torch"} <= set(found["run"])
    assert done.output.startswith(as_text(found))


@pytest.mark.slow
def test_a_side_that_fails_is_one_line():
    with pytest.raises(NextframeError, match="speed of composite-lstm: UserError: this composite-lstm takes frames of"):
        measure_speed(
            ["composite-lstm"], SpeedConfig(rounds=1, fields={"frame_height": 8, "hidden": [4]}), "cpu", False
        )


def test_what_cannot_be_measured_is_one_line():
    with pytest.raises(UserError, match="unknown model 'convlst'"):
        measure_speed(["convlst"], SpeedConfig(), "cpu")
    with pytest.raises(UserError, match="Compact takes exactly 3 context frames, not 4"):
        job_of("compact", SpeedConfig(context=4, fields={"context": 3}), "cpu")
    for words, line in (
        (["--data", "x"], "speed reads no clips"),
        (["--minutes", "1"], "speed trains nothing"),
        (["--set", "real.given=2"], "setting 'real.given': speed is fixed; it takes speed.FIELD=VALUE"),
        (["--set", "speed.round=2"], "round"),
    ):
        done = CliRunner().invoke(app, ["benchmark", "speed", *words])
        assert isinstance(done.exception, UserError)
        assert line in str(done.exception)


def test_the_task_is_listed():
    listed = CliRunner().invoke(app, ["benchmark"]).output
    assert f"speed: {TASKS.get('speed').about}\n    data: its own; training: none" in listed
