"""Does Ms. Pac-Man take a corner in a prediction, and does she keep her colour over seven frames?

    python bench/mspacman_corners.py FRAMES --work runs/mspacman-corners --minutes 8 14 13

trains and measures the generator without an adversary three times, each run beginning with the weights of the one
before: one frame ahead; seven frames ahead, each from its own; and the same with absolute differences from 0.02 of the
range on, not 0.2, for the most likely frame instead of the mean one. A run that is there is not trained again.

FRAMES are the episodes that `bench/mspacman_gan.py` unpacks. Clips are crops of 48x48 (64x64 where models are measured)
with her in the middle of the last of four context frames; seven follow. She is found by her colour, which nothing else
in the maze has. A clip is a corner if she went straight in the context and stands at least six pixels beside that line
seven frames later. Measured on the test episodes, for corners and for clips in which she goes straight on:

- `followed`: in how many clips her colour stands, in the last frame, at most six pixels from where she is
  (at least eight pixels within 30 levels of her colour, and their mean position);
- `found`: of her pixels off the line of the context, the share that is within 30 levels of her colour;
- `levels`: how far the fifteen pixels nearest to her colour are from it. Walls are 53 from it, so 53 is gone.

`players` stands for no model: it is how often in the other episodes she turned to the same side where she came to the
same place in the same direction, which is as much as the place alone can tell. `--baselines` trains nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nextframe import clips as clips_of
from nextframe import fit
from nextframe.checkpoint import create_model, resolve_model
from nextframe.core.files.whole_file import write_whole
from nextframe.data import ClipSet
from nextframe.evaluation import run_facts
from nextframe.evaluation.run_facts import command_line
from nextframe.prediction.shown.panels import comparison_strip

CONTEXT, HORIZON = 4, 7
MAZE = 171  # rows above the lives and the score
HER = np.array((210, 164, 74))
NEAR, ENOUGH, NEAREST = 30, 8, 15  # levels; pixels that are a figure; pixels of which `levels` is the mean
PLACE = 6.0  # pixels: this near is where she is, and this far beside the line is round the corner
COMMON = {"training.val_every": 100_000, "training.log_every": 25, "training.precision": "32",
          "training.schedule": "cosine", "training.ema": 0.995, "training.grad_clip": 1.0,
          "training.clock": "processor"}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "one ahead": {},
    "seven ahead": {"unroll": HORIZON},
    "seven ahead, absolute": {"unroll": HORIZON, "smooth": 0.02},
}
Paths = NDArray[np.float64]  # (T, 2): row and column of her middle, nan where she is not seen


@dataclass(frozen=True)
class Moment:
    """The last context frame of a clip: of which episode, and how she moves before and after it."""

    episode: int
    frame: int
    heading: tuple[int, int]  # (axis, sign)
    aside: float  # pixels beside the line of the context, seven frames later, to the right or down
    corner: bool


def main() -> None:
    """Train what is not there yet, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, help="the unpacked episodes, train, val and test")
    parser.add_argument("--work", type=Path, default=Path("runs/mspacman-corners"), help="everything but the results")
    parser.add_argument("--minutes", type=float, nargs=len(RUNS), default=(8, 14, 13), help="processor time each")
    parser.add_argument("--baselines", action="store_true", help="train nothing: measure the baselines alone")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--clips", type=int, default=40, help="corners, and straight lines, that are measured")
    parser.add_argument("--json", type=Path, default=Path("results/mspacman-corners.json"))
    given = parser.parse_args()
    started = time.monotonic()
    trained = {} if given.baselines else train_all(given.frames, given.work, given.minutes, given.batch)
    table = measure(given.frames, given.work, list(trained), given.clips)
    facts = run_facts("python bench/" + command_line(), 0, started) | {"training": trained}
    write_whole(given.json, json.dumps(table | {"run": facts}, indent=1) + "\n")


def episodes(folder: Path) -> list[NDArray[np.uint8]]:
    """Return the frames (T, rows, W, 3) of each episode in a folder, the maze alone."""
    return [
        np.stack([np.asarray(Image.open(path).convert("RGB"))[:MAZE] for path in sorted(episode.glob("*.png"))])
        for episode in sorted(folder.iterdir())
    ]


