"""Writes questions and answers about an item's accepted labels, in the words of the instructions.

The phrasing that an item gets depends on its name, the task and the seed alone, not on the order of items or
on what else is exported.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.exporting.instruction_templates import CONTROL, TOKENS
from seke.exporting.rationale import Rationale, RationaleFinder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.instruction_templates import Instructions

    Fact = Callable[[AcceptedLabels, Rationale], Any]

# Decimal places of numbers, and of probabilities, in JSON answers.
DIGITS = 2
P_DIGITS = 3


class InstructionWriter:
    """Writes questions and answers about accepted labels; soft: with probabilities and intervals."""

    def __init__(
        self,
        base: Knowledge,
        instructions: Instructions,
        rationales: RationaleFinder,
        *,
        soft: bool,
        seed: int,
    ) -> None:
        """Raises: engine.SekeError where a name of the base may not stand in a text."""
        self.base, self.instructions, self.rationales = base, instructions, rationales
        self.soft, self.seed = soft, seed
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

    def rows(self, accepted: AcceptedLabels, tasks: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Yield (task, question, answer) for each task that the accepted labels suffice for."""
        kind = "soft" if self.soft else "plain"
        for task in tasks:
            rationale = self.rationales.of(accepted) if task == "reasoned" else Rationale()
            if not self.can_answer(task, accepted, rationale):
                continue
            phrasings = self.instructions.phrasings[task, kind]
            phrasing = phrasings[self._choice(task, accepted.item, len(phrasings))]
            facts = _Facts(self.facts[task], accepted, rationale)
            yield task, phrasing.ask.format_map(facts), phrasing.answer.format_map(facts)

    def boxed(self, ask: str, box: Sequence[float] | None) -> str:
        """Return a question with the place of the face added, if it is known; box: x, y, width, height."""
        if box is None:
            return ask
        x, y, width, height = box
        place = {"left": x, "top": y, "right": x + width, "bottom": y + height}
        return f"{ask} {self.texts['box'].format_map(place)}"

    def soft_values(self, accepted: AcceptedLabels) -> dict[str, Any]:
        """Return the probabilities and intervals of the accepted levels, as JSON values."""
        return self._jointly(accepted, soft=True)

    def can_answer(self, task: str, accepted: AcceptedLabels, rationale: Rationale | None = None) -> bool:
        """Whether enough is accepted for a task: its level, for several levels two, for reasons a reason."""
        if task == "joint":
            return len(accepted.levels) > 1
        if task != "reasoned":
            return task in accepted.levels
        return bool(self._reasons(accepted, rationale or self.rationales.of(accepted)))

    def _choice(self, task: str, item: str, count: int) -> int:
        key = f"{self.seed}\0{task}\0{item}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") % count

    def _name(self, name: str, label: str = "") -> str:
        return _plain(self.instructions.names.get(name, label or name), name)

    def _list_text(self, names: tuple[str, ...]) -> str:
        if names not in self._lists:
            self._lists[names] = self._join(names)
        return self._lists[names]

    def _join(self, parts: Sequence[str]) -> str:
        if not parts:
            return self.texts["lists.none"].format()
        *first, last = parts
        if not first:
            return last
        return self.texts["lists.between"].format().join(first) + self.texts["lists.last"].format() + last

    # The facts of each task ---------------------------------------------------------------------------

    def _facts(self) -> dict[str, dict[str, Fact]]:
        expression: dict[str, Fact] = {
            "expression": lambda accepted, _: self._state_name(accepted.expression),
            "phrase": lambda accepted, _: self._state_phrase(accepted.expression),
            "expressions": lambda *_: self._list_text(self.states),
            "p": lambda accepted, _: accepted.record["expression"][accepted.expression],
            "next": lambda accepted, _: self._state_name(_second(accepted)),
            "p_next": lambda accepted, _: accepted.record["expression"][_second(accepted)],
        }
        affect: dict[str, Fact] = {
            "asked": lambda accepted, _: self._asked_text("affect", accepted),
            "low": lambda *_: self.base.variables[self.base.intervals[0]].edges[0],
            "high": lambda *_: self.base.variables[self.base.intervals[0]].edges[-1],
            "numbers": lambda accepted, _: self._numbers(accepted),
        }
        units: dict[str, Fact] = {
            "asked": lambda accepted, _: self._list_text(tuple(accepted.units)),
            "units": lambda accepted, _: self._units(name for name, seen in accepted.units.items() if seen),
            "likely": lambda accepted, _: self._likely(accepted),
        }
        by_task = {"expression": expression, "affect": affect, "action_units": units}
        for level, facts in by_task.items():
            facts["json"] = self._json_fact(level)
        by_task["joint"] = {
            "asked": lambda accepted, _: self._join(
                [self._asked_text(level, accepted) for level in accepted.levels]
            ),
            "parts": self._parts,
            "json": lambda accepted, _: _json(self._jointly(accepted, soft=self.soft)),
        }
        by_task["reasoned"] = {**expression, "reasons": self._reasons}
        return by_task

    def _json_fact(self, level: str) -> Fact:
        return lambda accepted, _: _json(self._json_of(level, accepted, soft=self.soft))

    def _state_name(self, state: str | None) -> str:
        return self.instructions.names.get(state or "", state or "")

    def _state_phrase(self, state: str | None) -> str:
        return self.instructions.phrases.get(state or "") or self._state_name(state)

    def _numbers(self, accepted: AcceptedLabels) -> str:
        texts = []
        for name, value in accepted.numbers.items():
            facts = {"name": self._name(name), "value": value}
            if self.soft:
                interval = accepted.record[name]
                facts |= {"low": interval["q05"], "high": interval["q95"]}
            texts.append(self.texts["interval" if self.soft else "number"].format_map(facts))
        return self._join(texts)

    def _units(self, names: Iterable[str]) -> str:
        return self._list_text(tuple(self.units[name] for name in names))

    def _likely(self, accepted: AcceptedLabels) -> str:
        p, likely = accepted.record["action_units"], self.texts["likely"]
        return self._join([likely.format(name=n, label=self.labels[n], p=p[n]) for n in accepted.units])

    def _asked_text(self, level: str, accepted: AcceptedLabels) -> str:
        if level == "affect":
            return self._list_text(tuple(self._name(name) for name in accepted.numbers))
        if level == "action_units":
            facts = {"name": self._name(level), "units": self._list_text(tuple(accepted.units))}
            return self.texts["units_asked"].format_map(facts)
        return self._name(level)

    def _parts(self, accepted: AcceptedLabels, rationale: Rationale) -> str:
        kind = "soft_parts" if self.soft else "parts"
        parts = [
            self.texts[f"{kind}.{level}"].format_map(_Facts(self.facts[level], accepted, rationale))
            for level in accepted.levels
        ]
        return self.texts[f"{kind}.between"].format().join(parts)

    def _reasons(self, accepted: AcceptedLabels, rationale: Rationale) -> str:
        """Return the sentences about the evidence for an expression; no text where there is none."""
        rules = [self.statements[name] for name in rationale.rules if name in self.statements]
        units_by_role = [(role, getattr(rationale, role)) for role in ("present", "absent", "against")]
        if not (rationale.present or rationale.absent or rules):
            return ""
        expression, phrase = self._state_name(accepted.expression), self._state_phrase(accepted.expression)
        sentences = {
            role: self.texts[f"reasons.{role}"].format(
                expression=expression, phrase=phrase, units=self._units(names)
            )
            for role, names in units_by_role
            if names
        }
        parts = [sentences.get("present"), *rules, sentences.get("absent"), sentences.get("against")]
        return " ".join(part for part in parts if part)

    def _json_of(self, level: str, accepted: AcceptedLabels, *, soft: bool) -> dict[str, Any]:
        record = accepted.record
        if level == "expression":
            p = {name: round(value, P_DIGITS) for name, value in record["expression"].items()}
            return {"expression": p if soft else accepted.expression}
        if level == "affect":
            return {
                name: {key: round(record[name][key], DIGITS) for key in ("mean", "q05", "q95")}
                if soft
                else round(value, DIGITS) + 0.0
                for name, value in accepted.numbers.items()
            }
        p = record["action_units"]
        return {
            "action_units": {
                n: round(p[n], P_DIGITS) if soft else visible for n, visible in accepted.units.items()
            }
        }

    def _jointly(self, accepted: AcceptedLabels, *, soft: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for level in accepted.levels:
            values |= self._json_of(level, accepted, soft=soft)
        return values


class _Facts(dict[str, Any]):
    """A mapping from the name of a fact to its value, computed when a text uses it."""

    def __init__(self, makers: Mapping[str, Fact], accepted: AcceptedLabels, rationale: Rationale) -> None:
        super().__init__()
        self._makers, self._arguments = makers, (accepted, rationale)

    def __missing__(self, key: str) -> Any:
        return self._makers[key](*self._arguments)


def _second(accepted: AcceptedLabels) -> str:
    """Return the likeliest expression other than the accepted one."""
    p: dict[str, float] = accepted.record["expression"]
    return max((state for state in p if state != accepted.expression), key=lambda state: p[state])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _plain(text: str, path: str) -> str:
    """Return a text of the base, which may hold nothing that loaders take for something else."""
    if odd := TOKENS.search(text) or CONTROL.search(text):
        raise SekeError(f"{path}: {text!r} holds {odd[0]!r}, which may not stand in an instruction")
    return text
