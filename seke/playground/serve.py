"""The page served on loopback: whenever a file of the base is saved, the page has the base anew."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from engine import KnowledgeError, SekeError, changes, compile_network, declared_of
from seke.console.loopback import LoopbackHandler, LoopbackServer
from seke.console.plain_text import fault_with_line, forget_lines
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.knowledge_tools.diff import change_facts, change_text
from seke.playground.page import page_facts, page_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine import Knowledge

    Facts = dict[str, Any]
    Stamps = Mapping[str, tuple[int, int]]

# Seconds between two looks at the files.
LOOK_EVERY = 0.3
# Seconds that a request for news waits at most.
LONGEST_WAIT = 20.0
# Changed entries that the page names at most.
MOST_CHANGES = 40


class PlayServer(LoopbackServer):
    """Serves the page of a base, and news of its files, at which `watch` looks.

    note: is told, in words, what became of a change.
    """

    def __init__(self, knowledge: str | Path | None, port: int, note: Callable[[str], None]) -> None:
        self.given, self.note = knowledge, note
        self.base = read_knowledge(knowledge)
        self.stamps = _stamps(self.base)
        self.network = network_of(self.base)
        self.facts = page_facts(self.base, self.network) | {"served": True, "version": 1}
        self.news: Facts = {"version": 1, "fault": ""}
        self.changed = threading.Condition()
        super().__init__(port, _PlayHandler)

    def watch(self) -> None:
        """Serve, and look at the files, until an exception such as that of Ctrl-C.

        A base that was saved is compiled, unless it is faulty, in the thread of the caller.
        """
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            while True:
                time.sleep(LOOK_EVERY)
                stamps = _stamps(self.base)
                if stamps != self.stamps:
                    self.stamps = stamps
                    self._renew()
        finally:
            self.shutdown()

    def _renew(self) -> None:
        busy = "the files changed; reading and compiling the base ..."
        self.note(busy)
        self._tell({"fault": "", "busy": busy.capitalize()})
        begin = time.monotonic()
        forget_lines()
        try:
            base = read_knowledge(self.given)
            alike = _compiles_alike(base, self.base)
            network = self.network if alike else compile_network(base, self.network)
            facts = page_facts(base, network)
        except (SekeError, OSError) as error:
            fault = _fault_text(error)
            self.note(f"{fault}\nthe page keeps the base as it was")
            self._tell({"fault": f"{fault}\n\nThe page keeps the base as it was before."})
            return
        differences = changes(self.base, base)
        entries = [_entry(change_facts(change, self.base, base)) for change in differences[:MOST_CHANGES]]
        if len(differences) > MOST_CHANGES:
            entries.append({"path": f"and {len(differences) - MOST_CHANGES} more", "text": "", "place": ""})
        # What was saved meanwhile counts as a further change.
        self.base, self.network, self.stamps = base, network, {**_stamps(base), **self.stamps}
        self.note(f"compiled in {time.monotonic() - begin:.1f} s; entries that changed: {len(differences)}")
        self._tell({"fault": "", "facts": facts, "changes": entries})

    def _tell(self, news: Facts) -> None:
        with self.changed:
            version = self.news["version"] + 1
            if "facts" in news:
                news["facts"] |= {"served": True, "version": version}
                self.facts = news["facts"]
            self.news = news | {"version": version}
            self.changed.notify_all()

    def news_after(self, version: int) -> Facts:
        """Return the news that a page of this version lacks; waits for them for a while."""
        with self.changed:
            self.changed.wait_for(lambda: self.news["version"] > version, LONGEST_WAIT)
            news = self.news
            if news["version"] <= version:
                return {"version": version, "fault": news["fault"], "busy": news.get("busy", "")}
            # Of a page that missed a version the changes are those of the last one alone.
            behind = self.facts["version"] > version and "facts" not in news
            return news | ({"facts": self.facts, "changes": []} if behind else {})


class _PlayHandler(LoopbackHandler):
    server: PlayServer

    def do_GET(self) -> None:  # noqa: N802
        """Send the page, or the news that it lacks."""
        name = self.asked_for()
        if name == "":
            page = page_text(self.server.facts).encode()
            self.send(HTTPStatus.OK, "text/html; charset=utf-8", page)
        elif name == "next":
            after = parse_qs(urlsplit(self.path).query).get("after", ["0"])[0]
            version = int(after) if after.isdecimal() and len(after) < 10 else 0
            self.send(HTTPStatus.OK, "application/json", msgspec.json.encode(self.server.news_after(version)))
        elif name is not None:
            self.send(HTTPStatus.NOT_FOUND, "text/plain", b"nothing is here")


def _stamps(base: Knowledge) -> Stamps:
    """Return time and size of each YAML file that the base was read from, or would be."""
    files: set[Path] = set()
    for name in declared_of(base).files:
        path = Path(name)
        files |= {*path.rglob("*.yaml"), *path.rglob("*.yml")} if path.is_dir() else {path}
    stamps = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        stamps[str(file)] = (status.st_mtime_ns, status.st_size)
    return stamps


def _compiles_alike(base: Knowledge, other: Knowledge) -> bool:
    """Return whether two bases have the same network: they differ in observers or texts alone."""

    def compiled_from(knowledge: Knowledge) -> list[Any]:
        names = [*(c.name for c in knowledge.couplings), *(rule.name for rule in knowledge.rules)]
        states = [(name, variable.states) for name, variable in knowledge.variables.items()]
        return [knowledge.digests["knowledge"], names, states]

    return compiled_from(base) == compiled_from(other)


def _fault_text(error: Exception) -> str:
    if isinstance(error, KnowledgeError):
        return "\n".join(map(fault_with_line, error.faults))
    return str(error)


def _entry(change: Facts) -> Facts:
    return {"path": change["path"], "text": change_text(change), "place": change["place"]}
