"""Files that `seke knowledge` writes: for other programs, the schema, new overlays, a base as one file."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError
from thorough import examples

from engine import Inference, changes, compile_network, read, resolve
from engine.language.schema_definitions import with_definitions
from engine.observation.evidence import Evidence
from seke.cli.main import main
from seke.files.networks import network_of
from seke.files.shipped import knowledge

with warnings.catch_warnings():
    # Both warn of parts of themselves on import; as an error that would end pyAgrum's in a crash.
    warnings.simplefilter("ignore")
    import pyagrum
    from pgmpy.inference import VariableElimination
    from pgmpy.readwrite import BIFReader, NETReader, XMLBIFReader

ROOT = Path(__file__).parents[3]
EXAMPLES, ENGINE = ROOT / "examples", ROOT / "tests" / "engine"
BASES = {
    "sprinkler": EXAMPLES / "sprinkler" / "knowledge",
    "plants": EXAMPLES / "plants" / "knowledge",
    "machine": ENGINE / "bases" / "machine.yaml",
    "weather": ENGINE / "bases" / "weather.yaml",
    "shipped": ROOT / "knowledge",
}
READERS = {"bif": BIFReader, "xmlbif": XMLBIFReader, "net": NETReader}


@functools.cache
def shipped():
    return knowledge()


def run(*args):
    """Run `seke knowledge`; an exception other than SystemExit is a fault."""
    return CliRunner(catch_exceptions=False).invoke(main, ["knowledge", *map(str, args)])


def stdout_of(*args):
    """Run `seke knowledge`, which must succeed, and return what it printed."""
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Networks for other programs


@functools.cache
def inference_of(name, population=None):
    base = read(BASES[name])
    return Inference(compile_network(base), base, population)


def described(base):
    return [base.root, *base.cells, *base.intervals]


def export_of(folder, name, form, *options):
    """Export a base; pyAgrum knows XMLBIF by the ending .bifxml only."""
    path = folder / f"{name}.{'bifxml' if form == 'xmlbif' else form}"
    assert stdout_of("export", form, "-k", BASES[name], *options, "-o", path) == ""
    return path


def evidence_in(path):
    """The assignments in the comment with which a file begins."""
    text = path.read_text("utf-8").removeprefix("<?xml version='1.0' encoding='utf-8'?>\n")
    comment = re.match(r"<!--.*?-->|(//[^\n]*\n)+|(%[^\n]*\n)+", text, re.DOTALL)
    return dict(re.findall(r"(\w+)=(\w+)", comment[0]))


def word(state):
    """The name of a state in the file, as its comment says: m0_95 is -0.95, p0_05 is 0.05."""
    if not re.fullmatch(r"-?\d.*", state):
        return state
    return ("m" if state.startswith("-") else "p") + state.removeprefix("-").replace(".", "_")


def by_pgmpy(path, form, cases, wanted):
    """Yield posteriors for each case of evidence, by the names of states."""
    oracle = VariableElimination(READERS[form](str(path)).get_model())
    for evidence in cases:
        asked = [name for name in wanted if name not in evidence]
        tables = {name: oracle.query([name], evidence=evidence, show_progress=False) for name in asked}
        yield {n: dict(zip(table.state_names[n], table.values, strict=True)) for n, table in tables.items()}


def by_pyagrum(path, form, cases, wanted):
    model = pyagrum.loadBN(str(path))
    oracle = pyagrum.LazyPropagation(model)
    for evidence in cases:
        oracle.setEvidence(evidence)
        oracle.makeInference()
        tables = {name: oracle.posterior(name).toarray() for name in wanted}
        yield {n: dict(zip(model.variable(n).labels(), p, strict=True)) for n, p in tables.items()}


def given_states(inference, seen):
    """Posteriors, and the log-probability, of states (their indices) seen with certainty."""
    base, none = inference.knowledge, np.zeros(1, dtype=np.int64)
    sizes = {name: len(base.variables[name].states) for name in seen}
    logs = {n: np.where(np.arange(sizes[n]) == i, 0.0, -np.inf)[:, None] for n, i in seen.items()}
    has_evidence = np.array([any(name != base.root for name in seen)])
    evidence = Evidence(1, none, np.zeros(1), logs, has_evidence, np.zeros((2, 0), dtype=np.int64))
    return inference.marginals(evidence), inference.log_evidence_rows(evidence)[0]


def some_seen(base):
    """Return nothing, every eighth of all states alone, and three cases of three variables."""
    rng = np.random.default_rng(0)
    sizes = {name: len(base.variables[name].states) for name in described(base)}
    alone = [{name: state} for name, size in sizes.items() for state in range(size)]
    names = [rng.choice(list(sizes), 3, replace=False).tolist() for _ in range(3)]
    return [{}, *alone[::8], *({n: int(rng.integers(sizes[n])) for n in three} for three in names)]


def agrees(program, path, form, inference, wanted):
    """Hold that a program computes from the file what the engine does.

    pyAgrum reads BIF and NET in single precision, which is well within 1e-6. NET has eight decimals, whatever
    the number's size, so that evidence of a small probability leaves fewer digits.
    """
    base, fixed = inference.knowledge, evidence_in(path)
    words = {name: [word(state) for state in base.variables[name].states] for name in described(base)}
    cases = some_seen(base)
    evidence = [fixed | {name: words[name][state] for name, state in seen.items()} for seen in cases]
    for seen, posteriors in zip(cases, program(path, form, evidence, wanted), strict=True):
        expected, log_p = given_states(inference, seen)
        atol = 1e-6 + (1e-8 / np.exp(log_p) if form == "net" else 0)
        for name, p in posteriors.items():
            assert set(p) == set(words[name])
            computed = [p[state] for state in words[name]]
            np.testing.assert_allclose(computed, expected[name][0], atol=atol, err_msg=f"{name} given {seen}")


# pgmpy takes five seconds to read such a file of the shipped base's size, and two a BIF file of a small one.
LONG = dict.fromkeys(
    [
        (by_pgmpy, "net", "shipped"),
        *((by_pgmpy, "bif", name) for name in ("shipped", "plants", "weather", "machine")),
    ],
    pytest.mark.slow,
)


@pytest.mark.parametrize(
    ("program", "form", "name"),
    [
        pytest.param(*case, marks=LONG.get(case, ()), id=f"{case[0].__name__}-{case[1]}-{case[2]}")
        for case in itertools.product((by_pgmpy, by_pyagrum), READERS, BASES)
    ],
)
def test_other_programs_compute_the_same_given_what_the_comment_lists(folder, program, form, name):
    base = inference_of(name).knowledge
    few = program is by_pgmpy and name == "shipped"
    for population in list(base.populations)[-1:] if program is by_pgmpy else base.populations:
        path = export_of(folder, name, form, "--population", population)
        wanted = described(base)[:2] if few else described(base)
        agrees(program, path, form, inference_of(name, population), wanted)


@pytest.mark.parametrize("name", BASES)
def test_without_that_evidence_the_numbers_are_others(folder, name):
    base, path = inference_of(name).knowledge, export_of(folder, name, "bif")
    assert f"population {base.reference}." in path.read_text("utf-8")
    assert len(evidence_in(path)) == len(base.couplings) + len(base.rules)
    expected, _ = given_states(inference_of(name), {})
    (posteriors,) = by_pyagrum(path, "bif", [{}], described(base))
    off = [
        posteriors[variable][word(state)] - p
        for variable in posteriors
        for state, p in zip(base.variables[variable].states, expected[variable][0], strict=True)
    ]
    assert np.abs(off).max() > 0.01


# The schema

FOLDERS = (ROOT / "knowledge", EXAMPLES, ENGINE / "bases")
OTHERS = (EXAMPLES / "annotate", EXAMPLES / "finetune", ROOT / "knowledge" / "tests")
FILES = [path for place in FOLDERS for path in sorted(place.rglob("*.yaml")) if path.parent not in OTHERS]
NO_YAML = """
    alias colon-in-a-text colon-in-braces missing-brace not-utf8 syntax tab tag two-documents"""
CAUGHT = """
    bad-names bare-cell certificates certificates-pooled confusion-zero-cell coupling-pair dependence-follows
    copies dependence-missing empty-over-section exponent family family-no-name
    interval-range judgement-without-note many-faults missing-sections no-as-a-text not-a-mapping
    no-blank-after-colon nothing-beyond row-at-fault
    null-as-a-text number-slips policy-numbers prior-zero probability-of-zero probability-over-one
    quoted-number sd-of-nothing section-not-a-mapping unknown-key unknown-kind unknown-section"""
# Of these one file alone does not tell, or numbers must be added up, or formulas read.
ONLY_THE_READER = """
    also anchor cell-without-p certificates-edited certificates-not-earned certificates-overspent
    certificates-twice code-is-variable
    confusion-and-accuracy confusion-row dependence-kind dependence-no-kinds
    dependence-not-clearer dependence-without-source family-without-dependence kind-without-dependence
    derived-gap derived-of-binary derived-overlap duplicate-key
    extends-itself extends-unknown formula-folded formula-kinds formula-slips formula-syntax
    formula-too-deep formula-unknown-name formula-unknown-state kind-mismatch level-overlap
    like-mixture like-sum like-unknown-state mean-out-of-range misread-repeat misread-sum
    missing-background moments-length moments-missing nan new-state no-as-a-name no-variables
    nothing-said nothing-satisfies-both
    nothing-satisfies-if number-without-source observer-reports-nothing one-state
    policy-of-other-kind policy-without-limits prior-add prior-missing-state remove-unknown
    remove-without-base removed-but-mentioned removed-twice repeat-too-small sd-impossible
    sum-not-one threshold-off-edge types-and-repeat unaskable-observer unknown-level
    unknown-observer unknown-population unknown-question unknown-source unknown-state question-scale
    unknown-variable unknown-word worse-than-guessing"""
# The bounds of these lie elsewhere in the base: a variable's range, the number of states, what is followed.
RELATIVE = {
    "mean",
    "sd",
    "perception",
    "noise",
    "grid",
    "offset",
    "nothing",
    "range",
    "accuracy",
    "probability",
}


@pytest.fixture(scope="module")
def schema():
    return json.loads(stdout_of("schema"))


def plain(path):
    return yaml.safe_load(path.read_text("utf-8"))


# Where a schema has others within it: alone, in a list, and by name.
WITHIN = {"additionalProperties", "items", "propertyNames", "if", "then", "else", "not"}
LISTED, NAMED = {"anyOf", "allOf", "oneOf", "prefixItems"}, {"properties", "patternProperties", "$defs"}


def levels_of(schema, met):
    """Yield every schema within a schema, and itself, with `true` for what is within; equal ones once."""
    level, inner = dict(schema), []
    for key in level.keys() & (WITHIN | LISTED | NAMED):
        parts = schema[key]
        if key in WITHIN:
            inner.append(parts)
            level[key] = True
        elif key in LISTED:
            inner += parts
            level[key] = [True] * len(parts)
        else:
            inner += parts.values()
            level[key] = dict.fromkeys(parts, True)
    for part in (part for part in inner if isinstance(part, dict)):
        text = json.dumps(part, sort_keys=True)
        if text not in met:
            met.add(text)
            yield from levels_of(part, met)
    yield level


def test_the_schema_is_one_and_says_its_version(schema):
    """Level by level; what comes again is written once, and says the same as if it stood in each place."""
    assert len(json.dumps(schema, indent=1)) < 300_000
    definitions = schema["$defs"]

    def in_place(part):
        if isinstance(part, dict) and "$ref" in part:
            assert list(part) == ["$ref"]
            return in_place(definitions[part["$ref"].removeprefix("#/$defs/")])
        if isinstance(part, list):
            return [in_place(inner) for inner in part]
        return {key: in_place(inner) for key, inner in part.items()} if isinstance(part, dict) else part

    whole = in_place({key: part for key, part in schema.items() if key != "$defs"})
    assert len(json.dumps(whole)) > 5_000_000
    assert with_definitions(whole) == {**schema, "$defs": definitions}
    levels = list(levels_of(whole, set()))
    assert len(levels) > 100
    for level in levels:
        Draft202012Validator.check_schema(level)
    with pytest.raises(SchemaError):
        Draft202012Validator.check_schema({**levels[-1], "properties": {"rules": {"type": "nothing"}}})
    assert re.search(r":\d+$", schema["$id"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_schema_allows_every_file_of_a_base(schema, path):
    assert [error.message for error in Draft202012Validator(schema).iter_errors(plain(path))] == []


def test_the_schema_catches_what_one_file_tells(schema):
    groups = [set(group.split()) for group in (NO_YAML, CAUGHT, ONLY_THE_READER)]
    files = [path.stem for path in (ENGINE / "golden").glob("*.yaml")]
    assert not set(files) - set.union(*groups), "say of each new file whether the schema catches it"
    assert sorted(itertools.chain(*groups)) == sorted(files)
    for name in groups[0]:
        with pytest.raises((yaml.YAMLError, UnicodeDecodeError)):
            plain(ENGINE / "golden" / f"{name}.yaml")
    validator = Draft202012Validator(schema)
    assert [stem for stem in groups[1] if validator.is_valid(plain(ENGINE / "golden" / f"{stem}.yaml"))] == []


@pytest.mark.parametrize("name", ["machine", "crew"])
def test_the_schema_allows_the_numbers_that_the_reader_does(schema, name):
    base = read(ENGINE / "bases" / f"{name}.yaml")
    tree, validator = yaml.safe_load(resolve(base)), Draft202012Validator(schema)
    for number in base.numbers.values():
        *above, last = [int(key) if key.isdigit() else key for key in re.findall(r"[^.\[\]]+", number.path)]
        node = functools.reduce(lambda inner, key: inner[key], above, tree)
        written, part = node[last], {above[0]: tree[above[0]]}
        if above[0] == "observers":
            # Without the others, whose numbers are looked at in their turn.
            part = {"observers": {above[1]: tree["observers"][above[1]]}}
        if isinstance(written, str):  # A likelihood word.
            continue
        for value in (number.low, number.high):
            node[last] = int(value) if value == int(value) else value
            assert validator.is_valid(part), (number.path, value)
        for value in (number.low - 1, number.low - 1e-6, number.high + 1e-6, number.high + 1):
            node[last] = value
            assert RELATIVE & {last, above[-1]} or not validator.is_valid(part), (number.path, value)
        node[last] = written


# A new overlay


def test_a_new_overlay_changes_nothing_yet(folder, schema):
    assert stdout_of("new", "mine").split() == ["mine/overlay.yaml", "mine/knowledge.schema.json"]
    assert sorted(os.listdir("mine")) == ["knowledge.schema.json", "overlay.yaml"]
    text, written = (
        Path("mine", name).read_text("utf-8") for name in ("overlay.yaml", "knowledge.schema.json")
    )
    assert text.startswith("# yaml-language-server: $schema=knowledge.schema.json\n")
    # Its commands are for the folder that it lies in, wherever it was made from.
    assert "seke knowledge diff shipped mine --samples" in text
    stdout_of("new", "deep/er/own", "--base", "mine")
    below = Path("deep/er/own/overlay.yaml").read_text("utf-8")
    assert "#   seke knowledge check own " in below
    assert "diff ../../mine own --samples" in below
    assert json.loads(written) == schema
    assert changes(shipped(), knowledge("mine")) == ()
    assert knowledge("mine") == shipped()


def commented_out(text, sections):
    """Yield each part of a text that is YAML behind `# `, without that."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip().splitlines()
        keys = [re.match(r"# (\w+):", line) for line in lines]
        start = next((i for i, key in enumerate(keys) if key and key[1] in sections), None)
        if start is not None:
            yield "\n".join(line.removeprefix("# ") for line in lines[start:])


