"""The command `seke simulate`: parse, call, write."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import options_of, print_message, say_next
from seke.files import TABLE_FORMATS
from seke.progress import task

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@options.knowledge()
@click.option(
    "--items", type=options.COUNT, default=100, show_default=True, help="Number of simulated items."
)
@click.option("--draws", type=options.COUNT, default=5, show_default=True, help="Answers per reading.")
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="NAME",
    help="Observer that answers; may be given again.  [default: those that the policy asks]",
)
@click.option(
    "--question",
    "questions",
    multiple=True,
    metavar="NAME",
    help="Question that is asked; may be given again.  [default: all about several variables at once]",
)
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="NAME",
    help="View that is shown, each another reading; may be given again.  [default: face]",
)
@options.population()
@options.misfit()
@options.seed()
@options.output("Write the samples to FILE: .jsonl or .jsonl.gz.")
@options.path("--truth", f"Write the truth to FILE, a label table: {TABLE_FORMATS}.")
@options.exact_csv()
def simulate(output: Path | None, truth: Path | None, **given: Any) -> None:
    """Simulate items, their truth, and the answers of observers.

    The truth is drawn from the compiled base, and the answers from its observers as declared, so that you can
    try a policy or a fit before you pay for answers. The misfit options show what happens if the declared
    reliabilities are wrong; for a wrong prior, infer with another --population. The samples are printed as
    JSON Lines, or written with -o.

    \b
    Examples:
      seke simulate --items 500 --question joint -o samples.jsonl --truth truth.csv
      seke simulate --items 500 --halo 0.6 -o samples.jsonl && seke infer samples.jsonl

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors():
        _simulate(output, truth, given)


def _simulate(output: Path | None, truth: Path | None, given: dict[str, Any]) -> None:
    from engine import Misfit, SekeError
    from seke.sampling.simulate import simulate as made_up
    from seke.tables.record_writer import Writer

    if output is not None and not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise SekeError(f"{output}: samples are written as .jsonl or .jsonl.gz")
    if output is not None and truth is not None and output.resolve() == truth.resolve():
        raise SekeError(f"{output}: is named for both samples and truth; name two files")
    misfit = Misfit(*(given.pop(name) for name in ("independent", "halo", "drift")))
    items = samples = 0
    exact = given.pop("exact_csv")
    base = options_of(knowledge=given["knowledge"], population=given["population"])
    truth_file = Writer(truth, exact=exact) if truth else nullcontext()
    simulating = task("simulating", total=given["items"], unit="items")
    with Writer(output) as writer, truth_file as labels, simulating as simulated:
        for part in made_up(given.pop("knowledge"), given.pop("items"), misfit=misfit, **given):
            writer.write(part.samples)
            if labels is not None:
                labels.write(part.truth)
            items, samples = items + len(part.truth), samples + len(part.samples)
            simulated.advance(len(part.truth))
    print_message(f"{samples:,} samples of {items:,} items")
    if output is not None:
        say_next(["seke", "infer", output, *base], f"{output} written; ")
