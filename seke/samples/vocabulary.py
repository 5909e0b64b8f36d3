"""The names that samples may use, derived once from a knowledge base.

No name of a domain stands here: the keys of a sample beside the fixed ones are the levels
and interval variables that the base declares. A fixed key wins over a level of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from seke.samples.spelling import Spellings, other_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Bools, Floats, Ints, Knowledge, Observer, Variable

Kind = Literal["categorical", "interval", "binary"]
REQUIRED = ("item", "observer", "question")
# The draw of a sample that states none, until `to_engine.arrange` numbers it.
UNNUMBERED = -1
FIXED = (*REQUIRED, "draw", "view", "status", "given", "reports", "extra")
# What is said of records of `seke infer` that are given as samples.
NO_SAMPLES = "is a posterior record, as seke infer writes it, and no sample: give the samples that it is of"
STATUSES = ("ok", "refused", "unreadable", "not_judged")


@dataclass(frozen=True)
class Field:
    """A key of a sample that the base declares.

    `members`: what may be named in it. For a categorical or interval key its one variable;
    for a level of binary variables those, and the codes with indices from `len(names)` on. `spellings`: the
    same, also of names that are written otherwise.
    """

    name: str
    kind: Kind
    members: Mapping[str, int]
    spellings: Spellings

    def member_named(self, text: str) -> str:
        """Return the member that a text means, an empty text where it means none."""
        index = self.spellings[text]
        return next((name for name, member in self.members.items() if member == index), "")


@dataclass(frozen=True)
class Vocabulary:
    """The tables against which samples are checked; V variables, O observers and then copies, Q questions.

    kinds: how each variable is reported. asked: (Q, V), what a question asks for. equipped: (O, V),
    what an observer has an instrument for. words[v] numbers the answers that any observer may give
    about v; spellings[v] also those that are written otherwise. answers[v]: (O, words + 1), a
    word's index among the observer's own answers, -1 where it is none of them (last column: unknown
    words). totals: (O, V), what the numbers of an observer's distributions sum to. hides: (C, V),
    variables that a code makes not visible. low, high: (V,), range of the interval variables.
    about_one: (Q,), askable: (O,). original: (O,), the observer that each is a copy of, itself
    where it is none. usual_view: that of samples that name none. stated[v]:
    the states of a variable that a prompt may state, by name; empty of one that is no categorical one.
    may_follow: (O, Q), whether an observer declares how often it follows what the prompt of a question
    stated.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    indices: Mapping[str, int]
    fields: tuple[Field, ...]
    observers: Mapping[str, int]
    questions: Mapping[str, int]
    codes: tuple[str, ...]
    words: tuple[Mapping[str, int], ...]
    spellings: tuple[Spellings, ...]
    answers: tuple[Ints, ...]
    asked: Bools
    equipped: Bools
    totals: Floats
    hides: Bools
    low: Floats
    high: Floats
    about_one: Bools
    askable: Bools
    original: Ints
    usual_view: str
    stated: tuple[Spellings, ...]
    may_follow: Bools

    def member_mask(self, field: Field) -> Bools:
        """Return the variables that belong to a key, (V,) bool."""
        mask = np.zeros(len(self.names), dtype=bool)
        mask[[index for index in field.members.values() if index < len(self.names)]] = True
        return mask

    def reported_by(self, observer: int) -> list[str]:
        """Return the names of the variables that an observer reports."""
        return [name for name, has in zip(self.names, self.equipped[observer], strict=True) if has]

    def reported_to(self, question: int) -> list[str]:
        """Return the names of the variables that a question asks for."""
        return [name for name, asks in zip(self.names, self.asked[question], strict=True) if asks]


