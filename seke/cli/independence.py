"""The command `seke independence`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli.errors import exit_on_errors, print_json
from seke.console.terminal import printable
from seke.files.atomic import PICTURE, check_target, write_file

if TYPE_CHECKING:
    from seke.calibration.independence import Independence


@click.command()
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@click.option(
    "--gold",
    required=True,
    metavar="TABLE",
    help="Label table of what is known: .csv, .jsonl (both also .gz) or .parquet; it may have gaps.",
)
@click.option(
    "-k",
    "--knowledge",
    metavar="PATH",
    help="A base or overlay: a folder or a YAML file.  [default: the shipped base]",
)
@click.option(
    "--about",
    metavar="VARIABLE",
    help="A categorical or binary variable.  [default: the base's root, such as the expression]",
)
@click.option(
    "--groups",
    default="",
    metavar="COLUMN",
    help="A column of the gold, such as the subject: whole groups are resampled.",
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
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw a matrix of who is wrong with whom: .svg, .png or .pdf.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON even on a terminal.")
def independence(samples: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Measure on items with gold how far observers err together.

    Two draws of one reading, two readings (questions, views) of one observer, and two observers are compared
    on the items that both answered: how often both are wrong, how often that would be by chance (the product
    of the error rates), how often one is wrong where the other is, how often both then give the same answer,
    and phi, the correlation of the errors. The first answer of each reading counts: of a ranking the first
    place, of a distribution the likeliest answer. An observer's answer is that of its first reading.

    No model is behind these figures. `declared` is what the base predicts instead (by `follows`, `carry`,
    `repeat` and the tables of its observers, without `halo`) where truths are as frequent as in the gold; a
    mark `!` says that it lies outside the interval.

    n answers are worth n / (1 + (n - 1) rho) independent ones, with the mean phi as rho (Kish 1965). That is
    a summary, not the model: inference uses what the base declares.

    On a terminal tables are printed, else JSON.

    \b
    Examples:
      seke independence samples.jsonl --gold gold.csv
      seke independence samples.jsonl --gold gold.csv --groups subject -o together.png
      seke independence samples.jsonl --gold gold.csv --about AU12 --json

    Exit status: 0 done, 2 bad input.
    """
    from engine import SekeError

    with exit_on_errors(as_json=as_json):
        check_target(output, PICTURE)
        if output is not None and output.exists() and any(_same(path, output) for path in samples):
            raise SekeError(f"{output}: is one of the samples; draw to another file")
        from seke.calibration.independence import independence as measured

        result = measured(list(samples), **options)
        if output is not None:
            write_file(result.draw(output.suffix[1:].lower()), output)
        if as_json or not sys.stdout.isatty():
            print_json(result.facts)
        else:
            from rich.console import Console

            from seke.calibration.independence_table import show

            show(result, Console(highlight=False))
        for warning in result.warnings:
            print(f"warning: {printable(warning)}", file=sys.stderr)
        print(printable(_summary(result)), file=sys.stderr)


def _same(path: str, output: Path) -> bool:
    return Path(path).exists() and output.samefile(path)


def _summary(result: Independence) -> str:
    """Return a line on what was measured."""
    about = result.about
    units = f"{about['units']:,} groups by {about['groups']}" if about["groups"] else "items"
    intervals = f"{100 * about['level']:g} % intervals, {about['bootstrap']} resamples of {units}"
    return (
        f"{about['variable']} of {about['items']:,} items with gold; "
        + (f"{intervals} (seed {about['seed']}); " if about["bootstrap"] else "")
        + f"knowledge {about['knowledge']} {about['digest']}"
    )
