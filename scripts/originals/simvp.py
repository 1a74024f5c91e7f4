"""Run OpenSTL's SimVP and TAU beside ours: python scripts/originals/simvp.py --original FOLDER

timm has to be found, by PYTHONPATH for one, in version 0.6.11, which OpenSTL's environment names.
"""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from common import Outcome, commit, place, record
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import equal
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.table import translation
from nextframe.core.clip import Clip

CONTEXT, SIDE = 4, 16
SMALL = {"hid_S": 8, "hid_T": 16, "N_S": 4, "N_T": 3, "mlp_ratio": 2.0}
BLOCKS = (
    *("ConvSC", "ConvNeXtSubBlock", "ConvMixerSubBlock", "GASubBlock", "gInception_ST", "HorNetSubBlock"),
    *("MLPMixerSubBlock", "MogaSubBlock", "PoolFormerSubBlock", "SwinSubBlock", "UniformerSubBlock", "VANSubBlock"),
    *("ViTSubBlock", "TAUSubBlock"),
)
CASES: dict[str, dict[str, Any]] = {  # file name: the original's settings; `horizon` is ours
    "simvp-gsta": {"model_type": "gSTA"},
    "simvp-gsta-long": {"model_type": "gSTA", "N_S": 2, "spatio_kernel_dec": 5, "horizon": 7},
    "simvp-incepu": {"model_type": "IncepU", "hid_T": 32, "horizon": 3},
    "simvp-convmixer": {"model_type": "convmixer"},
    "simvp-convnext": {"model_type": "convnext"},
    "simvp-hornet": {"model_type": "hornet"},
    "simvp-mlp-mixer": {"model_type": "mlp"},
    "simvp-moganet": {"model_type": "moga"},
    "simvp-poolformer": {"model_type": "poolformer"},
    "simvp-swin": {"model_type": "swin", "N_S": 2},
    "simvp-uniformer": {"model_type": "uniformer"},
    "simvp-van": {"model_type": "van"},
    "simvp-vit": {"model_type": "vit"},
    "tau": {"model_type": "tau", "alpha": 0.1},
}


class Method(nn.Module):
    """What OpenSTL's methods use of their base, which is a LightningModule."""

    device = "cpu"

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.hparams, self.criterion = SimpleNamespace(**settings), nn.MSELoss()
        self.model: nn.Module = self._build_model(**settings)

    def log(self, *_: Any, **__: Any) -> None:
        """Take what the original logs."""


def stand_in(name: str, root: Path, **attributes: Any) -> ModuleType:
    """Put a package of that name in place whose modules are those under `root`, and whose own file is not run."""
    package = ModuleType(name)
    package.__path__ = [str(root / name.replace(".", "/"))]
    vars(package).update(attributes)
    sys.modules[name] = package
    return package


def originals(openstl: Path) -> tuple[Any, Any]:
    """Return OpenSTL's methods SimVP and TAU."""
    timm = Path((find_spec("timm").submodule_search_locations or [""])[0]).parent
    stand_in("timm", timm, __version__="0.6.11")
    stand_in("timm.models", timm)
    data = stand_in("timm.data", timm)
    vars(data).update(vars(importlib.import_module("timm.data.constants")))
    sys.modules["timm.layers"] = importlib.import_module("timm.models.layers")
    for name in ("openstl", "openstl.modules", "openstl.models", "openstl.methods"):
        stand_in(name, openstl)
    blocks = importlib.import_module("openstl.modules.simvp_modules")
    vars(sys.modules["openstl.modules"]).update({name: getattr(blocks, name) for name in BLOCKS})
    model = importlib.import_module("openstl.models.simvp_model").SimVP_Model
    vars(sys.modules["openstl.models"])["SimVP_Model"] = model
    stand_in("openstl.methods.base_method", openstl, Base_method=Method)
    methods = [importlib.import_module(f"openstl.methods.{name}") for name in ("simvp", "tau")]
    return methods[0].SimVP, methods[1].TAU


def original_of(kind: Any, settings: Mapping[str, Any]) -> Method:
    """Return an original in float64 that skips no branch."""
    method: Method = kind(**settings).double()
    for module in method.modules():
        if type(module).__name__ == "DropPath":
            module.drop_prob = 0.0
    return method


