"""`seke knowledge sensitivity`: which numbers of the YAML move posteriors and decisions most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Influence, Influences, Knowledge, SekeError, did_you_mean
from seke.console.plain_text import count, near
from seke.console.rich_table import table_lines
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.inference.session import Session
from seke.sampling.infer import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine import Answers, Number
    from seke.files.frames import Samples

    Facts = dict[str, Any]

# Items that are inferred; of more, evenly spaced ones.
MOST_ITEMS = 200
# Numbers in the text.
MOST_SHOWN = 25
# The step, in units of a number, for which effects are stated.
TENTH = 0.1
# Change of a probability per TENTH that four decimal places still show.
LEAST_SHOWN = 5e-5


@dataclass(frozen=True, repr=False)
class SensitivityReport(TextReport):
    """The numbers that move decisions about a variable, ranked. facts: JSON values."""

    facts: Mapping[str, Any]

    def __str__(self) -> str:
        return "\n".join(_lines(self.facts))


def sensitivity(
    samples: Samples,
    knowledge: Knowledge | str | Path | None = None,
    *,
    item: str | None = None,
    about: str | None = None,
    population: str | None = None,
    sections: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SensitivityReport:
    """Rank the declared numbers by how far they move the decisions about a variable of these samples.

    Of more than MOST_ITEMS items as many are taken, evenly spaced. Of each number: `per_tenth` and `largest`,
    by how much 0.1 of it would change the probability that the value decided now is right (the mean of the
    absolute changes, and the greatest, of `item`); `move`, how far it reasonably may move (0.1, at most to
    its double or half way to 1; a tenth of it where its range is wider than 2); `flips`, the items whose
    acceptance would change within that. All is to first order. They are in the order of what they change
    within their moves. Of one item there is `flip_to_first_order`, the value at which its acceptance would
    change, and of the numbers that are shown `flip`, where it does change, compiled and inferred anew.

    Args:
        samples: as of `infer`.
        knowledge: a base, or the folder or file of one; the shipped base by default.
        item: ask of this item only.
        about: the variable; the root by default.
        population: the prior to use; the base's usual one by default.
        sections: only numbers of these sections of the YAML, or below these paths, such as activations or
            observers.human; all by default.
        progress: is told after each number how many of how many are done.

    Raises:
        engine.SekeError: bad knowledge or samples; an item, a variable or a section that is not there.
    """
    base = read_knowledge(knowledge)
    _check_sections(base, sections)
    session = Session.open(base, population)
    known = [name for names in base.levels.values() for name in names]
    if about is not None and about not in known:
        raise SekeError(f"no variable of the levels is called {about!r}{did_you_mean(about, known)}")
    answers, total = _choose_items(list(batches(samples, base)), item)
    influences = Influences(session.inference, answers, about or "")
    return SensitivityReport(
        {
            "knowledge": {"name": base.name, "digest": base.digest},
            "about": influences.variable,
            "population": session.inference.population,
            "items": list(answers.items),
            "of": total,
            "probability": [float(p) for p in influences.p],
            "threshold": None if np.isnan(influences.threshold).any() else float(influences.threshold.min()),
            **({"sections": list(sections)} if sections else {}),
            "numbers": _rank_numbers(influences, sections, progress),
        }
    )


def _check_sections(base: Knowledge, sections: Sequence[str]) -> None:
    """Refuse a section, or a path within one, that has no number."""
    for section in sections:
        if not any(_is_within(path, section) for path in base.numbers):
            known = dict.fromkeys(path.partition(".")[0] for path in base.numbers)
            raise SekeError(
                f"no section with numbers is called {section!r}; allowed are {', '.join(known)}, and paths "
                "in these, such as observers.NAME"
            )


def _is_within(path: str, section: str) -> bool:
    return path == section or path.startswith((f"{section}.", f"{section}["))


def _rank_numbers(
    influences: Influences, sections: Sequence[str], progress: Callable[[int, int], None] | None
) -> list[Facts]:
    """Return the facts of every number of these sections, those that change most within their moves first."""
    answers, numbers = influences.perturbation.answers, influences.perturbation.numbers
    if sections:
        numbers = tuple(number for number in numbers if any(_is_within(number.path, s) for s in sections))
    total = len(numbers)
    ranked: list[tuple[Facts, Influence]] = []
    for done, influence in enumerate(influences.each(numbers), 1):
        if influence is not None:
            ranked.append((_number(influence, answers), influence))
        if progress:
            progress(done, total)
    ranked.sort(key=lambda pair: -pair[0]["per_tenth"] * pair[0]["move"])
    facts = [fact for fact, _ in ranked]
    if len(answers.items) == 1:
        by_path = {fact["path"]: influence for fact, influence in ranked}
        for fact in _numbers_to_show(facts):
            value = influences.decision_threshold(by_path[fact["path"]])
            fact["flip"] = None if np.isnan(value) else value
    return facts


def _numbers_to_show(numbers: list[Facts]) -> list[Facts]:
    """Return the first MOST_SHOWN numbers with an effect of at least LEAST_SHOWN."""
    return [number for number in numbers if number["per_tenth"] >= LEAST_SHOWN][:MOST_SHOWN]


def _choose_items(parts: list[Answers], item: str | None) -> tuple[Answers, int]:
    """Return the answers about one item, or about evenly spaced ones, and how many items there are."""
    names = [(index, place) for index, part in enumerate(parts) for place in range(len(part.items))]
    if item is not None:
        wanted = [(i, place) for i, place in names if parts[i].items[place] == item]
        if not wanted:
            items = [name for part in parts for name in part.items]
            raise SekeError(f"the samples have no item {item!r}{did_you_mean(item, items)}")
        index, place = wanted[0]
        return parts[index].part(place, place + 1), 1
    if not names:
        raise SekeError("the samples hold no item")
    # A batch is one value: items of the largest one stand for all.
    index = max(range(len(parts)), key=lambda i: len(parts[i].items))
    part, size = parts[index], len(parts[index].items)
    if size <= MOST_ITEMS:
        return part, len(names)
    chosen = np.zeros(size, dtype=bool)
    chosen[np.linspace(0, size - 1, MOST_ITEMS).round().astype(int)] = True
    return part.only(chosen), len(names)


def _number(influence: Influence, answers: Answers) -> Facts:
    number = influence.number
    move = _move(number)
    change = influence.slope * TENTH
    most = int(np.abs(change).argmax())
    facts: Facts = {
        "path": number.path,
        "value": number.value,
        "per_tenth": float(np.abs(change).mean()),
        "largest": float(change[most]),
        "item": answers.items[most],
        "move": float(f"{move:.6g}"),
        "flips": int((np.abs(influence.flip - number.value) <= move).sum()),
        "shared": influence.shared,
        "place": near(number.place),
        "source": number.source,
    }
    if len(answers.items) == 1:
        facts["flip_to_first_order"] = None if np.isnan(influence.flip[0]) else float(influence.flip[0])
    return facts


def _move(number: Number) -> float:
    """Return how far a number may reasonably move."""
    if number.high - number.low > 2:
        return max(abs(number.value), TENTH) * TENTH
    if number.low >= 0 and number.high <= 1:
        return min(TENTH, number.value, (1 - number.value) / 2)
    return TENTH


def _lines(facts: Mapping[str, Any]) -> list[str]:
    items, about, numbers = facts["items"], facts["about"], facts["numbers"]
    shown = _numbers_to_show(numbers)
    single = len(items) == 1
    if single:
        head = f"{items[0]}: the decision about {about} is right with p {facts['probability'][0]:.3f}"
        head += f"; accepted from {facts['threshold']:.3f}" if facts["threshold"] is not None else ""
        header = ["", "is", "p per 0.1", "flips at", ""]
    else:
        of = f" of {facts['of']}" if facts["of"] > len(items) else ""
        head = f"{len(items)}{of} items: numbers that move p, the probability that {about} is decided right"
        header = ["", "is", "p per 0.1", "most", "of item", "flips", ""]
    if not shown:
        within = f" in {', '.join(facts['sections'])}" if "sections" in facts else ""
        return [head, f"  No number{within} has an effect."]
    rows = []
    for number in shown:
        row = [number["path"] + (" *" if number["shared"] else ""), f"{number['value']:g}"]
        if single:
            flip = number["flip"]
            row += [f"{number['largest']:+.4f}", "-" if flip is None else f"{flip:.3g}"]
        else:
            row += [
                f"{number['per_tenth']:.4f}",
                f"{number['largest']:+.4f}",
                number["item"],
                str(number["flips"]),
            ]
        rows.append((*row, f"{number['place']}, {number['source']}"))
    within = f" of {', '.join(facts['sections'])}" if "sections" in facts else ""
    end = f"{count(len(numbers), 'number')}{within} tested, p to first order"
    end += ", flips compiled and inferred anew" if single else ""
    end += (
        "; * the other numbers of its distribution are rescaled"
        if any(number["shared"] for number in shown)
        else ""
    )
    return [head, *table_lines(header, rows), end]
