"""A real Chromium, driven over its debugging pipe: no port, no library, nothing left behind."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
PATIENCE_SECONDS = 90.0


def find_chromium() -> str | None:
    """The browser's path, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Tab:
    """One page of a running browser; ``events`` holds all that it reported, oldest first."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to_browser = to_browser
        self._from_browser = from_browser
        self._unread = b""
        self._last_id = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer to one command. Raises RuntimeError if it refuses."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(time.monotonic() + PATIENCE_SECONDS)
            if answer.get("id") == self._last_id:
                break
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Go there and wait until it is loaded and drawn."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.named():
            self.events.append(self._read(time.monotonic() + PATIENCE_SECONDS))
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))")

    def named(self) -> list[str]:
        return [event["method"] for event in self.events]

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        sent = (e for e in self.events if e["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def complaints(self) -> list[dict[str, Any]]:
        """Console lines, log entries, uncaught errors and dialogs."""
        kinds = {
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        }
        return [event for event in self.events if event["method"] in kinds]

    def evaluate(self, expression: str) -> Any:
        """A value computed in the page by the debugger; the page's own policy does not apply."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    def size(self, width: int, height: int, media: str = "screen") -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", media=media)

    def screenshot(self, path: Path) -> None:
        taken = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))

    def print_to_pdf(self) -> bytes:
        """The page as paper, by its own @page rule."""
        # An emulated window or medium would be printed instead of the sheet.
        self.call("Emulation.clearDeviceMetricsOverride")
        self.call("Emulation.setEmulatedMedia", media="")
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(printed["data"])

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            wait = deadline - time.monotonic()
            if wait <= 0 or not select.select([self._from_browser], [], [], wait)[0]:
                raise TimeoutError("the browser does not answer")
            block = os.read(self._from_browser, 1 << 20)
            if not block:
                raise RuntimeError("the browser ended")
            self._unread += block
        text, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def running(path: str, profile: Path) -> Iterator[Tab]:
    """A tab of a fresh browser with a profile of its own; the browser ends with the block."""
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    # The browser reads its commands on descriptor 3 and answers on 4: a shell puts them there.
    place = f'exec "$@" 3<&{commands} 4>&{answers}'
    arguments = [path, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (profile.parent / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(
            ["/bin/bash", "-c", place, "bash", *arguments],
            pass_fds=(commands, answers),
            start_new_session=True,
            stdout=log,
            stderr=log,
        )
    os.close(commands)
    os.close(answers)
    try:
        yield Tab(to_browser, from_browser)
    finally:
        os.close(to_browser)
        os.close(from_browser)
        # Its helpers share the session that was started for it and end with it.
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
