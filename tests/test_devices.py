"""What a GPU would refuse, told without one: tensors of two devices, and memory that cannot be pinned."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip, Task
from nextframe.core.conditions import moved
from nextframe.data import DataConfig, open_data
from nextframe.models import ddpae
from nextframe.recipes import load_recipe
from nextframe.recipes.weights.asked import Asked
from nextframe.recipes.weights.by_recipe import work
from nextframe.recipes.weights.by_recipe.plans import COMPOSITE_LSTM
from nextframe.training.optim.optimizer import Average
from nextframe.training.parallel import sharding


def pinned(values: Tensor) -> Tensor:
    """Copy as torch pins: into memory of the same strides, where rows that share theirs cannot be written."""
    return torch.empty_strided(values.shape, values.stride(), dtype=values.dtype).copy_(values)


def test_clips_of_every_task_can_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "pin_memory", pinned)
    clip = Task.interpolate().split(torch.rand(4, 3, 1, 8, 8))
    with pytest.raises(RuntimeError, match="single memory location"):
        clip.conditions["offsets"].pin_memory()
    found = clip.pin_memory()
    assert isinstance(found, Clip)
    assert found.conditions["offsets"].tolist() == [[-1, 1]] * 4
    assert torch.equal(found.context, clip.context)
    planned = open_data(DataConfig(context=3, horizon=2, options={"draw": "device"})).read("train", np.arange(4))
    assert planned.pin_memory().context.shape == (4, 3, 1, 64, 64)


class Moving:
    """Stands for a tensor on a GPU: says how it was moved."""

    def to(self, device: str, non_blocking: bool) -> tuple[str, bool]:
        return device, non_blocking


def test_only_what_goes_to_cuda_is_moved_while_the_processor_goes_on() -> None:
    """What comes back must be waited for: torch copies into pinned memory, which holds nothing yet.

    So must what goes to Apple's GPUs: torch reads memory that may be given to others by then.
    """
    assert moved(Moving(), "cuda") == ("cuda", True)  # type: ignore
    assert moved(Moving(), "cpu") == ("cpu", False)  # type: ignore
    assert moved(Moving(), "mps") == ("mps", False)  # type: ignore


def test_recurrent_layers_of_cudnn_have_gradients_in_eval_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses them in eval mode, in which `--adapt` trains and `model(frames)` may be asked for them."""
    model = create_model("ddpae", object_size=16, width=4, features=16, hidden=8, content=8).eval()
    layers = [part for part in model.modules() if isinstance(part, nn.RNNBase)]
    assert len(layers) == 4
    assert not any(part.training for part in layers)
    monkeypatch.setattr(ddpae._LSTM, "cudnn", "meta")  # a kind of device that is here too
    assert all(part.training and not part.dropout for part in layers if part.to("meta"))
    assert all(part.training for part in layers if part.eval())
    assert not model.training


def test_averaged_weights_of_a_checkpoint_go_where_the_model_is() -> None:
    """A checkpoint is read on the processor; on a GPU the next step would add its weights to those."""
    model = nn.Linear(2, 2)
    stored = {name: value.clone() for name, value in model.state_dict().items()}
    average = Average(model.to("meta"), 0.9)
    average.weights = sharding.like(stored, model)
    average.update(model)
    assert {value.device.type for value in average.weights.values()} == {"meta"}


def test_images_of_weights_are_drawn_on_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation before takes the model to its own device, and clips of images are on the processor."""
    moves: list[object] = []
    model = nn.Linear(2, 2)
    monkeypatch.setattr(model, "to", lambda device: moves.append(device) or model)
    monkeypatch.setattr(work, "load_model", lambda folder: model)
    monkeypatch.setattr(work, "save_model", _nothing_much)
    monkeypatch.setattr(work, "_task", lambda plan, trained: None)
    monkeypatch.setattr(work, "evaluate", lambda net, *_, device, **__: net.to(device))
    monkeypatch.setattr(work, "write_images", lambda net, *_: moves.append("images"))
    monkeypatch.setattr(work, "write_card", lambda *_: None)
    asked = Asked("composite-lstm", tmp_path, tmp_path, device="cuda")
    work.write_weights(COMPOSITE_LSTM, asked, load_recipe("composite-lstm"), [])
    assert moves == ["cuda", "cpu", "images"]


def _nothing_much(model: object, folder: Path, **_: object) -> None:
    folder.mkdir()
    for name in (work.CONFIG, work.WEIGHTS):
        (folder / name).write_bytes(b"")
