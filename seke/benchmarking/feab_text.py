"""Renders scores by the protocol of FEAB as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.benchmarking.table import difference_tables, tables
from seke.benchmarking.text import MOST_COLUMNS, NOTHING
from seke.console.plain_text import count
from seke.console.rich_table import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seke.benchmarking.table import ScoreCell

    Facts = Mapping[str, Any]

# Letters of a digest that tell it from others.
DIGEST = 16


def text(facts: Facts) -> str:
    """Return the scores as text."""
    lines = [*_head(facts), ""]
    for table in tables(facts):
        if len(table.columns) <= MOST_COLUMNS:
            rows = [
                [
                    row.source,
                    f"[{row.cited}] {row.system}" if row.cited else row.system,
                    "" if row.items is None else f"{row.items:,}",
                    "" if row.items is None else f"{row.void:,}",
                    *map(cell_text, row.cells),
                    row.note,
                ]
                for row in table.rows
            ]
            lines += [table.title, *table_lines(["", "", "items", "no answer", *table.columns, ""], rows), ""]
    for pair in difference_tables(facts):
        rows = [
            [row.source, row.score, f"{row.items:,}", *map(_number, (row.first, row.second)),
             _difference_text(row.difference), "" if row.p is None else f"{row.p:.3g}"]
            for row in pair.rows
        ]  # fmt: skip
        head = ["", "", "items", "one", "other", "difference", "McNemar p"]
        lines += [f"one: {pair.first}, other: {pair.second}", *table_lines(head, rows), ""]
    cited = {row.cited for table in tables(facts) for row in table.rows if row.cited}
    if cited:
        lines.append("published figures, each of its set's own test part by its own protocol:")
        lines += [f"  [{name}] {cite}" for name, cite in facts["cited"].items() if name in cited]
    return "\n".join(lines).rstrip()


def _head(facts: Facts) -> Iterator[str]:
    protocol, options = facts["protocol"], facts["options"]
    whole = f"of FEAB's {protocol['items']:,}" if facts["gold"]["items"] < protocol["items"] else ""
    yield f"FEAB's protocol: {count(facts['gold']['items'], 'item')} {whole}".rstrip()
    for part in protocol["sets"]:
        yield f"  {part['label']:10} {part['items']:5,}  {part['split']}"
    for rule in protocol["rules"]:
        yield f"  {rule}"
    if options["bootstrap"]:
        level, times = 100 * options["level"], options["bootstrap"]
        yield f"  in brackets: {level:g}% intervals of {times:,} resamples, seed {options['seed']}"
    for system in facts["systems"]:
        yield f"{system['name']}: {_asked_text(system)}"
        missing = max(system["not_answered"].values(), default=0)
        if missing:
            yield f"  {count(missing, 'item')} without an answer, counted as wrong"
        if system["scripted"]:
            yield "  its answers are made up (scripted): they say nothing about a model"
    other = facts["other_pictures"]
    if other["count"]:
        examples = ", ".join(map(repr, other["examples"]))
        yield f"{count(other['count'], 'item')} seen as other pictures, such as {examples}"


def _asked_text(system: Facts) -> str:
    if system["prompts"] is None:
        return "predictions from a file; prompts and pictures are not known"
    prompts = ", ".join(
        f"{question} {next(iter(digests))[:DIGEST]}"
        if len(digests) == 1
        else f"{question} ({len(digests):,} prompts)"
        for question, digests in system["prompts"].items()
    )
    pictures = system["pictures"]
    seen = f"; {count(pictures['count'], 'picture')} {pictures['digest'][:DIGEST]}" if pictures else ""
    models = ", ".join(name or "a model without a name" for name in system["models"])
    return f"{models}; prompts: {prompts}{seen}"


def cell_text(cell: ScoreCell) -> str:
    """Return a score with its interval."""
    if cell.value is None:
        return NOTHING
    interval = "" if cell.low is None or cell.high is None else f" [{cell.low:.3f}, {cell.high:.3f}]"
    return f"{cell.value:.3f}{interval}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _difference_text(cell: ScoreCell) -> str:
    if cell.value is None:
        return NOTHING
    interval = "" if cell.low is None or cell.high is None else f" [{cell.low:+.3f}, {cell.high:+.3f}]"
    return f"{cell.value:+.3f}{interval}"
