"""The form of an answer: which keys it has, as JSON Schema for the server and in words for the model.

The keys are those of a sample record. An answer lists binary variables where it is about other things as
well, and says of each true, false or null (cannot be seen) where it is about them alone. Where the question
declares `sight`, an answer first says how well it sees; names that it cannot see stand beside a list, and
null stands for any other value that it cannot tell.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.samples import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge, LabelInstrument, Observer, Variable

    Json = dict[str, Any]

# Names of a ranking.
PLACES = 3
ORDER = ("sight", "hidden", "marks", "list", "mark", "number", "label", "ranking")
# The key beside a list for what cannot be seen.
NOT_VISIBLE = "not_visible"


@dataclass(frozen=True)
class Key:
    """One key of an answer.

    kind: `label`, `ranking`, `number`, `list` or `marks`; `sight` for how well the answer sees, best first in
    `allowed`, and `hidden` for the names beside a list that cannot be seen. members: the variables that it
    tells of. allowed: what may be named in it. low, high: the range of a number; onto: the one of its
    variable, where this is another. inside: whether it stands under `reports`. labels: name -> what it is
    called. also: another name, folded -> the name that it means. others: codes of the base that may not be
    named, and hide nothing. nullable: whether null is an answer.
    """

    name: str
    kind: str
    members: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    onto: tuple[float, float] | None = None
    inside: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    nullable: bool = False

    @cached_property
    def meanings(self) -> dict[str, str]:
        """Text, folded -> the name that it means: a name, another name or a label of just one of them."""
        labels = Counter(self.labels.get(name, "").casefold() for name in self.allowed)
        called = {self.labels.get(name, "").casefold(): name for name in self.allowed}
        also = {text: name for text, name in self.also.items() if name in self.allowed}
        own_names = {name.casefold(): name for name in self.allowed}
        return {text: name for text, name in called.items() if text and labels[text] == 1} | also | own_names

    def on_range(self, number: float) -> float:
        """Return a number of an answer, in [low, high], on the range of the variable."""
        if self.onto is None:
            return number
        low, high = self.onto
        return round(low + (number - self.low) * (high - low) / (self.high - self.low), 9)


@dataclass(frozen=True)
class Form:
    """All keys of an answer. also: another name, folded -> the key that it means."""

    keys: tuple[Key, ...]
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> tuple[Key, ...]:
        """The keys that tell of variables."""
        return tuple(key for key in self.keys if key.members)

    def aside(self, kind: str) -> Key | None:
        """Return the key of this kind that tells of no variable, `sight` or `hidden`; None without one."""
        return next((key for key in self.keys if key.kind == kind), None)

    def schema(self) -> Json:
        """Return the JSON Schema of an answer, in the strict form of structured output."""
        outer = {key.name: _schema(key) for key in self.keys if not key.inside}
        inner = {key.name: _schema(key) for key in self.keys if key.inside}
        return _object(outer | ({"reports": _object(inner)} if inner else {}))

    def reversed(self) -> Form:
        """Return the same form with the names in each key in reversed order; words of sight keep theirs."""
        keys = (key if key.kind == "sight" else replace(key, allowed=key.allowed[::-1]) for key in self.keys)
        return replace(self, keys=tuple(keys))

    def words(self) -> str:
        """Return an example of the form, with dots where the model has to say something."""
        outer = [f'"{key.name}": {_words(key)}' for key in self.keys if not key.inside]
        inner = [f'"{key.name}": {_words(key)}' for key in self.keys if key.inside]
        return "{" + ", ".join(outer + ([f'"reports": {{{", ".join(inner)}}}'] if inner else [])) + "}"


def form_of(base: Knowledge, observer: str, question: str, about: str | None, known: frozenset[str]) -> Form:
    """Return the form of an answer of an observer to a question.

    about: the one variable that it is about, where it is about one. known: variables that are not asked for,
    as they are known already, unless nothing else would be left.

    Raises:
        engine.SekeError: nothing that the question asks for does this observer report.
    """
    reporter, asked_question = base.observers[observer], base.questions[question]
    variables = [
        name for name in asked_question.variables if name in reporter.instruments and about in (None, name)
    ]
    variables = [name for name in variables if name not in known] or variables
    if not variables:
        raise SekeError(f"observer {observer} reports nothing that question {question} asks for")
    words = {text.strip().casefold(): name for name, texts in asked_question.also.items() for text in texts}
    mixed = any(base.variables[name].kind != "binary" for name in variables)
    keys, placed = [], set[str]()
    for level in vocabulary_of(base).fields:
        members = tuple(name for name in variables if name in level.members and name not in placed)
        if members:
            placed |= set(members)
            key = _key(base, reporter, level.name, level.kind, members, mixed)
            keys.append(replace(key, kind="label") if about and key.kind == "ranking" else key)
    for name in (name for name in variables if name not in placed):
        kind = base.variables[name].kind
        inner_key = _key(base, reporter, name, "mark" if kind == "binary" else kind, (name,), mixed)
        keys.append(replace(inner_key, inside=True))
    if asked_question.sight is not None:
        keys = [replace(key, nullable=key.kind in ("number", "label", "ranking")) for key in keys]
        keys += [
            Key(NOT_VISIBLE, "hidden", (), key.members, labels=key.labels)
            for key in keys
            if key.kind == "list"
        ][:1]
        keys.append(Key(asked_question.sight.key, "sight", (), tuple(asked_question.sight.words)))
    keys = [replace(_on_scale(key, asked_question.scale), also={**key.also, **words}) for key in keys]
    names = {text.strip().casefold(): name for name in variables for text in base.variables[name].other_names}
    # What is seen comes before what it is called: a model that writes the name first writes the rest to fit.
    return Form(tuple(sorted(keys, key=lambda key: ORDER.index(key.kind))), names | words)


def _on_scale(key: Key, scale: tuple[float, float] | None) -> Key:
    """Return a key whose numbers are on the scale of its question."""
    if key.kind != "number" or scale is None or scale == (key.low, key.high):
        return key
    return replace(key, low=scale[0], high=scale[1], onto=(key.low, key.high))


def _key(
    base: Knowledge, reporter: Observer, name: str, kind: str, members: tuple[str, ...], mixed: bool
) -> Key:
    variable = base.variables[members[0]]
    if kind == "interval":
        return Key(name, "number", members, low=variable.edges[0], high=variable.edges[-1])
    if kind == "binary":
        # A question about one variable offers no code in its place, and does not explain any.
        several = len(members) > 1
        codes = tuple(c.name for c in base.codes.values() if several and set(c.hides) & set(members))
        labels = {code.name: code.label for code in base.codes.values()}
        labels |= {variable.name: variable.label for variable in base.variables.values()}
        others = tuple(code.name for code in base.codes.values() if not code.hides)
        kind = "list" if mixed else "marks"
        also = {
            text.strip().casefold(): member
            for member in members
            for text in base.variables[member].other_names
        }
        return Key(name, kind, members, (*members, *codes), labels=labels, also=also, others=others)
    if kind == "mark":
        return Key(name, "mark", members)
    answers = reporter.labels[members[0]].answers
    kind = "ranking" if _ranks(reporter.labels[members[0]], variable, base) else "label"
    also = {text.strip().casefold(): state for state, names in variable.also.items() for text in names}
    return Key(name, kind, members, answers, also=also)


def _ranks(instrument: LabelInstrument, variable: Variable, base: Knowledge) -> bool:
    """Say whether the observer's model covers rankings of the variable."""
    return (
        variable.name == base.root
        and bool(instrument.habit or instrument.bonus)
        and len(instrument.answers) >= PLACES
    )


