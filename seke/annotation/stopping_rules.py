"""When to stop asking, by rules that know no knowledge base: baselines for the policy.

Each sees the answers about one item, in order, and says how many further ones it wants; 0 is the end.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scipy.special import betainc

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Label = str | None
    Rule = Callable[[Sequence[Label]], int]

NAMES = ("policy", "fixed:N", "agree:K/N", "adaptive-consistency", "esc")
# Probability that the leading label is the likeliest, at which adaptive consistency stops.
CONFIDENCE = 0.95
# Answers of one window of early-stopping self-consistency.
WINDOW = 5


def rule_of(name: str, budget: int) -> Rule | None:
    """Return the rule of this name; None for the policy.

    A rule gets the label of each answer so far, None for one without. budget: the most answers about an item.

    Raises:
        engine.SekeError: no such rule.
    """
    if name == "policy":
        return None
    kind, _, number = name.partition(":")
    if kind == "fixed" and number.isdigit() and int(number) > 0:
        return lambda labels: max(int(number) - len(labels), 0)
    if kind == "agree":
        return _agreement(name, number)
    rules = {"adaptive-consistency": _adaptive_consistency, "esc": _windows}
    if name not in rules:
        raise SekeError(
            f"no strategy is called {name!r}; allowed are {', '.join(NAMES)} (such as fixed:5, agree:4/5)"
        )
    rule = rules[name]
    return lambda labels: min(rule(labels), max(budget - len(labels), 0))


def _agreement(name: str, counts: str) -> Rule:
    """Go on until K answers, of whichever draws and observers, have the same label, or N are there.

    As many are asked at once as the leading label lacks: with fewer, no label can reach K.

    counts: K/N, as it stands in the strategy's name.
    """
    texts = counts.split("/")
    needed, limit = (int(text) if text.isdecimal() else 0 for text in texts) if len(texts) == 2 else (0, 0)
    if not 1 <= needed <= limit:
        raise SekeError(
            f"strategy {name!r}: after `agree:` belong how many answers must have the same label and how "
            "many there may be at most: two whole numbers, 1 <= K <= N, such as agree:4/5"
        )

    def rule(labels: Sequence[Label]) -> int:
        votes = Counter(label for label in labels if label is not None).values()
        return max(min(needed - max(votes, default=0), limit - len(labels)), 0)

    return rule


def _adaptive_consistency(labels: Sequence[Label]) -> int:
    """Go on until P(leader likelier than the next | counts) > CONFIDENCE: 1 - I_{1/2}(a + 1, b + 1).

    The Beta criterion of Adaptive-Consistency (Aggarwal et al. 2023, arXiv 2305.11860).
    """
    counts = [count for _, count in Counter(label for label in labels if label is not None).most_common(2)]
    first, second = (*counts, 0, 0)[:2]
    return 0 if 1 - betainc(first + 1, second + 1, 0.5) > CONFIDENCE else 1


def _windows(labels: Sequence[Label]) -> int:
    """Go on, WINDOW answers at a time, until one window is of one mind.

    Early-stopping self-consistency (Li et al. 2024, arXiv 2401.10480).
    """
    if not labels or len(labels) % WINDOW:
        return WINDOW - len(labels) % WINDOW
    last = set(labels[-WINDOW:])
    return 0 if len(last) == 1 and None not in last else WINDOW


def label_of(record: dict[str, Any], root: str, levels: Sequence[str]) -> Label:
    """Return the label of the root in a sample record: the first of a ranking, else the likeliest."""
    label = record.get("reports", {}).get(root)
    for level in levels:
        label = record.get(level, label)
    if isinstance(label, list):
        label = label[0] if label else None
    if isinstance(label, dict):
        label = max(label, key=lambda name: label[name], default=None)
    return label if isinstance(label, str) else None
