"""A base against tables, for people: lines of at most 80 columns."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from seke.console.plain_text import count, first_names
from seke.console.rich_table import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Facts = Mapping[str, Any]

WIDTH = 80
# Characters of a name, and numbers of one kind, in the text; --json has all.
LONGEST_NAME, LONGEST_TITLE, MOST_SHOWN = 25, 31, 15
TITLES = {
    "rule": "Rules",
    "coupling": "Couplings",
    "cell": "Cells",
    "base rate": "Base rates",
    "moment": "Moments",
}
MOMENTS = ("mean", "sd", "correlation")
# Verdicts in the order of how much they ask for attention.
VERDICTS = ("contradicted", "allowed", "too few", "backed", "not in the table", "not tested")
ABSENT = "not in the table"
LEGEND = (
    "backed: the 95 % interval of what is observed holds the declared number. allowed: it does not, but "
    "meets the range that the number's strength n gives it. contradicted: the two do not meet. too few: "
    "worth fewer than 10 independent items."
)


def lines(facts: Facts) -> Iterator[str]:
    """Yield the lines of a report."""
    yield from _head(facts)
    yield from section_lines(facts)
    yield from worth_lines(facts["worth"])
    for part in facts["parts"]:
        yield ""
        population = f", population {part['population']}" if part["population"] else ""
        yield f"Part {part['name']}: {count(part['items'], 'item')}{population}"
        yield from part_lines(part)
    yield ""
    yield from textwrap.wrap(LEGEND, WIDTH)


def _head(facts: Facts) -> Iterator[str]:
    base = facts["knowledge"]
    files = first_names([table["path"] for table in facts["tables"]], 3)
    clusters = f", {facts['persons']:,} by {facts['reading']['cluster']}" if facts["persons"] else ""
    yield from textwrap.wrap(
        f"{base['name']} {base['digest']} against {files}: {count(facts['items'], 'item')}{clusters}", WIDTH
    )
    reading = facts["reading"]
    notes = []
    if reading["threshold"] is not None:
        notes.append(f"a unit counts as present from {reading['threshold']:g} on")
    if reading["blank"]:
        notes.append(f"a blank cell of a unit means {reading['blank']}")
    if notes:
        yield "; ".join(notes)
    total = sum(sum(verdicts.values()) for verdicts in facts["verdicts"].values())
    yield f"{count(total, 'number')}: {verdict_counts(facts['verdicts'])}"


def verdict_counts(verdicts: Mapping[str, Mapping[str, int]]) -> str:
    """Return how many numbers have each verdict, in words."""
    totals = {name: sum(kind.get(name, 0) for kind in verdicts.values()) for name in VERDICTS}
    return ", ".join(f"{number} {name}" for name, number in totals.items() if number)


def section_lines(facts: Facts) -> Iterator[str]:
    """Yield the sections on all numbers and on prediction."""
    tests = facts["tests"]
    yield from _all_of(tests, "rule", RULE_HEAD, rule_row)
    yield from _all_of(tests, "coupling", COUPLING_HEAD, coupling_row)
    yield from _deviating(tests, ("cell",), "cell")
    yield from _base_rates(tests)
    yield from _deviating(tests, MOMENTS, "moment")
    yield from prediction_lines(facts)


RULE_HEAD = ("", "says", "net", "here", "observed", "n", "")
COUPLING_HEAD = ("", "says", "net", "observed", "n", "")
ABOUT = {
    "rule": "P(then | if): declared, in the compiled network, there with the table's mix, observed",
    "coupling": "odds ratio given the root: declared, in the compiled network, observed",
}


def rule_row(test: Facts) -> tuple[str, ...]:
    """Return the cells of a rule."""
    numbers = (short(test[key]) for key in ("declared", "compiled", "compiled_here"))
    return name_of(test), *numbers, interval(test["observed"]), items_of(test), test["verdict"]


def coupling_row(test: Facts) -> tuple[str, ...]:
    """Return the cells of a coupling."""
    numbers = (ratio(test[key]) for key in ("declared", "compiled"))
    return name_of(test), *numbers, interval(test["observed"], ratio), items_of(test), test["verdict"]


def name_of(test: Facts) -> str:
    """Return a number's name, cut where it is long."""
    return cut(test["name"], LONGEST_NAME)


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def items_of(test: Facts) -> str:
    """Return how many items are behind a figure."""
    observed = test["observed"]
    return f"{observed['items']:,}" if observed else "-"


