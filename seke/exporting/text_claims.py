"""What a text of an export says of a face, read from its words: units, numbers, names, doubt, denials.

By this a rewording is held against its original: sentence by sentence both must claim the same. A word that
is not known makes a text unreadable, so that nothing can be added in words that nobody declared. What is
unclear, such as a denial of a denial, differs from everything.

    units      codes, each with whether the clause says that it is not there
    labels     names of expressions, in their order; so are numbers, names of scales, directions and what the
               words call `ordered`; steps of strength are among these
    kept       which kinds of words stand there (`against`, `doubt`, ...)
    signs      words for signs that belong to none of the units beside them
    asks       whether it is a question
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import groupby, pairwise
from string import Formatter
from typing import TYPE_CHECKING

from engine import SekeError
from seke.exporting.instruction_reader import CONTROL, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seke.exporting.rewording_words import RewordingWords
    from seke.exporting.wording import Wording

# A rewording may be so many times as long as its original, and so many letters longer.
LONGER_TIMES, LONGER_LETTERS = 2, 60
# How sentences end.
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”“']?\s+|\n+")
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
NUMBER = r"(?<![\w.])[+-]?[0-9]+(?:[.,][0-9]+)?(?:\s?(?:%|percent\b|per cent\b|prozent\b))?"
# Signs that a text may have besides letters, digits and those of its original.
MARKS = frozenset(" \n.,;:!?()'\"+-%“”„‘’–—/")
SAME_SIGNS = str.maketrans({"−": "-", "‐": "-", "‑": "-", "’": "'", "‘": "'"})
SHORTENED = ((re.compile(r"\bcan't\b"), "can not"), (re.compile(r"n't\b"), " not"), (re.compile(r"'s\b"), ""))
# What a denial is of, by what follows it.
THERE, CLAIMED = frozenset(("code", "sign", "presence")), frozenset(("claim", "label", "name", "kept", "order"))


@dataclass(frozen=True)
class SentenceClaims:
    """What a sentence says; see above. unknown: words that nobody declared."""

    unknown: tuple[str, ...] = ()
    units: frozenset[str] = frozenset()
    absent: frozenset[tuple[str, bool]] = frozenset()
    denials: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()
    asks: bool = False


# In words, what differs where a field does; the first that differs is named.
DIFFERENCES = {
    "unknown": "a word that is not known",
    "units": "other units",
    "absent": "a unit that is said to be there or not",
    "denials": "something denied",
    "numbers": "other numbers",
    "labels": "other expressions",
    "names": "other scales or directions",
    "order": "other words of strength or place",
    "bound": "numbers of something else",
    "kept": "other words of doubt, comparison or for and against",
    "signs": "signs of no unit that is named",
    "asks": "a question",
}
LENGTH, MARKUP, SENTENCES, UNCLEAR = "too long", "other marks", "other sentences", "unclear"
INSTEAD = "instead"


@dataclass(frozen=True)
class Token:
    """A piece of a sentence. kinds: kind -> its value; none of a word without a meaning."""

    text: str
    kinds: dict[str, str]
    start: int


@dataclass(frozen=True)
class Difference:
    """Why a rewording does not say the same. kind: one of those above; what: the words or values."""

    kind: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({self.what})" if self.what else self.kind


class ClaimReader:
    """Reads texts in the words of an export's instructions."""

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
        self._meanings = self._all_meanings()
        self._longest = max(pattern.count(" ") + 1 for pattern in self._meanings)
        self._kinds: dict[str, dict[str, str]] = {}
        # The name of a unit behind its code belongs to it; another unit's name does not.
        codes = "|".join(
            rf"{_code_pattern(name)}(?!\w)(?:\s?\({re.escape(label)}\))?"
            for name, label in wording.labels.items()
        )
        pieces = (rf"(?P<code>(?<!\w)(?:{codes}))", rf"(?P<number>{NUMBER})", f"(?P<word>{WORD.pattern})", r"\w+")
        self._piece = re.compile("|".join(pieces), re.IGNORECASE)
        self._codes = {_letters(name): name for name in wording.labels}

    # Two texts ----------------------------------------------------------------------------------------

    def difference(self, original: str, rewording: str) -> Difference | None:
        """Return why a rewording does not claim what its original claims; None where it does."""
        if len(rewording) > LONGER_TIMES * len(original) + LONGER_LETTERS:
            return Difference(LENGTH, f"{len(rewording):,} letters for {len(original):,}")
        if odd := TOKENS.search(rewording) or CONTROL.search(rewording):
            return Difference(MARKUP, repr(odd[0]))
        marks = {sign for sign in rewording if not sign.isalnum()} - MARKS - {*original}
        if marks:
            return Difference(MARKUP, " ".join(sorted(marks)))
        known = {word.casefold() for word in WORD.findall(_normal(original))}
        before, after = self.read(original, known), self.read(rewording, known)
        if unknown := [word for sentence in after for word in sentence.unknown]:
            return Difference(DIFFERENCES["unknown"], ", ".join(dict.fromkeys(unknown)))
        if UNCLEAR in {denial for sentence in (*before, *after) for denial in sentence.denials}:
            return Difference(UNCLEAR)
        if len(before) != len(after):
            return Difference(SENTENCES, f"{len(after)} for {len(before)}")
        return next(filter(None, map(_differs, before, after)), None)

    def is_clear(self, text: str) -> bool:
        """Return whether a text can be read itself, so that a rewording can be held against it."""
        return all(UNCLEAR not in sentence.denials for sentence in self.read(text))

    def read(self, text: str, known: Iterable[str] = ()) -> tuple[SentenceClaims, ...]:
        """Return what each sentence of a text says; known: further words that may stand in it."""
        further = {*known}
        sentences = (part for part in SENTENCE_END.split(_normal(text)) if WORD.search(part))
        return tuple(self._sentence(sentence, further) for sentence in sentences)

    def without_claims(self, text: str) -> str:
        """Return a text without its units, numbers, expressions, steps and signs: its wording alone."""
        normal, kept, end = _normal(text), "", 0
        for token in self._tokens(normal):
            if {"code", "number", "label", "order", "name", "sign"}.intersection(token.kinds):
                kept += normal[end : token.start]
                end = token.start + len(token.text)
        return kept + normal[end:]

    # One sentence -------------------------------------------------------------------------------------

    def _tokens(self, sentence: str) -> Iterator[Token]:
        pieces = list(self._piece.finditer(sentence))
        place = 0
        while place < len(pieces):
            piece, count = pieces[place], 1
            if piece.lastgroup == "word":
                kinds, count = self._meaning(sentence, pieces[place : place + self._longest])
            elif piece["code"]:
                kinds = {"code": self._codes[_letters(piece["code"].partition("(")[0])]}
            else:
                kinds = {"number": _value(piece[0])} if piece["number"] else {"unknown": piece[0]}
            start, end = piece.start(), pieces[place + count - 1].end()
            yield Token(sentence[start:end], kinds, start)
            place += count

    def _meaning(self, sentence: str, pieces: Sequence[re.Match[str]]) -> tuple[dict[str, str], int]:
        """Return what the longest phrase means with which some pieces begin, and how many these are."""
        words = [pieces[0][0].casefold()]
        for before, piece in pairwise(pieces):
            if piece.lastgroup != "word" or not sentence[before.end() : piece.start()].isspace():
                break
            words.append(piece[0].casefold())
        for count in range(len(words), 1, -1):
            if kinds := self._meanings.get(" ".join(words[:count])):
                return kinds, count
        return self._word_kinds(words[0]), 1

    def _word_kinds(self, word: str) -> dict[str, str]:
        """Return what a word means; where it has no meaning, it is the word itself."""
        if word not in self._kinds:
            beginnings = (f"{word[:end]}*" for end in range(len(word), 0, -1))
            meanings = (self._meanings[pattern] for pattern in (word, *beginnings) if pattern in self._meanings)
            self._kinds[word] = next(meanings, {"word": word})
        return self._kinds[word]

    def _sentence(self, sentence: str, known: set[str]) -> SentenceClaims:
        tokens = list(self._tokens(sentence))
        of = defaultdict(list)
        for token in tokens:
            for kind, value in token.kinds.items():
                of[kind].append(value)
        units, denials = set[tuple[str, bool]](), list[str]()
        for clause in self._clauses(sentence, tokens):
            codes = [token.kinds["code"] for token in clause if "code" in token.kinds]
            every = [self._denial(clause, i) for i, token in enumerate(clause) if _denies(token)]
            denials += [denial for denial in every if denial == INSTEAD]
            denied = [denial for denial in every if denial != INSTEAD]
            if len(denied) > 1:
                denials.append(UNCLEAR)
            is_absent = bool(denied) and (denied[0] == "there" or (denied[0] == "" and bool(codes)))
            units |= {(code, is_absent) for code in codes}
            if denied and not (is_absent and codes):
                denials.append(denied[0])
            elif not denied and any("yes" in token.kinds for token in clause) and not codes:
                denials.append("yes")
        # Of several numbers each belongs to what stands beside it.
        bound = [
            token.kinds[kind]
            for token in tokens
            for kind in ("label", "number", "name", "order")
            if kind in token.kinds
        ]
        return SentenceClaims(
            tuple(self._unknown(of, known)),
            frozenset(code for code, _ in units),
            frozenset(units),
            _once(denials),
            tuple(of["number"]),
            _once(of["label"]),
            _once(of["name"]),
            _once(of["order"]),
            _once(bound) if len(of["number"]) > 1 else (),
            frozenset(of["kept"]),
            frozenset(self._strange_signs(tokens)),
            "?" in sentence,
        )

    def _unknown(self, of: dict[str, list[str]], known: set[str]) -> Iterator[str]:
        yield from of["unknown"]
        for word in of["word"]:
            if word not in known and not all(
                part in self._vocabulary or part in known for part in word.split("-")
            ):
                yield word

    def _clauses(self, sentence: str, tokens: Sequence[Token]) -> Iterator[list[Token]]:
        """Yield the clauses: after a semicolon, a word that breaks, or a verdict that begins the sentence."""
        clause: list[Token] = []
        for place, token in enumerate(tokens):
            gap = sentence[tokens[place - 1].start + len(tokens[place - 1].text) : token.start] if place else ""
            verdict = place == 1 and {"yes", "no", "negation"}.intersection(tokens[0].kinds)
            if ";" in gap or "break" in token.kinds or (verdict and re.search(r"[,.:!–—-]", gap)):
                yield clause
                clause = []
            clause.append(token)
        yield clause

    def _denial(self, clause: Sequence[Token], place: int) -> str:
        """Return what a word denies: that something is `there`, what is `claimed`, a verdict, or nothing.

        Before a number ("0.3, not 0.2") it says what that stands instead of.
        """
        if "number" in (clause[place + 1].kinds if place + 1 < len(clause) else ()):
            return INSTEAD
        if "absence" in clause[place].kinds:
            return "there"
        for token in clause[place + 1 :]:
            if THERE.intersection(token.kinds):
                return "there"
            if CLAIMED.intersection(token.kinds):
                return "claimed"
            if {"yes", "no"}.intersection(token.kinds):
                return "no"
        return "no" if "no" in clause[place].kinds else ""

    def _strange_signs(self, tokens: Sequence[Token]) -> Iterator[str]:
        """Yield words for signs that are none of the unit whose code follows them.

        Where codes stand before their signs, of the unit whose code stands before.
        """
        parts = [token for token in tokens if {"code", "sign"}.intersection(token.kinds)]
        codes = [i for i, token in enumerate(parts) if "code" in token.kinds]
        for i, token in enumerate(parts):
            if "sign" not in token.kinds:
                continue
            follows = [j for j in codes if j > i]
            precedes = [j for j in codes if j < i]
            near = (follows[:1] or precedes[-1:]) if codes and codes[0] else (precedes[-1:] or follows[:1])
            allowed = self._signs[parts[near[0]].kinds["code"]] if near else frozenset()
            if token.kinds["sign"] not in allowed:
                yield token.kinds["sign"]

    # Words --------------------------------------------------------------------------------------------

    @cached_property
    def _signs(self) -> dict[str, frozenset[str]]:
        """Return unit -> the words for its signs, one for each group of words that mean the same."""
        wording, words = self.wording, self.words
        signs = {}
        for unit, label in wording.labels.items():
            form = wording.instructions.signs.get(unit)
            texts = [label, wording.descriptions.get(unit, ""), *(form.sources if form is not None else ())]
            plain = {word for text in texts for word in _words_of(text)}
            further = words.signs.get(unit, ())
            told = {word for word in (*plain, *further) if word not in self._common}
            signs[unit] = frozenset(map(self._group, told))
        return signs

    @cached_property
    def _common(self) -> _Vocabulary:
        """Return the words that are no signs, though a sign's text may have them."""
        words, ordered = self.words, self.words.ordered
        lists = (words.negation, words.absence, words.presence, words.claim, words.breaks, self._further)
        named = [*lists, *words.kept.values(), *ordered.values()]
        return _Vocabulary(word for group in named for word in group if " " not in word)

    def _group(self, word: str) -> str:
        """Return the first of the words that mean the same sign."""
        if word in self._groups:
            return self._groups[word]
        for pattern, first in self._groups.items():
            if pattern.endswith("*") and word.startswith(pattern[:-1]):
                return first
        return word

    @cached_property
    def _vocabulary(self) -> _Vocabulary:
        instructions = self.wording.instructions
        sources = [*instructions.texts.values(), *instructions.names.values(), *instructions.phrases.values()]
        sources += [*self.wording.statements.values(), *self.wording.descriptions.values()]
        forms = [*instructions.forms.values(), *instructions.signs.values()]
        for phrasings in (instructions.phrasings, instructions.turns, instructions.compared):
            for group in phrasings.values():
                forms += [phrasing.answer for phrasing in group]
        sources += [source for form in forms for source in form.sources]
        sources += [*self.wording.labels.values(), *instructions.regions]
        sources += [anchor.text for anchors in instructions.anchors.values() for anchor in anchors]
        words = {word for source in sources for word in _words_of(source)}
        return _Vocabulary({*words, *self._further})

    def _all_meanings(self) -> dict[str, dict[str, str]]:
        """Return pattern -> what it means; where two mean different things of a kind, the first holds."""
        wording, words = self.wording, self.words
        meanings: dict[str, dict[str, str]] = {}

        def mean(patterns: Iterable[str], kind: str, value: str) -> None:
            for pattern in patterns:
                meanings.setdefault(" ".join(pattern.casefold().split()), {}).setdefault(kind, value)

        for state, name in wording.states.items():
            mean((name, wording.phrase(state), *words.labels.get(state, ())), "label", state)
        for number, name in wording.numbers.items():
            mean((name,), "name", number)
            directions = wording.instructions.directions.get(number)
            for key in ("up", "down", "more", "less") if directions is not None else ():
                mean((getattr(directions, key),), "name", f"{number} {key}")
        for steps in wording.instructions.steps.values():
            for _, step in steps:
                mean((step,), "order", step)
        for name, group in words.ordered.items():
            mean(group, "order", name)
        for name, group in words.kept.items():
            mean(group, "kept", name)
        kinds = ("negation", "absence", "presence", "claim", "yes", "no")
        for kind, group in zip(kinds, (getattr(words, kind) for kind in kinds), strict=True):
            mean(group, kind, kind)
        mean(words.breaks, "break", "break")
        # A phrase that means nothing here, though its words may.
        mean((word for word in self._further if " " in word), "phrase", "")
        signs = {word for unit in self._signs for word in self._signs[unit]}
        mean((word for word, first in self._groups.items() if first in signs), "sign", "")
        mean(signs, "sign", "")
        for pattern, kinds_of in meanings.items():
            if "sign" in kinds_of:
                kinds_of["sign"] = self._group(pattern)
        return meanings


