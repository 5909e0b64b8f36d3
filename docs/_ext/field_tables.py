"""The keys of the knowledge language in words, for its own page and for the pages of the reference.

`python docs/_ext/field_tables.py` writes the tables of knowledge/README.md anew.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from plain_text import markdown, slug

from engine.language.field_table import TABLES
from engine.language.fields import decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.language.field_table import FieldSpec

LANGUAGE = Path(__file__).parents[2] / "knowledge" / "README.md"
BEGIN, END = "<!-- fields: begin -->\n", "<!-- fields: end -->\n"
BASE = TABLES["BASE"].fields


def kind_in_words(field: FieldSpec) -> str:
    """Return what an entry holds, with its range."""
    inner = [kind_in_words(entry) for entry in field.inner]
    words = {
        "number": lambda: _range_in_words(field),
        "whole": lambda: _range_in_words(field),
        "choice": lambda: " or ".join(f"`{word}`" for word in field.words),
        "text": lambda: f"name of: {field.what}" if field.what else "text",
        "name": lambda: f"name of: {field.what}" if field.what else "text",
        "list": lambda: f"list{_size_in_words(field)}: {inner[0]}",
        "named": lambda: f"by {field.what or 'name'}" + f": {inner[0]}" * (inner[0] != "table"),
        "either": lambda: ", or ".join(inner),
        "flag": lambda: "`true` or `false`",
    }
    return words[field.kind]() if field.kind in words else field.kind


def _size_in_words(field: FieldSpec) -> str:
    return f" of {'at least ' * field.at_least}{field.size}" if field.size else ""


def _range_in_words(field: FieldSpec) -> str:
    if math.isinf(field.high - field.low):
        return "number"
    whole = "whole number, " if field.kind == "whole" else ""
    return f"{whole}{decimal(field.low)} to {decimal(field.high)}"


def rows(field: FieldSpec, path: str = "") -> Iterator[tuple[str, FieldSpec]]:
    """Yield path and field of every entry below a field; names are written as *."""
    for key, entry in field.fields.items():
        yield f"{path}{key}", entry
        yield from rows(entry, f"{path}{key}.")
    for entry in field.inner:
        yield from rows(entry, f"{path}*." if field.kind == "named" else path)


def section_rows(section: str) -> list[tuple[str, FieldSpec]]:
    """Return path and field of every entry of a section that has keys of its own."""
    field = BASE[section]
    named = field.kind == "named"
    return list(rows(field.inner[0] if named else field, f"{section}.*." if named else f"{section}."))


def without_it(field: FieldSpec) -> str:
    """Return what holds where an entry is left out, as the language writes it."""
    if field.needed:
        return "needed"
    value = field.default
    written = decimal(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    return str(written or "")


def page_tables() -> str:
    """Return the tables of the page: one of the sections, and one of each section with keys of its own."""
    head = ["", "| key | holds | without it | meaning |", "|---|---|---|---|"]
    lines = [*head, *(_table_row(key, field) for key, field in BASE.items())]
    for section in BASE:
        if entries := section_rows(section):
            lines += ["", f"`{section}`", *head, *(_table_row(path, entry) for path, entry in entries)]
    return "\n".join(lines) + "\n\n"


def _table_row(path: str, field: FieldSpec) -> str:
    cells = (f"`{path}`", kind_in_words(field), without_it(field), field.doc.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def language_pages() -> dict[str, str]:
    """Return path -> Markdown of a page for each section, and of the page that lists them."""
    texts = _texts_of_sections()
    pages = {f"yaml/{section}.md": _section_page(section, texts.get(section, "")) for section in BASE}
    pages["language.md"] = language_page()
    table = (
        f"| [`{section}`](yaml/{section}.md) | {markdown(field.doc)} | {'yes' if field.needed else ''} |"
        for section, field in BASE.items()
    )
    pages["yaml.md"] = "\n".join(
        [
            "# Keys of the knowledge language",
            "",
            "Every key of a base, generated from the table that the reader itself reads by. [The language by",
            "example](language.md) shows how they are used; `seke knowledge schema` writes the same as a",
            "JSON Schema, by which an editor completes and checks.",
            "",
            "* `*` stands for a name of yours: `rules.*.if` is the key `if` of each rule.",
            "* Every table may hold `source` and `note` besides.",
            "* A number outside its limits is a fault, and so is a key that is not listed.",
            "",
            "| section | | needed |",
            "|---|---|---|",
            *table,
            "",
            "```{toctree}\n:hidden:\n",
            *(f"yaml/{section}" for section in BASE),
            "```",
            "",
        ]
    )
    return pages


def language_page() -> str:
    """Return the page that teaches the language, without its tables and links to files of the repository."""
    before, _, rest_of_page = LANGUAGE.read_text("utf-8").partition(BEGIN)
    tables = "[Keys of the knowledge language](yaml.md) has the keys of each section.\n\n"
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"`\1`", before + tables + rest_of_page.partition(END)[2])


def _section_page(section: str, anchor: str) -> str:
    field = BASE[section]
    holds = "" if field.kind in {"named", "table"} and section_rows(section) else kind_in_words(field)
    lines = [f"# `{section}`", "", markdown(field.doc), ""]
    if holds:
        lines += [f"Holds: {markdown(holds)}.", ""]
    if anchor:
        lines += [f"By example: [{section} in the language](../language.md#{anchor}).", ""]
    merged: dict[str, list[FieldSpec]] = {}
    for path, entry in section_rows(section):
        merged.setdefault(path, []).append(entry)
    for path, entries in merged.items():
        kinds = markdown(", or ".join(dict.fromkeys(map(kind_in_words, entries))))
        remark = without_it(entries[0])
        if remark:
            remark = f"; {remark}" if remark == "needed" else f"; without it {markdown(remark)}"
        lines += [f"`{path}`{{#{slug(path.replace('*', 'x'))}}}", f": {markdown(entries[0].doc)}\\"]
        lines += [f"  *{kinds}{remark}*", ""]
    return "\n".join(lines)


def _texts_of_sections() -> dict[str, str]:
    """Return section -> anchor of the heading that names it on the page of the language."""
    anchors = {}
    for heading in re.findall(r"^## (.*`\w+`.*)$", LANGUAGE.read_text("utf-8"), re.MULTILINE):
        address = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for section in re.findall(r"`(\w+)`", heading):
            anchors.setdefault(section, address)
    return anchors


if __name__ == "__main__":
    before, begin, tables = LANGUAGE.read_text("utf-8").partition(BEGIN)
    LANGUAGE.write_text(before + begin + page_tables() + END + tables.partition(END)[2], "utf-8")
