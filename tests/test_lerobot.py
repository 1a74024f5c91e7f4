"""LeRobot folders as data: frames of each episode, actions beside them, splits, and one line for what does not fit.

The folders are written by `tests/recordings.py` in the published format, with lossless videos.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import nextframe
from nextframe.cli import main
from nextframe.core.errors import UserError
from nextframe.data import DataConfig, open_data
from nextframe.data.inspect.report import describe
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.prepare import prepare
from nextframe.data.prepared.shards import read_note
from recordings import FPS, PATHS, Recording, frames_of, join_videos, write_table, write_video

pytest.importorskip("pyarrow", reason="needs the extra [lerobot]")
pytestmark = [pytest.mark.any_processor, pytest.mark.usefixtures("one_cache")]

FIXTURES = Path(__file__).parent / "fixtures" / "lerobot"
LENGTHS = (12, 17, 9, 15, 20)
VERSIONS = tuple(PATHS)
TOP, WRIST = "observation.images.top", "observation.images.wrist"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording(LENGTHS)


@pytest.fixture(scope="module")
def folders(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same episodes in both versions of the format."""
    place = tmp_path_factory.mktemp("lerobot")
    return {version: recording.write(place / version, version) for version in VERSIONS}


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder that a test may damage."""
    return Path(shutil.copytree(folders[request.param], tmp_path / "data"))


def config(root: Path, context: int = 3, horizon: int = 2, **fields: object) -> DataConfig:
    return DataConfig(name=str(root), context=context, horizon=horizon, **fields)  # type: ignore[arg-type]


def episode_of(clips, split, index: int) -> int:
    return int(clips.source(split, index).removeprefix("episode_"))


def starts(clips, split) -> list[tuple[int, int]]:
    """The episode and the first frame of each clip."""
    return [(episode_of(clips, split, i), int(clips.tables[split].firsts[i])) for i in range(clips.count(split))]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_clip_has_the_frames_and_actions_of_its_episode(folders, recording, version):
    clips, seen = open_data(config(folders[version])), set()
    for split in ("train", "val", "test"):
        clip = clips.read(split, np.arange(clips.count(split)))
        for row, (episode, first) in enumerate(starts(clips, split)):
            frames = recording.frames[TOP][episode][first : first + 5]
            assert np.array_equal(clip.frames[row].permute(0, 2, 3, 1).numpy(), frames), (episode, first)
            led = np.concatenate([np.zeros((1, 2), np.float32), recording.actions[episode]])[first : first + 5]
            assert np.array_equal(clip.conditions["actions"][row].numpy(), led), (episode, first)
            seen.add(episode)
    assert seen == set(range(5))
    assert list(clip.conditions) == ["actions"]
    assert clips.fps == FPS


@pytest.mark.parametrize("version", VERSIONS)
def test_clips_reach_to_both_ends_of_each_episode_and_never_across(folders, version):
    """With all shares 0 every span of every episode is a clip, and nothing else is."""
    options = {"val_share": 0, "test_share": 0}
    clips = open_data(config(folders[version], options=options))
    assert starts(clips, "train") == [(e, n) for e, length in enumerate(LENGTHS) for n in range(length - 4)]


def test_both_versions_are_the_same_data(folders):
    one, other = (open_data(config(folders[version])) for version in VERSIONS)
    assert one.facts() == other.facts()
    assert [starts(one, split) for split in ("train", "val", "test")] == [
        starts(other, split) for split in ("train", "val", "test")
    ]


def test_episodes_in_one_file_are_read_in_any_order(folders, recording):
    """Clips of two episodes of one video, back and forth, without the frames that are held."""
    clips = open_data(config(folders["v3.0"], options={"cache_mb": 1, "val_share": 0, "test_share": 0}))
    where = {place: index for index, place in enumerate(starts(clips, "train"))}
    for episode, first in [(1, 12), (0, 7), (1, 0), (3, 10), (0, 0), (2, 4)]:
        clip = clips.read("train", np.array([where[episode, first]]))
        expected = recording.frames[TOP][episode][first : first + 5]
        assert np.array_equal(clip.frames[0].permute(0, 2, 3, 1).numpy(), expected), (episode, first)


def test_with_a_stride_each_entry_has_the_actions_in_between(folders, recording):
    clips = open_data(config(folders["v3.0"], stride=2, options={"val_share": 0, "test_share": 0}))
    index = starts(clips, "train").index((1, 3))
    actions = clips.read("train", np.array([index])).conditions["actions"][0].numpy()
    rows = recording.actions[1]
    assert np.array_equal(actions, np.stack([np.concatenate([rows[n - 2], rows[n - 1]]) for n in (3, 5, 7, 9, 11)]))


def test_states_are_those_of_the_frame_itself_if_asked_for(folders, recording):
    clips = open_data(config(folders["v2.1"], options={"state": True}))
    (episode, first), *_ = starts(clips, "train")
    conditions = clips.read("train", np.array([0])).conditions
    assert conditions.timed == {"actions", "state"}
    assert np.array_equal(conditions["state"][0].numpy(), recording.states[episode][first : first + 5])


def test_the_middle_frame_has_the_action_that_led_to_it(folders, recording):
    """Of a task with a gap, conditions follow the frames: those of the context and then that of the target."""
    clips = open_data(config(folders["v2.1"], gap=2, options={"val_share": 0, "test_share": 0}))
    index = starts(clips, "train").index((4, 6))
    clip = clips.read("train", np.array([index]))
    rows = recording.actions[4]
    assert np.array_equal(clip.conditions["actions"][0].numpy(), rows[[5, 9, 7]])
    assert np.array_equal(clip.target[0, 0].permute(1, 2, 0).numpy(), recording.frames[TOP][4][8])


@pytest.mark.parametrize("version", VERSIONS)
def test_splits_of_info_are_kept(recording, tmp_path, version):
    splits = {"train": "0:3", "validation": "3:4", "test": "4:5"}
    clips = open_data(config(recording.write(tmp_path / "data", version, splits=splits)))
    found = {split: {episode for episode, _ in starts(clips, split)} for split in ("train", "val", "test")}
    assert found == {"train": {0, 1, 2}, "val": {3}, "test": {4}}
    assert clips.contents.rule == "by meta/info.json"


def test_what_info_does_not_divide_is_divided_by_episode(recording, tmp_path):
    """A test split of its own: val is taken from train. Episodes that it does not name are skipped, and said."""
    root = recording.write(tmp_path / "data", "v2.1", splits={"train": "0:3", "test": "4:5"})
    clips = open_data(config(root))
    found = {split: {episode for episode, _ in starts(clips, split)} for split in ("train", "val", "test")}
    assert found["test"] == {4}
    assert len(found["val"]) == 1
    assert found["val"] | found["train"] == {0, 1, 2}
    assert clips.contents.skipped == [("episode_000003", "it is in no split of meta/info.json")]


def test_a_train_split_of_some_episodes_leaves_the_others_unused(recording, tmp_path):
    clips = open_data(config(recording.write(tmp_path / "data", "v3.0", splits={"train": "1:5"})))
    seen = {episode for split in ("train", "val", "test") for episode, _ in starts(clips, split)}
    assert seen == {1, 2, 3, 4}
    assert clips.contents.rule == "by meta/info.json; val and test taken from train by a hash of the source's name"


@pytest.mark.parametrize("version", VERSIONS)
def test_one_of_several_cameras(tmp_path, version):
    both = Recording((8, 9, 8), (TOP, WRIST))
    root = both.write(tmp_path / "data", version)
    with pytest.raises(UserError, match=f"2 cameras \\({TOP}, {WRIST}\\); choose one with --set data.options.camera="):
        open_data(config(root))
    with pytest.raises(UserError, match="no camera 'left'"):
        open_data(config(root, options={"camera": "left"}))
    for name in (WRIST, "wrist"):
        clips = open_data(config(root, options={"camera": name}))
        (episode, first), *_ = starts(clips, "train")
        frame = clips.read("train", np.array([0])).context[0, 0].permute(1, 2, 0).numpy()
        assert np.array_equal(frame, both.frames[WRIST][episode][first])


def test_scalar_actions_are_one_number_wide(recording, tmp_path):
    """A feature of shape (1,) is stored without a list."""
    root = recording.write(tmp_path / "data", "v2.1")
    for episode, length in enumerate(LENGTHS):
        rows = recording.rows(episode, 0) | {"action": [float(n) for n in range(length)]}
        write_table(root / PATHS["v2.1"][0].format(episode_chunk=0, episode_index=episode), rows)
    clips = open_data(config(root))
    (_, first), *_ = starts(clips, "train")
    actions = clips.read("train", np.array([0])).conditions["actions"][0]
    assert actions.tolist() == [[float(max(0, n - 1))] for n in range(first, first + 5)]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_lerobot_itself_wrote_is_read(version):
    """Folders of three episodes by `LeRobotDataset` of lerobot 0.3.3 (2.1, AV1) and 0.4.4 (3.0, H.264).

    Frame by frame `add_frame` was given `frames_of`, and as action and state the next normal numbers of seed 0. The
    codecs lose some, so the frames that are read must be nearer to the right ones than to those of any other span.
    """
    lengths, random = (12, 17, 9), np.random.default_rng(0)
    given = [[(random.normal(size=2), random.normal(size=3)) for _ in range(n)] for n in lengths]
    options = {"val_share": 0, "test_share": 0, "state": True}
    clips = open_data(config(FIXTURES / version, options=options))
    clip = clips.read("train", np.arange(clips.count("train")))
    places = [(e, first) for e, n in enumerate(lengths) for first in range(n - 4)]
    assert starts(clips, "train") == places
    spans = np.stack([frames_of(e, lengths[e])[first : first + 5] for e, first in places]).astype(float)
    for row, (episode, first) in enumerate(places):
        far = np.abs(clip.frames[row].permute(0, 2, 3, 1).numpy() - spans).mean((1, 2, 3, 4))
        assert far.argmin() == row
        assert far[row] < 3
        rows = given[episode]
        led = [rows[n - 1][0] if n else np.zeros(2) for n in range(first, first + 5)]
        assert np.array_equal(clip.conditions["actions"][row].numpy(), np.float32(led))
        states = [rows[n][1] for n in range(first, first + 5)]
        assert np.array_equal(clip.conditions["state"][row].numpy(), np.float32(states))


def test_lists_of_a_fixed_length_are_read(recording, tmp_path):
    """As `datasets` writes a feature of a shape."""
    import pyarrow as arrow
    from pyarrow import parquet

    root = recording.write(tmp_path / "data", "v2.1")
    for file in (root / "data").rglob("*.parquet"):
        table = parquet.read_table(file)
        column = table.schema.get_field_index("action")
        values = arrow.array(table["action"].to_pylist(), arrow.list_(arrow.float32(), 2))
        parquet.write_table(table.set_column(column, "action", values), file)
    clips = open_data(config(root))
    (episode, first), *_ = starts(clips, "train")
    actions = clips.read("train", np.array([0])).conditions["actions"][0, 1:].numpy()
    assert np.array_equal(actions, recording.actions[episode][first : first + 4])


def test_frames_of_a_variable_rate_are_found_by_their_times(recording, tmp_path):
    """Frames 1, 2 and 4 are shown up to 0.04 s late, and their rows say when."""
    root, late = recording.write(tmp_path / "data", "v2.1"), {1: 3, 2: 4, 4: 1}
    stamps = [10 * n + late.get(n, 0) for n in range(12)]
    write_video(root / f"videos/chunk-000/{TOP}/episode_000000.mp4", recording.frames[TOP][0], stamps=stamps)
    rows = recording.rows(0, 0) | {"timestamp": [np.float32(stamp / 100) for stamp in stamps]}
    write_table(root / "data/chunk-000/episode_000000.parquet", rows)
    clips = open_data(config(root, options={"val_share": 0, "test_share": 0}))
    index = starts(clips, "train").index((0, 1))
    frames = clips.read("train", np.array([index])).frames[0].permute(0, 2, 3, 1).numpy()
    assert np.array_equal(frames, recording.frames[TOP][0][1:6])
    rows["timestamp"][1] = np.float32(0.05)
    write_table(root / "data/chunk-000/episode_000000.parquet", rows)
    with pytest.raises(UserError, match=r"frame 1 is shown at 0\.13 s of episode 0, its row in .* says 0\.05 s"):
        open_data(config(root))


# --- what does not fit ------------------------------------------------------------------------------------------


def change_info(root: Path, **entries: object) -> None:
    file = root / "meta" / "info.json"
    info = json.loads(file.read_text(encoding="utf-8"))
    info.update(entries)
    file.write_text(json.dumps({k: v for k, v in info.items() if v is not None}), encoding="utf-8")


def no_info_key(name):
    return lambda root: change_info(root, **{name: None})


def remove(name):
    return lambda root: (root / name).unlink()


def write(name, text):
    return lambda root: (root / name).write_text(text, encoding="utf-8")


def fewer_rows(root: Path) -> None:
    rows = {name: values[:-1] for name, values in Recording(LENGTHS).rows(1, 0).items()}
    write_table(root / "data/chunk-000/episode_000001.parquet", rows)


def fewer_frames(root: Path) -> None:
    write_video(root / f"videos/chunk-000/{TOP}/episode_000001.mp4", Recording(LENGTHS).frames[TOP][1][:-1])


def fewer_frames_in_a_joined_file(root: Path) -> None:
    frames = Recording(LENGTHS).frames[TOP]
    join_videos(root / f"videos/{TOP}/chunk-000/file-000.mp4", [frames[0], frames[1][:-1]])


def other_times(root: Path) -> None:
    rows = Recording(LENGTHS).rows(1, 0)
    rows["timestamp"] = [np.float32(1.5 * t) for t in rows["timestamp"]]
    write_table(root / "data/chunk-000/episode_000001.parquet", rows)


def other_column(name, values):
    def change(root: Path) -> None:
        rows = Recording(LENGTHS).rows(1, 0)
        write_table(
            root / "data/chunk-000/episode_000001.parquet", {k: v for k, v in rows.items() if k != name} | values
        )

    return change


def other_episodes(**columns):
    def change(root: Path) -> None:
        from pyarrow import parquet

        file = root / "meta/episodes/chunk-000/file-000.parquet"
        table = parquet.read_table(file, partitioning=None).to_pydict()
        write_table(file, {k: v for k, v in (table | columns).items() if v is not None})

    return change


MALFORMED = [
    ("v2.1", no_info_key("codebase_version"), r"info\.json: has no entry 'codebase_version'; the versions .* v2\.1"),
    ("v2.1", no_info_key("fps"), r"info\.json: its entry 'fps' is missing or wrong"),
    ("v3.0", no_info_key("features"), r"info\.json: its entry 'features' is missing"),
    ("v3.0", no_info_key("data_path"), r"info\.json: its entry 'data_path' is missing"),
    ("v3.0", no_info_key("video_path"), r"info\.json: its entry 'video_path' is ''"),
    ("v2.1", lambda root: change_info(root, fps=0), r"info\.json: its entry 'fps'"),
    ("v2.1", lambda root: change_info(root, codebase_version="v4.0"), r"info\.json: codebase_version is 'v4\.0'"),
    (
        "v2.1",
        lambda root: change_info(root, video_path="v/{camera}.mp4"),
        r"info\.json: its entry 'video_path'.*video_key",
    ),
    (
        "v2.1",
        lambda root: change_info(root, data_path="../{episode_index}"),
        r"info\.json: its entry 'data_path'.*inside",
    ),
    (
        "v2.1",
        lambda root: change_info(root, splits={"train": "0:3", "rest": "3:5"}),
        r"info\.json: its split 'rest: 3:5'",
    ),
    (
        "v2.1",
        lambda root: change_info(root, splits={"train": "0:3", "test": "2:5"}),
        r"info\.json: episode 2 is in two",
    ),
    ("v2.1", lambda root: change_info(root, splits={"test": "7:9"}), r"info\.json: its splits name no episode"),
    ("v3.0", write("meta/info.json", "{"), r"info\.json: cannot be read as JSON"),
    ("v2.1", remove("meta/episodes.jsonl"), r"episodes\.jsonl: cannot be read"),
    ("v2.1", write("meta/episodes.jsonl", "{}\n"), r"episodes\.jsonl: line 1 is not JSON with the numbers"),
    ("v2.1", write("meta/episodes.jsonl", "\n"), r"episodes\.jsonl: lists no episode"),
    ("v3.0", remove("meta/episodes/chunk-000/file-000.parquet"), r"episodes: lists no episode"),
    ("v3.0", write("meta/episodes/chunk-000/file-000.parquet", "no"), r"file-000\.parquet: cannot be read as Parquet"),
    ("v3.0", other_episodes(length=None), r"file-000\.parquet: has no column 'length'"),
    ("v3.0", other_episodes(length=[12, 17, 9, 15, None]), r"episodes: an episode has no value in one of its columns"),
    ("v3.0", other_episodes(episode_index=[0, 1, 1, 3, 4]), r"episodes: lists episode 1 twice"),
    ("v3.0", other_episodes(length=[12, 17, 9, 14, 20]), r"file-001\.parquet: has 15 rows of episode 3, meta says 14"),
    ("v2.1", remove("data/chunk-000/episode_000002.parquet"), r"episode_000002\.parquet: there is no such file"),
    ("v2.1", remove(f"videos/chunk-000/{TOP}/episode_000003.mp4"), r"episode_000003\.mp4: there is no such file"),
    (
        "v3.0",
        remove(f"videos/{TOP}/chunk-000/file-001.mp4"),
        r"file-001\.mp4: there is no such file, the video of episode",
    ),
    ("v3.0", write(f"videos/{TOP}/chunk-000/file-001.mp4", "no"), r"file-001\.mp4: cannot be opened as a video"),
    ("v2.1", fewer_rows, r"episode_000001\.parquet: has 16 rows of episode 1, meta says 17"),
    ("v2.1", fewer_frames, r"episode_000001\.mp4: has 16 frames, .*episode_000001\.parquet has 17 rows of episode 1"),
    ("v3.0", fewer_frames_in_a_joined_file, r"file-000\.mp4: has 16 frames from 1\.2 to 2\.9 s, .* has 17 rows"),
    ("v2.1", other_times, r"episode_000001\.mp4: frame 1 is shown at 0\.1 s of episode 1, its row .* says 0\.15 s"),
    ("v2.1", other_column("timestamp", {}), r"episode_000001\.parquet: has no column 'timestamp'"),
    (
        "v2.1",
        other_column("action", {"action": [[0.0]] * 16 + [[0.0, 1.0]]}),
        r"0001\.parquet: its column 'action' does not",
    ),
    (
        "v2.1",
        other_column("action", {"action": [[np.nan, 0.0]] * 17}),
        r"0001\.parquet: row 0 of 'action' is not finite",
    ),
    (
        "v2.1",
        other_column("frame_index", {"frame_index": [7, *range(1, 17)]}),
        r"0001\.parquet: frame_index of episode 1",
    ),
]


@pytest.mark.parametrize(("copied", "damage", "line"), MALFORMED, indirect=["copied"])
def test_what_is_malformed_is_one_line_that_names_the_file(copied, damage, line):
    damage(copied)
    with pytest.raises(UserError, match=line) as caught:
        open_data(config(copied))
    assert "\n" not in str(caught.value)


def test_cameras_in_tables_are_refused(recording, tmp_path):
    root = recording.write(tmp_path / "data", "v2.1")
    features = recording.info("v2.1")["features"]
    change_info(root, features=features | {TOP: features[TOP] | {"dtype": "image"}})
    with pytest.raises(UserError, match=f"info.json: the data set stores {TOP} as images in its tables; only cameras"):
        open_data(config(root))


def test_several_paths_are_refused(folders):
    with pytest.raises(UserError, match=r"is a data set of its own: combine it with others by data\.mix"):
        open_data(DataConfig(name=f"{folders['v2.1']},{folders['v3.0']}"))


# --- as users meet it -------------------------------------------------------------------------------------------

SHADED = """
import torch, torch.nn.functional as F
from torch import nn
from nextframe.models.contract import Capabilities, Objective, OptimizerDefaults, Predictor, Stage
from nextframe.core.plugins import register

