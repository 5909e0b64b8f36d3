"""The answers of a batch of items, in columns: what the observation model takes.

A reading is one observer asked one question about one view of one item; its answers are
its draws. The reader of samples fills these columns; the engine never sees a record.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints


# What a prompt stated of an item: (variable, value) pairs, a state's index, 1 or 0 of a binary variable, or a
# number, in the order of the base.
Given = tuple[tuple[str, float], ...]
READINGS = ("reading_observer", "reading_question", "reading_view", "reading_given")
COLUMNS = ("labels", "numbers", "rankings")
COUNTS = ("samples", "refused", "unreadable", "not_judged", "hidden", "asked", "asked_in_vain")


@dataclass(frozen=True)
class Labels:
    """Answers about a categorical or binary variable, one row a (draw, answer).

    reading: (S,) index of the reading. answer: (S,) index into the instrument's answers
    (binary: 0 absent, 1 present). weight: (S,) 1 for a plain label; for a reported
    distribution its probability (the instrument's weight is applied by the engine, where
    `spread` is true). spread: (S,) bool.
    """

    reading: Ints
    answer: Ints
    weight: Floats
    spread: Bools


@dataclass(frozen=True)
class Numbers:
    """Answers about an interval variable: reading (S,), value (S,) in the variable's unit."""

    reading: Ints
    value: Floats


@dataclass(frozen=True)
class Rankings:
    """Places 1 to 3 of reported rankings: reading (S,), places (S, 3) answer indices, -1 where missing.

    The first place is also a row of `Labels`; here it says which habit the tail follows.
    """

    reading: Ints
    places: Ints


