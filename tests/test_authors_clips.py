"""Local copies in their publishers' layouts: the test clips of Mathieu et al. with their masks, and Sports-1M."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.clipset import MOVING_AREAS
from nextframe.evaluation import evaluate
from nextframe.metrics.mathieu import psnr_mathieu, sharpness_mathieu
from test_registered import clips_of, film, labels, sources

SHAPE = (16, 20)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


def clip_folder(root: Path, number: int, moves: bool = True) -> np.ndarray:
    """A clip as the authors' archive has it; in the left half of the flow images nothing moves."""
    folder = root / "UCF101frm10p" / str(number)
    folder.mkdir(parents=True)
    random = np.random.default_rng(number)
    frames = random.integers(0, 256, (6, *SHAPE, 3)).astype(np.uint8)
    frames = frames if moves else np.broadcast_to(frames[:1], frames.shape)
    names = [f"pred_{i}" for i in (1, 2, 3, 4)] + ["target_1", "target_2"]
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / f"{name}.png")
    flow = np.full((*SHAPE, 3), 255, np.uint8)
    flow[:, 10:, 1] = 50  # below a fifth in one colour: moves
    flow[:, 15:, 1] = 51  # a fifth: does not
    Image.fromarray(flow).save(folder / "pred_4_flow.png")
    flow[:, 3, 2] = 0
    Image.fromarray(flow).save(folder / "target_1_flow.png")
    return frames


def authors(root: Path, horizon: int = 2, **more) -> DataConfig:
    return DataConfig(name="ucf101-mathieu", context=4, horizon=horizon, options={"root": str(root)}, **more)


def test_the_authors_clips_come_in_the_order_of_their_numbers_with_their_masks(tmp_path):
    frames = {number: clip_folder(tmp_path, number) for number in (11, 1, 101)}
    clips = open_data(authors(tmp_path))
    assert [clips.count(split) for split in ("train", "val", "test")] == [0, 0, 3]
    assert [clips.source("test", index) for index in range(3)] == ["1", "11", "101"]
    clip = clips.read("test", np.array([2, 0]))
    assert torch.equal(clip.frames, torch.from_numpy(np.stack([frames[101], frames[1]])).permute(0, 1, 4, 2, 3))
    areas = clip.extras[MOVING_AREAS]
    expected = torch.zeros(2, *SHAPE, dtype=torch.bool)
    expected[:, :, 10:15] = True
    expected[1, :, 3] = True
    assert torch.equal(areas[0, :, 0], expected)
    own = open_data(authors(tmp_path / "UCF101frm10p", 1)).read("test", np.array([0]))
    assert torch.equal(own.target[0, 0], clip.target[1, 0])
    assert own.extras[MOVING_AREAS].shape == (1, 1, 1, *SHAPE)


def test_what_the_authors_clips_do_not_have_is_refused(tmp_path):
    clip_folder(tmp_path, 1)
    with pytest.raises(UserError, match="give --context 4 --horizon 2, or less"):
        open_data(authors(tmp_path, 3))
    with pytest.raises(UserError, match="give --size 16x20"):
        open_data(authors(tmp_path, 2, size=(32, 32)))
    with pytest.raises(UserError, match="val_share cannot be set"):
        open_data(DataConfig(name="ucf101-mathieu", options={"root": str(tmp_path), "val_share": 0.1}))
    (tmp_path / "UCF101frm10p" / "1" / "target_1_flow.png").unlink()
    with pytest.raises(UserError, match=r"target_1_flow\.png.*missing"):
        open_data(authors(tmp_path)).read("test", np.array([0]))


