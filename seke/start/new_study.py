"""A folder for a study: an overlay to write knowledge into, and seke.toml with its options."""

from __future__ import annotations

import json
import re
from pathlib import Path

from engine import SekeError, did_you_mean
from seke.files.free_folder import check_free
from seke.files.shipped import knowledge as read_knowledge
from seke.knowledge_tools.new import new
from seke.start.new_folder import new_folder, write_files
from seke.start.study_file import NAME, StudyFile

KNOWLEDGE, PRICES, PICTURES = "knowledge", "prices.yaml", "faces/"


def write_study(
    folder: Path, base: str = "shipped", population: str | None = None, **chosen: str | list[str] | None
) -> tuple[str, ...]:
    """Write a study into a new or empty folder; return the names of its files.

    base: what its overlay is laid upon. chosen: `model` and `base_url`, as `seke annotate` takes them; of the
    latter one or several.

    Raises:
        engine.SekeError: something is in the folder; the base cannot be read, or has no such population.
        OSError: it cannot be written; nothing is left behind.
    """
    check_free(folder)
    populations = tuple(read_knowledge(base).populations)
    if population is not None and population not in populations:
        raise SekeError(f"--population {population}: no such prior{did_you_mean(population, populations)}")
    template = Path(__file__).with_name("study.toml").read_text("utf-8")
    template = template.replace("POPULATIONS", ", ".join(populations))
    for name, value in {"population": population, **chosen}.items():
        template = _with_option(template, name.replace("_", "-"), value)
    files = {NAME: template.encode(), PRICES: Path(__file__).with_name(PRICES).read_bytes(), PICTURES: b""}
    with new_folder(folder):
        write_files(folder, files)
        new(folder / KNOWLEDGE, base)
        StudyFile.read(folder / NAME)
    return NAME, f"{KNOWLEDGE}/overlay.yaml", PRICES, PICTURES


def _with_option(text: str, key: str, value: str | list[str] | None) -> str:
    """Return the file with an option that its text has commented out; as it is where nothing was chosen."""
    # What JSON writes in quotes, TOML reads.
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    return re.sub(rf"(?m)^# {key} = .*$", lambda _: line, text) if value else text
