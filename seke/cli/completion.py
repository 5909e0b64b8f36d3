"""Completion in a shell of what click does not know of itself: texts that name files or bases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterator

# What stands for a file, a folder or a pattern in a usage line, and for a base.
FILES = {"FILE", "FOLDER", "GOLD", "IMAGES", "MANIFEST", "PREDICTIONS", "SAMPLES", "SOURCE", "TABLE"}
FILES |= {"RUN|POSTERIORS", "RUN|SAMPLES"}
BASES = {"A", "B", "BASE", "PATH"}


class FileText(click.types.StringParamType):
    """A text that names a file, completed as one. bases: whether a shipped base may be named, too."""

    def __init__(self, *, bases: bool) -> None:
        self.bases = bases

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the shipped bases that begin so, and that the shell looks for files."""
        names: list[str] = []
        if self.bases:
            from seke.files.shipped import shipped_bases

            names = [name for name in shipped_bases() if name.startswith(incomplete)]
        return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def complete_files(command: click.Command) -> None:
    """Let texts that name files be completed as such, of a command or of all of a group."""
    for parameter in _parameters(command):
        name = (parameter.metavar or "").strip("[].")
        if type(parameter.type) is click.types.StringParamType and name in FILES | BASES:
            parameter.type = FileText(bases=name in BASES)


def _parameters(command: click.Command) -> Iterator[click.Parameter]:
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _parameters(inner)
    else:
        yield from command.params
