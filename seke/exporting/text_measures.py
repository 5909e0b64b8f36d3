"""How varied the texts of an export are, and whether their wording gives the class away.

    distinct-n   distinct n-grams of the answers / all n-grams of them   (Li et al. 2016, arXiv:1510.03055)
    duplicates   share of answers that are word for word those of an earlier row
    probe        mean recall of a bag-of-words classifier (multinomial naive Bayes, cross-validated) that is
                 to tell the class of an item from the frame of a task without reasons: the question, and
                 the answer with all facts of the item taken out. At chance it is 1 / classes.

Of each task the first MOST_MEASURED rows are measured: the share of distinct texts falls and that of
duplicates rises with their number, so exports compare by the same one; and memory stays bounded.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import Floats, Ints
    from seke.exporting.instruction_row import InstructionRow

    Record = dict[str, Any]

MOST_MEASURED = 2_000
NGRAMS = (1, 2, 3)
WORDS = re.compile(r"\w+")
# What is filled in, with its format: no part of the wording.
FIELDS = re.compile(r"\{[^{}]*\}")
FOLDS = 5
# Pseudo-count of each word in each class.
SMOOTHING = 1.0
# Standard errors above chance up to which a probe is at chance: 1 in 740 that know nothing is above.
ERRORS = 3.0
# Decimal places of what is reported.
DIGITS = 4


@dataclass
class _TaskTexts:
    """What is kept of the texts of a task; frames: (class, frame) of rows without reasons."""

    rows: int = 0
    answers: set[int] = field(default_factory=set)
    grams: dict[int, set[int]] = field(default_factory=lambda: {n: set() for n in NGRAMS})
    totals: Counter[int] = field(default_factory=Counter)
    words: int = 0
    shortest: int = 0
    longest: int = 0
    frames: list[tuple[str, str]] = field(default_factory=list)


class TextMeasures:
    """Measures the texts of an export, row by row."""

    def __init__(self) -> None:
        self._tasks: dict[str, _TaskTexts] = {}

    def add(self, row: InstructionRow, label: str | None) -> None:
        """Take in a row; label: the expression of its item, if one is accepted."""
        texts = self._tasks.setdefault(row.task, _TaskTexts())
        if texts.rows >= MOST_MEASURED:
            return
        if row.frame and label is not None:
            texts.frames.append((label, row.frame))
        answer = "\n".join(answer for _, answer in row.turns)
        words = WORDS.findall(answer)
        texts.rows += 1
        texts.answers.add(hash(answer))
        for n in NGRAMS:
            grams = list(zip(*(words[start:] for start in range(n)), strict=False))
            texts.grams[n].update(map(hash, grams))
            texts.totals[n] += len(grams)
        texts.words += len(words)
        texts.shortest = min(texts.shortest, len(words)) if texts.rows > 1 else len(words)
        texts.longest = max(texts.longest, len(words))

    def facts(self) -> dict[str, Record]:
        """Return the measures by task: rows measured, distinct_n, duplicates, words of an answer, probe."""
        return {
            task: {
                "rows": texts.rows,
                **{f"distinct_{n}": _share(len(texts.grams[n]), texts.totals[n]) for n in NGRAMS},
                "duplicates": round(1 - len(texts.answers) / texts.rows, DIGITS),
                "words": {
                    "mean": round(texts.words / texts.rows, 1),
                    "least": texts.shortest,
                    "most": texts.longest,
                },
                "probe": probe(texts.frames),
            }
            for task, texts in self._tasks.items()
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, DIGITS) if whole else None


def probe(frames: Sequence[tuple[str, str]]) -> Record | None:
    """Return how well the class is told from the wording alone; None with fewer than two classes to tell.

    Args:
        frames: (class, text) of N rows; classes with fewer rows than there are folds are left out.

    Returns:
        rows, classes, recall (the mean over classes), chance, and `highest`: what is still at chance.
    """
    counts = Counter(label for label, _ in frames)
    classes = sorted(label for label, count in counts.items() if count >= FOLDS)
    kept = [(label, text) for label, text in frames if label in classes]
    if len(classes) < 2:
        return None
    truth = np.array([classes.index(label) for label, _ in kept])
    document, word = _bags([text for _, text in kept])
    # Each class is dealt to the folds by turns, so that every fold has some of it.
    folds = np.empty(len(truth), dtype=np.int64)
    for k in range(len(classes)):
        own_rows = np.flatnonzero(truth == k)
        folds[own_rows] = np.arange(len(own_rows)) % FOLDS
    predicted = np.empty(len(truth), dtype=np.int64)
    for fold in range(FOLDS):
        predicted[folds == fold] = _naive_bayes(truth, document, word, folds != fold)[folds == fold]
    sizes = np.bincount(truth)
    recall = np.bincount(truth[predicted == truth], minlength=len(classes)) / sizes
    share = np.bincount(predicted, minlength=len(classes)) / len(truth)
    error = math.sqrt(float((share * (1 - share) / sizes).sum())) / len(classes)
    chance = 1 / len(classes)
    return {
        "rows": len(truth),
        "classes": len(classes),
        "recall": round(float(recall.mean()), DIGITS),
        "chance": round(chance, DIGITS),
        "highest": round(chance + ERRORS * error, DIGITS),
    }


def _bags(texts: Sequence[str]) -> tuple[Ints, Ints]:
    """Return the text and the word of each occurrence of a word, (M,) each."""
    vocabulary: dict[str, int] = {}
    document: list[int] = []
    word: list[int] = []
    for number, text in enumerate(texts):
        for token in WORDS.findall(FIELDS.sub(" ", text).lower()):
            document.append(number)
            word.append(vocabulary.setdefault(token, len(vocabulary)))
    return np.array(document, dtype=np.int64), np.array(word, dtype=np.int64)


def _naive_bayes(truth: Ints, document: Ints, word: Ints, train: Ints) -> Ints:
    """Return the likeliest class of each text (N,) by the words of the texts `train` (N,)."""
    classes, words = int(truth.max()) + 1, int(word.max(initial=-1)) + 1
    counts: Floats = np.full((classes, words), SMOOTHING)
    used = train[document]
    np.add.at(counts, (truth[document[used]], word[used]), 1.0)
    log_p = np.log(counts / counts.sum(1, keepdims=True))
    scores = np.zeros((len(truth), classes))
    np.add.at(scores, document, log_p[:, word].T)
    return np.asarray(scores.argmax(1))
