"""Export of a model as ONNX, verified: the file is kept only if it predicts what the model predicts."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from nextframe import __version__
from nextframe.checkpoint import model_name, resolve_model
from nextframe.core.errors import NextframeError, NotSupportedError, UserError
from nextframe.core.files.whole_file import whole_file
from nextframe.core.seeds.seeding import torch_generator
from nextframe.models.contract import Predictor, StreamingPredictor, TrainedTask
from nextframe.publish.state import flatten, rebuild

LOG = logging.getLogger(__name__)
TOLERANCE = 1e-3  # of a grey level from 0 to 1: far less than one of 255 steps
BATCH = 2  # clips of the check
STEPS = 3  # predicted frames of a recurrent model's check
USUAL = TrainedTask(context=10, horizon=10, size=(64, 64), channels=1)
# Loggers that tell of every rewritten node, and of what the tracer thinks about on the way.
TALKATIVE = ("torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "onnxscript", "onnx_ir")
ERRORS = 3  # of onnxruntime's levels: warnings are below it
Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Exported:
    """What was written, and the largest difference from the model's own prediction."""

    path: Path
    kind: str  # "step" or "direct"
    difference: float
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]


def export(
    model: str | os.PathLike[str] | Predictor, path: str | os.PathLike[str], *, size: tuple[int, int] | None = None
) -> Exported:
    """Write a model as ONNX and compare it with the model in onnxruntime.

    A recurrent model is written as its step: a frame (B, C, H, W) and the state in, the next frame and the new state
    out; the state before the first frame is zeros, predicted frames are fed back by the caller. Any other model is
    written whole: a context (B, T, C, H, W) in, all frames of its horizon (B, T', C, H, W) out. B is free. What the
    file cannot hold of a model's options is switched off, its `in_export`, and the log says so.

    Args:
        model: a run or model folder, a name, or a model.
        path: the .onnx file.
        size: (height, width) of the frames; None: what the model was trained on.

    Raises:
        NotSupportedError: a model that draws at random or runs code that ONNX does not have, or the extra is missing.
        NextframeError: the file predicts something else than the model; it is not kept.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UserError(f"{path}: an exported model ends in .onnx")
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        raise NotSupportedError("export needs the extra [export]: pip install 'nextframe[export]'")
    net = resolve_model(model)
    name = model_name(net)
    if net.capabilities.stochastic:
        raise NotSupportedError(f"{name} cannot be exported: it draws at random, and a check could not repeat it")
    if net.capabilities.needs:
        raise NotSupportedError(f"{name} cannot be exported: it needs conditions besides frames")
    if net.not_in_onnx:
        raise NotSupportedError(f"{name} cannot be exported: {net.not_in_onnx}")
    task = _task(net, size)
    module, inputs = _step(net, task) or _direct(net, task)
    if module.options:
        LOG.info("%s: an ONNX file of %s predicts with options %s", path, name, json.dumps(module.options))
    with whole_file(path) as temporary, _quiet():
        _write(module, inputs, temporary, name, task)
        return _check(net, module, temporary, path, task)


def _task(net: Predictor, size: tuple[int, int] | None) -> TrainedTask:
    """Return the context, horizon, size and channels to export for: those of the training, or defaults."""
    task, can = net.trained or USUAL, net.capabilities
    frames = min(max(task.context, can.min_context), can.max_context or task.context)
    return task.model_copy(
        update={
            "context": max(frames, can.min_context),
            "size": size or task.size or USUAL.size,
            "channels": can.channels or task.channels or 3,  # of weights for any number: RGB
        }
    )


class Step(nn.Module):
    """One step of a recurrent model, its state as a list of tensors."""

    kind = "step"

    def __init__(self, net: StreamingPredictor, state: Any) -> None:
        super().__init__()
        self.net, self.template, self.options = net, state, dict(net.Options.in_export)

    def forward(self, frame: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        """Read `frame` (B, C, H, W); return the next one, unclamped as the model reads it, and the new state."""
        future, after = self.net.step(rebuild(self.template, iter(state)), frame)
        return future, *flatten(after)


class Direct(nn.Module):
    """A model whole: the context in, its horizon out."""

    kind = "direct"

    def __init__(self, net: Predictor, horizon: int) -> None:
        super().__init__()
        self.net, self.horizon, self.options = net, horizon, dict(net.Options.in_export)

    def forward(self, context: Tensor) -> Tensor:
        """Predict (B, horizon, C, H, W) after (B, T, C, H, W)."""
        return cast(Tensor, self.net(context, self.horizon, options=self.options))


def _step(net: Predictor, task: TrainedTask) -> tuple[Step, Inputs] | None:
    """Return the step and example inputs; None if predicting is more than steps, or its state changes its form."""
    if not isinstance(net, StreamingPredictor) or _own_way(type(net)):
        return None
    assert task.size is not None
    with torch.no_grad():
        frame = torch.zeros(BATCH, task.channels or 1, *task.size)
        state = net.prime(frame[:, None][:, :0])
    try:
        tensors = [tensor.clone() for tensor in flatten(state)]  # the same tensor twice would be traced as one input
    except TypeError:
        return None
    with torch.no_grad():
        after = flatten(net.step(state, frame)[1])
    if [tensor.shape for tensor in after] != [tensor.shape for tensor in tensors]:
        return None
    return (Step(net, state), (frame, tensors)) if not any(tensor.any() for tensor in tensors) else None


def _own_way(kind: type[StreamingPredictor]) -> bool:
    plain = StreamingPredictor
    return kind.unroll is not plain.unroll or kind.forecast is not plain.forecast


def _direct(net: Predictor, task: TrainedTask) -> tuple[Direct, Inputs]:
    assert task.size is not None
    return Direct(net, task.horizon), (torch.zeros(BATCH, task.context, task.channels or 1, *task.size),)


def _write(module: Step | Direct, inputs: Inputs, path: Path, name: str, task: TrainedTask) -> None:
    states = [f"state_{index}" for index in range(len(inputs[1]))] if len(inputs) > 1 else []
    first, out = ("frame", "next_frame") if states else ("context", "frames")
    free = {0: torch.export.Dim("batch", min=1)}
    shapes = (free, [free] * len(states)) if states else (free,)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=[first, *states],
                output_names=[out, *(f"{state}_after" for state in states)],
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        raise NotSupportedError(f"{name} cannot be exported: {_reason(error)}") from None
    assert program is not None
    facts = {"kind": module.kind, "model": name, "task": json.dumps(task.model_dump(mode="json"))}
    program.model.metadata_props.update({f"nextframe.{key}": value for key, value in facts.items()})
    program.model.metadata_props["nextframe.version"] = __version__
    program.save(path, external_data=False)


def _reason(error: BaseException) -> str:
    """Return why an export failed as one short line: the cause under torch's wrapping."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= 160 else line[:157] + "..."


