"""The state of a recurrent model as a flat list of tensors, and back: ONNX has no dataclasses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def flatten(state: Any) -> list[Tensor]:
    """Return the tensors of a state of dataclasses, tuples, lists, None and tensors, in order.

    Raises:
        TypeError: it holds something else.
    """
    if state is None:
        return []
    if isinstance(state, Tensor):
        return [state]
    if is_dataclass(state):
        return [tensor for field in fields(state) for tensor in flatten(getattr(state, field.name))]
    if isinstance(state, tuple | list):
        return [tensor for part in state for tensor in flatten(part)]
    raise TypeError(f"a state of tensors, tuples and dataclasses can be exported, not {type(state).__name__}")


def rebuild(template: Any, tensors: Iterator[Tensor]) -> Any:
    """Return a state like `template` from the next `tensors`."""
    if template is None or isinstance(template, Tensor):
        return template if template is None else next(tensors)
    if is_dataclass(template) and not isinstance(template, type):
        return replace(template, **{f.name: rebuild(getattr(template, f.name), tensors) for f in fields(template)})
    parts = [rebuild(part, tensors) for part in template]
    return type(template)(*parts) if hasattr(template, "_fields") else type(template)(parts)
