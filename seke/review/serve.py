"""The page served on loopback: answers are kept as they are made, whatever ends server or browser."""

from __future__ import annotations

import json
import os
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from engine import SekeError
from seke.review.answer_files import page_fault
from seke.review.export import keep_tasks, tasks_of
from seke.review.page import page_text
from seke.review.review_run import ReviewRun
from seke.review.tasks import TaskPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.review.tasks import ReviewTask

# The file in a run's folder `review` that the server adds answers to.
SERVED = "served.jsonl"
LOOPBACK = "127.0.0.1"
# Bytes of an answer at most: one of forty variables has two thousand.
MOST_BYTES = 64 * 1024
# Bytes of chance in the address, so that no other page of the browser can guess it.
TOKEN_BYTES = 16


class AnswerFile:
    """A file of answers, a line each, that are on the disk once `add` returns."""

    def __init__(self, path: Path, tasks: Mapping[str, ReviewTask]) -> None:
        """Open the file; what a killed server left of a last line is cut off."""
        self.path, self.tasks = path, tasks
        self._lock = threading.Lock()
        if path.is_file():
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                with path.open("r+b") as file:
                    file.truncate(len(whole))

    def add(self, answer: Any) -> str:
        """Keep an answer and return "", or return what is wrong with it."""
        fault = page_fault(answer)
        if fault:
            return fault
        if not answer["annotator"].strip():
            return "annotator: is empty"
        task = self.tasks.get(answer["task"])
        if task is None or task.item != answer["item"]:
            return "task: is none of this page; load the page again"
        line = json.dumps(answer, ensure_ascii=False).encode() + b"\n"
        with self._lock, self.path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return ""

    def of(self, annotator: str) -> bytes:
        """Return the lines of one person."""
        if not self.path.is_file():
            return b""
        with self._lock:
            lines = self.path.read_bytes().splitlines(keepends=True)
        return b"".join(line for line in lines if json.loads(line).get("annotator") == annotator)


class ReviewServer(ThreadingHTTPServer):
    """Serves one page on loopback. token: part of its address; page: HTML; kept: where answers go."""

    daemon_threads = True

    def __init__(self, port: int, page: str, kept: AnswerFile) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.page, self.kept = page.encode(), kept

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers requests whose path begins with the token and whose host is this one."""

    server: ReviewServer

    def do_GET(self) -> None:
        """Send the page, or what one person answered."""
        parts = urlsplit(self.path)
        if not self._is_ours(parts.path):
            return
        if parts.path == f"/{self.server.token}/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif parts.path == f"/{self.server.token}/answers":
            name = parse_qs(parts.query).get("annotator", [""])[0]
            self._send(HTTPStatus.OK, "application/x-ndjson", self.server.kept.of(name))
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"nothing is here")

    def do_POST(self) -> None:
        """Keep an answer."""
        parts = urlsplit(self.path)
        if not self._is_ours(parts.path):
            return
        length = self.headers.get("Content-Length", "")
        # A page of another origin cannot send JSON without asking first, which nobody answers here.
        plain = self.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"
        if not plain or not length.isdigit() or int(length) > MOST_BYTES:
            self._send(HTTPStatus.BAD_REQUEST, "text/plain", b"an answer is JSON of at most 64 KB")
            return
        try:
            answer = json.loads(self.rfile.read(int(length)))
        except (RecursionError, ValueError):
            self._send(HTTPStatus.BAD_REQUEST, "text/plain", b"is no JSON")
            return
        try:
            fault = self.server.kept.add(answer)
        except OSError as error:
            fault = f"it cannot be written ({error.strerror})"
        status = HTTPStatus.BAD_REQUEST if fault else HTTPStatus.OK
        self._send(status, "text/plain; charset=utf-8", fault.encode())

    def _is_ours(self, path: str) -> bool:
        """Refuse a request for another host (a name that was made to lead here) or without the token."""
        hosts = (f"{LOOPBACK}:{self.server.server_port}", f"localhost:{self.server.server_port}")
        given = path.split("/")[1] if path.count("/") > 1 else ""
        ours = self.headers.get("Host") in hosts and secrets.compare_digest(
            given.encode(), self.server.token.encode()
        )
        if not ours:
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"this address is not known")
        return ours

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the address has the token in it."""


def review_server(
    folder: str | Path,
    *,
    knowledge: str | Path | None = None,
    budget: float | None = None,
    minutes: float = 1.0,
    blind: float = 0.3,
    like: str | None = None,
    seed: int = 0,
    port: int = 0,
) -> ReviewServer:
    """Return a server of a run's tasks; see `review_export`. It serves once `serve_forever` is called.

    port: any free one by default. Answers are added to `review/served.jsonl` in the run's folder.

    Raises:
        engine.SekeError: no finished run, nothing to ask, a port that is taken.
    """
    run = ReviewRun.open(folder, knowledge, like)
    served = run.path / SERVED
    tasks, pictures, _ = tasks_of(run, TaskPlan(budget, minutes, blind, seed))
    keep_tasks(run, tasks)
    page = page_text(run.base, tasks, pictures, title=Path(folder).name, served=True)
    kept = AnswerFile(served, {task.key: task for task in tasks})
    try:
        return ReviewServer(port, page, kept)
    except OSError as error:
        raise SekeError(
            f"port {port} of {LOOPBACK} cannot be used ({error.strerror}); name another one"
        ) from None
