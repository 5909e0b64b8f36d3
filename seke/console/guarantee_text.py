"""A guarantee as text: what it promises, the worst single value beside it, and what is lacking elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import fewest
from seke.console.plain_text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import Certificate, Guarantee, ValueTest


def promise_text(alpha: float, delta: float) -> str:
    """Return the share of wrong values that is promised, and with which probability."""
    return f"at most {100 * alpha:g} % wrong, for all of them at once with probability {1 - delta:g}"


def verdict(guarantee: Guarantee) -> str:
    """Return a line on what is certified, or, where nothing is, on how much gold is missing."""
    promise = promise_text(guarantee.alpha, guarantee.delta)
    if guarantee.certified:
        return f"{_counted(guarantee.certificates)} certified: {promise}"
    tried = max(sum(certificate.share > 0 for certificate in guarantee.certificates), 1)
    least = fewest(guarantee.alpha, guarantee.delta / tried)
    known = [certificate for certificate in guarantee.failed if certificate.missing is not None]
    near = min(
        known,
        key=lambda certificate: (certificate.gold is None, certificate.gold or certificate.missing or 0),
        default=None,
    )
    nearest = f"; closest is {near.name}: {lacking(near, guarantee.unit)}" if near else ""
    unit = f"{guarantee.unit}s"
    return (
        f"too little gold for any guarantee ({promise}): a certificate needs at least {least} accepted "
        f"{unit} without an error, among the {guarantee.items} items that certify{nearest}"
    )


def _counted(certificates: Sequence[Certificate]) -> str:
    """Return how many levels, and how many single values, are certified."""
    parts = []
    for together, noun in ((True, "level"), (False, "value")):
        of_kind = [certificate for certificate in certificates if certificate.is_level == together]
        certified = sum(certificate.threshold is not None for certificate in of_kind)
        parts += [f"{certified} of {count(len(of_kind), noun)}"] if of_kind else []
    return " and ".join(parts)


def certificate_facts(certificate: Certificate, unit: str) -> dict[str, Any]:
    """Return a certificate of a guarantee with this unit as one mapping, without its share of delta."""
    worst, passed = certificate.worst, certificate.threshold is not None
    return {
        "about": certificate.name,
        "variable": certificate.variable,
        "value": certificate.value,
        "limit": certificate.limit,
        "threshold": certificate.threshold,
        "aim": certificate.aim,
        "n": certificate.n,
        "errors": certificate.errors,
        "bound": certificate.bound,
        "coverage": certificate.coverage,
        "lacks": "" if passed else lacking(certificate, unit),
        "worst": None if worst is None else {"about": f"{worst.variable} {worst.value}", **_numbers(worst)},
        "worst_in_words": worst_text(certificate),
        "in_words": certified_line(certificate, unit),
    }


def certified_line(certificate: Certificate, unit: str) -> str:
    """Return up to which risk something is accepted, and in place of which limit, or what is lacking."""
    if certificate.threshold is None:
        return f"{certificate.name}: not certified, so not accepted; {lacking(certificate, unit)}"
    limit = "" if certificate.limit is None else f", in place of the limit {certificate.limit:g}"
    worst = worst_text(certificate)
    asked = "" if certificate.aim is None else f", asked down to the risk {certificate.aim:.3f}"
    accepted = f"{certificate.name}: accepted up to the risk {certificate.threshold:.3f}{limit}{asked}"
    return f"{accepted}; {worst}" if worst else accepted


def _numbers(test: ValueTest) -> dict[str, Any]:
    return {"n": test.n, "errors": test.errors, "bound": test.bound}


def worst_text(certificate: Certificate) -> str:
    """Return in words the worst value of what is certified together; empty where there is none."""
    worst = certificate.worst
    if worst is None:
        return ""
    name = f"{worst.variable} {worst.value}"
    unseen = [
        test.value if test.variable == certificate.variable else f"{test.variable} {test.value}"
        for test in certificate.each
        if not test.n
    ]
    never = f"; never accepted in the test: {', '.join(unseen)}" if unseen else ""
    return (
        f"the worst value is {name}: {worst.errors:,} wrong of {worst.n:,}, by its own bound up to "
        f"{worst.bound:.0%}{never}"
    )


def lacking(certificate: Certificate, unit: str) -> str:
    """Return in words why something has no certificate; unit: what is counted, `item` or `subject`."""
    if certificate.missing is None:
        return "never occurs in the gold of the fit"
    if certificate.gold is None:
        return "too many errors at this risk; with much more gold a lower one can be tested"
    # Of a subject one accepted value counts, however many of its items have gold.
    right, labelled = "right values", "items of gold"
    if unit != "item":
        right, labelled = f"{unit}s with a right value", f"{unit}s with gold"
    more = f"{certificate.missing:,} more {right}"
    if not certificate.gold:
        return f"{more}; how much gold that takes, --plan estimates"
    return f"{more}, about {certificate.gold:,} more {labelled}"
