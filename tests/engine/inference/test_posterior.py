"""The engine's posteriors against brute force, on random small bases and random answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, random_base, random_items
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import (
    AnswerError,
    Gold,
    Inference,
    KnowledgeError,
    compile_network,
    diagnose,
    marginals_without_halo,
)
from engine.model.knowledge import Halo

shapes = st.builds(
    Shape,
    states=st.integers(2, 4),
    binaries=st.integers(2, 5),
    bins=st.sampled_from([(), (), (3,), (4, 3), (6, 4)]),
    couplings=st.integers(0, 3),
    rules=st.integers(0, 4),
    observers=st.integers(1, 3),
    halo=st.booleans(),
    exponent=st.booleans(),
    dependent=st.booleans(),
    families=st.booleans(),
    types=st.integers(1, 2),
    seed=st.integers(0, 2**32 - 1),
)
exact = settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)


def compiled(shape):
    """Return a random base, compiled; where a rule is refused that nothing can satisfy, another is drawn."""
    base = random_base(shape)
    try:
        return compile_network(base), base
    except KnowledgeError as error:
        assert "nothing can satisfy" in str(error)
        assume(False)


def check(network, base, population, items, answers, device="cpu"):
    """Compare the engine with brute force on every item."""
    world = World(network, base, population)
    inference = Inference(network, base, population, device=device)
    posterior = inference.posterior(answers)
    np.testing.assert_allclose(inference.log_evidence(answers), posterior.log_evidence, atol=1e-9)
    for i, readings in enumerate(items):
        truth = world.item(readings)
        assert set(posterior.marginals) == set(truth.marginals)
        for name, p in truth.marginals.items():
            np.testing.assert_allclose(posterior.marginals[name][i], p, atol=1e-9, err_msg=name)
        assert posterior.log_evidence[i] == pytest.approx(truth.log_evidence, abs=1e-9)
        assert posterior.rules == tuple(truth.violations)
        np.testing.assert_allclose(posterior.violations[i], list(truth.violations.values()), atol=1e-9)
        assert posterior.correlation[i] == pytest.approx(truth.correlation, abs=1e-9, nan_ok=True)


def share_errors_of_numbers(base):
    """Whether several observers that tell numbers follow one look, or one family."""
    tellers = [observer for observer in base.observers.values() if observer.numbers]
    families = [observer.family for observer in tellers if observer.family and observer.family_follows]
    followers = sum(observer.follows > 0 for observer in tellers)
    return base.dependence is not None and (followers > 1 or len(families) > len(set(families)))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@exact
@given(shape=shapes, population=st.sampled_from(["here", "there"]))
def test_posteriors_equal_brute_force(library, shape, population):
    network, base = compiled(shape)
    # What those share who tell numbers has a brute force of its own, in `test_numbers`.
    assume(not share_errors_of_numbers(base))
    items = random_items(base, shape.seed, items=2)
    answers = answers_of(base, items, np.random.default_rng(shape.seed))
    # By this name the CPU is a device of torch.
    check(network, base, population, items, answers, device="cpu" if library == "numpy" else "cpu:0")


@settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
@given(shapes)
def test_diagnostics_equal_brute_force(shape):
    network, base = compiled(shape)
    base = replace(base, policy=replace(base.policy, required=tuple(base.levels)))
    world, inference = World(network, base), Inference(network, base)
    items = random_items(base, shape.seed, items=2)
    answers = answers_of(base, items, np.random.default_rng(shape.seed))
    posterior = inference.posterior(answers)
    diagnostics = diagnose(inference, answers, posterior)
    observer = base.observers[base.policy.ask]
    for i, readings in enumerate(items):
        truth = world.item(readings)
        bits = epistemic = 0.0
        for name in (name for names in base.levels.values() for name in names):
            p = truth.marginals[name]
            bits -= sum(q * np.log2(q) for q in p if q > 0)
            if name in observer.labels or name in observer.numbers:
                seen = np.array([kind.chance for kind in world.kinds(observer, name)]).T
                joint = p[:, None] * seen
                apart = p[:, None] * joint.sum(0)
                epistemic += (
                    joint * np.log2(np.where(joint > 1e-200, joint / np.maximum(apart, 1e-300), 1))
                ).sum()
        assert diagnostics.entropy_bits[i] == pytest.approx(bits, abs=1e-9)
        assert diagnostics.epistemic_bits[i] == pytest.approx(epistemic, abs=1e-9)
        alone = sum(world.item([k]).log_evidence for k in readings)
        conflict = (alone - truth.log_evidence) / np.log(2) if len(readings) > 1 else 0
        assert diagnostics.conflict_bits[i] == pytest.approx(conflict, abs=1e-8)


def test_more_readings_under_halo_than_can_be_weighed_are_refused():
    base = random_base(Shape(states=2, binaries=2, rules=0, couplings=0, observers=1, halo=False, seed=1))
    observer = replace(base.observers["o0"], halo={"all": Halo(given="root", probability=0.2)})
    base = replace(base, observers={"o0": observer})
    sign = next(name for name in observer.labels if name != "root")
    views = [Reading("o0", "all", f"view-{i}", ({"root": 0, sign: 1},)) for i in range(11)]
    inference = Inference(compile_network(base), base)
    assert np.isfinite(inference.log_evidence(answers_of(base, [views[:10]]))).all()
    with pytest.raises(AnswerError, match=r"'item-1' has 11 readings under halo; at most 10"):
        inference.posterior(answers_of(base, [[], views]))


def test_evidence_beyond_the_range_of_a_float_keeps_its_meaning():
    """Thousands of answers from many readings: likelihoods far under the smallest number."""
    base = random_base(Shape(states=3, binaries=3, bins=(6, 5), couplings=2, rules=2, halo=False, seed=17))
    network = compile_network(base)
    observer = next(iter(base.observers.values()))
    draws = dict.fromkeys(observer.labels, 0) | dict.fromkeys(observer.numbers, 1.0)
    readings = [Reading(observer.name, q, f"v{i}", (draws,) * 40) for q in base.questions for i in range(60)]
    posterior = Inference(network, base).posterior(answers_of(base, [readings]))
    assert posterior.log_evidence[0] < -1000
    for p in posterior.marginals.values():
        assert np.isfinite(p).all()
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-9)
    assert np.all((posterior.violations >= 0) & (posterior.violations <= 1))


@exact
@given(shape=shapes, with_gold=st.booleans())
def test_what_looked_and_what_is_so_are_weighed_together(shape, with_gold):
    network, base = compiled(replace(shape, halo=True))
    rng = np.random.default_rng(shape.seed)
    items = random_items(base, shape.seed, items=2)
    answers, world, gold = answers_of(base, items, rng), World(network, base, "here"), None
    names = [v.name for v in base.variables.values() if v.kind in ("categorical", "binary")]
    known = [{} for _ in items]
    if with_gold:
        values = {name: rng.integers(0, len(base.variables[name].states), len(items)) for name in names}
        values = {
            name: np.where(rng.random(len(items)) < 0.4, np.nan, states) for name, states in values.items()
        }
        gold = Gold(values)
        known = [{n: int(v[i]) for n, v in values.items() if not np.isnan(v[i])} for i in range(len(items))]
    looked = marginals_without_halo(Inference(network, base, "here"), answers, names, gold)
    observers, questions = list(base.observers), list(base.questions)
    looked_by_item = [
        list(world.looked(item, gold_of_item)) for item, gold_of_item in zip(items, known, strict=True)
    ]
    for r, i in enumerate(answers.reading_item.tolist()):
        key = (
            observers[answers.reading_observer[r]],
            questions[answers.reading_question[r]],
            answers.views[answers.reading_view[r]],
        )
        (place,) = [p for p, k in enumerate(items[i]) if (k.observer, k.question, k.view) == key]
        for name in names:
            expected = looked_by_item[i][place][name]
            if not np.isnan(expected).any():  # gold that cannot be
                np.testing.assert_allclose(looked[name][r], expected, atol=1e-9, err_msg=name)
    if not with_gold and len(answers.reading_item):
        followed = Inference(network, base, "here").posterior(answers).followed
        np.testing.assert_allclose(looked[base.root].sum(1), 1 - followed, atol=1e-9)


def test_changed_observers_and_policy_need_no_other_network():
    """What a changed base infers is what a new inference by it does, whichever kernels are reused."""
    base = random_base(Shape(states=3, binaries=3, bins=(4, 3), couplings=2, rules=2, observers=2, seed=3))
    network, answers = compile_network(base), answers_of(base, random_items(base, 3))
    inference = Inference(network, base)
    before = inference.posterior(answers)
    first = base.observers["o0"]
    for changed in (
        replace(base, policy=replace(base.policy, budget=99)),
        replace(base, observers={**base.observers, "o0": replace(first, exponent=0.3 * first.exponent)}),
        replace(base, observers={**base.observers, "o0": base.observers["o1"]}),
    ):
        again, fresh = inference.with_knowledge(changed), Inference(network, changed)
        assert again.network is network
        assert again.knowledge is again.observations.knowledge is changed
        after, expected = again.posterior(answers), fresh.posterior(answers)
        np.testing.assert_array_equal(after.log_evidence, expected.log_evidence)
        same = np.array_equal(after.log_evidence, before.log_evidence)
        assert same == (changed.observers == base.observers)
    assert inference.knowledge is base
    np.testing.assert_array_equal(inference.posterior(answers).log_evidence, before.log_evidence)
