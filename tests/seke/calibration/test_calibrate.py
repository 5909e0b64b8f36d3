"""seke calibrate as it is used: the overlay, the summary, the guarantee, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from few_faces import EACH, FACES

import seke
from engine import SekeError
from seke.calibration.labelled_answers import without_gold_evidence
from seke.calibration.summary import text_of
from seke.cli.main import main
from seke.samples import single_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples of 80 faces asked for their expression, and their gold."""
    place = tmp_path_factory.mktemp("calibrate")
    simulate(place, 80, draws=3)
    (place / "each.yaml").write_text(EACH.format(base=FACES))
    return place


def simulate(place, items, draws):
    given = ["--items", str(items), "--question", "expression", "--draws", str(draws), "--seed", "5"]
    run(
        "simulate", "-k", str(FACES), *given, "-o", str(place / "s.jsonl"), "--truth", str(place / "gold.csv")
    )


def run(*args, status=0):
    result = CliRunner().invoke(main, list(args))
    assert result.exit_code == status, result.output
    return result


def calibrate(samples, gold, *args, status=0, base=FACES):
    return run("calibrate", str(samples), "-k", str(base), "--gold", str(gold), *args, status=status)


def guaranteed(folder, name, *options, base=FACES):
    """Calibrate for a guarantee, for which there is too little gold."""
    options = "--alpha", "0.05", *options, "-o", str(folder / name)
    return calibrate(folder / "s.jsonl", folder / "gold.csv", *options, status=1, base=base)


@pytest.fixture(scope="module")
def calibrated(folder):
    return guaranteed(folder, "mine.yaml", "--trace", str(folder / "t.nc"))


def test_the_overlay_is_used_as_knowledge(folder, calibrated):
    base, fitted = seke.knowledge(FACES), seke.knowledge(folder / "mine.yaml")
    path = "observers.gpt-4o.categorical.expression.settled.neutral.neutral"
    declared = base.observers["gpt-4o"].labels["expression"].confusion[0][0]
    assert fitted.numbers[path].value != declared
    assert not any(".expression.confusion." in number for number in fitted.numbers if "gpt-4o" in number)
    assert fitted.numbers[path].source.startswith("fit-")
    assert "observers.gpt-4o.categorical.expression.n.neutral" in fitted.numbers
    assert fitted.sources[fitted.numbers[path].source].cite.startswith("seke calibrate")
    records = list(seke.infer(folder / "s.jsonl", folder / "mine.yaml"))
    assert len(records) == 80


def test_the_summary_says_what_moved_and_what_cannot_be_told(calibrated):
    summary = calibrated.output
    assert "gpt-4o.carry: no item has two readings of this observer" in summary
    assert "unanimous but wrong: expression" in summary
    assert "categorical.expression.repeat" in summary


def test_a_trace_is_read_by_arviz(folder, calibrated):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        data = arviz.from_netcdf(str(folder / "t.nc"))
    table = data.posterior["observers.gpt-4o.categorical.expression.settled"]
    np.testing.assert_allclose(table.sum(axis=-1), 1, atol=1e-9)


def test_the_same_seed_gives_the_same_overlay_and_programs_read_the_rest(folder, calibrated):
    facts = json.loads(guaranteed(folder, "again.yaml", "--json").stdout)
    assert (folder / "again.yaml").read_text() == (folder / "mine.yaml").read_text()
    assert {"path", "prior", "value", "sd"} <= set(facts["numbers"][0])
    # A third of the 80; the others certify.
    assert facts["gold"]["expression"] == 27
    assert "too little gold for any guarantee" in facts["guarantee"]
    assert all(certificate["lacks"] for certificate in facts["certificates"])
    about = [certificate["about"] for certificate in facts["certificates"]]
    made = seke.knowledge(folder / "again.yaml").guarantee
    assert [certificate.name for certificate in made.certificates] == about


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], {"expression as a whole", "valence", "arousal", "AU12 false", "AU12 true"}),
        (["--each-value"], {"expression happiness", "expression fear", "valence", "AU12 true"}),
        (["--pool"], {"expression as a whole", "valence", "arousal", "action_units, pooled"}),
    ],
)
def test_too_little_gold_for_a_guarantee_says_how_much_lacks(folder, calibrated, options, named):
    name = "sure.yaml" if options else "mine.yaml"
    result = calibrated
    if options:
        result = guaranteed(folder, name, *options, "--force", base=folder / "each.yaml")
    text = result.output
    assert "Guarantee: too little gold for any guarantee" in text
    made = seke.knowledge(folder / name)
    certificates = {certificate.name: certificate for certificate in made.guarantee.certificates}
    assert named <= set(certificates)
    assert all(certificate.threshold is None and name in text for name, certificate in certificates.items())
    of_root = [certificate for name, certificate in certificates.items() if name.startswith("expression")]
    assert len(of_root) == (4 if options == ["--each-value"] else 1)
    assert all(certificate.limit == made.policy.limits["expression"] for certificate in of_root)


