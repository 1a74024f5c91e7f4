"""Motion clips: the same frames in every class, played in another way; split by source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nextframe.checkpoint import save_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.sets.motion_clips import CLASSES, frame_numbers
from nextframe.models import MODELS
from nextframe.models.contract import ModelConfig, Objective, Predictor, Request, Stage, TrainedTask
from nextframe.transfer import ClassifierConfig, TransferConfig, transfer
from nextframe.transfer.bench import Bench
from nextframe.transfer.encoder import open_encoder
from nextframe.transfer.experiment import open_windows
from nextframe.transfer.fusion import fused_jobs
from nextframe.transfer.videos import draw_videos, labelled_videos

FRAMES = 40  # of a video


class Steps(Predictor):
    """A model whose features are the mean changes from frame to frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, clip: Clip) -> Tensor:
        return self.scale * clip.context.diff(dim=1).mean(dim=(2, 3, 4))

    def stages(self) -> list[Stage]:
        return [Stage("train", [Objective("none", [self.scale], lambda clip: (self.scale, {}))])]

    def forecast(self, request: Request) -> Tensor:
        return request.context[:, -1:].expand(-1, request.horizon, -1, -1, -1)


@pytest.fixture(autouse=True)
def _registered():
    MODELS.add("steps", Steps)
    yield
    MODELS.keep([name for name in MODELS if name != "steps"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Ten videos whose frame t has the level 5 t + 10 everywhere, and one in which nothing moves."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(11):
        levels = np.full(FRAMES, 50) if number == 10 else 5 * np.arange(FRAMES) + 10
        np.save(folder / f"{number}.npy", np.broadcast_to(levels[:, None, None], (FRAMES, 8, 8)).astype(np.uint8))
    return folder


def opened(root, context=3, **options):
    options = {"root": str(root), "across_cuts": True, "val_share": 0.2, "test_share": 0.3, **options}
    return open_data(DataConfig(name="motion-clips", context=context, horizon=1, size=(8, 8), options=options))


def test_classes_show_a_span_by_hand():
    assert (
        *("still", "forward x1", "forward x2", "forward x4"),
        *("reversed x1", "reversed x2", "reversed x4"),
    ) == CLASSES
    assert frame_numbers(4).tolist() == [
        *([4, 4, 4, 4], [3, 4, 5, 6], [2, 4, 6, 8], [0, 4, 8, 12]),
        *([6, 5, 4, 3], [8, 6, 4, 2], [12, 8, 4, 0]),
    ]
    for length in (2, 5, 16, 17):
        numbers = frame_numbers(length)
        assert numbers.min() == 0
        assert numbers.max() == (length - 1) * 4
        shown = numbers[:, (length - 1) // 2] if length % 2 else numbers[:4, (length - 1) // 2]
        assert len(set(shown.tolist())) == 1  # all around one frame


def test_every_class_plays_the_same_span(root):
    clips = opened(root)
    assert clips.frame_shape == (1, 8, 8)
    for split in ("train", "val", "test"):
        assert clips.count(split)
        clip = clips.read(split, np.arange(7))
        assert clip.label.tolist() == list(range(7)) == [clips.label(split, index) for index in range(7)]
        numbers = (clip.frames[:, :, 0, 0, 0].long() - 10) // 5
        first = int(numbers[3, 0])  # forward x4 begins with the span
        assert (numbers - first).tolist() == frame_numbers(4).tolist()
        mixed = np.array([8, 0, 8, 13])
        again = torch.stack([clips.read(split, mixed[row : row + 1]).frames[0] for row in range(4)])
        assert torch.equal(clips.read(split, mixed).frames, again)


def test_no_video_is_in_two_splits_and_none_is_still(root):
    clips = opened(root, spans=3)
    files = {s: {clips.file(s, i) for i in range(clips.count(s))} for s in ("train", "val", "test")}
    assert sum(map(len, files.values())) == 10  # not the one in which nothing moves
    assert not files["train"] & files["test"]
    assert not (files["train"] | files["test"]) & files["val"]
    spans = [clips.source("train", index) for index in range(clips.count("train"))]
    assert len(set(spans)) == len(spans) <= 3 * 7 * len(files["train"])


def test_each_clip_is_a_video_of_its_own_for_a_classifier(root):
    config = TransferConfig(window=4, stride=4)
    data = DataConfig(name="motion-clips", size=(8, 8), options={"root": str(root), "across_cuts": True})
    videos = labelled_videos(open_windows(data, config), "train")
    assert {len(windows) for windows in videos.windows} == {1}
    assert len(set(np.bincount(videos.labels))) == 1


def test_motion_tells_the_classes_and_one_frame_does_not(root):
    methods = ("probe", "single-frame")
    config = TransferConfig(per_class=(None,), draws=1, methods=methods, window=4, classifier=ClassifierConfig(steps=1))
    shares = {"val_share": 0.2, "test_share": 0.3}
    data = DataConfig(name="motion-clips", size=(8, 8), options={"root": str(root), "across_cuts": True, **shares})
    found = transfer(["steps"], data, config, show=False)
    means = {row.method: row.mean for row in found.rows}
    assert means["probe"] > 0.9
    assert means["single-frame"] < 0.4  # chance is 1/7; the level says a little about where in a span a frame is


def test_frames_and_flow_are_averaged_in_one_classifier(root, tmp_path):
    """Each row of both is the mean of what the classifiers on frames and on flow say of every video."""
    folders = {}
    for name, channels in (("seen", 1), ("felt", 2)):
        task = TrainedTask(context=3, horizon=1, size=(16, 16), channels=channels, data="motion-clips")
        folders[name] = str(save_model(Steps(ModelConfig()), tmp_path / name, task=task))
    classifier = ClassifierConfig(steps=1)
    config = TransferConfig(per_class=(None,), draws=1, methods=("probe", "single-frame"), window=4,
                            classifier=classifier, flow_model=folders["felt"])  # fmt: skip
    options = {"root": str(root), "across_cuts": True, "val_share": 0.2, "test_share": 0.3, "spans": 1}
    data = DataConfig(name="motion-clips", size=(16, 16), options=options)
    rows = {row.model: row.mean for row in transfer([folders["seen"]], data, config, show=False).rows}
    assert list(rows) == ["seen", "one frame", "felt (flow)", "one frame (flow)", "seen + felt (flow)",
                          "one frame + one frame (flow)"]  # fmt: skip
    said, chosen = [], draw_videos(Bench(open_windows(data, config), config).train.labels, None, 0, 0)
    for kind, folder in (("frames", folders["seen"]), ("flow", folders["felt"])):
        bench = Bench(open_windows(data.model_copy(update={"kind": kind}), config), config)
        _, _, classify = bench.classifiers([(folder, open_encoder(folder, bench.clips))])[0]
        said.append(classify(bench.train.chosen(chosen), chosen, 0))
    assert rows["seen + felt (flow)"] == ((said[0] + said[1]).argmax(1) == bench.test.labels).mean()
    assert not np.allclose(said[0], said[1])
    bench.train.labels[0] += 1
    with pytest.raises(UserError, match="some videos have frames and no flow"):
        fused_jobs(Bench(open_windows(data, config), config), [], bench, folders["felt"])


def test_flow_of_motion_clips_has_their_classes(root):
    data = DataConfig(name="motion-clips", context=3, horizon=1, kind="flow", options={"root": str(root)})
    clips = open_data(data.model_copy(update={"options": {"root": str(root), "across_cuts": True}}))
    assert clips.classes == CLASSES
    assert clips.read("train", np.arange(2)).frames.shape == (2, 4, 2, 32, 32)


def test_what_is_missing_is_one_line(root, tmp_path):
    with pytest.raises(UserError, match=r"'motion-clips' needs --root PATH"):
        open_data(DataConfig(name="motion-clips"))
    with pytest.raises(UserError, match=r"nothing moves in its spans of 13 frames; lower data\.options\.least_motion"):
        opened(root, least_motion=0.5)
