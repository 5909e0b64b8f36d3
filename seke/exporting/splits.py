"""Which items an export has, and in which split each is: duplicates once, classes balanced, no leakage.

Items that belong together are never parted: those of one group (a person, a source), those that show the same
picture, and those of one cluster of near-duplicates. First come the sizes: sets of items are taken in an
order that the seed shuffles, the largest first, and each goes to the split that is furthest below its share,
so that the shares are met as nearly as whole groups allow. Then the sets of equal size change places, which
keeps the sizes, so that each class, too, is split by the shares (stratified): those with the rarest class
choose first, each the split that lacks most of what it has. What remains uneven is named. Nothing here
depends on the order of the items.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import SekeError
from seke.console.plain_text import first_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seke.runs.item_list import KnownItem

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
GROUPS = ("group", "source", "item")
# Share of the expected items by which a class may be off in a split before it is named: a judgement.
TOLERATED = 0.1
# Classes and splits that a line names at most; `export.json` names all.
MOST_UNEVEN = 3


@dataclass(frozen=True)
class SplitEntry:
    """The facts of an item that decide its split.

    label: its class, None where no expression is accepted. group: its group, None where it has none.
    picture: the name of its picture; file: of the file; box: the part of it that is the item.
    accepted_count: how many values are accepted. cluster: its near-duplicates, None where it has none.
    """

    item: str
    label: str | None
    group: str | None
    picture: str
    file: str
    box: tuple[float, ...] | None
    accepted_count: int
    cluster: str | None = None


@dataclass(frozen=True)
class UnevenClass:
    """A class that a split has too few or too many items of: `items`, where its share would be `expected`."""

    label: str
    split: str
    items: int
    expected: float


@dataclass(frozen=True)
class SplitAssignment:
    """Which split each exported item is in, and which items are left out.

    split: exported item -> its split. duplicates: item -> the item exported in its place; contradicting:
    duplicates with another class than that item. unbalanced: items left out for balance. uneven: classes that
    are missing from a split, or off its share by an item and a tenth or more; the furthest off first.
    """

    split: Mapping[str, str]
    duplicates: Mapping[str, str]
    contradicting: tuple[str, ...]
    unbalanced: tuple[str, ...]
    uneven: tuple[UnevenClass, ...] = ()


def shares_of(text: str) -> dict[str, float]:
    """Read shares such as `train:.8,val:.1,test:.1`, which sum to 1.

    Raises:
        engine.SekeError: what is wrong with them.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share_text = (piece.strip() for piece in part.partition(":"))
        if not NAME.fullmatch(name):
            raise SekeError(f"--split: {name!r} is no name of a split; letters, digits and _ are allowed")
        try:
            share = float(share_text)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            raise SekeError(
                f"--split: {name}: {share_text!r} is no share; a number above 0 and up to 1 belongs there"
            )
        if name in shares:
            raise SekeError(f"--split: {name} is there twice")
        shares[name] = share
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise SekeError(f"--split: the shares sum to {sum(shares.values()):g}, not to 1")
    return shares


def assign_splits(
    entries: Sequence[SplitEntry], shares: Mapping[str, float], seed: int = 0, balance: float | None = None
) -> SplitAssignment:
    """Assign items to splits: merge duplicates, balance classes, then deal out whole groups by class.

    balance: how many times as many items as the rarest class any other may keep; those that stay are drawn by
    the seed. Items without a class are not touched.

    Raises:
        engine.SekeError: a split that gets nothing.
    """
    kept, duplicates, contradicting = _merge_duplicates(entries)
    left_out = _surplus(kept, seed, balance)
    kept = [entry for entry in kept if entry.item not in left_out]
    # An item that is left out still ties together the groups it belongs to.
    set_names = _tied_sets(entries)
    sets: dict[str, list[SplitEntry]] = defaultdict(list)
    for entry in kept:
        sets[set_names[entry.item]].append(entry)
    split_of_set = _stratified(sets, _sized(sets, shares, seed), shares, seed)
    split = {entry.item: split_of_set[name] for name, members in sets.items() for entry in members}
    empty = [name for name in shares if name not in split_of_set.values()]
    if kept and empty:
        clusters = {entry.cluster for entry in kept} - {None}
        near = sum(entry.cluster is not None for entry in kept) > len(clusters)
        alike = "; near-duplicates are one group (--near-duplicates copies, or no)" if near else ""
        raise SekeError(
            f"split {', '.join(empty)} gets nothing: {len(kept):,} items are {len(sets):,} groups "
            f"that are not parted; name fewer splits or larger shares{alike}"
        )
    uneven = uneven_classes(kept, split, shares)
    return SplitAssignment(split, duplicates, contradicting, tuple(sorted(left_out)), uneven)


