"""`seke knowledge check, show, diff, graph, sensitivity`: against the files, and against second computations.

The garden's joint distribution is found here by cyclic projections; what is said of KINDS is summed by hand.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner

import seke
from seke.cli.main import main
from seke.files.networks import network_of
from seke.files.shipped import shipped_folder
from seke.knowledge_tools.check import _lines
from seke.knowledge_tools.diff import _effect_lines
from seke.knowledge_tools.graph import graph_file

with warnings.catch_warnings():
    # On import it warns of its own use of pyparsing.
    warnings.simplefilter("ignore")
    import pydot.dot_parser

EXAMPLES = Path(__file__).parents[3] / "examples"
GARDEN, PLANTS, CROWD = (EXAMPLES / name / "knowledge" for name in ("sprinkler", "plants", "crowd"))
# Each check of a base of faces takes seconds; beside the shipped one, the one of other states stands for all.
QUICK = (None, GARDEN, PLANTS, CROWD, EXAMPLES / "overlay" / "seven-classes.yaml")
OVERLAYS = sorted({*(EXAMPLES / "overlay").glob("*.yaml")} - {*QUICK[1:]})
SHIPPED = (*QUICK, *(pytest.param(path, marks=pytest.mark.slow) for path in OVERLAYS))
WATERED = EXAMPLES / "sprinkler" / "samples.jsonl"
FORMS = ("svg", "png", "pdf", "dot", "graphml")
PLACE = re.compile(r"[^\s,()]+\.yaml:\d+:\d+")
A, B = (0.2, 0.5, 0.7), (0.3, 0.6, 0.5)
EYE = {"x": (0.7, 0.2, 0.1), "y": (0.1, 0.8, 0.1), "z": (0.3, 0.1, 0.6)}
KINDS = """
name: kinds
sources: {book: {cite: A book}}
variables: {kind: {kind: categorical, states: {x: one, y: two, z: three}},
  a: {kind: binary}, b: {kind: binary}, c: {kind: binary}}
levels: {kinds: [kind], signs: [a, b, c]}
priors: {variable: kind, reference: all, populations: {all: {p: uniform, source: book}}}
activations:
  source: book
  background: {p: 0.001, n: 9}
  cells: {x: {a: {p: 0.2, n: 9}, b: {p: 0.3, n: 9}}, y: {a: {p: 0.5, n: 9}, b: {p: 0.6, n: 9}},
    z: {a: {p: 0.7, n: 9}, b: {p: 0.5, n: 9}}}
observers:
  source: book
  eye: {askable: true, categorical: {kind: {repeat: 0.9, strength: 8, confusion:
    {x: {x: 0.7, y: 0.2, z: 0.1}, y: {x: 0.1, y: 0.8, z: 0.1}, z: {x: 0.3, y: 0.1, z: 0.6}}}}}
questions: {source: book, name: {reports: [kinds], cost: 1}}
policy: {source: book, required: [kinds], limits: {kinds: 0.1, signs: 0.1}, tolerance: {},
  worth: {kinds: 5, signs: 1}, budget: 5, batches: [1], conflict: 0.01, ask: eye}
"""


def run(*args):
    words = [str(argument) for argument in args if argument]
    return CliRunner(catch_exceptions=False).invoke(main, ["knowledge", *words])


def facts_of(*args):
    """What a command prints as JSON; it must succeed."""
    result = run(*args, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def refused(result, *words):
    """Say whether it failed as bad input and told why in one line with these words."""
    one_line = (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return one_line and all(word in result.stderr for word in words)


def at(place):
    """What stands at a place, up to the end of the line."""
    file, line, column = place.rsplit(":", 2)
    path = shipped_folder() / file.removeprefix("shipped/") if file.startswith("shipped/") else Path(file)
    return path.read_text("utf-8").splitlines()[int(line) - 1][int(column) - 1 :]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Let tables be as wide as they like, whatever the terminal."""
    monkeypatch.setenv("COLUMNS", "140")


