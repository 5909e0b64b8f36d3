"""Risks of a set of items -> the highest risk to accept, so that their mean keeps a limit.

The mean is over items, for one value of one variable by itself. Sorted by risk, the accepted are always the
first so many, and their mean risk grows with their number; the threshold is the largest risk at which it is
still within the limit. Items whose risks are equal are accepted together or not at all.

Choosing the smallest risks of an uncertain fit is a winner's curse: where the tables are off, the items that
look safest are those about which they are off the most. So with several draws of the fit the risk of the
accepted set is computed under each, and its `confidence` quantile over the draws has to keep the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.model.fit_record import Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats
    from engine.decision.level import LevelDecision
    from engine.model.policy import Policy
    from engine.model.variable import Variable


# Risks that differ by less are equal: what is read again has so many decimals.
TIE = 1e-9
# Items of a file from which a threshold is found in it, about as many as a pilot has: a mean over fewer says
# little, and where each risk keeps the limit, so does the mean.
LEAST_ITEMS = 60
# Under a draw of the fit under which none of some items would be met these weigh at least so much.
LEAST_WEIGHT = 1e-300


@dataclass(frozen=True)
class MeanThreshold:
    """The highest risk accepted, the items that it was found on, how many it accepts, and their mean risk."""

    risk: float
    items: int
    accepted: int
    mean: float


def mean_threshold(
    risk: Floats,
    limit: float,
    worst: float,
    drawn: Floats | None = None,
    confidence: float = 0.5,
    weight: Floats | None = None,
) -> MeanThreshold:
    """Return the threshold that keeps a limit of the mean risk.

    risk: (n,) of the items decided to be one value. drawn: (B, n) the same items' risks under draws of a fit,
    and weight (B, n) how much each item counts under each draw, alike where it is left out; without them the
    risks are taken as they are, and a cap of each at the limit is always allowed: it keeps the mean. worst:
    no single risk above it is accepted.
    """
    order = np.argsort(risk, kind="stable")
    ordered = risk[order]
    count = np.arange(1, len(risk) + 1)
    if drawn is None:
        mean = np.cumsum(ordered) / count
    else:
        counted = np.ones_like(drawn) if weight is None else weight
        means = np.cumsum((counted * drawn)[:, order], axis=1)
        means /= np.maximum(np.cumsum(counted[:, order], axis=1), LEAST_WEIGHT)
        mean = np.quantile(means, confidence, axis=0, method="higher")
    # The last of items with equal risks.
    ends = np.append(np.diff(ordered) > TIE, True)[: len(ordered)]
    keeps = np.flatnonzero(ends & (mean <= limit + TIE) & (ordered <= worst))
    if drawn is None:
        alone = np.flatnonzero(ends & (ordered <= min(limit, worst)))
        keeps = np.union1d(keeps, alone)
    last = int(keeps[-1]) if keeps.size else -1
    if last < 0:
        lowest = limit if drawn is None else 0.0
        return MeanThreshold(min(lowest, worst), len(risk), 0, 0.0)
    threshold = float(ordered[last]) if drawn is not None else max(float(ordered[last]), min(limit, worst))
    return MeanThreshold(threshold, len(risk), last + 1, float(mean[last]))


@dataclass(frozen=True)
class EligibleRisks:
    """What the thresholds of a set need to know of it, in a fourth of the memory of its decisions.

    eligible, value, cautious_risk: (n,) as of `LevelDecision`, of the items that may be accepted; value: 0 of
    any variable but a binary one.
    """

    eligible: Bools
    value: NDArray[np.int8]
    cautious_risk: Floats

    @classmethod
    def of(cls, variable: Variable, level: LevelDecision) -> EligibleRisks:
        """Return those of the decisions about a batch of items."""
        chosen = np.flatnonzero(level.eligible)
        binary = variable.kind == "binary"
        value = level.value[chosen].astype(np.int8) if binary else np.zeros(len(chosen), dtype=np.int8)
        return cls(level.eligible[chosen], value, level.cautious_risk[chosen])

    @classmethod
    def stacked(cls, parts: Sequence[EligibleRisks]) -> EligibleRisks:
        """Return those of several batches as one."""
        columns = [[part.eligible, part.value, part.cautious_risk] for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def set_thresholds(
    variable: Variable,
    policy: Policy,
    level: LevelDecision | EligibleRisks,
    least: int = LEAST_ITEMS,
    drawn: Floats | None = None,
    weight: Floats | None = None,
) -> dict[str, MeanThreshold]:
    """Return the thresholds of a variable whose limit is of the mean, of values met `least` times or more.

    A binary variable has one for each value, any other one for all of them, named `Threshold.ANY`. level: the
    decisions about N items; those that may not be accepted at any risk do not count. drawn: (B, N) risks of
    the same decided values under draws of the fit, weight: (B, N) how much each item counts there.
    """
    thresholds = {}
    for index, value in enumerate(variable.states if variable.kind == "binary" else (Threshold.ANY,)):
        chosen = level.eligible & (level.value == index) if variable.kind == "binary" else level.eligible
        if chosen.sum() < least:
            continue
        thresholds[value] = mean_threshold(
            level.cautious_risk[chosen],
            policy.limits[variable.name],
            policy.worst,
            None if drawn is None else drawn[:, chosen],
            policy.confidence,
            None if weight is None else weight[:, chosen],
        )
    return thresholds


def thresholds_by_value(variable: Variable, limit: float, by_value: Mapping[str, float]) -> tuple[float, ...]:
    """Return each value's threshold (`Variable.values`), and the limit where none was found."""
    return tuple(by_value.get(value, by_value.get(Threshold.ANY, limit)) for value in variable.values)
