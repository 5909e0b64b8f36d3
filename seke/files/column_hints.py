"""What an unknown column of a table was probably meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

# Columns that a message lists at most.
MOST_SHOWN = 12
# Usual names -> the columns that hold such things here, of which the first is meant that the table may have.
USUAL = {
    **dict.fromkeys(("id", "face", "name", "key", "sample"), ("item",)),
    **dict.fromkeys(
        ("file", "filename", "file_name", "image", "image_path", "img", "picture", "photo"), ("path", "item")
    ),
    **dict.fromkeys(("person", "person_id", "subject", "subject_id", "identity", "participant"), ("group",)),
    **dict.fromkeys(("emotion", "label", "class", "category", "expr"), ("expression",)),
    **dict.fromkeys(("model", "annotator", "rater", "coder", "detector"), ("observer",)),
    **dict.fromkeys(("dataset", "set", "corpus"), ("source",)),
}


def column_hint(name: str, known: Collection[str]) -> str:
    """Return `; did you mean X?`, or the columns that a table may have, those without a number first."""
    meant = next((column for column in USUAL.get(name.lower(), ()) if column in known), None)
    if meant is not None:
        return f"; did you mean {meant}?"
    near = did_you_mean(name, known)
    # A usual name of something that the table may not have is no misspelling.
    if near.endswith("?") and name.lower() not in USUAL:
        return near
    plain = sorted(column for column in known if not column[-1:].isdigit())
    further = ", ..." if len(plain) < len(known) or len(plain) > MOST_SHOWN else ""
    return f"; allowed are {', '.join(plain[:MOST_SHOWN])}{further}" if plain else near