def path_of(frames: NDArray[np.uint8]) -> Paths:
    """Return the middle of the box around her in each frame."""
    found = np.full((len(frames), 2), np.nan)
    for time_, hers in enumerate(np.abs(frames.astype(np.int16) - HER).max(-1) < 1):
        rows, columns = np.nonzero(hers)
        if len(rows) >= 20:
            found[time_] = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    return found


def moments(paths: list[Paths]) -> list[Moment]:
    """Return every moment at which she has gone straight for four frames and then turns or goes on."""
    return [m for number, path in enumerate(paths) for t in range(CONTEXT - 1, len(path) - HORIZON)
            if (m := moment(path, number, t)) is not None]  # fmt: skip


def moment(path: Paths, episode: int, t: int) -> Moment | None:
    """Return the moment of one frame, or None where she stands, jumps, goes back or is not seen."""
    window = path[t - CONTEXT + 1 : t + HORIZON + 1]
    if np.isnan(window).any() or np.abs(np.diff(window, axis=0)).max() > 8:
        return None
    before, after = path[t] - path[t - CONTEXT + 1], path[t + HORIZON] - path[t]
    axis = int(np.abs(before).argmax())
    sign = int(np.sign(before[axis]))
    if abs(before[axis]) < 5 or abs(before[1 - axis]) > 3:
        return None
    corner = bool(abs(after[1 - axis]) >= PLACE)
    if not corner and after[axis] * sign < 12:
        return None
    return Moment(episode, t, (axis, sign), float(after[1 - axis]), corner)


