"""The commands of `seke bench`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.bench_run import run
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_result
from seke.console.terminal import printable
from seke.files.atomic import PAGE, PICTURE, check_target, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@click.group()
def bench() -> None:
    """Score predictions against gold, and ask a model for predictions.

    \b
    Example:
      seke bench score posteriors.jsonl truth.csv
    """


bench.add_command(run)


@bench.command()
@click.argument("predictions", nargs=-1, required=True, metavar="PREDICTIONS...")
@click.argument("gold", metavar="GOLD")
@options.knowledge_inferred_with()
@options.groups()
@click.option(
    "--sources",
    default="",
    metavar="COLUMN",
    help="A column of GOLD, the set that an item is of: each set is scored by itself, too.",
)
@options.intervals()
@options.seed()
@options.bins()
@options.json("Print JSON: all of this, and the curves.")
@options.path(
    "--pictures",
    "Draw reliability, risk against coverage, confusion, and numbers against gold.",
    metavar="FOLDER",
)
@options.path("--html", "Write the scores as one page, published figures beside them.")
@click.option(
    "--format",
    "ending",
    type=click.Choice(PICTURE),
    default="png",
    show_default=True,
    help="Of the pictures.",
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

    PREDICTIONS are what `seke infer -o` writes (.csv, .jsonl, both also .gz, or .parquet), or label
    tables; of several the first is compared with each of the others on the items that both have. GOLD is
    a label table: `item` and any of `expression`, `valence`, `arousal`, `AU1`, ...; a blank cell is
    unknown. A manifest of pictures is one too.

    In a label table of predictions a cell may be `refused` or `unreadable`: such an answer is wrong. For a
    number it counts as the middle of the range, and as a wrong sign. A blank cell is no prediction.

    Scores are over all items that have gold and a prediction, as if the best guess were always taken;
    `accepted` says what was accepted and how much of that is wrong. ECE stands beside what calibrated
    predictions would show. A score that is not defined (such as F1 of what gold never has) is null, with the
    reason. P(gold) is at least 1e-6 in log loss.

    \b
    Examples:
      seke bench score posteriors.jsonl truth.csv
      seke bench score before.parquet after.parquet truth.csv --groups subject --pictures plots
      seke bench score posteriors.jsonl truth.csv --json > score.json
      seke bench score run/predictions.csv faces.csv --sources source --html scores.html

    Exit status: 0 done, 2 bad input.
    """
    from seke.benchmarking.score import score as scored

    with exit_on_errors(as_json=as_json):
        check_target(html, PAGE)
        report = scored(predictions, gold, given.pop("knowledge"), **given)
        _warn(report.facts)
        paths = report.draw(pictures, ending) if pictures is not None else []
        print_result(report.facts, printable(str(report)), as_json=as_json)
        if html is not None:
            write_file(report.html().encode(), html)
            print_message(html)
        if paths:
            print_message(f"{len(paths)} pictures in {pictures}")


def _warn(facts: Mapping[str, Any]) -> None:
    """Say which items stand on one side only."""
    for prediction in facts["predictions"]:
        _tell(prediction["without_prediction"], f"{prediction['path']}: lacks", "of gold")
        _tell(prediction["without_gold"], f"{prediction['path']}:", "that gold lacks")


def _tell(unmatched: Mapping[str, Any], before: str, after: str) -> None:
    if unmatched["count"]:
        examples = ", ".join(map(repr, unmatched["examples"]))
        items = "item" if unmatched["count"] == 1 else "items"
        print_message(f"{before} {unmatched['count']:,} {items} {after}, such as {examples}")
