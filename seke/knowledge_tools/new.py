"""`seke knowledge new`: an overlay to start from, and the schema with which editors complete it."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Knowledge, SekeError, did_you_mean, json_schema
from seke.console.plain_text import count
from seke.files.shipped import knowledge as read_knowledge
from seke.files.shipped import shipped_name
from seke.files.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# Probabilities that a cell may have.
LEAST, MOST = 0.001, 0.999
# Faults of a table in the message.
MOST_FAULTS = 20
SCHEMA = "knowledge.schema.json"


@dataclass(frozen=True)
class Matrix:
    """A table of P(binary variable | root state): its file, strength and citation.

    n: strength of every cell, as a pseudo-count. cite: a citation for it; without one it is a judgement.
    margin: cells nearer to 0 or 1 are brought to it; 0 leaves them, and those of 0 and 1 are faults.
    """

    path: Path
    n: float = 10.0
    cite: str = ""
    margin: float = 0.0


def new(folder: Path, base: str = "shipped", matrix: Matrix | None = None) -> tuple[Path, ...]:
    """Write a commented overlay on a base into a new folder, with the schema; return what was written.

    With a matrix its cells are written too. Nothing is left behind where anything is wrong.

    Raises:
        engine.SekeError: a folder that is there already, or a table that does not fit the base.
    """
    if folder.exists():
        raise SekeError(f"{folder}: exists already; name a new folder")
    knowledge = read_knowledge(base)
    cells = _cells(matrix, knowledge) if matrix else ""
    files = {
        "overlay.yaml": _template(knowledge, base, folder),
        SCHEMA: json.dumps(json_schema(knowledge), indent=1, ensure_ascii=False) + "\n",
    }
    files |= {"activations.yaml": cells} if cells else {}
    made = next((parent for parent in reversed(folder.parents) if not parent.exists()), folder)
    folder.mkdir(parents=True)
    try:
        for name, content in files.items():
            (folder / name).write_text(content, "utf-8")
        read_knowledge(folder)
    except (SekeError, OSError):
        shutil.rmtree(made)
        raise
    return tuple(folder / name for name in files)


def _template(base: Knowledge, named: str, folder: Path) -> str:
    """Return an overlay to start from, with examples that use names of this base."""
    extends = named
    if shipped_name(named) is None:
        extends = json.dumps(os.path.relpath(Path(named).resolve(), folder.resolve()), ensure_ascii=False)
    states = base.variables[base.root].states
    state, units = states[-1], list(base.cells)
    # What the state shows more than the others do.
    typical = sorted(units, key=lambda unit: sum(cell.p for cell in base.cells[unit]) / len(states)
                     - base.cells[unit][-1].p)  # fmt: skip
    unit, second_unit = (*typical, "UNIT", "OTHER")[:2]
    then, affect = f"{base.root} == {state}", ""
    if base.intervals:
        name, moments = base.intervals[0], base.moments[-1]
        edges = base.variables[name].edges
        then = f"{name} > {edges[len(edges) // 2]:g}"
        mean, sd = (f"[{', '.join(map(decimal, numbers))}]" for numbers in (moments.mean, moments.sd))
        affect = (
            f"# How {' and '.join(base.intervals)} go with a state: means, then sds, in this order.\n"
            f"# affect:\n#   moments:\n#     {state}: {{mean: {mean}, sd: {sd}, n: 10, source: judgement, "
            'note: "my set is like this"}\n'
        )
    words = [path.removeprefix("words.") for path in base.numbers if path.startswith("words.")]
    placeholders = {
        "EXTENDS": extends,
        # Its commands are right where the folder itself lies, as in a study.
        "BASE": shlex.quote(named if shipped_name(named) else os.path.relpath(named, folder.parent)),
        "HERE": shlex.quote(folder.name),
        "SHARES": f"{{{', '.join(f'{state_name}: {1 / len(states):.4f}' for state_name in states)}}}",
        "WORDS": f"\n# A word may stand for p: {', '.join(words)}." if words else "",
        "REMOVED": f"rules.{base.rules[0].name}" if base.rules else f"variables.{base.root}.states.{state}",
        "LEVEL": next((level for level, names in base.levels.items() if base.root in names), base.root),
        "AFFECT": affect,
        "STATE": state,
        "THEN": then,
        "UNIT": unit,
        "OTHER": second_unit,
        "ROOT": base.root,
    }
    text = (Path(__file__).parent / "overlay.yaml").read_text("utf-8")
    # What speaks of binary variables is left out where there are too few.
    lacking = [name for name, least in (("UNIT", 1), ("OTHER", 2)) if len(units) < least]
    parts = [part for part in text.split("\n\n") if not any(name in part for name in lacking)]
    text = "\n\n".join(parts)
    return re.sub("|".join(placeholders), lambda match: placeholders[match[0]], text)


def _cells(matrix: Matrix, base: Knowledge) -> str:
    """Return the cells of a table as YAML of an overlay."""
    cells = _read(matrix, base)
    name = f"table_{re.sub(r'[^A-Za-z0-9_-]', '_', matrix.path.stem)}"
    while name in base.sources:
        name += "_"
    if matrix.cite:
        head = [f"sources: {{{name}: {{cite: {json.dumps(matrix.cite, ensure_ascii=False)}}}}}"]
        cited = [f"  source: {name}"]
    else:
        head = []
        note = json.dumps(
            f"Read from {matrix.path.name}; say here where its numbers come from.", ensure_ascii=False
        )
        cited = ["  source: judgement", f"  note: {note}"]
    lines = [f"# yaml-language-server: $schema={SCHEMA}", *head, "activations:", *cited, "  cells:"]
    for state in base.variables[base.root].states:
        row = {variable: p for (row_state, variable), p in cells.items() if row_state == state}
        if row:
            lines.append(f"    {state}:")
            lines += [
                f"      {variable}: {{p: {decimal(round(p, 6))}, n: {decimal(matrix.n)}}}"
                for variable, p in row.items()
            ]
    return "\n".join(lines) + "\n"


def _read(matrix: Matrix, base: Knowledge) -> dict[tuple[str, str], float]:
    """Read P(variable | state), states in columns or in rows; blank cells are left to the base."""
    try:
        rows = list(_rows(read_text(matrix.path)))
    except csv.Error as error:
        raise SekeError(f"{matrix.path}: is no CSV ({error})") from None
    if len(rows) < 2:
        raise SekeError(f"{matrix.path}: needs a row of names and at least one row of numbers")
    faults: list[str] = []
    cells = _numbers(matrix, base, rows, faults)
    if not cells and not faults:
        raise SekeError(f"{matrix.path}: holds no number")
    if faults:
        more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        raise SekeError("\n".join([*faults[:MOST_FAULTS], *more, count(len(faults), "fault")]))
    return cells


def _numbers(
    matrix: Matrix, base: Knowledge, rows: list[tuple[int, list[str]]], faults: list[str]
) -> dict[tuple[str, str], float]:
    (top, header), body = rows[0], rows[1:]
    across = _which(base, header[1:])
    columns = [
        _name(matrix, base, across, name, top, i, faults) if name.strip() else None
        for i, name in enumerate(header[1:], 2)
    ]
    cells: dict[tuple[str, str], float] = {}
    for line, row in body:
        row_name = _name(matrix, base, not across, row[0], line, 1, faults)
        if len(row) > len(header):
            faults.append(f"{matrix.path}:{line}: has {len(row)} cells; the first row has {len(header)}")
        for column, (column_name, cell) in enumerate(zip(columns, row[1:], strict=False), 2):
            place = f"{matrix.path}:{line}:{column}"
            if cell.strip() and not header[column - 1].strip():
                faults.append(f"{place}: stands in a column without a name")
            state, variable = (column_name, row_name) if across else (row_name, column_name)
            if not cell.strip() or state is None or variable is None:
                continue
            if (state, variable) in cells:
                faults.append(f"{place}: {state}, {variable} is given twice")
            cells[state, variable] = _probability(
                matrix, cell.strip(), f"{place}: {state}, {variable}", faults
            )
    return cells


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and cells; the separator is the most frequent one of the first line."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip(",;\t ") and not line.startswith("#")), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(lines, delimiter=separator)
    for row in reader:
        if any(cell.strip() for cell in row) and not row[0].startswith("#"):
            yield reader.line_num, row


def decimal(value: float) -> str:
    """Return a number as the language writes it, without an exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _which(base: Knowledge, names: list[str]) -> bool:
    """Return whether at least half of these names are root states."""
    states = {state.lower() for state in base.variables[base.root].states}
    return sum(name.strip().lower() in states for name in names) * 2 >= len(names)


