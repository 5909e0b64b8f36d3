"""The page served on loopback: answers are kept as they are made, whatever ends server or browser."""

from __future__ import annotations

import json
import os
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from seke.console.loopback import LoopbackHandler, LoopbackServer
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
# Bytes of an answer at most: one of forty variables has two thousand.
MOST_BYTES = 64 * 1024


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


class ReviewServer(LoopbackServer):
    """Serves one page on loopback. page: HTML; kept: where answers go."""

    def __init__(self, port: int, page: str, kept: AnswerFile) -> None:
        super().__init__(port, _Handler)
        self.page, self.kept = page.encode(), kept


class _Handler(LoopbackHandler):
    server: ReviewServer

    def do_GET(self) -> None:  # noqa: N802
        """Send the page, or what one person answered."""
        name = self.asked_for()
        if name == "":
            self.send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif name == "answers":
            person = parse_qs(urlsplit(self.path).query).get("annotator", [""])[0]
            self.send(HTTPStatus.OK, "application/x-ndjson", self.server.kept.of(person))
        elif name is not None:
            self.send(HTTPStatus.NOT_FOUND, "text/plain", b"nothing is here")

    def do_POST(self) -> None:  # noqa: N802
        """Keep an answer."""
        if self.asked_for() is None:
            return
        length = self.headers.get("Content-Length", "")
        # A page of another origin cannot send JSON without asking first, which nobody answers here.
        plain = self.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"
        if not plain or not length.isdigit() or int(length) > MOST_BYTES:
            self.send(HTTPStatus.BAD_REQUEST, "text/plain", b"an answer is JSON of at most 64 KB")
            return
        try:
            answer = json.loads(self.rfile.read(int(length)))
        except (RecursionError, ValueError):
            self.send(HTTPStatus.BAD_REQUEST, "text/plain", b"is no JSON")
            return
        try:
            fault = self.server.kept.add(answer)
        except OSError as error:
            fault = f"it cannot be written ({error.strerror})"
        status = HTTPStatus.BAD_REQUEST if fault else HTTPStatus.OK
        self.send(status, "text/plain; charset=utf-8", fault.encode())


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
    return ReviewServer(port, page, kept)
