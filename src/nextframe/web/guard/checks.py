"""What a request must be to pass the gate: for this app, from its own page, and in the terms of its form."""

from __future__ import annotations

import ipaddress
import math
import os
import re
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nextframe.web.limits import WebLimits

Headers = Iterable[tuple[bytes, bytes]]
SESSION = re.compile(r"[\w.-]{1,100}", re.ASCII)
OTHER_SITES = ("cross-site", "same-site")  # what browsers call a page of another origin


@dataclass(frozen=True)
class Names:
    """The names of the app: those of this machine, and those that somebody gave it."""

    given: frozenset[str]

    @classmethod
    def of(cls, host: str = "", more: str = "") -> Names:
        """Return the names for an app that listens on `host`; `more` are others, separated by commas."""
        given = [host, os.environ.get("SPACE_HOST", ""), *more.split(",")]  # a Hugging Face Space says its name
        return cls(frozenset(name.strip().lower() for name in given if name.strip()))

    def takes(self, headers: Headers) -> bool:
        """Whether a request is for this app. A name that only points here is another site's (DNS rebinding)."""
        wanted = _value(headers, b"host")
        if wanted is None:  # not from a browser
            return True
        name = _host_of(f"//{wanted}")
        return _is_address(name) or name in {"localhost", socket.gethostname().lower(), *self.given}

    def trusts(self, headers: Headers, changes: bool) -> bool:
        """Whether a request comes from a page of this app; `changes`: it asks for more than reading."""
        origin, host = _value(headers, b"origin"), _value(headers, b"host")
        if origin is not None:
            own = host is not None and urlsplit(origin).netloc == host
            return own or _host_of(origin) in self.given
        return not (changes and _value(headers, b"sec-fetch-site") in OTHER_SITES)


def _value(headers: Headers, name: bytes) -> str | None:
    found = dict(headers).get(name)
    return None if found is None else found.decode("latin-1").lower()


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether a host is an address in numbers, which no other site can point here."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Form:
    """What the page can send: the number of its one function, and what each field may hold."""

    function: int
    models: Collection[str]
    besides: Collection[str]
    examples: Collection[str]
    ways: Collection[str]
    limits: WebLimits

    def fault(self, body: Any, joins: bool) -> str:
        """Return what is wrong with the JSON of a request; "" if nothing is. `joins`: it asks for a prediction."""
        if not isinstance(body, dict) or not isinstance(body.get("session_hash"), str):
            return "the request names no session"
        if not SESSION.fullmatch(body["session_hash"]):
            return "the session's name is not one of this page"
        if not joins:
            return ""
        if type(body.get("fn_index")) is not int or body["fn_index"] != self.function:
            return "there is no such function"
        data = body.get("data")
        if not isinstance(data, list) or len(data) != 9:
            return "the form has 9 fields"
        return next((f"the field '{name}' cannot be that" for name, fits in self._fields(data) if not fits), "")

    def _fields(self, data: list[Any]) -> list[tuple[str, bool]]:
        files, example, model, beside, frames, split, how, samples, side = data
        limits = self.limits
        return [
            ("clip", files is None or (isinstance(files, list) and all(isinstance(file, dict) for file in files))),
            ("example", example is None or _is_one_of(example, self.examples)),
            ("model", _is_one_of(model, self.models)),
            ("beside", _is_one_of(beside, self.besides)),
            ("frames", _is_within(frames, 1, limits.horizon)),
            ("split", _is_within(split, 0, 1)),
            ("how", _is_one_of(how, self.ways)),
            ("samples", _is_within(samples, 1, limits.samples)),
            ("side", _is_within(side, 1, max(32, limits.side))),
        ]


def _is_one_of(value: Any, known: Collection[str]) -> bool:
    return isinstance(value, str) and value in known


def _is_within(value: Any, least: float, most: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and least <= value <= most
