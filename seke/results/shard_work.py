"""What the processes of a cluster do about shards: read samples, find thresholds, write records.

Everything that goes to them and comes back is plain data. What is wrong with samples comes back as text: to
raise it there would be a failure of the process, which is tried again.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke._version import __version__
from seke.console.infer_summary import InferSummary
from seke.console.summary_counts import counts_of
from seke.files.addresses import is_address
from seke.files.lines import check_file
from seke.inference.first_pass import digest_of
from seke.samples import answers_of_sheets, singles_of_sheets
from seke.samples.shards import read_shards, unpack
from seke.sampling.blind import BlindAnswers
from seke.sampling.replay import mark_recorded
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Answers, EligibleRisks
    from seke.inference.session import Session
    from seke.sampling.blind import GoldTable

    # A shard's packed blocks of samples, of each file.
    Packed = Sequence[Sequence[bytes]]


@dataclass(frozen=True)
class ShardWork:
    """What all shards are made with.

    names: of the files of the samples. format: of the files of the records. gold: what labels are left out
    by, if anything. version: of this program, which every machine must have.
    """

    session: Session
    names: tuple[str, ...]
    shards: int
    format: str
    gold: GoldTable | None = None
    version: str = __version__


@dataclass(frozen=True)
class ShardResult:
    """What was found of a shard, or made.

    fault: why nothing was. samples: digest of the answers. risks: what thresholds are found on. records: the
    bytes of the file of the records; None without any. counts: of what was decided.
    """

    fault: str = ""
    samples: str = ""
    risks: dict[str, list[EligibleRisks]] = field(default_factory=dict)
    records: bytes | None = None
    counts: dict[str, Any] = field(default_factory=dict)


def read_file(work: ShardWork, index: int) -> tuple[ShardResult, list[list[bytes]]]:
    """Return what is wrong with a file, if anything, and its samples for each shard, packed."""
    nothing: list[list[bytes]] = [[] for _ in range(work.shards)]
    name = work.names[index]
    if work.version != __version__:
        fault = f"{socket.gethostname()}: has seke {__version__}; the command is of seke {work.version}"
        return ShardResult(fault), nothing
    try:
        if not is_address(name):
            check_file(name)
        return ShardResult(), read_shards(name, index, work.session.knowledge, work.shards)
    except SekeError as error:
        return ShardResult(str(error)), nothing


def look_at_shard(work: ShardWork, packed: Packed, *, with_risks: bool) -> ShardResult:
    """Return the digest of a shard's samples, and what thresholds of the mean are found on, if asked for."""
    digest = blake2b(digest_size=16)
    try:
        parts = _answers(work, packed, digest)
        if with_risks:
            blind = _blind(work)
            risks = work.session.mean_risks(parts if blind is None else blind.of(parts))
        else:
            risks = {}
            for _ in parts:
                pass
    except SekeError as error:
        return ShardResult(str(error))
    return ShardResult(samples=digest.hexdigest(), risks=risks)


def infer_shard(work: ShardWork, packed: Packed) -> ShardResult:
    """Return the file of a shard's records, with what was decided in numbers."""
    session, digest = work.session, blake2b(digest_size=16)
    base = session.knowledge
    try:
        if session.guarantee is not None and session.guarantee.design.adaptive:
            session = mark_recorded(session, singles_of_sheets(unpack(packed), work.names, base))
        blind, summary = _blind(work), InferSummary(base)
        parts = _answers(work, packed, digest)
        with TemporaryDirectory(prefix="seke-") as folder:
            file = Path(folder) / f"records.{work.format}"
            with Writer(file) as writer:
                for answers in parts if blind is None else blind.of(parts):
                    records = session.records(answers)
                    summary.add(records)
                    writer.write(records)
            written = file.read_bytes() if summary.items.total() else None
    except SekeError as error:
        return ShardResult(str(error))
    counts = counts_of(summary)
    if blind is not None:
        counts["left_out"] = {
            "counts": dict(blind.counts),
            "equal": dict(blind.equal),
            "observers": list(blind.observers),
            "hollow": blind.hollow,
        }
    return ShardResult(samples=digest.hexdigest(), records=written, counts=counts)


def _answers(work: ShardWork, packed: Packed, digest: Any) -> Iterator[Answers]:
    """Yield the answers of a shard, and digest them."""
    for answers in answers_of_sheets(unpack(packed), work.names, work.session.knowledge):
        digest.update(digest_of(answers))
        yield answers


def _blind(work: ShardWork) -> BlindAnswers | None:
    return None if work.gold is None else BlindAnswers(work.session.knowledge, work.gold)
