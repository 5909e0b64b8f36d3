"""The folder of a run without items: its ledger, records, tables and summary."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.annotation.run_summary import spread_of
from seke.console.plain_text import count
from seke.files.staged import StagedFolder
from seke.release.rows_without import csv_without, jsonl_without
from seke.runs.failures import failures_of
from seke.runs.forgotten import GIVEN, WAITING, ForgottenItems, items_in_ledger, write_ledger_without
from seke.runs.item_list import ITEMS, decoded_lines
from seke.runs.ledger import NAME, status_of
from seke.runs.read_counts import read_counts
from seke.runs.run_folder import POSTERIORS, SAMPLES, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from engine import Knowledge

    Record = dict[str, Any]

# How the note in a summary ends.
SINCE = "forgotten since (seke forget); the other lines here are of before"


@dataclass(frozen=True)
class RunRows:
    """Rows that go from a run's folder, by file, and how many answers of its ledger do."""

    folder: str
    rows: dict[str, int]
    answers: int


def items_of_run(folder: Path) -> dict[str, str | None]:
    """Return the items that a run's files name -> their person, where that is known."""
    named: dict[str, str | None] = dict.fromkeys(sorted(items_in_ledger(folder)))
    for name in (POSTERIORS, SAMPLES, ITEMS):
        if (folder / name).is_file():
            rows = decoded_lines(folder / name, dict[str, Any])
            named |= {str(row["item"]): row.get("group") or named.get(str(row["item"])) for row in rows}
    return named


def stage_run(
    folder: Path, items: Collection[str], groups: Collection[str], bases: Sequence[Knowledge]
) -> tuple[StagedFolder, RunRows]:
    """Write the files of a run, which nobody else uses, aside without items.

    The list of items takes its place last: as long as it is there, a person's items can be told by it. bases:
    such as the run may have been made with.

    Raises:
        engine.SekeError: a file that cannot be read; requests that are on their way.
    """
    staged = StagedFolder(folder)
    names = set(items)

    def is_forgotten(row: Record) -> bool:
        return str(row.get("item")) in names

    taken: dict[str, list[Record]] = {}
    tables: dict[str, int] = {}
    inside = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in inside:
        name = path.relative_to(folder).as_posix()
        # A review within a run is a run of its own.
        if (path.parent != folder and (path.parent / NAME).is_file()) or name == ITEMS:
            continue
        if path.suffix == ".jsonl":
            taken[name] = jsonl_without(staged, name, is_forgotten)
        elif path.suffix == ".csv":
            tables[name] = csv_without(staged, name, is_forgotten)
    answers = _stage_ledger(staged, names, groups, taken)
    if (folder / SUMMARY).is_file():
        _stage_summary(staged, names, bases)
    if (folder / ITEMS).is_file():
        taken[ITEMS] = jsonl_without(staged, ITEMS, is_forgotten)
    counts = {name: len(rows) for name, rows in taken.items()} | tables
    return staged, RunRows(str(folder), {name: count for name, count in counts.items() if count}, answers)


def _stage_ledger(
    staged: StagedFolder, items: set[str], groups: Collection[str], taken: dict[str, list[Record]]
) -> int:
    """Stage the ledger; return how many answers go from it."""
    facts, _, before = status_of(staged.folder)
    given = Counter(
        row["observer"] for row in taken.get(SAMPLES, ()) if row.get("observer") in facts.get(GIVEN, {})
    )
    following = (row["decision"]["next"] for row in taken.get(POSTERIORS, ()))
    waiting = Counter(option["observer"] for option in following if option)
    awaited = {name: count for name, count in waiting.items() if name in facts.get(WAITING, {})}
    listed = len(items.intersection(_listed(staged.folder)))
    output = staged.path(NAME)
    write_ledger_without(staged.folder, output, items, groups, given, awaited, listed)
    return before.answers - status_of(output.parent)[2].answers


def _listed(folder: Path) -> set[str]:
    if not (folder / ITEMS).is_file():
        return set()
    return {str(row["item"]) for row in decoded_lines(folder / ITEMS, dict[str, Any])}


def _stage_summary(staged: StagedFolder, items: set[str], bases: Sequence[Knowledge]) -> None:
    """Stage the summary: counts anew; lines that name an item go.

    What follows from all items together (thresholds of mean risks) is found anew by the next `annotate`.
    """
    path = staged.folder / SUMMARY
    try:
        summary: Record = msgspec.json.decode(path.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SekeError(f"{path}: cannot be read ({error})") from None
    made_with = summary.get("facts", {}).get("knowledge")
    base = next((base for base in bases if f"{base.name} {base.digest}" == made_with), None)
    summary |= _record_counts(_new(staged, POSTERIORS), summary, base)
    if base is None:
        # Which values a level has is not known.
        summary.pop("levels", None)
    summary |= _answer_counts(_new(staged, SAMPLES), summary)
    aside = staged.path(NAME).parent
    totals = status_of(aside)[2]
    summary["totals"] = {**summary.get("totals", {}), **msgspec.to_builtins(totals)}
    summary["reading"] = read_counts(aside)
    if "failures" in summary:
        summary["failures"] = failures_of(aside)
    words = "|".join(re.escape(item) for item in sorted(items))
    named = re.compile(rf"(?<!\w)(?:{words})(?!\w)" if words else r"(?!)")
    for name in ("notes", "promises", "refused"):
        lines = summary.get(name, ())
        summary[name] = [line for line in lines if not named.search(line)]
    # The new line takes the place of one of an earlier time.
    kept = [line for line in summary["notes"] if not line.endswith(SINCE)]
    summary["notes"] = [*kept, f"{count(ForgottenItems.of(aside).items, 'item')} {SINCE}"]
    staged.path(SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2))


def _new(staged: StagedFolder, name: str) -> Path:
    """Return the new file of a name, or the old one where that stays."""
    path = staged.aside / name
    return path if path.is_file() else staged.folder / name


def _record_counts(path: Path, summary: Record, base: Knowledge | None) -> Record:
    if not path.is_file():
        return {}
    decisions, reasons, accepted = Counter[str](), Counter[str](), Counter[str]()
    samples: list[int] = []
    for record in decoded_lines(path, dict[str, Any]):
        decision = record["decision"]
        decisions[decision["item"]] += 1
        if decision["item"] == "reject":
            reasons[decision["reasons"][0].partition(":")[0]] += 1
        samples.append(record["diagnostics"]["samples"])
        accepted.update(name for name, of in decision["levels"].items() if of["decision"] == "accept")
    counts: Record = {"samples": sum(samples)}
    if samples:
        counts["per_item"] = spread_of(samples)
    if "items" in summary:
        counts["items"] = {name: decisions[name] for name in summary["items"]}
        counts["reasons"] = dict(reasons.most_common())
    if base is not None and "levels" in summary and samples:
        counts["levels"] = {
            level: round(sum(accepted[name] for name in members) / len(members) / len(samples), 6)
            for level, members in base.levels.items()
        }
    return counts


def _answer_counts(path: Path, summary: Record) -> Record:
    """Return answers by question and by who answered, of the observers that the summary counts."""
    if not path.is_file() or "observers" not in summary:
        return {}
    asked, observers = Counter[str](), Counter[str]()
    for row in decoded_lines(path, dict[str, Any]):
        if row["observer"] in summary["observers"]:
            asked[row["question"]] += 1
            observers[row["observer"]] += 1
    return {"asked": dict(asked.most_common()), "observers": dict(observers.most_common())}
