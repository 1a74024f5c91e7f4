from __future__ import annotations

import re
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch

from nextframe.checkpoint import create_model, save_model
from nextframe.core.errors import NextframeError, NotSupportedError, UserError
from nextframe.models.convlstm import ConvLSTMState
from nextframe.publish.state import flatten, rebuild
from tiny import Tiny, TinyConfig

for _name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason="needs the extra [export]")
from nextframe.publish.to_onnx import Step, export  # noqa: E402


@pytest.fixture(autouse=True)
def _tiny_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    from nextframe.models import MODELS

    monkeypatch.setitem(MODELS._entries, "tiny", "tiny:Tiny")


def test_a_model_is_exported_whole_and_any_batch_goes_in(tmp_path):
    import onnxruntime

    torch.manual_seed(0)
    model = Tiny(TinyConfig()).eval()
    done = export(model, tmp_path / "m.onnx", size=(9, 7))
    assert (done.kind, done.inputs) == ("direct", {"context": ["batch", 10, 1, 9, 7]})
    given = torch.rand(5, 10, 1, 9, 7)
    found = onnxruntime.InferenceSession(done.path).run(None, {"context": given.numpy()})[0]
    assert np.abs(found - model.predict(given, 10).numpy()).max() < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_the_exporter_says_nothing_to_the_user(tmp_path, caplog):
    """The command line shows what is logged at INFO, and libraries would tell of every node there."""
    with caplog.at_level("INFO"):
        export(Tiny(TinyConfig()).eval(), tmp_path / "m.onnx", size=(9, 7))
    assert [record.name for record in caplog.records if not record.name.startswith("nextframe")] == []


def test_a_model_that_onnx_cannot_hold_says_why_before_anything_is_traced(tmp_path):
    with pytest.raises(NotSupportedError, match=r"^sprites cannot be exported: it computes with complex numbers"):
        export(create_model("sprites"), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("compact", {"context": 3, "horizon": 2, "width": 8, "blocks": 1}, "direct"),
        ("convlstm", {"hidden": [4], "kernels": [3]}, "step"),
    ],
)
def test_the_command_writes_its_own_line_and_no_other(tmp_path, name, fields, kind):
    """In a process of its own: what libraries print, or write to the terminal from C++, comes through here."""
    save_model(create_model(name, channels=1, **fields), tmp_path / "model")
    command = [sys.executable, "-m", "nextframe", "export", "model", "--size", "16x16", "-o", "m.onnx"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"m\.onnx  \({kind}: .*; within \S+ of the model\)\n", done.stdout)


@pytest.mark.slow
def test_a_recurrent_model_is_exported_as_its_step(tmp_path):
    import onnxruntime

    torch.manual_seed(0)
    model = create_model("convlstm", hidden=[32, 4], kernels=[3, 1]).eval()  # 32: the fast path, which ONNX has not
    done = export(model, tmp_path / "m.onnx", size=(32, 32))
    assert done.kind == "step"
    assert done.difference < 1e-5
    session = onnxruntime.InferenceSession(done.path)
    context = torch.rand(1, 4, 1, 32, 32)
    names = [port.name for port in session.get_inputs()]
    state = [np.zeros([1, *port.shape[1:]], np.float32) for port in session.get_inputs()[1:]]
    for t in range(4):
        frame, *state = session.run(None, dict(zip(names, [context[:, t].numpy(), *state], strict=True)))
    assert np.abs(frame - model.predict(context, 1)[:, 0].numpy()).max() < 1e-5


def test_a_step_gives_back_what_the_model_reads_again():
    """Its frames are not clamped: a prediction beyond 1 goes into the next one as it is."""
    model = create_model("convlstm-openstl", hidden=4, layers=1, kernel=3, patch=1).eval()
    torch.nn.init.constant_(model.head.weight, 50.0)
    frame = torch.rand(1, 1, 4, 4)
    state = model.prime(frame[:, None][:, :0])
    following, _ = model.step(state, frame)
    assert following.abs().max() > 1
    assert torch.equal(Step(model, state)(frame, flatten(state))[0], following)


def test_what_cannot_be_exported_is_one_line(tmp_path):
    with pytest.raises(NotSupportedError, match="flow cannot be exported: ") as caught:
        export("flow", tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"ends in \.onnx"):
        export("copy-last", tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


def test_a_file_that_predicts_something_else_is_not_kept(tmp_path, monkeypatch):
    model = Tiny(TinyConfig()).eval()
    monkeypatch.setattr("nextframe.publish.to_onnx.TOLERANCE", -1.0)  # nothing is near enough
    with pytest.raises(NextframeError, match=r"differs from the model by up to .* so it is not kept"):
        export(model, tmp_path / "m.onnx", size=(9, 7))
    assert not list(tmp_path.iterdir())


def test_states_are_flattened_and_built_again():
    a, b, c = (torch.full((1,), float(value)) for value in range(3))
    state = ConvLSTMState(((a, b),), c)
    assert flatten(state) == [a, b, c]
    again = rebuild(state, iter([c, b, a]))
    assert again == ConvLSTMState(((c, b),), a)
    named = Named(a, (b, c), None)
    assert flatten(named) == [a, b, c]
    assert rebuild(named, iter([c, b, a])) == Named(c, (b, a), None)
    with pytest.raises(TypeError, match="not int"):
        flatten(((a, 1),))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("predrnn", "step"),
        ("mau", "step"),
        ("mim", "direct"),  # whether a frame has been read decides what it computes
        ("e3d-lstm", "direct"),  # its state grows
    ],
)
def test_recurrent_models_whose_state_keeps_its_shape_are_exported_as_their_step(tmp_path, monkeypatch, name, kind):
    monkeypatch.setattr("nextframe.publish.to_onnx._write", written := _Written())
    model = create_model(name, hidden=4, layers=2, kernel=3, patch=4, frame_height=16, frame_width=16)
    with pytest.raises(StopIteration):
        export(model.eval(), tmp_path / "m.onnx", size=(16, 16))
    assert written.kind == kind


class _Written:
    """In the place of the exporter, which takes half a minute: runs what it is given, and ends there."""

    def __call__(self, module, inputs, *_):
        self.kind = module.kind
        module(*inputs)
        raise StopIteration


class Named(NamedTuple):
    one: torch.Tensor
    two: tuple[torch.Tensor, torch.Tensor]
    nothing: None
