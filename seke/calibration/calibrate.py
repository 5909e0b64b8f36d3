"""Fit the observers to samples and gold, and write the overlay with the fitted numbers."""

from __future__ import annotations

import datetime
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    Check,
    ComponentTrial,
    Entry,
    Fit,
    FitRecord,
    FitSettings,
    Gold,
    Guarantee,
    Inference,
    Knowledge,
    Learned,
    SekeError,
    certificates_yaml,
    compiled,
    declared_of,
    did_you_mean,
    entries_of,
    far_off,
    fit_observers,
    fits_yaml,
    informative,
    learn_knowledge,
    overlay_tree,
    predictive_checks,
    replaced_paths,
    split_types,
    tempered,
    written,
)
from engine import learn_population as learn_prior
from engine import read as read_base
from seke.calibration.certify import Parts, Promise, issue_guarantee
from seke.calibration.fit_record import models_of_runs, readings_of
from seke.calibration.mean_thresholds import thresholds_of
from seke.files.shipped import SHIPPED, cache_folder, shipped_folder
from seke.files.shipped import knowledge as read_knowledge
from seke.inference.session import Session
from seke.samples import single_samples
from seke.sampling.infer import batches
from seke.tables.label_table import LabelTable, labels_from, read_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from seke.samples import SingleSamples

    Progress = Callable[[str, int, int], None]

# Warnings about misfit at most.
FEW = 5
# What is left out, by whether items without gold were asked for.
LONE = "what a lone observer says of them cannot tell how it answers to which truth"
AGREED = (
    "observers err together, so that their agreement is no truth to learn from (--unlabelled takes them in)"
)
APART = "exponents were fitted as if observers erred independently; to compare, set their `follows` to 0"
# Times that tables and observers are fitted in turn.
ROUNDS = 2
# Items of gold for each state of the root, below which a learned population is warned of.
ENOUGH_GOLD = 40
SHAKY = (
    "the population was learned through tables that rest on little gold, and errs as they do; declare it "
    "where you know it"
)


@dataclass(frozen=True)
class Calibration:
    """A fit of the observers, and the overlay with its numbers.

    overlay: YAML text that extends the base. entries: every number that may have moved. untold: path -> why
    the data cannot tell it. checks: posterior predictive. warnings: for people, a line each. record: what it
    was made from, and the thresholds that keep limits of the mean. splits: kinds of reading that were tried,
    None where they were not asked for.
    """

    base: Knowledge
    fit: Fit
    entries: tuple[Entry, ...]
    untold: Mapping[str, str]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    overlay: str
    guarantee: Guarantee | None
    record: FitRecord
    facts: Mapping[str, Any] = field(default_factory=dict)
    splits: tuple[ComponentTrial, ...] | None = None


def _no_progress(stage: str, done: int, total: int) -> None:
    """Report no progress."""


