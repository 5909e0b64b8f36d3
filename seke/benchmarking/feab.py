"""Scores systems by the protocol of FEAB, the benchmark of SEKE: six sets, three tasks; `seke bench feab`.

What is scored and how stands in `feab.yaml`: every test item counts, also one that has no answer. Which items
of a set FEAB tests is known of CK+ alone; of other sets the items are those that the manifest names.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import Gold, Knowledge, SekeError, did_you_mean
from seke.benchmarking.feab_run import asked_run
from seke.benchmarking.paired_comparison import comparison
from seke.benchmarking.predictions import Prediction, Predictions, read_predictions
from seke.benchmarking.published import citations
from seke.benchmarking.score import ScoreReport
from seke.benchmarking.score_card import EXAMPLES, card, examples
from seke.benchmarking.scorer import ScoreOptions
from seke.datasets.registry import set_called, source_sets
from seke.files.atomic import replacing
from seke.files.free_folder import check_free
from seke.files.shipped import knowledge as read_knowledge
from seke.tables.label_table import LabelTable, read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.benchmarking.feab_run import AskedRun

    Facts = dict[str, Any]

SOURCE, GROUP, SPLIT, TEST = "source", "group", "split", "test"
RESULTS, PAGE, TABLES, PICTURES = "results.json", "feab.html", "feab.txt", "pictures.csv"


@cache
def protocol_table() -> Facts:
    """Return the protocol as `feab.yaml` declares it."""
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("feab.yaml").read_text("utf-8")))


@dataclass(frozen=True, repr=False)
class FeabReport(ScoreReport):
    """Scores by the protocol of FEAB. pictures: item -> digest of its picture as each system saw it."""

    pictures: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        from seke.benchmarking.feab_text import text

        return text(self.facts)

    def write(self, folder: str | Path) -> list[Path]:
        """Write table, page, results and digests of pictures into a new folder, whole or not at all.

        Raises:
            engine.SekeError: the folder is not empty, or cannot be written.
        """
        folder = Path(folder)
        check_free(folder)
        digests = io.StringIO(newline="")
        rows = csv.writer(digests, lineterminator="\n")
        rows.writerow(["item", *(f"picture of {system['name']}" for system in self.facts["systems"])])
        rows.writerows([item, *per_system] for item, per_system in self.pictures.items())
        contents = {
            RESULTS: msgspec.json.format(msgspec.json.encode(self.facts), indent=2),
            PAGE: self.html().encode(),
            TABLES: f"{self}\n".encode(),
            PICTURES: digests.getvalue().encode(),
        }
        with replacing(folder) as temporary:
            temporary.mkdir(parents=True)
            for name, data in contents.items():
                (temporary / name).write_bytes(data)
        return [folder / name for name in contents]


def feab(
    predictions: str | Path | Sequence[str | Path],
    gold: str | Path | Sequence[str | Path],
    knowledge: Knowledge | str | Path | None = None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> FeabReport:
    """Score systems by the protocol of FEAB; of several the first is compared with each of the others.

    Args:
        predictions: folders of runs (`seke bench run`, `seke annotate`), or files of predictions.
        gold: manifests as `seke import` makes them, with the column `source`; `group` (the person) and
            `split` are used where they are there. Of a table with `split` the test rows count.
        knowledge: the base whose variables are predicted; the shipped base by default.
        bootstrap: resamples; 0 leaves the intervals out.
        seed: of all chance.
        level: of the intervals.

    Raises:
        engine.AnswerError: predictions or gold that cannot be read.
        engine.SekeError: gold without sources, of other sets, or of persons that FEAB trains on.
    """
    base = read_knowledge(knowledge)
    prediction_list, gold_list = (
        [paths] if isinstance(paths, str | Path) else list(paths) for paths in (predictions, gold)
    )
    systems = _named_apart([asked_run(path) for path in prediction_list])
    table = _joined([_test_part(path, base) for path in gold_list])
    _check_persons(table)
    options = ScoreOptions(bootstrap, seed, level)
    answers = [_every_answer(read_predictions(system.path, base), system, table) for system in systems]
    pictures = {item: tuple("+".join(s.pictures.get(item, ())) for s in systems) for item in table.items}
    facts = {
        "gold": {"path": table.path, "items": len(table.items)},
        "knowledge": {"name": base.name, "digest": base.digest},
        "options": _option_facts(options, table),
        "protocol": {**protocol_table(), "sets": _sets(table)},
        "systems": [
            {**system.facts(), "not_answered": not_answered}
            for system, (_, not_answered) in zip(systems, answers, strict=True)
        ],
        "other_pictures": _other_pictures(pictures),
        "cited": citations(),
        "predictions": [card(base, predictions, table, options) for predictions, _ in answers],
        "comparisons": [
            {"source": label, **comparison(base, answers[0][0], other_predictions, part, options)}
            for other_predictions, _ in answers[1:]
            for label, part in _parts(table)
        ],
    }
    return FeabReport(facts, pictures)


def _option_facts(options: ScoreOptions, table: LabelTable) -> Facts:
    return {
        "bootstrap": options.bootstrap,
        "seed": options.seed,
        "level": options.level,
        "groups": "persons",
        "group_count": len({group for group in table.groups if group is not None}),
        "sources": SOURCE,
    }


def _named_apart(systems: Sequence[AskedRun]) -> list[AskedRun]:
    """Return the systems, each under a name of its own."""
    counts = Counter(system.name for system in systems)
    named = [
        replace(system, name=str(system.path)) if counts[system.name] > 1 else system for system in systems
    ]
    for path, count in Counter(system.path for system in systems).items():
        if count > 1:
            raise SekeError(f"{path}: is named twice; a system is compared with others")
    return named


def _test_part(path: str | Path, base: Knowledge) -> LabelTable:
    """Return the test items of a manifest."""
    table = read_labels(path, base, sources=SOURCE, perhaps=(GROUP, SPLIT))
    table = replace(table, groups=table.texts[GROUP])
    for item, name in zip(table.items, table.sources, strict=True):
        if set_called(name) is None:
            labels = {source_set.name: source_set.label for source_set in source_sets().values()}
            hint = did_you_mean(name or "", [*labels, *labels.values()])
            allowed = ", ".join(labels)
            cell = f"met {name!r}" if name else "missing"
            raise SekeError(
                f"{table.path}: item {item!r}: source: {cell}; allowed are the sets of FEAB: {allowed}{hint}"
            )
    splits = table.texts[SPLIT]
    if all(split is None for split in splits):
        return table
    rows = [row for row, split in enumerate(splits) if split == TEST]
    if not rows:
        words = ", ".join(sorted({str(split) for split in splits}))
        raise SekeError(f"{table.path}: split: no row says {TEST!r}; met {words}")
    return table.of_rows(rows)


def _joined(tables: Sequence[LabelTable]) -> LabelTable:
    """Return the tables as one; an item is in one of them only."""
    if len(tables) == 1:
        return tables[0]
    places: dict[str, str] = {}
    for table in tables:
        for item in table.items:
            if item in places:
                raise SekeError(
                    f"{table.path}: item {item!r} is in {places[item]} already; items have one name"
                )
            places[item] = table.path
    names = dict.fromkeys(name for table in tables for name in table.gold.values)
    gold = {
        name: np.concatenate(
            [table.gold.values.get(name, np.full(len(table.items), np.nan)) for table in tables]
        )
        for name in names
    }
    return LabelTable(
        tuple(places),
        Gold(gold),
        sum((table.groups for table in tables), ()),
        ", ".join(table.path for table in tables),
        sum((table.sources for table in tables), ()),
    )


def _check_persons(table: LabelTable) -> None:
    """Refuse items of persons whom FEAB trains on."""
    for item, name, person in zip(table.items, table.sources, table.groups, strict=True):
        source_set = set_called(name)
        part = source_set.feab if source_set is not None else None
        if source_set is not None and part is not None and person is not None and person not in part.persons:
            raise SekeError(
                f"{table.path}: item {item!r} of {source_set.label} shows {person}, whom FEAB trains on; its "
                f"test persons are {', '.join(sorted(part.persons))} (seke import {source_set.name} --feab "
                "--only test)"
            )


def _every_answer(
    predictions: Predictions, system: AskedRun, table: LabelTable
) -> tuple[Predictions, dict[str, int]]:
    """Return an answer about each item of gold, and of each variable how many lacked one.

    What is missing counts as unreadable. Probabilities are left out: the protocol scores values.
    """
    rows = predictions.rows_of(table.items)
    if not (rows >= 0).any():
        raise SekeError(
            f"{predictions.path} and {table.path} have no item in common: "
            f"{examples(predictions.items)} in the one, {examples(table.items)} in the other"
        )
    answered, missing_counts = {}, {}
    for name in predictions.variables.keys() & table.gold.values.keys():
        answer = predictions.variables[name].of(rows)
        value = np.where(rows < 0, np.nan, answer.value)
        refused = np.zeros(len(rows), bool) if answer.refused is None else answer.refused & (rows >= 0)
        unreadable = (
            np.zeros(len(rows), bool) if answer.unreadable is None else answer.unreadable & (rows >= 0)
        )
        missing = np.isnan(value) & ~refused & ~unreadable
        labelled = None if answer.labelled is None else answer.labelled & (rows >= 0)
        answered[name] = Prediction(
            value, refused=refused, unreadable=unreadable | missing, labelled=labelled
        )
        missing_counts[name] = int((missing & ~np.isnan(table.gold.values[name])).sum())
    known = predictions.labels_known
    return Predictions(system.name, table.items, answered, labels_known=known), missing_counts


def _parts(table: LabelTable) -> list[tuple[str, LabelTable]]:
    """Return all items, and those of each set where there are several, under the set's label."""
    names = list(dict.fromkeys(table.sources))
    parts = [(_label(name), table.of_source(name)) for name in names]
    return [("all", table), *(parts if len(parts) > 1 else [])]


