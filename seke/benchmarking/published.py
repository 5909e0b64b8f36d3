"""Published figures of the source sets, from `published.yaml` beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def _published_table() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("published.yaml").read_text("utf-8")))


def figures_of(name: str) -> list[dict[str, Any]]:
    """Return the published figures of a set; scores are named `variable.score`, or are those of a group."""
    return [
        {
            "system": system,
            "scores": dict(scores),
            "group": figure.get("group"),
            "note": figure["note"],
            "source": figure["source"],
        }
        for figure in _published_table()["figures"]
        if figure["set"] == name
        for system, scores in figure["of"].items()
    ]


def citations() -> dict[str, str]:
    """Return source -> its citation."""
    return {name: source["cite"] for name, source in _published_table()["sources"].items()}
