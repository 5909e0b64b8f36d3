"""Samples -> posterior records: the main job, batch by batch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import AnswerError, SekeError
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.samples import answers_from, read_batches
from seke.sampling.blind import BlindAnswers
from seke.sampling.replay import mark_off_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine import Answers, Knowledge
    from seke.sampling.blind import GoldTable

    Record = dict[str, Any]


def infer(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
    in_order: bool = False,
    labels_final: bool = False,
    blind_to: GoldTable | None = None,
    knowledge_uncertainty: bool = False,
    seed: int = 0,
) -> Iterator[Record]:
    """Yield a posterior record for each item, in order of first appearance.

    Args:
        samples: sample files (paths; `-` is standard input), or sample records as mappings.
        knowledge: a base, or the folder or file of one; the shipped base by default.
        population: the prior to use; the base's reference by default.
        in_order: the samples of each item stand together, so that they can be streamed; then limits of the
            mean, for which the base has no thresholds, cap each risk.
        labels_final: whether labels of a data set are kept whatever is seen.
        blind_to: a label table (as `seke.read_labels` returns): a data set's labels of values that it tells
            are left out, and items about which nothing else was answered, so that records can be scored.
        knowledge_uncertainty: whether limits take the strengths of the base's numbers into account: they
            are drawn within these, and records have the standard deviation of each risk over the draws.
        seed: of the look-ahead's imagined answers, and of the draws of the base's numbers.

    Warns:
        UserWarning: a guarantee of the base that does not hold any more, with the reason.

    Raises:
        engine.KnowledgeError, engine.AnswerError: bad knowledge or samples, with their places.
        engine.SekeError: `blind_to` with a guarantee about items that the policy asked, which saw the labels.
    """
    base = read_knowledge(knowledge)
    if labels_final:
        base = replace(base, policy=replace(base.policy, labels_final=True))
    session = Session.open(base, population, seed, knowledge_uncertainty=knowledge_uncertainty)
    for reason in session.refused:
        warnings.warn(f"the guarantee is refused: {reason}", stacklevel=2)
    samples = source_list(samples)
    blind = None if blind_to is None else blind_answers(session, blind_to)
    if session.guarantee is not None and session.guarantee.design.adaptive:
        session = mark_off_policy(session, samples)
    if not in_order:
        session = on_samples(session, samples, blind)
    parts = batches(samples, base, in_order=in_order)
    for answers in parts if blind is None else blind.of(parts):
        yield from session.records(answers)


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
    """Return sample files, or sample records, as a list; a single file is a list of one.

    Raises:
        engine.AnswerError: one sample, a table or bytes, which would be taken for a list of names.
    """
    if isinstance(samples, str | Path):
        return [samples]
    if isinstance(samples, Mapping | bytes) or hasattr(samples, "columns"):
        kind = type(samples).__name__
        raise AnswerError(
            f"samples: met a {kind}; allowed are a file, or a list of files or of samples as mappings"
        )
    return list(samples)


def batches(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    base: Knowledge,
    *,
    in_order: bool = False,
) -> Iterable[Answers]:
    """Return the answers about whole items, batch by batch; the arguments are those of `infer`."""
    sources = source_list(samples)
    if all(isinstance(path, str | Path) for path in sources):
        return read_batches(sources, base, in_order=in_order)
    return answers_from(sources, base)
