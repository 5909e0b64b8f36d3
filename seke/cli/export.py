"""`seke export`: parse, call, print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message, print_text, print_warnings
from seke.exporting.instruction_texts import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seke.exporting.export import Exported

FORMATS = ("messages", "trl", "llava", "imagefolder", "parquet")


@click.command(short_help="Make training data of what a run accepted.")
@click.argument("run", metavar="RUN", type=options.PATH)
@options.output("The folder to create; it must be empty or not exist.", metavar="DIR", required=True)
@click.option(
    "-f",
    "--format",
    "formats",
    multiple=True,
    type=options.OneOf(FORMATS),
    help="Format of the data; may be given again.  [default: messages]",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=options.OneOf(TASKS),
    help="What is asked about each picture; may be given again; compare asks about two.  [default: "
    "expression, affect, action_units]",
)
@click.option("--soft", is_flag=True, help="Answers state probabilities and intervals.")
@click.option(
    "--language",
    default="en",
    show_default=True,
    metavar="NAME",
    help="Language of the instructions: en or de.",
)
@options.path(
    "--templates",
    "Your own wording (YAML), which replaces parts of that of the language; may be given again.",
    multiple=True,
)
@options.knowledge_inferred_with()
@click.option(
    "--images",
    multiple=True,
    metavar="MANIFEST",
    help="For records: their pictures, as seke annotate takes them (manifest, folder or pattern), by the "
    "name of the item; may be given again.",
)
@click.option(
    "--samples",
    multiple=True,
    metavar="FILE",
    help="For records: the samples that they were made of, which say who was asked what; may be given "
    "again.  [default: those of the folder of shards]",
)
@options.population("the run's or folder's, or the base's usual one")
@click.option(
    "--group",
    type=options.OneOf(["group", "source", "item"]),
    default="group",
    show_default=True,
    help="Column of the manifest; items with the same value stay in one split. item: every item by itself.",
)
@click.option(
    "--split",
    default="train:1",
    show_default=True,
    metavar="SHARES",
    help=(
        "Splits with their shares, such as train:.8,val:.1,test:.1. Expressions are split so, too, as "
        "far as groups allow; a line says where they are not."
    ),
)
@click.option(
    "--balance",
    type=click.FloatRange(min=1),
    metavar="RATIO",
    help="Keep at most RATIO times as many items of an expression as the rarest one has.",
)
@click.option(
    "--near-duplicates",
    type=options.OneOf(["copies", "similar", "no"]),
    help="Which near-duplicates (see seke dupes) stay in one split, with their groups; a line says where "
    "others do not.  [default: copies, with the extra `images`]",
)
@options.seed()
@click.option("--copy-images", is_flag=True, help="Copy the pictures; needs the licence of every source.")
@click.option(
    "--licence", default="", metavar="TEXT", help="Licence of the pictures whose source is not in --sources."
)
@options.path(
    "--sources",
    "CSV with the terms of each source: source, licence, and any of url, note, copy (yes or no), and consent "
    "(what the people pictured agreed to, in words).",
    metavar="TABLE",
)
@options.path(
    "--votes",
    "Table of people's readings (item, expression and, where it has them, votes): tells pictures that are "
    "ambiguous for people from those that the model could not tell.",
    metavar="TABLE",
)
@click.option(
    "--uncalibrated",
    is_flag=True,
    help="Also export values that rest on uncalibrated numbers.",
)
@click.option(
    "--allow-scripted",
    is_flag=True,
    help="Also export a run with made-up answers (--scripted), whose labels say nothing about its pictures.",
)
@click.option(
    "--undecided",
    is_flag=True,
    help="Also export, with --task expression, faces whose expression was looked at and not accepted: "
    "answers name what it may be, and the column soft has all probabilities.",
)
@click.option("--inferred", is_flag=True, help="Also export values that no observer looked at.")
@options.rewriting()
@click.option("--verify", is_flag=True, help="Read the export back with datasets and TRL (extra `export`).")
@options.json()
def export(run: Path, output: Path, as_json: bool, rewrite: str, **given: Any) -> None:
    """Export what the run in RUN accepted, as data to train vision-language models on.

    Only accepted values are exported, and only those that rest on a calibration, a certificate or people.
    Other accepted values rest on reliabilities that nobody has measured; --uncalibrated exports them, too.
    Without that option and without a calibration (seke calibrate) there is nothing to export. A run with
    made-up answers (--scripted) is exported with --allow-scripted only. Pictures are referred to by path;
    --copy-images copies them. The folder gets a data card (README.md) and Croissant metadata
    (croissant.json). It is written completely or not at all. One person in several splits is refused.

    RUN may be records of seke infer, too: a file, or the folder of --engine ray, with their pictures
    (--images) and samples (--samples). Who answered stays unknown then, and the card says so.

    With --rewrite a language model puts texts into other words. Each rewording is read back; where units,
    numbers, expressions, strength, doubt or denials are not the same, it is dropped. You may stop the command
    at any time: what was paid is kept, and neither this export nor another one pays for it again.

    \b
    Examples:
      seke export run -o data --format messages --format parquet
      seke export run -o data --uncalibrated
      seke export run -o data --split train:.8,test:.2 --near-duplicates similar
      seke export run -o data --format trl --task reasoned --soft --split train:.8,val:.1,test:.1
      seke export run -o data --format parquet --copy-images --sources sources.csv
      seke export run -o data --task reasoned --task check --task compare --task conversation
      seke export run -o data --task reasoned --rewrite gpt-4o-mini --max-cost 2 --price-in .15 --price-out .6
      seke export records -o data --images pictures/manifest.jsonl --uncalibrated
      seke export posteriors.jsonl -o data --images pictures --samples samples.jsonl --format parquet
      seke export run -o data --format imagefolder --copy-images --licence "CC BY 4.0" --verify

    Exit status: 0 done, 1 --verify found a difference, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        from seke.cli.rewriting import rewriter
        from seke.exporting.export import export as export_run

        model = rewriter(rewrite, given)
        given = {name: value for name, value in given.items() if value not in ((), None)}
        exported = export_run(run, output, rewrite=model, **given)
        _show(exported, as_json=as_json)
        if exported.verified is not None and exported.verified.faults:
            sys.exit(1)


