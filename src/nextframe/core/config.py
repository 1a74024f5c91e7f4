"""The base of every configuration: typed, frozen, and strict about unknown fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from nextframe.core.errors import UserError, cut, did_you_mean, shown

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # it has no public name


class _OneLineErrors(ModelMetaclass):
    """Translates the errors of `SomeConfig(field=value)`, and of nothing that pydantic itself builds."""

    def __call__(self, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise UserError(_one_line(error, cast("type[Config]", self), "")) from None


class Config(BaseModel, metaclass=_OneLineErrors):
    """A frozen pydantic model; an unknown field or a bad value is a UserError of one line that names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Build the configuration from plain values; `where` (a file or section) begins the error line.

        Raises:
            UserError: an unknown field (with the nearest known one) or a value out of range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UserError(_one_line(error, cls, where)) from None


def odd_side(side: int) -> int:
    """Return `side` as it is: a validator of fields that are the side of a kernel."""
    if side % 2 == 0:
        raise ValueError("must be odd, so that a kernel has a middle")
    return side


def _one_line(error: ValidationError, config: type[Config], where: str) -> str:
    first = error.errors()[0]
    field = cut(".".join(str(part) for part in first["loc"]))
    prefix = f"{where}: " if where else ""
    if first["type"] == "extra_forbidden":
        inner = _config_at(config, first["loc"][:-1])
        return f"{prefix}unknown field '{field}'{did_you_mean(cut(str(first['loc'][-1])), inner.model_fields)}"
    section = f"field '{field}' of {config.__name__}" if field else config.__name__
    return f"{prefix}{section}: {first['msg'].removeprefix('Value error, ')} (got {shown(first.get('input'))})"


def _config_at(config: type[Config], path: tuple[int | str, ...]) -> type[Config]:
    """Follow field names down to the configuration that a bad field belongs to."""
    for part in path:
        if isinstance(part, int):  # an entry of a list: its type was found with the list's
            continue
        annotation = config.model_fields[part].annotation if part in config.model_fields else None
        inner = [kind for kind in (annotation, *get_args(annotation)) if _is_config(kind)]
        if not inner:
            break
        config = inner[0]
    return config


def _is_config(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Config)
