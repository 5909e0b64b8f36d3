"""Does a reading contradict all others? The tail probability of its answers, given the other readings.

What the others say of a reading r with the answers e_r is how much less likely they make it than it was,

    s_r = log2 P(e_r) / P(e_r | others) = log2 P(e_r) P(others) / P(e),

and how surprising that is, is the probability that answers Y drawn given the others fare as badly,

    p_r = P(P(Y) / P(Y | others) >= 2^s_r | others) <= 2^-s_r,

the bound by Markov's inequality, as the mean of the ratio given the others is Σ_y P(y) = 1. The ratio, not
P(Y | others) itself, is what answers are compared by: of many answers at once most are improbable, whatever
the others say. The bound, which is never too small, stands for the tail, but where the tail could raise an
alarm that the bound does not, and can be had exactly: of few plain answers about one variable, by enumeration
of the patterns of their counts.

An item's conflict is min(1, min_r R p_r) over its R readings, after Bonferroni: under the model it is under a
threshold in at most that share of items, whatever R is, and does not grow as further readings agree.
A reading that the others make less than 2^LEAST_BITS times less likely contradicts nobody. Evidence tempered
by an exponent is no probability any more; there the figures are approximate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend.arrays import gammaln
from engine.model.responses import Answers
from engine.observation.answer_patterns import answer_patterns
from engine.observation.kernels import LabelKernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.backend.types import Floats, Ints
    from engine.inference.posterior import Inference


# Bits; halved by the others is no contradiction, and with two readings R 2^-1 is 1 already.
LEAST_BITS = 1.0
# Patterns of answers: up to three draws of eight answers; more cost more than an item's whole inference.
MOST_PATTERNS = 165
# Rows inferred at once, of patterns times readings: what keeps the columns within some megabytes.
MOST_ROWS = 16_384
# Nats; surprises nearer than this are equal up to rounding.
TIE = 1e-7


@dataclass(frozen=True)
class Conflict:
    """How far the readings of N items contradict one another, each (N,).

    bits: Jensen's measure, log2 Π_r P(e_r) / P(e). probability: that of so contradictory a reading.
    reading: the index of the one most at odds with all others. 0, 1 and -1 where there are fewer than two.
    """

    bits: Floats
    probability: Floats
    reading: Ints


@dataclass(frozen=True)
class _Candidates:
    """Log probabilities of C readings that may contradict the others, each (C,), in nats.

    reading: their indices, increasing. alone: log P(its answers). log_others: log P(all other answers of the
    item). surprise: s_r.
    """

    reading: Ints
    alone: Floats
    log_others: Floats
    surprise: Floats

    def part(self, chosen: Ints) -> _Candidates:
        """Return the chosen ones of them."""
        return _Candidates(
            self.reading[chosen], self.alone[chosen], self.log_others[chosen], self.surprise[chosen]
        )


@dataclass(frozen=True)
class _PlainReadings:
    """The readings that gave plain answers about one variable only, of all readings (R,).

    variable: (R,) its place among the labels, -1 where it is no such reading. draws: (R,) how many answers.
    log_orders: (R,) log of the number of orders in which they could have come.
    """

    names: tuple[str, ...]
    variable: Ints
    draws: Ints
    log_orders: Floats

    @classmethod
    def of(cls, answers: Answers) -> _PlainReadings:
        """Find the plain readings of these answers."""
        total = len(answers.reading_item)
        draws, variables = np.zeros(total, dtype=np.int64), np.zeros(total, dtype=np.int64)
        log_orders, variable = np.zeros(total), np.full(total, -1)
        plain = np.ones(total, dtype=bool)
        for number, column in enumerate(answers.labels.values()):
            count = np.bincount(column.reading, minlength=total)
            draws += count
            variables += count > 0
            variable[count > 0] = number
            plain[column.reading[column.spread | (column.weight != 1)]] = False
            width = column.answer.max(initial=0) + 1
            times = np.bincount(column.reading * width + column.answer, minlength=total * width)
            several = np.flatnonzero(times > 1)
            log_orders -= np.bincount(several // width, weights=gammaln(times[several] + 1), minlength=total)
        for number_column in answers.numbers.values():
            plain[number_column.reading] = False
        for ranking in answers.rankings.values():
            plain[ranking.reading] = False
        variable[~plain | (variables != 1)] = -1
        return cls(tuple(answers.labels), variable, draws, log_orders + gammaln(draws + 1))


def conflict_of(inference: Inference, answers: Answers, log_evidence: Floats) -> Conflict:
    """Return the conflict of all items; log_evidence: (N,) their log P(answers), nats."""
    count = len(answers.items)
    readings = np.bincount(answers.reading_item, minlength=count)
    bits, probability, reading = np.zeros(count), np.ones(count), np.full(count, -1)
    several = readings[answers.reading_item] > 1
    if not several.any():
        return Conflict(bits, probability, reading)
    chosen = np.flatnonzero(several)
    item = answers.reading_item[chosen]
    alone = inference.log_evidence(answers.each_reading(several))
    apart = np.bincount(item, weights=alone, minlength=count)
    bits = np.where(readings > 1, apart - log_evidence, 0) / math.log(2)
    log_others = _log_others(inference, answers, chosen, alone)
    candidates = _Candidates(chosen, alone, log_others, alone + log_others - log_evidence[item])
    tail = _tails(inference, answers, candidates, readings[item])
    keys: list[NDArray[Any]] = [*_tie_keys(inference, answers, chosen), np.round(np.log(tail), 6), item]
    order = np.lexsort(keys)
    first = order[np.flatnonzero(np.diff(item[order], prepend=-1))]
    probability[item[first]] = np.minimum(readings[item[first]] * tail[first], 1)
    reading[item[first]] = chosen[first]
    return Conflict(bits, probability, reading)


def _log_others(inference: Inference, answers: Answers, chosen: Ints, alone: Floats) -> Floats:
    """Return log P(all other answers of its item) for each chosen reading; alone: log P(its own), (C,)."""
    readings = np.bincount(answers.reading_item, minlength=len(answers.items))
    size = readings[answers.reading_item[chosen]]
    log_others = np.empty(len(chosen))
    # Of two readings the other one is all the others.
    two = np.flatnonzero(size == 2)
    pairs = two[np.argsort(answers.reading_item[chosen[two]], kind="stable")].reshape(-1, 2)
    log_others[pairs] = alone[pairs[:, ::-1]]
    more = np.zeros(len(answers.reading_item), dtype=bool)
    more[chosen[size > 2]] = True
    if more.any():
        log_others[size > 2] = inference.log_evidence(answers.without_each(more))
    return log_others


def _tails(inference: Inference, answers: Answers, candidates: _Candidates, readings: Ints) -> Floats:
    """Return p_r, or its bound, of each reading, (C,); readings: (C,) how many its item has."""
    tail = np.minimum(np.exp(-candidates.surprise), 1)
    tail[candidates.surprise <= LEAST_BITS * math.log(2)] = 1
    alarm = inference.knowledge.policy.conflict / readings
    plain = _PlainReadings.of(answers)
    # The tail is at least the probability of the reading's own pattern, which follows from the surprise.
    # Of readings that are not plain ones it is no probability, and may be anything.
    least = np.exp(
        np.minimum(candidates.alone - candidates.surprise + plain.log_orders[candidates.reading], 0)
    )
    use = (plain.variable[candidates.reading] >= 0) & (tail < 1) & (tail >= alarm) & (least < alarm)
    place = np.flatnonzero(use)
    columns = (answers.reading_observer, answers.reading_question, answers.reading_view)
    kinds = np.stack(
        [column[candidates.reading[place]] for column in (*columns, plain.variable, plain.draws)], 1
    )
    groups, which = np.unique(kinds, axis=0, return_inverse=True)
    for number, (observer, _question, _view, variable, draws) in enumerate(groups.tolist()):
        kernel = inference.observations.kernels[observer, plain.names[variable]]
        assert isinstance(kernel, LabelKernel)
        pattern_count = math.comb(draws + kernel.alpha.shape[1] - 1, draws)
        if pattern_count <= MOST_PATTERNS:
            same, step = place[which.reshape(-1) == number], MOST_ROWS // pattern_count
            for part in (same[start : start + step] for start in range(0, len(same), step)):
                counts, orders = answer_patterns(kernel.alpha.shape[1], draws)
                patterns = (plain.names[variable], counts, orders)
                tail[part] = _exact_tails(inference, answers, candidates.part(part), patterns)
    return tail


def _tie_keys(inference: Inference, answers: Answers, chosen: Ints) -> tuple[Ints, ...]:
    """Return the sort keys of equally surprising readings, (C,) each, the last key first.

    They are view, question, observer, askable.

    Of two that contradict each other as much, the one that cannot be asked again is named.
    """
    askable = np.array([o.askable for o in inference.observations.observers], dtype=np.int64)
    view = np.argsort(np.argsort(np.array(answers.views)))
    observer = answers.reading_observer[chosen]
    return view[answers.reading_view[chosen]], answers.reading_question[chosen], observer, askable[observer]


def _exact_tails(
    inference: Inference, answers: Answers, candidates: _Candidates, patterns: tuple[str, Floats, Floats]
) -> Floats:
    """Return p_r of readings of one observer, question and view, (C,).

    patterns: the variable that they are about, and the counts (P, answers) and log orders (P,) of all answers
    that there can be.
    """
    chosen = np.zeros(len(answers.reading_item), dtype=bool)
    chosen[candidates.reading] = True
    any_of = candidates.reading[0]
    view = answers.views[answers.reading_view[any_of]]
    reading = (int(answers.reading_observer[any_of]), int(answers.reading_question[any_of]), view)
    name, counts, orders = patterns
    pattern, answer = np.nonzero(counts)

    def log_evidence(items: Answers) -> Floats:
        """Return log P(a pattern in one order, what is known of an item), (P, items)."""
        size = len(items.items)
        row = (pattern[:, None] * size + np.arange(size)).reshape(-1)
        labels = {name: (row, np.repeat(answer, size), np.repeat(counts[pattern, answer], size))}
        imagined = items.tiled(len(counts)).with_answers(reading, labels, {})
        return inference.log_evidence(imagined).reshape(-1, size)

    log_given = log_evidence(answers.without_each(chosen)) - candidates.log_others
    as_bad = log_evidence(Answers.nothing()) - log_given >= candidates.surprise - TIE
    p = np.exp(orders[:, None] + log_given)
    return np.asarray((p * as_bad).sum(0) / p.sum(0))
