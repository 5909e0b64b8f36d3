"""A simulated observer that answers any question about made-up items, as `engine.instruments` says it does.

    truth x -> what it sees of the item, m -> what a reading brings out, r -> propensities θ -> answers

Written apart from the engine's inference: it draws, the engine weighs. Only the tables are the engine's
kernels. All answers that could ever be asked for are drawn beforehand, so that ways of asking
are compared on the same answers.
"""

from __future__ import annotations

import numpy as np

from engine import Preposterior
from engine.instruments import LabelKernel

VIEW = "face"


def truths(inference, items, seed):
    """True states of made-up items, variable -> (items,), drawn from the compiled network."""
    from seke.samples import answers_from

    key = {"item": "none", "observer": inference.network.knowledge.policy.ask, "draw": 0, "status": "refused"}
    question = next(iter(inference.network.knowledge.questions))
    (nothing,) = answers_from([{**key, "question": question}], inference.network.knowledge)
    return Preposterior(inference, seed, paths=items)._draw(nothing).truth


class SimulatedObserver:
    """Answers of one observer about items of known truth: answers[question][variable] is (items, draws)."""

    def __init__(self, observations, name, truth, draws, seed):
        self.base = observations.network.knowledge
        self.observations = observations
        names = [one.name for one in observations.observers]
        self.index = names.index(name)
        self.truth, self.draws = truth, draws
        self.rng = np.random.default_rng(seed)
        self.items = len(next(iter(truth.values())))
        kernels = {v: k for (o, v), k in observations.kernels.items() if o == self.index}
        self.seen = {v: self._pick(k.mix[truth[v]]) for v, k in kernels.items()}
        self.answers = {}
        for number, question in enumerate(self.base.questions.values()):
            mine = {v: kernels[v] for v in question.variables if v in kernels}
            self.answers[question.name] = self._reading(number, mine)

    def _pick(self, p):
        """Draw from each row of p (items, states)."""
        return (
            (p.cumsum(1) < self.rng.random((len(p), 1)) * p.sum(1, keepdims=True))
            .sum(1)
            .clip(max=p.shape[1] - 1)
        )

    def _reading(self, question, kernels):
        """Answers of one reading of every item about each of its variables."""
        root = self.base.root
        carry = self.observations.observers[self.index].carry
        types = {}
        for name, kernel in kernels.items():
            again = self.rng.random(self.items) < carry
            types[name] = np.where(again, self.seen[name], self._pick(kernel.mix[self.truth[name]]))
        if root in kernels and len(kernels) > 1:
            follows = self.rng.random(self.items) < self.observations.halo[self.index, question]
            state = self.observations.seen_state[self.index][types[root]]
            for name in kernels:
                if name != root:
                    implied = self._pick(self.observations.imagined[self.index, name][state])
                    types[name] = np.where(follows, implied, types[name])
        return {name: self._drawn(kernel, types[name]) for name, kernel in kernels.items()}

    def _drawn(self, kernel, types):
        shape = (self.items, self.draws)
        if isinstance(kernel, LabelKernel):
            theta = self.rng.standard_gamma(kernel.alpha[types])
            theta /= theta.sum(1, keepdims=True)
            return np.stack([self._pick(theta) for _ in range(self.draws)], axis=1)
        one = kernel.instrument
        value = one.gain * kernel.nodes[types][:, None] + one.offset
        value = value + one.noise * self.rng.standard_normal(shape)
        steps = round((kernel.high - kernel.low) / one.grid)
        anything = kernel.low + one.grid * self.rng.integers(0, steps + 1, shape)
        value = np.where(self.rng.random(shape) < one.slip, anything, value)
        return (kernel.low + one.grid * np.round((value - kernel.low) / one.grid)).clip(
            kernel.low, kernel.high
        )

    def sample(self, item, question, about, draw):
        """One sample record of faces: what was answered about all variables of a question, or about one."""
        observer = self.observations.observers[self.index]
        told, units = {}, {}
        for name, answers in self.answers[question].items():
            y = answers[item, draw]
            if about not in (None, name):
                continue
            if name in observer.numbers:
                told[name] = round(float(y), 6)
            elif self.base.variables[name].kind == "binary":
                units[name] = bool(y)
            else:
                told[name] = observer.labels[name].answers[int(y)]
        key = {"item": str(item), "observer": observer.name, "question": question, "view": VIEW, "draw": draw}
        return {**key, **told, **({"action_units": units} if units else {})}
