"""The worked example of CONTRIBUTING.md is run as it stands there."""

import re
import sys
import types
from pathlib import Path

import torch

from nextframe.checkpoint import create_model, load_model, save_model
from nextframe.models import MODELS
from nextframe.training import ModelSection, Recipe, TrainingConfig, train

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


def test_the_worked_example_is_one_file_and_one_line(tmp_path, monkeypatch):
    code, line, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = types.ModuleType("nextframe.models.blend")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    exec(compile(code, "blend.py", "exec"), module.__dict__)
    exec(line, {"MODELS": MODELS})

    recipe = Recipe(
        model=ModelSection(name="blend"), training=TrainingConfig(precision="32", steps=40, batch=8, log_every=10)
    )
    run = train(recipe, tmp_path / "run", show=False)

    # the last frame is the best single guess of the next one, so its weight has to grow the most
    weights = run.model.weights.detach().softmax(0)
    assert int(weights.argmax()) == 9
    assert weights[9] > 0.5
    reloaded = load_model(tmp_path / "run")
    context = torch.rand(1, 10, 3, 9, 7)
    assert torch.equal(reloaded.predict(context, 12), run.model.predict(context, 12))
    save_model(create_model("blend", context=2), tmp_path / "again")
    assert load_model(tmp_path / "again").config.context == 2
