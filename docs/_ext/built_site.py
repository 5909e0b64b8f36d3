"""What a built site must keep: no page loads anything from elsewhere, every internal link leads somewhere,
and pages and gallery are executed in time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urlsplit

from bs4 import BeautifulSoup
from sphinx.util import logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

LOG = logging.getLogger(__name__)
# CPU seconds that reading one page and executing its cells may take, and the gallery's scripts together.
PAGE_SECONDS, GALLERY_SECONDS = 45, 90
# Pages that take less are not named.
TOLD_SECONDS = 3
# What a browser fetches by itself, and the attributes that name it.
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
# Relations of a link element that are only addresses.
ADDRESSES = {"canonical", "next", "prev", "index", "search", "author", "license"}


def outside_loads(page: BeautifulSoup) -> Iterator[str]:
    """Yield the address of everything that a page would load from another host."""
    for name, attribute in LOADS.items():
        for tag in page.find_all(name):
            address = str(tag.get(attribute, ""))
            if urlsplit(address).netloc and not ADDRESSES.intersection(tag.get("rel", [])):
                yield address


def dead_links(pages: dict[Path, BeautifulSoup], folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield page and address of each link within the site whose file or anchor does not exist."""
    anchors = {
        path: {str(tag[key]) for key in ("id", "name") for tag in page.find_all(attrs={key: True})}
        for path, page in pages.items()
    }
    for path, page in pages.items():
        for tag in page.find_all(["a", "img", "link", "script"]):
            address = str(tag.get("href") or tag.get("src") or "")
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or not address:
                continue
            file, anchor = (unquote(part) for part in urldefrag(address.partition("?")[0] or address))
            target = (path.parent / file).resolve() if file else path
            missing_anchor = anchor and target in anchors and anchor not in anchors[target]
            if not target.is_relative_to(folder) or not target.exists() or missing_anchor:
                yield path, address


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class _PageClock:
    """CPU seconds that reading each page took, the execution of its cells among it."""

    def __init__(self) -> None:
        self.begun = 0.0
        self.seconds: dict[str, float] = {}

    def begin(self, _app: Sphinx, _name: str, _content: list[str]) -> None:
        self.begun = _cpu_seconds()

    def end(self, app: Sphinx, _doctree: object) -> None:
        self.seconds[app.env.docname] = _cpu_seconds() - self.begun

    def check(self, _app: Sphinx, error: Exception | None) -> None:
        """Say what executed pages took, and warn of those that took too long."""
        for name, seconds in self.seconds.items() if error is None else ():
            if seconds > TOLD_SECONDS:
                LOG.info("%6.1f s of CPU  %s", seconds, name)
            if seconds > PAGE_SECONDS:
                LOG.warning("%s took %.1f s of CPU; allowed are %d", name, seconds, PAGE_SECONDS)


class _GalleryClock:
    """CPU seconds between the beginning of the gallery's scripts and their end."""

    begun = 0.0

    def begin(self, _app: Sphinx) -> None:
        self.begun = time.process_time()

    def end(self, _app: Sphinx) -> None:
        seconds = time.process_time() - self.begun
        LOG.info("the gallery took %.1f s of CPU", seconds)
        if seconds > GALLERY_SECONDS:
            LOG.warning("the gallery took %.1f s of CPU; allowed are %d", seconds, GALLERY_SECONDS)


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir).resolve()
    # An earlier build may have left other pages there.
    files = (folder / f"{name}.html" for name in (*sorted(app.env.found_docs), "genindex", "search"))
    pages = {path: BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in files}
    for path, page in pages.items():
        for address in outside_loads(page):
            LOG.warning("%s loads %s from elsewhere", path.relative_to(folder), address)
    for path, address in dead_links(pages, folder):
        LOG.warning("%s links to %s, which is not there", path.relative_to(folder), address)


def setup(app: Sphinx) -> dict[str, bool]:
    """Check the pages once they are written."""
    clock, pages = _GalleryClock(), _PageClock()
    # The gallery runs its scripts at this event, with the usual priority, 500.
    app.connect("builder-inited", clock.begin, priority=499)
    app.connect("builder-inited", clock.end, priority=501)
    app.connect("build-finished", _check)
    app.connect("source-read", pages.begin)
    app.connect("doctree-read", pages.end)
    app.connect("build-finished", pages.check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
