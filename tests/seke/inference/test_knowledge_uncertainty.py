"""`seke infer --knowledge-uncertainty`: what records, limits and the last lines say."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from engine import KnowledgeDraws
from seke import infer, knowledge, report
from seke.cli.main import main
from seke.console.infer_summary import InferSummary
from seke.inference.session import Session
from seke.sampling.infer import batches

PLANTS = Path(__file__).parents[3] / "examples" / "plants"
SAMPLES, BASE = str(PLANTS / "samples.jsonl"), str(PLANTS / "knowledge" / "tomatoes.yaml")
DRAWN = ("risk_sd", "risk_mean", "knowledge_share")


def without_draws(record):
    """Return a record without the fields of draws."""
    levels = {
        name: {key: value for key, value in level.items() if key not in DRAWN}
        for name, level in record["decision"]["levels"].items()
    }
    diagnostics = {key: value for key, value in record["diagnostics"].items() if key != "knowledge_sd"}
    return {**record, "decision": {**record["decision"], "levels": levels}, "diagnostics": diagnostics}


@pytest.fixture(scope="module")
def plain():
    return list(infer(SAMPLES, BASE))


@pytest.fixture(scope="module")
def drawn():
    return list(infer(SAMPLES, BASE, knowledge_uncertainty=True))


def test_posteriors_stay_and_the_spread_stands_beside_them(plain, drawn):
    base = knowledge(BASE)
    for before, after in zip(plain, drawn, strict=True):
        assert after["posteriors"] == before["posteriors"]
        assert set(after["diagnostics"]["knowledge_sd"]) == set(base.variables[base.root].states)
        for name, level in after["decision"]["levels"].items():
            assert level["risk"] == before["decision"]["levels"][name]["risk"]
            doubt = level["risk_mean"] * (1 - level["risk_mean"])
            assert level["knowledge_share"] * doubt == pytest.approx(level["risk_sd"] ** 2, abs=1e-5)
        root = after["decision"]["levels"][base.root]
        assert root["risk_sd"] == after["diagnostics"]["knowledge_sd"][root["value"]]
    assert max(record["decision"]["levels"][base.root]["risk_sd"] for record in drawn) > 0.01
    assert not any(key in level for r in plain for level in r["decision"]["levels"].values() for key in DRAWN)


def test_the_limit_is_of_the_risk_and_its_deviation(plain, drawn):
    """Without a look-ahead's question in the way: what is accepted is low enough with the deviation."""
    limits = knowledge(BASE).policy.limits
    before, after = set(), set()
    for kept, records in ((before, plain), (after, drawn)):
        for record in records:
            for name, level in record["decision"]["levels"].items():
                if level["decision"] == "accept":
                    kept.add((record["item"], name))
                    assert level["risk"] + level.get("risk_sd", 0) <= limits[name] + 2e-6
    assert after < before


def test_of_certain_numbers_records_are_those_without_the_option(plain):
    base = knowledge(BASE)
    n = 1e6
    certain = replace(
        base,
        cells={name: tuple(replace(cell, n=n) for cell in row) for name, row in base.cells.items()},
        moments=tuple(replace(moments, n=n) for moments in base.moments),
        couplings=tuple(replace(coupling, n=n) for coupling in base.couplings),
        rules=tuple(replace(rule, n=n) for rule in base.rules),
    )
    session = Session.open(base)
    uncertain = Session.open(certain)
    draws = KnowledgeDraws.of(uncertain.inference, np.random.default_rng(0), 4)
    for answers in batches(SAMPLES, base):
        records = replace(session, draws=draws).records(answers)
        spreads = [level[DRAWN[0]] for r in records for level in r["decision"]["levels"].values()]
        assert max(spreads) < 3e-3
        assert [without_draws(record) for record in records] == plain


def test_the_last_lines_say_how_much_of_the_doubt_comes_from_the_base(drawn):
    base = knowledge(BASE)
    summary = InferSummary(base)
    summary.add(drawn[:2])
    summary.add(drawn[2:])
    (line,) = (line for line in summary.notes() if "numbers of the base" in line)
    levels = [record["decision"]["levels"][base.root] for record in drawn]
    total = sum(level["risk_mean"] * (1 - level["risk_mean"]) for level in levels)
    share = sum(level["risk_sd"] ** 2 for level in levels) / total
    assert f"{base.root} {100 * share:.0f} %" in line


def test_a_report_has_the_share_of_each_level(tmp_path, plain, drawn):
    base, shares = knowledge(BASE), {}
    for name, records in (("plain", plain), ("drawn", drawn)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        facts = report(path, BASE).facts["overview"]["levels"]
        shares[name] = {level["name"]: level["of_knowledge"] for level in facts}
    assert set(shares["plain"].values()) == {None}
    for level, names in base.levels.items():
        numbers = [record["decision"]["levels"][name] for record in drawn for name in names]
        doubt = sum(number["risk_mean"] * (1 - number["risk_mean"]) for number in numbers)
        share = sum(number["risk_sd"] ** 2 for number in numbers) / doubt
        assert shares["drawn"][level] == pytest.approx(share, abs=1e-4)


def run(*arguments):
    result = CliRunner().invoke(main, ["infer", SAMPLES, "-k", BASE, *arguments])
    return result.exit_code, result.output


def test_the_command_writes_the_fields(tmp_path, drawn):
    code, output = run("--knowledge-uncertainty", "-o", str(tmp_path / "out.csv"))
    assert code == 0
    assert "of the doubt about values, so much comes from the numbers of the base: " in output
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    root = knowledge(BASE).root
    for row, record in zip(rows, drawn, strict=True):
        level = record["decision"]["levels"][root]
        assert float(row[f"decision.levels.{root}.risk_sd"]) == level["risk_sd"]
        for state, spread in record["diagnostics"]["knowledge_sd"].items():
            assert float(row[f"diagnostics.knowledge_sd.{state}"]) == spread


def test_an_explanation_is_by_the_numbers_as_declared():
    code, output = run("--explain", "tomato-1", "--knowledge-uncertainty")
    assert code == 2
    assert "leave out --knowledge-uncertainty" in output
