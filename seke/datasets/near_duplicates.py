"""Pictures -> clusters of near-duplicates: copies, and pictures that look alike as a whole.

Each picture has the perceptual hash of ImageHash (`phash`, 256 bits: signs of the lowest frequencies of its
cosine transform), of itself, of its middle without a border of 5 and 10 % on each side, and of their mirror
images. Two pictures are *similar* where any two of these hashes differ in at most SIMILAR bits. They are
*copies* where, besides, no place of theirs differs by more than COPY, once brightness and contrast are made
alike, on a grid of 32 x 32. Similar pictures are clustered by single linkage, copies too.

Close hashes are searched for in sorted lists of their bits in a random order, each compared with a few
neighbours (Charikar 2002, doi:10.1145/509907.509965), so the cost grows as N log N; memory is about 1.5 kB
a picture.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError, View
from seke.console.extras import optional_package
from seke.datasets.images import PLAIN, PictureError, part_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from seke.observers.seen import Box

    Hashes = NDArray[np.uint64]
    Thumbnails = NDArray[np.uint8]
    Ints = NDArray[np.int64]

# Bits of a hash, as sides of the square of frequencies, and words that hold them.
HASH_SIDE, WORDS = 16, 4
# Bits of 256 in which the hashes of similar pictures differ at most; see docs/howto/leaks.md for what it was
# tried on: no pair of 4,950 pairs of photographed faces was as close.
SIMILAR = 60
# Standard deviations of its grey by which a place of a copy differs at most (the same page).
COPY = 0.5
# Side of what copies are compared by, in pixels.
DETAIL = 32
# Shares of the sides that are cut off in all, half of them on each side; then the same mirrored.
CUTS = (0.0, 0.1, 0.2)
LOOKS = 2 * len(CUTS)
# Pixels of the longest side that a picture is made small to before anything else; hashes are of 64 x 64.
WORKING_SIDE = 256
# Standard deviation of grey, of 255, below which a picture shows nothing that could be compared.
FLAT = 2.0
# Sorted lists, and neighbours that are compared in each: of pairs at the limit, 10,000 pictures apart, some
# 95 in a hundred meet, and practically all of those that differ by less than 50 bits.
# The pixels of those that stand side by side are compared, too: copies do so in some list.
LISTS, NEIGHBOURS = 96, 8
# Pairs whose pixels are compared at once: 4,096 hold 32 MB.
PAIRS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Fingerprints:
    """What pictures are compared by.

    items: names of N pictures. hashes: (N, LOOKS, WORDS), 256 bits of each look. details: (N, DETAIL, DETAIL)
    grey. flat: names of pictures without contrast, which are compared with nothing; problems: a line for each
    picture that could not be read, with its name before.
    """

    items: tuple[str, ...]
    hashes: Hashes
    details: Thumbnails
    flat: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class NearDuplicates:
    """Clusters of N pictures.

    similar, copies: (N,) number of each picture's cluster. near: (N,) row of the picture whose hash is the
    closest, -1 where none is close enough; distance: (N,) bits in which they differ; mirrored: (N,) whether
    one of them is.
    """

    items: tuple[str, ...]
    similar: Ints
    copies: Ints
    near: Ints
    distance: Ints
    mirrored: NDArray[np.bool_]

    def clusters(self, *, copies: bool = False) -> list[list[int]]:
        """Return the rows of each cluster of two or more pictures, both in the order of the pictures."""
        return clusters_of(self.copies if copies else self.similar)


def clusters_of(labels: Ints) -> list[list[int]]:
    """Return the rows of each label (N,) that several have, in the order of the rows."""
    rows: dict[int, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        rows.setdefault(label, []).append(row)
    return [members for members in rows.values() if len(members) > 1]


def fingerprints(
    pictures: Iterable[tuple[str, Path, Box | None]], advance: Callable[[], object] = lambda: None
) -> Fingerprints:
    """Read pictures one by one, each cut to its box where there is one, and return what they are compared by.

    pictures: name, file and the face's box of each, around which the view of a base without views is taken.

    Raises:
        engine.SekeError: ImageHash is not installed.
    """
    imagehash = optional_package("imagehash")
    names: list[str] = []
    hashes: list[Hashes] = []
    details: list[Thumbnails] = []
    flat: list[str] = []
    problems: list[tuple[str, str]] = []
    for name, path, box in pictures:
        try:
            look, detail = _fingerprint(imagehash, path, box)
        except PictureError as error:
            problems.append((name, str(error)))
        else:
            if detail.std() < FLAT:
                flat.append(name)
            else:
                names.append(name)
                hashes.append(look)
                details.append(detail)
        advance()
    stacked = np.array(hashes, np.uint64).reshape(-1, LOOKS, WORDS)
    grey = np.array(details, np.uint8).reshape(-1, DETAIL, DETAIL)
    return Fingerprints(tuple(names), stacked, grey, tuple(flat), tuple(problems))


def _fingerprint(imagehash: Any, path: Path, box: Box | None) -> tuple[Hashes, Thumbnails]:
    """Return the hashes (LOOKS, WORDS) and the small grey picture (DETAIL, DETAIL) of a file."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = Image.fromarray(part_shown(path, View(options=PLAIN), box).pixels).convert("L")
    detail = np.asarray(picture.resize((DETAIL, DETAIL), Image.Resampling.BOX))
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    looks = []
    for share in CUTS:
        aside, above = picture.width * share / 2, picture.height * share / 2
        edges = (round(aside), round(above), round(picture.width - aside), round(picture.height - above))
        looks.append(picture.crop(edges))
    looks += [ImageOps.mirror(look) for look in looks]
    bits = np.stack([imagehash.phash(look, HASH_SIDE).hash.ravel() for look in looks])
    return np.packbits(bits, axis=1).view(np.uint64), detail