@pytest.mark.parametrize("name", BASES)
def test_every_example_in_a_new_overlay_reads(folder, schema, name):
    base = read(BASES[name])
    stdout_of("new", "mine", "--base", BASES[name])
    text = (folder / "mine" / "overlay.yaml").read_text("utf-8")
    examples = list(commented_out(text, schema["properties"]))
    sections = {key for example in examples for key in yaml.safe_load(example)}
    wanted = {"sources", "activations", "rules", "priors", "observers", "policy", "remove"}
    assert wanted | ({"affect"} if base.intervals else set()) == sections
    validator = Draft202012Validator(
        json.loads((folder / "mine" / "knowledge.schema.json").read_text("utf-8"))
    )
    for example in examples:
        assert validator.is_valid(yaml.safe_load(example)), example
        (folder / "mine" / "overlay.yaml").write_text(f"{text}\n{example}\n", "utf-8")
        assert changes(base, knowledge("mine")), example


@pytest.mark.parametrize("there", ["folder", "file"])
def test_what_is_there_already_is_refused_and_kept(folder, there):
    kept = folder / "folder" / "overlay.yaml" if there == "folder" else folder / there
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("kept", "utf-8")
    result = run("new", there)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"{there}: exists already; name a new folder\n"
    assert [path for path in folder.rglob("*") if path.is_file()] == [kept]
    assert kept.read_text() == "kept"


