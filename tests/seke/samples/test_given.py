"""What a prompt stated is on record: `given` in every form of file, and what it does to evidence."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import seke
from engine import AnswerError, KnowledgeError
from seke.inference.session import Session
from seke.samples import answers_from, read_batches, single_samples

OVERLAY = """
extends: shipped
observers:
  gpt-4o:
    halo:
      {question}: {{given: told, probability: {probability}, source: judgement, note: For a test.}}
"""
TOLD = {"expression": "fear", "AU4": True, "valence": -0.5}


def base_of(folder, probability=0.6, question="joint"):
    path = folder / f"told-{probability}.yaml"
    path.write_text(OVERLAY.format(question=question, probability=probability))
    return seke.knowledge(path)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return base_of(tmp_path_factory.mktemp("base"))


def sample(item="a", draw=0, **values):
    return {"item": item, "observer": "gpt-4o", "question": "joint", "draw": draw, **values}


UNITS = {"action_units": ["AU1", "AU2", "AU4", "AU5", "AU20", "AU25"]}
RECORDS = [
    sample("told", given=TOLD, **UNITS),
    sample("blind", **UNITS),
    sample("blind", 1, given={}, **UNITS),
    sample("refused", given=TOLD, status="refused"),
]


def write(path, records):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif path.suffix == ".csv":
        keys = ["item", "observer", "question", "draw", "status", "given", "action_units"]
        lines = [",".join(keys)]
        for record in records:
            cells = {**record, "given": json.dumps(record["given"]) if record.get("given") else ""}
            cells["action_units"] = " ".join(record.get("action_units", ()))
            quoted = ('"' + str(cells.get(key, "")).replace('"', '""') + '"' for key in keys)
            lines.append(",".join(quoted))
        path.write_text("\n".join(lines) + "\n")
    else:
        keys = list(dict.fromkeys(key for record in records for key in record))
        rows = [
            {key: record.get(key) or None for key in keys} | {"draw": record["draw"]} for record in records
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_every_reader_keeps_what_was_told(base, tmp_path, ending):
    path = tmp_path / f"samples.{ending}"
    write(path, RECORDS)
    (answers,) = read_batches([path], base)
    assert answers.items == ("told", "blind", "refused")
    (given,) = answers.givens
    assert dict(given) == {"expression": 4.0, "AU4": 1.0, "valence": -0.5}
    # A record without it, or with nothing in it, is blind: the two draws are one reading.
    assert answers.reading_given.tolist() == [0, -1]
    assert answers.refused.tolist() == [0, 0, 1]
    assert single_samples([path], base).answers.blind.tolist() == [False, True, True]


def test_told_and_blind_answers_to_one_question_are_two_readings(base):
    records = [sample(draw=draw, **given, **UNITS) for draw, given in enumerate([{}, {"given": TOLD}, {}])]
    (answers,) = answers_from(records, base)
    assert answers.reading_given.tolist() == [-1, 0]
    assert np.bincount(answers.labels["AU1"].reading).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"expresion": "fear"}, "given: no such variable: 'expresion'; did you mean expression?"),
        ({"expression": "glee"}, "given.expression: met 'glee' (a text); allowed is neutral, happiness"),
        ({"expression": True}, "given.expression: met True (a truth value); allowed is neutral"),
        ({"AU4": 0.5}, "given.AU4: met 0.5 (a number); allowed is true or false"),
        ({"AU4": "present"}, "given.AU4: met 'present' (a text); allowed is true or false"),
        ({"valence": -3}, "given.valence: met -3.0 (a number); allowed is -1 to 1"),
        (
            "fear",
            "given: met 'fear' (a text); allowed is a mapping from variable to the value that the prompt",
        ),
        ({"expression": None}, "given.expression: met None (null); allowed is a mapping"),
    ],
)
def test_what_no_variable_can_be_is_a_fault(base, given, fault):
    with pytest.raises(AnswerError) as error:
        list(answers_from([sample(given=given, **UNITS)], base))
    assert fault in str(error.value)


def test_an_answer_that_was_told_something_is_no_look_without_a_word_on_how_often_it_follows():
    with pytest.raises(AnswerError) as error:
        list(answers_from([sample(given={"expression": "fear"}, **UNITS)], seke.knowledge()))
    assert "given: nothing says how often observer 'gpt-4o' follows what question 'joint' told" in str(
        error.value
    )
    assert "`halo: {joint: {given: told, probability: ...}}`" in str(error.value)


def test_an_obedient_answer_adds_the_less_the_oftener_observers_follow(tmp_path):
    """A label of fear, and units that fear implies: told with 1 they add nothing, blind they do."""
    label = {"item": "a", "observer": "dataset-label", "question": "joint", "draw": 0, "expression": "fear"}
    fear = []
    for probability in (1, 0.6, 0.1):
        session = Session.open(base_of(tmp_path, probability))
        records = [label, sample(given={"expression": "fear"}, **UNITS)]
        records += [{**record, "item": "b"} for record in (label, sample(**UNITS))] + [{**label, "item": "c"}]
        (answers,) = answers_from(records, session.knowledge)
        told, blind, alone = session.inference.posterior(answers).marginals["expression"][:, 4]
        if probability == 1:
            assert told == pytest.approx(alone, abs=1e-12)
        fear.append(told - alone)
        assert blind - alone > 0.05
    assert fear[0] < fear[1] < fear[2] < blind - alone


@pytest.mark.parametrize(
    ("given", "probability", "fault"),
    [
        ("expression", 1, r"is 1; allowed is 0 to 0.99 \(an answer that always follows"),
        ("tolt", 0.5, "no categorical variable of this observer, or `told` is called 'tolt'"),
    ],
)
def test_a_halo_of_its_own_label_is_never_certain(tmp_path, given, probability, fault):
    text = OVERLAY.format(question="joint", probability=probability).replace("told", given)
    (tmp_path / "o.yaml").write_text(text)
    with pytest.raises(KnowledgeError, match=fault):
        seke.knowledge(tmp_path / "o.yaml")


def test_a_stated_state_may_be_spelled_as_answers_may(base):
    """`fearful` is another word for fear (`also`); a word for no state is named, without the other words."""
    posteriors = [
        list(seke.infer([sample(given={"expression": word}, **UNITS)], base)) for word in ("fear", "fearful")
    ]
    assert posteriors[0] == posteriors[1]
    words = r"given\.expression: met 'feer' \(a text\); allowed is neutral, [a-z, ]+$"
    with pytest.raises(AnswerError, match=words):
        list(answers_from([sample(given={"expression": "feer"}, **UNITS)], base))
