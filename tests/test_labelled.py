"""Videos of one's own with classes: which class and split each gets, and one line for what does not fit."""

from pathlib import Path

import numpy as np
import pytest

from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))


def film(path: Path, level: int, frames: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full((frames, 8, 8), level, np.uint8))


def opened(root, **options):
    options = {"root": str(root), "across_cuts": True, **options}
    return open_data(DataConfig(name="labelled", context=3, horizon=1, options=options))


def found(clips) -> dict[str, dict[str, str]]:
    """For each split the class of each source, with a look at the label that its clips carry."""
    whole = {}
    for split in ("train", "val", "test"):
        numbers = np.arange(clips.count(split))
        labels = [clips.label(split, index) for index in numbers]
        if len(numbers):
            assert clips.read(split, numbers).label.tolist() == labels
        whole[split] = {clips.source(split, i): clips.classes[label] for i, label in enumerate(labels)}
    return whole


def test_class_folders_are_divided_class_by_class(tmp_path):
    for action in ("run", "walk"):
        for number in range(10):
            film(tmp_path / "films" / action / f"{number}.npy", number)
    splits = found(opened(tmp_path / "films"))
    assert opened(tmp_path / "films").classes == ("run", "walk")
    for split in splits.values():
        assert set(split.values()) == {"run", "walk"}
        assert all(name.startswith(action) for name, action in split.items())
    assert sum(len(split) for split in splits.values()) == 20


def test_split_folders_are_kept(tmp_path):
    for split, numbers in {"train": range(3), "val": range(1), "test": range(2)}.items():
        for action in ("run", "walk"):
            for number in numbers:
                film(tmp_path / "films" / split / action / f"{split}{number}.npy", number)
    splits = found(opened(tmp_path / "films"))
    assert {split: len(names) for split, names in splits.items()} == {"train": 6, "val": 2, "test": 4}
    assert splits["test"]["test/walk/test1.npy"] == "walk"


def test_a_class_of_one_source_is_divided_by_time(tmp_path):
    for number in range(4):
        film(tmp_path / "films" / "run" / f"{number}.npy", number)
    film(tmp_path / "films" / "walk" / "only.npy", 9, frames=100)
    clips = opened(tmp_path / "films")
    splits = found(clips)
    assert all("walk/only.npy" in split for split in splits.values())
    assert sum(name.startswith("run") for split in splits.values() for name in split) == 4
    assert "fewer than 3 sources each by time: walk" in clips.contents.rule


def test_a_file_lists_paths_classes_and_splits(tmp_path):
    for name in ("a b.npy", "c.npy", "d.npy"):
        film(tmp_path / "films" / name, 1)
    listing = tmp_path / "list.txt"
    listing.write_text("# mine\n\nfilms/a b.npy\trun\ttrain\nfilms/c.npy walk  test\nfilms/d.npy\twalk\ttrain\n")
    splits = found(opened(listing))
    assert splits["train"] == {"films/a b.npy": "run", "films/d.npy": "walk"}
    assert splits["test"] == {"films/c.npy": "walk"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x.npy", r"line 1 has 1 fields; expected PATH CLASS \[SPLIT\]"),
        ("a.npy run tests", "line 1: 'tests' is not a split"),
        ("b.npy run", "line 1: there is no b.npy; paths are relative to the file's folder"),
        ("no such file.npy run test", "line 1: there is no no such file.npy; paths are relative"),
        ("a.npy run\na.npy walk", "line 2: a.npy is listed twice"),
        ("a.npy run", "1 class found, at least two are needed"),
        ("a.npy run train\nc.npy walk", "some lines give a split and some do not"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, line):
    film(tmp_path / "a.npy", 1)
    film(tmp_path / "c.npy", 1)
    (tmp_path / "list.txt").write_text(text + "\n")
    with pytest.raises(UserError, match=line):
        opened(tmp_path / "list.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "line",
    [
        "My films/cat 0.npy\ta b\ttrain ",
        "  My films/cat 0.npy   c   train",
        "My films/cat 0.npy, c, train",
        "My films/cat 0.npy,a b,train",
        '"My films/cat 0.npy" c train',
        "'My films/cat 0.npy', c, train",
        r"My films\cat 0.npy c train",
        "My films/one, two.npy c train",
        "My films/one, two.npy,c,train",
    ],
)
def test_lists_as_people_write_them(tmp_path, line, encoding):
    """Spaces and commas in paths, quotes, Windows' backslashes and byte order marks; lines end as on Windows."""
    for name in ("My films/cat 0.npy", "My films/one, two.npy", "d.npy"):
        film(tmp_path / name, 1)
    (tmp_path / "list.txt").write_bytes(f"{line}\r\n\r\nd.npy x test\r\n".encode(encoding))
    labelled = opened(tmp_path / "list.txt")
    name = "My films/one, two.npy" if "one" in line else "My films/cat 0.npy"
    assert found(labelled)["train"] == {name: "a b" if "a b" in line else "c"}


def test_a_list_of_paths_with_blanks(bugs):
    expected = {"train": {"My Videos/cat 0.mp4": "a", "My Videos/cat 1.mp4": "b"}}
    splits = found(opened(bugs / "lists" / "blanks.txt"))
    assert splits["train"] == expected["train"]
    assert splits["val"] == {"My Videos/cat 2.mp4": "a"}
    assert splits["test"] == {"My Videos/cat 3.mp4": "b"}


def test_a_film_outside_the_class_folders_is_one_line(tmp_path):
    film(tmp_path / "films" / "run" / "a.npy", 1)
    film(tmp_path / "films" / "b.npy", 1)
    with pytest.raises(UserError, match=r"b\.npy: is not in a class folder"):
        opened(tmp_path / "films")
    with pytest.raises(UserError, match="needs --root PATH"):
        open_data(DataConfig(name="labelled"))