@pytest.mark.parametrize("absolute", [True, False])
def test_a_base_is_found_from_the_new_folder_wherever_one_stands(folder, monkeypatch, absolute):
    (folder / "base").mkdir()
    (folder / "base" / "machine.yaml").write_bytes(BASES["machine"].read_bytes())
    stdout_of("new", "deep/er/mine", "--base", folder / "base" if absolute else "base")
    monkeypatch.chdir("/")
    assert knowledge(folder / "deep" / "er" / "mine") == knowledge(BASES["machine"])


TABLE = {("fear", "AU1"): 0.25, ("fear", "AU12"): 0.005, ("anger", "AU1"): 0.4, ("anger", "AU4"): 0.999}
NAMES = (["AU1", "AU4", "AU12"], ["1", "4", "12"], ["01", "04", "012"], ["au1", "au04", "Au12"])


def table_text(separator=",", units=NAMES[0], turned=False):
    """TABLE as text, with other names for the units; what it lacks is blank."""
    rows = [["", *units]]
    for state in ("fear", "Anger"):
        rows.append([state, *(str(TABLE.get((state.lower(), unit), " ")) for unit in NAMES[0])])
    rows = list(zip(*rows, strict=True)) if turned else rows
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.mark.parametrize("turned", [False, True], ids=["states in rows", "states in columns"])
@pytest.mark.parametrize(("separator", "units"), list(zip(",;\t,", NAMES, strict=True)))
def test_a_table_becomes_cells(folder, turned, separator, units):
    (folder / "t.csv").write_text(f"{table_text(separator, units, turned)}\n# A remark.\n", "utf-8-sig")
    stdout_of("new", "mine", "--from-csv", "t.csv", "--n", "7.5")
    base, with_cells = shipped(), knowledge("mine")
    assert all(change.path.startswith("activations.cells.") for change in changes(base, with_cells))
    for unit, row in with_cells.cells.items():
        for state, cell, before in zip(base.variables[base.root].states, row, base.cells[unit], strict=True):
            n = 7.5 if (state, unit) in TABLE else before.n
            assert (cell.p, cell.n) == (TABLE.get((state, unit), before.p), n)


