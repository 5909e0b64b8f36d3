"""The command `seke independence`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import (
    check_not_input,
    check_picture,
    format_of,
    on_terminal,
    print_json,
    print_message,
    print_warnings,
    table_console,
)
from seke.files.atomic import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from seke.calibration.independence import Independence


@click.command()
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@options.gold(required=True)
@options.knowledge()
@click.option(
    "--about",
    metavar="VARIABLE",
    help="A categorical or binary variable.  [default: the base's root, such as the expression]",
)
@options.groups()
@options.intervals()
@options.seed()
@options.output("Draw how often each pair of observers is wrong together: .svg, .png or .pdf.")
@options.json_on_terminal()
def independence(samples: tuple[str, ...], output: Path | None, as_json: bool, **given: Any) -> None:
    """Measure on items with gold how far observers err together.

    Compares two draws of one reading, two readings (questions, views) of one observer, and two observers, on
    the items that both answered. It shows how often both are wrong, how often they would be by chance (the
    product of the error rates), how often one is wrong when the other is, how often both then give the same
    answer, and phi, the correlation of the errors. The first answer of each reading counts: of a ranking its
    first place, of a distribution its likeliest answer. The answer of an observer is that of its first
    reading.

    These figures need no model. `declared` is what the base predicts (from `follows`, `carry`, `repeat` and
    the tables of its observers, without `halo`) with truths as frequent as in the gold. A mark `!` means that
    it lies outside the interval.

    n answers are worth n / (1 + (n - 1) rho) independent ones, with the mean phi as rho (Kish 1965). This is
    only a summary: inference uses what the base declares.

    Prints tables on a terminal, JSON elsewhere.

    \b
    Examples:
      seke independence samples.jsonl --gold gold.csv
      seke independence samples.jsonl --gold gold.csv --groups subject -o together.png
      seke independence samples.jsonl --gold gold.csv --about AU12 --json

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        check_picture(output)
        check_not_input(output, samples, "draw to another file")
        from seke.calibration.independence import independence as measured

        result = measured(list(samples), **given)
        if output is not None:
            write_file(result.draw(format_of(output)), output)
        if as_json or not on_terminal():
            print_json(result.facts)
        else:
            from seke.calibration.independence_table import show

            show(result, table_console())
        print_warnings(result.warnings)
        print_message(_summary(result))


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
