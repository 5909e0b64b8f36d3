"""`seke knowledge show`: one declaration of a base with its numbers and references, or an overview."""

from __future__ import annotations

import re
import shutil
import textwrap
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from engine import Knowledge, Leaf, SekeError, declared_of, did_you_mean
from seke.console.guarantee_text import certificate_facts
from seke.console.plain_text import count, near
from seke.console.rich_table import table_lines
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.knowledge_tools.check import declares

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Facts = dict[str, Any]

# Columns of wrapped text.
WIDTH = 100
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
# Keys whose values name a thing, by its kind; things of other kinds are not named elsewhere.
SPOKEN = {
    "kind": ("kind", "default"),
    "family": ("family",),
    "variable": ("if", "then", "pair", "reports", "hides", "required", "given"),
    "state": ("if", "then"),
    "level": ("reports", "required"),
    "observer": ("ask", "others", "copy_of"),
    "question": ("question",),
    "population": ("reference",),
}
PROSE = ("label", "description", "statement", "cite", "url", "used", "prompt")
# Values listed under a source.
MOST_CITING = 12


@dataclass(frozen=True, repr=False)
class Description(TextReport):
    """Everything that a base declares under one name, or an overview of the base. facts: JSON values."""

    facts: Mapping[str, Any]

    def __str__(self) -> str:
        things = self.facts.get("things")
        if things is None:
            return "\n".join(_overview_lines(self.facts))
        return "\n\n".join("\n".join(_thing_lines(thing)) for thing in things)


def show(name: str | None = None, knowledge: Knowledge | str | Path | None = None) -> Description:
    """Show what a base says of a name: a variable, state, rule, coupling, observer, question, source, ...

    A name of several things shows them all; `rules.NAME` and the like names one. Without a name: an overview.

    Raises:
        engine.SekeError: a name that the base does not have.
        engine.KnowledgeError: a base that cannot be read.
    """
    base = read_knowledge(knowledge)
    if name is None:
        return Description(_overview(base))
    known = list(_things(base))
    matches = [(kind, path) for kind, path in known if name in (path, _name_of(base, kind, path))]
    if not matches and declared_of(base).below(name):
        matches = [("path", name)]
    if not matches:
        # The short names first: nobody means a path.
        names = [_name_of(base, kind, path) for kind, path in known]
        raise SekeError(f"the base {base.name} has no {name!r}{did_you_mean(name, names)}")
    return Description({"things": [_thing(base, kind, path) for kind, path in matches]})


def _things(base: Knowledge) -> Iterator[tuple[str, str]]:
    """Yield the kind and the path of everything that has a name."""
    for variable in base.variables.values():
        yield f"{variable.kind} variable", f"variables.{variable.name}"
    for state in base.variables[base.root].states:
        yield f"state of {base.root}", f"variables.{base.root}.states.{state}"
    named = {
        "level": ("levels", base.levels),
        "code": ("codes", base.codes),
        "population": ("priors.populations", base.populations),
        "coupling": ("couplings", [coupling.name for coupling in base.couplings]),
        "rule": ("rules", [rule.name for rule in base.rules]),
        "observer": ("observers", base.observers),
        "copy of an observer": ("observers", base.copies),
        "kind of observer": ("dependence.kinds", base.dependence.kinds if base.dependence else ()),
        "family of observers": ("dependence.families", base.dependence.families if base.dependence else ()),
        "question": ("questions", base.questions),
        "source": ("sources", base.sources),
    }
    for kind, (section, names) in named.items():
        yield from ((kind, f"{section}.{name}") for name in names)
    leaves = declared_of(base).leaves
    yield from (("word", path) for path in leaves if path.startswith("words."))
    yield "policy", "policy"
    if "activations.background.p" in leaves:
        yield "rate where no cell is given", "activations.background"
    yield "source", "sources.judgement"


