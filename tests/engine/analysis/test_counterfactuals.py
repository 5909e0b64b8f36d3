"""Slopes against bases compiled anew; pulls and flips against edited YAML."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from brute_force import Reading, answers_of, random_items

from engine import Inference, KnowledgeError, Sensitivity, compile_network, decide_levels, diagnose, read
from engine.analysis.adjoint import declared_shift, slopes
from engine.analysis.perturbation import Perturbation
from engine.language.yaml_tree import declared_of

SHAPING = ("priors", "activations", "affect", "couplings", "rules", "words")


def contrasts_of(log_p):
    """Of the likeliest state: log-odds against all others, and the ratio to the next."""
    p = np.exp(log_p)
    first, second = p.argsort()[::-1][:2]
    against_all = -p / (1 - p[first])
    against_all[first] = 1
    ratio = np.zeros(len(p))
    ratio[[first, second]] = 1, -1
    return np.stack([against_all, ratio])


@pytest.mark.parametrize(
    ("seed", "among"), [(1, 6), *(pytest.param(seed, 2, marks=pytest.mark.slow) for seed in (1, 4))]
)
def test_slopes_are_those_of_bases_compiled_anew(base_of, names, seed, among):
    """Of one number among so many as written, of others renamed; slow, of half and half."""
    base = base_of("machine")
    inference = Inference(compile_network(base), base)
    (readings,) = random_items(base, seed, items=1, readings=4)
    # The stereotypes behind a halo are evidence here, and stay as they are.
    evidence = inference.observations.evidence(answers_of(base, [readings]))
    contrasts = contrasts_of(np.log(inference.marginals(evidence)[base.root][0]))
    gradient = slopes(inference, evidence, contrasts)
    checked = 0
    shaping = [
        number
        for number in base.numbers.values()
        if number.path.split(".")[0] in SHAPING and not number.path.endswith(".n")
    ]
    for number in shaping[names["wear"] == "wear" :: among]:
        step = 1e-4 * max(abs(number.value), 0.1)
        try:
            sides = [declared_of(base).with_numbers({number.path: number.value + d}) for d in (step, -step)]
        except KnowledgeError as error:
            assert "must sum to 1" in str(error)
            continue
        logs = [
            np.log(Inference(compile_network(side), side).marginals(evidence)[base.root][0]) for side in sides
        ]
        shift = np.subtract(*(declared_shift(base, side, base.reference) for side in sides))
        np.testing.assert_allclose(
            gradient.declared @ shift,
            contrasts @ (logs[0] - logs[1]),
            rtol=2e-3,
            atol=2e-7,
            err_msg=number.path,
        )
        checked += 1
    assert checked > 20 / among


REFERENCE = (
    "priors: {reference: fleet, populations: {fleet: {p: {sound: 0.5, worn: 0.3, clogged: 0.2},"
    " source: judgement, note: mixed}}}"
)


@pytest.mark.parametrize(
    ("population", "seed"),
    [("fleet", 1), ("in-service", 2), pytest.param("in-service", 7, marks=pytest.mark.slow)],
)
def test_the_reference_has_a_say_through_the_rules(overlay_of, names, population, seed):
    """Also under another population; what the one state has less another has more."""
    base = overlay_of(REFERENCE)
    fleet, population = (names.get(name, name) for name in ("fleet", population))
    inference = Inference(compile_network(base), base, population)
    answers = answers_of(base, random_items(base, seed, items=1, readings=4))
    relevant_paths = {number.path for number in Perturbation(inference, answers).numbers}
    evidence = inference.observations.evidence(answers)
    contrasts = contrasts_of(np.log(inference.marginals(evidence)[base.root][0]))
    gradient = slopes(inference, evidence, contrasts)
    numbers = [
        number for path, number in base.numbers.items() if path.startswith(f"priors.populations.{fleet}.p.")
    ]
    assert len(numbers) == 3
    assert {number.path for number in numbers} <= relevant_paths
    for less, more in itertools.permutations(numbers, 2):
        logs, sides = [], []
        for step in (1e-4, -1e-4):
            values = {less.path: less.value - step, more.path: more.value + step}
            sides.append(declared_of(base).with_numbers(values))
            other = Inference(compile_network(sides[-1]), sides[-1], population)
            logs.append(np.log(other.marginals(evidence)[base.root][0]))
        expected = contrasts @ (logs[0] - logs[1])
        assert np.abs(expected).max() > 1e-6
        change = gradient.declared @ declared_shift(*reversed(sides), population)
        np.testing.assert_allclose(change, expected, rtol=2e-3, atol=2e-7)


def asked(base, seed):
    """Return an inference and the answers about one item with two readings or more."""
    inference = Inference(compile_network(base), base)
    items = [item for item in random_items(base, seed, items=8, readings=4) if len(item) > 1]
    return inference, answers_of(base, items[:1])


def decided(inference, answers):
    base = inference.knowledge
    posterior = inference.posterior(answers)
    p = posterior.marginals[base.root][0]
    levels = decide_levels(base, answers, posterior, diagnose(inference, answers, posterior).conflict)
    return inference.network.root_states[int(np.round(p, 9).argmax())], bool(levels[base.root].accepted[0])


@pytest.mark.parametrize("seed", [1, 3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2))])
def test_a_pull_is_the_difference_that_removal_makes(base_of, overlay_of, seed):
    base = base_of("machine")
    inference, answers = asked(base, seed)
    pulls = Sensitivity(inference, answers).contributions()
    assert pulls
    assert [abs(pull.bits) for pull in pulls] == sorted((abs(pull.bits) for pull in pulls), reverse=True)
    for pull in pulls:
        section = "rules" if pull.declared in base.rules else "couplings"
        path = Path(pull.declared.place.file).with_name("without.yaml")
        path.write_text(f"extends: machine.yaml\nremove: [{section}.{pull.declared.name}]\n")
        without = read(path)
        other = Inference(compile_network(without), without)
        p, q = (i.posterior(answers).marginals for i in (inference, other))
        label = p[base.root][0].argmax()
        odds = [np.log2(m[base.root][0, label] / np.delete(m[base.root][0], label).sum()) for m in (p, q)]
        assert pull.bits == pytest.approx(odds[0] - odds[1], abs=1e-6)
        gap = {v: np.abs(p[v][0] - q[v][0]).sum() for v in p if base.variables[v].kind != "derived"}
        assert gap[pull.moved] == pytest.approx(max(gap.values()), abs=1e-6)


def edited(number, value):
    """The base's YAML with another text where a number stands."""
    path = Path(number.place.file)
    lines = path.read_text().splitlines()
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    row, column = number.place.line - 1, number.place.column - 1
    lines[row] = lines[row][:column] + re.sub(r"^[^\s,}\]]+", text, lines[row][column:])
    other = path.with_name("edited.yaml")
    other.write_text("\n".join(lines) + "\n")
    return read(other, usual_view="face")


