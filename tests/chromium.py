"""A headless Chromium driven through its DevTools protocol: pages, clicks, files, pictures, and all its requests."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

BINARY = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-extensions", "--mute-audio", "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


class Chromium:
    """The browser; `page()` opens tabs. Close it with `close`."""

    def __init__(self) -> None:
        assert BINARY is not None
        self.folder = tempfile.mkdtemp(prefix="chromium-")
        command = [BINARY, *FLAGS, f"--user-data-dir={self.folder}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        file = Path(self.folder) / "DevToolsActivePort"
        wait_for(lambda: file.exists() and len(file.read_text().split()) == 2, 30)
        self.port, self.path = file.read_text().split()

    def page(self, width: int = 1280, height: int = 900, mobile: bool = False) -> Page:
        """Return a new tab of this size, in a session of its own."""
        from websockets.sync.client import connect

        address = f"ws://127.0.0.1:{self.port}"
        with connect(address + self.path, max_size=None) as browser:
            own = _call(browser, 1, "Target.createBrowserContext", {})["browserContextId"]
            found = _call(browser, 2, "Target.createTarget", {"url": "about:blank", "browserContextId": own})
        entered = connect(f"{address}/devtools/page/{found['targetId']}", max_size=None)
        return Page(entered, width, height, mobile)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Page:
    """One tab. `requests` holds the address of everything that it has asked for."""

    def __init__(self, connection: Any, width: int, height: int, mobile: bool) -> None:
        self.connection, self.socket, self.number = connection, connection.__enter__(), 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Network", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=120))
            if message.get("id") == self.number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
        elif message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def eval(self, script: str) -> Any:
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 180) -> Any:
        """Wait until the script is true and return its value."""
        value = f"const v = ({script}); return v instanceof Node ? true : v"
        guarded = f"(() => {{ try {{ {value} }} catch {{ return false }} }})()"
        return wait_for(lambda: self.eval(guarded), seconds, lambda: self.eval("document.body?.innerText"))

    def text(self, selector: str) -> str:
        return self.eval(f"document.querySelector({selector!r})?.innerText ?? ''")

    def click(self, selector: str) -> None:
        assert self.eval(f"(e => e && (e.click(), true))(document.querySelector({selector!r}))"), selector

    def click_text(self, selector: str, text: str) -> None:
        found = f"[...document.querySelectorAll({selector!r})].find(e => e.innerText.trim().startsWith({text!r}))"
        assert self.eval(f"(e => e && (e.click(), true))({found})"), text

    def choose_files(self, selector: str, *files: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def picture(self, path: Path, whole: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self.call("Page.close")
        self.connection.__exit__(None, None, None)


def _call(socket: Any, number: int, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
    while True:
        message = json.loads(socket.recv(timeout=60))
        if message.get("id") == number:
            return message["result"]


def wait_for(ready: Callable[[], Any], seconds: float, seen: Callable[[], Any] | None = None) -> Any:
    """Return the first true answer of `ready`; fail with what `seen` says after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ready():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {seen() if seen else ''}")


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except OSError:
        return False
