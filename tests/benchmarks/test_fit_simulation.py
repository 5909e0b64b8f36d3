"""Fits of simulated observers: are intervals right, is halo found, and what does a fit cost.

    pytest tests/benchmarks/test_fit_simulation.py -m slow -s

Observers are drawn from the priors of the parameters, answer about made-up items, and are fitted; the truth
must then lie within 90 % intervals in about 90 % of the cases, and its ranks among draws of NUTS must be even
(simulation-based calibration, Talts et al. 2018, arXiv 1804.06788). The world is `examples/plants`: a photo
with halo, asked three times, and a check of the signs without. The cost is that of the shipped faces.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

import seke
from engine import (
    Answers,
    FitSettings,
    Gold,
    Inference,
    SimulatedObserver,
    fit_observers,
    prior_truth,
)
from engine.learning.parameters import ObserverParameters
from engine.learning.target import Target
from engine.model.responses import Labels, Numbers
from seke.files.networks import network_of
from seke.sampling.infer import batches

PLANTS = Path(__file__).parents[2] / "examples" / "plants" / "knowledge"
WHO = "app"
DRAWS = 3

pytestmark = pytest.mark.slow


def asked(inference, questions, observer, truth, rng, observations):
    """Answers of one observer to questions, DRAWS each, about items of known truth."""
    base = inference.knowledge
    count = len(truth[base.root])
    simulated = SimulatedObserver(observations, observer, truth, rng)
    index = list(base.observers).index(observer)
    labels, numbers = {}, {}
    for k, question in enumerate(questions):
        for name, drawn in simulated.reading(question, DRAWS).items():
            reading = np.repeat(np.arange(count) * len(questions) + k, DRAWS)
            kind = numbers if name in base.observers[observer].numbers else labels
            kind.setdefault(name, []).append((reading, drawn.reshape(-1)))
    joined = {
        name: [np.concatenate(column) for column in zip(*parts, strict=True)]
        for name, parts in (labels | numbers).items()
    }
    readings, zero = count * len(questions), np.zeros(count, dtype=np.int64)

    def label(name):
        size = len(joined[name][0])
        return Labels(*joined[name], np.ones(size), np.zeros(size, dtype=bool))

    return Answers(
        items=tuple(f"i{i}" for i in range(count)),
        views=("face",),
        reading_item=np.repeat(np.arange(count), len(questions)),
        reading_observer=np.full(readings, index),
        reading_question=np.tile([list(base.questions).index(q) for q in questions], count),
        reading_view=np.zeros(readings, dtype=np.int64),
        labels={name: label(name) for name in labels},
        numbers={name: Numbers(*joined[name]) for name in numbers},
        rankings={},
        samples=zero + DRAWS * len(questions),
        refused=zero,
        unreadable=zero,
        not_judged=zero,
        hidden=zero,
        asked=zero,
        asked_in_vain=zero,
        reading_given=np.full(readings, -1),
        givens=(),
    )


def gold_of(base, truth):
    return Gold(
        {name: states.astype(float) for name, states in truth.items() if not base.variables[name].edges}
    )


def replicate(inference, items, questions, seed, method="svi", **settings):
    """Draw an observer from the priors, simulate, fit: the truth of every unknown, and its draws."""
    rng = np.random.default_rng(seed)
    base = inference.knowledge
    truth = prior_truth(inference, items, rng)
    gold = gold_of(base, truth)
    trial = asked(inference, questions, WHO, truth, rng, inference.observations)
    parameters = ObserverParameters(inference, trial, gold)
    target = Target(parameters, None)
    import torch

    torch.manual_seed(seed)
    true = {name: drawn[0] for name, drawn in target.values_of_draws(target.prior_draws(1)).items()}
    parameters.kernels.refine_cuts(true)
    answers = asked(inference, questions, WHO, truth, rng, parameters.kernels.model_at(true))
    fit = fit_observers(inference, answers, gold, FitSettings(method=method, seed=seed, **settings))
    return true, fit


@pytest.fixture(scope="module")
def plants():
    base = seke.knowledge(PLANTS)
    return Inference(network_of(base), base)


@pytest.mark.parametrize(("items", "replicates"), [(500, 16), (5000, 4)])
def test_intervals_of_svi_hold_the_truth(plants, items, replicates, capsys):
    inside, total, by_kind = 0, 0, {}
    for seed in range(replicates):
        true, fit = replicate(plants, items, ["photo", "check"], seed, steps=150)
        for name, value in true.items():
            low, high = np.quantile(fit.draws[name], [0.05, 0.95], axis=0)
            held = (low <= value) & (value <= high)
            inside, total = inside + held.sum(), total + held.size
            kind = by_kind.setdefault(name.what, [0, 0])
            kind[0], kind[1] = kind[0] + int(held.sum()), kind[1] + held.size
    with capsys.disabled():
        print(
            f"\n{items} items, {replicates} fits: 90 % intervals hold {inside / total:.3f} of {total} truths"
        )
        print("  " + ", ".join(f"{name} {a / b:.2f}" for name, (a, b) in by_kind.items()))
    assert 0.8 < inside / total < 0.98


def test_ranks_among_draws_of_nuts_are_even(plants, capsys):
    bins, ranks = 5, []
    for seed in range(12):
        true, fit = replicate(
            plants, 60, ["photo"], 100 + seed, method="nuts", draws=100, warmup=100, chains=1
        )
        for name, value in true.items():
            thinned = fit.draws[name][::5]
            ranks.append(((thinned < value).mean(0) * (bins - 1e-9)).reshape(-1).astype(int))
    counts = np.bincount(np.concatenate(ranks), minlength=bins)
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    with capsys.disabled():
        print(f"\nranks among draws of NUTS, {counts.sum()} truths in {bins} bins: {counts.tolist()}")
        print(f"  chi² {statistic:.1f}; p {chi2.sf(statistic, bins - 1):.3f} if they were independent")
    assert counts.min() > 0.5 * counts.mean()


def test_halo_is_found_with_and_without_a_question_of_its_own(plants, capsys):
    lines = []
    for questions in (["photo"], ["photo", "check"]):
        off, sds = [], []
        for seed in range(6):
            true, fit = replicate(plants, 500, questions, 200 + seed, method="map")
            (name,) = (name for name in true if name.question)
            off.append(float(fit.point[name] - true[name]))
            sds.append(float(fit.draws[name].std()))
        lines.append(f"  {' and '.join(questions):16} error {np.std(off):.3f}, stated {np.mean(sds):.3f}")
        assert np.abs(np.array(off) / np.array(sds)).max() < 5
    with capsys.disabled():
        print("\nhalo, 500 items, root mean square error and stated sd\n" + "\n".join(lines))


@pytest.mark.parametrize("items", [5000, 26238])
def test_what_a_fit_costs(items, capsys):
    base = seke.knowledge()
    samples, truth = [], []
    for part in seke.simulate(base, items, draws=5, questions=["joint"], seed=1):
        samples += part.samples
        truth += part.truth
    answers = Answers.stacked(list(batches(samples, base)))
    states = base.variables["expression"].states
    known = {row["item"]: row for row in truth}
    rows = [known[item] for item in answers.items]
    gold = {
        name: np.array([row[name] for row in rows], dtype=float) for name in (*base.intervals, *base.cells)
    }
    gold["expression"] = np.array([states.index(row["expression"]) for row in rows], dtype=float)
    some = np.random.default_rng(0).random(items) > 0.2
    for values in gold.values():
        values[some] = np.nan
    del samples, truth, known, rows
    inference = Inference(network_of(base), base)
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit = fit_observers(inference, answers, Gold(gold))
    seconds = time.perf_counter() - started
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with capsys.disabled():
        print(f"\n{items} items x 5 answers: {seconds:.0f} s, {more:.0f} MiB more than with the answers read")
    assert all(np.isfinite(value).all() for value in fit.point.values())
