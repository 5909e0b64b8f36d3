"""What seen units weigh: by hand, from the engine and from nothing else; and what is said of it."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from made_run import made_records

import seke
from engine import Inference
from seke.exporting.accepted_labels import AcceptedLabels
from seke.exporting.grammar import seeded
from seke.exporting.instruction_templates import read_instructions
from seke.exporting.instruction_writer import InstructionWriter
from seke.exporting.sentences import affect_text, reasons_text
from seke.exporting.unit_evidence import EvidenceFinder, ItemEvidence, UnitWeight
from seke.exporting.wording import Wording
from seke.files.networks import network_of


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


@pytest.fixture(scope="module")
def finder(base):
    return EvidenceFinder(base, "uniform")


@pytest.fixture(scope="module")
def wording(base):
    return Wording(base, read_instructions(base))


def labels(expression, origin="seen", numbers=None, **units):
    (record,) = made_records(1)
    numbers = numbers or {}
    levels = {name: {"origin": origin} for name in (*units, *numbers)}
    p = {state: float(state == expression) for state in record["expression"]}
    record = {**record, "expression": p, "decision": {"levels": levels}}
    return AcceptedLabels("x", expression, numbers, units, record)


def test_a_single_unit_by_hand(base, finder):
    """Of one unit alone, log-odds before and after are Bayes' rule on the compiled P(unit | expression)."""
    (evidence,) = finder.of([labels("disgust", AU9=True)])
    table = Inference(network_of(base), base, "uniform").network.given_root["AU9"][:, 1]
    k = finder.states.index("disgust")
    posterior = table / table.sum()
    (weight,) = evidence.weights
    bits = math.log2(posterior[k] / (1 - posterior[k])) - math.log2(1 / (len(table) - 1))
    assert weight.bits == pytest.approx(bits, abs=1e-6)
    assert evidence.p["disgust"] == pytest.approx(posterior[k])
    # The other way round: P(expression | AU9 is not visible).
    other = (1 - table) / (1 - table).sum()
    assert (weight.top, weight.p_top) == (finder.states[int(other.argmax())], pytest.approx(other.max()))
    # P(AU9 | disgust) is .58, of the other seven .07 on average: a ratio of about 8, which is 3 bits.
    assert bits == pytest.approx(math.log2(table[k] / np.delete(table, k).mean()), abs=1e-6)
    assert bits == pytest.approx(3, abs=0.15)


def test_steps_by_hand(wording):
    """From 0.5 bits slightly, from 1.66 clearly, from 3.32 strongly, from 6.64 decisively."""
    words = [wording.step("weight", bits) for bits in (0.49, 0.5, 1.65, 1.66, 3.32, 6.63, 6.64)]
    assert words == ["", "slightly", "slightly", "clearly", "strongly", "strongly", "decisively"]
    weights = (
        UnitWeight("AU9", True, 3.4, "anger", 0.5, 0.2, 1.0),
        UnitWeight("AU10", True, 1.7, "disgust", 0.6, 0.3, 2.0),
        UnitWeight("AU12", True, -0.6, "disgust", 0.9, 0.1, 0.1),
        UnitWeight("AU4", False, -2.0, "disgust", 0.9, 0.1, 0.1),
        UnitWeight("AU1", False, 0.3, "fear", 0.7, 0.1, 0.1),
        UnitWeight("AU2", True, 0.4, "disgust", 0.7, 0.1, 0.1),
    )
    p = {"disgust": 0.8, "anger": 0.2}
    evidence = ItemEvidence(p, "disgust", "anger", weights, absent_bits=0.6)
    for seed in range(30):
        text = reasons_text(wording, labels("disgust"), evidence, seeded(seed))
        about = {
            name: " ".join(part for part in re.split(r"\.\s", text) if name in part).lower()
            for name in ("AU9", "AU10", "AU12", "AU4 (brow lowerer)", "AU1 (inner brow raiser)")
        }
        assert "strongly" in about["AU9"], text
        assert "clearly" in about["AU10"], text
        assert "slightly" in about["AU12"], text
        assert "against" in about["AU12"] or "fits disgust less" in about["AU12"], text
        assert "clearly against" in about["AU4 (brow lowerer)"], text
        # Under half a bit a unit is named, if it is visible, and no step is said of it.
        (besides,) = (part for part in re.split(r"\.\s", text) if "AU2" in part)
        assert not re.search("slightly|clearly|strongly", besides.lower()), text
        assert re.search("little|without much weight", besides), text
        # What would decide: the unit whose loss makes another state likeliest, and the one whose gain would.
        assert "anger" in about["AU9"].replace("AU10", ""), text
        assert "(0.50)" in text
        assert "fear" in about["AU1 (inner brow raiser)"], text
        assert "(0.70)" in text


