"""Answers -> evidence: the one place that says how repeated samples count.

A reading under halo answers either from the item or, with the declared probability, from its
label (Thorndike 1920): one binary switch a reading. Given the switches evidence is one vector a
variable, so an item with n such readings becomes 2^n rows, the patterns of its switches, with
their prior probabilities; sums over rows are exact.

Given its switches an observer's evidence about a variable is, over its readings k (all questions and
views of the item),

    P(answers | x) = Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)),     κ = carry,

with the likelihood L_k of `instruments`. Where the switch of reading k is on, its other answers leave
their own variables and multiply the label's L_k(r) by their likelihood under the stereotype of r.
An observer's exponent tempers all this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.errors import AnswerError
from engine.instruments import (
    LabelKernel,
    NumberKernel,
    label_kernel,
    number_kernel,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from engine.answers import Answers
    from engine.network import Network

    Ints = NDArray[np.int64]

MOST_SWITCHES = 10


@dataclass(frozen=True)
class Evidence:
    """Rows of evidence; an item's rows are alternatives.

    row_item: (rows,). log_weight: (rows,) log-probability of the row's switches. log_likelihood:
    variable -> (rows, states), log P(its answers | state, switches).
    """

    items: int
    row_item: Ints
    log_weight: Tensor
    log_likelihood: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Pairs:
    """Every reading of every row's item: row (P,), reading (P,), and whether its switch is on."""

    row: Ints
    reading: Ints
    on: NDArray[np.bool_]


