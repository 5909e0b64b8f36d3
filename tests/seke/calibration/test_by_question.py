"""Rates by question: shared ones that do not fit are named, rates of its own are learned, and written."""

from __future__ import annotations

from html import escape

import pytest

import seke
from seke.calibration.summary import text_of

BASE = """
name: pumps
variables:
  wear: {kind: categorical, label: wear, states: {sound: nothing, worn: bearings}}
  hot: {kind: binary, label: runs hot}
  loud: {kind: binary, label: runs loud}
  wet: {kind: binary, label: drips}
levels: {fault: [wear], signs: [hot, loud, wet]}
priors:
  variable: wear
  reference: uniform
  populations: {uniform: {p: uniform, source: judgement, note: Nothing is known.}}
activations:
  source: judgement
  note: For a test.
  background: {p: 0.3, n: 10}
  cells: {worn: {hot: {p: 0.6, n: 10}, loud: {p: 0.7, n: 10}}}
questions:
  source: judgement
  note: A unit.
  list: {reports: [signs], cost: 1}
  yes-or-no: {reports: [signs], cost: 1}
policy: {source: judgement, note: A test., required: [signs], limits: {fault: 0.1, signs: 0.1},
         worth: {fault: 1, signs: 1}, budget: 9, conflict: 0.000001, batches: [1], ask: eye}
observers:
  eye:
    source: judgement
    note: A test.
    askable: true
    carry: 0.8
    binary:
      repeat: 0.8
      strength: 8
      cells:
        hot: {sensitivity: 0.7, specificity: 0.9}
        loud: {sensitivity: 0.7, specificity: 0.9}
        wet: {sensitivity: 0.7, specificity: 0.9}
"""
LENIENT = "{sensitivity: 0.95, specificity: 0.6}"
TRUE = f"      by_question: {{yes-or-no: {{cells: {{hot: {LENIENT}, loud: {LENIENT}, wet: {LENIENT}}}}}}}\n"
APART = "      by_question: {yes-or-no: {}}\n"


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The base with shared rates, with rates of its own to be learned, and the one that answers."""
    folder, texts = tmp_path_factory.mktemp("bases"), {"shared": "", "apart": APART, "true": TRUE}
    for name, by_question in texts.items():
        (folder / f"{name}.yaml").write_text(BASE.replace("    binary:\n", f"    binary:\n{by_question}"))
    return {name: folder / f"{name}.yaml" for name in texts}


@pytest.fixture(scope="module")
def answered(bases):
    """Samples of 300 pumps, each asked both ways once, and gold of them."""
    (batch,) = seke.simulate(bases["true"], items=300, draws=1, seed=2)
    return batch.samples, [
        {name: row[name] for name in ("item", "hot", "loud", "wet")} for row in batch.truth
    ]


def test_rates_that_differ_between_questions_are_named(bases, answered):
    samples, gold = answered
    calibration = seke.calibrate(samples, bases["shared"], gold=gold)
    (warning,) = (text for text in calibration.warnings if "yes by question (yes-or-no)" in text)
    assert "by_question: {yes-or-no: {}}" in warning
    alike = [sample for sample in samples if sample["question"] == "list"]
    assert not [
        c for c in seke.calibrate(alike, bases["shared"], gold=gold).checks if c.kind == "yes by question"
    ]


def test_rates_of_a_question_are_learned_and_written(bases, answered, tmp_path):
    samples, gold = answered
    overlay = bases["apart"].parent / "fit.yaml"
    calibration = seke.calibrate(samples, bases["apart"], gold=gold, output=overlay, extends="apart.yaml")
    assert not [text for text in calibration.warnings if "yes by question" in text]
    values = {entry.path.removeprefix("observers.eye.binary."): entry for entry in calibration.entries}
    for name in ("hot", "loud", "wet"):
        own, shared = f"by_question.yes-or-no.cells.{name}", f"cells.{name}"
        for path, rate, truth in (
            *((own, "sensitivity", 0.95), (own, "specificity", 0.6)),
            *((shared, "sensitivity", 0.7), (shared, "specificity", 0.9)),
        ):
            entry = values[f"{path}.{rate}"]
            assert entry.value == pytest.approx(truth, abs=max(3 * entry.sd, 0.05)), (path, rate)
            assert entry.sd < 0.1
    summary = text_of(calibration)
    assert "hot in yes-or-no" in summary
    # A notebook shows the same, with the YAML folded below.
    html = calibration._repr_html_()
    first, _, below = html.partition("<details><summary>The overlay (YAML)</summary>")
    assert escape(summary) in first
    assert escape(calibration.overlay) in below
    overlay.write_text(calibration.overlay)
    fitted = seke.knowledge(overlay)
    ((_, table),) = fitted.observers["eye"].labels["hot"].by_question
    assert table[1][1] == pytest.approx(values["by_question.yes-or-no.cells.hot.sensitivity"].value, abs=1e-3)
    records = {name: list(seke.infer(samples, path)) for name, path in (*bases.items(), ("fit", overlay))}
    truth = {row["item"]: row for row in gold}

    def brier(name):
        risks = [
            (r["posteriors"][sign] - truth[r["item"]][sign]) ** 2
            for r in records[name]
            for sign in ("hot", "loud", "wet")
        ]
        return sum(risks) / len(risks)

    assert brier("fit") < brier("shared") - 0.01
    assert brier("fit") == pytest.approx(brier("true"), abs=0.01)
