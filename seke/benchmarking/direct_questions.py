"""The benchmark's questions: one about each level of a base, with nothing of the knowledge but names.

Level --ask--> Prompt;   its answer --read--> a value of each variable, or why there is none
"""

from __future__ import annotations

import hashlib
import json
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
class Direct:
    """A question about one level.

    members: the variables that an answer tells of. form: of the answer.
    """

    level: str
    members: tuple[str, ...]
    prompt: Prompt
    form: Form

    def read(self, choice: Choice) -> Record:
        """Return the part of a sample record that an answer makes."""
        return read_choice(self.form, choice)

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a record says of each member: a state, a number, 1 or 0, `refused` or `unreadable`."""
        if record.get("status", OK) != OK:
            return dict.fromkeys(self.members, record["status"])
        found: dict[str, Any] = {}
        for key in self.form.keys:
            if key.name not in record:
                found |= dict.fromkeys(key.members, UNREADABLE)
            elif key.kind == "list":
                found |= {name: int(name in record[key.name]) for name in key.members}
            else:
                found[key.name] = record[key.name]
        return found


def questions_of(base: Knowledge) -> dict[str, Direct]:
    """Return the question about each level; of a base without levels, about each variable.

    Raises:
        engine.SekeError: a level of variables of several kinds, or of numbers with several ranges.
    """
    told = {name: one for name, one in base.variables.items() if one.kind != "derived"}
    levels = base.levels or {name: (name,) for name in told}
    return {
        level: _question(level, [told[name] for name in members if name in told])
        for level, members in levels.items()
    }


def _question(level: str, members: list[Variable]) -> Direct:
    kinds = {
        (one.kind, one.edges[0], one.edges[-1]) if one.kind == "interval" else (one.kind,) for one in members
    }
    kind = next(iter(kinds), ("nothing",))[0]
    if len(kinds) != 1 or (kind == "categorical" and len(members) > 1):
        raise SekeError(
            f"level {level}: one question cannot ask for {', '.join(one.name for one in members)} at once"
        )
    form = Form(_keys(level, str(kind), members))
    first = members[0]
    names = [{"name": one.name, "label": one.label or one.name} for one in members]
    if kind == "categorical":
        names = [{"name": state, "label": state} for state in first.states]
    edges = (first.edges[0], first.edges[-1]) if first.edges else (0.0, 0.0)
    words = {"names": names, "low": f"{edges[0]:g}", "high": f"{edges[1]:g}", "answer": form.words()}
    text = _template(str(kind)).render(words).strip()
    schema = form.schema()
    said = json.dumps([text, schema], ensure_ascii=False, sort_keys=True)
    prompt = Prompt(text, schema, hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest())
    return Direct(level, tuple(one.name for one in members), prompt, form)


def _keys(level: str, kind: str, members: list[Variable]) -> tuple[Key, ...]:
    names = tuple(one.name for one in members)
    if kind == "binary":
        return (Key(level, "list", names, names),)
    if kind == "interval":
        return tuple(
            Key(one.name, "number", (one.name,), low=one.edges[0], high=one.edges[-1]) for one in members
        )
    return (Key(names[0], "label", names, members[0].states),)


@cache
def _template(kind: str) -> Any:
    import yaml
    from jinja2 import Environment, StrictUndefined

    told = yaml.safe_load(Path(__file__).with_name("direct.yaml").read_text("utf-8"))
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(told[kind])