def _label(name: str | None) -> str:
    source_set = set_called(name)
    return str(name) if source_set is None else source_set.label


def _sets(table: LabelTable) -> list[Facts]:
    """Return for each set of FEAB what is scored of it, and whether that is FEAB's test part."""
    sets = []
    labels = np.array([_label(name) for name in table.sources])
    for source_set in source_sets().values():
        rows = np.flatnonzero(labels == source_set.label).tolist()
        persons = {table.groups[row] for row in rows} - {None}
        sets.append(
            {
                "set": source_set.name,
                "label": source_set.label,
                "items": len(rows),
                "persons": len(persons) or None,
                "feab_items": source_set.feab.items if source_set.feab is not None else None,
                "split": _split_text(source_set.feab, len(rows), persons=bool(persons)),
            }
        )
    return sets


def _split_text(part: Any, items: int, *, persons: bool) -> str:
    """Return in words which items of a set are scored."""
    if not items:
        return "not scored: gold has no item of it"
    if part is None:
        return "FEAB's test items are not known; these are the manifest's own"
    if not persons:
        return "gold names no persons, so that they were not checked"
    if items != part.items:
        return f"FEAB's test persons, {items} items of its {part.items}"
    return f"FEAB's {part.items} items of {len(part.persons)} persons"


def _other_pictures(pictures: Mapping[str, tuple[str, ...]]) -> Facts:
    """Return how many items two systems saw as other pictures, where both are known, and examples."""
    apart = [item for item, digests in pictures.items() if len({digest for digest in digests if digest}) > 1]
    return {"count": len(apart), "examples": apart[:EXAMPLES]}
