"""What goes with an export that is given away: every answer, terms, Croissant, citation, whose doubt."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from made_run import made_records, made_run, picture

import seke
from engine import SekeError

ANY_RUN = {"uncalibrated": True, "allow_scripted": True}
VOTES = {"face-000000": {"fear": 3}, "face-000001": {"fear": 2, "sadness": 2}, "face-000002": {"anger": 1}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Thirty items of two sources, with answers in the ledger and of people among the samples."""
    folder = tmp_path_factory.mktemp("made")
    records = list(made_records(30))
    for number, record in enumerate(records):
        levels = record["decision"]["levels"]
        levels["valence"] = {**levels["valence"], "decision": "accept"}
        levels["expression"] = {**levels["expression"], "decision": "accept" if number % 2 else "reject"}
    items = [
        {
            "path": str(picture(folder / "faces" / f"{n}.png", n)),
            "group": f"person {n % 7}",
            "source": ["Set A", "Set B"][n % 7 % 2],
            "picture": f"{n:064x}",
        }
        for n, _ in enumerate(records)
    ]
    made_run(folder / "run", records, items)
    with closing(sqlite3.connect(folder / "run" / "ledger.sqlite")) as db:
        row = ("face-000000", "gpt-4o", "joint", "", "face", 0, 1, "it smiles", "stop", None, "{}", "ok")
        db.execute(f"INSERT INTO choices VALUES ({', '.join('?' * len(row))}, 0)", row)
        db.commit()
    looks = [
        {
            "item": item,
            "observer": "human",
            "question": "joint",
            "draw": draw,
            "view": "face",
            "expression": state,
        }
        for item, states in VOTES.items()
        for draw, state in enumerate(state for state, count in states.items() for _ in range(count))
    ]
    # Who saw what the model said casts no vote.
    looks.append({**looks[0], "draw": 9, "expression": "anger", "given": {"expression": "anger"}})
    (folder / "run" / "samples.jsonl").write_text("".join(json.dumps(look) + "\n" for look in looks))
    (folder / "sources.csv").write_text(
        "source,licence,url,consent\nSet A,CC BY 4.0,https://a.org/x,research\n"
    )
    return folder / "run"


@pytest.fixture(scope="module")
def exported(run):
    folder = run.with_name("data")
    settings = {"formats": ["parquet", "messages"], "split": "train:.7,test:.3", "near_duplicates": "no"}
    pictures = {"copy_images": True, "licence": "CC BY 4.0", "sources": run.with_name("sources.csv")}
    return seke.export(run, folder, **settings, **pictures, **ANY_RUN)


def table(exported):
    rows = []
    for path in Path(exported.folder).glob("parquet/*.parquet"):
        rows += pq.read_table(path).to_pylist()
    return {row["item"]: row for row in rows}


def test_a_row_has_every_answer_the_terms_and_whose_doubt_it_is(run, exported):
    rows = table(exported)
    answers = rows["face-000000"]["answers"]
    assert answers[0] == {
        "observer": "gpt-4o",
        "model": "made-up-2026",
        "question": "joint",
        "about": "",
        "view": "face",
        "draw": 0,
        "status": "ok",
        "text_sha256": hashlib.sha256(b"it smiles").hexdigest(),
    }
    assert [(answer["observer"], answer["text_sha256"]) for answer in answers[1:]] == [("human", None)] * 4
    states = seke.knowledge().variables["expression"].states
    for row in rows.values():
        votes = VOTES.get(row["item"], {})
        assert row["votes"] == ([votes.get(state, 0) for state in states] if votes else None)
        decided = row["decision"]["levels"]["expression"]["decision"]
        assert (row["model"], row["label"] is None) == (
            ("sure", False) if decided == "accept" else ("unsure", True)
        )
        assert row["licence"] == "CC BY 4.0"
        assert row["consent"] == ("research" if row["source"] == "Set A" else "")
        # The picture itself is in the row, byte for byte.
        assert row["picture"]["bytes"] == (Path(exported.folder) / row["image"]).read_bytes()
    people = {item: rows[item]["people"] for item in [*VOTES, "face-000003"]}
    assert list(people.values()) == ["agree", "split", "unknown", "unknown"]
    card = (Path(exported.folder) / "README.md").read_text()
    assert "| split | sure | 1 |" in card
    assert "Items of which fewer than two people's votes are known: 28;" in card
    assert "| Set A | CC BY 4.0 | https://a.org/x |  | research |" in card
    assert "| Set B | CC BY 4.0 |  |  | not stated |" in card
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc-by-4.0"
    assert any(
        "pictures of Set B are copied, and nothing says what the people" in w for w in exported.warnings
    )


