"""The benchmark of real videos: which clips, which of them are one source, and every mean by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nextframe.benchmark import RealConfig, measure_videos
from nextframe.benchmark.real.clips import changes, choose, source_name
from nextframe.benchmark.real.measure import OWN, measure_clip, measured, moved
from nextframe.benchmark.real.motion import class_of_flow, class_of_motion
from nextframe.benchmark.real.summary import Measured, by_source, figure, row, share_worse
from nextframe.benchmark.real.table import as_markdown
from nextframe.benchmark.real.task import VideoClip
from nextframe.benchmark.real.tasks import REAL_NEXT
from nextframe.checkpoint import create_model, load, shipped_for_video
from nextframe.cli import app
from nextframe.core.clip import Clip
from nextframe.core.errors import BadInputError, UserError
from nextframe.data.folder.listing import Found
from nextframe.metrics import METRICS
from nextframe.models import MODELS
from nextframe.models.contract import (
    Capabilities,
    ModelConfig,
    ModelOptions,
    Objective,
    OptimizerDefaults,
    Predictor,
    Request,
    Stage,
    TrainedTask,
)
from texture import texture

PLAIN = RealConfig()
TASK = REAL_NEXT.task
QUICK = replace(REAL_NEXT, metrics=("psnr",))
RIVALS = ("flow", "copy-last")


def panning(frames: int = 14, speed: float = 2.0, height: int = 48, width: int = 64) -> np.ndarray:
    """A texture that moves to the right, (T, H, W, 3) uint8."""
    moved_by = [texture(height, width, dx=speed * time, channels=3) for time in range(frames)]
    return (torch.cat(moved_by).permute(0, 2, 3, 1) * 255).round().byte().numpy()


def save(folder: Path, name: str, frames: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", frames)


def cuts(data: Path, config: RealConfig = PLAIN) -> dict[str, list[VideoClip]]:
    """Return the clips of every source."""
    return {name: list(read()) for name, read in choose(str(data), TASK, config).sources.items()}


def of_clip(model: str, source: str, psnr: list[float], motion: str = "objects", near_still: bool = False) -> Measured:
    """Return a clip whose every metric is `psnr`."""
    return Measured(model, source, motion, near_still, {name: np.array(psnr) for name in OWN})


# --- which clips


def test_clips_do_not_depend_on_what_lies_beside_a_video(tmp_path):
    save(tmp_path / "one" / "home", "sea", panning(40))
    for name in ("a", "sea", "z"):
        save(tmp_path / "two" / "home", name, panning(40))
    alone, beside = cuts(tmp_path / "one"), cuts(tmp_path / "two")
    assert [clip.start for clip in alone["home/sea"]] == [clip.start for clip in beside["home/sea"]]
    assert len(alone["home/sea"]) == 3
    for first, second in zip(alone["home/sea"], beside["home/sea"], strict=True):
        assert torch.equal(first.frames, second.frames)
    starts = {tuple(clip.start for clip in clips) for clips in beside.values()}
    assert len(starts) > 1, "each video draws its own"


def test_every_start_can_be_drawn_and_short_videos_have_fewer(tmp_path):
    save(tmp_path, "nine", panning(9))
    save(tmp_path, "ten", panning(10))
    save(tmp_path, "eight", panning(8))
    chosen = choose(str(tmp_path), TASK, PLAIN)
    starts = {name: [clip.start for clip in read()] for name, read in chosen.sources.items()}
    assert starts == {"eight": [], "nine": [0], "ten": [0, 1]}
    assert chosen.skipped == {"eight.npy": "fewer than 9 frames"}


def test_frames_are_scaled_down_to_256_and_never_up(tmp_path):
    save(tmp_path, "large", panning(9, height=80, width=160).repeat(2, axis=1).repeat(2, axis=2))  # 320x160
    save(tmp_path, "small", panning(9, height=60, width=40))
    clips = cuts(tmp_path)
    assert clips["large"][0].frames.shape == (9, 3, 128, 256)
    assert clips["large"][0].large.shape == (9, 3, 256, 512)
    assert clips["small"][0].frames.shape == (9, 3, 60, 40)
    assert clips["small"][0].large.shape == (9, 3, 384, 256)


def test_changes_by_hand():
    frames = torch.zeros(9, 3, 2, 2, dtype=torch.uint8)
    frames[1:] = 51  # one jump of 0.2 before the last context frame
    frames[8, :, 0, 0] = 102  # a fourth of the pixels of one of five target frames by 0.2
    jump, change = changes(frames, given=4)
    assert jump == pytest.approx(0.2)
    assert change == pytest.approx(0.2 / 4 / 5)


def test_a_cut_is_skipped_and_a_near_still_is_a_class_of_its_own(tmp_path):
    halves = np.zeros((9, 32, 32, 3), np.uint8)
    halves[5:] = 70  # 70 / 255 is over 0.25
    save(tmp_path, "cut", halves)
    still = np.repeat(panning(1), 9, 0)
    still[8, 0, 0] ^= 1
    save(tmp_path, "still", still)
    save(tmp_path, "moves", panning(9))
    chosen = choose(str(tmp_path), TASK, PLAIN)
    found = {name: list(read()) for name, read in chosen.sources.items()}
    assert found["cut"] == []
    assert chosen.skipped == {"cut.npy": "every clip crosses a cut"}
    assert [clip.near_still for clip in found["still"] + found["moves"]] == [True, False]


# --- which are one source


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mdn/stream-of-water.mp4", "mdn/stream-of-water"),
        ("mdn/stream-of-water.webm", "mdn/stream-of-water"),
        ("mdn/stream-of-water-audioless.webm", "mdn/stream-of-water"),
        ("mdn/Sea_1080p-h264.mp4", "mdn/Sea"),
        ("other/stream-of-water.mp4", "other/stream-of-water"),
        ("mdn/person01_d1.avi", "mdn/person01_d1"),
        ("mdn/clip-2.mp4", "mdn/clip-2"),
    ],
)
def test_encodings_of_one_film_are_one_source(name, source):
    assert source_name(Found(Path(name), name), PLAIN) == source


def test_files_that_are_said_to_be_apart_are(tmp_path):
    save(tmp_path / "v", "test", panning(9))
    np.savez(tmp_path / "v" / "test.npz", panning(9))
    assert list(choose(str(tmp_path), TASK, PLAIN).sources) == ["v/test"]
    assert list(choose(str(tmp_path), TASK, RealConfig(apart=("v/test",))).sources) == ["v/test.npy", "v/test.npz"]


def test_a_folder_of_images_keeps_its_name(tmp_path):
    folder = tmp_path / "walk-720p"
    folder.mkdir()
    assert source_name(Found(folder, "walk-720p"), PLAIN) == "walk-720p"


def test_excluded_sources_are_listed(tmp_path):
    for name in ("sea", "train-1", "train-2"):
        save(tmp_path, name, panning(9))
    chosen = choose(str(tmp_path), TASK, RealConfig(exclude=("train-",)))
    assert list(chosen.sources) == ["sea"]
    assert chosen.excluded == ["train-1.npy", "train-2.npy"]
    with pytest.raises(UserError, match="no source is left to measure"):
        choose(str(tmp_path), TASK, RealConfig(exclude=("sea", "train")))
    with pytest.raises(BadInputError, match="no such file or folder"):
        choose(str(tmp_path / "none"), TASK, PLAIN)


# --- what moves


def test_classes_of_a_known_flow():
    down, across = np.mgrid[-1:1:40j, -1:1:60j]
    zoom = np.stack([6 * across, 4 * down])
    assert class_of_flow(np.zeros((2, 40, 60))) == "still"
    assert class_of_flow(np.full((2, 40, 60), 3.0)) == "camera"
    assert class_of_flow(zoom) == "camera"
    someone = np.zeros((2, 40, 60))
    someone[0, 10:30, 10:30] = 5.0  # a sixth of the pixels
    assert class_of_flow(someone) == "objects"
    zoom[:, 10:30, 10:30] = 9.0  # the camera moves behind an object
    assert class_of_flow(zoom) == "camera"


def test_classes_of_frames():
    frames = torch.from_numpy(panning(2, speed=3.0)).permute(0, 3, 1, 2)
    assert class_of_motion(frames[0], frames[1]) == "camera"
    assert class_of_motion(frames[0], frames[0]) == "still"


# --- one clip


def test_psnr_is_capped_and_right_below_the_cap():
    target = torch.rand(1, 2, 3, 16, 16)
    prediction = target.clone()
    prediction[:, 1] = target[:, 1] * 0 + 0.5
    target[:, 1] = 0.6
    values = measured(prediction, target, target[:, :1], ("psnr", "l1"))
    assert values["psnr"].tolist()[0] == pytest.approx([60.0, 20.0], abs=1e-4)
    assert values["l1"].tolist()[0] == pytest.approx([0.0, 0.1], abs=1e-6)


def test_moved_pixels_by_hand():
    last = torch.zeros(1, 1, 3, 2, 2)
    target, prediction = torch.zeros(1, 2, 3, 2, 2), torch.zeros(1, 2, 3, 2, 2)
    target[0, 0, :, 0, 0] = 0.5  # moved
    target[0, 0, 0, 0, 1] = 0.08  # by 0.0267 in the mean of three channels: not moved
    prediction[0, 0, :, 0, 0] = 0.4
    prediction[0, 0, :, 1, 1] = 1.0  # wrong, but nothing moved there
    values = moved(prediction, target, last)
    assert values["psnr-moved"][0, 0] == pytest.approx(20.0, abs=1e-4)
    assert values["l1-moved"][0, 0] == pytest.approx(0.1)
    # redmean of a grey difference of 25.5 levels at a mean red of 114.75: sqrt((512 + 767) / 256 + 4) times 25.5
    assert values["perceptual-distance-moved"][0, 0] == pytest.approx(25.5 * math.sqrt(1279 / 256 + 4), rel=1e-5)
    assert all(math.isnan(value[0, 1]) for value in values.values()), "in the second frame nothing moved"


def test_copy_last_of_a_held_frame_is_the_cap(tmp_path):
    frames = panning(9)
    frames[4] = frames[3]
    save(tmp_path, "held", frames)
    values = measure_clip(create_model("copy-last"), cuts(tmp_path)["held"][0], TASK)
    assert values["psnr"][0] == 60.0
    assert values["msssim"][0] == pytest.approx(1.0)
    assert math.isnan(values["psnr-moved"][0])
    assert (np.diff(values["psnr"]) < 0).all()
    clip = cuts(tmp_path)["held"][0].frames.double() / 255
    error = (clip[8] - clip[3]).square().mean()
    assert values["psnr"][4] == pytest.approx(-10 * math.log10(error), abs=1e-3)


def test_each_pass_has_its_metrics(tmp_path):
    """Of the last frame: MS-SSIM is of the frames whose shortest side is 256, all others of the small ones."""
    save(tmp_path, "pan", panning(9, height=100, width=130))
    clip = cuts(tmp_path)["pan"][0]
    assert (clip.frames.shape, clip.large.shape) == ((9, 3, 100, 130), (9, 3, 256, 333))
    values = measure_clip(create_model("copy-last"), clip, TASK)

    def of_last(name: str, frames: torch.Tensor) -> list[float]:
        floats = frames[None].float() / 255
        return METRICS.get(name)(floats[:, 3:4].expand(-1, 5, -1, -1, -1), floats[:, 4:])[0].tolist()

    assert values["msssim"] == pytest.approx(of_last("msssim", clip.large), abs=1e-6)
    for name, registered in {"ssim": "ssim", "l1": "mae", "perceptual-distance": "perceptual-distance"}.items():
        assert values[name] == pytest.approx(of_last(registered, clip.frames), rel=1e-5)


def test_more_context_frames_are_of_other_clips_with_as_many_targets(tmp_path):
    save(tmp_path, "long", panning(38))
    save(tmp_path, "short", panning(36))
    found = measure_videos(QUICK, ["copy-last"], str(tmp_path), config=RealConfig(given=32), show=False)
    task, data = found.values["task"], found.values["data"]
    assert (task["context"], task["horizon"]) == (32, 5)
    assert data["skipped"] == {"short.npy": "fewer than 37 frames"}
    assert [clip["start"] for clip in data["measured"]] == [0, 1]
    clip = torch.from_numpy(panning(38)).double() / 255
    errors = [(clip[start + 32] - clip[start + 31]).square().mean() for start in (0, 1)]
    psnr = found.values["rows"][0]["figures"]["psnr"]["per_step"][0]
    assert psnr == pytest.approx(np.mean([-10 * math.log10(error) for error in errors]), abs=1e-3)
    assert "32 context frames" in as_markdown(found.values)


def test_a_row_says_of_which_sources_its_model_has_seen_material(tmp_path):
    for name in ("sea", "intel-shop", "intel-street"):
        save(tmp_path / "v", name, panning(9))
    model = create_model("linear")
    model.trained = TrainedTask(context=2, horizon=1, sources=("intel",))
    found = measure_videos(QUICK, ["copy-last", model], str(tmp_path), show=False).values
    assert [one["seen"] for one in found["rows"]] == [[], ["v/intel-shop", "v/intel-street"]]
    assert "linear was trained on material of 2 of these sources: v/intel-shop, v/intel-street." in as_markdown(found)
    above = measure_videos(QUICK, [model], str(tmp_path / "v"), show=False).values
    assert above["rows"][0]["seen"] == ["intel-shop", "intel-street"]
    (tmp_path / "v").rename(tmp_path / "intel")
    assert len(measure_videos(QUICK, [model], str(tmp_path / "intel"), show=False).values["rows"][0]["seen"]) == 3


def test_what_ships_says_what_it_was_trained_on():
    for name in shipped_for_video(REAL_NEXT.task):
        trained = load(name).trained
        assert trained is not None
        assert {"intel-iot-devkit", "learning-area", "dom-examples"} <= set(trained.sources), name


class Dimmed(Predictor):
    """The last frame times one weight, which begins at a half and learns fast."""

    Config = ModelConfig
    capabilities = Capabilities()

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forecast(self, request: Request) -> torch.Tensor:
        return self.weight * request.context[:, -1:].expand(-1, request.horizon, -1, -1, -1)

    def stages(self) -> list[Stage]:
        return [Stage("all", [Objective("mse", [self.weight], self.loss, OptimizerDefaults("adam", lr=4.0))])]

    def loss(self, clip: Clip) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return (self.weight * clip.context[:, -1:] - clip.target).square().mean(), {}


def test_a_model_is_tuned_on_the_frames_of_each_clip_in_a_row_of_its_own(tmp_path, monkeypatch):
    """Nothing moves, so the right weight is 1, and the tuned one comes near; the model that was given keeps its own."""
    monkeypatch.setitem(MODELS._entries, "dimmed", Dimmed)
    save(tmp_path, "pan", panning(16, speed=0.2, height=32, width=40))
    model = Dimmed(ModelConfig())
    model.trained = TrainedTask(context=2, horizon=1)
    config = RealConfig(given=10, adapt=20.0)
    found = measure_videos(QUICK, ["copy-last", model], str(tmp_path), config=config, show=False).values
    last, plain, tuned = found["rows"]
    assert [last["model"], plain["model"], tuned["model"]] == ["copy-last", "dimmed", "dimmed --adapt"]
    means = [one["figures"]["psnr"]["mean"] for one in found["rows"]]
    assert means[1] + 6 < means[2] < means[0]
    assert "adapted" not in plain
    facts = tuned["adapted"]
    assert (facts["predictions"], facts["used"], facts["seconds_at_most"]) == (2, 2, 20.0)
    assert facts["gain_on_kept_frames"] > 6
    assert model.weight == 0.5
    assert "dimmed --adapt is tuned on each clip's context frames for at most 20 s" in as_markdown(found)


class Dimming(ModelOptions):
    light: float = 1.0


class Dimmable(Dimmed):
    """Multiplies the last frame by an option."""

    Options = Dimming

    def forecast(self, request: Request) -> torch.Tensor:
        return request.options.light * request.context[:, -1:].expand(-1, request.horizon, -1, -1, -1)


def test_a_model_with_other_options_has_a_row_of_its_own(tmp_path, monkeypatch):
    """Nothing much moves, so darker frames are far off; models without the option have one row."""
    monkeypatch.setitem(MODELS._entries, "dimmable", Dimmable)
    save(tmp_path, "pan", panning(16, speed=0.2, height=32, width=40))
    config = RealConfig(options={"light": 0.5})
    models = ["copy-last", Dimmable(ModelConfig())]
    last, plain, darker = measure_videos(QUICK, models, str(tmp_path), config=config, show=False).values["rows"]
    assert [last["model"], plain["model"], darker["model"]] == ["copy-last", "dimmable", "dimmable light=0.5"]
    assert last["figures"] == plain["figures"]
    assert darker["figures"]["psnr"]["mean"] < plain["figures"]["psnr"]["mean"] - 6
    assert darker["options"] == {"light": 0.5}
    assert "options" not in plain


# --- means


def test_means_are_within_a_source_then_over_sources():
    clips = [
        of_clip("m", "a", [10.0, 20.0]),
        of_clip("m", "a", [20.0, 30.0]),
        of_clip("m", "a", [30.0, 40.0]),
        of_clip("m", "b", [60.0, 40.0]),
    ]
    found = figure(clips, "psnr")
    assert found["per_step"] == [40.0, 35.0]  # of (20, 30) and (60, 40), not of four clips
    assert found["per_source"] == {"a": 25.0, "b": 50.0}
    assert found["mean"] == 37.5
    assert found["cumulative_mean"] == [40.0, 37.5]
    # Student's t of two values: 12.7062 times their half difference
    assert found["ci95"] == pytest.approx([37.5 - 12.7062 * 12.5, 37.5 + 12.7062 * 12.5], abs=1e-3)


def test_a_frame_without_a_value_is_skipped():
    clips = [
        of_clip("m", "a", [10.0, math.nan]),
        of_clip("m", "a", [20.0, 30.0]),
        of_clip("m", "b", [5.0, math.nan]),
    ]
    assert by_source(clips, "psnr")["a"].tolist() == [15.0, 30.0]
    found = figure(clips, "psnr")
    assert found["per_step"] == [10.0, 30.0]
    assert found["per_source"] == {"a": 22.5, "b": 5.0}


def test_near_stills_are_in_no_ranked_figure_and_classes_are_apart():
    clips = [
        of_clip("m", "a", [10.0, 20.0], "camera"),
        of_clip("m", "b", [30.0, 20.0], "still"),
        of_clip("m", "c", [60.0, 60.0], "still", near_still=True),
    ]
    found = row("m", clips, ())
    assert found["figures"]["psnr"]["per_source"] == {"a": 15.0, "b": 25.0}
    assert found["by_motion"]["camera"]["per_step"] == {"psnr": [10.0, 20.0]}
    assert found["by_motion"]["still"]["means"]["psnr"] == 25.0
    assert found["by_motion"]["objects"] == {"clips": 0, "sources": 0}
    assert (found["near_still"]["means"]["psnr"], found["near_still"]["clips"]) == (60.0, 1)


def test_gains_are_paired_by_source():
    steps = {"flow": (20.0, 30.0, 40.0), "copy-last": (25.0, 20.0, 20.0), "m": (24.4, 31.0, 39.6)}
    clips = [
        of_clip(model, source, [value, value])
        for model, values in steps.items()
        for source, value in zip("abc", values, strict=True)
    ]
    over_flow = row("m", clips, RIVALS)["compared"]["flow"]
    assert over_flow["per_source"] == pytest.approx({"a": 4.4, "b": 1.0, "c": -0.4})
    assert over_flow["gain"] == pytest.approx(5 / 3)
    assert over_flow["share_better"] == pytest.approx(2 / 3)
    assert share_worse(clips, "m", RIVALS) == pytest.approx(1 / 3)  # a: 0.6 dB under copy-last; c: 0.4 under flow
    assert share_worse(clips, "flow", RIVALS) == pytest.approx(1 / 3)


# --- the whole


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A film in two encodings, another, and one that stands still."""
    folder = tmp_path / "videos"
    for name, speed in (("pan", 2.0), ("pan-720p", 2.0), ("fast", 4.0), ("still", 0.0)):
        save(folder / "v", name, panning(12, speed))
    return folder


