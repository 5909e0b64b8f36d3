"""The page of the action units: what the shipped base says of each, and what `seke` draws of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from plain_text import markdown

import seke
from seke.graphics.face import face

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine import Knowledge

UNITS = Path(__file__).parents[2] / "knowledge" / "variables" / "action_units.yaml"
# Least P(active | expression) that is named.
LEAST_NAMED = 0.2
INTRODUCTION = f"""# Action units

The units of the shipped base. Names, muscles and descriptions are those of
`knowledge/variables/action_units.yaml`, with their sources; the expressions are those with a P(active |
expression) of {LEAST_NAMED} or more in `knowledge/activations.yaml`; `seke knowledge show AU12` says where
each number is from. The faces are drawn by `seke`, with that unit alone; they are schematic and no material
to learn FACS from.
"""


def unit_page() -> dict[str, str]:
    """Return path -> Markdown of the page."""
    base = seke.knowledge()
    declared = yaml.safe_load(UNITS.read_text("utf-8"))["variables"]
    units = base.levels["action_units"]
    lines = [INTRODUCTION, '<div class="faces">', _small("at rest", {})]
    lines += [_small(f'<a href="#{unit.lower()}">{unit}</a>', {unit: 1.0}) for unit in units]
    lines.append("</div>\n")
    for unit in units:
        lines += _unit(base, unit, {**declared, **declared[unit]})
    lines.append("## Other codes\n\nAnswers may name these, though they are no variables of the base.\n")
    for code in base.codes.values():
        hides = f" Where it is named, {' and '.join(code.hides)} cannot be seen." if code.hides else ""
        lines.append(f"`{code.name}` {markdown(code.label)}\n: {markdown(code.description)}{hides}\n")
    return {"action-units.md": "\n".join(lines)}


def _small(caption: str, units: Mapping[str, float]) -> str:
    return f"<figure>{face(units, '').svg()}<figcaption>{caption}</figcaption></figure>"


def _unit(base: Knowledge, name: str, declared: Mapping[str, Any]) -> Iterator[str]:
    """Yield the section of a unit. declared: its entry in the YAML, with what its block hands down."""
    variable = base.variables[name]
    yield f"({name.lower()})=\n## {name} {markdown(variable.label)}\n"
    yield f'<div class="unit">{face({name: 1.0}, f"face with {name}").svg()}</div>\n'
    yield f"{markdown(variable.description)}\n"
    if "rest" in variable.about:
        yield f"At rest\n: {markdown(variable.about['rest'])}\n"
    yield f"Muscle\n: {markdown(variable.about['muscle'])}\n"
    states = base.variables[base.root].states
    often = sorted(
        ((cell.p, state) for state, cell in zip(states, base.cells[name], strict=True)), reverse=True
    )
    named = [f"{state} {p:.2f}" for p, state in often if p >= LEAST_NAMED]
    yield f"Shown in\n: {', '.join(named) or 'none of the expressions often'}\n"
    if variable.other_names:
        yield f"Also read as\n: {markdown(', '.join(variable.other_names))}\n"
    source = declared["source"]
    work = base.sources[source].cite if source in base.sources else source
    yield f"Source\n: {markdown(work)} ({markdown(declared['note'].rstrip('.'))})\n"