def _thing(base: Knowledge, kind: str, path: str) -> Facts:
    declared = declared_of(base)
    name = _name_of(base, kind, path)
    leaves = declared.below(path)
    place = declared.places.get(path)
    prose = {
        leaf.key: leaf.text for leaf in leaves if leaf.key in PROSE and leaf.path == f"{path}.{leaf.key}"
    }
    if kind.startswith("state"):
        prose = {"description": base.variables[base.root].descriptions.get(name, "")}
    else:
        # The kind of a variable is in the headline.
        hidden = PROSE if kind == "observer" else (*PROSE, "kind")
        leaves = tuple(leaf for leaf in leaves if leaf.path != f"{path}.{leaf.key}" or leaf.key not in hidden)
    notes = dict.fromkeys(leaf.note for leaf in leaves if leaf.note)
    facts = {
        "kind": kind,
        "name": name,
        "path": path,
        "place": near(place) if place else "",
        "text": {key: text for key, text in prose.items() if text},
        "says": [_leaf(leaf) for leaf in leaves if not kind.startswith("state")],
        "notes": list(notes),
        "numbers": [_leaf(leaf) for leaf in _numbers_of(base, kind, name)],
        "derived": [*_kind_share(base, name), *_family_share(base, name)]
        if kind == "observer"
        else _filled_cells(base, kind, name),
        "refers": [_leaf(leaf) for leaf in _references(base, kind, name)],
        "certificates": _certificates(base, kind, name),
    }
    if kind == "source":
        word = _word(name)
        facts["cited"] = [_leaf(leaf) for leaf in declared.leaves.values() if leaf.source == name]
        noted = [leaf for leaf in declared.leaves.values() if leaf.source != name and word.search(leaf.note)]
        facts["named"] = [_leaf(leaf) for leaf in noted]
    return facts


def _certificates(base: Knowledge, kind: str, name: str) -> list[Facts]:
    """Return the certificates about a variable, or a level with its variables; none that are refused."""
    made = base.guarantee
    if made is None or made.refusals(base.digests, made.population):
        return []
    names = {name} if kind.endswith("variable") else set(base.levels[name]) if kind == "level" else set()
    return [
        certificate_facts(certificate, made.unit)
        for certificate in made.certificates
        if names & {certificate.variable, *certificate.pooled}
    ]


def _name_of(base: Knowledge, kind: str, path: str) -> str:
    """Return the name at the end of a path; names may hold dots."""
    above = (
        "priors.populations.",
        "dependence.kinds.",
        "dependence.families.",
        f"variables.{base.root}.states." if kind.startswith("state") else "",
    )
    section = next(
        (prefix for prefix in above if prefix and path.startswith(prefix)), f"{path.partition('.')[0]}."
    )
    return path.removeprefix(section) if kind != "path" else path


def _leaf(leaf: Leaf) -> Facts:
    facts = _value_facts(leaf.path, _value(leaf), leaf.text, leaf)
    if leaf.under:
        facts["replaced"] = {
            "value": _value(leaf.under),
            "text": leaf.under.text,
            "note": leaf.under.note,
            "source": leaf.under.source,
            "place": near(leaf.under.place),
        }
    return facts


def _value_facts(path: str, value: float | str, text: str, cited: Any) -> Facts:
    """Return the facts of a value; cited: what has its source and place."""
    return {"path": path, "value": value, "text": text, "source": cited.source, "place": near(cited.place)}


def _value(leaf: Leaf) -> float | str:
    return float(leaf.text) if NUMBER.fullmatch(leaf.text) else leaf.text


def _numbers_of(base: Knowledge, kind: str, name: str) -> Iterator[Leaf]:
    """Yield the numbers in the rows and columns of tables that belong to a variable or a state."""
    for leaf in declared_of(base).leaves.values():
        keys = leaf.path.split(".")
        variable = kind.endswith("variable") and keys[0] in ("activations", "observers", "policy", "affect")
        state = kind.startswith("state") and keys[0] in ("activations", "affect", "priors")
        # The row of a confusion table belongs to the state that is true.
        row = kind.startswith("state") and keys[-2:-1] == [name] and "confusion" in keys
        moments = name in base.intervals and keys[:2] == ["affect", "moments"]
        if (variable and name in keys[1:]) or (state and name in keys) or row or moments:
            yield leaf


def _filled_cells(base: Knowledge, kind: str, name: str) -> list[Facts]:
    """Return the cells of a variable or state that the base leaves out: background rates and mixtures."""
    leaves = declared_of(base).leaves
    states = base.variables[base.root].states
    filled = []
    for variable, row in base.cells.items():
        for state, cell in zip(states, row, strict=True):
            path = f"activations.cells.{state}.{variable}"
            if (
                name in (variable, state)
                and f"{path}.p" not in leaves
                and kind.split(maxsplit=1)[0] in ("binary", "state")
            ):
                value = f"p {cell.p:.4g}, n {cell.n:.4g}"
                filled.append(_value_facts(path, value, value, cell))
    return filled


def _kind_share(base: Knowledge, name: str) -> list[Facts]:
    """Return the share of looks that an observer follows, where it takes that from its kind."""
    path = f"observers.{name}.follows"
    if base.dependence is None or path in declared_of(base).leaves:
        return []
    kind = base.dependence.kinds[base.observers[name].kind]
    value = f"{kind.follows:g}, as its kind {kind.name}"
    return [_value_facts(path, value, value, kind)]