def test_what_exists_is_not_written_over(folder, calibrated):
    before = (folder / "mine.yaml").read_text()
    given = ["-k", str(FACES), "-o", str(folder / "mine.yaml")]
    result = run("calibrate", str(folder / "s.jsonl"), *given, status=2)
    assert "exists already" in result.output
    assert "--force" in result.output
    assert (folder / "mine.yaml").read_text() == before


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("item,expression\nnobody,fear\n", "has no gold for any of the items"),
        ("item,expression\nitem-000000,joyce\n", "gold.csv:2"),
        ("item,expresion\nitem-000000,fear\n", "did you mean expression"),
        ("item,expression\nitem-000000,fear\nitem-000000,anger\n", "item-000000"),
    ],
)
def test_bad_gold_is_refused_and_nothing_is_written(folder, tmp_path, table, message):
    (tmp_path / "gold.csv").write_text(table)
    output = tmp_path / "out.yaml"
    result = calibrate(folder / "s.jsonl", tmp_path / "gold.csv", "-o", str(output), status=2)
    assert message in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gold.csv"]


def test_a_wrong_column_of_gold_is_told_before_the_fit_is_imported(folder, tmp_path):
    (tmp_path / "gold.csv").write_text("image,expression\na,fear\n")
    code = (
        "import sys; from seke.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    given = ["calibrate", folder / "s.jsonl", "--gold", tmp_path / "gold.csv", "-o", tmp_path / "out.yaml"]
    ended = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    assert "image: no such column: 'image'; did you mean item?" in ended.stderr
    assert ended.stdout.split() == ["2", "False"]


def test_without_gold_one_observer_tells_nothing_of_the_truth(folder, tmp_path):
    calibration = seke.calibrate([folder / "s.jsonl"], FACES, with_checks=False)
    assert any("neither gold" in reason for reason in calibration.untold.values())
    assert not [entry for entry in calibration.entries if {"confusion", "settled"} & set(entry.keys)]
    assert any("no gold" in warning for warning in calibration.warnings)
    # Numbers that are told together are named alike.
    untold = {"observers.cnn.a.repeat, observers.cnn.a.strength": "no reading has two answers"}
    summary = text_of(replace(calibration, untold=untold))
    assert "  cnn.a.repeat, cnn.a.strength: no reading has two answers\n" in summary


def test_a_class_without_an_example_is_named(folder, tmp_path):
    rows = (folder / "gold.csv").read_text().splitlines()
    kept = [row for row in rows if ",fear," not in row and not row.endswith(",fear")]
    (tmp_path / "gold.csv").write_text("\n".join(kept) + "\n")
    calibration = seke.calibrate([folder / "s.jsonl"], FACES, tmp_path / "gold.csv", with_checks=False)
    assert any("no item has gold expression fear" in warning for warning in calibration.warnings)
    # What is calibrated is a base as it is: that which its overlay says.
    (tmp_path / "as-written.yaml").write_text(calibration.overlay)
    as_written = seke.infer(folder / "s.jsonl", tmp_path / "as-written.yaml")
    assert list(seke.infer(folder / "s.jsonl", calibration)) == list(as_written)
    with pytest.raises(SekeError, match="knowledge: met int; allowed is a base, the folder or file"):
        seke.infer(folder / "s.jsonl", 3)


def test_kinds_of_reading_that_were_tried_are_told(folder, tmp_path):
    simulate(tmp_path, 110, draws=2)
    options = "--types", "--json", "-o", str(tmp_path / "mine.yaml")
    given = tmp_path / "s.jsonl", tmp_path / "gold.csv", *options
    facts = json.loads(calibrate(*given, base=folder / "each.yaml").stdout)
    (trial,) = facts["types"]
    assert (trial["observer"], trial["variable"]) == ("gpt-4o", "expression")
    assert trial["kinds"] == ["easy", "hard"]
    # They were made up of one kind.
    assert trial["items"] == 110
    assert not trial["kept"]
    assert trial["gain"] < 2 * trial["gain_se"]


@pytest.fixture(scope="module")
def labelled(folder):
    """The same samples with a set's labels among them: the gold itself, of every item but the last."""
    gold = [row.split(",") for row in (folder / "gold.csv").read_text().splitlines()]
    column = gold[0].index("expression")
    named = {"observer": "dataset-label", "question": "expression", "draw": 0}
    labels = [{"item": row[0], **named, "expression": row[column]} for row in gold[1:-1]]
    with (folder / "labelled.jsonl").open("w") as file:
        file.write((folder / "s.jsonl").read_text())
        file.writelines(json.dumps(label) + "\n" for label in labels)
    return folder / "labelled.jsonl"


def test_labels_that_the_gold_tells_leave_no_trace_in_a_fit(folder, calibrated, labelled):
    """The overlay with its record, thresholds and certificates is that of the samples without the labels."""
    output = "-o", str(folder / "mixed.yaml")
    mixed = calibrate(labelled, folder / "gold.csv", "--alpha", "0.05", *output, status=1)
    assert (folder / "mixed.yaml").read_text() == (folder / "mine.yaml").read_text()
    (remark,) = warnings_of(mixed) - warnings_of(calibrated)
    assert "a data set's labels (dataset-label): expression (79 items, 79 equal to the gold)" in remark


def warnings_of(result):
    """The entries under the heading `Warnings`, each in one line."""
    text = result.stdout.partition("\nWarnings\n")[2].partition("\n\n")[0]
    return {" ".join(entry.split()) for entry in re.split(r"\n  (?! )", f"\n{text}")[1:]}


def test_a_policy_is_replayed_without_the_labels_that_the_gold_tells(folder, labelled):
    base = seke.knowledge(FACES)
    gold = seke.read_labels(folder / "gold.csv", base)
    bare, mixed = (single_samples([path], base) for path in (folder / "s.jsonl", labelled))
    blind = without_gold_evidence(mixed, base, gold)
    assert len(mixed.line) == len(bare.line) + 79
    assert blind.line == bare.line
    assert blind.item.tolist() == bare.item.tolist()
    assert blind.answers.samples.tolist() == [1] * 240
    for name, column in bare.answers.labels.items():
        assert blind.answers.labels[name].answer.tolist() == column.answer.tolist()
        assert blind.answers.labels[name].reading.tolist() == column.reading.tolist()
    assert without_gold_evidence(bare, base, gold) is bare


def test_labels_are_kept_where_that_is_asked_for(folder, labelled, tmp_path):
    options = "--keep-gold-evidence", "--json", "-o", str(tmp_path / "kept.yaml")
    given = labelled, folder / "gold.csv", *options
    facts = json.loads(calibrate(*given, base=folder / "each.yaml").stdout)
    assert facts["answers"] == 240 + 79
    assert facts["gold"]["expression"] == 80
    assert {reading["observer"] for reading in facts["record"]["readings"]} == {"gpt-4o", "dataset-label"}
    assert any("is kept" in warning for warning in facts["warnings"])


def test_gold_that_is_nothing_but_labels_is_refused(folder, labelled, tmp_path):
    rows = [line for line in labelled.read_text().splitlines() if "dataset-label" in line]
    (tmp_path / "labels.jsonl").write_text("\n".join(rows) + "\n")
    output = "-o", str(tmp_path / "o.yaml")
    result = calibrate(tmp_path / "labels.jsonl", folder / "gold.csv", *output, status=2)
    assert "nothing else was answered; --keep-gold-evidence keeps these answers" in result.output
