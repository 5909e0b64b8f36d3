"""One row of instruction data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InstructionRow:
    """Questions and answers of a task about a picture, or about two.

    turns: (question, answer), at least one. frame: of a task without reasons all of its wording but what it
    answers with, empty otherwise. soft: where the posterior of the expression is split and the answer says
    so, its probabilities as JSON, empty otherwise. number: which of several rows of this task and item.
    pictures: of a comparison the two pictures, from the export's folder, else none; partner: the item of the
    first of these. reworded_by: the model that put at least one of the texts into other words, if any.
    accepted: False of a row about an expression that was not accepted, whose `soft` is what it teaches.
    """

    task: str
    turns: tuple[tuple[str, str], ...]
    frame: str = ""
    soft: str = ""
    number: int = 1
    pictures: tuple[str, ...] = ()
    partner: str = ""
    reworded_by: str = ""
    accepted: bool = True

    @property
    def decision(self) -> str:
        """What the column `decision` holds."""
        return "accepted" if self.accepted else "not accepted"
