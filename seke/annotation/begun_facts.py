"""What a run was begun with, against what it is to go on with, or what another run was begun with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Facts = Mapping[str, Any]

# What stays the same in a run, and in runs that are joined.
SAME = (
    *("settings", "observer", "also", "observed_by", "networks", "population", "strategy", "budget"),
    *("labels_final", "digests"),
)
# Facts of runs that were begun before these facts were noted.
BEFORE: Facts = {"labels_final": False, "also": {}, "observed_by": []}
# Settings of runs that were begun before there was a choice.
SETTINGS_BEFORE: Facts = {"picture": "last", "system": False}


def complete_facts(begun: Facts, networks: Any) -> dict[str, Any]:
    """Return the facts of SAME of a run that was begun at any time; networks: taken where none are noted."""
    facts = {**BEFORE, "networks": networks, **{name: begun[name] for name in SAME if name in begun}}
    if "settings" in facts:
        facts["settings"] = {**SETTINGS_BEFORE, **facts["settings"]}
    return facts


def differences(begun: Facts, now: Facts, where: tuple[str, str] = ("then", "now")) -> str:
    """Return in words in what of SAME two runs differ; no text where they do not.

    where: what is said behind the values of the one and of the other.
    """
    parts = (_difference(name, begun.get(name), now.get(name), where) for name in SAME)
    return "; ".join(part for part in parts if part)


def _difference(name: str, begun: Any, now: Any, where: tuple[str, str]) -> str:
    """Return in words how a fact differs; no text where it does not."""
    if begun == now:
        return ""
    if isinstance(begun, dict) and isinstance(now, dict):
        # The names of settings speak for themselves, those of observers do not.
        observers = name in ("also", "networks")
        keys = {key: f"{name} {key}" if observers else key for key in {**begun, **now}}
        inner = (_difference(text, begun.get(key), now.get(key), where) for key, text in keys.items())
        return ", ".join(part for part in inner if part)
    return f"{name}: {begun} {where[0]}, {now} {where[1]}"
