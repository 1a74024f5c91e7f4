from __future__ import annotations

import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from nextframe.core.errors import UserError
from nextframe.data import DATASETS, open_data
from nextframe.data.clipset import SPLITS, DataConfig
from nextframe.data.sets.local import FACTS, RegisteredClips


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


def picture(path: Path, grey: int, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (grey, grey, grey)).save(path, quality=95)


def film(path: Path, grey: int, frames: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for _ in range(frames):
            shown = av.VideoFrame.from_ndarray(np.full((16, 16, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(shown))
        container.mux(stream.encode())


def clips_of(name: str, root: Path, context: int = 2, horizon: int = 1, **options) -> RegisteredClips:
    config = DataConfig(name=name, context=context, horizon=horizon, options={"root": str(root), **options})
    clips = open_data(config)
    assert isinstance(clips, RegisteredClips)
    return clips


def sources(clips: RegisteredClips, split: str) -> set[str]:
    return {clips.source(split, index) for index in range(clips.count(split))}


def labels(clips: RegisteredClips, split: str) -> dict[str, str]:
    """Each source's class, by what the clips themselves carry."""
    clip = clips.read(split, np.arange(clips.count(split)))
    assert clip.label.dtype == torch.int64
    assert clip.label.tolist() == [clips.label(split, index) for index in range(clips.count(split))]
    return {clips.source(split, index): clips.classes[label] for index, label in enumerate(clip.label.tolist())}


def assert_disjoint(clips: RegisteredClips) -> None:
    found = [sources(clips, split) for split in SPLITS]
    assert sum(map(len, found)) == len(set.union(*found))


def test_the_table_of_the_documentation_holds_every_registered_set():
    table = (Path(__file__).resolve().parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in table for name in DATASETS)
    assert all(text in table for facts in FACTS.values() for text in (facts.source, facts.licence))


# --- where there is no copy


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("root", [None, "nowhere"])
def test_without_a_copy_one_line_says_where_to_get_it_and_how_it_must_lie(name, root, tmp_path):
    options = {} if root is None else {"root": str(tmp_path / root)}
    with pytest.raises(UserError) as caught:
        open_data(DataConfig(name=name, options=options))
    line = str(caught.value)
    assert "\n" not in line
    assert FACTS[name].source in line
    assert FACTS[name].layout in line
    assert "--root" in line


@pytest.mark.parametrize("name", FACTS)
def test_an_empty_folder_is_refused_with_a_user_error(name, tmp_path):
    (tmp_path / "copy").mkdir()
    with pytest.raises(UserError, match=str(tmp_path)):
        clips_of(name, tmp_path / "copy")


@pytest.mark.parametrize(
    ("name", "option"), [("ucf101", "test_share"), ("hmdb51", "test_share"), ("kth", "val_share"), ("ucf101", "splt")]
)
def test_options_that_would_do_nothing_are_refused(name, option, tmp_path):
    with pytest.raises(UserError, match=option):
        clips_of(name, tmp_path, **{option: 0.3})


# --- catz


def cat(root: Path, name: str) -> None:
    for number in range(5):
        picture(root / name / f"cat_{number}.jpg", 20 * number, 96)
    picture(root / name / "cat_result.jpg", 250, 96)


def test_catz_gives_five_frames_and_then_the_result(tmp_path):
    for name in ("train/0", "train/1", "train/2", "train/10", "test/0", "test/1"):
        cat(tmp_path, name)
    picture(tmp_path / "test/broken/cat_0.jpg", 0, 96)
    clips = clips_of("catz", tmp_path, 5, 1)
    assert clips.frame_shape == (3, 96, 96)
    assert sources(clips, "test") == {"test/0", "test/1"}
    assert sources(clips, "train") | sources(clips, "val") == {"train/0", "train/1", "train/2", "train/10"}
    assert clips.count("val") >= 1
    assert_disjoint(clips)
    clip = clips.read("test", np.array([0]))
    means = clip.frames.float().mean((0, 2, 3, 4)).tolist()
    assert means == pytest.approx([0, 20, 40, 60, 80, 250], abs=2)
    assert clip.context.shape[1] == 5
    assert clip.label is None
    assert [name for name, _ in clips.contents.skipped] == ["test/broken"]


def test_catz_may_lie_one_folder_down_as_the_archive_unpacks(tmp_path):
    for name in ("train/0", "train/1", "train/2", "test/0"):
        cat(tmp_path / "catz", name)
    assert clips_of("catz", tmp_path, 5, 1).count("test") == 1


# --- mspacman and bair


@pytest.mark.parametrize("top", ["data/images", "Ms_Pacman", "."])
def test_mspacman_is_found_in_each_layout(top, tmp_path):
    for name in ("train/0000", "train/0010", "train/0020", "train/0030", "test/0000"):
        for number in range(4):
            picture(tmp_path / top / name / f"{number}.png", 60 * number)
    clips = clips_of("mspacman", tmp_path, across_cuts=True)
    assert sources(clips, "test") == {"test/0000"}
    assert clips.count("train") + 2 * clips.count("val") == 8  # 2 clips of 3 frames in 4; one without overlap for val
    assert_disjoint(clips)
    assert clips.read("test", np.array([0])).frames[0, :, 0, 0, 0].tolist() == [0, 60, 120]


def test_mspacman_archive(shared, tmp_path):
    archive = shared / "mspacman_dataset" / "Ms_Pacman_Train_8episodes.zip"
    if not archive.is_file():
        pytest.skip("needs the Ms. Pac-Man archive")
    with zipfile.ZipFile(archive) as whole:
        for episode in ("0000", "0010", "0020", "0030"):
            pngs = sorted(n for n in whole.namelist() if f"Train/{episode}/" in n and n.endswith(".png"))
            whole.extractall(tmp_path, pngs[:12])
    clips = clips_of("mspacman", tmp_path, 4, 1, eval_step=1)
    assert clips.frame_shape == (3, 210, 160)
    assert {m.index.frames for m in clips.contents.members} == {12}
    assert "taken from train" in clips.contents.rule  # the archive has no test folder
    assert all(clips.count(split) for split in SPLITS)
    assert_disjoint(clips)


def test_bair_reads_frame_folders_at_any_depth_and_array_files(tmp_path):
    for number in range(4):
        for split in ("train", "test"):
            picture(tmp_path / f"processed_data/{split}/traj_0_to_255/7/{number}.png", 60 * number)
    np.save(tmp_path / "processed_data/train/more.npy", np.zeros((3, 4, 8, 8, 3), np.uint8))
    clips = clips_of("bair", tmp_path)
    assert sources(clips, "test") == {"test/traj_0_to_255/7"}
    assert {m.name for m in clips.contents.members} == {
        "train/traj_0_to_255/7", "train/more.npy[0]", "train/more.npy[1]", "train/more.npy[2]", "test/traj_0_to_255/7",
    }  # fmt: skip
    assert clips.read("test", np.array([0])).frames[0, :, 0, 0, 0].tolist() == [0, 60, 120]


def test_bair_says_that_tfrecords_are_not_read(tmp_path):
    (tmp_path / "softmotion30_44k/train").mkdir(parents=True)
    (tmp_path / "softmotion30_44k/train/traj_0_to_255.tfrecords").touch()
    with pytest.raises(UserError, match="TFRecords, which are not read"):
        clips_of("bair", tmp_path)


# --- kth


def test_kth_is_split_by_person_and_the_class_is_the_action(tmp_path):
    for person, action, place in ((1, "walking", "."), (14, "boxing", "boxing"), (15, "jogging", "."),
                                  (16, "running", "."), (17, "boxing", "."), (25, "handwaving", ".")):  # fmt: skip
        film(tmp_path / place / f"person{person:02d}_{action}_d1_uncomp.avi", 10 * person)
    film(tmp_path / "person26_walking_d1_uncomp.avi", 0)
    clips = clips_of("kth", tmp_path, eval_step=1)
    assert clips.frame_shape == (1, 16, 16)
    assert labels(clips, "train") == {
        "boxing/person14_boxing_d1_uncomp.avi": "boxing",
        "person01_walking_d1_uncomp.avi": "walking",
    }
    assert set(labels(clips, "val").values()) == {"jogging", "running"}
    assert set(labels(clips, "test").values()) == {"boxing", "handwaving"}
    assert [name for name, _ in clips.contents.skipped] == ["person26_walking_d1_uncomp.avi"]
    moved = clips_of("kth", tmp_path, val_persons=[1])
    assert sources(moved, "val") == {"person01_walking_d1_uncomp.avi"}
    with pytest.raises(UserError, match="val_persons"):
        clips_of("kth", tmp_path, val_persons=[17])


# --- kitti-caltech


def test_kitti_is_trained_on_and_caltech_is_tested_on(tmp_path):
    day = tmp_path / "kitti" / "2011_09_26"
    drives = {1: "train", 5: "val", 9: "train", 104: "unused", 79: "unused"}
    for number in drives:
        for frame in range(4):
            picture(day / f"2011_09_26_drive_{number:04d}_sync" / "image_03" / "data" / f"{frame:010d}.png", number)
            picture(day / f"2011_09_26_drive_{number:04d}_sync" / "image_02" / "data" / f"{frame:010d}.png", 200)
            picture(tmp_path / "caltech" / "set06" / "V000" / f"I{frame:05d}.jpg", 50)
            picture(tmp_path / "caltech" / "set10" / "V000" / f"I{frame:05d}.jpg", 60)
    (day / "2011_09_26_drive_0011_sync" / "image_02").mkdir(parents=True)
    clips = clips_of("kitti-caltech", tmp_path)
    assert sources(clips, "train") == {f"kitti/2011_09_26_drive_{number:04d}_sync" for number in (1, 9)}
    assert sources(clips, "val") == {"kitti/2011_09_26_drive_0005_sync"}
    assert sources(clips, "test") == {"caltech/set06/V000", "caltech/set10/V000"}
    assert set(np.unique(clips.read("train", np.arange(clips.count("train"))).context)) == {1, 9}, "one camera alone"
    skipped = dict(clips.contents.skipped)
    assert sorted(skipped) == [f"kitti/2011_09_26_drive_{number:04d}_sync" for number in (11, 79, 104)]
    assert skipped["kitti/2011_09_26_drive_0011_sync"] == "it has no image_03/data"
    (tmp_path / "caltech").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="it has no folder 'caltech'; lay it out as ROOT/kitti/"):
        clips_of("kitti-caltech", tmp_path)


# --- ucf101


def ucf(root: Path) -> None:
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Archery\r\n2 YoYo\r\n")
    names = {a: [f"{a}/v_{a}_g{g:02d}_c{c:02d}.avi" for g in range(1, 6) for c in (1, 2)] for a in ("Archery", "YoYo")}
    for number, group in ((1, 1), (2, 2), (3, 3)):  # that group is this list's test part
        both = {action: [n for n in own if f"_g{group:02d}_" in n] for action, own in names.items()}
        rest = {action: [n for n in own if n not in both[action]] for action, own in names.items()}
        (lists / f"testlist{number:02d}.txt").write_text("".join(f"{n}\n" for own in both.values() for n in own))
        train = [f"{n} {label}\n" for label, own in enumerate(rest.values(), 1) for n in own]
        (lists / f"trainlist{number:02d}.txt").write_text("".join(train))
    for name in [n for own in names.values() for n in own]:
        film(root / "UCF-101" / name, 100)


def test_ucf101_follows_the_official_lists_and_keeps_groups_whole(tmp_path):
    ucf(tmp_path)
    for number in (1, 2, 3):
        clips = clips_of("ucf101", tmp_path, split_number=number, val_share=0.3)
        tested = {f"{a}/v_{a}_g{number:02d}_c{c:02d}.avi" for a in ("Archery", "YoYo") for c in (1, 2)}
        assert sources(clips, "test") == tested
        assert_disjoint(clips)
        groups = {split: {name.rpartition("_")[0] for name in sources(clips, split)} for split in SPLITS}
        assert groups["val"]
        assert not groups["val"] & groups["train"]
        for split in SPLITS:
            assert all(name.startswith(f"{action}/") for name, action in labels(clips, split).items())
    assert clips.classes == ("Archery", "YoYo")
    with pytest.raises(UserError, match="split_number"):
        clips_of("ucf101", tmp_path, split_number=4)


def test_ucf101_labels_follow_the_clips_in_any_order(tmp_path):
    ucf(tmp_path)
    clips = clips_of("ucf101", tmp_path, val_share=0.0)
    assert clips.count("val") == 0
    order = clips.order("train", 3, 0)[:7]
    clip = clips.read("train", order)
    wanted = [clips.classes.index(clips.source("train", int(i)).partition("/")[0]) for i in order]
    assert clip.label.tolist() == wanted


def test_a_part_of_ucf101_keeps_its_splits_and_lists_what_is_missing(tmp_path):
    ucf(tmp_path)
    whole = clips_of("ucf101", tmp_path)
    gone = sorted(sources(whole, "train"))[0]
    (tmp_path / "UCF-101" / gone).unlink()
    part = clips_of("ucf101", tmp_path)
    assert sources(part, "train") == sources(whole, "train") - {gone}
    assert sources(part, "val") == sources(whole, "val")
    assert [name for name, _ in part.contents.skipped] == [gone]


def test_wrong_ucf101_lists_are_named(tmp_path):
    ucf(tmp_path)
    file = tmp_path / "ucfTrainTestlist" / "testlist01.txt"
    file.write_text(file.read_text() + "YoYo/v_YoYo_g05_c01.avi\n")
    with pytest.raises(UserError, match=r"testlist01.txt: YoYo/v_YoYo_g05_c01.avi is listed twice"):
        clips_of("ucf101", tmp_path)
    file.write_text("Cooking/v_Cooking_g01_c01.avi\n")
    with pytest.raises(UserError, match=r"testlist01.txt: the class of .* is not in classInd"):
        clips_of("ucf101", tmp_path)
    file.unlink()
    with pytest.raises(UserError, match=r"testlist01.txt: cannot be read"):
        clips_of("ucf101", tmp_path)


# --- hmdb51


def test_hmdb51_takes_ids_1_and_2_and_leaves_0_unused(tmp_path):
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    for action in ("wave", "brush_hair"):
        lines = []
        for film_name in ("Alice", "Bob", "Carol", "Dora"):
            for number, use in enumerate((1, 1) if film_name != "Dora" else (2, 0)):
                name = f"{film_name}_{action}_u_nm_np1_ba_goo_{number}.avi"
                film(tmp_path / action / name, 50)
                lines.append(f"{name} {use} \n")
        (lists / f"{action}_test_split2.txt").write_text("".join(lines))
    clips = clips_of("hmdb51", tmp_path, split_number=2, val_share=0.4)
    assert clips.classes == ("brush_hair", "wave")
    assert labels(clips, "test") == {
        f"{action}/Dora_{action}_u_nm_np1_ba_goo_0.avi": action for action in ("brush_hair", "wave")
    }
    films = {split: {name.split("/")[1].split("_")[0] for name in sources(clips, split)} for split in SPLITS}
    assert films["val"]
    assert not films["val"] & films["train"]
    assert len(sources(clips, "train") | sources(clips, "val")) == 12
    assert "2 videos unused" in clips.contents.rule
    with pytest.raises(UserError, match="it has no CLASS_test_split1"):
        clips_of("hmdb51", tmp_path)


# --- command line


def test_data_verb_takes_root_and_shows_what_a_registered_set_holds(tmp_path):
    from nextframe.cli import app

    ucf(tmp_path)
    out = tmp_path / "report.json"
    (tmp_path / "UCF-101/YoYo/v_YoYo_g05_c02.avi").write_bytes(b"RIFF, cut off")
    args = ["data", "ucf101", "--root", str(tmp_path), "--context", "2", "--horizon", "1", "--json", str(out)]
    result = CliRunner().invoke(app, [*args, "--check", "--contact-sheet", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert "official list 1" in report["rule"]
    assert len(report["rows"]) == 19
    assert [row["name"] for row in report["skipped"]] == ["YoYo/v_YoYo_g05_c02.avi"]
    assert report["checked"]
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_prepare_takes_a_registered_set_with_its_splits_and_colour(tmp_path):
    from nextframe.cli import app
    from nextframe.data.prepared.manifest import read_manifest

    for person in (1, 2, 15, 17):
        film(tmp_path / "kth" / "walking" / f"person{person:02d}_walking_d1_uncomp.avi", 10 * person, frames=6)
    words = ["prepare", "kth", "--root", str(tmp_path / "kth"), "-o", str(tmp_path / "clips"), "--size", "8x8"]
    done = CliRunner().invoke(app, [*words, "--clips", "6", "--held-out", "2", "--context", "2", "--quiet"])
    assert done.exit_code == 0, done.exception
    manifest = read_manifest(tmp_path / "clips")
    assert manifest["splits"] == {"train": 6, "val": 2, "test": 2}
    spans = {source["name"]: list(source["spans"]) for source in manifest["sources"]}
    where = {name.rpartition("/")[2][:8]: found for name, found in spans.items()}
    assert where == {"person01": ["train"], "person02": ["train"], "person15": ["val"], "person17": ["test"]}
    assert manifest["settings"]["color"] == "grey"
    assert manifest["record"]["shape"] == [3, 1, 8, 8]
    assert clips_of_prepared(tmp_path / "clips").count("train") == 6


def clips_of_prepared(folder):
    return open_data(DataConfig(name=str(folder), context=2, horizon=1))


def test_prepare_keeps_what_a_set_says_of_cuts(tmp_path):
    from nextframe.data.prepared.config import PrepareConfig
    from nextframe.data.prepared.prepare import prepare

    for split, name in (("train", "1"), ("test", "2")):
        cat(tmp_path / "catz" / split, name)
    config = PrepareConfig(size=(4, 4), context=5, clips=2, held_out=1)
    assert prepare("catz", tmp_path / "clips", config, root=str(tmp_path / "catz"))["settings"]["across_cuts"] is True


@pytest.mark.parametrize(
    ("name", "root", "line"),
    [
        ("ucf101", None, "ucf101: it needs a local copy"),
        ("kth", "nowhere", "nowhere is not a folder"),
        ("films", "films", "--root is for a data set with a name, and films is a path: skip --root"),
        ("moving-digits", None, "data set 'moving-digits' has no videos to prepare"),
    ],
)
def test_prepare_says_what_is_wrong_with_a_name_or_its_root(name, root, line, tmp_path, monkeypatch):
    from nextframe.cli import app

    monkeypatch.chdir(tmp_path)
    Path("films").mkdir()
    given = ["--root", root] if root else []
    done = CliRunner().invoke(app, ["prepare", name, *given, "-o", "clips"])
    assert isinstance(done.exception, UserError)
    assert line in str(done.exception)
    assert not Path("clips").exists()
