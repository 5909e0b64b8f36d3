"""The origin of a value: an observer looked, a data set labels it, or it is only inferred.

`SEEN`: a readable answer of an observer that looks at the item reports the variable, and this reading
followed its own label, or what its prompt stated, instead of looking with posterior probability below one
half. `LABEL`: only what a data
set says of it. `INFERRED`: nothing was reported, so that it rests on other variables and the prior alone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats, Ints
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers


class Origin(IntEnum):
    """The origin of what is known of a variable, from the weakest to the strongest."""

    INFERRED = 0
    LABEL = 1
    SEEN = 2

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """Return the names of the origins in a record, in their order."""
        return tuple(origin.name.lower() for origin in cls)


# A reading that more probably followed its label than not has not looked.
FOLLOWED = 0.5


def origins_of(base: Knowledge, answers: Answers, followed: Floats) -> dict[str, NDArray[np.int8]]:
    """Return the origin of each variable of a level, (N,).

    followed: (R,) P(a reading followed its label | all answers).
    """
    looks = looking(base, answers)
    origins = {}
    for name in (name for names in base.levels.values() for name in names):
        reported = reports_of(answers, name)
        origin = np.full(len(answers.items), Origin.INFERRED, dtype=np.int8)
        origin[answers.reading_item[reported & ~looks]] = Origin.LABEL
        seen = reported & looks
        # Told what it might have seen, an answer about the root may follow that, too.
        seen &= (followed < FOLLOWED) | (answers.blind & (name == base.root))
        origin[answers.reading_item[seen]] = Origin.SEEN
        origins[name] = origin
    return origins


def looking(base: Knowledge, answers: Answers) -> Bools:
    """Return which readings are of observers that look at the item, (R,), and no data set's labels."""
    looks = np.array([observer.origin == "seen" for observer in base.observers.values()], dtype=bool)
    return np.asarray(looks[answers.reading_observer])


def reports_of(answers: Answers, name: str) -> Bools:
    """Return which readings report a variable, (R,)."""
    reported = np.zeros(len(answers.reading_item), dtype=bool)
    for columns in (answers.labels, answers.numbers):
        if name in columns:
            reported[columns[name].reading] = True
    return reported


def labels_of(base: Knowledge, answers: Answers) -> Mapping[str, Floats]:
    """Return the data sets' labels by variable, (N,): a state's index or a number; NaN where there is none.

    Of several labels of an item the first counts; one that names no state of the variable says nothing.
    """
    says = ~looking(base, answers)
    labels_by_name: dict[str, Floats] = {}
    if not says.any():
        return labels_by_name
    for name in (name for names in base.levels.values() for name in names):
        column = answers.labels.get(name) or answers.numbers.get(name)
        if column is None or not says[column.reading].any():
            continue
        used = np.flatnonzero(says[column.reading])[::-1]
        reading = column.reading[used]
        if name in answers.numbers:
            values = answers.numbers[name].value[used]
        else:
            values = _states(base, answers, name, reading, answers.labels[name].answer[used])
        labels = np.full(len(answers.items), np.nan)
        # Written from the last to the first, so that the first stays.
        labels[answers.reading_item[reading]] = values
        labels_by_name[name] = labels
    return labels_by_name


def _states(base: Knowledge, answers: Answers, name: str, reading: Ints, answer: Ints) -> Floats:
    """Return the state that each answer (S,) of a reading names, NaN where it names none."""
    variable = base.variables[name]
    if variable.kind == "binary":
        return answer.astype(np.float64)
    observers = list(base.observers.values())
    values = np.full(len(answer), np.nan)
    for index in np.unique(answers.reading_observer[reading]).tolist():
        texts = observers[index].labels[name].answers
        states = [float(variable.states.index(text)) if text in variable.states else np.nan for text in texts]
        own_rows = answers.reading_observer[reading] == index
        values[own_rows] = np.array(states)[answer[own_rows]]
    return values
