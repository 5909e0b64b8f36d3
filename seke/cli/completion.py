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


def complete_files(group: click.Group) -> None:
    """Let texts that name files be completed as such. Call it when all commands are there."""
    for parameter in _parameters(group):
        name = (parameter.metavar or "").strip("[].")
        if type(parameter.type) is click.types.StringParamType and name in FILES | BASES:
            parameter.type = FileText(bases=name in BASES)


def _parameters(group: click.Group) -> Iterator[click.Parameter]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from _parameters(command)
        else:
            yield from command.params
