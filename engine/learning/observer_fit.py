"""Answers and gold -> how observers answer: the posterior of `parameters`.

The model is Pyro's: priors, and one factor, the engine's exact log P(answers, gold) with all items' truth
summed out. Points and Gaussians live in unconstrained coordinates (stick-breaking, logit, log), where

* `map` is the mode and its Laplace approximation, exact second derivatives (`curvature`); shares are
  drawn as Beta with this mode and curvature (`learning.laplace_draws`), of which their mode is the mean;
* `svi` the multivariate Gaussian with the least Kullback-Leibler divergence to the posterior, begun there;
* `nuts` draws from the posterior itself (Hoffman & Gelman 2014), in coordinates whitened by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.backend.threads import torch_threads
from engine.learning.laplace_draws import draw_shares
from engine.learning.likelihood import Likelihood
from engine.learning.parameters import ObserverParameters
from engine.learning.priors import FitPriors
from engine.learning.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.model.gold import Gold
    from engine.model.parameter_key import ParameterKey
    from engine.model.responses import Answers
    from engine.observation.evidence import ObservationModel

    Progress = Callable[[str, int, int], None]

METHODS = ("map", "svi", "nuts")
# Items from which mode and curvature are found before the fit of all items.
SUBSET_ITEMS = 1000
# Draws from the posterior (map, svi), and from the prior.
DRAWS = 1000
# Iterations of L-BFGS at most.
MOST_STEPS = 300
# Up to so many items steps are measured by the prior; beyond, after the first, by the curvature there. It
# costs as much as 24 passes; 30 items needed 26 passes in all, 1,000 items 98, or 11 before it and 13 after.
FEW_ITEMS = 150
FIRST_STEPS = 10
# How often quadratures are refined around a new mode, at most.
MOST_REFINEMENTS = 4


@dataclass(frozen=True)
class FitSettings:
    """How to fit. steps: of SVI; draws, warmup: of NUTS, each chain; priors: the numbers of the model."""

    method: str = "map"
    steps: int = 300
    draws: int = 500
    warmup: int = 300
    chains: int = 2
    seed: int = 0
    priors: FitPriors = field(default_factory=FitPriors)


@dataclass(frozen=True)
class Fit:
    """The posterior of the parameters.

    point: key of a site -> its value at the mode (map), the Gaussian's centre (svi) or the mean (nuts).
    draws: key -> (S, ...) from the posterior; prior: as many from the prior. chains: how many the draws are
    of, one after another. centre, root: those of the Gaussian at the point, of the unconstrained coordinates,
    (P,) and (P, P). exponents: key -> declared, sd of its prior, fitted, its sd (`tempering`); followed: the
    same of the shares of answers that follow what their prompt stated (`followed_shares`).
    """

    parameters: ObserverParameters
    settings: FitSettings
    point: Mapping[ParameterKey, Floats]
    draws: Mapping[ParameterKey, Floats]
    prior: Mapping[ParameterKey, Floats]
    chains: int
    centre: Floats
    root: Floats
    exponents: Mapping[ParameterKey, tuple[float, float, float, float]] = field(default_factory=dict)
    followed: Mapping[ParameterKey, tuple[float, float, float, float]] = field(default_factory=dict)

    def observations(self) -> ObservationModel:
        """Return the observation model at the point, with the exponents where they were fitted."""
        exponents = {key: np.array(fitted) for key, (_, _, fitted, _) in self.exponents.items()}
        return self.parameters.kernels.model_at({**self.point, **exponents})


def _no_progress(stage: str, done: int, total: int) -> None:
    """Report no progress."""


def fit_observers(
    inference: Inference,
    answers: Answers,
    gold: Gold,
    settings: FitSettings | None = None,
    progress: Progress = _no_progress,
    begin: Fit | None = None,
) -> Fit:
    """Return the posterior of the observers' parameters, given answers and gold of the same items.

    begin: a fit to the same data under nearly the same network, whose mode is near.

    Raises:
        AnswerError: an item whose readings cannot be weighed exactly.
        ValueError: nothing was answered, or a method that is none of METHODS.
    """
    settings = settings or FitSettings()
    if settings.method not in METHODS:
        raise ValueError(f"no method is called {settings.method!r}; there are {', '.join(METHODS)}")
    parameters = ObserverParameters(inference, answers, gold, settings.priors)
    if not parameters.sites:
        raise ValueError("nothing was answered")
    with torch_threads(1):
        return _fit(parameters, answers, gold, settings, progress, begin)


def _fit(
    parameters: ObserverParameters,
    answers: Answers,
    gold: Gold,
    settings: FitSettings,
    progress: Progress,
    begin: Fit | None,
) -> Fit:
    import pyro

    pyro.set_rng_seed(settings.seed)
    inference = parameters.inference
    whole = Target(parameters, Likelihood(inference, answers, gold))
    rng = np.random.default_rng(settings.seed)
    part, share = whole, 1.0
    if len(answers.items) > SUBSET_ITEMS * 1.25:
        chosen = np.zeros(len(answers.items), dtype=bool)
        chosen[rng.permutation(len(chosen))[:SUBSET_ITEMS]] = True
        part = whole.given(Likelihood(inference, answers.only(chosen), gold.only(chosen)))
        share = SUBSET_ITEMS / len(chosen)
    if begin is None:
        x, root = _find_mode(whole, part, share, progress)
    else:
        x, root = minimise_potential(whole, begin.centre, begin.root, "mode", progress), begin.root
    if settings.method == "svi":
        x, root = _fit_gaussian(whole, x, root, settings, progress)
    if settings.method == "nuts":
        drawn = _draw_nuts(whole, x, root, settings, progress)
        x = drawn.mean(0)
    else:
        shift = whole.shift() if settings.method == "map" else np.full(len(x), np.nan)
        drawn = draw_shares(x, root, shift, rng.standard_normal((DRAWS, len(x))))
    draws = whole.values_of_draws(drawn)
    point = whole.values_at(x)
    if settings.method == "nuts":
        point = {key: values.mean(0) for key, values in draws.items()}
    prior = whole.values_of_draws(whole.prior_draws(DRAWS))
    chains = settings.chains if settings.method == "nuts" else 1
    return Fit(parameters, settings, point, draws, prior, chains, x, root)


def _find_mode(whole: Target, part: Target, share: float, progress: Progress) -> tuple[Floats, Floats]:
    """Return the mode (P,) and a square root of the Laplace covariance, (P, P).

    part: the target of a share of the items, on which steps are cheap and the curvature is known well enough;
    the whole then needs few steps.
    """
    prior = whole.given(None)
    x = whole.start
    root = prior_root = _covariance_root(prior.hessian(x))

    def root_at(x: Floats, share: float) -> Floats:
        """Return the root at x of the covariance given 1 / share times the part's items."""
        hessian = part.hessian(x, progress)
        if share < 1:
            hessian_of_prior = prior.hessian(x)
            hessian = hessian_of_prior + (hessian - hessian_of_prior) / share
        return _covariance_root(hessian, prior_root)

    if part.likelihood is not None and part.likelihood.items > FEW_ITEMS:
        # With much data the prior's widths are a poor measure of steps; near the mode they are known.
        x = minimise_potential(part, x, root, "mode", progress, FIRST_STEPS)
        root = root_at(x, 1.0)
    for _ in range(MOST_REFINEMENTS):
        x = minimise_potential(part, x, root, "mode", progress)
        if not whole.parameters.kernels.refine_cuts(whole.values_at(x)):
            break
    if part is not whole:
        x = minimise_potential(whole, x, root * np.sqrt(share), "mode of all items", progress)
    return x, root_at(x, share)


