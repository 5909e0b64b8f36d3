"""`seke knowledge test` without a table: what an author expects of the base, by example."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import (
    Inference,
    Knowledge,
    SekeError,
    declared_of,
    examine_expectation,
    read_expectations,
)
from seke.console.plain_text import count, near
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine import DemandResult, Expectation, ExpectationResult, Remedy

    Facts = dict[str, Any]

WIDTH = 80
# Digits of the probabilities in the facts.
DIGITS = 6


@dataclass(frozen=True, repr=False)
class ExpectationReport(TextReport):
    """The results of all expectations of a base. facts: JSON values."""

    facts: Mapping[str, Any]

    @property
    def failed(self) -> int:
        """Return how many expectations fail."""
        return sum(entry["holds"] is False for entry in self.facts["expectations"])

    def __str__(self) -> str:
        return "\n".join(_lines(self.facts))


def knowledge_expectations(knowledge: Knowledge | str | Path | None = None) -> ExpectationReport:
    """Test the expectations in the folders `tests` of a base and of what it extends.

    The facts are `knowledge` and `expectations`, each with its demands; of one that fails, also with the
    numbers that would meet it alone, each at the value needed.

    Raises:
        engine.KnowledgeError: all faults of the base, or of its expectations.
        engine.SekeError: a base without any expectation.
    """
    base = read_knowledge(knowledge)
    expectations = _expectations(base)
    if not expectations:
        raise SekeError(
            f"{base.name}: no expectations; they are read from YAML files in the folder tests of the base's "
            "folder. To test the base on data, name a label table"
        )
    inference = Inference(network_of(base), base)
    facts = [
        {**_head(expectation), "holds": None, "reason": expectation.unfit, "demands": []}
        if expectation.unfit
        else _facts(examine_expectation(inference, expectation), base)
        for expectation in expectations
    ]
    return ExpectationReport({"knowledge": {"name": base.name, "digest": base.digest}, "expectations": facts})


def _expectations(base: Knowledge) -> list[Expectation]:
    """Return the expectations of a base, and those of what it extends, which it may not fit."""
    folders = [Path(file) for file in dict.fromkeys(declared_of(base).files) if Path(file).is_dir()]
    layers = [Path(file) for file in declared_of(base).files]
    expectations: dict[str, Expectation] = {}
    for folder in folders:
        # The files of a layer follow its folder or are it; the base's own layer is the last.
        last = folder == folders[-1] and layers[-1].is_relative_to(folder)
        of_layer = read_expectations(folder, base, inherited=not last)
        expectations |= {expectation.name: expectation for expectation in of_layer}
    return list(expectations.values())


def _head(expectation: Expectation) -> Facts:
    return {
        "name": expectation.name,
        "given": expectation.given_text,
        "statement": expectation.statement,
        "place": near(expectation.place),
        "source": expectation.source,
    }


def _facts(result: ExpectationResult, base: Knowledge) -> Facts:
    states = base.variables[base.root].states
    return {
        **_head(result.expectation),
        "holds": result.holds,
        "reason": "",
        "root": {state: round(float(p), DIGITS) for state, p in zip(states, result.root, strict=True)},
        "demands": [_demand(demand) for demand in result.demands],
    }


def _demand(result: DemandResult) -> Facts:
    return {
        "demand": result.demand.text,
        "holds": bool(result.holds),
        "reached": result.reached,
        "searched": result.searched,
        "would_hold_with": [_remedy(remedy) for remedy in result.remedies],
    }


def _remedy(remedy: Remedy) -> Facts:
    declared = remedy.declared
    return {
        "path": declared.path,
        "value": declared.value,
        "needed": float(f"{remedy.needed:.4g}"),
        "deviations": round(float(remedy.deviations), 2),
        "place": near(declared.cited.place),
        "source": declared.cited.source,
    }


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    expectations, base = facts["expectations"], facts["knowledge"]
    failed = [entry for entry in expectations if entry["holds"] is False]
    unfit = [entry for entry in expectations if entry["holds"] is None]
    held = len(expectations) - len(failed) - len(unfit)
    yield f"{base['name']} {base['digest']}: {held} of {count(len(expectations), 'expectation')} hold"
    for entry in expectations:
        if entry["holds"]:
            reached = ", ".join(f"{demand['demand']} ({demand['reached']})" for demand in entry["demands"])
            yield from _wrapped(f"{entry['name']}: {reached}", WIDTH, subsequent_indent="  ")
    for entry in failed:
        yield ""
        yield from _wrapped(f"{entry['place']}: {entry['name']}: given {entry['given']}", WIDTH)
        if entry["statement"]:
            yield from _wrapped(entry["statement"], WIDTH, initial_indent="  ", subsequent_indent="  ")
        for demand in entry["demands"]:
            if not demand["holds"]:
                yield f"  wanted {demand['demand']}; there is {demand['reached']}"
                if demand["searched"]:
                    yield from _remedy_lines(demand["would_hold_with"])
    for entry in unfit:
        yield from _wrapped(f"{entry['name']}: does not apply to this base: {entry['reason']}", WIDTH)


def _remedy_lines(remedies: list[Facts]) -> Iterator[str]:
    if not remedies:
        yield "    no single cell, coupling or rule would do; seke knowledge sensitivity ranks all numbers"
        return
    yield "    one of these would have to move (distance in its own standard deviations):"
    for remedy in remedies:
        change = f"{remedy['value']:g} -> {remedy['needed']:.3g} ({remedy['deviations']:.1f})"
        yield f"    {remedy['path']} {change}"
        yield f"      {remedy['place']}, {remedy['source']}"


def _wrapped(text: str, width: int, initial_indent: str = "", subsequent_indent: str = "") -> list[str]:
    """Return lines of a text; names stay whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