class ObservationModel:
    """The kernels of a network's observers, and what their labels imply for other variables.

    halo: (observers, questions) probability of the switch. stereotypes: variable -> (K + 1, states)
    its distribution given each root state, and overall for a label that is no root state.
    """

    def __init__(self, network: Network, population: str) -> None:
        base = network.knowledge
        self.network = network
        self.observers = tuple(base.observers.values())
        self.kernels: dict[tuple[int, str], LabelKernel | NumberKernel] = {}
        prior = np.array(base.populations[population].p)
        for index, observer in enumerate(self.observers):
            for name, label in observer.labels.items():
                self.kernels[index, name] = label_kernel(label, base.variables[name], prior)
            for name, number in observer.numbers.items():
                self.kernels[index, name] = number_kernel(number, base.variables[name])
        self.stereotypes = {
            name: torch.as_tensor(np.concatenate([table, prior[None] @ table]))
            for name, table in network.given_root.items()
        }
        self.halo = np.array(
            [[o.halo[q].probability if q in o.halo else 0.0 for q in base.questions] for o in self.observers]
        ).reshape(len(self.observers), -1)
        self.seen_state = {
            index: self._states_of(kernel, index)
            for index in range(len(self.observers))
            if isinstance(kernel := self.kernels.get((index, base.root)), LabelKernel)
        }

    def _states_of(self, kernel: LabelKernel, observer: int) -> Ints:
        """Return for each type the root state that its own answer names, K where it names none."""
        states = self.network.root_states
        names = self.observers[observer].labels[self.network.root].answers
        return np.array(
            [states.index(names[a]) if names[a] in states else len(states) for a in kernel.answer_of]
        )

    def rows_of(self, answers: Answers) -> Ints:
        """Return how many rows each item needs, (N,)."""
        readings = answers.reading_item[self._switched(answers)]
        return 2 ** np.bincount(readings, minlength=len(answers.items))

    def _switched(self, answers: Answers) -> NDArray[np.bool_]:
        """Say which readings can have followed their label: under halo, and more than a label."""
        more = np.zeros(len(answers.reading_item), dtype=bool)
        for name, labels in answers.labels.items():
            if name != self.network.root:
                more[labels.reading] = True
        for numbers in answers.numbers.values():
            more[numbers.reading] = True
        probability = self.halo[answers.reading_observer, answers.reading_question]
        return more & (probability > 0)

    def evidence(self, answers: Answers) -> Evidence:
        """Return the evidence in these answers.

        Raises:
            AnswerError: an item with more readings under halo than can be weighed exactly.
        """
        switched = self._switched(answers)
        row_item, pairs, log_weight = self._expand(answers, switched)
        followed = torch.zeros(
            len(answers.reading_item), len(self.network.root_states) + 1, dtype=torch.float64
        )
        logs: dict[str, Tensor] = {}
        for (observer, name), kernel in self.kernels.items():
            if name == self.network.root:
                continue
            own, likelihood = self._readings(answers, observer, name, kernel)
            if not len(own):
                continue
            self._follow(followed, switched, name, kernel, own, likelihood)
            local = _positions(own, len(answers.reading_item))[pairs.reading]
            used = (local >= 0) & ~pairs.on
            self._add(logs, observer, name, kernel, likelihood[local[used]], pairs.row[used], len(row_item))
        self._add_labels(answers, logs, followed, pairs, row_item)
        return Evidence(len(answers.items), row_item, log_weight, logs)

    def _expand(self, answers: Answers, switched: NDArray[np.bool_]) -> tuple[Ints, _Pairs, Tensor]:
        """Return the rows' items, all (row, reading) pairs, and the rows' log-weights."""
        items, item_of = len(answers.items), answers.reading_item
        switches = np.bincount(item_of[switched], minlength=items)
        if switches.max(initial=0) > MOST_SWITCHES:
            worst = int(switches.argmax())
            message = (
                f"item {answers.items[worst]!r} has {switches[worst]} readings under halo; at most "
                f"{MOST_SWITCHES} can be weighed exactly. Leave some views out, ask them one level "
                "at a time, or remove the observer's halo"
            )
            raise AnswerError(message)
        bit = np.zeros(len(item_of), dtype=np.int64)
        order = np.argsort(item_of[switched], kind="stable")
        starts = np.cumsum(switches) - switches
        bit[np.flatnonzero(switched)[order]] = np.arange(order.size) - np.repeat(starts, switches)
        count = 2**switches
        row_item = np.repeat(np.arange(items), count)
        first = np.cumsum(count) - count
        pattern = np.arange(len(row_item)) - np.repeat(first, count)
        reading = np.repeat(np.arange(len(item_of)), count[item_of])
        within = np.arange(len(reading)) - np.repeat(
            np.cumsum(count[item_of]) - count[item_of], count[item_of]
        )
        row = first[item_of[reading]] + within
        on = switched[reading] & ((pattern[row] >> bit[reading]) & 1).astype(bool)
        p = self.halo[answers.reading_observer, answers.reading_question][reading]
        log_p = np.where(switched[reading], np.log(np.where(on, p, 1 - p), where=p > 0, out=0 * p), 0)
        log_weight = np.bincount(row, weights=log_p, minlength=len(row_item))
        return row_item, _Pairs(row, reading, on), torch.as_tensor(log_weight)

    def _readings(
        self, answers: Answers, observer: int, name: str, kernel: LabelKernel | NumberKernel
    ) -> tuple[Ints, Tensor]:
        """Return the readings of an observer that report a variable, and their (·, M) log-likelihood."""
        mine = answers.reading_observer == observer
        if isinstance(kernel, NumberKernel):
            numbers = answers.numbers.get(name)
            if numbers is None:
                return np.zeros(0, dtype=np.int64), torch.zeros(0)
            used = mine[numbers.reading]
            own, local = np.unique(numbers.reading[used], return_inverse=True)
            # Models emit few distinct numbers, so each is looked at once.
            values, which = np.unique(numbers.value[used], return_inverse=True)
            table = kernel.log_likelihood(torch.as_tensor(values))
            total = torch.zeros(len(own), table.shape[1], dtype=torch.float64)
            return own, total.index_add_(0, torch.as_tensor(local), table[torch.as_tensor(which)])
        labels = answers.labels.get(name)
        if labels is None:
            return np.zeros(0, dtype=np.int64), torch.zeros(0)
        used = mine[labels.reading]
        own, local = np.unique(labels.reading[used], return_inverse=True)
        size = kernel.alpha.shape[1]
        weight = labels.weight[used] * np.where(labels.spread[used], kernel.weight, 1.0)
        counts = np.bincount(
            local * size + labels.answer[used], weights=weight, minlength=len(own) * size
        ).reshape(-1, size)
        patterns, which = _distinct(counts)
        table = kernel.log_likelihood(torch.as_tensor(patterns))
        return own, table[torch.as_tensor(which)]

    def _follow(
        self,
        followed: Tensor,
        switched: NDArray[np.bool_],
        name: str,
        kernel: LabelKernel | NumberKernel,
        own: Ints,
        likelihood: Tensor,
    ) -> None:
        """Add to `followed` (readings, K + 1) the likelihood of answers that follow each label.

        What a label implies is imagined once a reading, from the knowledge, and then answered as often as
        asked: an imagined binary value as if it had been seen, a number through the whole instrument.
        """
        chosen = np.flatnonzero(switched[own])
        if not chosen.size:
            return
        if isinstance(kernel, NumberKernel):
            imagined = self.stereotypes[name] @ kernel.mix
        else:
            imagined = self.stereotypes[name][:, torch.as_tensor(kernel.answer_of)] * kernel.share
        seen, peak = _linear(likelihood[torch.as_tensor(chosen)])
        log_follow = (seen @ imagined.T).clamp_min(1e-300).log() + peak
        followed.index_add_(0, torch.as_tensor(own[chosen]), log_follow)

    def _add_labels(
        self,
        answers: Answers,
        logs: dict[str, Tensor],
        followed: Tensor,
        pairs: _Pairs,
        row_item: Ints,
    ) -> None:
        """Add the evidence about the root: labels, what follows from them, and rankings' tails."""
        root = self.network.root
        for observer, states in self.seen_state.items():
            kernel = self.kernels[observer, root]
            assert isinstance(kernel, LabelKernel)
            own, likelihood = self._readings(answers, observer, root, kernel)
            local = _positions(own, len(answers.reading_item))[pairs.reading]
            mine = answers.reading_observer[pairs.reading] == observer
            used = mine & ((local >= 0) | pairs.on)
            if used.any():
                likelihood = torch.cat(
                    [likelihood.reshape(-1, len(states)), torch.zeros(1, len(states), dtype=torch.float64)]
                )
                value = likelihood[torch.as_tensor(local[used])]
                on = torch.as_tensor(pairs.on[used])[:, None]
                value = value + on * followed[torch.as_tensor(pairs.reading[used])][:, states]
                self._add(logs, observer, root, kernel, value, pairs.row[used], len(row_item))
            self._add_tails(answers, logs, observer, kernel, row_item)

    def _add_tails(
        self,
        answers: Answers,
        logs: dict[str, Tensor],
        observer: int,
        kernel: LabelKernel,
        row_item: Ints,
    ) -> None:
        """Add places 2 and 3 of rankings; all of one observer's about an item count as one."""
        root = self.network.root
        rankings = answers.rankings.get(root)
        if rankings is None or kernel.tails is None:
            return
        used = (answers.reading_observer[rankings.reading] == observer) & (rankings.places[:, 1] >= 0)
        if not used.any():
            return
        item = torch.as_tensor(answers.reading_item[rankings.reading[used]])
        first, second, third = torch.as_tensor(rankings.places[used]).T
        tails = kernel.tails[first, second, third]
        total = torch.zeros(len(answers.items), tails.shape[1], dtype=torch.float64)
        total.index_add_(0, item, tails)
        count = torch.bincount(item, minlength=len(answers.items)).clamp_min(1)
        mean = (total / count[:, None])[torch.as_tensor(row_item)]
        exponent = self.observers[observer].exponent
        logs[root] = logs.get(root, torch.zeros_like(mean)) + exponent * mean

    def _add(
        self,
        logs: dict[str, Tensor],
        observer: int,
        name: str,
        kernel: LabelKernel | NumberKernel,
        likelihood: Tensor,
        row: Ints,
        rows: int,
    ) -> None:
        """Add one observer's evidence about one variable; likelihood (P, M), row (P,)."""
        one = self.observers[observer]
        found = carried(kernel.mix, likelihood, torch.as_tensor(row), rows, one.carry)
        logs[name] = logs.get(name, torch.zeros_like(found)) + one.exponent * found


