"""`seke knowledge test` without a table: the shipped base's expectations, and those of small bases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import seke
from seke.cli.main import main

WEATHER = Path(__file__).parents[2] / "engine" / "bases" / "weather.yaml"
EXPECTED = """
expectations:
  source: judgement
  note: By the tests.
  rain-on-the-street:
    given: "wet & puddles"
    expect: {rain: "> 0.93"}
    statement: A wet street with puddles was rained on.
  dry:
    given: "!wet"
    alone: true
    before: [cloudless, rain]
"""


def run(*arguments):
    return CliRunner().invoke(main, ["knowledge", "test", *map(str, arguments)])


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    (folder / "tests").mkdir(parents=True)
    shutil.copy(WEATHER, folder / "weather.yaml")
    (folder / "tests" / "street.yaml").write_text(EXPECTED)
    return folder


def test_the_shipped_base_is_as_its_authors_expect():
    report = seke.knowledge_expectations()
    assert report.failed == 0, str(report)
    assert 12 <= len(report.facts["expectations"]) <= 20
    result = run("--strict")
    assert (result.exit_code, result.stdout) == (0, f"{report}\n")


def test_an_expectation_that_fails_names_the_numbers_that_would_have_to_move(base):
    result = run("-k", base, "--strict")
    assert result.exit_code == 1
    assert "1 of 2 expectations hold" in result.stdout
    assert "street.yaml:5:3: rain-on-the-street: given wet & puddles" in " ".join(result.stdout.split())
    assert "wanted rain > 0.93; there is 0.885" in result.stdout
    assert "couplings.drops.odds_ratio 2 -> " in result.stdout
    assert "weather.yaml:21:" in result.stdout
    assert "1 failed, which --strict does not allow" in result.stderr
    assert run("-k", base).exit_code == 0
    facts = json.loads(run("-k", base, "--json").stdout)
    failed, held = facts["expectations"]
    assert (failed["holds"], held["holds"]) == (False, True)
    assert failed["root"]["rain"] < 0.93
    assert len(failed["demands"][0]["would_hold_with"]) == 3


def test_each_number_that_is_named_would_do(base, tmp_path):
    facts = json.loads(run("-k", base, "--json").stdout)
    for remedy in facts["expectations"][0]["demands"][0]["would_hold_with"]:
        keys = remedy["path"].split(".")
        keys += ["p"] if keys[0] == "activations" else []
        nested = "".join(f"{key}: {{" for key in keys[1:-1])
        change = f"{keys[-1]}: {remedy['needed']}, source: judgement, note: By the tests."
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(f"extends: base\n{keys[0]}: {{{nested}{change}{'}' * (len(keys) - 1)}\n")
        result = run("-k", overlay, "--strict")
        assert result.exit_code == 0, f"{remedy}: {result.output}"


def test_an_overlay_answers_for_the_expectations_of_its_base(base, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("extends: base\nremove: [variables.puddles, couplings.drops, rules.soaked]\n")
    result = run("-k", overlay)
    assert result.exit_code == 0, result.output
    assert "1 of 2 expectations hold" in result.stdout
    unfit = "rain-on-the-street: does not apply to this base: no variable is called 'puddles'"
    assert unfit in " ".join(result.stdout.split())


def test_faults_and_needless_options(base):
    (base / "tests" / "street.yaml").write_text(EXPECTED.replace("> 0.93", "very"))
    result = run("-k", base)
    assert result.exit_code == 2
    assert (
        "street.yaml:7:20: expectations.rain-on-the-street.expect.rain: must be a comparison" in result.stderr
    )
    assert "1 fault" in result.stderr
    result = run("--cluster", "person", "--html", "x.html")
    assert (result.exit_code, result.stderr.strip()) == (2, "--cluster, --html: goes with a TABLE")
    assert "no expectations; they are read from YAML files in the folder tests" in run("-k", WEATHER).stderr
