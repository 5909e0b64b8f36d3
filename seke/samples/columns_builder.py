"""The builder of a sheet: its entries so far, and the faults of its records.

Passes over a chunk go column by column, so faults are not met in the order of the records:
each pass notes those it sees, of a record the first one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import did_you_mean
from seke.files.shipped import GENERIC_OBSERVER
from seke.samples.columns import ENTRY, TOLD, structure
from seke.samples.spelling import Spellings
from seke.samples.vocabulary import STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from engine import Bools, Ints
    from seke.files.faults import Faults
    from seke.samples.schema import Chunk
    from seke.samples.vocabulary import Vocabulary


_STATUS = {name: index for index, name in enumerate(STATUSES)}
NOTHING_REPORTED = f"reports nothing; leave it out, or say by `status` why: {', '.join(STATUSES[1:])}"


class _Lookup(dict[str, int]):
    """Name -> number; -1 for an unknown name."""

    def __missing__(self, name: str) -> int:
        return -1


def look_up(names: Sequence[str], known: Mapping[str, int]) -> Ints:
    """Return the number of each name (n,), -1 where it is unknown."""
    numbers = known if isinstance(known, Spellings) else _Lookup(known)
    return np.fromiter(map(numbers.__getitem__, names), dtype=np.int64, count=len(names))


def filled_rows(values: list[Any]) -> Ints:
    """Return the rows of a column that are not None, ascending, (n,)."""
    missing = values.count(None)
    if missing in (0, len(values)):
        return np.arange(len(values) - missing)
    return np.array([row for row, value in enumerate(values) if value is not None], dtype=np.int64)


def unknown_name(path: str, what: str, name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not declared."""
    return f"{path}: no such {what}: {short_name(name)!r}{did_you_mean(name, known)}"


def short_name(name: str) -> str:
    """Return a name as messages show it, cut to 60 characters."""
    return name if len(name) <= 60 else f"{name[:57]}..."


