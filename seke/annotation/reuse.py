"""Answers that another run has already, in place of asking for them again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seke.vision.errors import UnansweredError
from seke.vision.messages import Reply, answering_model, consecutive_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seke.runs.ledger import Ledger
    from seke.vision.messages import Call, Choice, Journal, Model


class ReusedAnswers:
    """A model that reuses another run's answers to the same prompts and pictures, at no cost.

    alike: observer of this run -> observer as which the same model answered in the earlier one. Answers of
    others are not used.
    """

    def __init__(self, model: Model, earlier: Ledger, alike: Mapping[str, str]) -> None:
        self.model, self.earlier, self.alike = model, earlier, alike

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `messages.Model`."""
        request = call.request
        draws = range(request.first, request.first + request.samples)
        known = self._known(call, draws)
        if known:
            number = await journal.sent(call, tuple(known), 0.0)
            model = answering_model(known.values(), "earlier run")
            await journal.answered(number, Reply(tuple(known.values()), model, price=0.0))
        unanswered: UnansweredError | None = None
        for first, samples in consecutive_runs(draw for draw in draws if draw not in known):
            further = replace(call, request=replace(request, first=first, samples=samples))
            try:
                came = await self.model.ask(further, journal)
            except UnansweredError as error:
                came, unanswered = error.choices, error
            known |= {choice.draw: choice for choice in came}
        choices = tuple(known[draw] for draw in sorted(known))
        if unanswered is not None:
            raise type(unanswered)(unanswered.reason, choices)
        return choices

    def _known(self, call: Call, draws: Iterable[int]) -> dict[int, Choice]:
        """Return the earlier answers to a call, draw by draw."""
        observer = self.alike.get(call.request.observer)
        if observer is None:
            return {}
        return {choice.draw: choice for choice in self.earlier.choices(call, draws, observer)}
