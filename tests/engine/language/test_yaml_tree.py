"""What a base says, leaf by leaf: places, what overlays replaced, what changed in meaning, as one text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from renaming import BASES
from thorough import examples

from engine import KnowledgeError, changes, compile_network, declared_of, read, resolve

OVERLAYS = {
    "a cell": "activations: {cells: {worn: {hot: {p: 0.7, n: 4, source: judgement, note: seen}}}}",
    "half a cell": "activations: {cells: {worn: {hot: {n: 4, source: judgement, note: seen}}}}",
    "a limit": "policy: {source: judgement, note: strict, limits: {fault: 0.02}}",
    "a rule more": "rules: {wet: {if: dripping, then: hot, confidence: 0.4, n: 3, source: handbook}}",
    "a rule less": "remove: [rules.dry]",
    "another formula": "rules: {driven-heat: {if: 'hot & !noisy', source: judgement, note: seen}}",
    "a state less": "remove: [variables.wear.states.clogged, rules.dry]",
    "a variable less": "remove: [variables.dripping, rules.dry]",
    "another observer": "remove: [observers.logbook]\nobservers: {eye: {source: judgement, note: x, "
    "binary: {repeat: 0.9, strength: 5, cells: {hot: {sensitivity: 0.9, specificity: 0.8}}}}}",
    "a source": "sources: {book: {cite: A book}}\ncouplings: {rattle: {odds_ratio: 2, source: book}}",
    "a new state": "variables: {wear: {states: {loose: a bolt is loose}}}\n"
    "priors: {source: handbook, populations: {uniform: {add: {loose: 0.2}},"
    " in-service: {add: {loose: 0.1}}}}\n"
    "activations: {source: handbook, cells: {loose: {like: {sound: 0.5, worn: 0.5}}}}\n"
    "affect: {source: handbook, moments: {loose: {like: {sound: 0.5, worn: 0.5}}}}",
}


@pytest.fixture(params=OVERLAYS)
def other(request, overlay_of):
    return overlay_of(OVERLAYS[request.param])


def paths(found_changes):
    return {(change.kind, change.path) for change in found_changes}


def without_citations(value):
    """Return a YAML value without its sources and notes."""
    if isinstance(value, list):
        return [without_citations(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {key: without_citations(part) for key, part in value.items() if key not in ("source", "note")}


def digest(tree):
    whole = {
        key: part for key, part in without_citations(tree).items() if key not in ("sources", "certificates")
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def test_the_digest_is_of_the_json_of_what_is_said(other):
    """Also of bases with another number, which share tables with the first."""
    tree = yaml.load(resolve(other), yaml.BaseLoader)
    assert other.digest == digest(tree)
    confidences = [path.split(".") for path in other.numbers if path.endswith(".confidence")]
    assert confidences
    for _, rule, _ in confidences:
        before, tree["rules"][rule]["confidence"] = tree["rules"][rule]["confidence"], "0.625"
        changed = declared_of(other).with_numbers({f"rules.{rule}.confidence": 0.625})
        assert changed.digest == digest(tree)
        tree["rules"][rule]["confidence"] = before
    assert declared_of(other).with_numbers({}).digest == other.digest


def test_every_number_is_a_leaf_with_its_place_and_source(base_of):
    base = base_of("machine")
    leaves = declared_of(base).leaves
    lines = (Path(next(iter(leaves.values())).place.file)).read_text("utf-8").splitlines()
    alone = [number for number in base.numbers.values() if "[" not in number.path]
    assert len(alone) > 80
    for number in alone:
        leaf = leaves[number.path]
        assert (leaf.place, leaf.source or "judgement") == (number.place, number.source or "judgement")
        assert lines[leaf.place.line - 1][leaf.place.column - 1 :].startswith(leaf.text)


def test_an_overlay_keeps_what_it_replaced(overlay_of, names):
    base = overlay_of(OVERLAYS["a cell"])
    leaf = declared_of(base).leaves[names.rename("activations.cells.worn.hot.p")]
    assert (leaf.text, leaf.source, leaf.note) == ("0.7", "judgement", "seen")
    assert leaf.place.file.endswith("overlay.yaml")
    assert leaf.under is not None
    assert (leaf.under.text, leaf.under.source, leaf.under.under) == ("0.6", "handbook", None)
    assert leaf.under.place.file.endswith("machine.yaml")


def test_a_base_is_no_change_from_itself(base_of):
    assert changes(base_of("machine"), base_of("machine")) == ()


@pytest.mark.parametrize(
    "text",
    [
        "activations: {cells: {worn: {noisy: {p: 0.8, n: 10.0, source: handbook}}}}",
        "rules: {driven-heat: {if: 'noisy & !(!hot)', source: handbook}}",
        "rules: {dry: {if: '!dripping & !(flow >= 1)', source: judgement, note: A guess.}}",
        "affect: {moments: {worn: {mean: [0.30, 2.0], source: handbook}}}",
    ],
)
def test_what_is_only_written_otherwise_is_no_change(base_of, overlay_of, text):
    assert changes(base_of("machine"), overlay_of(text)) == ()


def test_what_means_something_else_is_a_change_of_its_kind(base_of, overlay_of, names):
    base = base_of("machine")
    expected_changes = {
        "a cell": {("number", "activations.cells.worn.hot.p"), ("number", "activations.cells.worn.hot.n")},
        "a rule more": {("added", "rules.wet")},
        "a rule less": {("removed", "rules.dry")},
        "another formula": {("formula", "rules.driven-heat.if")},
    }
    for name, expected in expected_changes.items():
        found_changes = changes(base, overlay_of(OVERLAYS[name]))
        assert paths(found_changes) == {(kind, names.rename(path)) for kind, path in expected}, name
    (source,) = changes(base, overlay_of("couplings: {rattle: {n: 10, source: judgement, note: seen}}"))
    assert (source.kind, source.old.source, source.new.source) == ("source", "handbook", "judgement")
    (prose,) = changes(base, overlay_of("couplings: {rattle: {statement: It does.}}"))
    assert prose.kind == "prose"


def test_all_changes_together_make_the_other_base(base_of, other):
    base = base_of("machine")
    found_changes = changes(base, other)
    assert found_changes
    parts = declared_of(base).with_parts(declared_of(other), [change.path for change in found_changes])
    assert parts == other
    assert parts.digest == other.digest
    assert changes(other, base)


def test_one_change_is_made_alone(base_of, overlay_of, names):
    base = base_of("machine")
    both = overlay_of(f"{OVERLAYS['a cell']}\nremove: [rules.dry]")
    alone = declared_of(base).with_parts(declared_of(both), ["rules.dry"])
    assert alone.cells == base.cells
    assert [rule.name for rule in alone.rules] == [
        names.rename(name) for name in ("driven-heat", "dry") if name != "dry"
    ]
    unfit = overlay_of(OVERLAYS["a new state"])
    with pytest.raises(KnowledgeError):
        declared_of(base).with_parts(declared_of(unfit), [names.rename("variables.wear.states.loose")])


def test_one_text_says_the_same_and_keeps_every_citation(other, tmp_path):
    """Of a table with several citations the one that is written names each."""
    (tmp_path / "one.yaml").write_text(resolve(other), "utf-8")
    flat = read(tmp_path / "one.yaml")
    assert {path: number.value for path, number in flat.numbers.items()} == pytest.approx(
        {path: number.value for path, number in other.numbers.items()}, rel=0.5
    )
    for name in ("variables", "levels", "rules", "couplings", "cells", "moments", "questions", "policy"):
        assert getattr(flat, name) == getattr(other, name), name
    networks = compile_network(flat), compile_network(other)
    for population in other.populations:
        assert networks[0].log_prior[population] == pytest.approx(networks[1].log_prior[population], abs=1e-9)
    mixed = 0
    for path, number in other.numbers.items():
        flat_number = flat.numbers[path]
        if (flat_number.source, flat_number.note) != (number.source, number.note):
            citation = (
                flat.sources[flat_number.source].cite
                if flat_number.source in flat.sources
                else flat_number.note
            )
            assert number.source in citation
            assert number.note in citation
            mixed += 1
    assert mixed < 8


NUMBERS = ["activations.cells.sound.hot.p", "rules.dry.confidence", "couplings.rattle.odds_ratio"]


@settings(max_examples=examples(15), deadline=None)
@given(values=st.dictionaries(st.sampled_from(NUMBERS), st.integers(50, 950), min_size=1))
def test_numbers_given_anew_are_the_changes(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("anew")
    (folder / "machine.yaml").write_text((BASES / "machine.yaml").read_text("utf-8"), "utf-8")
    lines = ["extends: machine.yaml"]
    for path, thousandths in values.items():
        *above, last = path.split(".")
        inner = f"{{{last}: {thousandths / 1000}, source: handbook}}"
        lines.append(f"{': {'.join(above)}: {inner}{'}' * (len(above) - 1)}")
    # No two of NUMBERS are in one section.
    (folder / "anew.yaml").write_text("\n".join(lines), "utf-8")
    base = read(folder / "machine.yaml")
    found_changes = changes(base, read(folder / "anew.yaml"))
    new_text_by_path = {change.path: change.new.text for change in found_changes if change.kind == "number"}
    assert {path: float(text) for path, text in new_text_by_path.items()} == {
        path: thousandths / 1000
        for path, thousandths in values.items()
        if thousandths / 1000 != base.numbers[path].value
    }


def test_a_base_is_read_anew_where_a_file_changed_and_stays_as_it_was_read(
    base_of, overlay_of, folder, names
):
    base = base_of("machine")
    assert base_of("machine") is base
    removal = "remove: [variables.dripping, rules.dry]"
    assert names["dripping"] not in overlay_of(removal).variables
    # What an overlay takes out of a list is still in the base's own.
    base.yaml.with_overlay(names.rename(removal))
    assert base_of("machine").yaml.with_numbers({}).levels == base.levels
    file = folder / "machine.yaml"
    text = file.read_text("utf-8")
    file.write_text(f"{text}\n# The end.\n", "utf-8")
    changed = base_of("machine")
    assert changed is not base
    assert changed == base
    (folder / "other").mkdir()
    (folder / "other" / "a.yaml").write_text(text, "utf-8")
    before = read(folder / "other", usual_view="face")
    (folder / "other" / "b.yaml").write_text(names.rename("remove: [rules.dry]"), "utf-8")
    with pytest.raises(KnowledgeError, match="needs `extends`"):
        read(folder / "other", usual_view="face")
    (folder / "other" / "b.yaml").unlink()
    assert read(folder / "other", usual_view="face") is before
