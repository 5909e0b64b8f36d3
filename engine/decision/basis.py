"""The basis of an accepted value: a certificate, a calibration with the same design, or declared numbers.

A value is `calibrated` where every answer about it, of models and other programs, comes from a reading that
a fit of the base knows: the same observer, as it was fitted, and the same model, question, prompt and view;
with enough gold of this variable (`Policy.calibrated_from`), some of it of this very value (else its row
rests on the observer's skill with others), and no more answers than the fit had. A fit takes answers in their
order, so it is one to any first so many of them. Where a fit knows the observer and the variable, and
something else differs, the basis is `another design`, which is as good as `declared`. What only people and
labels of data sets tell rests on their declared reliability, too, and is named apart: that of observers whose
kind is of people, and of those that stand for a set's labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.origin import reports_of
from engine.decision.people import is_person
from engine.model.responses import READINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from engine.backend.types import Floats, Ints
    from engine.model.fit_record import FittedReading
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers

    Codes = NDArray[np.int8]


class Basis(IntEnum):
    """What a value rests on, from the weakest to the strongest."""

    DECLARED = 0
    ANOTHER_DESIGN = 1
    PEOPLE = 2
    CALIBRATED = 3
    CERTIFIED = 4

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """Return the names of the bases in a record, in their order."""
        return ("declared", "another design", "declared (people)", "calibrated", "certified")


@dataclass(frozen=True)
class _Calibration:
    """How far the fits of a base calibrate one observer, question and view, by variable.

    enough: variables with enough gold in a fit of just this reading; gold: the values of each that had any;
    most: the most answers it had there. elsewhere: variables with enough gold in a fit of this observer
    otherwise asked.
    """

    enough: frozenset[str]
    gold: Mapping[str, frozenset[str]]
    most: int
    elsewhere: frozenset[str]


def bases_of(
    base: Knowledge, answers: Answers, values: Mapping[str, Floats] | None = None
) -> dict[str, Codes]:
    """Return the basis of each variable of a level, (N,) `Basis` codes, certificates not considered.

    values: what is decided of each, (N,); that of any value where it is left out.
    """
    draws = draws_of(base, answers)
    observers = tuple(base.observers.values())
    programs = np.array(
        [observer.origin != "label" and not is_person(base, observer.name) for observer in observers],
        dtype=bool,
    )
    measurable = programs[answers.reading_observer]
    keys = list(reading_keys(base, answers))
    place = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    which = np.array([place[key] for key in keys], dtype=np.int64)
    known = [_calibration(base, *key) for key in place]
    within = draws <= np.array([calibration.most for calibration in known], dtype=np.int64)[which]
    bases = {}
    for name in (name for names in base.levels.values() for name in names):
        reported = reports_of(answers, name)
        enough = np.array([name in calibration.enough for calibration in known], dtype=bool)[which]
        elsewhere = np.array([name in calibration.elsewhere for calibration in known], dtype=bool)[which]
        rank = np.where(enough | elsewhere, Basis.ANOTHER_DESIGN, Basis.DECLARED)
        rank[enough & within] = Basis.CALIBRATED
        variable = base.variables[name]
        if values is not None and variable.kind != "interval":
            flags = [v in calibration.gold.get(name, ()) for calibration in known for v in variable.values]
            had_gold = np.array(flags, dtype=bool).reshape(len(known), len(variable.values))
            decided = values[name][answers.reading_item].astype(np.int64)
            rank[enough & ~had_gold[which, decided]] = Basis.DECLARED
        # What rests on several readings rests on the least of them; people and labels take nothing away.
        lowest = np.full(len(answers.items), Basis.CERTIFIED)
        used = reported & measurable
        np.minimum.at(lowest, answers.reading_item[used], rank[used])
        people = np.zeros(len(answers.items), dtype=bool)
        people[answers.reading_item[reported & ~measurable]] = True
        nobody = np.where(people, Basis.PEOPLE, Basis.DECLARED)
        bases[name] = np.where(lowest == Basis.CERTIFIED, nobody, lowest).astype(np.int8)
    return bases


def reading_keys(base: Knowledge, answers: Answers) -> Iterator[tuple[str, str, str]]:
    """Yield observer, question and view of each reading; a question that told something names what.

    So a reading that was told something is never taken for a blind one of the same question.
    """
    observers, questions = tuple(base.observers), tuple(base.questions)
    stated = [f" told {' '.join(name for name, _ in given)}" for given in answers.givens] + [""]
    for o, q, v, g in zip(*(getattr(answers, name) for name in READINGS), strict=True):
        yield observers[o], questions[q] + stated[g], answers.views[v]


def _calibration(base: Knowledge, observer: str, question: str, view: str) -> _Calibration:
    """Return how far the fits of a base calibrate an observer, question and view."""
    enough: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    gold: dict[str, frozenset[str]] = {}
    most = 0
    for record in base.fits:
        if record.observers.get(observer) != base.observer_digests.get(observer, ""):
            continue
        for reading in (reading for reading in record.readings if reading.observer == observer):
            variables = frozenset(
                v for v in reading.gold if reading.gold_items(v) >= base.policy.calibrated_from
            )
            if _is_like(base, reading, question, view):
                enough, most = enough | variables, max(most, reading.most)
                for name in variables:
                    had = frozenset(value for value, items in reading.gold[name].items() if items)
                    gold[name] = gold.get(name, frozenset()) | had
            else:
                elsewhere |= variables
    return _Calibration(enough, gold, most, elsewhere)


def _is_like(base: Knowledge, fitted: FittedReading, question: str, view: str) -> bool:
    """Return whether a fitted reading has this question, view, prompt and model."""
    model = base.policy.models.get(fitted.observer, fitted.model)
    asked = fitted.question == question and fitted.prompt == base.question_digests.get(question, "")
    return asked and fitted.view == view and fitted.model == model


def draws_of(base: Knowledge, answers: Answers) -> Ints:
    """Return how many readable answers each reading has, (R,).

    Of questions about one variable at a time all count, of others those about the variable with the most.
    """
    readings = len(answers.reading_item)
    most, total = np.zeros(readings), np.zeros(readings)
    columns = [np.bincount(labels.reading, labels.weight, readings) for labels in answers.labels.values()]
    columns += [np.bincount(numbers.reading, minlength=readings) for numbers in answers.numbers.values()]
    for column in columns:
        most = np.maximum(most, column)
        total += column
    about_one = np.array([question.about_one for question in base.questions.values()], dtype=bool)
    single = about_one[answers.reading_question] if readings else np.zeros(0, dtype=bool)
    return np.round(np.where(single, total, most)).astype(np.int64)
