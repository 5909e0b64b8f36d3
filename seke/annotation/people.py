"""People in a run: the items that wait for them, and the answers that they gave."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.samples import answers_from, read_records, with_draws

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from engine import Knowledge, Option
    from seke.datasets.manifest import Item
    from seke.runs.ledger import Ledger

    Record = dict[str, Any]
    Given = str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]]

# The fact of a run that says how many items wait for which people.
WAITING = "waiting"
# The fact of a run that says how many samples of which observer it was given last.
GIVEN = "given"


def read_given(
    answers: Given | None,
    base: Knowledge,
    items: Sequence[Item],
    asked: Collection[str],
    listed: Sequence[Item] = (),
) -> dict[str, list[Record]]:
    """Return item -> the given samples of it, for these items.

    answers: sample files or records. asked: the observers that a model of the run answers as. listed: items
    of which the samples must have some; these by default.

    Raises:
        engine.SekeError: a sample that cannot be read; one of an observer whom the run asks; none of an item
            of the run.
    """
    if answers is None:
        return {}
    sources: list[Any] = [answers] if isinstance(answers, str | Path) else list(answers)
    if all(isinstance(path, str | Path) for path in sources):
        records: Sequence[Record] = read_records(sources, base) if sources else []
        place = ", ".join(map(str, sources))
    else:
        records, place = [dict(record) for record in sources], "answers"
        for _ in answers_from(records, base):
            pass
        records = with_draws(records, base.usual_view)
    by_item: dict[str, list[Record]] = defaultdict(list)
    wanted = {item.name for item in items}
    known = {item.name for item in listed} or wanted
    for record in records:
        if record["observer"] in asked:
            allowed = ", ".join(name for name in base.observers if name not in asked)
            raise SekeError(
                f"{place}: item {record['item']}: a model of this run answers as {record['observer']}; "
                f"allowed are samples of {allowed}"
            )
        if record["item"] in wanted:
            by_item[record["item"]].append(record)
    if records and not any(record["item"] in known for record in records):
        raise SekeError(
            f"{place}: none of its {len(records):,} samples is about an item of this run; the items have "
            f"names such as {items[0].name}"
        )
    return dict(by_item)


def awaited_observers(records: Iterable[Record], waiting: Mapping[str, Option]) -> Iterator[str]:
    """Yield the observer of each posterior record whose item waits for a look of people."""
    for record in records:
        if record["decision"]["next"] is not None and record["item"] in waiting:
            yield waiting[record["item"]].observer


def how_to_go_on(waiting: Mapping[str, int], records: Path) -> Iterator[str]:
    """Yield the notes that say how to continue a run whose items wait for people.

    waiting: observer -> items. records: the file of the posterior records.
    """
    if waiting:
        yield (
            f"the question about each item is in {records} (decision.next); to continue, give the same "
            f"command with --answers FILE, samples of {' and '.join(waiting)}"
        )


def note_given(ledger: Ledger, given: Mapping[str, Sequence[Record]]) -> None:
    """Keep in a run's ledger how many samples of which observer it is given; see `check_given`."""
    counts = check_given(ledger.folder, ledger.facts(GIVEN).get(GIVEN, {}), given)
    if counts:
        ledger.note({GIVEN: counts})


def check_given(
    folder: Path, before: Mapping[str, int], given: Mapping[str, Sequence[Record]]
) -> dict[str, int]:
    """Return how many samples of which observer a run is given; before: how many it was given earlier.

    Raises:
        engine.SekeError: these were more: items were decided with them.
    """
    counts = dict(Counter(record["observer"] for records in given.values() for record in records))
    for observer, count in before.items():
        if counts.get(observer, 0) < count:
            raise SekeError(
                f"{folder}: the run had {count:,} answers of {observer} before, and now has "
                f"{counts.get(observer, 0):,}; give all of them again (--answers, in Python `answers`)"
            )
    return counts
