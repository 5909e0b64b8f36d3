"""Influences against bases written anew and compiled from scratch, and against the slopes of one item."""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import Ranked, Reading, answers_of, random_items

from engine import Inference, Influences, compile_network, decide_levels, declared_of, diagnose
from engine.analysis.adjoint import declared_shift, slopes
from engine.analysis.perturbation import Perturbation

# Of the machine's words one is .8 and the other .2; here they do not happen to add up to 1.
WORDS = "words: {seldom: 0.25, source: judgement, note: other words}"
NETWORK = ("words", "priors", "activations", "affect", "couplings", "rules")


def asked(base, items=8, seed=3, without=""):
    """Answers about some items, without those to one question."""
    drawn_items = random_items(base, seed, items=40, readings=4)
    kept = [[reading for reading in item if reading.question != without] for item in drawn_items]
    return answers_of(base, [item for item in kept if item][:items])


def parts(base, number):
    """The numbers that must add up to 1 with this one: of a population or of a row of confusions."""
    above = number.path.rpartition(".")[0]
    if not above.endswith(".p") and ".confusion." not in above:
        return []
    return [part for path, part in base.numbers.items() if path.rpartition(".")[0] == above]


def written(base, number, value):
    """The base with another number written in its YAML; what it shares a distribution with makes room."""
    room = (1 - value) / (1 - number.value)
    values = {part.path: part.value * room for part in parts(base, number)}
    return declared_of(base).with_numbers(values | {number.path: value})