@dataclass(frozen=True)
class Answers:
    """All answers about N items.

    items: the N items' names. reading_*: (R,) for each reading the index of its item, of
    its observer and question (order of the knowledge base), of its view in `views`, and of what its prompt
    stated of the item in `givens`, -1 where that is nothing: a blind reading and one that was told something
    are two readings.
    samples, refused, unreadable, not_judged, hidden: (N,) counts of records, of refused and unreadable
    ones, of those whose observer looked and could not tell, and of single variables reported as not visible.
    asked: (N,) answers from askable observers, whatever their status; asked_in_vain: those of them that
    judged nothing. A reading all of whose answers report nothing does not appear.
    """

    items: tuple[str, ...]
    views: tuple[str, ...]
    reading_item: Ints
    reading_observer: Ints
    reading_question: Ints
    reading_view: Ints
    labels: Mapping[str, Labels]
    numbers: Mapping[str, Numbers]
    rankings: Mapping[str, Rankings]
    samples: Ints
    refused: Ints
    unreadable: Ints
    not_judged: Ints
    hidden: Ints
    asked: Ints
    asked_in_vain: Ints
    reading_given: Ints
    givens: tuple[Given, ...]

    @classmethod
    def nothing(cls) -> Answers:
        """Return one item about which nothing was asked."""
        return cls.unasked(("",))

    @classmethod
    def unasked(cls, items: Sequence[str]) -> Answers:
        """Return items about which nothing was asked."""
        none, zero = np.zeros(0, dtype=np.int64), np.zeros(len(items), dtype=np.int64)
        readings = tuple(items), (), none, none, none, none
        return cls(*readings, {}, {}, {}, zero, zero, zero, zero, zero, zero, zero, none, ())

    @property
    def blind(self) -> Bools:
        """Which readings were told nothing of their item, (R,)."""
        return np.asarray(self.reading_given < 0)

    def stated_of(self, variable: str) -> tuple[Ints, Floats]:
        """Return the readings whose prompt stated a variable, (r,), and what it stated of it, (r,)."""
        stated = np.array([*(dict(given).get(variable, np.nan) for given in self.givens), np.nan])
        value = stated[self.reading_given]
        readings = np.flatnonzero(~np.isnan(value))
        return readings, value[readings]

    def joined(self, other: Answers) -> Answers:
        """Return these answers and further ones about some of the same items, which are known by name.

        Answers of the same reading go on where it ended.

        Raises:
            KeyError: an item that these answers are not about.
        """
        place = {name: i for i, name in enumerate(self.items)}
        theirs = np.array([place[name] for name in other.items], dtype=np.int64)
        whole = Answers.stacked([self, other])
        return whole.gathered(self.items, np.concatenate([np.arange(len(self.items)), theirs]))

    def gathered(self, items: tuple[str, ...], place: Ints) -> Answers:
        """Return the same answers about other items: item i (N,) is now `items[place[i]]`.

        Readings of the same observer, question, view and given that come to be about one item become one.
        """
        kept, place_of = self.gathering(place)

        def with_new_places(columns: Mapping[str, Any]) -> dict[str, Any]:
            return {v: replace(column, reading=place_of[column.reading]) for v, column in columns.items()}

        def summed(column: Ints) -> Ints:
            return np.bincount(place, weights=column, minlength=len(items)).astype(np.int64)

        return replace(
            self,
            items=items,
            reading_item=place[self.reading_item[kept]],
            **self._readings(kept),
            labels=with_new_places(self.labels),
            numbers=with_new_places(self.numbers),
            rankings=with_new_places(self.rankings),
            **self._counts(summed),
        )

    def gathering(self, place: Ints) -> tuple[Ints, Ints]:
        """Return the r readings that `gathered` keeps, (r,), and for each which of them it becomes, (R,)."""
        key = np.stack([place[self.reading_item], *self._readings(slice(None)).values()])
        _, first, which = np.unique(key, axis=1, return_index=True, return_inverse=True)
        # Readings keep the order in which they began.
        order = np.argsort(first)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return first[order], rank[which.reshape(-1)]

    @classmethod
    def stacked(cls, parts: Sequence[Answers]) -> Answers:
        """Return the answers of several batches of items as one batch."""
        if len(parts) == 1:
            return parts[0]
        views, at_view = _renumbered([part.views for part in parts])
        givens, at_given = _renumbered([part.givens for part in parts])
        starts = np.cumsum([0, *(len(part.reading_item) for part in parts)])[:-1]
        items = np.cumsum([0, *(len(part.items) for part in parts)])[:-1]

        def columns(which: str) -> dict[str, Any]:
            joined: dict[str, Any] = {}
            for part, start in zip(parts, starts.tolist(), strict=True):
                for name, column in getattr(part, which).items():
                    moved = replace(column, reading=column.reading + start)
                    joined[name] = _join_columns(joined.get(name), moved)
            return joined

        def whole(name: str, shift: Iterable[int] = ()) -> Any:
            shifts = list(shift) or [0] * len(parts)
            arrays = (getattr(part, name) + by for part, by in zip(parts, shifts, strict=True))
            return np.concatenate(list(arrays))

        return cls(
            items=tuple(item for part in parts for item in part.items),
            views=views,
            reading_item=whole("reading_item", items.tolist()),
            reading_observer=whole("reading_observer"),
            reading_question=whole("reading_question"),
            reading_view=np.concatenate(
                [at[part.reading_view] for at, part in zip(at_view, parts, strict=True)]
            ),
            labels=columns("labels"),
            numbers=columns("numbers"),
            rankings=columns("rankings"),
            **{name: whole(name) for name in COUNTS},
            reading_given=np.concatenate(
                [at[part.reading_given] for at, part in zip(at_given, parts, strict=True)]
            ),
            givens=givens,
        )

    def part(self, start: int, stop: int) -> Answers:
        """Return the answers about items start to stop."""
        readings = (self.reading_item >= start) & (self.reading_item < stop)
        place = np.where(readings, np.cumsum(readings) - 1, -1)
        cut = slice(start, stop)
        return replace(
            self._of_readings(place),
            items=self.items[cut],
            reading_item=self.reading_item[readings] - start,
            **self._readings(readings),
            **self._counts(lambda column: column[cut]),
        )

    def only(self, chosen: Bools) -> Answers:
        """Return the answers about the chosen items (N,)."""
        readings = chosen[self.reading_item]
        order = np.cumsum(chosen) - 1
        return replace(
            self._of_readings(np.where(readings, np.cumsum(readings) - 1, -1)),
            items=tuple(itertools.compress(self.items, chosen)),
            reading_item=order[self.reading_item[readings]],
            **self._readings(readings),
            **self._counts(lambda column: column[chosen]),
        )

    def contradicted(self, name: str) -> Bools:
        """Say of which items plain answers about a binary variable were both present and absent, (N,)."""
        both = np.zeros((2, len(self.items)), bool)
        if name in self.labels:
            labels = self.labels[name]
            plain = ~labels.spread
            both[labels.answer[plain], self.reading_item[labels.reading[plain]]] = True
        return np.asarray(both.all(0))

    def keeping(self, readings: Bools) -> Answers:
        """Return the same items with some of their readings (R,); counts stay as they are."""
        return replace(
            self._of_readings(np.where(readings, np.cumsum(readings) - 1, -1)),
            reading_item=self.reading_item[readings],
            **self._readings(readings),
        )

    def each_reading(self, chosen: Bools) -> Answers:
        """Return each chosen reading (R,) as the only reading of an item of its own."""
        count = int(chosen.sum())
        place = np.where(chosen, np.cumsum(chosen) - 1, -1)
        none = np.zeros(count, dtype=np.int64)
        return replace(
            self._of_readings(place),
            items=tuple(self.items[i] for i in self.reading_item[chosen]),
            reading_item=np.arange(count),
            **self._readings(chosen),
            **self._counts(lambda _: none),
        )

    def without_each(self, chosen: Bools) -> Answers:
        """Return for each chosen reading (R,) an item with all other readings of its item."""
        left_out = np.flatnonzero(chosen)
        by_item = np.argsort(self.reading_item, kind="stable")
        count = np.bincount(self.reading_item, minlength=len(self.items))
        first = np.cumsum(count) - count
        size = count[self.reading_item[left_out]]
        copy = np.repeat(np.arange(len(left_out)), size)
        within = np.arange(len(copy)) - np.repeat(np.cumsum(size) - size, size)
        reading = by_item[first[self.reading_item[left_out]][copy] + within]
        kept = reading != left_out[copy]
        copy, reading = copy[kept], reading[kept]
        # Where the copies of each reading stand among all of them.
        order = np.argsort(reading, kind="stable")
        copies = np.bincount(reading, minlength=len(self.reading_item))
        starts = np.cumsum(copies) - copies

        def copy_column(column: Any) -> Any:
            times = copies[column.reading]
            row = np.repeat(np.arange(len(column.reading)), times)
            number = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
            values = {f.name: getattr(column, f.name)[row] for f in fields(column) if f.name != "reading"}
            return replace(column, reading=order[starts[column.reading[row]] + number], **values)

        none = np.zeros(len(left_out), dtype=np.int64)
        return replace(
            self,
            items=tuple(self.items[i] for i in self.reading_item[left_out]),
            reading_item=copy,
            **self._readings(reading),
            labels={name: copy_column(column) for name, column in self.labels.items()},
            numbers={name: copy_column(column) for name, column in self.numbers.items()},
            rankings={name: copy_column(column) for name, column in self.rankings.items()},
            **self._counts(lambda _: none),
        )

    def copies(self, keep: Bools, hidden: Sequence[Collection[str]] = ()) -> Answers:
        """Return copies of one item, each with a part of its readings.

        keep: (copies, R) the readings that a copy has. hidden: for each copy the variables of which its
        answers say nothing; none where it is left out.
        """
        count = len(keep)
        place = np.cumsum(keep).reshape(keep.shape) - 1
        copy, reading = np.nonzero(keep)

        def copy_rows(name: str, column: Any) -> Any:
            inside = keep[:, column.reading]
            if hidden:
                inside = inside & np.array([[name not in names] for names in hidden])
            of, row = np.nonzero(inside)
            values = {f.name: getattr(column, f.name)[row] for f in fields(column) if f.name != "reading"}
            return replace(column, reading=place[of, column.reading[row]], **values)

        return replace(
            self,
            items=self.items * count,
            reading_item=copy,
            **self._readings(reading),
            labels={name: copy_rows(name, column) for name, column in self.labels.items()},
            numbers={name: copy_rows(name, column) for name, column in self.numbers.items()},
            rankings={name: copy_rows(name, column) for name, column in self.rankings.items()},
            **self._counts(lambda column: np.repeat(column, count)),
        )

    def tiled(self, times: int) -> Answers:
        """Return the items repeated `times` times, one whole batch after another."""
        items, readings = len(self.items), len(self.reading_item)
        copy = np.repeat(np.arange(times), readings)
        observed: dict[str, Any] = {
            name: np.tile(column, times) for name, column in self._readings(slice(None)).items()
        }

        def tile_column(column: Any) -> Any:
            rows = len(column.reading)
            shift = np.repeat(np.arange(times), rows) * readings
            row = np.tile(np.arange(rows), times)
            values = {
                field.name: getattr(column, field.name)[row]
                for field in fields(column)
                if field.name != "reading"
            }
            return replace(column, reading=np.tile(column.reading, times) + shift, **values)

        return replace(
            self,
            items=self.items * times,
            reading_item=np.tile(self.reading_item, times) + copy * items,
            **observed,
            labels={name: tile_column(column) for name, column in self.labels.items()},
            numbers={name: tile_column(column) for name, column in self.numbers.items()},
            rankings={name: tile_column(column) for name, column in self.rankings.items()},
            **self._counts(lambda column: np.tile(column, times)),
        )

    def with_answers(
        self,
        reading: tuple[int, int, str],
        labels: Mapping[str, tuple[Ints, Ints, Floats]],
        numbers: Mapping[str, tuple[Ints, Floats]],
    ) -> Answers:
        """Return these answers and further ones in one blind reading of every item, begun if there is none.

        reading: observer, question and view. labels: variable -> item (S,), answer (S,) and how often (S,);
        numbers: variable -> item (S,), value (S,).
        """
        observer, question, view = reading
        views = self.views if view in self.views else (*self.views, view)
        place = views.index(view)
        same = (self.reading_observer == observer) & (self.reading_question == question)
        same &= (self.reading_view == place) & self.blind
        of_item = np.full(len(self.items), -1)
        of_item[self.reading_item[same]] = np.flatnonzero(same)
        new = np.flatnonzero(of_item < 0)
        of_item[new] = len(self.reading_item) + np.arange(len(new))
        all_labels, all_numbers = dict(self.labels), dict(self.numbers)
        for name, (item, answer, weight) in labels.items():
            further = Labels(of_item[item], answer, weight, np.zeros(len(item), dtype=bool))
            all_labels[name] = _join_columns(all_labels.get(name), further)
        for name, (item, value) in numbers.items():
            all_numbers[name] = _join_columns(all_numbers.get(name), Numbers(of_item[item], value))
        return replace(
            self,
            views=views,
            reading_item=np.concatenate([self.reading_item, new]),
            reading_observer=np.concatenate([self.reading_observer, np.full(len(new), observer)]),
            reading_question=np.concatenate([self.reading_question, np.full(len(new), question)]),
            reading_view=np.concatenate([self.reading_view, np.full(len(new), place)]),
            reading_given=np.concatenate([self.reading_given, np.full(len(new), -1)]),
            labels=all_labels,
            numbers=all_numbers,
        )

    def _readings(self, index: Any) -> dict[str, Any]:
        """Return the columns of READINGS at an index of the readings."""
        return {name: getattr(self, name)[index] for name in READINGS}

    def _counts(self, change: Callable[[Ints], Ints]) -> dict[str, Any]:
        """Return the counts of answers after `change`."""
        return {name: change(getattr(self, name)) for name in COUNTS}

    def _of_readings(self, place: Ints) -> Answers:
        """Return the same columns with only the readings that have a new place."""
        labels = {}
        for name, column in self.labels.items():
            kept = place[column.reading] >= 0
            labels[name] = Labels(
                place[column.reading[kept]],
                column.answer[kept],
                column.weight[kept],
                column.spread[kept],
            )
        numbers = {}
        for name, number in self.numbers.items():
            kept = place[number.reading] >= 0
            numbers[name] = Numbers(place[number.reading[kept]], number.value[kept])
        rankings = {}
        for name, ranking in self.rankings.items():
            kept = place[ranking.reading] >= 0
            rankings[name] = Rankings(place[ranking.reading[kept]], ranking.places[kept])
        return replace(self, labels=labels, numbers=numbers, rankings=rankings)


def _join_columns(first: Any, second: Any) -> Any:
    """Return the concatenation of two columns of the same kind; None is an empty column."""
    if first is None:
        return second
    parts = {f.name: np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(first)}
    return type(first)(**parts)


def _renumbered(parts: Sequence[tuple[Any, ...]]) -> tuple[tuple[Any, ...], list[Ints]]:
    """Return all names once, and for each part where its names stand among them, with -1 at the end."""
    names = tuple(dict.fromkeys(name for part in parts for name in part))
    return names, [np.array([*(names.index(name) for name in part), -1], dtype=np.int64) for part in parts]


def cuts_of(ends: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Cut items into parts of at most `most` rows, or of one item; ends: running sum of the items' rows."""
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield start, stop
        start = stop
