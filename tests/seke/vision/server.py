"""A small HTTP server on this machine that speaks chat completions, with faults by script.

`Server(script)` is an async context manager; script: (number of the request, its JSON) -> what happens, a
`Reply` or one of the names in FAULTS. `seen` holds the JSON of every request for completions, also of those
that came as lines of a batch; of these a script may say "missing", "expired", or a line of text, too.
batch: (method, path, how often that was asked) -> an error, "reset" or "half", or None where requests about
files or batches are answered. ends: number of a batch -> its last status, and errors.
    python server.py PORT SECONDS [HOLD]   answers forever after so many seconds, one choice by its seed;
                                           while the file HOLD is there, none from the number in it on
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS = (
    *("reset", "half", "slow", "silent", "not json", "utf-8", "null choices", "no message", "parts", "huge"),
    *("numbers", "deep"),
)


@dataclass
class Reply:
    """An answer: its texts (one for each choice that was asked for, or as many as given), or an error.

    alone: a single text is a single choice, however many were asked for. held: whether it waits still.
    """

    texts: list = field(default_factory=list)
    status: int = 200
    headers: dict = field(default_factory=dict)
    error: dict | None = None
    finish: str = "stop"
    refusal: str | None = None
    after: float = 0.0
    held: Callable[[], bool] = bool
    alone: bool = False
    usage: dict | None = field(default_factory=lambda: {"prompt_tokens": 1000, "completion_tokens": 50})


@dataclass
class Raw:
    """A body as it is sent, of any form."""

    body: bytes
    status: int = 200
    kind: str = "application/json"


def error(status, message="no", code=None, **headers):
    body = {"message": message, "code": code, "type": code}
    return Reply(status=status, error=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Server:
    def __init__(self, script, models=("made-up",), batch=lambda *_: None, ends=lambda _: ("completed", [])):
        self.script, self.models, self.batch, self.ends = script, list(models), batch, ends
        self.files, self.batches, self.asked, self.polls = {}, {}, {}, 2
        self.names = itertools.count()
        self.requests = []
        self.seen, self.keys, self.open, self.most, self.tasks = [], set(), 0, 0, set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.keys.add(headers.get("authorization", ""))
                path, _, query = lines[0].split(" ")[1].partition("?")
                self.requests.append((path, query, headers))
                if path.endswith("/models"):
                    data = [{"id": name, "object": "model"} for name in self.models]
                    listed = {"object": "list", "data": data}
                    await self._send(writer, 200, json.dumps(listed).encode(), {})
                    continue
                if "/files" in path or "/batches" in path:
                    if not await self._batched(writer, lines[0].split(" ")[0], path, body):
                        break
                    continue
                self.open += 1
                self.most = max(self.most, self.open)
                try:
                    if not await self._complete(writer, json.loads(body)):
                        break
                finally:
                    self.open -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _complete(self, writer, asked):
        """Answer; False where the connection is to be closed."""
        self.seen.append(asked)
        what = self.script(len(self.seen) - 1, asked)
        if what == "reset":
            writer.transport.abort()
            return False
        if what == "silent":
            await asyncio.sleep(3600)
        if what in ("half", "slow"):
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"
            )
            for _ in range(2 if what == "half" else 10_000):
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(b" ")
            return False
        if isinstance(what, str):
            await self._send(writer, 200, odd(what), {})
            return True
        if isinstance(what, Raw):
            await self._send(writer, what.status, what.body, {"content-type": what.kind})
            return True
        await asyncio.sleep(what.after)
        while what.held():
            await asyncio.sleep(0.01)
        await self._send(writer, what.status, json.dumps(self._said(what, asked)).encode(), what.headers)
        return True

    def _said(self, what, asked):
        """Return the body of a reply."""
        if what.error is not None:
            return {"error": what.error}
        texts = what.texts or ["{}"]
        if len(texts) == 1 and not what.alone:
            texts = texts * asked.get("n", 1)
        choices = [
            {
                "index": i,
                "finish_reason": what.finish,
                "message": {"role": "assistant", "content": text, "refusal": what.refusal},
            }
            for i, text in enumerate(texts)
        ]
        completion = {"id": f"r{len(self.seen)}", "model": asked["model"] + "-1", "choices": choices}
        if what.usage is not None:
            completion["usage"] = what.usage
        return completion

    async def _batched(self, writer, method, path, body):
        """Answer a request about files or batches; False where the connection is to be closed."""
        short = path.removeprefix("/v1")
        key = method, re.sub(r"(file|batch)-\d+", "*", short)
        self.asked[key] = self.asked.get(key, 0) + 1
        what = self.batch(*key, self.asked[key] - 1)
        done = None if isinstance(what, Reply) else self._act(method, short, body)
        if isinstance(what, Reply):
            await self._send(writer, what.status, json.dumps(self._said(what, {})).encode(), what.headers)
        elif what == "reset":
            writer.transport.abort()
            return False
        elif what == "half":
            writer.write(
                f"HTTP/1.1 200 OK\r\ncontent-length: {len(done)}\r\n\r\n".encode() + done[: len(done) // 2]
            )
            await writer.drain()
            return False
        else:
            await self._send(writer, 200 if done is not None else 404, done or b"{}", {})
        return True

    def _act(self, method, path, body):
        _, kind, *path_tail = path.split("/")
        if (method, kind) == ("POST", "files"):
            name = f"file-{next(self.names)}"
            self.files[name] = body[body.index(b'{"custom_id"') : body.rindex(b"}") + 1]
            return json.dumps({"id": name, "object": "file"}).encode()
        if kind == "files" and method == "DELETE" and path_tail[0] in self.files:
            del self.files[path_tail[0]]
            return json.dumps({"id": path_tail[0], "object": "file", "deleted": True}).encode()
        if kind == "files":
            return self.files.get(path_tail[0])
        if method == "POST":
            name = f"batch-{len(self.batches)}"
            self.batches[name] = {
                "id": name,
                "object": "batch",
                "status": "in_progress",
                "polled": 0,
                **json.loads(body),
            }
            return json.dumps(self.batches[name]).encode()
        if not path_tail:
            latest = [*self.batches.values()][::-1]
            return json.dumps({"object": "list", "data": latest, "has_more": False}).encode()
        if path_tail[0] not in self.batches:
            return None
        batch = self.batches[path_tail[0]]
        batch["polled"] += 1
        if batch["polled"] >= self.polls and batch["status"] == "in_progress":
            self._end(batch)
        return json.dumps(batch).encode()

    def _end(self, batch):
        """Answer the lines of a batch."""
        batch["status"], errors = self.ends(int(batch["id"].removeprefix("batch-")))
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        good, bad = [], []
        if batch["status"] == "failed":
            self.seen += [line["body"] for line in lines]
            batch["errors"] = {"object": "list", "data": errors}
            return
        for line in reversed(lines):
            self.seen.append(line["body"])
            what = self.script(len(self.seen) - 1, line["body"])
            result_line = {"id": "x", "custom_id": line["custom_id"], "response": None, "error": None}
            if what == "expired":
                bad.append({**result_line, "error": {"code": "batch_expired", "message": "too late"}})
            elif isinstance(what, Reply):
                response = {
                    "status_code": what.status,
                    "request_id": "q",
                    "body": self._said(what, line["body"]),
                }
                (good if what.error is None else bad).append({**result_line, "response": response})
            elif what != "missing":
                good.append(what)
        for key, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[key] = f"file-{next(self.names)}"
                text = (row if isinstance(row, str) else json.dumps(row) for row in rows)
                self.files[batch[key]] = "\n".join(text).encode()

    async def _send(self, writer, status, body, headers):
        fields = {"content-type": "application/json", "content-length": len(body), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} OK\r\n{lines}\r\n".encode() + body)
        await writer.drain()


def odd(what):
    """Return the body of an answer that is wrong in some way."""
    message = {"role": "assistant", "content": "{}"}
    match what:
        case "not json":
            return b"<html>busy</html>"
        case "utf-8":
            return b'{"choices": [{"finish_reason": "stop", "message": {"content": "\xff\xfe{}"}}]}'
        case "null choices":
            return b'{"choices": null}'
        case "no message":
            return b'{"choices": [{"finish_reason": "stop"}, 7, null]}'
        case "parts":
            parts = [{"type": "text", "text": '{"a": '}, {"type": "text", "text": "1}"}, 5]
            message["content"] = parts
            return json.dumps({"choices": [{"finish_reason": "stop", "message": message}]}).encode()
        case "huge":
            message["content"] = "x" * 5_000_000
            return json.dumps({"choices": [{"finish_reason": "stop", "message": message}]}).encode()
        case "numbers":
            choice = {"finish_reason": 3, "message": {"content": 12, "refusal": 1}}
            completion = {"choices": [choice], "usage": {"prompt_tokens": "x"}, "model": 5, "id": []}
            return json.dumps(completion).encode()
        case "deep":
            return b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    raise AssertionError(what)


def made_up(asked):
    """Return an answer in the form that is asked for; the same seed has the same."""
    chance = random.Random(asked.get("seed"))
    ranking = chance.sample(["happiness", "surprise", "neutral", "sadness", "anger"], 3)
    levels = {name: chance.choice([-0.5, 0.0, 0.5]) for name in ("valence", "arousal")}
    properties = asked["response_format"]["json_schema"]["schema"]["properties"]
    marked = properties.get("action_units", {}).get("properties")
    alone = "string" in (properties.get("expression", {}).get("type") or ())
    names = marked or ("AU1", "AU4", "AU6", "AU12", "AU25")
    units = {name: chance.random() < 0.5 for name in names}
    reported_units = units if marked else [name for name, seen in units.items() if seen]
    expression = ranking[0] if alone else ranking
    return json.dumps({"expression": expression, **levels, "action_units": reported_units})


async def forever(port, seconds, hold=None):
    def is_held(number):
        try:
            return hold is not None and number >= int(hold.read_text())
        except FileNotFoundError:
            return False

    def script(number, asked):
        print(asked.get("seed"), flush=True)
        return Reply([made_up(asked)], after=seconds, held=lambda: is_held(number), alone=True)

    served = Server(script)
    server = await asyncio.start_server(served._serve, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(forever(int(sys.argv[1]), float(sys.argv[2]), *map(Path, sys.argv[3:])))
