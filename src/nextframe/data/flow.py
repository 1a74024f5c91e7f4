"""Optical flow as data: clips of two channels (x to the right, y down), computed from the frames of any other clips.

A flow is stored as uint8: 128 stands for no motion, 1 and 255 for `max_flow` pixels a step to the left or up and to
the right or down. So zero is exact, a step of the scale is max_flow / 127 pixels, and faster motion is clipped.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.clip import Clip, as_uint8
from nextframe.data.clipset import ClipSet, DataConfig, Indices, Split, check_whole
from nextframe.flow.dis import dense_flow
from nextframe.flow.wheel import flow_image

KIND, CHANNELS = "flow", 2  # of a DataConfig; no other clips have as many channels
REST, STEPS = 128, 127
FULL_COLOR = 32 / STEPS  # share of the largest flow that has the wheel's full colour; most motion is slow


class FlowClips(ClipSet):
    """The flows between consecutive frames of `clips`, whose spans are one frame longer."""

    def __init__(self, clips: ClipSet, config: DataConfig) -> None:
        check_whole(clips, "turned into flow")
        self.clips, self.max_flow = clips, config.max_flow
        self.name, self.fps, self.classes = clips.name, clips.fps, clips.classes
        self.task = config.task
        self.frame_shape = (2, *clips.frame_shape[1:])

    def count(self, split: Split) -> int | None:
        """Return how many clips `split` has: one for each clip of frames."""
        return self.clips.count(split)

    def source(self, split: Split, index: int) -> str:
        """Return the name of the source that clip `index` comes from."""
        return self.clips.source(split, index)

    def label(self, split: Split, index: int) -> int | None:
        """Return the class of clip `index` of the frames."""
        return self.clips.label(split, index)

    def order(self, split: Split, seed: int, epoch: int) -> Indices:
        """Return the order in which the clips of frames are visited."""
        return self.clips.order(split, seed, epoch)

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return flows (B, T, 2, H, W) uint8; flow t is from frame t to frame t + 1 of the clip."""
        clip = self.clips.read(split, indices)
        frames = clip.frames  # (B, T + 1, C, H, W)
        flow = dense_flow(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))  # (B * T, 2, H, W)
        stored = torch.from_numpy(encode_flow(flow.numpy(), self.max_flow))
        after = clip.conditions.at(range(1, frames.shape[1]))  # the actions that lead to the second frame of each flow
        return self.task.split(stored.view(len(frames), -1, *self.frame_shape), after)


def frames_for_flow(config: DataConfig) -> DataConfig:
    """Return the configuration of the frames that the flows of `config` are made from: one frame more."""
    return config.model_copy(update={"kind": "frames", "context": config.context + 1})


def encode_flow(flow: NDArray[np.float32], max_flow: float) -> NDArray[np.uint8]:
    """Return flows in pixels as uint8 of the same shape: 128 + flow * 127 / max_flow, rounded and clipped."""
    scaled = np.rint(flow * (STEPS / max_flow)) + REST
    return np.asarray(np.clip(scaled, REST - STEPS, REST + STEPS), np.uint8)


def decode_flow(frames: Tensor, max_flow: float) -> Tensor:
    """Return flow frames (..., 2, H, W), uint8 or float in [0, 1], in pixels."""
    values = frames.float() if frames.dtype == torch.uint8 else frames * 255
    return (values - REST) * (max_flow / STEPS)


def flow_frames_image(frames: Tensor) -> Tensor:
    """Paint flow frames (T, 2, H, W), uint8 or float in [0, 1], in the colour wheel: (T, 3, H, W) uint8.

    A quarter of the largest flow has the full colour.
    """
    return as_uint8(flow_image(decode_flow(frames, 1.0), FULL_COLOR))
