"""seke export of records: the same rows as of a run, and the card says what nobody knows."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from made_run import EXAMPLES, example_records, made_run, picture

import seke
from engine import SekeError
from seke.cli.main import main
from seke.files.shard_folder import JSON_LINES_GZ, ShardFolder
from seke.files.shards import shard_of

if TYPE_CHECKING:
    from pathlib import Path

WITHOUT_PICTURE = "crowd"
ANY = {"uncalibrated": True}


@dataclass(frozen=True)
class _Inferred:
    """Records of the example, and pictures of all of its items but one, with another picture among them."""

    records: Path
    images: Path
    expected: Path


@pytest.fixture(scope="module")
def inferred(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inferred")
    records, pictures = example_records(), folder / "pictures"
    kept = [record for record in records if record["item"] != WITHOUT_PICTURE]
    rows = [
        {"path": f"{record['item']}.png", "item": record["item"], "group": f"person {number % 7}"}
        for number, record in enumerate(kept)
    ]
    items = [
        {"path": str(picture(pictures / row["path"], number)), "group": row["group"]}
        for number, row in enumerate(rows)
    ]
    picture(pictures / "stranger.png", 200)
    rows.append({"path": "stranger.png"})
    (pictures / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return _Inferred(
        folder / "records.jsonl", pictures / "manifest.jsonl", made_run(folder / "run", kept, items)
    )


def sharded(folder, records, inputs, **made_with):
    """Write records as a cluster leaves them, and return the folder."""
    facts = {"knowledge": seke.knowledge().digest, "population": "uniform", "blind_to": None, **made_with}
    shards = ShardFolder.opened(folder, facts, inputs, 3, JSON_LINES_GZ)
    for number in range(3):
        lines = [json.dumps(record) for record in records if shard_of(record["item"], 3) == number]
        shards.write(number, gzip.compress("\n".join(lines).encode()), {})
    return folder


def told(folder):
    return (folder / "README.md").read_text(), json.loads((folder / "export.json").read_text())


def test_records_give_the_rows_of_a_run_and_nobody_knows_who_answered(inferred, tmp_path):
    args = ["--task", "joint", "--task", "reasoned", "-f", "messages", "-f", "parquet", "--uncalibrated"]
    beside = ["--images", inferred.images, "--samples", EXAMPLES]
    for output, source in (("data", [inferred.records, *beside]), ("of-run", [inferred.expected])):
        command = ["export", *source, "-o", tmp_path / output, *args]
        result = CliRunner().invoke(main, list(map(str, command)))
        assert result.exit_code == 0, result.output
        if output == "data":
            assert "records do not say who answered" in result.stderr
            assert f"records without a picture, left out: 1 ({WITHOUT_PICTURE})" in result.stderr
            assert "pictures without a record, not exported: 1 (stranger)" in result.stderr
            assert "rest on another number" not in result.stderr
    rows = [(tmp_path / name / "messages" / "train.jsonl").read_text() for name in ("data", "of-run")]
    assert rows[0] == rows[1]
    table = {
        row["item"]: row for row in pq.read_table(tmp_path / "data" / "parquet/train.parquet").to_pylist()
    }
    samples = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    for item, row in table.items():
        asked = [(s["observer"], s["question"], s.get("status", "ok")) for s in samples if s["item"] == item]
        assert [(a["observer"], a["question"], a["status"]) for a in row["answers"]] == asked
        assert {a["model"] for a in row["answers"]} == {None}
    states = list(seke.knowledge().variables["expression"].states)
    (vote,) = [s["expression"] for s in samples if s["item"] == "human-coder"]
    assert table["human-coder"]["votes"] == [int(state == vote) for state in states]

    card, facts = told(tmp_path / "data")
    assert "**It is not known who answered.**" in card
    assert "A vision model was asked" not in card
    assert "Models, prompts, prices, the ledger and the words of a guarantee are those of a run" in card
    counted = sum(sample["item"] != WITHOUT_PICTURE for sample in samples)
    assert facts["card"]["run"]["samples"] == counted
    assert facts["scripted"] is None
    assert facts["left_out"]["no picture"] == 1
    assert not {"model", "prompts", "digests", "budget"} & facts["card"]["run"].keys()
    assert "date-released" not in yaml.safe_load((tmp_path / "data" / "CITATION.cff").read_text())
    metadata = json.loads((tmp_path / "data" / "croissant.json").read_text())
    assert "datePublished" not in metadata
    assert "which models or people they were is not known" in metadata["rai:dataAnnotationProtocol"]


def test_a_folder_of_shards_names_its_samples_and_its_base(inferred, tmp_path):
    shards = sharded(tmp_path / "shards", example_records(), [EXAMPLES.as_uri()])
    seke.export(shards, tmp_path / "data", images=inferred.images, tasks="joint", **ANY)
    card, facts = told(tmp_path / "data")
    assert "population `uniform`" in card
    assert "do not say which knowledge" not in card
    assert len(facts["card"]["run"]["asked"]) > 3
    other = sharded(tmp_path / "other", example_records(), [str(EXAMPLES)], knowledge="0" * 16)
    gone = sharded(tmp_path / "gone", example_records(), [str(tmp_path / "no.jsonl")])
    lost = sharded(tmp_path / "lost", example_records(), [(tmp_path / "no.jsonl").as_uri()])
    for source, given, message in (
        (other, {}, f"{other}: was made with knowledge {'0' * 16}, this is faces"),
        (shards, {"population": "affectnet"}, "was made with population uniform, not affectnet"),
        (gone, {}, f"no.jsonl: no such file; {gone} was made of it: name where it is now with --samples"),
        (lost, {}, f"{lost} was made of it: name a copy with --samples"),
    ):
        with pytest.raises(SekeError) as refused:
            seke.export(source, tmp_path / "new", images=inferred.images, **ANY, **given)
        assert message in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_answers_that_are_marked_as_made_up_need_consent(inferred, tmp_path):
    marked = tmp_path / "samples.jsonl"
    lines = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    marked.write_text("".join(json.dumps({**line, "extra": {"scripted": True}}) + "\n" for line in lines))
    beside = {"images": inferred.images, "samples": [marked], **ANY}
    with pytest.raises(SekeError, match=r"all answers are made up .* --allow-scripted exports them"):
        seke.export(inferred.records, tmp_path / "data", **beside)
    exported = seke.export(inferred.records, tmp_path / "data", allow_scripted=True, **beside)
    assert "all answers are made up" in exported.warnings[0]
    card, facts = told(tmp_path / "data")
    assert "**All answers behind these labels are made up (scripted).**" in card
    assert facts["scripted"] == facts["card"]["run"]["answers"] > 0


def test_what_does_not_fit_together_is_refused(inferred, tmp_path):
    records, images = inferred.records, str(inferred.images)
    twice, foreign, few = tmp_path / "twice.jsonl", tmp_path / "foreign.jsonl", tmp_path / "few.jsonl"
    lines = records.read_text().splitlines()
    twice.write_text(f"{lines[0]}\n{lines[0]}\n")
    foreign.write_text(json.dumps({**json.loads(lines[0]), "expression": {"joy": 1.0}}) + "\n")
    few.write_text("".join(f"{line}\n" for line in EXAMPLES.read_text().splitlines()[:5]))
    strangers = str(inferred.images.with_name("stranger.png"))
    run, samples = inferred.expected, str(EXAMPLES)
    for source, given, message in (
        (records, [], "has records without pictures; name these with --images"),
        (records, ["--images", images], "does not say who was asked what; name the files of the samples"),
        (
            records,
            ["--images", strangers, "--samples", samples],
            "none of its 33 items has a picture: it names",
        ),
        (records, ["--images", images, "--samples", few], "no sample is about one-answer, face-at-rest"),
        (
            records,
            ["--images", images, "--samples", samples, "--population", "uniforn"],
            "did you mean uniform",
        ),
        (
            records,
            ["--images", images, "--samples", records],
            "is a posterior record, as seke infer writes it",
        ),
        (
            records,
            ["--images", images, "--samples", samples, "--rewrite", "m"],
            "--rewrite: keeps what is paid",
        ),
        (twice, ["--images", images, "--samples", samples], "'agreement' has two records"),
        (foreign, ["--images", images, "--samples", samples], "is of other variables than faces has"),
        (run / "posteriors.jsonl", ["--images", images], f"is of a run, which knows more; export {run}"),
        (run, ["--images", images], "--images: is for records of seke infer"),
        (run, ["--population", "affectnet"], "was made with uniform, not affectnet"),
    ):
        args = ["export", source, "-o", tmp_path / "data", "--uncalibrated", *given]
        result = CliRunner().invoke(main, list(map(str, args)), env={"OPENAI_API_KEY": "none"})
        assert result.exit_code == 2, (message, result.output)
        assert message in result.stderr
        assert not (tmp_path / "data").exists()


def test_other_samples_than_the_records_rest_on_are_told(inferred, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text(
        '{"item": "agreement", "observer": "human", "question": "expression", "expression": "fear"}\n'
    )
    exported = seke.export(
        inferred.records, tmp_path / "data", images=[inferred.images], samples=[EXAMPLES, more], **ANY
    )
    (warning,) = [line for line in exported.warnings if "another number of answers" in line]
    assert "have: 1 (agreement on 5, and the samples have 6)" in warning
    assert warning.partition(" (")[0] in told(tmp_path / "data")[0]
