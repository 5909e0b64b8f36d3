"""What is accepted of an item -> questions and answers, in the words of the instructions.

Which phrasing an item gets is a matter of its name, the task and the seed alone, so that the order of items
and what else is exported change nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.exporting.instruction_templates import CONTROL, TOKENS
from seke.exporting.rationale import Reasons, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.exporting.accepted_labels import Spoken
    from seke.exporting.instruction_templates import Instructions

    Fact = Callable[[Spoken, Why], Any]

DIGITS = 2
P_DIGITS = 3


class Speaker:
    """Says what was accepted; soft: with probabilities and intervals."""

    def __init__(
        self, base: Knowledge, instructions: Instructions, reasons: Reasons, *, soft: bool, seed: int
    ) -> None:
        """Raises: engine.SekeError where a name of the base may not stand in a text."""
        self.base, self.instructions, self.why, self.soft, self.seed = base, instructions, reasons, soft, seed
        self.texts = instructions.texts
        self.states = tuple(self._name(state) for state in base.variables[base.root].states)
        self.labels = {name: self._name(name, base.variables[name].label) for name in base.cells}
        self.units = {
            name: self.texts["unit"].format(name=name, label=label) for name, label in self.labels.items()
        }
        statements = {rule.name: rule.statement for rule in base.rules} | dict(instructions.statements)
        translated = instructions.language != "en"
        self.statements = {
            name: self.texts["reasons.rule"].format(statement=_plain(text, f"rules.{name}"))
            for name, text in statements.items()
            if text and (name in instructions.statements or not translated)
        }
        self.facts = self._facts()
        self._lists: dict[tuple[str, ...], str] = {}

    def rows(self, spoken: Spoken, tasks: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Yield a task, what is asked and what is answered, where what is accepted suffices for it."""
        kind = "soft" if self.soft else "plain"
        for task in tasks:
            why = self.why.of(spoken) if task == "reasoned" else Why()
            if not self.can(task, spoken, why):
                continue
            phrasings = self.instructions.phrasings[task, kind]
            phrasing = phrasings[self._choice(task, spoken.item, len(phrasings))]
            facts = _Facts(self.facts[task], spoken, why)
            yield task, phrasing.ask.format_map(facts), phrasing.answer.format_map(facts)

    def boxed(self, ask: str, box: Sequence[float] | None) -> str:
        """Return what is asked with where the face is, if that is known: left, top, width and height."""
        if box is None:
            return ask
        left, top, width, height = box
        place = {"left": left, "top": top, "right": left + width, "bottom": top + height}
        return f"{ask} {self.texts['box'].format_map(place)}"

    def soft_values(self, spoken: Spoken) -> dict[str, Any]:
        """Return of what is accepted the probabilities and intervals."""
        found: dict[str, Any] = {}
        for level in spoken.levels:
            found |= self._json_of(level, spoken, soft=True)
        return found

    def can(self, task: str, spoken: Spoken, why: Why | None = None) -> bool:
        """Whether enough is accepted for a task: its level, for several levels two, for reasons a reason."""
        if task == "joint":
            return len(spoken.levels) > 1
        if task != "reasoned":
            return task in spoken.levels
        return bool(self._reasons(spoken, why or self.why.of(spoken)))

    def _choice(self, task: str, item: str, count: int) -> int:
        told = f"{self.seed}\0{task}\0{item}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big") % count

    def _name(self, name: str, label: str = "") -> str:
        return _plain(self.instructions.names.get(name, label or name), name)

    def _listed(self, names: tuple[str, ...]) -> str:
        if names not in self._lists:
            self._lists[names] = self._joined(names)
        return self._lists[names]

    def _joined(self, told: Sequence[str]) -> str:
        if not told:
            return self.texts["lists.none"].format()
        *first, last = told
        if not first:
            return last
        return self.texts["lists.between"].format().join(first) + self.texts["lists.last"].format() + last

    # The facts of each task ---------------------------------------------------------------------------

    def _facts(self) -> dict[str, dict[str, Fact]]:
        expression: dict[str, Fact] = {
            "expression": lambda spoken, _: self._state_name(spoken.expression),
            "expressions": lambda *_: self._listed(self.states),
            "p": lambda spoken, _: spoken.record["expression"][spoken.expression],
            "next": lambda spoken, _: self._state_name(_second(spoken)),
            "p_next": lambda spoken, _: spoken.record["expression"][_second(spoken)],
        }
        affect: dict[str, Fact] = {
            "asked": lambda spoken, _: self._listed(tuple(self._name(name) for name in spoken.numbers)),
            "low": lambda *_: self.base.variables[self.base.affect[0]].edges[0],
            "high": lambda *_: self.base.variables[self.base.affect[0]].edges[-1],
            "numbers": lambda spoken, _: self._numbers(spoken),
        }
        units: dict[str, Fact] = {
            "asked": lambda spoken, _: self._listed(tuple(spoken.units)),
            "units": lambda spoken, _: self._units(name for name, seen in spoken.units.items() if seen),
            "likely": lambda spoken, _: self._likely(spoken),
        }
        found = {"expression": expression, "affect": affect, "action_units": units}
        for level, facts in found.items():
            facts["json"] = self._json_fact(level)
        found["joint"] = {
            "asked": lambda spoken, _: self._joined([self._asked(level, spoken) for level in spoken.levels]),
            "parts": self._parts,
            "json": lambda spoken, _: _json(self._jointly(spoken)),
        }
        found["reasoned"] = {**expression, "reasons": self._reasons}
        return found

    def _json_fact(self, level: str) -> Fact:
        return lambda spoken, _: _json(self._json_of(level, spoken, soft=self.soft))

    def _state_name(self, state: str | None) -> str:
        return self.instructions.names.get(state or "", state or "")

    def _numbers(self, spoken: Spoken) -> str:
        told = []
        for name, value in spoken.numbers.items():
            facts = {"name": self._name(name), "value": value}
            if self.soft:
                found = spoken.record[name]
                facts |= {"low": found["q05"], "high": found["q95"]}
            told.append(self.texts["interval" if self.soft else "number"].format_map(facts))
        return self._joined(told)

    def _units(self, names: Iterable[str]) -> str:
        return self._listed(tuple(self.units[name] for name in names))

    def _likely(self, spoken: Spoken) -> str:
        p, likely = spoken.record["action_units"], self.texts["likely"]
        return self._joined([likely.format(name=n, label=self.labels[n], p=p[n]) for n in spoken.units])

    def _asked(self, level: str, spoken: Spoken) -> str:
        if level == "affect":
            return self._listed(tuple(self._name(name) for name in spoken.numbers))
        if level == "action_units":
            facts = {"name": self._name(level), "units": self._listed(tuple(spoken.units))}
            return self.texts["units_asked"].format_map(facts)
        return self._name(level)

    def _parts(self, spoken: Spoken, why: Why) -> str:
        kind = "soft_parts" if self.soft else "parts"
        told = [
            self.texts[f"{kind}.{level}"].format_map(_Facts(self.facts[level], spoken, why))
            for level in spoken.levels
        ]
        return self.texts[f"{kind}.between"].format().join(told)

    def _reasons(self, spoken: Spoken, why: Why) -> str:
        """Return the sentences about what speaks for an expression; none where nothing does."""
        rules = [self.statements[name] for name in why.rules if name in self.statements]
        told = [(one, getattr(why, one)) for one in ("present", "absent", "against")]
        if not (why.present or why.absent or rules):
            return ""
        expression = self._state_name(spoken.expression)
        said = {
            one: self.texts[f"reasons.{one}"].format(expression=expression, units=self._units(names))
            for one, names in told
            if names
        }
        parts = [said.get("present"), *rules, said.get("absent"), said.get("against")]
        return " ".join(part for part in parts if part)

    def _json_of(self, level: str, spoken: Spoken, *, soft: bool) -> dict[str, Any]:
        record = spoken.record
        if level == "expression":
            p = {name: round(value, P_DIGITS) for name, value in record["expression"].items()}
            return {"expression": p if soft else spoken.expression}
        if level == "affect":
            return {
                name: {key: round(record[name][key], DIGITS) for key in ("mean", "q05", "q95")}
                if soft
                else round(value, DIGITS) + 0.0
                for name, value in spoken.numbers.items()
            }
        p = record["action_units"]
        return {
            "action_units": {n: round(p[n], P_DIGITS) if soft else one for n, one in spoken.units.items()}
        }

    def _jointly(self, spoken: Spoken) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for level in spoken.levels:
            found |= self._json_of(level, spoken, soft=self.soft)
        return found


class _Facts(dict[str, Any]):
    """Facts that are made when a text asks for them."""

    def __init__(self, makers: Mapping[str, Fact], spoken: Spoken, why: Why) -> None:
        super().__init__()
        self._makers, self._about = makers, (spoken, why)

    def __missing__(self, key: str) -> Any:
        return self._makers[key](*self._about)


def _second(spoken: Spoken) -> str:
    """Return the likeliest expression but the accepted one."""
    p: dict[str, float] = spoken.record["expression"]
    return max((state for state in p if state != spoken.expression), key=lambda state: p[state])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _plain(text: str, path: str) -> str:
    """Return a text of the base, which may hold nothing that loaders take for something else."""
    if odd := TOKENS.search(text) or CONTROL.search(text):
        raise SekeError(f"{path}: {text!r} holds {odd[0]!r}, which may not stand in an instruction")
    return text
