"""Reads instructions from YAML: what is asked and answered in an export, several phrasings a task.

`instructions.yaml` holds them, `instructions.de.yaml` those of another language. A text may use, in braces,
the facts of its task: in what is asked

    expressions       all names of expressions, as a list
    asked             what is asked about: numbers, units, or levels (required, since only what is accepted
                      may be asked about: an answer that is silent on a unit would say that it is absent)
    low, high         the range of the numbers

and in what is answered

    expression        its name; p, next and p_next: its probability, the second likeliest, and its probability
    phrase            the expression as the object of a sentence, "a neutral expression"; where `phrases` has
                      none for a state, or a user's layer renames the state and gives none, its name
    numbers           the accepted numbers, each as `number` says, or `interval` where probabilities go too
    units, likely     the visible units among those asked about; all units asked about with probabilities
    parts             all levels, each as `parts` or `soft_parts` says
    reasons           which units and rules speak for the expression, as `rationale` says
    json              all of that as a JSON object, in the names of the base
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from engine import Fault, KnowledgeError, Place, SekeError, did_you_mean
from seke.files.yaml_nodes import compose_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Knowledge

    Tree = dict[str, "_Node"]

TASKS = ("expression", "affect", "action_units", "joint", "reasoned")
KINDS = ("plain", "soft")
SURE = ("p", "next", "p_next")
NUMBERS = {"p", "p_next", "low", "high", "value", "left", "top", "right", "bottom"}
TEXTS: dict[str, tuple[str, ...]] = {
    "language": (),
    "lists.between": (),
    "lists.last": (),
    "lists.none": (),
    "unit": ("name", "label"),
    "likely": ("name", "label", "p"),
    "number": ("name", "value"),
    "interval": ("name", "value", "low", "high"),
    "units_asked": ("name", "units"),
    "box": ("left", "top", "right", "bottom"),
    "parts.between": (),
    "parts.expression": ("expression",),
    "parts.affect": ("numbers",),
    "parts.action_units": ("units",),
    "soft_parts.between": (),
    "soft_parts.expression": ("expression", *SURE),
    "soft_parts.affect": ("numbers",),
    "soft_parts.action_units": ("likely",),
    "reasons.present": ("expression", "phrase", "units"),
    "reasons.absent": ("expression", "phrase", "units"),
    "reasons.against": ("expression", "phrase", "units"),
    "reasons.rule": ("statement",),
}
# Fields that a task's question may use, and those that its answer may use, of which it needs one.
ASKS = {"expression": ("expressions",), "affect": ("asked", "low", "high"), "reasoned": ("expressions",)}
ASKS |= {"action_units": ("asked",), "joint": ("asked",)}
ANSWERS = {
    "expression": ("expression", "phrase", "json"),
    "affect": ("numbers", "json"),
    "action_units": ("units", "likely", "json"),
    "joint": ("parts", "json"),
    "reasoned": ("reasons", "expression", "phrase"),
}
NAMED = ("names", "phrases", "statements")
TOP = (*dict.fromkeys(path.partition(".")[0] for path in TEXTS), *NAMED, "tasks")
# What loaders and chat templates take for a picture or for the end of a turn.
TOKENS = re.compile(r"<(image|video|audio)>|<\||\[/?INST\]", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
HERE = Path(__file__).parent
SHIPPED = "instructions"


@dataclass(frozen=True)
class Phrasing:
    """One way of asking, and how it is answered; both in Python's format language."""

    ask: str
    answer: str


@dataclass(frozen=True)
class Instructions:
    """All words of an export.

    texts: by path, as TEXTS lists them. names, phrases, statements: by the name that the base has for it.
    phrasings: of each task and kind (`plain`, `soft`) at least one. digest: of all of it.
    """

    texts: Mapping[str, str]
    names: Mapping[str, str]
    phrases: Mapping[str, str]
    statements: Mapping[str, str]
    phrasings: Mapping[tuple[str, str], tuple[Phrasing, ...]]
    digest: str

    @property
    def language(self) -> str:
        """Return the language, as the words call it."""
        return self.texts["language"]


@dataclass(frozen=True)
class _Node:
    """A text, a list or a mapping, and where it stands; shipped: in a file of this package."""

    value: Any
    place: Place
    path: str
    shipped: bool


def languages() -> tuple[str, ...]:
    """Return the languages that are shipped."""
    names = (path.name.removesuffix(".yaml").partition(".")[2] for path in HERE.glob(f"{SHIPPED}.*yaml"))
    return tuple(sorted(name or "en" for name in names))