def test_a_table_of_votes_takes_the_place_of_the_runs(run, tmp_path):
    votes = tmp_path / "votes.csv"
    votes.write_text("item,expression,votes\nface-000001,fear,5\nface-000001,sadness,4\nface-000003,fear,1\n")
    seke.export(run, tmp_path / "data", formats="parquet", votes=votes, **ANY_RUN)
    rows = {row["item"]: row for row in pq.read_table(tmp_path / "data/parquet/train.parquet").to_pylist()}
    read = {item: (rows[item]["people"], sum(rows[item]["votes"] or [])) for item in rows}
    assert [read[f"face-00000{n}"] for n in range(4)] == [
        ("agree", 3),
        ("agree", 9),
        ("unknown", 1),
        ("unknown", 1),
    ]
    votes.write_text("item,expression,votes\nx,joyy,1\n,fear,1\ny,fear,1.5\n")
    with pytest.raises(SekeError) as error:
        seke.export(run, tmp_path / "bad", votes=votes, **ANY_RUN)
    for line in ("2: expression: 'joyy'", "3: needs `item` and `expression`", "4: votes: '1.5'; a whole"):
        assert f"votes.csv:{line}" in str(error.value)
    assert not (tmp_path / "bad").exists()


def test_one_person_in_several_splits_is_refused(run, tmp_path):
    settings = {"formats": "parquet", "split": "train:.5,test:.5", "near_duplicates": "no", **ANY_RUN}
    with pytest.raises(SekeError, match=r"persons \(column group\) would be in several splits: .*by itself"):
        seke.export(run, tmp_path / "data", group="item", **settings)
    assert not (tmp_path / "data").exists()
    # No person here is of two sources.
    seke.export(run, tmp_path / "data", group="source", **settings)


def test_the_citation_has_what_the_format_asks_for(exported):
    cited = yaml.safe_load((Path(exported.folder) / "CITATION.cff").read_text())
    assert (cited["cff-version"], cited["type"], cited["date-released"]) == ("1.2.0", "dataset", "2026-05-29")
    for work in (cited, *cited["references"]):
        assert work["title"]
        assert all(author["name"] for author in work["authors"])
    assert {work["type"] for work in cited["references"]} == {"software", "data"}
    assert [work["title"] for work in cited["references"][1:]] == ["Set A", "Set B"]


@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_its_records_are_those_of_the_files(exported, caplog):
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=Path(exported.folder) / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert not [record for record in caplog.records if "@context" in record.message]
    expected = table(exported)
    states = [record["classes/name"] for record in dataset.records("classes")]
    assert states == list(seke.knowledge().variables["expression"].states)
    read = {}
    for split in exported.splits:
        for record in dataset.records(f"parquet-{split}"):
            values = {name.partition("/")[2]: value for name, value in record.items()}
            read[values["item"].decode()] = values
    assert read.keys() == expected.keys()
    for item, row in expected.items():
        assert read[item]["consent"].decode() == row["consent"]
        assert list(read[item]["soft_label"]) == pytest.approx(row["soft_label"])
        assert read[item]["people"].decode() == row["people"]
    metadata = json.loads((Path(exported.folder) / "croissant.json").read_text())
    assert (
        "Set A: research; Set B: what the people pictured agreed to is not stated"
        in (metadata["rai:personalSensitiveInformation"])
    )
    tasks = [record["messages-test/task"] for record in dataset.records("messages-test")]
    assert len(tasks) == len((Path(exported.folder) / "messages/test.jsonl").read_text().splitlines())
