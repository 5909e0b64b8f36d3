"""`seke knowledge test` on tables, with a small base: texts, pages, proposals and refusals."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import Inference, compile_network, prior_truth
from seke.cli.main import main
from seke.knowledge_tools.table_verdicts_page import page

WEATHER = Path(__file__).parents[2] / "engine" / "bases" / "weather.yaml"
MACHINE = WEATHER.with_name("machine.yaml")


def write(path, rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def drawn(base, count, seed=0):
    """Rows of items drawn from a base: they have all of its variables."""
    knowledge = seke.knowledge(base)
    truth = prior_truth(Inference(compile_network(knowledge), knowledge), count, np.random.default_rng(seed))
    rows = []
    for index in range(count):
        row = {"item": f"i{index}"}
        for name, states in truth.items():
            variable, state = knowledge.variables[name], int(states[index])
            if variable.edges:
                row[name] = round((variable.edges[state] + variable.edges[state + 1]) / 2, 3)
            else:
                row[name] = variable.states[state] if variable.kind == "categorical" else state
        rows.append(row)
    return rows


def run(*arguments, base=WEATHER):
    return CliRunner().invoke(main, ["knowledge", "test", *map(str, arguments), "-k", str(base)])


@pytest.fixture(scope="module")
def weather(tmp_path_factory):
    """A table of a world that is like the base, but for its rule and one cell."""
    rows = drawn(WEATHER, 600)
    for number, row in enumerate(rows):
        row["street"], row["season"] = f"s{number % 40}", ("spring", "autumn")[number % 2]
        if row["wet"] and row["umbrellas"]:
            row["puddles"] = int(number % 5 == 0)
    return write(tmp_path_factory.mktemp("tables") / "streets.csv", rows)


def test_what_contradicts_is_said_and_strict_fails(weather):
    result = run(weather, "--cluster", "street", "--by", "season", "--strict")
    assert result.exit_code == 1, result.output
    text = result.stdout
    assert re.search(r"^soaked +\.70 +\.70 +\.\d\d +\.\d\d \.\d\d–\.\d\d +\d+ +contradicted$", text, re.M)
    assert "600 items, 40 by street" in text
    assert "naive Bayes" in text
    assert "Part season spring: 300 items" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "which --strict does not allow" in result.stderr
    assert run(weather, "--cluster", "street", "--by", "season").exit_code == 0


def test_a_proposal_is_a_base_that_the_table_backs(weather, tmp_path):
    path = tmp_path / "corrected.yaml"
    samples = tmp_path / "samples.jsonl"
    samples.write_text(
        '{"item": "a", "observer": "window", "question": "look", "draw": 0, "reports": {"wet": true}}\n'
    )
    columns = ("--cluster", "street", "--by", "season")
    result = run(weather, *columns, "--propose", path, "--samples", samples)
    assert result.exit_code == 0, result.output
    assert "rules" in result.stdout
    assert "1 decision" in result.stdout
    before, base = seke.knowledge(WEATHER), seke.knowledge(path)
    assert base.rules[0].confidence < before.rules[0].confidence
    assert base.rules[0].n > before.rules[0].n
    assert base.rules[0].source.startswith("table-")
    assert "streets.csv (digest" in base.sources[base.rules[0].source].cite
    assert "observed" in base.rules[0].note
    checked = CliRunner().invoke(main, ["knowledge", "check", str(path)])
    assert checked.exit_code == 0, checked.output
    again = json.loads(run(weather, *columns, "--json", base=path).stdout)
    verdicts = {test["name"]: test["verdict"] for test in again["tests"]}
    assert verdicts["soaked"] in ("backed", "allowed")


def test_the_mean_of_declared_and_observed_by_hand(tmp_path):
    """Declared .7 with n 10, observed 0 of 90: (.7 · 10 + 0) / 100 = .07, n 100."""
    rows = [{"sky": "cloudless", "wet": 1, "umbrellas": 1, "puddles": 0}] * 90
    rows += [{"sky": "rain", "wet": 0, "umbrellas": 0, "puddles": 0}] * 30
    table = write(tmp_path / "t.csv", [{"item": i, **row} for i, row in enumerate(rows)])
    result = run(table, "--propose", tmp_path / "p.yaml")
    assert result.exit_code == 0, result.output
    rule = seke.knowledge(tmp_path / "p.yaml").rules[0]
    assert (rule.confidence, rule.n) == (pytest.approx(0.07), pytest.approx(100))


def test_nothing_to_propose(tmp_path):
    table = write(tmp_path / "like.csv", drawn(WEATHER, 400, seed=3))
    result = run(table, "--propose", tmp_path / "p.yaml", "--strict")
    assert (result.exit_code, "Nothing to propose" in result.stdout) == (0, True), result.output
    assert not (tmp_path / "p.yaml").exists()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A table drawn from a base with intervals, whose loads were written upside down."""
    rows = [{**row, "load": -row["load"]} for row in drawn(MACHINE, 300, seed=1)]
    return write(tmp_path_factory.mktemp("tables") / "pumps.csv", rows)


