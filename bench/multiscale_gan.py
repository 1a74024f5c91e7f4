"""Compare training of `mathieu-paper` with a plain port of its layers, and write results/bench-multiscale-gan.json.

The plain port is what one writes first: `nn.Conv2d` in eager PyTorch, float32, channels first, a gradient for every
weight that takes part. Both have the same weights and see the same batch in turns; a step is the generator's update,
then the discriminators' on the frames that were made for it. Losses of the first step must agree. Also measured is
one frame of 210x160 from four.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.seeds.seeding import seed_everything
from nextframe.evaluation import run_facts
from nextframe.models.contract import Predictor

BATCH = 8
CPU_GOAL = 4.0  # on a processor with AMX
SECONDS_GOAL = 1.0
SIZES: dict[str, dict[str, Any]] = {
    "paper (12.6 M)": {"width": 128, "d_table": "ports"},
    "authors' script (0.2 M)": {"width": 16, "d_table": "authors"},
}


class PlainPort:
    """The same networks and losses, with no care for speed."""

    def __init__(self, model: Predictor) -> None:
        self.stacks = [self._copy(stack) for stack in model.generator.stacks]
        self.judges = [self._copy(judge.layers) for judge in model.discriminators]
        generator = [p for stack in self.stacks for p in stack.parameters()]
        self.optimizers = [
            torch.optim.SGD(generator, lr=0.04),
            torch.optim.SGD([p for judge in self.judges for p in judge.parameters()], lr=0.02),
        ]

    @staticmethod
    def _copy(layers: nn.Sequential) -> nn.Sequential:
        """Build the same layers again: plain convolutions, weights in channels-first order."""
        made = []
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                inputs, outputs = layer.in_channels, layer.out_channels
                new: nn.Module = nn.Conv2d(inputs, outputs, layer.kernel_size, padding=layer.padding)
            elif isinstance(layer, nn.Linear):
                new = nn.Linear(layer.in_features, layer.out_features)
            else:
                new = type(layer)(2) if isinstance(layer, nn.MaxPool2d) else type(layer)()
            new.load_state_dict({name: value.contiguous() for name, value in layer.state_dict().items()})
            made.append(new)
        return nn.Sequential(*made)

    def frames(self, context: Tensor) -> list[Tensor]:
        """Return the next frame at every scale for context (B, 12, H, W) in [-1, 1]."""
        height, width = context.shape[-2:]
        images: list[Tensor] = []
        for power, stack in zip((3, 2, 1, 0), self.stacks, strict=True):
            given = F.adaptive_avg_pool2d(context, (height >> power, width >> power))
            if not images:
                images.append(torch.tanh(stack(given)))
                continue
            guess = F.interpolate(images[-1], size=given.shape[-2:])
            images.append(torch.tanh(stack(torch.cat([given, guess], 1)) + guess))
        return images

    def scores(self, context: Tensor, images: list[Tensor]) -> list[Tensor]:
        """Return the logits of every scale."""
        given = [F.adaptive_avg_pool2d(context, image.shape[-2:]) for image in images]
        return [judge(torch.cat(pair, 1)) for judge, *pair in zip(self.judges, given, images, strict=True)]

    def step(self, clip: Clip) -> list[float]:
        """Train on a batch and return both losses."""
        context, target = clip.context.flatten(1, 2) * 2 - 1, clip.target[:, 0] * 2 - 1
        images = self.frames(context)
        truths = [F.adaptive_avg_pool2d(target, image.shape[-2:]) for image in images]
        loss = torch.zeros(())
        for image, truth, score in zip(images, truths, self.scores(context, images), strict=True):
            loss = loss + F.l1_loss(image, truth) + 0.05 * F.binary_cross_entropy_with_logits(score, score * 0 + 1)
            for axis in (-1, -2):
                gap = truth.diff(dim=axis).abs() - image.diff(dim=axis).abs()
                loss = loss + gap.abs().sum() / truth.numel()
        self._update(self.optimizers[0], loss)
        judged = torch.zeros(())
        made = [image.detach() for image in images]
        for real, fake in zip(self.scores(context, truths), self.scores(context, made), strict=True):
            judged = judged + F.binary_cross_entropy_with_logits(real, real * 0 + 1)
            judged = judged + F.binary_cross_entropy_with_logits(fake, fake * 0)
        self._update(self.optimizers[1], judged)
        return [loss.item(), judged.item()]

    @staticmethod
    def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def predict(self, context: Tensor) -> Tensor:
        """Return the next frame in [0, 1] of a context (1, 4, 3, H, W)."""
        with torch.no_grad():
            return (self.frames(context.flatten(1, 2) * 2 - 1)[-1] + 1) / 2


class Ours:
    """The model as it is trained."""

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self.objectives = sorted(model.stages()[-1].objectives, key=lambda o: o.name != "generator")
        rates = (0.04, 0.02)
        self.optimizers = [
            torch.optim.SGD(o.parameters, lr=rate) for o, rate in zip(self.objectives, rates, strict=True)
        ]

    def step(self, clip: Clip) -> list[float]:
        """Train on a batch and return both losses."""
        losses = []
        for objective, optimizer in zip(self.objectives, self.optimizers, strict=True):
            optimizer.zero_grad()
            loss, _ = objective.loss(clip)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def predict(self, context: Tensor) -> Tensor:
        """Return the next frame in [0, 1]."""
        return self.model.predict(context, 1)[:, 0]


def compare(name: str, fields: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return the seconds of both, step by step in turns, and how far their results are apart."""
    seed_everything(0, "bench")
    model = create_model("mathieu-paper", **fields)
    plain, ours = PlainPort(model), Ours(model)
    clip = Clip(torch.rand(BATCH, 4, 3, 32, 32), torch.rand(BATCH, 1, 3, 32, 32))
    first = [timed(lambda: plain.step(clip)), timed(lambda: ours.step(clip))]  # to warm up, and to compare
    for mine, theirs in zip(first[0][1], first[1][1], strict=True):
        assert abs(mine - theirs) < 1e-4, f"not the same network: losses {mine} and {theirs}"
    steps = [(timed(lambda: plain.step(clip))[0], timed(lambda: ours.step(clip))[0]) for _ in range(rounds)]
    model.eval()
    plain = PlainPort(model)
    context = torch.rand(1, 4, 3, 210, 160)
    gap = float((plain.predict(context) - ours.predict(context)).abs().max())
    frames = [
        (timed(lambda: plain.predict(context))[0], timed(lambda: ours.predict(context))[0]) for _ in range(rounds)
    ]
    seconds = [median(pair[place] for pair in steps) for place in (0, 1)]
    ratios = sorted(a / b for a, b in steps)
    return {
        "model": name,
        "batch": BATCH,
        "clips/s plain": round(BATCH / seconds[0], 2),
        "clips/s nextframe": round(BATCH / seconds[1], 2),
        "ratio": round(seconds[0] / seconds[1], 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "first losses": {"plain": first[0][1], "nextframe": first[1][1]},
        "seconds a frame of 210x160, plain": round(median(a for a, _ in frames), 3),
        "seconds a frame of 210x160, nextframe": round(median(b for _, b in frames), 3),
        "largest difference of a pixel": gap,
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that `work` took, and what it returned."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("results/bench-multiscale-gan.json"))
    given = parser.parse_args()
    started = time.monotonic()
    rows = [compare(name, fields, given.rounds) for name, fields in SIZES.items()]
    goals = {"ratio, of a processor with AMX": CPU_GOAL, "seconds a frame": SECONDS_GOAL}
    facts = run_facts(None, 0, started) | {"threads": torch.get_num_threads(), "goals": goals}
    given.json.write_text(json.dumps({"rows": rows, "run": facts}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