def outcome(predict: Any, loss_of: Any, gradients: Any) -> Outcome:
    """Return the prediction in eval mode, the loss in training and the gradient after it."""
    with torch.no_grad():
        output = predict()
    loss = loss_of()
    loss.backward()
    return Outcome(output, loss.detach(), gradients())


def compare(name: str, kinds: tuple[Any, Any], folder: Path, chosen: dict[str, Any]) -> None:
    """Run one case on both sides and record it."""
    registered = name.split("-")[0]
    horizon = chosen.pop("horizon", CONTEXT)
    chosen = {**SMALL, **chosen, "in_shape": (CONTEXT, 1, SIDE, SIDE), "drop_path": 0.0}
    lengths = {"pre_seq_length": CONTEXT, "aft_seq_length": horizon}
    original = original_of(kinds[registered == "tau"], {**chosen, **lengths})

    def translated(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return translation(registered)(state, chosen).weights

    fields = translation(registered)(original.state_dict(), chosen).fields | {"drop_path": (0.0, 0.0)}
    ours: Any = create_model(registered, **fields)
    place(ours, original, translated)
    frames = equal.frames(2, CONTEXT + horizon, 1, SIDE, SIDE)
    clip = Clip(frames[:, :CONTEXT].contiguous(), frames[:, CONTEXT:])  # theirs takes views of it
    parameter = next(key for key in dict(ours.named_parameters()) if key.startswith("translator.") and "weight" in key)

    def gradients() -> Tensor:
        state = original.state_dict(keep_vars=True)
        found = {key: torch.zeros_like(value) if value.grad is None else value.grad for key, value in state.items()}
        return translated(found)[parameter]

    theirs = outcome(
        lambda: original.eval()(clip.context),
        lambda: original.train().training_step((clip.context, clip.target), 0),
        gradients,
    )
    own = outcome(
        lambda: ours.eval().forecast(ours.request(clip.context, horizon)),
        lambda: ours.train().loss(clip)[0],
        lambda: ours.get_parameter(parameter).grad,
    )
    about = {
        "original": {
            "repository": "https://github.com/chengtan9907/OpenSTL",
            "commit": commit(folder),
            "settings": {**chosen, **lengths},
        },
        "frames": {"shape": list(frames.shape), "context": CONTEXT, "seed": 0},
        "parameter": parameter,
    }
    record(name, registered, fields, about, theirs, own)


def count(name: str, kinds: tuple[Any, Any]) -> None:
    """Write how many parameters the original has and uses in the standard protocol of Moving MNIST, and multiplies."""
    chosen = {key: value for key, value in CASES[name].items() if key in ("model_type", "alpha")}
    wide = {"in_shape": (10, 1, 64, 64), "hid_S": 64, "hid_T": 512, "N_S": 4, "N_T": 8, "drop_path": 0.0}
    method = kinds[name == "tau"](**chosen, **wide, pre_seq_length=10, aft_seq_length=10).to("meta")
    frames = torch.empty(1, 10, 1, 64, 64, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        method.eval()(frames)
    method.train()(frames).sum().backward()
    sizes = [(value.numel(), value.grad is not None) for value in method.parameters()]
    used = sum(size for size, touched in sizes if touched)
    sys.stdout.write(f"{name} {sum(size for size, _ in sizes)} used {used} MACs {counter.get_total_flops() // 2}\n")


def main() -> None:
    """Compare every case, or those whose names are given; or count."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--original", type=Path, required=True, help="folder of OpenSTL's checkout")
    parser.add_argument("names", nargs="*", help="cases, as simvp-gsta; none: all")
    parser.add_argument("--count", action="store_true", help="only count parameters and multiply-accumulates")
    arguments = parser.parse_args()
    kinds = originals(arguments.original)
    for name in arguments.names or CASES:
        if arguments.count:
            count(name, kinds)
            continue
        torch.set_default_dtype(torch.float64)
        compare(name, kinds, arguments.original, dict(CASES[name]))


if __name__ == "__main__":
    main()
