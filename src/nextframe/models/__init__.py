"""Every model by name. A new model is one new file and one line here."""

from __future__ import annotations

from nextframe.core.registry import Registry

MODELS: Registry = Registry("model")  # type: ignore[type-arg]

MODELS.add("copy-last", "nextframe.models.copy_last:CopyLast")
MODELS.add("linear", "nextframe.models.linear:Linear")
MODELS.add("flow", "nextframe.models.flow:FlowWarp")
MODELS.add("compact", "nextframe.models.compact:Compact")
MODELS.add("convlstm", "nextframe.models.convlstm:ConvLSTM")
