"""Writes questions and answers about an item's accepted labels, in the words of the instructions.

The phrasing that an item gets depends on its name, the task and the seed alone, not on the order of items or
on what else is exported; only what two pictures are compared depends on their order.
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from seke.exporting import conversation, sentences, statement
from seke.exporting.draft import RowDraft
from seke.exporting.grammar import pick, seeded
from seke.exporting.instruction_row import InstructionRow
from seke.exporting.instruction_texts import REASON_FREE
from seke.exporting.unit_evidence import EvidenceFinder, ItemEvidence, seen_units
from seke.exporting.wording import Wording, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.instruction_reader import Phrasing
    from seke.exporting.instruction_templates import Instructions

# Decimal places of numbers, and of probabilities, in JSON answers.
DIGITS = 2
P_DIGITS = 3
# Items whose evidence is weighed at once.
ITEMS_AT_ONCE = 128
# Tasks that need it.
EVIDENCE_TASKS = frozenset(("reasoned", "reasoned_affect", "conversation"))
# Tasks whose answers are about the expression, so that a split posterior makes their target soft.
EXPRESSION_TASKS = frozenset(("expression", "joint", "reasoned", "units_to_expression", "conversation"))


class InstructionWriter:
    """Writes questions and answers about accepted labels; soft: with probabilities and intervals."""

    def __init__(
        self, base: Knowledge, instructions: Instructions, population: str, *, soft: bool, seed: int
    ) -> None:
        """Raises: engine.SekeError where a name of the base may not stand in a text."""
        self.base, self.instructions = base, instructions
        self.soft, self.seed = soft, seed
        self.wording = Wording(base, instructions)
        self.texts = instructions.texts
        self.population = population
        self.facts = self._facts()
        self._evidence: dict[str, ItemEvidence] = {}

    @cached_property
    def finder(self) -> EvidenceFinder:
        """Return what weighs the evidence, by the compiled base; made only where a task needs it."""
        return EvidenceFinder(self.base, self.population)

    def prepared(self, items: Iterable[AcceptedLabels], tasks: Iterable[str]) -> Iterator[AcceptedLabels]:
        """Yield the same items; the evidence that the tasks need is weighed for many of them at once."""
        needed = EVIDENCE_TASKS.intersection(tasks)
        items = iter(items)
        while batch := list(islice(items, ITEMS_AT_ONCE)):
            reasoned = [a for a in batch if any(self.can_answer(task, a) for task in needed)]
            if reasoned:
                weighed = zip(reasoned, self.finder.of(reasoned), strict=True)
                self._evidence = {accepted.item: evidence for accepted, evidence in weighed}
            yield from batch

    def rows(self, accepted: AcceptedLabels, tasks: Iterable[str]) -> Iterator[InstructionRow]:
        """Yield the rows of each task about one picture that the accepted labels suffice for.

        Where nothing that was seen speaks for an expression it is not reasoned about.
        """
        for task in tasks:
            if task == "compare" or not self.can_answer(task, accepted):
                continue
            if task == "expression" and accepted.expression is None:
                yield from self._undecided(accepted)
                continue
            draft = self.draft(accepted, task)
            if task == "reasoned" and not sentences.has_support(self.wording, draft.evidence):
                continue
            if task == "conversation":
                turns = conversation.turns_of(self.instructions.turns, self.facts_of(task, draft), draft)
                yield InstructionRow(task, turns, soft=self._soft_target(task, accepted))
            elif task == "check":
                yield from statement.checked_rows(self.wording, self.phrasings(task), draft)
            else:
                yield self._row(task, draft)

    def draft(self, accepted: AcceptedLabels, task: str) -> RowDraft:
        """Return what a row of a task is written of."""
        evidence = ItemEvidence({})
        if task in EVIDENCE_TASKS:
            known = self._evidence.get(accepted.item)
            evidence = known if known is not None else self.finder.of([accepted])[0]
        return RowDraft(accepted, evidence, seeded(self.seed, task, accepted.item))

    def _undecided(self, accepted: AcceptedLabels) -> Iterator[InstructionRow]:
        """Yield a row whose soft target is a posterior that was not accepted, where a phrasing says so."""
        phrasings = self.phrasings("expression")
        if not self.soft:
            phrasings = tuple(phrasing for phrasing in phrasings if "shown" in phrasing.answer.fields()[1])
        if phrasings:
            likeliest = replace(accepted, expression=accepted.leaning)
            row = self._row("expression", self.draft(likeliest, "expression"), phrasings)
            yield replace(row, accepted=False)

    def _row(self, task: str, draft: RowDraft, phrasings: Sequence[Phrasing] = ()) -> InstructionRow:
        phrasing = pick(phrasings or self.phrasings(task), draft.rng)
        facts = self.facts_of(task, draft)
        ask = phrasing.ask.draw(draft.rng).format_map(facts)
        form = phrasing.answer.draw(draft.rng)
        frame = f"{ask} {form}" if task in REASON_FREE else ""
        turns = ((ask, form.format_map(facts)),)
        return InstructionRow(task, turns, frame, self._soft_target(task, draft.accepted))

    def phrasings(self, task: str) -> tuple[Phrasing, ...]:
        """Return the phrasings of a task."""
        return self.instructions.phrasings[task, "soft" if self.soft else "plain"]

    def facts_of(self, task: str, draft: RowDraft) -> Mapping[str, Any]:
        """Return the facts of a task about an item, each computed when a text uses it."""
        return _Facts(ChainMap(self.facts.get(task, {}), self.facts[""]), draft)

    def with_box(self, row: InstructionRow, box: Sequence[float] | None) -> InstructionRow:
        """Return a row whose first question says where the face is, if that is known."""
        (ask, answer), *others = row.turns
        return replace(row, turns=((self.boxed(ask, box), answer), *others)) if box is not None else row

    def boxed(self, ask: str, box: Sequence[float] | None, place: str = "") -> str:
        """Return a question with the place of the face added, if it is known.

        box: x, y, width, height in pixels. place: what the picture is called where it is one of two.
        """
        if box is None:
            return ask
        x, y, width, height = box
        facts = {"left": x, "top": y, "right": x + width, "bottom": y + height, "place": place}
        return f"{ask} {self.texts['box_of' if place else 'box'].format_map(facts)}"

    def soft_values(self, accepted: AcceptedLabels) -> dict[str, Any]:
        """Return the probabilities and intervals of the accepted levels, as JSON values."""
        return self._jointly(accepted, soft=True)

    def can_answer(self, task: str, accepted: AcceptedLabels) -> bool:
        """Whether enough is accepted for a task; for reasons, enough that an observer saw."""
        if task in REASON_FREE[:3]:
            return task in accepted.levels or (task == "expression" and accepted.leaning is not None)
        return bool(self._suffices[task](accepted, seen_units(accepted)))

    @cached_property
    def _suffices(self) -> dict[str, Callable[[AcceptedLabels, dict[str, bool]], object]]:
        """Return for each other task whether an item's accepted labels and seen units suffice."""
        return {
            "joint": lambda accepted, _: len(accepted.levels) > 1,
            "reasoned": lambda accepted, seen: accepted.expression is not None and seen,
            "reasoned_affect": lambda accepted, seen: accepted.numbers and seen,
            "describe": lambda _, seen: seen,
            "units_to_expression": lambda accepted, seen: (
                accepted.expression is not None and any(seen.values())
            ),
            "expression_to_units": lambda accepted, _: (
                accepted.expression is not None and any(accepted.units.values())
            ),
            "check": lambda accepted, _: statement.kinds_of(self.base, accepted),
            "compare": lambda accepted, _: accepted.levels,
            "conversation": lambda accepted, _: len(conversation.kinds_of(accepted)) > 1,
            "not_judged": lambda accepted, _: _all_not_judged(accepted.record),
        }

    def _soft_target(self, task: str, accepted: AcceptedLabels) -> str:
        if task not in EXPRESSION_TASKS or accepted.expression is None:
            return ""
        if accepted.leaning is None and not sentences.rival_facts(accepted, self.wording)["word"]:
            return ""
        return _json(self._json_of("expression", accepted, soft=True)["expression"])

    # The facts of each task ---------------------------------------------------------------------------

    def _facts(self) -> dict[str, dict[str, Callable[[RowDraft], Any]]]:
        """Return the makers of facts: of all tasks (under no name), and those that a task has itself."""
        wording, base = self.wording, self.base
        scales = wording.list_text(tuple(wording.numbers.values()))
        levels = wording.list_text(tuple(wording.levels.values()))
        edges = base.variables[base.intervals[0]].edges
        # One of them is to be named.
        states = wording.join(tuple(wording.states.values()), "lists.or")

        def accepted_rival(draft: RowDraft) -> dict[str, Any]:
            return sentences.rival_facts(draft.accepted, wording)

        common: dict[str, Callable[[RowDraft], Any]] = {
            "expression": lambda draft: wording.states[draft.accepted.expression or ""],
            "phrase": lambda draft: wording.phrase(draft.accepted.expression or ""),
            "shown": self._shown,
            "expressions": lambda _: states,
            "p": lambda draft: accepted_rival(draft)["p"],
            "next": lambda draft: wording.states[sentences.second_likeliest(draft.accepted)],
            "p_next": lambda draft: accepted_rival(draft)["p_next"],
            "scales": lambda _: scales,
            "anchors": lambda draft: self._anchors(draft.accepted),
            "levels": lambda _: levels,
            "low": lambda _: edges[0],
            "high": lambda _: edges[-1],
            "numbers": lambda draft: wording.join(self._numbers(draft.accepted)),
            "numbers_told": lambda draft: self._numbers_told(draft.accepted),
            "units": lambda draft: self._visible(draft.accepted.units),
            "verdicts": lambda draft: sentences.verdicts_text(wording, dict(draft.accepted.units), draft.rng),
            "likely": lambda draft: self._likely(draft.accepted),
            "parts": self._parts,
            "reasons": lambda draft: sentences.reasons_text(
                wording, draft.accepted, draft.evidence, draft.rng
            ),
            "affect_reasons": lambda draft: sentences.affect_text(
                wording, draft.accepted, draft.evidence, draft.rng
            ),
            "regions": lambda draft: sentences.regions_text(wording, seen_units(draft.accepted), draft.rng),
        }
        by_task: dict[str, dict[str, Callable[[RowDraft], Any]]] = {"": common}
        for level in REASON_FREE[:3]:
            by_task[level] = {"json": self._json_fact(level), "asked": self._asked_fact(level)}
        by_task["reasoned_affect"] = {"asked": self._asked_fact("affect")}
        by_task["units_to_expression"] = {"units": lambda draft: self._visible(seen_units(draft.accepted))}
        by_task["joint"] = {
            "asked": lambda draft: wording.join(
                [self._asked_text(level, draft.accepted) for level in draft.accepted.levels]
            ),
            "json": lambda draft: _json(self._jointly(draft.accepted, soft=self.soft)),
        }
        return by_task

    def _json_fact(self, level: str) -> Callable[[RowDraft], str]:
        return lambda draft: _json(self._json_of(level, draft.accepted, soft=self.soft))

    def _asked_fact(self, level: str) -> Callable[[RowDraft], str]:
        if level == "action_units":
            return lambda draft: self.wording.list_text(tuple(draft.accepted.units))
        return lambda draft: self._asked_text(level, draft.accepted)

    def _asked_text(self, level: str, accepted: AcceptedLabels) -> str:
        if level == "affect":
            return self.wording.list_text(tuple(self.wording.numbers[name] for name in accepted.numbers))
        if level == "action_units":
            units = self.wording.list_text(tuple(accepted.units))
            return self.texts["units_asked"].format(name=self.wording.levels[level], units=units)
        return self.wording.levels[level]

    def _shown(self, draft: RowDraft) -> str:
        """Return the accepted expression, with the second likeliest where the posterior is split."""
        facts = rival = sentences.rival_facts(draft.accepted, self.wording)
        phrase = self.wording.phrase(draft.accepted.expression or "")
        if not rival["word"] and draft.accepted.leaning is not None:
            return self.wording.filled("unsure", draft.rng, {"phrase": phrase})
        if not rival["word"]:
            return phrase
        return self.wording.filled("uncertain", draft.rng, {**facts, "phrase": phrase})

    def _anchors(self, accepted: AcceptedLabels) -> str:
        """Return the whole anchors of the accepted numbers' scales."""
        lines = []
        for name in accepted.numbers:
            anchors = self.instructions.anchors.get(name, ())
            if anchors:
                points = "; ".join(anchor.text for anchor in anchors)
                lines.append(f"{sentence(self.wording.numbers[name])}: {points}.")
        return " ".join(lines)

    def _numbers(self, accepted: AcceptedLabels) -> list[str]:
        texts = []
        for name, value in accepted.numbers.items():
            facts = {"name": self.wording.numbers[name], "value": value + 0.0}
            if self.soft:
                interval = accepted.record[name]
                facts |= {"low": interval["q05"], "high": interval["q95"]}
            texts.append(self.texts["interval" if self.soft else "number"].format_map(facts))
        return texts

    def _numbers_told(self, accepted: AcceptedLabels) -> str:
        lacking = [name for name in self.wording.numbers if name not in accepted.numbers]
        open_texts = [self.texts["number_open"].format(name=self.wording.numbers[name]) for name in lacking]
        return self.wording.join([*self._numbers(accepted), *open_texts])

    def _visible(self, units: Mapping[str, bool]) -> str:
        return self.wording.units_text(name for name, visible in units.items() if visible)

    def _likely(self, accepted: AcceptedLabels) -> str:
        p, likely, labels = accepted.record["action_units"], self.texts["likely"], self.wording.labels
        return self.wording.join([likely.format(name=n, label=labels[n], p=p[n]) for n in accepted.units])

    def _parts(self, draft: RowDraft) -> str:
        kind = "soft_parts" if self.soft else "parts"
        facts = self.facts_of("joint", draft)
        parts = []
        for level, name in self.wording.levels.items():
            if level in draft.accepted.levels:
                parts.append(self.wording.draw(f"{kind}.{level}", draft.rng, facts))
            else:
                parts.append(self.wording.draw("parts.open", draft.rng, {"level": name}))
        return self.texts[f"{kind}.between"].format().join(parts)

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

    def __init__(self, makers: Mapping[str, Callable[[RowDraft], Any]], draft: RowDraft) -> None:
        super().__init__()
        self._makers, self._draft = makers, draft

    def __missing__(self, key: str) -> Any:
        return self._makers[key](self._draft)


def _all_not_judged(record: Mapping[str, Any]) -> bool:
    """Whether there are answers about an item, all of which say that it cannot be judged."""
    counts = record.get("diagnostics", {})
    return bool(0 < counts.get("samples", 0) == counts.get("not_judged", 0))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