def calibrate(
    samples: str | Path | Iterable[str | Path] | Iterable[Mapping[str, Any]],
    knowledge: Knowledge | str | Path | None = None,
    gold: str | Path | Iterable[Mapping[str, Any]] | None = None,
    *,
    population: str | None = None,
    learn_population: bool = False,
    learn_tables: bool = False,
    types: bool = False,
    unlabelled: bool = False,
    exponent: bool = False,
    method: str = "map",
    alpha: float | None = None,
    delta: float = 0.1,
    groups: str = "",
    adaptive: bool = False,
    output: Path | None = None,
    seed: int = 0,
    today: datetime.date | None = None,
    extends: str | None = None,
    models: Mapping[str, str] | None = None,
    with_checks: bool = True,
    progress: Progress = _no_progress,
    **settings: int,
) -> Calibration:
    """Learn from samples, with gold of all, some or none of their items, how observers answer.

    Args:
        samples: sample files, or records, as `seke.infer` takes them.
        knowledge: the base whose numbers are the priors; the shipped base by default.
        gold: a label table (file, or rows as mappings); items and levels may be missing.
        population: the prior of the truth; the base's reference by default.
        learn_population: whether P(root) of the items is learned, too; gold counts as drawn at random.
        learn_tables: whether the cells of `activations` and the moments of `affect` are, within their `n`.
        types: whether more kinds of reading (`types`) are tried, and kept where they foretell held-out items
            clearly better. That costs two or three further fits for each observer that was asked repeatedly,
            and an overlay with twice as many numbers to read, so it has to be asked for.
        unlabelled: whether items without gold tell how draws scatter, and, as far as observers agree, how
            they answer. That helps with strong observers and makes weak ones look better than they are.
        exponent: whether each observer's whole evidence is tempered by an exponent that is fitted last, for
            comparison; it stays as declared otherwise.
        method: map, svi or nuts.
        alpha: the most that may be wrong among what is accepted; then a part of the gold, never shown to the
            fit, certifies at which risk each value may be accepted.
        delta: the probability that any of these promises is broken.
        groups: a column of the gold that tells the subject of an item, where items cluster.
        adaptive: certify what is accepted of items that are asked as the policy asks, by replay.
        output: where the overlay will stand; a guarantee needs it, to read the base as it will be read.
        seed: of all chance.
        today: the date that the overlay bears; today's by default.
        extends: how the overlay names the base; `shipped` or the base's path by default.
        models: observer -> the model that answered as it, where that is another name; of samples that lie in
            the folder of a run it is known.
        with_checks: whether posterior predictive checks are made; they take most of the time of a small fit.
        progress: called with a stage, steps done and steps in all (0 where that is not known).
        settings: steps (of svi), draws, warmup and chains (of nuts).

    Raises:
        engine.KnowledgeError, engine.AnswerError, engine.SekeError: bad knowledge, samples, gold or names.
    """
    base = knowledge if isinstance(knowledge, Knowledge) else read_knowledge(knowledge)
    if population is not None and population not in base.populations:
        raise SekeError(f"no population is called {population!r}{did_you_mean(population, base.populations)}")
    promise = Promise(alpha, delta) if alpha is not None else None
    if promise is not None and (gold is None or output is None):
        raise SekeError("a guarantee needs gold, and a place for the overlay")
    if adaptive and promise is None:
        raise SekeError("what is to be certified of items that the policy asks needs alpha")
    table = _table(gold, base, groups)
    if not isinstance(samples, str | Path | list | tuple):
        samples = list(samples)  # type: ignore[assignment]
    progress("reading", 0, 0)
    subjects = groups if promise is not None else None
    data = _Data.read(samples, base, table, subjects, seed, unlabelled=unlabelled)
    inference = Inference(compiled(base, cache_folder()), base, population)
    splits = None
    if types:
        inference, splits = split_types(inference, data.answers, data.gold, progress, seed)
    chosen = FitSettings(method=method, seed=seed, **settings)
    asked = {"tables": learn_tables, "prior": learn_population, "exponent": exponent}
    fit, learned = _fit_all(inference, data, chosen, progress, **asked)
    progress("checks", 0, 0)
    checks: tuple[Check, ...] = ()
    if with_checks:
        checks = predictive_checks(fit, data.answers, data.gold, np.random.default_rng(seed))
    facts = _facts(base, data, inference, method, today, seed, samples)
    facts["population_n"] = _population_count(learned) if learn_population else None
    text = _overlay(fit, learned, facts, extends or _base_name(base, knowledge))
    name = _source_name(facts)
    singles = _singles(samples, base, data, adaptive=adaptive)
    progress("thresholds", 0, 0)
    named = {**models_of_runs(_paths(samples)), **(models or {})}
    record = _record(base, text, fit, data, facts, singles, named, seed)
    text += fits_yaml(record) if record.readings else ""
    made = None
    if promise is not None and data.parts is not None and output is not None:
        progress("certificates", 0, 0)
        overlaid = read_overlay(text, output)
        gold_items = data.every, data.every_gold, data.parts, data.subjects
        recorded = singles if adaptive else None
        made = issue_guarantee(
            overlaid, inference.population, *gold_items, promise, str(facts["date"]), seed, recorded
        )
        text += certificates_yaml(made, name)
    return Calibration(
        base,
        fit,
        (*entries_of(fit), *(entry for learned_part in learned for entry in learned_part.entries)),
        dict(fit.unknowns.unidentified),
        checks,
        tuple(_warnings(base, data, checks, exponent=exponent, population=learn_population)),
        text,
        made,
        record,
        facts,
        splits,
    )


