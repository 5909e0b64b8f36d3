"""`seke knowledge test TABLE...`: the numbers of a base, and what it tells, against label tables."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import Inference, KnowledgeTest, SekeError, did_you_mean
from seke.console.plain_text import near
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.knowledge_tools.table_prediction import prediction_facts, table_score, worth_facts
from seke.knowledge_tools.table_verdicts_text import lines
from seke.knowledge_tools.tested_tables import TablePart, TableReading, TestedTables, read_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine import IntervalEstimate, Knowledge, NumberTest, TableItems

    Facts = dict[str, Any]

DIGITS = 6
CONTRADICTED = "contradicted"


@dataclass(frozen=True, repr=False)
class TableVerdicts(TextReport):
    """A base against tables. facts: JSON values; tests: those of the items as a whole."""

    facts: Mapping[str, Any]
    base: Knowledge
    tables: TestedTables
    tests: tuple[NumberTest, ...]

    @property
    def contradicted(self) -> int:
        """Return how many numbers the items as a whole contradict."""
        return sum(test.verdict == CONTRADICTED for test in self.tests)

    def __str__(self) -> str:
        return "\n".join(lines(self.facts))


def knowledge_test(
    tables: str | Path | Sequence[str | Path],
    knowledge: Knowledge | str | Path | None = None,
    reading: TableReading | None = None,
    *,
    population: str | None = None,
    leave_one_out: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TableVerdicts:
    """Test the declared numbers of a base on label tables, and how well it tells the root from units.

    The facts are `knowledge`, `tables`, `items`, `persons`, `tests` (each number with its verdict),
    `verdicts` (kind -> verdict -> how many), `prediction` (or in `unscored` why there is none), `worth` of
    each rule and coupling where asked for, and `parts`, each with tests of its own.

    Args:
        tables: label tables, CSV, JSON Lines or parquet.
        knowledge: a base, or the folder or file of one; the shipped base by default.
        reading: how the tables are read.
        population: the population of the base that the items are a sample of; base rates are tested then.
        leave_one_out: whether the base is compiled without each rule and coupling, which takes seconds.
        seed: of folds and resamples.
        progress: is told how many of the rules and couplings are done.

    Raises:
        engine.SekeError: bad knowledge, tables or names.
    """
    base, reading = read_knowledge(knowledge), reading or TableReading()
    if population is not None and population not in base.populations:
        raise SekeError(f"no population is called {population!r}{did_you_mean(population, base.populations)}")
    paths = [tables] if not isinstance(tables, list | tuple) else tables
    read = read_tables([str(path) for path in paths], base, reading)
    inference = Inference(network_of(base), base)
    tests = tuple(KnowledgeTest(inference, read.items, population).tests())
    facts: Facts = {
        "knowledge": {"name": base.name, "digest": base.digest, "reference": base.reference},
        "tables": [dict(table) for table in read.tables],
        "items": read.items.count,
        "persons": read.persons or None,
        "reading": {**vars(reading), "population": population, "seed": seed},
        "root": base.root,
        **_facts(inference, read.items, tests, population, seed),
        "worth": None,
    }
    score = table_score(inference, read.items, population, seed) if leave_one_out else ""
    if not isinstance(score, str) and not score.unscored:
        facts["worth"] = worth_facts(score, progress)
    facts["parts"] = [_part(inference, read, part, population, seed) for part in read.parts(base)]
    return TableVerdicts(facts, base, read, tests)


def _part(
    inference: Inference, tables: TestedTables, part: TablePart, population: str | None, seed: int
) -> Facts:
    """Return the facts of one part of the items."""
    items, of_population = tables.items.only(part.chosen), part.population or population
    tests = tuple(KnowledgeTest(inference, items, of_population).tests())
    head = {"name": part.name, "population": of_population, "items": items.count}
    return head | _facts(inference, items, tests, of_population, seed)


def _facts(
    inference: Inference, items: TableItems, tests: Sequence[NumberTest], population: str | None, seed: int
) -> Facts:
    """Return the facts of some items."""
    score = table_score(inference, items, population, seed)
    unscored = score if isinstance(score, str) else score.unscored or None
    counts = Counter((test.declared.kind, test.verdict) for test in tests)
    verdicts: dict[str, dict[str, int]] = {}
    for (kind, verdict), number in counts.items():
        verdicts.setdefault(kind, {})[verdict] = number
    return {
        "tests": [_test(test) for test in tests],
        "verdicts": verdicts,
        "prediction": None if isinstance(score, str) else prediction_facts(score, seed),
        "unscored": unscored,
    }


def _test(test: NumberTest) -> Facts:
    declared = test.declared
    return {
        "path": declared.path,
        "kind": declared.kind,
        "name": declared.name,
        "verdict": test.verdict,
        "reason": test.reason,
        "declared": _short(declared.number),
        "range": [_short(declared.low), _short(declared.high)],
        "strength": declared.strength,
        "compiled": _short(declared.compiled),
        "compiled_here": _short(test.compiled_here),
        "observed": _estimate(test.observed),
        "unweighted": _short(test.plain),
        "others": {method: _estimate(estimate) for method, estimate in test.others.items()},
        "place": near(declared.cited.place),
        "source": declared.cited.source,
    }


def _estimate(estimate: IntervalEstimate | None) -> Facts | None:
    if estimate is None:
        return None
    numbers = {name: _short(getattr(estimate, name)) for name in ("value", "low", "high", "size")}
    return numbers | {"items": estimate.items}


def _short(value: float) -> float | None:
    """Return a number rounded to DIGITS significant digits, None where there is none."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
