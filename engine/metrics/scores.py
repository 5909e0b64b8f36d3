"""Predictions against gold: scores as functions of weights of the items.

Each value here holds n items of which gold and prediction are known. `scores` takes weights (R, n), one
row a resample, and returns each score as (R,), NaN where it is not defined; `undefined` says of the items as
they are (all weights 1) which scores are not, and why. Nothing undefined is counted as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.backend.types import Bools, Floats, Ints


CLIP = 1e-6
# Bits of one of two sums that are made in one pass; neither is as large as 2^31.
_HALF = 32
_NO_ITEM = "no item has both gold and a prediction"
_ONE_CLASS = "all gold is of one class"
_NO_POSITIVE = "no item is positive in gold"


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return the quotient, of the shape that both broadcast to, NaN where it is 0 / 0 or worse."""
    unknown = np.full(np.broadcast(above, below).shape, np.nan)
    quotient: Floats = np.divide(above, below, out=unknown, where=below != 0)
    return quotient


def log_loss(p: Floats, gold: Ints) -> Floats:
    """Return -ln p[gold] of each item in nats, (n,); p (n, K) is clipped below at CLIP."""
    return np.asarray(-np.log(np.maximum(p[np.arange(len(p)), gold], CLIP)))


@dataclass(frozen=True)
class CategoricalScore:
    """One of K classes each: gold and predicted (n,) are indices, p is (n, K) or None.

    A prediction of K is none of the classes, and so is wrong.

    accuracy; balanced_accuracy, macro_f1: the mean recall and the mean F1 of the classes that gold has, so
    that a class that is not there does not count as one that is never recognised; log_loss: in nats, see
    CLIP; brier: mean sum_k (p_k - y_k)^2,
    from 0 to 2 (Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).
    """

    gold: Ints
    predicted: Ints
    classes: int
    p: Floats | None = None

    def confusion(self, weights: Floats) -> Floats:
        """Return (R, K, K + 1): the weight of each gold class (row) predicted as each class (column).

        The last column is what was predicted as none of them.
        """
        wide = self.classes + 1
        codes, size = self.gold * wide + self.predicted, self.classes * wide
        table: Floats = np.stack([np.bincount(codes, weights=row, minlength=size) for row in weights])
        return table.reshape(len(weights), self.classes, wide)

    @cached_property
    def _losses(self) -> Floats | None:
        """(n, 2): log loss and Brier score of each item."""
        if self.p is None:
            return None
        squares = ((self.p - np.eye(self.classes)[self.gold]) ** 2).sum(1)
        return np.stack([log_loss(self.p, self.gold), squares], axis=1)

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return each score (R,) for weights (R, n)."""
        table = self.confusion(weights)
        scores = dict(zip(("accuracy", "balanced_accuracy", "macro_f1"), _of_confusion(table), strict=True))
        if self._losses is not None:
            scores["log_loss"], scores["brier"] = _ratio(weights @ self._losses, table.sum((1, 2))[:, None]).T
        return scores

    def undefined(self) -> dict[str, str]:
        """Return the scores that are not defined, each with the reason."""
        if not len(self.gold):
            return dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier"), _NO_ITEM)
        return {"balanced_accuracy": _ONE_CLASS} if len(set(self.gold.tolist())) == 1 else {}


def _of_confusion(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Return accuracy, balanced accuracy and macro F1, (R,) each, of tables (R, K, K + 1)."""
    hits = np.diagonal(table, axis1=1, axis2=2)
    gold, named = table.sum(2), table.sum(1)[:, :-1]
    recall, seen = _ratio(hits, gold), (gold > 0).sum(1)
    balanced = _ratio(np.nansum(recall, axis=1), np.where(seen > 1, seen, 0.0))
    # A class without gold has no hits, so its F1 adds nothing.
    f1 = _ratio(np.nansum(_ratio(2 * hits, gold + named), axis=1), seen.astype(float))
    return _ratio(hits.sum(1), gold.sum(1)), balanced, f1