def test_a_flip_is_what_an_edit_of_the_file_does(base_of, names):
    base = base_of("machine")
    flips_checked = 0
    for seed in (1,) if names["wear"] == "wear" else (2, 3):
        inference, answers = asked(base, seed)
        sensitivity = Sensitivity(inference, answers)
        now = decided(inference, answers)
        assert now == (sensitivity.states[sensitivity.label], sensitivity.accepted)
        flips = sensitivity.counterfactuals()
        assert len({flip.number.path for flip in flips}) == len(flips) <= 3
        assert [flip.distance for flip in flips] == sorted(flip.distance for flip in flips)
        for flip in flips:
            old, new = flip.number.value, flip.value
            assert flip.number.low <= new <= flip.number.high
            if flip.shared:
                continue
            flipped = edited(flip.number, new)
            then = Inference(compile_network(flipped), flipped)
            p = then.posterior(answers).marginals[base.root][0]
            assert decided(then, answers) == (flip.label, flip.accepted) != now
            assert p.max() == pytest.approx(flip.p, abs=1e-6)
            unflipped = edited(flip.number, old + 0.97 * (new - old))
            nearly = Inference(compile_network(unflipped), unflipped)
            assert decided(nearly, answers) == now
            flips_checked += 1
    assert flips_checked >= 2


def test_how_observers_err_together_moves_a_decision(base_of, names):
    """To first order as by bases read anew, where several answered; of one alone nothing comes of it."""
    base = base_of("crew")
    inference = Inference(compile_network(base), base)
    readings = [
        Reading(name, "walk", "face", ({names["wear"]: 1},)) for name in ("fitter", "logbook", "visitor")
    ]
    for count in (1, 3):
        sensitivity = Sensitivity(inference, answers_of(base, [readings[:count]]))
        for path in ("dependence.kinds.passer-by.follows", "dependence.clear.right", "dependence.n"):
            other = declared_of(base).with_numbers({path: base.numbers[path].value * 1.01})
            p = (
                Inference(compile_network(other), other)
                .posterior(sensitivity.answers)
                .marginals[base.root][0]
            )
            moved_by = sensitivity._margins(other, p) - sensitivity._margins(base, sensitivity.p)
            none, by_others = sensitivity._first_order([None, other])
            assert not none.any()
            np.testing.assert_allclose(by_others, moved_by, atol=1e-9)
            # What answers report is remembered, by what is declared.
            memory = sensitivity.perturbation
            for knowledge in (other, base, other):
                fresh = inference.with_knowledge(knowledge).observations.evidence(memory.answers)
                again = memory.inference_of(knowledge).observations.evidence(memory.answers)
                for name, log_likelihood in fresh.log_likelihood.items():
                    np.testing.assert_array_equal(again.log_likelihood[name], log_likelihood)
            assert (np.abs(moved_by).max() > 1e-6) == (count > 1), path


def test_a_number_of_a_distribution_moves_with_the_others(base_of):
    base = base_of("machine")
    sensitivity = Sensitivity(*asked(base, 2))
    (path,) = [p for p in base.numbers if p.startswith("priors.populations.in-service.p.")][:1]
    other = sensitivity.perturbation.perturbed_base({path: 0.4})
    before, after = (variant.populations["in-service"].p for variant in (base, other))
    assert after[0] == pytest.approx(0.4)
    assert np.array(after[1:]) / after[1] == pytest.approx(np.array(before[1:]) / before[1])
    assert sum(after) == pytest.approx(1)


def test_numbers_change_as_the_reader_would_read_them(base_of):
    base = base_of("machine")
    number = next(n for n in base.numbers.values() if n.path.startswith("couplings."))
    other = declared_of(base).with_numbers({number.path: 2.5})
    assert other == edited(number, 2.5)
    assert other.couplings[0].odds_ratio == 2.5
    with pytest.raises(KnowledgeError, match="allowed is"):
        declared_of(base).with_numbers({number.path: -1})


def test_a_base_that_was_not_read_has_no_numbers_to_flip():
    from brute_force import Shape, random_base

    base = random_base(Shape(seed=1))
    sensitivity = Sensitivity(*asked(base, 1))
    assert sensitivity.counterfactuals() == ()