@pytest.fixture
def overlay(tmp_path):
    """Write an overlay on the base of kinds, or on another."""

    def write(text, base="kinds.yaml"):
        (tmp_path / "kinds.yaml").write_text(KINDS, "utf-8")
        path = tmp_path / "overlay.yaml"
        path.write_text(f"extends: {base}\n{text}\n", "utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def joint():
    """P(sky, sprinkler, rain, wet grass): projected on one declared number after the other till all hold."""
    p = np.ones((2, 2, 2, 2))
    rates = {1: (0.1, 0.5), 2: (0.8, 0.2), 3: (0.747, 0.553)}
    wet = {(1, 1): 0.99, (1, 0): 0.9, (0, 1): 0.9, (0, 0): 0.01}
    for _ in range(2000):
        for axis, true in rates.items():
            other_axes = tuple({1, 2, 3} - {axis})
            wanted = np.array([[0.5 * (1 - q), 0.5 * q] for q in true])
            p *= np.expand_dims(wanted / p.sum(other_axes), other_axes)
        for case, confidence in wet.items():
            dry, held = p[:, *case].sum(0)
            tilt = confidence * dry / ((1 - confidence) * held)
            p[:, *case] *= tilt ** np.array([-confidence, 1 - confidence])
    return p


@pytest.fixture(scope="module")
def shipped():
    return seke.knowledge()


def with_sky(joint, axis):
    return joint.sum(tuple({1, 2, 3} - {axis}))


@pytest.mark.parametrize("base", SHIPPED, ids=str)
def test_what_is_shipped_has_no_faults_and_compiles_as_declared(base):
    strict = run("check", base, "--strict", "--json")
    facts = json.loads(strict.stdout)
    assert (facts["faults"], facts["unmet"]) == ([], [])
    assert strict.exit_code == bool(facts["warnings"]) == bool(strict.stderr)
    assert base or not strict.exit_code
    for deviation in facts["deviations"]:
        assert deviation["compiled"] == pytest.approx(deviation["declared"], abs=1e-6)
        assert at(deviation["place"])
    assert base or [line for line in "\n".join(_lines(facts)).splitlines() if len(line) > 80] == []


def test_all_faults_come_with_their_lines_and_carets(tmp_path):
    """One line has tabs, one is very long."""
    cells = "activations: {cells: {contempt:\n    {\tAU14:\t{n: 9, source: judgement, note: é, p:\t1.5}}}}\n"
    (tmp_path / "cells.yaml").write_text(f"extends: shipped\n{cells}", "utf-8")
    long = f'"{"on " * 200}", source: judgement'
    long = f'{{note: {long}, if: "AU99", then: AU12, confidence: 2, n: 2, statement: "{"on " * 99}"}}'
    (tmp_path / "rules.yaml").write_text(f"rules: {{r: {long}}}\n", "utf-8")
    result = run("check", tmp_path)
    carets = re.findall(r"^(\S+):(\d+):(\d+): (.*)\n    (.*)\n    (\s*)\^$", result.stderr, re.MULTILINE)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 3 * len(carets) + 1)
    assert result.stderr.endswith("\n3 faults\n")
    places = [f"{file}:{line}:{column}" for file, line, column, *_ in carets]
    for place, (*_, column, _, shown, blank), meant in zip(places, carets, ("1.5", "AU99", "2"), strict=True):
        file, line, _ = place.rsplit(":", 2)
        before = at(f"{file}:{line}:1")[: int(column) - 1]
        head, tail = shown[: len(blank)], shown[len(blank) :]
        assert at(place).startswith(meant)
        assert at(place).startswith(tail)
        assert before.endswith(head)
        assert len(f"    {head}".expandtabs()) == len(f"    {blank}".expandtabs())
        assert len(shown) <= 110
    as_json = run("check", tmp_path, "--json")
    faults = json.loads(as_json.stdout)["faults"]
    assert (as_json.exit_code, [fault["place"] for fault in faults]) == (2, places)
    paths = ["activations.cells.contempt.AU14.p", "rules.r.if", "rules.r.confidence"]
    assert [fault["path"] for fault in faults] == paths


def test_compiled_numbers_and_rules_are_those_of_the_joint_distribution(joint):
    facts, expected = facts_of("check", GARDEN), {}
    assert facts == {"faults": [], **seke.check(GARDEN).facts}
    for axis, name in enumerate(("sprinkler", "rain", "wet_grass"), 1):
        for sky, (false, true) in zip(("cloudy", "clear"), with_sky(joint, axis), strict=True):
            expected[f"activations.cells.{sky}.{name}"] = true / (false + true)
    compiled = {deviation["path"]: deviation["compiled"] for deviation in facts["deviations"]}
    assert compiled == pytest.approx(expected, abs=1e-6)
    for rule, case in zip(facts["rules"], ((1, 1), (1, 0), (0, 1), (0, 0)), strict=True):
        dry, wet = joint[:, *case].sum(0)
        then = dry if rule["rule"] == "else-it-is-dry" else wet
        assert rule["p_if"] == pytest.approx(dry + wet, abs=1e-6)
        assert rule["p_then_given_if"] == pytest.approx(then / (dry + wet), abs=1e-6)
        assert at(rule["place"]).startswith(rule["rule"])


def test_errors_of_a_pair_are_those_of_the_answers(joint, overlay):
    """Exact where a question is about one variable; of the look at all four the mean over the paths."""
    (pair,) = facts_of("check", GARDEN)["pairs"]
    given = joint / joint.sum((1, 2, 3), keepdims=True)
    sky, sprinkler = [[0.9, 0.1], [0.1, 0.9]], [[0.95, 0.05], [0.2, 0.8]]
    rain, wet = [[0.95, 0.05], [0.1, 0.9]], [[0.8, 0.2], [0.3, 0.7]]
    answers = np.einsum("kabc,kz,ax,by,cw->kzxyw", given, sky, sprinkler, rain, wet)
    expected = {"look": answers, "tap": answers.sum((1, 3, 4)), "lawn": answers.sum((1, 2, 3))}
    for question, p in expected.items():
        close = 0.02 if question == "look" else 1e-5
        assert pair["error"][question] == pytest.approx(np.minimum(*p).sum() / 2, abs=close)
    pairs = [(*entry["states"], entry["error"]["name"]) for entry in facts_of("check", overlay(""))["pairs"]]
    expected = [(x, y, sum(map(min, EYE[x], EYE[y])) / 2) for x, y in itertools.combinations("xyz", 2)]
    assert pairs == [(x, y, pytest.approx(p)) for x, y, p in sorted(expected, key=lambda row: -row[2])]


# P(b | a) with the rates as they are: the least, the greatest, and that without any rule.
LOW = sum(max(0, a + b - 1) for a, b in zip(A, B, strict=True)) / sum(A)
HIGH = sum(map(min, A, B)) / sum(A)
FREE = sum(a * b for a, b in zip(A, B, strict=True)) / sum(A)
ALIKE = "{source: book, categorical: {kind: {confusion: {y: {x: 0.6, y: 0.3, z: 0.1}}}}}"


def rules(*given):
    """The YAML of rules r and s, each an `if`, a `then` and a confidence."""
    texts = (
        f"if: '{condition}', then: '{then}', confidence: {p}, n: 5, source: book"
        for condition, then, p in given
    )
    return f"rules: {{{', '.join(f'{name}: {{{text}}}' for name, text in zip('rs', texts, strict=False))}}}"


def together(eye):
    """The YAML of observers that err together, and of what is odd about the eye."""
    shapes = (
        "clear: {right: 0.9, seen: 0.9}, ambiguous: {right: 0.2, seen: 0.5}, n: 40, look_n: 6, seen_n: 10"
    )
    kinds = "default: model, kinds: {model: {follows: 0.8}}"
    return f"dependence: {{source: book, {shapes}, {kinds}}}\nobservers: {{eye: {{source: book, {eye}}}}}"


