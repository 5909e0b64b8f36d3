"""Statements about a picture to be checked: for each item a true one and a false one about the same thing.

So exactly half of all statements are true, over the export and over each kind. What the statement is about is
drawn; where it is a unit, a visible one and one that is not visible are as likely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.exporting.grammar import pick
from seke.exporting.instruction_row import InstructionRow
from seke.exporting.unit_evidence import seen_units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from engine import Knowledge
    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.draft import RowDraft
    from seke.exporting.instruction_reader import Phrasing
    from seke.exporting.wording import Wording


def kinds_of(base: Knowledge, accepted: AcceptedLabels) -> list[str]:
    """Return what statements can be about: the expression, a unit, a number surely on one side of 0."""
    kinds = []
    if accepted.expression is not None:
        kinds.append("expression")
    if seen_units(accepted):
        kinds.append("unit")
    return [*kinds, *_one_sided(base, accepted)]


def checked_rows(
    wording: Wording, phrasings: Sequence[Phrasing], draft: RowDraft
) -> Iterator[InstructionRow]:
    """Yield a true and a false statement, each with its verdict, in a drawn order."""
    rng = draft.rng
    kind = pick(kinds_of(wording.base, draft.accepted), rng)
    subjects = _subjects(draft, kind)
    order = (True, False) if rng.random() < 0.5 else (False, True)
    for number, is_true in enumerate(order, 1):
        # The false statement's correction is the true one, in its own words.
        truth = _statement(wording, *subjects[0], rng)
        statement = truth if is_true else _statement(wording, *subjects[1], rng)
        facts = {"statement": statement, "truth": truth}
        verdict = wording.draw("check.right" if is_true else "check.wrong", rng, facts)
        phrasing = pick(phrasings, rng)
        ask = phrasing.ask.draw(rng).format(statement=statement)
        answer = phrasing.answer.draw(rng).format(verdict=verdict)
        yield InstructionRow("check", ((ask, answer),), number=number)


def _subjects(draft: RowDraft, kind: str) -> list[tuple[str, str]]:
    """Return the text and the subject of the true statement and of the false one."""
    accepted, rng = draft.accepted, draft.rng
    if kind == "expression":
        label = accepted.expression or ""
        p: dict[str, float] = accepted.record["expression"]
        others = sorted((state for state in p if state != label), key=lambda state: -p[state])
        # Half of the false labels are the nearest one, which is the hardest to tell from the true one.
        other = others[0] if rng.random() < 0.5 else pick(others, rng)
        return [("check.expression", label), ("check.expression", other)]
    if kind == "unit":
        seen = seen_units(accepted)
        wanted = rng.random() < 0.5
        units = [name for name, visible in seen.items() if visible is wanted] or [*seen]
        unit = pick(units, rng)
        texts = ["check.visible", "check.hidden"]
        return [(text, unit) for text in (texts if seen[unit] else texts[::-1])]
    texts = ["check.above", "check.below"]
    return [(text, kind) for text in (texts if accepted.numbers[kind] > 0 else texts[::-1])]


def _statement(wording: Wording, path: str, subject: str, rng: Random) -> str:
    facts: dict[str, Any]
    if path == "check.expression":
        facts = wording.state_facts(subject)
    elif path in ("check.visible", "check.hidden"):
        facts = wording.unit_facts(subject, rng)
    else:
        directions = wording.instructions.directions[subject]
        direction = directions.up if path == "check.above" else directions.down
        facts = {"number": wording.numbers[subject], "direction": direction}
    return wording.draw(path, rng, facts)


def _one_sided(base: Knowledge, accepted: AcceptedLabels) -> list[str]:
    """Return the accepted numbers whose 90% interval does not hold 0."""
    record = accepted.record
    return [
        name
        for name in accepted.numbers
        if base.variables[name].edges[0] < 0 < base.variables[name].edges[-1]
        and (record[name]["q05"] > 0 or record[name]["q95"] < 0)
    ]
