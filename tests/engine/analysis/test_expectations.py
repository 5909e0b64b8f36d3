"""Expectations: all faults of reading at their places, exact results, and numbers that mend what fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine import Inference, KnowledgeError, compile_network, read
from engine.analysis.adjoint import declared_shift
from engine.analysis.declared_values import declared_values
from engine.analysis.expectations import examine_expectation
from engine.language.read_expectations import read_expectations


@pytest.fixture
def expect(folder, names, base_of):
    """Read expectations of a base; the text is that of the entries under `expectations`."""

    def read_text(text, base="weather", **more):
        tests = folder / "tests"
        tests.mkdir(exist_ok=True)
        indented = "".join(f"  {line}\n" for line in text.strip("\n").splitlines())
        head = "source: judgement\nnote: By the tests.\n"
        (tests / "street.yaml").write_text(names.rename(f"{head}expectations:\n{indented}"), "utf-8")
        return read_expectations(folder, base_of(base), **more)

    return read_text


def inference_of(base):
    return Inference(compile_network(base), base)


def test_a_base_does_not_read_its_expectations(folder, names, base_of):
    (folder / "all").mkdir()
    (folder / "weather.yaml").rename(folder / "all" / "weather.yaml")
    before = read(folder / "all")
    (folder / "all" / "tests").mkdir()
    (folder / "all" / "tests" / "x.yaml").write_text("expectations: {a: {given: x}}\n")
    assert read(folder / "all").digest == before.digest
    (folder / "tests").mkdir()
    assert read_expectations(folder, before) == ()


def test_what_is_known_and_demanded(expect, base_of, names):
    (soaked, dry) = expect(
        """
soaked: {given: "wet & !puddles & sky in [rain, cloudless]", expect: {rain: "> 0.5"}, statement: So it is.}
dry: {given: "!wet", alone: true, before: [cloudless, rain], not: [rain]}
""".replace(" & sky in [rain, cloudless]", "")
    )
    wet, umbrellas, puddles = (names[name] for name in ("wet", "umbrellas", "puddles"))
    assert soaked.given == {wet: (False, True), puddles: (True, False)}
    assert dry.given == dict.fromkeys((wet, umbrellas, puddles), (True, False))
    assert [demand.text for demand in dry.demands] == [
        f"{names['cloudless']} before {names['rain']}", f"not {names['rain']}"
    ]  # fmt: skip
    assert (soaked.statement, soaked.source, soaked.note) == ("So it is.", "judgement", "By the tests.")
    result = examine_expectation(inference_of(base_of("weather")), dry)
    assert result.holds
    assert result.root[0] > 0.9


FAULTS = """
one: {given: "wet | puddles", expect: {rain: "> 0.5"}}
two: {given: "wett", expect: {rain: "> 0.5"}}
three: {given: "wet", expect: {storm: "> 0.5", rain: "0.5", puddles: "> 1.5"}}
four: {given: "wet"}
five: {given: "wet", before: [rain]}
six: {given: "wet & !wet", not: [rain]}
seven: {given: "sky == rain", expect: {puddles: "> 0.5"}}
eight: {given: "wet", not: [hail], because: it hails}
nine: {expect: {rain: "> 0.5"}}
"""


def test_all_faults_in_one_report(expect, names):
    with pytest.raises(KnowledgeError) as error:
        expect(FAULTS)
    messages = [str(fault) for fault in error.value.faults]
    places = [(fault.place.line, fault.place.column) for fault in error.value.faults]
    assert all("street.yaml" in message for message in messages)
    wanted = (
        "must be conditions on single variables, joined by &",
        "no variable is called",
        f"is neither a state of {names['sky']} nor a binary or interval variable",
        'must be a comparison with a number between 0 and 1, such as "> 0.75"',
        'must be a comparison with a number between 0 and 1, such as "> 0.75"',
        "demands nothing; give it `expect`, `before` or `not`",
        "must name at least two states",
        "allows no value of",
        "which is what is to follow",
        "unknown key",
        "no state is called 'hail'",
        "needs `given`",
    )
    assert len(messages) == len(wanted)
    for part in wanted:
        assert any(part in message for message in messages), part
    assert places == sorted(places)


def test_what_an_overlay_removed_is_no_fault_of_an_inherited_expectation(expect):
    text = "gone: {given: wet, expect: {storm: '> 0.5'}}\nhere: {given: wet, expect: {rain: '> 0.5'}}"
    gone, here = expect(text, inherited=True)
    assert "neither a state" in gone.unfit
    assert here.unfit == ""


def test_the_columns_of_the_derivatives(base_of):
    """Each number is where `declared_shift` has it."""
    base = base_of("machine")
    for number in declared_values(base):
        other = number.moved(base, number.scaled + 0.01)
        shift = declared_shift(base, other, base.reference)
        assert np.flatnonzero(np.abs(shift) > 1e-9).tolist() == [number.column], number.path
        assert shift[number.column] == pytest.approx(0.01)


@pytest.mark.parametrize(
    "text",
    [
        "x: {given: wet, expect: {rain: '> 0.8'}}",
        "x: {given: wet, expect: {rain: '< 0.7'}}",
        "x: {given: 'wet & !umbrellas', before: [rain, cloudless]}",
    ],
)
def test_a_proposed_number_meets_the_demand_alone(expect, base_of, text):
    (expectation,) = expect(text)
    inference = inference_of(base_of("weather"))
    result = examine_expectation(inference, expectation)
    assert not result.holds
    remedies = [remedy for demand in result.demands for remedy in demand.remedies]
    assert remedies
    for remedy in remedies:
        scaled = np.log(remedy.needed) if remedy.declared.kind == "coupling" else remedy.needed
        moved = remedy.declared.moved(inference.knowledge, float(scaled))
        assert examine_expectation(inference_of(moved), expectation).holds, remedy.declared.path
    assert [r.deviations for r in remedies] == sorted(r.deviations for r in remedies)


def test_no_number_alone_may_do(expect, base_of):
    """Rain is 19 times likelier: P(umbrellas | cloudless) would have to rise from .05 to .9."""
    (expectation,) = expect("x: {given: 'puddles & umbrellas', not: [rain]}")
    (demand,) = examine_expectation(inference_of(base_of("weather")), expectation).demands
    assert (demand.holds, demand.remedies) == (False, ())


def test_a_mean_and_another_variable(expect, base_of, names):
    text = "x: {given: 'hot & noisy', expect: {load: '> 0.1', shaking: '> 0.95', flow: '> 3.5'}}"
    (expectation,) = expect(text, "machine")
    result = examine_expectation(inference_of(base_of("machine")), expectation)
    assert [demand.holds for demand in result.demands] == [True, False, False]
    assert replace(result, demands=result.demands[:1]).holds
