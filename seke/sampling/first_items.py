"""The first items of samples, of whatever number: what is shown of a result before all of it is inferred."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.files.frames import MemoryTable
from seke.samples import item_names
from seke.sampling.infer import batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.sampling.infer import SampleInference

    Record = dict[str, Any]


@dataclass(frozen=True)
class FirstItems:
    """Items in order of first appearance, and whether these are all that the samples have."""

    names: tuple[str, ...]
    complete: bool

    @classmethod
    def of(cls, inference: SampleInference, most_items: int, most_samples: int) -> FirstItems:
        """Return the items of the first samples, up to so many items; samples at fault may be passed over."""
        names: dict[str, None] = {}
        for samples, name in enumerate(_names(inference), 1):
            if (name not in names and len(names) == most_items) or samples > most_samples:
                return cls(tuple(names), complete=False)
            names[name] = None
        return cls(tuple(names), complete=True)

    def records(self, inference: SampleInference, most: int) -> list[Record]:
        """Return the records of the first items, up to so many, of which only the answers are read.

        What is decided in them is right only where `inference.decides_alone`; posteriors always are.

        Raises:
            engine.AnswerError: samples that cannot be read; what is wrong with other items' may go unsaid.
        """
        names = frozenset(self.names[:most])
        sources: list[Any] = inference.sources
        if not _are_tables(inference):
            sources = [record for record in sources if str(record.get("item")) in names]
        parts = batches(sources, inference.opened.knowledge, item=names)
        if inference.blind is not None:
            parts = inference.blind.of(parts)
        return list(islice((record for part in parts for record in inference.opened.records(part)), most))


def _names(inference: SampleInference) -> Iterator[str]:
    """Yield the item of each sample."""
    if _are_tables(inference):
        yield from item_names(inference.sources, inference.opened.knowledge)
    else:
        yield from (str(record.get("item")) for record in inference.sources)


def _are_tables(inference: SampleInference) -> bool:
    return all(isinstance(source, str | Path | MemoryTable) for source in inference.sources)
