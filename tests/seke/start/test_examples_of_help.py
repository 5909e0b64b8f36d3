"""The examples in the help of commands: on files of the demo they work, other names are the reader's own."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from seke.cli.main import main
from seke.start.demo import write_demo

DEMO = "seke-demo"
# Folders of a reader; a file without a folder is a reader's, too.
OWN = {"faces", "run", "gpt-4o", "shards", "pictures", "processed", "downloads", "basic"} | {
    "Aff-Wild2",
    "AffectNet",
    "BP4D",
    "CK+",
    "DISFA",
}
# Words with a slash that name no file: patterns, parts of a whole, models with their servers, home.
NO_FILE = re.compile(r"\*|[\w:]+/\d+$|.*://|~/")


def examples(command=main, parent=None, name="seke"):
    """Yield the examples of a command and of those below it, as words."""
    context = click.Context(command, parent=parent, info_name=name)
    for part in re.split(r"Examples?:\n", command.help or "")[1:]:
        lines = re.sub(r"\\\n\s*", "", part.split("\n\n")[0]).splitlines()
        yield from (words for line in lines if (words := shlex.split(line)))
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from examples(command.get_command(context, below), context, below)


def test_examples_name_files_of_the_demo_or_of_the_reader(tmp_path):
    write_demo(tmp_path / DEMO)
    paths = {word for words in examples() for word in words if "/" in word and not NO_FILE.match(word)}
    of_demo = {path for path in paths if path.startswith(DEMO)}
    assert len(of_demo) > 3
    assert [path for path in of_demo if not (tmp_path / path).exists()] == []
    assert {path for path in paths - of_demo if path.split("/")[0] not in OWN} == set()


@pytest.mark.slow
def test_examples_on_the_demo_run_as_they_are_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_demo(tmp_path / DEMO)
    of_demo = [words for words in examples() if any(word.startswith(DEMO + "/") for word in words)]
    assert len(of_demo) > 10
    for program, *words in of_demo:
        # Half a minute each: one that names an item is enough.
        if "sensitivity" in words and "--item" not in words:
            continue
        result = CliRunner().invoke(main, words)
        assert (program, result.exit_code) == ("seke", 0), (words, result.output)
