"""The policy's loop: ask, infer, decide, and ask again until every item is accepted or rejected.

What to ask next is worked out from values alone (`Loop`); asking is left to a source, so that the same loop
runs on made-up observers, on recorded samples, and on a live model.

    begin --requests--> source --answers--> after --requests--> ... --> no requests: all is settled
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine import Answers, Decisions, LevelDecision, SekeError, all_required, look_in_words, price_of
from seke.sampling.recalled_answers import earlier_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from engine import Bools, Floats, Ints, Knowledge, Option
    from seke.inference.session import Session

    Record = dict[str, Any]

ReadingKey = tuple[str, str, str, str | None, str]

EXHAUSTED = "exhausted"
NONE: Mapping[ReadingKey, int] = MappingProxyType({})


@dataclass(frozen=True)
class Request:
    """A request for `samples` further answers about one item.

    about: the one variable where the question is about one. first: how many such answers (same observer,
    question, about and view) the item has already, which is the number of the next one from 0. earlier: of a
    question that recalls, what its prompt says that the observer answered before, where a loop asks it.
    """

    item: str
    observer: str
    question: str
    about: str | None
    view: str
    first: int
    samples: int
    earlier: str | bool | float | None = None

    @property
    def line(self) -> ReadingKey:
        """What repeated answers have in common: item, observer, question, about and view."""
        return self.item, self.observer, self.question, self.about, self.view


class AnswerSource(Protocol):
    """Whoever answers: simulated observers, recorded samples, a model."""

    def ask(self, requests: Sequence[Request]) -> Answers:
        """Return the new answers to these requests, each about another item, and nothing but those.

        Of an item there are fewer than requested where there are no more; an item without any is left out
        or has no samples.
        """
        ...


@dataclass(frozen=True)
class LoopState:
    """The state of N items in the loop.

    answers: all so far. decisions: about every item; final where nothing is requested. requests: what to ask
    next, one for each item that is not settled. cost: (N,) of all answers, in the unit of the questions'
    cost. calls: (N,) how many there were. rounds: (N,) how often something was asked. short: (N,) whether
    there were ever fewer answers than were asked for. given: line -> how many answers it has.
    """

    answers: Answers
    decisions: Decisions
    requests: tuple[Request, ...]
    cost: Floats
    calls: Ints
    rounds: Ints
    short: Bools
    given: Mapping[ReadingKey, int]


class Loop:
    """Says what to ask next under a session's policy."""

    def __init__(self, session: Session, recorded: Mapping[ReadingKey, int] | None = None) -> None:
        """recorded: line -> how many answers there are at all; then nothing else is asked for next."""
        self.session = session
        self.recorded = recorded
        self.base = session.knowledge

    def begin(
        self, answers: Answers, given: Mapping[ReadingKey, int] = NONE, spent: Floats | None = None
    ) -> LoopState:
        """Return the state before anything is asked in this loop.

        answers: what is known already, of most items nothing (`Answers.unasked`). given: line -> how many
        answers it has, of a loop that is resumed. spent: (N,) what these cost; where it is not known they are
        priced as one request a line.

        Raises:
            engine.SekeError: the policy asks nobody; an item is named twice.
        """
        if not self.base.policy.ask:
            raise SekeError(f"the policy of {self.base.name} asks nobody: name an observer under policy.ask")
        if len(set(answers.items)) < len(answers.items):
            raise SekeError("an item is named twice")
        decisions = self._judge(answers, given)
        every = np.arange(len(answers.items))
        requests = self._requests(answers, decisions, every, given)
        place = {name: i for i, name in enumerate(answers.items)}
        cost, calls = np.zeros(len(place)), np.zeros(len(place), dtype=np.int64)
        for line, count in given.items():
            calls[place[line[0]]] += count
            cost[place[line[0]]] += self._price(line, count)
        cost = cost if spent is None else spent.copy()
        rounds, short = np.zeros_like(calls), np.zeros(len(place), dtype=bool)
        return LoopState(answers, decisions, requests, cost, calls, rounds, short, given)

    def after(self, state: LoopState, further: Answers) -> LoopState:
        """Return the state after these answers to its requests.

        An item that was not answered at all is closed with what it has: its source is exhausted.
        """
        place = {name: i for i, name in enumerate(state.answers.items)}
        counts = dict(zip(further.items, further.samples.tolist(), strict=True))
        asked = np.array([place[request.item] for request in state.requests], dtype=np.int64)
        received = np.array([counts.get(request.item, 0) for request in state.requests], dtype=np.int64)
        given = dict(state.given)
        for request, count in zip(state.requests, received.tolist(), strict=True):
            given[request.line] = given.get(request.line, 0) + count
        cost, calls, rounds = state.cost.copy(), state.calls.copy(), state.rounds.copy()
        short = state.short.copy()
        short[asked] |= received < np.array([request.samples for request in state.requests])
        calls[asked] += received
        prices = [
            self._price(request.line, n) for request, n in zip(state.requests, received.tolist(), strict=True)
        ]
        cost[asked] += prices
        rounds[asked] += received > 0
        answers = state.answers.joined(further)
        decisions = force_close(
            self.base, state.decisions, dict.fromkeys(asked[received == 0].tolist(), EXHAUSTED)
        )
        answered = np.sort(asked[received > 0])
        if answered.size:
            chosen = np.zeros(len(place), dtype=bool)
            chosen[answered] = True
            decisions = _replace_rows(decisions, answered, self._judge(answers.only(chosen), given))
        requests = self._requests(answers, decisions, answered, given)
        return LoopState(answers, decisions, requests, cost, calls, rounds, short, given)

    def records(self, state: LoopState) -> list[Record]:
        """Return a posterior record for each item, as `seke infer` gives them, with the loop's decisions."""
        judged = self.session.judge(state.answers)
        diagnostics = self.session.with_checks(state.answers, judged)
        conclusions = judged.posterior, state.decisions, diagnostics
        return self.session.layout.records(state.answers, *conclusions, judged.scope)

    def _judge(self, answers: Answers, given: Mapping[ReadingKey, int]) -> Decisions:
        recorded = self.recorded
        if recorded is None:
            return self.session.judge(answers).decisions
        return self.session.judge(answers, lambda line: given.get(line, 0) < recorded.get(line, 0)).decisions

    def _price(self, line: ReadingKey, answers: int) -> float:
        """Return the price of one request for `answers` answers of a reading."""
        return price_of(self.base, line[1], line[2], answers)

    def _requests(
        self, answers: Answers, decisions: Decisions, items: Ints, given: Mapping[ReadingKey, int]
    ) -> tuple[Request, ...]:
        """Return the next requests about these items, for those that are not settled."""
        requests = []
        for i in items.tolist():
            option: Option | None = decisions.next[i]
            if option is not None:
                line = (answers.items[i], option.observer, option.question, option.about, option.view)
                earlier = None
                if option.about is not None and self.base.questions[option.question].recall:
                    of_item = answers.only(np.arange(len(answers.items)) == i)
                    earlier = earlier_answer(self.base, of_item, option.observer, option.about)
                requests.append(Request(*line, given.get(line, 0), option.samples, earlier))
        return tuple(requests)


