"""Any torch module that maps frames to frames, as a predictor: trained, measured and saved like the others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import BadInputError, UserError
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on

WRAPPED = "wrapped-module"  # the name in a model folder of a module that is not registered
# what modules and losses raise on wrong shapes
FOREIGN = (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, LookupError)
REGISTER = "for the command line, register it in a file given with --plugin, and train it by that name"
Loss = Callable[[Tensor, Tensor], Tensor]
Module = nn.Module | Callable[..., nn.Module]


class WrappedConfig(ModelConfig):
    """What is known of a wrapped module; its code is not in it."""

    context: int = Field(10, ge=1, description="context frames, exactly")
    horizon: int = Field(10, ge=1, description="frames that it returns")
    any_size: bool = Field(False, description="whether it takes frames of another size than those it was trained on")
    name: str = Field("", max_length=100, description="its name in tables")
    module: str = Field(
        "", description='the class it is of, as "package.module:Class", for a reader: nothing is imported by it'
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="what the class is called with")


class Wrapped(Predictor):
    """A module (B, context, C, H, W) -> (B, horizon, C, H, W); further frames come from feeding predictions back.

    A subclass with `make` can be registered under a name, and then be used wherever a name is.
    """

    Config: ClassVar[type[ModelConfig]] = WrappedConfig
    config: WrappedConfig
    idea: ClassVar[str] = "A module from elsewhere."

    def __init__(self, config: WrappedConfig, module: nn.Module | None = None, loss: Loss = F.mse_loss) -> None:
        super().__init__(config)
        self.module = self.make() if module is None else module
        self._loss_of = (loss,)  # in a tuple: weights of a loss are neither trained nor saved

    def make(self) -> nn.Module:
        """Return the module that `config` describes; subclasses that are registered implement it."""
        raise UserError(f"'{self.title}' is a wrapped module: its code must be given, as module=")

    @property
    def title(self) -> str:
        """What messages call it: the name that it was wrapped with, or that of its class."""
        return self.config.name or type(self).__name__

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the context that it was wrapped with; any horizon."""
        frames = self.config.context
        return Capabilities(min_context=frames, max_context=frames, any_size=self.config.any_size)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Predict in passes of `config.horizon` frames, each on the frames before it."""
        return roll_on(self.next_frames, request.context, request.horizon)

    def next_frames(self, context: Tensor) -> Tensor:
        """Return what the module makes of (B, context, C, H, W): (B, horizon, C, H, W), not clamped.

        Raises:
            UserError: it does not take such frames, or returned something else.
        """
        future = self._passed(context)
        expected = (context.shape[0], self.config.horizon, *context.shape[2:])
        if not isinstance(future, Tensor) or tuple(future.shape) != expected:
            found = tuple(future.shape) if isinstance(future, Tensor) else type(future).__name__
            raise UserError(
                f"{self.title} returned {found} for a context {tuple(context.shape)}; "
                f"with horizon={self.config.horizon} it should return {expected}"
            )
        return future

    def _passed(self, context: Tensor) -> Any:
        if torch.compiler.is_compiling():  # a compiler's and an exporter's own errors are theirs to translate
            return self.module(context)
        frames = "x".join(map(str, context.shape[2:]))
        with _translated(f"{self.title} does not take frames of {frames} (C x H x W)"):
            return self.module(context)

    def stages(self) -> list[Stage]:
        """One stage, one objective: the loss of one pass, by AdamW; none, if the module has no weights."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        adamw = OptimizerDefaults(lr=1e-3)
        return [Stage("train", [Objective("loss", parameters, self._loss, adamw)])] if parameters else []

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self._compared(self.next_frames(clip.context), clip.target)
        return loss, {"loss": loss.detach()}

    def _compared(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the frames that both have; UserError if it is not one number to train on."""
        frames, loss_of = min(target.shape[1], prediction.shape[1]), self._loss_of[0]
        if isinstance(loss_of, nn.Module):
            loss_of.to(target.device)
        with _translated(f"the loss of {self.title} cannot be computed"):
            loss: Any = loss_of(prediction[:, :frames], target[:, :frames])
        if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
            found = f"{loss.dtype} {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise UserError(f"the loss of {self.title} is {found}: it should be a tensor of one float, such as a mean")
        if prediction.requires_grad and not loss.requires_grad:
            raise UserError(f"the loss of {self.title} has no gradient: compute it from the prediction, by torch")
        return loss

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Raise UserError if the module does not take frames (C, H, W), or what it returns or its loss is wrong."""
        given = next(self.parameters(), torch.zeros(0))
        context = torch.zeros(1, self.config.context, *frame_shape, dtype=given.dtype, device=given.device)
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                future = self.next_frames(context)
                self._compared(future, torch.zeros_like(future[:, : task.horizon]))
        finally:
            self.train(was_training)


def wrap(
    module: Module,
    context: int = 10,
    horizon: int = 10,
    *,
    loss: Loss = F.mse_loss,
    name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    any_size: bool = False,
) -> Wrapped:
    """Return a torch module as a predictor.

    Args:
        module: takes frames (B, context, C, H, W) in [0, 1] and returns (B, horizon, C, H, W); or the class (or any
            function) that makes it.
        context: how many frames it takes.
        horizon: how many it returns; longer predictions come from feeding them back.
        loss: of (prediction, target), both (B, T, C, H, W), to one number; it is not saved.
        name: its name in tables and folders; None: that of its class.
        arguments: what `module`, if it is a class, is called with; saved with the model.
        any_size: it takes frames of any size; if not, those of another size are stretched and the result back.

    Raises:
        UserError: not a module, a name that cannot be a folder's, or arguments that are not plain values.
    """
    kind: Any = type(module) if isinstance(module, nn.Module) else module
    if isinstance(module, Predictor):
        raise UserError(f"{kind.__name__} is a model of nextframe already: use it as it is")
    config = WrappedConfig.parse(
        {
            "context": context,
            "horizon": horizon,
            "any_size": any_size,
            "name": _checked_name(name or str(getattr(kind, "__name__", type(kind).__name__))),
            "module": f"{getattr(kind, '__module__', '')}:{getattr(kind, '__qualname__', '')}",
            "arguments": _plain(arguments or {}),
        }
    )
    return Wrapped(config, made(module, config.arguments), loss)


def made(module: Module, arguments: Mapping[str, Any]) -> nn.Module:
    """Return `module`, or the result of calling it with `arguments` if it is a class or a function.

    Raises:
        UserError: it cannot be called so, or makes something else.
    """
    if isinstance(module, nn.Module):
        return module
    if not callable(module):
        raise UserError(f"give a torch module or its class, not {type(module).__name__}")
    try:
        built = module(**arguments)
    except TypeError as error:
        raise UserError(f"{getattr(module, '__name__', 'the module')} cannot be made: {error}") from error
    if not isinstance(built, nn.Module):
        raise UserError(f"{getattr(module, '__name__', 'it')} made {type(built).__name__}, not a torch module")
    return built


def rebuilt(config: Mapping[str, Any], module: Module | None, where: str) -> Wrapped:
    """Return the model that a folder describes, around the code that the caller gives; nothing is imported.

    Raises:
        BadInputError: no code is given; the line says of which class it should be.
    """
    parsed = WrappedConfig.parse(config)
    if module is None:
        called = ", ".join(f"{key}={value!r}" for key, value in parsed.arguments.items())
        kind = parsed.module.rpartition(":")[2] or parsed.name
        code = f"{kind.rpartition('.')[2]}({called})"
        what = f"holds the weights of a wrapped module ({parsed.module}), whose code is not in it"
        raise BadInputError(where, what, f"give the module: nextframe.load(..., module={code}); {REGISTER}")
    return Wrapped(parsed, made(module, parsed.arguments))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn an error of code from elsewhere into one line that begins with `what`; its traceback stays the cause."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except FOREIGN as error:
        first = str(error).strip().split("\n")[0]
        raise UserError(f"{what}: {type(error).__name__}: {first}") from error


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"the name '{name}' cannot be a folder's: give name= of letters, digits, '-', '_' and '.'")
    return name


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(arguments)))
    except (TypeError, ValueError) as error:
        raise UserError(f"arguments must be plain values, to be saved with the model: {error}") from None
    return plain
