"""Fit the observers to samples and gold, and write the overlay with the fitted numbers.

A `_FitTask` holds the request, `FitData` the samples and gold as read, `FitResult` what the fit computed from
them, and `Calibration` the overlay with its record and guarantee.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Check,
    ComponentTrial,
    Entry,
    Fit,
    FitPriors,
    FitRecord,
    FitSettings,
    Guarantee,
    Inference,
    Knowledge,
    Learned,
    SekeError,
    certificates_yaml,
    declared_of,
    did_you_mean,
    entries_of,
    fit_observers,
    fits_yaml,
    gold_digests,
    learn_knowledge,
    notebook_html,
    predictive_checks,
    split_types,
    tempered,
    unidentified_numbers,
    with_followed_shares,
)
from engine import learn_population as learn_prior
from seke.calibration.calibration_parts import CalibrationParts
from seke.calibration.certify import issue_guarantee
from seke.calibration.fit_data import FitData
from seke.calibration.fit_overlay import name_of_base, overlay_text, read_overlay, source_name
from seke.calibration.fit_record import models_of_runs, readings_of
from seke.calibration.fit_warnings import APART, gold_warnings, misfit_warnings
from seke.calibration.labelled_answers import LabelledAnswers, gold_table, without_gold_evidence
from seke.calibration.mean_thresholds import thresholds_of
from seke.calibration.near_gold import near_gold_remarks, with_clusters
from seke.calibration.promise import Promise
from seke.calibration.summary import text_of
from seke.console.notebook import interruptible_stages, stage_bar
from seke.files.networks import network_of
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.samples import single_samples
from seke.sampling.infer import source_list
from seke.tables.clusters import read_clusters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from seke.files.frames import ArrowStream, Samples
    from seke.samples import SingleSamples
    from seke.tables.label_table import LabelTable

    Progress = Callable[[str, int, int], None]

# Times that tables and observers are fitted in turn.
ROUNDS = 2


@dataclass(frozen=True, repr=False)
class Calibration(CalibrationParts):
    """A fit of the observers, and the overlay with its numbers.

    overlay: YAML text that extends the base. entries: every number that may have moved. untold: path -> why
    the data cannot tell it. checks: posterior predictive. warnings: for people, a line each. record: what it
    was made from, and the thresholds that keep limits of the mean. splits: kinds of reading that were tried,
    None where they were not asked for.
    """

    @cached_property
    def knowledge(self) -> Knowledge:
        """The base with the fitted numbers, as the overlay says them: functions take a calibration for it."""
        return declared_of(self.base).with_overlay(self.overlay)

    def __repr__(self) -> str:
        return f"<Calibration of {self.base.name}: {len(self.entries)} numbers; the YAML is its overlay>"

    def _repr_html_(self) -> str:
        yaml = "The overlay (YAML)", self.overlay
        return notebook_html(repr(self)[1:-1], text=text_of(self), folded=yaml)


def calibrate(
    samples: Samples,
    knowledge: Knowledge | str | Path | None = None,
    gold: str | Path | LabelTable | ArrowStream | Iterable[Mapping[str, Any]] | None = None,
    *,
    population: str | None = None,
    learn_population: bool = False,
    learn_tables: bool = False,
    types: bool = False,
    unlabelled: bool = False,
    exponent: bool = False,
    alpha: float | None = None,
    delta: float = 0.1,
    breadth: str = "levels",
    groups: str | tuple[str, str | Path] = "",
    adaptive: bool = False,
    keep_gold_evidence: bool = False,
    output: Path | None = None,
    today: datetime.date | None = None,
    extends: str | None = None,
    models: Mapping[str, str] | None = None,
    with_checks: bool = True,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> Calibration:
    """Learn from samples, with gold of all, some or none of their items, how observers answer.

    Args:
        samples: sample files, frames or records, as `seke.infer` takes them.
        knowledge: the base whose numbers are the priors; the shipped base by default.
        gold: a label table (file, frame, rows as mappings, or one read); items and levels may be missing.
        population: the prior of the truth; the base's usual one by default.
        learn_population: whether P(root) of the items is learned, too; gold counts as drawn at random.
        learn_tables: whether the cells of `activations` and the moments of `affect` are, within their `n`.
        types: whether more kinds of reading (`types`) are tried; takes further fits (`FitOptions`).
        unlabelled: whether items without gold tell, too, how observers answer; may mislead (`FitOptions`).
        exponent: whether each observer's whole evidence is tempered last, for comparison (`FitOptions`).
        alpha: the largest share of accepted values that may be wrong; part of the gold is kept to certify it.
        delta: the probability that any of these promises is broken.
        breadth: levels, values or pooled: what each promise is about, see `engine.Breadth`.
        groups: a column of the gold with each item's subject; or that, if any, and a table of `seke dupes`.
        adaptive: certify the values accepted of items that are asked as the policy asks, by replay.
        keep_gold_evidence: whether a data set's labels of values that gold tells stay among the answers.
        output: where the overlay will stand; a guarantee needs it, to read the base as it will be read.
        today: the date that the overlay bears; today's by default.
        extends: how the overlay names the base; `shipped` or the base's path by default.
        models: observer -> the model that answered as it, where not told by the folder of a run.
        with_checks: whether posterior predictive checks are made; they take most of the time of a small fit.
        progress: called with a stage, steps done and in all (0: unknown); or whether notebooks show a bar.
        **settings: method (map, svi or nuts), seed (of all chance), steps, draws, warmup, chains; processes.

    Raises:
        engine.SekeError: bad knowledge, samples, gold or names; KeyboardInterrupt: with the stage it came in.
    """
    base, promise = read_knowledge(knowledge), Promise.of(alpha, delta, adaptive=adaptive, breadth=breadth)
    learned = learn_population, learn_tables, types, unlabelled, exponent
    options = FitOptions(*learned, with_checks, keep_gold_evidence, processes=settings.pop("processes", 1))
    place = OverlayPlace(extends or name_of_base(knowledge), output, _day(today), models or {})
    fitting = FitSettings(priors=FitPriors(), **settings)
    return _FitTask(base, population, options, fitting, promise, place, groups).shown(progress, samples, gold)


@dataclass(frozen=True)
class FitOptions:
    """What a fit learns besides how observers answer, and from which items.

    population: P(root) of the items; gold counts as drawn at random. tables: the cells of `activations` and
    the moments of `affect`, within their `n`. types: more kinds of reading are tried, and kept where they
    foretell held-out items clearly better. That costs two or three further fits for each observer that was
    asked repeatedly, and an overlay with twice as many numbers to read, so it has to be asked for.
    unlabelled: items without gold tell how draws scatter, and, as far as observers agree, how they answer.
    That helps with strong observers and makes weak ones look better than they are. exponent: each observer's
    whole evidence is tempered by an exponent that is fitted last, for comparison; it stays as declared
    otherwise. checks: posterior predictive checks are made. gold_evidence: a data set's labels stay among the
    answers where gold tells the same value. processes: so many share the search for thresholds.
    """

    population: bool
    tables: bool
    types: bool
    unlabelled: bool
    exponent: bool
    checks: bool
    gold_evidence: bool
    processes: int


@dataclass(frozen=True)
class OverlayPlace:
    """How an overlay names its base, where it will stand, its date, and observer -> model that answered."""

    extends: str
    output: Path | None
    date: str
    models: Mapping[str, str]


@dataclass(frozen=True)
class FitResult:
    """The results of a fit. inference: of the prior. splits: kinds of reading that were tried, if any."""

    inference: Inference
    fit: Fit
    learned: tuple[Learned, ...]
    checks: tuple[Check, ...]
    splits: tuple[ComponentTrial, ...] | None

    @property
    def population(self) -> str:
        """The prior of the truth from now on: the one that was learned, else that of the fit."""
        learned = [part.knowledge.usual_population for part in self.learned if "priors" in part.sections]
        return (learned or [self.inference.population])[-1]

    @property
    def learned_entries(self) -> tuple[Entry, ...]:
        """The numbers of tables and population that were learned."""
        return tuple(entry for part in self.learned for entry in part.entries)

    @property
    def population_n(self) -> float | None:
        """The effective number of items behind a learned population: the median of p (1 - p) / sd² - 1."""
        shares = [entry for entry in self.learned_entries if entry.keys[0] == "priors" and entry.sd > 0]
        counts = [entry.value * (1 - entry.value) / entry.sd**2 - 1 for entry in shares]
        return max(float(np.median(counts)), 1.0) if counts else None


@dataclass(frozen=True)
class _FitTask:
    """The request for a fit; see `calibrate`."""

    base: Knowledge
    population: str | None
    options: FitOptions
    settings: FitSettings
    promise: Promise | None
    place: OverlayPlace
    grouped_by: str | tuple[str, str | Path]
    progress: Progress = lambda *_: None

    @property
    def groups(self) -> str:
        """The column of the gold with the subject of each item, "" for none."""
        return self.grouped_by if isinstance(self.grouped_by, str) else self.grouped_by[0]

    def shown(self, progress: Progress | bool | None, samples: Any, gold: Any) -> Calibration:
        """Return the calibration; say meanwhile how far it is."""
        with stage_bar(progress) as bar, interruptible_stages(bar) as stages:
            return replace(self, progress=stages).run(samples, gold)

    def run(self, samples: Any, gold: Any) -> Calibration:
        """Read, fit, and write what was fitted."""
        self._check(gold)
        table = None if gold is None else gold_table(gold, self.base, self.groups)
        sources = source_list(samples)
        self.progress("reading", 0, 0)
        every = LabelledAnswers.read(
            sources, self.base, table, self.groups, keep_gold_evidence=self.options.gold_evidence
        )
        every = self._with_units(every, sources)
        certifying_rng = None if self.promise is None else self._rng()
        data = FitData.of(every, self.base, table, certifying_rng, unlabelled=self.options.unlabelled)
        singles = self._singles(sources, data, table)
        result = self._learn(data)
        facts = self._facts(data, result, sources)
        text = overlay_text(result.fit, result.learned, facts, self.place.extends)
        self.progress("thresholds", 0, 0)
        record = self._record(text, data, result, facts, singles)
        text += fits_yaml(record) if record.readings else ""
        guarantee = self._guarantee(text, data, result.population, singles)
        if guarantee is not None:
            text += certificates_yaml(guarantee, record.name)
        return Calibration(
            self.base,
            result.fit,
            (*entries_of(result.fit), *result.learned_entries),
            unidentified_numbers(result.fit),
            result.checks,
            tuple(self._warnings(data, result)),
            text,
            guarantee,
            record,
            facts,
            result.splits,
        )

    def _with_units(self, every: LabelledAnswers, sources: list[Any]) -> LabelledAnswers:
        """Return answers whose groups are what stays together; a remark where pictures look alike."""
        if not isinstance(self.grouped_by, str):
            table = self.grouped_by[1]
            return with_clusters(every, read_clusters(table), table)
        if self.promise is None:
            return every
        self.progress("comparing pictures", 0, 0)
        return replace(every, remarks=(*every.remarks, *near_gold_remarks(every, sources)))

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.settings.seed)

    def _check(self, gold: Any) -> None:
        """Refuse a prior that the base does not have, and a promise that cannot be kept."""
        name, known = self.population, self.base.populations
        if name is not None and name not in known:
            raise SekeError(f"no population is called {name!r}{did_you_mean(name, known)}")
        if self.promise is not None and (gold is None or self.place.output is None):
            raise SekeError("a guarantee needs gold and an output path for the overlay")

    def _learn(self, data: FitData) -> FitResult:
        """Fit the observers and, where asked for, tables, exponents and the population."""
        seen, options, progress = data.seen, self.options, self.progress
        known = seen.answers, seen.gold
        network, splits = network_of(self.base), None
        prior = Inference(network, self.base, self.population)
        if options.types:
            prior, splits = split_types(prior, *known, progress, self.settings.seed)
        learned: list[Learned] = []
        fit = fit_observers(prior, *known, self.settings, progress)
        for _ in range(ROUNDS if options.tables else 0):
            progress("tables", 0, 0)
            learned = [learn_knowledge(fit, *known, prior.knowledge)]
            fit = fit_observers(learned[0].inference, *known, self.settings, progress, fit)
        if options.exponent:
            fit = tempered(fit, *known, progress)
        if data.stated is not None:
            fit = with_followed_shares(fit, data.stated.answers, data.stated.gold)
        if options.population:
            progress("population", 0, 0)
            learned.append(learn_prior(fit, fit.parameters.inference, data.sample.answers, data.sample.gold))
        progress("checks", 0, 0)
        checks = predictive_checks(fit, *known, self._rng()) if options.checks else ()
        return FitResult(prior, fit, tuple(learned), checks, splits)

    def _facts(self, data: FitData, result: FitResult, sources: list[Any]) -> dict[str, Any]:
        """Return data, base, method and date of a calibration, for its overlay and its summary."""
        from seke._version import __version__

        return {
            "version": __version__,
            "date": self.place.date,
            "method": self.settings.method,
            "seed": self.settings.seed,
            **data.facts(),
            "base": self.base.name,
            "base_digest": self.base.digest,
            "population": result.population,
            "inputs": [str(source) for source in sources if isinstance(source, str | Path)],
            "population_n": result.population_n if self.options.population else None,
        }

    def _singles(self, sources: list[Any], data: FitData, table: LabelTable | None) -> SingleSamples | None:
        """Return the samples one by one where the policy can be replayed on them, else None."""
        policy, answers = self.base.policy, data.seen.answers
        adaptive = self.promise is not None and self.promise.adaptive
        if not adaptive and (not policy.mean_limits or not data.seen.known.any()):
            return None
        asked = {list(self.base.observers)[index] for index in np.unique(answers.reading_observer)}
        if not policy.ask or not asked & {policy.ask, *policy.others}:
            if adaptive:
                whom = " and ".join(dict.fromkeys((policy.ask, *policy.others))) or "nobody"
                raise SekeError(
                    f"items that the policy asks cannot be certified: it asks {whom}, the samples are of "
                    f"{', '.join(sorted(asked))}; leave --adaptive out, or let `policy.ask` name one of these"
                )
            return None
        singles = single_samples(sources, self.base)
        if table is None or self.options.gold_evidence:
            return singles
        return without_gold_evidence(singles, self.base, table)

    def _record(
        self,
        text: str,
        data: FitData,
        result: FitResult,
        facts: Mapping[str, Any],
        singles: SingleSamples | None,
    ) -> FitRecord:
        """Return the record of a fit: its readings and gold, and the thresholds that keep limits of the mean.

        text: the overlay so far.
        """
        base = declared_of(self.base).with_overlay(text)
        session = Session.open(base, facts["population"], self.settings.seed)
        labelled = data.seen.only(data.seen.known)
        drawn_from = result.fit, labelled.answers, self._rng(), facts["population_n"]
        processes = self.options.processes
        thresholds = thresholds_of(session, *drawn_from, singles, progress=self.progress, processes=processes)
        models = {**models_of_runs(facts["inputs"]), **self.place.models}
        readings = readings_of(base, labelled.answers, labelled.gold, models)
        digests = {reading.observer: base.observer_digests[reading.observer] for reading in readings}
        # Clusters alone are no persons.
        persons = data.persons if self.groups else 0
        name, population = source_name(facts), str(facts["population"])
        return FitRecord(name, self.place.date, population, persons, digests, readings, *thresholds)

    def _guarantee(
        self, text: str, data: FitData, population: str, singles: SingleSamples | None
    ) -> Guarantee | None:
        """Return the guarantee of the overlay; None where no promise is asked for."""
        promise, place = self.promise, self.place
        if promise is None or data.parts is None or place.output is None:
            return None
        self.progress("certificates", 0, 0)
        session = Session.open(read_overlay(text, place.output), population, self.settings.seed)
        recorded = singles if promise.adaptive else None
        guarantee = issue_guarantee(
            session, data.every, data.parts, promise, place.date, self._rng(), recorded
        )
        gold_items = list(compress(data.every.answers.items, data.every.known))
        return replace(guarantee, gold_items=gold_digests(gold_items))

    def _warnings(self, data: FitData, result: FitResult) -> Iterator[str]:
        """Yield the warnings about a fit, those about its data first."""
        yield from data.warnings
        persons = data.persons if self.groups else 0
        gold, learned = data.seen.gold, self.options.population
        yield from gold_warnings(self.base, gold, result.population, persons, learned=learned)
        if self.options.exponent and self.base.dependence is not None:
            yield APART
        yield from misfit_warnings(result.checks)


def _day(today: datetime.date | None) -> str:
    return (today or datetime.datetime.now(datetime.UTC).date()).isoformat()
