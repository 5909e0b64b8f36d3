"""A result that is a text for people: whole where it is printed, a line as a value, HTML in a notebook."""

from __future__ import annotations

from engine import notebook_html

# Characters of the line that names a result.
LONGEST_LINE = 100


class TextReport:
    """What results with a text share: `str` gives the text, as the command prints it."""

    def __repr__(self) -> str:
        lines = [line.strip() for line in str(self).splitlines() if line.strip()]
        first = lines[0] if lines else "empty"
        cut = f"{first[: LONGEST_LINE - 4]} ..." if len(first) > LONGEST_LINE else first
        return f"<{type(self).__name__}: {cut}>"

    def _repr_html_(self) -> str:
        return notebook_html(type(self).__name__, text=str(self))
