"""The data of a report: every number is that of the records, of a second way to it, or one worked by hand."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest
from thorough import examples

import seke
from engine import AnswerError, SekeError
from seke.cli.main import main
from seke.console.decision_words import BASES
from seke.reports.encoding import FINE
from seke.reports.proportions import wilson
from seke.reports.records_table import ORIGINS
from seke.reports.report import NOTHING

ROOT = Path(__file__).parents[3]
FACES = ROOT / "examples" / "faces" / "samples.jsonl"
LINES = [line for line in FACES.read_text("utf-8").splitlines() if line]
PLANTS = ROOT / "examples" / "plants"
ANNOTATE = ROOT / "examples" / "annotate"
ARRAYS = {"uint8": "<u1", "u1": "<u1", "u2": "<u2", "u4": "<u4", "f4": "<f4"}
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"onload="alert(1)\' & ]]> <!-- x',
    "a\u202eb\u2066c\u200fd\x1b[31m",
    "<img src=//example.org/x onerror=alert(1)>",
    "x" * 1_000_000,
    "\u05e9\u05dc\u05d5\u05dd \u4f60\u597d \n\t two",
    "__proto__",
    "#section=items&item=a",
]


def run(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


class Blocks(HTMLParser):
    """What stands in the elements of a page."""

    def __init__(self, html):
        super().__init__()
        self.blocks, self.kinds, self.scripts, self.tags, self._open = {}, {}, [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag in ("script", "style"):
            self._open = attrs.get("id") or tag
            self.kinds[self._open] = attrs.get("data-kind", "")

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._open = None

    def handle_data(self, data):
        if self._open:
            self.blocks[self._open] = self.blocks.get(self._open, "") + data

    def __getitem__(self, name):
        data = gzip.decompress(base64.b64decode(self.blocks[name]))
        kind = self.kinds[name]
        return json.loads(data) if kind == "json" else np.frombuffer(data, ARRAYS[kind])

    def details(self):
        names = sorted(
            (block for block in self.blocks if block.startswith("details-")), key=lambda n: int(n[8:])
        )
        return [detail for name in names for detail in self[name]]


@pytest.fixture(scope="module")
def run_report(annotated):
    """The report of the run over six pictures."""
    return seke.report(annotated)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Eight hundred items whose observers are just as declared: samples, records and gold."""
    folder = tmp_path_factory.mktemp("simulated")
    files = [folder / name for name in ("samples.jsonl", "posteriors.jsonl", "gold.csv")]
    run("simulate", "--items", 800, "--question", "joint", "--draws", 3, "-o", files[0], "--truth", files[2])
    run("infer", files[0], "-o", files[1])
    return files


@pytest.fixture(scope="module")
def gold_report(simulated):
    """The report of the simulated items with gold, and its blocks."""
    samples, posteriors, gold = simulated
    made = seke.report(posteriors, samples=samples, gold=gold)
    return made, Blocks(made.html)


@pytest.fixture(scope="module")
def simulated_few(simulated, tmp_path_factory):
    """The first hundred of the simulated items: samples, records and gold."""
    folder = tmp_path_factory.mktemp("few")
    files = [folder / path.name for path in simulated]
    posteriors = simulated[1].read_text("utf-8").splitlines(keepends=True)[:100]
    files[1].write_text("".join(posteriors))
    items = {json.loads(line)["item"] for line in posteriors}
    answers = simulated[0].read_text("utf-8").splitlines(keepends=True)
    files[0].write_text("".join(line for line in answers if json.loads(line)["item"] in items))
    files[2].write_bytes(simulated[2].read_bytes())
    return files


