"""The commands `seke runs`: parse, call, print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import options_of, print_message
from seke.cli.run_status import print_status, print_statuses

if TYPE_CHECKING:
    from pathlib import Path


@click.group(short_help="Join the runs of shards; show how far runs are.")
def runs() -> None:
    """Join the runs of shards into one, and show how far runs are.

    \b
    Examples:
      seke runs status shards/*
      seke runs merge shards/* -o run
    """


@runs.command(short_help="Show how far runs are, also while they are under way.")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=options.PATH)
@options.json()
def status(folders: tuple[Path, ...], as_json: bool) -> None:
    """Show the state of the run in DIR, or of several in one table with their sum; nothing is sent.

    Of one run it is what seke annotate --run DIR --status shows.

    \b
    Examples:
      seke runs status run
      seke runs status shards/*
    """
    with exit_on_errors(as_json=as_json):
        if len(folders) == 1:
            print_status(folders[0], as_json=as_json)
        else:
            print_statuses(folders, as_json=as_json)


@runs.command(short_help="Join runs, such as shards, into one run.")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=options.PATH)
@options.output("The new folder of the run.", metavar="OUT", required=True)
@options.knowledge("The base that the runs were begun with")
@click.option(
    "--answers",
    multiple=True,
    metavar="FILE",
    help="Samples from outside that the runs were given, such as those of people; may be given again.",
)
@click.option("--partial", is_flag=True, help="Join although shards are missing.")
@options.json()
def merge(
    folders: tuple[Path, ...],
    output: Path,
    knowledge: str | None,
    answers: tuple[str, ...],
    partial: bool,
    as_json: bool,
) -> None:
    """Join the runs in DIR..., such as the shards of a list, into one run in the new folder OUT.

    The answers of all ledgers are joined, and every item is decided anew on them, so that limits of means
    hold over all items: the records are those of one run with the same answers. The runs must have been begun
    alike (knowledge, model, settings, observers, policy); what differs is named. Shards that are missing are
    named, and joined without with --partial. Of an item that several runs have, the answers of the run with
    most of them count. The folders in DIR... stay as they are.

    OUT is a run like any other: seke report, export and calibrate take it, and seke annotate --run OUT goes
    on with it.

    \b
    Examples:
      seke runs merge shards/* -o run
      seke runs merge shards/* -o run --partial
      seke runs merge monday tuesday -o week -k posed.yaml --answers coder.jsonl

    Exit status: 0 done, 1 done, but the runs are not finished or a guarantee is
    refused, 2 bad input.
    """
    from seke.cli.run_conclusion import print_conclusion

    with exit_on_errors(as_json=as_json):
        from seke.annotation.merged_runs import merge_runs

        summary = merge_runs(
            folders,
            output,
            knowledge=knowledge,
            answers=answers or None,
            partial=partial,
            problems=print_message,
        )
        if print_conclusion(summary, output, options_of(knowledge=knowledge), as_json=as_json):
            sys.exit(1)
