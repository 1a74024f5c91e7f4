"""Transfer: draws, averaging over steps and windows, seeding, frozen weights, baselines, results and the verb."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from nextframe.checkpoint import save_model
from nextframe.cli import app
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.layers.lstm import LSTMStack
from nextframe.models import MODELS
from nextframe.models.contract import Capabilities, ModelConfig, Objective, Predictor, Stage, TrainedTask
from nextframe.transfer import ClassifierConfig, TransferConfig, transfer
from nextframe.transfer.classifier import Descent, Fitting, Head, fit, predict, step_loss
from nextframe.transfer.encoder import WindowEncoder, like, open_encoder
from nextframe.transfer.experiment import open_windows
from nextframe.transfer.probes import probe
from nextframe.transfer.result import TransferResult, TransferRow, apart, interval, joined, read_result
from nextframe.transfer.videos import Kept, Videos, draw_videos, labelled_videos


class ReaderConfig(ModelConfig):
    channels: int = 1
    frame_height: int = 32
    frame_width: int = 32
    hidden: int = 24


class Reader(Predictor):
    """A model with an encoder that has an output after every frame, as a user would write one."""

    Config: ClassVar[type[ModelConfig]] = ReaderConfig
    config: ReaderConfig

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__(config)
        self.encoder = nn.LSTM(config.channels * config.frame_height * config.frame_width, config.hidden)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(channels=self.config.channels, any_size=False)

    def step_features(self, frames: Tensor) -> Tensor:
        outputs, _ = self.encoder(frames.flatten(2).transpose(0, 1))
        return outputs.transpose(0, 1)

    def features(self, clip: Clip) -> Tensor:
        return self.step_features(clip.context)[:, -1]

    def stages(self) -> list[Stage]:
        return [Stage("train", [Objective("none", list(self.parameters()), lambda clip: (clip.context.sum(), {}))])]


@pytest.fixture(autouse=True)
def _registered():
    if "reader" not in MODELS:
        MODELS.add("reader", Reader)
    yield
    MODELS.keep([name for name in MODELS if name != "reader"])


@pytest.fixture
def run(tmp_path):
    """A folder of a model that is said to be trained."""
    torch.manual_seed(0)
    task = TrainedTask(context=8, horizon=8, size=(32, 32), channels=1, data="motion-digits")
    return str(save_model(Reader(ReaderConfig()), tmp_path / "seeded", task=task, training={"step": 7}))


DIGITS = DataConfig(name="motion-digits", options={"train_videos": 48, "val_videos": 16, "test_videos": 24})


def small(**fields) -> TransferConfig:
    classifier = ClassifierConfig(steps=3, batch=8, precision="32")
    return TransferConfig(**{"per_class": (1, 2, None), "draws": 2, "classifier": classifier, **fields})


# --- videos and draws


def test_a_video_has_all_its_windows_and_one_class():
    videos = labelled_videos(open_windows(DIGITS, small()), "test")
    assert len(videos) == 24
    assert [own.tolist() for own in videos.windows[:2]] == [[0, 1, 2], [3, 4, 5]]
    assert np.bincount(videos.labels).tolist() == [3] * 8
    windows, owners = videos.chosen(np.array([1, 5])).flat()
    assert windows.tolist() == [3, 4, 5, 15, 16, 17]
    assert owners.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_draw_with_fewer_videos_begins_the_one_with_more():
    labels = np.repeat(np.arange(3), [10, 5, 2])
    few, more = draw_videos(labels, 1, 0, 4), draw_videos(labels, 4, 0, 4)
    assert np.bincount(labels[few]).tolist() == [1, 1, 1]
    assert np.bincount(labels[more]).tolist() == [4, 4, 2]  # the last class has no more
    assert set(few) < set(more)
    assert len(set(draw_videos(labels, None, 0, 4))) == 17
    assert not np.array_equal(draw_videos(labels, 4, 0, 5), more)
    assert np.array_equal(draw_videos(labels, 4, 0, 4), more)


def test_data_without_classes_is_one_line():
    with pytest.raises(UserError, match=r"'moving-digits' has no classes \(those with classes: motion-digits"):
        open_windows(DataConfig(name="moving-digits"), small())
    endless = open_data(DataConfig(name="motion-digits", options={"train_videos": None}))
    with pytest.raises(UserError, match="the train split is endless"):
        labelled_videos(endless, "train")


@pytest.mark.parametrize("room", [2**20, 1])
def test_what_is_kept_is_what_was_made(room):
    asked: list[int] = []

    def squares(indices):
        asked.extend(indices.tolist())
        return torch.from_numpy(indices**2)[:, None]

    kept = Kept(squares, 10, room)
    for indices in ([3, 1], [1, 4, 3], [9, 9, 0], [4, 3, 1]):
        assert kept(np.array(indices)).flatten().tolist() == [index**2 for index in indices]
    assert len(asked) == (11 if room == 1 else len({3, 1, 4, 9, 0}))


# --- the classifier


def test_the_loss_is_the_mean_cross_entropy_of_every_step():
    logits = torch.tensor([[[0.0, 0.0], [np.log(3.0), 0.0]]])  # after two frames: 1/2, then 3/4 for class 0
    assert step_loss(logits, torch.tensor([0])).item() == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)


def test_a_video_is_the_mean_over_its_windows_of_the_mean_over_steps_of_the_softmax():
    chances = torch.tensor([[[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.4, 0.6]], [[0.1, 0.9], [0.3, 0.7]]])
    videos = Videos([np.array([0, 2]), np.array([1])], np.array([0, 1]))
    fitting = Fitting(lambda indices: chances.log()[indices], ClassifierConfig(), 2, (0,))
    found = predict(nn.Identity(), videos, fitting)
    np.testing.assert_allclose(found, [[(0.9 + 0.5 + 0.1 + 0.3) / 4, 0.55], [0.3, 0.7]], rtol=1e-6)


def test_the_classifier_learns_motion_that_its_encoder_can_see():
    """Inputs whose class is the sign of a step: an LSTM must learn it, from its own random weights."""
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    steps = np.where(labels, 1.0, -1.0)[:, None] * np.arange(8) + generator.normal(size=(40, 1))
    inputs = torch.tensor(steps, dtype=torch.float32)[..., None]
    lstm = nn.LSTM(1, 8, batch_first=True)
    encoder = nn.Module()
    encoder.forward = lambda frames: lstm(frames)[0]
    encoder.lstm = lstm
    videos = Videos([np.array([index]) for index in range(40)], labels)
    fitting = Fitting(lambda indices: inputs[indices], ClassifierConfig(steps=60, lr=1e-2), 2, (0,))
    classifier = fit(encoder, videos.chosen(np.arange(20)), fitting)
    found = predict(classifier, videos.chosen(np.arange(20, 40)), fitting)
    assert (found.argmax(1) == labels[20:]).mean() >= 0.9


def test_the_originals_descent_is_plain_and_of_the_sum_over_windows_and_steps():
    """Two steps by hand, from a softmax of zeros: no momentum, no bound, and no scale of the outputs."""
    inputs, labels = torch.tensor([[[1.0, 2.0], [0.0, 100.0]], [[3.0, -1.0], [1.0, 1.0]]]), np.array([0, 1])
    videos = Videos([np.array([0]), np.array([1])], labels)
    config = ClassifierConfig(steps=2, batch=2, optimizer="descent", standardised=False, weight_decay=0.1)
    classifier = fit(nn.Identity(), videos, Fitting(lambda indices: inputs[indices], config, 2, (0,)))
    weight, bias = np.zeros((2, 2)), np.zeros(2)
    flat, owner = inputs.numpy().reshape(4, 2).astype(float), np.eye(2)[[0, 0, 1, 1]]
    for _ in range(2):
        logits = flat @ weight.T + bias
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        weight = weight - 1e-4 * ((chances - owner).T @ flat + 0.1 * weight)
        bias = bias - 1e-4 * ((chances - owner).sum(0) + 0.1 * bias)
    np.testing.assert_allclose(classifier[1].linear.weight.detach().numpy(), weight, rtol=1e-5)
    np.testing.assert_allclose(classifier[1].linear.bias.detach().numpy(), bias, rtol=1e-5, atol=1e-12)


def test_the_originals_rate_falls_by_a_tenth_every_10_000_steps():
    layer = nn.Linear(1, 1)
    descent = Descent(layer, ClassifierConfig(steps=1, optimizer="descent"))
    rates = []
    for step in (0, 9_999, 10_000, 25_000):
        descent.step(step, layer(torch.ones(1, 1)).sum(), 1)
        rates.append(descent.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-4, 1e-4, 0.9e-4, 0.81e-4])


def test_peepholes_stay_at_0_and_units_drop_out_between_layers():
    torch.manual_seed(0)
    stack = LSTMStack(3, (8, 8))
    encoder = nn.Module()
    encoder.stack, encoder.forward = stack, lambda x: stack(x, stack.blank(x.shape[1], x), len(x))[0].transpose(0, 1)
    inputs = torch.rand(4, 6, 3)
    config = ClassifierConfig(steps=3, batch=4, lr=0.1, peepholes="zero", layer_dropout=0.5)
    videos = Videos([np.array([index]) for index in range(6)], np.arange(6) % 2)
    before = stack.layers[0].recurrent_weight.clone()
    fit(encoder, videos, Fitting(lambda indices: inputs[:, indices], config, 2, (0,)))
    assert not any(layer.peephole.any() for layer in stack.layers)
    assert not torch.equal(stack.layers[0].recurrent_weight, before)
    first = stack.layers[0](inputs, (inputs.new_zeros(6, 8),) * 2, 4)[0]
    seen = []
    stack.layers[1].register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    stack.train()(inputs, stack.blank(6, inputs), 4)
    dropped = seen[0] == 0
    assert 0.3 < dropped.float().mean() < 0.7
    torch.testing.assert_close(seen[0][~dropped], 2 * first[~dropped])  # what is left is scaled
    stack.eval()(inputs, stack.blank(6, inputs), 4)
    assert torch.equal(seen[1], first)
    alone = Fitting(lambda indices: inputs[:, indices], config, 2, (0,))
    with pytest.raises(UserError, match=r"layer_dropout is for an encoder of several LSTM layers"):
        fit(nn.Sequential(nn.Linear(3, 2)), videos, alone)


def test_fitting_twice_gives_the_same_classifier():
    clips = open_windows(DIGITS, small())
    videos = labelled_videos(clips, "train").chosen(np.arange(8))
    config = ClassifierConfig(steps=3, batch=8)
    found = []
    for _ in range(2):
        model = like(open_encoder("reader", clips), 0, 5)
        fitting = Fitting(lambda indices: clips.read("train", indices).frames / 255, config, 8, (0, 1))
        found.append(predict(fit(WindowEncoder(model), videos, fitting), videos, fitting))
    assert np.array_equal(*found)


def test_random_twins_have_the_size_but_not_the_weights(run):
    clips = open_windows(DIGITS, small())
    model = open_encoder(run, clips)
    one, other, again = like(model, 0, 1), like(model, 0, 2), like(model, 0, 1)
    assert one.config == model.config
    assert torch.equal(one.encoder.weight_hh_l0, again.encoder.weight_hh_l0)
    assert not torch.equal(one.encoder.weight_hh_l0, other.encoder.weight_hh_l0)
    assert not torch.equal(one.encoder.weight_hh_l0, model.encoder.weight_hh_l0)


# --- any model with features


def test_an_encoder_of_steps_and_one_of_windows():
    clips = open_windows(DIGITS, small())
    frames = torch.rand(2, 16, 1, 32, 32)
    assert WindowEncoder(open_encoder("reader", clips))(frames).shape == (2, 16, 24)
    convlstm = MODELS.get("convlstm")(MODELS.get("convlstm").Config(hidden=(4,), kernels=(3,)))
    encoder = WindowEncoder(convlstm.eval())
    assert encoder(frames).shape == (2, 1, 4)
    assert torch.equal(encoder(frames)[:, 0], convlstm.features(Clip(frames, frames[:, -1:])))


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("copy-last", "'copy-last' is a baseline"),
        ("convlst", "unknown model or run folder 'convlst'; did you mean 'convlstm'"),
        ("runs/nowhere", "no such model or run folder"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_line(spec, line):
    with pytest.raises(UserError, match=line):
        open_encoder(spec, open_windows(DIGITS, small()))


def test_frames_that_a_model_does_not_take_are_one_line(run):
    with pytest.raises(UserError, match=r"seeded takes 1 channel\(s\), motion-digits has 3"):
        open_encoder(run, open_windows(DIGITS.model_copy(update={"color": "rgb"}), small()))
    with pytest.raises(UserError, match="takes frames of 32x32, those of motion-digits are 40x40: give --size 32x32"):
        open_encoder(run, open_windows(DIGITS.model_copy(update={"size": (40, 40)}), small()))


# --- baselines


def test_logistic_regression_on_features_that_separate():
    train = np.array([[0.0, 1], [0.1, 1], [1, 0], [0.9, 0]], np.float32)
    found = probe(train, np.array([0, 0, 2, 2]), np.array([[0.05, 0.9], [0.95, 0.1]], np.float32), 3)
    assert found.argmax(1).tolist() == [0, 2]
    assert not found[:, 1].any()  # a class without a video is never found
    np.testing.assert_allclose(found.sum(1), 1)


# --- experiments


def test_every_method_stands_in_one_table(run):
    found = transfer([run, "reader"], DIGITS, small(), show=False)
    methods = [(row.model, row.method) for row in found.rows[::3]]
    assert methods == [
        ("seeded", "fine-tuned"),
        ("seeded", "frozen"),
        ("seeded", "random"),
        ("seeded", "probe"),
        ("reader", "random"),
        ("reader", "probe"),
        ("one frame", "single-frame"),
    ]
    assert [row.labelled for row in found.rows[:3]] == [8, 16, 48]
    assert all(row.n == 24 and len(row.accuracies) == 2 for row in found.rows)
    assert [gain["videos_per_class"] for gain in found.gains()] == [1, 2, "all"] * 2
    assert found.settings["models"][run]["step"] == 7
    assert "seeded" in found.table().columns[0]._cells


def test_frozen_weights_stay_and_fine_tuned_ones_move(run):
    """Frozen is a softmax on fixed outputs: its accuracies are those of the same softmax trained by hand."""
    clips = open_windows(DIGITS, small())
    found = transfer([run], DIGITS, small(methods=("frozen",), per_class=(2,)), show=False)
    encoder = WindowEncoder(open_encoder(run, clips))
    read = {split: clips.read(split, np.arange(clips.count(split))).to("cpu").frames for split in ("train", "test")}
    with torch.no_grad():
        outputs = {split: torch.cat([encoder(part) for part in frames.split(64)]) for split, frames in read.items()}
    train, test = labelled_videos(clips, "train"), labelled_videos(clips, "test")
    for draw, accuracy in enumerate(found.rows[0].accuracies):
        chosen = draw_videos(train.labels, 2, 0, draw)
        fitting = Fitting(lambda indices: outputs["train"][indices], small().classifier, 8, (0, draw, len(chosen)))
        head = fit(nn.Identity(), train.chosen(chosen), fitting)
        fitting = Fitting(lambda indices: outputs["test"][indices], small().classifier, 8, (0,))
        assert (predict(head, test, fitting).argmax(1) == test.labels).mean() == accuracy


def test_fine_tuning_moves_every_weight_of_the_encoder(run):
    clips = open_windows(DIGITS, small())
    train = labelled_videos(clips, "train")
    encoder = WindowEncoder(open_encoder(run, clips)).requires_grad_(True)
    before = [parameter.clone() for parameter in encoder.parameters()]
    read = lambda indices: clips.read("train", indices).to("cpu").frames  # noqa: E731
    fit(encoder, train, Fitting(read, small().classifier, 8, (0,)))
    assert all(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


class Sealed(Reader):
    """A reader whose features no gradient comes back from."""

    def step_features(self, frames):
        return super().step_features(frames).detach()


def test_an_encoder_without_gradients_is_frozen_or_refused_never_silently_frozen():
    MODELS.add("sealed", Sealed)
    try:
        transfer(["sealed"], DIGITS, small(methods=("probe",), per_class=(1,)), show=False)
        with pytest.raises(UserError, match="features of Sealed have no gradient: remove random from --methods"):
            transfer(["sealed"], DIGITS, small(methods=("random",), per_class=(1,)), show=False)
    finally:
        MODELS.keep([name for name in MODELS if name != "sealed"])


def test_two_models_of_one_name_are_refused(run, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copytree(run, tmp_path / "other" / "seeded")
    with pytest.raises(UserError, match="would both be called 'seeded' in the table: rename a folder"):
        transfer([run, str(tmp_path / "other" / "seeded")], DIGITS, small(methods=("frozen",)), show=False)


def test_the_same_seed_gives_the_same_rows(run):
    config = small(methods=("fine-tuned", "random"), per_class=(1,))
    one, other = (transfer([run], DIGITS, config, show=False) for _ in range(2))
    assert [row.accuracies for row in one.rows] == [row.accuracies for row in other.rows]


# --- results


def row(accuracies, method="random") -> TransferRow:
    return TransferRow("m", method, "d", "test", 1, 8, accuracies, 100, 1.0)


def test_error_bars_are_students_interval_of_the_mean():
    low, high = interval([0.1, 0.2, 0.3])  # sd 0.1, t of 2 degrees 4.30265: half is 4.30265 * 0.1 / sqrt(3)
    assert (low, high) == pytest.approx((0.2 - 0.24841, 0.2 + 0.24841), abs=1e-4)
    assert interval([0.5]) is None


def test_error_bars_are_apart_only_where_they_do_not_touch():
    assert apart(row([0.50, 0.52, 0.51], "frozen"), row([0.30, 0.32, 0.31]))
    assert not apart(row([0.4, 0.6, 0.5], "frozen"), row([0.30, 0.32, 0.31]))
    assert not apart(row([0.30, 0.32, 0.31], "frozen"), row([0.50, 0.52, 0.51]))


def test_the_verb_writes_rows_and_a_plot(run, tmp_path):
    out, plot = tmp_path / "t.json", tmp_path / "t.svg"
    words = ["transfer", run, "--per-class", "1,all", "--draws", "2", "--methods", "frozen,probe"]
    words += ["--set", "data.options.train_videos=16", "--set", "data.options.test_videos=8", "-q"]
    words += ["--set", "transfer.classifier.steps=2", "--set", "transfer.classifier.precision=32"]
    done = CliRunner().invoke(app, [*words, "--json", str(out), "-o", str(plot)])
    assert done.exit_code == 0, done.output
    assert "accuracy on 8 test videos of motion-digits" in done.output
    whole = json.loads(out.read_text())
    assert whole["run"]["commit"]
    assert [(r["method"], r["videos_per_class"]) for r in whole["rows"]] == [
        (method, amount) for method in ("frozen", "probe") for amount in (1, "all")
    ]
    assert plot.read_text().count("<svg") == 1
    more = CliRunner().invoke(app, [*words, "--methods", "random", "--with", str(out)])
    assert more.exit_code == 0, more.output
    assert [line.split()[1] for line in more.output.splitlines() if line.startswith(" seeded")] == [
        "frozen",
        "probe",
        "random",
    ]
    assert "seeded frozen less random weights, 1 per class" in more.output


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--per-class", "1,0"], "write numbers from 1 on, or all"),
        (["--methods", "finetuned"], "Input should be 'fine-tuned'"),
        (["-o", "plot.pdf"], "a plot must be a .png or .svg"),
        (["--set", "model.hidden=3"], "write transfer.FIELD=VALUE or data.FIELD=VALUE"),
        (["--data", "nowhere"], "unknown data set or path 'nowhere'"),
    ],
)
def test_a_wrong_word_is_one_line(run, words, line):
    done = CliRunner().invoke(app, ["transfer", run, *words, "-q"])
    assert done.exit_code != 0
    assert line in str(done.exception)


def test_training_starts_from_the_weights_of_another_run(tmp_path):
    from nextframe.training import ModelSection, Recipe, TrainingConfig, train

    def trained(folder: str, horizon: int, hidden: int = 4, **more) -> Predictor:
        model = ModelSection(name="convlstm", fields={"hidden": [hidden], "kernels": [3]})
        config = TrainingConfig(
            precision="32", steps=1, batch=2, lr=1e-12, val_clips=2, keep="last", schedule="constant", **more
        )
        data = DIGITS.model_copy(update={"context": 4, "horizon": horizon})
        return train(Recipe(model=model, data=data, training=config), tmp_path / folder, show=False).model

    one = trained("one", 1)
    other = trained("other", 3, seed=1)
    again = trained("again", 3, seed=1, start_from=str(tmp_path / "one"))
    weights = [model.head.weight for model in (one, other, again)]
    assert torch.allclose(weights[2], weights[0], atol=1e-6)
    assert not torch.allclose(weights[1], weights[0], atol=1e-3)
    with pytest.raises(UserError, match=r"its 'hidden' is \[4\]|its 'hidden' is \(4,\)"):
        trained("wrong", 1, hidden=5, start_from=str(tmp_path / "one"))


def test_results_are_joined_and_the_later_row_counts(run, tmp_path):
    config = small(methods=("frozen",), per_class=(1,))
    one = transfer([run], DIGITS, config, show=False)
    one.write_json(tmp_path / "one.json")
    later = TransferResult(
        [replace(one.rows[0], accuracies=[0.5, 0.5]), row([0.25], "random")], one.settings, {"seed": 9}
    )
    later.rows[1] = replace(one.rows[0], method="random", accuracies=[0.25, 0.5])
    found = joined([read_result(tmp_path / "one.json"), later])
    assert [(r.method, r.accuracies) for r in found.rows] == [("frozen", [0.5, 0.5]), ("random", [0.25, 0.5])]
    assert found.gains()[0]["mean"] == 0.125
    assert found.run == {"seed": 9}
    assert found.earlier[0]["run"]["command"] == one.run["command"]


def test_rows_of_other_videos_are_refused(run, tmp_path):
    one = transfer([run], DIGITS, small(methods=("frozen",), per_class=(1,)), show=False)
    other = replace(one, rows=[replace(one.rows[0], n=16)])
    with pytest.raises(UserError, match="results on 24 test videos of motion-digits and on 16 test videos"):
        joined([one, other])
    (tmp_path / "two.json").write_text("{}")
    with pytest.raises(UserError, match=r"two\.json: is not a result of nextframe transfer"):
        read_result(tmp_path / "two.json")
    config = {**one.settings["transfer"], "seed": 5}
    reseeded = replace(one, settings={**one.settings, "transfer": config})
    with pytest.raises(UserError, match=r"results with another seed \(0, 5\) cannot be joined"):
        joined([one, reseeded])
    with pytest.raises(UserError, match="give run folders or models"):
        joined([])


def test_the_originals_classifier_has_its_50_6_million_parameters():
    """2048 units with peepholes on 4096-d percepts and a softmax over the 101 classes of UCF-101."""
    with torch.device("meta"):
        fields = {"channels": 4096, "frame_height": 1, "frame_width": 1, "hidden": (2048,), "loss": "squared"}
        encoder = MODELS.get("composite-lstm")(MODELS.get("composite-lstm").Config.parse(fields)).encoder
    head = Head(torch.rand(2, 3, 2048), 101, dropout=0.0)
    lstm, softmax = (sum(p.numel() for p in part.parameters()) for part in (encoder, head))
    assert (lstm, softmax) == (4 * 2048 * (4096 + 2048) + (4 + 3) * 2048, 2048 * 101 + 101)
    assert round((lstm + softmax) / 1e6, 1) == 50.6
