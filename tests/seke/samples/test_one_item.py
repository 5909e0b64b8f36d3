"""Of large files only what is about one item is read where no more is needed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine import AnswerError
from seke import knowledge
from seke.samples import read_batches, single_samples

# Names that are part of others, written with escapes, numbers, and what a key of every line has, too.
NAMES = ("a", "aa", "gpt-4o", "é", "a\\", 'a"b', "\t", "7", "70", "item", "\U0001f600", "\\u0061")


@pytest.fixture(scope="module")
def base():
    return knowledge()


def lines(rng):
    """Return lines of JSON about the items, in any order, some with more escapes than needed."""
    written = []
    for draw in range(4):
        for name in rng.permutation(NAMES).tolist():
            label = str(rng.choice(["fear", "surprise"]))
            sample = {
                "item": name,
                "observer": "gpt-4o",
                "question": "expression",
                "draw": draw,
                "expression": label,
            }
            if name.isdigit() and draw % 2:
                sample["item"] = int(name)
            text = json.dumps(sample, ensure_ascii=bool(draw % 2))
            written.append(text.replace('"item": "a', '"item": "\\u0061') if draw == 2 else text)
    return written


def told(samples, name):
    """Return all that is kept of an item: its lines in order of the files, with their answers."""
    of = samples.about({name})
    order = np.argsort(of.place)
    answers = of.answers.only(np.ones(len(of.line), dtype=bool)).labels["expression"]
    answer = dict(
        zip(of.answers.reading_item[answers.reading].tolist(), answers.answer.tolist(), strict=True)
    )
    return of.items, [(of.line[at], answer[at]) for at in order.tolist()]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_an_item_alone_is_what_it_is_among_all(base, tmp_path, ending):
    path = tmp_path / f"samples.{ending}"
    samples = lines(np.random.default_rng(5))
    if ending == "csv":
        rows = [sample for line in samples if (sample := json.loads(line))["item"] != "\t"]
        keys = list(rows[0])
        cells = [keys, *([str(row[key]).replace('"', '""') for key in keys] for row in rows)]
        samples = [",".join(f'"{cell}"' for cell in row) for row in cells]
    path.write_text("\n".join(samples), "utf-8")
    everything = single_samples([path], base)
    for name in everything.items:
        alone = single_samples([path], base, name)
        assert told(alone, name) == told(everything, name)
        (answers,) = read_batches([path], base, item=name)
        assert answers.items == (name,)
        assert answers.samples.tolist() == [4]
    assert single_samples([path], base, "nobody").items == ()
    assert list(read_batches([path], base, item="nobody")) == []


def test_a_fault_of_the_item_is_found_and_others_are_passed_over(base, tmp_path):
    path = tmp_path / "samples.jsonl"
    good, other, *_ = lines(np.random.default_rng(5))
    path.write_text(f"{good}\nno JSON\n{other}\n{other}\n")
    good_name, other_name = (json.loads(line)["item"] for line in (good, other))
    assert len(single_samples([path], base, good_name).line) == 1
    with pytest.raises(AnswerError, match=r"samples.jsonl:4.* given already at .*:3"):
        single_samples([path], base, other_name)
