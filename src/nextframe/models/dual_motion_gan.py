"""Dual-motion-gan: one generator paints the next frame, one predicts its flow; each is held to what the other made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import drawn_normal
from nextframe.flow.dis import dense_flow
from nextframe.flow.warp import backward_warp
from nextframe.layers.discriminators import Layers, PatchDiscriminator, frozen
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.halvings import COARSEST, PIXELS, Doublings, FlowEstimator
from nextframe.layers.motion_encoder import Motion, MotionEncoder, MotionState
from nextframe.layers.sampling import precise
from nextframe.losses.adversarial import Gan, accuracy, fooling, telling
from nextframe.losses.gradient_difference import gdl_paper
from nextframe.losses.latent import kl_standard_normal
from nextframe.losses.multiscale import distance
from nextframe.models.bases.rivals import Generated, in_turn
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
)

WON = 0.97  # a discriminator that is right this often has won
BETAS = (0.5, 0.999)  # of Adam, while there are adversaries
JUDGE = Layers((32, 64, 64), (3, 3, 3), (), (2, 2, 1))
Random = torch.Generator | None


class DualMotionGanConfig(ModelConfig):
    """Fields of `dual-motion-gan`; the defaults train on a CPU. With a weight of 0 its term is skipped."""

    channels: int = Field(3, ge=1, description="1 grey, 3 RGB")
    width: int = Field(16, ge=1, description="maps of each network's first layer; they double at each halving")
    latent: int = Field(32, ge=1, description="numbers that the motion has at each place")
    smooth: float = Field(0.1, ge=0, lt=1, description="in frames and gradients: gaps much below it cost their square")
    flow_smooth: float = Field(1.0, ge=0, description="the same in flows, in pixels")
    frame_weight: float = Field(1.0, ge=0, description="weight of the L1 of the painted, warped and fused frames")
    gradient_weight: float = Field(0.5, ge=0, description="weight of the gradient difference of the fused frame")
    flow_weight: float = Field(
        0.02, gt=0, description="weight of the L1 of the predicted flow and the two estimated ones, in pixels"
    )
    kl_weight: float = Field(1e-5, ge=0, description="weight of the motion's divergence from a standard normal")
    adversarial_weight: float = Field(0.003, ge=0, description="weight of the adversarial term; 0: no discriminators")
    gan: Gan = Field("hinge", description="form of the adversarial loss")
    spectral: bool = Field(True, description="spectral norm in the discriminators")
    pretrain: float = Field(0.5, ge=0, lt=1, description="the part of the run before the discriminators come in")
    g_lr: float = Field(1e-3, gt=0, description="learning rate of encoder, generators and flow estimator")
    d_lr: float = Field(4e-4, gt=0, description="learning rate of the discriminators")


class DualMotionGanOptions(ModelOptions):
    """What may be chosen when futures are drawn."""

    temperature: float = Field(0.0, ge=0, description="of the motion: 0 its mean, 1 drawn as learned")


class Coming(NamedTuple):
    """One step's frames (B, C, H, W), not clamped, and the flow (B, 2, H, W) from the coming frame to the last."""

    painted: Tensor
    flow: Tensor
    warped: Tensor
    fused: Tensor
    motion: Motion


class Step(NamedTuple):
    """A step of a clip: the true frame before, the frame generated from, target, true flow and what is predicted."""

    before: Tensor
    last: Tensor
    target: Tensor
    true_flow: Tensor
    coming: Coming
    estimated: Tensor  # flow from the painted frame to the frame that it was made from


class Shown(NamedTuple):
    """What the discriminators see: frames and flows, each beside the frame before; real ones and generated ones."""

    real_frames: Tensor
    made_frames: Tensor
    real_flows: Tensor
    made_flows: Tensor


