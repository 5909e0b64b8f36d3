"""The command `seke bench feab`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_result

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Score models by the protocol of FEAB.")
@click.argument("predictions", nargs=-1, required=True, metavar="PREDICTIONS...")
@click.option(
    "--images",
    required=True,
    multiple=True,
    metavar="MANIFEST",
    help="Manifest of the pictures, whose labels are gold, with the column `source`; may be given again.",
)
@options.output("The folder to create: page, table, results.json, digests of pictures.", metavar="DIR")
@options.knowledge_inferred_with()
@options.intervals()
@options.seed()
@options.json("Print JSON with all scores.")
def feab(
    predictions: tuple[str, ...], images: tuple[str, ...], output: Path | None, *, as_json: bool, **given: Any
) -> None:
    """Score PREDICTIONS by the protocol of FEAB, SEKE's benchmark: six data sets, three tasks.

    PREDICTIONS are folders of runs (`seke bench run`, `seke annotate`) or files of predictions; the first is
    compared with each of the others. Scored are, set by set, expressions (accuracy, macro F1), valence and
    arousal (CCC, RMSE) and action units (F1 of those that the set codes). An answer that is refused,
    unreadable or missing is wrong. Intervals resample persons. Published figures stand beside them.

    Which items are FEAB's is known of CK+ alone (`seke import ckplus --feab --only test`): other persons
    of it are refused. Of other sets the items are those of the manifest, and the page says so.

    \b
    Examples:
      seke bench run --images CK+/test.csv --run gpt-4o --model gpt-4o
      seke bench feab gpt-4o qwen --images CK+/test.csv --images DISFA/manifest.csv -o feab
      seke bench feab gpt-4o/predictions.csv --images CK+/test.csv --json

    Exit status: 0 done, 2 bad input.
    """
    from seke.benchmarking.feab import feab as scored
    from seke.files.free_folder import check_free

    with exit_on_errors(as_json=as_json):
        if output is not None:
            check_free(output)
        report = scored(predictions, images, given.pop("knowledge"), **given)
        if output is not None:
            paths = report.write(output)
        print_result(report.facts, str(report), as_json=as_json)
        if output is not None:
            print_message(f"{', '.join(path.name for path in paths)} in {output}")
