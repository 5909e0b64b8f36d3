"""Where the parameters of the network and of observers stand in the YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.model.parameter_key import ParameterKey

RANKING = ("bonus", "habit", "pull")
# The keys that lead to `Knowledge.cells` and to `Knowledge.moments`, each by state.
CELLS, MOMENTS = ("activations", "cells"), ("affect", "moments")


def yaml_keys(key: ParameterKey, width: Literal["", "sd", "n"] = "") -> tuple[str, ...]:
    """Return the keys of the YAML that lead to a parameter, or to how sure it is.

    width: "sd" for its standard deviation, which stands beside it; "n" for pseudo-counts, of the row of a
    table where the key has a cell.
    """
    keys: tuple[str, ...] = ("observers", key.observer)
    if key.what == "echo":
        return (*keys, "echo", key.question)
    if key.question and not key.kind:
        keys += ("halo", key.question)
    if key.kind:
        keys += (key.kind,)
    if key.question and key.kind:
        keys += ("by_question", key.question)
    if key.variable:
        keys += ("cells", key.variable) if key.kind == "binary" else (key.variable,)
    if key.reading_type:
        keys += ("types", key.reading_type)
    if key.what in RANKING:
        keys += ("ranking",)
    if width == "n":
        return (*keys, "n", *key.cell[:1])
    keys += (key.what, *key.cell) if key.what else ()
    return (*keys[:-1], "sd", keys[-1]) if width == "sd" else keys


def yaml_path(key: ParameterKey, width: Literal["", "sd", "n"] = "") -> str:
    """Return `yaml_keys` as a dotted path."""
    return ".".join(yaml_keys(key, width))