def test_a_citation_makes_a_source_and_its_lack_a_judgement(folder):
    (folder / "my units.csv").write_text(table_text(), "utf-8")
    cite = 'Doe J (2024): "Units", Table #2 & 3'
    stdout_of("new", "cited", "--from-csv", "my units.csv", "--cite", cite)
    stdout_of("new", "judged", "--from-csv", "my units.csv")
    cited, judged = knowledge("cited"), knowledge("judged")
    (source,) = set(cited.sources) - set(shipped().sources)
    assert cited.sources[source].cite == cite
    assert judged.sources == shipped().sources
    for state, unit in TABLE:
        path = f"activations.cells.{state}.{unit}.p"
        assert cited.numbers[path].source == source
        assert judged.numbers[path].source == "judgement"
        assert "my units.csv" in judged.numbers[path].note


def test_a_margin_brings_cells_in(folder):
    (folder / "t.csv").write_text("expression,AU1,AU4,AU12\nfear,0,0.005,0.5\nanger,1,0.999,0.98\n", "utf-8")
    stdout_of("new", "mine", "--from-csv", "t.csv", "--margin", "0.03")
    numbers = knowledge("mine").numbers
    for state, row in {"fear": [0.03, 0.03, 0.5], "anger": [0.97, 0.97, 0.97]}.items():
        probabilities = [numbers[f"activations.cells.{state}.{unit}.p"].value for unit in NAMES[0]]
        assert probabilities == pytest.approx(row)


