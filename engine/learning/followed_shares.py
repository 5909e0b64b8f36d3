"""How often answers follow what their prompt told, or repeat what it showed: the last step of a fit.

Readings whose prompt stated something are no part of the fit of their observer, since they do not show how
it looks. Given that fit, the share h that merely follows (`halo` of what is told, `echo`) has the posterior

    P(h | answers, gold) ∝ Beta(h; declared) Π_i P(stated and blind answers about i, gold_i | h),

over items with gold that the same observer was asked about blind and with the statement. It is summed on a
grid, since h is one number from 0 to 1.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, xlog1py, xlogy

from engine.learning.likelihood import Likelihood
from engine.learning.parameters import Unidentified
from engine.model.parameter_key import ParameterKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.backend.types import Bools, Floats
    from engine.learning.observer_fit import Fit
    from engine.model.gold import Gold
    from engine.model.responses import Answers
    from engine.observation.evidence import ObservationModel

# Items with gold, asked about both ways, from which a share is learned: as many as make a value calibrated.
FEWEST_ITEMS = 30
# Shares at which the posterior is summed: a hundredth apart, less than any sd that 30 to 1,000 items leave.
GRID = (np.arange(100) + 0.5) / 100
FEW = "{} items with gold were asked about both blind and so; it is learned from {} on"


@dataclass(frozen=True)
class _StatedQuestion:
    """A question whose prompts stated something to an observer; shown: an earlier answer."""

    key: ParameterKey
    observer: int
    question: int
    shown: bool

    def at(self, observations: ObservationModel, share: float) -> ObservationModel:
        """Return the observation model in which this share of its answers follows."""
        changed = copy(observations)
        if self.shown:
            echo = observations.echo[self.observer]
            probability = echo.probability.copy()
            probability[self.question] = share
            changed.echo = list(observations.echo)
            changed.echo[self.observer] = replace(echo, probability=probability)
        else:
            changed.halo_of_given = observations.halo_of_given.copy()
            changed.halo_of_given[self.observer, self.question] = share
        return changed


def with_followed_shares(fit: Fit, answers: Answers, gold: Gold) -> Fit:
    """Return the fit with the shares of answers that follow what was stated.

    answers, gold: of the items of the fit, with the readings whose prompts stated something. A share with
    less than FEWEST_ITEMS items stays as declared, with the reason among the unidentified numbers.
    """
    learned = {}
    for asked in _stated_questions(fit, answers):
        both = _asked_both_ways(answers, asked) & gold.known(len(answers.items))
        if both.sum() < FEWEST_ITEMS:
            reason = FEW.format(int(both.sum()), FEWEST_ITEMS)
            fit.parameters.unidentified.append(Unidentified((asked.key,), reason))
            continue
        chosen = answers.reading_observer == asked.observer
        chosen &= answers.blind | (answers.reading_question == asked.question)
        part = answers.keeping(chosen).only(both)
        learned[asked.key] = _posterior(
            fit, asked, Likelihood(fit.parameters.inference, part, gold.only(both))
        )
    return replace(fit, followed={**fit.followed, **learned})


def _stated_questions(fit: Fit, answers: Answers) -> Iterator[_StatedQuestion]:
    """Yield the questions to observers of the fit whose prompts stated something in these answers."""
    observations = fit.parameters.inference.observations
    names = list(observations.knowledge.questions)
    asked = np.stack([answers.reading_observer, answers.reading_question])[:, ~answers.blind]
    for index, question in np.unique(asked, axis=1).T.tolist():
        shown = observations.echo[index].probability[question] > 0
        if index in fit.parameters.observers and (shown or observations.halo_of_given[index, question] > 0):
            what = ParameterKey(observations.observers[index].name, question=names[question])
            yield _StatedQuestion(what.of("echo" if shown else "probability"), index, question, bool(shown))


def _asked_both_ways(answers: Answers, asked: _StatedQuestion) -> Bools:
    """Return which items the observer was asked about blind and with a statement, (N,)."""
    observer = answers.reading_observer == asked.observer
    stated = observer & ~answers.blind & (answers.reading_question == asked.question)
    both = np.zeros((2, len(answers.items)), dtype=bool)
    both[0, answers.reading_item[observer & answers.blind]] = True
    both[1, answers.reading_item[stated]] = True
    return np.asarray(both.all(0))


def _posterior(fit: Fit, asked: _StatedQuestion, likelihood: Likelihood) -> tuple[float, float, float, float]:
    """Return the declared share, the sd of its prior, and mean and sd of its posterior."""
    observations = fit.observations()
    logs: Floats = np.array(
        [
            sum(float(part.sum()) for part in likelihood.log_likelihoods(asked.at(observations, share)))
            for share in GRID.tolist()
        ]
    )
    declared = fit.parameters.inference.observations
    value = (
        declared.echo[asked.observer].probability[asked.question]
        if asked.shown
        else declared.halo_of_given[asked.observer, asked.question]
    )
    mean, count = fit.parameters.widths.share(asked.key, float(value))
    # The Beta prior, up to a factor.
    logs = logs + xlog1py((1 - mean) * count - 1, -GRID) + xlogy(mean * count - 1, GRID)
    weight = np.exp(logs - logsumexp(logs))
    fitted = float(weight @ GRID)
    return (
        mean,
        float(np.sqrt(mean * (1 - mean) / (count + 1))),
        fitted,
        float(np.sqrt(weight @ (GRID - fitted) ** 2)),
    )
