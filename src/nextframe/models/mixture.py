"""Mixture: several predictors side by side, and a network that weights each of them at every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from operator import not_
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import noise_of, uniform
from nextframe.layers.augment import augment, cropped
from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.grid import pad_to_multiple
from nextframe.losses.perceptual import perceptual
from nextframe.models import MODELS
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on

HEAD_START = 2.0  # logit of the first member before training
SCALES = 3  # of the blend network: frames are folded until each position is 4 x 4 pixels


class Member(Config):
    """A registered model, the fields of its config that differ from its defaults, and its options.

    Fields called context, channels and horizon are filled in: the mixture's own, and 1. What says nothing is not
    stored: configurations of before it was there say the same.
    """

    name: str = Field(description="name of a registered model")
    fields: dict[str, Any] = Field(default_factory=dict, description="fields of its config, where not the defaults")
    options: dict[str, Any] = Field(
        default_factory=dict, exclude_if=not_, description="its own options, where not the defaults"
    )
    rest: float = Field(
        0,
        ge=0,
        lt=1,
        exclude_if=not_,
        description="of a member that is not trained: share of the training clips that do without it, to save its time",
    )


class MixtureConfig(ModelConfig):
    """Fields of `mixture`."""

    context: int = Field(5, ge=1, description="context frames, exactly")
    channels: int = Field(3, ge=1, description="1 grey, 3 RGB")
    members: tuple[Member, ...] = Field(
        (Member(name="copy-last"), Member(name="flow")),
        min_length=1,
        description="models to choose between at every pixel, each with its name and fields",
    )
    recall: int = Field(
        4, ge=0, description="this many frames before the last are candidates too: what blinks, what was behind"
    )
    paints: bool = Field(True, description="the blend network also generates a candidate: the last frame, recoloured")
    fold: int = Field(2, ge=1, description="the blend network works on squares of this side, folded into channels")
    width: int = Field(32, ge=1, description="channels of the blend network at its full size, doubled at each halving")
    own_loss: float = Field(0.1, ge=0, description="weight of the loss of each trained member's own prediction")
    paint_loss: float = Field(
        0.5, ge=0, description="weight of the painted candidate's loss: it learns before it is trusted"
    )
    augment: bool = Field(True, description="train on mirrored clips too")
    crop: int = Field(
        0,
        ge=0,
        exclude_if=not_,
        description="train on squares of this side, somewhere in each clip; 0: on whole frames",
    )


class Mixture(Predictor):
    """The softmax-weighted sum of what the members predict, one set of weights per pixel.

    Members that can be trained are trained with the blend, through it and by a loss of their own prediction; one whose
    weights are taken from elsewhere (`training.stage_from={members.1: motion}`) stays as it is.
    """

    Config: ClassVar[type[ModelConfig]] = MixtureConfig
    config: MixtureConfig
    idea: ClassVar[str] = "Runs several predictors side by side and blends them pixel by pixel with a small network."
    when = "GIFs, with minutes of training: at each pixel it can fall back on the last frame or the flow."
    paper: ClassVar[str] = "After the strategies-in-parallel entry to the catz benchmark, W&B 2019"
    loss_fields: ClassVar[frozenset[str]] = frozenset({"own_loss", "paint_loss", "augment", "crop"})

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__(config)
        self.members = nn.ModuleList(build_member(member, config) for member in config.members)
        for member, built in zip(config.members, self.predictors, strict=True):
            check_member(member.name, built.capabilities, config)
        self.recall = min(config.recall, config.context - 1)
        self.candidates = len(self.members) + self.recall + config.paints
        planes = (config.context + len(self.members)) * config.channels
        self.painted = config.channels if config.paints else 0
        self.blend = BlendNet(planes, self.candidates, self.painted, config.width, config.fold)

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any horizon, and any size if the members take any."""
        frames, members = self.config.context, [member.capabilities for member in self.predictors]
        return Capabilities(
            stochastic=any(can.stochastic for can in members),
            any_size=all(can.any_size for can in members),
            min_context=frames,
            max_context=frames,
            channels=self.config.channels,
            forecasts=all(can.forecasts for can in members),
            interpolates=frames == 2,
        )

    @property
    def predictors(self) -> list[Predictor]:
        """The members, in the order of the config's."""
        return cast(list[Predictor], list(self.members))

    def train(self, mode: bool = True) -> Mixture:
        """Set the mode; members that are not trained stay in eval mode, or their statistics and dropout would go on."""
        super().train(mode)
        for member in self.predictors:
            member.train(mode and is_trained(member))
        return self

    def unroll(self, request: Request) -> Iterator[Block]:
        """Roll the one-step blend out."""
        return roll_on(lambda frames: self._next(frames, request.generator)[0], request.context, request.horizon)

    def _next(self, context: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next frame (B, 1, C, H, W), the members' own (B, M, C, H, W) and the painted one (B, 0 or 1, ...).

        The painted one is not yet clipped to [0, 1], so that a colour beyond it still has a gradient.
        """
        last, awake = context[:, -1:], self._awake(context)
        guesses = self._guesses(context, awake, generator)
        seen = torch.cat([last, context[:, :-1] - last, guesses - last], dim=1)  # changes, zero where nothing moves
        logits, change = self.blend(seen.flatten(1, 2)).split_with_sizes([self.candidates, self.painted], dim=1)
        painted = last + change.unsqueeze(1) if self.painted else last[:, :0]
        earlier = context[:, context.shape[1] - 1 - self.recall : -1]
        choice = torch.cat([guesses, earlier, painted.clamp(0, 1)], dim=1)  # (B, candidates, C, H, W)
        logits = logits if awake is None else self._without_resting(logits, awake)
        return (logits.softmax(1).unsqueeze(2) * choice).sum(1, keepdim=True), guesses, painted

    def _awake(self, context: Tensor) -> Tensor | None:
        """Return which members (B, M) predict a clip in this step of training, where some rest; None: all of them."""
        members = zip(self.config.members, self.predictors, strict=True)
        rest = [0.0 if is_trained(built) else member.rest for member, built in members]
        if not (self.training and any(rest)):
            return None
        return uniform((len(context), len(rest)), context.device) >= context.new_tensor(rest)

    def _without_resting(self, logits: Tensor, awake: Tensor) -> Tensor:
        """Return logits (B, candidates, H, W) of which those of members that rest are never chosen."""
        missing = F.pad(~awake, (0, self.candidates - len(self.members)))
        missing = missing & ~missing.all(1, keepdim=True)  # where nothing else is left, the last frame is
        return logits.masked_fill(missing[:, :, None, None], -torch.inf)

    def _guesses(self, context: Tensor, awake: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Return the next frame as each member predicts it, (B, M, C, H, W); the last frame for one that rests."""
        frames = []
        for index, (member, said) in enumerate(zip(self.predictors, self.config.members, strict=True)):
            which = None if awake is None else awake[:, index].nonzero().flatten()
            frames.append(guess(member, said, context, which, generator))
        return torch.cat(frames, dim=1)

    def stages(self) -> list[Stage]:
        """One stage, one objective: the perceptual distance of the next frame."""
        optimizer = OptimizerDefaults("adamw", lr=2e-3, weight_decay=0.01, betas=(0.9, 0.99))
        trained = [weight for weight in self.parameters() if weight.requires_grad]
        return [Stage("blend", [Objective("perceptual", trained, self._loss, optimizer)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        if self.training:
            clip = cropped(clip, self.config.crop) if self.config.crop else clip
            clip = augment(clip) if self.config.augment else clip
        blended, guesses, painted = self._next(clip.context)
        target = clip.target[:, :1]
        loss = perceptual(blended, target)
        logs = {"perceptual": loss.detach()}
        for index, member in enumerate(self.predictors):
            if is_trained(member):
                loss = loss + self.config.own_loss * perceptual(guesses[:, index : index + 1], target)
        if self.painted:
            own = perceptual(painted, target)
            loss = loss + self.config.paint_loss * own
            logs["painted"] = own.detach()
        return loss, logs


def build_member(member: Member, config: MixtureConfig) -> Predictor:
    """Return the untrained model that `member` names, made for the context and channels of the mixture."""
    kind: type[Predictor] = MODELS.get(member.name)
    own = {"context": config.context, "channels": config.channels, "horizon": 1}
    filled = {name: value for name, value in own.items() if name in kind.Config.model_fields}
    where = f"member '{member.name}' of the mixture"
    built = kind(kind.Config.parse(filled | member.fields, where=where))
    built.read_options(member.options, where)  # now, and not in the first step of a run
    return built


def is_trained(member: Predictor) -> bool:
    """Return whether training changes it: it can be trained, and its weights are not taken from elsewhere."""
    return member.capabilities.trainable and any(weight.requires_grad for weight in member.parameters())


def guess(
    member: Predictor, said: Member, context: Tensor, which: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    """Return the next frame (B, 1, C, H, W) as `member` predicts it, without gradients if it is not trained.

    It predicts the clips `which` (N,), None for all; of the others the last frame is returned.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and is_trained(member)):
        if which is None or len(which) == len(context):
            return member.forecast(member.request(context, 1, generator=generator, options=said.options))
        frames = context[:, -1:].clone()
        if len(which):
            with noise_of(which):
                request = member.request(context[which], 1, generator=generator, options=said.options)
                frames[which] = member.forecast(request).to(frames.dtype)  # under autocast it may be less precise
    return frames


def check_member(name: str, can: Capabilities, config: MixtureConfig) -> None:
    """Refuse a member that cannot predict the next frame from the mixture's context.

    Raises:
        UserError: it needs other frames, other channels, or predicts the frame between two.
    """
    fits = can.min_context <= config.context and (can.max_context is None or config.context <= can.max_context)
    if can.needs:
        raise UserError(f"member '{name}' needs the condition '{can.needs[0]}', which a mixture does not pass on")
    if not (fits and can.forecasts and can.channels in (None, config.channels)):
        most = "any number of" if can.max_context is None else f"at most {can.max_context}"
        raise UserError(
            f"member '{name}' cannot follow {config.context} frames of {config.channels} channel(s): it takes "
            f"{most} frames, at least {can.min_context}, {can.channels or 'any'} channel(s)"
            f"{'' if can.forecasts else ', and predicts the frame between two'}"
        )


class BlendNet(nn.Module):
    """A small U-Net on folded pixels: logits of every candidate at every pixel, and a painted change.

    The head starts at zero with its bias on the first candidate, so an untrained mixture is near its first member.
    """

    def __init__(self, planes: int, candidates: int, painted: int, width: int, fold: int) -> None:
        super().__init__()
        widths = [width * 2**scale for scale in range(SCALES)]
        self.fold = fold
        self.down = nn.ModuleList(Layer(before, after) for before, after in pairwise([planes * fold**2, *widths]))
        self.middle = nn.ModuleList(Layer(widths[-1], widths[-1], dilation) for dilation in (1, 2, 4))
        self.up = nn.ModuleList(Layer(fine + coarse, fine) for fine, coarse in pairwise(widths))
        outputs = candidates + painted
        self.head = nn.Conv2d(width, outputs * fold**2, 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            first = HEAD_START * F.one_hot(torch.tensor(0), outputs)
            cast(Tensor, self.head.bias).copy_(first.repeat_interleave(fold**2))

    def forward(self, planes: Tensor) -> Tensor:
        """Return (B, candidates + painted, H, W) of planes (B, P, H, W), any H and W."""
        height, width = planes.shape[-2:]
        folded = F.pixel_unshuffle(pad_to_multiple(planes, self.fold), self.fold)
        maps, fine = folded.contiguous(memory_format=torch.channels_last), []
        for scale, layer in enumerate(self.down):
            if scale:
                fine.append(maps)
                maps = F.avg_pool2d(maps, 2, ceil_mode=True)
            maps = layer(maps)
        for layer in self.middle:
            maps = maps + layer(maps)
        for layer, skipped in zip(reversed(self.up), reversed(fine), strict=True):
            maps = F.interpolate(maps, scale_factor=2, mode="nearest")[..., : skipped.shape[-2], : skipped.shape[-1]]
            maps = layer(torch.cat([skipped, maps], dim=1))
        return F.pixel_shuffle(cast(Tensor, self.head(maps)), self.fold)[..., :height, :width]


class Layer(nn.Module):
    """A 3x3 convolution, a norm over the channels of each pixel, and a GELU."""

    def __init__(self, before: int, after: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = FastConv2d(before, after, 3, padding=dilation, dilation=dilation)
        self.norm = nn.LayerNorm(after)

    def forward(self, maps: Tensor) -> Tensor:
        """Read maps (B, before, H, W), return (B, after, H, W)."""
        normed: Tensor = self.norm(cast(Tensor, self.conv(maps)).permute(0, 2, 3, 1))
        return F.gelu(normed).permute(0, 3, 1, 2)
