"""Records of `seke infer`, a file or a folder of shards, as the source of an export.

Records have no pictures and do not say who was asked what. Pictures are those that are named with them, by
the name of the item; who answered what is in the samples that the records were made of. Nobody wrote down
what only a run knows: which models answered, prompts, prices, and the words of a guarantee.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError, did_you_mean
from seke.console.plain_text import first_names
from seke.datasets.manifest import items_of
from seke.exporting.run_answers import COLUMNS, vote_in
from seke.exporting.source import ExportSource
from seke.files.addresses import is_address, local_copy
from seke.files.lines import check_file
from seke.files.shard_folder import is_shard_folder, read_manifest
from seke.files.shipped import LEVELS
from seke.runs.item_list import KnownItem
from seke.runs.ledger import NAME as LEDGER
from seke.runs.run_folder import POSTERIORS, made_up_text
from seke.samples import checked_records
from seke.tables.record_reader import posterior_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.datasets.manifest import Item

    Record = dict[str, Any]

NO_PICTURE = "no picture"
MOST_NAMES = 5
# What stands in `extra` of an answer that no model gave.
MARK = "scripted"
WHO = (
    "the records do not say who answered: neither which models or people the observers were, nor whether "
    "answers are made up"
)


@dataclass
class SampleAnswers:
    """The answers about items, of samples. votes: item -> state -> people; counts: item -> samples.

    asked: observer -> question -> answers; scripted: answers marked as made up.
    """

    votes: dict[str, Counter[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    asked: dict[str, Counter[str]] = field(default_factory=dict)
    scripted: int = 0
    _rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def read(cls, sources: Sequence[str], base: Knowledge, items: Mapping[str, Item]) -> SampleAnswers:
        """Read the samples about items out of files and addresses.

        Raises:
            engine.SekeError: what cannot be read, with its place.
        """
        answers = cls()
        people = {name for name, observer in base.observers.items() if observer.people}
        with ExitStack() as stack:
            paths = [stack.enter_context(local_copy(name)) for name in sources]
            for sample in checked_records(paths, base):
                if sample["item"] in items:
                    answers._add(sample, base, people)
        return answers

    def of(self, items: Sequence[str]) -> dict[str, list[Record]]:
        """Return item -> its answers, each with COLUMNS; nobody knows the models or the texts."""
        return {
            item: [dict(zip(COLUMNS, row, strict=True)) for row in self._rows.get(item, ())] for item in items
        }

    def _add(self, sample: Record, base: Knowledge, people: set[str]) -> None:
        item, observer, question = sample["item"], sample["observer"], sample["question"]
        extra = msgspec.json.decode(sample["extra"])
        extra = extra if isinstance(extra, dict) else {}
        rows = self._rows.setdefault(item, [])
        draw = sample["draw"]
        if draw < 0:
            key = observer, question, sample["view"]
            draw = sum((row[0], row[2], row[4]) == key for row in rows)
        about = str(extra.get("about") or "")
        rows.append((observer, None, question, about, sample["view"], draw, sample["status"], None))
        self.counts[item] += 1
        self.asked.setdefault(observer, Counter())[question] += 1
        self.scripted += extra.get(MARK) is True
        if observer in people and (vote := vote_in(sample, base)):
            self.votes.setdefault(item, Counter())[vote] += 1


@dataclass(frozen=True)
class BesideRecords:
    """What is named beside records, since they do not tell it.

    images: pictures, folders and manifests, as `seke annotate` takes them. samples: the files that the
    records were made of; of a folder of shards by default those that its manifest names. population: the
    prior that they were made with, that of the manifest or the base's usual one by default.
    """

    images: Sequence[str | Path] = ()
    samples: Sequence[str | Path] = ()
    population: str | None = None

    @classmethod
    def of(cls, images: Any, samples: Any, population: str | None) -> BesideRecords:
        """Return it of one name or several."""
        images, samples = (
            (names,) if isinstance(names, str | Path) else names for names in (images, samples)
        )
        return cls(tuple(images), tuple(samples), population)


def source_of(path: Path, base: Knowledge, named: BesideRecords, *, rewriting: bool) -> ExportSource:
    """Return a run, or records, as a source. rewriting: whether texts are to be put into other words.

    Raises:
        engine.SekeError: what is neither, or cannot be read; what only the other one has.
    """
    if set(base.levels) != LEVELS:
        raise SekeError(f"{base.name} lacks the levels of exports: {', '.join(sorted(LEVELS))}")
    if path.is_file() or is_shard_folder(path):
        if rewriting:
            raise SekeError(f"--rewrite: keeps what is paid in the folder of a run; {path} has records alone")
        return _records_source(path, base, named)
    source = ExportSource.of_run(path, base)
    for option, given in (("--images", named.images), ("--samples", named.samples)):
        if given:
            raise SekeError(f"{option}: is for records of seke infer; the run {path} knows its own")
    if named.population not in (None, source.population):
        raise SekeError(f"--population: {path} was made with {source.population}, not {named.population}")
    return source


def _records_source(path: Path, base: Knowledge, named: BesideRecords) -> ExportSource:
    images, samples, population = named.images, named.samples, named.population
    if path.name == POSTERIORS and (path.parent / LEDGER).is_file():
        raise SekeError(f"{path}: is of a run, which knows more; export {path.parent}, without --images")
    made_with = _made_with(path, base, population)
    population = str(made_with.get("population", population or base.usual_population or base.reference))
    if population not in base.populations:
        raise SekeError(f"--population: {population!r}{did_you_mean(population, base.populations)}")
    if not images:
        raise SekeError(
            f"{path}: has records without pictures; name these with --images, as seke annotate takes them, "
            "or export the folder of a run of seke annotate, which knows them"
        )
    sources = _sample_sources(path, samples)
    pictures = {item.name: item for item in items_of(images, base)}
    names = _checked_items(path, base)
    items = {name: pictures[name] for name in names if name in pictures}
    if not items:
        raise SekeError(
            f"{path}: none of its {len(names):,} items has a picture: it names {next(iter(names))!r}, the "
            f"pictures {next(iter(pictures))!r}; a manifest with a column `item` gives pictures other names"
        )
    answers = _read_answers(path, sources, base, items, given=bool(samples))
    unanswered = [name for name in items if name not in answers.counts]
    if unanswered:
        raise SekeError(
            f"{path}: no sample is about {first_names(unanswered, MOST_NAMES)}; name all files that the "
            "records were made of with --samples"
        )
    notes = tuple(_notes(names, items, answers, pictures, known=bool(made_with)))
    total = answers.counts.total()
    made_up = (made_up_text(answers.scripted, total),) if answers.scripted else (WHO,)
    scripted = answers.scripted or None
    return ExportSource(
        str(path),
        population,
        {name: _known(item) for name, item in items.items()},
        tuple(answers.asked),
        total,
        scripted,
        {
            "records": True,
            "scripted": scripted,
            "answers": total,
            "listed": len(items),
            "samples": total,
            "per_item": {"mean": round(total / len(items), 3)},
            "asked": {name: dict(questions) for name, questions in answers.asked.items()},
            "made_with": made_with,
            "promises": [],
            "refused": [],
            "notes": notes,
            "models": [],
        },
        (*made_up, *notes),
        answers,
        lambda: (record for record in posterior_records(path) if record["item"] in items),
        {NO_PICTURE: len(names) - len(items)},
    )


def _made_with(path: Path, base: Knowledge, population: str | None) -> Record:
    """Return what a folder of shards says it was made with; nothing of a file.

    Raises:
        engine.SekeError: another base or population than those named.
    """
    if not is_shard_folder(path):
        return {}
    made_with = dict(read_manifest(path).made_with)
    digest = made_with.get("knowledge")
    if digest != base.digest:
        raise SekeError(
            f"{path}: was made with knowledge {digest}, this is {base.name} {base.digest}; name its base "
            "with -k"
        )
    if population not in (None, made_with.get("population")):
        raise SekeError(f"{path}: was made with population {made_with.get('population')}, not {population}")
    return made_with


def _sample_sources(path: Path, given: Sequence[str | Path]) -> list[str]:
    """Return the files and addresses of the samples.

    Raises:
        engine.SekeError: none is known, or one is no file.
    """
    sources = [str(name) for name in given]
    if not sources:
        if not is_shard_folder(path):
            raise SekeError(
                f"{path}: does not say who was asked what; name the files of the samples that it was made of "
                "with --samples"
            )
        sources = list(read_manifest(path).inputs)
    for name in sources:
        if is_address(name):
            continue
        if not Path(name).is_file():
            hint = "" if given else f"; {path} was made of it: name where it is now with --samples"
            raise SekeError(f"{name}: no such file{hint}")
        check_file(name)
    return sources


def _read_answers(
    path: Path, sources: Sequence[str], base: Knowledge, items: Mapping[str, Item], *, given: bool
) -> SampleAnswers:
    try:
        return SampleAnswers.read(sources, base, items)
    except SekeError as error:
        if given or not any(map(is_address, sources)):
            raise
        raise SekeError(f"{error}\n{path} was made of it: name a copy with --samples") from None


def _checked_items(path: Path, base: Knowledge) -> dict[str, int]:
    """Return item -> answers that its record rests on.

    Raises:
        engine.SekeError: an item twice, or variables and states that are not the base's.
    """
    names: dict[str, int] = {}
    states = set(base.variables[base.root].states)
    for record in posterior_records(path):
        item = record["item"]
        if item in names:
            raise SekeError(f"{path}: {item!r} has two records; name records of one inference")
        levels = record["decision"].get("levels")
        probabilities = record.get(base.root)
        fits = isinstance(levels, dict) and set(levels) <= set(base.variables)
        if not fits or not isinstance(probabilities, dict) or set(probabilities) != states:
            raise SekeError(
                f"{path}: the record of {item!r} is of other variables than {base.name} has; name the base "
                "that it was made with, with -k"
            )
        names[item] = int((record.get("diagnostics") or {}).get("samples") or 0)
    if not names:
        raise SekeError(f"{path}: has no records")
    return names


def _notes(
    names: Mapping[str, int],
    items: Mapping[str, Item],
    answers: SampleAnswers,
    pictures: Mapping[str, Item],
    *,
    known: bool,
) -> Iterator[str]:
    """Yield what of records, pictures and samples does not meet. known: whether the base is."""
    if not known:
        yield (
            "the records do not say which knowledge and population they were made with; those named are "
            "taken for them"
        )
    without = [name for name in names if name not in items]
    if without:
        yield f"records without a picture, left out: {len(without):,} ({first_names(without, MOST_NAMES)})"
    extra = [name for name in pictures if name not in names]
    if extra:
        yield f"pictures without a record, not exported: {len(extra):,} ({first_names(extra, MOST_NAMES)})"
    others = [name for name in items if names[name] != answers.counts[name]]
    if others:
        first = others[0]
        yield (
            "records that rest on another number of answers than the samples have: "
            f"{len(others):,} ({first} on {names[first]:,}, and the samples have {answers.counts[first]:,}); "
            "these are other samples, or labels were left out (--blind-to)"
        )


def _known(item: Item) -> KnownItem:
    box = None if item.box is None else astuple(item.box)
    return KnownItem(item.name, str(item.path.resolve()), item.group, item.source, box, dict(item.labels))
