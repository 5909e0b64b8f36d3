"""The page on which people answer tasks: one file that needs nothing else, or the same served on loopback."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from seke.graphics.page_colours import page_css
from seke.graphics.shapes import clean
from seke.review.wording import ask_text, believed_text, unit_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine import Knowledge
    from seke.review.tasks import ReviewTask

    Record = dict[str, Any]

WEB = Path(__file__).parent / "web"
# Step of a number where its observer answers in none.
STEP = 0.05


def page_text(
    base: Knowledge,
    tasks: Sequence[ReviewTask],
    pictures: Mapping[str, str],
    *,
    title: str,
    served: bool = False,
) -> str:
    """Return the page, HTML.

    pictures: item -> data URI. served: whether answers go to the server that the page came from.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    keys = "".join(task.key for task in tasks)
    data = {
        "id": hashlib.sha256(keys.encode()).hexdigest()[:12],
        "served": served,
        "fields": _fields(base, {name for task in tasks for name in task.asks}),
        "tasks": [_entry(base, task, pictures[task.item]) for task in tasks],
    }
    style = page_css(WEB / "review.css")
    script = '"use strict";\n' + (WEB / "review.js").read_text("utf-8")
    # Nothing but "</" could end a script element, and that stands in no JSON with this sign escaped.
    blob = msgspec.json.encode(data).decode().replace("<", "\\u003c")
    environment = Environment(loader=FileSystemLoader(WEB), autoescape=True, keep_trailing_newline=True)
    return environment.get_template("review.html").render(
        title=clean(title),
        style=Markup(style),
        script=Markup(script),
        style_digest=_digest(style),
        script_digest=_digest(script),
        connect="'self'" if served else "'none'",
        data=Markup(blob),
    )


def _entry(base: Knowledge, task: ReviewTask, picture: str) -> Record:
    """Return what the page needs of a task. The item's name, which may tell a label, is not shown."""
    return {
        "task": task.key,
        "item": task.item,
        "ask": ask_text(base, task),
        "asks": list(task.asks),
        "believed": believed_text(base, task) if task.shown else None,
        "picture": picture,
    }


def _fields(base: Knowledge, asked: set[str]) -> list[Record]:
    """Return how each asked variable is answered, level by level."""
    return [
        field
        for members in base.levels.values()
        for field in _level_fields(base, [name for name in members if name in asked])
    ]


def _level_fields(base: Knowledge, names: Iterable[str]) -> Iterable[Record]:
    for name in names:
        variable = base.variables[name]
        field: Record = {"name": name, "kind": variable.kind, "label": variable.label or name}
        if variable.kind == "binary":
            field |= {"label": unit_text(base, name), "description": variable.description}
        elif variable.kind == "interval":
            field |= {"low": variable.edges[0], "high": variable.edges[-1], "step": STEP}
            field |= {"description": variable.description, "anchors": list(variable.about.values())}
        else:
            field["options"] = [
                {"value": state, "description": variable.descriptions.get(state, "")}
                for state in variable.states
            ]
        yield field


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
