"""The section `fits`, limits in the language, and an overlay laid upon a base in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import FitRecord, FittedReading, KnowledgeError, Threshold, declared_of, fits_yaml, read, resolve

SOURCES = "sources: {fit-1: {cite: a fit}}\n"
HEAD = "policy: {source: judgement, note: a trial, limits: "


def limited(overlay_of, text):
    """The machine with these limits."""
    return overlay_of(f"{HEAD}{text}}}\n").policy


def test_a_limit_is_of_each_risk_or_of_their_mean(overlay_of, base_of):
    fault, levels = base_of("machine").root, "{fault: {mean: 0.07}}"
    policy = limited(overlay_of, levels)
    assert policy.limits[fault] == 0.07
    assert policy.mean_limits == {fault}
    for limit in ("{fault: 0.07}", "{fault: {each: 0.07}}"):
        policy = limited(overlay_of, limit)
        assert policy.limits[fault] == 0.07
        assert not policy.mean_limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{fault: {}}", "needs either `each`, a limit of each risk, or `mean`, a limit of their mean"),
        ("{fault: {each: 0.1, mean: 0.1}}", "needs either `each`, a limit of each risk"),
        ("{fault: {mean: 5}}", "is 5; allowed is 0.0001 to 0.9999; divide percentages by 100"),
        ("{fault: {men: 0.1}}", "unknown key; did you mean mean?"),
        ("{fault: [0.1]}", "must be a mapping, not a list"),
    ],
)
def test_a_faulty_limit_is_said(overlay_of, text, message):
    with pytest.raises(KnowledgeError) as error:
        limited(overlay_of, text)
    assert message in str(error.value)


def test_an_overlay_gives_one_kind_of_limit_in_place_of_the_other(folder, overlay_of, names):
    first = folder / "mean.yaml"
    first.write_text(
        names.rename(f"extends: machine.yaml\n{HEAD}{{fault: {{mean: 0.07}}}}}}\n"), encoding="utf-8"
    )
    second = folder / "each.yaml"
    second.write_text(
        names.rename(f"extends: mean.yaml\n{HEAD}{{fault: {{each: 0.2}}}}}}\n"), encoding="utf-8"
    )
    base = read(second)
    assert base.policy.limits[base.root] == 0.2
    assert not base.policy.mean_limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evidence: 0.5", "is 0.5; allowed is 1 to 1000"),
        ("worst: 2", "is 2; allowed is 0.0001 to 0.9999"),
        ("confidence: 0.2", "is 0.2; allowed is 0.5 to 0.999"),
        ("calibrated_from: 1.5", "is 1.5; must be a whole number"),
        ("labels: kept", "no way with labels is called 'kept'"),
    ],
)
def test_other_numbers_of_the_policy_are_checked(overlay_of, text, message):
    with pytest.raises(KnowledgeError) as error:
        overlay_of(f"policy: {{source: judgement, note: a trial, {text}}}\n")
    assert message in str(error.value)


def test_whoever_is_asked_looks(overlay_of):
    with pytest.raises(KnowledgeError, match="the observer is askable; one that is asked has origin"):
        overlay_of("observers: {fitter: {origin: label}}\n")


def record_of(base, names, **changed):
    """A record of a fit of the machine's fitter, with a threshold for two variables."""
    fitter, fault = names.rename("fitter"), base.root
    gold = {fault: dict.fromkeys(base.variables[fault].states, 10)}
    digest = base.question_digests[names.rename("walk")]
    reading = FittedReading(fitter, "model-x", names.rename("walk"), digest, "face", 1, 5, gold)
    fields = {
        "name": "fit-1",
        "made": "2025-01-31",
        "population": base.reference,
        "persons": 4,
        "observers": {fitter: base.observer_digests[fitter]},
        "readings": (reading,),
        "thresholds": (Threshold(fault, Threshold.ANY, 0.07, 0.2125, 40, 31, 0.0612),),
        "adaptive_thresholds": (Threshold(fault, Threshold.ANY, 0.07, 0.1, 40, 25, 0.0698, 0.035),),
    }
    return FitRecord(**{**fields, **changed})