def test_moments_base_rates_and_what_each_tie_is_worth(machine, tmp_path):
    path = tmp_path / "p.yaml"
    options = ("--population", "in-service", "--leave-one-out", "--json", "--propose", path)
    result = run(machine, *options, base=MACHINE)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    verdicts = {test["path"]: test["verdict"] for test in facts["tests"]}
    assert verdicts["affect.moments.worn.mean.load"] == "contradicted"
    assert verdicts["priors.populations.in-service.p.sound"] == "contradicted"
    worth = {row["path"] for row in facts["worth"]}
    assert worth == {"rules.driven-heat", "rules.dry", "couplings.rattle"}
    base = seke.knowledge(path)
    assert base.populations["in-service"].p[0] < 0.5
    assert base.moments[1].mean[0] < 0
    assert facts["proposal"]["numbers"] == sum(verdict == "contradicted" for verdict in verdicts.values())
    assert facts["prediction"]["intervals"]["load"]["systems"]["linear"]["rmse"]["value"] > 0


def test_the_page_is_whole_and_escapes(machine, tmp_path):
    facts = seke.knowledge_test(machine, MACHINE, leave_one_out=True).facts
    html = page({**facts, "tables": [{"path": "<script>x", "rows": 1, "digest": ""}]})
    assert "<script>" not in html
    assert "&lt;script&gt;x" in html
    pictures = re.findall(r"<svg.*?</svg>", html, re.S)
    # Rules, couplings, cells, means, log loss, reliability, confusion, left out one by one.
    titles = [ElementTree.fromstring(picture).attrib["aria-label"] for picture in pictures]
    assert len(titles) == len(set(titles)) == 8
    result = run(machine, "--html", tmp_path / "x.html", base=MACHINE)
    assert (result.exit_code, (tmp_path / "x.html").exists()) == (0, True)


FOUR = [
    {"item": "a", "sky": "rain", "wet": 1, "umbrellas": 1, "puddles": 1},
    {"item": "b", "sky": "rain", "wet": 1, "umbrellas": 0, "puddles": 1},
    {"item": "c", "sky": "cloudless", "wet": 0, "umbrellas": 0, "puddles": 0},
    {"item": "d", "sky": "cloudless", "wet": 0, "umbrellas": 1, "puddles": 0},
]


def test_four_rows_are_too_few(tmp_path):
    result = run(write(tmp_path / "four.csv", FOUR), "--strict", "--html", tmp_path / "x.html")
    assert result.exit_code == 0, result.output
    assert "8 too few, 2 not tested" in result.stdout
    assert "too few items for folds" in result.stdout


def test_a_table_without_the_root(tmp_path):
    rows = [{name: cell for name, cell in row.items() if name != "sky"} for row in FOUR]
    result = run(write(tmp_path / "units.csv", rows))
    assert result.exit_code == 0
    assert "no column sky: items count equally" in result.stdout
    assert "Not scored: the table has no column sky" in result.stdout
    # Where no number of a kind can be tested, one line says so.
    rows = [{"item": row["item"], "sky": row["sky"]} for row in FOUR]
    lines = run(write(tmp_path / "root.csv", rows)).stdout.splitlines()
    counted = [line.partition(":")[0] for line in lines if "not in the table" in line or "no column" in line]
    assert counted == ["10 numbers", "Rules", "Couplings", "Cells"]


def test_numbers_are_scored_without_the_root(tmp_path):
    rows = drawn(MACHINE, 40, seed=4)
    rows = [{name: cell for name, cell in row.items() if name != "wear"} for row in rows]
    result = run(write(tmp_path / "gauges.csv", rows), base=MACHINE)
    assert result.exit_code == 0, result.output
    assert "Not scored: the table has no column wear" in result.stdout
    assert "load of 40 items" in result.stdout