def _unknown_observer(path: str, what: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an observer that is not declared: another model's numbers are not its own."""
    return f"{path}: no such {what}: {short_name(name)!r}; {cure_of_unknown_observer(known)}"


def cure_of_unknown_observer(known: Iterable[str]) -> str:
    """Return what to do where an observer is not declared; no other model's name is offered as meant."""
    declared = sorted(known)
    names = ", ".join(declared[:12]) + (", ..." if len(declared) > 12 else "")
    cure = "declare it under `observers` of an overlay"
    if GENERIC_OBSERVER in declared:
        cure += f", or let its answers be those of {GENERIC_OBSERVER!r}"
    return f"{cure}; declared are {names}"


class SheetBuilder:
    """Builds a sheet: collects its entries and notes the records at fault."""

    def __init__(self, records: list[Any], vocabulary: Vocabulary) -> None:
        self.records = records
        self.vocabulary = vocabulary
        self._parts: list[NDArray[np.void]] = [np.empty(0, dtype=ENTRY)]
        self._faults: dict[int, Callable[[], str]] = {}
        observers = [record.observer for record in records]
        questions = [record.question for record in records]
        self.observer = self._codes_of("observer", observers, vocabulary.observers)
        self.question = self._codes_of("question", questions, vocabulary.questions)

    def _codes_of(self, key: str, names: list[str], known: Mapping[str, int]) -> Ints:
        codes = look_up(names, known)
        message = _unknown_observer if key == "observer" else unknown_name
        self.note(codes < 0, np.arange(len(codes)), lambda at: message(key, key, names[at], known))
        return np.maximum(codes, 0)  # a fault is noted: what follows may think of any

    def note(self, bad: Bools, rows: Ints, reason: Callable[[int], str]) -> None:
        """Note a fault of those of `rows` that are bad; `reason` takes their positions."""
        for at in np.flatnonzero(bad).tolist():
            self._faults.setdefault(int(rows[at]), partial(reason, at))

    def note_all(self, rows: Ints, reason: str) -> None:
        """Note the same fault of some rows."""
        self.note(np.ones(len(rows), dtype=bool), rows, lambda _: reason)

    def add(self, rows: Any, variable: Any, form: int, code: Any = 0, value: Any = 0.0) -> None:
        """Add entries of one form."""
        if len(rows):
            columns = {"row": rows, "variable": variable, "form": form, "code": code}
            self._parts.append(structure(ENTRY, len(rows), columns | {"value": value}))

    def entries(self) -> NDArray[np.void]:
        """Return all entries (m,), ascending by row."""
        entries = np.concatenate(self._parts)
        # numpy sorts 16-bit keys by radix, several times faster than wider ones
        short = np.uint16 if len(self.records) < 1 << 16 else np.int64
        return np.take(entries, np.argsort(entries["row"].astype(short), kind="stable"))

    def statuses(self, entries: NDArray[np.void]) -> Ints:
        """Return the records' statuses (n,); an answer reports something if and only if it is ok."""
        names = [record.status for record in self.records]
        codes = look_up(names, _STATUS)
        reported = entries["row"][entries["form"] != TOLD]
        reports = np.bincount(reported, minlength=len(names)) > 0
        rows = np.arange(len(names))
        self.note((codes == 0) & ~reports, rows, lambda _: NOTHING_REPORTED)
        self.note((codes > 0) & reports, rows, lambda at: self._overfull_fault(at, names[at]))
        return codes

    def _overfull_fault(self, row: int, status: str) -> str:
        keys = [field.name for field in self.vocabulary.fields]
        values = [getattr(self.records[row], f"field_{index}") for index in range(len(keys))]
        filled = [key for key, value in zip(keys, values, strict=True) if value is not None]
        keys_in_words = ", ".join(filled or ["reports"])
        return f"status: met {status!r} beside {keys_in_words}; such an answer reports nothing"

    def check(self, rows: Ints, variables: Any, path: Callable[[int], str]) -> None:
        """Check that the questions ask for the variables and the observers report them."""
        vocabulary = self.vocabulary
        asked = vocabulary.asked[self.question[rows], variables]
        self.note(~asked, rows, lambda at: f"{path(at)}: {self._unasked_fault(rows[at])}")
        equipped = vocabulary.equipped[self.observer[rows], variables]
        self.note(~equipped, rows, lambda at: f"{path(at)}: {self._unequipped_fault(rows[at])}")

    def _unasked_fault(self, row: int) -> str:
        asked = ", ".join(self.vocabulary.reported_to(int(self.question[row])))
        return f"question {self.records[row].question!r} does not ask for it; it asks for {asked}"

    def _unequipped_fault(self, row: int) -> str:
        reported = ", ".join(self.vocabulary.reported_by(int(self.observer[row])))
        name = self.records[row].observer
        return f"observer {name!r} has no instrument for it; it reports {reported}"

    def meanings(self, variable: int, names: Sequence[str]) -> Ints:
        """Return the number of each name (n,) among the words about a variable, -1 for unknown ones."""
        return look_up(names, self.vocabulary.spellings[variable])

    def note_repeats(self, owner: Ints, names: Sequence[str], numbers: Ints, rows: Ints, path: str) -> None:
        """Note the collections in which two names, perhaps written otherwise, mean the same.

        owner: the collection of each name (E,), ascending. numbers: what it means (E,), -1 for nothing. rows:
        the row of each collection.
        """
        meant = list(zip(owner.tolist(), numbers.tolist(), strict=True))
        if len(set(meant)) == len(meant):
            return
        first: dict[tuple[int, int], str] = {}
        for key, name in zip(meant, names, strict=True):
            if key[1] >= 0 and key in first:
                twice = (
                    f"{name!r}" if first[key] == name else f"{first[key]!r} and {name!r}, which is the same,"
                )
                self.note_all(rows[[key[0]]], f"{path} names {twice} more than once")
            first.setdefault(key, name)

    def answers(self, variable: int, rows: Ints, names: Sequence[str], path: Callable[[int], str]) -> Ints:
        """Return the index of each name (n,) among the answers of its record's observer."""
        words, table = self.vocabulary.words[variable], self.vocabulary.answers[variable]
        # An unknown word is -1, which picks the last column of the table: no answer.
        indices = table[self.observer[rows], self.meanings(variable, names)]

        def reason(at: int) -> str:
            observer_indices = table[self.observer[rows[at]]]
            allowed = [word for word, index in words.items() if observer_indices[index] >= 0]
            who = f"answer of observer {self.records[rows[at]].observer!r}"
            return unknown_name(path(at), who, names[at], allowed)

        self.note(indices < 0, rows, reason)
        return np.maximum(indices, 0)

    def note_faults(self, faults: Faults, prefix: str, chunk: Chunk) -> None:
        """Note the faults of a chunk among those of all files; `prefix` begins their places."""
        for row, reason in self._faults.items():
            line = int(chunk.lines[row])
            faults.note(partial(_fault_text, f"{prefix}{line}", reason), (chunk.file, line))


def _fault_text(place: str, reason: Callable[[], str]) -> str:
    return f"{place}: {reason()}"
