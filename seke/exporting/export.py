"""A run, or records with their pictures -> a folder of data: `seke export` as a function."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError
from seke.exporting.accepted_labels import AcceptedLabels
from seke.exporting.citation import CITATION, citation
from seke.exporting.comparison import ComparedPicture, Comparer
from seke.exporting.counts import ExportCounts
from seke.exporting.data_card import card_facts
from seke.exporting.descriptions import as_json, write_descriptions
from seke.exporting.doubt import Doubt, read_votes
from seke.exporting.export_item import ExportItem
from seke.exporting.formats import VERSION, dataset_info, open_format, schema_of
from seke.exporting.instruction_templates import read_instructions
from seke.exporting.instruction_writer import InstructionWriter
from seke.exporting.item_rows import ITEM_ROWS, ItemRow
from seke.exporting.licences import Licence, check_copying, read_licences, unstated_terms
from seke.exporting.near_pictures import NearPictures
from seke.exporting.parquet_format import Parquet, ReleaseColumns
from seke.exporting.placed_pictures import PlacedPictures, file_digest
from seke.exporting.records_source import BesideRecords, source_of
from seke.exporting.settings import ExportSettings
from seke.exporting.splits import (
    SplitAssignment,
    SplitEntry,
    assign_splits,
    check_persons,
    shares_of,
    uneven_text,
)
from seke.exporting.text_measures import TextMeasures
from seke.files.atomic import replacing
from seke.files.faults import Faults
from seke.files.shipped import knowledge as read_knowledge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.exporting.formats import Format
    from seke.exporting.instruction_row import InstructionRow
    from seke.exporting.rewriting import Rewordings, Rewriter
    from seke.exporting.source import ExportSource
    from seke.exporting.verify import Verified
    from seke.runs.item_list import KnownItem

    Record = dict[str, Any]

INFO = "dataset_info.json"
TABLES = {"imagefolder", "parquet"}


@dataclass(frozen=True)
class Exported:
    """What was written. rows: by format; left_out: items by reason; verified: only where it was read back."""

    folder: str
    items: int
    splits: Mapping[str, int]
    rows: Mapping[str, int]
    levels: Mapping[str, int]
    left_out: Mapping[str, int]
    warnings: tuple[str, ...] = ()
    verified: Verified | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def export(
    run: str | Path,
    output: str | Path,
    *,
    knowledge: Knowledge | str | Path | None = None,
    sources: str | Path | None = None,
    votes: str | Path | None = None,
    verify: bool = False,
    rewrite: Rewriter | None = None,
    images: str | Path | Sequence[str | Path] = (),
    samples: str | Path | Sequence[str | Path] = (),
    population: str | None = None,
    **given: Any,
) -> Exported:
    """Write what a run accepted as data to train on, as `seke export` does.

    Args:
        run: the folder of `seke annotate`, or records of `seke infer`: a file, or a folder of shards.
        output: the folder to be made.
        knowledge: the base that it was made with.
        sources: a table of licences by source; see `seke.exporting.licences`.
        votes: a table of people's readings of the pictures; see `seke.exporting.doubt.read_votes`.
        verify: read everything back with the loaders of those who will.
        rewrite: a language model that puts texts into other words; see `seke.exporting.rewriting`.
        images: the pictures of records, as `seke annotate` takes them.
        samples: the samples that records were made of; those of a folder of shards by default.
        population: the prior that records were made with; the folder's, or the base's usual one by default.
        given: formats, tasks, soft, language, templates, group, split, balance, seed, copy_images, licence,
            uncalibrated, inferred, undecided, allow_scripted and near_duplicates, as `ExportSettings` has
            them.

    Raises:
        engine.SekeError: bad input; nothing is written.
    """
    settings, folder = ExportSettings.of(given), Path(output)
    if rewrite is not None and TABLES.issuperset(settings.formats):
        names = " and ".join(settings.formats)
        raise SekeError(
            f"--rewrite: {names} has no texts to reword; give --format messages, trl or llava, too, or leave "
            "out --rewrite"
        )
    _check_output(folder)
    if verify:
        from seke.exporting.verify import check_installed

        check_installed(settings.formats)
    base = read_knowledge(knowledge)
    beside = BesideRecords.of(images, samples, population)
    source = source_of(Path(run), base, beside, rewriting=rewrite is not None)
    licences = read_licences(Path(sources)) if sources is not None else {}
    people = read_votes(Path(votes), base) if votes is not None else {}
    instructions = read_instructions(base, settings.language, settings.templates)
    source.check_answers(scripted=settings.allow_scripted, uncalibrated=settings.uncalibrated)
    writer = InstructionWriter(base, instructions, source.population, soft=settings.soft, seed=settings.seed)
    exported = _ExportWork(source, folder, base, settings, licences, writer, people).write(rewrite)
    if not verify:
        return exported
    from seke.exporting.verify import verify_export

    return replace(exported, verified=verify_export(folder))


def _check_output(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise SekeError(f"{folder}: exists already; name another folder, or remove it")
    if not folder.parent.is_dir():
        raise SekeError(f"{folder}: its folder does not exist")


class _ExportWork:
    """One export under way."""

    def __init__(
        self,
        source: ExportSource,
        folder: Path,
        base: Knowledge,
        settings: ExportSettings,
        licences: Mapping[str, Licence],
        writer: InstructionWriter,
        votes: Mapping[str, Counter[str]],
    ) -> None:
        self.source, self.folder, self.base, self.settings = source, folder, base, settings
        self.licences, self.writer = licences, writer
        self.shares = shares_of(settings.split)
        self.left_out = Counter(source.left_out)
        self.withheld: Counter[str] = Counter()
        self.tally, self.texts = ExportCounts(), TextMeasures()
        self.near = NearPictures("")
        self.votes = {**source.read_answers.votes, **votes}
        linking = "imagefolder" in settings.formats
        self.rewordings: Rewordings | None = None
        self.pictures = PlacedPictures(folder, copying=settings.copy_images, linking=linking)

    def write(self, rewrite: Rewriter | None = None) -> Exported:
        """Write everything into a temporary folder, then move it to its place; rewrite: who rewords texts."""
        entries = self._entries()
        if not entries:
            raise SekeError(self._nothing_message())
        assignment = self._assignment([entry for entry, _ in entries])
        self.left_out["duplicate picture"] = len(assignment.duplicates)
        self.left_out["balance"] = len(assignment.unbalanced)
        if self.settings.copy_images:
            sources = (self.source.items[item].source or "" for item in assignment.split)
            check_copying(sources, self.licences, self.settings.licence)
        check_persons(assignment.split, self.source.items, self.settings.group)
        numbers = self._numbers(entries, assignment)
        with ExitStack() as stack:
            if rewrite is not None and self.source.folder is not None:
                from seke.exporting.rewriting import Rewordings

                rewordings = Rewordings(rewrite, self.source.folder, self.writer.wording)
                self.rewordings = stack.enter_context(closing(rewordings))
                rewordings.ask(self._texts(assignment))
            return self._write(assignment, numbers)

    def _write(self, assignment: SplitAssignment, numbers: tuple[str, ...]) -> Exported:
        try:
            with replacing(self.folder) as temporary:
                temporary.mkdir()
                return self._write_files(temporary, assignment, numbers)
        except OSError as error:
            raise SekeError(f"{self.folder}: cannot be written ({error.strerror or error})") from None

    def _nothing_message(self) -> str:
        """Return the message for a run that has nothing to export."""
        message = (
            f"{self.source.name}: no accepted value can be exported for {', '.join(self.settings.tasks)}"
        )
        uncalibrated = sum(count for reason, count in self.withheld.items() if reason != "inferred")
        if uncalibrated:
            message += (
                f"; {uncalibrated:,} values are accepted on numbers that were not calibrated for them: "
                "calibrate with gold (seke calibrate), or export them anyway with --uncalibrated"
            )
        return message

    # Which items --------------------------------------------------------------------------------------

    def _entries(self) -> list[tuple[SplitEntry, tuple[str, ...]]]:
        """Return the items that a task or a table can use, each with the names of its accepted numbers."""
        entries: list[tuple[SplitEntry, tuple[str, ...]]] = []
        faults = Faults()
        tables = TABLES.intersection(self.settings.formats)
        for record in self.source.read_records():
            accepted = AcceptedLabels.of(record, self.base, self.settings.grounds)
            for level in record["decision"]["levels"].values():
                if reason := self.settings.grounds.withheld(level):
                    self.withheld[reason] += 1
            if not any(self.writer.can_answer(task, accepted) for task in self.settings.tasks) and not (
                tables and accepted.levels
            ):
                self.left_out["nothing accepted"] += 1
                continue
            listed_item = self.source.items[accepted.item]
            try:
                entries.append((self._entry(accepted, listed_item), tuple(accepted.numbers)))
            except SekeError as fault:
                faults.note(str(fault))
        faults.raise_all(SekeError)
        return entries

    def _entry(self, accepted: AcceptedLabels, listed_item: KnownItem) -> SplitEntry:
        try:
            (listed_item.path + listed_item.item).encode()
        except UnicodeEncodeError:
            raise SekeError(f"{listed_item.path!r}: is no UTF-8 name; rename the file") from None
        if not os.path.isfile(listed_item.path):
            path = listed_item.path if listed_item.path.isprintable() else repr(listed_item.path)
            cure = (
                "name with --images where the pictures are"
                if self.source.folder is None
                else "where pictures have moved, give `seke annotate` their new place once more: nothing is "
                "asked again"
            )
            raise SekeError(f"{path}: no such file; {cure}")
        file = (
            file_digest(listed_item.path)
            if listed_item.box is not None or listed_item.picture is None
            else listed_item.path
        )
        group = {"group": listed_item.group, "source": listed_item.source, "item": None}[self.settings.group]
        values = (accepted.expression is not None) + len(accepted.numbers) + len(accepted.units)
        picture_name = listed_item.picture or file
        return SplitEntry(
            accepted.item, accepted.expression, group, picture_name, file, listed_item.box, values
        )

    def _assignment(self, entries: Sequence[SplitEntry]) -> SplitAssignment:
        """Return which split each item is in; near-duplicates are looked for where there are several."""
        settings = self.settings
        if len(self.shares) > 1 or settings.near_duplicates is not None:
            paths = {entry.item: self.source.items[entry.item].path for entry in entries}
            self.near = NearPictures.of(entries, paths, settings.near_duplicates)
        clustered = [replace(entry, cluster=self.near.cluster(entry.item)) for entry in entries]
        return assign_splits(clustered, self.shares, settings.seed, settings.balance)

    def _numbers(
        self, entries: Sequence[tuple[SplitEntry, tuple[str, ...]]], assignment: SplitAssignment
    ) -> tuple[str, ...]:
        """Return the numbers that some item of every split has."""
        splits_by_number: dict[str, set[str]] = {name: set() for name in self.base.intervals}
        for entry, numbers in entries:
            if entry.item in assignment.split:
                for name in numbers:
                    splits_by_number[name].add(assignment.split[entry.item])
        return tuple(name for name, splits in splits_by_number.items() if len(splits) == len(self.shares))

    # Writing ------------------------------------------------------------------------------------------

    def _write_files(self, folder: Path, assignment: SplitAssignment, numbers: tuple[str, ...]) -> Exported:
        splits = tuple(self.shares)
        columns = ReleaseColumns(
            self.base,
            self.source.read_answers,
            self.licences,
            self.settings.licence,
            self.settings.copy_images,
        )
        with ExitStack() as stack:
            formats: list[Format] = []
            for name in self.settings.formats:
                formats.append(open_format(name, folder, splits, numbers, columns))
                stack.callback(formats[-1].close)
            item_rows = stack.enter_context((folder / ITEM_ROWS).open("wb"))
            for export_item in self._export_items(folder, assignment):
                for file_format in formats:
                    file_format.write(export_item)
                row = ItemRow.of(export_item, self.base.policy.tolerance, self.near.copies, self.near.similar)
                item_rows.write(msgspec.json.encode(row) + b"\n")
                for instruction in export_item.rows:
                    self.texts.add(instruction, export_item.accepted.expression)
                self.tally.add(row)
        rows = {file_format.name: file_format.rows for file_format in formats}
        warnings = tuple(self._warnings(assignment, numbers))
        facts = self._facts(rows, assignment)
        features = next((part.features for part in formats if isinstance(part, Parquet)), {})
        card = card_facts(facts, self.source, self.base, self.licences, features)
        if "messages" in self.settings.formats:
            (folder / INFO).write_bytes(as_json(dataset_info(splits)))
        # It has no counts, and may be edited: `seke forget` leaves it as it is.
        (folder / CITATION).write_bytes(citation({**facts, "card": card}, self.tally).encode())
        facts = write_descriptions(folder, {**facts, "card": card}, self.tally)
        levels = {name: self.tally.values[name] for name in self.base.levels}
        left_out = {name: count for name, count in self.left_out.items() if count}
        items_by_split = {name: self.tally.splits[name] for name in splits}
        counts = self.tally.items, items_by_split, rows, levels, left_out
        return Exported(str(self.folder), *counts, warnings, facts=facts)

    @property
    def _tasks(self) -> tuple[str, ...]:
        """The tasks of the rows; none where no format has such."""
        return () if TABLES.issuperset(self.settings.formats) else self.settings.tasks

    def _accepted(self, assignment: SplitAssignment) -> Iterator[AcceptedLabels]:
        """Yield the labels of the exported items, in the order of the run."""
        records = (record for record in self.source.read_records() if record["item"] in assignment.split)
        items = (AcceptedLabels.of(record, self.base, self.settings.grounds) for record in records)
        return self.writer.prepared(items, self._tasks)

    def _rows(self, comparer: Comparer, split: str, picture: ComparedPicture) -> list[InstructionRow]:
        writer, accepted = self.writer, picture.accepted
        rows = [writer.with_box(row, picture.box) for row in writer.rows(accepted, self._tasks)]
        return [*rows, *comparer.rows(split, picture)]

    def _texts(self, assignment: SplitAssignment) -> Iterator[tuple[str, InstructionRow]]:
        """Yield each row that will be written, after its item; no picture is placed."""
        comparer = Comparer(self.writer, self._tasks)
        for accepted in self._accepted(assignment):
            split = assignment.split[accepted.item]
            picture = ComparedPicture(accepted, "", self.source.items[accepted.item].box)
            for row in self._rows(comparer, split, picture):
                yield accepted.item, row

    def _export_items(self, folder: Path, assignment: SplitAssignment) -> Iterator[ExportItem]:
        """Yield the items of the export, in the order of the run."""
        writer, soft = self.writer, self.settings.soft
        comparer = Comparer(writer, self._tasks)
        for accepted in self._accepted(assignment):
            split = assignment.split[accepted.item]
            listed_item = self.source.items[accepted.item]
            inside = self.pictures.place(folder, listed_item, split)
            picture = (
                f"images/{split}/{inside}"
                if self.settings.copy_images
                else self.pictures.relative(listed_item.path)
            )
            rows = self._rows(comparer, split, ComparedPicture(accepted, picture, listed_item.box))
            if self.rewordings is not None:
                rows = [self.rewordings.reword(accepted.item, row) for row in rows]
            yield ExportItem(
                accepted,
                listed_item,
                split,
                picture,
                inside,
                rows,
                writer.soft_values(accepted) if soft else None,
                Doubt.of(accepted.record, self.base.root, self.votes.get(accepted.item, {})),
            )

    def _warnings(self, assignment: SplitAssignment, numbers: tuple[str, ...]) -> Iterator[str]:
        yield from self.source.cautions
        uncalibrated = sum(count for reason, count in self.withheld.items() if reason != "inferred")
        if uncalibrated:
            yield (
                f"{uncalibrated:,} accepted values are left out, since they rest on numbers that were not "
                "calibrated for them; --uncalibrated exports them, seke calibrate calibrates the numbers"
            )
        if assignment.contradicting:
            names = _some(assignment.contradicting)
            yield f"{len(assignment.contradicting):,} pictures recur with another expression: {names}"
        yield from self.near.warnings(assignment.split, len(self.shares))
        if assignment.uneven:
            yield uneven_text(assignment.uneven, self.settings.group)
        lacking = [name for name in self.base.intervals if name not in numbers]
        if lacking and "imagefolder" in self.settings.formats:
            yield f"metadata.jsonl lacks {' and '.join(lacking)}, since some split has no value of it"
        yield from unstated_terms(self.tally.sources, self.licences, copied=self.settings.copy_images)

    def _facts(self, rows: Mapping[str, int], assignment: SplitAssignment) -> Record:
        """Return what export.json says."""
        from seke._version import __version__

        settings, words = self.settings, self.writer.instructions
        return {
            "schema": schema_of("export"),
            "version": VERSION,
            "program": __version__,
            "formats": {name: {"schema": schema_of(name), "rows": count} for name, count in rows.items()},
            "splits": {name: self.tally.splits[name] for name in self.shares},
            "shares": self.shares,
            "tasks": list(settings.tasks),
            "rows_by_task": {name: dict(self.tally.tasks[name]) for name in self.shares},
            "texts": self.texts.facts(),
            "rewording": self.rewordings.facts() if self.rewordings is not None else None,
            "soft": settings.soft,
            "language": words.language,
            "instructions": words.digest,
            "group": settings.group,
            "balance": settings.balance,
            "seed": settings.seed,
            "copied": settings.copy_images,
            "licence": settings.licence,
            "knowledge": f"{self.base.name} {self.base.digest}",
            "population": self.source.population,
            "items": self.tally.items,
            "forgotten": 0,
            "left_out": {name: count for name, count in self.left_out.items() if count},
            "uncalibrated": settings.uncalibrated,
            "inferred": settings.inferred,
            "undecided": settings.undecided,
            "scripted": self.source.scripted,
            "bases": dict(self.tally.bases.most_common()),
            "withheld": dict(self.withheld.most_common()),
            "near_duplicates": self.near.facts(assignment.split),
            "contradicting": list(assignment.contradicting),
            "uneven": [asdict(uneven) for uneven in assignment.uneven],
        }


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
