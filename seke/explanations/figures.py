"""The pictures of a story, one by one and together on one sheet."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING, Any

from seke.console.decision_words import (
    DECISIONS,
    LEGEND,
    MARK,
    UNCALIBRATED,
    basis_of,
    basis_of_item,
    required_of,
)
from seke.explanations.text import reasons_in_words, render_part
from seke.graphics.action_units import Unit, units
from seke.graphics.bars import bars
from seke.graphics.face import face, face_table
from seke.graphics.shapes import LETTER, Drawing, Shape, Text, box, clean, decision_sign, fitting
from seke.graphics.trajectory import course
from seke.graphics.valence_arousal import DrawnMoments, plane
from seke.inference.record import posteriors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from seke.explanations.story import Story
    from seke.graphics.shapes import Mark

    Facts = Mapping[str, Any]

# In pixels: around the sheet, between pictures, from line to line.
MARGIN, GUTTER, LINE = 28.0, 26.0, 15.5
# Lines of each text on the sheet.
MOST_LINES = 6
# Decimal places of numbers in the JSON.
DIGITS = 6


def probabilities(story: Story) -> Mapping[str, float]:
    """Return P(true) of all binary variables."""
    given = posteriors_of(story.record, story.base)
    binary = (name for name, variable in story.base.variables.items() if variable.kind == "binary")
    return {name: given[name] for name in binary if given.get(name) is not None}


def root_posterior(story: Story) -> Mapping[str, float]:
    """Return P(state) of the root."""
    distribution: Mapping[str, float] = posteriors_of(story.record, story.base)[story.base.root]
    return distribution


def has_face(story: Story) -> bool:
    """Return whether any variable of the base is an action unit that the face is drawn from."""
    return any(name in face_table()["units"] for name in probabilities(story))


def face_of(story: Story) -> Drawing:
    """Draw the face of an item."""
    return face(probabilities(story), f"face drawn from the action units of {story.item}")


def bars_of(story: Story) -> Drawing:
    """Draw prior, readings and posterior of the root."""
    return bars(root_posterior(story), story.prior, story.readings, title=story.base.root)


def units_of(story: Story) -> Drawing:
    """Draw the binary variables with what is decided about them."""
    levels, variables = story.record["decision"]["levels"], story.base.variables
    rows = []
    for name, p in probabilities(story).items():
        level = levels.get(name, {"decision": ""})
        mark = MARK if basis_of(level) in UNCALIBRATED else ""
        rows.append(Unit(name, variables[name].label, p, level["decision"], mark))
    return units(rows)


def mark_of(story: Story) -> str:
    """Return the mark of a decision that rests on uncalibrated numbers, else an empty text."""
    basis = basis_of_item(story.record["decision"], required_of(story.base))
    return MARK if basis in UNCALIBRATED else ""


def legend_of(story: Story) -> str:
    """Return the meaning of the mark, an empty text where no level has it."""
    levels = story.record["decision"]["levels"].values()
    return LEGEND if any(basis_of(level) in UNCALIBRATED for level in levels) else ""


def plane_of(story: Story) -> Drawing:
    """Draw the plane of both interval variables."""
    names = story.base.intervals
    ranges = [story.base.variables[name].edges for name in names]
    regions = [
        DrawnMoments(
            (moments.mean[0], moments.mean[1]), (moments.sd[0], moments.sd[1]), _correlation(moments), state
        )
        for state, moments in _state_moments(story)
    ]
    return plane(
        story.posterior,
        story.points,
        regions,
        names=(names[0], names[1]),
        limits=((ranges[0][0], ranges[0][-1]), (ranges[1][0], ranges[1][-1])),
    )


def _state_moments(story: Story) -> Iterator[tuple[str, Any]]:
    """Yield each root state with the declared moments of the interval variables."""
    base = story.base
    yield from zip(base.variables[base.root].states, base.moments, strict=True)


def _correlation(moments: Any) -> float:
    return float(moments.correlation[0][1]) if moments.correlation else 0.0


def course_of(story: Story) -> Drawing:
    """Draw the root's probabilities after each answer."""
    limit = story.base.policy.highest_risk(story.base.variables[story.base.root])
    steps = [story.prior or {}, *(step.p for step in story.steps)]
    return course(steps, None if limit is None else 1 - limit)


