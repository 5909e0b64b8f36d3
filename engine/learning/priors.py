"""The priors of a fit: the numbers of its model, and the strengths of declared numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.language.parameter_paths import yaml_path
from engine.model.parameter_key import ParameterKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from torch import Tensor

    from engine.backend.types import Floats
    from engine.model.citation import Number

    Values = Mapping[ParameterKey, Tensor]

# Bounds of the prior mean of a share: a mean of 0 or 1 could never be moved.
LEAST_SHARE, MOST_SHARE = 0.01, 0.99


@dataclass(frozen=True)
class FitPriors:
    """The numbers of a fit's model; the YAML takes precedence over `n`, `spread` and `pull_sd`.

    All are judgements, for the reason beside each, but where a source stands.
    """

    # Pseudo-counts of a row or a share: as unsure as after eight answers.
    n: float = 8.0
    # Sd of the log of a positive number: a factor of 1.6 either way is one sd.
    spread: float = 0.5
    # Sd of a pull, log-odds: the best of held-out log scores of published rankings at 100 to 2,000 items.
    pull_sd: float = 0.3
    # Pseudo-counts of the population, for each root state: one item a state hardly holds any data back.
    population_n: float = 1.0
    # Correlation between the logs of the exponents of any two observers: they share most of what makes
    # evidence too strong.
    exponent_correlation: float = 0.9
    # Items with gold from which exponents are fitted: ten in each of four folds.
    exponent_gold: int = 40
    # Numbers from which the grid of a gauge is estimated; with fewer the declared one is kept.
    grid_numbers: int = 20
    # Share of all numbers that has to lie on a grid; the rest are slips.
    grid_share: float = 0.97
    # Readings with several answers from which more kinds of reading are tried.
    trial_readings: int = 100
    # Standard errors by which a mean gain has to differ from 0: about a 95 % interval.
    trial_standard_errors: float = 2.0
    # Pseudo-counts of the shares and repeats of tried kinds, and sd of a strength's log: weak, for the data
    # that ask for more kinds are many.
    trial_n: float = 4.0
    trial_sd: float = 1.0
    # Ratios of the hardest kind to a middle one: its scatter 1 - repeat is larger by the first, its strength
    # smaller by the second, its share smaller by the third. The easiest kind is as far on the other side.
    trial_scatter: float = 2.5
    trial_strength: float = 2.0
    trial_share: float = 1.5
    # Scatter 1 - repeat of a tried kind at most: beyond it answers of a reading hardly agree.
    trial_most_scatter: float = 0.8
    # Readings, or pairs of them, from which a statistic is checked.
    check_readings: int = 20
    # Distance of a statistic from the replicates' mean, in sds, that chance does not explain though many
    # statistics are looked at.
    check_sds: float = 4.0
    # Differences up to this do not matter, whatever their significance; in the statistic's unit.
    check_difference: float = 0.02
    # A stereotype is written if the fit removed this share of its prior variance; others follow the network.
    least_learned: float = 0.1


@dataclass(frozen=True)
class DeclaredWidths:
    """How sure declared numbers are: as the YAML says, else as `priors` do. numbers: those of the YAML."""

    numbers: Mapping[str, Number]
    priors: FitPriors

    def number(self, key: ParameterKey, width: Literal["", "sd", "n"] = "") -> float | None:
        """Return a number of the YAML, or its sd or pseudo-counts; None where it has none."""
        number = self.numbers.get(yaml_path(key, width))
        return None if number is None else number.value

    def spread(self, observer: str) -> float:
        """Return the sd of the log of an observer's positive numbers."""
        return self.number(ParameterKey(observer, "spread")) or self.priors.spread

    def log_sd(self, key: ParameterKey, value: float) -> float:
        """Return the sd of the log of a positive number with this value."""
        sd = self.number(key, "sd")
        return self.spread(key.observer) if sd is None else sd / value

    def count(self, key: ParameterKey) -> float:
        """Return the pseudo-counts of a share or a table; those of its observer where it has none."""
        for place in (key, ParameterKey(key.observer)):
            count = self.number(place, "n")
            if count is not None:
                return count or self.priors.n
        return self.priors.n

    def row_counts(self, table: ParameterKey, rows: Sequence[str]) -> Floats:
        """Return the pseudo-counts of a table's rows, (K,)."""
        whole = self.count(table)
        return np.array([self.number(table.of(table.what, row), "n") or whole for row in rows])

    def share(self, key: ParameterKey, value: float) -> tuple[float, float]:
        """Return mean and pseudo-counts of the prior of a share with this declared value."""
        mean = min(max(value, LEAST_SHARE), MOST_SHARE)
        sd = self.number(key, "sd")
        if sd is not None:
            return mean, max(mean * (1 - mean) / sd**2 - 1, 1.0)
        return mean, self.count(key)