def _facts(
    base: Knowledge,
    data: _Data,
    inference: Inference,
    method: str,
    today: datetime.date | None,
    seed: int,
    samples: Any,
) -> dict[str, Any]:
    """Return data, base, method and date of a calibration, for its overlay and its summary."""
    from seke._version import __version__

    return {
        "version": __version__,
        "date": (today or datetime.datetime.now(datetime.UTC).date()).isoformat(),
        "method": method,
        "seed": seed,
        "items": len(data.answers.items),
        "answers": int(data.answers.samples.sum()),
        "gold": {name: int((~np.isnan(v)).sum()) for name, v in data.gold.values.items()},
        "data_digest": _digest(data.answers, data.gold),
        "base": base.name,
        "base_digest": base.digest,
        "population": inference.population,
        "inputs": _paths(samples),
    }


def _population_count(learned: Sequence[Learned]) -> float | None:
    """Return the effective number of items behind a learned population: the median of p (1 - p) / sd² - 1."""
    entries = (entry for learned_part in learned for entry in learned_part.entries)
    shares = [entry for entry in entries if entry.keys[0] == "priors" and entry.sd > 0]
    counts = [entry.value * (1 - entry.value) / entry.sd**2 - 1 for entry in shares]
    return max(float(np.median(counts)), 1.0) if counts else None


def _warnings(
    base: Knowledge, data: _Data, checks: Sequence[Check], *, exponent: bool, population: bool
) -> Iterator[str]:
    """Yield the warnings about a fit, those about its data first."""
    yield from data.warnings
    if exponent and base.dependence is not None:
        yield APART
    known = data.gold.values.get(base.root, np.zeros(0))
    few = (~np.isnan(known)).sum() < ENOUGH_GOLD * len(base.variables[base.root].states)
    if population and few:
        yield SHAKY
    yield from (_misfit(check) for check in far_off(checks)[:FEW])


def _source_name(facts: Mapping[str, Any]) -> str:
    return f"fit-{facts['date']}-{facts['data_digest'][:8]}"


def _singles(samples: Any, base: Knowledge, data: _Data, *, adaptive: bool) -> SingleSamples | None:
    """Return the samples one by one where the policy can be replayed on them, else None."""
    policy = base.policy
    if not adaptive and (not policy.mean_limits or not data.gold.known(len(data.answers.items)).any()):
        return None
    asked = {list(base.observers)[index] for index in np.unique(data.answers.reading_observer)}
    if not policy.ask or not asked & {policy.ask, *policy.others}:
        return None
    return single_samples(_as_list(samples), base)


def _record(
    base: Knowledge,
    text: str,
    fit: Fit,
    data: _Data,
    facts: Mapping[str, Any],
    singles: SingleSamples | None,
    models: Mapping[str, str],
    seed: int,
) -> FitRecord:
    """Return the record of a fit: its readings and gold, and the thresholds that keep limits of the mean."""
    written_base = declared_of(base).with_overlay(text)
    session = Session.open(written_base, facts["population"], seed)
    known = data.gold.known(len(data.answers.items))
    answers, rng = data.answers.only(known), np.random.default_rng(seed)
    counted = facts["population_n"]
    thresholds = thresholds_of(session, fit, answers, rng, counted, singles)
    readings = readings_of(written_base, answers, data.gold.only(known), models)
    digests = {reading.observer: written_base.observer_digests[reading.observer] for reading in readings}
    name, made, population = _source_name(facts), str(facts["date"]), str(facts["population"])
    return FitRecord(name, made, population, data.persons, digests, readings, *thresholds)


