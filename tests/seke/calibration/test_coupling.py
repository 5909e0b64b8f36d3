"""Answers made to fit their label: seen in the checks without a halo, and learned where one is declared."""

from __future__ import annotations

import numpy as np
import pytest

import seke
from engine import Gold, Inference, compile_network, root_bits
from engine.learning.coupling import coupling_statistics
from seke.samples import answers_from

UNITS = ("a", "b", "c", "d", "e", "f")
CELLS = ", ".join(
    f"{unit}: {{p: {p}, n: 10}}" for unit, p in zip(UNITS, (0.9, 0.9, 0.8, 0.1, 0.1, 0.2), strict=True)
)
RATES = "\n".join(f"        {unit}: {{sensitivity: 0.75, specificity: 0.8}}" for unit in UNITS)
BASE = f"""
name: pumps
variables:
  wear: {{kind: categorical, label: wear, states: {{sound: nothing, worn: bearings}}}}
{"".join(f"  {unit}: {{kind: binary, label: sign {unit}}}" + chr(10) for unit in UNITS)}
levels: {{fault: [wear], signs: [{", ".join(UNITS)}]}}
priors:
  variable: wear
  reference: uniform
  populations: {{uniform: {{p: uniform, source: judgement, note: Nothing is known.}}}}
activations:
  source: judgement
  note: For a test.
  background: {{p: 0.5, n: 10}}
  cells: {{worn: {{{CELLS}}}}}
questions: {{source: judgement, note: A unit., walk: {{reports: [fault, signs], cost: 1}}}}
policy: {{source: judgement, note: A test., required: [fault], limits: {{fault: 0.1, signs: 0.1}},
         worth: {{fault: 1, signs: 1}}, budget: 9, conflict: 0.000001, batches: [1], ask: eye}}
observers:
  eye:
    source: judgement
    note: A test.
    askable: true
    carry: 0.8
    categorical: {{wear: {{accuracy: 0.7, repeat: 0.8, strength: 8}}}}
    binary:
      repeat: 0.8
      strength: 8
      cells:
{RATES}
"""
HALO = "    halo: {walk: {given: wear, probability: 0.3}}\n"


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    texts = {
        "none": BASE,
        "halo": BASE + HALO,
        "strong": BASE + HALO.replace("0.3", "0.8"),
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return {name: folder / f"{name}.yaml" for name in texts}


def test_bits_are_the_log_ratio_that_bayes_gives(bases):
    base = seke.knowledge(bases["none"])
    inference = Inference(compile_network(base), base)
    values = {name: np.array([1.0, np.nan, 1.0, np.nan]) for name in ("a", "d")}
    values |= {"wear": np.array([1.0, 1.0, np.nan, 0.0])}
    bits = root_bits(inference, Gold(values), ["a", "d"])
    # Given a and d, which a worn pump has in .9 and .1 and a sound one in .5 each.
    p_worn = 0.9 * 0.1 / (0.9 * 0.1 + 0.5 * 0.5)
    assert bits[0] == pytest.approx(np.log2(p_worn / 0.5), abs=1e-6)
    assert np.isnan(bits[1:]).all()


@pytest.fixture(scope="module")
def made_to_fit(bases):
    """Answers of which the signs follow the label in .8, and gold of all."""
    (batch,) = seke.simulate(bases["strong"], items=250, draws=1, seed=5)
    names = ("item", "wear", *UNITS)
    return batch.samples, [{name: row[name] for name in names} for row in batch.truth]


def excess(calibration):
    (check,) = (check for check in calibration.checks if check.kind == "coupling excess, bits")
    return check


def test_answers_made_to_fit_are_named_where_no_halo_is_declared(bases, made_to_fit):
    samples, gold = made_to_fit
    calibration = seke.calibrate(samples, bases["none"], gold=gold)
    check = excess(calibration)
    assert check.far
    assert check.observed > check.drawn
    (warning,) = (text for text in calibration.warnings if "coupling excess" in text)
    assert "declare `halo` of walk" in warning


def test_a_declared_halo_learns_how_often_answers_are_made_to_fit(bases, made_to_fit):
    samples, gold = made_to_fit
    calibration = seke.calibrate(samples, bases["halo"], gold=gold)
    (entry,) = (entry for entry in calibration.entries if entry.path.endswith("halo.walk.probability"))
    assert entry.value == pytest.approx(0.8, abs=3 * entry.sd)
    assert entry.value > entry.prior + 3 * entry.sd
    assert not excess(calibration).far
    honest = [
        {**sample, "signs": {u: bool(r[u]) for u in UNITS}} for sample, r in zip(samples, gold, strict=True)
    ]
    (entry,) = (
        entry
        for entry in seke.calibrate(honest, bases["halo"], gold=gold, with_checks=False).entries
        if entry.path.endswith("halo.walk.probability")
    )
    assert entry.value < 0.15


def test_an_observer_that_was_not_asked_a_question_has_no_coupling_in_it(bases):
    base = seke.knowledge(bases["none"])
    record = {"item": "x", "observer": "eye", "question": "walk", "draw": 0, "fault": "worn", "signs": ["a"]}
    (answers,) = answers_from([record], base)
    gold = Gold({name: np.zeros(1) for name in base.variables})
    nobody = np.zeros(1, dtype=bool)
    given = Inference(compile_network(base), base), base.observers["eye"], answers, gold
    assert list(coupling_statistics(*given, nobody)) == []
    assert list(coupling_statistics(*given, ~nobody))