ODD = {
    "carry": (
        together("carry: 0.5"),
        "observers.eye: has `follows` 0.8 above its `carry` 0.5",
    ),
    "exponent": (
        together("carry: 0.9, exponent: 2"),
        "has an exponent of 2 and also `follows`",
    ),
    "never": (rules(("a & c & kind == x", "b", 0.3)), f"hardly ever applies: P(if) is {0.2 / 3000:.2g}\n"),
    "always": (rules(("a", "a | b", 0.999)), "rules.r: is always true"),
    "twice": (rules(("a & b", "kind == z", 0.6), ("b & !!a", "kind == z", 0.6)), "the same as rules.r ("),
    "decided": (rules(("kind in [x, y]", "a", 0.9)), f"P(then | if) is {0.7 / 2:.3f}; its confidence of"),
    "unmet": (rules(("a", "b", 0.95)), f"with the declared tables alone {LOW:.3f} to {HIGH:.3f} is possible"),
    "against": (rules(("a", "b", FREE - 0.1)), "speaks against its own `then`: without it P(then | if)"),
    "unused": ("sources: {paper: {cite: P}}", "sources.paper: is never used"),
    "unused though it names itself": ("sources: {paper: {cite: A paper}}", "sources.paper: is never used"),
    "always, by its `if`": (rules(("a | !a", "b & c", 0.3)), "has an `if` that always holds"),
    "alike": (f"observers: {{eye: {ALIKE}}}", "no question tells x from y: after one answer of eye to"),
}


@pytest.mark.parametrize(("text", "message"), ODD.values(), ids=ODD)
def test_what_is_odd_is_warned_of(overlay, text, message):
    path = overlay(text)
    result = run("check", path)
    assert (result.exit_code, result.stderr.count("warning: ")) == (0, 1)
    assert message in result.stderr
    strict = run("check", path, "--strict", "--json")
    assert (strict.exit_code, strict.stderr) == (1, "1 warning, which --strict does not allow\n")
    facts = json.loads(strict.stdout)
    (warning,) = facts["warnings"]
    assert f"warning: {warning['place']}: {warning['path']}: {warning['message']}\n" in result.stderr
    if "tables alone" in message:
        reached = facts["rules"][0]["p_then_given_if"]
        assert f"confidence 0.95 is not met: {reached:.3f} is reached; " in result.stderr
        assert HIGH - 0.005 < reached <= HIGH
        assert facts["unmet"] == ["r"]


def test_what_is_not_odd_passes_strictly_and_what_is_impossible_is_a_fault(overlay):
    path = overlay(rules(("a", "b", FREE + 0.1)))
    strict = run("check", path, "--strict")
    assert (strict.exit_code, strict.stderr) == (0, "")
    (rule,) = facts_of("check", path)["rules"]
    assert (rule["status"], rule["p_if"]) == ("met", pytest.approx(sum(A) / 3, abs=1e-6))
    assert rule["possible"] == pytest.approx([LOW, HIGH], abs=1e-6)
    never = run("check", overlay(rules(("a & !a", "b", 0.5))))
    assert never.exit_code == 2
    assert "rules.r: nothing can satisfy its `if`" in never.stderr


NAMES = """
AU12: binary variable, expression: categorical variable, valence: interval variable, smile: coupling,
quadrant: derived variable, fear: state of expression, afraid-brows: rule, gpt-4o: observer, joint: question,
vision-model: kind of observer, dependence: path, crowd: observer,
affect: level, au_table: source, in-the-wild: population, often: word, policy: policy, AU22: code,
rules.afraid-brows: rule, rules.afraid-brows.confidence: path, activations.cells.fear: path
"""


def leaves(value):
    """All that is shown with a path, a value and a place, wherever it stands."""
    if isinstance(value, dict):
        yield from [value] if {"path", "value", "place"} <= set(value) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from leaves(inner)


@pytest.mark.parametrize(("name", "kind"), re.findall(r"([\w.-]+): ([\w ]+)", NAMES))
def test_every_kind_of_name_is_shown_with_sources_and_places(shipped, name, kind):
    shown = seke.show(name, shipped)
    things, text = shown.facts["things"], f"{shown}\n"
    if name == "AU12":
        assert facts_of("show", name)["things"] == things
        assert run("show", name).stdout == text
    assert kind in [thing["kind"] for thing in things]
    assert {thing["place"] for thing in things} - {""} <= set(PLACE.findall(text))
    assert all(at(place) for place in PLACE.findall(text))
    numbers = [leaf for leaf in leaves(things) if leaf["path"] in shipped.numbers]
    assert numbers or kind in ("code", "derived variable")
    for leaf in numbers:
        written = f"{leaf.get('text', leaf['value'])}"
        assert re.match(re.escape(written) + r"(?![\w.])", at(leaf["place"])), leaf
        if not leaf["path"].startswith("variables."):
            assert leaf["source"] in {"judgement", *shipped.sources}
        if name != "au_table":
            assert written in text
            assert leaf["source"] in text


def test_what_is_filled_in_and_what_an_overlay_replaced_are_shown():
    (thing,) = facts_of("show", "rings", "-k", PLANTS)["things"]
    filled = {cell["path"]: (cell["value"], at(cell["place"])[:11]) for cell in thing["derived"]}
    states = ("healthy", "late_blight", "drought")
    cells = dict.fromkeys(states, ("p 0.04, n 5", "0.04, n: 5}"))
    assert filled == {f"activations.cells.{state}.rings": cell for state, cell in cells.items()}
    args = ("show", "AU14", "-k", EXAMPLES / "overlay" / "one-cell.yaml")
    (leaf,) = [
        leaf for leaf in leaves(facts_of(*args)) if leaf["path"] == "activations.cells.contempt.AU14.p"
    ]
    old, text = leaf["replaced"], run(*args).stdout
    values = (float(leaf["value"]), at(leaf["place"])[:4], float(old["value"]), at(old["place"])[:4])
    assert values == (0.75, "0.75", 0.5, "0.50")
    assert re.search(rf"p 0\.75, n 10\s+judgement, {re.escape(leaf['place'])}", text)
    assert re.search(rf"replaced p 0\.50\s+judgement, {re.escape(old['place'])}", text)


