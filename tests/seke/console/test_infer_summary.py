"""What people are told of records: on what accepted items rest, and what nobody looked at."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import seke
from engine.model.fit_record import FitRecord
from seke.console.decision_words import (
    BASES,
    LEGEND,
    OPEN_LEGEND,
    UNCALIBRATED,
    UNKNOWN,
    basis_of_item,
    weakest_basis,
)
from seke.console.infer_summary import InferSummary

ROOT = Path(__file__).parents[3]
FACES = ROOT / "examples" / "faces" / "samples.jsonl"
# Of an item whose expression alone is required and which may not be asked again, other values are inferred.
OVERLAY = "extends: posed\npolicy: {budget: 1, required: [expression], source: judgement, note: a trial}\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "overlay.yaml"
    path.write_text(OVERLAY)
    return seke.knowledge(path)


@pytest.fixture(scope="module")
def records(base):
    return list(seke.infer(FACES, base))


def changed(record, bases):
    """A copy of a record whose accepted values rest on these bases, by variable."""
    copy = json.loads(json.dumps(record))
    for name, basis in bases.items():
        assert copy["decision"]["levels"][name]["decision"] == "accept"
        copy["decision"]["levels"][name]["basis"] = basis
    return copy


def table(base, records, width=140):
    """The lines of the table of some records, and the counts that were taken with it."""
    summary, file = InferSummary(base), io.StringIO()
    summary.add(records)
    summary.show(Console(file=file, width=width, highlight=False))
    return file.getvalue().splitlines(), summary


def row(lines, item):
    (line,) = (line for line in lines if line.startswith(f"{item} "))
    return line


# On what an item rests -------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(BASES), min_size=1), st.randoms())
def test_the_weakest_basis_counts_in_any_order(bases, random):
    weakest = weakest_basis(bases)
    assert weakest in bases
    assert all(BASES.index(weakest) <= BASES.index(basis) for basis in bases)
    random.shuffle(bases)
    assert weakest_basis([None, *bases]) == weakest


def test_an_item_rests_on_the_weakest_of_what_is_required():
    accepted = {"decision": "accept", "basis": "calibrated"}
    levels = {
        "e": accepted,
        "v": {**accepted, "basis": "another design"},
        "u": {**accepted, "basis": "declared"},
    }
    decision = {"item": "accept", "levels": levels}
    assert basis_of_item(decision, ["e"]) == "calibrated"
    assert basis_of_item(decision, ["e", "v"]) == "another design"
    assert basis_of_item(decision, ["e", "v", "u"]) == "declared"
    assert basis_of_item({**decision, "item": "requery"}, ["e"]) is None
    old = {"item": "accept", "levels": {"e": {"decision": "accept"}}}
    assert basis_of_item(old, ["e"]) == UNKNOWN
    assert UNKNOWN not in UNCALIBRATED


# The table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 105, 140])
def test_accepted_items_on_declared_numbers_are_marked_at_any_width(base, records, width):
    lines, summary = table(base, records, width)
    assert max(map(len, lines)) <= width
    assert [line.strip() for line in lines[-2:]] == [LEGEND, OPEN_LEGEND]
    marked = 0
    for record in records:
        decision = record["decision"]
        declared = decision["levels"]["expression"]["basis"] in UNCALIBRATED
        if decision["item"] == "accept":
            # As much of a name as the narrowest table shows.
            name = record["item"][:11]
            (line,) = (line for line in lines if line.startswith(name))
            assert ("accept*" in line) == declared
            marked += declared
    assert marked == sum(summary.items_by_basis[basis] for basis in UNCALIBRATED) > 1
    # Somebody saw human-coder, so its own numbers are those of people.
    human = next(r for r in records if r["item"] == "human-coder")["decision"]["levels"]
    assert human["expression"]["basis"] == "declared (people)"


@pytest.mark.parametrize("width", [50, 80, 105])
def test_a_narrow_terminal_is_told_what_a_wide_one_is(base, records, width):
    wide, _ = table(base, records, 400)
    lines, _ = table(base, records, width)
    assert max(map(len, lines)) <= width

    def signs(lines):
        """How often each sign is in the row of each item; names start a row, whatever wraps is indented."""
        head = next(number for number, line in enumerate(lines) if line.startswith(records[0]["item"]))
        end = next(number for number, line in enumerate(lines) if line.startswith(LEGEND[:9]))
        rows = []
        for line in lines[head:end]:
            rows += [Counter()] * (not line.startswith(" "))
            rows[-1] = rows[-1] + Counter(line.replace(" ", ""))
        # At 50 columns names wrap, so that a row has no certain start.
        return rows if width > 50 else sum(rows, Counter())

    assert signs(wide) == signs(lines)
    assert sum(line.count("±") for line in lines) > len(records)


def test_a_unit_is_not_said_to_be_both_active_and_open(base, records):
    lines, _ = table(base, records, 300)
    assert lines[-1].strip() == OPEN_LEGEND
    both = 0
    for record in records:
        line = row(lines, record["item"])
        active = line[lines[0].index("action units") : lines[0].index("decision")].removeprefix("AU").split()
        levels = record["decision"]["levels"]
        for name, p in record["action_units"].items():
            accepted = levels[name]["decision"] == "accept"
            number = name.removeprefix("AU")
            if record["diagnostics"]["samples"] and p >= 0.5 and active != ["-"]:
                assert (number if accepted else f"{number}?") in active
                both += not accepted
        open_names = line.partition("open:")[2].partition(";")[0].split()
        assert not {f"{name.removeprefix('AU')}?" for name in open_names} & set(active)
    assert both > 10


def test_a_table_without_such_items_has_no_legend(base, records):
    kept = [record for record in records if record["item"] in ("human-coder", "all-refused", "one-answer")]
    lines, _ = table(base, kept)
    assert not any("*" in line for line in lines)
    assert " accept " in row([f"{line} " for line in lines], "human-coder")


def test_what_nobody_looked_at_is_told_from_what_is_open(base, records):
    (record,) = (record for record in records if record["item"] == "afraid-brows")
    levels = record["decision"]["levels"]
    inferred = [name for name, level in levels.items() if level["decision"] == "inferred"]
    assert inferred == ["arousal"]
    lines, summary = table(base, [record], 200)
    reasons = row(lines, "afraid-brows").partition("accept*")[2]
    assert reasons.strip().endswith("; inferred: arousal")
    assert "open: valence" in reasons
    assert summary.inferred == 1
    assert "values only inferred, and so not accepted (no observer looked at them): 1" in summary.notes()


def test_unresolvable_items_come_with_why_and_what_helps(base, records):
    """In one line: what stays open, its risk and limit, who was asked; nothing without such an item."""
    unresolvable = [r for r in records if r["decision"]["reasons"][:1] == ["unresolvable"]]
    rejected = json.loads(json.dumps(records[0]))
    rejected["decision"] |= {"item": "reject", "reasons": ["unresolvable", "open: expression"], "next": None}
    rejected["decision"]["levels"]["expression"] |= {"decision": "reject", "risk": 0.41, "origin": "seen"}
    summary = InferSummary(base)
    summary.add([r for r in records if r not in unresolvable])
    assert not [line for line in summary.notes() if "unresolvable" in line]
    summary.add([rejected])
    (line,) = (line for line in summary.notes() if "unresolvable" in line)
    assert line.startswith("1 unresolvable: nothing more that gpt-4o can be asked is worth its price")
    assert "expression stays open (its risk is about 0.41, the limit 0.05)" in line
    assert "seke calibrate" in line
    unseen = json.loads(json.dumps(rejected))
    unseen["decision"]["levels"]["expression"]["origin"] = "inferred"
    assert "seke calibrate" in line
    asked = {o: base.observer_digests[o] for o in (base.policy.ask, *base.policy.others)}
    fit = FitRecord("fit", "2026-01-01", "uniform", 0, asked, ())
    summary.base = replace(base, fits=(fit,))
    (line,) = (line for line in summary.notes() if "unresolvable" in line)
    assert "seke calibrate" not in line
    assert "What helps: a better" in line
    other = InferSummary(base)
    other.add([unseen])
    assert "of most nobody looked at expression" in "\n".join(other.notes())


def test_required_values_that_nobody_looked_at_in_any_item_are_named():
    base = seke.knowledge()
    records = {record["item"]: record for record in seke.infer(FACES, base)}

    def unseen(*items):
        return table(base, [records[item] for item in items], 200)[1].unseen()

    begins = (
        "nothing of valence and arousal is accepted: no observer looked at them, so they are only inferred; "
        "so no item can be accepted as a whole"
    )
    ends = ". To require no more than that: policy: {required: [expression]}"
    assert unseen("afraid-brows") == [begins + ends]
    # What is accepted of it is told beside.
    level = records["afraid-brows"]["decision"]["levels"]["expression"]
    level |= {"decision": "accept", "risk": 0.0125}
    accepted = ". Accepted values: expression 2 of 2 (mean risk 0.013)"
    assert unseen("afraid-brows", "afraid-brows") == [begins + accepted + ends]
    assert unseen("afraid-brows", "agreement") == []
    # Where no answer could be read there is nothing to say of looks.
    assert unseen("all-refused") == []


def test_values_that_rest_on_less_than_their_item_are_named(base, records):
    (record,) = (record for record in records if record["item"] == "agreement")
    bases = {"expression": "calibrated", "AU1": "calibrated", "AU2": "another design", "AU12": "certified"}
    lines, summary = table(base, [changed(record, bases)], 300)
    line = row(lines, "agreement")
    assert "accept*" not in line
    assert "; declared: valence arousal AU4 AU5 ...; another design: AU2" in line
    assert summary.items_by_basis == {"": 1}
    # Where the item itself is marked, that says it.
    lines, _ = table(base, [record], 300)
    assert "declared:" not in row(lines, "agreement")


def test_bases_are_counted_apart(base, records):
    (record,) = (record for record in records if record["item"] == "agreement")
    bases = ("certified", "calibrated", "another design", "declared")
    parts = [changed(record, {"expression": basis}) | {"item": basis} for basis in bases]
    _, summary = table(base, parts)
    assert summary.items_by_basis == {"": 2, "another design": 1, "declared": 1}
    accepted = [level for level in record["decision"]["levels"].values() if level["decision"] == "accept"]
    assert summary.bases["declared"] == 4 * len(accepted) - 3
    assert "2 of 4 accepted items rest on numbers" in summary.notes()[0]
    assert "(1 declared, 1 another design)" in summary.notes()[0]
    summary.items["accept"], summary.items_by_basis = 0, Counter()
    values = sum(summary.bases.values())
    unsure = summary.bases["declared"] + summary.bases["another design"]
    assert summary.notes()[0].startswith(
        f"{unsure} of {values} accepted values rest on numbers that were not"
    )
