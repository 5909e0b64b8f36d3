"""A fit's uncertainty -> the risk of each decision under each draw of the fit.

The tables that a fit writes are means; a decision made with them is right with the probability that they
state for a new item of the same observers. Of many items chosen for their small risks that is no longer so,
for all share the same tables: `decision.limits` needs the risks under one draw of the tables after the other.

How often observers follow what all see, and what their family makes of an item, is declared with a strength
(`n`) and not fitted: it is drawn from that prior, once for all observers of a kind, or a family.

The items are those that the world has shown; under a draw b that makes an item's answers d less probable than
the fit does, there are fewer such items. So each counts there w_b = P(d | b) / mean over draws of P(d | b):
of one item the weighted mean of its risks over draws is then the risk that the fit states. Without weights
draws under which nobody would answer so count as much as any, and their risks are the highest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decision.decision import risk_of_value
from engine.metrics.strengths import share_quantile
from engine.observation.observer_kernels import derive_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.backend.types import Floats
    from engine.decision.level import LevelDecision
    from engine.inference.posterior import Inference
    from engine.learning.observer_fit import Fit
    from engine.model.knowledge import Dependence, Observer
    from engine.model.responses import Answers
    from engine.observation.evidence import Evidence, ObservationModel

    # Yields what some work returns of one thing after another.
    Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


# Draws of the fit: an .8 quantile of 200 is known to about .03 of its level.
DRAWS = 200


@dataclass(frozen=True)
class DrawnRisks:
    """Risks of N items under B draws of a fit: variable -> (B, N), and how much each counts there, (B, N)."""

    risk: Mapping[str, Floats]
    weight: Floats


@dataclass(frozen=True)
class FitDraws:
    """B draws of a fit: the observers of each, and the shift (K,) of the log prior of the root's states."""

    inference: Inference
    observed: tuple[ObservationModel, ...]
    shifts: tuple[Floats | None, ...]

    @classmethod
    def of(
        cls,
        fit: Fit,
        inference: Inference,
        rng: np.random.Generator,
        population_n: float | None = None,
        draws: int = DRAWS,
    ) -> FitDraws:
        """Return draws of the fit.

        inference: of the base as the fit wrote it. population_n: for how many items the population counts
        where it was learned; None where it is declared.
        """
        chosen = rng.choice(len(next(iter(fit.draws.values()))), draws, replace=False)
        p = np.array(inference.knowledge.populations[inference.population].p)
        shifts: list[Floats | None] = [None] * draws
        if population_n is not None:
            drawn = rng.dirichlet(np.maximum(population_n * p, 1e-3), draws)
            shifts = list(np.log(np.maximum(drawn, 1e-12)) - np.log(np.maximum(p, 1e-12)))
        # A generator of its own keeps all other draws the same for any number of observers.
        (follows_rng,) = rng.spawn(1)
        observed = tuple(_draw_observers(fit, number, follows_rng) for number in chosen.tolist())
        return cls(inference, observed, tuple(shifts))

    def risks(
        self,
        answers: Answers,
        levels: Mapping[str, LevelDecision],
        progress: Callable[[int, int], None] | None = None,
        each: Each = map,
    ) -> DrawnRisks:
        """Return the risks of what is decided about N items under all draws.

        levels: the decisions, of the variables that are wanted. progress: called with how many draws are
        done, and of how many. each: as `map`, perhaps by several processes.
        """
        count = len(self.observed)
        derive_looks(self.observed, variables_of_several(answers))
        rows = []
        for row in each(partial(self._of_draw, answers, levels), range(count)):
            rows.append(row)
            if progress is not None:
                progress(len(rows), count)
        log_evidence = np.stack([row_evidence for _, row_evidence in rows])
        weight = np.exp(log_evidence - log_evidence.max(0))
        risks = {name: np.stack([row_risks[name] for row_risks, _ in rows]) for name in levels}
        return DrawnRisks(risks, weight / weight.mean(0))

    def _of_draw(
        self, answers: Answers, levels: Mapping[str, LevelDecision], row: int
    ) -> tuple[dict[str, Floats], Floats]:
        """Return the risks under one draw, each (N,), and log P(answers) there, (N,)."""
        base, root, shift = self.inference.knowledge, self.inference.network.root, self.shifts[row]
        evidence = self.observed[row].evidence(answers)
        if shift is not None:
            evidence = _shift_root(evidence, root, shift)
        posterior = self.inference.given(evidence)
        risks = {
            name: risk_of_value(base.variables[name], posterior.marginals[name], level.value, base.policy)
            for name, level in levels.items()
        }
        return risks, posterior.log_evidence


def variables_of_several(answers: Answers) -> list[str]:
    """Return the variables of labels about which several observers answered."""
    observer = answers.reading_observer
    return [name for name, labels in answers.labels.items() if len(np.unique(observer[labels.reading])) > 1]


def _draw_observers(fit: Fit, number: int, rng: np.random.Generator) -> ObservationModel:
    """Return the observation model of one draw of the fit, with drawn dependence between observers."""
    point = {key: drawn[number] for key, drawn in fit.draws.items()}
    observations = replace(fit, point=point).observations()
    declared = fit.parameters.base.dependence
    observations.dependent = declared is not None
    if declared is not None:
        observations.observers = draw_follows(observations.observers, declared, rng)
    return observations


def draw_follows(
    observers: Iterable[Observer], declared: Dependence, rng: np.random.Generator
) -> tuple[Observer, ...]:
    """Return the observers with `follows`, `family_follows` drawn from Beta(n p, n (1 - p)), p as declared.

    n is that of the kind or family, whose members have the same quantile. Without n nothing is drawn.
    """
    quantiles = {("kind", name): rng.random() for name in declared.kinds}
    drawn = []
    for observer in observers:
        kind = declared.kinds.get(observer.kind)
        family = declared.family_named(observer.family) if observer.family else None
        at_family = quantiles.setdefault(("family", observer.family), rng.random()) if family else 0.5
        at_kind = quantiles.get(("kind", observer.kind), 0.5)
        follows = share_quantile(observer.follows, kind.n if kind else 0.0, at_kind)
        of_family = share_quantile(observer.family_follows, family.n if family else 0.0, at_family)
        drawn.append(replace(observer, follows=follows, family_follows=of_family))
    return tuple(drawn)


def _shift_root(evidence: Evidence, root: str, shift: Floats) -> Evidence:
    """Return the evidence with the log shift (K,) added to the log-likelihood of the root's states."""
    logs = dict(evidence.log_likelihood)
    about_root = logs.get(root, np.zeros((len(shift), len(evidence.row_item))))
    return replace(evidence, log_likelihood={**logs, root: about_root + shift[:, None]})