def test_an_observer_is_shown_with_its_kind_and_how_often_that_follows_the_look():
    (thing,) = facts_of("show", "gpt-4o")["things"]
    (kind,) = [leaf for leaf in thing["says"] if leaf["path"] == "observers.gpt-4o.kind"]
    (follows,) = [leaf for leaf in thing["derived"] if leaf["path"] == "observers.gpt-4o.follows"]
    assert (kind["text"], at(kind["place"]).split()[0]) == ("vision-model", "vision-model")
    assert follows["text"] == "0.9, as its kind vision-model"
    assert (follows["source"], at(follows["place"])) == ("judgement", "0.9")
    assert "follows 0.9, as its kind vision-model" in run("show", "gpt-4o").stdout
    (thing,) = facts_of("show", "vision-model")["things"]
    assert {leaf["path"] for leaf in thing["refers"]} == {
        "dependence.default",
        "observers.generic-vlm.kind",
        "observers.gpt-4o.kind",
    }


TOGETHER = """
dependence:
  {source: book, clear: {right: 0.8, seen: 0.9}, ambiguous: {right: 0.2, seen: 0.7},
   n: 20, look_n: 5, seen_n: 8, default: loose, kinds: {loose: {follows: 0.1}, near: {follows: 0.9}}}
observers:
  eye: {carry: 0.8, source: book}
  ear: {kind: near, carry: 0.6, source: book, categorical: {kind: {accuracy: 0.7, repeat: 0.9, strength: 8}}}
  nose: {follows: 0.4, carry: 1, source: book, categorical: {kind: {accuracy: 0.6, repeat: 0.9, strength: 8}}}
"""


def test_a_check_says_who_follows_the_look_and_how_often(overlay):
    path = overlay(TOGETHER)
    dependence = facts_of("check", path)["dependence"]
    assert [(observer["observer"], observer["kind"], observer["follows"]) for observer in dependence] == [
        ("eye", "loose", 0.1),
        ("ear", "near", 0.9),
        ("nose", "loose", 0.4),
    ]
    # No reading follows the look that carries nothing over; .99 of what is carried over is the most.
    assert [observer["reading"] for observer in dependence] == pytest.approx([0.1, 0.6 * 0.99, 0.4])
    text = run("check", path).stdout
    assert re.search(r"ear +0\.59 +near +declared 0\.9, but limited by carry 0\.6\n", text)
    assert re.search(r"nose +0\.40 +loose\n", text)
    assert facts_of("check", overlay(""))["dependence"] is None
    assert "err" not in run("check", overlay("")).stdout
    two = overlay(
        "observers: {ear: {source: book, categorical: {kind: {accuracy: 0.7, repeat: 0.9, strength: 8}}}}"
    )
    assert "Observers err independently: there is no section `dependence`\n" in run("check", two).stdout


def test_what_errs_together_is_compared_resolved_and_asked_for(overlay, tmp_path):
    """The difference that `follows` makes to decisions, by the commands that know of numbers."""
    together = overlay(TOGETHER).rename(tmp_path / "together.yaml")
    apart = overlay(
        "dependence: {kinds: {near: {follows: 0}, loose: {follows: 0}}, source: book}\n"
        "observers: {nose: {follows: 0, source: book}}",
        "together.yaml",
    )
    samples = tmp_path / "samples.jsonl"
    lines = [
        {"item": item, "observer": o, "question": "name", "draw": 0, "kinds": kind}
        for item, kind in (("one", "x"), ("two", "y"))
        for o in ("eye", "ear", "nose")
    ]
    samples.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    differences = facts_of("diff", together, apart, "--samples", samples)
    assert {(change["path"], change["kind"]) for change in differences["changes"]} == {
        ("dependence.kinds.loose.follows", "number"),
        ("dependence.kinds.near.follows", "number"),
        ("observers.nose.follows", "number"),
    }
    assert {shift["item"] for shift in differences["largest"]} == {"one", "two"}
    whole = tmp_path / "whole.yaml"
    whole.write_text(run("resolve", together).stdout, "utf-8")
    assert facts_of("diff", together, whole)["changes"] == []
    assert seke.knowledge(whole).dependence == seke.knowledge(together).dependence
    numbers = {
        number["path"]: number for number in facts_of("sensitivity", samples, "-k", together)["numbers"]
    }
    assert numbers["dependence.clear.right"]["per_tenth"] > 0
    assert numbers["observers.nose.follows"]["per_tenth"] > 0


KIN = """
dependence: {family: {follows: 0.7, source: book}, families: {twins: {follows: 0.5, source: book}}}
observers: {ear: {family: twins}, nose: {family: twins}}
"""


