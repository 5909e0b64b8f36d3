"""A guarantee about accepted values: certified thresholds with their tests, and the data of these tests.

A certificate says of one value of one variable: of the items that are accepted with it, because their risk is
at or under `threshold`, at most a share alpha is wrong. Wrong is a label or truth value that is not the true
one, and a number that is further from the truth than the policy's tolerance. All certificates of a guarantee
hold at once with probability 1 - delta over the gold that they were made with (see `learn_then_test`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.errors import Place

WITHIN = "within"
PARTS = ("knowledge", "prompts", "observers", "policy")


@dataclass(frozen=True)
class Certificate:
    """The test of one value of a variable.

    threshold: the highest risk that is accepted; None where nothing passed. n, errors: how many units (items,
    or subjects with one item each) were accepted by it in the certifying part, and how many of them wrong;
    where nothing passed, by the threshold to be tried first. share: the part of delta spent on it, 0 where it
    was not tried since on the part that fits it had no hope. bound:
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
    """Return the least share of items to abstain on for an error of alpha, where mu of all are wrong."""
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
        """Return observer, question and view, in words."""
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

    def __str__(self) -> str:
        total = f"{self.least} to {self.most}" if self.least < self.most else f"{self.most}"
        how = "until the policy stops asking, " if self.adaptive else ""
        return f"{how}{total} answers per item: {'; '.join(reading.name for reading in self.readings)}"


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
        return tuple(certificate for certificate in self.certificates if certificate.threshold is not None)

    @property
    def failed(self) -> tuple[Certificate, ...]:
        """Return the certificates of values that may not be accepted."""
        return tuple(certificate for certificate in self.certificates if certificate.threshold is None)

    def refusals(self, digests: Mapping[str, str], population: str) -> tuple[str, ...]:
        """Return the reasons why it does not hold for these digests and a population; empty where it does."""
        reasons = [
            f"{part} changed since it was made (digest {self.digests[part]} -> {digests.get(part, '?')})"
            for part in PARTS
            if self.digests[part] != digests.get(part)
        ]
        if population != self.population:
            reasons.append(f"it was made for population {self.population}, this is {population}")
        return tuple(reasons)


def listed(certificates: Sequence[Certificate]) -> str:
    """Return the values of certificates by variable, in words: `colour red, green; shiny true; size`."""
    values: dict[str, list[str]] = {}
    for certificate in certificates:
        values.setdefault(certificate.variable, []).append(
            "" if certificate.value == WITHIN else certificate.value
        )
    return "; ".join(f"{name} {', '.join(names)}".rstrip() for name, names in values.items())