FAULTS = {
    "percentage": ("expression,AU1\nfear,50\n", ["2:2"], "divide percentages by 100"),
    "decimal comma": ("expression;AU1;AU2\nfear;0.5;0,4\n", ["2:3"], "write a decimal point, not a comma"),
    "zero": ("expression,AU1,AU2\nfear,0.5,0\n", ["2:3"], "--margin"),
    "one": ("expression,AU1\nanger,0.5\nfear,1\n", ["3:2"], "--margin"),
    "word": ("expression,AU1\nfear,often\n", ["2:2"], "'often'"),
    "unit": ("expression,AU1,AU99\nfear,0.5,0.5\n", ["1:3"], "'AU99'; did you mean AU9?"),
    "state": ("expression,AU1\n\nfeer,0.5\n", ["3:1"], "'feer'; did you mean fear?"),
    "twice": ("expression,AU1\nfear,0.5\nFear,0.6\n", ["3:2"], "fear, AU1 is given twice"),
    "twice, across": (",fear\nAU1,0.5\n01,0.6\n", ["3:2"], "fear, AU1 is given twice"),
    "no number": ("expression,AU1\nfear,\n", [], "holds no number"),
    "no name": ("expression,AU1,\nfear,0.5,0.5\n", ["2:3"], "a column without a name"),
    "not known": ("expression,AU1\nfear,n/a\n", ["2:2"], "leave a cell blank"),
    "all at once": ("expression,AU1,AU99\nfeer,x,0\nfear,2,0.5\n", ["1:3", "2:1", "3:2"], ""),
}


