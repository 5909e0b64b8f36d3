"""The switches of halo: which readings of an item follow their label, and which do so together.

A reading k under halo follows its label with the probability h_k. The switches of one observer's readings of
an item carry over, as what it sees does: with probability `carry` they are one switch, and else independent.
One switch is on for all readings with h_k > u, u uniform, so that each is on as often as declared. Those
that it turns on are a bundle: they have one label, and one draw of what the label implies, so that another
view adds about as much as another draw of the first. An observer's n readings under halo so have 2^n
settings of independent switches, and one more for each bundle, of which there are as many as different h (one
where all are equal). An observer with one such reading, or a carry of 0, has independent switches alone. No
order of readings counts, and readings not made yet change nothing of those that were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, distinct, namespace, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.backend.types import Array, Bools, Floats, Ints

# The least probability whose log is taken.
LEAST = 1e-300
LOG_LEAST = math.log(LEAST)


@dataclass(frozen=True)
class SwitchSettings:
    """The settings of the switches of n readings.

    on: (settings, n). bundle: (settings, n) which of the bundles a reading is in, -1 where in none.
    observers: of each bundle the observer. log_weight: (settings,) log-probability of each.
    """

    on: Bools
    bundle: Ints
    observers: tuple[int, ...]
    log_weight: Array

    def times(self, other: SwitchSettings) -> SwitchSettings:
        """Return the settings of these readings and of further ones, of another observer."""
        first = np.tile(np.arange(len(self.on)), len(other.on))
        second = np.repeat(np.arange(len(other.on)), len(self.on))
        further = np.where(other.bundle >= 0, other.bundle + len(self.observers), -1)
        return SwitchSettings(
            np.concatenate([self.on[first], other.on[second]], axis=1),
            np.concatenate([self.bundle[first], further[second]], axis=1),
            self.observers + other.observers,
            self.log_weight[first] + other.log_weight[second],
        )


def count_settings(halo: Floats, *, carried: bool) -> int:
    """Return how many settings switches have; halo: (n,) h of each; carried: whether they carry over."""
    bundles = len(np.unique(halo)) if carried and len(halo) > 1 else 0
    return int(2 ** len(halo)) + bundles


def settings_of(observer: int, halo: Array, carry: Array, *, carried: bool) -> SwitchSettings:
    """Return the settings of the switches of one observer's readings about one item.

    halo: (n,) h of each, and carry: a number, both in the library of a fit. carried: whether switches carry
    over.
    """
    count = len(halo)
    on = ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(bool)
    xp = namespace(halo)
    chosen = asarray_like(on.astype(np.float64), halo)
    # A switch that is always on is never off.
    free = asarray_like((plain_numbers(halo) < 1).astype(np.float64), halo)
    log_off = xp.log1p(-halo * free) + (1 - free) * LOG_LEAST
    log_weight = (chosen * xp.log(halo) + (1 - chosen) * log_off).sum(1)
    alone = np.full(on.shape, -1)
    if not carried or count < 2:
        return SwitchSettings(on, alone, (), log_weight)
    h = plain_numbers(halo)
    levels, first = np.unique(h, return_index=True)
    together = h[None, :] >= levels[:, None]
    # The bundle of a level is turned on by u between the level below and its own.
    reached = halo[first]
    below = xp.concatenate([asarray_like(np.zeros(1), halo), reached[:-1]])
    log_bundle = xp.log(xp.clip(carry * (reached - below), LEAST, None))
    log_fresh = log_weight + xp.log(xp.clip(1 - carry, LEAST, None))
    # In the first setting all are off, by one switch or by several.
    off = xp.log(xp.clip(xp.exp(log_fresh[:1]) + carry * (1 - reached[-1:]), LEAST, None))
    return SwitchSettings(
        np.concatenate([on, together]),
        np.concatenate([alone, np.where(together, np.arange(len(levels))[:, None], -1)]),
        (observer,) * len(levels),
        xp.concatenate([off, log_fresh[1:], log_bundle]),
    )


@dataclass(frozen=True)
class Expanded:
    """The rows of N items: each has a row for each setting of its switches.

    row_item: (rows,). row, reading, on, bundle: (P,) of every reading of every row's item its row and index,
    whether its switch is on, and the index of its bundle, -1 where it has none. log_weight: (rows,)
    log-probability of the row's settings. bundle_observer: (B,). member: (2, M) each bundle's readings: the
    bundle, and the reading.
    """

    row_item: Ints
    row: Ints
    reading: Ints
    on: Bools
    bundle: Ints
    log_weight: Array
    bundle_observer: Ints
    member: Ints


@dataclass(frozen=True)
class SwitchedReadings:
    """The readings with a switch, by item and observer.

    items: how many there are. reading_item: (R,) of all readings. reading: (S,) those with a switch; observer
    and question: (S,) of each. halo: (observers, questions), carry: (observers,), both in the library of a
    fit. carries: (observers,) whose switches carry over.
    """

    items: int
    reading_item: Ints
    reading: Ints
    observer: Ints
    question: Ints
    halo: Array
    carry: Array
    carries: Bools

    def alike(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield items with alike switches, (n,), and the places in `reading` of each one's switches, (n, s).

        The switches of an item are sorted by observer and then as they come; alike are those of the same
        observers and questions.
        """
        item = self.reading_item[self.reading]
        order = np.lexsort((np.arange(len(item)), self.observer, item))
        count = np.bincount(item, minlength=self.items)
        start = np.cumsum(count) - count
        for number in distinct(count[count > 0]).tolist():
            items = np.flatnonzero(count == number)
            places = order[start[items][:, None] + np.arange(number)]
            key = np.concatenate([self.observer[places], self.question[places]], axis=1)
            _, kind = np.unique(key, axis=0, return_inverse=True)
            kind = kind.reshape(-1)
            for which in range(int(kind.max()) + 1):
                yield items[kind == which], places[kind == which]

    def settings(self, places: Ints) -> SwitchSettings:
        """Return the settings of one item's switches; places: (s,) as `alike` yields them."""
        observers = self.observer[places]
        settings: SwitchSettings | None = None
        for observer in distinct(observers).tolist():
            questions = self.question[places[observers == observer]]
            of_observer = settings_of(
                observer, self.halo[observer][questions], self.carry[observer], carried=self.carries[observer]
            )
            settings = of_observer if settings is None else settings.times(of_observer)
        assert settings is not None
        return settings

    def rows_of(self) -> Ints:
        """Return how many rows each item has, (N,)."""
        rows = np.ones(self.items, dtype=np.int64)
        halo = plain_numbers(self.halo)
        for items, places in self.alike():
            observers, questions = self.observer[places[0]], self.question[places[0]]
            for observer in distinct(observers).tolist():
                h = halo[observer, questions[observers == observer]]
                rows[items] *= count_settings(h, carried=self.carries[observer])
        return rows

    def expand(self) -> Expanded:
        """Return the rows of all items."""
        kinds = [(items, places, self.settings(places[0])) for items, places in self.alike()]
        rows = np.ones(self.items, dtype=np.int64)
        for items, _, settings in kinds:
            rows[items] = len(settings.on)
        row_item: Ints = np.repeat(np.arange(self.items), rows)
        first_row = np.cumsum(rows) - rows
        pairs = rows[self.reading_item]
        first_pair = np.cumsum(pairs) - pairs
        reading = np.repeat(np.arange(len(self.reading_item)), pairs)
        row = first_row[self.reading_item[reading]] + np.arange(len(reading)) - first_pair[reading]
        on, bundle = np.zeros(len(reading), dtype=bool), np.full(len(reading), -1)
        observers: list[Ints] = [np.zeros(0, dtype=np.int64)]
        members: list[Ints] = [np.zeros((2, 0), dtype=np.int64)]
        weights = asarray_like(np.zeros(1), self.halo)
        weight_of = np.zeros(len(row_item), dtype=np.int64)
        xp, bundles = namespace(self.halo), 0
        for items, places, settings in kinds:
            size, number = len(settings.on), len(settings.observers)
            at_row = first_row[items][:, None] + np.arange(size)
            weight_of[at_row] = len(weights) + np.arange(size)
            weights = xp.concatenate([weights, settings.log_weight])
            at = first_pair[self.reading[places]][:, None, :] + np.arange(size)[None, :, None]
            on[at] = settings.on
            begin = bundles + number * np.arange(len(items))[:, None, None]
            bundle[at] = np.where(settings.bundle >= 0, settings.bundle + begin, -1)
            observers.append(np.tile(np.array(settings.observers, dtype=np.int64), len(items)))
            used, place = np.nonzero((settings.bundle[None] == np.arange(number)[:, None, None]).any(1))
            each = np.arange(len(items))[:, None]
            members.append(
                np.stack(
                    [
                        (bundles + number * each + used).reshape(-1),
                        self.reading[places[:, place]].reshape(-1),
                    ]
                )
            )
            bundles += number * len(items)
        return Expanded(
            row_item,
            row,
            reading,
            on,
            bundle,
            weights[weight_of],
            np.concatenate(observers),
            np.concatenate(members, axis=1),
        )


