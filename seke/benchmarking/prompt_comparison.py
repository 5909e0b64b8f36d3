"""Compares variants of the questions by their answers about the same items: measures and paired differences.

All variants are held to the same number of answers to each question about each item, and every difference is
taken on the same resamples of the items, of whole persons or clips where groups are known. So a wording is
preferred to another for this model only where the interval of the difference does not hold zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Gold, Inference, Knowledge, SekeError
from seke.benchmarking.prompt_measures import FOLDS, YES, measures_of
from seke.benchmarking.scorer import Resamples, ScoreOptions
from seke.benchmarking.variant_answers import VariantAnswers, equal_budgets
from seke.files.faults import Faults
from seke.files.networks import network_of
from seke.files.rows import JSON_LINES, RowFile
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.tables.label_table import LabelTable, labels_from, read_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine import Floats, Ints
    from seke.benchmarking.prompt_measures import Measure

    Record = dict[str, Any]
    Facts = dict[str, Any]
    # Variant, and the key of the measure.
    MeanKey = tuple[str, tuple[str, str, str]]
    GoldSource = str | Path | LabelTable | Iterable[Mapping[str, Any]]


# Hexadecimal digits of a digest.
DIGEST = 16
# Without these fields a record belongs to no question about no item.
NEEDED = {"item", "observer", "question"}


@dataclass(frozen=True, repr=False)
class PromptReport(TextReport):
    """The facts of a comparison, as JSON values; `str` renders them as text of 80 columns."""

    facts: Facts

    def __str__(self) -> str:
        from seke.benchmarking.prompt_text import text

        return text(self.facts)


def compare_prompts(
    answers: Mapping[str, str | Path | Iterable[Mapping[str, Any]]],
    knowledge: Knowledge | str | Path | Mapping[str, Knowledge] | None = None,
    gold: GoldSource | None = None,
    *,
    groups: str = "",
    bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PromptReport:
    """Compare variants of the questions by their answers; the first with each of the others.

    Args:
        answers: variant -> its samples, a file (JSON Lines) or records.
        knowledge: the base that all were asked with, or variant -> its base; the shipped base by default.
        gold: a label table, a file or its rows; without it only what needs none is measured.
        groups: a column of the gold with each item's person or clip: these are resampled as a whole.
        bootstrap: resamples; 0 leaves the intervals out.
        seed: of all chance.
        level: of the intervals.

    Raises:
        engine.SekeError: fewer than two variants, or no item that all have answers about.
        engine.AnswerError: samples or gold that cannot be read.
    """
    if len(answers) < 2:
        raise SekeError(f"a comparison needs two variants or more; there is {', '.join(answers) or 'none'}")
    bases = _bases(answers, knowledge)
    records = {name: _records(source) for name, source in answers.items()}
    base = next(iter(bases.values()))
    table = _gold(gold, base, groups)
    items = _common_items(records)
    groups_of_items = [None] * len(items) if table is None else list(table.groups_of(items))
    resamples = Resamples(groups_of_items, ScoreOptions(bootstrap, seed, level))
    known = Gold({}) if table is None else table.gold_of(items)
    folds, inference, kept = _folds(resamples.unit, seed), _inference(base), equal_budgets(records)
    measures = {
        name: measures_of(
            VariantAnswers.of(kept[name], bases[name], items), known, len(items), folds, inference
        )
        for name in answers
    }
    estimates = _Estimates(measures, resamples)
    variants = {name: _variant(bases[name], kept[name], len(records[name])) for name in answers}
    return PromptReport(
        {
            "items": len(items),
            "units": resamples.units,
            "level": level,
            "gold": {name: int((~np.isnan(values)).sum()) for name, values in known.values.items()},
            "variants": variants,
            "measures": _facts(estimates),
            "yes_by_question": _yes_by_question(estimates),
        }
    )


def _variant(base: Knowledge, records: Sequence[Record], given: int) -> Facts:
    """Return what a comparison says of a variant: how many of its answers count, and digests.

    questions: of each as the base has it; calibrated: those of them that a fit of the base was made with.

    sent: of the prompts of a question as they were sent, with all that they tell of the knowledge, where
    records say so (`extra.prompt`).
    """
    prompts: dict[str, set[str]] = {}
    for record in records:
        digest = (record.get("extra") or {}).get("prompt")
        prompts.setdefault(record["question"], set()).update([str(digest)] if digest else [])
    questions = {name: base.question_digests.get(name, "") for name in prompts}
    fitted = {(reading.question, reading.prompt) for fit in base.fits for reading in fit.readings}
    return {
        "answers": len(records),
        "given": given,
        "knowledge": base.digest,
        "questions": questions,
        "sent": {name: digest_of_all(digests) for name, digests in prompts.items()},
        "calibrated": [name for name, digest in questions.items() if (name, digest) in fitted],
    }


def digest_of_all(digests: Iterable[str]) -> str:
    """Return one digest for several, itself where there is one, no text where there is none."""
    ordered = sorted(digests)
    if len(ordered) < 2:
        return "".join(ordered)
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:DIGEST]


def _bases(
    answers: Mapping[str, Any], knowledge: Knowledge | str | Path | Mapping[str, Knowledge] | None
) -> dict[str, Knowledge]:
    if isinstance(knowledge, Mapping):
        return {name: knowledge[name] for name in answers}
    return dict.fromkeys(answers, read_knowledge(knowledge))


def _records(source: str | Path | Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return sample records; of a file, JSON Lines."""
    if not isinstance(source, str | Path):
        return [dict(record) for record in source]
    file = RowFile(source, Faults())
    if file.format != JSON_LINES:
        raise SekeError(f"{source}: samples of a variant are JSON Lines (.jsonl, .jsonl.gz)")
    records: list[Record] = []
    for number, row in file.rows():
        if set(row) >= NEEDED:
            records.append(dict(row))
        else:
            file.note(number, f"a sample has {', '.join(sorted(NEEDED))}")
    file.faults.raise_all()
    return records


