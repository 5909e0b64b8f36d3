"""A base against tables as one page of HTML that needs no other file and runs no script."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.graphics.page_colours import colours_css
from seke.graphics.shapes import clean
from seke.knowledge_tools import table_verdicts_pictures as pictures
from seke.knowledge_tools.table_verdicts_text import (
    ABSENT,
    LEGEND,
    VERDICTS,
    gap,
    interval,
    short,
    verdict_counts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seke.graphics.shapes import Drawing

    Facts = Mapping[str, Any]

# Numbers in a table of the page; --json has all.
MOST_ROWS = 40
KEY = (
    "Grey: the range of the declared number (line) by its strength; diamond: in the compiled network; "
    "dot and line: observed, with its 95 % interval."
)


def page(facts: Facts) -> str:
    """Return the page; names and texts from files are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    style = colours_css() + (folder / "table_verdicts.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("table_verdicts.html").render(
        # The style and the pictures are this package's own text; pictures escape what they show.
        style=Markup(style),
        digest=digest,
        facts=facts,
        legend=LEGEND,
        files=[clean(table["path"]) for table in facts["tables"]],
        sections=[
            {"title": title, "note": note, "svg": Markup(drawing.svg())}
            for title, note, drawing in _sections(facts)
        ],
        counts=verdict_counts,
        deviations=[_row(test) for test in _deviations(facts["tests"])],
        remarks=_remarks(facts["tests"]),
        parts=[
            {
                "name": clean(part["name"]),
                "items": part["items"],
                "counts": verdict_counts(part["verdicts"]),
                "rows": [_row(test) for test in _deviations(part["tests"])],
            }
            for part in facts["parts"]
        ],
    )


def _sections(facts: Facts) -> Iterator[tuple[str, str, Drawing]]:
    """Yield title, note and picture of each section."""
    tests = facts["tests"]
    rules, couplings = (
        [test for test in tests if test["kind"] == kind and test["verdict"] != ABSENT]
        for kind in ("rule", "coupling")
    )
    if rules:
        yield "Rules", f"P(then | if). {KEY}", pictures.interval_plot(rules, "rules")
    if couplings:
        note = f"Odds ratio given the root. {KEY}"
        yield "Couplings", note, pictures.interval_plot(couplings, "couplings", odds=True)
    cells = [test for test in tests if test["kind"] == "cell"]
    if any(test["verdict"] != ABSENT for test in cells):
        note = "Left what is observed, in the colour of the verdict; right what is declared."
        yield "Cells", note, pictures.cell_map(cells)
    yield from _mean_sections(tests)
    yield from _prediction_sections(facts)


def _mean_sections(tests: list[Facts]) -> Iterator[tuple[str, str, Drawing]]:
    means = [test for test in tests if test["kind"] == "mean"]
    names = list(dict.fromkeys(test["name"].split(" | ")[0] for test in means))
    if len(names) == 2 and any(test["observed"] for test in means):
        values = [abs(test["declared"]) for test in means]
        ends = (-1.0, 1.0) if max(values) <= 1 else (min(0.0, -max(values)), max(values) * 1.1)
        note = "Rings: declared; dots: observed."
        yield "Means", note, pictures.mean_plane(means, names, ends)


def _prediction_sections(facts: Facts) -> Iterator[tuple[str, str, Drawing]]:
    prediction = facts["prediction"]
    if prediction is None or not prediction["systems"]:
        return
    folds = prediction["folds"]
    fitted = f"Models are fitted by {folds}-fold cross-validation." if folds else "Too few items for folds."
    note = f"Told from {len(prediction['units'])} units. {fitted}"
    yield "Log loss", note, pictures.loss_plot(prediction["systems"])
    name, bins = list(prediction["reliability"].items())[-1]
    note = f"System: {name}; the size of a dot is its share of the items."
    yield "Reliability", note, pictures.reliability_plot(bins)
    confusion = pictures.confusion_map(prediction["states"], prediction["confusion"])
    yield "Confusion", "Rows: what an item is; columns: what the base tells; shares of each row.", confusion
    if facts["worth"]:
        note = "The rise of the base's log loss, nats an item, where it is compiled without."
        yield "Left out one by one", note, pictures.worth_plot(facts["worth"])


def _deviations(tests: list[Facts]) -> list[Facts]:
    far = [test for test in tests if test["verdict"] in VERDICTS[:2]]
    return sorted(far, key=lambda test: (VERDICTS.index(test["verdict"]), -gap(test)))[:MOST_ROWS]


def _row(test: Facts) -> dict[str, str]:
    low, high = test["range"]
    return {
        "kind": test["kind"],
        "name": clean(test["name"]),
        "declared": f"{short(test['declared'])} ({short(low)} to {short(high)})",
        "observed": interval(test["observed"]),
        "items": f"{test['observed']['items']:,}",
        "verdict": test["verdict"],
        "place": clean(test["place"]),
    }


def _remarks(tests: list[Facts]) -> list[tuple[str, str]]:
    """Return each remark with the names of the numbers that it is about."""
    remarks: dict[str, list[str]] = {}
    for test in tests:
        if test["reason"] and test["kind"] in ("rule", "coupling"):
            remarks.setdefault(test["reason"], []).append(test["name"])
    return [(clean(", ".join(names), 2000), clean(remark)) for remark, names in remarks.items()]