def followed_at(halo: float, followed: Floats, known: Floats) -> Floats:
    """Return the probability that readings would have followed their label with another halo, (n,).

    followed: (n,) P(it did) with its own, known: (n,). A switch is on where u < h, u uniform: all that is
    known of u is on which side of h it lies.
    """
    below = halo / np.maximum(known, max(halo, LEAST))
    above = np.maximum(halo - known, 0) / np.maximum(1 - known, LEAST)
    return np.asarray(followed * below + (1 - followed) * above)


def further_switch(
    known: Floats, on: Bools, bundled: Bools, halo: float, carry: float, rng: np.random.Generator
) -> tuple[Bools, Bools]:
    """Draw whether a further reading of an observer follows its label, and whether with those that do.

    known: (n,) h of the observer's readings with a switch, and on: (paths, n) whether theirs are on. bundled:
    (paths,) whether those that are on are a bundle. halo: h of the further reading.

    Returns:
        (paths,) whether it follows its label; (paths,) whether by one switch with the others, so that it has
        the label of those that are on.
    """
    paths, count = on.shape
    u = rng.random(paths)
    if not count or carry == 0:
        return np.asarray(u < halo), np.zeros(paths, dtype=bool)
    # One switch is on below h: here it lies between the highest h of those off and the least of those on.
    low = np.where(on, 0.0, known).max(1)
    high = np.where(on, known, 1.0).min(1)
    if count == 1:
        shares = np.full(paths, carry)
    else:
        off = ~on.any(1)
        by_one = carry * (1 - known.max())
        shares = np.where(off, by_one / (by_one + (1 - carry) * (1 - known).prod()), bundled)
    together = rng.random(paths) < shares
    at = low + u * (high - low)
    return np.where(together, at < halo, u < halo), together
