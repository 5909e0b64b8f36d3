"""Trials of kinds of reading: are an observer's readings all of one kind, or easy ones and hard ones?

A fit learns the kinds (`types`) that are declared. Here more kinds are proposed where an observer gave
several answers a reading about a categorical variable, and kept where they predict held-out items better:
with

    d_i = log P(answers_i, gold_i | more kinds) - log P(answers_i, gold_i | one kind),     nats,

each model fitted without i's fold, Σ_i d_i has to be above 0 by `FitPriors.trial_standard_errors`, and
the same of log P(gold_i | answers_i) not as clearly below. What is fitted is that observer's answers about
that variable only, so that a trial is cheap; the whole fit then begins with the kinds that were kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.backend.threads import torch_threads
from engine.language.parameter_paths import yaml_path
from engine.learning.answered_observers import count_answers
from engine.learning.likelihood import Likelihood
from engine.learning.observer_fit import FitSettings, fit_observers, minimise_potential
from engine.learning.target import Target
from engine.model.citation import Number
from engine.model.gold import Gold
from engine.model.parameter_key import ParameterKey
from engine.observation.kernels import LabelKernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.backend.types import Floats
    from engine.inference.posterior import Inference
    from engine.learning.observer_fit import Fit
    from engine.learning.priors import FitPriors
    from engine.model.knowledge import ReadingType
    from engine.model.responses import Answers

    Progress = Callable[[str, int, int], None]

# Names of the kinds of each trial, tried in this order.
NAMES = (("easy", "hard"), ("easy", "fair", "hard"))
# Items of a trial at most.
MOST_ITEMS = 2000
# Nats below which a loss is none: where gold leaves nothing open, its score does not change but by rounding.
ROUNDING = 1e-9
# Folds of the held-out scores.
FOLDS = 4


@dataclass(frozen=True)
class ComponentTrial:
    """A trial of more kinds of reading.

    kinds: their names. items: how many were scored; gain: the mean of d_i, nats an item, with its standard
    error. gold_gain: that of the score of gold, of the items that have it; NaN where none has. kept: whether
    held-out items are predicted clearly better, and gold not clearly worse.
    """

    observer: str
    variable: str
    kinds: tuple[str, ...]
    items: int
    gain: float
    gain_se: float
    gold_gain: float
    gold_gain_se: float
    kept: bool


def split_types(
    inference: Inference, answers: Answers, gold: Gold, progress: Progress, seed: int = 0
) -> tuple[Inference, tuple[ComponentTrial, ...]]:
    """Return the same network with more kinds of reading where the data ask for them, and all trials.

    Tried are observers with one kind and `FitPriors.trial_readings` or more of several answers; three kinds
    only where two were kept.
    """
    settings, trials = FitSettings(seed=seed), []
    for index, observer in enumerate(inference.observations.observers):
        for name, instrument in observer.labels.items():
            categorical = inference.knowledge.variables[name].kind == "categorical"
            again = count_answers(answers, gold, index, name).again
            if categorical and len(instrument.types) == 1 and again >= settings.priors.trial_readings:
                inference, new_trials = _try_kinds(
                    inference, answers, gold, (index, name), settings, progress
                )
                trials += new_trials
    return inference, tuple(trials)


def _try_kinds(
    inference: Inference,
    answers: Answers,
    gold: Gold,
    place: tuple[int, str],
    settings: FitSettings,
    progress: Progress,
) -> tuple[Inference, list[ComponentTrial]]:
    """Try more and more kinds of an observer's readings of a variable, until a trial is not kept."""
    observer, name = inference.observations.observers[place[0]], place[1]
    (first,) = observer.labels[name].types
    answers, gold = _answers_about(answers, gold, *place, settings.seed)
    known = ~np.isnan(gold.values[name]) if gold.values else np.zeros(len(answers.items), dtype=bool)
    key, priors = ParameterKey(observer.name, "", "categorical", name), settings.priors
    has_gold, clear = bool(known.any()), priors.trial_standard_errors
    _, joint, alone = _held_out_scores(inference, answers, gold, settings, progress)
    trials: list[ComponentTrial] = []
    for names in NAMES:
        candidate = _with_kinds(inference, key, names, first, priors, has_gold=has_gold)
        fit, candidate_joint, candidate_alone = _held_out_scores(candidate, answers, gold, settings, progress)
        gain, gain_se = _mean(candidate_joint - joint)
        gold_gain, gold_se = _mean(((candidate_joint - candidate_alone) - (joint - alone))[known])
        kept = gain > clear * gain_se and not gold_gain < -clear * gold_se - ROUNDING
        figures = len(joint), gain, gain_se, gold_gain, gold_se, kept
        trials.append(ComponentTrial(observer.name, name, names, *figures))
        if not kept:
            break
        named = _names_by_agreement(fit, place, names)
        inference = _with_kinds(inference, key, named, first, priors, has_gold=has_gold)
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