def test_a_family_is_shown_checked_compared_and_asked_for(overlay, tmp_path):
    overlay(TOGETHER).rename(tmp_path / "together.yaml")
    kin = overlay(KIN, "together.yaml").rename(tmp_path / "kin.yaml")
    (thing,) = facts_of("show", "ear", "-k", kin)["things"]
    (family,) = [leaf for leaf in thing["derived"] if leaf["path"] == "observers.ear.family"]
    assert family["text"] == "0.5, of the family twins, with nose"
    assert at(family["place"])[:3] == "0.5"
    (thing,) = facts_of("show", "twins", "-k", kin)["things"]
    assert thing["kind"] == "family of observers"
    assert {leaf["path"] for leaf in thing["refers"]} == {"observers.ear.family", "observers.nose.family"}
    by_observer = {observer["observer"]: observer for observer in facts_of("check", kin)["dependence"]}
    families = {
        name: (observer["family"], observer["family_follows"]) for name, observer in by_observer.items()
    }
    assert families == {"eye": (None, None), "ear": ("twins", 0.5), "nose": ("twins", 0.5)}
    assert re.search(r"nose +0\.40 +loose +family twins 0\.50\n", run("check", kin).stdout)
    # Members that carry little, families of one and of nobody.
    only = overlay("dependence: {families: {twin: {follows: 0.9, source: book}}}\n", "kin.yaml")
    warned = facts_of("check", only)["warnings"]
    assert any(
        "no observer belongs to this family; did you mean twins?" in warning["message"] for warning in warned
    )
    alone = overlay("observers: {nose: {family: twin}, ear: {carry: 0.3, source: book}}", "kin.yaml")
    messages = [warning["message"] for warning in facts_of("check", alone)["warnings"]]
    for words in (
        "the only observer of the family twin, so the family has no effect",
        "its family twins with 0.5, above its `carry` 0.3",
    ):
        assert any(words in message for message in messages)

    samples = tmp_path / "samples.jsonl"
    answer = {"item": "one", "question": "name", "draw": 0, "kinds": "x"}
    lines = [{**answer, "observer": name} for name in ("ear", "nose")]
    samples.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    changed = facts_of("diff", tmp_path / "together.yaml", kin, "--samples", samples)
    assert {"observers.ear.family", "dependence.family"} <= {
        path for change in changed["changes"] for path in (change["path"], change["path"].rpartition(".")[0])
    }
    assert {shift["item"] for shift in changed["largest"]} == {"one"}
    numbers = {number["path"]: number for number in facts_of("sensitivity", samples, "-k", kin)["numbers"]}
    assert numbers["dependence.families.twins.follows"]["per_tenth"] > 0
    whole = tmp_path / "whole.yaml"
    whole.write_text(run("resolve", kin).stdout, "utf-8")
    assert seke.knowledge(whole).dependence == seke.knowledge(kin).dependence


def test_values_that_come_to_be_inferred_are_decided_otherwise(tmp_path):
    """Where no more answers may be bought, values that nobody saw are no longer asked about."""
    overlay = tmp_path / "overlay.yaml"
    policy = "{budget: 1, limits: {sky: 0.3, garden: 0.3}, source: judgement, note: a trial}"
    overlay.write_text(f"extends: {GARDEN}\npolicy: {policy}\n")
    before, after = (list(seke.infer(WATERED, base)) for base in (GARDEN, overlay))
    levels = [
        (name, level["decision"], changed_record["decision"]["levels"][name]["decision"])
        for record, changed_record in zip(before, after, strict=True)
        for name, level in record["decision"]["levels"].items()
    ]
    turned = [name for name, old, new in levels if old != new]
    assert any(new == "inferred" for _, _, new in levels)
    differences = facts_of("diff", GARDEN, overlay, "--samples", WATERED)
    assert differences["levels"] == Counter(turned)


@pytest.mark.parametrize(
    ("name", "near"),
    [("hapiness", "happiness"), ("au12", "AU12"), ("smiles", "smile"), ("happy face", "happiness")],
)
def test_an_unknown_name_suggests_the_nearest(name, near):
    assert refused(run("show", name), repr(name), f"did you mean {near}?")


@pytest.mark.parametrize("base", [None, GARDEN])
def test_the_overview_fits_a_screen_and_names_everything(base):
    knowledge, text = seke.knowledge(base), run("show", base and "-k", base).stdout
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) <= 60
    names = (getattr(knowledge, key) for key in ("levels", "populations", "observers", "questions", "cells"))
    named = {*itertools.chain(*names), *(factor.name for factor in (*knowledge.rules, *knowledge.couplings))}
    assert named <= set(re.findall(r"[\w-]+", text))


def test_nothing_changes_where_only_the_writing_does(tmp_path):
    assert facts_of("diff", "shipped", "shipped")["changes"] == []
    text = (GARDEN / "garden.yaml").read_text("utf-8")
    same = {"0.747, n: 20": "0.7470, n: 20.0", '"sprinkler & rain"': '"!(!rain | !sprinkler)"'}
    same["half of the mornings"] = "'half of the mornings'"
    for old, new in same.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "garden.yaml").write_text(text, "utf-8")
    (tmp_path / "asking.yaml").write_text((GARDEN / "asking.yaml").read_text("utf-8"), "utf-8")
    assert facts_of("diff", GARDEN, tmp_path)["changes"] == []
    assert run("diff", GARDEN, tmp_path).stdout.endswith(": 0 changes in meaning\n")


def test_decisions_that_each_of_several_changes_turns_are_not_counted_twice_in_silence():
    """One of three turns by either change alone."""
    reasons = [{"change": "a", "alone": 2, "of": 3}, {"change": "b", "alone": 2, "of": 3}]
    facts = {"changed": 3, "items": 9, "transitions": [], "levels": {}, "largest": [], "because": reasons}
    said = "  (that is more than 3: some change by any one of these alone)"
    assert list(_effect_lines(facts))[1:4] == [*(f"  2 because of {name} alone" for name in "ab"), said]
    reasons[1]["alone"] = 1
    assert said not in _effect_lines(facts)


def test_a_change_that_turns_decisions_is_named_as_their_cause(overlay, tmp_path):
    """Of two cells one matters; that one and the counts are found here by inferring both bases."""
    head = "activations: {source: judgement, note: seen, cells: {"
    cells = ("cloudy: {sprinkler: {p: 0.55}}", "clear: {rain: {p: 0.21}}")
    changes = ("", cells[0], cells[1], ", ".join(cells))
    before, cloudy, clear, after = (
        {record["item"]: record for record in seke.infer(WATERED, overlay(f"{head}{change}}}}}", GARDEN))}
        for change in changes
    )
    of = {item: record["decision"] for item, record in before.items()}
    turned = {item for item in of if after[item]["decision"]["item"] != of[item]["item"]}
    assert turned == {item for item in of if cloudy[item]["decision"]["item"] != of[item]["item"]} != set()
    assert all(clear[item]["decision"]["item"] == of[item]["item"] for item in of)
    args = ("diff", GARDEN, tmp_path / "overlay.yaml", "--samples", WATERED)
    facts, text = facts_of(*args), run(*args).stdout
    assert (facts["items"], facts["changed"]) == (len(of), len(turned))
    assert f"{len(turned)} of {len(of)} decisions change; " in text
    assert "\n  all because of activations.cells.cloudy.sprinkler\n" in text
    alone = {reason["change"]: reason["alone"] for reason in facts["because"]}
    assert alone == {"activations.cells.cloudy.sprinkler": len(turned), "activations.cells.clear.rain": 0}
    pairs = Counter((of[item]["item"], after[item]["decision"]["item"]) for item in turned)
    assert {(move["from"], move["to"]): move["items"] for move in facts["transitions"]} == pairs
    levels: Counter[str] = Counter()
    for item, decision in of.items():
        for name, level in decision["levels"].items():
            then = after[item]["decision"]["levels"][name]
            kept = level["decision"] == "accept" == then["decision"] and level["value"] != then["value"]
            levels[name] += level["decision"] != then["decision"] or kept
    assert facts["levels"] == +levels


