"""The catalogue of messages: `reference/messages.yaml`, with messages as the program prints them."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from seke.cli.main import main

REPOSITORY = Path(__file__).parents[2]
GOLDEN = REPOSITORY / "tests" / "engine" / "golden"
# File, line, column and path before a fault's own words.
_PLACE = re.compile(r"^(?P<place>\S+?:\d+:\d+): (?:(?P<path>[\w.\[\]-]+): )?(?P<words>.*)$")
# Messages of one bad base that are shown.
MOST_SHOWN = 3
INTRODUCTION = """# Messages and what mends them

Every message names the place, what is wrong, what was met and what is allowed. Faults of a knowledge base are
all reported at once. Messages go to the standard error; the exit status is 2 for bad input, 1 where a check
or a guarantee fails, else 0. In Python the same text is that of {py:exc}`engine.SekeError`.
"""
KNOWLEDGE = """## In a knowledge base

Each fault begins with file, line and column, then the path of the entry. `seke knowledge check` prints the
line itself, too. The names here are of small bases about machines, by which the reader is tested.
"""
COMMANDS = """## At the command line
"""


def catalogue() -> dict[str, Any]:
    """Return the entries of the catalogue, as they stand in its file."""
    text = (REPOSITORY / "docs" / "reference" / "messages.yaml").read_text("utf-8")
    entries: dict[str, Any] = yaml.safe_load(text)
    return entries


def golden_messages() -> dict[str, list[str]]:
    """Return bad base -> its faults, as the tests of the reader hold them."""
    return {path.stem: path.read_text("utf-8").splitlines() for path in sorted(GOLDEN.glob("*.txt"))}


def words_of(fault: str) -> str:
    """Return what a fault says, without its place and path."""
    match = _PLACE.match(fault)
    return match["words"] if match else fault


def kinds_of(fault: str, kinds: list[dict[str, Any]]) -> list[str]:
    """Return the patterns of the catalogue that a fault matches."""
    words = words_of(fault)
    return [pattern for kind in kinds for pattern in kind["matches"] if re.search(pattern, words)]


def printed(entry: dict[str, Any]) -> tuple[int, str]:
    """Run the command of an entry in a folder with the examples; return its status and its messages."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.symlink(REPOSITORY / "examples", "examples")
        for name, text in entry.get("files", {}).items():
            Path(name).write_text(f"{text}\n", "utf-8")
        # No key of the machine's may make the command go on.
        result = CliRunner(env={"OPENAI_API_KEY": None}).invoke(main, entry["run"])
    return result.exit_code, result.stderr.strip()


def message_page() -> dict[str, str]:
    """Return path -> Markdown of the page."""
    entries = catalogue()
    lines = [INTRODUCTION, KNOWLEDGE]
    for kind in entries["kinds"]:
        lines += [f"### {kind['title']}\n", _block(_shown(kind)), _text(kind)]
    lines.append(COMMANDS)
    for entry in entries["commands"]:
        lines += [f"### {entry['title']}\n", _block([f"$ seke {' '.join(entry['run'])}", printed(entry)[1]])]
        lines.append(_text(entry))
    return {"errors.md": "\n".join(lines)}


def _shown(kind: dict[str, Any]) -> list[str]:
    """Return some of the messages of a kind: those of the base that it names, or the first ones."""
    pattern = re.compile("|".join(kind["matches"]))
    of_base = golden_messages()
    bases = [of_base[kind["shown"]]] if "shown" in kind else of_base.values()
    matching = [fault for faults in bases for fault in faults if pattern.search(words_of(fault))]
    return [fault.removeprefix("../bases/") for fault in matching[:MOST_SHOWN]]


def _block(lines: list[str]) -> str:
    # Long messages are wrapped by the page.
    text = "\n".join(lines)
    return f"```{{code-block}} text\n:class: messages\n\n{text}\n```\n"


def _text(entry: dict[str, Any]) -> str:
    means = f"{entry['means']} " if "means" in entry else ""
    return f"{means}\n\n**Cure:** {entry['cure']}\n"
