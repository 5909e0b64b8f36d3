"""Near-duplicates among gold: the unit of a certificate is the person or the cluster, not the picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.console.plain_text import count, first_names
from seke.datasets.near_duplicates import fingerprints, near_duplicates, units_of
from seke.observers.seen import Box
from seke.runs.item_list import ITEMS, KnownItem, known_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seke.calibration.labelled_answers import LabelledAnswers

# Clusters that a line names at most.
MOST_NAMED = 3


def with_clusters(every: LabelledAnswers, clusters: dict[str, str], path: object) -> LabelledAnswers:
    """Return answers whose groups are the persons put together with the clusters of a table.

    Items that the table lacks stand alone, or with their person.

    Raises:
        engine.SekeError: the table has none of the items.
    """
    items = every.answers.items
    if clusters and not clusters.keys() & set(items):
        raise SekeError(
            f"{path}: has none of the items; it names {next(iter(clusters))!r}, the samples {items[0]!r}"
        )
    persons = every.groups or (None,) * len(items)
    units = units_of(items, persons, [clusters.get(item) for item in items])
    # A person who is not told stays so: certificates refuse that.
    unnamed = [every.groups is not None and person is None for person in persons]
    return replace(
        every, groups=tuple(None if lacks else unit for unit, lacks in zip(units, unnamed, strict=True))
    )


def near_gold_remarks(every: LabelledAnswers, sources: Iterable[Any]) -> Iterator[str]:
    """Yield what pictures of gold that look alike mean for certificates, a line each.

    sources: of the samples; the pictures are those that the folder of a run names beside its samples.
    Nothing is said where no folder names any.
    """
    named = _pictures_of_runs(sources)
    groups = every.groups or (None,) * len(every.answers.items)
    known = {
        item: group
        for item, group, has_gold in zip(every.answers.items, groups, every.known, strict=True)
        if has_gold and item in named
    }
    if not known:
        return
    if every.groups is None:
        yield from _persons_not_given(named, known)
    if find_spec("imagehash") is None:
        yield "near-duplicates among the gold were not looked for: pip install 'seke[images]'"
        return
    boxes = {item: named[item].box for item in known}
    pictures = [
        (item, Path(named[item].path), None if box is None else Box(*box)) for item, box in boxes.items()
    ]
    matches = near_duplicates(fingerprints(pictures))
    clusters = [[matches.items[row] for row in members] for members in matches.clusters()]
    parted = [members for members in clusters if len({known[item] or item for item in members}) > 1]
    if parted:
        pairs = first_names([" and ".join(members[:2]) for members in parted], MOST_NAMED)
        unit = "person" if every.groups is not None else "picture"
        yield (
            f"{sum(map(len, parted)):,} of {count(len(matches.items), 'picture')} with gold look alike "
            f"({count(len(parted), 'cluster')}: {pairs}), and some may fit while others certify: "
            f"certificates count each {unit} as drawn by itself. If they are copies or of one person, give "
            "their clusters: seke dupes IMAGES -o clusters.csv, then --clusters clusters.csv"
        )


def _persons_not_given(named: dict[str, KnownItem], items: Iterable[str]) -> Iterator[str]:
    """Yield that persons have several items with gold, where the run names them and the gold does not."""
    items_of = Counter(person for item in items if (person := named[item].group) is not None)
    several = [f"{person} {number:,}" for person, number in items_of.items() if number > 1]
    if several:
        yield (
            f"{count(len(several), 'person')} of the run (column group of its manifest) have several items "
            f"with gold ({first_names(several, MOST_NAMED)}); some may fit while others certify: "
            "certificates count each picture as drawn by itself. Give the gold a column with the persons "
            "(--groups)"
        )


def _pictures_of_runs(sources: Iterable[Any]) -> dict[str, KnownItem]:
    """Return item -> its picture, of the folders of runs that sample files lie in."""
    pictures: dict[str, KnownItem] = {}
    for source in sources:
        if isinstance(source, str | Path) and (Path(source).parent / ITEMS).is_file():
            pictures |= known_items(Path(source).parent)
    return pictures
