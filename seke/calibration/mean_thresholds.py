"""A fit -> the thresholds that keep limits of the mean: of items as answered, and as the policy asks.

Of items as answered a threshold is a matter of their risks alone (`engine.decision.limits`). Where the policy
asks, it also matters how far down it does: items asked until each is at some risk are nearly all just below
it. Were that the threshold itself, it could only be found by finding itself, and a low one would confirm
itself, for nothing is asked that cannot reach it. So there are two numbers. Items are asked down to an `aim`;
whatever ends above it is accepted, too, as far as the mean allows: up to the threshold, which says nothing of
what is asked. Aims are tried at several shares of the limits, the same for all variables. Under each the
policy asks the recorded items, choosing among what is recorded of them, and the thresholds are those of the
items as they end. The best aims are those under which the accepted are worth most, less what they cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers, FitDraws, Threshold, set_thresholds, thresholds_by_value
from seke.inference.processes import workers
from seke.sampling.answerers import RecordedSource
from seke.sampling.replay import replay, taken_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from engine import DrawnRisks, Fit, Ints, Knowledge, LevelDecision, Policy
    from seke.inference.session import Session
    from seke.samples import SingleSamples
    from seke.sampling.replay import Replay, Taken

    # A variable, and the value that a threshold is of (`Threshold`).
    Key = tuple[str, str]

# Items on which thresholds are found: where there are more, so many of them by chance. The limit is kept to
# about sqrt(limit / items), .02 at a limit of .05.
MOST_ITEMS = 150
# Shares of its limit down to which a risk may be asked, half a doubling apart: a judgement. Below the limit
# the mean has room for what ends above; risks asked down to more than the limit would leave it none.
SHARES = (1.0, 2**-0.5, 0.5, 2**-1.5, 0.25)


def _no_progress(stage: str, done: int, total: int) -> None:
    """Report no progress."""


def thresholds_of(
    session: Session,
    fit: Fit,
    answers: Answers,
    rng: np.random.Generator,
    population_n: float | None,
    recorded: SingleSamples | None,
    progress: Callable[[str, int, int], None] = _no_progress,
    processes: int = 1,
) -> tuple[tuple[Threshold, ...], tuple[Threshold, ...]]:
    """Return the thresholds that keep limits of the mean: of items as answered, and as the policy asks.

    session: of the base as it was written. recorded: the samples of the items one by one;
    None where the policy cannot be followed on them. progress: called with what is done for them, and how
    many of how many steps. processes: so many share the work.
    """
    policy = session.knowledge.policy
    policy = replace(policy, thresholds={}, adaptive_thresholds={}, aims={}, adaptive_aims={})
    session = session.under(policy)
    if not session.without_threshold or not len(answers.items):
        return (), ()
    if len(answers.items) > MOST_ITEMS:
        chosen = np.zeros(len(answers.items), dtype=bool)
        chosen[rng.permutation(len(chosen))[:MOST_ITEMS]] = True
        answers = answers.only(chosen)
    draws = FitDraws.of(fit, session.inference, rng, population_n)
    if recorded is None:
        ends = _Ends.of(session, draws, answers, progress, processes)
        return ends.thresholds(np.arange(len(answers.items))), ()
    recorded = recorded.about(set(answers.items))
    return _Search(session, draws, recorded, progress, processes).thresholds(answers)


@dataclass(frozen=True)
class _Ends:
    """What M items ended with, decided, and drawn.

    levels: the decisions about the variables whose limit is of the mean, (M,). drawn: their risks under the
    draws of the fit.
    """

    base: Knowledge
    levels: Mapping[str, LevelDecision]
    drawn: DrawnRisks

    @classmethod
    def of(
        cls,
        session: Session,
        draws: FitDraws,
        answers: Answers,
        progress: Callable[[str, int, int], None] = _no_progress,
        processes: int = 1,
    ) -> _Ends:
        """Infer and draw the ends of M items; session: without thresholds."""
        levels = _levels(session, answers)
        tell, each = partial(progress, "thresholds, from draws of the fit"), partial(_each, processes)
        return cls(session.knowledge, levels, draws.risks(answers, levels, tell, each))

    def thresholds(self, rows: Ints) -> tuple[Threshold, ...]:
        """Return the thresholds of items that ended so: rows (N,) are their ends' indices."""
        policy, thresholds = self.base.policy, []
        weight = self.drawn.weight[:, rows]
        for name, ends in self.levels.items():
            level = ends.of(rows)
            if not _enough(level, policy):
                continue
            risks = self.drawn.risk[name][:, rows], weight
            means = set_thresholds(self.base.variables[name], policy, level, policy.calibrated_from, *risks)
            for value, mean in means.items():
                of_items = mean.risk, mean.items, mean.accepted, mean.mean
                thresholds.append(Threshold(name, value, policy.limits[name], *of_items))
        return tuple(thresholds)