def read_instructions(
    base: Knowledge, language: str = "en", templates: Sequence[str | Path] = ()
) -> Instructions:
    """Read the instructions of a language; the user's `templates` override them, in their order.

    Raises:
        engine.KnowledgeError: all faults, with their places.
        engine.SekeError: a language that is not shipped.
    """
    if language not in languages():
        raise SekeError(
            f"no instructions in {language!r}{did_you_mean(language, languages())}; see --templates"
        )
    ending = "" if language == "en" else f".{language}"
    layers = [HERE / f"{SHIPPED}{ending}.yaml", *map(Path, templates)]
    faults: list[Fault] = []
    tree: Tree = {}
    for number, layer in enumerate(layers):
        layer_tree = _read(layer, faults, shipped=number == 0)
        language_node = layer_tree.get("language")
        if language_node is not None and "language" in tree and language_node.value != tree["language"].value:
            tree = {}
        _merge_tree(tree, layer_tree)
    instructions = _InstructionReader(base, tree, str(layers[-1]), faults).instructions()
    if faults or instructions is None:
        raise KnowledgeError(faults)
    return instructions


def _read(path: Path, faults: list[Fault], *, shipped: bool) -> Tree:
    """Read one file as a tree of texts; what is wrong with it is added to `faults`."""
    start = Place(str(path), 1, 1)
    try:
        node = compose_yaml(path)
    except KnowledgeError as error:
        faults += error.faults
        return {}
    if node is None:
        return {}
    root = _node(node, str(path), "", faults, shipped=shipped)
    if isinstance(root.value, dict):
        return root.value
    faults.append(
        Fault(start, "", f"is {_kind(root.value)}; a mapping with {', '.join(TOP[:3])}, ... belongs here")
    )
    return {}


def _node(node: Any, file: str, path: str, faults: list[Fault], *, shipped: bool) -> _Node:
    place = Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if node.id == "scalar":
        return _Node(node.value, place, path, shipped)
    if node.id == "sequence":
        parts = [
            _node(child, file, f"{path}[{i}]", faults, shipped=shipped) for i, child in enumerate(node.value)
        ]
        return _Node(parts, place, path, shipped)
    tree: Tree = {}
    for key, value in node.value:
        name = str(key.value) if key.id == "scalar" else "?"
        below = f"{path}.{name}" if path else name
        at = Place(file, key.start_mark.line + 1, key.start_mark.column + 1)
        if name in tree:
            faults.append(Fault(at, below, "is there twice"))
        tree[name] = _node(value, file, below, faults, shipped=shipped)
    return _Node(tree, place, path, shipped)


def _kind(value: Any) -> str:
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"


def _merge_tree(tree: Tree, upper: Tree) -> None:
    """Merge the tree `upper` into `tree`, in place: mappings merge, anything else replaces."""
    for name, node in upper.items():
        below = tree.get(name)
        if below is not None and isinstance(below.value, dict) and isinstance(node.value, dict):
            merged = dict(below.value)
            _merge_tree(merged, node.value)
            tree[name] = _Node(merged, node.place, node.path, node.shipped)
        else:
            tree[name] = node


