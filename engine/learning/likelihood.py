"""log P(answers, gold) of many items, differentiable in how their observers answer.

The parameters of observers determine the log-likelihoods l[v, x] that their answers give to each state x of
a variable v (`evidence`, in torch). For the network beyond, the engine's log Z is a function of these alone,
and ∂ log Z / ∂ l[v, x] = P(v = x | answers): exact marginals are the derivative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.backend.arrays import asarray_like, run_sums, take_rows
from engine.backend.threads import torch_threads
from engine.model.gold import states_of
from engine.model.responses import Answers, cuts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from engine.backend.types import Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.gold import Gold
    from engine.observation.evidence import Evidence, ObservationModel

    Make = Callable[[Sequence[Tensor]], ObservationModel]
    BeliefsOf = Callable[[Evidence], tuple[Floats, Mapping[str, Floats]]]

# Log-likelihood, nats, of a state that gold rules out: exp of it is small yet above 0 in double precision.
IMPOSSIBLE = -690.0
# Rows of evidence in a part, of which gradients are taken at once: a pass over 10,000 rows took 1.09 s and
# 478 MB in parts of 2,048, .85 s and 520 MB of 4,096, .73 s and 649 MB in one.
MOST_ROWS = 4096


@dataclass(frozen=True)
class ItemPart:
    """A part of the items, with their answers and gold.

    gold: variable -> (states, N) logs, IMPOSSIBLE for states that gold rules out. states: variable -> (N,)
    the state of gold, of variables with gold of all items. log_gold: (N,) log P(gold), where all items have
    gold of all variables that were answered about; else None.
    """

    answers: Answers
    gold: Mapping[str, Floats]
    states: Mapping[str, Ints]
    log_gold: Floats | None


class _RowLogZ(torch.autograd.Function):
    """log Z of each row of evidence, (rows,), as a function of its log-likelihoods."""

    @staticmethod
    def forward(ctx: Any, beliefs_of: BeliefsOf, evidence: Evidence, *logs: Tensor) -> Tensor:
        """Return log Z, (rows,); logs: (states, rows) of each variable of the evidence."""
        names = tuple(evidence.log_likelihood)
        known = {
            name: log_likelihood.detach().numpy() for name, log_likelihood in zip(names, logs, strict=True)
        }
        log_z, beliefs = beliefs_of(replace(evidence, log_likelihood=known))
        ctx.beliefs = [beliefs[name] for name in names]
        return torch.as_tensor(log_z)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return None, None, *(torch.as_tensor(belief) * slope for belief in ctx.beliefs)


class _SumOverItems(torch.autograd.Function):
    """Σ log Z over all items. Gradients are taken part by part, so that memory is bounded."""

    @staticmethod
    def forward(ctx: Any, likelihood: Likelihood, make: Make, gold: bool, *values: Tensor) -> Tensor:
        """Return the sum, a scalar."""
        leaves = [value.detach().clone().requires_grad_() for value in values]
        total = 0.0
        with torch_threads(1), torch.enable_grad():
            observations = make(leaves)
            for part in likelihood.parts:
                part_sum = likelihood.of_part(part, observations, gold=gold).sum()
                if part_sum.requires_grad:
                    # The observation model serves the parts that follow, too.
                    part_sum.backward(retain_graph=True)  # type: ignore[no-untyped-call]
                total += float(part_sum.detach())
        ctx.slopes = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        return torch.tensor(total, dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return None, None, None, *(slope * leaf_slope for leaf_slope in ctx.slopes)


class Likelihood:
    """The log-likelihood of the answers and gold of a fit's items."""

    def __init__(self, inference: Inference, answers: Answers, gold: Gold) -> None:
        self.inference, self.items = inference, len(answers.items)
        rows = np.cumsum(inference.observations.rows_of(answers))
        variables = inference.knowledge.variables
        logs, states = {}, {}
        for name, values in gold.values.items():
            states[name] = states_of(variables[name], values)
            elsewhere = np.arange(len(variables[name].states))[:, None] != states[name]
            logs[name] = np.where(elsewhere & (states[name] >= 0), IMPOSSIBLE, 0.0)
        self.parts: list[ItemPart] = []
        for start, stop in cuts_of(rows, MOST_ROWS):
            part_gold = {name: log[:, start:stop] for name, log in logs.items() if log[:, start:stop].any()}
            certain = {
                name: state[start:stop] for name, state in states.items() if (state[start:stop] >= 0).all()
            }
            part = answers.part(start, stop)
            self.parts.append(ItemPart(part, part_gold, certain, self._log_gold(part, part_gold, certain)))

    def _log_gold(
        self, answers: Answers, gold: Mapping[str, Floats], certain: Mapping[str, Ints]
    ) -> Floats | None:
        """Return log P(gold), nats, (N,); None if an item lacks gold of an answered variable."""
        if not {*answers.labels, *answers.numbers, *answers.rankings} <= set(certain):
            return None
        none, count = self.inference.observations.evidence(Answers.unasked(answers.items)), len(answers.items)
        has_evidence = np.zeros(count, dtype=bool)
        for name, elsewhere in gold.items():
            if name != self.inference.network.root:
                has_evidence |= elsewhere.any(0)
        evidence = replace(
            none, log_weight=np.zeros(count), log_likelihood=dict(gold), has_evidence=has_evidence
        )
        log_gold = self.inference.beliefs(evidence)[0]
        # What the network holds for all but impossible is left to it.
        return log_gold if (log_gold > IMPOSSIBLE / 2).all() else None

    def total(self, make: Make, values: Sequence[Tensor], *, gold: bool = True) -> Tensor:
        """Return Σ log P(answers, gold), nats, a scalar, or without gold Σ log P(answers).

        make: values -> observation model.
        """
        return _SumOverItems.apply(self, make, gold, *values)  # type: ignore[no-any-return, no-untyped-call]

    def rows(
        self, part: ItemPart, observations: ObservationModel, *, gold: bool = True
    ) -> tuple[Evidence, Evidence]:
        """Return the evidence about a part, and the same with gold added and each row as its own item."""
        evidence = observations.evidence(part.answers)
        like = evidence.log_weight
        logs, has_evidence = dict(evidence.log_likelihood), evidence.has_evidence
        for name, elsewhere in part.gold.items() if gold else ():
            here = elsewhere[:, evidence.row_item]
            logs[name] = logs[name] + asarray_like(here, like) if name in logs else asarray_like(here, like)
            if name != self.inference.network.root:
                has_evidence = has_evidence | here.any(0)
        count = len(evidence.row_item)
        return evidence, replace(
            evidence,
            items=count,
            row_item=np.arange(count),
            log_weight=np.zeros(count),
            log_likelihood=logs,
            has_evidence=has_evidence,
            on=evidence.on[:, :0],
        )

    def beliefs_of(self, part: ItemPart, row_item: Ints) -> BeliefsOf:
        """Return the function from a part's `rows` to log Z, (rows,), and beliefs, each (states, rows).

        row_item: (rows,) the item of each. Where gold tells the root of all, a row has the tree of one state.
        """
        state, inference = part.states.get(self.inference.network.root), self.inference
        if state is None:
            return inference.beliefs
        return partial(inference.known_root.beliefs, states=state[row_item])

    def of_part(self, part: ItemPart, observations: ObservationModel, *, gold: bool = True) -> Tensor:
        """Return log P(answers, gold) of each item of a part, nats, (N,); without gold log P(answers).

        Where the truth is known, log P(answers, gold) = log P(gold) + Σ_v log P(answers about v | gold), for
        which no network is needed.
        """
        if gold and part.log_gold is not None:
            evidence = observations.evidence(part.answers)
            if set(evidence.log_likelihood) <= set(part.states):
                log_rows = torch.as_tensor(part.log_gold[evidence.row_item])
                log_rows = log_rows + torch.as_tensor(evidence.log_weight)
                for name, logs in evidence.log_likelihood.items():
                    state = torch.as_tensor(part.states[name][evidence.row_item])
                    log_rows = log_rows + torch.as_tensor(logs).gather(0, state[None])[0]
                return _by_item(log_rows, evidence)
        evidence, rows = self.rows(part, observations, gold=gold)
        row_logs = rows.log_likelihood.values()
        beliefs_of = self.beliefs_of(part, evidence.row_item)
        log_z: Tensor = _RowLogZ.apply(beliefs_of, rows, *row_logs)  # type: ignore[no-untyped-call]
        return _by_item(log_z + torch.as_tensor(evidence.log_weight), evidence)

    def log_likelihoods(self, observations: ObservationModel, *, gold: bool = True) -> Iterator[Floats]:
        """Yield `of_part` of every part, (N,) each, without derivatives."""
        with torch.no_grad():
            for part in self.parts:
                yield self.of_part(part, observations, gold=gold).numpy()


def _by_item(log_rows: Tensor, evidence: Evidence) -> Tensor:
    """Return the log of each item's sum over its rows, (N,); log_rows: (rows,)."""
    if len(log_rows) == evidence.items:
        return log_rows
    starts = np.flatnonzero(np.diff(evidence.row_item, prepend=-1))
    peak = torch.as_tensor(np.maximum.reduceat(log_rows.detach().numpy(), starts))
    shares = (log_rows - torch.as_tensor(take_rows(peak, evidence.row_item))).exp()
    return torch.as_tensor(run_sums(shares, starts)).log() + peak
