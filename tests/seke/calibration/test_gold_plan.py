"""seke calibrate --plan: how much gold is enough, held against what certifies and against formulas."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import Gold, SekeError, certify, design_of, split
from seke.calibration.gold_plan import AMOUNTS, ERROR_INFLATION, SD, SimulatedPopulation, plan_gold
from seke.calibration.gold_plan_text import facts_of, text_of
from seke.calibration.promise import Promise
from seke.cli.main import main
from seke.inference.session import Session
from seke.sampling.infer import batches
from seke.tables.label_table import labels_from

PLANTS = Path(__file__).parents[2] / "few_plants.yaml"
# One sign and who says it: what a plan costs goes with the number of promises.
ONE_SIGN = """
name: kettles
variables: {state: {kind: categorical, label: what it is, states: {hot: hot, cold: cold}}}
levels: {state: [state]}
priors:
  variable: state
  reference: uniform
  populations: {uniform: {p: uniform, source: judgement, note: Nothing is known.}}
questions: {photo: {reports: [state], cost: 1, source: judgement, note: A unit.}}
policy:
  source: judgement
  note: For a test.
  required: [state]
  limits: {state: 0.1}
  worth: {state: 1}
  budget: 10
  conflict: 0.000001
  batches: [1]
  ask: app
observers:
  source: judgement
  note: For a test.
  app: {askable: true, categorical: {state: {accuracy: 0.8, repeat: 0.9, strength: 8}}}
  label: {origin: label, askable: false, categorical: {state: {accuracy: 0.8, repeat: 0.9, strength: 8}}}
