"""The commands of `seke import`: parse, call, print."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seke.datasets.import_set import Imported

EXAMPLES = {
    "ckplus": "seke import ckplus CK+ -o CK+/manifest.csv --neutral",
    "rafdb": "seke import rafdb basic -o basic/test.csv --only '*/test_*'",
    "affectnet": "seke import affectnet AffectNet -o AffectNet/validation.csv --only '*validation*'",
    "disfa": "seke import disfa DISFA -o DISFA/manifest.csv --pictures frames --every 20",
    "bp4d": "seke import bp4d BP4D -o BP4D/manifest.csv --every 25",
    "affwild2": "seke import affwild2 Aff-Wild2 -o Aff-Wild2/manifest.csv --every 30",
}
SETS = {
    "ckplus": (
        "CK+: FACS/ and Emotion/ beside cohn-kanade-images/; the last frame of each sequence.",
        ("neutral", "feab"),
    ),
    "rafdb": ("RAF-DB: EmoLabel/list_patition_label.txt beside Image/aligned/.", ()),
    "affectnet": (
        "AffectNet: Manually_Annotated_file_lists/*.csv, or annotations/*_exp.npy beside images/.",
        (),
    ),
    "disfa": (
        "DISFA: ActionUnit_Labels/SN001/SN001_au1.txt beside frames/SN001/1.jpg.",
        ("threshold", "every"),
    ),
    "bp4d": ("BP4D: AUCoding/AU_OCC/F001_T1.csv beside 2D+3D/F001/T1/0001.jpg.", ("every",)),
    "affwild2": (
        "Aff-Wild2: EXPR_Set/, VA_Set/, AU_Set/ beside cropped_aligned/VIDEO/00001.jpg.",
        ("every",),
    ),
}


class _SourceSets(click.Group):
    """The commands of the sets; a tool's name says where its tables are read."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from seke.formats.declaration import format_names

        if args and args[0] in format_names():
            arguments = " ".join(args[1:]) or "TABLE -o samples.jsonl"
            raise click.UsageError(
                f"tables of tools become samples, no manifest: seke convert {args[0]} {arguments}", ctx
            )
        return super().resolve_command(ctx, args)


@click.group(
    name="import", cls=_SourceSets, short_help="Make a manifest of a data set's labels and pictures."
)
def import_() -> None:
    """Make a manifest of a data set's labels and pictures, for seke annotate and seke bench.

    No data come with the program. The layouts were checked only against documentation and public programs, so
    look at the summary and at a few rows. The paths of a manifest stay within its own folder: write it into
    the set's folder or above it.

    \b
    Example:
      seke import rafdb basic -o basic/manifest.csv
    """


# Options that some sets have.
SET_OPTIONS = {
    "neutral": click.option(
        "--neutral",
        is_flag=True,
        help="Also take the first frame of each sequence, as neutral: a convention, not a label of the set.",
    ),
    "feab": click.option(
        "--feab",
        is_flag=True,
        help="Only what FEAB takes: the last frame of each sequence with one of seven emotions; a column "
        "`split` says train or test, by disjoint persons (--only test: only that part).",
    ),
    "threshold": click.option(
        "--threshold",
        type=click.IntRange(1, 5),
        default=2,
        show_default=True,
        help="Intensity from which a unit counts as active; one that differs from what prompts tell "
        "(briefing.intensity of the base) is noted.",
    ),
    "every": click.option(
        "--every",
        type=options.COUNT,
        default=1,
        metavar="N",
        help="Only the frames 1, 1 + N, 1 + 2 N, ... of each video.",
    ),
}