def short(value: float | None) -> str:
    """Return a share or a number of two decimal places, without a leading zero."""
    if value is None:
        return "-"
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and not text.startswith(("1", "-1")) else text


def ratio(value: float | None) -> str:
    """Return an odds ratio of two significant digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else short(value)


def interval(observed: Facts | None, form: Callable[[float | None], str] = short) -> str:
    """Return an observed figure and its interval."""
    if observed is None or observed["value"] is None:
        return "-"
    return f"{form(observed['value'])} {form(observed['low'])}–{form(observed['high'])}"


def _all_of(
    tests: Sequence[Facts], kind: str, head: tuple[str, ...], row: Callable[[Facts], tuple[str, ...]]
) -> Iterator[str]:
    """Yield every number of a kind, those that the table lacks by name only; of all of them, how many."""
    of_kind = [test for test in tests if test["kind"] == kind]
    shown = [test for test in of_kind if test["verdict"] != ABSENT]
    lacking = [test for test in of_kind if test["verdict"] == ABSENT]
    if not of_kind:
        return
    yield ""
    if not shown:
        yield f"{TITLES[kind]}: {len(lacking)} {ABSENT}"
        return
    yield from textwrap.wrap(f"{TITLES[kind]}: {ABOUT[kind]}", WIDTH)
    yield from table_lines(head, [row(test) for test in shown], indent="")
    remarks: dict[str, list[str]] = {}
    for test in (*shown, *lacking):
        if test["reason"]:
            remarks.setdefault(test["reason"], []).append(test["name"])
    for remark, names in remarks.items():
        yield from textwrap.wrap(f"{', '.join(names)}: {remark}", WIDTH, subsequent_indent="  ")


def _deviating(tests: Sequence[Facts], kinds: tuple[str, ...], title: str) -> Iterator[str]:
    """Yield how many numbers of some kinds have each verdict, and those that deviate most."""
    of_kind = [test for test in tests if test["kind"] in kinds]
    if not of_kind:
        return
    counts = {name: sum(test["verdict"] == name for test in of_kind) for name in VERDICTS}
    words = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    yield ""
    yield f"{TITLES[title]}: {words}"
    far = [test for test in of_kind if test["verdict"] in VERDICTS[:2]]
    far.sort(key=lambda test: (VERDICTS.index(test["verdict"]), -gap(test)))
    rows = [
        (
            cut((f"{test['kind']} " if len(kinds) > 1 else "") + test["name"], LONGEST_TITLE),
            f"{short(test['declared'])} {short(test['range'][0])}–{short(test['range'][1])}",
            interval(test["observed"]),
            test["verdict"],
        )
        for test in far[:MOST_SHOWN]
    ]
    if rows:
        yield from table_lines(("", "declared, range", "observed", ""), rows, indent="")
    if len(far) > MOST_SHOWN:
        yield f"... and {len(far) - MOST_SHOWN} more; --json has all"


def gap(test: Facts) -> float:
    """Return how far the observed number is from the declared one, in lengths of the two ranges together."""
    observed, (low, high) = test["observed"], test["range"]
    if observed is None or observed["value"] is None or observed["low"] is None or observed["high"] is None:
        return 0.0
    length = (high or 0.0) - (low or 0.0) + observed["high"] - observed["low"]
    return float(abs(observed["value"] - test["declared"]) / max(length, 1e-9))


def _base_rates(tests: Sequence[Facts]) -> Iterator[str]:
    rates = [test for test in tests if test["kind"] == "base rate" and test["verdict"] != ABSENT]
    if not rates:
        return
    untested = all(test["verdict"] == "not tested" for test in rates)
    population = rates[0]["path"].split(".")[2]
    yield ""
    yield f"Base rates: population {population}" + (
        "; not tested, as no population is named" if untested else ""
    )
    rows = [
        (
            name_of(test),
            short(test["declared"]),
            interval(test["observed"]),
            "" if untested else test["verdict"],
        )
        for test in rates
    ]
    yield from table_lines(("", "declared", "observed", ""), rows, indent="")


def prediction_lines(facts: Facts) -> Iterator[str]:
    """Yield how well the base tells the root and the intervals."""
    prediction = facts["prediction"]
    yield ""
    if facts["unscored"]:
        yield from textwrap.wrap(f"Not scored: {facts['unscored']}", WIDTH)
    if prediction is None:
        return
    folds = prediction["folds"]
    peers = f"; models are fitted by {folds}-fold cross-validation" if folds else "; too few items for folds"
    units, items = count(len(prediction["units"]), "unit"), count(prediction["items"], "item")
    title = f"Told from {units} in {items}{peers}"
    yield from textwrap.wrap(title, WIDTH)
    if prediction["systems"]:
        yield from _system_lines(prediction)
    for name, numbers in prediction["intervals"].items():
        if numbers["systems"]:
            yield ""
            yield f"{name} of {count(numbers['items'], 'item')}"
            rows = [
                (system, decimal(scores.get("pearson", {}).get("value")), decimal(scores["rmse"]["value"]))
                for system, scores in numbers["systems"].items()
            ]
            yield from table_lines(("", "r", "RMSE"), rows, indent="")


def _system_lines(prediction: Facts) -> Iterator[str]:
    """Yield how well each system tells the root, and the base's confusion."""
    if prediction["missing"]:
        states = ", ".join(prediction["missing"])
        yield from textwrap.wrap(f"no item is {states}, so the base may not answer so either", WIDTH)
    rows = [
        (name, *(decimal(scores[key]["value"]) for key in ("log_loss", "accuracy", "brier", "ece")),
         span(scores["log_loss"]))
        for name, scores in prediction["systems"].items()
    ]  # fmt: skip
    head = ("", "log loss", "right", "Brier", "ECE", "log loss, 95 %")
    yield from table_lines(head, rows, indent="")
    yield from _confusion_lines(prediction)


