"""A new guarantee as text: a table of its certificates, and a line that sums them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import fewest, least_abstention, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from engine import Certificate, Guarantee

TITLES = (
    "value",
    "accepted at risk",
    "tested",
    "wrong",
    "bound",
    "coverage",
    "wrong in all",
    "least left out",
)


def verdict(guarantee: Guarantee) -> str:
    """Return a line on the certified values, or on the gold that is lacking where there is none."""
    total, certified = len(guarantee.certificates), guarantee.certified
    promise = (
        f"at most {100 * guarantee.alpha:g} % wrong, all at once with probability {1 - guarantee.delta:g}"
    )
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


def certificate_table(guarantee: Guarantee) -> Table:
    """Return the certificates as a table, a row each, with what a value lacks for one."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in TITLES:
        table.add_column(title, justify="left" if title == TITLES[0] else "right")
    table.add_column("lacks", ratio=1)
    for row in _rows(guarantee):
        table.add_row(*row)
    return table


def _rows(guarantee: Guarantee) -> Iterator[tuple[str, ...]]:
    for certificate in guarantee.certificates:
        abstention = least_abstention(certificate.mu, guarantee.alpha)
        passed = certificate.threshold is not None
        yield (
            listed([certificate]),
            f"{certificate.threshold:.4g}" if certificate.threshold is not None else "-",
            str(certificate.n),
            str(certificate.errors),
            f"{certificate.bound:.3f}" if certificate.share else "-",
            f"{certificate.coverage:.0%}" if passed else "-",
            f"{certificate.mu:.1%}" if certificate.predicted else "-",
            f"{abstention:.0%}" if certificate.predicted else "-",
            "" if passed else lacking(certificate),
        )