def _show(exported: Exported, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print_json(asdict(exported))
    else:
        splits = ", ".join(f"{name} {count:,}" for name, count in exported.splits.items())
        print_text(f"{exported.items:,} items ({splits})")
        for name, count in exported.rows.items():
            print_text(f"  {name}: {count:,} rows")
        print_text(
            "  values: " + ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in exported.levels.items())
        )
        if exported.left_out:
            print_text(
                "  left out: " + ", ".join(f"{name} {count:,}" for name, count in exported.left_out.items())
            )
        _show_texts(exported.facts.get("texts", {}))
        _show_rewording(exported.facts.get("rewording"))
        if exported.verified is not None and not exported.verified.faults:
            rows = ", ".join(f"{name} {count:,}" for name, count in exported.verified.rows.items())
            print_text(f"  read back by {', '.join(exported.verified.readers)}: {rows}")
        print(exported.folder)
    print_warnings(exported.warnings)
    for line in exported.verified.faults if exported.verified is not None else ():
        print_message(line)


def _show_texts(measures: Mapping[str, Any]) -> None:
    """Print how varied the texts of each task are, and what their wording gives away of the class."""
    for task, texts in measures.items():
        words, leak = texts["words"], texts["probe"]
        distinct = "/".join(_share(texts[f"distinct_{n}"]) for n in (1, 2, 3))
        line = f"  texts of {task}: {texts['rows']:,} rows, {texts['duplicates']:.0%} duplicates"
        line += f", distinct-1/2/3 {distinct}, {words['mean']:g} words ({words['least']} to {words['most']})"
        if leak is not None:
            line += f"; class told from wording {leak['recall']:.2f}, chance {leak['chance']:.2f}"
        print_text(line)


def _show_rewording(rewording: Mapping[str, Any] | None) -> None:
    """Print how many texts were reworded, and why the others were not."""
    if not rewording:
        return
    usd = "" if rewording["usd"] is None else f"; {rewording['usd']:.4f} USD so far for this run"
    shares = f"{rewording['reworded']:,} of {rewording['texts']:,} texts"
    print_text(f"  reworded by {rewording['model']}: {shares}{usd}")
    for reason, count in rewording["kept"].items():
        examples = rewording["examples"].get(reason, ())[:3]
        shown = f": {'; '.join(examples)}" if examples else ""
        print_text(f"    {count:,} kept as they were, {reason}{shown}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
