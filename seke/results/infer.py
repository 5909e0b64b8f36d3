"""`seke infer` as a function: samples -> posterior records, which are a table as well."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seke.files.frames import MemoryTable
from seke.files.lines import check_file
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.results.inferred_records import InferredRecords
from seke.samples import check_frame
from seke.sampling.infer import SampleInference, blind_answers, source_list

if TYPE_CHECKING:
    from engine import Knowledge
    from seke.console.notebook import Counts
    from seke.files.frames import Samples
    from seke.files.shipped import HasKnowledge
    from seke.sampling.blind import GoldTable


def infer(
    samples: Samples,
    knowledge: Knowledge | HasKnowledge | str | Path | None = None,
    *,
    population: str | None = None,
    in_order: bool = False,
    labels_final: bool = False,
    blind_to: GoldTable | None = None,
    knowledge_uncertainty: bool = False,
    seed: int = 0,
    progress: Counts | bool | None = None,
) -> InferredRecords:
    """Return a posterior record for each item, in order of first appearance.

    A loop over the result infers as it goes on, and keeps nothing; `to_pandas`, `to_polars`, `to_arrow` and
    `to_datasets` infer all items once, and keep the table, which loops then read. As the value of a cell of
    a notebook a few hundred items are inferred, and kept; of more the first ones are shown.

    Args:
        samples: sample files (paths; `-` is standard input), frames (of pandas or polars, tables of Arrow,
            whatever has `__arrow_c_stream__`) with a row for each answer and the columns of a CSV file of
            samples, or sample records as mappings.
        knowledge: a base, the folder or file of one, or a calibration; the shipped base by default.
        population: the prior to use; the base's usual one by default.
        in_order: the samples of each item stand together, so that they can be streamed; then limits of the
            mean, for which the base has no thresholds, cap each risk.
        labels_final: whether labels of a data set are kept whatever is seen.
        blind_to: a label table (as `seke.read_labels` returns): a data set's labels of values that it tells
            are left out, and items about which nothing else was answered, so that records can be scored.
        knowledge_uncertainty: whether limits take the strengths of the base's numbers into account: they
            are drawn within these, and records have the standard deviation of each risk over the draws.
        seed: of the look-ahead's imagined answers, and of the draws of the base's numbers.
        progress: whether a bar of tqdm is shown while a table is made, by default in a notebook; or what is
            called with how many items are done, and how many there are (None where that is not known).

    Warns:
        UserWarning: a guarantee of the base that does not hold any more, with the reason.

    Raises:
        engine.KnowledgeError, engine.AnswerError: bad knowledge, a file that is not there, or a frame with
            other columns, at once; bad samples, with their places, as soon as these are read.
        engine.SekeError: no such base or population; `blind_to` with a guarantee about items that the policy
            asked, which saw the labels.
    """
    base = read_knowledge(knowledge)
    if labels_final:
        base = replace(base, policy=replace(base.policy, labels_final=True))
    sources = source_list(samples)
    for index, source in enumerate(sources):
        if isinstance(source, MemoryTable):
            check_frame(source, base, index)
        elif isinstance(source, str | Path):
            check_file(source)
    session = Session.open(base, population, seed, knowledge_uncertainty=knowledge_uncertainty)
    for reason in session.refused:
        warnings.warn(f"the guarantee is refused: {reason}", stacklevel=2)
    blind = None if blind_to is None else blind_answers(session, blind_to)
    return InferredRecords(SampleInference(session, sources, blind, in_order), progress)
