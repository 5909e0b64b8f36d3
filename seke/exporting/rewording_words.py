"""The words by which a rewording is read back; see `rewording` in instructions.yaml.

A word ends in `*` where it stands for all words that begin so; several words are a phrase.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Lists of words, each needed where a language can be reworded at all.
LISTS = ("negation", "absence", "presence", "claim", "yes", "no", "breaks")
# Mappings from a name to words. Those of `labels` and `signs` are names of the base.
MAPPINGS = ("labels", "signs", "ordered", "kept", "topics", "words")
KEYS = ("system", "alike", *LISTS, *MAPPINGS)


@dataclass(frozen=True)
class RewordingWords:
    """What a model is told that rewords, and how its text is read.

    system: what it is told. negation: words that deny what follows; absence: those that say by themselves
    that something is not there; presence: what is said of a sign that is; claim: what is said of
    evidence. yes, no: verdicts. breaks: words that begin a clause of its own. labels, signs: further
    words for expressions and for what units look like. ordered: name -> words that must come in the same
    order; kept: name -> words of which one must stand where one stood, as often and in the same order;
    topics: the same, of questions. words: all others that may stand in a rewording besides those of the
    instructions, in groups of any name. alike: groups of words for signs that mean the same.
    """

    system: str
    negation: tuple[str, ...] = ()
    absence: tuple[str, ...] = ()
    presence: tuple[str, ...] = ()
    claim: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    signs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ordered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    topics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alike: tuple[tuple[str, ...], ...] = ()
