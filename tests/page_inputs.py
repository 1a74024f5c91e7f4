"""What the commands of the pages read: small videos, folders, a run and a plugin under the names that pages use.

Nothing here knows a page. The names are taken from a command's own words, or from the strings of a Python block, and
what is not there yet is made.
"""

from __future__ import annotations

import ast
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import nextframe
from foreign_states import ST_LSTM, layered, recurrent, state_of
from nextframe.benchmark import TASKS, benchmark
from nextframe.core.plugins import load_plugin
from nextframe.data import DATASETS, DataConfig
from nextframe.models import MODELS
from nextframe.recipes import load_recipe
from nextframe.training import ModelSection, Recipe, TrainingConfig, override
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
    "rows": "rows",
    "check": "row",
    "earlier": "result",
    "checkpoint": "checkpoint",
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {  # runs/NAME that is not of `compact`: its recipe, made small
    "lstm": ("srivastava-mnist", {"model.hidden": [8], "data.options.digits": "embedded"}),
    "digits": ("mnist-latent", {"model.hidden": [8], "model.cache_clips": 8}),
}
RESULTS = {"a": "transfer-motion-digits", "b": "transfer-encoders"}  # two that can stand in one table


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
            return self.of_hugging_face(folder)
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

    def of_hugging_face(self, folder: Path) -> Path:
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
        if path.suffix == "" and ("FRAMES" in path.parts or path.name == "frames"):
            self.frames(path, 0, EPISODE)
        elif path.name == "videos":
            self.clips(path)
        else:
            shutil.copy(self.store / ("0.gif" if path.suffix == ".gif" else "0.mp4"), path)

    def ucf101(self, root: Path) -> None:
        """A small copy of UCF-101: two classes of three groups, each of which is a test list."""
        lists = root / "ucfTrainTestlist"
        lists.mkdir(parents=True)
        (lists / "classInd.txt").write_text("1 Archery\n2 YoYo\n")
        names = [f"{a}/v_{a}_g{g:02d}_c{c:02d}.avi" for a in ("Archery", "YoYo") for g in (1, 2, 3) for c in (1, 2)]
        for seed, name in enumerate(names):
            (root / "UCF-101" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.store / f"{seed % VIDEOS}.mp4", root / "UCF-101" / name)
        for number in ("01", "02", "03"):
            test = [name for name in names if f"_g{number}_" in name]
            train = [f"{name} {1 + name.startswith('YoYo')}" for name in names if name not in test]
            (lists / f"testlist{number}.txt").write_text("\n".join(test))
            (lists / f"trainlist{number}.txt").write_text("\n".join(train))

    def frames(self, folder: Path, seed: int, count: int) -> None:
        folder.mkdir(parents=True)
        for number, frame in enumerate(moving_squares(seed, count).permute(0, 2, 3, 1).numpy()):
            Image.fromarray(frame).save(folder / f"{number:04d}.png", compress_level=1)

    def run(self, folder: Path) -> None:
        if folder.name not in RUNS:
            shutil.copytree(self.trained, folder)
            return
        name, small = RUNS[folder.name]
        few = {"training.steps": 4, "training.batch": 2, "training.val_clips": 2}
        train_run(override(load_recipe(name), small | few), folder, show=False)

    def classes(self, folder: Path) -> None:
        """A folder of videos for each of two classes."""
        for name in ("jump", "run"):
            self.clips(folder / name)

    def rows(self, folder: Path) -> None:
        """The rows of the repository's results of the same name."""
        shutil.copytree(ROOT / "results" / folder.name, folder)

    def row(self, path: Path) -> None:
        """A row of the plugin's model on gifs/, as docs/benchmarks.md makes it; the model is then unknown again."""
        known = MODELS.names()
        self.provide("plugin", "my_model.py")
        self.provide("clips", "gifs")
        load_plugin("my_model.py")
        benchmark(TASKS.get("gif-next"), path.parent, data="gifs", models=[path.stem], budget={"steps": 2}, show=False)
        MODELS.keep(known)

    def result(self, path: Path) -> None:
        """A result of `nextframe transfer` in the repository."""
        shutil.copy(ROOT / "results" / f"{RESULTS[path.stem]}.json", path)

    def checkpoint(self, path: Path) -> None:
        """What Keras saved, or weights by OpenSTL's names: of PredRNN, or of PredFormer where the name says no more."""
        if path.suffix == ".keras":
            with tarfile.open(ROOT / "tests" / "fixtures" / "keras.tar.xz") as archive:
                stored = archive.extractfile("convlstm.keras")
                assert stored is not None
                path.write_bytes(stored.read())
        elif path.stem == "checkpoint":
            torch.save(layered(), path)
        else:  # of grey frames, in patches of 4
            state = state_of(recurrent(ST_LSTM, folded=16))
            lightning = {"state_dict": state, "hyper_parameters": {"patch_size": 4}}
            torch.save(lightning if path.suffix == ".ckpt" else state, path)

    def plugin(self, path: Path) -> None:
        """The worked example of CONTRIBUTING.md as `my-blend`, as docs/benchmarks.md tells its readers."""
        example = next(block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python")
        path.write_text(f'{example}\n\nfrom nextframe.models import MODELS\n\nMODELS.add("my-blend", Blend)\n')


def for_command(inputs: Inputs, verb: str, values: dict[str, Any]) -> None:
    """Make what a command reads; `values` are its parameters by name, as typer has read them."""
    for name, value in values.items():
        kind = READ.get(name)
        if kind is None or isinstance(value, bool) or (verb == "benchmark" and kind == "run"):
            continue
        for word in value if isinstance(value, (list, tuple)) else str(value or "").split(","):
            a_name = str(word) in DATASETS or (kind == "run" and not str(word).startswith("runs/"))
            if not a_name:
                inputs.provide(_kind(verb, values) if kind == "video" else kind, str(word))


def _kind(verb: str, values: dict[str, Any]) -> str:
    """Return what a source is: a video, or for the verbs that read many, a folder of them."""
    if verb == "extract-features":
        return "classes" if values["classes"] else "clips"
    return "clips" if verb == "data" else "video"


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
