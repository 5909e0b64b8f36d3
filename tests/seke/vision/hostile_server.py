"""A server on this machine that sends bodies of every hostile kind, at any address and with any status.

`Hostile(script)` runs in a thread; script: (method, path, how often that was asked) -> a `Body`, or
None where made-up answers are sent. As a program it asks such servers, so that memory is that of who asks:
    python hostile_server.py [--batch] URL ...      a JSON line for each server: how what it was asked ended
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import threading
import zlib
from dataclasses import dataclass, field
from functools import cache

GIB = 1 << 30
ZEROS = bytes(1 << 20)
PIECE = 1 << 16
# Answers that are asked for at once: as many as may be large side by side, and one more.
CALLS = 5


def gzip_of(pieces, size, window=31):
    """Return what unpacks to `size` bytes, the pieces repeated; window: of zlib, 31 for gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    begun = packer.compress(pieces) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same bytes are packed in the same way; where no checksum is met nobody sees that.
    again = packer.compress(pieces) + packer.flush(zlib.Z_FULL_FLUSH)
    return begun + again * (size // len(pieces) - 1)


def gzip_whole(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


@cache
def whole(kind):
    """Return a body of some length; made once, since many are sent side by side."""
    match kind:
        case "gzip":
            return gzip_of(ZEROS, GIB)
        case "deflate":
            return gzip_of(ZEROS, GIB, 15)
        case "raw deflate":
            return gzip_of(ZEROS, GIB, -15)
        case "nested":
            return gzip_whole(whole("gzip"))
        case "nested thrice":
            return gzip_whole(whole("nested"))
        case "no gzip":
            return b"plain text"
        case "values":
            return b'{"choices": [' + b"{}," * 2_000_000 + b"{}]}"
        case "data":
            return b'{"object": "list", "data": [' + b'{"id": "a"},' * 500_000 + b'{"id": "a"}]}'
        case "deep":
            return b'{"choices": ' + b"[" * 60_000
        case "no JSON" | "charset":
            return b"<html>busy</html>"
        case "null":
            return b"null"
        case "list":
            return b'{"object": "list", "data": [null, 5], "has_more": true}'
        case "huge identity":
            return b'{"status": "completed", "id": "' + b"x" * 3_000_000 + b'"}'
    raise AssertionError(kind)


ENDLESS = {
    "br": lambda: itertools.repeat(b"\x5b\xff\xff\x0f\x00" * 10_000),
    "zstd": lambda: itertools.repeat(b"\x28\xb5\x2f\xfd\x04\x00" * 10_000),
    # The head of gzip data whose file name never ends.
    "endless name": lambda: itertools.chain([b"\x1f\x8b\x08\x08" + bytes(6)], itertools.repeat(b"x" * PIECE)),
    "endless": lambda: itertools.repeat(b" " * PIECE),
    "endless text": lambda: itertools.chain(
        [b'{"choices": [{"message": {"content": "'], itertools.repeat(b"x" * PIECE)
    ),
}
CODINGS = {
    "gzip": "gzip",
    "no gzip": "gzip",
    "endless name": "gzip",
    "deflate": "deflate",
    "raw deflate": "deflate",
    "nested": "gzip, gzip",
    "nested thrice": "gzip, gzip, gzip",
    "br": "br",
    "zstd": "zstd",
}
KINDS = (*CODINGS, "endless", "endless text", "values", "data", "deep", "no JSON")


@dataclass
class Body:
    """kind: one of KINDS. status, headers: of the response."""

    kind: str
    status: int = 200
    headers: dict = field(default_factory=lambda: {"retry-after": "0.01"})

    def head(self):
        coding = CODINGS.get(self.kind)
        headers = {"content-type": "application/json", "connection": "close", **self.headers}
        headers |= {"content-type": "text/html; charset=idna"} if self.kind == "charset" else {}
        headers |= {"content-encoding": coding} if coding else {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Hm\r\n{lines}\r\n".encode()

    def pieces(self):
        if self.kind in ENDLESS:
            return ENDLESS[self.kind]()
        body = whole(self.kind)
        return (body[i : i + PIECE] for i in range(0, len(body), PIECE))


class Hostile:
    def __init__(self, script):
        self.script, self.asked, self.paths = script, {}, []
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        self.files, self.batch = {}, None

    def __enter__(self):
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)

    def _run(self):
        async def serve():
            self.stop = asyncio.Event()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            self.ready.set()
            await self.stop.wait()
            server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(serve())
        self.loop.close()

    async def _serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            length = re.search(r"content-length: (\d+)", head, re.I)
            body = await reader.readexactly(int(length[1])) if length else b""
            path = path.removeprefix("/v1").split("?")[0]
            self.paths.append((method, path))
            self.asked[method, path] = self.asked.get((method, path), 0) + 1
            sent = self.script(method, path, self.asked[method, path] - 1)
            if sent is None:
                data = (
                    json.dumps(self._answer(method, path, body)).encode()
                    if "/content" not in path
                    else self.files
                )
                writer.write(
                    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n" + data
                )
            else:
                writer.write(sent.head())
                for piece in sent.pieces():
                    writer.write(piece)
                    await writer.drain()
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, method, path, body):
        if path == "/models":
            return {"object": "list", "data": [{"id": "made-up", "object": "model"}]}
        if path == "/files":
            lines = body[body.index(b'{"custom_id"') : body.rindex(b"}") + 1].splitlines()
            self.files = b"\n".join(map(result, map(json.loads, lines)))
            return {"id": "file-1", "object": "file"}
        if path == "/batches" and method == "POST":
            self.batch = {"id": "batch-1", "object": "batch", "status": "in_progress", **json.loads(body)}
            return self.batch
        if path == "/batches":
            return {"object": "list", "data": [self.batch] if self.batch else [], "has_more": False}
        if path.startswith("/batches/"):
            return {**self.batch, "status": "completed", "output_file_id": "file-2"}
        return (
            {"id": "file-1", "deleted": True} if path.startswith("/files/") else completion(json.loads(body))
        )


def completion(asked):
    # Only a server makes answers; as a program this file asks, and has no need of the other.
    from server import made_up

    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": made_up(asked)}}
    return {"id": "r", "model": "made-up", "choices": [choice] * asked.get("n", 1)}


def result(line):
    response = {"status_code": 200, "body": completion(line["body"])}
    return json.dumps({"id": "x", "custom_id": line["custom_id"], "response": response}).encode()


class Journal:
    """Keeps account in memory, also of batches."""

    def __init__(self):
        self.answers, self.failures, self.numbers = 0, [], itertools.count()

    async def sent(self, *_):
        return next(self.numbers)

    async def answered(self, *_):
        self.answers += 1

    async def failed(self, _, failure):
        self.failures.append(f"kept {failure.code}: {failure.message}")

    async def begun(self, *_):
        pass

    async def over(self, *_):
        pass


def calls(count):
    from seke.sampling.loop import Request
    from seke.vision.messages import Call, Picture, Prompt

    prompt, picture = Prompt("Look.", {"properties": {}}, "d1"), Picture(b"jpeg", "image/jpeg", 10, 10, "d2")
    return [
        Call(Request(f"f{i}", "gpt-4o", "joint", None, "face", 0, 1), prompt, picture) for i in range(count)
    ]


async def ended(url):
    """Ask a server for its models and for answers at once; return how each question ended."""
    from seke.vision.client import Endpoint
    from seke.vision.messages import Settings

    journal = Journal()
    async with Endpoint(Settings("made-up"), base_url=url, deadline=10, attempts=2) as model:
        faults = await asyncio.gather(model.check(), return_exceptions=True)
        asked = (model.ask(call, journal) for call in calls(CALLS))
        faults += await asyncio.gather(*asked, return_exceptions=True)
    return [*(f"{type(fault).__name__}: {fault}" for fault in faults), *journal.failures]


async def ended_in_batches(url):
    """Ask for two answers in batches; return how many came, what failed, and what was said of batches."""
    from seke.runs.batch_client import Batches
    from seke.vision.messages import Settings

    journal, words = Journal(), []
    options = {"quiet": 0.02, "poll": 0.01, "deadline": 10, "attempts": 3, "tell": words.append}
    async with Batches(Settings("made-up"), base_url=url, **options) as model:
        await asyncio.gather(*(model.ask(call, journal) for call in calls(2)))
    return journal.answers, journal.failures, words


if __name__ == "__main__":
    import tenacity

    # Waits of the client's own making are cut short.
    tenacity.wait_random_exponential = lambda **_: lambda _state: 0.01
    ask = ended_in_batches if "--batch" in sys.argv else ended
    for address in sys.argv[1:]:
        if address != "--batch":
            print(json.dumps(asyncio.run(ask(address))))
