"""The exponents of observers, the last step of a fit: how far their evidence is to be discounted.

An exponent is chosen for the log score of gold that the fit did not see,

    Σ_i log P(gold_i | answers_i),     observers fitted without i's fold,

around the declared values (log-normal, correlated between observers, for errors that all
of them share). Evidence of the right strength has the exponent 1; a misfit of the observation model that
makes it too strong shows as less.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.backend.threads import torch_threads
from engine.learning.likelihood import Likelihood
from engine.learning.observer_fit import minimise_potential
from engine.learning.target import Target
from engine.model.parameter_key import ParameterKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from engine.backend.types import Floats
    from engine.learning.observer_fit import Fit, Progress
    from engine.model.gold import Gold
    from engine.model.responses import Answers


# Folds of the held-out scores.
FOLDS = 4
# Items with gold, and items without, that are used at most.
MOST_ITEMS = 4000
# Bounds of an exponent.
LEAST_EXPONENT, MOST_EXPONENT = 0.05, 3.0
# Step of the differences of gradients, in the exponents' logs.
STEP = 1e-3


def tempered(fit: Fit, answers: Answers, gold: Gold, progress: Progress) -> Fit:
    """Return the fit with exponents.

    answers, gold: those that the fit was made with. With less gold than `FitPriors.exponent_gold` all
    exponents stay as declared.
    """
    known = gold.known(len(answers.items))
    if known.sum() < fit.settings.priors.exponent_gold:
        return fit
    rng = np.random.default_rng(fit.settings.seed)
    kept = np.zeros(len(known), dtype=bool)
    kept[rng.permutation(np.flatnonzero(known))[:MOST_ITEMS]] = True
    kept[rng.permutation(np.flatnonzero(~known))[:MOST_ITEMS]] = True
    answers, gold, known = answers.only(kept), gold.only(kept), known[kept]
    fold = np.where(known, rng.permutation(len(known)) % FOLDS, -1)
    inference = fit.parameters.inference
    held_out = []
    with torch_threads(1):
        for k in range(FOLDS):
            in_fold = fold == k
            target = Target(
                fit.parameters, Likelihood(inference, answers.only(~in_fold), gold.only(~in_fold))
            )
            x = minimise_potential(
                target, fit.centre, fit.root, f"exponent, fold {k + 1} of {FOLDS}", progress
            )
            values = {name: torch.as_tensor(value) for name, value in target.values_at(x).items()}
            held_out.append((values, Likelihood(inference, answers.only(in_fold), gold.only(in_fold))))
        return replace(fit, exponents=_fit_exponents(fit, held_out))


def _fit_exponents(
    fit: Fit, held_out: Sequence[tuple[dict[ParameterKey, Tensor], Likelihood]]
) -> dict[ParameterKey, tuple[float, float, float, float]]:
    from scipy.optimize import minimize

    parameters, correlation = fit.parameters, fit.settings.priors.exponent_correlation
    observers = list(parameters.observers.values())
    keys = [ParameterKey(observer.name, "exponent") for observer in observers]
    declared = np.log([max(observer.exponent, LEAST_EXPONENT) for observer in observers])
    spread = np.array([parameters.widths.log_sd(key, parameters.widths.number(key) or 1.0) for key in keys])

    together = correlation + (1 - correlation) * np.eye(len(keys))
    precision = np.linalg.inv(np.outer(spread, spread) * together)

    def loss(z: Floats) -> tuple[float, Floats]:
        at = torch.as_tensor(z).clone().requires_grad_()
        off = at - torch.as_tensor(declared)
        total = off @ torch.as_tensor(precision) @ off / 2
        for values, likelihood in held_out:

            def make(leaves: Any, values: dict[ParameterKey, Tensor] = values) -> Any:
                return parameters.kernels.model_at(values | dict(zip(keys, leaves[0], strict=True)))

            for sign, known in ((-1, True), (1, False)):
                total = total + sign * likelihood.total(make, [at.exp()], gold=known)
        (slope,) = torch.autograd.grad(total, at)
        return float(total.detach()), slope.numpy()

    bounds = [(np.log(LEAST_EXPONENT), np.log(MOST_EXPONENT))] * len(keys)
    minimum = minimize(loss, declared, jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-3})
    steps = STEP * np.eye(len(keys))
    curvature = np.array(
        [(loss(minimum.x + step)[1] - loss(minimum.x - step)[1]) / (2 * STEP) for step in steps]
    )
    variance = np.diag(np.linalg.pinv((curvature + curvature.T) / 2, hermitian=True))
    exponents = {}
    for i, key in enumerate(keys):
        value, before = float(np.exp(minimum.x[i])), float(np.exp(declared[i]))
        sd = min(np.sqrt(max(variance[i], 0.0)), spread[i])
        exponents[key] = (before, before * float(spread[i]), value, value * float(sd))
    return exponents
