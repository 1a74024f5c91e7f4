"""How much randomness a model's futures have, set when they are drawn and not when it was trained."""

from __future__ import annotations

from nextframe.checkpoint import model_name, resolve_model
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.models.contract import Predictor


def at_temperature(model: str | Predictor, temperature: float | None) -> str | Predictor:
    """Return `model` drawing its futures at `temperature`: 0 the likeliest, 1 as learned; None: `model` itself.

    Raises:
        UserError: a temperature below 0, or a model that has none.
    """
    if temperature is None:
        return model
    net = resolve_model(model)
    if "temperature" not in type(net.config).model_fields:
        raise NotSupportedError(f"{model_name(net)} has no temperature: latent-lstm draws its futures with one")
    if temperature < 0:
        raise UserError(f"temperature must be at least 0, not {temperature:g}")
    net.config = net.config.model_copy(update={"temperature": temperature})
    return net