def decimal(value: float | None) -> str:
    """Return a number with three decimal places."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def span(figure: Facts) -> str:
    """Return the interval of a score."""
    return "-" if figure["low"] is None else f"{figure['low']:.3f}–{figure['high']:.3f}"


def _confusion_lines(prediction: Facts) -> Iterator[str]:
    """Yield the base's confusion: rows what an item is, columns what the base tells."""
    states = prediction["states"]
    rows = [
        (state[:12], *(f"{number:,}" if number else "." for number in row))
        for state, row in zip(states, prediction["confusion"], strict=True)
        if sum(row)
    ]
    yield ""
    yield "What it is (rows) and what the base tells (columns)"
    room = max((WIDTH - 12) // len(states) - 2, 3)
    yield from table_lines(("", *(state[:room] for state in states)), rows, indent="")


def worth_lines(worth: Sequence[Facts] | None) -> Iterator[str]:
    """Yield what each rule and coupling is worth."""
    if worth is None:
        return
    yield ""
    yield "Left out one by one: the rise of the base's log loss (below 0: better without)"
    rows = [(row["path"], f"{row['rise']:+.4f}", f"{row['low']:+.4f} to {row['high']:+.4f}") for row in worth]
    yield from table_lines(("", "rise", "95 %"), rows, indent="")


def part_lines(part: Facts) -> Iterator[str]:
    """Yield what a part contradicts or backs of rules and couplings, and how well the base tells it."""
    yield f"  {verdict_counts(part['verdicts'])}"
    for kind, row in (("rule", rule_row), ("coupling", coupling_row)):
        shown = [test for test in part["tests"] if test["kind"] == kind]
        far = [test for test in shown if test["verdict"] in VERDICTS[:2]]
        if far:
            head = RULE_HEAD if kind == "rule" else COUPLING_HEAD
            yield from table_lines((TITLES[kind], *head[1:]), [row(test) for test in far])
    if part["unscored"]:
        yield from textwrap.wrap(f"  not scored: {part['unscored']}", WIDTH)
        return
    scores = part["prediction"]["systems"]
    losses = "; ".join(f"{name} {decimal(score['log_loss']['value'])}" for name, score in scores.items())
    yield from textwrap.wrap(f"log loss: {losses}", WIDTH, initial_indent="  ", subsequent_indent="    ")
