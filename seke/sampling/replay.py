"""Recorded samples -> what the policy would have asked for of them, and whether it was asked just so.

What an item has at the end of the policy's loop depends on the item's own answers alone, in the order of
their draws. So items whose answers were drawn to the full budget tell how the policy's pipeline does, and
thresholds tested on them hold for items that the pipeline really asks. Of items that were asked otherwise it
tells nothing: the policy stops where the answers look good, and whoever stops elsewhere errs elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.samples import single_samples
from seke.sampling.answerers import RecordedSource
from seke.sampling.loop import Loop, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine import Answers
    from seke.inference.session import Session
    from seke.samples import SingleSamples
    from seke.sampling.loop import Line

    Mask = NDArray[np.bool_]
    # What an item has at its end: its name, and how many answers of each line it took.
    Taken = tuple[str, frozenset[tuple[Line, int]]]


@dataclass(frozen=True)
class Replay:
    """N recorded items, as the policy would have asked them.

    answers: those that it would have asked for. short: (N,) whether it once asked for more than there is.
    further: (N,) whether it would go on asking. left: (N,) samples that it would not have asked for.
    cost: (N,) of the answers, in the unit of the questions' cost. taken: what each item has at its end; items
    of several replays of the same samples that have the same have the same answers.
    """

    answers: Answers
    short: Mask
    further: Mask
    left: NDArray[np.int64]
    cost: NDArray[np.float64]
    taken: tuple[Taken, ...]

    def otherwise(self) -> Mapping[str, str]:
        """Return of each item that was asked otherwise than the policy asks, in which way.

        An item about which it would go on asking was asked rightly so far.
        """
        found = {}
        for i in np.flatnonzero((self.left > 0) | (self.short & ~self.further)).tolist():
            left = int(self.left[i])
            found[self.answers.items[i]] = (
                f"{left} answer{'s' * (left > 1)} that the policy would not have asked for"
                if left
                else "fewer answers at a time than the policy asks for"
            )
        return found


def replay(
    session: Session,
    samples: SingleSamples,
    progress: Callable[[int], None] | None = None,
    *,
    among_recorded: bool = False,
) -> Replay:
    """Follow the policy through recorded samples; those of observers that cannot be asked are there at once.

    among_recorded: whether the policy chooses among what is recorded. Otherwise it asks for whatever it finds
    best, and an item of which that is not recorded ends there, with what it has.

    Raises:
        engine.SekeError: the policy asks nobody.
    """
    session = session.asking()
    source = RecordedSource(samples)
    known = source.known(session.network.knowledge)
    loop = Loop(session, source.counts if among_recorded else None)
    standing = follow(loop, source.items, source, progress, known)
    given = np.bincount(samples.item, minlength=len(source.items))
    further = np.zeros_like(standing.short)
    if standing.short.any():
        following = session.judge(standing.answers.only(standing.short)).decisions.next
        further[standing.short] = [option is not None for option in following]
    taken = taken_of(standing.answers.items, standing.given)
    not_asked_for = given - standing.answers.samples
    return Replay(standing.answers, standing.short, further, not_asked_for, standing.cost, taken)


def taken_of(items: Sequence[str], counts: Mapping[Line, int]) -> tuple[Taken, ...]:
    """Return what each item has, from how many answers of each line were taken."""
    by_item: dict[str, list[tuple[Line, int]]] = {item: [] for item in items}
    for line, count in counts.items():
        if count and line[0] in by_item:
            by_item[line[0]].append((line, count))
    return tuple((item, frozenset(lines)) for item, lines in by_item.items())


def checked(
    session: Session, samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]]
) -> Session:
    """Return the session with what it must know of samples that a guarantee may hold for.

    Where it holds for items that are asked as the policy asks, which of them were asked otherwise.

    Raises:
        engine.SekeError: samples that can be read only once.
    """
    if session.guarantee is None or not session.guarantee.design.adaptive:
        return session
    listed: list[Any] = [samples] if isinstance(samples, str | Path) else list(samples)
    if "-" in listed:
        raise SekeError(
            "<stdin>: the base's guarantee is of items that its policy asks, and to see whether these "
            "are samples are read twice; give a file"
        )
    found = replay(session, single_samples(listed, session.network.knowledge))
    return replace(session, otherwise=found.otherwise())
