"""A gate in front of the app's server: only what the page needs gets through, and nothing that is too large.

Gradio's server has some sixty routes, among them ones that read files and fetch from other servers. The gate has
a list of the few that the page uses and answers 404 to all others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from nextframe.web.guard.bodies import Answer, Receive, Scope, Send, TooMuchError, bounded, read_body, refuse, replay
from nextframe.web.guard.checks import Form, Names
from nextframe.web.guard.paths import is_plain, paths_are_uploads
from nextframe.web.guard.store import Store
from nextframe.web.limits import MIB, WebLimits

LOG = logging.getLogger(__name__)
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
PAGE = re.compile(
    r"/|/(?:config|theme\.css|favicon\.ico|manifest\.json)|/(?:assets|static)/[\w./-]+"
    rf"|{API}/(?:theme\.css|startup-events|info|queue/data|upload_progress|heartbeat/\w+)",
    re.ASCII,
)
ASK = re.compile(rf"{API}/(?:queue/join|cancel|reset)/?")
UPLOAD = f"{API}/upload"
RESULT = re.compile(r"/results/([\w-]+)/([\w.-]+)", re.ASCII)
TYPES = {".gif": "image/gif", ".webp": "image/webp", ".mp4": "video/mp4"}

HEADER_BYTES = 16 << 10  # the server's own limit does not apply to what arrives in one piece
ADDRESS_BYTES = 2 << 10
ASK_BYTES = 64 << 10  # bytes of a request that is not an upload
FORM_BYTES = 64 << 10  # bytes that a form adds to its files
ASK_SECONDS = 10.0
UPLOAD_SECONDS = 120.0
UPLOADS_AT_ONCE, UPLOADS_OF_ONE = 32, 8  # of all visitors, and of one address
TURN_SECONDS = 10.0  # to wait until another upload ends


class NoTurnError(Exception):
    """No place for an upload became free."""


class Gate:
    """An ASGI application around another one.

    `names` are those by which it may be asked, `form` is what its page may send; None: anything.
    """

    def __init__(
        self, app: App, store: Store, limits: WebLimits, names: Names | None = None, form: Form | None = None
    ) -> None:
        self.app, self.store, self.limits = app, store, limits
        self.names, self.form = names or Names.of(), form
        self._uploading: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, pass it on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = Answer(send)
            try:
                await self._route(scope, receive, answer)
            except Exception as error:  # noqa: BLE001  # of the server behind, at a request that nobody foresaw
                LOG.warning("a request was refused (%s)", type(error).__name__)
                if not answer.begun:
                    await refuse(answer, 400, "the request cannot be understood")

    async def _route(self, scope: Scope, receive: Receive, send: Answer) -> None:
        path, method = scope["path"], scope["method"]
        read = method in ("GET", "HEAD")
        found = RESULT.fullmatch(path)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
            await refuse(send, 431, "the headers are too long")
        elif len(scope.get("raw_path") or path) + len(scope.get("query_string", b"")) > ADDRESS_BYTES:
            await refuse(send, 414, "the URL is too long")
        elif not self.names.takes(scope["headers"]):
            await refuse(send, 421, "the app has another name: --set limits.hosts=NAME tells it this one")
        elif not self.names.trusts(scope["headers"], changes=not read):
            await refuse(send, 403, "only the app's own page may ask this")
        elif read and found:
            await self._result(send, found[1], found[2], method == "GET")
        elif not is_plain(scope):
            await refuse(send, 404, "not found")
        elif read and PAGE.fullmatch(path):
            await self.app(scope, receive, send)
        elif method == "POST" and ASK.fullmatch(path):
            await self._ask(scope, receive, send)
        elif method == "POST" and path == UPLOAD:
            await self._upload(scope, receive, send)
        else:
            await refuse(send, 404, "not found")

    async def _result(self, send: Send, token: str, name: str, with_body: bool) -> None:
        file = self.store.result(token, name)
        if file is None:
            await refuse(send, 404, "not found: results are deleted after a while")
            return
        body = await asyncio.to_thread(file.read_bytes)
        headers = [
            (b"content-type", TYPES[Path(name).suffix].encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"private, max-age=600"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body if with_body else b""})

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole request, which is small, and check the paths in it."""
        try:
            body = await asyncio.wait_for(read_body(receive, ASK_BYTES), ASK_SECONDS)
            asked = json.loads(body or b"{}")
            if not paths_are_uploads(asked, self.store.uploads):
                await refuse(send, 400, "only files uploaded on this page can be used")
                return
            if self.form and (fault := self.form.fault(asked, joins="/queue/join" in scope["path"])):
                await refuse(send, 400, fault)
                return
        except (TooMuchError, TimeoutError):
            await refuse(send, 413, "the request is too long")
        except (ValueError, RecursionError):
            await refuse(send, 400, "the request is not JSON")
        else:
            await self.app(scope, replay(body, receive), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Answer) -> None:
        most = self.limits.upload_mb * MIB + FORM_BYTES
        stated = dict(scope["headers"]).get(b"content-length", b"")
        if not stated.isdigit():
            await refuse(send, 411, "an upload must state its length")
        elif len(stated) > 15 or int(stated) > most:
            await refuse(send, 413, f"the upload is over the limit of {self.limits.upload_mb} MB")
        elif await asyncio.to_thread(self.store.used) + int(stated) > self.limits.temporary_mb * MIB:
            await refuse(send, 507, "the server is full: try again in a few minutes")
        else:
            await self._take(scope, receive, send, int(stated))

    async def _take(self, scope: Scope, receive: Receive, send: Answer, most: int) -> None:
        address = (scope.get("client") or ("",))[0]
        try:
            async with self._turn(address):
                await asyncio.wait_for(self.app(scope, bounded(receive, most), send), UPLOAD_SECONDS)
        except NoTurnError:
            await refuse(send, 503, "too many uploads at once: try again in a moment")
        except TooMuchError:
            LOG.info("an upload was larger than stated")
        except TimeoutError:
            LOG.info("an upload was too slow")
            if not send.begun:
                await refuse(send, 408, "the upload is too slow")

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """Wait for one of the places for uploads, of which no address has them all; NoTurnError if it takes long."""

        def free() -> bool:
            return self._uploading[address] < UPLOADS_OF_ONE and self._uploading.total() < UPLOADS_AT_ONCE

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(free), TURN_SECONDS)
            except TimeoutError:
                raise NoTurnError from None
            self._uploading[address] += 1
        try:
            yield
        finally:
            self._uploading -= Counter([address])
            async with self._changed:
                self._changed.notify_all()