def near_duplicates(prints: Fingerprints, advance: Callable[[], object] = lambda: None) -> NearDuplicates:
    """Cluster pictures by what they look like; the same pictures give the same clusters.

    advance: called LISTS times.
    """
    count = len(prints.items)
    similar, copies = np.arange(count), np.arange(count)
    # Twice the bits, and one more where one of the two is mirrored, times N, and the other row.
    best = np.full(count, 2 * 64 * WORDS * max(count, 1))
    for rows, looks, bits, adjacent in _close_pairs(prints.hashes, advance):
        first, second = rows
        turned = (looks[0] < len(CUTS)) != (looks[1] < len(CUTS))
        similar = _joined(similar, first, second)
        score = (2 * bits + turned) * count
        np.minimum.at(best, first, score + second)
        np.minimum.at(best, second, score + first)
        whole = adjacent & (looks[0] % len(CUTS) == 0) & (looks[1] % len(CUTS) == 0)
        chosen = np.flatnonzero(whole & (copies[first] != copies[second]))
        equal = chosen[_are_copies(prints.details, first[chosen], second[chosen], turned[chosen])]
        copies = _joined(copies, first[equal], second[equal])
    score, near = np.divmod(best, max(count, 1))
    alone = score == 2 * 64 * WORDS
    return NearDuplicates(
        prints.items, similar, copies, np.where(alone, -1, near), score // 2, (score % 2 == 1) & ~alone
    )