def _with_kinds(
    inference: Inference,
    key: ParameterKey,
    names: tuple[str, ...],
    first: ReadingType,
    priors: FitPriors,
    *,
    has_gold: bool,
) -> Inference:
    """Return inference in a network whose observer has these kinds of reading of a variable: those of `key`.

    Their priors are weak, and around the one kind that is declared, `first`: each further one scatters more.
    has_gold: whether there is gold, so that they may differ in how often they are misread.
    """
    base = inference.knowledge
    whole, numbers, kinds = base.observers[key.observer], dict(base.numbers), []
    hardness = np.linspace(-1, 1, len(names))
    shares = priors.trial_share**-hardness / (priors.trial_share**-hardness).sum()
    for kind, hard, share, misread in zip(names, hardness, shares, shares[::-1], strict=True):
        strength = first.strength * priors.trial_strength**-hard
        made = replace(
            first,
            name=kind,
            share=float(share),
            repeat=1 - min(float((1 - first.repeat) * priors.trial_scatter**hard), priors.trial_most_scatter),
            strength=float(strength),
            misread=float(misread) if has_gold else None,
        )
        kinds.append(made)
        number = replace(key, what="strength", reading_type=kind)
        for path, value in (
            (yaml_path(number, "n"), priors.trial_n),
            (yaml_path(number, "sd"), priors.trial_sd * made.strength),
        ):
            numbers[path] = Number(path=path, value=value)
    kinds.sort(key=lambda reading_type: reading_type.name)
    labels = {**whole.labels, key.variable: replace(whole.labels[key.variable], types=tuple(kinds))}
    observers = {**base.observers, key.observer: replace(whole, labels=labels)}
    return inference.with_knowledge(replace(base, observers=observers, numbers=numbers))


def _held_out_scores(
    inference: Inference, answers: Answers, gold: Gold, settings: FitSettings, progress: Progress
) -> tuple[Fit, Floats, Floats]:
    """Return the fit, and log P(answers, gold) and log P(answers) of each item (N,) without its fold."""
    fit = fit_observers(inference, answers, gold, settings, progress)
    fold = np.random.default_rng(settings.seed).permutation(len(answers.items)) % FOLDS
    joint, alone = np.zeros(len(fold)), np.zeros(len(fold))
    with torch_threads(1):
        for k in range(FOLDS):
            in_fold = fold == k
            target = Target(
                fit.parameters, Likelihood(inference, answers.only(~in_fold), gold.only(~in_fold))
            )
            x = minimise_potential(
                target, fit.centre, fit.root, f"kinds of reading, fold {k + 1} of {FOLDS}", progress
            )
            values = {key: torch.as_tensor(value) for key, value in target.values_at(x).items()}
            held_out, observations = (
                Likelihood(inference, answers.only(in_fold), gold.only(in_fold)),
                fit.parameters.kernels.model_at(values),
            )
            joint[in_fold] = np.concatenate(list(held_out.log_likelihoods(observations)))
            alone[in_fold] = np.concatenate(list(held_out.log_likelihoods(observations, gold=False)))
    return fit, joint, alone


def _names_by_agreement(fit: Fit, place: tuple[int, str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in the order of the fitted kinds, where answers of the easiest agree most.

    Two of a reading with Dirichlet counts α, Σ α = A, agree with probability Σ α (α + 1) / (A (A + 1)).
    """
    kernel = fit.observations().kernels[place]
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
