"""What the comparisons with originals share: the same weights and frames on both sides, and the record of the outcome.

Each file beside this one runs one original's public code, which has to be there (`--original FOLDER`), with our
weights in its places, and writes tests/equivalence/NAME.json. The tests hold our model to the numbers in it without
the original.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))
import equal  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    """What a model makes of the frames: its prediction, one training loss, and the gradient of one parameter."""

    output: Tensor
    loss: Tensor
    gradient: Tensor  # in the shape of our parameter


def place(
    ours: nn.Module, original: nn.Module, translate: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
) -> None:
    """Fill `ours` by `equal.fill` and give the original the same weights.

    `translate` takes the original's state dict to ours, element by element: what it does with numbered elements says
    where each of ours comes from. Tensors of the original that nothing of ours comes from stay as they are.
    """
    equal.fill(ours)
    state, first, numbered = original.state_dict(), 0, {}
    for name, value in state.items():
        numbered[name] = torch.arange(first, first + value.numel(), dtype=torch.float64).reshape(value.shape)
        first += value.numel()
    flat = torch.cat([value.detach().double().flatten() for value in state.values()])
    own = ours.state_dict()
    for name, places in translate(numbered).items():
        flat[places.long().flatten()] = own[name].double().flatten()
    parts = torch.split(flat, [value.numel() for value in state.values()])
    pairs = zip(state.items(), parts, strict=True)
    original.load_state_dict({name: part.reshape(value.shape).to(value) for (name, value), part in pairs})


def _some(values: Tensor, count: int = 16) -> list[float]:
    flat = values.detach().double().flatten()
    return [float(value) for value in flat[:: max(1, flat.numel() // count)][:count]]


def _facts(values: Tensor) -> dict[str, Any]:
    flat = values.detach().double().flatten()
    return {
        "shape": list(values.shape),
        "mean": float(flat.mean()),
        "rms": float(flat.square().mean().sqrt()),
        "values": _some(values),
    }


def commit(folder: Path) -> str:
    """Return the commit of the original's checkout."""
    return subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def record(
    name: str, model: str, fields: Mapping[str, Any], about: Mapping[str, Any], original: Outcome, ours: Outcome
) -> None:
    """Write tests/equivalence/`name`.json: the original's numbers, and how far ours are from them.

    Args:
        name: of the file.
        model: registry name.
        fields: of our config.
        about: the original ("repository", "commit", "settings"), the "frames" (shape, context, seed), the "parameter"
            of the gradient, and whatever else the test needs.
        original: in float64.
        ours: in float64.
    """
    pairs = {part: (getattr(original, part), getattr(ours, part)) for part in ("output", "loss", "gradient")}
    far = {part: float((one - two).abs().max()) for part, (one, two) in pairs.items()}
    words = ["FOLDER" if Path(word).is_dir() else word for word in sys.argv[1:]]
    facts = {
        "model": model,
        "fields": dict(fields),
        **about,
        "output": _facts(original.output),
        "loss": float(original.loss),
        "gradient": _facts(original.gradient),
        "largest_difference": far,
        "measured": {
            "date": date.today().isoformat(),
            "torch": torch.__version__,
            "command": " ".join(["python", f"scripts/originals/{Path(sys.argv[0]).name}", *words]),
        },
    }
    path = ROOT / "tests" / "equivalence" / f"{name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n")
    sys.stdout.write(f"{path.name} {far}\n")
