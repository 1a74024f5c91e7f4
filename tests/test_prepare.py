"""Preparing clips: the ports' rule of motion, the same bytes whatever happens on the way, and reading them back."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.lock import LOCK
from nextframe.data import DataConfig, open_data
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.crops import MotionRule, choose_crop, draw_clips
from nextframe.data.prepared.motion import CropMotion, energy
from nextframe.data.prepared.prepare import prepare
from nextframe.media.reader import read_video

RULE = MotionRule(size=(8, 12), threshold=100.0, keep=0.05, tries=100)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Six sources of three kinds: a bright square of random speed over still noise; in most crops nothing moves."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(6):
        random = np.random.default_rng(number)
        video = np.repeat(random.integers(0, 60, (1, 45, 61, 3), dtype=np.uint8), 24, axis=0)
        for time_, frame in enumerate(video):
            y, x = 5 + number, (3 + time_ * (1 + number % 3)) % 50
            frame[y : y + 8, x : x + 8] = 250
        if number % 3 == 0:
            np.save(folder / f"array{number}.npy", video)
        elif number % 3 == 1:
            (folder / f"frames{number}").mkdir()
            for time_, frame in enumerate(video):
                Image.fromarray(frame).save(folder / f"frames{number}" / f"{time_}.png")
        else:
            images = [Image.fromarray(frame).quantize(64) for frame in video]
            path = folder / f"gif{number}.gif"
            images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    return folder


SMALL = PrepareConfig(size=(16, 20), context=3, horizon=2, clips=50, held_out=7, shard=8, threshold=20.0, tries=30)


def digest(folder):
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def unbroken(sources, tmp_path_factory):
    """Clips that were prepared in one go with one worker."""
    folder = tmp_path_factory.mktemp("unbroken") / "clips"
    prepare(sources, folder, SMALL, workers=1, show=False)
    return folder


def array(tar, member):
    return np.load(io.BytesIO(tar.extractfile(member).read()))


def noise(frames=5, height=40, width=50, channels=3, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (height, width, channels), dtype=np.uint8) for _ in range(frames)]


def motion_by_hand(frames, top, left, size):
    """The sum in [-1, 1], as the rule is written down."""
    crops = [f[top : top + size[0], left : left + size[1]] / 127.5 - 1 for f in frames]
    return sum(float(((b - a) ** 2).sum()) for a, b in pairwise(crops))


class TestMotion:
    def test_one_pixel_by_hand(self):
        frames = [np.zeros((4, 5, 3), np.uint8) for _ in range(3)]
        frames[1][2, 3] = (10, 20, 0)  # there and back: twice 10**2 + 20**2
        assert energy(frames)[2, 3] == 1000
        assert energy(frames).sum() == 1000

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("count", [1, 200])
    def test_look_ups_and_direct_sums_are_the_definition(self, channels, count):
        frames, size = noise(channels=channels), (9, 7)
        random = np.random.default_rng(1)
        tops, lefts = random.integers(0, 40 - 9 + 1, count), random.integers(0, 50 - 7 + 1, count)
        sums = CropMotion(frames, size).sums(tops, lefts)
        by_hand = [motion_by_hand(frames, y, x, size) for y, x in zip(tops, lefts, strict=True)]
        np.testing.assert_allclose(sums / 127.5**2, by_hand, rtol=1e-12)

    def test_the_largest_difference_does_not_overflow(self):
        frames = [np.full((30, 30, 3), 255 * (t % 2), np.uint8) for t in range(60)]
        sums = CropMotion(frames, (30, 30)).sums(np.zeros(1, int), np.zeros(1, int))
        assert sums[0] == 59 * 255**2 * 30 * 30 * 3


class TestRule:
    def reference(self, frames, tops, lefts, chance, rule):
        """The ports' loop, one crop after the other."""
        height, width = frames[0].shape[:2]
        for tried in range(rule.tries):
            top = int(tops[tried] * (height - rule.size[0] + 1))
            left = int(lefts[tried] * (width - rule.size[1] + 1))
            motion = motion_by_hand(frames, top, left, rule.size)
            if chance < rule.keep or motion > rule.threshold:
                break
        return top, left, tried + 1, motion

    @pytest.mark.parametrize("threshold", [0.0, 20.0, 60.0, 1e9])
    def test_it_keeps_what_the_loop_keeps(self, threshold):
        frames = noise(height=45, width=61)
        frames[1:] = [frames[0].copy() for _ in frames[1:]]
        for step, frame in enumerate(frames):
            frame[10:20, 5 + 4 * step : 15 + 4 * step] = 255
        rule = MotionRule((8, 12), threshold, 0.05, 100)
        draws = draw_clips(3, "train", np.arange(80), rule.tries)
        rules = set()
        for row in range(80):
            choice = draws.choose(row, frames, rule)
            top, left, tried, motion = self.reference(
                frames, draws.tops[row], draws.lefts[row], draws.chance[row], rule
            )
            assert (choice.top, choice.left, choice.tried) == (top, left, tried)
            assert choice.motion == pytest.approx(motion, abs=1e-6)
            rules.add(choice.rule)
        assert rules == {"chance", "gave-up"} if threshold == 1e9 else {"chance", "motion"} <= rules

    def test_one_in_twenty_is_kept_by_chance_and_places_are_uniform(self):
        draws = draw_clips(0, "train", np.arange(40_000), 3)
        assert np.mean(draws.chance < 0.05) == pytest.approx(0.05, abs=0.005)
        for values in (draws.source, draws.start, draws.tops[:, 0], draws.lefts[:, 2]):
            np.testing.assert_allclose(np.histogram(values, 10, (0, 1))[0], 4000, rtol=0.08)
        assert abs(np.corrcoef(draws.tops[:, 0], draws.lefts[:, 0])[0, 1]) < 0.02

    def test_a_clip_depends_on_its_own_index_alone(self):
        every, some = draw_clips(5, "val", np.arange(100), 4), draw_clips(5, "val", np.array([97, 3]), 4)
        np.testing.assert_array_equal(every.tops[[97, 3]], some.tops)
        assert (draw_clips(6, "val", np.arange(100), 4).start != every.start).all()
        assert (draw_clips(5, "test", np.arange(100), 4).start != every.start).all()

    def test_the_first_crop_is_kept_by_chance_though_nothing_moves(self):
        still = [np.zeros((20, 20, 1), np.uint8)] * 3
        places = np.full(100, 0.5)
        assert choose_crop(still, places, places, 0.049, RULE).rule == "chance"
        gave_up = choose_crop(still, places, places, 0.05, RULE)
        assert (gave_up.rule, gave_up.tried, gave_up.motion) == ("gave-up", 100, 0.0)


