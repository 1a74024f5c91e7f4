"""Sprites: a few objects, cut out of the context, found again in each of its frames, and moved on along their paths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.config import odd_side
from nextframe.layers.dense_mix import start_near_zero
from nextframe.layers.grid import pad_to_multiple, places
from nextframe.layers.mixing import ProductStem, mix_block
from nextframe.layers.paths import Ahead, PathPredictor, mirrored, surprise
from nextframe.layers.sampling import precise
from nextframe.layers.waves import Plane
from nextframe.models.contract import (
    Block,
    Capabilities,
    ModelConfig,
    ModelOptions,
    Objective,
    OptimizerDefaults,
    Predictor,
    Request,
    Stage,
)

DARKEST = 0.02  # an image starts from the logit of what was seen on average, which must be finite
BRIGHT = 30.0  # logits of a white place before training: objects are where it is bright


class SpritesConfig(ModelConfig):
    """Fields of `sprites`; the defaults are those of the fast run on Moving MNIST."""

    context: int = Field(10, ge=2, description="context frames, exactly")
    horizon: int = Field(10, ge=1, description="frames that are predicted if nothing else is asked for")
    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    objects: int = Field(2, ge=1, description="how many objects there are at most")
    object_size: int = Field(32, ge=4, description="side of an object's image in pixels, even")
    looks: int = Field(1, ge=0, description="how often objects are looked for by what was cut out before, in training")
    patch: int = Field(4, ge=1, description="side of the square of pixels that is folded into channels")
    width: int = Field(64, ge=1, description="channels of the network that first guesses where objects are")
    blocks: int = Field(6, ge=1, description="its mixing blocks")
    kernel: int = Field(5, ge=1, description="side of its square kernels, in patches, odd")
    reach: int = Field(15, ge=1, description="length of its line kernels, in patches, odd")
    pairs: int = Field(64, ge=1, description="products of two convolutions in its stem")
    hidden: int = Field(64, ge=1, description="units of the network that predicts paths")
    symmetric: bool = Field(True, description="no side is special: paths mirrored and turned are learned from too")
    context_weight: float = Field(1.0, ge=0, description="of the context's error in the loss")
    path_weight: float = Field(0.03, ge=0, description="of the paths' surprise in the loss")

    _odd = field_validator("kernel", "reach")(odd_side)

    @field_validator("object_size")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


class SpritesOptions(ModelOptions):
    """What may be chosen when futures are predicted."""

    looks: int = Field(4, ge=0, description="how often objects are looked for; each makes places surer, and takes time")


@dataclass(frozen=True)
class Scene:
    """What was found in a context, as waves of `plane`."""

    plane: Plane
    images: Tensor  # (B, K, 1, C, H, W / 2 + 1)
    where: Tensor  # (B, K, T, 1, H, W / 2 + 1)
    middles: Tensor  # (B, K, 1, 2): the centre of mass of each image, from the image's middle
    places: Tensor  # (B, K, T, 2): where that centre is in each frame
    sure: Tensor  # (B, K, T), the share of the likeliest pixel


class Guess(nn.Module):
    """Says of every patch how likely each object is there in each frame; all frames are read at once."""

    def __init__(self, config: SpritesConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        inputs = config.context * config.channels * config.patch**2 + 2  # and where each patch is
        self.stem = ProductStem(inputs, width, config.pairs)
        self.blocks = nn.Sequential(
            *(mix_block(width, config.kernel, config.reach, n, gated=True) for n in range(config.blocks))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.objects * config.context)
        start_near_zero(self.head)
        self.bright = nn.Parameter(torch.tensor(1.0))

    def forward(self, context: Tensor) -> Tensor:
        """Return logits (B, K, T, H, W) of a context (B, T, C, H, W), its sides multiples of the patch."""
        folded = F.pixel_unshuffle(context.flatten(1, 2), self.config.patch)
        folded = torch.cat([folded, places(folded)], dim=1).contiguous(memory_format=torch.channels_last)
        said = self.head(self.norm(self.blocks(self.stem(folded)).permute(0, 2, 3, 1)))  # (B, h, w, K T)
        coarse = precise(said).permute(0, 3, 1, 2)
        coarse = coarse.reshape(-1, self.config.objects, self.config.context, *coarse.shape[2:])
        coarse = coarse + BRIGHT * self.bright * self._brightness(context)[:, None]
        fine = F.interpolate(coarse.flatten(1, 2), size=context.shape[-2:], mode="bilinear")
        return fine.reshape(*coarse.shape[:3], *fine.shape[-2:])

    def _brightness(self, context: Tensor) -> Tensor:
        """Return how bright patches (B, T, h, w) and those around them are."""
        grey = F.avg_pool2d(context.mean(2), self.config.patch)
        for _ in range(2):
            grey = F.avg_pool2d(grey, 3, stride=1, padding=1)
        return grey


class Cutter(nn.Module):
    """Makes one image of what was seen of an object in all frames: what is there in most of them is the object's.

    Pixels are sorted over frames, so that it does not matter in which of them something else was in sight.
    """

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d((context + 1) * channels, 64, 5, padding=2)
        self.second = nn.Conv2d(32, 64, 3, padding=1)
        self.last = nn.Conv2d(32, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(cast(Tensor, self.last.bias))

    def forward(self, seen: Tensor) -> Tensor:
        """Return images (N, C, S, S) in [0, 1] of what was seen, (N, T, C, S, S)."""
        mean = seen.mean(1)
        hidden = torch.cat([seen.sort(dim=1).values.flatten(1, 2), mean], dim=1)
        for layer in (self.first, self.second):
            first, second = layer(hidden).chunk(2, dim=1)
            hidden = first * second.sigmoid()
        return (precise(self.last(hidden)) + mean.clamp(DARKEST, 1 - DARKEST).logit()).sigmoid()


class Sprites(Predictor):
    """Objects over black, each an image that stays and a path.

    Images and places are found by turns, as in the transformed mixtures of Frey & Jojic 2003, from a guess that a
    network makes: what is seen where an object may be is averaged over frames and cleaned, and the image is looked
    for everywhere, in what the other objects leave. That takes a few Fourier transforms and gives places to the pixel.
    A recurrent network learns their paths, also from where the images are found in the future, which is known in
    training. Objects that overlap are drawn as independent chances; what leaves a frame comes in at the other side.
    """

    Config: ClassVar[type[ModelConfig]] = SpritesConfig
    Options: ClassVar[type[ModelOptions]] = SpritesOptions
    idea: ClassVar[str] = "Cuts objects out of the context, finds them in its frames, and moves them along their paths."
    when = "A few objects that keep their looks over a black ground: they stay sharp however far ahead."
    paper: ClassVar[str] = "After Frey & Jojic, PAMI 2003, and DDPAE (Hsieh et al., NeurIPS 2018)"
    config: SpritesConfig
    not_in_onnx: ClassVar[str] = "it computes with complex numbers, which torch does not write to ONNX"
    loss_fields: ClassVar[frozenset[str]] = frozenset({"symmetric", "context_weight", "path_weight"})

    def __init__(self, config: SpritesConfig) -> None:
        super().__init__(config)
        self.guess = Guess(config)
        self.cutter = Cutter(config.context, config.channels)
        self.paths = PathPredictor(config.hidden)
        self.sharpness = nn.Parameter(torch.tensor(math.log(0.3)))  # log of what a pixel that fits adds to a logit
        self.trust = nn.Parameter(torch.tensor(1.0))  # in the guess, once objects were looked for

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any size, any horizon."""
        return Capabilities.exactly(self.config.context, self.config.channels)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Find the objects, then draw frame after frame where their paths lead."""
        height, width = request.context.shape[-2:]
        assert isinstance(request.options, SpritesOptions)
        scene = self.scene(request.context, request.options.looks)
        path = self.ahead(scene, request.horizon)
        for index in range(request.horizon):
            spots = self.spots(scene, Ahead(path.places[:, :, [index]], path.sigma[:, :, [index]]))
            yield Block(merged(scene.plane.maps(spots * scene.images))[..., :height, :width])

    def scene(self, context: Tensor, looks: int) -> Scene:
        """Return the objects of a context (B, T, C, H, W): what they look like and where they are, after `looks`."""
        frames = pad_to_multiple(context, self.config.patch)
        plane = Plane(*frames.shape[-2:])
        guess = self.guess(frames)
        where, seen = _chances(guess), plane.waves(frames)[:, None]
        waves = plane.waves(where)[:, :, :, None]
        images = self.cut(plane, seen, waves)
        for _ in range(looks):
            likeness = self.likeness(plane, frames, plane.image_waves(images), waves)
            where = _chances(self.trust * guess + likeness)
            waves = plane.waves(where)[:, :, :, None]
            images = self.cut(plane, seen, waves)
        # Where in its image an object lies is the guess's to choose; its centre of mass is the object's own, so that
        # walls are where they are for every object.
        middles = mass_centre(images.mean(3)).detach()
        places = (plane.places(where) + middles).detach()
        sure = where.flatten(3).amax(-1).detach()
        return Scene(plane, plane.image_waves(images), waves, middles, places, sure)

    def cut(self, plane: Plane, seen: Tensor, where: Tensor) -> Tensor:
        """Return images (B, K, 1, C, S, S) of what is at (B, K, T, 1, H, ...) in frames (B, 1, T, C, H, ...)."""
        looks = plane.images(seen * where.conj(), self.config.object_size)  # (B, K, T, C, S, S)
        return self.cutter(looks.flatten(0, 1)).unflatten(0, (*looks.shape[:2], 1))  # type: ignore[no-any-return]

    def likeness(self, plane: Plane, frames: Tensor, images: Tensor, where: Tensor) -> Tensor:
        """Return logits (B, K, T, H, W): how well each image fits to what the others leave of the frames."""
        with torch.no_grad():
            drawn = plane.maps(images * where)  # (B, K, T, C, H, W)
            others = drawn.sum(1, keepdim=True) - drawn
            left = plane.waves((precise(frames)[:, None] - others).clamp(0, 1))
        return self.sharpness.exp() * plane.maps(left * images.conj()).sum(3)

    def ahead(self, scene: Scene, horizon: int) -> Ahead:
        """Return where objects are expected after the context: (B, K, horizon, 2) and (B, K, horizon)."""
        expected = self._follow(scene.places.flatten(0, 1), scene.sure.flatten(0, 1), scene.plane.size, horizon)
        return Ahead(
            *(part[:, -horizon:].reshape(*scene.sure.shape[:2], horizon, *part.shape[2:]) for part in expected)
        )

    def spots(self, scene: Scene, path: Ahead) -> Tensor:
        """Return the waves (B, K, T, 1, H, ...) of the places of `path`."""
        return scene.plane.spots(path.places - scene.middles, path.sigma).unsqueeze(3)

    def components(self, context: Tensor, horizon: int) -> Tensor:
        """Return the objects (B, T + horizon, K, C, H, W), each by itself, of a context and of its future."""
        drawn = self.drawn(self.scene(context, SpritesOptions().looks), horizon).clamp(0, 1).transpose(1, 2)
        return drawn[..., : context.shape[-2], : context.shape[-1]]

    def drawn(self, scene: Scene, horizon: int) -> Tensor:
        """Return the objects (B, K, T + horizon, C, H, W) of the context and of its future, on the whole plane."""
        where = torch.cat([scene.where, self.spots(scene, self.ahead(scene, horizon))], dim=2)
        return scene.plane.maps(where * scene.images)

    def stages(self) -> list[Stage]:
        """One stage, one objective: squared errors of context and future, and how surprising the paths are."""
        optimizer = OptimizerDefaults("muon-kernels", lr=0.01, betas=(0.9, 0.99))
        return [Stage("predict", [Objective("sprites", list(self.parameters()), self._loss, optimizer)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        height, width = clip.context.shape[-2:]
        scene = self.scene(clip.context, self.config.looks)
        error = (merged(self.drawn(scene, clip.horizon))[..., :height, :width] - clip.frames).square()
        past, future = error[:, : clip.context.shape[1]].mean(), error[:, clip.context.shape[1] :].mean()
        path = self._surprise(scene, clip.target)
        loss = future + self.config.context_weight * past + self.config.path_weight * path
        return loss, {"loss": loss.detach(), "mse": future.detach(), "context": past.detach(), "path": path.detach()}

    def _surprise(self, scene: Scene, future: Tensor) -> Tensor:
        """Return how surprising the paths are: each place of context and future, given those before it."""
        found, sure = self._found(scene, pad_to_multiple(future, self.config.patch))
        known = scene.places.shape[2]
        path = torch.cat([scene.places, found], dim=2).flatten(0, 1)
        weight = torch.cat([scene.sure, sure], dim=2).flatten(0, 1)
        paths = mirrored(path, scene.plane.size) if self.config.symmetric else path
        weight = weight.repeat(len(paths) // len(path), 1)
        expected = self._follow(paths[:, :known], weight[:, :known], scene.plane.size, found.shape[2])
        each = surprise(Ahead(expected.places[:, 1:], expected.sigma[:, 1:]), paths[:, 2:])  # from two places on
        return (each * weight[:, 2:]).mean()

    @torch.no_grad()
    def _found(self, scene: Scene, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the objects are in frames (B, T, C, H, W) that were not read: (B, K, T, 2), and how sure."""
        plane, nowhere = scene.plane, scene.images.new_zeros(())
        where = _chances(self.likeness(plane, frames, scene.images, nowhere))
        where = _chances(self.likeness(plane, frames, scene.images, plane.waves(where)[:, :, :, None]))
        return plane.places(where) + scene.middles, where.flatten(3).amax(-1)

    def _follow(self, path: Tensor, sure: Tensor, size: tuple[int, int], horizon: int) -> Ahead:
        """Ask the path predictor in full precision: pixels do not fit into what autocast works in."""
        with torch.autocast(path.device.type, enabled=False):
            return cast(Ahead, self.paths(path, sure, size, horizon))


def merged(drawn: Tensor) -> Tensor:
    """Return frames (B, T, C, H, W) of objects (B, K, T, C, H, W): dark where every object leaves them dark."""
    return 1 - (1 - drawn.clamp(0, 1)).prod(1)


def mass_centre(images: Tensor) -> Tensor:
    """Return the centre of mass (..., 2) of images (..., S, S), as (row, column) from the pixel S // 2."""
    side = images.shape[-1]
    along = torch.arange(side, device=images.device, dtype=images.dtype) - side // 2
    mass = images.sum((-2, -1)).clamp_min(1e-6)
    return torch.stack([images.sum(-1) @ along / mass, images.sum(-2) @ along / mass], dim=-1)


def _chances(logits: Tensor) -> Tensor:
    """Return maps (..., H, W) that sum to 1."""
    return logits.flatten(-2).softmax(-1).view_as(logits)
