"""The command `seke report`: parse, call, write."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_warnings
from seke.files.atomic import PAGE, check_target

if TYPE_CHECKING:
    from pathlib import Path

# Where the page stands if nobody says.
PLAIN = "report.html"


@click.command(short_help="Write one page about a run, to view offline.")
@click.argument("source", metavar="RUN|POSTERIORS")
@options.output(f"Write the page to FILE (.html).  [default: {PLAIN}, where there is none yet]")
@options.knowledge_inferred_with()
@click.option(
    "--samples",
    metavar="FILE",
    multiple=True,
    help="The samples behind POSTERIORS; may be given again. A run has them already.",
)
@click.option(
    "--gold", metavar="TABLE", help="Label table: adds true risks, reliability and confusions with the truth."
)
@options.keep_gold_evidence()
@click.option("--compare", metavar="OTHER", help="Another run, or posteriors, of the same items.")
@click.option("--compare-knowledge", metavar="PATH", help="The base of OTHER.  [default: that of the first]")
@click.option(
    "--images",
    metavar="IMAGES",
    multiple=True,
    help="Pictures, folders or a manifest, as `seke annotate` takes them.  [default: those of the run]",
)
@options.redact_images()
@click.option(
    "--thumbnails",
    "most_thumbnails",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Most pictures on the page.",
)
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Also rank the numbers of the base by how far they move decisions (takes half a minute).",
)
@options.run_population()
def report(source: str, output: Path | None, **given: Any) -> None:
    """Write one page about a whole run, to view offline in a browser.

    The page shows the decisions and their cost, every item with its answers, the rules and numbers that the
    data contradict, and how the observers answered. RUN is the folder of `seke annotate`. POSTERIORS (`seke
    infer -o`) alone show less; name their --samples, too.

    If labels of a data set are among the answers and the gold tells the same values, what is compared with
    gold is inferred again without them. Without samples these values are not compared.

    \b
    Examples:
      seke report run
      seke report posteriors.jsonl --samples samples.jsonl --gold truth.csv -o report.html
      seke report run --compare other-run -o both.html

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        from seke.console.extras import check_installed

        output = output or _plain_target()
        check_target(output, PAGE)
        # The page draws the network, after everything has been inferred.
        check_installed("matplotlib")
        from seke.reports.report import report as build_report

        page = build_report(source, given.pop("knowledge"), **given)
        page.save(output)
        print_warnings(warning.message for warning in caught)
        size = len(page.html) / 1e6
        print_message(f"{output}: {page.items:,} items, {size:.1f} MB")


def _plain_target() -> Path:
    """Return the place of a page that nobody named: a file that is there may be of another run."""
    from pathlib import Path

    from engine import SekeError

    if Path(PLAIN).exists():
        raise SekeError(f"{PLAIN}: is there already; -o {PLAIN} writes it again, -o FILE.html another")
    return Path(PLAIN)