def force_close(base: Knowledge, decisions: Decisions, reasons: Mapping[int, str]) -> Decisions:
    """Return the decisions with nothing more to be asked about some items.

    reasons: item's index -> why it is closed; an item that is rejected for it has it among its reasons.
    """
    whole = all_required(base, {name: level.accepted for name, level in decisions.levels.items()})
    item, following, item_reasons = list(decisions.item), list(decisions.next), list(decisions.reasons)
    for i, reason in reasons.items():
        item[i], following[i] = ("accept" if whole[i] else "reject"), None
        item_reasons[i] = () if whole[i] else (*((reason,) if reason else ()), *item_reasons[i])
    return Decisions(tuple(item), decisions.levels, tuple(following), tuple(item_reasons), decisions.disputed)


def wait_for_people(base: Knowledge, decisions: Decisions, looks: Mapping[int, Option]) -> Decisions:
    """Return the decisions with some items waiting for a look of people; looks: index -> that look."""
    if not looks:
        return decisions
    following = tuple(looks.get(i, option) for i, option in enumerate(decisions.next))
    reasons = list(decisions.reasons)
    for i, option in looks.items():
        levels = [reason for reason in reasons[i] if reason.startswith("open")]
        reasons[i] = (look_in_words(base, option), *levels)
    return replace(decisions, next=following, reasons=tuple(reasons))


def run_to_completion(
    loop: Loop,
    items: Sequence[str],
    source: AnswerSource,
    progress: Callable[[int], None] | None = None,
    known: Answers | None = None,
) -> LoopState:
    """Ask the source until every item is settled.

    progress: is called with how many items were settled since the last call. known: answers that there are of
    the items without asking.
    """
    state = loop.begin(Answers.unasked(items) if known is None else known)
    while state.requests:
        before = len(state.requests)
        state = loop.after(state, source.ask(state.requests))
        if progress is not None:
            progress(before - len(state.requests))
    return state


def _replace_rows(whole: Decisions, at: Ints, part: Decisions) -> Decisions:
    """Return `whole` with the decisions about the items `at` (n,) replaced by those of `part`."""

    def column(values: tuple[Any, ...], replacements: tuple[Any, ...]) -> tuple[Any, ...]:
        changed = dict(zip(at.tolist(), replacements, strict=True))
        return tuple(changed.get(i, value) for i, value in enumerate(values))

    levels = {}
    for name, level in whole.levels.items():
        columns = {field.name: getattr(level, field.name).copy() for field in fields(level)}
        for key, values in columns.items():
            values[at] = getattr(part.levels[name], key)
        levels[name] = LevelDecision(**columns)
    return Decisions(
        column(whole.item, part.item),
        levels,
        column(whole.next, part.next),
        column(whole.reasons, part.reasons),
        column(whole.disputed, part.disputed),
    )
