"""Names, lists and single sentences of an export, in the words of the instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.exporting.instruction_reader import CONTROL, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from engine import Knowledge
    from seke.exporting.instruction_templates import Instructions


class Wording:
    """The words for what a base declares.

    labels: unit -> its FACS name; units: unit -> how it is named where nothing else is said.
    """

    def __init__(self, base: Knowledge, instructions: Instructions) -> None:
        """Raises: engine.SekeError where a name of the base may not stand in a text."""
        self.base, self.instructions = base, instructions
        self.texts, self.forms = instructions.texts, instructions.forms
        self.states = {state: self._name(state) for state in base.variables[base.root].states}
        self.numbers = {name: self._name(name) for name in base.intervals}
        self.levels = {name: self._name(name) for name in base.levels}
        self.labels = {name: self._name(name, base.variables[name].label) for name in base.cells}
        self.units = {
            name: self.texts["unit"].format(name=name, label=label) for name, label in self.labels.items()
        }
        self.clauses = {
            name: self.texts["clause"].format(name=name, label=label) for name, label in self.labels.items()
        }
        english = instructions.language == "en"
        statements = {rule.name: rule.statement for rule in base.rules if english}
        self.statements = {
            name: _plain(text, f"rules.{name}")
            for name, text in {**statements, **instructions.statements}.items()
            if text
        }
        described = {name: base.variables[name].description for name in base.cells if english}
        self.descriptions = {
            name: _plain(_first_clause(text), f"{name}.description")
            for name, text in {**described, **instructions.descriptions}.items()
            if text
        }
        self._lists: dict[tuple[str, ...], str] = {}

    def phrase(self, state: str) -> str:
        """Return a state as the object of a sentence."""
        return self.instructions.phrases.get(state) or self.states[state]

    def state_facts(self, state: str) -> dict[str, str]:
        """Return the facts that name a state."""
        return {"expression": self.states[state], "phrase": self.phrase(state)}

    def unit_facts(self, unit: str, rng: Random) -> dict[str, str]:
        """Return the facts that name a unit."""
        sign = self.instructions.signs.get(unit)
        return {
            "name": unit,
            "label": self.labels[unit],
            "unit": self.units[unit],
            "clause": sign.draw(rng).format() if sign is not None else self.clauses[unit],
            "description": _within(self.descriptions.get(unit, self.clauses[unit])),
        }

    def place(self, second: bool) -> str:
        """Return what the first or the second picture is called."""
        return self.texts["compare.second" if second else "compare.first"].format()

    def step(self, kind: str, value: float) -> str:
        """Return the word for a size, by the declared steps; no text below the first."""
        word = ""
        for least, text in self.instructions.steps[kind]:
            if value < least:
                break
            word = text
        return word

    def draw(self, path: str, rng: Random, facts: Mapping[str, Any]) -> str:
        """Return one of the texts at a path, filled in, begun as a sentence."""
        return sentence(self.forms[path].draw(rng).format_map(facts))

    def filled(self, path: str, rng: Random, facts: Mapping[str, Any]) -> str:
        """Return one of the texts at a path, filled in, within a sentence."""
        return self.forms[path].draw(rng).format_map(facts)

    def units_text(self, names: Iterable[str]) -> str:
        """Return units as a list in words."""
        return self.list_text(tuple(self.units[name] for name in names))

    def any_unit_text(self, names: Iterable[str]) -> str:
        """Return units as a list in words, any of which is meant."""
        return self.join([self.units[name] for name in names], "lists.or")

    def list_text(self, names: tuple[str, ...]) -> str:
        """Return a list in words, made once."""
        if names not in self._lists:
            self._lists[names] = self.join(names)
        return self._lists[names]

    def join(self, parts: Sequence[str], ending: str = "lists.last") -> str:
        """Return parts as a list in words; ending: path of the text before the last one."""
        if not parts:
            return self.texts["lists.none"].format()
        *first, last = parts
        if not first:
            return last
        return self.texts["lists.between"].format().join(first) + self.texts[ending].format() + last

    def _name(self, name: str, label: str = "") -> str:
        return _plain(self.instructions.names.get(name, label or name), name)


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def _within(description: str) -> str:
    """Return a description as it stands within a sentence: it begins with an article or a preposition."""
    first, second = description[:1], description[1:2]
    return description if second.isupper() or second.isdigit() else first.lower() + description[1:]


def _first_clause(description: str) -> str:
    """Return a description up to its first full stop or semicolon: what may be there besides is left out."""
    return description.partition(";")[0].partition(". ")[0].strip().removesuffix(".")


def _plain(text: str, path: str) -> str:
    """Return a text of the base, which may hold nothing that loaders take for something else."""
    if odd := TOKENS.search(text) or CONTROL.search(text):
        raise SekeError(f"{path}: {text!r} holds {odd[0]!r}, which may not stand in an instruction")
    return text
