"""A shard of a run: the part of a list of pictures that one command of several asks about.

named items --share_of--> ShardedItems: the items of shard i of n, and where each stands in the list
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from engine import SekeError
from seke.console.plain_text import count
from seke.files.shards import shard_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.datasets.manifest import Item

# The fact of a run that says which shard it is, of which list.
SHARD = "shard"
FORM = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")
# Of the money for all items, what shards leave: more than the rounding of a sum, less than anybody is billed.
MONEY_MARGIN = 1e-9


class EmptyShardError(SekeError):
    """No item of the list is in the shard; there is nothing to do."""


@dataclass(frozen=True)
class RunShard:
    """Shard `number`, from 1, of so many."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read i/n, such as 3/16.

        Raises:
            engine.SekeError: another form, or no such shard.
        """
        match = FORM.fullmatch(text.strip())
        number, of = (int(digits) for digits in match.groups()) if match else (0, 0)
        if not 1 <= number <= of:
            raise SekeError(
                f"--shard {text}: the form is i/n, with 1 <= i <= n, such as 3/16, without zeros before"
            )
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, item: str) -> bool:
        """Whether an item of this name is in it."""
        return shard_of(item, self.of) == self.number - 1


def shard_in(facts: Mapping[str, Any]) -> RunShard | None:
    """Return the shard that a run is, by its facts; None where it is none."""
    stored = facts.get(SHARD)
    return RunShard(stored["number"], stored["of"]) if stored else None


def check_folder(folder: object, begun: Mapping[str, Any], shard: RunShard | None) -> None:
    """Refuse to go on as a shard with a run that was begun as another one, or of all items.

    begun: the facts of the folder's run; none of a new one.

    Raises:
        engine.SekeError: it was.
    """
    before = shard_in(begun)
    if not begun or before == shard:
        return
    holds = f"shard {before}" if before else "a run of all its items"
    now = f"this is shard {shard}" if shard else "no --shard was given"
    go_on = f"go on with --shard {before}" if before else "go on without --shard"
    raise SekeError(f"{folder}: holds {holds}, and {now}; {go_on}, or name another folder (--run NEWDIR)")


@dataclass(frozen=True)
class ShardedItems:
    """The items of a shard. places: item -> where it stands in the whole list, from 0.

    whole: how many items the list has; digest: of their names in order.
    """

    shard: RunShard
    items: tuple[Item, ...]
    places: Mapping[str, int]
    whole: int
    digest: str

    def money(self, max_cost: float | None) -> float | None:
        """Return the shard's share of what may be spent on all items, USD; shares add up to less than all."""
        if max_cost is None:
            return None
        return max_cost * (len(self.items) / self.whole) * (1 - MONEY_MARGIN)

    def as_fact(self) -> dict[str, Any]:
        """Return which shard of which list it is, as a run's ledger keeps it."""
        shard = {"number": self.shard.number, "of": self.shard.of}
        return {SHARD: {**shard, "items": self.whole, "digest": self.digest}}


def share_of(items: Sequence[Item], shard: RunShard) -> ShardedItems:
    """Return the items of a list that are in a shard.

    Raises:
        EmptyShardError: none is.
    """
    digest = hashlib.sha256()
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        digest.update(item.name.encode("utf-8", "surrogatepass") + b"\0")
        if shard.has(item.name):
            places[item.name] = place
    if not places:
        raise EmptyShardError(
            f"shard {shard} has none of the {count(len(items), 'item')}; nothing is to be done"
        )
    part = tuple(items[place] for place in places.values())
    return ShardedItems(shard, part, places, len(items), digest.hexdigest()[:32])
