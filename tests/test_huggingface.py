"""Data sets of Hugging Face: folders and objects of `datasets`, and names of the Hub.

Videos are lossless, so that frames are compared bit by bit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nextframe as nf
from hub_stand_in import stand_in_for
from nextframe.cli import main
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.given import as_clips
from recordings import Recording, frames_of, write_video

datasets = pytest.importorskip("datasets", reason="needs the extra [datasets]")
pytestmark = [pytest.mark.any_processor, pytest.mark.usefixtures("one_cache")]

LENGTHS = (9, 14, 11, 8, 10, 12)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A video for each of LENGTHS; its levels say which it is."""
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / f"video-{number}.mp4" for number in range(len(LENGTHS))]
    for number, (path, length) in enumerate(zip(paths, LENGTHS, strict=True)):
        write_video(path, frames_of(number, length))
    return paths


def rows(files: list[Path], embedded: bool, numbers=range(6), **columns):
    """Rows with a column `video`: the bytes of the files, or their paths."""
    values = [{"bytes": files[n].read_bytes(), "path": files[n].name} if embedded else str(files[n]) for n in numbers]
    return datasets.Dataset.from_dict({"video": values, **columns}).cast_column("video", datasets.Video())


def config(name: object, **fields: object) -> DataConfig:
    return DataConfig(name=str(name), context=3, horizon=2, **fields)  # type: ignore[arg-type]


def check(clips, splits=("train", "val", "test")) -> dict[str, set[int]]:
    """Compare every clip with the frames that were encoded; return which videos each split has."""
    found: dict[str, set[int]] = {}
    for split in splits:
        clip = clips.read(split, np.arange(clips.count(split)))
        for row in range(clips.count(split)):
            frames = clip.frames[row].permute(0, 2, 3, 1).numpy()
            video, first = (int(frames[0, 0, 0, 1]) - 5) // 20, int(frames[0, 0, 0, 2]) // 4
            assert np.array_equal(frames, frames_of(video, LENGTHS[video])[first : first + 5])
            found.setdefault(split, set()).add(video)
    return found


@pytest.mark.parametrize("embedded", [True, False], ids=["bytes", "paths"])
def test_a_saved_data_set_is_a_path(files, tmp_path, embedded):
    rows(files, embedded).save_to_disk(str(tmp_path / "saved"))
    found = check(open_data(config(tmp_path / "saved")))
    assert set.union(*found.values()) == set(range(6))
    assert sum(map(len, found.values())) == 6  # no video is in two splits


def test_splits_of_its_own_are_kept(files, tmp_path):
    parts = {"train": range(4), "validation": [4], "test": [5], "other": [0]}
    whole = {name: rows(files, True, numbers) for name, numbers in parts.items()}
    datasets.DatasetDict(whole).save_to_disk(str(tmp_path / "saved"))
    clips = open_data(config(tmp_path / "saved"))
    assert check(clips) == {"train": {0, 1, 2, 3}, "val": {4}, "test": {5}}
    assert clips.source("val", 0) == "validation/0"
    assert clips.contents.skipped == [("other", "it is not called train, validation or test")]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_folders_of_tables_are_read(files, tmp_path, ending):
    """As on the Hub: files with bytes, whose names say the split."""
    for name, numbers in (("train", range(5)), ("test", [5])):
        part = rows(files, True, numbers)
        file = tmp_path / "data" / f"{name}-00000-of-00001.{ending}"
        file.parent.mkdir(exist_ok=True)
        if ending == "parquet":
            part.to_parquet(str(file))
        else:
            part.save_to_disk(str(tmp_path / "saved"))
            (tmp_path / "saved" / "data-00000-of-00001.arrow").rename(file)
    found = check(open_data(config(tmp_path / "data")))
    assert found["test"] == {5}
    assert found["train"] | found["val"] == set(range(5))


def test_folders_of_videos_with_a_table_beside_them_stay_folders_of_videos(files, tmp_path):
    (tmp_path / "mine").mkdir()
    for path in files[:3]:
        (tmp_path / "mine" / path.name).write_bytes(path.read_bytes())
    datasets.Dataset.from_dict({"n": [1, 2, 3]}).to_parquet(str(tmp_path / "mine" / "n.parquet"))
    assert open_data(config(tmp_path / "mine")).source("train", 0).endswith(".mp4")


def test_a_data_set_without_train_is_refused(files):
    whole = datasets.DatasetDict(validation=rows(files, False, [0, 1]), test=rows(files, False, [2]))
    with pytest.raises(UserError, match="clips: there is no split train, only validation, test"):
        as_clips(whole, config(""))


