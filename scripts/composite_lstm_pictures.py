"""Look into the state of a trained `composite-lstm`: images in docs/media and numbers in a results file.

Reconstructions beside the future, long roll-outs, clips of 1 and 3 digits for a model trained on 2, clips without one
of their digits, and what the weights look like. Clips are those of the validation split, never of test.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextframe.checkpoint import load_model
from nextframe.core.clip import Clip
from nextframe.data import DataConfig, open_data
from nextframe.evaluation.run_facts import run_facts
from nextframe.metrics import METRICS
from nextframe.models.composite_lstm import CompositeLSTM

CROSS_ENTROPY = METRICS.get("cross-entropy")
SHOWN = 3  # clips in an image
LONG = 100
GREY = 0.35  # of the lines between frames


def clips(args: argparse.Namespace, digits: int, count: int = 64, horizon: int = 10) -> Clip:
    """Return validation clips with so many digits."""
    data = DataConfig(context=10, horizon=horizon, size=(64, 64), options={"digits": args.digits, "count": digits})
    return open_data(data).read("val", np.arange(count)).to("cpu")


def strip(frames: Tensor) -> Tensor:
    """Return (H, T (W + 1)) of frames (T, C, H, W), with lines between them."""
    lined = torch.nn.functional.pad(frames[:, 0], (0, 1), value=GREY)
    return lined.permute(1, 0, 2).flatten(1)


def stack(rows: list[Tensor]) -> Tensor:
    """Return rows (H, W) on top of each other, with lines between them."""
    return torch.cat([torch.nn.functional.pad(row, (0, 0, 0, 1), value=GREY) for row in rows])


def save(image: Tensor, path: Path, colors: int = 16) -> None:
    """Write an image (H, W) in [0, 1] as a small grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = (image.clamp(0, 1) * (colors - 1)).round() / (colors - 1)
    Image.fromarray((levels.numpy() * 255).round().astype(np.uint8)).save(path, optimize=True)


def both_ways(model: CompositeLSTM, clip: Clip) -> Tensor:
    """Return the reconstruction and the predicted future in one sequence (B, T + H, C, H, W)."""
    return torch.cat([model.reconstruct(clip.context), model.predict(clip.context, clip.horizon)], dim=1)


def pairs(model: CompositeLSTM, clip: Clip) -> Tensor:
    """Return the image of some clips: the truth, and under it what the state kept and expects."""
    painted = both_ways(model, clip[:SHOWN])
    rows = [strip(part[b]) for b in range(SHOWN) for part in (clip.frames, painted)]
    return stack(rows)


def scores(model: CompositeLSTM, clip: Clip) -> dict[str, float]:
    """Return cross-entropies per frame, and those of the mean frame of these very clips, which sees nothing."""
    mean = clip.frames.mean((0, 1), keepdim=True)
    return {
        "reconstruction": float(CROSS_ENTROPY(model.reconstruct(clip.context), clip.context).mean()),
        "future": float(CROSS_ENTROPY(model.predict(clip.context, clip.horizon), clip.target).mean()),
        "mean frame": float(CROSS_ENTROPY(mean.expand_as(clip.target), clip.target).mean()),
    }


def long_roll_out(args: argparse.Namespace, model: CompositeLSTM) -> dict[str, Any]:
    """Paint 100 steps; save some of them and a GIF, and return the error at some steps."""
    clip = clips(args, 2, 32, LONG)
    future = model.predict(clip.context, LONG)
    steps = [0, 4, 9, 19, 29, 39, 49, 59, 69, 79, 89, 99]
    rows = [strip(part[b, steps]) for b in range(SHOWN) for part in (clip.target, future)]
    save(stack(rows), args.media / "composite-lstm-long.png")
    frames = [stack([strip(clip.target[:SHOWN, t]), strip(future[:SHOWN, t])]) for t in range(LONG)]
    images = [Image.fromarray((f.clamp(0, 1).numpy() * 255).astype(np.uint8)).quantize(16) for f in frames]
    images[0].save(args.media / "composite-lstm-long.gif", save_all=True, append_images=images[1:], duration=80, loop=0)
    errors = CROSS_ENTROPY(future, clip.target).mean(0)
    brightness = future.mean((0, 2, 3, 4)) / clip.target.mean()
    return {
        str(t + 1): {"cross-entropy": float(errors[t]), "brightness, share of the truth's": float(brightness[t])}
        for t in steps
    }