class _Vocabulary:
    """Words, and beginnings of words that end in `*`."""

    def __init__(self, words: Iterable[str]) -> None:
        parts = {part for word in words for part in word.split()}
        self.words = frozenset(part for part in parts if not part.endswith("*"))
        self.beginnings = tuple(part[:-1] for part in parts if part.endswith("*"))

    def __contains__(self, word: str) -> bool:
        return word in self.words or word.startswith(self.beginnings)


def _differs(before: SentenceClaims, after: SentenceClaims) -> Difference | None:
    for field in fields(SentenceClaims):
        first, second = getattr(before, field.name), getattr(after, field.name)
        if field.name == "unknown" or first == second:
            continue
        what = "" if field.name == "asks" else _change(first, second)
        return Difference(DIFFERENCES[field.name], what)
    return None


def _change(before: Iterable[object], after: Iterable[object]) -> str:
    """Return in words what became of some values."""
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        changes = (after - before, "added"), (before - after, "lost")
        return ", ".join(f"{what} {value}" for part, what in changes for value in sorted(map(_in_words, part)))
    texts = [", ".join(map(_in_words, part)) or "nothing" for part in (before, after)]
    return f"{texts[1]} for {texts[0]}"


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return f"{value[0]} not there" if value[1] else f"{value[0]} there"
    return str(value)