def git(folder, *command):
    me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    subprocess.run(["git", "-C", str(folder), *me, *command], check=True, capture_output=True)


def test_a_base_is_compared_with_itself_at_a_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    base = tmp_path / "repository" / "study"
    base.mkdir(parents=True)
    for path in GARDEN.iterdir():
        (base / path.name).write_text(path.read_text("utf-8"), "utf-8")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        git(base.parent, *command)
    assert facts_of("diff", base, "--rev", "HEAD")["changes"] == []
    garden = (base / "garden.yaml").read_text("utf-8")
    (base / "garden.yaml").write_text(garden.replace("rain: {p: 0.8,", "rain: {p: 0.81,"), "utf-8")
    (change,) = facts_of("diff", base, "--rev", "HEAD")["changes"]
    assert (change["path"], change["kind"]) == ("activations.cells.cloudy.rain.p", "number")
    assert (change["old"]["value"], change["new"]["value"]) == (0.8, 0.81)
    assert change["old"]["place"].startswith("HEAD:study/garden.yaml:")
    assert at(change["place"]).startswith("0.81")
    assert " 0.8 -> 0.81 " in run("diff", base, "--rev", "HEAD").stdout
    (tmp_path / "elsewhere.yaml").write_text("extends: shipped\n", "utf-8")
    assert refused(run("diff", base, "--rev", "nonesuch"), "nonesuch")
    assert refused(run("diff", tmp_path / "elsewhere.yaml", "--rev", "HEAD"), str(tmp_path), "git")
    assert refused(run("diff", base), "--rev")


@pytest.fixture(scope="module", params=[None, GARDEN], ids=["shipped", "garden"])
def drawings(request, tmp_path_factory):
    """A base, and its graph: of the garden in every form, of the larger ones as one picture and as graphs."""
    folder = tmp_path_factory.mktemp("drawings")
    for form in FORMS if request.param == GARDEN else ("svg", "dot", "graphml"):
        result = run("graph", request.param, "-o", folder / f"network.{form}")
        assert (result.exit_code, result.output) == (0, "")
    return request.param, {path.suffix[1:]: path.read_bytes() for path in folder.iterdir()}


def edges(graph):
    return {frozenset(edge) for edge in graph.edges()}


def test_every_form_parses_and_holds_every_variable_and_rule(drawings):
    base, files = drawings
    knowledge, graph = seke.knowledge(base), seke.network_graph(base)
    variables = {name for name, variable in knowledge.variables.items() if variable.kind != "derived"}
    assert set(graph) == {*variables, *(f"rule {rule.name}" for rule in knowledge.rules)}
    for rule in knowledge.rules:
        assert set(graph[f"rule {rule.name}"]) == rule.condition.variables() | rule.then.variables()
    assert {frozenset(coupling.pair) for coupling in knowledge.couplings} <= edges(graph)
    read = nx.read_graphml(BytesIO(files["graphml"]))
    assert (set(read), edges(read)) == (set(graph), edges(graph))
    (dot,) = pydot.graph_from_dot_data(files["dot"].decode())
    ends = [(edge.get_source().strip('"'), edge.get_destination().strip('"')) for edge in dot.get_edges()]
    assert {node.get_name().strip('"') for node in dot.get_nodes()} == set(graph)
    assert {frozenset(pair) for pair in ends} == edges(graph)
    if base == GARDEN:
        assert set(files) == set(FORMS)
        assert files["png"].startswith(b"\x89PNG\r\n\x1a\n")
        assert (files["pdf"][:5], files["pdf"].rstrip()[-5:]) == (b"%PDF-", b"%%EOF")
    texts = {
        element.text
        for element in ElementTree.fromstring(files["svg"]).iter()
        if element.tag.endswith("text")
    }
    assert variables <= texts
    for number in range(1, len(knowledge.rules) + 1):
        assert str(number) in texts
        assert any(text.startswith(f"{number} ") for text in texts if text)


def test_the_same_base_gives_the_same_bytes(drawings, tmp_path):
    """Also in another process, with another order of hashes; other forms of the same picture in this one."""
    base, files = drawings
    if base == GARDEN:
        code = "import sys; from pathlib import Path; from seke.knowledge_tools.graph import graph_file\n"
        code += "for form in ('svg', 'dot', 'graphml'):\n"
        code += "    Path(sys.argv[2], form).write_bytes(graph_file(form, sys.argv[1]))"
        environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(EXAMPLES.parent)}
        subprocess.run([sys.executable, "-c", code, str(base), str(tmp_path)], env=environment, check=True)
        for form in ("png", "pdf"):
            (tmp_path / form).write_bytes(graph_file(form, base))
        assert {form: (tmp_path / form).read_bytes() for form in FORMS} == files


