"""Motion: the next frame of real video, sampled from the context along flows of the frame that is not there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.conditions import OFFSETS
from nextframe.core.errors import UserError
from nextframe.layers.correlation import correlation
from nextframe.layers.drift import Drift
from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.grid import centred
from nextframe.layers.guess import Guess, blend, changed, first_guess, shown
from nextframe.layers.guess_loss import flow_loss, frame_loss
from nextframe.layers.momentum import Coming, Newest, followed
from nextframe.layers.offsets import as_forecast, enter, offsets_of, scaled
from nextframe.layers.rehearsal import REHEARSALS, Rehearsed
from nextframe.layers.residual import joined, residual_pairs, run_pairs, start_small
from nextframe.layers.rhythm import rhythm
from nextframe.layers.sampling import fewer, precise, sampled, shrunk
from nextframe.layers.strips import halved
from nextframe.layers.window import CUT, Seen, as_given, split_alpha, thumbnails
from nextframe.models.contract import (
    Block,
    Capabilities,
    ModelConfig,
    ModelOptions,
    Objective,
    OptimizerDefaults,
    Request,
    Stage,
    StreamingPredictor,
    gathered,
)

SCALES = (4, 2, 1)  # of the refinements: at a quarter of the size, half and whole
BACK = 6  # frames in which a rhythm of held frames is looked for
COARSEST = 16  # height and width are padded to a multiple: 1/4 of the size, strided by 4
STEP_WEIGHTS = (1.0, 0.8, 0.6)  # of the losses of the first, second and all later frames


class MotionConfig(ModelConfig):
    """The size of the network; the defaults are those of the weights that come with the package."""

    reads: int = Field(3, ge=2, description="how many of the last context frames the network sees")
    radius: int = Field(4, ge=1, description="radius of the window of the coarse motion, in steps of 8 pixels")
    widths: tuple[int, int, int, int] = Field(
        (128, 112, 96, 64), description="channels of the coarse motion and of each refinement"
    )
    depths: tuple[int, int, int, int] = Field(
        (8, 8, 6, 6), description="convolutions of the coarse motion and of each refinement"
    )


class MotionOptions(ModelOptions):
    """What may be chosen when predicting."""

    mirror: bool = Field(False, description="mean with the prediction of the mirrored clip: twice the time")
    rehearse: bool = Field(True, description="trust and mix by how well the last context frames could be predicted")
    fuse: bool = Field(True, description="mix in a forecast along DIS optical flow, place by place")
    whole: bool = Field(
        False, description="see frames at their whole size: small fast things too, in 1.5 times the time"
    )
    expected: bool = Field(False, description="show what is to be expected on average: less error, soft where unsure")
    in_export: ClassVar[Mapping[str, bool]] = {"fuse": False}


class Motion(StreamingPredictor):
    """Flows from the coming frame back to each of the last frames, coarse to fine, and a choice between what they find.

    1. At 1/8 of the size: features of each frame, their correlation in a window between neighbours in time.
    2. At 1/4, 1/2 and full size: refinements, which see the frames, the frames as sampled so far, flows, choice and
       paint, and add to all of them. To predict, the size of 1 and 2 is 0.7 of the frames': half of the time.
    3. The coming frame is a soft choice, at every pixel, between the sampled frames, the last frame and the paint.
    4. Of it and the last real frame moved on along DIS flow (`options.fuse`) that mean is shown which would have been
       best in the last context frames, place by place. After a predicted frame, steady motion goes on.

    Grey goes through as three equal channels, alpha moves with the colours, frames before a cut are not used. Of videos
    that hold frames in a rhythm (A A B B) it sees those that differ, and holds its own as well; a frame that is shown
    twice (A B C C) counts once. A place is trusted as far as its last two context frames could be predicted.

    Told the `offsets` of the context frames from the frame that is asked for, it predicts that one, as between two:
    flows are a forecast's, scaled as even motion would be, and how the offsets differ is an input of every scale.
    """

    Config: ClassVar[type[ModelConfig]] = MotionConfig
    Options: ClassVar[type[ModelOptions]] = MotionOptions
    config: MotionConfig
    idea = "Samples the coming frame from the context along flows of its own, and chooses between them at every pixel."
    when = "Real video of any size, without training: it comes trained, and `predict` takes it by default."
    paper = "After RIFE (Huang et al. 2022, arXiv 2011.06294) and DMVFN (Hu et al. 2023, arXiv 2303.09875)"

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        frames, widths, depths = config.reads, config.widths, config.depths
        self.coarse = Coarse(frames, config.radius, widths[0], depths[0])
        self.refine = nn.ModuleList(Refine(frames, *size) for size in zip(widths[1:], SCALES, depths[1:], strict=True))

    @property
    def capabilities(self) -> Capabilities:
        """Two context frames or more; any size, grey, RGB or RGBA, any horizon; or the frame between two."""
        return Capabilities(min_context=2, reads=BACK + REHEARSALS, interpolates=True, uses=(OFFSETS,))

    def forecast_with_confidence(self, request: Request) -> tuple[Tensor, Tensor]:
        """Return the frames and, (B, horizon), how far what the network chooses from agrees: `agreement`, 0 to 1."""
        future = gathered(self.unroll(request), request.horizon)
        assert future.sure is not None
        return future.frames, future.sure

    def unroll(self, request: Request) -> Iterator[Block]:
        """Yield the frames that follow; or, with the condition `offsets`, the one that they are counted from."""
        assert isinstance(request.options, MotionOptions)
        future = self._future(request, request.options)
        if request.options.mirror:
            other = self._future(replace(request, context=request.context.flip(-1)), request.options)
            future = (((a + c.flip(-1)) / 2, (b + d) / 2) for (a, b), (c, d) in zip(future, other, strict=True))
        return (Block(frame, sure) for frame, sure in future)

    def _future(self, request: Request, options: MotionOptions) -> Iterator[tuple[Tensor, Tensor]]:
        offsets = offsets_of(request.conditions, request.context, self.config.reads)
        if offsets is not None and request.horizon != 1:
            raise UserError(f"motion predicts one frame between others, not {request.horizon}")
        last, rehearsals = request.context[:, -1], REHEARSALS if options.rehearse and offsets is None else 0
        state, before = self._primed(request.context[:, :-1], rehearsals, options)
        state = state.read(self.look(last.unsqueeze(1), options.whole), BACK)
        seen, trusted, moves = state.seen, state.trusting(options.expected), None
        for made in range(1, request.horizon + 1):
            frame, sure, newest = self.next_frame(seen, options, offsets, moves)
            yield trusted(newest.forecasts(frame), made), sure.unsqueeze(1)
            if made < request.horizon:
                moves = moves.then(newest) if moves else Coming.first(newest, before, seen.in_one_shot())
                seen = seen.then(self.look(frame.unsqueeze(1), options.whole)).last(BACK)

    def prime(self, context: Tensor) -> Rehearsed:
        """Return what `step` needs of the frames so far: the last few of them, and how well the last were predicted."""
        return self._primed(context, REHEARSALS, MotionOptions())[0]

    def _primed(self, context: Tensor, rehearsals: int, options: MotionOptions) -> tuple[Rehearsed, Newest | None]:
        looked_at = max(context.shape[1] - rehearsals, min(context.shape[1], 1))
        state, newest = Rehearsed.before(self.look(context[:, :looked_at][:, -BACK:], options.whole)), None
        for frame in context[:, looked_at:].unbind(1):
            state = state.read(self.look(frame.unsqueeze(1), options.whole), BACK)
            expected, newest = self._following(state, options)
            state, newest = state._replace(expected=expected), newest._replace(drift=None)
        return state, newest

    def step(self, state: Rehearsed, frame: Tensor) -> tuple[Tensor, Rehearsed]:
        """Read `frame` (B, C, H, W); return the frame after it, in [0, 1], and what the next step needs."""
        state = state.read(self.look(frame.unsqueeze(1)), BACK)
        following, _ = self._following(state, MotionOptions())
        expected = following if state.seen.frames.shape[1] > 1 else following[:, :0]
        return state.trusting()(following, 1).squeeze(1), state._replace(expected=expected)

    def _following(self, state: Rehearsed, options: MotionOptions) -> tuple[Tensor, Newest]:
        """Return the forecasts of the frame after those seen, (B, 1 or 2, C, H, W), and how the network's came."""
        frame, _, newest = self.next_frame(state.seen, options)
        return newest.forecasts(frame), newest

    def look(self, frames: Tensor, whole: bool = False) -> Seen:
        """Return frames (B, T, C, H, W) with their features, seen in `fewer` pixels or `whole`."""
        features = self.coarse.encoder(centred(fewer(split_alpha(frames)[0], COARSEST, whole), COARSEST).flatten(0, 1))
        return Seen(frames, features.reshape(*frames.shape[:2], *features.shape[1:]), thumbnails(frames))

    def next_frame(
        self, seen: Seen, options: MotionOptions, offsets: Tensor | None = None, moves: Coming | None = None
    ) -> tuple[Tensor, Tensor, Newest]:
        """Return the frame (B, C, H, W) after those seen, or that `offsets` (B, K) are from; how sure; how it came.

        `moves` is what goes on in it, if the last of those seen was predicted.
        """
        frames, features, _ = seen.moves(self.config.reads) if offsets is None else seen.shot(self.config.reads)
        colours, alpha = split_alpha(frames)
        guess = self.guesses(fewer(colours, COARSEST, options.whole), features, offsets, last=True)[-1].at(colours)
        drift = moves.drift if moves else Drift.along(frames) if options.fuse and offsets is None else None
        guess = replace(guess, flow=followed(guess.flow, colours, moves))
        frame, sure = shown(guess, colours, alpha)
        again = rhythm(seen.changes(), below=CUT)[1] & (offsets is None)
        frame = torch.where(again.view(-1, 1, 1, 1), seen.frames[:, -1], as_given(frame, frames.shape[2]).clamp(0, 1))
        return frame, sure.masked_fill(again, 1), Newest(guess.flow[:, -2:].clone(), again, drift)

    def guesses(
        self, frames: Tensor, features: Tensor, offsets: Tensor | None = None, last: bool = False
    ) -> list[Guess]:
        """Return the guess after each scale, the best last, or it alone; frames (B, K, 3, H, W) and their features."""
        padded, count = centred(frames, COARSEST), frames.shape[1]
        offsets = as_forecast(frames) if offsets is None else offsets
        flow, changes = self.coarse(features, offsets), list[Tensor]()
        found = [first_guess(flow, padded, offsets)]
        for block, scale in zip(self.refine, SCALES, strict=True):
            small = shrunk(padded, scale)
            guess = found[-1] if scale == 1 else changed(first_guess(flow, small, offsets), changes)
            changes.append(block(small, guess, partial(sampled, found[-1][:, : 2 * count], padded, scale), offsets))
            found = [*([] if last else found), changed(found[-1], changes[-1:])]
        return [Guess.of(maps[..., : frames.shape[-2], : frames.shape[-1]], count) for maps in found]

    def stages(self) -> list[Stage]:
        """One stage, one objective: as many frames ahead as the clips ask for, each fed back."""
        rates = OptimizerDefaults("adamw", lr=8e-4, weight_decay=1e-4, betas=(0.9, 0.99))
        return [Stage("train", [Objective("frames", list(self.parameters()), self.loss, rates)])]

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the pyramid loss of every scale's frame and, if the clip knows the true flow, the error of the flow.

        Extras that are used: `flow` (B, H', 2K, H, W), from each target frame back to the K frames before it, in
        pixels; `clean` (B, H', C, H, W), the target without noise. Alpha moves with the colours: it teaches nothing.
        """
        seen = self.look(clip.context[:, -self.config.reads :, :3], whole=True).shot(self.config.reads)
        offsets = offsets_of(clip.conditions, clip.context, self.config.reads)
        flows = clip.extras["flow"].unbind(1) if "flow" in clip.extras else [None] * clip.horizon
        known, targets = clip.knows("flow"), clip.extra("clean", clip.target)[:, :, :3]
        total = clip.context.new_zeros(())
        for step, (target, flow) in enumerate(zip(targets.unbind(1), flows, strict=True)):
            colours = split_alpha(seen.frames)[0]
            guesses = self.guesses(colours, seen.features, offsets)
            frames = [blend(guess, colours) for guess in guesses]
            loss = frame_loss(frames, split_alpha(target.unsqueeze(1))[0].squeeze(1))
            if flow is not None:
                loss = loss + flow_loss(guesses, flow, known)
            total = total + STEP_WEIGHTS[min(step, 2)] * loss
            if step + 1 < clip.horizon:
                last = as_given(frames[-1], target.shape[1]).clamp(0, 1)
                seen = seen.then(self.look(last.unsqueeze(1), whole=True)).last(self.config.reads)
        return total / clip.horizon, {}


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
        self.enter = nn.Sequential(FastConv2d(likeness + features, width, 3, 1, 1), nn.PReLU(width))
        self.body = residual_pairs(width, depth)
        self.leave = nn.Conv2d(width, 2 * frames, 3, 1, 1)
        start_small(self.leave)
        self.index = nn.Parameter(torch.zeros(frames, width))

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Return flows (B, 2K, H / 8, W / 8), in pixels of the frames, for their features (B, K, D, H / 8, W / 8)."""
        maps = features - features.mean((1, 3, 4), keepdim=True)
        maps = maps / (maps.square().mean(2, keepdim=True) + 1e-4).sqrt()
        each = maps.unbind(1)
        likeness = [correlation(later, earlier, self.radius) for earlier, later in pairwise(each)]
        entered = enter(self.enter[0](joined([*likeness, each[-1]])), self.enter, self.index, offsets)
        return scaled(precise(self.leave(run_pairs(self.body, entered))) * 8, offsets)


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

    def forward(
        self, frames: Tensor, guess: Tensor, find: Callable[[tuple[int, int]], Tensor], offsets: Tensor
    ) -> Tensor:
        """Return what to add to a guess, (B, 3K + 5, h, w), at half of the size that it works at.

        Args:
            frames: (B, K, 3, H / scale, W / scale), around 0.
            guess: (B, 3K + 5, H / scale, W / scale).
            find: returns what the guess finds in each of the frames, the same shape, of rows from one up to another.
            offsets: (B, K) or (1, K), of the frames from the one that is asked for.
        """
        pixels, sizes = 4 * self.scale, [2 * self.frames, self.frames + 5]  # the unit of flows inside

        def seen(top: int, end: int) -> list[Tensor]:
            flow, others = torch.split(guess[:, :, top:end], sizes, dim=1)
            flow = scaled(flow, offsets, -1, 1 / pixels)
            return [frames[..., top:end, :].flatten(1, 2), find((top, end)).flatten(1, 2), flow, others]

        size = (guess.shape[-2], guess.shape[-1])
        hidden = run_pairs(self.body, enter(halved(self.down[0], seen, size), self.down, self.index, offsets))
        flow, others = torch.split(precise(self.up(hidden)), sizes, dim=1)
        return torch.cat([scaled(flow, offsets, unit=pixels), others], 1)
