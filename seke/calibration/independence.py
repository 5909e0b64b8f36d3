"""How far answers err together, measured on items with gold and without a model of how they come about.

Two answers about the same items are compared: two draws of one reading, two readings (questions, views) of
one observer, or two observers. Of n items that both answered, with e = 1 where an answer is wrong,

    chance = mean(e_a) mean(e_b)                       how often both were wrong if errors were independent
    P(b wrong | a wrong) = mean(e_a e_b) / mean(e_a)
    phi = (mean(e_a e_b) - chance) / sqrt(var(e_a) var(e_b))

and n answers whose errors correlate by ρ, the mean phi of their pairs, are worth n / (1 + (n - 1) ρ)
independent ones (Kish 1965, Survey Sampling: the design effect). Beside it stands what the base declares,
P(b wrong | a wrong) under its model (`engine.observation.joint_answers`) and the gold's shares of states.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Inference,
    Knowledge,
    SekeError,
    did_you_mean,
    draws_jointly,
    error_rates,
    observers_jointly,
    percentile_interval,
    readings_jointly,
    resampled,
    scored,
)
from seke.calibration.first_answers import NO_ANSWER, FirstAnswers
from seke.calibration.labelled_answers import gold_table
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import TextReport
from seke.sampling.infer import source_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine import Bools, ErrorRates, Floats, Ints, Variable
    from seke.files.frames import Samples

    Record = dict[str, Any]
    Place = tuple[int, int, int]

# Items with gold. With fewer, half the width of a phi's interval is about 2 / sqrt(20) = .45 and says little.
FEW_ITEMS = 20
# Decimal places of numbers in records: enough to lose nothing that was measured.
DIGITS = 6


@dataclass(frozen=True, repr=False)
class Independence(TextReport):
    """Measures of how far answers about one variable err together.

    about: what was measured, on what. pairs: a record a pair, draws first, then readings, then observers.
    effective: a record for each set of answers, with how many independent ones it is worth.
    """

    about: Record
    pairs: tuple[Record, ...]
    effective: tuple[Record, ...]

    def __str__(self) -> str:
        from seke.calibration.independence_table import show
        from seke.console.printable_console import printed_text

        return printed_text(show, self)

    @property
    def facts(self) -> Record:
        """Return all measures as JSON values."""
        return {**self.about, "pairs": list(self.pairs), "effective": list(self.effective)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return warnings about the measures, a line each."""
        count = self.about["items"]
        if count >= FEW_ITEMS:
            return ()
        items = "item has" if count == 1 else "items have"
        return (f"only {count} {items} gold and answers: the intervals are wide, or missing",)

    def draw(self, form: str) -> bytes:
        """Return a picture, `png`, `svg` or `pdf`: a matrix of P(column wrong | row wrong).

        Raises:
            engine.SekeError: there are no two observers or readings to draw.
        """
        from seke.calibration.independence_picture import picture

        return picture(self.about, self.pairs, form)