@dataclass(frozen=True)
class Site:
    """A parameter to be learned, or an array of them.

    mean: any shape, rows last for a simplex. width: pseudo-counts, or an sd; of mean's shape, for a simplex
    of that of its rows. floor: key of another unit site; this one is at least 1 - the other.
    """

    key: ParameterKey
    kind: Literal["simplex", "unit", "positive", "real"]
    mean: Floats
    width: Floats
    floor: ParameterKey | None = None

    @property
    def name(self) -> str:
        """Return its name within a Pyro model."""
        return repr(self.key)

    def prior(self) -> Any:
        """Return the prior, a Pyro distribution; a floor cuts it off."""
        import pyro.distributions
        import torch

        dist: Any = pyro.distributions
        mean, width = torch.as_tensor(self.mean), torch.as_tensor(self.width)
        if self.kind == "simplex":
            return dist.Dirichlet(mean * width[..., None]).to_event(self.mean.ndim - 1)
        if self.kind == "unit":
            made = dist.Beta(mean * width, (1 - mean) * width)
        elif self.kind == "positive":
            made = dist.LogNormal(mean.log(), width)
        else:
            made = dist.Normal(mean, width)
        return made.to_event(self.mean.ndim)

    def sample(self, values: Values) -> Tensor:
        """Return a sample of the site, of the mean's shape, within a Pyro model.

        values: those of the sites before.

        Above a floor 1 - y the share v of the room y is sampled, x = (1 - y) + y v; the density of x is the
        prior's, dx = y dv.
        """
        import pyro
        import pyro.distributions

        dist: Any = pyro.distributions
        if self.floor is None:
            value: Tensor = pyro.sample(self.name, self.prior())
            return value
        room = values[self.floor]
        share = pyro.sample(self.name, dist.Uniform(0.0, 1.0).expand(room.shape).to_event(room.ndim))
        value = (1 - room + room * share).clip(1e-9, 1 - 1e-9)
        pyro.factor(f"{self.name}, its prior", self.prior().log_prob(value) + room.log().sum())
        return value

    def log_density(self, share: Tensor, values: Values, prior: Any) -> Tensor:
        """Return the site's term of the log density at a sampled share, a scalar; prior: its `prior`."""
        value = share if self.floor is None else self.value(share, values).clip(1e-9, 1 - 1e-9)
        density: Tensor = prior.log_prob(value)
        return density if self.floor is None else density + values[self.floor].log().sum()

    def share(self, value: Tensor, values: Values) -> Tensor:
        """Return the share that is sampled where the parameter has this value, of the same shape."""
        if self.floor is None:
            return value
        room = values[self.floor]
        return ((value - (1 - room)) / room).clip(LEAST_SHARE, MOST_SHARE)

    def value(self, share: Tensor, values: Values) -> Tensor:
        """Return the parameter's value where this share is sampled, of the same shape."""
        if self.floor is None:
            return share
        room = values[self.floor]
        return 1 - room + room * share
