"""From a list of models to a running server."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from nextframe.checkpoint import DEFAULT_MODEL, baseline_names, resolve_model, trained_models
from nextframe.checkpoint.hub import fetch_model, parse_hub_name
from nextframe.core.clip import Task
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.models.contract import check_task
from nextframe.web.app import Backend, build_app, stay_local
from nextframe.web.examples import write_examples
from nextframe.web.guard.checks import Names
from nextframe.web.guard.connections import CONNECTIONS, protocol
from nextframe.web.guard.gate import HEADER_BYTES, Gate
from nextframe.web.guard.store import Store
from nextframe.web.limits import WebLimits
from nextframe.web.work.worker import Workers

LOG = logging.getLogger(__name__)
FORECAST = Task.forecast(1, 1)
IDLE_SECONDS = 15
ALONE = "only this machine can open it; --host 0.0.0.0 lets in a phone, and everyone else of the network"


def serve(
    models: Sequence[str] = (),
    *,
    rows: Sequence[Path] = (),
    limits: WebLimits | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    show: bool = False,
) -> None:
    """Run the app until it is interrupted; then all visitors' files are deleted.

    Args:
        models: what visitors may choose: names, run or model folders, names of the Hub; () for the trained models and
            the baselines. Those of the Hub are downloaded before the server opens.
        rows: row files of benchmarks for the leaderboard.
        limits: the limits of one visitor.
        host: the address to listen on; "0.0.0.0" opens the app to others.
        port: the port; 0 for any free one.
        show: open the page in a browser.

    Raises:
        UserError: a model that cannot be served, the extra [web] is missing, or the port is taken.
    """
    if importlib.util.find_spec("gradio") is None:
        raise NotSupportedError("the app needs the extra [web]: pip install 'nextframe[web]'")
    limits = limits or WebLimits()
    offered = offer(models)
    listener = _listen(host, port)
    store = Store(keep=60 * limits.keep_minutes)
    signal.signal(signal.SIGTERM, _leave)  # else a service manager's stop would leave the folder behind
    try:
        stay_local(store)
        store.watch(every=min(30.0, store.keep / 2))
        with tempfile.TemporaryDirectory(prefix="nextframe-examples-", dir=store.root) as folder:
            examples = write_examples(Path(folder))
            besides = beside(offered)
            workers = Workers(limits.workers, list(besides.values()))
            backend = Backend(offered, besides, examples, limits, store, workers, rows)
            backend.open_with_example()
            here, others = addresses(host, listener.getsockname()[1])
            LOG.warning("nextframe app: %s (Ctrl-C ends it)", here)
            LOG.warning("%s", f"on a phone or another machine of this network: {others}" if others else ALONE)
            _run(build_app(backend, Names.of(host, limits.hosts)), listener, here if show else None)
    finally:
        store.close()


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def offer(models: Sequence[str]) -> dict[str, str]:
    """Return each model's name for visitors and what a worker loads for it, after checking each.

    Raises:
        UserError: a model that is unknown, untrained, or does not predict following frames.
    """
    offered = {}
    usual = dict.fromkeys([DEFAULT_MODEL, *trained_models(), *baseline_names(FORECAST)])  # the best one first
    for name in models or usual:
        on_hub = None if Path(name).exists() or "/" not in name else parse_hub_name(name)
        spec = str(fetch_model(on_hub)) if on_hub else name
        check_task(resolve_model(spec), FORECAST, name)
        offered[str(on_hub or name)] = spec
    return offered


def beside(offered: dict[str, str]) -> dict[str, str]:
    """Return what may be the second model: all that are offered, and the baselines, the strongest of them last."""
    baselines = baseline_names(FORECAST)
    return {name: spec for name, spec in offered.items() if name not in baselines} | {name: name for name in baselines}


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name != "nt":  # there it would let another program listen on the same port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(f"{host}:{port} is not available ({error.strerror}): give another --port") from None
    return listener


def addresses(host: str, port: int) -> tuple[str, str]:
    """Return where a browser of this machine finds an app that listens on `host`, and one elsewhere; "": nowhere.

    Elsewhere the machine has the address of its way out, which is looked up without sending anything.
    """
    if host in ("0.0.0.0", "::"):
        return f"http://localhost:{port}", f"http://{_own_address()}:{port}"
    name = f"[{host}]" if ":" in host else host
    alone = host in ("localhost", "::1") or host.startswith("127.")
    return f"http://{name}:{port}", "" if alone else f"http://{name}:{port}"


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("192.0.2.1", 9))  # an address of no machine (RFC 5737): connecting UDP sends nothing
        except OSError:  # no network
            return socket.gethostname()
        return str(way.getsockname()[0])


def _run(app: Gate, listener: socket.socket, show: str | None) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        http=protocol(),
        ws="none",
        h11_max_incomplete_event_size=HEADER_BYTES,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=3,
        server_header=False,
        proxy_headers=False,
    )
    if show is not None:
        threading.Timer(2.0, webbrowser.open, [show]).start()
    uvicorn.Server(config).run(sockets=[listener])
