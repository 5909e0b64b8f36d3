"""The loss of values that are not accepted; both look-aheads use it.

Of a variable that is at stake the loss is its worth times `relative_loss`: nothing once it is accepted;
before that half of its worth, for it is not, and the other half times 1 - limit / risk, so that progress
counts though one question alone may not reach the limit. What is accepted already is not at stake; what
nobody looked at is not accepted, however low its risk, until a question about it is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.decision import highest_risk, risk_of
from engine.decision.limits import TIE
from engine.decision.origin import Origin, labels_of, origins_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers

    Masks = Mapping[str, Bools]

# The share of its worth that a value which is not accepted loses at least.
UNACCEPTED = 0.5


@dataclass(frozen=True)
class Stakes:
    """What questions about N items may still win.

    worth: variable of a level -> (N,) the worth of its acceptance, 0 where it is not at stake. unseen:
    variable -> (N,) whether nobody has looked at it.
    """

    worth: Mapping[str, Floats]
    unseen: Masks

    def part(self, rows: Ints | slice) -> Stakes:
        """Return the stakes of some of the items."""
        worth = {name: column[rows] for name, column in self.worth.items()}
        return Stakes(worth, {name: column[rows] for name, column in self.unseen.items()})


def unseen_and_final(base: Knowledge, answers: Answers, followed: Floats) -> tuple[Masks, Masks]:
    """Return by variable whether nobody has looked at it, and whether a data set's label of it is final.

    Both (N,); of the second only variables that have a label. followed: (R,) see `Posterior.followed`.
    """
    origins = origins_of(base, answers, followed)
    labels = labels_of(base, answers) if base.policy.labels_final else {}
    unseen = {name: np.asarray(origin != Origin.SEEN) for name, origin in origins.items()}
    return unseen, {name: ~np.isnan(label) for name, label in labels.items()}


def stakes_of(base: Knowledge, marginals: Mapping[str, Floats], unseen: Masks, final: Masks) -> Stakes:
    """Return what is at stake of N items: what nobody has looked at, or has a risk above the one aimed at.

    Never where a label is final. base: its policy is one that `Policy.aimed_at` returns. marginals: variable
    -> (N, states). unseen, final: see `unseen_and_final`.
    """
    policy, worth = base.policy, {}
    for name, hidden in unseen.items():
        variable = base.variables[name]
        value, risk = risk_of(variable, marginals[name], policy)
        open_items = hidden | (risk > highest_risk(variable, policy, value) + TIE)
        if name in final:
            open_items &= ~final[name]
        worth[name] = np.where(open_items, policy.worth[name], 0.0)
    return Stakes(worth, unseen)


def loss_of(
    base: Knowledge, marginals: Mapping[str, Floats], stakes: Stakes, answered: Collection[str] = ()
) -> Floats:
    """Return the total loss of items with these marginals (N, states), (N,).

    stakes: of these items, or of one that all of them continue. answered: variables looked at since then.
    """
    total = np.zeros(len(marginals[base.root]))
    for name, worth in stakes.worth.items():
        if worth.any():
            variable = base.variables[name]
            value, risk = risk_of(variable, marginals[name], base.policy)
            hidden = None if name in answered else stakes.unseen[name]
            total += worth * relative_loss(risk, highest_risk(variable, base.policy, value), hidden)
    return total


def relative_loss(risk: Floats, limit: Floats | float, unseen: Bools | None = None) -> Floats:
    """Return the loss as a share of the worth: 0 at or under the limit, 1/2 above it, towards 1 far above.

    Where nobody has looked it is 1/2 at least. All arguments broadcast to the shape of the risk.
    """
    limit = np.asarray(limit, np.asarray(risk).dtype)
    short = np.asarray(np.maximum(risk, np.maximum(limit, TIE)))
    np.divide(-UNACCEPTED * limit, short, out=short)
    short += 1
    short *= np.asarray(risk) > limit + TIE
    if unseen is not None and unseen.any():
        np.maximum(short, UNACCEPTED * unseen.astype(short.dtype), out=short)
    return short
