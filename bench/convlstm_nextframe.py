"""nextframe's side of bench/convlstm.py: obeys "start N", "step", "memory" and "predict" on standard input."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

import nextframe
from nextframe.core.clip import Clip
from nextframe.data import DataConfig, open_data
from nextframe.models.originals.keras_convlstm import KerasConvLSTM, KerasConvLSTMConfig


class Side:
    """The recipe's model, its optimiser and one batch."""

    def __init__(self, precision: str, folder: Path, batch: int) -> None:
        torch.manual_seed(0)
        self.precision, self.folder = precision, folder
        self.model = KerasConvLSTM(KerasConvLSTMConfig())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        clips = open_data(DataConfig()).read("train", np.arange(batch, dtype=np.int64))
        self.clip: Clip = clips.to("cpu")
        self.start = {name: value.clone() for name, value in self.model.state_dict().items()}
        np.savez(folder / "start.npz", frames=self.clip.frames.numpy(), **self.keras_weights())

    def keras_weights(self) -> dict[str, np.ndarray]:
        """Return the weights in the order and the layout of Keras: (height, width, in, out)."""
        found = []
        for layer in self.model.layers:
            found += [w.permute(2, 3, 1, 0) for w in (layer.input_weight, layer.recurrent_weight)] + [layer.bias]
        head = self.model.head
        return {
            **{f"lstm{i}": w.detach().numpy() for i, w in enumerate(found)},
            "head0": head.weight.permute(2, 3, 4, 1, 0).detach().numpy(),
            "head1": head.bias.detach().numpy(),
        }

    def step(self) -> dict[str, float]:
        """Do one training step."""
        began, used = time.perf_counter(), time.process_time()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            loss, _ = self.model.loss(self.clip)
        loss.backward()
        self.optimizer.step()
        value = loss.item()
        return {
            "seconds": time.perf_counter() - began,
            "processor": time.process_time() - used,
            "loss": value,
        }

    def predict(self) -> dict[str, float]:
        """Write the output of the starting weights on the batch, as at inference."""
        self.model.load_state_dict(self.start)
        with torch.no_grad():
            out = self.model.eval().logits(self.clip.frames[:, :-1]).sigmoid()
        np.save(self.folder / "nextframe.npy", out.numpy())
        return {}


def main() -> None:
    """Answer each line of standard input with one line of JSON."""
    precision, folder = sys.argv[1], Path(sys.argv[2])
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "start":
            side = Side(precision, folder, int(rest[0]))
            versions = {"torch": torch.__version__, "nextframe": nextframe.__version__}
            answer = {**versions, "threads": torch.get_num_threads()}
        elif word == "memory":
            answer = {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        else:
            answer = side.step() if word == "step" else side.predict()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
