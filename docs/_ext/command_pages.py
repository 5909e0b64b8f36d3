"""The pages of the commands, made from what `--help` is made from."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click
from plain_text import markdown

from seke.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

# Two columns of help: what an option is given as, and what it says of it.
_REMARKS = re.compile(r"\s*\[([^\[\]]*)\]$")
# click's mark of a paragraph whose lines stay.
_AS_IT_STANDS = "\b"


def command_pages() -> dict[str, str]:
    """Return path -> Markdown of a page for each command, and of the page that lists them."""
    context = click.Context(main, info_name="seke")
    pages = {}
    rows = []
    for name in main.list_commands(context):
        command = main.commands[name]
        pages[f"cli/{name}.md"] = "\n".join(_page(command, click.Context(command, context, name), 1))
        rows.append(f"| [{name}](cli/{name}.md) | {markdown(_first_sentence(command))} |")
    names = [f"cli/{name}" for name in main.list_commands(context)]
    pages["cli.md"] = "\n".join(
        [
            "# Commands",
            "",
            *_help(main),
            "Every command has `-h`; these pages say the same. Results go to the standard output, messages",
            "to the standard error. `NO_COLOR=1` turns colours off.",
            "",
            "| command | |",
            "|---|---|",
            *rows,
            "",
            "```{toctree}\n:hidden:\n",
            *names,
            "```",
            "",
            *_options(main, context),
        ]
    )
    return pages


def _page(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    """Yield the lines of a command and of those below it."""
    yield f"{'#' * depth} {context.command_path}\n"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    yield from _help(command)
    yield from _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.commands[name]
            yield from _page(below, click.Context(below, context, name), depth + 1)


def _help(command: click.Command) -> Iterator[str]:
    """Yield the paragraphs of a command's help; lines that stay as they are become a block of code."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        head, _, stays = paragraph.strip("\n").partition(_AS_IT_STANDS)
        if not stays:
            yield f"{markdown(' '.join(head.split()))}\n"
            continue
        lines = stays.strip("\n").splitlines()
        if lines[0].endswith(":") and not lines[0].startswith(" "):
            yield f"{markdown(lines.pop(0))}\n"
        code = inspect.cleandoc("\n" + "\n".join(lines))
        kind = "sh" if re.match(r"(seke|zcat|python)\b", code) else "text"
        yield f"```{kind}\n{code}\n```\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f":::{{program}} {context.command_path}\n:::\n"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or not isinstance(parameter, click.Option) or "--help" in parameter.opts:
            continue
        names, text = record
        remarks = _REMARKS.search(text)
        yield f":::{{option}} {_as_names(names)}\n"
        remark = f" *{markdown(remarks[1])}*" if remarks else ""
        yield f"{markdown(' '.join(_REMARKS.sub('', text).split()))}{remark}\n:::\n"


def _as_names(names: str) -> str:
    """Return the names of an option as Sphinx's index takes them: what is given stands behind each."""
    return re.sub(r" (INTEGER|FLOAT) RANGE", lambda kind: f" {kind[1]}", names.replace(" / ", ", "))


def _first_sentence(command: click.Command) -> str:
    text = " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())
    return re.split(r"(?<=[\w)]\.)\s", text)[0]
