"""A folder for a study: an overlay to write knowledge into, and seke.toml with its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine import SekeError, did_you_mean
from seke.files.shipped import knowledge as read_knowledge
from seke.knowledge_tools.new import new
from seke.start.new_folder import check_free, new_folder, write_files
from seke.start.study_file import NAME, StudyFile

if TYPE_CHECKING:
    from collections.abc import Mapping

KNOWLEDGE, PRICES, PICTURES = "knowledge", "prices.yaml", "faces/"
# What a study's file says where nothing was chosen, commented out.
EXAMPLES: Mapping[str, str] = {"model": "gpt-4o", "base-url": "http://localhost:8000/v1"}


def write_study(
    folder: Path, base: str = "shipped", population: str | None = None, **chosen: str | None
) -> tuple[str, ...]:
    """Write a study into a new or empty folder; return the names of its files.

    base: what its overlay is laid upon. chosen: `model` and `base_url`, as `seke annotate` takes them.

    Raises:
        engine.SekeError: something is in the folder; the base cannot be read, or has no such population.
        OSError: it cannot be written; nothing is left behind.
    """
    check_free(folder)
    populations = tuple(read_knowledge(base).populations)
    if population is not None and population not in populations:
        raise SekeError(f"--population {population}: no such prior{did_you_mean(population, populations)}")
    template = (Path(__file__).with_name("study.toml")).read_text("utf-8")
    options = {name.replace("_", "-"): value for name, value in chosen.items()}
    lines = {
        "BASE": _quoted(KNOWLEDGE),
        "POPULATIONS": ", ".join(populations),
        "POPULATION": _line("population", population, populations[0]),
        "MODEL": _line("model", options["model"], EXAMPLES["model"]),
        "URL": _line("base-url", options["base-url"], EXAMPLES["base-url"]),
    }
    for place, text in lines.items():
        template = template.replace(place, text)
    files = {NAME: template.encode(), PRICES: Path(__file__).with_name(PRICES).read_bytes(), PICTURES: b""}
    with new_folder(folder):
        write_files(folder, files)
        new(folder / KNOWLEDGE, base)
        StudyFile.read(folder / NAME)
    return NAME, f"{KNOWLEDGE}/overlay.yaml", PRICES, PICTURES


def _line(key: str, value: str | None, example: str) -> str:
    """Return a line of the file: commented out where nothing was chosen."""
    return f"{key} = {_quoted(value)}" if value else f"# {key} = {_quoted(example)}"


def _quoted(text: str) -> str:
    # What JSON writes in quotes, TOML reads.
    return json.dumps(text, ensure_ascii=False)
