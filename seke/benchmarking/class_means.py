"""The baseline of numbers: what the gold class alone says, without a look at the item.

Each item is foretold by the mean gold number of the other items of its gold class (of all other items, where
its class is unknown or nobody else has it). Predicted numbers that score no better than these means have
added nothing to the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine import NumberScore

if TYPE_CHECKING:
    from engine import Floats
    from seke.benchmarking.scorer import Scorer


def class_means(gold: Floats, classes: Floats) -> Floats:
    """Return for each item the mean gold of the others of its class, (n,); NaN where there is no other item.

    gold: (n,) without NaN; classes: (n,), NaN where unknown.
    """
    everyone = _mean_of_others(gold, np.zeros(len(gold)))
    return np.where(np.isnan(classes), everyone, _mean_of_others(gold, classes, everyone))


def _mean_of_others(gold: Floats, classes: Floats, otherwise: Floats | None = None) -> Floats:
    _, index = np.unique(classes, return_inverse=True)
    total, count = np.bincount(index, gold)[index], np.bincount(index)[index]
    alone = np.full(len(gold), np.nan) if otherwise is None else otherwise
    return np.where(count > 1, (total - gold) / np.maximum(count - 1, 1), alone)


def class_mean_scores(scorer: Scorer, classes: Floats) -> dict[str, float]:
    """Return the scores that the class means have on the items of a scorer of numbers; {} where undefined.

    classes: (n,) the gold classes of these items.
    """
    means = class_means(scorer.gold, classes)
    if np.isnan(classes).all() or np.isnan(means).any():
        return {}
    signed = scorer.variable.edges[0] < 0 < scorer.variable.edges[-1]
    baseline = NumberScore(scorer.gold, means, signed)
    undefined = baseline.undefined()
    scores = baseline.scores(np.ones((1, len(means))))
    return {name: float(values[0]) for name, values in scores.items() if name not in undefined}
