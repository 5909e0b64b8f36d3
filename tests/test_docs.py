"""The reference of the documentation has an entry for everything; building the site is another command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from api_pages import returned_class
from bs4 import BeautifulSoup
from built_site import dead_links, outside_loads
from command_pages import command_pages
from field_tables import BASE, language_pages, section_rows
from mathml import formula
from message_page import catalogue, golden_messages, kinds_of, printed
from plain_text import markdown
from unit_page import unit_page

import seke
from seke.cli.main import main
from seke.runs.run_folder import POSTERIORS, RAW, SAMPLES, SUMMARY
from seke.samples.vocabulary import FIXED

DOCS = Path(__file__).parents[1] / "docs"


def commands(command, path):
    """Every command below one, with its path in words."""
    yield path, command
    for name in command.commands if isinstance(command, click.Group) else ():
        yield from commands(command.commands[name], f"{path} {name}")


def test_every_command_and_option_is_on_a_page():
    text = "\n".join(command_pages().values())
    headings = set(re.findall(r"^#+ (seke.*)$", text, re.MULTILINE))
    named = dict(commands(main, "seke"))
    assert headings == {*named} - {"seke"}
    for path, command in named.items():
        section = text.partition(f":::{{program}} {path}\n")[2].partition(":::{program}")[0]
        for option in (p for p in command.params if isinstance(p, click.Option) and not p.hidden):
            assert f"{option.opts[-1]}" in section, f"{path} {option.opts}"


def test_every_key_of_the_language_is_on_the_page_of_its_section():
    pages = language_pages()
    for section in BASE:
        for path, _ in section_rows(section):
            assert f"`{path}`{{#" in pages[f"yaml/{section}.md"]
    # Links to files of the repository lead nowhere on the site.
    assert not re.search(r"\]\(\.\.", pages["language.md"])


def test_what_a_function_returns_is_found_for_its_page():
    assert returned_class(seke.score).__name__ == "ScoreReport"
    assert returned_class(seke.observe) is None


def test_every_unit_has_its_muscle_and_face():
    page = unit_page()["action-units.md"]
    for unit in seke.knowledge().levels["action_units"]:
        section = page.partition(f"## {unit} ")[2].partition("\n## ")[0]
        assert "<svg" in section, unit
        assert re.search(r"^Muscle\n: \w+", section, re.MULTILINE), unit


def test_every_fault_of_a_base_is_in_the_catalogue():
    kinds, met = catalogue()["kinds"], set()
    for base, faults in golden_messages().items():
        for fault in faults:
            patterns = kinds_of(fault, kinds)
            assert patterns, f"{base}: no entry of docs/reference/messages.yaml matches {fault!r}"
            met.update(patterns)
    assert {pattern for kind in kinds for pattern in kind["matches"]} == met


@pytest.mark.parametrize("entry", catalogue()["commands"], ids=lambda entry: entry["title"])
def test_a_mistake_at_the_command_line_is_met_as_the_catalogue_says(entry):
    status, text = printed(entry)
    assert status == 2
    assert re.search(entry["matches"], text)


def keys_of(value, at=""):
    """Paths of all entries of a record but names: of variables, states, units."""
    for key, entry in value.items() if isinstance(value, Mapping) else ():
        yield f"{at}{key}"
        yield from keys_of(entry, f"{at}{key}.")
    if isinstance(value, list):
        for entry in value:
            yield from keys_of(entry, at)


def test_every_field_of_samples_and_records_is_described():
    page = (DOCS / "reference" / "records.md").read_text("utf-8")
    described = set(re.findall(r"`([\w.]+)`", page))
    # Its items contradict themselves and were checked: every list of a record has entries.
    records = list(seke.infer(DOCS.parent / "examples" / "checks" / "samples.jsonl"))
    base = seke.knowledge()
    names = {name for variable in base.variables.values() for name in (variable.name, *variable.states)}
    used = {key.rpartition(".")[2] for key in keys_of(records)}
    assert used - names - described == set()
    assert {*FIXED, *base.levels, *base.intervals} - {"affect"} <= described
    assert {POSTERIORS, SAMPLES, SUMMARY, RAW} <= described


def test_a_page_that_loads_from_elsewhere_or_links_to_nothing_is_found(tmp_path):
    text = (
        '<a id="here" href="#here">a</a><a href="#gone">b</a><a href="other.html">c</a>'
        '<a href="https://example.org">d</a><script src="https://example.org/a.js"></script>'
        '<link rel="canonical" href="https://example.org"><img src="data:image/png;base64,">'
        '<link rel="stylesheet" href="//example.org/a.css">'
    )
    path = tmp_path / "page.html"
    path.write_text(text, "utf-8")
    page = BeautifulSoup(text, "html.parser")
    assert list(outside_loads(page)) == ["https://example.org/a.js", "//example.org/a.css"]
    assert list(dead_links({path: page}, tmp_path)) == [(path, "#gone"), (path, "other.html")]


def test_plain_text_and_formulas_are_shown_as_they_are():
    assert markdown("a_b <c> `d_e` $1") == "a\\_b \\<c\\> `d_e` \\$1"
    assert "<mfrac>" in formula(r"\frac{1}{2}", block=False)
    assert json.dumps(formula("x", block=True)).count("display=") == 1