"""


@pytest.fixture(scope="module")
def plants(tmp_path_factory):
    """Plants with two of their six signs: each promise costs a hundred simulated calibrations."""
    path = tmp_path_factory.mktemp("plants") / "base.yaml"
    rates = "categorical: {disease: {accuracy: 0.8, repeat: 0.9, strength: 8}}"
    labels = f"label: {{origin: label, askable: false, {rates}, source: judgement, note: a trial}}"
    without = "remove: [variables.humidity, observers.gauge]"
    path.write_text(f"extends: {PLANTS}\n{without}\nobservers: {{{labels}}}\n")
    base = seke.knowledge(path)
    return base, *made_up(base)


def made_up(base):
    """Samples of 200 items, and their gold of the root."""
    parts = list(seke.simulate(base, 200, draws=4, seed=3))
    gold = [{name: row[name] for name in ("item", base.root)} for part in parts for row in part.truth]
    return [sample for part in parts for sample in part.samples], gold


@pytest.fixture(scope="module")
def plan(plants):
    base, samples, gold = plants
    return plan_gold(samples, base, gold, alpha=0.2)


@pytest.fixture(scope="module")
def blind_plan(plants):
    """Without gold, so that risks are believed as they are stated."""
    base, samples, _ = plants
    return plan_gold(samples, base, alpha=0.2)


@pytest.mark.slow
def test_what_is_said_to_be_enough_mostly_certifies_and_a_quarter_of_it_does_not(plants, blind_plan):
    base, samples, _ = plants
    session = Session.open(base)
    (answers,) = batches(samples, base)
    simulated = SimulatedPopulation.of(session, answers, Gold({}))
    rng = np.random.default_rng(77)

    def passes(need, amount):
        level, often = simulated.decided.levels[need.variable], 0
        for _ in range(30):
            chosen = rng.integers(0, len(answers.items), amount)
            level_of_chosen = level.of(chosen)
            # Drawn from the posterior itself, not from the risks: another way to the same errors.
            states = simulated.session.inference.posterior(answers).marginals[need.variable]
            drawn = (rng.random(amount)[:, None] > np.cumsum(states[chosen], axis=1)[:, :-1]).sum(1)
            made = certify(
                base,
                {need.variable: level_of_chosen},
                simulated.decided.allowed[chosen],
                Gold({need.variable: drawn.astype(float)}),
                split(amount, None, 1 / 3, rng),
                alpha=0.2,
                # Alone it would have all of delta; here its part of what all values share.
                delta=0.1 / sum(any(o.amounts) for o in blind_plan.requirements if o.breadth == "levels") * 2,
                population=session.inference.population,
                design=design_of(base, simulated.decided.stages),
                made="",
            )
            often += any(c.threshold is not None for c in made.certificates if c.value == need.value)
        return often / 30

    hopeful = [
        need
        for need in blind_plan.requirements
        if need.amounts[0] and need.breadth == "levels" and base.variables[need.variable].kind == "binary"
    ]
    assert hopeful
    need = min(hopeful, key=lambda need: need.amounts[0])
    assert passes(need, need.amounts[0]) > 0.6
    if need.amounts[0] > 4 * AMOUNTS[0]:
        assert passes(need, need.amounts[0] // 4) < 0.8


@pytest.mark.slow
def test_more_errors_need_more_gold_and_more_promise_too(plants, blind_plan):
    base, samples, _ = plants
    some = [need for need in blind_plan.requirements if need.amounts[0]]
    assert some
    assert all(need.amounts[1] is None or need.amounts[1] >= need.amounts[0] for need in some)
    strict = {(need.variable, need.value): need for need in plan_gold(samples, base, alpha=0.1).requirements}
    for need in some:
        amount = strict[need.variable, need.value].amounts[0]
        assert amount is None or amount >= need.amounts[0]


def test_rows_are_by_the_formula(plants, plan):
    """A row is what is settled on, of a binary variable one answer; none of the observer's is left out."""
    base, *_ = plants
    observations = Session.open(base).inference.observations
    index = list(base.observers).index("app")
    for row in plan.rows:
        model = base.observers[row.observer].labels[row.variable]
        rows = model.confusion
        if base.variables[row.variable].kind == "categorical":
            rows = observations.kernels[index, row.variable].mix
        right = rows[model.answers.index(row.state)][model.answers.index(row.state)]
        assert row.right == pytest.approx(right)
        n = right * (1 - right) / row.sd**2 - 1
        assert n > 1
        if row.gold:
            enough, short = (n + gold * row.share for gold in (row.gold, row.gold - 1))
            assert math.sqrt(right * (1 - right) / (enough + 1)) <= SD * (1 + 1e-9)
            assert math.sqrt(right * (1 - right) / (short + 1)) > SD
        else:
            assert row.sd <= SD
    assert {row.observer for row in plan.rows} == {"app"}
    labels = base.observers["app"].labels
    expected = {(name, state) for name in labels for state in base.variables[name].states}
    assert {(row.variable, row.state) for row in plan.rows} == expected


def test_gold_that_shows_more_errors_than_stated_is_believed(plants):
    base, samples, _ = plants
    records = list(seke.infer(samples, base))
    name = base.root
    states = base.variables[name].states
    gold = []
    for i, record in enumerate(records[:100]):
        beliefs = record["posteriors"][name]
        best = max(beliefs, key=beliefs.get)
        other = states[(states.index(best) + 1) % len(states)]
        gold.append({"item": record["item"], name: other if i % 2 else best})
    (answers,) = batches(samples, base)
    session = Session.open(base)
    simulated = SimulatedPopulation.of(session, answers, labels_from(gold, base).gold_of(answers.items))
    stated = sum(1 - max(record["posteriors"][name].values()) for record in records[:100])
    count, ratio = simulated.error_ratios[name]
    assert count == 100
    assert ratio == pytest.approx(50.5 / (stated + 0.5), rel=1e-3)
    np.testing.assert_allclose(simulated.wrong[name], ratio * simulated.decided.levels[name].risk)
    few = SimulatedPopulation.of(session, answers, labels_from(gold[:5], base).gold_of(answers.items))
    assert few.error_ratios[name] == (5, 1.0)


