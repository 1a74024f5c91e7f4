"""Run the network of the Keras example in Keras 3 and in Keras 2 beside ours, and keep the files that they save.

python scripts/originals/keras_convlstm.py --keras PYTHON

PYTHON is the interpreter of an environment with tensorflow-cpu 2.21.0, keras 3.15.1 and tf-keras 2.21.0. Beside
tests/equivalence this writes tests/fixtures/keras.tar.xz: each form in which Keras saves the network, without what
import never opens, and in output-3.npy and output-2.npy what Keras predicts with it.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, Outcome, record
from torch import Tensor

import equal
from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip

FIELDS = {"hidden": [4, 3, 2], "kernels": [5, 3, 1]}
FRAMES = {"shape": [2, 7, 1, 12, 16], "context": 4, "seed": 0}
GATES = {"3": "sigmoid", "2": "hard_sigmoid"}
UNREAD = ("saved_model.pb", "fingerprint.pb")


def weights_of(state: dict[str, Tensor]) -> list[Tensor]:
    """Return our tensors in Keras's order and layout."""
    found = []
    for index in range(len(FIELDS["hidden"])):
        if index:
            found += [state[f"norms.{index - 1}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
        kernels = [state[f"layers.{index}.{name}"] for name in ("input_weight", "recurrent_weight")]
        found += [*(kernel.permute(2, 3, 1, 0) for kernel in kernels), state[f"layers.{index}.bias"]]
    return [*found, state["head.weight"].permute(2, 3, 4, 1, 0), state["head.bias"]]


def ours(gate: str, frames: Tensor) -> tuple[Outcome, dict[str, Tensor]]:
    """Return what our model makes of the frames, and its weights, which are functions of their names."""
    model = create_model("convlstm-keras", **FIELDS, gate=gate)
    equal.fill(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    clip = Clip(frames[:, : FRAMES["context"]], frames[:, FRAMES["context"] :])
    with torch.no_grad():
        output = model.eval().forecast(model.request(clip.context, clip.horizon))
    loss, _ = model.train().loss(clip)
    loss.backward()
    gradient = dict(model.named_parameters())["layers.0.input_weight"].grad
    return Outcome(output, loss.detach(), gradient), state


def main() -> None:
    """Compare both versions and write the numbers and the files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keras", required=True, metavar="PYTHON")
    python = parser.parse_args().keras
    sys.argv[1:] = ["--keras", "PYTHON"]  # what the record says
    torch.set_default_dtype(torch.float64)
    frames = equal.frames(*FRAMES["shape"], seed=FRAMES["seed"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "files").mkdir()
        for version, gate in GATES.items():
            outcome, state = ours(gate, frames)
            write_given(folder, frames, weights_of(state))
            side = str(Path(__file__).with_name("keras_side.py"))
            subprocess.run([python, side, str(folder), version], check=True)
            compare(folder, version, gate, outcome)
        keep(folder / "files")


def write_given(folder: Path, frames: Tensor, weights: list[Tensor]) -> None:
    """Write what Keras is given: frames (B, T, H, W, C), weights and sizes."""
    sizes: dict[str, Any] = {**FIELDS, "shape": [12, 16, 1], "context": FRAMES["context"], "weights": len(weights)}
    arrays = {f"weight{index}": weight.numpy() for index, weight in enumerate(weights)}
    np.savez(folder / "given.npz", frames=frames.movedim(2, -1).numpy(), sizes=np.array(json.dumps(sizes)), **arrays)


def compare(folder: Path, version: str, gate: str, outcome: Outcome) -> None:
    """Record the outcome, and keep Keras's prediction in float32 beside its files."""
    made = np.load(folder / f"keras-{version}.npz")
    output = torch.from_numpy(made["output"]).movedim(-1, 2)
    gradient = torch.from_numpy(made["gradient"]).permute(3, 2, 0, 1)
    theirs = Outcome(output, torch.tensor(float(made["loss"])), gradient)
    about = {
        "original": {"repository": "keras.io/examples/vision/conv_lstm", "versions": str(made["versions"])},
        "frames": FRAMES,
        "parameter": "layers.0.input_weight",
    }
    record(f"convlstm-keras-{version}", "convlstm-keras", {**FIELDS, "gate": gate}, about, theirs, outcome)
    np.save(folder / "files" / f"output-{version}.npy", np.moveaxis(made["single"], -1, 2))


def keep(files: Path) -> None:
    """Write the files as one archive, which is small as it holds the same numbers many times."""
    with tarfile.open(ROOT / "tests" / "fixtures" / "keras.tar.xz", "w:xz", preset=9) as archive:
        for path in sorted(files.rglob("*")):
            if path.is_file() and path.name not in UNREAD:
                archive.addfile(plain(path, files), io.BytesIO(path.read_bytes()))


def plain(path: Path, files: Path) -> tarfile.TarInfo:
    """Return the entry of a file, without its owner and date."""
    entry = tarfile.TarInfo(path.relative_to(files).as_posix())
    entry.size = path.stat().st_size
    return entry


if __name__ == "__main__":
    main()
