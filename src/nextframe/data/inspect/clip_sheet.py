"""An image of clips: rows of frames over time, or all of them playing at once; flows in the colour wheel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError
from nextframe.data.clipset import SPLITS, ClipSet
from nextframe.data.flow import decode_flow
from nextframe.flow.wheel import flow_image
from nextframe.media.writer import check_ending, write_video

SHOWN, COLUMNS = 16, 4
LEAST_SIDE = 96  # pixels: smaller frames are enlarged
GAP, GROUND = 2, 64


def write_clip_sheet(path: Path, clips: ClipSet, count: int = SHOWN) -> Path:
    """Write an image of the first `count` clips of the first split that has some.

    A .png shows one clip per row, time to the right; a .gif or .mp4 plays them side by side. The fastest motion among
    the clips has the colour wheel's full colour.

    Raises:
        UserError: an ending that is not an image format, or no clips.
    """
    check_ending(path)
    split = next((s for s in SPLITS if clips.count(s) != 0), None)
    if split is None:
        raise UserError(f"{clips.name}: there are no clips to show")
    there = clips.count(split)
    shown = count if there is None else min(count, there)
    clip = clips.on_device(split, clips.read(split, np.arange(shown, dtype=np.int64)), "cpu")
    frames = painted(as_uint8(clip.frames))
    return write_video(path, sheet(frames, 1 if path.suffix.lower() == ".png" else COLUMNS), clips.fps)


def painted(frames: Tensor) -> Tensor:
    """Return uint8 clips (B, T, C, H, W) as grey or RGB ones; two channels are a flow."""
    if frames.shape[2] != 2:
        return frames
    flow = decode_flow(frames.flatten(0, 1), 1.0)
    return as_uint8(flow_image(flow)).view(*frames.shape[:2], 3, *frames.shape[3:])


def sheet(frames: Tensor, columns: int) -> Tensor:
    """Lay clips (B, T, C, H, W) uint8 in a grid with gaps, `columns` wide: (T, C, H', W')."""
    times = -(-LEAST_SIDE // max(frames.shape[-2:]))
    if times > 1:
        frames = frames.repeat_interleave(times, 3).repeat_interleave(times, 4)
    frames = F.pad(frames, (0, GAP, 0, GAP), value=GROUND)
    columns = min(columns, len(frames))
    missing = -len(frames) % columns
    frames = torch.cat([frames, torch.full_like(frames[:1], GROUND).expand(missing, -1, -1, -1, -1)])
    rows = frames.view(-1, columns, *frames.shape[1:])  # (R, columns, T, C, h, w)
    return rows.permute(2, 3, 0, 4, 1, 5).reshape(*frames.shape[1:3], len(rows) * frames.shape[3], -1)