class TestClips:
    def test_each_clip_is_cut_where_its_note_says(self, sources, unbroken):
        checked = 0
        for shard in sorted(unbroken.glob("*.tar")):
            with tarfile.open(shard) as tar:
                names = tar.getnames()
                for npy, note in zip(names[::2], names[1::2], strict=True):
                    clip = array(tar, npy)
                    said = json.load(tar.extractfile(note))
                    source, _ = read_video(sources / said["source"], said["start"], 5, color="rgb")
                    rows = slice(said["top"], said["top"] + 16)
                    columns = slice(said["left"], said["left"] + 20)
                    np.testing.assert_array_equal(clip, source[:, :, rows, columns].numpy())
                    assert npy == note.replace(".json", ".npy")
                    assert (said["rule"] == "motion") <= (said["motion"] > SMALL.threshold)
                    checked += 1
        assert checked == 64

    def test_splits_share_no_source(self, unbroken):
        clips = open_data(DataConfig(name=str(unbroken), context=3, horizon=2))
        names = {s: {clips.source(s, i) for i in range(clips.count(s))} for s in ("train", "val", "test")}
        assert [clips.count(s) for s in names] == [50, 7, 7]
        assert not names["train"] & names["val"] | names["train"] & names["test"] | names["val"] & names["test"]

    def test_folders_decide_the_split(self, sources, tmp_path):
        for split, source in (("Train", "array0.npy"), ("val", "gif2.gif"), ("test", "array3.npy")):
            (tmp_path / "data" / split).mkdir(parents=True)
            shutil.copy(sources / source, tmp_path / "data" / split / source)
        prepare(tmp_path / "data", tmp_path / "out", SMALL, workers=1, show=False)
        clips = open_data(DataConfig(name=str(tmp_path / "out"), context=3, horizon=2))
        assert [clips.source(s, 3) for s in ("train", "val", "test")] == [
            "Train/array0.npy", "val/gif2.gif", "test/array3.npy",
        ]  # fmt: skip

    def test_statistics_count_what_is_there(self, unbroken):
        manifest = json.loads((unbroken / "prepared.json").read_text())
        found = manifest["statistics"]["train"]
        assert sum(found["kept_by"].values()) == found["clips"] == 50
        assert sum(found["kept_by_motion_at_try"]) == found["kept_by"]["motion"]
        assert sum(found["motion"]["kept"]["counts"]) == 50
        with Image.open(unbroken / "motion.png") as picture:
            assert picture.width > 300

    def test_stride_and_one_source(self, sources, tmp_path):
        config = SMALL.model_copy(update={"stride": 2, "held_out": 2})
        prepare(sources / "array0.npy", tmp_path / "out", config, workers=1, show=False)
        source = np.load(sources / "array0.npy")
        ends = {"train": [], "val": [], "test": []}
        for shard in sorted((tmp_path / "out").glob("*.tar")):
            with tarfile.open(shard) as tar:
                for member in tar.getmembers()[::2]:
                    said = json.load(tar.extractfile(member.name.replace(".npy", ".json")))
                    clip = source[said["start"] : said["start"] + 9 : 2, said["top"] :, said["left"] :][:, :16, :20]
                    np.testing.assert_array_equal(array(tar, member), clip.transpose(0, 3, 1, 2))
                    ends[member.name.split("-")[0]].append(said["start"] + 8)
        assert max(ends["train"]) < 24 * 0.8  # by time: no frame of train is in val or test

    def test_sources_that_do_not_fit_are_named(self, sources, tmp_path):
        with pytest.raises(UserError, match="a clip needs 300"):
            prepare(sources, tmp_path / "out", SMALL.model_copy(update={"context": 298}), show=False)
        with pytest.raises(UserError, match="smaller than the crops of 64x64"):
            prepare(sources, tmp_path / "out", SMALL.model_copy(update={"size": (64, 64)}), show=False)
        assert not (tmp_path / "out").exists()


