"""What README and the pages of `docs` show is so: commands, imports, files, links, tables, a stored fit."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import seke
from seke.cli.main import main
from seke.inference.session import Session

ROOT = Path(__file__).parents[1]
DOCS, TUTORIALS = ROOT / "docs", ROOT / "docs" / "tutorials"
# Made when the site is built.
MADE = ("_build", "gallery", "jupyter_execute", "cli", "yaml")
PAGES = [
    ROOT / "README.md",
    *(
        path
        for path in sorted(DOCS.rglob("*.md"))
        if not set(MADE).intersection(path.relative_to(DOCS).parts)
    ),
]

OTHERS = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "knowledge" / "README.md",
    *sorted(ROOT.glob("examples/*/README.md")),
]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, or of a directive such as {code-cell}, indented ones too."""
    return re.findall(
        rf"^ *```{re.escape(language)}(?: [^\n]*)?\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE
    )


def commands_on(page: Path) -> list[str]:
    """Every `seke ...` of a page's shell blocks and cells, a line each, without what it is piped to."""
    text = page.read_text("utf-8")
    shown = "\n".join(blocks(text, "sh") + blocks(text, "{code-cell}")).replace("\\\n", " ")
    return [
        re.split(r" (?:&&|\||>|2>)", line)[0]
        for line in re.findall(r"^[ !]*(?:.*(?:/|&& |\| ))?(seke .*)$", shown, re.MULTILINE)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_exist_with_their_options(page: Path) -> None:
    for line in commands_on(page):
        _, *words = shlex.split(line, comments=True)
        command: click.Command = main
        while isinstance(command, click.Group):
            assert words, line
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        context = click.Context(command)
        options, _, _ = command.make_parser(context).parse_args(words)  # NoSuchOption
        kinds = {param.name: param.type for param in command.params}
        for name, value in options.items():
            if isinstance(kinds.get(name), click.Choice):
                for chosen in value if isinstance(value, list) else [value]:
                    kinds[name].convert(chosen, None, context)


@pytest.mark.parametrize("page", PAGES + OTHERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"(?<![\w/-])(?:engine|seke|tests|examples|knowledge)/[\w./-]+\.\w+", text)
    linked = [link for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if "reference/" not in link]
    assert [
        path
        for path in named + linked
        if not (page.parent / path).exists() and (path in linked or not (ROOT / path).exists())
    ] == []


def test_what_pages_import_is_there() -> None:
    shown = [
        block
        for page in PAGES
        for language in ("python", "{code-cell}")
        for block in blocks(page.read_text("utf-8"), language)
    ]
    lines = {
        line
        for block in shown
        for line in block.splitlines()
        if re.match("(from|import) (seke|engine)", line)
    }
    assert len(lines) > 4
    for line in sorted(lines):
        exec(line, {})


def test_readme_is_short_and_has_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) < 150
    head = text.partition("\n## The walk")[0]
    assert [block.rpartition("&& ")[2].strip() for block in blocks(head, "sh")] == [
        ".venv/bin/seke infer examples/faces/samples.jsonl",
        ".venv/bin/pytest",
    ]


def printed_on_terminal(line: str, folder: Path, columns: int) -> tuple[int, list[str]]:
    """Run a `seke ...` line in a folder at a terminal; its exit status, and the lines that it printed."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-c", "from seke.cli.main import main; main()", *shlex.split(line)[1:]]
    environment = os.environ | {"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=end, stderr=end) as process:
        os.close(end)
        printed = b""
        while True:
            try:
                printed += os.read(terminal, 65536)
            except OSError:  # The program has closed its end.
                break
    # Styles are left out; a bar, which other sequences draw over again, has lines of its own.
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).replace("\r\n", "\n")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", text)
    return process.returncode, [line.rstrip() for line in text.splitlines()]


@pytest.mark.whole
def test_readme_and_start_show_the_table_that_a_terminal_gets() -> None:
    status, printed = printed_on_terminal("seke infer examples/faces/samples.jsonl", ROOT, 120)
    assert status == 0
    for page in (ROOT / "README.md", DOCS / "start.md"):
        table = next(block for block in blocks(page.read_text("utf-8"), "text") if block.startswith("item "))
        # Between rows that are shown, rows are left out, so that columns may be narrower.
        shown = [line.split() for line in table.splitlines() if line != "..."]
        assert [line for line in shown if line not in [line.split() for line in printed]] == []


def test_the_stored_fit_of_a_tutorial_still_certifies() -> None:
    session = Session.open(seke.knowledge(TUTORIALS / "hundred-labels.yaml"))
    assert session.guarantee is not None
    assert session.refused == ()


@pytest.mark.slow
def test_the_tutorial_of_a_guarantee_shows_what_is_printed(tmp_path: Path) -> None:
    """To store the fit anew copy `hundred-labels.yaml` of the folder that it names into docs/tutorials."""
    page = TUTORIALS / "guarantee.md"
    text = page.read_text("utf-8")
    *calibrations, simulate = (
        line for line in commands_on(page) if re.search("^seke simulate|--alpha .* -o ", line)
    )
    printed_on_terminal(simulate, tmp_path, 100)
    truth = (tmp_path / "truth.csv").read_text("utf-8").splitlines()[:101]
    (tmp_path / "gold.csv").write_text("".join(",".join(line.split(",")[:2]) + "\n" for line in truth))
    outputs = [printed_on_terminal(line, tmp_path, 100) for line in calibrations]
    assert [status for status, _ in outputs] == [1, 0]
    for (_, printed), shown in zip(outputs, blocks(text, "text"), strict=True):
        assert shown.rstrip() in "\n".join(printed)
    fresh, stored = (
        re.sub(r"20\d\d-\d\d-\d\d", "DATE", (folder / "hundred-labels.yaml").read_text("utf-8"))
        for folder in (tmp_path, TUTORIALS)
    )
    assert fresh == stored, tmp_path
