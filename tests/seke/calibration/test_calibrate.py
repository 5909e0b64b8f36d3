"""seke calibrate as it is used: the overlay, the summary, the guarantee, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from seke.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples of 80 faces asked for their expression, and their gold."""
    place = tmp_path_factory.mktemp("calibrate")
    given = ["simulate", "--items", "80", "--question", "expression", "--draws", "3", "--seed", "5"]
    run(*given, "-o", str(place / "s.jsonl"), "--truth", str(place / "gold.csv"))
    return place


def run(*args, status=0):
    found = CliRunner().invoke(main, list(args))
    assert found.exit_code == status, found.output
    return found


@pytest.fixture(scope="module")
def calibrated(folder):
    given = [str(folder / "s.jsonl"), "--gold", str(folder / "gold.csv")]
    return run("calibrate", *given, "-o", str(folder / "mine.yaml"), "--trace", str(folder / "t.nc"))


def test_the_overlay_is_used_as_knowledge(folder, calibrated):
    base, mine = seke.knowledge(), seke.knowledge(folder / "mine.yaml")
    path = "observers.gpt-4o.categorical.expression.settled.neutral.neutral"
    told = base.observers["gpt-4o"].labels["expression"].confusion[0][0]
    assert mine.numbers[path].value != told
    assert not any(".expression.confusion." in number for number in mine.numbers if "gpt-4o" in number)
    assert mine.numbers[path].source.startswith("fit-")
    assert "observers.gpt-4o.categorical.expression.n.neutral" in mine.numbers
    assert mine.sources[mine.numbers[path].source].cite.startswith("seke calibrate")
    records = list(seke.infer(folder / "s.jsonl", folder / "mine.yaml"))
    assert len(records) == 80


def test_the_summary_says_what_moved_and_what_cannot_be_told(calibrated):
    said = calibrated.output
    assert "gpt-4o.carry: no item has two of its readings" in said
    assert "unanimous but wrong: expression" in said
    assert "categorical.expression.repeat" in said


def test_a_trace_is_read_by_arviz(folder, calibrated):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        data = arviz.from_netcdf(str(folder / "t.nc"))
    table = data.posterior["observers.gpt-4o.categorical.expression.settled"]
    np.testing.assert_allclose(table.sum(axis=-1), 1, atol=1e-9)


def test_the_same_seed_gives_the_same_overlay(folder, calibrated):
    given = [str(folder / "s.jsonl"), "--gold", str(folder / "gold.csv"), "--json"]
    found = json.loads(run("calibrate", *given, "-o", str(folder / "again.yaml")).stdout)
    assert (folder / "again.yaml").read_text() == (folder / "mine.yaml").read_text()
    assert {"path", "prior", "value", "sd"} <= set(found["numbers"][0])
    assert found["gold"]["expression"] == 80


def test_too_little_gold_for_a_guarantee_says_how_much_lacks(folder):
    given = [str(folder / "s.jsonl"), "--gold", str(folder / "gold.csv"), "--alpha", "0.05"]
    found = run("calibrate", *given, "-o", str(folder / "sure.yaml"), status=1)
    assert "too little gold for any guarantee" in found.output
    assert seke.knowledge(folder / "sure.yaml").guarantee is not None


def test_what_exists_is_not_written_over(folder, calibrated):
    before = (folder / "mine.yaml").read_text()
    found = run("calibrate", str(folder / "s.jsonl"), "-o", str(folder / "mine.yaml"), status=2)
    assert "exists already" in found.output
    assert "--force" in found.output
    assert (folder / "mine.yaml").read_text() == before


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("item,expression\nnobody,fear\n", "has gold of none of the items"),
        ("item,expression\nitem-000000,joy\n", "gold.csv:2"),
        ("item,expresion\nitem-000000,fear\n", "did you mean expression"),
        ("item,expression\nitem-000000,fear\nitem-000000,anger\n", "item-000000"),
    ],
)
def test_bad_gold_is_refused_and_nothing_is_written(folder, tmp_path, table, message):
    (tmp_path / "gold.csv").write_text(table)
    given = ["calibrate", str(folder / "s.jsonl"), "--gold", str(tmp_path / "gold.csv")]
    found = run(*given, "-o", str(tmp_path / "out.yaml"), status=2)
    assert message in found.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gold.csv"]


def test_without_gold_one_observer_tells_nothing_of_the_truth(folder, tmp_path):
    found = seke.calibrate([folder / "s.jsonl"])
    assert any("neither gold" in reason for reason in found.untold.values())
    assert not [entry for entry in found.entries if {"confusion", "settled"} & set(entry.keys)]
    assert any("no gold" in warning for warning in found.warnings)


def test_a_class_without_an_example_is_named(folder, tmp_path):
    rows = (folder / "gold.csv").read_text().splitlines()
    kept = [row for row in rows if ",fear," not in row and not row.endswith(",fear")]
    (tmp_path / "gold.csv").write_text("\n".join(kept) + "\n")
    found = seke.calibrate([folder / "s.jsonl"], gold=tmp_path / "gold.csv")
    assert any("no item has gold expression fear" in warning for warning in found.warnings)


def test_kinds_of_reading_that_were_tried_are_told(tmp_path):
    given = ["simulate", "--items", "110", "--question", "expression", "--draws", "2", "--seed", "5"]
    run(*given, "-o", str(tmp_path / "s.jsonl"), "--truth", str(tmp_path / "gold.csv"))
    given = [
        "calibrate",
        str(tmp_path / "s.jsonl"),
        "--gold",
        str(tmp_path / "gold.csv"),
        "--types",
        "--json",
    ]
    (one,) = json.loads(run(*given, "-o", str(tmp_path / "mine.yaml")).stdout)["types"]
    assert (one["observer"], one["variable"], one["kinds"]) == ("gpt-4o", "expression", ["easy", "hard"])
    # They were made up of one kind.
    assert one["items"] == 110
    assert not one["kept"]
    assert one["gain"] < 2 * one["gain_se"]
