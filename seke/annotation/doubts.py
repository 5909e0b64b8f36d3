"""What the answers about an item leave in doubt, and a prompt may name without giving a value away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine import Answers, Knowledge, Option, Posterior

# A binary variable is in doubt where its less likely value has more than this probability.
DOUBT = 0.25
# Variables in doubt that a prompt may name.
MOST_DOUBTS = 5


def doubtful_variables(base: Knowledge, answers: Answers, posterior: Posterior) -> list[tuple[str, ...]]:
    """Return for each item the binary variables that its answers contradict each other about.

    Of many, those that the posterior leaves most in doubt, in the order of the base.
    """
    marginals, names = posterior.marginals, list(base.cells)
    if not names:
        return [()] * len(answers.items)
    distances = np.array([abs(marginals[name][:, 1] - 0.5) for name in names])
    differing = np.array([answers.contradicted(name) for name in names]) & (distances < 0.5 - DOUBT)
    ranks = np.argsort(np.argsort(np.where(differing, distances, np.inf), axis=0), axis=0)
    chosen = differing & (ranks < MOST_DOUBTS)
    return [tuple(name for name, here in zip(names, column, strict=True) if here) for column in chosen.T]


def states_in_question(
    base: Knowledge, posterior: Posterior, row: int, option: Option | None
) -> tuple[str, ...]:
    """Return the two likeliest states of a categorical variable that is asked about alone, in order."""
    about = option.about if option is not None else None
    if about is None or base.variables[about].kind != "categorical":
        return ()
    likeliest = np.argsort(-posterior.marginals[about][row], kind="stable")[:2]
    return tuple(base.variables[about].states[state] for state in sorted(likeliest.tolist()))