def test_bytes_are_kept_once(files, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    for name in ("one", "two"):
        rows(files, True).save_to_disk(str(tmp_path / name))
        open_data(config(tmp_path / name))
    kept = list((tmp_path / "cache" / "rows").iterdir())
    assert len(kept) == 6
    assert {path.read_bytes() for path in kept} == {path.read_bytes() for path in files}


def test_classes_are_labels(files, tmp_path):
    named = rows(files, False, label=[0, 1, 0, 1, 0, 1])
    named = named.cast_column("label", datasets.ClassLabel(names=["push", "pull"]))
    named.save_to_disk(str(tmp_path / "saved"))
    clips = open_data(config(tmp_path / "saved"))
    assert clips.classes == ("push", "pull")
    clip = clips.read("train", np.arange(clips.count("train")))
    videos = [int(clips.source("train", i)) for i in range(clips.count("train"))]
    assert clip.label is not None
    assert clip.label.tolist() == [video % 2 for video in videos]


# --- in Python --------------------------------------------------------------------------------------------------


def test_an_object_is_data_as_its_folder_is(files, tmp_path):
    whole = rows(files, True)
    whole.save_to_disk(str(tmp_path / "saved"))
    given, opened = as_clips(whole, config("")), open_data(config(tmp_path / "saved"))
    assert given.facts() == opened.facts()
    assert torch.equal(given.read("train", np.arange(5)).frames, opened.read("train", np.arange(5)).frames)


def test_fit_takes_an_object(files, tmp_path):
    parts = datasets.DatasetDict({"train": rows(files, True, range(4)), "test": rows(files, True, [4, 5])})
    run = nf.fit(
        "conv2d", parts, steps=2, batch=2, context=3, horizon=2, size=(16, 24), folder=tmp_path / "run", quiet=True
    )
    assert run.clips.frame_shape == (3, 16, 24)
    assert run.recipe.data.size == (16, 24)
    with pytest.raises(UserError, match="'clips' stands for clips of your own"):
        nf.fit("conv2d", folder=tmp_path / "run", resume=True, steps=3, quiet=True)
    again = nf.fit(
        "conv2d", parts, folder=tmp_path / "run", resume=True, steps=3, context=3, horizon=2, size=(16, 24), quiet=True
    )
    assert again.folder == run.folder


def test_rows_of_tensors_are_items_as_before():
    frames = np.random.default_rng(0).integers(0, 256, (4, 8, 1, 16, 16), np.uint8)
    items = datasets.Dataset.from_dict({"frames": list(frames)}).with_format("torch", dtype=torch.uint8)
    clips = as_clips(items, config(""))
    assert np.array_equal(
        clips.read("train", np.array([0])).frames[0].numpy(), frames[int(clips.source("train", 0)[5:])][:5]
    )


# --- what does not fit ------------------------------------------------------------------------------------------


def test_several_columns_of_videos(files):
    both = rows(files, False).add_column("wrist", [str(path) for path in reversed(files)])
    both = both.cast_column("wrist", datasets.Video())
    with pytest.raises(
        UserError, match=r"2 columns of videos \(video, wrist\); choose one with --set data.options.column="
    ):
        as_clips(both, config(""))
    with pytest.raises(UserError, match="no column 'wirst'; did you mean 'wrist'"):
        as_clips(both, config("", options={"column": "wirst"}))
    clips = as_clips(both, config("", options={"column": "wrist"}))
    video = int(clips.source("train", 0))
    assert np.array_equal(clips.read("train", np.array([0])).frames[0, 0, 1, 0, 0].item(), 20 * (5 - video) + 5)


def test_rows_without_a_video_are_skipped_and_said(files, tmp_path):
    paths = [*map(str, files), str(tmp_path / "gone.mp4"), None]
    some = datasets.Dataset.from_dict(
        {"video": paths}, features=datasets.Features({"video": datasets.Video(decode=False)})
    )
    clips = as_clips(some, config(""))
    assert clips.contents.skipped == [("6", f"there is no file {tmp_path / 'gone.mp4'}"), ("7", "the row has no video")]


def test_what_cannot_be_read_is_one_line():
    numbers = datasets.Dataset.from_dict({"n": [1]})
    with pytest.raises(UserError, match=r"clips: none of its columns has videos \(n\)"):
        as_clips(datasets.DatasetDict(train=numbers), config(""))
    gone = datasets.Dataset.from_dict({"video": ["https://example.org/a.mp4"]}).cast_column("video", datasets.Video())
    with pytest.raises(UserError, match=r"clips: none of its 1 sources can be read; 0: there is no file https:"):
        as_clips(gone, config(""))
    with pytest.raises(UserError, match="streamed has no row numbers: load it without"):
        as_clips(numbers.to_iterable_dataset(), config(""))


def test_a_damaged_folder_is_one_line(files, tmp_path):
    rows(files, True).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "saved" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(UserError, match="saved: cannot be read by datasets") as caught:
        open_data(config(tmp_path / "saved"))
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "train.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(UserError, match="tables: cannot be read by datasets") as other:
        open_data(config(tmp_path / "tables"))
    assert "\n" not in str(caught.value) + str(other.value)


# --- the command line and the Hub -------------------------------------------------------------------------------


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_the_command_line_takes_a_folder(files, tmp_path, capsys):
    rows(files, True).save_to_disk(str(tmp_path / "saved"))
    assert run("data", tmp_path / "saved", "--context", 3, "--horizon", 2) == 0
    said = capsys.readouterr().out
    assert run("settings", "data", "--data", tmp_path / "saved") == 0
    assert "data.options.column" in capsys.readouterr().out
    assert "6 rows of a Hugging Face data set, a source each" in said
    assert "64 frames" in said
    words = ["--context", 3, "--horizon", 2, "--steps", 2, "--batch", 2, "--set", "run.report=false"]
    assert run("train", "conv2d", "--data", tmp_path / "saved", *words, "-o", tmp_path / "run") == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def folder_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_name_of_the_hub_is_fetched_and_then_needs_no_network(tmp_path, monkeypatch):
    """A LeRobot data set of the Hub: the same clips as of its folder, and again once the Hub is gone."""
    root = Recording((8, 9, 8, 10)).write(tmp_path / "data", "v3.0")
    expected = open_data(config(root))
    with stand_in_for(monkeypatch, tmp_path / "hub") as hub:
        hub.add("user/pushes", folder_files(root))
        clips = open_data(config("hf:user/pushes"))
        assert clips.name == "hf:user/pushes"
        assert clips.facts() == expected.facts()
        with pytest.raises(UserError, match="hf:user/none: the Hub has no such data set"):
            open_data(config("hf:user/none"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers
    assert open_data(config("hf:user/pushes")).facts() == expected.facts()
    with pytest.raises(UserError, match="hf:user/other: is not on this machine, and the Hub cannot be reached; give"):
        open_data(config("hf:user/other"))