def test_formats_are_read_alike(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{**row, "item": f"i{number}"} for number, row in enumerate(FOUR * 5)]
    csv = write(tmp_path / "t.csv", rows)
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    tests = [seke.knowledge_test(path, WEATHER).facts["tests"]
             for path in (csv, tmp_path / "t.jsonl", tmp_path / "t.parquet")]  # fmt: skip
    assert tests[0] == tests[1] == tests[2]


def changed(**cells):
    return [{**FOUR[0], **cells}, *FOUR[1:]]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (changed(wet=3), (), "bad.csv:2: wet: met '3' (a text); allowed are 0, 1, true, false, "
         "present and absent; of intensities say the least one that counts as present (--threshold)"),
        (changed(wet=""), (), "bad.csv: blank cells: wet (1 of 4 rows). They may mean that the unit was "
         "not there, or that nobody coded it: say which with --blank absent or --blank unknown"),
        (changed(colour="red"), (), "bad.csv:1: colour: no such column: 'colour'"),
        (changed(sky="hail"), (), "bad.csv:2: sky: no such state: 'hail'; allowed are cloudless, rain"),
        (FOUR, ("--cluster", "street"), "bad.csv:1: street: no such column"),
        (FOUR, ("--cluster", "wet"), "wet: cannot be the column of texts, such as persons: it is a variable"),
        (changed(street="s1"), ("--cluster", "street"), "street: 3 rows of 4 without one; name all or none"),
        (FOUR, ("--population", "there"), "no population is called 'there'"),
        (FOUR, ("--samples", "x.jsonl"), "--samples goes with --propose"),
        ([{**row, "set": "x"} for row in FOUR], ("--population-column", "set"),
         "set: the base has no population 'x'"),
    ],
)  # fmt: skip
def test_bad_input(tmp_path, monkeypatch, rows, options, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bad.csv", rows)
    result = run("bad.csv", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_intensities_blanks_and_codes(tmp_path):
    units = ("wet", "umbrellas", "puddles")
    rows = [row | {name: 3 * row[name] for name in units} for row in FOUR]
    rows[0]["puddles"] = ""
    table = write(tmp_path / "t.csv", rows)
    facts = {}
    for blank in ("absent", "unknown"):
        result = run(table, "--threshold", "2", "--blank", blank, "--json")
        assert result.exit_code == 0, result.output
        facts[blank] = {test["name"]: test for test in json.loads(result.stdout)["tests"]}
    assert facts["absent"]["puddles | rain"]["observed"]["items"] == 2
    assert facts["absent"]["puddles | rain"]["observed"]["value"] == 0.5
    assert facts["unknown"]["puddles | rain"]["observed"]["value"] == 1
    assert facts["absent"]["wet | rain"]["observed"]["value"] == 1
    words = [row | {"wet": "present" if row["wet"] else "absent"} for row in FOUR]
    tests = [seke.knowledge_test(write(tmp_path / "w.csv", table), WEATHER).facts["tests"]
             for table in (words, FOUR)]  # fmt: skip
    assert tests[0] == tests[1]
    # Smoke hides heat: what is coded as not hot is not known to be so.
    smoke = write(tmp_path / "s.csv", [
        {"item": "a", "wear": "worn", "hot": 0, "smoking": 1},
        {"item": "b", "wear": "worn", "hot": 0, "smoking": 0},
        {"item": "c", "wear": "worn", "hot": 1, "smoking": 1},
    ])  # fmt: skip
    tests = {t["name"]: t for t in seke.knowledge_test(smoke, MACHINE).facts["tests"]}
    assert tests["hot | worn"]["observed"]["items"] == 2


def test_several_tables_and_populations(tmp_path):
    first, second = drawn(MACHINE, 60, seed=1), drawn(MACHINE, 60, seed=2)
    paths = [
        write(tmp_path / f"{name}.csv", [{**row, "set": name} for row in rows])
        for name, rows in (("uniform", first), ("in-service", second))
    ]  # fmt: skip
    result = run(*paths, "--population-column", "set", "--json", base=MACHINE)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert [(part["name"], part["items"]) for part in facts["parts"]] == [
        ("set in-service", 60), ("set uniform", 60)
    ]  # fmt: skip
    rates = [t for t in facts["parts"][0]["tests"] if t["kind"] == "base rate"]
    assert {rate["declared"] for rate in rates} == {0.7, 0.2, 0.1}
