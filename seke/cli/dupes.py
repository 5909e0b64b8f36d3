"""The command `seke dupes`: parse, call, write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message
from seke.progress import task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seke.datasets.dupes import FoundDuplicates

# Clusters, items of a cluster, and unreadable pictures that are named one by one.
MOST_CLUSTERS, MOST_ITEMS, MOST_NAMED = 20, 6, 20


@click.command(short_help="List pictures that are copies or look alike.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@options.output("Write item, cluster and group of every picture: .csv, .jsonl or .parquet.")
@click.option("--copies", is_flag=True, help="Only copies are in one cluster, not what is similar.")
@options.knowledge()
@options.json()
@options.exact_csv()
def dupes(images: tuple[str, ...], output: Path | None, *, as_json: bool, **given: Any) -> None:
    """List near-duplicates among IMAGES (files, folders, patterns, manifests) in clusters; nothing is sent.

    Pictures are compared by the perceptual hash of ImageHash (pip install 'seke[images]'), their mirror
    images, too; the boxes of a manifest cut out the face. Similar pictures differ in at most 60 of 256 bits:
    copies that were recompressed, resized, brightened, mirrored, turned by 2 degrees or cropped around the
    middle, and frames of a burst. Copies are those that differ nowhere, once brightness and contrast are made
    alike. The hash does not see expressions: drawings of one face with other action units are similar, all
    4,792 pairs tried, and so may be photographs of one person in one studio; of 4,950 pairs of photographed
    faces none was. Crops to a corner are missed.

    The table of -o has each item's cluster, named after its first item, and in `group` the persons of a
    manifest put together with the clusters: a column of groups for a manifest or for gold (--groups). A
    picture that cannot be read is named, and the others go on; of one without contrast nothing is said.

    \b
    Examples:
      seke dupes faces/ -o clusters.csv
      seke dupes faces.csv --copies --json

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        _dupes(images, output, given, as_json=as_json)


def _dupes(images: Sequence[str], output: Path | None, given: dict[str, Any], *, as_json: bool) -> None:
    from seke.datasets.dupes import find_duplicates
    from seke.datasets.manifest import items_of
    from seke.files.shipped import knowledge
    from seke.tables.record_writer import Writer

    writer = None if output is None else Writer(output, exact=given["exact_csv"])
    items = items_of(images, knowledge(given["knowledge"]))
    with task("reading pictures", total=len(items), unit="pictures") as reading, task("comparing") as lists:
        duplicates = find_duplicates(items, copies=given["copies"], read=reading, compared=lists)
    if writer is not None:
        with writer:
            writer.write(list(duplicates.rows()))
    if as_json:
        print_json(duplicates.facts())
    else:
        _show(duplicates)
    _tell(duplicates, output)


def _show(duplicates: FoundDuplicates) -> None:
    """Print the clusters, the largest first."""
    from seke.console.plain_text import first_names
    from seke.console.terminal import printable

    clusters = sorted(duplicates.clusters, key=len, reverse=True)
    for members in clusters[:MOST_CLUSTERS]:
        kind = "copies" if duplicates.are_copies(members) else "similar"
        names = first_names([duplicates.label(row) for row in members], MOST_ITEMS)
        print(printable(f"{len(members):6,} {kind:8} {names}"))
    if len(clusters) > MOST_CLUSTERS:
        print(f"       ... and {len(clusters) - MOST_CLUSTERS:,} more clusters")
    print(duplicates.summary())


def _tell(duplicates: FoundDuplicates, output: Path | None) -> None:
    """Print on the standard error what was left out, and what to do with the table."""
    from seke.console.plain_text import count

    if duplicates.across_groups:
        print_message(
            f"warning: {count(duplicates.across_groups, 'cluster')} with pictures of several groups; `group` "
            "puts them together"
        )
    if duplicates.flat:
        print_message(f"{count(len(duplicates.flat), 'picture')} without contrast: not compared")
    if duplicates.problems:
        print_message(f"{count(len(duplicates.problems), 'picture')} could not be read:")
    for _, problem in duplicates.problems[:MOST_NAMED]:
        print_message(f"  {problem}")
    if len(duplicates.problems) > MOST_NAMED:
        print_message(f"  ... and {len(duplicates.problems) - MOST_NAMED:,} more")
    if output is not None:
        print_message(f"{output} written; its column `group` is one for a manifest, or for --groups")
