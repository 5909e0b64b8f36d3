"""Sources of answers for the loop: simulated observers, and recorded samples.

Both keep what they would say: the same request has the same answer, whoever asks and in whichever order, so
that policies are compared on the same answers.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers, Labels, Misfit, Numbers, SimulatedObserver, draw_looks, repeat_stated
from seke.sampling.statements import asked_for, stated_number

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from engine import Bools, Floats, Given, Inference, Ints, Knowledge
    from engine import SimulatedReading as Reading
    from seke.samples import SingleSamples
    from seke.sampling.loop import ReadingKey, Request


AS_DECLARED = Misfit()
NOTHING: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


class SimulatedSource:
    """Simulated observers of items of known truth; a reading is drawn when it is first asked for.

    Every reading has random numbers of its own, from the seed and its name, so that its answers depend
    neither on what else is asked nor on how often.
    """

    def __init__(
        self,
        inference: Inference,
        items: Sequence[str],
        truth: Mapping[str, Ints],
        seed: int,
        misfit: Misfit = AS_DECLARED,
        when: Floats | None = None,
        known: Mapping[str, Mapping[str, Any]] = NOTHING,
    ) -> None:
        """inference: whose observers answer. truth, when: as `engine.SimulatedObserver` takes them.

        known: item -> variable -> what is known of it, a state, true or false or a number; questions state
        what they tell of that, and their answers follow it as often as the observer declares.
        """
        self.base, self.observations = inference.knowledge, inference.observations
        self.place = {name: i for i, name in enumerate(items)}
        self.truth, self.seed, self.misfit, self.when, self.known = truth, seed, misfit, when, known
        self.observers = {name: number for number, name in enumerate(self.base.observers)}
        self.questions = {name: number for number, name in enumerate(self.base.questions)}
        self._looks = draw_looks(self.observations, truth, self._chance("looks"))
        self._observers: dict[str, SimulatedObserver] = {}
        self._readings: dict[tuple[str, ...], Reading] = {}
        self._drawn: dict[tuple[str, ...], dict[str, NDArray[Any]]] = {}

    def ask(self, requests: Sequence[Request]) -> Answers:
        """Return the answers; there are always more."""
        groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            groups[request.observer, request.question, request.view].append(number)
        labels: dict[str, list[tuple[Ints, Ints]]] = defaultdict(list)
        numbers: dict[str, list[tuple[Ints, Floats]]] = defaultdict(list)
        for (observer, question, view), members in groups.items():
            group = [requests[number] for number in members]
            drawn = self._answers(
                observer, question, view, max(request.first + request.samples for request in group)
            )
            reported = [self._reported(request, drawn) for request in group]
            for name, answers in drawn.items():
                counts = [
                    request.samples * (name in names) for request, names in zip(group, reported, strict=True)
                ]
                if not any(counts):
                    continue
                reading = np.repeat(np.array(members), counts)
                item = np.repeat([self.place[request.item] for request in group], counts)
                draw = np.concatenate(
                    [request.first + np.arange(count) for request, count in zip(group, counts, strict=True)]
                ).astype(np.int64)
                requested_answers = answers[item, draw]
                if self.base.questions[question].recall:
                    requested_answers = self._with_echoes(name, requested_answers, group, counts)
                if name in self.base.observers[observer].numbers:
                    numbers[name].append((reading, requested_answers))
                else:
                    labels[name].append((reading, requested_answers))
        return self._columns(requests, labels, numbers)

    def _columns(
        self, requests: Sequence[Request], labels: Mapping[str, Any], numbers: Mapping[str, Any]
    ) -> Answers:
        """Return the answers with one reading for each request."""
        views = tuple(dict.fromkeys(request.view for request in requests))
        count = np.array([request.samples for request in requests], dtype=np.int64)
        askable = np.array(
            [self.base.observers[request.observer].askable for request in requests], dtype=bool
        )
        none = np.zeros(len(requests), dtype=np.int64)
        stated = [self._given(request) for request in requests]
        givens = tuple(dict.fromkeys(given for given in stated if given))
        plain = {}
        for name, parts in labels.items():
            reading, answer = (np.concatenate(column) for column in zip(*parts, strict=True))
            plain[name] = Labels(reading, answer, np.ones(len(reading)), np.zeros(len(reading), dtype=bool))
        return Answers(
            items=tuple(request.item for request in requests),
            views=views,
            reading_item=np.arange(len(requests)),
            reading_observer=np.array(
                [self.observers[request.observer] for request in requests], dtype=np.int64
            ),
            reading_question=np.array(
                [self.questions[request.question] for request in requests], dtype=np.int64
            ),
            reading_view=np.array([views.index(request.view) for request in requests], dtype=np.int64),
            labels=plain,
            numbers={
                name: Numbers(*(np.concatenate(column) for column in zip(*parts, strict=True)))
                for name, parts in numbers.items()
            },
            rankings={},
            samples=count,
            refused=none,
            unreadable=none,
            not_judged=none,
            hidden=none,
            asked=count * askable,
            asked_in_vain=none,
            reading_given=np.array(
                [givens.index(given) if given else -1 for given in stated], dtype=np.int64
            ),
            givens=givens,
        )

    def _reported(self, request: Request, names: Collection[str]) -> Collection[str]:
        """Return the variables that an answer to a request reports, of those that the observer answers."""
        known = self.known.get(request.item, {})
        return (request.about,) if request.about else asked_for(names, known) if known else names

    def _given(self, request: Request) -> Given:
        """Return what the prompt of a request states of its item."""
        question = self.base.questions[request.question]
        known = self.known.get(request.item, {}) if question.tells else {}
        values = {name: known[name] for name in question.tells if name in known}
        if request.about is not None and request.earlier is not None:
            values[request.about] = request.earlier
        variables = self.base.variables
        numbers = {name: stated_number(variables[name], value) for name, value in values.items()}
        return tuple((name, numbers[name]) for name in variables if not np.isnan(numbers.get(name, np.nan)))

    def _stated(self, question: str) -> dict[str, Floats]:
        """Return what the prompts of a question state of all items, variable -> (N,), NaN for nothing."""
        columns = {
            name: np.array(
                [
                    stated_number(self.base.variables[name], self.known.get(item, {}).get(name))
                    for item in self.place
                ]
            )
            for name in self.base.questions[question].tells
        }
        return {name: values for name, values in columns.items() if not np.isnan(values).all()}

    def _with_echoes(
        self, name: str, answers: NDArray[Any], group: Sequence[Request], counts: Sequence[int]
    ) -> NDArray[Any]:
        """Return answers to requests of one reading, of which some repeat what was answered before, (S,).

        counts: of each request how many of the answers are to it.
        """
        stated = np.repeat([dict(self._given(request)).get(name, np.nan) for request in group], counts)
        chance = [
            self._chance("echo", *map(str, request.line)).random(request.first + count)[request.first :]
            for request, count in zip(group, counts, strict=True)
        ]
        asked = self.observers[group[0].observer], group[0].question, name
        columns = answers[:, None], stated, np.concatenate(chance)[:, None]
        return repeat_stated(self.observations, *asked, *columns)[:, 0]

    def _answers(self, observer: str, question: str, view: str, count: int) -> Mapping[str, NDArray[Any]]:
        """Return at least `count` answers of a reading of all items, variable -> (N, answers)."""
        key = (observer, question, view)
        if key not in self._readings:
            stated = self._stated(question)
            self._readings[key] = self._observer(observer).begin(question, self._chance(*key), view, stated)
        had = self._drawn.get(key)
        missing = count - (next(iter(had.values())).shape[1] if had else 0)
        if missing > 0:
            drawn = self._readings[key].more(missing)
            parts = [had, drawn] if had else [drawn]
            self._drawn[key] = {
                name: np.concatenate([part[name] for part in parts], axis=1) for name in drawn
            }
        return self._drawn[key]

    def _observer(self, name: str) -> SimulatedObserver:
        if name not in self._observers:
            chance = self._chance(name)
            self._observers[name] = SimulatedObserver(
                self.observations, name, self.truth, chance, self.misfit, self.when, self._looks
            )
        return self._observers[name]

    def _chance(self, *names: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, 0, zlib.crc32("\n".join(names).encode())])


class RecordedSource:
    """Recorded samples, given out reading by reading in the order of their draws."""

    def __init__(self, samples: SingleSamples) -> None:
        self.samples = samples
        self.lines: dict[Any, list[int]] = defaultdict(list)
        for number, line in enumerate(samples.line):
            self.lines[line].append(number)

    @property
    def items(self) -> tuple[str, ...]:
        """The items that samples were recorded of."""
        return self.samples.items

    @property
    def counts(self) -> Mapping[ReadingKey, int]:
        """Reading key -> number of samples."""
        return {line: len(numbers) for line, numbers in self.lines.items()}

    def known(self, base: Knowledge) -> Answers:
        """Return the samples that are there without asking: those of observers that cannot be asked."""
        askable = [base.observers[line[1]].askable for line in self.samples.line]
        return self._gather(self.items, ~np.array(askable, dtype=bool))

    def ask(self, requests: Sequence[Request]) -> Answers:
        """Return the next samples of each reading, as far as there are any."""
        chosen = np.zeros(len(self.samples.line), dtype=bool)
        for request in requests:
            rows = self.lines.get(request.line, [])
            chosen[rows[request.first : request.first + request.samples]] = True
        return self._gather(tuple(request.item for request in requests), chosen)

    def _gather(self, items: tuple[str, ...], chosen: Bools) -> Answers:
        """Return the chosen samples, about these items."""
        place = {name: i for i, name in enumerate(items)}
        item_index = np.array([place.get(name, -1) for name in self.samples.items], dtype=np.int64)
        return self.samples.answers.only(chosen).gathered(items, item_index[self.samples.item[chosen]])
