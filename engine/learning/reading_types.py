"""Trials of kinds of reading: are an observer's readings all of one kind, or easy ones and hard ones?

A fit learns the kinds (`types`) that are declared. Here more kinds are proposed where an observer gave
several answers a reading about a categorical variable, and kept where they predict held-out items better:
with

    d_i = log P(answers_i, gold_i | more kinds) - log P(answers_i, gold_i | one kind),     nats,

each model fitted without i's fold, Σ_i d_i has to be above 0 by CLEAR_STANDARD_ERRORS standard errors, and
the same of log P(gold_i | answers_i) not as clearly below. What is fitted is that observer's answers about
that variable only, so that a trial is cheap; the whole fit then begins with the kinds that were kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.backend.threads import torch_threads
from engine.learning.likelihood import Likelihood
from engine.learning.observer_fit import FitSettings, Target, fit_observers, minimise_potential
from engine.learning.parameters import count_answers
from engine.model.gold import Gold
from engine.model.knowledge import Number
from engine.observation.kernels import LabelKernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from engine.inference.posterior import Inference
    from engine.learning.observer_fit import Fit
    from engine.model.knowledge import ReadingType
    from engine.model.responses import Answers

    Floats = NDArray[np.float64]
    Progress = Callable[[str, int, int], None]

# Names of the kinds of each trial, tried in this order.
NAMES = (("easy", "hard"), ("easy", "fair", "hard"))
# Readings with several answers from which more kinds are tried.
LEAST_AGAIN = 100
# Items of a trial at most.
MOST_ITEMS = 2000
# Folds of the held-out scores.
FOLDS = 4
# Standard errors by which a mean gain has to differ from 0.
CLEAR_STANDARD_ERRORS = 2.0
# Pseudo-counts of the kinds' shares and repeats, and sd of a strength's log: weak priors.
WEAK_N = 4.0
WEAK_SD = 1.0
# Ratios of the hardest kind to a middle one: its scatter 1 - repeat is larger by the first, its strength
# smaller by the second, its share smaller by the third. The easiest kind is as far on the other side.
SCATTERED, STEADIER, EASIER = 2.5, 2.0, 1.5
# Scatter 1 - repeat of a proposed kind at most.
MOST_SCATTER = 0.8


@dataclass(frozen=True)
class ComponentTrial:
    """A trial of more kinds of reading.

    kinds: their names. items: how many were scored; gain: the mean of d_i, nats an item, with its standard
    error. gold_gain: that of the score of gold, of the items that have it; NaN where none has.
    """

    observer: str
    variable: str
    kinds: tuple[str, ...]
    items: int
    gain: float
    gain_se: float
    gold_gain: float
    gold_gain_se: float

    @property
    def kept(self) -> bool:
        """Whether held-out items are predicted clearly better, and gold not clearly worse."""
        better = self.gain > CLEAR_STANDARD_ERRORS * self.gain_se
        return bool(better and not self.gold_gain < -CLEAR_STANDARD_ERRORS * self.gold_gain_se)


def split_types(
    inference: Inference, answers: Answers, gold: Gold, progress: Progress, seed: int = 0
) -> tuple[Inference, tuple[ComponentTrial, ...]]:
    """Return the same network with more kinds of reading where the data ask for them, and all trials.

    Tried are observers with one kind and LEAST_AGAIN readings or more of several answers; three kinds only
    where two were kept.
    """
    trials = []
    for index, observer in enumerate(inference.observations.observers):
        for name, instrument in observer.labels.items():
            categorical = inference.knowledge.variables[name].kind == "categorical"
            if (
                categorical
                and len(instrument.types) == 1
                and count_answers(answers, gold, index, name).again >= LEAST_AGAIN
            ):
                inference, new_trials = _try_kinds(inference, answers, gold, (index, name), progress, seed)
                trials += new_trials
    return inference, tuple(trials)


def _try_kinds(
    inference: Inference, answers: Answers, gold: Gold, key: tuple[int, str], progress: Progress, seed: int
) -> tuple[Inference, list[ComponentTrial]]:
    """Try more and more kinds of an observer's readings of a variable, until a trial is not kept."""
    observer, name = inference.observations.observers[key[0]], key[1]
    (first,) = observer.labels[name].types
    answers, gold = _answers_about(answers, gold, *key, seed)
    known = ~np.isnan(gold.values[name]) if gold.values else np.zeros(len(answers.items), dtype=bool)
    _, joint, alone = _held_out_scores(inference, answers, gold, seed, progress)
    trials: list[ComponentTrial] = []
    for names in NAMES:
        candidate = with_kinds(inference, observer.name, name, names, first, has_gold=bool(known.any()))
        fit, candidate_joint, candidate_alone = _held_out_scores(candidate, answers, gold, seed, progress)
        of_gold = ((candidate_joint - candidate_alone) - (joint - alone))[known]
        figures = (len(joint), *_mean(candidate_joint - joint), *_mean(of_gold))
        trials.append(ComponentTrial(observer.name, name, names, *figures))
        if not trials[-1].kept:
            break
        named = _names_by_agreement(fit, key, names)
        inference = with_kinds(inference, observer.name, name, named, first, has_gold=bool(known.any()))
        joint, alone = candidate_joint, candidate_alone
    return inference, trials


