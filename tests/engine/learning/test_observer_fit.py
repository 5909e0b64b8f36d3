"""Fits of observers: derivatives, laws of the likelihood, recovery of what was simulated, what is written."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from brute_force import Reading, Shape, answers_of, random_base, random_items
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyro.infer.autoguide.initialization import init_to_value
from pyro.infer.mcmc.util import initialize_model
from thorough import examples

from engine import (
    FitSettings,
    Gold,
    Inference,
    SimulatedObserver,
    compile_network,
    entries_of,
    fit_observers,
    learn_knowledge,
    overlay_tree,
    prior_truth,
    read,
    replaced_paths,
    tempered,
    written,
)
from engine.learning.likelihood import Likelihood
from engine.learning.parameters import ObserverParameters
from engine.learning.target import Target
from engine.model.parameter_key import ParameterKey

few = settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)
NOTHING = Gold({})


def world(seed, items=12, types=1, observers=2):
    """A random base, its inference, and random answers."""
    rng = np.random.default_rng(seed)
    base = random_base(Shape(observers=observers, states=3, exponent=False, types=types, seed=seed))
    inference = Inference(compile_network(base), base)
    return base, inference, answers_of(base, random_items(base, rng, items)), rng


@few
@example(1718, 1)
@given(seeds, st.integers(1, 3))
def test_density_and_gradient_are_those_of_the_pyro_model_and_of_differences(seed, types):
    base, inference, answers, rng = world(seed, types=types)
    states = len(base.variables["root"].states)
    count = len(answers.items)
    known = np.where(rng.random(count) < 0.5, rng.integers(0, states, count), np.nan)
    gold = Gold({"root": known}) if seed % 2 else NOTHING
    parameters = ObserverParameters(inference, answers, gold)
    prior, target = Target(parameters, None), Target(parameters, Likelihood(inference, answers, gold))
    x = target.start + 0.3 * rng.standard_normal(len(target.start))
    for each in (prior, target):
        parts = each.site_coordinates(torch.as_tensor(x)).items()
        values = {each.sites[key].name: each.transforms[key].inv(part) for key, part in parts}
        _, of_pyro, _, _ = initialize_model(each.model, init_strategy=init_to_value(values=values))
        expected = of_pyro({each.sites[key].name: part for key, part in parts})
        energy, slope = each.potential(x)
        assert energy == pytest.approx(float(expected), rel=1e-12)
    # A direction by chance has a part of every parameter.
    along = rng.standard_normal(len(x))
    along /= np.linalg.norm(along)
    step = 1e-5
    with torch.no_grad():
        there, back = (float(target.energy(torch.as_tensor(x + sign * step * along))) for sign in (1, -1))
    assert (there - back) / (2 * step) == pytest.approx(slope @ along, rel=2e-4, abs=2e-4)


@pytest.mark.parametrize(
    ("seed", "types", "observers", "known"), [(1718, 1, 1, "root"), (1719, 2, 1, "none"), (1720, 1, 2, "all")]
)
def test_the_hessian_is_that_of_differences_of_gradients(seed, types, observers, known):
    base, inference, answers, rng = world(seed, types=types, observers=observers)
    gold = _gold(base, rng, {"none": [], "root": ["root"], "all": base.variables}[known])
    parameters = ObserverParameters(inference, answers, gold)
    for target in (Target(parameters, None), Target(parameters, Likelihood(inference, answers, gold))):
        x = target.start + 0.2 * rng.standard_normal(len(target.start))
        hessian = target.hessian(x)
        # A direction by chance has a part of every column.
        along = rng.standard_normal(len(x))
        along /= np.linalg.norm(along)
        step = 1e-5
        there, back = (target.potential(x + sign * step * along)[1] for sign in (1, -1))
        np.testing.assert_allclose(hessian @ along, (there - back) / (2 * step), rtol=2e-4, atol=2e-4)


@few
@given(seeds)
def test_where_all_is_known_the_network_says_as_much_as_the_sum(seed):
    base, inference, answers, rng = world(seed)
    likelihood = Likelihood(inference, answers, _gold(base, rng, base.variables))
    observations = _as_tensors(inference, answers, NOTHING)
    (part,) = likelihood.parts
    assert part.log_gold is not None
    summed = likelihood.of_part(part, observations)
    by_network = likelihood.of_part(replace(part, log_gold=None), observations)
    np.testing.assert_allclose(summed, by_network, atol=1e-9)


@few
@given(seeds)
def test_gold_of_every_state_adds_up_to_no_gold(seed):
    base, inference, answers, _ = world(seed)
    totals = []
    for name in ("root", next(iter(base.cells))):
        parts = []
        for state in range(len(base.variables[name].states)):
            gold = Gold({name: np.full(len(answers.items), float(state))})
            each = Likelihood(inference, answers, gold).log_likelihoods(_as_tensors(inference, answers, gold))
            parts.append(np.concatenate(list(each)))
        totals.append(np.logaddexp.reduce(parts, axis=0))
    for total in totals:
        np.testing.assert_allclose(total, inference.log_evidence(answers), atol=1e-9)


def _gold(base, rng, names, items=12):
    """Gold of these variables, by chance."""
    values = {}
    for name in names:
        variable = base.variables[name]
        if variable.kind == "interval":
            values[name] = rng.uniform(variable.edges[0], variable.edges[-1], items)
        else:
            values[name] = rng.integers(0, len(variable.states), items).astype(float)
    return Gold(values)


def _as_tensors(inference, answers, gold):
    """The observers exactly as declared, in torch."""
    from dataclasses import replace

    from engine.observation.kernels import LabelKernel

    old = inference.observations
    kernels = {}
    for key, kernel in old.kernels.items():
        mix = torch.as_tensor(kernel.mix)
        if isinstance(kernel, LabelKernel):
            tails = None if kernel.tails is None else torch.as_tensor(kernel.tails)
            alpha, share = torch.as_tensor(kernel.alpha), torch.as_tensor(kernel.share)
            kernels[key] = replace(kernel, mix=mix, alpha=alpha, share=share, tails=tails)
        else:
            kernels[key] = replace(kernel, mix=mix)
    carry, exponent, halo = (torch.as_tensor(number) for number in (old.carry, old.exponent, old.halo))
    return old.with_kernels(kernels, carry, exponent, halo, {})


def settled(base, blur=0.0):
    """Let the observer's draws scatter around what it settles on: its table, in part an even guess."""
    ((name, observer),) = base.observers.items()
    table = np.array(observer.labels["root"].confusion)
    rows = tuple(map(tuple, ((1 - blur) * table + blur / table.shape[1]).tolist()))
    labels = dict(observer.labels) | {"root": replace(observer.labels["root"], settled=rows)}
    return replace(base, observers={name: replace(observer, labels=labels)})


