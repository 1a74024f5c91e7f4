"""What a config's fields are: name, type, default and meaning, for people to read."""

from __future__ import annotations

import inspect
import io
import json
import tokenize
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from rich.table import Table

    from nextframe.core.config import Config


@dataclass(frozen=True)
class Field:
    """One field as a user writes and reads it; `value` is what a recipe has in the default's place."""

    name: str
    type: str
    default: str
    meaning: str
    value: str = ""


def describe(
    config: type[Config], values: Mapping[str, Any] | None = None, prefix: str = "", start: Config | None = None
) -> list[Field]:
    """Return the fields of `config`; a field that is a config itself is followed by its own fields.

    Args:
        config: the class.
        values: what a recipe says, by field; `value` is filled in where it differs from the default.
        prefix: what stands before each name, such as "training.".
        start: the default of the field that `config` stands in, whose values are the defaults of its fields.
    """
    from nextframe.core.config import Config

    meanings = _meanings(config)
    found = []
    for name, info in config.model_fields.items():
        kind = info.annotation
        default = getattr(start, name) if start is not None else info.get_default(call_default_factory=True)
        if isinstance(kind, type) and issubclass(kind, Config):
            found += describe(
                kind, (values or {}).get(name), f"{prefix}{name}.", default if isinstance(default, Config) else None
            )
            continue
        same = values is None or name not in values or values[name] == default
        shown = "" if same or values is None else written(values[name])
        words = "required" if start is None and info.is_required() else written(default)
        found.append(Field(prefix + name, type_words(kind) + _range(info), words, meanings.get(name, ""), shown))
    return found


def type_words(kind: Any) -> str:
    """Return a type as a user reads it: int, 32 | bf16, [int, int], list of int."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "null"
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " | ".join(type_words(one) for one in inner)
    if origin is tuple:
        return f"list of {type_words(inner[0])}" if inner[-1] is ... else f"[{', '.join(map(type_words, inner))}]"
    if origin is list:
        return f"list of {type_words(inner[0])}"
    if origin is dict:
        return f"{{{type_words(inner[0])}: {type_words(inner[1])}}}"
    names = {str: "text", bool: "true | false", Any: "any"}
    return names.get(kind, getattr(kind, "__name__", str(kind)).lower())


def _range(info: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [
        f"{sign} {getattr(limit, name):g}"
        for limit in info.metadata
        for name, sign in signs.items()
        if hasattr(limit, name)
    ]
    return f" ({', '.join(limits)})" if limits else ""


def written(value: Any) -> str:
    """Return a value as it is written after --set."""
    return value if isinstance(value, str) else json.dumps(_plain(value), default=str)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def table(fields: Iterable[Field], value: str | None = None) -> Table:
    """Return a table of fields; with a column `value` of values that differ from the defaults if there are any."""
    from rich.table import Table

    columns = ["setting", "type", "default", *([value] if value else []), "meaning"]
    made = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for field in fields:
        row = [field.name, field.type, field.default, *([field.value] if value else []), field.meaning]
        made.add_row(*row)
    return made


def show(made: Table) -> None:
    """Print a table: folded into a terminal's width, in whole lines to a file or a pipe."""
    from nextframe.core.terminal import plain_console

    console = plain_console()
    if not console.is_terminal:
        console.width = 240
    console.print(made)


def _meanings(config: type[Config]) -> dict[str, str]:
    """Return what each field says of itself: its description, or the comment beside or above it in the source.

    A field that a config only gives another default has the meaning that it has in the config it extends.
    """
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__):
        if "__annotations__" in vars(owner) and owner.__module__.partition(".")[0] != "pydantic":
            fields: Mapping[str, FieldInfo] = getattr(owner, "model_fields", {})
            described = {name: info.description for name, info in fields.items() if info.description}
            found |= _comments_in(owner) | described
    return found


def _comments_in(owner: type) -> dict[str, str]:
    try:
        lines = inspect.getsource(owner).splitlines()
    except (OSError, TypeError):  # a class without a file has no comments
        return {}
    found, above = {}, ""
    for line in lines:
        text = line.strip()
        comment = _comment(text)
        name, colon, _ = text.partition(":")
        if text.startswith("#"):
            above = f"{above} {comment}".strip()
        else:
            if colon and name.isidentifier() and (comment or above):
                found[name] = comment or above
            above = ""
    return found


def _comment(line: str) -> str:
    """Return the comment of a line of code."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(line).readline))
    except tokenize.TokenError:  # a call that continues on the next line
        return ""
    return next((token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT), "")