def test_a_base_is_drawn_anew_when_it_or_the_settings_changed(tmp_path):
    """A drawing is kept for as long as nothing of it would be another one."""
    import matplotlib as mpl

    def drawn():
        return graph_file("svg", tmp_path / "garden")

    shutil.copytree(GARDEN, tmp_path / "garden")
    before = drawn()
    assert drawn() == before
    with mpl.rc_context({"font.sans-serif": ["DejaVu Serif"], "patch.linewidth": 3.0, "svg.id": "mine"}):
        assert drawn() != before
    assert drawn() == before
    file = tmp_path / "garden" / "garden.yaml"
    file.write_text(file.read_text().replace("wet_grass, confidence: 0.9", "wet_grass, confidence: 0.6", 1))
    assert drawn() != before


def boxes(svg, names):
    """The box of each variable in the picture: the smallest closed outline in which its name stands."""
    nodes = list(ElementTree.fromstring(svg).iter())
    outlines, by_name = [], {}
    for node in nodes:
        if node.tag.endswith("path") and "z" in node.get("d", ""):
            x, y = np.array(re.findall(r"-?[\d.]+", node.get("d")), dtype=float).reshape(-1, 2).T
            outlines.append((x.min(), x.max(), y.min(), y.max()))
    for node in nodes:
        if node.text in names and "font-weight: 700" in node.get("style", ""):
            x, y = float(node.get("x")), float(node.get("y"))
            inside = [box for box in outlines if box[0] < x < box[1] and box[2] < y < box[3]]
            by_name[node.text] = min(inside, key=lambda box: (box[1] - box[0]) * (box[3] - box[2]))
    return by_name


def test_boxes_of_variables_do_not_overlap(drawings):
    base, files = drawings
    names = {name for name, variable in seke.knowledge(base).variables.items() if variable.kind != "derived"}
    by_name = boxes(files["svg"], names)
    assert set(by_name) == names
    for (a, b, c, d), (e, f, g, h) in itertools.combinations(by_name.values(), 2):
        assert b <= e or f <= a or d <= g or h <= c


def test_bits_are_the_mutual_information_of_the_joint_distribution(joint):
    graph = seke.network_graph(GARDEN)
    for axis, name in enumerate(("sprinkler", "rain", "wet_grass"), 1):
        p = with_sky(joint, axis)
        bits = (p * np.log2(p / (p.sum(1, keepdims=True) * p.sum(0)))).sum()
        assert graph.edges["sky", name]["bits"] == pytest.approx(bits, abs=1e-6)


@pytest.mark.parametrize("name", ["network.gif", "network", "network.svg.gz"])
def test_an_unknown_ending_is_refused_with_those_allowed(tmp_path, name):
    result = run("graph", GARDEN, "-o", tmp_path / name)
    assert refused(result, name, ", ".join(f".{form}" for form in FORMS))
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_ranked_by_what_they_move(overlay):
    """By inferring with two of them moved: records are rounded to six digits."""
    args = ("sensitivity", WATERED, "-k", GARDEN, "--about", "rain")
    facts = facts_of(*args)
    assert facts == seke.sensitivity(WATERED, GARDEN, about="rain").facts
    numbers = {number["path"]: number for number in facts["numbers"]}
    reach = [number["per_tenth"] * number["move"] for number in numbers.values()]
    assert reach == sorted(reach, reverse=True)
    lines = [line.split()[0] for line in run(*args).stdout.splitlines()[2:-1]]
    assert lines == [path for path, number in numbers.items() if number["per_tenth"] > 0][: len(lines)] != []
    for path in ("activations.cells.clear.rain.p", "rules.rain-wets-it.confidence"):
        number, p = numbers[path], []
        assert at(number["place"]).startswith(f"{number['value']:g},")
        for value in (number["value"] - 0.01, number["value"] + 0.01):
            text = f"{path.replace('.', ': {')}: {value}, source: judgement, note: x{'}' * path.count('.')}"
            records = seke.infer(WATERED, overlay(text, GARDEN))
            p.append(np.array([record["posteriors"]["rain"] for record in records]))
        change = np.where(p[0] + p[1] >= 1, 5, -5) * (p[1] - p[0])
        most = np.abs(change).argmax()
        assert number["per_tenth"] == pytest.approx(np.abs(change).mean(), rel=0.02)
        assert number["largest"] == pytest.approx(change[most], rel=0.02)
        assert number["item"] == facts["items"][most]
    # Of a section, or below a path, the same numbers.
    within = facts_of(*args, "--section", "rules", "--section", "activations.cells.clear")
    assert within["sections"] == ["rules", "activations.cells.clear"]
    assert within["numbers"] == [
        number for path, number in numbers.items() if path.startswith(("rules.", "activations.cells.clear."))
    ]
    assert " numbers of rules tested" in run(*args, "--section", "rules").stdout
    assert seke.sensitivity(WATERED, GARDEN, sections=["policy"]).facts["numbers"] == []


def test_every_number_that_is_shown_of_one_item_says_where_it_turns(tmp_path):
    lines = [line for line in WATERED.read_text("utf-8").splitlines() if line.strip()]
    item = json.loads(lines[0])["item"]
    lines_of_item = [line for line in lines if json.loads(line)["item"] == item]
    (tmp_path / "one.jsonl").write_text("\n".join(lines_of_item), "utf-8")
    sensitivity = seke.sensitivity(tmp_path / "one.jsonl", GARDEN)
    with_flip = [number for number in sensitivity.facts["numbers"] if "flip" in number]
    rows = str(sensitivity).splitlines()[2:-1]
    assert len(rows) == len(with_flip) > 3
    assert all(row.split()[0] == number["path"] for row, number in zip(rows, with_flip, strict=True))


