"""A guarantee about accepted values: certified thresholds with their tests, and the data of these tests.

A certificate says of a set of values: of what is accepted of them, because its risk is at or under
`threshold`, at most a share alpha is wrong. The set is one value of a variable, a variable as a whole, or all
binary variables of a level, pooled. Wrong is a label or truth value that is not the true one, and a number
that is further from the truth than the policy's tolerance. All certificates of a guarantee hold at once with
probability 1 - delta over the gold that they were made with (see `learn_then_test`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.errors import Place
    from engine.model.policy import Policy
    from engine.model.variable import Variable

WITHIN = "within"
# The value of a certificate about a variable as a whole.
ANY = "any"
# The value of a certificate about all binary variables of a level.
POOLED = "pooled"
# Bytes of a digest: among ten thousand items a stranger is taken for one with a probability of 1e-8.
SALTED_BYTES = 5
PARTS = ("knowledge", "prompts", "observers", "policy")


class Breadth(StrEnum):
    """What each promise of a guarantee is about.

    LEVELS: a variable as a whole, but each value of a binary one. VALUES: each value. POOLED: a variable as a
    whole, and the binary ones of a level together.
    """

    LEVELS = "levels"
    VALUES = "values"
    POOLED = "pooled"


@dataclass(frozen=True)
class ValueTest:
    """The counts of one value among those of a certificate about several, at its threshold.

    n, errors: as of the certificate. bound: the upper bound of the probability of an error, at the
    certificate's share divided by the number of its values. It stands beside the promise and is no part of
    it: the threshold was chosen for all values together.
    """

    variable: str
    value: str
    n: int
    errors: int
    bound: float


@dataclass(frozen=True)
class Certificate:
    """The test of a promise about one value, a variable as a whole, or the binary variables of a level.

    variable, value: WITHIN for an interval variable, ANY for any other as a whole; for a level its name and
    POOLED. pooled: the variables of that level. limit: the policy's limit, whose place the threshold takes;
    None where the pooled variables have several. each: where several values are certified together, the
    counts of each.

    threshold: the highest risk that is accepted; None where nothing passed. aim: the risk down to which items
    were asked in the test, and so are asked later; None where that was the policy's own. n, errors: how many
    units (items, or subjects with one item each) were accepted by it in the certifying part, and how many of
    them wrong; where nothing passed, by the threshold to be tried first. share: the part of delta spent on
    it, 0 where it was not tried since on the part that fits it had no hope. bound: exact upper bound of the
    probability of an error at this share (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404). predicted:
    items of the certifying part decided to be this value, accepted or not; coverage: the share of these that
    is accepted; mu: the share of these that is wrong.

    Where nothing passed: missing, how many more accepted units would do if all of them were right (None: no
    number is known), and gold, about how many more items of gold in all at the rates of acceptance and error
    that were met (None: at these rates none would do; 0: too few were accepted to tell).
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
    limit: float | None = None
    pooled: tuple[str, ...] = ()
    each: tuple[ValueTest, ...] = ()
    aim: float | None = None

    @property
    def is_level(self) -> bool:
        """Whether it is about several values together, or about a number, and so about a whole level."""
        return self.value in (WITHIN, ANY, POOLED)

    @property
    def name(self) -> str:
        """Return what it is about, in words."""
        words = {WITHIN: "", ANY: " as a whole", POOLED: ", pooled"}
        return self.variable + words.get(self.value, f" {self.value}")

    @property
    def worst(self) -> ValueTest | None:
        """Return the value with the highest bound among those that the test accepted; None where none is."""
        tested = [test for test in self.each if test.n]
        return max(tested, key=lambda test: test.bound, default=None)

    def values_of(self, variable: Variable) -> tuple[str, ...]:
        """Return the values of a variable that it is about."""
        return values_about(variable, self.variable, self.value, self.pooled)


