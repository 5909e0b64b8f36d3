"""Lines of a summary that say more than a count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from engine import Knowledge


def whole_text(
    base: Knowledge,
    seen: Collection[str],
    items: int,
    accepted: Mapping[str, int],
    accepted_risk: Mapping[str, float],
) -> str:
    """Return that no item can be accepted as a whole, what is accepted of it, and how to require less.

    seen: the required variables that somebody looked at. accepted: how many values of each are accepted;
    accepted_risk: their risks added up.
    """
    values = [
        f"{name} {accepted[name]:,} of {items:,} (mean risk {accepted_risk[name] / accepted[name]:.3f})"
        for name in seen
        if accepted.get(name)
    ]
    levels = [level for level in base.policy.required if set(base.levels.get(level, (level,))) <= set(seen)]
    text = "; so no item can be accepted as a whole"
    if values:
        text += f". Accepted values: {', '.join(values)}"
    if levels:
        text += f". To require no more than that: policy: {{required: [{', '.join(levels)}]}}"
    return text


def alarm_lines(contradictions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each variable whose labels are contradicted more often than declared."""
    for name, looks in contradictions.items():
        if looks["alarm"]:
            yield (
                f"{looks['contradict']:,} of {looks['looks']:,} looks contradict the set's labels of "
                f"{name}; about {looks['expected']:,.0f} would if the labels were as reliable as "
                f"declared ({looks['reliability']:.2g}; p = {looks['p']:.1g}). The labels or the "
                "observers are worse than declared, so risks that rest on them are higher than stated"
            )