def test_only_what_was_seen_counts(base, finder):
    for origin in ("inferred", "label"):
        (evidence,) = finder.of([labels("happiness", origin, AU6=True, AU12=True)])
        assert evidence.weights == ()
        assert evidence.rules == ()
    seen, mixed = labels("happiness", AU12=True), labels("happiness", AU12=True, AU6=True)
    mixed.record["decision"]["levels"]["AU6"]["origin"] = "inferred"
    assert finder.of([mixed]) == finder.of([seen])
    # A label that nothing seen speaks for gets no reasons: here the only sign speaks against it.
    writer = InstructionWriter(base, read_instructions(base), "uniform", soft=False, seed=0)
    assert len(list(writer.rows(seen, ["expression", "reasoned"]))) == 2
    assert len(list(writer.rows(labels("anger", AU12=True), ["expression", "reasoned"]))) == 1
    # Absences make a neutral face, and no angry one, though they speak for both.
    absent = dict.fromkeys(("AU1", "AU6", "AU12", "AU25", "AU26"), False)
    assert len(list(writer.rows(labels("neutral", **absent), ["reasoned"]))) == 1
    assert list(writer.rows(labels("anger", **absent), ["reasoned"])) == []


def test_many_at_once_are_each_alone(finder):
    rng = np.random.default_rng(1)
    items = [
        labels(
            finder.states[k % 8], **{n: bool(rng.random() < 0.4) for n in finder.units if rng.random() < 0.5}
        )
        for k in range(12)
    ]
    for alone, together in zip((finder.of([item])[0] for item in items), finder.of(items), strict=True):
        assert [weight.unit for weight in alone.weights] == [weight.unit for weight in together.weights]
        np.testing.assert_allclose(
            [weight.bits for weight in alone.weights], [weight.bits for weight in together.weights], atol=1e-9
        )


def test_a_rule_speaks_only_where_what_was_seen_makes_it_true(finder):
    def rules(expression, **units):
        return set(finder.of([labels(expression, **units)])[0].rules)

    brows = {"AU1": True, "AU2": True, "AU4": True}
    assert "afraid-brows" in rules("fear", **brows)
    assert "afraid-brows" not in rules("surprise", **brows)
    assert "afraid-brows" not in rules("fear", **{**brows, "AU4": False})
    assert "afraid-brows" not in rules("fear", AU1=True, AU2=True)
    # Two of three are seen, so that the third, which was not accepted, cannot matter.
    assert "surprise-shows-twice" in rules("surprise", AU2=True, AU26=True)
    assert "surprise-shows-twice" not in rules("surprise", AU2=True, AU26=False)
    assert rules(None, **brows) == set()


def test_what_moves_a_number_and_where_it_lies(base, finder, wording):
    smile = labels("happiness", numbers={"valence": 0.62}, AU12=True, AU4=True)
    (evidence,) = finder.of([smile])
    shifts = dict(evidence.shifts["valence"])
    assert shifts["AU12"] > 0.3 > 0 > shifts["AU4"]
    for seed in range(20):
        text = affect_text(wording, smile, evidence, seeded(seed))
        assert "strongly more pleasant" in text.lower()
        assert "less pleasant" in text
        assert re.search(r"“pleasant” \(0.5\) (and|und) “very pleasant” \(1\)", text)
    near = affect_text(
        wording, labels("happiness", numbers={"valence": 0.47}, AU12=True), evidence, seeded(0)
    )
    assert "“pleasant” (0.5)" in near
    assert "“very pleasant” (1)" not in near
    # Nothing visible: the label's own mean, and no sign.
    (nothing,) = finder.of([labels("happiness", numbers={"valence": 0.62}, AU12=False)])
    text = affect_text(
        wording, labels("happiness", numbers={"valence": 0.62}, AU12=False), nothing, seeded(0)
    )
    assert "AU" not in text
    mean = nothing.by_label["valence"]
    assert f"{mean:+.2f}" in text
    assert mean == pytest.approx(base.moments[finder.states.index("happiness")].mean[0], abs=0.05)
