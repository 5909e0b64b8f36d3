"""Whether anybody looked, on what a value rests, and what its own answers tell of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, random_base, random_items

from engine import (
    Answers,
    Basis,
    Inference,
    Origin,
    bases_of,
    compile_network,
    decide_levels,
    disputed_labels,
    labels_of,
)
from engine.decision.origin import origins_of
from engine.model.fit_record import FitRecord, FittedReading
from engine.model.knowledge import Halo, LabelInstrument, ReadingType

EVEN = ((0.5, 0.5), (0.5, 0.5))


def judged(base, items):
    """Infer and decide without conflict."""
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, items)
    posterior = inference.posterior(answers)
    return answers, posterior, decide_levels(base, answers, posterior, np.zeros(len(items)))


def test_what_nobody_reported_is_inferred_and_not_accepted_however_low_its_risk():
    base = random_base(Shape(seed=3, binaries=2, bins=(3,), observers=2, couplings=0, rules=0))
    sure = replace(base.policy, conflict=0.0, limits=dict.fromkeys(base.policy.limits, 0.9999), evidence=1.0)
    base = replace(base, policy=sure)
    items = [[Reading("o0", "all", "face", ({"root": 0},))], [Reading("o0", "some", "face", ({"b0": 1},))]]
    _, _, levels = judged(base, items)
    assert levels["root"].accepted.tolist() == [True, False]
    assert levels["b0"].accepted.tolist() == [False, True]
    assert levels["b0"].origin.tolist() == [Origin.INFERRED, Origin.SEEN]
    assert not levels["v0"].accepted.any()


def test_a_label_of_the_set_is_no_look_and_kept_only_where_that_is_said():
    base = random_base(Shape(seed=4, binaries=1, observers=2, couplings=0, rules=0))
    label = replace(base.observers["o1"], origin="label", askable=False)
    loose = dict.fromkeys(base.policy.limits, 0.9999)
    policy = replace(base.policy, conflict=0.0, limits=loose, evidence=1.0)
    base = replace(base, observers={**base.observers, "o1": label}, policy=policy)
    label_reading = Reading("o1", "all", "face", ({"root": 1},))
    looked = Reading("o0", "all", "face", ({"root": 0},))
    items = [[label_reading], [label_reading, looked], [looked]]
    answers, _, levels = judged(base, items)
    assert levels["root"].origin.tolist() == [Origin.LABEL, Origin.SEEN, Origin.SEEN]
    assert levels["root"].accepted.tolist() == [False, True, True]
    labels = labels_of(base, answers)["root"]
    assert labels[:2].tolist() == [1, 1]
    assert np.isnan(labels[2])
    final = replace(
        base, policy=replace(policy, labels_final=True, limits=dict.fromkeys(policy.limits, 1e-4))
    )
    _, posterior, levels = judged(final, items)
    assert levels["root"].accepted.tolist() == [True, True, False]
    assert levels["root"].value[:2].tolist() == [1, 1]
    np.testing.assert_allclose(levels["root"].risk[:2], 1 - posterior.marginals["root"][:2, 1])


def test_a_reading_that_followed_its_label_has_not_looked():
    base = random_base(Shape(seed=5, states=2, binaries=1, observers=1, couplings=0, rules=0))
    observer = base.observers["o0"]
    halo = {"all": Halo(given="root", probability=0.9)}
    base = replace(base, observers={"o0": replace(observer, halo=halo)})
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, [[Reading("o0", "all", "face", ({"root": 0, "b0": y},))] for y in (0, 1)])
    followed = inference.posterior(answers).followed
    origin = origins_of(base, answers, followed)["b0"]
    assert origin.tolist() == [Origin.INFERRED if f >= 0.5 else Origin.SEEN for f in followed]
    # What it answers of the label itself it has looked at.
    assert (origins_of(base, answers, np.ones(2))["root"] == Origin.SEEN).all()
    assert (origins_of(base, answers, np.ones(2))["b0"] == Origin.INFERRED).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_odds_of_its_own_answers_equal_brute_force(seed):
    """Without halo: P(answers about it | true) over P(answers about it | false), from the observers alone."""
    base = random_base(Shape(seed=seed, binaries=2, observers=2, halo=False, couplings=0, rules=0))
    items = random_items(base, seed, items=6, readings=2, draws=2)
    _, posterior, _ = judged(base, items)
    even = {name: tuple(replace(cell, p=0.5) for cell in cells) for name, cells in base.cells.items()}
    apart = replace(base, cells=even, couplings=(), rules=())
    network = compile_network(apart)
    world = World(network, apart)
    for i, readings in enumerate(items):
        for name in base.cells:
            own_answers = [
                replace(reading, draws=tuple({name: d[name]} if name in d else {} for d in reading.draws))
                for reading in readings
            ]
            p = world.item(own_answers).marginals[name]
            assert posterior.answer_odds[name][i] == pytest.approx(np.log(p[1] / p[0]), abs=1e-8)


def test_an_observer_that_always_answers_the_same_gets_no_binary_value_accepted():
    base = random_base(Shape(seed=6, binaries=1, observers=1, halo=False, couplings=0, rules=0))
    base = replace(base, policy=replace(base.policy, conflict=0.0))
    observer = base.observers["o0"]
    blind = replace(
        observer.labels["b0"],
        confusion=((0.02, 0.98), (0.02, 0.98)),
        types=(ReadingType(repeat=0.5, strength=8),),
    )
    # A rare and a common unit: the prior alone would accept either.
    for p in (0.01, 0.99):
        cells = {"b0": tuple(replace(cell, p=p) for cell in base.cells["b0"])}
        sure = replace(
            base, cells=cells, observers={"o0": replace(observer, labels={**observer.labels, "b0": blind})}
        )
        _, _, levels = judged(sure, [[Reading("o0", "some", "face", ({"b0": 1},) * 5)]])
        assert levels["b0"].risk[0] < 0.1
        assert levels["b0"].lacking[0]
        assert not levels["b0"].accepted[0]


def test_a_label_is_disputed_where_others_leave_it_less_probable_than_it_is_wrong():
    base = random_base(Shape(seed=8, binaries=1, observers=2, halo=False, couplings=0, rules=0))
    states = len(base.variables["root"].states)
    sharp = tuple(tuple(0.9 if x == y else 0.1 / (states - 1) for y in range(states)) for x in range(states))
    instrument = LabelInstrument(
        variable="root",
        answers=base.variables["root"].states,
        confusion=sharp,
        types=(ReadingType(repeat=0.9, strength=50),),
    )
    label = replace(
        base.observers["o1"], origin="label", askable=False, labels={"root": instrument}, numbers={}
    )
    base = replace(base, observers={"o0": base.observers["o0"], "o1": label})
    label_reading = Reading("o1", "all", "face", ({"root": 1},))
    items = [
        [label_reading, Reading("o0", "all", "face", ({"root": y},) * count)]
        for y in (0, 1, 2)
        for count in (1, 3, 9)
    ]
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, items)
    alone = inference.posterior(answers_of(base, [item[1:] for item in items])).marginals["root"][:, 1]
    expected = tuple({"root": "o1"} if p < 1 - 0.9 else {} for p in alone)
    assert disputed_labels(inference, answers) == expected
    assert {} in expected
    assert {"root": "o1"} in expected
    # A label that nobody looked at beside is not disputed, and neither is one about something else.
    other = [[label_reading], [label_reading, Reading("o0", "some", "face", ({"b0": 1},))]]
    assert disputed_labels(inference, answers_of(base, other)) == ({}, {})


def test_only_what_is_calibrated_overrules_a_label():
    """Ten looks that say 0 outweigh a label that says 1; they do it as declared, and as fitted."""
    base = random_base(Shape(seed=8, binaries=1, observers=2, halo=False, couplings=0, rules=0))
    states = len(base.variables["root"].states)
    sharp = LabelInstrument(
        variable="root",
        answers=base.variables["root"].states,
        confusion=tuple(
            tuple(0.9 if x == y else 0.1 / (states - 1) for y in range(states)) for x in range(states)
        ),
        types=(ReadingType(repeat=0.1, strength=50),),
    )
    look = replace(base.observers["o0"], labels={"root": sharp}, numbers={}, askable=True)
    label = replace(base.observers["o1"], labels={"root": sharp}, numbers={}, origin="label", askable=False)
    policy = replace(base.policy, conflict=0.0, limits={**base.policy.limits, "root": 0.3})
    base = replace(
        base, observers={"o0": look, "o1": label}, observer_digests={"o0": "as fitted"}, policy=policy
    )
    digest = base.question_digests.get("all", "")
    gold = {"root": {base.variables["root"].states[0]: policy.calibrated_from}}
    reading = FittedReading("o0", "o0", "all", digest, "face", 1, 10, gold)
    record = FitRecord("fit", "2026-01-01", base.reference, 3, {"o0": "as fitted"}, (reading,))
    label_reading = Reading("o1", "all", "face", ({"root": 1},))
    items = [
        [label_reading, Reading("o0", "all", "face", ({"root": 0},) * 10)],
        [label_reading, Reading("o0", "all", "face", ({"root": 1},) * 10)],
        [Reading("o0", "all", "face", ({"root": 0},) * 10)],
    ]
    for fits, accepted in (((), [False, True, True]), ((record,), [True, True, True])):
        _, _, levels = judged(replace(base, fits=fits), items)
        assert (levels["root"].risk <= 0.3).all()
        assert levels["root"].value.tolist() == [0, 1, 0]
        assert levels["root"].accepted.tolist() == accepted


@pytest.mark.parametrize("seed", range(4))
def test_a_look_that_contradicts_a_label_never_raises_it(seed):
    """A look that speaks against a state leaves a label of it no likelier than it was alone."""
    base = random_base(Shape(seed=seed, observers=2, halo=False, couplings=0, rules=0))
    inference = Inference(compile_network(base), base)
    label_reading = Reading("o1", "all", "face", ({"root": 1},))
    for y in (0, 1, 2):
        look = Reading("o0", "all", "face", ({"root": y},))
        alone, both, seen = (
            inference.posterior(answers_of(base, [item])).marginals["root"][0]
            for item in ([label_reading], [label_reading, look], [look])
        )
        prior = inference.posterior(Answers.nothing()).marginals["root"][0]
        if seen[1] <= prior[1]:
            assert both[1] <= alone[1] + 1e-9


def fit_of(base, **changed):
    """A record that makes `o0`, asked `all` in the usual view, calibrated for the root."""
    gold = {"root": {"r0": 20, "r1": 15}, "b0": {"true": 5, "false": 5}}
    reading = FittedReading("o0", "o0", "all", "prompt", "face", 1, 5, gold)
    names = {field: changed.pop(field) for field in ("observers",) if field in changed}
    record = FitRecord("fit-1", "2025-01-31", "here", 0, {"o0": "digest"}, (replace(reading, **changed),))
    return replace(
        base,
        fits=(replace(record, **names),),
        observer_digests={"o0": "digest", "o1": "other"},
        question_digests={"all": "prompt", "some": "another"},
    )


def test_calibrated_is_what_was_answered_as_a_fit_knows_it():
    base = random_base(Shape(seed=7, binaries=1, observers=2, halo=False, couplings=0, rules=0))
    people = replace(base.observers["o1"], askable=False, people=True)
    base = replace(base, observers={"o0": replace(base.observers["o0"], askable=True), "o1": people})
    names = [name for level in base.levels.values() for name in level]

    def basis(changed, *readings, name="root", value=None):
        decided = None if value is None else {**dict.fromkeys(names, np.zeros(1)), "root": np.array([value])}
        return Basis(bases_of(changed, answers_of(changed, [list(readings)]), decided)[name][0])

    once = Reading("o0", "all", "face", ({"root": 0, "b0": 1},) * 2)
    often = Reading("o0", "all", "face", ({"root": 0},) * 6)
    grey, person = Reading("o0", "all", "grey", ({"root": 0},)), Reading("o1", "all", "face", ({"root": 0},))
    known = fit_of(base)
    assert basis(known, once) is Basis.CALIBRATED
    # Too little gold of this variable; more answers than the fit had; another view.
    assert basis(known, once, name="b0") is Basis.DECLARED
    assert basis(known, often) is Basis.ANOTHER_DESIGN
    assert basis(known, grey) is Basis.ANOTHER_DESIGN
    # Of several readings the least counts; people take nothing away, and alone are named as they are.
    assert basis(known, once, grey) is Basis.ANOTHER_DESIGN
    assert basis(known, once, person) is Basis.CALIBRATED
    assert basis(known, person) is Basis.PEOPLE
    # An instrument that nobody asks is neither a person nor a set's label.
    tool = replace(known, observers={**known.observers, "o1": replace(people, people=False)})
    label = replace(known, observers={**known.observers, "o1": replace(people, people=False, origin="label")})
    assert basis(tool, person) is Basis.DECLARED
    assert basis(tool, once, person) is Basis.DECLARED
    assert basis(label, person) is Basis.PEOPLE
    # Another prompt, model, or observer than was fitted; no fit at all.
    assert basis(fit_of(base, prompt="older"), once) is Basis.ANOTHER_DESIGN
    assert basis(fit_of(base, observers={"o0": "older"}), once) is Basis.DECLARED
    assert basis(base, once) is Basis.DECLARED
    named = replace(known, policy=replace(known.policy, models={"o0": "another-model"}))
    assert basis(named, once) is Basis.ANOTHER_DESIGN
    # A value of which the fit had no gold at all rests on what was learned from others; so does that of an
    # observer whose own fit had none, whoever else's had.
    whole = fit_of(base, gold={"root": {"r0": 20, "r1": 15, "r2": 9}})
    (reading,) = whole.fits[0].readings
    of_another = replace(reading, observer="o1", gold={"root": {"r2": 40}})
    other = replace(whole.fits[0], observers={"o1": "other"}, readings=(of_another,))
    for value, expected in ((0, Basis.CALIBRATED), (2, Basis.DECLARED)):
        both = replace(known, fits=(*known.fits, other))
        assert basis(both, once, value=value) is expected
        assert basis(both, once, grey, value=value) is min(expected, Basis.ANOTHER_DESIGN)
        assert basis(whole, once, value=value) is Basis.CALIBRATED
        assert basis(known, person, value=value) is Basis.PEOPLE
    assert basis(replace(known, policy=replace(known.policy, calibrated_from=36)), once) is Basis.DECLARED