@dataclass(frozen=True)
class _Data:
    """Answers and gold: those that the fit sees, the sample without certifying items, and all that were read.

    parts: which of all items fit and which certify; None where nothing is to be certified. subjects: theirs.
    persons: of how many subjects the items of the fit are, 0 where that is not known.
    """

    answers: Answers
    gold: Gold
    sample: tuple[Answers, Gold]
    every: Answers
    every_gold: Gold
    parts: Parts | None
    subjects: tuple[str | None, ...] | None
    persons: int
    warnings: tuple[str, ...]

    @classmethod
    def read(
        cls,
        samples: Any,
        base: Knowledge,
        table: LabelTable | None,
        groups: str | None,
        seed: int,
        *,
        unlabelled: bool,
    ) -> _Data:
        """Read the samples; groups: the column of subjects or "", None where nothing is to be certified.

        unlabelled: whether the fit sees items without gold, too, where there is gold of others.
        """
        batched = list(batches(samples, base))
        if not batched:
            raise SekeError("there are no samples")
        every = answers = Answers.stacked(batched)
        every_gold = gold = table.gold_of(answers.items) if table else Gold({})
        warnings = _gold_remarks(base, table, answers, gold)
        parts = subjects = None
        if groups is not None and table is not None:
            subjects = table.groups_of(answers.items) if groups else None
            parts = Parts.of(gold, subjects, np.random.default_rng(seed))
            answers, gold = answers.only(parts.learned_from), gold.only(parts.learned_from)
        sample = answers, gold
        known = gold.known(len(answers.items))
        telling = informative(answers, gold) if unlabelled or not known.any() else known
        if not telling.all():
            count = int((~telling).sum())
            reason = LONE if unlabelled else AGREED
            warnings.append(f"{count} items without gold are left out of the fit: {reason}")
            answers, gold = answers.only(telling), gold.only(telling)
        persons = 0
        if table is not None and any(table.groups):
            persons = len({group for group in table.groups_of(answers.items) if group})
        return cls(answers, gold, sample, every, every_gold, parts, subjects, persons, tuple(warnings))


def _fit_all(
    inference: Inference,
    data: _Data,
    chosen: FitSettings,
    progress: Progress,
    *,
    tables: bool,
    prior: bool,
    exponent: bool,
) -> tuple[Fit, list[Learned]]:
    """Fit the observers and, where asked for, tables, exponents and the population."""
    declared, learned = inference.knowledge, []
    fit = fit_observers(inference, data.answers, data.gold, chosen, progress)
    if tables:
        for _ in range(ROUNDS):
            progress("tables", 0, 0)
            learned = [learn_knowledge(fit, data.answers, data.gold, declared)]
            fit = fit_observers(learned[0].inference, data.answers, data.gold, chosen, progress, fit)
    if exponent:
        fit = tempered(fit, data.answers, data.gold, progress)
    if prior:
        progress("population", 0, 0)
        learned.append(learn_prior(fit, fit.unknowns.inference, *data.sample))
    return fit, learned


def _as_list(samples: Any) -> list[Any]:
    return [samples] if isinstance(samples, str | Path) else list(samples)


def _paths(samples: Any) -> list[str]:
    """Return the names of sample files; none where records were given."""
    return [str(sample) for sample in _as_list(samples) if isinstance(sample, str | Path)]


def _table(gold: Any, base: Knowledge, groups: str) -> LabelTable | None:
    if gold is None:
        return None
    if isinstance(gold, str | Path):
        return read_labels(gold, base, groups)
    return labels_from(gold, base, groups)


def _gold_remarks(base: Knowledge, table: LabelTable | None, answers: Answers, known: Gold) -> list[str]:
    """Return remarks on gaps in the gold, a line each; gold of none of the items is an error."""
    if table is None:
        return ["there is no gold: what observers answer to which truth rests on priors and on agreement"]
    missing = [item for item, row in zip(table.items, _rows(table, answers), strict=True) if not row]
    if len(missing) == len(table.items):
        message = f"{table.path}: has gold of none of the items; it names {table.items[0]!r}, the samples "
        raise SekeError(f"{message}{answers.items[0]!r}")
    remarks = []
    if missing:
        shown = ", ".join(repr(item) for item in missing[:3]) + (", ..." if len(missing) > 3 else "")
        remarks.append(f"{len(missing)} of {len(table.items)} items with gold have no samples ({shown})")
    for name, values in known.values.items():
        variable = base.variables[name]
        if variable.kind == "interval":
            continue
        count = np.bincount(values[~np.isnan(values)].astype(int), minlength=len(variable.states))
        absent = [state for state, n in zip(variable.states, count, strict=True) if not n]
        if absent and count.sum() and variable.kind == "categorical":
            remarks.append(f"no item has gold {name} {', '.join(absent)}: their rows rest on the prior")
    bare = [
        n
        for n, values in known.values.items()
        if base.variables[n].kind == "binary" and not (values == 1).any()
    ]
    if bare:
        remarks.append(f"no item has gold {', '.join(bare)}: their sensitivity rests on the prior")
    return remarks


