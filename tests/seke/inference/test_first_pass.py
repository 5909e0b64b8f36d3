"""What the pass that finds thresholds inferred is used again, and changes no record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seke import knowledge
from seke.inference import first_pass
from seke.inference.session import Session
from seke.samples import read_batches

SAMPLES = Path("examples/faces/samples.jsonl")


@pytest.fixture(scope="module")
def session():
    return Session.open(knowledge())


def batches(session):
    return list(read_batches([SAMPLES], session.knowledge, size=2))


@pytest.mark.parametrize("processes", [1, 2])
def test_records_are_those_of_a_session_that_infers_again(session, processes, monkeypatch):
    # Room for the posteriors of the first batch only.
    monkeypatch.setattr(first_pass, "MOST_POSTERIORS", 2)
    first, second, *_ = batches(session)
    ready = session.with_thresholds(iter(batches(session)), processes)
    kept = [ready.inferred.of(part) for part in (first, second)]
    assert [posterior is not None for posterior, _ in kept] == [True, False]
    assert all(diagnostics is not None for _, diagnostics in kept)
    again = replace(ready, inferred=first_pass.FirstPass())
    assert [ready.records(part) for part in (first, second)] == [
        again.records(part) for part in (first, second)
    ]


def test_other_answers_about_the_same_items_are_inferred(session):
    first, *_ = batches(session)
    ready = session.with_thresholds([first])
    observer = first.reading_observer.copy()
    observer[0] += 1
    others = [
        replace(first, reading_observer=observer),
        first.part(0, 1),
        replace(first, items=(*first.items[:1], "\ud800")),
        replace(
            first,
            labels={
                **first.labels,
                "AU6": replace(first.labels["AU6"], answer=1 - first.labels["AU6"].answer),
            },
        ),
    ]
    for answers in others:
        assert ready.inferred.of(answers) == (None, None)
    # A base that says otherwise what answers mean takes nothing over.
    assert ready.with_knowledge(ready.knowledge).inferred.of(first) == (None, None)
