"""How sure a model is of each frame: on the prediction, in its batches, in the file of `predict --json`."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

import nextframe
from nextframe.checkpoint import save_model
from nextframe.cli import main
from nextframe.core.errors import UserError
from nextframe.models import MODELS
from nextframe.models.contract import Request
from nextframe.models.protocols import Confident
from tiny import Tiny, TinyConfig


class Sure(Tiny):
    """Is less sure of each frame than of the one before, and of dark clips."""

    def forecast_with_confidence(self, request: Request) -> tuple[Tensor, Tensor]:
        assert not self.training
        light = request.context.mean((1, 2, 3, 4))
        return self.forecast(request), light.unsqueeze(1) / torch.arange(1, request.horizon + 1)


@pytest.fixture(autouse=True)
def _sure_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._entries, "sure", Sure)
    monkeypatch.setitem(MODELS._entries, "tiny", Tiny)


def test_the_prediction_says_how_sure_the_model_is():
    model = Sure(TinyConfig()).train()
    assert isinstance(model, Confident)
    film = torch.full((12, 1, 8, 8), 0.8)
    found = nextframe.predict(film, model, 4)
    assert found.confidence.tolist() == pytest.approx([0.8, 0.4, 0.8 / 3, 0.2])
    assert torch.equal(found.frames, model.predict(film[None, -10:], 4)[0])
    assert model.training
    batch = nextframe.predict(torch.stack([film, film / 2]), model, 2)
    assert batch.confidence.shape == (2, 2)
    assert batch[1].confidence.tolist() == pytest.approx([0.4, 0.2])
    sliding = nextframe.predict(film, model, 3, one_step=True)
    assert sliding.confidence.tolist() == pytest.approx([0.8, 0.8, 0.8])
    assert nextframe.predict(film, model, 2, samples=3).samples.shape[0] == 3
    assert nextframe.predict(film, "linear", 2).confidence is None
    with pytest.raises(UserError, match=r"prediction\[0\].as_json"):
        batch.as_json()


def test_json_has_a_row_for_each_frame(tmp_path):
    film = torch.full((12, 1, 8, 8), 204, dtype=torch.uint8)
    nextframe.write_video(tmp_path / "film.npy", film)
    save_model(Sure(TinyConfig()), tmp_path / "model")
    for model, sure in (("linear", [None, None]), (str(tmp_path / "model"), [0.8, 0.4])):
        words = ["predict", str(tmp_path / "film.npy"), "-m", model, "-n", "2", "-o", str(tmp_path / "next.npy")]
        with pytest.raises(SystemExit) as done:
            main([*words, "--json", str(tmp_path / "sure.json")])
        assert done.value.code == 0
        found = json.loads((tmp_path / "sure.json").read_text())
        assert (found["source"], found["context"], found["adaptation"]) == ("film.npy", 10, None)
        assert [row["confidence"] for row in found["rows"]] == pytest.approx(sure)
        assert [(row["frame"], row["seconds"]) for row in found["rows"]] == [(1, 0.1), (2, 0.2)]
        assert set(found["run"]) >= {"command", "commit", "seconds"}


def test_json_has_what_an_adaptation_did(tmp_path):
    nextframe.write_video(tmp_path / "film.npy", torch.full((12, 1, 8, 8), 204, dtype=torch.uint8))
    save_model(Tiny(TinyConfig()), tmp_path / "model")
    words = ["predict", str(tmp_path / "film.npy"), "-m", str(tmp_path / "model"), "-n", "2", "--context", "10"]
    with pytest.raises(SystemExit):
        main([*words, "--adapt", "5", "-o", str(tmp_path / "next.npy"), "--json", str(tmp_path / "sure.json")])
    found = json.loads((tmp_path / "sure.json").read_text())["adaptation"]
    assert (found["given"], found["needed"], found["used"]) == (12, 13, False)