def _object(properties: Mapping[str, Json]) -> Json:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(key: Key) -> Json:
    names: Json = {"type": "string", "enum": list(key.allowed)}
    listed: Json = {"type": "array", "items": names, "maxItems": len(key.allowed)}
    schema: Json = {"type": ["boolean", "null"]}
    match key.kind:
        case "number":
            span = f"from {key.low:g} to {key.high:g}"
            schema = {"type": "number", "description": span, "minimum": key.low, "maximum": key.high}
        case "label":
            schema = names
        case "sight":
            schema = {**names, "description": "how well it can be seen"}
        case "hidden":
            schema = {**listed, "description": "those whose place cannot be seen"}
        case "ranking":
            order = f"{PLACES} different ones, the best first"
            schema = {**listed, "description": order, "minItems": PLACES, "maxItems": PLACES}
        case "list":
            schema = listed
        case "marks":
            schema = _object(dict.fromkeys(key.allowed, schema))
    if key.nullable:
        schema = schema | {"type": [schema["type"], "null"]}
        schema |= {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema


def _words(key: Key) -> str:
    match key.kind:
        case "label" | "sight":
            return '"..."'
        case "ranking":
            return '["first", "second", "third"]'
        case "list" | "hidden":
            return '["...", ...]'
        case "marks":
            return "{" + ", ".join(f'"{name}": ...' for name in key.allowed) + "}"
    return "..."
