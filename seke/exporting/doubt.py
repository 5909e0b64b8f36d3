"""Whose doubt it is: people read a picture differently, or people agree and the model could not tell.

People's votes are the readings of several people who did not see what the model said: those of a table of
votes, or of people among the run's answers. Without two votes nothing is known about people, and nothing is
guessed.

    people   split     no reading has more than half of the votes: the picture is ambiguous
             agree     one has
             unknown   there are fewer than two votes
    model    sure      the label was accepted at the policy's limit of its risk
             unsure    it was not; `epistemic_bits` says how much of the doubt one further ideal reading would
                       take away
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import did_you_mean
from seke.files.faults import Faults
from seke.files.rows import RowFile, is_blank, name_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine import Knowledge

    Record = dict[str, Any]

PEOPLE = ("agree", "split", "unknown")
MODEL = ("sure", "unsure")
# Votes of which something can be said: one person cannot disagree with herself.
FEWEST_VOTES = 2
COUNT_COLUMN = "votes"


@dataclass(frozen=True)
class Doubt:
    """Whose doubt there is about an item; see above. votes: state -> people."""

    votes: Mapping[str, int] = field(default_factory=dict)
    model: str = "sure"
    epistemic_bits: float = 0.0
    entropy_bits: float = 0.0

    @classmethod
    def of(cls, record: Record, root: str, votes: Mapping[str, int]) -> Doubt:
        """Return the doubt about an item by its posterior record; root: the variable of the votes."""
        decided = record["decision"]["levels"].get(root, {}).get("decision")
        diagnostics = record["diagnostics"]
        bits = (float(diagnostics.get(name) or 0.0) for name in ("epistemic_bits", "entropy_bits"))
        return cls(votes, "sure" if decided == "accept" else "unsure", *bits)

    @property
    def people(self) -> str:
        """Whether people agree."""
        total = sum(self.votes.values())
        if total < FEWEST_VOTES:
            return "unknown"
        return "agree" if 2 * max(self.votes.values()) > total else "split"


def read_votes(path: Path, base: Knowledge) -> dict[str, Counter[str]]:
    """Read a table of votes: `item`, a column of the base's root variable, and `votes` (1 where it lacks).

    A row is a reading of one person, or of as many as `votes` says; an item has several rows.

    Raises:
        engine.AnswerError: a line for each of the first faults.
    """
    file = RowFile(path, Faults(), strip=True, by_hand=True)
    states = base.variables[base.root].states
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for number, row in file.rows():
        item, state, times = row.get("item"), row.get(base.root), row.get(COUNT_COLUMN)
        if is_blank(item) or is_blank(state):
            file.note(number, f"needs `item` and `{base.root}`")
            continue
        if state not in states:
            file.note(number, f"{base.root}: {str(state)[:40]!r}{did_you_mean(str(state)[:40], states)}")
            continue
        count = 1 if is_blank(times) else _whole(times)
        if count is None:
            file.note(number, f"{COUNT_COLUMN}: {str(times)[:40]!r}; a whole number from 0 belongs there")
            continue
        votes[str(name_text(item))][str(state)] += count
    file.faults.raise_all()
    return dict(votes)


def _whole(text: Any) -> int | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() and number >= 0 else None
