"""Reports of many like faults: the first of each kind are told, and no line of another is lost."""

from __future__ import annotations

import json
import re

from click.testing import CliRunner

from seke.cli.main import main
from seke.console.like_faults import shorten_report
from tests.small_study import SMALL_FACES


def test_faults_of_one_kind_are_told_once_with_all_their_lines():
    like = [f"a.csv:{line}: valence: met '0,{line}' (a text); write 0.{line}" for line in (2, 3, 4, 6, 7, 9)]
    other = ["a.csv:5: item: missing", "b.csv:1: valence: met '0,1' (a text); write 0.1"]
    report = "\n".join([*like[:3], other[0], *like[3:], other[1], "... and 40 more"])
    more = "  and 3 more like it, lines 6 to 7, 9"
    assert shorten_report(report).split("\n") == [*like[:3], more, *other, "... and 40 more"]
    # What follows a fault goes with it.
    rows = [f"t.parquet: row {row}: bad\n    what stands there" for row in range(1, 7)]
    assert shorten_report("\n".join(rows)) == "\n".join([*rows[:3], "  and 3 more like it, rows 4 to 6"])
    # Few of a kind, and what is no fault of a row, stay as they are.
    for report in ("\n".join(like[:4]), "no such file\n  seke infer 3: x\nrun12: no\n", "f:2:7: a\n" * 4):
        assert shorten_report(report) == report


def test_a_column_with_decimal_commas_is_one_message(tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text("item,expression,valence\n" + "".join(f'{n},anger,"0,{n}"\n' for n in range(30)))
    done = CliRunner().invoke(main, ["knowledge", "test", str(gold), str(SMALL_FACES), "--json"])
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert [re.sub(r"^.*?gold", "gold", line)[:28] for line in lines[:3]] == [
        f"gold.csv:{line}: valence: met '0," for line in (2, 3, 4)
    ]
    assert lines[3:] == ["  and 17 more like it, lines 5 to 21", "... and 10 more"]
    (fault,) = json.loads(done.stdout)["faults"]
    assert len(fault["message"].splitlines()) == 21