def test_a_record_is_read_as_it_is_written(overlay_of, names, tmp_path):
    base = overlay_of(f"{HEAD}{{fault: {{mean: 0.07}}}}}}\n{SOURCES}")
    record = record_of(base, names)
    again = declared_of(base).with_overlay(fits_yaml(record))
    assert again.fits == (record,)
    assert again.policy.thresholds == {base.root: (0.2125,) * len(base.variables[base.root].states)}
    assert set(again.policy.adaptive_thresholds[base.root]) == {0.1}
    # The fit does not hold for another number of its observer, and holds for one of the network.
    (observer,) = record.observers
    own, other = (
        next(path for path in base.numbers if path.startswith(start))
        for start in (f"observers.{observer}.", "couplings.")
    )
    written = tmp_path / "written.yaml"
    written.write_text(resolve(base) + fits_yaml(record), encoding="utf-8")
    tree = declared_of(read(written))
    for path, thresholds in ((own, {}), (other, again.policy.thresholds)):
        changed = tree.with_numbers({path: base.numbers[path].value * 0.99}, digests=False)
        assert changed.digest not in ("", again.digest)
        assert changed.policy.thresholds == thresholds
    assert set(again.policy.adaptive_aims[base.root]) == {0.035}
    assert not again.policy.aims


def test_the_view_of_a_base_that_names_none_is_read_as_it_is_written(folder, names):
    base = read(folder / "machine.yaml")
    fitted = replace(record_of(base, names).readings[0], view=base.usual_view)
    record = record_of(base, names, readings=(fitted,), thresholds=(), adaptive_thresholds=())
    assert declared_of(base).with_overlay(SOURCES + fits_yaml(record)).fits == (record,)


def test_a_threshold_holds_for_its_limit_and_the_observers_of_the_fit(overlay_of, names):
    base = overlay_of(f"{HEAD}{{fault: {{mean: 0.07}}}}}}\n{SOURCES}")
    fault, fitter = base.root, names.rename("fitter")
    other_limit = Threshold(fault, Threshold.ANY, 0.08, 0.3, 40, 31, 0.07)
    changed = {fitter: "0123456789abcdef"}
    for record in (
        record_of(base, names, thresholds=(other_limit,)),
        record_of(base, names, observers=changed),
    ):
        again = declared_of(base).with_overlay(fits_yaml(record))
        assert not again.policy.thresholds
    limited_base = overlay_of(f"{HEAD}{{fault: {{each: 0.07}}}}}}\n{SOURCES}")
    assert (
        not declared_of(limited_base)
        .with_overlay(fits_yaml(record_of(limited_base, names)))
        .policy.thresholds
    )


def test_an_overlay_in_memory_is_that_of_a_file(folder, base_of, names):
    text = names.rename(
        "extends: machine.yaml\nremove: [rules.dry]\nobservers: {fitter: {carry: 0.5, source: handbook}}\n"
    )
    path = folder / "laid.yaml"
    path.write_text(text, encoding="utf-8")
    base, from_file = base_of("machine"), read(path, usual_view="face")
    laid = declared_of(base).with_overlay(text)
    assert laid == from_file
    assert (laid.digest, laid.observer_digests) == (from_file.digest, from_file.observer_digests)
    # The base that it was laid upon is as it was.
    assert base == base_of("machine")
    with pytest.raises(KnowledgeError, match="unknown key"):
        declared_of(base).with_overlay("policies: {}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "made: yesterday, population: here, observers: {}, readings: []",
            "must be a date such as 2025-01-31",
        ),
        ("made: 2025-01-31, observers: {}, readings: []", "needs `population`"),
        (
            "made: 2025-01-31, population: p, observers: {}, readings: [{observer: a, model: a, question: q, "
            "prompt: x, view: face, least: 3, most: 2}]",
            "is less than `least`, 3",
        ),
        (
            "made: 2025-01-31, population: p, observers: {}, readings: [], thresholds: {a: {any: {limit: 0.1,"
            " risk: 0.1, items: 3, accepted: 4, mean: 0.1}}}",
            "is more than `items`, 3",
        ),
    ],
)
def test_a_faulty_record_is_said(overlay_of, text, message):
    with pytest.raises(KnowledgeError) as error:
        overlay_of(f"{SOURCES}fits: {{fit-1: {{{text}}}}}\n")
    assert message in str(error.value)