def _gold(gold: GoldSource | None, base: Knowledge, groups: str) -> LabelTable | None:
    if gold is None or isinstance(gold, LabelTable):
        return gold
    return (
        read_labels(gold, base, groups) if isinstance(gold, str | Path) else labels_from(gold, base, groups)
    )


def _common_items(records: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return the items that all variants have answers about, in the order of the first."""
    named = [{record["item"] for record in variant} for variant in records.values()]
    common = set.intersection(*named)
    if not common:
        raise SekeError(f"no item has answers in all of {', '.join(records)}")
    first = next(iter(records.values()))
    return list(dict.fromkeys(record["item"] for record in first if record["item"] in common))


def _folds(units: Ints, seed: int) -> Ints:
    """Return a fold for each item, (N,); items of one unit, (N,), are in one."""
    count = int(units.max()) + 1
    return (np.random.default_rng(seed).permutation(count) % FOLDS)[units]


def _inference(base: Knowledge) -> Inference | None:
    """Return what coupling is measured with; None for a base without cells."""
    return Inference(network_of(base), base, None) if len(base.cells) > 1 else None


@dataclass(frozen=True)
class _Means:
    """Measures as a score of all items; see `scored_together`."""

    measures: Sequence[Measure]
    chosen: Ints

    def scores(self, weights: Floats) -> dict[str, Floats]:
        """Return place -> the mean at weights (rows, N), (rows,); NaN where nothing counts."""
        total = weights @ np.array([measure.total for measure in self.measures]).T
        count = weights @ np.array([measure.count for measure in self.measures]).T
        means = np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
        return {str(place): means[:, place] for place in range(len(self.measures))}


class _Estimates:
    """All means of all variants, on the items themselves and on the same resamples."""

    def __init__(self, measures: Mapping[str, Sequence[Measure]], resamples: Resamples) -> None:
        self.resamples = resamples
        named = [(name, measure) for name, of_variant in measures.items() for measure in of_variant]
        self.measure = {(name, measure.key): measure for name, measure in named}
        self._place = {(name, measure.key): str(place) for place, (name, measure) in enumerate(named)}
        score = _Means([measure for _, measure in named], np.arange(len(resamples.unit)))
        whole = score.scores(np.ones((1, len(score.chosen))))
        self._values = {place: float(value[0]) for place, value in whole.items()}
        (self._drawn,) = resamples.scores([score])

    def mean(self, of: MeanKey) -> Facts:
        """Return a mean and its interval."""
        place = self._place[of]
        return self.resamples.estimate(self._values[place], self._drawn.get(place))

    def difference(self, of: MeanKey, before: MeanKey) -> Facts:
        """Return by how much a mean is above another, and its interval."""
        place, other = self._place[of], self._place[before]
        drawn = self._drawn[place] - self._drawn[other] if self._drawn else None
        return self.resamples.estimate(self._values[place] - self._values[other], drawn)


def _facts(estimates: _Estimates) -> list[Facts]:
    """Return each measure with its value in every variant, and how these differ from the first."""
    variants = list(dict.fromkeys(name for name, _ in estimates.measure))
    facts = []
    for key in dict.fromkeys(key for _, key in estimates.measure):
        present = [name for name in variants if (name, key) in estimates.measure]
        by_variant: Facts = {}
        for name in present:
            basis = estimates.measure[name, key].basis
            by_variant[name] = {**estimates.mean((name, key)), "basis": basis}
            first = estimates.measure.get((variants[0], key))
            if name != variants[0] and first is not None and first.basis == basis:
                by_variant[name]["difference"] = estimates.difference((name, key), (variants[0], key))
        question, title, about = key
        facts.append({"question": question, "measure": title, "about": about, "variants": by_variant})
    return facts


def _yes_by_question(estimates: _Estimates) -> list[Facts]:
    """Return how much more often a question gets yes than the first one about the same units does.

    Where they differ in whether a unit is there or not, the questions need rates of their own.
    """
    first: dict[tuple[str, str, str], str] = {}
    facts = []
    for name, (question, title, about) in estimates.measure:
        if not title.startswith(YES):
            continue
        before = first.setdefault((name, title, about), question)
        if before != question:
            difference = estimates.difference(
                (name, (question, title, about)), (name, (before, title, about))
            )
            facts.append(
                {"variant": name, "question": question, "against": before, "measure": title, **difference}
            )
    return facts
