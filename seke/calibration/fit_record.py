"""The readings that a fit was made from, with the models that answered them."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine import Answers, FittedReading, Gold, draws_of, reports_of
from seke.runs.run_folder import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine import Bools, Knowledge


def models_of_runs(paths: Iterable[str]) -> dict[str, str]:
    """Return observer -> model of the runs of `seke annotate` in whose folders these sample files lie."""
    models: dict[str, str] = {}
    for path in paths:
        summary = Path(path).parent / SUMMARY
        # Whatever else is called so says nothing of a model.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            facts = json.loads(summary.read_bytes())["facts"]
            models |= {str(name): str(model) for name, model in facts.get("also", {}).items()}
            models[str(facts["observer"])] = str(facts["model"])
    return models


def readings_of(
    base: Knowledge, answers: Answers, gold: Gold, models: Mapping[str, str]
) -> tuple[FittedReading, ...]:
    """Return the readings that a fit had, each with its least and most answers and its gold.

    models: observer -> who answered as it, where that is another name.
    """
    observers, questions = tuple(base.observers), tuple(base.questions)
    draws = draws_of(base, answers)
    keys = np.stack([answers.reading_observer, answers.reading_question, answers.reading_view], axis=1)
    readings = []
    for row in np.unique(keys, axis=0):
        chosen = (keys == row).all(1)
        observer, question, view = observers[row[0]], questions[row[1]], answers.views[row[2]]
        readings.append(
            FittedReading(
                observer,
                models.get(observer, observer),
                question,
                base.question_digests.get(question, ""),
                view,
                int(draws[chosen].min()),
                int(draws[chosen].max()),
                dict(_gold_counts(base, answers, gold, chosen)),
            )
        )
    return tuple(readings)


def _gold_counts(
    base: Knowledge, answers: Answers, gold: Gold, chosen: Bools
) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield variable, value -> items with gold, of each variable that the chosen readings (R,) report."""
    for name, known in gold.values.items():
        variable = base.variables[name]
        items = np.unique(answers.reading_item[chosen & reports_of(answers, name)])
        values = known[items][~np.isnan(known[items])]
        if not len(values):
            continue
        if variable.kind == "interval":
            yield name, {variable.values[0]: len(values)}
        else:
            counts = Counter(values.astype(int).tolist())
            yield name, {variable.states[index]: count for index, count in sorted(counts.items())}
