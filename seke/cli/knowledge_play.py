"""The command `seke knowledge play`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("base", required=False, metavar="[BASE]")
@options.output("Write the page to FILE (.html).")
@click.option("--serve", is_flag=True, help="Serve the page on this machine alone; follow the YAML.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="N",
    help="With --serve: the port of the address. 0: any free port.",
)
def play(base: str | None, output: Path | None, serve: bool, port: int) -> None:
    """Make a page on which you try out what a base says.

    Set action units, the expression, valence and arousal, as known facts or as the answers of an observer.
    The page shows at once what follows: the posteriors, the face drawn from them, what speaks for it, the
    rules that fire, and the numbers of the YAML that carry the answer, each with its place and its source.
    It computes by itself, exactly as the program does, and opens offline in a browser.

    With --serve the page changes whenever you save a YAML file of the base. It says which entries changed and
    what that did to the base's own examples. A fault in the YAML is shown, and the page keeps the last good
    base. Ctrl-C ends it.

    \b
    Examples:
      seke knowledge play -o play.html
      seke knowledge play my_overlay.yaml --serve

    Exit status: 0 done, 2 faults or bad usage.
    """
    from engine import SekeError

    with exit_on_errors():
        if serve == (output is not None):
            raise SekeError("name the page to write with -o FILE.html, or --serve it")
        if port and not serve:
            raise SekeError("--port goes with --serve")
        if output is not None:
            from seke.playground.page import play as make_page

            size = len(make_page(base, output).encode())
            print(output)
            print_message(f"{size / 1e6:.1f} MB; open it in a browser")
            return
        _serve(base, port)


def _serve(base: str | None, port: int) -> None:
    """Serve until Ctrl-C."""
    from seke.playground.serve import PlayServer

    with PlayServer(base, port, print_message) as server:
        print(server.address, flush=True)
        print_message("the page follows the YAML files; Ctrl-C ends it")
        try:
            server.watch()
        except KeyboardInterrupt:
            print_message("ended")