def _family_share(base: Knowledge, name: str) -> list[Facts]:
    """Return the share in which an observer follows its family, and the other members."""
    observer = base.observers[name]
    if base.dependence is None or not observer.family:
        return []
    family = base.dependence.family_named(observer.family)
    if family is None:
        return []
    fellows = [o.name for o in base.observers.values() if o.family == observer.family and o.name != name]
    value = f"{family.follows:g}, of the family {observer.family}, with {', '.join(fellows) or 'nobody'}"
    return [_value_facts(f"observers.{name}.family", value, value, family)]


def _references(base: Knowledge, kind: str, name: str) -> Iterator[Leaf]:
    """Yield the leaves that refer to a name: formulas, pairs and lists."""
    word = _word(name)
    spoken = next((keys for of, keys in SPOKEN.items() if of in kind.split()), ())
    for leaf in declared_of(base).leaves.values():
        keys = leaf.path.split(".")
        derived = (
            keys[0] == "variables" and base.variables[keys[1]].kind == "derived" and keys[2:3] == ["states"]
        )
        mixed = "like" in keys[:-1] and keys[-1] == name
        if leaf.key in spoken or (spoken and (keys[0] == "levels" or derived)):
            if word.search(leaf.text) and name not in keys[1:2]:
                yield leaf
        elif (
            mixed
            or (kind == "word" and leaf.key == "p" and leaf.text == name)
            or (kind == "question" and keys[0] == "observers" and name in keys[2:])
        ):
            yield leaf


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def _overview(base: Knowledge) -> Facts:
    declared = declared_of(base)
    variables = base.variables
    policy = base.policy
    return {
        "name": base.name,
        "digest": base.digest,
        "description": " ".join(base.description.split()),
        "declares": declares(base),
        "root": {"name": base.root, "states": list(variables[base.root].states)},
        "levels": {level: list(names) for level, names in base.levels.items()},
        "variables": {name: variable.kind for name, variable in variables.items()},
        "populations": {"reference": base.reference, "names": list(base.populations)},
        "rules": [
            {
                "rule": rule.name,
                "if": declared.leaves[f"rules.{rule.name}.if"].text,
                "then": declared.leaves[f"rules.{rule.name}.then"].text,
                "confidence": rule.confidence,
            }
            for rule in base.rules
        ],
        "couplings": [
            {"coupling": coupling.name, "pair": list(coupling.pair), "odds_ratio": coupling.odds_ratio}
            for coupling in base.couplings
        ],
        "observers": {
            name: {
                "label": observer.label,
                "askable": observer.askable,
                "follows_only": observer.follows_only,
                "reports": len(observer.instruments),
            }
            for name, observer in base.observers.items()
        },
        "questions": {
            name: {
                "label": question.label,
                "cost": question.cost,
                "further": question.further_cost,
                "reports": len(question.variables),
            }
            for name, question in base.questions.items()
        },
        "policy": {"required": list(policy.required), "budget": policy.budget, "ask": policy.ask},
    }


def _overview_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    root, size = facts["root"], facts["declares"]
    numbers, sources = count(size["numbers"], "number"), count(size["sources"], "source")
    yield f"{facts['name']} {facts['digest']}, {numbers}, {sources}"
    yield from _wrap(facts["description"], "  ")
    yield ""
    yield from _wrap(f"{root['name']}: {', '.join(root['states'])}", "  ", "    ")
    for level, names in facts["levels"].items():
        if names != [root["name"]]:
            yield from _wrap(f"{level}: {', '.join(names)}", "  ", "    ")
    populations = facts["populations"]
    further_populations = ", ".join(name for name in populations["names"] if name != populations["reference"])
    further = f", {further_populations}" if further_populations else ""
    yield f"  populations: {populations['reference']} (reference){further}"
    if facts["rules"]:
        yield ""
        rows = [(r["rule"], r["if"], f"-> {r['then']}", f"{r['confidence']:g}") for r in facts["rules"]]
        yield from ("Rules: if, then, confidence", *table_lines((), rows))
    if facts["couplings"]:
        yield ""
        pairs = [f"{c['coupling']} ({' '.join(c['pair'])} x{c['odds_ratio']:g})" for c in facts["couplings"]]
        yield from _wrap(f"Couplings: {', '.join(pairs)}", "", "  ")
    yield ""
    observers, followers = list[tuple[str, ...]](), list[str]()
    for name, observer in facts["observers"].items():
        if observer["follows_only"]:
            followers.append(f"{name} ({observer['reports']})")
            continue
        variables, askable = count(observer["reports"], "variable"), observer["askable"]
        observers.append((name, observer["label"], variables, "may be asked" if askable else ""))
    yield from ("Observers", *table_lines((), observers))
    if followers:
        text = "And with their variables those that change nothing where they have not answered"
        yield from _wrap(f"{text}: {', '.join(followers)}", "", "  ")
    yield ""
    questions = [
        (name, question["label"], count(question["reports"], "variable"), _price_text(question))
        for name, question in facts["questions"].items()
    ]
    yield from ("Questions", *table_lines((), questions))
    policy = facts["policy"]
    ask = f"ask {policy['ask']} first, " if policy["ask"] else ""
    yield f"Policy: {ask}at most {policy['budget']} answers; required: {', '.join(policy['required'])}"