def independence(
    samples: Samples,
    gold: str | Path | Iterable[Mapping[str, Any]],
    knowledge: Knowledge | str | Path | None = None,
    *,
    about: str | None = None,
    groups: str = "",
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Independence:
    """Measure on items with gold how far draws, readings and observers err together.

    The unit is the first answer of a reading (observer, question, view): of a ranking the first place, of a
    distribution the likeliest answer. An observer's answer about an item is that of its first reading, in the
    base's order of questions and the usual view first. An answer that names no state is wrong.

    Args:
        samples: sample files, or records, as `seke.infer` takes them.
        gold: a label table (file, or rows as mappings).
        knowledge: the base, which says who observes what; the shipped base by default.
        about: a categorical or binary variable; the base's root by default.
        groups: a column of gold, such as the subject: whole groups are resampled.
        bootstrap: resamples for the intervals; 0: none.
        level: of the intervals.
        seed: of all chance.

    Raises:
        engine.KnowledgeError, engine.AnswerError, engine.SekeError: bad knowledge, samples, gold or names; no
            gold of this variable, or no two answers about the same item.
    """
    from seke._version import __version__

    base = read_knowledge(knowledge)
    variable = _variable(base, about or base.root)
    table = gold_table(gold, base, groups)
    answers = FirstAnswers.of(source_list(samples), base, variable, table)
    measure = _PairMeasure(answers, base, bootstrap, level, seed)
    pairs = measure.pairs()
    return Independence(
        {
            "version": __version__,
            "knowledge": base.name,
            "digest": base.digest,
            "variable": variable.name,
            "items": len(answers.state),
            "gold": table.path,
            "groups": groups or None,
            "units": measure.units,
            "bootstrap": bootstrap,
            "level": level,
            "seed": seed,
            "observers": measure.observer_facts(),
        },
        pairs,
        tuple(_effective_sizes(pairs)),
    )


def effective_number(count: float, correlation: float | None) -> float | None:
    """Return the number of independent answers that `count` answers with correlated errors are worth.

    correlation: the mean one of their errors. None where it is unknown, or so negative that the formula has
    no answer.
    """
    if correlation is None:
        return None
    design_effect = 1 + (count - 1) * correlation
    return count / design_effect if design_effect > 0 else None


def _variable(base: Knowledge, name: str) -> Variable:
    usable = [v.name for v in base.variables.values() if v.kind in ("categorical", "binary")]
    if name in base.levels and name not in base.variables:
        members = ", ".join(base.levels[name][:4])
        raise SekeError(f"{name} is a level; name one of its variables: {members}, ...")
    if name not in base.variables:
        raise SekeError(f"no variable is called {name!r}{did_you_mean(name, usable)}")
    variable = base.variables[name]
    if name not in usable:
        kind = "a number" if variable.kind == "interval" else "derived from other variables"
        raise SekeError(f"{name} is {kind}; errors are counted of categorical and binary variables")
    return variable


class _PairMeasure:
    """Compares two columns of answers at a time, all on the same resamples."""

    def __init__(
        self, answers: FirstAnswers, base: Knowledge, bootstrap: int, level: float, seed: int
    ) -> None:
        self.answers, self.base, self.level = answers, base, level
        self.names, self.questions = tuple(base.observers), tuple(base.questions)
        self.units = int(answers.group.max(initial=-1)) + 1
        # Of a single group every resample is the same.
        times = bootstrap if self.units > 1 else 0
        self.weights = resampled(answers.group, times, np.random.default_rng(seed))
        self.by_observer: dict[int, list[Place]] = {}
        for place in sorted(answers.first, key=lambda p: (p[0], *answers.rank(p))):
            self.by_observer.setdefault(place[0], []).append(place)

    @cached_property
    def observations(self) -> Any:
        """Return the base's observation model, which is made where there is a pair to compare."""
        return Inference(network_of(self.base), self.base).observations

    def pairs(self) -> tuple[Record, ...]:
        """Return the records of all pairs: of draws, of readings, of observers.

        Raises:
            engine.SekeError: there are none.
        """
        pairs = (*self.draws(), *self.readings(), *self.observers())
        if not pairs:
            raise SekeError(
                f"no item with gold has two answers about {self.answers.variable.name}, so nothing can be "
                "compared. Give several draws, questions, views or observers for the same items"
            )
        return pairs

    def draws(self) -> Iterator[Record]:
        """Yield first against second draws of each reading that was repeated."""
        for places in self.by_observer.values():
            for place in places:
                name = self.names[place[0]]
                ends: Record = {"observer": name, "reading": self.reading_name(place)}
                ends |= {"draws": self.answers.draws[place], "a": "draw 1", "b": "draw 2"}
                columns = self.answers.first[place], self.answers.second[place]
                yield from self._pair("draws", ends, columns, (name, name), draws_jointly)

    def readings(self) -> Iterator[Record]:
        """Yield the pairs of readings of each observer."""
        for places in self.by_observer.values():
            for pair in itertools.combinations(places, 2):
                name = self.names[pair[0][0]]
                ends = {"observer": name, "a": self.reading_name(pair[0]), "b": self.reading_name(pair[1])}
                columns = self.answers.first[pair[0]], self.answers.first[pair[1]]
                yield from self._pair("readings", ends, columns, (name, name), readings_jointly)

    def observers(self) -> Iterator[Record]:
        """Yield the pairs of observers."""
        for pair in itertools.combinations(self.by_observer, 2):
            names = (self.names[pair[0]], self.names[pair[1]])
            columns = self.answers.of_observer(pair[0]), self.answers.of_observer(pair[1])
            families = [self.base.observers[name].family for name in names]
            family = families[0] if families[0] == families[1] else ""
            ends = {"a": names[0], "b": names[1], "family": family or None}
            yield from self._pair("observers", ends, columns, names, None)

    def reading_name(self, place: Place) -> str:
        """Return the question of a reading, with its view where that is not the usual one."""
        question, view = self.questions[place[1]], self.answers.views[place[2]]
        return question if view == self.base.usual_view else f"{question}, {view}"

    def observer_facts(self) -> Record:
        """Return observer -> items, accuracy, and the declared dependence, each observer by itself."""
        return {
            self.names[index]: {
                "items": int(answered.sum()),
                "accuracy": _share(~self.answers.wrong(column)[answered]),
                "follows": self.base.observers[self.names[index]].follows,
                "kind": self.base.observers[self.names[index]].kind or None,
                "family": self.base.observers[self.names[index]].family or None,
            }
            for index in self.by_observer
            for column in [self.answers.of_observer(index)]
            for answered in [column != NO_ANSWER]
        }

    def _pair(
        self,
        kind: str,
        ends: Record,
        columns: tuple[Ints, Ints],
        names: tuple[str, str],
        jointly: Callable[..., Floats] | None,
    ) -> Iterator[Record]:
        """Yield the record of a pair, nothing where no item has both answers."""
        chosen = np.flatnonzero((columns[0] != NO_ANSWER) & (columns[1] != NO_ANSWER))
        if not len(chosen):
            return
        wrong = [self.answers.wrong(column)[chosen] for column in columns]
        both = wrong[0] & wrong[1]
        rates = [float(errors.mean()) for errors in wrong]
        chance, share = rates[0] * rates[1], float(both.mean())
        same = (columns[0] == columns[1])[chosen]
        scores = _error_scores(*wrong)
        point = {name: float(value[0]) for name, value in scores(np.ones((1, len(chosen)))).items()}
        resamples = scored(scores, self.weights, chosen)
        yield {
            "kind": kind,
            **ends,
            "items": len(chosen),
            "accuracy": [_json_number(1 - rate) for rate in rates],
            "both_wrong": _json_number(share),
            "chance": _json_number(chance),
            "beyond_chance": _json_number(share - chance),
            "ratio": _json_number(share / chance) if chance else None,
            **{name: self._with_interval(value, resamples.get(name)) for name, value in point.items()},
            "same_wrong_answer": _share(same[both]),
            "declared": self._declared_rates(names, self.answers.state[chosen], jointly),
        }

    def _with_interval(self, value: float, resamples: Floats | None) -> Record:
        interval = None if resamples is None else percentile_interval(resamples, self.level)
        low, high = interval or (math.nan, math.nan)
        return {"value": _json_number(value), "low": _json_number(low), "high": _json_number(high)}

    def _declared_rates(
        self, names: tuple[str, str], state: Ints, jointly: Callable[..., Floats] | None
    ) -> Record:
        """Return the error rates that the base predicts for a pair, with the frequencies of the gold."""
        name = self.answers.variable.name
        p = np.bincount(state, minlength=len(self.answers.variable.states)) / len(state)
        if jointly is None:
            joint = observers_jointly(self.observations, name, names)
        else:
            joint = jointly(self.observations, name, names[0])
        rates: ErrorRates = error_rates(self.observations, name, names, joint, p)
        return {
            "accuracy": [_json_number(1 - rates.first), _json_number(1 - rates.second)],
            "both_wrong": _json_number(rates.both),
            "b_wrong_given_a_wrong": _json_number(rates.second_given_first),
            "a_wrong_given_b_wrong": _json_number(rates.first_given_second),
            "phi": _json_number(rates.phi),
        }


def _error_scores(first: Bools, second: Bools) -> Callable[[Floats], dict[str, Floats]]:
    """Return a function of weights (rows, n) that yields each score (rows,); NaN where one is not defined."""
    terms = np.stack([first, second, first & second, np.ones(len(first), dtype=bool)], axis=1)
    terms = terms.astype(np.float64)

    def scores(weights: Floats) -> dict[str, Floats]:
        a, b, both, total = (weights @ terms).T
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(a * (total - a) * b * (total - b))
            return {
                "b_wrong_given_a_wrong": both / a,
                "a_wrong_given_b_wrong": both / b,
                "phi": (total * both - a * b) / np.where(spread > 0, spread, np.nan),
            }

    return scores


def _effective_sizes(pairs: Sequence[Record]) -> Iterator[Record]:
    """Yield how many independent answers the draws, the readings and the observers are worth."""
    sets: dict[tuple[str, ...], list[Record]] = {}
    for pair in pairs:
        key = [pair[name] for name in ("kind", "observer", "reading") if name in pair]
        sets.setdefault(tuple(key), []).append(pair)
    for (kind, *names), members in sets.items():
        if kind == "draws":
            count = members[0]["draws"]
        else:
            count = len({pair[end] for pair in members for end in ("a", "b")})
        known = [pair["phi"]["value"] for pair in members if pair["phi"]["value"] is not None]
        correlation = sum(known) / len(known) if known else None
        effective = effective_number(count, correlation)
        yield {
            "kind": kind,
            **dict(zip(("observer", "reading"), names, strict=False)),
            "count": count,
            "correlation": None if correlation is None else _json_number(correlation),
            "effective": None if effective is None else _json_number(effective),
        }


def _share(hits: Bools) -> float | None:
    return _json_number(float(hits.mean())) if len(hits) else None


def _json_number(value: float) -> float | None:
    """Return a number rounded to DIGITS, None for NaN."""
    return None if math.isnan(value) else round(value, DIGITS)