class _InstructionReader:
    """Builds instructions from a tree, and collects all faults."""

    def __init__(self, base: Knowledge, tree: Tree, file: str, faults: list[Fault]) -> None:
        self.base, self.tree, self.file, self.faults = base, tree, file, faults

    def instructions(self) -> Instructions | None:
        """Return what the tree says; None where it is faulty."""
        self._keys(self.tree, TOP)
        for path in ("lists", "parts", "soft_parts", "reasons"):
            node = self.tree.get(path)
            if node is not None and isinstance(node.value, dict):
                self._keys(
                    node.value, [name.partition(".")[2] for name in TEXTS if name.startswith(f"{path}.")]
                )
        texts = {path: self._text(self._at(path), path, facts) for path, facts in TEXTS.items()}
        names, phrases, statements = (self._named(name) for name in NAMED)
        phrases = {state: phrase for state, phrase in phrases.items() if not self._only_renamed(state)}
        phrasings = dict(self._tasks())
        if self.faults:
            return None
        content = repr(
            (
                sorted(texts.items()),
                *(sorted(named.items()) for named in (names, phrases, statements)),
                phrasings,
            )
        )
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return Instructions(texts, names, phrases, statements, phrasings, digest)

    def _fault(self, node: _Node | None, path: str, message: str) -> None:
        place = node.place if node is not None else Place(self.file, 1, 1)
        self.faults.append(Fault(place, path, message))

    def _keys(self, tree: Tree, allowed: Sequence[str]) -> None:
        for name, node in tree.items():
            if name not in allowed:
                self._fault(node, node.path, f"no such key{did_you_mean(name, allowed)}")

    def _at(self, path: str) -> _Node | None:
        tree: Any = self.tree
        node = None
        for name in path.split("."):
            node = tree.get(name) if isinstance(tree, dict) else None
            tree = node.value if node is not None else None
        return node

    def _text(
        self,
        node: _Node | None,
        path: str,
        facts: Sequence[str],
        one_of: Sequence[str] = (),
        within: _Node | None = None,
    ) -> str:
        """Return a text that uses no other facts than these, and at least one of `one_of`, if any.

        within: where a text that is missing should stand.
        """
        if node is None or not isinstance(node.value, str) or not (node.value or path.endswith("between")):
            state = "missing" if node is None else _kind(node.value) if node.value else "empty"
            self._fault(node or within, path, f"is {state}; a text belongs here")
            return ""
        text = node.value
        if odd := TOKENS.search(text) or CONTROL.search(text):
            self._fault(node, path, f"{odd[0]!r} may not stand in it: loaders take it for something else")
        try:
            used = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except ValueError as error:
            self._fault(node, path, f"{error}; a brace that is meant as one is written twice")
            return text
        for name in used:
            if name not in facts:
                self._fault(node, path, f"no such fact here: {name!r}{did_you_mean(name, facts)}")
                return text
        if one_of and not set(one_of) & set(used):
            self._fault(
                node, path, f"says nothing; it must use {' or '.join('{' + fact + '}' for fact in one_of)}"
            )
        try:
            text.format_map({name: 0.5 if name in NUMBERS else "x" for name in facts})
        except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
            self._fault(node, path, f"cannot be filled in ({error})")
        return text

    def _named(self, section: str) -> dict[str, str]:
        """Return names, phrases or statements; a user's must name something of the base."""
        node = self.tree.get(section)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self._fault(node, section, f"is {_kind(node.value)}; a mapping belongs here")
            return {}
        base = self.base
        base_names: set[str] = {rule.name for rule in base.rules}
        if section == "phrases":
            base_names = {*base.variables[base.root].states}
        elif section == "names":
            base_names = {*base.levels, *base.variables, *base.variables[base.root].states}
        for name, text_node in node.value.items():
            if name not in base_names and not text_node.shipped:
                self._fault(
                    text_node,
                    text_node.path,
                    f"the base has nothing of that name{did_you_mean(name, base_names)}",
                )
        texts = {name: self._text(text_node, text_node.path, ()) for name, text_node in node.value.items()}
        # They are facts of other texts, not texts with facts.
        return {name: text.format() for name, text in texts.items() if name in base_names and not self.faults}

    def _only_renamed(self, state: str) -> bool:
        """Whether a user's layer renames a state whose phrase is a shipped one, which would contradict it."""
        name, phrase = self._at(f"names.{state}"), self._at(f"phrases.{state}")
        return name is not None and not name.shipped and phrase is not None and phrase.shipped

    def _tasks(self) -> Iterator[tuple[tuple[str, str], tuple[Phrasing, ...]]]:
        node = self.tree.get("tasks")
        tasks = node.value if node is not None and isinstance(node.value, dict) else {}
        self._keys(tasks, TASKS)
        for task in TASKS:
            kinds = tasks.get(task)
            if kinds is not None and isinstance(kinds.value, dict):
                self._keys(kinds.value, KINDS)
            for kind in KINDS:
                yield (task, kind), tuple(self._phrasings(task, kind))

    def _phrasings(self, task: str, kind: str) -> Iterator[Phrasing]:
        path = f"tasks.{task}.{kind}"
        node = self._at(path)
        if node is None or not isinstance(node.value, list) or not node.value:
            message = (
                "is missing"
                if node is None
                else "a list of phrasings, each with ask and answer, belongs here"
            )
            self._fault(node, path, message)
            return
        answers = ANSWERS[task]
        sure = SURE if kind == "soft" and task in ("expression", "reasoned") else ()
        answer_facts = [name for name in answers if name != "likely"] if kind == "plain" else answers
        for phrasing in node.value:
            if not isinstance(phrasing.value, dict):
                self._fault(
                    phrasing,
                    phrasing.path,
                    f"is {_kind(phrasing.value)}; a mapping with ask and answer belongs here",
                )
                continue
            self._keys(phrasing.value, ("ask", "answer"))
            ask, answer = (phrasing.value.get(name) for name in ("ask", "answer"))
            needed = [name for name in ASKS[task] if name == "asked"]
            yield Phrasing(
                self._text(ask, f"{phrasing.path}.ask", ASKS[task], needed, phrasing),
                self._text(answer, f"{phrasing.path}.answer", (*answer_facts, *sure), answer_facts, phrasing),
            )