def _rows(table: LabelTable, answers: Answers) -> list[bool]:
    answered = set(answers.items)
    return [item in answered for item in table.items]


def _misfit(check: Check) -> str:
    return (
        f"{check.about} does not answer as it was fitted: {check.kind} ({check.name}) is "
        f"{check.observed:.3f}, and would be {check.drawn:.3f} ± {check.sd:.3f}"
    )


def _digest(answers: Answers, gold: Gold) -> str:
    """Return a digest of all that was learned from."""
    made = hashlib.sha256("\n".join(answers.items).encode())
    for array in (
        answers.reading_item,
        answers.reading_observer,
        answers.reading_question,
        answers.reading_view,
    ):
        made.update(np.ascontiguousarray(array).tobytes())
    labels = {name: (column.reading, column.answer) for name, column in answers.labels.items()}
    numbers = {name: (column.reading, column.value) for name, column in answers.numbers.items()}
    for name, arrays in sorted({**labels, **numbers}.items()):
        made.update(name.encode() + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
    for name, values in sorted(gold.values.items()):
        made.update(name.encode() + np.nan_to_num(values, nan=-99.0).tobytes())
    return made.hexdigest()[:12]


def _base_name(base: Knowledge, knowledge: Any) -> str:
    if isinstance(knowledge, str | Path) and str(knowledge) != SHIPPED:
        return str(Path(knowledge).resolve())
    return SHIPPED if knowledge is None or str(knowledge) == SHIPPED else base.name


def relative(extends: Path, overlay: Path) -> str:
    """Return the path of the base relative to the folder of its overlay."""
    return os.path.relpath(extends.resolve(), overlay.resolve().parent)


def _overlay(fit: Fit, learned: Sequence[Learned], facts: Mapping[str, Any], extends: str) -> str:
    """Return the overlay as YAML text."""
    source = _source_name(facts)
    gold = ", ".join(f"{name} {count}" for name, count in facts["gold"].items() if count) or "none"
    cite = (
        f"seke calibrate {facts['version']}, {facts['date']}: {facts['method']} fit of {facts['items']} items"
    )
    used = (
        f"{facts['answers']} answers; gold: {gold}; data digest {facts['data_digest']}; "
        f"base {facts['base']} {facts['base_digest']}; seed {facts['seed']}"
    )
    head = (
        "# Written by seke calibrate; edit it freely. `sd` are posterior standard deviations, `n` the\n"
        "# pseudo-counts of a table's rows; a later calibration begins there.\n"
    )
    removed = replaced_paths(fit)
    lines = [head, f"extends: {_yaml_string(extends)}\n"]
    if removed:
        lines.append(f"remove: [{', '.join(removed)}]\n")
    lines.append(f"sources:\n  {source}: {{cite: {_yaml_string(cite)},\n    used: {_yaml_string(used)}}}\n")
    tree = overlay_tree(fit, source)
    for learned_part in learned:
        for section, inner in learned_part.sections.items():
            tree[section] = {"source": source, **inner}
    return "".join(lines) + written(tree)


def _yaml_string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_overlay(text: str, path: Path) -> Knowledge:
    """Return the base that an overlay at `path` would be read as; the text is written beside it meanwhile.

    Raises:
        engine.KnowledgeError: an overlay that is faulty.
    """
    trial = path.with_name(f".{path.name}.trial.yaml")
    try:
        trial.write_text(text, "utf-8")
        return read_base(trial, {SHIPPED: shipped_folder()})
    finally:
        trial.unlink(missing_ok=True)
