"""The command `seke knowledge test`: parse, call, print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_result
from seke.files.atomic import check_target, write_file
from seke.progress import task

if TYPE_CHECKING:
    from pathlib import Path

    from seke.knowledge_tools.table_verdicts import TableVerdicts


@click.command(short_help="Test the numbers of a base on label tables.")
@click.argument("tables", nargs=-1, metavar="[TABLE...]")
@options.knowledge()
@click.option(
    "--threshold", type=float, metavar="N", help="Cells of units are intensities; present from N on."
)
@click.option(
    "--blank",
    type=options.OneOf(["absent", "unknown"]),
    help="What a blank cell of a unit means, where only some of its column are blank.",
)
@click.option(
    "--cluster", default="", metavar="COLUMN", help="Column of persons; intervals and folds keep them whole."
)
@click.option(
    "--by", default="", metavar="COLUMN", help="Also test the items in parts, by the cells of a column."
)
@options.population("none, and base rates are not tested")
@click.option(
    "--population-column",
    default="",
    metavar="COLUMN",
    help="Column with the population of the base that each item is from; each is also tested apart.",
)
@click.option(
    "--leave-one-out",
    is_flag=True,
    help="Also compile the base without each rule and coupling, to see what it is worth (about ten seconds).",
)
@options.path("--propose", "Write an overlay that corrects what the tables contradict.", metavar="FILE")
@click.option(
    "--samples", multiple=True, metavar="FILE", help="With --propose: samples whose decisions are compared."
)
@options.path("--html", "Write the results as one page with pictures.", metavar="PAGE")
@click.option("--strict", is_flag=True, help="Fail (exit status 1) if a number is contradicted.")
@options.seed("folds and resamples")
@options.json()
def test(tables: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Test a base on label tables: which of its numbers the data back, and which they contradict.

    TABLE is CSV, JSON Lines or parquet, with the columns `item` and any variables of the base. Every rule,
    coupling, cell and moment is compared with what the table has, and the expression told from units is
    scored beside models fitted on the same table. The verdicts: backed (the observed interval holds the
    number), allowed (it meets the range that the number's strength leaves open), contradicted (the two do not
    meet), too few, not in the table, not tested.

    Without TABLE, the expectations in the base's folder `tests` are tested: examples of what should follow
    from what.

    \b
    Examples:
      seke knowledge test
      seke knowledge test labels.csv --cluster person --html page.html
      seke knowledge test labels.csv --propose corrected.yaml --samples samples.jsonl

    Exit status: 0 done; 1 contradicted or failed under --strict; 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        if tables:
            contradicted = _test_tables(tables, as_json, **given)
            message = f"{contradicted} contradicted, which --strict does not allow"
        else:
            contradicted = _test_expectations(as_json, **given)
            message = f"{contradicted} failed, which --strict does not allow"
        if contradicted and given["strict"]:
            print_message(message)
            sys.exit(1)


# Options that need a table, and what they are when they are not given.
OF_TABLES = (
    *("threshold", "blank", "cluster", "by", "population", "population_column", "leave_one_out"),
    *("propose", "samples", "html"),
)


def _test_expectations(as_json: bool, knowledge: str | None, **given: Any) -> int:
    """Print the results of the base's expectations; return how many fail."""
    from engine import SekeError
    from seke.knowledge_tools.expectation_report import knowledge_expectations

    needless = [name for name in OF_TABLES if given[name] not in (None, "", False, ())]
    if needless:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in needless)
        raise SekeError(f"{named}: goes with a TABLE")
    report = knowledge_expectations(knowledge)
    print_result(report.facts, report, as_json=as_json)
    return report.failed


def _test_tables(tables: tuple[str, ...], as_json: bool, knowledge: str | None, **given: Any) -> int:
    """Print the results on tables, write what was asked for, and return how many numbers are contradicted."""
    from engine import SekeError
    from seke.knowledge_tools.table_verdicts import knowledge_test
    from seke.knowledge_tools.tested_tables import TableReading

    if given["samples"] and given["propose"] is None:
        raise SekeError("--samples goes with --propose")
    for output, ends in ((given["html"], ()), (given["propose"], ("yaml", "yml"))):
        check_target(output, ends)
    names = ("threshold", "cluster", "by", "population_column")
    reading = TableReading(blank=given["blank"] or "", **{name: given[name] for name in names})
    with task("testing", unit="rules and couplings") as testing:
        result = knowledge_test(
            tables,
            knowledge,
            reading,
            population=given["population"],
            leave_one_out=given["leave_one_out"],
            seed=given["seed"],
            progress=testing.reach,
        )
    facts, text = dict(result.facts), str(result)
    if given["propose"] is not None:
        proposed, change = _propose(result, knowledge, given["propose"], given["samples"])
        facts["proposal"] = proposed
        text += f"\n\n{change}"
    if given["html"] is not None:
        from seke.knowledge_tools.table_verdicts_page import page

        write_file(page(result.facts).encode(), given["html"])
    print_result(facts, text, as_json=as_json)
    return result.contradicted


def _propose(
    result: TableVerdicts, knowledge: str | None, path: Path, samples: tuple[str, ...]
) -> tuple[dict[str, Any] | None, str]:
    """Write the proposal; return its facts and a text: what it changes, also in the decisions on samples."""
    from seke.console.plain_text import count
    from seke.knowledge_tools.diff import diff
    from seke.knowledge_tools.proposal import write_proposal

    if not result.contradicted:
        return None, "Nothing to propose: the tables contradict no number."
    proposal = write_proposal(result, knowledge, path)
    change = diff(result.base, proposal.base, samples or None)
    numbers = count(proposal.numbers, "number")
    head = f"Proposed in {path}: {numbers}. Read it, then: seke knowledge check {path}"
    return {"path": str(path), "numbers": proposal.numbers, "diff": change.facts}, f"{head}\n{change}"
