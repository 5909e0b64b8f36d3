"""Tasks as a CSV that people fill in, and what its cells mean."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from seke.files.rows import without_formula
from seke.review.answers import NOT_JUDGED, OK, REFUSED
from seke.review.wording import ask_text, believed_text
from seke.samples.spelling import name_meant, other_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine import Knowledge, Variable
    from seke.review.tasks import ReviewTask

STATUSES = (OK, REFUSED, NOT_JUDGED)
# A cell of a binary variable: true, false, or that its place cannot be seen.
YES, NO, HIDDEN_CELL = ("1", "true", "yes", "x", "present"), ("0", "false", "no", "absent"), "?"


def table_text(base: Knowledge, tasks: Iterable[ReviewTask], paths: Mapping[str, str]) -> str:
    """Return the tasks as CSV; cells of variables that a task does not ask about hold a dash.

    paths: item -> path of its picture.
    """
    listed = list(tasks)
    asked = [name for name in base.variables if any(name in task.asks for task in listed)]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["task", "item", "picture", "ask", "believed", *asked, "annotator", "status"])
    for task in listed:
        cells = ["" if name in task.asks else UNASKED for name in asked]
        believed = believed_text(base, task) if task.shown else ""
        item, path = without_formula(task.item), without_formula(paths[task.item])
        fixed = [task.key, item, path, ask_text(base, task), believed]
        writer.writerow([*fixed, *cells, "", ""])
    return sink.getvalue()


UNASKED = "-"


def cell_value(variable: Variable, cell: Any) -> Any:
    """Return what a filled cell means; what it cannot mean as it is, to be named as a fault."""
    text = str(cell).strip()
    if variable.kind == "binary":
        if text == HIDDEN_CELL:
            return None
        return True if text.lower() in YES else False if text.lower() in NO else text
    if variable.kind == "interval":
        try:
            return float(text)
        except ValueError:
            return text
    return name_meant(text, variable.states, other_words(variable), {}) or text