def _denies(token: Token) -> bool:
    return bool({"negation", "absence", "no"}.intersection(token.kinds))


def _normal(text: str) -> str:
    text = text.translate(SAME_SIGNS)
    for pattern, whole in SHORTENED:
        text = pattern.sub(whole, text)
    return text


def _words_of(text: str) -> Iterator[str]:
    """Yield the words of a text with alternatives and facts, in small letters."""
    try:
        plain = " ".join(literal for literal, _, _, _ in Formatter().parse(text))
    except ValueError:
        plain = text
    for word in WORD.findall(_normal(plain).casefold()):
        yield word
        if "-" in word:
            yield from word.split("-")


def _code_pattern(name: str) -> str:
    letters = re.fullmatch(r"([^\W\d_]+)(\d+)", name)
    return rf"{letters[1]}[ -]?{letters[2]}" if letters else re.escape(name)


def _letters(code: str) -> str:
    return re.sub(r"[\s-]", "", code).casefold()


def _value(text: str) -> str:
    """Return a number as one text, whatever way it is written."""
    match = re.match(r"[+-]?[\d.,]+", text)
    digits = (match[0] if match else text).replace(",", ".")
    try:
        value = format(Decimal(digits).normalize() + 0, "f")
    except InvalidOperation:
        value = digits
    return value if match and match[0] == text else f"{value} %"


def _once(values: Sequence[str]) -> tuple[str, ...]:
    """Return values without those that are the same as the one before."""
    return tuple(value for value, _ in groupby(values))
