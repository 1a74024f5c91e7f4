"""Kernels chosen by a race: by injected times, kept, of a run and its resumption, the same in all processes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nextframe.cli import main
from nextframe.core.errors import UserError
from nextframe.core.kernels import Choices, current, using
from nextframe.core.kernels.choices import fixed_everywhere
from nextframe.core.kernels.kept import keep, kept_file, read_kept
from nextframe.core.kernels.precision import BF16, FLOAT32, bf16_pays
from nextframe.core.kernels.race import ROUNDS, race, winner
from nextframe.data import DataConfig
from nextframe.layers.convlstm import ConvLSTMLayer
from nextframe.layers.fast_conv import SAMPLE, FastConv2d, Shape, _products, _smaller
from nextframe.models.contract import Objective, OptimizerDefaults, Stage
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train
from nextframe.training.folder.checkpoints import load_state, save_state, stored_kernels
from nextframe.training.parallel.launch import launch
from own_models import registered
from tiny import Tiny, TinyConfig

WHAT = "a product of two numbers"
DATA = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 4})


class Watch:
    """A clock that shows the time that the ways say they take, and counts how often each has run."""

    def __init__(self, **seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds
        self.runs = dict.fromkeys(seconds, 0)

    def __call__(self) -> float:
        return self.now

    def ways(self) -> dict[str, Callable[[], None]]:
        return {name: lambda name=name: self.run(name) for name in self.seconds}

    def run(self, name: str) -> None:
        self.now += self.seconds[name]
        self.runs[name] += 1


@pytest.fixture(autouse=True)
def races(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Races are held here, and kept for one test; other tests compute by rule."""
    monkeypatch.delenv("NEXTFRAME_KERNELS")
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.5, 0.5), raising=False)


def pick(choices: Choices, watch: Watch, fixed: str = "plain") -> str:
    return choices.pick(WHAT, tuple(watch.seconds), fixed, watch.ways)


# --- the race


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"plain": 1.0, "other": 0.5, "third": 0.6}, "other"),
        ({"plain": 1.0, "other": 0.96}, "plain"),  # within the margin
        ({"plain": 1.0, "other": 0.94}, "other"),
        ({"plain": 1.0, "other": 2.0}, "plain"),
    ],
)
def test_another_kernel_than_the_plain_one_has_to_win_by_a_margin(seconds: dict[str, float], expected: str) -> None:
    watch = Watch(**seconds)
    assert winner(race(watch.ways(), watch)) == expected


def test_the_warm_up_does_not_count_and_ways_take_turns() -> None:
    order: list[str] = []
    ticks = count()
    first = {"a": 3, "b": 3}  # seconds of the first run: caches are cold

    def way(name: str, seconds: int) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            for _ in range(first.pop(name, seconds) - 1):
                next(ticks)

        return run

    times = race({"a": way("a", 2), "b": way("b", 1)}, lambda: float(next(ticks)))
    assert times == {"a": 2.0, "b": 1.0}
    assert order[:6] == ["a", "b"] * 3


def test_short_ways_run_often_and_hopeless_ones_once() -> None:
    watch = Watch(plain=0.001, slow=0.005)
    assert race(watch.ways(), watch)["slow"] == pytest.approx(0.005)
    assert watch.runs == {"plain": 1 + ROUNDS, "slow": 1}


# --- what is kept


def test_a_choice_is_kept_for_the_next_process(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "nextframe")
    watch = Watch(plain=1.0, other=0.5)
    assert pick(Choices(clock=watch), watch) == "other"
    runs = dict(watch.runs)
    assert pick(Choices(clock=watch), watch) == "other"
    assert watch.runs == runs, "what is known is measured again"
    assert caplog.messages == [
        f"kernel of {WHAT}: other of plain 1e+03 ms, other 500 ms",
        f"kernel of {WHAT}: other, as it was measured before",
    ]
    found = json.loads(kept_file().read_text())
    assert found["chosen"] == {WHAT: "other"}
    assert found["torch"] == torch.__version__


def test_choices_are_of_one_version_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    keep({WHAT: "other"})
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert read_kept() == {}
    keep({"more": "plain"})
    assert read_kept() == {"more": "plain"}


