"""One page on which a base is tried out: it has the compiled network in it, and computes by itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Inference, Knowledge, notebook_frame
from seke.files.atomic import check_target, write_file
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.graphics.face import face_data, face_script, face_table
from seke.graphics.page_colours import page_css
from seke.graphics.shapes import clean
from seke.playground.knowledge_facts import Citations, knowledge_facts
from seke.playground.network_facts import network_facts
from seke.playground.observer_facts import observer_facts

if TYPE_CHECKING:
    from engine import Network

    Facts = dict[str, Any]

WEB = Path(__file__).parent / "web"
SCRIPTS = ("dom", "tree", "observer", "numbers", "state", "controls", "answers", "app")


class PlayPage(str):
    """The HTML of a page; a notebook shows the page itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<PlayPage of {len(self) >> 10:,} kB; seke.play(base, path) writes it>"

    def _repr_html_(self) -> str:
        return notebook_frame("Try the base", self, notes=["seke.play(base, path) writes it as a file."])


def play(knowledge: Knowledge | str | Path | None = None, path: str | Path | None = None) -> PlayPage:
    """Return one page, HTML, on which a base is tried out; with a path it is also written there.

    Nothing is loaded from elsewhere. What is shown is exact: the page sums over the compiled network, as
    `engine.Inference` does.

    Raises:
        engine.SekeError: a base that cannot be read or compiled, or that is too wide for a page; a path that
            cannot be written to.
    """
    target = Path(path) if path is not None else None
    check_target(target, ("html",))
    base = read_knowledge(knowledge)
    text = PlayPage(page_text(page_facts(base, network_of(base))))
    if target is not None:
        write_file(text.encode(), target)
    return text


def page_facts(base: Knowledge, network: Network) -> Facts:
    """Return all that a page knows of a base and its network, as JSON values.

    Raises:
        engine.SekeError: a base that is too wide for a page, or faulty expectations.
    """
    citations = Citations(base)
    drawn = any(name in face_table()["units"] for name in base.cells)
    return {
        "version": 0,
        "served": False,
        "knowledge": knowledge_facts(base, citations),
        "network": network_facts(network, base),
        "observers": observer_facts(Inference(network, base), citations),
        "citations": citations.facts(),
        "face": face_data() if drawn else None,
    }


def page_text(facts: Facts) -> str:
    """Return the page of these facts, HTML."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    style = page_css(WEB / "play.css")
    scripts = [face_script(), *((WEB / f"{name}.js").read_text("utf-8") for name in SCRIPTS)]
    script = '"use strict";\n' + "\n".join(scripts)
    # Nothing but "</" could end a script element, and that stands in no JSON with this sign escaped.
    blob = msgspec.json.encode(facts).decode().replace("<", "\\u003c")
    environment = Environment(loader=FileSystemLoader(WEB), autoescape=True, keep_trailing_newline=True)
    return environment.get_template("play.html").render(
        title=clean(facts["knowledge"]["name"]),
        drawn=facts["face"] is not None,
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
        connect="'self'" if facts["served"] else "'none'",
        data=Markup(blob),
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