class TestSameBytes:
    @pytest.mark.parametrize(("workers", "memory"), [(3, 2.0), (1, 0.0), (2, 0.0004)])
    def test_whatever_the_workers_and_the_memory(self, sources, unbroken, tmp_path, workers, memory):
        """Held in memory, read in order from the files, or some of each."""
        prepare(sources, tmp_path / "clips", SMALL, workers=workers, memory=memory, show=False)
        assert digest(tmp_path / "clips") == digest(unbroken)

    def test_after_losing_and_cutting_shards(self, sources, unbroken, tmp_path):
        folder = tmp_path / "clips"
        shutil.copytree(unbroken, folder)
        (folder / "train-00002.tar").unlink()
        whole = (folder / "val-00000.tar").read_bytes()
        (folder / "val-00000.tar").write_bytes(whole[:1000])
        (folder / ".train-00003.tar.4711.tmp").write_bytes(whole[:700])
        manifest = json.loads((folder / "prepared.json").read_text())
        (folder / "prepared.json").write_text(json.dumps({**manifest, "complete": False, "statistics": {}}))
        prepare(sources, folder, SMALL, workers=2, show=False)
        assert digest(folder) == digest(unbroken)

    def test_a_finished_folder_is_left_alone(self, sources, unbroken):
        def times() -> dict[str, int]:
            return {f.name: f.stat().st_mtime_ns for f in unbroken.iterdir() if f.name != LOCK}

        before = times()
        prepare(sources, unbroken, SMALL, show=False)
        assert times() == before

    def test_other_settings_are_refused(self, sources, unbroken):
        with pytest.raises(UserError, match=r"tries was 30, not 31; give another folder"):
            prepare(sources, unbroken, SMALL.model_copy(update={"tries": 31}), show=False)

    def test_other_sources_are_refused(self, sources, unbroken, tmp_path):
        shutil.copytree(sources, tmp_path / "data")
        video = np.load(tmp_path / "data" / "array0.npy")
        video[5, 5, 5] ^= 1
        np.save(tmp_path / "data" / "array0.npy", video)
        with pytest.raises(UserError, match=r"source array0\.npy changed"):
            prepare(tmp_path / "data", unbroken, SMALL, show=False)

    def test_a_folder_with_something_else_is_left_alone(self, sources, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(UserError, match="does not hold prepared clips"):
            prepare(sources, tmp_path, SMALL, show=False)
        assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.slow
    def test_killed_twice_and_resumed(self, sources, tmp_path):
        """kill -9 of the whole program, twice, in the middle of its work."""
        words = ["--clips", "40000", "--held-out", "500", "--size", "16x20", "--threshold", "20"]
        words += ["--set", "prepare.shard=500"]

        def start(folder):
            command = [sys.executable, "-m", "nextframe", "prepare", str(sources), "-o", str(folder), *words]
            return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

        broken, whole = tmp_path / "broken", tmp_path / "whole"
        for enough in (5, 20):
            process = start(broken)
            deadline = time.monotonic() + 120
            while len(list(broken.glob("*.tar"))) < enough and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert enough <= len(list(broken.glob("*.tar"))) < 82
            assert not json.loads((broken / "prepared.json").read_text())["complete"]
        assert start(broken).wait() == start(whole).wait() == 0
        assert digest(broken) == digest(whole)


class TestReading:
    def config(self, folder, **fields):
        return DataConfig(**{"name": str(folder), "context": 3, "horizon": 2, **fields})

    def test_random_access_gives_the_clips_of_the_shards(self, unbroken):
        with_numbers = {}
        for shard in sorted(unbroken.glob("train-*.tar")):
            with tarfile.open(shard) as tar:
                for member in tar.getmembers()[::2]:
                    with_numbers[int(member.name[6:14])] = array(tar, member)
        clips = open_data(self.config(unbroken))
        wanted = np.array([49, 0, 17, 17, 8, 7])
        clip = clips.read("train", wanted)
        assert clip.context.shape == (6, 3, 3, 16, 20)
        assert clip.context.dtype == torch.uint8
        np.testing.assert_array_equal(clip.frames.numpy(), np.stack([with_numbers[i] for i in wanted]))

    def test_fewer_frames_than_stored(self, unbroken):
        whole = open_data(self.config(unbroken)).read("val", np.arange(7)).frames
        part = open_data(self.config(unbroken, context=1, horizon=1)).read("val", np.arange(7))
        assert torch.equal(part.frames, whole[:, :2])

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"context": 10}, "5 frames, not 10 [+] 2; ask for --context 3 --horizon 2"),
            ({"size": (32, 32)}, "size 16x20, not 32x32; give --size 16x20"),
            ({"stride": 2}, "stride 1, not 2; prepare them again with --set prepare.stride=2"),
            ({"color": "grey"}, "3 channels"),
            ({"options": {"digits": "mnist"}}, "digits"),
        ],
    )
    def test_what_they_do_not_have_is_said(self, unbroken, fields, says):
        with pytest.raises(UserError, match=says):
            open_data(self.config(unbroken, **fields))

    def test_a_missing_or_cut_shard_is_named(self, unbroken, tmp_path):
        shutil.copytree(unbroken, tmp_path / "clips")
        shard = tmp_path / "clips" / "train-00001.tar"
        shard.write_bytes(shard.read_bytes()[:-1])
        with pytest.raises(BadInputError, match=r"train-00001\.tar: the shard is truncated"):
            open_data(self.config(tmp_path / "clips"))

    def test_unfinished_clips_are_refused(self, unbroken, tmp_path):
        shutil.copytree(unbroken, tmp_path / "clips")
        manifest = json.loads((tmp_path / "clips" / "prepared.json").read_text())
        (tmp_path / "clips" / "prepared.json").write_text(json.dumps({**manifest, "complete": False}))
        with pytest.raises(UserError, match="not finished"):
            open_data(self.config(tmp_path / "clips"))