def _answers_about(answers: Answers, gold: Gold, observer: int, name: str, seed: int) -> tuple[Answers, Gold]:
    """Return an observer's answers about a variable, of at most MOST_ITEMS items, and its gold."""
    labels = answers.labels[name]
    by_observer = answers.reading_observer[labels.reading] == observer
    column = replace(
        labels,
        reading=labels.reading[by_observer],
        answer=labels.answer[by_observer],
        weight=labels.weight[by_observer],
        spread=labels.spread[by_observer],
    )
    alone = replace(answers, labels={name: column}, numbers={}, rankings={})
    items = np.unique(answers.reading_item[column.reading])
    chosen = np.zeros(len(answers.items), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(items)[:MOST_ITEMS]] = True
    known = Gold({name: gold.values[name]} if name in gold.values else {}).only(chosen)
    return alone.only(chosen), Gold(
        {n: values for n, values in known.values.items() if not np.isnan(values).all()}
    )


def with_kinds(
    inference: Inference,
    observer: str,
    name: str,
    names: tuple[str, ...],
    first: ReadingType,
    *,
    has_gold: bool,
) -> Inference:
    """Return inference in a network whose observer has these kinds of reading of a variable.

    Their priors are weak, and around the one kind that is declared, `first`: each further one scatters more.
    has_gold: whether there is gold, so that they may differ in how often they are misread.
    """
    base = inference.knowledge
    whole, path = base.observers[observer], f"observers.{observer}.categorical.{name}.types"
    numbers, kinds = dict(base.numbers), []
    hardness = np.linspace(-1, 1, len(names))
    shares = EASIER**-hardness / (EASIER**-hardness).sum()
    for kind, hard, share, misread in zip(names, hardness, shares, shares[::-1], strict=True):
        strength = first.strength * STEADIER**-hard
        made = replace(
            first,
            name=kind,
            share=float(share),
            repeat=1 - min(float((1 - first.repeat) * SCATTERED**hard), MOST_SCATTER),
            strength=float(strength),
            misread=float(misread) if has_gold else None,
        )
        kinds.append(made)
        for key, value in (("n", WEAK_N), ("sd.strength", WEAK_SD * made.strength)):
            place = f"{path}.{kind}.{key}"
            numbers[place] = Number(path=place, value=value)
    kinds.sort(key=lambda reading_type: reading_type.name)
    labels = {**whole.labels, name: replace(whole.labels[name], types=tuple(kinds))}
    observers = {**base.observers, observer: replace(whole, labels=labels)}
    return inference.with_knowledge(replace(base, observers=observers, numbers=numbers))


def _held_out_scores(
    inference: Inference, answers: Answers, gold: Gold, seed: int, progress: Progress
) -> tuple[Fit, Floats, Floats]:
    """Return the fit, and log P(answers, gold) and log P(answers) of each item (N,) without its fold."""
    fit = fit_observers(inference, answers, gold, FitSettings(seed=seed), progress)
    fold = np.random.default_rng(seed).permutation(len(answers.items)) % FOLDS
    joint, alone = np.zeros(len(fold)), np.zeros(len(fold))
    with torch_threads(inference.threads):
        for k in range(FOLDS):
            in_fold = fold == k
            target = Target(fit.unknowns, Likelihood(inference, answers.only(~in_fold), gold.only(~in_fold)))
            x = minimise_potential(
                target, fit.centre, fit.root, f"kinds of reading, fold {k + 1} of {FOLDS}", progress
            )
            values = {name: torch.as_tensor(site_value) for name, site_value in target.values_at(x).items()}
            held_out, observations = (
                Likelihood(inference, answers.only(in_fold), gold.only(in_fold)),
                fit.unknowns.model_at(values),
            )
            joint[in_fold] = np.concatenate(list(held_out.log_likelihoods(observations)))
            alone[in_fold] = np.concatenate(list(held_out.log_likelihoods(observations, gold=False)))
    return fit, joint, alone


def _names_by_agreement(fit: Fit, key: tuple[int, str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in the order of the fitted kinds, where answers of the easiest agree most.

    Two of a reading with Dirichlet counts α, Σ α = A, agree with probability Σ α (α + 1) / (A (A + 1)).
    """
    kernel = fit.unknowns.model_at(dict(fit.point)).kernels[key]
    assert isinstance(kernel, LabelKernel)
    mass = kernel.alpha.sum(1)
    agree = (kernel.alpha * (kernel.alpha + 1)).sum(1) / (mass * (mass + 1))
    rank = np.argsort(np.argsort(-agree.reshape(len(names), -1).mean(1)))
    return tuple(names[i] for i in rank)


def _mean(values: Floats) -> tuple[float, float]:
    """Return a mean and its standard error; NaN of nothing."""
    if len(values) < 2:
        return float("nan"), float("nan")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
