"""Answers of one simulated observer to any question about made-up items, all drawn beforehand.

So ways of asking are compared on the same answers. The drawing is the engine's, which its own tests hold
against the declared tables.
"""

from __future__ import annotations

import numpy as np

from engine import SimulatedObserver as Drawing
from engine import prior_truth

VIEW = "face"


def truths(inference, items, seed):
    """True states of made-up items, variable -> (items,), drawn from the compiled network."""
    return prior_truth(inference, items, np.random.default_rng(seed))


class SimulatedObserver:
    """Answers of one observer about items of known truth: answers[question][variable] is (items, draws)."""

    def __init__(self, observations, name, truth, draws, seed):
        drawing = Drawing(observations, name, truth, np.random.default_rng(seed))
        self.base, self.observer, self.truth, self.items = (
            drawing.base,
            drawing.observer,
            truth,
            drawing.items,
        )
        self.answers = {question: drawing.reading(question, draws) for question in self.base.questions}

    def sample(self, item, question, about, draw):
        """One sample record of faces: what was answered about all variables of a question, or about one."""
        observer = self.observer
        values, units = {}, {}
        for name, answers in self.answers[question].items():
            y = answers[item, draw]
            if about not in (None, name):
                continue
            if name in observer.numbers:
                values[name] = round(float(y), 6)
            elif self.base.variables[name].kind == "binary":
                units[name] = bool(y)
            else:
                values[name] = observer.labels[name].answers[int(y)]
        key = {"item": str(item), "observer": observer.name, "question": question, "view": VIEW, "draw": draw}
        return {**key, **values, **({"action_units": units} if units else {})}
