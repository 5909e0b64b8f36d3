"""A tree of words -> the parts of instructions, checked; all faults are collected with their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from string import Formatter
from typing import TYPE_CHECKING, Any

from engine import Fault, Place, did_you_mean
from seke.exporting.grammar import GrammarError, TextForm
from seke.exporting.instruction_texts import (
    ANCHORS,
    ANSWERS,
    ASKS,
    COMPARED,
    COMPOSED,
    DRAWN,
    FIXED,
    KINDS,
    NEEDED,
    NUMBERS,
    REASON_FREE,
    SECTIONS,
    SILENT,
    STEPS,
    SURE,
    TASKS,
    TOP,
    TURNS,
)
from seke.exporting.instruction_tree import kind_of
from seke.exporting.rewording_words import KEYS as REWORDING_KEYS
from seke.exporting.rewording_words import LISTS, MAPPINGS, RewordingWords

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Knowledge
    from seke.exporting.instruction_tree import Tree, WordNode

# What loaders and chat templates take for a picture or for the end of a turn.
TOKENS = re.compile(r"<(image|video|audio)>|<\||\[/?INST\]", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# A point of a scale: its number, what it is called, and perhaps signs of it after a comma.
ANCHOR = re.compile(r"([-+]?\d*\.?\d+)\s+([^,]+)(,.*)?", re.DOTALL)
# A step: its least value, and its word.
STEP = re.compile(r"(\d*\.?\d+)\s+(\S.*)")
# Keys of a phrasing; `first`: the question of a turn that begins a conversation.
PHRASING = ("ask", "answer", "first")


@dataclass(frozen=True)
class Phrasing:
    """One way of asking, and how it is answered; first: how it is asked where nothing was said before."""

    ask: TextForm
    answer: TextForm
    first: TextForm | None = None


@dataclass(frozen=True)
class Anchor:
    """A point of a scale: its value, what it is called, and the whole text of it."""

    value: float
    word: str
    text: str


@dataclass(frozen=True)
class Directions:
    """What a number above and below the middle of its scale looks like, and a higher and a lower one."""

    up: str
    down: str
    more: str
    less: str


def anchor_of(text: str) -> Anchor | None:
    """Return the anchor that a text tells ("0.5 pleasant, as with a smile"); None where it tells none."""
    match = ANCHOR.fullmatch(text.strip())
    return Anchor(float(match[1]), match[2].strip(), text.strip()) if match else None


class InstructionReader:
    """Builds the parts of instructions from a tree, and collects all faults."""

    def __init__(self, base: Knowledge, tree: Tree, file: str, faults: list[Fault]) -> None:
        self.base, self.tree, self.file, self.faults = base, tree, file, faults

    def parts(self) -> dict[str, Any]:
        """Return what the tree says, by the fields of `Instructions`; of no use where there are faults."""
        self._keys(self.tree, TOP)
        for section in dict.fromkeys(path.partition(".")[0] for path in (*FIXED, *DRAWN) if "." in path):
            paths = [path for path in (*FIXED, *DRAWN) if path.startswith(f"{section}.")]
            more = COMPARED if section == "compare" else ()
            self._keys(self._mapping(section), [*(path.partition(".")[2] for path in paths), *more])
        texts = {path: self._text(self._at(path), path, facts) for path, facts in FIXED.items()}
        forms = {path: self._form(self._at(path), path, facts) for path, facts in DRAWN.items()}
        sections = {name: self._named(name) for name in SECTIONS}
        signs = {name: self._form(node, node.path, ()) for name, node in sections.pop("signs").items()}
        named = {
            # They are facts of other texts, not texts with facts.
            section: {
                name: self._text(node, node.path, ()).replace("{{", "{").replace("}}", "}")
                for name, node in nodes.items()
            }
            for section, nodes in sections.items()
        }
        phrases = named["phrases"]
        return {
            "texts": texts,
            "forms": forms,
            **named,
            "phrases": {state: text for state, text in phrases.items() if not self._only_renamed(state)},
            "signs": signs,
            "anchors": dict(self._anchors()),
            "directions": dict(self._directions()),
            "regions": dict(self._regions()),
            "steps": {kind: self._steps(kind) for kind in STEPS},
            "rewording": self._rewording(),
            "phrasings": dict(self._tasks()),
            "turns": {kind: self._pairs("turns", kind, *facts) for kind, facts in TURNS.items()},
            "compared": {kind: self._pairs("compare", kind, *facts) for kind, facts in COMPARED.items()},
        }

    # Parts of the tree --------------------------------------------------------------------------------

    def _fault(self, node: WordNode | None, path: str, message: str) -> None:
        place = node.place if node is not None else Place(self.file, 1, 1)
        self.faults.append(Fault(place, path, message))

    def _keys(self, tree: Tree, allowed: Sequence[str]) -> None:
        for name, node in tree.items():
            if name not in allowed:
                self._fault(node, node.path, f"no such key{did_you_mean(name, allowed)}")

    def _at(self, path: str) -> WordNode | None:
        tree: Any = self.tree
        node = None
        for name in path.split("."):
            node = tree.get(name) if isinstance(tree, dict) else None
            tree = node.value if node is not None else None
        return node

    def _mapping(self, path: str) -> Tree:
        """Return the mapping at a path; an empty one, and a fault where something else stands there."""
        node = self._at(path)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self._fault(node, path, f"is {kind_of(node.value)}; a mapping belongs here")
            return {}
        return node.value

    # Texts --------------------------------------------------------------------------------------------

    def _source(self, node: WordNode | None, path: str, within: WordNode | None = None) -> str | None:
        """Return the text of a node; None, and a fault, where there is none. within: where it belongs."""
        if node is None or not isinstance(node.value, str) or not (node.value or path.endswith("between")):
            state = "missing" if node is None else kind_of(node.value) if node.value else "empty"
            self._fault(node or within, path, f"is {state}; a text belongs here")
            return None
        text: str = node.value
        if odd := TOKENS.search(text) or CONTROL.search(text):
            self._fault(node, path, f"{odd[0]!r} may not stand in it: loaders take it for something else")
        return text

    def _text(self, node: WordNode | None, path: str, facts: Sequence[str]) -> str:
        """Return a text that is taken as it stands and uses no other facts than these."""
        text = self._source(node, path)
        if text is not None:
            self._check_fields(node, path, text, facts)
        return text or ""

    def _check_fields(self, node: WordNode | None, path: str, text: str, facts: Sequence[str]) -> bool:
        """Return whether a text can be filled in with these facts; add a fault where it cannot."""
        try:
            used = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except ValueError as error:
            self._fault(node, path, f"{error}; a brace that is meant as one is written twice")
            return False
        for name in used:
            if name not in facts:
                self._fault(node, path, f"no such fact here: {name!r}{did_you_mean(name, facts)}")
                return False
        try:
            text.format_map({name: 0.5 if name in NUMBERS else "x" for name in facts})
        except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
            self._fault(node, path, f"cannot be filled in ({error})")
            return False
        return True

    def _form(
        self,
        node: WordNode | None,
        path: str,
        facts: Sequence[str],
        needed: Sequence[str] = (),
        within: WordNode | None = None,
    ) -> TextForm:
        """Return a text with alternatives, or a list of such; each has one of the facts `needed`, if any."""
        nodes = node.value if node is not None and isinstance(node.value, list) and node.value else [node]
        sources = []
        for part in nodes:
            place = part.path if part is not None and part.path else path
            source = self._source(part, place, within)
            if source is not None and self._check_form(part, place, source, facts, needed):
                sources.append(source)
        return TextForm(tuple(sources) or ("",))

    def _check_form(
        self, node: WordNode | None, path: str, source: str, facts: Sequence[str], needed: Sequence[str]
    ) -> bool:
        form = TextForm((source,))
        try:
            texts = list(form.texts())
        except GrammarError as error:
            self._fault(node, path, str(error))
            return False
        if not all(self._check_fields(node, path, text, facts) for text in texts):
            return False
        if needed and not form.fields()[1] & set(needed):
            self._fault(
                node, path, f"says nothing; it must use {' or '.join('{' + fact + '}' for fact in needed)}"
            )
        return True

    # Sections -----------------------------------------------------------------------------------------

    def _named(self, section: str) -> Tree:
        """Return the entries of a section that name something of the base; a user's must."""
        base = self.base
        states = base.variables[base.root].states
        base_names = {
            "names": {*base.levels, *base.variables, *states},
            "phrases": {*states},
            "signs": {*base.cells},
            "descriptions": {*base.cells},
        }.get(section, {rule.name for rule in base.rules})
        nodes = self._mapping(section)
        for name, node in nodes.items():
            self._check_named(name, node, base_names)
        return {name: node for name, node in nodes.items() if name in base_names}

    def _check_named(self, name: str, node: WordNode, base_names: set[str]) -> None:
        if name not in base_names and not node.shipped:
            message = f"the base has nothing of that name{did_you_mean(name, base_names)}"
            self._fault(node, node.path, message)

    def _only_renamed(self, state: str) -> bool:
        """Whether a user's layer renames a state whose phrase is a shipped one, which would contradict it."""
        name, phrase = self._at(f"names.{state}"), self._at(f"phrases.{state}")
        return name is not None and not name.shipped and phrase is not None and phrase.shipped

    def _anchors(self) -> Iterator[tuple[str, tuple[Anchor, ...]]]:
        """Yield the points of each number's scale: those of the words, else in English those of the base."""
        language = self._at("language")
        english = language is not None and language.value == "en"
        nodes = self._mapping("anchors")
        for name, node in nodes.items():
            self._check_named(name, node, {*self.base.intervals})
        for name in self.base.intervals:
            tree = self._mapping(f"anchors.{name}") if name in nodes else {}
            self._keys(tree, ANCHORS)
            texts = {key: self._source(node, node.path) or "" for key, node in tree.items()}
            if not texts and english:
                texts = dict(self.base.variables[name].about)
            anchors = [anchor_of(texts[key]) for key in ANCHORS if key in texts]
            for key, node in tree.items():
                if key in ANCHORS and texts[key] and anchor_of(texts[key]) is None:
                    self._fault(node, node.path, 'is no point of a scale; it reads as "0.5 pleasant, as ..."')
            yield name, tuple(sorted((a for a in anchors if a is not None), key=lambda a: a.value))

    def _directions(self) -> Iterator[tuple[str, Directions]]:
        nodes = self._mapping("directions")
        for name, node in nodes.items():
            self._check_named(name, node, {*self.base.intervals})
            tree = self._mapping(node.path)
            keys = ("up", "down", "more", "less")
            self._keys(tree, keys)
            words = Directions(*(self._text(tree.get(key), f"{node.path}.{key}", ()) for key in keys))
            if name in self.base.intervals:
                yield name, words

    def _regions(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for node in self._mapping("regions").values():
            tree = self._mapping(node.path)
            self._keys(tree, ("name", "of"))
            name, members = self._text(tree.get("name"), f"{node.path}.name", ()), tree.get("of")
            if members is None or not isinstance(members.value, list) or not members.value:
                self._fault(members or node, f"{node.path}.of", "a list of regions of the base belongs here")
                continue
            yield name, tuple(self._source(member, member.path) or "" for member in members.value)

    def _steps(self, kind: str) -> tuple[tuple[float, str], ...]:
        """Return the steps of a kind, (least value, word): increasing numbers above 0, with a source."""
        path = f"steps.{kind}"
        tree = self._mapping(path)
        self._keys(tree, ("source", "words"))
        self._source(tree.get("source"), f"{path}.source", self._at(path))
        words = tree.get("words")
        nodes = words.value if words is not None and isinstance(words.value, list) else []
        matches = [STEP.fullmatch(self._source(node, node.path) or "") for node in nodes]
        steps = [(float(match[1]), match[2]) for match in matches if match is not None]
        values = [0.0, *(least for least, _ in steps)]
        if not nodes or not all(matches) or any(not a < b for a, b in pairwise(values)):
            message = (
                'a list as ["0.5 slightly", "2 clearly"] belongs here, with numbers above 0 that increase'
            )
            self._fault(words or self._at(path), f"{path}.words", message)
        return tuple(steps)

    def _rewording(self) -> RewordingWords | None:
        """Return the words by which a rewording is read back; None where the language has none."""
        if self._at("rewording") is None:
            return None
        tree = self._mapping("rewording")
        self._keys(tree, REWORDING_KEYS)
        base = self.base
        base_names = {"labels": {*base.variables[base.root].states}, "signs": {*base.cells}}
        mappings: dict[str, dict[str, tuple[str, ...]]] = {}
        for key in MAPPINGS:
            nodes = self._mapping(f"rewording.{key}")
            for name, node in nodes.items():
                if key in base_names:
                    self._check_named(name, node, base_names[key])
            mappings[key] = {name: self._words(node, node.path) for name, node in nodes.items()}
        lists = {key: self._words(tree.get(key), f"rewording.{key}") for key in LISTS}
        alike = tree.get("alike")
        groups = alike.value if alike is not None and isinstance(alike.value, list) else []
        words: dict[str, Any] = {**lists, **mappings}
        words["alike"] = tuple(self._words(node, node.path) for node in groups)
        return RewordingWords(self._text(tree.get("system"), "rewording.system", ()), **words)

    def _words(self, node: WordNode | None, path: str) -> tuple[str, ...]:
        """Return a list of words."""
        if node is None or not isinstance(node.value, list):
            self._fault(node or self._at("rewording"), path, "a list of words belongs here")
            return ()
        return tuple((self._source(part, part.path) or "").casefold() for part in node.value)

    # Phrasings ----------------------------------------------------------------------------------------

    def _tasks(self) -> Iterator[tuple[tuple[str, str], tuple[Phrasing, ...]]]:
        tasks = self._mapping("tasks")
        phrased = [task for task in TASKS if task not in COMPOSED]
        self._keys(tasks, phrased)
        self._keys(self._mapping("steps"), STEPS)
        self._keys(self._mapping("turns"), [*TURNS])
        for task in phrased:
            kinds = tasks.get(task)
            if kinds is not None and isinstance(kinds.value, dict):
                self._keys(kinds.value, KINDS)
            plain = tuple(self._phrasings(task, "plain"))
            yield (task, "plain"), plain
            required = task in (*REASON_FREE, "reasoned")
            given = self._at(f"tasks.{task}.soft") is not None
            yield (task, "soft"), tuple(self._phrasings(task, "soft")) if required or given else plain

    def _phrasings(self, task: str, kind: str) -> Iterator[Phrasing]:
        sure = SURE if kind == "soft" and "expression" in ANSWERS[task] else ()
        answers = [name for name in ANSWERS[task] if kind == "soft" or name != "likely"]
        for phrasing, node in self._list(
            f"tasks.{task}.{kind}", ASKS[task], NEEDED.get(task, ()), answers, sure
        ):
            silent = SILENT.get(task)
            if silent in phrasing.answer.fields()[0] and "asked" not in phrasing.ask.fields()[1]:
                self._fault(node.value["ask"], f"{node.path}.ask", "says nothing; it must use {asked}")
            yield phrasing

    def _pairs(
        self, section: str, kind: str, asks: Sequence[str], answers: Sequence[str]
    ) -> tuple[Phrasing, ...]:
        return tuple(phrasing for phrasing, _ in self._list(f"{section}.{kind}", asks, (), answers, ()))

    def _list(
        self,
        path: str,
        asks: Sequence[str],
        needed: Sequence[str],
        answers: Sequence[str],
        sure: Sequence[str],
    ) -> Iterator[tuple[Phrasing, WordNode]]:
        """Yield the phrasings of a list, with their nodes; an answer needs one of the facts `answers`."""
        node = self._at(path)
        if node is None or not isinstance(node.value, list) or not node.value:
            message = (
                "is missing"
                if node is None
                else "a list of phrasings, each with ask and answer, belongs here"
            )
            self._fault(node, path, message)
            return
        for phrasing in node.value:
            if not isinstance(phrasing.value, dict):
                self._fault(
                    phrasing,
                    phrasing.path,
                    f"is {kind_of(phrasing.value)}; a mapping with ask and answer belongs here",
                )
                continue
            allowed = PHRASING if path.startswith("turns.") else PHRASING[:2]
            self._keys(phrasing.value, allowed)
            ask, answer, first = (phrasing.value.get(name) for name in PHRASING)
            at = phrasing.path
            yield (
                Phrasing(
                    self._form(ask, f"{at}.ask", asks, needed, phrasing),
                    self._form(answer, f"{at}.answer", (*answers, *sure), answers, phrasing),
                    self._form(first, f"{at}.first", asks, (), phrasing) if first is not None else None,
                ),
                phrasing,
            )
