"""Draws further answers of an observer about one item, given truth, switches and its answers so far."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.inference.choice import choose
from engine.inference.simulation import draw_labels, draw_numbers
from engine.observation.kernels import LabelKernel, NumberKernel
from engine.observation.switches import further_switch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.responses import Answers
    from engine.observation.contributions import Contributions


@dataclass(frozen=True)
class Asking:
    """A question to an observer in a view: indices of observer and question, and the variables reported."""

    observer: int
    question: int
    view: str
    about: str | None
    names: tuple[str, ...]

    def is_answered(self, item_answers: Answers) -> bool:
        """Return whether the item has a reading of this observer, question and view."""
        return bool(self.readings(item_answers).any())

    def readings(self, item_answers: Answers) -> Bools:
        """Return which readings of the item are of this observer, question and view, (R,)."""
        views = np.array([view == self.view for view in item_answers.views], dtype=bool)
        same = item_answers.reading_observer == self.observer
        same &= item_answers.reading_question == self.question
        return np.asarray(same & views[item_answers.reading_view])


@dataclass(frozen=True)
class DrawnPaths:
    """Paths drawn from an item's posterior: variable -> state (paths,); which readings' switches are on.

    on: (paths, readings), and bundle: of each its bundle, -1 where it has none. row: (paths,) the row of the
    evidence with these settings of the switches.
    """

    truth: Mapping[str, Ints]
    on: Bools
    bundle: Ints
    row: Ints


class AnswerSampler:
    """Draws an observer's further answers, given truth, switches and its answers so far."""

    def __init__(
        self, inference: Inference, seed: int, item_answers: Answers, asking: Asking, drawn: DrawnPaths
    ) -> None:
        self.observations, self.asking, self.drawn = inference.observations, asking, drawn
        self.root = inference.knowledge.root
        self.answers = item_answers
        name = f"{asking.observer} {asking.question} {asking.view}"
        self.rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self.carry = self.observations.observers[asking.observer].carry
        by_observer = item_answers.reading_observer == asking.observer
        self.continued = asking.readings(item_answers)
        halos = np.asarray(self.observations.halo)[asking.observer]
        halo = float(halos[asking.question]) if len(asking.names) > 1 else 0.0
        switched = by_observer & self.observations.switched(item_answers)
        known = halos[item_answers.reading_question[switched]]
        on = drawn.on[:, switched]
        bundled = np.asarray((drawn.bundle[:, switched] >= 0).any(1))
        follows, together = further_switch(known, on, bundled, halo, self.carry, self.rng)
        continued = self.continued & switched
        if continued.any():
            together = np.asarray((drawn.bundle[:, continued] >= 0).any(1))
            follows = np.asarray(drawn.on[:, continued].any(1))
        self.follows: Bools = np.asarray(follows)
        # (paths, readings): those whose label is that of the further answers.
        self.fellows: Bools = drawn.on & switched & (together & self.follows)[:, None] | self.continued

    def draw(self, count: int) -> tuple[dict[str, Ints], dict[str, Floats]]:
        """Return `count` answers on each path about each variable: labels and numbers, (paths, count)."""
        labels: dict[str, Ints] = {}
        numbers: dict[str, Floats] = {}
        seen_root = self._seen_root()
        for name in self.asking.names:
            kernel = self.observations.kernels[self.asking.observer, name]
            kind = seen_root if name == self.root else self._types(name, kernel, seen_root)
            if isinstance(kernel, NumberKernel):
                numbers[name] = draw_numbers(kernel, kind, count, self.rng)
                continue
            counts: Floats = np.zeros(kernel.alpha.shape[1])
            if name in self.answers.labels:
                column = self.answers.labels[name]
                continued = self.continued[column.reading]
                weight = column.weight * np.where(column.spread, kernel.weight, 1.0)
                counts = np.bincount(column.answer[continued], weight[continued], len(counts)).astype(
                    np.float64
                )
            (block,) = kernel.blocks(np.array([self.asking.question])).tolist()
            labels[name] = draw_labels(np.asarray(kernel.alpha_of(block))[kind] + counts, count, self.rng)
        return labels, numbers

    def _seen_root(self) -> Ints:
        """Return what the reading brings out of the root, drawn, (paths,)."""
        kernel = self.observations.kernels.get((self.asking.observer, self.root))
        if kernel is None:
            return np.zeros(len(self.drawn.on), dtype=np.int64)
        return self._types(self.root, kernel, np.zeros(0, dtype=np.int64))

    def _types(self, name: str, kernel: LabelKernel | NumberKernel, seen_root: Ints) -> Ints:
        """Draw the type that the reading brings out of a variable, (paths,)."""
        paths = len(self.drawn.on)
        fresh = np.asarray(kernel.mix)[self.drawn.truth[name]]
        weight, continued_likelihood = (
            self._settled_given_others(name, fresh),
            np.ones((paths, fresh.shape[1])),
        )
        for likelihood, used, same in self._likelihoods(name):
            mean = (fresh * likelihood).sum(1, keepdims=True)
            carried = self.carry * likelihood + (1 - self.carry) * mean
            weight *= np.where((used & ~same)[:, None], carried, 1.0)
            continued_likelihood *= np.where(same[:, None], likelihood, 1.0)
        p = (
            self.carry * weight + (1 - self.carry) * fresh * weight.sum(1, keepdims=True)
        ) * continued_likelihood
        if name != self.root:
            seen = self.observations.seen_state.get(self.asking.observer)
            if seen is not None and self.follows.any():
                imagined = (
                    self.observations.imagined[self.asking.observer, name][seen[seen_root]]
                    * continued_likelihood
                )
                p = np.where(self.follows[:, None], imagined, p)
        return choose(p, self.rng.random(paths))

    @cached_property
    def _collected(self) -> Contributions:
        """Return what all observers answered so far, which each variable's draws are given."""
        return self.observations.contributions(self.answers)

    def _settled_given_others(self, name: str, fresh: Floats) -> Floats:
        """Return P(type that the observer settles on | truth, others' answers) on each path, (paths, M)."""
        settled = self.observations.given_others(
            self.answers, self.asking.observer, name, collected=self._collected
        )
        return fresh.copy() if settled is None else settled[self.drawn.row, self.drawn.truth[name]]

    def _likelihoods(self, name: str) -> Iterator[tuple[Floats, Bools, Bools]]:
        """Yield the likelihood (paths, M) of each reading about a variable, of a bundle about the root.

        With each (paths,) where it counts, and (paths,) where it has the type of the further answers.
        """
        observer, drawn = self.asking.observer, self.drawn
        for reading, likelihood in self.observations.of_readings(self.answers, observer, name, drawn.on):
            fellow = self.fellows[:, reading]
            if name == self.root:
                alone = drawn.bundle[:, reading] < 0
                yield likelihood, alone, fellow & alone
            else:
                yield likelihood, ~drawn.on[:, reading], fellow
        if name != self.root:
            return
        by_observer = self.answers.reading_observer == observer
        for bundle in np.unique(drawn.bundle[:, by_observer]):
            if bundle < 0:
                continue
            members = (drawn.bundle == bundle) & by_observer
            used = members.any(1)
            logs = self.observations.of_bundle(self.answers, observer, np.flatnonzero(members.any(0)))
            likelihood = np.broadcast_to(np.exp(logs - logs.max()), (len(used), len(logs)))
            yield likelihood, used, (members & self.fellows).any(1)