def vocabulary_of(knowledge: Knowledge) -> Vocabulary:
    """Return the vocabulary of a base."""
    names = tuple(knowledge.variables)
    indices = {name: index for index, name in enumerate(names)}
    copies = {name: copy.original for name, copy in knowledge.copies.items()}
    original_of = {name: name for name in knowledge.observers} | copies
    observers = tuple(knowledge.observers[original] for original in original_of.values())
    place = {name: index for index, name in enumerate(knowledge.observers)}
    questions = tuple(knowledge.questions.values())
    codes = tuple(knowledge.codes.values())
    edges = [variable.edges or (-np.inf, np.inf) for variable in knowledge.variables.values()]
    spoken = [_words(observers, name) for name in names]
    return Vocabulary(
        names=names,
        kinds=tuple(_kind(variable) for variable in knowledge.variables.values()),
        indices=indices,
        fields=tuple(_fields(knowledge, indices)),
        observers={name: index for index, name in enumerate(original_of)},
        questions={question.name: index for index, question in enumerate(questions)},
        codes=tuple(knowledge.codes),
        words=tuple(words for words, _ in spoken),
        spellings=tuple(
            Spellings(words, other_words(knowledge.variables[name]))
            for name, (words, _) in zip(names, spoken, strict=True)
        ),
        answers=tuple(answers for _, answers in spoken),
        asked=_mask([question.variables for question in questions], indices),
        equipped=_mask([(*observer.labels, *observer.numbers) for observer in observers], indices),
        totals=np.array(
            [
                [observer.labels[name].total if name in observer.labels else 1.0 for name in names]
                for observer in observers
            ]
        ).reshape(len(observers), len(names)),
        hides=_mask([code.hides for code in codes], indices),
        low=np.array([edge[0] for edge in edges]),
        high=np.array([edge[-1] for edge in edges]),
        about_one=np.array([question.about_one for question in questions], dtype=bool),
        askable=np.array([observer.askable for observer in observers], dtype=bool),
        original=np.array([place[name] for name in original_of.values()], dtype=np.int64),
        usual_view=knowledge.usual_view,
        stated=tuple(
            Spellings(
                {state: at for at, state in enumerate(variable.states) if variable.kind == "categorical"},
                other_words(variable),
            )
            for variable in knowledge.variables.values()
        ),
        may_follow=np.array(
            [
                [name in observer.halo_of_given or name in observer.echo for name in knowledge.questions]
                for observer in observers
            ],
            dtype=bool,
        ).reshape(len(observers), len(questions)),
    )


def _mask(rows: list[tuple[str, ...]], indices: Mapping[str, int]) -> Bools:
    mask = np.zeros((len(rows), len(indices)), dtype=bool)
    for row, names in enumerate(rows):
        mask[row, [indices[name] for name in names]] = True
    return mask


def _kind(variable: Variable) -> Kind:
    # A derived variable has named states, so it is reported like a categorical one.
    return "categorical" if variable.kind == "derived" else variable.kind


def _words(observers: Sequence[Observer], variable: str) -> tuple[dict[str, int], Ints]:
    instruments = [observer.labels.get(variable) for observer in observers]
    every = dict.fromkeys(word for i in instruments if i is not None for word in i.answers)
    words = {word: index for index, word in enumerate(every)}
    answers = np.full((len(instruments), len(words) + 1), -1, dtype=np.int64)
    for row, instrument in enumerate(instruments):
        for index, word in enumerate(instrument.answers if instrument is not None else ()):
            answers[row, words[word]] = index
    return words, answers


def _fields(knowledge: Knowledge, indices: Mapping[str, int]) -> Iterator[Field]:
    taken = set(FIXED)
    codes = {code: len(indices) + index for index, code in enumerate(knowledge.codes)}
    labels = {name: variable.label for name, variable in knowledge.variables.items()}
    labels |= {name: code.label for name, code in knowledge.codes.items()}
    for level, members in knowledge.levels.items():
        kinds = [knowledge.variables[member].kind for member in members]
        within = {member: indices[member] for member in members}
        fields: list[Field] = []
        if kinds == ["categorical"]:
            fields = [Field(level, "categorical", within, Spellings(within, {}))]
        elif kinds and set(kinds) == {"binary"}:
            marked = within | codes
            fields = [Field(level, "binary", marked, Spellings(marked, {}, labels))]
        fields += [
            Field(member, "interval", {member: indices[member]}, Spellings({member: indices[member]}, {}))
            for member, kind in zip(members, kinds, strict=True)
            if kind == "interval"
        ]
        yield from (field for field in fields if field.name not in taken)
        taken.update(field.name for field in fields)