def _sized(sets: Mapping[str, list[SplitEntry]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of each set by sizes alone: the largest sets first, ties by the seed."""
    total, filled = sum(map(len, sets.values())), dict.fromkeys(shares, 0)
    split_of_set = {}
    for name in sorted(sets, key=lambda name: (-len(sets[name]), _draw_key(seed, "split", name))):
        target = max(shares, key=lambda split_name: shares[split_name] * total - filled[split_name])
        filled[target] += len(sets[name])
        split_of_set[name] = target
    return split_of_set


def _stratified(
    sets: Mapping[str, list[SplitEntry]], sized: Mapping[str, str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Return the split of each set when sets of equal size change places so that classes meet the shares.

    sized: their splits by sizes alone. Items without a class are a class of their own.
    """
    classes = {name: Counter(entry.label for entry in members) for name, members in sets.items()}
    totals: Counter[str | None] = sum(classes.values(), Counter())
    places = Counter((len(sets[name]), split_name) for name, split_name in sized.items())
    lacking = {(label, name): shares[name] * totals[label] for label in totals for name in shares}

    def turn(name: str) -> tuple[int, int, str, bytes]:
        count, label = min((totals[label], label or "") for label in classes[name])
        return -len(sets[name]), count, label, _draw_key(seed, "class", name)

    split_of_set = {}
    for name in sorted(sets, key=turn):
        free = [split_name for split_name in shares if places[len(sets[name]), split_name]]
        need = {
            split_name: sum(count * lacking[label, split_name] for label, count in classes[name].items())
            for split_name in free
        }
        # Rounding must not decide between equal needs.
        target = max(free, key=lambda split_name: round(need[split_name], 9))
        places[len(sets[name]), target] -= 1
        for label, count in classes[name].items():
            lacking[label, target] -= count
        split_of_set[name] = target
    return split_of_set


def uneven_classes(
    entries: Sequence[SplitEntry], split: Mapping[str, str], shares: Mapping[str, float]
) -> tuple[UnevenClass, ...]:
    """Return the classes that are missing from a split or off its share by an item and TOLERATED or more.

    split: item -> its split, of these entries; shares: split -> its share.
    """
    counts = Counter((entry.label, split[entry.item]) for entry in entries if entry.label is not None)
    totals = Counter(entry.label for entry in entries if entry.label is not None)
    uneven = [
        UnevenClass(label, name, counts[label, name], shares[name] * total)
        for label, total in sorted(totals.items())
        for name in shares
        if not counts[label, name]
        or abs(counts[label, name] - shares[name] * total) >= max(1, TOLERATED * shares[name] * total)
    ]
    return tuple(sorted(uneven, key=lambda off: -abs(off.items - off.expected)))


def uneven_text(uneven: Sequence[UnevenClass], group: str) -> str:
    """Return which classes could not be split by the shares, and why."""
    named = [f"{off.label} in {off.split}: {off.items:,} for {off.expected:.1f}" for off in uneven]
    reason = (
        "there are few of them" if group == "item" else f"there are few of them, or a {group} is not parted"
    )
    return f"classes that are not split by the shares, since {reason}: {first_names(named, MOST_UNEVEN)}"


def check_persons(split: Mapping[str, str], items: Mapping[str, KnownItem], group: str) -> None:
    """Refuse splits that part a person: whoever learned the face knows it in the test.

    split: item -> its split. group: what is kept together instead.

    Raises:
        engine.SekeError: the persons that are in several splits.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    for item, name in split.items():
        person = items[item].group
        if person is not None:
            splits_of[person].add(name)
    parted = [
        f"{person} in {' and '.join(sorted(names))}" for person, names in splits_of.items() if len(names) > 1
    ]
    if parted:
        together = (
            "every item is drawn by itself" if group == "item" else f"only a {group} is kept in one split"
        )
        raise SekeError(
            f"{len(parted):,} of {len(splits_of):,} persons (column group) would be in several splits: "
            f"{first_names(parted, MOST_UNEVEN)}; {together} (--group {group}). Use --group group, or take "
            "the column out of the manifest where it names no persons"
        )


def _draw_key(seed: int, purpose: str, name: str) -> bytes:
    """Return a digest that orders names by chance, the same for the same seed."""
    text = f"{seed}\0{purpose}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


def _merge_duplicates(
    entries: Iterable[SplitEntry],
) -> tuple[list[SplitEntry], dict[str, str], tuple[str, ...]]:
    """Return the best item of each picture and box, duplicate -> that item, and contradicting duplicates.

    The best item is the one with the most accepted values.
    """
    alike: dict[tuple[str, tuple[float, ...] | None], list[SplitEntry]] = defaultdict(list)
    for entry in entries:
        alike[entry.picture, entry.box].append(entry)
    kept: list[SplitEntry] = []
    duplicates: dict[str, str] = {}
    contradicting: list[str] = []
    for same_picture in alike.values():
        best, *worse = sorted(same_picture, key=lambda entry: (-entry.accepted_count, entry.item))
        kept.append(best)
        duplicates |= {entry.item: best.item for entry in worse}
        contradicting += [entry.item for entry in worse if {entry.label, best.label} - {None} > {best.label}]
    return kept, duplicates, tuple(sorted(contradicting))


def _surplus(entries: Iterable[SplitEntry], seed: int, balance: float | None) -> set[str]:
    """Return the items beyond `balance` times the size of the rarest class; the seed draws which stay."""
    if balance is None:
        return set()
    classes: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.label is not None:
            classes[entry.label].append(entry.item)
    most = int(balance * min(map(len, classes.values()), default=0))
    surplus: set[str] = set()
    for names in classes.values():
        surplus.update(sorted(names, key=lambda name: _draw_key(seed, "balance", name))[most:])
    return surplus


def _tied_sets(entries: Sequence[SplitEntry]) -> dict[str, str]:
    """Return item -> the least item of its set; items of one picture, file, group or cluster are in one."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    first: dict[tuple[str, str], str] = {}
    for entry in entries:
        ties = [("picture", entry.picture), ("file", entry.file)]
        ties += [("group", entry.group)] if entry.group is not None else []
        ties += [("cluster", entry.cluster)] if entry.cluster is not None else []
        for tie in ties:
            pair = top(entry.item), top(first.setdefault(tie, entry.item))
            above[max(pair)] = min(pair)
    return {entry.item: top(entry.item) for entry in entries}