def test_units_and_valence_can_be_asked_about(shipped, tmp_path, overlay):
    """With few of everything, and of one section, since every number costs a compilation."""
    gone = [f"variables.{name}" for name in ("quadrant", *shipped.cells) if name not in ("AU6", "AU12")]
    gone += [f"variables.expression.states.{name}" for name in shipped.variables["expression"].states[2:]]
    gone += [f"rules.{rule.name}" for rule in shipped.rules] + [
        f"couplings.{coupling.name}" for coupling in shipped.couplings
    ]
    gone += [f"observers.{name}" for name in shipped.observers if name != "gpt-4o"]
    few, samples = overlay(f"remove: [{', '.join(gone)}]", "shipped"), tmp_path / "samples.jsonl"
    sample = {"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0, "valence": 0.6}
    samples.write_text(json.dumps({**sample, "action_units": ["AU12"]}) + "\n", "utf-8")
    (record,) = seke.infer(samples, few)
    for about, section in (("AU12", "activations.cells"), ("valence", "affect")):
        given = "-k", few, "--item", "a", "--about", about, "--section", section
        facts = facts_of("sensitivity", samples, *given)
        assert (facts["about"], facts["items"]) == (about, ["a"])
        risk = record["decision"]["levels"][about]["risk"]
        assert facts["probability"] == [pytest.approx(1 - risk, abs=1e-6)]
        assert facts["threshold"] == pytest.approx(1 - seke.knowledge(few).policy.limits[about])
        assert facts["numbers"][0]["per_tenth"] > 0.01


def test_what_samples_and_bases_do_not_have_is_suggested():
    args = ("sensitivity", WATERED, "-k", GARDEN)
    assert refused(run(*args, "--item", "rainy-mourning"), "did you mean rainy-morning?")
    assert refused(run(*args, "--about", "rains"), "did you mean rain?")
    for name in ("rule", "activations.cells.cloud"):
        assert refused(run(*args, "--section", name), repr(name), "allowed are ", "activations, ", "rules")


def test_a_file_that_was_edited_is_shown_as_it_is_now(overlay):
    for text in ("rules: {first: {}}", "rules: {second: {}}"):
        assert f"    {text}\n" in run("check", overlay(text)).stderr


def test_what_would_move_the_cursor_is_not_printed(overlay):
    result = run("check", overlay('"fo\\e[1mo\\n": 3'))
    assert (result.exit_code, "\x1b" in result.stderr) == (2, False)


@pytest.mark.parametrize("ending", ["svg", "png", "dot"])
def test_labels_and_names_are_drawn_to_the_letter(overlay, tmp_path, ending):
    path = overlay(r"variables: {a: {kind: binary, label: 'a $x_$ b & \ <c>'}}")
    assert run("graph", path, "-o", tmp_path / f"g.{ending}").exit_code == 0
    if ending == "svg":
        assert "a $x_$ b" in "".join(ElementTree.parse(tmp_path / "g.svg").getroot().itertext())


@pytest.mark.parametrize("command", [("export", "bif"), ("resolve",), ("schema",)])
def test_places_that_cannot_be_written_are_told_before_anything_is_done(tmp_path, command):
    for place, reason in ((tmp_path, "is a folder"), (tmp_path / "no" / "x", "its folder does not exist")):
        result = run(*command, "-o", place)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"{place}: {reason}")


def test_a_link_stays_a_link_and_a_base_is_not_overwritten(overlay, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    path = overlay("name: mine")
    assert run("resolve", path, "-o", tmp_path / "link").exit_code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text("utf-8").startswith("# ")
    path = overlay("remove: []")
    before = path.read_text("utf-8")
    for command in (("resolve", path), ("export", "bif", "-k", path), ("schema", "-k", path)):
        result = run(*command, "-o", path)
        assert (result.exit_code, path.read_text("utf-8")) == (2, before)
        assert "is a file of this base" in result.stderr


def test_names_with_dots_are_shown_whole(overlay):
    path = overlay("observers: {eye-4.1: {label: an eye, source: book, categorical: {kind: {accuracy: 0.7, "
                   "repeat: 0.9, strength: 8}}}}")  # fmt: skip
    assert run("show", "eye-4.1", "-k", path).stdout.startswith("eye-4.1, an eye: observer, ")


ALL_BLOCKS = re.findall(
    r"```yaml\n(.*?)```", (EXAMPLES.parent / "knowledge" / "README.md").read_text("utf-8"), re.S
)
# Expectations are no part of a base.
EXPECTATIONS = [block for block in ALL_BLOCKS if block.startswith("expectations:")]
BLOCKS = [block for block in ALL_BLOCKS if block not in EXPECTATIONS]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition("\n")[0] for block in BLOCKS])
def test_every_example_of_the_languages_page_compiles(tmp_path, block):
    head = "" if "extends:" in block else "extends: shipped\n"
    (tmp_path / "overlay.yaml").write_text(head + block, "utf-8")
    assert network_of(seke.knowledge(tmp_path / "overlay.yaml")).rules


@pytest.mark.parametrize("block", EXPECTATIONS)
def test_the_expectations_of_the_languages_page_are_read(tmp_path, block):
    (tmp_path / "tests").mkdir()
    (tmp_path / "overlay.yaml").write_text("extends: shipped\n", "utf-8")
    (tmp_path / "tests" / "page.yaml").write_text(block, "utf-8")
    names = {entry["name"] for entry in seke.knowledge_expectations(tmp_path).facts["expectations"]}
    assert names > {"smile-alone", "glare"}


def test_a_program_reads_faults_too(tmp_path):
    (tmp_path / "bad.yaml").write_text("extends: none", "utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "on-empty.yaml").write_text("extends: empty", "utf-8")
    for name, args in {
        "'none' is neither a path": ("check", tmp_path / "bad.yaml"),
        "'empty' is a folder that holds no .yaml file": ("check", tmp_path / "on-empty.yaml"),
        "has no 'nope'": ("show", "nope"),
        "no such file or folder": ("diff", tmp_path / "nope", "shipped"),
        "no item 'nope'": ("sensitivity", WATERED, "-k", GARDEN, "--item", "nope"),
    }.items():
        result = run(*args, "--json")
        (fault,) = json.loads(result.stdout)["faults"]
        assert (result.exit_code, name in fault["message"], name in result.stderr) == (2, True, True), name
        assert fault["place"] in ("", f"{args[1]}:1:1", f"{args[1]}:1:10")
