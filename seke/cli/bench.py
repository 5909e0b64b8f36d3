"""The commands of `seke bench`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.bench_feab import feab
from seke.cli.bench_prompts import prompts
from seke.cli.bench_run import run
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_result, terminal_columns
from seke.files.atomic import PAGE, PICTURE, check_target, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@click.group(short_help="Score predictions, run the benchmark, compare prompts.")
def bench() -> None:
    """Score predictions against gold, ask a model for predictions, and compare wordings.

    \b
    Example:
      seke bench score posteriors.jsonl truth.csv
    """


bench.add_command(run)
bench.add_command(feab)
bench.add_command(prompts)


@bench.command()
@options.predictions_and_gold()
@options.knowledge_inferred_with()
@options.groups()
@click.option(
    "--sources",
    default="",
    metavar="COLUMN",
    help="Column of GOLD with the source set of each item. Each set is also scored by itself.",
)
@options.path(
    "--clusters",
    "Table of near-duplicates (seke dupes -o): those of one cluster, and of one group, are resampled whole.",
    metavar="TABLE",
)
@options.intervals()
@options.seed()
@options.bins()
@options.keep_gold_evidence()
@options.json("Print JSON with all scores and the curves.")
@options.path(
    "--pictures",
    "Draw reliability, risk against coverage, confusion, and numbers against gold into FOLDER.",
    metavar="FOLDER",
)
@options.path("--html", "Write the scores as one page, with published figures beside them.")
@click.option(
    "--format",
    "ending",
    type=options.OneOf(PICTURE),
    default="png",
    show_default=True,
    help="Format of the pictures.",
)
def score(
    predictions: tuple[str, ...],
    gold: str,
    as_json: bool,
    pictures: Path | None,
    html: Path | None,
    ending: str,
    **given: Any,
) -> None:
    """Score PREDICTIONS against GOLD.

    PREDICTIONS are what `seke infer -o` writes (.csv, .jsonl, both also .gz, or .parquet), folders of runs of
    `seke annotate`, or label tables.
    Where there are several, the first is compared with each of the others on their common items. GOLD is a
    label table with `item` and any of `expression`, `valence`, `arousal`, `AU1`, ...; an empty cell is
    unknown. It may also be a manifest of pictures.

    In a label table of predictions a cell may be `refused` or `unreadable`. Such an answer is scored as
    wrong; for a number, as the middle of the range with the wrong sign. An empty cell is no prediction.

    Values are left out, and counted, if a label of a data set was among their evidence: gold that is this
    label would be compared with itself. Records of `seke infer` name these values (`diagnostics.labelled`);
    `seke infer --blind-to GOLD` infers without these labels, so that all values can be scored.

    Scores are over all items with gold and a prediction, accepted or not; `accepted` is the share that was
    accepted, followed by the share of it that is wrong. ECE has the interval beside it that calibrated
    predictions would show. A score that is not defined (such as F1 of a class without gold) is null, with the
    reason. In log loss P(gold) is at least 1e-6.

    \b
    Examples:
      seke bench score posteriors.jsonl truth.csv
      seke bench score before.parquet after.parquet truth.csv --groups subject --pictures plots
      seke bench score posteriors.jsonl truth.csv --groups subject --clusters clusters.csv
      seke bench score posteriors.jsonl truth.csv --json > score.json
      seke bench score run/predictions.csv faces.csv --sources source --html scores.html

    Exit status: 0 done, 2 bad input.
    """
    from seke.benchmarking.score import score as scored
    from seke.benchmarking.text import text
    from seke.console.extras import check_installed

    with exit_on_errors(as_json=as_json):
        check_target(html, PAGE)
        if pictures is not None:
            check_installed("matplotlib")
        report = scored(predictions, gold, given.pop("knowledge"), **given)
        _warn(report.facts)
        paths = report.draw(pictures, ending) if pictures is not None else []
        print_result(report.facts, text(report.facts, terminal_columns()), as_json=as_json)
        if html is not None:
            write_file(report.html().encode(), html)
            print_message(html)
        if paths:
            print_message(f"{len(paths)} pictures in {pictures}")


def _warn(facts: Mapping[str, Any]) -> None:
    """Print which items only the predictions or only the gold have, and which gold is evidence, too."""
    from seke.benchmarking.text import left_out_text

    for prediction in facts["predictions"]:
        _tell(prediction["without_prediction"], f"{prediction['path']}: lacks", "of gold")
        _tell(prediction["without_gold"], f"{prediction['path']}:", "that gold lacks")
        message = left_out_text(prediction)
        if message:
            print_message(message)


def _tell(unmatched: Mapping[str, Any], before: str, after: str) -> None:
    if unmatched["count"]:
        examples = ", ".join(map(repr, unmatched["examples"]))
        items = "item" if unmatched["count"] == 1 else "items"
        print_message(f"{before} {unmatched['count']:,} {items} {after}, such as {examples}")
