"""What was certified about accepted values: thresholds with their tests, and what they were tested on.

A certificate says of one value of one variable: of the items that are accepted with it, because their risk is
at or under `threshold`, at most a share alpha is wrong. Wrong is a label or truth value that is not the true
one, and a number that is further from the truth than the policy's tolerance. All certificates of a guarantee
hold at once with probability 1 - delta over the gold that they were made with (see `certification`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.decision import LevelDecision
    from engine.errors import Place
    from engine.knowledge import Knowledge, Variable

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

PARTS = ("knowledge", "prompts", "observers", "policy")
WITHIN = "within"


def values_certified(variable: Variable) -> tuple[str, ...]:
    """Return the values that are certified apart: the states, or of an interval one, within its tolerance."""
    return (WITHIN,) if variable.kind == "interval" else variable.states


@dataclass(frozen=True)
class Certificate:
    """The test of one value of a variable.

    threshold: the highest risk that is accepted; None where nothing passed. n, errors: how many units (items,
    or subjects with one item each) were accepted by it in the certifying part, and how many of them wrong;
    where nothing passed, by the threshold that was tried first. share: the part of delta spent on it. bound:
    exact upper bound of the probability of an error at this share (Clopper and Pearson 1934,
    doi:10.1093/biomet/26.4.404). predicted: items of the certifying part decided to be this value, accepted
    or not; coverage: the share of these that is accepted; mu: the share of these that is wrong.

    Where nothing passed: missing, how many more accepted units would do if all of them were right (None: no
    number is known), and gold, about how many more items of gold in all at the rates of acceptance and error
    that were met (None: at these rates none would do).
    """

    variable: str
    value: str
    threshold: float | None
    n: int
    errors: int
    share: float
    bound: float
    predicted: int
    coverage: float
    mu: float
    missing: int | None = None
    gold: int | None = None


def least_abstention(mu: float, alpha: float) -> float:
    """Return the share of items that any method must leave out to err at most alpha where mu err in all."""
    return max((mu - alpha) / (1 - alpha), 0.0)


@dataclass(frozen=True)
class Asked:
    """A reading that the calibration items have: its least and most readable answers (0: some lack it)."""

    observer: str
    question: str
    view: str
    least: int
    most: int

    @property
    def name(self) -> str:
        """Return what was asked of whom, in words."""
        return f"{self.observer}, {self.question}, {self.view}"


@dataclass(frozen=True)
class Design:
    """How the calibration items were answered, which items to come must be like.

    adaptive: answers were asked for until the policy asked no more, so only items of which that is true are
    covered, and they may have any part of these answers. least, most: answers an item, refused ones included.
    """

    adaptive: bool
    least: int
    most: int
    readings: tuple[Asked, ...]

    def mismatches(self, base: Knowledge, answers: Answers) -> list[str]:
        """Return for each item in which way it was answered otherwise; no text where it was not."""
        found = [""] * len(answers.items)
        known = {(one.observer, one.question, one.view): one for one in self.readings}
        met: list[set[Asked]] = [set() for _ in found]
        names = _names(base, answers)
        for item, key, draws in zip(
            answers.reading_item.tolist(), names, draws_of(base, answers).tolist(), strict=True
        ):
            one = known.get(key)
            if one is None:
                found[item] = found[item] or f"{', '.join(key)} was not asked then"
            elif draws > one.most:
                found[item] = found[item] or f"{_times(draws)} of {one.name}, then at most {one.most}"
            else:
                met[item].add(one)
        unread = answers.refused + answers.unreadable
        for item, total in enumerate(answers.samples.tolist()):
            found[item] = found[item] or self._lack(met[item], total, int(unread[item]))
        return found

    def _lack(self, met: set[Asked], total: int, unread: int) -> str:
        if total > self.most:
            return f"{_times(total)}, then at most {self.most}"
        if self.adaptive:
            return ""
        if total < self.least:
            return f"{_times(total)}, then at least {self.least}"
        lacking = [one.name for one in self.readings if one.least and one not in met]
        return f"lacks {lacking[0]}" if lacking and not unread else ""

    def __str__(self) -> str:
        total = f"{self.least} to {self.most}" if self.least < self.most else f"{self.most}"
        how = "until the policy asks no more, " if self.adaptive else ""
        return f"{how}{total} answers an item: {'; '.join(one.name for one in self.readings)}"


def _times(count: int) -> str:
    return f"{count} answer" + "s" * (count != 1)


def _names(base: Knowledge, answers: Answers) -> list[tuple[str, str, str]]:
    """Return observer, question and view of each reading."""
    observers, questions = tuple(base.observers), tuple(base.questions)
    places = zip(answers.reading_observer, answers.reading_question, answers.reading_view, strict=True)
    return [(observers[o], questions[q], answers.views[v]) for o, q, v in places]


def draws_of(base: Knowledge, answers: Answers) -> Ints:
    """Return how many readable answers each reading has, (R,).

    Of questions about one variable at a time all count, of others those about the variable with the most.
    """
    readings = len(answers.reading_item)
    most, total = np.zeros(readings), np.zeros(readings)
    columns = [np.bincount(one.reading, one.weight, readings) for one in answers.labels.values()]
    columns += [np.bincount(one.reading, minlength=readings) for one in answers.numbers.values()]
    for column in columns:
        most = np.maximum(most, column)
        total += column
    about_one = np.array([one.about_one for one in base.questions.values()], dtype=bool)
    single = about_one[answers.reading_question] if readings else np.zeros(0, dtype=bool)
    return np.round(np.where(single, total, most)).astype(np.int64)


def design_of(base: Knowledge, batches: Iterable[Answers], *, adaptive: bool = False) -> Design:
    """Return how items were answered: of whom, what, in which view, and how often.

    The least answers are those of items without refused or unreadable ones, where there are any.

    Raises:
        ValueError: no items.
    """
    rows: list[tuple[dict[tuple[str, str, str], int], int, bool]] = []
    for answers in batches:
        items: list[dict[tuple[str, str, str], int]] = [{} for _ in answers.items]
        draws = draws_of(base, answers).tolist()
        for item, key, count in zip(answers.reading_item.tolist(), _names(base, answers), draws, strict=True):
            items[item][key] = count
        whole = (answers.refused + answers.unreadable) == 0
        rows += zip(items, answers.samples.tolist(), whole.tolist(), strict=True)
    if not rows:
        raise ValueError("a design is of at least one item")
    known = dict.fromkeys(key for row, _, _ in rows for key in row)
    sound = [row for row in rows if row[2]] or rows
    readings = tuple(
        Asked(
            *key,
            0 if adaptive else min(row.get(key, 0) for row, _, _ in sound),
            max(row.get(key, 0) for row, _, _ in rows),
        )
        for key in known
    )
    totals = [total for _, total, _ in rows]
    return Design(adaptive, min(totals), max(totals), readings)


@dataclass(frozen=True)
class Guarantee:
    """Certificates, and what they were made with.

    unit: `item`, or `subject` where items cluster. population: the prior of the inference. digests: of the
    parts of the base (PARTS). items: gold items that certified; made: the date. assumptions: in words.
    """

    certificates: tuple[Certificate, ...]
    alpha: float
    delta: float
    unit: str
    population: str
    digests: Mapping[str, str]
    design: Design
    items: int
    made: str
    assumptions: tuple[str, ...]
    place: Place | None = field(compare=False, default=None)

    @property
    def certified(self) -> tuple[Certificate, ...]:
        """Return the certificates of values that may be accepted."""
        return tuple(one for one in self.certificates if one.threshold is not None)

    @property
    def failed(self) -> tuple[Certificate, ...]:
        """Return the certificates of values that may not be accepted."""
        return tuple(one for one in self.certificates if one.threshold is None)

    def refusals(self, base: Knowledge, population: str) -> tuple[str, ...]:
        """Return why the guarantee does not hold for a base and a population; nothing where it does."""
        found = [
            f"{part} changed since it was made (digest {self.digests[part]} -> {base.digests.get(part, '?')})"
            for part in PARTS
            if self.digests[part] != base.digests.get(part)
        ]
        if population != self.population:
            found.append(f"it was made for population {self.population}, this is {population}")
        return tuple(found)

    def thresholds(self, variable: Variable, value: Floats) -> Floats:
        """Return the highest risk accepted with each value (N,) of a variable; NaN where none is."""
        names = values_certified(variable)
        table = np.full(len(names), np.nan)
        for one in self.certified:
            if one.variable == variable.name:
                table[names.index(one.value)] = one.threshold
        index = (
            np.zeros(len(value), dtype=np.int64) if variable.kind == "interval" else value.astype(np.int64)
        )
        return np.asarray(table[index])

    def decided(
        self, base: Knowledge, levels: Mapping[str, LevelDecision], acceptable: Mask
    ) -> dict[str, LevelDecision]:
        """Return decisions with the certified thresholds in the place of the policy's limits.

        acceptable: (N,) items of which anything may be accepted (see `decision.acceptable`).
        """
        found = {}
        for name, level in levels.items():
            threshold = self.thresholds(base.variables[name], level.value)
            # No risk is at or under NaN.
            found[name] = replace(level, accepted=acceptable & (level.risk <= threshold))
        return found


def listed(certificates: Sequence[Certificate]) -> str:
    """Return the values of certificates by variable, in words: `colour red, green; AU1 true`."""
    values: dict[str, list[str]] = {}
    for one in certificates:
        values.setdefault(one.variable, []).append(one.value)
    return "; ".join(f"{name} {', '.join(found)}" for name, found in values.items())
