"""Answers of two models about a face whose truth is known: resampled from real answers about faces alike.

    gpt4v_rankings.csv   GPT-4V's ranking of expressions for a picture of the same class
    vlm_repeats.csv      whether a further draw of gpt-4o, and the answer of gemini-2.5, equal its first
                         one, on the same video frame, by whether that one was right
    vlm_numbers.csv      GPT-4V's numbers less the mean of human raters, of a film frame with a similar mean

Of action units no real answers with truth were at hand: hits and false alarms of each unit are drawn from
ranges that are assumptions, and with HALO an answer's units are the usual ones of the expression it names.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Record = dict[str, Any]

FIRST, SECOND = "gpt-4o|plain|t8", "gemini-2.5|plain|t8"
OBSERVERS = ("gpt-4o", "generic-vlm")
TONES = {"positive": "P", "neutral": "N", "negative": "G"}
UNREAD = "x"
# Assumed: the share of units that are reported where active, and where not; how often a draw repeats what the
# first said of a unit; how often units are those of the label.
HITS, FALSE_ALARMS, REPEATED, HALO = (0.4, 0.9), (0.02, 0.2), 0.9, 0.3
# Film frames whose mean rating is nearest, of which one lends its error.
NEAREST = 30


@dataclass(frozen=True)
class RealAnswers:
    """Real answers to resample. rankings: class -> rankings. frames: of video, by whether gpt-4o was right.

    errors: variable -> mean of the raters (n,), and runs less that mean (n, 5), on the scale from -1 to 1.
    """

    rankings: Mapping[str, Sequence[Sequence[str]]]
    frames: Mapping[bool, Sequence[tuple[str, str, str]]]
    errors: Mapping[str, tuple[np.ndarray, np.ndarray]]


def read_real(folder: Path) -> RealAnswers:
    """Read the three tables."""
    rankings = defaultdict(list)
    for row in _rows(folder / "gpt4v_rankings.csv"):
        if row["set"] == "affectnet":
            rankings[row["label"]].append(row["ranking"].split("|"))
    frames = defaultdict(list)
    for row in _rows(folder / "vlm_repeats.csv"):
        gold, first, second = TONES[row["gold"]], row[FIRST], row[SECOND]
        if UNREAD not in first + second and first and second:
            frames[first[0] == gold].append((gold, first, second))
    by_item: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for row in _rows(folder / "vlm_numbers.csv"):
        runs = [float(row[f"run{k}"] or "nan") for k in range(1, 6)]
        raters = np.mean([float(number) for number in row["raters"].split()])
        by_item[row["item"]][row["feature"]] = np.array([raters, *runs]) / 100
    valence = np.array([of["Pleasant"] - of["Unpleasant"] for of in by_item.values()])
    arousal = np.array([2 * of["Emotionally_aroused"] - 1 for of in by_item.values()])
    errors = {}
    for name, table in (("valence", valence), ("arousal", arousal)):
        known = table[~np.isnan(table).any(axis=1)]
        errors[name] = known[:, 0], known[:, 1:] - known[:, :1]
    return RealAnswers(rankings, frames, errors)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Models:
    """Two models that answer the joint question: the first twice, the second once."""

    def __init__(
        self,
        real: RealAnswers,
        units: Sequence[str],
        usual: Mapping[str, Mapping[str, float]],
        rng: np.random.Generator,
    ) -> None:
        """usual: expression -> unit -> how often it is active, of the truth."""
        self.real, self.units, self.usual, self.rng = real, units, usual, rng
        self.hits = rng.uniform(*HITS, (2, len(units)))
        self.false_alarms = rng.uniform(*FALSE_ALARMS, (2, len(units)))

    def answers(self, face: Record) -> list[Record]:
        """Return three sample records about a face."""
        first, again, second = self._expressions(face["expression"])
        numbers = self._numbers(face)
        units = self._units(face, 0, first)
        repeated = [unit for unit in self.units if (unit in units) == (self.rng.random() < REPEATED)]
        all_units = units, repeated, self._units(face, 1, second)
        keys = ((OBSERVERS[0], 0), (OBSERVERS[0], 1), (OBSERVERS[1], 0))
        drawn = enumerate(zip(keys, (first, again, second), all_units, strict=True))
        return [
            {
                "item": face["item"],
                "observer": observer,
                "question": "joint",
                "draw": draw,
                "expression": label,
                "action_units": named,
                **{name: of_draws[k] for name, of_draws in numbers.items()},
            }
            for k, ((observer, draw), label, named) in drawn
        ]

    def _pick(self, rows: Sequence[Any]) -> Any:
        return rows[self.rng.integers(len(rows))]

    def _expressions(self, truth: str) -> tuple[str, str, str]:
        ranking = self._pick(self.real.rankings[truth])
        label = ranking[0]
        gold, draws, other = self._pick(self.real.frames[label == truth])
        again = label if draws[1] == draws[0] else ranking[1]
        if other[0] == draws[0]:
            return label, again, label
        if other[0] == gold:
            return label, again, truth
        wrong = [rank[0] for rank in self.real.rankings[truth] if rank[0] not in (truth, label)]
        return label, again, self._pick(wrong)

    def _numbers(self, face: Record) -> dict[str, list[float]]:
        numbers = {}
        for name, (raters, errors) in self.real.errors.items():
            nearest = np.argsort(np.abs(raters - face[name]))[:NEAREST]
            runs = self.rng.choice(5, 3, replace=False)
            number = face[name] + errors[self._pick(nearest), runs]
            numbers[name] = np.clip(np.round(number, 1), -1, 1).tolist()
        return numbers

    def _units(self, face: Record, model: int, label: str) -> list[str]:
        if self.rng.random() < HALO:
            chances = np.array([self.usual[label][unit] for unit in self.units])
        else:
            active = np.array([bool(face[unit]) for unit in self.units])
            chances = np.where(active, self.hits[model], self.false_alarms[model])
        return [
            unit
            for unit, reported in zip(self.units, self.rng.random(len(self.units)) < chances, strict=True)
            if reported
        ]
