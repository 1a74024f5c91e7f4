"""What the commands of the pages read: small videos, folders, a run and a plugin under the names that pages use.

Nothing here knows a page. The names are taken from a command's own words, or from the strings of a Python block, and
what is not there yet is made.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import nextframe
from nextframe.data import DATASETS, DataConfig
from nextframe.training import ModelSection, Recipe, TrainingConfig
from nextframe.training import train as train_run
from pages import ROOT, blocks
from recordings import Recording

VIDEOS, FRAMES, EPISODE, SIDE = 6, 64, 310, 64
# Parameters of the verbs that name what is read, and what that is. A run may stand in a list.
READ = {
    "data": "clips",
    "path": "clips",
    "source": "video",
    "sources": "video",
    "clip": "video",
    "plugin": "plugin",
    "model": "run",
    "models": "run",
    "run": "run",
    "root": "ucf101",
}


def moving_squares(seed: int, frames: int = FRAMES) -> torch.Tensor:
    """A bright square that bounces over a dark ramp: uint8 (T, 3, SIDE, SIDE)."""
    random = np.random.default_rng(seed)
    video = np.empty((frames, SIDE, SIDE, 3), np.uint8)
    video[:] = np.linspace(0, 80, SIDE, dtype=np.uint8)[None, :, None, None]
    start, speed, color = random.uniform(0, 40, 2), random.uniform(1.5, 3, 2), random.integers(150, 255, 3)
    for time, frame in enumerate(video):
        top, left = (40 - abs((start + speed * time) % 80 - 40)).astype(int)
        frame[top : top + 16, left : left + 16] = color
    return torch.from_numpy(video).permute(0, 3, 1, 2)


class Inputs:
    """Makes inputs in a page's folder; what costs time is made once, in `store`, and copied."""

    def __init__(self, store: Path) -> None:
        self.store = store
        for seed in range(VIDEOS):
            for ending in (".mp4", ".gif"):
                nextframe.write_video(store / f"{seed}{ending}", moving_squares(seed), 10)

    @property
    def trained(self) -> Path:
        """A run of a few steps, on the videos of the store."""
        folder = self.store / "run"
        if not folder.exists():
            recipe = Recipe(
                model=ModelSection(name="compact", fields={"width": 8, "blocks": 1}),
                data=DataConfig(name=str(self.clips(self.store / "my_videos")), context=10, horizon=10, size=(32, 32)),
                training=TrainingConfig(steps=2, batch=2, val_clips=2, precision="32"),
            )
            train_run(recipe, folder, show=False)
        return folder

    def provide(self, kind: str, name: str) -> None:
        """Make `name`, a path below the folder where we are, unless it is there."""
        if name and not Path(name).exists():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            getattr(self, kind)(Path(name))

    def clips(self, folder: Path) -> Path:
        """A folder of videos; of GIFs if its name says so; FRAMES: of folders of frames; cells: of stacks of pages.

        pushes is a LeRobot folder, rows one of Hugging Face datasets.
        """
        if folder.name == "pushes":
            cameras = "observation.images.top", "observation.images.wrist"
            return Recording((24,) * VIDEOS, cameras).write(folder, "v3.0")
        if folder.name == "rows":
            return self.rows(folder)
        folder.mkdir(parents=True)
        if folder.name == "FRAMES":
            for number in range(VIDEOS):
                self.frames(folder / ("test" if number > 3 else "train") / f"{number:04d}", number, 20)
        elif folder.name == "cells":
            for seed in range(VIDEOS):
                self.stack(folder / f"{seed}.tif", seed)
        else:
            ending = ".gif" if "gif" in folder.name else ".mp4"
            for seed in range(VIDEOS):
                shutil.copy(self.store / f"{seed}{ending}", folder / f"clip{seed}{ending}")
        return folder

    def rows(self, folder: Path) -> Path:
        import datasets

        videos = datasets.Dataset.from_dict({"video": [str(self.store / f"{seed}.mp4") for seed in range(VIDEOS)]})
        videos.cast_column("video", datasets.Video()).save_to_disk(str(folder))
        return folder

    def stack(self, path: Path, seed: int) -> None:
        """A TIFF whose pages are frames of 12 bits in 16."""
        first, *others = (Image.fromarray(frame.astype(np.uint16) * 16) for frame in moving_squares(seed)[:, 0].numpy())
        first.save(path, save_all=True, append_images=others)

    def video(self, path: Path) -> None:
        """A video, a folder of them, or a folder of frames."""
        if path.suffix == "" and "FRAMES" in path.parts:
            self.frames(path, 0, EPISODE)
        elif path.name in ("videos", "frames"):
            self.clips(path) if path.name == "videos" else self.frames(path, 0, 20)
        else:
            shutil.copy(self.store / ("0.gif" if path.suffix == ".gif" else "0.mp4"), path)

    def ucf101(self, root: Path) -> None:
        """A small copy of UCF-101: two classes of three groups, the first of which is the first test list."""
        lists = root / "ucfTrainTestlist"
        lists.mkdir(parents=True)
        (lists / "classInd.txt").write_text("1 Archery\n2 YoYo\n")
        names = [f"{a}/v_{a}_g{g:02d}_c{c:02d}.avi" for a in ("Archery", "YoYo") for g in (1, 2, 3) for c in (1, 2)]
        for seed, name in enumerate(names):
            (root / "UCF-101" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.store / f"{seed % VIDEOS}.mp4", root / "UCF-101" / name)
        test = [name for name in names if "_g01_" in name]
        train = [f"{name} {1 + name.startswith('YoYo')}" for name in names if name not in test]
        (lists / "testlist01.txt").write_text("\n".join(test))
        (lists / "trainlist01.txt").write_text("\n".join(train))

    def frames(self, folder: Path, seed: int, count: int) -> None:
        folder.mkdir(parents=True)
        for number, frame in enumerate(moving_squares(seed, count).permute(0, 2, 3, 1).numpy()):
            Image.fromarray(frame).save(folder / f"{number:04d}.png", compress_level=1)

    def run(self, folder: Path) -> None:
        shutil.copytree(self.trained, folder)

    def plugin(self, path: Path) -> None:
        """The worked example of CONTRIBUTING.md as `my-blend`, as docs/benchmarks.md tells its readers."""
        example = next(block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python")
        path.write_text(f'{example}\n\nfrom nextframe.models import MODELS\n\nMODELS.add("my-blend", Blend)\n')


def for_command(inputs: Inputs, verb: str, values: dict[str, Any]) -> None:
    """Make what a command reads; `values` are its parameters by name, as typer has read them."""
    for name, value in values.items():
        kind = READ.get(name)
        if kind is None or (verb == "benchmark" and kind == "run"):
            continue
        for word in value if isinstance(value, (list, tuple)) else str(value or "").split(","):
            a_name = str(word) in DATASETS or (kind == "run" and not str(word).startswith("runs/"))
            if not a_name:
                inputs.provide("clips" if verb == "data" and kind == "video" else kind, str(word))


def for_python(inputs: Inputs, code: str) -> None:
    """Make what the strings of a Python block name: x.mp4 and x.gif, folder/, runs/x."""
    for node in ast.walk(ast.parse(code)):
        word = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if word.startswith("runs/"):
            inputs.provide("run", word)
        elif word.endswith((".mp4", ".gif")):
            inputs.provide("video", word)
        elif word.endswith("/"):
            inputs.provide("clips", word)
