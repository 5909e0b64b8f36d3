"""What the pass that finds thresholds inferred is used again, and changes no record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seke import knowledge, simulate
from seke.inference import first_pass
from seke.inference.processes import workers
from seke.inference.session import Session
from seke.samples import answers_from

FEW_FACES = Path(__file__).parents[2] / "few_faces.yaml"


@pytest.fixture(scope="module")
def session():
    return Session.open(knowledge(FEW_FACES))


@pytest.fixture(scope="module")
def samples(session):
    return [row for part in simulate(session.knowledge, 6, draws=2, seed=1) for row in part.samples]


def batches(session, samples):
    """Answers about two items each."""
    return list(answers_from(samples, session.knowledge, size=2))


@pytest.mark.parametrize("processes", [1, 2])
def test_records_are_those_of_a_session_that_infers_again(session, samples, processes, monkeypatch):
    # Room for the posteriors of the first batch only.
    monkeypatch.setattr(first_pass, "MOST_POSTERIORS", 2)
    first, second, *_ = batches(session, samples)
    with workers(processes, session.look) as shared:
        ready = session.with_thresholds(iter(batches(session, samples)), shared)
    kept = [ready.inferred.of(part) for part in (first, second)]
    assert [posterior is not None for posterior, _ in kept] == [True, False]
    assert all(diagnostics is not None for _, diagnostics in kept)
    again = replace(ready, inferred=first_pass.FirstPass())
    assert [ready.records(part) for part in (first, second)] == [
        again.records(part) for part in (first, second)
    ]


def test_other_answers_about_the_same_items_are_inferred(session, samples):
    first, *_ = batches(session, samples)
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
