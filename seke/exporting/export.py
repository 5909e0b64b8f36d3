"""A run -> a folder of data: `seke export` as a function."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import Knowledge, SekeError, did_you_mean
from seke.exporting.accepted_labels import AcceptedLabels, Grounds
from seke.exporting.comparison import ComparedPicture, Comparer, check_formats
from seke.exporting.counts import ExportCounts
from seke.exporting.data_card import card_text
from seke.exporting.formats import FORMATS, VERSION, ExportItem, dataset_info, open_format, schema_of
from seke.exporting.instruction_templates import read_instructions
from seke.exporting.instruction_texts import TASKS
from seke.exporting.instruction_writer import InstructionWriter
from seke.exporting.licences import Licence, check_copying, read_licences
from seke.exporting.near_pictures import NearPictures
from seke.exporting.splits import GROUPS, SplitAssignment, SplitEntry, assign_splits, shares_of, uneven_text
from seke.files.atomic import replacing
from seke.files.faults import Faults
from seke.files.shipped import LEVELS
from seke.files.shipped import knowledge as read_knowledge
from seke.runs.run_folder import RunFolder, base_to_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.exporting.formats import Format
    from seke.exporting.verify import Verified
    from seke.runs.item_list import KnownItem

    Record = dict[str, Any]

SIDE, CARD, INFO = "export.json", "README.md", "dataset_info.json"
USUAL_TASKS = TASKS[:3]
TABLES = {"imagefolder", "parquet"}


@dataclass(frozen=True)
class ExportSettings:
    """The options of an export; see `export`."""

    formats: tuple[str, ...] = ("messages",)
    tasks: tuple[str, ...] = USUAL_TASKS
    soft: bool = False
    language: str = "en"
    templates: tuple[str, ...] = ()
    group: str = "group"
    split: str = "train:1"
    balance: float | None = None
    seed: int = 0
    copy_images: bool = False
    licence: str = ""
    uncalibrated: bool = False
    inferred: bool = False
    allow_scripted: bool = False
    near_duplicates: str | None = None

    @property
    def grounds(self) -> Grounds:
        """Which values may be exported besides calibrated and certified ones."""
        return Grounds(self.uncalibrated, self.inferred)

    def __post_init__(self) -> None:
        """Refuse formats, tasks and groups that do not exist."""
        for option, given, allowed in (
            ("--format", self.formats, FORMATS),
            ("--task", self.tasks, TASKS),
            ("--group", (self.group,), GROUPS),
        ):
            for name in given:
                if name not in allowed:
                    raise SekeError(f"{option}: {name!r} is not known{did_you_mean(name, allowed)}")
            if len(set(given)) < len(given) or not given:
                raise SekeError(f"{option}: {', '.join(given) or 'nothing'}; name each once")
        if self.balance is not None and not self.balance >= 1:
            raise SekeError(f"--balance: {self.balance:g}; allowed is a ratio of at least 1")
        check_formats(self.formats, self.tasks)


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
    verify: bool = False,
    **given: Any,
) -> Exported:
    """Write what a run accepted as data to train on, as `seke export` does.

    Args:
        run: the folder of `seke annotate`.
        output: the folder to be made.
        knowledge: the base that the run was made with.
        sources: a table of licences by source; see `seke.exporting.licences`.
        verify: read everything back with the loaders of those who will.
        given: formats, tasks, soft, language, templates, group, split, balance, seed, copy_images, licence,
            uncalibrated, inferred, allow_scripted and near_duplicates, as `ExportSettings` has them.

    Raises:
        engine.SekeError: bad input; nothing is written.
    """
    for name in ("formats", "tasks", "templates"):
        if name in given:
            given[name] = (given[name],) if isinstance(given[name], str) else tuple(map(str, given[name]))
    settings, folder = ExportSettings(**given), Path(output)
    _check_output(folder)
    if verify:
        from seke.exporting.verify import check_installed

        check_installed(settings.formats)
    base = read_knowledge(knowledge)
    recorded_run = RunFolder.read(Path(run))
    _check_base(recorded_run, base)
    licences = read_licences(Path(sources)) if sources is not None else {}
    instructions = read_instructions(base, settings.language, settings.templates)
    recorded_run.check_answers(scripted=settings.allow_scripted)
    population = recorded_run.facts["population"]
    writer = InstructionWriter(base, instructions, population, soft=settings.soft, seed=settings.seed)
    exported = _RunExport(recorded_run, folder, base, settings, licences, writer).write()
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


def _check_base(run: RunFolder, base: Knowledge) -> None:
    if set(base.levels) != LEVELS:
        raise SekeError(f"{base.name} lacks the levels of exports: {', '.join(sorted(LEVELS))}")
    base_name = f"{base.name} {base.digest}"
    if run.facts["knowledge"] != base_name:
        made_with = run.facts["knowledge"]
        raise SekeError(
            f"{run.folder}: was made with knowledge {made_with}, this is {base_name}; "
            f"{base_to_name(run.folder)}"
        )


class _RunExport:
    """One export under way."""

    def __init__(
        self,
        run: RunFolder,
        folder: Path,
        base: Knowledge,
        settings: ExportSettings,
        licences: Mapping[str, Licence],
        writer: InstructionWriter,
    ) -> None:
        self.run, self.folder, self.base, self.settings = run, folder, base, settings
        self.licences, self.writer = licences, writer
        self.shares = shares_of(settings.split)
        self.left_out: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()
        self.tally = ExportCounts()
        self.near = NearPictures("")
        self._folder_from_export: dict[str, str] = {}

    def write(self) -> Exported:
        """Write everything into a temporary folder, then move it to its place."""
        entries = self._entries()
        if not entries:
            raise SekeError(self._nothing_message())
        assignment = self._assignment([entry for entry, _ in entries])
        self.left_out["duplicate picture"] = len(assignment.duplicates)
        self.left_out["balance"] = len(assignment.unbalanced)
        if self.settings.copy_images:
            sources = (self.run.items[item].source or "" for item in assignment.split)
            check_copying(sources, self.licences, self.settings.licence)
        numbers = self._numbers(entries, assignment)
        try:
            with replacing(self.folder) as temporary:
                temporary.mkdir()
                return self._write_files(temporary, assignment, numbers)
        except OSError as error:
            raise SekeError(f"{self.folder}: cannot be written ({error.strerror or error})") from None

    def _nothing_message(self) -> str:
        """Return the message for a run that has nothing to export."""
        message = f"{self.run.folder}: no accepted value can be exported for {', '.join(self.settings.tasks)}"
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
        for record in self.run.records():
            accepted = AcceptedLabels.of(record, self.base, self.settings.grounds)
            for level in record["decision"]["levels"].values():
                if reason := self.settings.grounds.withheld(level):
                    self.withheld[reason] += 1
            if not any(self.writer.can_answer(task, accepted) for task in self.settings.tasks) and not (
                tables and accepted.levels
            ):
                self.left_out["nothing accepted"] += 1
                continue
            listed_item = self.run.items[accepted.item]
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
            raise SekeError(
                f"{path}: no such file; where pictures have moved, give `seke annotate` their new "
                "place once more: nothing is asked again"
            )
        file = (
            _digest(listed_item.path)
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
            paths = {entry.item: self.run.items[entry.item].path for entry in entries}
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
        tolerance = dict(self.base.policy.tolerance)
        with ExitStack() as stack:
            formats: list[Format] = []
            for name in self.settings.formats:
                formats.append(open_format(name, folder, splits, numbers))
                stack.callback(formats[-1].close)
            for export_item in self._export_items(folder, assignment):
                for file_format in formats:
                    file_format.write(export_item)
                self.tally.add(export_item, tolerance)
        rows = {file_format.name: file_format.rows for file_format in formats}
        warnings = tuple(self._warnings(assignment, numbers))
        facts = self._facts(rows, assignment)
        (folder / SIDE).write_bytes(_json({**facts, "files": _files(folder)}))
        if "messages" in self.settings.formats:
            (folder / INFO).write_bytes(_json(dataset_info(splits)))
        (folder / CARD).write_bytes(card_text(facts, self.run, self.base, self.tally, self.licences).encode())
        levels = {name: self.tally.values[name] for name in self.base.levels}
        left_out = {name: count for name, count in self.left_out.items() if count}
        items_by_split = {name: self.tally.splits[name] for name in splits}
        counts = self.tally.items, items_by_split, rows, levels, left_out
        return Exported(str(self.folder), *counts, warnings, facts=facts)

    def _export_items(self, folder: Path, assignment: SplitAssignment) -> Iterator[ExportItem]:
        """Yield the items of the export, in the order of the run."""
        writer, soft = self.writer, self.settings.soft
        tasks = () if TABLES.issuperset(self.settings.formats) else self.settings.tasks
        comparer = Comparer(writer, tasks)
        records = (record for record in self.run.records() if record["item"] in assignment.split)
        items = (AcceptedLabels.of(record, self.base, self.settings.grounds) for record in records)
        for accepted in writer.prepared(items, tasks):
            split = assignment.split[accepted.item]
            listed_item = self.run.items[accepted.item]
            inside = self._place_picture(folder, listed_item, split)
            rows = [writer.with_box(row, listed_item.box) for row in writer.rows(accepted, tasks)]
            picture = (
                f"images/{split}/{inside}" if self.settings.copy_images else self._relative(listed_item.path)
            )
            rows += comparer.rows(split, ComparedPicture(accepted, picture, listed_item.box))
            soft_values = writer.soft_values(accepted) if soft else None
            yield ExportItem(accepted, listed_item, split, picture, inside, rows, soft_values)

    def _place_picture(self, folder: Path, listed_item: KnownItem, split: str) -> str:
        """Put a picture, or a link to it, into the export where one is wanted; return its name there."""
        copying = self.settings.copy_images
        if not copying and "imagefolder" not in self.settings.formats:
            return ""
        place = folder / "images" / split
        place.mkdir(parents=True, exist_ok=True)
        ending = os.path.splitext(listed_item.path)[1].lower()
        if copying:
            name = f"{_digest(listed_item.path)[:32]}{ending}"
            if not (place / name).exists():
                shutil.copyfile(listed_item.path, place / name)
            return name
        item_bytes = listed_item.item.encode("utf-8", "surrogatepass")
        name = f"{hashlib.blake2b(item_bytes, digest_size=16).hexdigest()}{ending}"
        # From images/SPLIT two folders up to where the export is.
        (place / name).symlink_to(os.path.join("..", "..", self._relative(listed_item.path)))
        return name

    def _relative(self, path: str) -> str:
        """Return a path from the folder of the export."""
        above, name = os.path.split(path)
        if above not in self._folder_from_export:
            place = os.path.join(os.path.realpath(self.folder.parent), self.folder.name)
            self._folder_from_export[above] = os.path.relpath(above, place)
        return f"{self._folder_from_export[above]}/{name}"

    def _warnings(self, assignment: SplitAssignment, numbers: tuple[str, ...]) -> Iterator[str]:
        yield from self.run.cautions()
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
        unsaid = sorted({source for source in self.tally.sources if source not in self.licences})
        if self.licences and unsaid:
            names = ", ".join(source or "pictures without a source" for source in unsaid)
            yield f"--sources does not name {names}"

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
            "texts": self.tally.texts.facts(),
            "soft": settings.soft,
            "language": words.language,
            "instructions": words.digest,
            "group": settings.group,
            "balance": settings.balance,
            "seed": settings.seed,
            "copied": settings.copy_images,
            "licence": settings.licence,
            "knowledge": self.run.facts["knowledge"],
            "population": self.run.facts["population"],
            "items": self.tally.items,
            "left_out": {name: count for name, count in self.left_out.items() if count},
            "uncalibrated": settings.uncalibrated,
            "inferred": settings.inferred,
            "scripted": self.run.scripted,
            "bases": dict(self.tally.bases.most_common()),
            "withheld": dict(self.withheld.most_common()),
            "near_duplicates": self.near.facts(assignment.split),
            "contradicting": list(assignment.contradicting),
            "uneven": [asdict(uneven) for uneven in assignment.uneven],
        }


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, str]:
    """Return the digests of all files but pictures, by their path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    kept = [path for path in paths if path.suffix in (".jsonl", ".json", ".parquet")]
    return {path.relative_to(folder).as_posix(): _digest(str(path)) for path in kept}


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