class DualMotionGan(StreamingPredictor):
    """The dual motion GAN of Liang, Lee, Dai & Xing: frames and flows that teach each other.

    1. A probabilistic motion encoder reads the frames; the coming motion is a normal distribution at each place.
    2. From one draw of it, one generator paints the coming frame, another predicts the coming flow.
    3. The loop is closed both ways: a flow estimator reads (painted frame, last frame), and the last frame is warped
       along the predicted flow. Both frames and both flows are held to the truth, and two discriminators judge them.
    4. A convolution chooses between painted and warped frame at every pixel; the fused frame is the prediction.

    Flows point from the coming frame back to the last, so that the warp has no holes. In training the true flow is
    the extra `flow` of clips that have it (`moving-scenes`: exact); of all others, such as videos, it is estimated by
    DIS between true frames when the loss asks for it: no file has to be kept, it takes some milliseconds a frame, and
    it is the flow of the baseline `flow`. The paper took EpicFlow's. Nothing of it is seen when predicting.

    Of the paper its abstract and descriptions by others were at hand, so widths, depths and weights are ours; so are
    the maps of the last frame in both generators, and that the painted frame is a change of the last one.
    """

    Config: ClassVar[type[ModelConfig]] = DualMotionGanConfig
    Options: ClassVar[type[ModelOptions]] = DualMotionGanOptions
    config: DualMotionGanConfig
    idea: ClassVar[str] = "Paints the next frame and predicts its flow; each is held to what the other made of it."
    when = "To study frames and flow that teach each other."
    paper: ClassVar[str] = "Dual Motion GAN (Liang et al., ICCV 2017), arXiv 1708.00284"

    def __init__(self, config: DualMotionGanConfig) -> None:
        super().__init__(config)
        channels, width = config.channels, config.width
        self.encoder = MotionEncoder(channels, width, config.latent)
        self.frame_generator = Doublings(config.latent, width, channels)
        self.flow_generator = Doublings(config.latent, width, 2)
        self.estimator = FlowEstimator(channels, width)
        self.fusion = nn.Sequential(nn.Conv2d(3 * channels, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 1))
        self.judges = nn.ModuleList()  # of frames, of flows
        if config.adversarial_weight:
            self.judges.extend(PatchDiscriminator(channels + n, JUDGE, config.spectral) for n in (channels, 2))
        self._made: Generated[Shown] = Generated()

    @property
    def capabilities(self) -> Capabilities:
        """Any context from one frame on, any size and horizon; futures are drawn above temperature 0."""
        return Capabilities(channels=self.config.channels, causal=True)

    def draws(self, options: ModelOptions) -> bool:
        """Whether futures differ: at a temperature above 0."""
        assert isinstance(options, DualMotionGanOptions)
        return options.temperature > 0

    def unroll(self, request: Request) -> Iterator[Block]:
        """Feed each predicted frame back."""
        assert isinstance(request.options, DualMotionGanOptions)
        state, frame = self.prime(request.context[:, :-1]), request.context[:, -1]
        for _ in range(request.horizon):
            coming, state = self.advance(frame, state, request.options.temperature, request.generator)
            frame = coming.fused.clamp(0, 1)
            yield Block(frame.unsqueeze(1))

    def prime(self, context: Tensor) -> MotionState | None:
        """Read the context (B, T, C, H, W), T may be 0."""
        return self.read(context, None)[1] if context.shape[1] else None

    def step(self, state: MotionState | None, frame: Tensor) -> tuple[Tensor, MotionState]:
        """Read `frame` (B, C, H, W); return the frame after it, in [0, 1], for the mean motion, and the new state."""
        coming, state = self.advance(frame, state)
        return coming.fused.clamp(0, 1), state

    def read(self, frames: Tensor, state: MotionState | None) -> tuple[Motion, MotionState]:
        """Read frames (B, T, C, H, W), T >= 1; return the motion after the last of them and the new state."""
        padded = pad_to_multiple(frames, COARSEST)
        motion, memory = self.encoder(padded, state)
        return motion, MotionState(memory, padded[:, -1])

    def advance(
        self, frame: Tensor, state: MotionState | None, temperature: float = 0.0, generator: Random = None
    ) -> tuple[Coming, MotionState]:
        """Read `frame` (B, C, H, W); return all that is generated for the frame after it, and the new state."""
        motion, state = self.read(frame.unsqueeze(1), state)
        drawn = drawn_normal(motion.mean, motion.log_sigma, temperature, generator)
        height, width = frame.shape[-2:]
        change = self.frame_generator(drawn, motion.maps)[..., :height, :width]
        flow = self.flow_generator(drawn, motion.maps)[..., :height, :width] * PIXELS
        return self.combined(frame, frame + change, flow, motion), state

    def combined(self, last: Tensor, painted: Tensor, flow: Tensor, motion: Motion) -> Coming:
        """Return a painted frame (B, C, H, W) and a flow (B, 2, H, W) with the last frame warped, and both fused."""
        warped = backward_warp(last, flow.to(last.dtype))
        share = precise(self.fusion(torch.cat([painted, warped, last], dim=1) - 0.5)).sigmoid()
        return Coming(painted, flow, warped, share * warped + (1 - share) * painted, motion)

    def features(self, clip: Clip) -> Tensor:
        """Return (B, D): the mean motion after the context, averaged over space."""
        return self.read(clip.context, None)[0].mean.mean((2, 3))

    def stages(self) -> list[Stage]:
        """Without discriminators one stage; with them the generators alone first, then both in turn."""
        config, judges = self.config, list(self.judges.parameters())
        generators = [p for name, p in self.named_parameters() if not name.startswith("judges.")]
        alone = Objective("generators", generators, self.content_loss, OptimizerDefaults("adam", config.g_lr))
        if not judges:
            return [Stage("train", [alone])]
        rates = (OptimizerDefaults("adam", lr, betas=BETAS) for lr in (config.g_lr, config.d_lr))
        rivals = [
            Objective("generators", generators, self.generator_loss, next(rates)),
            Objective("discriminators", judges, self.discriminator_loss, next(rates)),
        ]
        return in_turn(alone, rivals, config.pretrain)

    def content_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted terms but the adversarial one, means over all target frames, and each term to log."""
        return self._content(list(self._steps(clip)))

    def generator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the content loss plus what the discriminators cost; its gradient reaches no discriminator."""
        steps = list(self._steps(clip))
        shown, (loss, logs) = _shown(steps), self._content(steps)
        self._made.keep(clip, Shown(*(maps.detach() for maps in shown)))
        made = shown.made_frames, shown.made_flows
        with frozen(self.judges.parameters()):
            scores = [judge(maps) for judge, maps in zip(self.judges, made, strict=True)]
        fooled = torch.stack([fooling(score, self.config.gan) for score in scores]).sum()
        return loss + self.config.adversarial_weight * fooled, {**logs, "adversarial": fooled.detach()}

    def discriminator_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what both discriminators' mistakes cost them, and how often each is right, in [0, 1]."""
        shown, losses, logs = self._shown_of(clip), [], {}
        pairs = {"frame": (shown.real_frames, shown.made_frames), "flow": (shown.real_flows, shown.made_flows)}
        for judge, (name, (real, made)) in zip(self.judges, pairs.items(), strict=True):
            scores = judge(real), judge(made)
            losses.append(telling(*scores, self.config.gan))
            logs[f"{name}_accuracy"] = accuracy(*scores).detach()
        return torch.stack(losses).sum(), logs

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """Warn if a discriminator has won, by the means of a log line."""
        for name in ("frame", "flow"):
            if logs.get(f"train/discriminators/{name}_accuracy", 0.0) >= WON:
                return f"the {name} discriminator wins: the generators learn little from it; try a lower model.d_lr"
        return None

    def true_flows(self, clip: Clip) -> Tensor:
        """Return the flow (B, H', 2, H, W), in pixels, from each target frame to the true frame before it."""
        known = clip.knows("flow")
        given = clip.extras["flow"][:, :, -2:] if "flow" in clip.extras else None
        if given is not None and known.all():
            return given
        after, before = clip.target.flatten(0, 1), clip.frames[:, -clip.horizon - 1 : -1].flatten(0, 1)
        found = dense_flow(after, before).to(after.dtype)
        found = found.reshape(len(clip), clip.horizon, *found.shape[1:])
        return found if given is None else torch.where(known.view(-1, 1, 1, 1, 1), given, found)

    def _steps(self, clip: Clip) -> Iterator[Step]:
        """Yield the steps of a clip; frames after the first are generated from the model's own."""
        state, last, before = self.prime(clip.context[:, :-1]), clip.context[:, -1], clip.context[:, -1]
        for target, flow in zip(clip.target.unbind(1), self.true_flows(clip).unbind(1), strict=True):
            coming, state = self.advance(last, state, temperature=1.0)
            yield Step(before, last, target, flow, coming, self.estimator(coming.painted, last))
            last, before = coming.fused.clamp(0, 1), target

    def _content(self, steps: Sequence[Step]) -> tuple[Tensor, dict[str, Tensor]]:
        each = [self._terms(step) for step in steps]
        terms = {name: torch.stack([one[name] for one in each]).mean() for name in each[0]}
        weighted = [getattr(self.config, f"{name}_weight") * term for name, term in terms.items()]
        return torch.stack(weighted).sum(), {name: term.detach() for name, term in terms.items()}

    def _terms(self, step: Step) -> dict[str, Tensor]:
        """Return each term of the content loss of one step, not weighted, by the name of its weight."""
        coming, motion = step.coming, step.coming.motion
        frames, smooth = (coming.painted, coming.warped, coming.fused), self.config.smooth
        flows = coming.flow, step.estimated, self.estimator(step.target, step.before)
        mean, log_sigma = motion.mean.movedim(1, -1), motion.log_sigma.movedim(1, -1)
        return {
            "frame": torch.stack([distance(frame, step.target, 1, smooth) for frame in frames]).sum(),
            "gradient": gdl_paper(coming.fused, step.target, 1.0, smooth),
            "flow": torch.stack([distance(flow, step.true_flow, 1, self.config.flow_smooth) for flow in flows]).sum(),
            "kl": kl_standard_normal(mean, log_sigma),
        }

    def _shown_of(self, clip: Clip) -> Shown:
        """Return what was generated for `clip` for the generators' own loss a moment ago, or generate it again."""
        return self._made.take(clip, lambda: _shown(list(self._steps(clip))))


def _shown(steps: Sequence[Step]) -> Shown:
    """Return both frames and both flows of every step for the discriminators, real ones once."""
    real = [(step.before, step.target, step.true_flow / PIXELS) for step in steps]
    made = [(step.last, step.coming.painted, step.coming.flow / PIXELS) for step in steps]
    made += [(step.last, step.coming.warped, step.estimated / PIXELS) for step in steps]
    groups = []
    for triples in (real, made):
        before, frames, flows = (torch.cat(maps) for maps in zip(*triples, strict=True))
        groups.append((torch.cat([before, frames], dim=1), torch.cat([before, flows], dim=1)))
    (real_frames, real_flows), (made_frames, made_flows) = groups
    return Shown(real_frames, made_frames, real_flows, made_flows)
