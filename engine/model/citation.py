"""Numbers of a knowledge base with their places and sources."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import Place

NOWHERE = Place("", 0, 0)


@dataclass(frozen=True)
class Cited:
    """Where a number comes from: `source` is a key of `Knowledge.sources` or `judgement`."""

    place: Place = field(compare=False, default=NOWHERE)
    source: str = field(compare=False, default="judgement")
    note: str = field(compare=False, default="")


@dataclass(frozen=True)
class Number(Cited):
    """A number of the YAML: where it stands, its value, and the least and the greatest it may be."""

    path: str = ""
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Source:
    """A citation."""

    name: str
    cite: str
    url: str = ""
    used: str = ""
    place: Place = field(compare=False, default=NOWHERE)