def _price_text(question: Mapping[str, Any]) -> str:
    """Return the cost of the first answer to a question and, where it differs, of further ones."""
    cost, further = f"{question['cost']:g}", f"{question['further']:g}"
    return f"cost {cost}" if further == cost else f"cost {cost}, further {further}"


def _thing_lines(thing: Facts) -> Iterator[str]:
    text = dict(thing["text"])
    label = text.pop("label", "")
    named = f"{thing['name']}{f', {label}' if label else ''}"
    yield f"{named}: {thing['kind']}, {thing['place'] or thing['path']}"
    for key, prose in text.items():
        if key == "prompt":
            yield from ("  prompt:", *(f"    {line}" for line in prose.splitlines()))
        else:
            yield from _wrap(" ".join(prose.split()), "  ")
    yield from _table_lines(thing["says"], thing["path"])
    for note in thing["notes"]:
        yield from _wrap(f"Note: {' '.join(note.split())}", "  ", "    ")
    for head, key in (("Numbers", "numbers"), ("Filled in", "derived"), ("Referred to by", "refers")):
        if thing[key]:
            yield f"  {head}"
            yield from (f"  {line}" for line in _table_lines(thing[key], ""))
    yield from _certificate_lines(thing)
    for head, key in (("Cited by", "cited"), ("Named in the notes of", "named")):
        leaves = thing.get(key, [])
        if leaves:
            yield f"  {head} {count(len(leaves), 'value')}"
            yield from (
                f"    {leaf['path']} = {leaf['text']}, {leaf['place']}" for leaf in leaves[:MOST_CITING]
            )
        if len(leaves) > MOST_CITING:
            yield f"    ... and {len(leaves) - MOST_CITING} more; --json has all"


def _certificate_lines(thing: Facts) -> Iterator[str]:
    yield from ["  Certificates"] * bool(thing["certificates"])
    for certificate in thing["certificates"]:
        yield from _wrap(certificate["in_words"], "    ", "      ")


def _table_lines(leaves: Sequence[Facts], above: str) -> Iterator[str]:
    """Yield a line for each table: values, source and place, with the value that an overlay replaced."""
    rows = []
    for (path, *_), group in groupby(leaves, key=_table_of):
        members = list(group)
        shown = path.removeprefix(above).removeprefix(".")
        values = ", ".join(f"{leaf['path'].rpartition('.')[2]} {leaf['text']}" for leaf in members)
        cited = f"{members[0]['source']}, " if members[0]["source"] else ""
        rows.append((shown, values, f"{cited}{members[0]['place']}"))
        for leaf in members:
            if "replaced" in leaf:
                old = leaf["replaced"]
                key = leaf["path"].rpartition(".")[2]
                rows.append(("", f"  replaced {key} {old['text']}", f"{old['source']}, {old['place']}"))
    lines = table_lines((), rows)
    if max(map(len, lines), default=0) + 2 <= _width():
        yield from lines
        return
    for table, values, place in rows:
        text = f"{table}: {values}" if table else values.strip()
        yield from textwrap.wrap(text, _width() - 6, initial_indent="  ", subsequent_indent="    ")
        yield f"      {place}"


def _width() -> int:
    """Return the width of tables: that of the terminal, 140 columns where there is none."""
    return max(shutil.get_terminal_size((140, 24)).columns, 60)


def _table_of(leaf: Facts) -> tuple[str, str, str]:
    """Return the key that leaves of one line share: table, source and file."""
    return leaf["path"].rpartition(".")[0], leaf["source"], leaf["place"].partition(":")[0]


def _wrap(text: str, first: str, later: str | None = None) -> list[str]:
    later = first if later is None else later
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
