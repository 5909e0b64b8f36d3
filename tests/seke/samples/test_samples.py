"""Reading samples: what is understood, what is refused and in which words."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import seke
from engine import AnswerError, Knowledge
from engine.model.knowledge import Code, LabelInstrument, NumberInstrument, Observer
from engine.model.policy import Policy, Question
from engine.model.variable import Variable
from seke.files.repeated_keys import repeated_key
from seke.samples import answers_from, read_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine import Answers

STATES = ("neutral", "happiness", "anger")
UNITS = ("AU6", "AU12", "AU26")
KEY = {"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0}


def observer(name: str, labels: dict[str, tuple[str, ...]], numbers: Iterable[str]) -> Observer:
    return Observer(
        name=name,
        askable=name != "human",
        labels={v: LabelInstrument(variable=v, answers=a) for v, a in labels.items()},
        numbers={v: NumberInstrument(variable=v) for v in numbers},
    )


def base() -> Knowledge:
    """Three states, V/A, three units, a code that hides one of them, three observers."""
    truth = ("false", "true")
    edges = (-1.0, -0.5, 0.0, 0.5, 1.0)
    variables = [
        Variable("expression", "categorical", STATES, ""),
        Variable("valence", "interval", (), "", edges=edges),
        Variable("arousal", "interval", (), "", edges=edges),
        *(Variable(unit, "binary", truth, "") for unit in UNITS),
        Variable("weather", "categorical", ("wet", "dry"), ""),
        Variable("sprinkler", "binary", truth, ""),
    ]
    units = dict.fromkeys(UNITS, truth)
    weather = {"weather": ("dry", "wet"), "sprinkler": truth}
    affect = ("valence", "arousal")
    observers = [
        observer("gpt-4o", {"expression": (*STATES, "other"), **units}, affect),
        observer("cnn", {"expression": STATES, "AU12": truth, "AU26": truth}, ()),
        observer("human", {"expression": STATES, **units, **weather}, affect),
    ]
    questions = [
        Question(name="joint", variables=("expression", *affect, *UNITS)),
        Question(name="expression", variables=("expression",)),
        Question(name="verify", variables=UNITS, about_one=True),
        Question(name="garden", variables=("weather", "sprinkler", "valence")),
    ]
    return Knowledge(
        name="test",
        description="",
        sources={},
        variables={variable.name: variable for variable in variables},
        codes={"AU27": Code(name="AU27", hides=("AU26",))},
        levels={
            "expression": ("expression",),
            "affect": affect,
            "action_units": UNITS,
        },
        root="expression",
        reference="",
        populations={},
        cells={},
        intervals=affect,
        moments=(),
        couplings=(),
        rules=(),
        observers={observer.name: observer for observer in observers},
        questions={question.name: question for question in questions},
        policy=Policy(),
        digest="",
        usual_view="face",
    )


BASE = base()


def line(**fields: Any) -> str:
    return json.dumps({**KEY, **fields})


def read_text(tmp_path: Path, text: str | bytes, name: str = "s.jsonl", **options: Any) -> Answers:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    (batch,) = read_batches([path], BASE, **options)
    return batch


def answers_of(**fields: Any) -> Answers:
    (batch,) = answers_from([{**KEY, **fields}], BASE)
    return batch


def rows(batch: Answers, variable: str) -> list[tuple[int, int, float, bool]]:
    labels = batch.labels[variable]
    columns = (labels.reading, labels.answer, labels.weight, labels.spread)
    return list(zip(*(column.tolist() for column in columns), strict=True))


# What is understood ---------------------------------------------------------------------------


def test_a_sample_that_names_no_view_is_of_the_usual_one() -> None:
    records = [KEY | {"expression": "anger"}, KEY | {"expression": "anger", "draw": 1, "view": "near"}]
    (batch,) = answers_from(records, replace(BASE, usual_view="near"))
    assert (batch.views, len(batch.reading_view)) == (("near",), 1)


def test_a_plain_sample_fills_one_row_a_variable() -> None:
    batch = answers_of(expression="anger", valence=-1, arousal=0.25, action_units=["AU12"])
    assert batch.items == ("a",)
    assert batch.views == ("face",)
    assert rows(batch, "expression") == [(0, 2, 1.0, False)]
    assert [rows(batch, unit)[0][1] for unit in UNITS] == [0, 1, 0]
    assert batch.numbers["valence"].value.tolist() == [-1.0]
    assert batch.numbers["arousal"].value.tolist() == [0.25]
    assert (batch.samples[0], batch.asked[0], batch.hidden[0]) == (1, 1, 0)


def test_the_answers_are_those_of_the_observer() -> None:
    assert rows(answers_of(expression="other"), "expression") == [(0, 3, 1.0, False)]
    batch = answers_of(observer="human", question="garden", reports={"weather": "wet"})
    assert rows(batch, "weather") == [(0, 1, 1.0, False)]


def test_a_distribution_is_spread_over_its_nonzero_entries() -> None:
    batch = answers_of(expression={"anger": 0.75, "neutral": 0, "happiness": 0.125})
    assert sorted(rows(batch, "expression")) == [(0, 1, 0.125, True), (0, 2, 0.75, True)]


def test_a_ranking_gives_its_first_place_and_three_places() -> None:
    batch = answers_of(expression=["anger", "other"])
    assert rows(batch, "expression") == [(0, 2, 1.0, False)]
    assert batch.rankings["expression"].places.tolist() == [[2, 3, -1]]
    longer = answers_of(expression=["anger", "other", "neutral", "happiness"])
    assert longer.rankings["expression"].places.tolist() == [[2, 3, 0]]


def test_a_mapping_of_units_may_hold_truth_null_and_probabilities() -> None:
    batch = answers_of(action_units={"AU6": True, "AU12": 0.75, "AU26": None})
    assert rows(batch, "AU6") == [(0, 1, 1.0, False)]
    assert sorted(rows(batch, "AU12")) == [(0, 0, 0.25, True), (0, 1, 0.75, True)]
    assert "AU26" not in batch.labels
    assert batch.hidden.tolist() == [1]


def test_a_list_covers_what_is_asked_for_and_what_the_observer_can_report() -> None:
    batch = answers_of(observer="cnn", action_units=[])
    assert set(batch.labels) == {"AU12", "AU26"}
    assert rows(batch, "AU12") == [(0, 0, 1.0, False)]


@pytest.mark.parametrize(
    ("value", "au26", "hidden"),
    [
        (["AU27"], [], 1),
        (["AU27", "AU26"], [1], 0),
        ({"AU27": True, "AU26": False}, [], 1),
        ({"AU27": True, "AU26": 0.1}, [], 1),
        ({"AU27": True, "AU26": True}, [1], 0),
        ({"AU27": True, "AU26": None}, [], 1),
        ({"AU27": True}, [], 1),
        ({"AU27": False, "AU26": False}, [0], 0),
        ({"AU27": False}, [], 0),
    ],
)
def test_a_code_makes_what_it_hides_not_visible(value: Any, au26: list[int], hidden: int) -> None:
    batch = answers_of(action_units=value)
    answers = [row[1] for row in rows(batch, "AU26")] if "AU26" in batch.labels else []
    assert (answers, batch.hidden.tolist()) == (au26, [hidden])


def test_reports_take_every_kind_of_variable() -> None:
    batch = answers_of(
        observer="human",
        question="garden",
        reports={"weather": {"wet": 0.5}, "sprinkler": True, "valence": 1},
    )
    assert rows(batch, "weather") == [(0, 1, 0.5, True)]
    assert rows(batch, "sprinkler") == [(0, 1, 1.0, False)]
    assert batch.numbers["valence"].value.tolist() == [1.0]


def test_null_is_missing_for_a_level_and_not_visible_for_a_binary_report() -> None:
    batch = answers_of(
        observer="human",
        question="garden",
        expression=None,
        reports={"weather": None, "sprinkler": None, "valence": None},
    )
    assert (dict(batch.labels), dict(batch.numbers)) == ({}, {})
    assert batch.hidden.tolist() == [1]
    assert batch.reading_item.tolist() == [0]


def test_null_about_what_an_observer_never_reports_says_nothing() -> None:
    """A network may name units that it cannot see; the base need not say how reliable it is about them."""
    landmarker = {**KEY, "observer": "face-landmarker", "question": "action_units"}
    (batch,) = answers_from(
        [{**landmarker, "action_units": {"AU9": None, "AU12": 0.4, "AU1": None}}], seke.knowledge()
    )
    assert list(batch.labels) == ["AU12"]
    # That AU1 is not visible is told, since it might be.
    assert batch.hidden.tolist() == [1]
    with pytest.raises(AnswerError, match=r"action_units\.AU9: observer 'face-landmarker' has no instrument"):
        list(answers_from([{**landmarker, "action_units": {"AU9": 0.5}}], seke.knowledge()))


def test_draws_share_a_reading_and_views_questions_and_observers_part_them() -> None:
    records = [
        {**KEY, "draw": 1, "expression": "anger"},
        {**KEY, "draw": 0, "expression": "neutral"},
        {**KEY, "view": "grey", "expression": "anger"},
        {**KEY, "question": "expression", "expression": "anger"},
        {**KEY, "observer": "human", "expression": "anger"},
    ]
    (batch,) = answers_from(records, BASE)
    assert batch.reading_item.tolist() == [0, 0, 0, 0]
    assert batch.reading_observer.tolist() == [0, 0, 0, 2]
    assert batch.reading_question.tolist() == [0, 0, 1, 0]
    assert [batch.views[view] for view in batch.reading_view] == ["face", "grey", "face", "face"]
    assert batch.labels["expression"].reading.tolist() == [0, 0, 1, 2, 3]
    assert (batch.samples.tolist(), batch.asked.tolist()) == ([5], [4])


def test_refused_and_unreadable_are_counted_and_make_no_reading() -> None:
    records = [
        {**KEY, "status": "refused"},
        {**KEY, "draw": 1, "status": "unreadable", "extra": {"said": "I cannot"}},
        {**KEY, "item": "b", "status": "unreadable"},
        {**KEY, "item": "b", "draw": 1, "expression": "anger"},
    ]
    (batch,) = answers_from(records, BASE)
    assert batch.reading_item.tolist() == [1]
    assert (batch.refused.tolist(), batch.unreadable.tolist()) == ([1, 0], [1, 1])
    assert (batch.samples.tolist(), batch.asked.tolist()) == ([2, 2], [2, 2])


def test_items_come_in_order_of_first_appearance_over_files_in_batches(tmp_path: Path) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(line(item="z", expression="anger") + "\n" + line(expression="anger"))
    second.write_text(
        line(item="m", expression="anger") + "\n" + line(item="z", draw=1, expression="neutral")
    )
    batches = list(read_batches([first, second], BASE, size=2))
    assert [batch.items for batch in batches] == [("z", "a"), ("m",)]
    assert batches[0].samples.tolist() == [2, 1]


def test_blank_lines_a_byte_order_mark_and_windows_ends_are_accepted(tmp_path: Path) -> None:
    text = f"\ufeff{line(expression='anger')}\r\n\n  \r\n{line(draw=1, expression='anger')}"
    assert read_text(tmp_path, text).samples.tolist() == [2]


@pytest.mark.parametrize("extra", [None, 1, 1.5, "text", [1, {"a": []}], {"prompt": {"b": None}}])
def test_extra_holds_anything(tmp_path: Path, extra: Any) -> None:
    assert read_text(tmp_path, line(expression="anger", extra=extra)).samples.tolist() == [1]


def test_gzip_is_recognised_by_its_first_bytes(tmp_path: Path) -> None:
    data = gzip.compress(line(expression="anger").encode())
    assert read_text(tmp_path, data, "s.jsonl.gz").items == ("a",)
    assert read_text(tmp_path, data, "s.jsonl").items == ("a",)


def test_a_dash_is_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(line(expression="anger").encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    (batch,) = read_batches(["-"], BASE)
    assert batch.items == ("a",)


def test_progress_adds_up_to_the_size_of_the_files(tmp_path: Path) -> None:
    plain, packed = tmp_path / "s.jsonl", tmp_path / "t.csv.gz"
    plain.write_text(line(expression="anger"))
    packed.write_bytes(gzip.compress(b"item,observer,question,draw,valence\nb,gpt-4o,joint,0,1\n"))
    columns = {"item": ["c"], "observer": ["gpt-4o"], "question": ["joint"], "draw": [0], "valence": [0.5]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "u.parquet")
    paths = [plain, packed, tmp_path / "u.parquet"]
    read: list[int] = []
    list(read_batches(paths, BASE, progress=read.append))
    assert sum(read) == sum(path.stat().st_size for path in paths)


def test_numbers_of_numpy_are_numbers() -> None:
    batch = answers_of(draw=np.int64(3), valence=np.float64(0.5), action_units={"AU6": np.bool_(True)})
    assert batch.numbers["valence"].value.tolist() == [0.5]
    assert rows(batch, "AU6") == [(0, 1, 1.0, False)]


def test_no_records_yield_nothing() -> None:
    assert list(answers_from([], BASE)) == []


# CSV ------------------------------------------------------------------------------------------


def csv_batch(tmp_path: Path, columns: str, *cells: str) -> Answers:
    head = f"item,observer,question,draw,{columns}\n"
    body = "".join(f"a,gpt-4o,joint,{draw},{row}\n" for draw, row in enumerate(cells))
    return read_text(tmp_path, head + body, "s.csv")


def test_csv_says_the_same_as_json_lines(tmp_path: Path) -> None:
    batch = csv_batch(
        tmp_path,
        "expression,valence,action_units,status,extra",
        "anger,-.5,AU6 AU12,,",
        'anger|other,,"AU6, AU12",ok,"[1]"',
        '"{""anger"": 0.5}",,none,,',
        ",,,refused,",
        ',,"{""AU6"": null}",,',
    )
    same = [
        {**KEY, "expression": "anger", "valence": -0.5, "action_units": ["AU6", "AU12"]},
        {**KEY, "draw": 1, "expression": ["anger", "other"], "action_units": ["AU6", "AU12"]},
        {**KEY, "draw": 2, "expression": {"anger": 0.5}, "action_units": []},
        {**KEY, "draw": 3, "status": "refused"},
        {**KEY, "draw": 4, "action_units": {"AU6": None}},
    ]
    assert_same([batch], list(answers_from(same, BASE)))


def test_csv_takes_a_column_for_a_single_variable(tmp_path: Path) -> None:
    batch = csv_batch(tmp_path, "AU6,AU12,AU26", "1,0.75,", "false,,true")
    same = [
        {**KEY, "action_units": {"AU6": True, "AU12": 0.75}},
        {**KEY, "draw": 1, "action_units": {"AU6": False, "AU26": True}},
    ]
    assert_same([batch], list(answers_from(same, BASE)))
    text = "item,observer,question,draw,weather,sprinkler\na,human,garden,0,wet,1\n"
    garden = read_text(tmp_path, text, "g.csv")
    assert rows(garden, "weather") == [(0, 1, 1.0, False)]
    assert rows(garden, "sprinkler") == [(0, 1, 1.0, False)]


# What is refused ------------------------------------------------------------------------------

GOOD = line(expression="anger")
JSON_FAULTS = {
    "unknown observer": (
        line(observer="gpt4o", expression="anger"),
        "2: observer: no such observer: 'gpt4o'; declare it under `observers` of an overlay; "
        "declared are cnn, gpt-4o, human",
    ),
    "unknown question": (
        line(question="jont", expression="anger"),
        "2: question: no such question: 'jont'; did you mean joint?",
    ),
    "unknown state": (
        line(expression="hapiness"),
        "2: expression: no such answer of observer 'gpt-4o': 'hapiness'; did you mean happiness?",
    ),
    "unknown state in a ranking": (
        line(expression=["anger", "rage"]),
        "2: expression[1]: no such answer of observer 'gpt-4o': 'rage'; did you mean anger?",
    ),
    "a state of another observer": (
        line(observer="cnn", expression={"other": 1}),
        "2: expression.other: no such answer of observer 'cnn': 'other'"
        "; allowed are anger, happiness, neutral",
    ),
    "unknown variable in a list": (
        line(action_units=["AU66"]),
        "2: action_units: no such variable: 'AU66'; did you mean AU6?",
    ),
    "unknown variable in a mapping": (
        line(action_units={"AU66": True}),
        "2: action_units: no such variable: 'AU66'; did you mean AU6?",
    ),
    "unknown variable in reports": (
        line(reports={"wether": "wet"}),
        "2: reports: no such variable: 'wether'; did you mean weather?",
    ),
    "posterior record": (
        '{"item": "a", "expression": {"fear": 1.0}, "decision": {"item": "accept"}, "diagnostics": {}}',
        "2: is a posterior record, as seke infer writes it, and no sample: give the samples that it is of",
    ),
    "unknown key": (line(expresion="anger"), "2: expresion: unknown key; did you mean expression?"),
    "missing key": (
        '{"item": "a", "observer": "gpt-4o", "draw": 0, "expression": "anger"}',
        "2: question: missing; every sample has item, observer, question",
    ),
    "not asked for": (
        line(question="expression", valence=0.5),
        "2: valence: question 'expression' does not ask for it; it asks for expression",
    ),
    "not asked for, in a list": (
        line(question="expression", action_units=["AU6"]),
        "2: action_units.AU6: question 'expression' does not ask for it; it asks for expression",
    ),
    "no instrument": (
        line(observer="cnn", valence=0.5),
        "2: valence: observer 'cnn' has no instrument for it; it reports expression, AU12, AU26",
    ),
    "no instrument, in a mapping": (
        line(observer="cnn", action_units={"AU6": True}),
        "2: action_units.AU6: observer 'cnn' has no instrument for it; it reports expression, AU12, AU26",
    ),
    "a list that covers nothing": (
        line(question="expression", action_units=[]),
        "2: action_units: question 'expression' asks observer 'gpt-4o' for none of this level"
        " that it has an instrument for",
    ),
    "a list where one variable is asked": (
        line(question="verify", action_units=["AU6"]),
        "2: action_units: question 'verify' is about one variable, so a list cannot say what is"
        " absent; allowed is a mapping such as {name: true}",
    ),
    "out of range": (
        line(valence=1.5),
        "2: valence: 1.5 is out of range; allowed is -1 to 1 (convert numbers of another scale; "
        "`scale:` of a question is for answers that seke asks for)",
    ),
    "a probability out of range": (
        line(expression={"anger": 1.25}),
        "2: expression.anger: 1.25 is out of range; allowed is 0 to 1",
    ),
    "a unit's probability out of range": (
        line(action_units={"AU6": -0.5}),
        "2: action_units.AU6: -0.5 is out of range; allowed is 0 to 1",
    ),
    "a code's probability out of range": (
        line(action_units={"AU27": 2}),
        "2: action_units.AU27: 2 is out of range; allowed is 0 to 1",
    ),
    "a distribution that sums to too much": (
        line(expression={"anger": 0.75, "neutral": 0.75}),
        "2: expression: the probabilities sum to 1.5; allowed is more than 0 and at most 1.01",
    ),
    "a distribution of nothing": (
        line(expression={}),
        "2: expression: the probabilities sum to 0; allowed is more than 0 and at most 1.01",
    ),
    "an empty ranking": (
        line(expression=[]),
        "2: expression: the ranking is empty; use null for a missing answer",
    ),
    "a repeated state": (
        line(expression=["anger", "other", "anger"]),
        "2: expression: the ranking names 'anger' more than once",
    ),
    "NaN": (
        line(valence=float("nan")),
        "2: valence: met NaN; a number must be finite (use null for a missing one)",
    ),
    "NaN in a distribution": (
        line(expression={"anger": float("nan")}),
        "2: expression.anger: met NaN; a number must be finite (use null for a missing one)",
    ),
    "infinity": (
        line(extra=[1, float("-inf")]),
        "2: extra[1]: met -Infinity; a number must be finite (use null for a missing one)",
    ),
    "a number beyond all numbers": (
        GOOD[:-1] + ', "valence": 1e999}',
        "2: valence: met Infinity; a number must be finite (use null for a missing one)",
    ),
    "truncated in a text": (
        GOOD[:-3],
        f"2:{len(GOOD) - 2}: truncated JSON: the line ends before its object is complete",
    ),
    "truncated after a value": (
        GOOD[:-1],
        f"2:{len(GOOD)}: truncated JSON: the line ends before its object is complete",
    ),
    "truncated in a word": (
        '{"item": "a", "extra": tru',
        "2:27: truncated JSON: the line ends before its object is complete",
    ),
    "no JSON": (
        "{'item': 'a'}",
        "2:2: not JSON: expecting property name enclosed in double quotes",
    ),
    "two objects on a line": (GOOD + GOOD, f"2:{len(GOOD) + 1}: not JSON: extra data"),
    "not an object": (
        "[1, 2]",
        "2: a sample is an object with named fields; met [1, 2] (a list)",
    ),
    "wrong type of a name": (
        line(item=17.5),
        "2: item: met 17.5 (a number); allowed is a text that is not empty",
    ),
    "an empty item": (
        line(item="", expression="anger"),
        "2: item: met '' (a text); allowed is a text that is not empty",
    ),
    "a draw that is a text": (
        line(draw="0"),
        "2: draw: met '0' (a text); allowed is a whole number from 0",
    ),
    "a negative draw": (
        line(draw=-1),
        "2: draw: met -1 (a number); allowed is a whole number from 0",
    ),
    "a draw that is no whole number": (
        line(draw=0.5),
        "2: draw: met 0.5 (a number); allowed is a whole number from 0",
    ),
    "a draw that is a truth value": (
        line(draw=True),
        "2: draw: met True (a truth value); allowed is a whole number from 0",
    ),
    "a draw too large": (
        line(draw=2**63),
        "2: draw: met 9223372036854775808 (a number); allowed is at most 9223372036854775807",
    ),
    "a draw of 5000 digits": (
        line()[:-2] + "1" * 5000 + "}",
        "2: a number has too many digits",
    ),
    "unknown status": (
        line(status="filtered"),
        "2: status: met 'filtered' (a text); allowed are ok, refused, unreadable, not_judged",
    ),
    "wrong type of a label": (
        line(expression=3),
        "2: expression: met 3 (a number); allowed is a name, a list of names (best first) or a"
        " mapping from name to probability",
    ),
    "wrong type in a ranking": (
        line(expression=["anger", None]),
        "2: expression[1]: met None (null); allowed is a name (a text)",
    ),
    "wrong type of a probability": (
        line(expression={"anger": "high"}),
        "2: expression.anger: met 'high' (a text); allowed is a number from 0 to 1",
    ),
    "wrong type of a number": (
        line(valence="0.5"),
        "2: valence: met '0.5' (a text); allowed is a number",
    ),
    "wrong type of units": (
        line(action_units="AU6"),
        "2: action_units: met 'AU6' (a text); allowed is a list of names or a mapping from name to"
        " true, false, null or a probability",
    ),
    "wrong type of a unit": (
        line(action_units={"AU6": "yes"}),
        "2: action_units.AU6: met 'yes' (a text); allowed is true, false, null or a probability; write true",
    ),
    "wrong type of reports": (
        line(reports=["weather"]),
        "2: reports: met ['weather'] (a list); allowed is a mapping from variable to its value",
    ),
    "a report of another kind": (
        line(observer="human", question="garden", reports={"sprinkler": "on"}),
        "2: reports.sprinkler: met 'on' (a text); allowed is true, false, null or a probability",
    ),
    "a key twice": (
        line(valence=0.1)[:-1] + ', "valence": 0.2}',
        f"2:{len(line(valence=0.1)) + 2}: valence: is given twice",
    ),
    "a unit twice": (
        line(action_units={"AU6": True})[:-2] + ', "AU6": false}}',
        f"2:{len(line(action_units={'AU6': True})) + 1}: AU6: is given twice",
    ),
    "reported twice": (
        line(expression="anger", reports={"expression": "anger"}),
        "2: reports.expression: expression is given too; allowed is one of them",
    ),
    "nothing reported": (
        line(),
        "2: reports nothing; leave it out, or say by `status` why: refused, unreadable, not_judged",
    ),
    "refused with an answer": (
        line(status="refused", expression="anger"),
        "2: status: met 'refused' beside expression; such an answer reports nothing",
    ),
    "duplicate": (
        GOOD.replace('"draw": 0', '"draw": 7'),
        "2: draw: 7 of item 'a', observer 'gpt-4o', question 'joint', view 'face'"
        " was given already at {file}:1",
    ),
    "nested too deeply": (
        GOOD[:-1] + ', "extra": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "2: nested too deeply; a sample has at most three levels",
    ),
    "half a surrogate pair": (
        line(item="\ud800", expression="anger"),
        "2: JSON is malformed: unexpected end of escaped utf-16 surrogate pair (byte 16)",
    ),
    "a long value": (
        line(status="x" * 500),
        f"2: status: met '{'x' * 27}...{'x' * 28}' (a text); allowed are ok, refused, unreadable, not_judged",
    ),
}


@pytest.mark.parametrize("case", JSON_FAULTS)
@pytest.mark.parametrize("in_order", [False, True])
def test_a_bad_line_is_named_with_its_file_and_line(tmp_path: Path, case: str, in_order: bool) -> None:
    bad, message = JSON_FAULTS[case]
    path = tmp_path / "s.jsonl"
    # A fault further down comes in the same report; a repeated draw is found at the end.
    further = "" if case == "duplicate" else line(draw=8, expression="x")
    path.write_text(f"{line(draw=7, expression='anger')}\n{bad}\n{further}\n")
    with pytest.raises(AnswerError) as caught:
        list(read_batches([path], BASE, in_order=in_order))
    first, *others = str(caught.value).splitlines()
    assert first == f"{path}:" + message.replace("{file}", str(path))
    unknown = f"{path}:3: expression: no such answer of observer 'gpt-4o': 'x'"
    assert [text.startswith(unknown) for text in others] == ([True] if further else [])


FILE_FAULTS = {
    "empty file": ("s.jsonl", b"", ":1: the file is empty"),
    "only a byte order mark": (
        "s.jsonl",
        b"\xef\xbb\xbf",
        ":1: the file is empty",
    ),
    "blank lines only": ("s.jsonl", b"\n \n", ":1: no samples: nothing but blank lines"),
    "NUL bytes": (
        "s.jsonl",
        GOOD.encode() + b"\n\0\0\0",
        ":2: met a NUL byte: a binary or damaged file; allowed is text",
    ),
    "no UTF-8": (
        "s.jsonl",
        GOOD.encode() + b'\n{"item": "\xe9", "observer": "x"}',
        ":2:11: not UTF-8 text: met the byte 0xe9; save the file as UTF-8",
    ),
    "no gzip": ("s.gz", b"{}", ":1: is named .gz but holds no gzip data"),
    "gzip cut off": (
        "s.gz",
        gzip.compress(GOOD.encode())[:-12],
        ":1: the gzip data is cut off here; get the file again",
    ),
    "gzip damaged": (
        "s.gz",
        gzip.compress(GOOD.encode(), mtime=0)[:10] + b"\xff" * 30,
        ":1: the gzip data is damaged here; get the file again",
    ),
    "gzip with a wrong check sum": (
        "s.gz",
        gzip.compress(GOOD.encode(), mtime=0)[:-8] + b"\1" * 8,
        ":1: the gzip data is damaged here; get the file again",
    ),
    "over-long line": (
        "s.jsonl",
        GOOD.encode() + b"\n" + b"x" * (17 << 20),
        ":2: the line is longer than 4 MB",
    ),
    "CSV with nothing": ("s.csv", b"\n\n", ":1: no header; all lines are blank"),
    "CSV with a header only": (
        "s.csv",
        b"item,observer,question,draw\n",
        ":1: no samples: nothing but blank lines after the header",
    ),
    "CSV, posterior records": (
        "s.csv",
        b"item,expression.fear,decision.item,diagnostics.samples\na,1,accept,2\n",
        ":1: is a posterior record, as seke infer writes it, and no sample: give the samples that it is of",
    ),
    "a list of objects": (
        "s.json",
        f"[{GOOD}]".encode(),
        ":1: is one list of JSON; needed is one object a line (JSON Lines): jq -c '.[]' writes it so",
    ),
    "objects over several lines": (
        "s.json",
        b'\n{\n  "item": "a"\n}\n',
        ":1: is JSON over several lines; needed is one object a line (JSON Lines): jq -c . writes it so",
    ),
    "labels": (
        "s.jsonl",
        b'{"item": "a", "expression": "fear", "group": "p"}',
        ":1: looks like a label, not a sample; samples need item, observer, question",
    ),
    "another name of the observer": (
        "s.jsonl",
        b'{"item": "a", "expression": "fear", "model": "gpt-4o"}',
        ":1: model: unknown key; did you mean observer?",
    ),
    "CSV, labels": (
        "s.csv",
        b"item,AU06,group\na,1,p\n",
        ":1: looks like a table of labels, not of samples; samples need item, observer, question",
    ),
    "CSV, unknown column": (
        "s.csv",
        b"item,observer,question,drew\n",
        ":1: drew: unknown column; did you mean draw?",
    ),
    "CSV, missing column": (
        "s.csv",
        b"item,observer,draw\n",
        ":1: question: no such column; needed are item, observer, question",
    ),
    "CSV, a column twice": (
        "s.csv",
        b"item,observer,question,draw,item\n",
        ":1: item: the header names this column twice",
    ),
    "CSV, too few cells": (
        "s.csv",
        b'item,observer,question,draw,extra\na,gpt-4o,joint,0,"[\n1]"\nb,gpt-4o\n',
        ":2: reports nothing; leave it out, or say by `status` why: refused, unreadable, not_judged\n"
        "{file}:4: met 2 cells; the header names 5 columns",
    ),
    "CSV, too many cells": (
        "s.csv",
        b"item,observer,question,draw\n\na,gpt-4o,joint,0,x,y\n",
        ":3: met 6 cells; the header names 4 columns",
    ),
    "CSV, a number that is none": (
        "s.csv",
        b'item,observer,question,draw,valence,extra\na,gpt-4o,joint,0,.5,"[\n1]"\nb,cnn,joint,1,x,\n',
        ":4: valence: met 'x' (a text); allowed is a number",
    ),
    "CSV, no end": (
        "s.csv",
        b"item,observer,question,draw,valence\na,gpt-4o,joint,0,inf\n",
        ":2: valence: met Infinity; a number must be finite (use null for a missing one)",
    ),
    "CSV, a decimal comma and a percentage": (
        "s.csv",
        b'item,observer,question,valence,AU6\na,gpt-4o,joint,"0,75",1\nb,gpt-4o,joint,0.5,75%\n',
        ":2: valence: met '0,75' (a text); allowed is a number; write a decimal point: 0.75\n"
        "{file}:3: action_units.AU6: met '75%' (a text); allowed is true, false, null or a probability;"
        " write a percentage as a share: 0.75",
    ),
    "CSV, words and intensities of coders": (
        "s.csv",
        b"item,observer,question,AU6,AU12\na,gpt-4o,joint,yes,1\nb,gpt-4o,joint,0,B\n",
        ":2: action_units.AU6: met 'yes' (a text); allowed is true, false, null or a probability;"
        " write true\n{file}:3: action_units.AU12: met 'B' (a text); allowed is true, false, null or a"
        " probability;"
        " write true from the intensity on that counts as active",
    ),
    "a picture": (
        "s.png",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        ": is a picture; something has to look at pictures first: seke annotate asks a model about them,"
        " seke observe networks on this machine",
    ),
    "CSV, some draws missing": (
        "s.csv",
        b"item,observer,question,draw,valence\na,gpt-4o,joint,0,0\na,gpt-4o,joint,,1\n",
        ":3: draw: missing, but another sample of item 'a', observer 'gpt-4o', question 'joint', view 'face'"
        " has one ({file}:2); give all of them a draw, or none",
    ),
    "CSV, bad JSON": (
        "s.csv",
        b'item,observer,question,draw,expression\na,gpt-4o,joint,0,"{""anger"": "\n',
        ":2: expression: not JSON: Expecting value: line 1 column 10 (char 9)",
    ),
    "CSV, bad quotes": (
        "s.csv",
        b'item,observer,question,draw\n"a"b,gpt-4o,joint,0\n',
        ":2: not CSV: ',' expected after '\"'",
    ),
    "CSV, a list beside single columns": (
        "s.csv",
        b"item,observer,question,draw,action_units,AU6\na,gpt-4o,joint,0,AU6,1\n",
        ":2: action_units: reported in its own column and in those of single variables"
        "; allowed is one of them",
    ),
    "CSV, no UTF-8": (
        "s.csv",
        b"item,observer,question,draw\n\xe9,gpt-4o,joint,0\n",
        ":2: not UTF-8 text: met the byte 0xe9; save the file as UTF-8",
    ),
}


@pytest.mark.parametrize("case", FILE_FAULTS)
def test_a_bad_file_is_named(tmp_path: Path, case: str) -> None:
    name, data, message = FILE_FAULTS[case]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(AnswerError) as caught:
        list(read_batches([path], BASE))
    assert str(caught.value) == f"{path}{message.replace('{file}', str(path))}"


def test_a_missing_file_a_directory_and_no_file_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.jsonl"
    with pytest.raises(AnswerError) as caught:
        list(read_batches([missing], BASE))
    assert str(caught.value) == f"{missing}: no such file"
    with pytest.raises(AnswerError) as caught:
        list(read_batches([tmp_path], BASE))
    assert str(caught.value) == f"{tmp_path}: is a directory; name the files in it"
    with pytest.raises(AnswerError) as caught:
        list(read_batches([], BASE))
    assert str(caught.value) == "no sample files are named"


def test_records_are_named_by_their_number() -> None:
    good = {**KEY, "expression": "anger"}
    bad: list[tuple[Any, str]] = [
        ({**good, "draw": 1, "expression": "rage"}, "record 2: expression: no such answer"),
        (good, "record 2: draw: 0 of item 'a', observer 'gpt-4o', question 'joint', view 'face'"),
        ({**good, 3: 4}, "record 2: 3: unknown key"),
        ({**good, "valence": float("inf")}, "record 2: valence: met Infinity"),
        ({**good, "item": "\ud800"}, "record 2: item and view must be encodable as UTF-8"),
        ({**good, "expression": {1: 0.5}}, "record 2: expression: met 1 (a number) as a key"),
        (17, "record 2: a sample is an object with named fields; met 17 (a number)"),
    ]
    for record, message in bad:
        with pytest.raises(AnswerError) as caught:
            list(answers_from([good, record], BASE))
        assert str(caught.value).startswith(message)


def test_an_item_that_comes_back_is_refused_where_order_is_promised(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    names = ["a", "b", "c", "a"]
    path.write_text("\n".join(line(item=n, draw=d, valence=0) for d, n in enumerate(names)))
    for size in (1, 2, 100):
        with pytest.raises(AnswerError) as caught:
            list(read_batches([path], BASE, in_order=True, size=size))
        assert str(caught.value) == (
            f"{path}:4: item: 'a' appears again after other items, but --sorted needs the samples "
            f"of an item together; it began at {path}:1"
        )


def test_an_item_that_comes_back_in_a_later_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    fill = [line(item=f"i{index // 10}", draw=index % 10, valence=0) for index in range(9000)]
    path.write_text("\n".join([*fill, line(item="i4", draw=11, valence=0)]))
    with pytest.raises(AnswerError, match=r"s.jsonl:9001: item: 'i4' .* began at .*:41$"):
        list(read_batches([path], BASE, in_order=True, size=7))


def test_temporary_files_are_gone_afterwards_and_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    path = tmp_path / "s.jsonl"
    lines = [line(item=f"i{index}", valence=0) for index in range(50)]
    for options in ({"in_memory": 3}, {"in_order": True}):
        path.write_text("\n".join(lines))
        batches = read_batches([path], BASE, size=5, **options)
        next(batches)
        assert len(list(place.iterdir())) == 1
        assert len(list(batches)) == 9
        assert list(place.iterdir()) == []
        unfinished = read_batches([path], BASE, size=5, **options)
        next(unfinished)
        del unfinished
        assert list(place.iterdir()) == []
        path.write_text("\n".join([*lines, lines[3]]))
        with pytest.raises(AnswerError, match="i3"):
            list(read_batches([path], BASE, size=5, **options))
        assert list(place.iterdir()) == []


# Laws -----------------------------------------------------------------------------------------


def canonical(batches: Iterable[Answers]) -> list[Any]:
    """All that batches say, without the order of items and rows and the numbers given to them."""
    facts: list[Any] = []
    for batch in batches:
        readings = [
            (batch.items[item], observer, question, batch.views[view])
            for item, observer, question, view in zip(
                batch.reading_item.tolist(),
                batch.reading_observer.tolist(),
                batch.reading_question.tolist(),
                batch.reading_view.tolist(),
                strict=True,
            )
        ]
        facts += [("reading", reading) for reading in readings]
        for name in batch.labels:
            facts += [(name, readings[row[0]], *row[1:]) for row in rows(batch, name)]
        for name, numbers in batch.numbers.items():
            pairs = zip(numbers.reading.tolist(), numbers.value.tolist(), strict=True)
            facts += [(name, readings[reading], value) for reading, value in pairs]
        for name, ranked in batch.rankings.items():
            places = zip(ranked.reading.tolist(), ranked.places.tolist(), strict=True)
            facts += [(name, readings[reading], "ranking", tuple(order)) for reading, order in places]
        counts = (batch.samples, batch.refused, batch.unreadable, batch.hidden, batch.asked)
        table = zip(batch.items, *(count.tolist() for count in counts), strict=True)
        facts += [("item", *row) for row in table]
    return sorted(facts, key=repr)


def assert_same(batches: list[Answers], expected: list[Answers]) -> None:
    assert canonical(batches) == canonical(expected)


expressions = st.one_of(
    st.none(),
    st.sampled_from(STATES),
    st.lists(st.sampled_from(STATES), min_size=1, unique=True),
    st.dictionaries(st.sampled_from(STATES), st.sampled_from([0.125, 0.25]), min_size=1),
)
units = st.one_of(
    st.lists(st.sampled_from([*UNITS, "AU27"])),
    st.dictionaries(st.sampled_from([*UNITS, "AU27"]), st.sampled_from([True, False, None, 0.25])),
)


@st.composite
def record_lists(draw: Callable[..., Any]) -> list[dict[str, Any]]:
    keys = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abcdef"),
                st.sampled_from(["gpt-4o", "human"]),
                st.sampled_from(["face", "grey"]),
                st.integers(0, 3),
            ),
            min_size=1,
            max_size=30,
            unique=True,
        )
    )
    records = []
    for item, who, view, number in keys:
        record = {"item": item, "observer": who, "question": "joint", "view": view, "draw": number}
        status = draw(st.sampled_from(["ok", "ok", "ok", "refused", "unreadable"]))
        if status == "ok":
            record |= {"expression": draw(expressions), "valence": draw(st.floats(-1, 1))}
            record |= {"action_units": draw(units)}
        records.append(record | {"status": status})
    return records


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "s.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@settings(deadline=None, max_examples=examples(25))
@given(records=record_lists(), data=st.data(), size=st.integers(1, 4))
def test_the_order_of_lines_changes_nothing(
    records: list[dict[str, Any]], data: st.DataObject, size: int
) -> None:
    shuffled = data.draw(st.permutations(records))
    assert_same(list(answers_from(records, BASE, size=size)), list(answers_from(shuffled, BASE, size=size)))


def columns(batch: Answers) -> list[Any]:
    """Everything a batch holds, in its order."""
    contents: list[Any] = [batch.items, batch.views, batch.givens]
    arrays = [getattr(batch, name) for name in vars(batch) if name not in ("items", "views", "givens")]
    for value in arrays:
        for array in value.values() if isinstance(value, dict) else [value]:
            inner = vars(array).values() if hasattr(array, "__dict__") else [array]
            contents += [column.tolist() for column in inner]
    return contents


@settings(deadline=None, max_examples=examples(25))
@given(records=record_lists(), size=st.integers(1, 4), limit=st.integers(0, 8))
def test_memory_and_disk_give_the_same_columns(records: list[dict[str, Any]], size: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), records)
        memory = list(read_batches([path], BASE, size=size))
        spilled = list(read_batches([path], BASE, size=size, in_memory=limit))
    assert [columns(batch) for batch in memory] == [columns(batch) for batch in spilled]


@settings(deadline=None, max_examples=examples(25))
@given(records=record_lists(), size=st.integers(1, 4))
def test_sorted_and_gathered_give_the_same_columns(records: list[dict[str, Any]], size: int) -> None:
    ordered = sorted(records, key=lambda record: str(record["item"]))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), ordered)
        gathered = list(read_batches([path], BASE, size=size))
        streamed = list(read_batches([path], BASE, size=size, in_order=True))
    assert canonical(gathered) == canonical(streamed)
    together = [item for batch in streamed for item in batch.items]
    assert together == [item for batch in gathered for item in batch.items]


@settings(deadline=None, max_examples=examples(100))
@given(data=st.binary(max_size=60), cut=st.integers(0, 60), name=st.sampled_from(["jsonl", "csv"]))
def test_nothing_but_an_answer_error_escapes(data: bytes, cut: int, name: str) -> None:
    text = GOOD if name == "jsonl" else "item,observer,question,draw,valence\na,cnn,joint,0,1\n"
    mixed = text.encode()[:cut] + data + text.encode()[cut:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"s.{name}"
        path.write_bytes(mixed)
        try:
            list(read_batches([path], BASE))
        except AnswerError as error:
            message = str(error)
        else:
            message = f"{path}: was read"
    assert message.startswith(f"{path}:")


@pytest.mark.parametrize("given", [{"item": "a"}, b"a.jsonl"])
def test_one_sample_is_not_taken_for_a_list_of_names(given):
    with pytest.raises(
        AnswerError, match=r"^samples: met a (dict|bytes); allowed are a file, a frame .*, or a list"
    ):
        list(seke.infer(given))


@given(st.lists(st.sampled_from(["AU6", "AU12", r"a\"b", "{"]), max_size=4), st.booleans())
def test_a_key_of_one_object_is_found_twice_and_of_two_objects_is_not(keys, spaced):
    colon = " : " if spaced else ":"
    parts = ", ".join(f'"{key}"{colon}"x: {{}} \\" :"' for key in keys)
    twice = repeated_key(f'{{"AU6": {{"AU6": 1}}, "marks": {{{parts}}}}}'.encode())
    assert (twice is not None) == (len(set(keys)) < len(keys))
    assert twice is None or twice[1] in keys


@pytest.mark.parametrize("name", ["s.jsonl", "s.csv"])
def test_a_draw_that_pandas_wrote_as_a_float_is_read(tmp_path, name):
    keys = ("item", "observer", "question")
    if name == "s.csv":
        cells = ",".join(str(KEY[key]) for key in keys)
        text = f"item,observer,question,draw,valence\n{cells},0.0,0.5\n{cells},1.00,0.5\n"
    else:
        text = "\n".join(json.dumps({**KEY, "draw": draw, "valence": 0.5}) for draw in (0.0, 1.0))
    read = read_text(tmp_path, text, name)
    plain = "\n".join(json.dumps({**KEY, "draw": draw, "valence": 0.5}) for draw in (0, 1))
    assert_same([read], [read_text(tmp_path, plain, "plain.jsonl")])