@pytest.fixture(scope="module")
def simulated():
    """A random base with one observer, and its answers about many items of known truth."""
    from engine import Labels, SimulatedObserver, prior_truth
    from engine.model.responses import Answers, Numbers

    base = settled(random_base(Shape(observers=1, states=3, halo=True, exponent=False, types=1, seed=5)))
    inference = Inference(compile_network(base), base)
    rng = np.random.default_rng(4)
    count, draws = 400, 3
    truth = prior_truth(inference, count, rng)
    name = next(iter(base.observers))
    observer = SimulatedObserver(inference.observations, name, truth, rng)
    labels, numbers = {}, {}
    for view in range(2):
        for variable, drawn in observer.reading("all", draws).items():
            reading = np.repeat(np.arange(count) * 2 + view, draws)
            if variable in base.observers[name].numbers:
                numbers.setdefault(variable, []).append((reading, drawn.reshape(-1)))
            else:
                labels.setdefault(variable, []).append((reading, drawn.reshape(-1)))
    joined = {
        v: [np.concatenate(c) for c in zip(*parts, strict=True)] for v, parts in (labels | numbers).items()
    }
    ones = np.ones(2 * count * draws)
    zero = np.zeros(2 * count, dtype=np.int64)
    none = np.zeros(count, dtype=np.int64)
    answers = Answers(
        items=tuple(f"i{i}" for i in range(count)),
        views=("face", "grey"),
        reading_item=np.repeat(np.arange(count), 2),
        reading_observer=zero,
        reading_question=np.full(2 * count, list(base.questions).index("all")),
        reading_view=np.tile([0, 1], count),
        labels={v: Labels(*joined[v], ones, ones < 0) for v in labels},
        numbers={v: Numbers(*joined[v]) for v in numbers},
        rankings={},
        samples=none + 2 * draws,
        refused=none,
        unreadable=none,
        not_judged=none,
        hidden=none,
        asked=none + 2 * draws,
        asked_in_vain=none,
        reading_given=np.full(2 * count, -1),
        givens=(),
    )
    gold = {}
    for variable, states in truth.items():
        edges = base.variables[variable].edges
        values = (
            (np.array(edges)[states] + np.array(edges)[states + 1]) / 2 if edges else states.astype(float)
        )
        gold[variable] = np.where(np.arange(count) < 300, values, np.nan)
    return base, inference, answers, Gold(gold)


