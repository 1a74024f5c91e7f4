"""Spans of one source: from memory if the whole source fits, else read in order from the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nextframe.data.flow import encode_flow
from nextframe.data.folder.store import FrameStore, Member
from nextframe.media.source import Color, Image

FlowFrame = NDArray[np.uint8]  # (2, H, W)


class Memory:
    """Bytes that decoded sources may take together; threads share it."""

    def __init__(self, limit: int) -> None:
        self._left, self._lock = limit, threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve `count` bytes; False if there are not enough left."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True


class SourceFrames:
    """One source, whose frames are decoded once if they fit in `memory`; threads may share it.

    With `max_flow`, flows are made too, each once if the source is in memory.
    """

    def __init__(
        self, member: Member, channels: int, color: Color | None, memory: Memory, max_flow: float | None
    ) -> None:
        self.member, self.channels, self.color, self.max_flow = member, channels, color, max_flow
        self._memory, self._lock = memory, threading.Lock()
        self._held: list[Image] | None = None
        self._asked = False
        self._flows: dict[tuple[int, int], FlowFrame] = {}

    @property
    def frame_bytes(self) -> int:
        """Bytes of a decoded frame and the flow that begins there."""
        index = self.member.index
        return index.height * index.width * (self.channels + (2 if self.max_flow else 0))

    def spans(self, starts: Sequence[int], offsets: Sequence[int]) -> Iterator[Span]:
        """Yield a span for each of the ascending `starts`: the frames at start + offset for each of `offsets`."""
        held = self._frames()
        if held is not None:
            for start in starts:
                yield Span(self, [held[start + o] for o in offsets], [start + o for o in offsets], self._flows)
            return
        store, flows = self._store(len(offsets)), {}  # type: tuple[FrameStore, dict[tuple[int, int], FlowFrame]]
        for start in starts:
            numbers = [start + o for o in offsets]
            frames = store.frames(0, numbers, tuple)
            flows = {pair: flow for pair, flow in flows.items() if pair[0] >= start}
            yield Span(self, [frames[n] for n in numbers], numbers, flows)
        store.close()

    def _frames(self) -> list[Image] | None:
        """Return every frame, decoded by the first thread that asks; None if they do not fit."""
        with self._lock:
            if not self._asked and self._memory.take(self.frame_bytes * self.member.index.frames):
                numbers = range(self.member.index.frames)
                found = self._store(1).frames(0, numbers, tuple)
                self._held = [found[n] for n in numbers]
            self._asked = True
        return self._held

    def _store(self, frames: int) -> FrameStore:
        room = 2 * frames * self.member.index.height * self.member.index.width * self.channels
        return FrameStore([self.member], self.channels, self.color, None, room)


class Span:
    """The frames of one clip before it is cut, (H, W, C) uint8 each, and the flows between them."""

    def __init__(
        self,
        source: SourceFrames,
        frames: Sequence[Image],
        numbers: Sequence[int],
        flows: dict[tuple[int, int], FlowFrame],
    ) -> None:
        self.frames = frames
        self._source, self._numbers, self._flows = source, numbers, flows

    def cut(self, top: int, left: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the crop as (T, C, H, W), or, with flows, those as (T - 1, 2, H, W)."""
        rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
        if self._source.max_flow is None:
            return np.stack([frame[rows, columns] for frame in self.frames]).transpose(0, 3, 1, 2)
        return np.stack([self._flow(t)[:, rows, columns] for t in range(len(self.frames) - 1)])

    def _flow(self, step: int) -> FlowFrame:
        """Return the flow between two full frames, so that it is right at the borders of a crop."""
        from nextframe.flow.dis import dense_flow

        pair = self._numbers[step], self._numbers[step + 1]
        if pair not in self._flows:
            first, second = (torch.from_numpy(f.transpose(2, 0, 1)[None].copy()) for f in self.frames[step : step + 2])
            assert self._source.max_flow is not None
            self._flows[pair] = encode_flow(dense_flow(first, second)[0].numpy(), self._source.max_flow)
        return self._flows[pair]