@pytest.mark.parametrize("text", ["{", "[]", '{"chosen": 1}', '{"chosen": {"a": 1}}', "\x00\xff"])
def test_a_damaged_file_is_one_line_and_written_again(text: str, caplog: pytest.LogCaptureFixture) -> None:
    keep({})
    path = kept_file()
    path.write_text(text)
    watch = Watch(plain=1.0, other=0.5)
    assert pick(Choices(clock=watch), watch) == "other"
    assert f"{path} cannot be read" in caplog.messages[0]
    assert read_kept() == {WHAT: "other"}


def test_where_nothing_can_be_kept_each_process_measures(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    watch = Watch(plain=1.0, other=0.5)
    assert pick(Choices(clock=watch), watch) == "other"


def test_nothing_is_kept_of_a_crowded_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (3.5, 1.0, 1.0), raising=False)
    keep({WHAT: "plain"})
    assert read_kept() == {}
    monkeypatch.setattr("os.getloadavg", lambda: (2.5, 9.0, 9.0), raising=False)  # two threads of this process
    keep({WHAT: "plain"})
    assert read_kept() == {WHAT: "plain"}


def test_a_kept_kernel_that_is_no_more_is_measured_again() -> None:
    keep({WHAT: "of an earlier version"})
    watch = Watch(plain=1.0, other=0.5)
    assert pick(Choices(clock=watch), watch) == "other"


# --- fixed


def test_fixed_kernels_are_those_of_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(plain=1.0, other=0.5)
    assert pick(Choices(races=False, clock=watch), watch, fixed="plain") == "plain"
    monkeypatch.setenv("NEXTFRAME_KERNELS", "fixed")
    assert pick(Choices(clock=watch), watch, fixed="plain") == "plain"
    assert watch.runs == {"plain": 0, "other": 0}
    monkeypatch.setenv("NEXTFRAME_KERNELS", "slow")
    with pytest.raises(UserError, match="NEXTFRAME_KERNELS is 'slow': it may be 'fixed'"):
        fixed_everywhere()


def test_debug_shows_the_choices_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("nextframe")
    monkeypatch.setattr(logger, "level", logger.level)
    logger.manager._clear_cache()
    for words, shown in ((["--version"], False), (["--version", "--debug"], True)):
        with pytest.raises(SystemExit):
            main(words)
        assert logging.getLogger("nextframe.core.kernels.choices").isEnabledFor(logging.DEBUG) == shown