@dataclass(frozen=True)
class BinaryScore:
    """Present or absent: gold and predicted (n,) are 0 or 1, p is P(present) (n,) or None.

    f1 and recall have no value where nothing is present in gold, precision where nothing is predicted so,
    balanced_accuracy where gold has one class. log_loss: in nats, see CLIP; brier: mean (p - y)^2, from 0
    to 1.
    """

    gold: Ints
    predicted: Ints
    p: Floats | None = None

    @cached_property
    def _columns(self) -> Floats:
        """(n, 4 or 6): which of the four cells an item is in, and its log loss and Brier score."""
        cells: Floats = np.eye(4)[self.gold * 2 + self.predicted]
        if self.p is None:
            return cells
        losses = log_loss(np.stack([1 - self.p, self.p], axis=1), self.gold), (self.p - self.gold) ** 2
        return np.column_stack([cells, *losses])

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return each score (R,) for weights (R, n)."""
        (absent, false, missed, hit), losses = np.split((weights @ self._columns).T, [4])
        total, present = absent + false + missed + hit, hit + missed
        recall = _ratio(hit, present)
        scores = {
            "prevalence": _ratio(present, total),
            "f1": _ratio(2 * hit, np.where(present > 0, 2 * hit + false + missed, 0.0)),
            "precision": _ratio(hit, hit + false),
            "recall": recall,
            "accuracy": _ratio(hit + absent, total),
            "balanced_accuracy": (recall + _ratio(absent, absent + false)) / 2,
        }
        scores |= {
            name: _ratio(loss, total) for name, loss in zip(("log_loss", "brier"), losses, strict=False)
        }
        return scores

    def undefined(self) -> dict[str, str]:
        """Return the scores that are not defined, each with the reason."""
        names = ("prevalence", "f1", "precision", "recall", "accuracy", "balanced_accuracy")
        if not len(self.gold):
            return dict.fromkeys((*names, "log_loss", "brier"), _NO_ITEM)
        reasons = {} if self.predicted.any() else {"precision": "no item is predicted positive"}
        if not self.gold.any():
            return reasons | {"f1": _NO_POSITIVE, "recall": _NO_POSITIVE, "balanced_accuracy": _ONE_CLASS}
        return reasons | ({"balanced_accuracy": _ONE_CLASS} if self.gold.all() else {})


@dataclass(frozen=True)
class NumberScore:
    """A number each: gold and predicted (n,); low and high: a stated interval (n,) or None.

    ccc: 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2), moments over n (Lin 1989, doi:10.2307/2532051); pearson;
    rmse; mae; sign_agreement: the share of equal signs, 0 being a sign of its own (only where `signed`: the
    range lies on both sides of 0); inside: the share of gold within [low, high].
    """

    gold: Floats
    predicted: Floats
    signed: bool = False
    low: Floats | None = None
    high: Floats | None = None

    @cached_property
    def _columns(self) -> Floats:
        """(n, 8): both numbers, their squares and product, the error, its square and its size."""
        # About the means of all: sums of squares of numbers far from 0 would lose their digits.
        x, y = self.gold - _mean(self.gold), self.predicted - _mean(self.predicted)
        error = self.predicted - self.gold
        return np.stack([x, y, x * x, y * y, x * y, error, error**2, np.abs(error)], axis=1)

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return each score (R,) for weights (R, n)."""
        total = weights.sum(1)
        mx, my, xx, yy, xy, bias, squared, absolute = _ratio(weights @ self._columns, total[:, None]).T
        var_x, var_y = _variance(xx, mx), _variance(yy, my)
        cov = np.where((var_x > 0) & (var_y > 0), xy - mx * my, 0.0)
        scores = {
            "ccc": _ratio(2 * cov, var_x + var_y + bias**2),
            "pearson": _ratio(cov, np.sqrt(var_x * var_y)),
            "rmse": np.sqrt(squared),
            "mae": absolute,
        }
        if self.signed:
            scores["sign_agreement"] = _ratio(
                weights @ (np.sign(self.gold) == np.sign(self.predicted)), total
            )
        if self.low is not None and self.high is not None:
            within = (self.low <= self.gold) & (self.gold <= self.high)
            scores["inside"] = _ratio(weights @ within, total)
        return scores

    def undefined(self) -> dict[str, str]:
        """Return the scores that are not defined, each with the reason."""
        if not len(self.gold):
            names = ("ccc", "pearson", "rmse", "mae", "sign_agreement", "inside")
            return dict.fromkeys(names, _NO_ITEM)
        reasons = {} if self.signed else {"sign_agreement": "the range has no sign: 0 does not lie within it"}
        constant = [np.ptp(values) == 0 for values in (self.gold, self.predicted)]
        if constant[0] or constant[1]:
            reasons["pearson"] = (
                "all gold is the same number" if constant[0] else "all predictions are the same number"
            )
        if constant[0] and constant[1] and self.gold[0] == self.predicted[0]:
            reasons["ccc"] = "gold and predictions are one number"
        return reasons


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _variance(square: Floats, mean: Floats) -> Floats:
    """Return mean square - mean^2, of their shape, 0 where that is rounding."""
    variance = square - mean**2
    return np.where(variance > 1e-12 * square, variance, 0.0)


