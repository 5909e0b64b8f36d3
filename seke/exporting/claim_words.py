"""What the words of a text mean: codes, numbers, expressions, signs, steps, denials, or nothing.

A word means what the words of an export's instructions say (`rewording` there, and the names of the base).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import pairwise
from string import Formatter, ascii_letters
from typing import TYPE_CHECKING

from engine import SekeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seke.exporting.wording import Wording

    Kinds = dict[str, str]

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
NUMBER = r"(?<![\w.])[+-]?[0-9]+(?:[.,][0-9]+)?(?:\s?(?:%|percent\b|per cent\b|prozent\b))?"
SAME_SIGNS = str.maketrans({"−": "-", "‐": "-", "‑": "-", "’": "'", "‘": "'"})
# Whatever dash stands before a number is its sign.
MINUS = re.compile(r"(?<!\w)[-‒–—]\s?\(?(?=[0-9])")
SHORTENED = (
    (re.compile(r"\bcan't\b"), "can not"),
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'s\b"), ""),
)


@dataclass(frozen=True)
class Token:
    """A piece of a sentence, and where it starts. kinds: what it means, kind -> value.

    `code` and `number`: what these are. `label`: an expression. `name`: a scale or a direction of it.
    `order`, `kept` and `topic`: see `RewordingWords`; steps of strength are among the first. `sign`: the
    first word of those that mean the same. `negation`, `absence`, `presence`, `claim`, `yes`, `no` and
    `break` have no value of their own. A word that means none of these is a `word`; what is no word either is
    `unknown`.
    """

    text: str
    start: int
    kinds: Kinds


class ClaimWords:
    """The words of an export's instructions, by what they mean.

    signs: unit -> the words for its signs, one for each group of words that mean the same.
    """

    def __init__(self, wording: Wording) -> None:
        """Raises: engine.SekeError where the language does not say how rewordings are read."""
        words = wording.instructions.rewording
        if words is None:
            raise SekeError(
                f"--rewrite: the words of the language {wording.instructions.language!r} do not say how a "
                "rewording is read (`rewording`, see seke/exporting/instructions.yaml); add that to your "
                "--templates, or leave out --rewrite"
            )
        self.wording, self.words = wording, words
        self._further = frozenset(word for group in words.words.values() for word in group)
        self._groups = {word: group[0] for group in words.alike for word in group}
        self.signs = self._all_signs()
        self._meanings: dict[str, Kinds] = {}
        self._fill_meanings()
        self._longest = max(pattern.count(" ") + 1 for pattern in self._meanings)
        self._kinds: dict[str, Kinds] = {}
        # The name of a unit behind its code belongs to it; another unit's name does not.
        codes = "|".join(
            rf"{_code_pattern(name)}(?!\w)(?:\s?\({re.escape(label)}\))?"
            for name, label in wording.labels.items()
        )
        kinds = {"code": rf"(?<!\w)(?:{codes})", "number": NUMBER, "word": WORD.pattern, "rest": r"\w+"}
        pieces = (f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items())
        self._piece = re.compile("|".join(pieces), re.IGNORECASE)
        self._codes = {_letters(name): name for name in wording.labels}

    def tokens(self, text: str) -> Iterator[Token]:
        """Yield the tokens of a text in its usual spelling (`usual`); a phrase is one."""
        pieces = list(self._piece.finditer(text))
        place = 0
        while place < len(pieces):
            piece, count = pieces[place], 1
            if piece["word"]:
                kinds, count = self._meaning(text, pieces[place : place + self._longest])
            elif piece["code"]:
                kinds = {"code": self._codes[_letters(piece["code"].partition("(")[0])]}
            else:
                kinds = {"number": _value(piece[0])} if piece["number"] else {"unknown": piece[0]}
            start, end = piece.start(), pieces[place + count - 1].end()
            yield Token(text[start:end], start, kinds)
            place += count

    def knows(self, word: str, *, asked: bool = False) -> bool:
        """Return whether a word without a meaning may stand in an answer, or in a question (`asked`)."""
        parts = word.split("-")
        return all(part in self._vocabulary or (asked and part in self._asking) for part in parts)

    def _meaning(self, text: str, pieces: Sequence[re.Match[str]]) -> tuple[Kinds, int]:
        """Return what the longest phrase means with which some pieces begin, and how many these are."""
        words = [pieces[0][0].casefold()]
        for before, piece in pairwise(pieces):
            if not piece["word"] or not text[before.end() : piece.start()].isspace():
                break
            words.append(piece[0].casefold())
        for count in range(len(words), 1, -1):
            if kinds := self._meanings.get(" ".join(words[:count])):
                return kinds, count
        return self._of_word(words[0]), 1

    def _of_word(self, word: str) -> Kinds:
        if word not in self._kinds:
            patterns = (word, *(f"{word[:end]}*" for end in range(len(word), 0, -1)))
            meanings = (self._meanings[pattern] for pattern in patterns if pattern in self._meanings)
            self._kinds[word] = next(meanings, {"word": word})
        return self._kinds[word]

    def _fill_meanings(self) -> None:
        """Note what each word, beginning of words and phrase means; of a kind the first meaning holds."""
        wording, words = self.wording, self.words
        instructions = wording.instructions
        for state, name in wording.states.items():
            self._mean("label", state, (name, wording.phrase(state), *words.labels.get(state, ())))
        for number, name in wording.numbers.items():
            self._mean("name", number, (name,))
        for number, directions in instructions.directions.items():
            for key in ("up", "down", "more", "less"):
                self._mean("name", f"{number} {key}", (getattr(directions, key),))
        for step in (step for steps in instructions.steps.values() for _, step in steps):
            self._mean("order", step, (step,))
        for kind, groups in (("order", words.ordered), ("kept", words.kept), ("topic", words.topics)):
            for name, group in groups.items():
                self._mean(kind, name, group)
        for kind in ("negation", "absence", "presence", "claim", "yes", "no"):
            self._mean(kind, kind, getattr(words, kind))
        self._mean("break", "break", words.breaks)
        # A phrase that means nothing here, though its words may.
        self._mean("phrase", "", (word for word in self._further if " " in word))
        signs = {word for of_unit in self.signs.values() for word in of_unit}
        for word in (*signs, *(word for word, first in self._groups.items() if first in signs)):
            self._mean("sign", self._group(word), (word,))

    def _mean(self, kind: str, value: str, patterns: Iterable[str]) -> None:
        for pattern in patterns:
            self._meanings.setdefault(" ".join(pattern.casefold().split()), {}).setdefault(kind, value)

    def _all_signs(self) -> dict[str, frozenset[str]]:
        wording, words = self.wording, self.words
        signs = {}
        for unit, label in wording.labels.items():
            form = wording.instructions.signs.get(unit)
            texts = [label, wording.descriptions.get(unit, ""), *(form.sources if form is not None else ())]
            plain = {word for text in texts for word in _words_of(text)}
            shown = (word for word in (*plain, *words.signs.get(unit, ())) if word not in self._common)
            signs[unit] = frozenset(map(self._group, shown))
        return signs

    @cached_property
    def _common(self) -> _Vocabulary:
        """The words that are no signs, though the text of a sign may have them."""
        words = self.words
        lists = (words.negation, words.absence, words.presence, words.claim, words.breaks, self._further)
        named = [*lists, *words.kept.values(), *words.ordered.values()]
        return _Vocabulary(word for group in named for word in group if " " not in word)

    def _group(self, word: str) -> str:
        """Return the first of the words that mean the same sign."""
        patterns = (word, *(f"{word[:end]}*" for end in range(len(word), 0, -1)))
        return next((self._groups[pattern] for pattern in patterns if pattern in self._groups), word)

    @cached_property
    def _vocabulary(self) -> _Vocabulary:
        wording, instructions = self.wording, self.wording.instructions
        sources = [*instructions.texts.values(), *instructions.names.values(), *instructions.phrases.values()]
        sources += [*wording.labels.values(), *instructions.regions]
        forms = [*instructions.forms.values()]
        for phrasings in (instructions.phrasings, instructions.turns, instructions.compared):
            forms += [phrasing.answer for group in phrasings.values() for phrasing in group]
        sources += [source for form in forms for source in form.sources]
        return _Vocabulary([*self._further, *(word for source in sources for word in _words_of(source))])

    @cached_property
    def _asking(self) -> _Vocabulary:
        """The words of questions."""
        instructions = self.wording.instructions
        asks = [
            form
            for phrasings in (instructions.phrasings, instructions.turns, instructions.compared)
            for group in phrasings.values()
            for phrasing in group
            for form in (phrasing.ask, phrasing.first)
            if form is not None
        ]
        return _Vocabulary(word for form in asks for source in form.sources for word in _words_of(source))


class _Vocabulary:
    """Words, and beginnings of words that end in `*`."""

    def __init__(self, words: Iterable[str]) -> None:
        parts = {part for word in words for part in word.split()}
        self.words = frozenset(part for part in parts if not part.endswith("*"))
        self.beginnings = tuple(part[:-1] for part in parts if part.endswith("*"))

    def __contains__(self, word: str) -> bool:
        return word in self.words or word.startswith(self.beginnings)


def usual(text: str) -> str:
    """Return a text in its usual spelling: one sign for each dash and apostrophe, no shortened words."""
    text = MINUS.sub("-", text.translate(SAME_SIGNS))
    for pattern, whole in SHORTENED:
        text = pattern.sub(whole, text)
    return text


def _words_of(text: str) -> Iterator[str]:
    """Yield the words of a text with alternatives and facts, in small letters."""
    try:
        plain = " ".join(literal for literal, _, _, _ in Formatter().parse(text))
    except ValueError:
        plain = text
    for word in WORD.findall(usual(plain).casefold()):
        yield word
        if "-" in word:
            yield from word.split("-")


def _code_pattern(name: str) -> str:
    parts = re.fullmatch(r"([^\W\d_]+)(\d+)", name)
    return rf"{parts[1]}[ -]?{parts[2]}" if parts else re.escape(name)


def _letters(code: str) -> str:
    return re.sub(r"[\s-]", "", code).casefold()


def _value(text: str) -> str:
    """Return a number as one text, whatever way it is written."""
    digits = text.rstrip("%" + ascii_letters + " ").replace(",", ".")
    try:
        value = format(Decimal(digits).normalize() + 0, "f")
    except InvalidOperation:
        value = digits
    return value if text[-1].isdigit() else f"{value} %"
