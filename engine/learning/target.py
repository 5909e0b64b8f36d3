"""The joint density of a fit's parameters and data, as a potential of one vector, with its curvature."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.learning.curvature import hessian_of_part, second_derivatives

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from engine.backend.types import Floats
    from engine.learning.likelihood import Likelihood
    from engine.learning.parameters import ObserverParameters
    from engine.model.parameter_key import ParameterKey
    from engine.observation.evidence import ObservationModel

    Progress = Callable[[str, int, int], None]

# Iterations of rejecting prior draws below a floor, at most.
MOST_REJECTIONS = 300


class Target:
    """The joint log-density of parameters and data, as a potential of one unconstrained vector (P,)."""

    def __init__(self, parameters: ObserverParameters, likelihood: Likelihood | None) -> None:
        """Build the target; without a likelihood its density is the prior's."""
        from pyro.infer.autoguide.initialization import init_to_value
        from pyro.infer.mcmc.util import initialize_model

        self.sites, self.parameters = parameters.sites, parameters
        self.likelihood: Likelihood | None = None
        self.priors = {key: site.prior() for key, site in self.sites.items()}
        means = {key: torch.as_tensor(site.mean) for key, site in self.sites.items()}
        start = {site.name: site.share(means[key], means) for key, site in self.sites.items()}
        tools: Any = (initialize_model, init_to_value)
        begin, _, transforms, _ = tools[0](self.model, init_strategy=tools[1](values=start))
        self.transforms = {key: transforms[site.name] for key, site in self.sites.items()}
        self.shapes = {key: begin[site.name].shape for key, site in self.sites.items()}
        self.start = np.concatenate([begin[site.name].reshape(-1).numpy() for site in self.sites.values()])
        self.likelihood = likelihood

    def given(self, likelihood: Likelihood | None) -> Target:
        """Return the target of the same parameters with another likelihood, or with none."""
        target = copy(self)
        target.likelihood = likelihood
        return target

    def model(self) -> None:
        """Sample the sites and weigh them by the likelihood: the model as Pyro reads it."""
        import pyro

        values: dict[ParameterKey, Tensor] = {}
        for key, site in self.sites.items():
            values[key] = site.sample(values)
        if self.likelihood is not None:
            pyro.factor("answers", self.likelihood.total(self.make, list(values.values())))

    def make(self, values: Sequence[Tensor]) -> ObservationModel:
        """Return the observation model at values of the sites, in their order."""
        return self.parameters.kernels.model_at(dict(zip(self.sites, values, strict=True)))

    def site_coordinates(self, x: Tensor) -> dict[ParameterKey, Tensor]:
        """Return the unconstrained coordinates of each site, (..., sizes of the site...); x: (..., P)."""
        coordinates, first = {}, 0
        for key, shape in self.shapes.items():
            last = first + shape.numel()
            coordinates[key] = x[..., first:last].reshape((*x.shape[:-1], *shape))
            first = last
        return coordinates

    def shift(self) -> Floats:
        """Return the shifts that turn coordinates into logits, (P,): 0 for a unit site, NaN for no share.

        Stick k of K coordinates is the logistic of its coordinate less log(K - k), k from 0 (torch's
        stick-breaking).
        """
        shifts = []
        for key, shape in self.shapes.items():
            part = np.full(tuple(shape), 0.0 if self.sites[key].kind == "unit" else np.nan)
            if self.sites[key].kind == "simplex":
                part[...] = np.log(np.arange(shape[-1], 0, -1))
            shifts.append(part.reshape(-1))
        return np.concatenate(shifts)

    def prior(self, coordinates: Mapping[ParameterKey, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the prior's log density, a scalar, and the values of the sites, each of its shape.

        coordinates: those of each site, as `site_coordinates` gives them for one point.

        It equals Pyro's density of `model`, summed directly, as tracing the model took longer than the sum.
        """
        values: dict[ParameterKey, Tensor] = {}
        total = torch.zeros((), dtype=torch.float64)
        for key, part in coordinates.items():
            site, transform = self.sites[key], self.transforms[key]
            share = transform.inv(part)
            total = total + site.log_density(share, values, self.priors[key])
            total = total - transform.log_abs_det_jacobian(share, part).sum()
            values[key] = site.value(share, values)
            if site.floor is not None:
                values[key] = values[key].clip(1e-9, 1 - 1e-9)
        return total, list(values.values())

    def energy(self, x: Tensor) -> Tensor:
        """Return - log density, a differentiable scalar; x: (P,)."""
        total, values = self.prior(self.site_coordinates(x))
        if self.likelihood is not None:
            total = total + self.likelihood.total(self.make, values)
        return -total

    def potential(self, x: Floats) -> tuple[float, Floats]:
        """Return - log density and its gradient (P,)."""
        at = torch.as_tensor(x).clone().requires_grad_()
        value = self.energy(at)
        (slope,) = torch.autograd.grad(value, at)
        return float(value.detach()), slope.numpy()

    def values_at(self, x: Floats) -> dict[ParameterKey, Floats]:
        """Return the sites' values at one point x, (P,)."""
        return {key: values[0] for key, values in self.values_of_draws(x[None]).items()}

    def values_of_draws(self, x: Floats) -> dict[ParameterKey, Floats]:
        """Return the sites' values at each row of x (S, P), site -> (S, ...)."""
        values: dict[ParameterKey, Tensor] = {}
        for key, part in self.site_coordinates(torch.as_tensor(x)).items():
            values[key] = self.sites[key].value(self.transforms[key].inv(part), values)
        return {key: value.numpy() for key, value in values.items()}

    def prior_draws(self, count: int) -> Floats:
        """Return unconstrained draws from the prior, (count, P); draws below a floor are rejected."""
        columns: dict[ParameterKey, Tensor] = {}
        values: dict[ParameterKey, Tensor] = {}
        for key, site in self.sites.items():
            drawn = site.prior().sample((count,))
            if site.floor is not None:
                for _ in range(MOST_REJECTIONS):
                    below = drawn + values[site.floor] < 1
                    if not below.any():
                        break
                    drawn = torch.where(below, site.prior().sample((count,)), drawn)
            values[key] = drawn
            share = site.share(drawn, values)
            columns[key] = self.transforms[key](share).reshape(count, -1)
        return torch.cat(list(columns.values()), 1).numpy()

    def hessian(self, x: Floats, progress: Progress | None = None) -> Floats:
        """Return the Hessian of the potential, (P, P)."""
        parts = [] if self.likelihood is None else self.likelihood.parts
        done = 0

        def count(coordinates: int) -> None:
            nonlocal done
            done += coordinates
            if progress is not None:
                progress("curvature", done, (1 + len(parts)) * len(x))

        sites = self.site_coordinates(torch.as_tensor(x))
        leaves = {key: part.clone().requires_grad_() for key, part in sites.items()}
        log_density, values = self.prior(leaves)
        at = list(leaves.values())
        total = np.zeros((len(x), len(x)))
        of_prior = second_derivatives(log_density, at, [])
        total[np.ix_(of_prior.coordinates, of_prior.coordinates)] = of_prior.square
        count(len(x))
        if self.likelihood is not None:
            observations = self.make(values)
            for part in parts:
                total += hessian_of_part(self.likelihood, part, observations, at)
                count(len(x))
        return np.asarray(-(total + total.T) / 2)