def _covariance_root(hessian: Floats, scale: Floats | None = None) -> Floats:
    """Return a square root (P, P) of the covariance whose inverse is this Hessian of x.

    scale: a square root (P, P) of the covariance that the prior has, in units of which directions are judged;
    the unit matrix without it.
    """
    root = np.eye(len(hessian)) if scale is None else scale
    values, vectors = np.linalg.eigh(root.T @ hessian @ root)
    # Where the density is not concave, as far from its mode, the prior's width stays.
    safe = np.where(values > 1e-3, values, 1.0)
    covariance = root @ (vectors / safe) @ vectors.T @ root.T
    ridge = 1e-12 * np.trace(covariance) / len(covariance)
    return np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))


def minimise_potential(
    target: Target, x: Floats, root: Floats, stage: str, progress: Progress, most_steps: int = MOST_STEPS
) -> Floats:
    """Return the minimum of the potential, (P,), by L-BFGS in whitened coordinates, begun at x."""
    from scipy.optimize import minimize

    steps = 0

    def potential(z: Floats) -> tuple[float, Floats]:
        nonlocal steps
        steps += 1
        progress(stage, steps, 0)
        value, slope = target.potential(x + root @ z)
        return value, root.T @ slope

    options = {"maxiter": most_steps, "ftol": 1e-12, "gtol": 5e-2, "maxcor": 30}
    minimum = minimize(potential, np.zeros(len(x)), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(x + root @ minimum.x)


def _fit_gaussian(
    target: Target, x: Floats, root: Floats, settings: FitSettings, progress: Progress
) -> tuple[Floats, Floats]:
    """Fit Pyro's AutoMultivariateNormal by SVI, begun at a mode.

    Returns:
        Its centre, (P,), and the square root of its covariance, (P, P).
    """
    import pyro
    from pyro.infer import SVI, Trace_ELBO
    from pyro.infer.autoguide import AutoMultivariateNormal

    tools: Any = (AutoMultivariateNormal, SVI, Trace_ELBO, pyro.optim.ClippedAdam)
    pyro.clear_param_store()
    guide = tools[0](target.model)
    guide()
    scale = np.diag(root).copy()
    guide.loc = torch.nn.Parameter(torch.as_tensor(x))
    guide.scale = torch.as_tensor(scale)
    guide.scale_tril = torch.as_tensor(root / scale[:, None])
    decay = 0.1 ** (1 / settings.steps)
    svi = tools[1](target.model, guide, tools[3]({"lr": 0.01, "lrd": decay}), loss=tools[2]())
    for step in range(settings.steps):
        svi.step()
        progress("svi", step + 1, settings.steps)
    tril = guide.scale.detach()[:, None] * guide.scale_tril.detach()
    return guide.loc.detach().numpy().copy(), tril.numpy().copy()


def _draw_nuts(target: Target, x: Floats, root: Floats, settings: FitSettings, progress: Progress) -> Floats:
    """Return draws (chains · draws, P) of NUTS in coordinates whitened by the Laplace approximation."""
    from pyro.infer import MCMC, NUTS

    tools: Any = (NUTS, MCMC)
    centre, wide = torch.as_tensor(x), torch.as_tensor(root)
    total = settings.chains * (settings.warmup + settings.draws)
    samples = []
    for chain in range(settings.chains):
        kernel = tools[0](
            potential_fn=lambda z: target.energy(centre + wide @ z["z"]),
            adapt_mass_matrix=False,
            max_tree_depth=7,
        )
        done = 0

        def tell(*_: Any) -> None:
            nonlocal done
            done += 1
            progress("nuts", chain * (settings.warmup + settings.draws) + done, total)  # noqa: B023

        begin = {"z": torch.randn(len(x), dtype=torch.float64)}
        run = tools[1](
            kernel,
            num_samples=settings.draws,
            warmup_steps=settings.warmup,
            initial_params=begin,
            disable_progbar=True,
            hook_fn=tell,
        )
        run.run()
        samples.append((centre + run.get_samples()["z"] @ wide.T).numpy())
    return np.concatenate(samples)