def _name(
    matrix: Matrix, base: Knowledge, state: bool, text: str, line: int, column: int, faults: list[str]
) -> str | None:
    """Return the state or binary variable that is meant; au01, 1 and AU1 are the same unit."""
    known = base.variables[base.root].states if state else tuple(base.cells)
    plain = text.strip().lower()
    number = re.fullmatch(r"(?:au)? ?0*(\d+)", plain)
    for name in known:
        if name.lower() == plain or (number and name.lower() == f"au{number[1]}"):
            return name
    kind = f"state of {base.root}" if state else "binary variable"
    faults.append(f"{matrix.path}:{line}:{column}: no {kind} is called {text!r}{did_you_mean(text, known)}")
    return None


def _probability(matrix: Matrix, text: str, where: str, faults: list[str]) -> float:
    try:
        p = float(text)
    except ValueError:
        hint = "; write a decimal point, not a comma" if re.fullmatch(r"\d*,\d+", text) else ""
        hint = "; divide percentages by 100" if re.fullmatch(r"[\d.]+ ?%", text) else hint
        hint = "; leave a cell blank that is not known" if text.lower() in ("-", "n/a", "na", "nan") else hint
        faults.append(f"{where}: must be a number from {LEAST} to {MOST}, not {text!r}{hint}")
        return 0.5
    if 0 <= p <= 1 and matrix.margin:
        p = min(max(p, matrix.margin), 1 - matrix.margin)
    if not LEAST <= p <= MOST:
        hint = "; divide percentages by 100" if 2 <= p <= 100 else ""
        hint = "; knowledge is never certain: --margin 0.02 makes it 0.02 or 0.98" if p in (0, 1) else hint
        faults.append(f"{where}: is {text}; allowed is {LEAST} to {MOST}{hint}")
    return p
