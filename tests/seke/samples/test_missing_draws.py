"""Samples without `draw`: numbered as they stand, never counted twice, and no mixture of both."""

from __future__ import annotations

import json

import numpy as np
import polars
import pytest

import seke
from engine import AnswerError
from seke.samples import answers_from, read_batches, read_records

KEY = {"item": "a", "observer": "gpt-4o", "question": "joint"}
# Two readings of one item, another item between them, and an answer that comes again word for word.
SAMPLES = [
    KEY | {"expression": "anger"},
    KEY | {"item": "b", "valence": 0.5},
    KEY | {"expression": "anger"},
    KEY | {"expression": "fear", "view": "near"},
    KEY | {"expression": "neutral"},
]
DRAWS = [0, 0, 1, 0, 2]


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.items == other.items
        np.testing.assert_array_equal(one.reading_item, other.reading_item)
        for name, column in other.labels.items():
            for key, values in vars(column).items():
                np.testing.assert_array_equal(getattr(one.labels[name], key), values)


def test_draws_that_are_missing_are_numbered_as_they_stand_in_all_formats(tmp_path, base):
    numbered = [sample | {"draw": draw} for sample, draw in zip(SAMPLES, DRAWS, strict=True)]
    expected = list(answers_from(numbered, base))
    same(answers_from(SAMPLES, base), expected)
    frame = polars.DataFrame(SAMPLES)
    lines, parts = tmp_path / "s.jsonl", [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    texts = [json.dumps(sample) for sample in SAMPLES]
    for path, text in zip((lines, *parts), (texts, texts[:2], texts[2:]), strict=True):
        path.write_text("\n".join(text), encoding="utf-8")
    frame.write_csv(tmp_path / "s.csv")
    frame.write_parquet(tmp_path / "s.parquet")
    for paths in ([lines], [tmp_path / "s.csv"], [tmp_path / "s.parquet"], parts):
        same(read_batches(paths, base), expected)
        # Also where samples go through a file on disk.
        same(read_batches(paths, base, in_memory=1), expected)
    assert [record["draw"] for record in read_records([lines], base)] == DRAWS
    assert [r["decision"] for r in seke.infer(frame)] == [r["decision"] for r in seke.infer(numbered)]
    together = sorted(SAMPLES, key=lambda sample: sample["item"])
    lines.write_text("\n".join(map(json.dumps, together)), encoding="utf-8")
    same(read_batches([lines], base, in_order=True), expected)


def test_a_source_that_is_named_twice_does_not_count_twice(tmp_path, base):
    path, other = tmp_path / "s.jsonl", tmp_path / "link.jsonl"
    path.write_text("\n".join(map(json.dumps, SAMPLES)), encoding="utf-8")
    other.symlink_to(path)
    frame = polars.DataFrame(SAMPLES)
    for sources, fault in (
        ([path, path], f"{path}: is named twice; its samples would count twice. Name it once"),
        ([path, other], f"{other}: is {path}, named twice; "),
        ([frame, frame], "frame 2: is frame, named twice; "),
    ):
        with pytest.raises(AnswerError) as refused:
            list(seke.infer(sources))
        assert str(refused.value).startswith(fault)


def test_some_with_a_draw_and_others_without_are_a_fault(tmp_path, base):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(json.dumps(SAMPLES[0] | {"draw": 0}), encoding="utf-8")
    second.write_text(json.dumps(SAMPLES[0]), encoding="utf-8")
    with pytest.raises(AnswerError, match=r"has one .*; give all of them a draw, or none") as fault:
        list(read_batches([first, second], base))
    assert str(fault.value).startswith(f"{second}:1: draw: missing, but another sample of item 'a'")
    # Of another view it is another reading.
    second.write_text(json.dumps(SAMPLES[3]), encoding="utf-8")
    assert len(next(iter(read_batches([first, second], base))).reading_item) == 2