@register("shaded")
class Shaded(Predictor):
    capabilities = property(lambda self: Capabilities(needs=("actions",)))
    def __init__(self, config):
        super().__init__(config)
        self.shade = nn.Linear(2, 1)
        nn.init.zeros_(self.shade.weight)
    def forecast(self, request):
        ahead = self.shade(request.conditions["actions"][:, request.context.shape[1]:])
        return (request.context[:, -1:] + ahead[..., None, None]).clamp(0, 1)
    def stages(self):
        def loss(clip):
            return F.mse_loss(self(clip.context, clip.horizon, clip.conditions), clip.target), {}
        return [Stage("train", [Objective("mse", list(self.parameters()), loss, OptimizerDefaults("adam", lr=1e-2))])]
"""


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_with_actions_is_trained_and_measured_from_the_command_line(folders, tmp_path, version):
    from nextframe.models import MODELS

    plugin, before, folder = tmp_path / "shaded.py", set(MODELS), tmp_path / "run"
    plugin.write_text(SHADED, encoding="utf-8")
    common = ["--data", folders[version], "--plugin", plugin, "--json", tmp_path / "rows.json"]
    cut = ["--context", 3, "--horizon", 2, "--size", "16x24", "--steps", 4, "--batch", 4, "--set", "run.report=false"]
    try:
        assert run("train", "shaded", *common[:-2], *cut, "-o", folder) == 0
        weights = nextframe.load(folder).state_dict()["shade.weight"]
        assert (weights != 0).all()  # they begin at 0, and learn from both numbers of the actions
        assert run("evaluate", folder, *common, "--metrics", "mse") == 0
        rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["rows"]
        assert {"shaded", "copy-last"} <= {row["model"] for row in rows}
    finally:
        MODELS.keep(before)


def test_without_a_column_of_actions_clips_have_no_conditions(recording, tmp_path):
    root = recording.write(tmp_path / "data", "v2.1")
    features = {name: value for name, value in recording.info("v2.1")["features"].items() if name != "action"}
    change_info(root, features=features)
    clip = open_data(config(root)).read("train", np.array([0]))
    assert list(clip.conditions) == []
    assert clip.frames.dtype == torch.uint8


def test_nextframe_data_says_what_was_found(folders, capsys):
    assert run("data", folders["v3.0"], "--context", 3, "--horizon", 2) == 0
    said = capsys.readouterr().out
    assert f"LeRobot v3.0, 10 frames/s, camera {TOP}" in said
    assert "actions: 2 numbers a frame, the condition 'actions'" in said
    assert "states: 3 numbers a frame, as the condition 'state' with data.options.state=true" in said
    assert "5 sources" in said
    assert "73 frames" in said
    report = describe(config(folders["v3.0"]))
    assert [row.frames for row in report.sources] == list(LENGTHS)
    assert report.as_json()["about"][0].startswith("LeRobot v3.0")


@pytest.mark.parametrize("version", VERSIONS)
def test_prepared_clips_keep_their_actions(folders, recording, tmp_path, version):
    """Shards hold the crop and, number by number, the actions that lead through it."""
    made = PrepareConfig(
        size=(16, 24), context=3, horizon=2, stride=2, clips=40, held_out=5, threshold=0, options={"state": True}
    )
    prepare(folders[version], tmp_path / "clips", made, workers=1, show=False)
    clips = open_data(config(tmp_path / "clips"))
    batch = clips.read("train", np.arange(40))
    assert batch.conditions.timed == {"actions", "state"}
    for index in range(40):
        note = read_note(tmp_path / "clips" / "train-00000.tar", clips.layout, index)
        episode, frames = int(note["source"].removeprefix("episode_")), note["start"] + 2 * np.arange(5)
        led = np.concatenate([np.zeros((2, 2), np.float32), recording.actions[episode]])
        expected = np.concatenate([led[frames], led[frames + 1]], axis=1)
        assert np.array_equal(batch.conditions["actions"][index].numpy(), expected)
        assert np.array_equal(batch.conditions["state"][index].numpy(), recording.states[episode][frames])
        rows, columns = slice(note["top"], note["top"] + 16), slice(note["left"], note["left"] + 24)
        crop = recording.frames[TOP][episode][frames, rows, columns]
        assert np.array_equal(batch.frames[index].permute(0, 2, 3, 1).numpy(), crop)
    shorter = open_data(config(tmp_path / "clips", horizon=1)).read("train", np.arange(4))
    assert torch.equal(shorter.conditions["actions"], batch.conditions["actions"][:4, :4])


def test_settings_lists_the_options_of_the_folder(folders, capsys):
    assert run("settings", "train", "--data", folders["v2.1"]) == 0
    assert "data.options.camera" in capsys.readouterr().out
