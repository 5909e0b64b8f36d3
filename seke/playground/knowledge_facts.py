"""What a base declares, as JSON values: variables, numbers with their places and sources, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import declared_of
from seke.console.plain_text import place_text
from seke.knowledge_tools.expectation_report import expectations_of

if TYPE_CHECKING:
    from engine import Expectation, Knowledge

    Facts = dict[str, Any]


class Citations:
    """The sources and notes of numbers, each once: numbers of a block share them."""

    def __init__(self, base: Knowledge) -> None:
        self.base = base
        self.places: dict[tuple[str, str], int] = {}

    def of(self, cited: Any) -> Facts:
        """Return where a number stands, and the index of its source and note."""
        key = (cited.source, cited.note)
        return {"place": place_text(cited.place), "cite": self.places.setdefault(key, len(self.places))}

    def facts(self) -> list[Facts]:
        """Return the sources and notes, in the order of their indices."""
        sources = self.base.sources
        return [
            {"source": source, "text": sources[source].cite if source in sources else "", "note": note}
            for source, note in self.places
        ]


def knowledge_facts(base: Knowledge, citations: Citations) -> Facts:
    """Return what a base declares about the network, and its expectations as examples.

    Raises:
        engine.KnowledgeError: faults of the expectations.
    """
    leaves = declared_of(base).leaves
    return {
        "name": base.name,
        "digest": base.digest,
        "description": base.description,
        "variables": {name: _variable(base, name) for name in base.variables},
        "binaries": list(base.cells),
        "intervals": list(base.intervals),
        "populations": {
            name: {"p": list(population.p), **citations.of(population)}
            for name, population in base.populations.items()
        },
        "cells": {
            name: [{"p": cell.p, "n": cell.n, **citations.of(cell)} for cell in row]
            for name, row in base.cells.items()
        },
        "moments": [
            {
                "mean": list(moments.mean),
                "sd": list(moments.sd),
                "n": moments.n,
                **citations.of(moments),
            }
            for moments in base.moments
        ],
        "couplings": [
            {
                "name": c.name,
                "pair": list(c.pair),
                "odds_ratio": c.odds_ratio,
                "n": c.n,
                "statement": c.statement,
                **citations.of(c),
            }
            for c in base.couplings
        ],
        "rules": {
            rule.name: {
                "if": leaves[f"rules.{rule.name}.if"].text,
                "then": leaves[f"rules.{rule.name}.then"].text,
                "n": rule.n,
                "statement": rule.statement,
                **citations.of(rule),
            }
            for rule in base.rules
        },
        "examples": [_example(item) for item in expectations_of(base) if not item.unfit],
    }


def _variable(base: Knowledge, name: str) -> Facts:
    variable = base.variables[name]
    return {
        "kind": variable.kind,
        "label": variable.label or name,
        "description": variable.description,
        "descriptions": dict(variable.descriptions),
        "about": dict(variable.about),
    }


def _example(expectation: Expectation) -> Facts:
    """Return an expectation: which states of each variable are possible, and what is to follow."""
    demands = []
    for demand in expectation.demands:
        keys = ("variable", "state", "compare", "value", "states", "not_first")
        demands.append(
            {"text": demand.text} | {key: getattr(demand, key) for key in keys if hasattr(demand, key)}
        )
    return {
        "name": expectation.name,
        "statement": expectation.statement,
        "given": {
            name: [int(state) for state in states] for name, states in (expectation.given or {}).items()
        },
        "demands": demands,
        "place": place_text(expectation.place),
    }
