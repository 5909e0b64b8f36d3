"""Headless Chromium, driven over its debugging pipe: no other program, port or package is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars "
    "--disable-extensions --disable-background-networking --disable-component-update --disable-sync --no-proxy-server "
    "--host-resolver-rules=MAP:*:~NOTFOUND --remote-debugging-pipe"
).replace("MAP:*:", "MAP * ")


class Browser:
    """A page. problems: what its console, its scripts and its policy complained of. requests: what it asked for."""

    def __init__(self, profile, width=1400, height=900):
        flags = [part for part in FLAGS.split(" --")]
        arguments = [flags[0], *(f"--{one}" for one in flags[1:])]
        to_us, theirs_out = os.pipe()
        theirs_in, to_them = os.pipe()
        self._read, self._write = to_us, to_them

        def wired():
            # Above what is in the way, so that neither is closed by the other.
            high_in, high_out = os.dup(theirs_in), os.dup(theirs_out)
            while high_in < 10:
                high_in = os.dup(high_in)
            while high_out < 10:
                high_out = os.dup(high_out)
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self._process = subprocess.Popen(
            [
                CHROMIUM,
                *arguments,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            preexec_fn=wired,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._left, self._number, self._session = b"", 0, None
        self.problems, self.requests, self._events = [], [], []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next(60)
            if found.get("id") == self._number:
                assert "error" not in found, found["error"]
                return found["result"]

    def _next(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has gone"
            self._left += part
        line, _, self._left = self._left.partition(b"\0")
        message = json.loads(line)
        self._note(message)
        return message

    def _note(self, message):
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(
                    told["exceptionDetails"].get("exception", {}).get("description", "an exception")
                )
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.problems.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.problems.append(told["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])

    def open(self, url, *, ready="document.documentElement?.dataset.ready === 'yes'"):
        self.send("Page.navigate", url=url)
        self.wait(ready)

    def wait(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < end, f"waited in vain for {condition}: {self.problems}"
            time.sleep(0.02)

    def value(self, expression):
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def size(self, width, height, mobile=False):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def look(self, **features):
        """Emulate media features: prefers_color_scheme="dark"."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", media="", features=told)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self, path, *, whole=False):
        more = {"captureBeyondViewport": True} if whole else {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            more["clip"] = {
                "x": 0,
                "y": 0,
                "width": size["width"],
                "height": min(size["height"], 6000),
                "scale": 1,
            }
        data = self.send("Page.captureScreenshot", format="png", **more)["data"]
        path.write_bytes(base64.b64decode(data))

    def printed(self):
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        os.close(self._read)
        os.close(self._write)
