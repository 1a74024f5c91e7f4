"""What someone writes outside of the package: each in at most 25 lines, registered, trained, measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextframe.core.clip import Clip
from nextframe.core.conditions import Conditions
from nextframe.core.plugins import load_plugin
from nextframe.data import DATASETS, DataConfig, open_data
from nextframe.data.clipset import Indices, Split
from nextframe.data.sets.pushed_digits import PushedDigits, PushedDigitsConfig
from nextframe.evaluation import evaluate
from nextframe.models import MODELS
from nextframe.training import ModelSection, Recipe, TrainingConfig, train

DIRECT = """
import torch, torch.nn as nn, torch.nn.functional as F
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Stage
from nextframe.core.plugins import register
from nextframe.models.rollout import roll_out

class Config(ModelConfig):
    context: int = 10
    horizon: int = 10
    channels: int = 1

@register("direct")
class Direct(Predictor):
    Config = Config
    def __init__(self, config):
        super().__init__(config)
        blocks = [m for _ in range(3) for m in (nn.Conv2d(64, 64, 7, padding=3, groups=8), nn.GELU(), nn.Conv2d(64, 64, 1))]
        ins, outs = config.context * config.channels * 16, config.horizon * config.channels * 16
        self.net = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(ins, 64, 1), *blocks, nn.Conv2d(64, outs, 1), nn.PixelShuffle(4))
    capabilities = property(lambda self: Capabilities(min_context=self.config.context, max_context=self.config.context))
    def ahead(self, frames):
        return self.net(frames.flatten(1, 2)).unflatten(1, (self.config.horizon, -1))
    def forecast(self, request):
        return roll_out(self.ahead, request.context, request.horizon)
    def stages(self):
        return [Stage("train", [Objective("mse", list(self.parameters()), lambda clip: (F.mse_loss(self.ahead(clip.context), clip.target), {}), OptimizerDefaults("muon", lr=0.02))])]
"""  # noqa: E501

PUSHED = '''
import torch, torch.nn as nn, torch.nn.functional as F
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Stage
from nextframe.core.plugins import register

@register("pushed")
class Pushed(Predictor):
    """Moves each frame by a kernel that the action chooses (dynamic filters, Finn et al. 2016)."""
    def __init__(self, config):
        super().__init__(config)
        self.kernel = nn.Sequential(nn.Linear(2, 64), nn.GELU(), nn.Linear(64, 121))
    capabilities = property(lambda self: Capabilities(channels=1, needs=("actions",)))
    def forecast(self, request):
        frame, future = request.context[:, -1], []
        for action in request.conditions["actions"][:, request.context.shape[1]:].unbind(1):
            kernels = self.kernel(action).softmax(1).view(-1, 1, 11, 11)
            frame = F.conv2d(frame.transpose(0, 1), kernels, padding=5, groups=len(frame)).transpose(0, 1)
            future.append(frame)
        return torch.stack(future, 1)
    def loss(self, clip):
        return F.mse_loss(self(clip.context, clip.horizon, clip.conditions), clip.target), {}
    def stages(self):
        adam = OptimizerDefaults("adam", lr=1e-2)
        return [Stage("train", [Objective("mse", list(self.parameters()), self.loss, adam)])]
'''


@pytest.fixture(autouse=True)
def _registries_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (MODELS, DATASETS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def written(folder: Path, text: str) -> list[str]:
    assert len([line for line in text.splitlines() if line.strip()]) <= 25
    path = folder / "theirs.py"
    path.write_text(text, encoding="utf-8")
    return load_plugin(path)


def error_of(folder: Path, model: str, data: DataConfig, steps: int) -> dict[str, float]:
    """Train `model` on `data` and return the mean squared errors on the test split, baselines' beside."""
    training = TrainingConfig(steps=steps, batch=16, val_every=steps, val_clips=16)
    train(Recipe(model=ModelSection(name=model), data=data, training=training), folder / model, show=False)
    found = evaluate(str(folder / model), data, metrics=("mse",), clips=64, examples=0)
    return {row.model: row.mean for row in found.rows}


def test_a_direct_predictor(tmp_path: Path) -> None:
    assert written(tmp_path, DIRECT) == ["direct"]
    data = DataConfig(context=4, horizon=4, size=(48, 48), options={"count": 1})
    errors = error_of(tmp_path, "direct", data, 40)
    assert errors["direct"] < 0.8 * min(errors["copy-last"], errors["zero"]), errors


class Unseen(PushedDigits):
    """The same clips, and actions that say nothing."""

    name = "unseen"

    def read(self, split: Split, indices: Indices) -> Clip:
        clip = super().read(split, indices)
        actions = Conditions(timed={"actions": torch.zeros_like(clip.conditions["actions"])})
        return Clip(clip.context, clip.target, actions)


def test_a_model_with_actions(tmp_path: Path) -> None:
    """Actions reach the model in training, in validation and in evaluation: what is unseen is not predicted."""
    assert written(tmp_path, PUSHED) == ["pushed"]
    data = DataConfig(name="pushed-digits", context=2, horizon=4, size=(24, 24))
    errors = error_of(tmp_path / "seen", "pushed", data, 80)
    DATASETS.add("unseen", lambda config: Unseen(config, PushedDigitsConfig()))
    unseen = data.model_copy(update={"name": "unseen"})
    blind = error_of(tmp_path / "blind", "pushed", unseen, 80)
    zeroed = evaluate(str(tmp_path / "seen" / "pushed"), unseen, metrics=("mse",), clips=64, baselines=())
    assert errors["pushed"] < 0.8 * blind["pushed"]
    assert errors["pushed"] < 0.8 * zeroed.row("pushed", "mse").mean
    assert errors["pushed"] < 0.5 * errors["copy-last"]


def test_a_model_with_actions_refuses_clips_without(tmp_path: Path) -> None:
    from nextframe.core.errors import UserError

    written(tmp_path, PUSHED)
    with pytest.raises(UserError, match="pushed cannot predict without the condition 'actions': give it, or data that"):
        error_of(tmp_path, "pushed", DataConfig(context=2, horizon=1, size=(32, 32)), 1)
    assert not (tmp_path / "pushed").exists()
    assert "actions" in open_data(DataConfig(name="pushed-digits")).read("train", torch.arange(1).numpy()).conditions
