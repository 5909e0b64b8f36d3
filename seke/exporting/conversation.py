"""Several turns about one picture: two to four kinds of questions in a drawn order, each asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.exporting.grammar import pick
from seke.exporting.instruction_texts import TURNS
from seke.exporting.unit_evidence import seen_units
from seke.exporting.wording import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.draft import RowDraft
    from seke.exporting.instruction_reader import Phrasing

# Turns of a conversation at most.
MOST_TURNS = 4


def kinds_of(accepted: AcceptedLabels) -> list[str]:
    """Return the kinds of turns that the accepted labels suffice for."""
    seen = seen_units(accepted)
    possible = {
        "describe": bool(seen),
        "action_units": bool(accepted.units),
        "expression": accepted.expression is not None,
        "why": accepted.expression is not None and bool(seen),
        "affect": bool(accepted.numbers),
    }
    return [kind for kind in TURNS if possible[kind]]


def turns_of(
    phrasings: Mapping[str, Sequence[Phrasing]], facts: Mapping[str, Any], draft: RowDraft
) -> tuple[tuple[str, str], ...]:
    """Return the questions and answers of a conversation; phrasings: of each kind of turn."""
    rng = draft.rng
    kinds = [kind for kind in kinds_of(draft.accepted) if kind != "why"]
    # Sorted by drawn keys and not shuffled, since only `random()` is the same in every version of Python.
    kinds = sorted(kinds, key=lambda _: rng.random())
    if "expression" in kinds and "why" in kinds_of(draft.accepted):
        kinds.insert(kinds.index("expression") + 1, "why")
    kinds = kinds[: 2 + int(rng.random() * (MOST_TURNS - 1))]
    turns = []
    for place, kind in enumerate(kinds):
        phrasing = pick(phrasings[kind], rng)
        ask = phrasing.first if not place and phrasing.first is not None else phrasing.ask
        asked = ask.draw(rng).format_map(facts)
        turns.append((sentence(asked), sentence(phrasing.answer.draw(rng).format_map(facts))))
    return tuple(turns)
