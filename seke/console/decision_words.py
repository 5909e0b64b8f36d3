"""The words that records use for decisions, and on what an accepted item of a record rests.

An item rests on the weakest basis of its required values. Records that were written before accepted values
had a basis have none: it is `unknown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import Basis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine import Knowledge

    Level = Mapping[str, Any]

DECISIONS = ("accept", "requery", "reject")
# What is decided about one variable; nobody looked at what is inferred.
LEVEL_DECISIONS = (*DECISIONS, "inferred")
# The sign of each decision, before its word, as pictures and pages draw it (`graphics.shapes.decision_sign`).
SYMBOLS = {"accept": "●", "requery": "○", "reject": "◆", "inferred": "◌"}
UNKNOWN = "unknown"
# Bases, the weaker first; of what is unknown nothing can be said for it.
BASES = (UNKNOWN, *Basis.words())
# Bases on which nothing is promised: numbers were never measured on answers like these.
UNCALIBRATED = Basis.words()[: Basis.PEOPLE]
# Follows the word `accept` where that rests on one of UNCALIBRATED.
MARK = "*"
# Follows a likely unit that is not accepted.
OPEN_MARK = "?"
OPEN_LEGEND = f"{OPEN_MARK} likely, but not accepted"
# What helps where nothing more is worth its price, unless it was done already.
MEASURING = "measuring how reliable the answers are (seke calibrate, 100 labels of people), "
LEGEND = f"{MARK} accepted on declared numbers, or on numbers calibrated for another design"


def basis_of(level: Level) -> str | None:
    """Return on what an accepted value of a record rests; None where it is not accepted."""
    return (level.get("basis") or UNKNOWN) if level["decision"] == "accept" else None


def required_of(base: Knowledge) -> tuple[str, ...]:
    """Return the variables that have to be accepted for an item to be accepted."""
    return tuple(name for level in base.policy.required for name in base.levels[level])


def weakest_basis(bases: Iterable[str | None]) -> str | None:
    """Return the weakest of some bases; None where there is none."""
    return min((basis for basis in bases if basis), key=BASES.index, default=None)


def basis_of_item(decision: Mapping[str, Any], required: Iterable[str]) -> str | None:
    """Return on what an accepted item rests, by its required variables; None where it is not accepted."""
    if decision["item"] != "accept":
        return None
    levels = decision["levels"]
    return weakest_basis(basis_of(levels[name]) for name in required if name in levels)


def is_fitted(base: Knowledge) -> bool:
    """Say whether all observers that the policy asks stand as a fit of the base found them."""
    asked = {base.policy.ask, *base.policy.others}
    digests = base.observer_digests
    return all(any(digests.get(o) == fit.observers.get(o, "") for fit in base.fits) for o in asked)
