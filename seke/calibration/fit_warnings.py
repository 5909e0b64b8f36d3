"""What a fit and its gold give reason to doubt, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine import EXCESS, RATE_OF_QUESTION, Knowledge, far_off, states_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from engine import Check, Gold

# Warnings about misfit at most.
FEW = 5
APART = "exponents assume that observers err independently; to compare, set their `follows` to 0"
# What to do about a question whose answers are yes more or less often than those of others foretell.
BY_QUESTION = "; give the question rates of its own: observers: ... binary: {{by_question: {{{}: {{}}}}}}"
# What to do about answers that fit the knowledge better than their observer as fitted would.
COUPLED = "; answers may be made to fit the label: declare `halo` of {}, which the fit then learns"
# Items of gold for each state of the root; with fewer a learned population gets a warning.
ENOUGH_GOLD = 40
SHAKY = (
    "the population was learned with observers that have little gold, and shares their errors; declare it "
    "if you know it"
)
# A population is doubted where gold drawn from it would be as far off in one of a thousand cases, by draws,
# and is off by a tenth of all items (judgement: smaller gaps move posteriors little).
UNLIKELY, DRAWS, FAR = 0.001, 9_999, 0.1
OTHER_SHARES = (
    "gold {variable} is {counts} of {items}, where the population {population} has about {expected}: if gold "
    "was drawn at random from your items, add --learn-population, or choose one that fits (--population); "
    "otherwise what is stated of common states is too low, and of rare ones too high"
)
# Persons from whom it can hardly be told how much others differ (judgement).
FEW_PERSONS = 10
OF_FEW = (
    "gold is of {} persons: so few do not show how much others differ from them, and what is stated of new "
    "persons may be too sure"
)


def gold_warnings(
    base: Knowledge, gold: Gold, population: str, persons: int, *, learned: bool
) -> Iterator[str]:
    """Yield what the gold of a fit gives reason to doubt.

    population: in use after the fit; learned: whether from these items. persons: 0 where that is not known.
    """
    variable = base.variables[base.root]
    known = states_of(variable, gold.values[base.root]) if base.root in gold.values else np.zeros(0, int)
    counts = np.bincount(known[known >= 0], minlength=len(variable.states))
    if learned and counts.sum() < ENOUGH_GOLD * len(counts):
        yield SHAKY
    p = np.array(base.populations[base.reference if learned else population].p)
    far = np.abs(counts - p * counts.sum()).sum() / 2 > FAR * counts.sum()
    if not learned and far and chance(counts, p) < UNLIKELY:
        order = [place for place in np.argsort(-counts, kind="stable").tolist() if counts[place]]
        yield OTHER_SHARES.format(
            variable=base.root,
            counts=", ".join(f"{variable.states[place]} {counts[place]}" for place in order),
            items=counts.sum(),
            population=population,
            expected=", ".join(f"{round(p[place] * counts.sum())}" for place in order),
        )
    if 0 < persons < FEW_PERSONS:
        yield OF_FEW.format(persons)


def chance(counts: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    """Return the probability that counts (K,) drawn by p (K,) are as far off, by Pearson's chi-square.

    By draws of a fixed seed, for expected counts may be small: (draws as far off + 1) / (draws + 1).
    """
    expected = np.maximum(p * counts.sum(), 1e-9)
    drawn = np.random.default_rng(0).multinomial(counts.sum(), p / p.sum(), DRAWS)
    off, drawn_off = (((part - expected) ** 2 / expected).sum(-1) for part in (counts, drawn))
    return float((np.count_nonzero(drawn_off >= off - 1e-9) + 1) / (DRAWS + 1))


def misfit_warnings(checks: Sequence[Check]) -> Iterator[str]:
    """Yield what an observer does otherwise than its fit predicts, the FEW most striking."""
    for check in far_off(checks)[:FEW]:
        yield (
            f"{check.about} does not answer as its fit predicts: {check.kind} ({check.name}) is "
            f"{check.observed:.3f}, predicted {check.drawn:.3f} ± {check.sd:.3f}"
            + (BY_QUESTION.format(check.name) if check.kind == RATE_OF_QUESTION else "")
            + (COUPLED.format(check.name) if check.kind == EXCESS and check.observed > check.drawn else "")
        )
