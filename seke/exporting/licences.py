"""Reads the table that states the licence of each source's pictures, one row a source.

    source,licence,url,note,consent,copy
    CK+,research only; no passing on,https://...,agreement signed 2026-03-01,research and publication,no

Only `source` and `licence` are needed. What has `no` in the column `copy` is never copied. `consent` says in
words what the people pictured agreed to; a blank cell says that this is not known.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import SekeError, did_you_mean
from seke.files.faults import MOST_FAULTS, Faults
from seke.files.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

COLUMNS = ("source", "licence", "url", "note", "copy", "consent")


@dataclass(frozen=True)
class Licence:
    """The terms of a source.

    copy: whether its pictures may be copied, None where the table does not say. consent: what the people
    pictured agreed to, no text where it is not known.
    """

    licence: str
    url: str = ""
    note: str = ""
    copy: bool | None = None
    consent: str = ""


def read_licences(path: Path) -> dict[str, Licence]:
    """Read a table of sources.

    Raises:
        engine.AnswerError: all faults, with file and line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    faults = Faults()
    licences: dict[str, Licence] = {}
    try:
        for fault in _columns_at_fault(path, reader.fieldnames or ()):
            faults.note(fault)
        for row in reader if not faults else ():
            place, cells = f"{path}:{reader.line_num}", {k: (v or "").strip() for k, v in row.items() if k}
            source, copy = cells["source"], cells.get("copy", "").lower()
            if None in row:
                faults.note(f"{place}: has more cells than the header")
            if source in licences:
                faults.note(f"{place}: source: {source!r} is there twice")
            if copy not in ("", "yes", "no"):
                faults.note(f"{place}: copy: {copy!r}; allowed are yes, no or nothing")
            if not cells["licence"]:
                faults.note(f"{place}: licence: is blank")
            texts = cells["licence"], cells.get("url", ""), cells.get("note", "")
            consent = cells.get("consent", "")
            licences[source] = Licence(*texts, {"yes": True, "no": False}.get(copy), consent)
    except csv.Error as error:
        faults.note(f"{path}:{reader.line_num}: is no CSV ({error})")
    faults.raise_all()
    return licences


def _columns_at_fault(path: Path, columns: Sequence[str]) -> Iterator[str]:
    for name in [name for name in columns if name not in COLUMNS][:MOST_FAULTS]:
        yield f"{path}:1: {name[:40]}: no such column{did_you_mean(name[:40], COLUMNS)}"
    yield from (f"{path}:1: {name}: no such column" for name in COLUMNS[:2] if name not in columns)


def check_copying(sources: Iterable[str], licences: Mapping[str, Licence], licence: str) -> None:
    """Refuse to copy pictures whose terms are not stated, or do not allow it.

    Raises:
        engine.SekeError: the sources of which no licence is said, or that forbid it.
    """
    names = sorted(set(sources))
    forbidden = [source for source in names if source in licences and licences[source].copy is False]
    if forbidden:
        raise SekeError(
            f"--copy-images: the terms of {_source_names(forbidden)} do not allow it (copy: no in --sources)"
        )
    unsaid = [source for source in names if source not in licences and not licence.strip()]
    if unsaid:
        raise SekeError(
            f"--copy-images: no licence is stated of {_source_names(unsaid)}; state one with --licence, or "
            "of each source in a table (--sources)"
        )


def unstated_terms(sources: Iterable[str], licences: Mapping[str, Licence], *, copied: bool) -> Iterator[str]:
    """Yield what a table of sources does not say of an export, a line each.

    copied: whether the pictures are in the export, so that what the people pictured agreed to matters.
    """
    names = sorted(set(sources))
    unnamed = [source for source in names if source not in licences]
    if licences and unnamed:
        yield f"--sources does not name {_source_names(unnamed)}"
    silent = [source for source in names if source not in licences or not licences[source].consent]
    if copied and silent:
        yield (
            f"pictures of {_source_names(silent)} are copied, and nothing says what the people pictured "
            "agreed to (column consent in --sources)"
        )


def _source_names(sources: Iterable[str]) -> str:
    return ", ".join(source or "pictures without a source" for source in sources)
