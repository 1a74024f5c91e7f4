"""Run OpenSTL's PhyDNet beside ours: python scripts/originals/phydnet.py --original FOLDER

The sizes of its layers are fixed, so this is the model of the standard protocol on small frames. It narrows its moment
error to float32; here its tensors are told to stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from common import Outcome, commit, place, record
from openstl_recurrent import CONTEXT, HORIZON, REPOSITORY, SIDE, given_folder, original_class, outcome_of_ours
from torch import Tensor, nn

import equal
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.phydnet import translate

BLOCKS = {"phydnet_modules": ("PhyCell", "PhyD_ConvLSTM", "PhyD_EncoderRNN", "K2M")}
NAMES = ("encoder.phycell.cell_list.0.F.conv1.weight", "physics.filters.weight")


def outcome_of(model: Any, frames: Tensor, forced: bool) -> Outcome:
    """Return what the original makes of `frames`; `forced`: true frames are read after the context in training."""
    context, target, wanted = frames[:, :CONTEXT], frames[:, CONTEXT:], torch.eye(49).reshape(49, 7, 7)
    with mock.patch.object(Tensor, "float", Tensor.double):
        output, _ = model.inference(context, target, wanted, return_loss=False)
        loss = model(context, target, wanted, float(forced))
    loss.backward()
    gradient = dict(model.named_parameters(remove_duplicate=False))[NAMES[0]].grad
    return Outcome(output, loss.detach(), gradient)


def compare(name: str, original: nn.Module, commit_of: str, chosen: Mapping[str, Any], forced: bool) -> None:
    """Run the original beside ours, and record it."""
    fields = {**translate(original.state_dict(), chosen).fields, "sampling": {"fall": 0.0, "stop": 100 * forced}}
    ours = create_model("phydnet", **fields)

    def ours_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        weights = translate(state, chosen).weights
        return {key: value for key, value in weights.items() if key != "sampling.steps"}

    place(ours, original, ours_of)
    frames = equal.frames(2, CONTEXT + HORIZON, chosen["in_shape"][1], SIDE, SIDE)
    about = {
        "original": {"repository": REPOSITORY, "commit": commit_of, "settings": {**chosen, "forced": forced}},
        "frames": {"shape": list(frames.shape), "context": CONTEXT, "seed": 0},
        "parameter": NAMES[1],
    }
    record(
        name, "phydnet", fields, about, outcome_of(original, frames, forced), outcome_of_ours(ours, frames, NAMES[1])
    )


def main() -> None:
    """Compare it on own and on true frames, and in colour with larger maps."""
    folder = given_folder(__doc__)
    torch.set_default_dtype(torch.float64)
    kind = original_class(folder, BLOCKS, "phydnet_model", "PhyDNet_Model")
    cases = (("phydnet", 1, 4, False), ("phydnet-forced", 1, 4, True), ("phydnet-colour", 3, 2, False))
    for name, channels, patch, forced in cases:
        chosen = {"in_shape": (CONTEXT, channels, SIDE, SIDE), "patch_size": patch}
        lengths = {"pre_seq_length": CONTEXT, "aft_seq_length": HORIZON, "device": "cpu"}
        compare(name, kind(SimpleNamespace(**chosen, **lengths)), commit(folder), chosen, forced)


if __name__ == "__main__":
    main()
