"""The data set `moving-scenes`: layered scenes whose true flow is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nextframe.core.clip import Clip, Task
from nextframe.core.config import Config
from nextframe.core.device import sent
from nextframe.core.errors import UserError
from nextframe.data.clipset import ClipSet, DataConfig, Indices, Split, check_indices
from nextframe.data.sets.scenes import finish
from nextframe.data.sets.scenes.bank import bank_of, counts_of
from nextframe.data.sets.scenes.draws import Draws
from nextframe.data.sets.scenes.plan import Recording, Scene, draw_recording, draw_scene
from nextframe.data.sets.scenes.render import Renderer
from nextframe.data.sets.scenes.stills import stills_of

AT_ONCE = 2**24  # pixels of frames that a GPU draws together, of whole clips; a CPU is faster with one clip
SMALLEST = 16
INDEX = "scene"  # the extra of clips that are not drawn yet: their index


class MovingScenesConfig(Config):
    """Options of the data set `moving-scenes`."""

    stills: str | None = Field(
        None, description="a folder of images; null: patterns and scikit-learn's two sample photographs"
    )
    flows: int = Field(3, ge=1, description="how many frames the true flow goes back")
    val_clips: int = Field(200, ge=1, description="clips of the val split")
    test_clips: int = Field(200, ge=1, description="clips of the test split")
    seed: int = Field(0, ge=0, description="which endless stream train is; val and test are the same for every seed")


def open_moving_scenes(config: DataConfig, stills: Tensor | None = None) -> MovingScenes:
    """Return the clips; `config.options` are those of `MovingScenesConfig`.

    Args:
        config: which clips.
        stills: (M, 3, h, w) uint8, instead of a folder, see `stills_of`.

    Raises:
        UserError: a bad option, a folder of stills that cannot be used, or frames of less than 16x16.
    """
    return MovingScenes(config, MovingScenesConfig.parse(config.options, "options of moving-scenes"), stills)


class MovingScenes(ClipSet):
    """Stills and shapes in layers before a camera, drawn on the device; train is endless, val and test are fixed.

    Clips are what a file shows, with grain, compression, palettes and held frames. What is known beside is in extras:

    * `flow` (B, H', 2 K, H, W): from each target frame back to the K frames before it, oldest first, in pixels, x
      first. Between frames that show the same moment it is exactly 0. Before a cut, or before the first context frame,
      there is nothing to point to: there it is the flow to the first frame after the cut, or to the first frame, which
      is what `motion` reads in their place.
    * `clean` (B, H', C, H, W): the target as well as it can be known. It has no grain and none of the changes in
      compression from frame to frame, unless it repeats a context frame, whose grain is known. Fades, palettes, motion
      blur and the usual traces of compression belong to what is to be predicted. `target` has all of it.
    """

    name, fps = "moving-scenes", 25.0

    def __init__(self, config: DataConfig, options: MovingScenesConfig, stills: Tensor | None = None) -> None:
        height, width = config.size or (128, 128)
        if min(height, width) < SMALLEST:
            raise UserError(f"size {height}x{width} is too small for a scene; give at least {SMALLEST}x{SMALLEST}")
        if stills is not None and options.stills is not None:
            raise UserError("moving-scenes: give stills either as a folder or as a tensor")
        self.options, self.task, self.stride = options, config.task, config.stride
        self.frame_shape = (1 if config.color == "grey" else 3, height, width)
        self.stills = stills_of(options.stills if stills is None else stills)
        self._renderers: dict[tuple[Split, str], Renderer] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_renderers": {}}  # a loader's worker draws nothing

    def count(self, split: Split) -> int | None:
        """Return None for train, which is endless, else the number of fixed clips."""
        return {"train": None, "val": self.options.val_clips, "test": self.options.test_clips}[split]

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips that are not drawn yet: black frames, and their indices as the extra `scene`."""
        check_indices(self, split, indices)
        clip = self.task.not_drawn(len(indices), self.frame_shape)
        return replace(clip, extras={INDEX: torch.from_numpy(np.asarray(indices, np.int64))})

    def on_device(self, split: Split, clip: Clip, device: torch.device | str) -> Clip:
        """Return the clips drawn on `device`, with the extras `flow` and `clean`."""
        indices, device = clip.extras[INDEX].cpu().numpy(), torch.device(device)
        pixels = self.task.length * math.prod(self.frame_shape[1:])
        at_once = max(1, AT_ONCE // pixels) if device.type != "cpu" else 1
        parts = [indices[first : first + at_once] for first in range(0, len(indices), at_once)]
        return Clip.join([self.drawn(split, part, device) for part in parts])

    def drawn(self, split: Split, indices: Indices, device: torch.device) -> Clip:
        """Return clips `indices` drawn together on `device`; each is the same whichever others there are."""
        key = (self.name, split, self.options.seed if split == "train" else 0)
        draws, size = Draws(indices, *key), self.frame_shape[1:]
        renderer, counts = self._renderer(split, device), counts_of(self.stills[split])
        scene = draw_scene(draws, counts, size, renderer.frames)
        recording = draw_recording(draws, scene.kind, self.task, self.stride)
        frames = renderer.blurred(scene, recording.times, recording.shutter)
        if recording.cut.any():
            after = recording.cut > 0
            other = draw_scene(Draws(indices[after], *key, "before"), counts, size, renderer.frames)
            frames = before_cuts(
                frames, recording, renderer.blurred(other, recording.times[after], recording.shutter[after])
            )
        shown, clean = self._shown(frames, recording, indices, key)
        flow = self._flow(renderer, scene, recording)
        context = self.task.context
        extras = {"flow": flow, "clean": clean}
        return Clip(shown[:, :context], shown[:, context:], self.task.told(shown), extras)

    def _shown(
        self, frames: Tensor, recording: Recording, indices: Indices, key: tuple[str, Split, int]
    ) -> tuple[Tensor, Tensor]:
        """Return frames (B, T, C, H, W) as a file shows them, and the targets as well as they can be known."""
        context = self.task.context
        images = finish.lit(frames, recording)
        noisy = finish.compressed(finish.grained(images, recording, indices, *key), recording.quantiser)
        usual = np.repeat(recording.usual[:, None], self.task.horizon, 1)
        clean = finish.with_palette(finish.compressed(images[:, context:], usual), recording)
        shown = finish.with_palette(noisy, recording).clamp(0, 1)
        first = sent(recording.first, frames.device)
        shown, clean = repeated(shown, first), repeated(torch.cat([shown[:, :context], clean], 1), first)[:, context:]
        return self._coloured(shown), self._coloured(clean.clamp(0, 1))

    def _coloured(self, frames: Tensor) -> Tensor:
        """Return frames in the colours and the type that models see."""
        frames = frames.to(torch.get_default_dtype())
        return frames if self.frame_shape[0] == 3 else finish.luma(frames)

    def _flow(self, renderer: Renderer, scene: Scene, recording: Recording) -> Tensor:
        """Return the true flow (B, H', 2 K, H, W), 0 between frames that show the same moment."""
        given = np.maximum(windows(self.task, self.options.flows), recording.cut[:, None, None])  # (B, H', K)
        clips, context = np.arange(len(given))[:, None, None], self.task.context
        now, then = recording.times[:, context:], recording.times[clips, given]
        moved = sent(np.repeat(then != now[..., None], 2, axis=2), renderer.device)
        return (renderer.flow(scene, now, then) * moved[..., None, None]).to(torch.get_default_dtype())

    def _renderer(self, split: Split, device: torch.device) -> Renderer:
        key = (split, str(device))
        if key not in self._renderers:
            bank = bank_of(split, self.stills[split], device)
            self._renderers[key] = Renderer(bank, self.frame_shape[1:], self.stride * (self.task.length - 1))
        return self._renderers[key]


def windows(task: Task, count: int) -> Indices:
    """Return the numbers of the `count` frames before each target frame, (H', count), oldest first.

    Frames are numbered as they are given: context, then target. The first is repeated where there are fewer; what is
    between two frames has only those before it.
    """
    known = [task.context + (step if task.is_forecast else 0) for step in range(task.horizon)]
    return np.stack([np.arange(end - count, end).clip(min=0) for end in known])


def before_cuts(frames: Tensor, recording: Recording, others: Tensor) -> Tensor:
    """Return frames (B, T, ...) with those before a cut taken from `others`, which has the clips with a cut alone."""
    rows = np.flatnonzero(recording.cut > 0)
    before = np.arange(frames.shape[1]) < recording.cut[rows, None]
    mask = sent(before, frames.device)[..., None, None, None]
    index = sent(rows, frames.device)
    return frames.index_copy(0, index, torch.where(mask, others, frames[index]))


def repeated(frames: Tensor, first: Tensor) -> Tensor:
    """Return frames (B, T, C, H, W) with each replaced by the frame number `first` (B, T) of its clip."""
    return frames.gather(1, first.view(*first.shape, 1, 1, 1).expand_as(frames))
