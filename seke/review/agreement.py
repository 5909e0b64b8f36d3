"""How often people agree with what they were shown, beside how often they do so blind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.review.answers import ReviewAnswer
    from seke.review.tasks import ReviewTask


@dataclass(frozen=True)
class Agreement:
    """Values of one level by one person that equal what the run held for likeliest.

    shown, agree_shown: values beside a prediction that was shown, and how many equal it. blind,
    agree_blind: the same of values without one.
    """

    annotator: str
    level: str
    shown: int
    agree_shown: int
    blind: int
    agree_blind: int


def agreements(
    base: Knowledge, answers: Sequence[ReviewAnswer], tasks: Mapping[str, ReviewTask]
) -> Iterator[Agreement]:
    """Yield the agreement of each person, level by level; numbers agree within the policy's tolerance."""
    level_of = {name: level for level, names in base.levels.items() for name in names}
    counts: dict[tuple[str, str], list[int]] = {}
    for answer in answers:
        task = tasks.get(answer.task)
        for name, value in answer.values.items() if task is not None else ():
            row = counts.setdefault((answer.annotator, level_of[name]), [0, 0, 0, 0])
            at = 0 if name in answer.given else 2
            row[at] += 1
            row[at + 1] += _agrees(base, name, value, task.prediction.get(name) if task else None)
    for (annotator, level), row in sorted(counts.items()):
        yield Agreement(annotator, level, *row)


def _agrees(base: Knowledge, name: str, value: Any, predicted: Any) -> bool:
    if base.variables[name].kind != "interval":
        return bool(value == predicted)
    return bool(abs(value - predicted) <= base.policy.tolerance[name])