@pytest.fixture(scope="module")
def few_faces(tmp_path_factory):
    """Some shipped items with all kinds of what a value rests on: samples, records and the report."""
    folder = tmp_path_factory.mktemp("few-faces")
    names = "afraid-brows", "asked-every-way", "same-answer-fifty-times", "all-refused"
    names += "contempt", "set-label-alone", "set-label-doubted"
    samples = folder / "samples.jsonl"
    samples.write_text("".join(f"{line}\n" for line in LINES if json.loads(line)["item"] in names))
    run("infer", samples, "-o", folder / "p.jsonl")
    made = seke.report(folder / "p.jsonl", samples=samples)
    return samples, records(folder / "p.jsonl"), Blocks(made.html)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def records(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# Columns and items -----------------------------------------------------------------------------------------


def test_columns_are_the_records(simulated, gold_report):
    _, blocks = gold_report
    posteriors = records(simulated[1])
    assert blocks["items"] == [record["item"] for record in posteriors]
    root = np.array([list(record["expression"].values()) for record in posteriors])
    assert blocks["root"].reshape(root.shape) / FINE == pytest.approx(root, abs=0.6 / FINE)
    binary = np.array([list(record["action_units"].values()) for record in posteriors])
    assert blocks["binary"].reshape(binary.shape) / FINE == pytest.approx(binary, abs=0.6 / FINE)
    moments = np.array(
        [
            [record[n][m] for n in ("valence", "arousal") for m in ("mean", "sd", "q05", "q95")]
            for record in posteriors
        ]
    )
    assert blocks["intervals"].reshape(moments.shape) == pytest.approx(moments, abs=6e-4)
    decisions = ("accept", "requery", "reject")
    assert blocks["decision"].tolist() == [
        decisions.index(record["decision"]["item"]) for record in posteriors
    ]
    bits = [
        [record["diagnostics"][f"{n}_bits"] for n in ("entropy", "epistemic", "conflict")]
        for record in posteriors
    ]
    assert blocks["bits"].reshape(-1, 3) == pytest.approx(np.array(bits), abs=1e-3)
    accepted = [
        [v["decision"] == "accept" for v in record["decision"]["levels"].values()] for record in posteriors
    ]
    assert blocks["accepted"].reshape(len(posteriors), -1).tolist() == np.array(accepted).astype(int).tolist()


def test_each_step_is_what_the_answers_up_to_it_come_to(few_faces, tmp_path):
    samples, _, blocks = few_faces
    states = list(seke.knowledge().variables["expression"].states)
    parts, steps = [], {}
    for item, detail in zip(blocks["items"], blocks.details(), strict=True):
        answers = [answer for answer in records(samples) if answer["item"] == item]
        assert len(detail["steps"]) == len(answers)
        for count in {1, len(answers) // 2, len(answers)} - {0}:
            if (after := detail["steps"][count - 1][7]) is not None:
                name = f"{item}, the first {count}"
                steps[name] = after
                parts += [{**answer, "item": name} for answer in answers[:count]]
    assert len(steps) >= 9
    part = tmp_path / "parts.jsonl"
    part.write_text("".join(json.dumps(answer) + "\n" for answer in parts))
    for record in seke.infer(part):
        after = steps.pop(record["item"])
        assert np.array(after[: len(states)]) / 1000 == pytest.approx(
            [record["expression"][state] for state in states], abs=6e-4
        )
        assert after[len(states)] / 1000 == pytest.approx(record["valence"]["mean"], abs=6e-4)
    assert not steps


def test_a_reading_alone_is_what_it_says_without_the_prior(tmp_path):
    line = next(line for line in LINES if json.loads(line)["item"] == "contempt")
    samples = tmp_path / "samples.jsonl"
    samples.write_text(line + "\n")
    run("infer", samples, "-o", tmp_path / "p.jsonl")
    (detail,) = Blocks(seke.report(tmp_path / "p.jsonl", samples=samples).html).details()
    (record,) = records(tmp_path / "p.jsonl")
    # One reading under the uniform prior: its likelihoods are the posterior.
    ((_, _, view, alone),) = detail["readings"]
    assert view == "face"
    assert np.array(alone) / 1000 == pytest.approx(list(record["expression"].values()), abs=6e-4)


def test_a_run_tells_order_times_prices_and_pictures(annotated, run_report):
    made, blocks = run_report, Blocks(run_report.html)
    assert made.facts["pictures"] == made.items == 6
    assert not made.facts["missing"]
    steps = [step for detail in blocks.details() for step in detail["steps"]]
    answers = len(records(annotated / "samples.jsonl"))
    assert len(steps) == made.facts["overview"]["counts"]["samples"] == answers > 6
    for detail in blocks.details():
        times = [step[8] for step in detail["steps"]]
        assert times == sorted(times)
    thumbnails = blocks.blocks["pictures-0"].split("\n")
    assert [bool(thumbnail) for thumbnail in thumbnails] == [True] * 6
    redacted = seke.report(annotated, redact_images=True)
    assert "pictures-0" not in Blocks(redacted.html).blocks
    assert redacted.facts["pictures"] == 0
    few = seke.report(annotated, most_thumbnails=2)
    assert few.facts["pictures"] == 2


def test_pictures_that_moved_are_named_anew(annotated, tmp_path):
    folder = tmp_path / "moved"
    folder.mkdir()
    lines = records(annotated / "items.jsonl")
    for line in lines:
        (folder / Path(line["path"]).name).write_bytes(Path(line["path"]).read_bytes())
    gone = tmp_path / "run"
    gone.mkdir()
    for path in annotated.iterdir():
        if path.suffix in (".jsonl", ".json", ".sqlite") or path.name == "ledger.sqlite":
            (gone / path.name).write_bytes(path.read_bytes())
    moved_lines = [json.dumps({**line, "path": f"/nowhere/{line['item']}.png"}) for line in lines]
    (gone / "items.jsonl").write_text("\n".join(moved_lines) + "\n")
    assert seke.report(gone).facts["pictures"] == 0
    assert seke.report(gone, images=folder).facts["pictures"] == 6
    Image.new("RGB", (9, 9)).save(tmp_path / "other.png")
    with pytest.warns(UserWarning, match="none of these pictures"):
        seke.report(gone, images=tmp_path / "other.png")


# Sums ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 400), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_intervals_are_those_of_scipy(n, data):
    k = data.draw(st.integers(0, n))
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(np.array(k / n), np.array(n))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=2e-5)


def test_the_overview_counts_the_records(simulated, gold_report):
    made, _ = gold_report
    posteriors, overview = records(simulated[1]), made.facts["overview"]
    decisions = Counter(record["decision"]["item"] for record in posteriors)
    assert overview["decisions"] == [decisions[name] for name in ("accept", "requery", "reject")]
    assert overview["counts"]["samples"] == sum(record["diagnostics"]["samples"] for record in posteriors)
    assert sum(sum(class_totals["decisions"]) for class_totals in overview["classes"]) == len(posteriors)
    gold = {row["item"]: row for row in table(simulated[2])}
    for class_row in overview["classes"]:
        expected = sum(record["expression"][class_row["state"]] for record in posteriors)
        assert class_row["expected"] == pytest.approx(expected, abs=0.06)
        assert class_row["gold"] == sum(row["expression"] == class_row["state"] for row in gold.values())
    (level,) = [level for level in overview["levels"] if level["name"] == "expression"]
    taken = [
        record for record in posteriors if record["decision"]["levels"]["expression"]["decision"] == "accept"
    ]
    wrong = [
        record["decision"]["levels"]["expression"]["value"] != gold[record["item"]]["expression"]
        for record in taken
    ]
    assert level["accepted"] == pytest.approx(len(taken) / len(posteriors), abs=1e-4)
    assert level["wrong"] == pytest.approx(np.mean(wrong), abs=1e-4)


def test_equally_frequent_reasons_stand_in_the_order_in_which_they_come(inferred_faces, tmp_path):
    """Nine reasons once, two of which have the same head, and one of them twice; a set would shuffle them."""
    rejected, other, *_ = (r for r in records(inferred_faces) if r["decision"]["item"] == "reject")
    heads = [f"reason {letter}" for letter in "hgfedcba"]
    rejected["decision"]["reasons"] = [*heads, f"{heads[3]}: a name"]
    other["decision"]["reasons"] = [heads[5]]
    lines = [json.dumps(record) for record in (rejected, other)]
    (tmp_path / "p.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    counted = seke.report(tmp_path / "p.jsonl").facts["overview"]["reasons"]["reject"]
    expected = [(heads[5], 2), *((head, 1) for head in heads if head != heads[5])]
    assert [tuple(pair) for pair in counted] == expected


def test_the_overview_counts_what_values_rest_on(tmp_path):
    """Against the records, where nothing more may be asked, so that values are inferred."""
    posteriors, overview = records_of_overlay(tmp_path)
    levels = [
        (record["item"], name, v) for record in posteriors for name, v in record["decision"]["levels"].items()
    ]
    values = Counter(v["basis"] for _, _, v in levels if v["decision"] == "accept")
    basis_counts = overview["basis"]
    assert dict(zip(BASES, basis_counts["values"], strict=True)) == {name: values[name] for name in BASES}
    items = Counter(
        record["decision"]["levels"]["expression"]["basis"]
        for record in posteriors
        if record["decision"]["item"] == "accept"
    )
    assert dict(zip(BASES, basis_counts["items"], strict=True)) == {name: items[name] for name in BASES}
    assert basis_counts["uncalibrated"] == items["declared"] + items["another design"] > 0
    assert basis_counts["inferred"] == sum(v["decision"] == "inferred" for _, _, v in levels) == 9
    assert (
        basis_counts["lacking"]
        == sum(len(record["diagnostics"]["lacking_evidence"]) for record in posteriors)
        > 9
    )
    assert basis_counts["overruled"] == [("expression", 1)]
    (affect,) = [level for level in overview["levels"] if level["name"] == "affect"]
    numeric_levels = [v for _, name, v in levels if name in ("valence", "arousal")]
    declared = [v["decision"] == "accept" and v["basis"] == "declared" for v in numeric_levels]
    assert affect["uncalibrated"] == pytest.approx(np.mean(declared), abs=1e-4)
    assert affect["inferred"] == pytest.approx(
        np.mean([v["decision"] == "inferred" for v in numeric_levels]), abs=1e-4
    )


def records_of_overlay(folder):
    """The records of the shipped items where no more is asked, and the overview of their report."""
    base = folder / "overlay.yaml"
    note = "source: judgement, note: a trial"
    base.write_text(f"extends: shipped\npolicy: {{budget: 1, required: [expression], {note}}}\n")
    run("infer", FACES, "-k", base, "-o", folder / "p.jsonl")
    return records(folder / "p.jsonl"), seke.report(folder / "p.jsonl", base).facts["overview"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_every_format_of_records_tells_what_values_rest_on(few_faces, tmp_path, ending):
    samples, posteriors, blocks = few_faces
    if ending != "jsonl":
        run("infer", samples, "-o", tmp_path / f"p.{ending}")
        blocks = Blocks(seke.report(tmp_path / f"p.{ending}").html)
    details, marks = blocks.details(), blocks["marks"]
    assert set(marks) == {0, 1, 2}
    for row, record in enumerate(posteriors):
        levels = list(record["decision"]["levels"].values())
        part = slice(row * len(levels), (row + 1) * len(levels))
        bases = [BASES.index(level["basis"]) if level["basis"] else NOTHING for level in levels]
        assert blocks["basis"][part].tolist() == bases
        assert blocks["origin"][part].tolist() == [ORIGINS.index(level["origin"]) for level in levels]
        lacking, overruled = record["diagnostics"]["lacking_evidence"], record["diagnostics"]["overruled"]
        assert marks[row] == bool(lacking) + 2 * bool(overruled)
        detail = details[row]
        assert (detail.get("lacking", []), detail.get("overruled", [])) == (lacking, overruled)


def test_records_of_old_are_reported_without_what_they_do_not_say(simulated, tmp_path):
    old_records = records(simulated[1])[:40]
    for record in old_records:
        for level in record["decision"]["levels"].values():
            del level["origin"], level["basis"]
        for key in ("conflict", "lacking_evidence", "overruled"):
            del record["diagnostics"][key]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in old_records))
    overview = seke.report(path).facts["overview"]
    accepted = sum(
        v["decision"] == "accept" for record in old_records for v in record["decision"]["levels"].values()
    )
    assert overview["basis"]["values"][BASES.index("unknown")] == sum(overview["basis"]["values"]) == accepted
    assert accepted > 40
    basis_counts = overview["basis"]
    assert (
        basis_counts["uncalibrated"],
        basis_counts["inferred"],
        basis_counts["lacking"],
        basis_counts["overruled"],
    ) == (0, 0, 0, [])
    assert {(level_row["uncalibrated"], level_row["inferred"]) for level_row in overview["levels"]} == {
        (None, None)
    }


def test_limits_say_of_what_they_are_and_where_they_cut(simulated_few, simulated, gold_report):
    posteriors = records(simulated[1])
    base = seke.knowledge()
    risks = [v["risk"] for record in posteriors for v in [record["decision"]["levels"]["expression"]]]
    accepted = [
        risk
        for risk, record in zip(risks, posteriors, strict=True)
        if record["decision"]["levels"]["expression"]["decision"] == "accept"
    ]

    def curve(**changes):
        policy = replace(base.policy, **changes)
        return by_name(seke.report(simulated_few[1], replace(base, policy=policy)))

    def by_name(made):
        return {curve_row["name"]: curve_row for curve_row in made.facts["overview"]["curves"]}

    shipped = by_name(gold_report[0])
    assert (shipped["expression"]["of"], shipped["expression"]["limit"]) == ("mean", 0.05)
    assert shipped["expression"]["thresholds"] is None
    assert shipped["expression"]["highest"] == pytest.approx(max(accepted), abs=1e-4)
    each = curve(mean_limits=frozenset())
    assert each["expression"]["of"] == each["binary"]["of"] == "each"
    units = {"AU1": (0.2, 0.3), "AU2": (0.1, 0.4)}
    cut = curve(thresholds={"expression": (0.11,) * 8, **units})
    assert cut["expression"]["thresholds"] == [0.11, 0.11]
    assert cut["binary"]["thresholds"] == [0.1, 0.4]
    assert cut["valence"]["thresholds"] is None


def test_risk_against_coverage_ends_with_everything(simulated, gold_report):
    made, _ = gold_report
    posteriors = records(simulated[1])
    curve = made.facts["overview"]["curves"][0]
    risks = [record["decision"]["levels"]["expression"]["risk"] for record in posteriors]
    assert curve["coverage"][-1] == 1
    assert curve["stated"][-1] == pytest.approx(np.mean(risks), abs=1e-4)
    assert np.all(np.diff(curve["stated"]) >= -1e-4)
    gold = {row["item"]: row["expression"] for row in table(simulated[2])}
    wrong = [
        max(record["expression"], key=record["expression"].get) != gold[record["item"]]
        for record in posteriors
    ]
    assert curve["true"]["error"][-1] == pytest.approx(np.mean(wrong), abs=1e-4)


def test_rules_and_cells_are_counted_as_posteriors_are(simulated_few):
    samples, posteriors, _ = simulated_few
    facts = seke.report(posteriors, samples=samples).facts["knowledge"]
    scored_records = records(posteriors)
    units = {
        name: np.mean([record["action_units"][name] for record in scored_records])
        for name in ("AU24", "AU20")
    }
    rules = {rule_row["name"]: rule_row for rule_row in facts["rules"]}
    # Rules whose `if` is one unit.
    assert rules["pressed-lips-are-closed"]["fires"] == pytest.approx(units["AU24"], abs=2e-4)
    assert rules["stretch-parts-lips"]["fires"] == pytest.approx(units["AU20"], abs=2e-4)
    for rule in rules.values():
        assert 0 <= rule["low"] <= rule["violated"] <= rule["high"] <= 1
    # Summed over the expression, the expected counts of a unit are its posteriors.
    counts = Counter()
    for cell in facts["cells"]:
        counts[cell["variable"]] += cell["n"] * cell["observed"]
    assert counts["AU24"] == pytest.approx(units["AU24"] * len(scored_records), rel=1e-3)
    assert facts["truth"] == "posterior"


def test_cells_of_gold_are_counts(simulated, gold_report):
    made, _ = gold_report
    gold = table(simulated[2])
    cells = {
        (cell_row["variable"], cell_row["state"]): cell_row for cell_row in made.facts["knowledge"]["cells"]
    }
    for state in ("fear", "happiness"):
        state_rows = [row for row in gold if row["expression"] == state]
        for unit in ("AU5", "AU12"):
            cell = cells[unit, state]
            assert cell["n"] == len(state_rows)
            assert cell["observed"] == pytest.approx(
                np.mean([float(row[unit]) for row in state_rows]), abs=1e-4
            )


def test_nothing_is_called_contradicted_that_is_as_declared(gold_report):
    """As many declared numbers lie outside their 95 % intervals as chance brings about."""
    made, _ = gold_report
    cells = made.facts["knowledge"]["cells"]
    (observer,) = made.facts["observers"]["observers"]
    outside = [cell["outside"] for cell in cells]
    confusion = observer["confusion"]
    for k in range(len(confusion["states"])):
        outside += [
            not low <= p <= high
            for p, low, high in zip(
                confusion["declared"][k], confusion["low"][k], confusion["high"][k], strict=True
            )
        ]
    units = [
        not unit["low"][k] <= unit["declared"][k] <= unit["high"][k]
        for unit in observer["units"]
        for k in (0, 1)
    ]
    # Half of a binomial's tail: 234 numbers, and 34 of units that are less independent.
    assert sum(outside) / len(outside) < 0.09
    assert sum(units) <= 5
    (halo,) = observer["halo"]
    assert halo["low"] - 0.03 <= halo["declared"] <= halo["high"] + 0.03
    assert made.facts["overview"]["reliability"][0]["ece"] < 0.08


def test_observers_who_differ_are_found_out(tmp_path):
    """The same look at an observer with twice the halo and drifting answers."""
    files = [tmp_path / name for name in ("s.jsonl", "p.jsonl", "t.csv")]
    options = ("--items", 400, "--question", "joint", "--draws", 2, "--halo", 0.8, "--drift", 0.9)
    run("simulate", *options, "-o", files[0], "--truth", files[2])
    run("infer", files[0], "-o", files[1])
    (observer,) = seke.report(files[1], samples=files[0], gold=files[2]).facts["observers"]["observers"]
    (halo,) = observer["halo"]
    assert halo["observed"] > halo["declared"] + 0.05
    right = [part["right"] for part in observer["drift"]["parts"]]
    assert np.mean(right[-4:]) < np.mean(right[:4]) - 0.05


def test_agreement_and_refusals_by_hand(tmp_path):
    def line(item, draw, **more):
        key = {"item": item, "observer": "gpt-4o", "question": "expression", "draw": draw}
        return json.dumps({**key, **more})

    lines = [
        line("a", 0, expression="fear"),
        line("a", 1, expression="fear"),
        line("a", 2, expression="anger"),  # one of three pairs agrees
        line("b", 0, expression="anger"),
        line("b", 1, expression="anger"),  # the pair agrees
        line("c", 0, status="refused"),
        line("c", 1, expression="sadness"),
        line("d", 0, status="unreadable"),
    ]
    samples = tmp_path / "s.jsonl"
    samples.write_text("\n".join(lines) + "\n")
    run("infer", samples, "-o", tmp_path / "p.jsonl")
    (observer,) = seke.report(tmp_path / "p.jsonl", samples=samples).facts["observers"]["observers"]
    assert (observer["answers"], observer["refused"], observer["unreadable"]) == (8, 1, 1)
    (pair,) = observer["agreement"]
    assert pair["name"] == "draws of one reading"
    assert pair["n"] == 2
    assert pair["share"] == pytest.approx((1 / 3 + 1) / 2, abs=1e-3)


def test_a_comparison_counts_what_differs(simulated_few, tmp_path):
    samples, posteriors, _ = simulated_few
    other = tmp_path / "other.jsonl"
    run("infer", samples, "--population", "in-the-wild", "-o", other)
    shown = seke.report(posteriors, compare=other).facts["comparison"]
    before, after = records(posteriors), records(other)

    def label(record):
        return max(record["expression"], key=record["expression"].get)

    differ = sum(a["decision"]["item"] != b["decision"]["item"] for a, b in zip(before, after, strict=True))
    assert sum(map(sum, shown["decisions"])) - np.trace(shown["decisions"]) == differ
    differ = sum(label(a) != label(b) for a, b in zip(before, after, strict=True))
    assert sum(map(sum, shown["labels"])) - np.trace(shown["labels"]) == differ
    moved = [
        sum(abs(a["expression"][s] - b["expression"][s]) for s in a["expression"]) / 2
        for a, b in zip(before, after, strict=True)
    ]
    assert shown["moved"] == pytest.approx(np.mean(moved), abs=1e-4)
    nobody = tmp_path / "nobody.jsonl"
    nobody.write_text(json.dumps({**before[0], "item": "nobody"}) + "\n")
    with pytest.raises(SekeError, match="has none of the items"):
        seke.report(posteriors, compare=nobody)


def test_another_world_than_faces(tmp_path):
    base, samples = PLANTS / "knowledge", tmp_path / "s.jsonl"
    run("simulate", "-k", base, "--items", 60, "-o", samples, "--truth", tmp_path / "t.csv")
    run("infer", samples, "-k", base, "-o", tmp_path / "p.jsonl")
    made = seke.report(tmp_path / "p.jsonl", base, samples=samples, gold=tmp_path / "t.csv")
    assert made.facts["base"]["face"] is None
    assert made.items == 60


# The page --------------------------------------------------------------------------------------------------


def test_the_page_runs_its_own_script_and_no_other(gold_report):
    made, blocks = gold_report
    policy = next(attrs["content"] for _, attrs in blocks.tags if attrs.get("http-equiv"))
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(blocks.blocks[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not [attrs for _, attrs in blocks.tags if attrs.get("src") or "style" in attrs]
    assert {tag for tag, attrs in blocks.tags if attrs.get("href")} == {"a"}
    addresses = set(re.findall(r"[a-z]+://[^\s\"'`)<]+", made.html))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", made.html)


def test_no_text_of_anybodys_is_part_of_the_page(tmp_path):
    pages, samples = [], tmp_path / "samples.jsonl"
    first = records(PLANTS / "samples.jsonl")[0]
    for names in (HOSTILE, [f"plain {k}" for k in range(len(HOSTILE))]):
        answers = [{**first, "item": name, "view": name[:200]} for name in names]
        samples.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
        run("infer", samples, "-k", PLANTS / "knowledge", "-o", tmp_path / "p.jsonl")
        pages.append(seke.report(tmp_path / "p.jsonl", PLANTS / "knowledge", samples=samples))
    blocks, usual = (Blocks(page.html) for page in pages)
    assert all(len(shown) <= 400 for shown in blocks["items"])
    words = json.dumps(blocks.details(), ensure_ascii=False) + "".join(blocks["items"])
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x00-\x08\x1b]", words)
    assert Counter(tag for tag, _ in blocks.tags) == Counter(tag for tag, _ in usual.tags)
    assert abs(len(pages[0].html) - len(pages[1].html)) < 20_000


def test_names_that_look_alike_stay_apart(tmp_path):
    first = records(PLANTS / "samples.jsonl")[0]
    samples = tmp_path / "samples.jsonl"
    names = ["x" * 5000 + "a", "x" * 5000 + "b", "c\n", "c"]
    samples.write_text("".join(json.dumps({**first, "item": name}) + "\n" for name in names))
    run("infer", samples, "-k", PLANTS / "knowledge", "-o", tmp_path / "p.jsonl")
    items = Blocks(seke.report(tmp_path / "p.jsonl", PLANTS / "knowledge").html)["items"]
    assert len(set(items)) == 4


# The command -----------------------------------------------------------------------------------------------


def test_the_command_writes_the_same_bytes(annotated, run_report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Nobody names the page: it has its plain name, and is not written over.
    result = run("report", annotated)
    assert "report.html: 6 items" in result.stderr
    assert "-o report.html writes it again" in run("report", annotated, status=2).stderr
    html = (tmp_path / "report.html").read_text("utf-8")
    assert html.startswith("<!doctype html>")
    assert html == run_report.html


def test_of_records_alone_it_says_what_is_missing(simulated_few, tmp_path):
    made = seke.report(simulated_few[1])
    assert made.facts["observers"] is None
    assert "only posterior records are given" in made.facts["missing"][0]
    run("report", simulated_few[1], "-o", tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text("utf-8") == made.html


def test_bad_input_writes_nothing(simulated, annotated, tmp_path):
    samples, posteriors, _ = simulated
    target = tmp_path / "r.html"
    for arguments, words in (
        ((tmp_path / "nothing.jsonl",), "nothing.jsonl"),
        ((samples,), "a sample is inferred first: seke infer "),
        ((tmp_path,), "is not a finished run"),
        ((posteriors, "--samples", FACES), "has no record"),
        ((posteriors, "--gold", tmp_path / "no.csv"), "no.csv"),
        ((posteriors, "-k", PLANTS / "knowledge"), "was it inferred with"),
        ((posteriors, "--images", tmp_path / "nowhere"), "--images"),
        (
            (posteriors, "--samples", samples, "--population", "in-the-wild"),
            "give other posteriors than the records",
        ),
        ((annotated, "-k", PLANTS / "knowledge"), "was made with knowledge"),
    ):
        result = run("report", *arguments, "-o", target, status=2)
        assert words in " ".join(result.stderr.split()), result.stderr
        assert not target.exists()
    result = run("report", posteriors, "-o", tmp_path / "no" / "r.html", status=2)
    assert "no" in result.stderr
    twice = tmp_path / "twice.jsonl"
    line = posteriors.read_text().splitlines()[0]
    twice.write_text(f"{line}\n{line}\n")
    with pytest.raises(AnswerError, match="has two records"):
        seke.report(twice)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record["expression"].update(fear=float("nan")), "a probability is not from 0 to 1"),
        (lambda record: record["expression"].update(fear=-4), "a probability is not from 0 to 1"),
        (lambda record: record["action_units"].update(AU4=1.5), "a probability is not from 0 to 1"),
        (
            lambda record: record.update(expression=dict.fromkeys(record["expression"], 0.9)),
            "do not sum to 1",
        ),
        (
            lambda record: record["expression"].update(boredom=0.1),
            "has boredom, which expression does not have",
        ),
        (
            lambda record: record["expression"].update(fear="x"),
            "has another shape (must be real number, not str)",
        ),
        (lambda record: record["expression"].pop("fear"), "lacks 'fear'"),
        (lambda record: record["valence"].update(mean=1e308), "valence is not from -1 to 1"),
        (lambda record: record["valence"].update(sd=-0.1), "the sd of valence is not from 0 to 2"),
        (lambda record: record["diagnostics"].update(entropy_bits=float("inf")), "its bits are not finite"),
        (
            lambda record: record["decision"].update(item="perhaps"),
            "decides 'perhaps'; allowed are accept, requery, reject",
        ),
        (
            lambda record: record["decision"]["levels"]["AU4"].update(decision="guessed"),
            "decides 'guessed'; allowed are accept, requery, reject, inferred",
        ),
        (
            lambda record: record["decision"]["levels"]["AU4"].update(decision="accept", basis="luck"),
            "accepts on 'luck'; allowed are unknown, declared, another design",
        ),
        (
            lambda record: record["decision"]["levels"]["AU4"].update(origin="hearsay"),
            "has the origin 'hearsay'; allowed are inferred, label, seen, unknown",
        ),
    ],
)
def test_a_record_that_is_no_posterior_is_refused(simulated, tmp_path, change, words):
    three_records = records(simulated[1])[:3]
    change(three_records[1])
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in three_records))
    done = run("report", path, "-o", tmp_path / "r.html", status=2)
    assert words in " ".join(done.stderr.split())
    assert repr(three_records[1]["item"]) in done.stderr
    assert not (tmp_path / "r.html").exists()


