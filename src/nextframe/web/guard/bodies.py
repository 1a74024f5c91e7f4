"""Bodies of requests and answers: read up to a bound, given again, refused in one line of text."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LEAST_RATE = 16 << 10  # bytes per second of an upload, after
GRACE = 4.0  # seconds in which it may be slower
# The browser itself must not contact any other server, whatever a script in the page tries.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)
ON_A_SPACE = " https://huggingface.co" if "SPACE_HOST" in os.environ else ""  # which shows the page inside its own
HEADERS = (
    (b"content-security-policy", (POLICY + ON_A_SPACE).encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class TooMuchError(Exception):
    """A body that is larger than allowed."""


async def refuse(send: Send, status: int, line: str) -> None:
    """Answer with one line of text."""
    body = line.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive, most: int) -> bytes:
    """Return a whole body; TooMuchError if it has over `most` bytes."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise TooMuchError
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives `body` first, and then what follows."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def bounded(receive: Receive, most: int) -> Receive:
    """Return a `receive` that stops a body of more than `most` bytes, or one that comes too slowly."""
    size, whole, begun = 0, False, time.monotonic()

    async def bounded() -> Message:
        nonlocal size, whole
        left = begun + GRACE + size / LEAST_RATE - time.monotonic()
        message = await asyncio.wait_for(receive(), None if whole else max(left, 0.0))
        size += len(message.get("body", b""))
        whole = not message.get("more_body")
        if size > most:
            raise TooMuchError
        return message

    return bounded


class Answer:
    """A `send` that adds the headers of every answer, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await self._send(message)
