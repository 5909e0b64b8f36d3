"""Recorded samples -> those that the policy would have asked for, and items that were sampled off policy.

What an item has at the end of the policy's loop depends on the item's own answers alone, in the order of
their draws. So items whose answers were drawn to the full budget tell how the policy's pipeline does, and
thresholds tested on them hold for items that the pipeline really asks. Items that were asked otherwise tell
nothing about it: the policy stops where the answers look good, and another way to stop errs elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.samples import single_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine import Answers, Bools, Floats, Ints
    from seke.inference.session import Session
    from seke.samples import SingleSamples
    from seke.sampling.loop import ReadingKey

    # What an item has at its end: its name, and how many answers of each line it took.
    Taken = tuple[str, frozenset[tuple[ReadingKey, int]]]


@dataclass(frozen=True)
class Replay:
    """N recorded items, as the policy would have asked them.

    answers: those that it would have asked for. short: (N,) whether it once asked for more than there is.
    further: (N,) whether it would go on asking. surplus: (N,) samples that it would not have asked for.
    cost: (N,) of the answers, in the unit of the questions' cost. taken: what each item has at its end; items
    of several replays of the same samples that have the same have the same answers.
    """

    answers: Answers
    short: Bools
    further: Bools
    surplus: Ints
    cost: Floats
    taken: tuple[Taken, ...]

    def off_policy(self) -> Mapping[str, str]:
        """Return item -> how its samples differ from the policy's, for items that were sampled off policy.

        An item about which it would go on asking was asked rightly so far.
        """
        reasons = {}
        for i in np.flatnonzero((self.surplus > 0) | (self.short & ~self.further)).tolist():
            surplus = int(self.surplus[i])
            reasons[self.answers.items[i]] = (
                f"{surplus} answer{'s' * (surplus > 1)} that the policy would not have asked for"
                if surplus
                else "fewer answers per request than the policy asks for"
            )
        return reasons


def replay(
    session: Session,
    samples: SingleSamples,
    progress: Callable[[int], None] | None = None,
    *,
    among_recorded: bool = False,
) -> Replay:
    """Follow the policy through recorded samples; it begins with those of observers that cannot be asked.

    among_recorded: whether the policy chooses among recorded samples only. Otherwise it asks for the best,
    and an item without a record of it ends there, with the samples that it has.

    Raises:
        engine.SekeError: the policy asks nobody.
    """
    from seke.sampling.answerers import RecordedSource
    from seke.sampling.loop import Loop, run_to_completion

    session = session.asking()
    source = RecordedSource(samples)
    known = source.known(session.knowledge)
    loop = Loop(session, source.counts if among_recorded else None)
    state = run_to_completion(loop, source.items, source, progress, known)
    recorded = np.bincount(samples.item, minlength=len(source.items))
    further = np.zeros_like(state.short)
    if state.short.any():
        following = session.judge(state.answers.only(state.short)).decisions.next
        further[state.short] = [option is not None for option in following]
    taken = taken_of(state.answers.items, state.given)
    return Replay(state.answers, state.short, further, recorded - state.answers.samples, state.cost, taken)


def taken_of(items: Sequence[str], counts: Mapping[ReadingKey, int]) -> tuple[Taken, ...]:
    """Return what each item has, from how many answers of each reading were taken."""
    by_item: dict[str, list[tuple[ReadingKey, int]]] = {item: [] for item in items}
    for key, count in counts.items():
        if count and key[0] in by_item:
            by_item[key[0]].append((key, count))
    return tuple((item, frozenset(readings)) for item, readings in by_item.items())


def mark_off_policy(
    session: Session, samples: str | Path | Iterable[Any], item: str | None = None
) -> Session:
    """Return the session with the items of these samples that were sampled off policy.

    Where it holds for items that are asked as the policy asks, which of them were asked otherwise.
    item: the only one that is looked at, of files, as `read_batches` reads them.

    Raises:
        engine.SekeError: samples that can be read only once.
    """
    if session.guarantee is None or not session.guarantee.design.adaptive:
        return session
    sources: list[Any] = [samples] if isinstance(samples, str | Path) else list(samples)
    if "-" in sources:
        raise SekeError(
            "<stdin>: the base's guarantee is about items that its policy asks; to check that, samples are "
            "read twice, so give a file"
        )
    return mark_recorded(session, single_samples(sources, session.knowledge, item))


def mark_recorded(session: Session, recorded: SingleSamples) -> Session:
    """Return the session, whose guarantee is adaptive, with the items that were sampled off policy."""
    if not recorded.items:
        return session
    return replace(session, off_policy=replay(session, recorded).off_policy())
