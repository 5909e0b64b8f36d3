"""Samples and gold -> what a fit sees, and what is kept from it to certify."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Answers, Gold, Knowledge, SekeError, informative
from seke.calibration.certify import Parts

if TYPE_CHECKING:
    from seke.calibration.labelled_answers import LabelledAnswers
    from seke.tables.label_table import LabelTable

# What is left out, by whether items without gold were asked for.
LONE = "only one observer answered them, which does not show how it answers to which truth"
AGREED = (
    "observers err together, so their agreement does not show the truth (--unlabelled includes these items)"
)


TOLD = (
    "readings whose prompt stated something are left out of the fit of their observer: they do not show how "
    "it looks, but only how often it follows what it is told"
)


@dataclass(frozen=True)
class FitData:
    """The items of a calibration.

    every: all that were read. parts: which of these fit and which certify; None where nothing is to be
    certified. sample: without those that certify. seen: those of the sample that the fit sees. stated: the
    same with the readings whose prompts stated something, None where there are none. warnings: a line each.
    """

    every: LabelledAnswers
    parts: Parts | None
    sample: LabelledAnswers
    seen: LabelledAnswers
    warnings: tuple[str, ...]
    stated: LabelledAnswers | None = None

    @classmethod
    def of(
        cls,
        every: LabelledAnswers,
        base: Knowledge,
        table: LabelTable | None,
        certifying_rng: np.random.Generator | None,
        *,
        unlabelled: bool,
    ) -> FitData:
        """Choose what the fit sees.

        certifying_rng: which items with gold certify; None where nothing is to be certified. unlabelled:
        whether the fit sees items without gold, too, where there is gold of others.
        """
        warnings = [*every.remarks, *_gold_remarks(base, table, every.answers, every.gold)]
        parts, sample = None, every
        if certifying_rng is not None:
            parts = Parts.of(every, certifying_rng)
            sample = every.only(parts.learned_from)
        seen = sample
        telling = sample.known
        if unlabelled or not telling.any():
            telling = informative(sample.answers, sample.gold)
        if not telling.all():
            count = int((~telling).sum())
            reason = LONE if unlabelled else AGREED
            warnings.append(f"{count} items without gold are left out of the fit: {reason}")
            seen = sample.only(telling)
        blind, stated = seen.answers.blind, None
        if not blind.all():
            stated = seen
            warnings.append(f"{int((~blind).sum())} {TOLD}")
            seen = replace(seen, answers=seen.answers.keeping(blind))
        return cls(every, parts, sample, seen, tuple(warnings), stated)

    @property
    def persons(self) -> int:
        """Of how many subjects the items of the fit are, 0 where that is not known."""
        return len({group for group in self.seen.groups or () if group})

    def facts(self) -> dict[str, Any]:
        """Return how much the fit sees, and a digest of it."""
        answers, gold = self.seen.answers, self.seen.gold
        return {
            "items": len(answers.items),
            "answers": int(answers.samples.sum()),
            "gold": {name: int((~np.isnan(values)).sum()) for name, values in gold.values.items()},
            "data_digest": data_digest(self.stated or self.seen),
        }


def _gold_remarks(base: Knowledge, table: LabelTable | None, answers: Answers, gold: Gold) -> list[str]:
    """Return remarks on gaps in the gold, a line each; gold of none of the items is an error."""
    if table is None:
        return ["there is no gold: the fit rests on priors and on the agreement of observers"]
    missing = [item for item, row in zip(table.items, _rows(table, answers), strict=True) if not row]
    if len(missing) == len(table.items):
        message = f"{table.path}: has no gold for any of the items; it names {table.items[0]!r}, the samples "
        raise SekeError(f"{message}{answers.items[0]!r}")
    remarks = []
    if missing:
        shown = ", ".join(repr(item) for item in missing[:3]) + (", ..." if len(missing) > 3 else "")
        remarks.append(f"{len(missing)} of {len(table.items)} items with gold have no samples ({shown})")
    for name, values in gold.values.items():
        variable = base.variables[name]
        if variable.kind == "interval":
            continue
        count = np.bincount(values[~np.isnan(values)].astype(int), minlength=len(variable.states))
        absent = [state for state, n in zip(variable.states, count, strict=True) if not n]
        if absent and count.sum() and variable.kind == "categorical":
            remarks.append(f"no item has gold {name} {', '.join(absent)}: these rows rest on the prior")
    bare = [
        n
        for n, values in gold.values.items()
        if base.variables[n].kind == "binary" and not (values == 1).any()
    ]
    if bare:
        remarks.append(f"no item has gold {', '.join(bare)}: their sensitivity rests on the prior")
    return remarks


def _rows(table: LabelTable, answers: Answers) -> list[bool]:
    answered = set(answers.items)
    return [item in answered for item in table.items]


def data_digest(data: LabelledAnswers) -> str:
    """Return a digest of answers and gold."""
    answers, gold = data.answers, data.gold
    made = hashlib.sha256("\n".join((*answers.items, *map(str, answers.givens))).encode())
    for array in (
        answers.reading_item,
        answers.reading_observer,
        answers.reading_question,
        answers.reading_view,
        *([] if answers.blind.all() else [answers.reading_given]),
    ):
        made.update(np.ascontiguousarray(array).tobytes())
    labels = {name: (column.reading, column.answer) for name, column in answers.labels.items()}
    numbers = {name: (column.reading, column.value) for name, column in answers.numbers.items()}
    for name, arrays in sorted({**labels, **numbers}.items()):
        made.update(name.encode() + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
    for name, values in sorted(gold.values.items()):
        made.update(name.encode() + np.nan_to_num(values, nan=-99.0).tobytes())
    return made.hexdigest()[:12]
