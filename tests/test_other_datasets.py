"""Data sets of other libraries, without these: what is recognised, parts of videos, conditions, the Hub.

`test_lerobot.py` and `test_huggingface.py` read whole folders; they need pyarrow and datasets.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from hub_stand_in import stand_in_for
from nextframe.cli import main
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.folder.clips import SourceClips
from nextframe.data.folder.contents import FolderConfig, look
from nextframe.data.folder.store import FrameStore, Member
from nextframe.data.given import as_clips
from nextframe.data.lerobot.recording import Commands, led_to
from nextframe.data.prepared.config import PrepareConfig
from nextframe.media.video.index import index_source
from nextframe.media.video.times import frame_times
from recordings import FPS, Recording, frames_of, write_video

pytestmark = pytest.mark.any_processor


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


def videos(folder: Path, *lengths: int) -> Path:
    for number, length in enumerate(lengths):
        write_video(folder / f"{number}.mp4", frames_of(number, length))
    return folder


def config(name: object, **fields: object) -> DataConfig:
    return DataConfig(name=str(name), context=3, horizon=2, **fields)  # type: ignore[arg-type]


def test_a_part_of_a_video_is_a_source(tmp_path):
    """Frame n of a part that begins at 40 is frame 40 + n of the file, wherever the key frames are."""
    path = videos(tmp_path, 60) / "0.mp4"
    index = index_source(path)
    assert len(index.keys) > 1
    part = Member(path, "part", replace(index, frames=20), first=40)
    store = FrameStore([part], 3, None, None, room=2**20)
    for numbers in ([0, 1, 2], [17, 18, 19], [3], [0, 19]):
        found = store.frames(0, numbers, tuple)
        assert list(found) == numbers
        for number, image in found.items():
            assert np.array_equal(image, frames_of(0, 60)[40 + number])


def test_times_of_frames_are_those_of_the_file(tmp_path):
    stamps = [0, 10, 25, 26, 40]
    write_video(tmp_path / "a.mp4", frames_of(0, 5), stamps=stamps)
    times = frame_times(tmp_path / "a.mp4", index_source(tmp_path / "a.mp4"))
    assert np.allclose(times, [stamp / 100 for stamp in stamps], atol=1e-6)
    np.save(tmp_path / "b.npy", np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(UserError, match=r"b\.npy: its time stamps do not tell its frames apart"):
        frame_times(tmp_path / "b.npy", index_source(tmp_path / "b.npy"))


def test_actions_before_the_first_row_are_zero():
    actions = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
    assert led_to(actions, np.array([0, 1, 3]), 2).tolist() == [[0, 0, 0, 0], [0, 0, 1, 2], [3, 4, 5, 6]]


def test_clips_of_sources_carry_what_is_known_of_their_frames(tmp_path):
    """With a stride each entry has the actions in between; those of the target follow those of the context."""
    options, data = FolderConfig(val_share=0, test_share=0), config(videos(tmp_path / "a", 12, 14), stride=2)
    contents = look(data, options)
    rows = [np.arange(length, dtype=np.float32)[:, None] + 100 * n for n, length in enumerate((12, 14))]
    contents.timed = Commands([{"action": row} for row in rows])
    clips = SourceClips(data, options, contents)
    clip = clips.read("train", np.array([0, 1, clips.count("train") - 1]))
    assert clip.conditions.timed == {"actions"}
    found = clip.conditions["actions"].tolist()
    assert found[0] == [[0, 0], [0, 1], [2, 3], [4, 5], [6, 7]]  # frames 0, 2, 4, 6, 8 of the first video
    assert found[1] == [[0, 0], [1, 2], [3, 4], [5, 6], [7, 8]]
    assert found[2] == [[103, 104], [105, 106], [107, 108], [109, 110], [111, 112]]  # frames 5, 7, 9, 11, 13


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(json.dumps(Recording([9]).info("v2.1")), encoding="utf-8")
    (tmp_path / "meta" / "episodes.jsonl").write_text('{"episode_index": 0, "length": 9}\n', encoding="utf-8")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"needs pyarrow: pip install 'nextframe\[lerobot\]'"):
        open_data(config(tmp_path))


@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json", "train.parquet", "data/train-0.arrow"])
def test_without_datasets_one_line_says_what_to_install(tmp_path, monkeypatch, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"needs their library: pip install 'nextframe\[datasets\]'"):
        open_data(config(tmp_path))


def test_a_module_of_ones_own_that_is_called_datasets_changes_nothing(tmp_path, monkeypatch):
    module = ModuleType("datasets")

    class Dataset(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.full((6, 1, 8, 8), index, dtype=torch.uint8)

    Dataset.__module__ = "datasets"
    module.Dataset = Dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    assert as_clips(Dataset(), config("")).count("train") == 4
    (tmp_path / "train.parquet").touch()
    with pytest.raises(UserError, match="the module 'datasets' that is found is another"):
        open_data(config(tmp_path))


def test_settings_of_prepare_are_no_options_of_the_data():
    with pytest.raises(UserError, match=r"val_share is a setting of prepare itself: give prepare\.val_share"):
        PrepareConfig(options={"camera": "top", "val_share": 0.5})


@pytest.mark.parametrize("beside", ["meta/info.json", "rows.parquet"])
def test_folders_of_videos_stay_such(tmp_path, beside):
    folder = videos(tmp_path / "mine", 8, 9, 8)
    (folder / beside).parent.mkdir(exist_ok=True)
    (folder / beside).write_text("{", encoding="utf-8")
    assert open_data(config(folder)).source("train", 0).endswith(".mp4")


def test_a_name_of_the_hub_is_fetched_and_then_needs_no_network(tmp_path, monkeypatch):
    folder = videos(tmp_path / "mine", 8, 9, 10, 8)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with stand_in_for(monkeypatch, tmp_path / "hub") as hub:
        hub.add("user/videos", files)
        clips = open_data(config("hf:user/videos"))
        with pytest.raises(UserError, match="hf:user/none: the Hub has no such data set or revision"):
            open_data(config("hf:user/none"))
        with pytest.raises(UserError, match="hf:user/videos@v7: the Hub has no such data set or revision"):
            open_data(config("hf:user/videos@v7"))
    assert (clips.name, clips.facts()) == ("hf:user/videos", open_data(config(folder)).facts())
    assert clips.fps == FPS
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers
    assert open_data(config("hf:user/videos")).facts() == clips.facts()
    with pytest.raises(UserError, match="hf:user/other: is not on this machine, and the Hub cannot be reached; give"):
        open_data(config("hf:user/other"))


def run(words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert not ended.value.code


def test_a_run_keeps_the_name_of_the_hub(tmp_path, monkeypatch):
    """What was trained on hf:user/videos is measured on its test split, where no data is named."""
    files = {path.name: path.read_bytes() for path in videos(tmp_path / "mine", 8, 9, 10, 8).iterdir()}
    monkeypatch.chdir(tmp_path)
    cut = "--context 3 --horizon 2 --size 16x24 --steps 2 --batch 2"
    with stand_in_for(monkeypatch, tmp_path / "hub") as hub:
        hub.add("user/videos", files)
        run(f"train conv2d --data hf:user/videos {cut} --set run.report=false -o run")
        run("evaluate run --metrics mse --json rows.json")
    rows = json.loads(Path("rows.json").read_text(encoding="utf-8"))["rows"]
    assert {row["data"] for row in rows} == {"hf:user/videos"}


@pytest.mark.parametrize("name", ["hf:a/b/c", "hf:", "hf:user/..", "hf:user/name@"])
def test_what_is_no_name_of_the_hub_is_one_line(name):
    with pytest.raises(UserError, match=r"^'?hf:") as caught:
        open_data(config(name))
    assert "\n" not in str(caught.value)
