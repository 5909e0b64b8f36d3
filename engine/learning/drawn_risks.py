"""A fit's uncertainty -> what the risk of a decision would be under each of its draws.

The tables that a fit writes are means; a decision made with them is right with the probability that they
state for a new item of the same observers. Of many items chosen for their small risks that is no longer so,
for all share the same tables: `decision.limits` needs the risks under one draw of the tables after the other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.decision import risk_of_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.answers import Answers
    from engine.calibration import Fit
    from engine.decision.level import LevelDecision
    from engine.evidence import Evidence, ObservationModel
    from engine.posterior import Inference

    Floats = NDArray[np.float64]

# Draws of the fit: an .8 quantile of 200 is known to about .03 of its level.
DRAWS = 200


def drawn_risks(
    fit: Fit,
    inference: Inference,
    answers: Answers,
    levels: Mapping[str, LevelDecision],
    rng: np.random.Generator,
    population_n: float | None = None,
    draws: int = DRAWS,
) -> dict[str, Floats]:
    """Return variable -> (B, N) risks of what is decided about N items, under B draws of the fit.

    inference: of the base as the fit wrote it. levels: the decisions, of the variables that are wanted.
    population_n: for how many items the population counts where it was learned; None where it is declared.
    """
    base, root = inference.network.knowledge, inference.network.root
    chosen = rng.choice(len(next(iter(fit.draws.values()))), draws, replace=False)
    p = np.array(base.populations[inference.population].p)
    risks = {name: np.empty((draws, len(answers.items))) for name in levels}
    for row, number in enumerate(chosen.tolist()):
        evidence = _observed(fit, number).evidence(answers)
        if population_n is not None:
            drawn = rng.dirichlet(np.maximum(population_n * p, 1e-3))
            shift = np.log(np.maximum(drawn, 1e-12)) - np.log(np.maximum(p, 1e-12))
            evidence = _shifted(evidence, root, shift)
        marginals = inference.marginals(evidence)
        for name, level in levels.items():
            variable = base.variables[name]
            risks[name][row] = risk_of_value(variable, marginals[name], level.value, base.policy)
    return risks


def _observed(fit: Fit, number: int) -> ObservationModel:
    """Return the observers of one draw; those that err together still do."""
    values = {name: drawn[number] for name, drawn in fit.draws.items()}
    values |= {path: np.array(fitted) for path, (_, _, fitted, _) in fit.exponents.items()}
    observations = fit.unknowns.observed(values)
    observations.dependent = fit.unknowns.base.dependence is not None
    return observations


def _shifted(evidence: Evidence, root: str, shift: Floats) -> Evidence:
    """Return evidence with the logs (K,) added to the root's."""
    logs = dict(evidence.log_likelihood)
    about_root = logs.get(root, np.zeros((len(shift), len(evidence.row_item))))
    return replace(evidence, log_likelihood={**logs, root: about_root + shift[:, None]})