def carried(mix: Tensor, likelihood: Tensor, row: Tensor, rows: int, carry: float) -> Tensor:
    """Return log Σ_m C[x, m] Π_k (κ L_k(m) + (1 - κ) Σ_r C[x, r] L_k(r)), (rows, K).

    mix: C (K, M); likelihood: log L_k, (P, M); row: (P,) the row that each reading k belongs to; carry: κ.
    """
    seen, peak = _linear(likelihood)
    fresh = seen @ mix.T
    out = torch.zeros(rows, mix.shape[0], dtype=torch.float64)
    several = torch.bincount(row, minlength=rows)[row] > 1
    out[row[~several]] = (fresh.clamp_min(1e-300).log() + peak)[~several]
    if several.any():
        left, where = torch.unique(row[several], return_inverse=True)
        size = max(1, 4_000_000 // mix.numel())
        for start in range(0, len(left), size):
            part = (where >= start) & (where < start + size)
            index = torch.nonzero(several)[part, 0]
            inner = carry * seen[index][:, None, :] + (1 - carry) * fresh[index][:, :, None]
            count = min(size, len(left) - start)
            total = torch.zeros(count, *mix.shape, dtype=torch.float64)
            total.index_add_(0, where[part] - start, inner.clamp_min(1e-300).log())
            shift = torch.zeros(count, 1, dtype=torch.float64)
            shift.index_add_(0, where[part] - start, peak[index])
            log_mix = mix.clamp_min(1e-300).log()
            out[left[start : start + size]] = torch.logsumexp(total + log_mix, dim=2) + shift
    return out


def _linear(logs: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(logs - peak) and the peak of each row, (P, M) and (P, 1)."""
    peak = logs.amax(1, keepdim=True)
    return (logs - peak).exp(), peak


def _positions(chosen: Ints, size: int) -> Ints:
    """Return where each of `size` things stands in `chosen`, -1 where it does not."""
    positions = np.full(size, -1)
    positions[chosen] = np.arange(len(chosen))
    return positions


def _distinct(counts: NDArray[Any]) -> tuple[NDArray[np.float64], Ints]:
    """Return the distinct rows and which of them each row is; equal counts recur in bulk."""
    rows = np.ascontiguousarray(counts, dtype=np.float64)
    keys = rows.view([("", rows.dtype)] * rows.shape[1]).reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], which