@pytest.fixture(scope="module")
def fitted(simulated):
    _, inference, answers, gold = simulated
    return fit_observers(inference, answers, gold)


def test_what_was_simulated_is_recovered(fitted):
    """The declared values are the truth here, and the priors are around them: no z may be extreme."""
    (observer,) = fitted.parameters.base.observers.values()
    label, states = observer.labels["root"], fitted.parameters.base.variables["root"].states
    z = []
    for entry in (entry for entry in entries_of(fitted) if entry.learned > 0.5):
        declared = entry.prior
        if "settled" in entry.keys:
            declared = label.settled[states.index(entry.keys[-2])][label.answers.index(entry.keys[-1])]
        z.append((entry.value - declared) / entry.sd)
    assert len(z) > 15
    assert np.abs(z).max() < 4.5
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.4


def test_from_a_wrong_start_the_truth_is_found(simulated):
    base, _, answers, gold = simulated
    name, observer = next(iter(base.observers.items()))
    table = np.array(observer.labels["root"].settled)
    other = settled(base, blur=0.5)
    wrong = other.observers[name].labels["root"].settled
    other = replace(other, observers={name: replace(other.observers[name], carry=0.5)})
    inference = Inference(compile_network(other), other)
    fitted = fit_observers(inference, answers, gold)
    place = ParameterKey(name, "settled", "categorical", "root")
    seen = np.bincount(gold.values["root"][:300].astype(int), minlength=len(table)) >= 40
    before, after = (np.abs(np.array(t) - table)[seen].mean() for t in (wrong, fitted.point[place]))
    assert seen.any()
    assert after < before / 2


def test_an_exponent_of_declared_evidence_stays_near_one(simulated, fitted):
    _, _, answers, gold = simulated
    (exponent,) = tempered(fitted, answers, gold, lambda *_: None).exponents.values()
    assert abs(exponent[2] - 1) < 4 * exponent[3] + 0.05


def test_svi_agrees_with_the_curvature_at_the_mode(simulated, fitted):
    _, inference, answers, gold = simulated
    svi_fit = fit_observers(inference, answers, gold, FitSettings(method="svi", steps=15), begin=fitted)
    for name, draws in fitted.draws.items():
        sd = np.maximum(draws.std(0), 1e-3)
        assert (np.abs(svi_fit.point[name] - fitted.point[name]) < 3 * sd + 0.02).all(), name


def test_what_data_cannot_tell_stays_as_declared(simulated):
    _, inference, answers, _ = simulated
    parameters = ObserverParameters(inference, answers, NOTHING)
    learned = {key.what for key in parameters.sites}
    assert not learned & {"confusion", "settled", "carry", "sensitivity"}
    assert any("gold" in group.reason for group in parameters.unidentified)
    assert "strength" in learned


def test_tables_learned_from_gold_alone_are_the_counts(simulated, fitted):
    """Where all is known, a cell is the weighted mean of its declaration and of what was counted."""
    base, _, answers, gold = simulated
    known = np.arange(300)
    learned = learn_knowledge(fitted, answers.only(np.arange(400) < 300), gold.only(known), base)
    name = next(iter(base.cells))
    root, states = gold.values["root"][known], gold.values[name][known]
    for e, (old, new) in enumerate(zip(base.cells[name], learned.knowledge.cells[name], strict=True)):
        here = root == e
        expected = (old.n * old.p + states[here].sum()) / (old.n + here.sum())
        assert new.p == pytest.approx(np.clip(expected, 0.001, 0.999), abs=1e-9)


@pytest.fixture
def sure_fit(folder):
    """A fit of the small base, its gold of the root alone and of the signs."""
    return _sure_fit((folder / "machine.yaml").read_text("utf-8"))


