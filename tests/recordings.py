"""Writes recordings in the published format of LeRobot, versions 2.1 and 3.0, by pyarrow and PyAV alone.

After `lerobot/datasets/utils.py` and `dataset_writer.py` of huggingface/lerobot: paths, columns and entries are theirs.
Videos are lossless, so that what is read can be compared bit by bit; episodes of a 3.0 file are joined without being
encoded again, as there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

FPS = 10
HEIGHT, WIDTH = 32, 48
PATHS = {
    "v2.1": (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    ),
    "v3.0": (
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    ),
}
Frames = NDArray[np.uint8]


class Recording:
    """Episodes of some lengths: frames (T, H, W, 3) of each camera, actions (T, 2) and states (T, 3)."""

    def __init__(self, lengths: Sequence[int], cameras: Sequence[str] = ("observation.images.top",)) -> None:
        random = np.random.default_rng(0)
        self.lengths, self.cameras = list(lengths), list(cameras)
        self.actions = [random.normal(size=(n, 2)).astype(np.float32) for n in lengths]
        self.states = [random.normal(size=(n, 3)).astype(np.float32) for n in lengths]
        self.frames = {camera: [frames_of(e, n, c) for e, n in enumerate(lengths)] for c, camera in enumerate(cameras)}

    def rows(self, episode: int, before: int) -> dict[str, list[Any]]:
        """The rows of an episode that has `before` rows of others before it."""
        count = self.lengths[episode]
        return {
            "action": self.actions[episode].tolist(),
            "observation.state": self.states[episode].tolist(),
            "timestamp": [np.float32(n / FPS) for n in range(count)],
            "frame_index": list(range(count)),
            "episode_index": [episode] * count,
            "index": list(range(before, before + count)),
            "task_index": [0] * count,
        }

    def info(self, version: str, **other: Any) -> dict[str, Any]:
        data_path, video_path = PATHS[version]
        video = {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": ["height", "width", "channels"]}
        one = {"shape": [1], "names": None}
        return {
            "codebase_version": version,
            "robot_type": "so100",
            "total_episodes": len(self.lengths),
            "total_frames": sum(self.lengths),
            "total_tasks": 1,
            "chunks_size": 1000,
            "fps": FPS,
            "splits": {"train": f"0:{len(self.lengths)}"},
            "data_path": data_path,
            "video_path": video_path,
            "features": {
                **dict.fromkeys(self.cameras, video),
                "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
                "observation.state": {"dtype": "float32", "shape": [3], "names": ["a", "b", "c"]},
                "timestamp": {"dtype": "float32", **one},
                **{name: {"dtype": "int64", **one} for name in ("frame_index", "episode_index", "index", "task_index")},
            },
            **other,
        }

    def write(self, root: Path, version: str, **info: Any) -> Path:
        """Write the whole folder; `info` are entries of info.json that differ."""
        (root / "meta").mkdir(parents=True)
        facts = self.info(version, **info)
        (root / "meta" / "info.json").write_text(json.dumps(facts, indent=4), encoding="utf-8")
        if version == "v2.1":
            self._write_one_each(root, *PATHS[version])
        else:
            self._write_joined(root, *PATHS[version])
        return root

    def _write_one_each(self, root: Path, data: str, video: str) -> None:
        lines = []
        for episode, count in enumerate(self.lengths):
            names = {"episode_chunk": 0, "episode_index": episode}
            write_table(root / data.format(**names), self.rows(episode, sum(self.lengths[:episode])))
            for camera in self.cameras:
                write_video(root / video.format(**names, video_key=camera), self.frames[camera][episode])
            lines.append(json.dumps({"episode_index": episode, "tasks": ["push"], "length": count}))
        (root / "meta" / "episodes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (root / "meta" / "tasks.jsonl").write_text('{"task_index": 0, "task": "push"}\n', encoding="utf-8")

    def _write_joined(self, root: Path, data: str, video: str, in_a_file: int = 2) -> None:
        """Two episodes in each file, of tables and of videos."""
        episodes: list[dict[str, Any]] = []
        for first in range(0, len(self.lengths), in_a_file):
            numbers = range(first, min(first + in_a_file, len(self.lengths)))
            place, joined, at = {"chunk_index": 0, "file_index": first // in_a_file}, {}, 0.0  # type: ignore[var-annotated]
            for episode in numbers:
                begins = sum(self.lengths[:episode])
                for name, values in self.rows(episode, begins).items():
                    joined.setdefault(name, []).extend(values)
                ends = at + self.lengths[episode] / FPS
                row = {"episode_index": episode, "tasks": ["push"], "length": self.lengths[episode]}
                row |= {f"data/{name}": value for name, value in place.items()}
                row |= {"dataset_from_index": begins, "dataset_to_index": begins + self.lengths[episode]}
                for camera in self.cameras:
                    row |= {f"videos/{camera}/{name}": value for name, value in place.items()}
                    row |= {f"videos/{camera}/from_timestamp": at, f"videos/{camera}/to_timestamp": ends}
                episodes.append(row)
                at = ends
            write_table(root / data.format(**place), joined)
            for camera in self.cameras:
                join_videos(root / video.format(**place, video_key=camera), [self.frames[camera][n] for n in numbers])
        columns = {name: [row[name] for row in episodes] for name in episodes[0]}
        write_table(root / "meta" / "episodes" / "chunk-000" / "file-000.parquet", columns)


def frames_of(episode: int, count: int, camera: int = 0) -> Frames:
    """Frames (T, H, W, 3) in which a bright square moves; the levels say which camera, episode and frame it is."""
    frames = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)
    for n, frame in enumerate(frames):
        frame[:] = (40 * camera + 10, 20 * episode + 5, 4 * n)
        frame[8:16, (3 * n) % 32 : (3 * n) % 32 + 8] = 250
    return frames


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = {name: arrow.array(values) for name, values in columns.items()}
    for name, values in table.items():
        if name == "timestamp" or (name == "action" and not arrow.types.is_list(values.type)):
            table[name] = values.cast(arrow.float32())
        elif name in ("action", "observation.state"):
            table[name] = values.cast(arrow.list_(arrow.float32()))
    parquet.write_table(arrow.table(table), path)


def write_video(path: Path, frames: Frames, every: int = 5, stamps: Sequence[int] | None = None) -> None:
    """Write a lossless mp4 in RGB, with B-frames and a key frame every few frames; `stamps` are in 1/100 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=FPS, options={"qp": "0", "g": str(every), "bf": "2"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        stream.codec_context.time_base = Fraction(1, 100)
        for frame, stamp in zip(frames, stamps or range(0, 10 * len(frames), 10), strict=True):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = stamp, Fraction(1, 100)
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def join_videos(path: Path, parts: Sequence[Frames]) -> None:
    """Write the parts one after another into one mp4: packets are copied, by FFmpeg's concat reader."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_name(f"part-{number}.mp4") for number in range(len(parts))]
    for file, frames in zip(files, parts, strict=True):
        write_video(file, frames)
    names = path.with_name("parts.ffconcat")
    names.write_text("ffconcat version 1.0\n" + "".join(f"file '{file.name}'\n" for file in files), encoding="utf-8")
    with (
        av.open(str(names), format="concat", options={"safe": "0"}) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    for file in (*files, names):
        file.unlink()
