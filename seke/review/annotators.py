"""The overlay that declares annotators: each an observer of people with numbers of her own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from engine import resolve
from seke.files.shipped import shipped_name
from seke.review.learned import ANSWERS_ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Floats, Knowledge
    from seke.review.learned import LearnedPerson

    Tree = dict[str, Any]

HEAD = """\
# Written by seke review import, anew with each import. Each annotator is an observer that began as {like}.
# `n`: the answers that a row counts for; `echo`: how often a value that was shown is merely repeated.
"""
# Digits of numbers, and the least share of a table.
DIGITS, LEAST = 5, 1e-4
# The strength of draws of an observer whose `types` are replaced: of single answers any says the same.
NO_MATTER = 8


def base_name(knowledge: str | Path | None) -> str:
    """Return how an overlay names its base: a shipped one's name, or the path of one's own."""
    return shipped_name(knowledge) or str(Path(str(knowledge)).resolve())


def overlay_of(
    base: Knowledge,
    extends: str,
    like: str,
    people: Mapping[str, LearnedPerson | None],
    source: str,
    used: str,
) -> str:
    """Return the overlay, YAML.

    extends: how it names the base. like: the observer whose numbers people began with. people: observer ->
    what was learned of it; None for nothing yet. source: the name of the source of learned numbers; used:
    what they rest on.
    """
    # The loader in C takes a tenth of the time.
    whole = yaml.load(resolve(base), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    observers = {}
    for name, person in people.items():
        tree = _copy(whole["observers"][name if name in base.observers else like])
        if name not in base.observers:
            tree = {**tree, "label": name, "description": f"An annotator of this run; began as {like}."}
        observers[name] = tree if person is None else _with_numbers(base, tree, person, name, like, source)
    sources = {name: cited for name, cited in whole["sources"].items() if name not in base.sources}
    sources[source] = {"cite": "seke review import", "used": used}
    # Those of the base are declared whole, too: what is left of how they were declared would contradict it.
    declared = [f"observers.{name}" for name in people if name in base.observers]
    remove = {"remove": declared} if declared else {}
    overlay = {"extends": extends, **remove, "sources": sources, "observers": observers}
    text = yaml.dump(overlay, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return HEAD.format(like=like) + text


class _Plain(yaml.SafeDumper):
    """Writes values out: the language has no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Return that nothing is written as an alias."""
        return True


def _copy(tree: Any) -> Any:
    return {key: _copy(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def _with_numbers(
    base: Knowledge, tree: Tree, person: LearnedPerson, name: str, like: str, source: str
) -> Tree:
    """Return an observer's YAML with what was learned."""
    observer = base.observers[name if name in base.observers else like]
    labels = tree.get("categorical", {})
    for variable, table in person.tables.items():
        instrument = observer.labels[variable]
        if base.variables[variable].kind == "binary":
            (specificity, _), (_, sensitivity) = _shares(table).tolist()
            tree["binary"]["cells"][variable] = {
                "sensitivity": round(sensitivity, DIGITS),
                "specificity": round(specificity, DIGITS),
                "source": source,
            }
            tree["binary"]["repeat"] = ANSWERS_ONCE
            continue
        states = base.variables[variable].states
        entry = labels[variable]
        for replaced in ("accuracy", "settled", "types", "n"):
            entry.pop(replaced, None)
        entry["confusion"] = {"source": source} | {
            state: {
                answer: round(float(p), DIGITS) for answer, p in zip(instrument.answers, row, strict=True)
            }
            for state, row in zip(states, _shares(table), strict=True)
        }
        # People answer once, so how their draws scatter does not matter; but the table has to be possible.
        entry |= {"repeat": ANSWERS_ONCE, "strength": entry.get("strength", NO_MATTER)}
        entry["n"] = {"source": source} | {
            state: round(float(n), 1) for state, n in zip(states, person.rows[variable], strict=True)
        }
    for variable, (offset, perception) in person.numbers.items():
        numbers = {"offset": round(offset, DIGITS), "perception": round(perception, DIGITS), "source": source}
        tree["interval"][variable] = {**tree["interval"][variable], **numbers}
    if person.repeats:
        tree["echo"] = {question: round(person.repeats, 4) for question in base.questions}
        tree["echo"]["source"] = source
    return tree


def _shares(table: Floats) -> Floats:
    """Return rows that add up to 1 in DIGITS digits, none of them 0, (K, Y)."""
    rounded = np.maximum(np.round(table, DIGITS), LEAST)
    for row in rounded:
        row[row.argmax()] += 1 - row.sum()
    return rounded
