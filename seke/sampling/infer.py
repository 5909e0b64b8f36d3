"""Samples -> posterior records: the main job, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import AnswerError, SekeError
from seke.files.frames import FRAME, ROW_NUMBERS, MemoryTable, is_frame
from seke.samples import answers_from, read_batches
from seke.sampling.replay import mark_off_policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from engine import Answers, Knowledge
    from seke.files.frames import Samples
    from seke.inference.session import Session
    from seke.sampling.blind import BlindAnswers, GoldTable

    Record = dict[str, Any]


@dataclass(frozen=True)
class SampleInference:
    """Samples and the session that infers their items, batch by batch.

    sources: files and frames, or records. blind: what leaves labels out, if anything. in_order: whether the
    samples of each item stand together.
    """

    opened: Session
    sources: list[Any]
    blind: BlindAnswers | None = None
    in_order: bool = False

    @cached_property
    def session(self) -> Session:
        """The session with all that is found on the samples before the first of them is decided."""
        session = self.opened
        if session.guarantee is not None and session.guarantee.design.adaptive:
            session = mark_off_policy(session, self.sources)
        return session if self.in_order else on_samples(session, self.sources, self.blind)

    @property
    def decides_alone(self) -> bool:
        """Whether what is decided about an item does not depend on the other items."""
        session = self.opened
        if session.guarantee is not None and session.guarantee.design.adaptive:
            return False
        return self.in_order or self.read_once or not session.has_mean_limits

    @property
    def read_once(self) -> bool:
        """Whether the samples can be read only once, as from a pipe."""
        return read_once(self.sources)

    def items(self) -> int | None:
        """Return how many items there are, where that is known without reading files.

        Not where labels are left out: of items with nothing else there is no record.
        """
        sources = self.sources
        if self.blind is not None:
            return None
        if any(isinstance(source, str | Path) for source in sources):
            return None
        if all(isinstance(source, MemoryTable) for source in sources):
            return sources[0].distinct("item") if len(sources) == 1 else None
        return len({str(source.get("item")) for source in sources if isinstance(source, Mapping)})

    def batches(self, done: int = 0) -> Iterator[tuple[Answers, list[Record]]]:
        """Yield answers about whole items with their records, without the first batches that are done."""
        session = self.session
        parts = batches(self.sources, session.knowledge, in_order=self.in_order)
        for number, answers in enumerate(parts if self.blind is None else self.blind.of(parts)):
            if number >= done:
                yield answers, session.records(answers)


def blind_answers(session: Session, gold: GoldTable) -> BlindAnswers:
    """Return what leaves labels of data sets out where a table of gold tells the value.

    Raises:
        engine.SekeError: the session's guarantee is about items that the policy asked.
    """
    if session.guarantee is not None and session.guarantee.design.adaptive:
        raise SekeError(
            "--blind-to: the base's guarantee is about items that its policy asked, and the policy saw the "
            "labels; use a base without this guarantee"
        )
    from seke.sampling.blind import BlindAnswers

    return BlindAnswers(session.knowledge, gold)


def on_samples(session: Session, samples: Any, blind: BlindAnswers | None = None) -> Session:
    """Return the session with thresholds that keep limits of the mean over these samples, too.

    As it is where no limit is of the mean, or the samples can be read but once. blind: what leaves labels
    out, if anything.
    """
    if not session.has_mean_limits or read_once(samples):
        return session
    parts = batches(samples, session.knowledge)
    return session.with_thresholds(parts if blind is None else blind.of(parts))


def read_once(samples: Any) -> bool:
    """Say whether samples can be read only once, as from a stream or a pipe."""
    return any(isinstance(path, str | Path) and not Path(path).is_file() for path in source_list(samples))


def source_list(samples: Any) -> list[Any]:
    """Return sample files and frames, or sample records, as a list; a single file or frame is a list of one.

    Raises:
        engine.AnswerError: one sample, another table or bytes, which would be taken for a list of names; a
            frame that cannot be read.
    """
    if isinstance(samples, str | Path):
        return [samples]
    if is_frame(samples):
        return [MemoryTable.of(samples)]
    if (
        isinstance(samples, Mapping | bytes)
        or hasattr(type(samples), "columns")
        or not isinstance(samples, Iterable)
    ):
        kind = type(samples).__name__
        article = "an" if kind[0] in "aeiou" else "a"
        collect = "; a lazy frame is read by its .collect()" if kind == "LazyFrame" else ""
        raise AnswerError(
            f"samples: met {article} {kind}; allowed are a file, a frame (pandas, polars, a table of Arrow), "
            f"or a list of these or of samples as mappings{collect}"
        )
    sources = list(samples)
    # A frame that is given twice stays one.
    tables = {id(source): MemoryTable.of(source) for source in sources if is_frame(source)}
    return [tables.get(id(source), source) for source in sources]


def batches(
    samples: Samples,
    base: Knowledge,
    *,
    in_order: bool = False,
    item: str | Collection[str] | None = None,
) -> Iterable[Answers]:
    """Return the answers about whole items, batch by batch; the arguments are those of `infer`.

    item: of files and frames this item, or these items, alone, see `read_batches`.
    """
    sources = source_list(samples)
    if all(isinstance(path, str | Path | MemoryTable) for path in sources):
        parts = read_batches(sources, base, in_order=in_order, item=item)
        return _with_row_numbers(parts) if any(isinstance(path, MemoryTable) for path in sources) else parts
    return answers_from(sources, base)


def _with_row_numbers(parts: Iterable[Answers]) -> Iterator[Answers]:
    """Yield the batches; a fault in a row of a frame says how rows are counted."""
    try:
        yield from parts
    except AnswerError as error:
        text = str(error)
        raise AnswerError(f"{text}\n{ROW_NUMBERS}" if f"{FRAME} row " in text else text) from None
