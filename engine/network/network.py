"""The compiled network: the waist between what is declared and inference.

Its values are in `values`; here is how they are read as a Bayesian network of pgmpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.network.pgmpy_export import observed_true, to_pgmpy
from engine.network.values import NetworkValues

if TYPE_CHECKING:
    from pgmpy.models import DiscreteBayesianNetwork


@dataclass(frozen=True)
class Network(NetworkValues):
    """A compiled base."""

    def to_pgmpy(self, population: str | None = None) -> DiscreteBayesianNetwork:
        """Return the same distribution as a Bayesian network of pgmpy.

        Each coupling and rule is a binary child with state `true`; the network has the
        declared numbers given `observed()`, not before. A block of interval variables is
        split by the chain rule.
        """
        return to_pgmpy(self, population or self.reference)

    def observed(self) -> dict[str, str]:
        """Return the evidence that the network of `to_pgmpy` is conditioned on."""
        return observed_true(self)
