r"""Texts with alternatives: a small grammar in one line, from which a text is drawn.

    [a|b]     one of them, each as likely; brackets nest
    [a|]      a, or nothing
    \[ \| \]  a bracket or bar that is meant as one

All else stands as it is, so that the fields of Python's format language pass through: what is drawn is a
format string. Each of n alternatives has a share of 1 / n, whatever forms it has itself.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from string import Formatter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Parts = tuple[str | "Alternatives", ...]

T = TypeVar("T")
TOKENS = re.compile(r"\\[\[\]|]|[\[\]|]|[^\[\]|\\]+|\\")


class GrammarError(ValueError):
    """A text whose brackets do not match."""


@dataclass(frozen=True)
class Alternatives:
    """Alternatives, of which one is drawn."""

    alternatives: tuple[Parts, ...]


@dataclass(frozen=True)
class TextForm:
    """A text with alternatives. sources: the texts it was read from, of which one is drawn first."""

    sources: tuple[str, ...]

    @cached_property
    def parts(self) -> Parts:
        """Return the text as a tree.

        Raises:
            GrammarError: brackets that do not match.
        """
        alternatives = tuple(_parsed(source) for source in self.sources)
        return alternatives[0] if len(alternatives) == 1 else (Alternatives(alternatives),)

    def draw(self, rng: random.Random) -> str:
        """Return one of the texts."""
        return _drawn(self.parts, rng)

    def count(self) -> int:
        """Return how many ways there are to draw."""
        return _count(self.parts)

    def fields(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the fields that a drawn text may have, and those that it surely has.

        Raises:
            ValueError: braces that do not match.
        """
        return _fields(self.parts)

    def texts(self) -> Iterator[str]:
        """Yield texts that together hold each alternative at least once."""
        yield from _covering(self.parts)


def pick(options: Sequence[T], rng: random.Random) -> T:
    """Return one of some options, each as likely."""
    return options[int(rng.random() * len(options))]


def seeded(*key: object) -> random.Random:
    """Return a source of chance for a key, the same on every machine and in every order."""
    text = "\0".join(map(str, key)).encode("utf-8", "surrogatepass")
    return random.Random(int.from_bytes(blake2b(text, digest_size=8).digest(), "big"))


def _parsed(source: str) -> Parts:
    tokens = TOKENS.findall(source)
    parts, end = _sequence(tokens, 0, depth=0)
    if end < len(tokens):
        raise GrammarError("has a ] that nothing opens; one that is meant as such is written \\]")
    return parts


def _sequence(tokens: list[str], at: int, depth: int) -> tuple[Parts, int]:
    """Return the parts from a token on, and where they end: at a bar or a closing bracket, or at the end."""
    parts: list[str | Alternatives] = []
    while at < len(tokens) and tokens[at] != "]" and not (tokens[at] == "|" and depth):
        if tokens[at] != "[":
            token = tokens[at]
            parts.append(token[1:] if len(token) == 2 and token[0] == "\\" else token)
            at += 1
            continue
        alternatives = []
        while at < len(tokens) and tokens[at] in ("[", "|"):
            alternative, at = _sequence(tokens, at + 1, depth + 1)
            alternatives.append(alternative)
        if at == len(tokens):
            raise GrammarError("has a [ that nothing closes; one that is meant as such is written \\[")
        parts.append(Alternatives(tuple(alternatives)))
        at += 1
    return tuple(parts), at


def _drawn(parts: Parts, rng: random.Random) -> str:
    text = ""
    for part in parts:
        text += part if isinstance(part, str) else _drawn(pick(part.alternatives, rng), rng)
    return text


def _count(parts: Parts) -> int:
    total = 1
    for part in parts:
        if isinstance(part, Alternatives):
            total *= sum(map(_count, part.alternatives))
    return total


def _fields(parts: Parts) -> tuple[frozenset[str], frozenset[str]]:
    may, surely = frozenset[str](), frozenset[str]()
    for part in parts:
        if isinstance(part, str):
            names = frozenset(name for _, name, _, _ in Formatter().parse(part) if name is not None)
            may, surely = may | names, surely | names
        else:
            below = [_fields(alternative) for alternative in part.alternatives]
            may = may.union(*(fields for fields, _ in below))
            surely |= frozenset.intersection(*(fields for _, fields in below))
    return may, surely


def _covering(parts: Parts) -> Iterator[str]:
    columns = [
        [part] if isinstance(part, str) else [text for a in part.alternatives for text in _covering(a)]
        for part in parts
    ]
    for number in range(max(map(len, columns), default=1)):
        yield "".join(column[min(number, len(column) - 1)] for column in columns)
