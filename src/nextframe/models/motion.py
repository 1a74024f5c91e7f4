"""Motion: the next frame of real video, sampled from the context along flows of the frame that is not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from nextframe.core.clip import Clip
from nextframe.core.conditions import OFFSETS, Conditions
from nextframe.core.errors import UserError
from nextframe.flow.warp import backward_warp
from nextframe.layers.correlation import correlation
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.residual import residual_pairs, run_pairs, start_small
from nextframe.layers.window import as_given, as_many, since_cut, split_alpha
from nextframe.losses.pyramid import pyramid_loss
from nextframe.models.contract import (
    Capabilities,
    ModelConfig,
    Objective,
    OptimizerDefaults,
    Request,
    Stage,
    StreamingPredictor,
)

COARSEST = 32  # height and width are padded to a multiple: 1/8 of the size, strided by 4 once more
STAGE_WEIGHTS = (0.05, 0.15, 0.3, 1.0)  # of the losses after the coarse motion and each refinement
FLOW_WEIGHTS = (0.015, 0.015, 0.021, 0.03)  # of the flow's error there, if the true flow is known
STEP_WEIGHTS = (1.0, 0.8, 0.6)  # of the losses of the first, second and all later frames


class MotionConfig(ModelConfig):
    """The size of the network; the defaults are those of the weights that come with the package."""

    reads: int = Field(3, ge=2, description="how many of the last context frames the network sees")
    radius: int = Field(
        4, ge=1, description="radius of the window in which coarse motion is looked for, in steps of 8 pixels"
    )
    widths: tuple[int, int, int, int] = Field(
        (128, 112, 96, 64), description="channels of the coarse motion and of each refinement"
    )
    depths: tuple[int, int, int, int] = Field(
        (8, 8, 6, 6), description="convolutions of the coarse motion and of each refinement"
    )


@dataclass(frozen=True)
class Guess:
    """What is thought of the coming frame, per pixel; (B, ..., H, W) each.

    `flow` (B, 2K, H, W) says where in each of the K frames a pixel comes from, in pixels; `choice` (B, K + 2, H, W)
    weighs, before a softmax, the K frames so sampled, the last frame as it stands, and `paint` (B, 3, H, W).
    """

    flow: Tensor
    choice: Tensor
    paint: Tensor


class Motion(StreamingPredictor):
    """Flows from the coming frame back to each of the last frames, coarse to fine, and a choice between what they find.

    1. At 1/8 of the size: features of each frame, their correlation in a window between neighbours in time.
    2. At 1/4, 1/2 and full size: refinements, which see the frames, the frames as sampled so far, flows, choice and
       paint, and add to all of them.
    3. The coming frame is a soft choice, at every pixel, between the sampled frames, the last frame and the paint.

    Grey frames go through as three equal channels, and alpha moves with the colours. Frames before a cut are not used.

    Told the `offsets` of the context frames from the frame that is asked for, it predicts that one, such as the one
    between two: flows are those of a forecast, scaled as even motion would be, and how the offsets differ from a
    forecast's is an input of every scale. A network that has only learned forecasts knows no use of that input.
    """

    Config: ClassVar[type[ModelConfig]] = MotionConfig
    config: MotionConfig
    idea = "Samples the coming frame from the context along flows of its own, and chooses between them at every pixel."
    paper = "After RIFE (Huang et al. 2022, arXiv 2011.06294) and DMVFN (Hu et al. 2023, arXiv 2303.09875)"

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        frames, widths, depths = config.reads, config.widths, config.depths
        self.coarse = Coarse(frames, config.radius, widths[0], depths[0])
        self.refine = nn.ModuleList(
            Refine(frames, *size) for size in zip(widths[1:], (4, 2, 1), depths[1:], strict=True)
        )

    @property
    def capabilities(self) -> Capabilities:
        """Two context frames or more; any size, grey, RGB or RGBA, any horizon; or the frame between two."""
        return Capabilities(min_context=2, reads=self.config.reads, interpolates=True, uses=(OFFSETS,))

    def forecast(self, request: Request) -> Tensor:
        """Return the frames that follow; or, with the condition `offsets`, the one that they are counted from."""
        if OFFSETS not in request.conditions:
            return super().forecast(request)
        if request.horizon != 1:
            raise UserError(f"motion predicts one frame between others, not {request.horizon}")
        window = since_cut(as_many(request.context, self.config.reads))
        frame = self.next_frame(window, self._offsets(request.conditions, window))
        return frame.clamp(0, 1).unsqueeze(1)

    def _offsets(self, conditions: Conditions, window: Tensor) -> Tensor:
        """Return how far after the target frame each of `window` (B, K, C, H, W) is, in steps of the last two."""
        offsets = conditions.get(OFFSETS)
        if offsets is None:
            return as_forecast(window).expand(len(window), -1)
        offsets = as_many(offsets.to(window), self.config.reads)
        return offsets / (offsets[:, -1:] - offsets[:, -2:-1])

    def prime(self, context: Tensor) -> Tensor:
        """Return what `step` needs of the frames so far: the last few of them."""
        return context[:, 1 - self.config.reads :]

    def step(self, state: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Read `frame` (B, C, H, W); return the frame after it, in [0, 1], and the frames that the next step needs."""
        frames = torch.cat([state, frame.unsqueeze(1)], dim=1)
        window = since_cut(as_many(frames, self.config.reads))
        return self.next_frame(window).clamp(0, 1), frames[:, 1 - self.config.reads :]

    def next_frame(self, frames: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Return the frame (B, C, H, W), not clamped, after `frames` (B, K, C, H, W) of 1, 3 or 4 channels.

        With `offsets` (B, K): the frame that they are counted from; a forecast's, -K to -1, change nothing.
        """
        colours, alpha = split_alpha(frames)
        guess = self.guesses(colours, offsets)[-1]
        frame = as_given(blend(guess, colours), frames.shape[2])
        if alpha is None:
            return frame
        return torch.cat([frame, blend(Guess(guess.flow, guess.choice, alpha[:, -1]), alpha)], dim=1)

    def guesses(self, frames: Tensor, offsets: Tensor | None = None) -> list[Guess]:
        """Return the guess after each scale, the best last; frames (B, K, 3, H, W), newest last."""
        height, width = frames.shape[-2:]
        padded = pad_to_multiple(frames, COARSEST)
        guess = first_guess(self.coarse(padded, offsets), padded, offsets)
        found = [guess]
        for block in self.refine:
            guess = block(guess, padded, offsets)
            found.append(guess)
        return [Guess(*(part[..., :height, :width] for part in (g.flow, g.choice, g.paint))) for g in found]

    def stages(self) -> list[Stage]:
        """One stage, one objective: as many frames ahead as the clips ask for, each fed back."""
        rates = OptimizerDefaults("adamw", lr=8e-4, weight_decay=1e-4, betas=(0.9, 0.99))
        return [Stage("train", [Objective("frames", list(self.parameters()), self.loss, rates)])]

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the pyramid loss of every scale's frame and, if the clip knows the true flow, the error of the flow.

        Extras that are used: `flow` (B, H', 2K, H, W), from each target frame back to the K frames before it, in
        pixels. Alpha moves with the colours, so there is nothing to learn from it.
        """
        frames = since_cut(as_many(clip.context[:, :, :3], self.config.reads))
        offsets = self._offsets(clip.conditions, frames)
        flows = clip.extras["flow"].unbind(1) if "flow" in clip.extras else [None] * clip.horizon
        total = clip.context.new_zeros(())
        for step, (target, flow) in enumerate(zip(clip.target[:, :, :3].unbind(1), flows, strict=True)):
            loss, frame = self._step_loss(frames, offsets, target, flow)
            total = total + STEP_WEIGHTS[min(step, 2)] * loss
            frames = torch.cat([frames[:, 1:], frame.clamp(0, 1).unsqueeze(1)], dim=1)
        return total / clip.horizon, {}

    def _step_loss(self, frames: Tensor, offsets: Tensor, target: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the loss, all scales, of the frame that `offsets` are counted from, and that frame (B, C, H, W)."""
        colours, truth = split_alpha(frames)[0], split_alpha(target.unsqueeze(1))[0].squeeze(1)
        guesses = self.guesses(colours, offsets)
        found = [blend(guess, colours) for guess in guesses]
        losses = [weight * pyramid_loss(frame, truth) for weight, frame in zip(STAGE_WEIGHTS, found, strict=True)]
        if flow is not None:
            weighed = zip(FLOW_WEIGHTS, guesses, strict=True)
            losses += [weight * flow_error(guess.flow, flow) for weight, guess in weighed]
        return torch.stack(losses).sum(), as_given(found[-1], target.shape[1])


class Coarse(nn.Module):
    """First motion at 1/8 of the size, from the likeness of neighbouring frames' features in a window."""

    def __init__(self, frames: int, radius: int, width: int, depth: int, features: int = 64) -> None:
        super().__init__()
        self.radius = radius
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, 24, 5, 2, 2), nn.PReLU(24), nn.Conv2d(24, 48, 3, 2, 1), nn.PReLU(48)),
            *(nn.Conv2d(48, features, 3, 2, 1), nn.PReLU(features), nn.Conv2d(features, features, 3, 1, 1)),
        )
        likeness = (frames - 1) * (2 * radius + 1) ** 2
        self.enter = nn.Sequential(nn.Conv2d(likeness + features, width, 3, 1, 1), nn.PReLU(width))
        self.body = residual_pairs(width, depth)
        self.leave = nn.Conv2d(width, 2 * frames, 3, 1, 1)
        start_small(self.leave)
        self.index = nn.Parameter(torch.zeros(frames, width))

    def forward(self, frames: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Return flows (B, 2K, H, W) in pixels for frames (B, K, 3, H, W); those of a forecast, scaled to `offsets`."""
        batch, count = frames.shape[:2]
        maps = self.encoder(frames.flatten(0, 1) - 0.5)
        maps = maps.view(batch, count, *maps.shape[1:])  # (B, K, D, H / 8, W / 8)
        maps = maps - maps.mean((1, 3, 4), keepdim=True)
        maps = maps / (maps.square().mean(2, keepdim=True) + 1e-4).sqrt()
        each = maps.unbind(1)
        likeness = [correlation(later, earlier, self.radius) for earlier, later in pairwise(each)]
        entered = enter(self.enter, torch.cat([*likeness, each[-1]], 1), self.index, offsets)
        flow = self.leave(run_pairs(self.body, entered)).float() * 8
        return F.interpolate(scaled(flow, offsets), size=frames.shape[-2:], mode="bilinear")


class Refine(nn.Module):
    """Adds to a guess at one scale: `scale` 4 works at a quarter of the size, and strides by 4 inside."""

    def __init__(self, frames: int, width: int, scale: int, depth: int) -> None:
        super().__init__()
        self.frames, self.scale = frames, scale
        sees = 3 * frames * 2 + 2 * frames + (frames + 2) + 3  # frames, sampled frames, flows, choice, paint
        self.down = nn.Sequential(
            *(nn.Conv2d(sees, width // 2, 3, 2, 1), nn.PReLU(width // 2)),
            *(nn.Conv2d(width // 2, width, 3, 2, 1), nn.PReLU(width)),
        )
        self.body = residual_pairs(width, depth)
        self.up = nn.ConvTranspose2d(width, 2 * frames + frames + 2 + 3, 4, 2, 1)
        start_small(self.up)
        self.index = nn.Parameter(torch.zeros(frames, width // 2))

    def forward(self, guess: Guess, frames: Tensor, offsets: Tensor | None = None) -> Guess:
        """Return a better guess of the frame after `frames` (B, K, 3, H, W), or of that `offsets` from them."""
        pixels = 4 * self.scale  # the unit of flows inside
        seen = [frames.flatten(1, 2) - 0.5, sampled(guess.flow, frames).flatten(1, 2) - 0.5]
        maps = torch.cat([*seen, scaled(guess.flow, offsets, -1) / pixels, guess.choice, guess.paint - 0.5], 1)
        if self.scale != 1:
            maps = F.interpolate(maps, scale_factor=1 / self.scale, mode="bilinear")
        hidden = run_pairs(self.body, enter(self.down, maps, self.index, offsets))
        change = F.interpolate(self.up(hidden), size=frames.shape[-2:], mode="bilinear").float()
        flow, choice, paint = torch.split(change, [2 * self.frames, self.frames + 2, 3], dim=1)
        return Guess(guess.flow + scaled(flow, offsets) * pixels, guess.choice + choice, guess.paint + paint)


def first_guess(flow: Tensor, frames: Tensor, offsets: Tensor | None = None) -> Guess:
    """Return the guess before any refinement: mostly the nearest frames as sampled, hardly ever the paint."""
    height, width = frames.shape[-2:]
    offsets = as_forecast(frames) if offsets is None else offsets
    nearest = offsets.abs() == offsets.abs().amin(1, keepdim=True)
    nearest = nearest & (F.pad(offsets, (0, 1)).diff(dim=1) != 0)  # of a frame that is repeated, the last
    start = F.pad(F.pad(nearest * 3.0 - 1.0, (0, 1)), (0, 1), value=-3.0)  # -1, ..., 2, 0, -3
    return Guess(flow, start[..., None, None].expand(len(frames), -1, height, width), frames[:, -1].float())


def as_forecast(frames: Tensor) -> Tensor:
    """Return how far each of `frames` (B, K, ...) is from the frame after the last: -K to -1, (1, K)."""
    return torch.arange(-frames.shape[1], 0, device=frames.device, dtype=frames.dtype).unsqueeze(0)


def scaled(flow: Tensor, offsets: Tensor | None, power: int = 1) -> Tensor:
    """Return flows (B, 2K, H, W) of a forecast as they are at `offsets` if motion is even; power -1: the reverse."""
    if offsets is None:
        return flow
    return flow * (offsets / as_forecast(offsets)).pow(power).repeat_interleave(2, 1)[..., None, None].to(flow)


def enter(layers: nn.Sequential, maps: Tensor, index: Tensor, offsets: Tensor | None) -> Tensor:
    """Return what `layers` make of `maps`: after the first, `index` (K, D) adds how unlike a forecast `offsets` are."""
    first, *others = layers
    maps = first(maps)
    if offsets is not None:
        maps = maps + ((offsets - as_forecast(offsets)) @ index)[..., None, None]
    for layer in others:
        maps = layer(maps)
    return maps


def sampled(flow: Tensor, frames: Tensor) -> Tensor:
    """Return `frames` (B, K, C, H, W), each sampled along its own flow of (B, 2K, H, W)."""
    flows = flow.reshape(frames.shape[0], -1, 2, *flow.shape[2:])
    return backward_warp(frames.flatten(0, 1).float(), flows.flatten(0, 1)).view_as(frames)


def blend(guess: Guess, frames: Tensor) -> Tensor:
    """Return the frame (B, C, H, W) that a guess makes of `frames` (B, K, C, H, W)."""
    choices = torch.cat([sampled(guess.flow, frames), frames[:, -1:].float(), guess.paint.unsqueeze(1)], dim=1)
    return (guess.choice.softmax(1).unsqueeze(2) * choices).sum(1)


def flow_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Return (|difference| + 0.01)^0.7, averaged; beyond 40 pixels a difference counts no more."""
    return ((flow - truth).abs().clamp(max=40) + 0.01).pow(0.7).mean()
