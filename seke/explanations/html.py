"""A story as one page of HTML that needs nothing else: no script, no link, no picture from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.explanations.figures import headline, legend_of, mark_of, pictures_of
from seke.explanations.text import PARTS, head_sentences, reading_phrases, reasons_in_words, render_part
from seke.graphics.page_colours import colours_css
from seke.graphics.shapes import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seke.explanations.story import Step, Story

# Characters of a text at most.
WORDS = 20_000


def page(story: Story, *, redact_image: bool = False) -> str:
    """Return the page. Texts from outside are escaped, shortened and freed of control characters.

    Drawings escape their own texts, so they are inserted unchanged, as the style is. redact_image: leave out
    the picture of the item.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    style = colours_css() + Path(__file__).with_name("explain.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, keep_trailing_newline=True
    )
    decision = story.record["decision"]
    parts = [render_part(name, story.facts) for name in PARTS if name != "label"] if story.facts else []
    head = head_sentences(story.facts) if story.facts else ()
    shown = {
        "item": clean(story.item),
        "headline": clean(headline(story)),
        "decision": clean(decision["item"]),
        "mark": mark_of(story),
        "legend": legend_of(story),
        "reasons": clean(reasons_in_words(decision["reasons"]), 2000),
        "head": [clean(sentence, 2000) for sentence in head],
        "made_with": _provenance(story),
        "picture": "" if story.picture is None or redact_image else _address(story.picture),
        "pictures": [
            {"name": name, "title": clean(title), "svg": Markup(draw(story).svg())}
            for name, title, draw in pictures_of(story)
        ],
        "root": clean(story.base.root),
        "numbers": [clean(name) for name in story.base.intervals],
        "steps": [_step(story, step) for step in story.steps],
        "left_out": max(len(story.steps) and story.record["diagnostics"]["samples"] - len(story.steps), 0),
        "parts": [(clean(title), _lines(text)) for title, text in parts],
        "style": Markup(style),
        "digest": f"sha256-{digest}",
    }
    return environment.get_template("explain.html").render(shown)


def _address(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def _provenance(story: Story) -> str:
    counts = story.record.get("diagnostics", {})
    provenance = [f"knowledge {story.base.name} {story.base.digest}"]
    if story.population:
        provenance.insert(0, f"population {story.population}")
    provenance += [
        f"{counts[name]} {name.replace('_', ' ')}"
        for name in ("samples", "refused", "unreadable", "not_judged")
        if counts.get(name)
    ]
    return clean("; ".join(provenance))


def _lines(text: str) -> str:
    """Return a text cleaned line by line."""
    return "\n".join(_clean_line(line) for line in text[:WORDS].splitlines())


def _clean_line(line: str) -> str:
    # `clean` makes one space of several, which would take tables apart.
    cells = [clean(cell, 2000) if cell.strip() else "" for cell in line.split(" ")]
    return " ".join(cells)


def _step(story: Story, step: Step) -> Mapping[str, Any]:
    best = max(step.p, key=lambda state: step.p[state])
    question = step.question + (f" about {step.about}" if step.about else "")
    return {
        "question": clean(question + (f", {step.view}" if step.view != story.base.usual_view else "")),
        "observer": clean(step.observer),
        "said": clean("; ".join(_answer_phrases(step)), 2000),
        "then": clean(f"{best} {step.p[best]:.2f}"),
        "numbers": [f"{step.numbers[name]:+.2f}" for name in story.base.intervals],
    }


def _answer_phrases(step: Step) -> Iterator[str]:
    if step.status != "ok":
        yield step.status.replace("_", " ")
    phrases = list(reading_phrases(step.answers))
    # Of a closed list of units without one that is present nothing would be seen.
    if not phrases and step.answers:
        phrases = ["none of what was asked is present"]
    yield from phrases
