"""Near-duplicates among the items of an export, which are not to be on both sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.console.plain_text import count, first_names
from seke.datasets.near_duplicates import LISTS, fingerprints, near_duplicates
from seke.observers.seen import Box
from seke.progress import task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.exporting.splits import SplitEntry

    Record = dict[str, Any]

# Which pictures stay in one split; the first where nothing is said.
RULES = ("copies", "similar", "no")
# Clusters and pictures that a line names at most.
MOST_NAMED = 3


@dataclass(frozen=True)
class NearPictures:
    """Which items are near-duplicates. rule: which of them stay in one split, "" where nobody looked.

    copies, similar: item -> number of its cluster, for all pictures that were compared; unread: a line for
    each picture that could not be read.
    """

    rule: str
    copies: Mapping[str, int] = field(default_factory=dict)
    similar: Mapping[str, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[SplitEntry], paths: Mapping[str, str], rule: str | None) -> NearPictures:
        """Compare the pictures of items, each picture once.

        paths: item -> its file. rule: None for the usual one, where ImageHash is installed.

        Raises:
            engine.SekeError: a rule that does not exist, or that needs ImageHash, which is not installed.
        """
        if rule not in (None, *RULES):
            raise SekeError(f"--near-duplicates: {rule!r} is not known; allowed are {', '.join(RULES)}")
        if rule == "no" or (rule is None and find_spec("imagehash") is None):
            return cls(rule or "")
        firsts = {(entry.picture, entry.box): entry for entry in reversed(entries)}
        pictures = [
            (entry.item, Path(paths[entry.item]), None if entry.box is None else Box(*entry.box))
            for entry in entries
            if firsts[entry.picture, entry.box] is entry
        ]
        with task("comparing pictures", total=len(pictures) + LISTS) as comparing:
            prints = fingerprints(pictures, comparing.advance)
            matches = near_duplicates(prints, comparing.advance)
        copies, similar = (
            dict(zip(matches.items, labels.tolist(), strict=True))
            for labels in (matches.copies, matches.similar)
        )
        return cls(rule or RULES[0], copies, similar, tuple(line for _, line in prints.problems))

    def cluster(self, item: str) -> str | None:
        """Return the cluster by which an item's split is decided, None where it has none."""
        number = (self.similar if self.rule == "similar" else self.copies).get(item)
        return None if number is None else str(number)

    def warnings(self, split: Mapping[str, str], splits: int) -> list[str]:
        """Return what may be on both sides, a line each.

        split: exported item -> its split; splits: how many there are.
        """
        if splits < 2:
            return []
        if not self.rule:
            missing = "near-duplicates were not looked for, and may be in several splits"
            return [f"{missing}: that needs imagehash (pip install 'seke[images]')"]
        lines = []
        parted = self._parted(split)
        if parted:
            names = first_names([" and ".join(members[:2]) for members in parted], MOST_NAMED)
            lines.append(
                f"{count(len(parted), 'cluster')} of pictures that look alike (crops, frames of a burst, one "
                f"person in one studio) in several splits: {names}; --near-duplicates similar keeps each in "
                "one"
            )
        if self.unread:
            lines.append(
                f"{count(len(self.unread), 'picture')} could not be compared: {first_names(self.unread, 1)}"
            )
        return lines

    def _parted(self, split: Mapping[str, str]) -> list[list[str]]:
        """Return the items of each similar cluster that is in several splits, one of each split first."""
        members: dict[int, dict[str, str]] = defaultdict(dict)
        for item, number in self.similar.items():
            if item in split:
                members[number].setdefault(split[item], item)
        return [list(item_of.values()) for item_of in members.values() if len(item_of) > 1]

    def facts(self, split: Mapping[str, str]) -> Record:
        """Return what export.json says: the clusters of exported items of two or more pictures."""
        if self.rule in ("", "no"):
            return {"rule": self.rule or "not looked for"}
        clusters = Counter(self.cluster(item) for item in self.copies if item in split)
        sizes = [size for size in clusters.values() if size > 1]
        return {
            "rule": self.rule,
            "clusters": len(sizes),
            "pictures": sum(sizes),
            "similar_in_several_splits": len(self._parted(split)),
            "not_compared": len(self.unread),
        }
