"""Certificates: exact tests, where the sequence ends, what is missing, and the section of the YAML."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_levels import COLOUR, DESIGN, MACHINE, SIZE, base_of, level
from scipy.stats import beta, binomtest
from thorough import examples

from engine import (
    Gold,
    KnowledgeError,
    Variable,
    certificates_yaml,
    certify,
    decide_certified,
    fewest,
    least_abstention,
    listed,
    read,
    resolve,
    split,
)
from engine.metrics.binomial import most_errors, passes, passes_once, upper_bound

SIGN = Variable("sign", "binary", ("false", "true"), "sign")


def certified(base, levels, gold, fits, **given):
    count = len(fits)
    given = {"alpha": 0.1, "delta": 0.1, "population": "here", "design": DESIGN, "made": "2025-11-25"} | given
    given = {"breadth": "values"} | given
    allowed = given.pop("allowed", np.ones(count, bool))
    values = {name: np.array(column, float) for name, column in gold.items()}
    return certify(base, levels, allowed, Gold(values), np.array(fits), **given)


# The test.


@pytest.mark.parametrize(
    ("alpha", "items_for_one", "items_for_twenty"), [(0.1, 22, 51), (0.05, 45, 104), (0.02, 114, 263)]
)
def test_the_fewest_items_without_an_error(alpha, items_for_one, items_for_twenty):
    assert [fewest(alpha, 0.1 / things) for things in (1, 20)] == [items_for_one, items_for_twenty]
    for n, share in ((items_for_one, 0.1), (items_for_twenty, 0.1 / 20)):
        assert passes(n, 0, alpha, share)
        assert not passes(n - 1, 0, alpha, share)
        assert not passes(n, 1, alpha, share)


@given(
    st.integers(0, 10_000_000),
    st.one_of(st.just(0.5), st.floats(0.001, 0.99)),
    st.one_of(st.just(0.5), st.floats(1e-9, 0.5)),
)
def test_one_error_more_than_the_most_does_not_pass(n, alpha, share):
    (most,) = most_errors(np.array([n]), alpha, share)
    assert most >= -1
    assert most < 0 or passes(n, most, alpha, share)
    assert not passes(n, most + 1, alpha, share)


@given(st.integers(1, 400), st.integers(0, 400), st.floats(0.001, 0.4))
def test_the_bound_is_that_of_clopper_and_pearson(n, errors, share):
    errors = min(errors, n)
    expected = 1.0 if errors == n else beta.ppf(1 - share, errors + 1, n - errors)
    assert upper_bound(n, errors, share) == pytest.approx(expected)
    interval = binomtest(errors, n, alternative="less").proportion_ci(1 - share, "exact")
    assert upper_bound(n, errors, share) == pytest.approx(interval.high)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 19), st.integers(1, 99))
def test_to_pass_is_to_have_the_bound_within_alpha(n, errors, twentieths, hundredths):
    alpha, share, errors = Fraction(twentieths, 20), Fraction(hundredths, 100), min(errors, n)
    tail = sum(math.comb(n, k) * alpha**k * (1 - alpha) ** (n - k) for k in range(errors + 1))
    if tail == share:  # Rounding decides.
        return
    assert passes(n, errors, float(alpha), float(share)) == (tail <= share)
    assert passes_once(n, errors, float(alpha), float(share)) == (tail <= share)
    if n and abs(float(tail / share) - 1) > 1e-9:
        assert (upper_bound(n, errors, float(share)) <= float(alpha)) == (tail <= share)


@given(st.integers(1, 200), st.integers(0, 50), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_more_is_passed_with_more_alpha_more_share_more_right_and_fewer_wrong(n, errors, alpha, share):
    if passes(n, errors, alpha, share):
        for other in ((n, errors, alpha * 1.1, share), (n, errors, alpha, share * 1.1)):
            assert passes(*other)
        assert passes(n + 1, errors, alpha, share)
        assert errors == 0 or passes(n, errors - 1, alpha, share)


def test_the_least_abstention_leaves_alpha_at_best():
    # Of 100 items 28 are wrong: leaving out 20, all of them wrong, leaves 8 of 80.
    assert least_abstention(0.28, 0.1) == pytest.approx(0.2)
    assert least_abstention(0.05, 0.1) == 0


# The sequence.


def blocks(*parts):
    """Items of (risk, right, wrong) blocks: risks, and whether each is wrong."""
    risk = [r for r, right, wrong in parts for _ in range(right + wrong)]
    return risk, [w for _, right, wrong in parts for w in [0.0] * right + [1.0] * wrong]


def one_value(fit, test, **given):
    """Certify one interval: items of value 0 whose gold is 0 (right) or 1 (wrong: off by more than .25)."""
    risks, wrong = (f + t for f, t in zip(blocks(*fit), blocks(*test), strict=True))
    fits = [True] * sum(r + w for _, r, w in fit) + [False] * sum(r + w for _, r, w in test)
    guarantee = certified(
        base_of(SIZE), {"size": level([0] * len(risks), risks)}, {"size": wrong}, fits, **given
    )
    (certificate,) = guarantee.certificates
    return certificate


def test_a_sequence_by_hand():
    # alpha .5, delta .25. The fit sends the start to risk .2, where nothing is wrong. P(Bin(n, .5) <= e) of
    # 4 right: 1/16; 8 right: 1/256; 5 wrong of 13: 2380/8192 = .29 > .25, so the second is the last.
    fit = [(0.2, 4, 0), (0.4, 0, 4), (0.6, 0, 4)]
    test = [(0.2, 4, 0), (0.4, 4, 0), (0.6, 0, 5)]
    certificate = one_value(fit, test, alpha=0.5, delta=0.25)
    assert certificate.threshold == pytest.approx(0.4, abs=2e-9)
    assert (certificate.n, certificate.errors, certificate.predicted, certificate.share) == (8, 0, 13, 0.25)
    assert certificate.bound == pytest.approx(1 - 0.25 ** (1 / 8))
    assert (certificate.coverage, certificate.mu) == (pytest.approx(8 / 13), pytest.approx(5 / 13))
    assert (certificate.missing, certificate.gold) == (None, None)
    # With 4 wrong of 12 the third passes as well: 794/4096 = .194.
    assert one_value(fit, [*test[:2], (0.6, 0, 4)], alpha=0.5, delta=0.25).threshold > 0.6
    # What is beyond a failure is not looked at, however good it is: 4 wrong of 8, then 100 right.
    stopped = one_value(fit, [(0.2, 4, 0), (0.4, 0, 4), (0.6, 100, 0)], alpha=0.5, delta=0.25)
    assert stopped.threshold == pytest.approx(0.2, abs=2e-9)


def test_what_is_accepted_is_what_was_counted():
    certificate = one_value([(0.2, 30, 0), (0.3, 0, 9)], [(0.2, 40, 0), (0.2000001, 5, 0), (0.3, 0, 30)])
    # The threshold lies just above the risks of the fit and not at those of the test.
    assert 0.2 < certificate.threshold < 0.2000001
    assert certificate.n == 40


def test_missing_gold_by_hand():
    # 10 right of the 22 that are needed, of 15 items that certify and 15 that fit: 12 more are missing, which
    # come from 36 more items: half of these certify, and two thirds of those are accepted.
    certificate = one_value([(0.2, 10, 0), (0.9, 0, 5)], [(0.2, 10, 0), (0.9, 0, 5)])
    assert certificate.threshold is None
    assert (certificate.n, certificate.errors, certificate.share, certificate.bound) == (10, 0, 0, 1)
    assert (certificate.missing, certificate.gold) == (12, 36)
    # Where more than alpha are wrong, no number of further items would do at this threshold.
    wrong = one_value([(0.2, 10, 0), (0.9, 0, 5)], [(0.2, 5, 5)])
    assert (wrong.errors, wrong.gold) == (5, None)
    assert passes(wrong.n + wrong.missing, 5, 0.1, 0.1)
    assert not passes(wrong.n + wrong.missing - 1, 5, 0.1, 0.1)


def test_of_few_accepted_nothing_is_said_about_the_gold_that_lacks():
    # 3 in each part, one of them wrong: a sixth is above alpha, but P(1 or more of 6 | .1) = 1 - .9^6 = .47.
    unsure = one_value([(0.2, 3, 0)], [(0.2, 2, 1)])
    assert (unsure.n, unsure.errors, unsure.gold) == (3, 1, 0)
    # Of 24 six are wrong: P(6 or more of 24 | .1) = .028.
    sure = one_value([(0.2, 9, 3)], [(0.2, 9, 3)])
    assert (sure.n, sure.errors, sure.gold) == (12, 3, None)


def test_a_value_that_is_never_met_has_nothing():
    base = base_of(SIGN)
    guarantee = certified(
        base, {"sign": level([0] * 60, [0.01] * 60)}, {"sign": [0] * 60}, [True, False] * 30
    )
    no, yes = guarantee.certificates
    assert (no.value, no.n, no.share) == ("false", 30, 0.1)
    assert (yes.value, yes.threshold, yes.n, yes.missing, yes.gold) == ("true", None, 0, None, None)
    assert listed(guarantee.certificates) == "sign false, true"
    assert (listed(guarantee.certified), listed(guarantee.failed)) == ("sign false", "sign true")


def test_wrong_is_another_state_and_a_number_out_of_tolerance():
    count = 40
    base = base_of(COLOUR, SIZE)
    levels = {"colour": level([0, 1] * 20, [0.01] * count), "size": level([1.0] * count, [0.01] * count)}
    gold = {"colour": [0.0] * count, "size": [1.25, 1.26, 0.75, 0.7] * 10}
    fits = [False] * 20 + [True] * 20
    red, green, size = certified(base, levels, gold, fits).certificates
    assert [certificate.mu for certificate in (red, green, size)] == [0, 1, 0.5]
    assert [certificate.predicted for certificate in (red, green, size)] == [10, 10, 20]


def test_items_without_gold_or_not_acceptable():
    count = 120
    base, levels = base_of(SIZE), {"size": level([0] * count, [0.01] * count)}
    fits, gold = [True, False] * 60, np.zeros(count)
    gold[:20] = np.nan
    allowed = np.arange(count) < 90
    (certificate,) = certified(base, levels, {"size": gold}, fits, allowed=allowed).certificates
    assert (certificate.predicted, certificate.n, certificate.coverage) == (50, 35, 0.7)
    (none,) = certified(base, levels, {}, fits).certificates
    assert (none.predicted, none.threshold) == (0, None)


@st.composite
def worlds(draw):
    """Two variables, items of any risk and truth, and who fits."""
    count = draw(st.integers(1, 120))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    skill = draw(st.floats(0, 1))
    levels = {
        "colour": level(rng.integers(0, 2, count), np.round(rng.random(count), draw(st.integers(1, 6)))),
        "size": level(rng.random(count), rng.random(count) ** 2),
    }
    gold = {
        "colour": np.where(rng.random(count) < skill, levels["colour"].value, rng.integers(0, 2, count)),
        "size": np.where(rng.random(count) < skill, levels["size"].value, rng.random(count)),
    }
    for column in gold.values():
        column[rng.random(count) < 0.1] = np.nan
    return levels, gold, rng.random(count) < 0.4, rng


def counted(levels, gold, certificate, chosen, threshold):
    """Count accepted and wrong ones item by item."""
    counts = [0, 0]
    variable = COLOUR if certificate.variable == "colour" else SIZE
    decision, truth = levels[variable.name], gold[variable.name]
    for i in np.flatnonzero(chosen):
        is_predicted = variable is SIZE or COLOUR.states[int(decision.value[i])] == certificate.value
        if is_predicted and not np.isnan(truth[i]) and decision.risk[i] <= threshold:
            counts[0] += 1
            counts[1] += abs(truth[i] - decision.value[i]) > (0.25 if variable is SIZE else 0.5)
    return tuple(counts)


@settings(deadline=None, max_examples=examples(25))
@given(worlds(), st.sampled_from([0.05, 0.2, 0.4]), st.sampled_from([0.05, 0.3, 0.6]))
def test_laws_of_certificates(world, alpha, delta):
    levels, gold, fits, rng = world
    base = base_of(COLOUR, SIZE)
    guarantee = certified(base, levels, gold, fits, alpha=alpha, delta=delta)
    assert [certificate.variable for certificate in guarantee.certificates] == ["colour", "colour", "size"]
    assert sum(certificate.share for certificate in guarantee.certificates) <= delta
    for certificate in guarantee.certified:
        assert (certificate.n, certificate.errors) == counted(
            levels, gold, certificate, ~fits, certificate.threshold
        )
        assert (
            binomtest(certificate.errors, certificate.n, alpha, alternative="less").pvalue
            <= certificate.share
        )
        assert certificate.bound <= alpha
        assert certificate.n >= fewest(alpha, certificate.share)
        # It was laid out where only the part that fits could be seen.
        assert np.abs(levels[certificate.variable].risk[fits] - certificate.threshold).min() < 2e-9
    for certificate in guarantee.failed:
        assert certificate.coverage == 0
        assert certificate.missing is None or passes(
            certificate.n + certificate.missing, certificate.errors, alpha, certificate.share or delta
        )
    # The order of the items says nothing.
    order = rng.permutation(len(fits))
    moved = {name: level(decision.value[order], decision.risk[order]) for name, decision in levels.items()}
    mixed = {name: column[order] for name, column in gold.items()}
    assert certified(base, moved, mixed, fits[order], alpha=alpha, delta=delta) == guarantee


@settings(deadline=None, max_examples=examples(20))
@given(worlds())
def test_what_certifies_has_no_say_in_what_is_tried(world):
    levels, gold, fits, rng = world
    other = {name: np.where(fits, column, rng.random(len(fits))) for name, column in gold.items()}
    base = base_of(COLOUR, SIZE)
    guarantee, other_guarantee = (
        certified(base, levels, truth, fits, alpha=0.4, delta=0.6) for truth in (gold, other)
    )
    assert [c.share for c in guarantee.certificates] == [c.share for c in other_guarantee.certificates]


def test_certified_thresholds_take_the_place_of_limits():
    base = base_of(COLOUR, SIZE)
    count = 80
    levels = {"colour": level([0] * count, [0.3] * count), "size": level([0] * count, [0.2] * count)}
    gold = {"colour": [0] * count, "size": [0] * count}
    guarantee = certified(base, levels, gold, [True, False] * 40)
    new = {
        "colour": level([0, 0, 1, 0], [0.3, 0.31, 0.0, 0.1]),
        "size": level([9, 9, 9, 9], [0.1, 0.2, 0.3, 0]),
    }
    decided = decide_certified(base, guarantee, new, np.array([True, True, True, False]))
    assert decided["colour"].accepted.tolist() == [True, False, False, False]
    assert decided["size"].accepted.tolist() == [True, True, False, False]


# Subjects.


def test_a_split_keeps_subjects_together():
    rng = np.random.default_rng(3)
    groups = [f"s{i}" for i in rng.integers(0, 40, 500)]
    mask = split(500, groups, 0.3, rng)
    parts = [{g for g, fit in zip(groups, mask, strict=True) if fit == part} for part in (True, False)]
    assert not parts[0] & parts[1]
    assert len(parts[0]) == 12
    assert split(500, None, 0.3, rng).sum() == 150
    same = [split(500, groups, 0.3, np.random.default_rng(7)) for _ in range(2)]
    assert np.array_equal(*same)


def test_a_subject_counts_once():
    # 30 subjects of 5 right items each are 30 units: enough for alpha .1, where 150 would be counted without.
    groups = np.repeat(np.arange(60), 5)
    base, levels = base_of(SIZE), {"size": level([0] * 300, [0.01] * 300)}
    gold, fits = {"size": [0] * 300}, groups < 30
    guarantee = certified(base, levels, gold, fits, groups=groups, rng=np.random.default_rng(0))
    (certificate,) = guarantee.certificates
    assert (guarantee.unit, certificate.n, certificate.predicted, certificate.coverage) == (
        "subject",
        30,
        150,
        1,
    )
    assert "of 30 subjects" in " ".join(guarantee.assumptions)
    with pytest.raises(ValueError, match="rng"):
        certified(base, levels, gold, fits, groups=groups)
    with pytest.raises(ValueError, match="both parts"):
        certified(base, levels, gold, np.arange(300) < 151, groups=groups, rng=np.random.default_rng(0))


def test_any_item_of_a_subject_may_be_the_one_and_only_accepted_ones_are():
    # A subject of four items, the second wrong and the last not accepted: wrong in a third of the draws.
    groups = np.concatenate([np.arange(100), np.repeat(np.arange(100, 200), 4)])
    risk = np.concatenate([np.full(100, 0.01), np.tile([0.01, 0.01, 0.01, 0.5], 100)])
    wrong = np.concatenate([np.zeros(100), np.tile([0.0, 1, 0, 1], 100)])
    errors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        levels = {"size": level(np.zeros(500), risk)}
        guarantee = certified(
            base_of(SIZE), levels, {"size": wrong}, groups < 100, groups=groups, rng=rng, alpha=0.6
        )
        (certificate,) = guarantee.certificates
        assert certificate.n == 100
        errors.append(certificate.errors)
    assert np.mean(errors) == pytest.approx(100 / 3, abs=4 * np.sqrt(100 * 2 / 9 / 40))
    assert np.std(errors) == pytest.approx(np.sqrt(100 * 2 / 9), rel=0.35)


# The section of the YAML.


def machine_guarantee(base, count=400, seed=0, **given):
    rng = np.random.default_rng(seed)
    levels, gold = {}, {}
    for name in (name for names in base.levels.values() for name in names):
        variable = base.variables[name]
        states = 1 if variable.kind == "interval" else len(variable.states)
        levels[name] = level(rng.integers(0, states, count), rng.random(count) ** 3)
        gold[name] = levels[name].value + (rng.random(count) < levels[name].risk)
    return certified(base, levels, gold, split(count, None, 1 / 3, rng), alpha=0.1, **given)


def written(folder, guarantee, more="", base=MACHINE):
    path = folder / "certified.yaml"
    path.write_text(f"extends: {base}\n{more}\n{certificates_yaml(guarantee, 'handbook')}", "utf-8")
    return path


def test_what_is_written_is_read_again(tmp_path):
    base = read(MACHINE)
    guarantee = machine_guarantee(base)
    assert guarantee.certified
    assert guarantee.failed
    again = read(written(tmp_path, guarantee))
    assert (again.digest, again.digests) == (base.digest, base.digests)
    read_guarantee = again.guarantee
    assert read_guarantee.refusals(again.digests, "here") == ()
    exact = {"threshold", "n", "errors", "share", "predicted", "missing", "gold", "variable", "value"}
    for certificate, other in zip(guarantee.certificates, read_guarantee.certificates, strict=True):
        assert {key: getattr(certificate, key) for key in exact} == {
            key: getattr(other, key) for key in exact
        }
        assert certificate.bound <= other.bound <= certificate.bound + 1e-6
        assert abs(certificate.mu - other.mu) <= 1e-4
    assert replace(read_guarantee, certificates=()) == replace(guarantee, certificates=())
    assert again.numbers == base.numbers


@pytest.mark.parametrize("key", ["threshold", "predicted", "items", "population"])
def test_a_section_that_was_edited_is_faulty_and_one_without_its_digest_is_refused(tmp_path, key):
    path = written(tmp_path, machine_guarantee(read(MACHINE)))
    text = path.read_text("utf-8")
    path.write_text(text.replace("certificates:\n", "certificates:\n  note: A note.\n"), "utf-8")
    assert read(path).guarantee.sealed
    before, after = re.split(rf"(?<=\b{key}: )[^,\n]*(?=\d|[a-z]\n)", text, maxsplit=1)
    changed = "9" if after[0].isdigit() and after[0] != "9" else "8"
    path.write_text(f"{before}{text[len(before) : -len(after)]}{changed}{after[1:]}", "utf-8")
    with pytest.raises(KnowledgeError, match=r"certificates\.digest: is not that of this section"):
        read(path)
    path.write_text(re.sub(r"\n  digest: .*", "", text), "utf-8")
    again = read(path)
    (reason,) = again.guarantee.refusals(again.digests, "here")
    assert "has no digest" in reason


@given(st.floats(1e-9, 1))
def test_a_threshold_is_never_written_looser(threshold):
    base = base_of(SIZE)
    guarantee = certified(
        base, {"size": level([0] * 60, [0.01] * 60)}, {"size": [0] * 60}, [True, False] * 30
    )
    (certificate,) = guarantee.certificates
    text = certificates_yaml(
        replace(guarantee, certificates=(replace(certificate, threshold=threshold),)), "x"
    )
    shown = float(text.split("threshold: ")[1].split(",")[0])
    assert threshold - 1e-9 < shown <= threshold


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ("rules: {dry: {confidence: 0.56, source: handbook}}", "knowledge"),
        ("questions: {walk: {cost: 2, source: handbook}}", "prompts"),
        ("observers: {fitter: {carry: 0.5, source: handbook}}", "observers"),
        ("policy: {limits: {fault: 0.11, source: handbook}}", "policy"),
        ("remove: [variables.dripping, rules.dry]", "knowledge"),
    ],
)
def test_what_an_overlay_changes_is_the_reason(tmp_path, more, part):
    base = read(MACHINE)
    path = written(tmp_path, machine_guarantee(base))
    (tmp_path / "over.yaml").write_text(f"extends: {path}\n{more}\n", "utf-8")
    changed = read(tmp_path / "over.yaml")
    reasons = changed.guarantee.refusals(changed.digests, "here")
    old, new = base.digests[part], changed.digests[part]
    assert f"{part} changed since it was made (digest {old} -> {new})" in reasons
    if "remove" not in more:
        assert len(reasons) == 1


def test_names_labels_sources_and_certificates_are_no_change(tmp_path):
    base = read(MACHINE)
    path = written(tmp_path, machine_guarantee(base), "name: another\ndescription: other words")
    (tmp_path / "over.yaml").write_text(f"extends: {path}\nsources: {{mine: {{cite: a book}}}}\n", "utf-8")
    changed = read(tmp_path / "over.yaml")
    assert changed.digests == base.digests
    assert changed.guarantee.refusals(changed.digests, "here") == ()
    assert changed.guarantee.refusals(changed.digests, "there") == (
        "it was made for population here, this is there",
    )


def test_certificates_of_an_overlay_leave_none_of_the_base(tmp_path):
    base = read(MACHINE)
    first = written(tmp_path, machine_guarantee(base))
    second = machine_guarantee(base, seed=5)
    fewer = replace(second, certificates=second.certificates[:2])
    (tmp_path / "over").mkdir()
    again = read(written(tmp_path / "over", fewer, base=first))
    assert again.guarantee.certificates[0].threshold == fewer.certificates[0].threshold
    assert len(again.guarantee.certificates) == 2


def test_a_whole_base_carries_them(tmp_path):
    certified_base = read(written(tmp_path, machine_guarantee(read(MACHINE))))
    (tmp_path / "whole.yaml").write_text(resolve(certified_base), "utf-8")
    whole = read(tmp_path / "whole.yaml")
    assert whole == certified_base
    assert whole.guarantee == certified_base.guarantee


def test_an_edited_threshold_count_or_name_is_a_fault(tmp_path):
    guarantee = machine_guarantee(read(MACHINE))
    path = written(tmp_path, guarantee)
    text = path.read_text("utf-8")
    certificate = guarantee.certified[0]
    for old, new, message in (
        (
            f"n: {certificate.n}, errors: {certificate.errors}",
            f"n: {certificate.n}, errors: {certificate.n // 2}",
            "was not certified",
        ),
        ("    wear:", "    waer:", "no such variable; did you mean wear?"),
        ("      sound:", "      sund:", "no such value of wear; did you mean sound?"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
        with pytest.raises(KnowledgeError, match=message):
            read(path)
