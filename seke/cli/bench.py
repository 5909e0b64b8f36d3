"""The commands of `seke bench`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli.bench_run import run
from seke.cli.errors import exit_on_errors, print_json
from seke.console.terminal import printable
from seke.files.atomic import PAGE, PICTURE, check_target, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping


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
@click.option(
    "-k",
    "--knowledge",
    metavar="PATH",
    help="The base that was inferred with: a folder or a YAML file.  [default: the shipped base]",
)
@click.option(
    "--groups",
    default="",
    metavar="COLUMN",
    help="A column of GOLD, such as the subject: whole groups are resampled.",
)
@click.option(
    "--sources",
    default="",
    metavar="COLUMN",
    help="A column of GOLD, the set that an item is of: each set is scored by itself, too.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Resamples for the intervals; 0: none.",
)
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Level of the intervals.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all chance.")
@click.option(
    "--bins",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="Bins of ECE and the reliability diagrams, of equal mass.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all of this, and the curves.")
@click.option(
    "--pictures",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Draw reliability, risk against coverage, confusion, and numbers against gold.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the scores as one page, published figures beside them.",
)
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
    **options: Any,
) -> None:
    """Score PREDICTIONS against GOLD.

    PREDICTIONS are what `seke infer -o` writes (.jsonl, .csv, .parquet), or label tables; of several the
    first is compared with each of the others on the items that both have. GOLD is a label table: `item`
    and any of `expression`, `valence`, `arousal`, `AU1`, ...; a blank cell is unknown. A manifest of
    pictures is one too.

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
        report = scored(predictions, gold, options.pop("knowledge"), **options)
        _warn(report.facts)
        paths = report.draw(pictures, ending) if pictures is not None else []
        if as_json:
            print_json(report.facts)
        else:
            print(printable(str(report)))
        if html is not None:
            write_file(report.html().encode(), html)
            print(printable(f"{html}"), file=sys.stderr)
        if paths:
            print(f"{len(paths)} pictures in {pictures}", file=sys.stderr)


def _warn(facts: Mapping[str, Any]) -> None:
    """Say which items stand on one side only."""
    for prediction in facts["predictions"]:
        _tell(prediction["without_prediction"], f"{prediction['path']}: lacks", "of gold")
        _tell(prediction["without_gold"], f"{prediction['path']}:", "that gold lacks")


def _tell(unmatched: Mapping[str, Any], before: str, after: str) -> None:
    if unmatched["count"]:
        examples = ", ".join(map(repr, unmatched["examples"]))
        items = "item" if unmatched["count"] == 1 else "items"
        print(
            printable(f"{before} {unmatched['count']:,} {items} {after}, such as {examples}"), file=sys.stderr
        )
