"""Shards of a whole: which of them an item is in, by its name alone, on every machine."""

from __future__ import annotations

import hashlib

# Bytes of a name's digest: of 2^64 values each remainder of a division by n is met as often as another, but
# for a share of n / 2^64.
DIGEST_BYTES = 8


def shard_of(item: str, shards: int) -> int:
    """Return the shard of an item, from 0: the BLAKE2b digest of its name, as a number, modulo shards.

    shards: how many there are, 1 or more. The name is in UTF-8, the number big-endian.
    """
    digest = hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big") % shards
