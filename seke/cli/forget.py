"""`seke forget`: parse, call, print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message

if TYPE_CHECKING:
    from pathlib import Path

    from seke.release.forget import ForgetReport


@click.command(short_help="Take items or a person out of a run and its exports.")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@options.path("--run", "The folder of the run.", metavar="RUN", required=True)
@click.option(
    "--person",
    "groups",
    multiple=True,
    metavar="NAME",
    help="A person (column group): all items of that name; may be given again.",
)
@click.option(
    "--export",
    "exports",
    multiple=True,
    metavar="DIR",
    type=options.PATH,
    help="A folder of seke export that is rewritten, too; may be given again.",
)
@options.knowledge("The run's base, whose certificates may rest on the items")
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    metavar="PATH",
    help="Another overlay whose certificates may rest on the items; may be given again.",
)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would go; change nothing.")
@options.json()
def forget(
    items: tuple[str, ...],
    run: Path,
    groups: tuple[str, ...],
    exports: tuple[Path, ...],
    knowledge: str | None,
    overlays: tuple[str, ...],
    dry: bool,
    as_json: bool,
) -> None:
    """Take ITEMs, or all items of a person, out of a run and out of exports, for good.

    Rewritten are the ledger (answers, prompts about the items alone, names), all records and tables of the
    run and of its review, and every file of the exports that are named: rows, pictures, counts, card,
    Croissant metadata, digests. Other items stay as they are, in their splits. What was paid stays in the
    totals. The run keeps a salted digest of each name, so that `seke annotate` does not ask about the item
    again.

    Certificates of the overlays named with -k and --overlay that were made with an item fall, and are named.
    So is what names the item still, and what no command reaches, such as copies.

    A run that is in use is refused. If the command is interrupted, give it again: it ends what it began.

    \b
    Examples:
      seke forget face-17 --run run --dry-run
      seke forget face-17 face-18 --run run --export data -k sure.yaml
      seke forget --person "person 9" --run run --export data --export more-data

    Exit status: 0 done, 1 done but for what is named (certificates that fall, files to look at), 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        from seke.release.forget import forget as forget_items

        bases = (*((knowledge,) if knowledge else ()), *overlays)
        report = forget_items(items, run, groups=groups, exports=exports, knowledge=bases, dry=dry)
        _show(report, as_json=as_json)
        if not report.done:
            sys.exit(1)


def _show(report: ForgetReport, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print_json(asdict(report))
        return
    from seke.console.plain_text import count

    print(f"{'would forget' if report.dry else 'forgot'} {count(len(report.items), 'item')}")
    if report.known:
        print(f"  forgotten before: {count(len(report.known), 'item')}")
    for run in report.runs:
        print(f"  {run.folder}: {_rows(run.rows)}; ledger {count(run.answers, 'answer')}")
    for export in report.exports:
        print(f"  {export.folder}: {_rows(export.rows)}; {count(export.pictures, 'picture')} in it")
    for line in (*report.fallen, *report.unknown_certificates, *report.still):
        print_message(line)
    for line in report.out_of_reach:
        print_message(f"not reached: {line}")


def _rows(rows: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in rows.items()) or "no rows"
