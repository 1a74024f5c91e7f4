"""A yellow disc goes through a drawn maze: does `multiscale-gan` take the corner, and keep the colour?

    python bench/maze_corners.py --minutes 10 7

In each clip a corridor is drawn through a maze of its own, on a grid of 3x3 places; it never branches, so that where it
turns the disc must turn. The disc goes two pixels a frame and shuts and opens its mouth. Four frames are read, seven
predicted. The generator is trained without an adversary, first one frame ahead, then from those weights four frames
ahead, each from its own (`unroll`). Measured on clips that are not among those of the training (a grid of 3x3 has few
mazes, so these were seen there, with the disc elsewhere), at each of the seven frames, for all clips and for corners
(the disc goes straight in the context and is at the end at least four pixels beside that line):

- `followed`: in how many clips there is yellow, and its middle is at most two pixels from the disc's;
- `levels`: how far the eight most yellow pixels are from yellow; the corridor's are 255 from it.

It writes the results file, and an image of three corners.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from nextframe import clips as clips_of
from nextframe import fit
from nextframe.checkpoint import create_model, resolve_model
from nextframe.core.files.whole_file import write_whole
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.evaluation import run_facts
from nextframe.evaluation.run_facts import command_line
from nextframe.prediction.shown.panels import comparison_strip

CONTEXT, HORIZON, SIDE = 4, 7, 24
GRID, PITCH, FIRST, PACE = 3, 8, 4, 2  # places in a row, pixels from one to the next, of the first, a frame
WALL, FLOOR, YELLOW = (228, 111, 111), (0, 28, 136), (255, 220, 0)
NEAR, ENOUGH, NEAREST = 90, 4, 8  # levels; pixels that are a disc; pixels of which `levels` is the mean
CORNER, PLACE = 4.0, 2.0  # pixels
COMMON = {"training.val_every": 100_000, "training.log_every": 50, "training.precision": "32",
          "training.schedule": "cosine", "training.ema": 0.995, "training.grad_clip": 1.0}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {"one ahead": {"g_lr": 1e-3}, "four ahead": {"unroll": 4}}
Points = NDArray[np.float64]  # (T, 2): row and column


def main() -> None:
    """Train what is not there yet, measure, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/maze-corners"), help="the runs")
    parser.add_argument("--minutes", type=float, nargs=len(RUNS), default=(10, 7), help="of each run")
    parser.add_argument("--clips", type=int, default=4000, help="to train on")
    parser.add_argument("--test-clips", type=int, default=100)
    parser.add_argument("--json", type=Path, default=Path("results/maze-corners.json"))
    parser.add_argument("--image", type=Path, default=Path("docs/media/maze-corners.png"))
    given = parser.parse_args()
    started = time.monotonic()
    trained = train_all(given.work, given.minutes, given.clips)
    models = {"copy-last": "copy-last", "flow": "flow"} | {name: str(folder_of(given.work, name)) for name in RUNS}
    frames, paths = unseen(given.test_clips, given.clips)
    corner = np.array([is_corner(path) for path in paths])
    rows = {name: of_model(model, frames, paths, corner) for name, model in models.items()}
    table = {"clips": {"corner": int(corner.sum()), "all": len(corner)}, "models": rows}
    facts = run_facts("python bench/" + command_line(), 0, started) | {"training": trained}
    write_whole(given.json, json.dumps(table | {"run": facts}, indent=1) + "\n")
    draw(given.image, frames[corner][:3], models["four ahead"])


def folder_of(work: Path, name: str) -> Path:
    """Return the folder of a run."""
    return work / name.replace(" ", "-")