@cache
def _sure_fit(text):
    with TemporaryDirectory() as place:
        (Path(place) / "machine.yaml").write_text(text, "utf-8")
        base = read(Path(place) / "machine.yaml")
    rng = np.random.default_rng(1)
    answers = answers_of(base, random_items(base, rng, 12))
    names = [base.root, *(name for name in base.variables if base.variables[name].kind == "binary")]
    states = {name: len(base.variables[name].states) for name in names}
    gold = Gold({name: rng.integers(0, states[name], 12).astype(float) for name in names})
    inference = Inference(compile_network(base), base)
    return fit_observers(inference, answers, gold)


def test_what_is_written_is_read_again(sure_fit, folder):
    """The overlay of a fit of the small base says the fit's numbers."""
    text = "extends: machine.yaml\nsources: {fit: {cite: a fit}}\n" + written(overlay_tree(sure_fit, "fit"))
    removed = replaced_paths(sure_fit)
    gone = f"remove: [{', '.join(removed)}]\n" if removed else ""
    (folder / "mine.yaml").write_text(text.replace("sources:", f"{gone}sources:"), "utf-8")
    again = read(folder / "mine.yaml")
    for entry in entries_of(sure_fit):
        assert again.numbers[entry.path].value == pytest.approx(entry.value, abs=2e-3, rel=2e-3), entry.path
    compile_network(again)


@pytest.mark.parametrize(
    ("what", "extreme", "allowed"),
    [
        ("stereotype", 1e-4, 0.001),
        ("stereotype", 1 - 1e-4, 0.999),
        ("specificity", 1 - 1e-5, 0.9999),
        ("probability", 0.999, 0.99),
    ],
)
def test_what_is_surer_than_may_be_read_is_written_at_the_bound(sure_fit, folder, what, extreme, allowed):
    """Much gold can make a probability surer than the reader takes it."""
    fit = sure_fit
    (key,) = (key for key in fit.point if key.what == what and key.question in ("", "walk"))
    point, draws = (np.full_like(values[key], extreme) for values in (fit.point, fit.draws))
    sure = replace(fit, point={**fit.point, key: point}, draws={**fit.draws, key: draws})
    text = "extends: machine.yaml\nsources: {fit: {cite: a fit}}\n" + written(overlay_tree(sure, "fit"))
    removed = replaced_paths(sure)
    gone = f"remove: [{', '.join(removed)}]\n" if removed else ""
    (folder / "sure.yaml").write_text(text.replace("sources:", f"{gone}sources:"), "utf-8")
    numbers = read(folder / "sure.yaml").numbers
    written_paths = {entry.path for entry in entries_of(sure) if abs(entry.value - extreme) < 1e-9}
    assert written_paths
    assert all(numbers[path].value == pytest.approx(allowed, abs=1e-9) for path in written_paths)


def test_blanks_and_strays_are_learned_where_they_are_declared(base_of, names):
    """Simulated with other shares than those declared; an observer that declares none keeps none."""
    base, name = base_of("machine"), names["load"]
    fitter = base.policy.ask
    true = {"blank": 0.3, "stray": 0.2}

    def of_gauge(**shares):
        observer = base.observers[fitter]
        gauge = replace(observer.numbers[name], nothing=-1.0, perception=0.15, **shares)
        alone = replace(observer, numbers={name: gauge}, labels={}, halo={}, carry=1.0)
        return replace(base, observers={**base.observers, fitter: alone})

    rng = np.random.default_rng(4)
    world = Inference(compile_network(base), of_gauge(**true))
    truth = prior_truth(world, 400, rng)
    observer = SimulatedObserver(world.observations, fitter, truth, rng)
    question = next(q for q, asked in base.questions.items() if name in asked.variables)
    told = observer.reading(question, 3)[name]
    edges = np.array(base.variables[name].edges)
    gold = Gold({name: rng.uniform(edges[truth[name]], edges[truth[name] + 1])})
    for declared in ({"blank": 0.1, "stray": 0.05}, {}):
        start = of_gauge(**declared)
        items = [[Reading(fitter, question, "case", tuple({name: float(v)} for v in row))] for row in told]
        inference = Inference(compile_network(base), start)
        fit = fit_observers(inference, answers_of(start, items), gold, FitSettings())
        key = ParameterKey(fitter, "blank", "interval", name)
        shares = {what: key.of(what) for what in true}
        if not declared:
            assert not any(place in fit.point for place in shares.values())
            continue
        for what, place in shares.items():
            assert float(fit.point[place]) == pytest.approx(true[what], abs=0.05)
        keys = {entry.path for entry in entries_of(fit)}
        assert {f"observers.{fitter}.interval.{name}.{what}" for what in true} <= keys