def turn(names, among):
    """One part of the numbers as written, another where they are renamed."""
    return slice(0 if names["wear"] == "wear" else among // 2, None, among)


def inferred(base):
    """Under another population than the reference."""
    return Inference(compile_network(base), base, "in-service")


def accepted(inference, answers, variable):
    posterior = inference.posterior(answers)
    conflict = diagnose(inference, answers, posterior).conflict
    return decide_levels(inference.knowledge, answers, posterior, conflict)[variable].accepted


@pytest.mark.parametrize("among", [24, pytest.param(12, marks=pytest.mark.slow)])
def test_slopes_are_differences_of_bases_compiled_anew(overlay_of, names, among):
    """A one-sided difference may be off by its step times the curvature."""
    base = overlay_of(WORDS)
    inference, answers = inferred(base), asked(base)
    looked_at = ("wear", "hot") if names["wear"] == "wear" else ("load",)
    about = {name: Influences(inference, answers, names[name]) for name in looked_at}
    now = {name: influences.p for name, influences in about.items()}
    for number in about[looked_at[0]].perturbation.numbers[turn(names, among)]:
        step = min(1e-3 * max(abs(number.value), 0.1), number.high - number.value, number.value - number.low)
        assert step > 0
        sides = [inferred(written(base, number, number.value + sign * step)) for sign in (1, -1)]
        marginals = [side.posterior(answers).marginals for side in sides]
        for name, influences in about.items():
            right = [(p[names[name]] * influences.right).sum(1) for p in marginals]
            slope = (right[0] - right[1]) / (2 * step)
            curvature = np.abs(right[0] - 2 * now[name] + right[1]).max() / step**2
            influence = influences.influence(number)
            off = np.abs(influence.slope - slope).max()
            assert off <= 1e-3 * np.abs(slope).max() + step * curvature + 1e-6, (name, number.path)


def test_what_is_right_now_is_what_is_decided_now(base_of, names):
    """P(right) is one minus the risk that the decision tells, whatever the kind of the variable."""
    base = base_of("machine")
    inference, answers = inferred(base), asked(base, items=20)
    posterior = inference.posterior(answers)
    decided = decide_levels(base, answers, posterior, np.ones(20))
    for name in map(names.get, ("wear", "hot", "dripping", "load", "flow")):
        influences = Influences(inference, answers, name)
        np.testing.assert_allclose(influences.p, 1 - decided[name].risk, atol=1e-9)
        assert influences.threshold == pytest.approx(1 - base.policy.limits[name])
        accepted = (influences.p >= influences.threshold - 1e-9) & decided[name].eligible
        assert (accepted == decided[name].accepted).all()
        assert (influences.open == decided[name].eligible).all()


@pytest.mark.parametrize(("among", "tried"), [(6, 4), pytest.param(3, 6, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("variable", "beside"), [("wear", 0.0002), ("hot", -0.0002), ("load", 0.0002)])
def test_flips_lie_where_the_acceptance_changes(overlay_of, names, variable, beside, among, tried):
    """The limit is put just beside what an item has, so that a little of many numbers turns it."""
    plain, name = overlay_of(WORDS), names[variable]
    answers = asked(plain).part(1, 2)
    (p,) = Influences(inferred(plain), answers, name).p
    limit = f"{{{'fault' if variable == 'wear' else variable}: {1 - p + beside:.9f}}}"
    near = overlay_of(f"{WORDS}\npolicy: {{limits: {limit}, source: judgement, note: beside}}")
    inference = inferred(near)
    before = accepted(inference, answers, name)[0]
    assert before == (beside > 0)
    influences = Influences(inference, answers, name)
    # Nearly linear: what turns it is a small part of the number.
    small = [
        (influence.number, influence.flip[0] - influence.number.value)
        for influence in map(influences.influence, influences.perturbation.numbers[turn(names, among)])
        if abs(influence.flip[0] / influence.number.value - 1) < 0.005
    ]
    assert len(small) > 1
    for number, far in small[::tried]:
        for share in (0.8, 1.2):
            then = inferred(written(near, number, number.value + share * far))
            assert (accepted(then, answers, name)[0] == before) == (share < 1), number.path


@pytest.mark.parametrize("seed", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_of_one_item_they_are_the_slopes_by_derivatives(overlay_of, seed):
    base = overlay_of(WORDS)
    inference, answers = inferred(base), asked(base, items=1, seed=seed, without="walk")
    evidence = inference.observations.evidence(answers)
    p = inference.marginals(evidence)[base.root][0]
    best = p.argmax()
    against_all = np.where(np.arange(len(p)) == best, 1.0, -p / (1 - p[best]))
    gradient = slopes(inference, evidence, against_all[None])
    checked = 0
    for influence in Influences(inference, answers).each():
        number = influence.number
        if number.path.split(".")[0] in NETWORK:
            step = 1e-5 * max(abs(number.value), 0.1)
            shift = declared_shift(base, written(base, number, number.value + step), "in-service") / step
            slope = p[best] * (1 - p[best]) * (gradient.declared[0] @ shift)
            assert influence.slope[0] == pytest.approx(slope, rel=1e-2, abs=1e-5), number.path
            checked += 1
    assert checked > 25


def test_parts_of_a_distribution_are_flagged_and_still_add_up_to_1(overlay_of, names):
    base = overlay_of(WORDS)
    influences = Influences(inferred(base), asked(base, items=20))
    shared = 0
    for place, number in enumerate(influences.perturbation.numbers):
        value, whole = 0.9 * number.value, parts(base, number)
        then = influences.perturbation.renormalised({number.path: value})
        assert (len(then) > 1) == bool(whole), number.path
        if place % 6 == 0 or (whole and shared % 4 == 0):
            assert influences.influence(number).shared == bool(whole), number.path
        if whole:
            assert set(then) == {part.path for part in whole}
            assert then[number.path] == value
            assert sum(then.values()) == pytest.approx(1, abs=1e-9)
            assert influences.perturbation.perturbed_base(then) is not None
            shared += 1
    # A prior of three states and a table of three times three.
    assert shared == 3 + 9


MANY = {"wear": Ranked((1, 2)), "hot": 0}


@pytest.mark.parametrize(
    ("question", "draw_by_role"),
    [("check", {"hot": 1}), ("walk", {"load": 1, "wear": 0}), ("walk", {"hot": 1}), ("walk", MANY)],
)
def test_numbers_that_are_not_asked_have_no_say(base_of, names, question, draw_by_role):
    """All of them are changed at once, and nothing comes of it."""
    base = base_of("machine")
    draw = {names[name]: value for name, value in draw_by_role.items()}
    answers = answers_of(base, [[Reading("fitter", question, "face", (draw,))]])
    inference = inferred(base)
    relevant_paths = {number.path for number in Perturbation(inference, answers).numbers}
    values = {
        path: number.value * 0.99
        for path, number in base.numbers.items()
        if path not in relevant_paths and not parts(base, number) and path.startswith("observers.")
    }
    assert any(path.startswith("observers.fitter.") for path in values)
    assert any(path.startswith("observers.logbook.") for path in values)
    other = inferred(declared_of(base).with_numbers(values))
    before, after = (side.posterior(answers).marginals for side in (inference, other))
    for name in before:
        np.testing.assert_allclose(before[name], after[name], atol=1e-12)
    assert {path.split(".")[2] for path in relevant_paths if path.startswith("priors.")} == {"in-service"}
    assert not [path for path in relevant_paths if path.startswith(("policy.", "questions."))]


def by_all(base, names, *observers):
    """One answer of each of these about what is wrong, and the numbers that then have a say."""
    readings = [Reading(name, "walk", "face", ({names["wear"]: 1},)) for name in observers]
    answers = answers_of(base, [readings])
    return answers, {number.path for number in Perturbation(inferred(base), answers).numbers}


def test_of_several_observers_all_that_looks_are_derived_from_has_a_say(base_of, names):
    """Also the table of one that answered nothing, by slopes of bases read anew; all else has none."""
    base = base_of("crew")
    answers, paths = by_all(base, names, "fitter", "logbook")
    wear = names["wear"]
    expected = {
        *(f"dependence.{key}" for key in ("clear.right", "clear.seen", "ambiguous.right", "ambiguous.seen")),
        *("dependence.n", "dependence.look_n", "dependence.seen_n", "dependence.kinds.expert.follows"),
        *("dependence.kinds.passer-by.follows", "observers.logbook.follows", "observers.visitor.carry"),
        f"observers.visitor.categorical.{wear}.accuracy",
    }
    assert expected <= paths
    assert not [path for path in paths if path.startswith("observers.visitor.binary.cells.")]
    influences = Influences(inferred(base), answers, wear)
    influence_by_path = {
        number.path: influences.influence(number)
        for number in influences.perturbation.numbers
        if number.path in expected
    }
    for path, influence in influence_by_path.items():
        step = 1e-3 * max(abs(influence.number.value), 0.1)
        sides = [
            inferred(declared_of(base).with_numbers({path: influence.number.value + sign * step}))
            for sign in (1, -1)
        ]
        right = [(side.posterior(answers).marginals[wear] * influences.right).sum(1) for side in sides]
        slope = (right[0] - right[1]) / (2 * step)
        assert influence.slope == pytest.approx(slope, rel=0.03, abs=1e-6), path
        assert slope[0] != 0, path
    assert influence_by_path.keys() == expected
    irrelevant = {
        path: number.value * 0.99
        for path, number in base.numbers.items()
        if path not in paths and not parts(base, number) and path.startswith(("observers.", "dependence."))
    }
    assert any(path.startswith("observers.visitor.") for path in irrelevant)
    other = inferred(declared_of(base).with_numbers(irrelevant))
    before, after = (side.posterior(answers).marginals for side in (inferred(base), other))
    for name in before:
        np.testing.assert_allclose(before[name], after[name], atol=1e-12)


def test_of_one_observer_alone_what_others_are_like_has_no_say(base_of, names):
    _, paths = by_all(base_of("crew"), names, "fitter")
    assert not [path for path in paths if path.startswith(("dependence.", "observers.visitor."))]


def test_looks_that_add_up_to_1_are_no_distributions(overlay_of, names):
    text = "dependence: {ambiguous: {right: 0.3, seen: 0.7}, source: judgement, note: They add up to 1.}"
    base = overlay_of(text, "crew")
    influences = Influences(inferred(base), by_all(base, names, "fitter", "logbook")[0], names["wear"])
    looks = [f"dependence.ambiguous.{key}" for key in ("right", "seen")]
    assert not any(influences.influence(base.numbers[path]).shared for path in looks)


def test_words_and_lists_that_add_up_to_1_are_no_distributions(base_of):
    """The machine's words are .8 and .2; each moves alone."""
    base = base_of("machine")
    influences = Influences(inferred(base), asked(base))
    words = [number for number in influences.perturbation.numbers if number.path.startswith("words.")]
    assert sum(word.value for word in words) == pytest.approx(1)
    assert not any(influences.influence(word).shared for word in words)


@pytest.mark.parametrize("among", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_an_item_that_nobody_read_has_no_flips(overlay_of, names, among):
    base = overlay_of(f"policy: {{limits: {{fault: {0.999}}}, source: judgement, note: nearly all}}")
    nothing = answers_of(base, [[]])
    influences = Influences(inferred(base), nothing)
    relevant = [influences.influence(number) for number in influences.perturbation.numbers[::among]]
    assert any(np.abs(influence.slope).max() > 0 for influence in relevant)
    assert all(np.isnan(influence.flip).all() for influence in relevant)


@pytest.mark.parametrize("variable", ["wear", "load"])
def test_turning_values_are_where_the_acceptance_changes(overlay_of, names, variable):
    """However far off and bent: on this side of the value the item is decided as now, beyond it otherwise."""
    plain, name = overlay_of(WORDS), names[variable]
    answers = asked(plain).part(1, 2)
    (p,) = Influences(inferred(plain), answers, name).p
    limit = f"{{{'fault' if variable == 'wear' else variable}: {1 - p + 0.02:.9f}}}"
    base = overlay_of(f"{WORDS}\npolicy: {{limits: {limit}, source: judgement, note: beside}}")
    inference = inferred(base)
    influences = Influences(inference, answers, name)
    before = accepted(inference, answers, name)[0]
    thresholds_checked = 0
    for number in influences.perturbation.numbers[turn(names, 16)]:
        value = influences.decision_threshold(influences.influence(number))
        if np.isnan(value):
            continue
        for share in (0.97, 1.03):
            there = number.value + share * (value - number.value)
            if number.low <= there <= number.high:
                then = inferred(written(base, number, there))
                assert (accepted(then, answers, name)[0] == before) == (share < 1), number.path
                thresholds_checked += 1
    assert thresholds_checked > 1
