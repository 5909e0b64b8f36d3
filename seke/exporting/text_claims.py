"""What a text of an export says of a face, read from its words: units, numbers, names, doubt, denials.

By this a rewording is held against its original: sentence by sentence both must claim the same. A word that
is not known makes a text unreadable, so that nothing can be added in words that nobody declared. What is
unclear, such as a denial of a denial, differs from everything.

    units      codes, each with whether the clause says that it is not there
    labels     names of expressions, in their order; so are numbers, names of scales, directions and what the
               words call `ordered`; steps of strength are among these
    kept       the kinds of words that stand there (`against`, `doubt`, ...), in their order
    placed     codes and denials in their order; one denial before all codes is as one behind them
    measured, compared, denied   what numbers belong to, what is compared or doubted, what is denied: codes
               with numbers; all but codes; expressions and words of strength with denials, in their order
    shown      whether something is said to be seen or not, in a sentence about units
    topics     what a question asks for
    signs      words for signs that belong to none of the units beside them
    asks       whether it is a question
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING

from seke.exporting.claim_words import WORD, ClaimWords, usual
from seke.exporting.instruction_reader import CONTROL, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seke.exporting.claim_words import Token
    from seke.exporting.wording import Wording

# A rewording may be so many times as long as its original, and so many letters longer.
LONGER_TIMES, LONGER_LETTERS = 2, 60
# How sentences end.
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”“']?\s+|\n+")
# Signs that a text may have besides letters, digits and those of its original.
MARKS = frozenset(" \n.,;:!?()'\"+-%“”„‘’–—/")
QUOTES = re.compile(r"[\"“”„]")
# A sign before a sign, or in parentheses.
ODD_SIGN = re.compile(r"[-+–−‒—][-+)]")
# What a denial is of, by what follows it.
THERE = frozenset(("code", "sign", "presence"))
CLAIMED = frozenset(("claim", "label", "name", "kept", "order"))


@dataclass(frozen=True)
class SentenceClaims:
    """What a sentence says; see above. unknown: words that nobody declared; those of the base's own texts
    are among them, which an original may have.
    """

    unknown: tuple[str, ...] = ()
    units: frozenset[str] = frozenset()
    absent: frozenset[tuple[str, bool]] = frozenset()
    denials: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    topics: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()
    asks: bool = False
    placed: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    shown: bool = True


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
    "topics": "something else asked for",
    "signs": "signs of no unit that is named",
    "asks": "a question",
    "placed": "something denied of another unit",
    "measured": "numbers of another unit",
    "compared": "another comparison",
    "denied": "something else denied",
    "shown": "nothing that is said to be seen",
}
# Kinds of words whose order is held against the original's, by the field.
ORDERED_KINDS = {
    "measured": ("code", "number"),
    "compared": ("label", "number", "name", "order", "kept"),
    "denied": ("label", "order", "denial"),
}
DENIAL = "not"
LENGTH, MARKUP, SENTENCES, UNCLEAR = "too long", "other marks", "other sentences", "unclear"
INSTEAD = "instead"


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
        self.words = ClaimWords(wording)

    # Two texts ----------------------------------------------------------------------------------------

    def difference(self, original: str, rewording: str, *, asked: bool = False) -> Difference | None:
        """Return why a rewording does not claim what its original claims; None where it does.

        asked: whether they are questions, which must be about the same, too.
        """
        if difference := _odd_form(original, rewording):
            return difference
        before, after = (self.read(text, asked=asked) for text in (original, rewording))
        if unknown := _unknown_in(before, after):
            return Difference(DIFFERENCES["unknown"], ", ".join(dict.fromkeys(unknown)))
        if UNCLEAR in {denial for sentence in (*before, *after) for denial in sentence.denials}:
            return Difference(UNCLEAR)
        if len(before) != len(after):
            return Difference(SENTENCES, f"{len(after)} for {len(before)}")
        return next(filter(None, map(_differs, before, after)), None)

    def is_clear(self, text: str) -> bool:
        """Return whether a text can be read itself, so that a rewording can be held against it."""
        return all(UNCLEAR not in sentence.denials for sentence in self.read(text))

    def read(self, text: str, *, asked: bool = False) -> tuple[SentenceClaims, ...]:
        """Return what each sentence of a text says; asked: whether it is a question."""
        sentences = (part for part in SENTENCE_END.split(usual(text)) if WORD.search(part))
        return tuple(self._sentence(sentence, asked=asked) for sentence in sentences)

    def without_claims(self, text: str) -> str:
        """Return a text without its units, numbers, expressions, steps and signs: its wording alone."""
        normal, kept, end = usual(text), "", 0
        for token in self.words.tokens(normal):
            if {"code", "number", "label", "order", "name", "sign"}.intersection(token.kinds):
                kept += normal[end : token.start]
                end = token.start + len(token.text)
        return kept + normal[end:]

    # One sentence -------------------------------------------------------------------------------------

    def _sentence(self, sentence: str, *, asked: bool) -> SentenceClaims:
        tokens = list(self.words.tokens(sentence))
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
            (*of["unknown"], *(word for word in of["word"] if not self.words.knows(word, asked=asked))),
            frozenset(code for code, _ in units),
            frozenset(units),
            _once(denials),
            tuple(of["number"]),
            _once(of["label"]),
            _once(of["name"]),
            _once(of["order"]),
            _once(bound) if len(of["number"]) > 1 else (),
            tuple(of["kept"]),
            frozenset(of["topic"] if asked else ()),
            frozenset(self._strange_signs(tokens)),
            "?" in sentence,
            _placed(_in_order(tokens, ("code", "denial"))),
            **{field: _in_order(tokens, kinds) for field, kinds in ORDERED_KINDS.items()},
            shown=not units or any({"presence", "absence", "sign"}.intersection(t.kinds) for t in tokens),
        )

    def _clauses(self, sentence: str, tokens: Sequence[Token]) -> Iterator[list[Token]]:
        """Yield the clauses: after a semicolon, a word that breaks, or a verdict that begins the sentence."""
        clause: list[Token] = []
        for place, token in enumerate(tokens):
            before = tokens[place - 1] if place else token
            gap = sentence[before.start + len(before.text) : token.start]
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
            allowed = self.words.signs[parts[near[0]].kinds["code"]] if near else frozenset()
            if token.kinds["sign"] not in allowed:
                yield token.kinds["sign"]


def _unknown_in(before: Sequence[SentenceClaims], after: Sequence[SentenceClaims]) -> list[str]:
    """Return unknown words of a rewording that its original has not in the same sentence."""
    if len(before) != len(after):
        known = {word for sentence in before for word in sentence.unknown}
        return [word for sentence in after for word in sentence.unknown if word not in known]
    pairs = zip(before, after, strict=True)
    return [word for first, second in pairs for word in second.unknown if word not in first.unknown]


def _odd_form(original: str, rewording: str) -> Difference | None:
    """Return what is wrong with a rewording before it is read; None where nothing is."""
    if len(rewording) > LONGER_TIMES * len(original) + LONGER_LETTERS:
        return Difference(LENGTH, f"{len(rewording):,} letters for {len(original):,}")
    # What is in quotation marks may be meant otherwise.
    quoted = QUOTES.search(rewording) if not QUOTES.search(original) else None
    if odd := TOKENS.search(rewording) or CONTROL.search(rewording) or ODD_SIGN.search(rewording) or quoted:
        return Difference(MARKUP, repr(odd[0]))
    marks = {sign for sign in rewording if not sign.isalnum()} - MARKS - {*original}
    return Difference(MARKUP, " ".join(sorted(marks))) if marks else None


def _differs(before: SentenceClaims, after: SentenceClaims) -> Difference | None:
    for field in fields(SentenceClaims):
        first, second = getattr(before, field.name), getattr(after, field.name)
        # Something may be said to be seen that goes without saying.
        if field.name == "unknown" or first == second or (field.name == "shown" and second):
            continue
        what = "" if isinstance(first, bool) else _change(first, second)
        return Difference(DIFFERENCES[field.name], what)
    return None


def _change(before: Iterable[object], after: Iterable[object]) -> str:
    """Return in words what became of some values."""
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        changes = (after - before, "added"), (before - after, "lost")
        return ", ".join(
            f"{what} {value}" for part, what in changes for value in sorted(map(_in_words, part))
        )
    texts = [", ".join(map(_in_words, part)) or "nothing" for part in (before, after)]
    return f"{texts[1]} for {texts[0]}"


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return f"{value[0]} not there" if value[1] else f"{value[0]} there"
    return str(value)


def _denies(token: Token) -> bool:
    return bool({"negation", "absence", "no"}.intersection(token.kinds))


def _in_order(tokens: Sequence[Token], kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the values of tokens that are of these kinds, in their order; `denial` is one of them."""
    values = []
    for token in tokens:
        values += [token.kinds[kind] for kind in kinds if kind in token.kinds]
        if "denial" in kinds and _denies(token):
            values.append(DENIAL)
    return tuple(values)


def _placed(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return codes and denials with a single denial of all codes before them."""
    if parts.count(DENIAL) == 1 and parts[-1] == DENIAL:
        return (DENIAL, *parts[:-1])
    return parts


def _once(values: Sequence[str]) -> tuple[str, ...]:
    """Return values without those that are the same as the one before."""
    return tuple(value for value, _ in groupby(values))
