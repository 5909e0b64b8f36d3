"""The commands of `seke knowledge`: parse, call, print."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.knowledge_play import play
from seke.cli.knowledge_tests import test
from seke.cli.output import format_of, print_file, print_json, print_message, print_result, print_text
from seke.files.atomic import check_target, write_file
from seke.progress import task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import Knowledge

# Warnings printed; --json has all.
MOST_WARNINGS = 50


@click.group()
def knowledge() -> None:
    """Check, show, compare and write knowledge bases.

    A base is a folder of YAML files, or one file such as an overlay. The default is the shipped base.

    \b
    Examples:
      seke knowledge check my_overlay.yaml
      seke knowledge show AU12
      seke knowledge new my-study
    """


@knowledge.command(short_help="Check a base: its faults, or how it compiles.")
@click.argument("base", required=False, metavar="[BASE]")
@click.option(
    "--strict",
    is_flag=True,
    help="Fail (exit status 1) on any warning, and on any confidence that is not met.",
)
@options.json()
def check(base: str | None, strict: bool, as_json: bool) -> None:
    """Check a base: print its faults, or, without faults, how it compiles.

    All faults are listed together, each with file, line, column and the line itself. Without faults it prints
    the declared numbers against the compiled ones, the rules with the confidences that are possible, the
    states that are hardest to tell apart, and the size and speed of the network. Warnings go to the standard
    error.

    For each rule: P(if); the declared confidence; P(then|if) in the compiled network; the values that are
    possible with the tables alone; its weight (the log-odds by which it favours its `then`, at most 8; below
    0 it speaks against it); and whether it is met, unmet, or decided by the tables.

    \b
    Examples:
      seke knowledge check
      seke knowledge check my_overlay.yaml --strict

    Exit status: 0 sound, 1 warnings under --strict, 2 faults.
    """
    from seke.console.plain_text import count, fault_with_line
    from seke.knowledge_tools.check import check as check_base

    with _migration_hint(base), exit_on_errors(as_json=as_json):
        report = check_base(base)
        if as_json:
            print_json({"faults": [], **report.facts})
        else:
            print(report)
            for warning in report.warnings[:MOST_WARNINGS]:
                print_message(fault_with_line(warning, "warning: "))
            if len(report.warnings) > MOST_WARNINGS:
                unlisted = len(report.warnings) - MOST_WARNINGS
                print_message(f"... and {unlisted:,} more warnings; --json has all")
        if strict and not report.strict:
            print_message(f"{count(len(report.warnings), 'warning')}, which --strict does not allow")
            sys.exit(1)


@contextmanager
def _migration_hint(base: str | None) -> Iterator[None]:
    """Print at the end, with or without faults, how to migrate a base of an earlier version."""
    from seke.knowledge_tools.migrate import hint

    faulty = False
    try:
        yield
    except SystemExit as error:
        faulty = error.code == 2
        raise
    finally:
        for line in hint(base, faulty=faulty).splitlines():
            print_message(line)


@knowledge.command()
@click.argument("name", required=False, metavar="[NAME]")
@options.knowledge()
@options.json()
def show(name: str | None, knowledge: str | None, as_json: bool) -> None:
    """Show what a base says about NAME; without NAME, an overview.

    NAME is a variable, an expression, a rule, coupling, observer, question, source, population, level or
    word, `policy`, or a path such as rules.NAME. Every number is shown with its source and its place in the
    YAML; so are numbers that an overlay replaced.

    \b
    Examples:
      seke knowledge show
      seke knowledge show AU12
      seke knowledge show fear -k my_overlay.yaml
    """
    from seke.knowledge_tools.show import show as describe

    with exit_on_errors(as_json=as_json):
        description = describe(name, knowledge)
        print_result(description.facts, description, as_json=as_json)


@knowledge.command(short_help="Show what changed in meaning from one base to another.")
@click.argument("old", metavar="A")
@click.argument("new", required=False, metavar="[B]")
@click.option("--rev", metavar="REVISION", help="Compare A now with A at a revision of its git repository.")
@click.option(
    "--samples", multiple=True, metavar="FILE", help="Samples to infer with both bases; may be given again."
)
@options.population()
@options.json()
def diff(
    old: str,
    new: str | None,
    rev: str | None,
    samples: tuple[str, ...],
    population: str | None,
    as_json: bool,
) -> None:
    """Show what changed in meaning from base A to base B, and the effects.

    `shipped` is the shipped base. A different notation with the same meaning is not a change. With --samples
    it shows which decisions and posteriors change, the largest first, and which changes cause that.

    \b
    Examples:
      seke knowledge diff shipped my_overlay.yaml
      seke knowledge diff shipped seke-demo/overlay.yaml --samples seke-demo/samples.jsonl
      seke knowledge diff knowledge --rev HEAD~1

    Exit status: 0 done, whether there are changes or not; 2 faults.
    """
    from engine import SekeError
    from seke.knowledge_tools.diff import at_revision
    from seke.knowledge_tools.diff import diff as compare_bases

    with exit_on_errors(as_json=as_json):
        if (new is None) == (rev is None):
            raise SekeError("name either a second base or --rev REVISION")
        if rev is None:
            comparison, folder = compare_bases(old, new, samples or None, population=population), ""
        else:
            with at_revision(old, rev) as (then, folder):
                comparison = compare_bases(then, old, samples or None, population=population)
        text = json.dumps(comparison.facts, ensure_ascii=False) if as_json else str(comparison)
        print(text.replace(f"{folder}/", f"{rev}:") if rev else text)


def _deliver(text: str, output: Path | None) -> None:
    """Print a text, or write it to a file."""
    if output is None:
        print_text(text)
    else:
        write_file(text.encode(), output)


def _base_beside(output: Path | None, name: str | None) -> Knowledge:
    """Return a base, unless it was read from the output or from a folder that would be read with it."""
    from engine import SekeError, declared_of
    from seke.files.shipped import knowledge as read_knowledge

    check_target(output)
    base = read_knowledge(name)
    if output is None:
        return base
    files = [Path(file).resolve() for file in declared_of(base).files]
    if output.resolve() in files:
        raise SekeError(f"{output}: is a file of this base; name another")
    inside = any(folder.is_dir() and output.resolve().is_relative_to(folder) for folder in files)
    if inside and output.suffix in (".yaml", ".yml"):
        raise SekeError(f"{output}: lies in a folder of this base and would be read with it; name another")
    return base


def _text_output() -> options.Option:
    return options.output("Write to FILE instead of printing.")


@knowledge.command(short_help="Write the compiled network for other programs.")
@click.argument("form", metavar="FORMAT", type=options.OneOf(["bif", "xmlbif", "net"]))
@options.knowledge()
@options.population()
@_text_output()
def export(form: str, knowledge: str | None, population: str | None, output: Path | None) -> None:
    """Write the compiled network for other programs: bif, xmlbif or net (Hugin).

    Couplings and rules become nodes that are observed to be true. A comment at the head of the file lists
    this evidence; with it, pgmpy and pyAgrum compute the same posteriors as seke, without it they do not. For
    pyAgrum an xmlbif file must end in .bifxml.

    \b
    Example:
      seke knowledge export bif -o faces.bif
    """
    from engine import SekeError, did_you_mean, exported
    from seke.files.networks import network_of

    with exit_on_errors():
        base = _base_beside(output, knowledge)
        if population is not None and population not in base.populations:
            raise SekeError(
                f"no population is called {population!r}{did_you_mean(population, base.populations)}"
            )
        network, title = network_of(base), f"{base.name} {base.digest}"
        _deliver(exported(network, title, form, population), output)  # type: ignore[arg-type]


@knowledge.command(short_help="Write a base with all that it extends as one file.")
@click.argument("base", required=False, metavar="[BASE]")
@_text_output()
def resolve(base: str | None, output: Path | None) -> None:
    """Write a base with everything it extends as one file, which compiles to the same network.

    \b
    Example:
      seke knowledge resolve my_overlay.yaml -o whole.yaml
    """
    from engine import resolve as as_one_file

    with exit_on_errors():
        read = _base_beside(output, base)
        head = f"# {read.name} {read.digest}, with all that it extends as one file.\n"
        _deliver(head + as_one_file(read), output)


@knowledge.command(short_help="Rewrite an overlay of an earlier version.")
@click.argument("overlay", metavar="OVERLAY", type=options.PATH)
@options.output("Write to a new FILE; where OVERLAY is a folder, to a new folder.")
@click.option("--in-place", is_flag=True, help="Overwrite OVERLAY; the old text is kept as NAME.old.")
@options.json()
def migrate(overlay: Path, output: Path | None, in_place: bool, as_json: bool) -> None:
    """Rewrite an OVERLAY of an earlier version (a file or a folder) for this one.

    Only the parts that must change are edited; comments and order stay. A fitted `exponent` becomes 1.
    `policy.conflict` in bits becomes a probability. `certificates` are removed, and the command that
    certifies anew is printed. Tables, repeat, strength and kinds of reading keep their meaning. The changes
    are listed on the standard error; the new text of a single file goes to the standard output.

    \b
    Examples:
      seke knowledge migrate old.yaml
      seke knowledge migrate old.yaml -o new.yaml
      seke knowledge migrate my-study --in-place

    Exit status: 0 done, whether there was anything to change or not; 2 faults.
    """
    from engine import SekeError
    from seke.knowledge_tools.migrate import migrate as rewrite

    with exit_on_errors(as_json=as_json):
        quiet = output is not None or in_place
        if overlay.is_dir() and not quiet:
            raise SekeError(f"{overlay}: is a folder; name a new one with -o, or --in-place")
        result = rewrite(overlay, output, in_place=in_place)
        if as_json:
            print_json(dict(result.facts) | ({} if quiet else {"text": result.texts[overlay]}))
        elif not quiet:
            print_file(result.texts[overlay])
        for line in str(result).splitlines():
            print_message(line)


@knowledge.command(short_help="Write the JSON Schema of the language, for editors.")
@options.knowledge()
@_text_output()
def schema(knowledge: str | None, output: Path | None) -> None:
    """Write the JSON Schema of the language, so that editors complete and check the YAML.

    Editors then offer the names of the base where they fit. Begin a YAML file with the line
    `# yaml-language-server: $schema=knowledge.schema.json`.

    \b
    Example:
      seke knowledge schema -o knowledge.schema.json
    """
    from engine import json_schema

    with exit_on_errors():
        base = _base_beside(output, knowledge)
        _deliver(json.dumps(json_schema(base), indent=1, ensure_ascii=False), output)


@knowledge.command(short_help="Begin an overlay of your own.")
@click.argument("folder", metavar="DIR", type=options.PATH)
@click.option(
    "--base", default="shipped", show_default=True, metavar="PATH", help="The base that it extends."
)
@click.option(
    "--from-csv",
    "table",
    metavar="FILE",
    type=options.PATH,
    help="Take P(action unit | expression) from a table with names in the first row and column.",
)
@click.option(
    "--n", type=click.FloatRange(0.1, 1e6), default=10, show_default=True, help="Strength of these numbers."
)
@click.option(
    "--cite",
    default="",
    metavar="TEXT",
    help="Source of the table; without it the numbers count as judgement.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 0.5),
    default=0.0,
    metavar="P",
    help="Move cells of the table below P to P, and cells above 1 - P to 1 - P.",
)
def new(folder: Path, base: str, table: Path | None, n: float, cite: str, margin: float) -> None:
    """Create the folder DIR with a commented overlay to start from, and a schema for your editor.

    \b
    Examples:
      seke knowledge new my-study
      seke knowledge new my-study --from-csv units.csv --cite "Doe J (2024), Table 2" --n 20
    """
    from engine import SekeError
    from seke.knowledge_tools.new import Matrix
    from seke.knowledge_tools.new import new as begin

    with exit_on_errors():
        if table is None and (cite or margin or n != 10):
            raise SekeError("--n, --cite and --margin go with --from-csv")
        for path in begin(folder, base, Matrix(table, n, cite, margin) if table else None):
            print(path)
        quoted = shlex.quote(str(folder))
        print_message(f"edit {quoted}/overlay.yaml, then: seke knowledge check {quoted}")


@knowledge.command(short_help="Draw the compiled network, or write it as a graph.")
@click.argument("base", required=False, metavar="[BASE]")
@options.output("Write to FILE: .svg .png .pdf .dot .graphml", required=True)
def graph(base: str | None, output: Path) -> None:
    """Draw the compiled network, or write it as a graph for other programs.

    The width of a pale line shows the mutual information with the root. Bent lines are couplings. Rules are
    numbered and listed below. Action units are in rows by the region of the face (`about: {region: ...}`).

    \b
    Example:
      seke knowledge graph -o faces.svg
    """
    from seke.knowledge_tools.graph import FORMS, graph_file

    with exit_on_errors():
        check_target(output, FORMS)
        write_file(graph_file(format_of(output), base), output)


@knowledge.command(short_help="Rank the numbers of a base by what they move.")
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@options.knowledge()
@click.option("--item", metavar="ITEM", help="Only for this item.  [default: all items]")
@click.option(
    "--about", metavar="VARIABLE", help="The variable whose decision is examined.  [default: the root]"
)
@click.option(
    "--section",
    "sections",
    multiple=True,
    metavar="NAME",
    help="Change only numbers of this section of the YAML, such as activations, or below a path in it, such "
    "as observers.human; may be given again.  [default: all]",
)
@options.population()
@options.json()
def sensitivity(samples: tuple[str, ...], knowledge: str | None, as_json: bool, **given: Any) -> None:
    """Rank the numbers of a base by how far they move the posteriors and decisions of SAMPLES.

    For each number it shows how much the probability of the decided value changes per 0.1 of the number, on
    average and at most, and how many items would become accepted, or no longer be, if the number moved within
    its plausible range. Each number is changed in the YAML, and everything is compiled and inferred again;
    this takes half a minute. With --item it also shows the value of the number at which the item would become
    accepted, or no longer be.

    \b
    Examples:
      seke knowledge sensitivity seke-demo/samples.jsonl
      seke knowledge sensitivity seke-demo/samples.jsonl --item afraid
      seke knowledge sensitivity seke-demo/samples.jsonl --section activations
    """
    from seke.knowledge_tools.sensitivity import sensitivity as rank_numbers

    with exit_on_errors(as_json=as_json):
        with task("changing each number", unit="numbers") as changing:
            sensitivities = rank_numbers(list(samples), knowledge, progress=changing.reach, **given)
        print_result(sensitivities.facts, sensitivities, as_json=as_json)


knowledge.add_command(play)
knowledge.add_command(test)
