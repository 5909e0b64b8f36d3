"""Scores predictions against gold: scores with intervals, refusals by class, comparisons of two sets.

All scores are over the items with gold and a prediction, as if the best guess were always taken; accepted
values are scored in addition. Intervals are percentiles of bootstrap resamples of the items, or of whole
groups of them; two sets of predictions are compared on the same resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import AnswerError, Knowledge, SekeError
from seke.benchmarking.paired_comparison import comparison
from seke.benchmarking.predictions import foreign_variables, holds_records, read_predictions
from seke.benchmarking.published import citations
from seke.benchmarking.score_card import card
from seke.benchmarking.scorer import BINS, ScoreOptions
from seke.console.plain_text import first_names
from seke.datasets.near_duplicates import units_of
from seke.files.frames import is_frame
from seke.files.shard_folder import is_shard_folder
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.runs.run_folder import POSTERIORS, made_up_caution
from seke.tables.clusters import read_clusters
from seke.tables.label_table import LabelTable, labels_from, read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seke.files.frames import ArrowStream

    Facts = dict[str, Any]
    PredictionSource = str | Path | ArrowStream | Iterable[Mapping[str, Any]]


@dataclass(frozen=True, repr=False)
class ScoreReport(TextReport):
    """The facts of a score, as JSON values; `str` renders them as text."""

    facts: Facts

    def __str__(self) -> str:
        from seke.benchmarking.text import text

        return text(self.facts)

    def html(self) -> str:
        """Return the scores as one HTML page that needs no other file, published figures beside them."""
        from seke.benchmarking.html import page

        return page(self.facts)

    def draw(self, folder: str | Path, ending: str = "png") -> list[Path]:
        """Write pictures (png, svg or pdf) into a folder, made where it is missing; return their paths.

        Raises:
            engine.SekeError: a place that cannot be written.
        """
        from seke.benchmarking.plots import draw

        return draw(self.facts, Path(folder), ending)


def score(
    predictions: PredictionSource | Sequence[PredictionSource],
    gold: PredictionSource | LabelTable,
    knowledge: Knowledge | str | Path | None = None,
    *,
    groups: str = "",
    sources: str = "",
    clusters: str | Path | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    bins: int = BINS,
    keep_gold_evidence: bool = False,
) -> ScoreReport:
    """Score predictions against gold; of several the first is compared with each of the others.

    Args:
        predictions: a file, a run, records or a frame of them (posteriors or labels), or several of these.
        gold: a label table: a file, its rows or a frame of them, or one that was read.
        knowledge: the base whose variables are predicted; the shipped base by default.
        groups: a further column of gold, such as the subject: whole groups are resampled.
        sources: a further column of gold, the set that an item is of: each is scored by itself, too.
        clusters: a table of near-duplicates (`seke dupes -o`): resampled whole, put together with groups.
        bootstrap: resamples; 0 leaves the intervals out.
        seed: of all chance.
        level: of the intervals.
        bins: of the reliability diagrams, of equal mass.
        keep_gold_evidence: whether values are scored that have a data set's label among their evidence. By
            default they are left out and counted, since gold that is this label is compared with itself.

    Raises:
        engine.SekeError: predictions or gold that cannot be read; no item or variable that both have.
    """
    base = read_knowledge(knowledge)
    options = ScoreOptions(bootstrap, seed, level, bins)
    sources_given = [_of_run(source) for source in _sources(predictions)]
    table = _with_clusters(_gold(gold, base, (groups, sources), sources_given), clusters)
    prediction_sets = [read_predictions(source, base) for source in sources_given]
    if keep_gold_evidence:
        prediction_sets = [predicted.with_gold_evidence() for predicted in prediction_sets]
    first, *others = prediction_sets
    return ScoreReport(
        {
            "gold": {"path": table.path, "items": len(table.items)},
            "knowledge": {"name": base.name, "digest": base.digest},
            "options": {
                **asdict(options),
                "keep_gold_evidence": keep_gold_evidence,
                "groups": _grouped_by(groups, clusters),
                "group_count": len({*table.groups} - {None}),
                "sources": sources or None,
            },
            "cited": citations() if sources else {},
            "predictions": [
                card(base, predicted, table, options) | _made_up(source)
                for source, predicted in zip(sources_given, prediction_sets, strict=True)
            ],
            "comparisons": [comparison(base, first, other, table, options) for other in others],
        }
    )


def _of_another_base(sources: Iterable[Any], base: Knowledge) -> Iterator[str]:
    """Yield a line for each file of records of variables that the base does not have."""
    for source in sources:
        # Standard input can be read once only.
        is_file = isinstance(source, str | Path) and str(source) != "-"
        foreign = foreign_variables(source, base) if is_file else []
        if foreign:
            yield (
                f"{source}: is about {first_names(foreign, 3)}, which the base {base.name} does not have; "
                "name the base that it was inferred with (-k)"
            )


def _made_up(source: Any) -> Facts:
    """Return in words that a run's answers are made up; no text for what is not known to be a run's."""
    return {"made_up": made_up_caution(Path(source)) if isinstance(source, str | Path) else ""}


def _with_clusters(table: LabelTable, path: str | Path | None) -> LabelTable:
    """Return gold whose groups are the persons put together with the clusters of a table, if one is given.

    Raises:
        engine.AnswerError, engine.SekeError: no table of clusters; one that has none of the items.
    """
    if path is None:
        return table
    clusters = read_clusters(path)
    if not clusters.keys() & set(table.items):
        raise SekeError(
            f"{path}: has none of the items; it names {next(iter(clusters))!r}, the gold {table.items[0]!r}"
        )
    return replace(
        table, groups=units_of(table.items, table.groups, [clusters.get(item) for item in table.items])
    )


def _grouped_by(groups: str, clusters: str | Path | None) -> str | None:
    return " and ".join(filter(None, (groups, "clusters" if clusters else ""))) or None


def _sources(predictions: PredictionSource | Sequence[PredictionSource]) -> list[Any]:
    if isinstance(predictions, str | Path) or is_frame(predictions):
        return [predictions]
    sources: list[Any] = list(predictions)  # type: ignore[arg-type]
    return sources if sources and not isinstance(sources[0], Mapping) else [sources]


def _of_run(source: Any) -> Any:
    """Return the posteriors of a run in the place of its folder, and any other source as it is."""
    is_run = isinstance(source, str | Path) and not is_shard_folder(source)
    return Path(source, POSTERIORS) if is_run and Path(source, POSTERIORS).is_file() else source


def _gold(
    gold: PredictionSource | LabelTable, base: Knowledge, columns: tuple[str, str], predictions: Iterable[Any]
) -> LabelTable:
    """Return the gold; columns: of groups and sources. Where it is at fault, so may the base be."""
    if isinstance(gold, LabelTable):
        return gold
    if not isinstance(gold, str | Path):
        return labels_from(gold, base, *columns)
    # Standard input can be read once only.
    if str(gold) != "-" and holds_records(gold):
        order = "gold is named last: PREDICTIONS... GOLD"
        raise SekeError(f"{gold}: holds predictions with probabilities and not labels; {order}")
    try:
        return read_labels(gold, base, *columns)
    except AnswerError as fault:
        raise AnswerError("\n".join([*_of_another_base(predictions, base), str(fault)])) from None
