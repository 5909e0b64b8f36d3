"""The benchmark's questions: one about each level of a base, which use only names from the knowledge.

An answer is read as a value of each variable of the level, or as `refused` or `unreadable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.prompts.parser import read_choice
from seke.prompts.response_schema import Form, Key
from seke.vision.messages import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge, Variable
    from seke.vision.messages import Choice

    Record = dict[str, Any]

OK, REFUSED, UNREADABLE = "ok", "refused", "unreadable"


@dataclass(frozen=True)
class DirectQuestion:
    """A question about one level.

    members: the variables that an answer is about. form: of the answer.
    """

    level: str
    members: tuple[str, ...]
    prompt: Prompt
    form: Form

    def read(self, choice: Choice) -> Record:
        """Return an answer as the fields of a sample record."""
        return read_choice(self.form, choice)

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return member -> its value in a record: a state, a number, 1 or 0, `refused` or `unreadable`."""
        if record.get("status", OK) != OK:
            return dict.fromkeys(self.members, record["status"])
        values: dict[str, Any] = {}
        for key in self.form.keys:
            if key.name not in record:
                values |= dict.fromkeys(key.members, UNREADABLE)
            elif key.kind == "list":
                # A list with names that are none of these comes as a mapping, and leaves the others open.
                silent = UNREADABLE if isinstance(record[key.name], dict) else 0
                values |= {name: 1 if name in record[key.name] else silent for name in key.members}
            else:
                values[key.name] = record[key.name]
        return values


def level_questions(base: Knowledge) -> dict[str, DirectQuestion]:
    """Return the question about each level; of a base without levels, about each variable.

    Raises:
        engine.SekeError: a level of variables of several kinds, or of numbers with several ranges.
    """
    askable = {name: variable for name, variable in base.variables.items() if variable.kind != "derived"}
    levels = base.levels or {name: (name,) for name in askable}
    return {
        level: _question(level, [askable[name] for name in members if name in askable])
        for level, members in levels.items()
    }


def _question(level: str, members: list[Variable]) -> DirectQuestion:
    kinds = {
        (variable.kind, variable.edges[0], variable.edges[-1])
        if variable.kind == "interval"
        else (variable.kind,)
        for variable in members
    }
    kind = next(iter(kinds), ("nothing",))[0]
    if len(kinds) != 1 or (kind == "categorical" and len(members) > 1):
        names_text = ", ".join(variable.name for variable in members)
        raise SekeError(f"level {level}: one question cannot ask for {names_text} at once")
    form = Form(_keys(level, str(kind), members))
    first = members[0]
    names = [{"name": variable.name, "label": variable.label or variable.name} for variable in members]
    if kind == "categorical":
        names = [{"name": state, "label": state} for state in first.states]
    edges = (first.edges[0], first.edges[-1]) if first.edges else (0.0, 0.0)
    words = {"names": names, "low": f"{edges[0]:g}", "high": f"{edges[1]:g}", "answer": form.words()}
    text = _template(str(kind)).render(words).strip()
    prompt = Prompt.of(text, form.schema())
    return DirectQuestion(level, tuple(variable.name for variable in members), prompt, form)


def _keys(level: str, kind: str, members: list[Variable]) -> tuple[Key, ...]:
    names = tuple(variable.name for variable in members)
    if kind == "binary":
        return (Key(level, "list", names, names),)
    if kind == "interval":
        return tuple(
            Key(variable.name, "number", (variable.name,), low=variable.edges[0], high=variable.edges[-1])
            for variable in members
        )
    return (Key(names[0], "label", names, members[0].states),)


@cache
def _template(kind: str) -> Any:
    import yaml
    from jinja2 import Environment, StrictUndefined

    templates = yaml.safe_load(Path(__file__).with_name("direct.yaml").read_text("utf-8"))
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(templates[kind])