def test_the_verb_writes_a_record_and_a_table(videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["benchmark", "real-next", "--data", "videos", "--models", "linear", "-o", "results/real-next", "-q"]
    done = CliRunner().invoke(app, [*words, "--set", "real.exclude=[fast]"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(Path("results/real-next.json").read_text())
    assert {"command", "commit", "seed", "machine", "date"} < set(found["run"])
    assert [one["model"] for one in found["rows"]] == ["flow", "copy-last", "linear"]
    assert found["data"]["excluded"] == ["v/fast.npy"]
    assert (found["data"]["sources"], found["data"]["clips"], found["data"]["near_still_clips"]) == (1, 6, 3)
    flow, copy_last, _ = found["rows"]
    assert flow["figures"]["psnr"]["n"] == 1, "two encodings are one source"
    assert flow["figures"]["psnr"]["mean"] > copy_last["figures"]["psnr"]["mean"], "a pan is what flow is for"
    assert copy_last["near_still"]["means"]["psnr"] == 60.0
    page = Path("results/real-next.md").read_text()
    assert "**Cumulative mean of psnr: at +k the mean of +1 to +k" in page
    assert f"| flow | {' | '.join(f'{v:.2f}' for v in flow['figures']['psnr']['per_step'])} |" in page


def test_any_model_folder_has_a_row_by_its_name(videos, tmp_path):
    from nextframe.checkpoint import save_model

    save_model(create_model("linear"), tmp_path / "runs" / "mine" / "model")
    save_model(create_model("linear"), tmp_path / "other")
    specs = [str(tmp_path / "runs" / "mine" / "model"), str(tmp_path / "other"), "linear"]
    found = measure_videos(REAL_NEXT, specs, str(videos), show=False, device="cpu").values
    assert [one["model"] for one in found["rows"]] == ["mine", "other", "linear"]
    assert found["rows"][0]["figures"] == found["rows"][2]["figures"]
    assert found["rows"][0]["share_worse"] is None, "nothing to compare with"
    with pytest.raises(UserError, match="both called 'other'"):
        measure_videos(REAL_NEXT, [str(tmp_path / "other"), str(tmp_path / "more" / "other")], str(videos))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["real-next"], "needs --data"),
        (["real-next", "--data", "videos", "--steps", "5"], "trains nothing"),
        (["real-next", "--data", "videos", "--models", "flow-middle"], "cannot predict the frames that follow"),
        (["real-next", "--data", "videos", "--set", "real.excluded=[a]"], "did you mean 'exclude'"),
        (
            ["real-next", "--data", "videos", "--set", "real.adapt=5"],
            "real.adapt needs at least 6 context frames, not 4",
        ),
        (
            ["real-next", "--data", "videos", "--set", "real.adapt=5", "--models", "linear"],
            "none of the models has weights to tune",
        ),
        (
            ["real-next", "--data", "videos", "--set", "real.options={mirror: true}", "--models", "linear"],
            "none of the models has mirror: add one that has, or omit it",
        ),
        (
            ["real-next", "--data", "videos", "--set", "real.options={mirror: 7}", "--models", "motion"],
            "mirror",
        ),
        (["gif-next", "--data", "videos", "--set", "real.exclude=[a]"], "gif-next is fixed"),
    ],
)
def test_wrong_words_are_one_line(words, line, videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["benchmark", *words])
    assert isinstance(done.exception, UserError)
    assert line in str(done.exception)


def test_the_task_is_listed():
    listed = CliRunner().invoke(app, ["benchmark"]).output
    assert "real-next: Five frames of real videos" in listed
    assert "    data: --data, videos, GIFs" in listed