def pictures_of(story: Story) -> Iterator[tuple[str, str, Callable[[Story], Drawing]]]:
    """Yield name, title and drawing of each picture that can be made of a story."""
    if has_face(story):
        yield "face", "Face, from the action units", face_of
    yield "posterior", story.base.variables[story.base.root].label or story.base.root, bars_of
    if story.posterior is not None:
        yield "va", " and ".join(story.base.intervals), plane_of
    if probabilities(story):
        yield "units", "Action units" if has_face(story) else "Binary variables", units_of
    if story.steps:
        yield "course", "After each answer", course_of


def facts_of_story(story: Story) -> dict[str, Any]:
    """Return the facts of `seke.explain` with what the pictures add, as JSON values."""
    readings = [
        {"question": question, "observer": observer, "likelihood": _round(p)}
        for question, observer, p in story.readings
    ]
    steps = [
        {
            "observer": step.observer,
            "question": step.question,
            "view": step.view,
            "about": step.about or None,
            "status": step.status,
            "said": step.answers,
            "p": _round(step.p),
            "numbers": _round(step.numbers),
        }
        for step in story.steps
    ]
    return {**story.facts, "record": story.record, "alone": readings, "steps": steps}


def _round(p: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in p.items()}


def headline(story: Story) -> str:
    """Return the most probable state of the root with its probability."""
    p = root_posterior(story)
    best = max(p, key=lambda state: p[state])
    return f"{best} {p[best]:.2f}"


def sheet(story: Story) -> Drawing:
    """Draw all pictures of a story on one sheet, with the words about conflicts and what is next."""
    drawn = {name: (title, draw(story)) for name, title, draw in pictures_of(story)}
    rows = [
        [name for name in row if name in drawn]
        for row in (("face", "posterior"), ("va", "units"), ("course",))
    ]
    marks: list[Mark] = []
    y, width = 96.0, 900.0
    for row in [names for names in rows if names]:
        x, high = MARGIN, 0.0
        for name in row:
            title, picture = drawn[name]
            marks.append(Text(x, y + 14, fitting(title, picture.width + GUTTER, 14), 14, bold=True))
            marks.append(picture.as_group(x, y + 26))
            x, high = x + picture.width + GUTTER, max(high, picture.height + 26)
        if row == ["course"] and story.facts:
            marks += _prose(story, x + 6, y + 14, width - x)
        y, width = y + high + 22, max(width, x - GUTTER + MARGIN)
    marks = [Shape(box(0, 0, width, y), fill="paper"), *_head(story, width), *marks]
    return Drawing(width, y, tuple(marks), f"{story.item}: {headline(story)}")


def _head(story: Story, width: float) -> Iterator[Mark]:
    decision = story.record["decision"]
    word = decision["item"] if decision["item"] in DECISIONS else "reject"
    yield Text(MARGIN, 40, fitting(story.item, width - 2 * MARGIN, 22), 22, bold=True)
    yield decision_sign(word, MARGIN + 6, 63, 5)
    reasons = reasons_in_words(decision["reasons"])
    caption = f"{decision['item']}{mark_of(story)}{f' ({reasons})' if reasons else ''}: {headline(story)}"
    yield Text(MARGIN + 18, 68, fitting(caption, width - 2 * MARGIN - 18, 14), 14)
    small = "; ".join(filter(None, [f"{story.base.name} {story.base.digest}", legend_of(story)]))
    yield Text(MARGIN, 86, fitting(small, width - 2 * MARGIN, 10.5), 10.5, fill="muted")


def _prose(story: Story, x: float, y: float, room: float) -> Iterator[Mark]:
    """Yield the texts about conflicts and the next question, cut to the room."""
    most = max(int(room / (LETTER * 11.5)), 40)
    for name in ("conflict", "next"):
        title, text = render_part(name, story.facts)
        yield Text(x, y, fitting(title.partition(" (")[0], room, 14), 14, bold=True)
        y += LINE + 4
        # There is no room for the tables, each of which begins under a line that ends with a colon.
        paragraphs = list(itertools.takewhile(lambda line: not line.endswith(":"), text.splitlines()))
        paragraphs = [" ".join(paragraphs)] if name == "next" else paragraphs
        lines = [line for paragraph in paragraphs for line in textwrap.wrap(clean(paragraph, 600), most)]
        for line in lines[:MOST_LINES]:
            yield Text(x, y, line, 11.5)
            y += LINE
        y += LINE / 2
