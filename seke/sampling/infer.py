"""Samples -> posterior records: the main job, batch by batch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.samples import answers_from, read_batches
from seke.sampling.replay import mark_off_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine import Answers, Knowledge

    Record = dict[str, Any]


def infer(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    knowledge: Knowledge | str | Path | None = None,
    *,
    population: str | None = None,
    in_order: bool = False,
    labels_final: bool = False,
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
        seed: of the look-ahead's imagined answers.

    Warns:
        UserWarning: a guarantee of the base that does not hold any more, with the reason.

    Raises:
        engine.KnowledgeError, engine.AnswerError: bad knowledge or samples, with their places.
    """
    base = read_knowledge(knowledge)
    if labels_final:
        base = replace(base, policy=replace(base.policy, labels_final=True))
    session = Session.open(base, population, seed)
    for reason in session.refused:
        warnings.warn(f"the guarantee is refused: {reason}", stacklevel=2)
    samples = source_list(samples)
    if session.guarantee is not None and session.guarantee.design.adaptive:
        session = mark_off_policy(session, samples)
    if not in_order:
        session = on_samples(session, samples)
    for answers in batches(samples, base, in_order=in_order):
        yield from session.records(answers)


def on_samples(session: Session, samples: Any) -> Session:
    """Return the session with thresholds that keep limits of the mean over these samples, too.

    As it is where no limit is of the mean, or the samples can be read but once.
    """
    if not session.has_mean_limits or read_once(samples):
        return session
    return session.with_thresholds(batches(samples, session.knowledge))


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