def _each(processes: int, work: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
    """Yield what some work returns of one batch after another, the work of several processes."""
    with workers(processes, work) as shared:
        yield from (result for _, result in shared(work, batches))


def _levels(session: Session, answers: Answers) -> dict[str, LevelDecision]:
    """Return the decisions about variables whose limit is of the mean."""
    policy = session.knowledge.policy
    levels = session.levels(answers)
    return {name: levels[name] for name in policy.limits if name in policy.mean_limits}


def _enough(level: LevelDecision, policy: Policy) -> bool:
    """Say whether enough items speak of a variable to find a threshold."""
    return bool(level.eligible.sum() >= policy.calibrated_from)


@dataclass(frozen=True)
class _Search:
    """Searches how far down to ask, and the thresholds of items that are asked so.

    session: without thresholds. recorded: the N items. processes: so many share the work.
    """

    session: Session
    draws: FitDraws
    recorded: SingleSamples
    progress: Callable[[str, int, int], None] = _no_progress
    processes: int = 1

    def thresholds(self, answered: Answers) -> tuple[tuple[Threshold, ...], tuple[Threshold, ...]]:
        """Return the thresholds of the items as answered, and those of the share that is best aimed at.

        Most items end alike under several aims, and many with all that is recorded of them: each end is
        inferred, and drawn, once.
        """
        shares, replays = self.replays()
        cases = [(answered, self._all_taken(answered.items))]
        cases += [(asked.answers, asked.taken) for asked in replays]
        stack, rows = distinct_ends(cases)
        ends = _Ends.of(self.session, self.draws, stack, self.progress, self.processes)
        attempts = [
            self._attempt(share, asked, ends.thresholds(row))
            for share, asked, row in zip(shares, replays, rows[1:], strict=True)
        ]
        return ends.thresholds(rows[0]), best(attempts)

    def replays(self) -> tuple[tuple[float, ...], tuple[Replay, ...]]:
        """Return the shares of the limits, and the items as they are asked down to each."""
        replays = [self.under(1.0)]
        self._tell(replays)
        keys = self._keys(replays[0].answers)
        if not keys:
            return SHARES[:1], tuple(replays)
        # Where processes are not forked the work is sent to them, and how far it is stays here.
        under = partial(replace(self, progress=_no_progress).under, keys=keys)
        for asked in _each(self.processes, under, SHARES[1:]):
            replays.append(asked)
            self._tell(replays)
        return SHARES, tuple(replays)

    def _tell(self, replays: Sequence[Replay]) -> None:
        items = len(self.recorded.items)
        self.progress("thresholds, as the policy asks", len(replays) * items, len(SHARES) * items)

    def under(self, share: float, keys: Collection[Key] = ()) -> Replay:
        """Return the items as they are asked down to a share of the limits.

        keys: variables and values of which that is so; all others are asked down to the limit itself.
        """
        base = self.session.knowledge
        by_name: dict[str, dict[str, float]] = {}
        for name, value in keys:
            by_name.setdefault(name, {})[value] = self._aim(name, share)
        aims = {
            name: thresholds_by_value(base.variables[name], base.policy.limits[name], by_value)
            for name, by_value in by_name.items()
        }
        session = self.session.under(replace(base.policy, aims=aims, adaptive_aims=aims))
        return replay(session, self.recorded, among_recorded=True)

    def _keys(self, answers: Answers) -> frozenset[Key]:
        """Return the variables and values that enough items have for a threshold."""
        base = self.session.knowledge
        return frozenset(
            (name, value)
            for name, level in _levels(self.session, answers).items()
            if _enough(level, base.policy)
            for value in set_thresholds(base.variables[name], base.policy, level, base.policy.calibrated_from)
        )

    def _all_taken(self, items: Sequence[str]) -> tuple[Taken, ...]:
        """Return what items have that took all that is recorded of them."""
        observers = self.session.knowledge.observers
        counts = RecordedSource(self.recorded).counts
        return taken_of(items, {line: n for line, n in counts.items() if observers[line[1]].askable})

    def _attempt(self, share: float, asked: Replay, thresholds: Sequence[Threshold]) -> Attempt:
        """Return what comes of asking down to a share of the limits."""
        aimed = [replace(threshold, aim=self._aim(threshold.variable, share)) for threshold in thresholds]
        return Attempt.of(aimed, self.session.knowledge.policy.worth, float(asked.cost.sum()))

    def _aim(self, name: str, share: float) -> float:
        policy = self.session.knowledge.policy
        return min(share * policy.limits[name], policy.worst)


def distinct_ends(cases: Sequence[tuple[Answers, Sequence[Taken]]]) -> tuple[Answers, list[Ints]]:
    """Return the M distinct ends of items as one batch, and the rows there of each case's items, (N,).

    cases: of each way in which items were asked their answers, and what tells an item's end from others'.
    """
    row_of: dict[Taken, int] = {}
    parts, rows = [], []
    for answers, ends in cases:
        new = np.array([end not in row_of for end in ends], dtype=bool)
        for end in ends:
            row_of.setdefault(end, len(row_of))
        if new.any():
            parts.append(answers.only(new))
        rows.append(np.array([row_of[end] for end in ends], dtype=np.int64))
    # An item stands there once for each of its ends.
    names = tuple(str(row) for row in range(len(row_of)))
    return replace(Answers.stacked(parts), items=names), rows


@dataclass(frozen=True)
class Attempt:
    """Thresholds of items asked down to one share of the limits.

    net_worth: what they accept is worth, less what it cost to ask.
    """

    thresholds: tuple[Threshold, ...]
    net_worth: float

    @classmethod
    def of(cls, thresholds: Sequence[Threshold], worth: Mapping[str, float], cost: float) -> Attempt:
        """Weigh thresholds. worth: variable -> of an accepted value; cost: of all answers; one unit."""
        accepted = sum(worth[threshold.variable] * threshold.accepted for threshold in thresholds)
        return cls(tuple(thresholds), accepted - cost)

    @property
    def keys(self) -> frozenset[Key]:
        """The variables and values that enough items have for a threshold."""
        return frozenset((threshold.variable, threshold.value) for threshold in self.thresholds)


def best(attempts: Sequence[Attempt]) -> tuple[Threshold, ...]:
    """Return the thresholds of the attempt that is worth most, the first of several.

    attempts: the first asks down to the limits. Where another has a value too seldom for a threshold, its aim
    would hold for the search alone: it does not count.
    """
    whole = [attempt for attempt in attempts if attempt.keys == attempts[0].keys]
    return max(whole, key=lambda attempt: attempt.net_worth).thresholds