def test_areas_that_the_authors_mark_are_measured_and_still_frames_do_not_count(tmp_path):
    frames = [clip_folder(tmp_path, 1), clip_folder(tmp_path, 11), clip_folder(tmp_path, 21, moves=False)]
    found = evaluate("copy-last", authors(tmp_path), compat="mathieu", baselines=["zero"])
    clip = open_data(authors(tmp_path)).read("test", np.arange(2)).to("cpu")
    areas = clip.extras[MOVING_AREAS]
    last, truth = clip.context[:, -1:] * areas, clip.target * areas
    rows = {(row.model, row.metric.split()[0]): row for row in found.beside}
    row = rows["copy-last", "psnr-mathieu"]
    assert row.n == 2  # in the third clip copying is exact: more than 50 dB
    assert set(row.per_source) == {"1", "11"}
    torch.testing.assert_close(torch.tensor(row.per_step), psnr_mathieu(last, truth).mean(0))
    error = (256 * (last - truth)).square().mean((2, 3, 4))
    torch.testing.assert_close(torch.tensor(row.per_step), (10 * torch.log10(255**2 / error)).mean(0))
    sharp = rows["copy-last", "sharpness-difference-mathieu"]
    torch.testing.assert_close(torch.tensor(sharp.per_step), sharpness_mathieu(last, truth).mean(0))
    assert rows["zero", "psnr-mathieu"].n == len(frames)
    assert any(note.startswith("psnr-mathieu of the marked areas: copy-last") for note in found.notes)


# --- Sports-1M

IDS = {name: f"{name}{'_' * (11 - len(name))}" for name in ("bowl", "ski", "golf", "polo", "swim", "two", "lost")}


def address(name: str, numbers: str) -> str:
    return f"https://www.youtube.com/watch?v={IDS[name]} {numbers}\n"


def sports(root: Path) -> Path:
    lists = root / "original"
    lists.mkdir(parents=True)
    train = [("bowl", "0"), ("ski", "1"), ("golf", "2"), ("two", "0,2"), ("lost", "1")]
    (lists / "train_partition.txt").write_text("".join(address(*row) for row in train))
    (lists / "test_partition.txt").write_text(address("polo", "1") + address("swim", "2"))
    (root / "labels.txt").write_text("bowling\nskiing\ngolf\n")
    for grey, name in enumerate(("bowl", "ski", "golf", "two", "polo", "swim")):
        film(root / "videos" / f"{IDS[name]}.avi", 30 * grey, 50)
    film(root / "videos" / "unlisted.avi", 9, 50)
    return root


def test_sports_1m_follows_the_published_lists_as_far_as_the_copy_goes(tmp_path):
    clips = clips_of("sports1m", sports(tmp_path), val_share=0.3)
    assert sources(clips, "test") == {f"{IDS[name]}.avi" for name in ("polo", "swim")}
    train, val = sources(clips, "train"), sources(clips, "val")
    assert train | val == {f"{IDS[name]}.avi" for name in ("bowl", "ski", "golf", "two")}
    assert val
    assert not train & val
    assert clips.classes == ("bowling", "skiing", "golf")
    assert labels(clips, "test") == {f"{IDS['polo']}.avi": "skiing", f"{IDS['swim']}.avi": "golf"}
    trained = [(s, index) for s in ("train", "val") for index in range(clips.count(s))]
    of_two = next(clips.label(*clip) for clip in trained if IDS["two"] in clips.source(*clip))
    assert of_two is None  # a video with two labels has no class
    assert [name for name, _ in clips.contents.skipped] == ["unlisted.avi"]


def test_one_part_of_so_many_seconds_is_taken_of_each_video(tmp_path):
    clips = clips_of("sports1m", sports(tmp_path), context=2, horizon=1, seconds=0.4, val_share=0.0)  # 10 of 50 frames
    table = clips.tables["train"]
    firsts = {member: table.firsts[table.members == member] for member in set(table.members.tolist())}
    assert [len(found) for found in firsts.values()] == [8] * 4  # spans of 3 frames in 10
    assert all(found.max() - found.min() == 7 for found in firsts.values())
    assert len({int(found[0]) for found in firsts.values()}) > 1  # at a place of each video's own
    again = clips_of("sports1m", tmp_path, context=2, horizon=1, seconds=0.4, val_share=0.0)
    assert np.array_equal(again.tables["train"].firsts, table.firsts)


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("original/train_partition.txt", "watch?v=short 3\n", "line 1 is not an address"),
        ("original/test_partition.txt", address("bowl", "1"), "both lists have the video bowl"),
        ("labels.txt", "bowling\n", "it has 1 labels, the lists have number [12]"),
        ("original/train_partition.txt", None, "is not a readable list"),
    ],
)
def test_lists_that_do_not_fit_are_one_line(tmp_path, file, text, line):
    root = sports(tmp_path)
    (root / file).unlink()
    if text is not None:
        (root / file).write_text(text)
    with pytest.raises(UserError, match=line):
        clips_of("sports1m", root)
