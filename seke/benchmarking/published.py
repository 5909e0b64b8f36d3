"""Published figures of the source sets, from `published.yaml` beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def _told() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("published.yaml").read_text("utf-8")))


def figures_of(name: str) -> list[dict[str, Any]]:
    """Return the published figures of a set; scores are named `variable.score`, or are those of a group."""
    return [
        {
            "system": system,
            "scores": dict(scores),
            "group": one.get("group"),
            "note": one["note"],
            "source": one["source"],
        }
        for one in _told()["figures"]
        if one["set"] == name
        for system, scores in one["of"].items()
    ]


def citations() -> dict[str, str]:
    """Return what is cited, by the names of sources."""
    return {name: one["cite"] for name, one in _told()["sources"].items()}
