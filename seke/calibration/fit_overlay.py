"""A fit -> the YAML text of the overlay with its numbers, and that overlay read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Knowledge, overlay_tree, replaced_paths, written
from seke.files.shipped import knowledge as read_knowledge
from seke.files.shipped import shipped_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Fit, Learned


def source_name(facts: Mapping[str, Any]) -> str:
    """Return the name of a fit, as whose numbers the overlay gives its numbers."""
    return f"fit-{facts['date']}-{facts['data_digest'][:8]}"


def name_of_base(knowledge: Knowledge | str | Path | None) -> str:
    """Return how an overlay names its base: a shipped one's name, the path of one's own, or its own name."""
    if isinstance(knowledge, Knowledge):
        return knowledge.name
    return shipped_name(knowledge) or str(Path(knowledge or "").resolve())


def relative(extends: Path, overlay: Path) -> str:
    """Return the path of the base relative to the folder of its overlay."""
    return os.path.relpath(extends.resolve(), overlay.resolve().parent)


def overlay_text(fit: Fit, learned: Sequence[Learned], facts: Mapping[str, Any], extends: str) -> str:
    """Return the overlay as YAML text; extends: how it names the base."""
    source = source_name(facts)
    gold = ", ".join(f"{name} {count}" for name, count in facts["gold"].items() if count) or "none"
    cite = (
        f"seke calibrate {facts['version']}, {facts['date']}: {facts['method']} fit of {facts['items']} items"
    )
    used = (
        f"{facts['answers']} answers; gold: {gold}; data digest {facts['data_digest']}; "
        f"base {facts['base']} {facts['base_digest']}; seed {facts['seed']}"
    )
    head = (
        "# Written by seke calibrate; edit it freely. `sd` are posterior standard deviations, `n` the\n"
        "# pseudo-counts of a table's rows; a later calibration begins there.\n"
    )
    removed = replaced_paths(fit)
    lines = [head, f"extends: {_yaml_string(extends)}\n"]
    if removed:
        lines.append(f"remove: [{', '.join(removed)}]\n")
    lines.append(f"sources:\n  {source}: {{cite: {_yaml_string(cite)},\n    used: {_yaml_string(used)}}}\n")
    tree = overlay_tree(fit, source)
    for learned_part in learned:
        for section, inner in learned_part.sections.items():
            tree[section] = {"source": source, **inner}
    return "".join(lines) + written(tree)


def _yaml_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_overlay(text: str, path: Path) -> Knowledge:
    """Return the base that an overlay at `path` would be read as; the text is written beside it meanwhile.

    Raises:
        engine.KnowledgeError: an overlay that is faulty.
    """
    trial = path.with_name(f".{path.name}.trial.yaml")
    try:
        trial.write_text(text, "utf-8")
        return read_knowledge(trial)
    finally:
        trial.unlink(missing_ok=True)
