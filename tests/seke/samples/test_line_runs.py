"""Lines that other processes read: the same answers, and the same faults with file and line."""

from __future__ import annotations

import gzip
import json
import pickle
from functools import partial

import numpy as np
import pytest

import seke
from engine import AnswerError
from seke.files import lines as file_lines
from seke.samples import LineBinder, read_batches

KEY = {"observer": "gpt-4o", "question": "joint"}
GOOD = [KEY | {"item": f"face-{k:02d}", "draw": 0, "expression": "fear", "valence": -0.5} for k in range(60)]
WRONG = (
    b'{"item": "a", "item": "b", "observer": "gpt-4o", "question": "joint", "draw": 0}',
    b"nonsense",
    b"   ",
    json.dumps(KEY | {"item": "c", "draw": 0, "expression": "angry"}).encode(),
    json.dumps(KEY | {"item": "d", "draw": 0, "valence": 7}).encode(),
    json.dumps(KEY | {"item": "e", "draw": 0, "observer": "gpt-4"}).encode(),
)


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


@pytest.fixture
def binding(base, monkeypatch):
    """What other processes do, through what is sent to them and back; runs of a few lines."""
    monkeypatch.setattr(file_lines, "BLOCK", 1000)

    def sent(binder, runs):
        binder = pickle.loads(pickle.dumps(binder))
        for run in runs:
            yield run, pickle.loads(pickle.dumps(binder(pickle.loads(pickle.dumps(run)))))

    return partial(sent, LineBinder(base))


def test_answers_are_those_of_one_process(tmp_path, base, binding):
    first, second = tmp_path / "one.jsonl", tmp_path / "two.jsonl.gz"
    rows = [json.dumps(row).encode() for row in GOOD]
    first.write_bytes(b"\n\n".join(rows[:40]))
    second.write_bytes(gzip.compress(b"\n".join(rows[40:])))
    for in_order in (False, True):
        plain = list(read_batches([first, second], base, in_order=in_order, size=16))
        bound = list(read_batches([first, second], base, in_order=in_order, size=16, binding=binding))
        assert [part.items for part in bound] == [part.items for part in plain]
        for one, other in zip(bound, plain, strict=True):
            assert pickle.dumps(one.samples) == pickle.dumps(other.samples)
            for name, column in other.numbers.items():
                np.testing.assert_array_equal(one.numbers[name].value, column.value)


@pytest.mark.parametrize("in_order", [False, True])
def test_faults_are_those_of_one_process(tmp_path, base, binding, in_order):
    rows = [json.dumps(row).encode() for row in GOOD]
    for place, line in zip((3, 11, 12, 30, 31, 58), WRONG, strict=True):
        rows.insert(place, line)
    undrawn = [json.dumps({k: v for k, v in GOOD[0].items() if k != "draw"}).encode()]
    names = ("f.jsonl", "c.jsonl.gz", "b.jsonl", "d.jsonl", "m.jsonl")
    faulty, cut, blank, doubled, many = (tmp_path / name for name in names)
    faulty.write_bytes(b"\n".join(rows))
    cut.write_bytes(gzip.compress(b"\n".join(rows * 5))[:-300])
    blank.write_bytes(b"\n\n")
    doubled.write_bytes(b"\n".join(undrawn))
    many.write_bytes(b"\n".join(WRONG * 30))
    for paths in ([faulty], [blank, faulty], [cut], [blank], [doubled, doubled], [many], [tmp_path / "no"]):
        told = []
        for how in (None, binding):
            with pytest.raises(AnswerError) as caught:
                list(read_batches(paths, base, in_order=in_order, binding=how))
            told.append(str(caught.value))
        assert told[1] == told[0]
        assert str(paths[-1]) in told[0]