def crop(frames: NDArray[np.uint8], path: Paths, t: int, side: int) -> tuple[Tensor, tuple[int, int]]:
    """Return the frames (T, 3, side, side) of the clip at t around her, and the crop's top and left."""
    top, left = (int(np.clip(round(path[t][i]) - side // 2, 0, frames.shape[i + 1] - side)) for i in (0, 1))
    cut = frames[t - CONTEXT + 1 : t + HORIZON + 1, top : top + side, left : left + side]
    return torch.from_numpy(cut.copy()).permute(0, 3, 1, 2), (top, left)


def train_all(frames: Path, work: Path, minutes: Sequence[float], batch: int) -> dict[str, Any]:
    """Train every run that is not there, each from the one before; return what each took."""
    data, before, took = None, None, {}
    for (name, fields), limit in zip(RUNS.items(), minutes, strict=True):
        folder = work / name.replace(" ", "-")
        if not (folder / "took.json").exists():
            data = data or clips(frames)
            net = create_model("multiscale-gan", context=CONTEXT, adversarial_weight=0.0, **fields)
            if before is not None:
                net.load_state_dict(resolve_model(str(before)).state_dict())
            busy = time.process_time()
            run = fit(net, data, minutes=limit, batch=batch, seed=0, settings=COMMON, folder=folder)
            facts = {"steps": run.losses[-1]["step"], "processor seconds": round(time.process_time() - busy)}
            write_whole(folder / "took.json", json.dumps(facts))
        took[name] = json.loads((folder / "took.json").read_text())
        before = folder
    return took


def clips(frames: Path) -> ClipSet:
    """Return the moments of the train episodes as clips, and those of val."""
    parts = {split: crops(frames / split, 48) for split in ("train", "val")}
    return clips_of(parts["train"], CONTEXT, HORIZON, val=parts["val"], test=parts["val"], name="mspacman-corners")


def crops(folder: Path, side: int) -> Tensor:
    """Return the crops (N, T, 3, side, side) of all moments in the episodes of a folder."""
    frames = episodes(folder)
    paths = [path_of(f) for f in frames]
    return torch.stack([crop(frames[m.episode], paths[m.episode], m.frame, side)[0] for m in moments(paths)])


def measure(folder: Path, work: Path, runs: list[str], limit: int) -> dict[str, Any]:
    """Return the table of the runs and of both baselines; images of some corners are written to `work`."""
    frames = episodes(folder / "test")
    paths = [path_of(f) for f in frames]
    found = moments(paths)
    kinds = {kind: evenly([m for m in found if m.corner == (kind == "corner")], limit)
             for kind in ("corner", "straight")}  # fmt: skip
    models = {"copy-last": "copy-last", "flow": "flow"} | {name: str(work / name.replace(" ", "-")) for name in runs}
    rows = {name: {kind: of_model(model, frames, paths, some) for kind, some in kinds.items()}
            for name, model in models.items()}  # fmt: skip
    others = [path_of(f) for split in ("train", "val") for f in episodes(folder / split)]
    draw(work / "images", models, frames, paths, evenly(kinds["corner"], 8))
    return {"clips": {kind: len(some) for kind, some in kinds.items()}, "models": rows,
            "players": players(kinds["corner"], paths, others)}  # fmt: skip


def evenly(some: list[Moment], limit: int) -> list[Moment]:
    """Return at most `limit` of them, evenly spaced."""
    return [some[i] for i in np.linspace(0, len(some) - 1, min(limit, len(some))).round().astype(int)]


def of_model(model: str, frames: list[NDArray[np.uint8]], paths: list[Paths], some: list[Moment]) -> dict[str, Any]:
    """Return what a model makes of her in these clips: `followed`, `found` and `levels`, as said above."""
    net = resolve_model(model).eval()
    followed, hers, both = 0, np.zeros(HORIZON), np.zeros(HORIZON)
    levels = np.zeros(HORIZON)
    for m in some:
        cut, corner = crop(frames[m.episode], paths[m.episode], m.frame, 64)
        guess = (net.predict(cut[None, :CONTEXT].float() / 255, HORIZON)[0] * 255).numpy()
        gap = np.abs(guess - HER[:, None, None]).max(1)  # (T, H, W)
        truth = np.abs(cut[CONTEXT:].numpy().astype(np.int16) - HER[:, None, None]).max(1) < 1
        places = paths[m.episode][m.frame : m.frame + HORIZON + 1] - corner
        followed += near(gap[-1] < NEAR, places[-1])
        off = off_line(truth.shape[1:], places[0], m.heading[0])
        hers += (truth & off).sum((1, 2))
        both += (truth & off & (gap < NEAR)).sum((1, 2))
        levels += np.sort(gap.reshape(HORIZON, -1), axis=1)[:, :NEAREST].mean(1)
    share = np.divide(both, hers, out=np.full(HORIZON, np.nan), where=hers > 50)
    return {"followed": followed / len(some), "found": [None if np.isnan(s) else round(float(s), 3) for s in share],
            "levels": (levels / len(some)).round(1).tolist()}  # fmt: skip


def near(painted: NDArray[np.bool_], place: NDArray[np.float64]) -> bool:
    """Return whether enough pixels have her colour, and their mean position is where she is."""
    where = np.argwhere(painted)
    return len(where) >= ENOUGH and bool(np.abs(where.mean(0) - place).max() <= PLACE)


def off_line(shape: tuple[int, ...], place: NDArray[np.float64], axis: int) -> NDArray[np.bool_]:
    """Return which pixels lie at least six beside the line along `axis` through `place`."""
    beside = np.abs(np.arange(shape[1 - axis]) - place[1 - axis]) >= PLACE
    return np.broadcast_to(beside[None, :] if axis == 0 else beside[:, None], shape)


def players(corners: list[Moment], paths: list[Paths], others: list[Paths]) -> dict[str, float]:
    """Return how often in other episodes she turned to the same side at the same place, coming the same way."""
    known = moments(others)
    places = np.array([others[m.episode][m.frame] for m in known])
    shares = []
    for m in corners:
        at = np.abs(places - paths[m.episode][m.frame]).max(1) <= 3
        came = [k for k, here in zip(known, at, strict=True) if here and k.heading == m.heading]
        if came:
            shares.append(sum(k.corner and k.aside * m.aside > 0 for k in came) / len(came))
    return {"corners seen before": len(shares), "same turn": round(float(np.mean(shares)), 3),
            "same turn by most": round(float(np.mean([s > 0.5 for s in shares])), 3)}  # fmt: skip


def draw(
    folder: Path, models: dict[str, str], frames: list[NDArray[np.uint8]], paths: list[Paths], some: list[Moment]
) -> None:
    """Write an image of each corner: the truth, and what each model predicts."""
    folder.mkdir(parents=True, exist_ok=True)
    for m in some:
        cut, _ = crop(frames[m.episode], paths[m.episode], m.frame, 64)
        given = cut[None, :CONTEXT].float() / 255
        rows = {name: resolve_model(model).eval().predict(given, HORIZON)[0] for name, model in models.items()}
        image = comparison_strip(given[0], cut[CONTEXT:].float() / 255, rows).permute(1, 2, 0).numpy()
        Image.fromarray(image).save(folder / f"{m.episode}-{m.frame}.png")


if __name__ == "__main__":
    main()