@dataclass(frozen=True)
class SelectiveScore:
    """What is kept and what is wrong: wrong (n,) 0 or 1, the stated risk (n,), accepted (n,) or None.

    aurc: the mean over i = 1 ... n of the share of errors among the i items of least risk (Geifman, Uziel and
    El-Yaniv 2019, arXiv 1805.08206), in expectation over the orders of items of equal risk; coverage: the
    share that is accepted; accepted_error: the share of errors in it; accepted_risk: its mean stated risk.
    ranked: whether aurc is wanted, which takes longer than all else.
    """

    wrong: Floats
    risk: Floats
    accepted: Bools | None = None
    ranked: bool = True

    @cached_property
    def _blocks(self) -> tuple[Ints, Ints]:
        """Return the order by risk, (n,), and where in it each run of equal risks ends, (runs,)."""
        order = np.argsort(self.risk, kind="stable")
        risk = self.risk[order]
        last = np.concatenate([risk[1:] != risk[:-1], [True]])
        return order, np.flatnonzero(last[: len(risk)])

    @cached_property
    def _columns(self) -> Floats:
        """(n, 4): 1, and of what is accepted 1, whether it is wrong, and its risk; 0 elsewhere."""
        accepted = np.zeros(len(self.risk)) if self.accepted is None else self.accepted
        of_accepted = [accepted * column for column in (1.0, self.wrong, self.risk)]
        return np.column_stack([np.ones(len(self.risk)), *of_accepted])

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return each score (R,) for whole weights (R, n)."""
        scores = {"aurc": self._aurc(weights)} if self.ranked else {}
        if self.accepted is not None:
            total, kept, wrong, risk = (weights @ self._columns).T
            scores["coverage"] = _ratio(kept, total)
            scores["accepted_error"] = _ratio(wrong, kept)
            scores["accepted_risk"] = _ratio(risk, kept)
        return scores

    def _aurc(self, weights: Floats) -> Floats:
        """Return aurc, (R,), for whole weights (R, n)."""
        if not len(self.risk):
            return np.full(len(weights), np.nan)
        total = weights.sum(1)
        harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(total.max(initial=0)) + 1))])
        order, ends = self._blocks
        both = 1 + (self.wrong[order].astype(np.int64) << _HALF)
        # A row at a time: the arrays of one stay in the processor's cache, those of many do not.
        areas = [_area(row.astype(np.int64)[order] * both, ends, harmonic) for row in weights]
        return _ratio(np.array(areas), total)

    def curve(self, points: int = 200) -> tuple[Floats, Floats, Floats]:
        """Return coverage, share of errors and greatest risk of the items of least risk, (points,) each.

        points: how many numbers of items are shown, or fewer where there are not as many.
        """
        order, last = self._blocks
        ends = last + 1
        share = np.cumsum(self.wrong[order])[ends - 1] / ends
        at = np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).round().astype(np.int64))
        return ends[at] / max(len(order), 1), share[at], self.risk[order][ends[at] - 1]

    def undefined(self) -> dict[str, str]:
        """Return the scores that are not defined, each with the reason."""
        if not len(self.risk):
            return dict.fromkeys(("aurc", "coverage", "accepted_error", "accepted_risk"), _NO_ITEM)
        if self.accepted is not None and not self.accepted.any():
            return dict.fromkeys(("accepted_error", "accepted_risk"), "nothing is accepted")
        return {}


def _area(weights: Ints, ends: Ints, harmonic: Floats) -> float:
    """Return the sum over i of the share of errors among the first i items, in expectation over ties.

    weights: (n,) of the items in order of risk: in the lower bits the weight, in the upper ones again where
    the item is wrong, else 0, so that one pass sums both. ends: where runs of equal risks end. harmonic:
    harmonic numbers up to the sum of the weights, from that of 0.
    """
    sums = np.cumsum(weights)[ends]
    last, wrong_after = sums & ((1 << _HALF) - 1), (sums >> _HALF).astype(np.float64)
    after = last.astype(np.float64)
    before, wrong_before = (np.concatenate([[0.0], ended[:-1]]) for ended in (after, wrong_after))
    size = after - before
    # The j-th of a run's w items brings an error with probability r, so that the share after it is
    # (E + r j) / (W + j) = r + (E - r W) / (W + j); its sum over j = 1 ... w has harmonic numbers.
    rate = (wrong_after - wrong_before) / np.maximum(size, 1)
    steps = harmonic[last]
    steps[1:] -= steps[:-1].copy()
    return float((rate * size + (wrong_before - rate * before) * steps).sum())