def _command(name: str) -> click.Command:
    text, of_set = SETS[name]
    parameters = options.group(
        click.argument("folder", metavar="DIR", type=options.PATH),
        options.output(
            "The manifest to write: .csv or .jsonl, both also .gz.", metavar="MANIFEST", required=True
        ),
        click.option(
            "--pictures",
            default="",
            metavar="FOLDER",
            help="Folder of the pictures within DIR.  [default: the usual places]",
        ),
        click.option(
            "--only",
            default="",
            metavar="PATTERN",
            help="Only pictures whose path within DIR matches, or whose label file's path does.",
        ),
        *(SET_OPTIONS[option] for option in of_set),
        options.exact_csv(),
        options.knowledge(),
        options.json(),
    )
    help_text = f"{text}\n\n\b\nExample:\n  {EXAMPLES[name]}\n\nExit status: 0 done, 2 bad input."
    command = click.command(name, help=help_text, short_help=text.split(":")[0])
    return command(parameters(_callback(name)))


def _callback(name: str) -> Callable[..., None]:
    def run(folder: Path, output: Path, *, as_json: bool, **given: Any) -> None:
        from seke.datasets.import_set import import_set

        with exit_on_errors(as_json=as_json):
            imported = import_set(name, folder, output, **given)
            _tell(imported)
            if as_json:
                print_json(asdict(imported))

    return run


def _tell(imported: Imported) -> None:
    """Print on the standard error what was imported and what was left out."""
    groups = (
        f" of {imported.groups:,} groups" if imported.groups else "; the set does not tell whose they are"
    )
    lines = [f"{imported.manifest}: {imported.items:,} pictures{groups}"]
    for variable, count in imported.labelled.items():
        active = f", active in {imported.active[variable]:,}" if variable in imported.active else ""
        lines.append(f"  {variable}: {count:,}{active}")
    lines += [f"  {note}" for note in imported.notes]
    for reason, count in imported.left_out.items():
        examples = ", ".join(imported.examples[reason])
        lines.append(f"  left out: {count:,} {reason}, such as {examples}")
    print_message("\n".join(lines))


@import_.command(short_help="Pictures in archives: WebDataset's tars, Hugging Face's parquet.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@options.output("The new folder of the pictures and their manifest.", metavar="DIR", required=True)
@click.option(
    "--classes",
    default="",
    metavar="NAMES",
    help="Names of the classes that stand as numbers, from 0, with commas between them. Parquet files of "
    "Hugging Face have their own.",
)
@options.knowledge()
@options.json()
def packed(
    sources: tuple[str, ...], output: Path, classes: str, knowledge: str | None, as_json: bool
) -> None:
    """Unpack the pictures of archives into a new folder, with a manifest for seke annotate and seke bench.

    SOURCE: tars of WebDataset (key.jpg beside key.json or key.cls), parquet files with a column of pictures
    as Hugging Face writes them ({bytes, path}), or folders of these; also at addresses such as
    s3://bucket/faces, where a folder of pictures serves, too. They are read as streams. Labels are
    taken of what stands beside a picture: `cls`, `label` or `class`, and fields that are variables of the
    base, `group`, `source` or the face's box. Items are called ARCHIVE/KEY.

    \b
    Examples:
      seke import packed faces-{000..031}.tar -o faces
      seke import packed s3://bucket/faces -o faces
      seke import packed downloads/fer -o faces --classes angry,disgust,fear,happy,sad,surprise,neutral
      seke annotate faces/manifest.jsonl --run run --model gpt-4o --dry-run

    Exit status: 0 done, 2 bad input.
    """
    from seke.datasets.packed_pictures import unpack

    with exit_on_errors(as_json=as_json):
        names = [name.strip() for name in classes.split(",")] if classes else []
        unpacked = unpack(sources, output, knowledge=knowledge, classes=names)
        lines = [f"{unpacked.manifest}: {unpacked.items:,} pictures, {unpacked.labelled:,} with a class"]
        lines += [f"  left out: {count:,} {reason}" for reason, count in unpacked.left_out.items()]
        unknown = sorted(unpacked.unknown.items(), key=lambda entry: -entry[1])
        lines += [f"  no class of the base: {text!r} ({count:,} pictures)" for text, count in unknown[:5]]
        print_message("\n".join(lines))
        if as_json:
            print_json(asdict(unpacked))


for _name in SETS:
    import_.add_command(_command(_name))
