"""The commands `seke plot` and `seke explain`: parse, call, write."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import check_picture, format_of, print_json, print_message, print_text, terminal_columns
from seke.files.atomic import PAGE, check_target, write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seke.graphics.shapes import Drawing

_UNIT = re.compile(r"([^=\s]+?)(?:=([-+.\deE]+))?")


def _picture_output() -> options.Option:
    return options.output("Write to FILE: .svg .png .pdf", required=True)


@click.group(short_help="Draw an item, scores, a base or a fit into a file.")
def plot() -> None:
    """Draw one item, scores, a base or a fit into a file (.svg, .png, .pdf).

    SOURCE is the folder of a run (`seke annotate`), a file of samples, or a file of posteriors
    (`seke infer -o`: .csv, .jsonl, both also .gz, or .parquet). Posteriors alone have less to draw.

    \b
    Examples:
      seke plot face --units AU6=0.9,AU12 -o smile.svg
      seke plot posterior seke-demo/samples.jsonl afraid -o afraid.png
    """


@plot.command()
@click.argument("source", required=False, metavar="[SOURCE]")
@click.argument("item", required=False, metavar="[ITEM]")
@click.option(
    "--units", metavar="LIST", help="Draw these action units instead, with their probabilities: AU6=0.9,AU12"
)
@options.knowledge_inferred_with()
@options.run_population()
@_picture_output()
def face(source: str | None, item: str | None, units: str | None, output: Path, **given: Any) -> None:
    """Draw a schematic face from the posteriors of action units.

    Each unit moves its landmarks as FACS describes, in proportion to its probability. Unknown units are at
    rest.

    \b
    Examples:
      seke plot face seke-demo/samples.jsonl afraid -o afraid.svg
      seke plot face --units AU1,AU4=0.8,AU15 -o sad.png
    """
    from engine import SekeError

    with exit_on_errors():
        check_picture(output, svg_by_itself=True)
        if units is not None and source is None:
            from seke.graphics.face import face as draw

            _write(draw(_units(units)), output)
        elif units is None and source is not None and item is not None:
            _write_item("face", source, item, output, **given)
        else:
            raise SekeError("name either SOURCE and ITEM or --units")


def _item_command(name: str, words: str, summary: str) -> None:
    """Add a command that draws one picture of an item."""

    def command(source: str, item: str, output: Path, **given: Any) -> None:
        with exit_on_errors():
            check_picture(output, svg_by_itself=True)
            _write_item(name, source, item, output, **given)

    example = f"seke-demo/samples.jsonl afraid -o {name}.svg"
    command.__doc__ = f"{summary}\n\n{words}\n\n\b\nExample:\n  seke plot {name} {example}\n"
    parameters = options.group(
        click.argument("source", metavar="SOURCE"),
        click.argument("item", metavar="ITEM"),
        options.knowledge_inferred_with(),
        options.run_population(),
        _picture_output(),
    )
    plot.command(name)(parameters(command))


_item_command(
    "posterior",
    "From samples: the prior, the likelihood of each reading (scaled to a sum of 1), and the posterior.",
    "Draw the expression's probabilities.",
)
_item_command(
    "va",
    "Dots are answers. The highest-density regions come from the exact grid; for a file of posteriors, from "
    "a Gaussian with the same moments. Grey: where the base expects each expression.",
    "Draw the plane of valence and arousal.",
)
_item_command(
    "units",
    "Filled: accepted as present or absent. Ring: not accepted.",
    "Draw the action units with the decision about each.",
)
_item_command(
    "course",
    "Answers are in the order in which the run got them; those of sample files in the order of the files.",
    "Draw the expression's probabilities after each answer.",
)


@plot.command("risk-coverage", short_help="Draw how many values are wrong, of those accepted.")
@options.predictions_and_gold()
@options.knowledge_inferred_with()
@options.keep_gold_evidence()
@_picture_output()
def risk_coverage(predictions: tuple[str, ...], gold: str, output: Path, **given: Any) -> None:
    """Draw risk against coverage: the share of wrong values among the surest ones.

    The arguments are those of `seke bench score`.

    \b
    Example:
      seke plot risk-coverage posteriors.jsonl truth.csv -o risk.svg
    """
    with exit_on_errors():
        check_picture(output)
        from seke.benchmarking.plots import risk_coverage as draw

        _write(draw(_score_facts(predictions, gold, given)), output)


@plot.command(short_help="Draw stated probability against the share that is right.")
@click.argument("predictions", metavar="PREDICTIONS")
@click.argument("gold", metavar="GOLD")
@click.option(
    "--of",
    default="",
    metavar="VARIABLE",
    help="A variable, or `binary` for all binary ones.  [default: the expression]",
)
@options.bins()
@options.knowledge_inferred_with()
@options.keep_gold_evidence()
@_picture_output()
def reliability(predictions: str, gold: str, of: str, output: Path, **given: Any) -> None:
    """Draw a reliability diagram: stated probability against observed frequency.

    \b
    Examples:
      seke plot reliability posteriors.jsonl truth.csv -o reliability.svg
      seke plot reliability posteriors.jsonl truth.csv --of binary -o units.png
    """
    with exit_on_errors():
        check_picture(output)
        from seke.benchmarking.plots import reliability as draw

        _write(draw(_score_facts(predictions, gold, given), of), output)


def _score_facts(predictions: str | tuple[str, ...], gold: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return scores without intervals, and print which values are left out; given: options of the score."""
    from seke.benchmarking.score import score
    from seke.benchmarking.text import left_out_text

    facts = score(predictions, gold, given.pop("knowledge"), bootstrap=0, **given).facts
    for card in facts["predictions"]:
        if message := left_out_text(card):
            print_message(message)
    return facts