def drawn(split: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return clips (N, T, SIDE, SIDE, 3), and the disc's middle (N, T, 2) in each frame."""
    made = [clip(numpy_generator("maze", split, number)) for number in range(count)]
    return np.stack([frames for frames, _ in made]), np.stack([path for _, path in made])


def unseen(count: int, trained: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return `count` clips that are none of the first `trained` ones of the training, as `drawn` does."""
    known = {frames.tobytes() for frames in drawn("train", trained)[0]}
    made: list[tuple[NDArray[np.uint8], Points]] = []
    number = 0
    while len(made) < count:
        frames, path = clip(numpy_generator("maze", "test", number))
        if frames.tobytes() not in known:
            made.append((frames, path))
        number += 1
    return np.stack([frames for frames, _ in made]), np.stack([path for _, path in made])


def clip(random: np.random.Generator) -> tuple[NDArray[np.uint8], Points]:
    """Return one clip (T, SIDE, SIDE, 3) and where the disc is in each frame."""
    frames = CONTEXT + HORIZON
    while len(places := walk(random)) < (frames - 1) * PACE // PITCH + 2:
        pass
    maze = np.full((SIDE, SIDE, 3), WALL, np.uint8)
    for row, column in along(places, 1):
        maze[int(row) - 3 : int(row) + 3, int(column) - 3 : int(column) + 3] = FLOOR
    every = list(along(places, PACE))
    first = int(random.integers(len(every) - frames + 1))
    path = np.array(every[first : first + frames])
    return np.stack([with_disc(maze, path, time_, first) for time_ in range(frames)]), path


def walk(random: np.random.Generator) -> list[tuple[int, int]]:
    """Return places of the grid, each beside the one before and none twice, until there is no way on."""
    here = (int(random.integers(GRID)), int(random.integers(GRID)))
    places = [here]
    while ways := [way for way in ((here[0] + a, here[1] + b) for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0)))
                   if way not in places and min(way) >= 0 and max(way) < GRID]:  # fmt: skip
        here = ways[int(random.integers(len(ways)))]
        places.append(here)
    return places


def along(places: Sequence[tuple[int, int]], pace: int) -> Iterator[tuple[float, float]]:
    """Yield the points of a walk, `pace` pixels apart."""
    points = [(FIRST + PITCH * row, FIRST + PITCH * column) for row, column in places]
    for (row, column), (row_, column_) in pairwise(points):
        for part in range(0, PITCH, pace):
            yield row + (row_ - row) * part / PITCH, column + (column_ - column) * part / PITCH
    yield points[-1]


def with_disc(maze: NDArray[np.uint8], path: Points, time_: int, first: int) -> NDArray[np.uint8]:
    """Return the maze with the disc, its mouth towards where it goes, open in every other pair of frames."""
    step = path[min(time_ + 1, len(path) - 1)] - path[min(time_, len(path) - 2)]
    rows, columns = np.indices((SIDE, SIDE)) + 0.5
    away = np.stack([rows - path[time_][0], columns - path[time_][1]])
    disc = np.hypot(*away) <= 2.6
    if (first + time_) // 2 % 2:
        ahead, beside = np.tensordot(step / PACE, away, 1), np.abs(np.tensordot(step[::-1] / PACE, away, 1))
        disc &= ~((ahead > 0.4) & (beside < 0.8))
    return np.where(disc[..., None], np.array(YELLOW, np.uint8), maze)


def is_corner(path: Points) -> bool:
    """Return whether the disc goes straight in the context and ends beside that line."""
    before, after = path[CONTEXT - 1] - path[0], path[-1] - path[CONTEXT - 1]
    axis = int(np.abs(before).argmax())
    return bool(before[1 - axis] == 0 and abs(after[1 - axis]) >= CORNER)


def train_all(work: Path, minutes: Sequence[float], count: int) -> dict[str, Any]:
    """Train every run that is not there, each from the one before; return what each took."""
    data, before, took = None, None, {}
    for (name, fields), limit in zip(RUNS.items(), minutes, strict=True):
        folder = folder_of(work, name)
        if not (folder / "took.json").exists():
            data = data or (tensors("train", count), tensors("val", 64))
            busy = time.process_time()
            shown = clips_of(data[0], CONTEXT, HORIZON, val=data[1], test=data[1], name="maze")
            net = create_model("multiscale-gan", context=CONTEXT, width=8, adversarial_weight=0.0, **fields)
            if before is not None:
                net.load_state_dict(resolve_model(str(before)).state_dict())
            run = fit(net, shown, minutes=limit, batch=8, seed=0, settings=COMMON, folder=folder)
            facts = {"steps": run.losses[-1]["step"], "processor seconds": round(time.process_time() - busy)}
            write_whole(folder / "took.json", json.dumps(facts))
        took[name] = json.loads((folder / "took.json").read_text())
        before = folder
    return took


def tensors(split: str, count: int) -> torch.Tensor:
    """Return clips as a tensor (N, T, 3, SIDE, SIDE)."""
    return torch.from_numpy(drawn(split, count)[0]).permute(0, 1, 4, 2, 3)


def of_model(
    model: str, frames: NDArray[np.uint8], paths: NDArray[np.float64], corner: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return `followed` and `levels` at each step, for corners and for all clips."""
    net = resolve_model(model).eval()
    context = torch.from_numpy(frames[:, :CONTEXT]).permute(0, 1, 4, 2, 3).float() / 255
    guess = torch.cat([net.predict(part, HORIZON) for part in context.split(50)]).numpy() * 255
    gap = np.abs(guess - np.array(YELLOW)[:, None, None]).max(2)  # (N, T, H, W)
    there = np.array([[followed(g, place) for g, place in zip(gaps, path[CONTEXT:], strict=True)]
                      for gaps, path in zip(gap, paths, strict=True)])  # fmt: skip
    levels = np.sort(gap.reshape(*gap.shape[:2], -1), axis=2)[:, :, :NEAREST].mean(2)
    kinds = {"corner": corner, "all": np.ones_like(corner)}
    return {kind: {"followed": there[some].mean(0).round(3).tolist(), "levels": levels[some].mean(0).round(1).tolist()}
            for kind, some in kinds.items()}  # fmt: skip


def followed(gap: NDArray[np.float64], place: Points) -> bool:
    """Return whether enough pixels are yellow, and their middle is where the disc is."""
    where = np.argwhere(gap < NEAR) + 0.5
    return len(where) >= ENOUGH and bool(np.abs(where.mean(0) - place).max() <= PLACE)


def draw(path: Path, frames: NDArray[np.uint8], model: str) -> None:
    """Write clips under one another: context, truth, prediction."""
    net = resolve_model(model).eval()
    strips = []
    for shown in torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 255:
        guess = {"multiscale-gan": net.predict(shown[None, :CONTEXT], HORIZON)[0]}
        strips.append(comparison_strip(shown[:CONTEXT], shown[CONTEXT:], guess))
    Image.fromarray(torch.cat(strips, dim=1).permute(1, 2, 0).numpy()).quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
