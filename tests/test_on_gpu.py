"""Every model trains, resumes and predicts on a GPU, as on the processor; skipped where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.test_contract import CONTEXT, HORIZON, SMALL, TRAINED

from nextframe.checkpoint import load_model
from nextframe.data import DataConfig, open_data
from nextframe.models.contract import Predictor
from nextframe.training import train
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

DEVICE = "cuda"
STEPS = 6
DIGITS = DataConfig(context=CONTEXT, horizon=HORIZON, size=(32, 32), options={"count": 1, "val_clips": 8})

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in full float32: the processor has no TF32 to compare with."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def recipe(name: str, steps: int) -> Recipe:
    training = TrainingConfig(
        steps=steps, batch=4, device=DEVICE, precision="32", keep="last", val_every=3, checkpoint_every=2,
        log_every=2, val_clips=4, schedule="constant",
    )  # fmt: skip
    return Recipe(model=ModelSection(name=name, fields=SMALL.get(name, {})), data=DIGITS, training=training)


def predicted(model: Predictor, device: str) -> torch.Tensor:
    """What the model predicts of two test clips on `device`, moved to the processor; noise is that of seed 0."""
    clip = open_data(DIGITS).read("test", np.arange(2)).to(device)
    return model.to(device).eval().predict(clip.context, HORIZON).cpu()


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_trains_resumes_and_predicts_as_on_the_processor(name: str, tmp_path: Path) -> None:
    train(recipe(name, STEPS), tmp_path / "run", show=False)
    run = train(recipe(name, 2 * STEPS), tmp_path / "run", resume=True, show=False)
    assert run.trainer.step > STEPS
    assert next(run.model.parameters()).is_cuda
    here, there = predicted(load_model(tmp_path / "run"), "cpu"), predicted(run.model, DEVICE)
    assert torch.isfinite(here).all()
    assert (here - there).abs().max() < 1e-3
