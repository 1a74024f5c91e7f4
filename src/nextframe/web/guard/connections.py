"""Connections that say nothing: they have a few seconds, and give way to visitors."""

from __future__ import annotations

import asyncio
from typing import Any

CONNECTIONS = 300
PER_ADDRESS = 100  # a proxy in front has one address for all visitors
HEADER_SECONDS = 5.0


class Waiting:
    """The connections of a server, and which of them have not sent a whole request yet, the oldest first."""

    def __init__(self) -> None:
        self.open: dict[Any, str] = {}  # each with its address
        self.silent: dict[Any, None] = {}

    def admit(self, connection: Any, address: str) -> bool:
        """Take a new connection; a silent one gives way if there are too many. Return whether there was room."""
        mine = [one for one in self.silent if self.open[one] == address]
        if sum(1 for one in self.open.values() if one == address) >= PER_ADDRESS:
            victims = mine
        elif len(self.open) >= CONNECTIONS:
            victims = list(self.silent)
        else:
            victims = [None]
        if victims and victims[0] is not None:
            victims[0].drop()
        if victims:
            self.open[connection] = address
        return bool(victims)

    def forget(self, connection: Any) -> None:
        """Drop a connection that is closed from the lists."""
        self.open.pop(connection, None)
        self.silent.pop(connection, None)


def _address(client: tuple[str, int] | None) -> str:
    return client[0] if client else ""


def _is_answered(cycle: Any) -> bool:
    """Whether there is a request, and its answer is not complete."""
    return cycle is not None and not cycle.response_complete


def protocol() -> type[asyncio.Protocol]:
    """Return uvicorn's protocol for HTTP/1.1 with a time-out for headers and a share for each address."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    waiting = Waiting()

    class Patient(H11Protocol):  # type: ignore[misc]
        """A connection that must send a whole request within `HEADER_SECONDS`, the first as each later one."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            admitted = waiting.admit(self, _address(self.client))
            self._expect()
            if not admitted:
                self.drop()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if _is_answered(self.cycle):
                self._stop_waiting()
            elif self not in waiting.silent:
                self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            waiting.forget(self)
            super().connection_lost(exc)

        def drop(self) -> None:
            """Close the connection at once, and no longer count it."""
            self._stop_waiting()
            waiting.forget(self)
            self.connections.discard(self)
            self.transport.abort()

        def _expect(self) -> None:
            waiting.silent[self] = None
            self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self.drop)

        def _stop_waiting(self) -> None:
            waiting.silent.pop(self, None)
            self._timer.cancel()

    return Patient
