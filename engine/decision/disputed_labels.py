"""Labels of data sets that observers contradict more strongly than the labels' declared reliability allows.

A label of a state x is disputed where all other readings leave x less probable than a label of x is declared
to be wrong: P(x | other readings) < 1 - P(label says x | x). It is told by the variable and the observer's
name; what is accepted is left to the posterior, which has weighed both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.decision.origin import labels_of, looking, reports_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.inference.posterior import Inference
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers


def disputed_labels(inference: Inference, answers: Answers) -> tuple[Mapping[str, str], ...]:
    """Return for each item variable -> observer whose label of it is disputed; numbers are left out."""
    base = inference.knowledge
    disputed: list[dict[str, str]] = [{} for _ in answers.items]
    looks = looking(base, answers)
    labelled = np.zeros(len(answers.items), dtype=bool)
    labelled[answers.reading_item[~looks]] = True
    labelled &= np.bincount(answers.reading_item[looks], minlength=len(answers.items)) > 0
    if not labelled.any():
        return tuple(disputed)
    some = answers.only(labelled)
    looks = looking(base, some)
    without = inference.posterior(some.keeping(looks)).marginals
    observers, places = tuple(base.observers), np.flatnonzero(labelled)
    for name, labels in labels_of(base, some).items():
        seen = np.zeros(len(places), dtype=bool)
        seen[some.reading_item[reports_of(some, name) & looks]] = True
        for reading in np.flatnonzero(reports_of(some, name) & ~looks).tolist():
            observer, item = observers[some.reading_observer[reading]], int(some.reading_item[reading])
            if name not in base.observers[observer].labels or not seen[item] or np.isnan(labels[item]):
                continue
            state = int(labels[item])
            if without[name][item, state] < _declared_wrong(base, observer, name, state):
                disputed[places[item]][name] = observer
    return tuple(disputed)


def _declared_wrong(base: Knowledge, observer: str, name: str, state: int) -> float:
    """Return P(an observer's label is another | this state is true), as declared or fitted."""
    instrument, variable = base.observers[observer].labels[name], base.variables[name]
    answer = state if variable.kind == "binary" else instrument.answers.index(variable.states[state])
    return 1 - instrument.confusion[state][answer]
