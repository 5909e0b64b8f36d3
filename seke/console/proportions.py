"""Shares of values that come in items, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scipy.special import betaincinv

if TYPE_CHECKING:
    from engine import Bools


LEVEL = 0.95
DIGITS = 6


def share(hits: Bools, among: Bools) -> dict[str, Any]:
    """Return how large a share of the values `among` are hits, and its 95 % interval; both (items, values).

    The interval is that of Clopper and Pearson (doi:10.1093/biomet/26.4.404) for as many independent
    values as would leave the share as uncertain as the items do, whose values go together (Korn & Graubard
    1998, Survey Methodology 24:193): with one value an item that is exact. Where all or no values are hits
    nothing shows how they go together, and each item counts once.
    """
    chosen = hits & among
    count, of = int(chosen.sum()), int(among.sum())
    if not of:
        return {"share": None, "low": None, "high": None, "count": 0, "of": 0}
    p = count / of
    if 0 < count < of:
        residual = chosen.sum(1) - p * among.sum(1)
        size = min(p * (1 - p) * of**2 / max(float((residual**2).sum()), 1e-12), of)
    else:
        size = float(among.any(1).sum())
    low, high = clopper_pearson(p * size, size)
    numbers = {"share": p, "low": low, "high": high}
    return {name: round(value, DIGITS) for name, value in numbers.items()} | {"count": count, "of": of}


def clopper_pearson(count: float, of: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of a probability by how many of some trials were hits; both may be fractions."""
    tail = (1 - level) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high
