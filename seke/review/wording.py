"""What people read about a task: the question, the units, what the run believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine import Knowledge
    from seke.review.tasks import ReviewTask


def unit_text(base: Knowledge, name: str) -> str:
    """Return a binary variable as people read it: its name and its label."""
    label = base.variables[name].label
    return f"{name} {label}" if label and label != name else name


def ask_text(base: Knowledge, task: ReviewTask) -> str:
    """Return what a task asks, in a sentence."""
    if task.about is not None:
        variable = base.variables[task.about]
        text = unit_text(base, task.about) if variable.kind == "binary" else variable.label or task.about
        return f"Only this: {text}"
    levels = [
        level.replace("_", " ")
        for level, names in base.levels.items()
        if any(name in task.asks for name in names)
    ]
    named = " and ".join(filter(None, [", ".join(levels[:-1]), *levels[-1:]]))
    return f"What does it show? Judge {named}."


def value_text(base: Knowledge, name: str, value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, bool):
        return f"{name} {'present' if value else 'absent'}"
    return f"{base.variables[name].label or name} {value:+.2f}" if isinstance(value, float) else str(value)


def believed_text(base: Knowledge, task: ReviewTask) -> str:
    """Return the prediction of a task in words: absent units are left out."""
    texts = [
        value_text(base, name, value).removesuffix(" present")
        for name, value in task.prediction.items()
        if value is not False or len(task.prediction) == 1
    ]
    return ", ".join(texts) or "none of these"
