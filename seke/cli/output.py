"""What commands print and write: results, messages, tables, files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from seke.console.rich_table import UNLIMITED
from seke.console.terminal import exact_output, printable
from seke.files.atomic import PICTURE, check_target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

# A line of its own with a command, which is copied as a whole.
COMMAND = re.compile(r"\s+(seke|cd|jupyter|pip) ")


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(printable(json.dumps(value, ensure_ascii=False)))


def print_text(text: str) -> None:
    """Print a text and end its last line; on a terminal its lines end between words."""
    print("\n".join(_fitted(text.removesuffix("\n").split("\n"), sys.stdout)))


def terminal_columns() -> int:
    """Return the columns of a line of the standard output, more than any has where that is no terminal."""
    return shutil.get_terminal_size().columns if on_terminal() else UNLIMITED


def print_file(text: str) -> None:
    """Print the content of a file: on a terminal it is looked at, elsewhere it is the file."""
    print(text, end="", file=sys.stdout if on_terminal() else exact_output())


def print_result(facts: Any, text: object, *, as_json: bool) -> None:
    """Print the facts as JSON, or as text."""
    if as_json:
        print_json(facts)
    else:
        print_text(str(text))


def print_message(text: object) -> None:
    """Print a message on the standard error; on a terminal its lines end between words."""
    print("\n".join(_fitted(printable(str(text)).split("\n"), sys.stderr)), file=sys.stderr)


def _fitted(lines: list[str], stream: TextIO | None) -> list[str]:
    """Return lines as they fit a terminal; as they are where the stream is none."""
    if stream is None or not stream.isatty():
        return lines
    width = shutil.get_terminal_size().columns
    return [part for line in lines for part in _wrapped(line, width)]


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line in parts of at most a width, cut between words where there are any; no command is cut."""
    if len(line) <= width or COMMAND.match(line):
        return [line]
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=line[: len(line) - len(line.lstrip())],
        break_long_words=False,
        break_on_hyphens=False,
    )


def say_next(words: Iterable[object], before: str = "") -> None:
    """Print on a terminal a command that a user may try next, on a line of its own: it can be copied.

    before: what was done, in words.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        print_message(f"{before}try next:")
        print(printable(f"  {shlex.join(map(str, words))}"), file=sys.stderr)


def options_of(**given: object) -> list[str]:
    """Return options as they are typed, those that have a value: `knowledge` and `population`."""
    names = {"knowledge": "-k", "population": "--population"}
    return [word for name, value in given.items() if value for word in (names[name], str(value))]


def print_warnings(warnings: Iterable[object]) -> None:
    """Print warnings on the standard error, one a line."""
    for warning in warnings:
        print_message(f"warning: {warning}")


def on_terminal() -> bool:
    """Tell whether the standard output is a terminal, which gets tables instead of JSON."""
    return sys.stdout is not None and sys.stdout.isatty()


def table_console() -> Console:
    """Return the console that tables are printed on."""
    from seke.console.printable_console import PrintableConsole

    return PrintableConsole()


def check_picture(output: Path | None, *, svg_by_itself: bool = False) -> None:
    """Refuse a picture that could not be drawn or written, before anything long is computed for it.

    svg_by_itself: whether SVG is written without matplotlib.

    Raises:
        engine.SekeError: a place that cannot be written, another format, or matplotlib is not installed.
    """
    from seke.console.extras import check_installed

    check_target(output, PICTURE)
    if output is not None and not (svg_by_itself and format_of(output) == "svg"):
        check_installed("matplotlib")


def format_of(output: Path) -> str:
    """Return the format that a file's ending names, such as svg."""
    return output.suffix[1:].lower()


def check_not_input(output: Path | None, inputs: Iterable[str], advice: str) -> None:
    """Refuse to write over the samples that are read.

    Raises:
        engine.SekeError: the output is one of the inputs; advice: what to do instead.
    """
    from engine import SekeError

    if output is None or not output.exists():
        return
    if any(Path(path).exists() and output.samefile(path) for path in inputs):
        raise SekeError(f"{output}: is one of the samples; {advice}")
