"""Items -> their near-duplicates in clusters, as `seke dupes` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seke.console.plain_text import count
from seke.datasets.near_duplicates import (
    LISTS,
    NearDuplicates,
    clusters_of,
    fingerprints,
    near_duplicates,
    refuse_all_unread,
    units_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Ints
    from seke.datasets.manifest import Item
    from seke.progress import Task

    Record = dict[str, Any]


@dataclass(frozen=True)
class FoundDuplicates:
    """The pictures that were compared, and their clusters.

    items: all that could be read, in their order, those without contrast last. matches: of the others.
    labels: (N,) the cluster of each compared picture. flat: names of pictures without contrast, which are
    alone. problems: name and reason of each picture that could not be read.
    """

    items: tuple[Item, ...]
    matches: NearDuplicates
    labels: Ints
    flat: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]

    @cached_property
    def clusters(self) -> list[list[int]]:
        """The rows of the pictures of each cluster of two or more."""
        return clusters_of(self.labels)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each item's cluster, which is that of its first item, (N,)."""
        names = tuple(item.name for item in self.items)
        return units_of(names, [*self.labels.tolist(), *(None for _ in self.flat)])

    @cached_property
    def across_groups(self) -> int:
        """How many clusters have pictures of several groups."""
        groups = [{self.items[row].group for row in members} - {None} for members in self.clusters]
        return sum(len(named) > 1 for named in groups)

    def are_copies(self, members: Sequence[int]) -> bool:
        """Whether these pictures are copies of one another, all of them."""
        return len({int(self.matches.copies[row]) for row in members}) == 1

    def label(self, row: int) -> str:
        """Return an item's name, and that it is mirrored where the closest picture is not."""
        turned = row < len(self.matches.items) and self.matches.mirrored[row]
        return f"{self.items[row].name}{' (mirrored)' if turned else ''}"

    def summary(self) -> str:
        """Return in one line how many pictures are in clusters."""
        inside = sum(map(len, self.clusters))
        units = len(self.items) - inside + len(self.clusters)
        clusters = count(len(self.clusters), "cluster")
        return f"{count(len(self.items), 'picture')}, {inside:,} in {clusters}: {units:,} different ones"

    def rows(self) -> Iterator[Record]:
        """Yield the row of each picture in the table of clusters."""
        names = tuple(item.name for item in self.items)
        groups = units_of(names, self.names, [item.group for item in self.items])
        copied = {row for members in self.matches.clusters(copies=True) for row in members}
        for row, item in enumerate(self.items):
            compared = row < len(self.matches.items)
            near = int(self.matches.near[row]) if compared else -1
            yield {
                "item": item.name,
                "path": str(item.path),
                "cluster": self.names[row],
                "group": groups[row],
                "near": "" if near < 0 else names[near],
                "mirrored": bool(compared and near >= 0 and self.matches.mirrored[row]),
                "copy": row in copied,
            }

    def facts(self) -> Record:
        """Return what was found, as JSON."""
        return {
            "pictures": len(self.items),
            "clusters": [
                {
                    "cluster": self.names[members[0]],
                    "kind": "copies" if self.are_copies(members) else "similar",
                    "items": [
                        {
                            "item": self.items[row].name,
                            "near": self.items[int(self.matches.near[row])].name,
                            "bits": int(self.matches.distance[row]),
                            "mirrored": bool(self.matches.mirrored[row]),
                        }
                        for row in members
                    ],
                }
                for members in self.clusters
            ],
            "across_groups": self.across_groups,
            "flat": list(self.flat),
            "unreadable": dict(self.problems),
        }


def find_duplicates(
    items: Sequence[Item], *, copies: bool = False, read: Task | None = None, compared: Task | None = None
) -> FoundDuplicates:
    """Read the pictures of items and cluster them.

    copies: whether only copies are one cluster. read, compared: shown how far this is.

    Raises:
        engine.SekeError: ImageHash is not installed; no picture could be read.
    """
    advance = read.advance if read is not None else (lambda: None)
    prints = fingerprints(((item.name, item.path, item.box) for item in items), advance)
    refuse_all_unread(prints)
    if compared is not None:
        compared.reach(0, LISTS)
    matches = near_duplicates(prints, compared.advance if compared is not None else (lambda: None))
    by_name = {item.name: item for item in items}
    ordered = tuple(by_name[name] for name in (*prints.items, *prints.flat))
    labels = matches.copies if copies else matches.similar
    return FoundDuplicates(ordered, matches, labels, prints.flat, prints.problems)