@plot.command(short_help="Draw the compiled network of a base.")
@click.argument("base", required=False, metavar="[BASE]")
@_picture_output()
def network(base: str | None, output: Path) -> None:
    """Draw the compiled network of a base, as `seke knowledge graph` does.

    \b
    Example:
      seke plot network -o faces.svg
    """
    with exit_on_errors():
        check_picture(output)
        from seke.knowledge_tools.graph import graph_file

        write_file(graph_file(format_of(output), base), output)


@plot.command(short_help="Draw prior and posterior of a fit's parameters.")
@click.argument("trace", metavar="TRACE", type=options.PATH)
@_picture_output()
def fit(trace: Path, output: Path) -> None:
    """Draw prior and posterior of a fit's parameters that moved most, with 90 % intervals.

    TRACE is a file of `seke calibrate --trace`. In Python, ArviZ reads it and draws more.

    \b
    Example:
      seke plot fit t.nc -o fit.png
    """
    with exit_on_errors():
        check_picture(output)
        from seke import plot as figures

        _write(figures.fit(trace), output)


@click.command(short_help="Tell one item's story: why this label, and how it came.")
@click.argument("source", nargs=-1, metavar="[RUN|SAMPLES...]")
@click.argument("item", metavar="ITEM")
@options.knowledge_inferred_with()
@options.run_population()
@click.option(
    "--text",
    "as_text",
    is_flag=True,
    help="Print text; this is the default where no other output is asked for.",
)
@options.json("Print all facts as JSON, with what each answer changed.")
@options.path("--html", "Write one page that needs no other file and opens offline.")
@options.redact_images()
@options.path("--png", "Write all pictures on one sheet (also .svg, .pdf).")
@options.look_ahead_seed()
def explain(
    source: tuple[str, ...],
    item: str,
    as_text: bool,
    as_json: bool,
    html: Path | None,
    redact_images: bool,
    png: Path | None,
    **given: Any,
) -> None:
    """Tell one item's story: why this label, how each answer changed it, what would be asked next.

    For a run (the folder of `seke annotate`) the answers are in the order in which they came. The base must
    be the one of the run. The page shows the item's picture if the file is still there. For sample files the
    answers are in the order of the files; a folder of `seke infer --engine ray` stands for those that it was
    made of. In a study the run of seke.toml need not be named.

    \b
    Examples:
      seke explain seke-demo/samples.jsonl startled
      seke explain run at-rest --html at-rest.html --png at-rest.png

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        from seke.console.extras import check_installed
        from seke.explanations.figures import facts_of_story, sheet
        from seke.explanations.story import story_of
        from seke.explanations.text import render
        from seke.files.shipped import knowledge

        check_target(html, PAGE)
        check_picture(png, svg_by_itself=True)
        source = _story_sources(source, item)
        if png is not None:
            _check_not_picture(Path(source[0]), item, png)
        base = knowledge(given.pop("knowledge"))
        # Regions of two numbers are drawn by it, after all facts, which take long.
        if (html or png) and len(base.intervals) == 2:
            check_installed("contourpy")
        story = story_of(source, item, base, **given)
        if html is not None:
            from seke.explanations.html import page

            write_file(page(story, redact_image=redact_images).encode(), html)
        if png is not None:
            _write(sheet(story), png)
        if as_json:
            print_json(facts_of_story(story))
        if as_text or not (as_json or html or png):
            print_text(render(story.facts, terminal_columns()).rstrip())
        for path in (output for output in (html, png) if output is not None):
            print_message(path)


def _story_sources(source: tuple[str, ...], item: str) -> tuple[str, ...]:
    """Return the run or the sample files that a story is told from; refuse what it cannot be told from."""
    from engine import SekeError
    from seke.files.shard_folder import sample_files
    from seke.tables.record_reader import holds_posteriors

    if not source:
        example = f"seke explain RUN {shlex.quote(item)}"
        raise click.UsageError(f"name the run or the samples that {item!r} is an item of: {example}")
    source = tuple(sample_files(source))
    if any(not Path(path).is_dir() and holds_posteriors(path) for path in source):
        raise SekeError(f"{source[0]}: holds posteriors; a story is told from a run or from samples")
    return source


def _write_item(
    name: str, source: str, item: str, output: Path, knowledge: str | None, population: str | None
) -> None:
    from seke.explanations.story import story_of
    from seke.plot import picture

    _check_not_picture(Path(source), item, output)
    _write(picture(name, story_of(source, item, knowledge, population=population, with_facts=False)), output)


def _check_not_picture(run: Path, item: str, output: Path) -> None:
    """Refuse to overwrite a picture of the run."""
    from engine import SekeError
    from seke.runs.item_list import ITEMS, known_items

    known = known_items(run).get(item) if (run / ITEMS).is_file() else None
    if known is not None and output.resolve() == Path(known.path).resolve():
        raise SekeError(f"{output}: is the picture of {item!r}; write to another file")


def _write(drawing: Drawing | Figure, output: Path) -> None:
    from seke.graphics.style import picture_bytes

    write_file(picture_bytes(drawing, format_of(output)), output)


def _units(listing: str) -> dict[str, float]:
    """Return the probabilities of a list such as AU6=0.9,AU12.

    Raises:
        engine.SekeError: what is no such list.
    """
    from engine import SekeError, did_you_mean
    from seke.graphics.face import face_table

    probabilities = {}
    for part in filter(None, (part.strip() for part in listing.split(","))):
        match = _UNIT.fullmatch(part)
        name = match[1] if match else part
        if name not in face_table()["units"]:
            raise SekeError(
                f"--units: no action unit {name!r} is drawn{did_you_mean(name, face_table()['units'])}"
            )
        try:
            probabilities[name] = float(match[2] or 1) if match else 1.0
        except ValueError:
            raise SekeError(f"--units: {part}: a probability is a number between 0 and 1") from None
    return probabilities