@pytest.mark.parametrize(("text", "places", "hint"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_table_is_refused_with_places_and_leaves_nothing(folder, text, places, hint):
    (folder / "t.csv").write_text(text, "utf-8")
    result = run("new", "deep/mine", "--from-csv", "t.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    *lines, last = result.stderr.splitlines()
    if not places:
        assert (lines, last) == ([], f"t.csv: {hint}")
        return
    assert [line.split(": ")[0] for line in lines] == [f"t.csv:{place}" for place in places]
    assert last == f"{len(places)} fault{'s' * (len(places) > 1)}"
    assert hint in result.stderr
    assert os.listdir() == ["t.csv"]


# A base as one file

OVERLAYS = {path.stem: path for path in sorted((EXAMPLES / "overlay").glob("*.yaml"))}


def resolved(path, output):
    assert stdout_of("resolve", path, "-o", output) == ""
    return output.read_text("utf-8")


@pytest.mark.parametrize("path", (OVERLAYS | BASES).values(), ids=OVERLAYS | BASES)
def test_a_base_as_one_file_is_the_same(folder, path):
    text = resolved(path, folder / "one.yaml")
    base, flat = knowledge(path), read(folder / "one.yaml")
    assert [(p, n.source, n.note) for p, n in flat.numbers.items()] == [
        (p, n.source, n.note) for p, n in base.numbers.items()
    ]
    assert base.sources == flat.sources
    again = resolved(folder / "one.yaml", folder / "two.yaml")
    if path.stem == "seven-classes":  # The shares that are left are written anew, in proportion.
        assert again.splitlines()[1:] == text.splitlines()[1:]
    else:
        assert (flat.digest, changes(base, flat), again) == (base.digest, (), text)
    if path in OVERLAYS.values() and path.stem != "seven-classes":
        # The same to the letter, and of the shipped base's size: of these only that one is compiled.
        return
    networks = network_of(base), compile_network(flat)
    for kind in ("given_root", "log_prior"):
        expected, flat_tables = (getattr(network, kind) for network in networks)
        assert expected.keys() == flat_tables.keys()
        for name, table in expected.items():
            np.testing.assert_allclose(flat_tables[name], table, atol=1e-9, err_msg=name)
    weights = [{rule.name: rule.weight for rule in network.rules} for network in networks]
    assert weights[1] == pytest.approx(weights[0], abs=1e-9)


def test_a_file_is_replaced_whole(folder):
    """What has the old file open still reads it, and nothing lies beside it."""
    (folder / "old").write_text("kept", "utf-8")
    os.link("old", "one.yaml")
    text = resolved(BASES["weather"], folder / "one.yaml")
    assert (folder / "old").read_text() == "kept"
    assert text == stdout_of("resolve", BASES["weather"])
    assert run("resolve", ENGINE / "golden" / "nan.yaml", "-o", "one.yaml").exit_code == 2
    assert (folder / "one.yaml").read_text("utf-8") == text
    assert sorted(os.listdir()) == ["old", "one.yaml"]


@pytest.mark.parametrize("command", [("resolve",), ("schema",), ("export", "net")])
def test_a_place_that_cannot_be_written_is_one_line(folder, command):
    (folder / "there").mkdir()
    for output in ("none/out", "there"):
        result = run(*command, "-o", output)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"{output}: ")
        assert result.stderr.count("\n") == 1
    assert [path.name for path in folder.rglob("*")] == ["there"]


NUMBERS = [
    path
    for path in read(BASES["machine"]).numbers
    if path.startswith(("activations.cells.", "rules.", "couplings."))
]
NOTE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\n"), min_size=1)
CITED = st.just({"source": "handbook"}) | NOTE.map(lambda note: {"source": "judgement", "note": note})


@settings(max_examples=examples(15), deadline=None)
@given(
    thousandths=st.dictionaries(st.sampled_from(NUMBERS), st.integers(100, 999), min_size=1, max_size=6),
    cited=CITED,
)
def test_any_numbers_laid_on_a_base_are_in_the_one_file(tmp_path_factory, thousandths, cited):
    folder = tmp_path_factory.mktemp("laid")
    overlay = {"extends": str(BASES["machine"])}
    for path, value in thousandths.items():
        *above, last = path.split(".")
        table = functools.reduce(lambda inner, key: inner.setdefault(key, {}), above, overlay)
        table |= {last: value / 1000, **cited}
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay, allow_unicode=True), "utf-8")
    base = read(folder / "overlay.yaml")
    resolved(folder / "overlay.yaml", folder / "one.yaml")
    flat = read(folder / "one.yaml")
    # A table of which only some values were given anew gets a source that names those of each.
    assert replace(flat, sources=base.sources) == base
    assert base.sources.items() <= flat.sources.items()
    assert {p: n.value for p, n in flat.numbers.items()} == {p: n.value for p, n in base.numbers.items()}
    for path, number in base.numbers.items():
        flat_number = flat.numbers[path]
        cited_there = flat_number.source in flat.sources
        citation = flat.sources[flat_number.source].cite if cited_there else flat_number.note
        kept = (flat_number.source, flat_number.note) == (number.source, number.note)
        assert kept or (number.source in citation and number.note in citation)
