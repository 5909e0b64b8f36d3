"""Numbers that tables contradict -> an overlay that corrects them, for a person to read and accept.

The corrected number is the posterior mean: what is declared counts for its strength n, what is observed for
the items that it is worth. Shares, means and second moments are weighted means, odds ratios so on their
logs; the new strength is the sum of both. A base rate, which has no strength, becomes what is observed.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import KnowledgeError, SekeError, declared_of, written
from seke._version import __version__
from seke.console.plain_text import count
from seke.files.atomic import write_file
from seke.files.shipped import SHIPPED
from seke.files.shipped import knowledge as read_knowledge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Knowledge, NumberTest
    from seke.knowledge_tools.table_verdicts import TableVerdicts

    Tree = dict[str, Any]

CONTRADICTED = "contradicted"
# What the language allows (engine/language/fields.txt): shares, odds ratios, priors, correlations.
SHARE, RATIO, PRIOR, CORRELATION = (0.001, 0.999), (0.001, 1000.0), (1e-6, 1.0), (-0.99, 0.99)
# More pseudo-counts than this would make a number as good as fixed.
MOST_STRENGTH = 1e6
# A correction of a moment stays this far, as a share of its range, from what no distribution on the bins has.
ROOM = 0.02


@dataclass(frozen=True)
class Proposal:
    """An overlay: its text, how many numbers it corrects, and the base as it would be with it."""

    text: str
    numbers: int
    base: Knowledge


def propose(result: TableVerdicts, knowledge: str | Path | None, path: Path) -> Proposal:
    """Return the overlay at `path` that corrects what the tables contradict.

    knowledge: how the base was named.

    Raises:
        engine.SekeError: nothing is contradicted.
    """
    contradicted = [test for test in result.tests if test.verdict == CONTRADICTED]
    if not contradicted:
        raise SekeError("the tables contradict no number, so there is nothing to propose")
    source = f"table-{result.tables.digest[:8]}"
    tree = _tree(contradicted, result.base, source)
    text = _head(result, source, _extends(knowledge, path)) + written(tree)
    return Proposal(text, len(contradicted), declared_of(result.base).with_overlay(text))


def write_proposal(result: TableVerdicts, knowledge: str | Path | None, path: Path) -> Proposal:
    """Write the overlay, unless it would not be read as a base; return it with the base as read from there.

    Raises:
        engine.SekeError: nothing is contradicted, or what is proposed fits no base.
    """
    proposal = propose(result, knowledge, path)
    write_file(proposal.text.encode(), path)
    try:
        return Proposal(proposal.text, proposal.numbers, read_knowledge(path))
    except KnowledgeError:
        path.unlink(missing_ok=True)
        raise


def _extends(knowledge: str | Path | None, path: Path) -> str:
    """Return how the overlay names its base."""
    if knowledge is None or (str(knowledge) == SHIPPED and not Path(knowledge).exists()):
        return SHIPPED
    return os.path.relpath(Path(knowledge).resolve(), path.resolve().parent)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _head(result: TableVerdicts, source: str, extends: str) -> str:
    tables, reading = result.tables, result.tables.reading
    files = ", ".join(f"{Path(table['path']).name} (digest {table['digest']})" for table in tables.tables)
    cite = f"{files}: {count(tables.items.count, 'row')}"
    cite += f", {tables.persons:,} by {reading.cluster}" if tables.persons else ""
    used = f"Figures that contradict the base {result.base.name} {result.base.digest}, counted by seke "
    used += f"knowledge test {__version__}; each is the mean of declared and observed, weighted by strength."
    if reading.threshold is not None:
        used += f" Units count as present from {reading.threshold:g} on."
    if reading.blank:
        used += f" Blank cells of units: {reading.blank}."
    return (
        "# Written by seke knowledge test: numbers that a table contradicts, corrected. Read each before\n"
        "# you use it: no count can tell whether the table's people and coding are those that are meant.\n"
        f"extends: {_quoted(extends)}\n"
        f"sources:\n  {source}: {{cite: {_quoted(cite)},\n    used: {_quoted(used)}}}\n"
    )


def _tree(tests: Sequence[NumberTest], base: Knowledge, source: str) -> Tree:
    tree: Tree = {}
    moments: dict[str, list[NumberTest]] = {}
    for test in tests:
        keys = test.declared.path.split(".")
        if test.declared.kind in ("rule", "coupling", "cell"):
            entry = keys if test.declared.kind == "cell" else keys[:-1]
            number, strength = corrected(test, base)
            key = "p" if test.declared.kind == "cell" else keys[-1]
            _insert(tree, entry, {key: _decimal(number), "n": _decimal(strength), **_cited(test, source)})
        elif test.declared.kind in ("mean", "sd", "correlation"):
            moments.setdefault(".".join(keys[:3]), []).append(test)
    for path, contradicted in moments.items():
        state = base.variables[base.root].states.index(path.rpartition(".")[2])
        _insert(tree, path.split("."), _moments(contradicted, base, state, source))
    rates = [test for test in tests if test.declared.kind == "base rate"]
    return tree | (_population(rates, base, source) if rates else {})


def corrected(test: NumberTest, base: Knowledge) -> tuple[float, float]:
    """Return the corrected value of a share or odds ratio, and its strength.

    A rule that is compared without some root states is moved by as much as the figure without them.
    """
    declared, observed = test.declared, test.observed
    assert observed is not None
    assert declared.strength is not None
    strength = min(declared.strength + observed.size, MOST_STRENGTH)
    share = observed.size / (declared.strength + observed.size)
    if declared.kind == "coupling":
        logs = (1 - share) * math.log(declared.number) + share * math.log(observed.value)
        return min(max(math.exp(logs), RATIO[0]), RATIO[1]), strength
    confidences = {rule.name: rule.confidence for rule in base.rules}
    written_number = confidences[declared.name] if declared.kind == "rule" else declared.number
    number = written_number + share * (observed.value - declared.number)
    return min(max(number, SHARE[0]), SHARE[1]), strength


def _cited(test: NumberTest, source: str) -> Tree:
    """Return source and note of a corrected number."""
    declared, observed = test.declared, test.observed
    assert observed is not None
    note = (
        f"declared {declared.number:.3g} (n {declared.strength:g}), observed {observed.value:.3g} "
        f"({observed.low:.3g} to {observed.high:.3g}) in {observed.items} items"
    )
    return {"source": source, "note": _quoted(note + (f"; {test.reason}" if test.reason else ""))}


def _moments(tests: Sequence[NumberTest], base: Knowledge, state: int, source: str) -> Tree:
    """Return all moments of a root state, of which those contradicted are corrected."""
    moments = base.moments[state]
    mean, sd = list(moments.mean), list(moments.sd)
    correlation, strength, notes = moments.correlation, moments.n, []
    matrix = [list(row) for row in correlation]
    for test in tests:
        kind, observed, declared = test.declared.kind, test.observed, test.declared
        assert observed is not None
        share = observed.size / (moments.n + observed.size)
        strength = max(strength, min(moments.n + observed.size, MOST_STRENGTH))
        names = declared.name.partition(" | ")[0].split(" ")
        i = base.intervals.index(names[0])
        if kind == "mean":
            mean[i] = (1 - share) * mean[i] + share * observed.value
        elif kind == "sd":
            sd[i] = math.sqrt((1 - share) * sd[i] ** 2 + share * observed.value**2)
        else:
            j = base.intervals.index(names[1])
            number = (1 - share) * matrix[i][j] + share * observed.value
            matrix[i][j] = matrix[j][i] = min(max(number, CORRELATION[0]), CORRELATION[1])
        notes.append(f"{kind} of {names[0]} declared {declared.number:.3g}, observed {observed.value:.3g}")
    tree = {
        "mean": f"[{', '.join(map(_decimal, mean))}]",
        "sd": f"[{', '.join(map(_decimal, sd))}]",
        "n": _decimal(strength),
        "source": source,
        "note": _quoted("; ".join(notes)),
    }
    if len(mean) > 1:
        tree["correlation"] = _decimal(matrix[0][1])
    return tree


def _population(tests: Sequence[NumberTest], base: Knowledge, source: str) -> Tree:
    """Return a population whose base rates, all of them, are those of the table."""
    name = tests[0].declared.path.split(".")[2]
    population = base.populations[name]
    states = base.variables[base.root].states
    observed = {test.declared.name: test.observed.value for test in tests if test.observed is not None}
    p = [observed.get(state, rate) for state, rate in zip(states, population.p, strict=True)]
    p = [max(rate, PRIOR[0]) for rate in p]
    rates = [round(rate / sum(p), 6) for rate in p]
    rates[rates.index(max(rates))] += 1 - sum(rates)
    note = "rates that the table contradicts are the observed ones, all scaled to a sum of 1"
    entry = {
        "p": {state: f"{max(rate, PRIOR[0]):.6f}" for state, rate in zip(states, rates, strict=True)},
        "source": source,
        "note": _quoted(note),
    }
    return {"priors": {"populations": {name: entry}}}


def _insert(tree: Tree, keys: Sequence[str], entry: Mapping[str, Any]) -> None:
    """Put an entry at a path of the tree."""
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = dict(entry)


def _decimal(value: float) -> str:
    """Write a number with four significant digits and no exponent."""
    digits = 4 if value == 0 else min(max(3 - math.floor(math.log10(abs(value))), 0), 9)
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
