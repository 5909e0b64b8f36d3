"""seke knowledge migrate: overlays as earlier versions wrote them, rewritten for this one.

tests/old_overlays: `tomatoes.yaml` and `birds.yaml` are what `seke calibrate` of commit f25c72c
wrote of made-up answers to examples/plants (with certificates) and examples/crowd (with kinds of reading).
posteriors.json is what that version inferred with them of the samples beside them. `garden.yaml` is by hand.
"""

from __future__ import annotations

import codecs
import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import seke
from engine import Inference, KnowledgeError, SekeError, compile_network, read, read_migration
from engine.observation.kernels import label_kernel
from seke.cli.main import main
from seke.sampling.infer import batches

OLD = Path(__file__).parents[2] / "old_overlays"
EXAMPLES = Path(__file__).parents[3] / "examples"


def run(*args, status=0):
    result = CliRunner(catch_exceptions=False).invoke(main, ["knowledge", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with the old overlays and what they extend, at the paths by which they name it."""
    folder = tmp_path / "tests" / "old_overlays"
    shutil.copytree(OLD, folder)
    for name in ("plants", "crowd"):
        shutil.copytree(EXAMPLES / name / "knowledge", tmp_path / "examples" / name / "knowledge")
    monkeypatch.chdir(folder)
    return folder


def answers_of(name, base):
    (answers,) = batches(OLD / f"{name}.jsonl", base)
    return answers


@functools.cache
def marginals(path, exponent=None):
    """Return the posteriors of the samples beside an overlay; exponent: of all observers, if not theirs."""
    base = read(path)
    if exponent is not None:
        same = {name: replace(observer, exponent=exponent) for name, observer in base.observers.items()}
        base = replace(base, observers=same)
    answers = answers_of(path.name.partition(".")[0], base)
    return answers.items, Inference(compile_network(base), base).posterior(answers).marginals


# What old overlays mean ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tomatoes", "birds"])
def test_an_old_overlay_says_what_it_said_to_the_version_that_wrote_it(name):
    then = json.loads((OLD / "posteriors.json").read_text())[name]
    items, now = marginals(OLD / f"{name}.yaml")
    for variable, rows in then.items():
        assert list(rows) == list(items)
        np.testing.assert_allclose(now[variable], list(rows.values()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["tomatoes", "birds"])
def test_migration_changes_nothing_but_the_exponent(name):
    old, new = (read(OLD / f"{name}{ending}.yaml") for ending in ("", ".migrated"))
    fitted = [observer.name for observer in old.observers.values() if observer.exponent != 1]
    assert fitted
    for observer in old.observers.values():
        migrated = new.observers[observer.name]
        assert migrated.exponent == 1
        assert set(migrated.labels) == set(observer.labels)
        for variable, instrument in observer.labels.items():
            states = old.variables[variable]
            kernels = [
                label_kernel(model, states, np.full(len(states.states), 1 / len(states.states)))
                for model in (instrument, migrated.labels[variable])
            ]
            for part in ("mix", "alpha", "share"):
                np.testing.assert_array_equal(*(getattr(kernel, part) for kernel in kernels))
        assert (migrated.carry, migrated.halo.keys()) == (observer.carry, observer.halo.keys())
        assert migrated.stereotype == observer.stereotype
    # The posteriors are those of the old overlay with every exponent set to 1 in memory, to the last bit.
    items, before = marginals(OLD / f"{name}.yaml", 1.0)
    assert marginals(OLD / f"{name}.migrated.yaml")[0] == items
    after = marginals(OLD / f"{name}.migrated.yaml")[1]
    for variable in after:
        np.testing.assert_array_equal(after[variable], before[variable])
    # And not those that the fitted exponent gave.
    with_exponent = marginals(OLD / f"{name}.yaml")[1]
    assert any((after[variable] != with_exponent[variable]).any() for variable in after)


# Texts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tomatoes", "birds", "garden"])
def test_texts_are_rewritten_as_expected_and_once(name, study):
    wanted = (study / f"{name}.migrated.yaml").read_text()
    result = run("migrate", study / f"{name}.yaml")
    assert result.stdout == wanted
    again = run("migrate", study / f"{name}.migrated.yaml")
    assert again.stdout == wanted
    assert "needs no change" in again.stderr


def test_what_changed_is_listed_with_its_place_and_what_to_do(study):
    lines = run("migrate", "garden.yaml").stderr.splitlines()
    assert (
        lines[0] == "garden.yaml:11:13: policy.conflict: 3.5 -> 0.01; it was in bits and is a probability now"
    )
    assert lines[1].startswith("garden.yaml:15:15: observers.app.exponent: 1.4000 -> 1; a fit chose it")
    assert lines[2].startswith("garden.yaml:15:51: observers.app.sd.exponent: removed; ")
    assert lines[3].startswith("garden.yaml:18:1: certificates: removed; ")
    assert lines[4] == "garden.yaml: 4 changes"
    assert lines[5] == (
        "to certify it again: seke calibrate SAMPLES --gold TABLE -k garden.yaml -o garden-certified.yaml "
        "--alpha 0.05 --delta 0.2 --population wet-autumn --each-value --groups COLUMN --adaptive"
    )
    assert "its base needs migration, too: seke knowledge migrate tomatoes.yaml --in-place" in lines
    # A fit is made again from what it extended: its own numbers hold the same gold already.
    lines = run("migrate", "tomatoes.yaml").stderr.splitlines()
    assert (
        "to certify it again: seke calibrate SAMPLES --gold TABLE -k ../../examples/plants/knowledge "
        "-o tomatoes-certified.yaml --alpha 0.1 --delta 0.1 --population midsummer --each-value"
    ) in lines
    assert [line for line in lines if "its numbers do not count as calibrated" in line]


def test_the_command_that_certifies_again_holds_no_words_of_the_file(study):
    text = (study / "garden.yaml").read_text().replace("alpha: 0.05", 'alpha: "0.05; rm -rf ~"')
    (study / "garden.yaml").write_text(text)
    assert "--alpha '0.05; rm -rf ~' --delta" in run("migrate", "garden.yaml").stderr


def migrated(text, folder):
    """Return what becomes of the text of a base that extends nothing."""
    path = folder / "base.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    migration = read_migration(path, {})
    return migration.files[path][1].decode(), [change.path for change in migration.rewrites]


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        # What is kept: limits, exponents that nobody fitted or that are 1, conflict as a probability.
        ("policy: {limits: {a: 0.1}, conflict: 0.5}\n", None, []),
        ("observers: {a: {source: judgement, note: x, exponent: 2}}\n", None, []),
        ("observers: {a: {source: fit-1, exponent: 1.0000, sd: {exponent: 0.1}}}\n", None, []),
        ("fits: {}\nobservers: {a: {source: fit-1, exponent: 2}}\ncertificates: {alpha: 0.1}\n", None, []),
        ("policy: {conflict: '4'}\n", None, []),
        ("policy: {conflict: many}\nobservers: [a]\n", None, []),
        ("", None, []),
        # Entries first, in the middle, last and alone, with blocks and with braces.
        (
            "observers:\n  a:\n    exponent: 2\n    sd:\n      exponent: 0.1\n      carry: 0.2\n"
            "    source: fit-1\n",
            "observers:\n  a:\n    # {c}\n    exponent: 1\n    sd:\n      carry: 0.2\n    source: fit-1\n",
            ["observers.a.exponent", "observers.a.sd.exponent"],
        ),
        (
            "observers:\n  a:\n    source: fit-1\n    exponent: 2\n    sd: {exponent: 0.1}",
            "observers:\n  a:\n    source: fit-1\n    # {c}\n    exponent: 1\n",
            ["observers.a.exponent", "observers.a.sd.exponent"],
        ),
        (
            "{observers: {a: {source: fit-1, sd: {exponent: 0.1, carry: 0.2}, exponent: 2}}}",
            "{observers: {a: {source: fit-1, sd: {carry: 0.2}, exponent: 1}}}\n# {c}\n",
            ["observers.a.exponent", "observers.a.sd.exponent"],
        ),
        ("certificates: {alpha: 0.1}\n", "", ["certificates"]),
        ("{certificates: {alpha: 0.1}}\n", "{}\n", ["certificates"]),
        ("{certificates: {alpha: 0.1}, name: a}\n", "{name: a}\n", ["certificates"]),
        ("{name: a, certificates: {alpha: 0.1}}\n", "{name: a}\n", ["certificates"]),
        ("? certificates\n: {alpha: 0.1}\nname: a\n", "name: a\n", ["certificates"]),
        ("certificates:\nname: a\n", "name: a\n", ["certificates"]),
        # A block text ends with its last line; comments of others stay.
        (
            "a: 1\n# Above.\ncertificates:\n  note: |\n    x\n\n# Below.\nb: 2\n",
            "a: 1\n# Above.\n\n# Below.\nb: 2\n",
            ["certificates"],
        ),
    ],
)  # fmt: skip
def test_texts_by_hand(old, new, paths, tmp_path):
    text, changed = migrated(old, tmp_path)
    sd = " ± 0.1" if "exponent: 0.1" in old else ""
    reason = "a fit chose it as if observers erred independently"
    wanted = old if new is None else new.replace("{c}", f"exponent: 2{sd} until it was migrated; {reason}")
    assert text == wanted
    assert changed == paths
    assert migrated(text, tmp_path) == (text, [])


def test_what_cannot_be_taken_out_of_its_line_is_a_fault(tmp_path):
    text = "observers:\n  a:\n    ? sd\n    : exponent: 1\n      b: 1\n    source: fit-1\n    exponent: 3"
    (tmp_path / "base.yaml").write_text(text)
    with pytest.raises(
        KnowledgeError, match=r"base\.yaml:4:17: observers\.a\.sd\.exponent: .* a line of its own"
    ):
        read_migration(tmp_path / "base.yaml", {})


def test_line_ends_and_marks_of_bytes_stay(tmp_path):
    text = "\ufeff# é 😀\r\npolicy:\r\n  conflict: 4.0 # many\r\ncertificates:\r\n  alpha: 0.1\r\nname: é\r\n"
    rewritten, _ = migrated(text, tmp_path)
    comment = "  # conflict: 4.0 bits until it was migrated; it is a probability now\r\n"
    assert rewritten == f"\ufeff# é 😀\r\npolicy:\r\n{comment}  conflict: 0.01 # many\r\nname: é\r\n"
    assert rewritten.encode().startswith(codecs.BOM_UTF8)


NAMES = st.sampled_from(["a", "b", "élan", "x-1", "😀 y", "no", "1"])
NUMBERS = st.floats(0.001, 30).map(lambda value: round(value, 4))
TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=60)
LEAVES = st.one_of(NUMBERS, TEXTS, st.lists(TEXTS, max_size=3), st.dictionaries(NAMES, TEXTS, max_size=2))
OBSERVERS = st.fixed_dictionaries(
    {"source": st.sampled_from(["fit-2025-01-31-ab", "judgement"])},
    optional={
        "note": TEXTS.filter(bool),
        "exponent": st.one_of(NUMBERS, st.just(1.0)),
        "sd": st.fixed_dictionaries({}, optional={"exponent": NUMBERS, "carry": NUMBERS}),
        "carry": NUMBERS,
        "halo": LEAVES,
    },
)
BASES = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS.filter(bool),
        "observers": st.dictionaries(NAMES, OBSERVERS, max_size=3),
        "policy": st.fixed_dictionaries(
            {}, optional={"conflict": NUMBERS, "limits": LEAVES, "note": TEXTS.filter(bool)}
        ),
        "certificates": st.fixed_dictionaries(
            {"alpha": NUMBERS}, optional={"values": LEAVES, "note": TEXTS.filter(bool)}
        ),
        "rules": LEAVES,
    },
)


class Mixed(yaml.SafeDumper):
    """Writes some mappings in braces and some in blocks, by what they hold."""

    def ignore_aliases(self, _):
        return True


class Document(dict):
    """The top of a document, in a block."""


Mixed.add_representer(
    Document,
    lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=False),
)
Mixed.add_representer(
    dict,
    lambda dumper, value: dumper.represent_mapping(
        "tag:yaml.org,2002:map", value.items(), flow_style=len(str(value)) % 2 == 0
    ),
)


def expected(base):
    """Return what a base says after migration, by its meaning instead of its text."""
    base = json.loads(json.dumps(base))
    base.pop("certificates", None)
    for observer in base.get("observers", {}).values():
        if observer["source"].startswith("fit-") and observer.get("exponent", 1.0) != 1:
            observer["exponent"] = 1
            if "exponent" in observer.get("sd", {}):
                del observer["sd"]["exponent"]
                observer["sd"] or observer.pop("sd")
    if base.get("policy", {}).get("conflict", 0) > 0.5:
        base["policy"]["conflict"] = 0.01
    return base


@settings(max_examples=examples(60), deadline=None)
@given(
    base=BASES,
    width=st.sampled_from([20, 80, 1000]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    data=st.data(),
)
def test_a_text_means_the_same_apart_from_what_is_migrated(base, width, line_end, data, tmp_path_factory):
    keys = data.draw(st.permutations(list(base)))
    text = "".join(
        f"# of {key}{line_end}"
        + yaml.dump(
            Document({key: base[key]}), Dumper=Mixed, allow_unicode=True, width=width, line_break=line_end,
            sort_keys=False, default_flow_style=False,
        )
        for key in keys
    )  # fmt: skip
    assert yaml.safe_load(text) == (base or None)
    folder = tmp_path_factory.mktemp("law")
    rewritten, changes = migrated(text, folder)
    assert (yaml.safe_load(rewritten) or {}) == expected(base)
    assert bool(changes) == (expected(base) != base)
    for key in keys:
        assert f"# of {key}{line_end}" in rewritten
    assert migrated(rewritten, folder) == (rewritten, [])


# Files ---------------------------------------------------------------------------------------------


def test_in_place_keeps_the_old_text_and_never_writes_over_it(study):
    before = Path("birds.yaml").read_bytes()
    result = run("migrate", "birds.yaml", "--in-place")
    assert result.stdout == ""
    assert "birds.yaml.old: keeps the old text" in result.stderr
    assert Path("birds.yaml").read_bytes() == Path("birds.migrated.yaml").read_bytes()
    assert Path("birds.yaml.old").read_bytes() == before
    assert "needs no change" in run("migrate", "birds.yaml", "--in-place").stderr
    Path("birds.yaml").write_bytes(before)
    result = run("migrate", "birds.yaml", "--in-place", status=2)
    assert "birds.yaml.old: exists already" in result.stderr
    assert Path("birds.yaml").read_bytes() == before


def test_a_new_file_names_its_base_from_its_own_folder(study, tmp_path):
    (tmp_path / "new").mkdir()
    target = tmp_path / "new" / "b.yaml"
    result = run("migrate", "birds.yaml", "-o", target)
    assert "extends: ../../examples/crowd/knowledge -> " in result.stderr
    assert 'extends: "../examples/crowd/knowledge"' in target.read_text()
    assert read(target).digest == read(study / "birds.migrated.yaml").digest
    assert sorted(path.name for path in target.parent.iterdir()) == ["b.yaml"]
    assert "exists already" in run("migrate", "birds.yaml", "-o", target, status=2).stderr
    assert "the ending says the format" in run("migrate", "birds.yaml", "-o", "b.txt", status=2).stderr
    assert "either" in run("migrate", "birds.yaml", "-o", "c.yaml", "--in-place", status=2).stderr


def test_a_folder_is_migrated_as_a_whole(study, tmp_path):
    folder = study / "mine"
    (folder / "sub").mkdir(parents=True)
    (folder / "fit.yaml").write_text(
        Path("birds.yaml").read_text().replace("../../examples", "../../../examples")
    )
    (folder / "sub" / "policy.yml").write_text("policy: {conflict: 2.0, source: judgement, note: x}\n")
    (folder / "notes.txt").write_text("no part of the base")
    assert "is a folder" in run("migrate", folder, status=2).stderr
    assert "would be read with it" in run("migrate", folder, "-o", folder / "new", status=2).stderr
    run("migrate", folder, "-o", tmp_path / "whole")
    files = [str(path.relative_to(tmp_path / "whole")) for path in (tmp_path / "whole").rglob("*.y*ml")]
    assert sorted(files) == ["fit.yaml", "sub/policy.yml"]
    base = read(tmp_path / "whole")
    assert base.policy.conflict == 0.01
    assert {observer.exponent for observer in base.observers.values()} == {1.0}
    run("migrate", folder, "--in-place")
    assert (folder / "sub" / "policy.yml.old").read_text().startswith("policy: {conflict: 2.0")
    assert read(folder).digest == base.digest
    assert "needs no change" in run("migrate", folder, "--in-place").stderr


def test_where_one_file_cannot_be_written_all_stay_as_they_were(study):
    folder = study / "mine"
    folder.mkdir()
    text = "policy: {conflict: 2.0}\n"
    (folder / "a.yaml").write_text(text)
    (folder / "b.yaml").write_text("certificates: {alpha: 0.1, delta: 0.1}\n")
    (folder / "b.yaml.old").write_text("precious")
    assert "b.yaml.old: exists already" in run("migrate", folder, "--in-place", status=2).stderr
    assert (folder / "a.yaml").read_text() == text
    assert (folder / "b.yaml.old").read_text() == "precious"
    assert not (folder / "a.yaml.old").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("policy: {conflict: 4\n", "is not YAML"),
        ("a: &x 1\n", "anchors and aliases"),
        ("extends: nowhere\npolicy: {conflict: 4}\n", "neither a path from here nor a known base"),
        ("extends: shipped\nname: a\nname: b\n", "is given twice"),
        ("\tpolicy: 1\n", "indented by a tab"),
    ],
)
def test_faults_are_those_of_check(text, message, study):
    Path("bad.yaml").write_text(text)
    result = run("migrate", "bad.yaml", "--in-place", status=2)
    assert message in result.stderr
    assert "1 fault" in result.stderr
    assert result.stderr == run("check", "bad.yaml", status=2).stderr
    assert Path("bad.yaml").read_text() == text
    with pytest.raises(KnowledgeError):
        seke.migrate("bad.yaml")


def test_facts_and_the_function(study):
    facts = json.loads(run("migrate", "garden.yaml", "--json").stdout)
    assert facts["text"] == Path("garden.migrated.yaml").read_text()
    assert facts["changes"][0] == {
        "place": "garden.yaml:11:13",
        "path": "policy.conflict",
        "old": "3.5",
        "new": "0.01",
        "reason": "it was in bits and is a probability now",
    }
    assert (facts["written"], facts["kept"]) == ([], [])
    result = seke.migrate("garden.yaml", "new.yaml")
    assert result.facts["written"] == ["new.yaml"]
    assert Path("new.yaml").read_text() == facts["text"] == result.texts[Path("garden.yaml")]
    with pytest.raises(SekeError, match="exists already"):
        seke.migrate("garden.yaml", "new.yaml")


def test_check_ends_with_how_an_old_overlay_is_migrated(study):
    lines = [
        "written for an earlier version; to rewrite it (the old text stays beside it as NAME.old):",
        "  seke knowledge migrate birds.yaml --in-place",
    ]
    assert run("check", "birds.yaml").stderr.splitlines()[-2:] == lines
    # Also where the base has faults, or what it extends is old.
    Path("more.yaml").write_text("extends: birds.yaml\nrubbish: 1\n")
    messages = run("check", "more.yaml", status=2).stderr.splitlines()
    assert messages[messages.index("1 fault") + 1 :][:2] == lines
    assert "earlier version" not in run("check", "birds.migrated.yaml").stderr
    assert "earlier version" not in run("check").stderr