def values_about(variable: Variable, name: str, value: str, pooled: Sequence[str]) -> tuple[str, ...]:
    """Return the values of a variable that a promise is about; name, value, pooled: as of its certificate."""
    if pooled or variable.name != name:
        return variable.values if variable.name in pooled else ()
    return (value,) if value in variable.values else variable.values


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
    sealed: whether it bears the digest with which it was written, where it was read. gold_items: a salt and
    digests of all items with gold, those that fitted among them; see `gold_digests`.
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
    sealed: bool = True
    gold_items: str = ""

    @property
    def certified(self) -> tuple[Certificate, ...]:
        """Return the certificates of values that may be accepted."""
        return tuple(certificate for certificate in self.certificates if certificate.threshold is not None)

    @property
    def failed(self) -> tuple[Certificate, ...]:
        """Return the certificates of values that may not be accepted."""
        return tuple(certificate for certificate in self.certificates if certificate.threshold is None)

    def made_with(self, item: str) -> bool:
        """Return whether an item was among the gold; it is not known where `gold_items` is empty."""
        salt, *digests = self.gold_items.split() or [""]
        return _salted(salt, item) in digests

    def thresholds(self, variable: Variable) -> tuple[float, ...]:
        """Return the highest risk accepted with each value of a variable; NaN where none is certified."""
        return _by_value(variable, [(test, test.threshold) for test in self.certificates], math.nan)

    def covering_policy(self, policy: Policy, variables: Iterable[Variable]) -> Policy:
        """Return the policy for covered items: certified thresholds take the limits' place.

        A value without a certificate is never accepted, so nothing is at stake there: its risk is 0. Items
        that the policy asked in the test are asked down to the risks aimed at then, whatever passed later;
        where none were noted they were asked by the policy itself, and are so now.
        """
        limited = [variable for variable in variables if variable.name in policy.limits]
        risks = [(test, test.threshold) for test in self.certificates]
        aims = [(test, test.aim) for test in self.certificates]
        down_to = {}
        if any(aim is not None for _, aim in aims):
            down_to = {variable.name: _by_value(variable, aims, 0.0) for variable in limited}
        elif self.design.adaptive:
            asked = policy.aimed_at()
            down_to = {variable.name: asked.highest_risks(variable) for variable in limited}
        thresholds = {variable.name: _by_value(variable, risks, 0.0) for variable in limited}
        return replace(policy, thresholds=thresholds, aims=down_to)

    def refusals(self, digests: Mapping[str, str], population: str) -> tuple[str, ...]:
        """Return the reasons why it does not hold for these digests and a population; empty where it does."""
        reasons = [
            f"{part} changed since it was made (digest {self.digests[part]} -> {digests.get(part, '?')})"
            for part in PARTS
            if self.digests[part] != digests.get(part)
        ]
        if not self.sealed:
            reasons.append("it has no digest, so that it may have been edited; certify anew")
        if population != self.population:
            reasons.append(f"it was made for population {self.population}, this is {population}")
        return tuple(reasons)


def gold_digests(items: Sequence[str]) -> str:
    """Return a salt and salted digests of items, in a text of words: equal items make equal texts.

    No name can be read off them, but a name that is guessed can be tested.
    """
    salt = _salted("", "\0".join(sorted(items)))
    return " ".join([salt, *sorted(_salted(salt, item) for item in items)])


def _salted(salt: str, text: str) -> str:
    data = f"{salt}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=SALTED_BYTES).hexdigest()


def _by_value(
    variable: Variable, risks: Iterable[tuple[Certificate, float | None]], otherwise: float
) -> tuple[float, ...]:
    """Return a risk for each value of a variable (`Variable.values`), from those of certificates."""
    by_value = {value: risk for test, risk in risks if risk is not None for value in test.values_of(variable)}
    return tuple(by_value.get(value, otherwise) for value in variable.values)


def listed(certificates: Sequence[Certificate]) -> str:
    """Return the values of certificates by variable, in words: `kind as a whole; shiny true, false; size`."""
    names: dict[str, list[str]] = {}
    for certificate in certificates:
        names.setdefault(certificate.variable, []).append(certificate.name)
    parts = [
        ", ".join([first, *(name.removeprefix(f"{variable} ") for name in others)])
        for variable, (first, *others) in names.items()
    ]
    return "; ".join(parts)
