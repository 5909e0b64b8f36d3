"""Tables as spreadsheets, pandas and R keep them: read as what they mean, or refused with a cure."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seke
from engine import AnswerError
from seke.datasets.manifest import items_of
from seke.files.faults import Faults
from seke.files.rows import RowFile
from seke.samples import answers_from, read_batches
from seke.tables.label_table import read_labels

BASE = seke.knowledge()
STATES = BASE.variables["expression"].states
PLAIN = {"item": "f1", "observer": "gpt-4o", "question": "joint", "draw": 0}
ANSWER = {**PLAIN, "expression": "happiness", "valence": 0.6, "action_units": ["AU6", "AU12"]}
HEAD = "item,observer,question,draw,expression,valence,action_units"


def content(batches):
    """What a batch of one item says, to be compared."""
    (batch,) = batches
    labels = {n: (x.reading.tolist(), x.answer.tolist()) for n, x in batch.labels.items()}
    return batch.items, labels, {n: x.value.tolist() for n, x in batch.numbers.items()}


def samples(tmp_path, text, name="s.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return content(read_batches([path], BASE))


def gold(tmp_path, text, name="g.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = read_labels(path, BASE)
    return table.items, {name: values.tolist() for name, values in table.gold.values.items()}


def report(read, *arguments):
    with pytest.raises(AnswerError) as caught:
        read(*arguments)
    return str(caught.value)


ROW = "f1,gpt-4o,joint,0,happiness,0.6,AU6 AU12"
SEMICOLON = f"{HEAD}\n{ROW}\n".replace(",", ";").replace("0.6", "0,6")
SAMPLES = {
    "semicolon, decimal comma, byte-order mark": b"\xef\xbb\xbf" + SEMICOLON.encode(),
    "semicolon, Windows line ends": SEMICOLON.replace("\n", "\r\n"),
    "tab": f"{HEAD}\n{ROW}\n".replace(",", "\t").replace("0.6", "0,6"),
    "tab, UTF-16": f"{HEAD}\n{ROW}\n".replace(",", "\t").encode("utf-16"),
    "UTF-16, the other order of bytes": b"\xfe\xff" + f"{HEAD}\n{ROW}\n".encode("utf-16-be"),
    "a line that says what stands between": f"sep=;\n{SEMICOLON}",
    "the same line, filled up": f"sep=;;;;;;\r\n{SEMICOLON}",
    "trailing empty columns": f"{HEAD},,,\n{ROW},,,\n,,,,,,,,,\n",
    "trailing empty cells": f"{HEAD}\n{ROW},,\n",
    "a blank column": f"{HEAD.replace(',expression', ',,expression')}\n{ROW.replace('0,h', '0,,h')}\n",
    "an index without a name": f",{HEAD}\n0,{ROW}\n",
    "an index that was read and written again": f"Unnamed: 0,{HEAD}\n0,{ROW}\n",
    "an index with its name": f"index,{HEAD}\n0,{ROW}\n",
    "blank lines before the header": f"\n ,,\n{HEAD}\n{ROW}\n",
    "a state in another case": f"{HEAD}\n{ROW.replace('happiness', 'Happiness')}\n",
    "another word for a state": f"{HEAD}\n{ROW.replace('happiness', 'Joy')}\n",
    "units with zeros": f"{HEAD}\n{ROW.replace('AU6 AU12', 'AU06|au12')}\n",
    "units as JSON, by number": f"{HEAD}\n{ROW.partition('AU6')[0]}" + '"[""6"", ""12""]"\n',
    "quoted cells": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in (HEAD, ROW)),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_samples_are_read_as_they_are_meant(tmp_path, case):
    assert samples(tmp_path, SAMPLES[case]) == content(answers_from([ANSWER], BASE))


@pytest.mark.parametrize("packed", [False, True])
def test_lines_of_json_may_be_utf_16(tmp_path, packed):
    data = f"{json.dumps(ANSWER)}\n\n".encode("utf-16")
    name = "s.jsonl.gz" if packed else "s.jsonl"
    assert samples(tmp_path, gzip.compress(data) if packed else data, name) == content(
        answers_from([ANSWER], BASE)
    )


def test_the_ending_of_tabs_is_known(tmp_path):
    text = f"{HEAD}\n{ROW}\n".replace(",", "\t")
    assert samples(tmp_path, text, "s.tsv") == content(answers_from([ANSWER], BASE))
    assert samples(tmp_path, gzip.compress(text.encode()), "s.tsv.gz") == content(
        answers_from([ANSWER], BASE)
    )


def test_text_that_breaks_off_within_a_character_is_a_fault(tmp_path):
    for data in (
        f"{HEAD}\n{ROW}\n".encode("utf-16")[:-1],
        "item\n\ud800\n".encode("utf-16", "surrogatepass"),
    ):
        assert "not UTF-16 text" in report(samples, tmp_path, data)


def test_a_decimal_comma_is_one_only_where_cells_are_not_divided_by_commas(tmp_path):
    assert "valence: met '0,6' (a text)" in report(
        samples, tmp_path, f"{HEAD}\n{ROW.replace('0.6', chr(34) + '0,6' + chr(34))}\n"
    )
    assert "AU1: met '1.234,5'" in report(gold, tmp_path, "item;AU1\na;1.234,5\n")
    # A name is no number.
    assert gold(tmp_path, "item;valence\n1,5;0,5\n") == (("1,5",), {"valence": [0.5]})


@given(
    st.lists(st.floats(-1, 1, allow_subnormal=False).map(lambda x: round(x, 6)), min_size=1, max_size=5),
    st.sampled_from(";\t"),
)
def test_numbers_are_the_same_with_either_mark(tmp_path_factory, numbers, delimiter):
    folder = tmp_path_factory.mktemp("t")
    rows = "".join(f"i{at}{delimiter}{number!r}\n" for at, number in enumerate(numbers))
    for text in (rows, rows.replace(".", ",")):
        items, values = gold(folder, f"item{delimiter}valence\n{text}")
        assert (len(items), values["valence"]) == (len(numbers), numbers)


def test_what_stands_in_a_column_without_a_name_is_a_fault(tmp_path):
    text = "item,,expression\na,,fear\nb,note,fear\n"
    assert report(gold, tmp_path, text).endswith(
        "g.csv:3: column 2 has no name, and a row has something in it: met 'note' (a text)"
    )


WORDS = ("", "NaN", "nan", "NA", "N/A", "#N/A", "<NA>")


@pytest.mark.parametrize("word", WORDS)
def test_words_for_nothing_are_missing(tmp_path, word):
    text = f"item,expression,valence,AU1\na,{word},{word},{word}\nb,fear,0.5,1\n"
    items, values = gold(tmp_path, text)
    assert items == ("a", "b")
    assert {name: [x if x == x else None for x in column] for name, column in values.items()} == {
        "expression": [None, STATES.index("fear")],
        "valence": [None, 0.5],
        "AU1": [None, 1],
    }
    row = f"{HEAD},AU1\n{ROW.rpartition(',')[0]},{word},{word}\n"
    (batch,) = read_batches([_written(tmp_path, row)], BASE)
    assert "AU1" not in batch.labels
    # An item may be called so.
    assert gold(tmp_path, "item,AU1\nNA,1\n")[0] == ("NA",)


def _written(tmp_path, text):
    (tmp_path / "w.csv").write_text(text)
    return tmp_path / "w.csv"


def test_labels_are_read_in_the_spellings_that_answers_have(tmp_path):
    items, values = gold(tmp_path, "item,expression,AU06\nf1,Happiness,1\nf2,Sad,0\nf3,SURPRISED,\n")
    assert items == ("f1", "f2", "f3")
    assert [STATES[int(at)] for at in values["expression"]] == ["happiness", "sadness", "surprise"]
    assert values["AU6"][:2] == [1, 0]
    assert "'Sadd'; did you mean Sad" not in report(gold, tmp_path, "item,expression\na,Sadd\n")
    assert "AU06: another column is AU6 already" in report(gold, tmp_path, "item,AU6,AU06\na,1,1\n")
    assert "no such column: '6'" in report(gold, tmp_path, "item,6\na,1\n")


def test_two_spellings_of_one_name_are_a_fault_of_samples(tmp_path):
    for values, words in (
        ({"expression": ["happy", "joy"]}, "the ranking names 'happy' and 'joy', which is the same, more"),
        ({"expression": {"happy": 0.5, "happiness": 0.5}}, "names 'happy' and 'happiness', which is"),
        ({"action_units": {"AU6": True, "AU06": False}}, "names 'AU6' and 'AU06', which is the same"),
    ):
        assert words in report(lambda values=values: content(answers_from([{**PLAIN, **values}], BASE)))
    same = {**PLAIN, "action_units": {"AU 6": True, "au012": None, "AU27": True}}
    plain = {**PLAIN, "action_units": {"AU6": True, "AU12": None, "AU27": True}}
    assert content(answers_from([same], BASE)) == content(answers_from([plain], BASE))


def test_whole_numbers_name_items(tmp_path):
    pq.write_table(pa.table({"item": [1, 2], "expression": ["happiness", "Sad"]}), tmp_path / "g.parquet")
    table = read_labels(tmp_path / "g.parquet", BASE)
    assert table.items == ("1", "2")
    pq.write_table(pa.table({"item": [1.0, 2.0], "AU1": [0, 1]}), tmp_path / "h.parquet")
    assert read_labels(tmp_path / "h.parquet", BASE).items == ("1", "2")
    rows = {key: [value] for key, value in ANSWER.items()} | {"item": [7], "draw": [0.0]}
    pq.write_table(pa.table(rows), tmp_path / "s.parquet")
    (batch,) = read_batches([tmp_path / "s.parquet"], BASE)
    assert batch.items == ("7",)
    assert samples(tmp_path, json.dumps({**ANSWER, "item": 7}), "s.jsonl")[0] == ("7",)


def test_an_index_of_pandas_is_passed_over(tmp_path):
    columns = {"item": ["a"], "AU1": [1], "__index_level_0__": [4]}
    pq.write_table(pa.table(columns), tmp_path / "g.parquet")
    assert read_labels(tmp_path / "g.parquet", BASE).items == ("a",)
    assert RowFile(tmp_path / "g.parquet", Faults()).header[1] == ["item", "AU1"]


def test_workbooks_are_refused_with_a_cure(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    for name in ("g.xlsx", "g.xls", "g.ods"):
        assert "save the sheet as CSV" in report(gold, tmp_path, packed.getvalue(), name)
    assert "save the sheet as CSV" in report(gold, tmp_path, packed.getvalue(), "g.csv")
    (tmp_path / "m.xlsx").write_bytes(packed.getvalue())
    assert "save the sheet as CSV" in report(items_of, [tmp_path / "m.xlsx"], BASE)


def test_percentages_are_told_and_can_be_declared(tmp_path):
    given = {
        "angry": 0.1,
        "disgust": 0.0,
        "fear": 0.2,
        "happy": 98.0,
        "sad": 0.5,
        "surprise": 0.7,
        "neutral": 0.5,
    }
    record = {"item": "f1", "observer": "expression-network", "question": "expression", "draw": 0}
    message = report(lambda: content(answers_from([{**record, "expression": given}], BASE)))
    assert message == (
        "record 1: expression: the probabilities sum to 100, as percentages do; if they are, declare it: "
        "{sum: 100} under `distribution` of observer 'expression-network'"
    )
    declared = tmp_path / "percent.yaml"
    declared.write_text(
        "extends: shipped\nobservers:\n  expression-network:\n    categorical:\n      expression:\n"
        "        distribution: {sum: 100}\n"
    )
    shares = {name: number / 100 for name, number in given.items()}
    base = seke.knowledge(declared)
    (read,), (plain,) = (
        answers_from([{**record, "expression": values}], knowledge)
        for values, knowledge in ((given, base), (shares, BASE))
    )
    assert read.labels["expression"].weight.tolist() == pytest.approx(
        plain.labels["expression"].weight.tolist()
    )
    # Declared so, shares of one are no percentages.
    assert "the numbers sum to 1; declared is a sum of 100" in report(
        lambda: content(answers_from([{**record, "expression": shares}], base))
    )


def test_a_table_of_a_detector_is_shown_the_way_in(tmp_path):
    message = report(samples, tmp_path, "frame, face_id, success, AU01_r, AU01_c\n1, 0, 1, 0.0, 0.0\n")
    assert "seke convert" in message
    assert len(message.splitlines()) == 1


def test_an_unknown_observer_is_told_how_it_becomes_known():
    """Another model's numbers are not its own, however much its name is alike."""
    message = report(lambda: content(answers_from([{**ANSWER, "observer": "gpt-5o"}], BASE)))
    assert "no such observer: 'gpt-5o'; declare it under `observers` of an overlay, or" in message
    assert "be those of 'generic-vlm'; declared are affdex, arkit, au-detector" in message
    assert "did you mean" not in message