# --- kernels agree


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("bias", [True, False])
def test_all_kernels_of_a_convolution_agree_in_value_and_gradient(kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = FastConv2d(3, 5, kernel, padding=kernel // 2, bias=bias).double()
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 3, 13, 10, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
        above = torch.randn(2, 5, 13, 10, dtype=torch.float64)
        plain = nn.Conv2d.forward(layer, x)
        expected = torch.autograd.grad(plain, [x, *layer.parameters()], above)
        names = layer.kernels(x)
        assert len(names) == {1: 2, 3: 4, 5: 4, 7: 3}[kernel]
        for name in names:
            found = layer.by(name, x)
            torch.testing.assert_close(found, plain)
            gradients = torch.autograd.grad(found, [x, *layer.parameters()], above)
            for one, other in zip(gradients, expected, strict=True):
                torch.testing.assert_close(one, other)
            with torch.no_grad():
                torch.testing.assert_close(layer.by(name, x), plain)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_all_kernels_of_a_recurrence_agree_in_value_and_gradient(kernel: int) -> None:
    torch.manual_seed(0)
    layer = ConvLSTMLayer(2, 3, kernel).double()
    x = torch.randn(3, 2, 8, 8, 2, dtype=torch.float64, requires_grad=True)
    c = torch.randn(2, 8, 8, 3, dtype=torch.float64)
    weights = [layer.input_weight, layer.recurrent_weight, layer.bias]
    names = layer.kernels(x)
    assert len(names) == 2
    found = [layer.by(name, x, None, c, weights) for name in names]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    gradients = [torch.autograd.grad(maps.square().sum(), [x, *weights]) for maps, _, _ in found]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_race_is_between_the_kernels_that_there_are_and_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextframe.layers.fast_conv.LITTLE", 0)
    layer, x = FastConv2d(4, 4, 3, padding=1), torch.randn(2, 4, 8, 8, requires_grad=True)
    before = torch.random.get_rng_state()
    choices = Choices(keeps=False)
    with using(choices):
        assert current() is choices
        out = layer(x)
    assert torch.equal(torch.random.get_rng_state(), before)
    [(what, name)] = choices.made.items()
    assert what == Shape.of(layer, x).text()
    torch.testing.assert_close(out, layer.by(name, x), rtol=0, atol=0)
    assert list(Shape.of(layer, x).ways()) == list(layer.kernels(x))


def test_a_convolution_is_raced_for_each_shape_and_with_and_without_gradients() -> None:
    layer = FastConv2d(4, 4, 3, padding=1)
    x = torch.randn(2, 4, 8, 8)
    texts = {Shape.of(layer, x).text(), Shape.of(layer, x[:1]).text(), Shape.of(layer, x.requires_grad_()).text()}
    with torch.no_grad():
        texts.add(Shape.of(layer, x).text())
    assert len(texts) == 4


def test_a_large_convolution_is_raced_by_a_part_of_it() -> None:
    layer, x = FastConv2d(64, 64, 3, padding=1), torch.empty(4, 64, 1024, 16)
    smaller = _smaller(layer, tuple(x.shape))
    assert smaller[0] == 1
    assert smaller[1::2] == (64, 16)
    assert 0.9 * SAMPLE < _products(layer, smaller) <= SAMPLE


# --- precision


def test_bf16_is_taken_only_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextframe.core.kernels.precision.native_bf16", lambda _: True)
    for watch, expected in ((Watch(float32=1.0, bf16=0.5), True), (Watch(float32=1.0, bf16=1.0), False)):
        monkeypatch.setattr("nextframe.core.kernels.precision._ways", watch.ways)
        with using(Choices(clock=watch, keeps=False)):
            assert bf16_pays("cpu") == expected
    with using(Choices(races=False)):
        assert bf16_pays("cpu")
    monkeypatch.setattr("nextframe.core.kernels.precision.native_bf16", lambda _: False)
    with using(Choices(keeps=False)):
        assert not bf16_pays("cpu")


# --- runs


class Convolved(Tiny):
    """A model whose loss is that of one convolution, which is raced; it notes the kernel of each training step."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.conv = FastConv2d(1, 1, 3, padding=1)
        self.used: list[str] = []

    def stages(self) -> list[Stage]:
        adam = OptimizerDefaults("adam", lr=0.01)
        return [Stage("train", [Objective("conv", list(self.conv.parameters()), self.convolved, adam)])]

    def convolved(self, clip: Any) -> tuple[Tensor, dict[str, Tensor]]:
        x = clip.context[:, -1]
        if self.training:
            self.used.append(self.conv._kernel(x))
        return (self.conv(x) - clip.target[:, 0]).square().mean(), {}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("nextframe.layers.fast_conv.LITTLE", 0)
    with registered({"convolved": Convolved}):
        yield


def recipe(**training: Any) -> Recipe:
    values = {"steps": 6, "batch": 4, "log_every": 1, "val_every": 6, "checkpoint_every": 3, "precision": "32"}
    config = TrainingConfig(**{**values, "device": "cpu", "schedule": "constant", "keep": "last", **training})
    return Recipe(model=ModelSection(name="convolved"), data=DATA, training=config)


def losses(folder: Path) -> dict[int, float]:
    return {line["step"]: line["train/loss"] for line in read_metrics(folder) if "train/loss" in line}


@pytest.mark.usefixtures("own")
def test_the_second_step_of_a_run_computes_as_the_race_said(tmp_path: Path) -> None:
    run = train(recipe(), tmp_path / "run", show=False)
    made = stored_kernels(tmp_path / "run" / "checkpoints")
    [trained] = [what for what in made if "gradients" in what]
    assert run.model.used == ["direct"] + [made[trained]] * 5
    assert load_state(tmp_path / "run" / "checkpoints")["kernels"] == made
    assert read_kept() == made


@pytest.mark.usefixtures("own")
def test_a_fixed_run_races_nothing(tmp_path: Path) -> None:
    run = train(recipe(kernels="fixed"), tmp_path / "run", show=False)
    assert stored_kernels(tmp_path / "run" / "checkpoints") == {}
    assert read_kept() == {}
    assert run.model.used == ["direct"] * 6


@pytest.mark.usefixtures("own")
def test_a_resumed_run_computes_as_its_checkpoint_says_whatever_is_kept(tmp_path: Path) -> None:
    """Another kernel is put into the checkpoint than any race would choose, and what is kept is deleted."""
    folder = tmp_path / "run"
    train(recipe(steps=3), folder, show=False)
    state = load_state(folder / "checkpoints")
    slowest = dict.fromkeys(state["kernels"], "Winograd, tile 2")
    save_state(folder / "checkpoints", {**state, "kernels": slowest})
    kept_file().unlink()
    run = train(recipe(), folder, resume=True, show=False)
    assert run.model.used == ["Winograd, tile 2"] * 3
    assert slowest.items() <= stored_kernels(folder / "checkpoints").items()


@pytest.mark.usefixtures("own")
def test_a_resumed_run_goes_on_bit_by_bit_without_what_was_kept(tmp_path: Path) -> None:
    train(recipe(), tmp_path / "whole", show=False)
    train(recipe(steps=3), tmp_path / "cut", show=False)
    kept_file().unlink()
    train(recipe(), tmp_path / "cut", resume=True, show=False)
    whole = losses(tmp_path / "whole")
    assert list(whole) == [1, 2, 3, 4, 5, 6]
    assert whole.items() <= losses(tmp_path / "cut").items()


def test_precision_auto_is_decided_by_the_race_and_kept_on_resume(
    own: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nextframe.core.kernels.precision.native_bf16", lambda _: True)
    slow = Watch(float32=1.0, bf16=2.0)
    monkeypatch.setattr("nextframe.core.kernels.precision._ways", lambda: _worked(slow.seconds))
    run = train(recipe(precision="auto", steps=3), tmp_path / "run", show=False)
    assert not run.trainer.arithmetic.bf16
    state = load_state(tmp_path / "run" / "checkpoints")
    [what] = [what for what, name in state["kernels"].items() if name == FLOAT32]
    save_state(tmp_path / "run" / "checkpoints", {**state, "kernels": {**state["kernels"], what: BF16}})
    resumed = train(recipe(precision="auto"), tmp_path / "run", resume=True, show=False)
    assert resumed.trainer.arithmetic.bf16


def _worked(seconds: dict[str, float]) -> dict[str, Callable[[], object]]:
    """Return ways that work for so many thousandths of the seconds."""
    return {name: lambda n=int(20_000 * each): sum(range(n)) for name, each in seconds.items()}


def in_two_processes(folder: Path) -> None:
    """Train in each of two processes, of which only the second knows a choice of its own."""
    import torch.distributed as dist

    from nextframe.layers import fast_conv
    from nextframe.training.run import Job, _train_here

    fast_conv.LITTLE = 0
    with registered({"convolved": Convolved}):
        run = _train_here(Job(recipe(val_clips=3), folder / "run", devices=2, show=False))
    rank = dist.get_rank()
    facts = {"made": run.trainer.arithmetic.state_dict(), "used": run.model.used}
    (folder / f"{rank}.json").write_text(json.dumps(facts))


def test_others_take_what_the_first_process_decides() -> None:
    """What is faster in the second one does not count, nor what it alone has computed."""
    fast, slow = Watch(plain=1.0, other=0.5), Watch(plain=1.0, other=2.0)
    first = Choices(at_once=False, keeps=False, clock=fast)
    second = Choices(at_once=False, keeps=False, clock=slow)
    assert pick(first, fast) == pick(second, slow) == "plain", "it is decided between steps"
    second.pick("what only the second computes", tuple(slow.seconds), "plain", slow.ways)
    first.settle(True, dict)
    second.settle(False, lambda _: first.made)
    assert first.made == second.made == {WHAT: "other"}
    assert pick(second, slow) == "other"
    assert slow.runs == {"plain": 0, "other": 0}


@pytest.mark.slow
def test_two_processes_compute_with_the_first_ones_kernels(tmp_path: Path) -> None:
    launch(2, in_two_processes, tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["made"] == second["made"] == stored_kernels(tmp_path / "run" / "checkpoints")
    assert first["used"] == second["used"]
    assert len(first["used"]) == 6
