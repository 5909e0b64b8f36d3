"""The commands `seke demo` and `seke init`: write what a user starts from, and say what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.infer import infer
from seke.cli.output import print_message


@click.command(short_help="Write samples, faces and a notebook to try things out.")
@click.argument("folder", metavar="[DIR]", default="seke-demo", type=options.PATH)
@click.pass_context
def demo(ctx: click.Context, folder: Path) -> None:
    """Write samples, drawn faces, an overlay and a notebook into DIR, infer the samples, and say what to try.

    DIR is seke-demo by default; it must be empty or not exist. Nothing is loaded from elsewhere, and no model
    is asked: the answers are made up, about eight drawn faces.

    \b
    Examples:
      seke demo
      seke demo ~/faces-demo
    """
    with exit_on_errors():
        from seke.start import demo as parts
        from seke.start.study_file import find_study_file

        observer = parts.write_demo(folder)["observer"]
        place = shlex.quote(str(folder))
        samples = f"{place}/{parts.SAMPLES}"
        print_message(
            f"{folder} has {parts.SAMPLES} (answers about {len(list((folder / parts.PICTURES).iterdir()))} "
            f"drawn faces), {parts.OVERLAY}, {parts.PICTURES}/, {parts.RECORDED}, {parts.NOTEBOOK}\n\n"
            f"  seke infer {samples}"
        )
        ctx.invoke(infer, samples=(str(folder / parts.SAMPLES),))
        overlay = f"{place}/{parts.OVERLAY}"
        run = f"{place}/run"
        _say_next(
            (
                "what changes with a limit of your own",
                f"seke knowledge diff shipped {overlay} --samples {samples}",
            ),
            (
                "pictures, asked about as long as it is worth it (recorded answers stand in for a model)",
                f"seke annotate {place}/{parts.PICTURES} --run {run} --recorded {place}/{parts.RECORDED} "
                f"--observer {observer}",
            ),
            (
                "a page about all of that run" + _needs("plots", "matplotlib"),
                f"seke report {run} -o {place}/report.html",
            ),
            ("the same in Python", f"jupyter lab {place}/{parts.NOTEBOOK}"),
            # Somebody in a study has one.
            *(() if find_study_file(Path.cwd()) else [("a study of your own", "seke init my-study")]),
        )


@click.command(short_help="Make a folder for a study, with a file of its options.")
@click.argument("folder", metavar="STUDY", type=options.PATH)
@options.knowledge("The base that the study's overlay is laid upon")
@options.population()
@click.option("--model", metavar="NAME", help="The model that the study asks, as its server calls it.")
@click.option(
    "--base-url",
    "base_urls",
    metavar="URL",
    multiple=True,
    help="Address of an OpenAI-compatible server; give it again for further servers of the same model.",
)
def init(folder: Path, knowledge: str | None, base_urls: tuple[str, ...], **chosen: str | None) -> None:
    """Make the folder STUDY with seke.toml, the file of its options, and an overlay for its knowledge.

    In this folder and below it commands take the options that seke.toml names, and say so. What is typed
    comes first, then environment variables, then seke.toml, then the defaults.

    \b
    Examples:
      seke init my-study
      seke init my-study -k posed --model qwen2.5-vl --base-url http://localhost:8000/v1
    """
    with exit_on_errors():
        from seke.start.new_study import write_study
        from seke.start.study_file import NAME

        addresses = base_urls[0] if len(base_urls) == 1 else list(base_urls)
        names = write_study(folder, knowledge or "shipped", base_url=addresses, **chosen)
        print_message(f"{folder} has {', '.join(names)}")
        _say_next(
            (f"go there: commands then take options from {NAME}", f"cd {shlex.quote(str(folder))}"),
            ("what the knowledge says, before and after you edit the overlay", "seke knowledge check"),
            (
                "try the way without a model: drawn faces, made-up answers, of which some are accepted",
                "seke demo tryout",
            ),
            (
                f"put pictures into faces/, name the model in {NAME}, and count the cost first",
                "seke annotate faces --dry-run",
            ),
        )


def _say_next(*steps: tuple[str, str]) -> None:
    """Print what to do next: what it is, and the command."""
    print_message("\nTry next")
    for what, command in steps:
        print_message(f"  {what}:\n    {command}")


def _needs(extra: str, package: str) -> str:
    """Return in brackets which extra brings a package that is not installed; no text where it is."""
    from seke.console.extras import is_installed

    return "" if is_installed(package) else f" (first pip install 'seke[{extra}]')"
