"""Which episodes a LeRobot data set has: how long each is, and which stretch of which files holds it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextframe.core.errors import BadInputError, cut, shown
from nextframe.data.lerobot.info import INFO, ONE_EACH, Info
from nextframe.data.lerobot.tables import read_table

LIST = Path("meta", "episodes.jsonl")  # of the versions with a file for each episode
TABLES = Path("meta", "episodes")  # of the others


@dataclass(frozen=True)
class Episode:
    """Rows of a table, and the frames of a video from second `begins` to `ends` (not included)."""

    number: int
    length: int
    table: Path
    video: Path
    begins: float = 0.0
    ends: float = math.inf

    @property
    def name(self) -> str:
        """The name of the source."""
        return f"episode_{self.number:06d}"


def list_episodes(root: Path, info: Info, camera: str) -> list[Episode]:
    """Return the episodes of the data set at `root` as `camera` saw them, by their numbers.

    Raises:
        BadInputError: a file that is missing or cannot be read, an entry that it lacks, or no episode at all.
    """
    one_each = info.codebase_version in ONE_EACH
    found = _of_list(root, info, camera) if one_each else _of_tables(root, info, camera)
    place = root / (LIST if one_each else TABLES)
    if not found:
        raise BadInputError(place, "lists no episode")
    found.sort(key=lambda episode: episode.number)
    for one, next_one in itertools.pairwise(found):
        if one.number == next_one.number:
            raise BadInputError(place, f"lists episode {one.number} twice")
    return found


def _of_list(root: Path, info: Info, camera: str) -> list[Episode]:
    """Return the episodes of `meta/episodes.jsonl`, whose files are named by their numbers."""
    file = root / LIST
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(file, f"cannot be read ({str(error).splitlines()[0]})") from None
    return [_of_line(root, info, camera, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _of_line(root: Path, info: Info, camera: str, line: int, text: str) -> Episode:
    try:
        row = json.loads(text)
        number, length = int(row["episode_index"]), int(row["length"])
    except (ValueError, KeyError, TypeError):
        what = f"line {line} is not JSON with the numbers episode_index and length: {shown(text)}"
        raise BadInputError(root / LIST, what) from None
    values = {"episode_chunk": number // info.chunks_size, "episode_index": number, "video_key": camera}
    return Episode(number, length, *_files(root, info, values, values))


def _of_tables(root: Path, info: Info, camera: str) -> list[Episode]:
    """Return the episodes of the tables in `meta/episodes`, which say where each one stands in its files."""
    video = f"videos/{camera}/"
    places = {name: (f"data/{name}", f"{video}{name}") for name in ("chunk_index", "file_index")}
    spans = [f"{video}from_timestamp", f"{video}to_timestamp"]
    columns = ["episode_index", "length", *(column for both in places.values() for column in both), *spans]
    files = sorted((root / TABLES).glob("*/*.parquet"))
    rows = [row for file in files for row in read_table(file, columns).to_pylist()]
    if any(value is None for row in rows for value in row.values()):
        raise BadInputError(
            root / TABLES, "an episode has no value in one of its columns", "record or convert it again"
        )
    found = []
    for row in rows:
        data, seen = ({name: int(row[both[side]]) for name, both in places.items()} for side in (0, 1))
        files_of = _files(root, info, data, {**seen, "video_key": camera})
        begins, ends = (float(row[name]) for name in spans)
        found.append(Episode(int(row["episode_index"]), int(row["length"]), *files_of, begins, ends))
    return found


def _files(root: Path, info: Info, data: Mapping[str, Any], video: Mapping[str, Any]) -> tuple[Path, Path]:
    """Return the table and the video that the templates of `meta/info.json` name."""
    return _filled(root, "data_path", info.data_path, data), _filled(root, "video_path", info.video_path or "", video)


def _filled(root: Path, entry: str, template: str, values: Mapping[str, Any]) -> Path:
    try:
        path = Path(template.format(**values))
    except (KeyError, IndexError, ValueError, AttributeError):
        path = Path()
    if path == Path() or path.is_absolute() or ".." in path.parts:
        fields = ", ".join(f"{{{name}}}" for name in values)
        fix = f"it is a path inside the folder, with {fields}"
        raise BadInputError(root / INFO, f"its entry '{entry}' is '{cut(template)}'", fix)
    return root / path
