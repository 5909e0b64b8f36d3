"""The source sets of FEID and FEAB: what each codes and how, from `sets.yaml` beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class FeabPart:
    """The part of a set that FEAB tests. sequences: of the whole set; items, persons: of the test part."""

    sequences: int
    items: int
    persons: frozenset[str]


@dataclass(frozen=True)
class SourceSet:
    """A data set of faces with labels.

    expressions: code -> name of a class. drop: classes whose pictures are left out. unknown: what is written
    where nothing is known. scores: name of a group -> variables that are scored together. pictures: folders
    in which its pictures may lie, below the set's own. feab: the part that FEAB tests, None where unknown.
    """

    name: str
    label: str
    source: str
    expressions: Mapping[int, str]
    drop: tuple[str, ...]
    unknown: int | None
    scores: Mapping[str, tuple[str, ...]]
    pictures: tuple[str, ...]
    feab: FeabPart | None = None


@cache
def source_sets() -> dict[str, SourceSet]:
    """Return all sets by name."""
    import yaml

    tree = yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text("utf-8"))
    return {
        name: SourceSet(
            name,
            fields["label"],
            tree["sources"][fields["source"]]["cite"],
            fields.get("expressions", {}),
            tuple(fields.get("drop", ())),
            fields.get("unknown"),
            {group: tuple(members) for group, members in fields.get("scores", {}).items()},
            tuple(fields["pictures"]),
            _feab_part(fields["feab"]) if "feab" in fields else None,
        )
        for name, fields in tree["sets"].items()
    }


def _feab_part(fields: Mapping[str, Any]) -> FeabPart:
    return FeabPart(fields["sequences"], fields["items"], frozenset(fields["persons"]))


def set_called(name: str | None) -> SourceSet | None:
    """Return the set of this name or label, however that is written; None where there is none."""
    wanted = (name or "").casefold()
    return next(
        (
            source_set
            for source_set in source_sets().values()
            if wanted in (source_set.name, source_set.label.casefold())
        ),
        None,
    )