def _close_pairs(
    hashes: Hashes, advance: Callable[[], object]
) -> Iterator[tuple[tuple[Ints, Ints], tuple[Ints, Ints], Ints, NDArray[np.bool_]]]:
    """Yield pairs of other pictures with close hashes, list by list; a pair may come again.

    They are rows, looks, differing bits, and whether they stand side by side.
    """
    flat_hashes, rng = hashes.reshape(-1, WORDS), np.random.default_rng(0)
    for _ in range(LISTS):
        # Ties fall by chance, so that equal hashes meet others in each list.
        order = rng.permutation(len(flat_hashes))
        order = order[np.argsort(_keys(flat_hashes[order], rng), kind="stable")]
        in_order = flat_hashes[order]
        parts = []
        for step in range(1, NEIGHBOURS + 1):
            differing = np.bitwise_count(in_order[step:] ^ in_order[:-step]).sum(axis=1, dtype=np.int64)
            place = np.flatnonzero(differing <= SIMILAR)
            first, second = order[place], order[place + step]
            other = first // LOOKS != second // LOOKS
            adjacent = np.full(len(place), step == 1)
            parts.append([part[other] for part in (first, second, differing[place], adjacent)])
        first, second, bits, adjacent = (np.concatenate(column) for column in zip(*parts, strict=True))
        yield (first // LOOKS, second // LOOKS), (first % LOOKS, second % LOOKS), bits, adjacent
        advance()


def _keys(hashes: Hashes, rng: np.random.Generator) -> Hashes:
    """Return 64 bits of each hash, drawn by chance, as a number (R,)."""
    keys = np.zeros(len(hashes), np.uint64)
    for bit in rng.permutation(64 * WORDS)[:64].tolist():
        word, place = divmod(bit, 64)
        keys = (keys << np.uint64(1)) | ((hashes[:, word] >> np.uint64(place)) & np.uint64(1))
    return keys


def _joined(labels: Ints, first: Ints, second: Ints) -> Ints:
    """Return the labels (N,) once the clusters of pairs of rows are joined."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = labels[first], labels[second]
    apart = ends[0] != ends[1]
    if not apart.any():
        return labels
    pairs = (np.ones(int(apart.sum()), dtype=bool), (ends[0][apart], ends[1][apart]))
    size = int(labels.max()) + 1
    merged: Ints = connected_components(coo_array(pairs, shape=(size, size)), directed=False)[1]
    return merged.astype(np.int64)[labels]


def _are_copies(
    details: Thumbnails, first: Ints, second: Ints, turned: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which pairs (P,) differ nowhere by more than COPY; turned: one of the two is mirrored."""
    equal = np.zeros(len(first), dtype=bool)
    for begin in range(0, len(first), PAIRS_AT_ONCE):
        part = slice(begin, begin + PAIRS_AT_ONCE)
        ones, others = details[first[part]], details[second[part]]
        others = np.where(turned[part, None, None], others[:, :, ::-1], others)
        gap = np.abs(_standardised(ones) - _standardised(others))
        equal[part] = gap.max(axis=(1, 2)) <= COPY
    return equal


def _standardised(grey: Thumbnails) -> NDArray[np.float32]:
    """Return pictures (P, side, side) with mean 0 and standard deviation 1 each."""
    values = grey.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    standardised: NDArray[np.float32] = values / values.std(axis=(1, 2), keepdims=True)
    return standardised


def units_of(items: Sequence[str], *ties: Sequence[object | None]) -> tuple[str, ...]:
    """Return the unit of each item: the first item of those that any tie, or several, hold together.

    ties: columns (N,), such as persons and clusters; items with the same value are one unit, None ties
    nothing.
    """
    labels = np.arange(len(items))
    for column in ties:
        first_rows: dict[object, int] = {}
        pairs = [
            (first_rows.setdefault(value, row), row) for row, value in enumerate(column) if value is not None
        ]
        if pairs:
            first, second = np.array(pairs).T
            labels = _joined(labels, first, second)
    names: dict[int, str] = {}
    return tuple(names.setdefault(label, item) for label, item in zip(labels.tolist(), items, strict=True))


def refuse_all_unread(prints: Fingerprints, most: int = 20) -> None:
    """Refuse pictures none of which could be read.

    Raises:
        engine.SekeError: with the first reasons.
    """
    if not prints.items and not prints.flat:
        reasons = [reason for _, reason in prints.problems[:most]]
        raise SekeError("\n".join(["no picture can be read", *reasons]))
