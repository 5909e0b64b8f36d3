"""A new guarantee as text: what it promises, and what values without a certificate lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import fewest, listed

if TYPE_CHECKING:
    from engine import Certificate, Guarantee


def promise_text(alpha: float, delta: float) -> str:
    """Return the share of wrong values that is promised, and with which probability."""
    return f"at most {100 * alpha:g} % wrong, for all values at once with probability {1 - delta:g}"


def verdict(guarantee: Guarantee) -> str:
    """Return a line on the certified values, or, where there is none, on how much gold is missing."""
    total, certified = len(guarantee.certificates), guarantee.certified
    promise = promise_text(guarantee.alpha, guarantee.delta)
    if certified:
        return f"{len(certified)} of {total} values certified: {promise}"
    tried = max(sum(certificate.share > 0 for certificate in guarantee.certificates), 1)
    least = fewest(guarantee.alpha, guarantee.delta / tried)
    known = [certificate for certificate in guarantee.failed if certificate.missing is not None]
    near = min(
        known,
        key=lambda certificate: (certificate.gold is None, certificate.gold or certificate.missing or 0),
        default=None,
    )
    nearest = f"; closest is {listed([near])}: {lacking(near)}" if near else ""
    unit = f"{guarantee.unit}s"
    return (
        f"too little gold for any guarantee ({promise}): a value needs at least {least} accepted {unit} "
        f"without an error, among the {guarantee.items} items that certify{nearest}"
    )


def lacking(certificate: Certificate) -> str:
    """Return in words why a value has no certificate."""
    if certificate.missing is None:
        return "this value never occurs in the gold of the fit"
    if certificate.gold is None:
        return "too many errors; more gold does not help"
    return f"{certificate.missing:,} more right values, about {certificate.gold:,} more items of gold"
