"""A test of a data set's labels: do observers contradict them more often than declared reliabilities allow?

For each item with a label y of a categorical variable one answer a counts: the first of the reading by the
observer, question and view that most items with this label have, which such items were asked first. It
contradicts the label with probability

    q_i = 1 - Σ_x P(x | the item's labels) P(a = y | x)

by the network and the table of whoever looks. Given what is declared the items are independent, so that the
number of contradictions is a sum of Bernoulli variables with these q_i (Poisson-binomial), and its upper tail
is exact. Here a label errs independently of the look: a base that lets them err together has fewer
contradictions, so this raises no false alarm. A small tail says that labels, or those who looked,
are worse than declared; which of the two it cannot tell. Only first answers count, for what else was asked
about an item depends on what they say. Answers that are distributions are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.origin import labels_of, looking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers


# The share of sets as declared that raise a false alarm, at most.
ALARM = 0.01
# Looks from which a set is tested: with fewer nothing but gross errors could be told.
LEAST_LOOKS = 60
# Digits to which probabilities are rounded, upwards, so that equal ones are taken together.
DIGITS = 6


@dataclass(frozen=True)
class LabelLooks:
    """Looks at a variable's labels: (n,) whether each contradicts its label, and how probable that was.

    reliability: (n,) the probability, as declared, with which the label's observer names the state that is
    labelled where that is true.
    """

    contradicts: Bools
    probability: Floats
    reliability: Floats

    def join(self, further: LabelLooks) -> LabelLooks:
        """Return these looks and further ones together."""
        pairs = ((getattr(self, field.name), getattr(further, field.name)) for field in fields(self))
        return LabelLooks(*(np.concatenate(pair) for pair in pairs))

    @property
    def expected(self) -> float:
        """How many would contradict their labels, as declared."""
        return float(self.probability.sum())

    @property
    def tail(self) -> float:
        """P(so many or more contradict their labels), as declared."""
        return tail_of_sum(self.probability, int(self.contradicts.sum()))

    @property
    def alarms(self) -> bool:
        """Whether there are looks enough, and so many contradict the labels that something is wrong."""
        return len(self.contradicts) >= LEAST_LOOKS and self.tail < ALARM


def tail_of_sum(probability: Floats, count: int) -> float:
    """Return P(at least `count` of independent events with these probabilities (n,) come true)."""
    rounded = np.minimum(np.ceil(probability * 10**DIGITS) / 10**DIGITS, 1.0)
    values, often = np.unique(rounded, return_counts=True)
    parts = [_binomial(n, p) for p, n in zip(values.tolist(), often.tolist(), strict=True)] or [np.ones(1)]
    # Neighbours are joined first, so that many different probabilities take n log² n steps, not n².
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [_convolved(first, second) for first, second in pairs] + parts[len(parts) // 2 * 2 :]
    (total,) = parts
    return float(min(total[count:].sum(), 1.0)) if count > 0 else 1.0


def _convolved(first: Floats, second: Floats) -> Floats:
    """Return the distribution of the sum of two independent counts, (a,) and (b,), as (a + b - 1,)."""
    from numpy.fft import irfft, rfft

    size = len(first) + len(second) - 1
    return np.maximum(irfft(rfft(first, size) * rfft(second, size), size), 0.0)


def _binomial(n: int, p: float) -> Floats:
    """Return P(k of n events of probability p come true) for k = 0 to n, (n + 1,)."""
    from scipy.special import gammaln, xlog1py, xlogy

    k = np.arange(n + 1)
    log_ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return np.asarray(np.exp(log_ways + xlogy(k, p) + xlog1py(n - k, -p)))


def looks_at_labels(inference: Inference, answers: Answers) -> dict[str, LabelLooks]:
    """Return variable -> the looks at its labels, of the categorical variables that have any."""
    base = inference.knowledge
    looks = looking(base, answers) & answers.blind
    looks_by_name = {}
    for name, label in labels_of(base, answers).items():
        if base.variables[name].kind != "categorical":
            continue
        row, agreeing = _first_rows(base, answers, name, label, looks)
        if not row.size:
            continue
        column = answers.labels[name]
        reading = column.reading[row]
        item = answers.reading_item[reading]
        chosen = np.zeros(len(answers.items), dtype=bool)
        chosen[item] = True
        # Rows are in the order of items, of which each has one.
        state = inference.posterior(answers.keeping(~looks).only(chosen)).marginals[name]
        given_state = _given_state(base, name, answers.reading_observer[reading], agreeing)
        probability = np.clip(1 - (state * given_state).sum(1), 0.0, 1.0)
        label_state = label[item].astype(np.int64)
        looks_by_name[name] = LabelLooks(
            column.answer[row] != agreeing,
            probability,
            _reliability(base, answers, name, looks, item, label_state),
        )
    return looks_by_name


def _first_rows(
    base: Knowledge, answers: Answers, name: str, label: Floats, looks: Bools
) -> tuple[Ints, Ints]:
    """Return of each item with a label the row of the first answer of one look, and the answer that agrees.

    In the order of the items, (n,) each.
    """
    column = answers.labels[name]
    observers, states = list(base.observers.values()), base.variables[name].states
    agreeing = np.full((len(observers), len(states)), -1)
    for number, observer in enumerate(observers):
        if name in observer.labels:
            words = observer.labels[name].answers
            agreeing[number] = [words.index(state) if state in words else -1 for state in states]
    item = answers.reading_item[column.reading]
    rows = np.flatnonzero(looks[column.reading] & ~np.isnan(label[item]))
    # The first answer of each reading, then of each item the reading of the kind that is asked first.
    rows = rows[np.unique(column.reading[rows], return_index=True)[1]]
    rows = rows[_asked_first(answers, column.reading[rows], label[item[rows]])]
    rows = rows[np.argsort(item[rows], kind="stable")]
    answer = agreeing[answers.reading_observer[column.reading[rows]], label[item[rows]].astype(np.int64)]
    used = (answer >= 0) & ~column.spread[rows]
    return rows[used], answer[used]


def _asked_first(answers: Answers, reading: Ints, label: Floats) -> Bools:
    """Return which readings (n,) have the commonest observer, question and view of their label (n,)."""
    keys = (answers.reading_observer, answers.reading_question, answers.reading_view)
    kinds = np.unique(np.stack([key[reading] for key in keys]), axis=1, return_inverse=True)[1].reshape(-1)
    first = np.zeros(len(reading), dtype=bool)
    for state in np.unique(label):
        same = label == state
        first |= same & (kinds == np.bincount(kinds[same]).argmax())
    return first


def _given_state(base: Knowledge, name: str, observer: Ints, answer: Ints) -> Floats:
    """Return P(an observer gives an answer | each state), (n, states), of observers and answers (n,)."""
    observers = list(base.observers.values())
    given_state = np.zeros((len(answer), len(base.variables[name].states)))
    for number in np.unique(observer).tolist():
        same = observer == number
        table = np.array(observers[number].labels[name].confusion)
        given_state[same] = table[:, answer[same]].T
    return given_state


def _reliability(
    base: Knowledge, answers: Answers, name: str, looks: Bools, item: Ints, label_state: Ints
) -> Floats:
    """Return the declared probability that an item's label is named where it is true, (n,)."""
    column, observers = answers.labels[name], list(base.observers.values())
    states = base.variables[name].states
    labelled = np.flatnonzero(~looks[column.reading])[::-1]
    labeller = np.zeros(len(answers.items), dtype=np.int64)
    labeller[answers.reading_item[column.reading[labelled]]] = answers.reading_observer[
        column.reading[labelled]
    ]
    right = np.zeros(len(item))
    for place, (observer, state) in enumerate(
        zip(labeller[item].tolist(), label_state.tolist(), strict=True)
    ):
        instrument = observers[observer].labels[name]
        right[place] = instrument.confusion[state][instrument.answers.index(states[state])]
    return right


def joined_looks(parts: Iterator[Mapping[str, LabelLooks]]) -> dict[str, LabelLooks]:
    """Return the looks of several batches of items joined, by variable."""
    whole: dict[str, LabelLooks] = {}
    for part in parts:
        for name, looks in part.items():
            whole[name] = whole[name].join(looks) if name in whole else looks
    return whole
