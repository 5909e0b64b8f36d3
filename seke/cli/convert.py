"""The command `seke convert`: parse, call, print."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message

if TYPE_CHECKING:
    from pathlib import Path

    from seke.formats.convert import Converted


def _names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the names of a list with commas."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


@click.command(short_help="Make samples of other tools' tables.")
@click.argument("format_name", metavar="FORMAT")
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True, type=options.PATH)
@options.group(
    options.output("The samples to write: .jsonl or .jsonl.gz.", metavar="SAMPLES", required=True),
    click.option(
        "--observer", default="", metavar="NAME", help="Whose answers they are.  [default: the format's]"
    ),
    click.option(
        "--item",
        default="",
        metavar="COLUMN",
        help="The column that names the picture, where it is none that the format knows.",
    ),
    click.option(
        "--every",
        type=options.COUNT,
        default=1,
        metavar="N",
        help="Only the frames 1, 1 + N, 1 + 2 N, ... of each video.",
    ),
    click.option(
        "--frames",
        type=options.OneOf(["views", "items"]),
        default="views",
        show_default=True,
        help="Frames are views of one item, the video, or items of their own.",
    ),
    click.option(
        "--faces",
        type=options.OneOf(["largest", "each"]),
        default="largest",
        show_default=True,
        help="Of several faces in a frame the largest counts (the surest, where no size is known), or each "
        "is an item.",
    ),
    click.option(
        "--softmax", is_flag=True, help="The columns of classes are logits; make probabilities of them."
    ),
    click.option(
        "--labels", callback=_names, metavar="NAMES", help="OpenFace 3: which class each column is, in order."
    ),
    click.option(
        "--au-order",
        callback=_names,
        metavar="NAMES",
        help="OpenFace 3: which unit each column is, in order.",
    ),
    options.knowledge(),
    options.json(),
)
def convert(format_name: str, tables: tuple[Path, ...], output: Path, *, as_json: bool, **given: Any) -> None:
    """Make samples of other tools' tables: detectors, networks, blendshapes.

    FORMAT is affdex, arkit, blendshapes, classes, deepface, facereader, facet, libreface, openface, openface3
    or pyfeat; auto, which goes by the columns; or the path of a YAML file of your own that declares them.
    Rows without a face become samples that are not judged. Percentages, odds and intensities become
    probabilities; what they are worth, the observers of the base say, and seke calibrate learns.

    \b
    Examples:
      seke convert openface processed/*.csv -o openface.jsonl
      seke convert auto faces.csv -o samples.jsonl
      seke convert openface3 rows.csv --au-order AU1,AU2,AU4,AU6,AU9,AU12,AU25,AU26 \\
        --labels neutral,happiness,sadness,surprise,fear,disgust,anger,contempt -o samples.jsonl

    Exit status: 0 done, 2 bad input.
    """
    from seke.formats.convert import AUTO
    from seke.formats.convert import convert as convert_tables

    with exit_on_errors(as_json=as_json):
        orders = {"labels": given.pop("labels"), "au_order": given.pop("au_order")}
        converted = convert_tables(format_name, tables, output, orders=orders, **given)
        print_message(_summary(converted, recognised=format_name == AUTO))
        if as_json:
            print_json(asdict(converted))


def _summary(converted: Converted, *, recognised: bool) -> str:
    lines = [f"the columns are those of format {converted.format}"] if recognised else []
    lines.append(
        f"{converted.output}: {converted.samples:,} samples of {converted.items:,} items by observer "
        f"{converted.observer}"
    )
    if converted.not_judged:
        lines.append(f"  not judged: {converted.not_judged:,} samples, of rows without a face")
    lines += [f"  left out: {count:,} {reason}" for reason, count in converted.left_out.items()]
    lines += [f"  {note}" for note in converted.notes]
    return "\n".join(lines)
