"""Comparisons of two pictures of one split: each picture with the one before it that waits for a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.exporting.grammar import pick, seeded
from seke.exporting.instruction_row import InstructionRow
from seke.exporting.unit_evidence import seen_units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.instruction_writer import InstructionWriter

TASK = "compare"
# Formats whose rows hold a single picture.
ONE_PICTURE = ("llava",)


def check_formats(formats: Sequence[str], tasks: Sequence[str]) -> None:
    """Refuse comparisons in a format that cannot hold them.

    Raises:
        engine.SekeError: with what to leave out.
    """
    for name in ONE_PICTURE:
        if name in formats and TASK in tasks:
            raise SekeError(
                f"--task {TASK}: needs two pictures in a row, and a row of {name} holds one; leave out "
                f"--format {name} or --task {TASK}"
            )


@dataclass(frozen=True)
class ComparedPicture:
    """A picture to compare. picture: its path from the export's folder; box: x, y, width, height."""

    accepted: AcceptedLabels
    picture: str
    box: Sequence[float] | None


class Comparer:
    """Pairs the pictures of each split in their order, and compares those of which something can be said."""

    def __init__(self, writer: InstructionWriter, tasks: Iterable[str]) -> None:
        self.writer, self.wanted = writer, TASK in tasks
        self._waiting: dict[str, ComparedPicture] = {}

    def rows(self, split: str, picture: ComparedPicture) -> Iterator[InstructionRow]:
        """Yield the comparison of a picture with the one that waits in its split; else it waits itself.

        Of two pictures that nothing can be said of, the later one waits.
        """
        if not self.wanted or not self.writer.can_answer(TASK, picture.accepted):
            return
        first = self._waiting.pop(split, None)
        row = self._compared(first, picture) if first is not None else None
        if row is None:
            self._waiting[split] = picture
        else:
            yield row

    def _compared(self, first: ComparedPicture, second: ComparedPicture) -> InstructionRow | None:
        writer = self.writer
        rng = seeded(writer.seed, "compare", first.accepted.item, second.accepted.item)
        subjects = self._subjects(first.accepted, second.accepted)
        kinds = [kind for kind, names in subjects.items() if names]
        if not kinds:
            return None
        kind = pick(kinds, rng)
        subject = pick(subjects[kind], rng)
        facts = self._facts(kind, subject, (first.accepted, second.accepted))
        if kind == "unit":
            facts |= writer.wording.unit_facts(subject, rng)
        if "path" in facts:
            facts["result"] = writer.wording.draw(facts["path"], rng, facts)
        phrasing = pick(writer.instructions.compared[kind], rng)
        ask = phrasing.ask.draw(rng).format_map(facts)
        for place, picture in enumerate((first, second)):
            ask = writer.boxed(ask, picture.box, writer.wording.place(bool(place)))
        answer = phrasing.answer.draw(rng).format_map(facts)
        pictures, partner = (first.picture, second.picture), first.accepted.item
        return InstructionRow(TASK, ((ask, answer),), pictures=pictures, partner=partner)

    def _subjects(self, first: AcceptedLabels, second: AcceptedLabels) -> dict[str, list[str]]:
        """Return what can be compared, by kind: numbers apart by their tolerance, labels, seen units."""
        base = self.writer.base
        tolerance = base.policy.tolerance
        numbers = [
            name
            for name in first.numbers
            if name in second.numbers
            and name in self.writer.instructions.directions
            and abs(first.numbers[name] - second.numbers[name]) > tolerance.get(name, 0.0)
        ]
        labelled = first.expression is not None and second.expression is not None
        units = [name for name in seen_units(first) if name in seen_units(second)]
        return {"number": numbers, "expression": [base.root] if labelled else [], "unit": units}

    def _facts(self, kind: str, subject: str, pair: tuple[AcceptedLabels, AcceptedLabels]) -> dict[str, Any]:
        """Return the facts of a comparison; `path`: which text says the result."""
        wording = self.writer.wording
        if kind == "expression":
            states = [accepted.expression or "" for accepted in pair]
            path = "compare.same" if states[0] == states[1] else "compare.differ"
            return {**wording.state_facts(states[0]), "other": wording.phrase(states[1]), "path": path}
        if kind == "unit":
            visible = [accepted.units[subject] for accepted in pair]
            if visible[0] == visible[1]:
                return {"path": "compare.both" if visible[0] else "compare.neither"}
            places = [wording.place(second=visible[1]), wording.place(second=visible[0])]
            return {"path": "compare.one", "place": places[0], "other": places[1]}
        values = [accepted.numbers[subject] + 0.0 for accepted in pair]
        directions = self.writer.instructions.directions[subject]
        # The question asks for the higher or the lower one, by chance of the pair itself.
        higher = bool(seeded(self.writer.seed, "higher", pair[0].item, pair[1].item).random() < 0.5)
        chosen = int((values[1] > values[0]) == higher)
        return {
            "number": wording.numbers[subject],
            "more": directions.more if higher else directions.less,
            "place": wording.place(bool(chosen)),
            "other": wording.place(not chosen),
            "value": values[chosen],
            "other_value": values[1 - chosen],
        }