def _check(net: Predictor, module: Step | Direct, file: Path, path: Path, task: TrainedTask) -> Exported:
    """Predict the same random clips with the file and with the model, and compare."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(ERRORS)  # its warnings are of its own rewriting, and of GPUs not asked for
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert task.size is not None
    shape = (BATCH + 1, task.context, task.channels or 1, *task.size)  # another batch size than in the trace
    context = torch.rand(shape, generator=torch_generator(0, "export"))
    steps = STEPS if isinstance(module, Step) else task.horizon
    expected = net.predict(context, steps, options=module.options).numpy()
    found = _stream(session, context.numpy(), steps) if isinstance(module, Step) else _run(session, context.numpy())
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        what = f"the exported file differs from the model by up to {difference:.3g} (at most {TOLERANCE:g} is right)"
        raise NextframeError(f"{path}: {what}, so it is not kept")
    ports = [{port.name: list(port.shape) for port in side} for side in (session.get_inputs(), session.get_outputs())]
    return Exported(path, module.kind, difference, *ports)


def _run(session: Any, context: Any) -> Any:
    return session.run(None, {"context": context})[0]


def _stream(session: Any, context: Any, steps: int) -> Any:
    """Feed the context frame by frame, then each prediction back; return the predicted frames (B, steps, C, H, W)."""
    states = [port for port in session.get_inputs() if port.name != "frame"]
    state = [np.zeros([len(context), *port.shape[1:]], np.float32) for port in states]
    future: list[Any] = []
    for t in range(context.shape[1] + steps - 1):
        frame = context[:, t] if t < context.shape[1] else future[-1]
        given = {port.name: value for port, value in zip(states, state, strict=True)}
        answer, *state = session.run(None, {"frame": frame, **given})
        if t >= context.shape[1] - 1:
            future.append(answer)
    return np.stack(future, axis=1).clip(0, 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep messages of the exporter and of the libraries that it uses off the terminal."""
    loggers = {logger: logger.level for logger in map(logging.getLogger, TALKATIVE)}
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)
