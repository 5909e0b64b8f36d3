"""Faults of YAML that people make: they are named for what they are, at their place."""

from __future__ import annotations

import pytest

from engine.language.yaml_nodes import Scalar, read_file

INDENTED = "a:\n  b:\n    c: 1\n"
FAULTS = {
    "one blank short": (
        f"{INDENTED}   d: 2\n",
        "4:4: is indented by 3 blanks, as no line above is: those are indented by 4 (line 3), 2 (line 2), 0",
    ),
    "one blank long": (f"{INDENTED}     d: 2\n", "4:7: is indented by 5 blanks, as no line above is"),
    "the line above is": ("a:\n b:\n    c: 1\n  d: 2\n", "4:3: is indented by 2 blanks, as no line"),
    "another fault": (f"{INDENTED}    d: 2: 3\n", "4:9: is not YAML: a text that holds a colon needs quotes"),
    "a comment does not count": (f"{INDENTED}   # note\n   d: 2\n", "5:4: is indented by 3 blanks"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_an_indentation_that_no_line_above_has_is_named(tmp_path, case):
    text, message = FAULTS[case]
    (tmp_path / "k.yaml").write_text(text)
    faults = []
    assert read_file(tmp_path / "k.yaml", "k.yaml", faults) is None
    (fault,) = faults
    assert f"{fault.place.line}:{fault.place.column}: {fault.message}".startswith(message)


@pytest.mark.parametrize("text", ["0,85", "-0,5", "12,5"])
def test_a_decimal_comma_within_braces_stays_one_number(tmp_path, text):
    """YAML reads {p: 0,85} as p: 0 and a key 85; who reads p then says that a comma is none."""
    (tmp_path / "k.yaml").write_text(f"a: {{p: {text}, n: 10}}\n")
    faults = []
    table = read_file(tmp_path / "k.yaml", "k.yaml", faults)
    assert not faults
    inner = table.get("a")
    assert isinstance(inner.get("p"), Scalar)
    assert (inner.get("p").text, list(inner.entries)) == (text, ["p", "n"])


@pytest.mark.parametrize(
    "text", ["{p: 0, 85: }", "{p: x,85: }", "{p: 0,85: 1}", "{p: '0',85: }", "{p: 0,x: }"]
)
def test_other_entries_within_braces_stay_entries(tmp_path, text):
    (tmp_path / "k.yaml").write_text(f"a: {text}\n")
    assert len(read_file(tmp_path / "k.yaml", "k.yaml", []).get("a").entries) == 2
