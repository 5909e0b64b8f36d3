"""A new guarantee as text: what it promises, and what its values lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import fewest, listed

if TYPE_CHECKING:
    from engine import Certificate, Guarantee


def promise_text(alpha: float, delta: float) -> str:
    """Return the share of wrong values that is promised, and with which probability."""
    return f"at most {100 * alpha:g} % wrong, all at once with probability {1 - delta:g}"


def verdict(guarantee: Guarantee) -> str:
    """Return a line on the certified values, or on the gold that is lacking where there is none."""
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
    nearest = f"; nearest is {listed([near])}: {lacking(near)}" if near else ""
    unit = f"{guarantee.unit}s"
    return (
        f"too little gold for any guarantee ({promise}): each value needs at least {least} accepted {unit}, "
        f"all right, in the {guarantee.items} items that certify{nearest}"
    )


def lacking(certificate: Certificate) -> str:
    """Return in words what a value lacks for a certificate."""
    if certificate.missing is None:
        return "never met in the part that fits"
    if certificate.gold is None:
        return "too many wrong, however much gold"
    return f"{certificate.missing:,} more right ones, about {certificate.gold:,} more of gold"