def without_one(args: argparse.Namespace, model: CompositeLSTM) -> dict[str, float]:
    """Take one of two digits away: does the rest of the state, and of the image, stay?

    A and B are clips of one digit, AB their maximum. Were the state a sum of objects, s(AB) - s(B) would be
    s(A) - s(empty): their cosine says how far it is. The control is the same with another clip's A.
    """
    single = clips(args, 1, 64)
    first, second = single[:32], single[32:]
    both = Clip(torch.maximum(first.context, second.context), torch.maximum(first.target, second.target))
    rows = []
    painted = {name: both_ways(model, clip) for name, clip in (("both", both), ("first", first), ("second", second))}
    for b in range(SHOWN - 1):
        rows += [strip(both.frames[b])] + [strip(painted[name][b]) for name in ("both", "first", "second")]
    save(stack(rows), args.media / "composite-lstm-ablation.png")
    with torch.no_grad():
        s = {"both": _cells(model, both), "first": _cells(model, first), "second": _cells(model, second)}
        empty = _cells(model, Clip(torch.zeros_like(first.context[:1]), torch.zeros_like(first.target[:1])))
    left, alone = s["both"] - s["second"], s["first"] - empty
    merged = torch.maximum(painted["first"], painted["second"])
    return {
        "cosine of what a digit adds, beside another and alone": _cosine(left, alone),
        "control: what another clip's digit adds": _cosine(left, alone.roll(1, 0)),
        "mse, painted together against painted apart": float((painted["both"] - merged).square().mean()),
        "mse, painted together against the truth": float((painted["both"] - both.frames).square().mean()),
    }


def _cells(model: CompositeLSTM, clip: Clip) -> Tensor:
    """Return every layer's last cell (B, sum of units)."""
    return torch.cat([cell for _, cell in model.encode(clip.context)[1]], dim=1)


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b).mean())


def weights(model: CompositeLSTM, path: Path, count: int = 12) -> None:
    """Save the encoder's input-gate weights of the units that use the input most, then what units paint."""
    units = model.config.hidden[0]
    gate = model.encoder.layers[0].input_weight.detach()[:units]  # the input gate comes first
    rows = [_tiles(gate, model, count)]
    for decoder in (model.backward_decoder, model.future_decoder):
        if decoder is not None:
            rows.append(_tiles(decoder.output.weight.detach().T, model, count))
    save(stack(rows), path, colors=32)


def _tiles(found: Tensor, model: CompositeLSTM, count: int) -> Tensor:
    """Return the largest of weights (units, pixels) as a strip of frames; grey is zero."""
    strongest = found[found.norm(dim=1).argsort(descending=True)[:count]]
    size = (model.config.channels, model.config.frame_height, model.config.frame_width)
    frames = strongest.view(count, *size)
    reach = frames.abs().amax((1, 2, 3), keepdim=True)
    return strip(0.5 + 0.5 * frames / reach)


def main() -> None:
    """Make every image and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run folder of composite-lstm, trained on two moving digits")
    parser.add_argument("--digits", default="../shared/data/mnist")
    parser.add_argument("--media", type=Path, default=Path("docs/media"))
    parser.add_argument("--out", type=Path, default=Path("results/composite-lstm-state.json"))
    args, begin = parser.parse_args(), time.monotonic()
    model = load_model(args.run).eval()
    assert isinstance(model, CompositeLSTM)
    found: dict[str, Any] = {"config": model.config.model_dump(), "training": _training(args.run)}
    found["cross-entropy per frame, nats, 64 val clips"] = {
        f"{digits} digit(s)": scores(model, clips(args, digits)) for digits in (1, 2, 3)
    }
    for digits in (1, 2, 3):
        save(pairs(model, clips(args, digits)), args.media / f"composite-lstm-{digits}.png")
    found["long roll-out, by step"] = long_roll_out(args, model)
    found["without one digit"] = without_one(args, model)
    weights(model, args.media / "composite-lstm-weights.png")
    found["run"] = run_facts("python scripts/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), 0, begin)
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(args.out)


def _training(run: Path) -> dict[str, Any]:
    """Return how the model was trained."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = lines[-1] if lines else {}
    return {name: last[name] for name in ("step", "seconds", "train/loss", "val/loss", "val/mse") if name in last}


if __name__ == "__main__":
    main()