def test_the_command_leaves_the_labels_out_and_writes_nothing(tmp_path):
    """It says that gold is among the samples; beside that it plans as without them, and programs read it."""
    (tmp_path / "base.yaml").write_text(ONE_SIGN)
    base = seke.knowledge(tmp_path / "base.yaml")
    samples, gold = made_up(base)
    plan = plan_gold(samples, base, gold, alpha=0.2)
    named = {"observer": "label", "question": "photo", "draw": 0}
    labels = [{**named, "item": row["item"], "state": row["state"]} for row in gold[:-1]]
    for name, rows in (("s", samples + labels), ("gold", gold)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = sorted(tmp_path.iterdir())
    given = ["calibrate", str(tmp_path / "s.jsonl"), "-k", str(tmp_path / "base.yaml")]
    refused = CliRunner().invoke(main, given)
    assert refused.exit_code == 2
    assert "-o OVERLAY.yaml" in refused.output
    given += ["--gold", str(tmp_path / "gold.jsonl"), "--plan", "--alpha", "0.2", "--json"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 0, result.output
    assert sorted(tmp_path.iterdir()) == before
    facts = json.loads(result.stdout)
    (remark,) = facts.pop("remarks")
    assert "199 equal to the gold" in remark
    assert plan.remarks == ()
    assert facts == {
        key: value for key, value in json.loads(json.dumps(facts_of(plan))).items() if key != "remarks"
    }
    assert facts["items"] == 200
    assert facts["met"][base.root]["items"] == 200
    assert facts["wrong_as_stated_times"] == list(ERROR_INFLATION)
    keys = {"breadth", "about", "variable", "value", "decided", "wrong", "amounts", "coverage"}
    assert keys == set(facts["certificates"][0])
    assert [certificate["amounts"] for certificate in facts["certificates"]] == [
        list(requirement.amounts) for requirement in plan.requirements
    ]


def test_levels_values_and_pooled_ones_are_planned_each_once(plants, plan):
    base, *_ = plants
    by_breadth = {}
    for requirement in plan.requirements:
        by_breadth.setdefault(requirement.breadth, []).append(requirement)
    root = base.variables[base.root]
    names = [name for names in base.levels.values() for name in names]
    assert {requirement.about for requirement in by_breadth["values"]} == {
        f"{name} {state}"
        for name in names
        if base.variables[name].kind == "categorical"
        for state in base.variables[name].states
    }
    pooled = {
        level
        for level, names in base.levels.items()
        if sum(base.variables[name].kind == "binary" for name in names) > 1
    }
    assert {requirement.variable for requirement in by_breadth["pooled"]} == pooled
    (whole,) = (need for need in by_breadth["levels"] if need.variable == root.name)
    assert (whole.about, whole.decided) == (f"{root.name} as a whole", 1)
    of_values = [need for need in by_breadth["values"] if need.variable == root.name]
    assert sum(need.decided for need in of_values) == pytest.approx(1)
    assert sum(need.decided * need.wrong for need in of_values) == pytest.approx(whole.wrong)
    least = [amount for need in of_values for amount in need.amounts[:1] if amount]
    assert whole.amounts[0]
    assert not least or whole.amounts[0] <= min(least)
    text = text_of(replace(plan, error_ratios={}))
    assert "Gold for certificates: at most 20 % wrong" in text
    assert "simulated from the stated risks alone" in text
    assert text.index("by level (--alpha)") < text.index("by value (--each-value)") < text.index("pooled")


def test_a_promise_must_be_a_probability(plants):
    base, samples, _ = plants
    with pytest.raises(SekeError, match="between 0 and 1"):
        plan_gold(samples, base, alpha=2)
    for breadth, message in (("all", "allowed are levels, values, pooled"), ("values", "needs alpha")):
        with pytest.raises(SekeError, match=message):
            Promise.of(None if breadth == "values" else 0.1, 0.1, adaptive=False, breadth=breadth)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--each-value", "--pool", "--alpha", "0.1"], "choose one"),
        (["--plan", "--pool"], "--plan covers all promises"),
    ],
)
def test_promises_that_exclude_one_another_are_refused(tmp_path, options, message):
    (tmp_path / "s.jsonl").write_text("")
    given = ["calibrate", str(tmp_path / "s.jsonl"), "-o", str(tmp_path / "o.yaml"), *options]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 2
    assert message in result.output