def test_a_page_is_not_written_over_what_it_is_about(simulated, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_bytes(simulated[1].read_bytes())
    done = run("report", path, "-o", path, status=2)
    assert "the ending says the format: .html, .htm" in " ".join(done.stderr.split())
    assert path.read_bytes() == simulated[1].read_bytes()


def test_gold_as_a_table_in_memory(simulated_few):
    _, posteriors, gold = simulated_few
    labels = seke.read_labels(gold, seke.knowledge())
    made = seke.report(posteriors, gold=replace(labels))
    assert made.facts["overview"]["gold"] == 100


@pytest.mark.parametrize(("name", "ending"), [("crowd", "csv"), ("sprinkler", "jsonl"), ("plants", "jsonl")])
def test_every_example_has_a_report(name, ending, tmp_path):
    base, samples = ROOT / "examples" / name / "knowledge", ROOT / "examples" / name / f"samples.{ending}"
    run("infer", samples, "-k", base, "-o", tmp_path / "p.jsonl")
    made = seke.report(tmp_path / "p.jsonl", base, samples=samples)
    answered = {observer["name"] for observer in made.facts["observers"]["observers"]}
    with samples.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file) if ending == "csv" else map(json.loads, filter(str.strip, file))
        assert answered == {row["observer"] for row in rows}


def test_sensitivities_tell_numbers_and_no_folder_of_this_machine(tmp_path):
    base, samples = PLANTS / "knowledge", PLANTS / "samples.jsonl"
    run("infer", samples, "-k", base, "-o", tmp_path / "p.jsonl")
    facts = seke.report(tmp_path / "p.jsonl", base, samples=samples, sensitivity=True).facts["knowledge"]
    assert facts["sensitivities"]
    places = [row["place"] for name in ("sensitivities", "rules", "cells") for row in facts[name]]
    assert all(re.fullmatch(r"(?:[^/:]+/){0,2}tomatoes\.yaml:\d+:\d+", place) for place in places), places
