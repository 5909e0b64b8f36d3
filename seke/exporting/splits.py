"""Which items an export has, and in which split each is: duplicates once, classes balanced, no leakage.

Items that belong together are never parted: those of one group (a person, a source), and those that show the
same picture. Sets of them are taken in an order that the seed shuffles, and each goes to the split that is
furthest below its share, so that the shares are met as nearly as whole groups allow. Nothing here depends on
the order of the items.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
GROUPS = ("group", "source", "item")


@dataclass(frozen=True)
class Entry:
    """What is needed of an item to place it.

    label: its class, None where no expression is accepted. group: of which it is; None: of none. picture:
    what names its picture, and file its file; box: which part of it. spoken: how many values are accepted.
    """

    item: str
    label: str | None
    group: str | None
    picture: str
    file: str
    box: tuple[float, ...] | None
    spoken: int


@dataclass(frozen=True)
class Placed:
    """split: item -> its split, of those that are exported.

    duplicates: item -> the item that stands for it; contradicting: those of them with another class.
    unbalanced: those that were left out for balance.
    """

    split: Mapping[str, str]
    duplicates: Mapping[str, str]
    contradicting: tuple[str, ...]
    unbalanced: tuple[str, ...]


def shares_of(text: str) -> dict[str, float]:
    """Read shares such as `train:.8,val:.1,test:.1`, which sum to 1.

    Raises:
        engine.SekeError: what is wrong with them.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, said = (one.strip() for one in part.partition(":"))
        if not NAME.fullmatch(name):
            raise SekeError(f"--split: {name!r} is no name of a split; letters, digits and _ are allowed")
        try:
            share = float(said)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            raise SekeError(
                f"--split: {name}: {said!r} is no share; a number above 0 and up to 1 belongs there"
            )
        if name in found:
            raise SekeError(f"--split: {name} is there twice")
        found[name] = share
    if abs(sum(found.values()) - 1) > 1e-6:
        raise SekeError(f"--split: the shares sum to {sum(found.values()):g}, not to 1")
    return found


def placed(
    entries: Sequence[Entry], shares: Mapping[str, float], seed: int = 0, balance: float | None = None
) -> Placed:
    """Place items: duplicates are merged, then classes balanced, then whole groups dealt out.

    balance: how many times as many items as the rarest class any other may keep; those that stay are drawn by
    the seed. Items without a class are not touched.

    Raises:
        engine.SekeError: a split that gets nothing.
    """
    kept, duplicates, contradicting = _once(entries)
    left_out = _surplus(kept, seed, balance)
    kept = [one for one in kept if one.item not in left_out]
    # Whoever is left out still ties together what it belongs to: a person's twin picture stays a twin.
    together = _together(entries)
    sets: dict[str, list[str]] = defaultdict(list)
    for one in kept:
        sets[together[one.item]].append(one.item)
    filled = dict.fromkeys(shares, 0)
    split: dict[str, str] = {}
    for name in sorted(sets, key=lambda name: (-len(sets[name]), _draw(seed, "split", name))):
        into = max(shares, key=lambda one: shares[one] * len(kept) - filled[one])
        filled[into] += len(sets[name])
        split |= dict.fromkeys(sets[name], into)
    empty = [name for name, count in filled.items() if not count]
    if kept and empty:
        raise SekeError(
            f"split {', '.join(empty)} gets nothing: {len(kept):,} items are {len(sets):,} groups "
            "that are not parted; name fewer splits or larger shares"
        )
    return Placed(split, duplicates, contradicting, tuple(sorted(left_out)))


def _draw(seed: int, what: str, name: str) -> bytes:
    """Return what orders names by chance."""
    told = f"{seed}\0{what}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=16).digest()


def _once(entries: Iterable[Entry]) -> tuple[list[Entry], dict[str, str], tuple[str, ...]]:
    """Return each picture (and box) once, with the item of which most is accepted."""
    alike: dict[tuple[str, tuple[float, ...] | None], list[Entry]] = defaultdict(list)
    for one in entries:
        alike[one.picture, one.box].append(one)
    kept: list[Entry] = []
    duplicates: dict[str, str] = {}
    contradicting: list[str] = []
    for same in alike.values():
        best, *others = sorted(same, key=lambda one: (-one.spoken, one.item))
        kept.append(best)
        duplicates |= {one.item: best.item for one in others}
        contradicting += [one.item for one in others if {one.label, best.label} - {None} > {best.label}]
    return kept, duplicates, tuple(sorted(contradicting))


def _surplus(entries: Iterable[Entry], seed: int, balance: float | None) -> set[str]:
    """Return the items that are too many of their class."""
    if balance is None:
        return set()
    classes: dict[str, list[str]] = defaultdict(list)
    for one in entries:
        if one.label is not None:
            classes[one.label].append(one.item)
    most = int(balance * min(map(len, classes.values()), default=0))
    found: set[str] = set()
    for names in classes.values():
        found.update(sorted(names, key=lambda name: _draw(seed, "balance", name))[most:])
    return found


def _together(entries: Sequence[Entry]) -> dict[str, str]:
    """Return for each item what names the set of those that stay together: its least item."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    first: dict[tuple[str, str], str] = {}
    for one in entries:
        ties = [("picture", one.picture), ("file", one.file)]
        ties += [("group", one.group)] if one.group is not None else []
        for tie in ties:
            pair = top(one.item), top(first.setdefault(tie, one.item))
            above[max(pair)] = min(pair)
    return {one.item: top(one.item) for one in entries}


def counted(split: Mapping[str, str]) -> dict[str, int]:
    """Return how many items each split has."""
    return dict(Counter(split.values()))
